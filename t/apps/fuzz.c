
/*
 * Handlers of t/fuzz.t: random trees of tasks, and a model of what may happen
 * to them.  /run?seed=S&trees=N plays N trees, ?width= of them at a time;
 * /state says what lives, and what was wrong since the worker began.
 *
 * A tree is drawn by random numbers of its own, each node from a number that
 * its parent has drawn, so that a seed draws the same trees again, whatever the
 * order in which the nodes run.  Nobody waits for ever: what nobody may come to
 * free is waited for inside of a deadline.
 */

#include <ngx_async.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#define NODES    64                           /* of a tree, at most */
#define ITEMS    256
#define CLEANUPS 4                            /* of a node, beside the last */
#define NESTED   3                            /* blocks in blocks */
#define WIDTH    200                          /* trees at a time, at most */
#define MUTEXES  2
#define KINDS    64                           /* of what is wrong */


typedef struct tree_s  tree_t;
typedef struct node_s  node_t;


typedef enum {
    ITEM_NEW = 0,
    ITEM_OFFERED,
    ITEM_IN,
    ITEM_REFUSED,
    ITEM_TAKEN
} item_e;


/* Several that are waited for at once */

typedef struct {
    int           any;                        /* else all, or gather */
    int           all;
    int           decided;
    int           first;                      /* to end with ASYNC_OK */
    int           late;                       /* the order is not known */
} group_t;


typedef struct {
    node_t       *node;
    int           number;
} cleanup_t;


struct node_s {
    tree_t       *tree;
    node_t       *parent;
    node_t       *sibling;                    /* spawned before */
    node_t       *children;
    group_t      *group;
    int           index;                      /* in the group */

    uint64_t      random;
    int           budget;                     /* of tasks below it */
    int           depth;

    async_child_t  *handle;                   /* NULL: joined, or about to be */

    int           begun;
    int           ended;
    int           in_cleanup;                 /* spawned there */
    int           has_late;                   /* has spawned there */
    async_rc_t    rc;

    /* what may have happened to it */
    int           cancelled;
    int           joining;
    int           shielded;                   /* spawned inside of a shield */
    int           unreached;                  /* the same, for good */

    /* what has happened to it, for sure */
    int           told;

    /* where it is */
    int           shield;
    int           cleaning;
    int64_t       deadline;                   /* zero: none but the request's */
    int           base;                       /* the request's holds, too */
    async_rc_t    stuck;                      /* what awaits answer from now */

    int           ncleanups;
    int           to_clean;                   /* how many of them are left */
    cleanup_t     cleanups[CLEANUPS + 1];

    int           last_seq[2];                /* of each queue */
    unsigned      holds;                      /* mutexes, a bit each */
    unsigned      leaves;
};


struct tree_s {
    async_req_t  *req;
    uint64_t      seed;                       /* of the request */
    int           number;                     /* in it */
    int64_t       base;                       /* deadline; zero: none */

    async_mutex_t      mutex[MUTEXES];
    node_t            *holder[MUTEXES];

    async_semaphore_t  semaphore[2];
    int64_t            taken[2];

    async_event_t      event[2];
    int                set[2];
    int                sets[2];

    async_queue_t      queue[2];
    int                closed[2];
    int                next_seq[2];

    int           nitems;
    int           state[ITEMS];
    int           seq[ITEMS];

    int           nnodes;
    node_t        nodes[NODES];
};


typedef struct {
    async_req_t  *req;
    uint64_t      seed;
    int           trees;
    int           next;
    int64_t       base;
} run_t;


/* of the worker */

static int   alive;                           /* nodes that have not ended */
static int   trees_alive;
static long  trees_done;
static long  tasks;
static long  cleanups_done;
static long  items_left;
static long  awaits[7];                       /* by the code, negated */
static long  violations;

/* the first of each kind, which is its format */
static struct {
    const char  *format;
    long         count;
    char         text[256];
} kinds[KINDS];


/* Random numbers: xorshift64* */

static uint64_t
draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;

    return *state * 0x2545f4914f6cdd1dULL;
}


