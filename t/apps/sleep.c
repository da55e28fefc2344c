
/*
 * Handlers of t/sleep.t.  What happened in which order is kept in "trace", a
 * text of this worker that /trace gives and clears.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>
#include <time.h>


#define TEN_YEARS  ((int64_t) 10 * 366 * 24 * 3600 * 1000)

static char  trace[65536];

/* told by /stop */
static int   stop_it;


static const char *
name_of(async_rc_t rc)
{
    return rc == ASYNC_OK ? "ok"
           : rc == ASYNC_TIMEOUT ? "timeout"
           : rc == ASYNC_CANCELLED ? "cancelled"
           : rc == ASYNC_ERROR ? "error"
           : "other";
}


static void
note(const char *fmt, const char *what)
{
    size_t  len = strlen(trace);

    snprintf(trace + len, sizeof(trace) - len, fmt, what);
}


ASYNC_HANDLER(show_trace)
{
    async_rc_t  rc;

    rc = async_text(req, 200, trace);
    trace[0] = '\0';

    return rc;
}


/* /nap/{tag}/{ms}: marks before and after */

ASYNC_HANDLER(nap)
{
    int64_t      ms;
    char         text[64];
    async_str_t  tag;

    ASYNC_TRY(async_path_int(req, "ms", &ms));
    tag = async_path(req, "tag");

    note("<%s", tag.data);
    ASYNC_TRY(await_sleep(co, ms));
    note("%s>", tag.data);

    snprintf(text, sizeof(text), "%s slept\n", tag.data);

    return async_text(req, 200, text);
}


/* The sleeps of three begin together, however far apart their clients came. */

ASYNC_HANDLER(nap_of_three)
{
    int64_t      ms;
    static int   came;
    async_str_t  tag;

    ASYNC_TRY(async_path_int(req, "ms", &ms));
    tag = async_path(req, "tag");

    note("%s", ".");

    for (came++; came < 3; /* void */ ) {
        ASYNC_TRY(await_yield(co));
    }

    ASYNC_TRY(await_sleep(co, ms));
    note("%s>", tag.data);

    return async_empty(req, 204);
}


ASYNC_HANDLER(naps)
{
    ASYNC_TRY(await_sleep(co, 0));
    ASYNC_TRY(await_sleep(co, 1));

    return async_text(req, 200, "zero and more\n");
}


/* each of these is refused, and the next await is as ever */

ASYNC_HANDLER(no_times)
{
    size_t      i, len;
    char        text[1024];
    async_rc_t  rc;

    static const int64_t  no_time[] = {
        -1, INT64_MIN, TEN_YEARS + 1, INT64_MAX
    };

    for (i = len = 0; i < sizeof(no_time) / sizeof(int64_t); i++) {
        rc = await_sleep(co, no_time[i]);

        len += (size_t) snprintf(text + len, sizeof(text) - len, "%s: %s\n",
                                 name_of(rc), async_error(co));

        ASYNC_TRY(await_sleep(co, 1));
    }

    return async_text(req, 200, text);
}


/* returns with the code of one that is refused */

ASYNC_HANDLER(no_time)
{
    ASYNC_TRY(await_sleep(co, -5));

    return async_text(req, 200, "slept\n");
}


/* does not look at the code, until /stop */

ASYNC_HANDLER(no_time_loop)
{
    async_rc_t  rc;

    stop_it = 0;

    do {
        rc = await_sleep(co, -5);
    } while (rc == ASYNC_ERROR && !stop_it);

    note("%s ", name_of(rc));

    return async_text(req, 200, "stopped\n");
}


/* as long as it may be: it is the timeout that ends it */

ASYNC_HANDLER(for_ever)
{
    ASYNC_TRY(await_sleep(co, TEN_YEARS));

    return async_text(req, 200, "for ever is over\n");
}


/* of every kind: integers, floating point, arrays, and what they point to */

ASYNC_HANDLER(locals)
{
    int       i, n, sum, a[256];
    char      text[128];
    double    d;
    uint64_t  u;

    sum = 0;
    d = 0.1;
    u = 0x0123456789abcdefULL;

    for (i = 0; i < 256; i++) {
        a[i] = i;
    }

    for (n = 0; n < 50; n++) {

        if (n % 2) {
            ASYNC_TRY(await_sleep(co, 1));

        } else {
            ASYNC_TRY(await_yield(co));
        }

        d += 0.1;
        u = u << 1 | u >> 63;
    }

    for (i = 0; i < 256; i++) {
        sum += a[i];
    }

    snprintf(text, sizeof(text), "%d %d %.1f %016llx\n", i, sum, d,
             (unsigned long long) u);

    return async_text(req, 200, text);
}


/* as many yields as it takes until another request has set it free */

static int  freed;


