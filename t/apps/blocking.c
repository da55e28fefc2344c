/*
 * Handlers of t/blocking.t.  With "async_param marker FILE" they write there
 * what they have seen, a line each; with "async_param gates FOLDER" a thread
 * waits at the FIFO of its ?tag= there until the test opens it.
 */

#define _GNU_SOURCE

#include <ngx_async.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>


/* what async_call() is given: it lies on the stack of the thread */

typedef struct {
    async_req_t  *req;
    async_t      *co;
    int64_t       ms;
    int           ran;
    async_rc_t    rc;
    char          error[256];
} call_t;


static const char *
name_of(async_rc_t rc)
{
    static const char  *names[] = {
        "ok", "error", "timeout", "cancelled", "closed", "busy", "invalid"
    };

    return names[-rc];
}


static const char *
tag_of(async_req_t *req)
{
    async_str_t  tag;

    tag = async_query(req, "tag");

    return tag.data ? tag.data : "-";
}


static void __attribute__((format(printf, 2, 3)))
mark(async_req_t *req, const char *format, ...)
{
    int          fd;
    char         line[512];
    size_t       len;
    va_list      args;
    async_str_t  file;

    file = async_param(req, "marker");

    if (file.data == NULL) {
        return;
    }

    len = snprintf(line, 200, "%s ", tag_of(req));

    va_start(args, format);
    len += vsnprintf(line + len, 300, format, args);
    va_end(args);

    line[len++] = '\n';

    fd = open(file.data, O_WRONLY|O_APPEND|O_CLOEXEC);

    if (fd == -1 || write(fd, line, len) != (ssize_t) len) {
        abort();
    }

    close(fd);
}


/* blocks until somebody has the FIFO open for writing */

static async_rc_t
pass_gate(async_req_t *req)
{
    int          fd;
    char         path[512];
    async_str_t  gates;

    gates = async_param(req, "gates");

    snprintf(path, sizeof(path), "%s/%s", gates.data, tag_of(req));

    do {
        fd = open(path, O_RDONLY|O_CLOEXEC);
    } while (fd == -1 && errno == EINTR);

    if (fd == -1) {
        return async_fail(req, 500, "there is no such gate");
    }

    close(fd);

    return ASYNC_OK;
}


static async_rc_t
answer(async_req_t *req, const char *what)
{
    char  text[256];

    snprintf(text, sizeof(text), "%s %s\n", what, tag_of(req));

    return async_text(req, 200, text);
}


/* One text, both kinds. */

#define SAME                                                                 \
    {                                                                        \
        int64_t             id, n;                                           \
        json_t             *all;                                             \
        const async_str_t  *list;                                            \
                                                                             \
        (void) async_path_int(req, "id", &id);                               \
        (void) async_query_int(req, "n", &n);                                \
        ASYNC_TRY(async_valid(req));                                         \
                                                                             \
        ASYNC_TRY(async_set_header(req, "X-Client", async_client(req).data));\
        ASYNC_TRY(async_add_header(req, "X-Two", "1"));                      \
        ASYNC_TRY(async_add_header(req, "X-Two", "2"));                      \
        ASYNC_TRY(async_set_cookie(req, "c", "d", NULL));                    \
                                                                             \
        all = json_pack("{s:I, s:I, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:I}", \
            "id", (json_int_t) id, "n", (json_int_t) n,                      \
            "method", async_method(req).data,                                \
            "query", async_query_string(req).data,                           \
            "header", async_header(req, "x-foo").data,                       \
            "cookie", async_cookie(req, "a").data,                           \
            "param", async_param(req, "key").data,                           \
            "var", async_var(req, "server_protocol").data,                   \
            "list", (json_int_t) async_query_list(req, "n", &list));         \
                                                                             \
        return async_json(req, (int) n, all);                                \
    }

ASYNC_HANDLER(same_async)        SAME
BLOCKING_HANDLER(same_blocking)  SAME


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}


/* its thread rests at the gate; ?status= */

BLOCKING_HANDLER(hold)
{
    int64_t  status;

    ASYNC_TRY(async_query_int_or(req, "status", &status, 200));

    mark(req, "begins");
    ASYNC_TRY(pass_gate(req));
    mark(req, "ends, %s", async_cancelled(req) ? "cancelled" : "wanted");

    async_log(req, ASYNC_LOG_NOTICE, "%s goes on", tag_of(req));

    return (status == 200) ? answer(req, "held")
                           : async_fail(req, status, "held");
}


BLOCKING_HANDLER(hold_until_cancelled)
{
    mark(req, "begins");

    while (!async_cancelled(req)) {
        usleep(1000);
    }

    mark(req, "cancelled");
    async_log(req, ASYNC_LOG_NOTICE, "%s gives up", tag_of(req));

    return answer(req, "cancelled");
}


