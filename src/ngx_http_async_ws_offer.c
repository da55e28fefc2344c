
/*
 * Copyright (C) the nginx-async authors
 *
 * What a client offers in Sec-WebSocket-Extensions: see
 * ngx_http_async_ws_deflate.h.
 */

#include <ngx_http_async_ws_deflate.h>
#include <ngx_http_async_field.h>


#define NGX_HTTP_ASYNC_WS_VALUE_LEN  2


/* A parameter, and the name of an extension: as one without a value. */

typedef struct {
    ngx_str_t    name;
    ngx_uint_t   given;                 /* it has a value */
    size_t       len;                   /* of the value, unescaped */
    u_char       value[NGX_HTTP_ASYNC_WS_VALUE_LEN];   /* its beginning */
} ngx_http_async_ws_param_t;


static ngx_int_t ngx_http_async_ws_extension(ngx_str_t *rest,
    ngx_http_async_ws_offer_t *offer);
static ngx_int_t ngx_http_async_ws_offer_param(
    ngx_http_async_ws_offer_t *offer, ngx_http_async_ws_param_t *param);
static ngx_uint_t ngx_http_async_ws_bits(ngx_http_async_ws_param_t *param);
static ngx_int_t ngx_http_async_ws_param(ngx_str_t *rest,
    ngx_http_async_ws_param_t *param);
static ngx_int_t ngx_http_async_ws_value(ngx_str_t *rest,
    ngx_http_async_ws_param_t *param);
static ngx_int_t ngx_http_async_ws_quoted(ngx_str_t *rest,
    ngx_http_async_ws_param_t *param);
static void ngx_http_async_ws_value_byte(ngx_http_async_ws_param_t *param,
    u_char ch);
static size_t ngx_http_async_ws_token(ngx_str_t *rest);
static void ngx_http_async_ws_space(ngx_str_t *rest);
static ngx_uint_t ngx_http_async_ws_at(ngx_str_t *rest, u_char ch);
static void ngx_http_async_ws_skip(ngx_str_t *rest, size_t n);
static ngx_uint_t ngx_http_async_ws_named(ngx_http_async_ws_param_t *param,
    const char *name);


ngx_int_t
ngx_http_async_ws_offer(ngx_str_t *field, ngx_http_async_ws_offer_t *offer)
{
    ngx_int_t                  rc, found;
    ngx_str_t                  rest;
    ngx_http_async_ws_offer_t  next;

    rest = *field;
    found = NGX_DECLINED;

    for ( ;; ) {

        /* elements of a list may be empty, RFC 9110, 5.6.1.2 */

        ngx_http_async_ws_space(&rest);

        if (rest.len == 0) {
            return found;
        }

        if (ngx_http_async_ws_at(&rest, ',')) {
            ngx_http_async_ws_skip(&rest, 1);
            continue;
        }

        rc = ngx_http_async_ws_extension(&rest, &next);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK && found != NGX_OK) {
            *offer = next;
            found = NGX_OK;
        }
    }
}


/* Up to the comma behind it. */

static ngx_int_t
ngx_http_async_ws_extension(ngx_str_t *rest, ngx_http_async_ws_offer_t *offer)
{
    ngx_int_t                  rc;
    ngx_http_async_ws_param_t  param;

    ngx_memzero(offer, sizeof(ngx_http_async_ws_offer_t));

    if (ngx_http_async_ws_param(rest, &param) != NGX_OK || param.given) {
        return NGX_ERROR;
    }

    rc = ngx_http_async_ws_named(&param, "permessage-deflate") ? NGX_OK
                                                               : NGX_DECLINED;

    while (ngx_http_async_ws_at(rest, ';')) {
        ngx_http_async_ws_skip(rest, 1);
        ngx_http_async_ws_space(rest);

        if (ngx_http_async_ws_param(rest, &param) != NGX_OK) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            rc = ngx_http_async_ws_offer_param(offer, &param);
        }
    }

    return (rest->len == 0 || ngx_http_async_ws_at(rest, ',')) ? rc
                                                               : NGX_ERROR;
}


/* RFC 7692, 7.1: NGX_DECLINED for a parameter that is none, or twice. */

static ngx_int_t
ngx_http_async_ws_offer_param(ngx_http_async_ws_offer_t *offer,
    ngx_http_async_ws_param_t *param)
{
    ngx_uint_t  *to, bits;

    if (ngx_http_async_ws_named(param, "server_no_context_takeover")) {
        to = &offer->server_no_takeover;
        bits = !param->given;

    } else if (ngx_http_async_ws_named(param, "client_no_context_takeover")) {
        to = &offer->client_no_takeover;
        bits = !param->given;

    } else if (ngx_http_async_ws_named(param, "server_max_window_bits")) {
        to = &offer->server_bits;
        bits = ngx_http_async_ws_bits(param);

        /* zlib's raw deflate has no window of 8 bits, and before 1.2.9 made it
           one of 9 instead, which such a client cannot read */

        if (bits == 8) {
            return NGX_DECLINED;
        }

    } else if (ngx_http_async_ws_named(param, "client_max_window_bits")) {
        to = &offer->client_bits;
        bits = param->given ? ngx_http_async_ws_bits(param) : 15;

    } else {
        return NGX_DECLINED;
    }

    if (bits == 0 || *to) {
        return NGX_DECLINED;
    }

    *to = bits;

    return NGX_OK;
}


