
/*
 * A folder of a node alone, step by step, so that each answer is known, until
 * an await is refused: then what that one was about may be done or not, and the
 * rest is as it was.  Folders that could not be removed so are judged when all
 * threads are at rest.
 */

#include "fuzz.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


typedef enum {
    IS_NOT = 0,
    IS_THERE,
    MAY_BE
} there_e;


/* "a" is written, and becomes "b"; "c" is written in pieces */

enum { A = 0, B, C, ENTRIES };


typedef struct folder_s  folder_t;

struct folder_s {
    folder_t     *next;
    origin_t      origin;
    uint64_t      name;
    there_e       itself;
    there_e       files[ENTRIES];
    int           moves;                      /* "a" is there, or "b" */

    /* the one in pieces, as long as it is open, and how many it has */
    async_file_t *f;
    int           pieces;
};


#define PIECES  2

/* the last step: refused, or no more is wanted */
#define OFF     1


typedef int (*step_pt)(async_t *co, node_t *n, folder_t *d);


static folder_t  *late;


static const char *
name_of_entry(const folder_t *d, int which)
{
    static char  names[2][48];
    static int   k;

    k = !k;

    (void) snprintf(names[k], sizeof(names[k]), "d%08lx/%c",
                    (unsigned long) d->name, 'a' + which);

    return names[k];
}


static const char *
itself_of(const folder_t *d)
{
    static char  name[32];

    (void) snprintf(name, sizeof(name), "d%08lx", (unsigned long) d->name);

    return name;
}


/* Nonzero: the await has been refused. */

static int
step_is_off(async_t *co, node_t *n, const char *await, int must, async_rc_t rc,
    int err)
{
    if (is_refused(n, await, must, rc)) {
        counts.files_refused++;
        return OFF;
    }

    if (err == 0) {
        expect(rc == ASYNC_OK, n, "%s answers %s: %s", await, name_of(rc),
               async_error(co));

    } else {
        expect(rc == ASYNC_ERROR && async_file_errno(co) == err, n, "%s "
               "answers %s and %d, which is not %d", await, name_of(rc),
               async_file_errno(co), err);
    }

    return 0;
}


/* "what" is about to be done; it is sure if the await says so. */

static int
changes(async_t *co, node_t *n, there_e *what, there_e to, const char *await,
    int must, async_rc_t rc)
{
    int  never = must || n->stuck != ASYNC_OK;

    if (step_is_off(co, n, await, must, rc, 0)) {
        *what = never ? *what : MAY_BE;
        return OFF;
    }

    *what = to;

    return 0;
}


static int
make_folder(async_t *co, node_t *n, folder_t *d)
{
    int  must = must_refuse(n);

    return changes(co, n, &d->itself, IS_THERE, "await_file_mkdir", must,
                   await_file_mkdir(co, n->tree->root, itself_of(d)));
}


static int
write_entry(async_t *co, node_t *n, folder_t *d)
{
    int          must = must_refuse(n);
    unsigned     flags = 0;
    async_rc_t   rc;
    async_str_t  s = content(d->name, 1 + A);

    flags |= below(n, 2) ? ASYNC_FILE_ATOMIC : 0;
    flags |= below(n, 2) ? ASYNC_FILE_EXCLUSIVE : 0;

    rc = await_file_write(co, n->tree->root, name_of_entry(d, A), s.data, s.len,
                          flags);

    if (changes(co, n, &d->files[A], IS_THERE, "await_file_write", must, rc)) {
        return OFF;
    }

    if (below(n, 4)) {
        return 0;
    }

    must = must_refuse(n);
    rc = await_file_write(co, n->tree->root, name_of_entry(d, A), "", 0,
                          flags | ASYNC_FILE_EXCLUSIVE);

    return step_is_off(co, n, "await_file_write", must, rc, EEXIST);
}


static int
rename_entry(async_t *co, node_t *n, folder_t *d)
{
    int         must = must_refuse(n), never = must || n->stuck != ASYNC_OK;
    async_rc_t  rc;

    rc = await_file_rename(co, n->tree->root, name_of_entry(d, A),
                           name_of_entry(d, B));

    if (step_is_off(co, n, "await_file_rename", must, rc, 0)) {
        d->moves = !never;
        return OFF;
    }

    d->files[A] = IS_NOT;
    d->files[B] = IS_THERE;

    return 0;
}


