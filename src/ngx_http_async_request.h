
/*
 * Copyright (C) the nginx-async authors
 *
 * A task bound to an nginx request: what async_req_t is.  Here a handler is
 * started, and here ends what happens to its request while it is suspended.
 *
 * The struct and the location's settings are here since every layer above
 * reads them; each group of fields names the file that writes it.
 */

#ifndef _NGX_HTTP_ASYNC_REQUEST_H_INCLUDED_
#define _NGX_HTTP_ASYNC_REQUEST_H_INCLUDED_


#include <ngx_async_task.h>
#include <ngx_async_thread.h>
#include <ngx_http.h>
#include <ngx_http_async_route_tree.h>


typedef struct ngx_http_async_main_s  ngx_http_async_main_t;
typedef struct ngx_http_async_app_s   ngx_http_async_app_t;

typedef struct ngx_http_async_stream_s  ngx_http_async_stream_t;
typedef struct ngx_http_async_background_s  ngx_http_async_background_t;
typedef struct ngx_http_async_given_s  ngx_http_async_given_t;
typedef struct ngx_http_async_handed_s  ngx_http_async_handed_t;

typedef struct ngx_http_async_openapi_conf_s  ngx_http_async_openapi_conf_t;
typedef struct ngx_http_async_docs_conf_s  ngx_http_async_docs_conf_t;
typedef struct ngx_http_async_status_conf_s  ngx_http_async_status_conf_t;

typedef async_rc_t (*ngx_http_async_run_pt)(async_req_t *req);
typedef ngx_int_t (*ngx_http_async_finish_pt)(async_req_t *req);


/*
 * An exported function of an app; its pointer is known in workers only.  Or,
 * without an app, one of this module.
 */

typedef struct {
    ngx_str_t                   name;         /* zero-terminated */
    ngx_http_async_app_t       *app;
    ngx_int_t                   kind;         /* ASYNC_KIND_… */
    ngx_str_t                   type;         /* that a dependency gives */
    ngx_async_profile_t         profile;
    const async_export_t       *exported;
    ngx_array_t                *needs;        /* of routes: _depends_conf.c */
} ngx_http_async_fn_t;


/* A function as the configuration names it, found once all apps are known. */

typedef struct {
    ngx_str_t                   name;
    ngx_int_t                   kind;
    const char                 *directive;
    u_char                     *file;
    ngx_uint_t                  line;
    ngx_http_async_fn_t        *fn;

    /* ngx_http_async_depends_conf.c, in workers: of what serves requests; NULL:
       there is nothing to be done before it */
    struct ngx_http_async_plan_s  *plan;

    /* of a route or handler: the location, and the pattern or none */
    struct ngx_http_async_loc_conf_s  *conf;
    ngx_str_t                   pattern;

    /* ngx_http_async_route_stats.c; without values: nobody reads them */
    ngx_async_stats_t           stats;
} ngx_http_async_ref_t;


/* those of a route, ngx_http_async_route_family */

enum {
    NGX_HTTP_ASYNC_ROUTE_REQUESTS = 0,
    NGX_HTTP_ASYNC_ROUTE_ALIVE,
    NGX_HTTP_ASYNC_ROUTE_1XX,
    NGX_HTTP_ASYNC_ROUTE_2XX,
    NGX_HTTP_ASYNC_ROUTE_3XX,
    NGX_HTTP_ASYNC_ROUTE_4XX,
    NGX_HTTP_ASYNC_ROUTE_5XX,
    NGX_HTTP_ASYNC_ROUTE_NONE,
    NGX_HTTP_ASYNC_ROUTE_TIME          /* a histogram */
};

extern const ngx_async_stats_family_t  ngx_http_async_route_family;


typedef struct ngx_http_async_loc_conf_s {
    ngx_array_t                *params;       /* of ngx_keyval_t */
    ngx_array_t                *depends;      /* of ngx_http_async_ref_t * */
    ngx_msec_t                  timeout;
    ngx_flag_t                  ignore_client_abort;
    ngx_flag_t                  intercept_errors;
    ngx_flag_t                  overload;     /* it may be refused */
    ngx_async_thread_pool_t    *thread_pool;
    size_t                      form_memory;
    size_t                      form_max_text;
    ngx_uint_t                  form_max_parts;

    ngx_uint_t                  trace;        /* NGX_HTTP_ASYNC_TRACE_… */
    ngx_flag_t                  timing;       /* ngx_http_async_timing.c */
    ngx_http_complex_value_t   *timing_if;    /* NULL: always */

    ngx_array_t                *access;       /* of ngx_http_async_ref_t * */
    ngx_array_t                *sets;         /* ngx_http_async_set.c */

    /* of this location alone */
    ngx_http_async_route_tree_t  *routes;     /* of ngx_http_async_ref_t */
    ngx_http_async_ref_t       *handler;
    ngx_http_async_ref_t       *first;        /* named here, for messages */
    ngx_http_async_openapi_conf_t  *openapi;
    ngx_http_async_docs_conf_t  *docs;
    ngx_http_async_status_conf_t  *status;
} ngx_http_async_loc_conf_t;


