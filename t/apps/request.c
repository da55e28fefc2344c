
/*
 * Handlers of t/request.t and t/shutdown.t.  With "async_param marker FILE"
 * each writes a line there for what it has seen.
 */

#include <ngx_async.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static const char *
name_of(async_rc_t rc)
{
    return rc == ASYNC_OK ? "ok"
           : rc == ASYNC_TIMEOUT ? "timeout"
           : rc == ASYNC_CANCELLED ? "cancelled"
           : rc == ASYNC_BUSY ? "busy"
           : "error";
}


static const char *
tag_of(async_req_t *req)
{
    async_str_t  tag;

    tag = async_query(req, "tag");

    return tag.data ? tag.data : "-";
}


static void
mark(async_req_t *req, const char *what)
{
    int          fd;
    char         line[256];
    size_t       len;
    async_str_t  file;

    file = async_param(req, "marker");

    if (file.data == NULL) {
        return;
    }

    fd = open(file.data, O_WRONLY|O_APPEND|O_CLOEXEC);
    len = snprintf(line, sizeof(line), "%s %s\n", tag_of(req), what);

    if (fd != -1) {
        if (write(fd, line, len) == -1) {
            abort();
        }
        close(fd);
    }
}


/* ?ms= &status= &tag=: sleeps, then answers with the tag */

ASYNC_HANDLER(nap)
{
    char        text[128];
    int64_t     ms, status;
    async_rc_t  rc;

    (void) async_query_int_or(req, "ms", &ms, 100);
    (void) async_query_int_or(req, "status", &status, 200);
    ASYNC_TRY(async_valid(req));

    mark(req, "begins");

    rc = ms ? await_sleep(co, ms) : ASYNC_OK;

    mark(req, name_of(rc));
    (void) async_set_var(req, "seen", name_of(rc));

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (status >= 400) {
        return async_fail(req, status, tag_of(req));
    }

    if (status == 204 || status == 304) {
        return async_empty(req, status);
    }

    snprintf(text, sizeof(text), "nap %s\n", tag_of(req));

    return async_text(req, status, text);
}


/* what 204 and 304 must not have */

ASYNC_HANDLER(text_anyway)
{
    int64_t  status;

    ASYNC_TRY(async_query_int(req, "status", &status));
    ASYNC_TRY(await_sleep(co, 10));

    return async_text(req, status, "text");
}


ASYNC_HANDLER(yields)
{
    int         i;
    async_rc_t  rc;

    mark(req, "begins");

    for (i = 0; i < 200; i++) {
        rc = await_sleep(co, 2);

        if (rc == ASYNC_OK) {
            rc = await_yield(co);
        }

        if (rc != ASYNC_OK) {
            mark(req, name_of(rc));
            return rc;
        }
    }

    mark(req, "ok");

    return async_text(req, 200, "yields\n");
}


ASYNC_HANDLER(body)
{
    int64_t      ms;
    async_rc_t   rc;
    async_str_t  text;

    (void) async_query_int_or(req, "ms", &ms, 0);

    mark(req, "begins");
    rc = await_body(co, req, &text);
    mark(req, name_of(rc));

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (ms) {
        rc = await_sleep(co, ms);
        mark(req, name_of(rc));

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return async_bytes(req, 200, "text/plain", text.data, text.len);
}


/* await_body() that has timed out, and an answer all the same */

ASYNC_HANDLER(body_or_else)
{
    async_rc_t   rc;
    async_str_t  text;

    rc = await_body(co, req, &text);
    mark(req, name_of(rc));

    return async_text(req, 200, name_of(rc));
}


/* does not read the body */

ASYNC_HANDLER(unread)
{
    int64_t  ms;

    (void) async_query_int_or(req, "ms", &ms, 0);

    if (ms) {
        ASYNC_TRY(await_sleep(co, ms));
    }

    return async_text(req, 200, "unread\n");
}


ASYNC_HANDLER(fails)
{
    ASYNC_TRY(await_sleep(co, 1));

    return ASYNC_ERROR;
}


/* goes on whatever happens, for "ms" in all */

ASYNC_HANDLER(stubborn)
{
    int64_t     ms;
    async_rc_t  rc;

    (void) async_query_int_or(req, "ms", &ms, 1 << 30);

    mark(req, "begins");

    do {
        rc = await_sleep(co, 100);
        ms -= 100;
    } while (ms > 0);

    mark(req, name_of(rc));

    return async_text(req, 200, "stubborn\n");
}


/* one "x" for each KiB of ?k= */

ASYNC_HANDLER(large)
{
    char     *p;
    int64_t   k, ms;

    (void) async_query_int_or(req, "k", &k, 1);
    (void) async_query_int_or(req, "ms", &ms, 10);

    ASYNC_TRY(await_sleep(co, ms));

    p = async_alloc(req, k * 1024);
    memset(p, 'x', k * 1024);

    return async_bytes(req, 200, "text/plain", p, k * 1024);
}


ASYNC_HANDLER(file)
{
    char  *path;

    mark(req, "begins");

    path = (char *) async_param(req, "file").data;

    ASYNC_TRY(await_sleep(co, 10));

    return async_file(req, 200, path);
}


/* "async_param page": the page as HTML, after a while */

ASYNC_HANDLER(page)
{
    ASYNC_TRY(await_sleep(co, 10));

    return async_html(req, 200, async_param(req, "page").data);
}


/* for auth_request: by the header X-Token */

ASYNC_HANDLER(guard)
{
    async_str_t  token;

    ASYNC_TRY(await_sleep(co, 50));

    token = async_header(req, "X-Token");

    if (token.data == NULL) {
        (void) async_set_header(req, "WWW-Authenticate", "Bearer realm=\"t\"");
        return async_fail(req, 401, "who are you?");
    }

    if (strcmp(token.data, "letmein") != 0) {
        return async_fail(req, 403, "not you");
    }

    (void) async_set_header(req, "X-User", "somebody");

    return async_empty(req, 200);
}


ASYNC_HANDLER(error_page)
{
    char         text[256];
    async_str_t  status, uri;

    ASYNC_TRY(await_sleep(co, 20));

    status = async_var(req, "status");
    uri = async_var(req, "request_uri");

    snprintf(text, sizeof(text), "page of %s for %s\n", status.data, uri.data);

    return async_text(req, 200, text);
}


/* the same, and fails */

ASYNC_HANDLER(bad_error_page)
{
    ASYNC_TRY(await_sleep(co, 20));

    return async_fail(req, 503, "the page failed, too");
}


ASYNC_HANDLER(where)
{
    char         text[512];
    async_str_t  uri;

    ASYNC_TRY(await_sleep(co, 20));

    uri = async_uri(req);
    snprintf(text, sizeof(text), "at %s\n", uri.data);

    return async_text(req, 200, text);
}
