
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
    ngx_async_conn_t         *conn;
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


#if (NGX_SSL)

typedef struct {
    ngx_connection_t         *connection;
    ngx_ssl_t                *ssl;
    ngx_str_t                *host;
    ngx_int_t                 rc;
} ngx_async_conn_tls_t;

#endif


/* one that is kept */

typedef struct {
    ngx_queue_t               queue;          /* the last kept is the first */
    ngx_connection_t         *connection;
    uint32_t                  hash;
    size_t                    len;
    u_char                    key[];
} ngx_async_conn_kept_t;


static void ngx_async_conn_open_on_loop(void *data);
static void ngx_async_conn_hook(ngx_async_conn_t *c);
static ngx_err_t ngx_async_conn_error(ngx_connection_t *c);
static void ngx_async_conn_readable(ngx_event_t *rev);
static void ngx_async_conn_writable(ngx_event_t *wev);
static async_rc_t ngx_async_conn_wait(ngx_async_task_t *t,
    ngx_async_conn_t *c, ngx_uint_t write, ngx_msec_t timeout,
    const char *what);
static async_rc_t ngx_async_conn_closed(ngx_async_task_t *t,
    ngx_async_conn_t *c);
static void ngx_async_conn_recv_on_loop(void *data);
static void ngx_async_conn_send_on_loop(void *data);
static void ngx_async_conn_close_on_loop(void *data);
#if (NGX_SSL)
static void ngx_async_conn_tls_on_loop(void *data);
static void ngx_async_conn_tls_handler(ngx_connection_t *c);
static async_rc_t ngx_async_conn_tls_check(ngx_async_task_t *t,
    ngx_async_conn_t *c, ngx_str_t *host, ngx_uint_t verify);
static ngx_int_t ngx_async_conn_tls_name(ngx_connection_t *c,
    ngx_str_t *host);
static size_t ngx_async_conn_tls_address(ngx_str_t *host, u_char *bytes);
#endif
static ngx_uint_t ngx_async_conn_is_quiet(ngx_connection_t *c);
static void ngx_async_conn_idle(ngx_event_t *ev);
static void ngx_async_conn_idle_write(ngx_event_t *wev);
static void ngx_async_conn_drop(ngx_async_conn_kept_t *kept);


/* of this worker */
static ngx_queue_t            ngx_async_conn_kept;
static ngx_uint_t             ngx_async_conn_nkept;
static ngx_async_conn_keep_t  ngx_async_conn_bounds;


void
ngx_async_conn_init(ngx_async_conn_keep_t *keep)
{
    ngx_queue_init(&ngx_async_conn_kept);

    ngx_async_conn_bounds = *keep;
}


void
ngx_async_conn_exit(void)
{
    ngx_async_conn_bounds.max = 0;

    while (ngx_async_conn_nkept) {
        ngx_async_conn_drop(ngx_queue_data(
                                ngx_queue_head(&ngx_async_conn_kept),
                                ngx_async_conn_kept_t, queue));
    }
}


async_rc_t
ngx_async_conn_open(ngx_async_task_t *t, ngx_async_conn_t *c,
    struct sockaddr *sockaddr, socklen_t socklen, ngx_msec_t timeout)
{
    ngx_err_t              err;
    async_rc_t             rc;
    ngx_async_conn_open_t  open;

    ngx_memzero(&open, sizeof(ngx_async_conn_open_t));

    open.conn = c;
    open.name.data = (u_char *) c->name;
    open.name.len = ngx_strlen(c->name);

    open.peer.sockaddr = sockaddr;
    open.peer.socklen = socklen;
    open.peer.name = &open.name;
    open.peer.get = ngx_event_get_peer;
    open.peer.log = t->log;
    open.peer.log_error = NGX_ERROR_ERR;

    ngx_async_on_loop(ngx_async_conn_open_on_loop, &open);

    err = open.err;

    if (open.rc == NGX_AGAIN) {
        rc = ngx_async_conn_wait(t, c, 1, timeout, "connect to");

        if (rc != ASYNC_OK) {
            ngx_async_conn_close(c);
            return rc;
        }

        err = ngx_async_conn_error(c->connection);

        if (err == 0) {
            return ASYNC_OK;
        }

        ngx_async_conn_close(c);

    } else if (open.rc == NGX_OK) {
        return ASYNC_OK;
    }

    return ngx_async_set_error(t, ASYNC_ERROR, "connect to %s: %s", c->name,
                               err ? strerror(err) : "no connections of nginx "
                               "(worker_connections) are left");
}


