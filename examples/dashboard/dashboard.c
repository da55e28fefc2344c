/*
 * A dashboard: a plot of this machine that moves in every browser that looks
 * at it.
 *
 * One worker measures, and publishes the values on a channel; whoever watches
 * gets them by server-sent events or by WebSocket, whichever he likes, and the
 * last minute of them at once.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <ngx_async.h>


#define MINUTE  60              /* values, one a second: see nginx.conf */
#define SLICE   2000            /* ms; of this and the next is counted */


typedef struct {
    int64_t   at;               /* ms since 1970 */
    double    cpu;              /* percent */
    double    memory;
    int64_t   viewers;
} value_t;

ASYNC_MODEL(value_model, value_t,
    ASYNC_FIELD(value_t, at),
    ASYNC_FIELD(value_t, cpu),
    ASYNC_FIELD(value_t, memory),
    ASYNC_FIELD(value_t, viewers)
);

/* what is published, one value, and what is kept, a minute of them */

typedef struct {
    value_t  *values;
    size_t    n_values;
} values_t;

ASYNC_MODEL(values_model, values_t,
    ASYNC_OBJECTS(values_t, values, n_values, value_model)
);


/*
 * How many watch, over all workers.  Each worker adds its own to a number of
 * this slice of time, and of the next one, which others then find there; one
 * that dies adds to none any more, so that its viewers are forgotten with the
 * slices.
 */

static int64_t  viewers;        /* of this worker */

static struct {
    int64_t  slice;
    int64_t  added;
} counted[2];


static async_rc_t
count_in(async_t *co, int64_t slice, int64_t *all)
{
    char     key[40];
    int64_t  delta;

    if (counted[slice % 2].slice != slice) {
        counted[slice % 2].slice = slice;
        counted[slice % 2].added = 0;
    }

    delta = viewers - counted[slice % 2].added;
    counted[slice % 2].added = viewers;

    snprintf(key, sizeof(key), "viewers:%" PRId64, slice);

    return async_shared_incr(co, "dashboard", key, delta, 3 * SLICE, all);
}


static async_rc_t
count(async_t *co, int64_t *all)
{
    int64_t  slice = async_time_ms() / SLICE;

    ASYNC_TRY(count_in(co, slice, all));

    return count_in(co, slice + 1, NULL);
}


/* The directive async_every has each worker do this more than once a slice. */

ASYNC_PERIODIC(count_viewers)
{
    return count(co, NULL);
}


static void
forget_viewer(async_t *co, void *arg)
{
    (void) arg;

    viewers--;

    if (count(co, NULL) != ASYNC_OK) {
        async_task_log(co, ASYNC_LOG_ERROR, "not counted: %s", async_error(co));
    }
}


static async_rc_t
count_viewer(async_t *co)
{
    viewers++;
    ASYNC_TRY(async_defer(co, forget_viewer, NULL));

    return count(co, NULL);
}


/*
 * Percent of the time since the last call that some processor has worked: from
 * the first line of /proc/stat, see proc_stat(5).  What is static may begin
 * anew, in another worker; then it is since the machine has started.
 */

static double
cpu_load(const char *stat)
{
    int             i;
    double          load;
    int64_t         all, idle, t[8] = { 0 };
    static int64_t  old_all, old_idle;

    sscanf(stat, "cpu %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
           " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64,
           &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]);

    for (i = 0, all = 0; i < 8; i++) {
        all += t[i];
    }

    idle = t[3] + t[4];         /* that of waiting for a disk, too */

    load = (all > old_all)
               ? 100.0 - 100.0 * (double) (idle - old_idle)
                         / (double) (all - old_all)
               : 0;

    old_all = all;
    old_idle = idle;

    return load < 0 ? 0 : load > 100 ? 100 : load;
}


/* Percent of the memory that is in use: from /proc/meminfo, in kB. */

static double
memory_used(const char *meminfo)
{
    int64_t      total = 0, available = 0;
    const char  *line = strstr(meminfo, "MemAvailable:");

    sscanf(meminfo, "MemTotal: %" SCNd64, &total);

    if (line) {
        sscanf(line, "MemAvailable: %" SCNd64, &available);
    }

    return total ? 100.0 * (double) (total - available) / (double) total : 0;
}


/* The text of the last minute; none yet: an empty one. */

static async_rc_t
last_minute(async_t *co, async_str_t *text)
{
    ASYNC_TRY(async_shared_get(co, "dashboard", "minute", text));

    if (text->data == NULL) {
        text->data = "{\"values\":[]}";
        text->len = strlen(text->data);
    }

    return ASYNC_OK;
}


/* Only one worker does this at a time: see async_every. */

static async_rc_t
remember(async_t *co, const value_t *value)
{
    size_t       n;
    value_t      kept[MINUTE];
    values_t     minute;
    async_str_t  text;

    ASYNC_TRY(last_minute(co, &text));
    ASYNC_TRY(async_into(co, text, &values_model, &minute));

    n = minute.n_values < MINUTE ? minute.n_values : MINUTE - 1;

    if (n) {
        memcpy(kept, minute.values + minute.n_values - n, n * sizeof(value_t));
    }

    kept[n] = *value;
    minute.values = kept;
    minute.n_values = n + 1;

    ASYNC_TRY(async_encode(co, &values_model, &minute, &text));

    return async_shared_set(co, "dashboard", "minute", text.data, text.len,
                            MINUTE * 1000);
}


ASYNC_PERIODIC(measure)
{
    value_t      value;
    values_t     values = { .values = &value, .n_values = 1 };
    async_str_t  stat, meminfo;

    ASYNC_TRY(await_file_read(co, "/proc", "stat", 1 << 20, &stat));
    ASYNC_TRY(await_file_read(co, "/proc", "meminfo", 1 << 20, &meminfo));

    value.at = async_time_ms();
    value.cpu = cpu_load(stat.data);
    value.memory = memory_used(meminfo.data);
    ASYNC_TRY(count(co, &value.viewers));

    ASYNC_TRY(remember(co, &value));

    return async_publish_model(co, "values", &values_model, &values);
}


/*
 * Those who watch.  They subscribe before they look at the last minute, so that
 * no value is between the two; one that is in both is no matter to the page.
 */

ASYNC_HANDLER(watch_events)
{
    async_str_t               minute;
    async_sse_t               event = { .retry = 2000 };
    async_subscription_t     *values;
    async_channel_message_t   m;

    ASYNC_TRY(count_viewer(co));
    ASYNC_TRY(async_subscribe(co, "values", NULL, &values));
    ASYNC_TRY(last_minute(co, &minute));

    event.data = minute.data;
    ASYNC_TRY(await_sse(co, req, &event));
    event.retry = 0;            /* once suffices */

    for ( ;; ) {
        ASYNC_TRY(await_channel(co, values, &m));

        event.data = m.data;
        ASYNC_TRY(await_sse(co, req, &event));
    }
}


ASYNC_HANDLER(watch_socket)
{
    async_str_t         minute;
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(count_viewer(co));
    ASYNC_TRY(async_ws_subscribe(co, req, "values", ASYNC_WS_TEXT, NULL));
    ASYNC_TRY(last_minute(co, &minute));
    ASYNC_TRY(await_ws_send_text(co, req, minute.data));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));   /* until it goes */
    }
}
