
/*
 * Copyright (C) the nginx-async authors
 *
 * Sends responses: framing, bodies in memory and files, and the errors that a
 * handler's code stands for.  Runs on the loop's stack when a
 * handler has ended; never suspends.
 */

#include <ngx_http_async_response.h>
#include <ngx_http_async_given.h>
#include <ngx_http_async_stream.h>
#include <ngx_http_async_ws.h>


static ngx_int_t ngx_http_async_outcome(async_req_t *req);
static ngx_int_t ngx_http_async_invalid(async_req_t *req);
static ngx_int_t ngx_http_async_failed(async_req_t *req);
static void ngx_http_async_own(ngx_http_request_t *r,
    ngx_http_async_out_t *out, ngx_uint_t status);
static ngx_int_t ngx_http_async_retry_after(ngx_http_request_t *r,
    ngx_http_async_out_t *out);
static ngx_int_t ngx_http_async_send(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_out_t *out);
static ngx_uint_t ngx_http_async_intercepted(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_out_t *out);
static ngx_buf_t *ngx_http_async_file_buf(ngx_http_request_t *r,
    ngx_http_async_out_t *out);
static ngx_buf_t *ngx_http_async_memory_buf(ngx_http_request_t *r,
    ngx_http_async_out_t *out);


static ngx_str_t  ngx_http_async_json_type = ngx_string("application/json");


ngx_int_t
ngx_http_async_finish(async_req_t *req)
{
    ngx_int_t  rc;

    if (req->ws) {
        rc = ngx_http_async_ws_finish(req);
        ngx_http_async_release(req);
        return rc;
    }

    if (req->out.started && !req->gone) {
        rc = ngx_http_async_stream_finish(req);
        ngx_http_async_release(req);
        return rc;
    }

    rc = req->gone ? NGX_ERROR : ngx_http_async_outcome(req);

    ngx_http_async_release(req);

    if (rc == NGX_OK) {
        return ngx_http_async_send(req->r, req->conf, &req->out);
    }

    return rc;
}


void
ngx_http_async_release(async_req_t *req)
{
    ngx_uint_t   i;
    json_t     **errors;

    if (req->json) {
        json_decref(req->json);
    }

    if (req->errors) {
        errors = req->errors->elts;

        for (i = 0; i < req->errors->nelts; i++) {
            json_decref(errors[i]);
        }
    }
}


/* NGX_OK: "out" is to be sent; otherwise what nginx is to answer. */

static ngx_int_t
ngx_http_async_outcome(async_req_t *req)
{
    const char            *name;
    ngx_http_async_out_t  *out;

    out = &req->out;

    if (req->rc == ASYNC_OK && out->status) {
        return NGX_OK;
    }

    if (req->rc == ASYNC_OK && req->handshake) {
        /* it has not been accepted */
        ngx_http_async_own(req->r, out, NGX_HTTP_FORBIDDEN);
        return NGX_OK;
    }

    if (req->rc != ASYNC_OK && out->failed) {
        return NGX_OK;
    }

    switch (req->rc) {

    case ASYNC_INVALID:
        return ngx_http_async_invalid(req);

    case ASYNC_TIMEOUT:
        name = ngx_http_async_given_name(req);

        ngx_log_error(NGX_LOG_ERR, req->task.log, 0,
                      "async handler \"%s\" timed out%s%s: %s, in %s at %s",
                      req->task.profile->name, name ? " in its dependency "
                      : "", name ? name : "", async_error(&req->task),
                      req->task.await ? req->task.await : "no await",
                      req->task.site ? req->task.site : "-");

        ngx_http_async_own(req->r, out, NGX_HTTP_GATEWAY_TIME_OUT);
        return NGX_OK;

    case ASYNC_CLOSED:
        if (req->task.cause != ASYNC_CAUSE_SHUTDOWN) {
            return ngx_http_async_failed(req);
        }

        ngx_http_async_own(req->r, out, NGX_HTTP_SERVICE_UNAVAILABLE);
        return ngx_http_async_retry_after(req->r, out);

    case ASYNC_CANCELLED:
        if (req->task.cancel == NGX_ASYNC_CLIENT
            || req->task.cancel == NGX_ASYNC_PARENT)
        {
            return NGX_HTTP_CLIENT_CLOSED_REQUEST;
        }

        if (req->task.cancel != NGX_ASYNC_SHUTDOWN) {
            return ngx_http_async_failed(req);
        }

        /* fall through */

    case ASYNC_BUSY:
        ngx_http_async_own(req->r, out, NGX_HTTP_SERVICE_UNAVAILABLE);
        return ngx_http_async_retry_after(req->r, out);

    default:
        return ngx_http_async_failed(req);
    }
}


