
/*
 * Copyright (C) the nginx-async authors
 *
 * What tasks of one worker wait for from each other: mutex, semaphore, event,
 * queue.
 *
 * Whoever frees something gives it to the first in line, at once: it is that
 * one's from then on, although it runs later.  So nobody overtakes, and what
 * was given to a task that is cancelled at the same time is still its own; its
 * await answers ASYNC_OK, and the next one tells of the cancel.
 */

#include <ngx_async_task.h>


/* Somebody in line, on the stack of the task that waits. */

typedef struct ngx_async_waiting_s  ngx_async_waiting_t;

struct ngx_async_waiting_s {
    ngx_async_waiting_t      *next;
    ngx_async_waiting_t      *prev;
    ngx_async_waker_t         waker;
    void                     *item;           /* of a queue */
    ngx_uint_t                in_line;
};


/* Zero: nobody. */

typedef struct {
    ngx_async_waiting_t      *first;
    ngx_async_waiting_t      *last;
} ngx_async_line_t;


typedef struct {
    ngx_async_task_t         *owner;
    ngx_async_line_t          line;
    ngx_async_end_t           end;            /* among the ends of the owner */
    const char               *site;           /* of the lock */
} ngx_async_mutex_t;


typedef struct {
    int64_t                   limit;
    int64_t                   taken;
    ngx_async_line_t          line;
} ngx_async_semaphore_t;


typedef struct {
    uintptr_t                 set;
    ngx_async_line_t          line;
} ngx_async_event_t;


typedef struct {
    size_t                    limit;
    void                    **items;          /* a ring of "limit" */
    size_t                    first;
    size_t                    count;
    ngx_async_line_t          getters;        /* only while it is empty */
    ngx_async_line_t          putters;        /* only while it is full */
    uintptr_t                 closed;
} ngx_async_queue_t;


#define ngx_async_same(public, private)                                      \
    _Static_assert(sizeof(private) <= sizeof(public), #private)

ngx_async_same(async_mutex_t, ngx_async_mutex_t);
ngx_async_same(async_semaphore_t, ngx_async_semaphore_t);
ngx_async_same(async_event_t, ngx_async_event_t);
ngx_async_same(async_queue_t, ngx_async_queue_t);


static async_rc_t ngx_async_line_wait(ngx_async_task_t *t,
    ngx_async_line_t *line, ngx_async_waiting_t *w);
static ngx_async_waiting_t *ngx_async_line_take(ngx_async_line_t *line);
static void ngx_async_line_leave(ngx_async_line_t *line,
    ngx_async_waiting_t *w);
static void ngx_async_line_wake(ngx_async_line_t *line, ngx_int_t rc);
static void ngx_async_mutex_own(ngx_async_mutex_t *m, ngx_async_task_t *t,
    const char *site);
static void ngx_async_mutex_next(ngx_async_mutex_t *m);
static void ngx_async_mutex_left(ngx_async_end_t *end);
static ngx_int_t ngx_async_queue_push(ngx_async_queue_t *q, void *item);
static async_rc_t ngx_async_queue_put(async_t *co, ngx_async_queue_t *q,
    void *item);
static async_rc_t ngx_async_queue_get(async_t *co, ngx_async_queue_t *q,
    void **item);
static async_rc_t ngx_async_queue_wait(async_t *co, ngx_async_line_t *line,
    ngx_async_waiting_t *w);


/*
 * ASYNC_OK: what was waited for is the task's.  Others: it has left the line.
 */

static async_rc_t
ngx_async_line_wait(ngx_async_task_t *t, ngx_async_line_t *line,
    ngx_async_waiting_t *w)
{
    ngx_int_t  rc;

    w->waker = ngx_async_waker(t);
    w->in_line = 1;
    w->next = NULL;
    w->prev = line->last;

    if (line->last) {
        line->last->next = w;

    } else {
        line->first = w;
    }

    line->last = w;

    rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);

    if (w->in_line) {
        ngx_async_line_leave(line, w);
    }

    return rc;
}


