
/*
 * Mutexes, semaphores, events and queues of a tree: who holds what, and what
 * has become of each item.
 */

#include "fuzz.h"


static void
mutex_held(node_t *n, int i)
{
    tree_t  *t = n->tree;

    expect(t->holder[i] == NULL, n, "mutex %d is held by node %d, too", i,
           (int) (t->holder[i] - t->nodes));

    t->holder[i] = n;
    n->holds |= 1u << i;
}


void
mutex_given(node_t *n, int i)
{
    tree_t  *t = n->tree;

    expect(t->holder[i] == n, n, "mutex %d has been taken away", i);

    t->holder[i] = NULL;
    n->holds &= ~(1u << i);
}


static int
is_locked(node_t *n, int i, const char *call, async_rc_t rc)
{
    int  mine = ((n->holds | n->leaves) >> i) & 1;

    if (rc == ASYNC_OK) {
        expect(!mine, n, "%s: locked twice", call);
        mutex_held(n, i);
        return 1;
    }

    expect(rc == ASYNC_BUSY && mine, n, "%s answers %s", call, name_of(rc));

    return 0;
}


static async_rc_t
do_lock_scope(async_t *co, node_t *n, int i, int nested)
{
    int         must = must_refuse(n);
    async_rc_t  rc;

    ASYNC_LOCK(co, &n->tree->mutex[i]);

    (void) is_refused(n, "ASYNC_LOCK", must, ASYNC_OK);
    mutex_held(n, i);

    rc = block(co, n, nested + 1);

    mutex_given(n, i);

    return rc;
}


