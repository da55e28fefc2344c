
/*
 * Copyright (C) the nginx-async authors
 *
 * await_shared_get_or(): one loader at a time of a key, over all workers.
 *
 * Who finds no value puts a flight, which names its worker, and loads.  Others
 * find the flight, leave a bit of their worker in it, and wait.  When it is no
 * more - the value has taken its place, or the loader has failed, was
 * cancelled, or the key was set or deleted meanwhile - the workers of these
 * bits are woken, and each of their tasks looks again, as if it came now: the
 * first of them may load in its turn, and the others find its flight.
 *
 * What a loader leaves is kept only if its flight is still there.  Its death is
 * seen by those who look, and those who wait look from time to time; the worker
 * that comes in its place looks, too.
 */

#include <ngx_http_async_shared.h>
#include <ngx_async_child.h>


/* ms between looks at the workers that others wait for */
#define NGX_HTTP_ASYNC_SHARED_LOOK    500

/* ms in which those who wait read a value that has ended, or a cause */
#define NGX_HTTP_ASYNC_SHARED_READ    10000


/* A call; on the stack of its task */

typedef struct {
    ngx_async_task_t             *task;
    ngx_http_async_shared_t      *shared;
    ngx_http_async_cells_key_t    key;
    async_loader_t                loader;
    async_str_t                  *value;
    async_rc_t                    rc;         /* the answer, once decided */

    async_str_t                   loaded;

    uint64_t                      id;         /* of the flight; 0: none yet */
    uint32_t                      cell;       /* of that */
    uint64_t                      waiters;    /* are to be woken */
} ngx_http_async_ask_t;


typedef struct {
    ngx_queue_t                   queue;
    ngx_async_waker_t             waker;
    uint64_t                      id;
    uint32_t                      cell;
    ngx_uint_t                    woken;
} ngx_http_async_shared_wait_t;


typedef struct {
    ngx_queue_t                   queue;      /* of the hash of the key */
    ngx_http_async_ask_t         *ask;
    uint64_t                      child;      /* the last one before */
} ngx_http_async_shared_load_t;


static async_rc_t ngx_http_async_shared_begin(ngx_http_async_ask_t *ask,
    const char *dictionary, const char *key, const async_loader_t *loader,
    size_t size);
static ngx_int_t ngx_http_async_shared_look(ngx_http_async_ask_t *ask);
static ngx_int_t ngx_http_async_shared_decide(ngx_http_async_ask_t *ask,
    ngx_http_async_cells_t *cells);
static ngx_uint_t ngx_http_async_shared_good(ngx_http_async_ask_t *ask,
    ngx_http_async_cell_t *cell);
static ngx_uint_t ngx_http_async_shared_stale(ngx_http_async_ask_t *ask,
    ngx_http_async_cell_t *cell);
static ngx_int_t ngx_http_async_shared_failed(ngx_http_async_ask_t *ask,
    ngx_http_async_cells_t *cells, ngx_http_async_cell_t *cell);
static ngx_uint_t ngx_http_async_shared_own(ngx_http_async_ask_t *ask);
static ngx_int_t ngx_http_async_shared_take_off(ngx_http_async_ask_t *ask,
    ngx_http_async_cells_t *cells);
static async_rc_t ngx_http_async_shared_wait(ngx_http_async_ask_t *ask);
static async_rc_t ngx_http_async_shared_load(ngx_http_async_ask_t *ask);
static async_rc_t ngx_http_async_shared_call(async_t *co, void *arg);
static async_rc_t ngx_http_async_shared_land(ngx_http_async_ask_t *ask,
    async_rc_t rc);
static async_rc_t ngx_http_async_shared_keep(ngx_http_async_ask_t *ask,
    ngx_http_async_cells_t *cells);
static void ngx_http_async_shared_tell(ngx_http_async_ask_t *ask,
    ngx_http_async_cells_t *cells, async_rc_t rc);
