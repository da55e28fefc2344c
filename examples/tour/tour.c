
/*
 * A tour of handlers.
 *
 * A handler is a function that answers a request.  An async one reads from top
 * to bottom, and where it says "await" nginx serves others until there is
 * something to go on with.  Its locals are still there afterwards.
 *
 * A blocking handler runs in a thread, and may block or compute as it likes.
 * It has no "co", so an await in it does not compile.
 */

#include <unistd.h>
#include <ngx_async.h>


/* A handler in full: a status, and JSON.  async_json() takes the value. */

ASYNC_HANDLER(get_data)
{
    return async_json(req, 200, json_pack("{s:s}", "message",
                                          "Hello, world"));
}


/* nginx.conf says which URI leads here; the function only has its name. */

ASYNC_HANDLER(async_example)
{
    return async_json(req, 200, json_pack("{s:s}", "status",
                                          "This is async"));
}


/* ... nor which kind it is: that is found here. */

BLOCKING_HANDLER(sync_example)
{
    return async_json(req, 200, json_pack("{s:s}", "status",
                                          "This is sync"));
}


/* One word switches between the kinds. */

ASYNC_HANDLER(read_async)
{
    return async_json(req, 200, json_pack("{s:s}", "type", "async"));
}


BLOCKING_HANDLER(read_sync)
{
    return async_json(req, 200, json_pack("{s:s}", "type", "sync"));
}


/* Five seconds of a thread, and nobody else waits for them. */

BLOCKING_HANDLER(slow_blocking)
{
    sleep(5);

    return async_json(req, 200, json_pack("{s:s}", "message",
                                          "Done sleeping."));
}


/*
 * Five seconds in which this costs a timer and a few pages of memory, and
 * nobody waits for it.  ASYNC_TRY returns if the await did not succeed, for
 * one because the client has gone: there is nobody left to answer then.
 */

ASYNC_HANDLER(slow_non_blocking)
{
    ASYNC_TRY(await_sleep(co, 5000));

    return async_json(req, 200, json_pack("{s:s}", "message",
                                          "Done sleeping asynchronously."));
}


/* Ask for this one while those above sleep: it answers at once. */

ASYNC_HANDLER(hello)
{
    return async_json(req, 200, json_pack("{s:s}", "message", "Hello!"));
}


ASYNC_HANDLER(delayed_response)
{
    ASYNC_TRY(await_sleep(co, 3000));      /* a delay of 3 seconds */

    return async_json(req, 200, json_pack("{s:s}", "message",
                                          "Waited 3 seconds"));
}


/*
 * A coroutine of one's own takes "co" and may await.  As a task it can also
 * be run alone: util/async-run examples/tour/tour.c fetch_data
 */

ASYNC_TASK(fetch_data)
{
    const char  **data = arg;

    ASYNC_TRY(await_sleep(co, 2000));

    *data = "Data loaded";

    return ASYNC_OK;
}


/* To await it is to call it: data = await fetch_data() */

ASYNC_HANDLER(load_data)
{
    const char  *data = NULL;

    ASYNC_TRY(fetch_data(co, &data));

    return async_json(req, 200, json_pack("{s:s}", "data", data));
}


/* sum(i * i % 1234 for i in range(n)); reduced first, so that it can grow */

static async_rc_t
complex_calculation(async_req_t *req, int64_t n, int64_t *result)
{
    int64_t  i, m;

    *result = 0;

    for (i = 0; i < n; i++) {

        if (i % 1000000 == 0 && async_cancelled(req)) {
            return ASYNC_CANCELLED;        /* nobody waits for it any more */
        }

        m = i % 1234;
        *result += m * m % 1234;
    }

    return ASYNC_OK;
}


/* Work for a thread.  What is no number is answered 422 by async_path_int(). */

BLOCKING_HANDLER(calculate)
{
    int64_t  n, number, result;

    ASYNC_TRY(async_path_int(req, "number", &number));

    if (__builtin_mul_overflow(number, 10000, &n)) {
        n = number < 0 ? 0 : INT64_MAX;    /* beyond every deadline */
    }

    ASYNC_TRY(complex_calculation(req, n, &result));

    return async_json(req, 200, json_pack("{s:I, s:I}", "number",
                                          (json_int_t) number, "result",
                                          (json_int_t) result));
}


/*
 * Dependencies of either kind, under a handler of either kind: they have run
 * when the handler begins, and it has their values by name_of(req).  This one
 * may compute: it runs in a thread.
 */

BLOCKING_DEPENDENCY(sync_dependency, const char)
{
    int64_t  work;

    ASYNC_TRY(complex_calculation(req, 1000, &work));

    return async_provide(req, "sync");
}


ASYNC_DEPENDENCY(async_dependency, const char)
{
    ASYNC_TRY(await_sleep(co, 50));

    return async_provide(req, "async");
}


ASYNC_HANDLER(read_mixed, ASYNC_DEPENDS(sync_dependency, async_dependency))
{
    int64_t  calc;

    ASYNC_TRY(complex_calculation(req, 500, &calc));    /* it is short */

    return async_json_pack(req, 200, "{s:{s:s}, s:{s:s}, s:I}",
                           "sync_dep", "dep", sync_dependency_of(req),
                           "async_dep", "dep", async_dependency_of(req),
                           "sync_calc", (json_int_t) calc);
}


/*
 * The API of somebody else.  "api" is an upstream {} of nginx.conf; it might be
 * https://api.example.com as well.  What it says is passed on, whatever its
 * status is; no JSON is an error, and the client gets 500.
 */

ASYNC_HANDLER(external_api)
{
    json_t            *data;
    async_response_t  *res;

    ASYNC_TRY(await_fetch(co, "http://api/data", NULL, &res));
    ASYNC_TRY(async_response_json(co, res, &data));

    return async_json(req, 200, json_incref(data));
}


/* Redirects are not followed unless async_fetch_t asks for it. */

ASYNC_HANDLER(call_other_api)
{
    async_response_t  *res;

    ASYNC_TRY(await_fetch(co, "http://api/", NULL, &res));

    return async_json_pack(req, 200, "{s:i}", "status",
                           async_response_status(res));
}


/* raise_for_status() of httpx: what is not 2xx is an error, too. */

static async_rc_t
fetch_todo(async_t *co, json_t **todo)
{
    async_response_t  *res;

    ASYNC_TRY(await_fetch(co, "http://api/todos/1", NULL, &res));
    ASYNC_TRY(async_raise_for_status(co, res));

    return async_response_json(co, res, todo);
}


ASYNC_HANDLER(get_external_data)
{
    json_t      *todo;
    async_rc_t   rc;

    rc = fetch_todo(co, &todo);

    if (rc == ASYNC_TIMEOUT) {
        return ASYNC_ERROR;                /* 500, as FastAPI; else it is 504 */
    }

    ASYNC_TRY(rc);
    ASYNC_TRY(await_sleep(co, 100));       /* another await: 0.1 seconds */

    return async_json_pack(req, 200, "{s:O, s:s}", "external", todo,
                           "message", "Data fetched");
}
