
/*
 * Copyright (C) the nginx-async authors
 *
 * Routes of a location: declared into a tree, found by URI and method.  What
 * fits no route is answered here: 404, 405 with Allow, and the redirect to
 * the form with or without a slash at its end.
 */

#include <ngx_http_async_route.h>
#include <ngx_http_async_response.h>
#include <ngx_async_near.h>


typedef struct {
    ngx_str_t    name;
    ngx_uint_t   mask;
} ngx_http_async_method_t;


static ngx_int_t ngx_http_async_methods(ngx_conf_t *cf, ngx_str_t *list,
    ngx_uint_t *mask);
static ngx_int_t ngx_http_async_method(ngx_conf_t *cf, u_char *p, u_char *end,
    ngx_uint_t *mask);
static ngx_int_t ngx_http_async_route_declared(ngx_conf_t *cf,
    ngx_http_async_loc_conf_t *lcf, ngx_uint_t methods, ngx_str_t *method,
    ngx_str_t *pattern, ngx_http_async_ref_t *ref);
static char *ngx_http_async_route_alone(ngx_conf_t *cf);
static char *ngx_http_async_route_inside(ngx_conf_t *cf, ngx_str_t *pattern);
static ngx_int_t ngx_http_async_not_allowed(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_uint_t allow);
static ngx_int_t ngx_http_async_not_found(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_route_match_t *match);
static ngx_int_t ngx_http_async_slash_redirect(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_str_t *uri);
static ngx_uint_t ngx_http_async_printable(ngx_str_t *text);


/* in the order of the Allow header */

static ngx_http_async_method_t  ngx_http_async_method_names[] = {
    { ngx_string("GET"), NGX_HTTP_GET },
    { ngx_string("HEAD"), NGX_HTTP_HEAD },
    { ngx_string("POST"), NGX_HTTP_POST },
    { ngx_string("PUT"), NGX_HTTP_PUT },
    { ngx_string("PATCH"), NGX_HTTP_PATCH },
    { ngx_string("DELETE"), NGX_HTTP_DELETE },
    { ngx_string("OPTIONS"), NGX_HTTP_OPTIONS },
    { ngx_string("TRACE"), NGX_HTTP_TRACE },
    { ngx_string("MKCOL"), NGX_HTTP_MKCOL },
    { ngx_string("COPY"), NGX_HTTP_COPY },
    { ngx_string("MOVE"), NGX_HTTP_MOVE },
    { ngx_string("PROPFIND"), NGX_HTTP_PROPFIND },
    { ngx_string("PROPPATCH"), NGX_HTTP_PROPPATCH },
    { ngx_string("LOCK"), NGX_HTTP_LOCK },
    { ngx_string("UNLOCK"), NGX_HTTP_UNLOCK },
    { ngx_null_string, 0 }
};


static ngx_str_t  ngx_http_async_ws_method = ngx_string("WS");


ngx_int_t
ngx_http_async_route_find(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_ref_t **ref,
    ngx_http_async_route_match_t *match)
{
    ngx_int_t    rc;
    ngx_uint_t   allow;
    const char  *why;

    *ref = NULL;

    if (conf->routes == NULL) {
        match->nparams = 0;
        *ref = conf->handler;
        return NGX_OK;
    }

    if (ngx_http_async_ws_asked(r)
        && ngx_http_async_route_tree_match(conf->routes, &r->uri,
                                           NGX_HTTP_ASYNC_WS, match)
           == NGX_OK)
    {
        *ref = match->value;
        return NGX_OK;
    }

    rc = ngx_http_async_route_tree_match(conf->routes, &r->uri, r->method,
                                         match);

    if (rc == NGX_ABORT && r->method == NGX_HTTP_HEAD) {
        allow = match->allow;
        rc = ngx_http_async_route_tree_match(conf->routes, &r->uri,
                                             NGX_HTTP_GET, match);
        match->allow |= allow;
    }

    if (rc == NGX_OK) {
        *ref = match->value;
        return NGX_OK;
    }

    if (rc == NGX_ABORT) {

        if (r->method == NGX_HTTP_GET && (match->allow & NGX_HTTP_ASYNC_WS)) {
            rc = ngx_http_async_ws_check(r, &why);
            return ngx_http_async_ws_refuse(r, conf, rc, why);
        }

        return ngx_http_async_not_allowed(r, conf, match->allow);
    }

    return ngx_http_async_not_found(r, conf, match);
}


