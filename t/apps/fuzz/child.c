
/*
 * Children: spawned, joined, cancelled, several at once.
 */

#include "fuzz.h"
#include <string.h>


static node_t *
node_create(node_t *n, int budget)
{
    node_t  *c;
    tree_t  *t = n->tree;

    if (t->nnodes == NODES) {
        return NULL;
    }

    c = &t->nodes[t->nnodes++];

    memset(c, 0, sizeof(node_t));

    c->tree = t;
    c->parent = n;
    c->random = draw(&n->random);
    c->budget = budget;
    c->depth = n->depth + 1;
    c->shielded = c->unreached = n->shield > 0;
    c->deadline = n->deadline;
    c->base = n->base;
    c->in_cleanup = n->cleaning;
    c->told = must_refuse(n);

    if (n->cleaning) {
        n->has_late = 1;
    }

    c->sibling = n->children;
    n->children = c;

    counts.tasks++;

    return c;
}


static int
share_of(node_t *n)
{
    int  share;

    if (n->budget <= 0 || n->depth >= 5) {
        return -1;
    }

    /* one for the child itself, the rest for those below it */

    share = 1 + below(n, n->budget);
    n->budget -= share;

    return share - 1;
}


/* NULL: there are enough of them. */

node_t *
spawn(async_t *co, node_t *n)
{
    int      share = share_of(n);
    node_t  *c = share < 0 ? NULL : node_create(n, share);

    if (c) {
        c->handle = async_spawn(co, node_body, c);

        expect(c->handle != NULL, n, "async_spawn fails: %s",
               async_error(co));
    }

    return c;
}


async_rc_t
do_spawn(async_t *co, node_t *n)
{
    return spawn(co, n) ? ASYNC_OK : do_yield(co, n);
}


static node_t *
some_child(node_t *n)
{
    int      k = 0;
    node_t  *c, *found = NULL;

    for (c = n->children; c; c = c->sibling) {
        if (c->handle && below(n, ++k) == 0) {
            found = c;
        }
    }

    return found;
}


/* What a child has answered that its parent has joined. */

static int
is_answer_of(node_t *c, async_rc_t rc)
{
    if (c->begun) {
        return c->ended && rc == c->rc;
    }

    return (rc == ASYNC_CANCELLED && may_be_marked(c))
           || (rc == ASYNC_TIMEOUT && c->parent->deadline
               && now() >= c->parent->deadline)
           || (rc == ASYNC_TIMEOUT && may_time_out(c));
}


/* Whoever is refused has cancelled it, and has waited for it all the same. */

async_rc_t
join(async_t *co, node_t *n, node_t *c)
{
    int             had_ended = c->ended, must = must_refuse(n);
    async_rc_t      rc;
    async_child_t  *handle = c->handle;

    c->joining = 1;

    rc = await_join(co, handle);

    c->handle = NULL;
    c->joining = 0;

    expect(!c->begun || c->ended, n, "await_join, and it has not ended");

    if (had_ended && !c->has_late) {
        counts.awaits[-rc]++;
        expect(rc == c->rc, n, "await_join answers %s, and %s was there",
               name_of(rc), name_of(c->rc));
        return ASYNC_OK;
    }

    /* what is refused for sure, be the child's answer what it is */

    if ((had_ended || !c->begun || (!must && n->stuck == ASYNC_OK))
        && is_answer_of(c, rc))
    {
        counts.awaits[-rc]++;
        return ASYNC_OK;
    }

    c->cancelled = 1;
    counts.joins_refused++;

    expect(is_refused(n, "await_join", must, rc), n, "await_join answers %s, "
           "child %d %s", name_of(rc), (int) (c - n->tree->nodes),
           name_of(c->rc));

    return rc;
}


/* The same without its end: it goes on. */

async_rc_t
wait_for(async_t *co, node_t *n, node_t *c)
{
    int         must = must_refuse(n);
    async_rc_t  rc = await_ended(co, c->handle);

    if (!is_refused(n, "await_ended", must, rc)) {
        expect(rc == ASYNC_OK, n, "await_ended answers %s", name_of(rc));
        expect(c->ended || (!c->begun && may_be_marked(c))
               || (!c->begun && may_time_out(c)), n,
               "await_ended, and it has not");
    }

    return rc;
}


