
/*
 * Handlers of t/pg-listen.t.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


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


static async_rc_t
notify(async_t *co, const char *channel, int64_t first, int64_t last)
{
    return await_pg(co, "db", NULL, "SELECT pg_notify($1, n::text) "
                    "FROM generate_series($2::int8, $3) n",
                    ASYNC_TEXT(channel), ASYNC_INT(first), ASYNC_INT(last));
}


static int
is(const async_pg_notification_t *n, const char *channel, const char *payload)
{
    return !n->missed && n->pid && strcmp(n->channel, channel) == 0
           && n->payload.len == strlen(payload)
           && strcmp(n->payload.data, payload) == 0;
}


static int
is_missed(const async_pg_notification_t *n, const char *channel)
{
    return n->missed && n->pid == 0 && n->payload.data == NULL
           && n->payload.len == 0 && strcmp(n->channel, channel) == 0;
}


/* /hear?c=: until "end", a list: a payload, or null where some are missed */

ASYNC_HANDLER(hear)
{
    json_t                   *list;
    async_rc_t                rc;
    async_str_t               c;
    async_pg_listener_t      *l;
    async_pg_notification_t   n;

    ASYNC_TRY(async_query_str(req, "c", &c));

    rc = await_pg_listen(co, "db", c.data, &l);

    if (rc != ASYNC_OK) {
        async_log(req, ASYNC_LOG_NOTICE, "<no %s: %d>", c.data, rc);

        return async_json_pack(req, 200, "{s:i, s:i, s:s}", "rc", (int) rc,
                               "cause", (int) async_cause(co), "error",
                               async_error(co));
    }

    async_log(req, ASYNC_LOG_NOTICE, "<hears %s>", c.data);

    list = json_array();

    for ( ;; ) {
        rc = await_pg_notification(co, l, &n);

        if (rc != ASYNC_OK) {
            json_decref(list);
            async_log(req, ASYNC_LOG_NOTICE, "<leaves %s: %d>", c.data, rc);
            return rc;
        }

        if (is(&n, c.data, "end")) {
            return async_json(req, 200, list);
        }

        async_log(req, ASYNC_LOG_NOTICE, "<%s gets %s>", c.data,
                  n.missed ? "no more" : n.payload.data);

        json_array_append_new(list, is_missed(&n, c.data) ? json_null()
                                    : json_string(n.payload.data));
    }
}


/* /count?c=: how many come before "end", each one more than the one before */

ASYNC_HANDLER(count)
{
    int64_t                   next = 0;
    async_str_t               c;
    async_pg_listener_t      *l;
    async_pg_notification_t   n;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(await_pg_listen(co, "db", c.data, &l));

    async_log(req, ASYNC_LOG_NOTICE, "<counts %s>", c.data);

    for ( ;; ) {
        ASYNC_TRY(await_pg_notification(co, l, &n));

        if (n.missed) {
            return async_json_pack(req, 500, "{s:I}", "missed after",
                                   (json_int_t) next);
        }

        if (strcmp(n.payload.data, "end") == 0) {
            return async_json_pack(req, 200, "I", (json_int_t) next);
        }

        if (strtoll(n.payload.data, NULL, 10) != ++next) {
            return async_json_pack(req, 500, "{s:s, s:I}", "heard",
                                   n.payload.data, "for", (json_int_t) next);
        }
    }
}


/* /events?c=: for ever */

ASYNC_HANDLER(events)
{
    async_rc_t                rc;
    async_sse_t               event = { .comment = "listens" };
    async_str_t               c;
    async_pg_listener_t      *l;
    async_pg_notification_t   n;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(await_pg_listen(co, "db", c.data, &l));

    do {
        rc = await_sse(co, req, &event);

        if (rc == ASYNC_OK) {
            rc = await_pg_notification(co, l, &n);
        }

        event.comment = NULL;
        event.data = n.missed ? "missed" : n.payload.data;

    } while (rc == ASYNC_OK);

    async_log(req, ASYNC_LOG_NOTICE, "<events of %s end: %d>", c.data, rc);

    return rc;
}


