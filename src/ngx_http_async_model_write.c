
/*
 * Copyright (C) the nginx-async authors
 *
 * Structs as JSON text: see ngx_http_async_model_write.h.
 */

#include <ngx_http_async_model_out.h>
#include <ngx_http_async_model_time.h>


static ngx_int_t ngx_http_async_model_write_next(
    ngx_http_async_model_out_t *o);
static ngx_int_t ngx_http_async_model_write_field(
    ngx_http_async_model_out_t *o, const async_model_t *model,
    const async_field_t *field, const u_char *from);
static ngx_int_t ngx_http_async_model_write_list(
    ngx_http_async_model_out_t *o, const async_model_t *model,
    const async_field_t *field, const u_char *from);
static ngx_int_t ngx_http_async_model_write_items(
    ngx_http_async_model_out_t *o, const async_model_t *model,
    const async_field_t *field, const u_char *items, size_t n);
static ngx_int_t ngx_http_async_model_write_value(
    ngx_http_async_model_out_t *o, const async_model_t *model,
    const async_field_t *field, const void *from);
static ngx_int_t ngx_http_async_model_write_number(
    ngx_http_async_model_out_t *o, const async_model_t *model,
    const async_field_t *field, const void *from);
static ngx_int_t ngx_http_async_model_write_time(
    ngx_http_async_model_out_t *o, int64_t ms);
static ngx_int_t ngx_http_async_model_write_choice(
    ngx_http_async_model_out_t *o, const char *const *choices, uint64_t n);
static ngx_int_t ngx_http_async_model_write_text(
    ngx_http_async_model_out_t *o, const async_model_t *model,
    const async_field_t *field, const char *data, size_t len);
static ngx_uint_t ngx_http_async_model_is_choice(const char *const *choices,
    const char *data, size_t len);
static ngx_int_t ngx_http_async_model_write_bytes(
    ngx_http_async_model_out_t *o, const char *data, size_t len);
static ngx_int_t ngx_http_async_model_write_null(
    ngx_http_async_model_out_t *o, const async_field_t *field);


ngx_int_t
ngx_http_async_model_write(ngx_pool_t *pool, const async_model_t *model,
    const void *values, size_t n, ngx_uint_t list, ngx_str_t *text,
    u_char error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN])
{
    ngx_int_t                   rc;
    ngx_http_async_model_out_t  o;

    ngx_http_async_model_out(&o, pool);

    if (values == NULL && !list) {
        rc = ngx_http_async_json_write_word(&o.out, "null", 4);

    } else if (values == NULL && n) {
        rc = ngx_http_async_model_no_form(&o, "the value is NULL");

    } else {
        rc = ngx_http_async_model_open(&o, model, values, list ? n : model->n,
                                       list);
    }

    while (rc == NGX_OK && o.depth) {
        rc = ngx_http_async_model_write_next(&o);
    }

    return ngx_http_async_model_out_done(&o, rc, model, text, error);
}


/* one more field or item of what is open, or its end */

static ngx_int_t
ngx_http_async_model_write_next(ngx_http_async_model_out_t *o)
{
    size_t                         i;
    const u_char                  *from;
    const async_model_t           *model;
    ngx_http_async_model_frame_t  *f;

    f = &o->frames[o->depth];

    if (f->index == f->n) {
        return ngx_http_async_model_close(o);
    }

    if (ngx_http_async_model_comma(o) != NGX_OK) {
        return NGX_ERROR;
    }

    i = f->index++;
    from = f->from;
    model = f->model;

    if (f->list) {
        return ngx_http_async_model_open(o, model, from + i * model->type_size,
                                         model->n, 0);
    }

    return ngx_http_async_model_write_field(o, model,
                                         ngx_http_async_model_field(model, i),
                                         from);
}


