
/*
 * Copyright (C) the nginx-async authors
 *
 * Connections to others, awaited: connect, TLS, receive, send, each with a
 * timeout of its own; and those that are kept for whoever wants the same.
 *
 * One task may receive while another one sends.
 */

#ifndef _NGX_ASYNC_CONN_H_INCLUDED_
#define _NGX_ASYNC_CONN_H_INCLUDED_


#include <ngx_async_task.h>
#include <ngx_event_connect.h>


/* what is waited for */
#define NGX_ASYNC_CONN_READ   1
#define NGX_ASYNC_CONN_WRITE  2


typedef struct {
    ngx_connection_t     *connection;     /* NULL: closed */

    /* "host:port", for messages */
    const char           *name;

    /* when all is to be over, as ngx_current_msec; zero: no such time */
    ngx_msec_t            until;

    ngx_async_waker_t     reader;
    ngx_async_waker_t     writer;

    /* of ngx_async_conn_send(): what is left */
    size_t                unsent;

    unsigned              reads:1;
    unsigned              writes:1;
    unsigned              reused:1;

    /* it is not sent to one that says something instead of receiving */
    unsigned              listens:1;
    unsigned              heard:1;
} ngx_async_conn_t;


/* Of kept ones, per worker. */

typedef struct {
    ngx_uint_t            max;
    ngx_msec_t            idle;
} ngx_async_conn_keep_t;


void ngx_async_conn_init(ngx_async_conn_keep_t *keep);

/* When the worker exits, and when it begins to: closes those that are kept. */
void ngx_async_conn_exit(void);

/*
 * Suspends until there is a connection: its events are c's then.
 *
 * ASYNC_TIMEOUT: not in time.  ASYNC_ERROR: refused, unreachable, no sockets.
 */
async_rc_t ngx_async_conn_open(ngx_async_task_t *t, ngx_async_conn_t *c,
    struct sockaddr *sockaddr, socklen_t socklen, ngx_msec_t timeout);

/* Takes over one that stands. */
void ngx_async_conn_adopt(ngx_async_conn_t *conn, ngx_connection_t *c);

#if (NGX_SSL)

/*
 * Suspends until TLS stands.  "host" is the name for SNI (RFC 6066, 3) and, if
 * it is to be verified, of the certificate; a dot at its end is left out.
 * ASYNC_ERROR says what is wrong with that, or with the handshake; the
 * connection is good for nothing but being closed.
 */
async_rc_t ngx_async_conn_tls(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_ssl_t *ssl, ngx_str_t *host, ngx_uint_t verify, ngx_msec_t timeout);

/* Why the other side has ended it, if it has told; NULL: it has not. */
const char *ngx_async_conn_tls_alert(ngx_connection_t *c);

#endif

/*
 * Suspends until there is something: *n bytes, 0 at the end.
 *
 * ASYNC_CLOSED: the other side has broken off.
 */
async_rc_t ngx_async_conn_recv(ngx_async_task_t *t, ngx_async_conn_t *c,
    void *buf, size_t size, ngx_msec_t timeout, size_t *n);

/* Suspends until there may be something, or the end. */
async_rc_t ngx_async_conn_readable(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_msec_t timeout);

/* Does not suspend: as c->recv(). */
ssize_t ngx_async_conn_recv_now(ngx_connection_t *c, void *buf, size_t size,
    ngx_err_t *err);

/*
 * Suspends until all of it is with the kernel; timeout: for each piece.  If it
 * listens, also until the other side says something: c->heard, and c->unsent
 * bytes are left then.
 */
async_rc_t ngx_async_conn_send(ngx_async_task_t *t, ngx_async_conn_t *c,
    const void *data, size_t len, ngx_msec_t timeout);

void ngx_async_conn_close(ngx_async_conn_t *c);

/* Suspends until an event: for the files of this concept. */
async_rc_t ngx_async_conn_wait(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_uint_t events, ngx_msec_t timeout, const char *what);

/* Notes that it has not been in time: ASYNC_TIMEOUT. */
async_rc_t ngx_async_conn_late(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_msec_t timeout, const char *what);

/* Makes the events of the connection those of c. */
void ngx_async_conn_hook(ngx_async_conn_t *c);

/* Does not suspend: it is open, and the other side has said nothing. */
ngx_uint_t ngx_async_conn_is_quiet(ngx_connection_t *c);

/* How many are kept. */
ngx_uint_t ngx_async_conn_kept_n(void);

/* Drops one that is kept if nginx has few connections left. */
void ngx_async_conn_spare(void);

/*
 * Keeps it under the key, which is copied, for ngx_async_conn_take(): NGX_OK,
 * NGX_DECLINED.  The oldest one gives way when there are too many.  One that
 * the other side closes, or sends something on, is dropped, even if the loop
 * has not told of it yet: what comes before it is asked for is not an answer.
 */
void ngx_async_conn_keep(ngx_async_conn_t *c, ngx_str_t *key);
ngx_int_t ngx_async_conn_take(ngx_async_conn_t *c, ngx_str_t *key);


#endif /* _NGX_ASYNC_CONN_H_INCLUDED_ */
