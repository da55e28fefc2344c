
/*
 * Handlers of t/pg.t: statements as the query says.
 */

#include <ngx_async.h>
#include <stdlib.h>
#include <string.h>


static async_rc_t
failed(async_t *co, async_req_t *req, int rc)
{
    const async_pg_error_t  *error = async_pg_error(co);

    return async_json_pack(req, 200, "{s:i, s:i, s:s, s:s, s:s}", "rc", rc,
                           "cause", (int) async_cause(co), "error",
                           async_error(co), "sqlstate",
                           error ? error->sqlstate : "", "constraint",
                           error ? error->constraint : "");
}


/* /sql?q=: its rows, or how it failed */

ASYNC_HANDLER(sql)
{
    async_rc_t          rc;
    async_str_t         q;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_str(req, "q", &q));

    rc = await_pg(co, "db", &result, q.data);

    return (rc == ASYNC_OK) ? async_pg_respond(req, 200, result)
                            : failed(co, req, rc);
}


/* /all?q=&q=: the rows of all of them */

ASYNC_HANDLER(all)
{
    size_t               i, n;
    const async_str_t   *q;
    async_pg_result_t   *results[8] = { NULL };

    n = async_query_list(req, "q", &q);

    for (i = 0; i < n; i++) {
        if (q[i].len) {
            ASYNC_TRY(await_pg(co, "db", &results[i], q[i].data));
        }
    }

    return async_pg_respond_all(req, 200, results, n) == ASYNC_OK
           ? ASYNC_OK : async_text(req, 500, async_error(co));
}


/* /value?n=&s=: both ways, by place and by name */

ASYNC_HANDLER(value)
{
    int64_t             n, by_name;
    async_str_t         s;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_int(req, "n", &n));
    s = async_query(req, "s");

    ASYNC_TRY(await_pg(co, "db", &result,
                       "SELECT $1::int8 + 1 AS n, $2::text AS s",
                       ASYNC_INT(n), ASYNC_TEXT(s)));
    ASYNC_TRY(async_pg_int(co, result, 0, "n", &n));

    s = async_pg_text(result, 0, "s");

    ASYNC_TRY(await_pg(co, "db", &result, "SELECT :n::int8 + :n AS n",
                       ASYNC_NAMED("n", ASYNC_INT(n))));
    ASYNC_TRY(async_pg_int(co, result, 0, "n", &by_name));

    return async_json_pack(req, 200, "{s:I, s:I, s:s?}", "n", (json_int_t) n,
                           "by_name", (json_int_t) by_name, "s", s.data);
}


/* /insert?id=&how=: in a transaction that ends so */

static async_rc_t
insert(async_t *co, void *arg)
{
    return await_pg(co, "db", NULL, "INSERT INTO t VALUES ($1)",
                    ASYNC_INT(*(int64_t *) arg));
}


ASYNC_HANDLER(insert_in)
{
    int64_t      id;
    async_rc_t   rc;
    async_str_t  how;

    ASYNC_TRY(async_query_int(req, "id", &id));
    ASYNC_TRY(async_query_str(req, "how", &how));

    ASYNC_TRY(await_pg_begin(co, "db", ASYNC_PG_SERIALIZABLE));
    ASYNC_TRY(insert(co, &id));

    if (strcmp(how.data, "open") == 0) {
        return async_text(req, 200, "left open");
    }

    if (strcmp(how.data, "sleep") == 0) {
        return await_pg(co, "db", NULL, "SELECT pg_sleep(30)");
    }

    if (strcmp(how.data, "nested") == 0) {
        rc = await_pg_transaction(co, "db", 0, insert, &id);

        if (rc != ASYNC_ERROR || !async_pg_failed(co, "23505")) {
            return async_text(req, 500, "twice the same");
        }

        how.data = "commit";
    }

    if (strcmp(how.data, "broken") == 0) {
        (void) !insert(co, &id);
        how.data = "commit";
    }

    rc = (strcmp(how.data, "commit") == 0) ? await_pg_commit(co, "db")
                                           : await_pg_rollback(co, "db");

    return (rc == ASYNC_OK) ? async_text(req, 200, "done")
                            : failed(co, req, rc);
}


/* /wait: on past its own deadline */

ASYNC_HANDLER(wait_long)
{
    async_rc_t          rc;
    async_pg_result_t  *result;

    {
        ASYNC_DEADLINE(co, 100);

        rc = await_pg(co, "db", NULL, "SELECT pg_sleep(30) AS tagged");
    }

    if (rc != ASYNC_TIMEOUT) {
        return failed(co, req, rc);
    }

    ASYNC_TRY(await_pg(co, "db", &result, "SELECT 1 AS one"));

    return async_pg_respond_row(req, 200, result, 0);
}


ASYNC_HANDLER(no_pool)
{
    async_rc_t  rc;

    rc = await_pg(co, "bd", NULL, "SELECT 1");

    return failed(co, req, rc);
}
