
/*
 * Handlers of t/status.t: each is in a state that the test can see for as long
 * as it wants, which ends when a file is there, "go" in the folder of the
 * async_param "gates", or go-TAG with ?tag=TAG.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


static int
is_open(async_str_t gates, const char *tag)
{
    char  path[512];

    snprintf(path, sizeof(path), "%s/go%s%s", gates.data, *tag ? "-" : "",
             tag);

    return access(path, F_OK) == 0;
}


static int
is_free(async_req_t *req)
{
    async_str_t  tag;

    tag = async_query(req, "tag");

    return is_open(async_param(req, "gates"), tag.data ? tag.data : "");
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello");
}


ASYNC_HANDLER(show_pid)
{
    char  text[32];

    snprintf(text, sizeof(text), "%d", (int) getpid());

    return async_text(req, 200, text);
}


/* one long await, so that its time counts from its beginning */

ASYNC_HANDLER(nap)
{
    ASYNC_TRY(await_sleep(co, 600000));

    return async_text(req, 200, "never");
}


ASYNC_HANDLER(gated)
{
    while (!is_free(req)) {
        ASYNC_TRY(await_sleep(co, 10));
    }

    return async_text(req, 200, "done");
}


static async_rc_t
child(async_t *co, void *arg)
{
    return await_sleep(co, 600000);
}


ASYNC_HANDLER(family)
{
    async_child_t  *one;

    one = async_spawn(co, child, NULL);

    if (one == NULL || async_spawn(co, child, NULL) == NULL) {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(await_join(co, one));

    return async_text(req, 200, "never");
}


BLOCKING_HANDLER(threaded)
{
    while (!is_free(req)) {
        usleep(10000);
    }

    return async_text(req, 200, "done");
}


/* holds the loop */

ASYNC_HANDLER(burn)
{
    ASYNC_TRY(await_sleep(co, 1));

    async_log(req, ASYNC_LOG_NOTICE, "<burns in %d>", (int) getpid());

    while (!is_free(req)) {
        usleep(10000);
    }

    ASYNC_TRY(await_sleep(co, 1));

    return async_text(req, 200, "done");
}


ASYNC_HANDLER(late)
{
    ASYNC_DEADLINE(co, 30000);

    ASYNC_TRY(await_sleep(co, 600000));

    return async_text(req, 200, "never");
}


static async_rc_t
afterwards(async_t *co, void *arg)
{
    async_str_t  gates;

    gates = async_task_param(co, "gates");

    while (!is_open(gates, "background")) {
        ASYNC_TRY(await_sleep(co, 10));
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(leave)
{
    ASYNC_TRY(async_background(req, afterwards, (char *) NULL));

    return async_text(req, 200, "left");
}


ASYNC_PERIODIC(tick)
{
    async_str_t  gates;

    gates = async_task_param(co, "gates");

    while (!is_open(gates, "tick")) {
        ASYNC_TRY(await_sleep(co, 10));
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(socket)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    }
}


/* so many that only wait, as children of one */

ASYNC_HANDLER(crowd)
{
    int64_t  n;

    ASYNC_TRY(async_query_int(req, "n", &n));

    while (n--) {
        if (async_spawn(co, child, NULL) == NULL) {
            return ASYNC_ERROR;
        }
    }

    ASYNC_TRY(await_sleep(co, 600000));

    return async_text(req, 200, "never");
}
