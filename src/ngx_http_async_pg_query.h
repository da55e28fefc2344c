
/*
 * Copyright (C) the nginx-async authors
 *
 * A statement on its way: what it takes, how it is sent, what has come of it;
 * and what a connection has prepared.
 */

#ifndef _NGX_HTTP_ASYNC_PG_QUERY_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_QUERY_H_INCLUDED_


#include <ngx_http_async_pg_pool.h>
#include <ngx_http_async_pg_sql.h>


#define NGX_HTTP_ASYNC_PG_NAME_LEN  (sizeof("async_0123456789abcdef_")        \
                                     + NGX_INT_T_LEN)


/*
 * What a connection has prepared.  It is in the tree of those that can be
 * executed, or closed: on the list of those that the server is to forget.  One
 * text may be there twice: with bytes, and with text.
 */

typedef struct {
    ngx_rbtree_node_t            node;        /* by the number of the text */
    ngx_queue_t                  queue;       /* the last used is the first */
    unsigned                     sure:1;      /* the server has confirmed it */
    unsigned                     closed:1;
    ngx_uint_t                   number;      /* of the connection */
    char                         name[NGX_HTTP_ASYNC_PG_NAME_LEN];
    size_t                       size;        /* bytes of the types; 0: none */
    Oid                          types[];
} ngx_http_async_pg_prepared_t;


typedef struct {
    ngx_http_async_pg_sql_t       *sql;
    ngx_http_async_pg_params_t     params;

    size_t                         size;      /* bytes of params.types */

    /* how it was sent: executed as this one, which may be a new one */
    ngx_http_async_pg_prepared_t  *prepared;
    ngx_uint_t                     number;    /* of that, which may be gone */

    unsigned                       known:1;   /* it was prepared before */
    unsigned                       done:1;    /* not to be sent (again) */
    unsigned                       answered:1;  /* it stands alone: up to its
                                                   own end, or the server's */
    unsigned                       lost:1;    /* and then the connection was */

    PGresult                      *result;    /* the first that failed, else
                                                 the last; NULL: it was not
                                                 executed */
} ngx_http_async_pg_query_t;


/*
 * Looks at what can be known before a connection is needed; ASYNC_ERROR.  The
 * text is to be given back by ngx_http_async_pg_sql_done() if there is one.
 */
async_rc_t ngx_http_async_pg_checked(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, const char *text,
    const async_value_t *values, size_t n, ngx_http_async_pg_query_t *query,
    ngx_pool_t *memory);

/* Frees what is stolen. */
void ngx_http_async_pg_free_values(const async_value_t *values, size_t n);

/*
 * Whether it can be sent once more: what was prepared is gone (DISCARD, another
 * server behind a name), or its result has another type now.  That is seen to
 * then.  In a transaction that has failed by this there is nothing to be done.
 */
ngx_uint_t ngx_http_async_pg_stale(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query);

/* The same of one that stands alone anyway. */
ngx_uint_t ngx_http_async_pg_forgotten(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query);

/* Whether texts of results are what they are taken for; the server tells. */
async_rc_t ngx_http_async_pg_is_utf8(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);

/* Whether it was executed; if not, it is noted why. */
async_rc_t ngx_http_async_pg_outcome(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_query_t *query);

/* The same of what has been read of this connection. */
async_rc_t ngx_http_async_pg_concluded(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);


/*
 * ngx_http_async_pg_batch.c: suspend until they have been executed, whatever
 * has come of each.  Other than ASYNC_OK: the connection is lost, or the task
 * does not wait any more; those of "each" that were answered before say so.
 *
 * _execute_one() is a round trip for one statement, _batch() for several, with
 * one end of all of them or "each" with its own.
 */
async_rc_t ngx_http_async_pg_execute_one(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);
async_rc_t ngx_http_async_pg_batch(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *queries,
    ngx_uint_t n, ngx_uint_t each);

/* The first that failed, else the last. */
void ngx_http_async_pg_keep(PGresult **kept, PGresult *result);

/* of no result libpq says so, too */
#define ngx_http_async_pg_is_error(result)                                   \
    ((result) && PQresultStatus(result) == PGRES_FATAL_ERROR)

/*
 * For those who read results themselves: suspends until the statement is
 * prepared, and hands libpq what executes it, not in pipeline mode.  If it
 * could not be prepared, there is a result.
 */
async_rc_t ngx_http_async_pg_open_one(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);

/* Whether it begins a COPY: that is noted, and ends the connection. */
ngx_uint_t ngx_http_async_pg_is_copy(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, PGresult *result);

/* The results of one command, or simple query, into one. */
async_rc_t ngx_http_async_pg_command(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, PGresult **result);

/*
 * Hands libpq, in pipeline mode, what the statement takes: to prepare it if it
 * is new, and to execute it.  0: no memory, or the connection is lost.
 */
int ngx_http_async_pg_put(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query);


/* ngx_http_async_pg_prepared.c */

/* That of the statement, with these types; NULL: there is none. */
ngx_http_async_pg_prepared_t *ngx_http_async_pg_prepared(
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);

/* Closes those that were used last of all, so that there is room for one. */
void ngx_http_async_pg_make_room(ngx_http_async_pg_conn_t *conn);

/* A new one; NULL: no memory. */
ngx_http_async_pg_prepared_t *ngx_http_async_pg_prepare(
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);

/* One that it is not known of whether the server has it; NULL: none. */
ngx_http_async_pg_prepared_t *ngx_http_async_pg_doubtful(
    ngx_http_async_pg_conn_t *conn);

/* What the server has answered to that: whether it has it now. */
void ngx_http_async_pg_confirm(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_prepared_t *prepared, ngx_uint_t ok);

/* The server is to forget it, or has done so already. */
void ngx_http_async_pg_close_prepared(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_prepared_t *prepared);
void ngx_http_async_pg_drop_prepared(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_prepared_t *prepared);
void ngx_http_async_pg_close_all(ngx_http_async_pg_conn_t *conn);

/*
 * Has those that are closed forgotten by the server, when there are some, in
 * pipeline mode: _tidy() sends that, with a sync, and answers how many results
 * will come of it; -1: the connection is lost.  Not inside of a transaction,
 * which a name that is not known would make fail.
 */
ngx_int_t ngx_http_async_pg_tidy(ngx_http_async_pg_conn_t *conn);
void ngx_http_async_pg_tidied(ngx_http_async_pg_conn_t *conn,
    PGresult *result);

/* 4, or seven of a hundred, wait for each other: each time costs a sync */
#define ngx_http_async_pg_untidy(conn)                                       \
    ((conn)->nclosed > (conn)->pool->statements / 16)


#endif /* _NGX_HTTP_ASYNC_PG_QUERY_H_INCLUDED_ */
