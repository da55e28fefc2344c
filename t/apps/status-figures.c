/* What the status counts, provoked for t/status-figures.t. */

#include <ngx_async.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>


/* the file of this name below the async_param "gates" opens it */

static int
opened(const char *dir, const char *name)
{
    char  path[4096];

    snprintf(path, sizeof(path), "%s/%s", dir, name);

    return access(path, F_OK) == 0;
}


static async_rc_t
gate(async_t *co, const char *name)
{
    while (!opened(async_task_param(co, "gates").data, name)) {
        ASYNC_TRY(await_sleep(co, 5));
    }

    return ASYNC_OK;
}


/* /answer?status= */

ASYNC_HANDLER(answer)
{
    int64_t  status;

    ASYNC_TRY(async_query_int(req, "status", &status));

    return async_text(req, (int) status, "answered\n");
}


ASYNC_HANDLER(fails)
{
    return ASYNC_ERROR;
}


/* waits at the gate of the name of the path */

ASYNC_HANDLER(waits)
{
    ASYNC_TRY(gate(co, "waits"));

    return async_text(req, 200, "waited\n");
}


static async_rc_t
later(async_t *co, void *arg)
{
    (void) arg;

    return gate(co, "later");
}


ASYNC_HANDLER(leaves)
{
    ASYNC_TRY(async_background(req, later, (char *) NULL));

    return async_text(req, 200, "left\n");
}


static void
cleanup(async_t *co, void *arg)
{
    (void) co;
    (void) arg;
}


ASYNC_HANDLER(defers)
{
    ASYNC_TRY(async_defer(co, cleanup, NULL));
    ASYNC_TRY(gate(co, "defers"));

    return async_text(req, 200, "deferred\n");
}


BLOCKING_HANDLER(blocks)
{
    async_str_t  dir = async_param(req, "gates");

    while (!opened(dir.data, "blocks")) {
        usleep(5000);
    }

    return async_text(req, 200, "blocked\n");
}


/* /process?fails=: true(1), or what is not there; waits: until it is killed */

ASYNC_HANDLER(process)
{
    async_rc_t       rc;
    const char      *one[] = { "true", NULL };
    const char      *none[] = { "/there/is/none", NULL };
    const char      *sleeps[] = { "sleep", "3600", NULL };
    async_command_t  command = { .argv = async_query(req, "fails").data ? none
                                 : async_query(req, "waits").data ? sleeps
                                 : one };

    rc = await_process(co, &command);

    return async_text(req, 200, rc == ASYNC_OK ? "ended\n" : "failed\n");
}


ASYNC_PERIODIC(ticks)
{
    return gate(co, "ticks");
}


ASYNC_PERIODIC(fails_each_time)
{
    (void) co;

    return ASYNC_ERROR;
}


/* a WebSocket that echoes; "close": it ends, "flood": much at once */

ASYNC_HANDLER(echo)
{
    int                 i;
    static char         much[65536];
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));

        if (m.len == 5 && memcmp(m.data, "close", 5) == 0) {
            return ASYNC_OK;
        }

        if (m.len == 5 && memcmp(m.data, "flood", 5) == 0) {
            for (i = 0; i < 1000; i++) {
                ASYNC_TRY(await_ws_send(co, req, ASYNC_WS_BINARY, much,
                                        sizeof(much)));
            }
        }

        ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    }
}
