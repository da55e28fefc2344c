
/*
 * Copyright (C) the nginx-async authors
 *
 * What a handler says: async_log(); and what it is told: async_req_error().
 */

#include <ngx_http_async_request.h>


void
async_log(async_req_t *req, async_log_level_t level, const char *format, ...)
{
    va_list  args;

    ngx_http_async_check(req);

    va_start(args, format);
    ngx_async_vlog(&req->task, level, format, args);
    va_end(args);
}


const char *
async_req_error(async_req_t *req)
{
    ngx_http_async_check(req);

    return (const char *) req->task.error;
}
