
/*
 * PostgreSQL of t/awaits.t: the test holds the table "gate" as long as the gate
 * is shut, and notifies when it opens.
 */

#include "awaits.h"
#include <stdio.h>
#include <string.h>


/* more than what is in buffers on the way: then the gate */
#define ROWS_AND(waits)                                                      \
    "SELECT repeat('x', 9000) AS x, CASE WHEN i = 5 THEN " waits " END "      \
    "FROM generate_series(1, 5) i"
#define ROWS  ROWS_AND("waits()")


async_rc_t
pg(async_t *co, void *arg)
{
    (void) arg;

    return await_pg(co, "db", NULL, "SELECT waits()");
}


async_rc_t
pg_pipeline(async_t *co, void *arg)
{
    async_pg_statement_t  s[] = {
        ASYNC_PG("SELECT 1"), ASYNC_PG("SELECT waits()"), ASYNC_PG("SELECT 2")
    };

    (void) arg;

    return await_pg_pipeline(co, "db", s, 3, 0);
}


/* A pool for each of the two, with one connection, which a child has */

static const char *
pool(scene_t *s)
{
    return s->id[strlen(s->id) - 1] == '1' ? "one" : "two";
}


async_rc_t
has_connection(async_t *co, void *arg)
{
    scene_t  *s = arg;

    ASYNC_TRY(await_pg_begin(co, pool(s), 0));
    s->held = 1;
    ASYNC_TRY(await_pg(co, pool(s), NULL, "SELECT waits()"));

    return await_pg_rollback(co, pool(s));
}


async_rc_t
pg_begin(async_t *co, void *arg)
{
    ASYNC_TRY(await_pg_begin(co, pool(arg), 0));
    ASYNC_TRY(await_pg_rollback(co, pool(arg)));

    /* the deadline may have ended whoever had it first */
    return await_yield(co);
}


/* a constraint waits at the end of a transaction */

async_rc_t
pg_begun(async_t *co, void *arg)
{
    (void) arg;

    ASYNC_TRY(await_pg_begin(co, "db", 0));

    return await_pg(co, "db", NULL, "INSERT INTO late VALUES (1)");
}


async_rc_t
pg_commit(async_t *co, void *arg)
{
    (void) arg;

    return await_pg_commit(co, "db");
}


/*
 * A stream that waits for the gate, whatever cancels it: the server sends its
 * process the signal for that twice.
 */

async_rc_t
pg_stream(async_t *co, void *arg)
{
    return await_pg_stream(co, "db", &((scene_t *) arg)->stream,
                           "SELECT waits()");
}


async_rc_t
pg_streams(async_t *co, void *arg)
{
    return await_pg_stream(co, "db", &((scene_t *) arg)->stream, ROWS);
}


async_rc_t
pg_next(async_t *co, void *arg)
{
    int                 n = -1;
    async_pg_result_t  *row;

    do {
        ASYNC_TRY(await_pg_next(co, ((scene_t *) arg)->stream, &row));
        n++;
    } while (row);

    return n == 5 ? ASYNC_OK : ASYNC_INVALID;
}


async_rc_t
pg_copy(async_t *co, void *arg)
{
    return await_pg_copy(co, "db", &((scene_t *) arg)->copy,
                         "COPY (SELECT waits()) TO STDOUT");
}


async_rc_t
pg_copies(async_t *co, void *arg)
{
    return await_pg_copy(co, "db", &((scene_t *) arg)->copy,
                         "COPY (" ROWS ") TO STDOUT");
}


async_rc_t
pg_copy_get(async_t *co, void *arg)
{
    size_t       len = 0;
    async_str_t  data;

    do {
        ASYNC_TRY(await_pg_copy_get(co, ((scene_t *) arg)->copy, &data));
        len += data.len;
    } while (data.len);

    return len > 5 * 9000 ? ASYNC_OK : ASYNC_INVALID;
}


async_rc_t
pg_takes(async_t *co, void *arg)
{
    return await_pg_copy(co, "db", &((scene_t *) arg)->copy,
                         "COPY taken FROM STDIN");
}


async_rc_t
pg_copy_put(async_t *co, void *arg)
{
    scene_t  *s = arg;

    for (int i = 0; i < 8; i++) {
        ASYNC_TRY(await_pg_copy_put(co, s->copy, letters(), MUCH));
        ASYNC_TRY(await_pg_copy_put(co, s->copy, "\n", 1));
    }

    return await_pg_copy_close(co, s->copy, NULL);
}


async_rc_t
pg_takes_one(async_t *co, void *arg)
{
    ASYNC_TRY(pg_takes(co, arg));

    return await_pg_copy_put(co, ((scene_t *) arg)->copy, "one\n", 4);
}


async_rc_t
pg_copy_close(async_t *co, void *arg)
{
    return await_pg_copy_close(co, ((scene_t *) arg)->copy, NULL);
}


async_rc_t
pg_listen(async_t *co, void *arg)
{
    return await_pg_listen(co, "far", "gate", &((scene_t *) arg)->listener);
}


async_rc_t
pg_listens(async_t *co, void *arg)
{
    return await_pg_listen(co, "db", "gate", &((scene_t *) arg)->listener);
}


async_rc_t
pg_notification(async_t *co, void *arg)
{
    async_pg_notification_t  n;

    return await_pg_notification(co, ((scene_t *) arg)->listener, &n);
}
