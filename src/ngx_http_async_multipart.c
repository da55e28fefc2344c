
/*
 * Copyright (C) the nginx-async authors
 *
 * The parser of multipart/form-data, see ngx_http_async_multipart.h: where its
 * parts begin and end.  ngx_http_async_multipart_header.c reads their headers.
 *
 * Lines end with CR LF, nothing else.  What stands behind a boundary in its
 * line makes the body malformed, since the boundary is not to appear in a part
 * at the start of a line (RFC 2046, 5.1.1).
 */

#include <ngx_http_async_multipart_header.h>


static ngx_http_async_multipart_event_e ngx_http_async_multipart_skip(
    ngx_http_async_multipart_t *mp, ngx_str_t *piece);
static ngx_http_async_multipart_event_e ngx_http_async_multipart_body(
    ngx_http_async_multipart_t *mp, ngx_str_t *piece);
static ngx_uint_t ngx_http_async_multipart_resume(
    ngx_http_async_multipart_t *mp, ngx_str_t *piece);
static void ngx_http_async_multipart_found(ngx_http_async_multipart_t *mp);
static void ngx_http_async_multipart_line(ngx_http_async_multipart_t *mp,
    u_char ch);
static ngx_http_async_multipart_event_e ngx_http_async_multipart_headers(
    ngx_http_async_multipart_t *mp, ngx_str_t *piece);
static ngx_int_t ngx_http_async_multipart_header_byte(
    ngx_http_async_multipart_t *mp, u_char ch);


ngx_int_t
ngx_http_async_multipart_init(ngx_http_async_multipart_t *mp,
    ngx_str_t *content_type, u_char *headers, size_t size)
{
    u_char                            *p;
    size_t                             i;
    ngx_int_t                          rc;
    ngx_str_t                          text;
    ngx_http_async_multipart_param_t   param;

    ngx_memzero(mp, sizeof(ngx_http_async_multipart_t));

    mp->headers = headers;
    mp->size = size;

    p = ngx_strlchr(content_type->data,
                    content_type->data + content_type->len, ';');
    if (p == NULL) {
        return NGX_DECLINED;
    }

    text.data = p;
    text.len = content_type->data + content_type->len - p;

    do {
        rc = ngx_http_async_multipart_param(&text, &param);

        if (rc != NGX_OK) {
            return NGX_DECLINED;
        }
    } while (!ngx_http_async_multipart_is(&param.name, "boundary"));

    if (param.value.len == 0
        || param.value.len > NGX_HTTP_ASYNC_BOUNDARY_MAX
        || param.value.data[param.value.len - 1] == ' ')
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < param.value.len; i++) {
        if (param.value.data[i] < ' ' || param.value.data[i] >= 0x7f) {
            return NGX_DECLINED;
        }
    }

    p = ngx_cpymem(mp->delimiter, CRLF "--", 4);
    p = ngx_cpymem(p, param.value.data, param.value.len);

    mp->len = p - mp->delimiter;

    /* at the very start it needs no line before it */
    mp->matched = 2;
    mp->missing = 2;

    return NGX_OK;
}


ngx_http_async_multipart_event_e
ngx_http_async_multipart_next(ngx_http_async_multipart_t *mp,
    ngx_str_t *piece)
{
    ngx_http_async_multipart_event_e  event;

    while (piece->len || mp->matched == mp->len) {

        switch (mp->state) {

        case NGX_HTTP_ASYNC_MULTIPART_PREAMBLE:
            event = ngx_http_async_multipart_skip(mp, piece);
            break;

        case NGX_HTTP_ASYNC_MULTIPART_HEADERS:
            event = ngx_http_async_multipart_headers(mp, piece);
            break;

        case NGX_HTTP_ASYNC_MULTIPART_BODY:
            event = ngx_http_async_multipart_body(mp, piece);
            break;

        case NGX_HTTP_ASYNC_MULTIPART_EPILOGUE:
            piece->data += piece->len;
            piece->len = 0;
            event = NGX_HTTP_ASYNC_MULTIPART_MORE;
            break;

        case NGX_HTTP_ASYNC_MULTIPART_FAILED:
            event = NGX_HTTP_ASYNC_MULTIPART_ERROR;
            break;

        default:
            ngx_http_async_multipart_line(mp, *piece->data);
            piece->data++;
            piece->len--;
            event = NGX_HTTP_ASYNC_MULTIPART_MORE;
        }

        if (event != NGX_HTTP_ASYNC_MULTIPART_MORE) {
            return event;
        }
    }

    return (mp->state == NGX_HTTP_ASYNC_MULTIPART_FAILED)
               ? NGX_HTTP_ASYNC_MULTIPART_ERROR
               : NGX_HTTP_ASYNC_MULTIPART_MORE;
}


/* What stands before the first boundary is nobody's. */

static ngx_http_async_multipart_event_e
ngx_http_async_multipart_skip(ngx_http_async_multipart_t *mp,
    ngx_str_t *piece)
{
    ngx_http_async_multipart_event_e  event;

    do {
        event = ngx_http_async_multipart_body(mp, piece);
    } while (event == NGX_HTTP_ASYNC_MULTIPART_DATA);

    return NGX_HTTP_ASYNC_MULTIPART_MORE;
}