static async_rc_t ngx_http_async_shared_copy(ngx_http_async_ask_t *ask);
static uint64_t ngx_http_async_shared_self(void);
static ngx_uint_t ngx_http_async_shared_lives(uint64_t owner);
static void ngx_http_async_shared_woken(void);
static void ngx_http_async_shared_look_around(ngx_event_t *ev);
static ngx_uint_t ngx_http_async_shared_pass(ngx_http_async_shared_t *shared,
    ngx_uint_t owners);
static uint64_t ngx_http_async_shared_sweep(ngx_http_async_shared_t *shared);


#define ngx_http_async_shared_loads(ask)                                     \
    (&(ask)->shared->loading[(ask)->key.hash % NGX_HTTP_ASYNC_SHARED_LOADS])


static ngx_event_t       ngx_http_async_shared_timer;

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t  ngx_http_async_shared_no_connection;


async_rc_t
await_shared_get_or_at(async_t *co, const char *site, const char *dictionary,
    const char *key, const async_loader_t *loader, size_t size,
    async_str_t *value)
{
    ngx_int_t             next;
    async_rc_t            rc;
    ngx_uint_t            waited;
    ngx_http_async_ask_t  ask;

    value->data = NULL;
    value->len = 0;

    rc = ngx_async_enter(co, "await_shared_get_or", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_memzero(&ask, sizeof(ngx_http_async_ask_t));

    ask.task = co;
    ask.value = value;

    waited = 0;

    rc = ngx_http_async_shared_begin(&ask, dictionary, key, loader, size);

    while (rc == ASYNC_OK) {
        next = ngx_http_async_shared_look(&ask);

        if (!waited) {
            ngx_async_stats_count(&ask.shared->stats,
                                  (next == NGX_OK)
                                  ? NGX_HTTP_ASYNC_SHARED_HITS
                                  : NGX_HTTP_ASYNC_SHARED_MISSES);
        }

        if (next == NGX_OK) {
            return ask.rc;
        }

        if (next == NGX_DECLINED) {
            return ngx_http_async_shared_load(&ask);
        }

        if (!waited) {
            waited = 1;
            ngx_http_async_shared_tally(ask.shared, WAITED);
        }

        rc = ngx_http_async_shared_wait(&ask);
    }

    return rc;
}


static async_rc_t
ngx_http_async_shared_begin(ngx_http_async_ask_t *ask, const char *dictionary,
    const char *key, const async_loader_t *loader, size_t size)
{
    ngx_uint_t         i;
    ngx_async_bound_t  bound;

    ngx_memcpy(&ask->loader, loader, ngx_min(size, sizeof(async_loader_t)));

    const int64_t  time[] = { ask->loader.ttl, ask->loader.stale };

    for (i = 0; i < sizeof(time) / sizeof(int64_t); i++) {
        if (!ngx_async_is_time(time[i])) {
            bound.what = "a time of async_loader_t";
            bound.site = ask->task->site;
            bound.ms = time[i];

            return ngx_async_refuse_time(ask->task, &bound);
        }
    }

    if (ask->loader.load == NULL) {
        return ngx_async_set_error(ask->task, ASYNC_ERROR,
                                   "there is no function that loads");
    }

    return ngx_http_async_shared_open(ask->task, dictionary, key, &ask->shared,
                                      &ask->key);
}


/* NGX_OK: ask->rc.  NGX_DECLINED: to be loaded here.  NGX_AGAIN: wait. */

static ngx_int_t
ngx_http_async_shared_look(ngx_http_async_ask_t *ask)
{
    ngx_int_t                rc;
    ngx_http_async_cells_t  *cells;

    ask->waiters = 0;

    cells = ngx_http_async_shared_lock(ask->shared);
    rc = ngx_http_async_shared_decide(ask, cells);
    ngx_http_async_shared_unlock(ask->shared);

    ngx_http_async_shared_wake(ask->waiters);

    return rc;
}


static ngx_int_t
ngx_http_async_shared_decide(ngx_http_async_ask_t *ask,
    ngx_http_async_cells_t *cells)
{
    ngx_http_async_cell_t  *cell, *flight;

    cell = ngx_http_async_cells_find(cells, &ask->key);

    if (cell && ngx_http_async_shared_good(ask, cell)) {
        goto given;
    }

    if (ask->id && ngx_http_async_shared_failed(ask, cells,
                       ngx_http_async_cells_find_failed(cells, &ask->key)))
    {
        return NGX_OK;
    }

    flight = ngx_http_async_cells_find_flight(cells, &ask->key);

    if (flight && !ngx_http_async_shared_lives(flight->owner)) {
        ask->waiters |= flight->waiters;
        ngx_http_async_cells_remove(cells, flight);
        flight = NULL;
    }

    if (flight && cell && ngx_http_async_shared_stale(ask, cell)) {
        goto given;
    }

    if (ngx_http_async_shared_own(ask)) {
        ask->rc = ngx_async_set_error(ask->task, ASYNC_ERROR, "a loader asks "
                                      "for the key that it loads");
        return NGX_OK;
    }

    if (flight == NULL) {
        return ngx_http_async_shared_take_off(ask, cells);
    }

    ask->id = flight->id;
    ask->cell = ngx_http_async_cells_number(cells, flight);

    if (ngx_async_peer_self.slot < NGX_ASYNC_PEERS) {
        __atomic_store_n(&flight->waiters, flight->waiters
                         | (uint64_t) 1 << (ngx_async_peer_self.slot % 64),
                         __ATOMIC_RELAXED);
    }

    return NGX_AGAIN;

given:

    ask->rc = ngx_http_async_shared_give(ask->task, cells, cell, ask->value);

    return NGX_OK;
}


/* What was loaded while the task has waited for it is good in any case. */

static ngx_uint_t
ngx_http_async_shared_good(ngx_http_async_ask_t *ask,
    ngx_http_async_cell_t *cell)
{
    return ngx_http_async_shared_fresh(cell)
           || (ask->id && cell->kind == NGX_HTTP_ASYNC_CELL_BYTES
               && cell->id >= ask->id);
}


static ngx_uint_t
ngx_http_async_shared_stale(ngx_http_async_ask_t *ask,
    ngx_http_async_cell_t *cell)
{
    return ngx_current_msec < cell->expires + ask->loader.stale
           && ngx_current_msec < cell->gone;
}


/* The flight that the task has waited for has ended so, or a later one. */

static ngx_int_t
ngx_http_async_shared_failed(ngx_http_async_ask_t *ask,
    ngx_http_async_cells_t *cells, ngx_http_async_cell_t *cell)
{
    u_char  text[1 + NGX_ASYNC_ERROR_LEN];

    if (cell == NULL || cell->id < ask->id || cell->len == 0
        || cell->len > NGX_ASYNC_ERROR_LEN)
    {
        return 0;
    }

    ngx_http_async_cells_read(cells, cell, text);
    text[cell->len] = '\0';

    ask->rc = ngx_async_set_error(ask->task, ASYNC_ERROR, "%s", text + 1);
    (void) ngx_async_because(ask->task, text[0], ask->rc);

    return 1;
}


/*
 * Whether the task is one that loads this key, or a child that its loader has
 * had; also without a flight, which a worker without a slot has none of, and
 * the key may have been deleted.
 */

static ngx_uint_t
ngx_http_async_shared_own(ngx_http_async_ask_t *ask)
{
    ngx_queue_t                   *q, *queue;
    ngx_http_async_ask_t          *other;
    ngx_http_async_shared_load_t  *load;

    queue = ngx_http_async_shared_loads(ask);

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        load = ngx_queue_data(q, ngx_http_async_shared_load_t, queue);
        other = load->ask;

        if (other->key.hash == ask->key.hash
            && other->key.len == ask->key.len
            && ngx_memcmp(other->key.data, ask->key.data, ask->key.len) == 0
            && ngx_async_child_since(ask->task, other->task, load->child))
        {
            return 1;
        }
    }

    return 0;
}


