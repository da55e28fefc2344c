
/*
 * Copyright (C) the nginx-async authors
 *
 * Answers of others: see ngx_http_async_fetched.h.
 */

#include <ngx_http_async_fetched.h>
#include <ngx_http_async_json.h>


typedef struct {
    async_response_t             *res;
    ngx_int_t                     rc;
    ngx_http_async_json_error_t   error;
} ngx_http_async_fetched_load_t;


static void ngx_http_async_fetched_close(void *handle);
static void ngx_http_async_fetched_drop(async_response_t *res);
static void ngx_http_async_fetched_load(void *data);


async_response_t *
ngx_http_async_fetched(ngx_async_task_t *t)
{
    async_response_t  *res;

    res = ngx_async_handle(t, sizeof(async_response_t),
                           ngx_http_async_fetched_close);
    if (res == NULL) {
        return NULL;
    }

    res->pool = ngx_async_task_pool(t);

    return (ngx_array_init(&res->fields, res->pool, 8,
                           sizeof(ngx_http_async_field_t))
            == NGX_OK)
           ? res : NULL;
}


ngx_int_t
ngx_http_async_fetched_field(async_response_t *res, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_http_async_field_t  *f;

    f = ngx_array_push(&res->fields);
    if (f == NULL) {
        return NGX_ERROR;
    }

    f->name.data = (char *) name->data;
    f->name.len = name->len;
    f->value.data = (char *) value->data;
    f->value.len = value->len;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_fetched_room(async_response_t *res, size_t len)
{
    size_t   size;
    u_char  *p;

    if (res->size - res->len > len) {
        return NGX_OK;
    }

    if (len > (size_t) -1 / 4 || res->len > (size_t) -1 / 4) {
        return NGX_ERROR;
    }

    size = ngx_max(res->len + len + 1, 2 * res->size);

    p = ngx_palloc(res->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (res->body) {
        ngx_memcpy(p, res->body, res->len);
        (void) ngx_pfree(res->pool, res->body);
    }

    res->body = p;
    res->size = size;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_fetched_add(async_response_t *res, const void *data, size_t len)
{
    if (ngx_http_async_fetched_room(res, len) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(res->body + res->len, data, len);
    res->len += len;
    res->body[res->len] = '\0';

    return NGX_OK;
}


/* Also by async_response_close(): what is not the body stays. */

static void
ngx_http_async_fetched_close(void *handle)
{
    async_response_t  *res = handle;

    ngx_http_async_fetched_drop(res);

    json_decref(res->json);
    res->json = NULL;

    if (res->body) {
        (void) ngx_pfree(res->pool, res->body);
        res->body = NULL;
        res->len = 0;
        res->size = 0;
    }
}


void
ngx_http_async_fetched_free(async_response_t *res)
{
    ngx_http_async_fetched_close(res);
}


static void
ngx_http_async_fetched_drop(async_response_t *res)
{
    if (res->read) {
        res->read = NULL;
        res->drop(res);
    }
}


int
async_response_status(async_response_t *res)
{
    return (int) res->status;
}


async_str_t
async_response_body(async_response_t *res)
{
    async_str_t  body = { "", 0 };

    if (res->body) {
        body.data = (char *) res->body;
        body.len = res->len;
    }

    return body;
}


async_str_t
async_response_header(async_response_t *res, const char *name)
{
    size_t                   len;
    ngx_uint_t               i;
    async_str_t              none = { NULL, 0 };
    ngx_http_async_field_t  *f;

    len = ngx_strlen(name);
    f = res->fields.elts;

    for (i = 0; i < res->fields.nelts; i++) {
        if (f[i].name.len == len
            && ngx_strncasecmp((u_char *) f[i].name.data, (u_char *) name, len)
               == 0)
        {
            return f[i].value;
        }
    }

    return none;
}


int
async_response_header_at(async_response_t *res, size_t i, async_str_t *name,
    async_str_t *value)
{
    ngx_http_async_field_t  *f;

    if (i >= res->fields.nelts) {
        name->data = NULL;
        name->len = 0;
        *value = *name;

        return 0;
    }

    f = res->fields.elts;

    *name = f[i].name;
    *value = f[i].value;

    return 1;
}


/* The last one counts, as in a browser. */

async_str_t
async_response_cookie(async_response_t *res, const char *name)
{
    char         *end;
    size_t        len, n;
    const char   *p;
    async_str_t   key, value, cookie = { NULL, 0 };

    len = ngx_strlen(name);

    for (n = 0; async_response_header_at(res, n, &key, &value); n++) {

        if (key.len != sizeof("Set-Cookie") - 1
            || ngx_strcasecmp((u_char *) key.data, (u_char *) "Set-Cookie")
               != 0)
        {
            continue;
        }

        p = value.data + strspn(value.data, " \t");

        if (ngx_strncmp(p, name, len) != 0) {
            continue;
        }

        p += len;
        p += strspn(p, " \t");

        if (*p != '=') {
            continue;
        }

        p++;
        p += strspn(p, " \t");

        cookie.len = strcspn(p, ";");

        while (cookie.len
               && (p[cookie.len - 1] == ' ' || p[cookie.len - 1] == '\t'))
        {
            cookie.len--;
        }

        end = ngx_pnalloc(res->pool, cookie.len + 1);

        if (end == NULL) {
            cookie.len = 0;
            return cookie;
        }

        cookie.data = memcpy(end, p, cookie.len);
        end[cookie.len] = '\0';
    }

    return cookie;
}


async_str_t
async_response_url(async_response_t *res)
{
    return res->url;
}


async_rc_t
async_raise_for_status(async_t *co, async_response_t *res)
{
    ngx_async_check_task(co);

    if (res->status >= 200 && res->status < 300) {
        return ASYNC_OK;
    }

    return ngx_async_because(co, ASYNC_CAUSE_STATUS,
                             ngx_async_set_error(co, ASYNC_ERROR,
                                                 "%s answered %ui",
                                                 res->url.data, res->status));
}


async_rc_t
async_response_json(async_t *co, async_response_t *res, json_t **value)
{
    async_rc_t                     rc;
    ngx_http_async_fetched_load_t  load;

    ngx_async_check_task(co);

    *value = NULL;

    if (res->json == NULL) {

        if (res->streams) {
            return ngx_async_set_error(co, ASYNC_ERROR, "the body of a "
                                       "response that is read in pieces is not "
                                       "held");
        }

        load.res = res;

        ngx_async_on_loop(ngx_http_async_fetched_load, &load);

        if (load.rc != NGX_OK) {
            rc = (load.rc == NGX_ERROR)
                 ? ngx_async_set_error(co, ASYNC_ERROR, "no memory")
                 : ngx_async_set_error(co, ASYNC_ERROR, "the JSON of %s: %s at "
                                       "character %uz", res->url.data,
                                       load.error.text, load.error.position);

            return ngx_async_because(co, ASYNC_CAUSE_JSON, rc);
        }
    }

    *value = res->json;

    return ASYNC_OK;
}


/* jansson recurs when it frees what came of a text at fault */

static void
ngx_http_async_fetched_load(void *data)
{
    ngx_http_async_fetched_load_t  *load = data;

    load->rc = ngx_http_async_json_load(load->res->body, load->res->len,
                                        NGX_HTTP_ASYNC_JSON_DEPTH,
                                        &load->res->json, &load->error);
}


async_rc_t
await_response_read_at(async_t *co, const char *site, async_response_t *res,
    void *buf, size_t size, size_t *n)
{
    async_rc_t  rc;

    *n = 0;

    rc = ngx_async_enter(co, "await_response_read", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (!res->streams) {
        return ngx_async_set_error(co, ASYNC_ERROR, "await_response_read() "
                                   "needs ASYNC_FETCH_STREAM");
    }

    if (res->reads) {
        return ngx_async_set_error(co, ASYNC_BUSY, "another task reads it");
    }

    if (res->read == NULL) {
        return res->broken
               ? ngx_async_set_error(co, ASYNC_ERROR, "the response has been "
                                     "closed before its end")
               : ASYNC_OK;
    }

    if (size == 0) {
        return ASYNC_OK;
    }

    res->reads = 1;
    rc = res->read(co, res, buf, size, n);
    res->reads = 0;

    if (rc != ASYNC_OK) {
        res->broken = 1;
        ngx_http_async_fetched_drop(res);

    } else if (*n == 0) {
        ngx_http_async_fetched_drop(res);
    }

    return rc;
}


void
async_response_close(async_t *co, async_response_t *res)
{
    ngx_async_check_task(co);

    if (res->read) {
        res->broken = 1;
    }

    ngx_http_async_fetched_close(res);
}
