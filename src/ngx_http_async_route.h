
/*
 * Copyright (C) the nginx-async authors
 *
 * Routes: the directives async_route and async_handler, and the choice of a
 * handler for a request.
 */

#ifndef _NGX_HTTP_ASYNC_ROUTE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_ROUTE_H_INCLUDED_


#include <ngx_http_async_app.h>
#include <ngx_http_async_ws.h>


/*
 * Every method, also those that nginx does not know.  HEAD follows GET, so
 * that the same route takes both where "*" and "GET" stand beside each other.
 */
#define NGX_HTTP_ASYNC_ANY_METHOD                                            \
    (~(ngx_uint_t) (NGX_HTTP_HEAD|NGX_HTTP_ASYNC_WS))


/* As declared, for who describes them: ngx_http_async_openapi.c */

typedef struct {
    ngx_uint_t                  methods;
    ngx_str_t                   method;       /* as written; empty: _handler */
    ngx_str_t                   pattern;      /* no data: async_handler */
    ngx_http_async_ref_t       *ref;
    ngx_http_async_loc_conf_t  *conf;
    ngx_http_core_loc_conf_t   *location;
} ngx_http_async_route_t;


typedef struct {
    ngx_array_t                 routes;       /* of ngx_http_async_route_t */
    ngx_str_t                   openapi;      /* the location of its document */
} ngx_http_async_srv_conf_t;


/* ngx_http_async_route_stats.c: rows for the status; in a worker */
ngx_int_t ngx_http_async_route_stats(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf);
void ngx_http_async_route_init(ngx_http_async_main_conf_t *mcf);

/* what fits no route is counted here */
extern ngx_async_stats_t  *ngx_http_async_no_route;


void *ngx_http_async_route_create_conf(ngx_conf_t *cf);

char *ngx_http_async_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_async_route_all(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Whether no other directive of the location answers its requests, so far. */
char *ngx_http_async_route_beside(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *lcf);

/*
 * Sets *ref to the handler, of NGX_HTTP_ASYNC_KIND_WS if the request asks for
 * WebSocket, and match->params to its parameters.  Without one *ref is NULL,
 * the request has been answered, and this is the result of that.
 */
ngx_int_t ngx_http_async_route_find(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_ref_t **ref,
    ngx_http_async_route_match_t *match);

/* The parameters for a handler: copies, zero-terminated; NULL: no memory. */
ngx_http_async_route_param_t *ngx_http_async_route_params(ngx_pool_t *pool,
    ngx_http_async_route_match_t *match);


#endif /* _NGX_HTTP_ASYNC_ROUTE_H_INCLUDED_ */
