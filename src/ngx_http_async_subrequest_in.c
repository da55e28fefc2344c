
/*
 * Copyright (C) the nginx-async authors
 *
 * What a subrequest is asked with: method, header fields and body of its own.
 * nginx lets it share those of its parent, which are not changed here.
 */

#include <ngx_http_async_capture.h>


static ngx_int_t ngx_http_async_subrequest_copy(ngx_http_request_t *sr,
    ngx_list_part_t *part, async_fetch_t *fetch);
static ngx_uint_t ngx_http_async_subrequest_left(ngx_table_elt_t *h,
    const char *const *headers);
static ngx_int_t ngx_http_async_subrequest_set(ngx_http_request_t *sr,
    const char *name, const char *value);
static void ngx_http_async_subrequest_host(ngx_http_request_t *sr,
    ngx_str_t *value);
static ngx_int_t ngx_http_async_subrequest_add(ngx_http_request_t *sr,
    ngx_table_elt_t *field);
static ngx_int_t ngx_http_async_subrequest_place(ngx_http_request_t *sr,
    ngx_table_elt_t *h, ngx_uint_t offset);
static void ngx_http_async_subrequest_method(ngx_http_request_t *sr);
static ngx_int_t ngx_http_async_subrequest_body(ngx_http_request_t *sr,
    async_fetch_t *fetch, const char *type);
static ngx_int_t ngx_http_async_subrequest_str(ngx_pool_t *pool,
    ngx_str_t *to, const char *text);


