
/*
 * Copyright (C) the nginx-async authors
 *
 * Blocking handlers.  The thread gets a request of its own: a copy of what it
 * may read, in a pool that only it uses, where it also builds the response.
 * So the real request may end at any time.  When the handler has returned in
 * time, the response and the pool go over to the real request; otherwise they
 * are freed when the thread has done with them.
 *
 * With dependencies a request may have several such copies, one after another
 * or at the same time: what each changes is merged, and what one has made lives
 * as long as the arena of the request, if it has one.
 */

#include <ngx_http_async_blocking.h>
#include <ngx_http_async_body.h>
#include <ngx_http_async_form.h>
#include <ngx_http_async_given.h>
#include <ngx_http_async_param.h>
#include <ngx_http_async_response.h>
#include <ngx_http_async_teardown.h>
#include <ngx_http_async_ws.h>


/* nginx makes larger pools in pieces of this size, too */
#define NGX_HTTP_ASYNC_ARENA  4096


typedef struct {
    async_req_t              req;          /* the thread's */
    ngx_http_async_in_t      in;
    ngx_http_async_given_t   given;
    ngx_http_async_run_pt    run;
    ngx_pool_t              *pool;
    ngx_log_t                log;          /* of the pool: says nothing */
} ngx_http_async_blocking_t;


/* what a thread has the loop run */

typedef struct {
    async_req_t             *req;
    async_fn_pt              fn;
    void                    *arg;
} ngx_http_async_called_t;


static ngx_http_async_blocking_t *ngx_http_async_blocking_create(
    async_req_t *req);
static async_rc_t ngx_http_async_blocking_call(async_req_t *own);
static async_rc_t ngx_http_async_blocking_go(ngx_async_task_t *t,
    async_req_t *req, ngx_http_async_blocking_t *b, const char *site);
static ngx_int_t ngx_http_async_blocking_copy(async_req_t *req,
    ngx_http_async_blocking_t *b);
static ngx_int_t ngx_http_async_blocking_headers(async_req_t *req,
    ngx_http_async_blocking_t *b);
static ngx_int_t ngx_http_async_blocking_str(ngx_pool_t *pool, ngx_str_t *to,
    ngx_str_t *from);
static void ngx_http_async_blocking_run(void *data);
static void ngx_http_async_blocking_drop(void *data);
static async_rc_t ngx_http_async_blocking_take(async_req_t *req,
    ngx_http_async_blocking_t *b);
static ngx_int_t ngx_http_async_blocking_merge(async_req_t *req,
    ngx_http_async_blocking_t *b);
static void ngx_http_async_blocking_json(void *data);
static async_rc_t ngx_http_async_blocking_called(async_t *co, void *arg);


