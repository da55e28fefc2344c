
/*
 * Copyright (C) the nginx-async authors
 *
 * Dictionaries that all workers share, as a worker sees them: the directive
 * async_shared (_conf.c), what asks and sets at once (ngx_http_async_shared.c),
 * and await_shared_get_or() (_load.c), above the storage (_cells.h).
 */

#ifndef _NGX_HTTP_ASYNC_SHARED_H_INCLUDED_
#define _NGX_HTTP_ASYNC_SHARED_H_INCLUDED_


#include <ngx_async_task.h>
#include <ngx_async_peers.h>
#include <ngx_async_robust.h>
#include <ngx_http_async_shared_cells.h>


/* of a worker, so that each of many finds its own at once */
#define NGX_HTTP_ASYNC_SHARED_LOADS  64


/* In shared memory */

typedef struct {
    pthread_mutex_t            mutex;
    ngx_http_async_cells_t    *cells;         /* behind it: one address for all
                                                 workers of the master */
} ngx_http_async_shared_zone_t;


/* A directive; the queues are of this worker */

typedef struct {
    ngx_str_t                  name;
    size_t                     size;
    ngx_shm_zone_t            *zone;

    /* tasks that wait for a loader, and those that are one */
    ngx_queue_t                waiting;
    ngx_queue_t                loading[NGX_HTTP_ASYNC_SHARED_LOADS];

    ngx_async_stats_t          stats;
} ngx_http_async_shared_t;


/* the values of a dictionary for the status */

enum {
    NGX_HTTP_ASYNC_SHARED_ITEMS = 0,
    NGX_HTTP_ASYNC_SHARED_USED,
    NGX_HTTP_ASYNC_SHARED_SIZE,
    NGX_HTTP_ASYNC_SHARED_HITS,
    NGX_HTTP_ASYNC_SHARED_MISSES,
    NGX_HTTP_ASYNC_SHARED_EVICTED,
    NGX_HTTP_ASYNC_SHARED_EXPIRED,
    NGX_HTTP_ASYNC_SHARED_LOADED,
    NGX_HTTP_ASYNC_SHARED_FAILED,
    NGX_HTTP_ASYNC_SHARED_WAITED
};

#define ngx_http_async_shared_tally(shared, index)                           \
    ngx_async_stats_count(&(shared)->stats, NGX_HTTP_ASYNC_SHARED_##index)


/* of ngx_http_async_shared_t; of this worker; NULL: none */
extern ngx_array_t  *ngx_http_async_shared_all;


/* NULL: there is none; the cause is set. */
ngx_http_async_shared_t *ngx_http_async_shared_find(ngx_async_task_t *t,
    const char *name);

/* The dictionary, and its key; anything but ASYNC_OK is the answer. */
async_rc_t ngx_http_async_shared_open(ngx_async_task_t *t, const char *name,
    const char *text, ngx_http_async_shared_t **shared,
    ngx_http_async_cells_key_t *key);

/* Held over no await.  What a worker has left that died in it is repaired. */
ngx_http_async_cells_t *ngx_http_async_shared_lock(
    ngx_http_async_shared_t *shared);
void ngx_http_async_shared_unlock(ngx_http_async_shared_t *shared);

/* Under the lock: ngx_http_async_cells_put(), and what gives way for it. */
ngx_http_async_cell_t *ngx_http_async_shared_store(
    ngx_http_async_shared_t *shared, ngx_http_async_cells_key_t *key,
    ngx_http_async_cells_value_t *value, uint64_t *waiters);

/* Wakes the workers of these bits, not under the lock. */
void ngx_http_async_shared_wake(uint64_t waiters);

ngx_uint_t ngx_http_async_shared_fresh(ngx_http_async_cell_t *cell);

/* Copies the value into memory of the task. */
async_rc_t ngx_http_async_shared_give(ngx_async_task_t *t,
    ngx_http_async_cells_t *cells, ngx_http_async_cell_t *cell,
    async_str_t *value);

async_rc_t ngx_http_async_shared_too_long(ngx_async_task_t *t,
    ngx_http_async_shared_t *shared, size_t len);


/* ngx_http_async_shared_load.c: in a worker */
ngx_int_t ngx_http_async_shared_load_init(ngx_array_t *all);


#endif /* _NGX_HTTP_ASYNC_SHARED_H_INCLUDED_ */
