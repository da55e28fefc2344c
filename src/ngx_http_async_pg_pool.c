
/*
 * Copyright (C) the nginx-async authors
 *
 * Pools of connections to PostgreSQL: see ngx_http_async_pg_pool.h.
 */

#include <ngx_http_async_pg_share.h>
#include <ngx_http_async_pg_task.h>
#include <sys/random.h>


/* between tries of a server that is down, in ms */
#define NGX_HTTP_ASYNC_PG_DELAY      100
#define NGX_HTTP_ASYNC_PG_DELAY_MAX  5000


/* on the stack of the task that waits */

typedef struct {
    ngx_queue_t                 queue;
    ngx_async_waker_t           waker;
    ngx_http_async_pg_conn_t   *conn;         /* what it has been given */
    unsigned                    given:1;      /* that, or the place of one */
    unsigned                    lone:1;       /* it may share one */
    unsigned                    joins:1;      /* ... which has room for it */
} ngx_http_async_pg_waiter_t;


/* beside the codes of async_rc_t */
#define NGX_HTTP_ASYNC_PG_FULL  1

/* too_many_connections */
#define ngx_http_async_pg_is_full(pool)                                      \
    ((pool)->n && ngx_strcmp((pool)->said.state, "53300") == 0)


static async_rc_t ngx_http_async_pg_find(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_uint_t lone,
    ngx_http_async_pg_conn_t **conn);
static async_rc_t ngx_http_async_pg_queue(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_uint_t lone,
    ngx_http_async_pg_conn_t **conn);
static void ngx_http_async_pg_queue_in(ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_waiter_t *w);
static void ngx_http_async_pg_queue_out(ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_waiter_t *w);
static void ngx_http_async_pg_queue_left(ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_waiter_t *w);
static ngx_int_t ngx_http_async_pg_make(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_conn_t **conn);
static async_rc_t ngx_http_async_pg_is_down(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool);
static void ngx_http_async_pg_set_down(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_msec_t delay);
static void ngx_http_async_pg_offer(ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_drop(ngx_http_async_pg_conn_t *conn);


async_rc_t
ngx_http_async_pg_acquire(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_uint_t lone, ngx_http_async_pg_conn_t **conn)
{
    async_rc_t  rc;
    ngx_msec_t  since;

    since = ngx_current_msec;

    rc = ngx_http_async_pg_find(t, pool, lone, conn);

    ngx_http_async_pg_count(pool, ACQUIRES);

    if (rc == ASYNC_BUSY) {
        ngx_http_async_pg_count(pool, REFUSED);

    } else if (rc == ASYNC_TIMEOUT) {
        ngx_http_async_pg_count(pool, TIMED_OUT);
    }

    ngx_http_async_pg_stats_time(pool, NGX_HTTP_ASYNC_PG_STATS_WAIT, since);

    return rc;
}


static async_rc_t
ngx_http_async_pg_find(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_uint_t lone, ngx_http_async_pg_conn_t **conn)
{
    ngx_int_t                  rc;
    ngx_uint_t                 first;
    ngx_queue_t               *q;
    ngx_http_async_pg_conn_t  *c;

    *conn = NULL;

    while (!ngx_queue_empty(&pool->idle)) {

        q = ngx_queue_head(&pool->idle);
        c = ngx_queue_data(q, ngx_http_async_pg_conn_t, queue);

        ngx_http_async_pg_unrest(c);

        if (ngx_http_async_pg_old(c)) {
            ngx_http_async_pg_drop(c);
            continue;
        }

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&pool->used, q);

        *conn = c;

        return ASYNC_OK;
    }

    if (pool->n < pool->connections) {

        first = ngx_queue_empty(&pool->waiters);

        rc = ngx_http_async_pg_make(t, pool, conn);

        if (rc != NGX_HTTP_ASYNC_PG_FULL && (rc != ASYNC_OK || first)) {
            return rc;
        }

        if (rc == ASYNC_OK) {
            /* the server takes more of us again: those who wait come first */
            ngx_http_async_pg_offer(pool, *conn);
            *conn = NULL;
        }
    }

    return ngx_http_async_pg_queue(t, pool, lone, conn);
}


