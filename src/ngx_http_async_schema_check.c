
/*
 * Copyright (C) the nginx-async authors
 *
 * What a schema says of values that have been read, whatever from: ranges,
 * lengths, pattern, choices, check; and how errors are recorded, with the
 * types, words and ctx of pydantic 2.
 */

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH  8
#endif

#include <pcre2.h>
#include <ngx_http_async_json.h>
#include <ngx_http_async_schema.h>
#include <ngx_http_async_value.h>


/*
 * Of a match in PCRE2, so that no text and pattern hold the loop for long: some
 * milliseconds.  What is not decided by then does not match.
 */
#define NGX_HTTP_ASYNC_SCHEMA_MATCH_LIMIT  100000

#define NGX_HTTP_ASYNC_SCHEMA_HEAP_LIMIT   1024      /* kilobytes */


/* of integers and of numbers alike */
#define ngx_http_async_schema_in(value, bound, limit)                        \
    (((bound) == NGX_HTTP_ASYNC_BOUND_LE) ? (value) <= (limit)               \
     : ((bound) == NGX_HTTP_ASYNC_BOUND_LT) ? (value) < (limit)              \
     : ((bound) == NGX_HTTP_ASYNC_BOUND_GE) ? (value) >= (limit)             \
     : (value) > (limit))


typedef struct {
    const char                 *type;
    const char                 *ctx;
    const char                 *msg;
} ngx_http_async_schema_words_t;


/* a value and how it got there */

typedef struct {
    ngx_http_async_reading_t       *reading;
    ngx_http_async_loc_t           *loc;
    ngx_http_async_schema_field_t  *f;
    ngx_http_async_input_pt         input;
    void                           *data;
} ngx_http_async_given_t;


static ngx_int_t ngx_http_async_schema_out(ngx_http_async_given_t *given,
    ngx_uint_t bound, ngx_str_t *text, json_t *limit);
static ngx_int_t ngx_http_async_schema_integer(ngx_http_async_given_t *given,
    int64_t value);
static ngx_int_t ngx_http_async_schema_range(ngx_http_async_given_t *given,
    int64_t value, ngx_uint_t bound, int64_t limit);
static ngx_int_t ngx_http_async_schema_number(ngx_http_async_given_t *given,
    double value);
static ngx_int_t ngx_http_async_schema_string(ngx_http_async_given_t *given,
    ngx_str_t *text);
static ngx_int_t ngx_http_async_schema_length(ngx_http_async_given_t *given,
    size_t n);
static ngx_int_t ngx_http_async_schema_match(ngx_http_async_given_t *given,
    ngx_str_t *text);
static ngx_int_t ngx_http_async_schema_choice(
    ngx_http_async_schema_field_t *f, ngx_str_t *text);
static ngx_int_t ngx_http_async_schema_no_choice(
    ngx_http_async_given_t *given);
static ngx_int_t ngx_http_async_schema_checked(ngx_http_async_given_t *given,
    void *to);
static size_t ngx_http_async_schema_characters(ngx_str_t *text);
static ngx_int_t ngx_http_async_schema_fail(ngx_http_async_given_t *given,
    const char *type, json_t *ctx, const char *fmt, ...);
static size_t ngx_http_async_schema_loc_len(ngx_http_async_loc_t *loc);
static json_t *ngx_http_async_schema_loc(ngx_http_async_loc_t *loc);


static ngx_http_async_schema_words_t  ngx_http_async_schema_bound_words[] = {
    { "less_than_equal", "le", "less than or equal to" },
    { "less_than", "lt", "less than" },
    { "greater_than_equal", "ge", "greater than or equal to" },
    { "greater_than", "gt", "greater than" }
};


ngx_int_t
ngx_http_async_schema_int(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, int64_t value,
    void *to, ngx_http_async_input_pt input, void *data)
{
    int64_t                 min, max;
    ngx_int_t               rc;
    ngx_http_async_given_t  given = { reading, loc, f, input, data };

    /* bounds first: they are tighter than what the member holds */

    if (f->bounded) {
        rc = ngx_http_async_schema_integer(&given, value);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ngx_http_async_model_int(f->kind, to, value) == NGX_OK) {
        return f->check ? ngx_http_async_schema_checked(&given, to) : NGX_OK;
    }

    ngx_http_async_model_range(f->kind, &min, &max);

    if (value > max) {
        return ngx_http_async_schema_range(&given, value,
                                           NGX_HTTP_ASYNC_BOUND_LE, max);
    }

    return ngx_http_async_schema_range(&given, value, NGX_HTTP_ASYNC_BOUND_GE,
                                       min);
}


