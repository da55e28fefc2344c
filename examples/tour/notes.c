
/*
 * The tour's notes: a database that is awaited.
 *
 * They are an app of their own, since its startup needs the database: as long
 * as that is away, the rest of the tour is served all the same.
 */

#include <ngx_async.h>


/*
 * await database.connect().  "db" is a pool of nginx.conf, which connects when
 * it is asked: so it has a connection before the first request.  If there is no
 * database, this is tried again, and requests are answered 503 meanwhile.
 */

ASYNC_STARTUP(connect_database)
{
    return await_pg(co, "db", NULL, "SELECT 1");
}


/* await database.disconnect().  The pool closes by itself, after this. */

ASYNC_SHUTDOWN(disconnect_database)
{
    async_task_log(co, ASYNC_LOG_NOTICE, "no note will be read any more");

    return ASYNC_OK;
}


/* await database.fetch_all(query); the rows become JSON without a detour. */

ASYNC_HANDLER(read_notes)
{
    async_pg_result_t  *notes;

    ASYNC_TRY(await_pg(co, "db", &notes, "SELECT * FROM notes ORDER BY id"));

    return async_pg_respond(req, 200, notes);
}


/*
 * await async_db.fetch_one("... WHERE id = :id", {"id": id}), which is null if
 * there is no such row.
 */

ASYNC_HANDLER(read_item)
{
    int64_t             id;
    async_pg_result_t  *item;

    ASYNC_TRY(async_path_int(req, "id", &id));

    ASYNC_TRY(await_pg(co, "db", &item, "SELECT * FROM items WHERE id = :id",
                       ASYNC_NAMED("id", ASYNC_INT(id))));

    return async_pg_respond_row(req, 200, item, 0);
}
