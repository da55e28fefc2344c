
/*
 * Periodic functions of t/every.t, and what stands beside them.  What each does
 * is its plan: the async_param of its name in the http block, of words with a
 * number each, done one after another.
 *
 *     sleep MS    awaits so long
 *     block MS    holds the loop so long
 *     gate N      the first N runs of a worker await the file "go"
 *     stall MS    the first run of a worker holds the loop so long
 *     fail N      in the first N runs of a worker: answers ASYNC_ERROR
 *     hang N      in the first N runs: sleeps until it is cancelled
 *     defer MS    has a cleanup that awaits so long
 */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


/* the path is in the async_param "go" */

static async_rc_t
gate(async_t *co)
{
    while (access(async_task_param(co, "go").data, F_OK) != 0) {
        ASYNC_TRY(await_sleep(co, 5));
    }

    return ASYNC_OK;
}


static void
cleanup(async_t *co, void *arg)
{
    async_rc_t  rc;

    rc = await_sleep(co, *(int *) arg);

    async_task_log(co, ASYNC_LOG_NOTICE, "<cleanup %s>",
                   rc == ASYNC_OK ? "done" : "cut");
}


static async_rc_t
step(async_t *co, const char *word, int n, int run)
{
    static int  ms;

    if (strcmp(word, "sleep") == 0) {
        return await_sleep(co, n);
    }

    if (strcmp(word, "gate") == 0) {
        return run <= n ? gate(co) : ASYNC_OK;
    }

    if (strcmp(word, "block") == 0 || (strcmp(word, "stall") == 0 && run == 1))
    {
        usleep(n * 1000);
        return ASYNC_OK;
    }

    if (strcmp(word, "defer") == 0) {
        ms = n;
        return async_defer(co, cleanup, &ms);
    }

    if (strcmp(word, "fail") == 0 && run <= n) {
        return ASYNC_ERROR;
    }

    if (strcmp(word, "hang") == 0 && run <= n) {
        return await_sleep(co, 3600000);
    }

    return ASYNC_OK;
}


static async_rc_t
planned(async_t *co, const char *name, int run)
{
    int          n, len;
    char         word[16];
    async_rc_t   rc;
    const char  *p;

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s begins>", name);

    p = async_task_param(co, name).data;

    while (p && sscanf(p, "%15s %d%n", word, &n, &len) == 2) {
        rc = step(co, word, n, run);

        if (rc != ASYNC_OK) {
            async_task_log(co, ASYNC_LOG_NOTICE, "<%s gives up>", name);
            return rc;
        }

        p += len;
    }

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s ends>", name);

    return ASYNC_OK;
}


ASYNC_STARTUP(start)
{
    static int  n;

    return planned(co, "start", ++n);
}


ASYNC_SHUTDOWN(stop)
{
    return planned(co, "stop", 1);
}


ASYNC_PERIODIC(tick)
{
    static int  n;

    return planned(co, "tick", ++n);
}


ASYNC_PERIODIC(tock)
{
    static int  n;

    return planned(co, "tock", ++n);
}


/* ?wait */

ASYNC_HANDLER(pid)
{
    async_log(req, ASYNC_LOG_NOTICE, "<pid begins>");

    if (async_query(req, "wait").data) {
        ASYNC_TRY(gate(co));
    }

    return async_json_pack(req, 200, "{s:i}", "pid", (int) getpid());
}
