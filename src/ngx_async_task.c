
/*
 * Copyright (C) the nginx-async authors
 *
 * Tasks and the one place where coroutines are resumed and suspended.  A
 * wake moves a task to the ready queue, which the loop drains through one
 * posted event; nothing else runs the code of a user.  Knows events, not
 * HTTP.
 */

#include <ngx_async_quit.h>
#include <ngx_async_relax.h>
#include <ngx_async_meter.h>
#include <pthread.h>


#define ngx_async_unlikely(x)  __builtin_expect(!!(x), 0)

/* how many tasks there may be beyond "async_max_tasks" */
#define NGX_ASYNC_OVER         64

/* how many resumes in one turn of the loop before it may serve events */
#define NGX_ASYNC_TURN         1024

/* of the runs of a function, the first few and then one in so many are
 * measured for its high-water mark */
#define NGX_ASYNC_MEASURED     8
#define NGX_ASYNC_SAMPLE       1024

/* how often a task may be refused without a wait before it is slowed down */
#define NGX_ASYNC_REFUSALS     1000
#define NGX_ASYNC_SLOWDOWN     100

/* how many idle stacks may keep their pages */
#define NGX_ASYNC_IDLE         1024

/* how often pages of idle stacks are given back while there are many */
#define NGX_ASYNC_TRIM         1000

#define NGX_ASYNC_TASK_ALIGN   16


typedef struct {
    ngx_async_stack_pool_t    *stacks;
    ngx_async_task_t          *current;
    ngx_queue_t                ready;
    ngx_queue_t                live;
    pthread_t                  thread;        /* the loop's */
    ngx_uint_t                 max_tasks;
    uint64_t                   ticket;
    ngx_msec_t                 slow;
    size_t                     stack_size;
    size_t                     task_size;     /* a multiple of 16 */
    ngx_uint_t                 nkept;         /* tasks that have ended */
    ngx_event_t                drain;
    ngx_event_t                trim;
} ngx_async_worker_t;


static void ngx_async_too_many(ngx_async_profile_t *profile, ngx_log_t *log)
    __attribute__((cold));
static ngx_inline void *ngx_async_task_make(ngx_async_body_pt body,
    ngx_async_done_pt done, ngx_async_profile_t *profile, ngx_log_t *log,
    size_t beside);
static void ngx_async_task_main(void *data);
static ngx_inline ngx_int_t ngx_async_resume(ngx_async_task_t *t);
static ngx_inline ngx_msec_t ngx_async_clock(void);
static void ngx_async_task_call(ngx_async_task_t *t);
static void ngx_async_task_end(ngx_async_task_t *t);
static ngx_inline void ngx_async_task_destroy(ngx_async_task_t *t);
static void ngx_async_illegal(ngx_async_task_t *t, ngx_async_state_e state)
    __attribute__((noreturn, cold));
static void ngx_async_misplaced(const char *await, const char *site)
    __attribute__((noreturn, cold));
static async_rc_t ngx_async_refused(ngx_async_task_t *t, async_rc_t rc)
    __attribute__((cold));
static ngx_inline ngx_int_t ngx_async_suspend(ngx_async_task_t *t,
    ngx_msec_t timeout);
static void ngx_async_set_timer(ngx_async_task_t *t, ngx_msec_t timeout)
    __attribute__((noinline));
static void ngx_async_timer_handler(ngx_event_t *ev);
static void ngx_async_drain_handler(ngx_event_t *ev);
static void ngx_async_trim_handler(ngx_event_t *ev);
static void ngx_async_on_refresh(void);


ngx_uint_t                  ngx_async_ntasks;
ngx_msec_t                  ngx_async_cleanup_timeout;
ngx_async_stats_t          *ngx_async_tasks = &ngx_async_stats_nowhere;
ngx_async_stats_t          *ngx_async_stacks = &ngx_async_stats_nowhere;

