
/*
 * Copyright (C) the nginx-async authors
 *
 * The workers of an nginx: see ngx_async_peers.h.
 *
 * A slot has a robust mutex that its worker holds as long as it lives, so that
 * the kernel tells of its end, however that comes.  Who has which slot is
 * looked at under a mutex of all of them: otherwise one who looks, and so holds
 * the slot of a dead worker for a moment, would be taken for that.
 *
 * A worker has the eventfds that there were when it was forked: so a reload
 * adds none, or those that it leaves to finish could not wake who has one of
 * these.  Their number is that of the configuration with which they are made.
 *
 * A single process has no zone: a reload would take it from the process that
 * runs on, with the mutex that it holds.
 */

#include <ngx_async_peers.h>
#include <ngx_async_robust.h>
#include <sys/eventfd.h>


#define NGX_ASYNC_PEERS_ZONE      "async_peers"

/* who wants to know of wakes */
#define NGX_ASYNC_PEERS_HANDLERS  8


typedef struct {
    pthread_mutex_t            alive;
    uint32_t                   life;          /* of who has it, or had it */
} ngx_async_peer_slot_t;


typedef struct {
    pthread_mutex_t            mutex;
    ngx_async_peer_slot_t      slots[NGX_ASYNC_PEERS];
} ngx_async_peers_t;


static ngx_uint_t ngx_async_peers_count(ngx_cycle_t *cycle);
static ngx_int_t ngx_async_peers_open(ngx_uint_t n, ngx_log_t *log);
static void ngx_async_peers_close(void *data);
static ngx_int_t ngx_async_peers_init_zone(ngx_shm_zone_t *zone, void *data);
static ngx_shm_zone_t *ngx_async_peers_zone(ngx_cycle_t *cycle);
static void ngx_async_peers_claim(ngx_log_t *log);
static ngx_int_t ngx_async_peers_listen(ngx_cycle_t *cycle);
static void ngx_async_peers_handler(ngx_event_t *ev);
static void ngx_async_peers_woken(ngx_event_t *ev);


ngx_async_peer_t          ngx_async_peer_self = { NGX_ASYNC_PEERS, 0 };
ngx_uint_t                ngx_async_npeers;

/* the master's, which workers inherit; open while a cycle needs them */
static int                ngx_async_peers_fds[NGX_ASYNC_PEERS];
static ngx_uint_t         ngx_async_peers_refs;

/* that of the configuration that runs; NULL: it has none */
static ngx_async_peers_t  *ngx_async_peers;

/* of this worker */
static ngx_connection_t  *ngx_async_peers_connection;
static ngx_event_t        ngx_async_peers_event;
static void             (*ngx_async_peers_handlers[NGX_ASYNC_PEERS_HANDLERS])
                             (void);
static ngx_uint_t         ngx_async_peers_nhandlers;

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t   ngx_async_peers_no_connection;


ngx_int_t
ngx_async_peers_conf(ngx_conf_t *cf)
{
    ngx_str_t            name;
    ngx_shm_zone_t      *zone;
    ngx_pool_cleanup_t  *cln;

    ngx_str_set(&name, NGX_ASYNC_PEERS_ZONE);

    zone = ngx_shared_memory_add(cf, &name, 8 * ngx_pagesize,
                                 &ngx_async_peers_fds);
    if (zone == NULL) {
        return NGX_ERROR;
    }

    if (zone->init) {
        /* another directive of this configuration */
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(cf->cycle->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_async_peers_close;
    ngx_async_peers_refs++;

    zone->init = ngx_async_peers_init_zone;
    zone->data = cf->cycle;

    return NGX_OK;
}


static ngx_uint_t
ngx_async_peers_count(ngx_cycle_t *cycle)
{
    ngx_uint_t        n;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    n = ngx_min(ccf->worker_processes, NGX_ASYNC_PEERS / 4);

    return ngx_max(4 * n, NGX_ASYNC_PEERS_LEAST);
}


static ngx_int_t
ngx_async_peers_open(ngx_uint_t n, ngx_log_t *log)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        ngx_async_peers_fds[i] = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);

        if (ngx_async_peers_fds[i] == -1) {
            ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "eventfd() failed");
            goto failed;
        }
    }

    ngx_async_npeers = n;

    return NGX_OK;

