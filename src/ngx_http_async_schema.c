
/*
 * Copyright (C) the nginx-async authors
 *
 * Schemas in the making: see ngx_http_async_schema.h.  What a descriptor says
 * wrong, beyond what ngx_http_async_model.c sees, is found here.
 */

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH  8
#endif

#include <float.h>
#include <pcre2.h>
#include <ngx_http_async_json.h>
#include <ngx_http_async_schema.h>
#include <ngx_http_async_value.h>


/* who makes them; "made" begins with the last one */

typedef struct {
    ngx_pool_t                 *pool;
    u_char                     *error;
    ngx_http_async_schema_t    *made;
} ngx_http_async_making_t;


static ngx_int_t ngx_http_async_schema_build(ngx_http_async_making_t *making,
    const async_model_t *model);
static ngx_int_t ngx_http_async_schema_field(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f,
    async_field_t *field);
static ngx_int_t ngx_http_async_schema_name(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f);
static ngx_int_t ngx_http_async_schema_bounds(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f);
static ngx_int_t ngx_http_async_schema_bound(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f,
    const char *text, ngx_http_async_bound_t *bound);
static ngx_uint_t ngx_http_async_schema_nothing(
    ngx_http_async_schema_field_t *f);
static ngx_int_t ngx_http_async_schema_decimal(ngx_pool_t *pool, double number,
    ngx_str_t *text);
static u_char *ngx_http_async_schema_digits(u_char *d, u_char *digits,
    ngx_uint_t n, ngx_int_t point);
static ngx_int_t ngx_http_async_schema_pattern(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f);
static void ngx_http_async_schema_pattern_free(void *data);
static ngx_int_t ngx_http_async_schema_choices(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f);
static u_char *ngx_http_async_schema_quote(u_char *p, ngx_str_t *text);
static ngx_int_t ngx_http_async_schema_samples(ngx_http_async_making_t *making,
    ngx_http_async_schema_t *schema);
static ngx_int_t ngx_http_async_schema_sample(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f,
    const char *what, const char *text, void **value);
static ngx_uint_t ngx_http_async_schema_is_utf8(const char *text);


ngx_int_t
ngx_http_async_schema_make(const async_model_t *model, ngx_pool_t *pool,
    u_char error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN])
{
    ngx_int_t                 rc;
    ngx_http_async_making_t   making;
    ngx_http_async_schema_t  *schema;

    making.pool = pool;
    making.error = error;
    making.made = NULL;

    rc = ngx_http_async_schema_build(&making, model);

    /* defaults of objects need the whole circle */

    for (schema = making.made; schema && rc == NGX_OK; schema = schema->next) {
        rc = ngx_http_async_schema_samples(&making, schema);
    }

    if (rc != NGX_OK) {
        for (schema = making.made; schema; schema = schema->next) {
            *schema->model->schema = NULL;
        }
    }

    return rc;
}


