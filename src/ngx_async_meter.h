
/*
 * Copyright (C) the nginx-async authors
 *
 * What a task, and its children with it, has taken of time: filled while it
 * runs if its "meter" is set, by the one place that resumes and suspends, and
 * by the awaitables that count what they do.  Whoever sets it owns it, and it
 * outlives the task and all its children.  Of the loop only.
 */

#ifndef _NGX_ASYNC_METER_H_INCLUDED_
#define _NGX_ASYNC_METER_H_INCLUDED_


#include <ngx_async_task.h>


/* what a task waits for, as far as the times of that are summed */

typedef enum {
    NGX_ASYNC_METER_OTHER = 0,
    NGX_ASYNC_METER_DB,
    NGX_ASYNC_METER_FETCH,
    NGX_ASYNC_METER_KINDS
} ngx_async_meter_kind_e;


/* times in nanoseconds; those of ngx_async_meter_clock() if they are moments */

struct ngx_async_meter_s {
    ngx_async_task_t          *task;          /* NULL: none runs */
    uint64_t                   started;       /* that task, or zero */
    uint64_t                   since;         /* it is on the loop, or zero */

    /* of the tasks that this was set for */
    uint64_t                   time;          /* without that of "task" */
    uint64_t                   held;          /* on the loop */

    /* of their children, too */
    uint64_t                   run;           /* on the loop */
    uint64_t                   waits[NGX_ASYNC_METER_KINDS];
    uint64_t                   queue;         /* for a thread */
    uint64_t                   thread;        /* in one */

    ngx_uint_t                 awaits;
    ngx_uint_t                 queries;
    ngx_uint_t                 fetches;
    ngx_uint_t                 children;
};


/* A stretch of a task on the loop, on the stack of whoever resumes it. */

typedef struct {
    uint64_t                   start;
    uint64_t                   inner;
} ngx_async_stretch_t;


uint64_t ngx_async_meter_clock(void);

/* From now on the task is what "meter" is of; one before it ends here. */
void ngx_async_meter_begin(ngx_async_meter_t *meter, ngx_async_task_t *t);
void ngx_async_meter_end(ngx_async_task_t *t);

/* What has been spent up to now, of one whose task may still run. */
void ngx_async_meter_now(ngx_async_meter_t *meter, ngx_async_meter_t *now);

/* Around a stretch, and after a suspension: for ngx_async_task.c */
void ngx_async_meter_enter(ngx_async_task_t *t, ngx_async_stretch_t *stretch);
void ngx_async_meter_leave(ngx_async_task_t *t, ngx_async_stretch_t *stretch);
void ngx_async_meter_await(ngx_async_task_t *t);
void ngx_async_meter_waited(ngx_async_task_t *t, uint64_t since);

/* An await has begun that is such a one. */

static ngx_inline void
ngx_async_meter_kind(ngx_async_task_t *t, ngx_async_meter_kind_e kind)
{
    t->waits_for = kind;
}


static ngx_inline void
ngx_async_meter_queries(ngx_async_task_t *t, ngx_uint_t n)
{
    if (t->meter) {
        t->meter->queries += n;
    }
}


static ngx_inline void
ngx_async_meter_fetches(ngx_async_task_t *t)
{
    if (t->meter) {
        t->meter->fetches++;
    }
}


#endif /* _NGX_ASYNC_METER_H_INCLUDED_ */
