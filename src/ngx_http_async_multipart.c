
/*
 * Copyright (C) the nginx-async authors
 *
 * The parser of multipart/form-data, see ngx_http_async_multipart.h.
 *
 * Lines end with CR LF, nothing else.  What stands behind a boundary in its
 * line makes the body malformed, since the boundary is not to appear in a part
 * at the start of a line (RFC 2046, 5.1.1).
 */

#include <ngx_http_async_multipart.h>


typedef struct {
    ngx_str_t    name;
    ngx_str_t    value;
    ngx_uint_t   quoted;
} ngx_http_async_multipart_param_t;


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
static ngx_int_t ngx_http_async_multipart_part(
    ngx_http_async_multipart_t *mp);
static ngx_int_t ngx_http_async_multipart_header(
    ngx_http_async_multipart_t *mp, u_char *p, u_char *end,
    ngx_str_t *disposition);
static ngx_int_t ngx_http_async_multipart_disposition(
    ngx_http_async_multipart_t *mp, ngx_str_t *value);
static ngx_int_t ngx_http_async_multipart_kind(ngx_str_t *value,
    ngx_str_t *params);
static ngx_int_t ngx_http_async_multipart_param(ngx_str_t *text,
    ngx_http_async_multipart_param_t *param);
static ngx_int_t ngx_http_async_multipart_quoted(ngx_str_t *text,
    ngx_str_t *value);
static void ngx_http_async_multipart_unescape(ngx_str_t *value);
static ngx_int_t ngx_http_async_multipart_extended(ngx_str_t *value);
static void ngx_http_async_multipart_basename(ngx_str_t *name);
static void ngx_http_async_multipart_trim(ngx_str_t *text);
static ngx_int_t ngx_http_async_multipart_fail(ngx_http_async_multipart_t *mp,
    const char *error);


#define ngx_http_async_multipart_is(text, name)                              \
    ((text)->len == sizeof(name) - 1                                         \
     && ngx_strncasecmp((text)->data, (u_char *) name, sizeof(name) - 1)     \
        == 0)

#define ngx_http_async_multipart_move(piece, p)                              \
    (piece)->len -= (size_t) ((p) - (piece)->data);                          \
    (piece)->data = (p)


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

    (void) ngx_http_async_multipart_fail(mp, "something stands behind a "
                                         "boundary");
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

    if (rc == NGX_OK) {
        rc = ngx_http_async_multipart_part(mp);
    }

    if (rc == NGX_AGAIN) {
        return NGX_HTTP_ASYNC_MULTIPART_MORE;
    }

    if (rc != NGX_OK) {
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
        return ngx_http_async_multipart_fail(mp, "the headers of a part are "
                                             "too large");
    }

    h = mp->headers + mp->used;

    if (ch == '\0' || (ch == LF) != (mp->used && h[-1] == CR)) {
        return ngx_http_async_multipart_fail(mp, "a header of a part has a "
                                             "bare CR or LF, or NUL");
    }

    *h = ch;
    mp->used++;

    if (ch != LF) {
        return NGX_AGAIN;
    }

    return (mp->used == 2 || (mp->used > 3 && h[-2] == LF)) ? NGX_OK
                                                            : NGX_AGAIN;
}


/* All headers of a part are there. */

static ngx_int_t
ngx_http_async_multipart_part(ngx_http_async_multipart_t *mp)
{
    u_char     *p, *end, *last;
    ngx_str_t   disposition;

    ngx_str_null(&disposition);
    ngx_str_null(&mp->name);
    ngx_str_null(&mp->filename);
    ngx_str_null(&mp->type);
    mp->file = 0;

    /* without the empty line */
    last = mp->headers + mp->used - 2;

    /* folded lines become one */

    for (p = mp->headers + 2; p < last; p++) {
        if (p[-1] == LF && (*p == ' ' || *p == '\t')) {
            p[-1] = ' ';
            p[-2] = ' ';
        }
    }

    for (p = mp->headers; p < last; p = end + 2) {

        end = ngx_strlchr(p, last, CR);

        if (end == NULL
            || ngx_http_async_multipart_header(mp, p, end, &disposition)
               != NGX_OK)
        {
            return ngx_http_async_multipart_fail(mp, mp->error ? mp->error
                                          : "a header of a part is malformed");
        }
    }

    return ngx_http_async_multipart_disposition(mp, &disposition);
}


