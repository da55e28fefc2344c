
/*
 * Copyright (C) the nginx-async authors
 *
 * The header fields of a part of multipart/form-data, for its parser.
 */

#ifndef _NGX_HTTP_ASYNC_MULTIPART_HEADER_H_INCLUDED_
#define _NGX_HTTP_ASYNC_MULTIPART_HEADER_H_INCLUDED_


#include <ngx_http_async_multipart.h>


typedef struct {
    ngx_str_t    name;
    ngx_str_t    value;
} ngx_http_async_multipart_param_t;


#define ngx_http_async_multipart_is(text, name)                              \
    ((text)->len == sizeof(name) - 1                                         \
     && ngx_strncasecmp((text)->data, (u_char *) name, sizeof(name) - 1)     \
        == 0)

/* the rest of it, from p on */
#define ngx_http_async_multipart_move(piece, p)                              \
    (piece)->len -= (size_t) ((p) - (piece)->data);                          \
    (piece)->data = (p)


/*
 * Reads those that mp->headers has, to the empty line: name, filename, type and
 * file are set.  NGX_OK; NGX_ERROR: error says how it is malformed.
 */
ngx_int_t ngx_http_async_multipart_part(ngx_http_async_multipart_t *mp);

/*
 * The next of ";name=value;...".  NGX_DONE: there is none; NGX_ERROR.  What is
 * quoted is unquoted where it stands.
 */
ngx_int_t ngx_http_async_multipart_param(ngx_str_t *text,
    ngx_http_async_multipart_param_t *param);


#endif /* _NGX_HTTP_ASYNC_MULTIPART_HEADER_H_INCLUDED_ */
