
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_depends, and plans over the life of a configuration: made
 * and checked app by app where they are inspected, checked against the routes
 * when the names are known, and made for good by workers.
 */

#include <ngx_http_async_depends.h>
#include <ngx_http_async_plan.h>
#include <ngx_async_near.h>


/* what the functions of a plan need of a route, as the inspection tells it */

typedef struct {
    ngx_str_t                   what;         /* "body" or "form", or "path" */
    ngx_str_t                   model;
    ngx_str_t                   by;
    ngx_str_t                   name;         /* of the field of "path" */
    ngx_http_async_app_t       *app;
} ngx_http_async_need_t;


static void ngx_http_async_depends_tell(ngx_http_async_plan_t *plan, int out);
static ngx_int_t ngx_http_async_depends_route(ngx_conf_t *cf,
    ngx_http_async_ref_t *ref);
static ngx_int_t ngx_http_async_depends_fits(ngx_conf_t *cf,
    ngx_http_async_ref_t *ref, ngx_http_async_fn_t *fn,
    ngx_array_t *names, ngx_http_async_need_t **body);
static ngx_uint_t ngx_http_async_depends_same(ngx_http_async_need_t *a,
    ngx_http_async_need_t *b);
static ngx_int_t ngx_http_async_depends_path(ngx_conf_t *cf,
    ngx_http_async_ref_t *ref, ngx_array_t *names,
    ngx_http_async_need_t *need);
static ngx_array_t *ngx_http_async_depends_pattern(ngx_conf_t *cf,
    ngx_http_async_ref_t *ref);
static ngx_int_t ngx_http_async_depends_plan(ngx_cycle_t *cycle,
    ngx_http_async_ref_t *ref);


