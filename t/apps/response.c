/* Handlers for t/response.t: each way of answering. */

#include <ngx_async.h>
#include <stdlib.h>
#include <string.h>


#define WHEN(name)  if (strcmp(what, name) == 0)


static int
number(async_req_t *req, const char *name, int otherwise)
{
    int64_t  value;

    if (async_query_int_or(req, name, &value, otherwise) != ASYNC_OK) {
        return otherwise;
    }

    return value;
}


static char *
repeated(async_req_t *req, size_t len)
{
    char  *p;

    p = async_alloc(req, len + 1);

    memset(p, 'x', len);
    p[len] = '\0';

    return p;
}


/* /reply/{what}?status=N&value=... */

ASYNC_HANDLER(reply)
{
    int          status;
    char         local[16];
    const char  *what, *value;

    what = async_path(req, "what").data;
    value = async_query(req, "value").data;
    status = number(req, "status", 200);

    WHEN("json") {
        return async_json(req, status, json_pack("{s:s}", "a", "b"));
    }

    WHEN("text") {
        strcpy(local, "text");
        (void) async_text(req, status, local);
        memset(local, 'X', sizeof(local));
        return ASYNC_OK;
    }

    WHEN("html") {
        return async_html(req, status, "<p>html</p>");
    }

    WHEN("bytes") {
        return async_bytes(req, status, value, "a\0b", 3);
    }

    WHEN("nothing") {
        return async_bytes(req, status, value, NULL, 0);
    }

    WHEN("empty") {
        return async_empty(req, status);
    }

    WHEN("redirect") {
        return async_redirect(req, status, value);
    }

    WHEN("fail") {
        (void) async_set_header(req, "WWW-Authenticate", "Bearer");
        (void) async_add_header(req, "WWW-Authenticate", "Basic realm=\"x\"");
        return async_fail(req, status, value);
    }

    WHEN("fail-json") {
        return async_fail_json(req, status, json_pack("{s:[i,i]}", "why", 1,
                                                      2));
    }

    WHEN("fail-null") {
        return async_fail_json(req, status, NULL);
    }

    WHEN("fail-bytes") {
        return async_fail(req, status, "\xff");
    }

    WHEN("fail-ok") {
        (void) async_fail(req, status, "failed");
        return ASYNC_OK;
    }

    WHEN("mended") {
        (void) async_fail(req, status, "failed");
        return async_text(req, 200, "mended");
    }

    WHEN("large") {
        return async_text(req, status, repeated(req, 5 * 1024 * 1024));
    }

    WHEN("page") {
        return async_html(req, status, repeated(req, 5000));
    }

    WHEN("none") {
        return ASYNC_OK;
    }

    return async_fail(req, 404, "there is none");
}


/* NULL for each of the calls */

ASYNC_HANDLER(nulls)
{
    const char  *what;

    what = async_path(req, "what").data;

    WHEN("text") {
        return async_text(req, 200, NULL);
    }

    WHEN("bytes") {
        return async_bytes(req, 200, NULL, NULL, 1);
    }

    WHEN("redirect") {
        return async_redirect(req, 302, NULL);
    }

    WHEN("file") {
        return async_file(req, 200, NULL);
    }

    WHEN("fail") {
        return async_fail(req, 400, NULL);
    }

    WHEN("header") {
        return async_set_header(req, NULL, "a");
    }

    return async_set_cookie(req, "a", NULL, NULL);
}


/* a code after a response and a header field that must not be seen */

ASYNC_HANDLER(code)
{
    (void) async_text(req, 200, "from the handler");
    (void) async_set_header(req, "X-Handler", "1");

    if (async_query(req, "slow").data && await_sleep(co, 60000) != ASYNC_OK) {
        return ASYNC_TIMEOUT;
    }

    return (async_rc_t) number(req, "code", 0);
}


ASYNC_HANDLER(invalid)
{
    int64_t  a, b;

    (void) async_set_header(req, "X-Handler", "1");
    (void) async_query_int(req, "a", &a);
    (void) async_query_int(req, "b", &b);

    ASYNC_TRY(async_valid(req));

    return async_text(req, 200, "valid");
}


/* ?set=, ?add= and ?remove= with ?value=; once more with ?again= */

ASYNC_HANDLER(header)
{
    int          i;
    async_rc_t   rc;
    async_str_t  name, value, again;

    value = async_query(req, "value");
    again = async_query(req, "again");
    rc = ASYNC_OK;

    for (i = 0; rc == ASYNC_OK && i < (again.data ? 2 : 1); i++) {

        name = async_query(req, "set");
        if (name.data) {
            rc = async_set_header(req, name.data, i ? again.data : value.data);
        }

        name = async_query(req, "add");
        if (name.data) {
            rc = async_add_header(req, name.data, i ? again.data : value.data);
        }
    }

    name = async_query(req, "remove");
    if (rc == ASYNC_OK && name.data) {
        rc = async_set_header(req, name.data, NULL);
    }

    ASYNC_TRY(async_text(req, number(req, "status", 200), "body"));

    return rc;
}


ASYNC_HANDLER(headers)
{
    ASYNC_TRY(async_add_header(req, "X-One", "1"));
    ASYNC_TRY(async_add_header(req, "X-Two", "2"));
    ASYNC_TRY(async_add_header(req, "x-one", "3"));
    ASYNC_TRY(async_set_header(req, "X-Three", " \t4 5\t "));
    ASYNC_TRY(async_set_header(req, "X-Empty", ""));
    ASYNC_TRY(async_set_header(req, "X-TWO", "6"));

    return async_empty(req, 200);
}


ASYNC_HANDLER(cookies)
{
    ASYNC_TRY(async_set_cookie(req, "a", "1", NULL));
    ASYNC_TRY(async_set_cookie(req, "b", "", "Max-Age=0"));
    ASYNC_TRY(async_set_cookie(req, "c", "x=y", ""));

    return async_empty(req, 200);
}


ASYNC_HANDLER(cookie)
{
    ASYNC_TRY(async_set_cookie(req, async_query(req, "name").data,
                               async_query(req, "value").data,
                               async_query(req, "attributes").data));

    return async_text(req, 200, "set");
}
