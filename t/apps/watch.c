
/* Handlers of t/watch.t, which hold the loop, or do not. */

#include <ngx_async.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>


static void
hold(int64_t ms)
{
    struct timespec  left = { ms / 1000, ms % 1000 * 1000000 };

    while (nanosleep(&left, &left) == -1) { /* void */ }
}


static int64_t
ms_of(async_req_t *req)
{
    int64_t  ms;

    (void) async_query_int_or(req, "ms", &ms, 150);

    return ms;
}


ASYNC_HANDLER(at_start)
{
    hold(ms_of(req));
    ASYNC_TRY(await_yield(co));

    return async_text(req, 200, "held\n");
}


ASYNC_HANDLER(no_await)
{
    hold(ms_of(req));

    return async_text(req, 200, "held\n");
}


ASYNC_HANDLER(after_await)
{
    ASYNC_TRY(await_yield(co));
    ASYNC_TRY(await_sleep(co, 10));           /* the await before */

    hold(ms_of(req));

    ASYNC_TRY(await_yield(co));

    return async_text(req, 200, "held\n");
}


ASYNC_HANDLER(twice)
{
    ASYNC_TRY(await_sleep(co, 1));            /* the first of two */
    hold(ms_of(req));
    ASYNC_TRY(await_yield(co));               /* the second of two */
    hold(2 * ms_of(req));

    return async_text(req, 200, "held\n");
}


/* in all much longer than each stretch */

ASYNC_HANDLER(often)
{
    int  i;

    for (i = 0; i < 100; i++) {
        hold(20);
        ASYNC_TRY(await_yield(co));
    }

    return async_text(req, 200, "held often\n");
}


/* what it awaits is not what it holds */

ASYNC_HANDLER(sleeps)
{
    ASYNC_TRY(await_sleep(co, ms_of(req)));

    return async_text(req, 200, "slept\n");
}


BLOCKING_HANDLER(blocks)
{
    hold(ms_of(req));

    return async_text(req, 200, "blocked\n");
}


static async_rc_t
hold_call(async_t *co, void *arg)
{
    int64_t  *ms = arg;

    ASYNC_TRY(await_sleep(co, 1));            /* the await of a call */
    hold(*ms);

    return ASYNC_OK;
}


BLOCKING_HANDLER(calls)
{
    int64_t  ms = ms_of(req);

    ASYNC_TRY(async_call(req, hold_call, &ms));

    return async_text(req, 200, "called\n");
}


static void
hold_cleanup(async_t *co, void *arg)
{
    if (await_sleep(co, 1) == ASYNC_OK) {     /* the await of a cleanup */
        hold(*(int64_t *) arg);
    }
}


ASYNC_HANDLER(cleans)
{
    int64_t  *ms = async_alloc(req, sizeof(int64_t));

    *ms = ms_of(req);
    ASYNC_TRY(async_defer(co, hold_cleanup, ms));

    return async_text(req, 200, "cleaned\n");
}


static void
hold_hook(async_t *co, const char *key)
{
    const char  *ms;

    ms = async_task_param(co, key).data;

    if (ms) {
        hold(atoi(ms));
    }
}


ASYNC_STARTUP(start)
{
    hold_hook(co, "start");

    return ASYNC_OK;
}


ASYNC_SHUTDOWN(stop)
{
    ASYNC_TRY(await_sleep(co, 1));            /* the await of a hook */
    hold_hook(co, "stop");

    return ASYNC_OK;
}
