
/*
 * Copyright (C) the nginx-async authors
 *
 * Apps: shared objects of handlers.
 *
 * The configuration reads an app's file once, into a private copy in memory,
 * so that replacing or overwriting the file touches nobody, and each
 * configuration runs its own code.  What the app exports is asked of a child
 * process without privileges, since loading runs its constructors; only
 * workers load the copy themselves.
 */

#ifndef _NGX_HTTP_ASYNC_APP_H_INCLUDED_
#define _NGX_HTTP_ASYNC_APP_H_INCLUDED_


#include <ngx_http_async_request.h>


typedef struct ngx_http_async_life_s  ngx_http_async_life_t;


struct ngx_http_async_app_s {
    ngx_str_t                   path;
    ngx_str_t                   name;
    u_char                     *conf_file;
    ngx_uint_t                  conf_line;
    ngx_fd_t                    fd;           /* of the private copy */
    ngx_array_t                 fns;          /* of ngx_http_async_fn_t */
    void                       *loaded;
    ngx_http_async_life_t      *life;         /* NULL: it has no hooks */
};


/* ngx_http_async_overload.c; zero: no such bound */

typedef struct {
    ngx_msec_t                  lag;
    size_t                      memory;
    ngx_async_stats_t           stats;
} ngx_http_async_overload_conf_t;


typedef struct {
    ngx_array_t                 apps;         /* of ngx_http_async_app_t */
    ngx_array_t                 refs;         /* of ngx_http_async_ref_t * */

    size_t                      stack_size;
    ngx_uint_t                  max_tasks;
    ngx_msec_t                  shutdown_timeout;
    ngx_msec_t                  cleanup_timeout;
    ngx_msec_t                  slow;
    ngx_int_t                   thread_nice;
    ngx_atomic_t               *replaced;     /* see ngx_async_quit.h */
    ngx_uint_t                  timing;       /* somewhere, times are told */
    ngx_async_thread_pool_t    *thread_pool;  /* of the http block */

    ngx_async_stats_set_t       stats;
    ngx_http_async_overload_conf_t  overload;
    ngx_http_async_fn_t        *status;       /* NULL: nobody asks for it */
    ngx_async_stats_t           no_route;     /* ngx_http_async_route_stats.c */

    ngx_http_async_ref_t       *run;
    ngx_array_t                *everys;       /* of ngx_http_async_every_t */
} ngx_http_async_main_conf_t;


/* of references: a handler or a dependency, each of either kind */
#define NGX_HTTP_ASYNC_KIND_GUARD  -1

/* a dependency of either kind whose value is text */
#define NGX_HTTP_ASYNC_KIND_TEXT   -2

/* a handler that can await, on a route WS */
#define NGX_HTTP_ASYNC_KIND_WS     -3


/* The directive async_app. */
char *ngx_http_async_app(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * A function named by a directive; found by ngx_http_async_app_resolve().
 * ASYNC_KIND_HANDLER stands for handlers of either kind, and so does
 * ASYNC_KIND_DEPENDENCY for dependencies.
 */
ngx_http_async_ref_t *ngx_http_async_app_ref(ngx_conf_t *cf, ngx_str_t *name,
    ngx_int_t kind);

/* Asks every app what it exports, and finds what the directives name. */
ngx_int_t ngx_http_async_app_resolve(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf);

/* Its functions are counted for the status. */
ngx_int_t ngx_http_async_app_stats(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf);

/* Whether workers have something to run: an app, or this module's own. */
ngx_uint_t ngx_http_async_app_any(ngx_http_async_main_conf_t *mcf);

/* Whether an app has functions of the kind. */
ngx_uint_t ngx_http_async_app_has(ngx_http_async_main_conf_t *mcf,
    ngx_int_t kind);

/*
 * In a worker: loads the apps.  One that fails is logged, and the functions
 * of it stay without their pointers.
 */
void ngx_http_async_app_load(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf);


#endif /* _NGX_HTTP_ASYNC_APP_H_INCLUDED_ */
