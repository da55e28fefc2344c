
/*
 * Handlers of t/channel.t and t/channel-*.t.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define REQUIRE(condition)                                                   \
    do {                                                                     \
        if (!(condition)) {                                                  \
            return not_so(co, req, __LINE__, #condition);                    \
        }                                                                    \
    } while (0)


static async_rc_t
not_so(async_t *co, async_req_t *req, int line, const char *condition)
{
    return async_json_pack(req, 500, "{s:i, s:s, s:s}", "line", line, "not",
                           condition, "error", async_error(co));
}


/* the code, and whose */

static async_rc_t
answer(async_req_t *req, async_rc_t rc)
{
    char  text[64];

    snprintf(text, sizeof(text), "%d %d", (int) rc, (int) getpid());

    return async_text(req, 200, text);
}


/* /publish?c=&d=&n=: "d", or n of "d 1", "d 2"; answers the code */

ASYNC_HANDLER(publish)
{
    char         text[256];
    int64_t      i, n;
    async_rc_t   rc;
    async_str_t  c, d;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(async_query_str(req, "d", &d));
    ASYNC_TRY(async_query_int_or(req, "n", &n, 0));

    rc = n ? ASYNC_OK : async_publish(co, c.data, d.data, d.len);

    for (i = 1; i <= n && rc == ASYNC_OK; i++) {
        snprintf(text, sizeof(text), "%s %d", d.data, (int) i);
        rc = async_publish(co, c.data, text, strlen(text));
    }

    return answer(req, rc);
}


/* /report?c=&d=: the same as a struct; without "d" it has no JSON */

typedef struct {
    const char  *about;
    int          n;
} report_t;

ASYNC_MODEL(report_model, report_t,
    ASYNC_FIELD(report_t, about),
    ASYNC_FIELD(report_t, n)
);

ASYNC_HANDLER(report)
{
    report_t     report = { .about = async_query(req, "d").data, .n = 7 };
    async_rc_t   rc;
    async_str_t  c;

    ASYNC_TRY(async_query_str(req, "c", &c));

    rc = async_publish_model(co, c.data, &report_model, &report);

    return (rc == ASYNC_OK) ? answer(req, rc)
                            : async_text(req, 200, async_error(co));
}


/* /put?c=: the body, as it is */

ASYNC_HANDLER(put)
{
    async_rc_t   rc;
    async_str_t  c, body;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(await_body(co, req, &body));

    rc = async_publish(co, c.data, body.data, body.len);

    return answer(req, rc);
}


/*
 * /mixed?c=&sizes=10,5000&n=: n rounds of messages of these lengths, all at
 * once, each with its number in front
 */

#define LONGEST  200000

ASYNC_HANDLER(mixed)
{
    char         *text, *p;
    size_t        len;
    int64_t       i, n, number;
    async_rc_t    rc;
    async_str_t   c, sizes;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(async_query_str(req, "sizes", &sizes));
    ASYNC_TRY(async_query_int_or(req, "n", &n, 1));

    text = async_alloc(req, LONGEST + 1);
    REQUIRE(text);

    rc = ASYNC_OK;

    for (i = number = 0; i < n && rc == ASYNC_OK; i++) {

        for (p = (char *) sizes.data; *p && rc == ASYNC_OK; p += (*p == ',')) {
            len = strtoul(p, &p, 10);
            REQUIRE(len >= 8 && len <= LONGEST);

            memset(text, 'x', len);
            text[snprintf(text, len, "%d:", (int) ++number)] = 'x';

            rc = async_publish(co, c.data, text, len);
        }
    }

    return answer(req, rc);
}


/* /flood?c=&each=: publishes until the client goes, so many a turn */

ASYNC_HANDLER(flood)
{
    char         text[64];
    int64_t      each, i;
    async_str_t  c;

    /* of all floods of a worker */
    static unsigned  n;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(async_query_int_or(req, "each", &each, 50));

    async_log(req, ASYNC_LOG_NOTICE, "<floods>");

    for ( ;; ) {

        for (i = 0; i < each; i++) {
            snprintf(text, sizeof(text), "%d %u", (int) getpid(), n++);
            ASYNC_TRY(async_publish(co, c.data, text, strlen(text)));
        }

        ASYNC_TRY(await_sleep(co, 1));
    }
}


/*
 * /listen?c=&queue=&close=&gate=: a stream of lines "missed data"; once it is
 * there: "pid", and the end: "ASYNC_CLOSED" as a number.  With a gate it waits
 * for that file before it reads.
 */

