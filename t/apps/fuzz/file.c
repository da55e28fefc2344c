
/*
 * Two files of a tree, which all of its nodes change: one is replaced as a
 * whole, the other one appended to.  Each change is noted with the moments
 * between which it happens; one whose await has been refused may happen until
 * all threads are at rest, or not at all.  What is found between two moments
 * must be what some order of these allows.
 */

#include "fuzz.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


/* so long an appended file may become */
#define WHOLE    (CHANGES * CONTENT)


/* counts up with each call on a file, and the end of each */
static int      moments;
static long     numbers;

/* of trees that have ended, with changes whose await was refused */
static file_t  *late;


static char *
name_of_file(const file_t *f)
{
    static char  name[32];

    (void) snprintf(name, sizeof(name), "f%08lx", (unsigned long) f->name);

    return name;
}


uint64_t
new_name(void)
{
    return (uint64_t) ++numbers;
}


/* The changes */

static int
change_begins(file_t *f, int to)
{
    change_t  *c = &f->changes[f->nchanges];

    c->to = to;
    c->begun = ++moments;
    c->ended = INT_MAX;
    c->sure = 0;
    c->exclusive = 0;

    return f->nchanges++;
}


/* Whether an await that may have changed it has been refused */

static int
change_ends(node_t *n, file_t *f, int i, const char *await, int must,
    async_rc_t rc)
{
    int        never = must || n->stuck != ASYNC_OK;
    change_t  *c = &f->changes[i];

    if (is_refused(n, await, must, rc)) {

        if (never) {
            c->to = NOTHING;
            c->ended = ++moments;

        } else {
            f->open++;
            counts.files_refused++;
        }

        return 1;
    }

    c->ended = ++moments;

    if (rc == ASYNC_OK) {
        c->sure = 1;

    } else {
        c->to = NOTHING;
    }

    return 0;
}


/*
 * Whether this may have been what is there at a moment from "begun" to now:
 * unless, since then and before it, another one has come in its place.
 */

static int
may_be(const file_t *f, int to, int begun)
{
    int              i, k;
    const change_t  *c, *d;

    for (i = 0; i < f->nchanges; i++) {
        c = &f->changes[i];

        if (c->to != to) {
            continue;
        }

        for (k = 0; k < f->nchanges; k++) {
            d = &f->changes[k];

            if (d->sure && d->begun > c->ended && d->ended < begun) {
                break;
            }
        }

        if (k == f->nchanges) {
            return 1;
        }
    }

    return 0;
}


static int
may_be_there(const file_t *f, int begun)
{
    int  i;

    for (i = 0; i < f->nchanges; i++) {
        if (f->changes[i].to > 0 && may_be(f, f->changes[i].to, begun)) {
            return 1;
        }
    }

    return 0;
}


/*
 * Of two that have made it, and were allowed to do so only if it was not there,
 * the second one needs somebody who has removed it.
 */

static int
may_be_made(const file_t *f, const change_t *made)
{
    int              i, k;
    const change_t  *c, *d;

    for (i = 1; i < f->nchanges; i++) {
        c = &f->changes[i];

        if (c == made || !c->sure || !c->exclusive) {
            continue;
        }

        for (k = 1; k < f->nchanges; k++) {
            d = &f->changes[k];

            if (d->to == 0 && (d->ended > c->begun || d->ended > made->begun)) {
                break;
            }
        }

        if (c->ended > made->begun && k == f->nchanges) {
            return 0;
        }
    }

    return may_be(f, 0, made->begun);
}


/* Whether what is appended may be on its way just now. */

static int
may_be_in_parts(const file_t *f, int begun)
{
    int  i;

    for (i = 1; i < f->nchanges; i++) {
        if (f->changes[i].ended > begun && f->changes[i].to > 0) {
            return 1;
        }
    }

    return 0;
}


/* What has been read; data: NULL: there is no such file */

static void
read_replaced(const file_t *f, int begun, const char *data, size_t len)
{
    int     to = 0;
    size_t  used = 0;

    if (data) {
        to = version_of(f->name, data, len, &used);

        expect_of(to > 0 && used == len, f->origin, "a file of %zu bytes is no "
                  "whole (%d)", len, to);

        if (to == 0) {
            return;
        }
    }

    expect_of(may_be(f, to, begun), f->origin, "version %d of a file is there "
              "at %d", to, begun);
}


