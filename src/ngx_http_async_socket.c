
/*
 * Copyright (C) the nginx-async authors
 *
 * Sockets of apps, see ngx_async.h.
 */

#include <ngx_http_async_client.h>
#include <ngx_async_handle.h>


/* what is read at once for await_recv_until() */
#define NGX_HTTP_ASYNC_SOCKET_CHUNK  4096


struct async_socket_s {
    ngx_async_handle_t    handle;
    ngx_async_conn_t      conn;

    ngx_msec_t            recv_timeout;
    ngx_msec_t            send_timeout;

    /* what has been received and not been taken: from "start" to "end" */
    u_char               *buf;
    size_t                size;
    size_t                start;
    size_t                end;

    /* for those that are kept; len 0: it is not */
    ngx_str_t             key;
};


static async_rc_t ngx_http_async_socket_connect(ngx_async_task_t *t,
    async_socket_t *s, const char *address,
    const async_socket_options_t *options);
static async_rc_t ngx_http_async_socket_options(ngx_async_task_t *t,
    const async_socket_options_t *options);
static async_rc_t ngx_http_async_socket_key(ngx_async_task_t *t,
    async_socket_t *s, const char *address,
    const async_socket_options_t *options,
    ngx_http_async_client_conf_t *conf, ngx_resolver_t *resolver);
static async_rc_t ngx_http_async_socket_url(ngx_async_task_t *t,
    ngx_url_t *url, const char *address);
static async_rc_t ngx_http_async_socket_tls(ngx_async_task_t *t,
    async_socket_t *s, ngx_http_async_client_conf_t *conf,
    ngx_url_t *url, const char *name, ngx_msec_t timeout);
static async_rc_t ngx_http_async_socket_enter(ngx_async_task_t *t,
    const char *await, const char *site, async_socket_t *s,
    ngx_uint_t sends);
static async_rc_t ngx_http_async_socket_done(async_socket_t *s,
    async_rc_t rc);
static async_rc_t ngx_http_async_socket_room(ngx_async_task_t *t,
    async_socket_t *s, size_t size);
static async_rc_t ngx_http_async_socket_fill(ngx_async_task_t *t,
    async_socket_t *s);
static u_char *ngx_http_async_socket_find(async_socket_t *s, size_t seen,
    const char *delimiter, size_t len);
static size_t ngx_http_async_socket_take(async_socket_t *s, void *buf,
    size_t size);
static void ngx_http_async_socket_close(void *handle);


