
/*
 * Copyright (C) the nginx-async authors
 *
 * Background tasks: what a handler has left to be done after its response.
 */

#ifndef _NGX_HTTP_ASYNC_BACKGROUND_H_INCLUDED_
#define _NGX_HTTP_ASYNC_BACKGROUND_H_INCLUDED_


#include <ngx_http_async_request.h>


/*
 * The handler has returned rc: what it has left begins when the request is
 * freed, or is dropped.  ASYNC_OK, or why that cannot be.
 */
async_rc_t ngx_http_async_background_hold(async_req_t *req, async_rc_t rc);

/* Drops it; the request need not live any more. */
void ngx_http_async_background_drop(async_req_t *req);


#endif /* _NGX_HTTP_ASYNC_BACKGROUND_H_INCLUDED_ */