static ngx_int_t
ngx_http_async_multipart_header(ngx_http_async_multipart_t *mp, u_char *p,
    u_char *end, ngx_str_t *disposition)
{
    u_char     *colon, *c;
    ngx_str_t   name, value, *found;

    colon = ngx_strlchr(p, end, ':');

    if (colon == NULL || colon == p) {
        return NGX_ERROR;
    }

    for (c = p; c < colon; c++) {
        if (*c <= ' ' || *c >= 0x7f) {
            return NGX_ERROR;
        }
    }

    name.data = p;
    name.len = colon - p;

    value.data = colon + 1;
    value.len = end - value.data;

    ngx_http_async_multipart_trim(&value);

    if (ngx_http_async_multipart_is(&name, "Content-Transfer-Encoding")) {

        if (ngx_http_async_multipart_is(&value, "7bit")
            || ngx_http_async_multipart_is(&value, "8bit")
            || ngx_http_async_multipart_is(&value, "binary"))
        {
            return NGX_OK;
        }

        /* RFC 7578, 4.7: nobody is to send these, nor would take them */
        mp->error = "a part has a Content-Transfer-Encoding";
        return NGX_ERROR;
    }

    found = ngx_http_async_multipart_is(&name, "Content-Disposition")
                ? disposition
            : ngx_http_async_multipart_is(&name, "Content-Type") ? &mp->type
            : NULL;

    if (found == NULL) {
        return NGX_OK;
    }

    if (found->data) {
        mp->error = "a part has the same header twice";
        return NGX_ERROR;
    }

    *found = value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_multipart_disposition(ngx_http_async_multipart_t *mp,
    ngx_str_t *value)
{
    ngx_int_t                          rc;
    ngx_str_t                          text, extended, *found;
    ngx_http_async_multipart_param_t   param;

    static const char  nameless[] =
            "The Content-Disposition header field \"name\" must be provided.";

    if (ngx_http_async_multipart_kind(value, &text) != NGX_OK) {
        mp->detail = nameless;
        return ngx_http_async_multipart_fail(mp, "a part is no form-data");
    }

    ngx_str_null(&extended);

    while ((rc = ngx_http_async_multipart_param(&text, &param)) == NGX_OK) {

        found = ngx_http_async_multipart_is(&param.name, "name") ? &mp->name
                : ngx_http_async_multipart_is(&param.name, "filename")
                ? &mp->filename
                : ngx_http_async_multipart_is(&param.name, "filename*")
                ? &extended : NULL;

        if (found == NULL) {
            continue;
        }

        if (found->data) {
            rc = NGX_ERROR;
            break;
        }

        *found = param.value;
    }

    if (rc == NGX_ERROR) {
        return ngx_http_async_multipart_fail(mp, "a Content-Disposition is "
                                             "malformed");
    }

    mp->file = (mp->filename.data || extended.data);

    if (mp->name.data == NULL) {
        mp->detail = nameless;
        return ngx_http_async_multipart_fail(mp, "a part has no name");
    }

    ngx_http_async_multipart_unescape(&mp->name);

    if (mp->filename.data) {
        ngx_http_async_multipart_unescape(&mp->filename);
    }

    if (extended.data
        && ngx_http_async_multipart_extended(&extended) == NGX_OK)
    {
        mp->filename = extended;
    }

    if (mp->filename.data) {
        ngx_http_async_multipart_basename(&mp->filename);
    }

    return NGX_OK;
}


/* NGX_OK: it begins with "form-data"; the parameters are behind that. */

static ngx_int_t
ngx_http_async_multipart_kind(ngx_str_t *value, ngx_str_t *params)
{
    u_char     *p;
    ngx_str_t   kind;

    ngx_str_null(params);

    kind = *value;
    p = kind.len ? ngx_strlchr(kind.data, kind.data + kind.len, ';') : NULL;

    if (p) {
        kind.len = p - value->data;
        params->data = p;
        params->len = value->len - kind.len;
    }

    ngx_http_async_multipart_trim(&kind);

    return ngx_http_async_multipart_is(&kind, "form-data") ? NGX_OK
                                                           : NGX_DECLINED;
}


/*
 * The next of ";name=value;...".  NGX_DONE: there is none; NGX_ERROR.  What is
 * quoted is unquoted where it stands.
 */

static ngx_int_t
ngx_http_async_multipart_param(ngx_str_t *text,
    ngx_http_async_multipart_param_t *param)
{
    u_char  *p, *end;

    for ( ;; ) {
        ngx_http_async_multipart_trim(text);

        if (text->len == 0) {
            return NGX_DONE;
        }

        if (*text->data != ';') {
            break;
        }

        text->data++;
        text->len--;
    }

    end = text->data + text->len;
    p = ngx_strlchr(text->data, end, '=');

    if (p == NULL) {
        return NGX_ERROR;
    }

    param->name.data = text->data;
    param->name.len = p - text->data;

    ngx_http_async_multipart_trim(&param->name);

    if (param->name.len == 0
        || ngx_strlchr(param->name.data, param->name.data + param->name.len,
                       ';'))
    {
        return NGX_ERROR;
    }

    ngx_http_async_multipart_move(text, p + 1);
    ngx_http_async_multipart_trim(text);

    if (text->len && *text->data == '"') {
        return ngx_http_async_multipart_quoted(text, &param->value);
    }

    end = text->data + text->len;
    p = ngx_strlchr(text->data, end, ';');

    if (p == NULL) {
        p = end;
    }

    param->value.data = text->data;
    param->value.len = p - text->data;

    ngx_http_async_multipart_trim(&param->value);
    ngx_http_async_multipart_move(text, p);

    return NGX_OK;
}


/*
 * Only quotes and backslashes are escaped by a backslash: some clients send
 * paths with backslashes as they are.
 */

static ngx_int_t
ngx_http_async_multipart_quoted(ngx_str_t *text, ngx_str_t *value)
{
    u_char  *p, *end, *dst;

    end = text->data + text->len;
    dst = text->data + 1;

    value->data = dst;

    for (p = dst; p < end && *p != '"'; p++) {

        if (*p == '\\' && end - p > 1 && (p[1] == '"' || p[1] == '\\')) {
            p++;
        }

        *dst++ = *p;
    }

    if (p == end) {
        return NGX_ERROR;
    }

    value->len = dst - value->data;

    ngx_http_async_multipart_move(text, p + 1);
    ngx_http_async_multipart_trim(text);

    return (text->len == 0 || *text->data == ';') ? NGX_OK : NGX_ERROR;
}


/* The three that browsers escape (the HTML standard, multipart/form-data). */

static void
ngx_http_async_multipart_unescape(ngx_str_t *value)
{
    u_char  *p, *end, *dst;

    dst = value->data;
    end = value->data + value->len;

    for (p = value->data; p < end; p++) {

        if (*p == '%' && end - p > 2) {

            if (p[1] == '2' && p[2] == '2') {
                *dst++ = '"';
                p += 2;
                continue;
            }

            if (p[1] == '0' && ((p[2] | 0x20) == 'a' || (p[2] | 0x20) == 'd'))
            {
                *dst++ = ((p[2] | 0x20) == 'a') ? LF : CR;
                p += 2;
                continue;
            }
        }

        *dst++ = *p;
    }

    value->len = dst - value->data;
}


/* charset'language'text (RFC 8187); NGX_DECLINED: not in a charset of that. */

static ngx_int_t
ngx_http_async_multipart_extended(ngx_str_t *value)
{
    u_char      *p, *end, *dst;
    ngx_int_t    ch;
    ngx_str_t    charset;
    ngx_uint_t   latin;

    end = value->data + value->len;
    p = ngx_strlchr(value->data, end, '\'');

    charset.data = value->data;
    charset.len = p ? (size_t) (p - value->data) : 0;

    p = p ? ngx_strlchr(p + 1, end, '\'') : NULL;
    latin = ngx_http_async_multipart_is(&charset, "ISO-8859-1");

    if (p == NULL) {
        return NGX_DECLINED;
    }

    if (!latin && !ngx_http_async_multipart_is(&charset, "UTF-8")) {
        return NGX_DECLINED;
    }

    dst = p + 1;
    value->data = dst;

    for (p++; p < end; p++) {

        if (*p != '%') {
            *dst++ = *p;
            continue;
        }

        ch = (end - p > 2) ? ngx_hextoi(p + 1, 2) : NGX_ERROR;

        if (ch == NGX_ERROR || ch == 0) {
            return NGX_DECLINED;
        }

        p += 2;

        if (latin && ch >= 0x80) {
            *dst++ = (u_char) (0xc0 | ch >> 6);
            ch = 0x80 | (ch & 0x3f);
        }

        *dst++ = (u_char) ch;
    }

    value->len = dst - value->data;

    return NGX_OK;
}


static void
ngx_http_async_multipart_basename(ngx_str_t *name)
{
    u_char  *p;

    for (p = name->data + name->len; p > name->data; p--) {
        if (p[-1] == '/' || p[-1] == '\\') {
            break;
        }
    }

    ngx_http_async_multipart_move(name, p);
}


static void
ngx_http_async_multipart_trim(ngx_str_t *text)
{
    while (text->len && (*text->data == ' ' || *text->data == '\t')) {
        text->data++;
        text->len--;
    }

    while (text->len && (text->data[text->len - 1] == ' '
                         || text->data[text->len - 1] == '\t'))
    {
        text->len--;
    }
}


static ngx_int_t
ngx_http_async_multipart_fail(ngx_http_async_multipart_t *mp,
    const char *error)
{
    mp->state = NGX_HTTP_ASYNC_MULTIPART_FAILED;
    mp->error = error;

    return NGX_ERROR;
}
