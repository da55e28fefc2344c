
/*
 * Copyright (C) the nginx-async authors
 *
 * What a handler reads of its request, beside parameters and body: method,
 * URI, header fields, cookies, client, settings, nginx variables; and memory.
 */

#include <ngx_http_async_cookie.h>
#include <ngx_http_async_request.h>
#include <ngx_http_async_field.h>
#include <ngx_http_async_ws.h>




typedef struct {
    ngx_http_request_t  *r;
    ngx_pool_t          *pool;         /* of whoever asks */
    ngx_async_call_pt    access;
    ngx_str_t            name;
    ngx_str_t            value;
    ngx_int_t            rc;
} ngx_http_async_variable_t;


static async_str_t ngx_http_async_str(async_req_t *req, ngx_str_t *value);
static async_rc_t ngx_http_async_variable(async_req_t *req,
    ngx_http_async_variable_t *v, ngx_async_call_pt access);
static async_rc_t ngx_http_async_variable_called(async_t *co, void *arg);
static void ngx_http_async_get_variable(void *data);
static void ngx_http_async_set_variable(void *data);


static const async_str_t  ngx_http_async_absent = { NULL, 0 };


async_str_t
async_method(async_req_t *req)
{
    ngx_http_async_check(req);

    return ngx_http_async_str(req, req->in ? &req->in->method
                                           : &req->r->method_name);
}


async_str_t
async_uri(async_req_t *req)
{
    ngx_http_async_check(req);

    return ngx_http_async_str(req, req->in ? &req->in->uri : &req->r->uri);
}


async_str_t
async_query_string(async_req_t *req)
{
    ngx_http_async_check(req);

    return ngx_http_async_str(req, req->in ? &req->in->args : &req->r->args);
}


async_str_t
async_client(async_req_t *req)
{
    ngx_http_async_check(req);

    return ngx_http_async_str(req, req->in ? &req->in->client
                                           : &req->r->connection->addr_text);
}


async_str_t
async_header(async_req_t *req, const char *name)
{
    ngx_table_elt_t  *h;

    ngx_http_async_check(req);

    h = ngx_http_async_field_find(ngx_http_async_headers_part(req), name);

    return h ? ngx_http_async_str(req, &h->value) : ngx_http_async_absent;
}


ngx_int_t
ngx_http_async_header_list(async_req_t *req, const char *name,
    const async_str_t **values)
{
    ngx_str_t         key;
    ngx_uint_t        i;
    async_str_t      *value;
    ngx_array_t       list;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (ngx_array_init(&list, req->pool, 2, sizeof(async_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);
    part = ngx_http_async_headers_part(req);
    i = 0;

    while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {

        if (!ngx_http_async_field_is(h, &key)) {
            continue;
        }

        value = ngx_array_push(&list);
        if (value == NULL) {
            return NGX_ERROR;
        }

        *value = ngx_http_async_str(req, &h->value);
    }

    *values = list.elts;

    return list.nelts;
}


int
async_header_at(async_req_t *req, size_t i, async_str_t *name,
    async_str_t *value)
{
    ngx_uint_t        n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_http_async_check(req);

    part = ngx_http_async_headers_part(req);
    n = 0;

    do {
        h = ngx_http_async_field_next(&part, &n);

        if (h == NULL) {
            *name = ngx_http_async_absent;
            *value = ngx_http_async_absent;
            return 0;
        }

    } while (i--);

    *name = ngx_http_async_str(req, &h->key);
    *value = ngx_http_async_str(req, &h->value);

    return 1;
}


ngx_list_part_t *
ngx_http_async_headers_part(async_req_t *req)
{
    ngx_list_part_t  *part;

    static ngx_list_part_t  none;

    if (req->own) {
        part = ngx_http_async_ws_headers(req);
        return part ? part : &none;
    }

    return req->in ? &req->in->headers : &req->r->headers_in.headers.part;
}


async_str_t
async_cookie(async_req_t *req, const char *name)
{
    u_char           *p;
    ngx_str_t         key, value;
    ngx_uint_t        i, found;
    async_str_t       str;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static const ngx_str_t  cookie = ngx_string("Cookie");

    ngx_http_async_check(req);

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);
    ngx_str_null(&value);

    part = ngx_http_async_headers_part(req);
    found = 0;
    i = 0;

    while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {

        if (ngx_http_async_field_is(h, &cookie)) {
            found |= ngx_http_async_cookie_find(&h->value, &key, &value);
        }
    }

    if (!found) {
        return ngx_http_async_absent;
    }

    p = ngx_pnalloc(req->pool, value.len + 1);
    if (p == NULL) {
        return ngx_http_async_absent;
    }

    str.data = (char *) p;
    str.len = ngx_http_async_cookie_unquote(&value, p);
    p[str.len] = '\0';

    return str;
}


async_str_t
async_param(async_req_t *req, const char *key)
{
    ngx_uint_t     i;
    ngx_keyval_t  *kv;

    ngx_http_async_check(req);

    if (req->conf->params) {
        kv = req->conf->params->elts;

        for (i = 0; i < req->conf->params->nelts; i++) {
            if (ngx_strcmp(kv[i].key.data, key) == 0) {
                return ngx_http_async_str(req, &kv[i].value);
            }
        }
    }

    return ngx_http_async_absent;
}


async_str_t
async_var(async_req_t *req, const char *name)
{
    ngx_http_async_variable_t  v;

    ngx_http_async_check(req);

    v.name.data = (u_char *) name;
    v.name.len = ngx_strlen(name);

    (void) ngx_http_async_variable(req, &v, ngx_http_async_get_variable);

    return (v.rc == NGX_OK) ? ngx_http_async_str(req, &v.value)
                            : ngx_http_async_absent;
}


/* Whatever computes it runs on the loop's stack, also for a thread. */

static async_rc_t
ngx_http_async_variable(async_req_t *req, ngx_http_async_variable_t *v,
    ngx_async_call_pt access)
{
    v->r = req->r;
    v->pool = req->pool;
    v->access = access;
    v->rc = NGX_ERROR;

    if (req->r == NULL) {
        return ngx_http_async_parted(&req->task);
    }

    if (req->task.job && ngx_async_thread_self()) {
        return ngx_async_thread_call(req->task.job,
                                     ngx_http_async_variable_called, v,
                                     req->task.error);
    }

    if (req->task.job && ngx_async_thread_abandoned(req->task.job)) {
        /* a cleanup of a call */
        return ngx_async_set_error(&req->task, ASYNC_CLOSED,
                                   "the request has ended");
    }

    ngx_async_on_loop(access, v);

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_variable_called(async_t *co, void *arg)
{
    ngx_http_async_variable_t  *v = arg;

    ngx_async_on_loop(v->access, v);

    return ASYNC_OK;
}


static void
ngx_http_async_get_variable(void *data)
{
    ngx_http_async_variable_t  *v = data;

    u_char                     *low;
    ngx_str_t                   name;
    ngx_uint_t                  hash;
    ngx_http_request_t         *r;
    ngx_http_variable_value_t  *vv;

    r = v->r;

    low = ngx_pnalloc(r->pool, v->name.len);
    if (low == NULL) {
        return;
    }

    hash = ngx_hash_strlow(low, v->name.data, v->name.len);

    name.data = low;
    name.len = v->name.len;

    vv = ngx_http_get_variable(r, &name, hash);

    if (vv == NULL || vv->not_found || !vv->valid) {
        return;
    }

    v->value.data = vv->data;
    v->value.len = vv->len;

    if (v->pool != r->pool) {
        v->value.data = ngx_pstrdup(v->pool, &v->value);
        if (v->value.data == NULL) {
            return;
        }
    }

    v->rc = NGX_OK;
}


async_rc_t
async_set_var(async_req_t *req, const char *name, const char *value)
{
    async_rc_t                 rc;
    ngx_http_async_variable_t  v;

    ngx_http_async_check(req);

    v.name.data = (u_char *) name;
    v.name.len = ngx_strlen(name);
    v.value.data = (u_char *) value;
    v.value.len = ngx_strlen(value);

    rc = ngx_http_async_variable(req, &v, ngx_http_async_set_variable);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (v.rc == NGX_DECLINED) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "there is no variable \"%s\"", name);
    }

    if (v.rc != NGX_OK) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "the variable \"%s\" cannot be set", name);
    }

    return ASYNC_OK;
}


