
/*
 * Copyright (C) the nginx-async authors
 *
 * Figures over all workers: see ngx_async_stats.h.
 *
 * The zone has the size of this version of the module, whatever there is to be
 * counted, so that nginx keeps it over reloads: counters go on, and the workers
 * of the configuration before are seen until they have finished.  Pages that
 * nobody touches are no memory.
 */

#include <ngx_async_task.h>
#include <ngx_async_stats_zone.h>
#include <sys/mman.h>


#define NGX_ASYNC_STATS_ZONE      "async_stats"

/* who has figures that are set */
#define NGX_ASYNC_STATS_HANDLERS  16

#define NGX_ASYNC_STATS_FAMILIES  32

/* handlers run with one beat in so many */
#define NGX_ASYNC_STATS_SECOND    (1000 / NGX_ASYNC_STATS_BEAT)


static ngx_int_t ngx_async_stats_init_zone(ngx_shm_zone_t *zone, void *data);
static ngx_int_t ngx_async_stats_know(ngx_conf_t *cf,
    const ngx_async_stats_family_t *family);
static ngx_uint_t ngx_async_stats_find(ngx_async_stats_zone_t *sz,
    ngx_async_stats_t *stats);
static ngx_uint_t ngx_async_stats_append(ngx_async_stats_zone_t *sz,
    ngx_async_stats_t *stats, ngx_log_t *log);
static uint64_t ngx_async_stats_gauges(const ngx_async_stats_family_t *family);
static ngx_int_t ngx_async_stats_alone(ngx_cycle_t *cycle);
static void ngx_async_stats_clear(void);
static void ngx_async_stats_join(ngx_async_stats_t *stats);
static void ngx_async_stats_beat(ngx_event_t *ev);
static uint64_t ngx_async_stats_memory(void);


/* microseconds */
const uint32_t  ngx_async_stats_bounds[NGX_ASYNC_STATS_BOUNDS] = {
    1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
    2500000, 5000000, 10000000
};

/* the loop of a worker */

enum {
    NGX_ASYNC_STATS_LOOP_LAG = 0,
    NGX_ASYNC_STATS_LOOP_WORST = NGX_ASYNC_STATS_TIMES
};

static const ngx_async_stats_field_t  ngx_async_stats_loop_fields[] = {
    { NGX_ASYNC_STATS_LOOP_LAG, "lag", NGX_ASYNC_STATS_HISTOGRAM,
      NGX_ASYNC_STATS_USEC,
      "How late the event loop came to a timer of 100 ms" },
    { NGX_ASYNC_STATS_LOOP_WORST, "lag_max", NGX_ASYNC_STATS_HIGH,
      NGX_ASYNC_STATS_USEC, "The latest that it has been" },
    { 0, NULL, 0, 0, NULL }
};

static const ngx_async_stats_family_t  ngx_async_stats_loop_family = {
    "loop", NULL, ngx_async_stats_loop_fields
};



/* what a worker has of the system */

enum {
    NGX_ASYNC_WORKER_USED = 0,
    NGX_ASYNC_WORKER_FREE,
    NGX_ASYNC_WORKER_MEMORY
};

static const ngx_async_stats_field_t  ngx_async_worker_fields[] = {
    { NGX_ASYNC_WORKER_USED, "connections_used", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER,
      "Connections of nginx in use, of clients and all others" },
    { NGX_ASYNC_WORKER_FREE, "connections_free", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER,
      "How many more there may be, of worker_connections" },
    { NGX_ASYNC_WORKER_MEMORY, "memory", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_BYTES,
      "Resident memory, what is shared with others included" },
    { 0, NULL, 0, 0, NULL }
};

const ngx_async_stats_family_t  ngx_async_worker_family = {
    "worker", NULL, ngx_async_worker_fields
};


ngx_async_stats_zone_t  *ngx_async_stats_shared;

static u_char                   ngx_async_stats_has[NGX_ASYNC_STATS_ROWS];

/* of all configurations so far: of this image of the module */
static const ngx_async_stats_family_t
    *ngx_async_stats_families[NGX_ASYNC_STATS_FAMILIES];
static ngx_uint_t               ngx_async_stats_nfamilies;