ngx_int_t
ngx_http_async_schema_wide(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    ngx_str_t *text, void *to, ngx_http_async_input_pt input, void *data)
{
    int64_t                        min, max, limit, value;
    uint64_t                       wide;
    ngx_int_t                      rc;
    ngx_uint_t                     bound, negative;
    ngx_http_async_given_t         given = { reading, loc, f, input, data };
    ngx_http_async_value_error_t   error;

    rc = ngx_http_async_value_wide(text, &wide, &negative, &error);

    value = negative ? INT64_MIN : INT64_MAX;
    bound = negative ? NGX_HTTP_ASYNC_BOUND_GE : NGX_HTTP_ASYNC_BOUND_LE;

    if (f->bounds[bound].text.data || f->bounds[bound + 1].text.data) {
        bound += (f->bounds[bound].text.data == NULL);

        return ngx_http_async_schema_out(&given, bound,
                                     &f->bounds[bound].text,
                                     json_integer(f->bounds[bound].integer));
    }

    if (f->kind == ASYNC_MEMBER_UINT64 && rc == NGX_OK && !negative) {
        *(uint64_t *) to = wide;
        return f->check ? ngx_http_async_schema_checked(&given, to) : NGX_OK;
    }

    ngx_http_async_model_range(f->kind, &min, &max);
    limit = negative ? min : max;

    if (limit != value) {
        return ngx_http_async_schema_range(&given, value, bound, limit);
    }

    return ngx_http_async_schema_fail(&given, "int_parsing_size", NULL,
                                      "Unable to parse input string as an "
                                      "integer, exceeded maximum size");
}


