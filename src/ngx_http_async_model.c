
/*
 * Copyright (C) the nginx-async authors
 *
 * Models: see ngx_http_async_model.h.
 */

#include <math.h>
#include <ngx_http_async_model.h>


typedef struct {
    const char                 *type;
    size_t                      size;
    int64_t                     min;          /* of signed integers */
    uint64_t                    max;          /* of integers; zero: none */
} ngx_http_async_model_kind_t;


static ngx_int_t ngx_http_async_model_check_field(const async_model_t *model,
    const async_field_t *field, u_char *error);
static const char *ngx_http_async_model_misfit(const async_field_t *field);
static ngx_int_t ngx_http_async_model_check_pair(const async_model_t *model,
    const async_field_t *one, const async_field_t *two, u_char *error);
static ngx_uint_t ngx_http_async_model_overlap(const async_field_t *one,
    const async_field_t *two);
static size_t ngx_http_async_model_end(const async_field_t *field);
static ngx_int_t ngx_http_async_model_fail(const async_model_t *model,
    u_char *error, const char *fmt, ...);


/* by ASYNC_MEMBER_... */

static ngx_http_async_model_kind_t  ngx_http_async_model_kinds[] = {
    { NULL, 0, 0, 0 },
    { "int8_t", 1, INT8_MIN, INT8_MAX },
    { "int16_t", 2, INT16_MIN, INT16_MAX },
    { "int32_t", 4, INT32_MIN, INT32_MAX },
    { "int64_t", 8, INT64_MIN, INT64_MAX },
    { "uint8_t", 1, 0, UINT8_MAX },
    { "uint16_t", 2, 0, UINT16_MAX },
    { "uint32_t", 4, 0, UINT32_MAX },
    { "uint64_t", 8, 0, UINT64_MAX },
    { "bool", sizeof(_Bool), 0, 1 },
    { "float", sizeof(float), 0, 0 },
    { "double", sizeof(double), 0, 0 },
    { "const char *", sizeof(char *), 0, 0 },
    { "async_str_t", sizeof(async_str_t), 0, 0 },
    { "json_t *", sizeof(json_t *), 0, 0 },
    { "a struct", 0, 0, 0 },
    { "async_upload_t *", sizeof(async_upload_t *), 0, 0 }
};

#define NGX_HTTP_ASYNC_MODEL_KINDS                                           \
    (sizeof(ngx_http_async_model_kinds)                                      \
     / sizeof(ngx_http_async_model_kind_t))