/* of this worker */
static ngx_async_stats_slot_t  *ngx_async_stats_slot;
static ngx_uint_t               ngx_async_stats_single;
static ngx_uint_t               ngx_async_stats_own;    /* its generation */
static ngx_async_stats_t       *ngx_async_stats_loop;
static ngx_async_stats_t       *ngx_async_stats_self
                                    = &ngx_async_stats_nowhere;
static ngx_event_t              ngx_async_stats_event;
static uint64_t                 ngx_async_stats_due;
static ngx_uint_t               ngx_async_stats_beats;
static void                   (*ngx_async_stats_handlers[
                                    NGX_ASYNC_STATS_HANDLERS])(void);
static ngx_uint_t               ngx_async_stats_nhandlers;
static ngx_async_stats_running_t  ngx_async_stats_nobody;

ngx_async_stats_running_t      *ngx_async_stats_running
                                    = &ngx_async_stats_nobody;

static ngx_async_stats_row_t    ngx_async_stats_unread;

ngx_async_stats_t               ngx_async_stats_nowhere = {
    NULL, ngx_null_string, NGX_ASYNC_STATS_ROWS, ngx_async_stats_unread
};

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t         ngx_async_stats_no_connection;


ngx_int_t
ngx_async_stats_create(ngx_conf_t *cf, ngx_async_stats_set_t *set)
{
    set->zone = NULL;

    return ngx_array_init(&set->rows, cf->pool, 16,
                          sizeof(ngx_async_stats_t *));
}


ngx_int_t
ngx_async_stats_add(ngx_conf_t *cf, ngx_async_stats_set_t *set,
    ngx_async_stats_t *stats, const ngx_async_stats_family_t *family,
    ngx_str_t *name)
{
    ngx_async_stats_t  **row;

    if (ngx_async_stats_know(cf, family) != NGX_OK) {
        return NGX_ERROR;
    }

    stats->family = family;
    stats->row = NGX_ASYNC_STATS_ROWS;
    stats->values = ngx_pcalloc(cf->pool, sizeof(ngx_async_stats_row_t));

    if (name) {
        stats->name = *name;

    } else {
        ngx_str_set(&stats->name, "");
    }

    row = ngx_array_push(&set->rows);

    if (row == NULL || stats->values == NULL) {
        return NGX_ERROR;
    }

    *row = stats;

    return NGX_OK;
}


static ngx_int_t
ngx_async_stats_know(ngx_conf_t *cf, const ngx_async_stats_family_t *family)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_async_stats_nfamilies; i++) {
        if (ngx_async_stats_families[i] == family) {
            return NGX_OK;
        }
    }

    if (i == NGX_ASYNC_STATS_FAMILIES) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, 0,
                      "async: too many families of figures");
        return NGX_ERROR;
    }

    ngx_async_stats_families[ngx_async_stats_nfamilies++] = family;

    return NGX_OK;
}


ngx_int_t
ngx_async_stats_add_one(ngx_conf_t *cf, ngx_async_stats_set_t *set,
    const ngx_async_stats_family_t *family)
{
    ngx_async_stats_t  *stats;

    if (set->zone == NULL) {
        return NGX_OK;
    }

    stats = ngx_pcalloc(cf->pool, sizeof(ngx_async_stats_t));
    if (stats == NULL) {
        return NGX_ERROR;
    }

    return ngx_async_stats_add(cf, set, stats, family, NULL);
}


ngx_async_stats_t *
ngx_async_stats_one(ngx_async_stats_set_t *set,
    const ngx_async_stats_family_t *family)
{
    ngx_uint_t           i;
    ngx_async_stats_t  **stats;

    stats = set->rows.elts;

    for (i = 0; i < set->rows.nelts; i++) {
        if (stats[i]->family == family) {
            return stats[i];
        }
    }

    return &ngx_async_stats_nowhere;
}


