
/*
 * Copyright (C) the nginx-async authors
 *
 * Which trace a request belongs to; see ngx_http_async_trace.h.  What came is
 * read again each time that somebody asks, since few do; what is made here is
 * kept with the memory of the request.
 */

#include <ngx_http_async_trace.h>
#include <ngx_http_async_field.h>
#include <ngx_http_async_traceparent.h>
#include <sys/random.h>


/* the kernel is asked once for so many requests */
#define NGX_HTTP_ASYNC_TRACE_RANDOM  32

#define NGX_HTTP_ASYNC_TRACE_BYTES                                           \
    ((NGX_HTTP_ASYNC_TRACE_ID + NGX_HTTP_ASYNC_SPAN_ID) / 2)


typedef enum {
    NGX_HTTP_ASYNC_TRACE_VAR_ID = 0,
    NGX_HTTP_ASYNC_TRACE_VAR_SPAN,
    NGX_HTTP_ASYNC_TRACE_VAR_PARENT,
    NGX_HTTP_ASYNC_TRACE_VAR_HEADER
} ngx_http_async_trace_var_e;


static ngx_int_t ngx_http_async_trace_came(ngx_http_request_t *r,
    ngx_http_async_trace_t *trace, ngx_uint_t *flags);
static ngx_int_t ngx_http_async_trace_state(ngx_http_request_t *r,
    ngx_pool_t *pool, ngx_str_t *state);
static ngx_http_async_trace_t *ngx_http_async_trace_made(
    ngx_http_request_t *r);
