
/*
 * Copyright (C) the nginx-async authors
 *
 * Trees of jansson as JSON text, cut to what a model names: see
 * ngx_http_async_model_write.h.
 */

#include <ngx_http_async_model_out.h>


static ngx_int_t ngx_http_async_model_filter_next(
    ngx_http_async_model_out_t *o);
static ngx_int_t ngx_http_async_model_filter_value(
    ngx_http_async_model_out_t *o, const async_model_t *model, json_t *value);


ngx_int_t
ngx_http_async_model_filter(ngx_pool_t *pool, const async_model_t *model,
    json_t *value, ngx_str_t *text,
    u_char error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN])
{
    ngx_int_t                   rc;
    ngx_http_async_model_out_t  o;

    ngx_http_async_model_out(&o, pool);

    if (json_is_object(value) || json_is_array(value) || json_is_null(value)) {
        rc = ngx_http_async_model_filter_value(&o, model, value);

    } else {
        rc = ngx_http_async_model_no_form(&o, "the value is no object, and no "
                                          "array of them");
    }

    while (rc == NGX_OK && o.depth) {
        rc = ngx_http_async_model_filter_next(&o);
    }

    return ngx_http_async_model_out_done(&o, rc, model, text, error);
}


/* one more field or item of what is open, or its end */

static ngx_int_t
ngx_http_async_model_filter_next(ngx_http_async_model_out_t *o)
{
    json_t                        *value, *from;
    const async_field_t           *field;
    const async_model_t           *model;
    ngx_http_async_model_frame_t  *f;

    f = &o->frames[o->depth];
    from = (json_t *) f->from;

    if (f->index == f->n) {
        return ngx_http_async_model_close(o);
    }

    model = f->model;

    if (f->list) {
        value = json_array_get(from, f->index++);

        if (ngx_http_async_model_comma(o) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_async_model_filter_value(o, model, value);
    }

    field = ngx_http_async_model_field(model, f->index);
    f->index++;

    value = json_object_get(from, ngx_http_async_model_name(field));

    if (value == NULL) {
        return NGX_OK;
    }

    if (ngx_http_async_model_comma(o) != NGX_OK
        || ngx_http_async_model_write_name(o, field) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_async_model_filter_value(o,
                                    ngx_http_async_model_within(model, field),
                                    value);
}


static ngx_int_t
ngx_http_async_model_filter_value(ngx_http_async_model_out_t *o,
    const async_model_t *model, json_t *value)
{
    if (model && json_is_object(value)) {
        return ngx_http_async_model_open(o, model, value, model->n, 0);
    }

    if (model && json_is_array(value)) {
        return ngx_http_async_model_open(o, model, value,
                                         json_array_size(value), 1);
    }

    return ngx_http_async_json_write(&o->out, value);
}
