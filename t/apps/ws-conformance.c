
/*
 * Handlers of t/ws-conformance.t and its like: what WebSocket's public test
 * suites ask of a server is an echo.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>


ASYNC_HANDLER(echo)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    }
}


/* says how long each message was, in parts as they came */

ASYNC_HANDLER(count)
{
    char                text[32];
    size_t              len = 0;
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv_part(co, req, &m));

        len += m.len;

        if (m.last) {
            snprintf(text, sizeof(text), "%zu", len);
            ASYNC_TRY(await_ws_send_text(co, req, text));
            len = 0;
        }
    }
}


/* with the first message it closes: 4001, bye */

ASYNC_HANDLER(closes)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_ws_recv(co, req, &m));

    return await_ws_close(co, req, 4001, "bye");
}


/* receives nothing until its client has gone */

ASYNC_HANDLER(idle)
{
    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return await_sleep(co, 3600 * 1000);
}


/* numbered messages of 64k, without end */

ASYNC_HANDLER(flood)
{
    char      *data;
    uint64_t   n;

    data = async_alloc(req, 65536);
    if (data == NULL) {
        return ASYNC_ERROR;
    }

    memset(data, 'x', 65536);

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for (n = 0; /* void */ ; n++) {
        snprintf(data, 17, "%016llx", (unsigned long long) n);
        ASYNC_TRY(await_ws_send(co, req, ASYNC_WS_BINARY, data, 65536));
    }
}
