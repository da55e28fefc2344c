
/*
 * Copyright (C) the nginx-async authors
 *
 * async_time_ms() and async_monotonic_ms(): nginx's clocks for the loop, and
 * the system's for other threads, since the loop may be in the middle of
 * setting its own.
 */

#include <ngx_async_task.h>


static int64_t ngx_async_time_read(clockid_t id);


int64_t
async_time_ms(void)
{
    ngx_time_t  *tp;

    if (!ngx_async_is_loop()) {
        return ngx_async_time_read(CLOCK_REALTIME);
    }

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}


int64_t
async_monotonic_ms(void)
{
    /* of the kind that nginx reads for its own, so that they agree */

    return ngx_async_is_loop() ? (int64_t) ngx_current_msec
                               : ngx_async_time_read(CLOCK_MONOTONIC_COARSE);
}


static int64_t
ngx_async_time_read(clockid_t id)
{
    struct timespec  ts;

    (void) clock_gettime(id, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
