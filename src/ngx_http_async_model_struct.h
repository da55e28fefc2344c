
/*
 * Copyright (C) the nginx-async authors
 *
 * What calls of an app are given in place of a struct of a model.
 */

#ifndef _NGX_HTTP_ASYNC_MODEL_STRUCT_H_INCLUDED_
#define _NGX_HTTP_ASYNC_MODEL_STRUCT_H_INCLUDED_


#include <ngx_async_task.h>
#include <ngx_http_async_model.h>


/*
 * ASYNC_OK if it has the size of the model's struct.  ASYNC_ERROR: "call" was
 * given another one, of which nothing may be read or written; or no model.
 */
async_rc_t ngx_http_async_model_struct(ngx_async_task_t *t, const char *call,
    const async_model_t *model, size_t size);

/*
 * The JSON text of n of them, or of one that is not a list: of the pool, which
 * may be NULL, that is no memory.  ASYNC_ERROR, with the cause.
 */
async_rc_t ngx_http_async_model_text(ngx_async_task_t *t, const char *call,
    ngx_pool_t *pool, const async_model_t *model, const void *values,
    size_t size, size_t n, ngx_uint_t list, ngx_str_t *text);


#endif /* _NGX_HTTP_ASYNC_MODEL_STRUCT_H_INCLUDED_ */