static async_rc_t
ngx_http_async_pg_queue(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_uint_t lone, ngx_http_async_pg_conn_t **conn)
{
    ngx_int_t                   rc;
    ngx_msec_t                  until;
    ngx_msec_int_t              left;
    ngx_http_async_pg_waiter_t  w;

    if (pool->nwaiters == pool->queue) {
        return ngx_async_set_error(t, ASYNC_BUSY, "database \"%V\": %ui wait "
                                   "for a connection already (async_pg ... "
                                   "queue)", &pool->name, pool->queue);
    }

    ngx_memzero(&w, sizeof(ngx_http_async_pg_waiter_t));
    w.lone = lone;

    until = ngx_current_msec + pool->acquire_timeout;
    ngx_queue_insert_tail(&pool->waiters, &w.queue);

    for ( ;; ) {
        w.waker = ngx_async_waker(t);
        ngx_http_async_pg_queue_in(pool, &w);

        left = (ngx_msec_int_t) (until - ngx_current_msec);

        rc = ngx_async_wait(t, ngx_max(left, 0));

        if (rc != ASYNC_OK) {
            break;
        }

        if (w.joins) {
            pool->joining--;
            return ASYNC_OK;
        }

        if (w.conn) {
            *conn = w.conn;
            return ASYNC_OK;
        }

        /* there was one less: its place is this one's */

        pool->n--;
        rc = ngx_http_async_pg_make(t, pool, conn);

        if (rc != NGX_HTTP_ASYNC_PG_FULL) {
            return rc;
        }

        /* it is still the first */
        ngx_queue_insert_head(&pool->waiters, &w.queue);
    }

    ngx_http_async_pg_queue_left(pool, &w);

    if (rc == NGX_ASYNC_ELAPSED) {
        return ngx_async_because(t, ASYNC_CAUSE_TIMEOUT,
                                 ngx_async_set_error(t, ASYNC_TIMEOUT,
                                           "database \"%V\": no connection "
                                           "was free within %M ms",
                                           &pool->name,
                                           pool->acquire_timeout));
    }

    return rc;
}


static void
ngx_http_async_pg_queue_in(ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_waiter_t *w)
{
    w->conn = NULL;
    w->given = 0;

    pool->nwaiters++;
    pool->nlone += w->lone;

    ngx_http_async_pg_let_in(pool);
}


static void
ngx_http_async_pg_queue_out(ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_waiter_t *w)
{
    ngx_queue_remove(&w->queue);

    pool->nwaiters--;
    pool->nlone -= w->lone;
}


/* It does not wait any more, and does not want what it has been given. */

static void
ngx_http_async_pg_queue_left(ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_waiter_t *w)
{
    if (w->joins) {
        pool->joining--;

    } else if (w->conn) {
        ngx_http_async_pg_release(w->conn);

    } else if (w->given) {
        pool->n--;
        ngx_http_async_pg_offer(pool, NULL);
        ngx_http_async_pg_min_check(pool);

    } else {
        ngx_http_async_pg_queue_out(pool, w);
    }

    ngx_http_async_pg_let_in(pool);
}


void
ngx_http_async_pg_let_in(ngx_http_async_pg_pool_t *pool)
{
    ngx_queue_t                 *q;
    ngx_http_async_pg_waiter_t  *w;

    if (!pool->share) {
        return;
    }

    while (!ngx_queue_empty(&pool->waiters)) {

        q = ngx_queue_head(&pool->waiters);
        w = ngx_queue_data(q, ngx_http_async_pg_waiter_t, queue);

        if (!w->lone) {

            if (pool->joining == 0) {
                /* those before it have theirs */
                ngx_http_async_pg_share_yield(pool,
                                              pool->nwaiters - pool->nlone);
            }

            return;
        }

        if (ngx_http_async_pg_share_room(pool) <= pool->joining) {
            return;
        }

        ngx_http_async_pg_queue_out(pool, w);

        w->joins = 1;
        pool->joining++;

        (void) ngx_async_wake(&w->waker, ASYNC_OK);
    }
}


