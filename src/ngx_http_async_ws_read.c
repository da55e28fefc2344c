
/*
 * Copyright (C) the nginx-async authors
 *
 * What a session receives: frames by wslay, whose API for them leaves it to us
 * what may follow what; messages made of them; control frames answered.
 *
 * It reads whenever something comes, also while the handler does something
 * else, so that pings are answered and a close is seen, up to the bound of what
 * nobody has received.  Beyond it only the message is read on that somebody
 * waits for.
 */

#include <ngx_http_async_ws_session.h>


/* contexts that wait for their next use, beside those in use */
#define NGX_HTTP_ASYNC_WS_INPUTS  4

/* what is inflated between two looks at the bound, times 1032 at most; for who
   receives whole messages each piece that comes out is looked at */
#define NGX_HTTP_ASYNC_WS_SLICE   64
#define NGX_HTTP_ASYNC_WS_SLICES  1024

/* what may come out of that before it is the turn of others */
#define NGX_HTTP_ASYNC_WS_OUT     (1024 * 1024)

/* so many times 4k are read before it is the turn of others */
#define NGX_HTTP_ASYNC_WS_TURN    16


static ngx_int_t ngx_http_async_ws_pace(ngx_http_async_ws_t *ws);
static ngx_int_t ngx_http_async_ws_step(ngx_http_async_ws_t *ws);
static ngx_int_t ngx_http_async_ws_begin(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_input_t *in);
static const char *ngx_http_async_ws_frame_wrong(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_input_t *in);
static ngx_int_t ngx_http_async_ws_piece(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_input_t *in);
static ngx_int_t ngx_http_async_ws_end(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_input_t *in);
static ngx_int_t ngx_http_async_ws_control(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_input_t *in);
static ngx_int_t ngx_http_async_ws_inflated(ngx_http_async_ws_t *ws,
    const u_char *p, size_t len, ngx_uint_t last);
static ngx_int_t ngx_http_async_ws_text(void *data, const u_char *p,
    size_t len);
static void ngx_http_async_ws_hand(ngx_http_async_ws_t *ws);
static ngx_http_async_ws_input_t *ngx_http_async_ws_input(
    ngx_http_async_ws_t *ws);
static void ngx_http_async_ws_input_done(ngx_http_async_ws_t *ws);
static ssize_t ngx_http_async_ws_recv(uint8_t *buf, size_t len, int flags,
    void *user_data);


static const struct wslay_frame_callbacks  ngx_http_async_ws_callbacks = {
    NULL, ngx_http_async_ws_recv, NULL
};


/* of this worker */
static ngx_http_async_ws_input_t  *ngx_http_async_ws_inputs;
static ngx_uint_t                  ngx_http_async_ws_ninputs;

static ngx_uint_t                  ngx_http_async_ws_turn;
static size_t                      ngx_http_async_ws_inflates;


void
ngx_http_async_ws_read(ngx_http_async_ws_t *ws)
{
    ngx_int_t  rc;

    ngx_http_async_ws_turn = NGX_HTTP_ASYNC_WS_TURN;
    ngx_http_async_ws_inflates = 0;

    do {
        if (ws->state >= NGX_HTTP_ASYNC_WS_CLOSED || ws->owes_close) {
            rc = NGX_DONE;
            break;
        }

        rc = ngx_http_async_ws_pace(ws);

        if (rc == NGX_OK) {
            rc = ngx_http_async_ws_step(ws);
        }

    } while (rc == NGX_OK);

    ws->paused = (rc == NGX_BUSY);

    if (rc == NGX_BUSY && ws->c->read->pending_eof) {
        ngx_http_async_ws_ebbs(ws);
    }

    /*
     * What is not read on needs nothing: epoll tells each event once, and the
     * thread pools of nginx, which apps always have, want epoll.
     */

    if (rc == NGX_AGAIN
        && ngx_handle_read_event(ws->c->read, 0) != NGX_OK)
    {
        ngx_http_async_ws_lost(ws, "epoll_ctl() failed");
    }

    ngx_http_async_ws_hand(ws);
    ngx_http_async_ws_input_done(ws);
}


/* NGX_BUSY: it is not to be read on; NGX_DONE: it is too long. */