static ngx_async_worker_t   ngx_async;

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t     ngx_async_no_connection;


/*
 * The life of a task, as a table: NEW may run or become ready; RUNNING may wait
 * or end; WAITING may become ready; READY may run.
 */

static ngx_inline void
ngx_async_set_state(ngx_async_task_t *t, ngx_async_state_e state)
{
    static const u_char  legal[] = {
        /* from NEW */      1 << NGX_ASYNC_RUNNING | 1 << NGX_ASYNC_READY,
        /* from RUNNING */  1 << NGX_ASYNC_WAITING | 1 << NGX_ASYNC_DONE,
        /* from WAITING */  1 << NGX_ASYNC_READY,
        /* from READY */    1 << NGX_ASYNC_RUNNING,
        /* from DONE */     0
    };

    if (ngx_async_unlikely(!(legal[t->state] & 1 << state))) {
        ngx_async_illegal(t, state);
    }

    t->state = state;
}


static void
ngx_async_illegal(ngx_async_task_t *t, ngx_async_state_e state)
{
    ngx_log_error(NGX_LOG_ALERT, t->log, 0,
                  "async task \"%s\" cannot go from state %d to %d",
                  t->profile->name, t->state, state);
    ngx_abort();
}


ngx_int_t
ngx_async_init(ngx_cycle_t *cycle, ngx_async_conf_t *conf)
{
    size_t  max;

    ngx_memzero(&ngx_async, sizeof(ngx_async_worker_t));

    ngx_queue_init(&ngx_async.ready);
    ngx_queue_init(&ngx_async.live);

    ngx_async.thread = pthread_self();

    ngx_async_no_connection.fd = (ngx_socket_t) -1;

    ngx_async.drain.handler = ngx_async_drain_handler;
    ngx_async.drain.data = &ngx_async_no_connection;
    ngx_async.drain.log = cycle->log;

    ngx_async.trim.handler = ngx_async_trim_handler;
    ngx_async.trim.data = &ngx_async_no_connection;
    ngx_async.trim.log = cycle->log;
    ngx_async.trim.cancelable = 1;

    ngx_async_relax_init(cycle);

    ngx_async_tasks = ngx_async_stats_one(conf->stats,
                                          &ngx_async_tasks_family);
    ngx_async_stacks = ngx_async_stats_one(conf->stats,
                                           &ngx_async_stacks_family);

    ngx_async_cleanup_timeout = conf->cleanup_timeout;
    ngx_async.slow = conf->slow ? conf->slow : (ngx_msec_t) -1;
    ngx_async.stack_size = conf->stack_size;
    ngx_async.task_size = ngx_align(conf->task_size, NGX_ASYNC_TASK_ALIGN);

    ngx_async.stacks = ngx_async_stack_pool_create(conf->stack_size,
                                                   conf->max_tasks
                                                   + NGX_ASYNC_OVER);
    if (ngx_async.stacks == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "async: no memory for a pool of %ui stacks of %uz "
                      "bytes", conf->max_tasks, conf->stack_size);
        return NGX_ERROR;
    }

    max = ngx_async_stack_pool_max(ngx_async.stacks);
    max = (max > NGX_ASYNC_OVER) ? max - NGX_ASYNC_OVER : max;

    if (max < conf->max_tasks) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "async: only %uz of the %ui tasks of "
                      "\"async_max_tasks\" fit: raise vm.max_map_count",
                      max, conf->max_tasks);
    }

    ngx_async.max_tasks = max;

    if (ngx_async_coro_overflow_install(ngx_async_note_overflow) != 0) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "async: stack overflows will not be diagnosed");
    }

    if (ngx_async_on_stats(ngx_async_on_refresh) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_async_quit_init(cycle, conf);
}


/* For the status. */