failed:

    while (i--) {
        (void) close(ngx_async_peers_fds[i]);
    }

    return NGX_ERROR;
}


static void
ngx_async_peers_close(void *data)
{
    ngx_uint_t  i;

    if (--ngx_async_peers_refs) {
        return;
    }

    for (i = 0; i < ngx_async_npeers; i++) {
        (void) close(ngx_async_peers_fds[i]);
        ngx_async_peers_fds[i] = -1;
    }

    ngx_async_npeers = 0;
}


static ngx_int_t
ngx_async_peers_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_uint_t          i;
    ngx_async_peers_t  *peers;

    /* worker_processes may stand behind the directive that needs them */

    if (ngx_async_npeers == 0
        && ngx_async_peers_open(ngx_async_peers_count(zone->data),
                                zone->shm.log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    peers = ngx_slab_calloc((ngx_slab_pool_t *) zone->shm.addr,
                            sizeof(ngx_async_peers_t));
    if (peers == NULL
        || ngx_async_robust_init(&peers->mutex, zone->shm.log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_ASYNC_PEERS; i++) {
        if (ngx_async_robust_init(&peers->slots[i].alive, zone->shm.log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    zone->data = peers;

    return NGX_OK;
}


/* Of this image of the module: another one has another tag. */

static ngx_shm_zone_t *
ngx_async_peers_zone(ngx_cycle_t *cycle)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *zone;
    ngx_list_part_t  *part;

    part = &cycle->shared_memory.part;
    zone = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            zone = part->elts;
            i = 0;
        }

        if (zone[i].tag == &ngx_async_peers_fds) {
            return &zone[i];
        }
    }
}


size_t
ngx_async_peers_resized(ngx_shm_zone_t *zone)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *old;
    ngx_list_part_t  *part;

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    old = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return 0;
            }

            part = part->next;
            old = part->elts;
            i = 0;
        }

        if (old[i].shm.name.len == zone->shm.name.len
            && ngx_strncmp(old[i].shm.name.data, zone->shm.name.data,
                           zone->shm.name.len) == 0
            && old[i].shm.size != zone->shm.size)
        {
            return old[i].shm.size;
        }
    }
}


void
ngx_async_peers_loaded(ngx_cycle_t *cycle)
{
    ngx_shm_zone_t  *zone;

    zone = ngx_async_peers_zone(cycle);

    ngx_async_peers = zone ? zone->data : NULL;
}


ngx_int_t
ngx_async_peers_init(ngx_cycle_t *cycle)
{
    if (ngx_async_peers_zone(cycle) == NULL) {
        return NGX_OK;
    }

    ngx_async_peers_no_connection.fd = (ngx_socket_t) -1;

    ngx_async_peers_event.handler = ngx_async_peers_woken;
    ngx_async_peers_event.data = &ngx_async_peers_no_connection;
    ngx_async_peers_event.log = cycle->log;

    if (ngx_process == NGX_PROCESS_SINGLE) {
        /* nobody else is there */
        ngx_async_peers = NULL;
        ngx_async_peer_self.slot = 0;
        ngx_async_peer_self.life = 1;
        return NGX_OK;
    }

    ngx_async_peers_claim(cycle->log);

    if (ngx_async_peer_self.slot == NGX_ASYNC_PEERS) {
        return NGX_OK;
    }

    return ngx_async_peers_listen(cycle);
}


