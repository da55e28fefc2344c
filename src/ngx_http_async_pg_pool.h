
/*
 * Copyright (C) the nginx-async authors
 *
 * Pools of connections to PostgreSQL, one of each name a worker.
 *
 * A connection is in one of four places.  "idle": nobody has it, it waits for
 * nothing, and its transaction is over.  "used": a task has it.  "leaving": a
 * task has left it in the middle of a statement, which is cancelled on the
 * server, or with a session that it has changed; the connection is idle again
 * when that is undone, or closed.  "shared": several tasks have statements on
 * their way on it.  All of them count as connections of the pool.
 *
 * Waiters are first come, first served: a connection that becomes free is the
 * first one's, before anybody else can see it.
 */

#ifndef _NGX_HTTP_ASYNC_PG_POOL_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_POOL_H_INCLUDED_


#include <ngx_http_async_pg.h>
#include <ngx_async_thread.h>


typedef struct ngx_http_async_pg_conn_s  ngx_http_async_pg_conn_t;


/* what libpq may keep of a connection for good: it never gives buffers back */
#define NGX_HTTP_ASYNC_PG_LARGE    (8 * 1024 * 1024)

/* for each address, in ms */
#define NGX_HTTP_ASYNC_PG_CONNECT  5000


/* How a server has refused a connection; state: "" if it did not. */

typedef struct {
    char                        state[6];
    char                        message[NGX_ASYNC_ERROR_LEN];
} ngx_http_async_pg_said_t;


/* async_pg, and what it has come to in a worker */

typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   conninfo;     /* zero-terminated */
    ngx_str_t                   password_file;
    ngx_str_t                   password_env;
    ngx_str_t                   password;     /* of these; NULL: of libpq */

    /*
     * in workers: of the conninfo, else of a service, of the environment, or
     * libpq's own; NULL: they are wrong
     */
    PQconninfoOption           *options;

    ngx_uint_t                  connections;
    ngx_uint_t                  min;
    ngx_uint_t                  queue;
    ngx_uint_t                  statements;
    ngx_flag_t                  share;
    ngx_msec_t                  acquire_timeout;
    ngx_msec_t                  connect_timeout;
    ngx_msec_t                  idle_time;
    ngx_msec_t                  lifetime;
    ngx_msec_t                  ping;         /* of the one that listens */

    ngx_async_thread_pool_t    *cancels;      /* libpq blocks there */

    ngx_queue_t                 idle;         /* the last used is the first */
    ngx_queue_t                 used;
    ngx_queue_t                 leaving;
    ngx_queue_t                 shared;       /* ngx_http_async_pg_share.c */
    ngx_uint_t                  n;            /* of all four */

    ngx_queue_t                 waiters;
    ngx_uint_t                  nwaiters;
    ngx_uint_t                  nlone;        /* of them may share one */
    ngx_uint_t                  joining;      /* are on their way to share */

    /* a server that is down: until then nobody tries, and why */
    ngx_msec_t                  down;
    ngx_msec_t                  delay;        /* 0: it is not */
    int                         cause;        /* as async_cause() has it */
    u_char                      why[NGX_ASYNC_ERROR_LEN];
    ngx_http_async_pg_said_t    said;         /* by the server */

    /* ngx_http_async_pg_min.c: opens what is missing of "min" */
    ngx_event_t                 opener;
    ngx_async_task_t           *opening;

    /* ngx_http_async_pg_hub.c; NULL: nobody has listened yet */
    void                       *hub;

    /* ngx_http_async_pg_stats.c; connections of "used" that are being made */
    ngx_async_stats_t           stats;
    ngx_uint_t                  nconnecting;
} ngx_http_async_pg_pool_t;


/* the values of those; of the last two, histograms */

