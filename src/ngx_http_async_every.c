
/*
 * Copyright (C) the nginx-async authors
 *
 * Periodic functions.  Runs are due on a grid: its first point is an interval
 * after the first worker was ready for it, and lies in shared memory with the
 * point to come, so that a reload goes on with both.
 *
 * With "worker=one" a worker needs the lock of the function to run it, and
 * keeps that until it quits and its last run has ended.  The lock is a robust
 * mutex in a zone of its own: zones live on when the configuration is loaded
 * again, so that it is the same for workers of all generations, and the kernel
 * releases it with the process, however that ends.  A lock on a file would be
 * inherited by what an app forks, and outlive its worker in there; a pid would
 * have to be asked for.  Nobody ever waits for the lock: the other workers try
 * it at the point of the grid, or a bit later while that is not taken yet.
 *
 * What shared memory has of the schedule is words, which only the owner of the
 * lock writes; wherever it dies, the next one finds a point of the grid there.
 */

#include <ngx_http_async_every.h>
#include <ngx_http_async_lifecycle.h>
#include <ngx_async_quit.h>


/* how often a lock is tried while there is something to be run */
#define NGX_HTTP_ASYNC_EVERY_TRY    100

/* epoll_wait() takes an int */
#define NGX_HTTP_ASYNC_EVERY_SLEEP  (24 * 60 * 60 * 1000)


struct ngx_http_async_every_run_s {
    ngx_async_task_t               task;
    ngx_http_async_every_t        *every;
    async_rc_t                     rc;
};


enum {
    NGX_HTTP_ASYNC_EVERY_RUNS = 0,
    NGX_HTTP_ASYNC_EVERY_ALIVE,
    NGX_HTTP_ASYNC_EVERY_FAILED,
    NGX_HTTP_ASYNC_EVERY_SKIPPED,
    NGX_HTTP_ASYNC_EVERY_MISSED,
    NGX_HTTP_ASYNC_EVERY_LAST,
    NGX_HTTP_ASYNC_EVERY_TIME          /* a histogram */
};


static void ngx_http_async_every_ready(ngx_http_async_app_t *app);
static void ngx_http_async_every_begin(ngx_http_async_every_t *every);
static void ngx_http_async_every_handler(ngx_event_t *ev);
static void ngx_http_async_every_turn(ngx_http_async_every_t *every);
static void ngx_http_async_every_advance(ngx_http_async_every_t *every);
static void ngx_http_async_every_overlap(ngx_http_async_every_t *every);
static void ngx_http_async_every_start(ngx_http_async_every_t *every);
static void ngx_http_async_every_body(ngx_async_task_t *t);
static void ngx_http_async_every_done(ngx_async_task_t *t);
static void ngx_http_async_every_failed(ngx_http_async_every_run_t *run);
static void ngx_http_async_every_wait(ngx_http_async_every_t *every);
static ngx_msec_int_t ngx_http_async_every_left(
    ngx_http_async_every_t *every);
static ngx_uint_t ngx_http_async_every_lock(ngx_http_async_every_t *every);
static void ngx_http_async_every_unlock(ngx_http_async_every_t *every);
static void ngx_http_async_every_quit(void);
static void ngx_http_async_every_stop(ngx_http_async_every_t *every);


