
/*
 * Copyright (C) the nginx-async authors
 *
 * A body that came compressed (RFC 9110, 8.4.1), decoded as it comes: zlib
 * with the rules of HTTP around it.  It holds back nothing of what it writes,
 * so that the bound of a body is that of the room given.  No request, no I/O;
 * runs in any thread and on a small stack.
 */

#ifndef _NGX_HTTP_ASYNC_INFLATE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_INFLATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <zlib.h>


typedef enum {
    NGX_HTTP_ASYNC_INFLATE_NONE = 0,   /* not begun, or ended: has no memory */
    NGX_HTTP_ASYNC_INFLATE_INSIDE,
    NGX_HTTP_ASYNC_INFLATE_BEHIND,     /* behind a whole stream */
    NGX_HTTP_ASYNC_INFLATE_BROKEN
} ngx_http_async_inflate_state_e;


/* The caller's, where it stays: zlib keeps its address. */

typedef struct {
    z_stream                         z;
    ngx_http_async_inflate_state_e   state;
    const char                      *error;      /* once BROKEN */
    unsigned                         members:1;  /* several are allowed */
} ngx_http_async_inflate_t;


/*
 * For a Content-Encoding, in any case: "gzip", "x-gzip", and "deflate", the
 * zlib format (RFC 1950).  NGX_OK: about 40 KB of malloc(), part of it later,
 * until ngx_http_async_inflate_end(); NGX_DECLINED: another coding; NGX_ERROR:
 * no memory.  Unless NGX_OK there is nothing to end.
 */
ngx_int_t ngx_http_async_inflate_init(ngx_http_async_inflate_t *inf,
    ngx_str_t *coding);

/*
 * Decodes from *in, which ends at in_last, to *out, which ends at out_last, and
 * advances both.
 *
 *     NGX_OK        the input is used up, or there is no room: when *out came
 *                   to out_last there may be more, also without input
 *     NGX_DONE      the input is used up, and the body may end here.  If more
 *                   of it comes it is to be fed: it may be another gzip member
 *                   (RFC 1952, 2.2), zero bytes for padding, or garbage
 *     NGX_DECLINED  corrupt, *error is static text that says how.  What was
 *                   written before is not verified; so it stays
 *     NGX_ERROR     no memory; so it stays, too
 *
 * Without room it still answers NGX_DONE if nothing is left to be written.
 */
ngx_int_t ngx_http_async_inflate(ngx_http_async_inflate_t *inf, u_char **in,
    u_char *in_last, u_char **out, u_char *out_last, const char **error);

/*
 * Whether the last answer was NGX_DONE.  If not, a body that ends is cut off;
 * also one of no bytes, which is for the caller to allow.  Not to be asked
 * after ngx_http_async_inflate_end().
 */
ngx_uint_t ngx_http_async_inflate_complete(ngx_http_async_inflate_t *inf);

/* May be called again, and for one that is zero all over. */
void ngx_http_async_inflate_end(ngx_http_async_inflate_t *inf);


#endif /* _NGX_HTTP_ASYNC_INFLATE_H_INCLUDED_ */
