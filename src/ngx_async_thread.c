
/*
 * Copyright (C) the nginx-async authors
 *
 * Jobs of thread pools, see ngx_async_thread.h.  A job belongs to the thread
 * pool while it is queued or runs; on completion it goes to the task that
 * awaits it, or is dropped when that has left.
 */

#include <ngx_async_thread_job.h>
#include <ngx_async_quit.h>
#include <ngx_async_sched.h>
#include <ngx_async_meter.h>
#include <dlfcn.h>


/* so many lines may wait for the loop before a thread waits for it */
#define NGX_ASYNC_THREAD_LINES  4096

/* of the pool "default" if nobody makes it, as nginx has it */
#define NGX_ASYNC_THREADS       32
#define NGX_ASYNC_THREAD_QUEUE  65536

/* when no task can be had for cleanups */
#define NGX_ASYNC_THREAD_AGAIN  100


typedef struct {
    ngx_async_mail_t          mail;
    ngx_async_job_t          *job;
    ngx_uint_t                level;
    ngx_err_t                 err;
    size_t                    len;
    u_char                    text[];
} ngx_async_thread_line_t;


/* a task of its own for what is left of a job */

typedef struct {
    ngx_async_task_t          task;
    ngx_async_job_t          *job;
} ngx_async_thread_cleaner_t;


static void ngx_async_thread_count(ngx_async_task_t *t, ngx_async_job_t *job);
static void ngx_async_thread_main(ngx_async_thread_item_t *item);
static void ngx_async_thread_first(void);
static void ngx_async_thread_done(ngx_async_thread_item_t *item);
static void ngx_async_thread_clean(ngx_event_t *ev);
static void ngx_async_thread_clean_body(ngx_async_task_t *t);
static void ngx_async_thread_clean_done(ngx_async_task_t *t);
static void ngx_async_thread_give_defers(ngx_async_task_t *t,
    ngx_async_job_t *job);
static void ngx_async_thread_through(ngx_async_job_t *job);
static void ngx_async_thread_on_refresh(void);
static void ngx_async_thread_ended(ngx_async_end_t *end);
static void ngx_async_thread_drop(ngx_async_job_t *job);
static void ngx_async_thread_line(ngx_async_mail_t *m);
static void ngx_async_thread_write(ngx_async_job_t *job, ngx_uint_t level,
    ngx_err_t err, size_t len, u_char *text);


ngx_queue_t                      ngx_async_thread_jobs;

/* written before there are jobs */
static ngx_int_t                 ngx_async_thread_nice;

/* from the first job on the loop shares its processor with threads */
static ngx_uint_t                ngx_async_thread_used;

/* lines that are on their way; both sides count */
static ngx_int_t                 ngx_async_thread_lines;

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t          ngx_async_thread_no_connection;

static __thread ngx_async_job_t  *ngx_async_thread_job_of_thread;


