
/*
 * UUIDs from text as pydantic 2 reads them, which asks Rust's uuid crate, and
 * with the words of that.  Called by parameters and models.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_async_value.h>


#define ngx_http_async_value_is_hex(c)                                        \
    (((c) >= '0' && (c) <= '9')                                               \
     || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))


static ngx_int_t ngx_http_async_value_uuid_error(ngx_str_t *uuid,
    ngx_http_async_value_error_t *error);
static ngx_int_t ngx_http_async_value_uuid_group(size_t *ends, size_t len,
    ngx_http_async_value_error_t *error);
static ngx_int_t ngx_http_async_value_uuid_char(u_char *p, u_char *last,
    size_t place, ngx_http_async_value_error_t *error);
static ngx_int_t ngx_http_async_value_uuid_fail(
    ngx_http_async_value_error_t *error, const char *fmt, ...);


static ngx_str_t  ngx_http_async_uuid_urn = ngx_string("urn:uuid:");


ngx_int_t
ngx_http_async_value_uuid(ngx_str_t *text,
    u_char value[NGX_HTTP_ASYNC_UUID_LEN],
    ngx_http_async_value_error_t *error)
{
    u_char     *p;
    size_t      i;
    ngx_str_t   s, *urn;

    s = *text;
    urn = &ngx_http_async_uuid_urn;

    if (s.len == NGX_HTTP_ASYNC_UUID_LEN + 2
        && s.data[0] == '{' && s.data[s.len - 1] == '}')
    {
        s.data++;
        s.len -= 2;

    } else if (s.len == NGX_HTTP_ASYNC_UUID_LEN + urn->len
               && ngx_memcmp(s.data, urn->data, urn->len) == 0)
    {
        s.data += urn->len;
        s.len -= urn->len;
    }

    if (s.len != NGX_HTTP_ASYNC_UUID_LEN && s.len != 32) {
        return ngx_http_async_value_uuid_error(&s, error);
    }

    p = s.data;

    for (i = 0; i < NGX_HTTP_ASYNC_UUID_LEN; i++) {

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            value[i] = '-';

            if (s.len == NGX_HTTP_ASYNC_UUID_LEN && *p++ != '-') {
                return ngx_http_async_value_uuid_error(&s, error);
            }

            continue;
        }

        if (!ngx_http_async_value_is_hex(*p)) {
            return ngx_http_async_value_uuid_error(&s, error);
        }

        value[i] = ngx_tolower(*p);
        p++;
    }

    return NGX_OK;
}


/*
 * Finds what is wrong as the uuid crate's InvalidUuid::into_err() does, down
 * to its oddities: inside braces or behind "urn:uuid:" it speaks of groups
 * where it would have spoken of the length.
 */

static ngx_int_t
ngx_http_async_value_uuid_error(ngx_str_t *uuid,
    ngx_http_async_value_error_t *error)
{
    u_char     *p, *last;
    size_t      offset, hyphens, ends[4];
    ngx_str_t   s, *urn;

    s = *uuid;
    offset = 0;
    urn = &ngx_http_async_uuid_urn;

    if (s.len >= 2 && s.data[0] == '{' && s.data[s.len - 1] == '}') {
        offset = 1;
        s.len -= 2;

    } else if (s.len >= urn->len
               && ngx_memcmp(s.data, urn->data, urn->len) == 0)
    {
        offset = urn->len;
        s.len -= urn->len;
    }

    s.data += offset;
    hyphens = 0;
    last = s.data + s.len;

    for (p = s.data; p < last; p++) {

        if (*p == '-') {
            if (hyphens < 4) {
                ends[hyphens] = p - s.data;
            }

            hyphens++;
            continue;
        }

        if (!ngx_http_async_value_is_hex(*p)) {
            return ngx_http_async_value_uuid_char(p, last,
                                                  p - s.data + offset + 1,
                                                  error);
        }
    }

    if (hyphens == 0 && offset == 0) {
        return ngx_http_async_value_uuid_fail(error,
                           "invalid length: expected length 32 for simple "
                           "format, found %uz", s.len);
    }

    if (hyphens != 4) {
        return ngx_http_async_value_uuid_fail(error,
                           "invalid group count: expected 5, found %uz",
                           hyphens + 1);
    }

    return ngx_http_async_value_uuid_group(ends, uuid->len, error);
}


/* len is that with braces or prefix, which the crate counts here, too */

static ngx_int_t
ngx_http_async_value_uuid_group(size_t *ends, size_t len,
    ngx_http_async_value_error_t *error)
{
    size_t      found;
    ngx_uint_t  i;

    static const size_t  starts[] = { 0, 9, 14, 19, 24, 37 };

    for (i = 0; i < 4; i++) {
        if (ends[i] != starts[i + 1] - 1) {
            break;
        }
    }

    found = ((i < 4) ? ends[i] : len) - starts[i];

    return ngx_http_async_value_uuid_fail(error,
                       "invalid group length in group %ui: expected %uz, "
                       "found %uz", i, starts[i + 1] - starts[i] - 1, found);
}


/* shows one character; what is no UTF-8 becomes U+FFFD, as when decoded */

static ngx_int_t
ngx_http_async_value_uuid_char(u_char *p, u_char *last, size_t place,
    ngx_http_async_value_error_t *error)
{
    ngx_str_t  shown;

    shown.data = p;
    shown.len = ngx_http_async_value_utf8(p, last);

    if (shown.len == 0) {
        ngx_str_set(&shown, "\xef\xbf\xbd");
    }

    return ngx_http_async_value_uuid_fail(error,
                       "invalid character: found `%V` at %uz", &shown, place);
}


static ngx_int_t
ngx_http_async_value_uuid_fail(ngx_http_async_value_error_t *error,
    const char *fmt, ...)
{
    u_char   *p, *last;
    va_list   args;

    static const char  prefix[] = "Input should be a valid UUID, ";

    last = error->text + NGX_HTTP_ASYNC_VALUE_TEXT_LEN;
    p = ngx_cpymem(error->text, prefix, sizeof(prefix) - 1);

    error->ctx.data = p;

    va_start(args, fmt);
    p = ngx_vslprintf(p, last, fmt, args);
    va_end(args);

    error->ctx.len = p - error->ctx.data;

    ngx_str_set(&error->type, "uuid_parsing");
    error->msg.data = error->text;
    error->msg.len = p - error->text;

    return NGX_DECLINED;
}
