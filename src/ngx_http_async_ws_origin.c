
/*
 * Copyright (C) the nginx-async authors
 *
 * Origins (RFC 6454): what a browser says of the page that opens a WebSocket.
 * They are compared as browsers compare them: scheme and host without regard to
 * case, and the port, which may be that of the scheme.
 */

#include <ngx_http_async_ws.h>


static ngx_int_t ngx_http_async_ws_host(u_char *p, u_char *end,
    ngx_http_async_ws_origin_t *origin);
static ngx_uint_t ngx_http_async_ws_host_char(u_char c);


/* scheme "://" host [ ":" port ]; the host of IPv6 is in brackets */

ngx_int_t
ngx_http_async_ws_origin(ngx_str_t *text, ngx_http_async_ws_origin_t *origin)
{
    u_char  *p, *end, *host;

    end = text->data + text->len;

    for (p = text->data; p < end && *p != ':'; p++) {

        if ((*p < 'a' || *p > 'z') && (*p < 'A' || *p > 'Z')
            && (p == text->data
                || ((*p < '0' || *p > '9')
                    && *p != '+' && *p != '-' && *p != '.')))
        {
            return NGX_ERROR;
        }
    }

    host = p + 3;

    if (p == text->data || end - p < 4 || ngx_strncmp(p, "://", 3) != 0) {
        return NGX_ERROR;
    }

    origin->scheme.data = text->data;
    origin->scheme.len = p - text->data;

    origin->port = ngx_http_async_ws_port(&origin->scheme);

    return ngx_http_async_ws_host(host, end, origin);
}


/* 0: the scheme has none that it implies */

in_port_t
ngx_http_async_ws_port(ngx_str_t *scheme)
{
    if (scheme->len == 4
        && ngx_strncasecmp(scheme->data, (u_char *) "http", 4) == 0)
    {
        return 80;
    }

    if (scheme->len == 5
        && ngx_strncasecmp(scheme->data, (u_char *) "https", 5) == 0)
    {
        return 443;
    }

    return 0;
}


/* host [ ":" port ], as of the header field Host */

ngx_int_t
ngx_http_async_ws_authority(ngx_str_t *text, in_port_t port,
    ngx_http_async_ws_origin_t *origin)
{
    ngx_str_null(&origin->scheme);
    origin->port = port;

    return ngx_http_async_ws_host(text->data, text->data + text->len, origin);
}


static ngx_int_t
ngx_http_async_ws_host(u_char *p, u_char *end,
    ngx_http_async_ws_origin_t *origin)
{
    u_char     *start;
    ngx_int_t   port;

    start = p;

    if (p < end && *p == '[') {
        p = ngx_strlchr(p, end, ']');

        if (p == NULL || p - start < 3) {
            return NGX_ERROR;
        }

        p++;

    } else {
        while (p < end && ngx_http_async_ws_host_char(*p)) {
            p++;
        }
    }

    origin->host.data = start;
    origin->host.len = p - start;

    if (origin->host.len == 0) {
        return NGX_ERROR;
    }

    if (p == end) {
        return NGX_OK;
    }

    if (*p != ':') {
        return NGX_ERROR;
    }

    if (++p == end) {
        /* "host:" says nothing of the port (RFC 3986, 6.2.3) */
        return NGX_OK;
    }

    port = ngx_atoi(p, end - p);

    if (port < 1 || port > 65535) {
        return NGX_ERROR;
    }

    origin->port = (in_port_t) port;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_ws_host_char(u_char c)
{
    return c > ' ' && c != 0x7f
           && ngx_strchr("\"#*,/:<>?@[\\]^`{|}", c) == NULL;
}


/* Without a scheme in one of them only host and port count. */

ngx_uint_t
ngx_http_async_ws_same_origin(ngx_http_async_ws_origin_t *a,
    ngx_http_async_ws_origin_t *b)
{
    if (a->scheme.len && b->scheme.len
        && (a->scheme.len != b->scheme.len
            || ngx_strncasecmp(a->scheme.data, b->scheme.data, a->scheme.len)
               != 0))
    {
        return 0;
    }

    return a->port == b->port && a->host.len == b->host.len
           && ngx_strncasecmp(a->host.data, b->host.data, a->host.len) == 0;
}
