
/* Handlers of t/ws-accept.t: how handshakes are accepted, and refused. */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


/* Until the client closes. */

static async_rc_t
echo_all(async_t *co, async_req_t *req)
{
    async_ws_message_t  m;

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    }
}


static const char *
name_of(async_rc_t rc)
{
    switch (rc) {

    case ASYNC_OK:
        return "OK";

    case ASYNC_ERROR:
        return "ERROR";

    case ASYNC_INVALID:
        return "INVALID";

    default:
        return "another";
    }
}


ASYNC_HANDLER(echo)
{
    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return echo_all(co, req);
}


ASYNC_HANDLER(get)
{
    return async_text(req, 200, "by GET");
}


ASYNC_HANDLER(protocols)
{
    const char  *protocol;

    protocol = async_ws_protocol(req, "v2.chat, v1.chat,plain");

    ASYNC_TRY(await_ws_accept(co, req, protocol));
    ASYNC_TRY(await_ws_send_text(co, req, protocol ? protocol : "none"));

    return ASYNC_OK;
}


/* whether the client offers it or not */
ASYNC_HANDLER(fixed)
{
    return await_ws_accept(co, req, "v9.chat");
}


ASYNC_HANDLER(fields)
{
    ASYNC_TRY(async_set_header(req, "X-Mine", "set"));
    ASYNC_TRY(async_add_header(req, "X-Mine", "added"));
    ASYNC_TRY(async_set_header(req, "Sec-WebSocket-Accept", "wrong"));
    ASYNC_TRY(async_set_header(req, "Sec-WebSocket-Protocol", "wrong"));
    ASYNC_TRY(async_set_header(req, "Sec-WebSocket-Extensions", "wrong"));
    ASYNC_TRY(async_set_cookie(req, "seen", "yes", NULL));

    /* what has been set before it is accepted is no response */
    ASYNC_TRY(async_text(req, 404, "not this"));

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return echo_all(co, req);
}


ASYNC_HANDLER(reject)
{
    async_str_t  how;

    how = async_query(req, "how");

    if (strcmp(how.data, "fail") == 0) {
        ASYNC_TRY(async_set_header(req, "WWW-Authenticate", "Bearer"));
        return async_fail(req, 401, "who are you?");
    }

    if (strcmp(how.data, "text") == 0) {
        return async_text(req, 200, "not today");
    }

    if (strcmp(how.data, "error") == 0) {
        return ASYNC_ERROR;
    }

    if (strcmp(how.data, "busy") == 0) {
        return ASYNC_BUSY;
    }

    if (strcmp(how.data, "late") == 0) {
        ASYNC_TRY(await_sleep(co, 600000));
    }

    return ASYNC_OK;
}


/* What accept says to what is no handshake, or not any more. */

ASYNC_HANDLER(anyway)
{
    char        text[256];
    async_rc_t  rc;

    rc = await_ws_accept(co, req, NULL);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = await_ws_accept(co, req, NULL);

    snprintf(text, sizeof(text), "%s: %s", name_of(rc), async_error(co));
    ASYNC_TRY(await_ws_send_text(co, req, text));

    rc = await_send(co, req, "x", 1);

    snprintf(text, sizeof(text), "%s: %s", name_of(rc), async_error(co));
    ASYNC_TRY(await_ws_send_text(co, req, text));

    return echo_all(co, req);
}


ASYNC_HANDLER(instead)
{
    char        text[256];
    async_rc_t  rc;

    rc = await_ws_accept(co, req, NULL);

    if (rc == ASYNC_OK) {
        return ASYNC_OK;
    }

    snprintf(text, sizeof(text), "%s: %s", name_of(rc), async_error(co));

    return async_text(req, 200, text);
}


ASYNC_HANDLER(streamed)
{
    char        text[256];
    async_rc_t  rc;

    ASYNC_TRY(await_send(co, req, "first, ", 7));

    rc = await_ws_accept(co, req, NULL);

    snprintf(text, sizeof(text), "%s: %s", name_of(rc), async_error(co));

    return await_send(co, req, text, strlen(text));
}


ASYNC_HANDLER(room)
{
    char         text[128];
    int64_t      seat;
    async_str_t  name;

    name = async_path(req, "name");
    ASYNC_TRY(async_path_int(req, "seat", &seat));

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    snprintf(text, sizeof(text), "%s %d", name.data, (int) seat);

    return await_ws_send_text(co, req, text);
}


ASYNC_DEPENDENCY(user, const char)
{
    async_str_t  token;

    token = async_header(req, "X-Token");

    if (token.data == NULL) {
        return async_fail(req, 401, "no token");
    }

    ASYNC_TRY(await_yield(co));

    return async_provide(req, token.data);
}


BLOCKING_DEPENDENCY(rights, const char, ASYNC_DEPENDS(user))
{
    if (strcmp(user_of(req), "guest") == 0) {
        return async_fail(req, 403, "no guests");
    }

    return async_provide(req, "all");
}


ASYNC_HANDLER(members, ASYNC_DEPENDS(user), ASYNC_DEPENDS(rights))
{
    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_ws_send_text(co, req, user_of(req)));
    ASYNC_TRY(await_ws_send_text(co, req, rights_of(req)));

    return ASYNC_OK;
}


ASYNC_HANDLER(limited, ASYNC_DEPENDS(user))
{
    int64_t  page;

    ASYNC_TRY(async_query_int(req, "page", &page));
    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return await_ws_send_text(co, req, user_of(req));
}


ASYNC_HANDLER(guard)
{
    ASYNC_TRY(await_yield(co));

    if (async_header(req, "X-Token").data == NULL) {
        return async_fail(req, 403, "guarded");
    }

    ASYNC_TRY(async_set_header(req, "X-Guard", "passed"));

    return ASYNC_OK;
}


ASYNC_HANDLER(greedy)
{
    async_rc_t  rc;

    rc = await_ws_accept(co, req, NULL);

    return async_fail(req, 500, (rc == ASYNC_ERROR) ? async_error(co)
                                                    : "accepted");
}


/* Asks for a route WS from within. */

ASYNC_HANDLER(inner)
{
    async_response_t  *r;

    ASYNC_TRY(await_subrequest(co, req, "/echo", NULL, &r));

    return async_text(req, 200, async_response_body(r).data);
}


/* Accepts once there is the file. */

ASYNC_HANDLER(gate)
{
    const char  *file;

    file = async_query(req, "file").data;

    async_log(req, ASYNC_LOG_NOTICE, "<stands at the gate>");

    while (access(file, F_OK) != 0) {
        ASYNC_TRY(await_sleep(co, 5));
    }

    return await_ws_accept(co, req, NULL);
}


/* Nobody is waited for once the client has gone. */

ASYNC_HANDLER(wait)
{
    async_rc_t  rc;

    async_log(req, ASYNC_LOG_NOTICE, "<waits>");

    rc = await_sleep(co, 600000);

    async_log(req, ASYNC_LOG_NOTICE, "<%s>", rc == ASYNC_CANCELLED
              ? "is cancelled" : "goes on");

    return rc;
}
