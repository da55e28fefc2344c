
/*
 * Handlers of t/ws-release.t: sessions whose nginx request has ended.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>


typedef struct {
    async_str_t  key;
    async_str_t  room;
    async_str_t  q;
} early_t;


static const char *
name(async_rc_t rc)
{
    static const char  *names[] = {
        "OK", "ERROR", "TIMEOUT", "CANCELLED", "CLOSED", "BUSY", "INVALID"
    };

    return names[-rc];
}


/* "what": rc, and the error */

static async_rc_t
tell(async_t *co, async_req_t *req, const char *what, async_rc_t rc)
{
    char  text[512];

    snprintf(text, sizeof(text), "%s %s: %s", what, name(rc),
             rc == ASYNC_OK ? "" : async_error(co));

    return await_ws_send_text(co, req, text);
}


static async_rc_t
tell_str(async_t *co, async_req_t *req, const char *what, async_str_t value)
{
    char  text[512];

    snprintf(text, sizeof(text), "%s=%s (%zu)", what,
             value.data ? value.data : "none", value.len);

    return await_ws_send_text(co, req, text);
}


static async_rc_t
background(async_t *co, void *arg)
{
    ASYNC_TRY(await_sleep(co, 1));

    async_task_log(co, ASYNC_LOG_NOTICE, "<in the background of %s>",
                 *(const char **) arg);
    return ASYNC_OK;
}


static async_rc_t
subrequest(async_t *co, async_req_t *req)
{
    async_rc_t         rc;
    async_response_t  *res;

    rc = await_subrequest(co, req, "/sub", NULL, &res);

    if (rc == ASYNC_OK) {
        rc = tell_str(co, req, "sub", async_response_body(res));
        async_response_close(co, res);
    }

    return rc;
}


static async_rc_t does(async_t *co, async_req_t *req, const char *what);


/* What the request says. */

static async_rc_t
asks(async_t *co, async_req_t *req, const char *what, early_t *early)
{
    size_t       i;
    async_str_t  n, v;

    static const struct {
        const char   *name;
        async_str_t (*fn)(async_req_t *req);
    } parts[] = {
        { "method", async_method }, { "uri", async_uri },
        { "query", async_query_string }
    };

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(what, parts[i].name) == 0) {
            return tell_str(co, req, what, parts[i].fn(req));
        }
    }

    if (strcmp(what, "client") == 0) {
        return tell_str(co, req, what, async_client(req));
    }

    if (strncmp(what, "header ", 7) == 0) {
        return tell_str(co, req, what, async_header(req, what + 7));
    }

    if (strncmp(what, "cookie ", 7) == 0) {
        return tell_str(co, req, what, async_cookie(req, what + 7));
    }

    if (strncmp(what, "arg ", 4) == 0) {
        return tell_str(co, req, what, async_query(req, what + 4));
    }

    if (strcmp(what, "protocol") == 0) {
        const char  *protocol = async_ws_protocol(req, "b, a");

        return await_ws_send_text(co, req, protocol ? protocol : "none");
    }

    if (strcmp(what, "room") == 0) {
        return tell_str(co, req, what, async_path(req, "room"));
    }

    if (strcmp(what, "early") == 0) {
        ASYNC_TRY(tell_str(co, req, "key", early->key));
        ASYNC_TRY(tell_str(co, req, "room", early->room));
        return tell_str(co, req, "q", early->q);
    }

    if (strcmp(what, "headers") == 0) {
        for (i = 0; async_header_at(req, i, &n, &v); i++) {
            ASYNC_TRY(tell_str(co, req, n.data, v));
        }

        return await_ws_send_text(co, req, "all");
    }

    return does(co, req, what);
}


/* What it lets a handler do. */

