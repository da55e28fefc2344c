
/*
 * Handlers of t/pg-connect.t, t/pg-session.t and t/pg-bouncer.t: statements as
 * the query says, in the pool that it says.
 */

#include <ngx_async.h>


static const char *
pool_of(async_req_t *req)
{
    async_str_t  pool = async_query(req, "pool");

    return pool.data ? pool.data : "db";
}


static async_rc_t
failed(async_t *co, async_req_t *req, int rc)
{
    const async_pg_error_t  *error = async_pg_error(co);

    return async_json_pack(req, 200, "{s:i, s:i, s:s, s:s, s:s}", "rc", rc,
                           "cause", (int) async_cause(co), "error",
                           async_error(co), "sqlstate",
                           error ? error->sqlstate : "", "message",
                           error ? error->message : "");
}


/* /sql?q=: its rows, or how it failed */

ASYNC_HANDLER(sql)
{
    async_rc_t          rc;
    async_str_t         q;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_str(req, "q", &q));

    rc = await_pg(co, pool_of(req), &result, q.data);

    return (rc == ASYNC_OK) ? async_pg_respond(req, 200, result)
                            : failed(co, req, rc);
}


/* /twice?q=&then=: in one transaction; the rows of the second */

ASYNC_HANDLER(twice)
{
    async_rc_t          rc;
    async_str_t         q, then;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_str(req, "q", &q));
    ASYNC_TRY(async_query_str(req, "then", &then));

    rc = await_pg_begin(co, pool_of(req), 0);

    if (rc == ASYNC_OK) {
        rc = await_pg(co, pool_of(req), NULL, q.data);
    }

    if (rc == ASYNC_OK) {
        rc = await_pg(co, pool_of(req), &result, then.data);
    }

    if (rc == ASYNC_OK) {
        rc = await_pg_commit(co, pool_of(req));
    }

    return (rc == ASYNC_OK) ? async_pg_respond(req, 200, result)
                            : failed(co, req, rc);
}


/* /value?n=&s=: parameters of several types */

ASYNC_HANDLER(value)
{
    int64_t             n;
    async_rc_t          rc;
    async_str_t         s;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_int(req, "n", &n));
    s = async_query(req, "s");

    rc = await_pg(co, pool_of(req), &result,
                  "SELECT $1::int8 + 1 AS n, $2::text AS s, $3::bytea AS b",
                  ASYNC_INT(n), ASYNC_TEXT(s), ASYNC_BYTES("\0\1", 2));

    return (rc == ASYNC_OK) ? async_pg_respond(req, 200, result)
                            : failed(co, req, rc);
}


/* /soon?q=: it has a tenth of a second */

ASYNC_HANDLER(soon)
{
    async_rc_t   rc;
    async_str_t  q;

    ASYNC_TRY(async_query_str(req, "q", &q));

    {
        ASYNC_DEADLINE(co, 100);

        rc = await_pg(co, pool_of(req), NULL, q.data);
    }

    return failed(co, req, rc);
}
