
/*
 * Copyright (C) the nginx-async authors
 *
 * await_pg(): a statement, prepared once a connection, and its result.
 *
 * A new statement is prepared and executed in one round trip, by libpq's
 * pipeline mode.  One that the server has forgotten, or that does not fit its
 * tables any more, is prepared again, unless a transaction is open.
 */

#include <ngx_http_async_pg_share.h>
#include <ngx_http_async_pg_task.h>
#include <ngx_async_scratch.h>
#include <ngx_async_meter.h>


typedef struct {
    const async_value_t         *values;
    size_t                       n;
} ngx_http_async_pg_stolen_t;


static void ngx_http_async_pg_free_on_loop(void *data);
static async_rc_t ngx_http_async_pg_run(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_query_t *query);


async_rc_t
await_pg_at(async_t *co, const char *site, const char *name,
    async_pg_result_t **result, const char *sql, const async_value_t *values,
    size_t n)
{
    async_rc_t                  rc;
    ngx_pool_t                 *memory;
    ngx_http_async_pg_pool_t   *pool;
    ngx_http_async_pg_query_t   query;

    if (result) {
        *result = NULL;
    }

    rc = ngx_async_enter(co, "await_pg", site);

    if (rc != ASYNC_OK) {
        ngx_http_async_pg_free_values(values, n);
        return rc;
    }

    ngx_http_async_pg_task_begin(co);
    ngx_async_meter_queries(co, 1);
    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));

    pool = ngx_http_async_pg_pool(name);
    memory = ngx_async_scratch(co->log);

    if (pool == NULL) {
        rc = ngx_async_set_error(co, ASYNC_ERROR, "there is no \"async_pg "
                                 "%s\"", name);

    } else if (memory == NULL) {
        rc = ngx_async_set_error(co, ASYNC_ERROR, "no memory");

    } else {
        rc = ngx_http_async_pg_checked(co, pool, sql, values, n, &query,
                                       memory);
    }

    ngx_http_async_pg_free_values(values, n);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_run(co, pool, &query);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_outcome(co, pool, &query);
    }

    if (query.sql) {
        ngx_http_async_pg_sql_done(query.sql);
    }

    ngx_async_scratch_done(memory);

    if (rc != ASYNC_OK || result == NULL) {
        PQclear(query.result);
        return rc;
    }

    *result = ngx_http_async_pg_result(co, query.result);

    return *result ? ASYNC_OK
                   : ngx_async_set_error(co, ASYNC_ERROR, "no memory");
}


/* jansson recurs, as deep as the value is */

void
ngx_http_async_pg_free_values(const async_value_t *values, size_t n)
{
    ngx_http_async_pg_stolen_t  stolen;

    stolen.values = values;
    stolen.n = n;

    if (n) {
        ngx_async_on_loop(ngx_http_async_pg_free_on_loop, &stolen);
    }
}


static void
ngx_http_async_pg_free_on_loop(void *data)
{
    ngx_http_async_pg_stolen_t  *stolen = data;

    ngx_http_async_pg_forget(stolen->values, stolen->n);
}


/* What can be known before a connection is needed. */

async_rc_t
ngx_http_async_pg_checked(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    const char *text, const async_value_t *values, size_t n,
    ngx_http_async_pg_query_t *query, ngx_pool_t *memory)
{
    u_char       error[NGX_ASYNC_ERROR_LEN];
    ngx_int_t    rc;
    const char  *why;

    query->sql = ngx_http_async_pg_sql(text, n && values[0].name, error,
                                       sizeof(error));
    if (query->sql == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": %s",
                                   &pool->name, error);
    }

    why = "no memory";

    rc = ngx_http_async_pg_params(memory, &query->sql->statement, values, n,
                                  &query->params, &why);

    if (rc != NGX_OK) {
        return ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": %s",
                                   &pool->name, why);
    }

    if (query->params.types) {
        query->size = query->params.n * sizeof(Oid);
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_pg_run(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_query_t *query)
{
    async_rc_t                 rc;
    ngx_msec_t                 since;
    ngx_http_async_pg_tx_t    *tx;
    ngx_http_async_pg_conn_t  *conn;

    if (pool->share && query->sql->lone && !ngx_http_async_pg_tx(t, pool)) {
        return ngx_http_async_pg_share(t, pool, query);
    }

    rc = ngx_http_async_pg_take(t, pool, &conn, &tx);

    if (rc != ASYNC_OK) {
        return rc;
    }

    since = ngx_current_msec;
    ngx_http_async_pg_count(pool, STATEMENTS);

    rc = ngx_http_async_pg_execute_one(t, conn, query);

    if (rc == ASYNC_OK && ngx_http_async_pg_stale(conn, query)) {
        rc = ngx_http_async_pg_execute_one(t, conn, query);
    }

    ngx_http_async_pg_stats_time(pool, NGX_HTTP_ASYNC_PG_STATS_TIME, since);

    query->lost = (PQstatus(conn->pg) != CONNECTION_OK);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_is_utf8(t, conn);
    }

    ngx_http_async_pg_give(conn, tx);

    return rc;
}


