
/*
 * Copyright (C) the nginx-async authors
 *
 * The module: directives, configuration, the hooks of nginx.  What a request
 * goes through is ngx_http_async_content_handler(), below.
 */

#include <ngx_http_async_access.h>
#include <ngx_http_async_app.h>
#include <ngx_http_async_blocking.h>
#include <ngx_http_async_client.h>
#include <ngx_http_async_depends.h>
#include <ngx_http_async_docs.h>
#include <ngx_http_async_every.h>
#include <ngx_http_async_file.h>
#include <ngx_http_async_lifecycle.h>
#include <ngx_http_async_openapi.h>
#include <ngx_http_async_phase.h>
#include <ngx_http_async_process.h>
#include <ngx_http_async_request.h>
#include <ngx_http_async_response.h>
#include <ngx_http_async_route.h>
#include <ngx_http_async_run.h>
#include <ngx_http_async_set.h>
#include <ngx_http_async_teardown.h>
#include <ngx_http_async_thread.h>
#include <ngx_async_mail.h>
#include <ngx_async_quit.h>


#define NGX_HTTP_ASYNC_STACK_SIZE  (64 * 1024)
#define NGX_HTTP_ASYNC_STACK_MIN   (16 * 1024)
#define NGX_HTTP_ASYNC_STACK_MAX   (64 * 1024 * 1024)
#define NGX_HTTP_ASYNC_MAX_TASKS   65536


static ngx_int_t ngx_http_async_content_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_async_access_handler(ngx_http_request_t *r);
static async_rc_t ngx_http_async_call_handler(async_req_t *req);
static async_rc_t ngx_http_async_call_exported(async_t *co, void *arg);
static ngx_int_t ngx_http_async_header_filter(ngx_http_request_t *r);

