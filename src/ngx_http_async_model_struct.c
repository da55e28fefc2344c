
/*
 * Copyright (C) the nginx-async authors
 *
 * Structs of apps as their calls give them: see ngx_http_async_model_struct.h.
 */

#include <ngx_http_async_model_struct.h>


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
