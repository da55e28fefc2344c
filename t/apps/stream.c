
/*
 * Handlers of t/stream.t: responses in pieces.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* letters by their place in the response, so that a mistake shows */

static void
fill(char *p, size_t len, int64_t offset)
{
    for (size_t i = 0; i < len; i++) {
        p[i] = 'a' + (offset + (int64_t) i) % 26;
    }
}


/* /pieces?n=&size=&ms=&length=&fail=&type=&wait=  n pieces of size bytes */

ASYNC_HANDLER(pieces)
{
    char        *p;
    int64_t      n, size, ms, length, fail, wait;
    async_rc_t   rc;
    async_str_t  type;

    (void) async_query_int_or(req, "n", &n, 3);
    (void) async_query_int_or(req, "size", &size, 10);
    (void) async_query_int_or(req, "ms", &ms, 0);
    (void) async_query_int_or(req, "length", &length, -1);
    (void) async_query_int_or(req, "fail", &fail, -1);

    (void) async_query_int_or(req, "wait", &wait, 0);

    if (wait) {
        ASYNC_TRY(await_sleep(co, wait));
    }

    type = async_query(req, "type");

    ASYNC_TRY(async_set_header(req, "X-Kind", "pieces"));

    if (type.data || length != -1) {
        ASYNC_TRY(async_stream(req, 203, type.data, length));
    }

    p = malloc(size + 1);

    for (int64_t i = 0; i < n; i++) {

        if (i == fail) {
            free(p);
            return async_fail(req, 500, "in the middle");
        }

        fill(p, size, i * size);

        rc = await_send(co, req, p, size);

        memset(p, '#', size);

        if (rc != ASYNC_OK) {
            async_log(req, ASYNC_LOG_NOTICE, "<send %d after %d: %s>", rc,
                      (int) i, async_error(co));
            free(p);
            return rc;
        }

        if (ms) {
            rc = await_sleep(co, ms);

            if (rc != ASYNC_OK) {
                async_log(req, ASYNC_LOG_NOTICE, "<sleep %d>", rc);
                free(p);
                return rc;
            }
        }
    }

    free(p);

    return ASYNC_OK;
}


/* the header first, then nothing for a while */

ASYNC_HANDLER(early)
{
    ASYNC_TRY(async_stream(req, 200, "text/plain", -1));
    ASYNC_TRY(await_send(co, req, NULL, 0));
    ASYNC_TRY(await_sleep(co, 600));

    return await_send(co, req, "late", 4);
}


/* a piece that a scope cuts off */

ASYNC_HANDLER(cut)
{
    char        *p;
    int          rc, after;
    size_t       size = 30000000;

    p = malloc(size);
    fill(p, size, 0);

    {
        ASYNC_DEADLINE(co, 200);

        rc = await_send(co, req, p, size);
    }

    memset(p, '#', size);
    free(p);

    after = await_send(co, req, "more", 4);

    async_log(req, ASYNC_LOG_NOTICE, "<cut %d, after %d: %s>", rc, after,
              async_error(co));

    return ASYNC_OK;
}


/* two senders at once */

static async_rc_t
sends(async_t *co, void *arg)
{
    static char  much[20000000];

    return await_send(co, (async_req_t *) arg, much, sizeof(much));
}


ASYNC_HANDLER(both)
{
    int             rc;
    async_child_t  *child;

    child = async_spawn(co, sends, req);

    ASYNC_TRY(await_sleep(co, 50));

    rc = await_send(co, req, "x", 1);

    async_log(req, ASYNC_LOG_NOTICE, "<both %d: %s>", rc, async_error(co));

    return await_join(co, child);
}


/* server-sent events */

ASYNC_HANDLER(events)
{
    async_sse_t  first = { .data = "one\ntwo\r\nthree", .event = "greeting",
                           .id = "7", .retry = 2500 };
    async_sse_t  beat = { .comment = "still here" };
    async_sse_t  last = { .data = async_header(req, "last-event-id").data };
    async_sse_t  bad = { .data = "x", .id = "1\ndata: y" };

    ASYNC_TRY(await_sse(co, req, &first));
    ASYNC_TRY(await_sleep(co, 10));
    ASYNC_TRY(await_sse(co, req, &beat));

    if (await_sse(co, req, &bad) != ASYNC_ERROR) {
        return ASYNC_ERROR;
    }

    return await_sse(co, req, &last);
}


/* one for ever, until the client leaves */

ASYNC_HANDLER(ticks)
{
    async_rc_t   rc;
    async_sse_t  tick = { .data = "tick" };

    do {
        rc = await_sse(co, req, &tick);

        if (rc == ASYNC_OK) {
            rc = await_sleep(co, 20);
        }

    } while (rc == ASYNC_OK);

    async_log(req, ASYNC_LOG_NOTICE, "<ticks end %d>", rc);

    return rc;
}


BLOCKING_HANDLER(blocking)
{
    return async_stream(req, 200, NULL, -1);
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}
