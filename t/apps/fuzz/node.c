
/*
 * A node: the steps of its function, its cleanups, and its end.
 */

#include "fuzz.h"


static async_rc_t
do_sleep(async_t *co, node_t *n)
{
    int         ms = below(n, 4), must = must_refuse(n);
    async_rc_t  rc;

    if (n->deadline && below(n, 4) == 0) {
        /* longer than any deadline in these trees */
        ms = 2000;
    }

    rc = await_sleep(co, ms);

    if (!is_refused(n, "await_sleep", must, rc)) {
        expect(rc == ASYNC_OK, n, "await_sleep answers %s", name_of(rc));
        expect(ms < 2000, n, "await_sleep has slept beyond a deadline");
    }

    return rc;
}


async_rc_t
do_yield(async_t *co, node_t *n)
{
    int         must = must_refuse(n);
    async_rc_t  rc = await_yield(co);

    if (!is_refused(n, "await_yield", must, rc)) {
        expect(rc == ASYNC_OK, n, "await_yield answers %s", name_of(rc));
    }

    return rc;
}


/* Cleanups, which may do what others do */

static void
cleanup(async_t *co, void *arg)
{
    cleanup_t  *c = arg;
    place_t     place;
    node_t     *n = c->node, *mark;

    expect(c->number == n->to_clean, n, "cleanup %d runs, and not %d",
           c->number, n->to_clean);

    n->to_clean = c->number - 1;

    counts.cleanups++;

    if (c->number == 0) {
        /* the first that was registered: it is the end */
        return;
    }

    place = place_of(n);
    mark = n->children;

    n->cleaning = 1;
    n->shield++;
    n->deadline = 0;
    n->base = 0;
    n->stuck = ASYNC_OK;

    if (below(n, 2)) {
        (void) block(co, n, NESTED - 1);
    }

    children_go(n, mark);

    n->cleaning = 0;
    n->shield = place.shield;
    n->deadline = place.deadline;
    n->base = place.base;
    n->stuck = place.stuck;
}


static int
decides(const node_t *n)
{
    return n->rc == ASYNC_OK ? n->group->any : n->group->all;
}


static void
last_cleanup(async_t *co, void *arg)
{
    int       i;
    node_t   *n = arg, *c;
    group_t  *g = n->group;

    expect(n->begun == 1 && n->ended == 0, n, "ends %d times", n->ended + 1);
    expect(n->to_clean == 0, n, "%d cleanups have not run", n->to_clean);

    for (c = n->children; c; c = c->sibling) {
        expect(c->in_cleanup || c->ended || !c->begun, n, "child %d outlives "
               "it", (int) (c - n->tree->nodes));
    }

    n->ended = 1;
    counts.alive--;
    counts.cleanups++;

    for (i = 0; i < MUTEXES; i++) {
        if (n->leaves >> i & 1) {
            mutex_given(n, i);
        }
    }

    if (g && n->has_late) {
        /* it waits for children of its cleanups */
        g->late = 1;
    }

    if (g && g->first == -1 && n->rc == ASYNC_OK) {
        g->first = n->index;
    }

    if (g && decides(n) && !n->has_late) {
        /* the others are cancelled in this very moment */

        for (c = n->parent->children; c; c = c->sibling) {
            if (c->group == g && !c->ended && !c->told) {
                tell(c);
            }
        }
    }
}


async_rc_t
do_defer(async_t *co, node_t *n)
{
    cleanup_t  *c;

    if (n->ncleanups == CLEANUPS || n->cleaning) {
        return ASYNC_OK;
    }

    c = &n->cleanups[++n->ncleanups];
    c->node = n;
    c->number = n->ncleanups;

    n->to_clean = n->ncleanups;

    expect(async_defer(co, cleanup, c) == ASYNC_OK, n, "async_defer fails");

    return ASYNC_OK;
}


/* What somebody else ends; or nobody. */

