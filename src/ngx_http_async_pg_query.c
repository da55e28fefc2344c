
/*
 * Copyright (C) the nginx-async authors
 *
 * await_pg(): a statement, prepared once a connection, and its result.
 *
 * A new statement is prepared and executed in one round trip, by libpq's
 * pipeline mode.  One that the server has forgotten, or that does not fit its
 * tables any more, is prepared again, unless a transaction is open.
 */

#include <ngx_http_async_pg_query.h>
#include <ngx_async_near.h>


/* what a connection has prepared; the server knows it as "async_" and number */

typedef struct {
    ngx_rbtree_node_t            node;        /* by the number of the text */
    ngx_queue_t                  queue;       /* the last used is the first */
    ngx_uint_t                   name;
    uint32_t                     types;       /* a hash of them; 0: none */
} ngx_http_async_pg_prepared_t;


typedef struct {
    const async_value_t         *values;
    size_t                       n;
} ngx_http_async_pg_stolen_t;


static void ngx_http_async_pg_free_on_loop(void *data);
static async_rc_t ngx_http_async_pg_run(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_query_t *query);
static async_rc_t ngx_http_async_pg_once(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);
static int ngx_http_async_pg_send_new(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query);
static ngx_http_async_pg_prepared_t *ngx_http_async_pg_find(
    ngx_http_async_pg_conn_t *conn, ngx_uint_t id);
static void ngx_http_async_pg_add(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query);
static void ngx_http_async_pg_remove(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_prepared_t *prepared);


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
    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));

    pool = ngx_http_async_pg_pool(name);
    memory = ngx_create_pool(1024, co->log);

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

    if (query.sql) {
        ngx_http_async_pg_sql_done(query.sql);
    }

    if (memory) {
        ngx_destroy_pool(memory);
    }

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
        query->types = ngx_crc32_short((u_char *) query->params.types,
                                       query->params.n * sizeof(Oid));
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_pg_run(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_query_t *query)
{
    async_rc_t                 rc;
    ngx_http_async_pg_tx_t    *tx;
    ngx_http_async_pg_conn_t  *conn;

    tx = ngx_http_async_pg_tx(t, pool);

    if (tx) {
        if (tx->conn == NULL) {
            return ngx_http_async_pg_tx_lost(t, tx);
        }

        conn = tx->conn;

    } else {
        rc = ngx_http_async_pg_acquire(t, pool, &conn);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    rc = ngx_http_async_pg_once(t, conn, query);

    if (rc == ASYNC_OK && ngx_http_async_pg_stale(conn, query)) {
        rc = ngx_http_async_pg_once(t, conn, query);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_outcome(t, conn, query);
    }

    if (tx == NULL) {
        ngx_http_async_pg_release(conn);

    } else if (conn->doomed || PQtransactionStatus(conn->pg) == PQTRANS_ACTIVE
               || PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF)
    {
        ngx_http_async_pg_tx_lose(tx);
    }

    return rc;
}


async_rc_t
ngx_http_async_pg_execute(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    const char *sql, char *tag, size_t size)
{
    async_rc_t                  rc;
    ngx_http_async_pg_query_t   query;

    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));

    rc = PQsendQuery(conn->pg, sql) ? ngx_http_async_pg_flush(t, conn)
                                    : ngx_http_async_pg_lost(t, conn);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_results(t, conn, &query);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_outcome(t, conn, &query);
    }

    if (rc == ASYNC_OK && tag) {
        (void) ngx_cpystrn((u_char *) tag,
                           (u_char *) PQcmdStatus(query.result), size);
    }

    PQclear(query.result);

    return rc;
}


static async_rc_t
ngx_http_async_pg_once(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    async_rc_t  rc;

    PQclear(query->result);
    query->result = NULL;

    if (!ngx_http_async_pg_send(conn, query)) {
        return ngx_http_async_pg_lost(t, conn);
    }

    rc = ngx_http_async_pg_flush(t, conn);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_results(t, conn, query);
    }

    return rc;
}


