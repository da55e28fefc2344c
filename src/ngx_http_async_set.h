
/*
 * Copyright (C) the nginx-async authors
 *
 * Variables of nginx whose values dependencies give: the directive async_set.
 */

#ifndef _NGX_HTTP_ASYNC_SET_H_INCLUDED_
#define _NGX_HTTP_ASYNC_SET_H_INCLUDED_


#include <ngx_http_async_app.h>


/* The directive async_set; inner blocks have what the outer ones say. */
char *ngx_http_async_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_async_set_merge(ngx_conf_t *cf, ngx_http_async_loc_conf_t *prev,
    ngx_http_async_loc_conf_t *conf);

/* The handler is to be in the preaccess phase; run: calls the function. */
ngx_int_t ngx_http_async_set_init(ngx_conf_t *cf, ngx_http_handler_pt handler,
    ngx_http_async_run_pt run);

/* What it does. */
ngx_int_t ngx_http_async_set_all(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ASYNC_SET_H_INCLUDED_ */
