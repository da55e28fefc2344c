
/*
 * Handlers of t/upload.t: request bodies in pieces.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


typedef struct {
    int64_t   len;
    int64_t   pieces;
    int64_t   wrong;
    unsigned  size;
} sum_t;


/* whether the body is "abc…zabc…", and how long */

static async_rc_t
sums(async_t *co, async_req_t *req, sum_t *sum, int64_t most)
{
    char    *buf;
    size_t   i, n;

    buf = async_alloc(req, sum->size);

    do {
        ASYNC_TRY(await_body_read(co, req, buf, sum->size, &n));

        for (i = 0; i < n; i++) {
            sum->wrong += (buf[i] != (char) ('a' + (sum->len + i) % 26));
        }

        sum->len += n;
        sum->pieces++;

    } while (n && sum->len < most);

    return ASYNC_OK;
}


static async_rc_t
answer(async_req_t *req, const sum_t *sum)
{
    return async_json_pack(req, 200, "{s:I, s:I}", "len",
                           (json_int_t) sum->len, "wrong",
                           (json_int_t) sum->wrong);
}


ASYNC_HANDLER(count)
{
    int64_t     size;
    sum_t       sum = { 0 };
    async_rc_t  rc;

    ASYNC_TRY(async_query_int_or(req, "size", &size, 65536));
    sum.size = (unsigned) size;

    rc = sums(co, req, &sum, INT64_MAX);

    if (rc != ASYNC_OK) {
        async_log(req, ASYNC_LOG_NOTICE, "<read %d after %d: %s>", rc,
                  (int) sum.len, async_error(co));
        return rc;
    }

    return answer(req, &sum);
}


/* the first bytes suffice */

ASYNC_HANDLER(some)
{
    sum_t  sum = { .size = 10 };

    ASYNC_TRY(sums(co, req, &sum, 10));

    return answer(req, &sum);
}


/* slower than the client */

ASYNC_HANDLER(lazy)
{
    char     buf[4096];
    size_t   n, len = 0;

    do {
        ASYNC_TRY(await_sleep(co, 5));
        ASYNC_TRY(await_body_read(co, req, buf, sizeof(buf), &n));
        len += n;
    } while (n);

    return async_json_pack(req, 200, "{s:I}", "len", (json_int_t) len);
}


/* what comes goes back */

ASYNC_HANDLER(echo)
{
    char    *buf;
    size_t   n;

    buf = async_alloc(req, 65536);

    ASYNC_TRY(async_stream(req, 200, "text/plain", -1));

    for ( ;; ) {
        ASYNC_TRY(await_body_read(co, req, buf, 65536, &n));

        if (n == 0) {
            return ASYNC_OK;
        }

        ASYNC_TRY(await_send(co, req, buf, n));
    }
}


/* with the other ways to read */

ASYNC_HANDLER(mixed)
{
    int          rc;
    sum_t        sum = { .size = 7 };
    async_str_t  body;

    if (async_query(req, "first").data) {
        ASYNC_TRY(await_body(co, req, &body));
    }

    ASYNC_TRY(sums(co, req, &sum, INT64_MAX));

    rc = await_body(co, req, &body);

    return async_json_pack(req, 200, "{s:I, s:i}", "len",
                           (json_int_t) sum.len, "rc", rc);
}


static async_rc_t
reads(async_t *co, void *arg)
{
    char    buf[10];
    size_t  n;

    return await_body_read(co, (async_req_t *) arg, buf, sizeof(buf), &n);
}


ASYNC_HANDLER(both)
{
    int             rc;
    async_child_t  *child;

    child = async_spawn(co, reads, req);

    ASYNC_TRY(await_sleep(co, 20));

    rc = reads(co, req);

    async_cancel(child);

    return async_json_pack(req, 200, "{s:i, s:i}", "rc", rc, "child",
                           await_join(co, child));
}


ASYNC_HANDLER(within)
{
    int    rc;
    sum_t  sum = { .size = 100 };

    {
        ASYNC_DEADLINE(co, 100);

        rc = sums(co, req, &sum, INT64_MAX);
    }

    async_log(req, ASYNC_LOG_NOTICE, "<within %d>", rc);

    ASYNC_TRY(sums(co, req, &sum, INT64_MAX));

    return async_json_pack(req, 200, "{s:i, s:I}", "rc", rc, "len",
                           (json_int_t) sum.len);
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}
