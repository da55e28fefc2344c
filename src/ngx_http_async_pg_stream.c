
/*
 * Copyright (C) the nginx-async authors
 *
 * await_pg_stream(): rows one at a time, by libpq's single-row mode.  Nothing
 * is read while a row is there, so the server waits for who reads slowly.
 */

#include <ngx_http_async_pg_hold.h>


typedef enum {
    NGX_HTTP_ASYNC_PG_STREAM_OPEN = 0,
    NGX_HTTP_ASYNC_PG_STREAM_END,
    NGX_HTTP_ASYNC_PG_STREAM_FAILED,
    NGX_HTTP_ASYNC_PG_STREAM_CLOSED
} ngx_http_async_pg_stream_e;


struct async_pg_stream_s {
    ngx_http_async_pg_hold_t     hold;
    ngx_http_async_pg_stream_e   state;
    ngx_pool_t                  *pool;        /* of the row: reset by each */
    async_pg_result_t           *row;
    PGresult                    *first;       /* until it is asked for */
};


static async_rc_t ngx_http_async_pg_stream_make(ngx_async_task_t *t,
    async_pg_stream_t **stream);
static async_rc_t ngx_http_async_pg_stream_open(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, async_pg_stream_t *s,
    ngx_http_async_pg_query_t *query);
static async_rc_t ngx_http_async_pg_stream_once(ngx_async_task_t *t,
    async_pg_stream_t *s, ngx_http_async_pg_query_t *query);
static async_rc_t ngx_http_async_pg_stream_row(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query,
    PGresult **row);
static async_rc_t ngx_http_async_pg_stream_next(ngx_async_task_t *t,
    async_pg_stream_t *s, PGresult **row);
static async_rc_t ngx_http_async_pg_stream_rest(ngx_async_task_t *t,
    async_pg_stream_t *s);
static void ngx_http_async_pg_stream_forget(async_pg_stream_t *s);
static void ngx_http_async_pg_stream_close(void *handle);


async_rc_t
await_pg_stream_at(async_t *co, const char *site, const char *name,
    async_pg_stream_t **stream, const char *sql, const async_value_t *values,
    size_t n)
{
    async_rc_t                  rc;
    ngx_pool_t                 *memory;
    async_pg_stream_t          *s;
    ngx_http_async_pg_pool_t   *pool;
    ngx_http_async_pg_query_t   query;

    *stream = NULL;
    memory = NULL;
    s = NULL;

    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));

    rc = ngx_http_async_pg_enter(co, "await_pg_stream", site, name, &pool);

    if (rc == ASYNC_OK) {
        memory = ngx_create_pool(1024, co->log);

        rc = memory ? ngx_http_async_pg_checked(co, pool, sql, values, n,
                                                &query, memory)
                    : ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    ngx_http_async_pg_free_values(values, n);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_stream_make(co, &s);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_stream_open(co, pool, s, &query);

        if (rc == ASYNC_OK) {
            *stream = s;

        } else {
            ngx_http_async_pg_stream_close(s);
        }
    }

    if (query.sql) {
        ngx_http_async_pg_sql_done(query.sql);
    }

    if (memory) {
        ngx_destroy_pool(memory);
    }

    PQclear(query.result);

    return rc;
}


