
/*
 * Copyright (C) the nginx-async authors
 *
 * A connection that its task has left in the middle: the statement is cancelled
 * on the server, what it still answers is read, a transaction is rolled back,
 * what statements have changed in the session is undone.  Then it is as any
 * other one; or it is closed, if that takes too long.
 *
 * libpq 15 blocks when it cancels: a thread does that.
 */

#include <ngx_http_async_pg_query.h>
#include <ngx_http_async_pg_task.h>


/* for all of it, in ms */
#define NGX_HTTP_ASYNC_PG_LEAVE  5000

/* until it is cancelled again, in ms, and twice as long each time */
#define NGX_HTTP_ASYNC_PG_AGAIN  100


typedef struct {
    ngx_async_task_t            task;
    ngx_http_async_pg_conn_t   *conn;
} ngx_http_async_pg_leave_t;


typedef struct {
    PGcancel                   *cancel;
    int                         done;
    char                        error[256];
} ngx_http_async_pg_cancel_t;


static void ngx_http_async_pg_leave_body(ngx_async_task_t *t);
static void ngx_http_async_pg_leave_done(ngx_async_task_t *t);
static async_rc_t ngx_http_async_pg_cancel(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);
static ngx_http_async_pg_cancel_t *ngx_http_async_pg_cancel_job(
    ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_cancel_late(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_cancel_run(void *data);
static void ngx_http_async_pg_cancel_drop(void *data);
static async_rc_t ngx_http_async_pg_doubt(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);
static async_rc_t ngx_http_async_pg_reset(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);
static async_rc_t ngx_http_async_pg_drain_within(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_msec_t ms, ngx_uint_t *late);
static async_rc_t ngx_http_async_pg_drain(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);
static async_rc_t ngx_http_async_pg_drain_copy(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ExecStatusType status);


static ngx_async_profile_t  ngx_http_async_pg_leave_profile
    = ngx_async_own_profile("async_pg:cancel");

static ngx_async_bound_t  ngx_http_async_pg_leave_bound = {
    "the time of cleaning up", NULL, NGX_HTTP_ASYNC_PG_LEAVE
};


void
ngx_http_async_pg_leave(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_leave_t  *leave;

    ngx_queue_remove(&conn->queue);
    ngx_queue_insert_tail(&conn->pool->leaving, &conn->queue);

    leave = ngx_async_task_create_over(ngx_http_async_pg_leave_body,
                                       ngx_http_async_pg_leave_done,
                                       &ngx_http_async_pg_leave_profile,
                                       ngx_cycle->log);
    if (leave == NULL) {
        conn->doomed = 1;
        ngx_http_async_pg_release(conn);
        return;
    }

    leave->conn = conn;

    leave->task.deadline = ngx_current_msec + NGX_HTTP_ASYNC_PG_LEAVE;
    leave->task.bound = &ngx_http_async_pg_leave_bound;

    /* not now: its caller may be a coroutine */
    ngx_async_task_ready(&leave->task);
}


static void
ngx_http_async_pg_leave_body(ngx_async_task_t *t)
{
    ngx_http_async_pg_leave_t  *leave = (ngx_http_async_pg_leave_t *) t;

    async_rc_t                 rc;
    ngx_http_async_pg_conn_t  *conn;

    conn = leave->conn;

    rc = ngx_async_enter(t, "async_pg cancel", "");

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_stop(t, conn);
    }

    if (rc == ASYNC_OK && PQtransactionStatus(conn->pg) != PQTRANS_IDLE) {
        rc = ngx_http_async_pg_execute(t, conn, "ROLLBACK", NULL, 0);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_doubt(t, conn);
    }

    if (rc == ASYNC_OK && conn->leaves) {
        rc = ngx_http_async_pg_reset(t, conn);
    }

    if (rc != ASYNC_OK || PQtransactionStatus(conn->pg) != PQTRANS_IDLE) {

        conn->doomed = 1;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "database \"%V\": a connection is closed, since it "
                      "could not be made free for others: %s",
                      &conn->pool->name, async_error(t));
    }
}


