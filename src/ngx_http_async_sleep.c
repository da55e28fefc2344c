
/*
 * Copyright (C) the nginx-async authors
 *
 * await_sleep() and await_yield(): the wait itself does it all.
 */

#include <ngx_async_task.h>


/* ten years, so that nginx's arithmetic of times does not wrap */
#define NGX_ASYNC_SLEEP_MAX  ((int64_t) 10 * 366 * 24 * 3600 * 1000)


async_rc_t
await_sleep_at(async_t *co, const char *site, int64_t ms)
{
    ngx_int_t   rc;
    async_rc_t  rv;

    rv = ngx_async_enter(co, "await_sleep", site);
    if (rv != ASYNC_OK) {
        return rv;
    }

    (void) ngx_async_waker(co);

    rc = ngx_async_wait(co, ngx_min(ngx_max(ms, 0), NGX_ASYNC_SLEEP_MAX));

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