enum {
    NGX_HTTP_ASYNC_PG_STATS_MAX = 0,
    NGX_HTTP_ASYNC_PG_STATS_BUSY,
    NGX_HTTP_ASYNC_PG_STATS_IDLE,
    NGX_HTTP_ASYNC_PG_STATS_CONNECTING,
    NGX_HTTP_ASYNC_PG_STATS_WAITING,
    NGX_HTTP_ASYNC_PG_STATS_OPENED,
    NGX_HTTP_ASYNC_PG_STATS_FAILED,
    NGX_HTTP_ASYNC_PG_STATS_LOST,
    NGX_HTTP_ASYNC_PG_STATS_ACQUIRES,
    NGX_HTTP_ASYNC_PG_STATS_REFUSED,
    NGX_HTTP_ASYNC_PG_STATS_TIMED_OUT,
    NGX_HTTP_ASYNC_PG_STATS_STATEMENTS,
    NGX_HTTP_ASYNC_PG_STATS_ERRORS,
    NGX_HTTP_ASYNC_PG_STATS_CANCELS,
    NGX_HTTP_ASYNC_PG_STATS_WAIT,
    NGX_HTTP_ASYNC_PG_STATS_TIME = NGX_HTTP_ASYNC_PG_STATS_WAIT
                                   + NGX_ASYNC_STATS_TIMES
};


struct ngx_http_async_pg_conn_s {
    ngx_queue_t                 queue;        /* of the pool: see above */
    ngx_http_async_pg_pool_t   *pool;
    PGconn                     *pg;
    ngx_connection_t           *c;            /* its socket; NULL: none */

    ngx_async_waker_t           waker;
    ngx_msec_t                  since;        /* when it was connected */
    ngx_uint_t                  made;         /* it has been, to the end */

    /* ngx_http_async_pg_prepared.c: statements that the server knows */
    ngx_rbtree_t                statements;
    ngx_rbtree_node_t           sentinel;
    ngx_queue_t                 used_last;
    ngx_queue_t                 closed;       /* that it is to forget */
    ngx_uint_t                  nstatements;
    ngx_uint_t                  nclosed;
    ngx_uint_t                  named;        /* the number of the last one */
    uint64_t                    tag;          /* random: in their names */

    /* what is to be undone before the next task has it */
    ngx_http_async_pg_leaves_e  leaves;

    /* while it is shared: statements that are on their way, in their order */
    ngx_queue_t                 slots;
    ngx_uint_t                  nslots;

    unsigned                    waits:1;
    unsigned                    doomed:1;     /* it is not to be used again */
    unsigned                    closing:1;    /* it takes no more statements */
    unsigned                    tidying:1;
    unsigned                    large:1;      /* it has had a large message */
    unsigned                    notified:1;   /* which was told of */
};


/* The pool of this name; NULL: there is none. */
ngx_http_async_pg_pool_t *ngx_http_async_pg_pool(const char *name);

/*
 * While the configuration is read: whether it has that one; otherwise *near is
 * a name that comes near, or NULL.
 */
ngx_uint_t ngx_http_async_pg_known(ngx_conf_t *cf, ngx_str_t *name,
    const ngx_str_t **near);

/*
 * Suspends until the task has a connection, which it has to give back.  If it
 * wants it for a lone statement, that may be NULL: one that is shared has room,
 * which is its own until it suspends again.
 *
 * ASYNC_BUSY: the queue is full.  ASYNC_TIMEOUT: not in time.  ASYNC_ERROR: the
 * server cannot be reached, or does not want us.  *conn is NULL then.
 */
async_rc_t ngx_http_async_pg_acquire(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_uint_t lone,
    ngx_http_async_pg_conn_t **conn);

/*
 * One that is shared has room: for who waits for that, as long as nobody before
 * him waits for a connection of his own; then one is to become free.
 */
void ngx_http_async_pg_let_in(ngx_http_async_pg_pool_t *pool);

/*
 * Gives it back, or closes it if it cannot be used again.  One that still has a
 * statement to answer is cancelled first; nobody waits for that.
 */
void ngx_http_async_pg_release(ngx_http_async_pg_conn_t *conn);


/*
 * Suspends until there is one more connection, which is at once given to who
 * waits for one.  As ngx_http_async_pg_acquire().
 */
async_rc_t ngx_http_async_pg_add_one(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool);

/* Closes those that are idle: the worker exits. */
void ngx_http_async_pg_empty(ngx_http_async_pg_pool_t *pool);

/*
 * ngx_http_async_pg_min.c: has connections opened if there are less than "min".
 * _init: the worker starts.  _check: there is one less.  _quit: no more.
 */
void ngx_http_async_pg_min_init(ngx_http_async_pg_pool_t *pool);
void ngx_http_async_pg_min_check(ngx_http_async_pg_pool_t *pool);
void ngx_http_async_pg_min_quit(ngx_http_async_pg_pool_t *pool);

