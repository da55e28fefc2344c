
/*
 * Copyright (C) the nginx-async authors
 *
 * Structs from the parameters of a request, by a model: what handlers declare
 * by ASYNC_PARAMS(), and async_params_into().
 */

#include <ngx_http_async_take.h>


/* a field, where it is, and what it is called in errors */

typedef struct {
    async_req_t                    *req;
    ngx_http_async_schema_field_t  *f;
    ngx_http_async_reading_t        reading;
    ngx_http_async_loc_t            source;
    ngx_http_async_loc_t            name;
    ngx_uint_t                      unknown;  /* to the route's pattern */
} ngx_http_async_params_t;


/* the values of a list, for errors */

typedef struct {
    ngx_pool_t                     *pool;
    const async_str_t              *values;
    size_t                          n;
} ngx_http_async_params_list_t;


static async_rc_t ngx_http_async_params_check(async_req_t *req,
    const async_model_t *model, size_t size);
static ngx_int_t ngx_http_async_params_field(ngx_http_async_params_t *params,
    void *to);
static async_str_t ngx_http_async_params_find(ngx_http_async_params_t *params);
static ngx_int_t ngx_http_async_params_list(ngx_http_async_params_t *params,
    async_str_t *one, void *to);
static ngx_int_t ngx_http_async_params_items(ngx_http_async_params_t *params,
    ngx_http_async_params_list_t *list, void *to);
static json_t *ngx_http_async_params_input(void *data);


static ngx_str_t  ngx_http_async_params_sources[] = {
    ngx_string("query"),
    ngx_string("path"),
    ngx_string("query"),
    ngx_string("header"),
    ngx_string("cookie")
};


async_rc_t
async_params_into_(async_req_t *req, const async_model_t *model, void *value,
    size_t size)
{
    async_rc_t  rc;

    ngx_http_async_check(req);

    ngx_http_async_take_clear(model, value, size);

    rc = ngx_http_async_params_check(req, model, size);

    return (rc == ASYNC_OK) ? ngx_http_async_take_params(req, model, value)
                            : rc;
}


static async_rc_t
ngx_http_async_params_check(async_req_t *req, const async_model_t *model,
    size_t size)
{
    u_char      error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    async_rc_t  rc;

    rc = ngx_http_async_take_check(&req->task, "async_params_into", model,
                                   size);
    if (rc != ASYNC_OK) {
        return rc;
    }

    if (ngx_http_async_schema_fits(model, ASYNC_ATTRIBUTE_PARAMS, error)
        != NGX_OK)
    {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "async_params_into(): %s", error);
    }

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_take_params(async_req_t *req, const async_model_t *model,
    void *to)
{
    ngx_int_t                 rc, one;
    ngx_uint_t                i;
    ngx_http_async_schema_t  *schema;
    ngx_http_async_params_t   params;

    schema = ngx_http_async_schema(model);

    params.req = req;
    params.reading.pool = req->pool;
    params.reading.errors = NULL;
    params.reading.told = 0;
    params.source.up = NULL;
    params.name.up = &params.source;

    params.unknown = 0;

    rc = NGX_OK;

    for (i = 0; i < schema->n && rc != NGX_ERROR; i++) {
        params.f = &schema->fields[i];

        one = ngx_http_async_params_field(&params, to);

        if (one != NGX_OK) {
            rc = one;
        }
    }

    if (rc == NGX_OK) {
        return ASYNC_OK;
    }

    ngx_http_async_model_clear(model, to);

    if (rc == NGX_DECLINED) {
        return ngx_http_async_invalid(req, params.reading.errors);
    }

    json_decref(params.reading.errors);

    if (params.unknown) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "the pattern of "
                                   "the route has no parameter \"%V\", which "
                                   "the model \"%s\" has in the path",
                                   &params.f->name, model->name);
    }

    return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
}


