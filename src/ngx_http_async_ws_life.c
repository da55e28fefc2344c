
/*
 * Copyright (C) the nginx-async authors
 *
 * The life of a session: opening, pings, the end of its handler, of the
 * connection, and of the worker; who is told.
 */

#include <ngx_http_async_ws_session.h>
#include <ngx_async_quit.h>


static void ngx_http_async_ws_reader(ngx_http_request_t *r);
static void ngx_http_async_ws_writer(ngx_http_request_t *r);
static ngx_http_async_ws_t *ngx_http_async_ws_of(ngx_http_request_t *r);
static void ngx_http_async_ws_timer_handler(ngx_event_t *ev);
static void ngx_http_async_ws_ping(ngx_http_async_ws_t *ws);
static void ngx_http_async_ws_event_handler(ngx_event_t *ev);
static void ngx_http_async_ws_wake_sender(ngx_http_async_ws_t *ws);
static ngx_uint_t ngx_http_async_ws_wake_all(ngx_http_async_ws_t *ws,
    ngx_queue_t *queue);
static void ngx_http_async_ws_gone(ngx_http_async_ws_t *ws,
    ngx_uint_t told);
static void ngx_http_async_ws_child_end(ngx_async_end_t *end);
static void ngx_http_async_ws_cancel(ngx_http_async_ws_t *ws);
static void ngx_http_async_ws_hang_up(ngx_http_async_ws_t *ws);
static ngx_uint_t ngx_http_async_ws_finish_code(async_req_t *req);
static ngx_int_t ngx_http_async_ws_result(ngx_http_async_ws_t *ws);
static ngx_uint_t ngx_http_async_ws_lingers(ngx_http_async_ws_t *ws);
static ngx_uint_t ngx_http_async_ws_quit_code(void);
static void ngx_http_async_ws_quit(void);


