
/*
 * Copyright (C) the nginx-async authors
 *
 * Frames to be sent: their headers by wslay, their bytes in one piece that any
 * number of sessions send from.  Knows no session.
 */

#include <ngx_http_async_ws_session.h>


static void ngx_http_async_ws_head_on_loop(void *data);
static ssize_t ngx_http_async_ws_head_send(const uint8_t *data, size_t len,
    int flags, void *user_data);


static const struct wslay_frame_callbacks  ngx_http_async_ws_head_callbacks = {
    ngx_http_async_ws_head_send, NULL, NULL
};


/* of this worker: it is between frames whenever it is not called */
static wslay_frame_context_ptr  ngx_http_async_ws_head_context;

/* where the header goes; NULL: it is there */
static u_char  *ngx_http_async_ws_head_to;
static size_t   ngx_http_async_ws_head_len;


/*
 * wslay hands out the header and then the payload, which is said to have gone
 * without being looked at.  It has a buffer of 4k on its stack, for masks: the
 * loop's, as a session would keep a page of its own for that.
 */

size_t
ngx_http_async_ws_head(u_char *to, ngx_uint_t opcode, ngx_uint_t fin,
    ngx_uint_t rsv, size_t len)
{
    struct wslay_frame_iocb  frame;

    if (ngx_http_async_ws_head_context == NULL
        && wslay_frame_context_init(&ngx_http_async_ws_head_context,
                                    &ngx_http_async_ws_head_callbacks, NULL)
           != 0)
    {
        return 0;
    }

    frame.fin = (uint8_t) fin;
    frame.rsv = (uint8_t) rsv;
    frame.opcode = (uint8_t) opcode;
    frame.mask = 0;
    frame.payload_length = len;
    frame.data = to;
    frame.data_length = len;

    ngx_http_async_ws_head_to = to;

    ngx_async_on_loop(ngx_http_async_ws_head_on_loop, &frame);

    return ngx_http_async_ws_head_len;
}


static void
ngx_http_async_ws_head_on_loop(void *data)
{
    struct wslay_frame_iocb  *frame = data;

    if (wslay_frame_send(ngx_http_async_ws_head_context, frame)
        != (ssize_t) frame->data_length)
    {
        ngx_http_async_ws_head_len = 0;
    }
}


static ssize_t
ngx_http_async_ws_head_send(const uint8_t *data, size_t len, int flags,
    void *user_data)
{
    if (ngx_http_async_ws_head_to) {
        ngx_memcpy(ngx_http_async_ws_head_to, data, len);
        ngx_http_async_ws_head_to = NULL;
        ngx_http_async_ws_head_len = len;
    }

    return len;
}


ngx_http_async_ws_frame_t *
ngx_http_async_ws_frame(ngx_uint_t opcode, ngx_uint_t fin, ngx_uint_t rsv,
    const void *data, size_t len, ngx_log_t *log)
{
    size_t                      n;
    ngx_http_async_ws_frame_t  *frame;

    frame = ngx_alloc(offsetof(ngx_http_async_ws_frame_t, data)
                      + NGX_HTTP_ASYNC_WS_HEAD + len, log);
    if (frame == NULL) {
        return NULL;
    }

    n = ngx_http_async_ws_head(frame->data, opcode, fin, rsv, len);

    if (n == 0) {
        ngx_free(frame);
        return NULL;
    }

    if (len) {
        ngx_memcpy(frame->data + n, data, len);
    }

    frame->refs = 1;
    frame->len = n + len;

    return frame;
}


void
ngx_http_async_ws_frame_release(ngx_http_async_ws_frame_t *frame)
{
    if (--frame->refs == 0) {
        ngx_free(frame);
    }
}
