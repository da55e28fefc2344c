
/*
 * Copyright (C) the nginx-async authors
 *
 * Values of dependencies and declared structs, see ngx_http_async_given.h, and
 * the public calls that set and get them.
 */

#include <ngx_http_async_given.h>
#include <ngx_http_async_take.h>


static ngx_http_async_step_t *ngx_http_async_given_who(async_req_t *req);


ngx_int_t
ngx_http_async_given_init(ngx_http_async_given_t *given,
    ngx_http_async_plan_t *plan, ngx_pool_t *pool)
{
    given->plan = plan;
    given->step = NULL;

    given->steps = ngx_pcalloc(pool, (plan->steps.nelts + plan->models.nelts)
                                     * sizeof(ngx_http_async_slot_t));

    if (given->steps == NULL) {
        return NGX_ERROR;
    }

    given->models = given->steps + plan->steps.nelts;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_given_copy(ngx_http_async_given_t *to,
    ngx_http_async_given_t *from, ngx_pool_t *pool)
{
    if (ngx_http_async_given_init(to, from->plan, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->steps, from->steps,
               (from->plan->steps.nelts + from->plan->models.nelts)
               * sizeof(ngx_http_async_slot_t));

    to->step = from->step;
    to->arena = from->arena;
    to->from = from->from;
    to->to = from->to;

    return NGX_OK;
}


void
ngx_http_async_given_back(ngx_http_async_given_t *to,
    ngx_http_async_given_t *from)
{
    ngx_uint_t  i;

    to->step = from->step;

    for (i = from->from; i < from->to; i++) {
        to->steps[i] = from->steps[i];
    }

    for (i = 0; i < from->plan->models.nelts; i++) {
        if (to->models[i].state == NGX_HTTP_ASYNC_GIVEN_NOT) {
            to->models[i] = from->models[i];
        }
    }
}


async_rc_t
ngx_http_async_given_errors(async_req_t *req, async_req_t *copy)
{
    json_t       *all, **errors;
    ngx_uint_t    i;
    async_rc_t    rc;

    if (copy->errors == NULL || copy->errors->nelts == 0) {
        return ASYNC_OK;
    }

    all = json_array();
    errors = copy->errors->elts;

    for (i = 0; i < copy->errors->nelts; i++) {
        (void) json_array_append_new(all, errors[i]);
    }

    copy->errors->nelts = 0;

    rc = ngx_http_async_invalid(req, all);

    return (rc == ASYNC_INVALID) ? ASYNC_OK : rc;
}


const char *
ngx_http_async_given_name(async_req_t *req)
{
    ngx_http_async_step_t  *step;

    step = ngx_http_async_given_who(req);

    return (step && step->exported != req->fn->exported)
           ? step->exported->name : NULL;
}


void *
ngx_http_async_given_value(async_req_t *req)
{
    ngx_http_async_given_t  *given;

    given = req->given;

    return given ? given->steps[given->plan->steps.nelts - 1].value : NULL;
}


static ngx_http_async_step_t *
ngx_http_async_given_who(async_req_t *req)
{
    return req->given ? req->given->step : NULL;
}


async_rc_t
async_provide(async_req_t *req, const void *value)
{
    ngx_http_async_step_t  *step;

    ngx_http_async_check(req);

    step = ngx_http_async_given_who(req);

    if (step == NULL || !ngx_http_async_is_dependency(step->exported->kind)) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "async_provide() "
                                   "is for dependencies only");
    }

    req->given->steps[step - (ngx_http_async_step_t *)
                             req->given->plan->steps.elts].value =
                                                             (void *) value;
    return ASYNC_OK;
}


void *
async_dependency_(async_req_t *req, const async_export_t *dependency)
{
    ngx_uint_t              i;
    ngx_http_async_use_t   *use;
    ngx_http_async_step_t  *step;

    ngx_http_async_check(req);

    step = ngx_http_async_given_who(req);

    if (step) {
        use = step->uses.elts;

        for (i = 0; i < step->uses.nelts; i++) {
            if (use[i].exported == dependency) {
                return req->given->steps[use[i].step].value;
            }
        }
    }

    ngx_async_log(&req->task, NGX_LOG_ERR, 0,
                  "async \"%s\" asks for the value of \"%s\", but does not "
                  "depend on it",
                  step ? step->exported->name : req->task.profile->name,
                  dependency->name);

    return NULL;
}


const void *
async_declared_(async_req_t *req, const async_model_t *model)
{
    ngx_uint_t                  i, *number;
    ngx_http_async_step_t      *step;
    ngx_http_async_declared_t  *d;

    ngx_http_async_check(req);

    step = ngx_http_async_given_who(req);

    if (step) {
        number = step->models.elts;

        for (i = 0; i < step->models.nelts; i++) {
            d = ngx_http_async_plan_model(req->given->plan, number[i]);

            if (d->model == model) {
                return req->given->models[number[i]].value;
            }
        }
    }

    ngx_async_log(&req->task, NGX_LOG_ERR, 0,
                  "async \"%s\" asks for \"%s\", but has not declared it",
                  step ? step->exported->name : req->task.profile->name,
                  model->name);

    return NULL;
}
