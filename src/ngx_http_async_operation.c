
/*
 * Copyright (C) the nginx-async authors
 *
 * One route as operations of the OpenAPI document: what its handler and the
 * dependencies of that declare, in the form of FastAPI.
 */

#include <ngx_http_async_openapi.h>


/* of alternatives that are combined, the most that are listed */
#define NGX_HTTP_ASYNC_OPERATION_WAYS  64


typedef struct {
    ngx_str_t    name;
    ngx_uint_t   mask;
} ngx_http_async_operation_method_t;


static void ngx_http_async_operation_walk(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, const async_export_t *exported);
static const async_attribute_t *ngx_http_async_operation_own(
    ngx_http_async_operation_t *op, int kind);
static ngx_int_t ngx_http_async_operation_path(
    ngx_http_async_openapi_doc_t *doc, ngx_http_async_operation_t *op);
static ngx_uint_t ngx_http_async_operation_method(
    ngx_http_async_operation_t *op, json_t *methods,
    ngx_http_async_operation_method_t *m);
static json_t *ngx_http_async_operation_make(
    ngx_http_async_openapi_doc_t *doc, ngx_http_async_operation_t *op,
    ngx_str_t *method);
static char *ngx_http_async_operation_id(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, ngx_str_t *method);
static char *ngx_http_async_operation_id_made(
    ngx_http_async_openapi_doc_t *doc, ngx_http_async_operation_t *op,
    ngx_str_t *method);
static json_t *ngx_http_async_operation_security(
    ngx_http_async_openapi_doc_t *doc, ngx_http_async_operation_t *op);
static json_t *ngx_http_async_operation_combine(
    ngx_http_async_openapi_doc_t *doc, json_t *ways, json_t *schemes);
static void ngx_http_async_operation_scheme(ngx_http_async_openapi_doc_t *doc,
    const async_attribute_t *a);


/* those that OpenAPI has; "*" is the first of them that is left */

static ngx_http_async_operation_method_t  ngx_http_async_operation_methods[] =
{
    { ngx_string("get"), NGX_HTTP_GET },
    { ngx_string("post"), NGX_HTTP_POST },
    { ngx_string("put"), NGX_HTTP_PUT },
    { ngx_string("patch"), NGX_HTTP_PATCH },
    { ngx_string("delete"), NGX_HTTP_DELETE },
    { ngx_string("options"), NGX_HTTP_OPTIONS },
    { ngx_string("head"), NGX_HTTP_HEAD },
    { ngx_string("trace"), NGX_HTTP_TRACE },
    { ngx_null_string, 0 }
};


