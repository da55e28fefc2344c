
/*
 * Copyright (C) the nginx-async authors
 *
 * What an app exports, found out without running its code here.
 */

#ifndef _NGX_HTTP_ASYNC_INSPECT_H_INCLUDED_
#define _NGX_HTTP_ASYNC_INSPECT_H_INCLUDED_


#include <ngx_http_async_app.h>


#define NGX_HTTP_ASYNC_WHY_LEN  512


/* Fills app->fns by a child process; what is wrong is logged. */
ngx_int_t ngx_http_async_inspect(ngx_conf_t *cf, ngx_http_async_app_t *app);

/*
 * Loads the app from its copy, checks that it fits this module, and gives its
 * description.  NULL: why[] says why not.
 */
const async_app_t *ngx_http_async_open_app(int fd, void **loaded,
    char why[NGX_HTTP_ASYNC_WHY_LEN]);

const char *ngx_http_async_kind_name(ngx_int_t kind);


#endif /* _NGX_HTTP_ASYNC_INSPECT_H_INCLUDED_ */
