/*
 * Handlers of t/pg-faults.t: what a database is asked for by the query, and
 * what has come of it.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static async_rc_t
failed(async_t *co, async_req_t *req, async_rc_t rc)
{
    return async_json_pack(req, 200, "{s:i, s:s, s:s}", "rc", rc, "error",
                           async_error(co), "sqlstate", async_pg_error(co)
                           ? async_pg_error(co)->sqlstate : "");
}


/* /sql?q= */

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


/* /stream?q= and /copy?q=: how many rows, or lines */

ASYNC_HANDLER(stream)
{
    int64_t             n = 0;
    async_rc_t          rc;
    async_str_t         q;
    async_pg_stream_t  *s;
    async_pg_result_t  *row;

    ASYNC_TRY(async_query_str(req, "q", &q));

    rc = await_pg_stream(co, "db", &s, q.data);

    while (rc == ASYNC_OK) {
        rc = await_pg_next(co, s, &row);

        if (rc == ASYNC_OK && row == NULL) {
            return async_json_pack(req, 200, "{s:I}", "rows", (json_int_t) n);
        }

        n++;
    }

    return failed(co, req, rc);
}


ASYNC_HANDLER(copy)
{
    async_rc_t        rc;
    async_str_t       q;
    async_pg_copy_t  *c;

    ASYNC_TRY(async_query_str(req, "q", &q));

    rc = await_pg_copy(co, "db", &c, q.data);

    return rc ? failed(co, req, rc) : async_text(req, 200, "copies");
}


/* /stops?q=: a stream in a transaction, of whose end nobody waits for long */

ASYNC_HANDLER(stops)
{
    async_rc_t          rc;
    async_str_t         q;
    async_pg_stream_t  *s;

    ASYNC_TRY(async_query_str(req, "q", &q));
    ASYNC_TRY(await_pg_begin(co, "db", 0));
    ASYNC_TRY(await_pg_stream(co, "db", &s, q.data));

    {
        ASYNC_DEADLINE(co, 300);

        rc = await_pg_rollback(co, "db");
    }

    return failed(co, req, rc);
}
