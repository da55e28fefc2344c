
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_overload.  A timer looks ten times a second: it comes
 * late by what the loop takes for a turn.  As with CoDel (RFC 8289) one late
 * turn is a burst, which passes by itself; what counts is the least lateness
 * of some turns, one after another.
 */

#include <ngx_http_async_overload.h>
#include <malloc.h>


/* milliseconds */
#define NGX_HTTP_ASYNC_OVERLOAD_BEAT   100
#define NGX_HTTP_ASYNC_OVERLOAD_LEAST  10

/* so many turns must have been late */
#define NGX_HTTP_ASYNC_OVERLOAD_TURNS  3


enum {
    NGX_HTTP_ASYNC_OVERLOAD_SHEDDING = 0,
    NGX_HTTP_ASYNC_OVERLOAD_BY_LAG,
    NGX_HTTP_ASYNC_OVERLOAD_BY_MEMORY,
    NGX_HTTP_ASYNC_OVERLOAD_TIMES
};


static void ngx_http_async_overload_beat(ngx_event_t *ev);
static ngx_http_async_overload_e ngx_http_async_overload_look(ngx_msec_t now);
static size_t ngx_http_async_overload_memory(void);
static void ngx_http_async_overload_set(ngx_http_async_overload_e why,
    ngx_msec_t now);
static ngx_msec_t ngx_http_async_overload_clock(void);


static const ngx_async_stats_field_t  ngx_http_async_overload_fields[] = {
    { NGX_HTTP_ASYNC_OVERLOAD_SHEDDING, "shedding", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Workers that refuse requests now" },
    { NGX_HTTP_ASYNC_OVERLOAD_BY_LAG, "shed_lag", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Requests refused since the loop was late" },
    { NGX_HTTP_ASYNC_OVERLOAD_BY_MEMORY, "shed_memory",
      NGX_ASYNC_STATS_COUNT, NGX_ASYNC_STATS_NUMBER,
      "Requests refused for the worker's memory" },
    { NGX_HTTP_ASYNC_OVERLOAD_TIMES, "times", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "How often that began" },
    { 0, NULL, 0, 0, NULL }
};

static const ngx_async_stats_family_t  ngx_http_async_overload_family = {
    "overload", NULL, ngx_http_async_overload_fields
};


ngx_http_async_overload_e  ngx_http_async_overloaded;

/* of this worker */
static ngx_http_async_overload_conf_t  *ngx_http_async_overload_conf;
static ngx_event_t                      ngx_http_async_overload_event;
static ngx_msec_t                       ngx_http_async_overload_due;
static ngx_uint_t                       ngx_http_async_overload_late;
static ngx_msec_t                       ngx_http_async_overload_lag;
static size_t                           ngx_http_async_overload_used;
static ngx_msec_t                       ngx_http_async_overload_since;
static ngx_uint_t                       ngx_http_async_overload_refused;

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t                 ngx_http_async_overload_no_connection;


char *
ngx_http_async_overload(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_loc_conf_t  *lcf = conf;

    ssize_t                          size;
    ngx_int_t                        ms;
    ngx_str_t                       *value, s;
    ngx_uint_t                       i;
    ngx_http_async_main_conf_t      *mcf;
    ngx_http_async_overload_conf_t  *oc;

    if (lcf->overload != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        lcf->overload = 0;
        return NGX_CONF_OK;
    }

    if (cf->cmd_type != NGX_HTTP_MAIN_CONF) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the bounds of \"async_overload\" are those of a "
                           "worker, and belong into the http block; here it "
                           "may be \"off\", for requests that are never "
                           "refused");
        return NGX_CONF_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_module);
    oc = &mcf->overload;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "lag=", 4) == 0) {
            s.data = value[i].data + 4;
            s.len = value[i].len - 4;

            ms = ngx_parse_time(&s, 0);

            if (ms == NGX_ERROR || ms < NGX_HTTP_ASYNC_OVERLOAD_LEAST) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" is no time of %d ms or more, it "
                                   "is one like lag=500ms", &value[i],
                                   NGX_HTTP_ASYNC_OVERLOAD_LEAST);
                return NGX_CONF_ERROR;
            }

            oc->lag = ms;
            continue;
        }

        if (ngx_strncmp(value[i].data, "memory=", 7) == 0) {
            s.data = value[i].data + 7;
            s.len = value[i].len - 7;

            size = ngx_parse_offset(&s);

            if (size <= 0) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" is no size, it is one like "
                                   "memory=500m", &value[i]);
                return NGX_CONF_ERROR;
            }

            oc->memory = size;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown parameter \"%V\": there are \"lag=time\" "
                           "and \"memory=size\", or \"off\" alone",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    lcf->overload = 1;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_async_overload_stats(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf)
{
    if (mcf->overload.lag == 0 && mcf->overload.memory == 0) {
        return NGX_OK;
    }

    return ngx_async_stats_add(cf, &mcf->stats, &mcf->overload.stats,
                               &ngx_http_async_overload_family, NULL);
}


void
ngx_http_async_overload_init(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf)
{
    ngx_event_t                     *ev;
    ngx_http_async_overload_conf_t  *oc;

    oc = &mcf->overload;

    if (oc->lag == 0 && oc->memory == 0) {
        return;
    }

    ngx_http_async_overload_conf = oc;
    ngx_http_async_overload_no_connection.fd = (ngx_socket_t) -1;

    ev = &ngx_http_async_overload_event;

    ev->handler = ngx_http_async_overload_beat;
    ev->data = &ngx_http_async_overload_no_connection;
    ev->log = cycle->log;
    ev->cancelable = 1;

    /* lateness counts from the first turn of the loop */
    ngx_add_timer(ev, 1);
}


