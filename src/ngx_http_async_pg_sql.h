
/*
 * Copyright (C) the nginx-async authors
 *
 * The texts of statements that a worker has met: each is looked through once,
 * and has a number, by which connections know what they have prepared.
 */

#ifndef _NGX_HTTP_ASYNC_PG_SQL_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_SQL_H_INCLUDED_


#include <ngx_http_async_pg_params.h>


typedef struct ngx_http_async_pg_sql_s  ngx_http_async_pg_sql_t;

struct ngx_http_async_pg_sql_s {
    ngx_rbtree_node_t               node;
    ngx_queue_t                     queue;    /* the last used is the first */
    ngx_http_async_pg_sql_t       **place;    /* that leads to it; or NULL */
    ngx_pool_t                     *pool;
    ngx_uint_t                      id;
    ngx_uint_t                      uses;     /* by those that run now */
    ngx_uint_t                      lone;     /* it can share a connection */
    ngx_str_t                       text;
    ngx_http_async_pg_statement_t   statement;
    ngx_http_async_pg_leaves_e      leaves;
};


/*
 * Of a text, with names or by place; to be given back.  NULL: *error says why,
 * in "size" bytes.
 */
ngx_http_async_pg_sql_t *ngx_http_async_pg_sql(const char *text,
    ngx_uint_t named, u_char *error, size_t size);

void ngx_http_async_pg_sql_done(ngx_http_async_pg_sql_t *sql);


#endif /* _NGX_HTTP_ASYNC_PG_SQL_H_INCLUDED_ */