BLOCKING_HANDLER(stuck)
{
    mark(req, "begins");

    while (pause() == -1) {
        /* void */
    }

    return ASYNC_OK;
}


BLOCKING_HANDLER(thread)
{
    char  text[32];

    snprintf(text, sizeof(text), "%ld", (long) syscall(SYS_gettid));

    return async_text(req, 200, text);
}


/* ---- bodies and subrequests */

BLOCKING_HANDLER(echo)
{
    char         len[32];
    async_str_t  body;

    ASYNC_TRY(async_body(req, &body));

    if (*tag_of(req) != '-') {
        mark(req, "has a body");
    }

    snprintf(len, sizeof(len), "%zu", body.len);

    ASYNC_TRY(async_set_header(req, "X-Length", len));
    ASYNC_TRY(async_set_header(req, "X-End",
                               body.data[body.len] ? "other" : "zero"));

    return async_bytes(req, 200, NULL, body.data, body.len);
}


/* in an async handler, before the body has been read and after */

ASYNC_HANDLER(body_of_async)
{
    async_rc_t    before;
    async_str_t   body, awaited;

    before = async_body(req, &body);

    ASYNC_TRY(await_body(co, req, &awaited));
    ASYNC_TRY(async_body(req, &body));

    return async_text(req, 200, (before == ASYNC_ERROR
                                 && body.data == awaited.data) ? "as told"
                                                               : "not so");
}


BLOCKING_HANDLER(page)
{
    return async_html(req, 200, async_param(req, "page").data);
}


BLOCKING_HANDLER(tell)
{
    char         text[256];
    async_str_t  body;

    ASYNC_TRY(async_body(req, &body));

    snprintf(text, sizeof(text), "(%s %s %zu)", async_method(req).data,
             tag_of(req), body.len);
    mark(req, "told %zu", body.len);

    return async_text(req, 200, text);
}


BLOCKING_HANDLER(guard)
{
    async_str_t  token;

    token = async_header(req, "X-Token");

    if (token.data == NULL) {
        ASYNC_TRY(async_set_header(req, "WWW-Authenticate", "Basic"));
        return async_fail(req, 401, "who?");
    }

    return strcmp(token.data, "letmein") == 0
               ? async_empty(req, 204) : async_fail(req, 403, "no");
}


/* ---- responses */

BLOCKING_HANDLER(large)
{
    char  *p;

    p = async_alloc(req, 1024 * 1024 + 1);
    memset(p, 'x', 1024 * 1024);
    p[1024 * 1024] = '\0';

    return async_text(req, 200, p);
}


BLOCKING_HANDLER(allocate)
{
    memset(async_alloc(req, 10000), 'x', 10000);

    return async_text(req, 200, "allocated");
}


BLOCKING_HANDLER(set_variable)
{
    ASYNC_TRY(async_set_var(req, "seen", "by a thread"));

    if (async_set_var(req, "none_such", "x") != ASYNC_ERROR) {
        return async_text(req, 200, "set");
    }

    return async_text(req, 200, async_req_error(req));
}


/* ---- calls */

static async_rc_t
nap(async_t *co, void *arg)
{
    call_t  *call = arg;

    call->ran++;
    call->co = co;

    mark(call->req, "calls");
    call->rc = await_sleep(co, call->ms);
    mark(call->req, "called: %s", name_of(call->rc));

    return call->rc;
}


BLOCKING_HANDLER(calls)
{
    char        text[512];
    call_t      call = { .req = req };
    async_rc_t  rc;

    ASYNC_TRY(async_query_int_or(req, "ms", &call.ms, 1));

    rc = async_call(req, nap, &call);
    mark(req, "first: %s, ran %d, %s", name_of(rc), call.ran,
         rc == ASYNC_OK ? "" : async_req_error(req));

    rc = async_call(req, nap, &call);
    mark(req, "second: %s, ran %d, %s", name_of(rc), call.ran,
         rc == ASYNC_OK ? "" : async_req_error(req));

    snprintf(text, sizeof(text), "%s, ran %d", name_of(rc), call.ran);

    return async_text(req, 200, text);
}


/* after the gate: whatever needs the loop */

BLOCKING_HANDLER(late)
{
    call_t       call = { .req = req };
    async_rc_t   set, called;
    async_str_t  var;

    mark(req, "begins");
    ASYNC_TRY(pass_gate(req));

    var = async_var(req, "uri");
    set = async_set_var(req, "seen", "late");
    called = async_call(req, nap, &call);

    mark(req, "var %s, set %s, call %s, ran %d, path %s",
         var.data ? var.data : "absent", name_of(set), name_of(called),
         call.ran, async_uri(req).data);

    return answer(req, "late");
}


