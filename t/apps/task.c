
/*
 * Handlers of t/task.t: child tasks and scopes.  What happens in which order
 * is noted in the log, in angle brackets; a code is noted as tell() puts it.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define HOUR  3600000

#define say(co, ...)  async_task_log(co, ASYNC_LOG_NOTICE, "<" __VA_ARGS__)

/* a block in the middle of a function, that a scope may end with */
#define SCOPE  for (int once_ = 1; once_; once_ = 0)


static const char *
name_of(async_rc_t rc)
{
    static const char  *names[] = {
        "ok", "error", "timeout", "cancelled", "closed", "busy", "invalid"
    };

    return names[-rc];
}


typedef struct {
    char         text[4096];
    size_t       len;
} out_t;


static void
put(out_t *out, const char *text)
{
    out->len += (size_t) snprintf(out->text + out->len,
                                  sizeof(out->text) - out->len, "%s", text);
}


/* "ok", or "timeout: the cause", and an end of line */

static void
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

static void
answer(async_t *co, out_t *out, const char *what, async_rc_t rc)
{
    tell(out, what, rc, async_error(co));
}


/* Jobs: what a child does */

typedef struct {
    char         name[8];
    int64_t      ms;           /* for which it sleeps */
    int          fails;        /* then, and with this number in its error */
    int          defers;       /* a cleanup that awaits */
    int          keeps;        /* answers ASYNC_OK although it is cancelled */
    int          silent;
} job_t;


static async_rc_t
fail(async_t *co, int number)
{
    return async_task_fail(co, ASYNC_ERROR, "failed with %d", number);
}


static void
cleanup(async_t *co, void *arg)
{
    async_rc_t  rc = await_sleep(co, 20);

    say(co, "%s cleaned %s>", ((job_t *) arg)->name, name_of(rc));
}


static async_rc_t
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


/* What is on the stack of a function that returns too early */

typedef struct {
    unsigned char  bytes[512];
    const char    *name;
} frame_t;


static void
frame_fill(frame_t *frame, const char *name)
{
    size_t  i;

    for (i = 0; i < sizeof(frame->bytes); i++) {
        frame->bytes[i] = (unsigned char) (i * 7);
    }

    frame->name = name;
}


static int
frame_is_intact(frame_t *frame)
{
    size_t  i;

    for (i = 0; i < sizeof(frame->bytes); i++) {
        if (frame->bytes[i] != (unsigned char) (i * 7)) {
            return 0;
        }
    }

    return 1;
}


static void
frame_cleanup(async_t *co, void *arg)
{
    int          intact;
    frame_t     *frame = arg;
    async_rc_t   rc;

    intact = frame_is_intact(frame);

    frame_fill(frame, frame->name);
    rc = await_sleep(co, 20);

    say(co, "cleaned %s %s>", name_of(rc),
        intact && frame_is_intact(frame) ? "intact" : "overwritten");
}


static async_rc_t
frame_user(async_t *co, void *arg)
{
    async_rc_t  rc;

    ASYNC_TRY(async_defer(co, frame_cleanup, arg));

    rc = await_sleep(co, HOUR);
    say(co, "%s: %s>", name_of(rc), async_error(co));

    return rc;
}


/* ?early=1: before it has awaited, so that the child has not begun */

ASYNC_HANDLER(unjoined)
{
    frame_t  frame;

    frame_fill(&frame, "unjoined");

    (void) async_spawn(co, frame_user, &frame);    /* of unjoined */

    if (async_query(req, "early").data == NULL) {
        ASYNC_TRY(await_sleep(co, 10));
    }

    if (async_query(req, "fails").data) {
        ASYNC_TRY(fail(co, 7));
    }

    if (async_query(req, "file").data) {
        return async_file(req, 200, "html/file");
    }

    return async_text(req, 200, "unjoined\n");
}


/* one that has ended */

ASYNC_HANDLER(forgotten)
{
    job_t           job = { .name = "a" };
    async_child_t  *child;

    child = async_spawn(co, run, &job);            /* of forgotten */

    ASYNC_TRY(await_ended(co, child));

    return async_text(req, 200, "forgotten\n");
}


static async_rc_t
leaves_group(async_t *co, void *arg)
{
    frame_t  frame;

    ASYNC_GROUP(co);

    frame_fill(&frame, arg);

    (void) async_spawn(co, frame_user, &frame);

    ASYNC_TRY(await_sleep(co, 10));
    ASYNC_TRY(fail(co, 7));

    return ASYNC_OK;
}


