
/*
 * Copyright (C) the nginx-async authors
 *
 * Values of text by a schema, as pydantic 2 reads them in its lax mode: of
 * parameters, forms, defaults, and of strings in JSON.
 */

#include <ngx_http_async_json.h>
#include <ngx_http_async_schema.h>
#include <ngx_http_async_value.h>
#include <ngx_http_async_value_base64.h>
#include <ngx_http_async_value_time.h>


typedef struct {
    ngx_http_async_reading_t       *reading;
    ngx_http_async_loc_t           *loc;
    ngx_http_async_schema_field_t  *f;
    ngx_str_t                      *text;
} ngx_http_async_texting_t;


static json_t *ngx_http_async_schema_text_input(void *data);
static ngx_int_t ngx_http_async_schema_text_int(ngx_http_async_texting_t *t,
    void *to);
static ngx_int_t ngx_http_async_schema_text_float(ngx_http_async_texting_t *t,
    void *to);
static ngx_int_t ngx_http_async_schema_text_bool(ngx_http_async_texting_t *t,
    void *to);
static ngx_int_t ngx_http_async_schema_text_time(ngx_http_async_texting_t *t,
    void *to);
static ngx_int_t ngx_http_async_schema_text_short(ngx_http_async_texting_t *t,
    void *to);
static ngx_int_t ngx_http_async_schema_text_str(ngx_http_async_texting_t *t,
    void *to);
static ngx_int_t ngx_http_async_schema_text_bytes(ngx_http_async_texting_t *t,
    void *to);
static ngx_int_t ngx_http_async_schema_text_json(ngx_http_async_texting_t *t,
    void *to);
static void ngx_http_async_schema_text_unref(void *data);
static ngx_int_t ngx_http_async_schema_text_set(ngx_http_async_texting_t *t,
    ngx_str_t *value, void *to);
static ngx_int_t ngx_http_async_schema_text_fail(ngx_http_async_texting_t *t,
    ngx_http_async_value_error_t *error);
static size_t ngx_http_async_schema_utf8_start(u_char *p, u_char *end);


ngx_int_t
ngx_http_async_schema_text(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    ngx_str_t *text, void *to)
{
    ngx_http_async_texting_t  t = { reading, loc, f, text };

    switch (f->kind) {

    case ASYNC_MEMBER_BOOL:
        return ngx_http_async_schema_text_bool(&t, to);

    case ASYNC_MEMBER_FLOAT:
    case ASYNC_MEMBER_DOUBLE:
        return ngx_http_async_schema_text_float(&t, to);

    case ASYNC_MEMBER_TEXT:
    case ASYNC_MEMBER_STR:

        switch (f->field->type) {

        case ASYNC_FIELD_BYTES:
            return ngx_http_async_schema_text_bytes(&t, to);

        case ASYNC_FIELD_UUID:
        case ASYNC_FIELD_DATE:
            return ngx_http_async_schema_text_short(&t, to);

        default:
            return ngx_http_async_schema_text_str(&t, to);
        }

    case ASYNC_MEMBER_JSON:
        return ngx_http_async_schema_text_json(&t, to);

    default:

        if (f->field->type == ASYNC_FIELD_TIME) {
            return ngx_http_async_schema_text_time(&t, to);
        }

        return ngx_http_async_schema_text_int(&t, to);
    }
}


static json_t *
ngx_http_async_schema_text_input(void *data)
{
    ngx_http_async_texting_t  *t = data;

    return ngx_http_async_schema_input(t->reading->pool, t->text);
}


static ngx_int_t
ngx_http_async_schema_text_int(ngx_http_async_texting_t *t, void *to)
{
    int64_t                        value;
    uint64_t                       wide;
    ngx_uint_t                     negative;
    ngx_http_async_value_error_t   error;

    if (t->f->choices) {
        return ngx_http_async_schema_index(t->reading, t->loc, t->f, t->text,
                                           to,
                                           ngx_http_async_schema_text_input,
                                           t);
    }

    if (ngx_http_async_value_int(t->text, &value, &error) != NGX_OK) {

        if (ngx_http_async_value_wide(t->text, &wide, &negative, &error)
            == NGX_DECLINED)
        {
            return ngx_http_async_schema_text_fail(t, &error);
        }

        return ngx_http_async_schema_wide(t->reading, t->loc, t->f, t->text,
                                          to,
                                          ngx_http_async_schema_text_input,
                                          t);
    }

    return ngx_http_async_schema_int(t->reading, t->loc, t->f, value, to,
                                     ngx_http_async_schema_text_input, t);
}