static uint64_t
seed_of(uint64_t a, uint64_t b)
{
    uint64_t  z = a * 0x9e3779b97f4a7c15ULL + (b + 1) * 0xbf58476d1ce4e5b9ULL;

    z = (z ^ z >> 30) * 0x94d049bb133111ebULL;
    z ^= z >> 31;

    return z ? z : 1;
}


static int
below(node_t *n, int limit)
{
    return (int) ((draw(&n->random) >> 33) % (uint64_t) limit);
}


/* nginx's clock, which deadlines count from, is never ahead of this one. */

static int64_t
now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static const char *
name_of(async_rc_t rc)
{
    static const char *const  names[] = {
        "ok", "error", "timeout", "cancelled", "closed", "busy", "invalid"
    };

    return rc <= 0 && rc >= -6 ? names[-rc] : "unknown";
}


__attribute__((format(printf, 3, 4))) static void
wrong(tree_t *t, node_t *n, const char *format, ...)
{
    int      i, len;
    va_list  args;

    violations++;

    for (i = 0; kinds[i].count && kinds[i].format != format; i++) {
        if (i == KINDS - 1) {
            return;
        }
    }

    if (kinds[i].count++) {
        return;
    }

    kinds[i].format = format;

    len = snprintf(kinds[i].text, sizeof(kinds[i].text),
                   "tree %d of seed %llu, node %d: ", t->number,
                   (unsigned long long) t->seed, (int) (n - t->nodes));

    va_start(args, format);
    (void) vsnprintf(kinds[i].text + len, sizeof(kinds[i].text) - (size_t) len,
                     format, args);
    va_end(args);
}


#define expect(cond, n, ...)                                                 \
    do {                                                                     \
        if (!(cond)) {                                                       \
            wrong((n)->tree, n, __VA_ARGS__);                                \
        }                                                                    \
    } while (0)


/* The model: what may be told to a node */

static int  may_time_out(const node_t *n);


/* Whether it may have been cancelled, be it told or not. */

static int
may_be_marked(const node_t *n)
{
    const node_t  *p = n->parent;

    if (n->cancelled || (n->group && n->group->decided)) {
        return 1;
    }

    if (p == NULL) {
        return async_cancelled(n->tree->req)
               || (n->tree->base && now() >= n->tree->base);
    }

    if ((n->joining || n->group)
        && (may_time_out(p) || (p->shield == 0 && may_be_marked(p))))
    {
        return 1;
    }

    return (!n->shielded || p->shield == 0) && may_be_marked(p);
}


static int
may_be_cancelled(const node_t *n)
{
    return n->shield == 0 && may_be_marked(n);
}


static int
may_time_out(const node_t *n)
{
    if (n->deadline && now() >= n->deadline) {
        return 1;
    }

    return n->base && n->tree->base && now() >= n->tree->base;
}


/* A cancel reaches it, and those below it, at once. */

static void
tell(node_t *n)
{
    node_t  *c;

    n->told = 1;

    for (c = n->children; c; c = c->sibling) {
        if (!c->told && !c->unreached) {
            tell(c);
        }
    }
}


/* Before an await: what it cannot but answer. */

static int
must_refuse(const node_t *n)
{
    return n->told && n->shield == 0;
}


/* An answer that any await may give; returns whether it is one. */

static int
is_refused(node_t *n, const char *await, int must, async_rc_t rc)
{
    awaits[rc <= 0 && rc >= -6 ? -rc : 6]++;

    expect(!must || rc == ASYNC_CANCELLED || rc == ASYNC_TIMEOUT, n,
           "%s answers %s, and it has been cancelled before", await,
           name_of(rc));

    if (n->stuck != ASYNC_OK) {
        expect(rc == n->stuck, n, "%s answers %s after %s", await, name_of(rc),
               name_of(n->stuck));
    }

    if (rc == ASYNC_CANCELLED) {
        expect(may_be_cancelled(n), n, "%s: nobody has cancelled it (shield "
               "%d, cleaning %d)", await, n->shield, n->cleaning);

    } else if (rc == ASYNC_TIMEOUT) {
        expect(may_time_out(n), n, "%s: no deadline has passed (%lld at %lld)",
               await, (long long) n->deadline, (long long) now());

    } else {
        return 0;
    }

    n->stuck = rc;

    return 1;
}


static int
is_bounded(const node_t *n)
{
    return n->deadline != 0;
}