static const ngx_async_stats_field_t  ngx_http_async_every_fields[] = {
    { NGX_HTTP_ASYNC_EVERY_RUNS, "runs", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Runs that have begun" },
    { NGX_HTTP_ASYNC_EVERY_ALIVE, "alive", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Runs that have not ended" },
    { NGX_HTTP_ASYNC_EVERY_FAILED, "failed", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Runs that have ended with an error" },
    { NGX_HTTP_ASYNC_EVERY_SKIPPED, "skipped", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Runs left out since the one before had not ended" },
    { NGX_HTTP_ASYNC_EVERY_MISSED, "missed", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Runs left out since no worker came to them in time" },
    { NGX_HTTP_ASYNC_EVERY_LAST, "last", NGX_ASYNC_STATS_SAME,
      NGX_ASYNC_STATS_USEC,
      "How long the last run has taken; of several workers the longest" },
    { NGX_HTTP_ASYNC_EVERY_TIME, "time", NGX_ASYNC_STATS_HISTOGRAM,
      NGX_ASYNC_STATS_USEC, "How long runs have taken" },
    { 0, NULL, 0, 0, NULL }
};

static const ngx_async_stats_family_t  ngx_http_async_every_family = {
    "periodic", "handler", ngx_http_async_every_fields
};


/* of this worker */
static ngx_array_t       *ngx_http_async_everys;

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t   ngx_http_async_every_no_connection;


ngx_int_t
ngx_http_async_every_stats(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf)
{
    ngx_uint_t               i;
    ngx_http_async_every_t  *every;

    if (mcf->stats.zone == NULL || mcf->everys == NULL) {
        return NGX_OK;
    }

    every = mcf->everys->elts;

    for (i = 0; i < mcf->everys->nelts; i++) {

        if (ngx_async_stats_add(cf, &mcf->stats, &every[i].stats,
                                &ngx_http_async_every_family,
                                &every[i].ref->fn->name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_async_every_init(ngx_cycle_t *cycle, ngx_http_async_main_conf_t *mcf)
{
    ngx_uint_t               i;
    ngx_http_async_fn_t     *fn;
    ngx_http_async_every_t  *every;

    if (mcf->everys == NULL) {
        return;
    }

    ngx_http_async_everys = mcf->everys;
    ngx_http_async_every_no_connection.fd = (ngx_socket_t) -1;

    ngx_http_async_lifecycle_on_ready(ngx_http_async_every_ready);
    ngx_async_on_quit(ngx_http_async_every_quit);

    every = mcf->everys->elts;

    for (i = 0; i < mcf->everys->nelts; i++) {
        fn = every[i].ref->fn;

        if (every[i].stats.values == NULL) {
            every[i].stats = ngx_async_stats_nowhere;
        }

        every[i].timer.handler = ngx_http_async_every_handler;
        every[i].timer.data = &ngx_http_async_every_no_connection;
        every[i].timer.log = cycle->log;
        every[i].timer.cancelable = 1;

        every[i].salt = ngx_murmur_hash2(fn->name.data, fn->name.len)
                        ^ (every[i].all ? (uint32_t) ngx_pid : 0);

        if (ngx_process == NGX_PROCESS_SINGLE) {
            /* a reload takes the zones of the process that runs on */
            every[i].lock = NULL;
        }

        every[i].schedule = every[i].lock ? every[i].zone->data
                                          : &every[i].own;

        if (ngx_http_async_lifecycle_ready(fn->app)) {
            ngx_http_async_every_begin(&every[i]);
        }
    }
}


static void
ngx_http_async_every_ready(ngx_http_async_app_t *app)
{
    ngx_uint_t               i;
    ngx_http_async_every_t  *every;

    every = ngx_http_async_everys->elts;

    for (i = 0; i < ngx_http_async_everys->nelts; i++) {
        if (every[i].ref->fn->app == app) {
            ngx_http_async_every_begin(&every[i]);
        }
    }
}


/* The worker joins the grid, or is the first one on it. */

static void
ngx_http_async_every_begin(ngx_http_async_every_t *every)
{
    ngx_msec_t                        first;
    ngx_msec_int_t                    behind;
    ngx_http_async_every_schedule_t  *shared;

    if (ngx_async_quitting || every->ref->fn->exported == NULL) {
        return;
    }

    ngx_time_update();

    first = ngx_current_msec + every->interval;

    if (ngx_process == NGX_PROCESS_SINGLE) {
        every->own.due = first;

    } else {
        shared = every->zone->data;

        (void) ngx_atomic_cmp_set(&shared->due, 0, first);

        if (every->all) {
            every->own.due = shared->due;
            behind = (ngx_msec_int_t) (ngx_current_msec - every->own.due);

            if (behind >= 0) {
                every->own.due += (behind / every->interval + 1)
                                  * every->interval;
            }
        }
    }

    ngx_http_async_every_wait(every);
}


static void
ngx_http_async_every_handler(ngx_event_t *ev)
{
    ngx_http_async_every_t  *every;

    every = (ngx_http_async_every_t *)
                ((u_char *) ev - offsetof(ngx_http_async_every_t, timer));

    ev->timedout = 0;

    if (ngx_async_quitting && every->run == NULL) {
        return;
    }

    if ((ngx_http_async_every_left(every) <= 0 || every->schedule->queued)
        && ngx_http_async_every_lock(every))
    {
        ngx_http_async_every_turn(every);
    }

    ngx_http_async_every_wait(every);
}


/* With the lock: another worker may have had it a moment ago. */

static void
ngx_http_async_every_turn(ngx_http_async_every_t *every)
{
    if (ngx_http_async_every_left(every) <= 0) {

        if (every->run) {
            ngx_http_async_every_overlap(every);
            ngx_http_async_every_advance(every);
            return;
        }

        ngx_http_async_every_advance(every);

    } else if (every->run || !every->schedule->queued) {
        return;

    } else {
        every->schedule->queued = 0;
    }

    ngx_http_async_every_start(every);
}


static void
ngx_http_async_every_advance(ngx_http_async_every_t *every)
{
    ngx_uint_t                        missed;
    ngx_http_async_every_schedule_t  *s;

    s = every->schedule;

    missed = (ngx_current_msec - s->due) / every->interval;

    if (missed) {
        s->missed += missed;
        ngx_async_stats_add_to(&every->stats, NGX_HTTP_ASYNC_EVERY_MISSED,
                               missed);

        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "async periodic \"%V\" was not run %ui times while it "
                      "was due, so far %uA times", &every->ref->fn->name,
                      missed, s->missed);
    }

    /* whoever sees that sees what has been queued, too */
    ngx_memory_barrier();

    s->due += (missed + 1) * every->interval;
}


static void
ngx_http_async_every_overlap(ngx_http_async_every_t *every)
{
    ngx_http_async_every_schedule_t  *s;

    s = every->schedule;

    if (every->queue && !s->queued) {
        s->queued = 1;

        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "async periodic \"%V\" waits until the run before has "
                      "ended", &every->ref->fn->name);
        return;
    }

    s->skipped++;
    ngx_async_stats_count(&every->stats, NGX_HTTP_ASYNC_EVERY_SKIPPED);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "async periodic \"%V\" is left out since the run before has "
                  "not ended%s, so far %uA times", &every->ref->fn->name,
                  every->queue ? ", and one waits already" : "", s->skipped);
}


static void
ngx_http_async_every_start(ngx_http_async_every_t *every)
{
    ngx_http_async_fn_t         *fn;
    ngx_http_async_every_run_t  *run;

    fn = every->ref->fn;

    every->schedule->runs++;
    ngx_async_stats_count(&every->stats, NGX_HTTP_ASYNC_EVERY_RUNS);

    run = ngx_async_task_create_over(ngx_http_async_every_body,
                                     ngx_http_async_every_done, &fn->profile,
                                     ngx_cycle->log);
    if (run == NULL) {
        every->schedule->failed++;
        ngx_async_stats_count(&every->stats, NGX_HTTP_ASYNC_EVERY_FAILED);
        return;
    }

    ngx_async_stats_count(&every->stats, NGX_HTTP_ASYNC_EVERY_ALIVE);

    run->every = every;
    every->run = run;

    if (every->lock) {
        every->lock->nruns++;
    }

    (void) ngx_async_task_run(&run->task);
}


static void
ngx_http_async_every_body(ngx_async_task_t *t)
{
    ngx_http_async_every_run_t  *run = (ngx_http_async_every_run_t *) t;

    run->rc = run->every->ref->fn->exported->hook(t);
}


static void
ngx_http_async_every_done(ngx_async_task_t *t)
{
    uint64_t                     time;
    ngx_http_async_every_t      *every;
    ngx_http_async_every_run_t  *run = (ngx_http_async_every_run_t *) t;

    every = run->every;
    every->run = NULL;

    time = (uint64_t) (ngx_current_msec - t->started) * 1000;

    ngx_async_stats_less(&every->stats, NGX_HTTP_ASYNC_EVERY_ALIVE);
    ngx_async_stats_set(&every->stats, NGX_HTTP_ASYNC_EVERY_LAST, time);
    ngx_async_stats_time(&every->stats, NGX_HTTP_ASYNC_EVERY_TIME, time);

    if (run->rc != ASYNC_OK) {
        ngx_http_async_every_failed(run);
    }

    if (every->lock) {
        every->lock->nruns--;
    }

    if (ngx_async_quitting) {
        ngx_http_async_every_stop(every);
        ngx_http_async_every_unlock(every);
        return;
    }

    if (every->schedule->queued) {
        /* when the stack of this one is free again */
        ngx_post_event(&every->timer, &ngx_posted_events);
    }
}


static void
ngx_http_async_every_failed(ngx_http_async_every_run_t *run)
{
    const char        *cause;
    ngx_uint_t         level;
    ngx_async_task_t  *t;

    t = &run->task;
    cause = async_error(t);

    run->every->schedule->failed++;
    ngx_async_stats_count(&run->every->stats, NGX_HTTP_ASYNC_EVERY_FAILED);

    /* whoever stops nginx at once knows that */

    level = (ngx_terminate && run->rc == ASYNC_CANCELLED) ? NGX_LOG_INFO
                                                          : NGX_LOG_ERR;

    ngx_log_error(level, t->log, 0,
                  "async periodic \"%s\" failed: %s%s%s, after %s at %s",
                  t->profile->name, ngx_async_rc_name(run->rc),
                  *cause ? ": " : "", cause, t->await ? t->await : "no await",
                  t->site ? t->site : "-");
}


/* Sets the timer anew. */

static void
ngx_http_async_every_wait(ngx_http_async_every_t *every)
{
    ngx_msec_int_t  left;

    left = ngx_http_async_every_left(every);
    left = ngx_max(left, 0);

    if (every->lock && !every->lock->held
        && (left == 0 || every->schedule->queued))
    {
        /* the owner has not come to it, or another one is to do it */

        left = ngx_min(left ? left : (ngx_msec_int_t) every->interval,
                       NGX_HTTP_ASYNC_EVERY_TRY);
    }

    left = ngx_min(left, NGX_HTTP_ASYNC_EVERY_SLEEP);

    if (every->timer.timer_set) {
        /* nginx would leave one that differs by little */
        ngx_del_timer(&every->timer);
    }

    ngx_add_timer(&every->timer, (ngx_msec_t) left);
}


/*
 * The time to the next run.  The jitter is made from the point of the grid, so
 * that workers that compete need not tell each other.
 */

static ngx_msec_int_t
ngx_http_async_every_left(ngx_http_async_every_t *every)
{
    double      share;
    uint64_t    key[2];
    ngx_msec_t  at;

    at = every->schedule->due;

    if (every->jitter) {
        key[0] = at;
        key[1] = every->salt;

        share = ngx_murmur_hash2((u_char *) key, sizeof(key)) / 4294967296.0;

        at += (ngx_msec_t) (share * (double) (every->jitter + 1));
    }

    return (ngx_msec_int_t) (at - ngx_current_msec);
}


static ngx_uint_t
ngx_http_async_every_lock(ngx_http_async_every_t *every)
{
    ngx_int_t                      rc;
    ngx_http_async_every_lock_t   *lock;
    ngx_http_async_every_owner_t  *owner;

    lock = every->lock;

    if (lock == NULL || lock->held) {
        return 1;
    }

    owner = lock->zone->data;

    rc = ngx_async_robust_trylock(&owner->mutex);

    if (rc == NGX_AGAIN) {
        return 0;
    }

    if (rc == NGX_DONE) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "async periodic \"%V\" goes on here, since worker "
                      "process %P has ended", &every->ref->fn->name,
                      owner->owner);
    }

    owner->owner = ngx_pid;
    lock->held = 1;

    return 1;
}


static void
ngx_http_async_every_unlock(ngx_http_async_every_t *every)
{
    ngx_http_async_every_lock_t   *lock;
    ngx_http_async_every_owner_t  *owner;

    lock = every->lock;

    if (lock == NULL || !lock->held || lock->nruns) {
        return;
    }

    owner = lock->zone->data;

    lock->held = 0;

    ngx_async_robust_unlock(&owner->mutex);
}


/*
 * A graceful shutdown begins.  While a run goes on in here, nobody else looks
 * after the schedule.
 */

static void
ngx_http_async_every_quit(void)
{
    ngx_uint_t               i;
    ngx_http_async_every_t  *every;

    every = ngx_http_async_everys->elts;

    for (i = 0; i < ngx_http_async_everys->nelts; i++) {
        if (every[i].run == NULL || every[i].lock == NULL) {
            ngx_http_async_every_stop(&every[i]);
        }

        ngx_http_async_every_unlock(&every[i]);
    }
}


void
ngx_http_async_every_exit(void)
{
    ngx_uint_t               i;
    ngx_http_async_every_t  *every;

    if (ngx_http_async_everys == NULL) {
        return;
    }

    every = ngx_http_async_everys->elts;

    for (i = 0; i < ngx_http_async_everys->nelts; i++) {
        ngx_http_async_every_stop(&every[i]);

        /* not if a run has not ended: the end of the process does it then */
        ngx_http_async_every_unlock(&every[i]);
    }
}


static void
ngx_http_async_every_stop(ngx_http_async_every_t *every)
{
    if (every->timer.timer_set) {
        ngx_del_timer(&every->timer);
    }

    if (every->timer.posted) {
        ngx_delete_posted_event(&every->timer);
    }
}
