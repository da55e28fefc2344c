
/*
 * Copyright (C) the nginx-async authors
 *
 * Cookies of requests: see ngx_http_async_cookie.h.
 */

#include <ngx_http_async_cookie.h>


#define ngx_http_async_cookie_octal(c)  ((c) >= '0' && (c) <= '7')


static void ngx_http_async_cookie_trim(u_char **start, u_char **end);
static ngx_uint_t ngx_http_async_cookie_is_octal(u_char *p, u_char *last);


/* space around names and values is no part of them (RFC 6265, 5.2) */

ngx_uint_t
ngx_http_async_cookie_find(ngx_str_t *line, ngx_str_t *name, ngx_str_t *value)
{
    u_char      *p, *end, *next, *eq, *last;
    ngx_uint_t   found;

    found = 0;
    end = line->data + line->len;

    for (p = line->data; p < end; p = next + 1) {

        next = ngx_strlchr(p, end, ';');
        if (next == NULL) {
            next = end;
        }

        eq = ngx_strlchr(p, next, '=');
        if (eq == NULL) {
            continue;
        }

        last = eq++;
        ngx_http_async_cookie_trim(&p, &last);

        if ((size_t) (last - p) != name->len
            || ngx_memcmp(p, name->data, name->len) != 0)
        {
            continue;
        }

        last = next;
        ngx_http_async_cookie_trim(&eq, &last);

        value->data = eq;
        value->len = last - eq;
        found = 1;
    }

    return found;
}


static void
ngx_http_async_cookie_trim(u_char **start, u_char **end)
{
    while (*start < *end && (**start == ' ' || **start == '\t')) {
        (*start)++;
    }

    while (*end > *start && ((*end)[-1] == ' ' || (*end)[-1] == '\t')) {
        (*end)--;
    }
}


size_t
ngx_http_async_cookie_unquote(ngx_str_t *value, u_char *to)
{
    u_char  *p, *d, *last;

    p = value->data;
    last = p + value->len;

    if (value->len < 2 || *p != '"' || last[-1] != '"') {
        ngx_memcpy(to, p, value->len);
        return value->len;
    }

    p++;
    last--;

    for (d = to; p < last; p++) {

        if (*p != '\\' || last - p < 2) {
            *d++ = *p;
            continue;
        }

        p++;

        if (ngx_http_async_cookie_is_octal(p, last)) {
            *d++ = (u_char) ((p[0] - '0') << 6 | (p[1] - '0') << 3
                             | (p[2] - '0'));
            p += 2;

        } else {
            *d++ = *p;
        }
    }

    return d - to;
}


/* three digits, of one byte */

static ngx_uint_t
ngx_http_async_cookie_is_octal(u_char *p, u_char *last)
{
    return last - p >= 3 && *p <= '3' && ngx_http_async_cookie_octal(p[0])
           && ngx_http_async_cookie_octal(p[1])
           && ngx_http_async_cookie_octal(p[2]);
}
