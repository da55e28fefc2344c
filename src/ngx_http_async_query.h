
/*
 * Copyright (C) the nginx-async authors
 *
 * Query strings, and forms of application/x-www-form-urlencoded, which have the
 * same rules: names and values, split and decoded as Python's urllib does it.
 * Pure: knows no request.
 */

#ifndef _NGX_HTTP_ASYNC_QUERY_H_INCLUDED_
#define _NGX_HTTP_ASYNC_QUERY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* both zero-terminated; the value of a name without "=" is empty, too */

typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   value;
} ngx_http_async_query_t;


/*
 * All of a query string, in its order, as an array of ngx_http_async_query_t;
 * the bytes may be of no UTF-8.  NULL: no memory.
 */
ngx_array_t *ngx_http_async_query_split(ngx_pool_t *pool, ngx_str_t *args);

/* One name or value; zero-terminated. */
ngx_int_t ngx_http_async_query_decode(ngx_pool_t *pool, ngx_str_t *to,
    u_char *p, u_char *end);


#endif /* _NGX_HTTP_ASYNC_QUERY_H_INCLUDED_ */