ASYNC_HANDLER(busy)
{
    freed = 0;

    while (!freed) {
        ASYNC_TRY(await_yield(co));
    }

    return async_text(req, 200, "freed\n");
}


ASYNC_HANDLER(release)
{
    freed = 1;

    return async_text(req, 200, "released\n");
}


/* the deadline sticks: its answer to all of this comes as a body */

ASYNC_HANDLER(sticky)
{
    char         text[256];
    async_rc_t   first, second, third, fourth;
    async_str_t  body;

    first = await_sleep(co, 60000);
    second = await_sleep(co, 60000);
    third = await_yield(co);
    fourth = await_body(co, req, &body);

    snprintf(text, sizeof(text), "%s %s %s %s: %s\n", name_of(first),
             name_of(second), name_of(third), name_of(fourth),
             async_error(co));

    return async_text(req, 200, text);
}


/* computes past its deadline, then awaits */

ASYNC_HANDLER(late)
{
    time_t  end;

    ASYNC_TRY(await_yield(co));

    end = time(NULL) + 2;

    while (time(NULL) < end) { /* void */ }

    ASYNC_TRY(await_sleep(co, 60000));

    return async_text(req, 200, "not too late?\n");
}


/* spins until the clock of the system is another one */

static void
spin(void)
{
    struct timespec  from, now;

    clock_gettime(CLOCK_MONOTONIC, &from);

    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - from.tv_sec) * 1000
             + (now.tv_nsec - from.tv_nsec) / 1000000 < 50);
}


static async_rc_t
tell_clocks(async_req_t *req, const char *at, int64_t time_ms, int64_t ms)
{
    char     text[128];
    int64_t  off = async_time_ms() - (int64_t) time(NULL) * 1000;

    snprintf(text, sizeof(text), "%s: %s, %s, %s\n", at,
             time_ms == 0 ? "still" : "on", ms == 0 ? "still" : "on",
             off > -60000 && off < 60000 ? "right" : "wrong");

    return async_text(req, 200, text);
}


ASYNC_HANDLER(clocks)
{
    int64_t  time_ms = async_time_ms(), ms = async_monotonic_ms();

    spin();

    return tell_clocks(req, "spun", async_time_ms() - time_ms,
                       async_monotonic_ms() - ms);
}


ASYNC_HANDLER(clocks_sleep)
{
    int64_t  time_ms = async_time_ms(), ms = async_monotonic_ms();

    ASYNC_TRY(await_sleep(co, 100));

    ms = async_monotonic_ms() - ms;

    return tell_clocks(req, "slept", async_time_ms() - time_ms,
                       ms >= 100 && ms < 60000);
}


BLOCKING_HANDLER(clocks_thread)
{
    int64_t  time_ms = async_time_ms(), ms = async_monotonic_ms();

    spin();

    ms = async_monotonic_ms() - ms;

    return tell_clocks(req, "in a thread", async_time_ms() - time_ms,
                       ms > 0 && ms < 60000);
}


/* does not take a no; ends when it is told to */

ASYNC_HANDLER(stubborn)
{
    unsigned long  n;

    stop_it = 0;

    for (n = 0; !stop_it; n++) {
        if (await_sleep(co, 60000) != ASYNC_OK) {
            note("%s", n == 0 ? "refused " : "");
        }
    }

    note("%s", "stopped ");

    return async_text(req, 200, "stopped\n");
}


ASYNC_HANDLER(stop_stubborn)
{
    stop_it = 1;

    return async_text(req, 200, "told\n");
}


ASYNC_HANDLER(error_text)
{
    char        text[256];
    const char  *before;
    async_rc_t  rc;

    before = async_error(co);
    rc = before == NULL || *before ? ASYNC_ERROR : await_sleep(co, 1);

    snprintf(text, sizeof(text), "%s [%s]\n", name_of(rc), async_error(co));

    return async_text(req, 200, text);
}


/* its client leaves */

ASYNC_HANDLER(left)
{
    async_rc_t  rc;

    note("%s", "waits ");
    rc = await_sleep(co, 60000);

    note("left %s: ", name_of(rc));
    note("%s", async_error(co));

    return rc;
}


/* awaits on the task of another request */

static async_t  *stranger;


ASYNC_HANDLER(lend)
{
    stranger = co;
    note("%s", "lent ");

    ASYNC_TRY(await_sleep(co, 60000));

    return async_text(req, 200, "lent\n");
}


ASYNC_HANDLER(borrow)
{
    if (stranger == NULL) {
        return async_text(req, 409, "nobody lends\n");
    }

    ASYNC_TRY(await_sleep(stranger, 1));

    return async_text(req, 200, "borrowed\n");
}


ASYNC_HANDLER(borrow_yield)
{
    if (stranger == NULL) {
        return async_text(req, 409, "nobody lends\n");
    }

    ASYNC_TRY(await_yield(stranger));

    return async_text(req, 200, "borrowed\n");
}
