
/*
 * Copyright (C) the nginx-async authors
 *
 * permessage-deflate (RFC 7692): what a client offers, what is taken of it, and
 * messages compressed and decompressed.  Knows no request and no session.
 *
 * Without context takeover a message needs nothing of those before it, so the
 * sessions of a worker share zlib's streams: one has a stream from the
 * beginning of a message to its end, and otherwise none.  With it each has its
 * own two.
 */

#ifndef _NGX_HTTP_ASYNC_WS_DEFLATE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_WS_DEFLATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the longest answer, see ngx_http_async_ws_deflate_new() */
#define NGX_HTTP_ASYNC_WS_ANSWER_LEN  160

/* the window of what several peers get: see ..._deflate_shared() */
#define NGX_HTTP_ASYNC_WS_SHARED_BITS  12


typedef struct ngx_http_async_ws_deflate_s  ngx_http_async_ws_deflate_t;


/* async_websocket_deflate */

typedef struct {
    ngx_flag_t                   on;
    ngx_uint_t                   takeover;    /* of contexts, both ways */
    ngx_int_t                    level;
    ngx_int_t                    window_bits;
    size_t                       min;         /* shorter ones go plain */
    size_t                       memory;      /* of contexts in a worker: those
                                                 past it do without takeover */
} ngx_http_async_ws_deflate_conf_t;


/* RFC 7692, 7.1; bits: 0 for a parameter that is not offered */

typedef struct {
    ngx_uint_t                   server_bits;
    ngx_uint_t                   client_bits;
    ngx_uint_t                   server_no_takeover;
    ngx_uint_t                   client_no_takeover;
} ngx_http_async_ws_offer_t;


/*
 * Takes a piece of what has come out: NGX_OK, or anything else: no more.  It
 * may not compress or decompress anything itself.
 */

typedef ngx_int_t (*ngx_http_async_ws_sink_pt)(void *data, const u_char *p,
    size_t len);


/* ngx_http_async_ws_offer.c */

/*
 * The first of the offers in a field Sec-WebSocket-Extensions (RFC 6455, 9.1)
 * that can be taken.  NGX_DECLINED: none.  NGX_ERROR: the field is malformed.
 */
ngx_int_t ngx_http_async_ws_offer(ngx_str_t *field,
    ngx_http_async_ws_offer_t *offer);


/* ngx_http_async_ws_deflate.c */

/*
 * For the offer; *answer: what is said to the client, of the pool, as *deflate
 * is, which holds on to more memory until ..._free().  NGX_OK, or NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_http_async_ws_deflate_new(ngx_pool_t *pool,
    ngx_http_async_ws_deflate_conf_t *conf, ngx_http_async_ws_offer_t *offer,
    ngx_http_async_ws_deflate_t **deflate, ngx_str_t *answer);

void ngx_http_async_ws_deflate_free(ngx_http_async_ws_deflate_t *d);

/*
 * A piece of a compressed message; "last" with the last one of the message.
 * What comes out of it is handed to "sink" in pieces of up to 16k, which may
 * refuse: NGX_ABORT.  NGX_DECLINED: it is no deflate data.  NGX_ERROR: no
 * memory.  After any of these nothing but ..._free() may follow.
 */
ngx_int_t ngx_http_async_ws_inflate(ngx_http_async_ws_deflate_t *d,
    const u_char *in, size_t len, ngx_uint_t last,
    ngx_http_async_ws_sink_pt sink, void *data);

/*
 * The same the other way.  What comes out of a piece is all that its receiver
 * needs to have all of the piece.  A few hundred bytes of stack.
 */
ngx_int_t ngx_http_async_ws_deflate(ngx_http_async_ws_deflate_t *d,
    const u_char *in, size_t len, ngx_uint_t last,
    ngx_http_async_ws_sink_pt sink, void *data);

/*
 * Whether nothing of a message remains for the next one, on our side.  Only
 * then the message that has begun may be given up.
 */
ngx_uint_t ngx_http_async_ws_deflate_forgets(ngx_http_async_ws_deflate_t *d);
void ngx_http_async_ws_deflate_undo(ngx_http_async_ws_deflate_t *d);

/*
 * A whole message, compressed without a context: for frames that several peers
 * get.  Of the pool; NGX_DECLINED: it is not shorter so; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_async_ws_deflate_shared(const void *data, size_t len,
    ngx_pool_t *pool, ngx_str_t *out);

/* whether frames of that may be sent by it: server_no_context_takeover, and a
   window that is large enough */
ngx_uint_t ngx_http_async_ws_deflate_stateless(
    ngx_http_async_ws_deflate_t *d);

/* What the contexts of all take, as bounded by conf->memory. */
size_t ngx_http_async_ws_deflate_memory(void);

/* In a worker that ends: streams that nobody has. */
void ngx_http_async_ws_deflate_exit(void);


#endif /* _NGX_HTTP_ASYNC_WS_DEFLATE_H_INCLUDED_ */
