
/*
 * Copyright (C) the nginx-async authors
 *
 * Which column a field of a struct is read from, and whether its type fits.
 * Asked once a call, so that a row costs what its values do.
 */

#ifndef _NGX_HTTP_ASYNC_PG_SOURCE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_SOURCE_H_INCLUDED_


#include <ngx_http_async_pg_model.h>
#include <ngx_http_async_schema.h>


/* where a field finds its values */

typedef struct {
    const async_field_t        *field;
    int                         column;
    ngx_uint_t                  kind;         /* ASYNC_MEMBER_... */
    u_char                      delimiter;    /* of an array */
    const char *const          *choices;      /* of an integer; or NULL */
    ngx_http_async_schema_field_t  *object;   /* of an object; or NULL */
} ngx_http_async_pg_source_t;


/* Of field i of the model: NGX_OK, or NGX_DECLINED, and fill->error tells. */
ngx_int_t ngx_http_async_pg_source(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_uint_t i);


#endif /* _NGX_HTTP_ASYNC_PG_SOURCE_H_INCLUDED_ */
