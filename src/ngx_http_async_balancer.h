
/*
 * Copyright (C) the nginx-async authors
 *
 * The servers of an upstream {} block of nginx.conf, as nginx chooses them.
 * Balancers take a request: a copy of that of the task, so that theirs is left
 * as it is, or, in tasks without one, a request of our own.  This is the only
 * file that makes one.
 */

#ifndef _NGX_HTTP_ASYNC_BALANCER_H_INCLUDED_
#define _NGX_HTTP_ASYNC_BALANCER_H_INCLUDED_


#include <ngx_http_async_client.h>


typedef struct ngx_http_async_balancer_s  ngx_http_async_balancer_t;


/* The block of this name; NULL: there is none. */
ngx_http_upstream_srv_conf_t *ngx_http_async_upstream(ngx_str_t *name);

/* NULL: no memory, or the balancer refuses; logged. */
ngx_http_async_balancer_t *ngx_http_async_balancer(ngx_async_task_t *t,
    ngx_http_upstream_srv_conf_t *us);

/*
 * The next server.  NGX_OK: its address is in "peer"; NGX_DONE: so is a
 * connection that nginx has kept, ours from now on; else there is none.  Each
 * of the two is to be followed by _done().
 */
ngx_int_t ngx_http_async_balancer_next(ngx_http_async_balancer_t *b);

/*
 * What has come of that server: NGX_PEER_FAILED, or 0.  peer->connection, if
 * there is one, goes back to be kept by nginx; if it is not kept, it is closed.
 */
void ngx_http_async_balancer_done(ngx_http_async_balancer_t *b,
    ngx_uint_t state);

void ngx_http_async_balancer_free(ngx_http_async_balancer_t *b);

ngx_peer_connection_t *ngx_http_async_balancer_peer(
    ngx_http_async_balancer_t *b);


#endif /* _NGX_HTTP_ASYNC_BALANCER_H_INCLUDED_ */
