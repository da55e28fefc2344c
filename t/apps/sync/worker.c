
/*
 * One line of the worker, for clients that go, and for its end.
 */

#include "sync.h"
#include <stdio.h>


static line_t  shared;


/* ?on=: all of it anew, and occupied until /go or for ?ms= */

ASYNC_HANDLER(hold)
{
    int64_t  ms = number_of(req, "ms", 0);

    line_init(&shared, kind_of(req));

    ASYNC_TRY(occupy(co, &shared));
    note(&shared, "held");

    if (ms) {
        ASYNC_TRY(await_sleep(co, ms));

    } else if (shared.kind == MUTEX) {
        /* it is its owner that unlocks */
        ASYNC_TRY(await_event(co, &shared.event));
    }

    if (shared.kind == MUTEX || ms) {
        note(&shared, "go");
        ASYNC_TRY(let_go(co, &shared, (int) number_of(req, "n", 1)));
    }

    return async_text(req, 200, "held\n");
}


ASYNC_HANDLER(go)
{
    if (shared.kind == MUTEX) {
        async_event_set(co, &shared.event);

    } else {
        note(&shared, "go");
        ASYNC_TRY(let_go(co, &shared, (int) number_of(req, "n", 1)));
    }

    return async_text(req, 200, "go\n");
}


ASYNC_HANDLER(wait_for)
{
    waiter_t    w = { &shared, 0, 0, 0, NULL };
    async_rc_t  rc;

    w.id = (int) number_of(req, "id", 0);

    rc = waiter_stands(co, &w);

    return rc == ASYNC_OK ? async_text(req, 200, "had it\n") : rc;
}


ASYNC_HANDLER(waiting)
{
    char  text[32];

    snprintf(text, sizeof(text), "%d", shared.waiting);

    return async_text(req, 200, text);
}


ASYNC_HANDLER(trace)
{
    return async_text(req, 200, shared.trace);
}


ASYNC_HANDLER(state)
{
    note(&shared, "%s", state_of(co, &shared));

    return async_text(req, 200, shared.trace);
}
