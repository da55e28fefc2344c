
/*
 * Copyright (C) the nginx-async authors
 *
 * The public calls of WebSockets: what handlers await.  They check, wait and
 * collect; what a session does is in the files beneath.
 */

#include <ngx_http_async_ws_session.h>


static async_rc_t ngx_http_async_ws_await(async_t *co,
    ngx_http_async_ws_t *ws, ngx_http_async_ws_receiver_e receiver);
static async_rc_t ngx_http_async_ws_room(async_t *co,
    ngx_http_async_ws_t *ws, int part);
static async_rc_t ngx_http_async_ws_may_send(async_t *co,
    ngx_http_async_ws_t *ws, int part);
static async_rc_t ngx_http_async_ws_send_frame(async_t *co,
    ngx_http_async_ws_t *ws, async_ws_kind_t kind, const void *data,
    size_t len, int part);
static async_rc_t ngx_http_async_ws_lent(async_t *co,
    ngx_http_async_ws_t *ws, ngx_http_async_ws_sender_t *sender);
static async_rc_t ngx_http_async_ws_uncut(async_t *co,
    ngx_http_async_ws_t *ws);



async_rc_t
ngx_http_async_ws_session(async_t *co, async_req_t *req,
    ngx_http_async_ws_t **ws)
{
    *ws = ngx_http_async_origin(req)->ws;

    return *ws ? ASYNC_OK
               : ngx_async_set_error(co, ASYNC_ERROR, "the WebSocket has not "
                                     "been accepted, see await_ws_accept()");
}


async_rc_t
ngx_http_async_ws_is_closed(async_t *co, ngx_http_async_ws_t *ws)
{
    ngx_http_async_ws_tell(ws, co);

    if (ws->closed_by_peer) {
        return ngx_async_set_error(co, ASYNC_CLOSED, "the client has closed "
                                   "the WebSocket with %ui", ws->code);
    }

    return ngx_async_set_error(co, ASYNC_CLOSED, "%s",
                               ws->state == NGX_HTTP_ASYNC_WS_LOST
                               ? "the client has gone"
                               : "the WebSocket is closed");
}


