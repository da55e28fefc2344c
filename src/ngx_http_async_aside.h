
/*
 * Copyright (C) the nginx-async authors
 *
 * The connection of a captured subrequest, see ngx_http_async_capture.h.  Only
 * for what belongs to that.
 */

#ifndef _NGX_HTTP_ASYNC_ASIDE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_ASIDE_H_INCLUDED_


#include <ngx_http_async_capture.h>


/*
 * nginx may look at it when the request has just been freed, to see whether it
 * has.  So the memory is the worker's, and used again.
 */

struct ngx_http_async_aside_s {
    ngx_connection_t             connection;
    ngx_event_t                  read;
    ngx_event_t                  write;
    ngx_http_async_capture_t    *capture;
    ngx_http_async_aside_t      *next;
};


/* Lives as long as the main request.  NULL: no memory. */
ngx_http_async_aside_t *ngx_http_async_aside(ngx_http_request_t *r,
    ngx_http_async_capture_t *cap);

/* whether it can be written to */
void ngx_http_async_aside_ready(ngx_http_async_aside_t *aside,
    ngx_uint_t ready);

/* nginx replaces the handlers when it sends an error page */
void ngx_http_async_aside_handlers(ngx_http_async_aside_t *aside);

/* ngx_http_async_capture_filter.c: what writes to such a connection */
ngx_chain_t *ngx_http_async_capture_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);

/* Has buffers be as if they were sent, which their owner waits for: NULL. */
ngx_chain_t *ngx_http_async_capture_skip(ngx_chain_t *in);


#endif /* _NGX_HTTP_ASYNC_ASIDE_H_INCLUDED_ */
