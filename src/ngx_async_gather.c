
/*
 * Copyright (C) the nginx-async authors
 *
 * Waiting for children until all of them have ended: await_all(),
 * await_gather() and await_any(), and what await_join() and the end of a block
 * stand on.
 */

#include <ngx_async_child.h>


static async_rc_t ngx_async_gather(ngx_async_task_t *t, const char *await,
    const char *site, ngx_async_gather_t *g, async_work_t *work, size_t n);
static async_rc_t ngx_async_gather_begin(async_rc_t rc, async_work_t *work,
    size_t n);
static async_rc_t ngx_async_gather_spawn(ngx_async_task_t *t,
    const char *site, ngx_async_gather_t *g, async_work_t *work, size_t n);
static void ngx_async_gather_result(ngx_async_task_t *t, async_child_t *child);
static void ngx_async_gather_cancel(ngx_async_task_t *t,
    ngx_async_gather_t *g);


void
ngx_async_gathered(ngx_async_gather_t *g, async_child_t *child)
{
    g->pending--;

    if (child->rc != ASYNC_OK) {
        g->last = child;
    }

    if (g->first == NULL
        && ((g->mode == NGX_ASYNC_ALL && child->rc != ASYNC_OK)
            || (g->mode == NGX_ASYNC_ANY && child->rc == ASYNC_OK)))
    {
        g->first = child;

        if (g->pending) {
            ngx_async_gather_cancel(child->parent, g);
        }
    }

    if (g->pending == 0) {
        (void) ngx_async_wake(&g->waker, ASYNC_OK);
    }
}


static void
ngx_async_gather_cancel(ngx_async_task_t *t, ngx_async_gather_t *g)
{
    ngx_queue_t    *q;
    async_child_t  *child;

    for (q = ngx_queue_head(&t->children);
         q != ngx_queue_sentinel(&t->children);
         q = ngx_queue_next(q))
    {
        child = ngx_queue_data(q, async_child_t, queue);

        if (child->gather == g && child->task) {
            ngx_async_task_cancel(child->task, NGX_ASYNC_PARENT);
        }
    }
}


async_rc_t
ngx_async_gather_wait(ngx_async_task_t *t, ngx_async_gather_t *g,
    async_rc_t rc)
{
    int                 cause;
    u_char              error[NGX_ASYNC_ERROR_LEN];
    ngx_async_shield_t  shield;

    if (g->pending && rc == ASYNC_OK) {
        g->waker = ngx_async_waker(t);
        rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);
    }

    if (g->pending == 0) {
        /* a cancel that came too late is told by the next await */
        return (rc == ASYNC_OK || t->reason == NGX_ASYNC_KEEP) ? rc : ASYNC_OK;
    }

    ngx_memcpy(error, t->error, NGX_ASYNC_ERROR_LEN);
    cause = t->cause;

    ngx_async_gather_cancel(t, g);

    ngx_async_shield(t, &shield, NGX_ASYNC_FOREVER, NULL);

    while (g->pending) {
        g->waker = ngx_async_waker(t);
        (void) ngx_async_wait(t, NGX_ASYNC_FOREVER);
    }

    ngx_async_unshield(t);

    ngx_memcpy(t->error, error, NGX_ASYNC_ERROR_LEN);
    t->cause = cause;

    return rc;
}


/* Several at once */

async_rc_t
await_all_at(async_t *co, const char *site, async_work_t *work, size_t n)
{
    ngx_async_gather_t  g;

    g.mode = NGX_ASYNC_ALL;

    return ngx_async_gather(co, "await_all", site, &g, work, n);
}


async_rc_t
await_gather_at(async_t *co, const char *site, async_work_t *work, size_t n)
{
    ngx_async_gather_t  g;

    g.mode = NGX_ASYNC_GATHER;

    return ngx_async_gather(co, "await_gather", site, &g, work, n);
}


async_rc_t
await_any_at(async_t *co, const char *site, async_work_t *work, size_t n,
    int *winner)
{
    async_rc_t          rc;
    ngx_async_gather_t  g;

    *winner = -1;

    g.mode = NGX_ASYNC_ANY;

    rc = ngx_async_gather(co, "await_any", site, &g, work, n);

    if (rc == ASYNC_OK && n == 0) {
        return ngx_async_set_error(co, ASYNC_ERROR, "there is nothing to "
                                   "await");
    }

    if (rc == ASYNC_OK) {
        /* others may have returned ASYNC_OK as well, when it was decided */
        *winner = (int) (g.won - work);
    }

    return rc;
}


static async_rc_t
ngx_async_gather(ngx_async_task_t *t, const char *await, const char *site,
    ngx_async_gather_t *g, async_work_t *work, size_t n)
{
    async_rc_t      rc;
    ngx_queue_t    *q, *next;
    async_child_t  *child, *tells;

    g->pending = 0;
    g->first = NULL;
    g->last = NULL;
    g->won = NULL;
    g->waker.ticket = 0;

    if (t->children.next == NULL) {
        ngx_queue_init(&t->children);
    }

    rc = ngx_async_gather_begin(ngx_async_enter(t, await, site), work, n);

    if (rc != ASYNC_OK || n == 0) {
        return rc;
    }

    rc = ngx_async_gather_spawn(t, site, g, work, n);

    rc = ngx_async_gather_wait(t, g, rc);

    /* what is told of all: the one that has decided, or the last failure */

    tells = (g->mode == NGX_ASYNC_ALL) ? g->first
          : (g->mode == NGX_ASYNC_ANY && g->first == NULL) ? g->last
          : NULL;

    if (rc == ASYNC_OK && tells) {
        rc = tells->rc;
        ngx_memcpy(t->error, tells->error, NGX_ASYNC_ERROR_LEN);
        t->cause = tells->cause;
    }

    if (g->mode == NGX_ASYNC_ANY && g->first) {
        g->won = g->first->work;
    }

    for (q = ngx_queue_head(&t->children);
         q != ngx_queue_sentinel(&t->children);
         q = next)
    {
        next = ngx_queue_next(q);
        child = ngx_queue_data(q, async_child_t, queue);

        if (child->gather == g) {
            ngx_async_gather_result(t, child);
            ngx_async_child_free(child);
        }
    }

    return rc;
}


/* What those have that do not begin. */

static async_rc_t
ngx_async_gather_begin(async_rc_t rc, async_work_t *work, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        work[i].rc = (rc == ASYNC_OK) ? ASYNC_BUSY : rc;
        work[i].error = NULL;
    }

    return rc;
}


static async_rc_t
ngx_async_gather_spawn(ngx_async_task_t *t, const char *site,
    ngx_async_gather_t *g, async_work_t *work, size_t n)
{
    size_t          i;
    async_child_t  *child;

    for (i = 0; i < n; i++) {
        child = async_spawn_at(t, site, work[i].fn, work[i].arg);

        if (child == NULL) {
            return ASYNC_BUSY;
        }

        child->gather = g;
        child->work = &work[i];

        g->pending++;
    }

    return ASYNC_OK;
}


static void
ngx_async_gather_result(ngx_async_task_t *t, async_child_t *child)
{
    size_t   len;
    char    *error;

    child->work->rc = child->rc;

    if (child->rc == ASYNC_OK) {
        return;
    }

    len = ngx_strlen(child->error) + 1;
    error = ngx_pnalloc(t->pool, len);

    if (error) {
        ngx_memcpy(error, child->error, len);
        child->work->error = error;
    }
}
