
/*
 * Copyright (C) the nginx-async authors
 *
 * A function in a thread of an nginx thread pool, awaited by a task.  What
 * the function works on is a job of its own, on the heap: it outlives a task
 * that was cancelled while the thread runs.
 */

#ifndef _NGX_ASYNC_THREAD_H_INCLUDED_
#define _NGX_ASYNC_THREAD_H_INCLUDED_


#include <ngx_async_task.h>
#include <ngx_thread_pool.h>


/* in the thread: no pools, no logs, no requests */
typedef void (*ngx_async_thread_pt)(void *data);


/*
 * A job with so many zeroed bytes of data, which is returned.  "drop" undoes,
 * on the loop, what the function has made (it may be NULL), if it has run and
 * the awaiting task did not take it.
 */
void *ngx_async_thread_job(size_t size, ngx_async_thread_pt run,
    ngx_async_thread_pt drop, ngx_log_t *log);

/* Frees the job without "drop": the caller has taken the result. */
void ngx_async_thread_free(void *data);

/*
 * Suspends until the function has returned.  ASYNC_OK: the data is the
 * caller's, who frees it.  Otherwise it is gone or will go by itself:
 * ASYNC_BUSY (the queue of the pool is full), ASYNC_TIMEOUT, ASYNC_CANCELLED.
 */
async_rc_t ngx_async_thread_await(ngx_async_task_t *t, ngx_thread_pool_t *tp,
    void *data);


#endif /* _NGX_ASYNC_THREAD_H_INCLUDED_ */
