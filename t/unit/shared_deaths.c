
/*
 * The storage of shared dictionaries: a death at any instruction of a change
 * leaves it right.
 *
 * A child process makes a change step by step (ptrace), and after each
 * instruction that has changed something the parent repairs a copy and looks:
 * what is there is what was before or what is after, nothing else is lost, the
 * order of use is kept, and every cell is free or of one entry.  The same with
 * the repair itself.  Then others are killed at random, for real.
 */

#define _GNU_SOURCE

#include <pthread.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include "shared_cells.h"


#define KILLS    1000


/* An entry, copied out */

typedef struct {
    int         kind;
    size_t      key_len;
    size_t      len;
    uint64_t    id;
    uint64_t    waiters;
    u_char      key[NGX_HTTP_ASYNC_CELLS_KEY];
    u_char      value[MAX_LEN];
} entry_t;


/* All of them, the newest first; values, then flights */

typedef struct {
    size_t      n;
    size_t      nvalues;
    entry_t     entries[MANY];
} dump_t;


typedef void (*change_pt)(cells_t *cells);


static cells_t         *shared;
static u_char           copy_of[SIZE] __attribute__((aligned(64)));
static u_char           kept[SIZE];
static dump_t           before, after, found;


static void
dump_list(cells_t *cells, dump_t *d, uint32_t n)
{
    cell_t   *cell, *at;
    u_char   *p;
    size_t    len, room;
    entry_t  *e;

    for ( /* void */ ; n; n = cell->older) {
        cell = ngx_http_async_cells_at(cells, n);
        e = &d->entries[d->n++];

        e->kind = cell->kind;
        e->key_len = cell->key_len;
        e->len = cell->len;
        e->id = cell->id;
        e->waiters = (cell->kind == NGX_HTTP_ASYNC_CELL_FLIGHT)
                     ? cell->waiters : 0;

        p = e->key;
        room = sizeof(cell->data);

        for (at = cell, len = cell->key_len; len; /* void */ ) {
            room = ngx_min(room, len);
            memcpy(p, (at == cell) ? cell->data : (u_char *) at + 8, room);
            p += room;
            len -= room;
            at = ngx_http_async_cells_at(cells, at->next);
            room = 120;
        }

        ngx_http_async_cells_read(cells, cell, e->value);
    }
}


static void
dump(cells_t *cells, dump_t *d)
{
    memset(d, 0, sizeof(dump_t));
    dump_list(cells, d, cells->values.newest);
    d->nvalues = d->n;
    dump_list(cells, d, cells->flights.newest);
}


/* ---- deaths */

static int
same_key(entry_t *a, entry_t *b)
{
    return a->key_len == b->key_len
           && memcmp(a->key, b->key, a->key_len) == 0
           && ngx_max(a->kind, NGX_HTTP_ASYNC_CELL_NUMBER)
              == ngx_max(b->kind, NGX_HTTP_ASYNC_CELL_NUMBER);
}


static int
same(entry_t *a, entry_t *b)
{
    return same_key(a, b) && a->kind == b->kind && a->len == b->len
           && a->id == b->id && a->waiters == b->waiters
           && memcmp(a->value, b->value, a->len) == 0;
}


static entry_t *
in(dump_t *d, entry_t *e, int (*is)(entry_t *a, entry_t *b))
{
    size_t  i;

    for (i = 0; i < d->n; i++) {
        if (is(&d->entries[i], e)) {
            return &d->entries[i];
        }
    }

    return NULL;
}


/* Whether what was found has the order that it has there. */

static int
in_order(dump_t *d)
{
    size_t    i;
    entry_t  *e, *last;

    for (last = NULL, i = 0; i < found.n; i++) {
        e = in(d, &found.entries[i], same);

        if (e && last && e < last) {
            return 0;
        }

        last = e ? e : last;
    }

    return 1;
}


/*
 * Whether "found" can be between "before" and "after"; *done: what has been
 * put, counted or deleted has been seen as it is after.
 */

