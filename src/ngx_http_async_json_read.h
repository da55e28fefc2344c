
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON text read in place, token by token and without a tree: for those who
 * know what they want of it.  It takes exactly what ngx_http_async_json_wide()
 * takes, and leaves it to ngx_http_async_json_load() to say what was wrong.
 * Pure: knows no request.
 */

#ifndef _NGX_HTTP_ASYNC_JSON_READ_H_INCLUDED_
#define _NGX_HTTP_ASYNC_JSON_READ_H_INCLUDED_


#include <ngx_http_async_json.h>


/* no JSON, or none that is taken */
#define NGX_HTTP_ASYNC_JSON_REFUSE  NGX_ABORT

/* keys of open objects that need no memory */
#define NGX_HTTP_ASYNC_JSON_KEYS    16


typedef struct {
    u_char                     *p;            /* what comes next */
    u_char                     *last;
    ngx_uint_t                  depth;        /* of what is open */
    ngx_pool_t                 *pool;

    /* those of open objects, of which none may be there twice */
    ngx_str_t                  *keys;
    size_t                      nkeys;
    size_t                      nalloc;
    ngx_str_t                   few[NGX_HTTP_ASYNC_JSON_KEYS];
} ngx_http_async_json_in_t;


typedef struct {
    ngx_str_t                   raw;          /* between the quotes */
    ngx_uint_t                  escaped;      /* there are escapes in it */
} ngx_http_async_json_string_t;


typedef struct {
    ngx_str_t                   text;
    uint64_t                    digits;       /* all of them, as a number */
    ngx_uint_t                  ndigits;      /* more than 19: do not count */
    int64_t                     exponent;     /* of the last digit */

    unsigned                    negative:1;
    unsigned                    real:1;       /* has a point or an exponent */
} ngx_http_async_json_number_t;


/* whether the next byte is that one */
#define ngx_http_async_json_next_is(in, c)                                   \
    ((in)->p < (in)->last && *(in)->p == (c))


/* Not to be copied: it points into itself.  A byte order mark is skipped. */
void ngx_http_async_json_in(ngx_http_async_json_in_t *in, ngx_pool_t *pool,
    ngx_str_t *text);

/*
 * Those that answer ngx_int_t: NGX_OK, and "p" is behind what was read;
 * NGX_HTTP_ASYNC_JSON_REFUSE; NGX_ERROR without memory.
 */

/* At a quote, at a digit or minus, at the first letter of a word. */
ngx_int_t ngx_http_async_json_string(ngx_http_async_json_in_t *in,
    ngx_http_async_json_string_t *s);
ngx_int_t ngx_http_async_json_number(ngx_http_async_json_in_t *in,
    ngx_http_async_json_number_t *n);
ngx_int_t ngx_http_async_json_word(ngx_http_async_json_in_t *in,
    const char *word, size_t len);

/* A key with the colon behind it, from any space on; its text, unescaped. */
ngx_int_t ngx_http_async_json_key(ngx_http_async_json_in_t *in,
    ngx_str_t *key);

/* Any value, from its first byte on. */
ngx_int_t ngx_http_async_json_skip(ngx_http_async_json_in_t *in);

/* At a bracket: one level more, or less. */
ngx_int_t ngx_http_async_json_enter(ngx_http_async_json_in_t *in);
void ngx_http_async_json_leave(ngx_http_async_json_in_t *in);

/*
 * Remembers a key; and forgets those from "first" on, when their object ends.
 * The second refuses if one of them was there twice.
 */
ngx_int_t ngx_http_async_json_keep(ngx_http_async_json_in_t *in,
    ngx_str_t *key);
ngx_int_t ngx_http_async_json_forget(ngx_http_async_json_in_t *in,
    size_t first);

/* The text of a string; returns its length, which is never above raw.len. */
size_t ngx_http_async_json_unescape(ngx_str_t *raw, u_char *to);

/* NGX_OK, or NGX_DECLINED: it is no int64_t. */
ngx_int_t ngx_http_async_json_integer(ngx_http_async_json_number_t *n,
    int64_t *value);

/* NGX_OK, or NGX_DECLINED: it is beyond all doubles. */
ngx_int_t ngx_http_async_json_real(ngx_http_async_json_number_t *n,
    double *value);


static ngx_inline void
ngx_http_async_json_space(ngx_http_async_json_in_t *in)
{
    while (in->p < in->last && *in->p <= ' '
           && (*in->p == ' ' || *in->p == LF || *in->p == CR
               || *in->p == '\t'))
    {
        in->p++;
    }
}


#endif /* _NGX_HTTP_ASYNC_JSON_READ_H_INCLUDED_ */
