
/*
 * What nodes and trees have in common: random numbers, what was wrong, and the
 * model of what may be told to a node.
 */

#include "fuzz.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>


counts_t  counts;

/* the first of each kind of what was wrong, which is its format */
static struct {
    const char  *format;
    long         count;
    char         text[256];
} kinds[KINDS];


/* Random numbers: xorshift64* */

uint64_t
draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;

    return *state * 0x2545f4914f6cdd1dULL;
}


uint64_t
seed_of(uint64_t a, uint64_t b)
{
    uint64_t  z = a * 0x9e3779b97f4a7c15ULL + (b + 1) * 0xbf58476d1ce4e5b9ULL;

    z = (z ^ z >> 30) * 0x94d049bb133111ebULL;
    z ^= z >> 31;

    return z ? z : 1;
}


int
below(node_t *n, int limit)
{
    return (int) ((draw(&n->random) >> 33) % (uint64_t) limit);
}


/* nginx's clock, which deadlines count from, is never ahead of this one. */

int64_t
now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


const char *
name_of(async_rc_t rc)
{
    static const char *const  names[] = {
        "ok", "error", "timeout", "cancelled", "closed", "busy", "invalid"
    };

    return rc <= 0 && rc >= -6 ? names[-rc] : "unknown";
}


origin_t
origin_of(const node_t *n)
{
    origin_t  origin = { n->tree->seed, n->tree->number,
                         (int) (n - n->tree->nodes) };

    return origin;
}


void
wrong(origin_t origin, const char *format, ...)
{
    int      i, len;
    va_list  args;

    counts.violations++;

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
                   "tree %d of seed %llu, node %d: ", origin.tree,
                   (unsigned long long) origin.seed, origin.node);

    va_start(args, format);
    (void) vsnprintf(kinds[i].text + len, sizeof(kinds[i].text) - (size_t) len,
                     format, args);
    va_end(args);
}


json_t *
wrongs(void)
{
    int      i;
    json_t  *list = json_array();

    for (i = 0; i < KINDS && kinds[i].count; i++) {
        (void) json_array_append_new(list, json_pack("{s:I, s:s}",
            "count", (json_int_t) kinds[i].count, "first", kinds[i].text));
    }

    return list;
}


/* What may be told to a node */

/* Whether it may have been cancelled, be it told or not. */

int
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


int
may_be_cancelled(const node_t *n)
{
    return n->shield == 0 && may_be_marked(n);
}


int
may_time_out(const node_t *n)
{
    if (n->deadline && now() >= n->deadline) {
        return 1;
    }

    return n->base && n->tree->base && now() >= n->tree->base;
}


/* A cancel reaches it, and those below it, at once. */

void
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

int
must_refuse(const node_t *n)
{
    return n->told && n->shield == 0;
}


/* An answer that any await may give; returns whether it is one. */

int
is_refused(node_t *n, const char *await, int must, async_rc_t rc)
{
    counts.awaits[rc <= 0 && rc >= -6 ? -rc : 6]++;

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


int
is_bounded(const node_t *n)
{
    return n->deadline != 0;
}


/* Blocks */

place_t
place_of(const node_t *n)
{
    place_t  p = { n->deadline, n->base, n->shield, n->stuck };

    return p;
}


void
deadline_begins(node_t *n, int ms)
{
    int64_t  deadline = now() + ms;

    if (n->deadline == 0 || deadline < n->deadline) {
        n->deadline = deadline;
    }
}


void
deadline_ends(node_t *n, place_t p)
{
    n->deadline = p.deadline;

    if (n->stuck == ASYNC_TIMEOUT) {
        n->stuck = p.stuck;
    }
}


void
shield_begins(node_t *n, int ms)
{
    n->shield++;
    n->deadline = now() + ms;
    n->base = 0;
    n->stuck = ASYNC_OK;
}


void
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

void
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


void
children_gone(node_t *n, node_t *mark, const char *where)
{
    node_t  *c;

    for (c = n->children; c != mark; c = c->sibling) {
        expect(c->ended || !c->begun, n, "child %d is alive after %s",
               (int) (c - n->tree->nodes), where);
    }
}
