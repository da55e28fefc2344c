/* The handlers of we, wb and wm: WebSockets. */

#include <ngx_async.h>


ASYNC_HANDLER(ws_echo)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    }
}


/* what one of them sends goes to all */

ASYNC_HANDLER(ws_cast)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(async_ws_subscribe(co, req, "cast", ASYNC_WS_BINARY, NULL));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(async_publish(co, "cast", m.data, m.len));
    }
}
