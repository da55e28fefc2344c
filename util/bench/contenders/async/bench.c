/*
 * The handlers of util/bench.  "n" repeats an await, which tells the cost of
 * one from that of the request.
 */

#include <unistd.h>
#include <ngx_async.h>
#include "../work.h"


ASYNC_HANDLER(hello)
{
    return async_json_pack(req, 200, "{s:s}", "message", "Hello, World!");
}


ASYNC_HANDLER(yield)
{
    int64_t  n;

    ASYNC_TRY(async_query_int_or(req, "n", &n, 1));

    while (n-- > 0) {
        ASYNC_TRY(await_yield(co));
    }

    return async_json_pack(req, 200, "{s:s}", "message", "Hello, World!");
}


ASYNC_HANDLER(wait)
{
    int64_t  n, ms;

    ASYNC_TRY(async_query_int_or(req, "n", &n, 1));
    ASYNC_TRY(async_query_int_or(req, "ms", &ms, 1000));

    while (n-- > 0) {
        ASYNC_TRY(await_sleep(co, ms));
    }

    return async_json_pack(req, 200, "{s:b}", "ok", 1);
}


/* in threads */

BLOCKING_HANDLER(cpu)
{
    work_1ms();

    return async_json_pack(req, 200, "{s:s}", "message", "done");
}


BLOCKING_HANDLER(block)
{
    usleep(10000);

    return async_json_pack(req, 200, "{s:s}", "message", "done");
}


BLOCKING_HANDLER(noop)
{
    return async_json_pack(req, 200, "{s:s}", "message", "Hello, World!");
}
