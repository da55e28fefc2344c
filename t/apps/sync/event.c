
/*
 * Events: set before, and set for a moment.
 */

#include "sync.h"


ASYNC_HANDLER(event_before)
{
    line_t  *l = line_of(req);

    note(l, "%d", async_event_is_set(co, &l->event));
    async_event_set(co, &l->event);
    async_event_set(co, &l->event);
    note(l, "%d", async_event_is_set(co, &l->event));
    note(l, "%s", name_of(await_event(co, &l->event)));
    note(l, "%s", name_of(await_event(co, &l->event)));
    async_event_clear(co, &l->event);
    note(l, "%d", async_event_is_set(co, &l->event));

    {
        ASYNC_DEADLINE(co, 10);
        note(l, "%s", name_of(await_event(co, &l->event)));
    }

    return answer(req, l);
}


/* set and cleared at once: it wakes those that wait, and nobody later */

ASYNC_HANDLER(event_pulse)
{
    int        i;
    line_t    *l = line_of(req);
    waiter_t  *w = async_alloc(req, 4 * sizeof(waiter_t));

    l->kind = EVENT;

    ASYNC_TRY(begin_waiters(co, l, w, 3, -1, 0));

    async_event_set(co, &l->event);
    async_event_clear(co, &l->event);

    for (i = 0; i < 3; i++) {
        ASYNC_TRY(await_join(co, w[i].child));
    }

    w[3] = (waiter_t) { l, 3, 10, 0, NULL };
    join(co, async_spawn(co, waiter, &w[3]));
    note(l, "%s", state_of(co, l));

    return answer(req, l);
}
