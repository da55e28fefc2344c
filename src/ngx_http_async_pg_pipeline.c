
/*
 * Copyright (C) the nginx-async authors
 *
 * await_pg_pipeline(): several statements in one round trip.
 */

#include <ngx_http_async_pg_query.h>
#include <ngx_http_async_pg_task.h>
#include <ngx_async_scratch.h>
#include <ngx_async_meter.h>


#define NGX_HTTP_ASYNC_PG_FLAGS  ASYNC_PG_EACH


typedef struct {
    ngx_pool_t                  *memory;
    ngx_http_async_pg_pool_t    *pool;
    u_char                      *statements;  /* of the caller */
    size_t                       size;        /* of one of them */
    ngx_uint_t                   n;
    ngx_uint_t                   each;
    ngx_http_async_pg_query_t   *queries;
    ngx_uint_t                   failed;      /* the first; n: none */
    ngx_uint_t                   broken;      /* each has its own outcome */
} ngx_http_async_pg_pipeline_t;


static async_rc_t ngx_http_async_pg_pipeline_check(ngx_async_task_t *t,
    ngx_http_async_pg_pipeline_t *p, unsigned flags);
static async_rc_t ngx_http_async_pg_pipeline_run(ngx_async_task_t *t,
    ngx_http_async_pg_pipeline_t *p);
static ngx_uint_t ngx_http_async_pg_pipeline_stale(
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_pipeline_t *p);
static ngx_uint_t ngx_http_async_pg_pipeline_ended(
    ngx_http_async_pg_pipeline_t *p);
static async_rc_t ngx_http_async_pg_pipeline_break(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_tx_t *tx,
    ngx_http_async_pg_pipeline_t *p, async_rc_t rc);
static void ngx_http_async_pg_pipeline_tell(async_pg_statement_t *s,
    PGresult *result);
static async_rc_t ngx_http_async_pg_pipeline_outcome(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_pipeline_t *p);
static async_rc_t ngx_http_async_pg_pipeline_give(ngx_async_task_t *t,
    ngx_http_async_pg_pipeline_t *p, async_rc_t rc);


#define ngx_http_async_pg_pipeline_at(p, i)                                  \
    ((async_pg_statement_t *) ((p)->statements + (i) * (p)->size))


async_rc_t
await_pg_pipeline_at(async_t *co, const char *site, const char *name,
    async_pg_statement_t *statements, size_t size, size_t n, unsigned flags)
{
    size_t                         i;
    async_rc_t                     rc;
    async_pg_statement_t          *s;
    ngx_http_async_pg_pipeline_t   p;

    ngx_memzero(&p, sizeof(ngx_http_async_pg_pipeline_t));

    p.statements = (u_char *) statements;
    p.size = size;
    p.n = n;
    p.failed = n;

    for (i = 0; i < n; i++) {
        s = ngx_http_async_pg_pipeline_at(&p, i);
        s->result = NULL;
        s->rc = ASYNC_CANCELLED;
        s->sqlstate[0] = '\0';
    }

    rc = ngx_async_enter(co, "await_pg_pipeline", site);

    if (rc == ASYNC_OK) {
        ngx_http_async_pg_task_begin(co);
        ngx_async_meter_queries(co, n);

        p.pool = ngx_http_async_pg_pool(name);

        rc = p.pool ? ngx_http_async_pg_pipeline_check(co, &p, flags)
                    : ngx_async_set_error(co, ASYNC_ERROR, "there is no "
                                          "\"async_pg %s\"", name);
    }

    for (i = 0; i < n; i++) {
        s = ngx_http_async_pg_pipeline_at(&p, i);
        ngx_http_async_pg_free_values(s->values, s->n);
    }

    if (rc == ASYNC_OK && n) {
        rc = ngx_http_async_pg_pipeline_run(co, &p);
    }

    return ngx_http_async_pg_pipeline_give(co, &p, rc);
}


/* What is wrong with one of them is found before anything is sent. */

