
/*
 * Copyright (C) the nginx-async authors
 *
 * await_send() and await_sse(): a response in pieces, each of which is with the
 * kernel, or over HTTP/2 with the connection, when its await ends.
 *
 * Over HTTP/1 nginx sends from the memory of the caller.  An await that ends
 * otherwise leaves nginx with pointers to it, so nothing is sent any more then:
 * the response is broken off, which the client can tell.  Elsewhere frames and
 * other requests of the connection go on, so nginx gets a copy.
 */

#include <ngx_http_async_stream.h>
#include <ngx_http_async_response.h>


/* a piece that is copied */
#define NGX_HTTP_ASYNC_STREAM_COPY  65536


struct ngx_http_async_stream_s {
    async_req_t          *req;
    ngx_buf_t             buf;
    ngx_chain_t           out;
    u_char               *copy;
    off_t                 left;         /* of Content-Length; -1: unknown */
    ngx_async_waker_t     waker;
    ngx_int_t             rc;

    unsigned              busy:1;
    unsigned              passed:1;     /* the filters have "out" */
    unsigned              timedout:1;
    unsigned              broken:1;
};


static ngx_http_async_stream_t *ngx_http_async_stream_get(async_req_t *req);
static async_rc_t ngx_http_async_stream_begin(async_t *co, async_req_t *req);
static void ngx_http_async_stream_start(void *data);
static void ngx_http_async_stream_discard(ngx_http_request_t *r);
static async_rc_t ngx_http_async_stream_piece(async_t *co,
    ngx_http_async_stream_t *s, u_char *p, size_t len);
static void ngx_http_async_stream_output(void *data);
static ngx_uint_t ngx_http_async_stream_waits(ngx_http_async_stream_t *s);
static void ngx_http_async_stream_arm(ngx_http_async_stream_t *s);
static void ngx_http_async_stream_stop(void *data);
static void ngx_http_async_stream_writer(ngx_http_request_t *r);
static async_rc_t ngx_http_async_stream_send(async_t *co, async_req_t *req,
    const void *data, size_t len);
static size_t ngx_http_async_sse_lines(u_char *to, const char *name,
    const char *text);
static size_t ngx_http_async_sse_text(u_char *to, const async_sse_t *event);


async_rc_t
async_stream(async_req_t *req, int status, const char *type, int64_t length)
{
    async_rc_t                rc;
    ngx_http_async_stream_t  *s;

    ngx_http_async_check(req);

    if (req->out.started) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "the response has begun already");
    }

    if (req->task.job || req->origin) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "a blocking "
                                   "handler has no streaming response, nor "
                                   "has what runs together with others");
    }

    rc = async_bytes(req, status, type, NULL, 0);

    if (rc != ASYNC_OK) {
        return rc;
    }

    s = ngx_http_async_stream_get(req);

    if (s == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    s->left = (length < 0) ? -1 : length;

    return ASYNC_OK;
}


static ngx_http_async_stream_t *
ngx_http_async_stream_get(async_req_t *req)
{
    ngx_http_async_stream_t  *s;

    if (req->stream) {
        return req->stream;
    }

    s = ngx_pcalloc(req->pool, sizeof(ngx_http_async_stream_t));
    if (s == NULL) {
        return NULL;
    }

    s->req = req;
    s->left = -1;

    req->stream = s;

    return s;
}


