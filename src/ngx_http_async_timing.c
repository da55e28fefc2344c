
/*
 * Copyright (C) the nginx-async authors
 *
 * Server-Timing (W3C): the directive async_server_timing, what it tells of a
 * request up to its response, and async_timing().
 */

#include <ngx_http_async_vars.h>
#include <ngx_http_async_app.h>
#include <ngx_http_async_field.h>
#include <ngx_http_async_response.h>
#include <math.h>


/* a duration in milliseconds, to the microsecond; more than 30,000 years */
#define NGX_HTTP_ASYNC_TIMING_MAX  1e15

/* "name;dur=" and so on of one of ours, with the comma before it */
#define NGX_HTTP_ASYNC_TIMING_LEN                                            \
    (sizeof(", thread;dur=.000") - 1 + NGX_INT64_LEN)


static u_char *ngx_http_async_timing_one(u_char *p, const char *name,
    uint64_t ns);
static ngx_int_t ngx_http_async_timing_text(ngx_pool_t *pool, ngx_str_t *text,
    const char *name, double ms, const char *description);


char *
ngx_http_async_server_timing(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    ngx_str_t                          *value, condition;
    ngx_http_async_main_conf_t         *mcf;
    ngx_http_compile_complex_value_t    ccv;

    value = cf->args->elts;

    if (lcf->timing != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    lcf->timing = 1;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        lcf->timing = 0;
        return NGX_CONF_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_module);
    mcf->timing = 1;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[1].data, "if=", 3) != 0 || value[1].len == 3) {
        return "takes \"on\", \"off\" or \"if=\" and a condition";
    }

    condition.data = value[1].data + 3;
    condition.len = value[1].len - 3;

    lcf->timing_if = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (lcf->timing_if == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &condition;
    ccv.complex_value = lcf->timing_if;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK) ? NGX_CONF_OK
                                                            : NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_async_timing_header(ngx_http_request_t *r)
{
    u_char                   *p;
    ngx_async_meter_t          meter;
    ngx_table_elt_t          *h;
    ngx_http_async_record_t  *record;

    record = (r == r->main) ? ngx_http_async_record(r) : NULL;

    if (record == NULL || !record->timing) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, 7 * NGX_HTTP_ASYNC_TIMING_LEN);
    h = p ? ngx_list_push(&r->headers_out.headers) : NULL;

    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    ngx_str_set(&h->key, "Server-Timing");

    h->hash = 1;
    h->value.data = p;

    ngx_async_meter_now(&record->meter, &meter);

    p = ngx_http_async_timing_one(p, "total", meter.time);
    p = ngx_http_async_timing_one(ngx_cpymem(p, ", ", 2), "wait",
                                  meter.time - meter.held);
    p = ngx_http_async_timing_one(ngx_cpymem(p, ", ", 2), "run", meter.run);

    if (meter.queue || meter.thread) {
        p = ngx_http_async_timing_one(ngx_cpymem(p, ", ", 2), "queue",
                                      meter.queue);
        p = ngx_http_async_timing_one(ngx_cpymem(p, ", ", 2), "thread",
                                      meter.thread);
    }

    if (meter.queries) {
        p = ngx_http_async_timing_one(ngx_cpymem(p, ", ", 2), "db",
                                      meter.waits[NGX_ASYNC_METER_DB]);
    }

    if (meter.fetches) {
        p = ngx_http_async_timing_one(ngx_cpymem(p, ", ", 2), "fetch",
                                      meter.waits[NGX_ASYNC_METER_FETCH]);
    }

    h->value.len = p - h->value.data;

    return NGX_OK;
}


static u_char *
ngx_http_async_timing_one(u_char *p, const char *name, uint64_t ns)
{
    uint64_t  us;

    us = (ns + 500) / 1000;

    return ngx_sprintf(p, "%s;dur=%uL.%03uL", name, us / 1000, us % 1000);
}


async_rc_t
async_timing(async_req_t *req, const char *name, double ms,
    const char *description)
{
    ngx_str_t    text;
    const char  *wrong;

    ngx_http_async_check(req);

    wrong = (name == NULL || !ngx_http_async_is_token(name))
                ? "the name of a timing is no token"
            : !isfinite(ms) || ms > NGX_HTTP_ASYNC_TIMING_MAX
                ? "the duration of a timing is no time"
            : (description && ngx_http_async_has_control(description))
                ? "the description of a timing has a control character"
            : NULL;

    if (wrong) {
        return ngx_http_async_field_refused(req, wrong);
    }

    if (!req->timing) {
        return ASYNC_OK;
    }

    if (ngx_http_async_timing_text(req->pool, &text, name, ms, description)
        != NGX_OK)
    {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    return async_add_header(req, "Server-Timing", (char *) text.data);
}


/* Zero-terminated; the description as a quoted-string (RFC 9110, 5.6.4) */

static ngx_int_t
ngx_http_async_timing_text(ngx_pool_t *pool, ngx_str_t *text,
    const char *name, double ms, const char *description)
{
    u_char      *p;
    size_t       len;
    const char  *s;

    len = ngx_strlen(name) + sizeof(";dur=.000;desc=\"\"") + NGX_INT64_LEN
          + (description ? 2 * ngx_strlen(description) : 0);

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    p = ngx_cpymem(p, name, ngx_strlen(name));

    if (ms >= 0) {
        p = ngx_sprintf(p, ";dur=%.3f", ms);
    }

    if (description) {
        p = ngx_cpymem(p, ";desc=\"", sizeof(";desc=\"") - 1);

        for (s = description; *s; s++) {
            if (*s == '"' || *s == '\\') {
                *p++ = '\\';
            }

            *p++ = *s;
        }

        *p++ = '"';
    }

    *p = '\0';
    text->len = p - text->data;

    return NGX_OK;
}