static void
ngx_async_on_refresh(void)
{
    ngx_async_stats_set(ngx_async_tasks, NGX_ASYNC_TASKS_ALIVE,
                        ngx_async_ntasks);
    ngx_async_stats_set(ngx_async_tasks, NGX_ASYNC_TASKS_MAX,
                        ngx_async.max_tasks);
    ngx_async_stats_set(ngx_async_tasks, NGX_ASYNC_TASKS_DEFERS,
                        ngx_async_ndefers);

    ngx_async_stats_set(ngx_async_stacks, NGX_ASYNC_STACKS_MADE,
                        ngx_async_stack_pool_made(ngx_async.stacks));
    ngx_async_stats_set(ngx_async_stacks, NGX_ASYNC_STACKS_USED,
                        ngx_async_stack_pool_used(ngx_async.stacks));
    ngx_async_stats_set(ngx_async_stacks, NGX_ASYNC_STACKS_IDLE,
                        ngx_async_stack_pool_idle(ngx_async.stacks));
    ngx_async_stats_set(ngx_async_stacks, NGX_ASYNC_STACKS_SIZE,
                        ngx_async.stack_size);
}


ngx_async_task_t *
ngx_async_task_self(void)
{
    return ngx_async_coro_self() ? ngx_async.current : NULL;
}


ngx_uint_t
ngx_async_is_loop(void)
{
    return pthread_equal(pthread_self(), ngx_async.thread);
}


void *
ngx_async_task_create(ngx_async_body_pt body, ngx_async_done_pt done,
    ngx_async_profile_t *profile, ngx_log_t *log)
{
    if (ngx_async_unlikely(ngx_async_ntasks >= ngx_async.max_tasks)) {
        ngx_async_too_many(profile, log);
        return NULL;
    }

    return ngx_async_task_make(body, done, profile, log, 0);
}


void *
ngx_async_task_create_over(ngx_async_body_pt body, ngx_async_done_pt done,
    ngx_async_profile_t *profile, ngx_log_t *log)
{
    return ngx_async_task_make(body, done, profile, log, 0);
}


void *
ngx_async_task_create_beside(ngx_async_body_pt body, ngx_async_done_pt done,
    ngx_async_profile_t *profile, ngx_log_t *log, size_t size)
{
    if (ngx_async_unlikely(ngx_async_ntasks >= ngx_async.max_tasks)) {
        ngx_async_too_many(profile, log);
        return NULL;
    }

    return ngx_async_task_make(body, done, profile, log,
                               ngx_align(size, NGX_ASYNC_TASK_ALIGN));
}


static ngx_inline void *
ngx_async_task_make(ngx_async_body_pt body, ngx_async_done_pt done,
    ngx_async_profile_t *profile, ngx_log_t *log, size_t beside)
{
    ngx_async_coro_t  *coro;
    ngx_async_task_t  *t;

    coro = ngx_async_coro_create(ngx_async.stacks, ngx_async_task_main,
                                 ngx_async.task_size + beside);

    if (coro == NULL) {
        ngx_async_too_many(profile, log);
        return NULL;
    }

    t = ngx_async_task_of(coro);

    t->coro = coro;
    t->body = body;
    t->done = done;
    t->profile = profile;
    t->log = log;
    t->started = ngx_current_msec;

    t->timer.handler = ngx_async_timer_handler;
    t->timer.data = &ngx_async_no_connection;
    t->timer.log = log;

    ngx_queue_insert_tail(&ngx_async.live, &t->live);
    ngx_async_ntasks++;

    if (ngx_async_unlikely(!ngx_async_relax_timer.timer_set)) {
        ngx_add_timer(&ngx_async_relax_timer, NGX_ASYNC_RELAX_LAP);
    }

    if (ngx_async_unlikely(ngx_async_quitting)) {
        ngx_async_quit_begun(t);
    }

    if (profile->runs++ < NGX_ASYNC_MEASURED
        || profile->runs % NGX_ASYNC_SAMPLE == 0)
    {
        ngx_async_coro_measure(coro);
        t->measured = 1;
    }

    if (profile->stats.values) {
        ngx_async_stats_count(&profile->stats, NGX_ASYNC_PROFILE_STARTED);
        ngx_async_stats_count(&profile->stats, NGX_ASYNC_PROFILE_ALIVE);
    }

    return t;
}


