
/*
 * Copyright (C) the nginx-async authors
 *
 * Connections to others, see ngx_async_conn.h.  An event only wakes: reading
 * and writing are the task's.  What may take much stack, OpenSSL above all,
 * runs on the loop's.
 */

#include <ngx_async_conn.h>


/* what is read or written at once: OpenSSL's lengths are an int */
#define NGX_ASYNC_CONN_MAX  ((size_t) 1 << 30)


typedef struct {
    ngx_peer_connection_t     peer;
    ngx_str_t                 name;
    ngx_int_t                 rc;
    ngx_err_t                 err;
} ngx_async_conn_open_t;


typedef struct {
    ngx_connection_t         *connection;
    void                     *buf;
    size_t                    size;
    ssize_t                   n;
    ngx_err_t                 err;
} ngx_async_conn_io_t;


static void ngx_async_conn_open_on_loop(void *data);
static ngx_err_t ngx_async_conn_error(ngx_connection_t *c);
static void ngx_async_conn_read_handler(ngx_event_t *rev);
static void ngx_async_conn_write_handler(ngx_event_t *wev);
static async_rc_t ngx_async_conn_closed(ngx_async_task_t *t,
    ngx_async_conn_t *c);
static async_rc_t ngx_async_conn_broken(ngx_async_task_t *t,
    ngx_async_conn_t *c, const char *what, ngx_err_t err);
static void ngx_async_conn_recv_on_loop(void *data);
static async_rc_t ngx_async_conn_send_some(ngx_async_task_t *t,
    ngx_async_conn_t *c, u_char *data, ngx_msec_t timeout);
static void ngx_async_conn_send_on_loop(void *data);
static void ngx_async_conn_close_on_loop(void *data);


async_rc_t
ngx_async_conn_open(ngx_async_task_t *t, ngx_async_conn_t *c,
    struct sockaddr *sockaddr, socklen_t socklen, ngx_msec_t timeout)
{
    async_rc_t             rc;
    ngx_async_conn_open_t  open;

    ngx_memzero(&open, sizeof(ngx_async_conn_open_t));

    open.name.data = (u_char *) c->name;
    open.name.len = ngx_strlen(c->name);

    open.peer.sockaddr = sockaddr;
    open.peer.socklen = socklen;
    open.peer.name = &open.name;
    open.peer.get = ngx_event_get_peer;
    open.peer.log = t->log;
    open.peer.log_error = NGX_ERROR_ERR;

    ngx_async_on_loop(ngx_async_conn_open_on_loop, &open);

    if (open.peer.connection) {
        ngx_async_conn_adopt(c, open.peer.connection);
    }

    if (open.rc == NGX_AGAIN) {
        rc = ngx_async_conn_wait(t, c, NGX_ASYNC_CONN_WRITE, timeout,
                                 "connect to");

        if (rc != ASYNC_OK) {
            ngx_async_conn_close(c);
            return rc;
        }

        open.err = ngx_async_conn_error(c->connection);

        if (open.err == 0) {
            return ASYNC_OK;
        }

    } else if (open.rc == NGX_OK) {
        return ASYNC_OK;
    }

    ngx_async_conn_close(c);

    return ngx_async_because(t, ASYNC_CAUSE_CONNECT,
                             ngx_async_set_error(t, ASYNC_ERROR,
                                       "connect to %s: %s", c->name,
                                       open.err ? strerror(open.err)
                                       : "no connections of nginx "
                                         "(worker_connections) are left"));
}


static void
ngx_async_conn_open_on_loop(void *data)
{
    ngx_async_conn_open_t  *open = data;

    ngx_async_conn_spare();

    ngx_set_errno(0);

    open->rc = ngx_event_connect_peer(&open->peer);
    open->err = ngx_errno;

    /* requests of many small pieces are common; a failure is logged */

    if (open->peer.connection && open->peer.sockaddr->sa_family != AF_UNIX) {
        (void) ngx_tcp_nodelay(open->peer.connection);
    }
}


void
ngx_async_conn_adopt(ngx_async_conn_t *conn, ngx_connection_t *c)
{
    /* the task may end, and its log, while others use the connection */

    c->log = ngx_cycle->log;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->log_error = NGX_ERROR_INFO;

    if (c->pool) {
        c->pool->log = ngx_cycle->log;
    }

    conn->connection = c;

    ngx_async_conn_hook(conn);
}


void
ngx_async_conn_hook(ngx_async_conn_t *conn)
{
    ngx_connection_t  *c;

    c = conn->connection;

    c->data = conn;
    c->read->handler = ngx_async_conn_read_handler;
    c->write->handler = ngx_async_conn_write_handler;
}


static ngx_err_t
ngx_async_conn_error(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    return err;
}