char *
ngx_http_async_depends_names(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_http_async_ref_t  **ref;

    value = cf->args->elts;

    if (lcf->depends == NULL) {
        lcf->depends = ngx_array_create(cf->pool, 2,
                                        sizeof(ngx_http_async_ref_t *));
        if (lcf->depends == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < cf->args->nelts; i++) {

        ref = ngx_array_push(lcf->depends);
        if (ref == NULL) {
            return NGX_CONF_ERROR;
        }

        *ref = ngx_http_async_app_ref(cf, &value[i], ASYNC_KIND_DEPENDENCY);

        if (*ref == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_async_depends_merge(ngx_conf_t *cf, ngx_http_async_loc_conf_t *prev,
    ngx_http_async_loc_conf_t *conf)
{
    void         *refs;
    ngx_array_t  *own;

    if (prev->depends == NULL) {
        return NGX_CONF_OK;
    }

    own = conf->depends;

    if (own == NULL) {
        conf->depends = prev->depends;
        return NGX_CONF_OK;
    }

    conf->depends = ngx_array_create(cf->pool,
                                     prev->depends->nelts + own->nelts,
                                     sizeof(ngx_http_async_ref_t *));
    if (conf->depends == NULL) {
        return NGX_CONF_ERROR;
    }

    /* there is room for all */

    refs = ngx_array_push_n(conf->depends, prev->depends->nelts);
    ngx_memcpy(refs, prev->depends->elts,
               prev->depends->nelts * sizeof(ngx_http_async_ref_t *));

    refs = ngx_array_push_n(conf->depends, own->nelts);
    ngx_memcpy(refs, own->elts, own->nelts * sizeof(ngx_http_async_ref_t *));

    return NGX_CONF_OK;
}


/* In the process that inspects an app. */

ngx_int_t
ngx_http_async_depends_inspect(const async_app_t *app, int out,
    ngx_pool_t *pool, u_char *error)
{
    ngx_int_t                     rc;
    ngx_http_async_plan_t        *plan;
    const async_attribute_t      *a;
    const async_export_t *const  *exported;

    for (exported = app->exports; exported < app->exports_end; exported++) {

        dprintf(out, "%d %s %s\n", (*exported)->kind, (*exported)->name,
                (*exported)->site);

        a = ngx_http_async_attributes(*exported);

        if (a == NULL) {
            continue;
        }

        if (a->kind == ASYNC_ATTRIBUTE_TYPE) {
            dprintf(out, "=%s\n", a->text);
        }

        ngx_sprintf(error, "no memory%Z");

        rc = ngx_http_async_plan_make(pool, *exported, NULL, 0, &plan, error);

        if (rc != NGX_OK) {
            return rc;
        }

        ngx_http_async_depends_tell(plan, out);
    }

    return NGX_OK;
}


static void
ngx_http_async_depends_tell(ngx_http_async_plan_t *plan, int out)
{
    size_t                      i;
    ngx_uint_t                  n;
    const async_field_t        *f;
    ngx_http_async_declared_t  *d;

    for (n = 0; n < plan->models.nelts; n++) {
        d = ngx_http_async_plan_model(plan, n);

        if (d->kind != ASYNC_ATTRIBUTE_PARAMS) {
            dprintf(out, "\t%s %s %s\n",
                    (d->kind == ASYNC_ATTRIBUTE_FORM) ? "form" : "body",
                    d->model->name, d->by->name);
            continue;
        }

        for (i = 0; i < d->model->n; i++) {
            f = ngx_http_async_model_field(d->model, i);

            if (d->model->field_size >= offsetof(async_field_t, in)
                                        + sizeof(f->in)
                && f->in == ASYNC_IN_PATH)
            {
                dprintf(out, "\tpath %s %s %s\n", d->model->name, d->by->name,
                        ngx_http_async_model_name(f));
            }
        }
    }
}


/* The master, about the function that it has been told of last. */

ngx_int_t
ngx_http_async_depends_told(ngx_conf_t *cf, ngx_http_async_app_t *app,
    u_char *line, u_char *end)
{
    u_char                 *p, *next;
    ngx_str_t              *word;
    ngx_uint_t              i;
    ngx_http_async_fn_t    *fn;
    ngx_http_async_need_t  *need;

    if (app->fns.nelts == 0) {
        return NGX_DECLINED;
    }

    fn = (ngx_http_async_fn_t *) app->fns.elts + app->fns.nelts - 1;

    if (fn->needs == NULL) {
        fn->needs = ngx_array_create(cf->pool, 1,
                                     sizeof(ngx_http_async_need_t));
    }

    need = fn->needs ? ngx_array_push(fn->needs) : NULL;

    if (need == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(need, sizeof(ngx_http_async_need_t));

    need->app = app;
    word = &need->what;

    /* the last word is all that is left: a name may have blanks */

    for (p = line, i = 0; p < end && i < 4; p = next + 1, i++) {

        next = (i < 3) ? ngx_strlchr(p, end, ' ') : NULL;

        if (next == NULL) {
            next = end;
        }

        word[i].len = next - p;
        word[i].data = ngx_pnalloc(cf->pool, word[i].len + 1);

        if (word[i].data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(word[i].data, p, word[i].len);
        word[i].data[word[i].len] = '\0';
    }

    return (i < 3) ? NGX_DECLINED : NGX_OK;
}


ngx_int_t
ngx_http_async_depends_check(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf)
{
    ngx_uint_t              i;
    ngx_http_async_ref_t  **ref;

    ref = mcf->refs.elts;

    for (i = 0; i < mcf->refs.nelts; i++) {
        if (ref[i]->conf
            && ngx_http_async_depends_route(cf, ref[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_depends_route(ngx_conf_t *cf, ngx_http_async_ref_t *ref)
{
    ngx_uint_t               i;
    ngx_array_t             *names, *depends;
    ngx_http_async_ref_t   **on;
    ngx_http_async_need_t   *body;

    names = ngx_http_async_depends_pattern(cf, ref);
    if (names == NULL) {
        return NGX_ERROR;
    }

    body = NULL;
    depends = ref->conf->depends;
    on = depends ? depends->elts : NULL;

    for (i = 0; depends && i < depends->nelts; i++) {
        if (ngx_http_async_depends_fits(cf, ref, on[i]->fn, names, &body)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_async_depends_fits(cf, ref, ref->fn, names, &body);
}


static ngx_int_t
ngx_http_async_depends_fits(ngx_conf_t *cf, ngx_http_async_ref_t *ref,
    ngx_http_async_fn_t *fn, ngx_array_t *names, ngx_http_async_need_t **body)
{
    ngx_uint_t              i;
    ngx_http_async_need_t  *need;

    if (fn->needs == NULL) {
        return NGX_OK;
    }

    need = fn->needs->elts;

    for (i = 0; i < fn->needs->nelts; i++) {

        if (need[i].what.data[0] == 'p') {

            if (ngx_http_async_depends_path(cf, ref, names, &need[i])
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            continue;
        }

        if (ref->kind == NGX_HTTP_ASYNC_KIND_WS) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "a WebSocket handshake has no body, but \"%V\" is "
                          "declared as one by \"%V\" for \"%V\" of \"%s WS\" "
                          "in %s:%ui", &need[i].model, &need[i].by,
                          &ref->name, ref->directive, ref->file, ref->line);
            return NGX_ERROR;
        }

        if (*body == NULL) {
            *body = &need[i];
            continue;
        }

        if (!ngx_http_async_depends_same(*body, &need[i])) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "there is one body, but two are declared for \"%V\" "
                          "of \"%s\": \"%V\" by \"%V\" and \"%V\" by \"%V\" "
                          "in %s:%ui", &ref->name, ref->directive,
                          &(*body)->model, &(*body)->by, &need[i].model,
                          &need[i].by, ref->file, ref->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_depends_same(ngx_http_async_need_t *a,
    ngx_http_async_need_t *b)
{
    return a->app == b->app
           && ngx_strcmp(a->what.data, b->what.data) == 0
           && ngx_strcmp(a->model.data, b->model.data) == 0;
}


static ngx_int_t
ngx_http_async_depends_path(ngx_conf_t *cf, ngx_http_async_ref_t *ref,
    ngx_array_t *names, ngx_http_async_need_t *need)
{
    ngx_str_t         *name;
    ngx_uint_t         i;
    ngx_async_near_t   near;

    ngx_async_near_init(&near, &need->name);

    name = names->elts;

    for (i = 0; i < names->nelts; i++) {

        if (name[i].len == need->name.len
            && ngx_memcmp(name[i].data, need->name.data, name[i].len) == 0)
        {
            return NGX_OK;
        }

        ngx_async_near_offer(&near, &name[i]);
    }

    if (ref->pattern.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" of \"%V\" needs the path parameter \"%V\", "
                      "which \"%s %V\" has no pattern for: use "
                      "\"async_route\" in %s:%ui", &need->model, &need->by,
                      &need->name, ref->directive, &ref->name, ref->file,
                      ref->line);

    } else if (near.best) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" of \"%V\" needs the path parameter \"%V\", "
                      "which route \"%V\" does not have, did you mean \"%V\"? "
                      "in %s:%ui", &need->model, &need->by, &need->name,
                      &ref->pattern, near.best, ref->file, ref->line);

    } else {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" of \"%V\" needs the path parameter \"%V\", "
                      "which route \"%V\" does not have in %s:%ui",
                      &need->model, &need->by, &need->name, &ref->pattern,
                      ref->file, ref->line);
    }

    return NGX_ERROR;
}


/* The names of the pattern's parameters. */

static ngx_array_t *
ngx_http_async_depends_pattern(ngx_conf_t *cf, ngx_http_async_ref_t *ref)
{
    ngx_str_t                    error, *name;
    ngx_uint_t                   i;
    ngx_array_t                 *parts, *names;
    ngx_http_async_route_part_t *part;

    names = ngx_array_create(cf->temp_pool, 2, sizeof(ngx_str_t));

    if (names == NULL || ref->pattern.len == 0) {
        return names;
    }

    /* it has been parsed before, when the route was added */

    parts = ngx_http_async_route_parse(cf->temp_pool, &ref->pattern, &error);
    if (parts == NULL) {
        return NULL;
    }

    part = parts->elts;

    for (i = 0; i < parts->nelts; i++) {

        if (part[i].kind == NGX_HTTP_ASYNC_ROUTE_LITERAL) {
            continue;
        }

        name = ngx_array_push(names);
        if (name == NULL) {
            return NULL;
        }

        *name = part[i].text;
    }

    return names;
}


void
ngx_http_async_depends_load(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf)
{
    ngx_uint_t              i;
    ngx_http_async_fn_t    *fn;
    ngx_http_async_ref_t  **ref;

    ref = mcf->refs.elts;

    for (i = 0; i < mcf->refs.nelts; i++) {

        fn = ref[i]->fn;

        /* a dependency provides its value by a plan, which is its own then */

        if (fn->exported == NULL
            || (fn->kind != ASYNC_KIND_HANDLER
                && fn->kind != ASYNC_KIND_BLOCKING
                && !ngx_http_async_is_dependency(fn->kind)))
        {
            continue;
        }

        if (ngx_http_async_depends_plan(cycle, ref[i]) != NGX_OK) {
            /* it answers 503 rather than run without what it depends on */
            fn->exported = NULL;
        }
    }
}


static ngx_int_t
ngx_http_async_depends_plan(ngx_cycle_t *cycle, ngx_http_async_ref_t *ref)
{
    u_char                   error[NGX_HTTP_ASYNC_PLAN_ERROR_LEN];
    ngx_int_t                rc;
    ngx_uint_t               i, n, broken;
    ngx_array_t             *depends;
    ngx_http_async_ref_t   **on;
    ngx_http_async_plan_t   *plan;
    const async_export_t   **before;

    depends = ref->conf ? ref->conf->depends : NULL;
    n = depends ? depends->nelts : 0;
    on = depends ? depends->elts : NULL;
    broken = 0;

    before = ngx_palloc(cycle->pool, (n + 1) * sizeof(async_export_t *));
    if (before == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        before[i] = on[i]->fn->exported;

        if (before[i] == NULL) {
            broken = 1;
        }
    }

    ngx_sprintf(error, "no memory%Z");

    rc = ngx_http_async_plan_make(cycle->pool, ref->fn->exported, before,
                                  broken ? 0 : n, &plan, error);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "async \"%V\" answers 503: %s in %s:%ui", &ref->name,
                      error, ref->file, ref->line);
        return NGX_ERROR;
    }

    plan->broken = broken;

    /* the thread of a guard may ask for a body that has not been read */

    if (broken || !ngx_http_async_plan_is_empty(plan)
        || ngx_http_async_is_dependency(ref->fn->kind)
        || (ref->kind == NGX_HTTP_ASYNC_KIND_GUARD
            && ngx_http_async_is_blocking(ref->fn->kind)))
    {
        ref->plan = plan;
    }

    return NGX_OK;
}
