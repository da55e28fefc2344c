
/*
 * Copyright (C) the nginx-async authors
 *
 * Statements to the server and their results, by libpq: one by itself, or
 * several in pipeline mode.
 *
 * One that is new is prepared and executed in one round trip, which is pipeline
 * mode, too.
 */

#include <ngx_http_async_pg_query.h>


/* more are to be forgotten by the server than may be prepared */

#define ngx_http_async_pg_crowded(conn)                                      \
    ((conn)->nclosed > (conn)->pool->statements)

/* of a transaction that has failed, all but its end will be refused */

#define ngx_http_async_pg_unnamed(conn, query)                               \
    ((conn)->pool->statements == 0 || (query)->sql->leaves                   \
     || ngx_http_async_pg_crowded(conn)                                      \
     || PQtransactionStatus((conn)->pg) == PQTRANS_INERROR)


static async_rc_t ngx_http_async_pg_alone(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);
static async_rc_t ngx_http_async_pg_prepare_only(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);
static int ngx_http_async_pg_send(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *queries, ngx_uint_t n, ngx_uint_t each);
static ngx_uint_t ngx_http_async_pg_is_large(ngx_http_async_pg_params_t *p);
static async_rc_t ngx_http_async_pg_receive(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *queries,
    ngx_uint_t n, ngx_uint_t each);
static async_rc_t ngx_http_async_pg_receive_tidied(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_int_t n);
static async_rc_t ngx_http_async_pg_receive_one(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);
static async_rc_t ngx_http_async_pg_sync(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, PGresult **result);


async_rc_t
ngx_http_async_pg_execute_one(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query)
{
    if (ngx_http_async_pg_crowded(conn)
        && PQtransactionStatus(conn->pg) == PQTRANS_IDLE)
    {
        return ngx_http_async_pg_batch(t, conn, query, 1, 0);
    }

    if (ngx_http_async_pg_unnamed(conn, query)) {

        if (query->sql->leaves == NGX_HTTP_ASYNC_PG_NAMES) {
            /* in a transaction they could not be prepared again */
            ngx_http_async_pg_forget_statements(conn);
        }

        return ngx_http_async_pg_alone(t, conn, query);
    }

    query->prepared = ngx_http_async_pg_prepared(conn, query);

    if (query->prepared == NULL) {
        ngx_http_async_pg_make_room(conn);
        return ngx_http_async_pg_batch(t, conn, query, 1, 0);
    }

    return ngx_http_async_pg_alone(t, conn, query);
}


/* Without pipeline mode: it costs less. */

static async_rc_t
ngx_http_async_pg_alone(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    async_rc_t  rc;

    PQclear(query->result);
    query->result = NULL;

    rc = ngx_http_async_pg_put(conn, query)
         ? ngx_http_async_pg_flush(t, conn) : ngx_http_async_pg_lost(t, conn);

    return (rc == ASYNC_OK)
           ? ngx_http_async_pg_command(t, conn, &query->result) : rc;
}


async_rc_t
ngx_http_async_pg_open_one(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    async_rc_t  rc;

    if (!ngx_http_async_pg_unnamed(conn, query)
        && ngx_http_async_pg_prepared(conn, query) == NULL)
    {
        rc = ngx_http_async_pg_prepare_only(t, conn, query);

        if (rc != ASYNC_OK || query->result) {
            return rc;
        }
    }

    return ngx_http_async_pg_put(conn, query) ? ASYNC_OK
                                              : ngx_http_async_pg_lost(t, conn);
}


