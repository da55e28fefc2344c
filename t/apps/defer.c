
/*
 * Handlers of t/defer.t.  They register cleanups that note in the log that
 * they have run, in angle brackets, and then end in the way that they are told
 * to: see run().
 */

#include <ngx_async.h>
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
           : "other";
}


typedef struct {
    const char  *name;
    int64_t      ms;           /* for which it awaits; zero: not at all */
} note_t;


static void
cleanup(async_t *co, void *arg)
{
    note_t      *note = arg;
    async_rc_t   rc;

    if (note->ms == 0) {
        async_task_log(co, ASYNC_LOG_NOTICE, "<%s>", note->name);
        return;
    }

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s begins>", note->name);

    rc = await_sleep(co, note->ms);

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s %s>%s", note->name, name_of(rc),
                   rc == ASYNC_OK ? "" : async_error(co));
}


/*
 * ?then=   ok (200), fail (409), error, sleep (until it is cancelled),
 *          late (the same, and then 200 all the same)
 */

static async_rc_t
run(async_t *co, async_req_t *req)
{
    char         text[64];
    async_rc_t   rc;
    async_str_t  then;

    then = async_query(req, "then");

    if (then.data == NULL || strcmp(then.data, "ok") == 0) {
        return async_text(req, 200, "done\n");
    }

    if (strcmp(then.data, "fail") == 0) {
        return async_fail(req, 409, "conflict");
    }

    if (strcmp(then.data, "error") == 0) {
        return async_set_header(req, "bad name", "");
    }

    async_log(req, ASYNC_LOG_NOTICE, "<asleep>");

    rc = await_sleep(co, 3600000);            /* the sleep of a handler */

    if (strcmp(then.data, "late") == 0) {
        snprintf(text, sizeof(text), "late, %s\n", name_of(rc));
        return async_text(req, 200, text);
    }

    return rc;
}


/* ?ms=: for which the cleanup in the middle awaits; ?await=1: before them */

ASYNC_HANDLER(three)
{
    note_t  *notes = async_alloc(req, 3 * sizeof(note_t));

    notes[0] = (note_t) { "first", 0 };
    notes[1] = (note_t) { "second", 0 };
    notes[2] = (note_t) { "third", 0 };

    (void) async_query_int_or(req, "ms", &notes[1].ms, 0);

    if (async_query(req, "await").data) {
        ASYNC_TRY(await_yield(co));
    }

    ASYNC_TRY(async_defer(co, cleanup, &notes[0]));
    ASYNC_TRY(async_defer(co, cleanup, &notes[1]));
    ASYNC_TRY(async_defer(co, cleanup, &notes[2]));

    return run(co, req);
}


/* all of them await */

ASYNC_HANDLER(slow)
{
    note_t  *notes = async_alloc(req, 2 * sizeof(note_t));

    notes[0] = (note_t) { "first", 0 };
    notes[1] = (note_t) { "second", 0 };

    (void) async_query_int_or(req, "ms", &notes[0].ms, 3600000);
    notes[1].ms = notes[0].ms;

    ASYNC_TRY(async_defer(co, cleanup, &notes[0]));
    ASYNC_TRY(async_defer(co, cleanup, &notes[1]));

    return run(co, req);
}


static void
outer(async_t *co, void *arg)
{
    note_t  *note = arg;

    async_task_log(co, ASYNC_LOG_NOTICE, "<outer begins>");

    (void) async_defer(co, cleanup, note);

    if (await_sleep(co, 10) == ASYNC_OK) {
        async_task_log(co, ASYNC_LOG_NOTICE, "<outer ends>");
    }
}


ASYNC_HANDLER(nested)
{
    static note_t  first = { "first", 0 }, inner = { "inner", 10 };

    ASYNC_TRY(async_defer(co, cleanup, &first));
    ASYNC_TRY(async_defer(co, outer, &inner));

    return run(co, req);
}


/* a header field as late as that */

static void
add_header(async_t *co, void *arg)
{
    if (await_sleep(co, 50) == ASYNC_OK) {
        (void) async_set_header(arg, "X-Cleanup", "ran");
    }
}


ASYNC_HANDLER(header)
{
    ASYNC_TRY(async_defer(co, add_header, req));

    return async_text(req, 200, "header\n");
}


/* what a cleanup does to the cause and the code of a failure */

