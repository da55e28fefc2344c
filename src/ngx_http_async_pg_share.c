
/*
 * Copyright (C) the nginx-async authors
 *
 * async_pg ... shared=on: statements that stand alone go to connections which
 * others use at the same time, in pipeline mode, each with a sync of its own.
 * So one that fails, or has to be prepared, is no matter to the others; and
 * nobody waits for a connection.
 *
 * The loop reads the results and hands them out in the order of the statements.
 * A statement that its task does not wait for any more is executed all the
 * same, as long as somebody waits for another one: a cancel could hit that.
 * When nobody does, the connection is left as one that a task had for itself,
 * so that what is stuck there holds up nobody who comes.
 *
 * While somebody waits for a connection of his own, one that is shared takes no
 * more statements, and is his when it has answered those that it has.
 */

#include <ngx_http_async_pg_query.h>
#include <ngx_http_async_pg_share.h>
#include <ngx_http_async_pg_task.h>


/* from so many on, another connection is opened; and no more on any */
#define NGX_HTTP_ASYNC_PG_SPREAD  4
#define NGX_HTTP_ASYNC_PG_DEPTH   64

#define NGX_HTTP_ASYNC_PG_KEPT    256


typedef enum {
    NGX_HTTP_ASYNC_PG_TIDY = 0,
    NGX_HTTP_ASYNC_PG_PREPARE,
    NGX_HTTP_ASYNC_PG_EXECUTE,
    NGX_HTTP_ASYNC_PG_SYNC
} ngx_http_async_pg_phase_e;


/* one that is on its way, up to its sync; freed by the task if that waits */

typedef struct {
    ngx_queue_t                     queue;
    ngx_http_async_pg_phase_e       phase;
    ngx_int_t                       ntidy;    /* names to be forgotten */
    ngx_async_waker_t               waker;
    ngx_http_async_pg_query_t      *query;    /* NULL: nobody waits */
    ngx_http_async_pg_prepared_t   *prepared; /* a new one; or NULL */
    PGresult                       *next;     /* of the command */
    PGresult                       *result;
    unsigned                        stale:1;
    unsigned                        lost:1;
} ngx_http_async_pg_slot_t;


static async_rc_t ngx_http_async_pg_share_once(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_query_t *query,
    ngx_uint_t *again);
static async_rc_t ngx_http_async_pg_share_find(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_conn_t **conn);
static ngx_http_async_pg_conn_t *ngx_http_async_pg_share_least(
    ngx_http_async_pg_pool_t *pool);
