
/*
 * A tour of async handlers.
 *
 * A handler is a function that answers a request.  It reads from top to
 * bottom, and where it says "await" nginx serves others until there is
 * something to go on with.  Its locals are still there afterwards.
 */

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


ASYNC_HANDLER(read_async)
{
    return async_json(req, 200, json_pack("{s:s}", "type", "async"));
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


/* Ask for this one while the one above sleeps: it answers at once. */

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