ASYNC_HANDLER(listen)
{
    int                       len;
    char                      line[512];
    int64_t                   queue, close;
    async_rc_t                rc;
    async_str_t               c, gate;
    async_subscribe_t         options;
    async_subscription_t     *s;
    async_channel_message_t   m;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(async_query_int_or(req, "queue", &queue, 0));
    ASYNC_TRY(async_query_int_or(req, "close", &close, 0));
    ASYNC_TRY(async_query_str_or(req, "gate", &gate, ""));

    memset(&options, 0, sizeof(options));
    options.queue = queue;
    options.flags = close ? ASYNC_CHANNEL_CLOSE : 0;

    ASYNC_TRY(async_subscribe(co, c.data, &options, &s));

    len = snprintf(line, sizeof(line), "%d\n", (int) getpid());
    ASYNC_TRY(await_send(co, req, line, len));

    while (gate.len && access(gate.data, F_OK) != 0) {
        ASYNC_TRY(await_sleep(co, 5));
    }

    for ( ;; ) {
        rc = await_channel(co, s, &m);

        if (rc != ASYNC_OK) {
            break;
        }

        len = snprintf(line, sizeof(line), "%d %.400s\n", (int) m.missed,
                       m.data);
        ASYNC_TRY(await_send(co, req, line, len));
    }

    if (rc == ASYNC_CLOSED) {
        len = snprintf(line, sizeof(line), "%d %s\n", (int) rc,
                       async_error(co));
        return await_send(co, req, line, len);
    }

    return rc;
}


/* /size?c=: the length of the next message, the sum of its bytes, its name */

ASYNC_HANDLER(size)
{
    char                      line[512];
    size_t                    i;
    unsigned                  sum;
    async_str_t               c;
    async_subscription_t     *s;
    async_channel_message_t   m;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(async_subscribe(co, c.data, NULL, &s));
    ASYNC_TRY(await_send(co, req, "there\n", 6));

    ASYNC_TRY(await_channel(co, s, &m));

    for (i = sum = 0; i < m.len; i++) {
        sum += (unsigned char) m.data[i];
    }

    snprintf(line, sizeof(line), "%zu %u %d %s\n", m.len, sum, m.data[m.len],
             m.channel);

    return await_send(co, req, line, strlen(line));
}


/* /once?c=: a message is the response */

ASYNC_HANDLER(once)
{
    async_str_t               c;
    async_subscription_t     *s;
    async_channel_message_t   m;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(async_subscribe(co, c.data, NULL, &s));

    async_log(req, ASYNC_LOG_NOTICE, "<subscribed>");

    ASYNC_TRY(await_channel(co, s, &m));

    return async_bytes(req, 200, "text/plain", m.data, m.len);
}


/* /events?c=: the same for EventSource */

ASYNC_HANDLER(events)
{
    async_sse_t               event = { .comment = "here" };
    async_str_t               c;
    async_subscription_t     *s;
    async_channel_message_t   m;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(async_subscribe(co, c.data, NULL, &s));
    ASYNC_TRY(await_sse(co, req, &event));

    event.comment = NULL;

    for ( ;; ) {
        ASYNC_TRY(await_channel(co, s, &m));
        event.data = m.data;
        ASYNC_TRY(await_sse(co, req, &event));
    }
}


/* ---- calls in one task */

static int
is(async_channel_message_t *m, const char *data, int missed)
{
    return m->len == strlen(data) && strcmp(m->data, data) == 0
           && m->missed == (uint64_t) missed && strcmp(m->channel, "own") == 0;
}


static async_rc_t
say(async_t *co, const char *text)
{
    return async_publish(co, "own", text, strlen(text));
}


ASYNC_HANDLER(own)
{
    async_subscribe_t         two = { .queue = 2 };
    async_subscription_t     *s, *small;
    async_channel_message_t   m;

    REQUIRE(say(co, "nobody") == ASYNC_OK);
    REQUIRE(async_subscribe(co, "own", NULL, &s) == ASYNC_OK);
    REQUIRE(async_subscribe(co, "own", &two, &small) == ASYNC_OK);

    REQUIRE(say(co, "a") == ASYNC_OK);
    REQUIRE(say(co, "b") == ASYNC_OK);
    REQUIRE(say(co, "") == ASYNC_OK);
    REQUIRE(async_publish(co, "other", "x", 1) == ASYNC_OK);

    REQUIRE(await_channel(co, s, &m) == ASYNC_OK && is(&m, "a", 0));
    REQUIRE(await_channel(co, s, &m) == ASYNC_OK && is(&m, "b", 0));
    REQUIRE(await_channel(co, s, &m) == ASYNC_OK && is(&m, "", 0));

    REQUIRE(await_channel(co, small, &m) == ASYNC_OK && is(&m, "b", 1));
    REQUIRE(await_channel(co, small, &m) == ASYNC_OK && is(&m, "", 0));

    REQUIRE(await_sleep(co, 0) == ASYNC_OK);

    return async_text(req, 200, "ok");
}


