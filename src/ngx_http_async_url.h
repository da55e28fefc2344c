
/*
 * Copyright (C) the nginx-async authors
 *
 * The URLs of the HTTP client: taken apart, joined (RFC 3986), and given a
 * query.  Pure: no request, no I/O, little stack.  All strings that are made
 * are in the pool or static, end with a zero byte that their length does not
 * count, and do not point into what was given.
 */

#ifndef _NGX_HTTP_ASYNC_URL_H_INCLUDED_
#define _NGX_HTTP_ASYNC_URL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t   scheme;       /* "http" or "https" */

    /* "user:password" for Basic credentials, decoded, always with a colon; of
       length 0 if there is none */
    ngx_str_t   userinfo;

    /* In lower case, IPv6 without brackets; "local": the path of the socket as
       it was written.  A dot at the end stays: it tells a resolver that the
       name is complete, but certificates and SNI do not have it. */
    ngx_str_t   host;

    /* for the field Host: the host, in brackets if it is IPv6, and the port
       unless it is the scheme's; "local": "localhost" */
    ngx_str_t   authority;

    /* path and query, encoded, from the "/"; dot segments as they were */
    ngx_str_t   target;

    ngx_uint_t  port;         /* the scheme's if none was given; 0 if "local" */

    unsigned    tls:1;
    unsigned    local:1;      /* http://unix:path:/uri */
    unsigned    ipv6:1;
    unsigned    explicit_port:1;
} ngx_http_async_url_t;


/*
 * NGX_OK; NGX_DECLINED: it is no such URL, *error is static text that says
 * why; or NGX_ERROR: no memory.  url is undefined unless NGX_OK.
 *
 * Controls, spaces and backslashes are refused wherever they are, the fragment
 * too, which is not kept.  In path and query, what RFC 3986 does not allow
 * becomes triplets, but "[" and "]", which servers expect as they are.  A host
 * is an IPv6 address or a name; what nginx does not take for an IPv4 address
 * ("127.1", "0x7f.0.0.1") is a name like others.  "user:password@" may stand
 * before "unix:", too; the path of a socket has no "?", "#" and ":".
 */
ngx_int_t ngx_http_async_url_parse(ngx_pool_t *pool, ngx_http_async_url_t *url,
    const char *text, size_t len, const char **error);

/*
 * A reference, as in Location, against a base (RFC 3986, 5.2, strict): *text
 * is an absolute URL that ngx_http_async_url_parse() takes, without fragment,
 * and without the base's userinfo.  Answers as that does.  Only a relative
 * reference stays at a socket, and none leads to one.
 */
ngx_int_t ngx_http_async_url_join(ngx_pool_t *pool,
    ngx_http_async_url_t *base, const char *ref, size_t len, ngx_str_t *text,
    const char **error);

/*
 * Appends names and values by turns, up to a name of NULL; pairs with a value
 * of NULL are left out.  All but letters, digits, "-", ".", "_" and "~" become
 * triplets.  NGX_OK or NGX_ERROR: no memory, *target as it was.
 */
ngx_int_t ngx_http_async_url_query(ngx_pool_t *pool, ngx_str_t *target,
    const char *const *pairs);

/* the URL as text, to be shown: without userinfo; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_async_url_text(ngx_pool_t *pool, ngx_http_async_url_t *url,
    ngx_str_t *text);

/* whether credentials for the one may go to the other: scheme, host, port */
ngx_uint_t ngx_http_async_url_same_origin(ngx_http_async_url_t *a,
    ngx_http_async_url_t *b);


#endif /* _NGX_HTTP_ASYNC_URL_H_INCLUDED_ */
