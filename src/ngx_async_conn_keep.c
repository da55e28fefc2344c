
/*
 * Copyright (C) the nginx-async authors
 *
 * Connections to others that are kept, see ngx_async_conn.h: one list a
 * worker, in the order in which they were given.
 */

#include <ngx_async_conn.h>


/* one that is kept */

typedef struct {
    ngx_queue_t               queue;          /* the last kept is the first */
    ngx_connection_t         *connection;
    uint32_t                  hash;
    size_t                    len;
    u_char                    key[];
} ngx_async_conn_kept_t;


static ngx_uint_t ngx_async_conn_may_be_kept(ngx_connection_t *c);
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


ngx_uint_t
ngx_async_conn_kept_n(void)
{
    return ngx_async_conn_nkept;
}


/* As nginx closes idle connections of clients when there are few. */

void
ngx_async_conn_spare(void)
{
    if (ngx_async_conn_nkept
        && ngx_cycle->free_connection_n <= ngx_cycle->connection_n / 16)
    {
        ngx_async_conn_drop(ngx_queue_data(
                                ngx_queue_last(&ngx_async_conn_kept),
                                ngx_async_conn_kept_t, queue));
    }
}


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
        && ngx_async_conn_may_be_kept(c)
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


/* Of what OpenSSL holds, nginx tells in the next iteration of the loop only. */

static ngx_uint_t
ngx_async_conn_may_be_kept(ngx_connection_t *c)
{
    if (!c->read->ready
#if (NGX_SSL)
        && c->ssl == NULL
#endif
       )
    {
        return 1;
    }

    return ngx_async_conn_is_quiet(c);
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

ngx_uint_t
ngx_async_conn_is_quiet(ngx_connection_t *c)
{
    char  byte;

#if (NGX_SSL)

    if (c->ssl) {
        ngx_err_t  err;

        return ngx_async_conn_recv_now(c, &byte, 1, &err) == NGX_AGAIN
               && c->ssl->saved_read_handler == NULL
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
