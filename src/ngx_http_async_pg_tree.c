
/*
 * Copyright (C) the nginx-async authors
 *
 * One value as a tree of jansson: see ngx_http_async_pg_write.h.
 */

#include <ngx_http_async_pg_write.h>
#include <ngx_http_async_value.h>


static json_t *ngx_http_async_pg_tree_item(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_kind_e kind, ngx_str_t *text);
static json_t *ngx_http_async_pg_tree_number(ngx_http_async_pg_kind_e kind,
    ngx_str_t *text);
static json_t *ngx_http_async_pg_tree_json(ngx_http_async_pg_out_t *o,
    ngx_str_t *text);
static json_t *ngx_http_async_pg_tree_bytes(ngx_http_async_pg_out_t *o,
    ngx_str_t *text);
static json_t *ngx_http_async_pg_tree_array(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_type_t type, ngx_str_t *text, ngx_uint_t *bad);
static json_t *ngx_http_async_pg_tree_next(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_kind_e kind, ngx_http_async_pg_array_t *a,
    ngx_http_async_pg_array_e next);


json_t *
ngx_http_async_pg_tree(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_type_t type, ngx_str_t *text)
{
    json_t      *value;
    ngx_uint_t   bad;

    o->out.error = "no memory";

    if (type.delimiter == 0) {
        return ngx_http_async_pg_tree_item(o, type.kind, text);
    }

    bad = 0;
    value = ngx_http_async_pg_tree_array(o, type, text, &bad);

    return bad ? json_stringn_nocheck((char *) text->data, text->len) : value;
}


static json_t *
ngx_http_async_pg_tree_item(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_kind_e kind, ngx_str_t *text)
{
    u_char     buf[NGX_HTTP_ASYNC_PG_PLAIN_LEN];
    ngx_str_t  plain;

    switch (kind) {

    case NGX_HTTP_ASYNC_PG_IS_INT:
    case NGX_HTTP_ASYNC_PG_IS_FLOAT:
    case NGX_HTTP_ASYNC_PG_IS_NUMERIC:
        return ngx_http_async_pg_tree_number(kind, text);

    case NGX_HTTP_ASYNC_PG_IS_BOOL:
        return json_boolean(text->len && text->data[0] == 't');

    case NGX_HTTP_ASYNC_PG_IS_JSON:
        return ngx_http_async_pg_tree_json(o, text);

    case NGX_HTTP_ASYNC_PG_IS_BYTES:
        return ngx_http_async_pg_tree_bytes(o, text);

    case NGX_HTTP_ASYNC_PG_IS_VOID:
        return json_null();

    default:
        plain = ngx_http_async_pg_plain(kind, text, buf);

        return json_stringn_nocheck((char *) plain.data, plain.len);
    }
}


static json_t *
ngx_http_async_pg_tree_number(ngx_http_async_pg_kind_e kind, ngx_str_t *text)
{
    double                         number;
    int64_t                        integer;
    ngx_http_async_value_error_t   error;

    if (!ngx_http_async_pg_finite(text->data, text->len)) {
        return json_null();
    }

    /* "5.00" is none */

    if (kind != NGX_HTTP_ASYNC_PG_IS_FLOAT
        && ngx_strlchr(text->data, text->data + text->len, '.') == NULL
        && ngx_http_async_value_int(text, &integer, &error) == NGX_OK)
    {
        return json_integer(integer);
    }

    if (ngx_http_async_value_float(text, &number, &error) == NGX_OK) {
        return json_real(number);
    }

    return json_stringn_nocheck((char *) text->data, text->len);
}


static json_t *
ngx_http_async_pg_tree_json(ngx_http_async_pg_out_t *o, ngx_str_t *text)
{
    json_t                       *value;
    ngx_int_t                     rc;
    ngx_http_async_json_error_t   error;

    rc = ngx_http_async_json_load(text->data, text->len, 0, &value, &error);

    if (rc == NGX_DECLINED) {
        o->out.error = error.text;
    }

    return (rc == NGX_OK) ? value : NULL;
}


static json_t *
ngx_http_async_pg_tree_bytes(ngx_http_async_pg_out_t *o, ngx_str_t *text)
{
    ngx_int_t  rc;

    /* base64 needs no escapes: what is between the quotes is the string */

    o->out.pos = o->out.start;

    rc = ngx_http_async_pg_write_bytes(o, text);

    if (rc == NGX_ERROR) {
        return NULL;
    }

    return (rc == NGX_DECLINED)
           ? json_stringn_nocheck((char *) text->data, text->len)
           : json_stringn_nocheck((char *) o->out.start + 1,
                                  o->out.pos - o->out.start - 2);
}


static json_t *
ngx_http_async_pg_tree_array(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_type_t type, ngx_str_t *text, ngx_uint_t *bad)
{
    json_t                     *root, *value;
    json_t                     *open[NGX_HTTP_ASYNC_PG_MAX_DIM + 1];
    ngx_http_async_pg_array_t   a;
    ngx_http_async_pg_array_e   next;

    root = NULL;

    ngx_http_async_pg_array(&a, text, type.delimiter);

    for ( ;; ) {
        next = ngx_http_async_pg_array_next(&a);

        if (next == NGX_HTTP_ASYNC_PG_ARRAY_END) {
            return root;
        }

        if (next == NGX_HTTP_ASYNC_PG_ARRAY_BAD) {
            *bad = 1;
            break;
        }

        if (next == NGX_HTTP_ASYNC_PG_ARRAY_CLOSE) {
            continue;
        }

        value = ngx_http_async_pg_tree_next(o, type.kind, &a, next);

        if (root == NULL) {
            root = value;

        } else if (json_array_append_new(
                       open[a.depth - (next == NGX_HTTP_ASYNC_PG_ARRAY_OPEN)],
                       value) != 0)
        {
            break;
        }

        if (value == NULL) {
            break;
        }

        if (next == NGX_HTTP_ASYNC_PG_ARRAY_OPEN) {
            open[a.depth] = value;
        }
    }

    json_decref(root);

    return NULL;
}


static json_t *
ngx_http_async_pg_tree_next(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_kind_e kind, ngx_http_async_pg_array_t *a,
    ngx_http_async_pg_array_e next)
{
    ngx_str_t  item;

    if (next == NGX_HTTP_ASYNC_PG_ARRAY_OPEN) {
        return json_array();
    }

    if (next == NGX_HTTP_ASYNC_PG_ARRAY_NULL) {
        return json_null();
    }

    if (ngx_http_async_pg_item(o, a, &item) != NGX_OK) {
        return NULL;
    }

    return ngx_http_async_pg_tree_item(o, kind, &item);
}
