
/*
 * Copyright (C) the nginx-async authors
 *
 * The parameters of an operation of the OpenAPI document: of the models that
 * its functions declare, and of the pattern of its route.
 */

#include <ngx_http_async_openapi.h>


static void ngx_http_async_operation_model_params(
    ngx_http_async_openapi_doc_t *doc, ngx_http_async_operation_t *op,
    const async_model_t *model, json_t **groups);
static void ngx_http_async_operation_pattern_params(
    ngx_http_async_openapi_doc_t *doc, ngx_http_async_operation_t *op,
    json_t **groups);
static void ngx_http_async_operation_rename(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, json_t *group);
static void ngx_http_async_operation_param(ngx_http_async_openapi_doc_t *doc,
    json_t *group, async_in_t in, ngx_str_t *name, ngx_uint_t required,
    json_t *schema);
static ngx_int_t ngx_http_async_operation_field_name(
    ngx_http_async_openapi_doc_t *doc, const async_field_t *field,
    async_in_t in, ngx_str_t *name);
static ngx_uint_t ngx_http_async_operation_in_path(
    ngx_http_async_operation_t *op, const char *name);


const char  *ngx_http_async_operation_places[] = {
    NULL, "path", "query", "header", "cookie"
};


json_t *
ngx_http_async_operation_params(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op)
{
    json_t                    *all, *groups[ASYNC_IN_COOKIE + 1];
    ngx_uint_t                 i;
    const async_export_t     **fn;
    const async_attribute_t   *a;

    for (i = ASYNC_IN_PATH; i <= ASYNC_IN_COOKIE; i++) {
        groups[i] = json_array();
    }

    fn = op->functions.elts;

    for (i = 0; i < op->functions.nelts; i++) {
        for (a = ngx_http_async_operation_attributes(fn[i]); a->kind; a++) {
            if (a->kind == ASYNC_ATTRIBUTE_PARAMS) {
                ngx_http_async_operation_model_params(doc, op, a->data,
                                                      groups);
            }
        }
    }

    ngx_http_async_operation_pattern_params(doc, op, groups);

    if (op->shared) {
        ngx_http_async_operation_rename(doc, op, groups[ASYNC_IN_PATH]);
    }

    all = json_array();

    for (i = ASYNC_IN_PATH; i <= ASYNC_IN_COOKIE; i++) {
        if (json_array_extend(all, groups[i]) != 0) {
            doc->failed = op->name;
        }

        json_decref(groups[i]);
    }

    if (json_array_size(all) == 0) {
        json_decref(all);
        return NULL;
    }

    return all;
}


static void
ngx_http_async_operation_model_params(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, const async_model_t *model,
    json_t **groups)
{
    size_t          i;
    ngx_str_t       name;
    async_in_t      in;
    ngx_uint_t      in_path;
    async_field_t   field;

    for (i = 0; i < model->n; i++) {
        ngx_http_async_openapi_field_at(model, i, &field);

        in = field.in;
        in_path = ngx_http_async_operation_in_path(op,
                                          ngx_http_async_model_name(&field));

        if (in == ASYNC_IN_ANY) {
            in = in_path ? ASYNC_IN_PATH : ASYNC_IN_QUERY;
        }

        if (in > ASYNC_IN_COOKIE || (in == ASYNC_IN_PATH && !in_path)) {
            continue;
        }

        if (ngx_http_async_operation_field_name(doc, &field, in, &name)
            != NGX_OK)
        {
            doc->failed = field.member;
            return;
        }

        ngx_http_async_operation_param(doc, groups[in], in, &name,
                in == ASYNC_IN_PATH
                || ngx_http_async_openapi_required(&field),
                ngx_http_async_openapi_field(doc, &field, &name, 0));
    }
}


/* Brings them into the order of the path, with those that no model has. */

