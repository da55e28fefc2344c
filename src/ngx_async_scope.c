
/*
 * Copyright (C) the nginx-async authors
 *
 * What holds to the end of a block: a deadline, a shield, memory.  The compiler
 * ends a scope on every way out of its block, so they are undone in the reverse
 * order.
 */

#include <ngx_async_task.h>


#define NGX_ASYNC_ALIGNMENT  _Alignof(max_align_t)


/* Each lies in an async_scope_t, whose first word is the task. */

typedef struct {
    async_t               *co;
    ngx_async_bound_t      bound;
    ngx_msec_t             deadline;          /* those outside */
    const ngx_async_bound_t  *outer;
    ngx_async_reason_e     reason;
} ngx_async_deadline_t;


typedef struct {
    async_t               *co;
    ngx_async_bound_t      bound;
    ngx_async_shield_t     shield;
} ngx_async_shield_scope_t;


typedef struct {
    async_t               *co;
    async_scope_t         *self;
    uint64_t               number;
    ngx_pool_t            *pool;              /* that outside */
    ngx_uint_t             own_pool;
} ngx_async_memory_t;


#define ngx_async_fits(type)                                                 \
    _Static_assert(sizeof(type) <= sizeof(async_scope_t), #type)

ngx_async_fits(ngx_async_deadline_t);
ngx_async_fits(ngx_async_shield_scope_t);
ngx_async_fits(ngx_async_memory_t);


static ngx_uint_t ngx_async_bad_time(ngx_async_task_t *t, int64_t ms);
static async_rc_t ngx_async_scope_call(ngx_async_task_t *t, const char *await,
    const char *site, async_fn_pt fn, void *arg);


void
async_deadline_begin(async_t *co, const char *site, async_scope_t *scope,
    int64_t ms)
{
    ngx_msec_t             deadline;
    ngx_async_deadline_t  *d = (ngx_async_deadline_t *) scope;

    ngx_async_check_task(co);

    d->co = co;
    d->bound.what = "ASYNC_DEADLINE";
    d->bound.site = site;
    d->bound.ms = ms;
    d->deadline = co->deadline;
    d->outer = co->bound;
    d->reason = co->reason;

    if (co->reason != NGX_ASYNC_KEEP) {
        /* nothing can be awaited here anyway, and for that reason */
        return;
    }

    if (ngx_async_bad_time(co, ms)) {
        co->bound = &d->bound;
        return;
    }

    ngx_time_update();

    deadline = ngx_current_msec + (ngx_msec_t) ms;

    if (co->deadline == 0
        || (ngx_msec_int_t) (deadline - co->deadline) < 0)
    {
        ngx_async_set_deadline(co, deadline ? deadline : 1, &d->bound);
    }
}


static ngx_uint_t
ngx_async_bad_time(ngx_async_task_t *t, int64_t ms)
{
    if (ngx_async_is_time(ms)) {
        return 0;
    }

    if (t->reason == NGX_ASYNC_KEEP) {
        t->reason = NGX_ASYNC_BAD_TIME;
    }

    return 1;
}


void
async_deadline_end(async_scope_t *scope)
{
    ngx_async_task_t      *t;
    ngx_async_deadline_t  *d = (ngx_async_deadline_t *) scope;

    t = d->co;

    ngx_async_set_deadline(t, d->deadline, d->outer);

    /* one outside that has passed as well is seen by the next await */

    if (t->reason == NGX_ASYNC_DEADLINE || t->reason == NGX_ASYNC_BAD_TIME) {
        t->reason = (d->reason != NGX_ASYNC_KEEP) ? d->reason
                    : t->shield ? NGX_ASYNC_KEEP
                    : t->cancel;
    }
}


async_rc_t
await_within_at(async_t *co, const char *site, int64_t ms, async_fn_pt fn,
    void *arg)
{
    async_rc_t     rc;
    async_scope_t  scope;

    async_deadline_begin(co, site, &scope, ms);

    rc = ngx_async_scope_call(co, "await_within", site, fn, arg);

    async_deadline_end(&scope);

    return rc;
}


static async_rc_t
ngx_async_scope_call(ngx_async_task_t *t, const char *await, const char *site,
    async_fn_pt fn, void *arg)
{
    async_rc_t  rc;

    rc = ngx_async_enter(t, await, site);

    return (rc == ASYNC_OK) ? fn(t, arg) : rc;
}


void
async_shield_begin(async_t *co, const char *site, async_scope_t *scope,
    int64_t ms)
{
    ngx_async_shield_scope_t  *s = (ngx_async_shield_scope_t *) scope;

    ngx_async_check_task(co);

    s->co = co;
    s->bound.what = "ASYNC_SHIELD";
    s->bound.site = site;
    s->bound.ms = ms;

    ngx_async_shield(co, &s->shield, ngx_min(ngx_max(ms, 0),
                                             NGX_ASYNC_TIME_MAX), &s->bound);

    (void) ngx_async_bad_time(co, ms);
}


void
async_shield_end(async_scope_t *scope)
{
    ngx_async_unshield(((ngx_async_shield_scope_t *) scope)->co);
}


async_rc_t
await_shield_at(async_t *co, const char *site, int64_t ms, async_fn_pt fn,
    void *arg)
{
    async_rc_t     rc;
    async_scope_t  scope;

    async_shield_begin(co, site, &scope, ms);

    rc = ngx_async_scope_call(co, "await_shield", site, fn, arg);

    async_shield_end(&scope);

    return rc;
}


void
async_memory_begin(async_t *co, async_scope_t *scope)
{
    ngx_async_memory_t  *m = (ngx_async_memory_t *) scope;

    ngx_async_check_task(co);

    m->co = co;
    m->number = ngx_async_last_child();
    m->pool = co->pool;
    m->own_pool = co->own_pool;

    /* made when it is needed */

    co->pool = NULL;
    co->own_pool = 0;
}


void
async_memory_end(async_scope_t *scope)
{
    ngx_async_task_t    *t;
    ngx_async_memory_t  *m = (ngx_async_memory_t *) scope;

    t = m->co;

    ngx_async_join_since(t, m->number);

    if (t->own_pool) {
        ngx_destroy_pool(t->pool);
    }

    t->pool = m->pool;
    t->own_pool = m->own_pool;
}


void *
async_task_alloc(async_t *co, size_t size)
{
    ngx_pool_t  *pool;

    ngx_async_check_task(co);

    pool = ngx_async_task_pool(co);

    return pool ? ngx_async_palloc(pool, size) : NULL;
}


/* nginx's pools align to the size of a pointer only */

void *
ngx_async_palloc(ngx_pool_t *pool, size_t size)
{
    u_char  *p;

    if (size > NGX_MAX_SIZE_T_VALUE - NGX_ASYNC_ALIGNMENT) {
        return NULL;
    }

    p = ngx_palloc(pool, size + NGX_ASYNC_ALIGNMENT - 1);

    return p ? ngx_align_ptr(p, NGX_ASYNC_ALIGNMENT) : NULL;
}
