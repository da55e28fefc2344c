
/*
 * Copyright (C) the nginx-async authors
 *
 * Guards: handlers and dependencies in the access phase of nginx, one after
 * another.  Each lets the request pass, or answers it.
 */

#include <ngx_http_async_access.h>
#include <ngx_http_async_phase.h>


static ngx_int_t ngx_http_async_access_finish(async_req_t *req);


char *
ngx_http_async_access_names(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_http_async_ref_t  **ref;

    value = cf->args->elts;

    if (lcf->access && lcf->access->nelts == 0) {
        return "stands beside \"off\" in the same block";
    }

    if (lcf->access == NULL) {
        lcf->access = ngx_array_create(cf->pool, 2,
                                       sizeof(ngx_http_async_ref_t *));
        if (lcf->access == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "off") == 0) {
            return (lcf->access->nelts || cf->args->nelts > 2)
                       ? "has \"off\" beside a name in the same block"
                       : NGX_CONF_OK;
        }

        ref = ngx_array_push(lcf->access);
        if (ref == NULL) {
            return NGX_CONF_ERROR;
        }

        *ref = ngx_http_async_app_ref(cf, &value[i],
                                      NGX_HTTP_ASYNC_KIND_GUARD);
        if (*ref == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* as with nginx's own directives of access, an inner block begins anew */

void
ngx_http_async_access_merge(ngx_http_async_loc_conf_t *prev,
    ngx_http_async_loc_conf_t *conf)
{
    if (conf->access == NULL) {
        conf->access = prev->access;
    }
}


/*
 * nginx runs the handlers of a phase in the reverse order of this array, and
 * what takes an await is to come after what takes none.
 */

ngx_int_t
ngx_http_async_access_init(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    handlers = &cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers;

    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;

    ngx_memmove(h + 1, h, (handlers->nelts - 1) * sizeof(ngx_http_handler_pt));

    *h = handler;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_access(ngx_http_request_t *r, ngx_http_async_run_pt run)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_http_async_ref_t       **ref;
    ngx_http_async_phases_t     *phases;
    ngx_http_async_loc_conf_t   *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);

    if (conf->access == NULL || conf->access->nelts == 0) {
        return NGX_DECLINED;
    }

    phases = ngx_http_async_phases(r);
    if (phases == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (phases->resumed) {
        phases->resumed = 0;
        i = phases->place + 1;

    } else {
        /* after an internal redirect there are those of the first time */
        ngx_http_async_phase_forget(r);
        i = 0;
    }

    ref = conf->access->elts;

    for ( /* void */ ; i < conf->access->nelts; i++) {

        phases->place = i;

        rc = ngx_http_async_phase(r, ref[i], run, NULL,
                                  ngx_http_async_access_finish);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_access_finish(async_req_t *req)
{
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = req->r;

    if (!req->gone && req->out.status == NGX_HTTP_FORBIDDEN
        && r->access_code == NGX_HTTP_UNAUTHORIZED)
    {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (clcf->satisfy == NGX_HTTP_SATISFY_ANY) {
            /* of all who refuse it, who asks for a password is heard */

            req->rc = ASYNC_ERROR;
            req->nginx_rc = NGX_HTTP_UNAUTHORIZED;

            req->out.status = 0;
            req->out.failed = 0;
        }
    }

    return ngx_http_async_phase_finish(req);
}