ngx_int_t
ngx_http_async_subrequest_in(ngx_http_request_t *sr, async_fetch_t *fetch,
    const char *type)
{
    const char *const      *p;
    ngx_http_headers_in_t   in;

    in = sr->headers_in;

    ngx_memzero(&sr->headers_in, sizeof(ngx_http_headers_in_t));

    sr->headers_in.server = in.server;
    sr->headers_in.content_length_n = -1;
    sr->headers_in.keep_alive_n = -1;

    if (ngx_list_init(&sr->headers_in.headers, sr->pool, 20,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_async_subrequest_copy(sr, &in.headers.part, fetch) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (p = fetch->headers; p && *p; p += 2) {

        if (p[1] && ngx_http_async_subrequest_set(sr, p[0], p[1]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_async_subrequest_str(sr->pool, &sr->method_name,
                                      fetch->method)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_async_subrequest_method(sr);

    return ngx_http_async_subrequest_body(sr, fetch, type);
}


/* What the client has sent, but for what is said otherwise. */

static ngx_int_t
ngx_http_async_subrequest_copy(ngx_http_request_t *sr, ngx_list_part_t *part,
    async_fetch_t *fetch)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    for ( /* void */ ; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            /* a hash of zero: a module has removed it */

            if (h[i].hash == 0
                || ngx_http_async_subrequest_left(&h[i], fetch->headers))
            {
                continue;
            }

            if (ngx_http_async_subrequest_add(sr, &h[i]) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_subrequest_left(ngx_table_elt_t *h, const char *const *headers)
{
    ngx_uint_t         i;
    const char *const  *p;

    /* about its body, its connection, its conditions; and what would make the
     * answer another one than the handler can read */

    static const ngx_str_t  prefixes[] = {
        ngx_string("Content-"), ngx_string("If-"), ngx_null_string
    };

    static const char *const  names[] = {
        "Accept-Encoding", "Connection", "Expect", "HTTP2-Settings",
        "Keep-Alive", "Proxy-Connection", "Range", "TE", "Trailer",
        "Transfer-Encoding", "Upgrade", NULL
    };

    for (i = 0; prefixes[i].len; i++) {
        if (h->key.len > prefixes[i].len
            && ngx_strncasecmp(h->key.data, prefixes[i].data, prefixes[i].len)
               == 0)
        {
            return 1;
        }
    }

    for (p = names; *p; p++) {
        if (h->key.len == ngx_strlen(*p)
            && ngx_strncasecmp(h->key.data, (u_char *) *p, h->key.len) == 0)
        {
            return 1;
        }
    }

    for (p = headers; p && *p; p += 2) {
        if (h->key.len == ngx_strlen(*p)
            && ngx_strncasecmp(h->key.data, (u_char *) *p, h->key.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_async_subrequest_set(ngx_http_request_t *sr, const char *name,
    const char *value)
{
    ngx_table_elt_t  field;

    ngx_memzero(&field, sizeof(ngx_table_elt_t));

    if (ngx_http_async_subrequest_str(sr->pool, &field.key, name) != NGX_OK
        || ngx_http_async_subrequest_str(sr->pool, &field.value, value)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    field.lowcase_key = ngx_pnalloc(sr->pool, field.key.len);
    if (field.lowcase_key == NULL) {
        return NGX_ERROR;
    }

    field.hash = ngx_hash_strlow(field.lowcase_key, field.key.data,
                                 field.key.len);

    if (field.key.len == 4
        && ngx_strncmp(field.lowcase_key, "host", 4) == 0)
    {
        ngx_http_async_subrequest_host(sr, &field.value);
    }

    return ngx_http_async_subrequest_add(sr, &field);
}


/* $host; the server {} stays the same */

static void
ngx_http_async_subrequest_host(ngx_http_request_t *sr, ngx_str_t *value)
{
    u_char     *p;
    ngx_str_t   host;

    host = *value;
    p = NULL;

    if (host.len && host.data[0] == '[') {
        p = ngx_strlchr(host.data, host.data + host.len, ']');
        p = p ? p + 1 : NULL;

    } else {
        p = ngx_strlchr(host.data, host.data + host.len, ':');
    }

    if (p) {
        host.len = p - host.data;
    }

    p = ngx_pnalloc(sr->pool, host.len);

    if (p) {
        ngx_strlow(p, host.data, host.len);

        sr->headers_in.server.data = p;
        sr->headers_in.server.len = host.len;
    }
}


static ngx_int_t
ngx_http_async_subrequest_add(ngx_http_request_t *sr, ngx_table_elt_t *field)
{
    ngx_table_elt_t            *h;
    ngx_http_header_t          *hh;
    ngx_http_core_main_conf_t  *cmcf;

    h = ngx_list_push(&sr->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = *field;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    if (h->lowcase_key == NULL) {
        return NGX_OK;
    }

    cmcf = ngx_http_get_module_main_conf(sr, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, h->hash, h->lowcase_key,
                       h->key.len);

    /* not its handler: that would answer 400, or choose another server */

    return hh ? ngx_http_async_subrequest_place(sr, h, hh->offset) : NGX_OK;
}


/* Where nginx looks for it. */

static ngx_int_t
ngx_http_async_subrequest_place(ngx_http_request_t *sr, ngx_table_elt_t *h,
    ngx_uint_t offset)
{
    void             *place;
    ngx_table_elt_t  **ph;

#if (nginx_version < 1023000)
    ngx_array_t      *several;
#endif

    place = (char *) &sr->headers_in + offset;

#if (nginx_version < 1023000)

    if (offset == offsetof(ngx_http_headers_in_t, cookies)
#if (NGX_HTTP_X_FORWARDED_FOR)
        || offset == offsetof(ngx_http_headers_in_t, x_forwarded_for)
#endif
       )
    {
        several = place;

        if (several->elts == NULL
            && ngx_array_init(several, sr->pool, 1, sizeof(ngx_table_elt_t *))
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        ph = ngx_array_push(several);
        if (ph == NULL) {
            return NGX_ERROR;
        }

        *ph = h;

        return NGX_OK;
    }

    ph = place;

    if (*ph == NULL) {
        *ph = h;
    }

#else

    for (ph = place; *ph; ph = &(*ph)->next) { /* void */ }

    *ph = h;

#endif

    return NGX_OK;
}


static void
ngx_http_async_subrequest_method(ngx_http_request_t *sr)
{
    ngx_uint_t  i;

    static const struct {
        ngx_str_t   name;
        ngx_uint_t  method;
    } methods[] = {
        { ngx_string("GET"), NGX_HTTP_GET },
        { ngx_string("HEAD"), NGX_HTTP_HEAD },
        { ngx_string("POST"), NGX_HTTP_POST },
        { ngx_string("PUT"), NGX_HTTP_PUT },
        { ngx_string("DELETE"), NGX_HTTP_DELETE },
        { ngx_string("MKCOL"), NGX_HTTP_MKCOL },
        { ngx_string("COPY"), NGX_HTTP_COPY },
        { ngx_string("MOVE"), NGX_HTTP_MOVE },
        { ngx_string("OPTIONS"), NGX_HTTP_OPTIONS },
        { ngx_string("PROPFIND"), NGX_HTTP_PROPFIND },
        { ngx_string("PROPPATCH"), NGX_HTTP_PROPPATCH },
        { ngx_string("LOCK"), NGX_HTTP_LOCK },
        { ngx_string("UNLOCK"), NGX_HTTP_UNLOCK },
        { ngx_string("PATCH"), NGX_HTTP_PATCH },
        { ngx_string("TRACE"), NGX_HTTP_TRACE },
        { ngx_null_string, 0 }
    };

    sr->method = NGX_HTTP_UNKNOWN;

    for (i = 0; methods[i].name.len; i++) {

        if (sr->method_name.len == methods[i].name.len
            && ngx_strncmp(sr->method_name.data, methods[i].name.data,
                           methods[i].name.len)
               == 0)
        {
            sr->method = methods[i].method;
        }
    }

    sr->header_only = (sr->method == NGX_HTTP_HEAD);
}


/* In memory; a copy, since the subrequest may outlast the await. */

static ngx_int_t
ngx_http_async_subrequest_body(ngx_http_request_t *sr, async_fetch_t *fetch,
    const char *type)
{
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;
    char                      length[NGX_SIZE_T_LEN + 1];

    /* also where there is none: some read until they have one */

    rb = ngx_pcalloc(sr->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        return NGX_ERROR;
    }

    rb->last_saved = 1;
    sr->request_body = rb;

    if (fetch->body.data == NULL) {
        return NGX_OK;
    }

#if (nginx_version >= 1021002)
    rb->received = fetch->body.len;
#endif

    if (fetch->body.len) {
        b = ngx_create_temp_buf(sr->pool, fetch->body.len);
        cl = ngx_alloc_chain_link(sr->pool);

        if (b == NULL || cl == NULL) {
            return NGX_ERROR;
        }

        b->last = ngx_cpymem(b->last, fetch->body.data, fetch->body.len);
        b->last_buf = 1;

        cl->buf = b;
        cl->next = NULL;

        rb->bufs = cl;
        rb->buf = b;
    }

    sr->headers_in.content_length_n = fetch->body.len;

    *ngx_sprintf((u_char *) length, "%uz", fetch->body.len) = '\0';

    if (ngx_http_async_subrequest_set(sr, "Content-Length", length) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (type == NULL || sr->headers_in.content_type) ? NGX_OK
           : ngx_http_async_subrequest_set(sr, "Content-Type", type);
}


static ngx_int_t
ngx_http_async_subrequest_str(ngx_pool_t *pool, ngx_str_t *to,
    const char *text)
{
    to->len = ngx_strlen(text);

    to->data = ngx_pnalloc(pool, to->len + 1);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, text, to->len + 1);

    return NGX_OK;
}
