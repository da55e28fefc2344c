
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
static ngx_uint_t ngx_http_async_model_known(const async_field_t *field);
static const char *ngx_http_async_model_misfit(const async_field_t *field);
static const char *ngx_http_async_model_type_misfit(
    const async_field_t *field);
static const char *ngx_http_async_model_presence_misfit(
    const async_field_t *field);
static const char *ngx_http_async_model_bounds_misfit(
    const async_field_t *field);
static const char *ngx_http_async_model_text_misfit(
    const async_field_t *field);
static const char *ngx_http_async_model_choices_misfit(
    const async_field_t *field);
static ngx_int_t ngx_http_async_model_check_pair(const async_model_t *model,
    const async_field_t *one, const async_field_t *two, u_char *error);
static ngx_uint_t ngx_http_async_model_overlap(const async_field_t *one,
    const async_field_t *two);
static size_t ngx_http_async_model_end(const async_field_t *field);
static size_t ngx_http_async_model_align(const async_field_t *field);


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
    ngx_uint_t     i, j;
    async_field_t  field, other;

    if (model->field_size > sizeof(async_field_t)) {
        return ngx_http_async_model_fail(model, error,
                   "has attributes that this module of version %s does not "
                   "know: it needs a newer one", ASYNC_VERSION);
    }

    for (i = 0; i < model->n; i++) {
        ngx_http_async_model_copy(model, i, &field);

        if (ngx_http_async_model_check_field(model, &field, error) != NGX_OK) {
            return NGX_DECLINED;
        }

        for (j = 0; j < i; j++) {
            ngx_http_async_model_copy(model, j, &other);

            if (ngx_http_async_model_check_pair(model, &other, &field, error)
                != NGX_OK)
            {
                return NGX_DECLINED;
            }
        }
    }

    return NGX_OK;
}


void
ngx_http_async_model_copy(const async_model_t *model, ngx_uint_t i,
    async_field_t *field)
{
    ngx_memzero(field, sizeof(async_field_t));
    ngx_memcpy(field, ngx_http_async_model_field(model, i),
               ngx_min(model->field_size, sizeof(async_field_t)));
}


