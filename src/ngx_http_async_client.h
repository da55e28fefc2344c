
/*
 * Copyright (C) the nginx-async authors
 *
 * How others are reached: timeouts, TLS, kept connections, names; the
 * directives async_fetch_... and "resolver" of a location, or of the http
 * block for tasks without a request.
 */

#ifndef _NGX_HTTP_ASYNC_CLIENT_H_INCLUDED_
#define _NGX_HTTP_ASYNC_CLIENT_H_INCLUDED_


#include <ngx_http_async_request.h>
#include <ngx_async_conn.h>


/* addresses of a name that are tried */
#define NGX_HTTP_ASYNC_ADDRS  16


typedef union {
    struct sockaddr             sockaddr;
    struct sockaddr_in          sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6         sin6;
#endif
} ngx_http_async_addr_t;


typedef struct {
    ngx_uint_t                  n;
    ngx_http_async_addr_t       addr[NGX_HTTP_ASYNC_ADDRS];
} ngx_http_async_names_t;


typedef struct {
    ngx_msec_t                  connect_timeout;
    ngx_msec_t                  read_timeout;
    ngx_msec_t                  send_timeout;

    /* of the responses that are fetched */
    size_t                      max_head;
    size_t                      max_body;

    /* of ngx_http_async_client_rule_t, in their order; NULL: all may be
       reached */
    ngx_array_t                *rules;

#if (NGX_SSL)
    ngx_flag_t                  ssl_verify;
    ngx_str_t                   ssl_trusted_certificate;
    ngx_str_t                   ssl_certificate;
    ngx_str_t                   ssl_certificate_key;
    ngx_uint_t                  ssl_protocols;
    ngx_str_t                   ssl_ciphers;
    ngx_ssl_t                  *ssl;
#endif
} ngx_http_async_client_conf_t;


/* async_fetch_allow, async_fetch_deny */

typedef struct {
    ngx_cidr_t                  cidr;
    ngx_uint_t                  deny;
} ngx_http_async_client_rule_t;


char *ngx_http_async_client_rule(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The first rule that fits counts. */
ngx_uint_t ngx_http_async_client_denied(ngx_http_async_client_conf_t *conf,
    struct sockaddr *sockaddr);

/* The settings that hold for the task; *resolver: may be NULL. */
ngx_http_async_client_conf_t *ngx_http_async_client(ngx_async_task_t *t,
    ngx_resolver_t **resolver, ngx_msec_t *resolver_timeout);

/*
 * Suspends until there is a connection to url->host and url->port, by whichever
 * of its addresses answers first in their order: those of the text itself, of
 * /etc/hosts, of nginx's resolver.
 *
 * ASYNC_ERROR: the name is unknown, there is no resolver, or every address is
 * denied; as ngx_async_conn_open().
 */
async_rc_t ngx_http_async_client_connect(ngx_async_task_t *t,
    ngx_async_conn_t *c, ngx_url_t *url, ngx_msec_t timeout);

/* The same to a host, without brackets; port 0: the path of a unix socket. */
async_rc_t ngx_http_async_client_reach(ngx_async_task_t *t,
    ngx_async_conn_t *c, ngx_str_t *host, in_port_t port, ngx_msec_t timeout);

/* Suspends until the addresses of a name are known; the port is zero. */
async_rc_t ngx_http_async_names(ngx_async_task_t *t, ngx_str_t *name,
    ngx_msec_t timeout, ngx_http_async_names_t *names);

/* Notes that async_fetch_deny forbids it. */
async_rc_t ngx_http_async_client_deny(ngx_async_task_t *t,
    ngx_async_conn_t *c);

void ngx_http_async_client_init(ngx_cycle_t *cycle);

/* ngx_http_async_fetch.c: figures for the status; in a worker */
extern const ngx_async_stats_family_t  ngx_http_async_fetch_family;
ngx_int_t ngx_http_async_fetch_init(ngx_async_stats_set_t *stats);

/* Of the http block, for tasks without a request. */
ngx_http_conf_ctx_t *ngx_http_async_client_http(void);

extern ngx_module_t  ngx_http_async_client_module;


#endif /* _NGX_HTTP_ASYNC_CLIENT_H_INCLUDED_ */
