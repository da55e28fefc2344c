
/*
 * Copyright (C) the nginx-async authors
 *
 * The filters that take the answers of captured subrequests, see
 * ngx_http_async_capture.h.  A module of its own, since it stands elsewhere in
 * the order of filters: behind nginx's copy filter, which has read files into
 * memory, before those that make the page for the client.
 */

#include <ngx_http_async_capture.h>
#include <ngx_http_async_aside.h>


/* there is no SSI here: this bit of r->buffered is free */
#define NGX_HTTP_ASYNC_CAPTURE_BUFFERED  NGX_HTTP_SSI_BUFFERED


static ngx_int_t ngx_http_async_capture_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_async_capture_header(ngx_http_async_capture_t *cap);
static ngx_int_t ngx_http_async_capture_fields(ngx_http_request_t *r,
    async_response_t *res);
static ngx_int_t ngx_http_async_capture_type(ngx_http_request_t *r,
    async_response_t *res);
static ngx_int_t ngx_http_async_capture_field(async_response_t *res,
    ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_async_capture_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_async_capture_take(ngx_http_async_capture_t *cap,
    ngx_chain_t *in);
static void ngx_http_async_capture_skip(ngx_chain_t *in);
static ngx_int_t ngx_http_async_capture_add(ngx_http_async_capture_t *cap,
    u_char *p, size_t len);
static void ngx_http_async_capture_keep(ngx_http_async_capture_t *cap,
    ngx_chain_t *in);
static ngx_int_t ngx_http_async_capture_link(ngx_http_async_capture_t *cap,
    ngx_buf_t *b);
static ngx_int_t ngx_http_async_capture_fail(ngx_http_async_capture_t *cap,
    ngx_http_async_capture_e state);
static ngx_int_t ngx_http_async_capture_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_async_capture_module_ctx = {
    NULL,                                      /* preconfiguration */
    ngx_http_async_capture_init,               /* postconfiguration */

    NULL,                                      /* create main configuration */
    NULL,                                      /* init main configuration */

    NULL,                                      /* create server configuration */
    NULL,                                      /* merge server configuration */

    NULL,                                      /* create location conf. */
    NULL                                       /* merge location conf. */
};


ngx_module_t  ngx_http_async_capture_module = {
    NGX_MODULE_V1,
    &ngx_http_async_capture_module_ctx,        /* module context */
    NULL,                                      /* module directives */
    NGX_HTTP_MODULE,                           /* module type */
    NULL,                                      /* init master */
    NULL,                                      /* init module */
    NULL,                                      /* init process */
    NULL,                                      /* init thread */
    NULL,                                      /* exit thread */
    NULL,                                      /* exit process */
    NULL,                                      /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


/*
 * The capture that is for the request; NULL: none.  By the connection, since
 * nginx clears the contexts of modules on redirects.  A subrequest of a
 * captured one has the same connection: what it sends gets there through all
 * the filters.
 */

static ngx_inline ngx_http_async_capture_t *
ngx_http_async_capture_of(ngx_http_request_t *r)
{
    ngx_http_async_aside_t  *aside;

    if (r->connection->send_chain != ngx_http_async_capture_chain) {
        return NULL;
    }

    aside = (ngx_http_async_aside_t *) r->connection;

    return (aside->capture->r == r) ? aside->capture : NULL;
}


static ngx_int_t
ngx_http_async_capture_header_filter(ngx_http_request_t *r)
{
    ngx_http_async_capture_t  *cap;

    cap = ngx_http_async_capture_of(r);

    if (cap == NULL) {
        return ngx_http_next_header_filter(r);
    }

    if (r->header_sent) {
        return NGX_OK;
    }

    r->header_sent = 1;
    r->filter_need_in_memory = 1;

    if (r->method == NGX_HTTP_HEAD
        || r->headers_out.status == NGX_HTTP_NO_CONTENT
        || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        r->header_only = 1;
    }

    ngx_http_async_aside_handlers(cap->aside);

    if (cap->res == NULL || cap->state != NGX_HTTP_ASYNC_CAPTURE_HEAD) {
        /* the body filter says so */
        return NGX_OK;
    }

    return ngx_http_async_capture_header(cap);
}


static ngx_int_t
ngx_http_async_capture_header(ngx_http_async_capture_t *cap)
{
    off_t                 length;
    async_response_t     *res;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = cap->r;
    res = cap->res;

    if (ngx_http_async_capture_fields(r, res) != NGX_OK) {
        return ngx_http_async_capture_fail(cap,
                                           NGX_HTTP_ASYNC_CAPTURE_NO_MEMORY);
    }

    res->status = r->headers_out.status;

    if (r->header_only) {
        cap->state = NGX_HTTP_ASYNC_CAPTURE_WHOLE;
        (void) ngx_async_wake(&cap->waker, ASYNC_OK);

        return NGX_OK;
    }

    cap->state = NGX_HTTP_ASYNC_CAPTURE_BODY;

    if (cap->streams) {
        u = r->upstream;

        if (u && !u->cacheable && !u->store) {
            /* what has come is passed on at once, and no more is read */
            u->buffering = 0;
        }

        (void) ngx_async_wake(&cap->waker, ASYNC_OK);

        return NGX_OK;
    }

    length = r->headers_out.content_length_n;

    if (length > 0) {

        if ((uint64_t) length > cap->max) {
            return ngx_http_async_capture_fail(cap,
                                            NGX_HTTP_ASYNC_CAPTURE_TOO_LARGE);
        }

        if (ngx_http_async_fetched_room(res, length) != NGX_OK) {
            return ngx_http_async_capture_fail(cap,
                                            NGX_HTTP_ASYNC_CAPTURE_NO_MEMORY);
        }
    }

    return NGX_OK;
}


/* What nginx would send, but for what is about the server and connection. */

static ngx_int_t
ngx_http_async_capture_fields(ngx_http_request_t *r, async_response_t *res)
{
    ngx_str_t         value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;
    u_char            buf[ngx_max(NGX_OFF_T_LEN,
                                  sizeof("Mon, 28 Sep 1970 06:00:00 GMT"))];

    static ngx_str_t  length = ngx_string("Content-Length");
    static ngx_str_t  modified = ngx_string("Last-Modified");

    if (ngx_http_async_capture_type(r, res) != NGX_OK) {
        return NGX_ERROR;
    }

    value.data = buf;

    if (r->headers_out.content_length == NULL
        && r->headers_out.content_length_n >= 0
        && r->headers_out.status != NGX_HTTP_NO_CONTENT)
    {
        value.len = ngx_sprintf(buf, "%O", r->headers_out.content_length_n)
                    - buf;

        if (ngx_http_async_capture_field(res, &length, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (r->headers_out.last_modified == NULL
        && r->headers_out.last_modified_time != -1
        && (r->headers_out.status == NGX_HTTP_OK
            || r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
            || r->headers_out.status == NGX_HTTP_NOT_MODIFIED))
    {
        value.len = ngx_http_time(buf, r->headers_out.last_modified_time)
                    - buf;

        if (ngx_http_async_capture_field(res, &modified, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NGX_OK;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].hash
            && ngx_http_async_capture_field(res, &h[i].key, &h[i].value)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
ngx_http_async_capture_type(ngx_http_request_t *r, async_response_t *res)
{
    u_char     *p;
    ngx_str_t  *type, *charset, value;

    static ngx_str_t  name = ngx_string("Content-Type");

    type = &r->headers_out.content_type;
    charset = &r->headers_out.charset;

    if (type->len == 0 || r->headers_out.status == NGX_HTTP_NO_CONTENT) {
        return NGX_OK;
    }

    if (r->headers_out.content_type_len != type->len || charset->len == 0) {
        return ngx_http_async_capture_field(res, &name, type);
    }

    value.len = type->len + sizeof("; charset=") - 1 + charset->len;

    p = ngx_pnalloc(r->pool, value.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    ngx_sprintf(p, "%V; charset=%V", type, charset);

    return ngx_http_async_capture_field(res, &name, &value);
}


static ngx_int_t
ngx_http_async_capture_field(async_response_t *res, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char     *p;
    ngx_str_t   n, v;

    p = ngx_pnalloc(res->pool, name->len + value->len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    n.len = name->len;
    n.data = p;

    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '\0';

    v.len = value->len;
    v.data = p;

    p = ngx_cpymem(p, value->data, value->len);
    *p = '\0';

    return ngx_http_async_fetched_field(res, &n, &v);
}


static ngx_int_t
ngx_http_async_capture_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                  rc;
    ngx_chain_t               *cl;
    ngx_http_async_capture_t  *cap;

    cap = ngx_http_async_capture_of(r);

    if (cap == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {
        if (cl->buf->last_buf || cl->buf->last_in_chain) {
            cap->last = 1;
        }
    }

    if (r->connection->data != r || r->postponed) {
        /* behind what a subrequest of its own sends */
        return ngx_http_next_body_filter(r, in);
    }

    rc = ngx_http_async_capture_take(cap, in);

    if (rc == NGX_ERROR) {
        cap->out = NULL;
    }

    if (cap->out) {
        r->buffered |= NGX_HTTP_ASYNC_CAPTURE_BUFFERED;
        cap->blocked = 1;

        ngx_http_async_aside_ready(cap->aside, 0);

        return NGX_AGAIN;
    }

    r->buffered &= ~NGX_HTTP_ASYNC_CAPTURE_BUFFERED;

    return rc;
}


static ngx_int_t
ngx_http_async_capture_take(ngx_http_async_capture_t *cap, ngx_chain_t *in)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    if (cap->state != NGX_HTTP_ASYNC_CAPTURE_BODY || cap->res == NULL) {

        ngx_http_async_capture_skip(in);

        return (cap->state == NGX_HTTP_ASYNC_CAPTURE_WHOLE) ? NGX_OK
                                                            : NGX_ERROR;
    }

    for (cl = in; cl; cl = cl->next) {

        if (ngx_buf_size(cl->buf) == 0) {
            continue;
        }

        rc = cap->streams ? ngx_http_async_capture_link(cap, cl->buf)
                          : ngx_http_async_capture_add(cap, cl->buf->pos,
                                             cl->buf->last - cl->buf->pos);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (!cap->streams) {
        ngx_http_async_capture_skip(in);
    }

    if (cap->last) {
        cap->state = NGX_HTTP_ASYNC_CAPTURE_WHOLE;
    }

    if (cap->last || cap->out) {
        (void) ngx_async_wake(&cap->waker, ASYNC_OK);
    }

    return NGX_OK;
}


static void
ngx_http_async_capture_skip(ngx_chain_t *in)
{
    while (in) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
        in = in->next;
    }
}


/* To the body that is held. */

static ngx_int_t
ngx_http_async_capture_add(ngx_http_async_capture_t *cap, u_char *p,
    size_t len)
{
    if (len > cap->max - cap->res->len) {
        return ngx_http_async_capture_fail(cap,
                                           NGX_HTTP_ASYNC_CAPTURE_TOO_LARGE);
    }

    if (ngx_http_async_fetched_add(cap->res, p, len) != NGX_OK) {
        return ngx_http_async_capture_fail(cap,
                                           NGX_HTTP_ASYNC_CAPTURE_NO_MEMORY);
    }

    /* $bytes_sent, where subrequests are logged */
    cap->r->connection->sent += len;

    return NGX_OK;
}


/* To what is to be read in pieces: the buffer stays with its owner. */

static ngx_int_t
ngx_http_async_capture_link(ngx_http_async_capture_t *cap, ngx_buf_t *b)
{
    ngx_chain_t  *cl, **ll;

    cl = ngx_alloc_chain_link(cap->r->pool);
    if (cl == NULL) {
        return ngx_http_async_capture_fail(cap,
                                           NGX_HTTP_ASYNC_CAPTURE_NO_MEMORY);
    }

    cl->buf = b;
    cl->next = NULL;

    for (ll = &cap->out; *ll; ll = &(*ll)->next) { /* void */ }

    *ll = cl;

    cap->r->connection->sent += ngx_buf_size(b);

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_capture_fail(ngx_http_async_capture_t *cap,
    ngx_http_async_capture_e state)
{
    cap->state = state;

    (void) ngx_async_wake(&cap->waker, ASYNC_OK);

    return NGX_ERROR;
}


/*
 * What has come through all filters: of subrequests that others have made of
 * the captured one, and what has waited for those.
 */

ngx_chain_t *
ngx_http_async_capture_chain(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    ngx_http_async_capture_t  *cap;

    cap = ((ngx_http_async_aside_t *) c)->capture;

    if (cap->res && cap->state == NGX_HTTP_ASYNC_CAPTURE_BODY) {
        ngx_http_async_capture_keep(cap, in);
    }

    /* an error would end the main request */

    ngx_http_async_capture_skip(in);

    return NULL;
}


/* These are not held back, whoever reads: they are copied. */

static void
ngx_http_async_capture_keep(ngx_http_async_capture_t *cap, ngx_chain_t *in)
{
    size_t      size;
    ngx_buf_t  *b;
    ngx_int_t   rc;

    for ( /* void */ ; in; in = in->next) {

        if (!ngx_buf_in_memory(in->buf)) {
            continue;
        }

        size = in->buf->last - in->buf->pos;

        if (size == 0) {
            continue;
        }

        if (cap->streams) {
            b = ngx_create_temp_buf(cap->r->pool, size);

            if (b) {
                b->last = ngx_cpymem(b->last, in->buf->pos, size);
                rc = ngx_http_async_capture_link(cap, b);

            } else {
                rc = ngx_http_async_capture_fail(cap,
                                            NGX_HTTP_ASYNC_CAPTURE_NO_MEMORY);
            }

        } else {
            rc = ngx_http_async_capture_add(cap, in->buf->pos, size);
        }

        if (rc != NGX_OK) {
            return;
        }
    }

    if (cap->out) {
        (void) ngx_async_wake(&cap->waker, ASYNC_OK);
    }
}


static ngx_int_t
ngx_http_async_capture_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_async_capture_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_async_capture_body_filter;

    return NGX_OK;
}
