
/*
 * Copyright (C) the nginx-async authors
 *
 * What a session sends: at once if nothing waits, which costs one system call
 * and no memory; otherwise it waits in a queue of frames, which the write
 * handler of the request empties.
 *
 * A message in parts is not to be interrupted by others: those wait aside until
 * it is at its end.
 */

#include <ngx_http_async_ws_session.h>


/* what is put together for one system call; frames of one */
#define NGX_HTTP_ASYNC_WS_SMALL   4096
#define NGX_HTTP_ASYNC_WS_GATHER  16


typedef struct {
    ngx_connection_t           *c;
    u_char                     *p;
    size_t                      len;
    ssize_t                     n;
} ngx_http_async_ws_send_t;


static ssize_t ngx_http_async_ws_send(ngx_http_async_ws_t *ws, u_char *p,
    size_t len);
static void ngx_http_async_ws_send_on_loop(void *data);
static ssize_t ngx_http_async_ws_send_first(ngx_http_async_ws_t *ws,
    u_char *p, size_t len);
static ssize_t ngx_http_async_ws_send_waiting(ngx_http_async_ws_t *ws);
static ngx_int_t ngx_http_async_ws_enough(ngx_http_async_ws_t *ws);
static ngx_int_t ngx_http_async_ws_wait(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_queue_t *queue, ngx_http_async_ws_frame_t *frame,
    size_t sent);
static ngx_int_t ngx_http_async_ws_add(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_queue_t *queue, ngx_http_async_ws_frame_t *frame,
    size_t sent);
static ngx_int_t ngx_http_async_ws_append(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_queue_t *queue, ngx_http_async_ws_out_t *with);
static void ngx_http_async_ws_sent(ngx_http_async_ws_t *ws, size_t n);
static void ngx_http_async_ws_out_done(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_out_t *out);
static void ngx_http_async_ws_pong_next(ngx_http_async_ws_t *ws);
static void ngx_http_async_ws_parts_left(ngx_async_end_t *end);
static void ngx_http_async_ws_arm(ngx_http_async_ws_t *ws);
static void ngx_http_async_ws_clear(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_queue_t *queue);


/* for what is sent at once */
static u_char  ngx_http_async_ws_small[NGX_HTTP_ASYNC_WS_HEAD
                                       + NGX_HTTP_ASYNC_WS_SMALL];


/*
 * How many bytes have gone: 0 if none can, NGX_ERROR if none ever will.  TLS
 * wants the same bytes again after 0.
 */

static ssize_t
ngx_http_async_ws_send(ngx_http_async_ws_t *ws, u_char *p, size_t len)
{
    ngx_http_async_ws_send_t  send;

    if (!ws->c->write->ready) {
        return 0;
    }

    send.c = ws->c;
    send.p = p;
    send.len = len;

#if (NGX_SSL)
    if (ws->c->ssl) {
        /* lengths of OpenSSL are an int */
        send.len = ngx_min(len, 1 << 30);

        ngx_async_on_loop(ngx_http_async_ws_send_on_loop, &send);

    } else
#endif
    {
        ngx_http_async_ws_send_on_loop(&send);
    }

    if (send.n > 0) {
        ngx_http_async_ws_add_to(BYTES_OUT, send.n);
    }

    return (send.n == NGX_AGAIN) ? 0 : send.n;
}


static void
ngx_http_async_ws_send_on_loop(void *data)
{
    ngx_http_async_ws_send_t  *send = data;

    send->n = send->c->send(send->c, send->p, send->len);
}


/* The same for what would be the first to go. */

static ssize_t
ngx_http_async_ws_send_first(ngx_http_async_ws_t *ws, u_char *p, size_t len)
{
    ssize_t  n;

    if (ws->out.first) {
        return 0;
    }

    n = ngx_http_async_ws_send(ws, p, len);

    if (n < 0) {
        ngx_http_async_ws_lost(ws, NULL);
        return NGX_ERROR;
    }

    return n;
}


void
ngx_http_async_ws_near(ngx_http_async_ws_t *ws)
{
    ngx_async_prefetch(&ws->c);
    ngx_async_prefetch(&ws->held.frames);
}


