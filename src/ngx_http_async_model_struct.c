
/*
 * Copyright (C) the nginx-async authors
 *
 * Structs of apps as their calls give them: see ngx_http_async_model_struct.h.
 */

#include <ngx_http_async_model_struct.h>
#include <ngx_http_async_model_write.h>


async_rc_t
ngx_http_async_model_struct(ngx_async_task_t *t, const char *call,
    const async_model_t *model, size_t size)
{
    if (model && size == model->type_size) {
        return ASYNC_OK;
    }

    return ngx_async_set_error(t, ASYNC_ERROR,
                               "%s(): the struct has %uz bytes, that of the "
                               "model \"%s\" has %uz", call, size,
                               model ? model->name : "NULL",
                               model ? model->type_size : 0);
}


async_rc_t
ngx_http_async_model_text(ngx_async_task_t *t, const char *call,
    ngx_pool_t *pool, const async_model_t *model, const void *values,
    size_t size, size_t n, ngx_uint_t list, ngx_str_t *text)
{
    u_char      error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    async_rc_t  rc;

    rc = ngx_http_async_model_struct(t, call, model, size);
    if (rc != ASYNC_OK) {
        return rc;
    }

    if (pool == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    if (ngx_http_async_model_write(pool, model, values, n, list, text, error)
        != NGX_OK)
    {
        return ngx_async_set_error(t, ASYNC_ERROR, "%s(): %s", call, error);
    }

    return ASYNC_OK;
}