static ngx_int_t
ngx_http_async_params_field(ngx_http_async_params_t *params, void *to)
{
    void                           *value;
    ngx_str_t                       text;
    async_str_t                     str;
    ngx_http_async_schema_field_t  *f;

    f = params->f;

    params->source.name = ngx_http_async_params_sources[f->field->in];
    params->name.name = f->name;

    str = ngx_http_async_params_find(params);

    if (str.data == NULL && f->field->in == ASYNC_IN_PATH) {
        params->unknown = 1;
        return NGX_ERROR;
    }

    if (str.data == NULL) {
        return ngx_http_async_schema_absent(&params->reading, &params->name, f,
                                            to, json_null());
    }

    if (f->list) {
        return ngx_http_async_params_list(params, &str, to);
    }

    text.data = (u_char *) str.data;
    text.len = str.len;

    value = ngx_http_async_schema_place(&params->reading, f, to);

    if (value == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_async_schema_text(&params->reading, &params->name, f,
                                      &text, value);
}


/* of a list, the last one; the parts of the URI are decoded */

static async_str_t
ngx_http_async_params_find(ngx_http_async_params_t *params)
{
    char         *name;
    async_str_t   str;

    name = (char *) params->f->name.data;

    switch (params->f->field->in) {

    case ASYNC_IN_PATH:
        return async_path(params->req, name);

    case ASYNC_IN_HEADER:
        return async_header(params->req, name);

    case ASYNC_IN_COOKIE:
        return async_cookie(params->req, name);

    case ASYNC_IN_QUERY:
        return async_query(params->req, name);

    default:
        str = async_path(params->req, name);

        if (str.data == NULL) {
            return async_query(params->req, name);
        }

        params->source.name = ngx_http_async_params_sources[ASYNC_IN_PATH];

        return str;
    }
}


/* there is at least that one: the only one of a path and of a cookie */

static ngx_int_t
ngx_http_async_params_list(ngx_http_async_params_t *params, async_str_t *one,
    void *to)
{
    char                          *name;
    ngx_int_t                      n;
    ngx_http_async_params_list_t   list;

    name = (char *) params->f->name.data;

    list.pool = params->reading.pool;
    list.values = one;
    n = 1;

    if (params->f->field->in == ASYNC_IN_HEADER) {
        n = ngx_http_async_header_list(params->req, name, &list.values);

    } else if (params->source.name.data[0] == 'q') {
        n = async_query_list(params->req, name, &list.values);
    }

    if (n <= 0) {
        return NGX_ERROR;
    }

    list.n = n;

    return ngx_http_async_params_items(params, &list, to);
}


static ngx_int_t
ngx_http_async_params_items(ngx_http_async_params_t *params,
    ngx_http_async_params_list_t *list, void *to)
{
    u_char                         *value;
    ngx_int_t                       rc, one;
    ngx_str_t                       text;
    ngx_http_async_loc_t            loc;
    ngx_http_async_schema_field_t  *f;

    f = params->f;

    /* as pydantic: too many before the items are read, too few after */

    if (f->field->max_length && list->n > f->field->max_length) {
        return ngx_http_async_schema_count(&params->reading, &params->name, f,
                                           list->n,
                                           ngx_http_async_params_input, list);
    }

    value = ngx_http_async_schema_items(&params->reading, f, to, list->n);

    if (value == NULL) {
        return NGX_ERROR;
    }

    loc.up = &params->name;
    ngx_str_null(&loc.name);

    rc = NGX_OK;

    for (loc.index = 0; loc.index < list->n; loc.index++) {
        text.data = (u_char *) list->values[loc.index].data;
        text.len = list->values[loc.index].len;

        one = ngx_http_async_schema_text(&params->reading, &loc, f, &text,
                                         value);
        if (one == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (one != NGX_OK) {
            rc = one;
        }

        value += f->size;
    }

    return (rc == NGX_OK)
           ? ngx_http_async_schema_count(&params->reading, &params->name, f,
                                         list->n, ngx_http_async_params_input,
                                         list)
           : rc;
}


static json_t *
ngx_http_async_params_input(void *data)
{
    ngx_http_async_params_list_t  *list = data;

    size_t      i;
    json_t     *input;
    ngx_str_t   text;

    input = json_array();

    for (i = 0; i < list->n; i++) {
        text.data = (u_char *) list->values[i].data;
        text.len = list->values[i].len;

        if (json_array_append_new(input,
                                  ngx_http_async_schema_input(list->pool,
                                                              &text))
            != 0)
        {
            json_decref(input);
            return NULL;
        }
    }

    return input;
}