/* names */

ASYNC_HANDLER(names)
{
    char                      name[65];
    async_pg_listener_t      *l;
    async_pg_notification_t   n;

    memset(name, 'x', 64);
    name[64] = '\0';

    l = (async_pg_listener_t *) name;
    REQUIRE(await_pg_listen(co, "db", name, &l) == ASYNC_ERROR);
    REQUIRE(strstr(async_error(co), "1 to 63 bytes, not 64") && l == NULL);
    REQUIRE(await_pg_listen(co, "db", "", &l) == ASYNC_ERROR);
    REQUIRE(strstr(async_error(co), "not 0"));
    REQUIRE(await_pg_listen(co, "db", "a\xff", &l) == ASYNC_ERROR);
    REQUIRE(strstr(async_error(co), "not UTF-8"));
    REQUIRE(await_pg_listen(co, "bd", "a", &l) == ASYNC_ERROR);
    REQUIRE(strstr(async_error(co), "there is no \"async_pg bd\""));

    name[63] = '\0';
    memcpy(name, "\"; DROP \"\" \\ ' \n\xc3\xa4", 18);

    REQUIRE(await_pg_listen(co, "db", name, &l) == ASYNC_OK);
    REQUIRE(notify(co, name, 7, 7) == ASYNC_OK);
    REQUIRE(await_pg_notification(co, l, &n) == ASYNC_OK);
    REQUIRE(is(&n, name, "7"));

    REQUIRE(await_pg_listen(co, "db", "A", &l) == ASYNC_OK);
    REQUIRE(notify(co, "a", 1, 1) == ASYNC_OK);
    REQUIRE(notify(co, "A", 2, 2) == ASYNC_OK);
    REQUIRE(await_pg_notification(co, l, &n) == ASYNC_OK);
    REQUIRE(is(&n, "A", "2"));

    return async_text(req, 200, "ok");
}


/* a listener in the hands of several tasks, closed, and closed again */

typedef struct {
    async_pg_listener_t      *listener;
    async_pg_notification_t   n;
    async_rc_t                rc;
} waiter_t;


static async_rc_t
wait_for_one(async_t *co, void *arg)
{
    waiter_t  *w = arg;

    w->rc = await_pg_notification(co, w->listener, &w->n);

    return ASYNC_OK;
}


static async_rc_t
wait_in_vain(async_t *co, async_pg_listener_t *l, async_pg_notification_t *n)
{
    ASYNC_DEADLINE(co, 10);

    return await_pg_notification(co, l, n);
}


static async_rc_t
open_one(async_t *co, void *arg)
{
    return await_pg_listen(co, "db", "child", (async_pg_listener_t **) arg);
}


