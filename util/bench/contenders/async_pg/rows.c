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


static async_rc_t
query(async_t *co, async_pg_result_t **row)
{
    return await_pg(co, "db", row,
                    "SELECT id, randomnumber AS \"randomNumber\" FROM world"
                    " WHERE id = $1",
                    ASYNC_INT(1 + random() % 10000));
}


ASYNC_HANDLER(one)
{
    async_pg_result_t  *row;

    ASYNC_TRY(query(co, &row));

    return async_pg_respond_row(req, 200, row, 0);
}


/* a new reference */

static async_rc_t
query_json(async_t *co, void *arg)
{
    json_t             **value = arg;
    async_pg_result_t  *row;

    ASYNC_TRY(query(co, &row));

    *value = async_pg_row_json(co, row, 0);
    async_pg_free(co, row);

    return *value ? ASYNC_OK : ASYNC_ERROR;
}


ASYNC_HANDLER(twenty)
{
    int         i;
    json_t      *row, *rows = json_array();
    async_rc_t  rc = ASYNC_OK;

    for (i = 0; i < ROWS && rc == ASYNC_OK; i++) {
        rc = query_json(co, &row);

        if (rc == ASYNC_OK) {
            json_array_append_new(rows, row);
        }
    }

    if (rc != ASYNC_OK) {
        json_decref(rows);
        return rc;
    }

    return async_json(req, 200, rows);
}


ASYNC_HANDLER(at_once)
{
    int           i;
    json_t        *rows = json_array(), *row[ROWS] = { NULL };
    async_rc_t    rc;
    async_work_t  work[ROWS];

    for (i = 0; i < ROWS; i++) {
        work[i].fn = query_json;
        work[i].arg = &row[i];
    }

    rc = await_all(co, work, ROWS);

    for (i = 0; i < ROWS; i++) {
        json_array_append_new(rows, row[i]);
    }

    if (rc != ASYNC_OK) {
        json_decref(rows);
        return rc;
    }

    return async_json(req, 200, rows);
}