ngx_int_t
ngx_http_async_schema_float(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, double value,
    void *to, ngx_http_async_input_pt input, void *data)
{
    ngx_int_t               rc;
    ngx_http_async_given_t  given = { reading, loc, f, input, data };

    if (ngx_http_async_model_float(f->kind, to, value) != NGX_OK) {
        return ngx_http_async_schema_fail(&given, "finite_number", NULL,
                                          "Input should be a finite number");
    }

    if (f->bounded) {
        rc = ngx_http_async_schema_number(&given, value);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return f->check ? ngx_http_async_schema_checked(&given, to) : NGX_OK;
}


ngx_int_t
ngx_http_async_schema_constrain(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, void *to,
    ngx_http_async_input_pt input, void *data)
{
    ngx_int_t               rc;
    ngx_str_t               text;
    async_str_t            *str;
    ngx_http_async_given_t  given = { reading, loc, f, input, data };

    rc = NGX_OK;

    switch (f->kind) {

    case ASYNC_MEMBER_FLOAT:
        rc = ngx_http_async_schema_number(&given, *(float *) to);
        break;

    case ASYNC_MEMBER_DOUBLE:
        rc = ngx_http_async_schema_number(&given, *(double *) to);
        break;

    case ASYNC_MEMBER_TEXT:
        text.data = *(u_char **) to;
        text.len = ngx_strlen(text.data);

        rc = ngx_http_async_schema_string(&given, &text);
        break;

    case ASYNC_MEMBER_STR:
        str = to;
        text.data = (u_char *) str->data;
        text.len = str->len;

        rc = ngx_http_async_schema_string(&given, &text);
        break;

    default:

        if (f->bounded) {
            rc = ngx_http_async_schema_integer(&given,
                                 ngx_http_async_model_integer(f->kind, to));
        }

        break;
    }

    if (rc != NGX_OK || f->check == NULL) {
        return rc;
    }

    return ngx_http_async_schema_checked(&given, to);
}


static ngx_int_t
ngx_http_async_schema_integer(ngx_http_async_given_t *given, int64_t value)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_http_async_bound_t  *bound;

    for (i = 0; i < NGX_HTTP_ASYNC_BOUNDS; i++) {
        bound = &given->f->bounds[i];

        if (bound->text.data == NULL) {
            continue;
        }

        rc = ngx_http_async_schema_range(given, value, i, bound->integer);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_schema_range(ngx_http_async_given_t *given, int64_t value,
    ngx_uint_t bound, int64_t limit)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  text;

    if (ngx_http_async_schema_in(value, bound, limit)) {
        return NGX_OK;
    }

    text.data = buf;
    text.len = ngx_sprintf(buf, "%L", limit) - buf;

    return ngx_http_async_schema_out(given, bound, &text,
                                     json_integer(limit));
}


static ngx_int_t
ngx_http_async_schema_number(ngx_http_async_given_t *given, double value)
{
    double                   limit;
    ngx_uint_t               i;
    ngx_http_async_bound_t  *bound;

    for (i = 0; i < NGX_HTTP_ASYNC_BOUNDS; i++) {
        bound = &given->f->bounds[i];

        if (bound->text.data == NULL) {
            continue;
        }

        limit = bound->number;

        if (given->f->kind == ASYNC_MEMBER_FLOAT) {
            /* the 0.1 of a float is above that of a double */
            limit = (float) limit;
            value = (float) value;
        }

        if (!ngx_http_async_schema_in(value, i, limit)) {
            return ngx_http_async_schema_out(given, i, &bound->text,
                                             json_real(bound->number));
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_schema_out(ngx_http_async_given_t *given, ngx_uint_t bound,
    ngx_str_t *text, json_t *limit)
{
    ngx_http_async_schema_words_t  *words;

    words = &ngx_http_async_schema_bound_words[bound];

    return ngx_http_async_schema_fail(given, words->type,
                                      json_pack("{s:o}", words->ctx, limit),
                                      "Input should be %s %V", words->msg,
                                      text);
}


static ngx_int_t
ngx_http_async_schema_string(ngx_http_async_given_t *given, ngx_str_t *text)
{
    ngx_int_t                       rc;
    ngx_http_async_schema_field_t  *f;

    f = given->f;

    if (!f->list && (f->field->min_length || f->field->max_length)) {
        rc = ngx_http_async_schema_length(given,
                                    ngx_http_async_schema_characters(text));
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (f->pattern) {
        rc = ngx_http_async_schema_match(given, text);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (f->choices
        && ngx_http_async_schema_choice(f, text) == NGX_DECLINED)
    {
        return ngx_http_async_schema_no_choice(given);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_schema_length(ngx_http_async_given_t *given, size_t n)
{
    size_t  min, max;

    min = given->f->field->min_length;
    max = given->f->field->max_length;

    if (n < min) {
        return ngx_http_async_schema_fail(given, "string_too_short",
                                          json_pack("{s:I}", "min_length",
                                                    (json_int_t) min),
                                          "String should have at least %uz "
                                          "character%s", min,
                                          (min == 1) ? "" : "s");
    }

    if (max && n > max) {
        return ngx_http_async_schema_fail(given, "string_too_long",
                                          json_pack("{s:I}", "max_length",
                                                    (json_int_t) max),
                                          "String should have at most %uz "
                                          "character%s", max,
                                          (max == 1) ? "" : "s");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_schema_count(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, size_t n,
    ngx_http_async_input_pt input, void *data)
{
    size_t                  min, max;
    ngx_http_async_given_t  given = { reading, loc, f, input, data };

    min = f->field->min_length;
    max = f->field->max_length;

    if (n < min) {
        return ngx_http_async_schema_fail(&given, "too_short",
                                          json_pack("{s:s, s:I, s:I}",
                                                    "field_type", "List",
                                                    "min_length",
                                                    (json_int_t) min,
                                                    "actual_length",
                                                    (json_int_t) n),
                                          "List should have at least %uz "
                                          "item%s after validation, not %uz",
                                          min, (min == 1) ? "" : "s", n);
    }

    if (max && n > max) {
        return ngx_http_async_schema_fail(&given, "too_long",
                                          json_pack("{s:s, s:I, s:I}",
                                                    "field_type", "List",
                                                    "max_length",
                                                    (json_int_t) max,
                                                    "actual_length",
                                                    (json_int_t) n),
                                          "List should have at most %uz "
                                          "item%s after validation, not %uz",
                                          max, (max == 1) ? "" : "s", n);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_schema_match(ngx_http_async_given_t *given, ngx_str_t *text)
{
    int                   rc;
    pcre2_match_data     *data;
    pcre2_match_context  *context;

    data = pcre2_match_data_create(1, NULL);
    context = pcre2_match_context_create(NULL);

    rc = PCRE2_ERROR_NOMEMORY;

    if (data && context) {
        (void) pcre2_set_match_limit(context,
                                     NGX_HTTP_ASYNC_SCHEMA_MATCH_LIMIT);
        (void) pcre2_set_heap_limit(context, NGX_HTTP_ASYNC_SCHEMA_HEAP_LIMIT);

        rc = pcre2_match(given->f->pattern, text->data, text->len, 0, 0, data,
                         context);
    }

    pcre2_match_context_free(context);
    pcre2_match_data_free(data);

    if (rc >= 0) {
        return NGX_OK;
    }

    if (rc == PCRE2_ERROR_NOMEMORY) {
        return NGX_ERROR;
    }

    return ngx_http_async_schema_fail(given, "string_pattern_mismatch",
                                      json_pack("{s:s}", "pattern",
                                                given->f->field->pattern),
                                      "String should match pattern '%s'",
                                      given->f->field->pattern);
}


ngx_int_t
ngx_http_async_schema_index(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    ngx_str_t *text, void *to, ngx_http_async_input_pt input, void *data)
{
    ngx_int_t               i;
    ngx_http_async_given_t  given = { reading, loc, f, input, data };

    i = ngx_http_async_schema_choice(f, text);

    if (i == NGX_DECLINED) {
        return ngx_http_async_schema_no_choice(&given);
    }

    (void) ngx_http_async_model_int(f->kind, to, i);

    return f->check ? ngx_http_async_schema_checked(&given, to) : NGX_OK;
}


/* its number, or NGX_DECLINED */

static ngx_int_t
ngx_http_async_schema_choice(ngx_http_async_schema_field_t *f, ngx_str_t *text)
{
    ngx_uint_t  i;

    for (i = 0; i < f->nchoices; i++) {
        if (f->choices[i].len == text->len
            && ngx_memcmp(f->choices[i].data, text->data, text->len) == 0)
        {
            return i;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_async_schema_no_choice(ngx_http_async_given_t *given)
{
    ngx_str_t  *expected;

    expected = &given->f->expected;

    return ngx_http_async_schema_fail(given, "enum",
                                      json_pack("{s:s%}", "expected",
                                                expected->data,
                                                expected->len),
                                      "Input should be %V", expected);
}


static ngx_int_t
ngx_http_async_schema_checked(ngx_http_async_given_t *given, void *to)
{
    u_char       *p;
    size_t        len;
    json_t       *ctx;
    ngx_str_t     why, msg;
    const char   *wrong;

    static const char  before[] = "Value error, ";

    wrong = given->f->check(to);

    if (wrong == NULL) {
        return NGX_OK;
    }

    msg.data = (u_char *) wrong;
    msg.len = ngx_strlen(wrong);

    if (ngx_http_async_schema_utf8(given->reading->pool, &msg, &why)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = sizeof(before) - 1 + why.len;

    msg.data = ngx_pnalloc(given->reading->pool, len);
    if (msg.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(msg.data, before, sizeof(before) - 1);
    ngx_memcpy(p, why.data, why.len);
    msg.len = len;

    ctx = json_pack("{s:s%}", "error", why.data, why.len);

    return ngx_http_async_reading_fail(given->reading, given->loc,
                                       "value_error", &msg,
                                       given->input(given->data), ctx);
}


/* of text that is UTF-8 */

static size_t
ngx_http_async_schema_characters(ngx_str_t *text)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < text->len; i++) {
        n += (text->data[i] & 0xc0) != 0x80;
    }

    return n;
}


static ngx_int_t
ngx_http_async_schema_fail(ngx_http_async_given_t *given, const char *type,
    json_t *ctx, const char *fmt, ...)
{
    size_t                          size;
    va_list                         args;
    ngx_str_t                       msg;
    ngx_http_async_schema_field_t  *f;

    f = given->f;

    /* the words, and what may be longer than a number */

    size = 512 + f->expected.len
           + (f->field->pattern ? ngx_strlen(f->field->pattern) : 0);

    msg.data = ngx_pnalloc(given->reading->pool, size);

    if (msg.data == NULL) {
        json_decref(ctx);
        return NGX_ERROR;
    }

    va_start(args, fmt);
    msg.len = ngx_vslprintf(msg.data, msg.data + size, fmt, args) - msg.data;
    va_end(args);

    return ngx_http_async_reading_fail(given->reading, given->loc, type, &msg,
                                       given->input(given->data), ctx);
}


ngx_int_t
ngx_http_async_reading_fail(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, const char *type, ngx_str_t *msg,
    json_t *input, json_t *ctx)
{
    json_t  *error;

    if (reading->errors == NULL) {
        reading->errors = json_array();
    }

    if (ngx_http_async_reading_is_full(reading)) {
        json_decref(input);
        json_decref(ctx);
        return NGX_DECLINED;
    }

    /* the ctx mostly has the words that the message has */

    reading->told += ngx_http_async_schema_loc_len(loc) + 2 * msg->len;

    error = json_pack("{s:s, s:o, s:s%, s:o, s:o*}", "type", type,
                      "loc", ngx_http_async_schema_loc(loc),
                      "msg", msg->data, msg->len, "input", input, "ctx", ctx);

    /* also of a NULL, and without an array */

    if (json_array_append_new(reading->errors, error) != 0) {
        return NGX_ERROR;
    }

    return NGX_DECLINED;
}


static size_t
ngx_http_async_schema_loc_len(ngx_http_async_loc_t *loc)
{
    size_t  len;

    for (len = 0; loc; loc = loc->up) {
        len += loc->name.data ? loc->name.len + sizeof("\"\",") - 1
                              : NGX_INT32_LEN;
    }

    return len;
}


static json_t *
ngx_http_async_schema_loc(ngx_http_async_loc_t *loc)
{
    int      rc;
    json_t  *list;

    list = json_array();
    rc = 0;

    for ( /* void */ ; loc && rc == 0; loc = loc->up) {
        rc = json_array_insert_new(list, 0,
                                   loc->name.data
                                   ? json_stringn((char *) loc->name.data,
                                                  loc->name.len)
                                   : json_integer(loc->index));
    }

    if (rc != 0) {
        json_decref(list);
        return NULL;
    }

    return list;
}
