
/*
 * Copyright (C) the nginx-async authors
 *
 * nginx's thread pools as the configuration names them.  nginx keeps what it
 * knows of a pool to itself; here is what its users need beside: the name and
 * the bounds for messages, the near miss of a misspelt one.
 */

#ifndef _NGX_ASYNC_THREAD_POOL_H_INCLUDED_
#define _NGX_ASYNC_THREAD_POOL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_thread_pool.h>
#include <ngx_async_stats.h>
#include <pthread.h>


typedef struct {
    ngx_str_t             name;

    /* of the directive thread_pool, zero if it was not seen */
    ngx_int_t             threads;
    ngx_int_t             max_queue;

    /* where a directive names it first, for messages; NULL: nowhere */
    u_char               *file;
    ngx_uint_t            line;
    ngx_thread_pool_t    *tp;

    /* of this worker, see ngx_async_thread_queue.c */
    pthread_mutex_t       lock;
    ngx_queue_t           queue;
    ngx_uint_t            queued;
    ngx_uint_t            tickets;

    /* for the status; jobs: that wait or run */
    ngx_async_stats_t     stats;
    ngx_uint_t            njobs;
} ngx_async_thread_pool_t;


/* the values of a pool, ngx_async_thread_pool_family */

enum {
    NGX_ASYNC_POOL_THREADS = 0,
    NGX_ASYNC_POOL_BUSY,
    NGX_ASYNC_POOL_QUEUED,
    NGX_ASYNC_POOL_QUEUE_MAX,
    NGX_ASYNC_POOL_DONE,
    NGX_ASYNC_POOL_REFUSED,
    NGX_ASYNC_POOL_SKIPPED,
    NGX_ASYNC_POOL_WAIT,               /* histograms */
    NGX_ASYNC_POOL_RUN = NGX_ASYNC_POOL_WAIT + NGX_ASYNC_STATS_TIMES
};

extern const ngx_async_stats_family_t  ngx_async_thread_pool_family;


/*
 * The pool that a directive names; NULL name: "default", which nginx makes by
 * itself.  That it exists is checked when all of the configuration is read.
 * NULL: no memory.
 */
ngx_async_thread_pool_t *ngx_async_thread_pool_add(ngx_conf_t *cf,
    ngx_str_t *name);

/*
 * The same for one of our own, which no directive has to make.  The name is
 * borrowed, zero-terminated.
 */
ngx_async_thread_pool_t *ngx_async_thread_pool_make(ngx_conf_t *cf,
    ngx_str_t *name, char *threads);

/*
 * In a worker: one by its name, named by a directive or not.  NULL: there is
 * none, or no memory.
 */
ngx_async_thread_pool_t *ngx_async_thread_pool_get(ngx_cycle_t *cycle,
    ngx_str_t *name);

/* Makes the queue of a pool, see ngx_async_thread_queue.c. */
ngx_int_t ngx_async_thread_pool_open(ngx_async_thread_pool_t *pool);

/* Rows for the status, of those that the configuration has so far. */
ngx_int_t ngx_async_thread_pool_stats(ngx_conf_t *cf,
    ngx_async_stats_set_t *set);

/* All of them: ngx_async_thread_pool_t *. */
ngx_array_t *ngx_async_thread_pools(ngx_cycle_t *cycle);

/* What runs first when a worker exits, before nginx joins its threads. */
extern void (*ngx_async_thread_pool_exit)(ngx_cycle_t *cycle);

extern ngx_module_t  ngx_async_thread_pool_module;

/* nginx's own, which no header of it declares */
extern ngx_module_t  ngx_thread_pool_module;


#endif /* _NGX_ASYNC_THREAD_POOL_H_INCLUDED_ */
