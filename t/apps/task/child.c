
/*
 * Children, one by one and several at once: spawned, joined, waited for,
 * cancelled.
 */

#include "task.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/*
 * ?jobs=a100,b50!7,c0d: names, times, and of those that fail the number; "d":
 * defers, "k": keeps
 */

static size_t
jobs_of(async_req_t *req, job_t *jobs, size_t max)
{
    char         *end;
    size_t        n;
    const char   *p;

    memset(jobs, 0, max * sizeof(job_t));

    p = async_query(req, "jobs").data;

    for (n = 0; p && *p && n < max; n++) {
        jobs[n].name[0] = *p;
        jobs[n].ms = strtoll(p + 1, &end, 10);

        if (*end == '!') {
            jobs[n].fails = (int) strtol(end + 1, &end, 10);
        }

        for ( /* void */ ; *end && *end != ','; end++) {
            jobs[n].defers |= (*end == 'd');
            jobs[n].keeps |= (*end == 'k');
        }

        p = *end ? end + 1 : end;
    }

    return n;
}


/* ?how=all|gather|any&jobs= */

ASYNC_HANDLER(many)
{
    int            winner;
    out_t          out = { "", 0 };
    job_t          jobs[8];
    size_t         i, n;
    async_rc_t     rc;
    const char    *how;
    async_work_t   work[8];

    how = async_query(req, "how").data;
    n = jobs_of(req, jobs, 8);
    winner = 99;

    for (i = 0; i < n; i++) {
        work[i].fn = run;
        work[i].arg = &jobs[i];
        work[i].rc = ASYNC_INVALID;
        work[i].error = "none";
    }

    rc = strcmp(how, "all") == 0 ? await_all(co, work, n)
         : strcmp(how, "any") == 0 ? await_any(co, work, n, &winner)
         : await_gather(co, work, n);

    say(co, "%s %s%s%s>", how, name_of(rc), rc == ASYNC_OK ? "" : ": ",
        rc == ASYNC_OK ? "" : async_error(co));

    if (rc == ASYNC_CANCELLED || rc == ASYNC_TIMEOUT) {
        return rc;
    }

    answer(co, &out, how, rc);

    for (i = 0; i < n; i++) {
        if (work[i].rc == ASYNC_OK && work[i].error != NULL) {
            put(&out, "an error of one that is ok: ");
        }

        tell(&out, jobs[i].name, work[i].rc, work[i].error);
    }

    if (strcmp(how, "any") == 0) {
        snprintf(out.text + out.len, 32, "winner %d\n", winner);
    }

    return async_text(req, 200, out.text);
}


/* the same with async_spawn() and await_join() */

ASYNC_HANDLER(join)
{
    out_t           out = { "", 0 };
    job_t           jobs[8];
    size_t          i, n;
    async_rc_t      rc, last;
    async_child_t  *child[8];

    n = jobs_of(req, jobs, 8);
    last = ASYNC_OK;

    for (i = 0; i < n; i++) {
        child[i] = async_spawn(co, run, &jobs[i]);
    }

    say(co, "spawned>");

    for (i = 0; i < n; i++) {
        rc = await_join(co, child[i]);
        answer(co, &out, jobs[i].name, rc);
        last = rc ? rc : last;
    }

    say(co, "join %s%s%s>", name_of(last), last ? ": " : "",
        last ? async_error(co) : "");

    if (last == ASYNC_CANCELLED || last == ASYNC_TIMEOUT) {
        return last;
    }

    return async_text(req, 200, out.text);
}


/* three of them, and one letter a turn */

typedef struct {
    out_t       *out;
    const char  *letter;
} turn_t;


