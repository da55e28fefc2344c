
/*
 * Copyright (C) the nginx-async authors
 *
 * Rows of PostgreSQL into structs, by a model.  Pure: knows libpq's results,
 * but no connection, and no request.
 */

#ifndef _NGX_HTTP_ASYNC_PG_MODEL_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_MODEL_H_INCLUDED_


#include <ngx_http_async_model.h>
#include <ngx_http_async_pg_write.h>
#include <ngx_http_async_pg_lent.h>


/*
 * n rows from "row" on, which are there, to as many structs at "to".  The
 * pool's memory is what their pointers lead to, but text, which is the
 * result's, and JSON, which "lent" keeps.
 */

typedef struct {
    const char                 *call;         /* for messages */
    ngx_pool_t                 *pool;
    PGresult                   *result;
    ngx_http_async_pg_lent_t   *lent;
    const async_model_t        *model;
    size_t                      row;
    size_t                      n;
    void                       *to;

    ngx_int_t                   item;         /* of a list; -1: none */
    u_char                      error[NGX_HTTP_ASYNC_PG_ERROR_LEN];
} ngx_http_async_pg_fill_t;


/*
 * NGX_OK; NGX_DECLINED, NGX_ERROR (no memory): "error" tells, and what has been
 * written is of no use.  The fields of the structs are zero before.  JSON
 * recurs, so this wants the loop's stack.
 */
ngx_int_t ngx_http_async_pg_fill(ngx_http_async_pg_fill_t *fill);


#endif /* _NGX_HTTP_ASYNC_PG_MODEL_H_INCLUDED_ */
