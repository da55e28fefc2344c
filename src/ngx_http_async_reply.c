
/*
 * Copyright (C) the nginx-async authors
 *
 * The calls by which a handler sets its response.  They check and copy; the
 * response is sent by ngx_http_async_response.c once the handler has ended.
 */

#include <ngx_http_async_response.h>
#include <ngx_http_async_json.h>
#include <ngx_http_async_field.h>


static async_rc_t ngx_http_async_status(async_req_t *req, const char *call,
    int status, int low, int high);
static async_rc_t ngx_http_async_body_out(async_req_t *req, const char *call,
    int status, ngx_str_t *type, const void *data, size_t len);
static async_rc_t ngx_http_async_json_out(async_req_t *req, const char *call,
    int status, json_t *value);
static async_rc_t ngx_http_async_pack_out(async_req_t *req, int status,
    ngx_http_async_json_pack_t *pack);
static void ngx_http_async_json_free(void *data);
static void ngx_http_async_pack_free(void *data);
static async_rc_t ngx_http_async_is_null(async_req_t *req, const char *call);
static async_rc_t ngx_http_async_header_out(async_req_t *req,
    const char *name, const char *value, ngx_uint_t replace);
static async_rc_t ngx_http_async_header_add(async_req_t *req,
    ngx_str_t *name, ngx_str_t *value, ngx_uint_t replace);
static ngx_table_elt_t *ngx_http_async_header_push(async_req_t *req);
static ngx_uint_t ngx_http_async_is_framing(const char *name);
static void ngx_http_async_remove_header(async_req_t *req, ngx_str_t *name);
static ngx_int_t ngx_http_async_copy(ngx_pool_t *pool, ngx_str_t *to,
    const void *data, size_t len);


/*
 * A value of so many levels is freed where it is: jansson takes less stack for
 * that than the encoder has just taken.
 */

#define NGX_HTTP_ASYNC_JSON_SHALLOW  16


/* in any locale that an app may have set */

#define ngx_http_async_is_alnum(c)                                           \
    (((c) >= '0' && (c) <= '9')                                              \
     || (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'z'))


static ngx_str_t  ngx_http_async_type_json = ngx_string("application/json");
static ngx_str_t  ngx_http_async_type_text =
    ngx_string("text/plain; charset=utf-8");
static ngx_str_t  ngx_http_async_type_html =
    ngx_string("text/html; charset=utf-8");
static ngx_str_t  ngx_http_async_type_bytes =
    ngx_string("application/octet-stream");


async_rc_t
async_json(async_req_t *req, int status, json_t *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_json_out(req, "async_json", status, value);
}


async_rc_t
async_json_pack(async_req_t *req, int status, const char *format, ...)
{
    va_list                     args;
    async_rc_t                  rc;
    ngx_http_async_json_pack_t  pack;

    ngx_http_async_check(req);

    if (format == NULL) {
        return ngx_http_async_is_null(req, "async_json_pack");
    }

    pack.format = format;
    pack.args = &args;

    va_start(args, format);
    rc = ngx_http_async_pack_out(req, status, &pack);
    va_end(args);

    return rc;
}


async_rc_t
async_text(async_req_t *req, int status, const char *text)
{
    ngx_http_async_check(req);

    return ngx_http_async_body_out(req, "async_text", status,
                                   &ngx_http_async_type_text, text,
                                   text ? ngx_strlen(text) : 0);
}


async_rc_t
async_html(async_req_t *req, int status, const char *html)
{
    ngx_http_async_check(req);

    return ngx_http_async_body_out(req, "async_html", status,
                                   &ngx_http_async_type_html, html,
                                   html ? ngx_strlen(html) : 0);
}


async_rc_t
async_bytes(async_req_t *req, int status, const char *type, const void *data,
    size_t len)
{
    ngx_str_t  media;

    ngx_http_async_check(req);

    if (len == 0) {
        data = "";
    }

    if (type == NULL) {
        return ngx_http_async_body_out(req, "async_bytes", status,
                                       &ngx_http_async_type_bytes, data, len);
    }

    if (*type == '\0' || ngx_http_async_has_control(type)) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "async_bytes(): "
                                   "the media type is empty or has control "
                                   "characters");
    }

    if (ngx_http_async_copy(req->pool, &media, type, ngx_strlen(type))
        != NGX_OK)
    {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    return ngx_http_async_body_out(req, "async_bytes", status, &media, data,
                                   len);
}


async_rc_t
async_empty(async_req_t *req, int status)
{
    ngx_str_t  none;

    ngx_http_async_check(req);

    ngx_str_null(&none);

    return ngx_http_async_body_out(req, "async_empty", status, &none, "", 0);
}


