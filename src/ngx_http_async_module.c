
/*
 * Copyright (C) the nginx-async authors
 *
 * The module: the hooks of nginx, and what a request goes through, which is
 * ngx_http_async_content_handler().  The directives are those of
 * ngx_http_async_commands.c.
 */

#include <ngx_http_async_access.h>
#include <ngx_http_async_app.h>
#include <ngx_http_async_blocking.h>
#include <ngx_http_async_channel.h>
#include <ngx_http_async_client.h>
#include <ngx_http_async_conf.h>
#include <ngx_http_async_depends.h>
#include <ngx_http_async_every.h>
#include <ngx_http_async_ws.h>
#include <ngx_http_async_file.h>
#include <ngx_http_async_lifecycle.h>
#include <ngx_http_async_overload.h>
#include <ngx_http_async_phase.h>
#include <ngx_http_async_process.h>
#include <ngx_http_async_response.h>
#include <ngx_http_async_route.h>
#include <ngx_http_async_run.h>
#include <ngx_http_async_set.h>
#include <ngx_http_async_status.h>
#include <ngx_http_async_teardown.h>
#include <ngx_http_async_thread.h>
#include <ngx_http_async_trace.h>
#include <ngx_http_async_vars.h>
#include <ngx_async_mail.h>
#include <ngx_async_peers.h>
#include <ngx_async_quit.h>


static ngx_int_t ngx_http_async_take(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_ref_t *ref,
    ngx_http_async_route_match_t *match, async_req_t **taken);
static ngx_int_t ngx_http_async_access_handler(ngx_http_request_t *r);
static async_rc_t ngx_http_async_call_handler(async_req_t *req);
static async_rc_t ngx_http_async_call_exported(async_t *co, void *arg);
static ngx_int_t ngx_http_async_header_filter(ngx_http_request_t *r);

static ngx_int_t ngx_http_async_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_async_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_async_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_async_init_process(ngx_cycle_t *cycle);
static void ngx_http_async_exit(ngx_cycle_t *cycle);
static void ngx_http_async_exit_master(ngx_cycle_t *cycle);


static ngx_http_module_t  ngx_http_async_module_ctx = {
    ngx_http_async_add_variables,          /* preconfiguration */
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
    ngx_http_async_init_module,            /* init module */
    ngx_http_async_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    ngx_http_async_exit_master,            /* exit master */
    NGX_MODULE_V1_PADDING
};


/* of figures that have one row */

static const ngx_async_stats_family_t  *ngx_http_async_families[] = {
    &ngx_async_tasks_family,
    &ngx_async_stacks_family,
    &ngx_async_worker_family,
    &ngx_async_process_family,
    &ngx_http_async_fetch_family,
    &ngx_http_async_ws_family,
    NULL
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


ngx_int_t
ngx_http_async_content_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    async_req_t                   *req;
    ngx_async_stats_t             *stats;
    ngx_http_async_ref_t          *ref;
    ngx_http_async_loc_conf_t     *conf;
    ngx_http_async_route_match_t   match;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);

    rc = ngx_http_async_route_find(r, conf, &ref, &match);

    stats = ref ? &ref->stats : ngx_http_async_no_route;

    if (stats->values) {
        ngx_async_stats_count(stats, NGX_HTTP_ASYNC_ROUTE_REQUESTS);
    }

    req = NULL;

    if (ref) {
        rc = ngx_http_async_take(r, conf, ref, &match, &req);
    }

    if (req) {
        return ngx_http_async_start(req);
    }

    if (stats->values) {
        ngx_http_async_count_answer(r, stats, rc);
    }

    return rc;
}


/* A handler for it, to be started; NULL: it is answered, with this result. */

