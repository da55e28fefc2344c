
/*
 * Copyright (C) the nginx-async authors
 *
 * UTF-8 in pieces, see ngx_http_async_ws_utf8.c.  Knows no request.
 */

#ifndef _NGX_HTTP_ASYNC_WS_UTF8_H_INCLUDED_
#define _NGX_HTTP_ASYNC_WS_UTF8_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Goes on with a text: *state is 0 at its beginning, and at its end if that is
 * no half character.  NGX_ERROR: it is not UTF-8.
 */
ngx_int_t ngx_http_async_ws_utf8(uint32_t *state, const u_char *p, size_t len);


#endif /* _NGX_HTTP_ASYNC_WS_UTF8_H_INCLUDED_ */
