
/*
 * Copyright (C) the nginx-async authors
 *
 * Jobs that wait for a thread of a pool.  What nginx has queued it does not
 * give back, so it is given tickets, all alike: a thread that comes to one
 * takes the job that has waited longest.  A job that nobody wants any more
 * leaves the queue at once, and its ticket serves the next one.
 */

#ifndef _NGX_ASYNC_THREAD_QUEUE_H_INCLUDED_
#define _NGX_ASYNC_THREAD_QUEUE_H_INCLUDED_


#include <ngx_async_thread_pool.h>


typedef struct ngx_async_thread_item_s  ngx_async_thread_item_t;

typedef void (*ngx_async_thread_item_pt)(ngx_async_thread_item_t *item);


/* A member of the job. */

struct ngx_async_thread_item_s {
    ngx_queue_t               queue;
    ngx_uint_t                queued;
    ngx_async_thread_item_pt  run;            /* in the thread */
    ngx_async_thread_item_pt  done;           /* on the loop, after that */

    /* ngx_async_stats_clock() */
    uint64_t                  posted;
    uint64_t                  started;
    uint64_t                  ended;
};


/* Before the first job of a worker. */
ngx_int_t ngx_async_thread_queue_init(ngx_cycle_t *cycle);

/* NGX_BUSY: the queue of the pool is full.  NGX_ERROR: no memory. */
ngx_int_t ngx_async_thread_queue_post(ngx_async_thread_pool_t *pool,
    ngx_async_thread_item_t *item);

/*
 * Returns 1 if the item still waited: it is the caller's, and neither "run" nor
 * "done" will be called.
 */
ngx_uint_t ngx_async_thread_queue_remove(ngx_async_thread_pool_t *pool,
    ngx_async_thread_item_t *item);

/* The worker exits: nothing that waits will run. */
void ngx_async_thread_queue_clear(ngx_cycle_t *cycle);

/* And it does not wait for its threads: those that return are held. */
void ngx_async_thread_queue_leave(void);


#endif /* _NGX_ASYNC_THREAD_QUEUE_H_INCLUDED_ */
