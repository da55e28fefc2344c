
/*
 * Copyright (C) the nginx-async authors
 *
 * await_pg(): a statement, prepared once a connection, and its result.
 *
 * A new statement is prepared and executed in one round trip, by libpq's
 * pipeline mode.  One that the server has forgotten, or that does not fit its
 * tables any more, is prepared again, unless a transaction is open.
 */

#include <ngx_http_async_pg_pool.h>
#include <ngx_http_async_pg_sql.h>
#include <ngx_http_async_pg_task.h>
#include <ngx_async_near.h>


/* what a connection has prepared; the server knows it as "async_" and number */

struct ngx_http_async_pg_prepared_s {
    ngx_rbtree_node_t            node;        /* by the number of the text */
    ngx_queue_t                  queue;       /* the last used is the first */
    ngx_uint_t                   name;
    size_t                       size;        /* bytes of the types; 0: none */
    Oid                          types[];
};


typedef struct {
    const async_value_t         *values;
    size_t                       n;
} ngx_http_async_pg_stolen_t;


typedef struct {
    ngx_http_async_pg_sql_t     *sql;
    ngx_http_async_pg_params_t   params;

    size_t                       size;        /* bytes of params.types */

    /* how it was sent */
    ngx_uint_t                   known;       /* it was prepared before */
    ngx_uint_t                   pipeline;

    ngx_uint_t                   useless;     /* a name to be forgotten; 0 */

    PGresult                    *result;      /* the first that failed, else
                                                 the last */
} ngx_http_async_pg_query_t;


static void ngx_http_async_pg_free_values(const async_value_t *values,
    size_t n);
static void ngx_http_async_pg_free_on_loop(void *data);
static async_rc_t ngx_http_async_pg_checked(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, const char *text,
    const async_value_t *values, size_t n, ngx_http_async_pg_query_t *query,
    ngx_pool_t *memory);
static async_rc_t ngx_http_async_pg_run(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_query_t *query);
static async_rc_t ngx_http_async_pg_once(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);
static ngx_uint_t ngx_http_async_pg_stale(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query);
static int ngx_http_async_pg_send(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query);
static int ngx_http_async_pg_send_new(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query);
static async_rc_t ngx_http_async_pg_results(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);
static async_rc_t ngx_http_async_pg_outcome(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);
static void ngx_http_async_pg_tagged(ngx_http_async_pg_conn_t *conn,
    PGresult *result);
static ngx_http_async_pg_prepared_t *ngx_http_async_pg_find(
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);
static ngx_int_t ngx_http_async_pg_compare(ngx_http_async_pg_prepared_t *one,
    ngx_uint_t id, size_t size, const Oid *types);