static void
ngx_async_line_leave(ngx_async_line_t *line, ngx_async_waiting_t *w)
{
    if (w->prev) {
        w->prev->next = w->next;

    } else {
        line->first = w->next;
    }

    if (w->next) {
        w->next->prev = w->prev;

    } else {
        line->last = w->prev;
    }

    w->in_line = 0;
}


/* The first whose wait has not been decided otherwise; it is woken. */

static ngx_async_waiting_t *
ngx_async_line_take(ngx_async_line_t *line)
{
    ngx_async_waiting_t  *w;

    while (line->first) {
        w = line->first;
        ngx_async_line_leave(line, w);

        if (ngx_async_wake(&w->waker, ASYNC_OK)) {
            return w;
        }
    }

    return NULL;
}


static void
ngx_async_line_wake(ngx_async_line_t *line, ngx_int_t rc)
{
    ngx_async_waiting_t  *w;

    while (line->first) {
        w = line->first;
        ngx_async_line_leave(line, w);

        (void) ngx_async_wake(&w->waker, rc);
    }
}


/* Mutex */

async_rc_t
await_lock_at(async_t *co, const char *site, async_mutex_t *mutex)
{
    async_rc_t            rc;
    ngx_async_waiting_t   w;
    ngx_async_mutex_t    *m = (ngx_async_mutex_t *) mutex;

    rc = ngx_async_enter(co, "await_lock", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (m->owner == NULL) {
        ngx_async_mutex_own(m, co, site);
        return ASYNC_OK;
    }

    if (m->owner == co) {
        return ngx_async_set_error(co, ASYNC_BUSY, "the task has locked this "
                                   "mutex already, at %s", m->site);
    }

    return ngx_async_line_wait(co, &m->line, &w);
}


async_rc_t
async_try_lock(async_t *co, async_mutex_t *mutex)
{
    ngx_async_mutex_t  *m = (ngx_async_mutex_t *) mutex;

    ngx_async_check_task(co);

    if (m->owner) {
        return ngx_async_set_error(co, ASYNC_BUSY, "the mutex was locked at "
                                   "%s", m->site);
    }

    ngx_async_mutex_own(m, co, "async_try_lock()");

    return ASYNC_OK;
}


static void
ngx_async_mutex_own(ngx_async_mutex_t *m, ngx_async_task_t *t,
    const char *site)
{
    m->owner = t;
    m->site = site;

    m->end.handler = ngx_async_mutex_left;
    m->end.next = t->ends;
    t->ends = &m->end;
}


static void
ngx_async_mutex_next(ngx_async_mutex_t *m)
{
    ngx_async_waiting_t  *w;

    m->owner = NULL;

    w = ngx_async_line_take(&m->line);

    if (w) {
        ngx_async_mutex_own(m, w->waker.task, w->waker.task->site);
    }
}


async_rc_t
async_unlock(async_t *co, async_mutex_t *mutex)
{
    ngx_async_end_t    **end;
    ngx_async_mutex_t   *m = (ngx_async_mutex_t *) mutex;

    ngx_async_check_task(co);

    if (m->owner != co) {
        return ngx_async_set_error(co, ASYNC_ERROR, "the task has not locked "
                                   "this mutex");
    }

    for (end = &co->ends; *end != &m->end; end = &(*end)->next) {
        /* void */
    }

    *end = m->end.next;

    ngx_async_mutex_next(m);

    return ASYNC_OK;
}


static void
ngx_async_mutex_left(ngx_async_end_t *end)
{
    ngx_async_mutex_t  *m;

    m = (ngx_async_mutex_t *) ((u_char *) end
                               - offsetof(ngx_async_mutex_t, end));

    ngx_log_error(NGX_LOG_ERR, m->owner->log, 0,
                  "async \"%s\" has returned without async_unlock() of a "
                  "mutex that it had locked at %s",
                  m->owner->profile->name, m->site);

    ngx_async_mutex_next(m);
}


async_rc_t
await_lock_in_at(async_t *co, const char *site, async_mutex_t *mutex,
    async_scope_t *scope)
{
    async_rc_t  rc;

    rc = await_lock_at(co, site, mutex);

    if (rc == ASYNC_OK) {
        scope->opaque[0] = co;
        scope->opaque[1] = mutex;
    }

    return rc;
}


void
async_lock_end(async_scope_t *scope)
{
    if (scope->opaque[0]) {
        (void) async_unlock(scope->opaque[0], scope->opaque[1]);
    }
}


/* Semaphore */

async_rc_t
await_acquire_at(async_t *co, const char *site, async_semaphore_t *semaphore)
{
    async_rc_t              rc;
    ngx_async_waiting_t     w;
    ngx_async_semaphore_t  *s = (ngx_async_semaphore_t *) semaphore;

    rc = ngx_async_enter(co, "await_acquire", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (s->taken < s->limit) {
        s->taken++;
        return ASYNC_OK;
    }

    if (s->limit <= 0) {
        return ngx_async_set_error(co, ASYNC_ERROR, "the limit of the "
                                   "semaphore is %L", s->limit);
    }

    return ngx_async_line_wait(co, &s->line, &w);
}


async_rc_t
async_try_acquire(async_t *co, async_semaphore_t *semaphore)
{
    ngx_async_semaphore_t  *s = (ngx_async_semaphore_t *) semaphore;

    ngx_async_check_task(co);

    if (s->taken >= s->limit) {
        return ngx_async_set_error(co, ASYNC_BUSY, "the semaphore is taken "
                                   "%L times, of %L", s->taken, s->limit);
    }

    s->taken++;

    return ASYNC_OK;
}


async_rc_t
async_release(async_t *co, async_semaphore_t *semaphore)
{
    ngx_async_semaphore_t  *s = (ngx_async_semaphore_t *) semaphore;

    ngx_async_check_task(co);

    if (s->taken == 0) {
        return ngx_async_set_error(co, ASYNC_ERROR, "nobody has acquired the "
                                   "semaphore");
    }

    if (ngx_async_line_take(&s->line) == NULL) {
        s->taken--;
    }

    return ASYNC_OK;
}


/* Event */

async_rc_t
await_event_at(async_t *co, const char *site, async_event_t *event)
{
    async_rc_t            rc;
    ngx_async_waiting_t   w;
    ngx_async_event_t    *e = (ngx_async_event_t *) event;

    rc = ngx_async_enter(co, "await_event", site);

    return (rc == ASYNC_OK && !e->set) ? ngx_async_line_wait(co, &e->line, &w)
                                       : rc;
}


void
async_event_set(async_t *co, async_event_t *event)
{
    ngx_async_event_t  *e = (ngx_async_event_t *) event;

    ngx_async_check_task(co);

    e->set = 1;

    ngx_async_line_wake(&e->line, ASYNC_OK);
}


void
async_event_clear(async_t *co, async_event_t *event)
{
    ngx_async_check_task(co);

    ((ngx_async_event_t *) event)->set = 0;
}


int
async_event_is_set(async_t *co, const async_event_t *event)
{
    ngx_async_check_task(co);

    return ((const ngx_async_event_t *) event)->set != 0;
}


/* Queue */

static ngx_int_t
ngx_async_queue_push(ngx_async_queue_t *q, void *item)
{
    if (q->limit == 0 || q->limit > NGX_MAX_SIZE_T_VALUE / sizeof(void *)) {
        return NGX_DECLINED;
    }

    if (q->items == NULL) {
        q->items = ngx_alloc(q->limit * sizeof(void *), ngx_cycle->log);
        if (q->items == NULL) {
            return NGX_ERROR;
        }
    }

    q->items[(q->first + q->count) % q->limit] = item;
    q->count++;

    return NGX_OK;
}


/* ASYNC_BUSY: it is full. */

static async_rc_t
ngx_async_queue_put(async_t *co, ngx_async_queue_t *q, void *item)
{
    ngx_int_t             rc;
    ngx_async_waiting_t  *w;

    if (q->closed) {
        return ngx_async_set_error(co, ASYNC_CLOSED, "the queue is closed");
    }

    w = ngx_async_line_take(&q->getters);

    if (w) {
        w->item = item;
        return ASYNC_OK;
    }

    if (q->count == q->limit && q->limit) {
        return ngx_async_set_error(co, ASYNC_BUSY, "the queue is full, with "
                                   "%uz items", q->count);
    }

    rc = ngx_async_queue_push(q, item);

    if (rc == NGX_DECLINED) {
        return ngx_async_set_error(co, ASYNC_ERROR, "the limit of the queue "
                                   "is %uz", q->limit);
    }

    return (rc == NGX_OK) ? ASYNC_OK
                          : ngx_async_set_error(co, ASYNC_ERROR, "no memory");
}


/* ASYNC_BUSY: it is empty. */

static async_rc_t
ngx_async_queue_get(async_t *co, ngx_async_queue_t *q, void **item)
{
    ngx_async_waiting_t  *w;

    *item = NULL;

    if (q->count == 0) {
        return q->closed
            ? ngx_async_set_error(co, ASYNC_CLOSED, "the queue is closed")
            : (q->limit == 0)
            ? ngx_async_set_error(co, ASYNC_ERROR, "the limit of the queue "
                                  "is 0")
            : ngx_async_set_error(co, ASYNC_BUSY, "the queue is empty");
    }

    *item = q->items[q->first];

    q->first = (q->first + 1) % q->limit;
    q->count--;

    w = ngx_async_line_take(&q->putters);

    if (w) {
        (void) ngx_async_queue_push(q, w->item);

    } else if (q->count == 0) {
        /* so that an idle one holds nothing, and needs no end */

        ngx_free(q->items);
        q->items = NULL;
        q->first = 0;
    }

    return ASYNC_OK;
}


async_rc_t
await_put_at(async_t *co, const char *site, async_queue_t *queue, void *item)
{
    async_rc_t            rc;
    ngx_async_queue_t    *q = (ngx_async_queue_t *) queue;
    ngx_async_waiting_t   w;

    rc = ngx_async_enter(co, "await_put", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_async_queue_put(co, q, item);

    if (rc != ASYNC_BUSY) {
        return rc;
    }

    w.item = item;

    return ngx_async_queue_wait(co, &q->putters, &w);
}


async_rc_t
await_get_at(async_t *co, const char *site, async_queue_t *queue, void **item)
{
    async_rc_t            rc;
    ngx_async_queue_t    *q = (ngx_async_queue_t *) queue;
    ngx_async_waiting_t   w;

    *item = NULL;

    rc = ngx_async_enter(co, "await_get", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_async_queue_get(co, q, item);

    if (rc != ASYNC_BUSY) {
        return rc;
    }

    w.item = NULL;

    rc = ngx_async_queue_wait(co, &q->getters, &w);

    if (rc == ASYNC_OK) {
        *item = w.item;
    }

    return rc;
}


static async_rc_t
ngx_async_queue_wait(async_t *co, ngx_async_line_t *line,
    ngx_async_waiting_t *w)
{
    async_rc_t  rc;

    rc = ngx_async_line_wait(co, line, w);

    return (rc == ASYNC_CLOSED)
               ? ngx_async_set_error(co, rc, "the queue is closed") : rc;
}


async_rc_t
async_try_put(async_t *co, async_queue_t *queue, void *item)
{
    ngx_async_check_task(co);

    return ngx_async_queue_put(co, (ngx_async_queue_t *) queue, item);
}


async_rc_t
async_try_get(async_t *co, async_queue_t *queue, void **item)
{
    ngx_async_check_task(co);

    return ngx_async_queue_get(co, (ngx_async_queue_t *) queue, item);
}


size_t
async_queue_count(async_t *co, const async_queue_t *queue)
{
    ngx_async_check_task(co);

    return ((const ngx_async_queue_t *) queue)->count;
}


void
async_queue_close(async_t *co, async_queue_t *queue)
{
    ngx_async_queue_t  *q = (ngx_async_queue_t *) queue;

    ngx_async_check_task(co);

    q->closed = 1;

    ngx_async_line_wake(&q->getters, ASYNC_CLOSED);
    ngx_async_line_wake(&q->putters, ASYNC_CLOSED);
}
