
/*
 * Handlers of t/ws.t and t/ws-life.t: WebSockets.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* set by /open, cleared by /shut: for what is to be when a test says so */
static async_event_t  gate;


static const char *
name(async_rc_t rc)
{
    switch (rc) {
    case ASYNC_OK:         return "OK";
    case ASYNC_ERROR:      return "ERROR";
    case ASYNC_TIMEOUT:    return "TIMEOUT";
    case ASYNC_CANCELLED:  return "CANCELLED";
    case ASYNC_CLOSED:     return "CLOSED";
    case ASYNC_BUSY:       return "BUSY";
    case ASYNC_INVALID:    return "INVALID";
    default:               return "?";
    }
}


/* <what rc, code 1000 reason> */

static async_rc_t
ended(async_req_t *req, const char *what, async_rc_t rc)
{
    async_log(req, ASYNC_LOG_NOTICE, "<%s %s, code %d %s>", what, name(rc),
              async_ws_close_code(req), async_ws_close_reason(req).data);
    return rc;
}


static async_rc_t
echo_all(async_t *co, async_req_t *req)
{
    async_ws_message_t  m;

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    }
}


ASYNC_HANDLER(echo)
{
    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return ended(req, "echo", echo_all(co, req));
}


ASYNC_HANDLER(parts)
{
    int                 n = 0;
    async_rc_t          rc;
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        rc = await_ws_recv_part(co, req, &m);

        if (rc == ASYNC_OK) {
            n++;

            if (m.len > 65536 || m.data[m.len] != '\0') {
                return async_fail(req, 500, "no part");
            }

            rc = await_ws_send_part(co, req, m.kind, m.data, m.len, m.last);
        }

        if (rc != ASYNC_OK) {
            return ended(req, "parts", rc);
        }

        if (m.last) {
            async_log(req, ASYNC_LOG_NOTICE, "<%d parts>", n);
            n = 0;
        }
    }
}


ASYNC_HANDLER(json)
{
    json_t      *value;
    async_rc_t   rc;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        rc = await_ws_recv_json(co, req, &value);

        if (rc == ASYNC_INVALID) {
            ASYNC_TRY(await_ws_send_text(co, req, async_error(co)));
            continue;
        }

        ASYNC_TRY(rc);
        ASYNC_TRY(await_ws_send_json(co, req, json_incref(value)));
    }
}


typedef struct {
    const char  *product;
    int          pieces;
    json_t      *rest;
} order_t;

ASYNC_MODEL(order_model, order_t,
    ASYNC_FIELD(order_t, product, .min_length = 1),
    ASYNC_FIELD(order_t, pieces, .ge = "1", .default_value = "1"),
    ASYNC_FIELD(order_t, rest, .optional = 1)
);


/* its orders come back; of a wrong one what is wrong, and in words */

ASYNC_HANDLER(orders)
{
    json_t      *errors;
    order_t      order;
    async_rc_t   rc;
    const char  *words;

    words = async_query(req, "words").data;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        rc = await_ws_recv_into(co, req, &order_model, &order,
                                words ? NULL : &errors);

        if (rc == ASYNC_OK) {
            ASYNC_TRY(await_ws_send_model(co, req, &order_model, &order));
            continue;
        }

        if (rc != ASYNC_INVALID) {
            return ended(req, "orders", rc);
        }

        if (order.product || order.pieces || order.rest) {
            return async_fail(req, 500, "half an order");
        }

        if (words) {
            ASYNC_TRY(await_ws_send_text(co, req, async_error(co)));

        } else {
            ASYNC_TRY(await_ws_send_json(co, req,
                          json_pack("{s:O}", "detail", errors)));
        }
    }
}


/* structs that are none */

ASYNC_HANDLER(no_orders)
{
    json_t              *errors = json_null();
    order_t              order = { .product = NULL };
    async_ws_message_t   m;

    ended(req, "before", await_ws_send_model(co, req, &order_model, &order));
    ended(req, "before", await_ws_recv_into(co, req, &order_model, &order,
                                            NULL));

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    ended(req, "null", await_ws_send_model(co, req, &order_model, &order));
    async_log(req, ASYNC_LOG_NOTICE, "<%s>", async_error(co));

    ended(req, "size", await_ws_recv_into(co, req, &order_model, &m, &errors));
    async_log(req, ASYNC_LOG_NOTICE, "<%s>", async_error(co));
    async_log(req, ASYNC_LOG_NOTICE, "<errors %s>", errors ? "some" : "none");

    return await_ws_send_text(co, req, "nothing");
}


/* a part, then the whole of what is left */

ASYNC_HANDLER(rest)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_ws_recv_part(co, req, &m));
    ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    ASYNC_TRY(await_ws_recv(co, req, &m));
    ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));

    return ended(req, "rest", await_ws_recv(co, req, &m));
}


/* /ends?rc=-3  returns that when a message has come */

ASYNC_HANDLER(ends)
{
    int64_t             rc;
    async_ws_message_t  m;

    (void) async_query_int_or(req, "rc", &rc, 0);

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_ws_recv(co, req, &m));

    return (async_rc_t) rc;
}