/* ngx_http_async_pg_conninfo.c: nginx -t; and for a worker, NULL: pool->why */
char *ngx_http_async_pg_conninfo(ngx_conf_t *cf,
    ngx_http_async_pg_pool_t *pool);
PQconninfoOption *ngx_http_async_pg_options(ngx_http_async_pg_pool_t *pool);

/* The master reads it, so that it may be root's; the path becomes a full one */
char *ngx_http_async_pg_password_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *password);
char *ngx_http_async_pg_password_env(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *password);

/*
 * ngx_http_async_pg_leave.c: has the statement of it cancelled and its answers
 * read, its session made as new, by a task of its own; then it is released
 * again, or closed.
 */
void ngx_http_async_pg_leave(ngx_http_async_pg_conn_t *conn);

/*
 * Suspends while that is done by the task itself: a transaction stays open, and
 * has failed.  On errors the connection is still to be left.
 */
async_rc_t ngx_http_async_pg_stop(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

/*
 * ngx_http_async_pg_connect.c: suspends until libpq is connected, or says why
 * it is not.
 */
async_rc_t ngx_http_async_pg_connect(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

/* Has it as our text forms need it; to be called again after a reset. */
async_rc_t ngx_http_async_pg_formats(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

/* ngx_http_async_pg_conn.c */

/* The socket of libpq has events of nginx's; before libpq may change it, not */
ngx_int_t ngx_http_async_pg_attach(ngx_http_async_pg_conn_t *conn);
void ngx_http_async_pg_detach(ngx_http_async_pg_conn_t *conn);

#define NGX_HTTP_ASYNC_PG_READ   1
#define NGX_HTTP_ASYNC_PG_WRITE  2

/* Suspends until one of these is possible; ASYNC_TIMEOUT: not in time. */
async_rc_t ngx_http_async_pg_wait(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_uint_t events, ngx_msec_t timeout);

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

/* Notes whether that has made libpq's buffers large; or NULL. */
void ngx_http_async_pg_weigh(ngx_http_async_pg_conn_t *conn, PGresult *result);

/* Reads what there is; 0: the connection is lost. */
int ngx_http_async_pg_consume(ngx_http_async_pg_conn_t *conn);

/*
 * Suspends until conn->waker is woken, by something that has come and is read
 * then, or by others.  ASYNC_TIMEOUT: by neither in time; the deadline of the
 * task is another one, with a reason.
 */
async_rc_t ngx_http_async_pg_input(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_msec_t timeout);

/* Notes that the connection is lost: ASYNC_CLOSED. */
async_rc_t ngx_http_async_pg_lost(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

void ngx_http_async_pg_close(ngx_http_async_pg_conn_t *conn);

/* Whether it has lived as long as it may, or keeps too much memory. */
ngx_uint_t ngx_http_async_pg_old(ngx_http_async_pg_conn_t *conn);

/* An idle one: its events are of the pool, which closes it.  Used: a task's. */
void ngx_http_async_pg_rest(ngx_http_async_pg_conn_t *conn);
void ngx_http_async_pg_unrest(ngx_http_async_pg_conn_t *conn);
void ngx_http_async_pg_used(ngx_http_async_pg_conn_t *conn);

/* What closes it: the server, or its time, or the end of the worker. */
void ngx_http_async_pg_gone(ngx_http_async_pg_conn_t *conn);


/*
 * ngx_http_async_pg_stats.c: rows for the status; sets what is not counted; a
 * time since then, ngx_current_msec, for one of the histograms.
 */
ngx_int_t ngx_http_async_pg_stats(ngx_conf_t *cf, ngx_array_t *pools);
void ngx_http_async_pg_stats_set(ngx_http_async_pg_pool_t *pool);
void ngx_http_async_pg_stats_time(ngx_http_async_pg_pool_t *pool,
    ngx_uint_t index, ngx_msec_t since);

#define ngx_http_async_pg_count(pool, index)                                 \
    ngx_async_stats_count(&(pool)->stats, NGX_HTTP_ASYNC_PG_STATS_##index)


/* ngx_http_async_pg_hub.c: frees what it had for those who listened. */
void ngx_http_async_pg_hub_free(ngx_http_async_pg_pool_t *pool);


/* ngx_http_async_pg_prepared.c: forgets what the server knew */
void ngx_http_async_pg_forget_statements(ngx_http_async_pg_conn_t *conn);

#endif /* _NGX_HTTP_ASYNC_PG_POOL_H_INCLUDED_ */
