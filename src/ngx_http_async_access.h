
/*
 * Copyright (C) the nginx-async authors
 *
 * Guards: the directive async_access.
 */

#ifndef _NGX_HTTP_ASYNC_ACCESS_H_INCLUDED_
#define _NGX_HTTP_ASYNC_ACCESS_H_INCLUDED_


#include <ngx_http_async_app.h>


/* The directive async_access, and how it is inherited. */
char *ngx_http_async_access_names(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_async_access_merge(ngx_http_async_loc_conf_t *prev,
    ngx_http_async_loc_conf_t *conf);

/* The handler is to be the last one of its phase. */
ngx_int_t ngx_http_async_access_init(ngx_conf_t *cf,
    ngx_http_handler_pt handler);

/* What it does; run: calls the function. */
ngx_int_t ngx_http_async_access(ngx_http_request_t *r,
    ngx_http_async_run_pt run);


#endif /* _NGX_HTTP_ASYNC_ACCESS_H_INCLUDED_ */
