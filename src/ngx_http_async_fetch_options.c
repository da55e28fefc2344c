
/*
 * Copyright (C) the nginx-async authors
 *
 * What await_fetch() and await_subrequest() are asked for: async_fetch_t,
 * looked at before anything is sent.
 */

#include <ngx_http_async_fetched.h>
#include <ngx_http_async_field.h>
#include <ngx_http_async_json.h>


typedef struct {
    ngx_pool_t                 *pool;
    json_t                     *value;
    ngx_str_t                   text;
    ngx_int_t                   rc;
    const char                 *error;
} ngx_http_async_fetch_json_t;


static async_rc_t ngx_http_async_fetch_check(ngx_async_task_t *t,
    async_fetch_t *fetch);
static const char *ngx_http_async_fetch_headers(const char *const *headers);
static async_rc_t ngx_http_async_fetch_encode(ngx_async_task_t *t,
    json_t *value, async_str_t *body);
static void ngx_http_async_fetch_encode_on_loop(void *data);
static void ngx_http_async_fetch_free_on_loop(void *data);


async_rc_t
ngx_http_async_fetch_options(ngx_async_task_t *t, async_fetch_t *given,
    size_t size, async_fetch_t *fetch, const char **type)
{
    json_t      *value;
    async_rc_t   rc;

    ngx_memzero(fetch, sizeof(async_fetch_t));
    *type = NULL;

    if (given == NULL) {
        fetch->method = "GET";
        return ASYNC_OK;
    }

    ngx_memcpy(fetch, given, ngx_min(size, sizeof(async_fetch_t)));

    rc = ngx_http_async_fetch_check(t, fetch);

    value = fetch->json;

    if (value) {
        fetch->json = NULL;

        if (rc != ASYNC_OK) {
            ngx_http_async_fetch_forget(given);
            return rc;
        }

        given->json = NULL;
        *type = "application/json";

        return ngx_http_async_fetch_encode(t, value, &fetch->body);
    }

    return rc;
}


void
ngx_http_async_fetch_forget(async_fetch_t *given)
{
    if (given && given->json) {
        ngx_async_on_loop(ngx_http_async_fetch_free_on_loop, given->json);
        given->json = NULL;
    }
}


static void
ngx_http_async_fetch_free_on_loop(void *data)
{
    json_decref((json_t *) data);
}


static async_rc_t
ngx_http_async_fetch_check(ngx_async_task_t *t, async_fetch_t *fetch)
{
    ngx_uint_t         i, n;
    const char        *wrong;
    ngx_async_bound_t  bound;

    const int64_t  time[] = { fetch->timeout, fetch->connect_timeout,
                              fetch->send_timeout, fetch->read_timeout };

    for (i = 0; i < sizeof(time) / sizeof(int64_t); i++) {
        if (!ngx_async_is_time(time[i])) {
            bound.what = "a timeout of async_fetch_t";
            bound.site = t->site;
            bound.ms = time[i];

            return ngx_async_refuse_time(t, &bound);
        }
    }

    n = (fetch->body.data != NULL) + (fetch->json != NULL)
        + (fetch->source != NULL);

    if (fetch->method == NULL) {
        fetch->method = n ? "POST" : "GET";
    }

    wrong = ngx_http_async_fetch_headers(fetch->headers);

    if (fetch->flags & ~(ASYNC_FETCH_STREAM|ASYNC_FETCH_DECODE)) {
        wrong = "there are flags that are not known";

    } else if (n > 1) {
        wrong = "one of body, json and source is sent";

    } else if (fetch->length < 0 || (fetch->length && !fetch->source)) {
        wrong = "length is of a source, and not negative";

    } else if (!ngx_http_async_is_token(fetch->method)) {
        wrong = "the method is no token";
    }

    if (wrong == NULL) {
        return ASYNC_OK;
    }

    return ngx_async_because(t, ASYNC_CAUSE_REQUEST,
                             ngx_async_set_error(t, ASYNC_ERROR, "the request "
                                                 "is not sent: %s", wrong));
}


static const char *
ngx_http_async_fetch_headers(const char *const *headers)
{
    const char        *const *p, *const *h;
    static const char *const  framing[] = {
        "Connection", "Content-Length", "Expect", "Keep-Alive",
        "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
        NULL
    };

    if (headers == NULL) {
        return NULL;
    }

    for (h = headers; *h; h += 2) {

        if (!ngx_http_async_is_token(h[0])) {
            return "the name of a header field is no token";
        }

        if (h[1] && ngx_http_async_has_control(h[1])) {
            return "a header field has a control character";
        }

        for (p = framing; *p; p++) {
            if (ngx_strcasecmp((u_char *) h[0], (u_char *) *p) == 0) {
                return "a header field is one that is not to be set";
            }
        }
    }

    return NULL;
}


static async_rc_t
ngx_http_async_fetch_encode(ngx_async_task_t *t, json_t *value,
    async_str_t *body)
{
    ngx_http_async_fetch_json_t  json;

    json.pool = ngx_async_task_pool(t);
    json.value = value;
    json.rc = NGX_ERROR;
    json.error = "no memory";

    ngx_async_on_loop(ngx_http_async_fetch_encode_on_loop, &json);

    if (json.rc != NGX_OK) {
        return ngx_async_because(t, ASYNC_CAUSE_REQUEST,
                                 ngx_async_set_error(t, ASYNC_ERROR,
                                                     "the JSON that is to be "
                                                     "sent: %s", json.error));
    }

    body->data = (char *) json.text.data;
    body->len = json.text.len;

    return ASYNC_OK;
}


/* jansson recurs when it frees */

static void
ngx_http_async_fetch_encode_on_loop(void *data)
{
    ngx_http_async_fetch_json_t  *json = data;

    ngx_uint_t  depth;

    if (json->pool) {
        json->rc = ngx_http_async_json_encode(json->pool, json->value,
                                              &json->text, &depth,
                                              &json->error);
    }

    json_decref(json->value);
}
