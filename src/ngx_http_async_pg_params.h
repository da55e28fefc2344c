
/*
 * Copyright (C) the nginx-async authors
 *
 * What a statement of PostgreSQL takes: the placeholders of its SQL, and values
 * as libpq's PQsendQueryParams() and PQsendQueryPrepared() want them.  Pure: no
 * connection, no request.  Called by the awaits of the database.
 */

#ifndef _NGX_HTTP_ASYNC_PG_PARAMS_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_PARAMS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_async.h>
#include <libpq-fe.h>


/* of the protocol: the number of values is one of 16 bits */
#define NGX_HTTP_ASYNC_PG_MAX_VALUES  65535

/* of the server: one message, MaxAllocSize of its source */
#define NGX_HTTP_ASYNC_PG_MAX_SIZE    0x3fffffff


/* SQL that has been looked through, once for all calls with that text */

typedef struct {
    const char                 *sql;          /* with $1 and so on */
    ngx_uint_t                  n;            /* values that it takes */
    ngx_str_t                  *names;        /* of them, by number */
    unsigned                    named:1;      /* 0: by place */
} ngx_http_async_pg_statement_t;


/* What a statement may leave in its session, beyond its transaction */

typedef enum {
    NGX_HTTP_ASYNC_PG_NOTHING = 0,
    NGX_HTTP_ASYNC_PG_STATE,                  /* settings, locks, tables */
    NGX_HTTP_ASYNC_PG_NAMES                   /* and prepared statements */
} ngx_http_async_pg_leaves_e;


/*
 * Types, lengths and formats are NULL where libpq's defaults do: the server
 * finds the types, all values are text.
 */

typedef struct {
    const char                 *sql;
    int                         n;
    Oid                        *types;        /* 0: the server finds it */
    const char                **values;       /* NULL: null */
    int                        *lengths;
    int                        *formats;      /* 1: binary */
    ngx_uint_t                  depth;        /* of JSON: _json_encode() */
} ngx_http_async_pg_params_t;


/*
 * ngx_http_async_pg_statement.c.  Finds $1 and so on, or ":name" if the values
 * are "named", which is whether the first of them is.  NGX_OK; NGX_DECLINED:
 * *error tells in words, memory of the pool; NGX_ERROR: no memory.
 *
 * The SQL is borrowed as long as the statement, which points into it.  By place
 * it goes to the server as it is.  With names it becomes another text, where
 * each name has a number by its first place.
 *
 * Nothing is looked for in 'strings', E'...' with its backslashes, "names",
 * $tag$ strings $tag$ and comments, as the server's lexer sees them while
 * standard_conforming_strings is on.
 *
 * A name is [A-Za-z_][A-Za-z0-9_]*.  A colon that is doubled (a cast), before
 * "=", or right behind a word, a number, a bracket that closes, or a quote,
 * begins none: so a[1:n] is a slice up to a column, a[1: :n] one up to a value,
 * and so is a[:n].
 */
ngx_int_t ngx_http_async_pg_statement(ngx_pool_t *pool, const char *sql,
    ngx_uint_t named, ngx_http_async_pg_statement_t *statement,
    const char **error);

/*
 * By its words: SET (not LOCAL), set_config() but with true, advisory locks of
 * the session, LISTEN, temporary tables, cursors WITH HOLD, PREPARE, DISCARD
 * and so on.  Rather too much; what functions of the server do is not seen.
 */
ngx_http_async_pg_leaves_e ngx_http_async_pg_leaves(const char *sql);

/*
 * ngx_http_async_pg_params.c.  Answers likewise.  What the result points to is
 * the pool's, the statement's, or the values' own: TEXT and BYTES are borrowed.
 * Takes the stack of _json_encode() if there is JSON, and 3k for doubles.
 *
 * What has been prepared fits all values whose types are the same: mostly NULL.
 */
ngx_int_t ngx_http_async_pg_params(ngx_pool_t *pool,
    const ngx_http_async_pg_statement_t *statement,
    const async_value_t *values, size_t n, ngx_http_async_pg_params_t *params,
    const char **error);

/*
 * Frees what is stolen: JSON.  The one above does not, whatever it answers.
 * jansson recurs: params->depth deep after NGX_OK, otherwise nobody knows.
 */
void ngx_http_async_pg_forget(const async_value_t *values, size_t n);


#endif /* _NGX_HTTP_ASYNC_PG_PARAMS_H_INCLUDED_ */
