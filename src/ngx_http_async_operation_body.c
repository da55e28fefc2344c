
/*
 * Copyright (C) the nginx-async authors
 *
 * What an operation of the OpenAPI document takes as its body, and what it
 * answers.
 */

#include <ngx_http_async_openapi.h>


typedef struct {
    int          status;
    const char  *phrase;
} ngx_http_async_operation_reason_t;


static void ngx_http_async_operation_form(const async_model_t *model,
    ngx_uint_t *required, ngx_uint_t *files);
static void ngx_http_async_operation_content(
    ngx_http_async_openapi_doc_t *doc, json_t *content, const char *type,
    const async_model_t *model);
static void ngx_http_async_operation_response(
    ngx_http_async_openapi_doc_t *doc, json_t *responses,
    const async_attribute_t *a);
static json_t *ngx_http_async_operation_answer(
    ngx_http_async_openapi_doc_t *doc, const char *description,
    json_t *schema);
static const char *ngx_http_async_operation_reason(int status);


/* RFC 9110, 15, and the registry of statuses */

static ngx_http_async_operation_reason_t  ngx_http_async_operation_reasons[] =
{
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 402, "Payment Required" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 416, "Range Not Satisfiable" },
    { 418, "I'm a Teapot" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" },
    { 423, "Locked" },
    { 424, "Failed Dependency" },
    { 425, "Too Early" },
    { 426, "Upgrade Required" },
    { 428, "Precondition Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 451, "Unavailable For Legal Reasons" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 507, "Insufficient Storage" },
    { 0, NULL }
};


json_t *
ngx_http_async_operation_body(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op)
{
    json_t                    *o, *content;
    ngx_uint_t                 i, required, files;
    const async_model_t       *body, *form;
    const async_export_t     **fn;
    const async_attribute_t   *a;

    /* several may read it, by one model: the plan refuses two */

    body = NULL;
    form = NULL;
    required = 0;
    files = 0;
    fn = op->functions.elts;

    for (i = 0; i < op->functions.nelts; i++) {
        for (a = ngx_http_async_operation_attributes(fn[i]); a->kind; a++) {

            if (a->kind == ASYNC_ATTRIBUTE_BODY) {
                body = a->data;
                required = 1;

            } else if (a->kind == ASYNC_ATTRIBUTE_FORM) {
                form = a->data;
                ngx_http_async_operation_form(form, &required, &files);
            }
        }
    }

    content = json_object();

    ngx_http_async_operation_content(doc, content, "application/json", body);

    if (!files) {
        ngx_http_async_operation_content(doc, content,
                               "application/x-www-form-urlencoded", form);
    }

    ngx_http_async_operation_content(doc, content, "multipart/form-data",
                                     form);

    if (json_object_size(content) == 0) {
        json_decref(content);
        return NULL;
    }

    o = json_object();
    ngx_http_async_openapi_set(doc, o, "content", content);

    if (required) {
        ngx_http_async_openapi_set(doc, o, "required", json_true());
    }

    return o;
}


/* whether any of it must be there, and whether there are uploads in it */

static void
ngx_http_async_operation_form(const async_model_t *model,
    ngx_uint_t *required, ngx_uint_t *files)
{
    size_t          i;
    async_field_t   field;

    for (i = 0; i < model->n; i++) {
        ngx_http_async_openapi_field_at(model, i, &field);

        *required |= ngx_http_async_openapi_required(&field);
        *files |= ngx_http_async_model_kind(&field) == ASYNC_MEMBER_UPLOAD;
    }
}


static void
ngx_http_async_operation_content(ngx_http_async_openapi_doc_t *doc,
    json_t *content, const char *type, const async_model_t *model)
{
    json_t  *media;

    if (model == NULL) {
        return;
    }

    media = json_object();
    ngx_http_async_openapi_set(doc, media, "schema",
                               ngx_http_async_openapi_ref(doc, model, 0));
    ngx_http_async_openapi_set(doc, content, type, media);
}


json_t *
ngx_http_async_operation_responses(ngx_http_async_openapi_doc_t *doc,
    ngx_http_async_operation_t *op, ngx_uint_t input)
{
    json_t                    *responses, *ref;
    ngx_uint_t                 i, success;
    const async_export_t     **fn;
    const async_attribute_t   *a;

    responses = json_object();
    success = 0;
    fn = op->functions.elts;

    for (i = 0; i < op->functions.nelts; i++) {
        for (a = ngx_http_async_operation_attributes(fn[i]); a->kind; a++) {

            if (a->kind == ASYNC_ATTRIBUTE_RESPONSE
                || a->kind == ASYNC_ATTRIBUTE_RESPONSE_LIST)
            {
                ngx_http_async_operation_response(doc, responses, a);
                success |= a->number < 300;
            }
        }
    }

    if (!success) {
        ngx_http_async_openapi_set(doc, responses, "200",
                ngx_http_async_operation_answer(doc, "Successful Response",
                                                json_object()));
    }

    if (input && json_object_get(responses, "422") == NULL) {
        doc->invalid = 1;

        ref = json_object();
        ngx_http_async_openapi_set(doc, ref, "$ref",
                json_string("#/components/schemas/HTTPValidationError"));
        ngx_http_async_openapi_set(doc, responses, "422",
                ngx_http_async_operation_answer(doc, "Validation Error",
                                                ref));
    }

    return responses;
}


/* Several of one status: it is one of these. */

static void
ngx_http_async_operation_response(ngx_http_async_openapi_doc_t *doc,
    json_t *responses, const async_attribute_t *a)
{
    size_t   i;
    json_t  *schema, *list, *other, *media, *either;
    u_char   status[NGX_INT_T_LEN + 1];

    schema = ngx_http_async_openapi_ref(doc, a->data, 1);

    if (a->kind == ASYNC_ATTRIBUTE_RESPONSE_LIST) {
        list = json_object();
        ngx_http_async_openapi_set(doc, list, "items", schema);
        ngx_http_async_openapi_set(doc, list, "type", json_string("array"));
        schema = list;
    }

    ngx_sprintf(status, "%d%Z", a->number);

    media = json_object_get(json_object_get(json_object_get(responses,
                                                         (char *) status),
                                            "content"), "application/json");
    if (media == NULL) {
        ngx_http_async_openapi_set(doc, responses, (char *) status,
                ngx_http_async_operation_answer(doc,
                        ngx_http_async_operation_reason(a->number), schema));
        return;
    }

    other = json_object_get(media, "schema");
    either = json_object_get(other, "anyOf");

    if (either == NULL) {

        if (json_equal(other, schema)) {
            json_decref(schema);
            return;
        }

        either = json_array();
        ngx_http_async_openapi_push(doc, either, json_incref(other));

        list = json_object();
        ngx_http_async_openapi_set(doc, list, "anyOf", either);
        ngx_http_async_openapi_set(doc, media, "schema", list);
    }

    json_array_foreach(either, i, other) {
        if (json_equal(other, schema)) {
            json_decref(schema);
            return;
        }
    }

    ngx_http_async_openapi_push(doc, either, schema);
}


/* steals the schema */

static json_t *
ngx_http_async_operation_answer(ngx_http_async_openapi_doc_t *doc,
    const char *description, json_t *schema)
{
    json_t  *answer, *content, *media;

    media = json_object();
    ngx_http_async_openapi_set(doc, media, "schema", schema);

    content = json_object();
    ngx_http_async_openapi_set(doc, content, "application/json", media);

    answer = json_object();
    ngx_http_async_openapi_set(doc, answer, "description",
                               json_string(description));
    ngx_http_async_openapi_set(doc, answer, "content", content);

    return answer;
}


static const char *
ngx_http_async_operation_reason(int status)
{
    ngx_http_async_operation_reason_t  *r;

    if (status < 300) {
        return "Successful Response";
    }

    for (r = ngx_http_async_operation_reasons; r->status; r++) {
        if (r->status == status) {
            return r->phrase;
        }
    }

    return (status < 400) ? "Redirection"
           : (status < 500) ? "Client Error" : "Server Error";
}
