
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON text by a model in the making: what is open in it, and where it goes on.
 * For structs (ngx_http_async_model_write.c), and for trees that are cut to a
 * model (ngx_http_async_model_filter.c).
 *
 * What is open is kept in frames of our own, beside those of the text, so that
 * structs within structs take no stack, and one that leads back to itself ends
 * at the depth where JSON ends.
 */

#ifndef _NGX_HTTP_ASYNC_MODEL_OUT_H_INCLUDED_
#define _NGX_HTTP_ASYNC_MODEL_OUT_H_INCLUDED_


#include <ngx_http_async_model_write.h>


/* so many levels cost no memory */
#define NGX_HTTP_ASYNC_MODEL_FRAMES  16


/* an object or a list of them that is open, and where it goes on */

typedef struct {
    const async_model_t            *model;
    const void                     *from;     /* struct, items, or json_t */
    size_t                          n;        /* fields, or items */
    size_t                          index;    /* behind what is written */
    ngx_uint_t                      comma;
    ngx_uint_t                      list;
} ngx_http_async_model_frame_t;


/* not to be copied: it points into itself */

typedef struct {
    ngx_http_async_json_out_t       out;
    ngx_int_t                       item;     /* of a list; -1: none */
    ngx_uint_t                      depth;
    ngx_uint_t                      nframes;
    ngx_http_async_model_frame_t   *frames;   /* by depth, from 1 */
    ngx_http_async_model_frame_t    few[NGX_HTTP_ASYNC_MODEL_FRAMES + 1];
} ngx_http_async_model_out_t;


/*
 * _done() gives the text if rc is NGX_OK, and says otherwise what is wrong, and
 * where; frees, and returns rc.
 */
void ngx_http_async_model_out(ngx_http_async_model_out_t *o,
    ngx_pool_t *pool);
ngx_int_t ngx_http_async_model_out_done(ngx_http_async_model_out_t *o,
    ngx_int_t rc, const async_model_t *model, ngx_str_t *text, u_char *error);

/*
 * An object with n fields, or, if "list", n items; its frame is that of
 * o->depth.  This and all below answer as those of ngx_http_async_json_write.h.
 */
ngx_int_t ngx_http_async_model_open(ngx_http_async_model_out_t *o,
    const async_model_t *model, const void *from, size_t n, ngx_uint_t list);


/* NGX_DECLINED, with that reason */

static ngx_inline ngx_int_t
ngx_http_async_model_no_form(ngx_http_async_model_out_t *o, const char *error)
{
    o->out.error = error;

    return NGX_DECLINED;
}


/* before a field or an item, unless it is the first */

static ngx_inline ngx_int_t
ngx_http_async_model_comma(ngx_http_async_model_out_t *o)
{
    ngx_http_async_model_frame_t  *f;

    f = &o->frames[o->depth];

    if (!f->comma) {
        f->comma = 1;
        return NGX_OK;
    }

    if (ngx_http_async_json_reserve(&o->out, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    *o->out.pos++ = ',';

    return NGX_OK;
}


static ngx_inline ngx_int_t
ngx_http_async_model_close(ngx_http_async_model_out_t *o)
{
    if (ngx_http_async_json_reserve(&o->out, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    *o->out.pos++ = o->frames[o->depth].list ? ']' : '}';

    o->out.depth--;
    o->depth--;

    return NGX_OK;
}


/* of a field, and the colon */

static ngx_inline ngx_int_t
ngx_http_async_model_write_name(ngx_http_async_model_out_t *o,
    const async_field_t *field)
{
    const char  *name;

    name = ngx_http_async_model_name(field);

    if (ngx_http_async_json_write_string(&o->out, name, ngx_strlen(name))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* there is room for it */

    *o->out.pos++ = ':';

    return NGX_OK;
}


#endif /* _NGX_HTTP_ASYNC_MODEL_OUT_H_INCLUDED_ */
