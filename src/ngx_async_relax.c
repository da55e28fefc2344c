
/*
 * Copyright (C) the nginx-async authors
 *
 * A task that waits for long gives back the pages of its stack that it has used
 * and does not use now.  So that no wait has to pay for that, a timer goes
 * round all tasks, a batch at a time; what it has found in the same wait twice,
 * a lap apart, waits for long.
 */

#include <ngx_async_relax.h>


/* tasks at a time, 0.3 ms if all of them have something to give */
#define NGX_ASYNC_RELAX_BATCH  256

/* between two batches, in milliseconds */
#define NGX_ASYNC_RELAX_LEAST  20


static void ngx_async_relax_handler(ngx_event_t *ev);
static void ngx_async_relax(ngx_async_task_t *t);


ngx_event_t  ngx_async_relax_timer;

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t  ngx_async_relax_connection;


void
ngx_async_relax_init(ngx_cycle_t *cycle)
{
    ngx_async_relax_connection.fd = (ngx_socket_t) -1;

    ngx_async_relax_timer.handler = ngx_async_relax_handler;
    ngx_async_relax_timer.data = &ngx_async_relax_connection;
    ngx_async_relax_timer.log = cycle->log;
    ngx_async_relax_timer.cancelable = 1;
}


static void
ngx_async_relax_handler(ngx_event_t *ev)
{
    ngx_uint_t  i, n;
    ngx_msec_t  next;

    n = ngx_async_ntasks;

    if (n == 0) {
        return;
    }

    next = NGX_ASYNC_RELAX_LAP;

    if (n > NGX_ASYNC_RELAX_BATCH) {
        next = NGX_ASYNC_RELAX_LAP * NGX_ASYNC_RELAX_BATCH / n;
        next = ngx_max(next, NGX_ASYNC_RELAX_LEAST);

        n = NGX_ASYNC_RELAX_BATCH;
    }

    for (i = 0; i < n; i++) {
        ngx_async_relax(ngx_async_next_task());
    }

    ngx_add_timer(ev, next);
}


static void
ngx_async_relax(ngx_async_task_t *t)
{
    if (t->state != NGX_ASYNC_WAITING) {
        return;
    }

    if (t->seen != t->ticket) {
        t->seen = t->ticket;
        t->relaxed = 0;
        return;
    }

    if (!t->relaxed) {
        t->relaxed = 1;
        ngx_async_coro_relax(t->coro);
    }
}
