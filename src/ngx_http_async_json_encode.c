
/*
 * The text of jansson's trees.  jansson's own encoder is not used: it prints
 * 0.1 as 0.10000000000000001 and recurs.
 * Called for responses and messages; must not know whose they are.
 */


#include <ngx_http_async_json_write.h>


static ngx_int_t ngx_http_async_json_write_value(
    ngx_http_async_json_out_t *out, json_t *value);
static json_t *ngx_http_async_json_next(ngx_http_async_json_out_t *out);
static ngx_int_t ngx_http_async_json_open_value(
    ngx_http_async_json_out_t *out, json_t *value, u_char c);


ngx_int_t
ngx_http_async_json_encode(ngx_pool_t *pool, json_t *value, ngx_str_t *text,
    ngx_uint_t *depth, const char **error)
{
    ngx_int_t                  rc;
    ngx_http_async_json_out_t  out;

    ngx_http_async_json_out(&out, pool);

    rc = ngx_http_async_json_write(&out, value);
    rc = ngx_http_async_json_out_done(&out, rc, text);

    *depth = out.deepest;
    *error = out.error;

    return rc;
}


ngx_int_t
ngx_http_async_json_write(ngx_http_async_json_out_t *out, json_t *value)
{
    ngx_int_t  rc;

    out->base = out->depth;

    do {
        rc = ngx_http_async_json_write_value(out, value);

        if (rc != NGX_OK) {
            return rc;
        }

        value = ngx_http_async_json_next(out);

    } while (value);

    return out->error ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_async_json_write_value(ngx_http_async_json_out_t *out, json_t *value)
{
    if (value == NULL) {
        out->error = "there is no value";
        return NGX_DECLINED;
    }

    switch (json_typeof(value)) {

    case JSON_OBJECT:
        return ngx_http_async_json_open_value(out, value, '{');

    case JSON_ARRAY:
        return ngx_http_async_json_open_value(out, value, '[');

    case JSON_STRING:
        return ngx_http_async_json_write_string(out, json_string_value(value),
                                                json_string_length(value));

    case JSON_INTEGER:
        return ngx_http_async_json_write_int(out, json_integer_value(value));

    case JSON_REAL:
        return ngx_http_async_json_write_real(out, json_real_value(value));

    case JSON_TRUE:
        return ngx_http_async_json_write_word(out, "true", 4);

    case JSON_FALSE:
        return ngx_http_async_json_write_word(out, "false", 5);

    case JSON_NULL:
        return ngx_http_async_json_write_word(out, "null", 4);
    }

    out->error = "the value is of no JSON type";

    return NGX_DECLINED;
}


/*
 * Closes what is at its end; then writes what stands before the next value,
 * and returns that.  NULL: all is written, or out->error is set.
 */

static json_t *
ngx_http_async_json_next(ngx_http_async_json_out_t *out)
{
    json_t                       *value;
    ngx_http_async_json_frame_t  *frame;

    for (frame = &out->frames[out->depth];
         out->depth > out->base;
         frame--, out->depth--)
    {

        if (ngx_http_async_json_reserve(out, 1) != NGX_OK) {
            return NULL;
        }

        if (frame->iter) {
            if (frame->index++) {
                *out->pos++ = ',';
            }

            if (ngx_http_async_json_write_string(out,
                                    json_object_iter_key(frame->iter),
                                    json_object_iter_key_len(frame->iter))
                != NGX_OK)
            {
                return NULL;
            }

            *out->pos++ = ':';

            value = json_object_iter_value(frame->iter);
            frame->iter = json_object_iter_next(frame->value, frame->iter);

            return value;
        }

        /* jansson gives NULL for no array, too */

        value = json_array_get(frame->value, frame->index);

        if (value) {
            if (frame->index++) {
                *out->pos++ = ',';
            }

            return value;
        }

        *out->pos++ = frame->close;
    }

    return NULL;
}


static ngx_int_t
ngx_http_async_json_open_value(ngx_http_async_json_out_t *out, json_t *value,
    u_char c)
{
    ngx_int_t                     rc;
    ngx_http_async_json_frame_t  *frame;

    rc = ngx_http_async_json_open(out, c);
    if (rc != NGX_OK) {
        return rc;
    }

    frame = &out->frames[out->depth];

    frame->value = value;
    frame->iter = (c == '{') ? json_object_iter(value) : NULL;

    return NGX_OK;
}
