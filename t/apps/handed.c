
/*
 * Guards of t/handed.t, what they depend on, and handlers behind them that
 * depend on the same: each says that it has run.
 */

#include <ngx_async.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


#define LEN  20000


static void
say(async_req_t *req, const char *what)
{
    async_log(req, ASYNC_LOG_NOTICE, "<%s>", what);
}


static int
asked(async_req_t *req, const char *name)
{
    return async_query(req, name).data != NULL;
}


/* a text that is told from memory that is gone */

static async_rc_t
give(async_req_t *req, const char *name, const char *of)
{
    char  *text, what[100];

    snprintf(what, sizeof(what), *of ? "%s(%s)" : "%s%s", name, of);
    say(req, what);

    text = async_alloc(req, LEN);
    memset(text, 'x', LEN);
    memcpy(text, what, strlen(what) + 1);

    return async_provide(req, text);
}


static const char *
whole(const char *text)
{
    size_t  i;

    for (i = strlen(text) + 1; i < LEN && text[i] == 'x'; i++) { /* void */ }

    return (i == LEN) ? text : "torn";
}


ASYNC_DEPENDENCY(settings, const char)
{
    ASYNC_TRY(await_sleep(co, 1));

    return give(req, "settings", "");
}


BLOCKING_DEPENDENCY(session, const char, ASYNC_DEPENDS(settings))
{
    return give(req, "session", whole(settings_of(req)));
}


ASYNC_DEPENDENCY(user, const char, ASYNC_DEPENDS(session))
{
    return give(req, "user", whole(session_of(req)));
}


/* the loop in the middle of a thread */

static async_rc_t
nap(async_t *co, void *arg)
{
    return await_sleep(co, 1);
}


BLOCKING_DEPENDENCY(called, const char)
{
    ASYNC_TRY(async_call(req, nap, NULL));

    return give(req, "called", "");
}


/* what is torn down */

static async_rc_t
ended(async_t *co, async_req_t *req, async_rc_t outcome, void *arg)
{
    ASYNC_TRY(await_sleep(co, 1));

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s ends: %s%s>", (char *) arg,
                   outcome == ASYNC_OK ? "ok" : "error", req ? " req" : "");

    return (req && asked(req, "convert")) ? async_fail(req, 409, "converted")
                                          : ASYNC_OK;
}


static async_rc_t
leases(async_req_t *req, const char *name)
{
    char  copy[16];

    snprintf(copy, sizeof(copy), "%s", name);

    ASYNC_TRY(async_teardown(req, ended, &copy));

    return give(req, name, "");
}


ASYNC_DEPENDENCY(lease, const char)
{
    return leases(req, "lease");
}


ASYNC_DEPENDENCY(second_lease, const char, ASYNC_DEPENDS(lease))
{
    return leases(req, "second");
}


/* what ends with the task */

static void
undone(async_t *co, void *arg)
{
    async_task_log(co, ASYNC_LOG_NOTICE, "<bound is undone>");
}


ASYNC_DEPENDENCY(bound, const char)
{
    ASYNC_TRY(async_defer(co, undone, NULL));

    return give(req, "bound", "");
}


ASYNC_DEPENDENCY(over_bound, const char, ASYNC_DEPENDS(bound, settings))
{
    return give(req, "over", whole(bound_of(req)));
}


/* a guard has no path */

ASYNC_DEPENDENCY(id, const char)
{
    async_str_t  value = async_path(req, "id");

    return give(req, value.data ? value.data : "no id", "");
}


BLOCKING_DEPENDENCY(id_in_thread, const char, ASYNC_DEPENDS(settings))
{
    async_str_t  value = async_path(req, "id");

    return give(req, value.data ? value.data : "no id", "");
}


ASYNC_HANDLER(guard_id, ASYNC_DEPENDS(id_in_thread),
    ASYNC_DEPENDS_TOGETHER(id, lease))
{
    return ASYNC_OK;
}


ASYNC_HANDLER(ids, ASYNC_DEPENDS(id, id_in_thread))
{
    return async_json_pack(req, 200, "[s, s]", id_of(req),
                           id_in_thread_of(req));
}


/* parts of a body */

ASYNC_DEPENDENCY(title, const char)
{
    json_t  *body;

    ASYNC_TRY(await_json(co, req, &body));
    say(req, "title");

    return async_provide(req,
                        json_string_value(json_object_get(body, "title")));
}


typedef struct {
    async_str_t  title;
} in_t;

ASYNC_MODEL(in_model, in_t, ASYNC_FIELD(in_t, title));


BLOCKING_DEPENDENCY(declared, const char, ASYNC_BODY(in_model))
{
    say(req, "declared");

    return async_provide(req, in_model_of(req)->title.data);
}


