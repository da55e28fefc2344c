
/*
 * Mutexes: locked twice, by another one, left locked, to the end of a block.
 */

#include "sync.h"
#include <string.h>


#define LONG  3600000


ASYNC_HANDLER(mutex_again)
{
    line_t  *l = line_of(req);

    note(l, "%s", name_of(await_lock(co, &l->mutex)));
    note(l, "%s", name_of(await_lock(co, &l->mutex)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(async_try_lock(co, &l->mutex)));
    note(l, "%s", name_of(async_unlock(co, &l->mutex)));
    note(l, "%s", name_of(async_unlock(co, &l->mutex)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(async_try_lock(co, &l->mutex)));
    note(l, "%s", name_of(async_try_lock(co, &l->mutex)));
    note(l, "%s", name_of(async_unlock(co, &l->mutex)));

    return answer(req, l);
}


static async_rc_t
other(async_t *co, void *arg)
{
    line_t  *l = arg;

    note(l, "try:%s", name_of(async_try_lock(co, &l->mutex)));
    note(l, "unlock:%s", name_of(async_unlock(co, &l->mutex)));
    note(l, "(%s)", async_error(co));

    return ASYNC_OK;
}


ASYNC_HANDLER(mutex_other)
{
    line_t  *l = line_of(req);

    ASYNC_TRY(await_lock(co, &l->mutex));
    ASYNC_TRY(await_join(co, async_spawn(co, other, l)));
    note(l, "%s", name_of(async_unlock(co, &l->mutex)));

    return answer(req, l);
}


static async_rc_t
forgets(async_t *co, void *arg)
{
    line_t  *l = arg;

    ASYNC_TRY(await_lock(co, &l->mutex));     /* where one forgets */
    note(l, "locked");

    return yields(co, 5);
}


static async_rc_t
forgets_two(async_t *co, void *arg)
{
    line_t  *l = arg;

    ASYNC_TRY(await_lock(co, &l[0].mutex));   /* the first of two */
    ASYNC_TRY(await_lock(co, &l[1].mutex));   /* the second of two */

    return yields(co, 5);
}


static async_rc_t
never_comes(async_t *co, void *arg)
{
    line_t  *l = arg;

    ASYNC_TRY(async_try_lock(co, &l->mutex));

    return await_sleep(co, LONG);
}


/* ?how=: end, cancel, handed (to one that is cancelled then), try */

ASYNC_HANDLER(mutex_left)
{
    line_t         *l = line_of(req);
    waiter_t       *w = async_alloc(req, sizeof(waiter_t));
    const char     *how = async_query(req, "how").data;
    async_child_t  *child;

    if (strcmp(how, "handed") == 0) {
        ASYNC_TRY(await_lock(co, &l->mutex));
        child = async_spawn(co, forgets, l);
        ASYNC_TRY(await_yield(co));

        (void) async_unlock(co, &l->mutex);
        async_cancel(child);
        note(l, "%s", name_of(await_join(co, child)));
        note(l, "%s", state_of(co, l));

        return answer(req, l);
    }

    child = async_spawn(co, strcmp(how, "end") == 0 ? forgets : never_comes,
                        l);
    ASYNC_TRY(await_yield(co));

    ASYNC_TRY(begin_waiters(co, l, w, 1, -1, 0));

    if (strcmp(how, "end") != 0) {
        async_cancel(child);
    }

    join(co, child);
    note(l, "ended");
    join(co, w[0].child);

    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


ASYNC_HANDLER(mutex_left_two)
{
    line_t  *l = async_alloc(req, 2 * sizeof(line_t));

    line_init(&l[0], MUTEX);
    line_init(&l[1], MUTEX);

    ASYNC_TRY(await_join(co, async_spawn(co, forgets_two, l)));

    note(l, "%s", state_of(co, &l[0]));
    note(l, "%s", state_of(co, &l[1]));

    return answer(req, l);
}


/* unlocks in another order than it has locked, and leaves the one between */

static async_rc_t
forgets_middle(async_t *co, void *arg)
{
    line_t  *l = arg;

    ASYNC_TRY(await_lock(co, &l[0].mutex));
    ASYNC_TRY(await_lock(co, &l[1].mutex));   /* the middle one of three */
    ASYNC_TRY(await_lock(co, &l[2].mutex));

    ASYNC_TRY(async_unlock(co, &l[0].mutex));

    return async_unlock(co, &l[2].mutex);
}


ASYNC_HANDLER(mutex_left_middle)
{
    int      i;
    line_t  *l = async_alloc(req, 3 * sizeof(line_t));

    for (i = 0; i < 3; i++) {
        line_init(&l[i], MUTEX);
    }

    ASYNC_TRY(await_join(co, async_spawn(co, forgets_middle, l)));

    for (i = 0; i < 3; i++) {
        note(l, "%s", state_of(co, &l[i]));
    }

    return answer(req, l);
}


static async_rc_t
in_scope(async_t *co, line_t *l, int early)
{
    ASYNC_LOCK(co, &l->mutex);

    note(l, "held:%s", name_of(async_unlock(co, &l->mutex)));
    ASYNC_TRY(async_try_lock(co, &l->mutex));

    if (early) {
        return ASYNC_CLOSED;
    }

    note(l, "late");

    return await_yield(co);
}


static async_rc_t
in_scope_cancelled(async_t *co, void *arg)
{
    line_t  *l = arg;

    ASYNC_LOCK(co, &l->mutex);

    return await_sleep(co, LONG);
}


ASYNC_HANDLER(mutex_scope)
{
    line_t         *l = line_of(req);
    async_child_t  *first, *second;

    note(l, "%s", name_of(in_scope(co, l, 1)));
    note(l, "%s", state_of(co, l));
    note(l, "%s", name_of(in_scope(co, l, 0)));
    note(l, "%s", state_of(co, l));

    {
        ASYNC_LOCK(co, &l->mutex);
        note(l, "again:%s", name_of(in_scope(co, l, 0)));
    }

    note(l, "%s", state_of(co, l));

    first = async_spawn(co, in_scope_cancelled, l);
    second = async_spawn(co, in_scope_cancelled, l);
    ASYNC_TRY(await_yield(co));

    async_cancel(second);
    note(l, "in line:%s", name_of(await_join(co, second)));
    note(l, "%s", name_of(async_try_lock(co, &l->mutex)));

    async_cancel(first);
    note(l, "inside:%s", name_of(await_join(co, first)));
    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


static void
locks(async_t *co, void *arg)
{
    line_t  *l = arg;

    note(l, "cleanup:%s", name_of(await_lock(co, &l->mutex)));
    note(l, "%s", name_of(async_unlock(co, &l->mutex)));
}


static async_rc_t
locks_at_end(async_t *co, void *arg)
{
    ASYNC_TRY(async_defer(co, locks, arg));

    return await_sleep(co, LONG);
}


ASYNC_HANDLER(mutex_cleanup)
{
    line_t         *l = line_of(req);
    async_child_t  *child;

    ASYNC_TRY(await_lock(co, &l->mutex));

    child = async_spawn(co, locks_at_end, l);
    ASYNC_TRY(await_yield(co));

    async_cancel(child);
    ASYNC_TRY(yields(co, 3));

    note(l, "unlock");
    (void) async_unlock(co, &l->mutex);
    note(l, "%s", name_of(await_join(co, child)));
    note(l, "%s", state_of(co, l));

    return answer(req, l);
}
