
/*
 * Handlers of t/vars.t and t/trace.t.
 */

#include <ngx_async.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#define PAUSE  60                          /* ms */


static void
pause_ms(void)
{
    struct timespec  ts = { 0, PAUSE * 1000000 };

    nanosleep(&ts, NULL);
}


ASYNC_HANDLER(quick)
{
    return async_text(req, 200, "quick");
}


ASYNC_HANDLER(sleeps)
{
    ASYNC_TRY(await_sleep(co, PAUSE));
    ASYNC_TRY(await_yield(co));

    return async_text(req, 200, "slept");
}


/* the loop waits, too */

ASYNC_HANDLER(busy)
{
    pause_ms();

    return async_text(req, 200, "busy");
}


ASYNC_HANDLER(fails)
{
    ASYNC_TRY(await_sleep(co, 1));

    return ASYNC_ERROR;
}


ASYNC_HANDLER(late)
{
    ASYNC_TRY(await_sleep(co, 60000));

    return async_text(req, 200, "late");
}


static async_rc_t
napping(async_t *co, void *arg)
{
    return await_sleep(co, PAUSE);
}


ASYNC_HANDLER(children)
{
    async_child_t  *child;

    child = async_spawn(co, napping, NULL);

    if (child == NULL) {
        return ASYNC_BUSY;
    }

    ASYNC_TRY(await_within(co, 10000, napping, NULL));
    ASYNC_TRY(await_join(co, child));

    return async_text(req, 200, "joined");
}


static async_rc_t
in_thread(void *arg)
{
    pause_ms();

    return ASYNC_OK;
}


ASYNC_HANDLER(thread)
{
    int  nothing = 0;

    ASYNC_TRY(await_thread(co, NULL, in_thread, &nothing));

    return async_text(req, 200, "through");
}


BLOCKING_HANDLER(blocking)
{
    pause_ms();

    (void) async_timing(req, "in-thread", 1, NULL);

    return async_text(req, 200, "blocking");
}


static async_rc_t
ask_database(async_t *co, void *arg)
{
    return await_pg(co, "db", NULL, "SELECT pg_sleep(0.06)");
}


/* five statements with BEGIN and COMMIT, and one of a child */

ASYNC_HANDLER(database)
{
    async_child_t        *child;
    async_pg_statement_t  s[2] = {
        { .sql = "SELECT 1" }, { .sql = "SELECT 2" }
    };

    child = async_spawn(co, ask_database, NULL);

    ASYNC_TRY(await_pg_begin(co, "db", 0));
    ASYNC_TRY(await_pg(co, "db", NULL, "SELECT pg_sleep(0.06)"));
    ASYNC_TRY(await_pg_pipeline(co, "db", s, 2, 0));
    ASYNC_TRY(await_pg_commit(co, "db"));
    ASYNC_TRY(await_join(co, child));

    /* no statement, and not in their time */
    ASYNC_TRY(await_sleep(co, PAUSE));

    return async_text(req, 200, "asked");
}


static async_rc_t
source(async_t *co, void *arg, void *buf, size_t size, size_t *n)
{
    int  *pieces = arg;

    if (*pieces == 0) {
        *n = 0;
        return ASYNC_OK;
    }

    (*pieces)--;

    ASYNC_TRY(await_sleep(co, 1));

    memcpy(buf, "x", 1);
    *n = 1;

    return ASYNC_OK;
}


/* "X-Own": the caller's own traceparent; "X-Source": a body of a source */

ASYNC_HANDLER(fetches)
{
    int                pieces = 2;
    const char        *headers[3] = { NULL, NULL, NULL };
    async_fetch_t      fetch = { .redirects = 2 };
    async_response_t  *res;

    if (async_header(req, "X-Own").data) {
        headers[0] = "TraceParent";
        headers[1] = async_header(req, "X-Own").data;
        fetch.headers = headers;
    }

    if (async_header(req, "X-Source").data) {
        fetch.source = source;
        fetch.source_arg = &pieces;
    }

    ASYNC_TRY(await_fetch(co, async_header(req, "X-Url").data, &fetch, &res));

    return async_text(req, 200, async_response_body(res).data);
}


