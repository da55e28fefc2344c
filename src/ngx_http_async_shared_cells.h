
/*
 * Copyright (C) the nginx-async authors
 *
 * The storage of a shared dictionary: entries in cells of one size, found by a
 * hash table, in the order of their use.  Pure: no locks, no clock, no nginx.
 *
 * Whoever changes it may die at any instruction; the next one then calls
 * ngx_http_async_cells_repair().  So an entry is whole by one last store, that
 * of its state, and from then on only what is one store changes in it: where it
 * stands among others, when it was used, its number, who waits for it.  All
 * else - chains, lists, what is free - is made anew of the whole entries.
 *
 * Cells have numbers, 0 is none: nothing here is an address.
 */

#ifndef _NGX_HTTP_ASYNC_SHARED_CELLS_H_INCLUDED_
#define _NGX_HTTP_ASYNC_SHARED_CELLS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_ASYNC_CELLS_KEY   255


typedef enum {
    NGX_HTTP_ASYNC_CELL_FREE = 0,
    NGX_HTTP_ASYNC_CELL_PART,      /* of an entry, behind its first one */
    NGX_HTTP_ASYNC_CELL_WHOLE      /* the first of an entry */
} ngx_http_async_cell_e;


/* Of a key there is one entry at most of the first two, and of the others. */

typedef enum {
    NGX_HTTP_ASYNC_CELL_BYTES = 0,
    NGX_HTTP_ASYNC_CELL_NUMBER,
    NGX_HTTP_ASYNC_CELL_FLIGHT,    /* its value is being loaded */
    NGX_HTTP_ASYNC_CELL_FAILED     /* why the last one that has failed has */
} ngx_http_async_cell_kind_e;


typedef struct {
    uint32_t    state;             /* ngx_http_async_cell_e */
    uint32_t    next;              /* of the entry; or free */
    uint32_t    chain;             /* the next of the bucket */
    uint32_t    newer;             /* neighbours in the list */
    uint32_t    older;
    uint32_t    hash;
    uint32_t    len;               /* of the value */
    uint8_t     key_len;
    uint8_t     kind;
    uint16_t    unused;

    uint64_t    used;              /* when, in ticks */

    union {
        uint64_t  expires;         /* ms; 0: never */
        uint64_t  waiters;         /* FLIGHT: bits of slots % 64 */
    };

    union {
        uint64_t  gone;            /* ms, from when on it may be freed */
        uint64_t  owner;           /* FLIGHT */
    };

    union {
        int64_t   number;          /* NUMBER */
        uint64_t  id;              /* FLIGHT; of values the one that has made
                                      them, or 0 */
    };

    u_char      data[64];          /* key, then value; on in the next cells */
} ngx_http_async_cell_t;


typedef struct {
    uint32_t    state;
    uint32_t    next;
    u_char      data[120];
} ngx_http_async_cell_part_t;


typedef struct {
    uint32_t    newest;
    uint32_t    oldest;
    uint32_t    n;
} ngx_http_async_cells_list_t;


typedef struct {
    uint64_t    seed[2];
    uint64_t    tick;              /* the last one; of all uses and ids */
    uint64_t    max_len;           /* of a value */
    uint64_t    offset;            /* of the cells, bytes */

    uint32_t    ncells;            /* the first is never used */
    uint32_t    nbuckets;          /* a power of 2 */

    uint32_t    fresh;             /* those from here on have never been used */
    uint32_t    free;
    uint32_t    nfree;             /* and those behind "fresh" */

    uint64_t    evicted;           /* values that have given way */

    /* values and causes, which give way when it is full; flights, then */
    ngx_http_async_cells_list_t  values;
    ngx_http_async_cells_list_t  flights;

    uint32_t    buckets[];
} ngx_http_async_cells_t;


typedef struct {
    const u_char  *data;
    uint32_t       len;
    uint32_t       hash;
} ngx_http_async_cells_key_t;


/* What is put; borrowed. */

typedef struct {
    ngx_http_async_cell_kind_e   kind;
    const u_char                *data;
    size_t                       len;
    uint64_t                     expires;
    uint64_t                     gone;
    uint64_t                     id;       /* or the number, or 0: a new one */
} ngx_http_async_cells_value_t;


#define ngx_http_async_cells_at(cells, n)                                    \
    ((ngx_http_async_cell_t *) ((u_char *) (cells) + (cells)->offset) + (n))

#define ngx_http_async_cells_number(cells, cell)                             \
    ((uint32_t) ((cell) - ngx_http_async_cells_at(cells, 0)))


/* NGX_ERROR: it is too little. */
ngx_int_t ngx_http_async_cells_init(ngx_http_async_cells_t *cells,
    size_t size, size_t max_len, const uint64_t seed[2]);

/* Needs no lock: what it reads does not change. */
void ngx_http_async_cells_key(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_key_t *key, const char *data, size_t len);

/* NULL: there is none; it may have expired.  Valid until the next put. */
ngx_http_async_cell_t *ngx_http_async_cells_find(
    ngx_http_async_cells_t *cells, ngx_http_async_cells_key_t *key);
ngx_http_async_cell_t *ngx_http_async_cells_find_flight(
    ngx_http_async_cells_t *cells, ngx_http_async_cells_key_t *key);
ngx_http_async_cell_t *ngx_http_async_cells_find_failed(
    ngx_http_async_cells_t *cells, ngx_http_async_cells_key_t *key);

/* It has been used now. */
void ngx_http_async_cells_touch(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell);

/* Its value, cell->len bytes of it. */
void ngx_http_async_cells_read(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, u_char *p);

/*
 * In place of what there is of the kind; a value ends the flight of its key.
 * The waiters of flights that are no more are added to *waiters.  NULL: it is
 * too long.
 */
ngx_http_async_cell_t *ngx_http_async_cells_put(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_key_t *key, ngx_http_async_cells_value_t *value,
    uint64_t *waiters);

void ngx_http_async_cells_remove(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell);

/* ngx_http_async_shared_repair.c: gives how many entries are whole */
ngx_uint_t ngx_http_async_cells_repair(ngx_http_async_cells_t *cells);

/* within the storage */
uint32_t *ngx_http_async_cells_bucket(ngx_http_async_cells_t *cells,
    uint32_t hash);
ngx_http_async_cells_list_t *ngx_http_async_cells_list(
    ngx_http_async_cells_t *cells, ngx_http_async_cell_t *cell);
ngx_uint_t ngx_http_async_cells_same(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, ngx_http_async_cell_t *other);
void ngx_http_async_cells_forget(ngx_http_async_cell_t *cell);


#endif /* _NGX_HTTP_ASYNC_SHARED_CELLS_H_INCLUDED_ */
