
/*
 * Copyright (C) the nginx-async authors
 *
 * Plans: in which order the dependencies of a function run, and what of the
 * request is checked for each.  Made from the attributes of an app's exports,
 * by the child that inspects it and by workers.  Pure: knows no request.
 */

#ifndef _NGX_HTTP_ASYNC_PLAN_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PLAN_H_INCLUDED_


#include <ngx_http_async_model.h>


#define NGX_HTTP_ASYNC_PLAN_ERROR_LEN  512


/* that a function depends on another one: whose value that is */

typedef struct {
    const async_export_t       *exported;
    ngx_uint_t                  step;
} ngx_http_async_use_t;


/* a struct that is made from the request: ASYNC_PARAMS() and so on */

typedef struct {
    const async_model_t        *model;
    int                         kind;         /* ASYNC_ATTRIBUTE_... */
    const async_export_t       *by;           /* the first that declares it */
} ngx_http_async_declared_t;


typedef struct {
    const async_export_t       *exported;
    ngx_array_t                 uses;         /* of ngx_http_async_use_t */
    ngx_array_t                 models;       /* of ngx_uint_t: which ones */

    /* so many, this one being the first, run together; 1: it runs alone */
    ngx_uint_t                  together;

    unsigned                    anew:1;       /* for one function alone */
    unsigned                    blocking:1;
    unsigned                    body:1;       /* its models need it read */
    unsigned                    form:1;       /* as a form */
} ngx_http_async_step_t;


typedef struct ngx_http_async_plan_s {
    ngx_array_t                 steps;        /* the last: the function's */
    ngx_array_t                 models;       /* of ngx_http_async_declared_t */

    unsigned                    threads:1;    /* some step blocks */
    unsigned                    only_threads:1;  /* all do, one by one */
    unsigned                    broken:1;     /* an app could not be loaded */
} ngx_http_async_plan_t;


#define ngx_http_async_plan_step(plan, i)                                    \
    ((ngx_http_async_step_t *) (plan)->steps.elts + (i))
#define ngx_http_async_plan_model(plan, i)                                   \
    ((ngx_http_async_declared_t *) (plan)->models.elts + (i))


/* NULL: the app is from before there were attributes. */
const async_attribute_t *ngx_http_async_attributes(
    const async_export_t *exported);

/* Whether it is a dependency of either kind; whether it blocks. */
ngx_uint_t ngx_http_async_is_dependency(ngx_int_t kind);
ngx_uint_t ngx_http_async_is_blocking(ngx_int_t kind);

/*
 * Of a handler or dependency; "before": what runs before it beside, n of them.
 * NGX_OK; NGX_DECLINED: what has been declared is wrong, and how; NGX_ERROR.
 */
ngx_int_t ngx_http_async_plan_make(ngx_pool_t *pool,
    const async_export_t *exported, const async_export_t *const *before,
    ngx_uint_t n, ngx_http_async_plan_t **plan,
    u_char error[NGX_HTTP_ASYNC_PLAN_ERROR_LEN]);

/* Whether the function is all that there is, with nothing declared. */
ngx_uint_t ngx_http_async_plan_is_empty(ngx_http_async_plan_t *plan);


#endif /* _NGX_HTTP_ASYNC_PLAN_H_INCLUDED_ */
