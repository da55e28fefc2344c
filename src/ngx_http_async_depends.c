
/*
 * Copyright (C) the nginx-async authors
 *
 * Runs a plan on the task of its request: one step after another; those that
 * block in threads, as many as can in one go; those that may run together as
 * children of the task.
 *
 * Whoever runs at the same time as others has a copy of the request: what it
 * changes is merged when it is known that all have succeeded.  "origin" of a
 * copy is the request of the task, which has the body.
 */

#include <ngx_http_async_depends.h>
#include <ngx_http_async_blocking.h>
#include <ngx_http_async_given.h>
#include <ngx_http_async_handed.h>
#include <ngx_http_async_lifecycle.h>
#include <ngx_http_async_param.h>
#include <ngx_http_async_response.h>
#include <ngx_http_async_take.h>
#include <ngx_http_async_teardown.h>


/* one of several that run together */

typedef struct {
    async_req_t                 req;
    ngx_http_async_given_t      given;
    ngx_uint_t                  number;
} ngx_http_async_member_t;


static async_rc_t ngx_http_async_depends_start(async_req_t *req);
static async_rc_t ngx_http_async_depends_ready(async_req_t *req);
static async_rc_t ngx_http_async_depends_part(async_req_t *req, ngx_uint_t i,
    ngx_uint_t *next);
static ngx_uint_t ngx_http_async_depends_end(async_req_t *req, ngx_uint_t i);
static ngx_uint_t ngx_http_async_depends_stops(async_req_t *req,
    ngx_uint_t i, ngx_uint_t all);
static async_rc_t ngx_http_async_depends_body(async_req_t *req, ngx_uint_t i);
static ngx_uint_t ngx_http_async_depends_reads(async_req_t *req,
    ngx_uint_t i);
static async_rc_t ngx_http_async_depends_in_thread(async_req_t *own);
static async_rc_t ngx_http_async_depends_step(async_req_t *req, ngx_uint_t i);
static async_rc_t ngx_http_async_depends_call(async_t *co, void *arg);
static async_rc_t ngx_http_async_depends_prepare(async_req_t *req,
    ngx_uint_t i, ngx_uint_t *fits);
static ngx_uint_t ngx_http_async_depends_has(async_req_t *req, ngx_uint_t i);
static async_rc_t ngx_http_async_depends_make(async_req_t *req,
    ngx_uint_t number);
static async_rc_t ngx_http_async_depends_together(async_t *co, void *arg);
static void ngx_http_async_depends_member(ngx_http_async_member_t *m,
    async_req_t *req, ngx_uint_t i);
static async_rc_t ngx_http_async_depends_run_member(async_t *co, void *arg);
static async_rc_t ngx_http_async_depends_join(async_req_t *req,
    ngx_http_async_member_t *m, async_work_t *work, ngx_uint_t n,
    async_rc_t rc);


async_rc_t
ngx_http_async_depends(async_req_t *req)
{
    async_rc_t          rc;
    ngx_uint_t          i, next;
    ngx_async_end_t    *ends;
    ngx_async_defer_t  *defers;

    rc = ngx_http_async_depends_start(req);

    if (rc != ASYNC_OK) {
        return rc;
    }

    for (i = 0; i < req->plan->steps.nelts; i = next) {

        req->path_asked = 0;
        ends = req->task.ends;
        defers = req->task.defers;

        rc = ngx_http_async_depends_part(req, i, &next);

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (req->given->hands_on) {
            ngx_http_async_handed_mark(req, i, next, ends, defers);
        }
    }

    /* the function itself may not have run: then there are errors */

    return req->given->steps[i - 1].state == NGX_HTTP_ASYNC_GIVEN_DONE
           ? ASYNC_OK : async_valid(req);
}


