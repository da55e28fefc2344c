
/*
 * Copyright (C) the nginx-async authors
 *
 * What runs, and what waits where, over all workers: whoever wants to know asks
 * each of them through shared memory, and each answers by its event loop with
 * a list of its tasks.  One that does not answer is known by that.
 *
 * One asks at a time, by a lease that runs out: nothing stays locked when who
 * asks dies.  A worker writes to its own answer alone, so that whoever reads
 * one that is being written has asked too long ago, and is told so.
 */

#ifndef _NGX_ASYNC_REPORT_H_INCLUDED_
#define _NGX_ASYNC_REPORT_H_INCLUDED_


#include <ngx_async_task.h>


/* what is kept of texts, with their zeros */
#define NGX_ASYNC_REPORT_HANDLER  NGX_ASYNC_STATS_NAME
#define NGX_ASYNC_REPORT_AWAIT    64
#define NGX_ASYNC_REPORT_SITE     128

/* tasks in one answer at most */
#define NGX_ASYNC_REPORT_LIMIT    1000

/* milliseconds without a sign of life: the loop of that worker is held */
#define NGX_ASYNC_REPORT_HELD     1000


/* What is asked for; texts that are in the names, or empty. */

typedef struct {
    char                        handler[NGX_ASYNC_REPORT_HANDLER];
    char                        await[NGX_ASYNC_REPORT_AWAIT];
    uint64_t                    older;        /* milliseconds */
    uint32_t                    limit;
    uint32_t                    worker;       /* its pid; 0: any */
} ngx_async_report_ask_t;


/* Times are milliseconds. */

typedef struct {
    uint64_t                    id;           /* of those of its worker */
    uint64_t                    parent;       /* 0: none */
    ngx_pid_t                   worker;
    ngx_async_state_e           state;
    int64_t                     waited;       /* how long it is in that state */
    int64_t                     age;
    int64_t                     deadline;     /* that is left, or has passed */
    ngx_uint_t                  bounded;      /* it has a deadline */
    ngx_str_t                   handler;
    ngx_str_t                   await;
    ngx_str_t                   site;
    ngx_str_t                   method;
    ngx_str_t                   uri;
    ngx_str_t                   client;
} ngx_async_report_task_t;


typedef struct {
    ngx_async_stats_worker_t    known;
    ngx_uint_t                  answered;
} ngx_async_report_worker_t;


/* A stretch that has held the loop. */

typedef struct {
    ngx_pid_t                   worker;
    uint64_t                    held;         /* milliseconds */
    uint64_t                    ended;        /* ngx_async_stats_clock() */
    char                        handler[NGX_ASYNC_REPORT_HANDLER];
    char                        await[NGX_ASYNC_REPORT_AWAIT];
    char                        site[NGX_ASYNC_REPORT_SITE];
} ngx_async_report_slow_t;


typedef struct {
    uint64_t                    now;          /* ngx_async_stats_clock() */

    ngx_array_t                 workers;      /* ngx_async_report_worker_t */
    ngx_array_t                 tasks;        /* ngx_async_report_task_t; the
                                                 longest in its state first */
    ngx_array_t                 slow;         /* ngx_async_report_slow_t; the
                                                 latest first */
    ngx_uint_t                  total;        /* tasks that were asked for */

    /* which slots count for gauges, for ngx_async_stats_sum() */
    u_char                      lives[NGX_ASYNC_PEERS];
} ngx_async_report_t;


/* What is known of a task beside itself; what is not known stays empty. */

typedef struct {
    ngx_str_t                   method;
    ngx_str_t                   uri;
    ngx_str_t                   client;
} ngx_async_report_about_t;

typedef void (*ngx_async_report_about_pt)(ngx_async_task_t *t,
    ngx_async_report_about_t *about);


/* In a worker, behind ngx_async_stats_init(). */
ngx_int_t ngx_async_report_init(ngx_async_report_about_pt about);

/*
 * Suspends until all workers have answered, or for a second; those whose loop
 * is held already are not waited for.  The memory is the pool's.
 *
 * ASYNC_BUSY: others have been asking for three seconds; or this worker shares
 * nothing with others.  ASYNC_CANCELLED, ASYNC_TIMEOUT, ASYNC_ERROR: no memory.
 */
async_rc_t ngx_async_report_wait(ngx_async_task_t *t, ngx_pool_t *pool,
    const ngx_async_report_ask_t *ask, ngx_async_report_t *report);

/* A stretch of this worker, as of ngx_async_note_slow(). */
void ngx_async_report_slow(ngx_async_task_t *t, const char *await,
    const char *site, ngx_msec_t held);


#endif /* _NGX_ASYNC_REPORT_H_INCLUDED_ */