ASYNC_HANDLER(hands)
{
    waiter_t                  w;
    async_child_t            *child;
    async_pg_listener_t      *l;
    async_pg_notification_t   n;

    REQUIRE(await_pg_listen(co, "db", "hands", &l) == ASYNC_OK);
    w.listener = l;

    child = async_spawn(co, wait_for_one, &w);
    REQUIRE(await_yield(co) == ASYNC_OK);
    REQUIRE(await_pg_notification(co, l, &n) == ASYNC_BUSY);

    REQUIRE(notify(co, "hands", 1, 2) == ASYNC_OK);
    REQUIRE(await_join(co, child) == ASYNC_OK);
    REQUIRE(w.rc == ASYNC_OK && w.n.pid && !w.n.missed);
    REQUIRE(await_pg_notification(co, l, &n) == ASYNC_OK);
    REQUIRE(is(&n, "hands", "2"));
    REQUIRE(n.size == sizeof(async_pg_notification_t));

    REQUIRE(wait_in_vain(co, l, &n) == ASYNC_TIMEOUT);
    REQUIRE(n.payload.data == NULL);
    REQUIRE(notify(co, "hands", 3, 3) == ASYNC_OK);
    REQUIRE(await_pg_notification(co, l, &n) == ASYNC_OK);
    REQUIRE(is(&n, "hands", "3"));

    child = async_spawn(co, wait_for_one, &w);
    REQUIRE(await_yield(co) == ASYNC_OK);
    async_cancel(child);
    REQUIRE(await_join(co, child) == ASYNC_OK && w.rc == ASYNC_CANCELLED);

    child = async_spawn(co, wait_for_one, &w);
    REQUIRE(await_yield(co) == ASYNC_OK);
    async_pg_unlisten(co, l);
    async_pg_unlisten(co, l);
    async_pg_unlisten(co, NULL);
    REQUIRE(await_join(co, child) == ASYNC_OK && w.rc == ASYNC_CLOSED);
    REQUIRE(await_pg_notification(co, l, &n) == ASYNC_ERROR);
    REQUIRE(strstr(async_error(co), "is closed"));

    /* a child's is its parent's */

    child = async_spawn(co, open_one, &l);
    REQUIRE(await_join(co, child) == ASYNC_OK);
    REQUIRE(notify(co, "child", 4, 4) == ASYNC_OK);
    REQUIRE(await_pg_notification(co, l, &n) == ASYNC_OK);
    REQUIRE(is(&n, "child", "4"));

    return async_text(req, 200, "ok");
}


/* what one does not read is kept to a bound, and what it was lent stays */

ASYNC_HANDLER(slow)
{
    int                       i;
    char                      text[16];
    async_pg_listener_t      *slow, *fast, *late;
    async_pg_notification_t   lent, n;

    REQUIRE(await_pg_listen(co, "db", "slow", &slow) == ASYNC_OK);
    REQUIRE(await_pg_listen(co, "db", "slow", &fast) == ASYNC_OK);

    REQUIRE(notify(co, "slow", 1, 1) == ASYNC_OK);
    REQUIRE(await_pg_notification(co, slow, &lent) == ASYNC_OK);
    REQUIRE(is(&lent, "slow", "1"));

    REQUIRE(await_pg_notification(co, fast, &n) == ASYNC_OK);

    for (i = 2; i <= 2500; i++) {

        if (i % 500 == 2) {
            REQUIRE(notify(co, "slow", i, i + 499) == ASYNC_OK);
        }

        REQUIRE(await_pg_notification(co, fast, &n) == ASYNC_OK);
        (void) snprintf(text, sizeof(text), "%d", i);
        REQUIRE(is(&n, "slow", text));
    }

    REQUIRE(await_pg_notification(co, fast, &n) == ASYNC_OK);
    REQUIRE(is(&n, "slow", "2501"));

    REQUIRE(is(&lent, "slow", "1"));

    REQUIRE(await_pg_listen(co, "db", "slow", &late) == ASYNC_OK);
    REQUIRE(wait_in_vain(co, late, &n) == ASYNC_TIMEOUT);
    async_pg_unlisten(co, fast);

    REQUIRE(await_pg_notification(co, slow, &n) == ASYNC_OK);
    REQUIRE(is_missed(&n, "slow"));

    for (i = 1502; i <= 2501; i++) {
        REQUIRE(await_pg_notification(co, slow, &n) == ASYNC_OK);
        (void) snprintf(text, sizeof(text), "%d", i);
        REQUIRE(is(&n, "slow", text));
    }

    REQUIRE(wait_in_vain(co, slow, &n) == ASYNC_TIMEOUT);

    return async_text(req, 200, "ok");
}


/* one leaves a channel while another one comes to it */

