
/*
 * Copyright (C) the nginx-async authors
 *
 * One await_fetch(), from the first connection to the end of the response that
 * may be read in pieces.  Memory of the task.
 */

#ifndef _NGX_HTTP_ASYNC_FETCH_H_INCLUDED_
#define _NGX_HTTP_ASYNC_FETCH_H_INCLUDED_


#include <ngx_http_async_client.h>
#include <ngx_http_async_exchange.h>
#include <ngx_http_async_balancer.h>
#include <ngx_http_async_inflate.h>
#include <ngx_http_async_url.h>


typedef struct {
    ngx_http_async_exchange_t       x;
    async_response_t               *res;
    ngx_pool_t                     *pool;

    async_fetch_t                   fetch;
    const char                     *type;     /* of JSON that is sent */
    ngx_msec_t                      connect_timeout;
    ngx_msec_t                      until;
    size_t                          max;

    ngx_http_async_client_conf_t   *conf;
    ngx_resolver_t                 *resolver;

    /* W3C Trace Context; no data: none */
    ngx_str_t                       traceparent;
    ngx_str_t                       tracestate;

    /* the host that fetch.tls_name is for */
    ngx_str_t                       named;

    /* of this hop, which redirects change */
    const char                     *method;
    ngx_http_async_url_t            url;
    ngx_http_async_url_t            proxy;    /* host.len 0: none */

    /* where the connection comes from; key.len 0: it is not kept by us */
    ngx_str_t                       key;
    ngx_http_async_balancer_t      *balancer;
    ngx_connection_t               *aside;

    /* "packed_buf" NULL: it is not encoded */
    ngx_http_async_inflate_t        inflate;
    u_char                         *packed_buf;
    u_char                         *packed;
    u_char                         *packed_last;

    unsigned                        fresh:1;  /* no kept connection */
    unsigned                        crossed:1;    /* without credentials */
    unsigned                        bodyless:1;   /* it has become a GET */
    unsigned                        sourced:1;    /* the source has begun */
    unsigned                        early:1;  /* answered before all was sent */
    unsigned                        unpacked:1;   /* some has come of it */
    unsigned                        blameless:1;  /* the source has failed */
} ngx_http_async_fetch_t;


/* the values of all fetches, ngx_http_async_fetch_family */

enum {
    NGX_HTTP_ASYNC_FETCH_REQUESTS = 0,
    NGX_HTTP_ASYNC_FETCH_ALIVE,
    NGX_HTTP_ASYNC_FETCH_2XX,
    NGX_HTTP_ASYNC_FETCH_3XX,
    NGX_HTTP_ASYNC_FETCH_4XX,
    NGX_HTTP_ASYNC_FETCH_5XX,
    NGX_HTTP_ASYNC_FETCH_NAME,
    NGX_HTTP_ASYNC_FETCH_CONNECT,
    NGX_HTTP_ASYNC_FETCH_TLS,
    NGX_HTTP_ASYNC_FETCH_TIMEOUT,
    NGX_HTTP_ASYNC_FETCH_RESET,
    NGX_HTTP_ASYNC_FETCH_PROTOCOL,
    NGX_HTTP_ASYNC_FETCH_OTHER,
    NGX_HTTP_ASYNC_FETCH_CANCELLED,
    NGX_HTTP_ASYNC_FETCH_OPENED,
    NGX_HTTP_ASYNC_FETCH_REUSED,
    NGX_HTTP_ASYNC_FETCH_KEPT,
    NGX_HTTP_ASYNC_FETCH_TIME          /* a histogram */
};

/* of this worker, never NULL */
extern ngx_async_stats_t  *ngx_http_async_fetch_stats;


/* ngx_http_async_fetch_connect.c: suspends until there is a connection. */
async_rc_t ngx_http_async_fetch_connect(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);

/*
 * Keeps the connection, if it may be, or closes it; may be called twice.  "rc":
 * what has come of it for the task, which may be NULL: nothing that matters.
 */
void ngx_http_async_fetch_release(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, async_rc_t rc, ngx_uint_t keep);

/* ngx_http_async_fetch_send.c: suspends until the request has been sent. */
async_rc_t ngx_http_async_fetch_send(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);

/* Of the method that is sent: whether it may be sent twice. */
ngx_uint_t ngx_http_async_fetch_is_idempotent(ngx_http_async_fetch_t *f);

/* "Basic ..." of user and password; .data NULL: no memory. */
ngx_str_t ngx_http_async_fetch_basic(ngx_pool_t *pool, ngx_str_t *userinfo);


#endif /* _NGX_HTTP_ASYNC_FETCH_H_INCLUDED_ */
