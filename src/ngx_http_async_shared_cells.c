
/*
 * Copyright (C) the nginx-async authors
 *
 * The storage of a shared dictionary: see ngx_http_async_shared_cells.h.
 */

#include <ngx_http_async_shared_cells.h>


/* entries of one cell, mostly; the buckets then have one or two each */
#define NGX_HTTP_ASYNC_CELLS_MIN   64

#define NGX_HTTP_ASYNC_CELL_FIRST                                            \
    sizeof(((ngx_http_async_cell_t *) 0)->data)

#define NGX_HTTP_ASYNC_CELL_MORE                                             \
    sizeof(((ngx_http_async_cell_part_t *) 0)->data)


/* Bytes of an entry, from its key on, cell after cell. */

typedef struct {
    ngx_http_async_cells_t      *cells;
    ngx_http_async_cell_t       *cell;
    u_char                      *pos;
    size_t                       room;       /* behind pos */
} ngx_http_async_cells_at_t;




static uint64_t ngx_http_async_cells_hash(const uint64_t *seed,
    const u_char *data, size_t len);
static ngx_http_async_cell_t *ngx_http_async_cells_look(
    ngx_http_async_cells_t *cells, ngx_http_async_cells_key_t *key,
    ngx_uint_t kinds);
static ngx_uint_t ngx_http_async_cells_is(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, ngx_http_async_cells_key_t *key);
static void ngx_http_async_cells_start(ngx_http_async_cells_at_t *at,
    ngx_http_async_cells_t *cells, ngx_http_async_cell_t *cell);
static void ngx_http_async_cells_step(ngx_http_async_cells_at_t *at);
static void ngx_http_async_cells_write(ngx_http_async_cells_at_t *at,
    const u_char *data, size_t len);
static uint32_t ngx_http_async_cells_need(size_t bytes);
static ngx_int_t ngx_http_async_cells_reserve(ngx_http_async_cells_t *cells,
    uint32_t need, ngx_http_async_cell_t *keep, uint64_t *waiters);
static ngx_http_async_cell_t *ngx_http_async_cells_take(
    ngx_http_async_cells_t *cells, uint32_t need);
static void ngx_http_async_cells_fill(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, ngx_http_async_cells_key_t *key,
    ngx_http_async_cells_value_t *value);
static void ngx_http_async_cells_link(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell);
static void ngx_http_async_cells_unlink(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell);


#define NGX_HTTP_ASYNC_CELLS_VALUE                                           \
    (1 << NGX_HTTP_ASYNC_CELL_BYTES|1 << NGX_HTTP_ASYNC_CELL_NUMBER)


ngx_int_t
ngx_http_async_cells_init(ngx_http_async_cells_t *cells, size_t size,
    size_t max_len, const uint64_t seed[2])
{
    size_t    room, head, ncells;
    uint32_t  nbuckets;

    if (size < sizeof(ngx_http_async_cells_t)) {
        return NGX_ERROR;
    }

    ncells = size / (sizeof(ngx_http_async_cell_t) + sizeof(uint32_t));

    if (ncells > NGX_MAX_INT32_VALUE) {
        ncells = NGX_MAX_INT32_VALUE;
    }

    for (nbuckets = 1; nbuckets <= ncells / 2; nbuckets *= 2) { /* void */ }

    head = ngx_align(sizeof(ngx_http_async_cells_t)
                     + (size_t) nbuckets * sizeof(uint32_t),
                     sizeof(ngx_http_async_cell_t));

    room = (size > head) ? (size - head) / sizeof(ngx_http_async_cell_t) : 0;

    if (room < NGX_HTTP_ASYNC_CELLS_MIN) {
        return NGX_ERROR;
    }

    ngx_memzero(cells, head);

    cells->seed[0] = seed[0];
    cells->seed[1] = seed[1];
    cells->max_len = ngx_min(max_len, NGX_MAX_UINT32_VALUE);
    cells->ncells = ngx_min(room, NGX_MAX_INT32_VALUE);
    cells->nbuckets = nbuckets;
    cells->offset = head;
    cells->fresh = 1;
    cells->nfree = cells->ncells - 1;

    return NGX_OK;
}


/*
 * SipHash-1-3 (Aumasson, Bernstein): with a seed that nobody knows, keys of
 * others cannot be chosen to fall into one bucket.
 */

#define ngx_http_async_rotl(x, n)  (((x) << (n)) | ((x) >> (64 - (n))))

