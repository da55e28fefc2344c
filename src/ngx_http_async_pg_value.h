
/*
 * Copyright (C) the nginx-async authors
 *
 * Values of PostgreSQL in their text form: what they are by the number of
 * their type, the forms that JSON has of them, and arrays item by item.  Pure:
 * knows no libpq, no request, no locale; safe in any thread.
 *
 * Relied upon is client_encoding UTF8; and DateStyle ISO, without which dates
 * and times stay as the server writes them.  IntervalStyle may be "postgres"
 * or "iso_8601", bytea_output "hex" or "escape", extra_float_digits and
 * TimeZone anything.
 */

#ifndef _NGX_HTTP_ASYNC_PG_VALUE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_VALUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* of the server: MAXDIM in its c.h */
#define NGX_HTTP_ASYNC_PG_MAX_DIM    6

/* room for what ngx_http_async_pg_plain() writes, and for a type's name */
#define NGX_HTTP_ASYNC_PG_PLAIN_LEN  128


typedef enum {
    NGX_HTTP_ASYNC_PG_IS_TEXT = 0,      /* and all that is not below */
    NGX_HTTP_ASYNC_PG_IS_INT,
    NGX_HTTP_ASYNC_PG_IS_FLOAT,
    NGX_HTTP_ASYNC_PG_IS_NUMERIC,
    NGX_HTTP_ASYNC_PG_IS_BOOL,
    NGX_HTTP_ASYNC_PG_IS_JSON,
    NGX_HTTP_ASYNC_PG_IS_DATE,
    NGX_HTTP_ASYNC_PG_IS_TIMESTAMP,
    NGX_HTTP_ASYNC_PG_IS_TIMESTAMPTZ,
    NGX_HTTP_ASYNC_PG_IS_TIMETZ,
    NGX_HTTP_ASYNC_PG_IS_INTERVAL,
    NGX_HTTP_ASYNC_PG_IS_BYTES,
    NGX_HTTP_ASYNC_PG_IS_CHAR,          /* "char", of one byte */
    NGX_HTTP_ASYNC_PG_IS_VOID
} ngx_http_async_pg_kind_e;


typedef struct {
    ngx_http_async_pg_kind_e    kind;         /* of an array, its items' */
    u_char                      delimiter;    /* of an array; else zero */
} ngx_http_async_pg_type_t;


typedef enum {
    NGX_HTTP_ASYNC_PG_ARRAY_OPEN = 0,
    NGX_HTTP_ASYNC_PG_ARRAY_CLOSE,
    NGX_HTTP_ASYNC_PG_ARRAY_ITEM,
    NGX_HTTP_ASYNC_PG_ARRAY_NULL,
    NGX_HTTP_ASYNC_PG_ARRAY_END,
    NGX_HTTP_ASYNC_PG_ARRAY_BAD               /* that is no array */
} ngx_http_async_pg_array_e;


typedef struct {
    const u_char               *p;
    const u_char               *last;
    ngx_http_async_pg_array_e   before;       /* END: nothing yet */
    ngx_uint_t                  depth;
    u_char                      delimiter;
    ngx_uint_t                  escaped;      /* the item has backslashes */
    ngx_str_t                   item;         /* a part of the text */
} ngx_http_async_pg_array_t;


/* Types of extensions, enums, and arrays of those are text. */
ngx_http_async_pg_type_t ngx_http_async_pg_type(ngx_uint_t oid);

/* Its name in SQL, zero-terminated: static, or in buf. */
const char *ngx_http_async_pg_type_name(ngx_uint_t oid,
    u_char buf[NGX_HTTP_ASYNC_PG_PLAIN_LEN]);

/*
 * The string that JSON has for a value that is none of number, bool, JSON and
 * bytes: the text itself, or one in buf.  Where the text is not of the form
 * that is expected, it is left as it is.
 */
ngx_str_t ngx_http_async_pg_plain(ngx_http_async_pg_kind_e kind,
    ngx_str_t *text, u_char buf[NGX_HTTP_ASYNC_PG_PLAIN_LEN]);

/* A number that JSON has, which NaN and infinity are not. */
#define ngx_http_async_pg_finite(p, len)                                     \
    ((len) && (((p)[0] >= '0' && (p)[0] <= '9')                              \
               || ((len) > 1 && (p)[0] == '-'                                \
                   && (p)[1] >= '0' && (p)[1] <= '9')))

/*
 * NGX_OK, NGX_DECLINED: that is none.  Bytes are written to "bytes", which has
 * room for text->len, and may be the text.  Milliseconds since 1970, rounded
 * down; NGX_DECLINED for infinity, too.
 */
ngx_int_t ngx_http_async_pg_bytes(ngx_str_t *text, u_char *bytes, size_t *n);
ngx_int_t ngx_http_async_pg_time(ngx_str_t *text, int64_t *ms);

/*
 * An array piece by piece: OPEN and CLOSE of each dimension, items, END or
 * BAD.  _unescape() gives an escaped item: "to" has room for its length.
 */
void ngx_http_async_pg_array(ngx_http_async_pg_array_t *a, ngx_str_t *text,
    u_char delimiter);
ngx_http_async_pg_array_e ngx_http_async_pg_array_next(
    ngx_http_async_pg_array_t *a);
size_t ngx_http_async_pg_unescape(ngx_str_t *item, u_char *to);


#endif /* _NGX_HTTP_ASYNC_PG_VALUE_H_INCLUDED_ */