static async_rc_t
ngx_http_async_pg_stream_make(ngx_async_task_t *t, async_pg_stream_t **stream)
{
    async_pg_stream_t  *s;

    s = ngx_async_handle(t, sizeof(async_pg_stream_t),
                         ngx_http_async_pg_stream_close);

    if (s) {
        s->hold.what = "stream";
        s->row = ngx_http_async_pg_result(t, NULL);
        s->pool = s->row ? ngx_create_pool(1024, ngx_cycle->log) : NULL;
    }

    if (s == NULL || s->pool == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    *stream = s;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_pg_stream_open(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, async_pg_stream_t *s,
    ngx_http_async_pg_query_t *query)
{
    async_rc_t                 rc;
    ngx_msec_t                 since;
    ngx_http_async_pg_conn_t  *conn;

    rc = ngx_http_async_pg_hold(t, pool, &s->hold);

    if (rc != ASYNC_OK) {
        return rc;
    }

    since = ngx_current_msec;
    ngx_http_async_pg_count(pool, STATEMENTS);

    conn = s->hold.conn;
    rc = ngx_http_async_pg_stream_once(t, s, query);

    if (rc == ASYNC_OK && query->result
        && ngx_http_async_pg_stale(conn, query))
    {
        PQclear(query->result);
        query->result = NULL;

        rc = ngx_http_async_pg_stream_once(t, s, query);
    }

    /* to its first row */
    ngx_http_async_pg_stats_time(pool, NGX_HTTP_ASYNC_PG_STATS_TIME, since);

    if (rc != ASYNC_OK || s->first) {
        return rc;
    }

    /* no row, or a failure */

    rc = ngx_http_async_pg_concluded(t, conn, query);

    s->state = NGX_HTTP_ASYNC_PG_STREAM_END;
    ngx_http_async_pg_hold_end(&s->hold);

    return rc;
}


static async_rc_t
ngx_http_async_pg_stream_once(ngx_async_task_t *t, async_pg_stream_t *s,
    ngx_http_async_pg_query_t *query)
{
    async_rc_t                 rc;
    ngx_http_async_pg_conn_t  *conn;

    conn = s->hold.conn;

    rc = ngx_http_async_pg_open_one(t, conn, query);

    if (rc != ASYNC_OK || query->result) {
        return rc;
    }

    (void) PQsetSingleRowMode(conn->pg);

    rc = ngx_http_async_pg_flush(t, conn);

    return (rc == ASYNC_OK)
           ? ngx_http_async_pg_stream_row(t, conn, query, &s->first) : rc;
}


/* NULL: there is none, all has been read, and query->result tells the rest. */

static async_rc_t
ngx_http_async_pg_stream_row(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query,
    PGresult **row)
{
    PGresult    *result;
    async_rc_t   rc;

    *row = NULL;

    rc = ngx_http_async_pg_get(t, conn, &result);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (result == NULL) {
        return ngx_http_async_pg_lost(t, conn);
    }

    if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
        *row = result;
        return ASYNC_OK;
    }

    if (ngx_http_async_pg_is_copy(t, conn, result)) {
        PQclear(result);
        return ASYNC_ERROR;
    }

    query->result = result;

    return ngx_http_async_pg_command(t, conn, &query->result);
}


async_rc_t
await_pg_next_at(async_t *co, const char *site, async_pg_stream_t *s,
    async_pg_result_t **row)
{
    async_rc_t   rc;
    PGresult    *result;

    *row = NULL;

    rc = ngx_http_async_pg_hold_enter(co, "await_pg_next", site, &s->hold);

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_http_async_pg_stream_forget(s);

    s->hold.inside = 1;
    rc = ngx_http_async_pg_stream_next(co, s, &result);
    s->hold.inside = 0;

    if (rc != ASYNC_OK || result == NULL) {
        return rc;
    }

    s->row->result = result;
    s->row->pool = s->pool;

    *row = s->row;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_pg_stream_next(ngx_async_task_t *t, async_pg_stream_t *s,
    PGresult **row)
{
    async_rc_t                  rc;
    ngx_http_async_pg_conn_t   *conn;
    ngx_http_async_pg_query_t   query;

    *row = s->first;
    s->first = NULL;

    if (*row || s->state == NGX_HTTP_ASYNC_PG_STREAM_END) {
        return ASYNC_OK;
    }

    conn = s->hold.conn;

    if (conn == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "await_pg_next() of a "
                                   "stream that %s",
                                   s->state == NGX_HTTP_ASYNC_PG_STREAM_FAILED
                                   ? "has failed" : "is closed");
    }

    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));

    rc = ngx_http_async_pg_stream_row(t, conn, &query, row);

    if (rc == ASYNC_OK && *row) {
        return ASYNC_OK;
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_concluded(t, conn, &query);
        s->state = NGX_HTTP_ASYNC_PG_STREAM_END;

    } else if (query.result == NULL && !conn->doomed) {
        /* a deadline: it can be asked again */
        return rc;
    }

    PQclear(query.result);

    if (rc != ASYNC_OK) {
        s->state = NGX_HTTP_ASYNC_PG_STREAM_FAILED;
    }

    ngx_http_async_pg_hold_end(&s->hold);

    return rc;
}


async_rc_t
await_pg_stream_close_at(async_t *co, const char *site, async_pg_stream_t *s)
{
    async_rc_t  rc;

    rc = ngx_http_async_pg_hold_enter(co, "await_pg_stream_close", site,
                                      &s->hold);
    if (rc != ASYNC_OK) {
        return rc;
    }

    if (s->hold.tx) {
        s->hold.inside = 1;
        rc = ngx_http_async_pg_stream_rest(co, s);
        s->hold.inside = 0;
    }

    ngx_http_async_pg_stream_close(s);

    return rc;
}


/* A cancel would make the transaction fail. */

static async_rc_t
ngx_http_async_pg_stream_rest(ngx_async_task_t *t, async_pg_stream_t *s)
{
    PGresult    *row;
    async_rc_t   rc;

    do {
        rc = ngx_http_async_pg_stream_next(t, s, &row);
        PQclear(row);

    } while (rc == ASYNC_OK && row);

    return rc;
}


/* The row that was lent, and what was made of it. */

static void
ngx_http_async_pg_stream_forget(async_pg_stream_t *s)
{
    if (s->row->result) {
        ngx_http_async_pg_result_close(s->row);
        ngx_reset_pool(s->pool);
    }
}


static void
ngx_http_async_pg_stream_close(void *handle)
{
    async_pg_stream_t  *s = handle;

    if (s->state == NGX_HTTP_ASYNC_PG_STREAM_OPEN) {
        s->state = NGX_HTTP_ASYNC_PG_STREAM_CLOSED;
    }

    ngx_http_async_pg_hold_end(&s->hold);

    PQclear(s->first);
    s->first = NULL;

    if (s->pool) {
        ngx_http_async_pg_result_close(s->row);
        s->row->pool = NULL;

        ngx_destroy_pool(s->pool);
        s->pool = NULL;
    }
}