static const ngx_async_stats_field_t  ngx_http_async_ws_fields_of[] = {
    { NGX_HTTP_ASYNC_WS_STATS_ACCEPTED, "accepted", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Sessions begun" },
    { NGX_HTTP_ASYNC_WS_STATS_REFUSED, "refused", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Handshakes refused as none" },
    { NGX_HTTP_ASYNC_WS_STATS_ALIVE, "alive", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Sessions whose connection has not ended" },
    { NGX_HTTP_ASYNC_WS_STATS_CLOSED, "closed", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Sessions that have ended as they should" },
    { NGX_HTTP_ASYNC_WS_STATS_FAILED, "failed", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Sessions that have ended by an error, or without a Close frame" },
    { NGX_HTTP_ASYNC_WS_STATS_TIMED_OUT, "timed_out", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Clients that did not read, answer a ping, or close in time" },
    { NGX_HTTP_ASYNC_WS_STATS_RECEIVED, "messages_in", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Messages of clients" },
    { NGX_HTTP_ASYNC_WS_STATS_SENT, "messages_out", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Messages to clients" },
    { NGX_HTTP_ASYNC_WS_STATS_BYTES_IN, "in", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_BYTES, "What has come, with the headers of frames" },
    { NGX_HTTP_ASYNC_WS_STATS_BYTES_OUT, "out", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_BYTES, "What has gone, with the headers of frames" },
    { NGX_HTTP_ASYNC_WS_STATS_PINGS, "pings", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Pings sent" },
    { NGX_HTTP_ASYNC_WS_STATS_WAITING, "waiting", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_BYTES, "What waits for clients to read" },
    { 0, NULL, 0, 0, NULL }
};

const ngx_async_stats_family_t  ngx_http_async_ws_family = {
    "websocket", NULL, ngx_http_async_ws_fields_of
};


ngx_async_stats_t  *ngx_http_async_ws_stats = &ngx_async_stats_nowhere;

/* those of this worker that have not ended */
static ngx_queue_t  ngx_http_async_ws_sessions;


void
ngx_http_async_ws_init(ngx_async_stats_set_t *stats)
{
    ngx_http_async_ws_stats = ngx_async_stats_one(stats,
                                                  &ngx_http_async_ws_family);

    if (ngx_http_async_ws_sessions.next == NULL) {
        ngx_queue_init(&ngx_http_async_ws_sessions);
    }

    ngx_async_on_quit(ngx_http_async_ws_quit);
}


void
ngx_http_async_ws_count_refused(void)
{
    ngx_http_async_ws_count(REFUSED);
}


ngx_http_async_ws_t *
ngx_http_async_ws_open(async_req_t *req, ngx_http_async_ws_conf_t *conf,
    ngx_http_async_ws_deflate_t *deflate)
{
    ngx_connection_t          *c;
    ngx_pool_cleanup_t        *cln;
    ngx_http_request_t        *r;
    ngx_http_async_ws_t       *ws;

    r = req->r;
    c = r->connection;

    cln = ngx_pool_cleanup_add(r->pool,
                               req->own ? 0 : sizeof(ngx_http_async_ws_t));
    if (cln == NULL) {
        return NULL;
    }

    if (req->own) {
        cln->data = ngx_http_async_ws_of_own(req->own);
    }

    ws = cln->data;
    ngx_memzero(ws, sizeof(ngx_http_async_ws_t));

    cln->handler = ngx_http_async_ws_cleanup;

    ws->r = r;
    ws->c = c;
    ws->clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    ws->home = req->home;
    ws->own = req->own;
    ws->cleanup = cln;
    ws->req = req;
    ws->conf = conf;
    ws->deflate = deflate;
    ws->last = &ws->messages;
    ws->out.last = &ws->out.first;
    ws->held.last = &ws->held.first;
    ws->heard = ngx_current_msec;

    ngx_queue_init(&ws->senders);
    ngx_queue_init(&ws->closers);
    ngx_queue_insert_tail(&ngx_http_async_ws_sessions, &ws->queue);

    ngx_http_async_ws_count(ACCEPTED);
    ngx_http_async_ws_count(ALIVE);

    ws->timer.handler = ngx_http_async_ws_timer_handler;
    ws->timer.data = ws;
    ws->timer.log = c->log;

    ws->event.handler = ngx_http_async_ws_event_handler;
    ws->event.data = ws;
    ws->event.log = c->log;

    req->ws = ws;
    ngx_http_set_ctx(r, ws, ngx_http_async_ws_module);

    r->keepalive = 0;
    r->read_event_handler = ngx_http_async_ws_reader;
    r->write_event_handler = ngx_http_async_ws_writer;

    if (ws->clcf->tcp_nodelay) {
        /* a failure is logged, and costs time alone */
        (void) ngx_tcp_nodelay(c);
    }

#if (NGX_SSL)
    if (c->ssl && !(c->buffered & NGX_SSL_BUFFERED)) {
        /* 16k; what is sent is in one piece already */
        ngx_ssl_free_buffer(c);
    }
#endif

    if (conf->ping) {
        ngx_http_async_ws_time(ws, NGX_HTTP_ASYNC_WS_PINGS, conf->ping);
    }

    /* what has come before is not told again */
    ngx_post_event(c->read, &ngx_posted_events);

    if (ngx_async_quitting) {
        ngx_http_async_ws_close(ws, ngx_http_async_ws_quit_code(), NULL);
    }

    if (ws->own) {
        /* when the handler waits */
        ngx_http_async_ws_changed(ws);
    }

    return ws;
}


static ngx_http_async_ws_t *
ngx_http_async_ws_of(ngx_http_request_t *r)
{
    return ngx_http_get_module_ctx(r, ngx_http_async_ws_module);
}


static void
ngx_http_async_ws_reader(ngx_http_request_t *r)
{
    ngx_http_async_ws_read(ngx_http_async_ws_of(r));
}


static void
ngx_http_async_ws_writer(ngx_http_request_t *r)
{
    ngx_http_async_ws_writable(ngx_http_async_ws_of(r));
}


void
ngx_http_async_ws_writable(ngx_http_async_ws_t *ws)
{
    ngx_event_t  *wev;

    wev = ws->c->write;

    if (wev->timedout) {
        wev->timedout = 0;
        ws->c->timedout = 1;

        ngx_http_async_ws_count(TIMED_OUT);
        ngx_http_async_ws_lost(ws, "client timed out: it does not read");
        return;
    }

    ngx_http_async_ws_flush(ws);
}


void
ngx_http_async_ws_time(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_timing_e timing, ngx_msec_t time)
{
    ws->timing = timing;

    /* a worker that shuts down waits for tasks, not for pings */
    ws->timer.cancelable = (timing < NGX_HTTP_ASYNC_WS_CLOSES);

    if (ws->timer.timer_set) {
        ngx_del_timer(&ws->timer);
    }

    ngx_add_timer(&ws->timer, time);
}


static void
ngx_http_async_ws_timer_handler(ngx_event_t *ev)
{
    ngx_msec_t            left;
    ngx_http_async_ws_t  *ws;

    ws = ev->data;
    ev->timedout = 0;

    switch (ws->timing) {

    case NGX_HTTP_ASYNC_WS_PINGS:
        ngx_http_async_ws_ping(ws);
        break;

    case NGX_HTTP_ASYNC_WS_PONGS:

        /* what is not read may be the answer; anything is a sign of life */

        if (ws->paused || (ngx_msec_int_t) (ws->heard - ws->pinged) >= 0) {
            ngx_http_async_ws_ping(ws);
            break;
        }

        left = ws->pinged + ws->conf->pong - ngx_current_msec;

        if ((ngx_msec_int_t) left > 0) {
            ngx_http_async_ws_time(ws, NGX_HTTP_ASYNC_WS_PONGS,
                                   ngx_min(left, ws->conf->ping));
            break;
        }

        ws->c->timedout = 1;
        ngx_http_async_ws_count(TIMED_OUT);
        ngx_http_async_ws_lost(ws, "client timed out: it does not answer "
                                   "a ping");
        break;

    case NGX_HTTP_ASYNC_WS_CLOSES:

        if (ws->owes_close) {
            ngx_http_async_ws_answer_close(ws);
            break;
        }

        ws->c->timedout = 1;
        ngx_http_async_ws_count(TIMED_OUT);
        ngx_http_async_ws_lost(ws, "client timed out: it does not close");
        break;

    case NGX_HTTP_ASYNC_WS_CANCELS:
        ngx_http_async_ws_cancel(ws);
        break;
    }
}


/* The timer is not set anew with each message; it looks here when that was. */

static void
ngx_http_async_ws_ping(ngx_http_async_ws_t *ws)
{
    ngx_msec_t  quiet;

    quiet = ngx_current_msec - ws->heard;

    if (quiet < ws->conf->ping) {
        ngx_http_async_ws_time(ws, NGX_HTTP_ASYNC_WS_PINGS,
                               ws->conf->ping - quiet);
        return;
    }

    if (ws->out.first || ws->paused) {
        /* what waits has a timeout of its own */
        ngx_http_async_ws_time(ws, NGX_HTTP_ASYNC_WS_PINGS, ws->conf->ping);
        return;
    }

    if (ngx_http_async_ws_put(ws, WSLAY_PING, 1, 0, NULL, 0) == NGX_OK) {
        ws->pinged = ngx_current_msec;
        ngx_http_async_ws_count(PINGS);

        /* the answer is not to put off the next one */
        ngx_http_async_ws_time(ws, NGX_HTTP_ASYNC_WS_PONGS,
                               ngx_min(ws->conf->pong, ws->conf->ping));

    } else if (ws->state == NGX_HTTP_ASYNC_WS_OPEN) {
        /* no memory now */
        ngx_http_async_ws_time(ws, NGX_HTTP_ASYNC_WS_PINGS, ws->conf->ping);
    }
}


void
ngx_http_async_ws_changed(ngx_http_async_ws_t *ws)
{
    ngx_post_event(&ws->event, &ngx_posted_events);
}


void
ngx_http_async_ws_on_end(ngx_http_async_ws_t *ws, void (*handler)(void *data),
    void *data)
{
    ws->on_end = handler;
    ws->on_end_data = data;
}


void
ngx_http_async_ws_on_drain(ngx_http_async_ws_t *ws,
    void (*handler)(void *data))
{
    ws->on_drain = handler;
}


ngx_http_async_ws_conf_t *
ngx_http_async_ws_conf(ngx_http_async_ws_t *ws)
{
    return ws->conf;
}


ngx_uint_t
ngx_http_async_ws_is_open(ngx_http_async_ws_t *ws)
{
    return ws->state == NGX_HTTP_ASYNC_WS_OPEN;
}


/* Something has changed: tells whoever waits, and ends what is at its end. */

static void
ngx_http_async_ws_event_handler(ngx_event_t *ev)
{
    ngx_int_t             rc;
    ngx_uint_t            told;
    ngx_connection_t     *c;
    ngx_http_async_ws_t  *ws;

    ws = ev->data;

    if (ws->state == NGX_HTTP_ASYNC_WS_OPEN) {
        ngx_http_async_ws_wake_sender(ws);

        if (ws->owes_close && ws->messages == NULL
            && ngx_queue_empty(&ws->senders) && !ngx_http_async_ws_lends(ws))
        {
            /* all is received, and nobody answers now */
            ngx_http_async_ws_answer_close(ws);
        }

        if (ws->own && ws->r && ws->state == NGX_HTTP_ASYNC_WS_OPEN) {
            ngx_http_async_ws_release(ws);
        }

        return;
    }

    if (ws->on_end) {
        ws->on_end(ws->on_end_data);
        ws->on_end = NULL;
    }

    told = ngx_http_async_ws_wake_all(ws, &ws->senders);

    if (ws->state == NGX_HTTP_ASYNC_WS_CLOSING) {
        return;
    }

    if (ws->out.first == NULL && ws->timing == NGX_HTTP_ASYNC_WS_CLOSES
        && ws->timer.timer_set)
    {
        /* all that was left to do is done */
        ngx_del_timer(&ws->timer);
    }

    told += ws->refused;
    ws->refused = 0;

    told += ngx_http_async_ws_wake_all(ws, &ws->closers);

    if (ws->receiver && ngx_async_wake(&ws->waker, ASYNC_OK)) {
        told = 1;
    }

    if (ws->req) {
        ngx_http_async_ws_hang_up(ws);
        ngx_http_async_ws_gone(ws, told);
        return;
    }

    if (ws->state == NGX_HTTP_ASYNC_WS_CLOSED && ws->out.first) {
        return;
    }

    c = ws->c;
    rc = ngx_http_async_ws_result(ws);

    if (ws->r == NULL) {
        ngx_http_async_ws_end_released(ws, rc, ngx_http_async_ws_lingers(ws));
        return;
    }

    ngx_http_finalize_request(ws->r, rc);
    ngx_http_run_posted_requests(c);
}


/* There is room: for the first one, which wakes the next one. */

static void
ngx_http_async_ws_wake_sender(ngx_http_async_ws_t *ws)
{
    ngx_http_async_ws_sender_t  *sender;

    if (ngx_queue_empty(&ws->senders) || ws->out.bytes > ws->conf->buffer) {
        return;
    }

    sender = ngx_queue_data(ngx_queue_head(&ws->senders),
                            ngx_http_async_ws_sender_t, queue);

    (void) ngx_async_wake(&sender->waker, ASYNC_OK);
}


/* How many of them are told by that. */

static ngx_uint_t
ngx_http_async_ws_wake_all(ngx_http_async_ws_t *ws, ngx_queue_t *queue)
{
    ngx_uint_t                   told;
    ngx_queue_t                 *q;
    ngx_http_async_ws_sender_t  *sender;

    told = 0;

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        sender = ngx_queue_data(q, ngx_http_async_ws_sender_t, queue);
        told += ngx_async_wake(&sender->waker, ASYNC_OK);
    }

    return told;
}


void
ngx_http_async_ws_tell(ngx_http_async_ws_t *ws, ngx_async_task_t *t)
{
    if (ws->req == NULL || ws->told) {
        return;
    }

    if (ws->timing == NGX_HTTP_ASYNC_WS_CANCELS && ws->timer.timer_set) {
        ngx_del_timer(&ws->timer);
    }

    if (t == &ws->req->task) {
        ws->told = 1;
        return;
    }

    if (!ws->told_child) {
        ws->told_child = 1;

        ws->end.handler = ngx_http_async_ws_child_end;
        ws->end.next = t->ends;
        t->ends = &ws->end;
    }
}


/*
 * A child that was told has ended: that may have told the handler, which has
 * been woken by now then.
 */

static void
ngx_http_async_ws_child_end(ngx_async_end_t *end)
{
    ngx_http_async_ws_t  *ws;

    ws = (ngx_http_async_ws_t *)
             ((u_char *) end - offsetof(ngx_http_async_ws_t, end));

    ws->child_ended = 1;

    if (ws->req) {
        ws->ticket = ws->req->task.ticket;
        ngx_post_event(&ws->event, &ngx_posted_next_events);
    }
}


/*
 * The peer has gone: whatever the handler awaits now is cancelled, unless it
 * or a child of it has been told, or there is something to be received first.
 */

static void
ngx_http_async_ws_gone(ngx_http_async_ws_t *ws, ngx_uint_t told)
{
    if (told || ws->told || ws->req->conf->ignore_client_abort) {
        return;
    }

    if (ws->state == NGX_HTTP_ASYNC_WS_CLOSED
        && ngx_http_async_ws_lends(ws))
    {
        /* a message goes to its end, before our Close frame; then it is asked
           again */
        return;
    }

    if (ws->told_child) {

        if (ws->child_ended && ws->ticket
            && ws->ticket == ws->req->task.ticket)
        {
            ngx_http_async_ws_cancel(ws);
        }

        return;
    }

    if (ws->messages && ws->state == NGX_HTTP_ASYNC_WS_CLOSED) {

        /* until what waits has gone, it is given up as soon */

        if (ws->timing != NGX_HTTP_ASYNC_WS_CANCELS && !ws->timer.timer_set) {
            ngx_http_async_ws_time(ws, NGX_HTTP_ASYNC_WS_CANCELS,
                                   ws->conf->close_timeout);
        }

        return;
    }

    ngx_http_async_ws_cancel(ws);
}


void
ngx_http_async_ws_terminate(ngx_http_async_ws_t *ws)
{
    ngx_http_async_ws_lost(ws, NULL);
    ngx_http_async_ws_cancel(ws);
}


static void
ngx_http_async_ws_cancel(ngx_http_async_ws_t *ws)
{
    if (ws->req) {
        ngx_async_task_cancel(&ws->req->task, NGX_ASYNC_CLIENT);
    }
}


/*
 * The server is the first to close TCP (RFC 6455, 7.1.1), also while its
 * handler goes on.  TLS ends with the request.
 */

static void
ngx_http_async_ws_hang_up(ngx_http_async_ws_t *ws)
{
    if (ws->state == NGX_HTTP_ASYNC_WS_CLOSED && ws->out.first == NULL
#if (NGX_SSL)
        && ws->c->ssl == NULL
#endif
       )
    {
        (void) ngx_shutdown_socket(ws->c->fd, NGX_WRITE_SHUTDOWN);
    }
}


ngx_int_t
ngx_http_async_ws_finish(async_req_t *req)
{
    ngx_uint_t            code;
    ngx_http_async_ws_t  *ws;

    ws = req->ws;

    ws->req = NULL;
    ws->receiver = NGX_HTTP_ASYNC_WS_NOBODY;
    ws->discards = 1;

    if (ws->own) {
        ngx_http_async_ws_keep(ws->own);
    }

    if (req->gone) {
        ngx_http_async_ws_lost(ws, NULL);
        return NGX_ERROR;
    }

    code = ngx_http_async_ws_finish_code(req);

    ngx_http_async_ws_close(ws, code, NULL);
    ngx_http_async_ws_forget(ws);

    if (ws->state < NGX_HTTP_ASYNC_WS_CLOSED
        || (ws->state == NGX_HTTP_ASYNC_WS_CLOSED && ws->out.first))
    {
        /* the session holds the request from here on */

        if (req->r) {
            req->r->main->count++;
        }

        ngx_http_async_ws_resume(ws);

        return NGX_DONE;
    }

    if (req->r == NULL) {
        /* when its task has ended */
        ngx_http_async_ws_changed(ws);
        return NGX_DONE;
    }

    return ngx_http_async_ws_result(ws);
}


/* What the code of the handler stands for. */

static ngx_uint_t
ngx_http_async_ws_finish_code(async_req_t *req)
{
    ngx_uint_t            code, level;
    const char           *cause;
    ngx_http_async_ws_t  *ws;

    ws = req->ws;
    level = NGX_LOG_ERR;

    switch (req->rc) {

    case ASYNC_OK:
        if (ws->parts == NULL) {
            return NGX_HTTP_ASYNC_WS_NORMAL;
        }

        code = NGX_HTTP_ASYNC_WS_INTERNAL;
        break;

    case ASYNC_CANCELLED:
        if (req->task.cancel == NGX_ASYNC_SHUTDOWN) {
            return ngx_http_async_ws_quit_code();
        }

        code = NGX_HTTP_ASYNC_WS_INTERNAL;
        break;

    case ASYNC_INVALID:
        code = NGX_HTTP_ASYNC_WS_INVALID;
        level = NGX_LOG_INFO;
        break;

    case ASYNC_BUSY:
        code = NGX_HTTP_ASYNC_WS_TRY_LATER;
        level = NGX_LOG_WARN;
        break;

    default:
        code = NGX_HTTP_ASYNC_WS_INTERNAL;
        break;
    }

    if (ws->state != NGX_HTTP_ASYNC_WS_OPEN
        && (req->rc == ASYNC_OK || req->rc == ASYNC_CLOSED
            || req->rc == ASYNC_CANCELLED))
    {
        return code;
    }

    cause = async_error(&req->task);

    if (req->rc == ASYNC_OK) {
        cause = "a message in parts is not at its end";
    }

    ngx_log_error(level, req->task.log, 0,
                  "async handler \"%s\" ends its WebSocket with %ui: "
                  "%s%s%s, after %s at %s", req->task.profile->name, code,
                  ngx_async_rc_name(req->rc), *cause ? ": " : "", cause,
                  req->task.await ? req->task.await : "no await",
                  req->task.site ? req->task.site : "-");

    return code;
}


/* For nginx: what is left unread must not reset what the client has to read. */

static ngx_int_t
ngx_http_async_ws_result(ngx_http_async_ws_t *ws)
{
    if (ws->timer.timer_set) {
        ngx_del_timer(&ws->timer);
    }

    if (ws->event.posted) {
        ngx_delete_posted_event(&ws->event);
    }

    if (ws->state == NGX_HTTP_ASYNC_WS_LOST) {
        return NGX_ERROR;
    }

    if (ws->r && ngx_http_async_ws_lingers(ws)) {
        ws->r->lingering_close = 1;
    }

    return NGX_OK;
}


/*
 * The server ends at once what both have closed (RFC 6455, 7.1.1), unless the
 * peer goes on to send all the same: that would be answered by a reset, which
 * may overtake our Close frame.
 */

static ngx_uint_t
ngx_http_async_ws_lingers(ngx_http_async_ws_t *ws)
{
    return !ws->closed_by_peer || ws->overruns;
}


void
ngx_http_async_ws_cleanup(void *data)
{
    ngx_http_async_ws_t  *ws = data;

    if (ws->state < NGX_HTTP_ASYNC_WS_CLOSED) {
        ngx_http_async_ws_count(FAILED);
    }

    ws->state = NGX_HTTP_ASYNC_WS_LOST;

    if (ws->on_end) {
        ws->on_end(ws->on_end_data);
        ws->on_end = NULL;
    }

    ngx_http_async_ws_drop(ws);
    ngx_http_async_ws_forget(ws);
    ngx_http_async_ws_received(ws);
    ngx_http_async_ws_input_free(ws);

    if (ws->deflate) {
        ngx_http_async_ws_deflate_free(ws->deflate);
    }

    if (ws->timer.timer_set) {
        ngx_del_timer(&ws->timer);
    }

    if (ws->event.posted) {
        ngx_delete_posted_event(&ws->event);
    }

    ngx_queue_remove(&ws->queue);

    ngx_async_stats_less(ngx_http_async_ws_stats,
                         NGX_HTTP_ASYNC_WS_STATS_ALIVE);

    if (ws->own) {
        /* where it lies */
        ngx_http_async_ws_forget_task(ws->own);
    }
}


/* The worker shuts down: do clients find another one at once? */

static ngx_uint_t
ngx_http_async_ws_quit_code(void)
{
    return ngx_async_replaced() ? NGX_HTTP_ASYNC_WS_RESTART
                                : NGX_HTTP_ASYNC_WS_AWAY;
}


static void
ngx_http_async_ws_quit(void)
{
    ngx_uint_t            code;
    ngx_queue_t          *q;
    ngx_http_async_ws_t  *ws;

    code = ngx_http_async_ws_quit_code();

    for (q = ngx_queue_head(&ngx_http_async_ws_sessions);
         q != ngx_queue_sentinel(&ngx_http_async_ws_sessions);
         q = ngx_queue_next(q))
    {
        ws = ngx_queue_data(q, ngx_http_async_ws_t, queue);

        ngx_http_async_ws_close(ws, code, NULL);
    }
}