/* ... and the ones before it are left alone */

ASYNC_HANDLER(group)
{
    out_t           out = { "", 0 };
    job_t           job = { .name = "a", .ms = 1000 };
    async_child_t  *child;

    child = async_spawn(co, run, &job);

    answer(co, &out, "group", leaves_group(co, "group"));
    say(co, "left>");
    answer(co, &out, "before", await_join(co, child));

    return async_text(req, 200, out.text);
}


static async_rc_t
has_child(async_t *co, void *arg)
{
    frame_t  frame;

    frame_fill(&frame, arg);

    (void) async_spawn(co, frame_user, &frame);    /* of a child */

    return await_sleep(co, 10);
}


ASYNC_HANDLER(grandchild)
{
    async_child_t  *child;

    child = async_spawn(co, has_child, "grandchild");

    ASYNC_TRY(await_join(co, child));
    say(co, "joined>");

    return async_text(req, 200, "grandchild\n");
}


/* Where else there may be children */

static void
spawning_cleanup(async_t *co, void *arg)
{
    async_rc_t  rc;

    rc = await_join(co, async_spawn(co, run, arg));
    say(co, "cleanup %s>", name_of(rc));
}


static void
careless_cleanup(async_t *co, void *arg)
{
    (void) async_spawn(co, run, arg);              /* of a cleanup */
}


static void
frame_leaver(async_t *co, void *arg)
{
    (void) has_child(co, arg);
}


/* ?then=sleep|careless|frame */

ASYNC_HANDLER(in_cleanup)
{
    async_str_t   then;

    static job_t  job = { .name = "a", .ms = 50 };
    static job_t  hangs = { .name = "b", .ms = HOUR };

    then = async_query(req, "then");

    if (then.data && strcmp(then.data, "careless") == 0) {
        ASYNC_TRY(async_defer(co, careless_cleanup, &hangs));
        return async_text(req, 200, "careless\n");
    }

    if (then.data && strcmp(then.data, "frame") == 0) {
        ASYNC_TRY(async_defer(co, spawning_cleanup, &job));
        ASYNC_TRY(async_defer(co, frame_leaver, (void *) "cleanup"));
        return async_text(req, 200, "frame\n");
    }

    ASYNC_TRY(async_defer(co, spawning_cleanup, &job));

    if (then.data) {
        say(co, "asleep>");
        ASYNC_TRY(await_sleep(co, HOUR));
    }

    return async_text(req, 200, "cleanup\n");
}


static async_rc_t
called(async_t *co, void *arg)
{
    async_rc_t  rc;

    rc = await_join(co, async_spawn(co, run, arg));
    say(co, "call %s>", name_of(rc));

    return rc;
}


BLOCKING_HANDLER(thread)
{
    job_t        job = { .name = "a", .ms = 20 };
    async_str_t  ms;

    ms = async_query(req, "ms");
    job.ms = ms.data ? atoi(ms.data) : job.ms;

    ASYNC_TRY(async_call(req, called, &job));

    return async_text(req, 200, "thread\n");
}


BLOCKING_HANDLER(thread_unjoined)
{
    ASYNC_TRY(async_call(req, has_child, (void *) "thread"));

    async_log(req, ASYNC_LOG_NOTICE, "<called>");

    return async_text(req, 200, "thread\n");
}


ASYNC_STARTUP(begin)
{
    int            winner;
    job_t          a = { .name = "a", .ms = 10 };
    job_t          b = { .name = "b", .ms = HOUR };
    async_work_t   work[] = {
        { run, &b, ASYNC_OK, NULL }, { run, &a, ASYNC_OK, NULL }
    };

    if (async_task_param(co, "startup").data) {
        ASYNC_TRY(await_any(co, work, 2, &winner));
        say(co, "winner %d>", winner);
    }

    return ASYNC_OK;
}


/* Deadlines */

static async_rc_t
naps(async_t *co, void *arg)
{
    return await_sleep(co, *(int64_t *) arg);
}


ASYNC_HANDLER(deadline)
{
    int64_t  ms;
    out_t    out = { "", 0 };

    (void) async_query_int_or(req, "ms", &ms, 50);

    SCOPE {
        ASYNC_DEADLINE(co, ms);                    /* the deadline */

        answer(co, &out, "sleep", await_sleep(co, HOUR));
        answer(co, &out, "yield", await_yield(co));
    }

    answer(co, &out, "after", await_sleep(co, 10));

    return async_text(req, 200, out.text);
}


