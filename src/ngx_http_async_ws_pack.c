
/*
 * Copyright (C) the nginx-async authors
 *
 * Messages that are compressed as they are sent.  A long one is cut into
 * frames, each compressed when there is room for it, with a turn of the loop
 * between them: neither its time nor its memory is taken at once.
 */

#include <ngx_http_async_ws_session.h>


typedef struct {
    u_char                         *data;
    size_t                          len;
    size_t                          size;
    ngx_log_t                      *log;
} ngx_http_async_ws_pack_t;


static ngx_int_t ngx_http_async_ws_pack(ngx_http_async_ws_t *ws,
    const void *data, size_t len, ngx_uint_t last,
    ngx_http_async_ws_pack_t *pack);
static ngx_int_t ngx_http_async_ws_packed(void *data, const u_char *p,
    size_t len);
static ngx_int_t ngx_http_async_ws_put_packed(ngx_http_async_ws_t *ws,
    ngx_uint_t opcode, ngx_uint_t fin, ngx_http_async_ws_pack_t *pack);
static async_rc_t ngx_http_async_ws_send_rest(async_t *co,
    ngx_http_async_ws_t *ws, ngx_http_async_ws_sender_t *sender,
    const u_char *p, size_t len, ngx_uint_t fin);
static async_rc_t ngx_http_async_ws_turn(async_t *co,
    ngx_http_async_ws_t *ws, ngx_http_async_ws_sender_t *sender);
static async_rc_t ngx_http_async_ws_pack_failed(async_t *co,
    ngx_http_async_ws_t *ws);


ngx_int_t
ngx_http_async_ws_send_packed(ngx_http_async_ws_t *ws, ngx_uint_t opcode,
    ngx_uint_t fin, const void *data, size_t len)
{
    ngx_int_t                 rc;
    ngx_http_async_ws_pack_t  pack;

    if (ngx_http_async_ws_pack(ws, data, len, fin, &pack) != NGX_OK) {
        return NGX_ERROR;
    }

    if (fin && opcode != WSLAY_CONTINUATION_FRAME && pack.len >= len
        && ngx_http_async_ws_deflate_forgets(ws->deflate))
    {
        rc = ngx_http_async_ws_put(ws, opcode, 1, 0, data, len);
        ngx_free(pack.data);

        return rc;
    }

    return ngx_http_async_ws_put_packed(ws, opcode, fin, &pack);
}


/* What follows would refer to a message that fails: so does the session. */