ASYNC_HANDLER(wrong)
{
    char                   name[257], *data;
    async_subscription_t  *s;

    memset(name, 'n', 256);
    name[256] = '\0';

    REQUIRE(async_publish(co, "", "x", 1) == ASYNC_ERROR);
    REQUIRE(async_publish(co, name, "x", 1) == ASYNC_ERROR);
    REQUIRE(async_subscribe(co, "", NULL, &s) == ASYNC_ERROR && s == NULL);
    REQUIRE(async_subscribe(co, name, NULL, &s) == ASYNC_ERROR);
    REQUIRE(strstr(async_error(co), "1 to 255 bytes, not 256"));

    REQUIRE(async_ws_subscribe(co, req, "own", ASYNC_WS_TEXT, NULL)
            == ASYNC_ERROR);
    async_ws_unsubscribe(co, req, "own");
    async_unsubscribe(co, NULL);

    name[255] = '\0';
    REQUIRE(async_subscribe(co, name, NULL, &s) == ASYNC_OK);
    REQUIRE(async_publish(co, name, NULL, 0) == ASYNC_OK);

    data = async_alloc(req, 1024 * 1024);
    REQUIRE(data);
    memset(data, 'd', 1024 * 1024);

    REQUIRE(async_publish(co, "own", data, 1024 * 1024) == ASYNC_INVALID);
    REQUIRE(strstr(async_error(co), "longer than a channel takes"));

    return async_text(req, 200, "ok");
}


typedef struct {
    async_subscription_t  *s;
    async_rc_t             rc;
} waiter_t;


static async_rc_t
waits(async_t *co, void *arg)
{
    waiter_t                 *w = arg;
    async_channel_message_t   m;

    while (w->s == NULL) {
        ASYNC_TRY(await_sleep(co, 0));
    }

    w->rc = await_channel(co, w->s, &m);

    return ASYNC_OK;
}


static async_rc_t
subscribes(async_t *co, void *arg)
{
    waiter_t  *w = arg;

    return async_subscribe(co, "own", NULL, &w->s);
}


ASYNC_HANDLER(others)
{
    waiter_t                  w = { NULL, ASYNC_OK };
    async_child_t            *child;
    async_subscription_t     *s;
    async_channel_message_t   m;

    /* one waits; another one may not, nor does its end hurt */

    REQUIRE(async_subscribe(co, "own", NULL, &w.s) == ASYNC_OK);

    child = async_spawn(co, waits, &w);
    REQUIRE(child);
    REQUIRE(await_sleep(co, 0) == ASYNC_OK);
    REQUIRE(await_channel(co, w.s, &m) == ASYNC_BUSY);

    async_unsubscribe(co, w.s);
    REQUIRE(await_join(co, child) == ASYNC_OK);
    REQUIRE(w.rc == ASYNC_CLOSED);

    async_unsubscribe(co, w.s);
    REQUIRE(await_channel(co, w.s, &m) == ASYNC_CLOSED);

    /* that of a child is its parent's */

    child = async_spawn(co, subscribes, &w);
    REQUIRE(child && await_join(co, child) == ASYNC_OK);
    REQUIRE(say(co, "for the child") == ASYNC_OK);
    REQUIRE(await_channel(co, w.s, &m) == ASYNC_OK);
    REQUIRE(is(&m, "for the child", 0));

    /* that of ASYNC_MEMORY goes with it, also if somebody waits */

    w.s = NULL;
    child = async_spawn(co, waits, &w);
    REQUIRE(child);

    {
        ASYNC_MEMORY(co);

        REQUIRE(async_subscribe(co, "own", NULL, &w.s) == ASYNC_OK);
        REQUIRE(await_sleep(co, 2) == ASYNC_OK);
        REQUIRE(await_channel(co, w.s, &m) == ASYNC_BUSY);
    }

    REQUIRE(await_join(co, child) == ASYNC_OK && w.rc == ASYNC_CLOSED);

    /* a cancelled wait leaves it as it was */

    REQUIRE(async_subscribe(co, "own", NULL, &s) == ASYNC_OK);

    {
        ASYNC_DEADLINE(co, 10);
        REQUIRE(await_channel(co, s, &m) == ASYNC_TIMEOUT);
    }

    REQUIRE(say(co, "after") == ASYNC_OK);
    REQUIRE(await_channel(co, s, &m) == ASYNC_OK && is(&m, "after", 0));

    return async_text(req, 200, "ok");
}