static ngx_int_t
ngx_http_async_ws_pace(ngx_http_async_ws_t *ws)
{
    size_t    size;
    uint64_t  left;

    if (ws->discards) {
        return NGX_OK;
    }

    size = ws->partial ? ngx_http_async_ws_rest(ws->partial) : 0;

    if (ws->messages == NULL) {

        if (ws->receiver == NGX_HTTP_ASYNC_WS_PARTS
            && size < NGX_HTTP_ASYNC_WS_PART)
        {
            return NGX_OK;
        }

        if (ws->receiver == NGX_HTTP_ASYNC_WS_WHOLE) {

            /* what has been announced counts before it has come */

            left = (ws->input && ws->input->begun && !ws->compressed
                    && !wslay_is_ctrl_frame(ws->input->frame.opcode))
                   ? ws->input->left : 0;

            if (size > ws->conf->max_message
                || left > ws->conf->max_message - size)
            {
                ngx_http_async_ws_fail(ws, NGX_HTTP_ASYNC_WS_TOO_BIG,
                                       "a message is longer than "
                                       "\"async_websocket_max_message\"");
                return NGX_DONE;
            }

            return NGX_OK;
        }
    }

    return (ws->unread + size < ws->conf->buffer) ? NGX_OK : NGX_BUSY;
}


/* One step: NGX_OK, NGX_AGAIN, NGX_DONE. */

