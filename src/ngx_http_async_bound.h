
/*
 * Copyright (C) the nginx-async authors
 *
 * The bounds of times and sizes, which many directives share.
 */

#ifndef _NGX_HTTP_ASYNC_BOUND_H_INCLUDED_
#define _NGX_HTTP_ASYNC_BOUND_H_INCLUDED_


#include <ngx_async_task.h>
#include <ngx_http.h>


/* sums of a few of them fit */
#define NGX_HTTP_ASYNC_SIZE_MAX  (NGX_MAX_SIZE_T_VALUE / 8)


/* of an ngx_msec_t from ngx_parse_time(): what that refuses is as long */
#define ngx_http_async_is_time(ms)                                           \
    ((ms) <= (ngx_msec_t) NGX_ASYNC_TIME_MAX)


/*
 * For the post of a command: from 1 ms to NGX_ASYNC_TIME_MAX, the same or 0,
 * and from 1 byte to NGX_HTTP_ASYNC_SIZE_MAX.
 */
extern ngx_conf_post_t  ngx_http_async_time_bound;
extern ngx_conf_post_t  ngx_http_async_time_or_0_bound;
extern ngx_conf_post_t  ngx_http_async_size_bound;


#endif /* _NGX_HTTP_ASYNC_BOUND_H_INCLUDED_ */