/* Blocks */

typedef struct {
    int64_t       deadline;
    int           base;
    int           shield;
    async_rc_t    stuck;
} place_t;


static place_t
place_of(const node_t *n)
{
    place_t  p = { n->deadline, n->base, n->shield, n->stuck };

    return p;
}


static void
deadline_begins(node_t *n, int ms)
{
    int64_t  deadline = now() + ms;

    if (n->deadline == 0 || deadline < n->deadline) {
        n->deadline = deadline;
    }
}


static void
deadline_ends(node_t *n, place_t p)
{
    n->deadline = p.deadline;

    if (n->stuck == ASYNC_TIMEOUT) {
        n->stuck = p.stuck;
    }
}


static void
shield_begins(node_t *n, int ms)
{
    n->shield++;
    n->deadline = now() + ms;
    n->base = 0;
    n->stuck = ASYNC_OK;
}


static void
shield_ends(node_t *n, place_t p)
{
    node_t  *c;

    n->shield = p.shield;
    n->deadline = p.deadline;
    n->base = p.base;
    n->stuck = p.stuck;

    if (n->shield) {
        return;
    }

    for (c = n->children; c; c = c->sibling) {
        c->shielded = 0;

        if (n->told && !c->told) {
            tell(c);
        }
    }
}


/* Children since "mark" will be cancelled and joined by the end of a block. */

static void
children_go(node_t *n, node_t *mark)
{
    node_t  *c;

    for (c = n->children; c != mark; c = c->sibling) {
        if (c->handle) {
            c->cancelled = 1;
            c->handle = NULL;
        }
    }
}


static void
children_gone(node_t *n, node_t *mark, const char *where)
{
    node_t  *c;

    for (c = n->children; c != mark; c = c->sibling) {
        expect(c->ended || !c->begun, n, "child %d is alive after %s",
               (int) (c - n->tree->nodes), where);
    }
}


/* What nodes do */

static async_rc_t  node_body(async_t *co, void *arg);
static async_rc_t  block(async_t *co, node_t *n, int nested);


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


static async_rc_t
do_yield(async_t *co, node_t *n)
{
    int         must = must_refuse(n);
    async_rc_t  rc = await_yield(co);

    if (!is_refused(n, "await_yield", must, rc)) {
        expect(rc == ASYNC_OK, n, "await_yield answers %s", name_of(rc));
    }

    return rc;
}


static void
mutex_held(node_t *n, int i)
{
    tree_t  *t = n->tree;

    expect(t->holder[i] == NULL, n, "mutex %d is held by node %d, too", i,
           (int) (t->holder[i] - t->nodes));

    t->holder[i] = n;
    n->holds |= 1u << i;
}


static void
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


static async_rc_t
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


static async_rc_t
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


static async_rc_t
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


static async_rc_t
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
        wrong(t, n, "queue %d gives what was not put", i);
        return;
    }

    expect(t->state[k] == ITEM_OFFERED || t->state[k] == ITEM_IN, n,
           "item %ld of queue %d is taken in state %d", k, i, t->state[k]);

    t->state[k] = ITEM_TAKEN;

    expect(t->seq[k] > n->last_seq[i], n, "queue %d gives %d after %d", i,
           t->seq[k], n->last_seq[i]);

    n->last_seq[i] = t->seq[k];
}


static async_rc_t
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


static async_rc_t
do_close(async_t *co, node_t *n)
{
    int  i = below(n, 2);

    if (below(n, 10) == 0) {
        n->tree->closed[i] = 1;
        async_queue_close(co, &n->tree->queue[i]);
    }

    return ASYNC_OK;
}


/* Children */

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

    tasks++;

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