ngx_http_async_route_param_t *
ngx_http_async_route_params(ngx_pool_t *pool,
    ngx_http_async_route_match_t *match)
{
    u_char                        *p;
    size_t                         size;
    ngx_uint_t                     i;
    ngx_http_async_route_param_t  *params;

    size = match->nparams * sizeof(ngx_http_async_route_param_t);

    for (i = 0; i < match->nparams; i++) {
        size += match->params[i].value.len + 1;
    }

    params = ngx_palloc(pool, size);
    if (params == NULL) {
        return NULL;
    }

    p = (u_char *) (params + match->nparams);

    for (i = 0; i < match->nparams; i++) {
        params[i].name = match->params[i].name;
        params[i].value.len = match->params[i].value.len;
        params[i].value.data = p;

        p = ngx_cpymem(p, match->params[i].value.data,
                       match->params[i].value.len);
        *p++ = '\0';
    }

    return params;
}


static ngx_int_t
ngx_http_async_not_allowed(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_uint_t allow)
{
    u_char                   *p;
    ngx_keyval_t              header;
    ngx_http_async_method_t  *m;

    if (allow & NGX_HTTP_GET) {
        allow |= NGX_HTTP_HEAD;
    }

    if (allow & NGX_HTTP_ASYNC_WS) {
        /* that is what a handshake is */
        allow |= NGX_HTTP_GET;
    }

    /* all names and separators take less */

    p = ngx_pnalloc(r->pool, 256);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&header.key, "Allow");
    header.value.data = p;

    for (m = ngx_http_async_method_names; m->name.len; m++) {

        if (!(allow & m->mask)) {
            continue;
        }

        if (p > header.value.data) {
            *p++ = ',';
            *p++ = ' ';
        }

        p = ngx_cpymem(p, m->name.data, m->name.len);
    }

    header.value.len = p - header.value.data;

    return ngx_http_async_send_error(r, conf, NGX_HTTP_NOT_ALLOWED, &header);
}


static ngx_int_t
ngx_http_async_not_found(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_route_match_t *match)
{
    ngx_str_t  uri;

    /* with a slash at the end, or without */

    uri.len = r->uri.len + 1;
    uri.data = ngx_pnalloc(r->pool, uri.len);

    if (uri.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(uri.data, r->uri.data, r->uri.len);
    uri.data[r->uri.len] = '/';

    if (r->uri.len && r->uri.data[r->uri.len - 1] == '/') {
        uri.len = r->uri.len - 1;
    }

    /* arguments that a "rewrite" has made may hold anything */

    if (uri.len && ngx_http_async_printable(&r->args)
        && ngx_http_async_route_tree_match(conf->routes, &uri, 0, match)
           == NGX_ABORT)
    {
        return ngx_http_async_slash_redirect(r, conf, &uri);
    }

    return ngx_http_async_send_error(r, conf, NGX_HTTP_NOT_FOUND, NULL);
}


static ngx_int_t
ngx_http_async_slash_redirect(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_str_t *uri)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   location;

    /* two slashes at the start would name another host */

    while (uri->len > 1 && uri->data[0] == '/' && uri->data[1] == '/') {
        uri->data++;
        uri->len--;
    }

    len = uri->len + r->args.len + 1
          + 2 * ngx_escape_uri(NULL, uri->data, uri->len, NGX_ESCAPE_URI);

    location.data = ngx_pnalloc(r->pool, len);
    if (location.data == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) ngx_escape_uri(location.data, uri->data, uri->len,
                                  NGX_ESCAPE_URI);
    if (r->args.len) {
        *p++ = '?';
        p = ngx_cpymem(p, r->args.data, r->args.len);
    }

    location.len = p - location.data;

    return ngx_http_async_send_redirect(r, conf,
                                        NGX_HTTP_TEMPORARY_REDIRECT,
                                        &location);
}


