
/*
 * Dependencies of t/set.t, whose values are variables of nginx, and guards that
 * depend on others.
 */

#include <ngx_async.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static void
mark(async_req_t *req, const char *what)
{
    int          fd;
    char         line[128];
    size_t       len;
    async_str_t  file;

    file = async_param(req, "marker");
    fd = file.data ? open(file.data, O_WRONLY|O_APPEND|O_CLOEXEC) : -1;
    len = snprintf(line, sizeof(line), "%s\n", what);

    if (fd != -1) {
        if (write(fd, line, len) == -1) {
            abort();
        }
        close(fd);
    }
}


/* "X-Say: TEXT", or what is to go wrong */

static async_rc_t
say(async_req_t *req)
{
    async_str_t  what;

    what = async_header(req, "X-Say");

    if (what.data == NULL || strcmp(what.data, "nothing") == 0) {
        return ASYNC_OK;
    }

    if (strcmp(what.data, "null") == 0) {
        return async_provide(req, NULL);
    }

    if (strcmp(what.data, "control") == 0) {
        return async_provide(req, "a\r\nX-Evil: 1");
    }

    if (strcmp(what.data, "error") == 0) {
        return ASYNC_ERROR;
    }

    if (strcmp(what.data, "401") == 0) {
        return async_fail(req, 401, "who?");
    }

    return async_provide(req, what.data);
}


ASYNC_DEPENDENCY(user, const char)
{
    mark(req, "user");
    ASYNC_TRY(await_sleep(co, 1));

    return say(req);
}


ASYNC_DEPENDENCY(at_once, char)
{
    mark(req, "at once");

    return say(req);
}


BLOCKING_DEPENDENCY(in_thread, const char)
{
    mark(req, "in thread");

    return say(req);
}


/* of memory that a cleanup of the task takes back */

static void
take_back(async_t *co, void *arg)
{
    (void) co;
    memset(arg, 'x', strlen(arg));
    free(arg);
}


ASYNC_DEPENDENCY(of_task, const char)
{
    char  *text;

    text = strdup("of the task");
    ASYNC_TRY(async_defer(co, take_back, text));
    ASYNC_TRY(await_yield(co));

    return async_provide(req, text);
}


/* until the file "async_param gate" is there */

ASYNC_DEPENDENCY(gate, const char)
{
    async_rc_t  rc;

    mark(req, "gate begins");

    do {
        rc = await_sleep(co, 5);
    } while (rc == ASYNC_OK && access(async_param(req, "gate").data, F_OK));

    mark(req, rc == ASYNC_OK ? "gate ok" : "gate ends");

    return (rc == ASYNC_OK) ? async_provide(req, "passed") : rc;
}


ASYNC_DEPENDENCY(shouted, const char, ASYNC_DEPENDS(user))
{
    char        *copy, *p;
    const char  *text;

    text = user_of(req);

    if (text == NULL) {
        return ASYNC_OK;
    }

    copy = async_alloc(req, strlen(text) + 1);
    strcpy(copy, text);

    for (p = copy; *p; p++) {
        if (*p >= 'a' && *p <= 'z') {
            *p -= 'a' - 'A';
        }
    }

    return async_provide(req, copy);
}


typedef struct {
    int64_t  n;
} paging_t;

ASYNC_MODEL(paging, paging_t,
            ASYNC_FIELD(paging_t, n, ASYNC_WITH(in, ASYNC_IN_QUERY)));

ASYNC_DEPENDENCY(page, const char, ASYNC_PARAMS(paging))
{
    char  *text;

    text = async_alloc(req, 32);
    snprintf(text, 32, "page %ld", (long) paging_of(req)->n);

    return async_provide(req, text);
}


typedef struct {
    const char  *name;
} posted_t;

ASYNC_MODEL(posted, posted_t, ASYNC_FIELD(posted_t, name));

ASYNC_HANDLER(body_guard, ASYNC_BODY(posted))
{
    return async_set_request_header(req, "X-Name", posted_of(req)->name);
}


ASYNC_HANDLER(depending_guard, ASYNC_DEPENDS(user), ASYNC_PARAMS(paging))
{
    const char  *name;

    name = user_of(req);

    if (name == NULL) {
        return async_fail(req, 403, "nobody");
    }

    return async_set_request_header(req, "X-User", name);
}


BLOCKING_HANDLER(blocking_guard, ASYNC_DEPENDS(in_thread, user))
{
    char  text[128];

    snprintf(text, sizeof(text), "%s+%s", in_thread_of(req), user_of(req));

    return async_set_request_header(req, "X-User", text);
}


ASYNC_DEPENDENCY(number, int)
{
    static int  n = 1;

    return async_provide(req, &n);
}


/* ---- behind them */

ASYNC_HANDLER(echo)
{
    char         *p, *text;
    size_t        i;
    async_str_t   name, value, body;

    ASYNC_TRY(await_body(co, req, &body));

    text = async_alloc(req, 65536 + body.len);
    p = text;

    for (i = 0; async_header_at(req, i, &name, &value); i++) {
        p += sprintf(p, "%s: %s\n", name.data, value.data);
    }

    p += sprintf(p, "\n%s", body.data);

    return async_bytes(req, 200, "text/plain", text, p - text);
}


ASYNC_HANDLER(variable)
{
    async_str_t  user;

    user = async_var(req, "user");

    return async_text(req, 200, user.data ? user.data : "none");
}
