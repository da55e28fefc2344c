
/* Handlers of t/stack.t. */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>


/* a KiB a level, which the compiler must not turn into a loop */

static __attribute__((noinline)) int
deep(int levels)
{
    volatile char  frame[1024];

    frame[0] = (char) levels;

    if (levels <= 1) {
        return frame[0];
    }

    return deep(levels - 1) + frame[0];
}


ASYNC_HANDLER(dive)
{
    char     text[64];
    int64_t  k;

    ASYNC_TRY(async_query_int(req, "k", &k));
    ASYNC_TRY(await_sleep(co, 1));

    snprintf(text, sizeof(text), "dived %d\n", deep((int) k) != -1);

    return async_text(req, 200, text);
}


static __attribute__((noinline)) async_rc_t
deep_sleep(async_t *co, int levels, int64_t ms)
{
    async_rc_t     rc;
    volatile char  frame[1024];

    frame[0] = (char) levels;
    frame[1023] = frame[0];

    rc = levels <= 1 ? await_sleep(co, ms) : deep_sleep(co, levels - 1, ms);

    return frame[0] == frame[1023] && frame[0] == (char) levels ? rc
                                                                : ASYNC_ERROR;
}


/* suspends in the depth */

ASYNC_HANDLER(sleep_deep)
{
    int64_t  k, ms;

    ASYNC_TRY(async_query_int(req, "k", &k));
    ASYNC_TRY(async_query_int(req, "ms", &ms));
    ASYNC_TRY(deep_sleep(co, (int) k, ms));

    return async_text(req, 200, "slept deep\n");
}


/* waits where the stack is low, after it has been deep */

ASYNC_HANDLER(rest)
{
    int      sum;
    int64_t  k;

    ASYNC_TRY(async_query_int(req, "k", &k));

    sum = deep((int) k);

    ASYNC_TRY(await_sleep(co, 50000));

    return async_text(req, 200, deep((int) k) == sum ? "same\n" : "other\n");
}


/* computes in the depth, for signals to come there */

ASYNC_HANDLER(busy_deep)
{
    int      i;
    int64_t  k;

    ASYNC_TRY(async_query_int(req, "k", &k));

    for (i = 0; i < 200; i++) {
        for (int n = 0; n < 200; n++) {
            (void) deep((int) k);
        }

        ASYNC_TRY(await_yield(co));
    }

    return async_text(req, 200, "busy deep\n");
}


ASYNC_HANDLER(hello)
{
    ASYNC_TRY(await_yield(co));

    return async_text(req, 200, "hello\n");
}


ASYNC_HANDLER(nap)
{
    int64_t  ms;

    ASYNC_TRY(async_query_int(req, "ms", &ms));
    ASYNC_TRY(await_sleep(co, ms));

    return async_text(req, 200, "nap\n");
}
