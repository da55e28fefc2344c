
/*
 * Copyright (C) the nginx-async authors
 *
 * Structs as JSON text, by their model; and trees cut to what a model names.
 * Pure: knows no request, does not recur, and may be used in any thread.
 */

#ifndef _NGX_HTTP_ASYNC_MODEL_WRITE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_MODEL_WRITE_H_INCLUDED_


#include <ngx_http_async_model.h>
#include <ngx_http_async_json_write.h>


/*
 * Both write one allocation of the pool, zero-terminated behind text->len.
 *
 * NGX_OK
 * NGX_DECLINED  a value has no JSON form; "error" tells which one, and why
 * NGX_ERROR     no memory; "error" says so
 */

/* A struct, NULL being null; or, if "list", n of them, one after another. */
ngx_int_t ngx_http_async_model_write(ngx_pool_t *pool,
    const async_model_t *model, const void *values, size_t n, ngx_uint_t list,
    ngx_str_t *text, u_char error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN]);

/*
 * Of a borrowed object the members that the model names, in its order; of an
 * array, each item so; null is null.  Others have no form.
 */
ngx_int_t ngx_http_async_model_filter(ngx_pool_t *pool,
    const async_model_t *model, json_t *value, ngx_str_t *text,
    u_char error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN]);


#endif /* _NGX_HTTP_ASYNC_MODEL_WRITE_H_INCLUDED_ */