static void
ngx_http_async_operation_pattern_params(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, json_t **groups)
{
    size_t                        n;
    json_t                       *param, *known;
    ngx_uint_t                    i;
    ngx_http_async_route_part_t  *part;

    known = groups[ASYNC_IN_PATH];
    groups[ASYNC_IN_PATH] = json_array();

    part = op->parts.elts;

    for (i = 0; i < op->parts.nelts; i++) {

        if (part[i].kind == NGX_HTTP_ASYNC_ROUTE_LITERAL) {
            continue;
        }

        json_array_foreach(known, n, param) {
            param = json_object_get(param, "name");

            if (json_string_length(param) == part[i].text.len
                && ngx_memcmp(json_string_value(param), part[i].text.data,
                              part[i].text.len) == 0)
            {
                break;
            }
        }

        if (n < json_array_size(known)) {
            ngx_http_async_openapi_push(doc, groups[ASYNC_IN_PATH],
                                     json_incref(json_array_get(known, n)));
            continue;
        }

        ngx_http_async_operation_param(doc, groups[ASYNC_IN_PATH],
                ASYNC_IN_PATH, &part[i].text, 1,
                ngx_http_async_openapi_converter(doc, &part[i]));
    }

    json_decref(known);
}


/* Those of the path have the names of the operation whose path it is. */

static void
ngx_http_async_operation_rename(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, json_t *group)
{
    size_t                        n;
    ngx_uint_t                    i;
    ngx_http_async_route_part_t  *part;

    n = 0;
    part = op->shared->parts.elts;

    for (i = 0; i < op->shared->parts.nelts; i++) {

        if (part[i].kind == NGX_HTTP_ASYNC_ROUTE_LITERAL) {
            continue;
        }

        ngx_http_async_openapi_set(doc, json_array_get(group, n++), "name",
                json_stringn((char *) part[i].text.data, part[i].text.len));
    }
}


/* Steals the schema.  Of two of one name, one that is required counts. */

static void
ngx_http_async_operation_param(ngx_http_async_openapi_doc_t *doc,
    json_t *group, async_in_t in, ngx_str_t *name, ngx_uint_t required,
    json_t *schema)
{
    size_t   i;
    json_t  *param, *other, *description;

    param = json_object();

    ngx_http_async_openapi_set(doc, param, "name",
                               json_stringn((char *) name->data, name->len));
    ngx_http_async_openapi_set(doc, param, "in",
                    json_string(ngx_http_async_operation_places[in]));
    ngx_http_async_openapi_set(doc, param, "required",
                               json_boolean(required));

    description = json_object_get(schema, "description");

    ngx_http_async_openapi_set(doc, param, "schema", schema);

    if (description) {
        ngx_http_async_openapi_set(doc, param, "description",
                                   json_incref(description));
    }

    json_array_foreach(group, i, other) {

        if (!json_equal(json_object_get(other, "name"),
                        json_object_get(param, "name")))
        {
            continue;
        }

        if (required && !json_is_true(json_object_get(other, "required"))) {
            (void) json_array_set(group, i, param);
        }

        json_decref(param);
        return;
    }

    ngx_http_async_openapi_push(doc, group, param);
}


static ngx_int_t
ngx_http_async_operation_field_name(ngx_http_async_openapi_doc_t *doc,
    const async_field_t *field, async_in_t in, ngx_str_t *name)
{
    size_t  i;

    name->data = (u_char *) ngx_http_async_model_name(field);
    name->len = ngx_strlen(name->data);

    if (in != ASYNC_IN_HEADER || field->name) {
        return NGX_OK;
    }

    name->data = ngx_pstrdup(doc->pool, name);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < name->len; i++) {
        if (name->data[i] == '_') {
            name->data[i] = '-';
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_operation_in_path(ngx_http_async_operation_t *op,
    const char *name)
{
    ngx_uint_t                    i;
    ngx_http_async_route_part_t  *part;

    part = op->parts.elts;

    for (i = 0; i < op->parts.nelts; i++) {
        if (part[i].kind != NGX_HTTP_ASYNC_ROUTE_LITERAL
            && part[i].text.len == ngx_strlen(name)
            && ngx_memcmp(part[i].text.data, name, part[i].text.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
