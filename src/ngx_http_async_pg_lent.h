
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON in results of PostgreSQL is parsed once, and lent as long as the result:
 * the table of what has been.  Pure: knows libpq's results, but no connection.
 */

#ifndef _NGX_HTTP_ASYNC_PG_LENT_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_LENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <libpq-fe.h>


typedef struct {
    ngx_pool_t                 *pool;
    json_t                   ***columns;      /* by row; NULL: nothing yet */
} ngx_http_async_pg_lent_t;


/*
 * The place of a value, NULL in it so far; or NULL: no memory.  Whoever puts a
 * reference there gives it up.
 */
json_t **ngx_http_async_pg_lent(ngx_http_async_pg_lent_t *lent,
    PGresult *result, size_t row, int column);

/* before the result is cleared */
void ngx_http_async_pg_lent_end(ngx_http_async_pg_lent_t *lent,
    PGresult *result);


#endif /* _NGX_HTTP_ASYNC_PG_LENT_H_INCLUDED_ */