static ngx_int_t
ngx_http_async_model_check_field(const async_model_t *model,
    const async_field_t *field, u_char *error)
{
    const char  *misfit;

    if (!ngx_http_async_model_known(field)) {
        return ngx_http_async_model_fail(model, error,
                   "field \"%s\" is of no kind that this module of version %s "
                   "knows", field->member, ASYNC_VERSION);
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

    if (field->offset % ngx_http_async_model_align(field)
        || (ngx_http_async_model_is_list(field)
            && field->count % sizeof(size_t)))
    {
        return ngx_http_async_model_fail(model, error,
                   "field \"%s\" lies where no such member can: is %s packed?",
                   field->member, model->type);
    }

    misfit = ngx_http_async_model_misfit(field);

    if (misfit) {
        return ngx_http_async_model_fail(model, error, "field \"%s\" %s",
                                         field->member, misfit);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_model_known(const async_field_t *field)
{
    ngx_uint_t  kind;

    kind = ngx_http_async_model_kind(field);

    if (kind == 0 || kind >= NGX_HTTP_ASYNC_MODEL_KINDS
        || field->kind & ~(ASYNC_MEMBER_KIND | ASYNC_MEMBER_POINTER
                           | ASYNC_MEMBER_LIST))
    {
        return 0;
    }

    return (kind == ASYNC_MEMBER_OBJECT) == (field->model != NULL);
}


/* NULL: its attributes fit; what needs memory, schemas see to */

static const char *
ngx_http_async_model_misfit(const async_field_t *field)
{
    const char  *misfit;

    misfit = ngx_http_async_model_type_misfit(field);

    if (misfit == NULL) {
        misfit = ngx_http_async_model_presence_misfit(field);
    }

    if (misfit == NULL) {
        misfit = ngx_http_async_model_bounds_misfit(field);
    }

    if (misfit == NULL) {
        misfit = ngx_http_async_model_text_misfit(field);
    }

    if (misfit == NULL) {
        misfit = ngx_http_async_model_choices_misfit(field);
    }

    return misfit;
}


static const char *
ngx_http_async_model_type_misfit(const async_field_t *field)
{
    ngx_uint_t  kind;

    kind = ngx_http_async_model_kind(field);

    switch (field->type) {

    case ASYNC_FIELD_PLAIN:
        return NULL;

    case ASYNC_FIELD_TIME:
        return (kind == ASYNC_MEMBER_INT64)
               ? NULL : "is a time, and must be int64_t then";

    case ASYNC_FIELD_BYTES:
        return (kind == ASYNC_MEMBER_STR)
               ? NULL : "is bytes, and must be async_str_t then";

    case ASYNC_FIELD_UUID:
        return (kind == ASYNC_MEMBER_TEXT || kind == ASYNC_MEMBER_STR)
               ? NULL : "is a UUID, and must be a text then";

    case ASYNC_FIELD_DATE:
        return (kind == ASYNC_MEMBER_TEXT || kind == ASYNC_MEMBER_STR)
               ? NULL : "is a date, and must be a text then";

    default:
        return "is of a type that this module does not know";
    }
}


static const char *
ngx_http_async_model_presence_misfit(const async_field_t *field)
{
    ngx_uint_t  kind;

    kind = ngx_http_async_model_kind(field);

    if (field->optional
        && (kind < ASYNC_MEMBER_TEXT || kind == ASYNC_MEMBER_OBJECT)
        && (field->kind & (ASYNC_MEMBER_POINTER | ASYNC_MEMBER_LIST)) == 0)
    {
        return "is optional, and must be a pointer then, to tell null from "
               "zero";
    }

    if (field->required && field->default_value) {
        return "is required, and needs no default";
    }

    if (field->required && !ngx_http_async_model_is_optional(field)) {
        return "is required anyway, since it is not optional";
    }

    if (field->default_value && kind == ASYNC_MEMBER_UPLOAD) {
        return "is an upload, and has no default";
    }

    if (field->example && kind == ASYNC_MEMBER_UPLOAD) {
        return "is an upload, and has no example";
    }

    if (field->in < ASYNC_IN_ANY || field->in > ASYNC_IN_COOKIE) {
        return "is in a place that this module does not know";
    }

    if (field->in == ASYNC_IN_PATH
        && (field->default_value || ngx_http_async_model_is_optional(field)
            || ngx_http_async_model_is_list(field)))
    {
        return "is in the path, and is always there, once: it has no default, "
               "and is neither optional nor a list";
    }

    if (field->in != ASYNC_IN_ANY && kind >= ASYNC_MEMBER_OBJECT) {
        return "is a struct or an upload, which no parameter can be";
    }

    return NULL;
}


static const char *
ngx_http_async_model_bounds_misfit(const async_field_t *field)
{
    ngx_uint_t  kind;

    kind = ngx_http_async_model_kind(field);

    if (field->gt == NULL && field->ge == NULL && field->lt == NULL
        && field->le == NULL)
    {
        return NULL;
    }

    if (kind > ASYNC_MEMBER_DOUBLE || kind == ASYNC_MEMBER_BOOL
        || field->type != ASYNC_FIELD_PLAIN)
    {
        return "has bounds, and is no number";
    }

    if (field->choices) {
        return "has choices, and no bounds beside them";
    }

    if ((field->gt && field->ge) || (field->lt && field->le)) {
        return "has two bounds on one side";
    }

    return NULL;
}


static const char *
ngx_http_async_model_text_misfit(const async_field_t *field)
{
    ngx_uint_t  kind, text;

    kind = ngx_http_async_model_kind(field);
    text = (kind == ASYNC_MEMBER_TEXT || kind == ASYNC_MEMBER_STR)
           && field->type == ASYNC_FIELD_PLAIN;

    if ((field->min_length || field->max_length) && !text
        && !ngx_http_async_model_is_list(field))
    {
        return "has bounds of its length, and is neither text nor a list";
    }

    if (field->max_length && field->min_length > field->max_length) {
        return "has a min_length above its max_length";
    }

    if (field->pattern && !text) {
        return "has a pattern, and is no text";
    }

    return NULL;
}


static const char *
ngx_http_async_model_choices_misfit(const async_field_t *field)
{
    ngx_uint_t  i, j, kind;

    if (field->choices == NULL) {
        return NULL;
    }

    kind = ngx_http_async_model_kind(field);

    if (field->type != ASYNC_FIELD_PLAIN
        || (kind >= ASYNC_MEMBER_BOOL && kind != ASYNC_MEMBER_TEXT
            && kind != ASYNC_MEMBER_STR))
    {
        return "has choices, and is neither text nor an integer";
    }

    if (field->choices[0] == NULL) {
        return "has no choice at all";
    }

    for (i = 0; field->choices[i]; i++) {
        for (j = 0; j < i; j++) {
            if (ngx_strcmp(field->choices[i], field->choices[j]) == 0) {
                return "has one choice twice";
            }
        }
    }

    if (kind < ASYNC_MEMBER_BOOL
        && i - 1 > ngx_http_async_model_kinds[kind].max)
    {
        return "has more choices than its integer has values";
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
    size_t      size;
    ngx_uint_t  kind;

    kind = ngx_http_async_model_kind(field);

    if (field->kind & (ASYNC_MEMBER_POINTER | ASYNC_MEMBER_LIST)) {
        size = sizeof(void *);

    } else if (kind == ASYNC_MEMBER_OBJECT) {
        size = field->model->type_size;

    } else {
        size = ngx_http_async_model_size(kind);
    }

    return field->offset + size;
}


/* which no compiler has above that of a pointer, for what is here */

static size_t
ngx_http_async_model_align(const async_field_t *field)
{
    size_t         align, most;
    ngx_uint_t     i, kind;
    async_field_t  inner;

    kind = ngx_http_async_model_kind(field);

    if (field->kind & (ASYNC_MEMBER_POINTER | ASYNC_MEMBER_LIST)) {
        return sizeof(void *);
    }

    if (kind != ASYNC_MEMBER_OBJECT) {
        return ngx_min(ngx_http_async_model_size(kind), sizeof(void *));
    }

    /* at least that of its own members; what is within these, they check */

    most = 1;

    for (i = 0; i < field->model->n; i++) {
        ngx_http_async_model_copy(field->model, i, &inner);

        if (inner.kind != ASYNC_MEMBER_OBJECT) {
            align = ngx_http_async_model_align(&inner);
            most = ngx_max(most, align);
        }
    }

    return most;
}


ngx_int_t
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

        if (field->kind == ASYNC_MEMBER_OBJECT) {
            ngx_http_async_model_clear(field->model, p + field->offset);
            continue;
        }

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


const char *
ngx_http_async_model_type(ngx_uint_t kind)
{
    return ngx_http_async_model_kinds[kind].type;
}


void
ngx_http_async_model_range(ngx_uint_t kind, int64_t *min, int64_t *max)
{
    ngx_http_async_model_kind_t  *k;

    k = &ngx_http_async_model_kinds[kind];

    *min = k->min;
    *max = (k->max > INT64_MAX) ? INT64_MAX : (int64_t) k->max;
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
