
/*
 * Copyright (C) the nginx-async authors
 *
 * Bodies of multipart/form-data (RFC 7578, RFC 2046) in pieces that end
 * anywhere.  Pure: allocates nothing, knows no request; it has the memory for
 * the headers of a part from its caller, and gives what it finds there, or in
 * the piece itself.
 */

#ifndef _NGX_HTTP_ASYNC_MULTIPART_H_INCLUDED_
#define _NGX_HTTP_ASYNC_MULTIPART_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* RFC 2046, 5.1.1 */
#define NGX_HTTP_ASYNC_BOUNDARY_MAX  70


typedef enum {
    NGX_HTTP_ASYNC_MULTIPART_MORE = 0,   /* the piece has been taken */
    NGX_HTTP_ASYNC_MULTIPART_PART,       /* one begins: name and so on */
    NGX_HTTP_ASYNC_MULTIPART_DATA,       /* so much of it */
    NGX_HTTP_ASYNC_MULTIPART_END,        /* it has ended */
    NGX_HTTP_ASYNC_MULTIPART_ERROR       /* malformed: error says how */
} ngx_http_async_multipart_event_e;


typedef enum {
    NGX_HTTP_ASYNC_MULTIPART_PREAMBLE = 0,
    NGX_HTTP_ASYNC_MULTIPART_BOUNDARY,   /* behind it */
    NGX_HTTP_ASYNC_MULTIPART_DASH,
    NGX_HTTP_ASYNC_MULTIPART_PADDING,
    NGX_HTTP_ASYNC_MULTIPART_LF,
    NGX_HTTP_ASYNC_MULTIPART_HEADERS,
    NGX_HTTP_ASYNC_MULTIPART_BODY,
    NGX_HTTP_ASYNC_MULTIPART_EPILOGUE,
    NGX_HTTP_ASYNC_MULTIPART_FAILED
} ngx_http_async_multipart_state_e;


typedef struct {
    ngx_http_async_multipart_state_e  state;

    /* CR LF "--" boundary; how much of it has been seen at the end of what
       came, and how much of that was not there: the first two may be missing */
    u_char       delimiter[4 + NGX_HTTP_ASYNC_BOUNDARY_MAX];
    size_t       len;
    size_t       matched;
    size_t       missing;

    u_char      *headers;
    size_t       size;
    size_t       used;

    /* of the part, until the next one begins; the file's name without its
       directories, the type without a value if there is none */
    ngx_str_t    name;
    ngx_str_t    filename;
    ngx_str_t    type;
    ngx_uint_t   file;                   /* it has a file name */

    ngx_str_t    data;

    const char  *error;
    const char  *detail;                 /* for the client; NULL: nothing */
} ngx_http_async_multipart_t;


/*
 * NGX_OK; NGX_DECLINED: there is no boundary, or one that is none.  The memory
 * bounds the headers of a part.
 */
ngx_int_t ngx_http_async_multipart_init(ngx_http_async_multipart_t *mp,
    ngx_str_t *content_type, u_char *headers, size_t size);

/* What comes next in the piece, whose beginning is moved on. */
ngx_http_async_multipart_event_e ngx_http_async_multipart_next(
    ngx_http_async_multipart_t *mp, ngx_str_t *piece);

/* Whether the body may end here. */
#define ngx_http_async_multipart_complete(mp)                                \
    ((mp)->state == NGX_HTTP_ASYNC_MULTIPART_EPILOGUE)


#endif /* _NGX_HTTP_ASYNC_MULTIPART_H_INCLUDED_ */