ngx_int_t
ngx_async_thread_init(ngx_cycle_t *cycle, ngx_int_t nice)
{
    Dl_info  info;

    ngx_queue_init(&ngx_async_thread_jobs);

    ngx_async_thread_nice = nice;
    ngx_async_thread_no_connection.fd = (ngx_socket_t) -1;

    ngx_async_on_give_up(ngx_async_thread_give_up);

    /* threads may outlast everything: the module stays where it is */

    if (dladdr((void *) (uintptr_t) ngx_async_thread_init, &info) != 0) {
        (void) dlopen(info.dli_fname, RTLD_NOW|RTLD_NOLOAD|RTLD_NODELETE);
    }

    if (ngx_async_thread_queue_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_async_on_stats(ngx_async_thread_on_refresh);
}


/* For the status; nginx's own pool has what nginx says of it. */

static void
ngx_async_thread_on_refresh(void)
{
    ngx_uint_t                 i, queued;
    ngx_array_t               *pools;
    ngx_async_thread_pool_t  **pool;

    pools = ngx_async_thread_pools((ngx_cycle_t *) ngx_cycle);
    pool = pools->elts;

    for (i = 0; i < pools->nelts; i++) {

        (void) pthread_mutex_lock(&pool[i]->lock);
        queued = pool[i]->queued;
        (void) pthread_mutex_unlock(&pool[i]->lock);

        ngx_async_stats_set(&pool[i]->stats, NGX_ASYNC_POOL_THREADS,
                            pool[i]->threads ? pool[i]->threads
                                             : NGX_ASYNC_THREADS);
        ngx_async_stats_set(&pool[i]->stats, NGX_ASYNC_POOL_QUEUE_MAX,
                            pool[i]->threads ? pool[i]->max_queue
                                             : NGX_ASYNC_THREAD_QUEUE);
        ngx_async_stats_set(&pool[i]->stats, NGX_ASYNC_POOL_QUEUED, queued);
        ngx_async_stats_set(&pool[i]->stats, NGX_ASYNC_POOL_BUSY,
                            pool[i]->njobs - queued);
    }
}


void *
ngx_async_thread_job(size_t size, ngx_async_thread_pt run,
    ngx_async_thread_pt drop, ngx_async_profile_t *profile, ngx_log_t *log)
{
    ngx_async_job_t  *job;

    job = ngx_calloc(sizeof(ngx_async_job_t) + size, log);
    if (job == NULL) {
        return NULL;
    }

    job->run = run;
    job->drop = drop;
    job->profile = profile;
    job->log = log;
    job->log_level = log->log_level;

    job->item.run = ngx_async_thread_main;
    job->item.done = ngx_async_thread_done;

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
ngx_async_thread_rc(void *data)
{
    return ngx_async_job(data)->rc;
}


async_rc_t
ngx_async_thread_await(ngx_async_task_t *t, ngx_async_thread_pool_t *pool,
    void *data)
{
    ngx_int_t                 rv;
    async_rc_t                rc;
    ngx_async_job_t          *job;
    ngx_async_thread_call_t  *call;

    job = ngx_async_job(data);
    job->pool = pool;
    job->waker = ngx_async_waker(t);

    if (t->meter) {
        job->posted = ngx_async_meter_clock();
    }

    if (!ngx_async_thread_used) {
        ngx_async_thread_used = 1;

        if (ngx_async_thread_nice) {
            ngx_async_sched_loop();
        }
    }

    ngx_queue_insert_tail(&ngx_async_thread_jobs, &job->live);
    ngx_async_hold();
    pool->njobs++;

    rv = ngx_async_thread_queue_post(pool, &job->item);

    if (rv != NGX_OK) {

        ngx_async_stats_count(&pool->stats, NGX_ASYNC_POOL_REFUSED);
        ngx_async_thread_through(job);
        ngx_async_thread_drop(job);

        return (rv == NGX_BUSY)
            ? ngx_async_set_error(t, ASYNC_BUSY, "the queue of the thread "
                                  "pool \"%V\" is full", &pool->name)
            : ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    for ( ;; ) {
        rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);

        if (rc == ASYNC_OK) {
            ngx_async_thread_count(t, job);
            ngx_async_thread_give_defers(t, job);
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


void
ngx_async_thread_send(ngx_async_thread_pool_t *pool, void *data)
{
    ngx_async_job_t  *job;

    job = ngx_async_job(data);
    job->pool = pool;
    job->abandoned = 1;

    ngx_queue_insert_tail(&ngx_async_thread_jobs, &job->live);
    ngx_async_hold();
    pool->njobs++;

    if (ngx_async_thread_queue_post(pool, &job->item) != NGX_OK) {
        ngx_async_stats_count(&pool->stats, NGX_ASYNC_POOL_REFUSED);
        ngx_async_thread_through(job);
        ngx_async_thread_drop(job);
    }
}


void
ngx_async_thread_abandon(ngx_async_task_t *t, ngx_async_job_t *job,
    async_rc_t rc)
{
    job->rc = rc;

    ngx_async_thread_count(t, job);

    if (job->handled) {
        ngx_async_thread_give_defers(t, job);
        ngx_async_thread_drop(job);
        return;
    }

    ngx_memcpy(job->error, t->error, NGX_ASYNC_ERROR_LEN);

    __atomic_store_n(&job->abandoned, 1, __ATOMIC_RELEASE);

    if (ngx_async_thread_queue_remove(job->pool, &job->item)) {
        ngx_async_stats_count(&job->pool->stats, NGX_ASYNC_POOL_SKIPPED);
        ngx_async_thread_through(job);
        ngx_async_thread_drop(job);
        return;
    }

    if (job->call) {
        /* it came when the task had been woken otherwise */
        ngx_async_thread_refuse(job->call);
        job->call = NULL;
    }
}


/* For how long it was queued, and ran; the thread may still be at it. */

static void
ngx_async_thread_count(ngx_async_task_t *t, ngx_async_job_t *job)
{
    int       state;
    uint64_t  now, begun;

    if (job->posted == 0) {
        return;
    }

    state = __atomic_load_n(&job->state, __ATOMIC_ACQUIRE);
    now = ngx_async_meter_clock();
    begun = (state == NGX_ASYNC_JOB_QUEUED) ? now : job->begun;

    t->meter->queue += begun - job->posted;
    t->meter->thread += ((state == NGX_ASYNC_JOB_RETURNED) ? job->ended : now)
                       - begun;
}


/* The task runs the cleanups of the job when it ends. */

static void
ngx_async_thread_give_defers(ngx_async_task_t *t, ngx_async_job_t *job)
{
    ngx_async_defers_move(&t->defers, &job->defers);
}


void
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


ngx_uint_t
ngx_async_thread_is_kept(ngx_async_end_t *end)
{
    return end->handler == ngx_async_thread_ended;
}


static void
ngx_async_thread_ended(ngx_async_end_t *end)
{
    ngx_async_job_t  *job;

    job = ngx_async_job_of(end, end);
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
ngx_async_thread_main(ngx_async_thread_item_t *item)
{
    ngx_async_job_t  *job;

    job = ngx_async_job_of(item, item);

    ngx_async_thread_first();

    if (job->posted) {
        job->begun = ngx_async_meter_clock();
    }

    __atomic_store_n(&job->state, NGX_ASYNC_JOB_RUNNING, __ATOMIC_RELEASE);

    ngx_async_thread_job_of_thread = job;

    job->run(job->data);

    ngx_async_thread_job_of_thread = NULL;

    if (job->posted) {
        job->ended = ngx_async_meter_clock();
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


/* The loop: the thread is through with the job. */

static void
ngx_async_thread_done(ngx_async_thread_item_t *item)
{
    ngx_async_job_t  *job;

    job = ngx_async_job_of(item, item);

    /* lines of the job */
    ngx_async_mail_drain();

    (void) __atomic_load_n(&job->state, __ATOMIC_ACQUIRE);

    job->handled = 1;

    ngx_async_stats_count(&job->pool->stats, NGX_ASYNC_POOL_DONE);
    ngx_async_stats_time(&job->pool->stats, NGX_ASYNC_POOL_WAIT,
                         item->started - item->posted);
    ngx_async_stats_time(&job->pool->stats, NGX_ASYNC_POOL_RUN,
                         item->ended - item->started);

    ngx_async_thread_through(job);

    if (!ngx_async_wake(&job->waker, ASYNC_OK) && job->abandoned) {

        /* otherwise the task has been woken, and sees to it when it runs */

        if (job->defers) {
            ngx_async_thread_clean(&job->again);

        } else {
            ngx_async_thread_drop(job);
        }
    }
}


static void
ngx_async_thread_through(ngx_async_job_t *job)
{
    ngx_queue_remove(&job->live);
    ngx_async_release();
    job->pool->njobs--;
}


/* Cleanups of calls of a job whose task has left: they have one of their own */

static void
ngx_async_thread_clean(ngx_event_t *ev)
{
    ngx_async_job_t             *job;
    ngx_async_thread_cleaner_t  *cleaner;

    job = ngx_async_job_of(ev, again);

    cleaner = ngx_async_task_create_over(ngx_async_thread_clean_body,
                                         ngx_async_thread_clean_done,
                                         job->profile, ngx_cycle->log);
    if (cleaner == NULL) {
        ev->handler = ngx_async_thread_clean;
        ev->data = &ngx_async_thread_no_connection;
        ev->log = ngx_cycle->log;

        ngx_add_timer(ev, NGX_ASYNC_THREAD_AGAIN);
        return;
    }

    cleaner->job = job;
    cleaner->task.defers = job->defers;

    /* what calls of the thread have been refused with */
    ngx_memcpy(cleaner->task.error, job->error, NGX_ASYNC_ERROR_LEN);

    (void) ngx_async_task_run(&cleaner->task);
}


/* The cleanups are what every task ends with. */

static void
ngx_async_thread_clean_body(ngx_async_task_t *t)
{
}


static void
ngx_async_thread_clean_done(ngx_async_task_t *t)
{
    ngx_async_thread_drop(((ngx_async_thread_cleaner_t *) t)->job);
}


void *
ngx_async_thread_self(void)
{
    ngx_async_job_t  *job;

    job = ngx_async_thread_job_of_thread;

    return job ? job->data : NULL;
}


void *
ngx_async_thread_self_of(ngx_async_thread_pt run)
{
    ngx_async_job_t  *job;

    job = ngx_async_thread_job_of_thread;

    return (job && job->run == run) ? job->data : NULL;
}


ngx_uint_t
ngx_async_thread_abandoned(void *data)
{
    return __atomic_load_n(&ngx_async_job(data)->abandoned, __ATOMIC_ACQUIRE);
}


void
ngx_async_thread_log(void *data, ngx_uint_t level, ngx_err_t err,
    ngx_str_t *line)
{
    ngx_async_job_t          *job;
    ngx_async_thread_line_t  *l;

    job = ngx_async_job(data);

    if (level > job->log_level) {
        return;
    }

    if (ngx_async_thread_self() == NULL) {
        ngx_async_thread_write(job, level, err, line->len, line->data);
        return;
    }

    l = malloc(sizeof(ngx_async_thread_line_t) + line->len);
    if (l == NULL) {
        return;
    }

    l->mail.handler = ngx_async_thread_line;
    l->job = job;
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

    ngx_async_thread_write(job, l->level, l->err, l->len, l->text);

    free(l);
}


static void
ngx_async_thread_write(ngx_async_job_t *job, ngx_uint_t level, ngx_err_t err,
    size_t len, u_char *text)
{
    if (job->abandoned) {
        ngx_log_error(level, ngx_cycle->log, err,
                      "async \"%s\", whose request has ended: %*s",
                      job->profile->name, len, text);

    } else {
        ngx_log_error(level, job->log, err, "%*s", len, text);
    }
}
