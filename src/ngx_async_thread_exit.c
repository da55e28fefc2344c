
/*
 * Copyright (C) the nginx-async authors
 *
 * Threads that run when the worker exits: they are named, and left behind,
 * since nothing can stop them and nginx would wait for ever.
 */

#include <ngx_async_thread_job.h>


/* how long threads on their way out have when the worker exits */
#define NGX_ASYNC_THREAD_LEAVE  10


static ngx_uint_t ngx_async_thread_running(ngx_log_t *log, const char *what);
static void ngx_async_thread_quick_exit(void *data);


/* async_shutdown_timeout has passed, and what was to be cancelled is. */

void
ngx_async_thread_give_up(ngx_log_t *log)
{
    (void) ngx_async_thread_running(log, "has not returned within "
                                         "\"async_shutdown_timeout\"");
}


/*
 * nginx would wait for its threads, for ever if need be.  So it is shown an
 * empty list of pools, and the process ends when all else has been done, but
 * before the memory goes that threads may use.
 */

void
ngx_async_thread_exit(ngx_cycle_t *cycle)
{
    ngx_pool_cleanup_t  *cln, **last;

    static ngx_array_t   none[2];

    ngx_async_thread_queue_clear(cycle);

    if (ngx_async_thread_running(NULL, NULL)) {
        /* it may have been told to return a moment ago */
        ngx_msleep(NGX_ASYNC_THREAD_LEAVE);
    }

    if (ngx_async_thread_running(cycle->log, "runs still: the worker exits "
                                 "without its thread") == 0)
    {
        ngx_async_mail_drain();
        return;
    }

    ngx_async_thread_queue_leave();

    ngx_async_mail_drain();

    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    if (cln == NULL) {
        return;
    }

    /* the last one to be called */

    cycle->pool->cleanup = cln->next;

    for (last = &cycle->pool->cleanup; *last; last = &(*last)->next) {
        /* void */
    }

    *last = cln;

    cln->next = NULL;
    cln->handler = ngx_async_thread_quick_exit;

    cycle->conf_ctx[ngx_thread_pool_module.index] = (void ***) none;
}


static ngx_uint_t
ngx_async_thread_running(ngx_log_t *log, const char *what)
{
    ngx_uint_t        n;
    ngx_queue_t      *q;
    ngx_async_job_t  *job;

    n = 0;

    for (q = ngx_queue_head(&ngx_async_thread_jobs);
         q != ngx_queue_sentinel(&ngx_async_thread_jobs);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_async_job_t, live);

        if (__atomic_load_n(&job->state, __ATOMIC_ACQUIRE)
            != NGX_ASYNC_JOB_RUNNING)
        {
            continue;
        }

        n++;

        if (log) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "async \"%s\" %s", job->profile->name, what);
        }
    }

    return n;
}


static void
ngx_async_thread_quick_exit(void *data)
{
    if (ngx_process == NGX_PROCESS_WORKER) {
        /* a single process has said so */
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "exit");
    }

    /* a thread may hold the lock of any stream for ever */

    if (ftrylockfile(stdout) == 0) {
        (void) fflush(stdout);
    }

    _exit(0);
}
