
/*
 * Copyright (C) the nginx-async authors
 *
 * Thread pools by the names that apps use.
 */

#ifndef _NGX_HTTP_ASYNC_THREAD_H_INCLUDED_
#define _NGX_HTTP_ASYNC_THREAD_H_INCLUDED_


#include <ngx_http_async_request.h>


/* In a worker: the pool of those that name none. */
void ngx_http_async_thread_init(ngx_async_thread_pool_t *pool);

/* NULL: there is none of this name; noted for async_error(). */
ngx_async_thread_pool_t *ngx_http_async_thread_find(ngx_async_task_t *t,
    const char *name);

/*
 * await_thread(), which calls release(kept) when the thread is through, also if
 * nobody waits for it any more.
 */
async_rc_t ngx_http_async_thread_kept(ngx_async_task_t *t, const char *site,
    const char *pool, async_thread_pt fn, void *arg, size_t size,
    void (*release)(void *kept), void *kept);


#endif /* _NGX_HTTP_ASYNC_THREAD_H_INCLUDED_ */
