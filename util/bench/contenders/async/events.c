/* The handler of wv: server-sent events. */

#include <ngx_async.h>


ASYNC_HANDLER(events)
{
    int          i;
    async_sse_t  event = { .data = "{\"message\":\"Hello, World!\"}" };

    for (i = 0; i < 100; i++) {
        ASYNC_TRY(await_sse(co, req, &event));
    }

    return ASYNC_OK;
}
