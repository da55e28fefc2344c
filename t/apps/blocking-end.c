/*
 * Handlers and hooks of t/blocking-end.t.  What they do and see they note in
 * the log, in angle brackets.  Params of the http block: "gate" is a FIFO,
 * "startup_hold" and "down" are milliseconds, "talk" is a flag.
 */

#define _GNU_SOURCE

#include <ngx_async.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>


/* acquired by a call, used by the thread, released by a cleanup */

typedef struct {
    async_req_t  *req;
    int64_t       ms;
} resource_t;


static atomic_int  holds;      /* a shutdown function holds the loop */
static atomic_int  talked;     /* a thread has logged meanwhile */


static void
note(async_req_t *req, const char *text)
{
    async_log(req, ASYNC_LOG_NOTICE, "<%s>", text);
}


static void
task_note(async_t *co, const char *text)
{
    async_task_log(co, ASYNC_LOG_NOTICE, "<%s>", text);
}


static int64_t
task_number(async_t *co, const char *key)
{
    async_str_t  value;

    value = async_task_param(co, key);

    return value.data ? atoll(value.data) : 0;
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}


ASYNC_HANDLER(late)
{
    note(req, "late");

    return async_text(req, 200, "late\n");
}


/* ?ms= */

ASYNC_HANDLER(nap)
{
    int64_t     ms;
    async_rc_t  rc;

    ASYNC_TRY(async_query_int_or(req, "ms", &ms, 300));

    note(req, "nap begins");
    rc = await_sleep(co, ms);
    note(req, rc == ASYNC_OK ? "nap ok" : rc == ASYNC_CANCELLED
                                        ? "nap cancelled" : "nap failed");

    return rc == ASYNC_OK ? async_text(req, 200, "nap\n") : rc;
}


/* holds the loop */

ASYNC_HANDLER(hog)
{
    note(req, "hog begins");
    usleep(600000);

    return async_text(req, 200, "hog\n");
}


/* ---- threads */

/* in stdio, until the test writes a line: the stream is locked meanwhile */

BLOCKING_HANDLER(reads)
{
    FILE  *gate;
    char   line[16];

    gate = fopen(async_param(req, "gate").data, "r+");

    if (gate == NULL) {
        return async_fail(req, 500, "there is no gate");
    }

    note(req, "reads");

    if (fgets(line, sizeof(line), gate) == NULL) {
        note(req, "read nothing");
    }

    fclose(gate);

    return async_text(req, 200, "read\n");
}


BLOCKING_HANDLER(length)
{
    char         text[32];
    async_str_t  body;

    ASYNC_TRY(async_body(req, &body));

    snprintf(text, sizeof(text), "%zu\n", body.len);

    return async_text(req, 200, text);
}


/* uses what belongs to the configuration, for ever */

BLOCKING_HANDLER(loops)
{
    unsigned  i;

    for (i = 0; async_param(req, "gate").len; i++) {
        if (i % 1000 == 0) {
            note(req, "loops");
        }
    }

    note(req, "param lost");

    return async_text(req, 500, "param lost\n");
}


BLOCKING_HANDLER(polls)
{
    note(req, "polls");

    while (!async_cancelled(req)) {
        usleep(1000);
    }

    note(req, "told");

    return async_text(req, 200, "told\n");
}


/* logs while "down" holds the loop; ?then=stays */

BLOCKING_HANDLER(talks)
{
    note(req, "listens");

    while (!atomic_load(&holds)) {
        usleep(1000);
    }

    note(req, "last words");
    atomic_store(&talked, 1);

    while (async_query(req, "then").data) {
        (void) pause();
    }

    return async_text(req, 200, "talked\n");
}


static int
child_status(const char *by)
{
    int    status;
    char   line[16];
    FILE  *pipe;
    pid_t  pid;

    if (strcmp(by, "system") == 0) {
        return system("exit 3");
    }

    if (strcmp(by, "popen") == 0) {
        pipe = popen("echo x; exit 3", "r");

        while (fgets(line, sizeof(line), pipe)) { /* void */ }

        /* the child has ended, and whoever wants it has time to take it */
        usleep(1000);

        return pclose(pipe);
    }

    pid = fork();

    if (pid == 0) {
        _exit(3);
    }

    usleep(1000);

    return waitpid(pid, &status, 0) == pid ? status : -1;
}


BLOCKING_HANDLER(children)
{
    int          i, status, err, good;
    char         text[128];
    const char  *by;

    by = async_query(req, "by").data;
    err = 0;
    good = 0;

    for (i = 0; i < 20; i++) {
        status = child_status(by);

        if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 3) {
            good++;

        } else {
            err = (status == -1) ? errno : 0;
        }
    }

    snprintf(text, sizeof(text), "%d%s%s", good, err ? ": " : "",
             err ? strerror(err) : "");

    return async_text(req, 200, text);
}


/* ---- a resource */

static void
release(async_t *co, void *arg)
{
    async_rc_t   rc;
    resource_t  *res = arg;
    async_str_t  var;

    rc = await_sleep(co, 1);
    var = async_var(res->req, "uri");

    async_log(res->req, ASYNC_LOG_NOTICE, "<released %s var %s await %s>",
              async_uri(res->req).data, var.data ? var.data : "absent",
              rc == ASYNC_OK ? "ok" : async_error(co));

    free(res);
}


static async_rc_t
acquire(async_t *co, void *arg)
{
    resource_t  *res = arg;

    ASYNC_TRY(async_defer(co, release, res));

    note(res->req, "acquired");

    return (res->ms == 0) ? ASYNC_OK : await_sleep(co, res->ms);
}


/* ?ms= for the call, ?until=cancelled for the thread */

BLOCKING_HANDLER(uses)
{
    int64_t      ms;
    resource_t  *res;

    ASYNC_TRY(async_query_int_or(req, "ms", &ms, 0));

    res = malloc(sizeof(resource_t));
    res->req = req;
    res->ms = ms;

    if (async_call(req, acquire, res) != ASYNC_OK && ms == 0) {
        return ASYNC_ERROR;
    }

    if (async_query(req, "until").data) {
        while (!async_cancelled(req)) {
            usleep(1000);
        }
    }

    /* who releases too early has time to do so */
    usleep(100000);

    note(req, res->ms == ms ? "used" : "used what is gone");

    return async_text(req, 200, "used\n");
}


/* ---- hooks */

ASYNC_STARTUP(first)
{
    usleep(task_number(co, "startup_hold") * 1000);
    task_note(co, "first");

    return ASYNC_OK;
}


ASYNC_STARTUP(second)
{
    ASYNC_TRY(await_sleep(co, 1));
    task_note(co, "second");

    return ASYNC_OK;
}


ASYNC_SHUTDOWN(down)
{
    int  i;

    task_note(co, "down begins");

    if (task_number(co, "talk")) {
        atomic_store(&holds, 1);

        for (i = 0; i < 1000 && !atomic_load(&talked); i++) {
            usleep(1000);
        }

    } else {
        ASYNC_TRY(await_sleep(co, task_number(co, "down")));
    }

    task_note(co, "down ends");

    return ASYNC_OK;
}


ASYNC_SHUTDOWN(last)
{
    task_note(co, "last");

    return ASYNC_OK;
}
