
/*
 * Copyright (C) the nginx-async authors
 *
 * The variables "$async_...", and what they are made of; see
 * ngx_http_async_vars.h.
 */

#include <ngx_http_async_vars.h>


typedef enum {
    NGX_HTTP_ASYNC_VAR_HANDLER = 0,
    NGX_HTTP_ASYNC_VAR_ROUTE,
    NGX_HTTP_ASYNC_VAR_COUNT,                 /* ngx_uint_t at an offset */
    NGX_HTTP_ASYNC_VAR_TIME,                  /* uint64_t at an offset */
    NGX_HTTP_ASYNC_VAR_WAIT
} ngx_http_async_var_e;


typedef struct {
    ngx_str_t                   name;
    ngx_http_async_var_e        kind;
    size_t                      offset;       /* in ngx_async_meter_t */
} ngx_http_async_var_t;


static ngx_int_t ngx_http_async_var_get(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_async_var_text(ngx_http_variable_value_t *v,
    u_char *data, size_t len);
static ngx_uint_t ngx_http_async_record_timing(async_req_t *req);
static ngx_http_async_record_t **ngx_http_async_records(
    ngx_http_request_t *r);
static void ngx_http_async_records_cleanup(void *data);


static ngx_http_async_var_t  ngx_http_async_vars[] = {

    { ngx_string("async_handler"), NGX_HTTP_ASYNC_VAR_HANDLER, 0 },

    { ngx_string("async_route"), NGX_HTTP_ASYNC_VAR_ROUTE, 0 },

    { ngx_string("async_time"), NGX_HTTP_ASYNC_VAR_TIME,
      offsetof(ngx_async_meter_t, time) },

    { ngx_string("async_wait_time"), NGX_HTTP_ASYNC_VAR_WAIT, 0 },

    { ngx_string("async_run_time"), NGX_HTTP_ASYNC_VAR_TIME,
      offsetof(ngx_async_meter_t, run) },

    { ngx_string("async_queue_time"), NGX_HTTP_ASYNC_VAR_TIME,
      offsetof(ngx_async_meter_t, queue) },

    { ngx_string("async_thread_time"), NGX_HTTP_ASYNC_VAR_TIME,
      offsetof(ngx_async_meter_t, thread) },

    { ngx_string("async_db_time"), NGX_HTTP_ASYNC_VAR_TIME,
      offsetof(ngx_async_meter_t, waits)
      + NGX_ASYNC_METER_DB * sizeof(uint64_t) },

    { ngx_string("async_db_queries"), NGX_HTTP_ASYNC_VAR_COUNT,
      offsetof(ngx_async_meter_t, queries) },

    { ngx_string("async_fetch_time"), NGX_HTTP_ASYNC_VAR_TIME,
      offsetof(ngx_async_meter_t, waits)
      + NGX_ASYNC_METER_FETCH * sizeof(uint64_t) },

    { ngx_string("async_fetches"), NGX_HTTP_ASYNC_VAR_COUNT,
      offsetof(ngx_async_meter_t, fetches) },

    { ngx_string("async_awaits"), NGX_HTTP_ASYNC_VAR_COUNT,
      offsetof(ngx_async_meter_t, awaits) },

    { ngx_string("async_tasks"), NGX_HTTP_ASYNC_VAR_COUNT,
      offsetof(ngx_async_meter_t, children) },

    { ngx_null_string, NGX_HTTP_ASYNC_VAR_HANDLER, 0 }
};


ngx_uint_t  ngx_http_async_measures;


ngx_int_t
ngx_http_async_vars_add(ngx_conf_t *cf)
{
    ngx_http_variable_t   *v;
    ngx_http_async_var_t  *var;

    for (var = ngx_http_async_vars; var->name.len; var++) {

        v = ngx_http_add_variable(cf, &var->name, NGX_HTTP_VAR_NOCACHEABLE);
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->get_handler = ngx_http_async_var_get;
        v->data = (uintptr_t) var;
    }

    return NGX_OK;
}


/* nginx gives an index to each variable that the configuration names. */

void
ngx_http_async_vars_init(ngx_cycle_t *cycle, ngx_uint_t timing)
{
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    ngx_http_async_measures = timing;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {
        if (v[i].get_handler == ngx_http_async_var_get) {
            ngx_http_async_measures = 1;
        }
    }
}


ngx_http_async_record_t *
ngx_http_async_record_begin(async_req_t *req)
{
    ngx_http_request_t        *r;
    ngx_http_async_record_t   *record, **records;

    r = req->r;

    record = ngx_http_async_record(r);

    if (record == NULL) {

        records = ngx_http_async_records(r);
        record = records ? ngx_pcalloc(req->home,
                                       sizeof(ngx_http_async_record_t))
                         : NULL;
        if (record == NULL) {
            return NULL;
        }

        record->r = r;
        record->next = *records;
        *records = record;

    } else {
        /* of an earlier phase, in its memory */
        req->holds++;
    }

    record->name = req->task.profile->name;
    record->route = NULL;
    record->timing = ngx_http_async_record_timing(req);

    req->timing = record->timing;

    ngx_async_meter_begin(&record->meter, &req->task);

    return record;
}


/* A condition that cannot be told is none that holds: times are private. */

static ngx_uint_t
ngx_http_async_record_timing(async_req_t *req)
{
    ngx_str_t                   value;
    ngx_http_async_loc_conf_t  *conf;

    conf = req->conf;

    if (!conf->timing || conf->timing_if == NULL) {
        return conf->timing;
    }

    if (ngx_http_complex_value(req->r, conf->timing_if, &value) != NGX_OK) {
        return 0;
    }

    return value.len > 1 || (value.len == 1 && value.data[0] != '0');
}


ngx_http_async_record_t *
ngx_http_async_record(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_async_record_t  *record;

    /* not the module's context: nginx clears that on internal redirects */

    for (cln = r->main->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler != ngx_http_async_records_cleanup) {
            continue;
        }

        for (record = *(ngx_http_async_record_t **) cln->data;
             record;
             record = record->next)
        {
            if (record->r == r) {
                return record;
            }
        }

        break;
    }

    return NULL;
}


