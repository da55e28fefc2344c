
/*
 * Copyright (C) the nginx-async authors
 *
 * URLs taken apart: see ngx_http_async_url.h.  The text is walked through once
 * and measured, then all that differs from it is written in one allocation.
 */

#include <ngx_http_async_url.h>


/* of a name, RFC 3986, 3.2.2 */
#define NGX_HTTP_ASYNC_URL_HOST   255


/* what a byte is */

#define NGX_HTTP_ASYNC_URL_PLAIN  0x01    /* as it is in path and query */
#define NGX_HTTP_ASYNC_URL_CODED  0x02    /* as a triplet there */
#define NGX_HTTP_ASYNC_URL_NAME   0x04    /* unreserved: may be in a name */
#define NGX_HTTP_ASYNC_URL_UPPER  0x08
#define NGX_HTTP_ASYNC_URL_HEX    0x10
#define NGX_HTTP_ASYNC_URL_END    0x20    /* ends the authority */
#define NGX_HTTP_ASYNC_URL_BAD    0x40    /* nowhere */

#define ngx_http_async_url_is(c, what)                                       \
    (ngx_http_async_url_bytes[c] & NGX_HTTP_ASYNC_URL_ ## what)


/* slices of the text */

typedef struct {
    ngx_str_t    userinfo;
    ngx_str_t    host;
    ngx_str_t    port;       /* digits, if they are to be sent */
    ngx_str_t    target;
    size_t       coded;      /* bytes of the target that become triplets */
    ngx_uint_t   slash;      /* 1: the target lacks it */
    ngx_uint_t   upper;      /* not 0: the host is not in lower case */
} ngx_http_async_url_parts_t;


static u_char *ngx_http_async_url_scheme(ngx_http_async_url_t *url,
    u_char *p, u_char *last, const char **error);
static ngx_int_t ngx_http_async_url_refuse(u_char *p, u_char *last,
    const char **error, const char *why);
static u_char *ngx_http_async_url_authority(ngx_http_async_url_t *url,
    ngx_http_async_url_parts_t *parts, u_char *p, u_char *last,
    const char **error);
static u_char *ngx_http_async_url_at(u_char *p, u_char *last);
static ngx_uint_t ngx_http_async_url_is_local(u_char *p, u_char *last);
static ngx_int_t ngx_http_async_url_userinfo(
    ngx_http_async_url_parts_t *parts, u_char *p, u_char *last,
    const char **error);
static u_char *ngx_http_async_url_socket(ngx_http_async_url_t *url,
    ngx_http_async_url_parts_t *parts, u_char *p, u_char *last,
    const char **error);
static u_char *ngx_http_async_url_host(ngx_http_async_url_parts_t *parts,
    u_char *p, u_char *last, const char **error);
static u_char *ngx_http_async_url_inet6(ngx_http_async_url_parts_t *parts,
    u_char *p, u_char *last, const char **error);
static u_char *ngx_http_async_url_port(ngx_http_async_url_t *url,
    ngx_http_async_url_parts_t *parts, u_char *p, u_char *last,
    const char **error);
static ngx_int_t ngx_http_async_url_target(ngx_http_async_url_parts_t *parts,
    u_char *p, u_char *last, const char **error);
static ngx_uint_t ngx_http_async_url_is_triplet(u_char *p, u_char *last);
static ngx_int_t ngx_http_async_url_write(ngx_pool_t *pool,
    ngx_http_async_url_t *url, ngx_http_async_url_parts_t *parts);
static u_char *ngx_http_async_url_write_authority(u_char *p,
    ngx_http_async_url_t *url, ngx_str_t *port);
static u_char *ngx_http_async_url_encode(u_char *p, ngx_str_t *target);
static u_char *ngx_http_async_url_decode(u_char *p, ngx_str_t *userinfo);
static u_char ngx_http_async_url_triplet(u_char *p);


static const u_char  ngx_http_async_url_bytes[256] = {

    [0x00 ... 0x1f] = 0x40,

    /*        !     "     #     $     %     &     '   */
    0x40, 0x01, 0x02, 0x20, 0x01, 0x00, 0x01, 0x01,
    /*  (     )     *     +     ,     -     .     /   */
    0x01, 0x01, 0x01, 0x01, 0x01, 0x05, 0x05, 0x21,
    /*  0     1     2     3     4     5     6     7   */
    0x15, 0x15, 0x15, 0x15, 0x15, 0x15, 0x15, 0x15,
    /*  8     9     :     ;     <     =     >     ?   */
    0x15, 0x15, 0x01, 0x01, 0x02, 0x01, 0x02, 0x21,

    /*  @     A     B     C     D     E     F     G   */
    0x01, 0x1d, 0x1d, 0x1d, 0x1d, 0x1d, 0x1d, 0x0d,
    /*  H     I     J     K     L     M     N     O   */
    0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d,
    /*  P     Q     R     S     T     U     V     W   */
    0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d,
    /*  X     Y     Z     [     \     ]     ^     _   */
    0x0d, 0x0d, 0x0d, 0x01, 0x40, 0x01, 0x02, 0x05,

    /*  `     a     b     c     d     e     f     g   */
    0x02, 0x15, 0x15, 0x15, 0x15, 0x15, 0x15, 0x05,
    /*  h     i     j     k     l     m     n     o   */
    0x05, 0x05, 0x05, 0x05, 0x05, 0x05, 0x05, 0x05,
    /*  p     q     r     s     t     u     v     w   */
    0x05, 0x05, 0x05, 0x05, 0x05, 0x05, 0x05, 0x05,
    /*  x     y     z     {     |     }     ~         */
    0x05, 0x05, 0x05, 0x02, 0x02, 0x02, 0x05, 0x40,

    [0x80 ... 0xff] = 0x02
};


ngx_int_t
ngx_http_async_url_parse(ngx_pool_t *pool, ngx_http_async_url_t *url,
    const char *text, size_t len, const char **error)
{
    u_char                      *p, *last;
    ngx_http_async_url_parts_t   parts;

    p = (u_char *) text;
    last = p + len;

    ngx_memzero(url, sizeof(ngx_http_async_url_t));
    ngx_memzero(&parts, sizeof(ngx_http_async_url_parts_t));

    p = ngx_http_async_url_scheme(url, p, last, error);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    p = ngx_http_async_url_authority(url, &parts, p, last, error);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_async_url_target(&parts, p, last, error) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_async_url_write(pool, url, &parts);
}


/* answers with what is behind "//", or NULL */

static u_char *
ngx_http_async_url_scheme(ngx_http_async_url_t *url, u_char *p, u_char *last,
    const char **error)
{
    u_char  *start;

    start = p;

    if (last - p < 5
        || (p[0] | 0x20) != 'h' || (p[1] | 0x20) != 't'
        || (p[2] | 0x20) != 't' || (p[3] | 0x20) != 'p')
    {
        goto failed;
    }

    p += 4;

    if ((*p | 0x20) == 's') {
        url->tls = 1;
        p++;
    }

    if (p == last || *p != ':') {
        goto failed;
    }

    if (last - p < 3 || p[1] != '/' || p[2] != '/') {
        ngx_http_async_url_refuse(p, last, error,
                                  "no \"//\" behind the scheme");
        return NULL;
    }

    if (url->tls) {
        ngx_str_set(&url->scheme, "https");
        url->port = 443;

    } else {
        ngx_str_set(&url->scheme, "http");
        url->port = 80;
    }

    return p + 3;

failed:

    ngx_http_async_url_refuse(start, last, error,
                              "the scheme is neither http nor https");
    return NULL;
}


/*
 * NGX_DECLINED.  A character from p on that is nowhere allowed is a better
 * reason than the one that is given.
 */

static ngx_int_t
ngx_http_async_url_refuse(u_char *p, u_char *last, const char **error,
    const char *why)
{
    *error = why;

    for ( /* void */ ; p < last; p++) {

        if (!ngx_http_async_url_is(*p, BAD)) {
            continue;
        }

        if (*p == ' ') {
            *error = "a space in it";

        } else if (*p == '\\') {
            *error = "a backslash in it";

        } else {
            *error = "a control character in it";
        }

        break;
    }

    return NGX_DECLINED;
}


/* answers with where the target begins, or NULL */

static u_char *
ngx_http_async_url_authority(ngx_http_async_url_t *url,
    ngx_http_async_url_parts_t *parts, u_char *p, u_char *last,
    const char **error)
{
    u_char  *at;

    if (ngx_http_async_url_is_local(p, last)) {
        return ngx_http_async_url_socket(url, parts, p, last, error);
    }

    at = ngx_http_async_url_at(p, last);

    if (at) {
        if (ngx_http_async_url_userinfo(parts, p, at, error) != NGX_OK) {
            return NULL;
        }

        p = at + 1;

        if (ngx_http_async_url_is_local(p, last)) {
            return ngx_http_async_url_socket(url, parts, p, last, error);
        }
    }

    if (p < last && *p == '[') {
        url->ipv6 = 1;
        p = ngx_http_async_url_inet6(parts, p + 1, last, error);

    } else {
        p = ngx_http_async_url_host(parts, p, last, error);
    }

    if (p == NULL || p == last || *p != ':') {
        return p;
    }

    return ngx_http_async_url_port(url, parts, p + 1, last, error);
}


/* the last "@" of the authority, or NULL */

static u_char *
ngx_http_async_url_at(u_char *p, u_char *last)
{
    u_char  *at;

    at = NULL;

    /* mostly there is none at all, and that is cheap to know */

    if (memchr(p, '@', last - p) == NULL) {
        return NULL;
    }

    for ( /* void */ ; p < last && !ngx_http_async_url_is(*p, END); p++) {
        if (*p == '@') {
            at = p;
        }
    }

    return at;
}


static ngx_uint_t
ngx_http_async_url_is_local(u_char *p, u_char *last)
{
    return last - p >= 5 && (*p | 0x20) == 'u'
           && ngx_strncasecmp(p, (u_char *) "unix:", 5) == 0;
}


static ngx_int_t
ngx_http_async_url_userinfo(ngx_http_async_url_parts_t *parts, u_char *p,
    u_char *last, const char **error)
{
    u_char      *q, c;
    ngx_uint_t   colon;

    colon = 0;

    for (q = p; q < last; q++) {

        if (ngx_http_async_url_is(*q, BAD)) {
            return ngx_http_async_url_refuse(q, last, error, NULL);
        }

        if (*q == ':') {
            colon = 1;
        }

        if (*q != '%') {
            continue;
        }

        if (!ngx_http_async_url_is_triplet(q, last)) {
            return ngx_http_async_url_refuse(q, last, error,
                          "a \"%\" without two hexadecimal digits behind it");
        }

        c = ngx_http_async_url_triplet(q);

        if (c < 0x20 || c == 0x7f) {
            return ngx_http_async_url_refuse(q, last, error,
                             "a control character in the user or password");
        }

        /* the first one would end the user there (RFC 7617, 2) */

        if (c == ':' && !colon) {
            return ngx_http_async_url_refuse(q, last, error,
                                             "a colon in the user");
        }
    }

    parts->userinfo.data = p;
    parts->userinfo.len = last - p;

    return NGX_OK;
}


static u_char *
ngx_http_async_url_socket(ngx_http_async_url_t *url,
    ngx_http_async_url_parts_t *parts, u_char *p, u_char *last,
    const char **error)
{
    u_char  *start;

    start = p + sizeof("unix:") - 1;

    for (p = start; p < last && *p != ':'; p++) {

        /* somebody has forgotten the colon, more likely than meant them */

        if (*p == '?' || *p == '#') {
            ngx_http_async_url_refuse(p, last, error,
                            "no colon between the path of the socket and "
                            "the URI");
            return NULL;
        }

        if (ngx_http_async_url_is(*p, BAD)) {
            ngx_http_async_url_refuse(p, last, error, NULL);
            return NULL;
        }
    }

    if (p == start) {
        ngx_http_async_url_refuse(p, last, error, "no path of the socket");
        return NULL;
    }

    url->local = 1;
    url->port = 0;

    parts->host.data = start;
    parts->host.len = p - start;

    if (p < last) {
        p++;
    }

    if (p < last && !ngx_http_async_url_is(*p, END)) {
        ngx_http_async_url_refuse(p, last, error,
                          "the URI behind the path of the socket does not "
                          "begin with a \"/\"");
        return NULL;
    }

    return p;
}


/* answers with where it ends, or NULL */

static u_char *
ngx_http_async_url_host(ngx_http_async_url_parts_t *parts, u_char *p,
    u_char *last, const char **error)
{
    u_char       c, seen, *start;
    const char  *why;

    start = p;
    seen = 0;

    for ( /* void */ ; p < last; p++) {
        c = ngx_http_async_url_bytes[*p];

        if (!(c & NGX_HTTP_ASYNC_URL_NAME)) {
            break;
        }

        seen |= c;

        if (*p == '.' && (p == start || p[-1] == '.')) {
            why = "an empty label in the host";
            goto failed;
        }
    }

    if (p < last && *p != ':' && !ngx_http_async_url_is(*p, END)) {

        if (*p >= 0x80) {
            why = "a host beyond ASCII: use its punycode form";

        } else {
            why = "a character in the host that none has";
        }

        goto failed;
    }

    if (p == start) {
        why = "no host";
        goto failed;
    }

    if (p - start > NGX_HTTP_ASYNC_URL_HOST) {
        why = "the host is longer than 255 characters";
        goto failed;
    }

    parts->host.data = start;
    parts->host.len = p - start;
    parts->upper = seen & NGX_HTTP_ASYNC_URL_UPPER;

    return p;

failed:

    ngx_http_async_url_refuse(p, last, error, why);

    return NULL;
}


/* from behind the bracket; answers as ngx_http_async_url_host() does */

static u_char *
ngx_http_async_url_inet6(ngx_http_async_url_parts_t *parts, u_char *p,
    u_char *last, const char **error)
{
    u_char       addr[16], *start;
    const char  *why;

    start = p;
    why = "a malformed IPv6 address";

    for ( /* void */ ; p < last && *p != ']'; p++) {

        if (*p == '%') {
            why = "a zone in an IPv6 address";
            goto failed;
        }

        if (!ngx_http_async_url_is(*p, HEX) && *p != ':' && *p != '.') {
            goto failed;
        }
    }

    if (p == last
        || (last - p > 1 && p[1] != ':' && !ngx_http_async_url_is(p[1], END)))
    {
        goto failed;
    }

    /* nginx passes over a single colon that is the first character */

    if (p - start < 2 || (start[0] == ':' && start[1] != ':')
        || ngx_inet6_addr(start, p - start, addr) != NGX_OK)
    {
        goto failed;
    }

    parts->host.data = start;
    parts->host.len = p - start;
    parts->upper = 1;

    return p + 1;

failed:

    ngx_http_async_url_refuse(p, last, error, why);

    return NULL;
}


/* answers as ngx_http_async_url_host() does */

static u_char *
ngx_http_async_url_port(ngx_http_async_url_t *url,
    ngx_http_async_url_parts_t *parts, u_char *p, u_char *last,
    const char **error)
{
    u_char      *start;
    ngx_uint_t   n;

    if (p == last || ngx_http_async_url_is(*p, END)) {
        return p;
    }

    while (p < last && *p == '0') {
        p++;
    }

    start = p;
    n = 0;

    for ( /* void */ ; p < last && *p >= '0' && *p <= '9' && n < 65536; p++) {
        n = n * 10 + (*p - '0');
    }

    if ((p < last && !ngx_http_async_url_is(*p, END)) || n < 1 || n > 65535) {
        ngx_http_async_url_refuse(p, last, error,
                                  "the port is not from 1 to 65535");
        return NULL;
    }

    if (n != url->port) {
        parts->port.data = start;
        parts->port.len = p - start;
    }

    url->port = n;
    url->explicit_port = 1;

    return p;
}


static ngx_int_t
ngx_http_async_url_target(ngx_http_async_url_parts_t *parts, u_char *p,
    u_char *last, const char **error)
{
    parts->target.data = p;
    parts->slash = (p == last || *p != '/');

    for ( /* void */ ; p < last; p++) {

        if (ngx_http_async_url_is(*p, PLAIN)) {
            continue;
        }

        if (ngx_http_async_url_is(*p, CODED)) {
            parts->coded++;
            continue;
        }

        if (*p == '#') {
            break;
        }

        if (!ngx_http_async_url_is_triplet(p, last)) {
            return ngx_http_async_url_refuse(p, last, error,
                          "a \"%\" without two hexadecimal digits behind it");
        }
    }

    parts->target.len = p - parts->target.data;

    for ( /* void */ ; p < last; p++) {
        if (ngx_http_async_url_is(*p, BAD)) {
            return ngx_http_async_url_refuse(p, last, error, NULL);
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_url_is_triplet(u_char *p, u_char *last)
{
    return last - p >= 3 && *p == '%'
           && ngx_http_async_url_is(p[1], HEX)
           && ngx_http_async_url_is(p[2], HEX);
}


static ngx_int_t
ngx_http_async_url_write(ngx_pool_t *pool, ngx_http_async_url_t *url,
    ngx_http_async_url_parts_t *parts)
{
    u_char      *p;
    size_t       size;
    ngx_uint_t   authority;

    /* otherwise it is the host */
    authority = (url->ipv6 || parts->port.len);

    size = parts->host.len + 1
           + parts->slash + parts->target.len + 2 * parts->coded + 1;

    if (authority) {
        size += parts->host.len + sizeof("[]:") - 1 + parts->port.len + 1;
    }

    if (parts->userinfo.len) {
        size += parts->userinfo.len + sizeof(":") - 1 + 1;
    }

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url->host.data = p;
    url->host.len = parts->host.len;

    if (parts->upper) {
        ngx_strlow(p, parts->host.data, parts->host.len);
        p += parts->host.len;

    } else {
        p = ngx_cpymem(p, parts->host.data, parts->host.len);
    }

    *p++ = '\0';

    if (url->local) {
        ngx_str_set(&url->authority, "localhost");

    } else if (authority) {
        p = ngx_http_async_url_write_authority(p, url, &parts->port);

    } else {
        url->authority = url->host;
    }

    url->target.data = p;

    if (parts->slash) {
        *p++ = '/';
    }

    if (parts->coded) {
        p = ngx_http_async_url_encode(p, &parts->target);

    } else {
        p = ngx_cpymem(p, parts->target.data, parts->target.len);
    }

    url->target.len = p - url->target.data;
    *p++ = '\0';

    if (parts->userinfo.len == 0) {
        ngx_str_set(&url->userinfo, "");
        return NGX_OK;
    }

    url->userinfo.data = p;
    p = ngx_http_async_url_decode(p, &parts->userinfo);
    url->userinfo.len = p - url->userinfo.data;
    *p = '\0';

    return NGX_OK;
}


static u_char *
ngx_http_async_url_write_authority(u_char *p, ngx_http_async_url_t *url,
    ngx_str_t *port)
{
    url->authority.data = p;

    if (url->ipv6) {
        *p++ = '[';
    }

    p = ngx_cpymem(p, url->host.data, url->host.len);

    if (url->ipv6) {
        *p++ = ']';
    }

    if (port->len) {
        *p++ = ':';
        p = ngx_cpymem(p, port->data, port->len);
    }

    url->authority.len = p - url->authority.data;
    *p++ = '\0';

    return p;
}


static u_char *
ngx_http_async_url_encode(u_char *p, ngx_str_t *target)
{
    u_char  *in, *last;

    static u_char  hex[] = "0123456789ABCDEF";

    last = target->data + target->len;

    for (in = target->data; in < last; in++) {

        if (!ngx_http_async_url_is(*in, CODED)) {
            *p++ = *in;
            continue;
        }

        *p++ = '%';
        *p++ = hex[*in >> 4];
        *p++ = hex[*in & 0xf];
    }

    return p;
}


/* user without a colon: an empty password */

static u_char *
ngx_http_async_url_decode(u_char *p, ngx_str_t *userinfo)
{
    u_char      *in, *last;
    ngx_uint_t   colon;

    last = userinfo->data + userinfo->len;
    colon = 0;

    for (in = userinfo->data; in < last; in++) {

        if (*in == ':') {
            colon = 1;
        }

        if (*in == '%') {
            *p++ = ngx_http_async_url_triplet(in);
            in += 2;
            continue;
        }

        *p++ = *in;
    }

    if (!colon) {
        *p++ = ':';
    }

    return p;
}


static u_char
ngx_http_async_url_triplet(u_char *p)
{
    return (u_char) ngx_hextoi(p + 1, 2);
}
