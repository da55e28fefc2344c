
/*
 * Copyright (C) the nginx-async authors
 *
 * Pools of connections to PostgreSQL, one of each name a worker.
 *
 * A connection is in one of three places.  "idle": nobody has it, it waits for
 * nothing, and its transaction is over.  "used": a task has it.  "leaving": a
 * task has left it in the middle of a statement; that is cancelled on the
 * server, and the connection idle again when its answers have been read, or
 * closed.  All three count as connections of the pool.
 *
 * Waiters are first come, first served: a connection that becomes free is the
 * first one's, before anybody else can see it.
 */

#ifndef _NGX_HTTP_ASYNC_PG_POOL_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_POOL_H_INCLUDED_


#include <ngx_http_async_pg.h>


typedef struct ngx_http_async_pg_conn_s  ngx_http_async_pg_conn_t;


/* async_pg, and what it has come to in a worker */

typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   conninfo;     /* zero-terminated */
    ngx_str_t                   password;     /* of a file or the environment */

    /* in workers: of the conninfo, else of the environment, else libpq's */
    PQconninfoOption           *options;

    ngx_uint_t                  connections;
    ngx_uint_t                  queue;
    ngx_uint_t                  statements;
    ngx_msec_t                  acquire_timeout;
    ngx_msec_t                  connect_timeout;
    ngx_msec_t                  idle_time;
    ngx_msec_t                  lifetime;

    ngx_queue_t                 idle;         /* the last used is the first */
    ngx_queue_t                 used;
    ngx_queue_t                 leaving;
    ngx_uint_t                  n;            /* of all three */

    ngx_queue_t                 waiters;
    ngx_uint_t                  nwaiters;

    /* a server that is down: until then nobody tries, and why */
    ngx_msec_t                  down;
    ngx_msec_t                  delay;        /* 0: it is not */
    u_char                      why[NGX_ASYNC_ERROR_LEN];
} ngx_http_async_pg_pool_t;


struct ngx_http_async_pg_conn_s {
    ngx_queue_t                 queue;        /* of the pool: see above */
    ngx_http_async_pg_pool_t   *pool;
    PGconn                     *pg;
    ngx_connection_t           *c;            /* its socket; NULL: none */

    ngx_async_waker_t           waker;
    ngx_msec_t                  since;        /* when it was connected */

    /* ngx_http_async_pg_query.c: statements that the server knows */
    ngx_rbtree_t                statements;
    ngx_rbtree_node_t           sentinel;
    ngx_queue_t                 used_last;
    ngx_uint_t                  nstatements;
    ngx_uint_t                  named;        /* the number of the last one */

    unsigned                    waits:1;
    unsigned                    doomed:1;     /* it is not to be used again */
};


/* The pool of this name; NULL: there is none. */
ngx_http_async_pg_pool_t *ngx_http_async_pg_pool(const char *name);

/*
 * Suspends until the task has a connection, which it has to give back.
 *
 * ASYNC_BUSY: the queue is full.  ASYNC_TIMEOUT: not in time.  ASYNC_ERROR: the
 * server cannot be reached, or does not want us.
 */
async_rc_t ngx_http_async_pg_acquire(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_conn_t **conn);

/*
 * Gives it back, or closes it if it cannot be used again.  One that still has a
 * statement to answer is cancelled first; nobody waits for that.
 */
void ngx_http_async_pg_release(ngx_http_async_pg_conn_t *conn);


/* Closes those that are idle: the worker exits. */
void ngx_http_async_pg_empty(ngx_http_async_pg_pool_t *pool);

/*
 * ngx_http_async_pg_leave.c: has the statement of it cancelled and its answers
 * read, by a task of its own; then it is released again, or closed.
 */
void ngx_http_async_pg_leave(ngx_http_async_pg_conn_t *conn);

/*
 * Suspends while that is done by the task itself: a transaction stays open, and
 * has failed.  On errors the connection is still to be left.
 */
async_rc_t ngx_http_async_pg_stop(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

/* ngx_http_async_pg_conn.c */

/* Suspends until libpq is connected, or says why it is not. */
async_rc_t ngx_http_async_pg_connect(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

/* Suspends until all has been sent, while what comes meanwhile is read. */
async_rc_t ngx_http_async_pg_flush(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

/* PQflush(); 1: there is more to be sent, when ..._either() has returned */
int ngx_http_async_pg_push(ngx_http_async_pg_conn_t *conn);

/* Suspends until it takes more, or something has come, which is left. */
async_rc_t ngx_http_async_pg_either(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

/* PQconsumeInput(); zero: the connection is lost */
int ngx_http_async_pg_consume(ngx_http_async_pg_conn_t *conn);

/* Suspends until something has come, and has libpq take it. */
async_rc_t ngx_http_async_pg_more(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

/*
 * Suspends until there is a result, which is the caller's.  NULL, and ASYNC_OK:
 * the end of those of a statement.  ASYNC_CLOSED: the connection is lost.
 */
async_rc_t ngx_http_async_pg_get(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, PGresult **result);

/* Notes that the connection is lost: ASYNC_CLOSED. */
async_rc_t ngx_http_async_pg_lost(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

void ngx_http_async_pg_close(ngx_http_async_pg_conn_t *conn);

/* An idle one: its events are of the pool, which closes it. */
void ngx_http_async_pg_rest(ngx_http_async_pg_conn_t *conn);
void ngx_http_async_pg_unrest(ngx_http_async_pg_conn_t *conn);

/* What closes it: the server, or its time, or the end of the worker. */
void ngx_http_async_pg_gone(ngx_http_async_pg_conn_t *conn);


/* ngx_http_async_pg_query.c: forgets what the server knew */
void ngx_http_async_pg_forget_statements(ngx_http_async_pg_conn_t *conn);

void ngx_http_async_pg_init(ngx_cycle_t *cycle);
void ngx_http_async_pg_exit(void);


#endif /* _NGX_HTTP_ASYNC_PG_POOL_H_INCLUDED_ */