/* A worker that has no slot loads for its task alone. */

static ngx_int_t
ngx_http_async_shared_take_off(ngx_http_async_ask_t *ask,
    ngx_http_async_cells_t *cells)
{
    ngx_http_async_cell_t         *flight;
    ngx_http_async_cells_value_t   value;

    ask->id = 0;

    if (ngx_async_peer_self.slot == NGX_ASYNC_PEERS) {
        return NGX_DECLINED;
    }

    ngx_memzero(&value, sizeof(ngx_http_async_cells_value_t));

    value.kind = NGX_HTTP_ASYNC_CELL_FLIGHT;
    value.gone = ngx_http_async_shared_self();

    flight = ngx_http_async_shared_store(ask->shared, &ask->key, &value,
                                         &ask->waiters);

    if (flight) {
        ask->id = flight->id;
        ask->cell = ngx_http_async_cells_number(cells, flight);
    }

    return NGX_DECLINED;
}


static async_rc_t
ngx_http_async_shared_wait(ngx_http_async_ask_t *ask)
{
    async_rc_t                    rc;
    ngx_http_async_shared_wait_t  w;

    w.waker = ngx_async_waker(ask->task);
    w.id = ask->id;
    w.cell = ask->cell;
    w.woken = 0;

    ngx_queue_insert_tail(&ask->shared->waiting, &w.queue);

    if (!ngx_http_async_shared_timer.timer_set) {
        ngx_add_timer(&ngx_http_async_shared_timer,
                      NGX_HTTP_ASYNC_SHARED_LOOK);
    }

    rc = ngx_async_wait(ask->task, NGX_ASYNC_FOREVER);

    if (!w.woken) {
        ngx_queue_remove(&w.queue);
    }

    return rc;
}


