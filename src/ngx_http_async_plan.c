
/*
 * Copyright (C) the nginx-async authors
 *
 * Plans, see ngx_http_async_plan.h: a walk over what the functions depend on,
 * depth first, as FastAPI does it.
 */

#include <ngx_http_async_plan.h>


/* what ASYNC_DEPENDS_ANEW() could double again and again */
#define NGX_HTTP_ASYNC_PLAN_STEPS  1000

#define NGX_HTTP_ASYNC_DEPENDS_FLAGS                                         \
    (ASYNC_DEPENDS_GROUP|ASYNC_DEPENDS_JOINED|ASYNC_DEPENDS_FRESH)


typedef struct ngx_http_async_visit_s  ngx_http_async_visit_t;

/* on the stack: the function that is being looked at, and for whom */

struct ngx_http_async_visit_s {
    ngx_http_async_visit_t     *up;
    ngx_http_async_step_t       step;
};


typedef struct {
    ngx_pool_t                 *pool;
    ngx_http_async_plan_t      *plan;
    ngx_array_t                 cached;       /* of ngx_http_async_use_t */
    u_char                     *error;
} ngx_http_async_planning_t;


static ngx_int_t ngx_http_async_plan_visit(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_export_t *exported,
    const async_export_t *const *before, ngx_uint_t n);
static ngx_int_t ngx_http_async_plan_attribute(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_attribute_t *a);
static ngx_int_t ngx_http_async_plan_depends(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_export_t *on, ngx_uint_t fresh);
static ngx_int_t ngx_http_async_plan_group(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_attribute_t *a, ngx_uint_t n);
static ngx_int_t ngx_http_async_plan_check(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_attribute_t *a);
static ngx_int_t ngx_http_async_plan_circle(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_export_t *on);
static u_char *ngx_http_async_plan_path(ngx_http_async_visit_t *to,
    ngx_http_async_visit_t *from, u_char *text, u_char *last);
static ngx_uint_t ngx_http_async_plan_cached(ngx_http_async_planning_t *p,
    const async_export_t *exported, ngx_uint_t *step);
static ngx_int_t ngx_http_async_plan_use(ngx_array_t *uses,
    const async_export_t *exported, ngx_uint_t step);
static ngx_int_t ngx_http_async_plan_add(ngx_http_async_planning_t *p,
    ngx_http_async_step_t *step, ngx_uint_t fresh, ngx_uint_t *number);
static ngx_int_t ngx_http_async_plan_declare(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_attribute_t *a);
static ngx_int_t ngx_http_async_plan_once(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, ngx_uint_t number);
static ngx_int_t ngx_http_async_plan_bodies(ngx_http_async_planning_t *p,
    ngx_http_async_declared_t *d, const async_export_t *by,
    const async_attribute_t *a);
static void ngx_http_async_plan_threads(ngx_http_async_plan_t *plan);


const async_attribute_t *
ngx_http_async_attributes(const async_export_t *exported)
{
    /* an app may have been built with an earlier one that ended before */

    return (exported->size > offsetof(async_export_t, attributes))
           ? exported->attributes : NULL;
}


ngx_uint_t
ngx_http_async_is_dependency(ngx_int_t kind)
{
    return kind == ASYNC_KIND_DEPENDENCY
           || kind == ASYNC_KIND_BLOCKING_DEPENDENCY;
}


ngx_uint_t
ngx_http_async_is_blocking(ngx_int_t kind)
{
    return kind == ASYNC_KIND_BLOCKING
           || kind == ASYNC_KIND_BLOCKING_DEPENDENCY;
}


