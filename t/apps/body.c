/* Handlers for t/body.t: the body as it came, and how its reading ended. */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>


/* of the only worker: how many handlers began to read, and how that ended */

static int  started, ended, cancelled, timed_out, failed;


static async_rc_t
read_body(async_t *co, async_req_t *req, async_str_t *body)
{
    async_rc_t  rc;

    started++;

    rc = await_body(co, req, body);

    ended++;
    cancelled += (rc == ASYNC_CANCELLED);
    timed_out += (rc == ASYNC_TIMEOUT);
    failed += (rc == ASYNC_ERROR);

    return rc;
}


static async_rc_t
answer(async_req_t *req, async_str_t *body)
{
    char  len[32];

    snprintf(len, sizeof(len), "%zu", body->len);

    ASYNC_TRY(async_set_header(req, "X-Length", len));
    ASYNC_TRY(async_set_header(req, "X-End",
                               body->data[body->len] ? "other" : "zero"));

    return async_bytes(req, 200, NULL, body->data, body->len);
}


ASYNC_HANDLER(echo)
{
    async_str_t  body;

    ASYNC_TRY(read_body(co, req, &body));

    return answer(req, &body);
}


ASYNC_HANDLER(twice)
{
    async_str_t  one, two;

    ASYNC_TRY(await_body(co, req, &one));
    ASYNC_TRY(await_sleep(co, 1));
    ASYNC_TRY(await_body(co, req, &two));

    return async_text(req, 200, (one.data == two.data && one.len == two.len)
                                ? "the same" : "another");
}


/* sleeps before and after, as long as ?before= and ?after= say */

ASYNC_HANDLER(sleepy)
{
    int64_t      before, after;
    async_str_t  body;

    ASYNC_TRY(async_query_int_or(req, "before", &before, 0));
    ASYNC_TRY(async_query_int_or(req, "after", &after, 0));

    if (before) {
        ASYNC_TRY(await_sleep(co, before));
    }

    ASYNC_TRY(read_body(co, req, &body));

    if (after) {
        started++;

        if (await_sleep(co, after) == ASYNC_CANCELLED) {
            cancelled++;
            ended++;
            return ASYNC_CANCELLED;
        }

        ended++;
    }

    return answer(req, &body);
}


/* asks again after a failure, sleeps, and answers all the same */

ASYNC_HANDLER(stubborn)
{
    int          one, two;
    char         text[128];
    async_str_t  body;

    one = read_body(co, req, &body);
    two = await_body(co, req, &body);

    if (await_sleep(co, 300) != ASYNC_OK) {
        return ASYNC_CANCELLED;
    }

    snprintf(text, sizeof(text), "%d %d %s", one, two, async_error(co));

    return async_text(req, 200, text);
}


ASYNC_HANDLER(unread)
{
    return async_text(req, 200, "not read");
}


ASYNC_HANDLER(sorry)
{
    return async_text(req, 413, "sorry");
}


ASYNC_HANDLER(slowly_sorry)
{
    ASYNC_TRY(await_sleep(co, 1000));

    return async_text(req, 413, "slowly sorry");
}


ASYNC_HANDLER(counts)
{
    return async_json(req, 200, json_pack("{s:i, s:i, s:i, s:i, s:i}",
                      "started", started, "waiting", started - ended,
                      "cancelled", cancelled, "timed_out", timed_out,
                      "failed", failed));
}
