
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON text straight into structs: what the parts of this reader share.  Each
 * value is read in place, in one pass, and without a tree; only an error has
 * one, of the value at fault.
 */

#ifndef _NGX_HTTP_ASYNC_SCHEMA_JSON_H_INCLUDED_
#define _NGX_HTTP_ASYNC_SCHEMA_JSON_H_INCLUDED_


#include <ngx_http_async_schema.h>
#include <ngx_http_async_json_read.h>


/*
 * So many bytes of values at fault are shown, and twice the text, since each
 * field that is missing shows all of its object; behind it they are null.
 */
#define NGX_HTTP_ASYNC_SCHEMA_SHOWN  262144


typedef struct {
    ngx_http_async_json_in_t    in;
    ngx_http_async_reading_t   *reading;
    size_t                      shown;        /* bytes that may be yet */
} ngx_http_async_schema_json_t;


/* a value: from there to "p" */

typedef struct {
    ngx_http_async_schema_json_t  *r;
    u_char                        *start;
} ngx_http_async_schema_json_at_t;


/*
 * As ngx_http_async_schema_json(), but text that is no JSON is for the caller
 * to report: NGX_ABORT, and nothing has been recorded.
 */
ngx_int_t ngx_http_async_schema_json_body(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_t *schema,
    ngx_str_t *text, void *object);


/*
 * All that read a value answer NGX_OK, and it has been written; NGX_DECLINED:
 * errors have been recorded, and "p" is behind it; NGX_HTTP_ASYNC_JSON_REFUSE;
 * NGX_ERROR.  They begin at the first byte of the value.
 */

/* ngx_http_async_schema_json.c: of a struct; "object" is zero */
ngx_int_t ngx_http_async_schema_json_object(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_t *schema,
    u_char *object);

/* ngx_http_async_schema_json_value.c: no list, no object */
ngx_int_t ngx_http_async_schema_json_value(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, void *to);


/* ngx_http_async_schema_json_wrong.c */

size_t ngx_http_async_schema_json_errors(ngx_http_async_schema_json_t *r);

/* Takes back those from "first" on. */
void ngx_http_async_schema_json_drop(ngx_http_async_schema_json_t *r,
    size_t first);

/* NGX_DECLINED: the value from "start" on, which is skipped, is not that. */
ngx_int_t ngx_http_async_schema_json_wrong(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, const char *type, const char *msg,
    u_char *start);

/* NGX_OK: the errors from "first" on have the value for their input. */
ngx_int_t ngx_http_async_schema_json_blame(ngx_http_async_schema_json_t *r,
    size_t first, u_char *start);

/* The value as the input of an error; data is an ..._at_t. */
json_t *ngx_http_async_schema_json_show(void *data);

/* A tree of the text from "start" to "p"; NULL without memory. */
json_t *ngx_http_async_schema_json_tree(ngx_http_async_schema_json_t *r,
    u_char *start);


#endif /* _NGX_HTTP_ASYNC_SCHEMA_JSON_H_INCLUDED_ */
