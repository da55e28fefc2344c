
/*
 * Copyright (C) the nginx-async authors
 *
 * How a session closes: our Close frame, the peer's, what is wrong, and a
 * connection that is lost.  ngx_http_async_ws_life.c tells whoever waits.
 */

#include <ngx_http_async_ws_session.h>


static void ngx_http_async_ws_set_state(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_state_e state);
static ngx_uint_t ngx_http_async_ws_is_good(ngx_uint_t code);
static ngx_int_t ngx_http_async_ws_send_close(ngx_http_async_ws_t *ws,
    ngx_uint_t code, const char *reason);
static ngx_uint_t ngx_http_async_ws_close_wrong(const u_char *data,
    size_t len, const char **why);


/*
 * The only place where a state follows another one, but for the end of its
 * memory: never an earlier one.
 */

static void
ngx_http_async_ws_set_state(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_state_e state)
{
    ngx_http_async_ws_state_e  before;

    if (state <= ws->state) {
        ngx_log_error(NGX_LOG_ALERT, ws->c->log, 0,
                      "async: WebSocket goes from state %d to %d",
                      ws->state, state);
        return;
    }

    before = ws->state;

    ws->state = state;
    ws->owes_close = 0;

    if (state == NGX_HTTP_ASYNC_WS_CLOSING
        || (state == NGX_HTTP_ASYNC_WS_CLOSED && ws->out.first))
    {
        ngx_http_async_ws_time(ws, NGX_HTTP_ASYNC_WS_CLOSES,
                               ws->conf->close_timeout);

    } else if (ws->timer.timer_set) {
        ngx_del_timer(&ws->timer);
    }

    if (state >= NGX_HTTP_ASYNC_WS_CLOSED && ws->code == 0) {
        ws->code = NGX_HTTP_ASYNC_WS_ABNORMAL;
    }

    if (before < NGX_HTTP_ASYNC_WS_CLOSED
        && state >= NGX_HTTP_ASYNC_WS_CLOSED)
    {
        ngx_async_stats_count(ngx_http_async_ws_stats,
                              ngx_http_async_ws_is_good(ws->code)
                              ? NGX_HTTP_ASYNC_WS_STATS_CLOSED
                              : NGX_HTTP_ASYNC_WS_STATS_FAILED);
    }

    ngx_http_async_ws_changed(ws);
}


/* Of those that end a session: not of an error. */

static ngx_uint_t
ngx_http_async_ws_is_good(ngx_uint_t code)
{
    return code <= 1001 || code == NGX_HTTP_ASYNC_WS_NO_CODE
           || code == NGX_HTTP_ASYNC_WS_RESTART || code >= 3000;
}


void
ngx_http_async_ws_close(ngx_http_async_ws_t *ws, ngx_uint_t code,
    const char *reason)
{
    if (ws->owes_close) {
        ngx_http_async_ws_answer_close(ws);

    } else if (ws->state == NGX_HTTP_ASYNC_WS_OPEN
               && ngx_http_async_ws_send_close(ws, code, reason) == NGX_OK)
    {
        ngx_http_async_ws_set_state(ws, NGX_HTTP_ASYNC_WS_CLOSING);
    }
}


/* NGX_ERROR: it could not be sent, and the connection is lost by that. */

static ngx_int_t
ngx_http_async_ws_send_close(ngx_http_async_ws_t *ws, ngx_uint_t code,
    const char *reason)
{
    u_char  *p, data[NGX_HTTP_ASYNC_WS_CONTROL];
    size_t   len;

    p = data;

    if (code) {
        *p++ = (u_char) (code >> 8);
        *p++ = (u_char) code;

        if (reason) {
            len = ngx_strlen(reason);
            p = ngx_cpymem(p, reason,
                           ngx_min(len, NGX_HTTP_ASYNC_WS_CONTROL - 2));
        }
    }

    if (ngx_http_async_ws_put(ws, WSLAY_CONNECTION_CLOSE, 1, 0, data, p - data)
        != NGX_OK)
    {
        ngx_http_async_ws_lost(ws, "no memory");
    }

    return (ws->state == NGX_HTTP_ASYNC_WS_LOST) ? NGX_ERROR : NGX_OK;
}