async_rc_t
do_mutex(async_t *co, node_t *n, int nested)
{
    int         i = below(n, MUTEXES), must = must_refuse(n);
    async_rc_t  rc;

    switch (below(n, 8)) {

    case 0:
    case 1:
        rc = async_try_lock(co, &n->tree->mutex[i]);

        if (rc == ASYNC_BUSY) {
            return rc;
        }

        (void) is_locked(n, i, "async_try_lock", rc);
        break;

    case 2:
    case 3:
        if (((n->holds | n->leaves) >> i) & 1) {
            return ASYNC_OK;
        }

        rc = do_lock_scope(co, n, i, nested);

        if (rc == ASYNC_BUSY || rc == ASYNC_ERROR || rc == ASYNC_CLOSED) {
            /* of something inside */
            return ASYNC_OK;
        }

        return rc;

    default:
        rc = await_lock(co, &n->tree->mutex[i]);

        if (is_refused(n, "await_lock", must, rc)
            || !is_locked(n, i, "await_lock", rc))
        {
            return rc;
        }
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (below(n, 100) == 0 && !n->cleaning) {
        /* and leaves it: it is unlocked when the task has ended */
        n->leaves |= 1u << i;
        return ASYNC_OK;
    }

    rc = block(co, n, nested + 1);

    mutex_given(n, i);

    expect(async_unlock(co, &n->tree->mutex[i]) == ASYNC_OK, n,
           "async_unlock fails");

    if (below(n, 8) == 0) {
        expect(async_unlock(co, &n->tree->mutex[i]) == ASYNC_ERROR, n,
               "async_unlock succeeds twice");
    }

    return rc;
}


async_rc_t
do_semaphore(async_t *co, node_t *n, int nested)
{
    int         i = below(n, 2), must = must_refuse(n);
    tree_t     *t = n->tree;
    async_rc_t  rc;

    if (below(n, 4) == 0) {
        rc = async_try_acquire(co, &t->semaphore[i]);

        if (rc == ASYNC_BUSY) {
            return rc;
        }

    } else {
        rc = await_acquire(co, &t->semaphore[i]);

        if (is_refused(n, "await_acquire", must, rc)) {
            return rc;
        }
    }

    expect(rc == ASYNC_OK, n, "await_acquire answers %s", name_of(rc));

    t->taken[i]++;

    expect(t->taken[i] <= t->semaphore[i].limit, n, "semaphore %d is taken "
           "%lld times", i, (long long) t->taken[i]);

    rc = block(co, n, nested + 1);

    t->taken[i]--;

    expect(async_release(co, &t->semaphore[i]) == ASYNC_OK, n,
           "async_release fails");

    return rc;
}


async_rc_t
do_event(async_t *co, node_t *n)
{
    int         i = below(n, 2), set, sets, must = must_refuse(n);
    tree_t     *t = n->tree;
    async_rc_t  rc;

    expect(async_event_is_set(co, &t->event[i]) == t->set[i], n,
           "event %d is not as it was left", i);

    switch (below(n, 5)) {

    case 0:
    case 1:
        async_event_set(co, &t->event[i]);
        t->set[i] = 1;
        t->sets[i]++;
        return ASYNC_OK;

    case 2:
        async_event_clear(co, &t->event[i]);
        t->set[i] = 0;
        return ASYNC_OK;

    default:
        set = t->set[i];
        sets = t->sets[i];

        rc = await_event(co, &t->event[i]);

        if (is_refused(n, "await_event", must, rc)) {
            return rc;
        }

        expect(rc == ASYNC_OK, n, "await_event answers %s", name_of(rc));
        expect(set || t->sets[i] != sets, n, "event %d was not set", i);
    }

    return rc;
}


async_rc_t
do_put(async_t *co, node_t *n)
{
    int         i = below(n, 2), item, try = below(n, 4) == 0;
    int         must = must_refuse(n);
    tree_t     *t = n->tree;
    async_rc_t  rc;

    if (t->nitems == ITEMS) {
        return ASYNC_OK;
    }

    item = t->nitems++;

    t->state[item] = ITEM_OFFERED;
    t->seq[item] = ++t->next_seq[i];

    if (try) {
        size_t  count = async_queue_count(co, &t->queue[i]);

        rc = async_try_put(co, &t->queue[i], &t->state[item]);

        expect(rc != ASYNC_BUSY || count == t->queue[i].limit, n,
               "async_try_put: not full, with %zu", count);

    } else {
        rc = await_put(co, &t->queue[i], &t->state[item]);
    }

    if (rc != ASYNC_OK) {
        expect(t->state[item] == ITEM_OFFERED, n, "refused (%s), and taken "
               "all the same", name_of(rc));
        t->state[item] = ITEM_REFUSED;

    } else if (t->state[item] == ITEM_OFFERED) {
        t->state[item] = ITEM_IN;
    }

    if (!try && is_refused(n, "await_put", must, rc)) {
        return rc;
    }

    expect(rc == ASYNC_OK || (rc == ASYNC_CLOSED && t->closed[i])
           || (try && rc == ASYNC_BUSY), n, "put answers %s", name_of(rc));

    expect(async_queue_count(co, &t->queue[i]) <= t->queue[i].limit, n,
           "queue %d has too many", i);

    return rc;
}


static void
item_taken(node_t *n, int i, void *item)
{
    tree_t  *t = n->tree;
    long     k = (int *) item - t->state;

    if (k < 0 || k >= t->nitems) {
        wrong(origin_of(n), "queue %d gives what was not put", i);
        return;
    }

    expect(t->state[k] == ITEM_OFFERED || t->state[k] == ITEM_IN, n,
           "item %ld of queue %d is taken in state %d", k, i, t->state[k]);

    t->state[k] = ITEM_TAKEN;

    expect(t->seq[k] > n->last_seq[i], n, "queue %d gives %d after %d", i,
           t->seq[k], n->last_seq[i]);

    n->last_seq[i] = t->seq[k];
}


async_rc_t
do_get(async_t *co, node_t *n)
{
    int         i = below(n, 2), try = below(n, 4) == 0;
    int         must = must_refuse(n);
    void       *item = n;
    tree_t     *t = n->tree;
    async_rc_t  rc;

    if (try) {
        size_t  count = async_queue_count(co, &t->queue[i]);

        rc = async_try_get(co, &t->queue[i], &item);

        expect(rc != ASYNC_BUSY || count == 0, n, "async_try_get: not empty");

    } else {
        rc = await_get(co, &t->queue[i], &item);
    }

    if (rc == ASYNC_OK) {
        item_taken(n, i, item);

    } else {
        expect(item == NULL, n, "get answers %s, and an item", name_of(rc));
    }

    if (!try && is_refused(n, "await_get", must, rc)) {
        return rc;
    }

    expect(rc == ASYNC_OK || (rc == ASYNC_CLOSED && t->closed[i])
           || (try && rc == ASYNC_BUSY), n, "get answers %s", name_of(rc));

    return rc;
}


async_rc_t
do_close(async_t *co, node_t *n)
{
    int  i = below(n, 2);

    if (below(n, 10) == 0) {
        n->tree->closed[i] = 1;
        async_queue_close(co, &n->tree->queue[i]);
    }

    return ASYNC_OK;
}


void
sync_init(tree_t *t, node_t *root)
{
    t->semaphore[0].limit = 1 + below(root, 3);
    t->semaphore[1].limit = 1 + below(root, 3);
    t->queue[0].limit = 1 + (size_t) below(root, 4);
    t->queue[1].limit = 1 + (size_t) below(root, 4);
}


/* Nobody has any of it, and nothing is lost. */

void
sync_check(async_t *co, tree_t *t)
{
    int         i, k;
    void       *item;
    node_t     *root = &t->nodes[0];
    async_rc_t  rc;


    for (i = 0; i < MUTEXES; i++) {
        expect(t->holder[i] == NULL, root, "mutex %d is held in the end", i);
        expect(async_try_lock(co, &t->mutex[i]) == ASYNC_OK
               && async_unlock(co, &t->mutex[i]) == ASYNC_OK, root,
               "mutex %d is locked in the end", i);
    }

    for (i = 0; i < 2; i++) {
        for (k = 0; async_try_acquire(co, &t->semaphore[i]) == ASYNC_OK; k++)
        {
            /* void */
        }

        expect(k == t->semaphore[i].limit, root, "semaphore %d has lost %d",
               i, (int) t->semaphore[i].limit - k);

        expect(async_event_is_set(co, &t->event[i]) == t->set[i], root,
               "event %d is not as it was left", i);

        while ((rc = async_try_get(co, &t->queue[i], &item)) == ASYNC_OK) {
            item_taken(root, i, item);
            counts.items_left++;
        }

        expect(rc == (t->closed[i] ? ASYNC_CLOSED : ASYNC_BUSY), root,
               "an empty queue answers %s", name_of(rc));
    }

    for (i = 0; i < t->nitems; i++) {
        expect(t->state[i] == ITEM_TAKEN || t->state[i] == ITEM_REFUSED, root,
               "item %d is lost, in state %d", i, t->state[i]);
    }
}
