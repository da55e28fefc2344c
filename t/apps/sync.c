
/*
 * Handlers of t/sync.t.  Most play a scene among child tasks, and answer what
 * has happened in which order; ?on= says at what they stand in line: mutex,
 * semaphore, event, get or put.  At the end of the file are handlers that stand
 * in one line of the worker, for clients that go, and for its end.
 */

#include <ngx_async.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define WAITERS  10
#define LONG     3600000


typedef enum {
    MUTEX,
    SEMAPHORE,
    EVENT,
    GET,                                      /* from an empty queue */
    PUT                                       /* into a full one */
} kind_t;


typedef struct {
    kind_t             kind;
    async_mutex_t      mutex;
    async_semaphore_t  semaphore;
    async_event_t      event;
    async_queue_t      queue;

    int                waiting;
    size_t             len;
    char               trace[8192];
} line_t;


typedef struct {
    line_t            *line;
    int                id;
    int64_t            ms;                    /* its deadline; zero: none */
    int                seen;                  /* of whoever waits for it */
    async_child_t     *child;
} waiter_t;


static int  numbers[1000];                    /* what the queues carry */


static const char *
name_of(async_rc_t rc)
{
    return rc == ASYNC_OK ? "ok"
           : rc == ASYNC_ERROR ? "error"
           : rc == ASYNC_TIMEOUT ? "timeout"
           : rc == ASYNC_CANCELLED ? "cancelled"
           : rc == ASYNC_CLOSED ? "closed"
           : rc == ASYNC_BUSY ? "busy"
           : "other";
}


__attribute__((format(printf, 2, 3))) static void
note(line_t *l, const char *format, ...)
{
    va_list  args;

    if (l->len) {
        l->trace[l->len++] = ' ';
    }

    va_start(args, format);
    l->len += (size_t) vsnprintf(l->trace + l->len, 256, format, args);
    va_end(args);
}


static async_rc_t
answer(async_req_t *req, line_t *l)
{
    return async_text(req, 200, l->trace);
}


static kind_t
kind_of(async_req_t *req)
{
    async_str_t  on = async_query(req, "on");

    if (on.data == NULL) {
        return MUTEX;
    }

    return strcmp(on.data, "semaphore") == 0 ? SEMAPHORE
           : strcmp(on.data, "event") == 0 ? EVENT
           : strcmp(on.data, "get") == 0 ? GET
           : strcmp(on.data, "put") == 0 ? PUT
           : MUTEX;
}


static void
line_init(line_t *l, kind_t kind)
{
    memset(l, 0, sizeof(line_t));

    l->kind = kind;
    l->semaphore.limit = 1;
    l->queue.limit = 2;
}


static line_t *
line_of(async_req_t *req)
{
    line_t  *l = async_alloc(req, sizeof(line_t));

    line_init(l, kind_of(req));

    return l;
}


static int64_t
number_of(async_req_t *req, const char *name, int64_t n)
{
    int64_t  value;

    (void) async_query_int_or(req, name, &value, n);

    return value;
}


/* Occupies what the others are to wait for. */

static async_rc_t
occupy(async_t *co, line_t *l)
{
    switch (l->kind) {

    case MUTEX:
        return await_lock(co, &l->mutex);

    case SEMAPHORE:
        return await_acquire(co, &l->semaphore);

    case PUT:
        ASYNC_TRY(await_put(co, &l->queue, &numbers[998]));
        return await_put(co, &l->queue, &numbers[999]);

    default:
        return ASYNC_OK;
    }
}


static async_rc_t
stand(async_t *co, line_t *l, int id, int *item)
{
    async_rc_t   rc;
    void        *got = NULL;

    *item = -1;

    l->waiting++;

    switch (l->kind) {

    case MUTEX:
        rc = await_lock(co, &l->mutex);       /* where a waiter locks */
        break;

    case SEMAPHORE:
        rc = await_acquire(co, &l->semaphore);
        break;

    case EVENT:
        rc = await_event(co, &l->event);
        break;

    case GET:
        rc = await_get(co, &l->queue, &got);

        if (got) {
            *item = (int) ((int *) got - numbers);
        }

        break;

    default:
        rc = await_put(co, &l->queue, &numbers[id]);
    }

    l->waiting--;

    return rc;
}


