
/*
 * Copyright (C) the nginx-async authors
 *
 * Variables: in the preaccess phase of the main request each dependency that is
 * named there gives its text, once; subrequests share the variables of nginx.
 */

#include <ngx_http_async_set.h>
#include <ngx_http_async_field.h>
#include <ngx_http_async_given.h>
#include <ngx_http_async_phase.h>


typedef struct {
    ngx_str_t                   name;
    ngx_uint_t                  index;        /* of the variable */
    ngx_http_async_ref_t       *ref;          /* NULL: off */
} ngx_http_async_set_t;


typedef struct {
    ngx_uint_t                  index;
    ngx_http_async_fn_t        *fn;
    ngx_str_t                   text;         /* no data: it gave none */
} ngx_http_async_set_value_t;


static ngx_http_async_set_t *ngx_http_async_set_find(ngx_array_t *sets,
    ngx_uint_t index);
static ngx_http_async_set_value_t *ngx_http_async_set_value(
    ngx_http_async_phases_t *phases, ngx_uint_t index,
    ngx_http_async_fn_t *fn);
static async_rc_t ngx_http_async_set_take(async_req_t *req);
static ngx_int_t ngx_http_async_set_get(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_async_set_write(ngx_http_variable_value_t *v,
    ngx_str_t *text);


static ngx_http_async_run_pt  ngx_http_async_set_run;


char *
ngx_http_async_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    ngx_int_t              index;
    ngx_str_t             *value, name;
    ngx_http_variable_t   *v;
    ngx_http_async_set_t  *set;

    value = cf->args->elts;
    name = value[1];

    if (name.len < 2 || name.data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no variable: it begins with \"$\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    name.data++;
    name.len--;

    v = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_CHANGEABLE);
    if (v == NULL) {
        return NGX_CONF_ERROR;
    }

    index = ngx_http_get_variable_index(cf, &name);
    if (index == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    /* the directive "set" may give it a value before */

    if (v->get_handler == NULL) {
        v->get_handler = ngx_http_async_set_get;
        v->data = index;
    }

    if (lcf->sets == NULL) {
        lcf->sets = ngx_array_create(cf->pool, 2,
                                     sizeof(ngx_http_async_set_t));
        if (lcf->sets == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_async_set_find(lcf->sets, index)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is set twice in the same block", &value[1]);
        return NGX_CONF_ERROR;
    }

    set = ngx_array_push(lcf->sets);
    if (set == NULL) {
        return NGX_CONF_ERROR;
    }

    set->name = name;
    set->index = index;
    set->ref = NULL;

    if (ngx_strcmp(value[2].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    set->ref = ngx_http_async_app_ref(cf, &value[2], NGX_HTTP_ASYNC_KIND_TEXT);

    return set->ref ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* Those of outer blocks hold, but for variables that are set again. */

char *
ngx_http_async_set_merge(ngx_conf_t *cf, ngx_http_async_loc_conf_t *prev,
    ngx_http_async_loc_conf_t *conf)
{
    ngx_uint_t             i;
    ngx_array_t           *own;
    ngx_http_async_set_t  *set, *outer, *inner;

    if (prev->sets == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->sets == NULL) {
        conf->sets = prev->sets;
        return NGX_CONF_OK;
    }

    /* the outer ones come first */

    own = conf->sets;
    conf->sets = ngx_array_create(cf->pool, own->nelts + prev->sets->nelts,
                                  sizeof(ngx_http_async_set_t));
    if (conf->sets == NULL) {
        return NGX_CONF_ERROR;
    }

    outer = prev->sets->elts;

    for (i = 0; i < prev->sets->nelts; i++) {

        if (ngx_http_async_set_find(own, outer[i].index) == NULL) {
            set = ngx_array_push(conf->sets);
            *set = outer[i];
        }
    }

    inner = own->elts;

    for (i = 0; i < own->nelts; i++) {
        set = ngx_array_push(conf->sets);
        *set = inner[i];
    }

    return NGX_CONF_OK;
}


static ngx_http_async_set_t *
ngx_http_async_set_find(ngx_array_t *sets, ngx_uint_t index)
{
    ngx_uint_t             i;
    ngx_http_async_set_t  *set;

    set = sets->elts;

    for (i = 0; i < sets->nelts; i++) {
        if (set[i].index == index) {
            return &set[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_async_set_init(ngx_conf_t *cf, ngx_http_handler_pt handler,
    ngx_http_async_run_pt run)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = handler;
    ngx_http_async_set_run = run;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_set_all(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_http_async_set_t        *set;
    ngx_http_async_phases_t     *phases;
    ngx_http_async_loc_conf_t   *conf;
    ngx_http_async_set_value_t  *value;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);

    if (conf->sets == NULL || r != r->main) {
        return NGX_DECLINED;
    }

    phases = ngx_http_async_phases(r);
    if (phases == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    i = phases->resumed ? phases->place + 1 : 0;
    phases->resumed = 0;

    set = conf->sets->elts;

    for ( /* void */ ; i < conf->sets->nelts; i++) {

        if (set[i].ref == NULL) {
            continue;
        }

        value = ngx_http_async_set_value(phases, set[i].index,
                                         set[i].ref->fn);
        if (value) {
            /* an internal redirect has led here, and it has been asked before;
               others may have set the variable since */
            ngx_http_async_set_write(&r->variables[set[i].index],
                                     &value->text);
            continue;
        }

        phases->place = i;

        rc = ngx_http_async_phase(r, set[i].ref, ngx_http_async_set_run,
                                  ngx_http_async_set_take,
                                  ngx_http_async_phase_finish);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_DECLINED;
}


/* fn: of this function; NULL: the last one that was given */

static ngx_http_async_set_value_t *
ngx_http_async_set_value(ngx_http_async_phases_t *phases, ngx_uint_t index,
    ngx_http_async_fn_t *fn)
{
    ngx_uint_t                   i;
    ngx_http_async_set_value_t  *value;

    if (phases == NULL || phases->values == NULL) {
        return NULL;
    }

    value = phases->values->elts;

    for (i = phases->values->nelts; i > 0; i--) {
        if (value[i - 1].index == index
            && (fn == NULL || value[i - 1].fn == fn))
        {
            return &value[i - 1];
        }
    }

    return NULL;
}


/* On the coroutine: what the text lies in may end with it. */

static async_rc_t
ngx_http_async_set_take(async_req_t *req)
{
    const char                  *text;
    ngx_http_request_t          *r;
    ngx_http_async_set_t        *set;
    ngx_http_async_phases_t     *phases;
    ngx_http_async_set_value_t  *value;

    r = req->r;

    phases = ngx_http_async_phases(r);

    if (phases && phases->values == NULL) {
        phases->values = ngx_array_create(r->pool, 2,
                                          sizeof(ngx_http_async_set_value_t));
    }

    value = (phases && phases->values) ? ngx_array_push(phases->values) : NULL;

    if (value == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    set = req->conf->sets->elts;
    set += phases->place;

    value->index = set->index;
    value->fn = set->ref->fn;
    ngx_str_null(&value->text);

    text = ngx_http_async_given_value(req);

    if (text && ngx_http_async_has_control(text)) {
        /* it would end a header field, or a line of the log */
        phases->values->nelts--;
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "the value for "
                                   "\"$%V\" has a control character",
                                   &set->name);
    }

    if (text) {
        value->text.len = ngx_strlen(text);
        value->text.data = ngx_pnalloc(r->pool, value->text.len + 1);

        if (value->text.data == NULL) {
            phases->values->nelts--;
            return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
        }

        ngx_memcpy(value->text.data, text, value->text.len + 1);
    }

    /* also if somebody has read it before */
    ngx_http_async_set_write(&r->variables[set->index], &value->text);

    return ASYNC_OK;
}


static ngx_int_t
ngx_http_async_set_get(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_http_async_set_t        *set;
    ngx_http_async_loc_conf_t   *conf;
    ngx_http_async_set_value_t  *value;

    value = ngx_http_async_set_value(ngx_http_async_find_phases(r), data,
                                     NULL);
    if (value) {
        ngx_http_async_set_write(v, &value->text);
        return NGX_OK;
    }

    v->not_found = 1;

    /* what is answered already never gets that far */

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);
    set = conf->sets ? ngx_http_async_set_find(conf->sets, data) : NULL;

    if (set && set->ref && r->headers_out.status == 0) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "variable \"$%V\" is read before async_set gives it its "
                      "value, in the preaccess phase of the main request: it "
                      "is empty", &set->name);
    }

    return NGX_OK;
}


static void
ngx_http_async_set_write(ngx_http_variable_value_t *v, ngx_str_t *text)
{
    if (text->data == NULL) {
        v->valid = 0;
        v->not_found = 1;
        return;
    }

    v->len = text->len;
    v->data = text->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->escape = 0;
}
