
/*
 * Copyright (C) the nginx-async authors
 *
 * async_pg ... min: so many connections are there before somebody asks.  A
 * timer is set whenever one is missing, for the moment at which the server may
 * be tried; it starts a task that opens them one after another.  Nobody waits
 * for that, and a worker that quits does not begin it.
 */

#include <ngx_http_async_pg_pool.h>
#include <ngx_async_quit.h>


/* until a task can be tried again that could not be made, in ms */
#define NGX_HTTP_ASYNC_PG_MIN_AGAIN  1000


typedef struct {
    ngx_async_task_t            task;
    ngx_http_async_pg_pool_t   *pool;
} ngx_http_async_pg_min_t;


static void ngx_http_async_pg_min_handler(ngx_event_t *ev);
static void ngx_http_async_pg_min_body(ngx_async_task_t *t);
static void ngx_http_async_pg_min_done(ngx_async_task_t *t);


static ngx_async_profile_t  ngx_http_async_pg_min_profile
    = ngx_async_own_profile("async_pg:min");

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t     ngx_http_async_pg_min_no_connection;


void
ngx_http_async_pg_min_init(ngx_http_async_pg_pool_t *pool)
{
    ngx_http_async_pg_min_no_connection.fd = (ngx_socket_t) -1;

    pool->opener.handler = ngx_http_async_pg_min_handler;
    pool->opener.data = &ngx_http_async_pg_min_no_connection;
    pool->opener.log = ngx_cycle->log;
    pool->opener.cancelable = 1;

    ngx_http_async_pg_min_check(pool);
}


void
ngx_http_async_pg_min_check(ngx_http_async_pg_pool_t *pool)
{
    ngx_msec_int_t  wait;

    if (pool->n >= pool->min || pool->opening || pool->opener.timer_set
        || ngx_async_quitting || ngx_exiting || ngx_terminate)
    {
        return;
    }

    wait = pool->delay ? (ngx_msec_int_t) (pool->down - ngx_current_msec) : 0;

    ngx_add_timer(&pool->opener, (ngx_msec_t) ngx_max(wait, 0));
}


void
ngx_http_async_pg_min_quit(ngx_http_async_pg_pool_t *pool)
{
    if (pool->opener.timer_set) {
        ngx_del_timer(&pool->opener);
    }

    if (pool->opening) {
        /* what is woken from here would wait for the next event */
        ngx_add_timer(&pool->opener, 0);
    }
}


static void
ngx_http_async_pg_min_handler(ngx_event_t *ev)
{
    ngx_http_async_pg_min_t   *min;
    ngx_http_async_pg_pool_t  *pool;

    pool = (ngx_http_async_pg_pool_t *)
               ((u_char *) ev - offsetof(ngx_http_async_pg_pool_t, opener));

    if (ngx_async_quitting) {

        if (pool->opening) {
            ngx_async_task_cancel(pool->opening, NGX_ASYNC_SHUTDOWN);
        }

        return;
    }

    if (pool->n >= pool->min) {
        return;
    }

    if (pool->delay && (ngx_msec_int_t) (pool->down - ngx_current_msec) > 0) {
        /* somebody else has tried it meanwhile */
        ngx_http_async_pg_min_check(pool);
        return;
    }

    min = ngx_async_task_create_over(ngx_http_async_pg_min_body,
                                     ngx_http_async_pg_min_done,
                                     &ngx_http_async_pg_min_profile,
                                     ngx_cycle->log);
    if (min == NULL) {
        ngx_add_timer(&pool->opener, NGX_HTTP_ASYNC_PG_MIN_AGAIN);
        return;
    }

    min->pool = pool;
    pool->opening = &min->task;

    ngx_async_task_ready(&min->task);
}


static void
ngx_http_async_pg_min_body(ngx_async_task_t *t)
{
    ngx_http_async_pg_min_t  *min = (ngx_http_async_pg_min_t *) t;

    async_rc_t                 rc;
    ngx_uint_t                 level;
    ngx_http_async_pg_pool_t  *pool;

    pool = min->pool;

    while (pool->n < pool->min) {

        rc = ngx_async_enter(t, "async_pg min", "");

        if (rc != ASYNC_OK) {
            return;
        }

        level = pool->delay ? NGX_LOG_INFO : NGX_LOG_ERR;

        rc = ngx_http_async_pg_add_one(t, pool);

        if (rc == ASYNC_CANCELLED) {
            return;
        }

        if (rc != ASYNC_OK) {
            /* once, however long it lasts */
            ngx_log_error(level, ngx_cycle->log, 0, "%s; it is tried again",
                          async_error(t));
            return;
        }
    }
}


static void
ngx_http_async_pg_min_done(ngx_async_task_t *t)
{
    ngx_http_async_pg_min_t  *min = (ngx_http_async_pg_min_t *) t;

    ngx_http_async_pg_pool_t  *pool;

    pool = min->pool;
    pool->opening = NULL;

    ngx_http_async_pg_min_check(pool);
}