async_rc_t
async_file(async_req_t *req, int status, const char *path)
{
    ngx_str_t   name, none;
    async_rc_t  rc;

    ngx_http_async_check(req);

    if (path == NULL) {
        return ngx_http_async_is_null(req, "async_file");
    }

    ngx_str_null(&none);

    rc = ngx_http_async_body_out(req, "async_file", status, &none, "", 0);
    if (rc != ASYNC_OK) {
        return rc;
    }

    if (ngx_http_async_copy(req->pool, &name, path, ngx_strlen(path))
        != NGX_OK
        || ngx_get_full_name(req->pool, (ngx_str_t *) &ngx_cycle->prefix,
                             &name) != NGX_OK)
    {
        req->out.status = 0;
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    req->out.path = name;

    return ASYNC_OK;
}


async_rc_t
async_redirect(async_req_t *req, int status, const char *location)
{
    u_char      *p, *escaped;
    size_t       len;
    async_rc_t   rc;

    /* a URI reference, escaped already or not: as urllib's quote() with its
     * delimiters and "%" safe (RFC 3986, 2.1) */

    static const char  safe[] = "-._~:/%#?=@[]!$&'()*+,;";
    static const char  hex[] = "0123456789ABCDEF";

    ngx_http_async_check(req);

    if (status != 301 && status != 302 && status != 303 && status != 307
        && status != 308)
    {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "async_redirect(): status %d is none of "
                                   "301, 302, 303, 307, 308", status);
    }

    if (location == NULL) {
        return ngx_http_async_is_null(req, "async_redirect");
    }

    if (ngx_http_async_has_control(location)) {
        return ngx_http_async_header_out(req, "Location", location, 1);
    }

    len = ngx_strlen(location);

    escaped = ngx_pnalloc(req->pool, len * 3 + 1);
    if (escaped == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    for (p = escaped; *location; location++) {

        if (ngx_http_async_is_alnum(*location) || ngx_strchr(safe, *location))
        {
            *p++ = *location;
            continue;
        }

        *p++ = '%';
        *p++ = hex[(u_char) *location >> 4];
        *p++ = hex[(u_char) *location & 0xf];
    }

    *p = '\0';

    rc = ngx_http_async_header_out(req, "Location", (char *) escaped, 1);

    return (rc == ASYNC_OK) ? async_empty(req, status) : rc;
}


async_rc_t
async_fail(async_req_t *req, int status, const char *detail)
{
    json_t  *text;

    ngx_http_async_check(req);

    if (detail == NULL) {
        return ngx_http_async_is_null(req, "async_fail");
    }

    text = json_string(detail);

    if (text == NULL) {
        ngx_async_log(&req->task, NGX_LOG_ERR, 0,
                      "async handler \"%s\": the detail of async_fail() is "
                      "not UTF-8", req->task.profile->name);

        text = json_null();
    }

    return async_fail_json(req, status, text);
}


async_rc_t
async_fail_json(async_req_t *req, int status, json_t *detail)
{
    json_t      *body;
    async_rc_t   rc;

    ngx_http_async_check(req);

    body = json_pack("{s:o}", "detail", detail);

    rc = ngx_http_async_status(req, "async_fail", status, 400, 599);

    if (rc != ASYNC_OK) {
        ngx_async_on_loop(ngx_http_async_json_free, body);
        return rc;
    }

    rc = ngx_http_async_json_out(req, "async_fail", status, body);

    if (rc != ASYNC_OK) {
        return rc;
    }

    req->out.failed = 1;

    return ngx_async_set_error(&req->task, ASYNC_ERROR,
                               "async_fail() with status %d", status);
}


async_rc_t
async_set_header(async_req_t *req, const char *name, const char *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_header_out(req, name, value, 1);
}


async_rc_t
async_add_header(async_req_t *req, const char *name, const char *value)
{
    ngx_http_async_check(req);

    return ngx_http_async_header_out(req, name, value, 0);
}


async_rc_t
async_set_cookie(async_req_t *req, const char *name, const char *value,
    const char *attributes)
{
    u_char      *p, *cookie;
    size_t       len;
    const char  *c;

    ngx_http_async_check(req);

    if (name == NULL || value == NULL) {
        return ngx_http_async_is_null(req, "async_set_cookie");
    }

    for (c = value; *c; c++) {
        /* cookie-octet of RFC 6265, 4.1.1 */

        if ((u_char) *c <= ' ' || (u_char) *c >= 0x7f
            || ngx_strchr("\",;\\", *c))
        {
            break;
        }
    }

    if (*c || !ngx_http_async_is_token(name)) {
        ngx_async_log(&req->task, NGX_LOG_ERR, 0,
                      "async handler \"%s\" set a cookie whose name or value "
                      "has a character that RFC 6265 does not allow",
                      req->task.profile->name);

        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "the cookie is not valid");
    }

    if (attributes == NULL) {
        attributes = "Path=/; SameSite=Lax";
    }

    len = ngx_strlen(name) + ngx_strlen(value) + ngx_strlen(attributes)
          + sizeof("=; ");

    cookie = ngx_pnalloc(req->pool, len);
    if (cookie == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    p = ngx_sprintf(cookie, *attributes ? "%s=%s; %s" : "%s=%s%s", name,
                    value, attributes);
    *p = '\0';

    return ngx_http_async_header_out(req, "Set-Cookie", (char *) cookie, 0);
}


static async_rc_t
ngx_http_async_status(async_req_t *req, const char *call, int status,
    int low, int high)
{
    if (status >= low && status <= high) {
        return ASYNC_OK;
    }

    return ngx_async_set_error(&req->task, ASYNC_ERROR,
                               "%s(): status %d is not from %d to %d",
                               call, status, low, high);
}


static async_rc_t
ngx_http_async_is_null(async_req_t *req, const char *call)
{
    return ngx_async_set_error(&req->task, ASYNC_ERROR,
                               "%s(): the value is NULL", call);
}


static async_rc_t
ngx_http_async_body_out(async_req_t *req, const char *call, int status,
    ngx_str_t *type, const void *data, size_t len)
{
    async_rc_t             rc;
    ngx_str_t              copy;
    ngx_http_async_out_t  *out;

    rc = ngx_http_async_status(req, call, status, 200, 599);
    if (rc != ASYNC_OK) {
        return rc;
    }

    if (data == NULL) {
        return ngx_http_async_is_null(req, call);
    }

    ngx_str_null(&copy);

    if (len
        && ngx_http_async_copy(req->pool, &copy, data, len) != NGX_OK)
    {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    out = &req->out;

    out->status = status;
    out->type = *type;
    out->body = copy;
    out->failed = 0;
    ngx_str_null(&out->path);

    return ASYNC_OK;
}


/* steals */

static async_rc_t
ngx_http_async_json_out(async_req_t *req, const char *call, int status,
    json_t *value)
{
    ngx_str_t    text;
    ngx_int_t    rc;
    ngx_uint_t   depth;
    const char  *error;

    if (value == NULL) {
        return ngx_http_async_is_null(req, call);
    }

    rc = ngx_http_async_json_encode(req->pool, value, &text, &depth,
                                    &error);

    if (rc == NGX_OK && depth <= NGX_HTTP_ASYNC_JSON_SHALLOW) {
        json_decref(value);

    } else {
        ngx_async_on_loop(ngx_http_async_json_free, value);
    }

    if (rc != NGX_OK) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "%s(): %s", call,
                                   error);
    }

    return ngx_http_async_json_text(req, call, status, &text);
}


