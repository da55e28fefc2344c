
/*
 * Copyright (C) the nginx-async authors
 *
 * Tasks, and THE suspend point: everything that waits goes through
 * ngx_async_wait().  An awaitable is written as
 *
 *     rc = ngx_async_enter(co, "await_sleep", site);
 *     if (rc != ASYNC_OK) {
 *         return rc;
 *     }
 *
 *     ... start what is to be awaited, with ngx_async_waker(co) in it ...
 *
 *     rc = ngx_async_wait(co, timeout);
 *
 *     ... undo or collect, return ...
 *
 * and the event handler of what was started calls ngx_async_wake() with that
 * waker.  A waker is good for one wake: later ones, and those of a wait that
 * has ended otherwise, are ignored, also when the task is gone.
 */

#ifndef _NGX_ASYNC_TASK_H_INCLUDED_
#define _NGX_ASYNC_TASK_H_INCLUDED_


#define NGX_ASYNC_MODULE  1

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_async.h>
#include <ngx_async_coro.h>
#include <ngx_async_stats.h>
#include <stdarg.h>


/* what ngx_async_wait() gives beside the codes of async_rc_t */
#define NGX_ASYNC_ELAPSED   1

#define NGX_ASYNC_FOREVER   ((ngx_msec_t) -1)

/* ten years, so that nginx's arithmetic of times does not wrap */
#define NGX_ASYNC_TIME_MAX  ((int64_t) 10 * 366 * 24 * 3600 * 1000)

#define ngx_async_is_time(ms)  ((ms) >= 0 && (ms) <= NGX_ASYNC_TIME_MAX)

#define NGX_ASYNC_ERROR_LEN 160


#define ngx_async_prefetch(p)  __builtin_prefetch(p)


typedef struct async_s  ngx_async_task_t;

/* the body of a task runs on its coroutine, the rest on the loop's stack */
typedef void (*ngx_async_body_pt)(ngx_async_task_t *t);
typedef void (*ngx_async_done_pt)(ngx_async_task_t *t);
typedef void (*ngx_async_call_pt)(void *data);


typedef enum {
    NGX_ASYNC_NEW = 0,
    NGX_ASYNC_RUNNING,
    NGX_ASYNC_WAITING,
    NGX_ASYNC_READY,
    NGX_ASYNC_DONE
} ngx_async_state_e;


typedef enum {
    NGX_ASYNC_KEEP = 0,
    NGX_ASYNC_DEADLINE,        /* the nearest deadline has passed */
    NGX_ASYNC_BAD_TIME,        /* the time of the innermost scope is none */

    /* cancels: these stick */
    NGX_ASYNC_CLIENT,          /* the client has gone */
    NGX_ASYNC_ANSWERED,        /* nginx has answered the request itself */
    NGX_ASYNC_SHUTDOWN,        /* async_shutdown_timeout has passed */
    NGX_ASYNC_PARENT           /* the parent does not want it any more */
} ngx_async_reason_e;


/* What is known of a function over all its runs in this worker. */

typedef struct {
    const char                *name;          /* "app:function" */
    ngx_uint_t                 runs;
    size_t                     stack_used;    /* high-water mark, bytes */

    /* stretches between awaits of more than async_slow; the longest, in ms */
    ngx_uint_t                 slow;
    ngx_msec_t                 longest;

    /* the same for the status, over all workers; without values: none */
    ngx_async_stats_t          stats;
} ngx_async_profile_t;

/* of a task of the module's own, like "async_pg listener" */
#define ngx_async_own_profile(name)                                          \
    { name, 0, 0, 0, 0,                                                      \
      { NULL, ngx_null_string, NGX_ASYNC_STATS_ROWS, NULL } }


/* the values of those, ngx_async_profile_family */

enum {
    NGX_ASYNC_PROFILE_STARTED = 0,
    NGX_ASYNC_PROFILE_ALIVE,
    NGX_ASYNC_PROFILE_FINISHED,
    NGX_ASYNC_PROFILE_CANCELLED,
    NGX_ASYNC_PROFILE_TIMED_OUT,
    NGX_ASYNC_PROFILE_SHED,
    NGX_ASYNC_PROFILE_SLOW,
    NGX_ASYNC_PROFILE_LONGEST,
    NGX_ASYNC_PROFILE_STACK,
    NGX_ASYNC_PROFILE_TIME             /* a histogram */
};

extern const ngx_async_stats_family_t  ngx_async_profile_family;


/* of all tasks, ngx_async_tasks_family */

enum {
    NGX_ASYNC_TASKS_ALIVE = 0,
    NGX_ASYNC_TASKS_MAX,
    NGX_ASYNC_TASKS_SHED,
    NGX_ASYNC_TASKS_BACKGROUND,
    NGX_ASYNC_TASKS_DEFERS
};

