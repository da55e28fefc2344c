
/*
 * Copyright (C) the nginx-async authors
 *
 * Memory of a request of which threads read what others have made: it lives
 * until the request and the last of these threads have ended.  So do what the
 * dependencies want done afterwards: cleanups and teardowns wait for threads
 * that go on when their request has ended.
 *
 * Used by the loop only; threads read what lies in it, and have pools of their
 * own for what they make.
 */

#ifndef _NGX_HTTP_ASYNC_ARENA_H_INCLUDED_
#define _NGX_HTTP_ASYNC_ARENA_H_INCLUDED_


#include <ngx_http_async_background.h>


typedef struct {
    ngx_pool_t                   *pool;
    ngx_uint_t                    refs;
    ngx_uint_t                    threads;

    /* for when the last thread is through */
    ngx_http_async_background_t  *background;
    ngx_async_defer_t            *defers;
    ngx_async_profile_t          *profile;
    async_rc_t                    rc;
    ngx_uint_t                    ended;
} ngx_http_async_arena_t;


/* From here on the memory of the request and its task is of an arena; NULL. */
ngx_http_async_arena_t *ngx_http_async_arena_create(async_req_t *req);

/* A thread begins; and is through, or will not run. */
void ngx_http_async_arena_enter(ngx_http_async_arena_t *arena);
void ngx_http_async_arena_leave(ngx_http_async_arena_t *arena,
    ngx_http_async_background_t *background);

/* It lives as long as the pool. */
ngx_int_t ngx_http_async_arena_hold(ngx_http_async_arena_t *arena,
    ngx_pool_t *pool);

/* So does what has been parsed of the body: values may be parts of it. */
ngx_int_t ngx_http_async_arena_json(ngx_http_async_arena_t *arena,
    async_req_t *req);

/*
 * On the coroutine of the request, which ends with rc.  NGX_OK: nothing of it
 * is in use any more.  NGX_AGAIN: it is, and what is to be done afterwards will
 * be, without the request.
 */
ngx_int_t ngx_http_async_arena_end(ngx_http_async_arena_t *arena,
    async_req_t *req, async_rc_t rc);


#endif /* _NGX_HTTP_ASYNC_ARENA_H_INCLUDED_ */
