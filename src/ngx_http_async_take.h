
/*
 * Copyright (C) the nginx-async authors
 *
 * Structs from requests: what the public calls, and what handlers declare,
 * stand on.
 */

#ifndef _NGX_HTTP_ASYNC_TAKE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_TAKE_H_INCLUDED_


#include <ngx_http_async_request.h>
#include <ngx_http_async_schema.h>


/*
 * ASYNC_OK; ASYNC_INVALID: the errors are recorded for the 422; ASYNC_ERROR and
 * others as of the public calls.  "to" is a struct of the model; its fields are
 * zero unless ASYNC_OK.  None suspends: the body has been read, or the form.
 */
async_rc_t ngx_http_async_take_params(async_req_t *req,
    const async_model_t *model, void *to);
async_rc_t ngx_http_async_take_json(async_req_t *req,
    const async_model_t *model, void *to);
async_rc_t ngx_http_async_take_form(async_req_t *req,
    const async_model_t *model, void *to);

/*
 * For the public calls.  Makes the struct's fields zero, unless it is another
 * struct than the model's; and ASYNC_ERROR if it is that.
 */
void ngx_http_async_take_clear(const async_model_t *model, void *value,
    size_t size);
async_rc_t ngx_http_async_take_check(ngx_async_task_t *t, const char *call,
    const async_model_t *model, size_t size);

/*
 * Of any JSON text, in memory of the pool, for a call of that name: ASYNC_OK;
 * ASYNC_INVALID, of which async_error() tells the first error, and *errors has
 * all of them, as a 422 lists those of a body: a new array, or not with NULL;
 * ASYNC_ERROR without memory.
 */
async_rc_t ngx_http_async_take_text(ngx_async_task_t *t, const char *call,
    ngx_pool_t *pool, ngx_str_t *text, const async_model_t *model, void *to,
    json_t **errors);

/* Suspends: reads the body and parses it as a form, once: req->form. */
async_rc_t ngx_http_async_form_read(ngx_async_task_t *t, async_req_t *req);

/*
 * ngx_http_async_param.c: the errors of a reading, for the 422; stolen.
 * Returns ASYNC_INVALID, or ASYNC_ERROR without memory.
 */
async_rc_t ngx_http_async_invalid(async_req_t *req, json_t *errors);


#endif /* _NGX_HTTP_ASYNC_TAKE_H_INCLUDED_ */