/* at the top of the stack, whatever lies below it */

ngx_async_task_t *
ngx_async_task_of(ngx_async_coro_t *coro)
{
    return (ngx_async_task_t *) ((u_char *) coro - ngx_async.task_size);
}


void *
ngx_async_task_beside(ngx_async_task_t *t)
{
    return ngx_async_coro_data(t->coro);
}


static void
ngx_async_too_many(ngx_async_profile_t *profile, ngx_log_t *log)
{
    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "async: no task for \"%s\": %ui run already, of at most "
                  "%ui by \"async_max_tasks\" and the kernel's limits",
                  profile->name, ngx_async_ntasks, ngx_async.max_tasks);

    ngx_async_stats_count(ngx_async_tasks, NGX_ASYNC_TASKS_SHED);

    if (profile->stats.values) {
        ngx_async_stats_count(&profile->stats, NGX_ASYNC_PROFILE_SHED);
    }
}


static void
ngx_async_task_main(void *data)
{
    ngx_async_task_t  *t;

    t = ngx_async.current;

    t->body(t);

    if (ngx_async_unlikely(t->defers != NULL)) {
        ngx_async_run_defers(t);
    }
}


ngx_int_t
ngx_async_task_run(ngx_async_task_t *t)
{
    return ngx_async_resume(t);
}


void
ngx_async_task_ready(ngx_async_task_t *t)
{
    ngx_async_set_state(t, NGX_ASYNC_READY);
    ngx_queue_insert_tail(&ngx_async.ready, &t->ready);
    ngx_post_event(&ngx_async.drain, &ngx_posted_events);
}


static ngx_inline ngx_int_t
ngx_async_resume(ngx_async_task_t *t)
{
    ngx_msec_t           start, held;
    const char          *await, *site;
    ngx_async_task_t    *outer;
    ngx_async_stretch_t  stretch;

    /* another task may be in ngx_async_on_loop() */
    outer = ngx_async.current;

    await = t->await;
    site = t->site;
    start = ngx_async_clock();

    ngx_async_set_state(t, NGX_ASYNC_RUNNING);
    ngx_async.current = t;

    ngx_async_stats_running->row = t->profile->stats.row;
    ngx_async_stats_running->since = start;

    if (ngx_async_unlikely(t->meter != NULL)) {
        ngx_async_meter_enter(t, &stretch);
    }

    ngx_async_coro_resume(t->coro);

    while (ngx_async_unlikely(t->call != NULL)) {
        ngx_async_task_call(t);
    }

    ngx_async.current = outer;
    ngx_async_stats_running->since = 0;

    if (ngx_async_unlikely(t->meter != NULL)) {
        ngx_async_meter_leave(t, &stretch);
    }

    if (ngx_async_unlikely(outer != NULL)) {
        /* which goes on; when it began is not known any more */
        ngx_async_stats_running->row = outer->profile->stats.row;
        ngx_async_stats_running->since = start;
    }

    held = ngx_async_clock() - start;

    if (ngx_async_unlikely(held != 0)) {
        /* deadlines count from nginx's clock */
        ngx_time_update();
    }

    if (ngx_async_unlikely(held >= ngx_async.slow)) {
        ngx_async_note_slow(t, await, site, held);
    }

    if (!ngx_async_coro_done(t->coro)) {
        return NGX_AGAIN;
    }

    ngx_async_task_end(t);

    return NGX_DONE;
}


/*
 * For the watch: milliseconds, at the resolution of the kernel's tick, since
 * it costs no more than reading memory.
 */

