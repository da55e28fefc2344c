
/*
 * Copyright (C) the nginx-async authors
 *
 * Overload: while the loop of a worker is late for longer, or its memory is
 * beyond a bound, new requests are refused, so that those under way end in
 * their time.
 */

#ifndef _NGX_HTTP_ASYNC_OVERLOAD_H_INCLUDED_
#define _NGX_HTTP_ASYNC_OVERLOAD_H_INCLUDED_


#include <ngx_http_async_app.h>


/* The directive async_overload. */
char *ngx_http_async_overload(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* In a worker: begins to look. */
void ngx_http_async_overload_init(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf);
void ngx_http_async_overload_exit(void);

/* For ngx_http_async_app_stats(). */
ngx_int_t ngx_http_async_overload_stats(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf);


/* why requests are refused now; zero: they are not */

typedef enum {
    NGX_HTTP_ASYNC_OVERLOAD_NONE = 0,
    NGX_HTTP_ASYNC_OVERLOAD_LAG,
    NGX_HTTP_ASYNC_OVERLOAD_MEMORY
} ngx_http_async_overload_e;

extern ngx_http_async_overload_e  ngx_http_async_overloaded;

/* Counts a request that is refused for that. */
void ngx_http_async_overload_shed(void);


#endif /* _NGX_HTTP_ASYNC_OVERLOAD_H_INCLUDED_ */
