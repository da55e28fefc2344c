
/*
 * Copyright (C) the nginx-async authors
 *
 * await_sleep() and await_yield(): the wait itself does it all.
 */

#include <ngx_async_task.h>


async_rc_t
await_sleep_at(async_t *co, const char *site, int64_t ms)
{
    ngx_int_t          rc;
    async_rc_t         rv;
    ngx_async_bound_t  bound;

    rv = ngx_async_enter(co, "await_sleep", site);
    if (rv != ASYNC_OK) {
        return rv;
    }

    if (!ngx_async_is_time(ms)) {
        bound.what = "await_sleep";
        bound.site = site;
        bound.ms = ms;

        return ngx_async_refuse_time(co, &bound);
    }

    (void) ngx_async_waker(co);

    rc = ngx_async_wait(co, ms);

    return (rc == NGX_ASYNC_ELAPSED) ? ASYNC_OK : rc;
}


async_rc_t
await_yield_at(async_t *co, const char *site)
{
    ngx_int_t   rc;
    async_rc_t  rv;

    rv = ngx_async_enter(co, "await_yield", site);
    if (rv != ASYNC_OK) {
        return rv;
    }

    (void) ngx_async_waker(co);

    rc = ngx_async_wait(co, 0);

    return (rc == NGX_ASYNC_ELAPSED) ? ASYNC_OK : rc;
}
