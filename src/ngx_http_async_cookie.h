
/*
 * Copyright (C) the nginx-async authors
 *
 * The field "Cookie" of a request: "a=1; b=2".  Pure: allocates nothing, knows
 * no request.
 */

#ifndef _NGX_HTTP_ASYNC_COOKIE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_COOKIE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Whether the line has a cookie of that name; "value" is then the last one's,
 * within the line, as it was sent.
 */
ngx_uint_t ngx_http_async_cookie_find(ngx_str_t *line, ngx_str_t *name,
    ngx_str_t *value);

/*
 * What such a value stands for; returns its length, which is never above that
 * of the value.  Within double quotes, \" and the like are the character, and
 * \012 is the byte of that octal number: as in Python's http.cookies.
 */
size_t ngx_http_async_cookie_unquote(ngx_str_t *value, u_char *to);


#endif /* _NGX_HTTP_ASYNC_COOKIE_H_INCLUDED_ */
