
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON text by a model in the making: see ngx_http_async_model_out.h.
 */

#include <ngx_http_async_model_out.h>


/* of a name within names in an error */
#define NGX_HTTP_ASYNC_MODEL_PLACE_LEN  48


static void ngx_http_async_model_place(ngx_http_async_model_out_t *o,
    const async_model_t *model, u_char *error);
static ngx_int_t ngx_http_async_model_more_frames(
    ngx_http_async_model_out_t *o);


void
ngx_http_async_model_out(ngx_http_async_model_out_t *o, ngx_pool_t *pool)
{
    ngx_http_async_json_out(&o->out, pool);

    o->item = -1;
    o->depth = 0;
    o->nframes = NGX_HTTP_ASYNC_MODEL_FRAMES;
    o->frames = o->few;
}


ngx_int_t
ngx_http_async_model_out_done(ngx_http_async_model_out_t *o, ngx_int_t rc,
    const async_model_t *model, ngx_str_t *text, u_char *error)
{
    if (rc == NGX_OK) {
        rc = ngx_http_async_json_write_word(&o->out, "", 1);
    }

    if (rc != NGX_OK) {
        ngx_http_async_model_place(o, model, error);
    }

    if (o->frames != o->few) {
        ngx_free(o->frames);
    }

    rc = ngx_http_async_json_out_done(&o->out, rc, text);

    if (rc == NGX_OK) {
        text->len--;

    } else if (rc == NGX_ERROR) {
        ngx_sprintf(error, "no memory%Z");
    }

    return rc;
}


/* "items[3].price" of "order_model": ... */

static void
ngx_http_async_model_place(ngx_http_async_model_out_t *o,
    const async_model_t *model, u_char *error)
{
    u_char                        *p, *last, *start;
    ngx_http_async_model_frame_t  *f;

    start = error + 1;
    last = start + NGX_HTTP_ASYNC_MODEL_PLACE_LEN;
    p = start;

    for (f = &o->frames[1]; f <= &o->frames[o->depth]; f++) {

        /* of what has just been opened, nothing has been written */

        if (f->index == 0) {
            break;
        }

        if (f->list) {
            p = ngx_slprintf(p, last, "[%uz]", f->index - 1);
            continue;
        }

        p = ngx_slprintf(p, last, "%s%s", p == start ? "" : ".",
                         ngx_http_async_model_name(
                             ngx_http_async_model_field(f->model,
                                                        f->index - 1)));
    }

    if (o->item >= 0) {
        p = ngx_slprintf(p, last, "[%i]", o->item);
    }

    /* a circle is long, and the reason shall be seen */

    if (p == last) {
        p = ngx_cpymem(last - 3, "...", 3);
    }

    *error = '"';
    last = error + NGX_HTTP_ASYNC_MODEL_ERROR_LEN - 1;

    p = (p == start) ? ngx_slprintf(error, last, "\"%s\": %s", model->name,
                                    o->out.error)
                     : ngx_slprintf(p, last, "\" of \"%s\": %s", model->name,
                                    o->out.error);
    *p = '\0';
}


ngx_int_t
ngx_http_async_model_open(ngx_http_async_model_out_t *o,
    const async_model_t *model, const void *from, size_t n, ngx_uint_t list)
{
    ngx_int_t                      rc;
    ngx_http_async_model_frame_t  *f;

    rc = ngx_http_async_json_open(&o->out, list ? '[' : '{');
    if (rc != NGX_OK) {
        return rc;
    }

    if (o->depth == o->nframes
        && ngx_http_async_model_more_frames(o) != NGX_OK)
    {
        return NGX_ERROR;
    }

    f = &o->frames[++o->depth];

    f->model = model;
    f->from = from;
    f->n = n;
    f->index = 0;
    f->comma = 0;
    f->list = list;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_model_more_frames(ngx_http_async_model_out_t *o)
{
    ngx_http_async_model_frame_t  *frames;

    frames = ngx_alloc((NGX_HTTP_ASYNC_JSON_ENCODE_DEPTH + 1)
                       * sizeof(ngx_http_async_model_frame_t),
                       o->out.pool->log);
    if (frames == NULL) {
        o->out.error = "no memory";
        return NGX_ERROR;
    }

    ngx_memcpy(frames, o->few, sizeof(o->few));

    o->frames = frames;
    o->nframes = NGX_HTTP_ASYNC_JSON_ENCODE_DEPTH;

    return NGX_OK;
}
