
/*
 * Copyright (C) the nginx-async authors
 *
 * await_pg_copy(), await_pg_copy_close(): how a COPY begins, and how it ends.
 */

#include <ngx_http_async_pg_copy.h>


static async_rc_t ngx_http_async_pg_copy_open(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, async_pg_copy_t *copy, const char *sql);
static async_rc_t ngx_http_async_pg_copy_check(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, const char *sql);
static async_rc_t ngx_http_async_pg_copy_other(ngx_async_task_t *t,
    async_pg_copy_t *copy, PGresult *result);
static async_rc_t ngx_http_async_pg_copy_rest(ngx_async_task_t *t,
    async_pg_copy_t *copy);
static void ngx_http_async_pg_copy_forget(async_pg_copy_t *copy);
static void ngx_http_async_pg_copy_close(void *handle);


async_rc_t
await_pg_copy_at(async_t *co, const char *site, const char *name,
    async_pg_copy_t **copy, const char *sql)
{
    async_rc_t                 rc;
    async_pg_copy_t           *c;
    ngx_http_async_pg_pool_t  *pool;

    *copy = NULL;

    rc = ngx_http_async_pg_enter(co, "await_pg_copy", site, name, &pool);

    if (rc != ASYNC_OK) {
        return rc;
    }

    c = ngx_async_handle(co, sizeof(async_pg_copy_t),
                         ngx_http_async_pg_copy_close);
    if (c == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    c->hold.what = "COPY";
    c->rows = -1;

    rc = ngx_http_async_pg_copy_open(co, pool, c, sql);

    if (rc != ASYNC_OK) {
        ngx_http_async_pg_copy_close(c);
        return rc;
    }

    *copy = c;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_pg_copy_open(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, async_pg_copy_t *copy, const char *sql)
{
    PGresult                  *result;
    async_rc_t                 rc;
    ngx_http_async_pg_conn_t  *conn;

    rc = ngx_http_async_pg_hold(t, pool, &copy->hold);

    if (rc != ASYNC_OK) {
        return rc;
    }

    conn = copy->hold.conn;
    rc = ngx_http_async_pg_copy_check(t, conn, sql);

    if (rc != ASYNC_OK) {
        return rc;
    }

    /*
     * The extended protocol sends a Sync on both ends of the data.  The server
     * drops the first while it copies; but it answers both if it has failed
     * before it has seen them, and libpq expects one answer.
     */

    ngx_http_async_pg_count(conn->pool, STATEMENTS);

    if (!PQsendQuery(conn->pg, sql)) {
        return ngx_http_async_pg_lost(t, conn);
    }

    /* in case that it is a SELECT of much */
    (void) PQsetSingleRowMode(conn->pg);

    rc = ngx_http_async_pg_flush(t, conn);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_get(t, conn, &result);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    switch (PQresultStatus(result)) {

    case PGRES_COPY_OUT:
        copy->state = NGX_HTTP_ASYNC_PG_COPY_TO;
        break;

    case PGRES_COPY_IN:
        copy->state = NGX_HTTP_ASYNC_PG_COPY_FROM;
        break;

    default:
        return ngx_http_async_pg_copy_other(t, copy, result);
    }

    PQclear(result);

    return ASYNC_OK;
}


/* As with values it is one statement, whatever the text holds: it is parsed. */

static async_rc_t
ngx_http_async_pg_copy_check(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, const char *sql)
{
    async_rc_t                  rc;
    ngx_http_async_pg_query_t   query;

    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));

    rc = PQsendPrepare(conn->pg, "", sql, 0, NULL)
         ? ngx_http_async_pg_flush(t, conn)
         : ngx_http_async_pg_lost(t, conn);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_command(t, conn, &query.result);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_concluded(t, conn, &query);
    }

    PQclear(query.result);

    return rc;
}


/* It has been refused, or is something else. */

static async_rc_t
ngx_http_async_pg_copy_other(ngx_async_task_t *t, async_pg_copy_t *copy,
    PGresult *result)
{
    async_rc_t                  rc;
    ngx_uint_t                  rows;
    ngx_http_async_pg_conn_t   *conn;
    ngx_http_async_pg_query_t   query;

    conn = copy->hold.conn;

    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));
    query.result = result;

    rc = ASYNC_OK;
    rows = (PQresultStatus(result) == PGRES_SINGLE_TUPLE);

    /* of rows outside of a transaction the others are not waited for */

    if (!rows || copy->hold.tx) {
        rc = ngx_http_async_pg_command(t, conn, &query.result);
    }

    if (rc == ASYNC_OK && !rows) {
        rc = ngx_http_async_pg_concluded(t, conn, &query);
    }

    PQclear(query.result);

    return (rc == ASYNC_OK)
           ? ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": "
                                 "await_pg_copy() of what is no COPY ... TO "
                                 "STDOUT or FROM STDIN", &conn->pool->name)
           : rc;
}


