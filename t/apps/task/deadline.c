
/*
 * Deadlines of blocks, one in another, passed before or amid an await.
 */

#include "task.h"


ASYNC_HANDLER(deadline)
{
    int64_t  ms;
    out_t    out = { "", 0 };

    (void) async_query_int_or(req, "ms", &ms, 50);

    SCOPE {
        ASYNC_DEADLINE(co, ms);                    /* the deadline */

        answer(co, &out, "sleep", await_sleep(co, HOUR));
        answer(co, &out, "yield", await_yield(co));
    }

    answer(co, &out, "after", await_sleep(co, 10));

    return async_text(req, 200, out.text);
}


/* returns with what the block has answered */

ASYNC_HANDLER(deadline_out)
{
    int64_t  ms;

    (void) async_query_int_or(req, "ms", &ms, 50);

    ASYNC_DEADLINE(co, ms);                        /* the way out */

    ASYNC_TRY(await_sleep(co, HOUR));

    return async_text(req, 200, "slept\n");
}


ASYNC_HANDLER(deadline_kept)
{
    out_t  out = { "", 0 };

    SCOPE {
        ASYNC_DEADLINE(co, 300);

        answer(co, &out, "inside", await_sleep(co, 10));
    }

    answer(co, &out, "after", await_sleep(co, 400));

    return async_text(req, 200, out.text);
}


/* ?outer=&inner= in ms */

ASYNC_HANDLER(deadlines)
{
    int64_t  outer, inner;
    out_t    out = { "", 0 };

    (void) async_query_int_or(req, "outer", &outer, 0);
    (void) async_query_int_or(req, "inner", &inner, 0);

    SCOPE {
        ASYNC_DEADLINE(co, outer);                 /* the outer one */

        SCOPE {
            ASYNC_DEADLINE(co, inner);             /* the inner one */

            answer(co, &out, "in both", await_sleep(co, HOUR));
        }

        answer(co, &out, "in one", await_sleep(co, HOUR));
    }

    answer(co, &out, "after", await_sleep(co, 10));

    return async_text(req, 200, out.text);
}


/* blocks whose deadline has passed, one after another, until /told */

static int  told_to_stop;


ASYNC_HANDLER(deadline_loop)
{
    async_rc_t  rc;

    told_to_stop = 0;
    say(co, "loops>");

    while (!told_to_stop) {
        ASYNC_DEADLINE(co, 0);

        rc = await_sleep(co, HOUR);                /* in the loop */

        if (rc != ASYNC_TIMEOUT) {
            return rc;
        }
    }

    return async_text(req, 200, "told\n");
}


/* the same, each with a wait before it, so that nothing is to be slowed down */

ASYNC_HANDLER(deadline_turns)
{
    int  n;

    for (n = 0; n < 3000; n++) {
        ASYNC_TRY(await_yield(co));

        SCOPE {
            ASYNC_DEADLINE(co, 0);

            if (await_sleep(co, HOUR) != ASYNC_TIMEOUT) {
                return ASYNC_ERROR;
            }
        }
    }

    return async_text(req, 200, "turned\n");
}


ASYNC_HANDLER(told)
{
    told_to_stop = 1;

    return async_text(req, 200, "told\n");
}


/* one that is spawned inside, and joined there or after it */

ASYNC_HANDLER(deadline_child)
{
    out_t           out = { "", 0 };
    job_t           a = { .name = "a", .ms = HOUR },
                    b = { .name = "b", .ms = HOUR },
                    c = { .name = "c", .ms = 200 };
    async_child_t  *first, *second, *before;

    before = async_spawn(co, run, &c);

    SCOPE {
        ASYNC_DEADLINE(co, 50);

        first = async_spawn(co, run, &a);
        second = async_spawn(co, run, &b);

        answer(co, &out, "inside", await_join(co, first));
    }

    answer(co, &out, "outside", await_join(co, second));
    answer(co, &out, "before", await_join(co, before));

    return async_text(req, 200, out.text);
}


/* of children that are spawned when it has passed, one joined after its end */

ASYNC_HANDLER(deadline_late)
{
    out_t           out = { "", 0 };
    job_t           job = { .name = "a" };
    async_child_t  *late = NULL;

    SCOPE {
        int64_t  ms;

        (void) async_query_int_or(req, "ms", &ms, 0);

        ASYNC_DEADLINE(co, ms);                    /* the late one */

        answer(co, &out, "sleep", await_sleep(co, HOUR));
        answer(co, &out, "child", await_join(co, async_spawn(co, run, &job)));

        late = async_spawn(co, run, &job);
    }

    answer(co, &out, "late", await_join(co, late));
    answer(co, &out, "after", await_join(co, async_spawn(co, run, &job)));

    return async_text(req, 200, out.text);
}


/* the client leaves when a deadline has passed, and before its block ends */

ASYNC_HANDLER(deadline_left)
{
    int64_t     ms = 1200;
    async_rc_t  rc;

    SCOPE {
        ASYNC_DEADLINE(co, 0);

        rc = await_sleep(co, HOUR);
        say(co, "%s>", name_of(rc));

        rc = await_shield(co, HOUR, naps, &ms);
        say(co, "shield %s>", name_of(rc));

        rc = await_sleep(co, HOUR);
        say(co, "inside %s>", name_of(rc));
    }

    rc = await_sleep(co, HOUR);
    say(co, "after %s: %s>", name_of(rc), async_error(co));

    return rc;
}


ASYNC_HANDLER(within)
{
    int      number = 7;
    out_t    out = { "", 0 };
    int64_t  shortly = 1, hour = HOUR;

    answer(co, &out, "ok", await_within(co, 5000, naps, &shortly));
    answer(co, &out, "fails", await_within(co, 5000, fails_arg, &number));
    answer(co, &out, "late", await_within(co, 50, naps, &hour));
    answer(co, &out, "zero", await_within(co, 0, naps, &hour));
    answer(co, &out, "after", await_sleep(co, 10));

    return async_text(req, 200, out.text);
}


/* a child whose cleanup is not bound by the deadline of its parent */

ASYNC_HANDLER(deadline_cleanup)
{
    out_t  out = { "", 0 };
    job_t  job = { .name = "a", .ms = HOUR, .defers = 1 };

    SCOPE {
        ASYNC_DEADLINE(co, 50);                    /* with a cleanup */

        answer(co, &out, "join", await_join(co, async_spawn(co, run, &job)));
    }

    return async_text(req, 200, out.text);
}
