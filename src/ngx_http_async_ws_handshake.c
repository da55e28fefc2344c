
/*
 * Copyright (C) the nginx-async authors
 *
 * The opening handshake as the client asks for it (RFC 6455, 4.2.1), and what
 * is answered to one that is none.  Knows no handler; never suspends.
 */

#include <ngx_http_async_ws.h>
#include <ngx_http_async_field.h>
#include <ngx_http_async_response.h>


#define NGX_HTTP_ASYNC_WS_KEY_LEN  24


static ngx_int_t ngx_http_async_ws_wrong(ngx_http_request_t *r,
    const char **why);
static ngx_uint_t ngx_http_async_ws_has_token(ngx_http_request_t *r,
    const char *name, const char *token);
static ngx_uint_t ngx_http_async_ws_one(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
static ngx_uint_t ngx_http_async_ws_is_key(ngx_str_t *key);
static ngx_int_t ngx_http_async_ws_check_origin(ngx_http_request_t *r);
static ngx_uint_t ngx_http_async_ws_is_own(ngx_http_request_t *r,
    ngx_http_async_ws_origin_t *origin);
static ngx_uint_t ngx_http_async_ws_is_word(ngx_str_t *text,
    const char *word);


ngx_uint_t
ngx_http_async_ws_asked(ngx_http_request_t *r)
{
    return r->headers_in.upgrade && r == r->main
           && r->method == NGX_HTTP_GET
           && r->http_version == NGX_HTTP_VERSION_11
           && ngx_http_async_ws_has_token(r, "Upgrade", "websocket")
           && ngx_http_async_ws_has_token(r, "Connection", "upgrade");
}


ngx_int_t
ngx_http_async_ws_check(ngx_http_request_t *r, const char **why)
{
    ngx_int_t  status;

    status = ngx_http_async_ws_wrong(r, why);

    if (status != NGX_OK) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client sent no WebSocket handshake that is taken: %s",
                      *why);
    }

    return status;
}


static ngx_int_t
ngx_http_async_ws_wrong(ngx_http_request_t *r, const char **why)
{
    ngx_str_t                  value;
    ngx_http_async_ws_offer_t  offer;

    if (r->method != NGX_HTTP_GET) {
        *why = "a WebSocket handshake is a GET";
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (!ngx_http_async_ws_asked(r)) {
        *why = "this is for WebSocket, and the request does not ask for it "
               "by Upgrade and Connection of HTTP/1.1";
        return NGX_HTTP_UPGRADE_REQUIRED;
    }

    if (ngx_http_async_ws_one(r, "Sec-WebSocket-Version", &value) != 1
        || !ngx_http_async_ws_is_word(&value, "13"))
    {
        *why = "the version of WebSocket is to be 13";
        return NGX_HTTP_UPGRADE_REQUIRED;
    }

    if (ngx_http_async_ws_one(r, "Sec-WebSocket-Key", &value) != 1
        || !ngx_http_async_ws_is_key(&value))
    {
        *why = "Sec-WebSocket-Key is not one of 16 bytes in base64";
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_http_async_ws_offered(r, &offer) == NGX_ERROR) {
        *why = "Sec-WebSocket-Extensions is malformed";
        return NGX_HTTP_BAD_REQUEST;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        *why = "a WebSocket handshake has no body";
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_http_async_ws_check_origin(r) != NGX_OK) {
        *why = "pages of this origin may not open this WebSocket";
        return NGX_HTTP_FORBIDDEN;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_async_ws_fields(ngx_http_request_t *r, ngx_int_t status,
    ngx_keyval_t fields[NGX_HTTP_ASYNC_WS_FIELDS])
{
    if (status == NGX_HTTP_NOT_ALLOWED) {
        ngx_str_set(&fields[0].key, "Allow");
        ngx_str_set(&fields[0].value, "GET");
        return 1;
    }

    /* HTTP/2 and 3 have no such fields */

    if (status != NGX_HTTP_UPGRADE_REQUIRED
        || r->http_version > NGX_HTTP_VERSION_11)
    {
        return 0;
    }

    ngx_str_set(&fields[0].key, "Upgrade");
    ngx_str_set(&fields[0].value, "websocket");

    /* a second one of nginx, beside "keep-alive" or "close" */

    ngx_str_set(&fields[1].key, "Connection");
    ngx_str_set(&fields[1].value, "Upgrade");

    ngx_str_set(&fields[2].key, "Sec-WebSocket-Version");
    ngx_str_set(&fields[2].value, "13");

    return 3;
}


ngx_int_t
ngx_http_async_ws_refuse(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_int_t status, const char *why)
{
    ngx_uint_t    n;
    ngx_keyval_t  fields[NGX_HTTP_ASYNC_WS_FIELDS];

    ngx_http_async_ws_count_refused();

    n = ngx_http_async_ws_fields(r, status, fields);

    return ngx_http_async_send_detail(r, conf, status, why, fields, n);
}


void
ngx_http_async_ws_list(ngx_http_async_ws_list_t *list, ngx_list_part_t *part,
    const char *name)
{
    list->name = name;
    list->part = part;
    list->i = 0;
    ngx_str_null(&list->rest);
}


ngx_uint_t
ngx_http_async_ws_list_next(ngx_http_async_ws_list_t *list, ngx_str_t *item)
{
    ngx_table_elt_t  *h;

    for ( ;; ) {

        while (ngx_http_async_field_item(&list->rest, item) == NGX_OK) {

            if (item->len) {
                return 1;
            }
        }

        h = ngx_http_async_field_next(&list->part, &list->i);

        if (h == NULL) {
            return 0;
        }

        if (ngx_http_async_ws_is_word(&h->key, list->name)) {
            list->rest = h->value;
        }
    }
}


ngx_int_t
ngx_http_async_ws_offered(ngx_http_request_t *r,
    ngx_http_async_ws_offer_t *offer)
{
    ngx_int_t                  rc, found;
    ngx_uint_t                 i;
    ngx_list_part_t           *part;
    ngx_table_elt_t           *h;
    ngx_http_async_ws_offer_t  next;

    found = NGX_DECLINED;
    part = &r->headers_in.headers.part;
    i = 0;

    while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {

        if (!ngx_http_async_ws_is_word(&h->key, "Sec-WebSocket-Extensions")) {
            continue;
        }

        rc = ngx_http_async_ws_offer(&h->value, &next);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK && found != NGX_OK) {
            *offer = next;
            found = NGX_OK;
        }
    }

    return found;
}


/* Whether the field, a list, has the token, in any case. */

static ngx_uint_t
ngx_http_async_ws_has_token(ngx_http_request_t *r, const char *name,
    const char *token)
{
    ngx_str_t                 item;
    ngx_http_async_ws_list_t  list;

    ngx_http_async_ws_list(&list, &r->headers_in.headers.part, name);

    while (ngx_http_async_ws_list_next(&list, &item)) {
        if (ngx_http_async_ws_is_word(&item, token)) {
            return 1;
        }
    }

    return 0;
}


/* How many there are of the field; *value: the last of them. */

static ngx_uint_t
ngx_http_async_ws_one(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_async_ws_is_word(&h[i].key, name)) {
                *value = h[i].value;
                n++;
            }
        }
    }

    return n;
}


