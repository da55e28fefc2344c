
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_status.  Its answer is made by a task of this module's
 * own, since it waits for the other workers; there is one also when there are
 * "async_max_tasks" already, for that is when it is needed.
 */

#include <ngx_http_async_route.h>
#include <ngx_http_async_status.h>
#include <ngx_async_quit.h>


static async_rc_t ngx_http_async_status_run(async_req_t *req);
static void ngx_http_async_status_about(ngx_async_task_t *t,
    ngx_async_report_about_t *about);
static ngx_int_t ngx_http_async_status_share(ngx_conf_t *cf);
static char *ngx_http_async_status_unknown(ngx_conf_t *cf, ngx_str_t *name);


const ngx_http_async_status_format_t  ngx_http_async_status_formats[] = {
    { ngx_string("json"),
      { ngx_string("application/json"), ngx_null_string },
      100, ngx_http_async_status_json },

    { ngx_string("prometheus"),
      { ngx_string("text/plain;version=0.0.4"), ngx_null_string },
      NGX_ASYNC_REPORT_LIMIT, ngx_http_async_status_prometheus },

    { ngx_string("openmetrics"),
      { ngx_string("application/openmetrics-text;version=1.0.0"),
        ngx_null_string },
      NGX_ASYNC_REPORT_LIMIT, ngx_http_async_status_openmetrics },

    { ngx_string("html"),
      { ngx_string("text/html"), ngx_string("application/xhtml+xml"),
        ngx_null_string },
      -1, ngx_http_async_status_page },

    { ngx_null_string, { ngx_null_string }, 0, NULL }
};


ngx_int_t
ngx_http_async_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    async_req_t                 *req;
    ngx_keyval_t                 allow;
    ngx_http_async_loc_conf_t   *conf;
    ngx_http_async_main_conf_t  *mcf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);
    mcf = ngx_http_get_module_main_conf(r, ngx_http_async_module);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        ngx_str_set(&allow.key, "Allow");
        ngx_str_set(&allow.value, "GET, HEAD");

        return ngx_http_async_send_error(r, conf, NGX_HTTP_NOT_ALLOWED,
                                         &allow);
    }

    /* who asks again is to come to a worker that accepts, not to that which had
       answered and may be blocked by now */

    r->keepalive = 0;

    /* where this fails the worker has not come up, or leaves */

    req = (ngx_async_left || ngx_async_stats_area() == NULL)
          ? NULL
          : ngx_http_async_create(r, conf, mcf->status,
                                  ngx_http_async_status_run,
                                  ngx_http_async_finish);
    if (req == NULL) {
        return ngx_http_async_send_error(r, conf,
                                         NGX_HTTP_SERVICE_UNAVAILABLE, NULL);
    }

    return ngx_http_async_start(req);
}


/* On the coroutine */

static async_rc_t
ngx_http_async_status_run(async_req_t *req)
{
    async_rc_t                             rc;
    ngx_async_report_t                     report;
    ngx_async_report_ask_t                 ask;
    const ngx_http_async_status_format_t  *format;

    rc = async_set_header(req, "Cache-Control", "no-store");

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_status_query(req, &ask, &format);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (format->limit < 0) {
        return format->send(req, NULL, &ask);
    }

    rc = ngx_async_report_wait(&req->task, req->pool, &ask, &report);

    return (rc == ASYNC_OK) ? format->send(req, &report, &ask) : rc;
}


ngx_int_t
ngx_http_async_status_init(void)
{
    return ngx_async_report_init(ngx_http_async_status_about);
}


/* What the status says of a task, and of its children. */

static void
ngx_http_async_status_about(ngx_async_task_t *t,
    ngx_async_report_about_t *about)
{
    async_req_t         *req;
    ngx_http_request_t  *r;

    req = ngx_http_async_req_of(t);

    if (req == NULL) {
        return;
    }

    if (req->r == NULL) {
        about->method = req->in->method;
        about->uri = req->in->unparsed;
        about->client = req->in->client;
        return;
    }

    r = req->r->main;

    about->method = r->method_name;
    about->uri = r->unparsed_uri;
    about->client = r->connection->addr_text;
}


const ngx_http_async_status_format_t *
ngx_http_async_status_find(ngx_str_t *name)
{
    const ngx_http_async_status_format_t  *format;

    for (format = ngx_http_async_status_formats; format->name.len; format++) {
        if (format->name.len == name->len
            && ngx_strncmp(format->name.data, name->data, name->len) == 0)
        {
            return format;
        }
    }

    return NULL;
}


u_char *
ngx_http_async_status_names(u_char *p, u_char *last)
{
    const char                            *between;
    const ngx_http_async_status_format_t  *format;

    between = "";

    for (format = ngx_http_async_status_formats; format->name.len; format++) {
        p = ngx_slprintf(p, last, "%s\"%V\"", between, &format->name);
        between = format[1].name.len && !format[2].name.len ? " or " : ", ";
    }

    return p;
}


char *
ngx_http_async_status_format(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    char                          *rv;
    ngx_str_t                     *value;
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_async_status_conf_t  *scf;

    if (lcf->status) {
        return "is duplicate";
    }

    rv = ngx_http_async_route_beside(cf, lcf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    scf = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_status_conf_t));
    if (scf == NULL || ngx_http_async_status_share(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    scf->file = cf->conf_file->file.name.data;
    scf->line = cf->conf_file->line;

    value = cf->args->elts;

    if (cf->args->nelts > 1) {
        scf->format = ngx_http_async_status_find(&value[1]);

        if (scf->format == NULL) {
            return ngx_http_async_status_unknown(cf, &value[1]);
        }
    }

    lcf->status = scf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_async_status_handler;

    return NGX_CONF_OK;
}


/* The first of a configuration: from here on there is something to count for */

static ngx_int_t
ngx_http_async_status_share(ngx_conf_t *cf)
{
    ngx_http_async_fn_t         *fn;
    ngx_http_async_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_module);

    if (mcf->status) {
        return NGX_OK;
    }

    fn = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_fn_t));

    if (fn == NULL || ngx_async_stats_share(cf, &mcf->stats) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&fn->name, "async_status");

    fn->kind = ASYNC_KIND_HANDLER;
    fn->profile.name = (char *) fn->name.data;

    mcf->status = fn;

    return ngx_async_stats_add(cf, &mcf->stats, &fn->profile.stats,
                               &ngx_async_profile_family, &fn->name);
}


static char *
ngx_http_async_status_unknown(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char  *p, names[128];

    p = ngx_http_async_status_names(names, names + sizeof(names));

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "there is no format \"%V\": it is %*s", name,
                       (size_t) (p - names), names);

    return NGX_CONF_ERROR;
}
