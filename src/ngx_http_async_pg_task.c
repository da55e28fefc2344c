
/*
 * Copyright (C) the nginx-async authors
 *
 * Failures of databases, for async_pg_error(): see ngx_http_async_pg_task.h.
 */

#include <ngx_http_async_pg_task.h>
#include <ngx_async_meter.h>


static void ngx_http_async_pg_task_end(ngx_async_end_t *end);
static const char *ngx_http_async_pg_field(PGresult *result, int field);


ngx_http_async_pg_task_t *
ngx_http_async_pg_task(ngx_async_task_t *t)
{
    ngx_http_async_pg_task_t  *pg;

    if (t->pg) {
        return t->pg;
    }

    /* not of the task's memory: that may be an ASYNC_MEMORY's */

    pg = ngx_calloc(sizeof(ngx_http_async_pg_task_t), t->log);

    if (pg) {
        pg->end.handler = ngx_http_async_pg_task_end;
        pg->end.next = t->ends;
        t->ends = &pg->end;
        t->pg = pg;
    }

    return pg;
}


static void
ngx_http_async_pg_task_end(ngx_async_end_t *end)
{
    ngx_http_async_pg_task_t  *pg = (ngx_http_async_pg_task_t *) end;

    ngx_http_async_pg_tx_t  *tx;

    while (pg->transactions) {
        tx = pg->transactions;
        pg->transactions = tx->next;

        /* what is still open is rolled back before the next one has it */
        ngx_http_async_pg_tx_lose(tx);
        ngx_free(tx);
    }

    PQclear(pg->failed);
    ngx_free(pg);
}


void
ngx_http_async_pg_task_begin(ngx_async_task_t *t)
{
    ngx_http_async_pg_task_t  *pg;

    ngx_async_meter_kind(t, NGX_ASYNC_METER_DB);

    pg = t->pg;

    if (pg) {
        PQclear(pg->failed);
        pg->failed = NULL;
        pg->said.state[0] = '\0';
    }
}


void
ngx_http_async_pg_note(ngx_async_task_t *t, ngx_http_async_pg_said_t *said)
{
    ngx_http_async_pg_task_t  *pg;

    pg = ngx_http_async_pg_task(t);

    if (pg) {
        PQclear(pg->failed);
        pg->failed = NULL;
        pg->said = *said;
    }
}


const ngx_http_async_pg_said_t *
ngx_http_async_pg_noted(ngx_async_task_t *t)
{
    ngx_http_async_pg_task_t  *pg;

    static ngx_http_async_pg_said_t  nothing;

    pg = t->pg;

    return pg ? &pg->said : &nothing;
}


async_rc_t
ngx_http_async_pg_enter(ngx_async_task_t *t, const char *await,
    const char *site, const char *name, ngx_http_async_pg_pool_t **pool)
{
    async_rc_t  rc;

    rc = ngx_async_enter(t, await, site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_http_async_pg_task_begin(t);
    ngx_async_meter_queries(t, 1);

    *pool = ngx_http_async_pg_pool(name);

    return *pool ? ASYNC_OK
           : ngx_async_set_error(t, ASYNC_ERROR, "there is no \"async_pg "
                                 "%s\"", name);
}


async_rc_t
ngx_http_async_pg_failed(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    PGresult *result)
{
    async_rc_t                 rc;
    const char                *detail, *text;
    ngx_http_async_pg_task_t  *pg;

    ngx_http_async_pg_count(pool, ERRORS);

    if (PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL) {
        /* libpq says so, not the server */
        text = PQresultErrorMessage(result);

        rc = ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": %*s",
                                 &pool->name, strcspn(text, CRLF), text);
        PQclear(result);

        return rc;
    }

    detail = ngx_http_async_pg_field(result, PG_DIAG_MESSAGE_DETAIL);

    rc = ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": %s (%s)%s%s",
                             &pool->name,
                             ngx_http_async_pg_field(result,
                                                     PG_DIAG_MESSAGE_PRIMARY),
                             ngx_http_async_pg_field(result, PG_DIAG_SQLSTATE),
                             *detail ? ": " : "", detail);

    pg = ngx_http_async_pg_task(t);

    if (pg == NULL) {
        PQclear(result);
        return rc;
    }

    PQclear(pg->failed);
    pg->failed = result;

    return rc;
}


static const char *
ngx_http_async_pg_field(PGresult *result, int field)
{
    const char  *text;

    text = PQresultErrorField(result, field);

    return text ? text : "";
}


const async_pg_error_t *
async_pg_error(async_t *co)
{
    PGresult                  *r;
    const char                *position;
    async_pg_error_t          *e;
    ngx_http_async_pg_task_t  *pg;

    ngx_async_check_task(co);

    pg = co->pg;

    if (pg == NULL || (pg->failed == NULL && pg->said.state[0] == '\0')) {
        return NULL;
    }

    r = pg->failed;
    e = &pg->error;

    e->size = sizeof(async_pg_error_t);
    e->sqlstate = ngx_http_async_pg_field(r, PG_DIAG_SQLSTATE);
    e->message = ngx_http_async_pg_field(r, PG_DIAG_MESSAGE_PRIMARY);
    e->detail = ngx_http_async_pg_field(r, PG_DIAG_MESSAGE_DETAIL);
    e->hint = ngx_http_async_pg_field(r, PG_DIAG_MESSAGE_HINT);
    e->schema = ngx_http_async_pg_field(r, PG_DIAG_SCHEMA_NAME);
    e->table = ngx_http_async_pg_field(r, PG_DIAG_TABLE_NAME);
    e->column = ngx_http_async_pg_field(r, PG_DIAG_COLUMN_NAME);
    e->constraint = ngx_http_async_pg_field(r, PG_DIAG_CONSTRAINT_NAME);
    e->datatype = ngx_http_async_pg_field(r, PG_DIAG_DATATYPE_NAME);

    position = ngx_http_async_pg_field(r, PG_DIAG_STATEMENT_POSITION);
    e->position = (int) strtol(position, NULL, 10);

    if (r == NULL) {
        /* at connecting, libpq gives no more */
        e->sqlstate = pg->said.state;
        e->message = pg->said.message;
    }

    return e;
}


int
async_pg_failed(async_t *co, const char *sqlstate)
{
    const async_pg_error_t  *error;

    ngx_async_check_task(co);

    error = async_pg_error(co);

    return error && ngx_strcmp(error->sqlstate, sqlstate) == 0;
}
