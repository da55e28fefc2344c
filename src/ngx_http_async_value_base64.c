
/*
 * Copyright (C) the nginx-async authors
 *
 * Base64: see ngx_http_async_value_base64.h.  nginx's own decoder says neither
 * what is wrong nor that bits of the last character are left over.
 */

#include <ngx_http_async_value_base64.h>


static ngx_int_t ngx_http_async_base64_digit(u_char c, u_char *alphabet);
static ngx_int_t ngx_http_async_base64_fail(
    ngx_http_async_value_error_t *error, const char *fmt, ...);


ngx_int_t
ngx_http_async_value_base64(ngx_str_t *text, ngx_str_t *value,
    ngx_http_async_value_error_t *error)
{
    u_char      *d, alphabet;
    size_t       i, len, bits;
    uint32_t     word;
    ngx_int_t    digit;

    len = text->len;

    for (i = 0; i < 2 && len && text->data[len - 1] == '='; i++) {
        len--;
    }

    d = value->data;
    alphabet = 0;
    word = 0;
    bits = 0;

    for (i = 0; i < len; i++) {

        digit = ngx_http_async_base64_digit(text->data[i], &alphabet);

        if (digit == NGX_ERROR) {
            return ngx_http_async_base64_fail(error,
                                              "Invalid symbol %d, offset %uz.",
                                              (int) text->data[i], i);
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
                                          len);
    }

    if (word & ((1 << bits) - 1)) {
        return ngx_http_async_base64_fail(error, "Invalid last symbol %d, "
                                          "offset %uz.",
                                          (int) text->data[len - 1], len - 1);
    }

    value->len = d - value->data;

    return NGX_OK;
}


/* the first of "+", "/", "-" and "_" decides which alphabet it is */

static ngx_int_t
ngx_http_async_base64_digit(u_char c, u_char *alphabet)
{
    u_char  which;

    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    switch (c) {

    case '+':
    case '/':
        which = '+';
        break;

    case '-':
    case '_':
        which = '-';
        break;

    default:
        return NGX_ERROR;
    }

    if (*alphabet && *alphabet != which) {
        return NGX_ERROR;
    }

    *alphabet = which;

    return (c == '+' || c == '-') ? 62 : 63;
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
