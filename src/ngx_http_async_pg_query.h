
/*
 * Copyright (C) the nginx-async authors
 *
 * A statement on its way to the server, and what it answers: await_pg(), and
 * what sends statements as that does.
 */

#ifndef _NGX_HTTP_ASYNC_PG_QUERY_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_QUERY_H_INCLUDED_


#include <ngx_http_async_pg_pool.h>
#include <ngx_http_async_pg_sql.h>
#include <ngx_http_async_pg_task.h>


/* zeroed at first; sql is to be given back, and result to be cleared */

typedef struct {
    ngx_http_async_pg_sql_t     *sql;
    ngx_http_async_pg_params_t   params;

    uint32_t                     types;

    /* how it was sent */
    ngx_uint_t                   known;       /* it was prepared before */
    ngx_uint_t                   pipeline;
    ngx_uint_t                   before;      /* what is to answer before it:
                                                 the last is its PREPARE */
    ngx_uint_t                   name;

    PGresult                    *result;      /* the first that failed, else
                                                 the last */
} ngx_http_async_pg_query_t;


/* What can be known before a connection is needed; params: of that memory. */
async_rc_t ngx_http_async_pg_checked(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, const char *text,
    const async_value_t *values, size_t n, ngx_http_async_pg_query_t *query,
    ngx_pool_t *memory);

/* The JSON that was stolen. */
void ngx_http_async_pg_free_values(const async_value_t *values, size_t n);

/* Gives it to libpq, which may send it later; zero: the connection is lost. */
int ngx_http_async_pg_send(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query);

/*
 * Suspends until all of its results are there, and keeps one of them; of those
 * behind one that is kept already, none.  The server may have failed it:
 * ngx_http_async_pg_outcome() tells.
 */
async_rc_t ngx_http_async_pg_results(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);

/* For those who read results themselves: of each, and behind each statement. */
void ngx_http_async_pg_met(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query, PGresult *result);
void ngx_http_async_pg_follow(ngx_http_async_pg_query_t *query);

/* Whether it begins a COPY: that is noted, and ends the connection. */
ngx_uint_t ngx_http_async_pg_is_copy(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, PGresult *result);

/* Whether it has failed for what the server has forgotten: send it again. */
ngx_uint_t ngx_http_async_pg_stale(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query);

/* ASYNC_OK, or what its result says against it, which is taken then. */
async_rc_t ngx_http_async_pg_outcome(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);


#endif /* _NGX_HTTP_ASYNC_PG_QUERY_H_INCLUDED_ */