static ngx_int_t
ngx_http_async_model_write_field(ngx_http_async_model_out_t *o,
    const async_model_t *model, const async_field_t *field,
    const u_char *from)
{
    const void  *value;

    if (ngx_http_async_model_write_name(o, field) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_async_model_is_list(field)) {
        return ngx_http_async_model_write_list(o, model, field, from);
    }

    value = from + field->offset;

    if (ngx_http_async_model_is_pointer(field)) {
        value = *(const void *const *) value;

        if (value == NULL) {
            return ngx_http_async_json_write_word(&o->out, "null", 4);
        }
    }

    if (ngx_http_async_model_kind(field) == ASYNC_MEMBER_OBJECT) {
        return ngx_http_async_model_open(o, field->model, value,
                                         field->model->n, 0);
    }

    return ngx_http_async_model_write_value(o, model, field, value);
}


static ngx_int_t
ngx_http_async_model_write_list(ngx_http_async_model_out_t *o,
    const async_model_t *model, const async_field_t *field,
    const u_char *from)
{
    size_t         n;
    const u_char  *items;

    items = *(const u_char *const *) (from + field->offset);
    n = *(const size_t *) (from + field->count);

    if (items == NULL && (n || field->optional)) {
        return ngx_http_async_model_write_null(o, field);
    }

    if (ngx_http_async_model_kind(field) == ASYNC_MEMBER_OBJECT) {
        return ngx_http_async_model_open(o, field->model, items, n, 1);
    }

    return ngx_http_async_model_write_items(o, model, field, items, n);
}


