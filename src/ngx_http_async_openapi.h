
/*
 * Copyright (C) the nginx-async authors
 *
 * OpenAPI: the document of the routes of a server, made of what the handlers
 * and models of its apps say of themselves.  Made once a worker, on the loop's
 * stack, as a tree of jansson's; answered by the directive async_openapi.
 */

#ifndef _NGX_HTTP_ASYNC_OPENAPI_H_INCLUDED_
#define _NGX_HTTP_ASYNC_OPENAPI_H_INCLUDED_


#include <ngx_http_async_json.h>
#include <ngx_http_async_model.h>
#include <ngx_http_async_route.h>


/* Text that is the same for everyone, with what tells its versions apart. */

typedef struct {
    ngx_str_t                   text;
    ngx_str_t                   etag;         /* no data: not made yet */
    ngx_str_t                   coding;       /* no data: none */
} ngx_http_async_doc_t;


/* Sends it to a GET or HEAD, and 405 to others; headers as of _send_text(). */
ngx_int_t ngx_http_async_doc_send(ngx_http_request_t *r,
    ngx_http_async_doc_t *doc, ngx_str_t *type, ngx_keyval_t *headers);
ngx_int_t ngx_http_async_doc_etag(ngx_http_async_doc_t *doc, ngx_pool_t *pool);


struct ngx_http_async_openapi_conf_s {
    ngx_pool_t                 *pool;         /* of the configuration */
    u_char                     *file;
    ngx_uint_t                  line;
    ngx_str_t                   title;
    ngx_str_t                   version;
    ngx_str_t                   description;

    ngx_http_async_srv_conf_t  *server;
    ngx_http_async_doc_t        doc;          /* of this worker */
};


char *ngx_http_async_openapi(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_async_openapi_handler(ngx_http_request_t *r);


/* A model that the document has, and for what: reading, writing, or both. */

typedef struct {
    const async_model_t        *model;
    ngx_http_async_app_t       *app;
    const char                 *name;

    unsigned                    read:1;
    unsigned                    written:1;
    unsigned                    lenient:1;    /* what is read may lack fields */
} ngx_http_async_openapi_model_t;


/* The document in the making. */

typedef struct {
    ngx_pool_t                 *pool;         /* gone when it is made */
    ngx_http_async_app_t       *app;          /* of the operation */
    ngx_array_t                 models;       /* see above; pointers */
    json_t                     *ids;          /* operations, by operationId */
    json_t                     *security;     /* the schemes, by name */

    const char                 *failed;       /* where: no memory, no UTF-8 */
    ngx_uint_t                  invalid;      /* the 422 is referred to */
} ngx_http_async_openapi_doc_t;


/* For an operation, once its attributes and those of its dependencies are
 * known: all of them are noted before the first is written. */

typedef struct ngx_http_async_operation_s  ngx_http_async_operation_t;

struct ngx_http_async_operation_s {
    ngx_http_async_route_t     *route;
    ngx_array_t                 parts;        /* of the route's pattern */
    ngx_str_t                   path;         /* in the document */
    const char                 *name;         /* of the handler */
    ngx_http_async_operation_t *shared;       /* whose path it has; NULL: its
                                                 own */

    ngx_array_t                 functions;    /* of async_export_t *; itself
                                                 first, and all different */
};


/* ngx_http_async_openapi_schema.c */

/* Notes that the document has a model, and those in it. */
void ngx_http_async_openapi_note(ngx_http_async_openapi_doc_t *doc,
    const async_model_t *model, ngx_uint_t written);

/* Gives names to those noted. */
void ngx_http_async_openapi_names(ngx_http_async_openapi_doc_t *doc);

/* {"$ref": ...} */
json_t *ngx_http_async_openapi_ref(ngx_http_async_openapi_doc_t *doc,
    const async_model_t *model, ngx_uint_t written);

/* What stands behind the references. */
json_t *ngx_http_async_openapi_schemas(ngx_http_async_openapi_doc_t *doc);

/* Of a field, or of a parameter that no model has. */
json_t *ngx_http_async_openapi_field(ngx_http_async_openapi_doc_t *doc,
    const async_field_t *field, ngx_str_t *name, ngx_uint_t written);
json_t *ngx_http_async_openapi_converter(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_route_part_t *part);

/* A copy that has all attributes which this module knows. */
void ngx_http_async_openapi_field_at(const async_model_t *model, size_t i,
    async_field_t *field);

/* Whether it must be there when it is read. */
ngx_uint_t ngx_http_async_openapi_required(const async_field_t *field);

/* "note_id" is "Note Id" */
json_t *ngx_http_async_openapi_title(ngx_http_async_openapi_doc_t *doc,
    u_char *name, size_t len);

/* Both steal the value; what fails is noted. */
void ngx_http_async_openapi_set(ngx_http_async_openapi_doc_t *doc,
    json_t *object, const char *key, json_t *value);
void ngx_http_async_openapi_push(ngx_http_async_openapi_doc_t *doc,
    json_t *array, json_t *value);


/* ngx_http_async_operation.c */

/* NGX_OK; NGX_DECLINED: it is not for the document; NGX_ERROR. */
ngx_int_t ngx_http_async_operation_init(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, ngx_http_async_route_t *route);

/* Its path without the names of the parameters; NULL: no memory. */
char *ngx_http_async_operation_shape(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op);

/* Its models, to be called for all before any is written. */
void ngx_http_async_operation_note(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op);

/* Adds it to the paths, once for each of its methods. */
void ngx_http_async_operation_write(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, json_t *paths);

/* Of a function, up to one of no kind. */
const async_attribute_t *ngx_http_async_operation_attributes(
    const async_export_t *exported);


/* ngx_http_async_operation_params.c */

/* "path", "query" and so on, by ASYNC_IN_... */
extern const char  *ngx_http_async_operation_places[];

/* Those of the path in its order, then of query, headers and cookies; NULL:
 * there are none. */
json_t *ngx_http_async_operation_params(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op);


/* ngx_http_async_operation_body.c */

/* NULL: none is declared */
json_t *ngx_http_async_operation_body(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op);

/* "input": some can be invalid */
json_t *ngx_http_async_operation_responses(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, ngx_uint_t input);


#endif /* _NGX_HTTP_ASYNC_OPENAPI_H_INCLUDED_ */