void
ngx_http_async_overload_exit(void)
{
    if (ngx_http_async_overload_event.timer_set) {
        ngx_del_timer(&ngx_http_async_overload_event);
    }

    ngx_http_async_overloaded = NGX_HTTP_ASYNC_OVERLOAD_NONE;
}


static void
ngx_http_async_overload_beat(ngx_event_t *ev)
{
    ngx_msec_t                 now;
    ngx_http_async_overload_e  why;

    now = ngx_http_async_overload_clock();
    why = ngx_http_async_overload_look(now);

    if (why != ngx_http_async_overloaded) {
        ngx_http_async_overload_set(why, now);
    }

    /* nginx counts from its own clock, which may be that of a while ago */

    ngx_time_update();
    ngx_http_async_overload_due = ngx_http_async_overload_clock()
                                  + NGX_HTTP_ASYNC_OVERLOAD_BEAT;

    ngx_add_timer(ev, NGX_HTTP_ASYNC_OVERLOAD_BEAT);
}


static ngx_http_async_overload_e
ngx_http_async_overload_look(ngx_msec_t now)
{
    ngx_msec_t                       due, lag;
    ngx_http_async_overload_conf_t  *oc;

    oc = ngx_http_async_overload_conf;
    due = ngx_http_async_overload_due;

    lag = (due && (ngx_msec_int_t) (now - due) > 0) ? now - due : 0;

    if (oc->lag && lag >= oc->lag) {

        if (ngx_http_async_overload_late++ == 0
            || lag < ngx_http_async_overload_lag)
        {
            ngx_http_async_overload_lag = lag;
        }

    } else {
        ngx_http_async_overload_late = 0;
    }

    if (ngx_http_async_overload_late >= NGX_HTTP_ASYNC_OVERLOAD_TURNS) {
        return NGX_HTTP_ASYNC_OVERLOAD_LAG;
    }

    if (oc->memory == 0 || ngx_async_ntasks == 0) {
        /* nobody is there who could give memory back */
        return NGX_HTTP_ASYNC_OVERLOAD_NONE;
    }

    ngx_http_async_overload_used = ngx_http_async_overload_memory();

    return (ngx_http_async_overload_used > oc->memory)
           ? NGX_HTTP_ASYNC_OVERLOAD_MEMORY : NGX_HTTP_ASYNC_OVERLOAD_NONE;
}


/*
 * Resident, and not shared with other processes, proc(5).  0: it cannot be
 * told.
 */

static size_t
ngx_http_async_overload_memory(void)
{
    int            fd;
    char           buf[128];
    ssize_t        n;
    unsigned long  resident, shared;

    fd = open("/proc/self/statm", O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return 0;
    }

    n = read(fd, buf, sizeof(buf) - 1);

    (void) close(fd);

    if (n <= 0) {
        return 0;
    }

    buf[n] = '\0';

    if (sscanf(buf, "%*s %lu %lu", &resident, &shared) != 2
        || resident < shared)
    {
        return 0;
    }

    return (resident - shared) * ngx_pagesize;
}


static void
ngx_http_async_overload_set(ngx_http_async_overload_e why, ngx_msec_t now)
{
    ngx_log_t                       *log;
    ngx_http_async_overload_e        before;
    ngx_http_async_overload_conf_t  *oc;

    oc = ngx_http_async_overload_conf;
    log = ngx_http_async_overload_event.log;

    before = ngx_http_async_overloaded;
    ngx_http_async_overloaded = why;

    ngx_async_stats_set(&oc->stats, NGX_HTTP_ASYNC_OVERLOAD_SHEDDING,
                        (why != NGX_HTTP_ASYNC_OVERLOAD_NONE));

    if (before == NGX_HTTP_ASYNC_OVERLOAD_NONE) {
        ngx_http_async_overload_since = now;
        ngx_http_async_overload_refused = 0;

        ngx_async_stats_count(&oc->stats, NGX_HTTP_ASYNC_OVERLOAD_TIMES);
    }

    switch (why) {

    case NGX_HTTP_ASYNC_OVERLOAD_LAG:
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "async: overload: %d turns of the loop were late by "
                      "%M ms or more, of \"async_overload lag=%Mms\"; new "
                      "requests are answered 503",
                      NGX_HTTP_ASYNC_OVERLOAD_TURNS,
                      ngx_http_async_overload_lag, oc->lag);
        break;

    case NGX_HTTP_ASYNC_OVERLOAD_MEMORY:
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "async: overload: the worker has %uz bytes, of "
                      "\"async_overload memory=%uz\"; new requests are "
                      "answered 503 while %ui are under way",
                      ngx_http_async_overload_used, oc->memory,
                      ngx_async_ntasks);

        /* what has been freed may be what is needed */
        (void) malloc_trim(0);
        break;

    default:
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "async: overload is over after %M ms, %ui requests "
                      "were answered 503", now - ngx_http_async_overload_since,
                      ngx_http_async_overload_refused);
    }
}


void
ngx_http_async_overload_shed(void)
{
    ngx_http_async_overload_refused++;

    ngx_async_stats_count(&ngx_http_async_overload_conf->stats,
                          ngx_http_async_overloaded
                          == NGX_HTTP_ASYNC_OVERLOAD_LAG
                          ? NGX_HTTP_ASYNC_OVERLOAD_BY_LAG
                          : NGX_HTTP_ASYNC_OVERLOAD_BY_MEMORY);
}


static ngx_msec_t
ngx_http_async_overload_clock(void)
{
    return ngx_async_stats_clock() / 1000;
}