/* and of their stacks, ngx_async_stacks_family */

enum {
    NGX_ASYNC_STACKS_MADE = 0,
    NGX_ASYNC_STACKS_USED,
    NGX_ASYNC_STACKS_IDLE,
    NGX_ASYNC_STACKS_SIZE,
    NGX_ASYNC_STACKS_HIGHEST
};

extern const ngx_async_stats_family_t  ngx_async_tasks_family;
extern const ngx_async_stats_family_t  ngx_async_stacks_family;


typedef struct {
    ngx_async_task_t          *task;
    uint64_t                   ticket;
} ngx_async_waker_t;


/* Where a deadline comes from, for messages. */

typedef struct {
    const char                *what;
    const char                *site;          /* NULL: a directive */
    int64_t                    ms;
} ngx_async_bound_t;


/*
 * While a task is shielded, cancels wait outside, and its deadline is another
 * one.  On the stack of whoever shields.
 */

typedef struct ngx_async_shield_s  ngx_async_shield_t;

struct ngx_async_shield_s {
    ngx_async_shield_t        *outer;
    ngx_async_reason_e         reason;
    ngx_msec_t                 deadline;
    const ngx_async_bound_t   *bound;
};


typedef struct ngx_async_defer_s  ngx_async_defer_t;

typedef struct ngx_async_meter_s  ngx_async_meter_t;


/* What the module itself does when a task has ended; part of what it serves */

typedef struct ngx_async_end_s  ngx_async_end_t;

struct ngx_async_end_s {
    ngx_async_end_t           *next;
    void                     (*handler)(ngx_async_end_t *end);
};


struct async_s {
    /* in the list of live tasks; in the ready queue while NGX_ASYNC_READY */
    ngx_queue_t                live;
    ngx_queue_t                ready;

    ngx_async_coro_t          *coro;
    ngx_async_body_pt          body;
    ngx_async_done_pt          done;
    ngx_async_profile_t       *profile;
    ngx_log_t                 *log;

    ngx_async_state_e          state;

    /* why awaits are refused now; why they will be where nothing shields */
    ngx_async_reason_e         reason;
    ngx_async_reason_e         cancel;

    /* of the wait in progress: zero once it has been decided */
    uint64_t                   ticket;
    ngx_int_t                  outcome;

    /* ngx_async_relax.c: the ticket of the wait that it has seen last */
    uint64_t                   seen;

    /* how many awaits have been refused since the last wait */
    ngx_uint_t                 refused;

    /* the last await, for messages: its name, and "file:line" of its call */
    const char                *await;
    const char                *site;

    /* when it began; when it was suspended last, as ngx_current_msec */
    ngx_msec_t                 started;
    ngx_msec_t                 since;

    /* absolute, as ngx_current_msec; zero: none */
    ngx_msec_t                 deadline;
    const ngx_async_bound_t   *bound;         /* NULL: the request's */
    ngx_event_t                timer;

    ngx_async_shield_t        *shield;
    ngx_async_defer_t         *defers;        /* last registered first */
    ngx_async_end_t           *ends;          /* after those */

    /* that of the request, or made when it is first needed */
    ngx_pool_t                *pool;

    /* ngx_async_child.c; the queue is made with the first child */
    ngx_async_task_t          *parent;
    ngx_queue_t                children;

    /* ngx_async_meter.h; NULL: nobody wants to know.  What its await waits for,
       and from when on; neither means anything without the first. */
    ngx_async_meter_t         *meter;
    ngx_uint_t                 waits_for;
    uint64_t                   waits_since;

    /* ngx_http_async_trace.c; NULL: that of its request or parent, or none */
    const struct ngx_http_async_trace_s  *trace;

    /* ngx_http_async_pg_task.c; NULL: it has asked no database */
    void                      *pg;

    /* it stands for a job in the thread of that, see ngx_async_thread.h */
    void                      *job;

    /* what the loop's stack is asked to run, see ngx_async_on_loop() */
    ngx_async_call_pt          call;
    void                      *call_data;

    /* of the last failure: in words; of what kind, async_cause_t; errno */
    u_char                     error[NGX_ASYNC_ERROR_LEN];
    int                        cause;
    int                        file_errno;

    unsigned                   measured:1;
    unsigned                   relaxed:1;     /* in the wait that was seen */
    unsigned                   timer_is_deadline:1;
    unsigned                   own_pool:1;
    unsigned                   unbound:1;     /* by ngx_async_unbind() */
    unsigned                   lasting:1;     /* threads may read its memory
                                                 when it has ended */
    unsigned                   kept:1;        /* see _create_beside() */
    unsigned                   ending:1;      /* in its "done" */
};


