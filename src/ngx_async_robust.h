
/*
 * Copyright (C) the nginx-async authors
 *
 * Mutexes in shared memory that survive the death of who has them, and of those
 * who wait for them, at any instruction: who comes next is told, and repairs
 * what they guard.  Held over no await but for what is owned so; by the thread
 * of the loop, with which they are released.
 */

#ifndef _NGX_ASYNC_ROBUST_H_INCLUDED_
#define _NGX_ASYNC_ROBUST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <pthread.h>


ngx_int_t ngx_async_robust_init(pthread_mutex_t *mutex, ngx_log_t *log);

/* Gives 1 if the owner has died: what it guards is to be repaired first. */
ngx_uint_t ngx_async_robust_lock(pthread_mutex_t *mutex);

/* NGX_OK.  NGX_DONE: the same, but the owner has died.  NGX_AGAIN: it lives. */
ngx_int_t ngx_async_robust_trylock(pthread_mutex_t *mutex);

void ngx_async_robust_unlock(pthread_mutex_t *mutex);


#endif /* _NGX_ASYNC_ROBUST_H_INCLUDED_ */
