
/*
 * Copyright (C) the nginx-async authors
 *
 * Background tasks, see ngx_async.h.  What a request has left lies in a pool of
 * its own, and is run by one task, which is taken when the handler returns, so
 * that nothing is lost for want of one later.  It begins when nginx frees the
 * request, which is when the response has been sent.
 */

#include <ngx_http_async_background.h>
#include <ngx_http_async_teardown.h>
#include <ngx_http_async_thread.h>
#include <ngx_http_async_trace.h>


#define NGX_HTTP_ASYNC_BACKGROUND_POOL  1024


struct ngx_http_async_left_s {
    ngx_http_async_left_t         *next;
    const char                    *site;
    async_fn_pt                    fn;
    async_thread_pt                thread;    /* of the two, one is NULL */
    const char                    *pool;
    void                          *arg;
    size_t                         size;
};


typedef struct {
    ngx_async_task_t               task;
    ngx_http_async_background_t   *background;
} ngx_http_async_background_task_t;


static ngx_http_async_background_t *ngx_http_async_background_create(void);
static void ngx_http_async_background_release(void *data);
static void ngx_http_async_background_start(void *data);
static void ngx_http_async_background_body(ngx_async_task_t *t);
static async_rc_t ngx_http_async_background_run(ngx_async_task_t *t,
    ngx_http_async_background_t *b, ngx_http_async_left_t *left);
static void ngx_http_async_background_done(ngx_async_task_t *t);


ngx_http_async_background_t *
ngx_http_async_background_get(async_req_t *req)
{
    if (req->background == NULL) {
        req->background = ngx_http_async_background_create();
    }

    return req->background;
}


static ngx_http_async_background_t *
ngx_http_async_background_create(void)
{
    ngx_log_t                     log;
    ngx_pool_t                   *pool;
    ngx_http_async_background_t  *b;

    /* in a thread, too: a log that says nothing */

    ngx_memzero(&log, sizeof(ngx_log_t));

    pool = ngx_create_pool(NGX_HTTP_ASYNC_BACKGROUND_POOL, &log);
    if (pool == NULL) {
        return NULL;
    }

    b = ngx_pcalloc(pool, sizeof(ngx_http_async_background_t));

    if (b == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    b->pool = pool;
    b->refs = 1;
    b->last = &b->first;
    pool->log = &b->log;

    return b;
}


async_rc_t
async_background_at(async_req_t *req, const char *site, async_fn_pt fn,
    async_thread_pt thread, const char *pool, void *arg, size_t size)
{
    ngx_http_async_left_t        *left;
    ngx_http_async_background_t  *b;

    ngx_http_async_check(req);

    b = ngx_http_async_background_get(req);
    left = b ? ngx_pcalloc(b->pool, sizeof(ngx_http_async_left_t)) : NULL;

    if (left == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    left->site = site;
    left->fn = fn;
    left->thread = thread;
    left->pool = pool;

    if (arg) {
        left->arg = async_background_alloc(req, size);
        left->size = size;

        if (left->arg == NULL) {
            return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
        }

        ngx_memcpy(left->arg, arg, size);
    }

    *b->last = left;
    b->last = &left->next;

    return ASYNC_OK;
}


void *
async_background_alloc(async_req_t *req, size_t size)
{
    ngx_http_async_background_t  *b;

    ngx_http_async_check(req);

    b = ngx_http_async_background_get(req);

    return b ? ngx_async_palloc(b->pool, size) : NULL;
}


const char *
async_background_str(async_req_t *req, const char *text)
{
    char    *p;
    size_t   len;

    ngx_http_async_check(req);

    if (text == NULL) {
        return NULL;
    }

    len = ngx_strlen(text) + 1;

    p = async_background_alloc(req, len);

    if (p) {
        ngx_memcpy(p, text, len);
    }

    return p;
}


async_rc_t
ngx_http_async_background_hold(async_req_t *req)
{
    ngx_pool_cleanup_t                *cln;
    ngx_http_async_trace_t            *trace;
    ngx_http_async_background_t       *b;
    ngx_http_async_background_task_t  *bt;

    b = req->background;

    if (b->first == NULL && b->teardowns == NULL) {
        ngx_http_async_background_drop(req);
        return ASYNC_OK;
    }

    /* it takes the place of the request's task, which is about to end */

    cln = ngx_pool_cleanup_add(req->r ? req->r->main->pool : req->home, 0);
    trace = ngx_http_async_trace_keep(&req->task, b->pool, &b->log);
    bt = cln ? ngx_async_task_create_over(ngx_http_async_background_body,
                                          ngx_http_async_background_done,
                                          req->task.profile,
                                          trace ? &b->log : ngx_cycle->log)
             : NULL;

    if (bt == NULL) {
        ngx_memzero(&b->log, sizeof(ngx_log_t));
        return ngx_async_set_error(&req->task, ASYNC_BUSY, "no task for what "
                                   "is to be done in the background");
    }

    b->pool->log = ngx_cycle->log;

    bt->background = b;
    bt->task.pool = b->pool;
    bt->task.trace = trace;

    ngx_async_stats_count(ngx_async_tasks, NGX_ASYNC_TASKS_BACKGROUND);

    req->background = NULL;

    cln->handler = ngx_http_async_background_start;
    cln->data = bt;

    return ASYNC_OK;
}


void
ngx_http_async_background_drop(async_req_t *req)
{
    ngx_http_async_background_t  *b;

    b = req->background;
    req->background = NULL;

    ngx_http_async_background_free(b);
}


void
ngx_http_async_background_free(ngx_http_async_background_t *b)
{
    ngx_http_async_background_release(b);
}


static void
ngx_http_async_background_release(void *data)
{
    ngx_http_async_background_t  *b = data;

    if (--b->refs) {
        return;
    }

    /* its log lies in it */
    b->pool->log = ngx_cycle->log;

    ngx_destroy_pool(b->pool);
}


void
ngx_http_async_background_forget(ngx_http_async_background_t *b)
{
    b->first = NULL;
    b->last = &b->first;
}


ngx_int_t
ngx_http_async_background_split(ngx_http_async_background_t **to,
    async_req_t *req)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_async_background_t  *b, *own;

    b = req->background;

    if (b == NULL || b->teardowns == NULL) {
        return NGX_OK;
    }

    if (b->first == NULL) {
        req->background = NULL;
        ngx_http_async_background_join(to, b);
        return NGX_OK;
    }

    own = ngx_http_async_background_create();
    if (own == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(own->pool, 0);

    if (cln == NULL) {
        ngx_http_async_background_free(own);
        return NGX_ERROR;
    }

    /* they lie in its memory */

    cln->handler = ngx_http_async_background_release;
    cln->data = b;
    b->refs++;

    own->teardowns = b->teardowns;
    b->teardowns = NULL;

    ngx_http_async_background_join(to, own);

    return NGX_OK;
}


void
ngx_http_async_background_join(ngx_http_async_background_t **to,
    ngx_http_async_background_t *b)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_async_teardown_t   **td;
    ngx_http_async_background_t  *first;

    first = *to;

    if (first == NULL) {
        *to = b;
        return;
    }

    if (b->first) {
        *first->last = b->first;
        first->last = b->last;
    }

    /* those that were called later come first */

    for (td = &b->teardowns; *td; td = &(*td)->next) {
        /* void */
    }

    *td = first->teardowns;
    first->teardowns = b->teardowns;

    cln = ngx_pool_cleanup_add(first->pool, 0);

    if (cln == NULL) {
        /* its memory is lost rather than used when it is gone */
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "no memory for what is to be done in the background");
        return;
    }

    cln->handler = ngx_http_async_background_release;
    cln->data = b;
}


