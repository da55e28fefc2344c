
/*
 * Copyright (C) the nginx-async authors
 *
 * HTTP/1.1 from the client's side, on a connection that stands: what comes back
 * to a request, read by nginx's parsers, and strictly: who cannot tell where a
 * response ends refuses it (RFC 9112, 6.3).
 */

#ifndef _NGX_HTTP_ASYNC_EXCHANGE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_EXCHANGE_H_INCLUDED_


#include <ngx_async_conn.h>
#include <ngx_http_async_fetched.h>


typedef enum {
    NGX_HTTP_ASYNC_EXCHANGE_HEAD = 0,         /* it is still to come */
    NGX_HTTP_ASYNC_EXCHANGE_LENGTH,           /* "left" bytes are */
    NGX_HTTP_ASYNC_EXCHANGE_CHUNKED,
    NGX_HTTP_ASYNC_EXCHANGE_CLOSE,            /* all until the end */
    NGX_HTTP_ASYNC_EXCHANGE_DONE
} ngx_http_async_exchange_e;


typedef struct ngx_http_async_reader_s  ngx_http_async_reader_t;


/* nginx's parsers keep their state in a request: this one is no other's */

struct ngx_http_async_reader_s {
    ngx_http_async_reader_t    *next;
    ngx_buf_t                   buf;
    ngx_http_chunked_t          chunked;
    size_t                      framing;      /* bytes since the last of data */
    ngx_http_status_t           status;
    ngx_http_request_t          r;

    unsigned                    headed:1;     /* the status line is over */
    unsigned                    inside:1;     /* of a chunk */
    unsigned                    odd:1;        /* a name has odd characters */

    u_char                      data[];
};


typedef struct {
    ngx_async_conn_t            conn;
    ngx_msec_t                  read_timeout;
    ngx_msec_t                  send_timeout;
    size_t                      max_head;
    size_t                      interim;      /* bytes of responses of 1xx */

    ngx_http_async_exchange_e   state;
    off_t                       left;

    /* what has come and has not been taken; NULL: nothing */
    ngx_http_async_reader_t    *reader;

    unsigned                    head:1;       /* the method is HEAD */
    unsigned                    tunnel:1;     /* the method is CONNECT */
    unsigned                    answered:1;   /* at least a byte has come */
    unsigned                    persistent:1; /* another one may follow */
} ngx_http_async_exchange_t;


/*
 * Suspends until there is the head of a response, and sets status and fields of
 * res.  Those of status 1xx are passed over, unless "interim" asks for them.
 */
async_rc_t ngx_http_async_exchange_head(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, async_response_t *res, ngx_uint_t interim);

/* Does not suspend: whether anything has come.  ASYNC_CLOSED: only the end. */
async_rc_t ngx_http_async_exchange_hear(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, ngx_uint_t *heard);

/* Suspends until there is more of the body; *n is 0 at its end. */
async_rc_t ngx_http_async_exchange_read(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, void *buf, size_t size, size_t *n);

/* How many bytes have come that belong to nothing that has been asked for. */
size_t ngx_http_async_exchange_surplus(ngx_http_async_exchange_t *x);

/* For the files of this concept: more into the reader; what is wrong. */
async_rc_t ngx_http_async_exchange_fill(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x);
async_rc_t ngx_http_async_exchange_cut(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, const char *when);
async_rc_t ngx_http_async_exchange_wrong(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, const char *what);

/* Frees what reading needs; the connection is its owner's. */
void ngx_http_async_exchange_end(ngx_http_async_exchange_t *x);


#endif /* _NGX_HTTP_ASYNC_EXCHANGE_H_INCLUDED_ */
