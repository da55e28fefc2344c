
/*
 * Copyright (C) the nginx-async authors
 *
 * A connection to PostgreSQL on nginx's loop: libpq says what it waits for, and
 * reads and writes itself.  Its events are level-triggered, as libpq may leave
 * something unread; while nobody waits, they are not asked for.
 */

#include <ngx_http_async_pg_pool.h>


typedef struct {
    PGconn                     *pg;
    int                         rc;
} ngx_http_async_pg_call_t;


static void ngx_http_async_pg_event(ngx_event_t *ev);
static void ngx_http_async_pg_idle_event(ngx_event_t *ev);
static void ngx_http_async_pg_rest_for(ngx_http_async_pg_conn_t *conn,
    ngx_msec_t idle);
static void ngx_http_async_pg_push_on_loop(void *data);
#if (NGX_SSL)
static int ngx_http_async_pg_read_all(PGconn *pg);
#endif
static void ngx_http_async_pg_consume_on_loop(void *data);
static void ngx_http_async_pg_discard(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_finish(void *data);


async_rc_t
ngx_http_async_pg_flush(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    int         left;
    async_rc_t  rc;

    for ( ;; ) {
        left = ngx_http_async_pg_push(conn);

        if (left == 0) {
            return ASYNC_OK;
        }

        if (left < 0) {
            return ngx_http_async_pg_lost(t, conn);
        }

        /* a server that answers may not read on before somebody reads that */

        rc = ngx_http_async_pg_either(t, conn);

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (conn->c->read->ready && !ngx_http_async_pg_consume(conn)) {
            return ngx_http_async_pg_lost(t, conn);
        }
    }
}


int
ngx_http_async_pg_push(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_call_t  call;

    if (!PQsslInUse(conn->pg)) {
        return PQflush(conn->pg);
    }

    call.pg = conn->pg;
    ngx_async_on_loop(ngx_http_async_pg_push_on_loop, &call);

    return call.rc;
}


static void
ngx_http_async_pg_push_on_loop(void *data)
{
    ngx_http_async_pg_call_t  *call = data;

    call->rc = PQflush(call->pg);

#if (NGX_SSL)

    /* it reads, too, when the kernel takes no more */

    if (call->rc >= 0 && !ngx_http_async_pg_read_all(call->pg)) {
        call->rc = -1;
    }

    ERR_clear_error();
#endif
}


#if (NGX_SSL)

/* What OpenSSL has read already, no event will tell of. */

static int
ngx_http_async_pg_read_all(PGconn *pg)
{
    while (PQgetssl(pg) && SSL_pending((SSL *) PQgetssl(pg)) > 0) {
        if (!PQconsumeInput(pg)) {
            return 0;
        }
    }

    return 1;
}

#endif


async_rc_t
ngx_http_async_pg_either(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    return ngx_http_async_pg_wait(t, conn, NGX_HTTP_ASYNC_PG_READ
                                           |NGX_HTTP_ASYNC_PG_WRITE,
                                  NGX_ASYNC_FOREVER);
}


async_rc_t
ngx_http_async_pg_more(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    async_rc_t  rc;

    rc = ngx_http_async_pg_wait(t, conn, NGX_HTTP_ASYNC_PG_READ,
                                NGX_ASYNC_FOREVER);

    return (rc == ASYNC_OK && !ngx_http_async_pg_consume(conn))
           ? ngx_http_async_pg_lost(t, conn) : rc;
}


async_rc_t
ngx_http_async_pg_get(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    PGresult **result)
{
    async_rc_t  rc;

    *result = NULL;

    while (PQisBusy(conn->pg)) {

        rc = ngx_http_async_pg_wait(t, conn, NGX_HTTP_ASYNC_PG_READ,
                                    NGX_ASYNC_FOREVER);
        if (rc != ASYNC_OK) {
            return rc;
        }

        if (!ngx_http_async_pg_consume(conn)) {
            /* the server may have said why it goes */
            conn->doomed = 1;
            break;
        }
    }

    *result = PQgetResult(conn->pg);

    ngx_http_async_pg_weigh(conn, *result);

    return (*result || !conn->doomed) ? ASYNC_OK
                                      : ngx_http_async_pg_lost(t, conn);
}


/* A row is one message. */

void
ngx_http_async_pg_weigh(ngx_http_async_pg_conn_t *conn, PGresult *result)
{
    size_t  size;

    if (result == NULL) {
        return;
    }

    size = PQresultMemorySize(result);

    if (size > NGX_HTTP_ASYNC_PG_LARGE
        && size / ngx_max(PQntuples(result), 1) > NGX_HTTP_ASYNC_PG_LARGE)
    {
        conn->large = 1;
    }
}


async_rc_t
ngx_http_async_pg_input(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    ngx_msec_t timeout)
{
    async_rc_t  rc;

    rc = ngx_http_async_pg_wait(t, conn, NGX_HTTP_ASYNC_PG_READ, timeout);

    if (rc == ASYNC_OK && conn->c->read->ready
        && !ngx_http_async_pg_consume(conn))
    {
        return ngx_http_async_pg_lost(t, conn);
    }

    return rc;
}


int
ngx_http_async_pg_consume(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_call_t  call;

    conn->c->read->ready = 0;

    if (!PQsslInUse(conn->pg)) {
        return PQconsumeInput(conn->pg);
    }

    call.pg = conn->pg;
    ngx_async_on_loop(ngx_http_async_pg_consume_on_loop, &call);

    return call.rc;
}


static void
ngx_http_async_pg_consume_on_loop(void *data)
{
    ngx_http_async_pg_call_t  *call = data;

    call->rc = PQconsumeInput(call->pg);

#if (NGX_SSL)
    call->rc = call->rc && ngx_http_async_pg_read_all(call->pg);
    ERR_clear_error();
#endif
}


async_rc_t
ngx_http_async_pg_lost(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    size_t       len;
    const char  *text;

    conn->doomed = 1;

    text = PQerrorMessage(conn->pg);
    len = strcspn(text, CRLF);

    return ngx_async_because(t, ASYNC_CAUSE_RESET,
                             ngx_async_set_error(t, ASYNC_CLOSED, "database "
                                           "\"%V\": the connection is lost%s"
                                           "%*s", &conn->pool->name,
                                           len ? ": " : "", len, text));
}


/* Events: the socket is libpq's, nginx knows it only while it is attached. */

ngx_int_t
ngx_http_async_pg_attach(ngx_http_async_pg_conn_t *conn)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(PQsocket(conn->pg), ngx_cycle->log);

    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = conn;
    c->log_error = NGX_ERROR_ERR;

    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_async_pg_event;
    c->write->handler = ngx_http_async_pg_event;

    conn->c = c;

    return NGX_OK;
}