ASYNC_HANDLER(at_once)
{
    return await_ws_accept(co, req, NULL);
}


/* /closes?code=&reason= */

ASYNC_HANDLER(closes)
{
    int64_t      code;
    async_rc_t   rc;
    async_str_t  reason;

    (void) async_query_int_or(req, "code", &code, 1000);
    reason = async_query(req, "reason");

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    rc = await_ws_close(co, req, (int) code, reason.data);

    if (rc == ASYNC_ERROR) {
        ASYNC_TRY(await_ws_send_text(co, req, async_error(co)));
    }

    ended(req, "closes", rc);
    ended(req, "send", await_ws_send_text(co, req, "late"));

    return ended(req, "again", await_ws_close(co, req, 1000, NULL));
}


/* awaits something else than the client; then works on if it may */

ASYNC_HANDLER(sleeps)
{
    async_rc_t  rc;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_ws_send_text(co, req, "sleeps"));

    rc = await_event(co, &gate);

    ended(req, "sleeps", rc);

    return ended(req, "then", await_ws_send_text(co, req, "awake"));
}


/* receives only when the gate is open */

ASYNC_HANDLER(late)
{
    async_rc_t          rc;
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_ws_send_text(co, req, "late"));

    rc = await_event(co, &gate);

    if (rc != ASYNC_OK) {
        return ended(req, "late", rc);
    }

    for ( ;; ) {
        rc = await_ws_recv(co, req, &m);

        if (rc != ASYNC_OK) {
            break;
        }

        async_log(req, ASYNC_LOG_NOTICE, "<late has %zu %.10s>", m.len,
                  m.data);

        if (async_query(req, "once").data) {
            ended(req, "once", await_sleep(co, 60000));
        }
    }

    ended(req, "late", rc);

    /* it has been told: it may await on */

    return ended(req, "after", await_sleep(co, async_query(req, "on").data
                                               ? 700 : 1));
}


static async_rc_t
read_all(async_t *co, void *arg)
{
    async_req_t  *req = arg;

    async_rc_t          rc;
    async_ws_message_t  m;

    do {
        rc = await_ws_recv(co, req, &m);
    } while (rc == ASYNC_OK);

    ended(req, "reader", rc);

    if (rc == ASYNC_CLOSED) {
        ended(req, "reader then", await_sleep(co, 1));
    }

    return rc;
}


/* a child reads, the handler awaits something else */

ASYNC_HANDLER(with_reader)
{
    async_child_t  *child;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    ASYNC_GROUP(co);

    child = async_spawn(co, read_all, req);

    ASYNC_TRY(child ? ASYNC_OK : ASYNC_ERROR);
    ASYNC_TRY(await_ws_send_text(co, req, "ready"));

    return ended(req, "with_reader", await_event(co, &gate));
}


static async_rc_t
write_all(async_t *co, void *arg)
{
    async_req_t  *req = arg;

    async_rc_t  rc;

    rc = await_event(co, &gate);

    return ended(req, "writer", rc);
}


/* a reader and a writer, as a chat has */

ASYNC_HANDLER(both)
{
    async_rc_t    rc;
    async_work_t  work[] = {
        { .fn = read_all, .arg = req },
        { .fn = write_all, .arg = req },
    };

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_ws_send_text(co, req, "ready"));

    rc = await_all(co, work, 2);

    ended(req, "both", rc);

    return ended(req, "both then", await_sleep(co, 1));
}


/* /sends?n=&size=&kind=  messages of letters, then says how it went */

ASYNC_HANDLER(sends)
{
    char        *p;
    int64_t      n, size, i, ms;
    async_rc_t   rc = ASYNC_OK;

    (void) async_query_int_or(req, "n", &n, 1);
    (void) async_query_int_or(req, "size", &size, 10);
    (void) async_query_int_or(req, "ms", &ms, 0);

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    p = async_alloc(req, size + 1);
    ASYNC_TRY(p ? ASYNC_OK : ASYNC_ERROR);

    for (i = 0; i < n && rc == ASYNC_OK; i++) {
        memset(p, 'a' + (int) (i % 26), size);

        if (ms) {
            ASYNC_DEADLINE(co, ms);
            rc = await_ws_send(co, req, ASYNC_WS_TEXT, p, size);

        } else {
            rc = await_ws_send(co, req, ASYNC_WS_TEXT, p, size);
        }
    }

    async_log(req, ASYNC_LOG_NOTICE, "<sends %s after %s>", name(rc),
              i == n ? "all" : "some");

    ended(req, "sends", rc);

    if (async_query(req, "then").data) {
        ended(req, "sends then", await_sleep(co, 1));
    }

    return rc;
}


static async_rc_t
send_many(async_t *co, void *arg)
{
    async_req_t  *req = arg;

    static int  next;

    char  text[32];
    int   me = next++;

    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof(text), "%d %d", me, i);
        ASYNC_TRY(await_ws_send_text(co, req, text));
        ASYNC_TRY(await_sleep(co, 0));
    }

    return ASYNC_OK;
}


/* three tasks send, one receives */