/* Whoever has got it hands it on. */

static async_rc_t
leave(async_t *co, line_t *l)
{
    return l->kind == MUTEX ? async_unlock(co, &l->mutex)
           : l->kind == SEMAPHORE ? async_release(co, &l->semaphore)
           : ASYNC_OK;
}


/* Ends the occupation for n waiters. */

static async_rc_t
let_go(async_t *co, line_t *l, int n)
{
    int    i;
    void  *item;

    switch (l->kind) {

    case EVENT:
        async_event_set(co, &l->event);
        return ASYNC_OK;

    case GET:
        for (i = 0; i < n; i++) {
            ASYNC_TRY(await_put(co, &l->queue, &numbers[i]));
        }

        return ASYNC_OK;

    case PUT:
        for (i = 0; i < n; i++) {
            ASYNC_TRY(await_get(co, &l->queue, &item));
        }

        return ASYNC_OK;

    default:
        return leave(co, l);
    }
}


/* Whether it is as after "n" turns, and nobody has taken anything with him. */

static const char *
state_of(async_t *co, line_t *l)
{
    void  *item;

    switch (l->kind) {

    case MUTEX:
        return async_try_lock(co, &l->mutex) == ASYNC_OK
               && async_unlock(co, &l->mutex) == ASYNC_OK ? "free" : "taken";

    case SEMAPHORE:
        return async_try_acquire(co, &l->semaphore) == ASYNC_OK
               && async_try_acquire(co, &l->semaphore) == ASYNC_BUSY
               && async_release(co, &l->semaphore) == ASYNC_OK
               && async_release(co, &l->semaphore) == ASYNC_ERROR
               ? "free" : "taken";

    case EVENT:
        return async_event_is_set(co, &l->event) ? "free" : "taken";

    case GET:
        return async_queue_count(co, &l->queue) == 0 ? "free" : "left over";

    default:
        while (async_try_get(co, &l->queue, &item) == ASYNC_OK) {
            note(l, "%d", (int) ((int *) item - numbers));
        }

        return "free";
    }
}


static async_rc_t
yields(async_t *co, int n)
{
    while (n--) {
        ASYNC_TRY(await_yield(co));
    }

    return ASYNC_OK;
}


/* whatever it has returned */

static void
join(async_t *co, async_child_t *child)
{
    if (await_join(co, child) != ASYNC_OK) { /* void */ }
}


static async_rc_t
waiter_stands(async_t *co, waiter_t *w)
{
    int          item;
    line_t      *l = w->line;
    async_rc_t   rc;

    rc = stand(co, l, w->id, &item);

    if (rc != ASYNC_OK) {
        note(l, "%d:%s", w->id, name_of(rc));
        return rc;
    }

    if (l->kind == GET) {
        note(l, "%d:got%d", w->id, item);

    } else {
        note(l, "%d", w->id);
    }

    /* while it has it, nobody else gets it */

    if (l->kind == MUTEX || l->kind == SEMAPHORE) {
        rc = yields(co, 2);
        (void) leave(co, l);
    }

    return rc;
}


static async_rc_t
waiter(async_t *co, void *arg)
{
    waiter_t  *w = arg;

    if (w->ms) {
        ASYNC_DEADLINE(co, w->ms);
        return waiter_stands(co, w);
    }

    return waiter_stands(co, w);
}


static async_rc_t
begin_waiters(async_t *co, line_t *l, waiter_t *w, int n, int late, int64_t ms)
{
    int  i;

    for (i = 0; i < n; i++) {
        w[i].line = l;
        w[i].id = i;
        w[i].ms = (i == late) ? ms : 0;
        w[i].child = async_spawn(co, waiter, &w[i]);

        /* in this order */
        ASYNC_TRY(await_yield(co));
    }

    return ASYNC_OK;
}


