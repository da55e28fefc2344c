
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_openapi, and the document as a whole.
 */

#include <ngx_http_async_openapi.h>
#include <ngx_http_async_response.h>
#include <ngx_http_async_value.h>
#include <ngx_async_near.h>
#include <ngx_md5.h>


static ngx_int_t ngx_http_async_openapi_make(
    ngx_http_async_openapi_conf_t *conf, ngx_log_t *log);
static json_t *ngx_http_async_openapi_tree(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_openapi_conf_t *conf);
static void ngx_http_async_openapi_paths(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_srv_conf_t *server, json_t *paths);
static void ngx_http_async_openapi_share(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, ngx_uint_t n);
static json_t *ngx_http_async_openapi_info(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_openapi_conf_t *conf);
static void ngx_http_async_openapi_invalid(ngx_http_async_openapi_doc_t *doc,
    json_t *schemas);
static char *ngx_http_async_openapi_arg(ngx_conf_t *cf,
    ngx_http_async_openapi_conf_t *conf, ngx_str_t *arg);


static ngx_keyval_t  ngx_http_async_openapi_headers[] = {
    { ngx_null_string, ngx_null_string }
};

static ngx_str_t  ngx_http_async_openapi_type =
    ngx_string("application/json");

static ngx_str_t  ngx_http_async_openapi_args[] = {
    ngx_string("title="), ngx_string("version="), ngx_string("description=")
};

#define NGX_HTTP_ASYNC_OPENAPI_ARGS  3


/* of FastAPI; its order and titles, too */

static const char  ngx_http_async_openapi_error[] =
    "{\"properties\":{"
    "\"loc\":{\"items\":{\"anyOf\":[{\"type\":\"string\"},"
    "{\"type\":\"integer\"}]},\"type\":\"array\",\"title\":\"Location\"},"
    "\"msg\":{\"type\":\"string\",\"title\":\"Message\"},"
    "\"type\":{\"type\":\"string\",\"title\":\"Error Type\"},"
    "\"input\":{\"title\":\"Input\"},"
    "\"ctx\":{\"type\":\"object\",\"title\":\"Context\"}},"
    "\"type\":\"object\",\"required\":[\"loc\",\"msg\",\"type\"],"
    "\"title\":\"ValidationError\"}";

static const char  ngx_http_async_openapi_errors[] =
    "{\"properties\":{\"detail\":{\"items\":"
    "{\"$ref\":\"#/components/schemas/ValidationError\"},"
    "\"type\":\"array\",\"title\":\"Detail\"}},"
    "\"type\":\"object\",\"title\":\"HTTPValidationError\"}";


ngx_int_t
ngx_http_async_openapi_handler(ngx_http_request_t *r)
{
    ngx_http_async_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);

    if (lcf->openapi->doc.etag.data == NULL
        && ngx_http_async_openapi_make(lcf->openapi, r->connection->log)
           != NGX_OK)
    {
        return ngx_http_async_send_error(r, lcf,
                                         NGX_HTTP_INTERNAL_SERVER_ERROR,
                                         NULL);
    }

    return ngx_http_async_doc_send(r, &lcf->openapi->doc,
                                   &ngx_http_async_openapi_type,
                                   ngx_http_async_openapi_headers);
}


ngx_int_t
ngx_http_async_doc_send(ngx_http_request_t *r, ngx_http_async_doc_t *doc,
    ngx_str_t *type, ngx_keyval_t *headers)
{
    ngx_int_t                   rc;
    ngx_uint_t                  n;
    ngx_keyval_t                allow, set[8];
    ngx_http_async_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_async_module);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        ngx_str_set(&allow.key, "Allow");
        ngx_str_set(&allow.value, "GET, HEAD");

        return ngx_http_async_send_error(r, lcf, NGX_HTTP_NOT_ALLOWED, &allow);
    }

    ngx_memzero(set, sizeof(set));

    ngx_str_set(&set[0].key, "ETag");
    set[0].value = doc->etag;
    ngx_str_set(&set[1].key, "Cache-Control");
    ngx_str_set(&set[1].value, "no-cache");
    n = 2;

    if (doc->coding.data) {
        ngx_str_set(&set[n].key, "Content-Encoding");
        set[n++].value = doc->coding;
    }

    for ( /* void */ ; headers->key.len && n < 7; headers++) {
        set[n++] = *headers;
    }

    return ngx_http_async_send_text(r, lcf, type, &doc->text, set);
}