ngx_int_t
ngx_http_async_operation_init(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, ngx_http_async_route_t *route)
{
    ngx_uint_t              i;
    ngx_array_t            *depends;
    ngx_http_async_fn_t    *fn;
    ngx_http_async_ref_t  **on;

    if (route->methods == NGX_HTTP_ASYNC_WS) {
        /* OpenAPI has no place for conversations */
        return NGX_DECLINED;
    }

    fn = route->ref->fn;

    ngx_memzero(op, sizeof(ngx_http_async_operation_t));

    op->route = route;
    op->name = (const char *) fn->name.data + fn->app->name.len + 1;

    if (ngx_array_init(&op->functions, doc->pool, 4,
                       sizeof(const async_export_t *)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (fn->exported) {
        ngx_http_async_operation_walk(doc, op, fn->exported);
    }

    depends = route->conf->depends;
    on = depends ? depends->elts : NULL;

    for (i = 0; fn->exported && depends && i < depends->nelts; i++) {
        if (on[i]->fn->exported) {
            ngx_http_async_operation_walk(doc, op, on[i]->fn->exported);
        }
    }

    if (route->location->internal
        || ngx_http_async_operation_own(op, ASYNC_ATTRIBUTE_HIDDEN))
    {
        return NGX_DECLINED;
    }

    return ngx_http_async_operation_path(doc, op);
}


static void
ngx_http_async_operation_walk(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, const async_export_t *exported)
{
    ngx_uint_t                 i;
    const async_export_t     **fn;
    const async_attribute_t   *a;

    fn = op->functions.elts;

    for (i = 0; i < op->functions.nelts; i++) {
        if (fn[i] == exported) {
            return;
        }
    }

    fn = ngx_array_push(&op->functions);

    if (fn == NULL) {
        doc->failed = exported->name;
        return;
    }

    *fn = exported;

    for (a = ngx_http_async_operation_attributes(exported); a->kind; a++) {
        if (a->kind == ASYNC_ATTRIBUTE_DEPENDS) {
            ngx_http_async_operation_walk(doc, op, a->data);
        }
    }
}


const async_attribute_t *
ngx_http_async_operation_attributes(const async_export_t *exported)
{
    static const async_attribute_t  none = ASYNC_NO_MORE_;

    if (exported->size < offsetof(async_export_t, attributes)
                         + sizeof(const async_attribute_t *)
        || exported->attributes == NULL)
    {
        return &none;
    }

    return exported->attributes;
}


/* the first of the kind that the handler itself has */

static const async_attribute_t *
ngx_http_async_operation_own(ngx_http_async_operation_t *op, int kind)
{
    const async_export_t    **fn;
    const async_attribute_t  *a;

    if (op->functions.nelts == 0) {
        return NULL;
    }

    fn = op->functions.elts;

    for (a = ngx_http_async_operation_attributes(fn[0]); a->kind; a++) {
        if (a->kind == kind) {
            return a;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_async_operation_path(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op)
{
    u_char                       *p;
    ngx_str_t                     error;
    ngx_uint_t                    i;
    ngx_array_t                  *parts;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_async_route_part_t  *part;

    clcf = op->route->location;

    if (op->route->pattern.data == NULL) {

        if (clcf->named || clcf->noname || clcf->name.len == 0
            || clcf->name.data[0] != '/')
        {
            return NGX_DECLINED;
        }

#if (NGX_PCRE)
        if (clcf->regex) {
            return NGX_DECLINED;
        }
#endif

        op->path = clcf->name;
        return NGX_OK;
    }

    parts = ngx_http_async_route_parse(doc->pool, &op->route->pattern, &error);
    op->path.data = ngx_pnalloc(doc->pool, op->route->pattern.len);

    if (parts == NULL || op->path.data == NULL) {
        return NGX_ERROR;
    }

    op->parts = *parts;
    p = op->path.data;
    part = parts->elts;

    for (i = 0; i < parts->nelts; i++) {
        p = (part[i].kind == NGX_HTTP_ASYNC_ROUTE_LITERAL)
                ? ngx_cpymem(p, part[i].text.data, part[i].text.len)
                : ngx_sprintf(p, "{%V}", &part[i].text);
    }

    op->path.len = p - op->path.data;

    return NGX_OK;
}


char *
ngx_http_async_operation_shape(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op)
{
    u_char                       *shape, *p;
    ngx_uint_t                    i;
    ngx_http_async_route_part_t  *part;

    shape = ngx_pnalloc(doc->pool, op->path.len + 1);
    if (shape == NULL) {
        return NULL;
    }

    p = shape;
    part = op->parts.elts;

    for (i = 0; i < op->parts.nelts; i++) {
        p = (part[i].kind == NGX_HTTP_ASYNC_ROUTE_LITERAL)
                ? ngx_cpymem(p, part[i].text.data, part[i].text.len)
                : ngx_cpymem(p, "{}", 2);
    }

    *p = '\0';

    return (char *) shape;
}


void
ngx_http_async_operation_note(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op)
{
    size_t                     i;
    ngx_uint_t                 n;
    async_field_t              field;
    const async_model_t       *model;
    const async_export_t     **fn;
    const async_attribute_t   *a;

    doc->app = op->route->ref->fn->app;
    fn = op->functions.elts;

    for (n = 0; n < op->functions.nelts; n++) {

        for (a = ngx_http_async_operation_attributes(fn[n]); a->kind; a++) {
            model = a->data;

            switch (a->kind) {

            case ASYNC_ATTRIBUTE_BODY:
            case ASYNC_ATTRIBUTE_FORM:
                ngx_http_async_openapi_note(doc, model, 0);
                break;

            case ASYNC_ATTRIBUTE_RESPONSE:
            case ASYNC_ATTRIBUTE_RESPONSE_LIST:
                ngx_http_async_openapi_note(doc, model, 1);
                break;

            case ASYNC_ATTRIBUTE_PARAMS:

                /* its fields stand for themselves, and what is in them not */

                for (i = 0; i < model->n; i++) {
                    ngx_http_async_openapi_field_at(model, i, &field);

                    if (field.model) {
                        ngx_http_async_openapi_note(doc, field.model, 0);
                    }
                }

                break;
            }
        }
    }
}


void
ngx_http_async_operation_write(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, json_t *paths)
{
    char                               *path;
    json_t                             *methods;
    ngx_str_t                          *own;
    ngx_http_async_operation_method_t  *m;

    own = op->shared ? &op->shared->path : &op->path;
    path = (char *) ngx_pnalloc(doc->pool, own->len + 1);

    if (path == NULL) {
        doc->failed = op->name;
        return;
    }

    ngx_sprintf((u_char *) path, "%V%Z", own);

    methods = json_object_get(paths, path);

    if (methods == NULL) {
        methods = json_object();
        ngx_http_async_openapi_set(doc, paths, path, methods);
    }

    for (m = ngx_http_async_operation_methods; m->name.len; m++) {

        if (!ngx_http_async_operation_method(op, methods, m)) {
            continue;
        }

        ngx_http_async_openapi_set(doc, methods, (char *) m->name.data,
                ngx_http_async_operation_make(doc, op, &m->name));

        if (op->route->methods == NGX_HTTP_ASYNC_ANY_METHOD) {
            break;
        }
    }

    if (json_object_size(methods) == 0) {
        json_object_del(paths, path);
    }
}


/* Whether the operation is shown with that method: an earlier route wins. */

static ngx_uint_t
ngx_http_async_operation_method(ngx_http_async_operation_t *op,
    json_t *methods, ngx_http_async_operation_method_t *m)
{
    if (!(op->route->methods & m->mask)
        || json_object_get(methods, (char *) m->name.data))
    {
        return 0;
    }

    /* who takes every method and a body is better shown with one */

    return op->route->methods != NGX_HTTP_ASYNC_ANY_METHOD
           || m->mask != NGX_HTTP_GET
           || (!ngx_http_async_operation_own(op, ASYNC_ATTRIBUTE_BODY)
               && !ngx_http_async_operation_own(op, ASYNC_ATTRIBUTE_FORM));
}


static json_t *
ngx_http_async_operation_make(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, ngx_str_t *method)
{
    json_t                    *o, *tags, *params, *body, *security;
    const async_export_t     **fn;
    const async_attribute_t   *a;

    o = json_object();
    tags = json_array();
    fn = op->functions.elts;

    if (op->functions.nelts) {
        for (a = ngx_http_async_operation_attributes(fn[0]); a->kind; a++) {
            if (a->kind == ASYNC_ATTRIBUTE_TAG) {
                ngx_http_async_openapi_push(doc, tags, json_string(a->text));
            }
        }
    }

    if (json_array_size(tags)) {
        ngx_http_async_openapi_set(doc, o, "tags", json_incref(tags));
    }

    json_decref(tags);

    a = ngx_http_async_operation_own(op, ASYNC_ATTRIBUTE_SUMMARY);

    ngx_http_async_openapi_set(doc, o, "summary",
            a ? json_string(a->text)
              : ngx_http_async_openapi_title(doc, (u_char *) op->name,
                                             ngx_strlen(op->name)));

    a = ngx_http_async_operation_own(op, ASYNC_ATTRIBUTE_DESCRIPTION);

    if (a) {
        ngx_http_async_openapi_set(doc, o, "description",
                                   json_string(a->text));
    }

    ngx_http_async_openapi_set(doc, o, "operationId",
            json_string(ngx_http_async_operation_id(doc, op, method)));

    params = ngx_http_async_operation_params(doc, op);

    if (params) {
        ngx_http_async_openapi_set(doc, o, "parameters", params);
    }

    body = ngx_http_async_operation_body(doc, op);

    if (body) {
        ngx_http_async_openapi_set(doc, o, "requestBody", body);
    }

    ngx_http_async_openapi_set(doc, o, "responses",
            ngx_http_async_operation_responses(doc, op, params || body));

    if (ngx_http_async_operation_own(op, ASYNC_ATTRIBUTE_DEPRECATED)) {
        ngx_http_async_openapi_set(doc, o, "deprecated", json_true());
    }

    security = ngx_http_async_operation_security(doc, op);

    if (security) {
        ngx_http_async_openapi_set(doc, o, "security", security);
    }

    return o;
}


/* No two operations have the same; NULL: no memory. */

static char *
ngx_http_async_operation_id(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, ngx_str_t *method)
{
    char                     *id, *name;
    size_t                    size;
    ngx_uint_t                n;
    const async_attribute_t  *a;

    a = ngx_http_async_operation_own(op, ASYNC_ATTRIBUTE_OPERATION);

    name = a ? (char *) a->text
             : ngx_http_async_operation_id_made(doc, op, method);

    if (name == NULL) {
        return NULL;
    }

    size = ngx_strlen(name) + method->len + NGX_INT_T_LEN + 3;
    id = ngx_pnalloc(doc->pool, size);

    if (id == NULL) {
        return NULL;
    }

    ngx_sprintf((u_char *) id, "%s%Z", name);

    if (json_object_get(doc->ids, id) && a) {
        ngx_sprintf((u_char *) id, "%s_%V%Z", name, method);
    }

    for (n = 2; json_object_get(doc->ids, id); n++) {
        ngx_sprintf((u_char *) id, "%s_%V_%ui%Z", name, method, n);
    }

    ngx_http_async_openapi_set(doc, doc->ids, id, json_true());

    return id;
}


/* as FastAPI: of the function, the path and the method */

static char *
ngx_http_async_operation_id_made(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, ngx_str_t *method)
{
    u_char  *id, *p, c;

    id = ngx_pnalloc(doc->pool, ngx_strlen(op->name) + op->path.len
                                + method->len + 2);
    if (id == NULL) {
        return NULL;
    }

    ngx_sprintf(id, "%s%V_%V%Z", op->name, &op->path, method);

    for (p = id; *p; p++) {
        c = ngx_tolower(*p);

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9')) {
            *p = '_';
        }
    }

    return (char *) id;
}


/*
 * A function that has several schemes takes any of them; of several functions
 * each must be content.  NULL: there are none.
 */

static json_t *
ngx_http_async_operation_security(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op)
{
    json_t                    *ways, *schemes;
    ngx_uint_t                 i;
    const async_export_t     **fn;
    const async_attribute_t   *a;

    ways = NULL;
    fn = op->functions.elts;

    for (i = 0; i < op->functions.nelts; i++) {

        schemes = json_array();

        for (a = ngx_http_async_operation_attributes(fn[i]); a->kind; a++) {

            if (a->kind == ASYNC_ATTRIBUTE_BEARER
                || a->kind == ASYNC_ATTRIBUTE_BASIC
                || a->kind == ASYNC_ATTRIBUTE_KEY)
            {
                ngx_http_async_operation_scheme(doc, a);
                ngx_http_async_openapi_push(doc, schemes,
                                            json_string(a->text));
            }
        }

        ways = ngx_http_async_operation_combine(doc, ways, schemes);
    }

    return ways;
}


/* steals both */

static json_t *
ngx_http_async_operation_combine(ngx_http_async_openapi_doc_t *doc,
    json_t *ways, json_t *schemes)
{
    size_t   i, j;
    json_t  *all, *way, *scheme;

    if (json_array_size(schemes) == 0) {
        json_decref(schemes);
        return ways;
    }

    if (ways == NULL) {
        ways = json_array();
        ngx_http_async_openapi_push(doc, ways, json_object());
    }

    all = json_array();

    json_array_foreach(ways, i, way) {
        json_array_foreach(schemes, j, scheme) {

            if (json_array_size(all) == NGX_HTTP_ASYNC_OPERATION_WAYS) {
                break;
            }

            ngx_http_async_openapi_push(doc, all, json_copy(way));
            ngx_http_async_openapi_set(doc,
                                json_array_get(all, json_array_size(all) - 1),
                                json_string_value(scheme), json_array());
        }
    }

    json_decref(ways);
    json_decref(schemes);

    return all;
}


static void
ngx_http_async_operation_scheme(ngx_http_async_openapi_doc_t *doc,
    const async_attribute_t *a)
{
    json_t  *scheme;

    scheme = json_object();

    if (a->kind == ASYNC_ATTRIBUTE_KEY) {
        ngx_http_async_openapi_set(doc, scheme, "type",
                                   json_string("apiKey"));
        ngx_http_async_openapi_set(doc, scheme, "in",
                json_string(a->number >= ASYNC_IN_PATH
                            && a->number <= ASYNC_IN_COOKIE
                            ? ngx_http_async_operation_places[a->number]
                            : NULL));
        ngx_http_async_openapi_set(doc, scheme, "name", json_string(a->more));

    } else {
        ngx_http_async_openapi_set(doc, scheme, "type", json_string("http"));
        ngx_http_async_openapi_set(doc, scheme, "scheme",
                json_string(a->kind == ASYNC_ATTRIBUTE_BASIC ? "basic"
                                                             : "bearer"));
    }

    ngx_http_async_openapi_set(doc, doc->security, a->text, scheme);
}