static ngx_int_t
ngx_http_async_schema_text_float(ngx_http_async_texting_t *t, void *to)
{
    double                         value;
    ngx_http_async_value_error_t   error;

    if (ngx_http_async_value_float(t->text, &value, &error) != NGX_OK) {
        return ngx_http_async_schema_text_fail(t, &error);
    }

    return ngx_http_async_schema_float(t->reading, t->loc, t->f, value, to,
                                       ngx_http_async_schema_text_input, t);
}


static ngx_int_t
ngx_http_async_schema_text_bool(ngx_http_async_texting_t *t, void *to)
{
    ngx_uint_t                     value;
    ngx_http_async_value_error_t   error;

    if (ngx_http_async_value_bool(t->text, &value, &error) != NGX_OK) {
        return ngx_http_async_schema_text_fail(t, &error);
    }

    *(_Bool *) to = value;

    return ngx_http_async_schema_constrain(t->reading, t->loc, t->f, to,
                                           ngx_http_async_schema_text_input,
                                           t);
}


static ngx_int_t
ngx_http_async_schema_text_time(ngx_http_async_texting_t *t, void *to)
{
    ngx_http_async_value_error_t   error;

    if (ngx_http_async_value_time(t->text, to, &error) != NGX_OK) {
        return ngx_http_async_schema_text_fail(t, &error);
    }

    return ngx_http_async_schema_constrain(t->reading, t->loc, t->f, to,
                                           ngx_http_async_schema_text_input,
                                           t);
}


/* a text of a length that is known: of a UUID, of a date */

static ngx_int_t
ngx_http_async_schema_text_short(ngx_http_async_texting_t *t, void *to)
{
    ngx_int_t                      rc;
    ngx_str_t                      value;
    ngx_http_async_value_error_t   error;

    value.len = (t->f->field->type == ASYNC_FIELD_UUID)
                ? NGX_HTTP_ASYNC_UUID_LEN : NGX_HTTP_ASYNC_DATE_LEN;

    value.data = ngx_pnalloc(t->reading->pool, value.len + 1);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    rc = (t->f->field->type == ASYNC_FIELD_UUID)
         ? ngx_http_async_value_uuid(t->text, value.data, &error)
         : ngx_http_async_value_date(t->text, value.data, &error);

    if (rc != NGX_OK) {
        return ngx_http_async_schema_text_fail(t, &error);
    }

    value.data[value.len] = '\0';

    return ngx_http_async_schema_text_set(t, &value, to);
}


static ngx_int_t
ngx_http_async_schema_text_str(ngx_http_async_texting_t *t, void *to)
{
    json_t     *ctx;
    ngx_str_t   value;

    static ngx_str_t  msg = ngx_string("Value error, a text of this kind "
                                       "cannot have a zero byte");

    if (ngx_http_async_schema_utf8(t->reading->pool, t->text, &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (t->f->kind == ASYNC_MEMBER_TEXT
        && ngx_strlchr(value.data, value.data + value.len, '\0'))
    {
        ctx = json_pack("{s:s}", "error",
                        (char *) msg.data + sizeof("Value error, ") - 1);

        return ngx_http_async_reading_fail(t->reading, t->loc, "value_error",
                                        &msg,
                                        ngx_http_async_schema_text_input(t),
                                        ctx);
    }

    return ngx_http_async_schema_text_set(t, &value, to);
}


static ngx_int_t
ngx_http_async_schema_text_bytes(ngx_http_async_texting_t *t, void *to)
{
    json_t                        *ctx;
    ngx_str_t                      value, why;
    ngx_http_async_value_error_t   error;

    value.data = ngx_pnalloc(t->reading->pool, t->text->len + 1);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_async_value_base64(t->text, &value, &error) == NGX_OK) {
        value.data[value.len] = '\0';
        return ngx_http_async_schema_text_set(t, &value, to);
    }

    why = error.ctx;

    ctx = json_pack("{s:s, s:s%}", "encoding", "base64",
                    "encoding_error", why.data, why.len);

    return ngx_http_async_reading_fail(t->reading, t->loc,
                                       (char *) error.type.data, &error.msg,
                                       ngx_http_async_schema_text_input(t),
                                       ctx);
}


static ngx_int_t
ngx_http_async_schema_text_json(ngx_http_async_texting_t *t, void *to)
{
    u_char                       *p, buf[256];
    json_t                      **value;
    ngx_int_t                     rc;
    ngx_str_t                     msg;
    ngx_pool_cleanup_t           *cln;
    ngx_http_async_json_error_t   error;

    cln = ngx_pool_cleanup_add(t->reading->pool, sizeof(json_t *));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    value = cln->data;
    *value = NULL;
    cln->handler = ngx_http_async_schema_text_unref;

    rc = ngx_http_async_json_load(t->text->data, t->text->len, 0, value,
                                  &error);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        *(json_t **) to = *value;

        return ngx_http_async_schema_constrain(t->reading, t->loc, t->f, to,
                                           ngx_http_async_schema_text_input,
                                           t);
    }

    p = ngx_snprintf(buf, sizeof(buf), "Invalid JSON: %s at character %uz",
                     error.text, error.position);
    msg.data = buf;
    msg.len = p - buf;

    p = buf + sizeof("Invalid JSON: ") - 1;

    return ngx_http_async_reading_fail(t->reading, t->loc, "json_invalid",
                                       &msg,
                                       ngx_http_async_schema_text_input(t),
                                       json_pack("{s:s%}", "error", p,
                                                 msg.len - (p - buf)));
}


