
/*
 * What is the same for all that one waits for: who gets it when, and what
 * becomes of those that are cancelled, or late.
 */

#include "sync.h"
#include <string.h>


#define WAITERS  10


/* ?cancel=N, ?late=N: the waiter that is cancelled, or has a deadline */

ASYNC_HANDLER(in_turn)
{
    int        i, n;
    int64_t    cancel, late;
    line_t    *l = line_of(req);
    waiter_t  *w = async_alloc(req, WAITERS * sizeof(waiter_t));

    cancel = number_of(req, "cancel", -1);
    late = number_of(req, "late", -1);
    n = WAITERS;

    ASYNC_TRY(occupy(co, l));
    ASYNC_TRY(begin_waiters(co, l, w, WAITERS, (int) late, 20));

    if (l->waiting != WAITERS) {
        note(l, "only %d wait", l->waiting);
    }

    if (late >= 0) {
        ASYNC_TRY(await_ended(co, w[late].child));
        n--;
    }

    if (cancel >= 0) {
        async_cancel(w[cancel].child);
        n--;
    }

    note(l, "go");

    ASYNC_TRY(let_go(co, l, n));

    for (i = 0; i < WAITERS; i++) {
        join(co, w[i].child);
    }

    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


/*
 * The first waiter is given it, or cancelled, and then the other one of both
 * within the same turn of the loop: ?first=give, cancel
 */

static async_rc_t
tells(async_t *co, void *arg)
{
    int         item;
    waiter_t   *w = arg;
    async_rc_t  rc;

    rc = stand(co, w->line, w->id, &item);
    note(w->line, "%d:%s", w->id, name_of(rc));

    if (rc == ASYNC_OK) {
        if (w->line->kind == GET) {
            note(w->line, "item%d", item);
        }

        note(w->line, "next:%s", name_of(await_yield(co)));
        (void) leave(co, w->line);
    }

    return rc;
}


ASYNC_HANDLER(same_turn)
{
    int           i, give;
    line_t       *l = line_of(req);
    waiter_t     *w = async_alloc(req, 2 * sizeof(waiter_t));
    async_str_t   first;

    first = async_query(req, "first");
    give = first.data && strcmp(first.data, "give") == 0;

    ASYNC_TRY(occupy(co, l));

    for (i = 0; i < 2; i++) {
        w[i].line = l;
        w[i].id = i;
        w[i].child = async_spawn(co, tells, &w[i]);
        ASYNC_TRY(await_yield(co));
    }

    if (give) {
        ASYNC_TRY(let_go(co, l, 1));
        async_cancel(w[0].child);

    } else {
        async_cancel(w[0].child);
        ASYNC_TRY(let_go(co, l, 1));
    }

    ASYNC_TRY(await_ended(co, w[0].child));
    ASYNC_TRY(yields(co, 4));

    if (give && (l->kind == GET || l->kind == PUT)) {
        /* for the second one */
        ASYNC_TRY(let_go(co, l, 1));
    }

    for (i = 0; i < 2; i++) {
        join(co, w[i].child);
    }

    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


/* A deadline that has passed before, and a cancel: no line is joined. */

ASYNC_HANDLER(too_late)
{
    int         item;
    line_t     *l = line_of(req);
    async_rc_t  rc;

    {
        ASYNC_DEADLINE(co, 0);
        rc = stand(co, l, 1, &item);
    }

    note(l, "%s", name_of(rc));
    note(l, "%s", state_of(co, l));

    return answer(req, l);
}
