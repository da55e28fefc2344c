
/*
 * Copyright (C) the nginx-async authors
 *
 * A function in a thread of an nginx thread pool, awaited by a task.  What
 * the function works on is a job of its own, on the heap: it outlives a task
 * that was cancelled while the thread runs.
 *
 * Of what follows "data" is always that of a job.
 */

#ifndef _NGX_ASYNC_THREAD_H_INCLUDED_
#define _NGX_ASYNC_THREAD_H_INCLUDED_


#include <ngx_async_task.h>
#include <ngx_async_thread_pool.h>


/* in the thread: no pools of nginx, no logs, no requests */
typedef void (*ngx_async_thread_pt)(void *data);


/*
 * nice: by how much threads that run jobs give way to the loop; zero: they do
 * not.
 */
ngx_int_t ngx_async_thread_init(ngx_cycle_t *cycle, ngx_int_t nice);

/*
 * When the worker exits: threads that still run are named, and nginx is kept
 * from waiting for them.
 */
void ngx_async_thread_exit(ngx_cycle_t *cycle);

/*
 * A job with so many zeroed bytes of data, which is returned.  "drop" undoes,
 * on the loop, what is in the data (it may be NULL) if the awaiting task does
 * not take it, whether the function has run or not.  The profile is that of
 * the function for whose sake it runs.
 */
void *ngx_async_thread_job(size_t size, ngx_async_thread_pt run,
    ngx_async_thread_pt drop, ngx_async_profile_t *profile, ngx_log_t *log);

/* Frees the job without "drop": the caller has taken the result. */
void ngx_async_thread_free(void *data);

/*
 * Suspends until the function has returned.  ASYNC_OK: the data is the
 * caller's, who frees it.  Otherwise it is gone or will go by itself:
 * ASYNC_BUSY (the queue of the pool is full), ASYNC_TIMEOUT, ASYNC_CANCELLED.
 * A job that is still queued then will not run.
 */
async_rc_t ngx_async_thread_await(ngx_async_task_t *t,
    ngx_async_thread_pool_t *pool, void *data);

/* In "drop": what the await of the task has answered; ASYNC_OK: nothing. */
async_rc_t ngx_async_thread_rc(void *data);

/* Whether that is only the memory of a job, until the task ends. */
ngx_uint_t ngx_async_thread_is_kept(ngx_async_end_t *end);

/*
 * The same for what nobody awaits: the data is dropped when the function has
 * returned, or when it cannot run.  The worker waits for it before it exits.
 */
void ngx_async_thread_send(ngx_async_thread_pool_t *pool, void *data);


/* In the thread. */

/* Nonzero when nobody awaits the job any more. */
ngx_uint_t ngx_async_thread_abandoned(void *data);

/*
 * Has fn(t, arg) run by the awaiting task, and waits for what it returns; the
 * cause of a failure goes to error[NGX_ASYNC_ERROR_LEN].  For an abandoned job
 * the answer is that of the task's cancel.
 */
async_rc_t ngx_async_thread_call(void *data, async_fn_pt fn, void *arg,
    u_char *error);

/* The job that this thread runs; NULL on the loop. */
void *ngx_async_thread_self(void);

/* The same if that is what it runs. */
void *ngx_async_thread_self_of(ngx_async_thread_pt run);

/*
 * A line for the log of the awaiting task, written by the loop; copies.  May be
 * called on the loop, too.
 */
void ngx_async_thread_log(void *data, ngx_uint_t level, ngx_err_t err,
    ngx_str_t *line);

/* ngx_async_note.c: the same in printf()'s format, as ngx_async_vlog() */
void ngx_async_thread_vlog(void *data, ngx_uint_t level, const char *format,
    va_list args);


#endif /* _NGX_ASYNC_THREAD_H_INCLUDED_ */