void
ngx_http_async_ws_fail(ngx_http_async_ws_t *ws, ngx_uint_t code,
    const char *why)
{
    ngx_log_error(NGX_LOG_INFO, ws->c->log, 0,
                  "client is closed with %ui: %s", code, why);

    if (ws->state == NGX_HTTP_ASYNC_WS_OPEN
        && ngx_http_async_ws_send_close(ws, code, NULL) != NGX_OK)
    {
        return;
    }

    ngx_http_async_ws_set_state(ws, NGX_HTTP_ASYNC_WS_CLOSED);
}


void
ngx_http_async_ws_peer_closes(ngx_http_async_ws_t *ws, const u_char *data,
    size_t len)
{
    ngx_uint_t   code, wrong;
    const char  *why;

    wrong = ngx_http_async_ws_close_wrong(data, len, &why);

    if (wrong) {
        ngx_http_async_ws_fail(ws, wrong, why);
        return;
    }

    code = len ? (ngx_uint_t) data[0] << 8 | data[1] : 0;

    ws->code = code ? code : NGX_HTTP_ASYNC_WS_NO_CODE;
    ws->closed_by_peer = 1;

    if (len > 2) {
        ws->reason.data = ngx_pnalloc(ws->home, len - 1);

        if (ws->reason.data) {
            ws->reason.len = len - 2;
            *ngx_cpymem(ws->reason.data, data + 2, len - 2) = '\0';
        }
    }

    if (ws->state == NGX_HTTP_ASYNC_WS_OPEN && ws->messages && ws->req) {

        /* what came before is received first, and may be answered */

        ws->owes_close = 1;

        ngx_http_async_ws_time(ws, NGX_HTTP_ASYNC_WS_CLOSES,
                               ws->conf->close_timeout);
        return;
    }

    ngx_http_async_ws_answer_close(ws);
}


void
ngx_http_async_ws_answer_close(ngx_http_async_ws_t *ws)
{
    ngx_uint_t  code;

    code = (ws->code == NGX_HTTP_ASYNC_WS_NO_CODE) ? 0 : ws->code;

    if (ws->state == NGX_HTTP_ASYNC_WS_OPEN
        && ngx_http_async_ws_send_close(ws, code, NULL) != NGX_OK)
    {
        return;
    }

    ngx_http_async_ws_set_state(ws, NGX_HTTP_ASYNC_WS_CLOSED);
}


/* RFC 6455, 5.5.1 and 7.4: the code that answers what is wrong, or 0. */

static ngx_uint_t
ngx_http_async_ws_close_wrong(const u_char *data, size_t len,
    const char **why)
{
    uint32_t  state;

    if (len == 0) {
        return 0;
    }

    if (len == 1
        || !ngx_http_async_ws_is_code((ngx_uint_t) data[0] << 8 | data[1]))
    {
        *why = "a Close frame has a code that is none";
        return NGX_HTTP_ASYNC_WS_PROTOCOL;
    }

    state = 0;

    if (ngx_http_async_ws_utf8(&state, data + 2, len - 2) != NGX_OK
        || state)
    {
        *why = "the reason of a Close frame is not UTF-8";
        return NGX_HTTP_ASYNC_WS_INVALID;
    }

    return 0;
}


ngx_uint_t
ngx_http_async_ws_is_code(ngx_uint_t code)
{
    return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006))
           || (code >= 3000 && code <= 4999);
}


void
ngx_http_async_ws_lost(ngx_http_async_ws_t *ws, const char *why)
{
    if (ws->state == NGX_HTTP_ASYNC_WS_LOST) {
        return;
    }

    if (why) {
        ngx_log_error(NGX_LOG_INFO, ws->c->log, 0, "%s", why);
    }

    /* for TLS, too: it is not to say that all has been sent */
    ws->c->error = 1;

    ngx_http_async_ws_set_state(ws, NGX_HTTP_ASYNC_WS_LOST);
    ngx_http_async_ws_drop(ws);

    if (ws->c->write->timer_set) {
        ngx_del_timer(ws->c->write);
    }
}


/*
 * The peer has shut its side down, or the connection, while it is not read on:
 * a Close frame may be in what is not read.
 */

void
ngx_http_async_ws_ebbs(ngx_http_async_ws_t *ws)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(ws->c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1)
    {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_log_error(NGX_LOG_INFO, ws->c->log, err,
                      "client prematurely closed connection");
        ngx_http_async_ws_lost(ws, NULL);
        return;
    }

    if (ws->timing < NGX_HTTP_ASYNC_WS_CLOSES) {
        ngx_http_async_ws_time(ws, NGX_HTTP_ASYNC_WS_CLOSES,
                               ws->conf->close_timeout);
    }
}
