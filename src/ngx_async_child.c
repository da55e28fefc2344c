
/*
 * Copyright (C) the nginx-async authors
 *
 * Child tasks: what a parent knows of each, from async_spawn() until it has
 * been joined, by await_join() or by the end of a block or function.
 */

#include <ngx_async_child.h>
#include <ngx_async_meter.h>


/* how many records that are not used are kept */
#define NGX_ASYNC_CHILDREN_IDLE  1024

/* bytes of stack for the frames that find out how far to go below */
#define NGX_ASYNC_CHILDREN_ROOM  512


typedef struct {
    ngx_async_task_t          task;
    async_child_t            *child;
} ngx_async_child_task_t;


typedef struct {
    async_t                  *co;
    uint64_t                  number;         /* the last one before */
} ngx_async_group_t;


static async_child_t *ngx_async_child_get(ngx_async_task_t *t);
static void ngx_async_child_body(ngx_async_task_t *t);
static void ngx_async_child_done(ngx_async_task_t *t);
static async_rc_t ngx_async_child_of(ngx_async_task_t *t,
    async_child_t *child);
static async_rc_t ngx_async_call_apart(ngx_async_task_t *t, async_fn_pt fn,
    void *arg) __attribute__((noinline));
static void ngx_async_end_children(ngx_async_task_t *t, uint64_t number)
    __attribute__((noinline, cold, no_sanitize_address));
static void ngx_async_end_below(ngx_async_task_t *t, uint64_t number,
    u_char *low) __attribute__((noinline, no_sanitize_address));
static void ngx_async_end_since(ngx_async_task_t *t, uint64_t number)
    __attribute__((noinline));


/* records that are not used, of this worker */
static ngx_queue_t  ngx_async_children_idle;
static ngx_uint_t   ngx_async_nidle;

static uint64_t     ngx_async_child_number;


static async_child_t *
ngx_async_child_get(ngx_async_task_t *t)
{
    ngx_queue_t    *q;
    async_child_t  *child;

    if (ngx_async_nidle) {
        ngx_async_nidle--;

        q = ngx_queue_head(&ngx_async_children_idle);
        ngx_queue_remove(q);

        child = ngx_queue_data(q, async_child_t, queue);

    } else {
        child = ngx_alloc(sizeof(async_child_t), t->log);
        if (child == NULL) {
            return NULL;
        }
    }

    if (t->children.next == NULL) {
        ngx_queue_init(&t->children);
    }

    ngx_queue_insert_tail(&t->children, &child->queue);

    return child;
}


void
ngx_async_child_free(async_child_t *child)
{
    ngx_queue_remove(&child->queue);

    if (ngx_async_nidle == NGX_ASYNC_CHILDREN_IDLE) {
        ngx_free(child);
        return;
    }

    if (ngx_async_nidle == 0) {
        ngx_queue_init(&ngx_async_children_idle);
    }

    ngx_queue_insert_head(&ngx_async_children_idle, &child->queue);
    ngx_async_nidle++;
}


async_child_t *
async_spawn_at(async_t *co, const char *site, async_fn_pt fn, void *arg)
{
    async_child_t           *child;
    ngx_pool_t              *pool;
    ngx_async_child_task_t  *ct;

    ngx_async_check_task(co);

    pool = ngx_async_task_pool(co);
    child = pool ? ngx_async_child_get(co) : NULL;

    if (child == NULL) {
        (void) ngx_async_set_error(co, ASYNC_BUSY, "no memory for a child");
        return NULL;
    }

    ct = ngx_async_task_create(ngx_async_child_body, ngx_async_child_done,
                               co->profile, co->log);
    if (ct == NULL) {
        ngx_async_child_free(child);
        (void) ngx_async_set_error(co, ASYNC_BUSY, "no task for a child");
        return NULL;
    }

    child->parent = co;
    child->task = &ct->task;
    child->gather = NULL;
    child->work = NULL;
    child->fn = fn;
    child->arg = arg;
    child->number = ++ngx_async_child_number;
    child->site = site;
    child->sp = __builtin_frame_address(0);
    child->shielded = (co->shield != NULL);
    child->bounded = (co->bound != NULL);
    child->rc = ASYNC_OK;
    child->error[0] = '\0';
    child->cause = ASYNC_CAUSE_NONE;

    ct->child = child;
    ct->task.parent = co;
    ct->task.meter = co->meter;
    ct->task.pool = pool;
    ct->task.deadline = co->deadline;

    if (child->bounded) {
        child->bound = *co->bound;
        ct->task.bound = &child->bound;
    }

    /* of what awaits nothing any more, no child begins */

    if (co->reason > NGX_ASYNC_BAD_TIME) {
        ngx_async_task_cancel(&ct->task, co->reason);

    } else {
        ct->task.reason = co->reason;
    }

    if (co->meter) {
        co->meter->children++;
    }

    ngx_async_task_ready(&ct->task);

    return child;
}


