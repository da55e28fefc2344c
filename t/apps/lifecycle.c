
/*
 * Hooks and handlers of t/lifecycle.t.  What a hook does is its plan: the
 * async_param of its name in the http block, of words with a number each, done
 * one after another in every call of the hook.
 *
 *     sleep MS    awaits so long
 *     fail N      in the first N calls: answers ASYNC_ERROR
 *     hang N      in the first N calls: sleeps until it is cancelled
 *     deaf N      in the first N calls: sleeps for ever, whatever it is told
 *
 * The order of functions is that of the file, which is not that of names.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


static async_rc_t
step(async_t *co, const char *word, int n, int call)
{
    if (strcmp(word, "sleep") == 0) {
        return await_sleep(co, n);
    }

    if (call > n) {
        return ASYNC_OK;
    }

    if (strcmp(word, "fail") == 0) {
        return ASYNC_ERROR;
    }

    if (strcmp(word, "hang") == 0) {
        return await_sleep(co, 3600000);      /* the hang of a hook */
    }

    for ( ;; ) {
        if (await_sleep(co, 3600000) != ASYNC_OK) { /* void */ }
    }
}


static async_rc_t
hook(async_t *co, const char *name, int call)
{
    int          n, len;
    char         word[16];
    async_rc_t   rc;
    const char  *p;

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s begins>", name);

    p = async_task_param(co, name).data;

    while (p && sscanf(p, "%15s %d%n", word, &n, &len) == 2) {
        rc = step(co, word, n, call);

        if (rc != ASYNC_OK) {
            async_task_log(co, ASYNC_LOG_NOTICE, "<%s gives up>", name);
            return rc;
        }

        p += len;
    }

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s ends>", name);

    return ASYNC_OK;
}


static int  zebras, middles, apes;

static int  zulus, mikes, alphas;


ASYNC_STARTUP(zebra)
{
    return hook(co, "zebra", ++zebras);
}


ASYNC_STARTUP(middle)
{
    return hook(co, "middle", ++middles);
}


ASYNC_SHUTDOWN(zulu)
{
    return hook(co, "zulu", ++zulus);
}


ASYNC_SHUTDOWN(mike)
{
    return hook(co, "mike", ++mikes);
}


ASYNC_STARTUP(ape)
{
    return hook(co, "ape", ++apes);
}


ASYNC_SHUTDOWN(alpha)
{
    return hook(co, "alpha", ++alphas);
}


/* what the startup has made of this worker */

ASYNC_HANDLER(state)
{
    async_log(req, ASYNC_LOG_NOTICE, "<state>");

    return async_json_pack(req, 200, "{s:i, s:i, s:i, s:i}",
                           "pid", (int) getpid(), "zebra", zebras,
                           "middle", middles, "ape", apes);
}


/* ?ms= */

ASYNC_HANDLER(nap)
{
    int64_t     ms;
    async_rc_t  rc;

    (void) async_query_int_or(req, "ms", &ms, 100);

    async_log(req, ASYNC_LOG_NOTICE, "<nap begins>");
    rc = await_sleep(co, ms);
    async_log(req, ASYNC_LOG_NOTICE, "<nap ends>");

    return rc == ASYNC_OK ? async_text(req, 200, "nap\n") : rc;
}


BLOCKING_HANDLER(thread_nap)
{
    int64_t  ms;

    (void) async_query_int_or(req, "ms", &ms, 100);

    async_log(req, ASYNC_LOG_NOTICE, "<thread begins>");
    usleep(ms * 1000);
    async_log(req, ASYNC_LOG_NOTICE, "<thread ends>");

    return async_text(req, 200, "thread nap\n");
}


/* ?key=: as tasks see it */

ASYNC_HANDLER(task_param)
{
    async_str_t  value;

    value = async_task_param(co, async_query(req, "key").data);

    return async_text(req, 200, value.data ? value.data : "(absent)");
}
