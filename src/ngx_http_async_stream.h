
/*
 * Copyright (C) the nginx-async authors
 *
 * Responses in pieces.
 */

#ifndef _NGX_HTTP_ASYNC_STREAM_H_INCLUDED_
#define _NGX_HTTP_ASYNC_STREAM_H_INCLUDED_


#include <ngx_http_async_request.h>


/*
 * On the coroutine: sends the header of req->out alone, and suspends until the
 * kernel has it, within send_timeout.  From then on the response has begun.
 * ASYNC_CLOSED: the client has gone.
 */
async_rc_t ngx_http_async_stream_header(async_t *co, async_req_t *req);

/* The handler has returned, and its response has begun: what nginx is told. */
ngx_int_t ngx_http_async_stream_finish(async_req_t *req);


#endif /* _NGX_HTTP_ASYNC_STREAM_H_INCLUDED_ */
