
/*
 * Copyright (C) the nginx-async authors
 *
 * async_cors: which pages of other origins may read the responses of a location
 * (Fetch standard, 3.2), whoever serves it.  Preflights are answered before
 * access is checked, since browsers send them without credentials; the fields
 * of all other responses are added as they leave, errors and error pages too.
 *
 * Its own module of nginx, with its own configuration, which
 * ngx_http_async_cors_conf.c reads; knows no task.
 */

#include <ngx_http_async_cors.h>
#include <ngx_http_async_field.h>


static ngx_int_t ngx_http_async_cors_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_async_cors_preflight(ngx_http_request_t *r,
    ngx_http_async_cors_t *cors, ngx_str_t *origin, ngx_str_t *method);
static ngx_uint_t ngx_http_async_cors_wants(ngx_http_async_cors_t *cors,
    ngx_str_t *names);
static ngx_int_t ngx_http_async_cors_grant(ngx_http_request_t *r,
    ngx_http_async_cors_t *cors, ngx_str_t *names);
static ngx_int_t ngx_http_async_cors_refuse(ngx_http_request_t *r,
    const char *what);
static ngx_int_t ngx_http_async_cors_remember(ngx_http_request_t *r,
    ngx_http_async_cors_t *cors);
static ngx_http_async_cors_t *ngx_http_async_cors_find(ngx_http_request_t *r);
static void ngx_http_async_cors_cleanup(void *data);
static ngx_int_t ngx_http_async_cors_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_async_cors_origin(ngx_http_request_t *r,
    ngx_http_async_cors_t *cors, ngx_str_t *origin);
static ngx_uint_t ngx_http_async_cors_allows(ngx_http_async_cors_t *cors,
    ngx_str_t *origin);
static ngx_uint_t ngx_http_async_cors_has(ngx_array_t *list, ngx_str_t *item);
static ngx_str_t *ngx_http_async_cors_field(ngx_http_request_t *r,
    const char *name);
static void ngx_http_async_cors_remove(ngx_http_request_t *r);
static ngx_int_t ngx_http_async_cors_add(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);

static void *ngx_http_async_cors_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_async_cors_create_conf(ngx_conf_t *cf);
static char *ngx_http_async_cors_merge_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_async_cors_init(ngx_conf_t *cf);