typedef enum {
    NGX_HTTP_ASYNC_BODY_UNREAD = 0,
    NGX_HTTP_ASYNC_BODY_READING,
    NGX_HTTP_ASYNC_BODY_PIECES,               /* by await_body_read() */
    NGX_HTTP_ASYNC_BODY_READ,
    NGX_HTTP_ASYNC_BODY_WHOLE                 /* in one piece, in "body" */
} ngx_http_async_body_e;


typedef enum {
    NGX_HTTP_ASYNC_FORM_UNREAD = 0,
    NGX_HTTP_ASYNC_FORM_READING,
    NGX_HTTP_ASYNC_FORM_READ,
    NGX_HTTP_ASYNC_FORM_FAILED
} ngx_http_async_form_e;


/*
 * What may be read of a request when nginx's own has ended: a copy.  For
 * threads, ngx_http_async_blocking.c; for sessions, _ws_release.c, of which the
 * last four are.
 */

typedef struct {
    ngx_str_t                   method;
    ngx_str_t                   uri;
    ngx_str_t                   args;
    ngx_str_t                   client;
    ngx_str_t                   content_type;
    ngx_list_part_t             headers;

    ngx_str_t                   packed;       /* fields, of which "headers" is
                                                 made when somebody asks */
    ngx_str_t                   unparsed;     /* the URI, with its arguments */
    void                      **loc_conf;
    ngx_connection_t           *connection;
} ngx_http_async_in_t;


/* The response as the handler has set it, ngx_http_async_response.c. */

typedef struct {
    ngx_uint_t                  status;       /* zero: none yet */
    ngx_str_t                   type;
    ngx_str_t                   body;
    ngx_array_t                *headers;      /* of ngx_table_elt_t */

    /* async_file(): the path, then the file as opened */
    ngx_str_t                   path;
    ngx_fd_t                    fd;
    off_t                       size;
    time_t                      mtime;

    unsigned                    failed:1;     /* by async_fail() */
    unsigned                    started:1;    /* ngx_http_async_stream.c */
} ngx_http_async_out_t;


/*
 * What the functions that run in phases of nginx before that of the content
 * have left behind, once a main request.  ngx_http_async_phase.c.
 */

typedef struct {
    ngx_uint_t                  place;        /* in the list that runs */
    ngx_array_t                *headers;      /* added to the response */
    ngx_array_t                *values;       /* ngx_http_async_set.c */
    ngx_http_async_handed_t    *handed;       /* ngx_http_async_handed.c */
    unsigned                    resumed:1;
} ngx_http_async_phases_t;


/*
 * The request of a handler.  That of a blocking one exists twice: as the task
 * that awaits the thread, and as what the thread has, with task.job set, whose
 * "r" may be used on the loop only.  Memory that
 * belongs to the request comes from "pool".  A session may outlast "r", which
 * is NULL then: see ngx_http_async_ws_release.c.
 */

struct async_req_s {
    ngx_async_task_t            task;

    ngx_http_request_t         *r;
    ngx_pool_t                 *pool;
    ngx_pool_t                 *home;         /* what lasts as long: that of
                                                 "r", or of the session */
    ngx_http_async_in_t        *in;           /* NULL: read it from "r" */
    ngx_http_async_loc_conf_t  *conf;
    ngx_http_async_fn_t        *fn;
    ngx_http_async_run_pt       run;
    ngx_http_async_run_pt       pass;         /* before others go on, or NULL */
    ngx_http_async_finish_pt    finish;
    async_rc_t                  rc;

    /* ngx_http_async_request.c: see there */
    ngx_http_async_main_t      *main;
    ngx_queue_t                 queue;
    ngx_int_t                  *result;
    ngx_uint_t                  gone;         /* nobody is to be answered */
    ngx_uint_t                  early;        /* before the content phase */
    ngx_uint_t                  timing;       /* by async_server_timing */
    ngx_uint_t                  holds;        /* so many have something of
                                                 nginx's request, which is not
                                                 released then */

    /* ngx_http_async_route.c */
    ngx_http_async_route_param_t  *params;    /* zero-terminated */
    ngx_uint_t                  nparams;
    ngx_uint_t                  path_asked;   /* for one, by a guard */
    ngx_uint_t                  handshake;    /* on a route WS */
    ngx_async_stats_t          *route;        /* NULL: nobody counts it */

    /* ngx_http_async_param.c: parsed query; errors for the 422 */
    ngx_array_t                *query;
    ngx_array_t                *errors;       /* of json_t *, owned */
    ngx_uint_t                  invalid;      /* a copy: there were errors */

    /* ngx_http_async_body.c */
    ngx_http_async_body_e       body_state;
    ngx_queue_t                 body_waiting; /* made when it is read */
    ngx_async_waker_t           body_waker;   /* of await_body_read() */
    async_str_t                 body;
    size_t                      body_taken;   /* by await_body_read() */
    json_t                     *json;
    async_rc_t                  json_rc;      /* of the first await_json() */
    ngx_int_t                   nginx_rc;     /* the answer of nginx to it */