void
ngx_http_async_pg_detach(ngx_http_async_pg_conn_t *conn)
{
    ngx_uint_t         flags;
    ngx_connection_t  *c;

    c = conn->c;

    if (c == NULL) {
        return;
    }

    conn->c = NULL;

    /* libpq closes the socket of a connection that is lost */
    flags = (PQsocket(conn->pg) == c->fd) ? 0 : NGX_CLOSE_EVENT;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, flags);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, flags);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}


static void
ngx_http_async_pg_event(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_async_pg_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (c->close) {
        /* the worker exits; what is woken now would wait for an event */
        c->close = 0;
        ngx_post_event(ev, &ngx_posted_next_events);
        return;
    }

    if (conn->waits) {
        (void) ngx_async_wake(&conn->waker, ASYNC_OK);
        return;
    }

    /* it would be told of the same again and again */

    (void) ngx_del_event(ev, ev->write ? NGX_WRITE_EVENT : NGX_READ_EVENT, 0);
}


async_rc_t
ngx_http_async_pg_wait(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    ngx_uint_t events, ngx_msec_t timeout)
{
    ngx_int_t     rc;
    ngx_event_t  *rev, *wev;

    rev = conn->c->read;
    wev = conn->c->write;

    if (((events & NGX_HTTP_ASYNC_PG_READ) && !rev->active
         && ngx_add_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
        || ((events & NGX_HTTP_ASYNC_PG_WRITE) && !wev->active
            && ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK))
    {
        return ngx_async_set_error(t, ASYNC_ERROR, "epoll_ctl() failed");
    }

    rev->ready = 0;

    conn->waker = ngx_async_waker(t);
    conn->waits = 1;

    rc = ngx_async_wait(t, timeout);

    conn->waits = 0;

    if (wev->active) {
        (void) ngx_del_event(wev, NGX_WRITE_EVENT, 0);
    }

    if (rc == NGX_ASYNC_ELAPSED) {
        return ngx_async_because(t, ASYNC_CAUSE_TIMEOUT,
                                 ngx_async_set_error(t, ASYNC_TIMEOUT,
                                           "database \"%V\": not connected "
                                           "within %M ms", &conn->pool->name,
                                           conn->pool->connect_timeout));
    }

    return rc;
}


/* An idle one: whatever the server says now, nobody has asked for. */

void
ngx_http_async_pg_rest(ngx_http_async_pg_conn_t *conn)
{
    ngx_event_t  *rev;

    rev = conn->c->read;

    ngx_http_async_pg_discard(conn);

    rev->handler = ngx_http_async_pg_idle_event;
    rev->cancelable = 1;
    conn->c->idle = 1;

    if (!rev->active
        && ngx_add_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
    {
        conn->doomed = 1;
        return;
    }

    ngx_http_async_pg_rest_for(conn, conn->pool->idle_time);
}


/* The idle time, or less if it is too old before; zero: no end but that. */

static void
ngx_http_async_pg_rest_for(ngx_http_async_pg_conn_t *conn, ngx_msec_t idle)
{
    ngx_msec_t      time;
    ngx_msec_int_t  left;

    time = idle;

    if (conn->pool->lifetime) {
        left = (ngx_msec_int_t) (conn->since + conn->pool->lifetime
                                 - ngx_current_msec);
        left = ngx_max(left, 1);

        if (idle == 0 || (ngx_msec_t) left < idle) {
            time = left;
        }
    }

    if (time) {
        ngx_add_timer(conn->c->read, time);
    }
}


void
ngx_http_async_pg_unrest(ngx_http_async_pg_conn_t *conn)
{
    ngx_event_t  *rev;

    rev = conn->c->read;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    rev->cancelable = 0;
    conn->c->idle = 0;

    ngx_http_async_pg_used(conn);
}


void
ngx_http_async_pg_used(ngx_http_async_pg_conn_t *conn)
{
    conn->c->read->handler = ngx_http_async_pg_event;
    conn->c->write->handler = ngx_http_async_pg_event;
}


static void
ngx_http_async_pg_idle_event(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_async_pg_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (!c->close && ev->timedout && !ngx_http_async_pg_old(conn)
        && conn->pool->n <= conn->pool->min)
    {
        /* one of those that are kept */
        ev->timedout = 0;
        ngx_http_async_pg_rest_for(conn, 0);
        return;
    }

    if (!c->close && !ev->timedout && ngx_http_async_pg_consume(conn)) {

        /* a setting that has changed, a notice, its last words */
        ngx_http_async_pg_discard(conn);

        if (!conn->doomed && PQstatus(conn->pg) == CONNECTION_OK) {
            return;
        }
    }

    ngx_http_async_pg_gone(conn);
}


/* Somebody has executed LISTEN here: libpq keeps what comes of it. */

static void
ngx_http_async_pg_discard(ngx_http_async_pg_conn_t *conn)
{
    PGnotify  *notify;

    for ( ;; ) {
        notify = PQnotifies(conn->pg);

        if (notify == NULL) {
            return;
        }

        if (!conn->notified) {
            conn->notified = 1;

            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "database \"%V\": a connection of the pool listens "
                          "to \"%s\", where nobody hears it: LISTEN is not "
                          "for await_pg()", &conn->pool->name,
                          notify->relname);
        }

        PQfreemem(notify);
    }
}


ngx_uint_t
ngx_http_async_pg_old(ngx_http_async_pg_conn_t *conn)
{
    return conn->large
           || (conn->pool->lifetime
               && ngx_current_msec - conn->since >= conn->pool->lifetime);
}


void
ngx_http_async_pg_close(ngx_http_async_pg_conn_t *conn)
{
    ngx_http_async_pg_detach(conn);

    if (conn->pg) {
        ngx_async_on_loop(ngx_http_async_pg_finish, conn->pg);
        conn->pg = NULL;
    }

    ngx_http_async_pg_forget_statements(conn);
}


static void
ngx_http_async_pg_finish(void *data)
{
    PQfinish((PGconn *) data);

#if (NGX_SSL)
    ERR_clear_error();
#endif
}
