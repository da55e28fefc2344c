
/*
 * Copyright (C) the nginx-async authors
 *
 * Compressed bodies: see ngx_http_async_inflate.h.
 */

#include <ngx_http_async_inflate.h>


/* zlib counts in unsigned int */
#define NGX_HTTP_ASYNC_INFLATE_CHUNK  (1 << 30)


static ngx_int_t ngx_http_async_inflate_inside(ngx_http_async_inflate_t *inf,
    u_char **in, u_char *in_last, u_char **out, u_char *out_last);
static ngx_int_t ngx_http_async_inflate_behind(ngx_http_async_inflate_t *inf,
    u_char **in, u_char *in_last);
static ngx_int_t ngx_http_async_inflate_broken(ngx_http_async_inflate_t *inf,
    const char *error);


ngx_int_t
ngx_http_async_inflate_init(ngx_http_async_inflate_t *inf, ngx_str_t *coding)
{
    int         bits;
    ngx_uint_t  i;

    static const struct {
        ngx_str_t   name;
        ngx_uint_t  gzip;
    } codings[] = {
        { ngx_string("gzip"), 1 },
        { ngx_string("x-gzip"), 1 },
        { ngx_string("deflate"), 0 }
    };

    ngx_memzero(inf, sizeof(ngx_http_async_inflate_t));

    for (i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {

        if (coding->len == codings[i].name.len
            && ngx_strncasecmp(coding->data, codings[i].name.data,
                               coding->len)
               == 0)
        {
            break;
        }
    }

    if (i == sizeof(codings) / sizeof(codings[0])) {
        return NGX_DECLINED;
    }

    /* 16 more is zlib's word for gzip's header and trailer */

    bits = MAX_WBITS + (codings[i].gzip ? 16 : 0);

    if (inflateInit2(&inf->z, bits) != Z_OK) {
        return NGX_ERROR;
    }

    inf->members = codings[i].gzip;
    inf->state = NGX_HTTP_ASYNC_INFLATE_INSIDE;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_inflate(ngx_http_async_inflate_t *inf, u_char **in,
    u_char *in_last, u_char **out, u_char *out_last, const char **error)
{
    ngx_int_t  rc;

    do {
        switch (inf->state) {

        case NGX_HTTP_ASYNC_INFLATE_INSIDE:
            rc = ngx_http_async_inflate_inside(inf, in, in_last, out,
                                               out_last);
            break;

        case NGX_HTTP_ASYNC_INFLATE_BEHIND:
            rc = ngx_http_async_inflate_behind(inf, in, in_last);
            break;

        default: /* NONE, BROKEN */
            rc = NGX_DECLINED;
        }

    } while (rc == NGX_AGAIN);

    if (rc == NGX_DECLINED) {

        if (inf->error == NULL) {
            return NGX_ERROR;
        }

        *error = inf->error;
    }

    return rc;
}


/* NGX_AGAIN: there is more to do at once */

static ngx_int_t
ngx_http_async_inflate_inside(ngx_http_async_inflate_t *inf, u_char **in,
    u_char *in_last, u_char **out, u_char *out_last)
{
    int     rc;
    size_t  size, room;
    u_char  none = 0;

    size = ngx_min(in_last - *in, NGX_HTTP_ASYNC_INFLATE_CHUNK);
    room = ngx_min(out_last - *out, NGX_HTTP_ASYNC_INFLATE_CHUNK);

    /* zlib wants an address even where there is no room */

    inf->z.next_in = *in;
    inf->z.avail_in = (uInt) size;
    inf->z.next_out = room ? *out : &none;
    inf->z.avail_out = (uInt) room;

    rc = inflate(&inf->z, Z_NO_FLUSH);

    *in += size - inf->z.avail_in;
    *out += room - inf->z.avail_out;

    switch (rc) {

    case Z_STREAM_END:
        inf->state = NGX_HTTP_ASYNC_INFLATE_BEHIND;
        return NGX_AGAIN;

    case Z_OK:
        return (*in < in_last && *out < out_last) ? NGX_AGAIN : NGX_OK;

    case Z_BUF_ERROR:
        return NGX_OK;

    case Z_NEED_DICT:
        return ngx_http_async_inflate_broken(inf, "it needs a dictionary");

    case Z_MEM_ERROR:
        return ngx_http_async_inflate_broken(inf, NULL);

    default: /* Z_DATA_ERROR */
        return ngx_http_async_inflate_broken(inf,
                                             inf->z.msg ? inf->z.msg
                                                        : "invalid data");
    }
}


static ngx_int_t
ngx_http_async_inflate_behind(ngx_http_async_inflate_t *inf, u_char **in,
    u_char *in_last)
{
    if (inf->members) {
        while (*in < in_last && **in == 0) {
            (*in)++;
        }
    }

    if (*in == in_last) {
        return NGX_DONE;
    }

    /* 0x1f is how a member begins */

    if (!inf->members || **in != 0x1f) {
        return ngx_http_async_inflate_broken(inf, "garbage behind its end");
    }

    inflateReset(&inf->z);
    inf->state = NGX_HTTP_ASYNC_INFLATE_INSIDE;

    return NGX_AGAIN;
}


/* an error of NULL: no memory */

static ngx_int_t
ngx_http_async_inflate_broken(ngx_http_async_inflate_t *inf, const char *error)
{
    inf->error = error;
    inf->state = NGX_HTTP_ASYNC_INFLATE_BROKEN;

    return NGX_DECLINED;
}


ngx_uint_t
ngx_http_async_inflate_complete(ngx_http_async_inflate_t *inf)
{
    return inf->state == NGX_HTTP_ASYNC_INFLATE_BEHIND;
}


void
ngx_http_async_inflate_end(ngx_http_async_inflate_t *inf)
{
    if (inf->state == NGX_HTTP_ASYNC_INFLATE_NONE) {
        return;
    }

    inflateEnd(&inf->z);
    inf->state = NGX_HTTP_ASYNC_INFLATE_NONE;
}