async_rc_t
ngx_http_async_pg_is_utf8(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    const char  *encoding;

    encoding = pg_encoding_to_char(PQclientEncoding(conn->pg));

    if (PQstatus(conn->pg) != CONNECTION_OK
        || ngx_strcmp(encoding, "UTF8") == 0)
    {
        return ASYNC_OK;
    }

    conn->doomed = 1;

    return ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": "
                               "client_encoding has to be UTF8",
                               &conn->pool->name);
}


async_rc_t
ngx_http_async_pg_take(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_conn_t **conn, ngx_http_async_pg_tx_t **tx)
{
    *tx = ngx_http_async_pg_tx(t, pool);

    if (*tx == NULL) {
        return ngx_http_async_pg_acquire(t, pool, 0, conn);
    }

    *conn = (*tx)->conn;

    return *conn ? ASYNC_OK : ngx_http_async_pg_tx_lost(t, *tx);
}


void
ngx_http_async_pg_give(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_tx_t *tx)
{
    if (tx == NULL) {
        ngx_http_async_pg_release(conn);

    } else if (conn->doomed || PQtransactionStatus(conn->pg) == PQTRANS_ACTIVE
               || PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF)
    {
        ngx_http_async_pg_tx_lose(tx);
    }
}


async_rc_t
ngx_http_async_pg_execute(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    const char *sql, char *tag, size_t size)
{
    async_rc_t                  rc;
    ngx_msec_t                  since;
    ngx_http_async_pg_query_t   query;

    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));

    since = ngx_current_msec;
    ngx_http_async_pg_count(conn->pool, STATEMENTS);

    rc = PQsendQuery(conn->pg, sql) ? ngx_http_async_pg_flush(t, conn)
                                    : ngx_http_async_pg_lost(t, conn);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_command(t, conn, &query.result);
    }

    ngx_http_async_pg_stats_time(conn->pool, NGX_HTTP_ASYNC_PG_STATS_TIME,
                                 since);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_concluded(t, conn, &query);
    }

    if (rc == ASYNC_OK && tag) {
        (void) ngx_cpystrn((u_char *) tag,
                           (u_char *) PQcmdStatus(query.result), size);
    }

    PQclear(query.result);

    return rc;
}


ngx_uint_t
ngx_http_async_pg_stale(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    return (PQtransactionStatus(conn->pg) == PQTRANS_IDLE)
           ? ngx_http_async_pg_forgotten(conn, query) : 0;
}


ngx_uint_t
ngx_http_async_pg_forgotten(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    const char                    *state;
    ngx_http_async_pg_prepared_t  *prepared;

    if (!query->known || !ngx_http_async_pg_is_error(query->result)) {
        return 0;
    }

    state = PQresultErrorField(query->result, PG_DIAG_SQLSTATE);

    if (state == NULL
        || (ngx_strcmp(state, "26000") != 0 && ngx_strcmp(state, "0A000") != 0))
    {
        return 0;
    }

    /* the same statement may stand in a pipeline twice */

    prepared = ngx_http_async_pg_prepared(conn, query);

    if (prepared == NULL || prepared->number != query->number) {
        return 1;
    }

    if (ngx_strcmp(state, "26000") == 0) {
        ngx_http_async_pg_drop_prepared(conn, prepared);

    } else {
        ngx_http_async_pg_close_prepared(conn, prepared);
    }

    return 1;
}


async_rc_t
ngx_http_async_pg_concluded(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query)
{
    query->lost = (PQstatus(conn->pg) != CONNECTION_OK);

    return ngx_http_async_pg_outcome(t, conn->pool, query);
}


async_rc_t
ngx_http_async_pg_outcome(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_query_t *query)
{
    async_rc_t  rc;
    PGresult   *result;

    result = query->result;

    switch (PQresultStatus(result)) {

    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        return ASYNC_OK;

    case PGRES_EMPTY_QUERY:
        return ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": the "
                                   "statement is empty", &pool->name);

    default:
        break;
    }

    query->result = NULL;

    rc = ngx_http_async_pg_failed(t, pool, result);

    /* then the server has said why it goes */

    return query->lost ? ngx_async_because(t, ASYNC_CAUSE_RESET, ASYNC_CLOSED)
                       : rc;
}
