
/*
 * Copyright (C) the nginx-async authors
 *
 * Structs as JSON text: see ngx_http_async_model_write.h.
 *
 * What is open is kept in frames of our own, beside those of the text, so that
 * structs within structs take no stack, and one that leads back to itself ends
 * at the depth where JSON ends.
 */

#include <ngx_http_async_model_write.h>


/* so many levels cost no memory */
#define NGX_HTTP_ASYNC_MODEL_FRAMES  16


/* of a name within names in an error */
#define NGX_HTTP_ASYNC_MODEL_PLACE_LEN  48


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


static void ngx_http_async_model_out(ngx_http_async_model_out_t *o,
    ngx_pool_t *pool);
static ngx_int_t ngx_http_async_model_out_done(ngx_http_async_model_out_t *o,
    ngx_int_t rc, const async_model_t *model, ngx_str_t *text, u_char *error);
static void ngx_http_async_model_place(ngx_http_async_model_out_t *o,
    const async_model_t *model, u_char *error);
static ngx_int_t ngx_http_async_model_open(ngx_http_async_model_out_t *o,
    const async_model_t *model, const void *from, size_t n, ngx_uint_t list);
static ngx_int_t ngx_http_async_model_more_frames(
    ngx_http_async_model_out_t *o);
static ngx_int_t ngx_http_async_model_close(ngx_http_async_model_out_t *o);
static ngx_int_t ngx_http_async_model_comma(ngx_http_async_model_out_t *o);
static ngx_int_t ngx_http_async_model_write_next(
    ngx_http_async_model_out_t *o);
static ngx_int_t ngx_http_async_model_write_field(
    ngx_http_async_model_out_t *o, const async_model_t *model,
    const async_field_t *field, const u_char *from);
static ngx_int_t ngx_http_async_model_write_name(
    ngx_http_async_model_out_t *o, const async_field_t *field);
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
static ngx_int_t ngx_http_async_model_filter_next(
    ngx_http_async_model_out_t *o);
static ngx_int_t ngx_http_async_model_filter_value(
    ngx_http_async_model_out_t *o, const async_model_t *model, json_t *value);
static ngx_int_t ngx_http_async_model_no_form(ngx_http_async_model_out_t *o,
    const char *error);
static u_char *ngx_http_async_model_digits(u_char *p, ngx_uint_t n,
    ngx_uint_t width);


/* before a year of the Gregorian calendar */
#define ngx_http_async_model_days(year)                                      \
    (365 * (uint64_t) (year) + (year) / 4 - (year) / 100 + (year) / 400)


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


static void
ngx_http_async_model_out(ngx_http_async_model_out_t *o, ngx_pool_t *pool)
{
    ngx_http_async_json_out(&o->out, pool);

    o->item = -1;
    o->depth = 0;
    o->nframes = NGX_HTTP_ASYNC_MODEL_FRAMES;
    o->frames = o->few;
}


static ngx_int_t
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


static ngx_int_t
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


static ngx_int_t
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


static ngx_int_t
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
    uint64_t            u;
    const char *const  *choices;

    n = 0;
    u = 0;

    switch (ngx_http_async_model_kind(field)) {

    case ASYNC_MEMBER_INT8:
        n = *(const int8_t *) from;
        break;

    case ASYNC_MEMBER_INT16:
        n = *(const int16_t *) from;
        break;

    case ASYNC_MEMBER_INT32:
        n = *(const int32_t *) from;
        break;

    case ASYNC_MEMBER_INT64:
        n = *(const int64_t *) from;
        break;

    case ASYNC_MEMBER_UINT8:
        u = *(const uint8_t *) from;
        break;

    case ASYNC_MEMBER_UINT16:
        u = *(const uint16_t *) from;
        break;

    case ASYNC_MEMBER_UINT32:
        u = *(const uint32_t *) from;
        break;

    default:
        u = *(const uint64_t *) from;
        break;
    }

    if (field->type == ASYNC_FIELD_TIME) {
        return ngx_http_async_model_write_time(o, n);
    }

    choices = ngx_http_async_model_choices(model, field);

    if (choices) {
        /* a negative one is beyond all of them */
        return ngx_http_async_model_write_choice(o, choices, n ? (uint64_t) n
                                                               : u);
    }

    if (n) {
        return ngx_http_async_json_write_int(&o->out, n);
    }

    if (ngx_http_async_json_reserve(&o->out, NGX_INT64_LEN) != NGX_OK) {
        return NGX_ERROR;
    }

    o->out.pos = ngx_http_async_json_digits(o->out.pos, u);

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


/* the same of a tree */

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


static ngx_int_t
ngx_http_async_model_no_form(ngx_http_async_model_out_t *o, const char *error)
{
    o->out.error = error;

    return NGX_DECLINED;
}


/*
 * Years begin in March here, so that the day which some of them have is their
 * last one.
 */

u_char *
ngx_http_async_model_time(u_char *p, int64_t ms)
{
    uint64_t    days, clock;
    ngx_uint_t  year, month;

    /* before each month, from March on */

    static const uint16_t  before[] = {
        0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337
    };

    /* of 0001-01-01 and of 10000-01-01 */

    if (ms < -62135596800000 || ms >= 253402300800000) {
        return NULL;
    }

    /* since 0000-03-01, which is 719468 days before 1970 */

    clock = ms + 719468 * INT64_C(86400000);

    days = clock / 86400000;
    clock %= 86400000;

    /* by their average length: no year begins a day late, some a day early */

    year = days * 400 / 146097;

    if (ngx_http_async_model_days(year + 1) <= days) {
        year++;
    }

    days -= ngx_http_async_model_days(year);

    for (month = 11; before[month] > days; month--) { /* void */ }

    days -= before[month];

    if (month >= 10) {
        year++;
    }

    month = (month + 2) % 12;

    p = ngx_http_async_model_digits(p, year, 4);
    *p++ = '-';
    p = ngx_http_async_model_digits(p, month + 1, 2);
    *p++ = '-';
    p = ngx_http_async_model_digits(p, days + 1, 2);
    *p++ = 'T';
    p = ngx_http_async_model_digits(p, clock / 3600000, 2);
    *p++ = ':';
    p = ngx_http_async_model_digits(p, clock / 60000 % 60, 2);
    *p++ = ':';
    p = ngx_http_async_model_digits(p, clock / 1000 % 60, 2);

    clock %= 1000;

    if (clock) {
        *p++ = '.';
        p = ngx_http_async_model_digits(p, clock, 3);

        /* as PostgreSQL writes them */

        while (p[-1] == '0') {
            p--;
        }
    }

    *p++ = 'Z';

    return p;
}


static u_char *
ngx_http_async_model_digits(u_char *p, ngx_uint_t n, ngx_uint_t width)
{
    u_char  *q;

    for (q = p + width; q > p; n /= 10) {
        *--q = (u_char) ('0' + n % 10);
    }

    return p + width;
}
