
/*
 * Copyright (C) the nginx-async authors
 *
 * What a header field may be made of, wherever one is sent: in responses and in
 * requests to others.  Pure, runs in any thread.
 */

#ifndef _NGX_HTTP_ASYNC_FIELD_H_INCLUDED_
#define _NGX_HTTP_ASYNC_FIELD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* tchar of RFC 9110, 5.6.2; not empty */
ngx_uint_t ngx_http_async_is_token(const char *p);

/* CR, LF and others that a value must not have (RFC 9110, 5.5) */
ngx_uint_t ngx_http_async_has_control(const char *p);
ngx_uint_t ngx_http_async_has_controls(const u_char *p, size_t len);


#endif /* _NGX_HTTP_ASYNC_FIELD_H_INCLUDED_ */