static ngx_inline ngx_msec_t
ngx_async_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);

    return (ngx_msec_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* The other half of ngx_async_on_loop() */

static void
ngx_async_task_call(ngx_async_task_t *t)
{
    ngx_async_call_pt  call;

    call = t->call;
    t->call = NULL;

    call(t->call_data);

    ngx_async_coro_resume(t->coro);
}


static void
ngx_async_task_end(ngx_async_task_t *t)
{
    ngx_async_end_t  *end;

    ngx_async_set_state(t, NGX_ASYNC_DONE);

    t->ticket = 0;

    if (t->timer.timer_set) {
        ngx_del_timer(&t->timer);
    }

    if (t->measured) {
        ngx_async_note_stack(t, ngx_async.stack_size);
    }

    if (t->profile->stats.values) {
        ngx_async_note_end(t);
    }

    ngx_queue_remove(&t->live);
    ngx_async_ntasks--;

    if (ngx_async_unlikely(ngx_async_quitting)) {
        ngx_async_quit_ended();
    }

    while (ngx_async_unlikely(t->ends != NULL)) {
        end = t->ends;
        t->ends = end->next;

        end->handler(end);
    }

    t->ending = 1;
    t->done(t);
    t->ending = 0;

    if (t->own_pool) {
        ngx_destroy_pool(t->pool);
    }

    if (ngx_async_unlikely(t->kept)) {
        ngx_async.nkept++;
        return;
    }

    ngx_async_task_destroy(t);
}


void
ngx_async_task_forget(ngx_async_task_t *t)
{
    if (t->ending) {
        t->kept = 0;
        return;
    }

    ngx_async.nkept--;
    ngx_async_task_destroy(t);
}


static ngx_inline void
ngx_async_task_destroy(ngx_async_task_t *t)
{
    ngx_async_coro_t  *coro;

    coro = t->coro;
    ngx_async_coro_destroy(coro);

    if (ngx_async_stack_pool_idle(ngx_async.stacks) > NGX_ASYNC_IDLE
        && !ngx_async.trim.timer_set)
    {
        ngx_add_timer(&ngx_async.trim, NGX_ASYNC_TRIM);
    }
}


static void
ngx_async_misplaced(const char *await, const char *site)
{
    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "%s() at %s was called outside of the coroutine that "
                  "its first argument names", await, site);
    ngx_abort();
}


async_rc_t
ngx_async_enter(ngx_async_task_t *t, const char *await, const char *site)
{
    if (ngx_async_unlikely(t != ngx_async.current
                           || ngx_async_coro_self() != t->coro))
    {
        ngx_async_misplaced(await, site);
    }

    t->await = await;
    t->site = site;

    if (ngx_async_unlikely(t->meter != NULL)) {
        ngx_async_meter_await(t);
    }

    if (ngx_async_unlikely(t->reason != NGX_ASYNC_KEEP)) {
        return ngx_async_refuse(t);
    }

    /* nginx's own timer fires a turn of the loop later at best */

    if (t->deadline && (ngx_msec_int_t) (t->deadline - ngx_current_msec) <= 0)
    {
        t->reason = NGX_ASYNC_DEADLINE;
        return ngx_async_refuse(t);
    }

    return ASYNC_OK;
}


async_rc_t
ngx_async_refuse(ngx_async_task_t *t)
{
    return ngx_async_refused(t, ngx_async_refusal(t));
}


async_rc_t
ngx_async_refuse_time(ngx_async_task_t *t, const ngx_async_bound_t *bound)
{
    return ngx_async_refused(t, ngx_async_refusal_time(t, bound));
}


/*
 * A task whose awaits are refused is expected to return, or to leave the scope
 * that they are refused in.  One that asks for ever would block the loop, so it
 * is made to wait after a while.
 */