typedef struct {
    size_t                     stack_size;
    ngx_uint_t                 max_tasks;
    ngx_msec_t                 shutdown_timeout;
    ngx_msec_t                 cleanup_timeout;
    ngx_msec_t                 slow;          /* zero: not watched */
    size_t                     task_size;
    ngx_atomic_t              *replaced;      /* by ngx_async_quit_conf() */
    ngx_async_stats_set_t     *stats;
} ngx_async_conf_t;


ngx_int_t ngx_async_init(ngx_cycle_t *cycle, ngx_async_conf_t *conf);

extern ngx_msec_t  ngx_async_cleanup_timeout;

/* how many tasks there are in this worker */
extern ngx_uint_t  ngx_async_ntasks;

/* of this worker, never NULL */
extern ngx_async_stats_t  *ngx_async_tasks;
extern ngx_async_stats_t  *ngx_async_stacks;

/* The running task; NULL: none. */
ngx_async_task_t *ngx_async_task_self(void);

void ngx_async_exit(void);

/* Visits every task that lives; the visit may wake or cancel, not more. */
void ngx_async_each(void (*visit)(ngx_async_task_t *t, void *data),
    void *data);

/* Those that live, one after the other, for ever; there must be one. */
ngx_async_task_t *ngx_async_next_task(void);

/*
 * A task, as the first member of something of conf->task_size bytes, the rest
 * of which is zero.  All tasks have one size, so that a stale waker always
 * finds a ticket where it looks for one.  It lives at the top of its own stack
 * until "done" has returned.  NULL: too many tasks, or no memory; logged.
 */
void *ngx_async_task_create(ngx_async_body_pt body,
    ngx_async_done_pt done, ngx_async_profile_t *profile, ngx_log_t *log);

/*
 * The same also when there are "async_max_tasks" already: for the few that
 * shall not depend on requests.
 */
void *ngx_async_task_create_over(ngx_async_body_pt body,
    ngx_async_done_pt done, ngx_async_profile_t *profile, ngx_log_t *log);

/*
 * The same as the first, with memory of that size beside it, zero, which
 * _beside() finds.  If "kept" is set when "done" returns, both stay, though
 * the task has ended, until _forget(), which "done" may call, too.
 */
void *ngx_async_task_create_beside(ngx_async_body_pt body,
    ngx_async_done_pt done, ngx_async_profile_t *profile, ngx_log_t *log,
    size_t size);
void *ngx_async_task_beside(ngx_async_task_t *t);
void ngx_async_task_forget(ngx_async_task_t *t);

/* Whose stack it is. */
ngx_async_task_t *ngx_async_task_of(ngx_async_coro_t *coro);

/*
 * Runs a task until it suspends or ends.  Only for starting it: a suspended
 * one is resumed by the ready queue.  Returns NGX_AGAIN when it has suspended,
 * NGX_DONE when it has ended, "done" has been called and it is gone.
 */
ngx_int_t ngx_async_task_run(ngx_async_task_t *t);

/* Has the ready queue run a task for the first time. */
void ngx_async_task_ready(ngx_async_task_t *t);

/*
 * Ends the wait of the task and of its children with ASYNC_CANCELLED, and every
 * later one at its start.  The first reason counts.
 */
void ngx_async_task_cancel(ngx_async_task_t *t, ngx_async_reason_e reason);

/* Opens an await: checks the stack, notes the place, answers a cancel. */
async_rc_t ngx_async_enter(ngx_async_task_t *t, const char *await,
    const char *site);

/* The waker of the coming wait; a second call makes the first one stale. */
ngx_async_waker_t ngx_async_waker(ngx_async_task_t *t);

/*
 * Suspends until the wake, the timeout (zero: the next turn of the loop), the
 * deadline or a cancel.  Gives the code of the wake, NGX_ASYNC_ELAPSED,
 * ASYNC_TIMEOUT or ASYNC_CANCELLED.
 */
ngx_int_t ngx_async_wait(ngx_async_task_t *t, ngx_msec_t timeout);

/* What a refused await answers; reason must not be NGX_ASYNC_KEEP. */
async_rc_t ngx_async_refuse(ngx_async_task_t *t);

/* What an await of a time answers for which ngx_async_is_time() is zero. */
async_rc_t ngx_async_refuse_time(ngx_async_task_t *t,
    const ngx_async_bound_t *bound);

/* ngx_async_cancel.c: the same without the slow-down */
async_rc_t ngx_async_refusal(ngx_async_task_t *t);
async_rc_t ngx_async_refusal_time(ngx_async_task_t *t,
    const ngx_async_bound_t *bound);

/* Refuses awaits from now on, and ends the one in progress. */
void ngx_async_stop(ngx_async_task_t *t, ngx_async_reason_e reason);

/* A request has no deadline any more, nor have the children of its task. */
void ngx_async_unbind(ngx_async_task_t *t);

