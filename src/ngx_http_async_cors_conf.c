
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_cors: its parameters, each read by a function of its own,
 * and what they must be together.  What a request goes through is
 * ngx_http_async_cors.c.
 */

#include <ngx_http_async_cors.h>
#include <ngx_http_async_field.h>
#include <ngx_async_near.h>


typedef char *(*ngx_http_async_cors_set_pt)(ngx_conf_t *cf,
    ngx_http_async_cors_t *cors, ngx_str_t *value);

typedef struct {
    ngx_str_t                   name;
    ngx_http_async_cors_set_pt  set;
} ngx_http_async_cors_option_t;


static ngx_http_async_cors_option_t *ngx_http_async_cors_option(
    ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *value);
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
static char *ngx_http_async_cors_tokens(ngx_conf_t *cf, ngx_array_t *list,
    ngx_str_t *value, const char *what);
static ngx_int_t ngx_http_async_cors_join(ngx_pool_t *pool, ngx_array_t *list,
    ngx_str_t *text);


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


char *
ngx_http_async_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_cors_conf_t  *ccf = conf;

    char                             *rv;
    ngx_str_t                        *value, text;
    ngx_uint_t                        i;
    ngx_http_async_cors_t            *cors;
    ngx_http_async_cors_option_t     *option;
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
        option = ngx_http_async_cors_option(cf, &value[i], &text);
        rv = option ? option->set(cf, cors, &text) : NGX_CONF_ERROR;

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    ccf->cors = cors;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_cors_module);
    cmcf->used = 1;

    return ngx_http_async_cors_check(cf, cors);
}


/* That of "name=value"; NULL: there is none. */

static ngx_http_async_cors_option_t *
ngx_http_async_cors_option(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *value)
{
    u_char                        *eq;
    ngx_str_t                      name;
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
            value->data = eq + 1;
            value->len = arg->data + arg->len - value->data;

            return option;
        }

        ngx_async_near_offer(&near, &option->name);
    }

    if (near.best) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", did you mean \"%V=\"?",
                           arg, near.best);
        return NULL;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\": there are origins=, "
                       "methods=, headers=, expose=, credentials=, max_age=, "
                       "or \"off\" alone", arg);

    return NULL;
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

    while (ngx_http_async_field_item(&rest, &origin) == NGX_OK) {

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


static char *
ngx_http_async_cors_tokens(ngx_conf_t *cf, ngx_array_t *list,
    ngx_str_t *value, const char *what)
{
    ngx_str_t  rest, item, *to;

    rest = *value;

    while (ngx_http_async_field_item(&rest, &item) == NGX_OK) {

        if (!ngx_http_async_is_tokens(item.data, item.len)
            || ngx_strlchr(item.data, item.data + item.len, '*'))
        {
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
