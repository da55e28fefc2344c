
/*
 * Copyright (C) the nginx-async authors
 *
 * await_pg_copy_put(): data of COPY from us, no faster than the server takes
 * them, and their end.
 *
 * libpq keeps a refusal to itself while data are sent.  So we look for it in
 * what has come, before libpq does: who sends much shall not do so in vain.
 */

#include <ngx_http_async_pg_copy.h>


/* what libpq may have that is not sent, and what it is given at once */
#define NGX_HTTP_ASYNC_PG_COPY_UNSENT  16384

/* after which others have their turn, if the server keeps up with it */
#define NGX_HTTP_ASYNC_PG_COPY_TURN    262144

#define NGX_HTTP_ASYNC_PG_COPY_LOOK    2048


typedef struct {
    PGconn                     *pg;
    const char                 *data;
    int                         len;
    u_char                     *look;
    int                         rc;
} ngx_http_async_pg_copy_call_t;


static async_rc_t ngx_http_async_pg_copy_put(ngx_async_task_t *t,
    async_pg_copy_t *copy, const char *data, size_t len);
static ngx_uint_t ngx_http_async_pg_copy_give(ngx_http_async_pg_conn_t *conn,
    const char *data, int len);
static void ngx_http_async_pg_copy_give_to(void *data);
static async_rc_t ngx_http_async_pg_copy_flush(ngx_async_task_t *t,
    async_pg_copy_t *copy);
