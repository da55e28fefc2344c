/*
 * Handlers of t/pg-pipeline.t: statements as the query says, in one go.
 */

#include <ngx_async.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


#define LARGE  20000000


static json_t *
outcome(async_t *co, async_pg_statement_t *s, size_t n)
{
    size_t   i;
    json_t  *list = json_array();

    for (i = 0; i < n; i++) {
        json_array_append_new(list, s[i].rc == ASYNC_OK
                                    ? async_pg_json(co, s[i].result)
                                    : json_pack("[i, s]", s[i].rc,
                                                s[i].sqlstate));
    }

    return list;
}


static async_rc_t
answer(async_t *co, async_req_t *req, async_rc_t rc, async_pg_statement_t *s,
    size_t n)
{
    const char  *state = async_pg_error(co) ? async_pg_error(co)->sqlstate : "";
    json_t      *error = json_string(rc ? async_error(co) : "");

    return async_json(req, 200,
                      json_pack("{s:i, s:s, s:o, s:o}", "rc", rc, "sqlstate",
                                state, "error", error, "each",
                                outcome(co, s, n)));
}


/* /sql?q=&q=&flags=&begin=: these, perhaps in a transaction */

ASYNC_HANDLER(sql)
{
    size_t                i, n;
    int64_t               flags;
    async_rc_t            rc;
    async_str_t           begin;
    const async_str_t    *q;
    async_pg_statement_t  s[64];

    n = async_query_list(req, "q", &q);
    begin = async_query(req, "begin");

    ASYNC_TRY(async_query_int_or(req, "flags", &flags, 0));

    for (i = 0; i < n; i++) {
        s[i] = (async_pg_statement_t) { .sql = q[i].data };
    }

    if (begin.data) {
        ASYNC_TRY(await_pg_begin(co, "db", 0));
    }

    rc = await_pg_pipeline(co, "db", s, n, flags);

    if (begin.data && strcmp(begin.data, "commit") == 0) {
        ASYNC_TRY(answer(co, req, rc, s, n));
        return (await_pg_commit(co, "db") == ASYNC_OK || rc) ? ASYNC_OK
                                                             : ASYNC_ERROR;
    }

    return answer(co, req, rc, s, n);
}


/* values of each kind, in a macro and in arrays */

ASYNC_HANDLER(values)
{
    async_rc_t            rc;
    async_pg_statement_t  s[] = {
        ASYNC_PG("SELECT 1 AS n"),
        ASYNC_PG("SELECT $1::int8 AS n, $2::text AS s", ASYNC_INT(2),
                 ASYNC_TEXT("two")),
        ASYNC_PG("SELECT :n::int8 AS n", ASYNC_NAMED("n", ASYNC_INT(3))),
        ASYNC_PG("SELECT $1::jsonb AS j", ASYNC_JSON(json_pack("[i]", 4)))
    };

    rc = await_pg_pipeline(co, "db", s, 4, 0);

    return answer(co, req, rc, s, 4);
}


/* /many?n=&flags=&size=: a lot of them, with a text of that size; its sum */

ASYNC_HANDLER(many)
{
    char                 *text;
    int64_t               i, n, m, flags, size, sum;
    async_rc_t            rc;
    async_value_t        *v;
    async_pg_statement_t *s;

    ASYNC_TRY(async_query_int(req, "n", &n));
    ASYNC_TRY(async_query_int(req, "flags", &flags));
    ASYNC_TRY(async_query_int(req, "size", &size));

    s = async_task_alloc(co, n * sizeof(*s));
    v = async_task_alloc(co, 2 * n * sizeof(*v));
    text = async_task_alloc(co, size + 1);
    memset(text, 'x', size);
    text[size] = '\0';

    for (i = 0; i < n; i++) {
        v[2 * i] = ASYNC_INT(i);
        v[2 * i + 1] = ASYNC_TEXT(text);
        s[i] = (async_pg_statement_t) {
            .sql = "SELECT $1::int8 AS n, $2::text AS s",
            .values = &v[2 * i],
            .n = 2
        };
    }

    rc = await_pg_pipeline(co, "db", s, n, flags);

    if (rc != ASYNC_OK) {
        return answer(co, req, rc, s, 1);
    }

    sum = 0;

    for (i = 0; i < n; i++) {
        ASYNC_TRY(async_pg_int(co, s[i].result, 0, "n", &m));

        if (async_pg_text(s[i].result, 0, "s").len != (size_t) size) {
            return async_text(req, 500, "another length");
        }

        sum += m;
        async_pg_free(co, s[i].result);
    }

    return async_json_pack(req, 200, "{s:I}", "sum", (json_int_t) sum);
}


