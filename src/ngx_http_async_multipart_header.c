
/*
 * Copyright (C) the nginx-async authors
 *
 * What the header fields of a part say (RFC 7578, 4; RFC 8187): its name, its
 * file's name, its type.
 */

#include <ngx_http_async_multipart_header.h>
#include <ngx_http_async_field.h>


static ngx_int_t ngx_http_async_multipart_header(
    ngx_http_async_multipart_t *mp, u_char *p, u_char *end,
    ngx_str_t *disposition);
static ngx_int_t ngx_http_async_multipart_disposition(
    ngx_http_async_multipart_t *mp, ngx_str_t *value);
static ngx_int_t ngx_http_async_multipart_kind(ngx_str_t *value,
    ngx_str_t *params);
static ngx_int_t ngx_http_async_multipart_quoted(ngx_str_t *text,
    ngx_str_t *value);
static void ngx_http_async_multipart_unescape(ngx_str_t *value);
static ngx_int_t ngx_http_async_multipart_extended(ngx_str_t *value);
static void ngx_http_async_multipart_basename(ngx_str_t *name);
static ngx_int_t ngx_http_async_multipart_wrong(ngx_http_async_multipart_t *mp,
    const char *error);


ngx_int_t
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
            return ngx_http_async_multipart_wrong(mp, mp->error ? mp->error
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

    ngx_http_async_field_trim(&value);

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
        return ngx_http_async_multipart_wrong(mp, "a part is no form-data");
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
        return ngx_http_async_multipart_wrong(mp, "a Content-Disposition is "
                                              "malformed");
    }

    mp->file = (mp->filename.data || extended.data);

    if (mp->name.data == NULL) {
        mp->detail = nameless;
        return ngx_http_async_multipart_wrong(mp, "a part has no name");
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

    ngx_http_async_field_trim(&kind);

    return ngx_http_async_multipart_is(&kind, "form-data") ? NGX_OK
                                                           : NGX_DECLINED;
}


ngx_int_t
ngx_http_async_multipart_param(ngx_str_t *text,
    ngx_http_async_multipart_param_t *param)
{
    u_char  *p, *end;

    for ( ;; ) {
        ngx_http_async_field_trim(text);

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

    ngx_http_async_field_trim(&param->name);

    if (param->name.len == 0
        || ngx_strlchr(param->name.data, param->name.data + param->name.len,
                       ';'))
    {
        return NGX_ERROR;
    }

    ngx_http_async_multipart_move(text, p + 1);
    ngx_http_async_field_trim(text);

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

    ngx_http_async_field_trim(&param->value);
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
    ngx_http_async_field_trim(text);

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


static ngx_int_t
ngx_http_async_multipart_wrong(ngx_http_async_multipart_t *mp,
    const char *error)
{
    mp->error = error;

    return NGX_ERROR;
}
