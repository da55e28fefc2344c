
/*
 * Copyright (C) the nginx-async authors
 *
 * The settings of the module: their defaults, and what a block has of those
 * around it; the directives async_param and async_thread_pool.
 */

#include <ngx_http_async_access.h>
#include <ngx_http_async_conf.h>
#include <ngx_http_async_depends.h>
#include <ngx_http_async_docs.h>
#include <ngx_http_async_openapi.h>
#include <ngx_http_async_set.h>
#include <ngx_http_async_trace.h>
#include <ngx_http_async_status.h>


#define NGX_HTTP_ASYNC_STACK_SIZE  (64 * 1024)
#define NGX_HTTP_ASYNC_MAX_TASKS   65536


static char *ngx_http_async_merge_content(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *prev, ngx_http_async_loc_conf_t *conf);
static char *ngx_http_async_merge_docs(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *conf, ngx_http_core_loc_conf_t *clcf);
static char *ngx_http_async_beside(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, const char *directive, u_char *file,
    ngx_uint_t line);
static char *ngx_http_async_merge_pool(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *conf);
static char *ngx_http_async_merge_params(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *prev, ngx_http_async_loc_conf_t *conf);
static ngx_keyval_t *ngx_http_async_param_find(ngx_keyval_t *kv, ngx_uint_t n,
    ngx_str_t *key);


void *
ngx_http_async_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_async_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mcf->apps, cf->pool, 4, sizeof(ngx_http_async_app_t))
        != NGX_OK
        || ngx_array_init(&mcf->refs, cf->pool, 16,
                          sizeof(ngx_http_async_ref_t *)) != NGX_OK
        || ngx_async_stats_create(cf, &mcf->stats) != NGX_OK)
    {
        return NULL;
    }

    mcf->stack_size = NGX_CONF_UNSET_SIZE;
    mcf->max_tasks = NGX_CONF_UNSET_UINT;
    mcf->shutdown_timeout = NGX_CONF_UNSET_MSEC;
    mcf->cleanup_timeout = NGX_CONF_UNSET_MSEC;
    mcf->slow = NGX_CONF_UNSET_MSEC;
    mcf->thread_nice = NGX_CONF_UNSET;

    return mcf;
}


char *
ngx_http_async_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_async_main_conf_t  *mcf = conf;

    ngx_conf_init_size_value(mcf->stack_size, NGX_HTTP_ASYNC_STACK_SIZE);
    ngx_conf_init_uint_value(mcf->max_tasks, NGX_HTTP_ASYNC_MAX_TASKS);
    ngx_conf_init_msec_value(mcf->shutdown_timeout, 30000);
    ngx_conf_init_msec_value(mcf->cleanup_timeout, 5000);
    ngx_conf_init_msec_value(mcf->slow, 100);
    ngx_conf_init_value(mcf->thread_nice, 10);

    return NGX_CONF_OK;
}


void *
ngx_http_async_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_async_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->timeout = NGX_CONF_UNSET_MSEC;
    conf->ignore_client_abort = NGX_CONF_UNSET;
    conf->intercept_errors = NGX_CONF_UNSET;
    conf->overload = NGX_CONF_UNSET;
    conf->form_memory = NGX_CONF_UNSET_SIZE;
    conf->form_max_text = NGX_CONF_UNSET_SIZE;
    conf->form_max_parts = NGX_CONF_UNSET_UINT;
    conf->trace = NGX_CONF_UNSET_UINT;
    conf->timing = NGX_CONF_UNSET;

    return conf;
}


