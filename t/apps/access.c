
/*
 * Guards of t/access.t and t/access-life.t, and what is behind them.  With
 * "async_param marker FILE" a line is written there for what has been seen.
 */

#include <ngx_async.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static void
mark_in(const char *file, const char *who, const char *what)
{
    int     fd;
    char    line[256];
    size_t  len;

    fd = open(file, O_WRONLY|O_APPEND|O_CLOEXEC);
    len = snprintf(line, sizeof(line), "%s %s\n", who, what);

    if (fd != -1) {
        if (write(fd, line, len) == -1) {
            abort();
        }
        close(fd);
    }
}


static void
mark(async_req_t *req, const char *who, const char *what)
{
    char         tagged[128];
    async_str_t  file, tag;

    file = async_param(req, "marker");
    tag = async_query(req, "tag");

    if (file.data) {
        snprintf(tagged, sizeof(tagged), "%s %s", tag.data ? tag.data : "-",
                 who);
        mark_in(file.data, tagged, what);
    }
}


static const char *
name_of(async_rc_t rc)
{
    return rc == ASYNC_OK ? "ok"
           : rc == ASYNC_TIMEOUT ? "timeout"
           : rc == ASYNC_CANCELLED ? "cancelled"
           : rc == ASYNC_BUSY ? "busy"
           : "error";
}


/* "X-Guard: STATUS" refuses with it; others do what they are called after */

static async_rc_t
decide(async_req_t *req)
{
    int          status;
    async_str_t  say;

    say = async_header(req, "X-Guard");

    if (say.data == NULL || strcmp(say.data, "pass") == 0) {
        return ASYNC_OK;
    }

    if (strcmp(say.data, "error") == 0) {
        return ASYNC_ERROR;
    }

    if (strcmp(say.data, "timeout") == 0) {
        return ASYNC_TIMEOUT;
    }

    if (strcmp(say.data, "busy") == 0) {
        return ASYNC_BUSY;
    }

    if (strcmp(say.data, "invalid") == 0) {
        int64_t  n;

        return async_query_int(req, "n", &n);
    }

    if (strcmp(say.data, "redirect") == 0) {
        return async_redirect(req, 307, "/login");
    }

    if (strcmp(say.data, "json") == 0) {
        return async_json_pack(req, 200, "{s:s}", "from", "the guard");
    }

    if (strcmp(say.data, "file") == 0) {
        return async_file(req, 200, async_param(req, "file").data);
    }

    if (strcmp(say.data, "empty") == 0) {
        return async_empty(req, 204);
    }

    status = atoi(say.data);

    if (status == 401) {
        (void) async_set_header(req, "WWW-Authenticate", "Bearer");
    }

    return async_fail(req, status, "refused");
}


ASYNC_HANDLER(guard)
{
    mark(req, "guard", "sees");

    return decide(req);
}


/* suspends before: ?ms= */

ASYNC_HANDLER(waiting_guard)
{
    int64_t     ms;
    async_rc_t  rc;

    (void) async_query_int_or(req, "ms", &ms, 1);

    mark(req, "guard", "begins");
    rc = await_sleep(co, ms);
    mark(req, "guard", name_of(rc));

    return (rc == ASYNC_OK) ? decide(req) : rc;
}


/* until the file "async_param gate" is there */

ASYNC_HANDLER(gate_guard)
{
    async_rc_t  rc;

    mark(req, "guard", "begins");

    do {
        rc = await_sleep(co, 5);
    } while (rc == ASYNC_OK && access(async_param(req, "gate").data, F_OK));

    mark(req, "guard", name_of(rc));

    return (rc == ASYNC_OK) ? decide(req) : rc;
}


BLOCKING_HANDLER(gate_thread)
{
    mark(req, "thread", "begins");

    while (!async_cancelled(req)
           && access(async_param(req, "gate").data, F_OK))
    {
        usleep(5000);
    }

    mark(req, "thread", async_cancelled(req) ? "cancelled" : "ok");

    return ASYNC_OK;
}


BLOCKING_HANDLER(blocking_guard)
{
    async_str_t  body;

    (void) async_set_header(req, "X-Thread", "yes");
    (void) async_set_request_header(req, "X-User", "thread");

    if (async_header(req, "X-Guard").data == NULL
        && async_body(req, &body) == ASYNC_OK && body.len)
    {
        return async_fail(req, 500, "a body in a thread");
    }

    return decide(req);
}


ASYNC_DEPENDENCY(dependency_guard, void)
{
    ASYNC_TRY(await_yield(co));
    (void) async_set_header(req, "X-Dependency", "yes");

    return decide(req);
}


BLOCKING_DEPENDENCY(blocking_dependency_guard, void)
{
    (void) async_set_header(req, "X-Dependency", "blocking");

    return decide(req);
}


ASYNC_HANDLER(second_guard)
{
    mark(req, "second", "sees");

    if (async_header(req, "X-Second").data) {
        return async_fail(req, 403, "refused by the second");
    }

    return async_set_header(req, "X-Second", "passed");
}


/* sets fields of the response */