#define ngx_http_async_sip(v0, v1, v2, v3)                                   \
    v0 += v1; v1 = ngx_http_async_rotl(v1, 13) ^ v0;                         \
    v0 = ngx_http_async_rotl(v0, 32);                                        \
    v2 += v3; v3 = ngx_http_async_rotl(v3, 16) ^ v2;                         \
    v0 += v3; v3 = ngx_http_async_rotl(v3, 21) ^ v0;                         \
    v2 += v1; v1 = ngx_http_async_rotl(v1, 17) ^ v2;                         \
    v2 = ngx_http_async_rotl(v2, 32)


static uint64_t
ngx_http_async_cells_hash(const uint64_t *seed, const u_char *data, size_t len)
{
    uint64_t  v0, v1, v2, v3, word;

    v0 = seed[0] ^ 0x736f6d6570736575ULL;
    v1 = seed[1] ^ 0x646f72616e646f6dULL;
    v2 = seed[0] ^ 0x6c7967656e657261ULL;
    v3 = seed[1] ^ 0x7465646279746573ULL;

    for ( /* void */ ; len >= 8; len -= 8, data += 8) {
        ngx_memcpy(&word, data, 8);

        v3 ^= word;
        ngx_http_async_sip(v0, v1, v2, v3);
        v0 ^= word;
    }

    /* keys shorter than that are told apart by the length of the rest */

    word = (uint64_t) len << 56;

    while (len--) {
        word |= (uint64_t) data[len] << (8 * len);
    }

    v3 ^= word;
    ngx_http_async_sip(v0, v1, v2, v3);
    v0 ^= word;

    v2 ^= 0xff;
    ngx_http_async_sip(v0, v1, v2, v3);
    ngx_http_async_sip(v0, v1, v2, v3);
    ngx_http_async_sip(v0, v1, v2, v3);

    return v0 ^ v1 ^ v2 ^ v3;
}


void
ngx_http_async_cells_key(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_key_t *key, const char *data, size_t len)
{
    key->data = (const u_char *) data;
    key->len = len;
    key->hash = ngx_http_async_cells_hash(cells->seed, key->data, len);
}


uint32_t *
ngx_http_async_cells_bucket(ngx_http_async_cells_t *cells, uint32_t hash)
{
    return &cells->buckets[hash & (cells->nbuckets - 1)];
}


ngx_http_async_cell_t *
ngx_http_async_cells_find(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_key_t *key)
{
    return ngx_http_async_cells_look(cells, key, NGX_HTTP_ASYNC_CELLS_VALUE);
}


ngx_http_async_cell_t *
ngx_http_async_cells_find_flight(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_key_t *key)
{
    return ngx_http_async_cells_look(cells, key,
                                     1 << NGX_HTTP_ASYNC_CELL_FLIGHT);
}


ngx_http_async_cell_t *
ngx_http_async_cells_find_failed(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_key_t *key)
{
    return ngx_http_async_cells_look(cells, key,
                                     1 << NGX_HTTP_ASYNC_CELL_FAILED);
}