static async_rc_t
ngx_http_async_pack_out(async_req_t *req, int status,
    ngx_http_async_json_pack_t *pack)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    rc = ngx_http_async_json_pack(req->pool, pack, &text);

    if (pack->owned) {
        if (rc == NGX_OK && pack->depth <= NGX_HTTP_ASYNC_JSON_SHALLOW) {
            ngx_http_async_json_pack_release(pack);

        } else {
            ngx_async_on_loop(ngx_http_async_pack_free, pack);
        }
    }

    if (rc != NGX_OK) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "async_json_pack(): %s, at character %uz "
                                   "of the format \"%s\"", pack->error,
                                   pack->position, pack->format);
    }

    return ngx_http_async_json_text(req, "async_json_pack", status, &text);
}


async_rc_t
ngx_http_async_json_text(async_req_t *req, const char *call, int status,
    ngx_str_t *text)
{
    async_rc_t             rc;
    ngx_http_async_out_t  *out;

    rc = ngx_http_async_status(req, call, status, 200, 599);
    if (rc != ASYNC_OK) {
        return rc;
    }

    out = &req->out;

    out->status = status;
    out->type = ngx_http_async_type_json;
    out->body = *text;
    out->failed = 0;
    ngx_str_null(&out->path);

    return ASYNC_OK;
}


/* on the loop's stack: jansson recurs, as deep as the value is */

static void
ngx_http_async_json_free(void *data)
{
    json_decref((json_t *) data);
}


static void
ngx_http_async_pack_free(void *data)
{
    ngx_http_async_json_pack_release((ngx_http_async_json_pack_t *) data);
}


static async_rc_t
ngx_http_async_header_out(async_req_t *req, const char *name,
    const char *value, ngx_uint_t replace)
{
    ngx_str_t    key, text;
    const char  *wrong;

    wrong = ngx_http_async_field_wrong(name, value);

    if (wrong) {
        return ngx_http_async_field_refused(req, wrong);
    }

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    if (replace || value == NULL) {
        ngx_http_async_remove_header(req, &key);
    }

    ngx_str_null(&text);

    if (value) {
        text.data = (u_char *) value;
        text.len = ngx_strlen(value);

        ngx_http_async_field_trim(&text);

    } else if (req->origin == NULL) {
        return ASYNC_OK;
    }

    return ngx_http_async_header_add(req, &key, &text, replace);
}