async_rc_t
ngx_http_async_background_thread(ngx_async_task_t *t,
    ngx_http_async_background_t *b, const char *site, const char *pool,
    async_thread_pt fn, void *arg, size_t size)
{
    b->refs++;

    return ngx_http_async_thread_kept(t, site, pool, fn, arg, size,
                                      ngx_http_async_background_release, b);
}


/* The request is being freed. */

static void
ngx_http_async_background_start(void *data)
{
    ngx_http_async_background_task_t  *bt = data;

    ngx_async_task_ready(&bt->task);
}


static void
ngx_http_async_background_body(ngx_async_task_t *t)
{
    async_rc_t                    rc;
    const char                   *cause;
    ngx_http_async_left_t        *left;
    ngx_http_async_background_t  *b;

    b = ((ngx_http_async_background_task_t *) t)->background;

    for (left = b->first; left; left = left->next) {

        rc = ngx_http_async_background_run(t, b, left);

        if (rc == ASYNC_OK) {
            continue;
        }

        cause = async_error(t);

        ngx_log_error(NGX_LOG_ERR, t->log, 0,
                      "async background task of \"%s\", of %s, failed: "
                      "%s%s%s, after %s at %s", t->profile->name, left->site,
                      ngx_async_rc_name(rc), *cause ? ": " : "", cause,
                      t->await ? t->await : "no await",
                      t->site ? t->site : "-");
    }

    ngx_http_async_teardown_run(t, b, NULL, ASYNC_OK);
}


static async_rc_t
ngx_http_async_background_run(ngx_async_task_t *t,
    ngx_http_async_background_t *b, ngx_http_async_left_t *left)
{
    async_rc_t  rc;

    t->await = NULL;
    t->site = NULL;
    t->error[0] = '\0';

    if (t->reason != NGX_ASYNC_KEEP) {
        /* it has not begun, and will not */
        return ngx_async_refuse(t);
    }

    if (left->thread) {
        return ngx_http_async_background_thread(t, b, left->site, left->pool,
                                                left->thread, left->arg,
                                                left->size);
    }

    rc = ngx_async_call(t, left->fn, left->arg);

    if (t->defers) {
        ngx_async_run_defers(t);
    }

    return rc;
}


static void
ngx_http_async_background_done(ngx_async_task_t *t)
{
    ngx_http_async_background_task_t  *bt;

    bt = (ngx_http_async_background_task_t *) t;

    ngx_async_stats_less(ngx_async_tasks, NGX_ASYNC_TASKS_BACKGROUND);

    ngx_http_async_background_free(bt->background);
}