static void
ngx_http_async_set_variable(void *data)
{
    ngx_http_async_variable_t  *v = data;

    u_char                     *low;
    ngx_uint_t                  hash;
    ngx_http_request_t         *r;
    ngx_http_variable_t        *var;
    ngx_http_variable_value_t   vv, *indexed;
    ngx_http_core_main_conf_t  *cmcf;

    r = v->r;

    low = ngx_pnalloc(r->pool, v->name.len);
    if (low == NULL) {
        return;
    }

    v->value.data = ngx_pstrdup(r->pool, &v->value);
    if (v->value.data == NULL) {
        return;
    }

    hash = ngx_hash_strlow(low, v->name.data, v->name.len);

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    var = ngx_hash_find(&cmcf->variables_hash, hash, low, v->name.len);

    if (var == NULL) {
        v->rc = NGX_DECLINED;
        return;
    }

    if (!(var->flags & NGX_HTTP_VAR_CHANGEABLE)) {
        return;
    }

    if (var->set_handler) {
        ngx_memzero(&vv, sizeof(ngx_http_variable_value_t));

        vv.len = v->value.len;
        vv.data = v->value.data;
        vv.valid = 1;

        var->set_handler(r, &vv, var->data);
        v->rc = NGX_OK;
        return;
    }

    if (!(var->flags & NGX_HTTP_VAR_INDEXED)) {
        return;
    }

    indexed = &r->variables[var->index];

    indexed->len = v->value.len;
    indexed->data = v->value.data;
    indexed->valid = 1;
    indexed->not_found = 0;
    indexed->no_cacheable = 0;

    v->rc = NGX_OK;
}


void *
async_alloc(async_req_t *req, size_t size)
{
    ngx_http_async_check(req);

    return ngx_async_palloc(req->pool, size);
}


/* Zero-terminated: in place where nginx has it so, else a copy */

static async_str_t
ngx_http_async_str(async_req_t *req, ngx_str_t *value)
{
    u_char       *p;
    async_str_t   str;

    if (value->data == NULL) {
        return ngx_http_async_absent;
    }

    p = ngx_pnalloc(req->pool, value->len + 1);
    if (p == NULL) {
        return ngx_http_async_absent;
    }

    ngx_memcpy(p, value->data, value->len);
    p[value->len] = '\0';

    str.data = (char *) p;
    str.len = value->len;

    return str;
}
