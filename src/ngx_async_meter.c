
/*
 * Copyright (C) the nginx-async authors
 *
 * What tasks have taken of time; see ngx_async_meter.h.
 */

#include <ngx_async_meter.h>


/* what tasks have taken that ran while another one was in a call of the loop */
static uint64_t  ngx_async_meter_inner;


uint64_t
ngx_async_meter_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


void
ngx_async_meter_begin(ngx_async_meter_t *meter, ngx_async_task_t *t)
{
    if (meter->task) {
        /* an internal redirect has left it, and it is yet to end */
        ngx_async_meter_end(meter->task);
    }

    meter->task = t;
    t->meter = meter;
}


/* Its children have ended. */

void
ngx_async_meter_end(ngx_async_task_t *t)
{
    ngx_async_meter_t  *meter;

    meter = t->meter;

    if (meter == NULL || meter->task != t) {
        return;
    }

    if (meter->started) {
        meter->time += ngx_async_meter_clock() - meter->started;
    }

    meter->task = NULL;
    meter->started = 0;
    meter->since = 0;
}


void
ngx_async_meter_now(ngx_async_meter_t *meter, ngx_async_meter_t *now)
{
    uint64_t  clock;

    *now = *meter;

    if (meter->started == 0) {
        return;
    }

    clock = ngx_async_meter_clock();

    now->time += clock - meter->started;

    if (meter->since) {
        now->held += clock - meter->since;
        now->run += clock - meter->since;
    }
}


void
ngx_async_meter_enter(ngx_async_task_t *t, ngx_async_stretch_t *stretch)
{
    ngx_async_meter_t  *meter;

    meter = t->meter;

    stretch->start = ngx_async_meter_clock();
    stretch->inner = ngx_async_meter_inner;

    ngx_async_meter_inner = 0;

    if (meter->task == t) {
        meter->since = stretch->start;

        if (meter->started == 0) {
            meter->started = stretch->start;
        }
    }
}


void
ngx_async_meter_leave(ngx_async_task_t *t, ngx_async_stretch_t *stretch)
{
    uint64_t           spent;
    ngx_async_meter_t  *meter;

    meter = t->meter;
    spent = ngx_async_meter_clock() - stretch->start;

    meter->run += spent - ngx_async_meter_inner;

    if (meter->task == t) {
        meter->held += spent - ngx_async_meter_inner;
        meter->since = 0;
    }

    ngx_async_meter_inner = stretch->inner + spent;
}


void
ngx_async_meter_await(ngx_async_task_t *t)
{
    t->meter->awaits++;
    t->waits_for = NGX_ASYNC_METER_OTHER;
}


void
ngx_async_meter_waited(ngx_async_task_t *t, uint64_t since)
{
    t->meter->waits[t->waits_for] += ngx_async_meter_clock() - since;
}
