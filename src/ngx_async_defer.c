
/*
 * Copyright (C) the nginx-async authors
 *
 * async_defer(): what a task has to undo when it ends, by whichever way.
 */

#include <ngx_async_task.h>


struct ngx_async_defer_s {
    ngx_async_defer_t  *next;
    async_cleanup_pt    cleanup;
    void               *arg;
};


static async_rc_t ngx_async_run_defer(async_t *co, void *arg);


ngx_uint_t  ngx_async_ndefers;


async_rc_t
async_defer(async_t *co, async_cleanup_pt cleanup, void *arg)
{
    ngx_async_defer_t  *d;

    ngx_async_check_task(co);

    /* one of a call may outlive the request: ngx_async_thread.c */

    d = ngx_alloc(sizeof(ngx_async_defer_t), co->log);

    if (d == NULL) {
        cleanup(co, arg);
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    d->cleanup = cleanup;
    d->arg = arg;
    d->next = co->defers;

    co->defers = d;
    ngx_async_ndefers++;

    return ASYNC_OK;
}


void
ngx_async_run_defers(ngx_async_task_t *t)
{
    u_char               error[NGX_ASYNC_ERROR_LEN];
    const char          *await, *site;
    ngx_async_defer_t   *d;
    ngx_async_shield_t   shield;

    static const ngx_async_bound_t  bound = {
        "async_cleanup_timeout", NULL, 0
    };

    /* what is told of a failure is what happened before */

    await = t->await;
    site = t->site;
    ngx_memcpy(error, t->error, NGX_ASYNC_ERROR_LEN);

    ngx_async_shield(t, &shield, ngx_async_cleanup_timeout, &bound);

    while (t->defers) {
        d = t->defers;
        t->defers = d->next;

        (void) ngx_async_call(t, ngx_async_run_defer, d);

        ngx_free(d);
        ngx_async_ndefers--;
    }

    ngx_async_unshield(t);

    t->await = await;
    t->site = site;
    ngx_memcpy(t->error, error, NGX_ASYNC_ERROR_LEN);
}


static async_rc_t
ngx_async_run_defer(async_t *co, void *arg)
{
    ngx_async_defer_t  *d = arg;

    d->cleanup(co, d->arg);

    return ASYNC_OK;
}


void
ngx_async_defers_move(ngx_async_defer_t **to, ngx_async_defer_t **from)
{
    ngx_async_defer_t  *first, **last;

    first = *from;
    *from = NULL;

    for (last = &first; *last; last = &(*last)->next) { /* void */ }

    *last = *to;
    *to = first;
}
