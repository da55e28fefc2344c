
/*
 * Copyright (C) the nginx-async authors
 *
 * The calls by which a handler answers with structs, and has their text.
 */

#include <ngx_http_async_response.h>
#include <ngx_http_async_model_struct.h>
#include <ngx_http_async_model_write.h>


static async_rc_t ngx_http_async_model_respond(async_req_t *req,
    const char *call, int status, const async_model_t *model,
    const void *values, size_t size, size_t n, ngx_uint_t list);
static void ngx_http_async_model_free(void *data);


async_rc_t
async_respond_(async_req_t *req, int status, const async_model_t *model,
    const void *value, size_t size)
{
    ngx_http_async_check(req);

    return ngx_http_async_model_respond(req, "async_respond", status, model,
                                        value, size, 1, 0);
}


async_rc_t
async_respond_all_(async_req_t *req, int status, const async_model_t *model,
    const void *values, size_t size, size_t n)
{
    ngx_http_async_check(req);

    return ngx_http_async_model_respond(req, "async_respond_all", status,
                                        model, values, size, n, 1);
}


async_rc_t
async_respond_json(async_req_t *req, int status, const async_model_t *model,
    json_t *value)
{
    u_char      error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    ngx_int_t   rc;
    ngx_str_t   text;

    static const char  call[] = "async_respond_json";

    ngx_http_async_check(req);

    if (value == NULL || model == NULL) {
        ngx_async_on_loop(ngx_http_async_model_free, value);

        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "%s(): the %s is NULL", call,
                                   value ? "model" : "value");
    }

    rc = ngx_http_async_model_filter(req->pool, model, value, &text, error);

    ngx_async_on_loop(ngx_http_async_model_free, value);

    if (rc != NGX_OK) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "%s(): %s", call,
                                   error);
    }

    return ngx_http_async_json_text(req, call, status, &text);
}


async_rc_t
async_encode_(async_t *co, const async_model_t *model, const void *value,
    size_t size, async_str_t *text)
{
    ngx_str_t   out;
    async_rc_t  rc;

    ngx_async_check_task(co);

    text->data = NULL;
    text->len = 0;

    rc = ngx_http_async_model_text(co, "async_encode",
                                   ngx_async_task_pool(co), model, value,
                                   size, 1, 0, &out);
    if (rc != ASYNC_OK) {
        return rc;
    }

    text->data = (char *) out.data;
    text->len = out.len;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_model_respond(async_req_t *req, const char *call, int status,
    const async_model_t *model, const void *values, size_t size, size_t n,
    ngx_uint_t list)
{
    ngx_str_t   text;
    async_rc_t  rc;

    rc = ngx_http_async_model_text(&req->task, call, req->pool, model, values,
                                   size, n, list, &text);
    if (rc != ASYNC_OK) {
        return rc;
    }

    return ngx_http_async_json_text(req, call, status, &text);
}


/* on the loop's stack: jansson recurs, as deep as the value is */

static void
ngx_http_async_model_free(void *data)
{
    json_decref((json_t *) data);
}
