
/*
 * Copyright (C) the nginx-async authors
 *
 * await_ws_accept() and async_ws_protocol(): the answer to a handshake (RFC
 * 6455, 4.2.2).  It goes through nginx's filters as any response, so that logs
 * and other modules see it; the session begins when it has been sent.
 */

#include <ngx_http_async_ws.h>
#include <ngx_http_async_field.h>
#include <ngx_http_async_response.h>
#include <ngx_http_async_stream.h>
#include <ngx_sha1.h>


#define NGX_HTTP_ASYNC_WS_SHA1_LEN  20


static async_rc_t ngx_http_async_ws_may_accept(async_t *co, async_req_t *req);
static async_rc_t ngx_http_async_ws_reject(async_req_t *req, ngx_int_t status,
    const char *why);
static ngx_uint_t ngx_http_async_ws_offers(async_req_t *req,
    const char *protocol, size_t len);
static async_rc_t ngx_http_async_ws_answer(async_t *co, async_req_t *req,
    const char *protocol, ngx_http_async_ws_deflate_t **deflate);
static ngx_int_t ngx_http_async_ws_set(async_req_t *req, const char *name,
    ngx_str_t *value);
static void ngx_http_async_ws_unset(async_req_t *req, const char *name);
static ngx_int_t ngx_http_async_ws_accept_key(ngx_http_request_t *r,
    ngx_str_t *value);
static async_rc_t ngx_http_async_ws_begin(async_t *co, async_req_t *req,
    ngx_http_async_ws_deflate_t *deflate);


const char *
async_ws_protocol(async_req_t *req, const char *ours)
{
    char    *protocol;
    size_t   len;

    ngx_http_async_check(req);

    for (ours += strspn(ours, ", \t");
         *ours;
         ours += len, ours += strspn(ours, ", \t"))
    {
        len = strcspn(ours, ", \t");

        if (!ngx_http_async_ws_offers(req, ours, len)) {
            continue;
        }

        protocol = ngx_pnalloc(req->pool, len + 1);
        if (protocol == NULL) {
            return NULL;
        }

        ngx_memcpy(protocol, ours, len);
        protocol[len] = '\0';

        return protocol;
    }

    return NULL;
}


static ngx_uint_t
ngx_http_async_ws_offers(async_req_t *req, const char *protocol,
    size_t len)
{
    ngx_str_t                 item;
    ngx_http_async_ws_list_t  list;

    ngx_http_async_ws_list(&list, ngx_http_async_headers_part(req),
                           "Sec-WebSocket-Protocol");

    while (ngx_http_async_ws_list_next(&list, &item)) {
        if (item.len == len && ngx_memcmp(item.data, protocol, len) == 0) {
            return 1;
        }
    }

    return 0;
}


async_rc_t
await_ws_accept_at(async_t *co, const char *site, async_req_t *req,
    const char *protocol)
{
    async_rc_t                    rc;
    ngx_http_async_ws_deflate_t  *deflate;

    rc = ngx_async_enter(co, "await_ws_accept", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_ws_may_accept(co, req);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (protocol
        && !ngx_http_async_ws_offers(req, protocol, ngx_strlen(protocol)))
    {
        return ngx_http_async_ws_reject(req, NGX_HTTP_BAD_REQUEST,
                                        "the client does not offer the "
                                        "subprotocol that is spoken here");
    }

    deflate = NULL;

    rc = ngx_http_async_ws_answer(co, req, protocol, &deflate);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_stream_header(co, req);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_ws_begin(co, req, deflate);
    }

    if (rc != ASYNC_OK && deflate) {
        ngx_http_async_ws_deflate_free(deflate);
    }

    return rc;
}


static async_rc_t
ngx_http_async_ws_may_accept(async_t *co, async_req_t *req)
{
    ngx_int_t    status;
    const char  *why;

    if (req->ws) {
        return ngx_async_set_error(co, ASYNC_ERROR,
                                   "it has been accepted already");
    }

    if (req->out.started) {
        return ngx_async_set_error(co, ASYNC_ERROR,
                                   "a response has begun already");
    }

    if (req->early || req->origin || req->task.job || req->r != req->r->main) {
        return ngx_async_set_error(co, ASYNC_ERROR, "only the handler of a "
                                   "client's request can accept a WebSocket");
    }

    if (ngx_exiting || ngx_terminate) {
        return ngx_async_set_error(co, ASYNC_BUSY, "the worker shuts down");
    }

    status = ngx_http_async_ws_check(req->r, &why);

    return (status == NGX_OK) ? ASYNC_OK
                              : ngx_http_async_ws_reject(req, status, why);
}


/* The response, unless the handler sets another one. */