/* returns with what the block has answered */

ASYNC_HANDLER(deadline_out)
{
    int64_t  ms;

    (void) async_query_int_or(req, "ms", &ms, 50);

    ASYNC_DEADLINE(co, ms);                        /* the way out */

    ASYNC_TRY(await_sleep(co, HOUR));

    return async_text(req, 200, "slept\n");
}


ASYNC_HANDLER(deadline_kept)
{
    out_t  out = { "", 0 };

    SCOPE {
        ASYNC_DEADLINE(co, 300);

        answer(co, &out, "inside", await_sleep(co, 10));
    }

    answer(co, &out, "after", await_sleep(co, 400));

    return async_text(req, 200, out.text);
}


/* ?outer=&inner= in ms */

ASYNC_HANDLER(deadlines)
{
    int64_t  outer, inner;
    out_t    out = { "", 0 };

    (void) async_query_int_or(req, "outer", &outer, 0);
    (void) async_query_int_or(req, "inner", &inner, 0);

    SCOPE {
        ASYNC_DEADLINE(co, outer);                 /* the outer one */

        SCOPE {
            ASYNC_DEADLINE(co, inner);             /* the inner one */

            answer(co, &out, "in both", await_sleep(co, HOUR));
        }

        answer(co, &out, "in one", await_sleep(co, HOUR));
    }

    answer(co, &out, "after", await_sleep(co, 10));

    return async_text(req, 200, out.text);
}


/* blocks whose deadline has passed, one after another, until /told */

static int  told_to_stop;


ASYNC_HANDLER(deadline_loop)
{
    async_rc_t  rc;

    told_to_stop = 0;
    say(co, "loops>");

    while (!told_to_stop) {
        ASYNC_DEADLINE(co, 0);

        rc = await_sleep(co, HOUR);                /* in the loop */

        if (rc != ASYNC_TIMEOUT) {
            return rc;
        }
    }

    return async_text(req, 200, "told\n");
}


/* the same, each with a wait before it, so that nothing is to be slowed down */

ASYNC_HANDLER(deadline_turns)
{
    int  n;

    for (n = 0; n < 3000; n++) {
        ASYNC_TRY(await_yield(co));

        SCOPE {
            ASYNC_DEADLINE(co, 0);

            if (await_sleep(co, HOUR) != ASYNC_TIMEOUT) {
                return ASYNC_ERROR;
            }
        }
    }

    return async_text(req, 200, "turned\n");
}


ASYNC_HANDLER(told)
{
    told_to_stop = 1;

    return async_text(req, 200, "told\n");
}


/* one that is spawned inside, and joined there or after it */

ASYNC_HANDLER(deadline_child)
{
    out_t           out = { "", 0 };
    job_t           a = { .name = "a", .ms = HOUR },
                    b = { .name = "b", .ms = HOUR },
                    c = { .name = "c", .ms = 200 };
    async_child_t  *first, *second, *before;

    before = async_spawn(co, run, &c);

    SCOPE {
        ASYNC_DEADLINE(co, 50);

        first = async_spawn(co, run, &a);
        second = async_spawn(co, run, &b);

        answer(co, &out, "inside", await_join(co, first));
    }

    answer(co, &out, "outside", await_join(co, second));
    answer(co, &out, "before", await_join(co, before));

    return async_text(req, 200, out.text);
}


/* of children that are spawned when it has passed, one joined after its end */

ASYNC_HANDLER(deadline_late)
{
    out_t           out = { "", 0 };
    job_t           job = { .name = "a" };
    async_child_t  *late = NULL;

    SCOPE {
        int64_t  ms;

        (void) async_query_int_or(req, "ms", &ms, 0);

        ASYNC_DEADLINE(co, ms);                    /* the late one */

        answer(co, &out, "sleep", await_sleep(co, HOUR));
        answer(co, &out, "child", await_join(co, async_spawn(co, run, &job)));

        late = async_spawn(co, run, &job);
    }

    answer(co, &out, "late", await_join(co, late));
    answer(co, &out, "after", await_join(co, async_spawn(co, run, &job)));

    return async_text(req, 200, out.text);
}


/* the client leaves when a deadline has passed, and before its block ends */