static int
list_folder(async_t *co, node_t *n, folder_t *d)
{
    int                  must = must_refuse(n);
    size_t               count = 99;
    async_rc_t           rc;
    async_str_t          s;
    async_file_entry_t  *e;

    rc = await_file_list(co, n->tree->root, itself_of(d), 10, &e, &count);

    expect((rc == ASYNC_OK) == (e != NULL) && (e || count == 0), n,
           "await_file_list answers %s, and %zu", name_of(rc), count);

    if (step_is_off(co, n, "await_file_list", must, rc, 0)) {
        return OFF;
    }

    if (rc == ASYNC_OK) {
        s = content(d->name, 1 + A);

        expect(count == 1 && strcmp(e[0].name.data, "b") == 0
               && e[0].type == ASYNC_FILE_REGULAR
               && (size_t) e[0].bytes == s.len, n, "a folder has %zu, first %s",
               count, count ? e[0].name.data : "");
    }

    return 0;
}


static int
read_entry(async_t *co, node_t *n, folder_t *d)
{
    int            must = must_refuse(n), part = 1 + below(n, CONTENT);
    char          *data = async_task_alloc(co, CONTENT);
    size_t         len, got, used;
    async_rc_t     rc;
    async_file_t  *f;

    rc = await_file_open(co, n->tree->root, name_of_entry(d, B),
                         ASYNC_FILE_READ, &f);

    if (step_is_off(co, n, "await_file_open", must, rc, 0) || f == NULL) {
        return OFF;
    }

    for (len = 0; len + (size_t) part <= CONTENT; len += got) {
        must = must_refuse(n);
        rc = await_file_get(co, f, data + len, (size_t) part, &got);

        if (step_is_off(co, n, "await_file_get", must, rc, 0)) {
            return OFF;
        }

        if (got == 0) {
            break;
        }
    }

    expect(version_of(d->name, data, len, &used) == 1 + A || got, n,
           "a file in pieces is no whole");

    if (below(n, 2)) {
        /* the end of the memory closes it */
        return 0;
    }

    must = must_refuse(n);

    return step_is_off(co, n, "await_file_close", must,
                       await_file_close(co, f), 0);
}


/* In two pieces; one that has not been closed well is not there. */

static int
put_entry(async_t *co, node_t *n, folder_t *d)
{
    int          i, must = must_refuse(n);
    size_t       half;
    unsigned     flags = ASYNC_FILE_WRITE;
    async_rc_t   rc;
    async_str_t  s;

    flags |= below(n, 2) ? ASYNC_FILE_ATOMIC : 0;

    rc = await_file_open(co, n->tree->root, name_of_entry(d, C), flags, &d->f);

    expect((rc == ASYNC_OK) == (d->f != NULL), n, "await_file_open answers %s,"
           " and %p", name_of(rc), (void *) d->f);

    if (step_is_off(co, n, "await_file_open", must, rc, 0)) {
        return OFF;
    }

    for (i = 0; i < PIECES; i++) {
        s = content(d->name, 1 + C);
        half = s.len / 2;
        must = must_refuse(n);

        rc = await_file_put(co, d->f, i ? s.data + half : s.data,
                            i ? s.len - half : half);

        if (step_is_off(co, n, "await_file_put", must, rc, 0)) {
            return OFF;
        }

        d->pieces++;
    }

    if (below(n, 3) == 0) {
        /* it is left as it is */
        return OFF;
    }

    must = must_refuse(n);
    rc = await_file_close(co, d->f);

    if (!must && n->stuck == ASYNC_OK) {
        d->f = NULL;
    }

    return changes(co, n, &d->files[C], IS_THERE, "await_file_close", must, rc);
}


static int
remove_entry(async_t *co, node_t *n, folder_t *d, int which)
{
    int  must = must_refuse(n);

    return changes(co, n, &d->files[which], IS_NOT, "await_file_remove", must,
                   await_file_remove(co, n->tree->root,
                                     name_of_entry(d, which)));
}


static int
remove_folder(async_t *co, node_t *n, folder_t *d)
{
    int         must = must_refuse(n);
    async_rc_t  rc;

    rc = await_file_remove(co, n->tree->root, name_of_entry(d, A));

    if (step_is_off(co, n, "await_file_remove", must, rc, ENOENT)) {
        return OFF;
    }

    must = must_refuse(n);

    return changes(co, n, &d->itself, IS_NOT, "await_file_rmdir", must,
                   await_file_rmdir(co, n->tree->root, itself_of(d)));
}


static int
remove_b(async_t *co, node_t *n, folder_t *d)
{
    return remove_entry(co, n, d, B);
}