static async_rc_t
ngx_http_async_shared_load(ngx_http_async_ask_t *ask)
{
    async_rc_t                     rc;
    ngx_http_async_shared_load_t   load;

    load.ask = ask;
    load.child = ngx_async_child_last();

    ngx_queue_insert_tail(ngx_http_async_shared_loads(ask), &load.queue);

    /* so that no older cause is taken for that of this failure */
    ask->task->error[0] = '\0';
    ask->task->cause = ASYNC_CAUSE_NONE;

    rc = ngx_async_call(ask->task, ngx_http_async_shared_call, ask);

    ngx_queue_remove(&load.queue);

    if (rc == ASYNC_OK && ask->loaded.data == NULL) {
        rc = ngx_async_set_error(ask->task, ASYNC_ERROR,
                                 "the loader has left no value");
    }

    ngx_async_stats_count(&ask->shared->stats,
                          (rc == ASYNC_OK) ? NGX_HTTP_ASYNC_SHARED_LOADED
                                           : NGX_HTTP_ASYNC_SHARED_FAILED);

    rc = ngx_http_async_shared_land(ask, rc);

    return (rc == ASYNC_OK) ? ngx_http_async_shared_copy(ask) : rc;
}


static async_rc_t
ngx_http_async_shared_land(ngx_http_async_ask_t *ask, async_rc_t rc)
{
    ngx_http_async_cell_t   *flight;
    ngx_http_async_cells_t  *cells;

    ask->waiters = 0;

    cells = ngx_http_async_shared_lock(ask->shared);
    flight = ngx_http_async_cells_find_flight(cells, &ask->key);

    if (ask->id && (flight == NULL || flight->id != ask->id)) {
        /* the key was set or deleted meanwhile, or there was no room */
        goto done;
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_shared_keep(ask, cells);
    }

    if (rc != ASYNC_OK && ask->id) {

        if (flight->waiters && ask->task->reason == NGX_ASYNC_KEEP) {
            ngx_http_async_shared_tell(ask, cells, rc);
        }

        /* putting may have taken it away */
        flight = ngx_http_async_cells_find_flight(cells, &ask->key);

        if (flight && flight->id == ask->id) {
            ask->waiters |= flight->waiters;
            ngx_http_async_cells_remove(cells, flight);
        }
    }

done:

    ngx_http_async_shared_unlock(ask->shared);

    ngx_http_async_shared_wake(ask->waiters);

    return rc;
}


