
/*
 * Copyright (C) the nginx-async authors
 *
 * The connection of a captured subrequest: see ngx_http_async_aside.h.  It has
 * the descriptor of the client's, since some read the addresses by that, and is
 * never registered with the event method.
 */

#include <ngx_http_async_aside.h>


static void ngx_http_async_aside_free(void *data);
static void ngx_http_async_aside_read(ngx_event_t *ev);
static void ngx_http_async_aside_write(ngx_event_t *ev);


/* of this worker */
static ngx_http_async_aside_t  *ngx_http_async_asides;


ngx_http_async_aside_t *
ngx_http_async_aside(ngx_http_request_t *r, ngx_http_async_capture_t *cap)
{
    ngx_event_t             *rev, *wev;
    ngx_connection_t        *c;
    ngx_pool_cleanup_t      *cln;
    ngx_http_async_aside_t  *aside;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    aside = ngx_http_async_asides;

    if (aside) {
        ngx_http_async_asides = aside->next;

    } else {
        aside = ngx_palloc(ngx_cycle->pool, sizeof(ngx_http_async_aside_t));
        if (aside == NULL) {
            return NULL;
        }
    }

    ngx_memzero(aside, sizeof(ngx_http_async_aside_t));

    aside->capture = cap;

    cln->handler = ngx_http_async_aside_free;
    cln->data = aside;

    c = &aside->connection;
    rev = &aside->read;
    wev = &aside->write;

    *c = *r->main->connection;

    c->read = rev;
    c->write = wev;
    c->send_chain = ngx_http_async_capture_chain;

    c->sent = 0;
    c->buffered = 0;
    c->error = 0;
    c->timedout = 0;
    c->destroyed = 0;
    c->idle = 0;
    c->reusable = 0;
    c->close = 0;
    c->sendfile = 0;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    ngx_memzero(&c->queue, sizeof(ngx_queue_t));

    rev->data = c;
    rev->log = c->log;
    rev->index = NGX_INVALID_INDEX;
    rev->active = 1;

    wev->data = c;
    wev->log = c->log;
    wev->index = NGX_INVALID_INDEX;
    wev->write = 1;

    ngx_http_async_aside_ready(aside, 1);
    ngx_http_async_aside_handlers(aside);

    return aside;
}


void
ngx_http_async_aside_ready(ngx_http_async_aside_t *aside, ngx_uint_t ready)
{
    ngx_event_t  *wev;

    wev = &aside->write;

    /*
     * What nginx takes for an event that need not be added to the event method,
     * nor be deleted from it, edge-triggered or not.
     */

    wev->ready = ready ? 1 : 0;
    wev->active = (!ready || (ngx_event_flags & NGX_USE_CLEAR_EVENT)) ? 1 : 0;
}


void
ngx_http_async_aside_handlers(ngx_http_async_aside_t *aside)
{
    aside->read.handler = ngx_http_async_aside_read;
    aside->write.handler = ngx_http_async_aside_write;
}


/* The request is freed. */

static void
ngx_http_async_aside_free(void *data)
{
    ngx_http_async_aside_t  *aside = data;

    ngx_uint_t    i;
    ngx_event_t  *ev;

    for (i = 0; i < 2; i++) {
        ev = i ? &aside->write : &aside->read;

        if (ev->timer_set) {
            ngx_del_timer(ev);
        }

        if (ev->posted) {
            ngx_delete_posted_event(ev);
        }
    }

    aside->connection.destroyed = 1;
    aside->capture = NULL;

    aside->next = ngx_http_async_asides;
    ngx_http_async_asides = aside;
}


/* Posted where a handler begins to wait, and nobody wants it any more. */

static void
ngx_http_async_aside_read(ngx_event_t *ev)
{
    ngx_http_async_capture_t  *cap;

    cap = ((ngx_http_async_aside_t *) ev->data)->capture;

    if (cap->res == NULL) {
        ngx_http_async_stop(cap->r);
    }
}


static void
ngx_http_async_aside_write(ngx_event_t *ev)
{
    ngx_event_t         *wev;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ev->data;
    r = c->data;

    if (!ev->timedout) {
        /* a thread is done for a subrequest that is over: nginx tells the
         * connection, for which the main request may have waited */

        wev = r->main->connection->write;
        wev->handler(wev);
        return;
    }

    ev->timedout = 0;

    if (!ev->delayed) {
        /* send_timeout: who reads here takes the time that it needs */
        return;
    }

    /* limit_req, auth_delay */

    ev->delayed = 0;

    ngx_http_set_log_request(c->log, r);

    r->write_event_handler(r);

    ngx_http_run_posted_requests(c);
}
