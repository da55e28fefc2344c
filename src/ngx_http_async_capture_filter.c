
/*
 * Copyright (C) the nginx-async authors
 *
 * The filters that take the answers of captured subrequests, see
 * ngx_http_async_capture.h.  A module of its own, since it stands elsewhere in
 * the order of filters: behind nginx's copy filter, which has read files into
 * memory, before those that make the page for the client.  The last of these
 * that is of interest, nginx's postpone filter, is made up for here.
 */

#include <ngx_http_async_capture.h>
#include <ngx_http_async_aside.h>
#include <ngx_http_async_field.h>


/* there is no SSI here: this bit of r->buffered is free */
#define NGX_HTTP_ASYNC_CAPTURE_BUFFERED  NGX_HTTP_SSI_BUFFERED


static ngx_int_t ngx_http_async_capture_phase(ngx_http_request_t *r);
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
static void ngx_http_async_capture_last(ngx_http_async_capture_t *cap,
    ngx_chain_t *in);
static ngx_int_t ngx_http_async_capture_postpone(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_async_capture_take(ngx_http_async_capture_t *cap,
    ngx_http_request_t *r, ngx_chain_t *in);
static ngx_int_t ngx_http_async_capture_add(ngx_http_async_capture_t *cap,
    u_char *p, size_t len);
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
 * What the request is captured for; NULL: it is not.  By the connection, since
 * nginx clears the contexts of modules on redirects.  A subrequest that others
 * have made of a captured one has the same connection: r is another one then.
 */

static ngx_inline ngx_http_async_capture_t *
ngx_http_async_capture_of(ngx_http_request_t *r)
{
    if (r->connection->send_chain != ngx_http_async_capture_chain) {
        return NULL;
    }

    return ((ngx_http_async_aside_t *) r->connection)->capture;
}


/* Before the content, also that of a redirect. */

static ngx_int_t
ngx_http_async_capture_phase(ngx_http_request_t *r)
{
    ngx_http_async_capture_t  *cap;

    cap = ngx_http_async_capture_of(r);

    if (cap == NULL || cap->r != r) {
        return NGX_DECLINED;
    }

    if (cap->res == NULL) {
        /* it has been delayed, say, for longer than it is waited for */
        return NGX_HTTP_CLIENT_CLOSED_REQUEST;
    }

    /* an error may have led here */
    ngx_http_async_aside_handlers(cap->aside);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_async_capture_header_filter(ngx_http_request_t *r)
{
    ngx_http_async_capture_t  *cap;

    cap = ngx_http_async_capture_of(r);

    if (cap == NULL || cap->r != r) {
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
    i = 0;

    while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {

        if (ngx_http_async_capture_field(res, &h->key, &h->value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
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


/* What nginx's postpone filter does, which gives all to the main request. */

static ngx_int_t
ngx_http_async_capture_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                     rc;
    ngx_http_async_capture_t     *cap;
    ngx_http_postponed_request_t *pr;

    cap = ngx_http_async_capture_of(r);

    if (cap == NULL || r->subrequest_in_memory) {
        return ngx_http_next_body_filter(r, in);
    }

    if (cap->r == r) {
        ngx_http_async_capture_last(cap, in);

    } else if (r->background) {
        ngx_http_async_capture_skip(in);
        return NGX_OK;
    }

    if (r->connection->data != r) {
        return in ? ngx_http_async_capture_postpone(r, in) : NGX_OK;
    }

    if (r->postponed == NULL) {
        return ngx_http_async_capture_take(cap, r, in);
    }

    if (in && ngx_http_async_capture_postpone(r, in) != NGX_OK) {
        return NGX_ERROR;
    }

    do {
        pr = r->postponed;
        r->postponed = pr->next;

        if (pr->request) {
            r->connection->data = pr->request;

            return ngx_http_post_request(pr->request, NULL);
        }

        rc = ngx_http_async_capture_take(cap, r, pr->out);

    } while (r->postponed && rc != NGX_ERROR);

    return rc;
}


static void
ngx_http_async_capture_last(ngx_http_async_capture_t *cap, ngx_chain_t *in)
{
    for ( /* void */ ; in; in = in->next) {
        if (in->buf->last_buf || in->buf->last_in_chain) {
            cap->last = 1;
        }
    }
}


/* Behind what others send, of which it is not the turn yet. */

static ngx_int_t
ngx_http_async_capture_postpone(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_postponed_request_t  *pr, **ppr;

    for (ppr = &r->postponed; *ppr; ppr = &(*ppr)->next) {

        if ((*ppr)->next == NULL && (*ppr)->request == NULL) {
            return ngx_chain_add_copy(r->pool, &(*ppr)->out, in);
        }
    }

    pr = ngx_pcalloc(r->pool, sizeof(ngx_http_postponed_request_t));
    if (pr == NULL) {
        return NGX_ERROR;
    }

    *ppr = pr;

    return ngx_chain_add_copy(r->pool, &pr->out, in);
}


static ngx_int_t
ngx_http_async_capture_take(ngx_http_async_capture_t *cap,
    ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    rc = NGX_OK;

    if (cap->state != NGX_HTTP_ASYNC_CAPTURE_BODY || cap->res == NULL) {

        if (cap->state != NGX_HTTP_ASYNC_CAPTURE_WHOLE) {
            rc = NGX_ERROR;
        }

        in = ngx_http_async_capture_skip(in);
    }

    for (cl = in; cl && rc == NGX_OK; cl = cl->next) {

        if (ngx_buf_size(cl->buf) == 0) {
            continue;
        }

        rc = cap->streams ? ngx_http_async_capture_link(cap, cl->buf)
                          : ngx_http_async_capture_add(cap, cl->buf->pos,
                                             cl->buf->last - cl->buf->pos);
    }

    if (!cap->streams || rc != NGX_OK) {
        ngx_http_async_capture_skip(in);
    }

    if (rc != NGX_OK) {
        cap->out = ngx_http_async_capture_skip(cap->out);

        /* an error of any other would end the main request */
        rc = (cap->r == r) ? NGX_ERROR : NGX_OK;

    } else if (cap->last && cap->r == r && r->postponed == NULL) {
        cap->state = NGX_HTTP_ASYNC_CAPTURE_WHOLE;
        (void) ngx_async_wake(&cap->waker, ASYNC_OK);
    }

    if (cap->out == NULL) {
        r->buffered &= ~NGX_HTTP_ASYNC_CAPTURE_BUFFERED;
        return rc;
    }

    (void) ngx_async_wake(&cap->waker, ASYNC_OK);

    r->buffered |= NGX_HTTP_ASYNC_CAPTURE_BUFFERED;
    cap->blocked = r;

    ngx_http_async_aside_ready(cap->aside, 0);

    return NGX_AGAIN;
}


ngx_chain_t *
ngx_http_async_capture_skip(ngx_chain_t *in)
{
    for ( /* void */ ; in; in = in->next) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
    }

    return NULL;
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


/* Nothing gets as far as here; this marks the connection. */

ngx_chain_t *
ngx_http_async_capture_chain(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    return ngx_http_async_capture_skip(in);
}


static ngx_int_t
ngx_http_async_capture_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_async_capture_phase;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_async_capture_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_async_capture_body_filter;

    return NGX_OK;
}
