
/* t/overload.t: what holds the loop, what takes memory, and others. */

#include <ngx_async.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


static int
over(async_req_t *req)
{
    async_str_t  file;

    file = async_param(req, "over");

    return access(file.data, F_OK) == 0;
}


static void
spin(long ms)
{
    struct timespec  now, end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += ms * 1000000;

    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - end.tv_sec) * 1000000000L
             + now.tv_nsec - end.tv_nsec < 0);
}


/* turns of 200 ms each, until the file is there */

ASYNC_HANDLER(grind)
{
    while (!over(req)) {
        spin(200);
        ASYNC_TRY(await_yield(co));
    }

    return async_text(req, 200, "ground");
}


/* a single long turn */

ASYNC_HANDLER(burst)
{
    spin(700);

    return async_text(req, 200, "burst");
}


/* so many megabytes, until the file is there */

ASYNC_HANDLER(hog)
{
    char        *p;
    size_t       size;
    async_rc_t   rc;

    size = (size_t) 900 * 1024 * 1024;

    p = malloc(size);
    if (p == NULL) {
        return async_fail(req, 500, "no memory");
    }

    memset(p, 1, size);

    do {
        rc = await_sleep(co, 20);
    } while (rc == ASYNC_OK && !over(req));

    free(p);

    ASYNC_TRY(rc);

    return async_text(req, 200, "fed");
}


ASYNC_HANDLER(ok)
{
    return async_text(req, 200, "ok");
}


ASYNC_HANDLER(chat)
{
    ASYNC_TRY(await_ws_accept(co, req, NULL));

    return ASYNC_OK;
}
