/*
 * Processes: programs with their input and output, and functions that may be
 * ended in the middle, or crash, without harm to the worker.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>


/* POST /sort: the lines of the body in their order, by sort(1) */

ASYNC_HANDLER(sort_lines)
{
    const char       *argv[] = { "sort", NULL };
    const char       *env[] = { "LC_ALL=C", NULL };
    async_command_t   command = { .argv = argv, .env = env };

    ASYNC_TRY(await_body(co, req, &command.input));

    command.max = command.input.len + 1;
    command.flags = ASYNC_PROCESS_CHECK;

    ASYNC_TRY(await_process(co, &command));

    return async_bytes(req, 200, "text/plain; charset=utf-8",
                       command.output.data, command.output.len);
}


/*
 * GET /factor/{n}, by factor(1), which knows best what a number is.  What comes
 * from a client stands behind "--", where it cannot be an option.
 */

ASYNC_HANDLER(factor)
{
    async_str_t       n;
    const char       *argv[] = { "factor", "--", NULL, NULL };
    async_command_t   command = { .argv = argv };

    ASYNC_TRY(async_path_str(req, "n", &n));

    argv[2] = n.data;

    ASYNC_TRY(await_process(co, &command));

    return (command.status == 0)
           ? async_text(req, 200, command.output.data)
           : async_fail(req, 422, command.errors.data);
}


/*
 * POST /gzip: a body of any length, compressed while it comes.  One task
 * writes, the other one reads; each waits when the pipe is full or empty.
 */

typedef struct {
    async_req_t      *req;
    async_process_t  *gzip;
} gzip_t;


static async_rc_t
body_to_gzip(async_t *co, void *arg)
{
    char     buf[16384];
    size_t   n;
    gzip_t  *g = arg;

    do {
        ASYNC_TRY(await_body_read(co, g->req, buf, sizeof(buf), &n));
        ASYNC_TRY(await_process_put(co, g->gzip, buf, n));
    } while (n);

    return async_process_eof(co, g->gzip);
}


static async_rc_t
gzip_to_client(async_t *co, void *arg)
{
    char     buf[16384];
    size_t   n;
    gzip_t  *g = arg;

    for ( ;; ) {
        ASYNC_TRY(await_process_get(co, g->gzip, buf, sizeof(buf), &n));

        if (n == 0) {
            return ASYNC_OK;
        }

        ASYNC_TRY(await_send(co, g->req, buf, n));
    }
}


ASYNC_HANDLER(gzip)
{
    gzip_t            g = { req, NULL };
    async_work_t      work[] = { { .fn = body_to_gzip, .arg = &g },
                                 { .fn = gzip_to_client, .arg = &g } };
    const char       *argv[] = { "gzip", "-c", NULL };
    async_command_t   command = { .argv = argv, .flags = ASYNC_PROCESS_CHECK };

    ASYNC_TRY(await_process_open(co, &command, &g.gzip));
    ASYNC_TRY(async_stream(req, 200, "application/gzip", -1));
    ASYNC_TRY(await_all(co, work, 2));

    /* without ASYNC_OK the client gets no proper end */

    return await_process_close(co, g.gzip, &command);
}


/*
 * GET /primes/{n}: counts them in a process of its own.  When the client goes
 * or the deadline passes, the process is ended in the middle.
 */

typedef struct {
    int64_t  below;
    int64_t  count;
} primes_t;


ASYNC_PROCESS(count_primes)
{
    int64_t    n, i;
    primes_t  *p = arg;

    if (p->below > 100000000) {
        return async_thread_fail(ASYNC_ERROR, "%lld is too much",
                                 (long long) p->below);
    }

    for (n = 2; n < p->below; n++) {

        for (i = 2; i * i <= n && n % i; i++) {
            /* void */
        }

        p->count += (i * i > n);
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(primes)
{
    primes_t  p = { 0, 0 };

    ASYNC_TRY(async_path_int(req, "n", &p.below));
    ASYNC_TRY(await_process_call(co, count_primes, &p));

    return async_json_pack(req, 200, "{s:I, s:I}", "below",
                           (json_int_t) p.below, "primes",
                           (json_int_t) p.count);
}


/* GET /crash: what one cannot trust ends its own process only */

ASYNC_PROCESS(trust_me)
{
    int  *length = arg;

    fprintf(stderr, "a length of %d\n", *length);

    if (*length < 0) {
        abort();
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(crash)
{
    int  length = -1;

    if (await_process_call(co, trust_me, &length) == ASYNC_ERROR) {
        return async_fail(req, 502, async_error(co));
    }

    return async_text(req, 200, "It went well.\n");
}