/* guards */

static async_rc_t
later(async_t *co, void *arg)
{
    async_task_log(co, ASYNC_LOG_NOTICE, "<background of %s>", (char *) arg);

    return ASYNC_OK;
}


static async_rc_t
guards(async_req_t *req, const char *name)
{
    char  copy[16];

    snprintf(copy, sizeof(copy), "%s", name);

    if (asked(req, "background")) {
        ASYNC_TRY(async_background(req, later, &copy));
    }

    say(req, name);

    return asked(req, "refuse") ? async_fail(req, 403, "refused") : ASYNC_OK;
}


ASYNC_HANDLER(guard_async, ASYNC_DEPENDS(user, called, lease))
{
    (void) whole(user_of(req));

    return guards(req, "guard");
}


BLOCKING_HANDLER(guard_blocking, ASYNC_DEPENDS(user, called, lease))
{
    return guards(req, "guard");
}


ASYNC_HANDLER(guard_leases, ASYNC_DEPENDS(lease))
{
    return ASYNC_OK;
}


ASYNC_HANDLER(guard_second, ASYNC_DEPENDS(second_lease))
{
    return guards(req, "second guard");
}


ASYNC_HANDLER(guard_bound, ASYNC_DEPENDS(over_bound))
{
    return ASYNC_OK;
}


ASYNC_HANDLER(guard_title, ASYNC_DEPENDS(title))
{
    return ASYNC_OK;
}


BLOCKING_HANDLER(guard_declared, ASYNC_DEPENDS(declared))
{
    return ASYNC_OK;
}


/* gives the body up, and lets the request pass */

ASYNC_HANDLER(guard_half, ASYNC_DEPENDS(lease))
{
    char         name[16] = "half";
    async_rc_t   rc;
    async_str_t  body;

    ASYNC_TRY(async_background(req, later, &name));

    {
        ASYNC_DEADLINE(co, 50);
        rc = await_body(co, req, &body);
    }

    return (rc == ASYNC_TIMEOUT) ? ASYNC_OK : rc;
}


/* handlers */

static async_rc_t
answers(async_req_t *req, const char *text)
{
    say(req, "handler");

    return asked(req, "fail") ? async_fail(req, 418, "failed")
                              : async_text(req, 200, whole(text));
}


ASYNC_HANDLER(who_async, ASYNC_DEPENDS(called, user, lease))
{
    (void) whole(called_of(req));

    return answers(req, user_of(req));
}


BLOCKING_HANDLER(who_blocking, ASYNC_DEPENDS(called, user, lease))
{
    (void) whole(called_of(req));

    return answers(req, user_of(req));
}


BLOCKING_HANDLER(settings_blocking, ASYNC_DEPENDS(session))
{
    return answers(req, session_of(req));
}


ASYNC_DEPENDENCY(other, const char)
{
    return give(req, "other", "");
}


ASYNC_HANDLER(together, ASYNC_DEPENDS_TOGETHER(user, other, lease))
{
    return answers(req, async_alloc(req, 1) && strcmp(other_of(req), "other")
                        == 0 ? user_of(req) : "");
}


ASYNC_HANDLER(anew, ASYNC_DEPENDS_ANEW(lease))
{
    return answers(req, lease_of(req));
}


ASYNC_HANDLER(second, ASYNC_DEPENDS(second_lease))
{
    return answers(req, second_lease_of(req));
}


ASYNC_HANDLER(has_bound, ASYNC_DEPENDS(over_bound, settings))
{
    return answers(req, over_bound_of(req));
}


ASYNC_HANDLER(titles, ASYNC_DEPENDS(title))
{
    async_str_t  body;

    ASYNC_TRY(await_body(co, req, &body));

    return async_json_pack(req, 200, "[s, I]", title_of(req),
                           (json_int_t) body.len);
}


BLOCKING_HANDLER(titles_blocking, ASYNC_DEPENDS(declared),
    ASYNC_BODY(in_model))
{
    return async_json_pack(req, 200, "[s, s]", declared_of(req),
                           in_model_of(req)->title.data);
}


/* waits at a FIFO until the test opens it */

BLOCKING_HANDLER(late, ASYNC_DEPENDS(session, lease))
{
    int          fd;
    async_str_t  path = async_param(req, "gate");

    say(req, "at the gate");

    do {
        fd = open(path.data, O_RDONLY|O_CLOEXEC);
    } while (fd == -1 && errno == EINTR);

    close(fd);

    say(req, whole(session_of(req)));
    say(req, strcmp(whole(lease_of(req)), "lease") == 0 ? "leased" : "torn");

    return async_text(req, 200, "late");
}