ASYNC_HANDLER(deadline_left)
{
    int64_t     ms = 1200;
    async_rc_t  rc;

    SCOPE {
        ASYNC_DEADLINE(co, 0);

        rc = await_sleep(co, HOUR);
        say(co, "%s>", name_of(rc));

        rc = await_shield(co, HOUR, naps, &ms);
        say(co, "shield %s>", name_of(rc));

        rc = await_sleep(co, HOUR);
        say(co, "inside %s>", name_of(rc));
    }

    rc = await_sleep(co, HOUR);
    say(co, "after %s: %s>", name_of(rc), async_error(co));

    return rc;
}


static async_rc_t
fails_arg(async_t *co, void *arg)
{
    return fail(co, *(int *) arg);
}


ASYNC_HANDLER(within)
{
    int      number = 7;
    out_t    out = { "", 0 };
    int64_t  shortly = 1, hour = HOUR;

    answer(co, &out, "ok", await_within(co, 5000, naps, &shortly));
    answer(co, &out, "fails", await_within(co, 5000, fails_arg, &number));
    answer(co, &out, "late", await_within(co, 50, naps, &hour));
    answer(co, &out, "zero", await_within(co, 0, naps, &hour));
    answer(co, &out, "after", await_sleep(co, 10));

    return async_text(req, 200, out.text);
}


/* a child whose cleanup is not bound by the deadline of its parent */

ASYNC_HANDLER(deadline_cleanup)
{
    out_t  out = { "", 0 };
    job_t  job = { .name = "a", .ms = HOUR, .defers = 1 };

    SCOPE {
        ASYNC_DEADLINE(co, 50);                    /* with a cleanup */

        answer(co, &out, "join", await_join(co, async_spawn(co, run, &job)));
    }

    return async_text(req, 200, out.text);
}


/* Shields */

/* ?ms= for which it is shielded, ?nap= for which it sleeps there */

ASYNC_HANDLER(shield)
{
    int64_t     ms, nap;
    async_rc_t  rc;
    out_t       out = { "", 0 };

    (void) async_query_int_or(req, "ms", &ms, 5000);
    (void) async_query_int_or(req, "nap", &nap, 1200);

    SCOPE {
        ASYNC_SHIELD(co, ms);                      /* the shield */

        say(co, "shielded>");
        rc = await_sleep(co, nap);
        say(co, "shield %s>", name_of(rc));
        answer(co, &out, "inside", rc);
    }

    rc = await_sleep(co, 10);
    say(co, "after %s%s%s>", name_of(rc), rc ? ": " : "",
        rc ? async_error(co) : "");
    answer(co, &out, "after", rc);

    return rc ? rc : async_text(req, 200, out.text);
}


ASYNC_HANDLER(shield_call)
{
    int64_t     hour = HOUR, ms = 1200;
    async_rc_t  rc;
    out_t       out = { "", 0 };

    answer(co, &out, "late", await_shield(co, 50, naps, &hour));

    say(co, "asleep>");
    rc = await_shield(co, 5000, naps, &ms);
    say(co, "shield %s>", name_of(rc));
    answer(co, &out, "ok", rc);

    rc = await_sleep(co, 1);
    say(co, "after %s>", name_of(rc));

    return rc ? rc : async_text(req, 200, out.text);
}


/* children from before, and from inside */

ASYNC_HANDLER(shield_children)
{
    job_t           a = { .name = "a", .ms = HOUR },
                    b = { .name = "b", .ms = 1200 },
                    c = { .name = "c", .ms = HOUR };
    async_rc_t      rc;
    async_child_t  *before, *inside, *longer;

    before = async_spawn(co, run, &a);

    SCOPE {
        ASYNC_SHIELD(co, HOUR);

        inside = async_spawn(co, run, &b);
        longer = async_spawn(co, run, &c);

        rc = await_join(co, inside);
        say(co, "inside %s>", name_of(rc));
    }

    rc = await_join(co, longer);
    say(co, "longer %s>", name_of(rc));

    rc = await_join(co, before);
    say(co, "before %s>", name_of(rc));

    return await_sleep(co, 1);
}


/* Memory */

static void *
filled(async_t *co, size_t size, int byte)
{
    void  *p = async_task_alloc(co, size);

    return p ? memset(p, byte, size) : NULL;
}


static int
is_filled(const void *p, size_t size, int byte)
{
    size_t  i;

    for (i = 0; i < size; i++) {
        if (((const unsigned char *) p)[i] != byte) {
            return 0;
        }
    }

    return 1;
}


