
/*
 * The router's core: patterns of whole URIs, and the tree that finds the
 * first declared one which fits.  Filled while the configuration is read,
 * asked once a request; knows neither requests nor handlers, only masks of
 * methods and opaque values.
 */


#ifndef _NGX_HTTP_ASYNC_ROUTE_TREE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_ROUTE_TREE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_ASYNC_MAX_PARAMS  16

#define ngx_http_async_route_is_digit(c)  ((c) >= '0' && (c) <= '9')


typedef struct ngx_http_async_route_tree_s  ngx_http_async_route_tree_t;


/* the order is that of the names in ngx_http_async_route_converters[] */

typedef enum {
    NGX_HTTP_ASYNC_ROUTE_STR = 0,
    NGX_HTTP_ASYNC_ROUTE_INT,
    NGX_HTTP_ASYNC_ROUTE_FLOAT,
    NGX_HTTP_ASYNC_ROUTE_UUID,
    NGX_HTTP_ASYNC_ROUTE_PATH,
    NGX_HTTP_ASYNC_ROUTE_LITERAL
} ngx_http_async_route_kind_e;


typedef struct {
    ngx_http_async_route_kind_e    kind;
    ngx_str_t                      text;   /* the literal, or the name */
} ngx_http_async_route_part_t;


typedef struct {
    ngx_str_t                      name;
    ngx_str_t                      value;  /* a slice of the URI */
} ngx_http_async_route_param_t;


typedef struct {
    void                          *value;
    ngx_uint_t                     allow;
    ngx_uint_t                     nparams;
    ngx_http_async_route_param_t   params[NGX_HTTP_ASYNC_MAX_PARAMS];
} ngx_http_async_route_match_t;


/* "str", "int", "float", "uuid", "path": by kind, without LITERAL */

extern const ngx_str_t  ngx_http_async_route_converters[];


/*
 * Splits a pattern into an array of ngx_http_async_route_part_t; the texts
 * are slices of the pattern.  NULL: error->data is what is wrong, from the
 * pool, or NULL when memory is short.
 */

ngx_array_t *ngx_http_async_route_parse(ngx_pool_t *pool, ngx_str_t *pattern,
    ngx_str_t *error);

/*
 * Sets the error, in nginx's format.  Returns NULL, to make a caller's failing
 * return one statement.
 */

void *ngx_http_async_route_error(ngx_pool_t *pool, ngx_str_t *error,
    const char *fmt, ...);

/* An empty tree, which lives as long as the pool; NULL: no memory. */

ngx_http_async_route_tree_t *ngx_http_async_route_tree_create(
    ngx_pool_t *pool);

/*
 * Adds a route behind all earlier ones.  The pattern is copied; the value is
 * kept as it is.
 *
 * NGX_OK
 * NGX_BUSY      earlier routes of the same shape take all of its requests;
 *               error tells, the tree is as it was
 * NGX_AGAIN     they take some; the new one is in the tree for the rest;
 *               error tells
 * NGX_DECLINED  the pattern is wrong; error tells, the tree is as it was
 * NGX_ERROR     no memory; the tree is of no further use
 *
 * error is from the tree's pool and without a final full stop.
 */

ngx_int_t ngx_http_async_route_tree_add(ngx_http_async_route_tree_t *tree,
    ngx_str_t *pattern, ngx_uint_t methods, void *value, ngx_str_t *error);

/*
 * Finds the first route in the order of declaration whose pattern fits the
 * whole (decoded) URI and whose methods have the bit.
 *
 * NGX_OK        value and params are that route's; names belong to the tree,
 *               values to the URI; allow is not complete
 * NGX_ABORT     routes fit, but not by method: allow is the union of theirs
 * NGX_DECLINED  no route fits
 *
 * With method 0 the answer is NGX_ABORT or NGX_DECLINED and allow complete.
 * What a parameter captures is what Starlette's regular expressions capture
 * (greedy, with backtracking).  Members past nparams are not set.
 *
 * Allocates nothing.  Takes at most URI length times parameter edges looks
 * into the tree, whatever the patterns: see the tree's invariant in the .c
 * file.  Keeps its notes in the tree: one thread at a time, not reentrant.
 */

ngx_int_t ngx_http_async_route_tree_match(ngx_http_async_route_tree_t *tree,
    ngx_str_t *uri, ngx_uint_t method, ngx_http_async_route_match_t *match);


#endif /* _NGX_HTTP_ASYNC_ROUTE_TREE_H_INCLUDED_ */
