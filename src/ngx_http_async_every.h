
/*
 * Copyright (C) the nginx-async authors
 *
 * Periodic functions of apps: the directive async_every.
 */

#ifndef _NGX_HTTP_ASYNC_EVERY_H_INCLUDED_
#define _NGX_HTTP_ASYNC_EVERY_H_INCLUDED_


#include <ngx_http_async_app.h>


typedef struct ngx_http_async_every_s  ngx_http_async_every_t;


/* The directive async_every. */
char *ngx_http_async_every(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Once all functions are known: the shared memory of each directive. */
ngx_int_t ngx_http_async_every_resolve(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf);

/* In a worker, after ngx_http_async_lifecycle_init(). */
void ngx_http_async_every_init(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf);

/* When no run is waited for any more. */
void ngx_http_async_every_exit(void);


#endif /* _NGX_HTTP_ASYNC_EVERY_H_INCLUDED_ */
