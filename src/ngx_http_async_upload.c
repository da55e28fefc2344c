
/*
 * Copyright (C) the nginx-async authors
 *
 * await_body_read(): the request body in pieces, as it comes.  nginx reads into
 * one buffer, of client_body_buffer_size, and goes on when that has been taken.
 */

#include <ngx_http_async_body.h>


static async_rc_t ngx_http_async_upload(async_t *co, async_req_t *req,
    u_char *buf, size_t size, size_t *n);
static size_t ngx_http_async_upload_take(ngx_http_request_t *r, u_char *buf,
    size_t size);
static async_rc_t ngx_http_async_upload_whole(async_t *co, async_req_t *req,
    u_char *buf, size_t size, size_t *n);
static async_rc_t ngx_http_async_upload_refused(async_t *co,
    async_req_t *req);
static void ngx_http_async_upload_start(void *data);
static void ngx_http_async_upload_begun(ngx_http_request_t *r);
static void ngx_http_async_upload_more(void *data);
static void ngx_http_async_upload_reader(ngx_http_request_t *r);


async_rc_t
await_body_read_at(async_t *co, const char *site, async_req_t *req, void *buf,
    size_t size, size_t *n)
{
    async_rc_t  rc;

    *n = 0;

    req = ngx_http_async_origin(req);

    rc = ngx_async_enter(co, "await_body_read", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (size == 0) {
        return ngx_async_set_error(co, ASYNC_ERROR, "there is no room to read "
                                   "into");
    }

    if (req->form_state != NGX_HTTP_ASYNC_FORM_UNREAD
        && req->body_state == NGX_HTTP_ASYNC_BODY_PIECES)
    {
        return ngx_async_set_error(co, ASYNC_ERROR, "the body is read as a "
                                   "form");
    }

    return ngx_http_async_body_piece(co, req, buf, size, n);
}


async_rc_t
ngx_http_async_body_piece(ngx_async_task_t *t, async_req_t *req, u_char *buf,
    size_t size, size_t *n)
{
    /* in an earlier phase it stays for whoever serves the request */

    if (req->body_state == NGX_HTTP_ASYNC_BODY_UNREAD && req->r == req->r->main
        && req->r->request_body == NULL && !req->early)
    {
        req->body_state = NGX_HTTP_ASYNC_BODY_PIECES;

        ngx_async_on_loop(ngx_http_async_upload_start, req);
    }

    return (req->body_state == NGX_HTTP_ASYNC_BODY_PIECES)
               ? ngx_http_async_upload(t, req, buf, size, n)
               : ngx_http_async_upload_whole(t, req, buf, size, n);
}


static async_rc_t
ngx_http_async_upload(async_t *co, async_req_t *req, u_char *buf, size_t size,
    size_t *n)
{
    async_rc_t           rc;
    ngx_http_request_t  *r;

    r = req->r;

    if (req->body_waker.ticket) {
        return ngx_async_set_error(co, ASYNC_BUSY, "another task reads the "
                                   "body");
    }

    for ( ;; ) {

        if (req->nginx_rc) {
            return ngx_http_async_upload_refused(co, req);
        }

        *n = ngx_http_async_upload_take(r, buf, size);

        if (*n || !r->reading_body) {
            return ASYNC_OK;
        }

        req->body_waker = ngx_async_waker(co);

        ngx_async_on_loop(ngx_http_async_upload_more, req);

        rc = ngx_async_wait(co, NGX_ASYNC_FOREVER);

        req->body_waker.ticket = 0;

        if (rc != ASYNC_OK) {
            return rc;
        }
    }
}


static size_t
ngx_http_async_upload_take(ngx_http_request_t *r, u_char *buf, size_t size)
{
    size_t                    n, done;
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = r->request_body;

    for (done = 0; rb && rb->bufs && done < size; done += n) {
        cl = rb->bufs;
        b = cl->buf;

        n = ngx_min((size_t) (b->last - b->pos), size - done);

        ngx_memcpy(buf + done, b->pos, n);
        b->pos += n;

        if (b->pos == b->last) {
            /* the link is a copy: nginx finds the buffer in another list */
            rb->bufs = cl->next;
            ngx_free_chain(r->pool, cl);
        }
    }

    return done;
}


/* It has been read already, or is that of the main request. */

static async_rc_t
ngx_http_async_upload_whole(async_t *co, async_req_t *req, u_char *buf,
    size_t size, size_t *n)
{
    async_rc_t  rc;

    rc = ngx_http_async_body_whole(co, req, req->pool);

    if (rc == ASYNC_OK) {
        *n = ngx_min(size, req->body.len - req->body_taken);

        ngx_memcpy(buf, req->body.data + req->body_taken, *n);
        req->body_taken += *n;
    }

    return rc;
}


static async_rc_t
ngx_http_async_upload_refused(async_t *co, async_req_t *req)
{
    if (req->r->connection->error) {
        return ngx_async_set_error(co, ASYNC_CLOSED, "the client has gone "
                                   "before the end of the body");
    }

    return ngx_async_set_error(co, ASYNC_ERROR, "nginx refused the body with "
                               "%i", req->nginx_rc);
}


static void
ngx_http_async_upload_start(void *data)
{
    ngx_int_t            rc;
    async_req_t         *req = data;
    ngx_http_request_t  *r;

    r = req->r;
    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_async_upload_begun);

    if (rc == NGX_ERROR || rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        req->nginx_rc = rc;

        if (rc == NGX_ERROR) {
            /* only then the reader has kept its reference */
            r->main->count--;
            req->nginx_rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        r->keepalive = 0;
        r->lingering_close = 1;
    }
}


static void
ngx_http_async_upload_begun(ngx_http_request_t *r)
{
    async_req_t  *req;

    /* the reference of the reader; the handler holds its own */
    r->main->count--;

    if (r->reading_body) {
        r->read_event_handler = ngx_http_async_upload_reader;
        return;
    }

    req = ngx_http_get_module_ctx(r, ngx_http_async_module);

    if (req->result == NULL) {
        ngx_http_async_watch_client(req);
    }
}


static void
ngx_http_async_upload_more(void *data)
{
    ngx_int_t            rc;
    async_req_t         *req = data;
    ngx_http_request_t  *r;

    r = req->r;

    if (r->connection->read->timedout || r->connection->timedout) {
        r->connection->timedout = 1;
        req->nginx_rc = NGX_HTTP_REQUEST_TIME_OUT;

    } else {
        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            req->nginx_rc = rc;
        }
    }

    if (req->nginx_rc == 0 && r->reading_body && r->request_body->bufs == NULL)
    {
        r->read_event_handler = ngx_http_async_upload_reader;
        return;
    }

    if (req->nginx_rc) {
        r->keepalive = 0;
        r->lingering_close = 1;
        r->read_event_handler = ngx_http_block_reading;

    } else if (!r->reading_body && req->result == NULL) {
        ngx_http_async_watch_client(req);
    }

    (void) ngx_async_wake(&req->body_waker, ASYNC_OK);
}


/* The waiting task reads by itself; one that does not wait does so later. */

static void
ngx_http_async_upload_reader(ngx_http_request_t *r)
{
    async_req_t  *req;

    req = ngx_http_get_module_ctx(r, ngx_http_async_module);

    if (req) {
        (void) ngx_async_wake(&req->body_waker, ASYNC_OK);
    }
}