async_rc_t
ngx_http_async_stream_header(async_t *co, async_req_t *req)
{
    if (ngx_http_async_stream_get(req) == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    return ngx_http_async_stream_send(co, req, NULL, 0);
}


async_rc_t
await_send_at(async_t *co, const char *site, async_req_t *req,
    const void *data, size_t len)
{
    async_rc_t  rc;

    rc = ngx_async_enter(co, "await_send", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (req->stream == NULL) {
        rc = async_stream(req, 200, NULL, -1);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return ngx_http_async_stream_send(co, req, data, len);
}


static async_rc_t
ngx_http_async_stream_send(async_t *co, async_req_t *req, const void *data,
    size_t len)
{
    u_char                   *p;
    size_t                    n;
    async_rc_t                rc;
    ngx_http_async_stream_t  *s;

    s = req->stream;

    if (s->busy) {
        return ngx_async_set_error(co, ASYNC_BUSY, "another task sends");
    }

    rc = ngx_http_async_stream_begin(co, req);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (s->left != -1 && (uint64_t) s->left < len) {
        return ngx_async_set_error(co, ASYNC_ERROR, "%uz bytes are more than "
                                   "the %O that are left of the length of the "
                                   "response", len, s->left);
    }

    s->busy = 1;
    p = (u_char *) data;

    do {
        n = s->copy ? ngx_min(len, NGX_HTTP_ASYNC_STREAM_COPY) : len;

        rc = ngx_http_async_stream_piece(co, s, p, n);

        p += n;
        len -= n;

        if (rc == ASYNC_OK && s->left != -1) {
            s->left -= n;
        }

    } while (rc == ASYNC_OK && len);

    s->busy = 0;

    return rc;
}


/* Sends the header, once. */

static async_rc_t
ngx_http_async_stream_begin(async_t *co, async_req_t *req)
{
    ngx_http_request_t       *r;
    ngx_http_async_stream_t  *s;

    s = req->stream;
    r = req->r;

    if (!req->out.started) {

        if (r != r->main
#if (NGX_HTTP_V2)
            || r->stream
#endif
#if (NGX_HTTP_V3)
            || r->connection->quic
#endif
           )
        {
            s->copy = ngx_pnalloc(req->pool, NGX_HTTP_ASYNC_STREAM_COPY);

            if (s->copy == NULL) {
                return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
            }
        }

        /* from here on other timeouts apply */
        ngx_async_unbind(&req->task);

        ngx_async_on_loop(ngx_http_async_stream_start, s);
    }

    if (s->broken || s->rc == NGX_ERROR || r->connection->error) {
        s->broken = 1;
        return ngx_async_set_error(co, ASYNC_CLOSED,
                                   "the response is broken off");
    }

    if (r->header_only) {
        return ngx_async_set_error(co, ASYNC_CLOSED,
                                   "this response has no body");
    }

    return ASYNC_OK;
}


static void
ngx_http_async_stream_start(void *data)
{
    async_req_t              *req;
    ngx_http_request_t       *r;
    ngx_http_async_stream_t  *s = data;

    req = s->req;
    r = req->r;

    req->out.started = 1;

    s->rc = ngx_http_discard_request_body(r);

    if (s->rc == NGX_OK) {
        s->rc = ngx_http_async_send_header(r, &req->out, s->left);
    }

    if (s->rc > NGX_OK) {
        s->rc = NGX_ERROR;
    }

    if (req->result == NULL) {

        if (r->discard_body) {
            r->read_event_handler = ngx_http_async_stream_discard;

        } else {
            ngx_http_async_watch_client(req);
        }
    }
}


/*
 * nginx's handler gives its reference back at the end of the body or of the
 * connection, and would do so again at every later event.  The task has
 * another one, so the request is still there.
 */

static void
ngx_http_async_stream_discard(ngx_http_request_t *r)
{
    async_req_t  *req;

    req = ngx_http_get_module_ctx(r, ngx_http_async_module);

    ngx_http_discarded_request_body_handler(r);

    if (!r->discard_body) {
        ngx_http_async_watch_client(req);
    }
}


static async_rc_t
ngx_http_async_stream_piece(async_t *co, ngx_http_async_stream_t *s,
    u_char *p, size_t len)
{
    async_rc_t  rc;

    if (s->copy && len) {
        ngx_memcpy(s->copy, p, len);
        p = s->copy;
    }

    ngx_memzero(&s->buf, sizeof(ngx_buf_t));

    s->buf.pos = p;
    s->buf.last = p + len;
    s->buf.start = p;
    s->buf.end = p + len;
    s->buf.memory = (len != 0);
    s->buf.flush = 1;

    s->out.buf = &s->buf;
    s->out.next = NULL;
    s->passed = 0;

    rc = ASYNC_OK;

    for ( ;; ) {
        s->waker = ngx_async_waker(co);

        ngx_async_on_loop(ngx_http_async_stream_output, s);

        if (s->rc != NGX_AGAIN) {
            break;
        }

        rc = ngx_async_wait(co, NGX_ASYNC_FOREVER);

        if (rc != ASYNC_OK) {
            break;
        }
    }

    s->waker.ticket = 0;

    if (rc == ASYNC_OK && s->rc == NGX_OK) {
        return ASYNC_OK;
    }

    s->broken = 1;

    ngx_async_on_loop(ngx_http_async_stream_stop, s);

    if (rc != ASYNC_OK) {
        return rc;
    }

    return ngx_async_set_error(co, ASYNC_CLOSED, "%s",
                               s->timedout ? "the client does not read: "
                                             "\"send_timeout\" has passed"
                                           : "the client has gone");
}


static void
ngx_http_async_stream_output(void *data)
{
    ngx_event_t              *wev;
    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_async_stream_t  *s = data;

    r = s->req->r;
    c = r->connection;
    wev = c->write;

    if (s->timedout || c->error) {
        s->rc = NGX_ERROR;
        return;
    }

    if (s->passed && wev->delayed) {
        /* limit_rate */
        ngx_http_async_stream_arm(s);
        return;
    }

    s->rc = ngx_http_output_filter(r, s->passed ? NULL : &s->out);
    s->passed = 1;

    if (r->main->posted_requests) {
        ngx_http_run_posted_requests(c);
    }

    if (s->rc == NGX_ERROR || c->error) {
        s->rc = NGX_ERROR;
        return;
    }

    if (ngx_http_async_stream_waits(s)) {
        ngx_http_async_stream_arm(s);
        return;
    }

    s->rc = NGX_OK;

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    r->write_event_handler = ngx_http_request_empty_handler;
}


/* What filters keep to themselves, they have. */

static ngx_uint_t
ngx_http_async_stream_waits(ngx_http_async_stream_t *s)
{
    ngx_http_request_t  *r;

    r = s->req->r;

    return s->buf.pos != s->buf.last || r->postponed
           || (r == r->main && r->connection->buffered);
}


static void
ngx_http_async_stream_arm(ngx_http_async_stream_t *s)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = s->req->r;
    wev = r->connection->write;

    s->rc = NGX_AGAIN;

    r->write_event_handler = ngx_http_async_stream_writer;

    clcf = ngx_http_get_module_loc_conf(r->main, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        s->rc = NGX_ERROR;
    }
}


static void
ngx_http_async_stream_writer(ngx_http_request_t *r)
{
    async_req_t              *req;
    ngx_event_t              *wev;
    ngx_http_async_stream_t  *s;

    req = ngx_http_get_module_ctx(r, ngx_http_async_module);

    if (req == NULL || req->stream == NULL) {
        return;
    }

    s = req->stream;
    wev = r->connection->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");

        r->connection->timedout = 1;
        s->timedout = 1;
    }

    (void) ngx_async_wake(&s->waker, ASYNC_OK);
}


/* Nothing of this response is written any more. */

static void
ngx_http_async_stream_stop(void *data)
{
    ngx_event_t              *wev;
    ngx_http_request_t       *r;
    ngx_http_async_stream_t  *s = data;

    r = s->req->r;
    wev = r->connection->write;

    r->write_event_handler = ngx_http_request_empty_handler;

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }
}


