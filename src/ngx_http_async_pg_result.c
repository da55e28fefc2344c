
/*
 * Copyright (C) the nginx-async authors
 *
 * Results of PostgreSQL: the calls by which a handler reads them.
 */

#include <ngx_http_async_pg.h>
#include <ngx_http_async_pg_write.h>


typedef struct {
    ngx_http_async_pg_cell_t    cell;
    async_pg_result_t          *result;
    json_t                     *value;
    ngx_int_t                   rc;
} ngx_http_async_pg_load_t;


static async_rc_t ngx_http_async_pg_cell_rc(async_t *co,
    ngx_http_async_pg_cell_t *cell, ngx_int_t rc);
static void ngx_http_async_pg_load(void *data);


#define ngx_http_async_pg_cell_init(cell, result_, row_, column_)            \
    (cell)->call = __func__;                                                 \
    (cell)->result = (result_) ? (result_)->result : NULL;                   \
    (cell)->row = row_;                                                      \
    (cell)->column = column_


async_pg_result_t *
ngx_http_async_pg_result(ngx_async_task_t *t, PGresult *result)
{
    async_pg_result_t  *handle;

    handle = ngx_async_handle_memory(t, sizeof(async_pg_result_t),
                                     ngx_http_async_pg_result_close);
    if (handle == NULL) {
        PQclear(result);
        return NULL;
    }

    handle->pool = ngx_async_task_pool(t);
    handle->result = result;
    handle->lent.pool = handle->pool;

    return handle;
}


void
ngx_http_async_pg_result_close(void *handle)
{
    async_pg_result_t  *result = handle;

    ngx_http_async_pg_lent_end(&result->lent, result->result);

    PQclear(result->result);
    result->result = NULL;
}


/* bytes that were lent stay, as the task's memory does */

void
async_pg_free(async_t *co, async_pg_result_t *result)
{
    ngx_async_check_task(co);

    if (result) {
        ngx_http_async_pg_result_close(result);
    }
}


size_t
async_pg_rows(async_pg_result_t *result)
{
    return result ? PQntuples(result->result) : 0;
}


size_t
async_pg_columns(async_pg_result_t *result)
{
    return result ? PQnfields(result->result) : 0;
}


const char *
async_pg_column(async_pg_result_t *result, size_t i)
{
    return (i < async_pg_columns(result))
           ? PQfname(result->result, (int) i) : NULL;
}


int64_t
async_pg_affected(async_pg_result_t *result)
{
    return (result && result->result)
           ? strtoll(PQcmdTuples(result->result), NULL, 10) : 0;
}


async_str_t
async_pg_text(async_pg_result_t *result, size_t row, const char *column)
{
    async_str_t                text = { NULL, 0 };
    ngx_http_async_pg_cell_t   cell;

    ngx_http_async_pg_cell_init(&cell, result, row, column);

    if (ngx_http_async_pg_cell(&cell, 0, NULL) == NGX_OK) {
        text.data = (char *) cell.text.data;
        text.len = cell.text.len;
    }

    return text;
}


int
async_pg_is_null(async_pg_result_t *result, size_t row, const char *column)
{
    return async_pg_text(result, row, column).data == NULL;
}


async_rc_t
async_pg_int(async_t *co, async_pg_result_t *result, size_t row,
    const char *column, int64_t *value)
{
    ngx_http_async_pg_cell_t  cell;

    ngx_async_check_task(co);
    ngx_http_async_pg_cell_init(&cell, result, row, column);

    return ngx_http_async_pg_cell_rc(co, &cell,
                                     ngx_http_async_pg_cell_int(&cell, value));
}


async_rc_t
async_pg_float(async_t *co, async_pg_result_t *result, size_t row,
    const char *column, double *value)
{
    ngx_http_async_pg_cell_t  cell;

    ngx_async_check_task(co);
    ngx_http_async_pg_cell_init(&cell, result, row, column);

    return ngx_http_async_pg_cell_rc(co, &cell,
                                   ngx_http_async_pg_cell_float(&cell, value));
}


async_rc_t
async_pg_bool(async_t *co, async_pg_result_t *result, size_t row,
    const char *column, int *value)
{
    ngx_http_async_pg_cell_t  cell;

    ngx_async_check_task(co);
    ngx_http_async_pg_cell_init(&cell, result, row, column);

    return ngx_http_async_pg_cell_rc(co, &cell,
                                    ngx_http_async_pg_cell_bool(&cell, value));
}


async_rc_t
async_pg_time(async_t *co, async_pg_result_t *result, size_t row,
    const char *column, int64_t *value)
{
    ngx_http_async_pg_cell_t  cell;

    ngx_async_check_task(co);
    ngx_http_async_pg_cell_init(&cell, result, row, column);

    return ngx_http_async_pg_cell_rc(co, &cell,
                                    ngx_http_async_pg_cell_time(&cell, value));
}


async_rc_t
async_pg_bytes(async_t *co, async_pg_result_t *result, size_t row,
    const char *column, async_str_t *value)
{
    ngx_int_t                 rc;
    ngx_str_t                 bytes;
    ngx_http_async_pg_cell_t  cell;

    ngx_async_check_task(co);
    ngx_http_async_pg_cell_init(&cell, result, row, column);

    rc = ngx_http_async_pg_cell_bytes(&cell, result ? result->pool : NULL,
                                      &bytes);

    value->data = (rc == NGX_OK) ? (char *) bytes.data : NULL;
    value->len = (rc == NGX_OK) ? bytes.len : 0;

    return ngx_http_async_pg_cell_rc(co, &cell, rc);
}


async_rc_t
async_pg_value_json(async_t *co, async_pg_result_t *result, size_t row,
    const char *column, json_t **value)
{
    ngx_http_async_pg_load_t  load;

    ngx_async_check_task(co);
    ngx_http_async_pg_cell_init(&load.cell, result, row, column);

    load.result = result;
    load.value = NULL;

    ngx_async_on_loop(ngx_http_async_pg_load, &load);

    *value = load.value;

    return ngx_http_async_pg_cell_rc(co, &load.cell, load.rc);
}


/* jansson recurs when it frees; a value is parsed once */

static void
ngx_http_async_pg_load(void *data)
{
    ngx_http_async_pg_load_t  *load = data;

    json_t  **lent;

    load->rc = ngx_http_async_pg_cell(&load->cell, NGX_HTTP_ASYNC_PG_JSONS,
                                      "json or jsonb");
    if (load->rc != NGX_OK) {
        return;
    }

    lent = ngx_http_async_pg_lent(&load->result->lent, load->cell.result,
                                  load->cell.row, load->cell.index);
    if (lent == NULL) {
        ngx_sprintf(load->cell.error, "no memory%Z");
        load->rc = NGX_ERROR;
        return;
    }

    if (*lent == NULL) {
        load->rc = ngx_http_async_pg_cell_json(&load->cell, lent);
    }

    load->value = *lent;
}


static async_rc_t
ngx_http_async_pg_cell_rc(async_t *co, ngx_http_async_pg_cell_t *cell,
    ngx_int_t rc)
{
    return (rc == NGX_OK)
           ? ASYNC_OK
           : ngx_async_set_error(co, ASYNC_ERROR, "%s", cell->error);
}
