
/*
 * Copyright (C) the nginx-async authors
 *
 * Connections that several statements use at the same time.
 */

#ifndef _NGX_HTTP_ASYNC_PG_SHARE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_SHARE_H_INCLUDED_


#include <ngx_http_async_pg_query.h>


/*
 * Suspends until the statement has been executed, whatever has come of it.
 * Answers as ngx_http_async_pg_execute_one().
 */
async_rc_t ngx_http_async_pg_share(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_query_t *query);

/* So many wait for connections of their own: as many take no more statements */
void ngx_http_async_pg_share_yield(ngx_http_async_pg_pool_t *pool,
    ngx_uint_t n);

/* How many more statements those take that take some. */
ngx_uint_t ngx_http_async_pg_share_room(ngx_http_async_pg_pool_t *pool);

/*
 * It is closed.  What is on its way may have been executed or not; whoever
 * waits for it is told.
 */
void ngx_http_async_pg_share_lost(ngx_http_async_pg_conn_t *conn);


#endif /* _NGX_HTTP_ASYNC_PG_SHARE_H_INCLUDED_ */
