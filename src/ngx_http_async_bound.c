
/*
 * Copyright (C) the nginx-async authors
 *
 * nginx calls these when it has set the field of a directive.
 */

#include <ngx_http_async_bound.h>


static char *ngx_http_async_check_time(ngx_conf_t *cf, void *post, void *data);
static char *ngx_http_async_check_time_or_0(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_async_check_size(ngx_conf_t *cf, void *post, void *data);


ngx_conf_post_t  ngx_http_async_time_bound = {
    ngx_http_async_check_time
};

ngx_conf_post_t  ngx_http_async_time_or_0_bound = {
    ngx_http_async_check_time_or_0
};

ngx_conf_post_t  ngx_http_async_size_bound = {
    ngx_http_async_check_size
};


static char *
ngx_http_async_check_time(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t  *time = data;

    return *time ? ngx_http_async_check_time_or_0(cf, post, data)
                 : "must be greater than zero";
}


static char *
ngx_http_async_check_time_or_0(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t  *time = data;

    return ngx_http_async_is_time(*time) ? NGX_CONF_OK : "is too long";
}


static char *
ngx_http_async_check_size(ngx_conf_t *cf, void *post, void *data)
{
    size_t  *size = data;

    if (*size == 0) {
        return "must be greater than zero";
    }

    return (*size <= NGX_HTTP_ASYNC_SIZE_MAX) ? NGX_CONF_OK : "is too large";
}