static void *ngx_http_async_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_async_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_async_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_async_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_async_merge_params(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *prev, ngx_http_async_loc_conf_t *conf);
static char *ngx_http_async_merge_content(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *prev, ngx_http_async_loc_conf_t *conf);
static char *ngx_http_async_merge_docs(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *conf, ngx_http_core_loc_conf_t *clcf);
static char *ngx_http_async_merge_pool(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *conf);
static char *ngx_http_async_param(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_async_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_async_check_time(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_async_check_stack(ngx_conf_t *cf, void *post,
    void *data);
static ngx_int_t ngx_http_async_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_async_init_process(ngx_cycle_t *cycle);
static void ngx_http_async_exit(ngx_cycle_t *cycle);
static void ngx_http_async_exit_master(ngx_cycle_t *cycle);


static ngx_conf_post_t  ngx_http_async_time_post = {
    ngx_http_async_check_time
};

static ngx_conf_post_t  ngx_http_async_stack_post = {
    ngx_http_async_check_stack
};

static ngx_conf_num_bounds_t  ngx_http_async_tasks_bounds = {
    ngx_conf_check_num_bounds, 1, 10000000
};


static ngx_conf_num_bounds_t  ngx_http_async_nice_bounds = {
    ngx_conf_check_num_bounds, 0, 19
};


static ngx_conf_num_bounds_t  ngx_http_async_parts_bounds = {
    ngx_conf_check_num_bounds, 1, 1000000
};


static ngx_command_t  ngx_http_async_commands[] = {

    { ngx_string("async_app"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_async_app,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_route"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE3,
      ngx_http_async_route,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_handler"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_async_route_all,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_depends"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_async_depends_names,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_openapi"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE123,
      ngx_http_async_openapi,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_docs"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_async_docs,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_access"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_async_access_names,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_run"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_async_run,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_every"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2|NGX_CONF_TAKE3|NGX_CONF_TAKE4
                        |NGX_CONF_TAKE5,
      ngx_http_async_every,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_set"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_async_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_param"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_async_param,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, timeout),
      &ngx_http_async_time_post },

    { ngx_string("async_ignore_client_abort"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, ignore_client_abort),
      NULL },

    { ngx_string("async_intercept_errors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, intercept_errors),
      NULL },

    { ngx_string("async_stack_size"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, stack_size),
      &ngx_http_async_stack_post },

    { ngx_string("async_max_tasks"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, max_tasks),
      &ngx_http_async_tasks_bounds },

    { ngx_string("async_shutdown_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, shutdown_timeout),
      NULL },

    { ngx_string("async_cleanup_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, cleanup_timeout),
      &ngx_http_async_time_post },

    { ngx_string("async_slow"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, slow),
      NULL },

    { ngx_string("async_thread_nice"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, thread_nice),
      &ngx_http_async_nice_bounds },

    { ngx_string("async_thread_pool"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_async_thread_pool,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_form_memory"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, form_memory),
      NULL },

    { ngx_string("async_form_max_text"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, form_max_text),
      NULL },

    { ngx_string("async_form_max_parts"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, form_max_parts),
      &ngx_http_async_parts_bounds },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_async_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_async_init,                   /* postconfiguration */

    ngx_http_async_create_main_conf,       /* create main configuration */
    ngx_http_async_init_main_conf,         /* init main configuration */

    ngx_http_async_route_create_conf,      /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_async_create_loc_conf,        /* create location configuration */
    ngx_http_async_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_async_module = {
    NGX_MODULE_V1,
    &ngx_http_async_module_ctx,            /* module context */
    ngx_http_async_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_async_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    ngx_http_async_exit_master,            /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


static ngx_int_t
ngx_http_async_content_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    async_req_t                   *req;
    ngx_http_async_ref_t          *ref;
    ngx_http_async_loc_conf_t     *conf;
    ngx_http_async_route_match_t   match;
    ngx_http_async_route_param_t  *params;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);

    rc = ngx_http_async_route_find(r, conf, &ref, &match);

    if (ref == NULL) {
        return rc;
    }

    params = NULL;

    if (match.nparams) {
        params = ngx_http_async_route_params(r->pool, &match);
        if (params == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    req = NULL;

    if (ngx_async_left) {
        /* shutdown functions run, or have */
        r->keepalive = 0;

    } else if (ref->fn->exported) {
        req = ngx_http_async_create(r, conf, ref->fn,
                                    ngx_http_async_call_handler,
                                    ngx_http_async_finish);
    }

    if (req == NULL) {
        return ngx_http_async_send_error(r, conf,
                                         NGX_HTTP_SERVICE_UNAVAILABLE, NULL);
    }

    req->plan = ref->plan;
    req->params = params;
    req->nparams = match.nparams;

    return ngx_http_async_start(req);
}


static ngx_int_t
ngx_http_async_access_handler(ngx_http_request_t *r)
{
    return ngx_http_async_access(r, ngx_http_async_call_handler);
}


/* On the coroutine */

static async_rc_t
ngx_http_async_call_handler(async_req_t *req)
{
    async_rc_t  rc;

    rc = ngx_http_async_lifecycle_wait(&req->task, req->fn);
    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = req->plan
             ? ngx_http_async_depends(req)
         : (req->fn->kind == ASYNC_KIND_BLOCKING)
             ? ngx_http_async_blocking(req)
             : ngx_async_call(&req->task, ngx_http_async_call_exported, req);

    if (rc == ASYNC_OK && req->out.path.len) {
        rc = ngx_http_async_file_open(req);
    }

    if (rc == ASYNC_OK && req->early) {
        rc = ngx_http_async_phase_pass(req);
    }

    return (req->background || req->given)
           ? ngx_http_async_teardown_end(req, rc) : rc;
}


static async_rc_t
ngx_http_async_call_exported(async_t *co, void *arg)
{
    async_req_t  *req = arg;

    return req->fn->exported->handler(co, req);
}


/* nginx may answer a request whose handler still waits, as for its body */

static ngx_int_t
ngx_http_async_header_filter(ngx_http_request_t *r)
{
    ngx_http_async_answered(r);

    return ngx_http_next_header_filter(r);
}


static void *
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
                          sizeof(ngx_http_async_ref_t *)) != NGX_OK)
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


static char *
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


static void *
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
    conf->form_memory = NGX_CONF_UNSET_SIZE;
    conf->form_max_text = NGX_CONF_UNSET_SIZE;
    conf->form_max_parts = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_async_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_async_loc_conf_t  *prev = parent;
    ngx_http_async_loc_conf_t  *conf = child;

    char  *rv;

    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 60000);
    ngx_conf_merge_value(conf->ignore_client_abort, prev->ignore_client_abort,
                         0);
    ngx_conf_merge_value(conf->intercept_errors, prev->intercept_errors, 0);
    ngx_conf_merge_size_value(conf->form_memory, prev->form_memory, 64 * 1024);
    ngx_conf_merge_size_value(conf->form_max_text, prev->form_max_text,
                              1024 * 1024);
    ngx_conf_merge_uint_value(conf->form_max_parts, prev->form_max_parts,
                              1000);

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
    }

    if (conf->openapi || conf->docs) {
        return ngx_http_async_merge_docs(cf, conf, clcf);
    }

    if (conf->routes == NULL && conf->handler == NULL) {
        return ngx_http_async_merge_pool(cf, conf);
    }

    if (clcf->handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" stands beside another directive that answers "
                      "the requests of location \"%V\" in %s:%ui",
                      conf->first->directive, &clcf->name,
                      conf->first->file, conf->first->line);
        return NGX_CONF_ERROR;
    }

    clcf->handler = ngx_http_async_content_handler;

    return ngx_http_async_merge_pool(cf, conf);
}


/* "default" comes into being when it is first named */

static char *
ngx_http_async_merge_pool(ngx_conf_t *cf, ngx_http_async_loc_conf_t *conf)
{
    if (conf->thread_pool == NULL
        && (conf->routes || conf->handler || conf->access || conf->sets))
    {
        conf->thread_pool = ngx_async_thread_pool_add(cf, NULL);

        if (conf->thread_pool == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_async_merge_docs(ngx_conf_t *cf, ngx_http_async_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf)
{
    ngx_http_handler_pt  handler;

    handler = conf->openapi ? ngx_http_async_openapi_handler
                            : ngx_http_async_docs_handler;

    if (clcf->handler && clcf->handler != handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" stands beside another directive that answers "
                      "the requests of location \"%V\" in %s:%ui",
                      conf->openapi ? "async_openapi" : "async_docs",
                      &clcf->name,
                      conf->openapi ? conf->openapi->file : conf->docs->file,
                      conf->openapi ? conf->openapi->line : conf->docs->line);
        return NGX_CONF_ERROR;
    }

    clcf->handler = handler;

    return NGX_CONF_OK;
}


/* The settings of outer blocks hold, but for keys that are set again. */

static char *
ngx_http_async_merge_params(ngx_conf_t *cf, ngx_http_async_loc_conf_t *prev,
    ngx_http_async_loc_conf_t *conf)
{
    ngx_uint_t     i, n, own;
    ngx_keyval_t  *outer, *inner, *kv;

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
        inner = conf->params->elts;

        for (n = 0; n < own; n++) {
            if (ngx_strcmp(inner[n].key.data, outer[i].key.data) == 0) {
                break;
            }
        }

        if (n < own) {
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


static char *
ngx_http_async_param(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    ngx_str_t     *value;
    ngx_uint_t     i;
    ngx_keyval_t  *kv;

    value = cf->args->elts;

    if (lcf->params == NULL) {
        lcf->params = ngx_array_create(cf->pool, 4, sizeof(ngx_keyval_t));
        if (lcf->params == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    kv = lcf->params->elts;

    for (i = 0; i < lcf->params->nelts; i++) {
        if (ngx_strcmp(kv[i].key.data, value[1].data) == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is set twice in the same block",
                               &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    kv = ngx_array_push(lcf->params);
    if (kv == NULL) {
        return NGX_CONF_ERROR;
    }

    kv->key = value[1];
    kv->value = value[2];

    return NGX_CONF_OK;
}


static char *
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


static char *
ngx_http_async_check_time(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t  *time = data;

    return *time ? NGX_CONF_OK : "must be greater than zero";
}


static char *
ngx_http_async_check_stack(ngx_conf_t *cf, void *post, void *data)
{
    size_t  *size = data;

    if (*size < NGX_HTTP_ASYNC_STACK_MIN || *size > NGX_HTTP_ASYNC_STACK_MAX) {
        return "must be from 16k to 64m";
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_async_init(ngx_conf_t *cf)
{
    ngx_http_async_loc_conf_t   *lcf;
    ngx_http_async_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_module);

    if (ngx_http_async_app_resolve(cf, mcf) != NGX_OK
        || ngx_http_async_depends_check(cf, mcf) != NGX_OK
        || ngx_http_async_every_resolve(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_async_module);

    if (mcf->apps.nelts && lcf->thread_pool == NULL) {
        lcf->thread_pool = ngx_async_thread_pool_add(cf, NULL);

        if (lcf->thread_pool == NULL) {
            return NGX_ERROR;
        }
    }

    mcf->thread_pool = lcf->thread_pool;

    if (ngx_http_async_app_has(mcf, ASYNC_KIND_PROCESS)
        && ngx_http_async_process_conf(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mcf->apps.nelts) {
        ngx_http_next_header_filter = ngx_http_top_header_filter;
        ngx_http_top_header_filter = ngx_http_async_header_filter;

        if (ngx_http_async_access_init(cf, ngx_http_async_access_handler)
            != NGX_OK
            || ngx_http_async_set_init(cf, ngx_http_async_set_all,
                                       ngx_http_async_call_handler) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_init_process(ngx_cycle_t *cycle)
{
    ngx_async_conf_t             conf;
    ngx_http_async_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_async_module);

    /* cache manager and loader come here, too, with another process type */

    if (mcf == NULL || mcf->apps.nelts == 0
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    conf.stack_size = mcf->stack_size;
    conf.max_tasks = mcf->max_tasks;
    conf.shutdown_timeout = mcf->shutdown_timeout;
    conf.cleanup_timeout = mcf->cleanup_timeout;
    conf.slow = mcf->slow;
    conf.task_size = sizeof(async_req_t);

    /* a worker that fails here never comes back; this one answers 503 */

    if (ngx_async_init(cycle, &conf) != NGX_OK
        || ngx_async_mail_init(cycle) != NGX_OK)
    {
        return NGX_OK;
    }

    if (ngx_async_thread_init(cycle, mcf->thread_nice) != NGX_OK) {
        return NGX_OK;
    }

    if (ngx_http_async_process_init(cycle, mcf) != NGX_OK) {
        return NGX_OK;
    }

    ngx_http_async_thread_init(mcf->thread_pool);
    ngx_http_async_client_init(cycle);
    ngx_async_thread_pool_exit = ngx_http_async_exit;

    /*
     * nginx's handler takes the status of every child process, also from the
     * system() or pclose() of a thread; a worker has none of its own.
     */
    (void) signal(SIGCHLD, SIG_DFL);

    ngx_http_async_app_load(cycle, mcf);
    ngx_http_async_depends_load(cycle, mcf);

    if (ngx_http_async_lifecycle_init(cycle, mcf) != NGX_OK) {
        return NGX_OK;
    }

    ngx_http_async_every_init(cycle, mcf);

    if (mcf->run) {
        return ngx_http_async_run_start(cycle, mcf);
    }

    return NGX_OK;
}


/* Before nginx joins its threads and closes what is open. */

static void
ngx_http_async_exit(ngx_cycle_t *cycle)
{
    ngx_async_leave(cycle);

    ngx_http_async_every_exit();
    ngx_http_async_lifecycle_exit(cycle);

    ngx_async_thread_exit(cycle);
    ngx_async_process_exit();
    ngx_async_conn_exit();
    ngx_async_mail_exit();
    ngx_async_exit();
}


static void
ngx_http_async_exit_master(ngx_cycle_t *cycle)
{
    ngx_http_async_run_exit();
}