ngx_int_t
ngx_http_async_stream_finish(async_req_t *req)
{
    const char               *cause;
    ngx_uint_t                level;
    ngx_http_request_t       *r;
    ngx_http_async_stream_t  *s;

    r = req->r;
    s = req->stream;

    if (r->header_only && s->rc != NGX_ERROR) {
        return NGX_OK;
    }

    if (req->rc == ASYNC_OK && !s->broken && s->left <= 0) {
        return ngx_http_send_special(r, NGX_HTTP_LAST);
    }

    if (req->task.cancel != NGX_ASYNC_CLIENT
        && req->task.cancel != NGX_ASYNC_PARENT
        && !r->connection->error && !s->timedout)
    {
        cause = async_error(&req->task);

        if (req->rc == ASYNC_OK && !s->broken) {
            cause = "less than its length has been sent";
        }

        /* each stream of a channel, at each reload */
        level = (req->rc == ASYNC_CLOSED
                 && req->task.cause == ASYNC_CAUSE_SHUTDOWN)
                ? NGX_LOG_INFO : NGX_LOG_ERR;

        ngx_log_error(level, req->task.log, 0,
                      "async handler \"%s\" has broken its response off: "
                      "%s%s%s, after %s at %s", req->task.profile->name,
                      ngx_async_rc_name(req->rc), *cause ? ": " : "", cause,
                      req->task.await ? req->task.await : "no await",
                      req->task.site ? req->task.site : "-");
    }

    /* without the end that the client waits for */
    return NGX_ERROR;
}