static void ngx_http_async_pg_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_uint_t ngx_http_async_pg_remove(ngx_http_async_pg_conn_t *conn,
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

static void
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

static async_rc_t
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

    if (rc == ASYNC_OK
        && ngx_strcmp(pg_encoding_to_char(PQclientEncoding(conn->pg)), "UTF8")
           != 0)
    {
        /* all texts of results are taken for it */
        conn->doomed = 1;
        rc = ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": "
                                 "client_encoding has to be UTF8",
                                 &pool->name);
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


static int
ngx_http_async_pg_send(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    char                           name[sizeof("async_") + NGX_INT_T_LEN];
    ngx_http_async_pg_params_t    *p;
    ngx_http_async_pg_prepared_t  *prepared;

    p = &query->params;

    query->known = 0;
    query->pipeline = 0;

    if (conn->pool->statements == 0) {
        return PQsendQueryParams(conn->pg, p->sql, p->n, p->types, p->values,
                                 p->lengths, p->formats, 0);
    }

    prepared = ngx_http_async_pg_find(conn, query);

    if (prepared) {
        query->known = 1;

        *ngx_sprintf((u_char *) name, "async_%ui", prepared->name) = '\0';

        return PQsendQueryPrepared(conn->pg, name, p->n, p->values, p->lengths,
                                   p->formats, 0);
    }

    if (PQtransactionStatus(conn->pg) == PQTRANS_INERROR) {
        /* all but its end will be refused, DEALLOCATE too */
        return PQsendQueryParams(conn->pg, p->sql, p->n, p->types, p->values,
                                 p->lengths, p->formats, 0);
    }

    query->pipeline = 1;

    return ngx_http_async_pg_send_new(conn, query);
}


/*
 * In one go: what is too much is forgotten, the new one prepared and run.  The
 * first has a sync of its own: with it there would be a transaction, which
 * VACUUM and its like refuse, and its failure would be that of all.
 */

static int
ngx_http_async_pg_send_new(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    char                           name[sizeof("async_") + NGX_INT_T_LEN];
    char                           sql[sizeof("DEALLOCATE ") + sizeof(name)];
    ngx_http_async_pg_params_t    *p;
    ngx_http_async_pg_prepared_t  *prepared;

    p = &query->params;

    prepared = ngx_alloc(sizeof(ngx_http_async_pg_prepared_t) + query->size,
                         ngx_cycle->log);

    if (prepared == NULL || !PQenterPipelineMode(conn->pg)) {
        ngx_free(prepared);
        return 0;
    }

    prepared->node.key = query->sql->id;
    prepared->name = ++conn->named;
    prepared->size = query->size;

    if (query->size) {
        ngx_memcpy(prepared->types, p->types, query->size);
    }

    conn->preparing = prepared;
    conn->syncs = 1;

    if (query->useless == 0 && conn->nstatements >= conn->pool->statements) {
        query->useless = ngx_http_async_pg_remove(conn,
                             ngx_queue_data(ngx_queue_last(&conn->used_last),
                                            ngx_http_async_pg_prepared_t,
                                            queue));
    }

    if (query->useless) {
        *ngx_sprintf((u_char *) sql, "DEALLOCATE async_%ui", query->useless)
            = '\0';

        if (!PQsendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0)
            || !PQpipelineSync(conn->pg))
        {
            return 0;
        }

        conn->syncs++;
    }

    *ngx_sprintf((u_char *) name, "async_%ui", prepared->name) = '\0';

    return PQsendPrepare(conn->pg, name, p->sql, p->n, p->types)
           && PQsendQueryPrepared(conn->pg, name, p->n, p->values, p->lengths,
                                  p->formats, 0)
           && PQpipelineSync(conn->pg);
}


static async_rc_t
ngx_http_async_pg_results(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    PGresult        *result;
    async_rc_t       rc;
    ngx_uint_t       failed;
    ExecStatusType   status;

    failed = 0;

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
                continue;
            }

            break;
        }

        status = PQresultStatus(result);
        ngx_http_async_pg_seen(conn, result);

        if (status == PGRES_PIPELINE_SYNC) {
            PQclear(result);

            if (conn->syncs == 0) {
                break;
            }

            continue;
        }

        if (failed || status == PGRES_PIPELINE_ABORTED
            || (conn->syncs > 1 && PQstatus(conn->pg) == CONNECTION_OK))
        {
            PQclear(result);
            continue;
        }

        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT
            || status == PGRES_COPY_BOTH)
        {
            PQclear(result);
            conn->doomed = 1;

            return ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": COPY "
                                       "is not for await_pg()",
                                       &conn->pool->name);
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

    if (!failed) {
        ngx_http_async_pg_tagged(conn, query->result);
    }

    return query->result ? ASYNC_OK : ngx_http_async_pg_lost(t, conn);
}


/*
 * What was prepared is gone (DISCARD, another server behind a name), or its
 * result has another type now.  In a transaction that has failed by this there
 * is nothing to be done.
 */

static ngx_uint_t
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

    prepared = ngx_http_async_pg_find(conn, query);

    if (prepared) {
        query->useless = ngx_http_async_pg_remove(conn, prepared);
    }

    return 1;
}


static async_rc_t
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


/*
 * What a connection has prepared.  It is known to be so when the server has
 * said it, whatever becomes of the statement, or of the task, after that.
 */

