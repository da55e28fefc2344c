
/*
 * Copyright (C) the nginx-async authors
 *
 * The configuration of the module: its directives, its settings, and how the
 * settings of blocks come together.
 */

#ifndef _NGX_HTTP_ASYNC_CONF_H_INCLUDED_
#define _NGX_HTTP_ASYNC_CONF_H_INCLUDED_


#include <ngx_http_async_app.h>


/* ngx_http_async_commands.c */

extern ngx_command_t  ngx_http_async_commands[];


/* ngx_http_async_conf.c */

void *ngx_http_async_create_main_conf(ngx_conf_t *cf);
char *ngx_http_async_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_http_async_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_async_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

/* The directives async_param and async_thread_pool. */
char *ngx_http_async_param(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_async_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Those that name none have this one. */
char *ngx_http_async_default_pool(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *conf);


/* ngx_http_async_module.c: answers the requests of locations with routes */
ngx_int_t ngx_http_async_content_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ASYNC_CONF_H_INCLUDED_ */