static ngx_command_t  ngx_http_async_cors_commands[] = {

    { ngx_string("async_cors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_async_cors,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_async_cors_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_async_cors_init,              /* postconfiguration */

    ngx_http_async_cors_create_main_conf,  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_async_cors_create_conf,       /* create location configuration */
    ngx_http_async_cors_merge_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_async_cors_module = {
    NGX_MODULE_V1,
    &ngx_http_async_cors_module_ctx,       /* module context */
    ngx_http_async_cors_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_str_t  ngx_http_async_cors_all = ngx_string("*");


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


/* Before access is checked. */

static ngx_int_t
ngx_http_async_cors_handler(ngx_http_request_t *r)
{
    ngx_str_t                   *origin, *method;
    ngx_http_async_cors_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_cors_module);

    if (conf->cors == NULL || r != r->main) {
        return NGX_DECLINED;
    }

    if (ngx_http_async_cors_remember(r, conf->cors) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r->method != NGX_HTTP_OPTIONS) {
        return NGX_DECLINED;
    }

    origin = ngx_http_async_cors_field(r, "Origin");
    method = ngx_http_async_cors_field(r, "Access-Control-Request-Method");

    if (origin == NULL || method == NULL) {
        return NGX_DECLINED;
    }

    return ngx_http_async_cors_preflight(r, conf->cors, origin, method);
}


/* The header filter adds what a response to any request has. */

static ngx_int_t
ngx_http_async_cors_preflight(ngx_http_request_t *r,
    ngx_http_async_cors_t *cors, ngx_str_t *origin, ngx_str_t *method)
{
    ngx_int_t   rc;
    ngx_str_t  *names;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!ngx_http_async_cors_allows(cors, origin)) {
        return ngx_http_async_cors_refuse(r, "origin");
    }

    if (!ngx_http_async_cors_has(&cors->methods, method)) {
        return ngx_http_async_cors_refuse(r, "method");
    }

    names = ngx_http_async_cors_field(r, "Access-Control-Request-Headers");

    if (names && !ngx_http_async_cors_wants(cors, names)) {
        return ngx_http_async_cors_refuse(r, "headers");
    }

    return ngx_http_async_cors_grant(r, cors, names);
}


/* Whether all of the names, separated by commas, are allowed. */

static ngx_uint_t
ngx_http_async_cors_wants(ngx_http_async_cors_t *cors, ngx_str_t *names)
{
    ngx_str_t    rest, name, *known;
    ngx_uint_t   i;

    if (cors->any_header) {
        return 1;
    }

    rest = *names;
    known = cors->headers.elts;

    while (ngx_http_async_field_item(&rest, &name) == NGX_OK) {

        for (i = 0; i < cors->headers.nelts; i++) {
            if (known[i].len == name.len
                && ngx_strncasecmp(known[i].data, name.data, name.len) == 0)
            {
                break;
            }
        }

        if (name.len && i == cors->headers.nelts) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_async_cors_grant(ngx_http_request_t *r, ngx_http_async_cors_t *cors,
    ngx_str_t *names)
{
    ngx_str_t  *headers, vary;

    headers = cors->any_header ? names : &cors->headers_text;

    if (ngx_http_async_cors_add(r, "Access-Control-Allow-Methods",
                                &cors->methods_text) != NGX_OK
        || ngx_http_async_cors_add(r, "Access-Control-Allow-Headers", headers)
           != NGX_OK
        || ngx_http_async_cors_add(r, "Access-Control-Max-Age",
                                   &cors->max_age) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (cors->any_header && names) {
        ngx_str_set(&vary, "Access-Control-Request-Headers");

        if (ngx_http_async_cors_add(r, "Vary", &vary) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    ngx_http_finalize_request(r, ngx_http_send_header(r));

    return NGX_DONE;
}


static ngx_int_t
ngx_http_async_cors_refuse(ngx_http_request_t *r, const char *what)
{
    u_char                    *p;
    ngx_str_t                  type;
    ngx_http_complex_value_t   cv;

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    p = ngx_pnalloc(r->pool, sizeof("{\"detail\":\"Disallowed CORS \"}")
                             + ngx_strlen(what));
    if (p == NULL) {
        return NGX_ERROR;
    }

    cv.value.data = p;
    cv.value.len = ngx_sprintf(p, "{\"detail\":\"Disallowed CORS %s\"}", what)
                   - p;

    ngx_str_set(&type, "application/json");

    ngx_http_finalize_request(r, ngx_http_send_response(r,
                                               NGX_HTTP_BAD_REQUEST, &type,
                                               &cv));
    return NGX_DONE;
}


/* An error page may be served by a location that has other directives. */

static ngx_int_t
ngx_http_async_cors_remember(ngx_http_request_t *r,
    ngx_http_async_cors_t *cors)
{
    ngx_http_cleanup_t  *cln;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_async_cors_cleanup) {
            cln->data = cors;
            return NGX_OK;
        }
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_async_cors_cleanup;
    cln->data = cors;

    return NGX_OK;
}


static ngx_http_async_cors_t *
ngx_http_async_cors_find(ngx_http_request_t *r)
{
    ngx_http_cleanup_t          *cln;
    ngx_http_async_cors_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_cors_module);

    if (conf->cors) {
        return conf->cors;
    }

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_async_cors_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_http_async_cors_cleanup(void *data)
{
    /* its place in the list is what counts */
}


static ngx_int_t
ngx_http_async_cors_filter(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_str_t              *origin;
    ngx_http_async_cors_t  *cors;

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    cors = ngx_http_async_cors_find(r);

    if (cors == NULL) {
        return ngx_http_next_header_filter(r);
    }

    origin = ngx_http_async_cors_field(r, "Origin");

    rc = ngx_http_async_cors_origin(r, cors, origin);

    return (rc == NGX_OK) ? ngx_http_next_header_filter(r) : NGX_ERROR;
}


static ngx_int_t
ngx_http_async_cors_origin(ngx_http_request_t *r, ngx_http_async_cors_t *cors,
    ngx_str_t *origin)
{
    ngx_str_t  vary, yes;

    ngx_http_async_cors_remove(r);

    if (!cors->all) {
        /* also of responses to others: a cache would give them to pages */
        ngx_str_set(&vary, "Origin");

        if (ngx_http_async_cors_add(r, "Vary", &vary) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (origin == NULL || !ngx_http_async_cors_allows(cors, origin)) {
        return NGX_OK;
    }

    if (ngx_http_async_cors_add(r, "Access-Control-Allow-Origin",
                                cors->all ? &ngx_http_async_cors_all : origin)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (cors->credentials) {
        ngx_str_set(&yes, "true");

        if (ngx_http_async_cors_add(r, "Access-Control-Allow-Credentials",
                                    &yes) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_async_cors_add(r, "Access-Control-Expose-Headers",
                                   &cors->expose);
}


static ngx_uint_t
ngx_http_async_cors_allows(ngx_http_async_cors_t *cors, ngx_str_t *origin)
{
#if (NGX_PCRE)
    ngx_uint_t     i;
    ngx_regex_t  **patterns;
#endif

    if (cors->all || ngx_http_async_cors_has(&cors->exact, origin)) {
        return 1;
    }

#if (NGX_PCRE)

    patterns = cors->patterns.elts;

    for (i = 0; i < cors->patterns.nelts; i++) {
        if (ngx_regex_exec(patterns[i], origin, NULL, 0) >= 0) {
            return 1;
        }
    }

#endif

    return 0;
}


static ngx_uint_t
ngx_http_async_cors_has(ngx_array_t *list, ngx_str_t *item)
{
    ngx_str_t   *known;
    ngx_uint_t   i;

    known = list->elts;

    for (i = 0; i < list->nelts; i++) {
        if (known[i].len == item->len
            && ngx_strncmp(known[i].data, item->data, item->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* A field of the request; NULL: there is none. */

static ngx_str_t *
ngx_http_async_cors_field(ngx_http_request_t *r, const char *name)
{
    ngx_table_elt_t  *h;

    h = ngx_http_async_field_find(&r->headers_in.headers.part, name);

    return h ? &h->value : NULL;
}


/* What others have said: a browser refuses a field that is there twice. */

static void
ngx_http_async_cors_remove(ngx_http_request_t *r)
{
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  names[] = {
        ngx_string("Access-Control-Allow-Origin"),
        ngx_string("Access-Control-Allow-Credentials"),
        ngx_string("Access-Control-Expose-Headers")
    };

    part = &r->headers_out.headers.part;
    i = 0;

    while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {

        for (n = 0; n < sizeof(names) / sizeof(ngx_str_t); n++) {
            if (ngx_http_async_field_is(h, &names[n])) {
                h->hash = 0;
            }
        }
    }
}


/* Of the response; nothing, if the value is. */

static ngx_int_t
ngx_http_async_cors_add(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    if (value == NULL || value->len == 0) {
        return NGX_OK;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    return NGX_OK;
}


static void *
ngx_http_async_cors_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_async_cors_main_conf_t));
}


static void *
ngx_http_async_cors_create_conf(ngx_conf_t *cf)
{
    ngx_http_async_cors_conf_t  *conf;

    conf = ngx_palloc(cf->pool, sizeof(ngx_http_async_cors_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->cors = NGX_CONF_UNSET_PTR;

    return conf;
}


static char *
ngx_http_async_cors_merge_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_async_cors_conf_t  *prev = parent;
    ngx_http_async_cors_conf_t  *conf = child;

    ngx_conf_merge_ptr_value(conf->cors, prev->cors, NULL);

    return NGX_CONF_OK;
}


/* What nobody configured costs nothing. */

static ngx_int_t
ngx_http_async_cors_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt              *h;
    ngx_http_core_main_conf_t        *cmcf;
    ngx_http_async_cors_main_conf_t  *conf;

    conf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_cors_module);

    if (!conf->used) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_async_cors_handler;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_async_cors_filter;

    return NGX_OK;
}