async_rc_t
ngx_http_async_blocking(async_req_t *req)
{
    async_rc_t                  rc;
    ngx_http_async_blocking_t  *b;

    b = ngx_http_async_blocking_create(req);
    if (b == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    rc = ngx_http_async_blocking_body(req, b->pool);

    if (rc != ASYNC_OK) {
        ngx_http_async_blocking_drop(b);
        ngx_async_thread_free(b);
        return rc;
    }

    b->run = ngx_http_async_blocking_call;

    return ngx_http_async_blocking_go(&req->task, req, b,
                                      req->fn->exported->site);
}


async_rc_t
ngx_http_async_blocking_steps(ngx_async_task_t *t, async_req_t *req,
    ngx_http_async_run_pt run, const char *site)
{
    ngx_http_async_blocking_t  *b;

    b = ngx_http_async_blocking_create(req);

    if (b == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    b->run = run;

    return ngx_http_async_blocking_go(t, req, b, site);
}


async_rc_t
ngx_http_async_blocking_body(async_req_t *req, ngx_pool_t *pool)
{
    async_rc_t  rc;

    if (req->form) {
        return ASYNC_OK;
    }

    if (req->body_state == NGX_HTTP_ASYNC_BODY_UNREAD
        && !ngx_http_async_blocking_has_body(req->r))
    {
        req->body.data = "";
        req->body.len = 0;
        req->body_state = NGX_HTTP_ASYNC_BODY_WHOLE;

        return ASYNC_OK;
    }

    rc = ngx_async_enter(&req->task, "the body", req->fn->exported->site);

    return (rc == ASYNC_OK) ? ngx_http_async_body_whole(&req->task, req, pool)
                            : rc;
}


/* In the thread. */

static async_rc_t
ngx_http_async_blocking_call(async_req_t *own)
{
    return own->fn->exported->blocking(own);
}


static async_rc_t
ngx_http_async_blocking_go(ngx_async_task_t *t, async_req_t *req,
    ngx_http_async_blocking_t *b, const char *site)
{
    async_rc_t  rc;

    if (ngx_http_async_blocking_copy(req, b) != NGX_OK) {
        ngx_http_async_blocking_drop(b);
        ngx_async_thread_free(b);
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    rc = ngx_async_enter(t, "its thread", site);

    if (rc != ASYNC_OK) {
        ngx_http_async_blocking_drop(b);
        ngx_async_thread_free(b);
        return rc;
    }

    /* the thread's copy of it has nginx's request */
    req->holds++;

    rc = ngx_async_thread_await(t, req->conf->thread_pool, b);

    req->holds--;

    return (rc == ASYNC_OK) ? ngx_http_async_blocking_take(req, b) : rc;
}


static ngx_http_async_blocking_t *
ngx_http_async_blocking_create(async_req_t *req)
{
    ngx_http_async_blocking_t  *b;

    b = ngx_async_thread_job(sizeof(ngx_http_async_blocking_t),
                             ngx_http_async_blocking_run,
                             ngx_http_async_blocking_drop,
                             req->task.profile, req->task.log);
    if (b == NULL) {
        return NULL;
    }

    b->pool = ngx_create_pool(NGX_HTTP_ASYNC_ARENA, &b->log);

    if (b->pool == NULL) {
        ngx_async_thread_free(b);
        return NULL;
    }

    return b;
}


ngx_uint_t
ngx_http_async_blocking_has_body(ngx_http_request_t *r)
{
    if (r != r->main) {
        /* a subrequest shares the body of the main request, or has none */
        return r->request_body != NULL;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return 1;
    }

    /* what has no length may have a body where frames tell its end */

    return r->http_version >= NGX_HTTP_VERSION_20
           && r->headers_in.content_length_n < 0;
}


static ngx_int_t
ngx_http_async_blocking_copy(async_req_t *req, ngx_http_async_blocking_t *b)
{
    async_req_t          *own, *origin;
    ngx_http_request_t   *r;
    ngx_http_async_in_t  *in;

    r = req->r;
    own = &b->req;

    own->task.job = b;
    own->pool = b->pool;
    own->task.profile = req->task.profile;
    own->task.log = req->task.log;

    own->r = r;
    own->in = &b->in;
    own->conf = req->conf;
    own->fn = req->fn;
    own->out.fd = NGX_INVALID_FILE;

    own->early = req->early;
    own->timing = req->timing;
    own->invalid = ngx_http_async_has_errors(req);

    if (req->given) {

        if (ngx_http_async_given_copy(&b->given, req->given, b->pool)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        own->given = &b->given;
        own->origin = ngx_http_async_origin(req);

        if (b->given.arena) {
            ngx_http_async_arena_enter(b->given.arena);
        }
    }

    origin = ngx_http_async_origin(req);

    own->body = origin->body;
    own->body_state = origin->body_state;

    if (origin->form) {
        if (ngx_http_async_form_hold(origin->form, b->pool) != NGX_OK) {
            return NGX_ERROR;
        }

        own->form = origin->form;
        own->form_state = origin->form_state;
    }

    in = req->in;

    if (ngx_http_async_blocking_str(b->pool, &b->in.method,
                                    in ? &in->method : &r->method_name)
        != NGX_OK
        || ngx_http_async_blocking_str(b->pool, &b->in.uri,
                                       in ? &in->uri : &r->uri) != NGX_OK
        || ngx_http_async_blocking_str(b->pool, &b->in.args,
                                       in ? &in->args : &r->args) != NGX_OK
        || ngx_http_async_blocking_str(b->pool, &b->in.client,
                                       in ? &in->client
                                          : &r->connection->addr_text)
           != NGX_OK
        || ngx_http_async_blocking_headers(req, b) != NGX_OK)
    {
        return NGX_ERROR;
    }

    own->nparams = req->nparams;

    return ngx_http_async_blocking_params(b->pool, &own->params, req);
}


ngx_int_t
ngx_http_async_blocking_params(ngx_pool_t *pool,
    ngx_http_async_route_param_t **params, async_req_t *req)
{
    ngx_uint_t                     i;
    ngx_http_async_route_param_t  *copy;

    if (req->nparams == 0) {
        return NGX_OK;
    }

    copy = ngx_palloc(pool, req->nparams
                            * sizeof(ngx_http_async_route_param_t));
    if (copy == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < req->nparams; i++) {
        copy[i] = req->params[i];

        if (ngx_http_async_blocking_str(pool, &copy[i].value,
                                        &req->params[i].value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    *params = copy;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_blocking_headers(async_req_t *req,
    ngx_http_async_blocking_t *b)
{
    u_char           *type;
    ngx_uint_t        i, n;
    ngx_list_part_t  *first, *part;
    ngx_table_elt_t  *h, *copy;

    if (req->own && ngx_http_async_ws_headers(req) == NULL) {
        return NGX_ERROR;
    }

    type = req->in ? req->in->content_type.data
           : req->r->headers_in.content_type
             ? req->r->headers_in.content_type->value.data : NULL;

    first = ngx_http_async_headers_part(req);
    n = 0;

    for (part = first; part; part = part->next) {
        n += part->nelts;
    }

    copy = ngx_palloc(b->pool, (n + 1) * sizeof(ngx_table_elt_t));
    if (copy == NULL) {
        return NGX_ERROR;
    }

    b->in.headers.elts = copy;

    for (part = first; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++, copy++) {
            *copy = h[i];

            if (ngx_http_async_blocking_str(b->pool, &copy->key, &h[i].key)
                != NGX_OK
                || ngx_http_async_blocking_str(b->pool, &copy->value,
                                               &h[i].value) != NGX_OK)
            {
                return NGX_ERROR;
            }

            if (type && h[i].value.data == type) {
                b->in.content_type = copy->value;
            }
        }
    }

    b->in.headers.nelts = n;

    return NGX_OK;
}


/* zero-terminated, and absent if it was */

static ngx_int_t
ngx_http_async_blocking_str(ngx_pool_t *pool, ngx_str_t *to, ngx_str_t *from)
{
    u_char  *p;

    to->len = from->len;
    to->data = NULL;

    if (from->data == NULL) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, from->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, from->data, from->len);
    p[from->len] = '\0';

    to->data = p;

    return NGX_OK;
}


/* In the thread. */

static void
ngx_http_async_blocking_run(void *data)
{
    ngx_http_async_blocking_t  *b = data;

    b->req.rc = b->run(&b->req);
}


/* On the loop, when nobody takes the response. */

static void
ngx_http_async_blocking_drop(void *data)
{
    ngx_uint_t                   i;
    json_t                     **errors;
    async_rc_t                   rc;
    ngx_http_async_blocking_t   *b = data;

    if (b->req.json) {
        json_decref(b->req.json);
    }

    if (b->req.errors) {
        errors = b->req.errors->elts;

        for (i = 0; i < b->req.errors->nelts; i++) {
            json_decref(errors[i]);
        }
    }

    if (b->req.background) {
        ngx_http_async_background_forget(b->req.background);
    }

    if (b->given.arena) {
        ngx_http_async_arena_leave(b->given.arena, b->req.background);

    } else if (b->req.background) {
        rc = ngx_async_thread_rc(b);

        /* ASYNC_OK: there was no memory for taking it */

        ngx_http_async_teardown_late(b->req.background, NULL,
                                     b->req.task.profile,
                                     (rc == ASYNC_OK) ? ASYNC_ERROR : rc,
                                     NULL, NULL);
    }

    /* what is to be torn down points to memory of its own */

    ngx_destroy_pool(b->pool);
}


/* The response goes over, and with it the memory that it lies in. */

static async_rc_t
ngx_http_async_blocking_take(async_req_t *req, ngx_http_async_blocking_t *b)
{
    async_rc_t           rc;
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(b->given.arena ? b->given.arena->pool
                                              : req->r->pool, 0);

    if (cln == NULL || ngx_http_async_blocking_merge(req, b) != NGX_OK) {
        ngx_http_async_blocking_drop(b);
        ngx_async_thread_free(b);
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    pool = b->pool;
    pool->log = b->given.arena ? ngx_cycle->log : req->r->pool->log;

    cln->handler = (ngx_pool_cleanup_pt) ngx_destroy_pool;
    cln->data = pool;

    if (b->given.arena) {
        ngx_http_async_arena_leave(b->given.arena, NULL);
    }

    ngx_memcpy(req->task.error, b->req.task.error, NGX_ASYNC_ERROR_LEN);

    rc = b->req.rc;

    ngx_async_thread_free(b);

    return rc;
}


static ngx_int_t
ngx_http_async_blocking_merge(async_req_t *req, ngx_http_async_blocking_t *b)
{
    ngx_pool_cleanup_t  *cln;

    if (req->given == NULL) {
        req->out = b->req.out;
        req->json = b->req.json;
        req->errors = b->req.errors;
        req->background = b->req.background;

        return NGX_OK;
    }

    if (b->req.json) {
        /* values may be parts of it */

        cln = ngx_pool_cleanup_add(b->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_async_blocking_json;
        cln->data = b->req.json;

        b->req.json = NULL;
    }

    if (ngx_http_async_merge_out(req, &b->req.out) != ASYNC_OK
        || ngx_http_async_given_errors(req, &b->req) != ASYNC_OK)
    {
        return NGX_ERROR;
    }

    if (b->req.background) {
        ngx_http_async_background_join(&req->background, b->req.background);
        b->req.background = NULL;
    }

    req->path_asked |= b->req.path_asked;

    ngx_http_async_given_back(req->given, &b->given);

    return NGX_OK;
}


static void
ngx_http_async_blocking_json(void *data)
{
    json_decref((json_t *) data);
}


async_rc_t
async_call(async_req_t *req, async_fn_pt fn, void *arg)
{
    async_rc_t                rc;
    ngx_async_task_t         *t;
    ngx_http_async_called_t   called;

    ngx_http_async_check(req);

    if (req->task.job == NULL) {
        return fn(&req->task, arg);
    }

    if (ngx_async_thread_self()) {
        called.req = req;
        called.fn = fn;
        called.arg = arg;

        return ngx_async_thread_call(req->task.job,
                                     ngx_http_async_blocking_called, &called,
                                     req->task.error);
    }

    /* inside of such a call, already */

    t = ngx_async_task_self();

    if (t == NULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "async_call() was called in another thread than that of "
                      "its blocking handler");
        ngx_abort();
    }

    rc = fn(t, arg);

    if (rc != ASYNC_OK) {
        ngx_memcpy(req->task.error, t->error, NGX_ASYNC_ERROR_LEN);
    }

    return rc;
}


/* On the loop: what it reads of the body is recorded where the body is. */

static async_rc_t
ngx_http_async_blocking_called(async_t *co, void *arg)
{
    async_rc_t                rc;
    async_req_t              *req;
    ngx_http_async_called_t  *called = arg;

    req = called->req;

    rc = called->fn(co, called->arg);

    if (req->origin && ngx_http_async_has_errors(req->origin)) {
        req->invalid = 1;
    }

    return rc;
}


int
async_cancelled(async_req_t *req)
{
    ngx_async_task_t  *t;

    ngx_http_async_check(req);

    if (req->task.job) {
        return ngx_async_thread_abandoned(req->task.job);
    }

    /* a copy has no task of its own */

    t = req->origin ? ngx_async_task_self() : &req->task;

    return t->cancel != NGX_ASYNC_KEEP
           || (t->reason == NGX_ASYNC_DEADLINE && t->bound == NULL);
}
