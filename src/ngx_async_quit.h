
/*
 * Copyright (C) the nginx-async authors
 *
 * The end of a worker: the bounded wait of a graceful shutdown for tasks and
 * threads, and what is still to be run when the process exits.
 */

#ifndef _NGX_ASYNC_QUIT_H_INCLUDED_
#define _NGX_ASYNC_QUIT_H_INCLUDED_


#include <ngx_async_task.h>


/*
 * While the configuration is read: memory that its workers share with the
 * master, which notes there that another configuration has replaced it.  Of the
 * cycle; NULL: no memory.
 */
ngx_atomic_t *ngx_async_quit_conf(ngx_conf_t *cf);

ngx_int_t ngx_async_quit_init(ngx_cycle_t *cycle, ngx_async_conf_t *conf);
void ngx_async_quit_exit(void);

/* For ngx_async_task.c: from the start of the shutdown on tell of each task. */
extern ngx_uint_t  ngx_async_quitting;

void ngx_async_quit_begun(ngx_async_task_t *t);
void ngx_async_quit_ended(void);

/* The process exits: requests that come now are not for apps any more. */
extern ngx_uint_t  ngx_async_left;

/*
 * Whether others take over from this worker, which shuts down: after a reload,
 * or while the binary is upgraded.
 */
ngx_uint_t ngx_async_replaced(void);

/* Called when a graceful shutdown begins. */
void ngx_async_on_quit(void (*handler)(void));

/* What a graceful shutdown waits for beside tasks: threads that run. */
void ngx_async_hold(void);
void ngx_async_release(void);

/* Called when the shutdown does not wait for them any longer. */
void ngx_async_on_give_up(void (*handler)(ngx_log_t *log));

/*
 * When the process exits, for whatever reason, _leave() comes first.  Then
 * whoever has something to run calls _linger(), which turns the loop until
 * *pending is zero; after the time all tasks are cancelled, and a moment later
 * it returns in any case.
 */
void ngx_async_leave(ngx_cycle_t *cycle);
void ngx_async_linger(ngx_cycle_t *cycle, ngx_uint_t *pending,
    ngx_msec_t timeout);

/* What is left of async_shutdown_timeout, a second at least. */
ngx_msec_t ngx_async_time_left(void);


#endif /* _NGX_ASYNC_QUIT_H_INCLUDED_ */
