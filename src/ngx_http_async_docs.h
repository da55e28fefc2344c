
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_docs: a page that shows an OpenAPI document, and lets
 * its operations be tried.  The pages lie in the module, see ./config.
 */

#ifndef _NGX_HTTP_ASYNC_DOCS_H_INCLUDED_
#define _NGX_HTTP_ASYNC_DOCS_H_INCLUDED_


#include <ngx_http_async_openapi.h>


typedef struct ngx_http_async_docs_page_s  ngx_http_async_docs_page_t;


struct ngx_http_async_docs_conf_s {
    ngx_pool_t                  *pool;        /* of the configuration */
    u_char                      *file;
    ngx_uint_t                   line;
    ngx_str_t                    openapi;     /* no data: that of the server */
    ngx_http_async_docs_page_t  *page;
    ngx_http_async_srv_conf_t   *server;
    ngx_http_async_doc_t         settings;    /* of this worker */
};


char *ngx_http_async_docs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_async_docs_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ASYNC_DOCS_H_INCLUDED_ */
