
/*
 * await_thread(), which ends when the thread has returned, or before: then the
 * argument is as it was, and what the thread does yet is noted in "work", which
 * is judged when all threads are at rest (fence.c).
 *
 * Threads go at their own pace, so that the model tells what is allowed:
 *
 *     it has returned in time    once begun, once ended, never told to stop
 *     refused before it began    never begun
 *     refused                    never begun, or begun once and ended, and told
 *                                if it has waited for that; what is queued is
 *                                skipped
 *     ASYNC_BUSY                 never begun; so many others wait
 */

#include "fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define WORDS  6

/* until it is told to stop: 10 s at most, in steps of 0.2 ms */
#define STEPS  50000


typedef enum {
    THREAD_RETURNS = 0,
    THREAD_SLEEPS,
    THREAD_UNTIL_TOLD
} thread_e;


struct work_s {
    work_t       *next;
    origin_t      origin;
    thread_e      how;
    int           never;                      /* it cannot have begun */
    int           left;                       /* when it was refused, or 0 */

    /* the thread's */
    int           late;                       /* it should not have begun */
    int           begun;
    int           ended;
    int           told;
};


/* the argument, of which the thread has a copy */

typedef struct {
    work_t       *work;
    int           us;
    int           told;
    async_rc_t    rc;
    uint64_t      in[WORDS];
    uint64_t      out[WORDS];
} job_t;


/* those whose await has been refused */
static work_t  *refused;

/* how many have been so far */
static int      moment;

/* awaits of the pool "few" just now */
static int      few;

/* as this thread has begun the job before */
static __thread int  begun_at;


static void
text_of(const job_t *job, char *text, size_t size)
{
    (void) snprintf(text, size, "%llx has failed with %d",
                    (unsigned long long) job->in[0], job->rc);
}


/*
 * One that is refused while it is queued is no thread's any more.  A thread may
 * just have taken it; but not if it has begun another one since.
 */

static void
begins(work_t *w)
{
    int  left = __atomic_load_n(&w->left, __ATOMIC_SEQ_CST);

    w->late = left && left <= begun_at;

    begun_at = __atomic_load_n(&moment, __ATOMIC_SEQ_CST);

    (void) __atomic_add_fetch(&w->begun, 1, __ATOMIC_SEQ_CST);
}


static async_rc_t
in_thread(void *arg)
{
    int      i;
    char     text[64];
    job_t   *job = arg;
    work_t  *w = job->work;

    begins(w);

    if (w->how == THREAD_SLEEPS) {
        (void) usleep((useconds_t) job->us);
    }

    for (i = 0; w->how == THREAD_UNTIL_TOLD && i < STEPS; i++) {

        if (async_thread_cancelled()) {
            break;
        }

        (void) usleep(200);
    }

    for (i = 0; i < WORDS; i++) {
        job->out[i] = seed_of(job->in[i], (uint64_t) i);
    }

    job->told = async_thread_cancelled();
    w->told = job->told;

    (void) __atomic_add_fetch(&w->ended, 1, __ATOMIC_SEQ_CST);

    if (job->rc != ASYNC_OK) {
        text_of(job, text, sizeof(text));
        return async_thread_fail(job->rc, "%s", text);
    }

    return ASYNC_OK;
}


static int
job_init(node_t *n, job_t *job)
{
    int  i;

    static const async_rc_t  codes[] = {
        ASYNC_OK, ASYNC_OK, ASYNC_OK, ASYNC_ERROR, ASYNC_CLOSED, ASYNC_INVALID
    };

    memset(job, 0, sizeof(job_t));

    job->work = calloc(1, sizeof(work_t));

    if (job->work == NULL) {
        return 0;
    }

    job->work->origin = origin_of(n);
    job->us = below(n, 400);
    job->rc = codes[below(n, 6)];

    for (i = 0; i < WORDS; i++) {
        job->in[i] = draw(&n->random);
        job->out[i] = ~job->in[i];
    }

    i = below(n, 32);

    job->work->how = i < 1 ? THREAD_UNTIL_TOLD : i < 8 ? THREAD_SLEEPS
                                                       : THREAD_RETURNS;

    return 1;
}


/* What the thread has made of the argument, if the await gives it. */

