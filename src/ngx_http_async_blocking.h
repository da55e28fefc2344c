
/*
 * Copyright (C) the nginx-async authors
 *
 * Blocking handlers: run by a thread, awaited by the task of their request.
 */

#ifndef _NGX_HTTP_ASYNC_BLOCKING_H_INCLUDED_
#define _NGX_HTTP_ASYNC_BLOCKING_H_INCLUDED_


#include <ngx_http_async_request.h>


/* On the coroutine; suspends until the handler has returned. */
async_rc_t ngx_http_async_blocking(async_req_t *req);

/*
 * Suspends the task until run(own) has returned in a thread, "own" being a copy
 * of the request with what it has been given.  What that has been given and has
 * changed is merged.
 */
async_rc_t ngx_http_async_blocking_steps(ngx_async_task_t *t, async_req_t *req,
    ngx_http_async_run_pt run, const char *site);

/* Whether a body may come; and suspends until it has, if so. */
ngx_uint_t ngx_http_async_blocking_has_body(ngx_http_request_t *r);
async_rc_t ngx_http_async_blocking_body(async_req_t *req, ngx_pool_t *pool);

/* A copy of the parameters of the path, which are memory of nginx's request. */
ngx_int_t ngx_http_async_blocking_params(ngx_pool_t *pool,
    ngx_http_async_route_param_t **params, async_req_t *req);


#endif /* _NGX_HTTP_ASYNC_BLOCKING_H_INCLUDED_ */