void
ngx_http_async_ws_near_connection(ngx_http_async_ws_t *ws)
{
    if (ws->state == NGX_HTTP_ASYNC_WS_OPEN) {
        ngx_async_prefetch(&ws->c->write);
        ngx_async_prefetch(&ws->c->sent);
#if (NGX_SSL)
        ngx_async_prefetch(&ws->c->ssl);
#endif
    }
}


void
ngx_http_async_ws_near_event(ngx_http_async_ws_t *ws)
{
    if (ws->state == NGX_HTTP_ASYNC_WS_OPEN) {
        ngx_async_prefetch(ws->c->write);
    }
}


ngx_int_t
ngx_http_async_ws_queue(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_frame_t *frame)
{
    ngx_int_t  rc;

    if (ws->state != NGX_HTTP_ASYNC_WS_OPEN) {
        return NGX_ERROR;
    }

    if (ws->parts && !wslay_is_ctrl_frame(frame->data[0])) {
        rc = ngx_http_async_ws_wait(ws, &ws->held, frame, 0);

    } else {
        rc = ngx_http_async_ws_push(ws, frame);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_async_ws_count(SENT);

    return ngx_http_async_ws_enough(ws);
}


ngx_int_t
ngx_http_async_ws_gather(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_frame_t *frame)
{
    ngx_int_t  rc;

    if (ws->state == NGX_HTTP_ASYNC_WS_OPEN && ws->parts == NULL
        && ws->out.bytes + frame->len <= NGX_HTTP_ASYNC_WS_SMALL)
    {
        ngx_http_async_ws_count(SENT);
        return ngx_http_async_ws_add(ws, &ws->out, frame, 0);
    }

    rc = ngx_http_async_ws_queue(ws, frame);

    if (rc == NGX_ERROR || (rc == NGX_OK && ws->out.bytes
                                            <= NGX_HTTP_ASYNC_WS_SMALL))
    {
        return rc;
    }

    ngx_http_async_ws_flush(ws);

    /* which may have taken all of it */
    return ngx_http_async_ws_enough(ws);
}


/* Whether more is to wait with the caller. */

static ngx_int_t
ngx_http_async_ws_enough(ngx_http_async_ws_t *ws)
{
    return (ws->out.bytes + ws->held.bytes > ws->conf->buffer) ? NGX_AGAIN
                                                               : NGX_OK;
}


ngx_uint_t
ngx_http_async_ws_waiting(ngx_http_async_ws_t *ws, size_t *bytes)
{
    *bytes = ws->out.bytes + ws->held.bytes;

    return ws->out.frames + ws->held.frames;
}


ngx_uint_t
ngx_http_async_ws_takes_deflated(ngx_http_async_ws_t *ws)
{
    return ws->deflate && ngx_http_async_ws_deflate_stateless(ws->deflate);
}


ngx_int_t
ngx_http_async_ws_push(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_frame_t *frame)
{
    ssize_t  n;

    n = ngx_http_async_ws_send_first(ws, frame->data, frame->len);

    if (n < 0) {
        return NGX_ERROR;
    }

    return ((size_t) n == frame->len) ? NGX_OK
                : ngx_http_async_ws_wait(ws, &ws->out, frame, n);
}


ngx_int_t
ngx_http_async_ws_put(ngx_http_async_ws_t *ws, ngx_uint_t opcode,
    ngx_uint_t fin, ngx_uint_t rsv, const void *data, size_t len)
{
    size_t                      head;
    ssize_t                     n;
    ngx_int_t                   rc;
    ngx_http_async_ws_frame_t  *frame;

    n = 0;

    if (len <= NGX_HTTP_ASYNC_WS_SMALL && ws->out.first == NULL
        && ws->c->write->ready
#if (NGX_SSL)
        && ws->c->ssl == NULL
#endif
       )
    {
        head = ngx_http_async_ws_head(ngx_http_async_ws_small, opcode, fin,
                                      rsv, len);
        if (head == 0) {
            return NGX_ERROR;
        }

        if (len) {
            ngx_memcpy(ngx_http_async_ws_small + head, data, len);
        }

        n = ngx_http_async_ws_send_first(ws, ngx_http_async_ws_small,
                                         head + len);
        if (n < 0) {
            return NGX_ERROR;
        }

        if ((size_t) n == head + len) {
            return NGX_OK;
        }
    }

    frame = ngx_http_async_ws_frame(opcode, fin, rsv, data, len, ws->c->log);

    if (frame == NULL) {
        if (n) {
            /* half a frame cannot be taken back */
            ngx_http_async_ws_lost(ws, "no memory");
        }

        return NGX_ERROR;
    }

    rc = n ? ngx_http_async_ws_wait(ws, &ws->out, frame, n)
           : ngx_http_async_ws_push(ws, frame);

    ngx_http_async_ws_frame_release(frame);

    return rc;
}


ngx_int_t
ngx_http_async_ws_lend(ngx_http_async_ws_t *ws, ngx_uint_t opcode,
    ngx_uint_t fin, ngx_uint_t rsv, const void *data, size_t len,
    ngx_http_async_ws_sender_t *sender)
{
    size_t                      head;
    ngx_int_t                   rc;
    ngx_http_async_ws_out_t     with;
    ngx_http_async_ws_frame_t  *frame;

    /* the header, alone */

    frame = ngx_alloc(offsetof(ngx_http_async_ws_frame_t, data)
                      + NGX_HTTP_ASYNC_WS_HEAD, ws->c->log);
    if (frame == NULL) {
        return NGX_ERROR;
    }

    head = ngx_http_async_ws_head(frame->data, opcode, fin, rsv, len);

    frame->refs = 1;
    frame->len = head;

    rc = head ? ngx_http_async_ws_wait(ws, &ws->out, frame, 0) : NGX_ERROR;

    ngx_http_async_ws_frame_release(frame);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&with, sizeof(ngx_http_async_ws_out_t));

    with.sender = sender;
    with.pos = (u_char *) data;
    with.last = (u_char *) data + len;

    if (ngx_http_async_ws_append(ws, &ws->out, &with) != NGX_OK) {
        ngx_http_async_ws_lost(ws, "no memory");
        return NGX_ERROR;
    }

    ngx_http_async_ws_flush(ws);

    return NGX_OK;
}