static ngx_http_async_trace_t *ngx_http_async_trace_make(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_async_trace_random(u_char *id, u_char *span);
static void ngx_http_async_trace_cleanup(void *data);
static u_char *ngx_http_async_trace_log(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);
static u_char *ngx_http_async_trace_log_left(ngx_log_t *log, u_char *buf,
    size_t len);
static ngx_int_t ngx_http_async_trace_get(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_async_trace_vars[] = {

    { ngx_string("async_trace_id"), NULL, ngx_http_async_trace_get,
      NGX_HTTP_ASYNC_TRACE_VAR_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("async_span_id"), NULL, ngx_http_async_trace_get,
      NGX_HTTP_ASYNC_TRACE_VAR_SPAN, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("async_parent_id"), NULL, ngx_http_async_trace_get,
      NGX_HTTP_ASYNC_TRACE_VAR_PARENT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("async_traceparent"), NULL, ngx_http_async_trace_get,
      NGX_HTTP_ASYNC_TRACE_VAR_HEADER, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* the log handler of nginx, which ours goes on from */
static ngx_http_log_handler_pt  ngx_http_async_trace_next;


ngx_int_t
ngx_http_async_trace_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *v, *var;

    for (var = ngx_http_async_trace_vars; var->name.len; var++) {

        v = ngx_http_add_variable(cf, &var->name, var->flags);
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->get_handler = var->get_handler;
        v->data = var->data;
    }

    return NGX_OK;
}


void
ngx_http_async_trace_begin(ngx_http_request_t *r)
{
    ngx_http_async_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);

    if (conf->trace == NGX_HTTP_ASYNC_TRACE_ON
        && ngx_http_async_trace_made(r) == NULL)
    {
        /* where there is no memory for it, requests fail soon enough */
        (void) ngx_http_async_trace_make(r);
    }

    r = r->main;

    if (ngx_http_async_trace_next == NULL) {
        ngx_http_async_trace_next = r->log_handler;
    }

    if (r->log_handler == ngx_http_async_trace_next) {
        r->log_handler = ngx_http_async_trace_log;
    }
}


ngx_int_t
ngx_http_async_trace(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_http_async_trace_t *trace)
{
    ngx_uint_t                  flags;
    ngx_http_async_trace_t     *made;
    ngx_http_async_loc_conf_t  *conf;

    made = ngx_http_async_trace_made(r);

    if (made == NULL) {
        conf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);

        if (conf->trace == NGX_HTTP_ASYNC_TRACE_OFF) {
            return NGX_DECLINED;
        }

        if (conf->trace == NGX_HTTP_ASYNC_TRACE_PASS) {
            return (ngx_http_async_trace_came(r, trace, &flags) == NGX_OK)
                   ? ngx_http_async_trace_state(r, pool, &trace->state)
                   : NGX_DECLINED;
        }

        made = ngx_http_async_trace_make(r);

        if (made == NULL) {
            return NGX_ERROR;
        }
    }

    *trace = *made;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_trace_of(ngx_async_task_t *t, ngx_pool_t *pool,
    ngx_http_async_trace_t *trace)
{
    async_req_t  *req;

    req = ngx_http_async_req_of(t);

    if (req && req->r) {
        return ngx_http_async_trace(req->r, pool, trace);
    }

    while (t->parent) {
        t = t->parent;
    }

    if (t->trace == NULL) {
        return NGX_DECLINED;
    }

    *trace = *t->trace;

    return NGX_OK;
}


/* Without the state; NGX_DECLINED: none came, or something is wrong with it. */

static ngx_int_t
ngx_http_async_trace_came(ngx_http_request_t *r,
    ngx_http_async_trace_t *trace, ngx_uint_t *flags)
{
    ngx_str_t         value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *found;

    static ngx_str_t  name = ngx_string("traceparent");

    found = NULL;
    part = &r->headers_in.headers.part;
    i = 0;

    while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {

        if (!ngx_http_async_field_is(h, &name)) {
            continue;
        }

        if (found) {
            return NGX_DECLINED;
        }

        found = h;
    }

    if (found == NULL) {
        return NGX_DECLINED;
    }

    value = found->value;
    ngx_http_async_field_trim(&value);

    if (ngx_http_async_traceparent(&value, flags) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_memcpy(trace->id, value.data + NGX_HTTP_ASYNC_TRACEPARENT_ID,
               NGX_HTTP_ASYNC_TRACE_ID);

    trace->parent.data = value.data + NGX_HTTP_ASYNC_TRACEPARENT_PARENT;
    trace->parent.len = NGX_HTTP_ASYNC_SPAN_ID;

    trace->header = value;

    ngx_str_null(&trace->span);
    ngx_str_null(&trace->state);

    return NGX_OK;
}


/* Several fields are one list. */

static ngx_int_t
ngx_http_async_trace_state(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_str_t *state)
{
    u_char           *p;
    size_t            len;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("tracestate");

    ngx_str_null(state);

    part = &r->headers_in.headers.part;
    i = 0;
    n = 0;
    len = 0;

    while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {

        if (ngx_http_async_field_is(h, &name)) {
            *state = h->value;
            len += h->value.len + 1;
            n++;
        }
    }

    if (n > 1) {
        p = ngx_pnalloc(pool, len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        state->data = p;
        state->len = len - 1;

        part = &r->headers_in.headers.part;
        i = 0;

        while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {

            if (ngx_http_async_field_is(h, &name)) {
                p = ngx_cpymem(p, h->value.data, h->value.len);
                *p++ = ',';
            }
        }
    }

    if (ngx_http_async_tracestate(state) != NGX_OK) {
        ngx_str_null(state);
    }

    return NGX_OK;
}


static ngx_http_async_trace_t *
ngx_http_async_trace_made(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    /* nginx writes its access log after the cleanups of the request */

    for (cln = r->main->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_async_trace_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_http_async_trace_cleanup(void *data)
{
    /* its place in the list is what counts */
}


/* The request is a span of the trace that came, or begins one. */

static ngx_http_async_trace_t *
ngx_http_async_trace_make(ngx_http_request_t *r)
{
    u_char                  *p, id[NGX_HTTP_ASYNC_TRACE_ID];
    ngx_int_t                rc;
    ngx_uint_t               flags;
    ngx_pool_cleanup_t      *cln;
    ngx_http_async_trace_t  *trace;

    trace = ngx_pcalloc(r->main->pool, sizeof(ngx_http_async_trace_t)
                                       + NGX_HTTP_ASYNC_TRACEPARENT);
    if (trace == NULL) {
        return NULL;
    }

    p = (u_char *) (trace + 1);

    rc = ngx_http_async_trace_came(r, trace, &flags);

    if (rc == NGX_OK) {
        rc = ngx_http_async_trace_state(r, r->main->pool, &trace->state);
    }

    if (rc == NGX_ERROR
        || ngx_http_async_trace_random(id, p
                                       + NGX_HTTP_ASYNC_TRACEPARENT_PARENT)
           != NGX_OK)
    {
        return NULL;
    }

    if (rc == NGX_DECLINED) {
        ngx_memcpy(trace->id, id, NGX_HTTP_ASYNC_TRACE_ID);
        flags = NGX_HTTP_ASYNC_TRACE_SAMPLED;
    }

    ngx_memcpy(p, "00-", 3);
    ngx_memcpy(p + NGX_HTTP_ASYNC_TRACEPARENT_ID, trace->id,
               NGX_HTTP_ASYNC_TRACE_ID);
    p[NGX_HTTP_ASYNC_TRACEPARENT_PARENT - 1] = '-';
    ngx_sprintf(p + NGX_HTTP_ASYNC_TRACEPARENT_FLAGS - 1, "-%02xi", flags);

    trace->header.data = p;
    trace->header.len = NGX_HTTP_ASYNC_TRACEPARENT;
    trace->span.data = p + NGX_HTTP_ASYNC_TRACEPARENT_PARENT;
    trace->span.len = NGX_HTTP_ASYNC_SPAN_ID;

    cln = ngx_pool_cleanup_add(r->main->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_async_trace_cleanup;
    cln->data = trace;

    return trace;
}


static ngx_int_t
ngx_http_async_trace_random(u_char *id, u_char *span)
{
    u_char  *bytes;

    static u_char      random[NGX_HTTP_ASYNC_TRACE_RANDOM]
                             [NGX_HTTP_ASYNC_TRACE_BYTES];
    static ngx_uint_t  left;
    static const u_char  zero[NGX_HTTP_ASYNC_TRACE_ID / 2];

    do {
        if (left == 0) {

            /* as many bytes come at once */

            if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
                ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                              "getrandom() failed");
                return NGX_ERROR;
            }

            left = NGX_HTTP_ASYNC_TRACE_RANDOM;
        }

        bytes = random[--left];

    } while (ngx_memcmp(bytes, zero, NGX_HTTP_ASYNC_TRACE_ID / 2) == 0
             || ngx_memcmp(bytes + NGX_HTTP_ASYNC_TRACE_ID / 2, zero,
                           NGX_HTTP_ASYNC_SPAN_ID / 2) == 0);

    ngx_hex_dump(id, bytes, NGX_HTTP_ASYNC_TRACE_ID / 2);
    ngx_hex_dump(span, bytes + NGX_HTTP_ASYNC_TRACE_ID / 2,
                 NGX_HTTP_ASYNC_SPAN_ID / 2);

    return NGX_OK;
}


/* Of the main request: nginx's own words, and the trace. */

static u_char *
ngx_http_async_trace_log(ngx_http_request_t *r, ngx_http_request_t *sr,
    u_char *buf, size_t len)
{
    u_char                     *p, *last;
    ngx_uint_t                  flags;
    ngx_http_async_trace_t      trace, *made;
    ngx_http_async_loc_conf_t  *conf;

    last = buf + len;
    p = ngx_http_async_trace_next(r, sr, buf, len);

    made = ngx_http_async_trace_made(r);

    if (made) {
        return ngx_slprintf(p, last, ", trace: \"%*s\"",
                            (size_t) NGX_HTTP_ASYNC_TRACE_ID, made->id);
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);

    if (conf->trace != NGX_HTTP_ASYNC_TRACE_PASS
        || ngx_http_async_trace_came(r, &trace, &flags) != NGX_OK)
    {
        return p;
    }

    return ngx_slprintf(p, last, ", trace: \"%*s\"",
                        (size_t) NGX_HTTP_ASYNC_TRACE_ID, trace.id);
}


ngx_http_async_trace_t *
ngx_http_async_trace_keep(ngx_async_task_t *t, ngx_pool_t *pool,
    ngx_log_t *log)
{
    ngx_http_async_trace_t  *trace;

    trace = ngx_http_async_trace_copy(t, pool);

    if (trace) {
        *log = *ngx_cycle->log;
        log->handler = ngx_http_async_trace_log_left;
        log->data = trace;
    }

    return trace;
}


ngx_http_async_trace_t *
ngx_http_async_trace_copy(ngx_async_task_t *t, ngx_pool_t *pool)
{
    ngx_http_async_trace_t  found, *trace;

    if (ngx_http_async_trace_of(t, pool, &found) != NGX_OK) {
        return NULL;
    }

    trace = ngx_palloc(pool, sizeof(ngx_http_async_trace_t));
    if (trace == NULL) {
        return NULL;
    }

    *trace = found;

    ngx_str_null(&trace->parent);
    ngx_str_null(&trace->span);

    trace->header.data = ngx_pstrdup(pool, &trace->header);

    if (trace->state.len) {
        trace->state.data = ngx_pstrdup(pool, &trace->state);
    }

    if (trace->header.data == NULL
        || (trace->state.len && trace->state.data == NULL))
    {
        return NULL;
    }

    return trace;
}


static u_char *
ngx_http_async_trace_log_left(ngx_log_t *log, u_char *buf, size_t len)
{
    ngx_http_async_trace_t  *trace = log->data;

    return ngx_snprintf(buf, len, ", trace: \"%*s\"",
                        (size_t) NGX_HTTP_ASYNC_TRACE_ID, trace->id);
}


static ngx_int_t
ngx_http_async_trace_get(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_int_t               rc;
    ngx_str_t               value;
    ngx_http_async_trace_t  trace;

    rc = ngx_http_async_trace(r, r->pool, &trace);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_str_null(&value);

    if (rc == NGX_OK) {
        switch (data) {

        case NGX_HTTP_ASYNC_TRACE_VAR_ID:
            value.len = NGX_HTTP_ASYNC_TRACE_ID;
            value.data = ngx_pnalloc(r->pool, value.len);

            if (value.data == NULL) {
                return NGX_ERROR;
            }

            ngx_memcpy(value.data, trace.id, value.len);
            break;

        case NGX_HTTP_ASYNC_TRACE_VAR_SPAN:
            value = trace.span;
            break;

        case NGX_HTTP_ASYNC_TRACE_VAR_PARENT:
            value = trace.parent;
            break;

        default:
            value = trace.header;
        }
    }

    if (value.data == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = value.data;
    v->len = value.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
