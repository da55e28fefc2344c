
/*
 * Children that end when they are cancelled, and not before: whoever waits for
 * them runs out of time, or is cancelled, and has to take them along.
 */

#include "fuzz.h"


#define LATE  3


typedef struct {
    node_t       *node;
    node_t       *mark;                       /* its child before */
    node_t       *children[LATE];
    int           count;
    int           ms;
} late_t;


/* For what cannot come. */

static async_rc_t
wait_in_vain(async_t *co, node_t *n)
{
    int             must = must_refuse(n);
    void           *item;
    async_rc_t      rc;
    const char     *await;
    async_event_t   never = { { NULL } };
    async_queue_t   empty = ASYNC_QUEUE(1);

    switch (below(n, 3)) {
    case 0:
        await = "an endless await_sleep";
        rc = await_sleep(co, 3600000);
        break;

    case 1:
        await = "an endless await_event";
        rc = await_event(co, &never);
        break;

    default:
        await = "an endless await_get";
        rc = await_get(co, &empty, &item);
    }

    expect(is_refused(n, await, must, rc), n, "%s answers %s", await,
           name_of(rc));

    return rc;
}


static async_rc_t
vain_in_deadline(async_t *co, node_t *n, int ms)
{
    ASYNC_DEADLINE(co, ms);

    return wait_in_vain(co, n);
}


async_rc_t
do_vain(async_t *co, node_t *n)
{
    int         ms = below(n, 3);
    place_t     place = place_of(n);
    async_rc_t  rc;

    deadline_begins(n, ms);

    rc = vain_in_deadline(co, n, ms);

    deadline_ends(n, place);

    return rc == ASYNC_TIMEOUT ? n->stuck : rc;
}


/* The function of such a child. */

async_rc_t
endless(async_t *co, node_t *n)
{
    node_t     *c;
    async_rc_t  rc;

    if (below(n, 2)) {
        /* which whoever joins it waits for, too */
        (void) do_defer(co, n);
    }

    if (below(n, 2)) {
        (void) block(co, n, NESTED);
    }

    c = below(n, 4) ? NULL : spawn(co, n);

    if (c) {
        c->endless = 1;
        (void) join(co, n, c);
    }

    /* that one may have been cancelled alone */

    rc = wait_in_vain(co, n);

    return below(n, 4) ? rc : ASYNC_OK;
}


static void
late_spawn(async_t *co, late_t *l)
{
    int      i, count = l->count;
    node_t  *c;

    l->count = 0;

    for (i = 0; i < count; i++) {
        c = spawn(co, l->node);

        if (c == NULL) {
            break;
        }

        c->endless = 1;
        l->children[l->count++] = c;
    }
}


static async_rc_t
late_join(async_t *co, late_t *l)
{
    int         i;
    async_rc_t  rc = ASYNC_OK;

    for (i = 0; i < l->count; i++) {
        rc = join(co, l->node, l->children[i]);
    }

    return rc;
}


/* One that is only waited for lives on, to be cancelled and joined. */

static async_rc_t
late_wait(async_t *co, late_t *l)
{
    int      i;
    node_t  *c = l->children[0];

    (void) wait_for(co, l->node, c);

    for (i = 0; i < l->count; i++) {
        c = l->children[i];
        c->cancelled = 1;
        async_cancel(c->handle);
        tell(c);
    }

    return late_join(co, l);
}


/* Those that have not been joined go with the block. */

static async_rc_t
late_group(async_t *co, late_t *l)
{
    async_rc_t  rc = ASYNC_OK;

    ASYNC_GROUP(co);

    late_spawn(co, l);

    if (l->count && below(l->node, 2)) {
        l->count = 1;
        rc = late_join(co, l);

    } else if (below(l->node, 2)) {
        rc = do_yield(co, l->node);
    }

    children_go(l->node, l->mark);

    return rc;
}


static async_rc_t
late_in_deadline(async_t *co, late_t *l)
{
    ASYNC_DEADLINE(co, l->ms);

    if (l->count == 0) {
        l->count = 1 + below(l->node, LATE);
        return late_group(co, l);
    }

    return below(l->node, 3) ? late_join(co, l) : late_wait(co, l);
}


async_rc_t
do_late(async_t *co, node_t *n)
{
    late_t      l = { n, n->children, { NULL }, below(n, LATE + 1),
                      below(n, 4) };
    place_t     place = place_of(n);
    async_rc_t  rc;

    if (l.count) {
        /* without the deadline of whoever waits for them */

        late_spawn(co, &l);

        if (l.count == 0) {
            return do_yield(co, n);
        }
    }

    deadline_begins(n, l.ms);

    rc = late_in_deadline(co, &l);

    deadline_ends(n, place);

    children_gone(n, l.mark, "a late join");

    return rc == ASYNC_TIMEOUT ? ASYNC_OK : rc;
}
