
/*
 * Tasks of t/fetch-life.t: all kinds of them fetch, and end in the middle.
 * What is fetched by those without a request is async_param "url".
 */

#include <ngx_async.h>
#include <stdlib.h>
#include <string.h>


#define URLS  16


/* ---- each kind of task */

static async_rc_t
visit(async_t *co, const char *url, const char *what)
{
    async_rc_t         rc;
    async_response_t  *res;

    rc = await_fetch(co, url, NULL, &res);

    if (rc == ASYNC_OK) {
        async_task_log(co, ASYNC_LOG_NOTICE, "<%s %d %s>", what,
                       async_response_status(res),
                       async_response_body(res).data);
    } else {
        async_task_log(co, ASYNC_LOG_NOTICE, "<%s fails: %s>", what,
                       async_error(co));
    }

    return rc;
}


static async_rc_t
visit_param(async_t *co, const char *what)
{
    const char  *url;

    url = async_task_param(co, "url").data;

    return url ? visit(co, url, what) : ASYNC_OK;
}


ASYNC_STARTUP(starts)
{
    return visit_param(co, "startup");
}


ASYNC_PERIODIC(often)
{
    return visit_param(co, "periodic");
}


ASYNC_SHUTDOWN(stops)
{
    return visit_param(co, "shutdown");
}


static async_rc_t
visit_later(async_t *co, void *arg)
{
    (void) arg;

    return visit_param(co, "background");
}


ASYNC_HANDLER(after)
{
    int  none = 0;

    ASYNC_TRY(async_background(req, visit_later, &none));

    return async_text(req, 200, "after\n");
}


static async_rc_t
visit_for_a_thread(async_t *co, void *arg)
{
    (void) arg;

    return visit_param(co, "call");
}


BLOCKING_HANDLER(threaded)
{
    ASYNC_TRY(async_call(req, visit_for_a_thread, NULL));

    return async_text(req, 200, "threaded\n");
}


static void
cleanup(async_t *co, void *arg)
{
    (void) arg;
    (void) visit_param(co, "cleanup");
}


ASYNC_HANDLER(deferred)
{
    ASYNC_TRY(async_defer(co, cleanup, NULL));

    return async_text(req, 200, "deferred\n");
}


/* ---- in the middle */

/* ?id=&url=&big=&stream=: one fetch, which is told of before and after */

static async_rc_t
read_all(async_t *co, async_response_t *res)
{
    char    buf[100];
    size_t  n;

    do {
        ASYNC_TRY(await_response_read(co, res, buf, sizeof(buf), &n));
    } while (n);

    return ASYNC_OK;
}


ASYNC_HANDLER(stuck)
{
    int64_t            big;
    async_rc_t         rc;
    const char        *id;
    async_fetch_t      f = { .flags = 0 };
    async_response_t  *res;

    id = async_query(req, "id").data;
    (void) async_query_int_or(req, "big", &big, 0);

    if (async_query(req, "stream").data) {
        f.flags = ASYNC_FETCH_STREAM;
    }

    if (big) {
        f.body.len = big;
        f.body.data = memset(async_task_alloc(co, big), 'b', big);
    }

    async_log(req, ASYNC_LOG_NOTICE, "<%s begins>", id);

    rc = await_fetch(co, async_query(req, "url").data, &f, &res);

    if (rc == ASYNC_OK && (f.flags & ASYNC_FETCH_STREAM)) {
        rc = read_all(co, res);
    }

    async_log(req, ASYNC_LOG_NOTICE, "<%s ends %d>", id, rc);

    return rc == ASYNC_OK ? async_text(req, 200, "whole\n") : rc;
}


/* ?url=: a child reads it in pieces, until its parent closes it */

static async_rc_t
reads(async_t *co, void *arg)
{
    return read_all(co, arg);
}


ASYNC_HANDLER(shared)
{
    async_rc_t         rc;
    async_fetch_t      f = { .flags = ASYNC_FETCH_STREAM };
    async_child_t     *child;
    async_response_t  *res;

    if (async_query(req, "decode").data) {
        f.flags |= ASYNC_FETCH_DECODE;
    }

    ASYNC_TRY(await_fetch(co, async_query(req, "url").data, &f, &res));

    child = async_spawn(co, reads, res);

    ASYNC_TRY(await_sleep(co, 50));

    async_response_close(co, res);

    ASYNC_DEADLINE(co, 1000);

    rc = await_join(co, child);

    return async_json_pack(req, 200, "{s:i}", "rc", rc);
}


/* ---- the other side: ?before=&pieces=&between=, in ms at most, at random */