static ngx_int_t
ngx_http_async_take(ngx_http_request_t *r, ngx_http_async_loc_conf_t *conf,
    ngx_http_async_ref_t *ref, ngx_http_async_route_match_t *match,
    async_req_t **taken)
{
    ngx_int_t                      rc;
    const char                    *why;
    async_req_t                   *req;
    ngx_http_async_route_param_t  *params;

    if (ngx_http_async_overloaded && conf->overload && r == r->main) {
        ngx_http_async_overload_shed();

        return ngx_http_async_send_error(r, conf,
                                         NGX_HTTP_SERVICE_UNAVAILABLE, NULL);
    }

    if (ref->kind == NGX_HTTP_ASYNC_KIND_WS) {
        rc = ngx_http_async_ws_check(r, &why);

        if (rc != NGX_OK) {
            return ngx_http_async_ws_refuse(r, conf, rc, why);
        }
    }

    params = NULL;

    if (match->nparams) {
        params = ngx_http_async_route_params(r->pool, match);
        if (params == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    req = NULL;

    if (ngx_async_left) {
        /* shutdown functions run, or have */
        r->keepalive = 0;

    } else if (ref->fn->exported) {
        req = (ref->kind == NGX_HTTP_ASYNC_KIND_WS)
              ? ngx_http_async_ws_create(r, conf, ref->fn,
                                         ngx_http_async_call_handler,
                                         ngx_http_async_finish)
              : ngx_http_async_create(r, conf, ref->fn,
                                      ngx_http_async_call_handler,
                                      ngx_http_async_finish);
    }

    if (req == NULL) {
        return ngx_http_async_send_error(r, conf,
                                         NGX_HTTP_SERVICE_UNAVAILABLE, NULL);
    }

    req->plan = ref->plan;
    req->params = params;
    req->nparams = match->nparams;

    if (req->own
        && ngx_http_async_blocking_params(req->home, &req->params, req)
           != NGX_OK)
    {
        /* they are memory of nginx's request, which stays then */
        req->holds++;
    }

    if (req->task.meter && ref->pattern.len) {
        ngx_http_async_record_of(req)->route = &ref->pattern;
    }

    req->handshake = (ref->kind == NGX_HTTP_ASYNC_KIND_WS);

    if (ref->stats.values) {
        req->route = &ref->stats;
        ngx_async_stats_count(req->route, NGX_HTTP_ASYNC_ROUTE_ALIVE);
    }

    *taken = req;

    return NGX_OK;
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

    if (rc == ASYNC_OK && req->out.path.len && req->ws == NULL) {
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

    if (ngx_http_async_measures && ngx_http_async_timing_header(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_async_add_variables(ngx_conf_t *cf)
{
    return (ngx_http_async_vars_add(cf) == NGX_OK)
               ? ngx_http_async_trace_add(cf) : NGX_ERROR;
}


static ngx_int_t
ngx_http_async_init(ngx_conf_t *cf)
{
    const ngx_async_stats_family_t  **family;

    ngx_http_async_loc_conf_t   *lcf;
    ngx_http_async_main_conf_t  *mcf;

    if (ngx_process == NGX_PROCESS_SINGLE
        && !ngx_is_init_cycle(cf->cycle->old_cycle))
    {
        /* nginx inits no process for it: clients would get no connections */
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "async: with \"master_process off\" nginx cannot "
                      "reload, the old configuration stays: restart it");
        return NGX_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_module);

    if (ngx_http_async_app_resolve(cf, mcf) != NGX_OK
        || ngx_http_async_depends_check(cf, mcf) != NGX_OK
        || ngx_http_async_every_resolve(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_async_module);

    if (mcf->apps.nelts
        && ngx_http_async_default_pool(cf, lcf) != NGX_CONF_OK)
    {
        return NGX_ERROR;
    }

    mcf->thread_pool = lcf->thread_pool;

    if (ngx_http_async_app_stats(cf, mcf) != NGX_OK
        || ngx_http_async_route_stats(cf, mcf) != NGX_OK
        || ngx_http_async_every_stats(cf, mcf) != NGX_OK
        || ngx_async_thread_pool_stats(cf, &mcf->stats) != NGX_OK
        || ngx_http_async_overload_stats(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (family = ngx_http_async_families; *family; family++) {
        if (ngx_async_stats_add_one(cf, &mcf->stats, *family) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_async_app_has(mcf, ASYNC_KIND_PROCESS)
        && ngx_http_async_process_conf(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_async_app_any(mcf)) {
        mcf->replaced = ngx_async_quit_conf(cf);

        if (mcf->replaced == NULL) {
            return NGX_ERROR;
        }

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
ngx_http_async_init_module(ngx_cycle_t *cycle)
{
    ngx_http_async_main_conf_t  *mcf;

    if (ngx_test_config) {
        return NGX_OK;
    }

    ngx_async_peers_loaded(cycle);

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_async_module);

    if (mcf) {
        ngx_async_stats_loaded(cycle, &mcf->stats);
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

    if (mcf == NULL || !ngx_http_async_app_any(mcf)
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
    conf.replaced = mcf->replaced;
    conf.stats = &mcf->stats;

    /* a worker that fails here never comes back; this one answers 503 */

    if (ngx_async_init(cycle, &conf) != NGX_OK
        || ngx_async_mail_init(cycle) != NGX_OK
        || ngx_async_peers_init(cycle) != NGX_OK)
    {
        return NGX_OK;
    }

    ngx_async_stats_init(cycle, &mcf->stats);

    if (ngx_http_async_status_init() != NGX_OK) {
        return NGX_OK;
    }

    if (ngx_async_thread_init(cycle, mcf->thread_nice) != NGX_OK) {
        return NGX_OK;
    }

    if (ngx_http_async_process_init(cycle, mcf) != NGX_OK
        || ngx_http_async_fetch_init(&mcf->stats) != NGX_OK)
    {
        return NGX_OK;
    }

    ngx_http_async_route_init(mcf);
    ngx_http_async_thread_init(mcf->thread_pool);
    ngx_http_async_overload_init(cycle, mcf);
    ngx_http_async_client_init(cycle);

    /* in this order: what is published before a shutdown is still sent */

    if (ngx_http_async_channel_init(cycle, &mcf->stats) != NGX_OK) {
        return NGX_OK;
    }

    ngx_http_async_ws_init(&mcf->stats);

    ngx_http_async_vars_init(cycle, mcf->timing);

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
    ngx_http_async_channel_exit();
    ngx_http_async_overload_exit();
    ngx_async_stats_exit();
    ngx_async_peers_exit();
    ngx_async_mail_exit();
    ngx_async_exit();
}


static void
ngx_http_async_exit_master(ngx_cycle_t *cycle)
{
    ngx_http_async_run_exit();
}