static int
remove_c(async_t *co, node_t *n, folder_t *d)
{
    return remove_entry(co, n, d, C);
}


static const step_pt  steps[] = {
    make_folder, write_entry, rename_entry, list_folder, read_entry, put_entry,
    remove_b, remove_c, remove_folder
};

#define STEPS  ((int) (sizeof(steps) / sizeof(steps[0])))


static int
walk(async_t *co, node_t *n, folder_t *d, int from, int to)
{
    for (/* void */; from < to; from++) {
        if (steps[from](co, n, d)) {
            return OFF;
        }
    }

    return 0;
}


static void
walk_in_deadline(async_t *co, node_t *n, folder_t *d, int from, int ms)
{
    ASYNC_DEADLINE(co, ms);

    (void) walk(co, n, d, from, STEPS);
}


/* What could not be written wholly is not taken for it. */

static void
close_late(async_t *co, node_t *n, folder_t *d)
{
    int         must = must_refuse(n), was_put = d->pieces == PIECES;
    async_rc_t  rc = await_file_close(co, d->f);

    if (is_refused(n, "await_file_close", must, rc)) {

        if (was_put && !must) {
            d->files[C] = MAY_BE;
        }

        return;
    }

    if (was_put) {
        expect(rc == ASYNC_OK, n, "await_file_close answers %s: %s",
               name_of(rc), async_error(co));
        d->files[C] = IS_THERE;

    } else {
        expect(rc == ASYNC_ERROR || rc == ASYNC_BUSY, n, "await_file_close "
               "answers %s, and not all has been written", name_of(rc));
    }
}


static void
in_its_memory(async_t *co, node_t *n, folder_t *d)
{
    int      ms = below(n, 2), bounded = below(n, 2) ? below(n, STEPS) : STEPS;
    place_t  place = place_of(n);

    ASYNC_MEMORY(co);

    if (walk(co, n, d, 0, bounded) == 0 && bounded < STEPS) {
        deadline_begins(n, ms);
        walk_in_deadline(co, n, d, bounded, ms);
        deadline_ends(n, place);
    }

    if (d->f && n->stuck == ASYNC_OK && below(n, 2)) {
        close_late(co, n, d);
    }
}


async_rc_t
do_folder(async_t *co, node_t *n)
{
    folder_t  *d = calloc(1, sizeof(folder_t));

    if (d == NULL) {
        return ASYNC_OK;
    }

    d->name = new_name();
    d->origin = origin_of(n);

    in_its_memory(co, n, d);

    if (d->itself == IS_NOT) {
        free(d);

    } else {
        d->next = late;
        late = d;
    }

    return n->stuck;
}


/* All threads are at rest. */

static int
entry_check(const char *root, folder_t *d, int which)
{
    int      version = 1 + (which == C ? C : A);
    char     path[512];
    size_t   used = 0;
    ssize_t  len;

    static char  data[CONTENT + 8];

    (void) snprintf(path, sizeof(path), "%s/%s", root,
                    name_of_entry(d, which));

    len = slurp(path, data, sizeof(data));

    if (len == -1) {
        expect_of(d->files[which] != IS_THERE, d->origin, "%s has gone", path);
        return 0;
    }

    expect_of(d->files[which] != IS_NOT, d->origin, "%s is there", path);
    expect_of(version_of(d->name, data, (size_t) len, &used) == version
              && used == (size_t) len, d->origin, "%s is no whole", path);

    (void) unlink(path);

    return 1;
}


static void
folder_check(const char *root, folder_t *d)
{
    int   n, is_there;
    char  path[512];

    (void) snprintf(path, sizeof(path), "%s/%s", root, itself_of(d));

    is_there = access(path, F_OK) == 0;

    expect_of(is_there ? d->itself != IS_NOT : d->itself != IS_THERE, d->origin,
              "%s is there: %d", path, is_there);

    if (d->moves) {
        d->files[A] = d->files[B] = MAY_BE;
    }

    n = entry_check(root, d, A) + entry_check(root, d, B);

    expect_of(!d->moves || n == 1, d->origin, "of what is renamed %d are "
              "there", n);

    (void) entry_check(root, d, C);

    expect_of(!is_there || rmdir(path) == 0, d->origin, "%s has more: %d", path,
              errno);

    free(d);
}


void
folders_check(const char *root)
{
    folder_t  *d;

    while ((d = late) != NULL) {
        late = d->next;
        folder_check(root, d);
    }
}
