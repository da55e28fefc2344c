
/*
 * Blocks with a scope, each in a function that ends with it, so that the model
 * knows when it has ended.
 */

#include "fuzz.h"
#include <string.h>


static async_rc_t
in_deadline(async_t *co, node_t *n, int nested, int ms)
{
    ASYNC_DEADLINE(co, ms);

    return block(co, n, nested + 1);
}


typedef struct {
    node_t  *node;
    int      nested;
} within_t;


static async_rc_t
within(async_t *co, void *arg)
{
    within_t  *w = arg;

    return block(co, w->node, w->nested + 1);
}


async_rc_t
do_deadline(async_t *co, node_t *n, int nested)
{
    int         ms = below(n, 6);
    place_t     place = place_of(n);
    within_t    w = { n, nested };
    async_rc_t  rc;

    if (is_bounded(n) && below(n, 4) == 0) {
        /* the nearer one, outside, holds */
        ms = 5000;
    }

    deadline_begins(n, ms);

    rc = below(n, 3) ? in_deadline(co, n, nested, ms)
                     : await_within(co, ms, within, &w);

    if (rc == ASYNC_TIMEOUT) {
        expect(may_time_out(n), n, "a block times out before its deadline");
    }

    deadline_ends(n, place);

    return rc == ASYNC_TIMEOUT ? ASYNC_OK : rc;
}


static async_rc_t
in_shield(async_t *co, node_t *n, int nested, int ms)
{
    ASYNC_SHIELD(co, ms);

    return block(co, n, nested + 1);
}


async_rc_t
do_shield(async_t *co, node_t *n, int nested)
{
    int         ms = 1 + below(n, 6);
    place_t     place = place_of(n);
    within_t    w = { n, nested };
    async_rc_t  rc;

    shield_begins(n, ms);

    rc = below(n, 3) ? in_shield(co, n, nested, ms)
                     : await_shield(co, ms, within, &w);

    shield_ends(n, place);

    return rc == ASYNC_TIMEOUT ? ASYNC_OK : rc;
}


/* The children since "mark" go at the end of these. */

static async_rc_t
in_memory(async_t *co, node_t *n, int nested, node_t *mark)
{
    int             size = 1 + below(n, 3000), value = below(n, 256), i;
    async_rc_t      rc;
    unsigned char  *p;

    ASYNC_MEMORY(co);

    p = async_task_alloc(co, (size_t) size);

    if (p == NULL) {
        wrong(origin_of(n), "async_task_alloc fails");
        return ASYNC_OK;
    }

    memset(p, value, (size_t) size);

    rc = block(co, n, nested + 1);

    for (i = 0; i < size && p[i] == value; i++) { /* void */ }

    expect(i == size, n, "memory is overwritten");

    children_go(n, mark);

    return rc;
}


static async_rc_t
in_group(async_t *co, node_t *n, int nested, node_t *mark)
{
    async_rc_t  rc;

    ASYNC_GROUP(co);

    rc = block(co, n, nested + 1);

    children_go(n, mark);

    return rc;
}


async_rc_t
do_memory(async_t *co, node_t *n, int nested)
{
    node_t      *mark = n->children;
    async_rc_t   rc;

    rc = in_memory(co, n, nested, mark);

    children_gone(n, mark, "ASYNC_MEMORY");

    return rc;
}


async_rc_t
do_group(async_t *co, node_t *n, int nested)
{
    node_t      *mark = n->children;
    async_rc_t   rc;

    rc = in_group(co, n, nested, mark);

    children_gone(n, mark, "ASYNC_GROUP");

    return rc;
}
