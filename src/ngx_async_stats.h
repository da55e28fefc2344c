
/*
 * Copyright (C) the nginx-async authors
 *
 * Figures of what runs, over all workers: who counts has rows of values, which
 * lie in shared memory, where each worker has its own copy of every row.  So
 * counting is an increment of plain memory, no figure is lost with the worker
 * that dies at any instruction, and whoever takes its place counts on.
 *
 * A row is known by its family and its name, also to the next configuration.
 * Which there are is written by the master alone, before its workers start.
 *
 * Without a directive that reads them, the values are memory of each worker.
 */

#ifndef _NGX_ASYNC_STATS_H_INCLUDED_
#define _NGX_ASYNC_STATS_H_INCLUDED_


#include <ngx_async_peers.h>


/* of a row; a histogram takes NGX_ASYNC_STATS_TIMES of them */
#define NGX_ASYNC_STATS_VALUES  48

/* rows at most, and how much of their names is kept */
#define NGX_ASYNC_STATS_ROWS    1024
#define NGX_ASYNC_STATS_NAME    160

/* the sum in microseconds, then how many were up to each bound, or above */
#define NGX_ASYNC_STATS_BOUNDS  13
#define NGX_ASYNC_STATS_TIMES   (NGX_ASYNC_STATS_BOUNDS + 2)

/* how often a worker gives a sign of life, milliseconds */
#define NGX_ASYNC_STATS_BEAT    100

/* memory beside the rows, bytes: see ngx_async_stats_area() */
#define NGX_ASYNC_STATS_AREA    (72 * 1024 * 1024)


typedef enum {
    NGX_ASYNC_STATS_COUNT = 0,     /* grows; of all workers there have been */
    NGX_ASYNC_STATS_GAUGE,         /* now; the sum of the workers that run */
    NGX_ASYNC_STATS_HIGH,          /* the highest of all workers */
    NGX_ASYNC_STATS_SAME,          /* now; what the workers that run share */
    NGX_ASYNC_STATS_NEWEST,        /* the same of the last configuration */
    NGX_ASYNC_STATS_HISTOGRAM      /* of times; grows */
} ngx_async_stats_type_e;


typedef enum {
    NGX_ASYNC_STATS_NUMBER = 0,
    NGX_ASYNC_STATS_BYTES,
    NGX_ASYNC_STATS_USEC           /* times, in microseconds */
} ngx_async_stats_unit_e;


typedef struct {
    ngx_uint_t                  index;     /* of the row's values */
    const char                 *name;      /* like "timed_out" */
    ngx_async_stats_type_e      type;
    ngx_async_stats_unit_e      unit;
    const char                 *help;      /* a sentence without its stop */
} ngx_async_stats_field_t;


typedef struct {
    const char                 *name;      /* of one row, like "handler" */
    const char                 *label;     /* what names it; NULL: one row */
    const ngx_async_stats_field_t  *fields;    /* the last one has no name */
} ngx_async_stats_family_t;


/* What counts: a member of what is counted, which lives like its cycle. */

typedef struct {
    const ngx_async_stats_family_t  *family;
    ngx_str_t                   name;      /* zero-terminated */
    ngx_uint_t                  row;       /* _ROWS: none */
    uint64_t                   *values;    /* this worker's; never NULL */
} ngx_async_stats_t;


/* All of a configuration. */

typedef struct {
    ngx_array_t                 rows;      /* of ngx_async_stats_t * */
    ngx_shm_zone_t             *zone;      /* NULL: nobody reads them */
    ngx_async_stats_t           loop;
} ngx_async_stats_set_t;


/* this one's connections and memory, a row without a label */
extern const ngx_async_stats_family_t  ngx_async_worker_family;

extern const uint32_t  ngx_async_stats_bounds[NGX_ASYNC_STATS_BOUNDS];


ngx_int_t ngx_async_stats_create(ngx_conf_t *cf, ngx_async_stats_set_t *set);

/* The name is not copied; two of one family and name count together. */
ngx_int_t ngx_async_stats_add(ngx_conf_t *cf, ngx_async_stats_set_t *set,
    ngx_async_stats_t *stats, const ngx_async_stats_family_t *family,
    ngx_str_t *name);

/*
 * The row of a family that has no label, for ngx_async_stats_one() in workers;
 * if nobody reads, there is none.
 */
ngx_int_t ngx_async_stats_add_one(ngx_conf_t *cf, ngx_async_stats_set_t *set,
    const ngx_async_stats_family_t *family);