ngx_int_t
ngx_http_async_plan_make(ngx_pool_t *pool, const async_export_t *exported,
    const async_export_t *const *before, ngx_uint_t n,
    ngx_http_async_plan_t **plan,
    u_char error[NGX_HTTP_ASYNC_PLAN_ERROR_LEN])
{
    ngx_int_t                  rc;
    ngx_uint_t                 last;
    ngx_http_async_visit_t     v;
    ngx_http_async_planning_t  p;

    p.pool = pool;
    p.error = error;
    p.plan = ngx_pcalloc(pool, sizeof(ngx_http_async_plan_t));

    if (p.plan == NULL
        || ngx_array_init(&p.plan->steps, pool, 2,
                          sizeof(ngx_http_async_step_t)) != NGX_OK
        || ngx_array_init(&p.plan->models, pool, 1,
                          sizeof(ngx_http_async_declared_t)) != NGX_OK
        || ngx_array_init(&p.cached, pool, 2, sizeof(ngx_http_async_use_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    v.up = NULL;

    rc = ngx_http_async_plan_visit(&p, &v, exported, before, n);

    if (rc == NGX_OK) {
        rc = ngx_http_async_plan_add(&p, &v.step, 1, &last);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_async_plan_threads(p.plan);

    *plan = p.plan;

    return NGX_OK;
}


ngx_uint_t
ngx_http_async_plan_is_empty(ngx_http_async_plan_t *plan)
{
    return plan->steps.nelts == 1 && plan->models.nelts == 0;
}


/* Plans what the function depends on, and fills v->step for itself. */

static ngx_int_t
ngx_http_async_plan_visit(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_export_t *exported,
    const async_export_t *const *before, ngx_uint_t n)
{
    ngx_int_t                 rc;
    ngx_uint_t                i;
    const async_attribute_t  *a;

    ngx_memzero(&v->step, sizeof(ngx_http_async_step_t));

    v->step.exported = exported;
    v->step.together = 1;
    v->step.blocking = ngx_http_async_is_blocking(exported->kind);

    if (ngx_array_init(&v->step.uses, p->pool, 1,
                       sizeof(ngx_http_async_use_t)) != NGX_OK
        || ngx_array_init(&v->step.models, p->pool, 1, sizeof(ngx_uint_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        rc = ngx_http_async_plan_depends(p, v, before[i], 0);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    a = ngx_http_async_attributes(exported);

    for ( /* void */ ; a && a->kind != ASYNC_ATTRIBUTE_NONE; a += n) {

        n = 1;

        if (a->kind == ASYNC_ATTRIBUTE_DEPENDS
            && (a->number & ASYNC_DEPENDS_GROUP))
        {
            while (a[n].kind == ASYNC_ATTRIBUTE_DEPENDS
                   && (a[n].number & ASYNC_DEPENDS_JOINED))
            {
                n++;
            }

            rc = ngx_http_async_plan_group(p, v, a, n);

        } else {
            rc = ngx_http_async_plan_attribute(p, v, a);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_plan_attribute(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_attribute_t *a)
{
    ngx_int_t  rc;

    rc = ngx_http_async_plan_check(p, v, a);

    if (rc != NGX_OK) {
        return rc;
    }

    switch (a->kind) {

    case ASYNC_ATTRIBUTE_DEPENDS:
        return ngx_http_async_plan_depends(p, v, a->data,
                                           a->number & ASYNC_DEPENDS_FRESH);

    case ASYNC_ATTRIBUTE_PARAMS:
    case ASYNC_ATTRIBUTE_BODY:
    case ASYNC_ATTRIBUTE_FORM:
        return ngx_http_async_plan_declare(p, v, a);

    default:
        /* for the document alone */
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_async_plan_depends(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *up, const async_export_t *on, ngx_uint_t fresh)
{
    ngx_int_t               rc;
    ngx_uint_t              step;
    ngx_http_async_visit_t  v;

    rc = ngx_http_async_plan_circle(p, up, on);

    if (rc != NGX_OK) {
        return rc;
    }

    if (fresh || !ngx_http_async_plan_cached(p, on, &step)) {

        v.up = up;

        rc = ngx_http_async_plan_visit(p, &v, on, NULL, 0);

        if (rc == NGX_OK) {
            v.step.anew = (fresh != 0);
            rc = ngx_http_async_plan_add(p, &v.step, fresh, &step);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_http_async_plan_use(&up->step.uses, on, step);
}


/* What they depend on in turn comes first, one after another. */

static ngx_int_t
ngx_http_async_plan_group(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *up, const async_attribute_t *a, ngx_uint_t n)
{
    ngx_int_t                rc;
    ngx_uint_t               i, first, step;
    ngx_http_async_step_t   *steps;
    ngx_http_async_visit_t  *v;

    v = ngx_palloc(p->pool, n * sizeof(ngx_http_async_visit_t));
    if (v == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        rc = ngx_http_async_plan_check(p, up, &a[i]);

        if (rc == NGX_OK) {
            rc = ngx_http_async_plan_circle(p, up, a[i].data);
        }

        if (rc == NGX_OK && !ngx_http_async_plan_cached(p, a[i].data, &step)) {
            v[i].up = up;
            rc = ngx_http_async_plan_visit(p, &v[i], a[i].data, NULL, 0);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    first = p->plan->steps.nelts;

    for (i = 0; i < n; i++) {

        /* another one of them may have needed it, or it stands here twice */

        if (!ngx_http_async_plan_cached(p, a[i].data, &step)) {

            rc = ngx_http_async_plan_add(p, &v[i].step, 0, &step);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (ngx_http_async_plan_use(&up->step.uses, a[i].data, step)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (first < p->plan->steps.nelts) {
        steps = p->plan->steps.elts;
        steps[first].together = p->plan->steps.nelts - first;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_plan_check(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_attribute_t *a)
{
    const async_export_t  *on;

    if (a->kind < 0 || a->kind > ASYNC_ATTRIBUTE_TYPE
        || (a->kind == ASYNC_ATTRIBUTE_DEPENDS
            && (a->number & ~NGX_HTTP_ASYNC_DEPENDS_FLAGS)))
    {
        ngx_snprintf(p->error, NGX_HTTP_ASYNC_PLAN_ERROR_LEN,
                     "\"%s\" has an attribute of the number %d, which this "
                     "module of version %s does not know: it needs a newer "
                     "one%Z", v->step.exported->name, a->kind, ASYNC_VERSION);
        return NGX_DECLINED;
    }

    if (a->kind != ASYNC_ATTRIBUTE_DEPENDS) {
        return NGX_OK;
    }

    on = a->data;

    if (!ngx_http_async_is_dependency(on->kind)) {
        ngx_snprintf(p->error, NGX_HTTP_ASYNC_PLAN_ERROR_LEN,
                     "\"%s\" depends on \"%s\", which is no dependency%Z",
                     v->step.exported->name, on->name);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_plan_circle(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_export_t *on)
{
    u_char                  *text, *last;
    ngx_http_async_visit_t  *from;

    for (from = v; from && from->step.exported != on; from = from->up) {
        /* void */
    }

    if (from == NULL) {
        return NGX_OK;
    }

    last = p->error + NGX_HTTP_ASYNC_PLAN_ERROR_LEN - 1;

    text = ngx_slprintf(p->error, last, "dependency \"%s\" goes in a circle: ",
                        on->name);
    text = ngx_http_async_plan_path(v, from, text, last);
    text = ngx_slprintf(text, last, "%s", on->name);
    *text = '\0';

    return NGX_DECLINED;
}


/* "a, b, ", from the one down to the other */

static u_char *
ngx_http_async_plan_path(ngx_http_async_visit_t *to,
    ngx_http_async_visit_t *from, u_char *text, u_char *last)
{
    if (to != from) {
        text = ngx_http_async_plan_path(to->up, from, text, last);
    }

    return ngx_slprintf(text, last, "%s, ", to->step.exported->name);
}


static ngx_uint_t
ngx_http_async_plan_cached(ngx_http_async_planning_t *p,
    const async_export_t *exported, ngx_uint_t *step)
{
    ngx_uint_t             i;
    ngx_http_async_use_t  *cached;

    cached = p->cached.elts;

    for (i = 0; i < p->cached.nelts; i++) {
        if (cached[i].exported == exported) {
            *step = cached[i].step;
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_async_plan_use(ngx_array_t *uses, const async_export_t *exported,
    ngx_uint_t step)
{
    ngx_http_async_use_t  *use;

    use = ngx_array_push(uses);
    if (use == NULL) {
        return NGX_ERROR;
    }

    use->exported = exported;
    use->step = step;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_plan_add(ngx_http_async_planning_t *p,
    ngx_http_async_step_t *step, ngx_uint_t fresh, ngx_uint_t *number)
{
    ngx_http_async_step_t  *place;

    *number = p->plan->steps.nelts;

    if (*number == NGX_HTTP_ASYNC_PLAN_STEPS) {
        ngx_snprintf(p->error, NGX_HTTP_ASYNC_PLAN_ERROR_LEN,
                     "with \"%s\" there are more than %d dependencies to "
                     "run%Z", step->exported->name, NGX_HTTP_ASYNC_PLAN_STEPS);
        return NGX_DECLINED;
    }

    place = ngx_array_push(&p->plan->steps);
    if (place == NULL) {
        return NGX_ERROR;
    }

    *place = *step;

    return fresh ? NGX_OK
                 : ngx_http_async_plan_use(&p->cached, step->exported,
                                           *number);
}


/* The same one of several functions is made once. */

static ngx_int_t
ngx_http_async_plan_declare(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, const async_attribute_t *a)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i, *number;
    ngx_http_async_declared_t  *d;

    if (a->kind != ASYNC_ATTRIBUTE_PARAMS) {
        v->step.body = 1;
        v->step.form = (a->kind == ASYNC_ATTRIBUTE_FORM);
    }

    d = p->plan->models.elts;

    for (i = 0; i < p->plan->models.nelts; i++) {

        if (d[i].model == a->data && d[i].kind == a->kind) {
            break;
        }

        rc = ngx_http_async_plan_bodies(p, &d[i], v->step.exported, a);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (i == p->plan->models.nelts) {

        d = ngx_array_push(&p->plan->models);
        if (d == NULL) {
            return NGX_ERROR;
        }

        d->model = a->data;
        d->kind = a->kind;
        d->by = v->step.exported;
    }

    rc = ngx_http_async_plan_once(p, v, i);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_OK : rc;
    }

    number = ngx_array_push(&v->step.models);
    if (number == NULL) {
        return NGX_ERROR;
    }

    *number = i;

    return NGX_OK;
}


/* NGX_DONE: the function has declared it already, and in the same way. */

static ngx_int_t
ngx_http_async_plan_once(ngx_http_async_planning_t *p,
    ngx_http_async_visit_t *v, ngx_uint_t number)
{
    ngx_uint_t                  i, *other;
    ngx_http_async_declared_t  *d;

    d = ngx_http_async_plan_model(p->plan, number);
    other = v->step.models.elts;

    for (i = 0; i < v->step.models.nelts; i++) {

        if (other[i] == number) {
            return NGX_DONE;
        }

        if (ngx_http_async_plan_model(p->plan, other[i])->model == d->model) {
            /* MODEL_of() could not tell them apart */

            ngx_snprintf(p->error, NGX_HTTP_ASYNC_PLAN_ERROR_LEN,
                         "\"%s\" declares \"%s\" twice and differently%Z",
                         v->step.exported->name, d->model->name);
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* There is one body, which is read once. */

static ngx_int_t
ngx_http_async_plan_bodies(ngx_http_async_planning_t *p,
    ngx_http_async_declared_t *d, const async_export_t *by,
    const async_attribute_t *a)
{
    const async_model_t  *model;

    model = a->data;

    if (d->kind == ASYNC_ATTRIBUTE_PARAMS || a->kind == ASYNC_ATTRIBUTE_PARAMS)
    {
        return NGX_OK;
    }

    ngx_snprintf(p->error, NGX_HTTP_ASYNC_PLAN_ERROR_LEN,
                 "there is one body, but two are declared: \"%s\" by \"%s\" "
                 "and \"%s\" by \"%s\"%Z", d->model->name, d->by->name,
                 model->name, by->name);

    return NGX_DECLINED;
}


static void
ngx_http_async_plan_threads(ngx_http_async_plan_t *plan)
{
    ngx_uint_t              i;
    ngx_http_async_step_t  *step;

    plan->only_threads = 1;

    for (i = 0; i < plan->steps.nelts; i++) {
        step = ngx_http_async_plan_step(plan, i);

        if (step->blocking) {
            plan->threads = 1;
        }

        if (!step->blocking || step->together > 1 || step->body) {
            plan->only_threads = 0;
        }
    }
}
