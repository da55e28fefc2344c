
/*
 * Copyright (C) the nginx-async authors
 *
 * Subrequests whose answer goes to a task: see ngx_http_async_capture.h.  Their
 * life is here, what they answer comes in by ngx_http_async_capture_filter.c.
 *
 * They are background ones, so that their parent goes on, and any number of
 * them end in any order.  nginx finalizes each with us being asked first: what
 * would end the main request as well (an error, 408, 444, 499) is kept from it.
 */

#include <ngx_http_async_capture.h>
#include <ngx_http_async_aside.h>


/*
 * Of a main request, at once.  Each may block that twice, by threads of aio and
 * of aio_write, or while it waits for the lock of a cache, and nginx counts in
 * eight bits: when these are zero again it frees a request that is in use.
 */
#define NGX_HTTP_ASYNC_CAPTURE_MAX  100


static ngx_int_t ngx_http_async_capture_post(ngx_http_request_t *r,
    void *data, ngx_int_t rc);
static void ngx_http_async_capture_leave(ngx_http_async_capture_t *cap);
static void ngx_http_async_capture_ended(ngx_http_async_capture_t *cap);
static void ngx_http_async_capture_never(ngx_http_request_t *r);
static void ngx_http_async_capture_over(void *data);


ngx_int_t
ngx_http_async_capture(ngx_http_async_capture_t *cap, ngx_str_t *uri,
    ngx_str_t *args)
{
    unsigned                    in_memory, count;
    ngx_int_t                   rc;
    ngx_http_request_t         *r, *sr;
    ngx_http_core_main_conf_t  *cmcf;

    r = cap->req->r;

    if (r->main->connection->error) {
        return NGX_DECLINED;
    }

    cap->running = ngx_http_async_subrequests(cap->req);

    if (*cap->running == NGX_HTTP_ASYNC_CAPTURE_MAX) {
        return NGX_BUSY;
    }

    cap->aside = ngx_http_async_aside(r, cap);
    if (cap->aside == NULL) {
        return NGX_ERROR;
    }

    cap->cleanup.handler = ngx_http_async_capture_over;
    cap->cleanup.data = cap;

    rc = ngx_http_async_last_cleanup(cap->req, &cap->cleanup);
    if (rc != NGX_OK) {
        return rc;
    }

    cap->post.handler = ngx_http_async_capture_post;
    cap->post.data = cap;

    /* what would be in the memory of others does not go there */
    in_memory = r->subrequest_in_memory;
    r->subrequest_in_memory = 0;
    count = r->main->count;

    rc = ngx_http_subrequest(r, uri, args, &sr, &cap->post,
                             NGX_HTTP_SUBREQUEST_BACKGROUND);

    r->subrequest_in_memory = in_memory;

    if (rc != NGX_OK) {
        /* one that cannot be posted has been counted */
        r->main->count = count;
        return NGX_ERROR;
    }

    cap->r = sr;
    (*cap->running)++;

    sr->connection = &cap->aside->connection;
    sr->connection->data = sr;
    sr->discard_body = 0;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    sr->variables = ngx_pcalloc(r->pool, cmcf->variables.nelts
                                         * sizeof(ngx_http_variable_value_t));

    if (sr->variables == NULL) {
        /* nginx runs it all the same, later */
        sr->variables = r->variables;
        sr->write_event_handler = ngx_http_async_capture_never;
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_async_capture_run(ngx_http_async_capture_t *cap)
{
    async_req_t  *req;

    req = cap->req;

    /*
     * While the handler runs for the first time nginx is amid the request,
     * nothing keeps that from being freed, and nginx runs them afterwards.
     */

    if (req->result == NULL) {
        ngx_http_run_posted_requests(req->r->main->connection);
    }
}


void
ngx_http_async_capture_resume(ngx_http_async_capture_t *cap)
{
    ngx_http_request_t  *r;

    r = cap->blocked;

    if (r == NULL || cap->over) {
        return;
    }

    cap->blocked = NULL;
    ngx_http_async_aside_ready(cap->aside, 1);

    ngx_http_set_log_request(r->connection->log, r);

    r->write_event_handler(r);

    ngx_http_async_capture_run(cap);
}


void
ngx_http_async_capture_drop(ngx_http_async_capture_t *cap)
{
    ngx_http_request_t  *r;

    cap->res = NULL;
    cap->out = ngx_http_async_capture_skip(cap->out);
    cap->waker.ticket = 0;

    r = cap->r;

    if (cap->over || r->main->connection->error) {
        /* in the latter case nginx ends all of them */
        return;
    }

    if (cap->state != NGX_HTTP_ASYNC_CAPTURE_WHOLE) {
        ngx_http_async_capture_leave(cap);
    }

    ngx_http_async_capture_resume(cap);
    ngx_http_async_capture_run(cap);
}


/* As if its client had left. */

static void
ngx_http_async_capture_leave(ngx_http_async_capture_t *cap)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = cap->r;
    c = r->connection;

    if (r->write_event_handler == ngx_http_handler) {
        r->write_event_handler = ngx_http_async_capture_never;
        return;
    }

    /* for a handler that begins later */
    c->read->ready = 1;

    ngx_http_async_stop(r);

    if (r->upstream && r->upstream->cleanup && !r->aio) {

        /*
         * By the way that nginx takes then, so proxy_ignore_client_abort and
         * caches go on.  The error is not to be seen by others: subrequests of
         * this one would end the main request.
         */

        c->error = 1;

        ngx_http_set_log_request(c->log, r);
        r->read_event_handler(r);

        c->error = 0;
    }
}


/* nginx asks before it finalizes: it may do so several times. */

static ngx_int_t
ngx_http_async_capture_post(ngx_http_request_t *r, void *data, ngx_int_t rc)
{
    ngx_http_async_capture_t  *cap = data;

    ngx_connection_t  *c;

    c = r->connection;

    if (cap->over || r->main->connection->error) {
        /* the main request is to end: it may be up to this one */
        ngx_http_async_capture_over(cap);
        return NGX_ERROR;
    }

    if (rc == NGX_ERROR
        || rc == NGX_HTTP_REQUEST_TIME_OUT
        || rc == NGX_HTTP_CLIENT_CLOSED_REQUEST
        || rc == NGX_HTTP_CLOSE
        || c->error)
    {
        if (cap->state <= NGX_HTTP_ASYNC_CAPTURE_BODY) {
            cap->state = NGX_HTTP_ASYNC_CAPTURE_BROKEN;
        }

        c->error = 0;
        r->buffered = 0;
        r->postponed = NULL;

        rc = NGX_OK;
    }

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE
        || rc == NGX_HTTP_CREATED
        || rc == NGX_HTTP_NO_CONTENT
        || r->buffered
        || r->postponed)
    {
        return rc;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_async_capture_ended(cap);

    return rc;
}


static void
ngx_http_async_capture_ended(ngx_http_async_capture_t *cap)
{
    ngx_http_request_t  *r;

    r = cap->r;
    cap->over = 1;
    (*cap->running)--;

    if (cap->state == NGX_HTTP_ASYNC_CAPTURE_BODY
        && (cap->last
            || r->headers_out.content_length_n == r->connection->sent))
    {
        /* of what is empty, nginx sends the header alone */
        cap->state = NGX_HTTP_ASYNC_CAPTURE_WHOLE;
    }

    if (cap->state <= NGX_HTTP_ASYNC_CAPTURE_BODY) {
        /* nginx calls it a success when an upstream has broken off */
        cap->state = NGX_HTTP_ASYNC_CAPTURE_BROKEN;
    }

    (void) ngx_async_wake(&cap->waker, ASYNC_OK);
}


/* One that is dropped before nginx has begun with it */

static void
ngx_http_async_capture_never(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r, NGX_ERROR);
}


/* The main request ends, and its handlers have been told. */

static void
ngx_http_async_capture_over(void *data)
{
    ngx_http_async_capture_t  *cap = data;

    cap->over = 1;

    if (cap->state <= NGX_HTTP_ASYNC_CAPTURE_BODY) {
        cap->state = NGX_HTTP_ASYNC_CAPTURE_BROKEN;
    }

    /* those that are shielded have not been woken */
    (void) ngx_async_wake(&cap->waker, ASYNC_OK);
}