ngx_int_t
ngx_http_async_model_check(const async_model_t *model,
    u_char error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN])
{
    size_t                i, j;
    const async_field_t  *field;

    if (model->field_size > sizeof(async_field_t)) {
        return ngx_http_async_model_fail(model, error,
                   "has attributes that this module of version %s does not "
                   "know: it needs a newer one", ASYNC_VERSION);
    }

    for (i = 0; i < model->n; i++) {
        field = ngx_http_async_model_field(model, i);

        if (ngx_http_async_model_check_field(model, field, error) != NGX_OK) {
            return NGX_DECLINED;
        }

        for (j = 0; j < i; j++) {
            if (ngx_http_async_model_check_pair(model,
                                         ngx_http_async_model_field(model, j),
                                         field, error) != NGX_OK)
            {
                return NGX_DECLINED;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_model_check_field(const async_model_t *model,
    const async_field_t *field, u_char *error)
{
    ngx_uint_t   kind;
    const char  *misfit;

    kind = ngx_http_async_model_kind(field);

    if (kind == 0 || kind >= NGX_HTTP_ASYNC_MODEL_KINDS
        || field->kind & ~(ASYNC_MEMBER_KIND | ASYNC_MEMBER_POINTER
                           | ASYNC_MEMBER_LIST))
    {
        return ngx_http_async_model_fail(model, error,
                   "field \"%s\" is of no kind that this module of version %s "
                   "knows", field->member, ASYNC_VERSION);
    }

    if (kind == ASYNC_MEMBER_OBJECT
        && (!ngx_http_async_model_knows(model, model) || field->model == NULL))
    {
        return ngx_http_async_model_fail(model, error,
                                         "field \"%s\" is a struct without a "
                                         "model", field->member);
    }

    if (*ngx_http_async_model_name(field) == '\0') {
        return ngx_http_async_model_fail(model, error,
                                         "the name of field \"%s\" is empty",
                                         field->member);
    }

    if (field->offset > model->type_size
        || ngx_http_async_model_end(field) > model->type_size)
    {
        return ngx_http_async_model_fail(model, error,
                   "field \"%s\" ends at byte %uz of %s, which has %uz: is it "
                   "of another struct?", field->member,
                   ngx_http_async_model_end(field), model->type,
                   model->type_size);
    }

    if (ngx_http_async_model_is_list(field)
        && (field->count > model->type_size - sizeof(size_t)
            || model->type_size < sizeof(size_t)))
    {
        return ngx_http_async_model_fail(model, error,
                   "the number of items of \"%s\" lies outside of %s: is it "
                   "of another struct?", field->member, model->type);
    }

    if (ngx_http_async_model_is_list(field)
        && field->count < field->offset + sizeof(void *)
        && field->offset < field->count + sizeof(size_t))
    {
        return ngx_http_async_model_fail(model, error,
                   "the list \"%s\" has no number of items of its own",
                   field->member);
    }

    misfit = ngx_http_async_model_misfit(field);

    if (misfit) {
        return ngx_http_async_model_fail(model, error, "field \"%s\" %s",
                                         field->member, misfit);
    }

    return NGX_OK;
}


/* NULL: its attributes fit */

static const char *
ngx_http_async_model_misfit(const async_field_t *field)
{
    ngx_uint_t  kind;

    kind = ngx_http_async_model_kind(field);

    switch (field->type) {

    case ASYNC_FIELD_PLAIN:
        break;

    case ASYNC_FIELD_TIME:
        if (kind != ASYNC_MEMBER_INT64) {
            return "is a time, and must be int64_t then";
        }

        break;

    case ASYNC_FIELD_BYTES:
        if (kind != ASYNC_MEMBER_STR) {
            return "is bytes, and must be async_str_t then";
        }

        break;

    case ASYNC_FIELD_UUID:
    case ASYNC_FIELD_DATE:
        if (kind != ASYNC_MEMBER_TEXT && kind != ASYNC_MEMBER_STR) {
            return "is a UUID or a date, and must be text then";
        }

        break;

    default:
        return "is of a type that this module does not know";
    }

    if (field->optional
        && (kind < ASYNC_MEMBER_TEXT || kind == ASYNC_MEMBER_OBJECT)
        && (field->kind & (ASYNC_MEMBER_POINTER | ASYNC_MEMBER_LIST)) == 0)
    {
        return "is optional, and must be a pointer then, to tell null from "
               "zero";
    }

    return NULL;
}


static ngx_int_t
ngx_http_async_model_check_pair(const async_model_t *model,
    const async_field_t *one, const async_field_t *two, u_char *error)
{
    const char  *name;

    name = ngx_http_async_model_name(two);

    if (ngx_strcmp(ngx_http_async_model_name(one), name) == 0) {
        return ngx_http_async_model_fail(model, error,
                   "fields \"%s\" and \"%s\" are both named \"%s\"",
                   one->member, two->member, name);
    }

    if (ngx_http_async_model_overlap(one, two)) {
        return ngx_http_async_model_fail(model, error,
                   "fields \"%s\" and \"%s\" overlap", one->member,
                   two->member);
    }

    return NGX_OK;
}


/* a list takes two places */

static ngx_uint_t
ngx_http_async_model_overlap(const async_field_t *one,
    const async_field_t *two)
{
    size_t      from[2][2], to[2][2];
    ngx_uint_t  i, j;

    from[0][0] = one->offset;
    to[0][0] = ngx_http_async_model_end(one);
    from[0][1] = one->count;
    to[0][1] = one->count
               + (ngx_http_async_model_is_list(one) ? sizeof(size_t) : 0);

    from[1][0] = two->offset;
    to[1][0] = ngx_http_async_model_end(two);
    from[1][1] = two->count;
    to[1][1] = two->count
               + (ngx_http_async_model_is_list(two) ? sizeof(size_t) : 0);

    for (i = 0; i < 2; i++) {
        for (j = 0; j < 2; j++) {
            if (ngx_max(from[0][i], from[1][j])
                < ngx_min(to[0][i], to[1][j]))
            {
                return 1;
            }
        }
    }

    return 0;
}


/* behind the member */

static size_t
ngx_http_async_model_end(const async_field_t *field)
{
    return field->offset
           + ((field->kind & (ASYNC_MEMBER_POINTER | ASYNC_MEMBER_LIST))
              ? sizeof(void *)
              : ngx_http_async_model_item_size(field));
}


static ngx_int_t
ngx_http_async_model_fail(const async_model_t *model, u_char *error,
    const char *fmt, ...)
{
    u_char   *p, *last;
    va_list   args;

    last = error + NGX_HTTP_ASYNC_MODEL_ERROR_LEN - 1;

    p = ngx_slprintf(error, last, "model \"%s\" of %s: ", model->name,
                     model->site);

    va_start(args, fmt);
    p = ngx_vslprintf(p, last, fmt, args);
    va_end(args);

    *p = '\0';

    return NGX_DECLINED;
}


void
ngx_http_async_model_clear(const async_model_t *model, void *to)
{
    size_t                i;
    u_char               *p = to;
    const async_field_t  *field;

    for (i = 0; i < model->n; i++) {
        field = ngx_http_async_model_field(model, i);

        ngx_memzero(p + field->offset,
                    ngx_http_async_model_end(field) - field->offset);

        if (ngx_http_async_model_is_list(field)) {
            ngx_memzero(p + field->count, sizeof(size_t));
        }
    }
}


size_t
ngx_http_async_model_size(ngx_uint_t kind)
{
    return ngx_http_async_model_kinds[kind].size;
}


size_t
ngx_http_async_model_item_size(const async_field_t *field)
{
    ngx_uint_t  kind;

    kind = ngx_http_async_model_kind(field);

    return (kind == ASYNC_MEMBER_OBJECT) ? field->model->type_size
                                         : ngx_http_async_model_size(kind);
}


const char *
ngx_http_async_model_type(ngx_uint_t kind)
{
    return ngx_http_async_model_kinds[kind].type;
}


ngx_int_t
ngx_http_async_model_int(ngx_uint_t kind, void *to, int64_t value)
{
    ngx_http_async_model_kind_t  *k;

    k = &ngx_http_async_model_kinds[kind];

    if (value < k->min || (value > 0 && (uint64_t) value > k->max)) {
        return NGX_DECLINED;
    }

    switch (k->size) {

    case 1:
        *(uint8_t *) to = (uint8_t) value;
        break;

    case 2:
        *(uint16_t *) to = (uint16_t) value;
        break;

    case 4:
        *(uint32_t *) to = (uint32_t) value;
        break;

    default:
        *(uint64_t *) to = (uint64_t) value;
        break;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_model_float(ngx_uint_t kind, void *to, double value)
{
    float  rounded;

    if (kind == ASYNC_MEMBER_DOUBLE) {
        *(double *) to = value;
        return NGX_OK;
    }

    rounded = (float) value;

    if (isinf(rounded) && !isinf(value)) {
        return NGX_DECLINED;
    }

    *(float *) to = rounded;

    return NGX_OK;
}
