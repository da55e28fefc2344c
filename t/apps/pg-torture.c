
/*
 * Handlers of t/pg-torture.t: many tasks with tagged statements, whose answers
 * have to have the same tag, while deadlines pass at any moment.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define CHILDREN  64


typedef struct {
    int64_t         tag;
    int64_t         statements;
    int64_t         number;           /* of those that came to an end */
    int64_t         wrong;
    unsigned        seed;
} storm_t;


typedef struct {
    storm_t        *storm;
    int64_t         n;
    unsigned        seed;
} worker_t;


static unsigned
dice(worker_t *w, unsigned sides)
{
    return (unsigned) rand_r(&w->seed) % sides;
}


/* All rows and columns of it have the tag; a cancel may come at any moment. */

static async_rc_t
tagged(async_t *co, worker_t *w, const char *sql, size_t rows)
{
    int64_t             tag, seen;
    async_rc_t          rc;
    async_pg_result_t  *result;

    tag = ++w->storm->tag;

    rc = await_pg(co, "db", &result, sql, ASYNC_INT(tag));

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (async_pg_rows(result) != rows) {
        async_task_log(co, ASYNC_LOG_ERROR, "<wrong number of rows: %zu>",
                       async_pg_rows(result));
        w->storm->wrong++;
    }

    for (size_t i = 0; i < async_pg_rows(result); i++) {

        if (async_pg_int(co, result, i, "tag", &seen) != ASYNC_OK
            || seen != tag)
        {
            async_task_log(co, ASYNC_LOG_ERROR, "<wrong tag>");
            w->storm->wrong++;
        }
    }

    async_pg_free(co, result);
    w->storm->number++;

    return ASYNC_OK;
}


static async_rc_t
one(async_t *co, void *arg)
{
    char       sql[100];
    worker_t  *w = arg;

    switch (dice(w, 6)) {

    case 0:
        return tagged(co, w, "SELECT $1::int8 AS tag FROM pg_sleep(0.002)", 1);

    case 1:
        return tagged(co, w, "SELECT $1::int8 AS tag, repeat('x', 1000)"
                             " FROM generate_series(1, 300)", 300);

    case 2:
        return tagged(co, w, "SELECT $1::int8 / 0 AS tag", 1);

    case 3:
        snprintf(sql, sizeof(sql), "SELECT $1::int8 AS tag, %u", dice(w, 300));
        return tagged(co, w, sql, 1);

    default:
        return tagged(co, w, "SELECT $1::int8 AS tag", 1);
    }
}


static async_rc_t
several(async_t *co, void *arg)
{
    worker_t  *w = arg;

    ASYNC_TRY(one(co, w));

    if (dice(w, 3) == 0) {
        (void) !await_pg_transaction(co, "db", 0, one, w);
    }

    return one(co, w);
}


static async_rc_t
any(async_t *co, worker_t *w)
{
    switch (dice(w, 6)) {

    case 0:
        return await_pg_transaction(co, "db", 0, several, w);

    case 1:
        ASYNC_TRY(await_pg_begin(co, "db", 0));
        (void) !one(co, w);
        return await_pg_rollback(co, "db");

    default:
        return one(co, w);
    }
}


static async_rc_t
works(async_t *co, void *arg)
{
    worker_t  *w = arg;

    while (w->n--) {
        ASYNC_MEMORY(co);

        w->storm->statements++;

        if (dice(w, 2)) {
            ASYNC_DEADLINE(co, dice(w, 12));

            (void) !any(co, w);

        } else {
            (void) !any(co, w);
        }

        (void) !await_pg_rollback(co, "db");
        ASYNC_TRY(await_yield(co));
    }

    return ASYNC_OK;
}


/* /storm?children=&each=&seed= */

ASYNC_HANDLER(storm)
{
    int64_t        children, each, seed;
    storm_t        s = { 0 };
    worker_t       w[CHILDREN];
    async_work_t   work[CHILDREN];

    ASYNC_TRY(async_query_int(req, "children", &children));
    ASYNC_TRY(async_query_int(req, "each", &each));
    ASYNC_TRY(async_query_int(req, "seed", &seed));

    s.tag = seed * 1000000;

    for (int i = 0; i < children && i < CHILDREN; i++) {
        w[i] = (worker_t) { &s, each, (unsigned) (seed * 1000 + i) };
        work[i] = (async_work_t) { .fn = works, .arg = &w[i] };
    }

    ASYNC_TRY(await_gather(co, work, (size_t) children));

    return async_json_pack(req, 200, "{s:I, s:I, s:I}", "statements",
                           (json_int_t) s.statements, "answers",
                           (json_int_t) s.number, "wrong",
                           (json_int_t) s.wrong);
}


/* /queue?n=: children that begin in this order */

static async_rc_t
inserts(async_t *co, void *arg)
{
    return await_pg(co, "one", NULL, "INSERT INTO o (child) VALUES ($1)",
                    ASYNC_INT(*(int64_t *) arg));
}


ASYNC_HANDLER(queue)
{
    int64_t       n[CHILDREN];
    async_work_t  work[CHILDREN];

    for (int i = 0; i < CHILDREN; i++) {
        n[i] = i;
        work[i] = (async_work_t) { .fn = inserts, .arg = &n[i] };
    }

    ASYNC_TRY(await_all(co, work, CHILDREN));

    return async_text(req, 200, "done");
}


/* /wait: until the table is unlocked */

ASYNC_HANDLER(wait)
{
    ASYNC_TRY(await_pg(co, "db", NULL, "SELECT count(*) FROM locked"));

    return async_text(req, 200, "done");
}


/* /big?mb=: there and back */

ASYNC_HANDLER(big)
{
    char               *text;
    int64_t             mb;
    async_str_t         back;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_int(req, "mb", &mb));

    text = async_alloc(req, (size_t) mb << 20);

    if (text == NULL) {
        return ASYNC_ERROR;
    }

    for (size_t i = 0; i < (size_t) mb << 20; i++) {
        text[i] = (char) ('a' + i % 23);
    }

    back.data = text;
    back.len = (size_t) mb << 20;

    ASYNC_TRY(await_pg(co, "db", &result, "SELECT $1::text AS t",
                       ASYNC_TEXT(back)));

    back = async_pg_text(result, 0, "t");

    return async_text(req, 200, back.len == (size_t) mb << 20
                                && memcmp(back.data, text, back.len) == 0
                                ? "the same" : "something else");
}


/* /many?n=: so many values */

ASYNC_HANDLER(many)
{
    char               *sql, *p;
    int64_t             n, sum;
    async_value_t      *v;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_int(req, "n", &n));

    v = async_alloc(req, (size_t) n * sizeof(async_value_t));
    sql = p = async_alloc(req, (size_t) n * 20 + 100);

    if (v == NULL || sql == NULL) {
        return ASYNC_ERROR;
    }

    p += sprintf(p, "SELECT sum(v)::int8 AS s FROM (VALUES ");

    for (int64_t i = 0; i < n; i++) {
        p += sprintf(p, "%s($%d::int8)", i ? "," : "", (int) i + 1);
        v[i] = ASYNC_INT(i);
    }

    sprintf(p, ") AS t (v)");

    if (await_pg_at(co, ASYNC_SITE, "db", &result, sql, v, (size_t) n)
        != ASYNC_OK)
    {
        return async_text(req, 200, async_error(co));
    }

    ASYNC_TRY(async_pg_int(co, result, 0, "s", &sum));

    return async_text(req, 200, sum == n * (n - 1) / 2 ? "right" : "wrong");
}
