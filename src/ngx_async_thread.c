
/*
 * Copyright (C) the nginx-async authors
 *
 * Jobs of thread pools, see ngx_async_thread.h.  A job belongs to the thread
 * pool while it is queued or runs; on completion it goes to the task that
 * awaits it, or is dropped when that has left.
 *
 * The thread touches the job, its data and the letter box, nothing else.  What
 * both sides read is handed over by "state" and "abandoned", each written by
 * one side with release and read by the other with acquire.
 */

#include <ngx_async_thread.h>
#include <ngx_async_mail.h>
#include <ngx_async_quit.h>
#include <ngx_async_sched.h>
#include <dlfcn.h>
#include <semaphore.h>


/* what a wait ends with when the thread asks for a call */
#define NGX_ASYNC_CALLED         2

/* so many lines may wait for the loop before a thread waits for it */
#define NGX_ASYNC_THREAD_LINES   4096

/* how long threads on their way out have when the worker exits */
#define NGX_ASYNC_THREAD_LEAVE   10


typedef enum {
    NGX_ASYNC_JOB_QUEUED = 0,
    NGX_ASYNC_JOB_RUNNING,
    NGX_ASYNC_JOB_RETURNED,
    NGX_ASYNC_JOB_SKIPPED
} ngx_async_job_state_e;


typedef struct ngx_async_thread_call_s  ngx_async_thread_call_t;


typedef struct {
    ngx_thread_task_t         task;

    ngx_async_thread_pt       run;
    ngx_async_thread_pt       drop;
    const char               *name;

    int                       state;
    int                       abandoned;

    /* the answer to calls once it is abandoned */
    async_rc_t                rc;
    u_char                    error[NGX_ASYNC_ERROR_LEN];

    /* the loop's */
    ngx_queue_t               live;
    ngx_async_waker_t         waker;
    ngx_async_thread_call_t  *call;
    ngx_log_t                *log;
    ngx_uint_t                handled;        /* the thread is through */

    /* after a call: what it has left with the task may point to the data */
    ngx_async_end_t           end;
    ngx_uint_t                kept;           /* until the task ends */
    ngx_uint_t                dropped;
    ngx_uint_t                freed;

    /* the data follows, aligned for any type */
    max_align_t               data[];
} ngx_async_job_t;


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


typedef struct {
    ngx_async_mail_t          mail;
    ngx_async_job_t          *job;
    ngx_uint_t                level;
    ngx_err_t                 err;
    size_t                    len;
    u_char                    text[];
} ngx_async_thread_line_t;


static void ngx_async_thread_main(void *data, ngx_log_t *log);
static void ngx_async_thread_first(void);
static void ngx_async_thread_stay(void) __attribute__((noreturn));
static void ngx_async_thread_handler(ngx_event_t *ev);
static async_rc_t ngx_async_thread_serve(ngx_async_task_t *t,
    ngx_async_job_t *job, ngx_async_thread_call_t *call);
static void ngx_async_thread_abandon(ngx_async_task_t *t,
    ngx_async_job_t *job, async_rc_t rc);
static void ngx_async_thread_keep(ngx_async_task_t *t, ngx_async_job_t *job);
static void ngx_async_thread_ended(ngx_async_end_t *end);
static void ngx_async_thread_drop(ngx_async_job_t *job);
static void ngx_async_thread_called(ngx_async_mail_t *m);
static void ngx_async_thread_refuse(ngx_async_thread_call_t *call);
static void ngx_async_thread_line(ngx_async_mail_t *m);
static void ngx_async_thread_give_up(ngx_log_t *log);
static void ngx_async_thread_skip(void);
static ngx_uint_t ngx_async_thread_running(ngx_log_t *log, const char *what);
static void ngx_async_thread_quick_exit(int status, void *arg);


#define ngx_async_job(p)                                                     \
    ((ngx_async_job_t *) ((u_char *) (p) - offsetof(ngx_async_job_t, data)))


/* of this worker: all jobs that nginx's pools have */
static ngx_queue_t               ngx_async_thread_jobs;

/* written before there are jobs */
static ngx_int_t                 ngx_async_thread_nice;

/* from the first job on the loop shares its processor with threads */
static ngx_uint_t                ngx_async_thread_used;

/* lines that are on their way; both sides count */
static ngx_int_t                 ngx_async_thread_lines;

/* the worker exits without its threads */
static int                       ngx_async_thread_left;

static __thread ngx_async_job_t  *ngx_async_thread_job_of_thread;


void
ngx_async_thread_init(ngx_cycle_t *cycle, ngx_int_t nice)
{
    ngx_queue_init(&ngx_async_thread_jobs);

    ngx_async_thread_nice = nice;

    ngx_async_on_give_up(ngx_async_thread_give_up);
}


void *
ngx_async_thread_job(size_t size, ngx_async_thread_pt run,
    ngx_async_thread_pt drop, const char *name, ngx_log_t *log)
{
    ngx_async_job_t  *job;

    job = ngx_calloc(sizeof(ngx_async_job_t) + size, log);
    if (job == NULL) {
        return NULL;
    }

    job->run = run;
    job->drop = drop;
    job->name = name;
    job->log = log;

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
    ngx_async_job_t  *job;

    job = ngx_async_job(data);

    if (job->kept) {
        job->freed = 1;
        return;
    }

    ngx_free(job);
}