static void
ngx_async_conn_open_on_loop(void *data)
{
    ngx_async_conn_open_t  *open = data;

    ngx_connection_t  *c;

    if (ngx_async_conn_nkept
        && ngx_cycle->free_connection_n <= ngx_cycle->connection_n / 16)
    {
        /* as nginx closes idle connections of clients then */
        ngx_async_conn_drop(ngx_queue_data(
                                ngx_queue_last(&ngx_async_conn_kept),
                                ngx_async_conn_kept_t, queue));
    }

    ngx_set_errno(0);

    open->rc = ngx_event_connect_peer(&open->peer);
    open->err = ngx_errno;

    c = open->peer.connection;

    if (c == NULL) {
        return;
    }

    /* the task may end, and its log, while others use the connection */

    c->log = ngx_cycle->log;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->log_error = NGX_ERROR_INFO;

    /* requests of many small pieces are common; a failure is logged */

    if (open->peer.sockaddr->sa_family != AF_UNIX) {
        (void) ngx_tcp_nodelay(c);
    }

    open->conn->connection = c;
    ngx_async_conn_hook(open->conn);
}


static void
ngx_async_conn_hook(ngx_async_conn_t *conn)
{
    ngx_connection_t  *c;

    c = conn->connection;

    c->data = conn;
    c->read->handler = ngx_async_conn_readable;
    c->write->handler = ngx_async_conn_writable;
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
ngx_async_conn_readable(ngx_event_t *rev)
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
ngx_async_conn_writable(ngx_event_t *wev)
{
    ngx_connection_t  *c;
    ngx_async_conn_t  *conn;

    c = wev->data;
    conn = c->data;

    if (conn->writes) {
        (void) ngx_async_wake(&conn->writer, ASYNC_OK);
    }
}


static async_rc_t
ngx_async_conn_wait(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_uint_t write, ngx_msec_t timeout, const char *what)
{
    ngx_int_t  rc;

    if (write) {
        c->writer = ngx_async_waker(t);
        c->writes = 1;

    } else {
        c->reader = ngx_async_waker(t);
        c->reads = 1;
    }

    rc = ngx_async_wait(t, timeout);

    if (write) {
        c->writes = 0;

    } else {
        c->reads = 0;
    }

    if (rc == NGX_ASYNC_ELAPSED) {
        return ngx_async_set_error(t, ASYNC_TIMEOUT, "%s %s: not within %M ms",
                                   what, c->name, timeout);
    }

    return (rc == ASYNC_CLOSED) ? ngx_async_conn_closed(t, c) : rc;
}


static async_rc_t
ngx_async_conn_closed(ngx_async_task_t *t, ngx_async_conn_t *c)
{
    return ngx_async_set_error(t, ASYNC_CLOSED, "%s: another task has closed "
                               "the connection", c->name);
}


async_rc_t
ngx_async_conn_recv(ngx_async_task_t *t, ngx_async_conn_t *c, void *buf,
    size_t size, ngx_msec_t timeout, size_t *n)
{
    async_rc_t           rc;
    ngx_async_conn_io_t  io;

    *n = 0;

    if (size == 0) {
        return ASYNC_OK;
    }

    for ( ;; ) {

        if (c->connection == NULL) {
            return ngx_async_conn_closed(t, c);
        }

        io.connection = c->connection;
        io.buf = buf;
        io.size = ngx_min(size, NGX_ASYNC_CONN_MAX);

#if (NGX_SSL)
        if (io.connection->ssl) {
            ngx_async_on_loop(ngx_async_conn_recv_on_loop, &io);

        } else
#endif
        {
            ngx_async_conn_recv_on_loop(&io);
        }

        if (io.n >= 0) {
            *n = io.n;
            return ASYNC_OK;
        }

        if (io.n == NGX_ERROR) {
            return ngx_async_set_error(t, ASYNC_CLOSED, "receive from %s: %s",
                                       c->name, io.err ? strerror(io.err)
                                       : "broken off");
        }

        /* NGX_AGAIN */

        if (ngx_handle_read_event(c->connection->read, 0) != NGX_OK) {
            return ngx_async_set_error(t, ASYNC_ERROR, "epoll_ctl() failed");
        }

        rc = ngx_async_conn_wait(t, c, 0, timeout, "receive from");

        if (rc != ASYNC_OK) {
            return rc;
        }
    }
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
    async_rc_t           rc;
    ngx_async_conn_io_t  io;

    io.buf = (void *) data;

    while (len) {

        if (c->connection == NULL) {
            return ngx_async_conn_closed(t, c);
        }

        io.connection = c->connection;
        io.size = ngx_min(len, NGX_ASYNC_CONN_MAX);

#if (NGX_SSL)
        if (io.connection->ssl) {
            ngx_async_on_loop(ngx_async_conn_send_on_loop, &io);

        } else
#endif
        {
            ngx_async_conn_send_on_loop(&io);
        }

        if (io.n > 0) {
            io.buf = (u_char *) io.buf + io.n;
            len -= io.n;
            continue;
        }

        if (io.n == NGX_ERROR) {
            return ngx_async_set_error(t, ASYNC_CLOSED, "send to %s: %s",
                                       c->name, io.err ? strerror(io.err)
                                       : "broken off");
        }

        if (ngx_handle_write_event(c->connection->write, 0) != NGX_OK) {
            return ngx_async_set_error(t, ASYNC_ERROR, "epoll_ctl() failed");
        }

        rc = ngx_async_conn_wait(t, c, 1, timeout, "send to");

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return ASYNC_OK;
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


#if (NGX_SSL)

async_rc_t
ngx_async_conn_tls(ngx_async_task_t *t, ngx_async_conn_t *c, ngx_ssl_t *ssl,
    ngx_str_t *host, ngx_uint_t verify, ngx_msec_t timeout)
{
    async_rc_t            rc;
    ngx_async_conn_tls_t  tls;

    tls.connection = c->connection;
    tls.ssl = ssl;
    tls.host = host;

    ngx_async_on_loop(ngx_async_conn_tls_on_loop, &tls);

    if (tls.rc == NGX_AGAIN) {
        c->connection->ssl->handler = ngx_async_conn_tls_handler;

        rc = ngx_async_conn_wait(t, c, 0, timeout, "TLS handshake with");

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    /* nginx has put its own handlers there */
    ngx_async_conn_hook(c);

    return ngx_async_conn_tls_check(t, c, host, verify);
}


static void
ngx_async_conn_tls_on_loop(void *data)
{
    ngx_async_conn_tls_t  *tls = data;

    char               name[256];
    u_char             address[16];
    ngx_connection_t  *c;

    c = tls->connection;
    tls->rc = NGX_ERROR;

    if (c->pool == NULL) {
        c->pool = ngx_create_pool(512, ngx_cycle->log);
        if (c->pool == NULL) {
            return;
        }
    }

    if (ngx_ssl_create_connection(tls->ssl, c, NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return;
    }

    c->sendfile = 0;

    /* no addresses, RFC 6066, 3 */

    if (tls->host->len < sizeof(name)
        && ngx_async_conn_tls_address(tls->host, address) == 0)
    {
        *ngx_cpymem(name, tls->host->data, tls->host->len) = '\0';

        if (SSL_set_tlsext_host_name(c->ssl->connection, name) == 0) {
            ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                          "SSL_set_tlsext_host_name(\"%s\") failed", name);
            return;
        }
    }

    tls->rc = ngx_ssl_handshake(c);
}


static void
ngx_async_conn_tls_handler(ngx_connection_t *c)
{
    ngx_async_conn_t  *conn;

    conn = c->data;

    (void) ngx_async_wake(&conn->reader, ASYNC_OK);
}


static async_rc_t
ngx_async_conn_tls_check(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_str_t *host, ngx_uint_t verify)
{
    long               rc;
    ngx_connection_t  *connection;

    connection = c->connection;

    if (connection->ssl == NULL || !connection->ssl->handshaked) {
        return ngx_async_set_error(t, ASYNC_ERROR, "TLS handshake with %s "
                                   "failed", c->name);
    }

    if (!verify) {
        return ASYNC_OK;
    }

    rc = SSL_get_verify_result(connection->ssl->connection);

    if (rc != X509_V_OK) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the certificate of %s: %s",
                                   c->name, X509_verify_cert_error_string(rc));
    }

    if (ngx_async_conn_tls_name(connection, host) != NGX_OK) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the certificate of %s is "
                                   "not one of \"%V\"", c->name, host);
    }

    return ASYNC_OK;
}


