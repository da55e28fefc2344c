
/*
 * Handlers of t/ws-clients.t: what clients from outside talk with.
 */

#include <ngx_async.h>


ASYNC_HANDLER(echo)
{
    const char          *protocol;
    async_ws_message_t   m;

    protocol = async_ws_protocol(req, "v2.test, v1.test");

    ASYNC_TRY(await_ws_accept(co, req, protocol));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    }
}


/* sends in fragments what has come in them, or in one */

ASYNC_HANDLER(parts)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv_part(co, req, &m));
        ASYNC_TRY(await_ws_send_part(co, req, m.kind, m.data, m.len,
                                     m.last));
    }
}


ASYNC_HANDLER(closes)
{
    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_ws_send_text(co, req, "the last one"));

    return await_ws_close(co, req, 4001, "adi\xc3\xb3s");
}


ASYNC_HANDLER(returns)
{
    return await_ws_accept(co, req, NULL);
}


ASYNC_HANDLER(fails)
{
    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return async_fail(req, 500, "on purpose");
}


ASYNC_HANDLER(refuses)
{
    return async_fail(req, 403, "not today");
}
