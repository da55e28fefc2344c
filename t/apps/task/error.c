
/*
 * Failures of one's own: async_task_fail() in calls, children and cleanups, in
 * handlers, background tasks and periodic ones.
 */

#include "task.h"
#include <stdio.h>


static async_rc_t
fails_around(async_t *co, void *arg)
{
    int  number = *(int *) arg;

    ASYNC_TRY(await_sleep(co, 1));

    if (fail(co, number) != ASYNC_OK) {
        return async_task_fail(co, ASYNC_BUSY, "busy, as it %s",
                               async_error(co));
    }

    return ASYNC_OK;
}


static async_rc_t
fails_badly(async_t *co, void *arg)
{
    size_t  i;
    char    text[4000];

    for (i = 0; i < sizeof(text) - 1; i++) {
        text[i] = (char) ('a' + i % 26);
    }

    text[i] = '\0';

    return async_task_fail(co, ASYNC_ERROR, "one\ntwo\033%s%s", (char *) arg,
                           text);
}


/* a cleanup's own is not the task's */

static void
failing_cleanup(async_t *co, void *arg)
{
    (void) fail(co, *(int *) arg);
}


static async_rc_t
fails_after(async_t *co, void *arg)
{
    static int  other = 8;

    ASYNC_TRY(async_defer(co, failing_cleanup, &other));

    return fail(co, *(int *) arg);
}


ASYNC_HANDLER(own)
{
    int           number = 7;
    out_t         out = { "", 0 };
    async_rc_t    rc;
    async_work_t  work[] = { { fails_around, &number, ASYNC_OK, NULL },
                             { fails_after, &number, ASYNC_OK, NULL } };

    answer(co, &out, "call", fails_arg(co, &number));
    answer(co, &out, "child", await_join(co, async_spawn(co, fails_around,
                                                         &number)));
    answer(co, &out, "cleanup", await_join(co, async_spawn(co, fails_after,
                                                           &number)));
    answer(co, &out, "badly", await_join(co, async_spawn(co, fails_badly,
                                                         (void *) "\x7f")));

    rc = await_gather(co, work, 2);
    answer(co, &out, "gather", rc);
    tell(&out, "first", work[0].rc, work[0].error);
    tell(&out, "second", work[1].rc, work[1].error);

    answer(co, &out, "all", await_all(co, work, 2));
    answer(co, &out, "as it was", async_task_fail(co, ASYNC_OK, "nothing"));

    return async_text(req, 200, out.text);
}


/* ends with it, and leaves a background task that does so, too */

ASYNC_HANDLER(own_end)
{
    int  number = 9;

    if (async_query(req, "background").data) {
        ASYNC_TRY(async_background(req, fails_arg, &number));
        return async_text(req, 200, "later\n");
    }

    return fail(co, number);
}


BLOCKING_HANDLER(own_call)
{
    int          number = 7;
    char         text[256];
    async_rc_t   rc;

    rc = async_call(req, fails_around, &number);

    snprintf(text, sizeof(text), "%s: %s\n", name_of(rc),
             async_req_error(req));

    return async_text(req, 200, text);
}


ASYNC_PERIODIC(own_period)
{
    return fail(co, 11);
}