ASYNC_HANDLER(again)
{
    int                       i, j;
    char                      text[16];
    async_pg_listener_t      *keeper, *l;
    async_pg_notification_t   n;

    REQUIRE(await_pg_listen(co, "db", "keeper", &keeper) == ASYNC_OK);

    for (i = 0; i < 60; i++) {
        REQUIRE(await_pg_listen(co, "db", "again", &l) == ASYNC_OK);
        REQUIRE(notify(co, "again", i, i) == ASYNC_OK);
        REQUIRE(await_pg_notification(co, l, &n) == ASYNC_OK);
        (void) snprintf(text, sizeof(text), "%d", i);
        REQUIRE(is(&n, "again", text));

        async_pg_unlisten(co, l);

        for (j = 0; j < i % 6; j++) {
            REQUIRE(await_yield(co) == ASYNC_OK);
        }
    }

    return async_text(req, 200, "ok");
}


/* /churn?tasks=&rounds=: they come and go */

typedef struct {
    unsigned   seed;
    int64_t    rounds;
    int64_t    heard;
} churn_t;


static unsigned
draw(churn_t *c, unsigned n)
{
    c->seed = c->seed * 1103515245 + 12345;

    return (c->seed >> 16) % n;
}


static async_rc_t
come_and_go(async_t *co, churn_t *c)
{
    char                      channel[8];
    unsigned                  i;
    async_rc_t                rc;
    async_pg_listener_t      *l;
    async_pg_notification_t   n;

    ASYNC_MEMORY(co);

    (void) snprintf(channel, sizeof(channel), "c%u", draw(c, 8));

    {
        ASYNC_DEADLINE(co, draw(c, 4) ? 5000 : draw(c, 3));

        rc = await_pg_listen(co, "db", channel, &l);

        for (i = draw(c, 40); rc == ASYNC_OK && i; i--) {
            rc = await_pg_notification(co, l, &n);

            if (rc == ASYNC_OK && (n.missed || strcmp(n.channel, channel))) {
                return async_task_fail(co, ASYNC_ERROR, "%s: %s",
                                       n.missed ? "missed" : n.channel,
                                       channel);
            }

            c->heard += (rc == ASYNC_OK);
        }

        if (rc == ASYNC_OK && draw(c, 2)) {
            async_pg_unlisten(co, l);
        }
    }

    return (rc == ASYNC_TIMEOUT) ? ASYNC_OK : rc;
}


static async_rc_t
churn_task(async_t *co, void *arg)
{
    churn_t  *c = arg;

    while (c->rounds--) {
        ASYNC_TRY(come_and_go(co, c));
    }

    return ASYNC_OK;
}


static async_rc_t
notify_on(async_t *co, void *arg)
{
    int64_t      i;
    async_rc_t   rc = ASYNC_OK;

    (void) arg;

    for (i = 0; rc == ASYNC_OK; i++) {
        ASYNC_MEMORY(co);

        rc = await_pg(co, "db", NULL, "SELECT pg_notify('c' || n % 8, "
                      "n::text) FROM generate_series($1::int8, $1 + 80) n",
                      ASYNC_INT(i * 81));
    }

    return rc;
}


ASYNC_HANDLER(churn)
{
    churn_t        *c;
    int64_t         i, tasks, rounds, heard = 0;
    async_work_t   *work;
    async_child_t  *notifier;

    ASYNC_TRY(async_query_int(req, "tasks", &tasks));
    ASYNC_TRY(async_query_int(req, "rounds", &rounds));

    c = async_task_alloc(co, tasks * sizeof(churn_t));
    work = async_task_alloc(co, tasks * sizeof(async_work_t));

    for (i = 0; i < tasks; i++) {
        c[i].seed = 7 * i;
        c[i].rounds = rounds;
        c[i].heard = 0;

        work[i].fn = churn_task;
        work[i].arg = &c[i];
    }

    notifier = async_spawn(co, notify_on, NULL);
    REQUIRE(await_all(co, work, tasks) == ASYNC_OK);
    async_cancel(notifier);
    REQUIRE(await_join(co, notifier) == ASYNC_CANCELLED);

    for (i = 0; i < tasks; i++) {
        heard += c[i].heard;
    }

    return async_json_pack(req, 200, "I", (json_int_t) heard);
}