ASYNC_HANDLER(late)
{
    int64_t  i, before, pieces, between;

    static const char  piece[1000] = "piece";

    (void) async_query_int_or(req, "before", &before, 0);
    (void) async_query_int_or(req, "pieces", &pieces, 0);
    (void) async_query_int_or(req, "between", &between, 0);

    if (before) {
        ASYNC_TRY(await_sleep(co, rand() % before));
    }

    if (pieces == 0) {
        return async_text(req, 200, "late");
    }

    if (pieces % 2) {
        ASYNC_TRY(async_stream(req, 200, NULL,
                               pieces * (int64_t) sizeof(piece)));
    }

    for (i = 0; i < pieces; i++) {
        ASYNC_TRY(await_send(co, req, piece, sizeof(piece)));

        if (between) {
            ASYNC_TRY(await_sleep(co, rand() % between));
        }
    }

    return ASYNC_OK;
}


/* ---- many, of which most are cancelled */

typedef struct {
    const char  *url[URLS];
    const char  *proxy;
    int64_t      urls;
    int64_t      turns;
    int64_t      within;
    int64_t      count[8];                 /* by code, its sign turned */
    int64_t      stopped;
} storm_t;


static async_rc_t
slow_source(async_t *co, void *arg, void *buf, size_t size, size_t *n)
{
    int  *left = arg;

    (void) size;

    ASYNC_TRY(await_sleep(co, rand() % 3));

    if (*left) {
        (*left)--;
        *n = 100;
        memset(buf, 's', *n);
    }

    return ASYNC_OK;
}


static async_rc_t
one(async_t *co, storm_t *s)
{
    int                left = 5;
    async_fetch_t      f = { .flags = 0 };
    async_response_t  *res;

    if (rand() % 2) {
        f.flags = ASYNC_FETCH_STREAM;
    }

    if (rand() % 4 == 0) {
        f.source = slow_source;
        f.source_arg = &left;
    }

    if (s->proxy && rand() % 8 == 0) {
        f.proxy = s->proxy;
    }

    /* of the call, or of the scope around it */

    if (rand() % 2) {
        f.timeout = 1 + rand() % s->within;
    }

    f.redirects = 3;

    ASYNC_TRY(await_fetch(co, s->url[rand() % s->urls], &f, &res));

    if (f.flags & ASYNC_FETCH_STREAM) {
        if (rand() % 4 == 0) {
            s->stopped++;
            return ASYNC_OK;
        }

        return read_all(co, res);
    }

    return ASYNC_OK;
}


static async_rc_t
storm_of(async_t *co, void *arg)
{
    async_rc_t  rc;
    storm_t    *s = arg;

    while (s->turns > 0) {
        s->turns--;

        {
            ASYNC_MEMORY(co);
            ASYNC_DEADLINE(co, 1 + rand() % s->within);

            rc = one(co, s);
        }

        s->count[-rc]++;
    }

    return ASYNC_OK;
}


/* {"urls": […], "turns": …, "within": …, "tasks": …, "seed": …} */

ASYNC_HANDLER(storm)
{
    storm_t        s;
    size_t         i, tasks;
    json_t        *ask, *urls;
    async_work_t   work[64];

    ASYNC_TRY(await_json(co, req, &ask));

    memset(&s, 0, sizeof(s));

    urls = json_object_get(ask, "urls");

    for (i = 0; i < json_array_size(urls) && i < URLS; i++) {
        s.url[i] = json_string_value(json_array_get(urls, i));
    }

    s.urls = i;
    s.proxy = json_string_value(json_object_get(ask, "proxy"));
    s.turns = json_integer_value(json_object_get(ask, "turns"));
    s.within = json_integer_value(json_object_get(ask, "within"));
    tasks = json_integer_value(json_object_get(ask, "tasks"));

    srand((unsigned) json_integer_value(json_object_get(ask, "seed")));

    for (i = 0; i < tasks; i++) {
        work[i] = (async_work_t) { .fn = storm_of, .arg = &s };
    }

    ASYNC_TRY(await_gather(co, work, tasks));

    return async_json_pack(req, 200, "{s:I, s:I, s:I, s:I, s:I}",
                           "ok", s.count[0], "error", s.count[1],
                           "timeout", s.count[2], "closed", s.count[4],
                           "stopped", s.stopped);
}


/* ?url=&n=: so many of it, each with memory of its own */

ASYNC_HANDLER(again)
{
    int64_t            i, n, bytes;
    async_response_t  *res;

    ASYNC_TRY(async_query_int_or(req, "n", &n, 1));

    for (i = 0, bytes = 0; i < n; i++) {
        ASYNC_MEMORY(co);

        ASYNC_TRY(await_fetch(co, async_query(req, "url").data, NULL, &res));

        bytes += (int64_t) async_response_body(res).len;
    }

    return async_json_pack(req, 200, "I", bytes);
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}