static async_rc_t
ngx_async_refused(ngx_async_task_t *t, async_rc_t rc)
{
    ngx_int_t   outcome;
    ngx_uint_t  refused;

    refused = ++t->refused;

    if (refused < NGX_ASYNC_REFUSALS) {
        return rc;
    }

    if (refused == NGX_ASYNC_REFUSALS) {
        ngx_log_error(NGX_LOG_ERR, t->log, 0,
                      "async handler \"%s\" awaits on although it is "
                      "refused: %s, at %s", t->profile->name, t->error,
                      t->site);
    }

    (void) ngx_async_waker(t);
    outcome = ngx_async_suspend(t, NGX_ASYNC_SLOWDOWN);

    /* this wait is none of its own */
    t->refused = refused;

    return (outcome == NGX_ASYNC_ELAPSED) ? rc : outcome;
}



ngx_async_waker_t
ngx_async_waker(ngx_async_task_t *t)
{
    ngx_async_waker_t  w;

    t->ticket = ++ngx_async.ticket;

    w.task = t;
    w.ticket = t->ticket;

    return w;
}


ngx_int_t
ngx_async_wait(ngx_async_task_t *t, ngx_msec_t timeout)
{
    if (ngx_async_unlikely(t->reason != NGX_ASYNC_KEEP) && t->ticket) {
        /* cancelled since it has entered, in an await of several waits */
        t->ticket = 0;
        return ngx_async_refuse(t);
    }

    return ngx_async_suspend(t, timeout);
}


static ngx_inline ngx_int_t
ngx_async_suspend(ngx_async_task_t *t, ngx_msec_t timeout)
{
    if (t->ticket) {
        t->refused = 0;

        ngx_async_set_timer(t, timeout);
        ngx_async_set_state(t, NGX_ASYNC_WAITING);

        t->since = ngx_current_msec;

        if (ngx_async_unlikely(t->meter != NULL)) {
            t->waits_since = ngx_async_meter_clock();
        }

        ngx_async_coro_suspend();

        if (ngx_async_unlikely(t->meter != NULL)) {
            ngx_async_meter_waited(t, t->waits_since);
        }

        /* the timer of a deadline stays: the next wait will want it too */

        if (t->timer.timer_set && !t->timer_is_deadline) {
            ngx_del_timer(&t->timer);
        }

        if (t->timer.posted) {
            ngx_delete_posted_event(&t->timer);
        }
    }

    if (ngx_async_unlikely(t->reason != NGX_ASYNC_KEEP)
        && (t->outcome == ASYNC_TIMEOUT || t->outcome == ASYNC_CANCELLED))
    {
        return ngx_async_refuse(t);
    }

    return t->outcome;
}


static void
ngx_async_set_timer(ngx_async_task_t *t, ngx_msec_t timeout)
{
    ngx_uint_t      is_deadline;
    ngx_msec_int_t  left;

    if (timeout == 0) {
        ngx_post_event(&t->timer, &ngx_posted_next_events);
        return;
    }

    is_deadline = 0;

    if (timeout != NGX_ASYNC_FOREVER) {
        /* the code before the await may have taken its time */
        ngx_time_update();
    }

    if (t->deadline && t->reason == NGX_ASYNC_KEEP) {
        left = (ngx_msec_int_t) (t->deadline - ngx_current_msec);

        if (timeout == NGX_ASYNC_FOREVER || left <= (ngx_msec_int_t) timeout) {
            is_deadline = 1;
            timeout = ngx_max(left, 0);
        }
    }

    if (t->timer.timer_set) {
        if (is_deadline && t->timer_is_deadline) {
            return;
        }

        ngx_del_timer(&t->timer);
    }

    t->timer_is_deadline = is_deadline;

    if (timeout != NGX_ASYNC_FOREVER) {
        ngx_add_timer(&t->timer, timeout);
    }
}


