
/*
 * Copyright (C) the nginx-async authors
 *
 * Functions in phases: see ngx_http_async_phase.h.  That a suspended one holds
 * the request, and how nginx goes on, is in ngx_http_async_request.c.
 */

#include <ngx_http_async_phase.h>
#include <ngx_http_async_body.h>
#include <ngx_http_async_handed.h>
#include <ngx_http_async_response.h>
#include <ngx_async_quit.h>


/* a field in the response, unless nginx has thrown all of them away since */

typedef struct {
    ngx_table_elt_t            *h;
    u_char                     *value;
} ngx_http_async_phase_header_t;


static async_rc_t ngx_http_async_phase_whole(async_req_t *req);
static ngx_int_t ngx_http_async_phase_headers(async_req_t *req);
static ngx_int_t ngx_http_async_phase_header(async_req_t *req,
    ngx_http_async_phases_t *phases, ngx_table_elt_t *set);
static void ngx_http_async_phase_refuses(ngx_http_request_t *r);


ngx_int_t
ngx_http_async_phase(ngx_http_request_t *r, ngx_http_async_ref_t *ref,
    ngx_http_async_run_pt run, ngx_http_async_run_pt pass,
    ngx_http_async_finish_pt finish)
{
    ngx_int_t                   rc;
    async_req_t                *req;
    ngx_http_async_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);
    req = NULL;

    if (ngx_async_left) {
        /* shutdown functions run, or have */
        r->keepalive = 0;

    } else if (ref->fn->exported) {
        req = ngx_http_async_create(r, conf, ref->fn, run, finish);
    }

    if (req == NULL) {
        ngx_http_async_phase_refuses(r);
        rc = ngx_http_async_send_error(r, conf, NGX_HTTP_SERVICE_UNAVAILABLE,
                                       NULL);

    } else {
        req->plan = ref->plan;
        req->pass = pass;

        if (ngx_http_async_start_early(req, &rc) == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc == NGX_DECLINED) {
            return NGX_OK;
        }
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


async_rc_t
ngx_http_async_phase_pass(async_req_t *req)
{
    async_rc_t  rc;

    if (req->task.cancel != NGX_ASYNC_KEEP
        || !ngx_http_async_phase_passes(req))
    {
        return ASYNC_OK;
    }

    rc = ngx_http_async_phase_whole(req);

    if (rc == ASYNC_OK && req->pass) {
        rc = req->pass(req);
    }

    return (rc == ASYNC_OK) ? ngx_http_async_handed_keep(req) : rc;
}


static async_rc_t
ngx_http_async_phase_whole(async_req_t *req)
{
    if (!ngx_http_async_body_is_partial(req->r)) {
        return ASYNC_OK;
    }

    /* whoever comes next would take it for the whole */

    return ngx_async_set_error(&req->task, ASYNC_ERROR, "it lets a request "
                               "pass whose body it has given up half read");
}


ngx_uint_t
ngx_http_async_phase_passes(async_req_t *req)
{
    return !req->gone && req->rc == ASYNC_OK && req->out.status == 0
           && !req->out.started;
}


ngx_int_t
ngx_http_async_phase_finish(async_req_t *req)
{
    if (ngx_http_async_phase_passes(req)) {
        /* a cleanup may have read of it */
        req->rc = ngx_http_async_phase_whole(req);
    }

    if (ngx_http_async_phase_passes(req)
        && ngx_http_async_phase_headers(req) != NGX_OK)
    {
        req->rc = ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    if (!ngx_http_async_phase_passes(req)) {
        ngx_http_async_phase_refuses(req->r);
        return ngx_http_async_finish(req);
    }

    ngx_http_async_release(req);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_async_phase_headers(async_req_t *req)
{
    ngx_uint_t                i;
    ngx_table_elt_t          *set;
    ngx_http_async_phases_t  *phases;

    if (req->out.headers == NULL) {
        return NGX_OK;
    }

    phases = ngx_http_async_phases(req->r);
    if (phases == NULL) {
        return NGX_ERROR;
    }

    set = req->out.headers->elts;

    for (i = 0; i < req->out.headers->nelts; i++) {
        if (ngx_http_async_phase_header(req, phases, &set[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_phase_header(async_req_t *req, ngx_http_async_phases_t *phases,
    ngx_table_elt_t *set)
{
    ngx_int_t                       rc;
    ngx_table_elt_t                *h;
    ngx_http_async_phase_header_t  *header;

    rc = ngx_http_async_early_header(req->r, set, &h);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_WARN, req->task.log, 0,
                      "async handler \"%s\" lets a request pass, and the "
                      "field \"%V\" of the response that it has set is what "
                      "the response says by itself: ignored",
                      req->task.profile->name, &set->key);
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (phases->headers == NULL) {
        phases->headers = ngx_array_create(req->r->pool, 2,
                                    sizeof(ngx_http_async_phase_header_t));
        if (phases->headers == NULL) {
            return NGX_ERROR;
        }
    }

    header = ngx_array_push(phases->headers);
    if (header == NULL) {
        return NGX_ERROR;
    }

    header->h = h;
    header->value = h->value.data;

    return NGX_OK;
}


/* The response is nobody else's. */

static void
ngx_http_async_phase_refuses(ngx_http_request_t *r)
{
    ngx_http_async_phase_forget(r);

    /* in front of an error page, that of the error */
    r->err_status = 0;
}


void
ngx_http_async_phase_forget(ngx_http_request_t *r)
{
    ngx_uint_t                      i;
    ngx_http_async_phases_t        *phases;
    ngx_http_async_phase_header_t  *header;

    phases = ngx_http_async_find_phases(r);

    if (phases == NULL || phases->headers == NULL) {
        return;
    }

    header = phases->headers->elts;

    for (i = 0; i < phases->headers->nelts; i++) {

        if (header[i].h->value.data == header[i].value) {
            header[i].h->hash = 0;
        }
    }

    phases->headers->nelts = 0;
}
