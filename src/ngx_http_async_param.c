
/*
 * Copyright (C) the nginx-async authors
 *
 * Parameters of path and query for handlers: plain and typed accessors.  The
 * rules of parsing are in ngx_http_async_value.c; here are the sources, what
 * is missing, and the errors for the 422.
 */

#include <ngx_http_async_param.h>
#include <ngx_http_async_query.h>
#include <ngx_http_async_take.h>
#include <ngx_http_async_value.h>


typedef ngx_int_t (*ngx_http_async_parse_pt)(async_req_t *req,
    ngx_str_t *text, void *value, ngx_http_async_value_error_t *error);


static async_rc_t ngx_http_async_typed(async_req_t *req, const char *source,
    const char *name, ngx_http_async_parse_pt parse, void *value,
    ngx_uint_t required);
static ngx_int_t ngx_http_async_parse_str(async_req_t *req, ngx_str_t *text,
    void *value, ngx_http_async_value_error_t *error);
static ngx_int_t ngx_http_async_parse_int(async_req_t *req, ngx_str_t *text,
    void *value, ngx_http_async_value_error_t *error);
static ngx_int_t ngx_http_async_parse_float(async_req_t *req,
    ngx_str_t *text, void *value, ngx_http_async_value_error_t *error);
static ngx_int_t ngx_http_async_parse_bool(async_req_t *req, ngx_str_t *text,
    void *value, ngx_http_async_value_error_t *error);
static ngx_int_t ngx_http_async_parse_uuid(async_req_t *req, ngx_str_t *text,
    void *value, ngx_http_async_value_error_t *error);
static ngx_array_t *ngx_http_async_query(async_req_t *req);
static ngx_int_t ngx_http_async_record(async_req_t *req, json_t *error);
static ngx_uint_t ngx_http_async_rank(json_t *error);


async_str_t
async_path(async_req_t *req, const char *name)
{
    size_t                         len;
    async_str_t                    str;
    ngx_uint_t                     i;
    ngx_http_async_route_param_t  *param;

    ngx_http_async_check(req);

    str.data = NULL;
    str.len = 0;

    len = ngx_strlen(name);

    /* a handler of the same request may have what a guard has not */
    req->path_asked = req->early;

    for (i = 0; i < req->nparams; i++) {
        param = &req->params[i];

        if (param->name.len == len
            && ngx_memcmp(param->name.data, name, len) == 0)
        {
            str.data = (char *) param->value.data;
            str.len = param->value.len;
            break;
        }
    }

    return str;
}


async_str_t
async_query(async_req_t *req, const char *name)
{
    size_t                   len;
    ngx_uint_t               i;
    async_str_t              str;
    ngx_array_t             *query;
    ngx_http_async_query_t  *q;

    ngx_http_async_check(req);

    str.data = NULL;
    str.len = 0;

    query = ngx_http_async_query(req);

    len = ngx_strlen(name);

    for (i = query ? query->nelts : 0; i > 0; i--) {
        q = (ngx_http_async_query_t *) query->elts + i - 1;

        if (q->name.len == len && ngx_memcmp(q->name.data, name, len) == 0) {
            str.data = (char *) q->value.data;
            str.len = q->value.len;
            break;
        }
    }

    return str;
}


size_t
async_query_list(async_req_t *req, const char *name,
    const async_str_t **values)
{
    size_t                   len;
    ngx_uint_t               i;
    ngx_array_t             *query, list;
    async_str_t             *value;
    ngx_http_async_query_t  *q;

    ngx_http_async_check(req);

    *values = NULL;

    query = ngx_http_async_query(req);

    if (query == NULL
        || ngx_array_init(&list, req->pool, 1, sizeof(async_str_t))
           != NGX_OK)
    {
        return 0;
    }

    len = ngx_strlen(name);
    q = query->elts;

    for (i = 0; i < query->nelts; i++) {

        if (q[i].name.len != len
            || ngx_memcmp(q[i].name.data, name, len) != 0)
        {
            continue;
        }

        value = ngx_array_push(&list);
        if (value == NULL) {
            return 0;
        }

        value->data = (char *) q[i].value.data;
        value->len = q[i].value.len;
    }

    if (list.nelts) {
        *values = list.elts;
    }

    return list.nelts;
}


async_rc_t
async_path_str(async_req_t *req, const char *name, async_str_t *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "path", name, ngx_http_async_parse_str,
                                value, 1);
}


async_rc_t
async_path_int(async_req_t *req, const char *name, int64_t *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "path", name, ngx_http_async_parse_int,
                                value, 1);
}


async_rc_t
async_path_float(async_req_t *req, const char *name, double *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "path", name, ngx_http_async_parse_float,
                                value, 1);
}


async_rc_t
async_path_bool(async_req_t *req, const char *name, int *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "path", name, ngx_http_async_parse_bool,
                                value, 1);
}