/* 422: the errors in the order of FastAPI, which the recorder has kept. */

static ngx_int_t
ngx_http_async_invalid(async_req_t *req)
{
    json_t       *detail, **errors;
    ngx_uint_t    i;

    if (req->errors == NULL) {
        return ngx_http_async_failed(req);
    }

    detail = json_array();
    errors = req->errors->elts;

    for (i = 0; i < req->errors->nelts; i++) {
        (void) json_array_append(detail, errors[i]);
    }

    req->out.headers = NULL;

    (void) async_fail_json(req, 422, detail);

    return req->out.failed ? NGX_OK : ngx_http_async_failed(req);
}


static ngx_int_t
ngx_http_async_failed(async_req_t *req)
{
    const char  *cause, *name;

    if (req->nginx_rc) {
        /* nginx has refused the body: its answer says it best */
        return req->nginx_rc;
    }

    cause = async_error(&req->task);
    name = ngx_http_async_given_name(req);

    ngx_log_error(NGX_LOG_ERR, req->task.log, 0,
                  "async handler \"%s\" %s%s%s: %s%s%s, after %s at %s",
                  req->task.profile->name,
                  (req->rc == ASYNC_OK) ? "ended without a response"
                                        : "failed",
                  name ? " in its dependency " : "", name ? name : "",
                  ngx_async_rc_name(req->rc), *cause ? ": " : "", cause,
                  req->task.await ? req->task.await : "no await",
                  req->task.site ? req->task.site : "-");

    ngx_http_async_own(req->r, &req->out, NGX_HTTP_INTERNAL_SERVER_ERROR);

    return NGX_OK;
}


/* A response of the module: nothing of what the handler has set stays. */

static void
ngx_http_async_own(ngx_http_request_t *r, ngx_http_async_out_t *out,
    ngx_uint_t status)
{
    ngx_memzero(out, sizeof(ngx_http_async_out_t));

    out->fd = NGX_INVALID_FILE;
    out->status = status;
    out->type = ngx_http_async_json_type;

    switch (status) {

    case NGX_HTTP_FORBIDDEN:
        ngx_str_set(&out->body, "{\"detail\":\"Forbidden\"}");
        break;

    case NGX_HTTP_NOT_FOUND:
        ngx_str_set(&out->body, "{\"detail\":\"Not Found\"}");
        break;

    case NGX_HTTP_NOT_ALLOWED:
        ngx_str_set(&out->body, "{\"detail\":\"Method Not Allowed\"}");
        break;

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        ngx_str_set(&out->body, "{\"detail\":\"Service Unavailable\"}");
        break;

    case NGX_HTTP_GATEWAY_TIME_OUT:
        ngx_str_set(&out->body, "{\"detail\":\"Gateway Timeout\"}");
        break;

    default:
        ngx_str_set(&out->body, "{\"detail\":\"Internal Server Error\"}");
    }
}


static ngx_int_t
ngx_http_async_retry_after(ngx_http_request_t *r, ngx_http_async_out_t *out)
{
    static ngx_str_t  name = ngx_string("Retry-After");
    static ngx_str_t  value = ngx_string("1");

    return ngx_http_async_out_header(r, out, &name, &value);
}


