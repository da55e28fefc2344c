
/*
 * Copyright (C) the nginx-async authors
 *
 * What guards hand on: values of dependencies, from one function that nginx
 * asks in front of a location to the next one, and to the handler of the
 * location.  So each of them runs once a request.
 *
 * What ends with the coroutine of a guard is not handed on: a file, connection,
 * lock or transaction that it has open, what async_defer() is to undo; nor what
 * has asked for parameters of the path, which guards do not have.  Who takes
 * values takes over all teardowns that are left.
 */

#ifndef _NGX_HTTP_ASYNC_HANDED_H_INCLUDED_
#define _NGX_HTTP_ASYNC_HANDED_H_INCLUDED_


#include <ngx_http_async_given.h>


/* Whether somebody may come behind the guard who asks for its values. */
ngx_uint_t ngx_http_async_handed_on(async_req_t *req);

/* Whether there is something of what the plan of the request wants. */
ngx_uint_t ngx_http_async_handed_any(async_req_t *req);

/*
 * Takes it, into req->given, which has nothing yet; what only that depends on
 * is not to run either.
 */
async_rc_t ngx_http_async_handed_take(async_req_t *req);

/*
 * Of steps that have run, "from" up to "to": whether what they give ends with
 * the task, whose lists were these before.
 */
void ngx_http_async_handed_mark(async_req_t *req, ngx_uint_t from,
    ngx_uint_t to, ngx_async_end_t *ends, ngx_async_defer_t *defers);

/* On the coroutine of a guard that lets the request pass: hands on. */
async_rc_t ngx_http_async_handed_keep(async_req_t *req);


#endif /* _NGX_HTTP_ASYNC_HANDED_H_INCLUDED_ */