char *
ngx_http_async_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_async_loc_conf_t  *prev = parent;
    ngx_http_async_loc_conf_t  *conf = child;

    char  *rv;

    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 60000);
    ngx_conf_merge_value(conf->ignore_client_abort, prev->ignore_client_abort,
                         0);
    ngx_conf_merge_value(conf->intercept_errors, prev->intercept_errors, 0);
    ngx_conf_merge_value(conf->overload, prev->overload, 1);
    ngx_conf_merge_size_value(conf->form_memory, prev->form_memory, 64 * 1024);
    ngx_conf_merge_size_value(conf->form_max_text, prev->form_max_text,
                              1024 * 1024);
    ngx_conf_merge_uint_value(conf->form_max_parts, prev->form_max_parts,
                              1000);

    ngx_conf_merge_uint_value(conf->trace, prev->trace,
                              NGX_HTTP_ASYNC_TRACE_PASS);

    if (conf->timing == NGX_CONF_UNSET) {
        conf->timing = (prev->timing == NGX_CONF_UNSET) ? 0 : prev->timing;
        conf->timing_if = prev->timing_if;
    }

    if (conf->thread_pool == NULL) {
        conf->thread_pool = prev->thread_pool;
    }

    ngx_http_async_access_merge(prev, conf);

    rv = ngx_http_async_depends_merge(cf, prev, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_async_set_merge(cf, prev, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_async_merge_params(cf, prev, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_async_merge_content(cf, prev, conf);
}


static char *
ngx_http_async_merge_content(ngx_conf_t *cf, ngx_http_async_loc_conf_t *prev,
    ngx_http_async_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && clcf->handler == NULL) {
        /* the blocks of "if" and "limit_except" */
        conf->routes = prev->routes;
        conf->handler = prev->handler;
        conf->first = prev->first;
        conf->openapi = prev->openapi;
        conf->docs = prev->docs;
        conf->status = prev->status;
    }

    if (conf->openapi || conf->docs || conf->status) {
        return ngx_http_async_merge_docs(cf, conf, clcf);
    }

    if (conf->routes == NULL && conf->handler == NULL) {
        return ngx_http_async_merge_pool(cf, conf);
    }

    if (clcf->handler) {
        return ngx_http_async_beside(cf, clcf, conf->first->directive,
                                     conf->first->file, conf->first->line);
    }

    clcf->handler = ngx_http_async_content_handler;

    return ngx_http_async_merge_pool(cf, conf);
}


static char *
ngx_http_async_merge_docs(ngx_conf_t *cf, ngx_http_async_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf)
{
    ngx_http_handler_pt  handler;

    handler = conf->openapi ? ngx_http_async_openapi_handler
              : conf->docs ? ngx_http_async_docs_handler
              : ngx_http_async_status_handler;

    if (clcf->handler && clcf->handler != handler) {
        return conf->openapi
               ? ngx_http_async_beside(cf, clcf, "async_openapi",
                                       conf->openapi->file,
                                       conf->openapi->line)
               : conf->docs
               ? ngx_http_async_beside(cf, clcf, "async_docs",
                                       conf->docs->file, conf->docs->line)
               : ngx_http_async_beside(cf, clcf, "async_status",
                                       conf->status->file,
                                       conf->status->line);
    }

    clcf->handler = handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_beside(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf,
    const char *directive, u_char *file, ngx_uint_t line)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%s\" stands beside another directive that answers "
                  "the requests of location \"%V\" in %s:%ui",
                  directive, &clcf->name, file, line);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_async_merge_pool(ngx_conf_t *cf, ngx_http_async_loc_conf_t *conf)
{
    if (conf->routes || conf->handler || conf->access || conf->sets) {
        return ngx_http_async_default_pool(cf, conf);
    }

    return NGX_CONF_OK;
}


/* "default" comes into being when it is first named */

char *
ngx_http_async_default_pool(ngx_conf_t *cf, ngx_http_async_loc_conf_t *conf)
{
    if (conf->thread_pool == NULL) {
        conf->thread_pool = ngx_async_thread_pool_add(cf, NULL);
    }

    return conf->thread_pool ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* The settings of outer blocks hold, but for keys that are set again. */

static char *
ngx_http_async_merge_params(ngx_conf_t *cf, ngx_http_async_loc_conf_t *prev,
    ngx_http_async_loc_conf_t *conf)
{
    ngx_uint_t     i, own;
    ngx_keyval_t  *outer, *kv;

    if (prev->params == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->params == NULL) {
        conf->params = prev->params;
        return NGX_CONF_OK;
    }

    own = conf->params->nelts;
    outer = prev->params->elts;

    for (i = 0; i < prev->params->nelts; i++) {

        if (ngx_http_async_param_find(conf->params->elts, own, &outer[i].key))
        {
            continue;
        }

        kv = ngx_array_push(conf->params);
        if (kv == NULL) {
            return NGX_CONF_ERROR;
        }

        *kv = outer[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_http_async_param(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    ngx_str_t     *value;
    ngx_keyval_t  *kv;

    value = cf->args->elts;

    if (lcf->params == NULL) {
        lcf->params = ngx_array_create(cf->pool, 4, sizeof(ngx_keyval_t));
        if (lcf->params == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_async_param_find(lcf->params->elts, lcf->params->nelts,
                                  &value[1]))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is set twice in the same block",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    kv = ngx_array_push(lcf->params);
    if (kv == NULL) {
        return NGX_CONF_ERROR;
    }

    kv->key = value[1];
    kv->value = value[2];

    return NGX_CONF_OK;
}


static ngx_keyval_t *
ngx_http_async_param_find(ngx_keyval_t *kv, ngx_uint_t n, ngx_str_t *key)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (ngx_strcmp(kv[i].key.data, key->data) == 0) {
            return &kv[i];
        }
    }

    return NULL;
}


char *
ngx_http_async_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (lcf->thread_pool) {
        return "is duplicate";
    }

    if (ngx_strchr(value[1].data, '$')) {
        return "takes no variables";
    }

    lcf->thread_pool = ngx_async_thread_pool_add(cf, &value[1]);

    return lcf->thread_pool ? NGX_CONF_OK : NGX_CONF_ERROR;
}