async_rc_t
do_join(async_t *co, node_t *n)
{
    node_t  *c = some_child(n);

    if (c == NULL) {
        return do_yield(co, n);
    }

    return below(n, 4) ? join(co, n, c) : wait_for(co, n, c);
}


/* Of any task of the tree, also of oneself, and of one's parent. */

async_rc_t
do_cancel(node_t *n)
{
    int      k = below(n, n->tree->nnodes);
    node_t  *c = below(n, 2) ? some_child(n) : &n->tree->nodes[k];

    if (c && c->handle) {
        c->cancelled = 1;
        async_cancel(c->handle);
        tell(c);
    }

    return ASYNC_OK;
}


async_rc_t
do_several(async_t *co, node_t *n)
{
    int            i, k, share, winner = -2, how = below(n, 3), failed, any_ok;
    int            must = must_refuse(n);
    node_t        *c[4];
    group_t        g;
    async_rc_t     rc;
    async_work_t   work[4];

    memset(&g, 0, sizeof(group_t));

    g.all = how == 0;
    g.any = how == 1;
    g.first = -1;

    for (k = 1 + below(n, 4), i = 0; i < k; i++) {
        share = share_of(n);
        c[i] = share < 0 ? NULL : node_create(n, share);

        if (c[i] == NULL) {
            break;
        }

        c[i]->group = &g;
        c[i]->index = i;

        /* of those that are bounded, as they wait for it in vain */
        c[i]->endless = is_bounded(n) && below(n, 4) == 0;

        work[i].fn = node_body;
        work[i].arg = c[i];
    }

    k = i;

    if (k == 0) {
        return do_yield(co, n);
    }

    rc = g.all ? await_all(co, work, (size_t) k)
         : g.any ? await_any(co, work, (size_t) k, &winner)
         : await_gather(co, work, (size_t) k);

    failed = any_ok = 0;

    for (i = 0; i < k; i++) {
        expect(!c[i]->begun || c[i]->ended, n, "one of several is alive");
        expect(!c[i]->begun || work[i].rc == c[i]->rc, n, "one of several "
               "has returned %s, not %s", name_of(c[i]->rc),
               name_of(work[i].rc));
        expect(c[i]->begun || work[i].rc != ASYNC_OK, n,
               "one of several has not begun, and is ok");
        expect((work[i].error == NULL) == (work[i].rc == ASYNC_OK)
               || !c[i]->begun, n, "one of several has %s, and the error %s",
               name_of(work[i].rc), work[i].error);

        failed |= work[i].rc != ASYNC_OK && work[i].rc == rc;
        any_ok += work[i].rc == ASYNC_OK;

        /* it is nobody's but the group's, which goes */
        c[i]->cancelled |= g.decided;
        c[i]->group = NULL;
    }

    if (g.any) {
        expect((rc == ASYNC_OK) == (winner >= 0 && winner < k), n,
               "await_any answers %s, winner %d", name_of(rc), winner);
        expect(rc != ASYNC_OK || work[winner].rc == ASYNC_OK, n,
               "the winner %d has %s", winner, name_of(work[winner].rc));
        expect(rc != ASYNC_OK || g.late || winner == g.first, n,
               "the winner is %d, and %d was first", winner, g.first);
    }

    if (rc == ASYNC_OK) {
        (void) is_refused(n, "await of several", must, rc);
        expect(!g.all || any_ok == k, n, "await_all is ok, and %d of %d are",
               any_ok, k);
        return ASYNC_OK;
    }

    /* one of them has returned so, or it is the caller's own */

    if ((g.all || g.any) && failed && n->stuck == ASYNC_OK) {
        counts.awaits[-rc]++;
        return ASYNC_OK;
    }

    counts.joins_refused++;

    expect(is_refused(n, "await of several", must, rc), n, "several answer %s",
           name_of(rc));

    return rc;
}