async_rc_t
async_path_uuid(async_req_t *req, const char *name, async_str_t *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "path", name, ngx_http_async_parse_uuid,
                                value, 1);
}


async_rc_t
async_query_str(async_req_t *req, const char *name, async_str_t *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "query", name, ngx_http_async_parse_str,
                                value, 1);
}


async_rc_t
async_query_int(async_req_t *req, const char *name, int64_t *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "query", name, ngx_http_async_parse_int,
                                value, 1);
}


async_rc_t
async_query_float(async_req_t *req, const char *name, double *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "query", name,
                                ngx_http_async_parse_float, value, 1);
}


async_rc_t
async_query_bool(async_req_t *req, const char *name, int *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "query", name, ngx_http_async_parse_bool,
                                value, 1);
}


async_rc_t
async_query_uuid(async_req_t *req, const char *name, async_str_t *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "query", name, ngx_http_async_parse_uuid,
                                value, 1);
}


async_rc_t
async_query_str_or(async_req_t *req, const char *name, async_str_t *value,
    const char *value_or)
{
    value->data = value_or;
    value->len = value_or ? ngx_strlen(value_or) : 0;

    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "query", name, ngx_http_async_parse_str,
                                value, 0);
}


async_rc_t
async_query_int_or(async_req_t *req, const char *name, int64_t *value,
    int64_t value_or)
{
    *value = value_or;

    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "query", name, ngx_http_async_parse_int,
                                value, 0);
}


async_rc_t
async_query_float_or(async_req_t *req, const char *name, double *value,
    double value_or)
{
    *value = value_or;

    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "query", name,
                                ngx_http_async_parse_float, value, 0);
}


async_rc_t
async_query_bool_or(async_req_t *req, const char *name, int *value,
    int value_or)
{
    *value = value_or;

    ngx_http_async_check(req);

    return ngx_http_async_typed(req, "query", name, ngx_http_async_parse_bool,
                                value, 0);
}


async_rc_t
async_valid(async_req_t *req)
{
    ngx_http_async_check(req);

    if (ngx_http_async_has_errors(req)) {
        return ngx_async_set_error(&req->task, ASYNC_INVALID,
                                   "the input is not valid");
    }

    return ASYNC_OK;
}


ngx_uint_t
ngx_http_async_has_errors(async_req_t *req)
{
    async_req_t  *reader;

    /* the bodies of those that run together are read by their origin */

    reader = ngx_http_async_reader(req);

    return req->invalid || (req->errors && req->errors->nelts)
           || (reader->errors && reader->errors->nelts);
}


static async_rc_t
ngx_http_async_typed(async_req_t *req, const char *source, const char *name,
    ngx_http_async_parse_pt parse, void *value, ngx_uint_t required)
{
    json_t                        *loc, *ctx, *input;
    ngx_str_t                      text;
    async_str_t                    str;
    ngx_http_async_value_error_t   error;

    static ngx_str_t  missing = ngx_string("missing");
    static ngx_str_t  required_msg = ngx_string("Field required");

    str = (*source == 'p') ? async_path(req, name) : async_query(req, name);

    text.data = (u_char *) str.data;
    text.len = str.len;

    if (text.data == NULL && !required) {
        return ASYNC_OK;
    }

    if (text.data && parse(req, &text, value, &error) == NGX_OK) {
        return ASYNC_OK;
    }

    if (text.data == NULL) {
        (void) parse(req, &text, value, NULL);

        if (*source == 'p') {
            return ngx_async_set_error(&req->task, ASYNC_ERROR, "the pattern "
                                       "of the route has no parameter \"%s\"",
                                       name);
        }

        return ngx_http_async_invalid_input(req, &missing, &required_msg,
                                            json_pack("[s, s]", source, name),
                                            json_null(), NULL);
    }

    loc = json_pack("[s, s]", source, name);
    ctx = NULL;

    if (error.ctx.len) {
        ctx = json_pack("{s:s%}", "error", error.ctx.data, error.ctx.len);
    }

    input = ngx_http_async_schema_input(req->pool, &text);

    return ngx_http_async_invalid_input(req, &error.type, &error.msg, loc,
                                        input, ctx);
}


/* Each parses, or sets the value to zero; without an error, only the latter */