/* ?cancel=N, ?late=N: the waiter that is cancelled, or has a deadline */

ASYNC_HANDLER(in_turn)
{
    int        i, n;
    int64_t    cancel, late;
    line_t    *l = line_of(req);
    waiter_t  *w = async_alloc(req, WAITERS * sizeof(waiter_t));

    cancel = number_of(req, "cancel", -1);
    late = number_of(req, "late", -1);
    n = WAITERS;

    ASYNC_TRY(occupy(co, l));
    ASYNC_TRY(begin_waiters(co, l, w, WAITERS, (int) late, 20));

    if (l->waiting != WAITERS) {
        note(l, "only %d wait", l->waiting);
    }

    if (late >= 0) {
        ASYNC_TRY(await_ended(co, w[late].child));
        n--;
    }

    if (cancel >= 0) {
        async_cancel(w[cancel].child);
        n--;
    }

    note(l, "go");

    ASYNC_TRY(let_go(co, l, n));

    for (i = 0; i < WAITERS; i++) {
        join(co, w[i].child);
    }

    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


/*
 * The first waiter is given it, or cancelled, and then the other one of both
 * within the same turn of the loop: ?first=give, cancel
 */

static async_rc_t
tells(async_t *co, void *arg)
{
    int         item;
    waiter_t   *w = arg;
    async_rc_t  rc;

    rc = stand(co, w->line, w->id, &item);
    note(w->line, "%d:%s", w->id, name_of(rc));

    if (rc == ASYNC_OK) {
        if (w->line->kind == GET) {
            note(w->line, "item%d", item);
        }

        note(w->line, "next:%s", name_of(await_yield(co)));
        (void) leave(co, w->line);
    }

    return rc;
}


ASYNC_HANDLER(same_turn)
{
    int           i, give;
    line_t       *l = line_of(req);
    waiter_t     *w = async_alloc(req, 2 * sizeof(waiter_t));
    async_str_t   first;

    first = async_query(req, "first");
    give = first.data && strcmp(first.data, "give") == 0;

    ASYNC_TRY(occupy(co, l));

    for (i = 0; i < 2; i++) {
        w[i].line = l;
        w[i].id = i;
        w[i].child = async_spawn(co, tells, &w[i]);
        ASYNC_TRY(await_yield(co));
    }

    if (give) {
        ASYNC_TRY(let_go(co, l, 1));
        async_cancel(w[0].child);

    } else {
        async_cancel(w[0].child);
        ASYNC_TRY(let_go(co, l, 1));
    }

    ASYNC_TRY(await_ended(co, w[0].child));
    ASYNC_TRY(yields(co, 4));

    if (give && (l->kind == GET || l->kind == PUT)) {
        /* for the second one */
        ASYNC_TRY(let_go(co, l, 1));
    }

    for (i = 0; i < 2; i++) {
        join(co, w[i].child);
    }

    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


/* A deadline that has passed before, and a cancel: no line is joined. */

ASYNC_HANDLER(too_late)
{
    int         item;
    line_t     *l = line_of(req);
    async_rc_t  rc;

    {
        ASYNC_DEADLINE(co, 0);
        rc = stand(co, l, 1, &item);
    }

    note(l, "%s", name_of(rc));
    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


/* Mutex */

ASYNC_HANDLER(mutex_again)
{
    line_t  *l = line_of(req);

    note(l, "%s", name_of(await_lock(co, &l->mutex)));
    note(l, "%s", name_of(await_lock(co, &l->mutex)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(async_try_lock(co, &l->mutex)));
    note(l, "%s", name_of(async_unlock(co, &l->mutex)));
    note(l, "%s", name_of(async_unlock(co, &l->mutex)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(async_try_lock(co, &l->mutex)));
    note(l, "%s", name_of(async_try_lock(co, &l->mutex)));
    note(l, "%s", name_of(async_unlock(co, &l->mutex)));

    return answer(req, l);
}


static async_rc_t
other(async_t *co, void *arg)
{
    line_t  *l = arg;

    note(l, "try:%s", name_of(async_try_lock(co, &l->mutex)));
    note(l, "unlock:%s", name_of(async_unlock(co, &l->mutex)));
    note(l, "(%s)", async_error(co));

    return ASYNC_OK;
}


ASYNC_HANDLER(mutex_other)
{
    line_t  *l = line_of(req);

    ASYNC_TRY(await_lock(co, &l->mutex));
    ASYNC_TRY(await_join(co, async_spawn(co, other, l)));
    note(l, "%s", name_of(async_unlock(co, &l->mutex)));

    return answer(req, l);
}


static async_rc_t
forgets(async_t *co, void *arg)
{
    line_t  *l = arg;

    ASYNC_TRY(await_lock(co, &l->mutex));     /* where one forgets */
    note(l, "locked");

    return yields(co, 5);
}


static async_rc_t
forgets_two(async_t *co, void *arg)
{
    line_t  *l = arg;

    ASYNC_TRY(await_lock(co, &l[0].mutex));   /* the first of two */
    ASYNC_TRY(await_lock(co, &l[1].mutex));   /* the second of two */

    return yields(co, 5);
}


static async_rc_t
never_comes(async_t *co, void *arg)
{
    line_t  *l = arg;

    ASYNC_TRY(async_try_lock(co, &l->mutex));

    return await_sleep(co, LONG);
}


/* ?how=: end, cancel, handed (to one that is cancelled then), try */

ASYNC_HANDLER(mutex_left)
{
    line_t         *l = line_of(req);
    waiter_t       *w = async_alloc(req, sizeof(waiter_t));
    const char     *how = async_query(req, "how").data;
    async_child_t  *child;

    if (strcmp(how, "handed") == 0) {
        ASYNC_TRY(await_lock(co, &l->mutex));
        child = async_spawn(co, forgets, l);
        ASYNC_TRY(await_yield(co));

        (void) async_unlock(co, &l->mutex);
        async_cancel(child);
        note(l, "%s", name_of(await_join(co, child)));
        note(l, "%s", state_of(co, l));

        return answer(req, l);
    }

    child = async_spawn(co, strcmp(how, "end") == 0 ? forgets : never_comes,
                        l);
    ASYNC_TRY(await_yield(co));

    ASYNC_TRY(begin_waiters(co, l, w, 1, -1, 0));

    if (strcmp(how, "end") != 0) {
        async_cancel(child);
    }

    join(co, child);
    note(l, "ended");
    join(co, w[0].child);

    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


ASYNC_HANDLER(mutex_left_two)
{
    line_t  *l = async_alloc(req, 2 * sizeof(line_t));

    line_init(&l[0], MUTEX);
    line_init(&l[1], MUTEX);

    ASYNC_TRY(await_join(co, async_spawn(co, forgets_two, l)));

    note(l, "%s", state_of(co, &l[0]));
    note(l, "%s", state_of(co, &l[1]));

    return answer(req, l);
}


/* unlocks in another order than it has locked, and leaves the one between */

static async_rc_t
forgets_middle(async_t *co, void *arg)
{
    line_t  *l = arg;

    ASYNC_TRY(await_lock(co, &l[0].mutex));
    ASYNC_TRY(await_lock(co, &l[1].mutex));   /* the middle one of three */
    ASYNC_TRY(await_lock(co, &l[2].mutex));

    ASYNC_TRY(async_unlock(co, &l[0].mutex));

    return async_unlock(co, &l[2].mutex);
}


ASYNC_HANDLER(mutex_left_middle)
{
    int      i;
    line_t  *l = async_alloc(req, 3 * sizeof(line_t));

    for (i = 0; i < 3; i++) {
        line_init(&l[i], MUTEX);
    }

    ASYNC_TRY(await_join(co, async_spawn(co, forgets_middle, l)));

    for (i = 0; i < 3; i++) {
        note(l, "%s", state_of(co, &l[i]));
    }

    return answer(req, l);
}


static async_rc_t
in_scope(async_t *co, line_t *l, int early)
{
    ASYNC_LOCK(co, &l->mutex);

    note(l, "held:%s", name_of(async_unlock(co, &l->mutex)));
    ASYNC_TRY(async_try_lock(co, &l->mutex));

    if (early) {
        return ASYNC_CLOSED;
    }

    note(l, "late");

    return await_yield(co);
}


static async_rc_t
in_scope_cancelled(async_t *co, void *arg)
{
    line_t  *l = arg;

    ASYNC_LOCK(co, &l->mutex);

    return await_sleep(co, LONG);
}


ASYNC_HANDLER(mutex_scope)
{
    line_t         *l = line_of(req);
    async_child_t  *first, *second;

    note(l, "%s", name_of(in_scope(co, l, 1)));
    note(l, "%s", state_of(co, l));
    note(l, "%s", name_of(in_scope(co, l, 0)));
    note(l, "%s", state_of(co, l));

    {
        ASYNC_LOCK(co, &l->mutex);
        note(l, "again:%s", name_of(in_scope(co, l, 0)));
    }

    note(l, "%s", state_of(co, l));

    first = async_spawn(co, in_scope_cancelled, l);
    second = async_spawn(co, in_scope_cancelled, l);
    ASYNC_TRY(await_yield(co));

    async_cancel(second);
    note(l, "in line:%s", name_of(await_join(co, second)));
    note(l, "%s", name_of(async_try_lock(co, &l->mutex)));

    async_cancel(first);
    note(l, "inside:%s", name_of(await_join(co, first)));
    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


static void
locks(async_t *co, void *arg)
{
    line_t  *l = arg;

    note(l, "cleanup:%s", name_of(await_lock(co, &l->mutex)));
    note(l, "%s", name_of(async_unlock(co, &l->mutex)));
}


static async_rc_t
locks_at_end(async_t *co, void *arg)
{
    ASYNC_TRY(async_defer(co, locks, arg));

    return await_sleep(co, LONG);
}


ASYNC_HANDLER(mutex_cleanup)
{
    line_t         *l = line_of(req);
    async_child_t  *child;

    ASYNC_TRY(await_lock(co, &l->mutex));

    child = async_spawn(co, locks_at_end, l);
    ASYNC_TRY(await_yield(co));

    async_cancel(child);
    ASYNC_TRY(yields(co, 3));

    note(l, "unlock");
    (void) async_unlock(co, &l->mutex);
    note(l, "%s", name_of(await_join(co, child)));
    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


/* Semaphore */

ASYNC_HANDLER(semaphore_limit)
{
    line_t  *l = line_of(req);

    l->semaphore.limit = number_of(req, "limit", 0);

    note(l, "%s", name_of(await_acquire(co, &l->semaphore)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(async_try_acquire(co, &l->semaphore)));
    note(l, "%s", name_of(async_release(co, &l->semaphore)));

    return answer(req, l);
}


ASYNC_HANDLER(semaphore_release)
{
    line_t  *l = line_of(req);

    note(l, "%s", name_of(async_release(co, &l->semaphore)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(await_acquire(co, &l->semaphore)));
    note(l, "%s", name_of(async_try_acquire(co, &l->semaphore)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(async_release(co, &l->semaphore)));
    note(l, "%s", name_of(async_release(co, &l->semaphore)));

    return answer(req, l);
}


typedef struct {
    line_t  *line;
    int      inside;
    int      most;
    int      done;
} crowd_t;


static async_rc_t
one_of_crowd(async_t *co, void *arg)
{
    crowd_t  *c = arg;

    ASYNC_TRY(await_acquire(co, &c->line->semaphore));

    c->inside++;
    c->most = c->inside > c->most ? c->inside : c->most;

    ASYNC_TRY(yields(co, 3));

    c->inside--;
    c->done++;

    return async_release(co, &c->line->semaphore);
}


ASYNC_HANDLER(semaphore_crowd)
{
    int            i;
    line_t        *l = line_of(req);
    crowd_t        c = { l, 0, 0, 0 };
    async_work_t   work[20];

    static async_semaphore_t  three = ASYNC_SEMAPHORE(3);

    l->semaphore = three;

    for (i = 0; i < 20; i++) {
        work[i].fn = one_of_crowd;
        work[i].arg = &c;
    }

    ASYNC_TRY(await_all(co, work, 20));

    note(l, "%d done, %d at most", c.done, c.most);

    return answer(req, l);
}


static async_rc_t
releases(async_t *co, void *arg)
{
    line_t  *l = arg;

    note(l, "%s", name_of(async_release(co, &l->semaphore)));

    return ASYNC_OK;
}


ASYNC_HANDLER(semaphore_other)
{
    line_t  *l = line_of(req);

    ASYNC_TRY(await_acquire(co, &l->semaphore));
    ASYNC_TRY(await_join(co, async_spawn(co, releases, l)));
    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


/* Event */

ASYNC_HANDLER(event_before)
{
    line_t  *l = line_of(req);

    note(l, "%d", async_event_is_set(co, &l->event));
    async_event_set(co, &l->event);
    async_event_set(co, &l->event);
    note(l, "%d", async_event_is_set(co, &l->event));
    note(l, "%s", name_of(await_event(co, &l->event)));
    note(l, "%s", name_of(await_event(co, &l->event)));
    async_event_clear(co, &l->event);
    note(l, "%d", async_event_is_set(co, &l->event));

    {
        ASYNC_DEADLINE(co, 10);
        note(l, "%s", name_of(await_event(co, &l->event)));
    }

    return answer(req, l);
}


/* set and cleared at once: it wakes those that wait, and nobody later */

ASYNC_HANDLER(event_pulse)
{
    int        i;
    line_t    *l = line_of(req);
    waiter_t  *w = async_alloc(req, 4 * sizeof(waiter_t));

    l->kind = EVENT;

    ASYNC_TRY(begin_waiters(co, l, w, 3, -1, 0));

    async_event_set(co, &l->event);
    async_event_clear(co, &l->event);

    for (i = 0; i < 3; i++) {
        ASYNC_TRY(await_join(co, w[i].child));
    }

    w[3] = (waiter_t) { l, 3, 10, 0, NULL };
    join(co, async_spawn(co, waiter, &w[3]));
    note(l, "%s", state_of(co, l));

    return answer(req, l);
}


/* Queue */

static async_rc_t
puts_five(async_t *co, void *arg)
{
    int      i;
    line_t  *l = arg;

    for (i = 0; i < 5; i++) {
        ASYNC_TRY(await_put(co, &l->queue, &numbers[i]));
        note(l, "put%d", i);
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(queue_bound)
{
    int             i;
    void           *item;
    line_t         *l = line_of(req);
    async_child_t  *child;

    child = async_spawn(co, puts_five, l);
    ASYNC_TRY(yields(co, 3));
    note(l, "count%zu", async_queue_count(co, &l->queue));

    for (i = 0; i < 5; i++) {
        ASYNC_TRY(await_get(co, &l->queue, &item));
        note(l, "got%d", (int) ((int *) item - numbers));
        ASYNC_TRY(yields(co, 3));
    }

    ASYNC_TRY(await_join(co, child));
    note(l, "count%zu", async_queue_count(co, &l->queue));

    return answer(req, l);
}


ASYNC_HANDLER(queue_try)
{
    void    *item = &item;
    line_t  *l = line_of(req);

    note(l, "%s", name_of(async_try_get(co, &l->queue, &item)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", item ? "something" : "nothing");
    note(l, "%s", name_of(async_try_put(co, &l->queue, &numbers[1])));
    note(l, "%s", name_of(async_try_put(co, &l->queue, NULL)));
    note(l, "%s", name_of(async_try_put(co, &l->queue, &numbers[3])));
    note(l, "(%s)", async_error(co));
    note(l, "count%zu", async_queue_count(co, &l->queue));
    note(l, "%s", name_of(async_try_get(co, &l->queue, &item)));
    note(l, "%s", item == &numbers[1] ? "first" : "another");
    note(l, "%s", name_of(async_try_get(co, &l->queue, &item)));
    note(l, "%s", item ? "something" : "nothing");
    note(l, "%s", name_of(async_try_get(co, &l->queue, &item)));

    return answer(req, l);
}


ASYNC_HANDLER(queue_zero)
{
    void           *item;
    line_t         *l = line_of(req);
    async_child_t  *child;
    waiter_t        w = { l, 0, 0, 0, NULL };

    l->kind = GET;
    l->queue.limit = 0;

    note(l, "%s", name_of(async_try_put(co, &l->queue, &numbers[1])));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(await_put(co, &l->queue, &numbers[1])));
    note(l, "count%zu", async_queue_count(co, &l->queue));

    if (async_query(req, "get").data) {
        note(l, "%s", name_of(async_try_get(co, &l->queue, &item)));
        child = async_spawn(co, waiter, &w);
        ASYNC_TRY(yields(co, 2));
        note(l, "put:%s", name_of(await_put(co, &l->queue, &numbers[7])));
        async_cancel(child);
        note(l, "%s", name_of(await_join(co, child)));
    }

    return answer(req, l);
}


ASYNC_HANDLER(queue_huge)
{
    line_t  *l = line_of(req);

    l->queue.limit = (size_t) -1 / 4;

    note(l, "%s", name_of(await_put(co, &l->queue, &numbers[1])));
    note(l, "(%s)", async_error(co));
    note(l, "count%zu", async_queue_count(co, &l->queue));

    return answer(req, l);
}


/*
 * Each item has the number of its await_put(), which is that of its place in
 * the line; whoever takes sees them in this order.
 */

enum { PUTTERS = 5, EACH = 20, GETTERS = 5 };

typedef struct {
    async_queue_t  queue;
    int            next;
    int            putting;
    int            taken[PUTTERS * EACH];
    int            disorder;
    int            got;
} market_t;


static async_rc_t
sells(async_t *co, void *arg)
{
    int        i, mine;
    market_t  *m = arg;

    for (i = 0; i < EACH; i++) {
        mine = m->next++;
        ASYNC_TRY(await_put(co, &m->queue, &numbers[mine]));

        if (mine % 3 == 0) {
            ASYNC_TRY(await_yield(co));
        }
    }

    if (--m->putting == 0) {
        async_queue_close(co, &m->queue);
    }

    return ASYNC_OK;
}


static async_rc_t
buys(async_t *co, void *arg)
{
    int          last, number;
    void        *item;
    market_t    *m = arg;
    async_rc_t   rc;

    for (last = -1; /* void */; last = number) {
        rc = await_get(co, &m->queue, &item);

        if (rc != ASYNC_OK) {
            return rc == ASYNC_CLOSED ? ASYNC_OK : rc;
        }

        number = (int) ((int *) item - numbers);

        m->taken[number]++;
        m->got++;
        m->disorder += number <= last;

        if (number % 4 == 0) {
            ASYNC_TRY(yields(co, 2));
        }
    }
}


/* ?getters=, ?limit= */

ASYNC_HANDLER(queue_market)
{
    int            i, n, once;
    line_t        *l = line_of(req);
    market_t      *m = async_alloc(req, sizeof(market_t));
    async_work_t   work[PUTTERS + GETTERS];

    memset(m, 0, sizeof(market_t));

    m->queue.limit = (size_t) number_of(req, "limit", 3);
    m->putting = PUTTERS;
    n = (int) number_of(req, "getters", GETTERS);

    for (i = 0; i < PUTTERS + n; i++) {
        work[i].fn = i < PUTTERS ? sells : buys;
        work[i].arg = m;
    }

    ASYNC_TRY(await_all(co, work, (size_t) (PUTTERS + n)));

    for (i = 0, once = 0; i < PUTTERS * EACH; i++) {
        once += m->taken[i] == 1;
    }

    note(l, "%d taken, %d once, %d out of order", m->got, once, m->disorder);

    return answer(req, l);
}


ASYNC_HANDLER(queue_close)
{
    int        i;
    void      *item;
    line_t    *l = line_of(req);
    waiter_t  *w = async_alloc(req, 3 * sizeof(waiter_t));

    if (l->kind != PUT) {
        l->kind = GET;
    }

    ASYNC_TRY(occupy(co, l));
    ASYNC_TRY(begin_waiters(co, l, w, 3, -1, 0));

    async_queue_close(co, &l->queue);
    async_queue_close(co, &l->queue);

    for (i = 0; i < 3; i++) {
        note(l, "%s", name_of(await_join(co, w[i].child)));
    }

    note(l, "(%s)", async_error(co));
    note(l, "count%zu", async_queue_count(co, &l->queue));

    note(l, "put:%s", name_of(await_put(co, &l->queue, &numbers[1])));
    note(l, "try:%s", name_of(async_try_put(co, &l->queue, &numbers[1])));
    note(l, "get:%s", name_of(await_get(co, &l->queue, &item)));
    note(l, "try:%s", name_of(async_try_get(co, &l->queue, &item)));
    note(l, "get:%s", name_of(await_get(co, &l->queue, &item)));
    note(l, "%s", item ? "something" : "nothing");
    note(l, "try:%s", name_of(async_try_get(co, &l->queue, &item)));

    return answer(req, l);
}


/* closed and given within one turn: what was given counts */

ASYNC_HANDLER(queue_close_given)
{
    line_t    *l = line_of(req);
    waiter_t  *w = async_alloc(req, 2 * sizeof(waiter_t));

    l->kind = GET;

    ASYNC_TRY(begin_waiters(co, l, w, 2, -1, 0));

    ASYNC_TRY(async_try_put(co, &l->queue, &numbers[5]));
    async_queue_close(co, &l->queue);

    note(l, "%s", name_of(await_join(co, w[0].child)));
    note(l, "%s", name_of(await_join(co, w[1].child)));

    return answer(req, l);
}


/* One line of the worker */

static line_t  shared;


/* ?on=: all of it anew, and occupied until /go or for ?ms= */

ASYNC_HANDLER(hold)
{
    int64_t  ms = number_of(req, "ms", 0);

    line_init(&shared, kind_of(req));

    ASYNC_TRY(occupy(co, &shared));
    note(&shared, "held");

    if (ms) {
        ASYNC_TRY(await_sleep(co, ms));

    } else if (shared.kind == MUTEX) {
        /* it is its owner that unlocks */
        ASYNC_TRY(await_event(co, &shared.event));
    }

    if (shared.kind == MUTEX || ms) {
        note(&shared, "go");
        ASYNC_TRY(let_go(co, &shared, (int) number_of(req, "n", 1)));
    }

    return async_text(req, 200, "held\n");
}


ASYNC_HANDLER(go)
{
    if (shared.kind == MUTEX) {
        async_event_set(co, &shared.event);

    } else {
        note(&shared, "go");
        ASYNC_TRY(let_go(co, &shared, (int) number_of(req, "n", 1)));
    }

    return async_text(req, 200, "go\n");
}


ASYNC_HANDLER(wait_for)
{
    waiter_t    w = { &shared, 0, 0, 0, NULL };
    async_rc_t  rc;

    w.id = (int) number_of(req, "id", 0);

    rc = waiter_stands(co, &w);

    return rc == ASYNC_OK ? async_text(req, 200, "had it\n") : rc;
}


ASYNC_HANDLER(waiting)
{
    char  text[32];

    snprintf(text, sizeof(text), "%d", shared.waiting);

    return async_text(req, 200, text);
}


ASYNC_HANDLER(trace)
{
    return async_text(req, 200, shared.trace);
}


ASYNC_HANDLER(state)
{
    note(&shared, "%s", state_of(co, &shared));

    return async_text(req, 200, shared.trace);
}