ASYNC_HANDLER(together)
{
    async_work_t  work[] = {
        { .fn = send_many, .arg = req },
        { .fn = send_many, .arg = req },
        { .fn = send_many, .arg = req },
    };

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return await_all(co, work, 3);
}


static async_rc_t
send_whole(async_t *co, void *arg)
{
    return ended(arg, "whole", await_ws_send_text(co, arg, "whole"));
}


static async_rc_t
recv_too(async_t *co, void *arg)
{
    async_ws_message_t  m;

    return ended(arg, "second", await_ws_recv(co, arg, &m));
}


static async_rc_t
recv_first(async_t *co, void *arg)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_recv(co, arg, &m));

    return await_ws_send(co, arg, m.kind, m.data, m.len);
}


/* what is refused */

ASYNC_HANDLER(wrong)
{
    async_child_t       *first, *second, *whole;
    async_ws_message_t   m;

    ended(req, "before", await_ws_recv(co, req, &m));
    ended(req, "before", await_ws_send_text(co, req, "early"));
    ended(req, "before", await_ws_close(co, req, 1000, NULL));

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    ended(req, "twice", await_ws_accept(co, req, NULL));
    ended(req, "utf8", await_ws_send_text(co, req, "\xff"));
    ended(req, "cut", await_ws_send(co, req, ASYNC_WS_TEXT, "\xc3", 1));
    ended(req, "kind", await_ws_send(co, req, (async_ws_kind_t) 3, "", 0));

    ASYNC_GROUP(co);

    first = async_spawn(co, recv_first, req);
    second = async_spawn(co, recv_too, req);

    ended(req, "joined", await_join(co, second));

    ASYNC_TRY(await_ws_send_part(co, req, ASYNC_WS_TEXT, "a\xc3", 2, 0));

    whole = async_spawn(co, send_whole, req);
    ended(req, "joined", await_join(co, whole));

    ended(req, "part", await_ws_send_part(co, req, ASYNC_WS_TEXT, "a", 1, 0));
    ASYNC_TRY(await_ws_send_part(co, req, ASYNC_WS_BINARY, "\xa4", 1, 1));

    return await_join(co, first);
}


/* ends in the middle of a message in parts */

ASYNC_HANDLER(half)
{
    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return await_ws_send_part(co, req, ASYNC_WS_TEXT, "half", 4, 0);
}


/* /half_child?last=  a child does, or sends the last part, too */

static async_rc_t
send_half(async_t *co, void *arg)
{
    async_req_t  *req = arg;

    ASYNC_TRY(await_ws_send_part(co, req, ASYNC_WS_TEXT, "half", 4, 0));

    if (async_query(req, "last").data) {
        return ended(req, "last", await_ws_send_part(co, req, ASYNC_WS_TEXT,
                                                     "", 0, 1));
    }

    return ended(req, "half", ASYNC_OK);
}


ASYNC_HANDLER(half_child)
{
    async_child_t       *child;
    async_ws_message_t   m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    ASYNC_GROUP(co);

    child = async_spawn(co, send_half, req);

    ended(req, "joined", await_join(co, child));

    /* at the same address, most likely */
    child = async_spawn(co, send_whole, req);

    ended(req, "joined", await_join(co, child));

    return ended(req, "received", await_ws_recv(co, req, &m));
}


static async_rc_t
send_long(async_t *co, void *arg)
{
    static char  zeros[8 * 1024 * 1024];

    return ended(arg, "long", await_ws_send(co, arg, ASYNC_WS_BINARY, zeros,
                                            sizeof(zeros)));
}


static async_rc_t
closer(async_t *co, void *arg)
{
    return ended(arg, "closer", await_ws_close(co, arg, 4000, NULL));
}


/*
 * /leaves?do=recv,long,room,close  has children do that, each waiting, and ends
 * when the gate is open
 */

ASYNC_HANDLER(leaves)
{
    int          n = 0;
    async_str_t  what;

    static const struct {
        const char   *name;
        async_fn_pt   fn;
    } children[] = {
        { "recv", recv_too }, { "long", send_long }, { "room", send_whole },
        { "close", closer },
    };

    what = async_query(req, "do");

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(await_ws_send_text(co, req, "leaves"));

    ASYNC_GROUP(co);

    for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
        if (strstr(what.data, children[i].name)) {
            ASYNC_TRY(async_spawn(co, children[i].fn, req) ? ASYNC_OK
                                                           : ASYNC_ERROR);
            n++;
        }
    }

    async_log(req, ASYNC_LOG_NOTICE, "<leaves %d>", n);

    return await_event(co, &gate);
}


ASYNC_HANDLER(subprotocol)
{
    const char  *protocol;

    protocol = async_ws_protocol(req, "v2.chat, v1.chat");

    ASYNC_TRY(await_ws_accept(co, req, protocol));

    return await_ws_send_text(co, req, protocol ? protocol : "none");
}


ASYNC_HANDLER(open)
{
    async_event_set(co, &gate);

    return async_text(req, 200, "open");
}


ASYNC_HANDLER(shut)
{
    async_event_clear(co, &gate);

    return async_text(req, 200, "shut");
}