async_rc_t
ngx_http_async_pg_copy_enter(ngx_async_task_t *t, const char *await,
    const char *site, async_pg_copy_t *copy, ngx_http_async_pg_copy_e state)
{
    async_rc_t  rc;

    rc = ngx_http_async_pg_hold_enter(t, await, site, &copy->hold);

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_http_async_pg_copy_forget(copy);

    if (copy->state == state
        && (copy->hold.conn || state == NGX_HTTP_ASYNC_PG_COPY_END
            || state == NGX_HTTP_ASYNC_PG_COPY_CLOSED))
    {
        return ASYNC_OK;
    }

    switch (copy->hold.conn ? copy->state : NGX_HTTP_ASYNC_PG_COPY_CLOSED) {

    case NGX_HTTP_ASYNC_PG_COPY_TO:
        return ngx_async_set_error(t, ASYNC_ERROR, "%s() of a COPY TO", await);

    case NGX_HTTP_ASYNC_PG_COPY_FROM:
        return ngx_async_set_error(t, ASYNC_ERROR, "%s() of a COPY FROM",
                                   await);

    default:
        return ngx_async_set_error(t, ASYNC_ERROR, "%s() of a COPY that %s",
                                   await,
                                   copy->state == NGX_HTTP_ASYNC_PG_COPY_FAILED
                                   ? "has failed" : "is closed");
    }
}


async_rc_t
await_pg_copy_close_at(async_t *co, const char *site, async_pg_copy_t *copy,
    int64_t *rows)
{
    async_rc_t  rc;

    if (rows) {
        *rows = -1;
    }

    /* of one in any state but that of a failure */

    rc = ngx_http_async_pg_copy_enter(co, "await_pg_copy_close", site, copy,
                                      copy->state);
    if (rc != ASYNC_OK) {
        return rc;
    }

    copy->hold.inside = 1;

    if (copy->state == NGX_HTTP_ASYNC_PG_COPY_FROM) {
        rc = ngx_http_async_pg_copy_end(co, copy, NULL);

    } else if (copy->hold.tx) {
        rc = ngx_http_async_pg_copy_rest(co, copy);
    }

    copy->hold.inside = 0;

    if (rc == ASYNC_OK && rows) {
        *rows = copy->rows;
    }

    if (rc != ASYNC_OK) {
        copy->state = NGX_HTTP_ASYNC_PG_COPY_FAILED;
    }

    ngx_http_async_pg_copy_close(copy);

    return rc;
}


async_rc_t
ngx_http_async_pg_copy_finish(ngx_async_task_t *t, async_pg_copy_t *copy)
{
    async_rc_t                  rc;
    ngx_http_async_pg_conn_t   *conn;
    ngx_http_async_pg_query_t   query;

    conn = copy->hold.conn;

    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));

    rc = ngx_http_async_pg_command(t, conn, &query.result);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_concluded(t, conn, &query);
    }

    if (rc == ASYNC_OK) {
        copy->rows = strtoll(PQcmdTuples(query.result), NULL, 10);
    }

    PQclear(query.result);

    ngx_http_async_pg_copy_done(copy, rc == ASYNC_OK
                                      ? NGX_HTTP_ASYNC_PG_COPY_END
                                      : NGX_HTTP_ASYNC_PG_COPY_FAILED);

    return rc;
}


/* A cancel would make the transaction fail. */

static async_rc_t
ngx_http_async_pg_copy_rest(ngx_async_task_t *t, async_pg_copy_t *copy)
{
    async_rc_t   rc;
    async_str_t  data;

    for ( ;; ) {
        ngx_http_async_pg_copy_forget(copy);
        data.data = NULL;

        rc = ngx_http_async_pg_copy_get(t, copy, &data);

        if (rc != ASYNC_OK || data.data == NULL) {
            break;
        }
    }

    /* as it is where it is cancelled */
    copy->rows = -1;

    return rc;
}


/* The line that was lent. */

static void
ngx_http_async_pg_copy_forget(async_pg_copy_t *copy)
{
    PQfreemem(copy->lent);
    copy->lent = NULL;
}


void
ngx_http_async_pg_copy_done(async_pg_copy_t *copy,
    ngx_http_async_pg_copy_e state)
{
    copy->state = state;

    ngx_http_async_pg_hold_end(&copy->hold);
}


static void
ngx_http_async_pg_copy_close(void *handle)
{
    async_pg_copy_t  *copy = handle;

    ngx_http_async_pg_copy_done(copy,
                                copy->state == NGX_HTTP_ASYNC_PG_COPY_FAILED
                                ? NGX_HTTP_ASYNC_PG_COPY_FAILED
                                : NGX_HTTP_ASYNC_PG_COPY_CLOSED);

    ngx_http_async_pg_copy_forget(copy);

    PQfreemem(copy->line);
    copy->line = NULL;

    ngx_free(copy->buf);
    copy->buf = NULL;
}
