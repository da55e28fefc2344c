
/*
 * Copyright (C) the nginx-async authors
 *
 * What a header field may be made of, wherever one is sent: in responses and in
 * requests to others; and how one is found in a list of nginx's.  Pure, runs in
 * any thread.
 */

#ifndef _NGX_HTTP_ASYNC_FIELD_H_INCLUDED_
#define _NGX_HTTP_ASYNC_FIELD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* tchar of RFC 9110, 5.6.2; a token of them is not empty */
ngx_uint_t ngx_http_async_is_tchar(u_char ch);
ngx_uint_t ngx_http_async_is_token(const char *p);
ngx_uint_t ngx_http_async_is_tokens(const u_char *p, size_t len);

/* CR, LF and others that a value must not have (RFC 9110, 5.5) */
ngx_uint_t ngx_http_async_has_control(const char *p);
ngx_uint_t ngx_http_async_has_controls(const u_char *p, size_t len);

/* Without the spaces and tabs around it. */
void ngx_http_async_field_trim(ngx_str_t *value);

/* The next of a list with commas, trimmed; NGX_DONE: there is none. */
ngx_int_t ngx_http_async_field_item(ngx_str_t *list, ngx_str_t *item);

/* Names are the same in either case. */
ngx_uint_t ngx_http_async_field_is(const ngx_table_elt_t *h,
    const ngx_str_t *name);

/* The next one, from the i-th of a part on; NULL: there is none. */
ngx_table_elt_t *ngx_http_async_field_next(ngx_list_part_t **part,
    ngx_uint_t *i);

/* The first of the name; NULL: there is none. */
ngx_table_elt_t *ngx_http_async_field_find(ngx_list_part_t *part,
    const char *name);


#endif /* _NGX_HTTP_ASYNC_FIELD_H_INCLUDED_ */
