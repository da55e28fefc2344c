
/*
 * Handlers of t/ws-deflate.t: WebSockets whose messages are compressed.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static async_event_t  gate;


ASYNC_HANDLER(echo)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    }
}


ASYNC_HANDLER(parts)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv_part(co, req, &m));
        ASYNC_TRY(await_ws_send_part(co, req, m.kind, m.data, m.len, m.last));
    }
}


/* says how long messages are, when the gate is open */

ASYNC_HANDLER(late)
{
    char                text[64];
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_event(co, &gate));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        snprintf(text, sizeof(text), "%zu", m.len);
        ASYNC_TRY(await_ws_send_text(co, req, text));
    }
}


ASYNC_HANDLER(open)
{
    async_event_set(co, &gate);

    return async_text(req, 200, "open");
}


typedef struct {
    async_req_t  *req;
    char         *text;
    size_t        len;
} long_t;


static async_rc_t
send_long(async_t *co, void *arg)
{
    long_t  *l = arg;

    return await_ws_send(co, l->req, ASYNC_WS_TEXT, l->text, l->len);
}


static async_rc_t
send_short(async_t *co, void *arg)
{
    return await_ws_send_text(co, arg, "short");
}


/* of other bytes each time, but words */

static void
fill(char *p, size_t len)
{
    size_t    i;
    uint32_t  seed = 1;

    for (i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        p[i] = (i % 7 == 6) ? ' ' : 'a' + (seed >> 24) % 16;
    }
}


static async_rc_t
make_long(async_req_t *req, long_t *l)
{
    int64_t  len;

    (void) async_query_int_or(req, "len", &len, 1000000);

    l->req = req;
    l->len = len;
    l->text = async_alloc(req, l->len);

    ASYNC_TRY(l->text ? ASYNC_OK : ASYNC_ERROR);
    fill(l->text, l->len);

    return ASYNC_OK;
}


/* /together?len=  a long message and short ones, from several tasks */

ASYNC_HANDLER(together)
{
    long_t  l;

    ASYNC_TRY(make_long(req, &l));

    async_work_t  work[] = {
        { .fn = send_short, .arg = req },
        { .fn = send_long, .arg = &l },
        { .fn = send_short, .arg = req },
        { .fn = send_long, .arg = &l },
        { .fn = send_short, .arg = req },
    };

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return await_all(co, work, 5);
}


static async_rc_t
closes(async_t *co, void *arg)
{
    return await_ws_close(co, arg, 4000, NULL);
}


/* /closes?len=  while a long one goes: this task's close, or a peer's */

ASYNC_HANDLER(closes_amid)
{
    long_t  l;

    ASYNC_TRY(make_long(req, &l));

    async_work_t  work[] = {
        { .fn = send_long, .arg = &l },
        { .fn = closes, .arg = req },
        { .fn = send_short, .arg = req },
    };

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return await_all(co, work, 3);
}


/* /large_parts?len=  two parts of that, and whether another task had a turn */

static async_rc_t
turns(async_t *co, void *arg)
{
    int  *n = arg;

    for ( ;; ) {
        ASYNC_TRY(await_sleep(co, 0));
        (*n)++;
    }
}


ASYNC_HANDLER(large_parts)
{
    int64_t         len;
    char           *text;
    int             n = 0;
    async_child_t  *child;

    (void) async_query_int_or(req, "len", &len, 1000000);

    text = async_alloc(req, len);
    ASYNC_TRY(text ? ASYNC_OK : ASYNC_ERROR);
    fill(text, len);

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    {
        ASYNC_GROUP(co);

        child = async_spawn(co, turns, &n);
        ASYNC_TRY(child ? ASYNC_OK : ASYNC_ERROR);

        ASYNC_TRY(await_ws_send_part(co, req, ASYNC_WS_TEXT, text, len, 0));
        ASYNC_TRY(await_ws_send_part(co, req, ASYNC_WS_TEXT, text, len, 1));
    }

    async_log(req, ASYNC_LOG_NOTICE, "<%s turns>", n > 2 ? "others have"
                                                         : "nobody has");

    return await_ws_send_text(co, req, "whole");
}


/* a long one is cancelled by its deadline as the client does not read */

ASYNC_HANDLER(stuck)
{
    long_t      l = { .req = req, .len = 32 * 1024 * 1024 };
    async_rc_t  rc;

    l.text = async_alloc(req, l.len);
    ASYNC_TRY(l.text ? ASYNC_OK : ASYNC_ERROR);
    fill(l.text, l.len);

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    {
        ASYNC_DEADLINE(co, 300);
        rc = send_long(co, &l);
    }

    async_log(req, ASYNC_LOG_NOTICE, "<stuck %d, then %d>", rc,
              send_short(co, req));

    return ASYNC_CLOSED;
}


/* gets what is published to "news" by itself */

ASYNC_HANDLER(subscribe)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(async_ws_subscribe(co, req, "news", ASYNC_WS_TEXT, NULL));
    ASYNC_TRY(await_ws_send_text(co, req, "subscribed"));

    return await_ws_recv(co, req, &m);
}


/* /publish?len= */

ASYNC_HANDLER(publish)
{
    char     *text;
    int64_t   len;

    (void) async_query_int_or(req, "len", &len, 1000);

    text = async_alloc(req, len);
    ASYNC_TRY(text ? ASYNC_OK : ASYNC_ERROR);
    fill(text, len);

    ASYNC_TRY(async_publish(co, "news", text, len));

    return async_text(req, 200, "published");
}
