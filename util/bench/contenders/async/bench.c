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


/* 1,000 children, each joined before the next is spawned, or all at once */

static async_rc_t
one(async_t *co, void *arg)
{
    ++*(int *) arg;

    return ASYNC_OK;
}


ASYNC_HANDLER(spawn)
{
    int  i, sum = 0;

    for (i = 0; i < 1000; i++) {
        ASYNC_TRY(await_join(co, async_spawn(co, one, &sum)));
    }

    return async_json_pack(req, 200, "{s:i}", "sum", sum);
}


ASYNC_HANDLER(gather)
{
    int           i, sum = 0;
    async_work_t  work[1000];

    for (i = 0; i < 1000; i++) {
        work[i].fn = one;
        work[i].arg = &sum;
    }

    ASYNC_TRY(await_all(co, work, 1000));

    return async_json_pack(req, 200, "{s:i}", "sum", sum);
}


/* 300, 600 and 1,000 ms at once */

static async_rc_t
sleeps_for(async_t *co, void *arg)
{
    return await_sleep(co, *(int64_t *) arg);
}


ASYNC_HANDLER(sleeps)
{
    int64_t       ms[] = { 300, 600, 1000 };
    async_work_t  work[] = { { sleeps_for, &ms[0], ASYNC_OK, NULL },
                             { sleeps_for, &ms[1], ASYNC_OK, NULL },
                             { sleeps_for, &ms[2], ASYNC_OK, NULL } };

    ASYNC_TRY(await_all(co, work, 3));

    return async_json_pack(req, 200, "{s:b}", "ok", 1);
}


/* 16 MiB or so many, as the file that nginx itself sends */

ASYNC_HANDLER(pieces)
{
    int64_t      i, n;
    static char  piece[65536];

    ASYNC_TRY(async_query_int_or(req, "mib", &n, 16));

    n *= 16;

    ASYNC_TRY(async_stream(req, 200, NULL, n * (int64_t) sizeof(piece)));

    for (i = 0; i < n; i++) {
        ASYNC_TRY(await_send(co, req, piece, sizeof(piece)));
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(swallow)
{
    char    piece[16384];
    size_t  n;

    do {
        ASYNC_TRY(await_body_read(co, req, piece, sizeof(piece), &n));
    } while (n);

    return async_text(req, 200, "done");
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


/* the same with three of these before it */

BLOCKING_DEPENDENCY(dep_one, const char)   { return async_provide(req, "1"); }
BLOCKING_DEPENDENCY(dep_two, const char)   { return async_provide(req, "2"); }
BLOCKING_DEPENDENCY(dep_three, const char) { return async_provide(req, "3"); }

BLOCKING_HANDLER(depends, ASYNC_DEPENDS(dep_one, dep_two, dep_three))
{
    if (*dep_one_of(req) + *dep_two_of(req) + *dep_three_of(req) != 150) {
        return ASYNC_ERROR;
    }

    return async_json_pack(req, 200, "{s:s}", "message", "Hello, World!");
}


BLOCKING_HANDLER(noop)
{
    return async_json_pack(req, 200, "{s:s}", "message", "Hello, World!");
}
