
/*
 * Dependencies of t/depends-life.t: what they give is torn down, also when
 * their request ends before its threads.
 */

#include <ngx_async.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


typedef struct {
    const char  *name;
    const char  *does;
} end_t;


static const char *
name_of(async_rc_t rc)
{
    static const char  *names[] = {
        "ok", "error", "timeout", "cancelled", "closed", "busy", "invalid"
    };

    return names[-rc];
}


static const char *
wanted(async_req_t *req, const char *name)
{
    async_str_t  value = async_query(req, name);

    return async_background_str(req, value.data ? value.data : "");
}


static void
say(const char *file, const char *what, const char *more)
{
    int   fd;
    char  line[256];

    snprintf(line, sizeof(line), "%s %s\n", what, more);

    fd = open(file, O_WRONLY|O_APPEND|O_CLOEXEC);

    if (fd == -1 || write(fd, line, strlen(line)) != (ssize_t) strlen(line)) {
        _exit(2);
    }

    close(fd);
}


static char  marks[512];

static void
mark(async_req_t *req, const char *what, const char *more)
{
    if (req) {
        snprintf(marks, sizeof(marks), "%s", async_param(req, "marks").data);
    }

    say(marks, what, more);
}


/* teardowns */

static async_rc_t
ended(async_t *co, async_req_t *req, async_rc_t outcome, void *arg)
{
    end_t  *end = arg;
    char    what[128];

    if (await_sleep(co, 1) != ASYNC_OK) {
        return ASYNC_ERROR;
    }

    snprintf(what, sizeof(what), "%s%s", name_of(outcome), req ? " req" : "");
    mark(req, end->name, what);

    if (strcmp(end->does, "convert") == 0 && req) {
        return async_json_pack(req, 409, "{s:s}", "because", async_error(co));
    }

    if (strcmp(end->does, "fail") == 0) {
        return async_task_fail(co, ASYNC_ERROR, "%s will not", end->name);
    }

    return ASYNC_OK;
}


static async_rc_t
ended_in_thread(async_rc_t outcome, void *arg)
{
    end_t  *end = arg;

    mark(NULL, end->name, name_of(outcome));

    return ASYNC_OK;
}


static void
deferred(async_t *co, void *arg)
{
    mark(NULL, "deferred", arg);
}


/* what is given: memory of the request, checked by whoever has it */

typedef struct {
    char   text[64];
    char  *more;
} value_t;

static value_t *
new_value(async_req_t *req, const char *text)
{
    value_t  *v;

    v = async_alloc(req, sizeof(value_t));
    snprintf(v->text, sizeof(v->text), "%s", text);

    v->more = async_alloc(req, 20000);
    memset(v->more, 'x', 20000);

    return v;
}


static int
is_whole(const value_t *v)
{
    size_t  i;

    for (i = 0; i < 20000 && v->more[i] == 'x'; i++) { /* void */ }

    return i == 20000;
}


ASYNC_DEPENDENCY(one, value_t)
{
    end_t  end = { "one", wanted(req, "one") };

    mark(req, "run", "one");

    ASYNC_TRY(async_defer(co, deferred, (void *) "one"));
    ASYNC_TRY(async_teardown(req, ended, &end));

    return async_provide(req, new_value(req, "first"));
}


BLOCKING_DEPENDENCY(two, value_t, ASYNC_DEPENDS(one))
{
    end_t  end = { "two", wanted(req, "two") };

    ASYNC_TRY(async_teardown(req, ended, &end));

    return async_provide(req, new_value(req, one_of(req)->text));
}


ASYNC_DEPENDENCY(three, void)
{
    end_t  end = { "three", "" };

    return async_teardown_thread(req, NULL, ended_in_thread, &end);
}


static async_rc_t
later(async_t *co, void *arg)
{
    mark(NULL, "background", "");
    return ASYNC_OK;
}


static async_rc_t
finish(async_req_t *req)
{
    async_str_t  code = async_query(req, "code");

    if (!is_whole(one_of(req)) || !is_whole(two_of(req))) {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(async_background(req, later, (int *) NULL));

    if (code.data) {
        return (code.data[0] == 'f') ? async_fail(req, 418, "tea")
                                     : -(async_rc_t) (code.data[0] - '0');
    }

    return async_text(req, 200, two_of(req)->text);
}


#define ALL  ASYNC_DEPENDS(two, three)

ASYNC_HANDLER(plain, ALL, ASYNC_DEPENDS(one))
{
    return finish(req);
}


BLOCKING_HANDLER(blocking, ALL, ASYNC_DEPENDS(one))
{
    return finish(req);
}


ASYNC_HANDLER(sleeps, ALL)
{
    mark(req, "sleeps", "");

    return await_sleep(co, 600000);
}


/* a thread that waits at a FIFO until the test opens it */

static async_rc_t
gate(async_req_t *req)
{
    int    fd;
    char   path[512];

    snprintf(path, sizeof(path), "%s", async_param(req, "gate").data);
    mark(req, "at the gate", "");

    do {
        fd = open(path, O_RDONLY|O_CLOEXEC);
    } while (fd == -1 && errno == EINTR);

    close(fd);

    return ASYNC_OK;
}


BLOCKING_HANDLER(waits, ALL, ASYNC_DEPENDS(one))
{
    char  state[128];

    ASYNC_TRY(gate(req));

    snprintf(state, sizeof(state), "%s %d %d %d", two_of(req)->text,
             is_whole(one_of(req)), is_whole(two_of(req)),
             async_cancelled(req));

    mark(req, "behind the gate", state);

    return async_text(req, 200, "through");
}


BLOCKING_DEPENDENCY(waiting, value_t, ASYNC_DEPENDS(two, one))
{
    char   state[128];
    end_t  end = { "waiting", "" };

    ASYNC_TRY(async_teardown(req, ended, &end));
    ASYNC_TRY(gate(req));

    snprintf(state, sizeof(state), "%d %d", is_whole(one_of(req)),
             is_whole(two_of(req)));

    mark(req, "behind the gate", state);

    return async_provide(req, new_value(req, "waited"));
}


ASYNC_DEPENDENCY(slow, void)
{
    return await_sleep(co, 600000);
}


ASYNC_HANDLER(waits_together, ASYNC_DEPENDS(two),
    ASYNC_DEPENDS_TOGETHER(waiting, slow))
{
    return async_text(req, 200, waiting_of(req)->text);
}


/* one thread for all of it, and nothing of the loop */

BLOCKING_DEPENDENCY(lone, value_t)
{
    end_t  end = { "lone", "" };

    ASYNC_TRY(async_teardown(req, ended, &end));

    return async_provide(req, new_value(req, "lone"));
}


BLOCKING_HANDLER(waits_alone, ASYNC_DEPENDS(lone))
{
    ASYNC_TRY(gate(req));

    mark(req, "behind the gate", is_whole(lone_of(req)) ? "1" : "0");

    return async_text(req, 200, "through");
}


BLOCKING_HANDLER(waits_undepending)
{
    end_t  end = { "mine", "" };

    ASYNC_TRY(async_teardown(req, ended, &end));
    ASYNC_TRY(gate(req));

    return async_text(req, 200, "through");
}


ASYNC_HANDLER(streams, ASYNC_DEPENDS(one))
{
    ASYNC_TRY(await_send(co, req, "begun", 5));

    return ASYNC_ERROR;
}