static void
fails(async_t *co, void *arg)
{
    if (await_sleep(co, 3600000) != ASYNC_OK) {
        async_task_log(co, ASYNC_LOG_NOTICE, "<fails>%s", async_error(co));
    }
}


ASYNC_HANDLER(keeps)
{
    ASYNC_TRY(async_defer(co, fails, NULL));

    return run(co, req);
}


/* in a call from a thread: the task is that of the request */

static async_rc_t
defers(async_t *co, void *arg)
{
    return async_defer(co, cleanup, arg);
}


BLOCKING_HANDLER(thread)
{
    static note_t  note = { "of a thread", 10 };

    ASYNC_TRY(async_call(req, defers, &note));

    async_log(req, ASYNC_LOG_NOTICE, "<thread>");

    return async_text(req, 200, "thread\n");
}


/* the same with the request of the thread */

static void
sees(async_t *co, void *arg)
{
    if (await_sleep(co, 10) == ASYNC_OK) {
        async_log(arg, ASYNC_LOG_NOTICE, "<sees %s>", async_uri(arg).data);
    }
}


static async_rc_t
defers_sees(async_t *co, void *arg)
{
    return async_defer(co, sees, arg);
}


BLOCKING_HANDLER(thread_req)
{
    ASYNC_TRY(async_call(req, defers_sees, req));

    return async_text(req, 200, "thread\n");
}


/* nobody waits any more, and the thread has returned before the cleanup ends */

static async_rc_t
naps(async_t *co, void *arg)
{
    async_log(arg, ASYNC_LOG_NOTICE, "<thread_gone waits>");

    return await_sleep(co, 3600000);
}


BLOCKING_HANDLER(thread_gone)
{
    ASYNC_TRY(async_call(req, defers_sees, req));
    ASYNC_TRY(async_call(req, naps, req));

    return async_text(req, 200, "thread\n");
}


/* a file, which the module opens when the handler has returned */

ASYNC_HANDLER(file)
{
    static note_t  first = { "first", 0 }, second = { "second", 500 };

    ASYNC_TRY(async_defer(co, cleanup, &first));
    ASYNC_TRY(async_defer(co, cleanup, &second));

    return async_file(req, 200, async_param(req, "file").data);
}


ASYNC_HANDLER(hello)
{
    async_log(req, ASYNC_LOG_NOTICE, "<hello>");

    return async_text(req, 200, "hello\n");
}


/* memory that only the cleanup frees */

static void
frees(async_t *co, void *arg)
{
    if (await_yield(co) == ASYNC_OK) {
        free(arg);
    }
}


ASYNC_HANDLER(many)
{
    int   i;
    char  *p;

    for (i = 0; i < 20; i++) {
        p = malloc(100);
        snprintf(p, 100, "%d", i);
        ASYNC_TRY(async_defer(co, frees, p));
    }

    ASYNC_TRY(await_sleep(co, 5));

    return run(co, req);
}


ASYNC_STARTUP(begin)
{
    static note_t  note = { "of a startup", 10 };

    if (async_task_param(co, "startup").data == NULL) {
        return ASYNC_OK;
    }

    ASYNC_TRY(async_defer(co, cleanup, &note));
    async_task_log(co, ASYNC_LOG_NOTICE, "<startup>");

    return ASYNC_OK;
}


ASYNC_SHUTDOWN(end)
{
    static note_t  note = { "of a shutdown", 10 };

    if (async_task_param(co, "startup").data == NULL) {
        return ASYNC_OK;
    }

    ASYNC_TRY(async_defer(co, cleanup, &note));
    async_task_log(co, ASYNC_LOG_NOTICE, "<shutdown>");

    return ASYNC_OK;
}


/* for util/async-run */

static void
prints(async_t *co, void *arg)
{
    async_rc_t  rc;

    rc = await_sleep(co, 10);
    printf("%s, %s\n", (char *) arg, name_of(rc));
}


ASYNC_TASK(job)
{
    ASYNC_TRY(async_defer(co, prints, "first"));
    ASYNC_TRY(async_defer(co, prints, "second"));
    ASYNC_TRY(await_sleep(co, 1));

    puts("job");
    *(const char **) arg = "value";

    return ASYNC_OK;
}


ASYNC_TASK(long_job)
{
    ASYNC_TRY(async_defer(co, prints, "first"));

    puts("job");

    return await_sleep(co, 3600000);
}