static ngx_http_async_multipart_event_e
ngx_http_async_multipart_body(ngx_http_async_multipart_t *mp,
    ngx_str_t *piece)
{
    u_char  *p, *cr, *last;
    size_t   n;

    if (mp->matched && ngx_http_async_multipart_resume(mp, piece)) {
        return NGX_HTTP_ASYNC_MULTIPART_DATA;
    }

    if (mp->matched == mp->len) {
        ngx_http_async_multipart_found(mp);
        return NGX_HTTP_ASYNC_MULTIPART_END;
    }

    if (piece->len == 0) {
        return NGX_HTTP_ASYNC_MULTIPART_MORE;
    }

    last = piece->data + piece->len;

    for (p = piece->data; /* void */ ; p = cr + 1) {

        cr = memchr(p, CR, last - p);

        if (cr == NULL) {
            mp->data = *piece;
            ngx_http_async_multipart_move(piece, last);
            return NGX_HTTP_ASYNC_MULTIPART_DATA;
        }

        n = ngx_min((size_t) (last - cr), mp->len);

        if (ngx_memcmp(cr, mp->delimiter, n) == 0) {
            break;
        }
    }

    mp->data.data = piece->data;
    mp->data.len = cr - piece->data;
    mp->matched = n;

    ngx_http_async_multipart_move(piece, cr + n);

    if (mp->data.len) {
        return NGX_HTTP_ASYNC_MULTIPART_DATA;
    }

    if (n == mp->len) {
        ngx_http_async_multipart_found(mp);
        return NGX_HTTP_ASYNC_MULTIPART_END;
    }

    return NGX_HTTP_ASYNC_MULTIPART_MORE;
}


/*
 * A delimiter has begun.  1: it was none, and there is data to be given.  It
 * has no CR but its first, so that another one does not begin inside of it.
 */

static ngx_uint_t
ngx_http_async_multipart_resume(ngx_http_async_multipart_t *mp,
    ngx_str_t *piece)
{
    while (piece->len && mp->matched < mp->len) {

        if (*piece->data == mp->delimiter[mp->matched]) {
            mp->matched++;
            piece->data++;
            piece->len--;
            continue;
        }

        mp->data.data = mp->delimiter + mp->missing;
        mp->data.len = mp->matched - mp->missing;
        mp->matched = 0;
        mp->missing = 0;

        return mp->data.len > 0;
    }

    return 0;
}


static void
ngx_http_async_multipart_found(ngx_http_async_multipart_t *mp)
{
    mp->state = NGX_HTTP_ASYNC_MULTIPART_BOUNDARY;
    mp->matched = 0;
    mp->missing = 0;
}


/* Behind a boundary, to the end of its line. */

static void
ngx_http_async_multipart_line(ngx_http_async_multipart_t *mp, u_char ch)
{
    switch (mp->state) {

    case NGX_HTTP_ASYNC_MULTIPART_DASH:

        if (ch == '-') {
            mp->state = NGX_HTTP_ASYNC_MULTIPART_EPILOGUE;
            return;
        }

        break;

    case NGX_HTTP_ASYNC_MULTIPART_LF:

        if (ch == LF) {
            mp->state = NGX_HTTP_ASYNC_MULTIPART_HEADERS;
            mp->used = 0;
            return;
        }

        break;

    case NGX_HTTP_ASYNC_MULTIPART_BOUNDARY:

        if (ch == '-') {
            mp->state = NGX_HTTP_ASYNC_MULTIPART_DASH;
            return;
        }

        /* fall through */

    default: /* NGX_HTTP_ASYNC_MULTIPART_PADDING */

        if (ch == ' ' || ch == '\t') {
            mp->state = NGX_HTTP_ASYNC_MULTIPART_PADDING;
            return;
        }

        if (ch == CR) {
            mp->state = NGX_HTTP_ASYNC_MULTIPART_LF;
            return;
        }
    }

    mp->state = NGX_HTTP_ASYNC_MULTIPART_FAILED;
    mp->error = "something stands behind a boundary";
}


static ngx_http_async_multipart_event_e
ngx_http_async_multipart_headers(ngx_http_async_multipart_t *mp,
    ngx_str_t *piece)
{
    ngx_int_t  rc;

    do {
        rc = ngx_http_async_multipart_header_byte(mp, *piece->data);

        piece->data++;
        piece->len--;

    } while (rc == NGX_AGAIN && piece->len);

    if (rc == NGX_AGAIN) {
        return NGX_HTTP_ASYNC_MULTIPART_MORE;
    }

    if (rc != NGX_OK || ngx_http_async_multipart_part(mp) != NGX_OK) {
        mp->state = NGX_HTTP_ASYNC_MULTIPART_FAILED;
        return NGX_HTTP_ASYNC_MULTIPART_ERROR;
    }

    /* of a part without a body the empty line is that of the boundary */

    mp->state = NGX_HTTP_ASYNC_MULTIPART_BODY;
    mp->matched = 2;
    mp->missing = 2;

    return NGX_HTTP_ASYNC_MULTIPART_PART;
}


/* NGX_OK: it was the last one. */

static ngx_int_t
ngx_http_async_multipart_header_byte(ngx_http_async_multipart_t *mp,
    u_char ch)
{
    u_char  *h;

    if (mp->used == mp->size) {
        mp->error = "the headers of a part are too large";
        return NGX_ERROR;
    }

    h = mp->headers + mp->used;

    if (ch == '\0' || (ch == LF) != (mp->used && h[-1] == CR)) {
        mp->error = "a header of a part has a bare CR or LF, or NUL";
        return NGX_ERROR;
    }

    *h = ch;
    mp->used++;

    if (ch != LF) {
        return NGX_AGAIN;
    }

    return (mp->used == 2 || (mp->used > 3 && h[-2] == LF)) ? NGX_OK
                                                            : NGX_AGAIN;
}
