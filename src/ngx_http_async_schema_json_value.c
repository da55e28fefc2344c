
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON text into structs: single values, as pydantic 2 reads them in its lax
 * mode.  Strings are read as those of a query are, by
 * ngx_http_async_schema_text(), but for plain text.
 */

#include <math.h>
#include <ngx_http_async_schema_json.h>


/* 2^63: the first double that is too large */
#define NGX_HTTP_ASYNC_SCHEMA_INT_MAX  9223372036854775808.0

#define ngx_http_async_schema_json_is_number(c)                              \
    ((c) == '-' || ((c) >= '0' && (c) <= '9'))


/* what is being read */

typedef struct {
    ngx_http_async_schema_json_at_t   at;
    ngx_http_async_reading_t         *reading;
    ngx_http_async_loc_t             *loc;
    ngx_http_async_schema_field_t    *f;
    void                             *to;
} ngx_http_async_schema_json_value_t;


static ngx_int_t ngx_http_async_schema_json_int(
    ngx_http_async_schema_json_value_t *v, u_char c);
static ngx_int_t ngx_http_async_schema_json_whole_number(
    ngx_http_async_schema_json_value_t *v);
static ngx_int_t ngx_http_async_schema_json_float(
    ngx_http_async_schema_json_value_t *v, u_char c);
static ngx_int_t ngx_http_async_schema_json_bool(
    ngx_http_async_schema_json_value_t *v, u_char c);
static ngx_int_t ngx_http_async_schema_json_truth(
    ngx_http_async_schema_json_value_t *v);
static ngx_int_t ngx_http_async_schema_json_when(
    ngx_http_async_schema_json_value_t *v, u_char c, const char *type,
    const char *msg);
static ngx_int_t ngx_http_async_schema_json_stamp(
    ngx_http_async_schema_json_value_t *v);
static ngx_int_t ngx_http_async_schema_json_no_date(json_t *errors,
    size_t i);
static ngx_int_t ngx_http_async_schema_json_text(
    ngx_http_async_schema_json_value_t *v, u_char c);
static ngx_int_t ngx_http_async_schema_json_plain(
    ngx_http_async_schema_json_value_t *v);
static ngx_int_t ngx_http_async_schema_json_parsed(
    ngx_http_async_schema_json_value_t *v);
static ngx_int_t ngx_http_async_schema_json_choice(
    ngx_http_async_schema_json_value_t *v, u_char c);
static ngx_int_t ngx_http_async_schema_json_string(
    ngx_http_async_schema_json_value_t *v, ngx_str_t *text);
static ngx_int_t ngx_http_async_schema_json_any(
    ngx_http_async_schema_json_value_t *v);
static void ngx_http_async_schema_json_free(void *data);
static ngx_int_t ngx_http_async_schema_json_constrain(
    ngx_http_async_schema_json_value_t *v);
static ngx_int_t ngx_http_async_schema_json_not(
    ngx_http_async_schema_json_value_t *v, const char *type, const char *msg);


ngx_int_t
ngx_http_async_schema_json_value(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, void *to)
{
    u_char                              c;
    ngx_http_async_schema_json_value_t  v;

    v.at.r = r;
    v.at.start = r->in.p;
    v.reading = r->reading;
    v.loc = loc;
    v.f = f;
    v.to = to;

    c = (r->in.p < r->in.last) ? *r->in.p : '\0';

    switch (f->kind) {

    case ASYNC_MEMBER_BOOL:
        return ngx_http_async_schema_json_bool(&v, c);

    case ASYNC_MEMBER_FLOAT:
    case ASYNC_MEMBER_DOUBLE:
        return ngx_http_async_schema_json_float(&v, c);

    case ASYNC_MEMBER_TEXT:
    case ASYNC_MEMBER_STR:
        return ngx_http_async_schema_json_text(&v, c);

    case ASYNC_MEMBER_JSON:
        return ngx_http_async_schema_json_any(&v);

    case ASYNC_MEMBER_UPLOAD:
        return ngx_http_async_schema_json_not(&v, "value_error",
                                   "Value error, a file is no value of JSON");

    default:
        return ngx_http_async_schema_json_int(&v, c);
    }
}