/* nginx compares names only; an address is one of its own kind (RFC 6125) */

static ngx_int_t
ngx_async_conn_tls_name(ngx_connection_t *c, ngx_str_t *host)
{
    int      rc;
    X509    *cert;
    size_t   len;
    u_char   address[16];

    len = ngx_async_conn_tls_address(host, address);

    if (len == 0) {
        return ngx_ssl_check_host(c, host);
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        return NGX_ERROR;
    }

    rc = X509_check_ip(cert, address, len, 0);

    X509_free(cert);

    return (rc == 1) ? NGX_OK : NGX_ERROR;
}


/* How many bytes of an address it is; 0: a name. */

static size_t
ngx_async_conn_tls_address(ngx_str_t *host, u_char *bytes)
{
    in_addr_t  addr;

    addr = ngx_inet_addr(host->data, host->len);

    if (addr != INADDR_NONE) {
        ngx_memcpy(bytes, &addr, sizeof(in_addr_t));
        return sizeof(in_addr_t);
    }

#if (NGX_HAVE_INET6)
    if (ngx_inet6_addr(host->data, host->len, bytes) == NGX_OK) {
        return 16;
    }
#endif

    return 0;
}

#endif


void
ngx_async_conn_keep(ngx_async_conn_t *conn, ngx_str_t *key)
{
    ngx_connection_t       *c;
    ngx_async_conn_kept_t  *kept;

    c = conn->connection;

    if (c == NULL) {
        return;
    }

    kept = NULL;

    if (ngx_async_conn_bounds.max && !ngx_exiting && !ngx_terminate
        && !c->read->eof && !c->read->error && !c->write->error
        && ngx_async_conn_is_quiet(c)
        && ngx_handle_read_event(c->read, 0) == NGX_OK)
    {
        kept = ngx_alloc(sizeof(ngx_async_conn_kept_t) + key->len, c->log);
    }

    if (kept == NULL) {
        ngx_async_conn_close(conn);
        return;
    }

    if (ngx_async_conn_nkept == ngx_async_conn_bounds.max) {
        ngx_async_conn_drop(ngx_queue_data(
                                ngx_queue_last(&ngx_async_conn_kept),
                                ngx_async_conn_kept_t, queue));
    }

    kept->connection = c;
    kept->len = key->len;
    kept->hash = ngx_crc32_short(key->data, key->len);
    ngx_memcpy(kept->key, key->data, key->len);

    ngx_queue_insert_head(&ngx_async_conn_kept, &kept->queue);
    ngx_async_conn_nkept++;

    c->data = kept;
    c->idle = 1;
    c->read->handler = ngx_async_conn_idle;
    c->write->handler = ngx_async_conn_idle_write;

    c->read->cancelable = 1;
    ngx_add_timer(c->read, ngx_async_conn_bounds.idle);

    conn->connection = NULL;
}


