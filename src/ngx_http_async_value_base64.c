
/*
 * Copyright (C) the nginx-async authors
 *
 * Base64: see ngx_http_async_value_base64.h.  nginx's own decoder says neither
 * what is wrong nor that bits of the last character are left over.
 */

#include <ngx_http_async_value_base64.h>


static ngx_int_t ngx_http_async_base64_decode(ngx_str_t *text,
    ngx_str_t *value, const u_char *last_two,
    ngx_http_async_value_error_t *error);
static ngx_int_t ngx_http_async_base64_digit(u_char c, const u_char *last_two);
static ngx_int_t ngx_http_async_base64_symbol(ngx_str_t *text, size_t i,
    ngx_http_async_value_error_t *error);
static ngx_int_t ngx_http_async_base64_fail(
    ngx_http_async_value_error_t *error, const char *fmt, ...);


ngx_int_t
ngx_http_async_value_base64(ngx_str_t *text, ngx_str_t *value,
    ngx_http_async_value_error_t *error)
{
    ngx_int_t  rc;

    rc = ngx_http_async_base64_decode(text, value, (u_char *) "-_", error);

    if (rc == NGX_AGAIN) {
        rc = ngx_http_async_base64_decode(text, value, (u_char *) "+/", error);
    }

    return rc;
}


/* NGX_AGAIN: a symbol is of the other alphabet */

static ngx_int_t
ngx_http_async_base64_decode(ngx_str_t *text, ngx_str_t *value,
    const u_char *last_two, ngx_http_async_value_error_t *error)
{
    u_char      *d;
    size_t       i, n, tail, bits;
    uint32_t     word;
    ngx_int_t    digit;

    d = value->data;
    n = text->len;

    /* "=" may stand in the last four, from the third on */

    tail = n ? (n - 1) / 4 * 4 : 0;

    if (n % 4 == 1 && text->data[n - 1] != '='
        && ngx_http_async_base64_digit(text->data[n - 1], last_two)
           == NGX_ERROR)
    {
        return ngx_http_async_base64_symbol(text, n - 1, error);
    }

    word = 0;
    bits = 0;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] == '=' && i >= tail + 2) {
            n = ngx_min(n, i);
            continue;
        }

        if (n < i) {
            return ngx_http_async_base64_symbol(text, n, error);
        }

        digit = ngx_http_async_base64_digit(text->data[i], last_two);

        if (digit == NGX_ERROR) {
            return ngx_http_async_base64_symbol(text, i, error);
        }

        word = (word << 6 | digit) & 0xffff;
        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            *d++ = (u_char) (word >> bits);
        }
    }

    if (bits == 6) {
        return ngx_http_async_base64_fail(error, "Invalid input length: %uz",
                                          n);
    }

    if (word & ((1 << bits) - 1)) {
        return ngx_http_async_base64_fail(error, "Invalid last symbol %d, "
                                          "offset %uz.",
                                          (int) text->data[n - 1], n - 1);
    }

    value->len = d - value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_base64_digit(u_char c, const u_char *last_two)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    if (c == last_two[0]) {
        return 62;
    }

    return (c == last_two[1]) ? 63 : NGX_ERROR;
}


static ngx_int_t
ngx_http_async_base64_symbol(ngx_str_t *text, size_t i,
    ngx_http_async_value_error_t *error)
{
    (void) ngx_http_async_base64_fail(error, "Invalid symbol %d, offset %uz.",
                                      (int) text->data[i], i);

    return (text->data[i] == '+' || text->data[i] == '/') ? NGX_AGAIN
                                                          : NGX_DECLINED;
}


static ngx_int_t
ngx_http_async_base64_fail(ngx_http_async_value_error_t *error,
    const char *fmt, ...)
{
    u_char   *p, *last;
    va_list   args;

    static const char  before[] = "Data should be valid base64: ";

    ngx_str_set(&error->type, "bytes_invalid_encoding");

    last = error->text + NGX_HTTP_ASYNC_VALUE_TEXT_LEN;
    p = ngx_cpymem(error->text, before, sizeof(before) - 1);

    error->ctx.data = p;

    va_start(args, fmt);
    p = ngx_vslprintf(p, last, fmt, args);
    va_end(args);

    error->ctx.len = p - error->ctx.data;
    error->msg.data = error->text;
    error->msg.len = p - error->text;

    return NGX_DECLINED;
}