int
ngx_http_async_pg_send(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    char                           name[sizeof("async_") + NGX_INT_T_LEN];
    ngx_http_async_pg_params_t    *p;
    ngx_http_async_pg_prepared_t  *prepared;

    p = &query->params;

    query->known = 0;
    query->pipeline = 0;
    query->before = 0;

    if (conn->pool->statements == 0) {
        return PQsendQueryParams(conn->pg, p->sql, p->n, p->types, p->values,
                                 p->lengths, p->formats, 0);
    }

    prepared = ngx_http_async_pg_find(conn, query->sql->id);

    if (prepared && prepared->types != query->types) {
        /* bytes where there was text, or the other way round */
        ngx_http_async_pg_remove(conn, prepared);
        prepared = NULL;
    }

    if (prepared == NULL) {
        query->pipeline = 1;
        return ngx_http_async_pg_send_new(conn, query);
    }

    query->known = 1;

    *ngx_sprintf((u_char *) name, "async_%ui", prepared->name) = '\0';

    return PQsendQueryPrepared(conn->pg, name, p->n, p->values, p->lengths,
                               p->formats, 0);
}


/* In one go: what is too much is forgotten, the new one prepared and run. */

static int
ngx_http_async_pg_send_new(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    char                           name[sizeof("async_") + NGX_INT_T_LEN];
    char                           sql[sizeof("DEALLOCATE ") + sizeof(name)];
    ngx_http_async_pg_params_t    *p;
    ngx_http_async_pg_prepared_t  *last;

    p = &query->params;
    query->before = 1;

    if (!PQenterPipelineMode(conn->pg)) {
        return 0;
    }

    if (conn->nstatements >= conn->pool->statements) {

        last = ngx_queue_data(ngx_queue_last(&conn->used_last),
                              ngx_http_async_pg_prepared_t, queue);

        *ngx_sprintf((u_char *) sql, "DEALLOCATE async_%ui", last->name)
            = '\0';

        ngx_http_async_pg_remove(conn, last);
        query->before = 2;

        if (!PQsendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0)) {
            return 0;
        }
    }

    query->name = ++conn->named;

    *ngx_sprintf((u_char *) name, "async_%ui", query->name) = '\0';

    return PQsendPrepare(conn->pg, name, p->sql, p->n, p->types)
           && PQsendQueryPrepared(conn->pg, name, p->n, p->values, p->lengths,
                                  p->formats, 0)
           && PQpipelineSync(conn->pg);
}


async_rc_t
ngx_http_async_pg_results(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    PGresult        *result;
    async_rc_t       rc;
    ngx_uint_t       failed;
    ExecStatusType   status;

    failed = (query->result != NULL);

    for ( ;; ) {
        rc = ngx_http_async_pg_get(t, conn, &result);

        if (rc == ASYNC_CLOSED && failed) {
            /* it has said why before */
            break;
        }

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (result == NULL) {

            if (query->pipeline && PQstatus(conn->pg) == CONNECTION_OK) {
                ngx_http_async_pg_follow(query);
                continue;
            }

            break;
        }

        ngx_http_async_pg_met(conn, query, result);

        status = PQresultStatus(result);

        if (status == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            break;
        }

        if (failed || status == PGRES_PIPELINE_ABORTED) {
            PQclear(result);
            continue;
        }

        if (ngx_http_async_pg_is_copy(t, conn, result)) {
            PQclear(result);
            return ASYNC_ERROR;
        }

        failed = (status == PGRES_FATAL_ERROR);

        PQclear(query->result);
        query->result = result;
    }

    if (query->pipeline && PQstatus(conn->pg) == CONNECTION_OK
        && !PQexitPipelineMode(conn->pg))
    {
        return ngx_http_async_pg_lost(t, conn);
    }

    return query->result ? ASYNC_OK : ngx_http_async_pg_lost(t, conn);
}


ngx_uint_t
ngx_http_async_pg_is_copy(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    PGresult *result)
{
    switch (PQresultStatus(result)) {

    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:

        /* libpq takes no COPY in a pipeline */
        conn->doomed = 1;

        (void) ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": COPY is "
                                   "for await_pg_copy() alone",
                                   &conn->pool->name);
        return 1;

    default:
        return 0;
    }
}