/* other ends of it */

ASYNC_HANDLER(wrong)
{
    async_rc_t            rc;
    async_pg_statement_t  s[] = {
        ASYNC_PG("INSERT INTO t VALUES (100)"),
        ASYNC_PG("SELECT $1")
    };

    rc = await_pg_pipeline(co, "db", s, 2, 0);

    return answer(co, req, rc, s, 2);
}


ASYNC_HANDLER(nothing)
{
    return await_pg_pipeline(co, "db", (async_pg_statement_t *) NULL, 0, 0)
           == ASYNC_OK ? async_text(req, 200, "fine") : ASYNC_ERROR;
}


ASYNC_HANDLER(no_pool)
{
    async_rc_t            rc;
    async_pg_statement_t  s[] = { ASYNC_PG("SELECT 1") };

    rc = await_pg_pipeline(co, "bd", s, 1, 0);

    return answer(co, req, rc, s, 1);
}


/*
 * A child beside the pipeline, which begins when that waits: holds the whole
 * loop until there is the file, and the deadline has passed.  So the loop finds
 * both at once then: what the server has answered, and the deadline.
 */

typedef struct {
    const char  *file;
    int64_t      ms;
} hold_t;


static void
pass(int64_t ms)
{
    struct timespec  t = { .tv_sec = ms / 1000,
                           .tv_nsec = ms % 1000 * 1000000 };

    nanosleep(&t, NULL);
}


static async_rc_t
hold(async_t *co, void *arg)
{
    int      n;
    hold_t  *h = arg;

    for (n = 0; access(h->file, F_OK) != 0; n++) {
        if (n == 60000) {
            return async_task_fail(co, ASYNC_ERROR, "%s did not come", h->file);
        }

        pass(1);
    }

    pass(h->ms + 10);

    return ASYNC_OK;
}


/* a deadline in the middle; ?large: while others are sent; ?hold=: see there */

ASYNC_HANDLER(late)
{
    hold_t                h;
    async_rc_t            rc;
    async_value_t         large;
    async_child_t        *child = NULL;
    async_pg_statement_t  s[] = {
        ASYNC_PG("INSERT INTO t VALUES (200)"),
        ASYNC_PG("SELECT pg_advisory_lock(200)"),
        ASYNC_PG("SELECT pg_advisory_lock(200)"),
        ASYNC_PG("SELECT pg_advisory_lock(200)")
    };

    ASYNC_TRY(async_query_int_or(req, "ms", &h.ms, 200));

    if (async_query(req, "large").data) {
        large = ASYNC_BYTES(memset(async_task_alloc(co, LARGE), 'x', LARGE),
                            LARGE);
        s[2] = (async_pg_statement_t) { .sql = "SELECT length($1::bytea)",
                                        .values = &large, .n = 1 };
        s[3] = (async_pg_statement_t) ASYNC_PG("SELECT 3");
    }

    h.file = async_query(req, "hold").data;

    if (h.file) {
        child = async_spawn(co, hold, &h);
    }

    {
        ASYNC_DEADLINE(co, h.ms);

        rc = await_pg_pipeline(co, "db", s, 4, async_query(req, "each").data
                                               ? ASYNC_PG_EACH : 0);
    }

    if (child) {
        ASYNC_TRY(await_join(co, child));
    }

    async_log(req, ASYNC_LOG_NOTICE, "<%d %d %d %d>", s[0].rc, s[1].rc,
              s[2].rc, s[3].rc);

    return answer(co, req, rc, s, 4);
}
