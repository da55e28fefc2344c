
/*
 * Copyright (C) the nginx-async authors
 *
 * URLs made of others: a reference against a base as RFC 3986, 5.2, resolves
 * it, a target with more arguments, and the text of one.  See
 * ngx_http_async_url.h.
 */

#include <ngx_http_async_url.h>


/* where the parts of a reference (RFC 3986, 3) begin; one ends at the next */

typedef struct {
    u_char      *start;          /* the scheme, or "//" */
    u_char      *path;
    u_char      *query;          /* at "?" */
    u_char      *fragment;       /* at "#" */
    ngx_uint_t   absolute;       /* it has a scheme */
} ngx_http_async_url_ref_t;


static void ngx_http_async_url_ref(ngx_http_async_url_ref_t *ref, u_char *p,
    u_char *last);
static u_char *ngx_http_async_url_until(u_char *p, u_char *last, u_char a,
    u_char b);
static u_char *ngx_http_async_url_origin(u_char *p,
    ngx_http_async_url_t *base, ngx_http_async_url_ref_t *ref);
static u_char *ngx_http_async_url_merge(u_char *p, ngx_http_async_url_t *base,
    ngx_http_async_url_ref_t *ref);
static u_char *ngx_http_async_url_dots(u_char *p, u_char *last);

static size_t ngx_http_async_url_encoded(const char *s);
static u_char *ngx_http_async_url_append(u_char *p, const char *s);


/* unreserved, RFC 3986, 2.3 */

static const uint32_t  ngx_http_async_url_unreserved[] = {
    0x00000000, /* 0000 0000 0000 0000  0000 0000 0000 0000 */

                /* ?>=< ;:98 7654 3210  /.-, +*)( '&%$ #"!  */
    0x03ff6000, /* 0000 0011 1111 1111  0110 0000 0000 0000 */

                /* _^]\ [ZYX WVUT SRQP  ONML KJIH GFED CBA@ */
    0x87fffffe, /* 1000 0111 1111 1111  1111 1111 1111 1110 */

                /*  ~}| {zyx wvut srqp  onml kjih gfed cba` */
    0x47fffffe, /* 0100 0111 1111 1111  1111 1111 1111 1110 */

    0, 0, 0, 0
};

#define ngx_http_async_url_is_unreserved(c)                                  \
    (ngx_http_async_url_unreserved[(c) >> 5] & (1U << ((c) & 0x1f)))


