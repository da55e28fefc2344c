
/*
 * Copyright (C) the nginx-async authors
 *
 * async_shared_get(), _set(), _add(), _incr() and _delete().
 */

#include <ngx_http_async_shared.h>
#include <ngx_async_near.h>


static async_rc_t ngx_http_async_shared_time(ngx_async_task_t *t, int64_t ttl);
static async_rc_t ngx_http_async_shared_put(async_t *co,
    const char *dictionary, const char *text, const void *data, size_t len,
    int64_t ttl, ngx_uint_t add);
static async_rc_t ngx_http_async_shared_count(ngx_async_task_t *t,
    ngx_http_async_cells_t *cells, ngx_http_async_cell_t *cell, int64_t delta,
    int64_t *value);
static ngx_int_t ngx_http_async_shared_digits(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, int64_t *number);


ngx_array_t  *ngx_http_async_shared_all;


ngx_http_async_shared_t *
ngx_http_async_shared_find(ngx_async_task_t *t, const char *name)
{
    ngx_str_t                 word;
    ngx_uint_t                i;
    ngx_async_near_t          near;
    ngx_http_async_shared_t  *shared;

    if (ngx_http_async_shared_all == NULL) {
        (void) ngx_async_set_error(t, ASYNC_ERROR,
                                   "there is no \"async_shared %s\"", name);
        return NULL;
    }

    shared = ngx_http_async_shared_all->elts;

    for (i = 0; i < ngx_http_async_shared_all->nelts; i++) {
        if (ngx_strcmp(shared[i].name.data, name) == 0) {
            return &shared[i];
        }
    }

    word.data = (u_char *) name;
    word.len = ngx_strlen(name);

    ngx_async_near_init(&near, &word);

    for (i = 0; i < ngx_http_async_shared_all->nelts; i++) {
        ngx_async_near_offer(&near, &shared[i].name);
    }

    (void) ngx_async_set_error(t, ASYNC_ERROR,
                               "there is no \"async_shared %s\"%s%V%s", name,
                               near.best ? ", did you mean \"" : "",
                               near.best ? near.best
                                         : &(ngx_str_t) ngx_null_string,
                               near.best ? "\"?" : "");

    return NULL;
}


async_rc_t
ngx_http_async_shared_open(ngx_async_task_t *t, const char *name,
    const char *text, ngx_http_async_shared_t **shared,
    ngx_http_async_cells_key_t *key)
{
    size_t                         len;
    ngx_http_async_shared_zone_t  *sz;

    *shared = ngx_http_async_shared_find(t, name);

    if (*shared == NULL) {
        return ASYNC_ERROR;
    }

    len = ngx_strlen(text);

    if (len == 0 || len > NGX_HTTP_ASYNC_CELLS_KEY) {
        return ngx_async_set_error(t, ASYNC_ERROR, "a key has 1 to %d bytes, "
                                   "not %uz", NGX_HTTP_ASYNC_CELLS_KEY, len);
    }

    sz = (*shared)->zone->data;
    ngx_http_async_cells_key(sz->cells, key, text, len);

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_shared_time(ngx_async_task_t *t, int64_t ttl)
{
    return ngx_async_is_time(ttl)
           ? ASYNC_OK
           : ngx_async_set_error(t, ASYNC_ERROR, "the ttl is %L ms", ttl);
}


ngx_http_async_cells_t *
ngx_http_async_shared_lock(ngx_http_async_shared_t *shared)
{
    ngx_uint_t                     n;
    ngx_http_async_shared_zone_t  *sz;

    sz = shared->zone->data;

    if (ngx_async_robust_lock(&sz->mutex)) {
        n = ngx_http_async_cells_repair(sz->cells);

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "async_shared \"%V\": a worker has died in it, it was "
                      "repaired with %ui entries", &shared->name, n);
    }

    return sz->cells;
}


void
ngx_http_async_shared_unlock(ngx_http_async_shared_t *shared)
{
    ngx_http_async_shared_zone_t  *sz;

    sz = shared->zone->data;

    ngx_async_robust_unlock(&sz->mutex);
}


ngx_http_async_cell_t *
ngx_http_async_shared_store(ngx_http_async_shared_t *shared,
    ngx_http_async_cells_key_t *key, ngx_http_async_cells_value_t *value,
    uint64_t *waiters)
{
    uint64_t                       before;
    ngx_http_async_cell_t         *cell;
    ngx_http_async_cells_t        *cells;
    ngx_http_async_shared_zone_t  *sz;

    sz = shared->zone->data;
    cells = sz->cells;

    before = cells->evicted;

    cell = ngx_http_async_cells_put(cells, key, value, waiters);

    ngx_async_stats_add_to(&shared->stats, NGX_HTTP_ASYNC_SHARED_EVICTED,
                           cells->evicted - before);

    return cell;
}