static ngx_int_t
ngx_http_async_schema_build(ngx_http_async_making_t *making,
    const async_model_t *model)
{
    ngx_int_t                 rc;
    ngx_uint_t                i;
    async_field_t            *fields;
    ngx_http_async_schema_t  *schema;

    /* one of an app of before there were schemas is for rows alone */

    if (model->size < offsetof(async_model_t, schema) + sizeof(void **)
        || *model->schema)
    {
        return NGX_OK;
    }

    schema = ngx_pcalloc(making->pool, sizeof(ngx_http_async_schema_t));
    fields = ngx_pcalloc(making->pool, model->n * sizeof(async_field_t));

    if (schema == NULL || fields == NULL) {
        return NGX_ERROR;
    }

    schema->model = model;
    schema->n = model->n;
    schema->fields = ngx_pcalloc(making->pool,
                           model->n * sizeof(ngx_http_async_schema_field_t));
    if (schema->fields == NULL) {
        return NGX_ERROR;
    }

    schema->next = making->made;
    making->made = schema;
    *model->schema = schema;

    for (i = 0; i < model->n; i++) {
        ngx_http_async_model_copy(model, i, &fields[i]);

        rc = ngx_http_async_schema_field(making, model, &schema->fields[i],
                                         &fields[i]);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_schema_field(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f,
    async_field_t *field)
{
    ngx_int_t  rc;

    f->field = field;
    f->kind = ngx_http_async_model_kind(field);
    f->list = ngx_http_async_model_is_list(field) != 0;
    f->pointer = ngx_http_async_model_is_pointer(field) != 0;
    f->nullable = ngx_http_async_model_is_optional(field) != 0;
    f->required = field->required
                  || (!f->nullable && field->default_value == NULL);
    f->check = field->check;

    f->size = ngx_http_async_model_size(f->kind);

    if (f->kind == ASYNC_MEMBER_OBJECT) {
        f->size = field->model->type_size;

        rc = ngx_http_async_schema_build(making, field->model);
        if (rc != NGX_OK) {
            return rc;
        }

        f->schema = ngx_http_async_schema(field->model);
    }

    rc = ngx_http_async_schema_name(making, model, f);

    if (rc == NGX_OK) {
        rc = ngx_http_async_schema_bounds(making, model, f);
    }

    if (rc == NGX_OK && field->pattern) {
        rc = ngx_http_async_schema_pattern(making, model, f);
    }

    if (rc == NGX_OK && field->choices) {
        rc = ngx_http_async_schema_choices(making, model, f);
    }

    return rc;
}


/* a header that has no name of its own is "x-token" for "x_token" */

static ngx_int_t
ngx_http_async_schema_name(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f)
{
    size_t       i;
    const char  *name;

    name = ngx_http_async_model_name(f->field);

    if (!ngx_http_async_schema_is_utf8(name)) {
        return ngx_http_async_model_fail(model, making->error,
                                         "the name of field \"%s\" is not "
                                         "UTF-8", f->field->member);
    }

    f->name.len = ngx_strlen(name);
    f->name.data = ngx_pnalloc(making->pool, f->name.len + 1);

    if (f->name.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(f->name.data, name, f->name.len + 1);

    if (f->field->in == ASYNC_IN_HEADER && f->field->name == NULL) {
        for (i = 0; i < f->name.len; i++) {
            if (f->name.data[i] == '_') {
                f->name.data[i] = '-';
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_schema_bounds(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f)
{
    ngx_int_t    rc;
    ngx_uint_t   i;
    const char  *texts[NGX_HTTP_ASYNC_BOUNDS];

    texts[NGX_HTTP_ASYNC_BOUND_LE] = f->field->le;
    texts[NGX_HTTP_ASYNC_BOUND_LT] = f->field->lt;
    texts[NGX_HTTP_ASYNC_BOUND_GE] = f->field->ge;
    texts[NGX_HTTP_ASYNC_BOUND_GT] = f->field->gt;

    for (i = 0; i < NGX_HTTP_ASYNC_BOUNDS; i++) {

        if (texts[i] == NULL) {
            continue;
        }

        rc = ngx_http_async_schema_bound(making, model, f, texts[i],
                                         &f->bounds[i]);
        if (rc != NGX_OK) {
            return rc;
        }

        f->bounded = 1;
    }

    if (f->bounded && ngx_http_async_schema_nothing(f)) {
        return ngx_http_async_model_fail(model, making->error,
                                         "the bounds of field \"%s\" leave no "
                                         "value", f->field->member);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_schema_bound(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f,
    const char *text, ngx_http_async_bound_t *bound)
{
    u_char                         scratch[sizeof(int64_t)];
    ngx_int_t                      rc;
    ngx_str_t                      s;
    ngx_http_async_value_error_t   error;

    s.data = (u_char *) text;
    s.len = ngx_strlen(text);

    if (f->kind >= ASYNC_MEMBER_FLOAT) {

        if (ngx_http_async_value_float(&s, &bound->number, &error) != NGX_OK
            || ngx_http_async_model_float(f->kind, scratch, bound->number)
               != NGX_OK)
        {
            goto wrong;
        }

        return ngx_http_async_schema_decimal(making->pool, bound->number,
                                             &bound->text);
    }

    rc = ngx_http_async_value_int(&s, &bound->integer, &error);

    if (rc != NGX_OK
        || ngx_http_async_model_int(f->kind, scratch, bound->integer)
           != NGX_OK)
    {
        goto wrong;
    }

    bound->text.data = ngx_pnalloc(making->pool, NGX_INT64_LEN);
    if (bound->text.data == NULL) {
        return NGX_ERROR;
    }

    bound->text.len = ngx_sprintf(bound->text.data, "%L", bound->integer)
                      - bound->text.data;

    return NGX_OK;

wrong:

    return ngx_http_async_model_fail(model, making->error,
                                     "the bound \"%s\" of field \"%s\" is no "
                                     "value of %s", text, f->field->member,
                                     ngx_http_async_model_type(f->kind));
}


static ngx_uint_t
ngx_http_async_schema_nothing(ngx_http_async_schema_field_t *f)
{
    int64_t                  from, to;
    ngx_http_async_bound_t  *le, *lt, *ge, *gt, *low, *high;

    le = &f->bounds[NGX_HTTP_ASYNC_BOUND_LE];
    lt = &f->bounds[NGX_HTTP_ASYNC_BOUND_LT];
    ge = &f->bounds[NGX_HTTP_ASYNC_BOUND_GE];
    gt = &f->bounds[NGX_HTTP_ASYNC_BOUND_GT];

    if (f->kind < ASYNC_MEMBER_FLOAT) {
        ngx_http_async_model_range(f->kind, &from, &to);

        if (ge->text.data) {
            from = ge->integer;
        }

        if (le->text.data) {
            to = le->integer;
        }

        return (gt->text.data && gt->integer >= to)
               || (lt->text.data && lt->integer <= from)
               || (gt->text.data && lt->text.data
                   && gt->integer >= lt->integer - 1)
               || from > to;
    }

    low = ge->text.data ? ge : gt;
    high = le->text.data ? le : lt;

    if (low->text.data == NULL || high->text.data == NULL) {
        return 0;
    }

    return (low == ge && high == le) ? low->number > high->number
                                     : low->number >= high->number;
}


/* as Rust shows it, without an exponent: of Python's "1e-07", "0.0000001" */

static ngx_int_t
ngx_http_async_schema_decimal(ngx_pool_t *pool, double number, ngx_str_t *text)
{
    u_char     *p, *d, *end, *digits, buf[NGX_HTTP_ASYNC_JSON_DOUBLE_LEN + 1];
    ngx_int_t   point;
    ngx_uint_t  n;

    end = ngx_http_async_json_double(buf, number);
    *end = '\0';

    d = ngx_pnalloc(pool, DBL_MAX_10_EXP + NGX_HTTP_ASYNC_JSON_DOUBLE_LEN);
    if (d == NULL) {
        return NGX_ERROR;
    }

    text->data = d;
    p = buf;

    if (*p == '-') {
        *d++ = *p++;
    }

    /* the digits alone, and how many of them stand before the point */

    digits = p;
    point = -1;

    for (n = 0; p < end && *p != 'e'; p++) {
        if (*p == '.') {
            point = n;

        } else {
            digits[n++] = *p;
        }
    }

    if (point == -1) {
        point = n;
    }

    if (p < end) {
        point += strtol((char *) p + 1, NULL, 10);
    }

    text->len = ngx_http_async_schema_digits(d, digits, n, point)
                - text->data;

    return NGX_OK;
}


static u_char *
ngx_http_async_schema_digits(u_char *d, u_char *digits, ngx_uint_t n,
    ngx_int_t point)
{
    ngx_int_t  i;

    while (n > 1 && digits[n - 1] == '0' && (ngx_int_t) n > point) {
        n--;
    }

    if (point <= 0) {
        *d++ = '0';
    }

    for (i = 0; i < point; i++) {
        *d++ = (i < (ngx_int_t) n) ? digits[i] : '0';
    }

    if (point >= (ngx_int_t) n) {
        return d;
    }

    *d++ = '.';

    for (i = point; i < 0; i++) {
        *d++ = '0';
    }

    i = ngx_max(point, 0);

    return ngx_cpymem(d, digits + i, n - i);
}


static ngx_int_t
ngx_http_async_schema_pattern(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f)
{
    int                  code;
    size_t               offset;
    u_char               why[128];
    const char          *pattern;
    ngx_pool_cleanup_t  *cln;

    pattern = f->field->pattern;

    cln = ngx_pool_cleanup_add(making->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    f->pattern = pcre2_compile((PCRE2_SPTR) pattern, PCRE2_ZERO_TERMINATED,
                               PCRE2_UTF|PCRE2_UCP|PCRE2_DOLLAR_ENDONLY,
                               &code, &offset, NULL);

    if (f->pattern == NULL) {
        (void) pcre2_get_error_message(code, why, sizeof(why));

        return ngx_http_async_model_fail(model, making->error,
                                         "the pattern of field \"%s\" is none: "
                                         "%s at offset %uz", f->field->member,
                                         why, offset);
    }

    cln->handler = ngx_http_async_schema_pattern_free;
    cln->data = f->pattern;

    return NGX_OK;
}


static void
ngx_http_async_schema_pattern_free(void *data)
{
    pcre2_code_free(data);
}


static ngx_int_t
ngx_http_async_schema_choices(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f)
{
    u_char      *p;
    size_t       size;
    ngx_uint_t   i, n;

    size = 0;

    for (n = 0; f->field->choices[n]; n++) {

        if (!ngx_http_async_schema_is_utf8(f->field->choices[n])) {
            return ngx_http_async_model_fail(model, making->error,
                       "choice %ui of field \"%s\" is not UTF-8", n + 1,
                       f->field->member);
        }

        /* "\xNN" is the longest of a byte */
        size += 4 * ngx_strlen(f->field->choices[n]) + sizeof("'' or ");
    }

    f->nchoices = n;
    f->choices = ngx_palloc(making->pool, n * sizeof(ngx_str_t));
    f->expected.data = ngx_pnalloc(making->pool, size);

    if (f->choices == NULL || f->expected.data == NULL) {
        return NGX_ERROR;
    }

    p = f->expected.data;

    for (i = 0; i < n; i++) {
        f->choices[i].data = (u_char *) f->field->choices[i];
        f->choices[i].len = ngx_strlen(f->field->choices[i]);

        if (i) {
            p = (i == n - 1) ? ngx_cpymem(p, " or ", 4)
                             : ngx_cpymem(p, ", ", 2);
        }

        p = ngx_http_async_schema_quote(p, &f->choices[i]);
    }

    f->expected.len = p - f->expected.data;

    return NGX_OK;
}


/* as Python's repr(), for what is printable but for controls */

static u_char *
ngx_http_async_schema_quote(u_char *p, ngx_str_t *text)
{
    u_char  *s, *last, quote;

    last = text->data + text->len;

    quote = (ngx_strlchr(text->data, last, '\'')
             && !ngx_strlchr(text->data, last, '"')) ? '"' : '\'';

    *p++ = quote;

    for (s = text->data; s < last; s++) {

        if (*s == quote || *s == '\\') {
            *p++ = '\\';
            *p++ = *s;

        } else if (*s == '\n' || *s == '\r' || *s == '\t') {
            *p++ = '\\';
            *p++ = (*s == '\n') ? 'n' : (*s == '\r') ? 'r' : 't';

        } else if (*s < ' ' || *s == 0x7f) {
            p = ngx_sprintf(p, "\\x%02xd", *s);

        } else {
            *p++ = *s;
        }
    }

    *p++ = quote;

    return p;
}


/* the default, which is kept, and the example */

static ngx_int_t
ngx_http_async_schema_samples(ngx_http_async_making_t *making,
    ngx_http_async_schema_t *schema)
{
    void                           *value;
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    ngx_http_async_schema_field_t  *f;

    for (i = 0; i < schema->n; i++) {
        f = &schema->fields[i];

        /* not what is the app's own to run, before it has started */
        f->check = NULL;

        rc = NGX_OK;

        if (f->field->default_value) {
            rc = ngx_http_async_schema_sample(making, schema->model, f,
                                              "default",
                                              f->field->default_value,
                                              &f->value);
        }

        if (f->field->example && rc == NGX_OK) {
            rc = ngx_http_async_schema_sample(making, schema->model, f,
                                              "example", f->field->example,
                                              &value);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        f->check = f->field->check;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_schema_sample(ngx_http_async_making_t *making,
    const async_model_t *model, ngx_http_async_schema_field_t *f,
    const char *what, const char *text, void **value)
{
    void                      *object;
    ngx_int_t                  rc;
    ngx_str_t                  s;
    const char                *msg;
    ngx_http_async_loc_t       loc;
    ngx_http_async_reading_t   reading;

    ngx_memzero(&loc, sizeof(ngx_http_async_loc_t));

    reading.pool = making->pool;
    reading.errors = NULL;
    reading.told = 0;

    s.data = (u_char *) text;
    s.len = ngx_strlen(text);

    if (f->list || f->kind == ASYNC_MEMBER_OBJECT) {

        object = ngx_pcalloc(making->pool, model->type_size);
        if (object == NULL) {
            return NGX_ERROR;
        }

        *value = NULL;
        rc = ngx_http_async_schema_json_field(&reading, &loc, f, &s, object);

    } else {
        *value = ngx_pcalloc(making->pool, f->size);
        if (*value == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_http_async_schema_text(&reading, &loc, f, &s, *value);
    }

    if (rc == NGX_DECLINED) {
        msg = json_string_value(json_object_get(
                                    json_array_get(reading.errors, 0), "msg"));

        rc = ngx_http_async_model_fail(model, making->error,
                                       "the %s \"%s\" of field \"%s\" is not "
                                       "valid: %s", what, text,
                                       f->field->member, msg ? msg : "");
    }

    json_decref(reading.errors);

    return rc;
}


static ngx_uint_t
ngx_http_async_schema_is_utf8(const char *text)
{
    const u_char  *p;

    p = (const u_char *) text;

    return ngx_http_async_value_is_utf8(p, p + ngx_strlen(text));
}


ngx_int_t
ngx_http_async_schema_fits(const async_model_t *model, int attribute,
    u_char error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN])
{
    ngx_uint_t     i, kind;
    async_field_t  field;

    for (i = 0; i < model->n; i++) {
        ngx_http_async_model_copy(model, i, &field);
        kind = ngx_http_async_model_kind(&field);

        if (attribute == ASYNC_ATTRIBUTE_PARAMS
            && kind >= ASYNC_MEMBER_OBJECT)
        {
            return ngx_http_async_model_fail(model, error,
                       "field \"%s\" is %s, which no parameter can be",
                       field.member,
                       (kind == ASYNC_MEMBER_UPLOAD) ? "an upload"
                                                     : "a struct");
        }

        if (attribute == ASYNC_ATTRIBUTE_BODY && kind == ASYNC_MEMBER_UPLOAD) {
            return ngx_http_async_model_fail(model, error,
                       "field \"%s\" is an upload, which JSON has none of: "
                       "declare it by ASYNC_FORM()", field.member);
        }
    }

    return NGX_OK;
}