    /* ngx_http_async_form.c */
    ngx_http_async_form_e       form_state;
    ngx_queue_t                 form_waiting; /* made when it is read */
    async_form_t               *form;

    ngx_http_async_out_t        out;

    /* ngx_http_async_background.c; NULL: nothing is to be done afterwards */
    ngx_http_async_background_t  *background;

    /* ngx_http_async_stream.c; NULL: the response is a whole */
    ngx_http_async_stream_t    *stream;

    /* ngx_http_async_ws_life.c; NULL: it is no WebSocket, or not yet */
    struct ngx_http_async_ws_s  *ws;

    /* ngx_http_async_ws_release.c; NULL: it keeps nginx's request */
    struct ngx_http_async_ws_own_s  *own;

    /* ngx_http_async_channel_ws.c; NULL: it has subscribed to nothing */
    struct ngx_http_async_channel_client_s  *channels;

    /* ngx_http_async_depends.c; NULL: there is nothing to be done before */
    struct ngx_http_async_plan_s  *plan;
    ngx_http_async_given_t     *given;
    async_req_t                *origin;       /* of a copy: see there */
};


/* the request of the task */
#define ngx_http_async_origin(req)  ((req)->origin ? (req)->origin : (req))

/* whose body is meant: a thread's copy has what has been read before */
#define ngx_http_async_reader(req)                                           \
    ((req)->task.job ? (req) : ngx_http_async_origin(req))



extern ngx_module_t  ngx_http_async_module;


/*
 * Runs a handler for the request: the caller fills what "req" needs between
 * the two.  _start() gives what a content handler returns.  One of this module
 * runs also when there are "async_max_tasks" already.
 */
async_req_t *ngx_http_async_create(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_fn_t *fn,
    ngx_http_async_run_pt run, ngx_http_async_finish_pt finish);
ngx_int_t ngx_http_async_start(async_req_t *req);

/*
 * The same, with memory of that size beside the task, and what lasts as long as
 * the request in "home".
 */
async_req_t *ngx_http_async_create_beside(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_fn_t *fn,
    ngx_http_async_run_pt run, ngx_http_async_finish_pt finish,
    ngx_pool_t *home, size_t size);

/*
 * For a session, whose handler is suspended: nginx's request goes on without
 * it.  NGX_DECLINED: something else has to do with that one.
 */
ngx_int_t ngx_http_async_part(async_req_t *req);

/* Says so to a task that needs it all the same: ASYNC_CLOSED. */
async_rc_t ngx_http_async_parted(ngx_async_task_t *t);

/* How a request has been answered, with that result of the content handler. */
void ngx_http_async_count_answer(ngx_http_request_t *r,
    ngx_async_stats_t *stats, ngx_int_t rc);

/*
 * The same in a phase before that of the content, whose handlers say by
 * NGX_DECLINED of "finish" that nginx is to go on.  NGX_AGAIN: it is suspended,
 * and goes on from the same phase handler again by itself, with "resumed" set
 * below; otherwise *rc is what "finish" has given.
 */
ngx_int_t ngx_http_async_start_early(async_req_t *req, ngx_int_t *rc);

/* NULL: no memory */
ngx_http_async_phases_t *ngx_http_async_phases(ngx_http_request_t *r);

/* NULL: there is nothing of the request */
ngx_http_async_phases_t *ngx_http_async_find_phases(ngx_http_request_t *r);

/* That of the task, or of the parent of its parent and so on; NULL: none. */
async_req_t *ngx_http_async_req_of(ngx_async_task_t *t);

/* Lets the client's going be seen: after whoever has set read handlers. */
void ngx_http_async_watch_client(async_req_t *req);

/*
 * ngx_http_async_input.c: the values of all header fields of a name; how many.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_async_header_list(async_req_t *req, const char *name,
    const async_str_t **values);

/* All of them, as nginx or a copy has them. */
ngx_list_part_t *ngx_http_async_headers_part(async_req_t *req);

/* Aborts with the name of the public call in a wrong thread. */

#if (NGX_ASYNC_DEBUG)

void ngx_http_async_check_req(async_req_t *req, const char *call);

#define ngx_http_async_check(req)  ngx_http_async_check_req(req, __func__)

#else

#define ngx_http_async_check(req)

#endif


/*
 * The request is a subrequest that nobody wants any more: ends its suspended
 * handlers.
 */
void ngx_http_async_stop(ngx_http_request_t *r);

/*
 * Has a cleanup of the main request run after that of the handlers, which are
 * cancelled then.  NGX_DECLINED: that has been.
 */
ngx_int_t ngx_http_async_last_cleanup(async_req_t *req,
    ngx_http_cleanup_t *cln);

/* How many are captured of the main request; lives as long as that. */
ngx_uint_t *ngx_http_async_subrequests(async_req_t *req);

/*
 * For the header filter: nginx answers a request itself while a handler of
 * it is suspended, which is to end then.
 */
void ngx_http_async_answered(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ASYNC_REQUEST_H_INCLUDED_ */
