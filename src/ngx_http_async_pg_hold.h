
/*
 * Copyright (C) the nginx-async authors
 *
 * A connection over several awaits: that of a stream, or of a COPY.
 *
 * It is of the pool, or the one of the transaction of the task, which then has
 * none: whatever else wants it is told that it is busy.
 */

#ifndef _NGX_HTTP_ASYNC_PG_HOLD_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_HOLD_H_INCLUDED_


#include <ngx_http_async_pg_query.h>
#include <ngx_http_async_pg_task.h>


/* the first member of what an app has */

struct ngx_http_async_pg_hold_s {
    ngx_async_handle_t          handle;
    const char                 *what;         /* for messages: "a stream" */
    ngx_http_async_pg_conn_t   *conn;         /* NULL: it has none any more */
    ngx_http_async_pg_tx_t     *tx;           /* NULL: it is of the pool */
    ngx_uint_t                  inside;       /* a task is in a call of it */
};


/* Suspends until it has a connection. */
async_rc_t ngx_http_async_pg_hold(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_hold_t *hold);

/* Opens an await on it.  ASYNC_BUSY: another task is in one. */
async_rc_t ngx_http_async_pg_hold_enter(ngx_async_task_t *t, const char *await,
    const char *site, ngx_http_async_pg_hold_t *hold);

/*
 * Gives the connection back.  In the middle of a statement that is cancelled,
 * and a transaction lost.
 */
void ngx_http_async_pg_hold_end(ngx_http_async_pg_hold_t *hold);

/* The transaction takes its connection back, whatever that is doing. */
void ngx_http_async_pg_hold_revoke(ngx_http_async_pg_hold_t *hold);

/*
 * The same, and suspends until the statement has been cancelled: then there may
 * be a rollback.  ASYNC_BUSY: another task is in a call of it.
 */
async_rc_t ngx_http_async_pg_hold_stop(ngx_async_task_t *t,
    ngx_http_async_pg_hold_t *hold);


#endif /* _NGX_HTTP_ASYNC_PG_HOLD_H_INCLUDED_ */
