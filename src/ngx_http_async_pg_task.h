
/*
 * Copyright (C) the nginx-async authors
 *
 * What a task has to do with databases: its transactions, and what the last
 * failure was.
 */

#ifndef _NGX_HTTP_ASYNC_PG_TASK_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_TASK_H_INCLUDED_


#include <ngx_http_async_pg_pool.h>


typedef struct ngx_http_async_pg_hold_s  ngx_http_async_pg_hold_t;


/* One that is open: the task's until its commit or rollback. */

typedef struct ngx_http_async_pg_tx_s  ngx_http_async_pg_tx_t;

struct ngx_http_async_pg_tx_s {
    ngx_http_async_pg_tx_t     *next;
    ngx_http_async_pg_pool_t   *pool;
    ngx_http_async_pg_conn_t   *conn;         /* NULL: it is lost, or held */
    ngx_http_async_pg_hold_t   *held;         /* by which stream or COPY */
    ngx_uint_t                  depth;        /* savepoints count */
};


typedef struct {
    ngx_async_end_t             end;
    ngx_http_async_pg_tx_t     *transactions;
    PGresult                   *failed;       /* NULL: it said nothing */
    ngx_http_async_pg_said_t    said;         /* how it refused to connect */
    async_pg_error_t            error;
} ngx_http_async_pg_task_t;


/* NULL: no memory */
ngx_http_async_pg_task_t *ngx_http_async_pg_task(ngx_async_task_t *t);

/* Opens an await of this pool, as ngx_async_enter() does; ASYNC_ERROR */
async_rc_t ngx_http_async_pg_enter(ngx_async_task_t *t, const char *await,
    const char *site, const char *name, ngx_http_async_pg_pool_t **pool);

/* From here on, async_pg_error() is of what comes. */
void ngx_http_async_pg_task_begin(ngx_async_task_t *t);

/* That of the task in this pool; NULL: none. */
ngx_http_async_pg_tx_t *ngx_http_async_pg_tx(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool);

/* Notes that it is lost, with its connection, which is given back. */
void ngx_http_async_pg_tx_lose(ngx_http_async_pg_tx_t *tx);

/* What a statement answers where it has no connection: lost, or busy. */
async_rc_t ngx_http_async_pg_tx_lost(ngx_async_task_t *t,
    ngx_http_async_pg_tx_t *tx);

/*
 * ngx_http_async_pg_query.c: the connection for a statement of the task, that
 * of its transaction or one of the pool; and back.  *tx is NULL for the latter.
 */
async_rc_t ngx_http_async_pg_take(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_conn_t **conn,
    ngx_http_async_pg_tx_t **tx);
void ngx_http_async_pg_give(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_tx_t *tx);

/* What a server has said that does not want to be connected to; or had said. */
void ngx_http_async_pg_note(ngx_async_task_t *t,
    ngx_http_async_pg_said_t *said);
const ngx_http_async_pg_said_t *ngx_http_async_pg_noted(ngx_async_task_t *t);

/* ngx_http_async_pg_query.c: a statement of our own, without a result */
async_rc_t ngx_http_async_pg_execute(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, const char *sql, char *tag, size_t size);

/* Takes over what the server has answered, notes the cause; ASYNC_ERROR */
async_rc_t ngx_http_async_pg_failed(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, PGresult *result);


#endif /* _NGX_HTTP_ASYNC_PG_TASK_H_INCLUDED_ */