ngx_int_t
ngx_async_conn_take(ngx_async_conn_t *conn, ngx_str_t *key)
{
    uint32_t                hash;
    ngx_queue_t            *q, *next;
    ngx_connection_t       *c;
    ngx_async_conn_kept_t  *kept;

    hash = ngx_crc32_short(key->data, key->len);

    for (q = ngx_queue_head(&ngx_async_conn_kept);
         q != ngx_queue_sentinel(&ngx_async_conn_kept);
         q = next)
    {
        next = ngx_queue_next(q);
        kept = ngx_queue_data(q, ngx_async_conn_kept_t, queue);

        if (kept->hash != hash || kept->len != key->len
            || ngx_memcmp(kept->key, key->data, key->len) != 0)
        {
            continue;
        }

        c = kept->connection;

        /* what the loop has not told of yet */

        if (!ngx_async_conn_is_quiet(c)) {
            ngx_async_conn_drop(kept);
            continue;
        }

        ngx_queue_remove(&kept->queue);
        ngx_async_conn_nkept--;
        ngx_free(kept);

        if (c->read->timer_set) {
            ngx_del_timer(c->read);
        }

        c->idle = 0;
        c->read->cancelable = 0;
        conn->connection = c;
        conn->reused = 1;

        ngx_async_conn_hook(conn);

        return NGX_OK;
    }

    return NGX_DECLINED;
}


/*
 * Whether it is open, and the other side has said nothing.  Of TLS, OpenSSL
 * may hold what the kernel does not, and the kernel what is for OpenSSL alone:
 * tickets, say.
 */

static ngx_uint_t
ngx_async_conn_is_quiet(ngx_connection_t *c)
{
    char  byte;

#if (NGX_SSL)

    if (c->ssl) {
        ngx_async_conn_io_t  io = { c, &byte, 1, 0, 0 };

        ngx_async_on_loop(ngx_async_conn_recv_on_loop, &io);

        return io.n == NGX_AGAIN && c->ssl->saved_read_handler == NULL
               && c->ssl->saved_write_handler == NULL;
    }

#endif

    return recv(c->fd, &byte, 1, MSG_PEEK) == -1
           && ngx_socket_errno == NGX_EAGAIN;
}


/*
 * Its time is over, nginx quits, the other side has closed, or it says what
 * nobody awaits.
 */

static void
ngx_async_conn_idle(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    if (!c->close && !ev->timedout && ngx_async_conn_is_quiet(c)) {
        ev->ready = 0;

        if (ngx_handle_read_event(ev, 0) == NGX_OK) {
            return;
        }
    }

    ngx_async_conn_drop(c->data);
}


static void
ngx_async_conn_idle_write(ngx_event_t *wev)
{
}


static void
ngx_async_conn_drop(ngx_async_conn_kept_t *kept)
{
    ngx_async_conn_t  conn;

    ngx_memzero(&conn, sizeof(ngx_async_conn_t));
    conn.connection = kept->connection;

    ngx_queue_remove(&kept->queue);
    ngx_async_conn_nkept--;
    ngx_free(kept);

    ngx_async_conn_close(&conn);
}
