
/*
 * Copyright (C) the nginx-async authors
 *
 * What runs before a handler, and the handler: its plan.
 */

#ifndef _NGX_HTTP_ASYNC_DEPENDS_H_INCLUDED_
#define _NGX_HTTP_ASYNC_DEPENDS_H_INCLUDED_


#include <ngx_http_async_app.h>


/* On the coroutine: runs the plan of the request, with its function. */
async_rc_t ngx_http_async_depends(async_req_t *req);


/* ngx_http_async_depends_conf.c */

/* The directive async_depends; what outer blocks have of it comes first. */
char *ngx_http_async_depends_names(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_async_depends_merge(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *prev, ngx_http_async_loc_conf_t *conf);

/*
 * In the process that inspects an app: its functions are planned, and what each
 * needs of a route is told, a line each, that begins with a tab.
 */
ngx_int_t ngx_http_async_depends_inspect(const async_app_t *app, int out,
    ngx_pool_t *pool, u_char *error);

/* Such a line, about the function that was told last. */
ngx_int_t ngx_http_async_depends_told(ngx_conf_t *cf, ngx_http_async_app_t *app,
    u_char *line, u_char *end);

/* The names are known: whether all routes give what is needed; logs. */
ngx_int_t ngx_http_async_depends_check(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf);

/*
 * In a worker that has loaded its apps: plans of all that serves requests; what
 * cannot have one has no function any more.
 */
void ngx_http_async_depends_load(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf);


#endif /* _NGX_HTTP_ASYNC_DEPENDS_H_INCLUDED_ */