async_rc_t
ngx_async_thread_await(ngx_async_task_t *t, ngx_async_thread_pool_t *pool,
    void *data)
{
    async_rc_t                rc;
    ngx_async_job_t          *job;
    ngx_async_thread_call_t  *call;

    job = ngx_async_job(data);
    job->waker = ngx_async_waker(t);

    if (!ngx_async_thread_used) {
        ngx_async_thread_used = 1;

        if (ngx_async_thread_nice) {
            ngx_async_sched_loop();
        }
    }

    if (ngx_thread_task_post(pool->tp, &job->task) != NGX_OK) {

        ngx_async_thread_drop(job);

        return ngx_async_set_error(t, ASYNC_BUSY, "the queue of the thread "
                                   "pool \"%V\" is full", &pool->name);
    }

    ngx_queue_insert_tail(&ngx_async_thread_jobs, &job->live);
    ngx_async_hold();

    for ( ;; ) {
        rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);

        if (rc == ASYNC_OK) {
            return ASYNC_OK;
        }

        call = (rc == NGX_ASYNC_CALLED) ? job->call : NULL;

        if (call == NULL) {
            break;
        }

        rc = ngx_async_thread_serve(t, job, call);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    ngx_async_thread_abandon(t, job, rc);

    return rc;
}


/* A call from the thread, on the coroutine.  ASYNC_OK: the wait goes on. */