async_rc_t
await_ws_recv_at(async_t *co, const char *site, async_req_t *req,
    async_ws_message_t *message, size_t size, int part)
{
    async_rc_t                    rc;
    ngx_uint_t                    last;
    async_ws_message_t            m;
    ngx_http_async_ws_t          *ws;
    ngx_http_async_ws_message_t  *current;

    rc = ngx_async_enter(co, part ? "await_ws_recv_part" : "await_ws_recv",
                         site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_ws_session(co, req, &ws);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_ws_receive(co, ws, part ? NGX_HTTP_ASYNC_WS_PARTS
                                                : NGX_HTTP_ASYNC_WS_WHOLE,
                                       &last);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    current = ws->current;

    m.size = size;
    m.kind = current->kind;
    m.data = (char *) current->data + current->taken;
    m.len = current->len - current->taken;
    m.last = (int) last;

    /* an app may have been built with an earlier, shorter one */
    ngx_memcpy(message, &m, ngx_min(size, sizeof(async_ws_message_t)));

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_ws_receive(async_t *co, ngx_http_async_ws_t *ws,
    ngx_http_async_ws_receiver_e receiver, ngx_uint_t *last)
{
    ngx_int_t                     rc;
    ngx_http_async_ws_message_t  *m;

    if (ws->receiver) {
        return ngx_async_set_error(co, ASYNC_BUSY, "another task receives");
    }

    if (ws->current) {
        ngx_http_async_ws_received(ws);
    }

    rc = ngx_http_async_ws_await(co, ws, receiver);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_ws_take(ws, receiver, &m, last);

    if (rc == NGX_DECLINED) {

        if (ws->state < NGX_HTTP_ASYNC_WS_CLOSED) {
            ngx_http_async_ws_fail(ws, NGX_HTTP_ASYNC_WS_TOO_BIG,
                                   "a message is longer than "
                                   "\"async_websocket_max_message\"");
        }

        return ngx_http_async_ws_is_closed(co, ws);
    }

    if (rc == NGX_ERROR) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    if (m == NULL) {
        return ngx_http_async_ws_is_closed(co, ws);
    }

    m->data[m->len] = '\0';
    ws->current = m;

    if (ws->paused) {
        ngx_http_async_ws_resume(ws);
    }

    if ((ws->state >= NGX_HTTP_ASYNC_WS_CLOSED || ws->owes_close)
        && !ws->told)
    {
        /* with the last message received nobody is left */
        ngx_http_async_ws_changed(ws);
    }

    return ASYNC_OK;
}


/* Suspends until there is something, or the end of it. */

static async_rc_t
ngx_http_async_ws_await(async_t *co, ngx_http_async_ws_t *ws,
    ngx_http_async_ws_receiver_e receiver)
{
    ngx_int_t  rc;

    while (!ngx_http_async_ws_has(ws, receiver)
           && ws->state < NGX_HTTP_ASYNC_WS_CLOSED)
    {
        if (ws->owes_close) {
            ngx_http_async_ws_answer_close(ws);
            break;
        }

        ws->receiver = receiver;
        ws->waker = ngx_async_waker(co);

        if (ws->paused) {
            ngx_http_async_ws_resume(ws);
        }

        rc = ngx_async_wait(co, NGX_ASYNC_FOREVER);

        ws->receiver = NGX_HTTP_ASYNC_WS_NOBODY;

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return ASYNC_OK;
}


async_rc_t
await_ws_send_at(async_t *co, const char *site, async_req_t *req,
    async_ws_kind_t kind, const void *data, size_t len, int part)
{
    async_rc_t            rc;
    ngx_http_async_ws_t  *ws;

    rc = ngx_async_enter(co, part ? "await_ws_send_part" : "await_ws_send",
                         site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_ws_session(co, req, &ws);

    if (rc != ASYNC_OK) {
        return rc;
    }

    return ngx_http_async_ws_send_message(co, ws, kind, data, len, part);
}


async_rc_t
await_ws_send_text_at(async_t *co, const char *site, async_req_t *req,
    const char *text)
{
    async_rc_t            rc;
    ngx_http_async_ws_t  *ws;

    rc = ngx_async_enter(co, "await_ws_send_text", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_ws_session(co, req, &ws);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (text == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "the text is NULL");
    }

    return ngx_http_async_ws_send_message(co, ws, ASYNC_WS_TEXT, text,
                                          ngx_strlen(text), 0);
}


async_rc_t
ngx_http_async_ws_send_message(async_t *co, ngx_http_async_ws_t *ws,
    async_ws_kind_t kind, const void *data, size_t len, int part)
{
    uint32_t    state;
    async_rc_t  rc;

    if ((kind != ASYNC_WS_TEXT && kind != ASYNC_WS_BINARY)
        || (data == NULL && len))
    {
        return ngx_async_set_error(co, ASYNC_ERROR, "the kind of the message "
                                   "is none, or its data NULL");
    }

    rc = ngx_http_async_ws_room(co, ws, part);

    if (rc != ASYNC_OK) {
        return rc;
    }

    state = 0;

    if (ws->parts) {
        kind = ws->parts_kind;
        state = ws->parts_utf8;
    }

    if (kind == ASYNC_WS_TEXT
        && (ngx_http_async_ws_utf8(&state, data, len) != NGX_OK
            || (state && part != ASYNC_WS_PART_)))
    {
        return ngx_async_set_error(co, ASYNC_INVALID,
                                   "the text to send is not UTF-8");
    }

    ws->parts_utf8 = state;

    return ngx_http_async_ws_send_frame(co, ws, kind, data, len, part);
}


/* Suspends until it is the turn of this one, and little waits to be sent. */

static async_rc_t
ngx_http_async_ws_room(async_t *co, ngx_http_async_ws_t *ws, int part)
{
    async_rc_t                  rc;
    ngx_http_async_ws_sender_t  sender;

    rc = ngx_http_async_ws_may_send(co, ws, part);

    if (rc != ASYNC_OK
        || (ws->out.bytes <= ws->conf->buffer
            && ngx_queue_empty(&ws->senders)))
    {
        return rc;
    }

    ngx_queue_insert_tail(&ws->senders, &sender.queue);

    do {
        sender.waker = ngx_async_waker(co);

        rc = ngx_async_wait(co, NGX_ASYNC_FOREVER);

        if (rc == ASYNC_OK) {
            rc = ngx_http_async_ws_may_send(co, ws, part);
        }

    } while (rc == ASYNC_OK
             && (ws->out.bytes > ws->conf->buffer
                 || ngx_queue_head(&ws->senders) != &sender.queue));

    ngx_queue_remove(&sender.queue);

    /* the next one, if there is room for it */

    if (!ngx_queue_empty(&ws->senders)) {
        ngx_http_async_ws_changed(ws);
    }

    return rc;
}


static async_rc_t
ngx_http_async_ws_may_send(async_t *co, ngx_http_async_ws_t *ws, int part)
{
    if (ws->state != NGX_HTTP_ASYNC_WS_OPEN) {
        return ngx_http_async_ws_is_closed(co, ws);
    }

    /* one that is cut by us is waited for */

    if (ws->parts && !ws->cut && (part == 0 || ws->parts != co)) {
        return ngx_async_set_error(co, ASYNC_BUSY, "a message in parts is "
                                   "not at its end");
    }

    return ASYNC_OK;
}


/*
 * Queues it before anything else can be: suspends for what is borrowed, and
 * while a long one is compressed.
 */

static async_rc_t
ngx_http_async_ws_send_frame(async_t *co, ngx_http_async_ws_t *ws,
    async_ws_kind_t kind, const void *data, size_t len, int part)
{
    ngx_int_t                   rc;
    ngx_uint_t                  opcode, fin, lent;
    ngx_http_async_ws_sender_t  sender;

    fin = (part != ASYNC_WS_PART_);
    opcode = ws->parts ? WSLAY_CONTINUATION_FRAME : kind;
    lent = 0;

    if (ws->parts == NULL) {
        ws->deflated = (ws->deflate
                        && (part || len >= ws->conf->deflate.min));
    }

    if (ws->deflated && len > NGX_HTTP_ASYNC_WS_CUT) {
        rc = ngx_http_async_ws_send_cut(co, ws, kind, data, len, part);

        if (rc == ASYNC_OK) {
            ngx_http_async_ws_count(SENT);
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }

        ws->deflated = 0;
    }

    if (ws->deflated) {
        rc = ngx_http_async_ws_send_packed(ws, opcode, fin, data, len);

    } else if (len < ws->conf->buffer) {
        rc = ngx_http_async_ws_put(ws, opcode, fin, 0, data, len);

    } else {
        sender.waker = ngx_async_waker(co);
        sender.sent = 0;
        lent = 1;

        rc = ngx_http_async_ws_lend(ws, opcode, fin, 0, data, len, &sender);
    }

    if (rc != NGX_OK) {
        return (ws->state == NGX_HTTP_ASYNC_WS_OPEN)
               ? ngx_async_set_error(co, ASYNC_ERROR, "no memory")
               : ngx_http_async_ws_is_closed(co, ws);
    }

    if (fin) {
        ngx_http_async_ws_count(SENT);
    }

    if (fin && ws->parts) {
        ngx_http_async_ws_whole(ws);

    } else if (!fin && ws->parts == NULL) {
        ngx_http_async_ws_part(ws, co, kind);
    }

    return lent ? ngx_http_async_ws_lent(co, ws, &sender) : ASYNC_OK;
}


/* Suspends until the memory that is borrowed has been sent. */

static async_rc_t
ngx_http_async_ws_lent(async_t *co, ngx_http_async_ws_t *ws,
    ngx_http_async_ws_sender_t *sender)
{
    async_rc_t  rc;

    rc = ngx_async_wait(co, NGX_ASYNC_FOREVER);

    if (sender->sent) {
        return ASYNC_OK;
    }

    if (rc != ASYNC_OK) {
        /* the rest of it cannot be sent, nor anything behind */
        ngx_http_async_ws_lost(ws, "half a message has been sent");
        return rc;
    }

    return ngx_http_async_ws_is_closed(co, ws);
}


async_rc_t
await_ws_close_at(async_t *co, const char *site, async_req_t *req, int code,
    const char *reason)
{
    uint32_t                     state;
    async_rc_t                   rc;
    ngx_http_async_ws_t         *ws;
    ngx_http_async_ws_sender_t   closer;

    rc = ngx_async_enter(co, "await_ws_close", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_ws_session(co, req, &ws);

    if (rc != ASYNC_OK) {
        return rc;
    }

    state = 0;

    if (code < 0 || !ngx_http_async_ws_is_code(code)
        || (reason && (ngx_strlen(reason) > NGX_HTTP_ASYNC_WS_CONTROL - 2
                       || ngx_http_async_ws_utf8(&state, (u_char *) reason,
                                                 ngx_strlen(reason))
                          != NGX_OK
                       || state)))
    {
        return ngx_async_set_error(co, ASYNC_ERROR, "%d is no code that may "
                                   "be sent, or the reason is longer than 123 "
                                   "bytes or not UTF-8", code);
    }

    ngx_http_async_ws_tell(ws, co);

    rc = ngx_http_async_ws_uncut(co, ws);

    ngx_http_async_ws_close(ws, code, reason);

    ws->discards = 1;

    if (ws->paused) {
        ngx_http_async_ws_resume(ws);
    }

    ngx_queue_insert_tail(&ws->closers, &closer.queue);

    while (rc == ASYNC_OK && ws->state < NGX_HTTP_ASYNC_WS_CLOSED) {
        closer.waker = ngx_async_waker(co);

        rc = ngx_async_wait(co, NGX_ASYNC_FOREVER);
    }

    ngx_queue_remove(&closer.queue);

    return rc;
}


/*
 * Suspends while another task's message is compressed and sent: it goes to its
 * end first, as one does that is not compressed.
 */

static async_rc_t
ngx_http_async_ws_uncut(async_t *co, ngx_http_async_ws_t *ws)
{
    async_rc_t                  rc;
    ngx_http_async_ws_sender_t  sender;

    if (!ws->cut) {
        return ASYNC_OK;
    }

    ngx_queue_insert_tail(&ws->senders, &sender.queue);

    do {
        sender.waker = ngx_async_waker(co);

        rc = ngx_async_wait(co, NGX_ASYNC_FOREVER);

    } while (rc == ASYNC_OK && ws->state == NGX_HTTP_ASYNC_WS_OPEN
             && ngx_queue_head(&ws->senders) != &sender.queue);

    ngx_queue_remove(&sender.queue);

    return rc;
}


int
async_ws_close_code(async_req_t *req)
{
    ngx_http_async_ws_t  *ws;

    ngx_http_async_check(req);

    ws = ngx_http_async_origin(req)->ws;

    return ws ? (int) ws->code : 0;
}


async_str_t
async_ws_close_reason(async_req_t *req)
{
    async_str_t           reason;
    ngx_http_async_ws_t  *ws;

    ngx_http_async_check(req);

    ws = ngx_http_async_origin(req)->ws;

    reason.data = "";
    reason.len = 0;

    if (ws && ws->reason.len) {
        reason.data = (char *) ws->reason.data;
        reason.len = ws->reason.len;
    }

    return reason;
}
