
/*
 * Copyright (C) the nginx-async authors
 *
 * W3C Trace Context: what a request has brought of it, and what goes with the
 * fetches of its tasks, in the error log and into variables.
 */

#ifndef _NGX_HTTP_ASYNC_TRACE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_TRACE_H_INCLUDED_


#include <ngx_http_async_request.h>


#define NGX_HTTP_ASYNC_TRACE_OFF   0
#define NGX_HTTP_ASYNC_TRACE_PASS  1          /* as it came */
#define NGX_HTTP_ASYNC_TRACE_ON    2          /* the request is a span */

#define NGX_HTTP_ASYNC_TRACE_ID    32
#define NGX_HTTP_ASYNC_SPAN_ID     16


struct ngx_http_async_trace_s {
    u_char                      id[NGX_HTTP_ASYNC_TRACE_ID];
    ngx_str_t                   parent;       /* no data: nobody's */
    ngx_str_t                   span;         /* no data: that of others */

    /* what a fetch sends; the state may have no data */
    ngx_str_t                   header;
    ngx_str_t                   state;
};

typedef struct ngx_http_async_trace_s  ngx_http_async_trace_t;


/* Before the configuration is read: adds the variables. */
ngx_int_t ngx_http_async_trace_add(ngx_conf_t *cf);

/* A function is about to run for the request; not where tracing is off. */
void ngx_http_async_trace_begin(ngx_http_request_t *r);

/*
 * That of the request; NGX_DECLINED: it has none.  The strings live as long as
 * the request, the joined state of several fields as long as the pool.
 */
ngx_int_t ngx_http_async_trace(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_http_async_trace_t *trace);

/* That of the request of a task, or of one that a request has left behind. */
ngx_int_t ngx_http_async_trace_of(ngx_async_task_t *t, ngx_pool_t *pool,
    ngx_http_async_trace_t *trace);

/*
 * For what outlasts a request: a copy of the trace of its task in the pool; and
 * a log whose lines tell it.  NULL: it has none.
 */
ngx_http_async_trace_t *ngx_http_async_trace_copy(ngx_async_task_t *t,
    ngx_pool_t *pool);
ngx_http_async_trace_t *ngx_http_async_trace_keep(ngx_async_task_t *t,
    ngx_pool_t *pool, ngx_log_t *log);


#endif /* _NGX_HTTP_ASYNC_TRACE_H_INCLUDED_ */