static async_rc_t
ngx_http_async_pg_prepare_only(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query)
{
    PGresult                      *result;
    async_rc_t                     rc;
    ngx_http_async_pg_params_t    *p;
    ngx_http_async_pg_prepared_t  *prepared;

    p = &query->params;
    prepared = ngx_http_async_pg_prepare(conn, query);

    if (prepared == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    rc = PQsendPrepare(conn->pg, prepared->name, p->sql, p->n, p->types)
         ? ngx_http_async_pg_flush(t, conn) : ngx_http_async_pg_lost(t, conn);

    result = NULL;

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_command(t, conn, &result);
    }

    if (rc != ASYNC_OK || PQresultStatus(result) == PGRES_COMMAND_OK) {

        if (rc == ASYNC_OK) {
            ngx_http_async_pg_confirm(conn, prepared, 1);
        }

        PQclear(result);

        return rc;
    }

    ngx_http_async_pg_confirm(conn, prepared, 0);
    query->result = result;

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_pg_batch(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *queries, ngx_uint_t n, ngx_uint_t each)
{
    ngx_int_t   tidy;
    async_rc_t  rc, sent;
    ngx_uint_t  idle;

    idle = (PQtransactionStatus(conn->pg) == PQTRANS_IDLE);

    if (!PQenterPipelineMode(conn->pg)) {
        return ngx_http_async_pg_lost(t, conn);
    }

    /* in a transaction, a name that is not known would make that fail */

    tidy = (idle && ngx_http_async_pg_untidy(conn))
           ? ngx_http_async_pg_tidy(conn) : 0;

    if (tidy < 0 || !ngx_http_async_pg_send(conn, queries, n, each)) {
        return ngx_http_async_pg_lost(t, conn);
    }

    sent = ngx_http_async_pg_flush(t, conn);

    if (sent != ASYNC_OK && !each) {
        return sent;
    }

    /* if it was broken off, what has come meanwhile is read, without a wait */

    rc = tidy ? ngx_http_async_pg_receive_tidied(t, conn, tidy) : ASYNC_OK;

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_receive(t, conn, queries, n, each);
    }

    if (sent != ASYNC_OK) {
        return sent;
    }

    if (rc == ASYNC_OK && PQstatus(conn->pg) == CONNECTION_OK
        && !PQexitPipelineMode(conn->pg))
    {
        return ngx_http_async_pg_lost(t, conn);
    }

    return rc;
}


static int
ngx_http_async_pg_send(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *queries, ngx_uint_t n, ngx_uint_t each)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (queries[i].done) {
            continue;
        }

        PQclear(queries[i].result);
        queries[i].result = NULL;
        queries[i].answered = 0;

        if (!ngx_http_async_pg_put(conn, &queries[i])
            || (each && !PQpipelineSync(conn->pg)))
        {
            return 0;
        }
    }

    return each || PQpipelineSync(conn->pg);
}


int
ngx_http_async_pg_put(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    ngx_http_async_pg_params_t    *p;
    ngx_http_async_pg_prepared_t  *prepared;

    p = &query->params;
    query->known = 0;

    conn->leaves = ngx_max(conn->leaves, query->sql->leaves);
    conn->large |= ngx_http_async_pg_is_large(p);

    if (query->sql->leaves == NGX_HTTP_ASYNC_PG_NAMES) {
        /* those before it in a pipeline are on their way */
        ngx_http_async_pg_close_all(conn);
    }

    if (ngx_http_async_pg_unnamed(conn, query)) {
        query->prepared = NULL;

        return PQsendQueryParams(conn->pg, p->sql, p->n, p->types, p->values,
                                 p->lengths, p->formats, 0);
    }

    prepared = ngx_http_async_pg_prepared(conn, query);

    if (prepared) {
        query->known = 1;

    } else {
        prepared = ngx_http_async_pg_prepare(conn, query);

        if (prepared == NULL) {
            return 0;
        }
    }

    query->prepared = prepared;
    query->number = prepared->number;

    return (query->known
            || PQsendPrepare(conn->pg, prepared->name, p->sql, p->n, p->types))
           && PQsendQueryPrepared(conn->pg, prepared->name, p->n, p->values,
                                  p->lengths, p->formats, 0);
}


static ngx_uint_t
ngx_http_async_pg_is_large(ngx_http_async_pg_params_t *p)
{
    int     i;
    size_t  size;

    for (size = 0, i = 0; i < p->n; i++) {

        if (p->values[i]) {
            size += (p->formats && p->formats[i]) ? (size_t) p->lengths[i]
                                                  : ngx_strlen(p->values[i]);
        }
    }

    return size > NGX_HTTP_ASYNC_PG_LARGE;
}


