
/*
 * Copyright (C) the nginx-async authors
 *
 * How figures lie in shared memory: for ngx_async_stats.c, which writes them,
 * and ngx_async_stats_read.c.
 */

#ifndef _NGX_ASYNC_STATS_ZONE_H_INCLUDED_
#define _NGX_ASYNC_STATS_ZONE_H_INCLUDED_


#include <ngx_async_stats.h>
#include <stddef.h>


typedef uint64_t  ngx_async_stats_row_t[NGX_ASYNC_STATS_VALUES];


/* what a worker says of itself */

typedef struct {
    volatile uint64_t           beat;
    volatile uint32_t           pid;
    volatile uint32_t           life;
    volatile uint32_t           generation;
    volatile time_t             started;
    volatile uint32_t           tasks;
    ngx_async_stats_running_t   running;
} ngx_async_stats_slot_t;


typedef struct {
    char                        family[24];
    char                        name[NGX_ASYNC_STATS_NAME];

    /* a bit for each value that is a gauge: also who does not know the family
       can clear those of the worker before */
    uint64_t                    gauges;
} ngx_async_stats_name_t;


typedef struct {
    volatile uint32_t           nrows;
    uint32_t                    generation;
    ngx_async_stats_name_t      names[NGX_ASYNC_STATS_ROWS];
    ngx_async_stats_slot_t      slots[NGX_ASYNC_PEERS];
    ngx_async_stats_row_t       values[NGX_ASYNC_PEERS][NGX_ASYNC_STATS_ROWS];
    max_align_t                 area[NGX_ASYNC_STATS_AREA
                                     / sizeof(max_align_t)];
} ngx_async_stats_zone_t;


/* of the configuration that is running; NULL: its figures are not shared */
extern ngx_async_stats_zone_t  *ngx_async_stats_shared;


/* how many values a field has */

static ngx_inline ngx_uint_t
ngx_async_stats_span(const ngx_async_stats_field_t *field)
{
    return (field->type == NGX_ASYNC_STATS_HISTOGRAM) ? NGX_ASYNC_STATS_TIMES
                                                      : 1;
}


#endif /* _NGX_ASYNC_STATS_ZONE_H_INCLUDED_ */
