
/*
 * Server-sent events: a page with a clock and a counter that the server keeps
 * going, and a countdown that ends.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ngx_async.h>


/* How many watch /events in this worker. */

static int  watching;


static const char  html[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>Server-sent events</title>\n"
    "<style>\n"
    "  :root { color-scheme: light dark }\n"
    "  body { font: 1.1rem/1.5 system-ui, sans-serif; text-align: center;\n"
    "         max-width: 26rem; margin: 12vh auto; padding: 0 1rem }\n"
    "  #time { font-size: 4rem; font-weight: 200; margin: 0;\n"
    "          font-variant-numeric: tabular-nums }\n"
    "  button { font: inherit; padding: .6rem 1.6rem; border-radius: 2rem;\n"
    "           border: 1px solid; background: none; color: inherit;\n"
    "           min-width: 11rem }\n"
    "  button:disabled { opacity: .6 }\n"
    "</style>\n"
    "<p id=\"time\">--:--:--</p>\n"
    "<p>UTC, event <b id=\"count\">0</b>,\n"
    "   watched by <b id=\"watching\">0</b>,\n"
    "   <span id=\"state\">connecting</span></p>\n"
    "<p><button id=\"start\">Count down</button></p>\n"
    "<script>\n"
    "  const show = (id, text) =>\n"
    "      document.getElementById(id).textContent = text;\n"
    "\n"
    "  const events = new EventSource('/events');\n"
    "  events.onopen = () => show('state', 'live');\n"
    "  events.onerror = () => show('state', 'connecting again');\n"
    "  events.onmessage = (e) => {\n"
    "      const now = JSON.parse(e.data);\n"
    "      for (const id in now) show(id, now[id]);\n"
    "  };\n"
    "\n"
    "  document.getElementById('start').onclick = (e) => {\n"
    "      const button = e.target;\n"
    "      const countdown = new EventSource('/countdown?from=5');\n"
    "      const end = (text) => {\n"
    "          countdown.close();   /* or it would connect again */\n"
    "          button.textContent = text;\n"
    "          button.disabled = false;\n"
    "      };\n"
    "      button.disabled = true;\n"
    "      countdown.onmessage = (e) => button.textContent = e.data;\n"
    "      countdown.addEventListener('end', (e) => end(e.data));\n"
    "      countdown.onerror = () => end('Count down');\n"
    "  };\n"
    "</script>\n";


ASYNC_HANDLER(page)
{
    return async_html(req, 200, html);
}


/* However the client goes: by its own will, its network's or the server's. */

static void
leave(async_t *co, void *arg)
{
    watching--;
    async_task_log(co, ASYNC_LOG_INFO, "a watcher has left, %d stay", watching);
}


/* A long wait, with a sign of life now and then */

static async_rc_t
await_alive(async_t *co, async_req_t *req, int64_t ms)
{
    int64_t      heartbeat;
    async_str_t  param;
    async_sse_t  alive = { .comment = "still here" };

    param = async_param(req, "heartbeat");
    heartbeat = param.data ? atoi(param.data) : 15000;

    for ( /* void */ ; ms > heartbeat && heartbeat > 0; ms -= heartbeat) {
        ASYNC_TRY(await_sleep(co, heartbeat));
        ASYNC_TRY(await_sse(co, req, &alive));
    }

    return await_sleep(co, ms);
}


/*
 * /events?every=MS  for ever, until the client goes.  A browser that comes back
 * tells the id of the last event that it has seen, and goes on after it.
 */

ASYNC_HANDLER(events)
{
    char         id[24], data[96], clock[16];
    time_t       now;
    int64_t      count, every;
    struct tm    tm;
    async_str_t  last;
    async_sse_t  event = { .data = data, .id = id, .retry = 2000 };

    ASYNC_TRY(async_query_int_or(req, "every", &every, 1000));

    if (every < 10 || every > 3600000) {
        return async_fail(req, 422, "every must be from 10 to 3600000");
    }

    last = async_header(req, "last-event-id");
    count = last.data ? strtoll(last.data, NULL, 10) : 0;

    if (count < 0 || count > INT32_MAX) {
        count = 0;                         /* not one of ours */
    }

    watching++;
    ASYNC_TRY(async_defer(co, leave, NULL));

    for ( ;; ) {
        now = time(NULL);
        strftime(clock, sizeof(clock), "%H:%M:%S", gmtime_r(&now, &tm));

        snprintf(id, sizeof(id), "%" PRId64, ++count);
        snprintf(data, sizeof(data), "{\"count\":%" PRId64 ",\"time\":\"%s\","
                 "\"watching\":%d}", count, clock, watching);

        ASYNC_TRY(await_sse(co, req, &event));
        ASYNC_TRY(await_alive(co, req, every));

        event.retry = 0;                   /* once suffices */
    }
}


/* /countdown?from=N  numbers down to 1, one a second, then the event "end" */

ASYNC_HANDLER(countdown)
{
    char         data[24];
    int64_t      from;
    async_sse_t  event = { .data = data };
    async_sse_t  end = { .event = "end", .data = "Liftoff!" };

    ASYNC_TRY(async_query_int_or(req, "from", &from, 10));

    if (from < 1 || from > 60) {
        return async_fail(req, 422, "from must be from 1 to 60");
    }

    for ( /* void */ ; from > 0; from--) {
        snprintf(data, sizeof(data), "%" PRId64, from);

        ASYNC_TRY(await_sse(co, req, &event));
        ASYNC_TRY(await_sleep(co, 1000));
    }

    return await_sse(co, req, &end);
}
