
/*
 * A line, what is waited for in it, and the waiters that stand there.
 */

#include "sync.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>


int  numbers[1000];


const char *
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


void
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


async_rc_t
answer(async_req_t *req, line_t *l)
{
    return async_text(req, 200, l->trace);
}


kind_t
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


void
line_init(line_t *l, kind_t kind)
{
    memset(l, 0, sizeof(line_t));

    l->kind = kind;
    l->semaphore.limit = 1;
    l->queue.limit = 2;
}


line_t *
line_of(async_req_t *req)
{
    line_t  *l = async_alloc(req, sizeof(line_t));

    line_init(l, kind_of(req));

    return l;
}


int64_t
number_of(async_req_t *req, const char *name, int64_t n)
{
    int64_t  value;

    (void) async_query_int_or(req, name, &value, n);

    return value;
}


/* Occupies what the others are to wait for. */

async_rc_t
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


async_rc_t
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

async_rc_t
leave(async_t *co, line_t *l)
{
    return l->kind == MUTEX ? async_unlock(co, &l->mutex)
           : l->kind == SEMAPHORE ? async_release(co, &l->semaphore)
           : ASYNC_OK;
}


/* Ends the occupation for n waiters. */

async_rc_t
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

const char *
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


async_rc_t
yields(async_t *co, int n)
{
    while (n--) {
        ASYNC_TRY(await_yield(co));
    }

    return ASYNC_OK;
}


/* whatever it has returned */

void
join(async_t *co, async_child_t *child)
{
    if (await_join(co, child) != ASYNC_OK) { /* void */ }
}


async_rc_t
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


async_rc_t
waiter(async_t *co, void *arg)
{
    waiter_t  *w = arg;

    if (w->ms) {
        ASYNC_DEADLINE(co, w->ms);
        return waiter_stands(co, w);
    }

    return waiter_stands(co, w);
}


async_rc_t
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