ngx_int_t
ngx_http_async_out_header(ngx_http_request_t *r, ngx_http_async_out_t *out,
    ngx_str_t *name, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    if (out->headers == NULL) {
        out->headers = ngx_array_create(r->pool, 1, sizeof(ngx_table_elt_t));
        if (out->headers == NULL) {
            return NGX_ERROR;
        }
    }

    h = ngx_array_push(out->headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->key = *name;
    h->value = *value;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_send_error(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_uint_t status, ngx_keyval_t *header)
{
    ngx_http_async_out_t  out;

    out.fd = NGX_INVALID_FILE;
    ngx_http_async_own(r, &out, status);

    if (header
        && ngx_http_async_out_header(r, &out, &header->key, &header->value)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_http_async_retry_after(r, &out) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_async_send(r, conf, &out);
}


ngx_int_t
ngx_http_async_send_detail(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_uint_t status, const char *detail,
    ngx_keyval_t *headers, ngx_uint_t n)
{
    size_t                len;
    ngx_uint_t            i;
    ngx_http_async_out_t  out;

    out.fd = NGX_INVALID_FILE;
    ngx_http_async_own(r, &out, status);

    len = ngx_strlen(detail) + sizeof("{\"detail\":\"\"}") - 1;

    out.body.data = ngx_pnalloc(r->pool, len);
    if (out.body.data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(out.body.data, "{\"detail\":\"%s\"}", detail);
    out.body.len = len;

    for (i = 0; i < n; i++) {
        if (ngx_http_async_out_header(r, &out, &headers[i].key,
                                      &headers[i].value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_async_send(r, conf, &out);
}


ngx_int_t
ngx_http_async_send_text(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_str_t *type, ngx_str_t *text,
    ngx_keyval_t *headers)
{
    ngx_http_async_out_t  out;

    ngx_memzero(&out, sizeof(ngx_http_async_out_t));

    out.fd = NGX_INVALID_FILE;
    out.status = NGX_HTTP_OK;
    out.type = *type;
    out.body = *text;

    for ( /* void */ ; headers->key.len; headers++) {
        if (ngx_http_async_out_header(r, &out, &headers->key, &headers->value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_async_send(r, conf, &out);
}


ngx_int_t
ngx_http_async_send_redirect(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_uint_t status, ngx_str_t *location)
{
    static ngx_str_t      name = ngx_string("Location");
    ngx_http_async_out_t  out;

    ngx_memzero(&out, sizeof(ngx_http_async_out_t));

    out.fd = NGX_INVALID_FILE;
    out.status = status;

    if (ngx_http_async_out_header(r, &out, &name, location) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_async_send(r, conf, &out);
}


static ngx_int_t
ngx_http_async_send(ngx_http_request_t *r, ngx_http_async_loc_conf_t *conf,
    ngx_http_async_out_t *out)
{
    ngx_int_t    rc;
    ngx_buf_t   *b;
    ngx_chain_t  cl;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (out->status == 205) {
        /* unlike 204 and 304, nginx does not know that it has no body */
        ngx_str_null(&out->body);
        out->fd = NGX_INVALID_FILE;
    }

    if (ngx_http_async_intercepted(r, conf, out)) {
        return (ngx_http_async_required(r, out) == NGX_OK)
                   ? (ngx_int_t) out->status : NGX_ERROR;
    }

    b = (out->fd != NGX_INVALID_FILE) ? ngx_http_async_file_buf(r, out)
                                      : ngx_http_async_memory_buf(r, out);
    if (b == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_async_headers(r, out) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    cl.buf = b;
    cl.next = NULL;

    return ngx_http_output_filter(r, &cl);
}


ngx_int_t
ngx_http_async_send_header(ngx_http_request_t *r, ngx_http_async_out_t *out,
    off_t length)
{
    if (ngx_http_async_headers(r, out) != NGX_OK) {
        return NGX_ERROR;
    }

    r->headers_out.content_length_n = length;

    return ngx_http_send_header(r);
}


/* async_intercept_errors: a status that an error_page is there for */

static ngx_uint_t
ngx_http_async_intercepted(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_out_t *out)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *page;
    ngx_http_core_loc_conf_t  *clcf;

    if (!conf->intercept_errors || out->status < NGX_HTTP_SPECIAL_RESPONSE) {
        return 0;
    }

    /* nginx closes the connection at these instead of answering */

    if (out->status == NGX_HTTP_REQUEST_TIME_OUT
        || out->status == NGX_HTTP_CLOSE
        || out->status == NGX_HTTP_CLIENT_CLOSED_REQUEST)
    {
        return 0;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* as ngx_http_special_response_handler() looks for them */

    if (clcf->error_pages == NULL || r->error_page || r->uri_changes == 0) {
        return 0;
    }

    page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {

        if (page[i].status == (ngx_int_t) out->status) {
            return 1;
        }
    }

    return 0;
}


static ngx_buf_t *
ngx_http_async_file_buf(ngx_http_request_t *r, ngx_http_async_out_t *out)
{
    ngx_buf_t  *b;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NULL;
    }

    b->file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    if (b->file == NULL) {
        return NULL;
    }

    b->file->fd = out->fd;
    b->file->name = out->path;
    b->file->log = r->connection->log;

    b->file_pos = 0;
    b->file_last = out->size;

    b->in_file = out->size ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;
    b->sync = (b->last_buf || b->in_file) ? 0 : 1;

    return b;
}


static ngx_buf_t *
ngx_http_async_memory_buf(ngx_http_request_t *r, ngx_http_async_out_t *out)
{
    ngx_buf_t  *b;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NULL;
    }

    if (out->body.len) {
        b->pos = out->body.data;
        b->last = out->body.data + out->body.len;
        b->memory = 1;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;
    b->sync = (b->last_buf || b->memory) ? 0 : 1;

    return b;
}
