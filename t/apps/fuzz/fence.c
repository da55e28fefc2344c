
/*
 * A fence between what threads have done and what comes: each thread of each
 * pool is in a job at the same moment, so that no other job is anywhere,
 * neither queued nor about to begin.  Then what was left open is judged.
 */

#include "fuzz.h"
#include <malloc.h>
#include <unistd.h>


/* what the end of a job posts may post another one */
#define ROUNDS  4

/* 20 s, in steps of 0.1 ms */
#define STEPS   200000


/* of the threads of this round that have come */
static int  arrived;


static async_rc_t
arrive(void *arg)
{
    int  i, all = *(int *) arg;

    (void) __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);

    for (i = 0; i < STEPS; i++) {

        if (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) >= all) {
            return ASYNC_OK;
        }

        (void) usleep(100);
    }

    return async_thread_fail(ASYNC_ERROR, "a thread does not come");
}


static async_rc_t
in_default(async_t *co, void *arg)
{
    return await_thread(co, NULL, arrive, (int *) arg);
}


static async_rc_t
in_few(async_t *co, void *arg)
{
    return await_thread(co, "few", arrive, (int *) arg);
}


/* as malloc() knows it; zero where it does not tell */

size_t
bytes_in_use(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    return mallinfo2().uordblks;
#else
    return 0;
#endif
}


ASYNC_HANDLER(fence)
{
    int           i, k, open, all = THREADS + FEW_THREADS;
    async_work_t  work[THREADS + FEW_THREADS];

    for (i = 0; i < ROUNDS; i++) {
        arrived = 0;

        for (k = 0; k < all; k++) {
            work[k].fn = k < THREADS ? in_default : in_few;
            work[k].arg = &all;
        }

        ASYNC_TRY(await_all(co, work, (size_t) all));
    }

    threads_check();
    files_check(async_param(req, "files").data);
    folders_check(async_param(req, "files").data);

    open = open_below(async_param(req, "files").data);
    expect_of(open == 0, ((origin_t) { 0, 0, 0 }), "%d files are open", open);

    return async_empty(req, 204);
}