ngx_uint_t
ngx_http_async_ws_lends(ngx_http_async_ws_t *ws)
{
    ngx_http_async_ws_out_t  *out;

    for (out = ws->out.first; out; out = out->next) {
        if (out->sender) {
            return 1;
        }
    }

    return 0;
}


/* Behind what waits, but for "sent" bytes, which have gone. */

static ngx_int_t
ngx_http_async_ws_wait(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_queue_t *queue, ngx_http_async_ws_frame_t *frame,
    size_t sent)
{
    if (ngx_http_async_ws_add(ws, queue, frame, sent) != NGX_OK) {
        return NGX_ERROR;
    }

    if (queue == &ws->out) {
        ngx_http_async_ws_arm(ws);
    }

    return NGX_OK;
}


/* The same of a queue that is sent before anything can come. */

static ngx_int_t
ngx_http_async_ws_add(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_queue_t *queue, ngx_http_async_ws_frame_t *frame,
    size_t sent)
{
    ngx_http_async_ws_out_t  with;

    ngx_memzero(&with, sizeof(ngx_http_async_ws_out_t));

    with.frame = frame;
    with.pos = frame->data + sent;
    with.last = frame->data + frame->len;

    if (ngx_http_async_ws_append(ws, queue, &with) != NGX_OK) {

        if (sent) {
            ngx_http_async_ws_lost(ws, "no memory");
        }

        return NGX_ERROR;
    }

    frame->refs++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_ws_append(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_queue_t *queue, ngx_http_async_ws_out_t *with)
{
    ngx_http_async_ws_out_t  *out;

    out = ngx_alloc(sizeof(ngx_http_async_ws_out_t), ws->c->log);
    if (out == NULL) {
        return NGX_ERROR;
    }

    *out = *with;

    *queue->last = out;
    queue->last = &out->next;
    queue->bytes += out->last - out->pos;
    queue->frames++;

    ngx_http_async_ws_add_to(WAITING, out->last - out->pos);

    return NGX_OK;
}


void
ngx_http_async_ws_flush(ngx_http_async_ws_t *ws)
{
    ssize_t  n;

    while (ws->out.first) {
        n = ngx_http_async_ws_send_waiting(ws);

        if (n < 0) {
            ngx_http_async_ws_lost(ws, NULL);
            return;
        }

        if (n == 0) {
            break;
        }

        ngx_http_async_ws_sent(ws, n);

        if (ws->c->write->timer_set) {
            /* anew with what is left */
            ngx_del_timer(ws->c->write);
        }
    }

    ngx_http_async_ws_arm(ws);

    if (ws->out.bytes <= ws->conf->buffer && !ngx_queue_empty(&ws->senders)) {
        ngx_http_async_ws_changed(ws);
    }

    if (ws->out.first == NULL && ws->state == NGX_HTTP_ASYNC_WS_CLOSED) {
        ngx_http_async_ws_changed(ws);
    }

    if (ws->on_drain && ws->state == NGX_HTTP_ASYNC_WS_OPEN
        && ws->out.bytes + ws->held.bytes <= ws->conf->buffer)
    {
        ws->on_drain(ws->on_end_data);
    }
}


static ssize_t
ngx_http_async_ws_send_waiting(ngx_http_async_ws_t *ws)
{
    off_t                     before;
    ngx_buf_t                 bufs[NGX_HTTP_ASYNC_WS_GATHER], *b;
    ngx_uint_t                n;
    ngx_chain_t               links[NGX_HTTP_ASYNC_WS_GATHER];
    ngx_http_async_ws_out_t  *out;

    out = ws->out.first;

    if (out->next == NULL
#if (NGX_SSL)
        || ws->c->ssl
#endif
       )
    {
        return ngx_http_async_ws_send(ws, out->pos, out->last - out->pos);
    }

    if (!ws->c->write->ready) {
        return 0;
    }

    for (n = 0; out && n < NGX_HTTP_ASYNC_WS_GATHER; n++, out = out->next) {
        b = &bufs[n];

        ngx_memzero(b, sizeof(ngx_buf_t));

        b->pos = out->pos;
        b->last = out->last;
        b->memory = 1;

        links[n].buf = b;
        links[n].next = &links[n + 1];
    }

    links[n - 1].next = NULL;

    before = ws->c->sent;

    if (ws->c->send_chain(ws->c, links, 0) == NGX_CHAIN_ERROR) {
        return NGX_ERROR;
    }

    ngx_http_async_ws_add_to(BYTES_OUT, ws->c->sent - before);

    return ws->c->sent - before;
}


/* So many bytes of what waits have gone. */

static void
ngx_http_async_ws_sent(ngx_http_async_ws_t *ws, size_t n)
{
    size_t                    size;
    ngx_http_async_ws_out_t  *out;

    ws->out.bytes -= n;
    ngx_http_async_ws_add_to(WAITING, -(uint64_t) n);

    while (n) {
        out = ws->out.first;
        size = out->last - out->pos;

        if (n < size) {
            out->pos += n;
            return;
        }

        n -= size;
        out->pos = out->last;

        ws->out.frames--;
        ws->out.first = out->next;

        if (out->next == NULL) {
            ws->out.last = &ws->out.first;
        }

        ngx_http_async_ws_out_done(ws, out);
    }

    ngx_http_async_ws_pong_next(ws);
}


/* It has gone, or never will: frees it. */

static void
ngx_http_async_ws_out_done(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_out_t *out)
{
    if (out->sender) {
        out->sender->sent = (out->pos == out->last);

        if (ngx_async_wake(&out->sender->waker, ASYNC_OK)
            && !out->sender->sent)
        {
            ws->refused = 1;
        }
    }

    if (out->frame) {
        ngx_http_async_ws_frame_release(out->frame);
    }

    ngx_free(out);
}


/*
 * Of the pings that come while something waits only the last one is answered
 * (RFC 6455, 5.5.3), before what waits: so the answers need no bound.
 */

void
ngx_http_async_ws_pong(ngx_http_async_ws_t *ws, const u_char *data, size_t len)
{
    if (ws->state != NGX_HTTP_ASYNC_WS_OPEN) {
        return;
    }

    if (ws->out.first == NULL) {
        (void) ngx_http_async_ws_put(ws, WSLAY_PONG, 1, 0, data, len);
        return;
    }

    if (ws->pong) {
        ngx_http_async_ws_frame_release(ws->pong);
    }

    ws->pong = ngx_http_async_ws_frame(WSLAY_PONG, 1, 0, data, len,
                                       ws->c->log);
}


/* Between two frames, behind those that have begun to go. */

static void
ngx_http_async_ws_pong_next(ngx_http_async_ws_t *ws)
{
    ngx_http_async_ws_out_t  *first;

    first = ws->out.first;

    if (ws->pong == NULL
        || (first && (first->frame == NULL
                      || first->pos != first->frame->data)))
    {
        return;
    }

    ws->out.first = NULL;
    ws->out.last = &ws->out.first;

    (void) ngx_http_async_ws_wait(ws, &ws->out, ws->pong, 0);

    if (first) {
        *ws->out.last = first;

        while (first->next) {
            first = first->next;
        }

        ws->out.last = &first->next;
    }

    ngx_http_async_ws_frame_release(ws->pong);
    ws->pong = NULL;
}


/* How the handler itself ends is looked at by ngx_http_async_ws_finish(). */

void
ngx_http_async_ws_part(ngx_http_async_ws_t *ws, ngx_async_task_t *t,
    async_ws_kind_t kind)
{
    ws->parts = t;
    ws->parts_kind = kind;

    if (ws->req == NULL || t != &ws->req->task) {
        ws->parts_end.handler = ngx_http_async_ws_parts_left;
        ws->parts_end.next = t->ends;
        t->ends = &ws->parts_end;
    }
}


/* The rest of it will not come, and nothing else may (RFC 6455, 5.4). */

static void
ngx_http_async_ws_parts_left(ngx_async_end_t *end)
{
    ngx_async_task_t     *t;
    ngx_http_async_ws_t  *ws;

    ws = (ngx_http_async_ws_t *)
             ((u_char *) end - offsetof(ngx_http_async_ws_t, parts_end));

    t = ws->parts;
    ws->parts = NULL;

    if (ws->state != NGX_HTTP_ASYNC_WS_OPEN) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, t->log, 0,
                  "async \"%s\": a task ends in the middle of a message in "
                  "parts, after %s at %s, and its WebSocket with %d",
                  t->profile->name, t->await ? t->await : "no await",
                  t->site ? t->site : "-", NGX_HTTP_ASYNC_WS_INTERNAL);

    ngx_http_async_ws_close(ws, NGX_HTTP_ASYNC_WS_INTERNAL, NULL);
}


