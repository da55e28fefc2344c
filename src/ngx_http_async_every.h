
/*
 * Copyright (C) the nginx-async authors
 *
 * Periodic functions of apps: the directive async_every.
 */

#ifndef _NGX_HTTP_ASYNC_EVERY_H_INCLUDED_
#define _NGX_HTTP_ASYNC_EVERY_H_INCLUDED_


#include <ngx_http_async_app.h>
#include <ngx_async_robust.h>


typedef struct ngx_http_async_every_s      ngx_http_async_every_t;
typedef struct ngx_http_async_every_run_s  ngx_http_async_every_run_t;


/* Of a function, in shared memory */

typedef struct {
    pthread_mutex_t                mutex;
    ngx_pid_t                      owner;     /* for messages only */
} ngx_http_async_every_owner_t;


/* The same as a worker sees it */

typedef struct {
    ngx_shm_zone_t                *zone;
    ngx_uint_t                     nruns;     /* in this worker */
    ngx_uint_t                     held;
} ngx_http_async_every_lock_t;


/*
 * Of a directive, in shared memory.  With "worker=all" that has the grid only,
 * and each worker a schedule of its own.
 */

typedef struct {
    ngx_atomic_t                   due;       /* as ngx_current_msec; or zero */
    ngx_atomic_t                   queued;

    /* so far */
    ngx_atomic_t                   runs;
    ngx_atomic_t                   failed;
    ngx_atomic_t                   skipped;   /* since one was running */
    ngx_atomic_t                   missed;    /* since nobody came to it */
} ngx_http_async_every_schedule_t;


/* A directive */

struct ngx_http_async_every_s {
    ngx_http_async_ref_t          *ref;
    ngx_msec_t                     interval;
    ngx_msec_t                     jitter;
    ngx_uint_t                     all;
    ngx_uint_t                     queue;

    ngx_shm_zone_t                *zone;
    ngx_http_async_every_lock_t   *lock;      /* NULL: none is needed */

    /* of this worker */
    ngx_http_async_every_schedule_t  *schedule;
    ngx_http_async_every_schedule_t   own;

    ngx_event_t                    timer;
    ngx_http_async_every_run_t    *run;       /* NULL: none */
    uint32_t                       salt;

    /* for the status; directives for one function count together */
    ngx_async_stats_t              stats;
};


/* The directive async_every: ngx_http_async_every_conf.c. */
char *ngx_http_async_every(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Once all functions are known: the shared memory of each directive. */
ngx_int_t ngx_http_async_every_resolve(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf);

/* Then, rows for the status. */
ngx_int_t ngx_http_async_every_stats(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf);

/* In a worker, after ngx_http_async_lifecycle_init(). */
void ngx_http_async_every_init(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf);

/* When no run is waited for any more. */
void ngx_http_async_every_exit(void);


#endif /* _NGX_HTTP_ASYNC_EVERY_H_INCLUDED_ */
