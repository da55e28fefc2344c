
/*
 * Copyright (C) the nginx-async authors
 *
 * The workers of an nginx know each other: those of one configuration, and
 * those that a reload has left to finish.  Each has a slot in shared memory and
 * an eventfd, by which the others wake it.  The eventfds are the master's, made
 * with the first configuration, so that workers of any generation have them.
 */

#ifndef _NGX_ASYNC_PEERS_H_INCLUDED_
#define _NGX_ASYNC_PEERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * The most slots: workers at a time, with those of reloads that still finish.
 * In use are ngx_async_npeers of them: four for each of worker_processes, at
 * least NGX_ASYNC_PEERS_LEAST.
 */
#define NGX_ASYNC_PEERS        256
#define NGX_ASYNC_PEERS_LEAST  64


/* A worker, also when its slot is another one's by now. */

typedef struct {
    uint32_t    slot;
    uint32_t    life;          /* how many have had the slot before */
} ngx_async_peer_t;


/* The directives that need it call it while the configuration is read. */
ngx_int_t ngx_async_peers_conf(ngx_conf_t *cf);

/*
 * Of memory that is made anew: the size that it had until this reload, since
 * nginx keeps none of another size; or 0.
 */
size_t ngx_async_peers_resized(ngx_shm_zone_t *zone);

/* In the master: a configuration has been loaded. */
void ngx_async_peers_loaded(ngx_cycle_t *cycle);

/*
 * In a worker: takes a slot.  Without one, which is the slot NGX_ASYNC_PEERS,
 * it wakes, and is not woken.
 */
ngx_int_t ngx_async_peers_init(ngx_cycle_t *cycle);
void ngx_async_peers_exit(void);

extern ngx_async_peer_t  ngx_async_peer_self;

/* The same for all workers that know each other. */
extern ngx_uint_t        ngx_async_npeers;

/*
 * Has its loop call the handlers below; also of this worker itself, in the same
 * turn of the loop.  Of a slot that nobody has: the next one who takes it.
 */
void ngx_async_peer_wake(ngx_uint_t slot);

/* On the loop, after at least one wake: look what there is. */
ngx_int_t ngx_async_on_wake(void (*handler)(void));

/* Whether that worker still runs; never of one without a slot. */
ngx_uint_t ngx_async_peer_lives(ngx_async_peer_t peer);


#endif /* _NGX_ASYNC_PEERS_H_INCLUDED_ */