/* FULL: the server takes no more, but there are others that will be free. */

static ngx_int_t
ngx_http_async_pg_make(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_conn_t **conn)
{
    async_rc_t                 rc;
    ngx_msec_t                 delay;
    ngx_http_async_pg_conn_t  *c;

    if (pool->options == NULL
        || (pool->delay
            && (ngx_msec_int_t) (pool->down - ngx_current_msec) > 0))
    {
        if (ngx_http_async_pg_is_full(pool)) {
            return NGX_HTTP_ASYNC_PG_FULL;
        }

        rc = ngx_http_async_pg_is_down(t, pool);
        ngx_http_async_pg_offer(pool, NULL);
        return rc;
    }

    c = ngx_calloc(sizeof(ngx_http_async_pg_conn_t), t->log);
    if (c == NULL) {
        rc = ngx_async_set_error(t, ASYNC_ERROR, "no memory");
        ngx_http_async_pg_offer(pool, NULL);
        return rc;
    }

    c->pool = pool;
    ngx_http_async_pg_forget_statements(c);

    if (getrandom(&c->tag, sizeof(c->tag), GRND_NONBLOCK)
        != (ssize_t) sizeof(c->tag))
    {
        c->tag = ((uint64_t) ngx_random() << 32) ^ ngx_random()
                 ^ ((uint64_t) ngx_pid << 24) ^ (uint64_t) ngx_time();
    }

    ngx_queue_insert_tail(&pool->used, &c->queue);
    pool->n++;

    /* others ask when it is known */

    delay = pool->delay;

    if (delay) {
        pool->down = ngx_current_msec + delay;
    }

    pool->nconnecting++;

    rc = ngx_http_async_pg_connect(t, c);

    pool->nconnecting--;

    if (rc == ASYNC_OK) {
        ngx_http_async_pg_count(pool, OPENED);
        c->made = 1;

        pool->delay = 0;
        *conn = c;
        return ASYNC_OK;
    }

    ngx_http_async_pg_drop(c);

    if (rc != ASYNC_CANCELLED) {
        ngx_http_async_pg_count(pool, FAILED);
    }

    if (rc != ASYNC_CANCELLED && t->reason == NGX_ASYNC_KEEP) {
        ngx_http_async_pg_set_down(t, pool, delay);

        if (ngx_http_async_pg_is_full(pool)) {
            return NGX_HTTP_ASYNC_PG_FULL;
        }
    }

    ngx_http_async_pg_offer(pool, NULL);

    return rc;
}


async_rc_t
ngx_http_async_pg_add_one(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool)
{
    ngx_int_t                  rc;
    ngx_http_async_pg_conn_t  *conn;

    rc = ngx_http_async_pg_make(t, pool, &conn);

    if (rc == ASYNC_OK) {
        ngx_http_async_pg_release(conn);
    }

    return (rc == NGX_HTTP_ASYNC_PG_FULL) ? ngx_http_async_pg_is_down(t, pool)
                                          : rc;
}


static async_rc_t
ngx_http_async_pg_is_down(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool)
{
    if (pool->options == NULL) {
        return ngx_async_because(t, ASYNC_CAUSE_CONNECT,
                                 ngx_async_set_error(t, ASYNC_ERROR,
                                           "database \"%V\": %s",
                                           &pool->name, pool->why));
    }

    ngx_http_async_pg_note(t, &pool->said);

    return ngx_async_because(t, pool->cause,
                             ngx_async_set_error(t, ASYNC_ERROR, "%s",
                                                 pool->why));
}


/*
 * Nobody tries for a while; who waits is told at once.  Those who have tried at
 * the same time, at the end of the same delay, have seen one failure.
 */

