
/*
 * Copyright (C) the nginx-async authors
 *
 * Routes: the directives async_route and async_handler, and the choice of a
 * handler for a request.
 */

#ifndef _NGX_HTTP_ASYNC_ROUTE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_ROUTE_H_INCLUDED_


#include <ngx_http_async_app.h>


char *ngx_http_async_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_async_route_all(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Sets *ref to the handler, and match->params to its parameters.  Without one
 * *ref is NULL, the request has been answered, and this is the result of that.
 */
ngx_int_t ngx_http_async_route_find(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_ref_t **ref,
    ngx_http_async_route_match_t *match);

/* The parameters for a handler: copies, zero-terminated; NULL: no memory. */
ngx_http_async_route_param_t *ngx_http_async_route_params(ngx_pool_t *pool,
    ngx_http_async_route_match_t *match);


#endif /* _NGX_HTTP_ASYNC_ROUTE_H_INCLUDED_ */