/* In place of the flight. */

static async_rc_t
ngx_http_async_shared_keep(ngx_http_async_ask_t *ask,
    ngx_http_async_cells_t *cells)
{
    int64_t                        stale;
    ngx_http_async_cells_value_t   value;

    ngx_memzero(&value, sizeof(ngx_http_async_cells_value_t));

    value.kind = NGX_HTTP_ASYNC_CELL_BYTES;
    value.data = (const u_char *) ask->loaded.data;
    value.len = ask->loaded.len;
    value.id = ask->id;

    if (ask->loader.ttl) {
        stale = ngx_max(ask->loader.stale, NGX_HTTP_ASYNC_SHARED_READ);

        value.expires = ngx_current_msec + ask->loader.ttl;
        value.gone = value.expires + stale;
    }

    if (ngx_http_async_shared_store(ask->shared, &ask->key, &value,
                                    &ask->waiters))
    {
        return ASYNC_OK;
    }

    return ngx_http_async_shared_too_long(ask->task, ask->shared,
                                          ask->loaded.len);
}


/* Why it has failed, for those who wait; not for those who ask later. */

static void
ngx_http_async_shared_tell(ngx_http_async_ask_t *ask,
    ngx_http_async_cells_t *cells, async_rc_t rc)
{
    u_char                         text[1 + NGX_ASYNC_ERROR_LEN], *p;
    const char                    *cause;
    ngx_http_async_cells_value_t   value;

    cause = (char *) ask->task->error;

    text[0] = ask->task->cause;
    p = ngx_snprintf(text + 1, NGX_ASYNC_ERROR_LEN - 1, "%s",
                     *cause ? cause : ngx_async_rc_name(rc));

    ngx_memzero(&value, sizeof(ngx_http_async_cells_value_t));

    value.kind = NGX_HTTP_ASYNC_CELL_FAILED;
    value.data = text;
    value.len = p - text;
    value.expires = ngx_current_msec + NGX_HTTP_ASYNC_SHARED_READ;
    value.gone = value.expires;
    value.id = ask->id;

    (void) ngx_http_async_shared_store(ask->shared, &ask->key, &value,
                                       &ask->waiters);
}


static async_rc_t
ngx_http_async_shared_call(async_t *co, void *arg)
{
    ngx_http_async_ask_t  *ask = arg;

    return ask->loader.load(co, ask->loader.arg, &ask->loaded);
}


static async_rc_t
ngx_http_async_shared_copy(ngx_http_async_ask_t *ask)
{
    u_char      *p;
    ngx_pool_t  *pool;

    pool = ngx_async_task_pool(ask->task);
    p = pool ? ngx_pnalloc(pool, ask->loaded.len + 1) : NULL;

    if (p == NULL) {
        return ngx_async_set_error(ask->task, ASYNC_ERROR, "no memory");
    }

    *ngx_cpymem(p, ask->loaded.data, ask->loaded.len) = '\0';

    ask->value->data = (char *) p;
    ask->value->len = ask->loaded.len;

    return ASYNC_OK;
}


static uint64_t
ngx_http_async_shared_self(void)
{
    return (uint64_t) ngx_async_peer_self.slot << 32
           | ngx_async_peer_self.life;
}


static ngx_uint_t
ngx_http_async_shared_lives(uint64_t owner)
{
    ngx_async_peer_t  peer;

    peer.slot = owner >> 32;
    peer.life = (uint32_t) owner;

    return ngx_async_peer_lives(peer);
}


static void
ngx_http_async_shared_woken(void)
{
    ngx_uint_t                i;
    ngx_http_async_shared_t  *shared;

    shared = ngx_http_async_shared_all->elts;

    for (i = 0; i < ngx_http_async_shared_all->nelts; i++) {
        (void) ngx_http_async_shared_pass(&shared[i], 0);
    }
}