void
ngx_http_async_pg_seen(ngx_http_async_pg_conn_t *conn, const PGresult *result)
{
    ExecStatusType                 status;
    ngx_http_async_pg_prepared_t  *prepared;

    status = PQresultStatus(result);

    if (status == PGRES_PIPELINE_SYNC && conn->syncs) {
        conn->syncs--;
        return;
    }

    prepared = conn->preparing;

    if (prepared == NULL || conn->syncs > 1) {
        return;
    }

    conn->preparing = NULL;

    if (status != PGRES_COMMAND_OK) {
        ngx_free(prepared);
        return;
    }

    ngx_rbtree_insert(&conn->statements, &prepared->node);
    ngx_queue_insert_head(&conn->used_last, &prepared->queue);
    conn->nstatements++;
}


/* What a statement has been that is of the session, not of its rows. */

static void
ngx_http_async_pg_tagged(ngx_http_async_pg_conn_t *conn, PGresult *result)
{
    const char  *tag;

    tag = PQcmdStatus(result);

    switch (tag[0]) {

    case 'S':

        if (ngx_strcmp(tag, "SET") == 0) {
            conn->changed = 1;
        }

        break;

    case 'L':

        if (ngx_strcmp(tag, "LISTEN") == 0) {
            conn->changed = 1;
        }

        break;

    case 'D':

        if (ngx_strcmp(tag, "DECLARE CURSOR") == 0) {
            conn->changed = 1;

        } else if (ngx_strcmp(tag, "DEALLOCATE ALL") == 0
                   || ngx_strcmp(tag, "DISCARD ALL") == 0)
        {
            ngx_http_async_pg_forget_statements(conn);
        }

        break;
    }
}


static ngx_http_async_pg_prepared_t *
ngx_http_async_pg_find(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    ngx_int_t                      rc;
    ngx_rbtree_node_t             *node;
    ngx_http_async_pg_prepared_t  *prepared;

    node = conn->statements.root;

    while (node != &conn->sentinel) {

        prepared = (ngx_http_async_pg_prepared_t *) node;

        rc = ngx_http_async_pg_compare(prepared, query->sql->id, query->size,
                                       query->params.types);
        if (rc == 0) {
            ngx_queue_remove(&prepared->queue);
            ngx_queue_insert_head(&conn->used_last, &prepared->queue);

            return prepared;
        }

        node = (rc > 0) ? node->left : node->right;
    }

    return NULL;
}


/* One text may be there twice: with bytes, and with text. */

static ngx_int_t
ngx_http_async_pg_compare(ngx_http_async_pg_prepared_t *one, ngx_uint_t id,
    size_t size, const Oid *types)
{
    if (one->node.key != id) {
        return (one->node.key > id) ? 1 : -1;
    }

    if (one->size != size) {
        return (one->size > size) ? 1 : -1;
    }

    return size ? ngx_memcmp(one->types, types, size) : 0;
}


static void
ngx_http_async_pg_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t             **p;
    ngx_http_async_pg_prepared_t   *prepared;

    prepared = (ngx_http_async_pg_prepared_t *) node;

    for ( ;; ) {
        p = (ngx_http_async_pg_compare((ngx_http_async_pg_prepared_t *) temp,
                                       node->key, prepared->size,
                                       prepared->types) > 0)
            ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;

    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


/* Returns its name, which the server still knows. */

static ngx_uint_t
ngx_http_async_pg_remove(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_prepared_t *prepared)
{
    ngx_uint_t  name;

    name = prepared->name;

    ngx_rbtree_delete(&conn->statements, &prepared->node);
    ngx_queue_remove(&prepared->queue);
    conn->nstatements--;

    ngx_free(prepared);

    return name;
}


void
ngx_http_async_pg_forget_statements(ngx_http_async_pg_conn_t *conn)
{
    if (conn->statements.insert == NULL) {
        ngx_rbtree_init(&conn->statements, &conn->sentinel,
                        ngx_http_async_pg_insert);
        ngx_queue_init(&conn->used_last);
    }

    while (!ngx_queue_empty(&conn->used_last)) {
        (void) ngx_http_async_pg_remove(conn,
                                 ngx_queue_data(
                                     ngx_queue_head(&conn->used_last),
                                     ngx_http_async_pg_prepared_t, queue));
    }

    ngx_free(conn->preparing);
    conn->preparing = NULL;
}