static async_rc_t
add_one(async_t *co, void *arg)
{
    ASYNC_TRY(await_sleep(co, 1));

    ++*(int *) arg;

    return ASYNC_OK;
}


BLOCKING_HANDLER(sums)
{
    int   i, sum = 0;
    char  text[32];

    for (i = 0; i < 5; i++) {
        ASYNC_TRY(async_call(req, add_one, &sum));
    }

    snprintf(text, sizeof(text), "%d", sum);

    return async_text(req, 200, text);
}


ASYNC_HANDLER(plain_call)
{
    call_t  call = { .req = req, .ms = 1 };

    ASYNC_TRY(async_call(req, nap, &call));

    return async_text(req, 200, call.co == co ? "the same task"
                                              : "another task");
}


/* ?how= is what a function does on the loop, which fails */

static async_rc_t
fails(async_t *co, void *arg)
{
    call_t      *call = arg;
    json_t      *value;
    const char  *how;

    how = async_query(call->req, "how").data;

    if (strcmp(how, "json") == 0) {
        call->rc = await_json(co, call->req, &value);

    } else if (strcmp(how, "set") == 0) {
        call->rc = async_set_var(call->req, "none_such", "x");

    } else if (strcmp(how, "status") == 0) {
        call->rc = async_text(call->req, 99, "x");

    } else {
        return async_fail(call->req, 409, "from the loop");
    }

    snprintf(call->error, sizeof(call->error), "%s", async_error(co));

    return call->rc;
}


static async_rc_t
show_failure(async_req_t *req)
{
    char        text[1024];
    call_t      call = { .req = req };
    async_rc_t  rc;

    rc = async_call(req, fails, &call);

    if (strcmp(async_query(req, "how").data, "fail") == 0) {
        return rc;
    }

    snprintf(text, sizeof(text), "%s [%s] [%s]", name_of(rc), call.error,
             async_req_error(req));

    return async_text(req, 200, text);
}


ASYNC_HANDLER(fails_async)
{
    return show_failure(req);
}


BLOCKING_HANDLER(fails_blocking)
{
    return show_failure(req);
}


/* a call within a call, whose cause is to be seen on the way out, too */

static async_rc_t
nests(async_t *co, void *arg)
{
    call_t      *call = arg;
    async_rc_t   rc;

    ASYNC_TRY(await_sleep(co, 1));

    rc = async_call(call->req, nap, call);

    snprintf(call->error, sizeof(call->error), "%s",
             async_req_error(call->req));

    return rc;
}


BLOCKING_HANDLER(nested)
{
    call_t      call = { .req = req };
    async_rc_t  rc;

    ASYNC_TRY(async_query_int_or(req, "ms", &call.ms, 1));

    rc = async_call(req, nests, &call);

    mark(req, "nested: %s [%s] [%s]", name_of(rc), call.error,
         rc == ASYNC_OK ? "" : async_req_error(req));

    return answer(req, name_of(rc));
}


/* on the loop only: cleanups of calls that have run */
static int  cleaned;


static void
clean_up(async_t *co, void *arg)
{
    cleaned += (await_sleep(co, 1) == ASYNC_OK);
}


static async_rc_t
defers(async_t *co, void *arg)
{
    return async_defer(co, clean_up, NULL);
}


static async_rc_t
count_cleaned(async_t *co, void *arg)
{
    *(int *) arg = cleaned;

    return ASYNC_OK;
}


/* what a call has deferred runs when the handler has ended, not before */

BLOCKING_HANDLER(deferred)
{
    int   before, after;
    char  text[64];

    ASYNC_TRY(async_call(req, count_cleaned, &before));
    ASYNC_TRY(async_call(req, defers, NULL));
    ASYNC_TRY(async_call(req, count_cleaned, &after));

    snprintf(text, sizeof(text), "%d, %d", before, after);

    return async_text(req, 200, text);
}


ASYNC_SHUTDOWN(shuts)
{
    async_task_log(co, ASYNC_LOG_NOTICE, "a shutdown function");

    return ASYNC_OK;
}


/* ---- logs */

BLOCKING_HANDLER(lines)
{
    int64_t  i, n;

    ASYNC_TRY(async_query_int(req, "n", &n));

    for (i = 1; i <= n; i++) {
        async_log(req, ASYNC_LOG_NOTICE, "%s: line %d of %d", tag_of(req),
                  (int) i, (int) n);
    }

    return answer(req, "logged");
}


BLOCKING_HANDLER(levels)
{
    int  level;

    for (level = ASYNC_LOG_ERROR; level <= ASYNC_LOG_DEBUG; level++) {
        async_log(req, level, "level %d\nof\t\x7f\xc3\xa9 %s", level,
                  tag_of(req));
    }

    return answer(req, "logged");
}