static ngx_uint_t
ngx_http_async_printable(ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] <= ' ' || text->data[i] == 0x7f) {
            return 0;
        }
    }

    return 1;
}


char *
ngx_http_async_route(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    char                  *rv;
    ngx_int_t              rc;
    ngx_str_t             *value, error;
    ngx_uint_t             methods;
    ngx_http_async_ref_t  *ref;

    value = cf->args->elts;

    if (lcf->handler) {
        return "cannot stand beside \"async_handler\", which takes every "
               "request of the location";
    }

    rv = ngx_http_async_route_alone(cf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_http_async_methods(cf, &value[1], &methods) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_async_route_inside(cf, &value[2]);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (lcf->routes == NULL) {
        lcf->routes = ngx_http_async_route_tree_create(cf->pool);
    }

    ref = ngx_http_async_app_ref(cf, &value[3],
                                 (methods == NGX_HTTP_ASYNC_WS)
                                     ? NGX_HTTP_ASYNC_KIND_WS
                                     : ASYNC_KIND_HANDLER);

    if (lcf->routes == NULL || ref == NULL
        || ngx_http_async_route_declared(cf, lcf, methods, &value[1],
                                         &value[2], ref)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ref->conf = lcf;
    ref->pattern = value[2];

    if (lcf->first == NULL) {
        lcf->first = ref;
    }

    rc = ngx_http_async_route_tree_add(lcf->routes, &value[2], methods, ref,
                                       &error);

    if (rc == NGX_AGAIN && methods == NGX_HTTP_ASYNC_ANY_METHOD) {
        /* "*" behind others means what they have left */
        return NGX_CONF_OK;
    }

    if (rc == NGX_DECLINED || rc == NGX_BUSY || rc == NGX_AGAIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "route \"%V %V\": %V",
                           &value[1], &value[2], &error);
        return NGX_CONF_ERROR;
    }

    return (rc == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_async_route_all(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    char       *rv;
    ngx_str_t  *value, none;

    value = cf->args->elts;

    if (lcf->handler) {
        return "is duplicate";
    }

    if (lcf->routes) {
        return "takes every request of the location, and cannot stand beside "
               "\"async_route\"";
    }

    rv = ngx_http_async_route_alone(cf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    lcf->handler = ngx_http_async_app_ref(cf, &value[1], ASYNC_KIND_HANDLER);

    if (lcf->handler == NULL) {
        return NGX_CONF_ERROR;
    }

    lcf->handler->conf = lcf;
    lcf->first = lcf->handler;

    ngx_str_null(&none);

    if (ngx_http_async_route_declared(cf, lcf, NGX_HTTP_ASYNC_ANY_METHOD,
                                      &none, &none, lcf->handler) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void *
ngx_http_async_route_create_conf(ngx_conf_t *cf)
{
    ngx_http_async_srv_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_srv_conf_t));

    if (conf == NULL
        || ngx_array_init(&conf->routes, cf->pool, 8,
                          sizeof(ngx_http_async_route_t)) != NGX_OK)
    {
        return NULL;
    }

    return conf;
}


static ngx_int_t
ngx_http_async_route_declared(ngx_conf_t *cf, ngx_http_async_loc_conf_t *lcf,
    ngx_uint_t methods, ngx_str_t *method, ngx_str_t *pattern,
    ngx_http_async_ref_t *ref)
{
    ngx_http_async_route_t     *route;
    ngx_http_async_srv_conf_t  *conf;

    conf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_async_module);

    route = ngx_array_push(&conf->routes);
    if (route == NULL) {
        return NGX_ERROR;
    }

    route->methods = methods;
    route->method = *method;
    route->pattern = *pattern;
    route->ref = ref;
    route->conf = lcf;
    route->location = ngx_http_conf_get_module_loc_conf(cf,
                                                        ngx_http_core_module);

    return NGX_OK;
}


char *
ngx_http_async_route_beside(ngx_conf_t *cf, ngx_http_async_loc_conf_t *lcf)
{
    if (lcf->routes || lcf->handler) {
        return "stands beside \"async_route\" or \"async_handler\", which "
               "answer the requests of the location";
    }

    return ngx_http_async_route_alone(cf);
}


/* What stands before is seen here, and what comes later by the merge. */

static char *
ngx_http_async_route_alone(ngx_conf_t *cf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    return clcf->handler ? "stands beside another directive that answers the "
                           "requests of the location"
                         : NGX_CONF_OK;
}


/* A route that its location never sees is a mistake. */

static char *
ngx_http_async_route_inside(ngx_conf_t *cf, ngx_str_t *pattern)
{
    size_t                     i;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

#if (NGX_PCRE)
    if (clcf->regex) {
        return NGX_CONF_OK;
    }
#endif

    if (clcf->named || clcf->noname) {
        return NGX_CONF_OK;
    }

    for (i = 0; i < clcf->name.len && i < pattern->len; i++) {

        if (pattern->data[i] == '{') {
            return NGX_CONF_OK;
        }

        if (pattern->data[i] != clcf->name.data[i]) {
            break;
        }
    }

    /* an exact location has no more than its name */

    if (i == clcf->name.len
        && (!clcf->exact_match || i == pattern->len || pattern->data[i] == '{'))
    {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "route \"%V\" never gets a request: it lies outside "
                       "of location \"%s%V\" (a pattern is of the whole URI)",
                       pattern, clcf->exact_match ? "= " : "", &clcf->name);

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_async_methods(ngx_conf_t *cf, ngx_str_t *list, ngx_uint_t *mask)
{
    u_char  *p, *end, *next;

    *mask = 0;

    if (list->len == 1 && list->data[0] == '*') {
        *mask = NGX_HTTP_ASYNC_ANY_METHOD;
        return NGX_OK;
    }

    if (list->len == 2 && ngx_strncmp(list->data, "WS", 2) == 0) {
        *mask = NGX_HTTP_ASYNC_WS;
        return NGX_OK;
    }

    end = list->data + list->len;

    for (p = list->data; p <= end; p = next + 1) {

        next = ngx_strlchr(p, end, ',');
        if (next == NULL) {
            next = end;
        }

        if (ngx_http_async_method(cf, p, next, mask) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_method(ngx_conf_t *cf, u_char *p, u_char *end,
    ngx_uint_t *mask)
{
    ngx_str_t                 word;
    ngx_async_near_t     near;
    ngx_http_async_method_t  *m;

    word.data = p;
    word.len = end - p;

    ngx_async_near_init(&near, &word);

    for (m = ngx_http_async_method_names; m->name.len; m++) {

        if (m->name.len == word.len
            && ngx_strncmp(m->name.data, word.data, word.len) == 0)
        {
            *mask |= m->mask;
            return NGX_OK;
        }

        ngx_async_near_offer(&near, &m->name);
    }

    if (word.len == ngx_http_async_ws_method.len
        && ngx_strncmp(word.data, ngx_http_async_ws_method.data, word.len)
           == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"WS\" stands alone: its handler speaks "
                           "WebSocket, other methods have a route beside it");
        return NGX_ERROR;
    }

    ngx_async_near_offer(&near, &ngx_http_async_ws_method);

    if (near.best) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown method \"%V\", did you mean \"%V\"?",
                           &word, near.best);
    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown method \"%V\": methods are as in "
                           "\"GET\", \"GET,POST\", \"*\" or \"WS\"", &word);
    }

    return NGX_ERROR;
}
