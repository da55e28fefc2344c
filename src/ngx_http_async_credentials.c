
/*
 * Copyright (C) the nginx-async authors
 *
 * Who asks: what a client has sent to tell that, or 401.  Whether it is right,
 * the handler knows.
 */

#include <ngx_http_async_request.h>
#include <ngx_http_async_field.h>
#include <ngx_http_async_value.h>


static async_rc_t ngx_http_async_challenge(async_req_t *req,
    const char *challenge, const char *detail);
static ngx_uint_t ngx_http_async_scheme(async_req_t *req, const char *scheme,
    async_str_t *rest);
static ngx_uint_t ngx_http_async_is_base64(async_str_t *text);
static ngx_uint_t ngx_http_async_is_plain(ngx_str_t *text);


static const char  ngx_http_async_no_credentials[] = "Not authenticated";
static const char  ngx_http_async_bad_credentials[] =
    "Invalid authentication credentials";


async_rc_t
async_bearer(async_req_t *req, async_str_t *token)
{
    u_char  *p, *last;

    ngx_http_async_check(req);

    if (!ngx_http_async_scheme(req, "bearer", token)) {
        return ngx_http_async_challenge(req, "Bearer",
                                        ngx_http_async_no_credentials);
    }

    p = (u_char *) token->data;
    last = p + token->len;

    while (p < last && *p > ' ' && *p < 0x7f) {
        /* a token has nothing else (RFC 6750, 2.1) */
        p++;
    }

    if (p < last || token->len == 0) {
        token->data = NULL;
        token->len = 0;
        return ngx_http_async_challenge(req, "Bearer error=\"invalid_token\"",
                                        ngx_http_async_bad_credentials);
    }

    return ASYNC_OK;
}


async_rc_t
async_basic(async_req_t *req, const char *realm, async_str_t *user,
    async_str_t *password)
{
    u_char       *colon, *p, *challenge;
    size_t        len;
    ngx_str_t     coded, text;
    async_str_t   rest;

    ngx_http_async_check(req);

    user->data = NULL;
    user->len = 0;
    *password = *user;

    if (realm == NULL || ngx_http_async_has_control(realm)) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "async_basic() "
                                   "wants a realm without control characters");
    }

    len = ngx_strlen(realm);
    challenge = ngx_pnalloc(req->pool, sizeof("Basic realm=\"\", "
                                              "charset=\"UTF-8\"") + 2 * len);
    if (challenge == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    p = ngx_cpymem(challenge, "Basic realm=\"", sizeof("Basic realm=\"") - 1);

    for ( /* void */ ; *realm; realm++) {
        if (*realm == '"' || *realm == '\\') {
            *p++ = '\\';
        }

        *p++ = *realm;
    }

    ngx_memcpy(p, "\", charset=\"UTF-8\"", sizeof("\", charset=\"UTF-8\""));

    if (!ngx_http_async_scheme(req, "basic", &rest)) {
        return ngx_http_async_challenge(req, (char *) challenge,
                                        ngx_http_async_no_credentials);
    }

    coded.data = (u_char *) rest.data;
    coded.len = rest.len;

    text.len = ngx_base64_decoded_length(coded.len);
    text.data = ngx_pnalloc(req->pool, text.len + 1);

    if (text.data == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    if (!ngx_http_async_is_base64(&rest)
        || ngx_decode_base64(&text, &coded) != NGX_OK
        || !ngx_http_async_is_plain(&text)
        || (colon = ngx_strlchr(text.data, text.data + text.len, ':')) == NULL)
    {
        return ngx_http_async_challenge(req, (char *) challenge,
                                        ngx_http_async_bad_credentials);
    }

    text.data[text.len] = '\0';
    *colon = '\0';

    user->data = (char *) text.data;
    user->len = colon - text.data;
    password->data = (char *) colon + 1;
    password->len = text.data + text.len - (colon + 1);

    return ASYNC_OK;
}


async_rc_t
async_api_key(async_req_t *req, async_in_t in, const char *name,
    async_str_t *key)
{
    ngx_http_async_check(req);

    switch (in) {

    case ASYNC_IN_HEADER:
        *key = async_header(req, name);
        break;

    case ASYNC_IN_QUERY:
        *key = async_query(req, name);
        break;

    case ASYNC_IN_COOKIE:
        *key = async_cookie(req, name);
        break;

    default:
        key->data = NULL;
        key->len = 0;

        return ngx_async_set_error(&req->task, ASYNC_ERROR, "a key is in a "
                                   "header, the query or a cookie");
    }

    if (key->len == 0) {
        key->data = NULL;
        return ngx_http_async_challenge(req, "APIKey",
                                        ngx_http_async_no_credentials);
    }

    return ASYNC_OK;
}


int
async_equal(async_str_t one, const char *two)
{
    size_t         i, len;
    volatile char  differ;

    if (one.data == NULL || two == NULL) {
        return 0;
    }

    len = ngx_strlen(two);

    if (one.len != len) {
        return 0;
    }

    /* volatile, or the compiler may find that the first one is enough */

    differ = 0;

    for (i = 0; i < len; i++) {
        differ |= one.data[i] ^ two[i];
    }

    return differ == 0;
}


static async_rc_t
ngx_http_async_challenge(async_req_t *req, const char *challenge,
    const char *detail)
{
    async_rc_t  rc;

    rc = async_set_header(req, "WWW-Authenticate", challenge);

    return (rc == ASYNC_OK) ? async_fail(req, 401, detail) : rc;
}


/*
 * What stands behind the scheme, which is in lower case here and in any case
 * there (RFC 9110, 11.1).  Zero: there is none, or another one.  Several fields
 * of that name nginx has refused.
 */

static ngx_uint_t
ngx_http_async_scheme(async_req_t *req, const char *scheme, async_str_t *rest)
{
    size_t       len;
    async_str_t  found;

    found = async_header(req, "Authorization");
    len = ngx_strlen(scheme);

    rest->data = NULL;
    rest->len = 0;

    if (found.len <= len || found.data[len] != ' '
        || ngx_strncasecmp((u_char *) found.data, (u_char *) scheme, len) != 0)
    {
        return 0;
    }

    while (len < found.len && found.data[len] == ' ') {
        len++;
    }

    rest->data = found.data + len;
    rest->len = found.len - len;

    return 1;
}


/* nginx's decoder ends at the first "=", and wants none */

static ngx_uint_t
ngx_http_async_is_base64(async_str_t *text)
{
    size_t  len;

    len = text->len;

    if (len == 0 || len % 4) {
        return 0;
    }

    if (text->data[len - 1] == '=') {
        len--;

        if (text->data[len - 1] == '=') {
            len--;
        }
    }

    return ngx_strlchr((u_char *) text->data, (u_char *) text->data + len, '=')
           == NULL;
}


/* UTF-8 without control characters (RFC 7617, 2) */

static ngx_uint_t
ngx_http_async_is_plain(ngx_str_t *text)
{
    size_t   n;
    u_char  *p, *last;

    p = text->data;
    last = p + text->len;

    for ( /* void */ ; p < last; p += n) {

        if (*p < ' ' || *p == 0x7f) {
            return 0;
        }

        n = ngx_http_async_value_utf8(p, last);

        if (n == 0) {
            return 0;
        }
    }

    return 1;
}