static void
ngx_http_async_shared_look_around(ngx_event_t *ev)
{
    ngx_uint_t                i, waiting;
    ngx_http_async_shared_t  *shared;

    waiting = 0;
    shared = ngx_http_async_shared_all->elts;

    for (i = 0; i < ngx_http_async_shared_all->nelts; i++) {
        waiting += ngx_http_async_shared_pass(&shared[i], 1);
    }

    if (waiting) {
        ngx_add_timer(ev, NGX_HTTP_ASYNC_SHARED_LOOK);
    }
}


/* Wakes whose flight is no more; gives whether there are others. */

static ngx_uint_t
ngx_http_async_shared_pass(ngx_http_async_shared_t *shared, ngx_uint_t owners)
{
    uint64_t                       owner;
    ngx_uint_t                     flies, lives;
    ngx_queue_t                   *q;
    ngx_http_async_cell_t         *cell;
    ngx_http_async_cells_t        *cells;
    ngx_http_async_shared_wait_t  *w;

    if (ngx_queue_empty(&shared->waiting)) {
        return 0;
    }

    owner = ngx_http_async_shared_self();
    lives = 1;

    cells = ngx_http_async_shared_lock(shared);

    for (q = ngx_queue_head(&shared->waiting);
         q != ngx_queue_sentinel(&shared->waiting);
         /* void */)
    {
        w = ngx_queue_data(q, ngx_http_async_shared_wait_t, queue);
        q = ngx_queue_next(q);

        cell = ngx_http_async_cells_at(cells, w->cell);

        flies = (cell->state == NGX_HTTP_ASYNC_CELL_WHOLE
                 && cell->kind == NGX_HTTP_ASYNC_CELL_FLIGHT
                 && cell->id == w->id);

        if (flies && owners && cell->owner != owner) {
            owner = cell->owner;
            lives = ngx_http_async_shared_lives(owner);
        }

        if (flies && (!owners || lives)) {
            continue;
        }

        ngx_queue_remove(&w->queue);
        w->woken = 1;

        (void) ngx_async_wake(&w->waker, ASYNC_OK);
    }

    ngx_http_async_shared_unlock(shared);

    return !ngx_queue_empty(&shared->waiting);
}


ngx_int_t
ngx_http_async_shared_load_init(ngx_array_t *all)
{
    uint64_t                  waiters;
    ngx_uint_t                i, n;
    ngx_http_async_shared_t  *shared;

    ngx_http_async_shared_all = all;
    ngx_http_async_shared_no_connection.fd = (ngx_socket_t) -1;

    ngx_http_async_shared_timer.handler = ngx_http_async_shared_look_around;
    ngx_http_async_shared_timer.data = &ngx_http_async_shared_no_connection;
    ngx_http_async_shared_timer.log = ngx_cycle->log;
    ngx_http_async_shared_timer.cancelable = 1;

    waiters = 0;
    shared = all->elts;

    for (i = 0; i < all->nelts; i++) {
        ngx_queue_init(&shared[i].waiting);

        for (n = 0; n < NGX_HTTP_ASYNC_SHARED_LOADS; n++) {
            ngx_queue_init(&shared[i].loading[n]);
        }

        waiters |= ngx_http_async_shared_sweep(&shared[i]);
    }

    ngx_http_async_shared_wake(waiters);

    return ngx_async_on_wake(ngx_http_async_shared_woken);
}


/* The flights of workers that have died; nobody may ask for their keys again */

static uint64_t
ngx_http_async_shared_sweep(ngx_http_async_shared_t *shared)
{
    uint32_t                 n;
    uint64_t                 waiters;
    ngx_http_async_cell_t   *cell;
    ngx_http_async_cells_t  *cells;

    waiters = 0;

    cells = ngx_http_async_shared_lock(shared);

    for (n = cells->flights.newest; n; /* void */ ) {
        cell = ngx_http_async_cells_at(cells, n);
        n = cell->older;

        if (!ngx_http_async_shared_lives(cell->owner)) {
            waiters |= cell->waiters;
            ngx_http_async_cells_remove(cells, cell);
        }
    }

    ngx_http_async_shared_unlock(shared);

    return waiters;
}