/* of the children alone */
void ngx_async_unbind_children(ngx_async_task_t *t);

/* Has the running task look at its deadline anew. */
void ngx_async_set_deadline(ngx_async_task_t *t, ngx_msec_t deadline,
    const ngx_async_bound_t *bound);

/*
 * Shields the running task for so long: the cancel that it has had, and any
 * that comes, counts again from ngx_async_unshield() on.
 */
void ngx_async_shield(ngx_async_task_t *t, ngx_async_shield_t *shield,
    ngx_msec_t timeout, const ngx_async_bound_t *bound);
void ngx_async_unshield(ngx_async_task_t *t);

/* ngx_async_child.c: cancels those that "shielded" does not protect, or all */
void ngx_async_cancel_children(ngx_async_task_t *t, ngx_async_reason_e reason,
    ngx_uint_t shielded);

/* the last that was spawned by whomever; cancels and joins those after it */
uint64_t ngx_async_last_child(void);
void ngx_async_join_since(ngx_async_task_t *t, uint64_t number);

/*
 * Calls a function of the user: cancels and joins what it has spawned and
 * nobody has joined when it has returned, before its frame is touched.
 */
async_rc_t ngx_async_call(ngx_async_task_t *t, async_fn_pt fn, void *arg);

/* ngx_async_defer.c: calls what async_defer() has registered, shielded */
void ngx_async_run_defers(ngx_async_task_t *t);

/* puts those of one list before those of another: they are later ones */
void ngx_async_defers_move(ngx_async_defer_t **to, ngx_async_defer_t **from);

/* how many there are in this worker */
extern ngx_uint_t  ngx_async_ndefers;

/* Memory that lives as long as the task; NULL: there is none. */
ngx_pool_t *ngx_async_task_pool(ngx_async_task_t *t);

/* Memory of a pool, aligned for any type. */
void *ngx_async_palloc(ngx_pool_t *pool, size_t size);

/* Returns 1 if the waker was still good. */
ngx_uint_t ngx_async_wake(ngx_async_waker_t *w, ngx_int_t outcome);

/*
 * Runs a function on the loop's stack: for nginx's own code, which may take
 * more stack than a coroutine has.  Anywhere else, in a thread too, a call.
 */
void ngx_async_on_loop(ngx_async_call_pt call, void *data);

/* Notes the cause for async_error(), in nginx's format; returns the code. */
async_rc_t ngx_async_set_error(ngx_async_task_t *t, async_rc_t rc,
    const char *fmt, ...);

/* Around that, for async_cause(): returns rc. */
async_rc_t ngx_async_because(ngx_async_task_t *t, async_cause_t cause,
    async_rc_t rc);

/*
 * The cause that a user gives, in printf()'s format, for
 * error[NGX_ASYNC_ERROR_LEN]; in any thread.
 */
void ngx_async_verror(u_char *error, const char *format, va_list args);

/*
 * The text with control characters as \xHH, so that a line of the log stays
 * one; cut where that would pass last.
 */
u_char *ngx_async_printable(u_char *p, u_char *last, const u_char *text,
    size_t len);

/* Of a text that may have been cut: how long it is without half a character. */
size_t ngx_async_whole(const u_char *text, size_t len);

const char *ngx_async_rc_name(ngx_int_t rc);

/*
 * A line of the error log about the task, in nginx's format: also of one that
 * stands for a job, in the thread of that.
 */
void ngx_async_log(ngx_async_task_t *t, ngx_uint_t level, ngx_err_t err,
    const char *fmt, ...);

/* The same in printf()'s format, with control characters escaped. */
void ngx_async_vlog(ngx_async_task_t *t, ngx_uint_t level, const char *format,
    va_list args);

/* A stretch of the loop that was too long; await and site: before it */
void ngx_async_note_slow(ngx_async_task_t *t, const char *await,
    const char *site, ngx_msec_t held);

/* The high-water mark of a measured task that has ended; size: of its stack */
void ngx_async_note_stack(ngx_async_task_t *t, size_t size);

/* The end of a task, for the status. */
void ngx_async_note_end(ngx_async_task_t *t);

/* whether this is the thread of the loop */
ngx_uint_t ngx_async_is_loop(void);

/* Aborts with the name of the public call where the calling thread is wrong. */

#if (NGX_ASYNC_DEBUG)

void ngx_async_check_loop(const char *call);

#define ngx_async_check_task(t)  ngx_async_check_loop(__func__)

#else

#define ngx_async_check_task(t)

#endif


/* Writes the log line of a stack overflow, from the signal handler. */
void ngx_async_note_overflow(ngx_async_coro_t *coro);


#endif /* _NGX_ASYNC_TASK_H_INCLUDED_ */