static async_rc_t
do_spawn(async_t *co, node_t *n)
{
    int      share = share_of(n);
    node_t  *c = share < 0 ? NULL : node_create(n, share);

    if (c == NULL) {
        return do_yield(co, n);
    }

    c->handle = async_spawn(co, node_body, c);

    expect(c->handle != NULL, n, "async_spawn fails: %s", async_error(co));

    return ASYNC_OK;
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


static async_rc_t
do_join(async_t *co, node_t *n)
{
    int             refused, must = must_refuse(n);
    node_t         *c = some_child(n);
    async_rc_t      rc;
    async_child_t  *handle;

    if (c == NULL) {
        return do_yield(co, n);
    }

    handle = c->handle;

    if (below(n, 4) == 0) {
        rc = await_ended(co, handle);

        if (!is_refused(n, "await_ended", must, rc)) {
            expect(rc == ASYNC_OK, n, "await_ended answers %s", name_of(rc));
            expect(c->ended || (!c->begun && may_be_marked(c))
                   || (!c->begun && may_time_out(c)), n,
                   "await_ended, and it has not");
        }

        return rc;
    }

    c->joining = 1;

    rc = await_join(co, handle);

    c->handle = NULL;
    c->joining = 0;

    awaits[-rc]++;

    expect(!c->begun || c->ended, n, "await_join, and it has not ended");

    refused = (rc == ASYNC_CANCELLED && may_be_cancelled(n))
              || (rc == ASYNC_TIMEOUT && may_time_out(n));

    if (refused) {
        c->cancelled = 1;
    }

    expect(refused || is_answer_of(c, rc), n, "await_join answers %s, child "
           "%d %s", name_of(rc), (int) (c - n->tree->nodes), name_of(c->rc));

    return refused ? rc : ASYNC_OK;
}


/* Of any task of the tree, also of oneself, and of one's parent. */

static async_rc_t
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


static async_rc_t
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
        awaits[-rc]++;
        return ASYNC_OK;
    }

    expect(is_refused(n, "await of several", must, rc), n, "several answer %s",
           name_of(rc));

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

    cleanups_done++;

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
    alive--;
    cleanups_done++;

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


static async_rc_t
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


/* Blocks; each function ends one */

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


static async_rc_t
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


static async_rc_t
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
        wrong(n->tree, n, "async_task_alloc fails");
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


static async_rc_t
do_memory(async_t *co, node_t *n, int nested)
{
    node_t      *mark = n->children;
    async_rc_t   rc;

    rc = in_memory(co, n, nested, mark);

    children_gone(n, mark, "ASYNC_MEMORY");

    return rc;
}


static async_rc_t
do_group(async_t *co, node_t *n, int nested)
{
    node_t      *mark = n->children;
    async_rc_t   rc;

    rc = in_group(co, n, nested, mark);

    children_gone(n, mark, "ASYNC_GROUP");

    return rc;
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
    int  most = nested < NESTED ? 24 : 16;

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
    case 17:
        return do_deadline(co, n, nested);

    case 18:
    case 19:
        return do_shield(co, n, nested);

    case 20:
    case 21:
        return do_memory(co, n, nested);

    default:
        return do_group(co, n, nested);
    }
}


/* A few steps.  What is refused ends them, mostly. */

static async_rc_t
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


static async_rc_t
node_body(async_t *co, void *arg)
{
    int       i;
    node_t   *n = arg;
    group_t  *g = n->group;

    expect(n->begun == 0, n, "begins twice");
    expect(!n->told, n, "begins, and it has been cancelled before");

    n->begun = 1;
    alive++;

    expect(async_defer(co, last_cleanup, n) == ASYNC_OK, n,
           "async_defer fails");

    n->rc = block(co, n, 0);

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


/* Trees */

static void
tree_init(tree_t *t, run_t *run, int k)
{
    node_t  *root;

    memset(t, 0, offsetof(tree_t, nodes));

    t->req = run->req;
    t->base = run->base;
    t->seed = run->seed;
    t->number = k;
    t->nnodes = 1;

    root = &t->nodes[0];
    memset(root, 0, sizeof(node_t));

    root->tree = t;
    root->random = seed_of(run->seed, (uint64_t) k);
    root->budget = 4 + below(root, 56);
    root->base = 1;

    t->semaphore[0].limit = 1 + below(root, 3);
    t->semaphore[1].limit = 1 + below(root, 3);
    t->queue[0].limit = 1 + (size_t) below(root, 4);
    t->queue[1].limit = 1 + (size_t) below(root, 4);

    tasks++;
    trees_alive++;
}


static void
tree_check(async_t *co, tree_t *t)
{
    int         i, k;
    void       *item;
    node_t     *root = &t->nodes[0];
    async_rc_t  rc;

    for (i = 0; i < t->nnodes; i++) {
        expect(t->nodes[i].begun == t->nodes[i].ended, &t->nodes[i],
               "begun %d times, ended %d times", t->nodes[i].begun,
               t->nodes[i].ended);
        expect(t->nodes[i].to_clean == 0, &t->nodes[i], "a cleanup is left");
    }

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
            items_left++;
        }

        expect(rc == (t->closed[i] ? ASYNC_CLOSED : ASYNC_BUSY), root,
               "an empty queue answers %s", name_of(rc));
    }

    for (i = 0; i < t->nitems; i++) {
        expect(t->state[i] == ITEM_TAKEN || t->state[i] == ITEM_REFUSED, root,
               "item %d is lost, in state %d", i, t->state[i]);
    }

    trees_alive--;
    trees_done++;
}