static ngx_int_t
ngx_http_async_parse_str(async_req_t *req, ngx_str_t *text, void *value,
    ngx_http_async_value_error_t *error)
{
    ngx_str_t     valid;
    async_str_t  *str = value;

    if (error == NULL) {
        str->data = NULL;
        str->len = 0;
        return NGX_OK;
    }

    if (ngx_http_async_schema_utf8(req->pool, text, &valid) != NGX_OK) {
        valid = *text;
    }

    str->data = (char *) valid.data;
    str->len = valid.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_parse_int(async_req_t *req, ngx_str_t *text, void *value,
    ngx_http_async_value_error_t *error)
{
    int64_t  *n = value;

    *n = 0;

    return error ? ngx_http_async_value_int(text, n, error) : NGX_OK;
}


static ngx_int_t
ngx_http_async_parse_float(async_req_t *req, ngx_str_t *text, void *value,
    ngx_http_async_value_error_t *error)
{
    double  *d = value;

    *d = 0;

    return error ? ngx_http_async_value_float(text, d, error) : NGX_OK;
}


static ngx_int_t
ngx_http_async_parse_bool(async_req_t *req, ngx_str_t *text, void *value,
    ngx_http_async_value_error_t *error)
{
    int         *b = value;
    ngx_int_t    rc;
    ngx_uint_t   yes;

    yes = 0;
    rc = error ? ngx_http_async_value_bool(text, &yes, error) : NGX_OK;

    *b = (rc == NGX_OK) ? (int) yes : 0;

    return rc;
}


static ngx_int_t
ngx_http_async_parse_uuid(async_req_t *req, ngx_str_t *text, void *value,
    ngx_http_async_value_error_t *error)
{
    u_char       *uuid;
    async_str_t  *str = value;

    str->data = NULL;
    str->len = 0;

    if (error == NULL) {
        return NGX_OK;
    }

    uuid = ngx_pcalloc(req->pool, NGX_HTTP_ASYNC_UUID_LEN + 1);

    if (uuid == NULL) {
        ngx_str_set(&error->type, "uuid_parsing");
        ngx_str_set(&error->msg, "no memory");
        ngx_str_null(&error->ctx);
        return NGX_ERROR;
    }

    if (ngx_http_async_value_uuid(text, uuid, error) != NGX_OK) {
        return NGX_DECLINED;
    }

    str->data = (char *) uuid;
    str->len = NGX_HTTP_ASYNC_UUID_LEN;

    return NGX_OK;
}


/* split once, by whoever asks first */

static ngx_array_t *
ngx_http_async_query(async_req_t *req)
{
    if (req->query == NULL) {
        req->query = ngx_http_async_query_split(req->pool,
                                                req->in ? &req->in->args
                                                        : &req->r->args);
    }

    return req->query;
}


async_rc_t
ngx_http_async_invalid_input(async_req_t *req, ngx_str_t *type,
    ngx_str_t *msg, json_t *loc, json_t *input, json_t *ctx)
{
    json_t  *error;

    error = json_pack("{s:s%, s:o, s:s%, s:o, s:o*}",
                      "type", type->data, type->len, "loc", loc,
                      "msg", msg->data, msg->len, "input", input, "ctx", ctx);

    if (error == NULL || ngx_http_async_record(req, error) != NGX_OK) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    return ngx_async_set_error(&req->task, ASYNC_INVALID, "%V", msg);
}


async_rc_t
ngx_http_async_invalid(async_req_t *req, json_t *errors)
{
    size_t       i;
    ngx_int_t    rc;
    const char  *msg;

    rc = NGX_OK;

    for (i = 0; i < json_array_size(errors) && rc == NGX_OK; i++) {
        rc = ngx_http_async_record(req, json_incref(json_array_get(errors,
                                                                   i)));
    }

    msg = json_string_value(json_object_get(json_array_get(errors, 0), "msg"));

    if (rc == NGX_OK) {
        (void) ngx_async_set_error(&req->task, ASYNC_INVALID, "%s",
                                   msg ? msg : "the input is not valid");
    }

    json_decref(errors);

    return (rc == NGX_OK) ? ASYNC_INVALID
                          : ngx_async_set_error(&req->task, ASYNC_ERROR,
                                                "no memory");
}


/*
 * Steals the error, also if it fails.  The order is path, query, header,
 * cookie, body; within each as they came.
 */

static ngx_int_t
ngx_http_async_record(async_req_t *req, json_t *error)
{
    json_t      **errors;
    ngx_uint_t    i;

    if (req->errors == NULL) {
        req->errors = ngx_array_create(req->pool, 4, sizeof(json_t *));
    }

    if (req->errors == NULL || ngx_array_push(req->errors) == NULL) {
        json_decref(error);
        return NGX_ERROR;
    }

    errors = req->errors->elts;

    for (i = req->errors->nelts - 1; i; i--) {

        if (ngx_http_async_rank(errors[i - 1]) <= ngx_http_async_rank(error)) {
            break;
        }

        errors[i] = errors[i - 1];
    }

    errors[i] = error;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_rank(json_t *error)
{
    ngx_uint_t           i;
    const char          *source;
    static const char    order[] = "pqhcb";

    source = json_string_value(json_array_get(json_object_get(error, "loc"),
                                              0));
    for (i = 0; source && order[i] && order[i] != *source; i++) {
        /* void */
    }

    return i;
}
