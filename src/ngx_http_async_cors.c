
/*
 * Copyright (C) the nginx-async authors
 *
 * async_cors: which pages of other origins may read the responses of a location
 * (Fetch standard, 3.2), whoever serves it.  Preflights are answered before
 * access is checked, since browsers send them without credentials; the fields
 * of all other responses are added as they leave, errors and error pages too.
 *
 * Its own module of nginx, with its own configuration; knows no task.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_async_near.h>


typedef struct {
    ngx_uint_t                  all;          /* "*" */
    ngx_array_t                 exact;        /* of ngx_str_t */
#if (NGX_PCRE)
    ngx_array_t                 patterns;     /* of ngx_regex_t * */
#endif
    ngx_array_t                 methods;      /* of ngx_str_t */
    ngx_array_t                 headers;      /* of ngx_str_t; lower case */
    ngx_uint_t                  any_header;   /* "*" */
    ngx_str_t                   methods_text;
    ngx_str_t                   headers_text;
    ngx_str_t                   expose;
    ngx_str_t                   max_age;
    ngx_uint_t                  credentials;
} ngx_http_async_cors_t;


typedef struct {
    ngx_http_async_cors_t      *cors;         /* NULL: off */
} ngx_http_async_cors_conf_t;


typedef struct {
    ngx_uint_t                  used;         /* anywhere */
} ngx_http_async_cors_main_conf_t;


typedef char *(*ngx_http_async_cors_set_pt)(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *value);

typedef struct {
    ngx_str_t                   name;
    ngx_http_async_cors_set_pt  set;
} ngx_http_async_cors_option_t;


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
    ngx_str_t *origin, ngx_log_t *log);
static ngx_str_t *ngx_http_async_cors_field(ngx_http_request_t *r,
    const char *name);
static void ngx_http_async_cors_remove(ngx_http_request_t *r);
static ngx_int_t ngx_http_async_cors_add(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);

