
/*
 * Copyright (C) the nginx-async authors
 *
 * Query strings: see ngx_http_async_query.h.
 */

#include <ngx_http_async_query.h>


static u_char *ngx_http_async_query_add(ngx_array_t *query, u_char *d,
    u_char *p, u_char *end);
static u_char *ngx_http_async_query_find(u_char *p, u_char *end, u_char c);
static u_char *ngx_http_async_query_decode_to(u_char *d, u_char *p,
    u_char *end);


/*
 * All in one piece of memory: "=" and "&" leave the room for the zeros behind
 * names and values.
 */

ngx_array_t *
ngx_http_async_query_split(ngx_pool_t *pool, ngx_str_t *args)
{
    u_char       *p, *d, *end, *next;
    ngx_array_t  *query;

    query = ngx_array_create(pool, 4, sizeof(ngx_http_async_query_t));
    d = ngx_pnalloc(pool, args->len + 1);

    if (query == NULL || d == NULL) {
        return NULL;
    }

    if (args->len == 0) {
        /* nginx may have left the pointer of nothing as it was */
        return query;
    }

    end = args->data + args->len;

    for (p = args->data; p < end; p = next + 1) {

        next = ngx_http_async_query_find(p, end, '&');

        if (next > p) {
            d = ngx_http_async_query_add(query, d, p, next);

            if (d == NULL) {
                return NULL;
            }
        }
    }

    return query;
}


static u_char *
ngx_http_async_query_add(ngx_array_t *query, u_char *d, u_char *p, u_char *end)
{
    u_char                  *eq;
    ngx_http_async_query_t  *q;

    q = ngx_array_push(query);
    if (q == NULL) {
        return NULL;
    }

    eq = ngx_http_async_query_find(p, end, '=');

    q->name.data = d;
    d = ngx_http_async_query_decode_to(d, p, eq);
    q->name.len = d - q->name.data;

    q->value.data = d;
    q->value.len = 0;

    *d++ = '\0';

    if (eq < end) {
        q->value.data = d;
        d = ngx_http_async_query_decode_to(d, eq + 1, end);
        q->value.len = d - q->value.data;

        *d++ = '\0';
    }

    return d;
}


/* the first such byte; "end": there is none */

static u_char *
ngx_http_async_query_find(u_char *p, u_char *end, u_char c)
{
    while (p < end && *p != c) {
        p++;
    }

    return p;
}


ngx_int_t
ngx_http_async_query_decode(ngx_pool_t *pool, ngx_str_t *to, u_char *p,
    u_char *end)
{
    u_char  *d;

    d = ngx_pnalloc(pool, end - p + 1);
    if (d == NULL) {
        return NGX_ERROR;
    }

    to->data = d;

    d = ngx_http_async_query_decode_to(d, p, end);

    *d = '\0';
    to->len = d - to->data;

    return NGX_OK;
}


static u_char *
ngx_http_async_query_decode_to(u_char *d, u_char *p, u_char *end)
{
    ngx_int_t  high, low;

    for ( /* void */ ; p < end; p++) {

        if (*p == '+') {
            *d++ = ' ';
            continue;
        }

        if (*p == '%' && end - p > 2) {
            high = ngx_hextoi(p + 1, 1);
            low = ngx_hextoi(p + 2, 1);

            if (high != NGX_ERROR && low != NGX_ERROR) {
                *d++ = (u_char) (high << 4 | low);
                p += 2;
                continue;
            }
        }

        *d++ = *p;
    }

    return d;
}
