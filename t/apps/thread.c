
/*
 * Handlers of t/thread.t: await_thread() and async_background().
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


typedef struct {
    int          n;
    int          ms;
    int64_t      sum;
    const char  *tag;
} work_t;


static int  running;


static async_rc_t
adds(void *arg)
{
    int      i;
    work_t  *work = arg;

    __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);

    for (i = 1; i <= work->n; i++) {
        work->sum += i;
    }

    usleep(work->ms * 1000);

    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);

    return ASYNC_OK;
}


static async_rc_t
fails(void *arg)
{
    work_t  *work = arg;

    work->sum = -1;

    return async_thread_fail(ASYNC_CLOSED, "the %s is %d", "answer", work->n);
}


static async_rc_t
just_fails(void *arg)
{
    return ASYNC_ERROR;
}


static async_rc_t
until_cancelled(void *arg)
{
    work_t  *work = arg;

    async_thread_log(ASYNC_LOG_NOTICE, "<%s runs>", "thread");

    while (!async_thread_cancelled()) {
        usleep(1000);
    }

    work->sum = -1;

    async_thread_log(ASYNC_LOG_NOTICE, "<thread is told>");

    return ASYNC_OK;
}


/* /sum?n=&ms=&pool= */

ASYNC_HANDLER(sum)
{
    work_t       work = { 0 };
    int64_t      n, ms;
    async_str_t  pool;

    ASYNC_TRY(async_query_int_or(req, "n", &n, 10));
    ASYNC_TRY(async_query_int_or(req, "ms", &ms, 0));
    pool = async_query(req, "pool");

    work.n = (int) n;
    work.ms = (int) ms;

    if (await_thread(co, pool.data, adds, &work) != ASYNC_OK) {
        return async_fail(req, 500, async_error(co));
    }

    return async_json_pack(req, 200, "{s:I}", "sum", (json_int_t) work.sum);
}


ASYNC_HANDLER(failing)
{
    int     rc, plain;
    work_t  work = { .n = 42 };
    char    text[200];

    rc = await_thread(co, NULL, fails, &work);
    snprintf(text, sizeof(text), "%s", async_error(co));

    plain = await_thread(co, NULL, just_fails, &work);

    return async_json_pack(req, 200, "{s:i, s:s, s:I, s:i, s:s}", "rc", rc,
                           "error", text, "sum", (json_int_t) work.sum,
                           "plain", plain, "cause", async_error(co));
}


/* the thread outlasts the scope, and its result is dropped */

ASYNC_HANDLER(late)
{
    int     rc;
    work_t  work = { .n = 3, .sum = 7 };

    {
        ASYNC_DEADLINE(co, 1000);

        rc = await_thread(co, NULL, until_cancelled, &work);
    }

    ASYNC_TRY(await_sleep(co, 50));

    return async_json_pack(req, 200, "{s:i, s:I}", "rc", rc, "sum",
                           (json_int_t) work.sum);
}


ASYNC_HANDLER(waits)
{
    work_t  work = { 0 };

    return await_thread(co, NULL, until_cancelled, &work);
}


/* three at once, by children, of which one is a thread */

static async_rc_t
child(async_t *co, void *arg)
{
    return await_thread(co, NULL, adds, (work_t *) arg);
}


ASYNC_HANDLER(three)
{
    work_t        a = { .n = 1, .ms = 20 }, b = { .n = 2 }, c = { .n = 3 };
    async_work_t  work[] = { { child, &a, ASYNC_OK, NULL },
                             { child, &b, ASYNC_OK, NULL },
                             { child, &c, ASYNC_OK, NULL } };

    ASYNC_TRY(await_all(co, work, 3));

    return async_json_pack(req, 200, "[I, I, I]", (json_int_t) a.sum,
                           (json_int_t) b.sum, (json_int_t) c.sum);
}


ASYNC_HANDLER(count)
{
    return async_json_pack(req, 200, "{s:i}", "running",
                           __atomic_load_n(&running, __ATOMIC_SEQ_CST));
}


/* background */

typedef struct {
    int          ms;
    const char  *tag;
} note_t;


static async_rc_t
notes(async_t *co, void *arg)
{
    int      rc;
    note_t  *note = arg;

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s begins>", note->tag);

    rc = await_sleep(co, note->ms);

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s ends %d>", note->tag, rc);

    return rc;
}


static async_rc_t
notes_thread(void *arg)
{
    note_t  *note = arg;

    usleep(note->ms * 1000);

    async_thread_log(ASYNC_LOG_NOTICE, "<%s in a thread>", note->tag);

    return ASYNC_OK;
}


static async_rc_t
breaks(async_t *co, void *arg)
{
    ASYNC_TRY(await_sleep(co, 1));

    return await_thread(co, "no such pool", notes_thread, (note_t *) arg);
}


static void
cleans(async_t *co, void *arg)
{
    async_task_log(co, ASYNC_LOG_NOTICE, "<cleanup of %s>",
                   ((note_t *) arg)->tag);
}


static async_rc_t
leaves(async_t *co, void *arg)
{
    ASYNC_TRY(async_defer(co, cleans, arg));

    (void) async_spawn(co, notes, arg);

    return await_yield(co);
}


static async_rc_t
background(async_req_t *req)
{
    int64_t  ms, size;
    char     tag[100];
    note_t   note;

    (void) async_query_int_or(req, "ms", &ms, 20);
    (void) async_query_int_or(req, "size", &size, 0);

    note.ms = (int) ms;

    for (int i = 0; i < 3; i++) {
        snprintf(tag, sizeof(tag), "%s%d", async_query(req, "tag").data, i);
        note.tag = async_background_str(req, tag);

        ASYNC_TRY((i == 1) ? async_background_thread(req, NULL, notes_thread,
                                                     &note)
                           : async_background(req, notes, &note));

        if (i == 0 && async_query(req, "break").data) {
            ASYNC_TRY(async_background(req, breaks, &note));
            ASYNC_TRY(async_background(req, leaves, &note));
        }
    }

    if (async_query(req, "fail").data) {
        return async_fail(req, 418, "no tea");
    }

    if (size) {
        void        *zeros = calloc(1, size);
        async_rc_t   rc = async_bytes(req, 200, NULL, zeros, size);

        free(zeros);

        return rc;
    }

    return async_text(req, 200, "now\n");
}


ASYNC_HANDLER(background_async)
{
    ASYNC_TRY(await_yield(co));

    return background(req);
}


BLOCKING_HANDLER(background_blocking)
{
    return background(req);
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}