static void
read_appended(const file_t *f, int begun, const char *data, size_t len)
{
    int              i, k, to, n = 0, seen[CHANGES + 1] = { 0 };
    int              order[CHANGES + 1];
    size_t           used;
    const change_t  *c = f->changes;

    for (i = 0; data && len; data += used, len -= used) {
        to = version_of(f->name, data, len, &used);

        if (to == 0) {
            expect_of(may_be_in_parts(f, begun), f->origin, "%zu bytes are "
                      "appended in part", len);
            break;
        }

        if (to >= f->nchanges || c[to].to != to || seen[to]) {
            expect_of(0, f->origin, "%d is appended, %d times before", to,
                      to < f->nchanges ? seen[to] : 0);
            return;
        }

        seen[to] = 1;

        for (k = 0; k < n; k++) {
            expect_of(c[to].ended > c[order[k]].begun, f->origin, "%d is "
                      "appended behind %d", to, order[k]);
        }

        order[n++] = to;
    }

    for (i = 1; i < f->nchanges; i++) {
        expect_of(seen[i] || !c[i].sure || c[i].ended > begun, f->origin,
                  "%d has been appended, and is not there", i);
    }
}


static void
has_read(const file_t *f, int begun, const char *data, size_t len)
{
    if (f->appended) {
        read_appended(f, begun, data, len);

    } else {
        read_replaced(f, begun, data, len);
    }
}


/* What nodes do with it */

static int
is_missing(async_t *co, async_rc_t rc)
{
    return rc == ASYNC_ERROR && async_file_errno(co) == ENOENT;
}


static async_rc_t
write_file(async_t *co, node_t *n, file_t *f)
{
    int          i, begun, must = must_refuse(n);
    unsigned     flags = ASYNC_FILE_ATOMIC;
    async_rc_t   rc;
    async_str_t  s;

    if (below(n, 3) == 0) {
        flags |= ASYNC_FILE_EXCLUSIVE;
    }

    i = change_begins(f, f->nchanges);
    begun = f->changes[i].begun;
    s = content(f->name, i);

    rc = await_file_write(co, n->tree->root, name_of_file(f), s.data, s.len,
                          flags);

    if (change_ends(n, f, i, "await_file_write", must, rc)) {
        return rc;
    }

    if (rc != ASYNC_OK) {
        expect((flags & ASYNC_FILE_EXCLUSIVE) && rc == ASYNC_ERROR
               && async_file_errno(co) == EEXIST, n, "await_file_write answers "
               "%s: %s", name_of(rc), async_error(co));
        expect(may_be_there(f, begun), n, "EEXIST, and it is not there");

    } else if (flags & ASYNC_FILE_EXCLUSIVE) {
        f->changes[i].exclusive = 1;
        expect(may_be_made(f, &f->changes[i]), n, "ASYNC_FILE_EXCLUSIVE, and "
               "it is there");
    }

    return rc;
}


static async_rc_t
append_file(async_t *co, node_t *n, file_t *f)
{
    int          i = change_begins(f, f->nchanges), must = must_refuse(n);
    async_rc_t   rc;
    async_str_t  s = content(f->name, i);

    rc = await_file_append(co, n->tree->root, name_of_file(f), s.data, s.len);

    if (!change_ends(n, f, i, "await_file_append", must, rc)) {
        expect(rc == ASYNC_OK, n, "await_file_append answers %s: %s",
               name_of(rc), async_error(co));
    }

    return rc;
}


static async_rc_t
remove_file(async_t *co, node_t *n, file_t *f)
{
    int         i = change_begins(f, 0), must = must_refuse(n);
    int         begun = f->changes[i].begun;
    async_rc_t  rc = await_file_remove(co, n->tree->root, name_of_file(f));

    if (change_ends(n, f, i, "await_file_remove", must, rc)) {
        return rc;
    }

    if (rc == ASYNC_OK) {
        expect(may_be_there(f, begun), n, "removed, and it is not there");

    } else {
        expect(is_missing(co, rc), n, "await_file_remove answers %s: %s",
               name_of(rc), async_error(co));
        expect(may_be(f, 0, begun), n, "not removed, and it is there");
    }

    return rc;
}


static async_rc_t
read_file(async_t *co, node_t *n, file_t *f)
{
    int          begun = ++moments, must = must_refuse(n);
    size_t       max = below(n, 8) ? WHOLE : 200;
    async_rc_t   rc;
    async_str_t  data = { "", 1 };

    rc = await_file_read(co, n->tree->root, name_of_file(f), max, &data);

    moments++;

    expect((rc == ASYNC_OK) == (data.data != NULL), n, "await_file_read "
           "answers %s, and %p", name_of(rc), (const void *) data.data);

    if (is_refused(n, "await_file_read", must, rc)) {
        return rc;
    }

    if (rc == ASYNC_OK) {
        expect(data.data[data.len] == '\0', n, "what is read has no end");
        has_read(f, begun, data.data, data.len);

    } else if (rc == ASYNC_ERROR && async_file_errno(co) == EFBIG) {
        expect(max < WHOLE, n, "await_file_read: %s", async_error(co));

    } else {
        expect(is_missing(co, rc), n, "await_file_read answers %s: %s",
               name_of(rc), async_error(co));
        has_read(f, begun, NULL, 0);
    }

    return rc;
}


