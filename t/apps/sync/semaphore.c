
/*
 * Semaphores: the limit, released by others, and a crowd.
 */

#include "sync.h"


ASYNC_HANDLER(semaphore_limit)
{
    line_t  *l = line_of(req);

    l->semaphore.limit = number_of(req, "limit", 0);

    note(l, "%s", name_of(await_acquire(co, &l->semaphore)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(async_try_acquire(co, &l->semaphore)));
    note(l, "%s", name_of(async_release(co, &l->semaphore)));

    return answer(req, l);
}


ASYNC_HANDLER(semaphore_release)
{
    line_t  *l = line_of(req);

    note(l, "%s", name_of(async_release(co, &l->semaphore)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(await_acquire(co, &l->semaphore)));
    note(l, "%s", name_of(async_try_acquire(co, &l->semaphore)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(async_release(co, &l->semaphore)));
    note(l, "%s", name_of(async_release(co, &l->semaphore)));

    return answer(req, l);
}


typedef struct {
    line_t  *line;
    int      inside;
    int      most;
    int      done;
} crowd_t;


static async_rc_t
one_of_crowd(async_t *co, void *arg)
{
    crowd_t  *c = arg;

    ASYNC_TRY(await_acquire(co, &c->line->semaphore));

    c->inside++;
    c->most = c->inside > c->most ? c->inside : c->most;

    ASYNC_TRY(yields(co, 3));

    c->inside--;
    c->done++;

    return async_release(co, &c->line->semaphore);
}


ASYNC_HANDLER(semaphore_crowd)
{
    int            i;
    line_t        *l = line_of(req);
    crowd_t        c = { l, 0, 0, 0 };
    async_work_t   work[20];

    static async_semaphore_t  three = ASYNC_SEMAPHORE(3);

    l->semaphore = three;

    for (i = 0; i < 20; i++) {
        work[i].fn = one_of_crowd;
        work[i].arg = &c;
    }

    ASYNC_TRY(await_all(co, work, 20));

    note(l, "%d done, %d at most", c.done, c.most);

    return answer(req, l);
}


static async_rc_t
releases(async_t *co, void *arg)
{
    line_t  *l = arg;

    note(l, "%s", name_of(async_release(co, &l->semaphore)));

    return ASYNC_OK;
}


ASYNC_HANDLER(semaphore_other)
{
    line_t  *l = line_of(req);

    ASYNC_TRY(await_acquire(co, &l->semaphore));
    ASYNC_TRY(await_join(co, async_spawn(co, releases, l)));
    note(l, "%s", state_of(co, l));

    return answer(req, l);
}