static void
ngx_http_async_pg_leave_done(ngx_async_task_t *t)
{
    ngx_http_async_pg_leave_t  *leave = (ngx_http_async_pg_leave_t *) t;

    ngx_http_async_pg_release(leave->conn);
}


async_rc_t
ngx_http_async_pg_stop(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    async_rc_t  rc;
    ngx_msec_t  again;
    ngx_uint_t  late;

    again = NGX_HTTP_ASYNC_PG_AGAIN;

    for ( ;; ) {

        if (PQtransactionStatus(conn->pg) != PQTRANS_ACTIVE) {
            return ASYNC_OK;
        }

        /*
         * Of a pipeline, each part.  The server forgets a cancel that comes
         * between two of them.
         */

        rc = ngx_http_async_pg_cancel(t, conn);

        if (rc == ASYNC_OK) {
            rc = ngx_http_async_pg_drain_within(t, conn, again, &late);

            if (rc != ASYNC_OK && late) {
                again *= 2;
                continue;
            }
        }

        if (rc != ASYNC_OK) {
            return rc;
        }
    }
}


static async_rc_t
ngx_http_async_pg_cancel(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    async_rc_t                   rc;
    ngx_http_async_pg_cancel_t  *cancel;

    cancel = ngx_http_async_pg_cancel_job(t, conn);

    if (cancel == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    ngx_http_async_pg_count(conn->pool, CANCELS);

    rc = ngx_async_thread_await(t, conn->pool->cancels, cancel);

    if (rc != ASYNC_OK) {
        ngx_http_async_pg_cancel_late(t, conn);
        return rc;
    }

    if (!cancel->done) {
        rc = ngx_async_set_error(t, ASYNC_ERROR, "%s", cancel->error);
    }

    ngx_http_async_pg_cancel_drop(cancel);
    ngx_async_thread_free(cancel);

    return rc;
}


static ngx_http_async_pg_cancel_t *
ngx_http_async_pg_cancel_job(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_cancel_t  *cancel;

    cancel = ngx_async_thread_job(sizeof(ngx_http_async_pg_cancel_t),
                                  ngx_http_async_pg_cancel_run,
                                  ngx_http_async_pg_cancel_drop,
                                  t->profile, ngx_cycle->log);
    if (cancel == NULL) {
        return NULL;
    }

    cancel->cancel = PQgetCancel(conn->pg);

    if (cancel->cancel == NULL) {
        ngx_async_thread_free(cancel);
        return NULL;
    }

    return cancel;
}


/*
 * The connection goes: a cancel that is on its way still would hit what others
 * ask there.  What it has asked for ends, too, when the server can be reached
 * again.
 */

static void
ngx_http_async_pg_cancel_late(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_cancel_t  *cancel;

    conn->doomed = 1;

    cancel = ngx_http_async_pg_cancel_job(t, conn);

    if (cancel) {
        ngx_async_thread_send(conn->pool->cancels, cancel);
    }
}


static void
ngx_http_async_pg_cancel_run(void *data)
{
    ngx_http_async_pg_cancel_t  *cancel = data;

    cancel->done = PQcancel(cancel->cancel, cancel->error,
                            sizeof(cancel->error));
}


static void
ngx_http_async_pg_cancel_drop(void *data)
{
    ngx_http_async_pg_cancel_t  *cancel = data;

    PQfreeCancel(cancel->cancel);
}


/*
 * What was to be prepared when nobody waited for the answer any more: the
 * server is asked whether it has it.
 */

static async_rc_t
ngx_http_async_pg_doubt(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    PGresult                      *result;
    async_rc_t                     rc;
    ngx_http_async_pg_prepared_t  *prepared;

    for ( ;; ) {
        prepared = ngx_http_async_pg_doubtful(conn);

        if (prepared == NULL) {
            return ASYNC_OK;
        }

        rc = PQsendDescribePrepared(conn->pg, prepared->name)
             ? ngx_http_async_pg_flush(t, conn)
             : ngx_http_async_pg_lost(t, conn);

        result = NULL;

        if (rc == ASYNC_OK) {
            rc = ngx_http_async_pg_command(t, conn, &result);
        }

        if (rc == ASYNC_OK) {
            ngx_http_async_pg_confirm(conn, prepared,
                                      PQresultStatus(result)
                                      == PGRES_COMMAND_OK);
        }

        PQclear(result);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }
}


/* The session becomes as it was when it was connected. */

static async_rc_t
ngx_http_async_pg_reset(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    async_rc_t   rc;
    const char  *sql;

    if (conn->leaves == NGX_HTTP_ASYNC_PG_NAMES) {
        /* ours are gone with those of the app */
        ngx_http_async_pg_forget_statements(conn);
        sql = "DISCARD ALL";

    } else {
        sql = "CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all();"
              " RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL;"
              " DISCARD TEMP";
    }

    rc = ngx_http_async_pg_execute(t, conn, sql, NULL, 0);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_formats(t, conn);
    }

    if (rc == ASYNC_OK) {
        conn->leaves = NGX_HTTP_ASYNC_PG_NOTHING;
    }

    return rc;
}


