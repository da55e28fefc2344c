
/*
 * Handlers of t/fuzz.t: random trees of tasks, and a model of what may happen
 * to them.  /run?seed=S&trees=N plays N trees, ?width= of them at a time;
 * /state says what lives, and what was wrong since the worker began; /fence
 * judges what threads have done.
 *
 * A tree is drawn by random numbers of its own, each node from a number that
 * its parent has drawn, so that a seed draws the same trees again, whatever the
 * order in which the nodes run.  Nobody waits for ever: what nobody may come to
 * free is waited for inside of a deadline.
 */

#include "fuzz.h"
#include <stdlib.h>
#include <string.h>


typedef struct {
    async_req_t  *req;
    uint64_t      seed;
    int           trees;
    int           next;
    int64_t       base;
    const char   *root;
} run_t;


static int
tree_init(tree_t *t, run_t *run, int k)
{
    node_t  *root;

    memset(t, 0, offsetof(tree_t, nodes));

    t->req = run->req;
    t->root = run->root;
    t->base = run->base;
    t->seed = run->seed;
    t->number = k;
    t->nnodes = 1;

    root = &t->nodes[0];
    memset(root, 0, sizeof(node_t));

    root->tree = t;
    root->random = seed_of(run->seed, (uint64_t) k);
    root->budget = 4 + below(root, 56);
    root->base = 1;

    sync_init(t, root);

    counts.tasks++;
    counts.trees_alive++;

    return files_init(t);
}


static void
tree_check(async_t *co, tree_t *t)
{
    int  i;

    for (i = 0; i < t->nnodes; i++) {
        expect(t->nodes[i].begun == t->nodes[i].ended, &t->nodes[i],
               "begun %d times, ended %d times", t->nodes[i].begun,
               t->nodes[i].ended);
        expect(t->nodes[i].to_clean == 0, &t->nodes[i], "a cleanup is left");
    }

    sync_check(co, t);
    files_end(t);

    counts.trees_alive--;
    counts.trees++;
}


/* One of those that play at a time: tree after tree. */

static async_rc_t
runner(async_t *co, void *arg)
{
    run_t      *run = arg;
    tree_t     *t;
    node_t     *root;
    async_rc_t  rc = ASYNC_OK;

    t = malloc(sizeof(tree_t));

    if (t == NULL) {
        return ASYNC_ERROR;
    }

    while (rc == ASYNC_OK && run->next < run->trees) {
        if (!tree_init(t, run, run->next++)) {
            rc = ASYNC_ERROR;
            break;
        }

        root = &t->nodes[0];
        root->handle = async_spawn(co, node_body, root);

        if (root->handle == NULL) {
            wrong(origin_of(root), "async_spawn fails");
            break;
        }

        rc = await_join(co, root->handle);
        root->handle = NULL;

        expect(!root->begun || root->ended, root, "await_join, and it has not "
               "ended");

        tree_check(co, t);

        rc = await_yield(co);
    }

    free(t);

    return rc;
}


static json_t *
state_of_worker(void)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
                     "s:{s:I, s:I, s:I, s:I, s:I, s:I}, "
                     "s:i, s:i, s:I, s:o}",
                     "trees", (json_int_t) counts.trees,
                     "tasks", (json_int_t) counts.tasks,
                     "cleanups", (json_int_t) counts.cleanups,
                     "items_left", (json_int_t) counts.items_left,
                     "joins_refused", (json_int_t) counts.joins_refused,
                     "threads_returned",
                     (json_int_t) counts.threads_returned,
                     "threads_skipped", (json_int_t) counts.threads_skipped,
                     "threads_told", (json_int_t) counts.threads_told,
                     "files_refused", (json_int_t) counts.files_refused,
                     "bytes_in_use", (json_int_t) bytes_in_use(),
                     "awaits",
                     "ok", (json_int_t) counts.awaits[0],
                     "error", (json_int_t) counts.awaits[1],
                     "timeout", (json_int_t) counts.awaits[2],
                     "cancelled", (json_int_t) counts.awaits[3],
                     "closed", (json_int_t) counts.awaits[4],
                     "busy", (json_int_t) counts.awaits[5],
                     "alive", counts.alive,
                     "trees_alive", counts.trees_alive,
                     "violations", (json_int_t) counts.violations,
                     "wrong", wrongs());
}


/* ?timeout=: the async_timeout of the location, in ms */

ASYNC_HANDLER(run)
{
    int64_t        seed, trees, width, timeout;
    run_t         *run = async_alloc(req, sizeof(run_t));
    async_rc_t     rc;
    async_work_t  *work;
    int64_t        i;

    ASYNC_TRY(async_query_int_or(req, "seed", &seed, 1));
    ASYNC_TRY(async_query_int_or(req, "trees", &trees, 1));
    ASYNC_TRY(async_query_int_or(req, "width", &width, 50));
    ASYNC_TRY(async_query_int_or(req, "timeout", &timeout, 0));

    width = width < 1 ? 1 : width > WIDTH ? WIDTH : width;

    run->req = req;
    run->seed = (uint64_t) seed;
    run->trees = (int) trees;
    run->next = 0;
    run->root = async_param(req, "files").data;

    /* it counts from before */
    run->base = timeout ? now() + timeout - 100 : 0;

    work = async_alloc(req, (size_t) width * sizeof(async_work_t));

    for (i = 0; i < width; i++) {
        work[i].fn = runner;
        work[i].arg = run;
    }

    rc = await_gather(co, work, (size_t) width);

    if (rc != ASYNC_OK) {
        return rc;
    }

    return async_json(req, 200, state_of_worker());
}


ASYNC_HANDLER(state)
{
    return async_json(req, 200, state_of_worker());
}