static const char *
between(int *done)
{
    int       lost;
    size_t    i;
    entry_t  *e, *was, *is;

    for (i = 0; i < found.n; i++) {
        e = &found.entries[i];

        if (!in(&before, e, same) && !in(&after, e, same)) {
            return "there is an entry that never was";
        }

        if (e->kind != NGX_HTTP_ASYNC_CELL_FAILED
            && in(&found, e, same_key) != e)
        {
            return "there are two of a key";
        }
    }

    for (i = 0; i < after.n; i++) {
        e = &after.entries[i];
        was = in(&before, e, same);
        is = in(&found, e, same_key);

        if (was) {
            if (is == NULL) {
                return "an entry is lost";
            }

            continue;
        }

        if (is == NULL && in(&before, e, same_key)) {
            return "neither the old nor the new value is there";
        }

        if (is && same(is, e)) {
            *done = 1;

        } else if (*done) {
            return "what was there is not any more";
        }
    }

    /* what gives way: the oldest of all that do, in its list */

    lost = 0;

    for (i = 0; i < before.n; i++) {
        e = &before.entries[i];

        if (i == before.nvalues) {
            lost = 0;
        }

        if (in(&after, e, same_key)) {
            continue;
        }

        is = in(&found, e, same_key);

        if (is && lost) {
            return "a newer one has given way before an older one";
        }

        lost = (is == NULL);
    }

    return (in_order(&before) || in_order(&after)) ? NULL
                                                   : "the order is another";
}


/* The copy is repaired and looked at; NULL: it is right. */

static const char *
dies_here(int *done)
{
    const char  *wrong;

    memcpy(copy_of, shared, SIZE);
    (void) ngx_http_async_cells_repair((cells_t *) copy_of);

    wrong = check((cells_t *) copy_of);

    if (wrong == NULL) {
        dump((cells_t *) copy_of, &found);
        wrong = between(done);
    }

    if (wrong == NULL && set((cells_t *) copy_of, "later", "on") == NULL) {
        wrong = "nothing can be put any more";
    }

    return wrong ? wrong : check((cells_t *) copy_of);
}


static pid_t
child(change_pt change)
{
    int    status;
    pid_t  pid;

    pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) == -1) {
            _exit(2);
        }

        raise(SIGSTOP);
        change(shared);
        raise(SIGSTOP);
        _exit(0);
    }

    if (pid == -1 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        return -1;
    }

    return pid;
}


static void
kill_child(pid_t pid)
{
    int  status;

    kill(pid, SIGKILL);
    (void) waitpid(pid, &status, 0);
}


/* Calls look() after each instruction that has changed something. */

static long
step(change_pt change, const char *(*look)(int *done), const char **wrong)
{
    int    status, done;
    long   n, deaths;
    pid_t  pid;

    *wrong = NULL;
    pid = child(change);

    if (pid == -1) {
        return -1;
    }

    done = 0;
    deaths = 0;
    memcpy(kept, shared, SIZE);

    for (n = 0; *wrong == NULL; n++) {

        if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == -1
            || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        {
            *wrong = "the child has ended";
            break;
        }

        if (WSTOPSIG(status) == SIGSTOP) {
            break;
        }

        if (memcmp(kept, shared, SIZE) == 0) {
            continue;
        }

        memcpy(kept, shared, SIZE);
        deaths++;
        *wrong = look(&done);
    }

    kill_child(pid);

    return deaths;
}


static void
deaths_in(const char *title, void (*prepare)(cells_t *), change_pt change)
{
    long         n;
    const char  *wrong;

    begin(shared);
    prepare(shared);
    dump(shared, &before);

    memcpy(copy_of, shared, SIZE);
    change((cells_t *) copy_of);
    dump((cells_t *) copy_of, &after);

    n = step(change, dies_here, &wrong);

    if (n == -1) {
        ngx_stub_ok(1, "deaths in %s # SKIP no ptrace here", title);
        return;
    }

    if (wrong == NULL) {
        dump(shared, &found);

        if (found.n != after.n
            || memcmp(&found.entries, &after.entries,
                      found.n * sizeof(entry_t)) != 0)
        {
            wrong = "the change was not made";
        }
    }

    ngx_stub_ok(n > 0 && wrong == NULL, "%ld deaths in %s%s%s", n, title,
                wrong ? ": " : "", wrong ? wrong : "");
}


/* ---- changes */

static void
prepare_none(cells_t *cells)
{
    (void) cells;
}


static void
prepare_some(cells_t *cells)
{
    (void) set(cells, "a", "1");
    (void) set(cells, "key", "old");
    (void) set(cells, "b", (char *) long_value + MAX_LEN - 300);
    (void) put(cells, "count", NGX_HTTP_ASYNC_CELL_NUMBER, NULL, 0, 41, NULL);
    (void) put(cells, "key", NGX_HTTP_ASYNC_CELL_FLIGHT, NULL, 0, 0, NULL);
    (void) put(cells, "other", NGX_HTTP_ASYNC_CELL_FLIGHT, NULL, 0, 0, NULL);
    (void) put(cells, "gone", NGX_HTTP_ASYNC_CELL_FAILED, "why", 3, 9, NULL);
    (void) set(cells, long_key, "long");
}


