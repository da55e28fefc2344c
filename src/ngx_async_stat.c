
/*
 * Copyright (C) the nginx-async authors
 *
 * What tasks have taken of time; see ngx_async_stat.h.
 */

#include <ngx_async_stat.h>


/* what tasks have taken that ran while another one was in a call of the loop */
static uint64_t  ngx_async_stat_inner;


uint64_t
ngx_async_stat_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


void
ngx_async_stat_begin(ngx_async_stat_t *stat, ngx_async_task_t *t)
{
    if (stat->task) {
        /* an internal redirect has left it, and it is yet to end */
        ngx_async_stat_end(stat->task);
    }

    stat->task = t;
    t->stat = stat;
}


/* Its children have ended. */

void
ngx_async_stat_end(ngx_async_task_t *t)
{
    ngx_async_stat_t  *stat;

    stat = t->stat;

    if (stat == NULL || stat->task != t) {
        return;
    }

    if (stat->started) {
        stat->time += ngx_async_stat_clock() - stat->started;
    }

    stat->task = NULL;
    stat->started = 0;
    stat->since = 0;
}


void
ngx_async_stat_now(ngx_async_stat_t *stat, ngx_async_stat_t *now)
{
    uint64_t  clock;

    *now = *stat;

    if (stat->started == 0) {
        return;
    }

    clock = ngx_async_stat_clock();

    now->time += clock - stat->started;

    if (stat->since) {
        now->held += clock - stat->since;
        now->run += clock - stat->since;
    }
}


void
ngx_async_stat_enter(ngx_async_task_t *t, ngx_async_stretch_t *stretch)
{
    ngx_async_stat_t  *stat;

    stat = t->stat;

    stretch->start = ngx_async_stat_clock();
    stretch->inner = ngx_async_stat_inner;

    ngx_async_stat_inner = 0;

    if (stat->task == t) {
        stat->since = stretch->start;

        if (stat->started == 0) {
            stat->started = stretch->start;
        }
    }
}


void
ngx_async_stat_leave(ngx_async_task_t *t, ngx_async_stretch_t *stretch)
{
    uint64_t           spent;
    ngx_async_stat_t  *stat;

    stat = t->stat;
    spent = ngx_async_stat_clock() - stretch->start;

    stat->run += spent - ngx_async_stat_inner;

    if (stat->task == t) {
        stat->held += spent - ngx_async_stat_inner;
        stat->since = 0;
    }

    ngx_async_stat_inner = stretch->inner + spent;
}


void
ngx_async_stat_await(ngx_async_task_t *t)
{
    t->stat->awaits++;
    t->waits_for = NGX_ASYNC_STAT_OTHER;
}


void
ngx_async_stat_waited(ngx_async_task_t *t, uint64_t since)
{
    t->stat->waits[t->waits_for] += ngx_async_stat_clock() - since;
}
