
/*
 * Copyright (C) the nginx-async authors
 *
 * Functions of apps in phases of nginx before that of the content, in front of
 * whatever serves the request: what async_access and async_set have in common.
 */

#ifndef _NGX_HTTP_ASYNC_PHASE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PHASE_H_INCLUDED_


#include <ngx_http_async_app.h>


/*
 * Runs a function for the main request; "pass", or NULL: on its coroutine, when
 * it lets the request pass.  NGX_OK: the request may go on;
 * NGX_AGAIN: the function is suspended, and the phase handler that calls this
 * is called again when the request may go on; NGX_DONE: the request has been
 * answered, or will be.
 */
ngx_int_t ngx_http_async_phase(ngx_http_request_t *r,
    ngx_http_async_ref_t *ref,
    ngx_http_async_run_pt run, ngx_http_async_run_pt pass,
    ngx_http_async_finish_pt finish);

/* On its coroutine, when all of it has returned ASYNC_OK. */
async_rc_t ngx_http_async_phase_pass(async_req_t *req);

/*
 * The end of a function: NGX_DECLINED if it has returned ASYNC_OK and set no
 * response; otherwise that is sent, or what its code stands for.
 */
ngx_int_t ngx_http_async_phase_finish(async_req_t *req);

/* Whether phase_finish() is to give NGX_DECLINED. */
ngx_uint_t ngx_http_async_phase_passes(async_req_t *req);

/* Takes the fields back that functions have added to the response. */
void ngx_http_async_phase_forget(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ASYNC_PHASE_H_INCLUDED_ */