ngx_int_t
ngx_async_stats_share(ngx_conf_t *cf, ngx_async_stats_set_t *set)
{
    size_t     size;
    ngx_str_t  name;

    if (set->zone) {
        return NGX_OK;
    }

    /* with what nginx's slab needs itself: a few bytes a page */

    size = sizeof(ngx_async_stats_zone_t);
    size = ngx_align(size + size / 64, ngx_pagesize) + 8 * ngx_pagesize;

    ngx_str_set(&name, NGX_ASYNC_STATS_ZONE);

    set->zone = ngx_shared_memory_add(cf, &name, size,
                                      &ngx_async_stats_shared);

    if (set->zone == NULL || ngx_async_peers_conf(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    set->zone->init = ngx_async_stats_init_zone;

    return ngx_async_stats_add(cf, set, &set->loop,
                               &ngx_async_stats_loop_family, NULL);
}


static ngx_int_t
ngx_async_stats_init_zone(ngx_shm_zone_t *zone, void *data)
{
    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    /* new memory is zero; to say so again would make all of it resident */

    zone->data = ngx_slab_alloc((ngx_slab_pool_t *) zone->shm.addr,
                                sizeof(ngx_async_stats_zone_t));

#if (NGX_DEBUG_MALLOC)
    if (zone->data) {
        ngx_memzero(zone->data, sizeof(ngx_async_stats_zone_t));
    }
#endif

    return zone->data ? NGX_OK : NGX_ERROR;
}


void
ngx_async_stats_loaded(ngx_cycle_t *cycle, ngx_async_stats_set_t *set)
{
    ngx_uint_t                i;
    ngx_async_stats_t       **stats;
    ngx_async_stats_zone_t   *sz;

    if (ngx_async_stats_single) {
        /* it runs on, and so do those that count */
        return;
    }

    sz = set->zone ? set->zone->data : NULL;

    ngx_async_stats_shared = sz;

    if (sz == NULL) {
        return;
    }

    sz->generation++;

    ngx_memzero(ngx_async_stats_has, sizeof(ngx_async_stats_has));

    stats = set->rows.elts;

    for (i = 0; i < set->rows.nelts; i++) {
        stats[i]->row = ngx_async_stats_find(sz, stats[i]);

        if (stats[i]->row == NGX_ASYNC_STATS_ROWS) {
            stats[i]->row = ngx_async_stats_append(sz, stats[i], cycle->log);
        }

        if (stats[i]->row < NGX_ASYNC_STATS_ROWS) {
            ngx_async_stats_has[stats[i]->row] = 1;
        }
    }
}


static ngx_uint_t
ngx_async_stats_find(ngx_async_stats_zone_t *sz, ngx_async_stats_t *stats)
{
    ngx_uint_t  i;

    for (i = 0; i < sz->nrows; i++) {

        if (ngx_strcmp(sz->names[i].family, stats->family->name) == 0
            && ngx_strncmp(sz->names[i].name, stats->name.data,
                           NGX_ASYNC_STATS_NAME - 1) == 0)
        {
            return i;
        }
    }

    return NGX_ASYNC_STATS_ROWS;
}


/* A row is complete before it is counted: workers read while it is written. */

static ngx_uint_t
ngx_async_stats_append(ngx_async_stats_zone_t *sz, ngx_async_stats_t *stats,
    ngx_log_t *log)
{
    ngx_async_stats_name_t  *name;

    if (sz->nrows == NGX_ASYNC_STATS_ROWS) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "async: the status has no row for %s \"%V\", there are "
                      "%d already", stats->family->name, &stats->name,
                      NGX_ASYNC_STATS_ROWS);
        return NGX_ASYNC_STATS_ROWS;
    }

    name = &sz->names[sz->nrows];

    (void) ngx_cpystrn((u_char *) name->family,
                       (u_char *) stats->family->name, sizeof(name->family));
    (void) ngx_cpystrn((u_char *) name->name, stats->name.data,
                       sizeof(name->name));

    name->gauges = ngx_async_stats_gauges(stats->family);

    ngx_memory_barrier();

    return sz->nrows++;
}


static uint64_t
ngx_async_stats_gauges(const ngx_async_stats_family_t *family)
{
    uint64_t                        gauges;
    const ngx_async_stats_field_t  *field;

    gauges = 0;

    for (field = family->fields; field->name; field++) {
        if (field->type == NGX_ASYNC_STATS_GAUGE
            || field->type == NGX_ASYNC_STATS_SAME
            || field->type == NGX_ASYNC_STATS_NEWEST)
        {
            gauges |= (uint64_t) 1 << field->index;
        }
    }

    return gauges;
}


