
/*
 * Copyright (C) the nginx-async authors
 *
 * The directives of the module, by what they are about.  Those that only set a
 * field of the configuration have their bounds here; a directive that does more
 * is read by the file of its concept, which knows the rest of it.
 */

#include <ngx_http_async_access.h>
#include <ngx_http_async_app.h>
#include <ngx_http_async_bound.h>
#include <ngx_http_async_conf.h>
#include <ngx_http_async_depends.h>
#include <ngx_http_async_docs.h>
#include <ngx_http_async_every.h>
#include <ngx_http_async_overload.h>
#include <ngx_http_async_openapi.h>
#include <ngx_http_async_route.h>
#include <ngx_http_async_run.h>
#include <ngx_http_async_set.h>
#include <ngx_http_async_trace.h>
#include <ngx_http_async_vars.h>
#include <ngx_http_async_status.h>


#define NGX_HTTP_ASYNC_STACK_MIN   (16 * 1024)
#define NGX_HTTP_ASYNC_STACK_MAX   (64 * 1024 * 1024)


static char *ngx_http_async_check_stack(ngx_conf_t *cf, void *post,
    void *data);


static ngx_conf_post_t  ngx_http_async_stack_post = {
    ngx_http_async_check_stack
};

static ngx_conf_num_bounds_t  ngx_http_async_tasks_bounds = {
    ngx_conf_check_num_bounds, 1, 10000000
};

static ngx_conf_num_bounds_t  ngx_http_async_nice_bounds = {
    ngx_conf_check_num_bounds, 0, 19
};

static ngx_conf_num_bounds_t  ngx_http_async_parts_bounds = {
    ngx_conf_check_num_bounds, 1, 1000000
};


static ngx_conf_enum_t  ngx_http_async_trace_modes[] = {
    { ngx_string("off"), NGX_HTTP_ASYNC_TRACE_OFF },
    { ngx_string("pass"), NGX_HTTP_ASYNC_TRACE_PASS },
    { ngx_string("on"), NGX_HTTP_ASYNC_TRACE_ON },
    { ngx_null_string, 0 }
};


ngx_command_t  ngx_http_async_commands[] = {

    /* apps, and functions of them */

    { ngx_string("async_app"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_async_app,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_every"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2|NGX_CONF_TAKE3|NGX_CONF_TAKE4
                        |NGX_CONF_TAKE5,
      ngx_http_async_every,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_run"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_async_run,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    /* what serves the requests of a location */

    { ngx_string("async_route"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE3,
      ngx_http_async_route,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_handler"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_async_route_all,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_openapi"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE123,
      ngx_http_async_openapi,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_docs"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_async_docs,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_async_status_format,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* what goes before it */

    { ngx_string("async_depends"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_async_depends_names,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_access"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_async_access_names,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_set"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_async_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* settings of requests */

    { ngx_string("async_param"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_async_param,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, timeout),
      &ngx_http_async_time_bound },

    { ngx_string("async_ignore_client_abort"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, ignore_client_abort),
      NULL },

    { ngx_string("async_intercept_errors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, intercept_errors),
      NULL },

    { ngx_string("async_thread_pool"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_async_thread_pool,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* what is told of requests */

    { ngx_string("async_server_timing"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_async_server_timing,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_trace"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, trace),
      &ngx_http_async_trace_modes },

    /* forms */

    { ngx_string("async_form_memory"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, form_memory),
      NULL },

    { ngx_string("async_form_max_text"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, form_max_text),
      NULL },

    { ngx_string("async_form_max_parts"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_loc_conf_t, form_max_parts),
      &ngx_http_async_parts_bounds },

    /* tasks and threads of a worker */

    { ngx_string("async_stack_size"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, stack_size),
      &ngx_http_async_stack_post },

    { ngx_string("async_max_tasks"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, max_tasks),
      &ngx_http_async_tasks_bounds },

    { ngx_string("async_overload"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_async_overload,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_slow"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, slow),
      &ngx_http_async_time_or_0_bound },

    { ngx_string("async_thread_nice"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, thread_nice),
      &ngx_http_async_nice_bounds },

    { ngx_string("async_cleanup_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, cleanup_timeout),
      &ngx_http_async_time_bound },

    { ngx_string("async_shutdown_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_async_main_conf_t, shutdown_timeout),
      &ngx_http_async_time_or_0_bound },

      ngx_null_command
};


static char *
ngx_http_async_check_stack(ngx_conf_t *cf, void *post, void *data)
{
    size_t  *size = data;

    if (*size < NGX_HTTP_ASYNC_STACK_MIN || *size > NGX_HTTP_ASYNC_STACK_MAX) {
        return "must be from 16k to 64m";
    }

    return NGX_CONF_OK;
}
