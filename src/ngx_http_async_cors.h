
/*
 * Copyright (C) the nginx-async authors
 *
 * async_cors: what the directive says, as a request needs it.
 */

#ifndef _NGX_HTTP_ASYNC_CORS_H_INCLUDED_
#define _NGX_HTTP_ASYNC_CORS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_uint_t                  all;          /* "*" */
    ngx_array_t                 exact;        /* of ngx_str_t */
#if (NGX_PCRE)
    ngx_array_t                 patterns;     /* of ngx_regex_t * */
#endif
    ngx_array_t                 methods;      /* of ngx_str_t */
    ngx_array_t                 headers;      /* of ngx_str_t, in any case */
    ngx_uint_t                  any_header;   /* "*" */
    ngx_str_t                   methods_text;
    ngx_str_t                   headers_text;
    ngx_str_t                   expose;
    ngx_str_t                   max_age;
    ngx_uint_t                  credentials;
} ngx_http_async_cors_t;


typedef struct {
    ngx_http_async_cors_t      *cors;         /* NULL: off */
} ngx_http_async_cors_conf_t;


typedef struct {
    ngx_uint_t                  used;         /* anywhere */
} ngx_http_async_cors_main_conf_t;


/* The directive: ngx_http_async_cors_conf.c. */
char *ngx_http_async_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


extern ngx_module_t  ngx_http_async_cors_module;


#endif /* _NGX_HTTP_ASYNC_CORS_H_INCLUDED_ */