static async_rc_t
ngx_http_async_pg_pipeline_check(ngx_async_task_t *t,
    ngx_http_async_pg_pipeline_t *p, unsigned flags)
{
    ngx_uint_t             i;
    async_rc_t             rc;
    async_pg_statement_t  *s;

    if (flags & ~NGX_HTTP_ASYNC_PG_FLAGS) {
        return ngx_async_set_error(t, ASYNC_ERROR, "await_pg_pipeline() does "
                                   "not know the flags %ui",
                                   (ngx_uint_t) flags);
    }

    p->each = flags & ASYNC_PG_EACH;

    p->memory = ngx_async_scratch(t->log);

    if (p->memory) {
        p->queries = ngx_pcalloc(p->memory,
                                 p->n * sizeof(ngx_http_async_pg_query_t));
    }

    if (p->queries == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    for (i = 0; i < p->n; i++) {
        s = ngx_http_async_pg_pipeline_at(p, i);

        rc = ngx_http_async_pg_checked(t, p->pool, s->sql, s->values, s->n,
                                       &p->queries[i], p->memory);
        if (rc != ASYNC_OK) {
            s->rc = rc;
            p->failed = i;
            return rc;
        }
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_pg_pipeline_run(ngx_async_task_t *t,
    ngx_http_async_pg_pipeline_t *p)
{
    async_rc_t                 rc;
    ngx_msec_t                 since;
    ngx_http_async_pg_tx_t    *tx;
    ngx_http_async_pg_conn_t  *conn;

    rc = ngx_http_async_pg_take(t, p->pool, &conn, &tx);

    if (rc != ASYNC_OK) {
        return rc;
    }

    since = ngx_current_msec;
    ngx_async_stats_add_to(&p->pool->stats,
                           NGX_HTTP_ASYNC_PG_STATS_STATEMENTS, p->n);

    rc = ngx_http_async_pg_batch(t, conn, p->queries, p->n, p->each);

    if (rc == ASYNC_OK && ngx_http_async_pg_pipeline_stale(conn, p)) {
        rc = ngx_http_async_pg_batch(t, conn, p->queries, p->n, p->each);
    }

    /* one for all of them */
    ngx_http_async_pg_stats_time(p->pool, NGX_HTTP_ASYNC_PG_STATS_TIME, since);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_is_utf8(t, conn);
        rc = (rc == ASYNC_OK) ? ngx_http_async_pg_pipeline_outcome(t, conn, p)
                              : rc;

    } else if (p->each && ngx_http_async_pg_is_utf8(t, conn) == ASYNC_OK) {
        rc = ngx_http_async_pg_pipeline_break(t, conn, tx, p, rc);
    }

    ngx_http_async_pg_give(conn, tx);

    return rc;
}


/*
 * Whether some are to be sent again.  What has been forgotten is likely to be
 * so of all; and if they stand together, none has been executed, unless one of
 * them may have committed those before it.
 */

static ngx_uint_t
ngx_http_async_pg_pipeline_stale(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_pipeline_t *p)
{
    ngx_uint_t                  i, stale;
    ngx_http_async_pg_query_t  *query;

    stale = 0;

    for (i = 0; i < p->n; i++) {

        if (ngx_http_async_pg_stale(conn, &p->queries[i])) {
            stale = 1;

        } else if (p->each) {
            p->queries[i].done = 1;
        }
    }

    if (!stale || p->each) {
        return stale;
    }

    if (ngx_http_async_pg_pipeline_ended(p)) {
        return 0;
    }

    for (i = 0; i < p->n; i++) {
        query = &p->queries[i];
        query->prepared = ngx_http_async_pg_prepared(conn, query);

        if (query->prepared) {
            ngx_http_async_pg_close_prepared(conn, query->prepared);
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_async_pg_pipeline_ended(ngx_http_async_pg_pipeline_t *p)
{
    ngx_uint_t                  i, n;
    const char                 *tag;
    ExecStatusType              status;
    ngx_http_async_pg_query_t  *query;

    /* beside those that may stand alone */

    static const char *const  inside[] = {
        "SET", "SET CONSTRAINTS", "RESET", "PREPARE", "DEALLOCATE",
        "DEALLOCATE ALL", "LOCK TABLE", "EXPLAIN", "SHOW", NULL
    };

    for (i = 0; i < p->n; i++) {
        query = &p->queries[i];
        status = PQresultStatus(query->result);

        if (query->sql->lone
            || (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK))
        {
            continue;
        }

        tag = PQcmdStatus(query->result);

        for (n = 0; inside[n] && ngx_strcmp(tag, inside[n]) != 0; n++) {
            /* void */
        }

        if (inside[n] == NULL) {
            return 1;
        }
    }

    return 0;
}


/*
 * In the middle of those that stand alone: what has been answered stays, unless
 * it was to be sent again.
 */

static async_rc_t
ngx_http_async_pg_pipeline_break(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_tx_t *tx,
    ngx_http_async_pg_pipeline_t *p, async_rc_t rc)
{
    ngx_uint_t                  i;
    const char                 *severity;
    async_pg_statement_t       *s;
    ngx_http_async_pg_query_t  *query, *last;

    last = NULL;
    p->broken = 1;

    for (i = 0; i < p->n; i++) {
        s = ngx_http_async_pg_pipeline_at(p, i);
        query = &p->queries[i];

        if (query->answered
            && (tx || !ngx_http_async_pg_forgotten(conn, query)))
        {
            ngx_http_async_pg_pipeline_tell(s, query->result);
            last = query;

        } else {
            s->rc = rc;
        }
    }

    severity = last ? PQresultErrorField(last->result,
                                         PG_DIAG_SEVERITY_NONLOCALIZED)
                    : NULL;

    if (rc == ASYNC_CLOSED && severity && ngx_strcmp(severity, "FATAL") == 0) {
        /* it has said why it goes */
        last->lost = 1;
        return ngx_http_async_pg_outcome(t, conn->pool, last);
    }

    return rc;
}


/* Its own outcome. */

static void
ngx_http_async_pg_pipeline_tell(async_pg_statement_t *s, PGresult *result)
{
    const char      *state;
    ExecStatusType   status;

    status = PQresultStatus(result);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        s->rc = ASYNC_OK;
        return;
    }

    s->rc = ASYNC_ERROR;
    state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (state) {
        (void) ngx_cpystrn((u_char *) s->sqlstate, (u_char *) state,
                           sizeof(s->sqlstate));
    }
}


static async_rc_t
ngx_http_async_pg_pipeline_outcome(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_pipeline_t *p)
{
    ngx_uint_t             i;
    PGresult              *result;
    async_pg_statement_t  *s;

    for (i = 0; i < p->n; i++) {
        s = ngx_http_async_pg_pipeline_at(p, i);
        result = p->queries[i].result;

        ngx_http_async_pg_pipeline_tell(s, result);

        if (s->rc == ASYNC_OK) {
            continue;
        }

        if (p->failed == p->n) {
            p->failed = i;

        } else if (s->sqlstate[0] == '\0'
                   && PQresultStatus(result) != PGRES_EMPTY_QUERY)
        {
            /* not executed; or the server has gone with one before it */
            s->rc = ASYNC_CANCELLED;
        }
    }

    if (p->failed == p->n) {
        return ASYNC_OK;
    }

    return ngx_http_async_pg_concluded(t, conn, &p->queries[p->failed]);
}


/* The results, to the task; and what was ours is freed. */

static async_rc_t
ngx_http_async_pg_pipeline_give(ngx_async_task_t *t,
    ngx_http_async_pg_pipeline_t *p, async_rc_t rc)
{
    ngx_uint_t                  i, undone;
    async_pg_statement_t       *s;
    ngx_http_async_pg_query_t  *query;

    /* if they stand together, what one has done was undone with it */
    undone = (rc != ASYNC_OK && !p->broken
              && (!p->each || p->failed == p->n));

    for (i = 0; i < p->n; i++) {
        s = ngx_http_async_pg_pipeline_at(p, i);

        if (s->rc == ASYNC_OK && undone) {
            s->rc = ASYNC_CANCELLED;
        }

        if (rc != ASYNC_OK && !p->broken && p->failed == p->n
            && s->rc == ASYNC_CANCELLED)
        {
            s->rc = rc;
        }

        if (p->queries == NULL) {
            continue;
        }

        query = &p->queries[i];

        if (query->sql) {
            ngx_http_async_pg_sql_done(query->sql);
        }

        if (s->rc != ASYNC_OK) {
            PQclear(query->result);
            continue;
        }

        s->result = ngx_http_async_pg_result(t, query->result);

        if (s->result == NULL) {
            s->rc = ngx_async_set_error(t, ASYNC_ERROR, "no memory");
            rc = (rc == ASYNC_OK) ? s->rc : rc;
        }
    }

    ngx_async_scratch_done(p->memory);

    return rc;
}