ngx_int_t
ngx_http_async_url_join(ngx_pool_t *pool, ngx_http_async_url_t *base,
    const char *ref, size_t len, ngx_str_t *text, const char **error)
{
    u_char                    *p, *path, *last;
    ngx_int_t                  rc;
    ngx_http_async_url_t       url;
    ngx_http_async_url_ref_t   parts;

    last = (u_char *) ref + len;
    ngx_http_async_url_ref(&parts, (u_char *) ref, last);

    p = ngx_pnalloc(pool, base->scheme.len + sizeof("://unix::") - 1
                          + base->host.len + base->authority.len
                          + base->target.len + len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    path = ngx_http_async_url_origin(p, base, &parts);
    p = ngx_http_async_url_merge(path, base, &parts);
    p = ngx_cpymem(p, parts.path, parts.query - parts.path);

    /* a reference without a path has the base's, dots and all */

    if (parts.path < parts.query) {
        p = ngx_http_async_url_dots(path, p);
    }

    p = ngx_cpymem(p, parts.query, parts.fragment - parts.query);
    text->len = p - text->data;

    /* the fragment is looked at as all else is */

    p = ngx_cpymem(p, parts.fragment, last - parts.fragment);

    rc = ngx_http_async_url_parse(pool, &url, (char *) text->data,
                                  p - text->data, error);
    if (rc != NGX_OK) {
        return rc;
    }

    if (url.local && parts.start < parts.path) {
        *error = "a reference to a unix socket";
        return NGX_DECLINED;
    }

    text->data[text->len] = '\0';

    return NGX_OK;
}


static void
ngx_http_async_url_ref(ngx_http_async_url_ref_t *ref, u_char *p, u_char *last)
{
    u_char  *colon;

    ref->start = p;
    ref->fragment = ngx_http_async_url_until(p, last, '#', '#');

    /* what comes before a colon is a scheme if it looks like one */

    colon = p;

    while (colon < ref->fragment
           && (ngx_http_async_url_is_unreserved(*colon) || *colon == '+'))
    {
        colon++;
    }

    ref->absolute = (colon < ref->fragment && *colon == ':'
                     && (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z');

    if (ref->absolute) {
        p = colon + 1;
    }

    if (ref->fragment - p >= 2 && p[0] == '/' && p[1] == '/') {
        p = ngx_http_async_url_until(p + 2, ref->fragment, '/', '?');
    }

    ref->path = p;
    ref->query = ngx_http_async_url_until(p, ref->fragment, '?', '?');
}


static u_char *
ngx_http_async_url_until(u_char *p, u_char *last, u_char a, u_char b)
{
    while (p < last && *p != a && *p != b) {
        p++;
    }

    return p;
}


/* scheme and authority */

static u_char *
ngx_http_async_url_origin(u_char *p, ngx_http_async_url_t *base,
    ngx_http_async_url_ref_t *ref)
{
    if (!ref->absolute) {
        p = ngx_cpymem(p, base->scheme.data, base->scheme.len);
        *p++ = ':';
    }

    if (ref->start < ref->path) {
        return ngx_cpymem(p, ref->start, ref->path - ref->start);
    }

    if (base->local) {
        p = ngx_cpymem(p, "//unix:", sizeof("//unix:") - 1);
        p = ngx_cpymem(p, base->host.data, base->host.len);
        *p++ = ':';

        return p;
    }

    p = ngx_cpymem(p, "//", sizeof("//") - 1);

    return ngx_cpymem(p, base->authority.data, base->authority.len);
}


/* what stays of the base's path and query */

static u_char *
ngx_http_async_url_merge(u_char *p, ngx_http_async_url_t *base,
    ngx_http_async_url_ref_t *ref)
{
    u_char  *start, *last;

    start = base->target.data;
    last = start + base->target.len;

    if (ref->start < ref->path
        || (ref->path < ref->query && *ref->path == '/'))
    {
        return p;
    }

    if (ref->path == ref->query) {

        if (ref->query < ref->fragment) {
            last = ngx_http_async_url_until(start, last, '?', '?');
        }

        return ngx_cpymem(p, start, last - start);
    }

    last = ngx_http_async_url_until(start, last, '?', '?');

    while (last[-1] != '/') {
        last--;
    }

    return ngx_cpymem(p, start, last - start);
}


/* RFC 3986, 5.2.4, for a path from a "/", in its place */

static u_char *
ngx_http_async_url_dots(u_char *p, u_char *last)
{
    size_t   len;
    u_char  *start, *end, *out;

    if (*p != '/') {
        return last;
    }

    start = p;
    out = p;

    for ( /* void */ ; p < last; p = end) {

        end = ngx_http_async_url_until(p + 1, last, '/', '/');
        len = end - p;

        if (len == 2 && p[1] == '.') {
            /* stays where it is */

        } else if (len == 3 && p[1] == '.' && p[2] == '.') {

            while (out > start && *--out != '/') { /* void */ }

        } else {
            out = ngx_movemem(out, p, len);
            continue;
        }

        if (end == last) {
            *out++ = '/';
        }
    }

    return out;
}


ngx_int_t
ngx_http_async_url_query(ngx_pool_t *pool, ngx_str_t *target,
    const char *const *pairs)
{
    u_char             *p, *start, c;
    size_t              size;
    const char *const  *pair;

    size = 0;

    for (pair = pairs; pair[0]; pair += 2) {
        if (pair[1]) {
            size += sizeof("&=") - 1 + ngx_http_async_url_encoded(pair[0])
                    + ngx_http_async_url_encoded(pair[1]);
        }
    }

    if (size == 0) {
        return NGX_OK;
    }

    start = ngx_pnalloc(pool, target->len + size + 1);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(start, target->data, target->len);

    c = ngx_strlchr(start, p, '?') ? '&' : '?';

    if (c == '&' && (p[-1] == '?' || p[-1] == '&')) {
        c = '\0';
    }

    for (pair = pairs; pair[0]; pair += 2) {

        if (pair[1] == NULL) {
            continue;
        }

        if (c) {
            *p++ = c;
        }

        p = ngx_http_async_url_append(p, pair[0]);
        *p++ = '=';
        p = ngx_http_async_url_append(p, pair[1]);

        c = '&';
    }

    *p = '\0';

    target->data = start;
    target->len = p - start;

    return NGX_OK;
}


static size_t
ngx_http_async_url_encoded(const char *s)
{
    size_t  len;

    for (len = 0; *s; s++) {
        len += ngx_http_async_url_is_unreserved((u_char) *s) ? 1 : 3;
    }

    return len;
}


static u_char *
ngx_http_async_url_append(u_char *p, const char *s)
{
    u_char  c;

    static u_char  hex[] = "0123456789ABCDEF";

    for ( /* void */ ; *s; s++) {
        c = (u_char) *s;

        if (ngx_http_async_url_is_unreserved(c)) {
            *p++ = c;
            continue;
        }

        *p++ = '%';
        *p++ = hex[c >> 4];
        *p++ = hex[c & 0xf];
    }

    return p;
}


ngx_int_t
ngx_http_async_url_text(ngx_pool_t *pool, ngx_http_async_url_t *url,
    ngx_str_t *text)
{
    u_char     *p;
    ngx_str_t  *where;

    where = url->local ? &url->host : &url->authority;

    p = ngx_pnalloc(pool, url->scheme.len + sizeof("://unix::") - 1
                          + where->len + url->target.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    p = ngx_cpymem(p, url->scheme.data, url->scheme.len);

    if (url->local) {
        p = ngx_cpymem(p, "://unix:", sizeof("://unix:") - 1);
        p = ngx_cpymem(p, where->data, where->len);
        *p++ = ':';

    } else {
        p = ngx_cpymem(p, "://", sizeof("://") - 1);
        p = ngx_cpymem(p, where->data, where->len);
    }

    p = ngx_cpymem(p, url->target.data, url->target.len);
    *p = '\0';

    text->len = p - text->data;

    return NGX_OK;
}


ngx_uint_t
ngx_http_async_url_same_origin(ngx_http_async_url_t *a,
    ngx_http_async_url_t *b)
{
    return a->tls == b->tls && a->local == b->local && a->port == b->port
           && a->host.len == b->host.len
           && ngx_memcmp(a->host.data, b->host.data, a->host.len) == 0;
}
