
/*
 * Copyright (C) the nginx-async authors
 *
 * A task without a request: the directive async_run, for util/async-run.
 */

#ifndef _NGX_HTTP_ASYNC_RUN_H_INCLUDED_
#define _NGX_HTTP_ASYNC_RUN_H_INCLUDED_


#include <ngx_http_async_app.h>


char *ngx_http_async_run(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Starts the task; the process ends with it. */
ngx_int_t ngx_http_async_run_start(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf);

/* The last thing of the process: ends it with the task's exit code. */
void ngx_http_async_run_exit(void);


#endif /* _NGX_HTTP_ASYNC_RUN_H_INCLUDED_ */