static async_rc_t
do_wait(async_t *co, node_t *n, int nested)
{
    async_rc_t  rc;

    switch (below(n, 5)) {
    case 0:
        rc = do_mutex(co, n, nested);
        break;

    case 1:
        rc = do_semaphore(co, n, nested);
        break;

    case 2:
        rc = do_event(co, n);
        break;

    case 3:
        rc = do_put(co, n);
        break;

    default:
        rc = do_get(co, n);
    }

    expect(rc != ASYNC_CANCELLED || may_be_cancelled(n), n,
           "it is cancelled, and nobody has done so");

    return rc;
}


static async_rc_t
in_bound(async_t *co, node_t *n, int nested, int ms)
{
    ASYNC_DEADLINE(co, ms);

    return do_wait(co, n, nested);
}


static async_rc_t
do_bounded_wait(async_t *co, node_t *n, int nested)
{
    int         ms = below(n, 5);
    place_t     place = place_of(n);
    async_rc_t  rc;

    if (is_bounded(n)) {
        return do_wait(co, n, nested);
    }

    deadline_begins(n, ms);

    rc = in_bound(co, n, nested, ms);

    deadline_ends(n, place);

    return rc == ASYNC_TIMEOUT ? ASYNC_OK : rc;
}


static async_rc_t
step(async_t *co, node_t *n, int nested)
{
    int  most = nested < NESTED ? 27 : 19;

    switch (below(n, most)) {
    case 0:
    case 1:
        return do_sleep(co, n);

    case 2:
        return do_yield(co, n);

    case 3:
    case 4:
    case 5:
        return do_bounded_wait(co, n, nested);

    case 6:
    case 7:
    case 8:
    case 9:
        return do_spawn(co, n);

    case 10:
        return do_join(co, n);

    case 11:
        return do_cancel(n);

    case 12:
    case 13:
        return do_several(co, n);

    case 14:
        return do_defer(co, n);

    case 15:
        return do_close(co, n);

    case 16:
        return do_late(co, n);

    case 17:
        return do_thread(co, n);

    case 18:
        return below(n, 3) ? do_file(co, n) : do_folder(co, n);

    case 19:
    case 20:
        return do_deadline(co, n, nested);

    case 21:
    case 22:
        return do_shield(co, n, nested);

    case 23:
    case 24:
        return do_memory(co, n, nested);

    default:
        return do_group(co, n, nested);
    }
}


/* A few steps.  What is refused ends them, mostly. */

async_rc_t
block(async_t *co, node_t *n, int nested)
{
    int         i, steps;
    async_rc_t  rc = ASYNC_OK;

    if (nested > NESTED) {
        return do_yield(co, n);
    }

    steps = nested == 0 ? 3 + below(n, n->parent ? 5 : 8) : 1 + below(n, 3);

    for (i = 0; i < steps; i++) {
        rc = step(co, n, nested);

        if ((rc == ASYNC_TIMEOUT || rc == ASYNC_CANCELLED) && below(n, 4)) {
            return rc;
        }
    }

    return (rc == ASYNC_TIMEOUT || rc == ASYNC_CANCELLED) ? rc : ASYNC_OK;
}


async_rc_t
node_body(async_t *co, void *arg)
{
    int       i;
    node_t   *n = arg;
    group_t  *g = n->group;

    expect(n->begun == 0, n, "begins twice");
    expect(!n->told, n, "begins, and it has been cancelled before");

    n->begun = 1;
    counts.alive++;

    expect(async_defer(co, last_cleanup, n) == ASYNC_OK, n,
           "async_defer fails");

    n->rc = n->endless ? endless(co, n) : block(co, n, 0);

    if (n->rc == ASYNC_OK && below(n, 8) == 0) {
        n->rc = ASYNC_ERROR;
    }

    if (g && decides(n)) {
        g->decided = 1;
    }

    /* those that it has not joined */

    children_go(n, NULL);

    for (i = 0; i < MUTEXES; i++) {
        expect(!(n->holds & ~n->leaves & 1u << i), n, "mutex %d is still held",
               i);
    }

    return n->rc;
}
