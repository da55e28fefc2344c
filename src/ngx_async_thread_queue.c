
/*
 * Copyright (C) the nginx-async authors
 *
 * Queues of jobs, see ngx_async_thread_queue.h.  What always holds of a pool,
 * under its lock: there are at least as many tickets that no thread has come to
 * as jobs that wait.
 */

#include <ngx_async_thread_queue.h>


typedef struct {
    ngx_thread_task_t         task;
    ngx_async_thread_pool_t  *pool;
    ngx_async_thread_item_t  *item;
} ngx_async_thread_ticket_t;


static ngx_int_t ngx_async_thread_queue_ticket(ngx_async_thread_pool_t *pool);
static void ngx_async_thread_queue_main(void *data, ngx_log_t *log);
static void ngx_async_thread_queue_done(ngx_event_t *ev);
static void ngx_async_thread_queue_stay(void);
static void ngx_async_thread_queue_take(ngx_async_thread_pool_t *pool,
    ngx_async_thread_item_t *item);


/* the worker exits without its threads */
static int  ngx_async_thread_queue_left;


ngx_int_t
ngx_async_thread_queue_init(ngx_cycle_t *cycle)
{
    ngx_uint_t                 i;
    ngx_array_t               *pools;
    ngx_async_thread_pool_t  **pool;

    pools = ngx_async_thread_pools(cycle);
    pool = pools->elts;

    for (i = 0; i < pools->nelts; i++) {

        if (ngx_async_thread_pool_open(pool[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_thread_queue_post(ngx_async_thread_pool_t *pool,
    ngx_async_thread_item_t *item)
{
    ngx_int_t   rc;
    ngx_uint_t  enough;

    item->posted = ngx_async_stats_clock();

    (void) pthread_mutex_lock(&pool->lock);

    item->queued = 1;
    ngx_queue_insert_tail(&pool->queue, &item->queue);
    pool->queued++;

    enough = (pool->tickets >= pool->queued);

    if (!enough) {
        pool->tickets++;
    }

    (void) pthread_mutex_unlock(&pool->lock);

    if (enough) {
        return NGX_OK;
    }

    rc = ngx_async_thread_queue_ticket(pool);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    (void) pthread_mutex_lock(&pool->lock);

    pool->tickets--;

    if (item->queued) {
        ngx_async_thread_queue_take(pool, item);

    } else {
        /* a thread has come to it by the ticket of another one */
        rc = NGX_OK;
    }

    (void) pthread_mutex_unlock(&pool->lock);

    return rc;
}


static ngx_int_t
ngx_async_thread_queue_ticket(ngx_async_thread_pool_t *pool)
{
    ngx_async_thread_ticket_t  *ticket;

    ticket = ngx_calloc(sizeof(ngx_async_thread_ticket_t), ngx_cycle->log);
    if (ticket == NULL) {
        return NGX_ERROR;
    }

    ticket->pool = pool;
    ticket->task.ctx = ticket;
    ticket->task.handler = ngx_async_thread_queue_main;
    ticket->task.event.handler = ngx_async_thread_queue_done;
    ticket->task.event.data = ticket;
    ticket->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(pool->tp, &ticket->task) != NGX_OK) {
        ngx_free(ticket);
        return NGX_BUSY;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_async_thread_queue_remove(ngx_async_thread_pool_t *pool,
    ngx_async_thread_item_t *item)
{
    ngx_uint_t  queued;

    (void) pthread_mutex_lock(&pool->lock);

    queued = item->queued;

    if (queued) {
        ngx_async_thread_queue_take(pool, item);
    }

    (void) pthread_mutex_unlock(&pool->lock);

    return queued;
}


/* Under the lock. */

static void
ngx_async_thread_queue_take(ngx_async_thread_pool_t *pool,
    ngx_async_thread_item_t *item)
{
    ngx_queue_remove(&item->queue);

    item->queued = 0;
    pool->queued--;
}


/* In the thread. */

static void
ngx_async_thread_queue_main(void *data, ngx_log_t *log)
{
    ngx_async_thread_item_t    *item;
    ngx_async_thread_pool_t    *pool;
    ngx_async_thread_ticket_t  *ticket = data;

    ngx_async_thread_queue_stay();

    pool = ticket->pool;
    item = NULL;

    (void) pthread_mutex_lock(&pool->lock);

    pool->tickets--;

    if (!ngx_queue_empty(&pool->queue)) {
        item = ngx_queue_data(ngx_queue_head(&pool->queue),
                              ngx_async_thread_item_t, queue);
        ngx_async_thread_queue_take(pool, item);
    }

    (void) pthread_mutex_unlock(&pool->lock);

    ticket->item = item;

    if (item) {
        item->started = ngx_async_stats_clock();
        item->run(item);
        item->ended = ngx_async_stats_clock();
    }

    ngx_async_thread_queue_stay();
}


/* nginx's pools are not to be touched while the process ends. */

static void
ngx_async_thread_queue_stay(void)
{
    while (__atomic_load_n(&ngx_async_thread_queue_left, __ATOMIC_ACQUIRE)) {
        (void) pause();
    }
}


static void
ngx_async_thread_queue_done(ngx_event_t *ev)
{
    ngx_async_thread_item_t    *item;
    ngx_async_thread_ticket_t  *ticket;

    ticket = ev->data;
    item = ticket->item;

    ngx_free(ticket);

    if (item) {
        item->done(item);
    }
}


void
ngx_async_thread_queue_clear(ngx_cycle_t *cycle)
{
    ngx_uint_t                 i;
    ngx_queue_t               *q;
    ngx_array_t               *pools;
    ngx_async_thread_item_t   *item;
    ngx_async_thread_pool_t  **pool;

    pools = ngx_async_thread_pools(cycle);
    pool = pools->elts;

    for (i = 0; i < pools->nelts; i++) {

        (void) pthread_mutex_lock(&pool[i]->lock);

        for (q = ngx_queue_head(&pool[i]->queue);
             q != ngx_queue_sentinel(&pool[i]->queue);
             q = ngx_queue_next(q))
        {
            item = ngx_queue_data(q, ngx_async_thread_item_t, queue);
            item->queued = 0;
        }

        ngx_queue_init(&pool[i]->queue);
        pool[i]->queued = 0;

        (void) pthread_mutex_unlock(&pool[i]->lock);
    }
}


void
ngx_async_thread_queue_leave(void)
{
    __atomic_store_n(&ngx_async_thread_queue_left, 1, __ATOMIC_RELEASE);
}