/* so that there are free cells in another order than that of their numbers */

static void
prepare_mixed(cells_t *cells)
{
    char         name[16];
    unsigned     i;
    cells_key_t  key;

    for (i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "m%u", i);
        (void) put(cells, name, NGX_HTTP_ASYNC_CELL_BYTES, long_value, i * 9,
                   0, NULL);
    }

    for (i = 0; i < 40; i += 3) {
        snprintf(name, sizeof(name), "m%u", i);
        key = key_of(cells, name);
        ngx_http_async_cells_remove(cells,
                                    ngx_http_async_cells_find(cells, &key));
    }

    prepare_some(cells);
}


static void
prepare_full(cells_t *cells)
{
    char      name[16];
    unsigned  i;

    prepare_some(cells);

    for (i = 0; cells->nfree >= 2; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        (void) put(cells, name, NGX_HTTP_ASYNC_CELL_BYTES, long_value, 100, 0,
                   NULL);
    }

    ngx_http_async_cells_touch(cells, get(cells, "f3"));
}


static void set_new(cells_t *cells) { (void) set(cells, "new", "value"); }
static void set_old(cells_t *cells) { (void) set(cells, "key", "newer"); }


static void
set_long(cells_t *cells)
{
    (void) put(cells, "key", NGX_HTTP_ASYNC_CELL_BYTES, long_value, 1200, 0,
               NULL);
}


static void
set_long_key(cells_t *cells)
{
    (void) put(cells, long_key, NGX_HTTP_ASYNC_CELL_BYTES, long_value, 500, 0,
               NULL);
}


static void
incr(cells_t *cells)
{
    cell_t  *cell;

    cell = get(cells, "count");

    __atomic_store_n(&cell->number, cell->number + 1, __ATOMIC_RELAXED);
    ngx_http_async_cells_touch(cells, cell);
}


static void
delete(cells_t *cells)
{
    ngx_http_async_cells_remove(cells, get(cells, "b"));
}


static void
touch(cells_t *cells)
{
    ngx_http_async_cells_touch(cells, get(cells, "a"));
}


static void
take_off(cells_t *cells)
{
    (void) put(cells, "new", NGX_HTTP_ASYNC_CELL_FLIGHT, NULL, 0, 0, NULL);
}


static void
wait_for(cells_t *cells)
{
    cell_t       *cell;
    cells_key_t   key;

    key = key_of(cells, "other");
    cell = ngx_http_async_cells_find_flight(cells, &key);

    __atomic_store_n(&cell->waiters, cell->waiters | 8, __ATOMIC_RELAXED);
}


static void
fail(cells_t *cells)
{
    cells_key_t  key;

    (void) put(cells, "other", NGX_HTTP_ASYNC_CELL_FAILED, "no luck", 7, 77,
               NULL);

    key = key_of(cells, "other");
    ngx_http_async_cells_remove(cells,
                             ngx_http_async_cells_find_flight(cells, &key));
}


static void
repair(cells_t *cells)
{
    (void) ngx_http_async_cells_repair(cells);
}


/* A death amid a change, then one at each step of the repair. */

static void
deaths_in_repair(void)
{
    int          status;
    long         n, deaths;
    pid_t        pid;
    unsigned     at, i;
    const char  *wrong;

    deaths = 0;
    wrong = NULL;

    for (at = 40; at < 900 && wrong == NULL; at += 400) {
        begin(shared);
        prepare_full(shared);
        dump(shared, &before);

        memcpy(copy_of, shared, SIZE);
        set_long((cells_t *) copy_of);
        dump((cells_t *) copy_of, &after);

        pid = child(set_long);

        if (pid == -1) {
            ngx_stub_ok(1, "deaths in repairs # SKIP no ptrace here");
            return;
        }

        for (i = 0; i < at; i++) {
            if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == -1
                || waitpid(pid, &status, 0) != pid
                || WSTOPSIG(status) != SIGTRAP)
            {
                break;
            }
        }

        kill_child(pid);

        n = step(repair, dies_here, &wrong);
        deaths += ngx_max(n, 0);
    }

    ngx_stub_ok(deaths > 100 && wrong == NULL, "%ld deaths in repairs%s%s",
                deaths, wrong ? ": " : "", wrong ? wrong : "");
}


/* ---- deaths at random */

#define KEYS  20

typedef struct {
    pthread_mutex_t    mutex;
    volatile unsigned  key;                /* of the change that is made */
    volatile uint64_t  value;
    volatile uint64_t  committed[KEYS];
} journal_t;