static void
ngx_async_timer_handler(ngx_event_t *ev)
{
    ngx_async_task_t   *t;
    ngx_async_waker_t   w;

    t = (ngx_async_task_t *) ((u_char *) ev
                              - offsetof(ngx_async_task_t, timer));

    if (ev->timedout) {
        ev->timedout = 0;

        if (t->timer_is_deadline) {
            ngx_async_stop(t, NGX_ASYNC_DEADLINE);
            return;
        }
    }

    w.task = t;
    w.ticket = t->ticket;

    (void) ngx_async_wake(&w, NGX_ASYNC_ELAPSED);
}


ngx_uint_t
ngx_async_wake(ngx_async_waker_t *w, ngx_int_t outcome)
{
    ngx_async_task_t  *t;

    t = w->task;

    if (w->ticket == 0 || t->ticket != w->ticket) {
        return 0;
    }

    t->ticket = 0;
    t->outcome = outcome;

    /* a task may be woken before it waits: then it does not suspend */

    if (t->state == NGX_ASYNC_WAITING) {
        ngx_async_set_state(t, NGX_ASYNC_READY);
        ngx_queue_insert_tail(&ngx_async.ready, &t->ready);
        ngx_post_event(&ngx_async.drain, &ngx_posted_events);
    }

    return 1;
}


ngx_pool_t *
ngx_async_task_pool(ngx_async_task_t *t)
{
    if (t->pool == NULL) {
        t->pool = ngx_create_pool(1024, t->log);
        t->own_pool = (t->pool != NULL);
    }

    return t->pool;
}


static void
ngx_async_drain_handler(ngx_event_t *ev)
{
    ngx_uint_t         n;
    ngx_queue_t       *q;
    ngx_async_task_t  *t;

    for (n = 0; !ngx_queue_empty(&ngx_async.ready); n++) {

        if (n == NGX_ASYNC_TURN) {

            if (ev->posted) {
                /* by a wake of this drain, for the same turn */
                ngx_delete_posted_event(ev);
            }

            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        q = ngx_queue_head(&ngx_async.ready);
        ngx_queue_remove(q);

        t = ngx_queue_data(q, ngx_async_task_t, ready);

        (void) ngx_async_resume(t);
    }
}


/* After a burst; what nobody has needed for a second goes back to the kernel */

static void
ngx_async_trim_handler(ngx_event_t *ev)
{
    ngx_msec_t  next;

    next = ngx_async_stack_pool_trim(ngx_async.stacks) ? 1 : NGX_ASYNC_TRIM;

    if (ngx_async_stack_pool_idle(ngx_async.stacks) > NGX_ASYNC_IDLE) {
        ngx_add_timer(ev, next);
    }
}


void
ngx_async_on_loop(ngx_async_call_pt call, void *data)
{
    ngx_async_task_t  *t;

    if (ngx_async_coro_self() == NULL) {
        call(data);
        return;
    }

    t = ngx_async.current;

    t->call = call;
    t->call_data = data;

    ngx_async_coro_suspend();
}


void
ngx_async_each(void (*visit)(ngx_async_task_t *t, void *data), void *data)
{
    ngx_queue_t  *q, *next;

    for (q = ngx_queue_head(&ngx_async.live);
         q != ngx_queue_sentinel(&ngx_async.live);
         q = next)
    {
        next = ngx_queue_next(q);

        visit(ngx_queue_data(q, ngx_async_task_t, live), data);
    }
}


ngx_async_task_t *
ngx_async_next_task(void)
{
    ngx_queue_t  *q;

    q = ngx_queue_head(&ngx_async.live);

    ngx_queue_remove(q);
    ngx_queue_insert_tail(&ngx_async.live, q);

    return ngx_queue_data(q, ngx_async_task_t, live);
}


void
ngx_async_exit(void)
{
    ngx_async_quit_exit();

    if (ngx_async.stacks && ngx_async_ntasks == 0 && ngx_async.nkept == 0) {
        ngx_async_stack_pool_destroy(ngx_async.stacks);
        ngx_async.stacks = NULL;
    }
}