static async_rc_t
ngx_http_async_pg_drain_within(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_msec_t ms, ngx_uint_t *late)
{
    async_rc_t     rc;
    async_scope_t  scope;

    async_deadline_begin(t, "", &scope, ms);

    rc = ngx_http_async_pg_drain(t, conn);
    *late = (t->reason == NGX_ASYNC_DEADLINE);

    async_deadline_end(&scope);

    return rc;
}


/* Reads what is still to be answered, of a pipeline up to the next sync. */

static async_rc_t
ngx_http_async_pg_drain(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    PGresult        *result;
    async_rc_t       rc;
    ngx_uint_t       ends;
    ExecStatusType   status;

    for (ends = 0; ends < 2; /* void */ ) {

        rc = ngx_http_async_pg_flush(t, conn);

        if (rc == ASYNC_OK) {
            rc = ngx_http_async_pg_get(t, conn, &result);
        }

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (result == NULL) {
            /* the end of a statement, and of all if nothing follows */
            ends++;
            continue;
        }

        ends = 0;
        status = PQresultStatus(result);
        PQclear(result);

        if (PQstatus(conn->pg) != CONNECTION_OK) {
            return ngx_http_async_pg_lost(t, conn);
        }

        rc = ngx_http_async_pg_drain_copy(t, conn, status);

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (status == PGRES_PIPELINE_SYNC) {
            /* refused as long as something follows */
            (void) PQexitPipelineMode(conn->pg);
            return ASYNC_OK;
        }
    }

    return (PQpipelineStatus(conn->pg) == PQ_PIPELINE_OFF)
           ? ASYNC_OK : ngx_http_async_pg_lost(t, conn);
}


/* A COPY has more than results: data, or the server waits for them. */

static async_rc_t
ngx_http_async_pg_drain_copy(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ExecStatusType status)
{
    int          n;
    char        *data;
    async_rc_t   rc;

    if (status == PGRES_COPY_IN) {
        return (PQputCopyEnd(conn->pg, "the COPY was broken off") == 1)
               ? ASYNC_OK : ngx_http_async_pg_lost(t, conn);
    }

    if (status == PGRES_COPY_BOTH) {
        return ngx_http_async_pg_lost(t, conn);
    }

    if (status != PGRES_COPY_OUT) {
        return ASYNC_OK;
    }

    for ( ;; ) {
        n = PQgetCopyData(conn->pg, &data, 1);

        if (n == 0) {
            rc = ngx_http_async_pg_more(t, conn);

            if (rc != ASYNC_OK) {
                return rc;
            }

            continue;
        }

        if (n < 0) {
            return (n == -1) ? ASYNC_OK : ngx_http_async_pg_lost(t, conn);
        }

        PQfreemem(data);
    }
}
