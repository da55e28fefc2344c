
/*
 * Copyright (C) the nginx-async authors
 *
 * Connections over several awaits: see ngx_http_async_pg_hold.h.
 */

#include <ngx_http_async_pg_hold.h>


async_rc_t
ngx_http_async_pg_hold(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_hold_t *hold)
{
    ngx_http_async_pg_tx_t  *tx;

    tx = ngx_http_async_pg_tx(t, pool);

    if (tx == NULL) {
        return ngx_http_async_pg_acquire(t, pool, 0, &hold->conn);
    }

    if (tx->conn == NULL) {
        return ngx_http_async_pg_tx_lost(t, tx);
    }

    hold->conn = tx->conn;
    hold->tx = tx;

    tx->conn = NULL;
    tx->held = hold;

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_pg_hold_enter(ngx_async_task_t *t, const char *await,
    const char *site, ngx_http_async_pg_hold_t *hold)
{
    async_rc_t  rc;

    rc = ngx_async_enter(t, await, site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_http_async_pg_task_begin(t);

    return hold->inside
           ? ngx_async_set_error(t, ASYNC_BUSY, "%s(): another task is in a "
                                 "call of that %s", await, hold->what)
           : ASYNC_OK;
}


void
ngx_http_async_pg_hold_end(ngx_http_async_pg_hold_t *hold)
{
    ngx_http_async_pg_tx_t    *tx;
    ngx_http_async_pg_conn_t  *conn;

    conn = hold->conn;
    tx = hold->tx;

    hold->conn = NULL;
    hold->tx = NULL;

    if (conn == NULL) {
        return;
    }

    if (tx) {
        tx->held = NULL;

        if (!conn->doomed && PQstatus(conn->pg) == CONNECTION_OK
            && PQtransactionStatus(conn->pg) != PQTRANS_ACTIVE
            && PQpipelineStatus(conn->pg) == PQ_PIPELINE_OFF)
        {
            tx->conn = conn;
            return;
        }
    }

    ngx_http_async_pg_release(conn);
}


void
ngx_http_async_pg_hold_revoke(ngx_http_async_pg_hold_t *hold)
{
    ngx_http_async_pg_tx_t  *tx;

    tx = hold->tx;

    hold->tx = NULL;
    tx->held = NULL;

    if (!hold->inside) {
        tx->conn = hold->conn;
        hold->conn = NULL;
        return;
    }

    /* whoever waits for the connection ends it, behind the wait */

    hold->conn->doomed = 1;

    if (hold->conn->waits) {
        (void) ngx_async_wake(&hold->conn->waker, ASYNC_CLOSED);
    }
}


async_rc_t
ngx_http_async_pg_hold_stop(ngx_async_task_t *t,
    ngx_http_async_pg_hold_t *hold)
{
    async_rc_t               rc;
    ngx_http_async_pg_tx_t  *tx;

    if (hold->inside) {
        return ngx_async_set_error(t, ASYNC_BUSY, "another task is in a call "
                                   "of the %s of the transaction", hold->what);
    }

    tx = hold->tx;
    ngx_http_async_pg_hold_revoke(hold);

    rc = ngx_http_async_pg_stop(t, tx->conn);

    if (rc != ASYNC_OK) {
        ngx_http_async_pg_tx_lose(tx);
    }

    /* that there is no thread for it is no reason to try again */
    return (rc == ASYNC_BUSY) ? ASYNC_ERROR : rc;
}
