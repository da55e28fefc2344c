
/*
 * Copyright (C) the nginx-async authors
 *
 * traceparent and tracestate; see ngx_http_async_traceparent.h.
 */

#include <ngx_http_async_traceparent.h>
#include <ngx_http_async_field.h>


#define NGX_HTTP_ASYNC_TRACESTATE_MEMBERS  32
#define NGX_HTTP_ASYNC_TRACESTATE_LEN      256


static ngx_int_t ngx_http_async_trace_hex(const u_char *p, size_t len);
static ngx_uint_t ngx_http_async_tracestate_is_key(const u_char *p,
    size_t len);
static ngx_uint_t ngx_http_async_tracestate_is_value(const u_char *p,
    size_t len);


ngx_int_t
ngx_http_async_traceparent(const ngx_str_t *text, ngx_uint_t *flags)
{
    u_char     *p;
    ngx_int_t   version, known;

    p = text->data;

    if (text->len < NGX_HTTP_ASYNC_TRACEPARENT
        || p[NGX_HTTP_ASYNC_TRACEPARENT_ID - 1] != '-'
        || p[NGX_HTTP_ASYNC_TRACEPARENT_PARENT - 1] != '-'
        || p[NGX_HTTP_ASYNC_TRACEPARENT_FLAGS - 1] != '-')
    {
        return NGX_DECLINED;
    }

    version = ngx_http_async_trace_hex(p, 2);

    if (version == NGX_ERROR || version == 0xff) {
        return NGX_DECLINED;
    }

    if (text->len > NGX_HTTP_ASYNC_TRACEPARENT
        && (version == 0 || p[NGX_HTTP_ASYNC_TRACEPARENT] != '-'))
    {
        return NGX_DECLINED;
    }

    /* an id that is zero stands for none */

    if (ngx_http_async_trace_hex(p + NGX_HTTP_ASYNC_TRACEPARENT_ID,
                                 NGX_HTTP_ASYNC_TRACEPARENT_PARENT
                                 - NGX_HTTP_ASYNC_TRACEPARENT_ID - 1) < 1
        || ngx_http_async_trace_hex(p + NGX_HTTP_ASYNC_TRACEPARENT_PARENT,
                                    NGX_HTTP_ASYNC_TRACEPARENT_FLAGS
                                    - NGX_HTTP_ASYNC_TRACEPARENT_PARENT - 1)
           < 1)
    {
        return NGX_DECLINED;
    }

    known = ngx_http_async_trace_hex(p + NGX_HTTP_ASYNC_TRACEPARENT_FLAGS, 2);

    if (known == NGX_ERROR) {
        return NGX_DECLINED;
    }

    *flags = known & NGX_HTTP_ASYNC_TRACE_SAMPLED;

    return NGX_OK;
}


/*
 * In lower case.  The number, of two digits; of more, whether it is other than
 * zero.
 */

static ngx_int_t
ngx_http_async_trace_hex(const u_char *p, size_t len)
{
    size_t     i;
    ngx_int_t  n, digit;

    n = 0;

    for (i = 0; i < len; i++) {

        if (p[i] >= '0' && p[i] <= '9') {
            digit = p[i] - '0';

        } else if (p[i] >= 'a' && p[i] <= 'f') {
            digit = p[i] - 'a' + 10;

        } else {
            return NGX_ERROR;
        }

        n = (len > 2) ? (n | digit) : n * 16 + digit;
    }

    return n;
}


ngx_int_t
ngx_http_async_tracestate(const ngx_str_t *text)
{
    u_char      *p, *last;
    ngx_str_t    list, member;
    ngx_uint_t   n;

    list = *text;
    n = 0;

    while (ngx_http_async_field_item(&list, &member) == NGX_OK) {

        if (member.len == 0) {
            continue;
        }

        last = member.data + member.len;
        p = ngx_strlchr(member.data, last, '=');

        if (p == NULL || ++n > NGX_HTTP_ASYNC_TRACESTATE_MEMBERS
            || !ngx_http_async_tracestate_is_key(member.data, p - member.data)
            || !ngx_http_async_tracestate_is_value(p + 1, last - p - 1))
        {
            return NGX_DECLINED;
        }
    }

    return n ? NGX_OK : NGX_DECLINED;
}


/* name, or tenant@system */

static ngx_uint_t
ngx_http_async_tracestate_is_key(const u_char *p, size_t len)
{
    size_t      i;
    ngx_uint_t  letter, digit, at;

    if (len == 0 || len > NGX_HTTP_ASYNC_TRACESTATE_LEN) {
        return 0;
    }

    at = 0;

    for (i = 0; i < len; i++) {

        letter = (p[i] >= 'a' && p[i] <= 'z');
        digit = (p[i] >= '0' && p[i] <= '9');

        if (p[i] == '@' && i && !at) {
            at = i + 1;

            if (i > 241 || len - at > 14 || len == at
                || p[at] < 'a' || p[at] > 'z')
            {
                return 0;
            }

        } else if (!letter && !digit
                   && (i == 0 || (p[i] != '_' && p[i] != '-' && p[i] != '*'
                                  && p[i] != '/')))
        {
            return 0;
        }
    }

    return 1;
}


/* printable ASCII but for the comma and "="; spaces around are not its own */

static ngx_uint_t
ngx_http_async_tracestate_is_value(const u_char *p, size_t len)
{
    size_t  i;

    if (len == 0 || len > NGX_HTTP_ASYNC_TRACESTATE_LEN) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (p[i] < 0x20 || p[i] > 0x7e || p[i] == '=') {
            return 0;
        }
    }

    return 1;
}