static void *ngx_http_async_cors_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_async_cors_create_conf(ngx_conf_t *cf);
static char *ngx_http_async_cors_merge_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_async_cors(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_async_cors_option(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *arg);
static char *ngx_http_async_cors_origins(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *value);
static char *ngx_http_async_cors_exact(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *origin);
static char *ngx_http_async_cors_pattern(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *pattern);
static char *ngx_http_async_cors_methods(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *value);
static char *ngx_http_async_cors_headers(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *value);
static char *ngx_http_async_cors_expose(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *value);
static char *ngx_http_async_cors_credentials(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *value);
static char *ngx_http_async_cors_max_age(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *value);
static char *ngx_http_async_cors_check(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors);
static ngx_int_t ngx_http_async_cors_split(ngx_str_t *list, ngx_str_t *item);
static char *ngx_http_async_cors_tokens(ngx_conf_t *cf, ngx_array_t *list,
    ngx_str_t *value, const char *what);
static ngx_int_t ngx_http_async_cors_join(ngx_pool_t *pool,
    ngx_array_t *list, ngx_str_t *text);
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


static ngx_http_async_cors_option_t  ngx_http_async_cors_options[] = {
    { ngx_string("origins"), ngx_http_async_cors_origins },
    { ngx_string("methods"), ngx_http_async_cors_methods },
    { ngx_string("headers"), ngx_http_async_cors_headers },
    { ngx_string("expose"), ngx_http_async_cors_expose },
    { ngx_string("credentials"), ngx_http_async_cors_credentials },
    { ngx_string("max_age"), ngx_http_async_cors_max_age }
};

#define NGX_HTTP_ASYNC_CORS_OPTIONS                                          \
    (sizeof(ngx_http_async_cors_options)                                     \
     / sizeof(ngx_http_async_cors_option_t))


/* what a page may send without asking (Fetch standard, 2.2.1 and 2.2.2) */

static ngx_str_t  ngx_http_async_cors_plain_methods =
    ngx_string("GET,HEAD,POST");

static ngx_str_t  ngx_http_async_cors_plain_headers[] = {
    ngx_string("accept"),
    ngx_string("accept-language"),
    ngx_string("content-language"),
    ngx_string("content-type")
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
    ngx_int_t    rc;
    ngx_str_t   *names, *known;
    ngx_uint_t   i;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!ngx_http_async_cors_allows(cors, origin, r->connection->log)) {
        return ngx_http_async_cors_refuse(r, "origin");
    }

    known = cors->methods.elts;

    for (i = 0; i < cors->methods.nelts; i++) {
        if (known[i].len == method->len
            && ngx_strncmp(known[i].data, method->data, method->len) == 0)
        {
            break;
        }
    }

    if (i == cors->methods.nelts) {
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

    while (ngx_http_async_cors_split(&rest, &name) == NGX_OK) {

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

    if (origin == NULL
        || !ngx_http_async_cors_allows(cors, origin, r->connection->log))
    {
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
ngx_http_async_cors_allows(ngx_http_async_cors_t *cors, ngx_str_t *origin,
    ngx_log_t *log)
{
    ngx_str_t    *exact;
    ngx_uint_t    i;
#if (NGX_PCRE)
    ngx_regex_t **patterns;
#endif

    if (cors->all) {
        return 1;
    }

    exact = cors->exact.elts;

    for (i = 0; i < cors->exact.nelts; i++) {
        if (exact[i].len == origin->len
            && ngx_strncmp(exact[i].data, origin->data, origin->len) == 0)
        {
            return 1;
        }
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


/* A field of the request; NULL: there is none. */

static ngx_str_t *
ngx_http_async_cors_field(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].hash && h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
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

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            for (n = 0; n < sizeof(names) / sizeof(ngx_str_t); n++) {
                if (h[i].key.len == names[n].len
                    && ngx_strncasecmp(h[i].key.data, names[n].data,
                                       names[n].len) == 0)
                {
                    h[i].hash = 0;
                }
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


static char *
ngx_http_async_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_cors_conf_t  *ccf = conf;

    char                             *rv;
    ngx_str_t                        *value;
    ngx_uint_t                        i;
    ngx_http_async_cors_t            *cors;
    ngx_http_async_cors_main_conf_t  *cmcf;

    if (ccf->cors != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        ccf->cors = NULL;
        return NGX_CONF_OK;
    }

    cors = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_cors_t));

    if (cors == NULL
        || ngx_array_init(&cors->exact, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK
#if (NGX_PCRE)
        || ngx_array_init(&cors->patterns, cf->pool, 1, sizeof(ngx_regex_t *))
           != NGX_OK
#endif
        || ngx_array_init(&cors->methods, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&cors->headers, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&cors->max_age, "600");

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_async_cors_option(cf, cors, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    ccf->cors = cors;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_cors_module);
    cmcf->used = 1;

    return ngx_http_async_cors_check(cf, cors);
}


static char *
ngx_http_async_cors_option(ngx_conf_t *cf, ngx_http_async_cors_t *cors,
    ngx_str_t *arg)
{
    u_char                        *eq;
    ngx_str_t                      name, value;
    ngx_uint_t                     i;
    ngx_async_near_t               near;
    ngx_http_async_cors_option_t  *option;

    eq = ngx_strlchr(arg->data, arg->data + arg->len, '=');

    name.data = arg->data;
    name.len = eq ? (size_t) (eq - arg->data) : arg->len;

    ngx_async_near_init(&near, &name);

    for (i = 0; i < NGX_HTTP_ASYNC_CORS_OPTIONS; i++) {
        option = &ngx_http_async_cors_options[i];

        if (eq && name.len == option->name.len
            && ngx_strncmp(name.data, option->name.data, name.len) == 0)
        {
            value.data = eq + 1;
            value.len = arg->data + arg->len - value.data;

            return option->set(cf, cors, &value);
        }

        ngx_async_near_offer(&near, &option->name);
    }

    if (near.best) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", did you mean \"%V=\"?",
                           arg, near.best);
        return NGX_CONF_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\": there are origins=, "
                       "methods=, headers=, expose=, credentials=, max_age=, "
                       "or \"off\" alone", arg);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_async_cors_origins(ngx_conf_t *cf, ngx_http_async_cors_t *cors,
    ngx_str_t *value)
{
    char       *rv;
    ngx_str_t   rest, origin;

    if (value->len && value->data[0] == '~') {
        return ngx_http_async_cors_pattern(cf, cors, value);
    }

    rest = *value;

    while (ngx_http_async_cors_split(&rest, &origin) == NGX_OK) {

        if (origin.len == 1 && origin.data[0] == '*') {
            cors->all = 1;
            continue;
        }

        rv = ngx_http_async_cors_exact(cf, cors, &origin);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


/* As browsers write it (RFC 6454, 6.2): without a path, in lower case. */

static char *
ngx_http_async_cors_exact(ngx_conf_t *cf, ngx_http_async_cors_t *cors,
    ngx_str_t *origin)
{
    u_char     *p, *host, *end;
    ngx_str_t  *exact;

    end = origin->data + origin->len;
    host = ngx_strnstr(origin->data, "://", origin->len);

    if (host) {
        host += sizeof("://") - 1;

        for (p = origin->data; p < end; p++) {
            if (*p <= ' ' || *p == '"' || *p == '*' || *p == '@'
                || (*p >= 'A' && *p <= 'Z')
                || (p >= host && (*p == '/' || *p == '?' || *p == '#')))
            {
                break;
            }
        }

        if (host == end || host == origin->data + sizeof("://") - 1) {
            p = origin->data;
        }

    } else {
        p = (origin->len == 4 && ngx_strncmp(origin->data, "null", 4) == 0)
            ? end : origin->data;
    }

    if (p < end || origin->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no origin: it is as "
                           "\"https://example.com\" or "
                           "\"http://localhost:8080\", in lower case and "
                           "without a path; \"~\" begins a regular expression",
                           origin);
        return NGX_CONF_ERROR;
    }

    exact = ngx_array_push(&cors->exact);
    if (exact == NULL) {
        return NGX_CONF_ERROR;
    }

    *exact = *origin;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_cors_pattern(ngx_conf_t *cf, ngx_http_async_cors_t *cors,
    ngx_str_t *pattern)
{
#if (NGX_PCRE)

    u_char                 errstr[NGX_MAX_CONF_ERRSTR];
    ngx_regex_t          **regex;
    ngx_regex_compile_t    rc;

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern.data = pattern->data + 1;
    rc.pattern.len = pattern->len - 1;
    rc.pool = cf->pool;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (rc.pattern.len < 2 || rc.pattern.data[0] != '^'
        || rc.pattern.data[rc.pattern.len - 1] != '$')
    {
        /* "example\.com" alone is in the origins of others, too */
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must begin with \"^\" and end with \"$\": "
                           "it is to match all of an origin", pattern);
        return NGX_CONF_ERROR;
    }

    if (ngx_regex_compile(&rc) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V", &rc.err);
        return NGX_CONF_ERROR;
    }

    regex = ngx_array_push(&cors->patterns);
    if (regex == NULL) {
        return NGX_CONF_ERROR;
    }

    *regex = rc.regex;

    return NGX_CONF_OK;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\": this nginx has no regular expressions",
                       pattern);
    return NGX_CONF_ERROR;

#endif
}


static char *
ngx_http_async_cors_methods(ngx_conf_t *cf, ngx_http_async_cors_t *cors,
    ngx_str_t *value)
{
    ngx_str_t  all = ngx_string("DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT");

    if (value->len == 1 && value->data[0] == '*') {
        value = &all;
        value->data = ngx_pstrdup(cf->pool, value);

        if (value->data == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_async_cors_tokens(cf, &cors->methods, value, "method");
}


static char *
ngx_http_async_cors_headers(ngx_conf_t *cf, ngx_http_async_cors_t *cors,
    ngx_str_t *value)
{
    if (value->len == 1 && value->data[0] == '*') {
        cors->any_header = 1;
        return NGX_CONF_OK;
    }

    return ngx_http_async_cors_tokens(cf, &cors->headers, value,
                                      "header field");
}


static char *
ngx_http_async_cors_expose(ngx_conf_t *cf, ngx_http_async_cors_t *cors,
    ngx_str_t *value)
{
    char         *rv;
    ngx_array_t   names;

    if (ngx_array_init(&names, cf->temp_pool, 4, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_async_cors_tokens(cf, &names, value, "header field");

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return (ngx_http_async_cors_join(cf->pool, &names, &cors->expose)
            == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_async_cors_credentials(ngx_conf_t *cf, ngx_http_async_cors_t *cors,
    ngx_str_t *value)
{
    if (value->len == 2 && ngx_strncmp(value->data, "on", 2) == 0) {
        cors->credentials = 1;
        return NGX_CONF_OK;
    }

    if (value->len == 3 && ngx_strncmp(value->data, "off", 3) == 0) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"credentials=%V\" must be \"on\" or \"off\"", value);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_async_cors_max_age(ngx_conf_t *cf, ngx_http_async_cors_t *cors,
    ngx_str_t *value)
{
    time_t  age;

    age = ngx_parse_time(value, 1);

    if (age == (time_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"max_age=%V\" is no time", value);
        return NGX_CONF_ERROR;
    }

    cors->max_age.data = ngx_pnalloc(cf->pool, NGX_TIME_T_LEN);
    if (cors->max_age.data == NULL) {
        return NGX_CONF_ERROR;
    }

    cors->max_age.len = ngx_sprintf(cors->max_age.data, "%T", age)
                        - cors->max_age.data;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_cors_check(ngx_conf_t *cf, ngx_http_async_cors_t *cors)
{
    ngx_str_t   *name;
    ngx_uint_t   i, n;

    n = cors->all + cors->exact.nelts;
#if (NGX_PCRE)
    n += cors->patterns.nelts;
#endif

    if (n == 0) {
        return "names no origins: say \"origins=https://example.com\" or "
               "\"origins=*\"";
    }

    if (cors->all && n > 1) {
        return "has other origins beside \"*\", which is all of them";
    }

    if (cors->all && cors->credentials) {
        return "has \"credentials=on\" with \"origins=*\", which browsers "
               "refuse: name the origins whose pages may act for your users";
    }

    if (cors->methods.nelts == 0
        && ngx_http_async_cors_tokens(cf, &cors->methods,
                                      &ngx_http_async_cors_plain_methods,
                                      "method") != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    n = sizeof(ngx_http_async_cors_plain_headers) / sizeof(ngx_str_t);

    for (i = 0; i < n; i++) {
        name = ngx_array_push(&cors->headers);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = ngx_http_async_cors_plain_headers[i];
    }

    return (ngx_http_async_cors_join(cf->pool, &cors->methods,
                                     &cors->methods_text) == NGX_OK
            && ngx_http_async_cors_join(cf->pool, &cors->headers,
                                        &cors->headers_text) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* The next of a list with commas; NGX_DONE: there is none. */

static ngx_int_t
ngx_http_async_cors_split(ngx_str_t *list, ngx_str_t *item)
{
    u_char  *p, *end;

    if (list->data == NULL) {
        return NGX_DONE;
    }

    end = list->data + list->len;
    p = ngx_strlchr(list->data, end, ',');

    item->data = list->data;
    item->len = (p ? p : end) - list->data;

    list->data = p ? p + 1 : NULL;
    list->len = p ? (size_t) (end - p - 1) : 0;

    while (item->len && (item->data[0] == ' ' || item->data[0] == '\t')) {
        item->data++;
        item->len--;
    }

    while (item->len && (item->data[item->len - 1] == ' '
                         || item->data[item->len - 1] == '\t'))
    {
        item->len--;
    }

    return NGX_OK;
}


static char *
ngx_http_async_cors_tokens(ngx_conf_t *cf, ngx_array_t *list,
    ngx_str_t *value, const char *what)
{
    u_char      c;
    size_t      i;
    ngx_str_t   rest, item, *to;

    rest = *value;

    while (ngx_http_async_cors_split(&rest, &item) == NGX_OK) {

        for (i = 0; i < item.len; i++) {
            c = item.data[i];

            if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
                && (c < '0' || c > '9')
                && ngx_strchr("!#$%&'+-.^_`|~", c) == NULL)
            {
                break;
            }
        }

        if (item.len == 0 || i < item.len) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is not the name of a %s", &item, what);
            return NGX_CONF_ERROR;
        }

        to = ngx_array_push(list);
        if (to == NULL) {
            return NGX_CONF_ERROR;
        }

        *to = item;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_async_cors_join(ngx_pool_t *pool, ngx_array_t *list, ngx_str_t *text)
{
    u_char      *p;
    size_t       len;
    ngx_str_t   *item;
    ngx_uint_t   i;

    item = list->elts;
    len = 0;

    for (i = 0; i < list->nelts; i++) {
        len += item[i].len + 2;
    }

    text->data = ngx_pnalloc(pool, len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = text->data;

    for (i = 0; i < list->nelts; i++) {
        p = ngx_sprintf(p, "%s%V", i ? ", " : "", &item[i]);
    }

    text->len = p - text->data;

    return NGX_OK;
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
