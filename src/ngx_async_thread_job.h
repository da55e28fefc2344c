
/*
 * Copyright (C) the nginx-async authors
 *
 * A job from inside, for the files of ngx_async_thread.h: ngx_async_thread.c,
 * its way through the pool; _call.c, what its thread asks of the loop;
 * _exit.c, those that run when the worker exits.
 *
 * The thread touches the job, its data and the letter box, nothing else.  What
 * both sides read is handed over by "state" and "abandoned", each written by
 * one side with release and read by the other with acquire.
 */

#ifndef _NGX_ASYNC_THREAD_JOB_H_INCLUDED_
#define _NGX_ASYNC_THREAD_JOB_H_INCLUDED_


#include <ngx_async_thread.h>
#include <ngx_async_thread_queue.h>
#include <ngx_async_mail.h>


/* what a wait ends with when the thread asks for a call */
#define NGX_ASYNC_CALLED  2


typedef enum {
    NGX_ASYNC_JOB_QUEUED = 0,
    NGX_ASYNC_JOB_RUNNING,
    NGX_ASYNC_JOB_RETURNED
} ngx_async_job_state_e;


typedef struct ngx_async_thread_call_s  ngx_async_thread_call_t;


typedef struct {
    ngx_async_thread_item_t   item;
    ngx_async_thread_pool_t  *pool;

    ngx_async_thread_pt       run;
    ngx_async_thread_pt       drop;
    ngx_async_profile_t      *profile;
    ngx_uint_t                log_level;

    int                       state;
    int                       abandoned;

    /* the answer to calls once it is abandoned */
    async_rc_t                rc;
    u_char                    error[NGX_ASYNC_ERROR_LEN];

    /* ngx_async_meter_clock() when it was posted, if that is wanted, when the
       thread has begun it and when it was through */
    uint64_t                  posted;
    uint64_t                  begun;
    uint64_t                  ended;

    /* the loop's */
    ngx_queue_t               live;
    ngx_async_waker_t         waker;
    ngx_async_thread_call_t  *call;
    ngx_log_t                *log;
    ngx_uint_t                handled;        /* the thread is through */

    /* cleanups that calls have registered: for when the thread is through,
       and the data stays until they are */
    ngx_async_defer_t        *defers;
    ngx_async_end_t           end;
    ngx_uint_t                kept;           /* until the task ends */
    ngx_uint_t                dropped;
    ngx_uint_t                freed;
    ngx_event_t               again;

    /* the data follows, aligned for any type */
    max_align_t               data[];
} ngx_async_job_t;


#define ngx_async_job_of(p, member)                                          \
    ((ngx_async_job_t *) ((u_char *) (p) - offsetof(ngx_async_job_t, member)))

#define ngx_async_job(p)  ngx_async_job_of(p, data)


/* of this worker: all jobs that nginx's pools have */
extern ngx_queue_t  ngx_async_thread_jobs;

/* Has the job outlive the task, whose cleanups may need it. */
void ngx_async_thread_keep(ngx_async_task_t *t, ngx_async_job_t *job);

/* From here on the job is the thread's, and of the handler of its end. */
void ngx_async_thread_abandon(ngx_async_task_t *t, ngx_async_job_t *job,
    async_rc_t rc);

/*
 * ngx_async_thread_call.c: a call from the thread, on the coroutine.  ASYNC_OK:
 * the wait goes on; otherwise the job has been abandoned.
 */
async_rc_t ngx_async_thread_serve(ngx_async_task_t *t, ngx_async_job_t *job,
    ngx_async_thread_call_t *call);

/* The same for one of an abandoned job: answers it. */
void ngx_async_thread_refuse(ngx_async_thread_call_t *call);

/* ngx_async_thread_exit.c: names those that run */
void ngx_async_thread_give_up(ngx_log_t *log);


#endif /* _NGX_ASYNC_THREAD_JOB_H_INCLUDED_ */