static ngx_int_t
ngx_http_async_ws_pack(ngx_http_async_ws_t *ws, const void *data, size_t len,
    ngx_uint_t last, ngx_http_async_ws_pack_t *pack)
{
    ngx_memzero(pack, sizeof(ngx_http_async_ws_pack_t));

    pack->log = ws->c->log;

    if (ngx_http_async_ws_deflate(ws->deflate, data, len, last,
                                  ngx_http_async_ws_packed, pack)
        == NGX_OK)
    {
        return NGX_OK;
    }

    if (pack->data) {
        ngx_free(pack->data);
    }

    ngx_http_async_ws_lost(ws, "no memory to compress a message");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_async_ws_packed(void *data, const u_char *p, size_t len)
{
    ngx_http_async_ws_pack_t  *pack = data;

    size_t   size;
    u_char  *to;

    if (pack->len + len > pack->size) {
        size = pack->len + len + pack->size;

        to = ngx_alloc(size, pack->log);
        if (to == NULL) {
            return NGX_ABORT;
        }

        if (pack->data) {
            ngx_memcpy(to, pack->data, pack->len);
            ngx_free(pack->data);
        }

        pack->data = to;
        pack->size = size;
    }

    ngx_memcpy(pack->data + pack->len, p, len);
    pack->len += len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_ws_put_packed(ngx_http_async_ws_t *ws, ngx_uint_t opcode,
    ngx_uint_t fin, ngx_http_async_ws_pack_t *pack)
{
    ngx_int_t  rc;

    rc = ngx_http_async_ws_put(ws, opcode, fin,
                               (opcode == WSLAY_CONTINUATION_FRAME)
                               ? 0 : WSLAY_RSV1_BIT, pack->data, pack->len);

    if (pack->data) {
        ngx_free(pack->data);
    }

    if (rc != NGX_OK) {
        ngx_http_async_ws_lost(ws, "no memory");
    }

    return rc;
}


/*
 * It stays the first of those who wait to send until it is at its end, so that
 * nobody comes between.  A Close frame may, after which nothing is sent.
 */

async_rc_t
ngx_http_async_ws_send_cut(async_t *co, ngx_http_async_ws_t *ws,
    async_ws_kind_t kind, const void *data, size_t len, int part)
{
    async_rc_t                  rc;
    ngx_uint_t                  opcode;
    ngx_http_async_ws_pack_t    pack;
    ngx_http_async_ws_sender_t  sender;

    opcode = ws->parts ? WSLAY_CONTINUATION_FRAME : kind;

    if (ngx_http_async_ws_pack(ws, data, NGX_HTTP_ASYNC_WS_CUT, 0, &pack)
        != NGX_OK)
    {
        return ngx_http_async_ws_pack_failed(co, ws);
    }

    if (part == 0 && pack.len >= NGX_HTTP_ASYNC_WS_CUT
        && ngx_http_async_ws_deflate_forgets(ws->deflate))
    {
        ngx_free(pack.data);
        ngx_http_async_ws_deflate_undo(ws->deflate);

        return NGX_DECLINED;
    }

    if (ngx_http_async_ws_put_packed(ws, opcode, 0, &pack) != NGX_OK) {
        return ngx_http_async_ws_pack_failed(co, ws);
    }

    if (ws->parts == NULL) {
        ngx_http_async_ws_part(ws, co, kind);
    }

    ws->cut = (part == 0);

    ngx_queue_insert_head(&ws->senders, &sender.queue);

    rc = ngx_http_async_ws_send_rest(co, ws, &sender,
                                     (u_char *) data + NGX_HTTP_ASYNC_WS_CUT,
                                     len - NGX_HTTP_ASYNC_WS_CUT,
                                     part != ASYNC_WS_PART_);

    ngx_queue_remove(&sender.queue);

    ws->cut = 0;

    if (rc != ASYNC_OK || part != ASYNC_WS_PART_) {
        ngx_http_async_ws_whole(ws);
    }

    if (!ngx_queue_empty(&ws->senders)) {
        ngx_http_async_ws_changed(ws);
    }

    return rc;
}


static async_rc_t
ngx_http_async_ws_send_rest(async_t *co, ngx_http_async_ws_t *ws,
    ngx_http_async_ws_sender_t *sender, const u_char *p, size_t len,
    ngx_uint_t fin)
{
    size_t      n;
    async_rc_t  rc;

    while (len) {
        rc = ngx_http_async_ws_turn(co, ws, sender);

        if (rc != ASYNC_OK) {
            return rc;
        }

        n = ngx_min(len, NGX_HTTP_ASYNC_WS_CUT);

        if (ngx_http_async_ws_send_packed(ws, WSLAY_CONTINUATION_FRAME,
                                          fin && n == len, p, n)
            != NGX_OK)
        {
            return ngx_http_async_ws_pack_failed(co, ws);
        }

        p += n;
        len -= n;
    }

    return ASYNC_OK;
}


/* Suspends for a turn of the loop, and until little waits to be sent. */

static async_rc_t
ngx_http_async_ws_turn(async_t *co, ngx_http_async_ws_t *ws,
    ngx_http_async_ws_sender_t *sender)
{
    async_rc_t  rc;

    if (ws->out.bytes <= ws->conf->buffer) {
        ngx_post_event(&ws->event, &ngx_posted_next_events);
    }

    do {
        sender->waker = ngx_async_waker(co);

        rc = ngx_async_wait(co, NGX_ASYNC_FOREVER);

        if (rc != ASYNC_OK) {
            /* the rest of it cannot be sent, nor anything behind */
            ngx_http_async_ws_lost(ws, "half a message has been sent");
            return rc;
        }

        if (ws->state != NGX_HTTP_ASYNC_WS_OPEN) {
            return ngx_http_async_ws_is_closed(co, ws);
        }

    } while (ws->out.bytes > ws->conf->buffer);

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_ws_pack_failed(async_t *co, ngx_http_async_ws_t *ws)
{
    return (ws->state == NGX_HTTP_ASYNC_WS_OPEN)
           ? ngx_async_set_error(co, ASYNC_ERROR, "no memory")
           : ngx_http_async_ws_is_closed(co, ws);
}
