
/*
 * Children that nobody joins, and what is on the stack of who spawned them;
 * then children of cleanups, of calls from a thread, of a startup function.
 */

#include "task.h"
#include <stdlib.h>
#include <string.h>


/* What is on the stack of a function that returns too early */

typedef struct {
    unsigned char  bytes[512];
    const char    *name;
} frame_t;


static void
frame_fill(frame_t *frame, const char *name)
{
    size_t  i;

    for (i = 0; i < sizeof(frame->bytes); i++) {
        frame->bytes[i] = (unsigned char) (i * 7);
    }

    frame->name = name;
}


static int
frame_is_intact(frame_t *frame)
{
    size_t  i;

    for (i = 0; i < sizeof(frame->bytes); i++) {
        if (frame->bytes[i] != (unsigned char) (i * 7)) {
            return 0;
        }
    }

    return 1;
}


static void
frame_cleanup(async_t *co, void *arg)
{
    int          intact;
    frame_t     *frame = arg;
    async_rc_t   rc;

    intact = frame_is_intact(frame);

    frame_fill(frame, frame->name);
    rc = await_sleep(co, 20);

    say(co, "cleaned %s %s>", name_of(rc),
        intact && frame_is_intact(frame) ? "intact" : "overwritten");
}


static async_rc_t
frame_user(async_t *co, void *arg)
{
    async_rc_t  rc;

    ASYNC_TRY(async_defer(co, frame_cleanup, arg));

    rc = await_sleep(co, HOUR);
    say(co, "%s: %s>", name_of(rc), async_error(co));

    return rc;
}


/* ?early=1: before it has awaited, so that the child has not begun */

ASYNC_HANDLER(unjoined)
{
    frame_t  frame;

    frame_fill(&frame, "unjoined");

    (void) async_spawn(co, frame_user, &frame);    /* of unjoined */

    if (async_query(req, "early").data == NULL) {
        ASYNC_TRY(await_sleep(co, 10));
    }

    if (async_query(req, "fails").data) {
        ASYNC_TRY(fail(co, 7));
    }

    if (async_query(req, "file").data) {
        return async_file(req, 200, "html/file");
    }

    return async_text(req, 200, "unjoined\n");
}


/* one that has ended */

ASYNC_HANDLER(forgotten)
{
    job_t           job = { .name = "a" };
    async_child_t  *child;

    child = async_spawn(co, run, &job);            /* of forgotten */

    ASYNC_TRY(await_ended(co, child));

    return async_text(req, 200, "forgotten\n");
}


static async_rc_t
leaves_group(async_t *co, void *arg)
{
    frame_t  frame;

    ASYNC_GROUP(co);

    frame_fill(&frame, arg);

    (void) async_spawn(co, frame_user, &frame);

    ASYNC_TRY(await_sleep(co, 10));
    ASYNC_TRY(fail(co, 7));

    return ASYNC_OK;
}


/* ... and the ones before it are left alone */

ASYNC_HANDLER(group)
{
    out_t           out = { "", 0 };
    job_t           job = { .name = "a", .ms = 1000 };
    async_child_t  *child;

    child = async_spawn(co, run, &job);

    answer(co, &out, "group", leaves_group(co, "group"));
    say(co, "left>");
    answer(co, &out, "before", await_join(co, child));

    return async_text(req, 200, out.text);
}


static async_rc_t
has_child(async_t *co, void *arg)
{
    frame_t  frame;

    frame_fill(&frame, arg);

    (void) async_spawn(co, frame_user, &frame);    /* of a child */

    return await_sleep(co, 10);
}


ASYNC_HANDLER(grandchild)
{
    async_child_t  *child;

    child = async_spawn(co, has_child, "grandchild");

    ASYNC_TRY(await_join(co, child));
    say(co, "joined>");

    return async_text(req, 200, "grandchild\n");
}


/* Where else there may be children */

static void
spawning_cleanup(async_t *co, void *arg)
{
    async_rc_t  rc;

    rc = await_join(co, async_spawn(co, run, arg));
    say(co, "cleanup %s>", name_of(rc));
}


static void
careless_cleanup(async_t *co, void *arg)
{
    (void) async_spawn(co, run, arg);              /* of a cleanup */
}


static void
frame_leaver(async_t *co, void *arg)
{
    (void) has_child(co, arg);
}


/* ?then=sleep|careless|frame */

ASYNC_HANDLER(in_cleanup)
{
    async_str_t   then;

    static job_t  job = { .name = "a", .ms = 50 };
    static job_t  hangs = { .name = "b", .ms = HOUR };

    then = async_query(req, "then");

    if (then.data && strcmp(then.data, "careless") == 0) {
        ASYNC_TRY(async_defer(co, careless_cleanup, &hangs));
        return async_text(req, 200, "careless\n");
    }

    if (then.data && strcmp(then.data, "frame") == 0) {
        ASYNC_TRY(async_defer(co, spawning_cleanup, &job));
        ASYNC_TRY(async_defer(co, frame_leaver, (void *) "cleanup"));
        return async_text(req, 200, "frame\n");
    }

    ASYNC_TRY(async_defer(co, spawning_cleanup, &job));

    if (then.data) {
        say(co, "asleep>");
        ASYNC_TRY(await_sleep(co, HOUR));
    }

    return async_text(req, 200, "cleanup\n");
}


static async_rc_t
called(async_t *co, void *arg)
{
    async_rc_t  rc;

    rc = await_join(co, async_spawn(co, run, arg));
    say(co, "call %s>", name_of(rc));

    return rc;
}


BLOCKING_HANDLER(thread)
{
    job_t        job = { .name = "a", .ms = 20 };
    async_str_t  ms;

    ms = async_query(req, "ms");
    job.ms = ms.data ? atoi(ms.data) : job.ms;

    ASYNC_TRY(async_call(req, called, &job));

    return async_text(req, 200, "thread\n");
}


BLOCKING_HANDLER(thread_unjoined)
{
    ASYNC_TRY(async_call(req, has_child, (void *) "thread"));

    async_log(req, ASYNC_LOG_NOTICE, "<called>");

    return async_text(req, 200, "thread\n");
}


ASYNC_STARTUP(begin)
{
    int            winner;
    job_t          a = { .name = "a", .ms = 10 };
    job_t          b = { .name = "b", .ms = HOUR };
    async_work_t   work[] = {
        { run, &b, ASYNC_OK, NULL }, { run, &a, ASYNC_OK, NULL }
    };

    if (async_task_param(co, "startup").data) {
        ASYNC_TRY(await_any(co, work, 2, &winner));
        say(co, "winner %d>", winner);
    }

    return ASYNC_OK;
}