async_rc_t
await_connect_at(async_t *co, const char *site, const char *address,
    const async_socket_options_t *options, size_t size, async_socket_t **s)
{
    size_t                  len;
    async_rc_t              rc;
    async_socket_t         *socket;
    async_socket_options_t  full;

    *s = NULL;

    rc = ngx_async_enter(co, "await_connect", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_memzero(&full, sizeof(async_socket_options_t));

    if (options) {
        ngx_memcpy(&full, options,
                   ngx_min(size, sizeof(async_socket_options_t)));
    }

    rc = ngx_http_async_socket_options(co, &full);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (address == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "there is no address");
    }

    len = ngx_strlen(address) + 1;

    socket = ngx_async_handle(co, sizeof(async_socket_t) + len,
                              ngx_http_async_socket_close);
    if (socket == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    socket->conn.name = memcpy(socket + 1, address, len);

    rc = ngx_http_async_socket_connect(co, socket, address, &full);

    if (rc != ASYNC_OK) {
        ngx_http_async_socket_close(socket);
        return rc;
    }

    *s = socket;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_socket_options(ngx_async_task_t *t,
    const async_socket_options_t *options)
{
    ngx_uint_t         i;
    ngx_async_bound_t  bound;

    const int64_t  time[] = { options->connect_timeout, options->recv_timeout,
                              options->send_timeout };

    if (options->flags & ~ASYNC_SOCKET_TLS) {
        return ngx_async_set_error(t, ASYNC_ERROR, "await_connect() does not "
                                   "know the flags %ui",
                                   (ngx_uint_t) options->flags);
    }

    for (i = 0; i < sizeof(time) / sizeof(int64_t); i++) {
        if (!ngx_async_is_time(time[i])) {
            bound.what = "a timeout of await_connect";
            bound.site = t->site;
            bound.ms = time[i];

            return ngx_async_refuse_time(t, &bound);
        }
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_socket_connect(ngx_async_task_t *t, async_socket_t *s,
    const char *address, const async_socket_options_t *options)
{
    ngx_url_t                      url;
    async_rc_t                     rc;
    ngx_msec_t                     timeout;
    ngx_resolver_t                *resolver;
    ngx_http_async_client_conf_t  *conf, *tls;

    conf = ngx_http_async_client(t, &resolver, &timeout);

    timeout = options->connect_timeout ? (ngx_msec_t) options->connect_timeout
                                       : conf->connect_timeout;
    s->recv_timeout = options->recv_timeout
                      ? (ngx_msec_t) options->recv_timeout
                      : conf->read_timeout;
    s->send_timeout = options->send_timeout
                      ? (ngx_msec_t) options->send_timeout
                      : conf->send_timeout;

#if (NGX_SSL)
    tls = (options->flags & ASYNC_SOCKET_TLS) ? conf : NULL;
#else
    tls = NULL;

    if (options->flags & ASYNC_SOCKET_TLS) {
        return ngx_async_set_error(t, ASYNC_ERROR, "this nginx was built "
                                   "without TLS (--with-http_ssl_module)");
    }
#endif

    if (options->pool) {
        rc = ngx_http_async_socket_key(t, s, address, options, conf,
                                       resolver);

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (ngx_async_conn_take(&s->conn, &s->key) == NGX_OK) {
            return ASYNC_OK;
        }
    }

    rc = ngx_http_async_socket_url(t, &url, address);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_client_connect(t, &s->conn, &url, timeout);
    }

    if (rc == ASYNC_OK && tls) {
        rc = ngx_http_async_socket_tls(t, s, tls, &url, options->tls_name,
                                       timeout);
    }

    return rc;
}


/*
 * Whoever has the same key trusts in the same way, finds the same by a name,
 * and has agreed on the same.
 */

static async_rc_t
ngx_http_async_socket_key(ngx_async_task_t *t, async_socket_t *s,
    const char *address, const async_socket_options_t *options,
    ngx_http_async_client_conf_t *conf, ngx_resolver_t *resolver)
{
    int          verify = 0;
    void        *ssl = NULL;
    size_t       len;
    ngx_pool_t  *pool;
    const char  *name;

    name = options->tls_name ? options->tls_name : "";

    /* zeros part what comes from the app */

    len = 3 * (NGX_PTR_SIZE * 2 + 1) + sizeof("0") + ngx_strlen(address)
          + ngx_strlen(name) + ngx_strlen(options->pool) + 3;

    pool = ngx_async_task_pool(t);
    s->key.data = pool ? ngx_pnalloc(pool, len) : NULL;

    if (s->key.data == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

#if (NGX_SSL)
    if (options->flags & ASYNC_SOCKET_TLS) {
        ssl = conf->ssl;
        verify = (int) conf->ssl_verify;
    }
#endif

    s->key.len = ngx_sprintf(s->key.data, "%p,%p,%p,%d%Z%s%Z%s%Z%s",
                             conf->rules, resolver, ssl, verify, address, name,
                             options->pool)
                 - s->key.data;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_socket_url(ngx_async_task_t *t, ngx_url_t *url,
    const char *address)
{
    u_char      *p;
    ngx_pool_t  *pool;

    pool = ngx_async_task_pool(t);

    if (pool == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    ngx_memzero(url, sizeof(ngx_url_t));

    url->url.data = (u_char *) address;
    url->url.len = ngx_strlen(address);
    url->no_resolve = 1;

    if (ngx_strncmp(address, "unix:", 5) == 0 && address[5] != '/'
        && address[5] != '\0')
    {
        /* nginx is not in its prefix */

        p = ngx_pnalloc(pool, url->url.len + ngx_cycle->prefix.len);

        if (p == NULL) {
            return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
        }

        url->url.data = p;
        p = ngx_cpymem(p, "unix:", 5);
        p = ngx_cpymem(p, ngx_cycle->prefix.data, ngx_cycle->prefix.len);
        (void) ngx_cpymem(p, address + 5, url->url.len - 5);
        url->url.len += ngx_cycle->prefix.len;
    }

    if (ngx_parse_url(pool, url) != NGX_OK) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the address \"%s\": %s",
                                   address, url->err ? url->err : "no memory");
    }

    if (url->no_port && url->family != AF_UNIX) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the address \"%s\" has no "
                                   "port", address);
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_socket_tls(ngx_async_task_t *t, async_socket_t *s,
    ngx_http_async_client_conf_t *conf, ngx_url_t *url, const char *name,
    ngx_msec_t timeout)
{
#if (NGX_SSL)

    ngx_str_t  host;

    host = url->host;

    if (name) {
        host.data = (u_char *) name;
        host.len = ngx_strlen(name);

    } else if (host.len && host.data[0] == '[') {
        host.data++;
        host.len -= 2;
    }

    return ngx_async_conn_tls(t, &s->conn, conf->ssl, &host, conf->ssl_verify,
                              timeout);
#else

    return ASYNC_ERROR;

#endif
}


async_rc_t
await_recv_at(async_t *co, const char *site, async_socket_t *s, void *buf,
    size_t size, size_t *n)
{
    async_rc_t  rc;

    *n = 0;

    rc = ngx_http_async_socket_enter(co, "await_recv", site, s, 0);

    if (rc != ASYNC_OK) {
        return rc;
    }

    *n = ngx_http_async_socket_take(s, buf, size);

    if (*n || size == 0) {
        return ASYNC_OK;
    }

    rc = ngx_async_conn_recv(co, &s->conn, buf, size, s->recv_timeout, n);

    return ngx_http_async_socket_done(s, rc);
}


async_rc_t
await_recv_all_at(async_t *co, const char *site, async_socket_t *s, void *buf,
    size_t len)
{
    size_t      n;
    u_char     *p;
    async_rc_t  rc;

    rc = ngx_http_async_socket_enter(co, "await_recv_all", site, s, 0);

    if (rc != ASYNC_OK) {
        return rc;
    }

    n = ngx_http_async_socket_take(s, buf, len);

    for (p = (u_char *) buf + n, len -= n; len; p += n, len -= n) {

        rc = ngx_async_conn_recv(co, &s->conn, p, len, s->recv_timeout, &n);

        if (rc == ASYNC_OK && n == 0) {
            rc = ngx_async_set_error(co, ASYNC_CLOSED, "%s has closed, %uz "
                                     "bytes too early", s->conn.name, len);
        }

        if (rc != ASYNC_OK) {
            break;
        }
    }

    return ngx_http_async_socket_done(s, rc);
}


async_rc_t
await_recv_until_at(async_t *co, const char *site, async_socket_t *s,
    const char *delimiter, size_t max, async_str_t *text)
{
    size_t       len, seen;
    u_char      *found;
    async_rc_t   rc;

    text->data = NULL;
    text->len = 0;

    rc = ngx_http_async_socket_enter(co, "await_recv_until", site, s, 0);

    if (rc != ASYNC_OK) {
        return rc;
    }

    len = ngx_strlen(delimiter);

    if (len == 0) {
        return ngx_async_set_error(co, ASYNC_ERROR, "await_recv_until() needs "
                                   "a delimiter");
    }

    for (seen = 0; /* void */ ; /* void */ ) {

        found = ngx_http_async_socket_find(s, seen, delimiter, len);

        if (found && (size_t) (found - (s->buf + s->start)) <= max) {
            break;
        }

        if (found || (s->end - s->start >= len
                      && s->end - s->start - len >= max))
        {
            return ngx_http_async_socket_done(s, ngx_async_set_error(co,
                                       ASYNC_ERROR, "%s: no delimiter within "
                                       "%uz bytes", s->conn.name, max));
        }

        /* its beginning may have come */
        seen = s->end - s->start;
        seen -= ngx_min(seen, len - 1);

        rc = ngx_http_async_socket_fill(co, s);

        if (rc != ASYNC_OK) {
            return ngx_http_async_socket_done(s, rc);
        }
    }

    /* the delimiter makes room for the zero */
    *found = '\0';

    text->data = (char *) s->buf + s->start;
    text->len = found - (s->buf + s->start);

    s->start += text->len + len;

    return ASYNC_OK;
}


async_rc_t
await_send_all_at(async_t *co, const char *site, async_socket_t *s,
    const void *data, size_t len)
{
    async_rc_t  rc;

    rc = ngx_http_async_socket_enter(co, "await_send_all", site, s, 1);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_async_conn_send(co, &s->conn, data, len, s->send_timeout);

    return ngx_http_async_socket_done(s, rc);
}


void
async_socket_close(async_t *co, async_socket_t *s)
{
    ngx_async_check_task(co);

    ngx_http_async_socket_close(s);
}


void
async_socket_keep(async_t *co, async_socket_t *s)
{
    ngx_async_check_task(co);

    if (s->key.len && s->start == s->end && !s->conn.reads && !s->conn.writes)
    {
        ngx_async_conn_keep(&s->conn, &s->key);
    }

    ngx_http_async_socket_close(s);
}


int
async_socket_reused(async_t *co, async_socket_t *s)
{
    ngx_async_check_task(co);

    return s->conn.reused;
}


static async_rc_t
ngx_http_async_socket_enter(ngx_async_task_t *t, const char *await,
    const char *site, async_socket_t *s, ngx_uint_t sends)
{
    async_rc_t  rc;

    rc = ngx_async_enter(t, await, site);

    if (rc != ASYNC_OK) {
        return ngx_http_async_socket_done(s, rc);
    }

    if (s->conn.connection == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "%s() of a socket that is "
                                   "closed", await);
    }

    /* whoever is in the middle of a call waits: nothing else suspends there */

    if (sends ? s->conn.writes : s->conn.reads) {
        return ngx_async_set_error(t, ASYNC_BUSY, "another task %s %s",
                                   sends ? "sends to" : "receives from",
                                   s->conn.name);
    }

    return ASYNC_OK;
}


/* After a failure nobody knows what is still to come: it is not kept. */

static async_rc_t
ngx_http_async_socket_done(async_socket_t *s, async_rc_t rc)
{
    if (rc != ASYNC_OK) {
        s->key.len = 0;
    }

    return rc;
}


/* Where the delimiter stands in what has come; "seen" bytes do not have it. */

static u_char *
ngx_http_async_socket_find(async_socket_t *s, size_t seen,
    const char *delimiter, size_t len)
{
    if (s->buf == NULL) {
        return NULL;
    }

    return memmem(s->buf + s->start + seen, s->end - s->start - seen,
                  delimiter, len);
}


/* What has come already. */

static size_t
ngx_http_async_socket_take(async_socket_t *s, void *buf, size_t size)
{
    size_t  n;

    n = ngx_min(size, s->end - s->start);

    if (n) {
        ngx_memcpy(buf, s->buf + s->start, n);
        s->start += n;
    }

    return n;
}


/* Receives what there is, behind what there was. */

static async_rc_t
ngx_http_async_socket_fill(ngx_async_task_t *t, async_socket_t *s)
{
    size_t      n;
    async_rc_t  rc;

    rc = ngx_http_async_socket_room(t, s, NGX_HTTP_ASYNC_SOCKET_CHUNK);

    if (rc == ASYNC_OK) {
        rc = ngx_async_conn_recv(t, &s->conn, s->buf + s->end,
                                 s->size - s->end, s->recv_timeout, &n);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (n == 0) {
        return ngx_async_set_error(t, ASYNC_CLOSED, "%s has closed before the "
                                   "delimiter", s->conn.name);
    }

    s->end += n;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_socket_room(ngx_async_task_t *t, async_socket_t *s, size_t room)
{
    size_t   size;
    u_char  *buf;

    if (s->buf && s->start) {
        ngx_memmove(s->buf, s->buf + s->start, s->end - s->start);
        s->end -= s->start;
        s->start = 0;
    }

    if (s->size - s->end >= room) {
        return ASYNC_OK;
    }

    size = ngx_max(2 * s->size, s->end + room);
    buf = realloc(s->buf, size);

    if (buf == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    s->buf = buf;
    s->size = size;

    return ASYNC_OK;
}


static void
ngx_http_async_socket_close(void *handle)
{
    async_socket_t  *s = handle;

    ngx_async_conn_close(&s->conn);

    free(s->buf);
    s->buf = NULL;
    s->size = 0;
    s->start = 0;
    s->end = 0;
}