static ngx_int_t
ngx_http_async_model_write_items(ngx_http_async_model_out_t *o,
    const async_model_t *model, const async_field_t *field,
    const u_char *items, size_t n)
{
    size_t     i, size;
    ngx_int_t  rc;

    rc = ngx_http_async_json_open(&o->out, '[');
    if (rc != NGX_OK) {
        return rc;
    }

    size = ngx_http_async_model_size(ngx_http_async_model_kind(field));

    for (i = 0; i < n; i++) {

        if (i) {
            if (ngx_http_async_json_reserve(&o->out, 1) != NGX_OK) {
                return NGX_ERROR;
            }

            *o->out.pos++ = ',';
        }

        o->item = i;

        rc = ngx_http_async_model_write_value(o, model, field,
                                              items + i * size);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    o->item = -1;
    o->out.depth--;

    return ngx_http_async_json_write_word(&o->out, "]", 1);
}


/* of a list, an item; of a pointer, what it points to */

static ngx_int_t
ngx_http_async_model_write_value(ngx_http_async_model_out_t *o,
    const async_model_t *model, const async_field_t *field, const void *from)
{
    json_t             *json;
    const char         *text;
    const async_str_t  *str;

    switch (ngx_http_async_model_kind(field)) {

    case ASYNC_MEMBER_BOOL:
        return *(const _Bool *) from
               ? ngx_http_async_json_write_word(&o->out, "true", 4)
               : ngx_http_async_json_write_word(&o->out, "false", 5);

    case ASYNC_MEMBER_FLOAT:
        return ngx_http_async_json_write_float(&o->out, *(const float *) from);

    case ASYNC_MEMBER_DOUBLE:
        return ngx_http_async_json_write_real(&o->out, *(const double *) from);

    case ASYNC_MEMBER_TEXT:
        text = *(const char *const *) from;

        return text ? ngx_http_async_model_write_text(o, model, field, text,
                                                      ngx_strlen(text))
                    : ngx_http_async_model_write_null(o, field);

    case ASYNC_MEMBER_STR:
        str = from;

        return str->data ? ngx_http_async_model_write_text(o, model, field,
                                                           str->data, str->len)
                         : ngx_http_async_model_write_null(o, field);

    case ASYNC_MEMBER_JSON:
        json = *(json_t *const *) from;

        return json ? ngx_http_async_json_write(&o->out, json)
                    : ngx_http_async_model_write_null(o, field);

    case ASYNC_MEMBER_UPLOAD:
        return ngx_http_async_model_no_form(o, "an upload has no JSON form");

    default:
        return ngx_http_async_model_write_number(o, model, field, from);
    }
}


/* of each width: json_int_t would have no room for the largest */

static ngx_int_t
ngx_http_async_model_write_number(ngx_http_async_model_out_t *o,
    const async_model_t *model, const async_field_t *field, const void *from)
{
    int64_t             n;
    ngx_uint_t          kind;
    const char *const  *choices;

    kind = ngx_http_async_model_kind(field);
    n = ngx_http_async_model_integer(kind, from);

    if (field->type == ASYNC_FIELD_TIME) {
        return ngx_http_async_model_write_time(o, n);
    }

    choices = ngx_http_async_model_choices(model, field);

    if (choices) {
        /* a negative one is beyond all of them */
        return ngx_http_async_model_write_choice(o, choices, n);
    }

    if (kind <= ASYNC_MEMBER_INT64) {
        return ngx_http_async_json_write_int(&o->out, n);
    }

    if (ngx_http_async_json_reserve(&o->out, NGX_INT64_LEN) != NGX_OK) {
        return NGX_ERROR;
    }

    o->out.pos = ngx_http_async_json_digits(o->out.pos, n);

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_model_write_time(ngx_http_async_model_out_t *o, int64_t ms)
{
    u_char  *p;

    if (ngx_http_async_json_reserve(&o->out,
                                    NGX_HTTP_ASYNC_MODEL_TIME_LEN + 2)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_http_async_model_time(o->out.pos + 1, ms);

    if (p == NULL) {
        return ngx_http_async_model_no_form(o, "the time is not within the "
                                            "years from 1 to 9999");
    }

    *o->out.pos = '"';
    *p++ = '"';
    o->out.pos = p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_model_write_choice(ngx_http_async_model_out_t *o,
    const char *const *choices, uint64_t n)
{
    for ( /* void */ ; *choices; choices++) {

        if (n-- == 0) {
            return ngx_http_async_json_write_text(&o->out, *choices,
                                                  ngx_strlen(*choices));
        }
    }

    return ngx_http_async_model_no_form(o, "the number is none of its choices");
}


static ngx_int_t
ngx_http_async_model_write_text(ngx_http_async_model_out_t *o,
    const async_model_t *model, const async_field_t *field, const char *data,
    size_t len)
{
    const char *const  *choices;

    if (field->type == ASYNC_FIELD_BYTES) {
        return ngx_http_async_model_write_bytes(o, data, len);
    }

    choices = ngx_http_async_model_choices(model, field);

    if (choices && !ngx_http_async_model_is_choice(choices, data, len)) {
        return ngx_http_async_model_no_form(o, "the text is none of its "
                                            "choices");
    }

    return ngx_http_async_json_write_text(&o->out, data, len);
}


static ngx_uint_t
ngx_http_async_model_is_choice(const char *const *choices, const char *data,
    size_t len)
{
    for ( /* void */ ; *choices; choices++) {

        if (ngx_strlen(*choices) == len
            && ngx_memcmp(*choices, data, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_async_model_write_bytes(ngx_http_async_model_out_t *o,
    const char *data, size_t len)
{
    ngx_str_t  from, to;

    if (ngx_http_async_json_reserve(&o->out,
                                    ngx_base64_encoded_length(len) + 2)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    from.data = (u_char *) data;
    from.len = len;

    to.data = o->out.pos + 1;
    ngx_encode_base64(&to, &from);

    *o->out.pos = '"';
    o->out.pos = to.data + to.len;
    *o->out.pos++ = '"';

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_model_write_null(ngx_http_async_model_out_t *o,
    const async_field_t *field)
{
    if (field->optional && o->item < 0) {
        return ngx_http_async_json_write_word(&o->out, "null", 4);
    }

    return ngx_http_async_model_no_form(o, o->item < 0
                                        ? "the value is NULL, and not optional"
                                        : "the value is NULL");
}