static ngx_int_t ngx_http_async_pg_share_begin(ngx_http_async_pg_conn_t *conn);
static ngx_http_async_pg_slot_t *ngx_http_async_pg_share_put(
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_query_t *query);
static ngx_int_t ngx_http_async_pg_share_tidy(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_share_flush(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_share_flushed(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_share_event(ngx_event_t *ev);
static ngx_int_t ngx_http_async_pg_share_read(ngx_http_async_pg_conn_t *conn);
static ngx_int_t ngx_http_async_pg_share_result(
    ngx_http_async_pg_conn_t *conn, ngx_http_async_pg_slot_t *slot,
    PGresult *result);
static void ngx_http_async_pg_share_command(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_slot_t *slot);
static void ngx_http_async_pg_share_done(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_slot_t *slot);
static ngx_uint_t ngx_http_async_pg_share_wanted(
    ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_share_leave(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_share_end(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_share_own(ngx_http_async_pg_conn_t *conn);
static ngx_http_async_pg_slot_t *ngx_http_async_pg_slot_new(
    ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_slot_free(ngx_http_async_pg_slot_t *slot);


/* of this worker */
static ngx_http_async_pg_slot_t  *ngx_http_async_pg_slots[
                                                  NGX_HTTP_ASYNC_PG_KEPT];
static ngx_uint_t                 ngx_http_async_pg_nslots;


async_rc_t
ngx_http_async_pg_share(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_query_t *query)
{
    async_rc_t  rc;
    ngx_uint_t  again;

    rc = ngx_http_async_pg_share_once(t, pool, query, &again);

    if (rc == ASYNC_OK && again) {
        rc = ngx_http_async_pg_share_once(t, pool, query, &again);
    }

    return rc;
}


static async_rc_t
ngx_http_async_pg_share_once(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_query_t *query,
    ngx_uint_t *again)
{
    ngx_int_t                  rc;
    ngx_msec_t                 since;
    ngx_http_async_pg_conn_t  *conn;
    ngx_http_async_pg_slot_t  *slot;

    *again = 0;

    PQclear(query->result);
    query->result = NULL;

    rc = ngx_http_async_pg_share_find(t, pool, &conn);

    if (rc != ASYNC_OK) {
        return rc;
    }

    slot = ngx_http_async_pg_share_put(conn, query);

    if (slot == NULL) {
        rc = ngx_http_async_pg_lost(t, conn);
        ngx_http_async_pg_share_lost(conn);
        return rc;
    }

    slot->waker = ngx_async_waker(t);

    since = ngx_current_msec;
    ngx_http_async_pg_count(pool, STATEMENTS);

    ngx_http_async_pg_let_in(pool);

    rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);

    ngx_http_async_pg_stats_time(pool, NGX_HTTP_ASYNC_PG_STATS_TIME, since);

    if (rc != ASYNC_OK && slot->query) {
        /* what comes of it, nobody wants any more */
        slot->query = NULL;

        if (!ngx_http_async_pg_share_wanted(conn)) {
            ngx_http_async_pg_share_leave(conn);
        }

        return rc;
    }

    query->result = slot->result;
    slot->result = NULL;
    *again = slot->stale;

    query->lost = slot->lost;

    if (rc == ASYNC_OK && slot->lost && query->result == NULL) {
        rc = ngx_async_because(t, ASYNC_CAUSE_RESET,
                               ngx_async_set_error(t, ASYNC_CLOSED, "database "
                                                   "\"%V\": the connection is "
                                                   "lost", &pool->name));
    }

    ngx_http_async_pg_slot_free(slot);

    return rc;
}


/* One with room, or a new one, or what somebody else gives back. */

static async_rc_t
ngx_http_async_pg_share_find(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_conn_t **conn)
{
    async_rc_t  rc;
    ngx_uint_t  depth;

    depth = (pool->n < pool->connections) ? NGX_HTTP_ASYNC_PG_SPREAD
                                          : NGX_HTTP_ASYNC_PG_DEPTH;

    *conn = ngx_http_async_pg_share_least(pool);

    if (*conn && (*conn)->nslots < depth && ngx_queue_empty(&pool->idle)
        && pool->nlone + pool->joining == 0)
    {
        return ASYNC_OK;
    }

    for ( ;; ) {
        rc = ngx_http_async_pg_acquire(t, pool, 1, conn);

        if (rc != ASYNC_OK || *conn) {
            break;
        }

        *conn = ngx_http_async_pg_share_least(pool);

        if (*conn && (*conn)->nslots < NGX_HTTP_ASYNC_PG_DEPTH) {
            return ASYNC_OK;
        }

        /* it has been lost in the meantime */
    }

    if (rc == ASYNC_OK && ngx_http_async_pg_share_begin(*conn) != NGX_OK) {
        rc = ngx_http_async_pg_lost(t, *conn);
        ngx_http_async_pg_release(*conn);
    }

    return rc;
}


static ngx_http_async_pg_conn_t *
ngx_http_async_pg_share_least(ngx_http_async_pg_pool_t *pool)
{
    ngx_queue_t               *q;
    ngx_http_async_pg_conn_t  *conn, *least;

    least = NULL;

    for (q = ngx_queue_head(&pool->shared);
         q != ngx_queue_sentinel(&pool->shared);
         q = ngx_queue_next(q))
    {
        conn = ngx_queue_data(q, ngx_http_async_pg_conn_t, queue);

        if (ngx_http_async_pg_old(conn)) {
            conn->closing = 1;
        }

        if (!conn->closing && (least == NULL || conn->nslots < least->nslots)) {
            least = conn;
        }
    }

    return least;
}


void
ngx_http_async_pg_share_yield(ngx_http_async_pg_pool_t *pool, ngx_uint_t n)
{
    ngx_queue_t               *q;
    ngx_http_async_pg_conn_t  *conn;

    for (q = ngx_queue_head(&pool->shared);
         q != ngx_queue_sentinel(&pool->shared);
         q = ngx_queue_next(q))
    {
        conn = ngx_queue_data(q, ngx_http_async_pg_conn_t, queue);
        n -= (conn->closing && n);
    }

    while (n--) {
        conn = ngx_http_async_pg_share_least(pool);

        if (conn == NULL) {
            return;
        }

        conn->closing = 1;
    }
}


ngx_uint_t
ngx_http_async_pg_share_room(ngx_http_async_pg_pool_t *pool)
{
    ngx_uint_t                 room;
    ngx_queue_t               *q;
    ngx_http_async_pg_conn_t  *conn;

    room = 0;

    for (q = ngx_queue_head(&pool->shared);
         q != ngx_queue_sentinel(&pool->shared);
         q = ngx_queue_next(q))
    {
        conn = ngx_queue_data(q, ngx_http_async_pg_conn_t, queue);

        if (!conn->closing && conn->nslots < NGX_HTTP_ASYNC_PG_DEPTH) {
            room += NGX_HTTP_ASYNC_PG_DEPTH - conn->nslots;
        }
    }

    return room;
}


static ngx_int_t
ngx_http_async_pg_share_begin(ngx_http_async_pg_conn_t *conn)
{
    ngx_event_t  *rev;

    if (!PQenterPipelineMode(conn->pg)) {
        return NGX_ERROR;
    }

    rev = conn->c->read;

    if (!rev->active
        && ngx_add_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rev->handler = ngx_http_async_pg_share_event;
    conn->c->write->handler = ngx_http_async_pg_share_event;

    ngx_queue_remove(&conn->queue);
    ngx_queue_insert_tail(&conn->pool->shared, &conn->queue);

    ngx_queue_init(&conn->slots);
    conn->nslots = 0;
    conn->closing = 0;

    return NGX_OK;
}


static ngx_http_async_pg_slot_t *
ngx_http_async_pg_share_put(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_query_t *query)
{
    ngx_http_async_pg_slot_t  *slot;

    if (ngx_http_async_pg_untidy(conn) && !conn->tidying
        && ngx_http_async_pg_share_tidy(conn) != NGX_OK)
    {
        return NULL;
    }

    slot = ngx_http_async_pg_slot_new(conn);

    if (slot == NULL) {
        return NULL;
    }

    if (!ngx_http_async_pg_put(conn, query) || !PQpipelineSync(conn->pg)) {
        return NULL;
    }

    slot->query = query;

    if (query->prepared && !query->known) {
        slot->prepared = query->prepared;
        slot->phase = NGX_HTTP_ASYNC_PG_PREPARE;
    }

    ngx_http_async_pg_share_flush(conn);

    return slot;
}


static ngx_int_t
ngx_http_async_pg_share_tidy(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_slot_t  *slot;

    slot = ngx_http_async_pg_slot_new(conn);

    if (slot == NULL) {
        return NGX_ERROR;
    }

    slot->phase = NGX_HTTP_ASYNC_PG_TIDY;
    slot->ntidy = ngx_http_async_pg_tidy(conn);
    conn->tidying = 1;

    return (slot->ntidy < 0) ? NGX_ERROR : NGX_OK;
}


/* What the kernel does not take now, it is asked to take later. */

static void
ngx_http_async_pg_share_flush(ngx_http_async_pg_conn_t *conn)
{
    int           left;
    ngx_event_t  *wev;

    wev = conn->c->write;
    left = ngx_http_async_pg_push(conn);

    if (left > 0 && !wev->active) {
        (void) ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }

    if (left <= 0) {
        ngx_http_async_pg_share_flushed(conn);
    }

    /*
     * When the kernel takes no more, libpq reads, and no event tells of that:
     * neither of results, nor that the socket is closed.
     */

    if (!PQisBusy(conn->pg) && !conn->c->read->posted) {
        ngx_post_event(conn->c->read, &ngx_posted_events);
    }
}


static void
ngx_http_async_pg_share_flushed(ngx_http_async_pg_conn_t *conn)
{
    ngx_event_t  *wev;

    wev = conn->c->write;

    if (wev->active) {
        /* libpq closes the socket of a connection that is lost */
        (void) ngx_del_event(wev, NGX_WRITE_EVENT,
                             PQsocket(conn->pg) == conn->c->fd
                             ? 0 : NGX_CLOSE_EVENT);
    }
}


static void
ngx_http_async_pg_share_event(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_async_pg_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (ev->write) {
        ngx_http_async_pg_share_flush(conn);
    }

    if (ngx_http_async_pg_share_read(conn) != NGX_OK) {
        ngx_http_async_pg_share_lost(conn);
        return;
    }

    if (conn->nslots == 0) {
        ngx_http_async_pg_share_end(conn);
        return;
    }

    if (!ngx_http_async_pg_share_wanted(conn)) {
        ngx_http_async_pg_share_leave(conn);
        return;
    }

    ngx_http_async_pg_let_in(conn->pool);
}


static ngx_int_t
ngx_http_async_pg_share_read(ngx_http_async_pg_conn_t *conn)
{
    ngx_uint_t                 alive, ends;
    PGresult                  *result;
    ngx_http_async_pg_slot_t  *slot;

    /* the server may have said why it goes */
    alive = ngx_http_async_pg_consume(conn);

    for (ends = 0; conn->nslots && !PQisBusy(conn->pg); /* void */ ) {

        slot = ngx_queue_data(ngx_queue_head(&conn->slots),
                              ngx_http_async_pg_slot_t, queue);

        result = PQgetResult(conn->pg);

        if (result) {
            ends = 0;
            ngx_http_async_pg_weigh(conn, result);

            if (ngx_http_async_pg_share_result(conn, slot, result) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (PQstatus(conn->pg) != CONNECTION_OK || ++ends > 2) {
            return NGX_ERROR;
        }

        ngx_http_async_pg_share_command(conn, slot);
    }

    return (alive && PQstatus(conn->pg) == CONNECTION_OK) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_async_pg_share_result(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_slot_t *slot, PGresult *result)
{
    switch (PQresultStatus(result)) {

    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        ngx_http_async_pg_share_done(conn, slot);
        return NGX_OK;

    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        PQclear(result);
        return NGX_ERROR;

    default:
        break;
    }

    if (slot->phase == NGX_HTTP_ASYNC_PG_TIDY
        || slot->phase == NGX_HTTP_ASYNC_PG_PREPARE)
    {
        ngx_http_async_pg_keep(&slot->next, result);

    } else {
        /* behind it, a constraint that is deferred */
        ngx_http_async_pg_keep(&slot->result, result);
    }

    return NGX_OK;
}


/* The end of the results of a command. */

static void
ngx_http_async_pg_share_command(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_slot_t *slot)
{
    switch (slot->phase) {

    case NGX_HTTP_ASYNC_PG_TIDY:

        if (slot->ntidy) {
            ngx_http_async_pg_tidied(conn, slot->next);
            slot->ntidy--;
        }

        break;

    case NGX_HTTP_ASYNC_PG_PREPARE:

        ngx_http_async_pg_confirm(conn, slot->prepared,
                                  PQresultStatus(slot->next)
                                  == PGRES_COMMAND_OK);

        if (ngx_http_async_pg_is_error(slot->next)) {
            /* that is why it will not be executed */
            slot->result = slot->next;
            slot->next = NULL;
        }

        slot->phase = NGX_HTTP_ASYNC_PG_EXECUTE;
        break;

    default:
        slot->phase = NGX_HTTP_ASYNC_PG_SYNC;
    }

    PQclear(slot->next);
    slot->next = NULL;
}


static void
ngx_http_async_pg_share_done(ngx_http_async_pg_conn_t *conn,
    ngx_http_async_pg_slot_t *slot)
{
    ngx_queue_remove(&slot->queue);
    conn->nslots--;

    if (slot->phase == NGX_HTTP_ASYNC_PG_TIDY) {
        conn->tidying = 0;
    }

    if (slot->query == NULL) {
        ngx_http_async_pg_slot_free(slot);
        return;
    }

    slot->query->result = slot->result;
    slot->stale = ngx_http_async_pg_forgotten(conn, slot->query);
    slot->query->result = NULL;
    slot->query = NULL;

    (void) ngx_async_wake(&slot->waker, ASYNC_OK);
}


void
ngx_http_async_pg_share_lost(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_slot_t  *slot;

    while (conn->nslots) {
        slot = ngx_queue_data(ngx_queue_head(&conn->slots),
                              ngx_http_async_pg_slot_t, queue);

        ngx_queue_remove(&slot->queue);
        conn->nslots--;

        slot->lost = 1;

        if (slot->query) {
            slot->query = NULL;
            (void) ngx_async_wake(&slot->waker, ASYNC_OK);

        } else {
            ngx_http_async_pg_slot_free(slot);
        }
    }

    conn->doomed = 1;
    ngx_http_async_pg_share_end(conn);
}


/* Whether somebody waits for a statement of it. */

static ngx_uint_t
ngx_http_async_pg_share_wanted(ngx_http_async_pg_conn_t *conn)
{
    ngx_queue_t               *q;
    ngx_http_async_pg_slot_t  *slot;

    for (q = ngx_queue_head(&conn->slots);
         q != ngx_queue_sentinel(&conn->slots);
         q = ngx_queue_next(q))
    {
        slot = ngx_queue_data(q, ngx_http_async_pg_slot_t, queue);

        if (slot->query) {
            return 1;
        }
    }

    return 0;
}


/* With statements on their way, which are cancelled, since nobody waits. */

static void
ngx_http_async_pg_share_leave(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_slot_t  *slot;

    while (conn->nslots) {
        slot = ngx_queue_data(ngx_queue_head(&conn->slots),
                              ngx_http_async_pg_slot_t, queue);

        ngx_queue_remove(&slot->queue);
        conn->nslots--;

        ngx_http_async_pg_slot_free(slot);
    }

    ngx_http_async_pg_share_own(conn);
    ngx_http_async_pg_release(conn);
}


static void
ngx_http_async_pg_share_end(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_share_own(conn);

    if (!conn->doomed && !PQexitPipelineMode(conn->pg)) {
        conn->doomed = 1;
    }

    ngx_http_async_pg_release(conn);
}


/* It is as any other one again. */

static void
ngx_http_async_pg_share_own(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_share_flushed(conn);
    ngx_http_async_pg_used(conn);

    ngx_queue_remove(&conn->queue);
    ngx_queue_insert_tail(&conn->pool->used, &conn->queue);

    conn->tidying = 0;
}


static ngx_http_async_pg_slot_t *
ngx_http_async_pg_slot_new(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_slot_t  *slot;

    slot = ngx_http_async_pg_nslots
           ? ngx_http_async_pg_slots[--ngx_http_async_pg_nslots]
           : ngx_alloc(sizeof(ngx_http_async_pg_slot_t), ngx_cycle->log);

    if (slot == NULL) {
        return NULL;
    }

    ngx_memzero(slot, sizeof(ngx_http_async_pg_slot_t));
    slot->phase = NGX_HTTP_ASYNC_PG_EXECUTE;

    ngx_queue_insert_tail(&conn->slots, &slot->queue);
    conn->nslots++;

    return slot;
}


static void
ngx_http_async_pg_slot_free(ngx_http_async_pg_slot_t *slot)
{
    PQclear(slot->next);
    PQclear(slot->result);

    if (ngx_http_async_pg_nslots < NGX_HTTP_ASYNC_PG_KEPT) {
        ngx_http_async_pg_slots[ngx_http_async_pg_nslots++] = slot;

    } else {
        ngx_free(slot);
    }
}
