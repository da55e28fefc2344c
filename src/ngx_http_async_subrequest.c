
/*
 * Copyright (C) the nginx-async authors
 *
 * await_subrequest(): a location of this server, asked without a connection.
 * The URI and the options become a subrequest; what comes of that is taken by
 * ngx_http_async_capture.h.
 */

#include <ngx_http_async_capture.h>
#include <ngx_http_async_client.h>
#include <ngx_http_async_url.h>


typedef struct {
    async_req_t               *req;
    async_response_t          *res;
    ngx_http_async_capture_t  *cap;
    async_fetch_t              fetch;
    const char                *type;
    ngx_str_t                  uri;
    ngx_str_t                  args;
    ngx_int_t                  rc;
} ngx_http_async_subrequest_t;


static async_rc_t ngx_http_async_subrequest_check(async_t *co,
    async_fetch_t *fetch, const char *uri);
static const char *ngx_http_async_subrequest_options(async_fetch_t *fetch);
static async_rc_t ngx_http_async_subrequest_uri(async_t *co,
    ngx_http_async_subrequest_t *sub, const char *uri);
static async_rc_t ngx_http_async_subrequest_await(async_t *co,
    ngx_http_async_subrequest_t *sub);
static void ngx_http_async_subrequest_start(void *data);
static async_rc_t ngx_http_async_subrequest_refused(async_t *co,
    ngx_http_async_subrequest_t *sub);
static async_rc_t ngx_http_async_subrequest_outcome(async_t *co,
    async_response_t *res, ngx_http_async_capture_t *cap);
static async_rc_t ngx_http_async_subrequest_read(async_t *co,
    async_response_t *res, void *buf, size_t size, size_t *n);
static size_t ngx_http_async_subrequest_take(ngx_http_async_capture_t *cap,
    u_char *to, size_t size);
static void ngx_http_async_subrequest_resume(void *data);
static void ngx_http_async_subrequest_gone(async_response_t *res);
static void ngx_http_async_subrequest_drop(void *data);


async_rc_t
await_subrequest_at(async_t *co, const char *site, async_req_t *req,
    const char *uri, async_fetch_t *fetch, size_t size, async_response_t **res)
{
    async_rc_t                   rc;
    ngx_http_async_subrequest_t  sub;

    *res = NULL;

    rc = ngx_async_enter(co, "await_subrequest", site);

    if (rc != ASYNC_OK) {
        ngx_http_async_fetch_forget(fetch);
        return rc;
    }

    ngx_memzero(&sub, sizeof(ngx_http_async_subrequest_t));

    /* that of a blocking handler is the thread's, in async_call() */
    sub.req = ngx_http_async_req_of(co);

    rc = ngx_http_async_fetch_options(co, fetch, size, &sub.fetch, &sub.type);

    if (rc == ASYNC_OK && sub.req && sub.req->r == NULL) {
        rc = ngx_http_async_parted(co);
    }

    if (rc == ASYNC_OK && (sub.req == NULL || sub.req->r != req->r)) {
        rc = ngx_async_set_error(co, ASYNC_ERROR, "subrequests are for the "
                                 "tasks of their request");
    }

    if (rc == ASYNC_OK && uri == NULL) {
        rc = ngx_async_set_error(co, ASYNC_ERROR, "there is no URI");
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_subrequest_check(co, &sub.fetch, uri);
    }

    if (rc == ASYNC_OK) {
        /* the answer lies in its memory */
        sub.req->holds++;

        sub.res = ngx_http_async_fetched(co);

        rc = sub.res ? ngx_http_async_subrequest_uri(co, &sub, uri)
                     : ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_subrequest_await(co, &sub);
    }

    if (rc == ASYNC_OK) {
        *res = sub.res;

    } else if (sub.res) {
        async_response_close(co, sub.res);
    }

    return rc;
}


static async_rc_t
ngx_http_async_subrequest_check(async_t *co, async_fetch_t *fetch,
    const char *uri)
{
    const char    *wrong;
    const u_char  *p;

    wrong = ngx_http_async_subrequest_options(fetch);

    if (wrong) {
        return ngx_async_because(co, ASYNC_CAUSE_REQUEST,
                                 ngx_async_set_error(co, ASYNC_ERROR,
                                                     "the subrequest is not "
                                                     "made: %s", wrong));
    }

    if (uri && *uri == '/') {

        for (p = (u_char *) uri; *p > ' ' && *p != 0x7f; p++) { /* void */ }

        if (*p == '\0') {
            return ASYNC_OK;
        }
    }

    return ngx_async_because(co, ASYNC_CAUSE_URL,
                             ngx_async_set_error(co, ASYNC_ERROR, "a URI "
                                                 "begins with a slash, and has "
                                                 "neither spaces nor control "
                                                 "characters"));
}