/* 16 bytes are 22 digits, and two that are none */

static ngx_uint_t
ngx_http_async_ws_is_key(ngx_str_t *key)
{
    u_char  c, *p;

    if (key->len != NGX_HTTP_ASYNC_WS_KEY_LEN
        || key->data[22] != '=' || key->data[23] != '=')
    {
        return 0;
    }

    for (p = key->data; p < key->data + 22; p++) {
        c = *p;

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
            && (c < '0' || c > '9') && c != '+' && c != '/')
        {
            return 0;
        }
    }

    return 1;
}


/* async_websocket_origin */

static ngx_int_t
ngx_http_async_ws_check_origin(ngx_http_request_t *r)
{
    ngx_str_t                   *allowed, text;
    ngx_uint_t                   i, n, is;
    ngx_http_async_ws_conf_t    *conf;
    ngx_http_async_ws_origin_t   origin, other;

    n = ngx_http_async_ws_one(r, "Origin", &text);

    if (n == 0) {
        /* no browser, so nobody's page acts for a user */
        return NGX_OK;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_async_ws_module);
    allowed = conf->origins->elts;

    if (ngx_http_async_ws_is_word(&allowed[0], "any")) {
        return NGX_OK;
    }

    is = (n == 1) && ngx_http_async_ws_origin(&text, &origin) == NGX_OK;

    for (i = 0; n == 1 && i < conf->origins->nelts; i++) {

        if (ngx_http_async_ws_is_word(&allowed[i], "same")) {

            if (is && ngx_http_async_ws_is_own(r, &origin)) {
                return NGX_OK;
            }

        } else if (ngx_http_async_ws_is_word(&allowed[i], "null")) {

            if (ngx_http_async_ws_is_word(&text, "null")) {
                return NGX_OK;
            }

        } else if (is
                   && ngx_http_async_ws_origin(&allowed[i], &other) == NGX_OK
                   && ngx_http_async_ws_same_origin(&origin, &other))
        {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "\"async_websocket_origin\" has no \"%V\"", &text);

    return NGX_DECLINED;
}


/*
 * The port that a Host leaves out is that of the scheme which the browser uses.
 * That is known here only where TLS ends here: what looks like HTTP may come
 * from a proxy that takes HTTPS.
 */

static ngx_uint_t
ngx_http_async_ws_is_own(ngx_http_request_t *r,
    ngx_http_async_ws_origin_t *origin)
{
    in_port_t                    port;
    ngx_http_async_ws_origin_t   own;

    port = ngx_http_async_ws_port(&origin->scheme);

#if (NGX_HTTP_SSL)
    if (r->connection->ssl && port != 443) {
        return 0;
    }
#endif

    return port && r->headers_in.host
           && ngx_http_async_ws_authority(&r->headers_in.host->value, port,
                                          &own)
              == NGX_OK
           && ngx_http_async_ws_same_origin(origin, &own);
}


static ngx_uint_t
ngx_http_async_ws_is_word(ngx_str_t *text, const char *word)
{
    return text->len == ngx_strlen(word)
           && ngx_strncasecmp(text->data, (u_char *) word, text->len) == 0;
}
