
/*
 * Copyright (C) the nginx-async authors
 *
 * Messages of WebSockets as JSON, and as structs of models.
 */

#include <ngx_http_async_ws_session.h>
#include <ngx_http_async_json.h>
#include <ngx_http_async_model_struct.h>
#include <ngx_http_async_take.h>


/* of the pool of one struct, or of its text */
#define NGX_HTTP_ASYNC_WS_STRUCT  1024


typedef struct {
    u_char                         *data;
    size_t                          len;
    json_t                         *value;
    ngx_http_async_json_error_t     error;
    ngx_int_t                       rc;
} ngx_http_async_ws_load_t;


typedef struct {
    ngx_pool_t                     *pool;
    json_t                         *value;
    ngx_str_t                       text;
    ngx_uint_t                      depth;
    const char                     *error;
    ngx_int_t                       rc;
} ngx_http_async_ws_dump_t;


static async_rc_t ngx_http_async_ws_next(async_t *co, async_req_t *req,
    ngx_http_async_ws_t **ws, ngx_str_t *text);
static void ngx_http_async_ws_load(void *data);
static void ngx_http_async_ws_dump(void *data);


async_rc_t
await_ws_recv_json_at(async_t *co, const char *site, async_req_t *req,
    json_t **value)
{
    ngx_str_t                  text;
    async_rc_t                 rc;
    ngx_http_async_ws_t       *ws;
    ngx_http_async_ws_load_t   load;

    *value = NULL;

    rc = ngx_async_enter(co, "await_ws_recv_json", site);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_ws_next(co, req, &ws, &text);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    load.data = text.data;
    load.len = text.len;

    ngx_async_on_loop(ngx_http_async_ws_load, &load);

    if (load.rc == NGX_OK) {
        ws->json = load.value;
        *value = load.value;
        return ASYNC_OK;
    }

    if (load.rc == NGX_ERROR) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    return ngx_async_set_error(co, ASYNC_INVALID, "the message is no JSON: %s "
                               "at character %uz", load.error.text,
                               load.error.position);
}


static void
ngx_http_async_ws_load(void *data)
{
    ngx_http_async_ws_load_t  *load = data;

    load->rc = ngx_http_async_json_load(load->data, load->len,
                                        NGX_HTTP_ASYNC_JSON_DEPTH,
                                        &load->value, &load->error);
}


/* The memory of the struct, and the errors, are the message's. */

async_rc_t
await_ws_recv_into_at(async_t *co, const char *site, async_req_t *req,
    const async_model_t *model, void *value, size_t size, json_t **errors)
{
    json_t               *wrong;
    ngx_str_t             text;
    async_rc_t            rc;
    ngx_http_async_ws_t  *ws;

    static const char  call[] = "await_ws_recv_into";

    if (errors) {
        *errors = NULL;
    }

    ngx_http_async_take_clear(model, value, size);

    rc = ngx_async_enter(co, call, site);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_take_check(co, call, model, size);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_ws_next(co, req, &ws, &text);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    ws->pool = ngx_create_pool(NGX_HTTP_ASYNC_WS_STRUCT, ws->c->log);

    if (ws->pool == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    wrong = NULL;

    rc = ngx_http_async_take_text(co, call, ws->pool, &text, model, value,
                                  errors ? &wrong : NULL);

    if (wrong) {
        ws->json = wrong;
        *errors = wrong;
    }

    return rc;
}


/* Suspends until there is a message; it is borrowed. */

static async_rc_t
ngx_http_async_ws_next(async_t *co, async_req_t *req,
    ngx_http_async_ws_t **ws, ngx_str_t *text)
{
    async_rc_t                    rc;
    ngx_uint_t                    last;
    ngx_http_async_ws_message_t  *m;

    rc = ngx_http_async_ws_session(co, req, ws);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_ws_receive(co, *ws, NGX_HTTP_ASYNC_WS_WHOLE,
                                       &last);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    m = (*ws)->current;

    text->data = m->data + m->taken;
    text->len = m->len - m->taken;

    return ASYNC_OK;
}


async_rc_t
await_ws_send_json_at(async_t *co, const char *site, async_req_t *req,
    json_t *value)
{
    async_rc_t                 rc;
    ngx_http_async_ws_t       *ws;
    ngx_http_async_ws_dump_t   dump;

    ngx_memzero(&dump, sizeof(ngx_http_async_ws_dump_t));

    dump.value = value;

    rc = ngx_async_enter(co, "await_ws_send_json", site);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_ws_session(co, req, &ws);
    }

    if (rc == ASYNC_OK) {
        dump.pool = ngx_create_pool(1024, co->log);
        dump.rc = NGX_ERROR;
        dump.error = "no memory";
    }

    ngx_async_on_loop(ngx_http_async_ws_dump, &dump);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = (dump.rc == NGX_OK)
         ? ngx_http_async_ws_send_message(co, ws, ASYNC_WS_TEXT,
                                          dump.text.data, dump.text.len, 0)
         : ngx_async_set_error(co, ASYNC_ERROR, "the value has no JSON: %s",
                               dump.error);

    if (dump.pool) {
        ngx_destroy_pool(dump.pool);
    }

    return rc;
}


/* The value is stolen in any case. */

static void
ngx_http_async_ws_dump(void *data)
{
    ngx_http_async_ws_dump_t  *dump = data;

    if (dump->pool) {
        dump->rc = ngx_http_async_json_encode(dump->pool, dump->value,
                                              &dump->text, &dump->depth,
                                              &dump->error);
    }

    json_decref(dump->value);
}


async_rc_t
await_ws_send_model_at(async_t *co, const char *site, async_req_t *req,
    const async_model_t *model, const void *value, size_t size)
{
    ngx_str_t             text;
    async_rc_t            rc;
    ngx_pool_t           *pool;
    ngx_http_async_ws_t  *ws;

    static const char  call[] = "await_ws_send_model";

    rc = ngx_async_enter(co, call, site);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_ws_session(co, req, &ws);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    /* not of the task: that may live as long as the connection */

    pool = ngx_create_pool(NGX_HTTP_ASYNC_WS_STRUCT, co->log);

    rc = ngx_http_async_model_text(co, call, pool, model, value, size, 1, 0,
                                   &text);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_ws_send_message(co, ws, ASYNC_WS_TEXT, text.data,
                                            text.len, 0);
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    return rc;
}