ASYNC_HANDLER(header_guard)
{
    ASYNC_TRY(await_yield(co));

    ASYNC_TRY(async_set_header(req, "X-Guard", "was here"));
    ASYNC_TRY(async_add_header(req, "Set-Cookie", "a=1"));
    ASYNC_TRY(async_add_header(req, "Set-Cookie", "b=2"));
    ASYNC_TRY(async_set_header(req, "Cache-Control", "private"));
    ASYNC_TRY(async_set_header(req, "ETag", "\"of the guard\""));
    ASYNC_TRY(async_set_header(req, "Content-Type", "text/x-guard"));

    return decide(req);
}


/* "X-Set: Name=value" and "X-Unset: Name", as often as they come */

ASYNC_HANDLER(request_guard)
{
    char        *eq;
    int64_t      ms;
    async_str_t  name, value;
    size_t       i, n;
    struct {
        char  name[128];
        char  value[128];
        int   set;
    }  todo[16];

    (void) async_query_int_or(req, "ms", &ms, 0);

    if (ms) {
        ASYNC_TRY(await_sleep(co, ms));
    }

    n = 0;

    for (i = 0; n < 16 && async_header_at(req, i, &name, &value); i++) {

        if (strcasecmp(name.data, "X-Set") == 0) {
            eq = strchr(value.data, '=');

            snprintf(todo[n].name, sizeof(todo[n].name), "%.*s",
                     (int) (eq - value.data), value.data);
            snprintf(todo[n].value, sizeof(todo[n].value), "%s", eq + 1);
            todo[n++].set = 1;

        } else if (strcasecmp(name.data, "X-Unset") == 0) {
            snprintf(todo[n].name, sizeof(todo[n].name), "%s", value.data);
            todo[n++].set = 0;
        }
    }

    for (i = 0; i < n; i++) {
        if (async_set_request_header(req, todo[i].name,
                                     todo[i].set ? todo[i].value : NULL)
            != ASYNC_OK)
        {
            return async_fail(req, 500, async_error(co));
        }
    }

    return ASYNC_OK;
}


/* reads the body: ?how=whole, pieces, json, half */

ASYNC_HANDLER(body_guard)
{
    char         buf[1000], text[32];
    size_t       n, all;
    json_t      *value;
    async_rc_t   rc;
    async_str_t  how, body;

    how = async_query(req, "how");
    all = 0;

    if (strcmp(how.data, "pieces") == 0) {

        do {
            ASYNC_TRY(await_body_read(co, req, buf, sizeof(buf), &n));
            all += n;
        } while (n);

    } else if (strcmp(how.data, "json") == 0) {
        ASYNC_TRY(await_json(co, req, &value));
        all = json_object_size(value);

    } else if (strcmp(how.data, "half") == 0) {
        mark(req, "guard", "reads");

        {
            ASYNC_DEADLINE(co, 50);
            rc = await_body(co, req, &body);
        }

        mark(req, "guard", name_of(rc));

        /* and lets it pass */

    } else {
        ASYNC_TRY(await_body(co, req, &body));
        all = body.len;
    }

    snprintf(text, sizeof(text), "%zu", all);
    ASYNC_TRY(async_set_request_header(req, "X-Read", text));

    return ASYNC_OK;
}


/* answers in pieces */

ASYNC_HANDLER(streaming_guard)
{
    int  i;

    for (i = 0; i < 3; i++) {
        ASYNC_TRY(await_send(co, req, "piece\n", 6));
        ASYNC_TRY(await_sleep(co, 1));
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(subrequest_guard)
{
    async_response_t  *res;

    ASYNC_TRY(await_subrequest(co, req, "/inner", NULL, &res));

    return (async_response_status(res) == 200)
               ? async_set_request_header(req, "X-Inner", "200")
               : async_fail(req, 403, "not inside");
}


static async_rc_t
later(async_t *co, void *arg)
{
    ASYNC_TRY(await_yield(co));
    mark_in(arg, "later", "runs");

    return ASYNC_OK;
}


ASYNC_HANDLER(background_guard)
{
    char         file[256];
    async_str_t  marker;

    marker = async_param(req, "marker");
    snprintf(file, sizeof(file), "%s", marker.data);

    ASYNC_TRY(async_background(req, later, &file));

    return decide(req);
}


/* ---- behind them */

/* every field of the request, and the body */

ASYNC_HANDLER(echo)
{
    char         *p, *text;
    size_t        i, size;
    async_str_t   name, value, body;

    mark(req, "echo", "begins");
    ASYNC_TRY(await_body(co, req, &body));

    size = 65536 + body.len;
    text = async_alloc(req, size);
    p = text;

    p += sprintf(p, "%s %s\n", async_method(req).data, async_uri(req).data);

    for (i = 0; async_header_at(req, i, &name, &value); i++) {
        p += sprintf(p, "%s: %s\n", name.data, value.data);
    }

    p += sprintf(p, "\n");
    memcpy(p, body.data, body.len);
    p += body.len;

    return async_bytes(req, 200, "text/plain", text, p - text);
}


ASYNC_HANDLER(too_late)
{
    return (async_set_request_header(req, "X-User", "late") == ASYNC_ERROR)
               ? async_text(req, 200, async_error(co))
               : async_text(req, 200, "set");
}


ASYNC_HANDLER(ok)
{
    return async_text(req, 200, "ok\n");
}