void
ngx_http_async_shared_wake(uint64_t waiters)
{
    ngx_uint_t  bit, slot;

    for (bit = 0; waiters; bit++, waiters >>= 1) {

        if (!(waiters & 1)) {
            continue;
        }

        for (slot = bit; slot < ngx_async_npeers; slot += 64) {
            ngx_async_peer_wake(slot);
        }
    }
}


ngx_uint_t
ngx_http_async_shared_fresh(ngx_http_async_cell_t *cell)
{
    return cell->expires == 0 || ngx_current_msec < cell->expires;
}


async_rc_t
ngx_http_async_shared_give(ngx_async_task_t *t, ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, async_str_t *value)
{
    size_t       len;
    u_char      *p;
    ngx_pool_t  *pool;

    len = (cell->kind == NGX_HTTP_ASYNC_CELL_NUMBER) ? NGX_INT64_LEN
                                                     : cell->len;

    pool = ngx_async_task_pool(t);
    p = pool ? ngx_pnalloc(pool, len + 1) : NULL;

    if (p == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    if (cell->kind == NGX_HTTP_ASYNC_CELL_NUMBER) {
        len = ngx_sprintf(p, "%L", cell->number) - p;

    } else {
        ngx_http_async_cells_read(cells, cell, p);
    }

    p[len] = '\0';

    value->data = (char *) p;
    value->len = len;

    ngx_http_async_cells_touch(cells, cell);

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_shared_too_long(ngx_async_task_t *t,
    ngx_http_async_shared_t *shared, size_t len)
{
    ngx_http_async_shared_zone_t  *sz;

    sz = shared->zone->data;

    return ngx_async_set_error(t, ASYNC_INVALID, "the value has %uz bytes, "
                               "\"async_shared %V\" takes %uL", len,
                               &shared->name, sz->cells->max_len);
}


async_rc_t
async_shared_get(async_t *co, const char *dictionary, const char *key,
    async_str_t *value)
{
    async_rc_t                   rc;
    ngx_http_async_cell_t       *cell;
    ngx_http_async_cells_t      *cells;
    ngx_http_async_shared_t     *shared;
    ngx_http_async_cells_key_t   k;

    ngx_async_check_task(co);

    value->data = NULL;
    value->len = 0;

    rc = ngx_http_async_shared_open(co, dictionary, key, &shared, &k);

    if (rc != ASYNC_OK) {
        return rc;
    }

    cells = ngx_http_async_shared_lock(shared);
    cell = ngx_http_async_cells_find(cells, &k);

    if (cell && ngx_http_async_shared_fresh(cell)) {
        rc = ngx_http_async_shared_give(co, cells, cell, value);
        ngx_http_async_shared_tally(shared, HITS);

    } else {
        ngx_http_async_shared_tally(shared, MISSES);

        if (cell && ngx_current_msec >= cell->gone) {
            ngx_http_async_cells_remove(cells, cell);
            ngx_http_async_shared_tally(shared, EXPIRED);
        }
    }

    ngx_http_async_shared_unlock(shared);

    return rc;
}


async_rc_t
async_shared_set(async_t *co, const char *dictionary, const char *key,
    const void *data, size_t len, int64_t ttl)
{
    ngx_async_check_task(co);

    return ngx_http_async_shared_put(co, dictionary, key, data, len, ttl, 0);
}


async_rc_t
async_shared_add(async_t *co, const char *dictionary, const char *key,
    const void *data, size_t len, int64_t ttl)
{
    ngx_async_check_task(co);

    return ngx_http_async_shared_put(co, dictionary, key, data, len, ttl, 1);
}


static async_rc_t
ngx_http_async_shared_put(async_t *co, const char *dictionary,
    const char *text, const void *data, size_t len, int64_t ttl,
    ngx_uint_t add)
{
    uint64_t                       waiters;
    async_rc_t                     rc;
    ngx_uint_t                     taken, put;
    ngx_http_async_cell_t         *cell;
    ngx_http_async_cells_t        *cells;
    ngx_http_async_shared_t       *shared;
    ngx_http_async_cells_key_t     key;
    ngx_http_async_cells_value_t   value;

    rc = ngx_http_async_shared_open(co, dictionary, text, &shared, &key);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_shared_time(co, ttl);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    value.kind = NGX_HTTP_ASYNC_CELL_BYTES;
    value.data = data;
    value.len = len;
    value.expires = ttl ? ngx_current_msec + ttl : 0;
    value.gone = value.expires;
    value.id = 0;

    waiters = 0;
    put = 0;

    cells = ngx_http_async_shared_lock(shared);
    cell = add ? ngx_http_async_cells_find(cells, &key) : NULL;
    taken = (cell && ngx_http_async_shared_fresh(cell));

    if (!taken) {
        put = (ngx_http_async_shared_store(shared, &key, &value, &waiters)
               != NULL);
    }

    ngx_http_async_shared_unlock(shared);

    ngx_http_async_shared_wake(waiters);

    if (taken) {
        return ngx_async_set_error(co, ASYNC_BUSY, "there is a value of this "
                                   "key");
    }

    return put ? ASYNC_OK : ngx_http_async_shared_too_long(co, shared, len);
}


async_rc_t
async_shared_incr(async_t *co, const char *dictionary, const char *key,
    int64_t delta, int64_t ttl, int64_t *value)
{
    int64_t                        number;
    uint64_t                       waiters;
    async_rc_t                     rc;
    ngx_http_async_cell_t         *cell;
    ngx_http_async_cells_t        *cells;
    ngx_http_async_shared_t       *shared;
    ngx_http_async_cells_key_t     k;
    ngx_http_async_cells_value_t   put;

    ngx_async_check_task(co);

    rc = ngx_http_async_shared_open(co, dictionary, key, &shared, &k);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_shared_time(co, ttl);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    waiters = 0;
    number = delta;

    put.kind = NGX_HTTP_ASYNC_CELL_NUMBER;
    put.data = NULL;
    put.len = 0;
    put.expires = ttl ? ngx_current_msec + ttl : 0;
    put.gone = put.expires;

    cells = ngx_http_async_shared_lock(shared);
    cell = ngx_http_async_cells_find(cells, &k);

    if (cell && ngx_http_async_shared_fresh(cell)) {
        rc = ngx_http_async_shared_count(co, cells, cell, delta, &number);

        put.expires = cell->expires;
        put.gone = cell->gone;

    } else {
        cell = NULL;
    }

    if (rc == ASYNC_OK
        && (cell == NULL || cell->kind != NGX_HTTP_ASYNC_CELL_NUMBER))
    {
        put.id = number;

        if (ngx_http_async_shared_store(shared, &k, &put, &waiters) == NULL) {
            rc = ngx_http_async_shared_too_long(co, shared, 0);
        }
    }

    ngx_http_async_shared_unlock(shared);

    ngx_http_async_shared_wake(waiters);

    if (rc == ASYNC_OK && value) {
        *value = number;
    }

    return rc;
}


/* Of a number, by one store; of digits, one is to be put in their place. */

static async_rc_t
ngx_http_async_shared_count(ngx_async_task_t *t, ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, int64_t delta, int64_t *value)
{
    int64_t  number;

    number = cell->number;

    if (cell->kind != NGX_HTTP_ASYNC_CELL_NUMBER
        && ngx_http_async_shared_digits(cells, cell, &number) != NGX_OK)
    {
        return ngx_async_set_error(t, ASYNC_INVALID, "the value of this key "
                                   "is no number");
    }

    if (__builtin_add_overflow(number, delta, value)) {
        return ngx_async_set_error(t, ASYNC_INVALID, "%L and %L are too much",
                                   number, delta);
    }

    if (cell->kind == NGX_HTTP_ASYNC_CELL_NUMBER) {
        __atomic_store_n(&cell->number, *value, __ATOMIC_RELAXED);
        ngx_http_async_cells_touch(cells, cell);
    }

    return ASYNC_OK;
}


/* An optional "-", and digits. */

static ngx_int_t
ngx_http_async_shared_digits(ngx_http_async_cells_t *cells,
    ngx_http_async_cell_t *cell, int64_t *number)
{
    u_char   text[NGX_INT64_LEN], *p;
    int64_t  n;

    if (cell->len == 0 || cell->len > NGX_INT64_LEN) {
        return NGX_ERROR;
    }

    ngx_http_async_cells_read(cells, cell, text);

    p = text + (text[0] == '-');
    n = 0;

    if (p == text + cell->len) {
        return NGX_ERROR;
    }

    for ( /* void */ ; p < text + cell->len; p++) {

        if (*p < '0' || *p > '9'
            || __builtin_mul_overflow(n, (int64_t) 10, &n)
            || __builtin_sub_overflow(n, (int64_t) (*p - '0'), &n))
        {
            return NGX_ERROR;
        }
    }

    /* below zero there is one more */

    if (text[0] != '-' && __builtin_sub_overflow((int64_t) 0, n, &n)) {
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


async_rc_t
async_shared_delete(async_t *co, const char *dictionary, const char *key)
{
    uint64_t                     waiters;
    async_rc_t                   rc;
    ngx_http_async_cell_t       *cell;
    ngx_http_async_cells_t      *cells;
    ngx_http_async_shared_t     *shared;
    ngx_http_async_cells_key_t   k;

    ngx_async_check_task(co);

    rc = ngx_http_async_shared_open(co, dictionary, key, &shared, &k);

    if (rc != ASYNC_OK) {
        return rc;
    }

    waiters = 0;

    cells = ngx_http_async_shared_lock(shared);
    cell = ngx_http_async_cells_find_flight(cells, &k);

    if (cell) {
        /* what is loaded may be what was before: it is not kept */
        waiters = cell->waiters;
        ngx_http_async_cells_remove(cells, cell);
    }

    cell = ngx_http_async_cells_find(cells, &k);

    if (cell) {
        ngx_http_async_cells_remove(cells, cell);
    }

    ngx_http_async_shared_unlock(shared);

    ngx_http_async_shared_wake(waiters);

    return ASYNC_OK;
}