/* One of those that play at a time: tree after tree. */

static async_rc_t
runner(async_t *co, void *arg)
{
    run_t      *run = arg;
    tree_t     *t;
    node_t     *root;
    async_rc_t  rc = ASYNC_OK;

    t = malloc(sizeof(tree_t));

    if (t == NULL) {
        return ASYNC_ERROR;
    }

    while (rc == ASYNC_OK && run->next < run->trees) {
        tree_init(t, run, run->next++);

        root = &t->nodes[0];
        root->handle = async_spawn(co, node_body, root);

        if (root->handle == NULL) {
            wrong(t, root, "async_spawn fails");
            break;
        }

        rc = await_join(co, root->handle);
        root->handle = NULL;

        expect(!root->begun || root->ended, root, "await_join, and it has not "
               "ended");

        tree_check(co, t);

        rc = await_yield(co);
    }

    free(t);

    return rc;
}


static json_t *
counts(void)
{
    int      i;
    json_t  *wrongs = json_array();

    for (i = 0; i < KINDS && kinds[i].count; i++) {
        (void) json_array_append_new(wrongs, json_pack("{s:I, s:s}",
            "count", (json_int_t) kinds[i].count, "first", kinds[i].text));
    }

    return json_pack("{s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I}, "
                     "s:i, s:i, s:I, s:o}",
                     "trees", (json_int_t) trees_done,
                     "tasks", (json_int_t) tasks,
                     "cleanups", (json_int_t) cleanups_done,
                     "items_left", (json_int_t) items_left,
                     "awaits",
                     "ok", (json_int_t) awaits[0],
                     "error", (json_int_t) awaits[1],
                     "timeout", (json_int_t) awaits[2],
                     "cancelled", (json_int_t) awaits[3],
                     "closed", (json_int_t) awaits[4],
                     "busy", (json_int_t) awaits[5],
                     "alive", alive,
                     "trees_alive", trees_alive,
                     "violations", (json_int_t) violations,
                     "wrong", wrongs);
}


/* ?timeout=: the async_timeout of the location, in ms */

ASYNC_HANDLER(run)
{
    int64_t        seed, trees, width, timeout;
    run_t         *run = async_alloc(req, sizeof(run_t));
    async_rc_t     rc;
    async_work_t  *work;
    int64_t        i;

    ASYNC_TRY(async_query_int_or(req, "seed", &seed, 1));
    ASYNC_TRY(async_query_int_or(req, "trees", &trees, 1));
    ASYNC_TRY(async_query_int_or(req, "width", &width, 50));
    ASYNC_TRY(async_query_int_or(req, "timeout", &timeout, 0));

    width = width < 1 ? 1 : width > WIDTH ? WIDTH : width;

    run->req = req;
    run->seed = (uint64_t) seed;
    run->trees = (int) trees;
    run->next = 0;

    /* it counts from before */
    run->base = timeout ? now() + timeout - 100 : 0;

    work = async_alloc(req, (size_t) width * sizeof(async_work_t));

    for (i = 0; i < width; i++) {
        work[i].fn = runner;
        work[i].arg = run;
    }

    rc = await_gather(co, work, (size_t) width);

    if (rc != ASYNC_OK) {
        return rc;
    }

    return async_json(req, 200, counts());
}


ASYNC_HANDLER(state)
{
    return async_json(req, 200, counts());
}