static async_rc_t
fetch_in_child(async_t *co, void *arg)
{
    async_req_t       *req = arg;
    async_response_t  *res;

    ASYNC_TRY(await_fetch(co, async_header(req, "X-Url").data, NULL, &res));

    return async_text(req, 200, async_response_body(res).data);
}


ASYNC_HANDLER(child_fetches)
{
    async_child_t  *child;

    child = async_spawn(co, fetch_in_child, req);

    return child ? await_join(co, child) : ASYNC_BUSY;
}


BLOCKING_HANDLER(thread_fetches)
{
    ASYNC_TRY(async_call(req, fetch_in_child, req));

    return ASYNC_OK;
}


ASYNC_HANDLER(subrequests)
{
    async_response_t  *res;

    ASYNC_TRY(await_subrequest(co, req, async_header(req, "X-To").data, NULL,
                               &res));

    return async_text(req, 200, async_response_body(res).data);
}


static async_rc_t
fetch_afterwards(async_t *co, void *arg)
{
    async_response_t  *res;

    async_task_log(co, ASYNC_LOG_ERROR, "in the background");

    ASYNC_TRY(await_fetch(co, arg, NULL, &res));

    async_task_log(co, ASYNC_LOG_ERROR, "fetched: %s",
                   async_response_body(res).data);

    return ASYNC_OK;
}


typedef struct {
    const char  *url;
} left_t;


static async_rc_t
left_behind(async_t *co, void *arg)
{
    left_t         *left = arg;
    async_child_t  *child;

    child = async_spawn(co, fetch_afterwards, (void *) left->url);

    return child ? await_join(co, child) : ASYNC_BUSY;
}


ASYNC_HANDLER(leaves)
{
    left_t  left = {
        async_background_str(req, async_header(req, "X-Url").data)
    };

    ASYNC_TRY(async_background(req, left_behind, &left));

    return async_text(req, 202, "later");
}


ASYNC_HANDLER(says)
{
    async_log(req, ASYNC_LOG_ERROR, "a line of a handler");

    return async_text(req, 200, "said");
}


BLOCKING_HANDLER(thread_says)
{
    async_log(req, ASYNC_LOG_ERROR, "a line of a thread");

    return async_text(req, 200, "said");
}


ASYNC_HANDLER(variable)
{
    async_str_t  value;

    value = async_var(req, async_query(req, "name").data);

    return async_text(req, 200, value.data ? value.data : "absent");
}


ASYNC_HANDLER(streams)
{
    ASYNC_TRY(await_sleep(co, PAUSE));
    ASYNC_TRY(async_stream(req, 200, "text/plain", -1));
    ASYNC_TRY(await_send(co, req, "one", 3));
    ASYNC_TRY(await_sleep(co, PAUSE));

    return await_send(co, req, "two", 3);
}


ASYNC_HANDLER(guard)
{
    ASYNC_TRY(await_sleep(co, PAUSE));
    ASYNC_TRY(async_timing(req, "guard", 2.5, NULL));

    return ASYNC_OK;
}


ASYNC_HANDLER(timing)
{
    ASYNC_TRY(async_timing(req, "render", 1.25, NULL));
    ASYNC_TRY(async_timing(req, "cache", -1, "a \"hit\" \\ so to say"));
    ASYNC_TRY(async_timing(req, "zero", 0, ""));
    ASYNC_TRY(async_timing(req, "long", 123456789.0625, "\xc3\xa4"));

    return async_text(req, 200, "timed");
}


/* what is refused; a code for each */

ASYNC_HANDLER(refused)
{
    char  codes[16];

    codes[0] = '0' - async_timing(req, "", 1, NULL);
    codes[1] = '0' - async_timing(req, "a b", 1, NULL);
    codes[2] = '0' - async_timing(req, NULL, 1, NULL);
    codes[3] = '0' - async_timing(req, "a,b", 1, NULL);
    codes[4] = '0' - async_timing(req, "a", NAN, NULL);
    codes[5] = '0' - async_timing(req, "a", INFINITY, NULL);
    codes[6] = '0' - async_timing(req, "a", 1.1e15, NULL);
    codes[7] = '0' - async_timing(req, "a", 1, "b\r\nX-Evil: 1");
    codes[8] = '0' - async_timing(req, "fine", 1, NULL);
    codes[9] = '\0';

    return async_text(req, 200, codes);
}