/* 8 to 15, without leading zeros; 0: it is none of these */

static ngx_uint_t
ngx_http_async_ws_bits(ngx_http_async_ws_param_t *param)
{
    if (param->len == 1 && param->value[0] >= '8' && param->value[0] <= '9') {
        return param->value[0] - '0';
    }

    if (param->len == 2 && param->value[0] == '1'
        && param->value[1] >= '0' && param->value[1] <= '5')
    {
        return 10 + param->value[1] - '0';
    }

    return 0;
}


/* token [ "=" ( token | quoted-string ) ], and the space behind it */

static ngx_int_t
ngx_http_async_ws_param(ngx_str_t *rest, ngx_http_async_ws_param_t *param)
{
    ngx_int_t  rc;

    param->name.data = rest->data;
    param->name.len = ngx_http_async_ws_token(rest);
    param->given = 0;
    param->len = 0;

    if (param->name.len == 0) {
        return NGX_ERROR;
    }

    ngx_http_async_ws_space(rest);

    if (!ngx_http_async_ws_at(rest, '=')) {
        return NGX_OK;
    }

    ngx_http_async_ws_skip(rest, 1);
    ngx_http_async_ws_space(rest);

    param->given = 1;

    rc = ngx_http_async_ws_at(rest, '"')
         ? ngx_http_async_ws_quoted(rest, param)
         : ngx_http_async_ws_value(rest, param);

    ngx_http_async_ws_space(rest);

    return rc;
}


static ngx_int_t
ngx_http_async_ws_value(ngx_str_t *rest, ngx_http_async_ws_param_t *param)
{
    size_t   i, n;
    u_char  *p;

    p = rest->data;
    n = ngx_http_async_ws_token(rest);

    for (i = 0; i < n; i++) {
        ngx_http_async_ws_value_byte(param, p[i]);
    }

    return n ? NGX_OK : NGX_ERROR;
}


/* What is quoted is a token all the same (RFC 6455, 9.1). */

static ngx_int_t
ngx_http_async_ws_quoted(ngx_str_t *rest, ngx_http_async_ws_param_t *param)
{
    ngx_http_async_ws_skip(rest, 1);

    while (rest->len) {

        if (ngx_http_async_ws_at(rest, '"')) {
            ngx_http_async_ws_skip(rest, 1);
            return param->len ? NGX_OK : NGX_ERROR;
        }

        if (ngx_http_async_ws_at(rest, '\\')) {
            ngx_http_async_ws_skip(rest, 1);
        }

        if (rest->len == 0 || !ngx_http_async_is_tchar(rest->data[0])) {
            return NGX_ERROR;
        }

        ngx_http_async_ws_value_byte(param, rest->data[0]);
        ngx_http_async_ws_skip(rest, 1);
    }

    return NGX_ERROR;
}


static void
ngx_http_async_ws_value_byte(ngx_http_async_ws_param_t *param, u_char ch)
{
    if (param->len < NGX_HTTP_ASYNC_WS_VALUE_LEN) {
        param->value[param->len] = ch;
    }

    param->len++;
}


static size_t
ngx_http_async_ws_token(ngx_str_t *rest)
{
    size_t  n;

    for (n = 0; n < rest->len; n++) {
        if (!ngx_http_async_is_tchar(rest->data[n])) {
            break;
        }
    }

    ngx_http_async_ws_skip(rest, n);

    return n;
}


static void
ngx_http_async_ws_space(ngx_str_t *rest)
{
    while (ngx_http_async_ws_at(rest, ' ') || ngx_http_async_ws_at(rest, '\t'))
    {
        ngx_http_async_ws_skip(rest, 1);
    }
}


static ngx_uint_t
ngx_http_async_ws_at(ngx_str_t *rest, u_char ch)
{
    return rest->len && rest->data[0] == ch;
}


static void
ngx_http_async_ws_skip(ngx_str_t *rest, size_t n)
{
    rest->data += n;
    rest->len -= n;
}


static ngx_uint_t
ngx_http_async_ws_named(ngx_http_async_ws_param_t *param, const char *name)
{
    return param->name.len == ngx_strlen(name)
           && ngx_memcmp(param->name.data, name, param->name.len) == 0;
}