static ngx_int_t
ngx_http_async_schema_json_int(ngx_http_async_schema_json_value_t *v, u_char c)
{
    ngx_int_t  rc;

    if (v->f->choices) {
        return ngx_http_async_schema_json_choice(v, c);
    }

    if (v->f->field->type == ASYNC_FIELD_TIME) {
        return ngx_http_async_schema_json_when(v, c, "datetime_type",
                                           "Input should be a valid datetime");
    }

    if (ngx_http_async_schema_json_is_number(c)) {
        return ngx_http_async_schema_json_whole_number(v);
    }

    if (c == '"') {
        return ngx_http_async_schema_json_parsed(v);
    }

    if (c != 't' && c != 'f') {
        return ngx_http_async_schema_json_not(v, "int_type",
                                            "Input should be a valid integer");
    }

    rc = ngx_http_async_json_skip(&v->at.r->in);

    return (rc == NGX_OK)
           ? ngx_http_async_schema_int(v->reading, v->loc, v->f, c == 't',
                                       v->to, ngx_http_async_schema_json_show,
                                       &v->at)
           : rc;
}


static ngx_int_t
ngx_http_async_schema_json_whole_number(ngx_http_async_schema_json_value_t *v)
{
    double                         real;
    int64_t                        value;
    ngx_int_t                      rc;
    ngx_http_async_json_number_t   n;

    rc = ngx_http_async_json_number(&v->at.r->in, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    if (n.real) {
        (void) ngx_http_async_json_real(&n, &real);

        if (real != floor(real)) {
            return ngx_http_async_schema_json_not(v, "int_from_float",
                                   "Input should be a valid integer, got a "
                                   "number with a fractional part");
        }

        if (real < -NGX_HTTP_ASYNC_SCHEMA_INT_MAX
            || real >= NGX_HTTP_ASYNC_SCHEMA_INT_MAX)
        {
            return ngx_http_async_schema_json_not(v, "int_parsing_size",
                                   "Unable to parse input string as an "
                                   "integer, exceeded maximum size");
        }

        value = (int64_t) real;

    } else if (ngx_http_async_json_integer(&n, &value) != NGX_OK) {
        return ngx_http_async_schema_wide(v->reading, v->loc, v->f, &n.text,
                                          v->to,
                                          ngx_http_async_schema_json_show,
                                          &v->at);
    }

    return ngx_http_async_schema_int(v->reading, v->loc, v->f, value, v->to,
                                     ngx_http_async_schema_json_show, &v->at);
}


static ngx_int_t
ngx_http_async_schema_json_float(ngx_http_async_schema_json_value_t *v,
    u_char c)
{
    double                         value;
    int64_t                        integer;
    ngx_int_t                      rc;
    ngx_http_async_json_number_t   n;

    if (c == '"') {
        return ngx_http_async_schema_json_parsed(v);
    }

    if (ngx_http_async_schema_json_is_number(c)) {
        rc = ngx_http_async_json_number(&v->at.r->in, &n);
        if (rc != NGX_OK) {
            return rc;
        }

        if (n.real || ngx_http_async_json_integer(&n, &integer) != NGX_OK) {
            (void) ngx_http_async_json_real(&n, &value);

        } else {
            value = (double) integer;
        }

    } else if (c == 't' || c == 'f') {
        rc = ngx_http_async_json_skip(&v->at.r->in);
        if (rc != NGX_OK) {
            return rc;
        }

        value = (c == 't');

    } else {
        return ngx_http_async_schema_json_not(v, "float_type",
                                             "Input should be a valid number");
    }

    return ngx_http_async_schema_float(v->reading, v->loc, v->f, value, v->to,
                                       ngx_http_async_schema_json_show,
                                       &v->at);
}


static ngx_int_t
ngx_http_async_schema_json_bool(ngx_http_async_schema_json_value_t *v,
    u_char c)
{
    ngx_int_t  rc;

    if (c == '"') {
        return ngx_http_async_schema_json_parsed(v);
    }

    if (ngx_http_async_schema_json_is_number(c)) {
        return ngx_http_async_schema_json_truth(v);
    }

    if (c != 't' && c != 'f') {
        return ngx_http_async_schema_json_not(v, "bool_type",
                                            "Input should be a valid boolean");
    }

    rc = ngx_http_async_json_skip(&v->at.r->in);
    if (rc != NGX_OK) {
        return rc;
    }

    *(_Bool *) v->to = (c == 't');

    return ngx_http_async_schema_json_constrain(v);
}


/* 0 and 1; another one that is whole might be a boolean, but is none */

static ngx_int_t
ngx_http_async_schema_json_truth(ngx_http_async_schema_json_value_t *v)
{
    double                         value;
    int64_t                        integer;
    ngx_int_t                      rc;
    ngx_uint_t                     whole;
    ngx_http_async_json_number_t   n;

    rc = ngx_http_async_json_number(&v->at.r->in, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    (void) ngx_http_async_json_real(&n, &value);

    if (value == 0 || value == 1) {
        *(_Bool *) v->to = (value == 1);

        return ngx_http_async_schema_json_constrain(v);
    }

    whole = n.real ? (value == floor(value)
                      && fabs(value) < NGX_HTTP_ASYNC_SCHEMA_INT_MAX)
                   : ngx_http_async_json_integer(&n, &integer) == NGX_OK;

    if (!whole) {
        return ngx_http_async_schema_json_not(v, "bool_type",
                                            "Input should be a valid boolean");
    }

    return ngx_http_async_schema_json_not(v, "bool_parsing",
                                   "Input should be a valid boolean, unable "
                                   "to interpret input");
}


/* times and dates: text, or how long after 1970 it is */

static ngx_int_t
ngx_http_async_schema_json_when(ngx_http_async_schema_json_value_t *v,
    u_char c, const char *type, const char *msg)
{
    if (c == '"') {
        return ngx_http_async_schema_json_parsed(v);
    }

    if (ngx_http_async_schema_json_is_number(c)) {
        return ngx_http_async_schema_json_stamp(v);
    }

    return ngx_http_async_schema_json_not(v, type, msg);
}


static ngx_int_t
ngx_http_async_schema_json_stamp(ngx_http_async_schema_json_value_t *v)
{
    double                         value;
    size_t                         first;
    u_char                        *p;
    ngx_int_t                      rc;
    ngx_str_t                      text;
    ngx_http_async_json_number_t   n;

    rc = ngx_http_async_json_number(&v->at.r->in, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    text.data = ngx_pnalloc(v->reading->pool,
                            ngx_max(n.text.len, NGX_HTTP_ASYNC_JSON_DOUBLE_LEN)
                            + 1);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    if (n.real) {
        (void) ngx_http_async_json_real(&n, &value);

        /* without an exponent, which text must not have; beyond all times */

        value = ngx_max(ngx_min(value, 1e17), -1e17);

        p = (value == floor(value))
            ? ngx_sprintf(text.data, "%L", (int64_t) value)
            : ngx_http_async_json_double(text.data, value);

    } else {
        p = ngx_cpymem(text.data, n.text.data, n.text.len);
    }

    *p = '\0';
    text.len = p - text.data;

    first = ngx_http_async_schema_json_errors(v->at.r);

    rc = ngx_http_async_schema_text(v->reading, v->loc, v->f, &text, v->to);

    if (rc == NGX_DECLINED
        && (ngx_http_async_schema_json_blame(v->at.r, first, v->at.start)
            != NGX_OK
            || ngx_http_async_schema_json_no_date(v->reading->errors, first)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    return rc;
}


/* a number might be a time, but never was a date: the words for that */

static ngx_int_t
ngx_http_async_schema_json_no_date(json_t *errors, size_t i)
{
    json_t      *error, *msg;
    const char  *type, *why;

    error = json_array_get(errors, i);
    type = json_string_value(json_object_get(error, "type"));

    if (type == NULL || ngx_strcmp(type, "datetime_from_date_parsing") != 0) {
        return NGX_OK;
    }

    why = json_string_value(json_object_get(json_object_get(error, "ctx"),
                                            "error"));

    msg = json_sprintf("Input should be a valid datetime, %s", why ? why : "");

    /* also of a NULL */

    return (json_object_set_new(error, "msg", msg) == 0
            && json_object_set_new(error, "type",
                                   json_string("datetime_parsing")) == 0)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_async_schema_json_text(ngx_http_async_schema_json_value_t *v,
    u_char c)
{
    if (v->f->choices && c != '"') {
        return ngx_http_async_schema_json_choice(v, c);
    }

    switch (v->f->field->type) {

    case ASYNC_FIELD_DATE:
        return ngx_http_async_schema_json_when(v, c, "date_type",
                                               "Input should be a valid date");

    case ASYNC_FIELD_UUID:
        return (c == '"')
               ? ngx_http_async_schema_json_parsed(v)
               : ngx_http_async_schema_json_not(v, "uuid_type",
                                   "UUID input should be a string, bytes or "
                                   "UUID object");

    case ASYNC_FIELD_BYTES:
        return (c == '"')
               ? ngx_http_async_schema_json_parsed(v)
               : ngx_http_async_schema_json_not(v, "bytes_type",
                                               "Input should be a valid bytes");

    default:
        return (c == '"')
               ? ngx_http_async_schema_json_plain(v)
               : ngx_http_async_schema_json_not(v, "string_type",
                                             "Input should be a valid string");
    }
}


static ngx_int_t
ngx_http_async_schema_json_plain(ngx_http_async_schema_json_value_t *v)
{
    ngx_int_t     rc;
    ngx_str_t     text;
    async_str_t  *str;

    rc = ngx_http_async_schema_json_string(v, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    if (v->f->kind == ASYNC_MEMBER_TEXT) {
        *(const char **) v->to = (char *) text.data;

    } else {
        str = v->to;
        str->data = (char *) text.data;
        str->len = text.len;
    }

    return ngx_http_async_schema_json_constrain(v);
}


/* of a string, what a query has of it */

static ngx_int_t
ngx_http_async_schema_json_parsed(ngx_http_async_schema_json_value_t *v)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    rc = ngx_http_async_schema_json_string(v, &text);

    return (rc == NGX_OK)
           ? ngx_http_async_schema_text(v->reading, v->loc, v->f, &text, v->to)
           : rc;
}


/* an integer by its name; and text that has choices, but is none */

static ngx_int_t
ngx_http_async_schema_json_choice(ngx_http_async_schema_json_value_t *v,
    u_char c)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    if (c == '"') {
        rc = ngx_http_async_schema_json_string(v, &text);

    } else {
        /* no choice has a zero byte */
        text.data = (u_char *) "";
        text.len = 1;

        rc = ngx_http_async_json_skip(&v->at.r->in);
    }

    return (rc == NGX_OK)
           ? ngx_http_async_schema_index(v->reading, v->loc, v->f, &text,
                                         v->to, ngx_http_async_schema_json_show,
                                         &v->at)
           : rc;
}


/* its text, in memory of its own, zero-terminated */

static ngx_int_t
ngx_http_async_schema_json_string(ngx_http_async_schema_json_value_t *v,
    ngx_str_t *text)
{
    ngx_int_t                      rc;
    ngx_http_async_json_string_t   s;

    rc = ngx_http_async_json_string(&v->at.r->in, &s);
    if (rc != NGX_OK) {
        return rc;
    }

    text->data = ngx_pnalloc(v->reading->pool, s.raw.len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    if (s.escaped) {
        text->len = ngx_http_async_json_unescape(&s.raw, text->data);

    } else {
        ngx_memcpy(text->data, s.raw.data, s.raw.len);
        text->len = s.raw.len;
    }

    text->data[text->len] = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_schema_json_any(ngx_http_async_schema_json_value_t *v)
{
    json_t                       *value;
    u_char                       *p;
    ngx_int_t                     rc;
    ngx_pool_cleanup_t           *cln;
    ngx_http_async_json_error_t   error;

    rc = ngx_http_async_json_skip(&v->at.r->in);
    if (rc != NGX_OK) {
        return rc;
    }

    cln = ngx_pool_cleanup_add(v->reading->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    p = v->at.start;
    rc = ngx_http_async_json_load(p, v->at.r->in.p - p, 0, &value, &error);

    if (rc == NGX_DECLINED) {
        return ngx_http_async_schema_json_not(v, "int_parsing_size",
                                   "Unable to parse input string as an "
                                   "integer, exceeded maximum size");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    cln->handler = ngx_http_async_schema_json_free;
    cln->data = value;

    *(json_t **) v->to = value;

    return ngx_http_async_schema_json_constrain(v);
}


static void
ngx_http_async_schema_json_free(void *data)
{
    json_decref((json_t *) data);
}


static ngx_int_t
ngx_http_async_schema_json_constrain(ngx_http_async_schema_json_value_t *v)
{
    ngx_http_async_schema_field_t  *f;

    f = v->f;

    if (f->check == NULL && f->pattern == NULL && f->choices == NULL
        && f->field->min_length == 0 && f->field->max_length == 0)
    {
        return NGX_OK;
    }

    return ngx_http_async_schema_constrain(v->reading, v->loc, f, v->to,
                                           ngx_http_async_schema_json_show,
                                           &v->at);
}


static ngx_int_t
ngx_http_async_schema_json_not(ngx_http_async_schema_json_value_t *v,
    const char *type, const char *msg)
{
    return ngx_http_async_schema_json_wrong(v->at.r, v->loc, type, msg,
                                            v->at.start);
}
