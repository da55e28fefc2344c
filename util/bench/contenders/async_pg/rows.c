/*
 * Of w8: rows of random ids, one, or 20 one after another or at once.
 */

#include <stdlib.h>
#include <ngx_async.h>


#define ROWS  20


ASYNC_HANDLER(hello)
{
    return async_json_pack(req, 200, "{s:s}", "message", "Hello, World!");
}


#define QUERY  "SELECT id, randomnumber AS \"randomNumber\" FROM world"       \
               " WHERE id = $1"

#define ID     ASYNC_INT(1 + random() % 10000)


ASYNC_HANDLER(one)
{
    async_pg_result_t  *row;

    ASYNC_TRY(await_pg(co, "db", &row, QUERY, ID));

    return async_pg_respond_row(req, 200, row, 0);
}


/* the pool's connections are for many at the same time */

ASYNC_HANDLER(shared)
{
    async_pg_result_t  *row;

    ASYNC_TRY(await_pg(co, "few", &row, QUERY, ID));

    return async_pg_respond_row(req, 200, row, 0);
}


ASYNC_HANDLER(twenty)
{
    int                 i;
    async_pg_result_t  *rows[ROWS];

    for (i = 0; i < ROWS; i++) {
        ASYNC_TRY(await_pg(co, "db", &rows[i], QUERY, ID));
    }

    return async_pg_respond_all(req, 200, rows, ROWS);
}


ASYNC_HANDLER(pipeline)
{
    int                   i;
    async_value_t         id[ROWS];
    async_pg_result_t    *rows[ROWS];
    async_pg_statement_t  s[ROWS];

    for (i = 0; i < ROWS; i++) {
        id[i] = ID;
        s[i].sql = QUERY;
        s[i].values = &id[i];
        s[i].n = 1;
    }

    ASYNC_TRY(await_pg_pipeline(co, "db", s, ROWS, 0));

    for (i = 0; i < ROWS; i++) {
        rows[i] = s[i].result;
    }

    return async_pg_respond_all(req, 200, rows, ROWS);
}
