/*
 * Handlers of t/pg-share.t: statements of many tasks on few connections.
 */

#include <ngx_async.h>
#include <stdlib.h>
#include <string.h>


#define MAX  500


/* /sql?q=: its rows, or how it failed */

ASYNC_HANDLER(sql)
{
    async_rc_t          rc;
    async_str_t         q;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_str(req, "q", &q));

    rc = await_pg(co, "db", &result, q.data);

    return (rc == ASYNC_OK)
           ? async_pg_respond(req, 200, result)
           : async_json_pack(req, 200, "{s:i, s:s, s:s}", "rc", rc, "error",
                             async_error(co), "sqlstate", async_pg_error(co)
                             ? async_pg_error(co)->sqlstate : "");
}


typedef struct {
    int64_t      tag;
    int64_t      size;
    const char  *kind;
    async_rc_t   rc;
} job_t;


/* one that must have its own answer, or its own failure */

static async_rc_t
run(async_t *co, void *arg)
{
    char               *text;
    job_t              *job = arg;
    int64_t             tag;
    async_pg_result_t  *result;

    if (strcmp(job->kind, "fails") == 0 && job->tag % 3 == 0) {

        job->rc = await_pg(co, "db", NULL, "SELECT 1 / ($1::int8 * 0)",
                           ASYNC_INT(job->tag));

        return (job->rc == ASYNC_ERROR && async_pg_failed(co, "22012"))
               ? ASYNC_OK : ASYNC_ERROR;
    }

    if (strcmp(job->kind, "begins") == 0 && job->tag % 5 == 0) {

        ASYNC_TRY(await_pg_begin(co, "db", 0));
        ASYNC_TRY(await_pg(co, "db", NULL, "INSERT INTO t VALUES ($1)",
                           ASYNC_INT(job->tag)));
        ASYNC_TRY(await_pg(co, "db", &result, "SELECT id FROM t WHERE id = $1",
                           ASYNC_INT(job->tag)));
        ASYNC_TRY(async_pg_int(co, result, 0, "id", &tag));

        return await_pg_rollback(co, "db");
    }

    if (strcmp(job->kind, "hurries") == 0 && job->tag % 4 == 0) {
        ASYNC_DEADLINE(co, 1 + job->tag % 7);

        job->rc = await_pg(co, "db", &result,
                           "SELECT $1::int8 AS n, pg_sleep(0.002)",
                           ASYNC_INT(job->tag));

        if (job->rc != ASYNC_OK) {
            return ASYNC_OK;
        }

        ASYNC_TRY(async_pg_int(co, result, 0, "n", &tag));

        return tag == job->tag ? ASYNC_OK : ASYNC_ERROR;
    }

    text = async_task_alloc(co, job->size + 1);
    memset(text, 'a' + job->tag % 26, job->size);
    text[job->size] = '\0';

    job->rc = await_pg(co, "db", &result,
                       "SELECT $1::int8 AS n, $2::text AS s",
                       ASYNC_INT(job->tag), ASYNC_TEXT(text));

    if (job->rc != ASYNC_OK) {
        return job->rc;
    }

    ASYNC_TRY(async_pg_int(co, result, 0, "n", &tag));

    return (tag == job->tag
            && strcmp(async_pg_text(result, 0, "s").data, text) == 0)
           ? ASYNC_OK : ASYNC_ERROR;
}


/* /many?n=&kind=&size=: so many at once; how many had their own answer */

ASYNC_HANDLER(many)
{
    job_t        *job;
    int64_t       i, n, size;
    async_str_t   kind;
    async_work_t *work;
    static int64_t  tag;

    ASYNC_TRY(async_query_int(req, "n", &n));
    ASYNC_TRY(async_query_int_or(req, "size", &size, 10));
    ASYNC_TRY(async_query_str(req, "kind", &kind));

    job = async_task_alloc(co, n * sizeof(job_t));
    work = async_task_alloc(co, n * sizeof(async_work_t));

    for (i = 0; i < n; i++) {
        job[i].tag = ++tag;
        job[i].size = size;
        job[i].kind = kind.data;
        job[i].rc = ASYNC_OK;
        work[i].fn = run;
        work[i].arg = &job[i];
    }

    if (await_all(co, work, n) != ASYNC_OK) {
        return async_json_pack(req, 200, "{s:s}", "error", async_error(co));
    }

    return async_json_pack(req, 200, "{s:I}", "own", (json_int_t) n);
}
