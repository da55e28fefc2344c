
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_status: what runs, what waits where, and what has been
 * counted, over all workers.
 */

#ifndef _NGX_HTTP_ASYNC_STATUS_H_INCLUDED_
#define _NGX_HTTP_ASYNC_STATUS_H_INCLUDED_


#include <ngx_async_report.h>
#include <ngx_http_async_app.h>
#include <ngx_http_async_response.h>


/* Sets the response; report: NULL if the format needs none. */
typedef async_rc_t (*ngx_http_async_status_pt)(async_req_t *req,
    ngx_async_report_t *report, const ngx_async_report_ask_t *ask);


typedef struct {
    ngx_str_t                     name;

    /* media types of Accept that ask for it, up to an empty one; one with a
       parameter is asked for by those that have it, too */
    ngx_str_t                     types[4];

    /* tasks that it tells of, unless the query says it; -1: nobody is asked,
       it is a page that asks for JSON */
    ngx_int_t                     limit;
    ngx_http_async_status_pt      send;
} ngx_http_async_status_format_t;


struct ngx_http_async_status_conf_s {
    u_char                       *file;
    ngx_uint_t                    line;
    const ngx_http_async_status_format_t  *format;    /* NULL: as asked for */
};


/* up to one without a name; the first is that of who does not mind */
extern const ngx_http_async_status_format_t  ngx_http_async_status_formats[];


/* The directive. */
char *ngx_http_async_status_format(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_async_status_handler(ngx_http_request_t *r);

/* In a worker: it answers when others ask. */
ngx_int_t ngx_http_async_status_init(void);


/*
 * ngx_http_async_status_query.c: what the request asks for.  Otherwise it has
 * failed with 400, and this gives the code of that.
 */
async_rc_t ngx_http_async_status_query(async_req_t *req,
    ngx_async_report_ask_t *ask,
    const ngx_http_async_status_format_t **format);

/* The format of that name; NULL: there is none. */
const ngx_http_async_status_format_t *ngx_http_async_status_find(
    ngx_str_t *name);

/* "json", "prometheus" and so on, as one list */
u_char *ngx_http_async_status_names(u_char *p, u_char *last);


/* ngx_http_async_status_json.c */

async_rc_t ngx_http_async_status_json(async_req_t *req,
    ngx_async_report_t *report, const ngx_async_report_ask_t *ask);

/* "running", "finishing", "blocked" or "silent" */
const char *ngx_http_async_status_state(ngx_async_report_t *report,
    ngx_async_report_worker_t *worker);

/*
 * Whether a row is told of: that of an earlier configuration is only if it has
 * counted something.
 */
ngx_uint_t ngx_http_async_status_shown(ngx_uint_t row, const uint64_t *sum);


/* ngx_http_async_status_prometheus.c */

async_rc_t ngx_http_async_status_prometheus(async_req_t *req,
    ngx_async_report_t *report, const ngx_async_report_ask_t *ask);
async_rc_t ngx_http_async_status_openmetrics(async_req_t *req,
    ngx_async_report_t *report, const ngx_async_report_ask_t *ask);


/* ngx_http_async_status_page.c */

async_rc_t ngx_http_async_status_page(async_req_t *req,
    ngx_async_report_t *report, const ngx_async_report_ask_t *ask);


#endif /* _NGX_HTTP_ASYNC_STATUS_H_INCLUDED_ */
