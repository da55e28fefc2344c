
/*
 * Copyright (C) the nginx-async authors
 *
 * The memory of messages that a session receives: it grows while one comes, it
 * waits until somebody takes it, whole or in parts.
 */

#include <ngx_http_async_ws_session.h>


/* the least memory of a message whose length is not known */
#define NGX_HTTP_ASYNC_WS_LEAST   512


static ngx_http_async_ws_message_t *ngx_http_async_ws_message(
    ngx_http_async_ws_t *ws, size_t size);
static size_t ngx_http_async_ws_cost(ngx_http_async_ws_message_t *m);
static ngx_http_async_ws_message_t *ngx_http_async_ws_cut(
    ngx_http_async_ws_t *ws, ngx_http_async_ws_message_t *m);


/*
 * Room for so many bytes more.  Of a frame that is a whole message what is
 * announced is taken at once if it is short; otherwise memory grows with what
 * has come.
 */

ngx_int_t
ngx_http_async_ws_grow(ngx_http_async_ws_t *ws, size_t len)
{
    size_t                        need, size;
    ngx_http_async_ws_input_t    *in;
    ngx_http_async_ws_message_t  *m;

    m = ws->partial;
    need = (m ? m->len : 0) + len;

    if (m && need <= m->size) {
        return NGX_OK;
    }

    size = m ? need + need / 2 : need;
    size = ngx_max(size, NGX_HTTP_ASYNC_WS_LEAST);

    in = ws->input;

    if (in->frame.fin && !ws->compressed) {
        /* no more than that comes */
        size = ngx_min(size, need - len + in->left);
    }

    m = ngx_http_async_ws_message(ws, size);
    if (m == NULL) {
        return NGX_ERROR;
    }

    if (ws->partial) {
        ngx_memcpy(m->data, ws->partial->data, ws->partial->len);
        m->len = ws->partial->len;
        m->taken = ws->partial->taken;

        ngx_free(ws->partial);
    }

    ws->partial = m;

    return NGX_OK;
}


static ngx_http_async_ws_message_t *
ngx_http_async_ws_message(ngx_http_async_ws_t *ws, size_t size)
{
    ngx_http_async_ws_message_t  *m;

    m = ngx_alloc(offsetof(ngx_http_async_ws_message_t, data) + size + 1,
                  ws->c->log);

    if (m) {
        m->next = NULL;
        m->size = size;
        m->taken = 0;
        m->len = 0;
        m->kind = ws->kind;
    }

    return m;
}


ngx_int_t
ngx_http_async_ws_complete(ngx_http_async_ws_t *ws)
{
    ngx_http_async_ws_message_t  *m;

    ngx_http_async_ws_count(RECEIVED);

    m = ws->partial;

    if (m == NULL) {
        m = ngx_http_async_ws_message(ws, 0);

        if (m == NULL) {
            ngx_http_async_ws_lost(ws, "no memory");
            return NGX_DONE;
        }
    }

    ws->partial = NULL;
    ws->kind = 0;

    *ws->last = m;
    ws->last = &m->next;
    ws->unread += ngx_http_async_ws_cost(m);

    if (ws->receiver) {
        (void) ngx_async_wake(&ws->waker, ASYNC_OK);
    }

    return NGX_OK;
}


/* What nobody has received of it. */

size_t
ngx_http_async_ws_rest(ngx_http_async_ws_message_t *m)
{
    return m->len - m->taken;
}


/* The memory of a complete one, less what has been taken of it in parts. */

static size_t
ngx_http_async_ws_cost(ngx_http_async_ws_message_t *m)
{
    return sizeof(ngx_http_async_ws_message_t) + m->size - m->taken;
}


ngx_uint_t
ngx_http_async_ws_has(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_receiver_e receiver)
{
    return ws->messages != NULL
           || (receiver == NGX_HTTP_ASYNC_WS_PARTS && ws->partial
               && ws->state <= NGX_HTTP_ASYNC_WS_CLOSING);
}


ngx_int_t
ngx_http_async_ws_take(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_receiver_e receiver,
    ngx_http_async_ws_message_t **message, ngx_uint_t *last)
{
    size_t                        rest;
    ngx_uint_t                    complete;
    ngx_http_async_ws_message_t  *m;

    *message = NULL;
    *last = 1;

    if (!ngx_http_async_ws_has(ws, receiver)) {
        return NGX_OK;
    }

    complete = (ws->messages != NULL);
    m = complete ? ws->messages : ws->partial;
    rest = ngx_http_async_ws_rest(m);

    if (receiver == NGX_HTTP_ASYNC_WS_WHOLE) {

        if (rest > ws->conf->max_message) {
            return NGX_DECLINED;
        }

    } else if (rest > NGX_HTTP_ASYNC_WS_PART) {

        *message = ngx_http_async_ws_cut(ws, m);
        *last = 0;

        if (complete && *message) {
            ws->unread -= (*message)->len;
        }

        return *message ? NGX_OK : NGX_ERROR;
    }

    *message = m;
    *last = complete;

    if (!complete) {
        ws->partial = NULL;
        return NGX_OK;
    }

    ws->unread -= ngx_http_async_ws_cost(m);
    ws->messages = m->next;

    if (m->next == NULL) {
        ws->last = &ws->messages;
    }

    return NGX_OK;
}


/* A part of the length that they have at most, copied. */

static ngx_http_async_ws_message_t *
ngx_http_async_ws_cut(ngx_http_async_ws_t *ws, ngx_http_async_ws_message_t *m)
{
    ngx_http_async_ws_message_t  *part;

    part = ngx_http_async_ws_message(ws, NGX_HTTP_ASYNC_WS_PART);

    if (part) {
        part->kind = m->kind;
        part->len = NGX_HTTP_ASYNC_WS_PART;
        ngx_memcpy(part->data, m->data + m->taken, part->len);

        m->taken += part->len;
    }

    return part;
}


/* What has come and nobody is to receive any more. */

void
ngx_http_async_ws_forget(ngx_http_async_ws_t *ws)
{
    ngx_http_async_ws_message_t  *m, *next;

    for (m = ws->messages; m; m = next) {
        next = m->next;
        ngx_free(m);
    }

    ws->messages = NULL;
    ws->last = &ws->messages;
    ws->unread = 0;

    if (ws->partial) {
        ngx_free(ws->partial);
        ws->partial = NULL;
    }
}


void
ngx_http_async_ws_received(ngx_http_async_ws_t *ws)
{
    if (ws->current) {
        ngx_free(ws->current);
        ws->current = NULL;
    }

    if (ws->json) {
        json_decref(ws->json);
        ws->json = NULL;
    }

    if (ws->pool) {
        ngx_destroy_pool(ws->pool);
        ws->pool = NULL;
    }
}
