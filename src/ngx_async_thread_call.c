
/*
 * Copyright (C) the nginx-async authors
 *
 * Calls from the thread of a job: the task that awaits it runs a function,
 * while the thread waits.
 */

#include <ngx_async_thread_job.h>
#include <semaphore.h>


/* on the stack of the thread that waits for it */

struct ngx_async_thread_call_s {
    ngx_async_mail_t          mail;
    ngx_async_job_t          *job;
    async_fn_pt               fn;
    void                     *arg;
    async_rc_t                rc;
    u_char                   *error;
    sem_t                     done;
};


static void ngx_async_thread_called(ngx_async_mail_t *m);


async_rc_t
ngx_async_thread_call(void *data, async_fn_pt fn, void *arg, u_char *error)
{
    ngx_async_job_t          *job;
    ngx_async_thread_call_t   call;

    job = ngx_async_job(data);

    call.mail.handler = ngx_async_thread_called;
    call.job = job;
    call.fn = fn;
    call.arg = arg;
    call.rc = ASYNC_BUSY;
    call.error = error;

    if (ngx_async_thread_abandoned(data)) {
        ngx_memcpy(error, job->error, NGX_ASYNC_ERROR_LEN);
        return job->rc;
    }

    if (sem_init(&call.done, 0, 0) == -1) {
        ngx_sprintf(error, "sem_init() failed%Z");
        return ASYNC_ERROR;
    }

    ngx_async_mail_post(&call.mail);

    while (sem_wait(&call.done) == -1 && errno == EINTR) {
        /* void */
    }

    (void) sem_destroy(&call.done);

    return call.rc;
}


/* The loop: the awaiting task is to run the function. */

static void
ngx_async_thread_called(ngx_async_mail_t *m)
{
    ngx_async_job_t          *job;
    ngx_async_thread_call_t  *call;

    call = (ngx_async_thread_call_t *) m;
    job = call->job;

    if (job->abandoned) {
        ngx_async_thread_refuse(call);
        return;
    }

    /* if the task has been woken otherwise, it finds the call when it runs */

    job->call = call;

    (void) ngx_async_wake(&job->waker, NGX_ASYNC_CALLED);
}


async_rc_t
ngx_async_thread_serve(ngx_async_task_t *t, ngx_async_job_t *job,
    ngx_async_thread_call_t *call)
{
    const char         *await, *site;
    async_rc_t          rc;
    ngx_async_defer_t  *defers;

    await = t->await;
    site = t->site;
    job->call = NULL;

    ngx_async_thread_keep(t, job);

    defers = t->defers;
    t->defers = job->defers;

    call->rc = ngx_async_call(t, call->fn, call->arg);

    job->defers = t->defers;
    t->defers = defers;

    if (call->rc != ASYNC_OK) {
        ngx_memcpy(call->error, t->error, NGX_ASYNC_ERROR_LEN);
    }

    rc = ngx_async_enter(t, await, site);

    if (rc == ASYNC_OK) {
        job->waker = ngx_async_waker(t);

    } else {
        ngx_async_thread_abandon(t, job, rc);
    }

    /* this may be the last moment of the call */
    (void) sem_post(&call->done);

    return rc;
}


void
ngx_async_thread_refuse(ngx_async_thread_call_t *call)
{
    call->rc = call->job->rc;
    ngx_memcpy(call->error, call->job->error, NGX_ASYNC_ERROR_LEN);

    (void) sem_post(&call->done);
}