static void
ngx_async_peers_claim(ngx_log_t *log)
{
    ngx_uint_t              i;
    ngx_async_peer_slot_t  *slot;

    (void) ngx_async_robust_lock(&ngx_async_peers->mutex);

    for (i = 0; i < ngx_async_npeers; i++) {
        slot = &ngx_async_peers->slots[i];

        if (ngx_async_robust_trylock(&slot->alive) == NGX_AGAIN) {
            continue;
        }

        ngx_async_peer_self.slot = i;
        ngx_async_peer_self.life = ++slot->life;
        break;
    }

    ngx_async_robust_unlock(&ngx_async_peers->mutex);

    if (i == ngx_async_npeers) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "async: more than %ui worker processes at a time, this "
                      "one is not woken by the others", ngx_async_npeers);
    }
}


static ngx_int_t
ngx_async_peers_listen(ngx_cycle_t *cycle)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(ngx_async_peers_fds[ngx_async_peer_self.slot],
                           cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->handler = ngx_async_peers_handler;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_free_connection(c);
        return NGX_ERROR;
    }

    ngx_async_peers_connection = c;

    return NGX_OK;
}


/* The eventfd is edge-triggered: each write is an event, read or not. */

static void
ngx_async_peers_handler(ngx_event_t *ev)
{
    uint64_t           count;
    ngx_connection_t  *c;

    c = ev->data;

    if (ev->ready) {
        ev->ready = 0;
        (void) !read(c->fd, &count, sizeof(uint64_t));
    }

    ngx_async_peers_woken(ev);
}


static void
ngx_async_peers_woken(ngx_event_t *ev)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_async_peers_nhandlers; i++) {
        ngx_async_peers_handlers[i]();
    }
}


/* The slot is for another worker from here on; the eventfd is the master's. */

void
ngx_async_peers_exit(void)
{
    ngx_connection_t  *c;

    ngx_async_peers_nhandlers = 0;

    if (ngx_async_peers_event.posted) {
        ngx_delete_posted_event(&ngx_async_peers_event);
    }

    c = ngx_async_peers_connection;

    if (c == NULL) {
        return;
    }

    ngx_async_peers_connection = NULL;

    (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;

    ngx_async_robust_unlock(
                      &ngx_async_peers->slots[ngx_async_peer_self.slot].alive);

    ngx_async_peer_self.slot = NGX_ASYNC_PEERS;
}


void
ngx_async_peer_wake(ngx_uint_t slot)
{
    uint64_t  one;

    if (slot == ngx_async_peer_self.slot && ngx_async_peers_event.handler) {
        ngx_post_event(&ngx_async_peers_event, &ngx_posted_events);
        return;
    }

    if (slot >= ngx_async_npeers || ngx_async_peers == NULL) {
        return;
    }

    one = 1;

    /* cannot fail: the counter never fills */
    (void) !write(ngx_async_peers_fds[slot], &one, sizeof(uint64_t));
}


ngx_int_t
ngx_async_on_wake(void (*handler)(void))
{
    if (ngx_async_peers_nhandlers == NGX_ASYNC_PEERS_HANDLERS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "async: too many handlers of wakes");
        return NGX_ERROR;
    }

    ngx_async_peers_handlers[ngx_async_peers_nhandlers++] = handler;

    return NGX_OK;
}


ngx_uint_t
ngx_async_peer_lives(ngx_async_peer_t peer)
{
    ngx_int_t               rc;
    ngx_uint_t              lives;
    ngx_async_peer_slot_t  *slot;

    if (peer.slot >= NGX_ASYNC_PEERS) {
        return 0;
    }

    if (peer.slot == ngx_async_peer_self.slot) {
        return peer.life == ngx_async_peer_self.life;
    }

    if (ngx_async_peers == NULL) {
        return 0;
    }

    slot = &ngx_async_peers->slots[peer.slot];

    (void) ngx_async_robust_lock(&ngx_async_peers->mutex);

    lives = (slot->life == peer.life);

    if (lives) {
        rc = ngx_async_robust_trylock(&slot->alive);

        if (rc != NGX_AGAIN) {
            ngx_async_robust_unlock(&slot->alive);
            lives = 0;
        }
    }

    ngx_async_robust_unlock(&ngx_async_peers->mutex);

    return lives;
}