/* ?turns= of 10 kB each */

ASYNC_HANDLER(memory)
{
    int       ok;
    char     *small, *large;
    int64_t   i, turns;

    (void) async_query_int_or(req, "turns", &turns, 0);

    ok = 1;
    small = filled(co, 100, 'a');
    large = filled(co, 100000, 'b');

    for (i = 0; i < turns; i++) {
        ASYNC_MEMORY(co);

        ok &= filled(co, 10000, 'c') != NULL;
        ok &= (uintptr_t) async_task_alloc(co, 1) % _Alignof(max_align_t) == 0;

        if (i % 1000 == 0) {
            ASYNC_TRY(await_yield(co));
        }
    }

    ok &= is_filled(small, 100, 'a') && is_filled(large, 100000, 'b');

    return async_text(req, 200, ok ? "intact\n" : "not intact\n");
}


/* uses the memory of the block to its end */

static void
memory_cleanup(async_t *co, void *arg)
{
    async_rc_t  rc = await_sleep(co, 20);

    say(co, "cleaned %s %s>", name_of(rc),
        is_filled(arg, 10000, 'd') ? "intact" : "overwritten");
}


static async_rc_t
memory_user(async_t *co, void *arg)
{
    ASYNC_TRY(async_defer(co, memory_cleanup, arg));

    return await_sleep(co, HOUR);
}


static async_rc_t
memory_giver(async_t *co, void *arg)
{
    ASYNC_TRY(await_yield(co));

    *(void **) arg = filled(co, 10000, 'e');

    return ASYNC_OK;
}


ASYNC_HANDLER(memory_children)
{
    void  *given;

    SCOPE {
        ASYNC_MEMORY(co);

        (void) async_spawn(co, memory_user, filled(co, 10000, 'd'));

        ASYNC_TRY(await_join(co, async_spawn(co, memory_giver, &given)));

        say(co, "given %s>", is_filled(given, 10000, 'e') ? "intact"
                                                          : "overwritten");
    }

    say(co, "left>");

    return async_text(req, 200, "children\n");
}


/* what is given to the response, and had from the request, in a block */

ASYNC_HANDLER(memory_response)
{
    char         *text;
    async_str_t   body, again;

    SCOPE {
        ASYNC_MEMORY(co);

        ASYNC_TRY(await_body(co, req, &body));

        text = filled(co, 100001, 'x');
        text[100000] = '\0';

        ASYNC_TRY(async_set_header(req, "X-Text", text + 99900));
        ASYNC_TRY(async_text(req, 200, text));

        memset(text, 'y', 100000);
    }

    (void) filled(co, 100001, 'z');

    ASYNC_TRY(await_body(co, req, &again));

    say(co, "%.*s, %s>", (int) again.len, again.data,
        again.data == body.data ? "the same" : "another");

    return ASYNC_OK;
}


/* nested blocks, left in the middle */

static async_rc_t
memory_leaver(async_t *co, void *arg)
{
    char  *p;

    ASYNC_MEMORY(co);

    p = filled(co, 5000, 'f');

    SCOPE {
        ASYNC_MEMORY(co);

        (void) filled(co, 5000, 'g');
    }

    *(int *) arg = is_filled(p, 5000, 'f');

    return fail(co, 7);
}


ASYNC_HANDLER(memory_nested)
{
    int    ok;
    char  *p;
    out_t  out = { "", 0 };

    p = filled(co, 5000, 'h');

    answer(co, &out, "left", memory_leaver(co, &ok));
    put(&out, ok && is_filled(p, 5000, 'h') ? "intact\n" : "not intact\n");

    return async_text(req, 200, out.text);
}


/* The request, used by a child */

static async_rc_t
reads(async_t *co, void *arg)
{
    async_rc_t    rc;
    async_str_t   body;
    async_req_t  *req = arg;

    say(co, "reads>");

    rc = await_body(co, req, &body);
    say(co, "body %s%s%s>", name_of(rc), rc ? ": " : "",
        rc ? async_error(co) : "");

    return rc;
}


ASYNC_HANDLER(body)
{
    async_rc_t   rc;
    async_str_t  body;

    rc = await_join(co, async_spawn(co, reads, req));
    say(co, "join %s>", name_of(rc));
    ASYNC_TRY(rc);

    ASYNC_TRY(await_body(co, req, &body));

    if (async_query(req, "stays").data) {
        say(co, "stays>");
        rc = await_sleep(co, HOUR);
        say(co, "left %s>", name_of(rc));
        return rc;
    }

    return async_text(req, 200, body.data);
}