void
ngx_async_stats_init(ngx_cycle_t *cycle, ngx_async_stats_set_t *set)
{
    ngx_uint_t               i;
    ngx_async_stats_t      **stats;
    ngx_async_stats_slot_t  *slot;

    if (ngx_async_stats_shared == NULL
        || ngx_async_peer_self.slot == NGX_ASYNC_PEERS)
    {
        return;
    }

    if (ngx_process == NGX_PROCESS_SINGLE
        && ngx_async_stats_alone(cycle) != NGX_OK)
    {
        ngx_async_stats_shared = NULL;
        return;
    }

    ngx_async_stats_clear();

    stats = set->rows.elts;

    for (i = 0; i < set->rows.nelts; i++) {
        ngx_async_stats_join(stats[i]);
    }

    slot = &ngx_async_stats_shared->slots[ngx_async_peer_self.slot];

    ngx_async_stats_slot = slot;
    ngx_async_stats_own = ngx_async_stats_shared->generation;

    slot->running.since = 0;
    slot->running.quitting = 0;
    slot->tasks = 0;
    slot->pid = ngx_pid;
    slot->generation = ngx_async_stats_own;
    slot->started = ngx_time();
    slot->beat = ngx_async_stats_clock();
    slot->life = ngx_async_peer_self.life;

    ngx_async_stats_running = &slot->running;

    ngx_async_stats_no_connection.fd = (ngx_socket_t) -1;

    ngx_async_stats_event.handler = ngx_async_stats_beat;
    ngx_async_stats_event.data = &ngx_async_stats_no_connection;
    ngx_async_stats_event.log = cycle->log;
    ngx_async_stats_event.cancelable = 1;

    ngx_async_stats_loop = &set->loop;
    ngx_async_stats_self = ngx_async_stats_one(set, &ngx_async_worker_family);
    ngx_async_stats_due = 0;

    /* lateness counts from the first turn of the loop */
    ngx_add_timer(&ngx_async_stats_event, 1);
}


/*
 * A single process runs on after a reload, which may take the zone from under
 * it: its figures are in memory of its own, for good.
 */

static ngx_int_t
ngx_async_stats_alone(ngx_cycle_t *cycle)
{
    ngx_async_stats_zone_t  *own;

    own = mmap(NULL, sizeof(ngx_async_stats_zone_t), PROT_READ|PROT_WRITE,
               MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0);

    if (own == MAP_FAILED) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "async: no memory for the status");
        return NGX_ERROR;
    }

    own->nrows = ngx_async_stats_shared->nrows;
    own->generation = ngx_async_stats_shared->generation;
    ngx_memcpy(own->names, ngx_async_stats_shared->names, sizeof(own->names));

    ngx_async_stats_shared = own;
    ngx_async_stats_single = 1;

    return NGX_OK;
}


/* Gauges are of who had the slot before: also those that nobody here has. */

static void
ngx_async_stats_clear(void)
{
    uint64_t    *values, gauges;
    ngx_uint_t   row, i;

    for (row = 0; row < ngx_async_stats_shared->nrows; row++) {
        gauges = ngx_async_stats_shared->names[row].gauges;
        values = ngx_async_stats_shared->values[ngx_async_peer_self.slot][row];

        for (i = 0; gauges; i++, gauges >>= 1) {
            if (gauges & 1) {
                values[i] = 0;
            }
        }
    }
}


/* What has been counted until now, and by who had the slot before. */

static void
ngx_async_stats_join(ngx_async_stats_t *stats)
{
    uint64_t                       *values, *before;
    ngx_uint_t                      i, n;
    const ngx_async_stats_field_t  *field;

    if (stats->row == NGX_ASYNC_STATS_ROWS) {
        return;
    }

    before = stats->values;
    values = ngx_async_stats_shared->values[ngx_async_peer_self.slot]
                                           [stats->row];

    if (values == before) {
        return;
    }

    for (field = stats->family->fields; field->name; field++) {

        n = ngx_async_stats_span(field);

        for (i = field->index; i < field->index + n; i++) {

            if (field->type == NGX_ASYNC_STATS_HIGH) {
                values[i] = ngx_max(values[i], before[i]);

            } else {
                values[i] += before[i];
            }
        }
    }

    stats->values = values;
}


void
ngx_async_stats_exit(void)
{
    ngx_async_stats_nhandlers = 0;
    ngx_async_stats_running = &ngx_async_stats_nobody;
    ngx_async_stats_slot = NULL;

    if (ngx_async_stats_event.timer_set) {
        ngx_del_timer(&ngx_async_stats_event);
    }
}


/*
 * A loop that is held for a second misses ten beats: each of those counts with
 * the time that it would have waited.
 */