static ngx_int_t
ngx_http_async_ws_step(ngx_http_async_ws_t *ws)
{
    ssize_t                     n;
    ngx_int_t                   rc;
    ngx_http_async_ws_input_t  *in;

    in = ngx_http_async_ws_input(ws);

    if (in == NULL) {
        ngx_http_async_ws_lost(ws, "no memory");
        return NGX_DONE;
    }

    if (in->frame.data_length == 0) {

        if (in->given == 0 && !ws->c->read->ready
            && (ws->r == NULL
                || ws->r->header_in->pos == ws->r->header_in->last))
        {
            return NGX_AGAIN;
        }

        n = wslay_frame_recv(in->context, &in->frame);

        if (n < 0) {
            in->frame.data_length = 0;

            if (n != WSLAY_ERR_WANT_READ) {
                ngx_http_async_ws_fail(ws, NGX_HTTP_ASYNC_WS_PROTOCOL,
                                       "a frame is none");
                return NGX_DONE;
            }

            if (ws->eof) {
                ngx_http_async_ws_lost(ws, "client closed its connection "
                                           "without a Close frame");
                return NGX_DONE;
            }

            if (ws->state == NGX_HTTP_ASYNC_WS_LOST) {
                return NGX_DONE;
            }

            /* wslay asks once; the end may be there, and is not told again */

            return (ws->c->read->ready && !ws->c->read->posted) ? NGX_OK
                                                                : NGX_AGAIN;
        }

        if (!in->begun) {
            rc = ngx_http_async_ws_begin(ws, in);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        in->given -= n;

        /* the bound is to be asked before anything is taken */

        if (in->frame.payload_length > NGX_HTTP_ASYNC_WS_SLICE
            && in->left == in->frame.payload_length)
        {
            return NGX_OK;
        }
    }

    rc = ngx_http_async_ws_piece(ws, in);

    if (rc != NGX_OK || in->left || in->frame.data_length) {
        return rc;
    }

    in->begun = 0;

    return ngx_http_async_ws_end(ws, in);
}


/*
 * The header of a frame has come, with the first byte of its payload: wslay
 * tells of neither before the other.
 */

static ngx_int_t
ngx_http_async_ws_begin(ngx_http_async_ws_t *ws, ngx_http_async_ws_input_t *in)
{
    uint64_t     len;
    const char  *wrong;

    wrong = ngx_http_async_ws_frame_wrong(ws, in);

    if (wrong) {
        ngx_http_async_ws_fail(ws, NGX_HTTP_ASYNC_WS_PROTOCOL, wrong);
        return NGX_DONE;
    }

    len = in->frame.payload_length;

    /* two bytes, the length, the mask */
    in->given -= 6 + (len > 65535 ? 8 : len > 125 ? 2 : 0);

    in->begun = 1;
    in->left = len;

    if (wslay_is_ctrl_frame(in->frame.opcode)) {
        in->ncontrol = 0;

    } else if (in->frame.opcode != WSLAY_CONTINUATION_FRAME) {
        ws->kind = in->frame.opcode;
        ws->compressed = (in->frame.rsv != 0);
        ws->utf8 = 0;
    }

    return NGX_OK;
}


/* What wslay leaves to us of RFC 6455, 5.2 to 5.5. */

static const char *
ngx_http_async_ws_frame_wrong(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_input_t *in)
{
    struct wslay_frame_iocb  *frame;

    frame = &in->frame;

    if (!frame->mask) {
        return "a frame is not masked";
    }

    switch (frame->opcode) {

    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:

        if (ws->kind) {
            return "a message begins within another one";
        }

        if (frame->rsv == WSLAY_RSV1_BIT && ws->deflate) {
            return NULL;
        }

        break;

    case WSLAY_CONTINUATION_FRAME:

        if (ws->kind == 0) {
            return "a frame goes on with no message";
        }

        break;

    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        break;

    default:
        return "a frame has a reserved opcode";
    }

    return frame->rsv ? "a frame has a reserved bit" : NULL;
}


/* What there is of the payload, or a slice of it. */

static ngx_int_t
ngx_http_async_ws_piece(ngx_http_async_ws_t *ws, ngx_http_async_ws_input_t *in)
{
    size_t                    len, slice;
    const u_char             *p;
    struct wslay_frame_iocb  *frame;

    frame = &in->frame;
    p = frame->data;
    len = frame->data_length;

    if (len == 0) {
        return NGX_OK;
    }

    if (wslay_is_ctrl_frame(frame->opcode)) {
        ngx_memcpy(in->control + in->ncontrol, p, len);
        in->ncontrol += len;

    } else if (ws->compressed && !ws->discards) {

        if (ngx_http_async_ws_inflates >= NGX_HTTP_ASYNC_WS_OUT) {
            ngx_post_event(ws->c->read, &ngx_posted_next_events);
            return NGX_AGAIN;
        }

        slice = (ws->receiver == NGX_HTTP_ASYNC_WS_WHOLE
                 && ws->messages == NULL) ? NGX_HTTP_ASYNC_WS_SLICES
                                          : NGX_HTTP_ASYNC_WS_SLICE;

        len = ngx_min(len, slice);

        if (ngx_http_async_ws_inflated(ws, p, len, 0) != NGX_OK) {
            return NGX_DONE;
        }

    } else if (!ws->discards) {

        if (ngx_http_async_ws_text(ws, p, len) != NGX_OK) {
            return NGX_DONE;
        }
    }

    frame->data += len;
    frame->data_length -= len;
    in->left -= len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_ws_end(ngx_http_async_ws_t *ws, ngx_http_async_ws_input_t *in)
{
    if (wslay_is_ctrl_frame(in->frame.opcode)) {
        return ngx_http_async_ws_control(ws, in);
    }

    if (!in->frame.fin) {
        return NGX_OK;
    }

    if (ws->discards) {
        ws->kind = 0;
        return NGX_OK;
    }

    if (ws->compressed
        && ngx_http_async_ws_inflated(ws, (u_char *) "", 0, 1) != NGX_OK)
    {
        return NGX_DONE;
    }

    if (ws->kind == ASYNC_WS_TEXT && ws->utf8) {
        ngx_http_async_ws_fail(ws, NGX_HTTP_ASYNC_WS_INVALID,
                               "a text is not UTF-8");
        return NGX_DONE;
    }

    return ngx_http_async_ws_complete(ws);
}


static ngx_int_t
ngx_http_async_ws_control(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_input_t *in)
{
    switch (in->frame.opcode) {

    case WSLAY_PING:
        ngx_http_async_ws_pong(ws, in->control, in->ncontrol);
        return NGX_OK;

    case WSLAY_PONG:
        /* that something has come is noted already */
        return NGX_OK;

    default: /* WSLAY_CONNECTION_CLOSE */
        ws->overruns = (in->given != 0);
        ngx_http_async_ws_peer_closes(ws, in->control, in->ncontrol);
        return NGX_DONE;
    }
}


static ngx_int_t
ngx_http_async_ws_inflated(ngx_http_async_ws_t *ws, const u_char *p,
    size_t len, ngx_uint_t last)
{
    ngx_int_t  rc;

    rc = ngx_http_async_ws_inflate(ws->deflate, p, len, last,
                                   ngx_http_async_ws_text, ws);

    if (rc == NGX_DECLINED) {
        ngx_http_async_ws_fail(ws, NGX_HTTP_ASYNC_WS_INVALID,
                               "a message is not compressed as it says");

    } else if (rc == NGX_ERROR) {
        ngx_http_async_ws_lost(ws, "no memory");
    }

    return (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
}


/* Goes on with the message: NGX_OK; otherwise NGX_ABORT, and it is said why. */

static ngx_int_t
ngx_http_async_ws_text(void *data, const u_char *p, size_t len)
{
    ngx_http_async_ws_t  *ws = data;

    ngx_http_async_ws_message_t  *m;

    if (ws->kind == ASYNC_WS_TEXT
        && ngx_http_async_ws_utf8(&ws->utf8, p, len) != NGX_OK)
    {
        ngx_http_async_ws_fail(ws, NGX_HTTP_ASYNC_WS_INVALID,
                               "a text is not UTF-8");
        return NGX_ABORT;
    }

    if (ngx_http_async_ws_grow(ws, len) != NGX_OK) {
        ngx_http_async_ws_lost(ws, "no memory");
        return NGX_ABORT;
    }

    m = ws->partial;

    ngx_memcpy(m->data + m->len, p, len);
    m->len += len;

    ngx_http_async_ws_inflates += len;

    if (ws->compressed && ws->receiver == NGX_HTTP_ASYNC_WS_WHOLE
        && ngx_http_async_ws_pace(ws) == NGX_DONE)
    {
        return NGX_ABORT;
    }

    return NGX_OK;
}


/* Who receives parts gets what has come when nothing else does. */

static void
ngx_http_async_ws_hand(ngx_http_async_ws_t *ws)
{
    if (ws->receiver == NGX_HTTP_ASYNC_WS_PARTS
        && ngx_http_async_ws_has(ws, ws->receiver))
    {
        (void) ngx_async_wake(&ws->waker, ASYNC_OK);
    }
}


void
ngx_http_async_ws_resume(ngx_http_async_ws_t *ws)
{
    if (ws->paused) {
        ws->paused = 0;
        ngx_post_event(ws->c->read, &ngx_posted_events);
    }
}


static ngx_http_async_ws_input_t *
ngx_http_async_ws_input(ngx_http_async_ws_t *ws)
{
    ngx_http_async_ws_input_t  *in;

    in = ws->input;

    if (in) {
        return in;
    }

    in = ngx_http_async_ws_inputs;

    if (in) {
        ngx_http_async_ws_inputs = in->next;
        ngx_http_async_ws_ninputs--;

    } else {
        in = ngx_calloc(sizeof(ngx_http_async_ws_input_t), ws->c->log);
        if (in == NULL) {
            return NULL;
        }

        if (wslay_frame_context_init(&in->context,
                                     &ngx_http_async_ws_callbacks, in)
            != 0)
        {
            ngx_free(in);
            return NULL;
        }
    }

    in->ws = ws;
    ws->input = in;

    return in;
}


/* Between frames it is given back; it goes with a session that has ended. */

static void
ngx_http_async_ws_input_done(ngx_http_async_ws_t *ws)
{
    ngx_http_async_ws_input_t  *in;

    in = ws->input;

    if (in == NULL) {
        return;
    }

    if (in->given == 0 && !in->begun) {

        ws->input = NULL;

        if (ngx_http_async_ws_ninputs < NGX_HTTP_ASYNC_WS_INPUTS) {
            in->next = ngx_http_async_ws_inputs;
            ngx_http_async_ws_inputs = in;
            ngx_http_async_ws_ninputs++;
            return;
        }

    } else if (ws->state < NGX_HTTP_ASYNC_WS_CLOSED) {
        return;
    }

    ws->input = in;
    ngx_http_async_ws_input_free(ws);
}


void
ngx_http_async_ws_input_free(ngx_http_async_ws_t *ws)
{
    if (ws->input) {
        wslay_frame_context_free(ws->input->context);
        ngx_free(ws->input);
        ws->input = NULL;
    }
}


/* For wslay: what is behind the handshake already, then the connection. */

static ssize_t
ngx_http_async_ws_recv(uint8_t *buf, size_t len, int flags, void *user_data)
{
    ngx_http_async_ws_input_t  *in = user_data;

    ssize_t               n;
    ngx_buf_t            *b;
    ngx_connection_t     *c;
    ngx_http_async_ws_t  *ws;

    ws = in->ws;
    b = ws->r ? ws->r->header_in : NULL;

    if (b && b->pos < b->last) {
        n = ngx_min(len, (size_t) (b->last - b->pos));

        ngx_memcpy(buf, b->pos, n);
        b->pos += n;
        in->given += n;

        ngx_http_async_ws_add_to(BYTES_IN, n);

        return n;
    }

    c = ws->c;

    if (!c->read->ready) {
        return -1;
    }

    if (ngx_http_async_ws_turn-- == 0) {
        ngx_http_async_ws_turn = 0;
        ngx_post_event(c->read, &ngx_posted_next_events);
        return -1;
    }

    n = c->recv(c, buf, len);

    if (n > 0) {
        in->given += n;
        ws->heard = ngx_current_msec;
        ngx_http_async_ws_add_to(BYTES_IN, n);

    } else if (n == 0) {
        ws->eof = 1;

    } else if (n == NGX_ERROR) {
        ngx_http_async_ws_lost(ws, NULL);
    }

    return n;
}
