
/*
 * Shields, around awaits and around children.
 */

#include "task.h"


/* ?ms= for which it is shielded, ?nap= for which it sleeps there */

ASYNC_HANDLER(shield)
{
    int64_t     ms, nap;
    async_rc_t  rc;
    out_t       out = { "", 0 };

    (void) async_query_int_or(req, "ms", &ms, 5000);
    (void) async_query_int_or(req, "nap", &nap, 1200);

    SCOPE {
        ASYNC_SHIELD(co, ms);                      /* the shield */

        say(co, "shielded>");
        rc = await_sleep(co, nap);
        say(co, "shield %s>", name_of(rc));
        answer(co, &out, "inside", rc);
    }

    rc = await_sleep(co, 10);
    say(co, "after %s%s%s>", name_of(rc), rc ? ": " : "",
        rc ? async_error(co) : "");
    answer(co, &out, "after", rc);

    return rc ? rc : async_text(req, 200, out.text);
}


ASYNC_HANDLER(shield_call)
{
    int64_t     hour = HOUR, ms = 1200;
    async_rc_t  rc;
    out_t       out = { "", 0 };

    answer(co, &out, "late", await_shield(co, 50, naps, &hour));

    say(co, "asleep>");
    rc = await_shield(co, 5000, naps, &ms);
    say(co, "shield %s>", name_of(rc));
    answer(co, &out, "ok", rc);

    rc = await_sleep(co, 1);
    say(co, "after %s>", name_of(rc));

    return rc ? rc : async_text(req, 200, out.text);
}


/* children from before, and from inside */

ASYNC_HANDLER(shield_children)
{
    job_t           a = { .name = "a", .ms = HOUR },
                    b = { .name = "b", .ms = 1200 },
                    c = { .name = "c", .ms = HOUR };
    async_rc_t      rc;
    async_child_t  *before, *inside, *longer;

    before = async_spawn(co, run, &a);

    SCOPE {
        ASYNC_SHIELD(co, HOUR);

        inside = async_spawn(co, run, &b);
        longer = async_spawn(co, run, &c);

        rc = await_join(co, inside);
        say(co, "inside %s>", name_of(rc));
    }

    rc = await_join(co, longer);
    say(co, "longer %s>", name_of(rc));

    rc = await_join(co, before);
    say(co, "before %s>", name_of(rc));

    return await_sleep(co, 1);
}
