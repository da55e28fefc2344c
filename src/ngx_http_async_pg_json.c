
/*
 * Copyright (C) the nginx-async authors
 *
 * Results of PostgreSQL as JSON: responses of their rows, written at once, and
 * trees.
 */

#include <ngx_http_async_pg.h>
#include <ngx_http_async_pg_write.h>
#include <ngx_http_async_response.h>
#include <ngx_async_scratch.h>


typedef struct {
    async_pg_result_t          *result;
    size_t                      row;
    json_t                     *value;
    u_char                      error[NGX_HTTP_ASYNC_PG_ERROR_LEN];
} ngx_http_async_pg_tree_t;


static json_t *ngx_http_async_pg_json(async_t *co, const char *call,
    async_pg_result_t *result, size_t row);
static void ngx_http_async_pg_json_tree(void *data);
static async_rc_t ngx_http_async_pg_respond(async_req_t *req,
    const char *call, int status, async_pg_result_t *result, size_t row);


json_t *
async_pg_json(async_t *co, async_pg_result_t *result)
{
    ngx_async_check_task(co);

    return ngx_http_async_pg_json(co, "async_pg_json", result,
                                  NGX_HTTP_ASYNC_PG_ALL);
}


json_t *
async_pg_row_json(async_t *co, async_pg_result_t *result, size_t row)
{
    ngx_async_check_task(co);

    /* no result has so many rows */

    row = ngx_min(row, NGX_HTTP_ASYNC_PG_ALL - 1);

    return ngx_http_async_pg_json(co, "async_pg_row_json", result, row);
}


static json_t *
ngx_http_async_pg_json(async_t *co, const char *call,
    async_pg_result_t *result, size_t row)
{
    ngx_http_async_pg_tree_t  tree;

    if (result == NULL || result->result == NULL) {
        (void) ngx_async_set_error(co, ASYNC_ERROR,
                                   "%s(): there is no result", call);
        return NULL;
    }

    tree.result = result;
    tree.row = row;

    ngx_async_on_loop(ngx_http_async_pg_json_tree, &tree);

    if (tree.value == NULL) {
        (void) ngx_async_set_error(co, ASYNC_ERROR, "%s(): %s", call,
                                   tree.error);
    }

    return tree.value;
}


/* jansson recurs when it frees: a value may be JSON itself */

static void
ngx_http_async_pg_json_tree(void *data)
{
    ngx_http_async_pg_tree_t  *tree = data;

    tree->value = ngx_http_async_pg_rows_tree(tree->result->pool,
                                              tree->result->result, tree->row,
                                              tree->error);
}


async_str_t
async_pg_row_text(async_t *co, async_pg_result_t *result, size_t row)
{
    ngx_str_t    text;
    async_str_t  none = { NULL, 0 };

    ngx_async_check_task(co);

    if (result == NULL || result->result == NULL
        || row >= (size_t) PQntuples(result->result))
    {
        (void) ngx_async_set_error(co, ASYNC_ERROR, "async_pg_row_text(): "
                                   "there is no row %uz", row);
        return none;
    }

    if (ngx_http_async_pg_rows(result->pool, result->result, row, &text)
        != NGX_OK)
    {
        (void) ngx_async_set_error(co, ASYNC_ERROR, "no memory");
        return none;
    }

    return (async_str_t) { (char *) text.data, text.len };
}


async_rc_t
async_pg_respond(async_req_t *req, int status, async_pg_result_t *result)
{
    ngx_http_async_check(req);

    return ngx_http_async_pg_respond(req, "async_pg_respond", status, result,
                                     NGX_HTTP_ASYNC_PG_ALL);
}


async_rc_t
async_pg_respond_row(async_req_t *req, int status, async_pg_result_t *result,
    size_t row)
{
    ngx_http_async_check(req);

    row = ngx_min(row, NGX_HTTP_ASYNC_PG_ALL - 1);

    return ngx_http_async_pg_respond(req, "async_pg_respond_row", status,
                                     result, row);
}


async_rc_t
async_pg_respond_all(async_req_t *req, int status,
    async_pg_result_t *const *results, size_t n)
{
    size_t       i;
    ngx_int_t    rc;
    ngx_str_t    text;
    PGresult   **all;
    ngx_pool_t  *memory;

    ngx_http_async_check(req);

    memory = ngx_async_scratch(req->pool->log);
    all = memory ? ngx_palloc(memory, (n + 1) * sizeof(PGresult *)) : NULL;
    rc = all ? NGX_OK : NGX_ERROR;

    for (i = 0; i < n && rc == NGX_OK; i++) {

        all[i] = results[i] ? results[i]->result : NULL;

        if (all[i] == NULL) {
            rc = NGX_DECLINED;
            break;
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_async_pg_list(req->pool, all, n, &text);
    }

    ngx_async_scratch_done(memory);

    if (rc != NGX_OK) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "async_pg_respond_all(): %s %uz",
                                   rc == NGX_DECLINED ? "there is no result"
                                                      : "no memory for", i);
    }

    return ngx_http_async_json_text(req, "async_pg_respond_all", status, &text);
}


static async_rc_t
ngx_http_async_pg_respond(async_req_t *req, const char *call, int status,
    async_pg_result_t *result, size_t row)
{
    ngx_str_t  text;

    if (result == NULL || result->result == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "%s(): there is no result", call);
    }

    if (ngx_http_async_pg_rows(req->pool, result->result, row, &text)
        != NGX_OK)
    {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    return ngx_http_async_json_text(req, call, status, &text);
}
