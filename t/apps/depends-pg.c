
/*
 * Dependencies of t/depends-pg.t: a row of PostgreSQL, for threads, too.
 */

#include <ngx_async.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


#define LEN  1000000


ASYNC_DEPENDENCY(row, const char)
{
    async_pg_result_t  *result;

    ASYNC_TRY(await_pg(co, "db", &result,
                       "SELECT repeat('x', $1::int) AS text",
                       ASYNC_INT(LEN)));

    return async_provide(req, async_pg_text(result, 0, "text").data);
}


/* waits until the gate is opened, then says whether the row is whole */

BLOCKING_HANDLER(late, ASYNC_DEPENDS(row))
{
    int          fd;
    char         c, dir[256], path[300];
    size_t       i;
    const char  *text;

    snprintf(dir, sizeof(dir), "%s", async_param(req, "dir").data);
    snprintf(path, sizeof(path), "%s/begun", dir);

    text = row_of(req);
    fd = open(path, O_WRONLY|O_CREAT, 0644);

    if (fd == -1) {
        return async_fail(req, 500, "no file");
    }

    (void) close(fd);
    snprintf(path, sizeof(path), "%s/gate", dir);

    fd = open(path, O_RDONLY);

    if (fd == -1 || read(fd, &c, 1) == -1) {
        return async_fail(req, 500, "no gate");
    }

    (void) close(fd);

    for (i = 0; i < LEN && text[i] == 'x'; i++) {
        /* void */
    }

    snprintf(path, sizeof(path), "%s/%s", dir,
             i == LEN ? "whole" : "torn");
    fd = open(path, O_WRONLY|O_CREAT, 0644);

    if (fd != -1) {
        (void) close(fd);
    }

    return async_text(req, 200, i == LEN ? "whole" : "torn");
}


/* takes memory that is free */

ASYNC_HANDLER(fill)
{
    int                 i;
    async_pg_result_t  *result;

    for (i = 0; i < 8; i++) {
        ASYNC_TRY(await_pg(co, "db", &result, "SELECT repeat('y', $1::int)",
                           ASYNC_INT(LEN)));
    }

    return async_empty(req, 204);
}