static async_rc_t
turns(async_t *co, void *arg)
{
    int      i;
    turn_t  *turn = arg;

    for (i = 0; i < 3; i++) {
        put(turn->out, turn->letter);
        ASYNC_TRY(await_yield(co));
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(interleave)
{
    out_t         out = { "", 0 };
    turn_t        turn[] = { { &out, "a" }, { &out, "b" }, { &out, "c" } };
    async_work_t  work[] = {
        { turns, &turn[0], ASYNC_OK, NULL },
        { turns, &turn[1], ASYNC_OK, NULL },
        { turns, &turn[2], ASYNC_OK, NULL }
    };

    ASYNC_TRY(await_all(co, work, 3));

    return async_text(req, 200, out.text);
}


/* one that has ended before, and a second await_ended() of it */

ASYNC_HANDLER(ended)
{
    out_t           out = { "", 0 };
    job_t           job = { .name = "a", .ms = 10, .fails = 7 };
    async_child_t  *child;

    child = async_spawn(co, run, &job);

    answer(co, &out, "ended", await_ended(co, child));
    answer(co, &out, "ended", await_ended(co, child));

    ASYNC_TRY(await_sleep(co, 1));

    answer(co, &out, "join", await_join(co, child));

    return async_text(req, 200, out.text);
}


/* a deadline that ends the waiting only */

ASYNC_HANDLER(ended_deadline)
{
    out_t           out = { "", 0 };
    job_t           job = { .name = "a", .ms = 300 };
    async_rc_t      rc;
    async_child_t  *child;

    child = async_spawn(co, run, &job);

    SCOPE {
        ASYNC_DEADLINE(co, 50);

        rc = await_ended(co, child);
        answer(co, &out, "ended", rc);
        say(co, "ended %s>", name_of(rc));
    }

    answer(co, &out, "join", await_join(co, child));

    return async_text(req, 200, out.text);
}


/* somebody else's child */

typedef struct {
    async_child_t  *child;
    out_t          *out;
} sibling_t;


static async_rc_t
joins_sibling(async_t *co, void *arg)
{
    sibling_t  *sibling = arg;

    answer(co, sibling->out, "ended", await_ended(co, sibling->child));
    answer(co, sibling->out, "join", await_join(co, sibling->child));

    return ASYNC_OK;
}


ASYNC_HANDLER(sibling)
{
    out_t           out = { "", 0 };
    job_t           job = { .name = "a", .ms = 50 };
    sibling_t       sibling = { NULL, &out };
    async_child_t  *other;

    sibling.child = async_spawn(co, run, &job);
    other = async_spawn(co, joins_sibling, &sibling);

    ASYNC_TRY(await_join(co, other));

    answer(co, &out, "parent", await_join(co, sibling.child));

    return async_text(req, 200, out.text);
}


/* as many as there may be, and one more */

ASYNC_HANDLER(too_many)
{
    int             n;
    out_t           out = { "", 0 };
    job_t           job = { .name = "a", .ms = 20 };
    async_rc_t      rc;
    async_child_t  *child[16];

    for (n = 0; n < 16; n++) {
        child[n] = async_spawn(co, run, &job);

        if (child[n] == NULL) {
            break;
        }
    }

    snprintf(out.text, sizeof(out.text), "%d, %s, ", n, async_error(co));
    out.len = strlen(out.text);

    rc = await_join(co, NULL);
    answer(co, &out, "join", rc);

    async_cancel(NULL);

    while (n--) {
        ASYNC_TRY(await_join(co, child[n]));
    }

    return async_text(req, 200, out.text);
}


ASYNC_HANDLER(ended_null)
{
    out_t  out = { "", 0 };

    answer(co, &out, "ended", await_ended(co, NULL));

    return async_text(req, 200, out.text);
}


/* ?when=before|waiting|after */

ASYNC_HANDLER(cancel)
{
    out_t           out = { "", 0 };
    job_t           job = { .name = "a", .ms = HOUR };
    const char     *when;
    async_child_t  *child;

    when = async_query(req, "when").data;

    if (strcmp(when, "after") == 0) {
        job.ms = 1;
    }

    child = async_spawn(co, run, &job);

    if (strcmp(when, "waiting") == 0) {
        ASYNC_TRY(await_sleep(co, 20));

    } else if (strcmp(when, "after") == 0) {
        ASYNC_TRY(await_ended(co, child));
    }

    async_cancel(child);
    async_cancel(child);
    say(co, "told>");

    answer(co, &out, "", await_join(co, child));
    answer(co, &out, "parent", await_sleep(co, 1));

    return async_text(req, 200, out.text);
}


/* three levels of three; ?ms= for which the leaves sleep */

typedef struct {
    int       depth;
    int64_t   ms;
    int      *leaves;
    int      *cancelled;
} tree_t;


static async_rc_t
tree(async_t *co, void *arg)
{
    int            i;
    tree_t        *t = arg, below[3];
    async_rc_t     rc;
    async_work_t   work[3];

    if (t->depth == 0) {
        ++*t->leaves;

        rc = await_sleep(co, t->ms);
        *t->cancelled += (rc == ASYNC_CANCELLED);

        return rc;
    }

    for (i = 0; i < 3; i++) {
        below[i] = *t;
        below[i].depth--;
        work[i] = (async_work_t) { tree, &below[i], ASYNC_OK, NULL };
    }

    return await_gather(co, work, 3);
}


ASYNC_HANDLER(nested)
{
    int         leaves, cancelled;
    char        text[64];
    tree_t      top = { 3, 0, &leaves, &cancelled };
    async_rc_t  rc;

    leaves = cancelled = 0;
    (void) async_query_int_or(req, "ms", &top.ms, 10);

    rc = tree(co, &top);
    say(co, "%s, %d of %d>", name_of(rc), cancelled, leaves);

    snprintf(text, sizeof(text), "%s %d\n", name_of(rc), leaves);

    return async_text(req, 200, text);
}


/* for util/async-run */

ASYNC_TASK(program)
{
    int            winner;
    job_t          a = { .name = "a", .ms = 10, .silent = 1 },
                   b = { .name = "b", .ms = HOUR, .silent = 1 };
    async_work_t   work[] = {
        { run, &b, ASYNC_OK, NULL }, { run, &a, ASYNC_OK, NULL }
    };

    ASYNC_TRY(await_any(co, work, 2, &winner));

    *(const char **) arg = winner == 1 ? "a has won" : "b has won";

    return ASYNC_OK;
}