static void
ngx_async_child_body(ngx_async_task_t *t)
{
    async_child_t  *child;

    child = ((ngx_async_child_task_t *) t)->child;

    child->rc = (t->reason == NGX_ASYNC_KEEP)
                    ? ngx_async_call(t, child->fn, child->arg)
                    : ngx_async_refuse(t);
}


/* On the loop's stack. */

static void
ngx_async_child_done(ngx_async_task_t *t)
{
    async_child_t  *child;

    child = ((ngx_async_child_task_t *) t)->child;

    child->task = NULL;

    if (child->rc != ASYNC_OK) {
        ngx_memcpy(child->error, t->error, NGX_ASYNC_ERROR_LEN);
        child->cause = t->cause;
    }

    if (child->gather) {
        ngx_async_gathered(child->gather, child);
    }
}


async_rc_t
await_join_at(async_t *co, const char *site, async_child_t *child)
{
    async_rc_t          rc, wrong;
    ngx_async_gather_t  g;

    rc = ngx_async_enter(co, "await_join", site);
    wrong = ngx_async_child_of(co, child);

    if (wrong != ASYNC_OK) {
        return wrong;
    }

    ngx_memzero(&g, sizeof(ngx_async_gather_t));

    if (child->task) {
        g.pending = 1;
        child->gather = &g;

    } else {
        rc = ASYNC_OK;
    }

    rc = ngx_async_gather_wait(co, &g, rc);

    if (rc == ASYNC_OK) {
        rc = child->rc;

        if (rc != ASYNC_OK) {
            ngx_memcpy(co->error, child->error, NGX_ASYNC_ERROR_LEN);
            co->cause = child->cause;
        }
    }

    ngx_async_child_free(child);

    return rc;
}


async_rc_t
await_ended_at(async_t *co, const char *site, async_child_t *child)
{
    async_rc_t          rc, wrong;
    ngx_async_gather_t  g;

    rc = ngx_async_enter(co, "await_ended", site);
    wrong = ngx_async_child_of(co, child);

    if (wrong != ASYNC_OK) {
        return wrong;
    }

    if (rc != ASYNC_OK || child->task == NULL) {
        return rc;
    }

    ngx_memzero(&g, sizeof(ngx_async_gather_t));

    g.pending = 1;
    g.waker = ngx_async_waker(co);

    child->gather = &g;

    rc = ngx_async_wait(co, NGX_ASYNC_FOREVER);

    child->gather = NULL;

    return rc;
}


static async_rc_t
ngx_async_child_of(ngx_async_task_t *t, async_child_t *child)
{
    if (child == NULL) {
        /* async_spawn() has failed, and said why */
        return ASYNC_BUSY;
    }

    if (child->parent != t) {
        return ngx_async_set_error(t, ASYNC_ERROR, "only the parent of a "
                                   "child may wait for it");
    }

    return ASYNC_OK;
}


void
async_cancel(async_child_t *child)
{
    if (child && child->task) {
        ngx_async_check_task(child->task);
        ngx_async_task_cancel(child->task, NGX_ASYNC_PARENT);
    }
}


void
ngx_async_cancel_children(ngx_async_task_t *t, ngx_async_reason_e reason,
    ngx_uint_t shielded)
{
    ngx_queue_t    *q;
    async_child_t  *child;

    for (q = ngx_queue_head(&t->children);
         q != ngx_queue_sentinel(&t->children);
         q = ngx_queue_next(q))
    {
        child = ngx_queue_data(q, async_child_t, queue);

        if (child->task && (shielded || !child->shielded)) {
            ngx_async_task_cancel(child->task, reason);
        }
    }
}


void
ngx_async_unbind_children(ngx_async_task_t *t)
{
    ngx_queue_t    *q;
    async_child_t  *child;

    for (q = ngx_queue_head(&t->children);
         q != ngx_queue_sentinel(&t->children);
         q = ngx_queue_next(q))
    {
        child = ngx_queue_data(q, async_child_t, queue);

        if (child->task && !child->bounded) {
            ngx_async_unbind(child->task);
        }
    }
}


/* Blocks */

uint64_t
ngx_async_last_child(void)
{
    return ngx_async_child_number;
}


void
async_group_begin(async_t *co, async_scope_t *scope)
{
    ngx_async_group_t  *group = (ngx_async_group_t *) scope;

    ngx_async_check_task(co);

    group->co = co;
    group->number = ngx_async_child_number;
}


