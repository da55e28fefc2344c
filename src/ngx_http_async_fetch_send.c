
/*
 * Copyright (C) the nginx-async authors
 *
 * The request of a fetch: its text, and what follows.  One that is answered
 * before all of it has been sent is sent no further.
 */

#include <ngx_http_async_fetch.h>
#include <ngx_async_meter.h>


/* a body that goes with the head, and a piece of a source */
#define NGX_HTTP_ASYNC_FETCH_SMALL   4096
#define NGX_HTTP_ASYNC_FETCH_PIECE   16384

/* the size of a chunk as text, before and behind it */
#define NGX_HTTP_ASYNC_FETCH_BEFORE  (sizeof("ffffffff" CRLF) - 1)
#define NGX_HTTP_ASYNC_FETCH_BEHIND  (sizeof(CRLF) - 1)


/* what stands in the head besides names and values that vary */
#define NGX_HTTP_ASYNC_FETCH_FIXED                                           \
    (sizeof("  HTTP/1.1" CRLF "http://" "Host: " CRLF "User-Agent: " CRLF    \
            "nginx-async/" ASYNC_VERSION "Accept: */*" CRLF                  \
            "Accept-Encoding: gzip" CRLF "Authorization: " CRLF              \
            "Proxy-Authorization: " CRLF "Content-Type: " CRLF               \
            "traceparent: " CRLF "tracestate: " CRLF                         \
            "Transfer-Encoding: chunked" CRLF CRLF) + NGX_OFF_T_LEN)


typedef struct {
    u_char                 *p;
} ngx_http_async_fetch_text_t;


static size_t ngx_http_async_fetch_size(ngx_http_async_fetch_t *f);
static void ngx_http_async_fetch_head(ngx_http_async_fetch_t *f,
    ngx_http_async_fetch_text_t *text, ngx_str_t *basic,
    ngx_str_t *proxy_basic);
static void ngx_http_async_fetch_own(ngx_http_async_fetch_t *f,
    ngx_http_async_fetch_text_t *text);
static void ngx_http_async_fetch_trace_lines(ngx_http_async_fetch_t *f,
    ngx_http_async_fetch_text_t *text);
static void ngx_http_async_fetch_length(ngx_http_async_fetch_t *f,
    ngx_http_async_fetch_text_t *text);
static void ngx_http_async_fetch_line(ngx_http_async_fetch_text_t *text,
    const char *name, const void *value, size_t len);
static void ngx_http_async_fetch_write(ngx_http_async_fetch_text_t *text,
    const void *data, size_t len);
static const char *ngx_http_async_fetch_given(ngx_http_async_fetch_t *f,
    const char *name);
static ngx_uint_t ngx_http_async_fetch_passes(ngx_http_async_fetch_t *f,
    const char *name);
