
/*
 * Copyright (C) the nginx-async authors
 *
 * The header of a response: status line, media type, and the fields that a
 * handler has set, in the places where nginx and its filters look for them.
 */

#include <ngx_http_async_response.h>
#include <ngx_http_async_field.h>


typedef struct {
    ngx_str_t     name;
    ngx_int_t   (*set)(ngx_http_request_t *r, ngx_table_elt_t *h,
        ngx_uint_t offset);
    ngx_uint_t    offset;
} ngx_http_async_known_t;


typedef struct {
    ngx_uint_t    status;
    ngx_str_t     name;
} ngx_http_async_required_t;


static ngx_int_t ngx_http_async_header(ngx_http_request_t *r,
    ngx_table_elt_t *set);
static void ngx_http_async_media_type(ngx_http_request_t *r, ngx_str_t *type);
static ngx_int_t ngx_http_async_file_headers(ngx_http_request_t *r,
    ngx_http_async_out_t *out);
static ngx_int_t ngx_http_async_known_header(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static ngx_int_t ngx_http_async_known_pointer(ngx_http_request_t *r,
    ngx_table_elt_t *h, ngx_uint_t offset);
static ngx_int_t ngx_http_async_known_modified(ngx_http_request_t *r,
    ngx_table_elt_t *h, ngx_uint_t offset);
static ngx_int_t ngx_http_async_known_list(ngx_http_request_t *r,
    ngx_table_elt_t *h, ngx_uint_t offset);
static ngx_int_t ngx_http_async_known_cache(ngx_http_request_t *r,
    ngx_table_elt_t *h, ngx_uint_t offset);


/*
 * Header fields that nginx's filters and other modules look for in places of
 * their own.  Location is none of them: nginx would make it absolute.
 */

static ngx_http_async_known_t  ngx_http_async_known[] = {

    { ngx_string("Server"), ngx_http_async_known_pointer,
      offsetof(ngx_http_headers_out_t, server) },

    { ngx_string("ETag"), ngx_http_async_known_pointer,
      offsetof(ngx_http_headers_out_t, etag) },

    { ngx_string("Last-Modified"), ngx_http_async_known_modified,
      offsetof(ngx_http_headers_out_t, last_modified) },

    { ngx_string("Expires"), ngx_http_async_known_pointer,
      offsetof(ngx_http_headers_out_t, expires) },

    { ngx_string("Cache-Control"), ngx_http_async_known_cache,
      offsetof(ngx_http_headers_out_t, cache_control) },

    { ngx_string("Content-Encoding"), ngx_http_async_known_pointer,
      offsetof(ngx_http_headers_out_t, content_encoding) },

    { ngx_string("Accept-Ranges"), ngx_http_async_known_pointer,
      offsetof(ngx_http_headers_out_t, accept_ranges) },

    { ngx_string("WWW-Authenticate"), ngx_http_async_known_list,
      offsetof(ngx_http_headers_out_t, www_authenticate) },

    { ngx_null_string, NULL, 0 }
};


static ngx_str_t  ngx_http_async_content_type = ngx_string("Content-Type");

/* RFC 9110, 15.5.2, 15.5.6, 15.5.22; RFC 6455, 4.4 */
static ngx_http_async_required_t  ngx_http_async_required_fields[] = {
    { 401, ngx_string("WWW-Authenticate") },
    { 405, ngx_string("Allow") },
    { 426, ngx_string("Upgrade") },
    { 426, ngx_string("Connection") },
    { 426, ngx_string("Sec-WebSocket-Version") },
    { 0, ngx_null_string }
};


/* statuses that nginx sends without a reason phrase (RFC 9110, 15) */

static struct {
    ngx_uint_t    status;
    ngx_str_t     line;
}  ngx_http_async_status_lines[] = {
    { 101, ngx_string("101 Switching Protocols") },
    { 203, ngx_string("203 Non-Authoritative Information") },
    { 205, ngx_string("205 Reset Content") },
    { 300, ngx_string("300 Multiple Choices") },
    { 305, ngx_string("305 Use Proxy") },
    { 407, ngx_string("407 Proxy Authentication Required") },
    { 417, ngx_string("417 Expectation Failed") },
    { 418, ngx_string("418 I'm a Teapot") },
    { 422, ngx_string("422 Unprocessable Content") },
    { 423, ngx_string("423 Locked") },
    { 424, ngx_string("424 Failed Dependency") },
    { 425, ngx_string("425 Too Early") },
    { 426, ngx_string("426 Upgrade Required") },
    { 428, ngx_string("428 Precondition Required") },
    { 431, ngx_string("431 Request Header Fields Too Large") },
    { 451, ngx_string("451 Unavailable For Legal Reasons") },
    { 506, ngx_string("506 Variant Also Negotiates") },
    { 508, ngx_string("508 Loop Detected") },
    { 511, ngx_string("511 Network Authentication Required") },
    { 0, ngx_null_string }
};


ngx_int_t
ngx_http_async_headers(ngx_http_request_t *r, ngx_http_async_out_t *out)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *set;

    r->headers_out.status = out->status;

    if (out->status != NGX_HTTP_OK) {
        for (i = 0; ngx_http_async_status_lines[i].status; i++) {
            if (ngx_http_async_status_lines[i].status == out->status) {
                r->headers_out.status_line =
                                         ngx_http_async_status_lines[i].line;
                break;
            }
        }
    }

    if (out->status != NGX_HTTP_NO_CONTENT
        && out->status != NGX_HTTP_NOT_MODIFIED)
    {
        r->headers_out.content_length_n = out->body.len;
        ngx_http_async_media_type(r, &out->type);
    }

    if (out->fd != NGX_INVALID_FILE
        && ngx_http_async_file_headers(r, out) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (out->headers == NULL) {
        return NGX_OK;
    }

    set = out->headers->elts;

    for (i = 0; i < out->headers->nelts; i++) {
        if (ngx_http_async_header(r, &set[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_required(ngx_http_request_t *r, ngx_http_async_out_t *out)
{
    ngx_uint_t                  i;
    ngx_table_elt_t            *set;
    ngx_http_async_required_t  *field;

    if (out->headers == NULL) {
        return NGX_OK;
    }

    set = out->headers->elts;

    for (i = 0; i < out->headers->nelts; i++) {

        for (field = ngx_http_async_required_fields; field->status; field++) {

            if (field->status == out->status
                && ngx_http_async_field_is(&set[i], &field->name)
                && ngx_http_async_header(r, &set[i]) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_early_header(ngx_http_request_t *r, ngx_table_elt_t *set,
    ngx_table_elt_t **h)
{
    ngx_http_async_known_t  *known;

    if (ngx_http_async_field_is(set, &ngx_http_async_content_type)) {
        return NGX_DECLINED;
    }

    for (known = ngx_http_async_known; known->name.len; known++) {

        if (ngx_http_async_field_is(set, &known->name)) {
            /* several of this one may stand beside each other */

            if (known->set == ngx_http_async_known_cache) {
                break;
            }

            return NGX_DECLINED;
        }
    }

    *h = ngx_list_push(&r->headers_out.headers);
    if (*h == NULL) {
        return NGX_ERROR;
    }

    **h = *set;
    (*h)->hash = 1;
#if (nginx_version >= 1023000)
    (*h)->next = NULL;
#endif

    return known->name.len ? known->set(r, *h, known->offset) : NGX_OK;
}


static ngx_int_t
ngx_http_async_header(ngx_http_request_t *r, ngx_table_elt_t *set)
{
    ngx_table_elt_t  *h;

    if (ngx_http_async_field_is(set, &ngx_http_async_content_type)) {
        ngx_http_async_media_type(r, &set->value);
        return NGX_OK;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = *set;
    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return ngx_http_async_known_header(r, h);
}


/* nginx matches types without their parameters */

static void
ngx_http_async_media_type(ngx_http_request_t *r, ngx_str_t *type)
{
    u_char  *p;

    p = type->len ? memchr(type->data, ';', type->len) : NULL;

    if (p == NULL) {
        p = type->data + type->len;
    }

    while (p > type->data && p[-1] == ' ') {
        p--;
    }

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = p - type->data;
    r->headers_out.content_type_lowcase = NULL;
}


static ngx_int_t
ngx_http_async_file_headers(ngx_http_request_t *r, ngx_http_async_out_t *out)
{
    u_char  *p, *end;

    r->headers_out.content_length_n = out->size;
    r->headers_out.last_modified_time = out->mtime;
    r->allow_ranges = (out->status == NGX_HTTP_OK);

    if (ngx_http_set_etag(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (out->type.len) {
        return NGX_OK;
    }

    /* the media type is that of the file, not of the URI */

    end = out->path.data + out->path.len;

    for (p = end; p > out->path.data && p[-1] != '/'; p--) {
        if (p[-1] == '.') {
            r->exten.data = p;
            r->exten.len = end - p;

            return ngx_http_set_content_type(r);
        }
    }

    ngx_str_null(&r->exten);

    return ngx_http_set_content_type(r);
}


static ngx_int_t
ngx_http_async_known_header(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    ngx_http_async_known_t  *known;

    for (known = ngx_http_async_known; known->name.len; known++) {

        if (ngx_http_async_field_is(h, &known->name)) {
            return known->set(r, h, known->offset);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_known_pointer(ngx_http_request_t *r, ngx_table_elt_t *h,
    ngx_uint_t offset)
{
    ngx_table_elt_t  **place;

    place = (ngx_table_elt_t **) ((u_char *) &r->headers_out + offset);

    if (*place) {
        (*place)->hash = 0;
    }

    *place = h;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_known_modified(ngx_http_request_t *r, ngx_table_elt_t *h,
    ngx_uint_t offset)
{
    r->headers_out.last_modified_time = ngx_parse_http_time(h->value.data,
                                                            h->value.len);

    return ngx_http_async_known_pointer(r, h, offset);
}


/* of several all stay */

static ngx_int_t
ngx_http_async_known_list(ngx_http_request_t *r, ngx_table_elt_t *h,
    ngx_uint_t offset)
{
    ngx_table_elt_t  **last;

    last = (ngx_table_elt_t **) ((u_char *) &r->headers_out + offset);

#if (nginx_version >= 1023000)

    while (*last) {
        last = &(*last)->next;
    }

#endif

    *last = h;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_known_cache(ngx_http_request_t *r, ngx_table_elt_t *h,
    ngx_uint_t offset)
{
#if (nginx_version >= 1023000)

    return ngx_http_async_known_list(r, h, offset);

#else

    ngx_table_elt_t  **p;

    if (r->headers_out.cache_control.elts == NULL
        && ngx_array_init(&r->headers_out.cache_control, r->pool, 1,
                          sizeof(ngx_table_elt_t *)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_array_push(&r->headers_out.cache_control);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *p = h;

    return NGX_OK;

#endif
}
