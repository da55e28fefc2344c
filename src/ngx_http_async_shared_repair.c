
/*
 * Copyright (C) the nginx-async authors
 *
 * A shared dictionary whose worker has died amid a change: all that links its
 * entries is made anew of those that are whole.  Who dies in this has changed
 * nothing of them, and the next one begins again.
 *
 * What was used last is known by the ticks; a death costs the time that it
 * takes to sort them.
 */

#include <ngx_http_async_shared_cells.h>


/* sorted runs of 2^i entries */
#define NGX_HTTP_ASYNC_CELLS_RUNS  32


static void ngx_http_async_cells_rehash(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell);
static void ngx_http_async_cells_claim(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell);
static ngx_uint_t ngx_http_async_cells_collect(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_list_t *list);
static uint32_t ngx_http_async_cells_merge(ngx_http_async_cells_t *cells,
    uint32_t a, uint32_t b);
static ngx_uint_t ngx_http_async_cells_join(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_list_t *list, uint32_t newest);


ngx_uint_t
ngx_http_async_cells_repair(ngx_http_async_cells_t *cells)
{
    uint32_t                n;
    ngx_http_async_cell_t  *cell;

    ngx_memzero(cells->buckets, cells->nbuckets * sizeof(uint32_t));

    for (n = 1; n < cells->fresh; n++) {
        cell = ngx_http_async_cells_at(cells, n);

        if (cell->state != NGX_HTTP_ASYNC_CELL_WHOLE) {
            cell->state = NGX_HTTP_ASYNC_CELL_FREE;
            continue;
        }

        ngx_http_async_cells_rehash(cells, cell);
    }

    for (n = 1; n < cells->fresh; n++) {
        cell = ngx_http_async_cells_at(cells, n);

        if (cell->state == NGX_HTTP_ASYNC_CELL_WHOLE) {
            ngx_http_async_cells_claim(cells, cell);
        }
    }

    cells->free = 0;
    cells->nfree = cells->ncells - cells->fresh;

    for (n = cells->fresh - 1; n; n--) {
        cell = ngx_http_async_cells_at(cells, n);

        if (cell->state == NGX_HTTP_ASYNC_CELL_FREE) {
            cell->next = cells->free;
            cells->free = n;
            cells->nfree++;
        }
    }

    return ngx_http_async_cells_collect(cells, &cells->values)
           + ngx_http_async_cells_collect(cells, &cells->flights);
}


/* Of two with the same key, the older one was about to go. */

static void
ngx_http_async_cells_rehash(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell)
{
    uint32_t               *link, *bucket;
    ngx_http_async_cell_t  *other;

    bucket = ngx_http_async_cells_bucket(cells, cell->hash);

    for (link = bucket; *link; link = &other->chain) {
        other = ngx_http_async_cells_at(cells, *link);

        if (!ngx_http_async_cells_same(cells, cell, other)) {
            continue;
        }

        if (other->used > cell->used) {
            ngx_http_async_cells_forget(cell);
            return;
        }

        ngx_http_async_cells_forget(other);
        *link = other->chain;
        break;
    }

    cell->chain = *bucket;
    *bucket = ngx_http_async_cells_number(cells, cell);

    cells->tick = ngx_max(cells->tick, cell->used);
}


static void
ngx_http_async_cells_claim(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell)
{
    uint32_t  n;

    for (n = cell->next; n; n = cell->next) {
        cell = ngx_http_async_cells_at(cells, n);
        cell->state = NGX_HTTP_ASYNC_CELL_PART;
    }
}


/* A list of all that belong to it, sorted; gives how many those are. */

static ngx_uint_t
ngx_http_async_cells_collect(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_list_t *list)
{
    uint32_t                n, run, runs[NGX_HTTP_ASYNC_CELLS_RUNS];
    ngx_uint_t              i;
    ngx_http_async_cell_t  *cell;

    ngx_memzero(runs, sizeof(runs));

    for (n = 1; n < cells->fresh; n++) {
        cell = ngx_http_async_cells_at(cells, n);

        if (cell->state != NGX_HTTP_ASYNC_CELL_WHOLE
            || ngx_http_async_cells_list(cells, cell) != list)
        {
            continue;
        }

        cell->older = 0;
        run = n;

        for (i = 0; runs[i]; i++) {
            run = ngx_http_async_cells_merge(cells, runs[i], run);
            runs[i] = 0;
        }

        runs[i] = run;
    }

    run = 0;

    for (i = 0; i < NGX_HTTP_ASYNC_CELLS_RUNS; i++) {
        run = ngx_http_async_cells_merge(cells, runs[i], run);
    }

    return ngx_http_async_cells_join(cells, list, run);
}


/* The one that was used later comes first. */

static uint32_t
ngx_http_async_cells_merge(ngx_http_async_cells_t *cells, uint32_t a,
    uint32_t b)
{
    uint32_t                first, *link, *from;
    ngx_http_async_cell_t  *cell;

    link = &first;

    while (a && b) {
        from = (ngx_http_async_cells_at(cells, a)->used
                > ngx_http_async_cells_at(cells, b)->used) ? &a : &b;

        cell = ngx_http_async_cells_at(cells, *from);

        *link = *from;
        *from = cell->older;
        link = &cell->older;
    }

    *link = a ? a : b;

    return first;
}


static ngx_uint_t
ngx_http_async_cells_join(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_list_t *list, uint32_t newest)
{
    uint32_t                n, newer;
    ngx_uint_t              count;
    ngx_http_async_cell_t  *cell;

    newer = 0;

    for (count = 0, n = newest; n; n = cell->older, count++) {
        cell = ngx_http_async_cells_at(cells, n);
        cell->newer = newer;
        newer = n;
    }

    list->newest = newest;
    list->oldest = newer;
    list->n = count;

    return count;
}
