
/*
 * Queues: the bound, the order, the end.
 */

#include "sync.h"
#include <string.h>


static async_rc_t
puts_five(async_t *co, void *arg)
{
    int      i;
    line_t  *l = arg;

    for (i = 0; i < 5; i++) {
        ASYNC_TRY(await_put(co, &l->queue, &numbers[i]));
        note(l, "put%d", i);
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(queue_bound)
{
    int             i;
    void           *item;
    line_t         *l = line_of(req);
    async_child_t  *child;

    child = async_spawn(co, puts_five, l);
    ASYNC_TRY(yields(co, 3));
    note(l, "count%zu", async_queue_count(co, &l->queue));

    for (i = 0; i < 5; i++) {
        ASYNC_TRY(await_get(co, &l->queue, &item));
        note(l, "got%d", (int) ((int *) item - numbers));
        ASYNC_TRY(yields(co, 3));
    }

    ASYNC_TRY(await_join(co, child));
    note(l, "count%zu", async_queue_count(co, &l->queue));

    return answer(req, l);
}


ASYNC_HANDLER(queue_try)
{
    void    *item = &item;
    line_t  *l = line_of(req);

    note(l, "%s", name_of(async_try_get(co, &l->queue, &item)));
    note(l, "(%s)", async_error(co));
    note(l, "%s", item ? "something" : "nothing");
    note(l, "%s", name_of(async_try_put(co, &l->queue, &numbers[1])));
    note(l, "%s", name_of(async_try_put(co, &l->queue, NULL)));
    note(l, "%s", name_of(async_try_put(co, &l->queue, &numbers[3])));
    note(l, "(%s)", async_error(co));
    note(l, "count%zu", async_queue_count(co, &l->queue));
    note(l, "%s", name_of(async_try_get(co, &l->queue, &item)));
    note(l, "%s", item == &numbers[1] ? "first" : "another");
    note(l, "%s", name_of(async_try_get(co, &l->queue, &item)));
    note(l, "%s", item ? "something" : "nothing");
    note(l, "%s", name_of(async_try_get(co, &l->queue, &item)));

    return answer(req, l);
}


ASYNC_HANDLER(queue_zero)
{
    void           *item;
    line_t         *l = line_of(req);
    async_child_t  *child;
    waiter_t        w = { l, 0, 0, 0, NULL };

    l->kind = GET;
    l->queue.limit = 0;

    note(l, "%s", name_of(async_try_put(co, &l->queue, &numbers[1])));
    note(l, "(%s)", async_error(co));
    note(l, "%s", name_of(await_put(co, &l->queue, &numbers[1])));
    note(l, "count%zu", async_queue_count(co, &l->queue));

    if (async_query(req, "get").data) {
        note(l, "%s", name_of(async_try_get(co, &l->queue, &item)));
        child = async_spawn(co, waiter, &w);
        ASYNC_TRY(yields(co, 2));
        note(l, "put:%s", name_of(await_put(co, &l->queue, &numbers[7])));
        async_cancel(child);
        note(l, "%s", name_of(await_join(co, child)));
    }

    return answer(req, l);
}


ASYNC_HANDLER(queue_huge)
{
    line_t  *l = line_of(req);

    l->queue.limit = (size_t) -1 / 4;

    note(l, "%s", name_of(await_put(co, &l->queue, &numbers[1])));
    note(l, "(%s)", async_error(co));
    note(l, "count%zu", async_queue_count(co, &l->queue));

    return answer(req, l);
}


/*
 * Each item has the number of its await_put(), which is that of its place in
 * the line; whoever takes sees them in this order.
 */

enum { PUTTERS = 5, EACH = 20, GETTERS = 5 };

typedef struct {
    async_queue_t  queue;
    int            next;
    int            putting;
    int            taken[PUTTERS * EACH];
    int            disorder;
    int            got;
} market_t;


static async_rc_t
sells(async_t *co, void *arg)
{
    int        i, mine;
    market_t  *m = arg;

    for (i = 0; i < EACH; i++) {
        mine = m->next++;
        ASYNC_TRY(await_put(co, &m->queue, &numbers[mine]));

        if (mine % 3 == 0) {
            ASYNC_TRY(await_yield(co));
        }
    }

    if (--m->putting == 0) {
        async_queue_close(co, &m->queue);
    }

    return ASYNC_OK;
}


static async_rc_t
buys(async_t *co, void *arg)
{
    int          last, number;
    void        *item;
    market_t    *m = arg;
    async_rc_t   rc;

    for (last = -1; /* void */; last = number) {
        rc = await_get(co, &m->queue, &item);

        if (rc != ASYNC_OK) {
            return rc == ASYNC_CLOSED ? ASYNC_OK : rc;
        }

        number = (int) ((int *) item - numbers);

        m->taken[number]++;
        m->got++;
        m->disorder += number <= last;

        if (number % 4 == 0) {
            ASYNC_TRY(yields(co, 2));
        }
    }
}


/* ?getters=, ?limit= */

ASYNC_HANDLER(queue_market)
{
    int            i, n, once;
    line_t        *l = line_of(req);
    market_t      *m = async_alloc(req, sizeof(market_t));
    async_work_t   work[PUTTERS + GETTERS];

    memset(m, 0, sizeof(market_t));

    m->queue.limit = (size_t) number_of(req, "limit", 3);
    m->putting = PUTTERS;
    n = (int) number_of(req, "getters", GETTERS);

    for (i = 0; i < PUTTERS + n; i++) {
        work[i].fn = i < PUTTERS ? sells : buys;
        work[i].arg = m;
    }

    ASYNC_TRY(await_all(co, work, (size_t) (PUTTERS + n)));

    for (i = 0, once = 0; i < PUTTERS * EACH; i++) {
        once += m->taken[i] == 1;
    }

    note(l, "%d taken, %d once, %d out of order", m->got, once, m->disorder);

    return answer(req, l);
}


ASYNC_HANDLER(queue_close)
{
    int        i;
    void      *item;
    line_t    *l = line_of(req);
    waiter_t  *w = async_alloc(req, 3 * sizeof(waiter_t));

    if (l->kind != PUT) {
        l->kind = GET;
    }

    ASYNC_TRY(occupy(co, l));
    ASYNC_TRY(begin_waiters(co, l, w, 3, -1, 0));

    async_queue_close(co, &l->queue);
    async_queue_close(co, &l->queue);

    for (i = 0; i < 3; i++) {
        note(l, "%s", name_of(await_join(co, w[i].child)));
    }

    note(l, "(%s)", async_error(co));
    note(l, "count%zu", async_queue_count(co, &l->queue));

    note(l, "put:%s", name_of(await_put(co, &l->queue, &numbers[1])));
    note(l, "try:%s", name_of(async_try_put(co, &l->queue, &numbers[1])));
    note(l, "get:%s", name_of(await_get(co, &l->queue, &item)));
    note(l, "try:%s", name_of(async_try_get(co, &l->queue, &item)));
    note(l, "get:%s", name_of(await_get(co, &l->queue, &item)));
    note(l, "%s", item ? "something" : "nothing");
    note(l, "try:%s", name_of(async_try_get(co, &l->queue, &item)));

    return answer(req, l);
}


/* closed and given within one turn: what was given counts */

ASYNC_HANDLER(queue_close_given)
{
    line_t    *l = line_of(req);
    waiter_t  *w = async_alloc(req, 2 * sizeof(waiter_t));

    l->kind = GET;

    ASYNC_TRY(begin_waiters(co, l, w, 2, -1, 0));

    ASYNC_TRY(async_try_put(co, &l->queue, &numbers[5]));
    async_queue_close(co, &l->queue);

    note(l, "%s", name_of(await_join(co, w[0].child)));
    note(l, "%s", name_of(await_join(co, w[1].child)));

    return answer(req, l);
}