/* what another task has got is its own, whoever unsubscribes */

typedef struct {
    async_subscription_t     *s;
    async_channel_message_t   m;
    int                       go;
    async_rc_t                rc;
} reader_t;


static async_rc_t
reads_slowly(async_t *co, void *arg)
{
    reader_t                 *r = arg;
    async_channel_message_t   m;

    ASYNC_TRY(await_channel(co, r->s, &r->m));

    while (!r->go) {
        ASYNC_TRY(await_sleep(co, 0));
    }

    r->rc = await_channel(co, r->s, &m);

    return ASYNC_OK;
}


ASYNC_HANDLER(lent)
{
    reader_t                  reads = { 0 };
    async_child_t            *child;
    async_subscription_t     *s;
    async_channel_message_t   m;

    REQUIRE(async_subscribe(co, "own", NULL, &reads.s) == ASYNC_OK);
    REQUIRE(say(co, "lent to a child") == ASYNC_OK);

    child = async_spawn(co, reads_slowly, &reads);
    REQUIRE(child);

    while (reads.m.data == NULL) {
        REQUIRE(await_sleep(co, 0) == ASYNC_OK);
    }

    async_unsubscribe(co, reads.s);

    /* which would take the place of one that is free */
    REQUIRE(async_subscribe(co, "own", NULL, &s) == ASYNC_OK);
    REQUIRE(say(co, "lent to nobody.") == ASYNC_OK);
    REQUIRE(await_channel(co, s, &m) == ASYNC_OK);
    REQUIRE(is(&m, "lent to nobody.", 0) && is(&reads.m, "lent to a child", 0));
    async_unsubscribe(co, s);

    reads.go = 1;
    REQUIRE(await_join(co, child) == ASYNC_OK && reads.rc == ASYNC_CLOSED);

    return async_text(req, 200, "ok");
}


/* ---- /ws_again: at a shutdown, a channel that it has already, and another */

ASYNC_HANDLER(ws_again)
{
    async_rc_t                has, other;
    async_subscription_t     *s;
    async_channel_message_t   m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(async_ws_subscribe(co, req, "has", ASYNC_WS_TEXT, NULL));
    ASYNC_TRY(async_subscribe(co, "other", NULL, &s));
    ASYNC_TRY(await_ws_send_text(co, req, "here"));

    if (await_channel(co, s, &m) == ASYNC_CLOSED) {
        has = async_ws_subscribe(co, req, "has", ASYNC_WS_TEXT, NULL);
        other = async_ws_subscribe(co, req, "other", ASYNC_WS_TEXT, NULL);

        async_log(req, ASYNC_LOG_WARN, "again: %d, %d, %s", has, other,
                  async_error(co));
    }

    return ASYNC_OK;
}


/* ---- /ws?c=&kind=&queue=&close=: and what it gets are commands */

static async_rc_t
command(async_t *co, async_req_t *req, const char *text)
{
    char  word[32], name[64];

    if (sscanf(text, "%31s %63s", word, name) != 2) {
        return ASYNC_INVALID;
    }

    if (strcmp(word, "leave") == 0) {
        async_ws_unsubscribe(co, req, name);

    } else if (strcmp(word, "binary") == 0) {
        ASYNC_TRY(async_ws_subscribe(co, req, name, ASYNC_WS_BINARY, NULL));

    } else if (strcmp(word, "join") == 0) {
        ASYNC_TRY(async_ws_subscribe(co, req, name, ASYNC_WS_TEXT, NULL));
    }

    return await_ws_send_text(co, req, "done");
}


ASYNC_HANDLER(ws)
{
    int64_t             queue, close;
    async_str_t         c;
    async_subscribe_t   options;
    async_ws_message_t  m;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(async_query_int_or(req, "queue", &queue, 0));
    ASYNC_TRY(async_query_int_or(req, "close", &close, 0));

    memset(&options, 0, sizeof(options));
    options.queue = queue;
    options.flags = close ? ASYNC_CHANNEL_CLOSE : 0;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(async_ws_subscribe(co, req, c.data, ASYNC_WS_TEXT, &options));
    ASYNC_TRY(await_ws_send_text(co, req, "here"));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(command(co, req, m.data));
    }
}