static async_rc_t
does(async_t *co, async_req_t *req, const char *what)
{
    size_t             i;
    char               buf[16];
    json_t            *value;
    async_str_t        body;
    async_form_t      *form;
    async_response_t  *res;

    if (strncmp(what, "var ", 4) == 0) {
        return tell_str(co, req, what, async_var(req, what + 4));
    }

    if (strcmp(what, "set") == 0) {
        async_rc_t  rc = async_set_var(req, "mine", "x");

        snprintf(buf, sizeof(buf), "%s", name(rc));
        ASYNC_TRY(await_ws_send_text(co, req, buf));
        return await_ws_send_text(co, req, async_req_error(req));
    }

    if (strcmp(what, "body") == 0) {
        ASYNC_TRY(tell(co, req, what, await_body(co, req, &body)));
        ASYNC_TRY(tell(co, req, "json", await_json(co, req, &value)));
        ASYNC_TRY(tell(co, req, "form", await_form(co, req, &form)));
        return tell(co, req, "piece",
                    await_body_read(co, req, buf, sizeof(buf), &i));
    }

    if (strcmp(what, "answer") == 0) {
        ASYNC_TRY(tell(co, req, what, async_text(req, 200, "late")));
        ASYNC_TRY(tell(co, req, "header", async_set_header(req, "A", "b")));
        return tell(co, req, "send", await_send(co, req, "x", 1));
    }

    if (strcmp(what, "file") == 0) {
        return tell(co, req, what, async_file(req, 200, "/etc/passwd"));
    }

    if (strcmp(what, "sub") == 0) {
        async_rc_t  rc = subrequest(co, req);

        return rc == ASYNC_OK ? ASYNC_OK : tell(co, req, what, rc);
    }

    if (strncmp(what, "fetch ", 6) == 0) {
        async_rc_t  rc = await_fetch(co, what + 6, NULL, &res);

        if (rc != ASYNC_OK) {
            return tell(co, req, "fetch", rc);
        }

        rc = tell_str(co, req, "fetched", async_response_body(res));
        async_response_close(co, res);
        return rc;
    }

    if (strcmp(what, "background") == 0) {
        const char  *text = async_background_str(req, "a session");

        return tell(co, req, what, async_background(req, background, &text));
    }

    if (strcmp(what, "log") == 0) {
        async_log(req, ASYNC_LOG_ERROR, "<said late>");
        return await_ws_send_text(co, req, "logged");
    }

    return await_ws_send_text(co, req, what);
}


static async_rc_t
talks(async_t *co, async_req_t *req, early_t *early)
{
    char                what[256];
    async_rc_t          rc;
    async_ws_message_t  m;

    for ( ;; ) {
        rc = await_ws_recv(co, req, &m);

        if (rc != ASYNC_OK) {
            async_log(req, ASYNC_LOG_NOTICE, "<talks %s, code %d %s>",
                      name(rc), async_ws_close_code(req),
                      async_ws_close_reason(req).data);
            return ASYNC_OK;
        }

        if (strcmp(m.data, "leave") == 0) {
            return ASYNC_OK;
        }

        if (strcmp(m.data, "fail") == 0) {
            return ASYNC_ERROR;
        }

        if (strcmp(m.data, "wait") == 0) {
            ASYNC_TRY(await_ws_send_text(co, req, "waits"));
            rc = await_sleep(co, 60000);
            async_log(req, ASYNC_LOG_NOTICE, "<wait %s, code %d>", name(rc),
                      async_ws_close_code(req));
            return ASYNC_OK;
        }

        snprintf(what, sizeof(what), "%s", m.data);

        ASYNC_TRY(asks(co, req, what, early));
    }
}


/* With something asked before. */

ASYNC_HANDLER(early)
{
    early_t  e = {
        async_header(req, "x-key"), async_path(req, "room"),
        async_query(req, "q")
    };

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return talks(co, req, &e);
}


ASYNC_HANDLER(late)
{
    early_t  e = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return talks(co, req, &e);
}


/* It keeps what a subrequest has given. */

