
/*
 * Copyright (C) the nginx-async authors
 *
 * PostgreSQL: what the files of it share.  Pools and their connections, and
 * async_pg_result_t.
 */

#ifndef _NGX_HTTP_ASYNC_PG_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_H_INCLUDED_


#include <ngx_http_async_request.h>
#include <ngx_http_async_pg_params.h>
#include <ngx_http_async_pg_lent.h>
#include <ngx_async_handle.h>
#include <libpq-fe.h>


/* types of the server by number: pg_type.dat of its source */
#define NGX_HTTP_ASYNC_PG_BOOL          16
#define NGX_HTTP_ASYNC_PG_BYTEA         17
#define NGX_HTTP_ASYNC_PG_INT8          20
#define NGX_HTTP_ASYNC_PG_INT2          21
#define NGX_HTTP_ASYNC_PG_INT4          23
#define NGX_HTTP_ASYNC_PG_TEXT          25
#define NGX_HTTP_ASYNC_PG_OID           26
#define NGX_HTTP_ASYNC_PG_JSON          114
#define NGX_HTTP_ASYNC_PG_FLOAT4        700
#define NGX_HTTP_ASYNC_PG_FLOAT8        701
#define NGX_HTTP_ASYNC_PG_DATE          1082
#define NGX_HTTP_ASYNC_PG_TIME          1083
#define NGX_HTTP_ASYNC_PG_TIMESTAMP     1114
#define NGX_HTTP_ASYNC_PG_TIMESTAMPTZ   1184
#define NGX_HTTP_ASYNC_PG_TIMETZ        1266
#define NGX_HTTP_ASYNC_PG_NUMERIC       1700
#define NGX_HTTP_ASYNC_PG_JSONB         3802


struct async_pg_result_s {
    ngx_async_handle_t          handle;
    ngx_pool_t                 *pool;         /* of the task */
    PGresult                   *result;       /* NULL: freed */
    ngx_http_async_pg_lent_t    lent;
};


/* ngx_http_async_pg_result.c: takes over the result; NULL: no memory. */
async_pg_result_t *ngx_http_async_pg_result(ngx_async_task_t *t,
    PGresult *result);

/* Frees what it has, but not the handle itself. */
void ngx_http_async_pg_result_close(void *handle);


#endif /* _NGX_HTTP_ASYNC_PG_H_INCLUDED_ */