static const char *
ngx_http_async_subrequest_options(async_fetch_t *fetch)
{
    if (fetch->flags & ASYNC_FETCH_DECODE) {
        return "ASYNC_FETCH_DECODE is not for subrequests";
    }

    if (fetch->source) {
        return "source is not for subrequests";
    }

    if (fetch->redirects) {
        return "redirects is not for subrequests";
    }

    if (fetch->proxy) {
        return "proxy is not for subrequests";
    }

    if (fetch->tls_name) {
        return "tls_name is not for subrequests";
    }

    if (fetch->connect_timeout || fetch->send_timeout || fetch->read_timeout) {
        return "of the timeouts, only \"timeout\" is for subrequests";
    }

    return NULL;
}


/* A copy, with the query behind it, in memory of the request. */

static async_rc_t
ngx_http_async_subrequest_uri(async_t *co, ngx_http_async_subrequest_t *sub,
    const char *uri)
{
    size_t       len;
    ngx_str_t    text;
    ngx_uint_t   flags;
    ngx_pool_t  *pool;

    pool = sub->req->r->pool;

    /* the fragment is not sent (RFC 9110, 7.1) */
    len = strcspn(uri, "#");

    text.len = len;
    text.data = ngx_pnalloc(pool, len + 1);

    if (text.data) {
        *ngx_cpymem(text.data, uri, len) = '\0';
    }

    if (text.data == NULL
        || (sub->fetch.query
            && ngx_http_async_url_query(pool, &text, sub->fetch.query)
               != NGX_OK))
    {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    sub->res->url.data = (char *) text.data;
    sub->res->url.len = text.len;

    sub->uri = text;
    flags = 0;

    if (ngx_http_parse_unsafe_uri(sub->req->r, &sub->uri, &sub->args, &flags)
        != NGX_OK)
    {
        return ngx_async_because(co, ASYNC_CAUSE_URL,
                                 ngx_async_set_error(co, ASYNC_ERROR,
                                                     "the URI %s is not safe",
                                                     text.data));
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_subrequest_await(async_t *co, ngx_http_async_subrequest_t *sub)
{
    ngx_int_t                      rc;
    ngx_msec_t                     timeout;
    ngx_resolver_t                *resolver;
    ngx_http_async_capture_t      *cap;
    ngx_http_async_client_conf_t  *conf;

    conf = ngx_http_async_client(co, &resolver, &timeout);

    cap = ngx_pcalloc(sub->req->r->pool, sizeof(ngx_http_async_capture_t));

    if (cap == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    cap->req = sub->req;
    cap->res = sub->res;
    cap->max = sub->fetch.max ? sub->fetch.max : conf->max_body;
    cap->streams = (sub->fetch.flags & ASYNC_FETCH_STREAM) ? 1 : 0;
    cap->waker = ngx_async_waker(co);

    sub->cap = cap;

    ngx_async_on_loop(ngx_http_async_subrequest_start, sub);

    if (sub->rc != NGX_OK) {
        return ngx_http_async_subrequest_refused(co, sub);
    }

    rc = ngx_async_wait(co, sub->fetch.timeout
                            ? (ngx_msec_t) sub->fetch.timeout
                            : NGX_ASYNC_FOREVER);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_subrequest_outcome(co, sub->res, cap);

    } else if (rc == NGX_ASYNC_ELAPSED) {
        rc = ngx_async_because(co, ASYNC_CAUSE_TIMEOUT,
                               ngx_async_set_error(co, ASYNC_TIMEOUT,
                                                   "%s has not answered "
                                                   "within %L ms",
                                                   sub->res->url.data,
                                                   sub->fetch.timeout));
    }

    if (rc == ASYNC_OK && cap->streams) {
        sub->res->streams = 1;
        sub->res->read = ngx_http_async_subrequest_read;
        sub->res->drop = ngx_http_async_subrequest_gone;
        sub->res->source = cap;

        return ASYNC_OK;
    }

    ngx_async_on_loop(ngx_http_async_subrequest_drop, cap);

    return rc;
}


static void
ngx_http_async_subrequest_start(void *data)
{
    ngx_http_async_subrequest_t  *sub = data;

    ngx_http_async_capture_t  *cap;

    cap = sub->cap;

    sub->rc = ngx_http_async_capture(cap, &sub->uri, &sub->args);

    if (sub->rc != NGX_OK) {
        cap->res = NULL;
        return;
    }

    sub->rc = ngx_http_async_subrequest_in(cap->r, &sub->fetch, sub->type);

    if (sub->rc != NGX_OK) {
        ngx_http_async_capture_drop(cap);
        return;
    }

    ngx_http_async_capture_run(cap);
}


static async_rc_t
ngx_http_async_subrequest_refused(async_t *co,
    ngx_http_async_subrequest_t *sub)
{
    ngx_http_request_t  *r;

    r = sub->req->r;

    if (sub->rc == NGX_DECLINED) {
        return ngx_async_because(co, ASYNC_CAUSE_RESET,
                                 ngx_async_set_error(co, ASYNC_CLOSED,
                                                     "the client has gone"));
    }

    return ngx_async_because(co, ASYNC_CAUSE_REQUEST,
                             ngx_async_set_error(co, ASYNC_ERROR,
                                                 "%s: %s", sub->res->url.data,
                                                 (r->subrequests == 0)
                                                 ? "subrequests are nested too "
                                                   "deeply"
                                                 : (sub->rc == NGX_BUSY)
                                                 ? "there are too many "
                                                   "subrequests at once"
                                                 : "no memory"));
}


static async_rc_t
ngx_http_async_subrequest_outcome(async_t *co, async_response_t *res,
    ngx_http_async_capture_t *cap)
{
    switch (cap->state) {

    case NGX_HTTP_ASYNC_CAPTURE_TOO_LARGE:
        return ngx_async_because(co, ASYNC_CAUSE_TOO_LARGE,
                                 ngx_async_set_error(co, ASYNC_ERROR,
                                                     "the body of %s is larger "
                                                     "than %uz bytes",
                                                     res->url.data, cap->max));

    case NGX_HTTP_ASYNC_CAPTURE_NO_MEMORY:
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");

    case NGX_HTTP_ASYNC_CAPTURE_BROKEN:
        return ngx_async_because(co, ASYNC_CAUSE_RESET,
                                 ngx_async_set_error(co, ASYNC_CLOSED, "%s has "
                                                     "%s", res->url.data,
                                                     res->status
                                                     ? "broken off"
                                                     : "not answered"));

    default: /* NGX_HTTP_ASYNC_CAPTURE_BODY, NGX_HTTP_ASYNC_CAPTURE_WHOLE */
        return ASYNC_OK;
    }
}


static async_rc_t
ngx_http_async_subrequest_read(async_t *co, async_response_t *res, void *buf,
    size_t size, size_t *n)
{
    ngx_int_t                  rc;
    ngx_http_async_capture_t  *cap;

    cap = res->source;

    for ( ;; ) {

        if (cap->out) {
            *n = ngx_http_async_subrequest_take(cap, buf, size);
            return ASYNC_OK;
        }

        if (cap->state != NGX_HTTP_ASYNC_CAPTURE_BODY) {
            return ngx_http_async_subrequest_outcome(co, res, cap);
        }

        cap->waker = ngx_async_waker(co);

        ngx_async_on_loop(ngx_http_async_subrequest_resume, cap);

        rc = ngx_async_wait(co, NGX_ASYNC_FOREVER);

        if (rc != ASYNC_OK && rc != ASYNC_CLOSED) {
            return rc;
        }

        if (res->read == NULL) {
            return ngx_async_set_error(co, ASYNC_CLOSED, "another task has "
                                       "closed the response");
        }
    }
}


static size_t
ngx_http_async_subrequest_take(ngx_http_async_capture_t *cap, u_char *to,
    size_t size)
{
    size_t        n, len;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    n = 0;

    while (cap->out && n < size) {
        cl = cap->out;
        b = cl->buf;

        len = ngx_min((size_t) (b->last - b->pos), size - n);

        ngx_memcpy(to + n, b->pos, len);

        n += len;
        b->pos += len;

        if (b->pos == b->last) {
            b->file_pos = b->file_last;
            cap->out = cl->next;

            ngx_free_chain(cap->r->pool, cl);
        }
    }

    return n;
}


static void
ngx_http_async_subrequest_resume(void *data)
{
    ngx_http_async_capture_resume(data);
}


static void
ngx_http_async_subrequest_gone(async_response_t *res)
{
    ngx_http_async_capture_t  *cap;

    cap = res->source;

    if (res->reads) {
        /* by another task, which would wait for ever */
        (void) ngx_async_wake(&cap->waker, ASYNC_CLOSED);
    }

    ngx_async_on_loop(ngx_http_async_subrequest_drop, cap);
}


static void
ngx_http_async_subrequest_drop(void *data)
{
    ngx_http_async_capture_drop(data);
}