/*
 * "hash", which nginx looks at in what it sends only: it has replaced others,
 * and does so when a copy of the request is merged; without data, it removes.
 */

static async_rc_t
ngx_http_async_header_add(async_req_t *req, ngx_str_t *name, ngx_str_t *value,
    ngx_uint_t replace)
{
    ngx_pool_t       *pool;
    ngx_table_elt_t  *h;

    pool = req->pool;

    h = ngx_http_async_header_push(req);

    if (h == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    h->hash = replace;
    h->lowcase_key = ngx_pnalloc(pool, name->len);

    if (h->lowcase_key == NULL
        || ngx_http_async_copy(pool, &h->key, name->data, name->len) != NGX_OK
        || (value->data
            && ngx_http_async_copy(pool, &h->value, value->data, value->len)
               != NGX_OK))
    {
        req->out.headers->nelts--;
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    ngx_strlow(h->lowcase_key, name->data, name->len);

    return ASYNC_OK;
}


static ngx_table_elt_t *
ngx_http_async_header_push(async_req_t *req)
{
    ngx_table_elt_t  *h;

    if (req->out.headers == NULL) {
        req->out.headers = ngx_array_create(req->pool, 4,
                                            sizeof(ngx_table_elt_t));
    }

    h = req->out.headers ? ngx_array_push(req->out.headers) : NULL;

    if (h) {
        ngx_memzero(h, sizeof(ngx_table_elt_t));
    }

    return h;
}


async_rc_t
ngx_http_async_merge_out(async_req_t *req, ngx_http_async_out_t *out)
{
    ngx_uint_t        i, started;
    ngx_array_t      *headers;
    ngx_table_elt_t  *h, *copy;

    headers = req->out.headers;

    if (out->status) {
        started = req->out.started;

        req->out = *out;
        req->out.headers = headers;
        req->out.started = started;
    }

    h = out->headers ? out->headers->elts : NULL;

    for (i = 0; h && i < out->headers->nelts; i++) {

        if (h[i].hash || h[i].value.data == NULL) {
            ngx_http_async_remove_header(req, &h[i].key);
        }

        if (h[i].value.data == NULL && req->origin == NULL) {
            continue;
        }

        copy = ngx_http_async_header_push(req);

        if (copy == NULL) {
            return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
        }

        *copy = h[i];
    }

    return ASYNC_OK;
}


const char *
ngx_http_async_field_wrong(const char *name, const char *value)
{
    return (name == NULL || !ngx_http_async_is_token(name))
               ? "the name is no token"
           : ngx_http_async_is_framing(name) ? "nginx makes this one"
           : (value && ngx_http_async_has_control(value))
               ? "the value has a control character"
           : NULL;
}


async_rc_t
ngx_http_async_field_refused(async_req_t *req, const char *wrong)
{
    ngx_async_log(&req->task, NGX_LOG_ERR, 0,
                  "async handler \"%s\" set a header field that is "
                  "refused: %s, after %s at %s", req->task.profile->name,
                  wrong, req->task.await ? req->task.await : "no await",
                  req->task.site ? req->task.site : "-");

    return ngx_async_set_error(&req->task, ASYNC_ERROR,
                               "a header field was refused: %s", wrong);
}


static ngx_uint_t
ngx_http_async_is_framing(const char *name)
{
    const char        **p;
    static const char  *framing[] = {
        "Connection", "Content-Length", "Date", "Keep-Alive", "Trailer",
        "Transfer-Encoding", "Upgrade", NULL
    };

    for (p = framing; *p; p++) {
        if (ngx_strcasecmp((u_char *) name, (u_char *) *p) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_async_remove_header(async_req_t *req, ngx_str_t *name)
{
    ngx_uint_t        i, n;
    ngx_table_elt_t  *h;

    if (req->out.headers == NULL) {
        return;
    }

    h = req->out.headers->elts;

    for (i = 0, n = 0; i < req->out.headers->nelts; i++) {

        if (!ngx_http_async_field_is(&h[i], name)) {
            h[n++] = h[i];
        }
    }

    req->out.headers->nelts = n;
}


/* zero-terminated */

static ngx_int_t
ngx_http_async_copy(ngx_pool_t *pool, ngx_str_t *to, const void *data,
    size_t len)
{
    to->data = ngx_pnalloc(pool, len + 1);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, data, len);
    to->data[len] = '\0';
    to->len = len;

    return NGX_OK;
}
