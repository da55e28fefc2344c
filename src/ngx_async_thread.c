
/*
 * Copyright (C) the nginx-async authors
 *
 * Jobs of thread pools, see ngx_async_thread.h.  A job belongs to the thread
 * pool while it is queued or runs; on completion it goes to the task that
 * awaits it, or is dropped when that has left.
 */

#include <ngx_async_thread.h>


typedef struct {
    ngx_thread_task_t      task;
    ngx_async_waker_t      waker;
    ngx_async_thread_pt    run;
    ngx_async_thread_pt    drop;
    /* the data follows, aligned for any type */
    max_align_t            data[];
} ngx_async_job_t;


static void ngx_async_thread_main(void *data, ngx_log_t *log);
static void ngx_async_thread_handler(ngx_event_t *ev);


#define ngx_async_job(p)                                                     \
    ((ngx_async_job_t *) ((u_char *) (p) - offsetof(ngx_async_job_t, data)))


void *
ngx_async_thread_job(size_t size, ngx_async_thread_pt run,
    ngx_async_thread_pt drop, ngx_log_t *log)
{
    ngx_async_job_t  *job;

    job = ngx_calloc(sizeof(ngx_async_job_t) + size, log);
    if (job == NULL) {
        return NULL;
    }

    job->run = run;
    job->drop = drop;

    job->task.ctx = job;
    job->task.handler = ngx_async_thread_main;
    job->task.event.handler = ngx_async_thread_handler;
    job->task.event.data = job;
    job->task.event.log = ngx_cycle->log;

    return job->data;
}


void
ngx_async_thread_free(void *data)
{
    ngx_free(ngx_async_job(data));
}


async_rc_t
ngx_async_thread_await(ngx_async_task_t *t, ngx_thread_pool_t *tp, void *data)
{
    ngx_int_t         rc;
    ngx_async_job_t  *job;

    job = ngx_async_job(data);
    job->waker = ngx_async_waker(t);

    if (ngx_thread_task_post(tp, &job->task) != NGX_OK) {
        ngx_free(job);
        return ngx_async_set_error(t, ASYNC_BUSY,
                                   "the queue of the thread pool is full");
    }

    rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);

    /* on any other outcome the handler below finds a stale waker */

    return rc;
}


static void
ngx_async_thread_main(void *data, ngx_log_t *log)
{
    ngx_async_job_t  *job = data;

    job->run(job->data);
}


static void
ngx_async_thread_handler(ngx_event_t *ev)
{
    ngx_async_job_t  *job;

    job = ev->data;

    if (ngx_async_wake(&job->waker, ASYNC_OK)) {
        return;
    }

    if (job->drop) {
        job->drop(job->data);
    }

    ngx_free(job);
}