static async_rc_t
ngx_http_async_pg_receive(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *queries, ngx_uint_t n, ngx_uint_t each)
{
    ngx_uint_t                  i;
    async_rc_t                  rc;
    ngx_http_async_pg_query_t  *query;

    rc = ASYNC_OK;

    for (i = 0; i < n && rc == ASYNC_OK; i++) {

        if (queries[i].done) {
            continue;
        }

        query = &queries[i];

        rc = ngx_http_async_pg_receive_one(t, conn, query);

        if (rc == ASYNC_OK && each) {
            rc = ngx_http_async_pg_sync(t, conn, &query->result);

            /* of a connection that is lost, libpq makes an error, too */

            query->answered = (rc == ASYNC_OK
                               && (!ngx_http_async_pg_is_error(query->result)
                                   || PQresultErrorField(query->result,
                                                         PG_DIAG_SQLSTATE)));
        }
    }

    /* none was passed over; a constraint that is deferred can fail there */

    return (rc == ASYNC_OK && !each)
           ? ngx_http_async_pg_sync(t, conn, &queries[n - 1].result) : rc;
}


static async_rc_t
ngx_http_async_pg_receive_tidied(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_int_t n)
{
    PGresult    *result;
    async_rc_t   rc;

    for (rc = ASYNC_OK; n && rc == ASYNC_OK; n--) {

        result = NULL;
        rc = ngx_http_async_pg_command(t, conn, &result);

        if (rc == ASYNC_OK) {
            ngx_http_async_pg_tidied(conn, result);
        }

        PQclear(result);
    }

    if (rc == ASYNC_OK) {
        result = NULL;
        rc = ngx_http_async_pg_sync(t, conn, &result);
        PQclear(result);
    }

    return rc;
}


static async_rc_t
ngx_http_async_pg_receive_one(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query)
{
    async_rc_t   rc;
    ngx_uint_t   ok;
    PGresult    *prepared;

    prepared = NULL;

    if (query->prepared && !query->known) {

        rc = ngx_http_async_pg_command(t, conn, &prepared);

        if (rc != ASYNC_OK) {
            PQclear(prepared);
            return rc;
        }

        ok = (PQresultStatus(prepared) == PGRES_COMMAND_OK);

        ngx_http_async_pg_confirm(conn, query->prepared, ok);

        if (!ok) {
            query->prepared = NULL;
        }
    }

    rc = ngx_http_async_pg_command(t, conn, &query->result);

    if (ngx_http_async_pg_is_error(prepared)) {
        /* that is why it was not executed */
        PQclear(query->result);
        query->result = prepared;

    } else {
        PQclear(prepared);
    }

    return rc;
}


async_rc_t
ngx_http_async_pg_command(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    PGresult **result)
{
    PGresult    *next;
    async_rc_t   rc;

    for ( ;; ) {
        rc = ngx_http_async_pg_get(t, conn, &next);

        if (rc == ASYNC_CLOSED && ngx_http_async_pg_is_error(*result)) {
            /* it has said why before */
            return ASYNC_OK;
        }

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (next == NULL) {
            return *result ? ASYNC_OK : ngx_http_async_pg_lost(t, conn);
        }

        if (ngx_http_async_pg_is_copy(t, conn, next)) {
            PQclear(next);
            return ASYNC_ERROR;
        }

        ngx_http_async_pg_keep(result, next);
    }
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


/* Up to the end of a pipeline, or of a part of it. */

static async_rc_t
ngx_http_async_pg_sync(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    PGresult **result)
{
    PGresult    *next;
    async_rc_t   rc;
    ngx_uint_t   ends;

    for (ends = 0; /* void */ ; ends++) {
        rc = ngx_http_async_pg_get(t, conn, &next);

        if (rc == ASYNC_OK && next == NULL && ends < 2
            && PQstatus(conn->pg) == CONNECTION_OK)
        {
            continue;
        }

        if (rc == ASYNC_CLOSED || (rc == ASYNC_OK && next == NULL)) {
            /* it may have said why before */
            return ngx_http_async_pg_is_error(*result)
                   ? ASYNC_OK : ngx_http_async_pg_lost(t, conn);
        }

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (PQresultStatus(next) == PGRES_PIPELINE_SYNC) {
            PQclear(next);
            return ASYNC_OK;
        }

        ends = 0;
        ngx_http_async_pg_keep(result, next);
    }
}


void
ngx_http_async_pg_keep(PGresult **kept, PGresult *result)
{
    if (ngx_http_async_pg_is_error(*kept)) {
        PQclear(result);
        return;
    }

    PQclear(*kept);
    *kept = result;
}