/* many channels, before and after the connection is lost */

ASYNC_HANDLER(many)
{
    int                       i;
    char                      channel[16];
    async_pg_listener_t      *l[1200];
    async_pg_notification_t   n;

    for (i = 0; i < 1200; i++) {
        (void) snprintf(channel, sizeof(channel), "many %d", i);
        REQUIRE(await_pg_listen(co, "db", channel, &l[i]) == ASYNC_OK);
    }

    REQUIRE(await_pg(co, "db", NULL, "SELECT pg_terminate_backend(pid) FROM "
                     "pg_stat_activity WHERE query LIKE 'LISTEN \"many%'")
            == ASYNC_OK);

    for (i = 0; i < 1200; i++) {
        (void) snprintf(channel, sizeof(channel), "many %d", i);
        REQUIRE(await_pg_notification(co, l[i], &n) == ASYNC_OK);
        REQUIRE(is_missed(&n, channel));
        REQUIRE(notify(co, channel, i, i) == ASYNC_OK);
        REQUIRE(await_pg_notification(co, l[i], &n) == ASYNC_OK);
        REQUIRE(is(&n, channel, channel + sizeof("many")));
    }

    return async_text(req, 200, "ok");
}


/* /left?ms=: a deadline while the server does not answer, then again */

ASYNC_HANDLER(left)
{
    int64_t               ms;
    async_rc_t            rc;
    async_pg_listener_t  *l;

    ASYNC_TRY(async_query_int(req, "ms", &ms));

    {
        ASYNC_DEADLINE(co, ms);
        rc = await_pg_listen(co, "db", "left", &l);
    }

    return async_json_pack(req, 200, "i", (int) rc);
}


/* outside of requests */

static async_rc_t
in_background(async_t *co, void *arg)
{
    async_pg_listener_t      *l;
    async_pg_notification_t   n;

    (void) arg;

    ASYNC_TRY(await_pg_listen(co, "db", "background", &l));
    async_task_log(co, ASYNC_LOG_NOTICE, "<the background listens>");
    ASYNC_TRY(await_pg_notification(co, l, &n));
    async_task_log(co, ASYNC_LOG_NOTICE, "<the background hears %s>",
                   n.payload.data);
    return ASYNC_OK;
}


ASYNC_HANDLER(background)
{
    ASYNC_TRY(async_background(req, in_background, (char *) NULL));

    return async_text(req, 200, "ok");
}


static async_rc_t
own(async_t *co, const char *who)
{
    async_pg_listener_t      *l;
    async_pg_notification_t   n;

    ASYNC_TRY(await_pg_listen(co, "db", who, &l));
    ASYNC_TRY(notify(co, who, 5, 5));
    ASYNC_TRY(await_pg_notification(co, l, &n));

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s hears %s>", who,
                   n.payload.data);
    return ASYNC_OK;
}


ASYNC_STARTUP(start)
{
    return async_task_param(co, "start").data ? own(co, "start") : ASYNC_OK;
}


ASYNC_PERIODIC(tick)
{
    return own(co, "tick");
}


ASYNC_SHUTDOWN(stop)
{
    return async_task_param(co, "start").data ? own(co, "stop") : ASYNC_OK;
}


static async_rc_t
called(async_t *co, void *arg)
{
    (void) arg;

    return own(co, "call");
}


BLOCKING_HANDLER(blocking)
{
    ASYNC_TRY(async_call(req, called, NULL));

    return async_text(req, 200, "ok");
}


/* LISTEN where it does not belong */

ASYNC_HANDLER(stray)
{
    ASYNC_TRY(await_pg(co, "db", NULL, "SELECT listens()"));

    return async_text(req, 200, "ok");
}