/* two at once */

ASYNC_HANDLER(body_twice)
{
    out_t         out = { "", 0 };
    async_work_t  work[] = {
        { reads, req, ASYNC_OK, NULL }, { reads, req, ASYNC_OK, NULL }
    };

    ASYNC_TRY(await_gather(co, work, 2));

    tell(&out, "first", work[0].rc, work[0].error);
    tell(&out, "second", work[1].rc, work[1].error);

    return async_text(req, 200, out.text);
}


static async_rc_t
answers(async_t *co, void *arg)
{
    json_t       *value;
    async_req_t  *req = arg;

    ASYNC_TRY(await_json(co, req, &value));

    return async_json(req, 201, json_pack("{s:O}", "given", value));
}


ASYNC_HANDLER(json)
{
    return await_join(co, async_spawn(co, answers, req));
}


/* awaits on the task of its parent */

static async_rc_t
impostor(async_t *co, void *arg)
{
    (void) co;

    return await_sleep(arg, 1);                    /* of the parent */
}


ASYNC_HANDLER(misplaced)
{
    ASYNC_TRY(await_join(co, async_spawn(co, impostor, co)));

    return async_text(req, 200, "not noticed\n");
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}


/* Failures of one's own */

static async_rc_t
fails_around(async_t *co, void *arg)
{
    int  number = *(int *) arg;

    ASYNC_TRY(await_sleep(co, 1));

    if (fail(co, number) != ASYNC_OK) {
        return async_task_fail(co, ASYNC_BUSY, "busy, as it %s",
                               async_error(co));
    }

    return ASYNC_OK;
}


static async_rc_t
fails_badly(async_t *co, void *arg)
{
    size_t  i;
    char    text[4000];

    for (i = 0; i < sizeof(text) - 1; i++) {
        text[i] = (char) ('a' + i % 26);
    }

    text[i] = '\0';

    return async_task_fail(co, ASYNC_ERROR, "one\ntwo\033%s%s", (char *) arg,
                           text);
}


/* a cleanup's own is not the task's */

static void
failing_cleanup(async_t *co, void *arg)
{
    (void) fail(co, *(int *) arg);
}


static async_rc_t
fails_after(async_t *co, void *arg)
{
    static int  other = 8;

    ASYNC_TRY(async_defer(co, failing_cleanup, &other));

    return fail(co, *(int *) arg);
}


ASYNC_HANDLER(own)
{
    int           number = 7;
    out_t         out = { "", 0 };
    async_rc_t    rc;
    async_work_t  work[] = { { fails_around, &number, ASYNC_OK, NULL },
                             { fails_after, &number, ASYNC_OK, NULL } };

    answer(co, &out, "call", fails_arg(co, &number));
    answer(co, &out, "child", await_join(co, async_spawn(co, fails_around,
                                                         &number)));
    answer(co, &out, "cleanup", await_join(co, async_spawn(co, fails_after,
                                                           &number)));
    answer(co, &out, "badly", await_join(co, async_spawn(co, fails_badly,
                                                         (void *) "\x7f")));

    rc = await_gather(co, work, 2);
    answer(co, &out, "gather", rc);
    tell(&out, "first", work[0].rc, work[0].error);
    tell(&out, "second", work[1].rc, work[1].error);

    answer(co, &out, "all", await_all(co, work, 2));
    answer(co, &out, "as it was", async_task_fail(co, ASYNC_OK, "nothing"));

    return async_text(req, 200, out.text);
}


/* ends with it, and leaves a background task that does so, too */

ASYNC_HANDLER(own_end)
{
    int  number = 9;

    if (async_query(req, "background").data) {
        ASYNC_TRY(async_background(req, fails_arg, &number));
        return async_text(req, 200, "later\n");
    }

    return fail(co, number);
}


BLOCKING_HANDLER(own_call)
{
    int          number = 7;
    char         text[256];
    async_rc_t   rc;

    rc = async_call(req, fails_around, &number);

    snprintf(text, sizeof(text), "%s: %s\n", name_of(rc),
             async_req_error(req));

    return async_text(req, 200, text);
}


ASYNC_PERIODIC(own_period)
{
    return fail(co, 11);
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