static void
ngx_async_conn_read_handler(ngx_event_t *rev)
{
    ngx_connection_t  *c;
    ngx_async_conn_t  *conn;

    c = rev->data;
    conn = c->data;

    if (conn->reads) {
        (void) ngx_async_wake(&conn->reader, ASYNC_OK);
    }
}


static void
ngx_async_conn_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c;
    ngx_async_conn_t  *conn;

    c = wev->data;
    conn = c->data;

    if (conn->writes) {
        (void) ngx_async_wake(&conn->writer, ASYNC_OK);
    }
}


async_rc_t
ngx_async_conn_wait(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_uint_t events, ngx_msec_t timeout, const char *what)
{
    ngx_int_t          rc;
    ngx_msec_int_t     left;
    ngx_async_waker_t  waker;

    if (c->until) {
        left = (ngx_msec_int_t) (c->until - ngx_current_msec);
        timeout = ngx_min(timeout, (ngx_msec_t) ngx_max(left, 0));
    }

    waker = ngx_async_waker(t);

    if (events & NGX_ASYNC_CONN_READ) {
        c->reader = waker;
        c->reads = 1;
    }

    if (events & NGX_ASYNC_CONN_WRITE) {
        c->writer = waker;
        c->writes = 1;
    }

    rc = ngx_async_wait(t, timeout);

    if (events & NGX_ASYNC_CONN_READ) {
        c->reads = 0;
    }

    if (events & NGX_ASYNC_CONN_WRITE) {
        c->writes = 0;
    }

    if (rc == NGX_ASYNC_ELAPSED) {
        return ngx_async_conn_late(t, c, timeout, what);
    }

    return (rc == ASYNC_CLOSED) ? ngx_async_conn_closed(t, c) : rc;
}


async_rc_t
ngx_async_conn_late(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_msec_t timeout, const char *what)
{
    async_rc_t  rc;

    if (c->until && (ngx_msec_int_t) (c->until - ngx_current_msec) <= 0) {
        rc = ngx_async_set_error(t, ASYNC_TIMEOUT, "%s %s: the time of the "
                                 "whole call is over", what, c->name);

    } else {
        rc = ngx_async_set_error(t, ASYNC_TIMEOUT, "%s %s: not within %M ms",
                                 what, c->name, timeout);
    }

    return ngx_async_because(t, ASYNC_CAUSE_TIMEOUT, rc);
}


static async_rc_t
ngx_async_conn_closed(ngx_async_task_t *t, ngx_async_conn_t *c)
{
    return ngx_async_set_error(t, ASYNC_CLOSED, "%s: another task has closed "
                               "the connection", c->name);
}


static async_rc_t
ngx_async_conn_broken(ngx_async_task_t *t, ngx_async_conn_t *c,
    const char *what, ngx_err_t err)
{
    const char  *alert = NULL;

#if (NGX_SSL)
    alert = ngx_async_conn_tls_alert(c->connection);
#endif

    return ngx_async_because(t, ASYNC_CAUSE_RESET,
                             ngx_async_set_error(t, ASYNC_CLOSED, "%s %s: %s%s",
                                                 what, c->name,
                                                 alert ? "TLS alert: " : "",
                                                 alert ? alert
                                                 : err ? strerror(err)
                                                 : "broken off"));
}


async_rc_t
ngx_async_conn_readable(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_msec_t timeout)
{
    ngx_event_t  *rev;

    if (c->connection == NULL) {
        return ngx_async_conn_closed(t, c);
    }

    rev = c->connection->read;

    if (rev->ready || rev->eof || rev->error) {
        return ASYNC_OK;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        return ngx_async_set_error(t, ASYNC_ERROR, "epoll_ctl() failed");
    }

    return ngx_async_conn_wait(t, c, NGX_ASYNC_CONN_READ, timeout,
                               "receive from");
}


async_rc_t
ngx_async_conn_recv(ngx_async_task_t *t, ngx_async_conn_t *c, void *buf,
    size_t size, ngx_msec_t timeout, size_t *n)
{
    ssize_t     len;
    ngx_err_t   err;
    async_rc_t  rc;

    *n = 0;

    if (size == 0) {
        return ASYNC_OK;
    }

    do {
        rc = ngx_async_conn_readable(t, c, timeout);

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (c->connection == NULL) {
            return ngx_async_conn_closed(t, c);
        }

        /* the kernel tells of the end as often as it is asked, nginx once */

        if (c->connection->read->error) {
            return ngx_async_conn_broken(t, c, "receive from", 0);
        }

        if (c->connection->read->eof) {
            return ASYNC_OK;
        }

        len = ngx_async_conn_recv_now(c->connection, buf, size, &err);

    } while (len == NGX_AGAIN);

    if (len == NGX_ERROR) {
        return ngx_async_conn_broken(t, c, "receive from", err);
    }

#if (NGX_SSL)
    /* RFC 8446, 6.1: an end that is not told may be that of somebody else */

    if (len == 0 && c->connection->ssl
        && !(SSL_get_shutdown(c->connection->ssl->connection)
             & SSL_RECEIVED_SHUTDOWN))
    {
        return ngx_async_conn_broken(t, c, "receive from", 0);
    }
#endif

    *n = len;

    return ASYNC_OK;
}


