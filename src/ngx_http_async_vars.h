
/*
 * Copyright (C) the nginx-async authors
 *
 * What is told of a request to nginx: by the variables "$async_...", and by
 * Server-Timing.  Nothing is measured in a worker whose configuration names
 * none of them.
 */

#ifndef _NGX_HTTP_ASYNC_VARS_H_INCLUDED_
#define _NGX_HTTP_ASYNC_VARS_H_INCLUDED_


#include <ngx_http_async_request.h>
#include <ngx_async_meter.h>


/*
 * Of a request or subrequest that functions of apps have run for.  Lives as
 * long as the memory of the main request: longer than its cleanups, since nginx
 * writes its access log after those.
 */

typedef struct ngx_http_async_record_s  ngx_http_async_record_t;

struct ngx_http_async_record_s {
    ngx_http_async_record_t    *next;
    ngx_http_request_t         *r;
    ngx_async_meter_t            meter;
    const char                 *name;         /* "app:function", the last */
    ngx_str_t                  *route;        /* NULL: it has none */
    ngx_uint_t                  timing;       /* the response tells, too */
};


/* whether anything is measured in this worker */
extern ngx_uint_t  ngx_http_async_measures;

/* Before the configuration is read: adds the variables. */
ngx_int_t ngx_http_async_vars_add(ngx_conf_t *cf);

/* In a worker: "timing", whether there is an async_server_timing. */
void ngx_http_async_vars_init(ngx_cycle_t *cycle, ngx_uint_t timing);

/* A task is about to run for the request.  NULL: no memory. */
ngx_http_async_record_t *ngx_http_async_record_begin(async_req_t *req);

/* of one that is measured */
#define ngx_http_async_record_of(req)                                        \
    ((ngx_http_async_record_t *) ((u_char *) (req)->task.meter                \
                         - offsetof(ngx_http_async_record_t, meter)))

/* NULL: nothing has been measured */
ngx_http_async_record_t *ngx_http_async_record(ngx_http_request_t *r);

/* ngx_http_async_timing.c: for the header filter. */
ngx_int_t ngx_http_async_timing_header(ngx_http_request_t *r);

/* The directive async_server_timing. */
char *ngx_http_async_server_timing(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_ASYNC_VARS_H_INCLUDED_ */
