
/*
 * Copyright (C) the nginx-async authors
 *
 * Subrequests whose answer goes to a task instead of to the client.
 *
 * Such a subrequest has a connection of its own, as the streams of HTTP/2 have:
 * a copy of the client's with other events.  So what nginx does on behalf of
 * the subrequest - timers, delays, errors, back-pressure - does not touch the
 * client's connection, of which the main request, and other subrequests, make
 * use at the same time.  It is as if its client read what the task takes, and
 * left when nobody waits for it any more.
 */

#ifndef _NGX_HTTP_ASYNC_CAPTURE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_CAPTURE_H_INCLUDED_


#include <ngx_http_async_request.h>
#include <ngx_http_async_fetched.h>


typedef struct ngx_http_async_capture_s  ngx_http_async_capture_t;
typedef struct ngx_http_async_aside_s    ngx_http_async_aside_t;


typedef enum {
    NGX_HTTP_ASYNC_CAPTURE_HEAD = 0,          /* nothing has come */
    NGX_HTTP_ASYNC_CAPTURE_BODY,              /* the header has */
    NGX_HTTP_ASYNC_CAPTURE_WHOLE,
    NGX_HTTP_ASYNC_CAPTURE_BROKEN,
    NGX_HTTP_ASYNC_CAPTURE_TOO_LARGE,
    NGX_HTTP_ASYNC_CAPTURE_NO_MEMORY
} ngx_http_async_capture_e;


/* In the memory of the main request. */

struct ngx_http_async_capture_s {
    ngx_http_request_t           *r;          /* the subrequest */
    async_req_t                  *req;        /* whose handler made it */
    ngx_http_async_aside_t       *aside;
    ngx_uint_t                   *running;    /* of the main request */
    ngx_http_async_capture_e      state;

    /* where it goes, and whom it wakes; NULL: nobody wants it any more */
    async_response_t             *res;
    ngx_async_waker_t             waker;
    size_t                        max;        /* of the body that is held */

    /* what has come of one that is read in pieces and has not been read */
    ngx_chain_t                  *out;
    ngx_http_request_t           *blocked;    /* it waits to be read from */

    ngx_http_post_subrequest_t    post;
    ngx_http_cleanup_t            cleanup;
    unsigned                      streams:1;
    unsigned                      last:1;     /* its last buffer has come */
    unsigned                      over:1;     /* nginx is done with it */
};


extern ngx_module_t  ngx_http_async_capture_module;


/*
 * Makes a subrequest, on the loop's stack: "cap" has req, res, waker, max and
 * streams.  It runs when nginx runs what is posted.  NGX_DECLINED: the request
 * of the handler is about to end, there is nothing to be woken by.  NGX_BUSY:
 * as many run as may.
 */
ngx_int_t ngx_http_async_capture(ngx_http_async_capture_t *cap,
    ngx_str_t *uri, ngx_str_t *args);

/* Has nginx run what is posted, if that is for us to do. */
void ngx_http_async_capture_run(ngx_http_async_capture_t *cap);

/* Has one that waits to be read from go on; on the loop's stack. */
void ngx_http_async_capture_resume(ngx_http_async_capture_t *cap);

/*
 * Nobody wants it any more: it is ended if a handler or an upstream serves it,
 * otherwise it ends by itself.  On the loop's stack.
 */
void ngx_http_async_capture_drop(ngx_http_async_capture_t *cap);


/*
 * ngx_http_async_subrequest_in.c: gives the subrequest its own request header
 * and body.  "headers" as in async_fetch_t; type: of the body, or NULL.
 */
ngx_int_t ngx_http_async_subrequest_in(ngx_http_request_t *sr,
    async_fetch_t *fetch, const char *type);


#endif /* _NGX_HTTP_ASYNC_CAPTURE_H_INCLUDED_ */