static ngx_http_async_cell_t *
ngx_http_async_cells_look(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_key_t *key, ngx_uint_t kinds)
{
    uint32_t                n;
    ngx_http_async_cell_t  *cell;

    for (n = *ngx_http_async_cells_bucket(cells, key->hash);
         n;
         n = cell->chain)
    {
        cell = ngx_http_async_cells_at(cells, n);

        if (cell->hash == key->hash
            && (kinds & 1 << cell->kind)
            && ngx_http_async_cells_is(cells, cell, key))
        {
            return cell;
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_http_async_cells_is(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, ngx_http_async_cells_key_t *key)
{
    size_t                      n, len;
    const u_char               *data;
    ngx_http_async_cells_at_t   at;

    len = key->len;

    if (cell->key_len != len) {
        return 0;
    }

    data = key->data;
    ngx_http_async_cells_start(&at, cells, cell);

    for ( ;; ) {
        n = ngx_min(len, at.room);

        if (ngx_memcmp(at.pos, data, n) != 0) {
            return 0;
        }

        len -= n;

        if (len == 0) {
            return 1;
        }

        data += n;
        ngx_http_async_cells_step(&at);
    }
}


/* Whether two have the same key, and are of a kind of which it has one. */

ngx_uint_t
ngx_http_async_cells_same(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, ngx_http_async_cell_t *other)
{
    u_char                      data[NGX_HTTP_ASYNC_CELLS_KEY];
    size_t                      n, len;
    ngx_http_async_cells_at_t   at;
    ngx_http_async_cells_key_t  key;

    if (cell->hash != other->hash
        || (ngx_max(cell->kind, NGX_HTTP_ASYNC_CELL_NUMBER)
            != ngx_max(other->kind, NGX_HTTP_ASYNC_CELL_NUMBER)))
    {
        return 0;
    }

    ngx_http_async_cells_start(&at, cells, other);

    for (len = 0; len < other->key_len; len += n) {

        if (len) {
            ngx_http_async_cells_step(&at);
        }

        n = ngx_min(at.room, other->key_len - len);
        ngx_memcpy(data + len, at.pos, n);
    }

    key.hash = other->hash;
    key.data = data;
    key.len = len;

    return ngx_http_async_cells_is(cells, cell, &key);
}


static void
ngx_http_async_cells_start(ngx_http_async_cells_at_t *at,
    ngx_http_async_cells_t *cells, ngx_http_async_cell_t *cell)
{
    at->cells = cells;
    at->cell = cell;
    at->pos = cell->data;
    at->room = NGX_HTTP_ASYNC_CELL_FIRST;
}


static void
ngx_http_async_cells_step(ngx_http_async_cells_at_t *at)
{
    at->cell = ngx_http_async_cells_at(at->cells, at->cell->next);
    at->pos = ((ngx_http_async_cell_part_t *) at->cell)->data;
    at->room = NGX_HTTP_ASYNC_CELL_MORE;
}


static void
ngx_http_async_cells_write(ngx_http_async_cells_at_t *at, const u_char *data,
    size_t len)
{
    size_t  n;

    while (len) {

        if (at->room == 0) {
            ngx_http_async_cells_step(at);
        }

        n = ngx_min(len, at->room);

        ngx_memcpy(at->pos, data, n);

        at->pos += n;
        at->room -= n;
        data += n;
        len -= n;
    }
}


void
ngx_http_async_cells_read(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, u_char *p)
{
    size_t                     n, skip, len;
    ngx_http_async_cells_at_t  at;

    skip = cell->key_len;
    len = cell->len;

    ngx_http_async_cells_start(&at, cells, cell);

    while (len) {

        if (skip >= at.room) {
            skip -= at.room;
            ngx_http_async_cells_step(&at);
            continue;
        }

        n = ngx_min(len, at.room - skip);

        p = ngx_cpymem(p, at.pos + skip, n);

        skip += n;
        len -= n;
    }
}


void
ngx_http_async_cells_touch(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell)
{
    if (ngx_http_async_cells_list(cells, cell)->newest
        == ngx_http_async_cells_number(cells, cell))
    {
        return;
    }

    cell->used = ++cells->tick;

    ngx_http_async_cells_unlink(cells, cell);
    ngx_http_async_cells_link(cells, cell);
}


static uint32_t
ngx_http_async_cells_need(size_t bytes)
{
    if (bytes <= NGX_HTTP_ASYNC_CELL_FIRST) {
        return 1;
    }

    bytes -= NGX_HTTP_ASYNC_CELL_FIRST;

    return 1 + (bytes + NGX_HTTP_ASYNC_CELL_MORE - 1)
               / NGX_HTTP_ASYNC_CELL_MORE;
}


ngx_http_async_cell_t *
ngx_http_async_cells_put(ngx_http_async_cells_t *cells,
    ngx_http_async_cells_key_t *key, ngx_http_async_cells_value_t *value,
    uint64_t *waiters)
{
    uint32_t                need, *bucket;
    ngx_http_async_cell_t  *cell, *old, *flight;

    if (value->len > cells->max_len) {
        return NULL;
    }

    switch (value->kind) {

    case NGX_HTTP_ASYNC_CELL_FLIGHT:
        old = NULL;
        break;

    case NGX_HTTP_ASYNC_CELL_FAILED:
        old = ngx_http_async_cells_find_failed(cells, key);
        break;

    default:
        old = ngx_http_async_cells_find(cells, key);
    }

    need = ngx_http_async_cells_need(key->len + value->len);

    if (ngx_http_async_cells_reserve(cells, need, old, waiters) != NGX_OK) {
        return NULL;
    }

    cell = ngx_http_async_cells_take(cells, need);

    ngx_http_async_cells_fill(cells, cell, key, value);

    /* the last store: from here on it counts, and more than an older one */

    __atomic_store_n(&cell->state, NGX_HTTP_ASYNC_CELL_WHOLE,
                     __ATOMIC_RELEASE);

    if (old) {
        ngx_http_async_cells_remove(cells, old);
    }

    bucket = ngx_http_async_cells_bucket(cells, key->hash);
    cell->chain = *bucket;
    *bucket = ngx_http_async_cells_number(cells, cell);

    ngx_http_async_cells_link(cells, cell);

    if (value->kind <= NGX_HTTP_ASYNC_CELL_NUMBER) {
        flight = ngx_http_async_cells_find_flight(cells, key);

        if (flight) {
            *waiters |= flight->waiters;
            ngx_http_async_cells_remove(cells, flight);
        }
    }

    return cell;
}


/* The oldest give way, but for "keep". */

static ngx_int_t
ngx_http_async_cells_reserve(ngx_http_async_cells_t *cells, uint32_t need,
    ngx_http_async_cell_t *keep, uint64_t *waiters)
{
    uint32_t                n;
    ngx_http_async_cell_t  *cell;

    while (cells->nfree < need) {

        n = cells->values.oldest;

        if (n && keep && n == ngx_http_async_cells_number(cells, keep)) {
            n = keep->newer;
        }

        if (n == 0) {
            n = cells->flights.oldest;
        }

        if (n == 0) {
            return NGX_ERROR;
        }

        cell = ngx_http_async_cells_at(cells, n);

        if (cell->kind == NGX_HTTP_ASYNC_CELL_FLIGHT) {
            *waiters |= cell->waiters;

        } else {
            cells->evicted++;
        }

        ngx_http_async_cells_remove(cells, cell);
    }

    return NGX_OK;
}


/* Chained by "next", and none of them whole. */

static ngx_http_async_cell_t *
ngx_http_async_cells_take(ngx_http_async_cells_t *cells, uint32_t need)
{
    uint32_t                n, first, *link;
    ngx_http_async_cell_t  *cell;

    first = 0;
    link = &first;
    cells->nfree -= need;

    while (need--) {

        if (cells->free) {
            n = cells->free;
            cell = ngx_http_async_cells_at(cells, n);
            cells->free = cell->next;

        } else {
            n = cells->fresh++;
            cell = ngx_http_async_cells_at(cells, n);
        }

        cell->state = NGX_HTTP_ASYNC_CELL_PART;
        cell->next = 0;

        *link = n;
        link = &cell->next;
    }

    return ngx_http_async_cells_at(cells, first);
}


static void
ngx_http_async_cells_fill(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, ngx_http_async_cells_key_t *key,
    ngx_http_async_cells_value_t *value)
{
    ngx_http_async_cells_at_t  at;

    cell->hash = key->hash;
    cell->len = value->len;
    cell->key_len = key->len;
    cell->kind = value->kind;
    cell->used = ++cells->tick;
    cell->expires = value->expires;
    cell->gone = value->gone;
    cell->id = value->id;

    if (cell->kind == NGX_HTTP_ASYNC_CELL_FLIGHT) {
        cell->id = cell->used;
    }

    ngx_http_async_cells_start(&at, cells, cell);
    ngx_http_async_cells_write(&at, key->data, key->len);
    ngx_http_async_cells_write(&at, value->data, value->len);
}


/* The first store: it does not count any more. */

void
ngx_http_async_cells_forget(ngx_http_async_cell_t *cell)
{
    __atomic_store_n(&cell->state, NGX_HTTP_ASYNC_CELL_FREE,
                     __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}


void
ngx_http_async_cells_remove(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell)
{
    uint32_t                n, number, *link;
    ngx_http_async_cell_t  *last;

    ngx_http_async_cells_forget(cell);

    number = ngx_http_async_cells_number(cells, cell);
    link = ngx_http_async_cells_bucket(cells, cell->hash);

    while (*link && *link != number) {
        link = &ngx_http_async_cells_at(cells, *link)->chain;
    }

    if (*link) {
        *link = cell->chain;
    }

    ngx_http_async_cells_unlink(cells, cell);

    for (last = cell, n = 1; last->next; n++) {
        last = ngx_http_async_cells_at(cells, last->next);
    }

    last->next = cells->free;
    cells->free = number;
    cells->nfree += n;
}


ngx_http_async_cells_list_t *
ngx_http_async_cells_list(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell)
{
    return (cell->kind == NGX_HTTP_ASYNC_CELL_FLIGHT) ? &cells->flights
                                                      : &cells->values;
}


static void
ngx_http_async_cells_link(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell)
{
    uint32_t                      number;
    ngx_http_async_cells_list_t  *list;

    list = ngx_http_async_cells_list(cells, cell);
    number = ngx_http_async_cells_number(cells, cell);

    cell->newer = 0;
    cell->older = list->newest;

    if (list->newest) {
        ngx_http_async_cells_at(cells, list->newest)->newer = number;

    } else {
        list->oldest = number;
    }

    list->newest = number;
    list->n++;
}


static void
ngx_http_async_cells_unlink(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell)
{
    ngx_http_async_cells_list_t  *list;

    list = ngx_http_async_cells_list(cells, cell);
    list->n--;

    if (cell->newer) {
        ngx_http_async_cells_at(cells, cell->newer)->older = cell->older;

    } else {
        list->newest = cell->older;
    }

    if (cell->older) {
        ngx_http_async_cells_at(cells, cell->older)->newer = cell->newer;

    } else {
        list->oldest = cell->newer;
    }
}