static ngx_http_async_record_t **
ngx_http_async_records(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->main->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_async_records_cleanup) {
            return cln->data;
        }
    }

    cln = ngx_pool_cleanup_add(r->main->pool,
                               sizeof(ngx_http_async_record_t *));
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_async_records_cleanup;
    *(ngx_http_async_record_t **) cln->data = NULL;

    return cln->data;
}


static void
ngx_http_async_records_cleanup(void *data)
{
    /* its place in the list is what counts */
}


static ngx_int_t
ngx_http_async_var_get(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_http_async_var_t  *var = (ngx_http_async_var_t *) data;

    u_char                   *p;
    uint64_t                  ms;
    ngx_async_meter_t          meter;
    ngx_http_async_record_t  *record;

    record = ngx_http_async_record(r);

    if (record == NULL
        || (var->kind == NGX_HTTP_ASYNC_VAR_ROUTE && record->route == NULL))
    {
        v->not_found = 1;
        return NGX_OK;
    }

    if (var->kind == NGX_HTTP_ASYNC_VAR_HANDLER) {
        return ngx_http_async_var_text(v, (u_char *) record->name,
                                       ngx_strlen(record->name));
    }

    if (var->kind == NGX_HTTP_ASYNC_VAR_ROUTE) {
        return ngx_http_async_var_text(v, record->route->data,
                                       record->route->len);
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN + sizeof(".000"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_async_meter_now(&record->meter, &meter);

    if (var->kind == NGX_HTTP_ASYNC_VAR_COUNT) {
        return ngx_http_async_var_text(v, p, ngx_sprintf(p, "%ui",
                          *(ngx_uint_t *) ((u_char *) &meter + var->offset))
                                             - p);
    }

    ms = (var->kind == NGX_HTTP_ASYNC_VAR_WAIT)
             ? meter.time - meter.held
             : *(uint64_t *) ((u_char *) &meter + var->offset);

    ms = (ms + 500000) / 1000000;

    return ngx_http_async_var_text(v, p, ngx_sprintf(p, "%uL.%03uL",
                                                     ms / 1000, ms % 1000)
                                         - p);
}


static ngx_int_t
ngx_http_async_var_text(ngx_http_variable_value_t *v, u_char *data, size_t len)
{
    v->data = data;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