void
async_group_end(async_scope_t *scope)
{
    ngx_async_group_t  *group = (ngx_async_group_t *) scope;

    ngx_async_join_since(group->co, group->number);
}


void
ngx_async_join_since(ngx_async_task_t *t, uint64_t number)
{
    ngx_queue_t         *q, *prev;
    async_child_t       *child;
    ngx_async_gather_t   g;

    if (t->children.next == NULL) {
        return;
    }

    ngx_memzero(&g, sizeof(ngx_async_gather_t));

    for (q = ngx_queue_last(&t->children);
         q != ngx_queue_sentinel(&t->children);
         q = ngx_queue_prev(q))
    {
        child = ngx_queue_data(q, async_child_t, queue);

        if (child->number <= number) {
            break;
        }

        if (child->task) {
            child->gather = &g;
            g.pending++;
        }
    }

    if (g.pending) {
        (void) ngx_async_gather_wait(t, &g, ASYNC_CANCELLED);
    }

    for (q = ngx_queue_last(&t->children);
         q != ngx_queue_sentinel(&t->children);
         q = prev)
    {
        prev = ngx_queue_prev(q);
        child = ngx_queue_data(q, async_child_t, queue);

        if (child->number <= number) {
            break;
        }

        ngx_async_child_free(child);
    }
}


/*
 * A function of the user has returned, and children may still have pointers to
 * its dead frame: that is left as it is, by going on below the deepest of them.
 * What runs before is kept off it by the room above the call.
 */

uint64_t
ngx_async_child_last(void)
{
    return ngx_async_child_number;
}


ngx_uint_t
ngx_async_child_since(ngx_async_task_t *t, ngx_async_task_t *of,
    uint64_t number)
{
    ngx_queue_t       *q;
    async_child_t     *child;
    ngx_async_task_t  *below;

    for (below = NULL; t != of; t = t->parent) {

        if (t == NULL) {
            return 0;
        }

        below = t;
    }

    if (below == NULL) {
        return 1;
    }

    for (q = ngx_queue_head(&of->children);
         q != ngx_queue_sentinel(&of->children);
         q = ngx_queue_next(q))
    {
        child = ngx_queue_data(q, async_child_t, queue);

        if (child->task == below) {
            return child->number > number;
        }
    }

    return 0;
}


async_rc_t
ngx_async_call(ngx_async_task_t *t, async_fn_pt fn, void *arg)
{
    uint64_t    number;
    async_rc_t  rc;

    number = ngx_async_child_number;

    rc = ngx_async_call_apart(t, fn, arg);

    if (t->children.next && !ngx_queue_empty(&t->children)) {
        ngx_async_end_children(t, number);
    }

    return rc;
}


static async_rc_t
ngx_async_call_apart(ngx_async_task_t *t, async_fn_pt fn, void *arg)
{
    u_char      room[NGX_ASYNC_CHILDREN_ROOM];
    async_rc_t  rc;

    rc = fn(t, arg);

    __asm__ volatile ("" : : "r" (room) : "memory");

    return rc;
}


static void
ngx_async_end_children(ngx_async_task_t *t, uint64_t number)
{
    u_char         *low;
    ngx_queue_t    *q;
    async_child_t  *child;

    low = NULL;

    for (q = ngx_queue_last(&t->children);
         q != ngx_queue_sentinel(&t->children);
         q = ngx_queue_prev(q))
    {
        child = ngx_queue_data(q, async_child_t, queue);

        if (child->number <= number) {
            break;
        }

        if (child->task && (low == NULL || child->sp < low)) {
            low = child->sp;
        }
    }

    ngx_async_end_below(t, number, low);
}


static void
ngx_async_end_below(ngx_async_task_t *t, uint64_t number, u_char *low)
{
    u_char           *here;
    volatile u_char  *skip;

    here = __builtin_frame_address(0);

    if (low && low < here) {
        skip = __builtin_alloca(here - low);
        *skip = 0;
    }

    ngx_async_end_since(t, number);
}


static void
ngx_async_end_since(ngx_async_task_t *t, uint64_t number)
{
    ngx_queue_t    *q;
    async_child_t  *child;

    for (q = ngx_queue_head(&t->children);
         q != ngx_queue_sentinel(&t->children);
         q = ngx_queue_next(q))
    {
        child = ngx_queue_data(q, async_child_t, queue);

        if (child->number > number) {
            ngx_log_error(NGX_LOG_WARN, t->log, 0,
                          "async \"%s\" has returned without await_join() of "
                          "a child that was spawned at %s%s",
                          t->profile->name, child->site,
                          child->task ? ": it is cancelled" : "");
        }
    }

    ngx_async_join_since(t, number);
}