static journal_t  *journal;


/* Values of different lengths, from their number. */

static size_t
value_of(uint64_t n, char *text)
{
    size_t  len;

    len = sprintf(text, "%llu ", (unsigned long long) n);
    memset(text + len, 'v', n % 400);

    return len + n % 400;
}


static int
lock(void)
{
    int  rc;

    rc = pthread_mutex_lock(&journal->mutex);

    if (rc == EOWNERDEAD) {
        pthread_mutex_consistent(&journal->mutex);
        (void) ngx_http_async_cells_repair(shared);
    }

    return rc;
}


static void
work(unsigned microseconds)
{
    char               name[8], text[512];
    size_t             len;
    timer_t            timer;
    unsigned           k;
    uint64_t           n;
    struct sigevent    event;
    struct itimerspec  at;

    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGKILL;

    memset(&at, 0, sizeof(at));
    at.it_value.tv_nsec = microseconds * 1000;

    if (timer_create(CLOCK_MONOTONIC, &event, &timer) == -1
        || timer_settime(timer, 0, &at, NULL) == -1)
    {
        _exit(2);
    }

    for (n = journal->value + 1; /* void */ ; n++) {
        k = draw(KEYS);

        journal->key = k;
        journal->value = n;

        len = value_of(n, text);
        sprintf(name, "k%u", k);

        (void) lock();
        (void) put(shared, name, NGX_HTTP_ASYNC_CELL_BYTES, text, len, 0,
                   NULL);
        pthread_mutex_unlock(&journal->mutex);

        journal->committed[k] = n;
    }
}


static const char *
look_after(void)
{
    int       is;
    char      name[8], text[512];
    unsigned  k;

    for (k = 0; k < KEYS; k++) {
        sprintf(name, "k%u", k);

        text[journal->committed[k] ? value_of(journal->committed[k], text)
                                   : 0] = '\0';
        is = has(shared, name, journal->committed[k] ? text : NULL);

        if (!is && k == journal->key) {
            text[value_of(journal->value, text)] = '\0';
            is = has(shared, name, text);
            journal->committed[k] = journal->value;
        }

        if (!is) {
            return "a value is lost";
        }
    }

    return check(shared);
}


static void
deaths_at_random(void)
{
    int                   status;
    pid_t                 pid;
    unsigned              i, amid;
    const char           *wrong;
    pthread_mutexattr_t   attr;

    begin(shared);

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&journal->mutex, &attr);

    amid = 0;
    wrong = NULL;

    for (i = 0; i < KILLS && wrong == NULL; i++) {
        seed_of = i + 1;
        pid = fork();

        if (pid == 0) {
            work(50 + draw(400));
        }

        if (pid == -1 || waitpid(pid, &status, 0) != pid
            || !WIFSIGNALED(status))
        {
            wrong = "a process could not be killed";
            break;
        }

        amid += (lock() == EOWNERDEAD);
        wrong = look_after();
        pthread_mutex_unlock(&journal->mutex);
    }

    ngx_stub_ok(wrong == NULL && amid, "%u processes killed, %s%s%s", i,
                amid ? "many amid a change" : "none amid a change",
                wrong ? ": " : "", wrong ? wrong : "");
}


int
main(void)
{
    shared = mmap(NULL, SIZE, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS,
                  -1, 0);
    journal = mmap(NULL, sizeof(journal_t), PROT_READ|PROT_WRITE,
                   MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED || journal == MAP_FAILED) {
        return 1;
    }

    make_texts();

    deaths_in("a first set", prepare_none, set_new);
    deaths_in("a set of a new key", prepare_mixed, set_new);
    deaths_in("a set in place of another value", prepare_mixed, set_old);
    deaths_in("a set of many cells", prepare_mixed, set_long);
    deaths_in("a set of a long key", prepare_mixed, set_long_key);
    deaths_in("a set that others give way to", prepare_full, set_new);
    deaths_in("a set that many give way to", prepare_full, set_long);
    deaths_in("a set that a flight gives way to", prepare_flights, set_new);
    deaths_in("a delete", prepare_mixed, delete);
    deaths_in("a use", prepare_some, touch);
    deaths_in("an addition", prepare_some, incr);
    deaths_in("the start of a flight", prepare_full, take_off);
    deaths_in("a wait", prepare_some, wait_for);
    deaths_in("a failure", prepare_full, fail);
    deaths_in_repair();
    deaths_at_random();

    return ngx_stub_done();
}