static async_rc_t
ngx_http_async_ws_reject(async_req_t *req, ngx_int_t status, const char *why)
{
    ngx_uint_t    i, n;
    ngx_keyval_t  fields[NGX_HTTP_ASYNC_WS_FIELDS];

    ngx_http_async_ws_count_refused();

    (void) async_fail(req, (int) status, why);

    n = ngx_http_async_ws_fields(req->r, status, fields);

    for (i = 0; i < n; i++) {
        if (ngx_http_async_out_header(req->r, &req->out, &fields[i].key,
                                      &fields[i].value) != NGX_OK)
        {
            return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
        }
    }

    return ngx_async_set_error(&req->task, ASYNC_INVALID, "%s", why);
}


/* Makes req->out the 101; the fields of the handler stay. */

static async_rc_t
ngx_http_async_ws_answer(async_t *co, async_req_t *req, const char *protocol,
    ngx_http_async_ws_deflate_t **deflate)
{
    ngx_str_t                   value;
    ngx_http_async_ws_conf_t   *conf;
    ngx_http_async_ws_offer_t   offer;

    static ngx_str_t  websocket = ngx_string("websocket");

    conf = ngx_http_get_module_loc_conf(req->r, ngx_http_async_ws_module);

    /* what comes behind it is no request */
    req->r->keepalive = 0;

    req->out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    req->out.failed = 0;
    ngx_str_null(&req->out.body);
    ngx_str_null(&req->out.type);
    ngx_str_null(&req->out.path);

    ngx_http_async_ws_unset(req, "Sec-WebSocket-Accept");
    ngx_http_async_ws_unset(req, "Sec-WebSocket-Protocol");
    ngx_http_async_ws_unset(req, "Sec-WebSocket-Extensions");

    if (ngx_http_async_ws_set(req, "Upgrade", &websocket) != NGX_OK
        || ngx_http_async_ws_accept_key(req->r, &value) != NGX_OK
        || ngx_http_async_ws_set(req, "Sec-WebSocket-Accept", &value)
           != NGX_OK)
    {
        goto failed;
    }

    if (protocol) {
        value.len = ngx_strlen(protocol);
        value.data = (u_char *) protocol;
        value.data = ngx_pstrdup(req->pool, &value);

        if (value.data == NULL
            || ngx_http_async_ws_set(req, "Sec-WebSocket-Protocol", &value)
               != NGX_OK)
        {
            goto failed;
        }
    }

    if (!conf->deflate.on
        || ngx_http_async_ws_offered(req->r, &offer) != NGX_OK)
    {
        return ASYNC_OK;
    }

    /* the session, which has it, outlasts the handler */

    if (ngx_http_async_ws_deflate_new(req->home, &conf->deflate, &offer,
                                      deflate, &value)
        == NGX_OK
        && ngx_http_async_ws_set(req, "Sec-WebSocket-Extensions", &value)
           == NGX_OK)
    {
        return ASYNC_OK;
    }

failed:

    req->out.status = 0;

    return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
}


static ngx_int_t
ngx_http_async_ws_set(async_req_t *req, const char *name, ngx_str_t *value)
{
    ngx_str_t  key;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    return ngx_http_async_out_header(req->r, &req->out, &key, value);
}


/* What a handshake says is said by it alone. */

static void
ngx_http_async_ws_unset(async_req_t *req, const char *name)
{
    ngx_uint_t        i, n;
    ngx_table_elt_t  *h;

    if (req->out.headers == NULL) {
        return;
    }

    h = req->out.headers->elts;

    for (i = 0, n = 0; i < req->out.headers->nelts; i++) {

        if (h[i].key.len != ngx_strlen(name)
            || ngx_strncasecmp(h[i].key.data, (u_char *) name, h[i].key.len)
               != 0)
        {
            h[n++] = h[i];
        }
    }

    req->out.headers->nelts = n;
}


/* RFC 6455, 4.2.2, 5.4: the key, and that it has been understood */

static ngx_int_t
ngx_http_async_ws_accept_key(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char                    digest[NGX_HTTP_ASYNC_WS_SHA1_LEN];
    ngx_str_t                 key, sha1;
    ngx_sha1_t                ctx;
    ngx_http_async_ws_list_t  list;

    static const char  guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    ngx_http_async_ws_list(&list, &r->headers_in.headers.part,
                           "Sec-WebSocket-Key");
    (void) ngx_http_async_ws_list_next(&list, &key);

    ngx_sha1_init(&ctx);
    ngx_sha1_update(&ctx, key.data, key.len);
    ngx_sha1_update(&ctx, guid, sizeof(guid) - 1);
    ngx_sha1_final(digest, &ctx);

    sha1.data = digest;
    sha1.len = sizeof(digest);

    value->data = ngx_pnalloc(r->pool, ngx_base64_encoded_length(sha1.len));
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64(value, &sha1);

    return NGX_OK;
}


static async_rc_t
ngx_http_async_ws_begin(async_t *co, async_req_t *req,
    ngx_http_async_ws_deflate_t *deflate)
{
    ngx_http_async_ws_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(req->r, ngx_http_async_ws_module);

    if (ngx_http_async_ws_open(req, conf, deflate) == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    /* from here on await_send() has nothing to write to */
    req->stream = NULL;

    return ASYNC_OK;
}
