
/*
 * Copyright (C) the nginx-async authors
 *
 * Results of PostgreSQL as JSON: written as text, or as jansson's trees; and
 * cells of them as C values.  Pure: knows libpq's results, but no connection,
 * and no request.
 *
 * Of columns with one name the last one counts, in the place of the first: in
 * trees it could not be otherwise.
 */

#ifndef _NGX_HTTP_ASYNC_PG_WRITE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_WRITE_H_INCLUDED_


#include <ngx_http_async_pg_value.h>
#include <ngx_http_async_json_write.h>
#include <libpq-fe.h>


#define NGX_HTTP_ASYNC_PG_ALL        ((size_t) -1)

#define NGX_HTTP_ASYNC_PG_ERROR_LEN  256


/* text that grows, and room for the items of arrays that have escapes */

typedef struct {
    ngx_http_async_json_out_t   out;
    u_char                     *items;
    size_t                      size;
} ngx_http_async_pg_out_t;


/* what a column of a result becomes: a member of each object */

typedef struct {
    int                         column;
    ngx_http_async_pg_type_t    type;
    const char                 *name;
    size_t                      len;
    size_t                      key;          /* ... of the text, from the */
    size_t                      key_len;      /* first row on */
    uint32_t                    hash;
} ngx_http_async_pg_member_t;


/* A value, which is not null, behind what has been written.  NGX_ERROR. */
ngx_int_t ngx_http_async_pg_write(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_type_t type, ngx_str_t *text);

/* ... a bytea, in base64; NGX_DECLINED: it is none */
ngx_int_t ngx_http_async_pg_write_bytes(ngx_http_async_pg_out_t *o,
    ngx_str_t *text);

/* ngx_http_async_pg_tree.c: as a tree; NULL: out.error tells. */
json_t *ngx_http_async_pg_tree(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_type_t type, ngx_str_t *text);

/* The items of an array: those that need it are made in o->items. */
ngx_int_t ngx_http_async_pg_item(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_array_t *a, ngx_str_t *item);

void ngx_http_async_pg_out(ngx_http_async_pg_out_t *o, ngx_pool_t *pool);
ngx_int_t ngx_http_async_pg_out_done(ngx_http_async_pg_out_t *o,
    ngx_int_t rc, ngx_str_t *text);

/*
 * ngx_http_async_pg_rows.c: a row as an object, null if there is none, or all
 * as a list of objects, also those of several results.  Text in one block of
 * the pool, zero-terminated; or a new reference.
 * NGX_ERROR, NULL: *error tells in words, of NGX_HTTP_ASYNC_PG_ERROR_LEN bytes:
 * no memory, or, of a tree, JSON that ngx_http_async_json_load() refuses.
 * That recurs, so a tree wants the loop's stack.
 */
ngx_int_t ngx_http_async_pg_rows(ngx_pool_t *pool, PGresult *result,
    size_t row, ngx_str_t *text);
ngx_int_t ngx_http_async_pg_list(ngx_pool_t *pool, PGresult **results,
    ngx_uint_t n, ngx_str_t *text);
json_t *ngx_http_async_pg_rows_tree(ngx_pool_t *pool, PGresult *result,
    size_t row, u_char *error);

/* Its members; n is set.  In "few" if that many suffice; NULL: no memory. */
ngx_http_async_pg_member_t *ngx_http_async_pg_members(ngx_pool_t *pool,
    PGresult *result, ngx_http_async_pg_member_t *few, ngx_uint_t nfew,
    ngx_uint_t *n);


/* kinds as bits: what a value in C is made of */

#define NGX_HTTP_ASYNC_PG_INTS      (1 << NGX_HTTP_ASYNC_PG_IS_INT)

#define NGX_HTTP_ASYNC_PG_FLOATS                                             \
    (1 << NGX_HTTP_ASYNC_PG_IS_INT | 1 << NGX_HTTP_ASYNC_PG_IS_FLOAT         \
     | 1 << NGX_HTTP_ASYNC_PG_IS_NUMERIC)

#define NGX_HTTP_ASYNC_PG_BOOLS     (1 << NGX_HTTP_ASYNC_PG_IS_BOOL)

#define NGX_HTTP_ASYNC_PG_TIMES                                              \
    (1 << NGX_HTTP_ASYNC_PG_IS_TIMESTAMPTZ                                   \
     | 1 << NGX_HTTP_ASYNC_PG_IS_TIMESTAMP | 1 << NGX_HTTP_ASYNC_PG_IS_DATE)

#define NGX_HTTP_ASYNC_PG_BYTEAS    (1 << NGX_HTTP_ASYNC_PG_IS_BYTES)

#define NGX_HTTP_ASYNC_PG_JSONS     (1 << NGX_HTTP_ASYNC_PG_IS_JSON)


/*
 * ngx_http_async_pg_cell.c: a value by row and column.  The caller fills the
 * first four.  NGX_OK, or NGX_DECLINED: "error" tells.
 */

typedef struct {
    const char                 *call;         /* for messages */
    PGresult                   *result;
    size_t                      row;
    const char                 *column;

    int                         index;        /* of the column */
    ngx_str_t                   text;
    ngx_http_async_pg_type_t    type;
    u_char                      error[NGX_HTTP_ASYNC_PG_ERROR_LEN];
} ngx_http_async_pg_cell_t;


/* kinds: bits 1 << kind of what is "wanted" ("an integer"); zero: any */
ngx_int_t ngx_http_async_pg_cell(ngx_http_async_pg_cell_t *cell,
    ngx_uint_t kinds, const char *wanted);

ngx_int_t ngx_http_async_pg_cell_int(ngx_http_async_pg_cell_t *cell,
    int64_t *value);
ngx_int_t ngx_http_async_pg_cell_float(ngx_http_async_pg_cell_t *cell,
    double *value);
ngx_int_t ngx_http_async_pg_cell_bool(ngx_http_async_pg_cell_t *cell,
    int *value);
ngx_int_t ngx_http_async_pg_cell_time(ngx_http_async_pg_cell_t *cell,
    int64_t *value);

/* memory of the pool, zero-terminated; NGX_ERROR: there is none */
ngx_int_t ngx_http_async_pg_cell_bytes(ngx_http_async_pg_cell_t *cell,
    ngx_pool_t *pool, ngx_str_t *value);

/* a new reference; wants the loop's stack; NGX_ERROR as above */
ngx_int_t ngx_http_async_pg_cell_json(ngx_http_async_pg_cell_t *cell,
    json_t **value);

/* the column of that name, the last one; -1: there is none */
int ngx_http_async_pg_column(PGresult *result, const char *name);

/* the nearest name to one that is not there; NGX_DECLINED: none is near */
ngx_int_t ngx_http_async_pg_near(PGresult *result, const char *column,
    ngx_str_t *best);

/* Numbers as the server writes them.  NGX_DECLINED: beyond int64_t, double. */
ngx_int_t ngx_http_async_pg_integer(ngx_str_t *text, int64_t *value);
ngx_int_t ngx_http_async_pg_number(ngx_str_t *text, double *value);


#endif /* _NGX_HTTP_ASYNC_PG_WRITE_H_INCLUDED_ */
