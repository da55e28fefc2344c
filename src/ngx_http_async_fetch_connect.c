
/*
 * Copyright (C) the nginx-async authors
 *
 * The connection of a fetch: one that is kept, a server of an upstream {}, an
 * address of a name, through a proxy, with TLS.
 */

#include <ngx_http_async_fetch.h>


static async_rc_t ngx_http_async_fetch_any(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_direct(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_reach(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, ngx_http_async_url_t *url);
static async_rc_t ngx_http_async_fetch_tunnel(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_balanced(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_peer(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, ngx_int_t got);
static void ngx_http_async_fetch_set_aside(ngx_http_async_fetch_t *f,
    ngx_connection_t *c);
static void ngx_http_async_fetch_aside(ngx_event_t *ev);
static async_rc_t ngx_http_async_fetch_tls(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static const char *ngx_http_async_fetch_tls_name(ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_key(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, ngx_str_t *peer);
static void ngx_http_async_fetch_leave(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, async_rc_t rc, ngx_uint_t keep);


async_rc_t
ngx_http_async_fetch_connect(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    async_rc_t  rc;

    rc = ngx_http_async_fetch_any(t, f);

    if (rc == ASYNC_OK) {
        ngx_async_stats_count(ngx_http_async_fetch_stats,
                              f->x.conn.reused ? NGX_HTTP_ASYNC_FETCH_REUSED
                                               : NGX_HTTP_ASYNC_FETCH_OPENED);
    }

    return rc;
}


static async_rc_t
ngx_http_async_fetch_any(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    ngx_http_upstream_srv_conf_t  *us;

    ngx_memzero(&f->x.conn, sizeof(ngx_async_conn_t));

    f->x.conn.name = (char *) f->url.authority.data;
    f->x.conn.until = f->until;

    f->key.len = 0;

    if (f->proxy.host.len || f->url.local) {
        return ngx_http_async_fetch_direct(t, f);
    }

    us = ngx_http_async_upstream(&f->url.host);

    if (us == NULL) {
        return ngx_http_async_fetch_direct(t, f);
    }

    if (f->url.explicit_port) {
        return ngx_async_because(t, ASYNC_CAUSE_URL,
                                 ngx_async_set_error(t, ASYNC_ERROR, "the "
                                           "upstream \"%V\" may not have a "
                                           "port", &us->host));
    }

    f->balancer = ngx_http_async_balancer(t, us);

    if (f->balancer == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the balancer of \"%V\" "
                                   "has failed", &us->host);
    }

    return ngx_http_async_fetch_balanced(t, f);
}


static async_rc_t
ngx_http_async_fetch_direct(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    async_rc_t  rc;

    rc = ngx_http_async_fetch_key(t, f, NULL);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (!f->fresh && ngx_async_conn_take(&f->x.conn, &f->key) == NGX_OK) {
        return ASYNC_OK;
    }

    if (f->proxy.host.len == 0) {
        rc = ngx_http_async_fetch_reach(t, f, &f->url);

    } else {
        rc = ngx_http_async_fetch_reach(t, f, &f->proxy);

        if (rc == ASYNC_OK && f->url.tls) {
            rc = ngx_http_async_fetch_tunnel(t, f);
        }
    }

    if (rc == ASYNC_OK && f->url.tls) {
        rc = ngx_http_async_fetch_tls(t, f);
    }

    return rc;
}


static async_rc_t
ngx_http_async_fetch_reach(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    ngx_http_async_url_t *url)
{
    ngx_str_t  host;

    host = url->host;

    if (url->local
        && ngx_get_full_name(f->pool, (ngx_str_t *) &ngx_cycle->prefix, &host)
           != NGX_OK)
    {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    return ngx_http_async_client_reach(t, &f->x.conn, &host, url->port,
                                       f->connect_timeout);
}


/* RFC 9110, 9.3.6 */

static async_rc_t
ngx_http_async_fetch_tunnel(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    u_char      *p;
    size_t       len;
    ngx_str_t    basic;
    async_rc_t   rc;
    const char  *open, *shut;

    ngx_str_null(&basic);

    if (f->proxy.userinfo.len) {
        basic = ngx_http_async_fetch_basic(f->pool, &f->proxy.userinfo);
    }

    len = sizeof("CONNECT []:65535 HTTP/1.1" CRLF "Host: []:65535" CRLF
                 "Proxy-Authorization: " CRLF CRLF)
          + 2 * f->url.host.len + basic.len;

    p = ngx_pnalloc(f->pool, len);

    if (p == NULL || (f->proxy.userinfo.len && basic.data == NULL)) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    open = f->url.ipv6 ? "[" : "";
    shut = f->url.ipv6 ? "]" : "";

    len = ngx_sprintf(p, "CONNECT %s%V%s:%ui HTTP/1.1" CRLF
                      "Host: %s%V%s:%ui" CRLF "%s%V%s" CRLF,
                      open, &f->url.host, shut, f->url.port,
                      open, &f->url.host, shut, f->url.port,
                      basic.len ? "Proxy-Authorization: " : "", &basic,
                      basic.len ? CRLF : "")
          - p;

    f->x.tunnel = 1;
    f->x.answered = 0;
    f->x.interim = 0;

    rc = ngx_async_conn_send(t, &f->x.conn, p, len, f->x.send_timeout);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_exchange_head(t, &f->x, f->res, 0);
    }

    f->x.tunnel = 0;

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (f->res->status >= 300) {
        return ngx_async_because(t, ASYNC_CAUSE_CONNECT,
                                 ngx_async_set_error(t, ASYNC_ERROR,
                                           "connect to %s: the proxy answered "
                                           "%ui", f->x.conn.name,
                                           f->res->status));
    }

    /* who speaks before TLS does is not the one that was asked for */

    if (ngx_http_async_exchange_surplus(&f->x)) {
        return ngx_async_because(t, ASYNC_CAUSE_PROTOCOL,
                                 ngx_async_set_error(t, ASYNC_ERROR,
                                           "connect to %s: plain text before "
                                           "TLS", f->x.conn.name));
    }

    ngx_http_async_exchange_end(&f->x);

    return ASYNC_OK;
}


/* As nginx's proxy does when there is no connection: to the next server. */

static async_rc_t
ngx_http_async_fetch_balanced(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    ngx_int_t       got;
    async_rc_t      rc;
    ngx_msec_int_t  left;

    for (rc = ASYNC_OK; /* void */ ; /* void */ ) {

        got = ngx_http_async_balancer_next(f->balancer);

        if (got != NGX_OK && got != NGX_DONE) {

            if (rc != ASYNC_OK) {
                /* the cause is that of the last server */
                break;
            }

            rc = ngx_async_set_error(t, ASYNC_ERROR, "connect to %s: no server "
                                     "of it is alive", f->x.conn.name);

            (void) ngx_async_because(t, ASYNC_CAUSE_CONNECT, rc);
            break;
        }

        rc = ngx_http_async_fetch_peer(t, f, got);

        if (rc == ASYNC_OK) {
            return ASYNC_OK;
        }

        ngx_http_async_fetch_leave(t, f, rc, 0);

        /* without time the next one would be late, and be blamed for that */

        left = f->until ? (ngx_msec_int_t) (f->until - ngx_current_msec) : 1;

        if (rc == ASYNC_CANCELLED || t->reason != NGX_ASYNC_KEEP || left <= 0) {
            break;
        }
    }

    ngx_http_async_balancer_free(f->balancer);
    f->balancer = NULL;

    return rc;
}


static async_rc_t
ngx_http_async_fetch_peer(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    ngx_int_t got)
{
    async_rc_t              rc;
    ngx_async_conn_t       *conn;
    ngx_connection_t       *c;
    ngx_peer_connection_t  *peer;

    conn = &f->x.conn;
    conn->reused = 0;

    peer = ngx_http_async_balancer_peer(f->balancer);

    if (got == NGX_DONE) {
        c = peer->connection;
        peer->connection = NULL;

        ngx_http_async_fetch_set_aside(f, c);
    }

    if (ngx_http_async_client_denied(f->conf, peer->sockaddr)) {
        return ngx_http_async_client_deny(t, conn);
    }

    if (f->aside && !f->url.tls && !f->fresh
#if (NGX_SSL)
        && f->aside->ssl == NULL
#endif
        && ngx_async_conn_is_quiet(f->aside))
    {
        ngx_async_conn_adopt(conn, f->aside);
        conn->reused = 1;
        f->aside = NULL;

        return ASYNC_OK;
    }

    if (f->url.tls) {
        rc = ngx_http_async_fetch_key(t, f, peer->name);

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (!f->fresh && ngx_async_conn_take(conn, &f->key) == NGX_OK) {
            return ASYNC_OK;
        }
    }

    rc = ngx_async_conn_open(t, conn, peer->sockaddr, peer->socklen,
                             f->connect_timeout);

    if (rc == ASYNC_OK && f->url.tls) {
        rc = ngx_http_async_fetch_tls(t, f);
    }

    return rc;
}


/*
 * What nginx has kept may be of another policy: TLS, or not, or verified in
 * another way.  It goes back when the server is left.
 */

static void
ngx_http_async_fetch_set_aside(ngx_http_async_fetch_t *f, ngx_connection_t *c)
{
    c->data = NULL;
    c->read->handler = ngx_http_async_fetch_aside;
    c->write->handler = ngx_http_async_fetch_aside;

    f->aside = c;
}


static void
ngx_http_async_fetch_aside(ngx_event_t *ev)
{
    /* nginx looks at it when it is kept again */
}


static async_rc_t
ngx_http_async_fetch_tls(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
#if (NGX_SSL)

    ngx_str_t    name;
    const char  *given;

    given = ngx_http_async_fetch_tls_name(f);

    if (given) {
        name.data = (u_char *) given;
        name.len = ngx_strlen(given);

    } else {
        name = f->url.host;
    }

    return ngx_async_conn_tls(t, &f->x.conn, f->conf->ssl, &name,
                              f->conf->ssl_verify, f->connect_timeout);

#else

    return ngx_async_because(t, ASYNC_CAUSE_TLS,
                             ngx_async_set_error(t, ASYNC_ERROR, "this nginx "
                                       "was built without TLS "
                                       "(--with-http_ssl_module)"));

#endif
}


/* The one that is given, but not where a redirect leads to another host. */

static const char *
ngx_http_async_fetch_tls_name(ngx_http_async_fetch_t *f)
{
    return (f->url.host.len == f->named.len
            && ngx_memcmp(f->url.host.data, f->named.data, f->named.len) == 0)
           ? f->fetch.tls_name : NULL;
}


/*
 * Whoever has the same key trusts in the same way, finds the same by a name,
 * and goes the same way.
 */

static async_rc_t
ngx_http_async_fetch_key(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    ngx_str_t *peer)
{
    u_char      *p;
    size_t       len;
    uint16_t     number[3];
    ngx_str_t    name, none = ngx_null_string;
    ngx_uint_t   i, plain;
    const void  *of[3];
    const char  *given;
    ngx_str_t   *part[5];

    of[0] = f->conf->rules;
    of[1] = f->resolver;
    of[2] = NULL;
    number[2] = 0;

#if (NGX_SSL)
    if (f->url.tls) {
        /* locations that differ in this alone have the same "ssl" */
        of[2] = f->conf->ssl;
        number[2] = (uint16_t) f->conf->ssl_verify;
    }
#endif

    /* a proxy that is asked for plain pages has them of everybody */

    plain = f->proxy.host.len && !f->url.tls;

    number[0] = plain ? 0 : f->url.port;
    number[1] = f->proxy.port;

    given = ngx_http_async_fetch_tls_name(f);

    name.data = (u_char *) (given ? given : "");
    name.len = ngx_strlen(name.data);

    part[0] = plain ? &none : &f->url.host;
    part[1] = &name;
    part[2] = &f->proxy.host;
    part[3] = &f->proxy.userinfo;
    part[4] = peer ? peer : &none;

    len = sizeof(of) + sizeof(number);

    for (i = 0; i < 5; i++) {
        len += part[i]->len + 1;
    }

    p = ngx_pnalloc(f->pool, len);
    if (p == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    f->key.data = p;

    p = ngx_cpymem(p, of, sizeof(of));
    p = ngx_cpymem(p, number, sizeof(number));

    for (i = 0; i < 5; i++) {
        p = ngx_cpymem(p, part[i]->data, part[i]->len);
        *p++ = '\0';
    }

    f->key.len = p - f->key.data;

    return ASYNC_OK;
}


void
ngx_http_async_fetch_release(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    async_rc_t rc, ngx_uint_t keep)
{
    ngx_http_async_exchange_end(&f->x);
    ngx_http_async_inflate_end(&f->inflate);

    if (f->balancer) {
        ngx_http_async_fetch_leave(t, f, rc, keep);
        ngx_http_async_balancer_free(f->balancer);
        f->balancer = NULL;
        return;
    }

    if (keep && f->key.len) {
        ngx_async_conn_keep(&f->x.conn, &f->key);
    }

    ngx_async_conn_close(&f->x.conn);
}


/* Leaves a server of the balancer. */

static void
ngx_http_async_fetch_leave(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    async_rc_t rc, ngx_uint_t keep)
{
    ngx_uint_t              state;
    ngx_async_conn_t       *conn;
    ngx_peer_connection_t  *peer;

    conn = &f->x.conn;
    peer = ngx_http_async_balancer_peer(f->balancer);

    /* what is the server's fault */

    state = (t && rc != ASYNC_OK && rc != ASYNC_CANCELLED
             && t->reason == NGX_ASYNC_KEEP && !f->blameless
             && (t->cause == ASYNC_CAUSE_CONNECT || t->cause == ASYNC_CAUSE_TLS
                 || t->cause == ASYNC_CAUSE_RESET
                 || t->cause == ASYNC_CAUSE_TIMEOUT
                 || t->cause == ASYNC_CAUSE_PROTOCOL))
            ? NGX_PEER_FAILED : 0;

    if (f->aside) {
        peer->connection = f->aside;
        f->aside = NULL;

    } else if (keep && !f->url.tls && conn->connection) {
        peer->connection = conn->connection;
        peer->connection->log_error = peer->log_error;
        peer->connection->requests++;
        conn->connection = NULL;
    }

    if (keep && f->url.tls) {
        ngx_async_conn_keep(conn, &f->key);
    }

    ngx_async_conn_close(conn);

    ngx_http_async_balancer_done(f->balancer, state);
}