static void
returned(async_t *co, node_t *n, const job_t *job, const job_t *was,
    async_rc_t rc)
{
    int      i;
    char     text[64];
    work_t  *w = was->work;

    expect(w->begun == 1 && w->ended == 1, n, "await_thread: begun %d times, "
           "ended %d times", w->begun, w->ended);
    expect(w->how != THREAD_UNTIL_TOLD, n, "await_thread: it should go on");
    expect(!job->told, n, "await_thread: told to stop, and awaited");
    expect(rc == was->rc, n, "await_thread answers %s, and it has returned %s",
           name_of(rc), name_of(was->rc));
    expect(job->work == w && job->us == was->us && job->rc == was->rc
           && memcmp(job->in, was->in, sizeof(job->in)) == 0, n,
           "await_thread: another argument");

    for (i = 0; i < WORDS; i++) {
        expect(job->out[i] == seed_of(was->in[i], (uint64_t) i), n,
               "await_thread: no result");
    }

    if (rc != ASYNC_OK) {
        text_of(was, text, sizeof(text));
        expect(strcmp(async_error(co), text) == 0, n, "await_thread: %s",
               async_error(co));
    }

    counts.threads_returned++;

    free(w);
}


static void
as_it_was(node_t *n, const job_t *job, const job_t *was)
{
    expect(memcmp(job, was, sizeof(job_t)) == 0, n,
           "await_thread has been refused, and the argument changes");
}


/* Whether it has been refused, or as good as that. */

static int
await_of(async_t *co, node_t *n, job_t *job, const job_t *was, const char *pool)
{
    int         must = must_refuse(n), others = few, in_few = pool != NULL;
    work_t     *w = was->work;
    async_rc_t  rc;

    w->never = must || n->stuck != ASYNC_OK;

    few += in_few;
    rc = await_thread(co, pool, in_thread, job);
    few -= in_few;

    if (!is_refused(n, "await_thread", must, rc)) {

        if (rc != ASYNC_BUSY) {
            returned(co, n, job, was, rc);
            return 0;
        }

        expect(in_few && others >= FEW_QUEUE, n, "await_thread is busy with "
               "%d", others);
        w->never = 1;
    }

    as_it_was(n, job, was);

    __atomic_store_n(&w->left, moment + 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&moment, moment + 1, __ATOMIC_SEQ_CST);

    w->next = refused;
    refused = w;

    return 1;
}


static int
await_in_deadline(async_t *co, node_t *n, job_t *job, const job_t *was,
    const char *pool, int ms)
{
    ASYNC_DEADLINE(co, ms);

    return await_of(co, n, job, was, pool);
}


async_rc_t
do_thread(async_t *co, node_t *n)
{
    int          ms = below(n, 4), is_off;
    job_t        job, was;
    place_t      place = place_of(n);
    async_rc_t   rc;
    const char  *pool = below(n, 4) ? NULL : "few";

    if (!job_init(n, &job)) {
        return ASYNC_OK;
    }

    was = job;

    if (was.work->how == THREAD_UNTIL_TOLD || below(n, 3) == 0) {
        deadline_begins(n, ms);
        is_off = await_in_deadline(co, n, &job, &was, pool, ms);
        deadline_ends(n, place);

    } else {
        is_off = await_of(co, n, &job, &was, pool);
    }

    rc = n->stuck;

    if (is_off && below(n, 2)) {
        /* nobody wakes it a second time, or gives something after all */
        rc = do_vain(co, n);
        as_it_was(n, &job, &was);
    }

    return rc;
}


/* All threads are at rest. */

void
threads_check(void)
{
    work_t  *w;

    while ((w = refused) != NULL) {
        refused = w->next;

        expect_of(w->begun == w->ended && w->begun <= 1, w->origin, "a thread "
                  "has begun %d times, ended %d times", w->begun, w->ended);
        expect_of(!w->never || !w->begun, w->origin, "a thread has begun, "
                  "although it was refused");
        expect_of(!w->late, w->origin, "a thread has begun what it should have "
                  "skipped");
        expect_of(w->told || !w->ended || w->how != THREAD_UNTIL_TOLD,
                  w->origin, "a thread has not been told to stop");

        counts.threads_skipped += w->begun == 0;
        counts.threads_told += w->told;

        free(w);
    }

    expect_of(few == 0, ((origin_t) { 0, 0, 0 }), "%d in the pool \"few\"",
              few);
}
