
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON text into a tree of jansson's, without its parser: for the loader, which
 * bounds what is read and tells what was wrong.  Pure: knows no request.
 */

#ifndef _NGX_HTTP_ASYNC_JSON_TREE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_JSON_TREE_H_INCLUDED_


#include <ngx_http_async_json_read.h>


typedef struct {
    ngx_uint_t       max_depth;   /* NGX_HTTP_ASYNC_JSON_MAX_DEPTH at most */
    ngx_uint_t       wide;        /* integers beyond int64_t are reals */
    ngx_uint_t       exact;       /* stop at a key that was there: slow */

    const char      *refused;     /* why, if it might be JSON; else NULL */
    u_char          *end;         /* of that key or number, if "exact" */
} ngx_http_async_json_tree_t;


/*
 * NGX_OK: *value is a new reference; NGX_HTTP_ASYNC_JSON_REFUSE; NGX_ERROR
 * without memory.  If it is not NGX_OK, *value is NULL, and what had been built
 * is freed: jansson recurs as deep.
 */

ngx_int_t ngx_http_async_json_tree(ngx_http_async_json_tree_t *tree,
    ngx_str_t *text, json_t **value);


#endif /* _NGX_HTTP_ASYNC_JSON_TREE_H_INCLUDED_ */