void
ngx_http_async_ws_whole(ngx_http_async_ws_t *ws)
{
    ngx_async_end_t  **end;

    for (end = &ws->parts->ends; *end; end = &(*end)->next) {
        if (*end == &ws->parts_end) {
            *end = ws->parts_end.next;
            break;
        }
    }

    ws->parts = NULL;

    if (ws->held.first == NULL || ws->state != NGX_HTTP_ASYNC_WS_OPEN) {
        return;
    }

    *ws->out.last = ws->held.first;
    ws->out.last = ws->held.last;
    ws->out.bytes += ws->held.bytes;
    ws->out.frames += ws->held.frames;

    ngx_memzero(&ws->held, sizeof(ngx_http_async_ws_queue_t));
    ws->held.last = &ws->held.first;

    ngx_http_async_ws_flush(ws);
}


/* What waits has send_timeout for each piece of it to go. */

static void
ngx_http_async_ws_arm(ngx_http_async_ws_t *ws)
{
    ngx_event_t  *wev;

    wev = ws->c->write;

    if (ws->out.first == NULL) {

        if (wev->timer_set) {
            ngx_del_timer(wev);
        }

        return;
    }

    if (!wev->timer_set) {
        ngx_add_timer(wev, ws->clcf->send_timeout);
    }

    /* also when that is set: it may have been before anything was tried */

    if (ngx_handle_write_event(wev, ws->clcf->send_lowat) != NGX_OK) {
        ngx_http_async_ws_lost(ws, "epoll_ctl() failed");
    }
}


void
ngx_http_async_ws_drop(ngx_http_async_ws_t *ws)
{
    ngx_http_async_ws_clear(ws, &ws->out);
    ngx_http_async_ws_clear(ws, &ws->held);

    if (ws->pong) {
        ngx_http_async_ws_frame_release(ws->pong);
        ws->pong = NULL;
    }
}


static void
ngx_http_async_ws_clear(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_queue_t *queue)
{
    ngx_http_async_ws_out_t  *out, *next;

    ngx_http_async_ws_add_to(WAITING, -(uint64_t) queue->bytes);

    for (out = queue->first; out; out = next) {
        next = out->next;
        ngx_http_async_ws_out_done(ws, out);
    }

    ngx_memzero(queue, sizeof(ngx_http_async_ws_queue_t));
    queue->last = &queue->first;
}