static void
ngx_http_async_pg_set_down(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_msec_t delay)
{
    if (pool->delay == delay) {
        pool->delay = delay ? ngx_min(2 * delay, NGX_HTTP_ASYNC_PG_DELAY_MAX)
                            : NGX_HTTP_ASYNC_PG_DELAY;
    }

    pool->down = ngx_current_msec + pool->delay;

    pool->cause = (t->cause == ASYNC_CAUSE_NAME) ? ASYNC_CAUSE_NAME
                                                 : ASYNC_CAUSE_CONNECT;
    ngx_memcpy(pool->why, t->error, NGX_ASYNC_ERROR_LEN);
    pool->said = *ngx_http_async_pg_noted(t);
}


/*
 * Something is free: a connection, or, if it is NULL, the place of one.  It
 * goes to who has waited longest.
 */

static void
ngx_http_async_pg_offer(ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_conn_t *conn)
{
    ngx_queue_t                 *q;
    ngx_http_async_pg_waiter_t  *w;

    if (!ngx_queue_empty(&pool->waiters)) {

        q = ngx_queue_head(&pool->waiters);
        w = ngx_queue_data(q, ngx_http_async_pg_waiter_t, queue);

        ngx_http_async_pg_queue_out(pool, w);

        w->given = 1;
        w->conn = conn;

        if (conn) {
            ngx_queue_remove(&conn->queue);
            ngx_queue_insert_tail(&pool->used, &conn->queue);

        } else {
            /* the place is taken until it makes one */
            pool->n++;
        }

        /* if its time is over already, it gives it on */
        (void) ngx_async_wake(&w->waker, ASYNC_OK);

        ngx_http_async_pg_let_in(pool);
        return;
    }

    if (conn) {
        ngx_queue_remove(&conn->queue);
        ngx_queue_insert_head(&pool->idle, &conn->queue);

        ngx_http_async_pg_rest(conn);

        if (conn->doomed) {
            ngx_http_async_pg_drop(conn);
        }
    }
}


void
ngx_http_async_pg_release(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_pool_t  *pool;

    pool = conn->pool;

    if (!conn->doomed && PQstatus(conn->pg) == CONNECTION_OK
        && (PQtransactionStatus(conn->pg) != PQTRANS_IDLE
            || PQpipelineStatus(conn->pg) != PQ_PIPELINE_OFF
            || (conn->leaves && !ngx_exiting && !ngx_terminate)))
    {
        ngx_http_async_pg_leave(conn);
        return;
    }

    if (conn->doomed || PQstatus(conn->pg) != CONNECTION_OK || ngx_exiting
        || ngx_terminate || ngx_http_async_pg_old(conn))
    {
        ngx_http_async_pg_drop(conn);
        ngx_http_async_pg_offer(pool, NULL);
        return;
    }

    ngx_http_async_pg_offer(pool, conn);
}


/* Takes it out of its pool, wherever it is. */

static void
ngx_http_async_pg_drop(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_pool_t  *pool;

    pool = conn->pool;

    if (conn->made
        && (conn->doomed || PQstatus(conn->pg) != CONNECTION_OK))
    {
        ngx_http_async_pg_count(pool, LOST);
    }

    ngx_queue_remove(&conn->queue);
    pool->n--;

    ngx_http_async_pg_close(conn);
    ngx_free(conn);

    ngx_http_async_pg_min_check(pool);
}


void
ngx_http_async_pg_gone(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_drop(conn);
}


void
ngx_http_async_pg_empty(ngx_http_async_pg_pool_t *pool)
{
    while (!ngx_queue_empty(&pool->idle)) {
        ngx_http_async_pg_drop(ngx_queue_data(ngx_queue_head(&pool->idle),
                                              ngx_http_async_pg_conn_t,
                                              queue));
    }

    while (!ngx_queue_empty(&pool->shared)) {
        ngx_http_async_pg_share_lost(ngx_queue_data(
                                              ngx_queue_head(&pool->shared),
                                              ngx_http_async_pg_conn_t,
                                              queue));
    }
}
