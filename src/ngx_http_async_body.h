
/*
 * Copyright (C) the nginx-async authors
 *
 * The request body, for those who need it read before they begin.
 */

#ifndef _NGX_HTTP_ASYNC_BODY_H_INCLUDED_
#define _NGX_HTTP_ASYNC_BODY_H_INCLUDED_


#include <ngx_http_async_request.h>


/*
 * Suspends the task until the body is there, in one piece in req->body, whose
 * memory comes from the pool.  Codes as of await_body().
 */
async_rc_t ngx_http_async_body_whole(ngx_async_task_t *t, async_req_t *req,
    ngx_pool_t *pool);

/*
 * Several tasks may wait for what one of them reads, here or as a form: the
 * wait, in a list of them, and the wake of all who are there.
 */
async_rc_t ngx_http_async_body_wait(ngx_async_task_t *t, ngx_queue_t *waiting);
void ngx_http_async_body_wake(ngx_queue_t *waiting, async_rc_t rc);

/* It was asked for, and has not been read to its end. */
ngx_uint_t ngx_http_async_body_is_partial(ngx_http_request_t *r);

/*
 * ngx_http_async_upload.c: suspends until the next bytes of it are there, *n of
 * them, none at its end.  Codes as of await_body_read().
 */
async_rc_t ngx_http_async_body_piece(ngx_async_task_t *t, async_req_t *req,
    u_char *buf, size_t size, size_t *n);

/*
 * Of a body that is there: what it is as JSON, parsed once; errors are recorded
 * once, and the same code is answered ever after.
 */
async_rc_t ngx_http_async_body_value(async_req_t *req, json_t **value);

/*
 * The same errors before it is parsed: ASYNC_OK if it is not empty, and said to
 * be JSON.
 */
async_rc_t ngx_http_async_body_is_json(async_req_t *req);


#endif /* _NGX_HTTP_ASYNC_BODY_H_INCLUDED_ */
