
/*
 * Copyright (C) the nginx-async authors
 *
 * Background tasks: what a handler has left to be done after its response.
 */

#ifndef _NGX_HTTP_ASYNC_BACKGROUND_H_INCLUDED_
#define _NGX_HTTP_ASYNC_BACKGROUND_H_INCLUDED_


#include <ngx_http_async_request.h>


typedef struct ngx_http_async_left_s  ngx_http_async_left_t;
typedef struct ngx_http_async_teardown_s  ngx_http_async_teardown_t;


/* Owned by the request, or by who has taken it from there. */

struct ngx_http_async_background_s {
    ngx_pool_t                    *pool;
    ngx_uint_t                     refs;      /* threads may read it, too */
    ngx_http_async_left_t         *first;
    ngx_http_async_left_t        **last;
    ngx_http_async_teardown_t     *teardowns; /* the last first */
    ngx_log_t                      log;
};


/* That of the request, made when it is first needed; NULL: no memory. */
ngx_http_async_background_t *ngx_http_async_background_get(async_req_t *req);

/*
 * The request is answered: what it has left, and its teardowns, begin when it
 * is freed.  ASYNC_OK, or why that cannot be: then all is as it was.
 */
async_rc_t ngx_http_async_background_hold(async_req_t *req);

/* Drops what it has left; the request need not live any more. */
void ngx_http_async_background_drop(async_req_t *req);
void ngx_http_async_background_free(ngx_http_async_background_t *b);

/* Drops background tasks, and keeps teardowns. */
void ngx_http_async_background_forget(ngx_http_async_background_t *b);

/*
 * The teardowns of the request go over behind what is there; its background
 * tasks stay.
 */
ngx_int_t ngx_http_async_background_split(ngx_http_async_background_t **to,
    async_req_t *req);

/* "b" comes behind what is there. */
void ngx_http_async_background_join(ngx_http_async_background_t **to,
    ngx_http_async_background_t *b);

/* As await_thread(); keeps the memory of b until the thread is through. */
async_rc_t ngx_http_async_background_thread(ngx_async_task_t *t,
    ngx_http_async_background_t *b, const char *site, const char *pool,
    async_thread_pt fn, void *arg, size_t size);


#endif /* _NGX_HTTP_ASYNC_BACKGROUND_H_INCLUDED_ */