static async_rc_t
stat_file(async_t *co, node_t *n, file_t *f)
{
    int                i, begun = ++moments, must = must_refuse(n);
    async_rc_t         rc;
    async_file_stat_t  st = { .bytes = -1 };

    rc = await_file_stat(co, n->tree->root, name_of_file(f), &st);

    moments++;

    if (is_refused(n, "await_file_stat", must, rc)) {
        expect(st.bytes == -1, n, "await_file_stat is refused, and tells");
        return rc;
    }

    if (rc != ASYNC_OK) {
        expect(is_missing(co, rc), n, "await_file_stat answers %s: %s",
               name_of(rc), async_error(co));
        has_read(f, begun, NULL, 0);
        return rc;
    }

    expect(st.type == ASYNC_FILE_REGULAR && st.mode == 0644, n, "a file of "
           "type %d, mode %o", st.type, st.mode);

    for (i = 1; !f->appended && i < f->nchanges; i++) {
        if (f->changes[i].to > 0 && may_be(f, i, begun)
            && (size_t) st.bytes == content(f->name, i).len)
        {
            break;
        }
    }

    expect(i < f->nchanges || f->appended, n, "a file of %lld bytes",
           (long long) st.bytes);

    return rc;
}


static async_rc_t
in_its_memory(async_t *co, node_t *n, file_t *f)
{
    ASYNC_MEMORY(co);

    if (f->nchanges == CHANGES) {
        return below(n, 2) ? read_file(co, n, f) : stat_file(co, n, f);
    }

    switch (below(n, 8)) {
    case 0:
    case 1:
    case 2:
        return f->appended ? append_file(co, n, f) : write_file(co, n, f);

    case 3:
        return f->appended ? append_file(co, n, f) : remove_file(co, n, f);

    case 4:
        return stat_file(co, n, f);

    default:
        return read_file(co, n, f);
    }
}


static async_rc_t
file_in_deadline(async_t *co, node_t *n, file_t *f, int ms)
{
    ASYNC_DEADLINE(co, ms);

    return in_its_memory(co, n, f);
}


async_rc_t
do_file(async_t *co, node_t *n)
{
    int         ms = below(n, 3);
    file_t     *f = n->tree->files[below(n, FILES)];
    place_t     place = place_of(n);
    async_rc_t  rc;

    if (below(n, 3)) {
        rc = in_its_memory(co, n, f);

    } else {
        deadline_begins(n, ms);
        rc = file_in_deadline(co, n, f, ms);
        deadline_ends(n, place);
    }

    if (rc == ASYNC_TIMEOUT && n->stuck == ASYNC_OK && below(n, 4) == 0) {
        return do_vain(co, n);
    }

    return n->stuck;
}


/* Of a tree */

int
files_init(tree_t *t)
{
    int      i;
    file_t  *f;

    for (i = 0; i < FILES; i++) {
        f = calloc(1, sizeof(file_t));

        if (f == NULL) {
            return 0;
        }

        f->name = new_name();
        f->origin = origin_of(&t->nodes[0]);
        f->appended = i == 1;

        /* at first there is none */
        f->nchanges = 1;
        f->changes[0].sure = 1;

        t->files[i] = f;
    }

    return 1;
}


static void
file_check(const char *root, file_t *f)
{
    char     path[512];
    ssize_t  len;

    static char  data[WHOLE];

    (void) snprintf(path, sizeof(path), "%s/%s", root, name_of_file(f));

    len = slurp(path, data, sizeof(data));

    has_read(f, ++moments, len == -1 ? NULL : data, (size_t) len);

    (void) unlink(path);

    free(f);
}


void
files_end(tree_t *t)
{
    int      i;
    file_t  *f;

    for (i = 0; i < FILES; i++) {
        f = t->files[i];

        if (f->open) {
            f->next = late;
            late = f;

        } else if (f->nchanges > 1) {
            file_check(t->root, f);

        } else {
            free(f);
        }
    }
}


/* All threads are at rest. */

void
files_check(const char *root)
{
    int      i;
    file_t  *f;

    while ((f = late) != NULL) {
        late = f->next;

        for (i = 1; i < f->nchanges; i++) {
            if (f->changes[i].ended == INT_MAX) {
                f->changes[i].ended = ++moments;
            }
        }

        file_check(root, f);
    }
}
