
/*
 * Copyright (C) the nginx-async authors
 *
 * The header fields of W3C Trace Context as texts.  Pure, runs in any thread.
 */

#ifndef _NGX_HTTP_ASYNC_TRACEPARENT_H_INCLUDED_
#define _NGX_HTTP_ASYNC_TRACEPARENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" */
#define NGX_HTTP_ASYNC_TRACEPARENT         55
#define NGX_HTTP_ASYNC_TRACEPARENT_ID      3
#define NGX_HTTP_ASYNC_TRACEPARENT_PARENT  36
#define NGX_HTTP_ASYNC_TRACEPARENT_FLAGS   53

/* all that version 00 knows of */
#define NGX_HTTP_ASYNC_TRACE_SAMPLED       0x01


/*
 * NGX_DECLINED: it is none (3.2 of the recommendation), and what came with it
 * does not count.  A later version may have more behind what is known.  The
 * flags are those that are known.
 */
ngx_int_t ngx_http_async_traceparent(const ngx_str_t *text,
    ngx_uint_t *flags);

/* The same of a tracestate (3.3); NGX_DECLINED also if it has nothing. */
ngx_int_t ngx_http_async_tracestate(const ngx_str_t *text);


#endif /* _NGX_HTTP_ASYNC_TRACEPARENT_H_INCLUDED_ */