ngx_int_t
ngx_http_async_doc_etag(ngx_http_async_doc_t *doc, ngx_pool_t *pool)
{
    u_char     *p, hash[16];
    ngx_md5_t   md5;

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, doc->text.data, doc->text.len);
    ngx_md5_final(hash, &md5);

    p = ngx_pnalloc(pool, 2 * sizeof(hash) + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p[0] = '"';
    *ngx_hex_dump(p + 1, hash, sizeof(hash)) = '"';

    doc->etag.data = p;
    doc->etag.len = 2 * sizeof(hash) + 2;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_openapi_make(ngx_http_async_openapi_conf_t *conf,
    ngx_log_t *log)
{
    json_t                        *tree;
    ngx_int_t                      rc;
    ngx_str_t                      text;
    ngx_uint_t                     depth;
    const char                    *error;
    ngx_http_async_openapi_doc_t   doc;

    ngx_memzero(&doc, sizeof(ngx_http_async_openapi_doc_t));

    doc.pool = ngx_create_pool(4096, log);
    if (doc.pool == NULL) {
        return NGX_ERROR;
    }

    doc.ids = json_object();
    doc.security = json_object();

    rc = NGX_ERROR;
    error = NULL;

    tree = ngx_http_async_openapi_tree(&doc, conf);

    if (doc.failed == NULL) {
        rc = ngx_http_async_json_encode(doc.pool, tree, &text, &depth, &error);
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "the OpenAPI document could not be made: %s%s",
                      doc.failed ? "no memory, or no UTF-8, at " : error,
                      doc.failed ? doc.failed : "");
        rc = NGX_ERROR;
        goto failed;
    }

    rc = NGX_ERROR;

    conf->doc.text.data = ngx_pstrdup(conf->pool, &text);
    conf->doc.text.len = text.len;

    if (conf->doc.text.data) {
        rc = ngx_http_async_doc_etag(&conf->doc, conf->pool);
    }

failed:

    json_decref(tree);
    json_decref(doc.ids);
    json_decref(doc.security);
    ngx_destroy_pool(doc.pool);

    return rc;
}


static json_t *
ngx_http_async_openapi_tree(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_openapi_conf_t *conf)
{
    json_t  *tree, *paths, *components, *schemas;

    tree = json_object();
    paths = json_object();
    components = json_object();

    ngx_http_async_openapi_set(doc, tree, "openapi", json_string("3.1.0"));
    ngx_http_async_openapi_set(doc, tree, "info",
                               ngx_http_async_openapi_info(doc, conf));

    if (ngx_array_init(&doc->models, doc->pool, 8,
                       sizeof(ngx_http_async_openapi_model_t *)) != NGX_OK)
    {
        doc->failed = "models";
    }

    if (doc->failed == NULL) {
        ngx_http_async_openapi_paths(doc, conf->server, paths);
    }

    ngx_http_async_openapi_set(doc, tree, "paths", paths);

    if (doc->failed) {
        json_decref(components);
        return tree;
    }

    schemas = ngx_http_async_openapi_schemas(doc);

    if (doc->invalid) {
        ngx_http_async_openapi_invalid(doc, schemas);
    }

    if (json_object_size(schemas)) {
        ngx_http_async_openapi_set(doc, components, "schemas",
                                   json_incref(schemas));
    }

    json_decref(schemas);

    if (json_object_size(doc->security)) {
        ngx_http_async_openapi_set(doc, components, "securitySchemes",
                                   json_incref(doc->security));
    }

    if (json_object_size(components)) {
        ngx_http_async_openapi_set(doc, tree, "components",
                                   json_incref(components));
    }

    json_decref(components);

    return tree;
}


static void
ngx_http_async_openapi_paths(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_srv_conf_t *server, json_t *paths)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i, n;
    ngx_http_async_route_t      *route;
    ngx_http_async_operation_t  *op;

    route = server->routes.elts;

    op = ngx_palloc(doc->pool, (server->routes.nelts + 1)
                               * sizeof(ngx_http_async_operation_t));
    if (op == NULL) {
        doc->failed = "paths";
        return;
    }

    n = 0;

    for (i = 0; i < server->routes.nelts; i++) {
        rc = ngx_http_async_operation_init(doc, &op[n], &route[i]);

        if (rc == NGX_ERROR) {
            doc->failed = (char *) route[i].ref->name.data;
            return;
        }

        if (rc == NGX_OK) {
            ngx_http_async_operation_note(doc, &op[n++]);
        }
    }

    ngx_http_async_openapi_names(doc);
    ngx_http_async_openapi_share(doc, op, n);

    for (i = 0; i < n; i++) {
        ngx_http_async_operation_write(doc, &op[i], paths);
    }
}