static void
ngx_async_stats_beat(ngx_event_t *ev)
{
    uint64_t                 now, lag, beat;
    ngx_async_stats_slot_t  *slot;

    slot = ngx_async_stats_slot;

    now = ngx_async_stats_clock();
    beat = (uint64_t) NGX_ASYNC_STATS_BEAT * 1000;
    lag = 0;

    if (ngx_async_stats_due && now > ngx_async_stats_due) {
        lag = now - ngx_async_stats_due;
    }

    slot->beat = now;
    slot->tasks = ngx_async_ntasks;
    slot->running.quitting = ngx_exiting;

    if (lag > ngx_async_stats_loop->values[NGX_ASYNC_STATS_LOOP_WORST]) {
        ngx_async_stats_set(ngx_async_stats_loop, NGX_ASYNC_STATS_LOOP_WORST,
                            lag);
    }

    for ( ;; ) {
        ngx_async_stats_time(ngx_async_stats_loop, NGX_ASYNC_STATS_LOOP_LAG,
                             lag);

        if (lag <= beat) {
            break;
        }

        lag -= beat;
    }

    if (++ngx_async_stats_beats % NGX_ASYNC_STATS_SECOND == 0) {
        ngx_async_stats_refresh();
    }

    /* nginx's clock is that of the turn's beginning */

    ngx_time_update();
    ngx_async_stats_due = ngx_async_stats_clock() + beat;

    ngx_add_timer(ev, NGX_ASYNC_STATS_BEAT);
}


ngx_int_t
ngx_async_on_stats(void (*handler)(void))
{
    if (ngx_async_stats_nhandlers == NGX_ASYNC_STATS_HANDLERS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "async: too many handlers of figures");
        return NGX_ERROR;
    }

    ngx_async_stats_handlers[ngx_async_stats_nhandlers++] = handler;

    return NGX_OK;
}


void
ngx_async_stats_refresh(void)
{
    ngx_uint_t  i;

    ngx_async_stats_set(ngx_async_stats_self, NGX_ASYNC_WORKER_USED,
                        ngx_cycle->connection_n
                        - ngx_cycle->free_connection_n);
    ngx_async_stats_set(ngx_async_stats_self, NGX_ASYNC_WORKER_FREE,
                        ngx_cycle->free_connection_n);
    ngx_async_stats_set(ngx_async_stats_self, NGX_ASYNC_WORKER_MEMORY,
                        ngx_async_stats_memory());

    for (i = 0; i < ngx_async_stats_nhandlers; i++) {
        ngx_async_stats_handlers[i]();
    }
}


/* In bytes; zero: nobody tells. */

static uint64_t
ngx_async_stats_memory(void)
{
    int      fd;
    char     line[128];
    ssize_t  n;
    u_char  *p;

    fd = open("/proc/self/statm", O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return 0;
    }

    n = read(fd, line, sizeof(line) - 1);
    (void) close(fd);

    if (n <= 0) {
        return 0;
    }

    /* the second of its numbers, in pages */

    line[n] = '\0';
    p = (u_char *) ngx_strchr(line, ' ');

    return p ? (uint64_t) strtoull((char *) p, NULL, 10) * ngx_pagesize : 0;
}


void
ngx_async_stats_time(ngx_async_stats_t *stats, ngx_uint_t index,
    uint64_t usec)
{
    uint64_t    *values;
    ngx_uint_t   i;

    values = &stats->values[index];

    values[0] += usec;

    for (i = 0; i < NGX_ASYNC_STATS_BOUNDS; i++) {
        if (usec <= ngx_async_stats_bounds[i]) {
            break;
        }
    }

    values[1 + i]++;
}


uint64_t
ngx_async_stats_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


ngx_uint_t
ngx_async_stats_present(ngx_uint_t row)
{
    return row < NGX_ASYNC_STATS_ROWS && ngx_async_stats_has[row];
}


const ngx_async_stats_family_t *
ngx_async_stats_family(ngx_uint_t n)
{
    return (n < ngx_async_stats_nfamilies) ? ngx_async_stats_families[n]
                                           : NULL;
}


ngx_uint_t
ngx_async_stats_generation(void)
{
    return ngx_async_stats_own;
}


void *
ngx_async_stats_area(void)
{
    return ngx_async_stats_slot ? ngx_async_stats_shared->area : NULL;
}
