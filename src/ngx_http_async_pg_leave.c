
/*
 * Copyright (C) the nginx-async authors
 *
 * A connection that its task has left in the middle: the statement is cancelled
 * on the server, what it still answers is read, a transaction is rolled back.
 * Then it is as any other one; or it is closed, if that takes too long.
 *
 * libpq 15 blocks when it cancels: a thread does that.
 */

#include <ngx_http_async_pg_pool.h>
#include <ngx_http_async_thread.h>


/* for all of it, in ms */
#define NGX_HTTP_ASYNC_PG_LEAVE  5000


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
static void ngx_http_async_pg_cancel_run(void *data);
static void ngx_http_async_pg_cancel_drop(void *data);
static async_rc_t ngx_http_async_pg_drain(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);
static async_rc_t ngx_http_async_pg_drain_copy(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ExecStatusType status);


static ngx_async_profile_t  ngx_http_async_pg_leave_profile = {
    "async_pg:cancel", 0, 0, 0, 0
};

static ngx_async_bound_t  ngx_http_async_pg_leave_bound = {
    "the time of cancelling", NULL, NGX_HTTP_ASYNC_PG_LEAVE
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

        rc = PQsendQuery(conn->pg, "ROLLBACK")
             ? ngx_http_async_pg_flush(t, conn)
             : ngx_http_async_pg_lost(t, conn);

        if (rc == ASYNC_OK) {
            rc = ngx_http_async_pg_drain(t, conn);
        }
    }

    if (rc != ASYNC_OK || PQtransactionStatus(conn->pg) != PQTRANS_IDLE) {

        conn->doomed = 1;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "database \"%V\": a connection is closed, since a "
                      "statement could not be cancelled: %s",
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

    rc = (PQtransactionStatus(conn->pg) == PQTRANS_ACTIVE)
         ? ngx_http_async_pg_cancel(t, conn) : ASYNC_OK;

    return (rc == ASYNC_OK) ? ngx_http_async_pg_drain(t, conn) : rc;
}


static async_rc_t
ngx_http_async_pg_cancel(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    async_rc_t                   rc;
    ngx_async_thread_pool_t     *pool;
    ngx_http_async_pg_cancel_t  *cancel;

    pool = ngx_http_async_thread_find(t, NULL);

    cancel = pool ? ngx_async_thread_job(sizeof(ngx_http_async_pg_cancel_t),
                                         ngx_http_async_pg_cancel_run,
                                         ngx_http_async_pg_cancel_drop,
                                         t->profile, t->log)
                  : NULL;
    if (cancel == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory, or no thread "
                                   "pool");
    }

    cancel->cancel = PQgetCancel(conn->pg);

    if (cancel->cancel == NULL) {
        ngx_async_thread_free(cancel);
        return ngx_http_async_pg_lost(t, conn);
    }

    rc = ngx_async_thread_await(t, pool, cancel);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (!cancel->done) {
        rc = ngx_async_set_error(t, ASYNC_ERROR, "%s", cancel->error);
    }

    ngx_http_async_pg_cancel_drop(cancel);
    ngx_async_thread_free(cancel);

    return rc;
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


/* Reads what is still to be answered. */

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

        if (status == PGRES_PIPELINE_SYNC && !PQexitPipelineMode(conn->pg)) {
            return ngx_http_async_pg_lost(t, conn);
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