/*
 * To OpenAPI paths that differ in the names of parameters alone are the same:
 * all of them have the names of the first.
 */

static void
ngx_http_async_openapi_share(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, ngx_uint_t n)
{
    char        *shape;
    json_t      *shapes, *first;
    ngx_uint_t   i;

    shapes = json_object();

    for (i = 0; i < n && doc->failed == NULL; i++) {

        if (op[i].parts.nelts == 0) {
            continue;
        }

        shape = ngx_http_async_operation_shape(doc, &op[i]);

        if (shape == NULL) {
            doc->failed = op[i].name;
            break;
        }

        first = json_object_get(shapes, shape);

        if (first) {
            op[i].shared = &op[json_integer_value(first)];
            continue;
        }

        ngx_http_async_openapi_set(doc, shapes, shape, json_integer(i));
    }

    json_decref(shapes);
}


static json_t *
ngx_http_async_openapi_info(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_openapi_conf_t *conf)
{
    json_t  *info;

    info = json_object();

    ngx_http_async_openapi_set(doc, info, "title",
            json_stringn((char *) conf->title.data, conf->title.len));

    if (conf->description.len) {
        ngx_http_async_openapi_set(doc, info, "description",
                json_stringn((char *) conf->description.data,
                             conf->description.len));
    }

    ngx_http_async_openapi_set(doc, info, "version",
            json_stringn((char *) conf->version.data, conf->version.len));

    return info;
}


static void
ngx_http_async_openapi_invalid(ngx_http_async_openapi_doc_t *doc,
    json_t *schemas)
{
    ngx_http_async_openapi_set(doc, schemas, "HTTPValidationError",
            json_loads(ngx_http_async_openapi_errors, 0, NULL));
    ngx_http_async_openapi_set(doc, schemas, "ValidationError",
            json_loads(ngx_http_async_openapi_error, 0, NULL));
}


char *
ngx_http_async_openapi(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    char                           *rv;
    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_async_srv_conf_t      *scf;
    ngx_http_async_openapi_conf_t  *oacf;

    if (lcf->openapi) {
        return "is duplicate";
    }

    rv = ngx_http_async_route_beside(cf, lcf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    scf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_async_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    oacf = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_openapi_conf_t));
    if (oacf == NULL) {
        return NGX_CONF_ERROR;
    }

    oacf->pool = cf->pool;
    oacf->file = cf->conf_file->file.name.data;
    oacf->line = cf->conf_file->line;
    oacf->server = scf;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_async_openapi_arg(cf, oacf, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (oacf->title.data == NULL) {
        ngx_str_set(&oacf->title, "nginx-async");
    }

    if (oacf->version.data == NULL) {
        ngx_str_set(&oacf->version, "0.1.0");
    }

    /* the first one is what async_docs shows */

    if (scf->openapi.data == NULL && clcf->name.len
        && clcf->name.data[0] == '/')
    {
        scf->openapi = clcf->name;
    }

    lcf->openapi = oacf;
    clcf->handler = ngx_http_async_openapi_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_openapi_arg(ngx_conf_t *cf,
    ngx_http_async_openapi_conf_t *conf, ngx_str_t *arg)
{
    u_char           *p;
    ngx_str_t         word, *places[NGX_HTTP_ASYNC_OPENAPI_ARGS];
    ngx_uint_t        i;
    const ngx_str_t  *near;

    places[0] = &conf->title;
    places[1] = &conf->version;
    places[2] = &conf->description;

    for (i = 0; i < NGX_HTTP_ASYNC_OPENAPI_ARGS; i++) {
        word = ngx_http_async_openapi_args[i];

        if (ngx_strncmp(arg->data, word.data, word.len) != 0) {
            continue;
        }

        if (places[i]->data) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is there twice",
                               &word);
            return NGX_CONF_ERROR;
        }

        places[i]->data = arg->data + word.len;
        places[i]->len = arg->len - word.len;

        if (!ngx_http_async_value_is_utf8(places[i]->data,
                                          places[i]->data + places[i]->len))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is no UTF-8",
                               arg);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    p = ngx_strlchr(arg->data, arg->data + arg->len, '=');

    word.data = arg->data;
    word.len = p ? (size_t) (p + 1 - arg->data) : arg->len;

    near = ngx_async_near(&word, ngx_http_async_openapi_args,
                          NGX_HTTP_ASYNC_OPENAPI_ARGS);

    if (near) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown parameter \"%V\", did you mean \"%V\"?",
                           &word, near);
    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown parameter \"%V\", there are \"title=\", "
                           "\"version=\" and \"description=\"", &word);
    }

    return NGX_CONF_ERROR;
}