static async_rc_t
ngx_async_thread_serve(ngx_async_task_t *t, ngx_async_job_t *job,
    ngx_async_thread_call_t *call)
{
    const char  *await, *site;
    async_rc_t   rc;

    await = t->await;
    site = t->site;
    job->call = NULL;

    ngx_async_thread_keep(t, job);

    call->rc = call->fn(t, call->arg);

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


/* From here on the job is the thread's, and of the handler below. */

static void
ngx_async_thread_abandon(ngx_async_task_t *t, ngx_async_job_t *job,
    async_rc_t rc)
{
    int  queued;

    if (job->handled) {
        ngx_async_thread_drop(job);
        return;
    }

    job->rc = rc;
    ngx_memcpy(job->error, t->error, NGX_ASYNC_ERROR_LEN);

    __atomic_store_n(&job->abandoned, 1, __ATOMIC_RELEASE);

    queued = NGX_ASYNC_JOB_QUEUED;

    (void) __atomic_compare_exchange_n(&job->state, &queued,
                                       NGX_ASYNC_JOB_SKIPPED, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);

    if (job->call) {
        /* it came when the task had been woken otherwise */
        ngx_async_thread_refuse(job->call);
        job->call = NULL;
    }
}


static void
ngx_async_thread_keep(ngx_async_task_t *t, ngx_async_job_t *job)
{
    if (job->kept) {
        return;
    }

    job->kept = 1;
    job->end.handler = ngx_async_thread_ended;
    job->end.next = t->ends;

    t->ends = &job->end;
}


static void
ngx_async_thread_ended(ngx_async_end_t *end)
{
    ngx_async_job_t  *job;

    job = (ngx_async_job_t *) ((u_char *) end
                               - offsetof(ngx_async_job_t, end));
    job->kept = 0;

    if (job->dropped) {
        ngx_async_thread_drop(job);

    } else if (job->freed) {
        ngx_free(job);
    }
}


static void
ngx_async_thread_drop(ngx_async_job_t *job)
{
    if (job->kept) {
        job->dropped = 1;
        return;
    }

    if (job->drop) {
        job->drop(job->data);
    }

    ngx_free(job);
}


/* In the thread. */

static void
ngx_async_thread_main(void *data, ngx_log_t *log)
{
    int               queued;
    ngx_async_job_t  *job = data;

    ngx_async_thread_first();

    queued = NGX_ASYNC_JOB_QUEUED;

    if (!__atomic_compare_exchange_n(&job->state, &queued,
                                     NGX_ASYNC_JOB_RUNNING, 0,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    {
        return;
    }

    if (__atomic_load_n(&ngx_async_thread_left, __ATOMIC_ACQUIRE)) {
        ngx_async_thread_stay();
    }

    ngx_async_thread_job_of_thread = job;

    job->run(job->data);

    ngx_async_thread_job_of_thread = NULL;

    if (__atomic_load_n(&ngx_async_thread_left, __ATOMIC_ACQUIRE)) {
        ngx_async_thread_stay();
    }

    __atomic_store_n(&job->state, NGX_ASYNC_JOB_RETURNED, __ATOMIC_RELEASE);
}


/*
 * A thread is nginx's, which has no hook for its start: it gives way from its
 * first job on.
 */

static void
ngx_async_thread_first(void)
{
    static __thread ngx_uint_t  done;

    if (!done) {
        done = 1;

        if (ngx_async_thread_nice) {
            ngx_async_sched_thread(ngx_async_thread_nice);
        }
    }
}


/* nginx's pool is being freed: nothing of it may be touched any more */

static void
ngx_async_thread_stay(void)
{
    for ( ;; ) {
        (void) pause();
    }
}


/* The loop: the thread has done with the job. */

static void
ngx_async_thread_handler(ngx_event_t *ev)
{
    ngx_async_job_t  *job;

    job = ev->data;

    /* lines of the job */
    ngx_async_mail_drain();

    (void) __atomic_load_n(&job->state, __ATOMIC_ACQUIRE);

    ngx_queue_remove(&job->live);
    ngx_async_release();

    job->handled = 1;

    if (ngx_async_wake(&job->waker, ASYNC_OK)) {
        return;
    }

    /* a task that has been woken otherwise and has not run yet sees to it */

    if (job->abandoned) {
        ngx_async_thread_drop(job);
    }
}


void *
ngx_async_thread_self(void)
{
    ngx_async_job_t  *job;

    job = ngx_async_thread_job_of_thread;

    return job ? job->data : NULL;
}


ngx_uint_t
ngx_async_thread_abandoned(void *data)
{
    return __atomic_load_n(&ngx_async_job(data)->abandoned, __ATOMIC_ACQUIRE);
}


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


static void
ngx_async_thread_refuse(ngx_async_thread_call_t *call)
{
    call->rc = call->job->rc;
    ngx_memcpy(call->error, call->job->error, NGX_ASYNC_ERROR_LEN);

    (void) sem_post(&call->done);
}


void
ngx_async_thread_log(void *data, ngx_uint_t level, ngx_err_t err,
    ngx_str_t *line)
{
    ngx_async_thread_line_t  *l;

    l = malloc(sizeof(ngx_async_thread_line_t) + line->len);
    if (l == NULL) {
        return;
    }

    l->mail.handler = ngx_async_thread_line;
    l->job = ngx_async_job(data);
    l->level = level;
    l->err = err;
    l->len = line->len;
    ngx_memcpy(l->text, line->data, line->len);

    while (__atomic_load_n(&ngx_async_thread_lines, __ATOMIC_RELAXED)
           >= NGX_ASYNC_THREAD_LINES)
    {
        ngx_msleep(1);
    }

    (void) __atomic_add_fetch(&ngx_async_thread_lines, 1, __ATOMIC_RELAXED);

    ngx_async_mail_post(&l->mail);
}


static void
ngx_async_thread_line(ngx_async_mail_t *m)
{
    ngx_async_job_t          *job;
    ngx_async_thread_line_t  *l;

    l = (ngx_async_thread_line_t *) m;
    job = l->job;

    (void) __atomic_sub_fetch(&ngx_async_thread_lines, 1, __ATOMIC_RELAXED);

    if (job->abandoned) {
        ngx_log_error(l->level, ngx_cycle->log, l->err,
                      "async \"%s\", whose request has ended: %*s",
                      job->name, l->len, l->text);

    } else {
        ngx_log_error(l->level, job->log, l->err, "%*s", l->len, l->text);
    }

    free(l);
}


/* async_shutdown_timeout has passed, and what was to be cancelled is. */

static void
ngx_async_thread_give_up(ngx_log_t *log)
{
    (void) ngx_async_thread_running(log, "has not returned within "
                                         "\"async_shutdown_timeout\"");
}


/* What is queued would be run by threads that nginx asks to exit. */

static void
ngx_async_thread_skip(void)
{
    int               queued;
    ngx_queue_t      *q;
    ngx_async_job_t  *job;

    for (q = ngx_queue_head(&ngx_async_thread_jobs);
         q != ngx_queue_sentinel(&ngx_async_thread_jobs);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_async_job_t, live);
        queued = NGX_ASYNC_JOB_QUEUED;

        (void) __atomic_compare_exchange_n(&job->state, &queued,
                                           NGX_ASYNC_JOB_SKIPPED, 0,
                                           __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
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

        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "async \"%s\" %s", job->name, what);
    }

    return n;
}


/*
 * nginx would wait for its threads, for ever if need be.  So it is shown an
 * empty list of pools; the process ends under the threads, without destructors
 * of libraries that they may be in.
 */

void
ngx_async_thread_exit(ngx_cycle_t *cycle)
{
    Dl_info                     info;

    static ngx_array_t          none[2];

    ngx_async_thread_skip();

    if (ngx_async_thread_running(cycle->log, "runs still: the worker exits "
                                 "without its thread") == 0)
    {
        return;
    }

    __atomic_store_n(&ngx_async_thread_left, 1, __ATOMIC_RELEASE);

    ngx_msleep(NGX_ASYNC_THREAD_LEAVE);

    /* the code of the module stays in place as long as the process */

    if (dladdr((void *) (uintptr_t) ngx_async_thread_exit, &info) != 0) {
        (void) dlopen(info.dli_fname, RTLD_NOW|RTLD_NOLOAD|RTLD_NODELETE);
    }

    cycle->conf_ctx[ngx_thread_pool_module.index] = (void ***) none;

    (void) on_exit(ngx_async_thread_quick_exit, NULL);
}


static void
ngx_async_thread_quick_exit(int status, void *arg)
{
    (void) fflush(NULL);

    _exit(status);
}