/* Somebody reads them: they are to be in shared memory. */
ngx_int_t ngx_async_stats_share(ngx_conf_t *cf, ngx_async_stats_set_t *set);

/* In the master, behind ngx_async_peers_loaded(); in a worker. */
void ngx_async_stats_loaded(ngx_cycle_t *cycle, ngx_async_stats_set_t *set);
void ngx_async_stats_init(ngx_cycle_t *cycle, ngx_async_stats_set_t *set);
void ngx_async_stats_exit(void);

/* In a worker: that row, or ngx_async_stats_nowhere. */
ngx_async_stats_t *ngx_async_stats_one(ngx_async_stats_set_t *set,
    const ngx_async_stats_family_t *family);

/* What is counted here, nobody reads. */
extern ngx_async_stats_t  ngx_async_stats_nowhere;

/*
 * What is set rather than counted, like gauges of pools: a handler is called
 * each second, and whenever somebody asks.  NGX_ERROR: there are too many.
 */
ngx_int_t ngx_async_on_stats(void (*handler)(void));
void ngx_async_stats_refresh(void);

/* Adds a time to the histogram at that index. */
void ngx_async_stats_time(ngx_async_stats_t *stats, ngx_uint_t index,
    uint64_t usec);

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t ngx_async_stats_clock(void);

/*
 * Memory that all workers share, NGX_ASYNC_STATS_AREA bytes, zero at first and
 * kept over reloads.  NULL: figures are not shared, or this worker has no slot.
 */
void *ngx_async_stats_area(void);

#define ngx_async_stats_count(stats, index)   ((stats)->values[index]++)
#define ngx_async_stats_less(stats, index)    ((stats)->values[index]--)
#define ngx_async_stats_add_to(stats, index, n)                              \
    ((stats)->values[index] += (n))
#define ngx_async_stats_set(stats, index, n)  ((stats)->values[index] = (n))


/* A worker, for who reads; of one that died: what it was. */

typedef struct {
    ngx_async_peer_t            peer;
    ngx_pid_t                   pid;
    ngx_uint_t                  generation;   /* of its configuration */
    time_t                      started;
    ngx_uint_t                  tasks;        /* with that beat */
    uint64_t                    beat;         /* ngx_async_stats_clock() */
    uint64_t                    running_since;    /* ms; 0: nothing runs */
    ngx_uint_t                  running;      /* the row of it, or _ROWS */
    unsigned                    lives:1;
    unsigned                    quitting:1;
} ngx_async_stats_worker_t;


/* Of this worker: what holds its loop, for the others to see. */

typedef struct {
    volatile uint64_t           since;     /* ms of CLOCK_MONOTONIC; 0: none */
    volatile uint32_t           row;
    volatile uint32_t           quitting;
} ngx_async_stats_running_t;

extern ngx_async_stats_running_t  *ngx_async_stats_running;


/* For who reads: only where the set is shared, in a worker with a slot. */

ngx_uint_t ngx_async_stats_nrows(void);
const char *ngx_async_stats_row(ngx_uint_t row, const char **family);

/* NGX_DECLINED: nobody has had the slot. */
ngx_int_t ngx_async_stats_worker(ngx_uint_t slot,
    ngx_async_stats_worker_t *worker);

/* Whether the configuration of this worker has the row. */
ngx_uint_t ngx_async_stats_present(ngx_uint_t row);

/* The n-th family that this process has added; NULL: there are no more. */
const ngx_async_stats_family_t *ngx_async_stats_family(ngx_uint_t n);

/* That of the configuration of this worker. */
ngx_uint_t ngx_async_stats_generation(void);

/* Of one slot; NULL: there is no such row. */
const uint64_t *ngx_async_stats_values(ngx_uint_t slot, ngx_uint_t row);

/*
 * All slots as the types of the family's fields say; lives: which slots count
 * for gauges, of NGX_ASYNC_PEERS.
 */
void ngx_async_stats_sum(const ngx_async_stats_family_t *family,
    ngx_uint_t row, const u_char *lives,
    uint64_t sum[NGX_ASYNC_STATS_VALUES]);

/*
 * Of a histogram's values: how many there are, and the time that so many of
 * them, 0 to 1, have not exceeded, guessed from the bounds around it; 0: none.
 */
uint64_t ngx_async_stats_ntimes(const uint64_t *values);
double ngx_async_stats_quantile(const uint64_t *values, double part);


#endif /* _NGX_ASYNC_STATS_H_INCLUDED_ */