/* Server-sent events */

async_rc_t
await_sse_at(async_t *co, const char *site, async_req_t *req,
    const async_sse_t *event)
{
    u_char      *text;
    size_t       len;
    async_rc_t   rc;

    rc = ngx_async_enter(co, "await_sse", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if ((event->id && strpbrk(event->id, "\r\n"))
        || (event->event && strpbrk(event->event, "\r\n"))
        || event->retry < 0)
    {
        return ngx_async_set_error(co, ASYNC_ERROR, "an id and an event are "
                                   "of one line, and retry is not negative");
    }

    if (req->stream == NULL) {

        rc = async_stream(req, 200, "text/event-stream", -1);

        if (rc == ASYNC_OK) {
            rc = async_set_header(req, "Cache-Control", "no-cache");
        }

        if (rc == ASYNC_OK) {
            rc = async_set_header(req, "X-Accel-Buffering", "no");
        }

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    len = ngx_http_async_sse_text(NULL, event);

    text = ngx_alloc(len, co->log);
    if (text == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    (void) ngx_http_async_sse_text(text, event);

    rc = ngx_http_async_stream_send(co, req, text, len);

    ngx_free(text);

    return rc;
}


/* Writes the event, or, to NULL, only counts. */

static size_t
ngx_http_async_sse_text(u_char *to, const async_sse_t *event)
{
    size_t  n;
    char    retry[NGX_INT64_LEN + 1];

    n = 0;

    n += ngx_http_async_sse_lines(to, "", event->comment);
    n += ngx_http_async_sse_lines(to ? to + n : NULL, "id", event->id);
    n += ngx_http_async_sse_lines(to ? to + n : NULL, "event", event->event);

    if (event->retry) {
        *ngx_sprintf((u_char *) retry, "%L", event->retry) = '\0';
        n += ngx_http_async_sse_lines(to ? to + n : NULL, "retry", retry);
    }

    n += ngx_http_async_sse_lines(to ? to + n : NULL, "data", event->data);

    if (to) {
        to[n] = '\n';
    }

    return n + 1;
}


/* A field of several lines is one for each: "\n", "\r\n", "\r" end a line. */

static size_t
ngx_http_async_sse_lines(u_char *to, const char *name, const char *text)
{
    size_t  n, len, name_len;

    if (text == NULL) {
        return 0;
    }

    name_len = ngx_strlen(name);
    n = 0;

    for ( ;; ) {
        len = strcspn(text, "\r\n");

        if (to) {
            to = ngx_cpymem(to, name, name_len);
            *to++ = ':';
            *to++ = ' ';
            to = ngx_cpymem(to, text, len);
            *to++ = '\n';
        }

        n += name_len + 2 + len + 1;
        text += len;

        if (*text == '\0') {
            return n;
        }

        text += (text[0] == '\r' && text[1] == '\n') ? 2 : 1;
    }
}