static void
ngx_http_async_schema_text_unref(void *data)
{
    json_t  **value = data;

    json_decref(*value);
}


static ngx_int_t
ngx_http_async_schema_text_set(ngx_http_async_texting_t *t, ngx_str_t *value,
    void *to)
{
    async_str_t  *str = to;

    if (t->f->kind == ASYNC_MEMBER_TEXT) {
        *(const char **) to = (char *) value->data;

    } else {
        str->data = (char *) value->data;
        str->len = value->len;
    }

    return ngx_http_async_schema_constrain(t->reading, t->loc, t->f, to,
                                           ngx_http_async_schema_text_input,
                                           t);
}


static ngx_int_t
ngx_http_async_schema_text_fail(ngx_http_async_texting_t *t,
    ngx_http_async_value_error_t *error)
{
    json_t  *ctx;

    ctx = NULL;

    if (error->ctx.len) {
        ctx = json_pack("{s:s%}", "error", error->ctx.data, error->ctx.len);
    }

    return ngx_http_async_reading_fail(t->reading, t->loc,
                                       (char *) error->type.data, &error->msg,
                                       ngx_http_async_schema_text_input(t),
                                       ctx);
}


json_t *
ngx_http_async_schema_input(ngx_pool_t *pool, ngx_str_t *text)
{
    json_t     *value;
    ngx_str_t   valid;

    value = NULL;

    if (ngx_http_async_schema_utf8(pool, text, &valid) == NGX_OK) {
        value = json_stringn((char *) valid.data, valid.len);
    }

    return value ? value : json_null();
}


/*
 * The text itself if it is UTF-8.  Otherwise a copy as Python decodes it with
 * errors="replace": the longest start of a character, or else one byte,
 * becomes U+FFFD (Unicode 15, 3.9, "maximal subparts").
 */

ngx_int_t
ngx_http_async_schema_utf8(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *valid)
{
    size_t   len;
    u_char  *p, *end, *dst;

    p = text->data;
    end = p + text->len;

    while (p < end && (len = ngx_http_async_value_utf8(p, end)) != 0) {
        p += len;
    }

    if (p == end) {
        *valid = *text;
        return NGX_OK;
    }

    dst = ngx_pnalloc(pool, text->len * 3 + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    valid->data = dst;

    for (p = text->data; p < end; p += len) {
        len = ngx_http_async_value_utf8(p, end);

        if (len) {
            dst = ngx_cpymem(dst, p, len);
            continue;
        }

        len = ngx_http_async_schema_utf8_start(p, end);
        dst = ngx_cpymem(dst, "\xef\xbf\xbd", 3);
    }

    *dst = '\0';
    valid->len = dst - valid->data;

    return NGX_OK;
}


/* the length of what begins a character at p, but does not end it; least 1 */

static size_t
ngx_http_async_schema_utf8_start(u_char *p, u_char *end)
{
    size_t  len;
    u_char  whole[4];

    /* with the bytes that are missing it would be one */

    for (len = ngx_min(end - p, 3); len > 1; len--) {

        ngx_memset(whole, 0x80, sizeof(whole));
        ngx_memcpy(whole, p, len);

        if (ngx_http_async_value_utf8(whole, whole + sizeof(whole)) > len) {
            break;
        }
    }

    return len;
}
