
/*
 * Text of paths, queries, headers and forms to values, by the lax rules of
 * pydantic 2 and with its words when it does not fit.  Pure: allocates
 * nothing, depends on no locale, keeps no state, safe in any thread.
 */


#ifndef _NGX_HTTP_ASYNC_VALUE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_VALUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_ASYNC_UUID_LEN        36
#define NGX_HTTP_ASYNC_VALUE_TEXT_LEN  128


/*
 * What a 422 says of the value.  ctx is the member "error" of its "ctx", a
 * slice of msg, and empty (no "ctx") but for a UUID.  msg may lie in text:
 * do not copy the structure.
 */

typedef struct {
    ngx_str_t  type;
    ngx_str_t  msg;
    ngx_str_t  ctx;
    u_char     text[NGX_HTTP_ASYNC_VALUE_TEXT_LEN];
} ngx_http_async_value_error_t;


/*
 * All answer NGX_OK with *value set, or NGX_DECLINED with *error set.  The
 * text need not be terminated; the time is linear in its length.
 */

/* types of error: int_parsing; int_parsing_size beyond int64_t */

ngx_int_t ngx_http_async_value_int(ngx_str_t *text, int64_t *value,
    ngx_http_async_value_error_t *error);

/*
 * The same by sign and size: NGX_OK, up to 2^64-1 either way; NGX_ABORT: it is
 * one beyond that, only *negative is set; NGX_DECLINED.
 */

ngx_int_t ngx_http_async_value_wide(ngx_str_t *text, uint64_t *value,
    ngx_uint_t *negative, ngx_http_async_value_error_t *error);

/* float_parsing; finite_number for nan, inf and what overflows to inf */

ngx_int_t ngx_http_async_value_float(ngx_str_t *text, double *value,
    ngx_http_async_value_error_t *error);

/* bool_parsing; *value is 0 or 1 */

ngx_int_t ngx_http_async_value_bool(ngx_str_t *text, ngx_uint_t *value,
    ngx_http_async_value_error_t *error);

/* uuid_parsing; value is the lower case form with hyphens, not terminated */

ngx_int_t ngx_http_async_value_uuid(ngx_str_t *text,
    u_char value[NGX_HTTP_ASYNC_UUID_LEN],
    ngx_http_async_value_error_t *error);


/*
 * The length of the character at p (p < last), 0 if it is not well-formed
 * UTF-8 (RFC 3629).
 */

size_t ngx_http_async_value_utf8(const u_char *p, const u_char *last);

/* whether all of it is such characters */

ngx_uint_t ngx_http_async_value_is_utf8(const u_char *p, const u_char *last);


#endif /* _NGX_HTTP_ASYNC_VALUE_H_INCLUDED_ */