static async_rc_t
ngx_http_async_depends_start(async_req_t *req)
{
    async_rc_t               rc;
    ngx_uint_t               handed;
    ngx_http_async_plan_t   *plan;
    ngx_http_async_given_t  *given;

    rc = ngx_http_async_depends_ready(req);

    if (rc != ASYNC_OK) {
        return rc;
    }

    plan = req->plan;

    given = ngx_pcalloc(req->home, sizeof(ngx_http_async_given_t));

    if (given == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    handed = ngx_http_async_handed_any(req);
    given->hands_on = ngx_http_async_handed_on(req);

    /* threads that make all by themselves, and once, share nothing */

    if (given->hands_on
        || (plan->threads
            && (handed || !plan->only_threads
                || ngx_http_async_blocking_has_body(req->r))))
    {
        given->arena = ngx_http_async_arena_create(req);

        /* threads may be given what a coroutine has found in the path */

        if (given->arena == NULL
            || ngx_http_async_blocking_params(req->pool, &req->params, req)
               != NGX_OK)
        {
            return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
        }
    }

    if (ngx_http_async_given_init(given, plan, req->pool) != NGX_OK) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    req->given = given;

    if (handed) {
        rc = ngx_http_async_handed_take(req);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    if (req->body_state == NGX_HTTP_ASYNC_BODY_UNREAD
        && !ngx_http_async_blocking_has_body(req->r))
    {
        return ngx_http_async_blocking_body(req, req->pool);
    }

    return ASYNC_OK;
}


/* Dependencies of the configuration may be those of other apps. */

static async_rc_t
ngx_http_async_depends_ready(async_req_t *req)
{
    async_rc_t              rc;
    ngx_uint_t              i;
    ngx_array_t            *depends;
    ngx_http_async_ref_t  **ref;

    if (req->plan->broken) {
        return ngx_async_set_error(&req->task, ASYNC_BUSY, "a dependency's "
                                   "app could not be loaded");
    }

    depends = req->conf->depends;
    ref = depends ? depends->elts : NULL;

    for (i = 0; depends && i < depends->nelts; i++) {

        if (ref[i]->fn->app == req->fn->app) {
            continue;
        }

        rc = ngx_http_async_lifecycle_wait(&req->task, ref[i]->fn);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return ASYNC_OK;
}


/* What begins with the step, up to *next: in a thread, together, or alone. */

static async_rc_t
ngx_http_async_depends_part(async_req_t *req, ngx_uint_t i, ngx_uint_t *next)
{
    async_rc_t               rc;
    ngx_http_async_step_t   *step;
    ngx_http_async_given_t  *given;

    given = req->given;
    step = ngx_http_async_plan_step(req->plan, i);

    if (step->together > 1) {
        given->group = i;
        *next = i + step->together;

        return ngx_async_call(&req->task, ngx_http_async_depends_together,
                              req);
    }

    if (given->steps[i].state != NGX_HTTP_ASYNC_GIVEN_NOT) {
        /* a guard has handed it on */
        *next = i + 1;
        return ASYNC_OK;
    }

    rc = ngx_http_async_depends_body(req, i);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (!step->blocking) {
        *next = i + 1;
        return ngx_http_async_depends_step(req, i);
    }

    *next = ngx_http_async_depends_end(req, i);

    given->from = i;
    given->to = *next;

    return ngx_http_async_blocking_steps(&req->task, req,
                                         ngx_http_async_depends_in_thread,
                                         step->exported->site);
}


/* Where a thread that begins with the step stops. */

static ngx_uint_t
ngx_http_async_depends_end(async_req_t *req, ngx_uint_t i)
{
    ngx_uint_t              all;
    ngx_http_async_plan_t  *plan;
    ngx_http_async_step_t  *step;

    plan = req->plan;

    /* under a blocking handler it waits for coroutines rather than stop */

    all = ngx_http_async_plan_step(plan, plan->steps.nelts - 1)->blocking;

    for (i = i + 1; i < plan->steps.nelts; i += step->together) {

        step = ngx_http_async_plan_step(plan, i);

        if (ngx_http_async_depends_stops(req, i, all)) {
            break;
        }
    }

    return i;
}


static ngx_uint_t
ngx_http_async_depends_stops(async_req_t *req, ngx_uint_t i, ngx_uint_t all)
{
    ngx_uint_t              n;
    ngx_http_async_step_t  *step;

    step = ngx_http_async_plan_step(req->plan, i);

    if (step->together > 1 ? !all : (!all && !step->blocking)) {
        return 1;
    }

    for (n = 0; n < step->together; n++) {

        /* no thread waits for a client, nor for another thread */

        if (ngx_http_async_depends_reads(req, i + n)
            || (step->together > 1 && step[n].blocking))
        {
            return 1;
        }
    }

    return 0;
}


/* Reads what the step needs of the body. */

static async_rc_t
ngx_http_async_depends_body(async_req_t *req, ngx_uint_t i)
{
    if (!ngx_http_async_depends_reads(req, i)) {
        return ASYNC_OK;
    }

    if (ngx_http_async_plan_step(req->plan, i)->form) {
        return ngx_http_async_form_read(&req->task, req);
    }

    return ngx_http_async_blocking_body(req, req->pool);
}


/* A declared body, and that of a blocking handler which is going to run */

static ngx_uint_t
ngx_http_async_depends_reads(async_req_t *req, ngx_uint_t i)
{
    ngx_http_async_step_t  *step;

    step = ngx_http_async_plan_step(req->plan, i);

    if (req->given->steps[i].state != NGX_HTTP_ASYNC_GIVEN_NOT) {
        return 0;
    }

    if (step->form) {
        return req->form == NULL;
    }

    if (req->form || req->body_state == NGX_HTTP_ASYNC_BODY_WHOLE) {
        return 0;
    }

    return step->body
           || (step->exported->kind == ASYNC_KIND_BLOCKING
               && (!req->early || req->r->request_body)
               && ngx_http_async_depends_has(req, i));
}


/* In the thread, with its copy of the request. */

static async_rc_t
ngx_http_async_depends_in_thread(async_req_t *own)
{
    async_rc_t               rc;
    ngx_uint_t               i, n;
    ngx_http_async_step_t   *step;
    ngx_http_async_given_t  *given;

    given = own->given;

    for (i = given->from; i < given->to; i += n) {

        step = ngx_http_async_plan_step(given->plan, i);

        /* one of them alone is here because they run together */

        n = (i + step->together <= given->to) ? step->together : 1;

        if (n > 1) {
            given->group = i;
            rc = async_call(own, ngx_http_async_depends_together, own);

        } else {
            rc = ngx_http_async_depends_step(own, i);
        }

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return ASYNC_OK;
}


/* On the coroutine, or in a thread with its copy of the request. */

static async_rc_t
ngx_http_async_depends_step(async_req_t *req, ngx_uint_t i)
{
    async_rc_t               rc;
    ngx_uint_t               fits;
    ngx_http_async_step_t   *step;
    ngx_http_async_given_t  *given;

    given = req->given;

    if (given->steps[i].state != NGX_HTTP_ASYNC_GIVEN_NOT) {
        return ASYNC_OK;
    }

    rc = ngx_http_async_depends_prepare(req, i, &fits);

    if (rc != ASYNC_OK || !fits) {
        return rc;
    }

    step = ngx_http_async_plan_step(given->plan, i);

    given->step = step;

    if (step->blocking) {
        rc = step->exported->blocking(req);

    } else if (req->task.job) {
        rc = async_call(req, ngx_http_async_depends_call, req);

    } else {
        rc = ngx_async_call(&req->task, ngx_http_async_depends_call, req);
    }

    if (rc == ASYNC_OK) {
        given->steps[i].state = NGX_HTTP_ASYNC_GIVEN_DONE;
    }

    return rc;
}


static async_rc_t
ngx_http_async_depends_call(async_t *co, void *arg)
{
    async_req_t  *req = arg;

    return req->given->step->exported->handler(co, req);
}


/*
 * Makes what the function has declared.  It does not fit if that is not valid,
 * or if something that it depends on has not run for that reason.
 */

static async_rc_t
ngx_http_async_depends_prepare(async_req_t *req, ngx_uint_t i,
    ngx_uint_t *fits)
{
    async_rc_t               rc;
    ngx_uint_t               n, *number;
    ngx_http_async_step_t   *step;
    ngx_http_async_given_t  *given;

    given = req->given;
    step = ngx_http_async_plan_step(given->plan, i);
    number = step->models.elts;

    *fits = ngx_http_async_depends_has(req, i);

    for (n = 0; n < step->models.nelts; n++) {

        if (given->models[number[n]].state == NGX_HTTP_ASYNC_GIVEN_NOT) {

            rc = ngx_http_async_depends_make(req, number[n]);

            if (rc != ASYNC_OK) {
                return rc;
            }
        }

        if (given->models[number[n]].state != NGX_HTTP_ASYNC_GIVEN_DONE) {
            *fits = 0;
        }
    }

    if (!*fits) {
        given->steps[i].state = NGX_HTTP_ASYNC_GIVEN_INVALID;
    }

    return ASYNC_OK;
}


/* Whether all has run that the function depends on. */

static ngx_uint_t
ngx_http_async_depends_has(async_req_t *req, ngx_uint_t i)
{
    ngx_uint_t               n;
    ngx_http_async_use_t    *use;
    ngx_http_async_step_t   *step;
    ngx_http_async_given_t  *given;

    given = req->given;
    step = ngx_http_async_plan_step(given->plan, i);
    use = step->uses.elts;

    for (n = 0; n < step->uses.nelts; n++) {
        if (given->steps[use[n].step].state == NGX_HTTP_ASYNC_GIVEN_INVALID) {
            return 0;
        }
    }

    return 1;
}


static async_rc_t
ngx_http_async_depends_make(async_req_t *req, ngx_uint_t number)
{
    async_rc_t                  rc;
    ngx_http_async_slot_t      *slot;
    ngx_http_async_declared_t  *d;

    slot = &req->given->models[number];
    d = ngx_http_async_plan_model(req->given->plan, number);

    slot->value = ngx_async_palloc(req->pool, d->model->type_size);

    if (slot->value == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    ngx_memzero(slot->value, d->model->type_size);

    switch (d->kind) {

    case ASYNC_ATTRIBUTE_PARAMS:
        rc = ngx_http_async_take_params(req, d->model, slot->value);
        break;

    case ASYNC_ATTRIBUTE_BODY:
        rc = ngx_http_async_take_json(req, d->model, slot->value);
        break;

    default: /* ASYNC_ATTRIBUTE_FORM */
        rc = ngx_http_async_take_form(req, d->model, slot->value);
    }

    if (rc == ASYNC_OK) {
        slot->state = NGX_HTTP_ASYNC_GIVEN_DONE;
        return ASYNC_OK;
    }

    slot->value = NULL;
    slot->state = NGX_HTTP_ASYNC_GIVEN_INVALID;

    return (rc == ASYNC_INVALID) ? ASYNC_OK : rc;
}


/* On a coroutine: the steps from given->from on, each with a copy of "req". */

static async_rc_t
ngx_http_async_depends_together(async_t *co, void *arg)
{
    async_req_t  *req = arg;

    async_rc_t                rc;
    ngx_uint_t                i, n, number, fits;
    async_work_t             *work;
    ngx_http_async_step_t    *step;
    ngx_http_async_member_t  *m;

    number = req->given->group;
    step = ngx_http_async_plan_step(req->given->plan, number);

    m = ngx_async_palloc(req->pool, step->together
                                    * sizeof(ngx_http_async_member_t));
    work = ngx_async_palloc(req->pool, step->together * sizeof(async_work_t));

    if (m == NULL || work == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    for (i = 0, n = 0; i < step->together; i++) {

        if (req->given->steps[number + i].state != NGX_HTTP_ASYNC_GIVEN_NOT) {
            continue;
        }

        /* a thread's copy has the body: it has stopped before otherwise */

        rc = req->task.job ? ASYNC_OK
                           : ngx_http_async_depends_body(req, number + i);

        if (rc == ASYNC_OK) {
            rc = ngx_http_async_depends_prepare(req, number + i, &fits);
        }

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (fits) {
            ngx_http_async_depends_member(&m[n], req, number + i);

            work[n].fn = ngx_http_async_depends_run_member;
            work[n].arg = &m[n];
            n++;
        }
    }

    rc = await_all_at(co, step->exported->site, work, n);

    return ngx_http_async_depends_join(req, m, work, n, rc);
}


static void
ngx_http_async_depends_member(ngx_http_async_member_t *m, async_req_t *req,
    ngx_uint_t i)
{
    m->number = i;
    m->given = *req->given;
    m->given.step = ngx_http_async_plan_step(req->given->plan, i);
    m->given.from = i;
    m->given.to = i + 1;

    m->req = *req;
    m->req.given = &m->given;
    m->req.origin = ngx_http_async_origin(req);
    m->req.invalid = ngx_http_async_has_errors(req);
    m->req.errors = NULL;
    m->req.background = NULL;
    m->req.json = NULL;
    m->req.stream = NULL;
    m->req.task.error[0] = '\0';

    ngx_memzero(&m->req.out, sizeof(ngx_http_async_out_t));
    m->req.out.fd = NGX_INVALID_FILE;
}


static async_rc_t
ngx_http_async_depends_run_member(async_t *co, void *arg)
{
    ngx_http_async_member_t  *m = arg;

    async_rc_t              rc;
    ngx_http_async_step_t  *step;

    step = m->given.step;

    if (step->blocking) {
        rc = ngx_http_async_blocking_steps(co, &m->req,
                                           ngx_http_async_depends_in_thread,
                                           step->exported->site);
    } else {
        rc = ngx_async_call(co, ngx_http_async_depends_call, &m->req);
    }

    /* what it wants done at its end is done when the request ends */

    ngx_async_defers_move(&co->parent->defers, &co->defers);

    if (rc == ASYNC_OK) {
        m->given.steps[m->number].state = NGX_HTTP_ASYNC_GIVEN_DONE;

    } else if (co->error[0] == '\0') {
        ngx_memcpy(co->error, m->req.task.error, NGX_ASYNC_ERROR_LEN);
    }

    return rc;
}


/* In their order; of a failure, the response of whoever has failed. */

static async_rc_t
ngx_http_async_depends_join(async_req_t *req, ngx_http_async_member_t *m,
    async_work_t *work, ngx_uint_t n, async_rc_t rc)
{
    ngx_uint_t  i, failed;

    failed = 0;

    for (i = 0; i < n; i++) {

        req->path_asked |= m[i].req.path_asked;

        if (m[i].req.background) {
            ngx_http_async_background_join(&req->background,
                                           m[i].req.background);
        }

        if (ngx_http_async_given_errors(req, &m[i].req) != ASYNC_OK) {
            rc = ASYNC_ERROR;
        }

        if (rc == ASYNC_OK) {
            rc = ngx_http_async_merge_out(req, &m[i].req.out);

        } else if (!failed && work[i].rc == rc && m[i].req.out.failed) {
            failed = 1;
            (void) ngx_http_async_merge_out(req, &m[i].req.out);
            req->given->step = m[i].given.step;
        }
    }

    return rc;
}
