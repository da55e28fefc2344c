
/*
 * Copyright (C) the nginx-async authors
 *
 * One value as JSON text: see ngx_http_async_pg_write.h.
 *
 * Text of json and jsonb is written as it is: the server has parsed what it
 * took in, and by the same grammar.  So it may hold white space and names
 * twice.
 */

#include <ngx_http_async_pg_write.h>


static ngx_int_t ngx_http_async_pg_write_item(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_kind_e kind, ngx_str_t *text);
static ngx_int_t ngx_http_async_pg_write_number(ngx_http_async_pg_out_t *o,
    ngx_str_t *text);
static ngx_int_t ngx_http_async_pg_write_array(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_type_t type, ngx_str_t *text);


void
ngx_http_async_pg_out(ngx_http_async_pg_out_t *o, ngx_pool_t *pool)
{
    ngx_http_async_json_out(&o->out, pool);

    o->items = NULL;
    o->size = 0;
}


ngx_int_t
ngx_http_async_pg_out_done(ngx_http_async_pg_out_t *o, ngx_int_t rc,
    ngx_str_t *text)
{
    if (o->items) {
        ngx_free(o->items);
    }

    return ngx_http_async_json_out_done(&o->out, rc, text);
}


ngx_int_t
ngx_http_async_pg_write(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_type_t type, ngx_str_t *text)
{
    size_t     used;
    ngx_int_t  rc;

    if (type.delimiter == 0) {
        return ngx_http_async_pg_write_item(o, type.kind, text);
    }

    used = o->out.pos - o->out.start;

    rc = ngx_http_async_pg_write_array(o, type, text);

    if (rc == NGX_DECLINED) {
        o->out.pos = o->out.start + used;

        return ngx_http_async_json_write_string(&o->out, (char *) text->data,
                                                text->len);
    }

    return rc;
}


static ngx_int_t
ngx_http_async_pg_write_item(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_kind_e kind, ngx_str_t *text)
{
    u_char     buf[NGX_HTTP_ASYNC_PG_PLAIN_LEN];
    ngx_int_t  rc;
    ngx_str_t  plain;

    plain = *text;

    switch (kind) {

    case NGX_HTTP_ASYNC_PG_IS_TEXT:
    case NGX_HTTP_ASYNC_PG_IS_DATE:
        break;

    case NGX_HTTP_ASYNC_PG_IS_INT:
    case NGX_HTTP_ASYNC_PG_IS_FLOAT:
    case NGX_HTTP_ASYNC_PG_IS_NUMERIC:
        return ngx_http_async_pg_write_number(o, text);

    case NGX_HTTP_ASYNC_PG_IS_BOOL:
        return (text->len && text->data[0] == 't')
               ? ngx_http_async_json_write_word(&o->out, "true", 4)
               : ngx_http_async_json_write_word(&o->out, "false", 5);

    case NGX_HTTP_ASYNC_PG_IS_JSON:
        return ngx_http_async_json_write_word(&o->out, (char *) text->data,
                                              text->len);

    case NGX_HTTP_ASYNC_PG_IS_BYTES:
        rc = ngx_http_async_pg_write_bytes(o, text);

        if (rc != NGX_DECLINED) {
            return rc;
        }

        break;

    case NGX_HTTP_ASYNC_PG_IS_VOID:
        return ngx_http_async_json_write_word(&o->out, "null", 4);

    default:
        plain = ngx_http_async_pg_plain(kind, text, buf);
    }

    return ngx_http_async_json_write_string(&o->out, (char *) plain.data,
                                            plain.len);
}


/* the server writes numbers as JSON has them, but for NaN and infinity */

static ngx_int_t
ngx_http_async_pg_write_number(ngx_http_async_pg_out_t *o, ngx_str_t *text)
{
    if (!ngx_http_async_pg_finite(text->data, text->len)) {
        return ngx_http_async_json_write_word(&o->out, "null", 4);
    }

    return ngx_http_async_json_write_word(&o->out, (char *) text->data,
                                          text->len);
}


/* decoded behind where the base64 will stand */

ngx_int_t
ngx_http_async_pg_write_bytes(ngx_http_async_pg_out_t *o, ngx_str_t *text)
{
    size_t     room;
    ngx_str_t  from, to;

    room = ngx_base64_encoded_length(text->len) + 2;

    if (ngx_http_async_json_reserve(&o->out, room + text->len + 1) != NGX_OK) {
        return NGX_ERROR;
    }

    from.data = o->out.pos + room;

    if (ngx_http_async_pg_bytes(text, from.data, &from.len) != NGX_OK) {
        return NGX_DECLINED;
    }

    to.data = o->out.pos + 1;
    ngx_encode_base64(&to, &from);

    *o->out.pos = '"';
    o->out.pos = to.data + to.len;
    *o->out.pos++ = '"';

    return NGX_OK;
}


/* NGX_DECLINED: it is none, and a part of it has been written */

static ngx_int_t
ngx_http_async_pg_write_array(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_type_t type, ngx_str_t *text)
{
    ngx_int_t                   rc;
    ngx_str_t                   item;
    ngx_uint_t                  comma;
    ngx_http_async_pg_array_t   a;
    ngx_http_async_pg_array_e   next;

    ngx_http_async_pg_array(&a, text, type.delimiter);

    for (comma = 0; /* void */ ; comma = (next != NGX_HTTP_ASYNC_PG_ARRAY_OPEN))
    {
        next = ngx_http_async_pg_array_next(&a);

        if (next == NGX_HTTP_ASYNC_PG_ARRAY_END) {
            return NGX_OK;
        }

        if (next == NGX_HTTP_ASYNC_PG_ARRAY_BAD) {
            return NGX_DECLINED;
        }

        if (ngx_http_async_json_reserve(&o->out, sizeof(",null")) != NGX_OK) {
            return NGX_ERROR;
        }

        if (next == NGX_HTTP_ASYNC_PG_ARRAY_CLOSE) {
            *o->out.pos++ = ']';
            continue;
        }

        if (comma) {
            *o->out.pos++ = ',';
        }

        if (next == NGX_HTTP_ASYNC_PG_ARRAY_OPEN) {
            *o->out.pos++ = '[';

        } else if (next == NGX_HTTP_ASYNC_PG_ARRAY_NULL) {
            o->out.pos = ngx_cpymem(o->out.pos, "null", 4);

        } else {
            rc = ngx_http_async_pg_item(o, &a, &item);

            if (rc == NGX_OK) {
                rc = ngx_http_async_pg_write_item(o, type.kind, &item);
            }

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }
}


ngx_int_t
ngx_http_async_pg_item(ngx_http_async_pg_out_t *o,
    ngx_http_async_pg_array_t *a, ngx_str_t *item)
{
    *item = a->item;

    if (!a->escaped) {
        return NGX_OK;
    }

    if (o->size < item->len) {

        if (o->items) {
            ngx_free(o->items);
        }

        o->size = ngx_max(2 * item->len, 256);
        o->items = ngx_alloc(o->size, o->out.pool->log);

        if (o->items == NULL) {
            o->size = 0;
            o->out.error = "no memory";
            return NGX_ERROR;
        }
    }

    item->len = ngx_http_async_pg_unescape(&a->item, o->items);
    item->data = o->items;

    return NGX_OK;
}
