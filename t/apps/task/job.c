
/*
 * How handlers of t/task.t note what they see, and what their children do.
 */

#include "task.h"
#include <stdio.h>


const char *
name_of(async_rc_t rc)
{
    static const char  *names[] = {
        "ok", "error", "timeout", "cancelled", "closed", "busy", "invalid"
    };

    return names[-rc];
}


void
put(out_t *out, const char *text)
{
    out->len += (size_t) snprintf(out->text + out->len,
                                  sizeof(out->text) - out->len, "%s", text);
}


/* "ok", or "timeout: the cause", and an end of line */

void
tell(out_t *out, const char *what, async_rc_t rc, const char *error)
{
    put(out, what);
    put(out, *what ? " " : "");
    put(out, name_of(rc));

    if (rc != ASYNC_OK) {
        put(out, ": ");
        put(out, error ? error : "NULL");
    }

    put(out, "\n");
}


/* the same of an await of the caller */

void
answer(async_t *co, out_t *out, const char *what, async_rc_t rc)
{
    tell(out, what, rc, async_error(co));
}


async_rc_t
fail(async_t *co, int number)
{
    return async_task_fail(co, ASYNC_ERROR, "failed with %d", number);
}


async_rc_t
fails_arg(async_t *co, void *arg)
{
    return fail(co, *(int *) arg);
}


async_rc_t
naps(async_t *co, void *arg)
{
    return await_sleep(co, *(int64_t *) arg);
}


/* Jobs */

static void
cleanup(async_t *co, void *arg)
{
    async_rc_t  rc = await_sleep(co, 20);

    say(co, "%s cleaned %s>", ((job_t *) arg)->name, name_of(rc));
}


async_rc_t
run(async_t *co, void *arg)
{
    job_t       *job = arg;
    async_rc_t   rc;

    if (!job->silent) {
        say(co, "%s begins>", job->name);
    }

    if (job->defers) {
        ASYNC_TRY(async_defer(co, cleanup, job));
    }

    rc = job->ms ? await_sleep(co, job->ms) : ASYNC_OK;

    if (rc == ASYNC_OK && job->fails) {
        return fail(co, job->fails);
    }

    if (!job->silent) {
        say(co, "%s %s%s%s>", job->name, name_of(rc),
            rc == ASYNC_OK ? "" : ": ", rc == ASYNC_OK ? "" : async_error(co));
    }

    return job->keeps ? ASYNC_OK : rc;
}