/* It is prepared, whatever becomes of it when it is executed. */

void
ngx_http_async_pg_met(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query, PGresult *result)
{
    if (query->before == 1 && PQresultStatus(result) == PGRES_COMMAND_OK) {
        ngx_http_async_pg_add(conn, query);
    }
}


void
ngx_http_async_pg_follow(ngx_http_async_pg_query_t *query)
{
    if (query->before) {
        query->before--;
    }
}


/*
 * What was prepared is gone (DISCARD, another server behind a name), or its
 * result has another type now.  In a transaction that has failed by this there
 * is nothing to be done.
 */

ngx_uint_t
ngx_http_async_pg_stale(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    const char                    *state;
    ngx_http_async_pg_prepared_t  *prepared;

    if (!query->known || PQresultStatus(query->result) != PGRES_FATAL_ERROR
        || PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
    {
        return 0;
    }

    state = PQresultErrorField(query->result, PG_DIAG_SQLSTATE);

    if (state == NULL
        || (ngx_strcmp(state, "26000") != 0 && ngx_strcmp(state, "0A000") != 0))
    {
        return 0;
    }

    prepared = ngx_http_async_pg_find(conn, query->sql->id);

    if (prepared) {
        ngx_http_async_pg_remove(conn, prepared);
    }

    return 1;
}


async_rc_t
ngx_http_async_pg_outcome(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
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
                                   "statement is empty", &conn->pool->name);

    default:
        break;
    }

    query->result = NULL;

    rc = ngx_http_async_pg_failed(t, conn->pool, result);

    if (PQstatus(conn->pg) != CONNECTION_OK) {
        /* the server has said why it goes */
        conn->doomed = 1;
        return ngx_async_because(t, ASYNC_CAUSE_RESET, ASYNC_CLOSED);
    }

    return rc;
}


/* What a connection has prepared. */

static ngx_http_async_pg_prepared_t *
ngx_http_async_pg_find(ngx_http_async_pg_conn_t *conn, ngx_uint_t id)
{
    ngx_rbtree_node_t             *node;
    ngx_http_async_pg_prepared_t  *prepared;

    node = conn->statements.root;

    while (node != &conn->sentinel) {

        if (id == node->key) {
            prepared = (ngx_http_async_pg_prepared_t *) node;

            ngx_queue_remove(&prepared->queue);
            ngx_queue_insert_head(&conn->used_last, &prepared->queue);

            return prepared;
        }

        node = (id < node->key) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_http_async_pg_add(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    ngx_http_async_pg_prepared_t  *prepared;

    prepared = ngx_alloc(sizeof(ngx_http_async_pg_prepared_t), ngx_cycle->log);

    if (prepared == NULL) {
        return;
    }

    prepared->node.key = query->sql->id;
    prepared->name = query->name;
    prepared->types = query->types;

    ngx_rbtree_insert(&conn->statements, &prepared->node);
    ngx_queue_insert_head(&conn->used_last, &prepared->queue);
    conn->nstatements++;
}


static void
ngx_http_async_pg_remove(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_prepared_t *prepared)
{
    ngx_rbtree_delete(&conn->statements, &prepared->node);
    ngx_queue_remove(&prepared->queue);
    conn->nstatements--;

    ngx_free(prepared);
}


void
ngx_http_async_pg_forget_statements(ngx_http_async_pg_conn_t *conn)
{
    if (conn->statements.insert == NULL) {
        ngx_rbtree_init(&conn->statements, &conn->sentinel,
                        ngx_rbtree_insert_value);
        ngx_queue_init(&conn->used_last);
    }

    while (!ngx_queue_empty(&conn->used_last)) {
        ngx_http_async_pg_remove(conn,
                                 ngx_queue_data(
                                     ngx_queue_head(&conn->used_last),
                                     ngx_http_async_pg_prepared_t, queue));
    }
}
