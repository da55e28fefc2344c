
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON text into structs: what is said of values that do not fit.
 */

#include <ngx_http_async_schema_json.h>


size_t
ngx_http_async_schema_json_errors(ngx_http_async_schema_json_t *r)
{
    return json_array_size(r->reading->errors);
}


void
ngx_http_async_schema_json_drop(ngx_http_async_schema_json_t *r, size_t first)
{
    size_t  n;

    for (n = ngx_http_async_schema_json_errors(r); n > first; n--) {
        (void) json_array_remove(r->reading->errors, n - 1);
    }
}


ngx_int_t
ngx_http_async_schema_json_wrong(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, const char *type, const char *msg,
    u_char *start)
{
    ngx_int_t                         rc;
    ngx_str_t                         text;
    ngx_http_async_schema_json_at_t   at;

    if (r->in.p == start) {
        rc = ngx_http_async_json_skip(&r->in);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    at.r = r;
    at.start = start;

    text.data = (u_char *) msg;
    text.len = ngx_strlen(msg);

    return ngx_http_async_reading_fail(r->reading, loc, type, &text,
                                       ngx_http_async_schema_json_show(&at),
                                       NULL);
}


ngx_int_t
ngx_http_async_schema_json_blame(ngx_http_async_schema_json_t *r,
    size_t first, u_char *start)
{
    size_t                            i, n;
    json_t                           *input;
    ngx_http_async_schema_json_at_t   at;

    n = ngx_http_async_schema_json_errors(r);

    if (n == first) {
        return NGX_OK;
    }

    at.r = r;
    at.start = start;

    /* one value for all, and each of them is written */

    input = ngx_http_async_schema_json_show(&at);

    for (i = first; i < n; i++) {

        if (i > first) {
            if (r->shown < (size_t) (r->in.p - start)) {
                json_decref(input);
                input = json_null();

            } else {
                r->shown -= r->in.p - start;
            }
        }

        if (json_object_set(json_array_get(r->reading->errors, i), "input",
                            input) != 0)
        {
            json_decref(input);
            return NGX_ERROR;
        }
    }

    json_decref(input);

    return NGX_OK;
}


/* as an "input"; NULL, which reading_fail() takes for one, without memory */

json_t *
ngx_http_async_schema_json_show(void *data)
{
    size_t                            len;
    ngx_http_async_schema_json_t     *r;
    ngx_http_async_schema_json_at_t  *at = data;

    r = at->r;
    len = r->in.p - at->start;

    if (len > r->shown) {
        return json_null();
    }

    r->shown -= len;

    return ngx_http_async_schema_json_tree(r, at->start);
}


json_t *
ngx_http_async_schema_json_tree(ngx_http_async_schema_json_t *r,
    u_char *start)
{
    json_t  *value;

    (void) ngx_http_async_json_wide(start, r->in.p - start, &value);

    return value;
}


/* "items.0.price": Input should be a valid number */

void
ngx_http_async_reading_words(ngx_http_async_reading_t *reading, u_char *p,
    u_char *last)
{
    size_t       i;
    json_t      *error, *loc, *part;
    const char  *msg;

    error = json_array_get(reading->errors, 0);
    loc = json_object_get(error, "loc");
    msg = json_string_value(json_object_get(error, "msg"));

    last--;

    for (i = 1; i < json_array_size(loc); i++) {
        part = json_array_get(loc, i);

        p = ngx_slprintf(p, last, (i == 1) ? "\"" : ".");

        p = json_is_string(part)
            ? ngx_slprintf(p, last, "%s", json_string_value(part))
            : ngx_slprintf(p, last, "%L",
                           (int64_t) json_integer_value(part));
    }

    p = ngx_slprintf(p, last, "%s%s", (i > 1) ? "\": " : "", msg ? msg : "");

    *p = '\0';
}
