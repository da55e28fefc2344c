
/*
 * Copyright (C) the nginx-async authors
 *
 * Startup and shutdown functions of apps, in every worker.
 */

#ifndef _NGX_HTTP_ASYNC_LIFECYCLE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_LIFECYCLE_H_INCLUDED_


#include <ngx_http_async_app.h>


/* Has the startups of all apps run in the first turn of the loop. */
ngx_int_t ngx_http_async_lifecycle_init(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf);

/*
 * Whether the startup of the app has succeeded, or there is none; and who is
 * told when it has.
 */
ngx_uint_t ngx_http_async_lifecycle_ready(ngx_http_async_app_t *app);
void ngx_http_async_lifecycle_on_ready(
    void (*handler)(ngx_http_async_app_t *app));

/* Runs the shutdowns, in turns of the loop of its own. */
void ngx_http_async_lifecycle_exit(ngx_cycle_t *cycle);

/*
 * Suspends while the startup of the app runs.  ASYNC_BUSY: it has failed, and
 * will be tried again.
 */
async_rc_t ngx_http_async_lifecycle_wait(ngx_async_task_t *t,
    ngx_http_async_fn_t *fn);


#endif /* _NGX_HTTP_ASYNC_LIFECYCLE_H_INCLUDED_ */