ASYNC_HANDLER(holds)
{
    early_t            e = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
    async_rc_t         rc;
    async_str_t        body;
    async_response_t  *res;

    ASYNC_TRY(await_subrequest(co, req, "/sub", NULL, &res));

    body = async_response_body(res);

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_sleep(co, 10));
    ASYNC_TRY(tell_str(co, req, "held", body));

    rc = talks(co, req, &e);

    async_response_close(co, res);

    return rc;
}


ASYNC_HANDLER(refuses)
{
    return async_json_pack(req, 418, "{s:s}", "room",
                           async_path(req, "room").data);
}


/* Accepts, and ends without an await. */

ASYNC_HANDLER(at_once)
{
    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return ASYNC_OK;
}


/* Sends before anybody waits. */

ASYNC_HANDLER(floods)
{
    int   i;
    static char  data[65536];

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    memset(data, 'x', sizeof(data));

    for (i = 0; i < 16; i++) {
        ASYNC_TRY(await_ws_send(co, req, ASYNC_WS_BINARY, data,
                                sizeof(data)));
    }

    return ASYNC_OK;
}


static async_rc_t
put_back(async_t *co, async_req_t *req, async_rc_t outcome, void *arg)
{
    ASYNC_TRY(await_yield(co));

    async_task_log(co, ASYNC_LOG_NOTICE, "<teardown %s %s>", name(outcome),
                 *(const char **) arg);
    return ASYNC_OK;
}


static async_rc_t
put_back_thread(async_rc_t outcome, void *arg)
{
    return ASYNC_OK;
}


ASYNC_DEPENDENCY(user, char)
{
    async_str_t  key = async_header(req, "x-key");
    const char  *text = async_background_str(req, key.data ? key.data : "-");

    ASYNC_TRY(async_teardown(req, put_back, &text));

    return async_provide(req, key.data);
}


BLOCKING_DEPENDENCY(slow, char)
{
    int          n = 0;
    char        *text = async_alloc(req, 64);
    async_str_t  uri = async_uri(req);

    snprintf(text, 64, "slow %s", uri.data);

    ASYNC_TRY(async_teardown_thread(req, NULL, put_back_thread, &n));

    return async_provide(req, text);
}


ASYNC_HANDLER(depends, ASYNC_DEPENDS(user), ASYNC_DEPENDS(slow))
{
    early_t  e = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_sleep(co, 10));
    ASYNC_TRY(await_ws_send_text(co, req, user_of(req)));
    ASYNC_TRY(await_ws_send_text(co, req, slow_of(req)));

    return talks(co, req, &e);
}


/* One that accepts, and one in a thread behind it. */

ASYNC_DEPENDENCY(accepted, char)
{
    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_sleep(co, 10));

    return ASYNC_OK;
}


BLOCKING_DEPENDENCY(behind, char, ASYNC_DEPENDS(accepted))
{
    char        *text = async_alloc(req, 64);
    async_str_t  uri = async_var(req, "uri");

    snprintf(text, 64, "var %s", uri.data ? uri.data : "none");

    return async_provide(req, text);
}


ASYNC_HANDLER(accepts, ASYNC_DEPENDS(behind))
{
    early_t  e = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };

    ASYNC_TRY(await_ws_send_text(co, req, behind_of(req)));

    return talks(co, req, &e);
}


/* A guard that hands its dependency on. */

ASYNC_HANDLER(guard, ASYNC_DEPENDS(user))
{
    return user_of(req) ? ASYNC_OK : async_fail(req, 401, "no key");
}


static async_rc_t
reads(async_t *co, void *arg)
{
    async_req_t         *req = arg;
    async_ws_message_t   m;

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    }
}


ASYNC_HANDLER(child)
{
    async_rc_t      rc;
    async_child_t  *c;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    c = async_spawn(co, reads, req);
    if (c == NULL) {
        return ASYNC_BUSY;
    }

    rc = await_join(co, c);

    async_log(req, ASYNC_LOG_NOTICE, "<child %s, code %d>", name(rc),
              async_ws_close_code(req));
    return ASYNC_OK;
}