ssize_t
ngx_async_conn_recv_now(ngx_connection_t *c, void *buf, size_t size,
    ngx_err_t *err)
{
    ngx_async_conn_io_t  io;

    io.connection = c;
    io.buf = buf;
    io.size = ngx_min(size, NGX_ASYNC_CONN_MAX);

#if (NGX_SSL)
    if (c->ssl) {
        ngx_async_on_loop(ngx_async_conn_recv_on_loop, &io);

        /*
         * OpenSSL may have to write first, and nginx leaves it ready: whoever
         * tries again is to wait, for the write event, which is told as one to
         * read.
         */

        if (io.n == NGX_AGAIN) {
            c->read->ready = 0;
        }

    } else
#endif
    {
        ngx_async_conn_recv_on_loop(&io);
    }

    *err = io.err;

    return io.n;
}


static void
ngx_async_conn_recv_on_loop(void *data)
{
    ngx_async_conn_io_t  *io = data;

    ngx_set_errno(0);

    io->n = io->connection->recv(io->connection, io->buf, io->size);
    io->err = ngx_errno;
}


async_rc_t
ngx_async_conn_send(ngx_async_task_t *t, ngx_async_conn_t *c,
    const void *data, size_t len, ngx_msec_t timeout)
{
    async_rc_t  rc;

    c->unsent = len;
    c->heard = 0;

    while (c->unsent) {

        rc = ngx_async_conn_send_some(t, c,
                               (u_char *) data + (len - c->unsent), timeout);

        if (rc != ASYNC_OK || c->heard) {
            return rc;
        }
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_async_conn_send_some(ngx_async_task_t *t, ngx_async_conn_t *c,
    u_char *data, ngx_msec_t timeout)
{
    ngx_uint_t           events;
    ngx_async_conn_io_t  io;

    if (c->connection == NULL) {
        return ngx_async_conn_closed(t, c);
    }

    io.connection = c->connection;
    io.buf = data;
    io.size = ngx_min(c->unsent, NGX_ASYNC_CONN_MAX);

#if (NGX_SSL)
    if (io.connection->ssl) {
        ngx_async_on_loop(ngx_async_conn_send_on_loop, &io);

    } else
#endif
    {
        ngx_async_conn_send_on_loop(&io);
    }

    if (io.n > 0) {
        c->unsent -= io.n;
        return ASYNC_OK;
    }

    if (io.n == NGX_ERROR) {
        /* what has come before may say why: the loop may not have told of it */
        io.connection->read->available = -1;

        return ngx_async_conn_broken(t, c, "send to", io.err);
    }

    if (c->listens && io.connection->read->ready) {
        c->heard = 1;
        return ASYNC_OK;
    }

    if (ngx_handle_write_event(io.connection->write, 0) != NGX_OK
        || ngx_handle_read_event(io.connection->read, 0) != NGX_OK)
    {
        return ngx_async_set_error(t, ASYNC_ERROR, "epoll_ctl() failed");
    }

    events = c->listens ? NGX_ASYNC_CONN_READ|NGX_ASYNC_CONN_WRITE
                        : NGX_ASYNC_CONN_WRITE;

    return ngx_async_conn_wait(t, c, events, timeout, "send to");
}


static void
ngx_async_conn_send_on_loop(void *data)
{
    ngx_async_conn_io_t  *io = data;

    ngx_set_errno(0);

    io->n = io->connection->send(io->connection, io->buf, io->size);
    io->err = ngx_errno;
}


void
ngx_async_conn_close(ngx_async_conn_t *c)
{
    if (c->connection == NULL) {
        return;
    }

    ngx_async_on_loop(ngx_async_conn_close_on_loop, c->connection);
    c->connection = NULL;

    if (c->reads) {
        (void) ngx_async_wake(&c->reader, ASYNC_CLOSED);
    }

    if (c->writes) {
        (void) ngx_async_wake(&c->writer, ASYNC_CLOSED);
    }
}


static void
ngx_async_conn_close_on_loop(void *data)
{
    ngx_connection_t  *c = data;

    ngx_pool_t  *pool;

#if (NGX_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;

        if (!c->ssl->handshaked) {
            /* nor after an error, says nginx itself */
            c->ssl->no_send_shutdown = 1;
        }

        if (ngx_ssl_shutdown(c) == NGX_AGAIN) {
            /* no room for the "close notify"; without it, then */
            c->timedout = 1;
            (void) ngx_ssl_shutdown(c);
        }
    }

#endif

    pool = c->pool;

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }
}