static ngx_uint_t ngx_http_async_fetch_is(const char *a, const char *b);
static async_rc_t ngx_http_async_fetch_source(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_pieces(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, u_char *buf);
static async_rc_t ngx_http_async_fetch_give(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, u_char *data, size_t *n);
static async_rc_t ngx_http_async_fetch_put(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, const void *data, size_t len);


async_rc_t
ngx_http_async_fetch_send(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    size_t                        len, body;
    u_char                       *start;
    ngx_str_t                     basic, proxy;
    async_rc_t                    rc;
    ngx_http_async_fetch_text_t   text;

    ngx_str_null(&basic);
    ngx_str_null(&proxy);

    if (f->url.userinfo.len && !ngx_http_async_fetch_given(f, "Authorization"))
    {
        basic = ngx_http_async_fetch_basic(f->pool, &f->url.userinfo);
    }

    if (f->proxy.userinfo.len && !f->url.tls) {
        proxy = ngx_http_async_fetch_basic(f->pool, &f->proxy.userinfo);
    }

    body = f->bodyless ? 0 : f->fetch.body.len;

    len = NGX_HTTP_ASYNC_FETCH_FIXED + basic.len + proxy.len
          + ngx_http_async_fetch_size(f);

    start = ngx_pnalloc(f->pool, len);
    if (start == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    text.p = start;

    ngx_http_async_fetch_head(f, &text, &basic, &proxy);

    if (body <= NGX_HTTP_ASYNC_FETCH_SMALL) {
        ngx_http_async_fetch_write(&text, f->fetch.body.data, body);
        body = 0;
    }

    f->early = 0;
    f->x.answered = 0;
    f->x.interim = 0;
    f->x.state = NGX_HTTP_ASYNC_EXCHANGE_HEAD;
    f->x.head = (ngx_strcmp(f->method, "HEAD") == 0);
    f->x.conn.listens = 0;

    rc = ngx_async_conn_send(t, &f->x.conn, start, text.p - start,
                             f->x.send_timeout);

    f->x.conn.listens = 1;

    if (rc == ASYNC_OK && body) {
        rc = ngx_http_async_fetch_put(t, f, f->fetch.body.data, body);
    }

    if (rc == ASYNC_OK && f->fetch.source && !f->bodyless) {
        rc = ngx_http_async_fetch_source(t, f);
    }

    f->x.conn.listens = 0;

    return rc;
}


/* Of what varies: room for it, and for a small body. */

static size_t
ngx_http_async_fetch_size(ngx_http_async_fetch_t *f)
{
    size_t              len;
    const char *const  *h;

    len = ngx_strlen(f->method) + 2 * f->url.authority.len
          + f->url.target.len + (f->type ? ngx_strlen(f->type) : 0)
          + f->traceparent.len + f->tracestate.len;

    if (f->fetch.headers) {
        for (h = f->fetch.headers; *h; h += 2) {
            if (h[1]) {
                len += ngx_strlen(h[0]) + ngx_strlen(h[1])
                       + sizeof(": " CRLF) - 1;
            }
        }
    }

    if (!f->bodyless && f->fetch.body.len <= NGX_HTTP_ASYNC_FETCH_SMALL) {
        len += f->fetch.body.len;
    }

    return len;
}


static void
ngx_http_async_fetch_head(ngx_http_async_fetch_t *f,
    ngx_http_async_fetch_text_t *text, ngx_str_t *basic, ngx_str_t *proxy_basic)
{
    ngx_http_async_fetch_write(text, f->method, ngx_strlen(f->method));
    ngx_http_async_fetch_write(text, " ", 1);

    if (f->proxy.host.len && !f->url.tls) {
        /* the absolute form (RFC 9112, 3.2.2) */
        ngx_http_async_fetch_write(text, "http://", 7);
        ngx_http_async_fetch_write(text, f->url.authority.data,
                                   f->url.authority.len);
    }

    ngx_http_async_fetch_write(text, f->url.target.data, f->url.target.len);
    ngx_http_async_fetch_write(text, " HTTP/1.1" CRLF,
                               sizeof(" HTTP/1.1" CRLF) - 1);

    if (!ngx_http_async_fetch_given(f, "Host")) {
        ngx_http_async_fetch_line(text, "Host", f->url.authority.data,
                                  f->url.authority.len);
    }

    ngx_http_async_fetch_own(f, text);

    if (!ngx_http_async_fetch_given(f, "User-Agent")) {
        ngx_http_async_fetch_line(text, "User-Agent",
                                  "nginx-async/" ASYNC_VERSION,
                                  sizeof("nginx-async/" ASYNC_VERSION) - 1);
    }

    if (!ngx_http_async_fetch_given(f, "Accept")) {
        ngx_http_async_fetch_line(text, "Accept", "*/*", 3);
    }

    if ((f->fetch.flags & ASYNC_FETCH_DECODE)
        && !ngx_http_async_fetch_given(f, "Accept-Encoding"))
    {
        ngx_http_async_fetch_line(text, "Accept-Encoding", "gzip", 4);
    }

    if (basic->len) {
        ngx_http_async_fetch_line(text, "Authorization", basic->data,
                                  basic->len);
    }

    if (proxy_basic->len) {
        ngx_http_async_fetch_line(text, "Proxy-Authorization",
                                  proxy_basic->data, proxy_basic->len);
    }

    ngx_http_async_fetch_trace_lines(f, text);
    ngx_http_async_fetch_length(f, text);

    ngx_http_async_fetch_write(text, CRLF, 2);
}


/* the fields of the caller */

static void
ngx_http_async_fetch_own(ngx_http_async_fetch_t *f,
    ngx_http_async_fetch_text_t *text)
{
    const char *const  *h;

    if (f->fetch.headers == NULL) {
        return;
    }

    for (h = f->fetch.headers; *h; h += 2) {
        if (h[1] && ngx_http_async_fetch_passes(f, h[0])) {
            ngx_http_async_fetch_line(text, h[0], h[1], ngx_strlen(h[1]));
        }
    }
}


/* A caller who gives one of them traces by himself. */

static void
ngx_http_async_fetch_trace_lines(ngx_http_async_fetch_t *f,
    ngx_http_async_fetch_text_t *text)
{
    if (f->traceparent.len == 0
        || ngx_http_async_fetch_given(f, "traceparent")
        || ngx_http_async_fetch_given(f, "tracestate"))
    {
        return;
    }

    ngx_http_async_fetch_line(text, "traceparent", f->traceparent.data,
                              f->traceparent.len);

    if (f->tracestate.len) {
        ngx_http_async_fetch_line(text, "tracestate", f->tracestate.data,
                                  f->tracestate.len);
    }
}


static void
ngx_http_async_fetch_length(ngx_http_async_fetch_t *f,
    ngx_http_async_fetch_text_t *text)
{
    u_char  len[NGX_OFF_T_LEN];
    off_t   n;

    if (f->bodyless) {
        return;
    }

    if (f->type && !ngx_http_async_fetch_given(f, "Content-Type")) {
        ngx_http_async_fetch_line(text, "Content-Type", f->type,
                                  ngx_strlen(f->type));
    }

    if (f->fetch.source && f->fetch.length == 0) {
        ngx_http_async_fetch_line(text, "Transfer-Encoding", "chunked", 7);
        return;
    }

    n = f->fetch.source ? f->fetch.length : (off_t) f->fetch.body.len;

    /* RFC 9110, 8.6: who means to send something says that there is nothing */

    if (n || f->fetch.body.data || ngx_strcmp(f->method, "POST") == 0
        || ngx_strcmp(f->method, "PUT") == 0
        || ngx_strcmp(f->method, "PATCH") == 0)
    {
        ngx_http_async_fetch_line(text, "Content-Length", len,
                                  ngx_sprintf(len, "%O", n) - len);
    }
}


static void
ngx_http_async_fetch_line(ngx_http_async_fetch_text_t *text, const char *name,
    const void *value, size_t len)
{
    ngx_http_async_fetch_write(text, name, ngx_strlen(name));
    ngx_http_async_fetch_write(text, ": ", 2);
    ngx_http_async_fetch_write(text, value, len);
    ngx_http_async_fetch_write(text, CRLF, 2);
}


static void
ngx_http_async_fetch_write(ngx_http_async_fetch_text_t *text, const void *data,
    size_t len)
{
    if (len) {
        text->p = ngx_cpymem(text->p, data, len);
    }
}


/* The value that the caller gives for a field, and that is sent. */

static const char *
ngx_http_async_fetch_given(ngx_http_async_fetch_t *f, const char *name)
{
    const char *const  *h;

    if (f->fetch.headers) {
        for (h = f->fetch.headers; *h; h += 2) {
            if (h[1] && ngx_http_async_fetch_is(h[0], name)
                && ngx_http_async_fetch_passes(f, h[0]))
            {
                return h[1];
            }
        }
    }

    return NULL;
}


/* What redirects leave behind: credentials, and what tells of a body. */

static ngx_uint_t
ngx_http_async_fetch_passes(ngx_http_async_fetch_t *f, const char *name)
{
    if (f->crossed
        && (ngx_http_async_fetch_is(name, "Authorization")
            || ngx_http_async_fetch_is(name, "Cookie")
            || ngx_http_async_fetch_is(name, "Proxy-Authorization")
            || ngx_http_async_fetch_is(name, "Host")))
    {
        return 0;
    }

    return !f->bodyless
           || ngx_strncasecmp((u_char *) name, (u_char *) "Content-", 8) != 0;
}


static ngx_uint_t
ngx_http_async_fetch_is(const char *a, const char *b)
{
    return ngx_strcasecmp((u_char *) a, (u_char *) b) == 0;
}


/* RFC 9110, 9.2.2 */

ngx_uint_t
ngx_http_async_fetch_is_idempotent(ngx_http_async_fetch_t *f)
{
    const char        *const *p;
    static const char *const  idempotent[] = {
        "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", NULL
    };

    for (p = idempotent; *p; p++) {
        if (ngx_strcmp(f->method, *p) == 0) {
            return 1;
        }
    }

    return 0;
}


ngx_str_t
ngx_http_async_fetch_basic(ngx_pool_t *pool, ngx_str_t *userinfo)
{
    ngx_str_t  basic, text;

    basic.len = 6 + ngx_base64_encoded_length(userinfo->len);
    basic.data = ngx_pnalloc(pool, basic.len);

    if (basic.data == NULL) {
        basic.len = 0;
        return basic;
    }

    text.data = ngx_cpymem(basic.data, "Basic ", 6);

    ngx_encode_base64(&text, userinfo);

    basic.len = 6 + text.len;

    return basic;
}


static async_rc_t
ngx_http_async_fetch_source(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    u_char      *buf;
    async_rc_t   rc;

    if (f->early) {
        return ASYNC_OK;
    }

    f->sourced = 1;

    buf = ngx_alloc(NGX_HTTP_ASYNC_FETCH_BEFORE + NGX_HTTP_ASYNC_FETCH_PIECE
                    + NGX_HTTP_ASYNC_FETCH_BEHIND, t->log);
    if (buf == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    rc = ngx_http_async_fetch_pieces(t, f, buf);

    ngx_free(buf);

    return rc;
}


static async_rc_t
ngx_http_async_fetch_pieces(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    u_char *buf)
{
    off_t        left;
    size_t       n, size, len;
    u_char      *p, *data;
    async_rc_t   rc;

    left = f->fetch.length;
    data = buf + NGX_HTTP_ASYNC_FETCH_BEFORE;

    for ( ;; ) {
        n = 0;

        rc = ngx_http_async_fetch_give(t, f, data, &n);

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (n > NGX_HTTP_ASYNC_FETCH_PIECE
            || (f->fetch.length && (n ? (off_t) n > left : left != 0)))
        {
            return ngx_async_because(t, ASYNC_CAUSE_REQUEST,
                             ngx_async_set_error(t, ASYNC_ERROR, "what is to "
                                       "be sent to %s has another length than "
                                       "%L", f->x.conn.name, f->fetch.length));
        }

        left -= n;
        p = data;
        len = n;

        if (f->fetch.length == 0) {
            size = ngx_sprintf(buf, "%xz" CRLF, n) - buf;

            p = data - size;
            ngx_memmove(p, buf, size);
            ngx_memcpy(data + n, CRLF, 2);

            len = size + n + 2;
        }

        rc = ngx_http_async_fetch_put(t, f, p, len);

        if (rc != ASYNC_OK || n == 0 || f->early) {
            return rc;
        }
    }
}


/* What the source awaits is a part of the whole time, too. */

static async_rc_t
ngx_http_async_fetch_give(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    u_char *data, size_t *n)
{
    async_rc_t      rc;
    async_scope_t   scope;
    ngx_msec_int_t  left;

    if (f->until) {
        left = (ngx_msec_int_t) (f->until - ngx_current_msec);
        async_deadline_begin(t, t->site, &scope, ngx_max(left, 0));
    }

    rc = f->fetch.source(t, f->fetch.source_arg, data,
                         NGX_HTTP_ASYNC_FETCH_PIECE, n);

    ngx_async_meter_kind(t, NGX_ASYNC_METER_FETCH);

    if (f->until) {
        async_deadline_end(&scope);

        if ((rc == ASYNC_OK || rc == ASYNC_TIMEOUT)
            && t->reason == NGX_ASYNC_KEEP
            && (ngx_msec_int_t) (f->until - ngx_current_msec) <= 0)
        {
            rc = ngx_async_conn_late(t, &f->x.conn, f->x.send_timeout,
                                     "send to");
        }
    }

    /* whatever has failed there, the server has not */

    f->blameless = (rc != ASYNC_OK);

    return rc;
}


/* Sends a piece of the body, unless it has been answered. */

static async_rc_t
ngx_http_async_fetch_put(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    const void *data, size_t len)
{
    async_rc_t         rc, heard_rc;
    ngx_uint_t         heard;
    ngx_async_conn_t  *conn;

    conn = &f->x.conn;

    while (len) {

        rc = ngx_async_conn_send(t, conn, data, len, f->x.send_timeout);

        if (rc == ASYNC_OK && !conn->heard) {
            return ASYNC_OK;
        }

        if (rc != ASYNC_OK
            && (rc != ASYNC_CLOSED || conn->connection == NULL))
        {
            return rc;
        }

        data = (u_char *) data + (len - conn->unsent);
        len = conn->unsent;

        /* who refuses to read more may have said why */

        heard_rc = ngx_http_async_exchange_hear(t, &f->x, &heard);

        if (heard_rc != ASYNC_OK || (rc != ASYNC_OK && !heard)) {
            return (rc != ASYNC_OK) ? rc : heard_rc;
        }

        if (!heard) {
            continue;
        }

        rc = ngx_http_async_exchange_head(t, &f->x, f->res, 1);

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (f->res->status >= 200) {
            f->early = 1;
            return ASYNC_OK;
        }
    }

    return ASYNC_OK;
}
