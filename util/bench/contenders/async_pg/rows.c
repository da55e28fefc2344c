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


/* a row that is missing makes the list shorter, which the client sees */

static void
append(async_t *co, json_t *list, async_pg_result_t *row)
{
    (void) json_array_append_new(list, async_pg_row_json(co, row, 0));

    async_pg_free(co, row);
}


ASYNC_HANDLER(twenty)
{
    int                 i;
    json_t             *list = json_array();
    async_rc_t          rc = ASYNC_OK;
    async_pg_result_t  *row;

    for (i = 0; i < ROWS && rc == ASYNC_OK; i++) {
        rc = await_pg(co, "db", &row, QUERY, ID);

        if (rc == ASYNC_OK) {
            append(co, list, row);
        }
    }

    if (rc != ASYNC_OK) {
        json_decref(list);
        return rc;
    }

    return async_json(req, 200, list);
}


ASYNC_HANDLER(pipeline)
{
    int                   i;
    json_t               *list;
    async_value_t         id[ROWS];
    async_pg_statement_t  s[ROWS];

    for (i = 0; i < ROWS; i++) {
        id[i] = ID;
        s[i].sql = QUERY;
        s[i].values = &id[i];
        s[i].n = 1;
    }

    ASYNC_TRY(await_pg_pipeline(co, "db", s, ROWS, 0));

    list = json_array();

    for (i = 0; i < ROWS; i++) {
        append(co, list, s[i].result);
    }

    return async_json(req, 200, list);
}
