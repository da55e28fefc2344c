
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


#endif /* _NGX_HTTP_ASYNC_BLOCKING_H_INCLUDED_ */