static ngx_int_t ngx_http_async_pg_copy_look(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_copy_look_at(void *data);


async_rc_t
await_pg_copy_put_at(async_t *co, const char *site, async_pg_copy_t *copy,
    const void *data, size_t len)
{
    async_rc_t  rc;

    rc = ngx_http_async_pg_copy_enter(co, "await_pg_copy_put", site, copy,
                                      NGX_HTTP_ASYNC_PG_COPY_FROM);
    if (rc != ASYNC_OK) {

        if ((rc == ASYNC_TIMEOUT || rc == ASYNC_CANCELLED)
            && copy->state == NGX_HTTP_ASYNC_PG_COPY_FROM
            && !copy->hold.inside)
        {
            /* without these data it is not to be stored either */
            ngx_http_async_pg_copy_done(copy, NGX_HTTP_ASYNC_PG_COPY_FAILED);
        }

        return rc;
    }

    copy->hold.inside = 1;
    rc = ngx_http_async_pg_copy_put(co, copy, data, len);
    copy->hold.inside = 0;

    if (rc != ASYNC_OK) {
        /* nobody knows how much of it has gone */
        ngx_http_async_pg_copy_done(copy, NGX_HTTP_ASYNC_PG_COPY_FAILED);
    }

    return rc;
}


static async_rc_t
ngx_http_async_pg_copy_put(ngx_async_task_t *t, async_pg_copy_t *copy,
    const char *data, size_t len)
{
    size_t                     n;
    ngx_int_t                  rc;
    ngx_http_async_pg_conn_t  *conn;

    conn = copy->hold.conn;

    for ( /* void */ ; len; data += n, len -= n) {

        n = ngx_min(len, NGX_HTTP_ASYNC_PG_COPY_UNSENT);

        if (!ngx_http_async_pg_copy_give(conn, data, (int) n)) {
            return ngx_http_async_pg_lost(t, conn);
        }

        copy->unsent += n;

        if (copy->unsent < NGX_HTTP_ASYNC_PG_COPY_UNSENT) {
            continue;
        }

        rc = ngx_http_async_pg_copy_flush(t, copy);

        if (rc != ASYNC_OK) {
            return rc;
        }

        copy->turn += copy->unsent;
        copy->unsent = 0;

        if (copy->turn >= NGX_HTTP_ASYNC_PG_COPY_TURN) {
            copy->turn = 0;

            (void) ngx_async_waker(t);
            rc = ngx_async_wait(t, 0);

            if (rc != NGX_ASYNC_ELAPSED) {
                return rc;
            }
        }
    }

    return ASYNC_OK;
}


/* To libpq, which sends some of it; len -1: its end, data: why it fails. */

static ngx_uint_t
ngx_http_async_pg_copy_give(ngx_http_async_pg_conn_t *conn, const char *data,
    int len)
{
    ngx_http_async_pg_copy_call_t  call;

    call.pg = conn->pg;
    call.data = data;
    call.len = len;

    if (PQsslInUse(conn->pg)) {
        ngx_async_on_loop(ngx_http_async_pg_copy_give_to, &call);

    } else {
        ngx_http_async_pg_copy_give_to(&call);
    }

    return call.rc == 1;
}


static void
ngx_http_async_pg_copy_give_to(void *data)
{
    ngx_http_async_pg_copy_call_t  *call = data;

    call->rc = (call->len == -1)
               ? PQputCopyEnd(call->pg, call->data)
               : PQputCopyData(call->pg, call->data, call->len);

#if (NGX_SSL)
    ERR_clear_error();
#endif
}


static async_rc_t
ngx_http_async_pg_copy_flush(ngx_async_task_t *t, async_pg_copy_t *copy)
{
    int                        left;
    ngx_int_t                  n;
    async_rc_t                 rc;
    ngx_http_async_pg_conn_t  *conn;

    conn = copy->hold.conn;

    for ( ;; ) {
        n = ngx_http_async_pg_copy_look(conn);

        if (n == NGX_DECLINED) {
            return ngx_http_async_pg_copy_end(t, copy, "refused");
        }

        /* notices, and no refusal among them: out of the way */

        if (n == NGX_OK && !ngx_http_async_pg_consume(conn)) {
            return ngx_http_async_pg_lost(t, conn);
        }

        left = ngx_http_async_pg_push(conn);

        if (left == 0) {
            return ASYNC_OK;
        }

        if (left < 0) {
            return ngx_http_async_pg_lost(t, conn);
        }

        copy->turn = 0;
        rc = ngx_http_async_pg_either(t, conn);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }
}


/*
 * At what libpq has not read: NGX_AGAIN: nothing is there; NGX_DECLINED: a
 * refusal, or the end of the connection.
 *
 * An ErrorResponse is "E", a length of four bytes, and its first field "S".  In
 * the texts of notices, which are all that may come else, there are no zeros.
 */

static ngx_int_t
ngx_http_async_pg_copy_look(ngx_http_async_pg_conn_t *conn)
{
    u_char                         *p, *last, look[NGX_HTTP_ASYNC_PG_COPY_LOOK];
    ngx_http_async_pg_copy_call_t   call;

    call.pg = conn->pg;
    call.look = look;

    if (PQsslInUse(conn->pg)) {
        ngx_async_on_loop(ngx_http_async_pg_copy_look_at, &call);

    } else {
        ngx_http_async_pg_copy_look_at(&call);
    }

    if (call.rc == NGX_AGAIN || call.rc == NGX_DECLINED) {
        return call.rc;
    }

    last = look + call.rc;

    for (p = look; p + 6 <= last; p++) {
        if (p[0] == 'E' && p[1] == 0 && p[2] == 0 && p[5] == 'S') {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static void
ngx_http_async_pg_copy_look_at(void *data)
{
    ngx_http_async_pg_copy_call_t  *call = data;

    ssize_t  n;

    n = recv(PQsocket(call->pg), call->look, NGX_HTTP_ASYNC_PG_COPY_LOOK,
             MSG_PEEK|MSG_DONTWAIT);

    call->rc = (n > 0) ? (int) n
               : (n == -1 && ngx_socket_errno == NGX_EAGAIN) ? NGX_AGAIN
               : NGX_DECLINED;

#if (NGX_SSL)

    if (n > 0 && PQsslInUse(call->pg)) {
        n = SSL_peek(PQgetssl(call->pg), call->look,
                     NGX_HTTP_ASYNC_PG_COPY_LOOK);

        call->rc = (n > 0) ? (int) n : NGX_AGAIN;
        ERR_clear_error();
    }

#endif
}


async_rc_t
ngx_http_async_pg_copy_end(ngx_async_task_t *t, async_pg_copy_t *copy,
    const char *why)
{
    async_rc_t                 rc;
    ngx_http_async_pg_conn_t  *conn;

    conn = copy->hold.conn;

    if (!ngx_http_async_pg_copy_give(conn, why, -1)) {
        return ngx_http_async_pg_lost(t, conn);
    }

    rc = ngx_http_async_pg_flush(t, conn);

    return (rc == ASYNC_OK) ? ngx_http_async_pg_copy_finish(t, copy) : rc;
}
