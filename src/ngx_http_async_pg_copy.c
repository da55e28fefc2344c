
/*
 * Copyright (C) the nginx-async authors
 *
 * await_pg_copy(): data of COPY, both ways, no faster than the other side.
 *
 * libpq keeps a refusal to itself while data are sent.  So we look for it in
 * what has come, before libpq does: who sends much shall not do so in vain.
 */

#include <ngx_http_async_pg_hold.h>


/* what is given at once if it is there; a line may be longer */
#define NGX_HTTP_ASYNC_PG_COPY_PIECE   65536

/* what libpq may have that is not sent, and what it is given at once */
#define NGX_HTTP_ASYNC_PG_COPY_UNSENT  16384

/* after which others have their turn, if the server keeps up with it */
#define NGX_HTTP_ASYNC_PG_COPY_TURN    262144

#define NGX_HTTP_ASYNC_PG_COPY_LOOK    2048


typedef enum {
    NGX_HTTP_ASYNC_PG_COPY_NEW = 0,
    NGX_HTTP_ASYNC_PG_COPY_TO,                /* us */
    NGX_HTTP_ASYNC_PG_COPY_FROM,
    NGX_HTTP_ASYNC_PG_COPY_END,
    NGX_HTTP_ASYNC_PG_COPY_FAILED,
    NGX_HTTP_ASYNC_PG_COPY_CLOSED
} ngx_http_async_pg_copy_e;


struct async_pg_copy_s {
    ngx_http_async_pg_hold_t    hold;
    ngx_http_async_pg_copy_e    state;
    int64_t                     rows;

    /* to us: lines of libpq, one that is lent, and one that is the next */
    char                       *lent;
    char                       *line;
    size_t                      len;
    ngx_uint_t                  last;         /* there is no next */
    char                       *buf;          /* or several, in one piece */

    size_t                      unsent;       /* at most */
    size_t                      turn;         /* since it has suspended */
};


typedef struct {
    PGconn                     *pg;
    const char                 *data;
    int                         len;
    u_char                     *look;
    int                         rc;
} ngx_http_async_pg_copy_call_t;


static async_rc_t ngx_http_async_pg_copy_open(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, async_pg_copy_t *copy, const char *sql);
static async_rc_t ngx_http_async_pg_copy_check(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, const char *sql);
static async_rc_t ngx_http_async_pg_copy_other(ngx_async_task_t *t,
    async_pg_copy_t *copy, PGresult *result);
static async_rc_t ngx_http_async_pg_copy_enter(ngx_async_task_t *t,
    const char *await, const char *site, async_pg_copy_t *copy,
    ngx_http_async_pg_copy_e state);
static async_rc_t ngx_http_async_pg_copy_get(ngx_async_task_t *t,
    async_pg_copy_t *copy, async_str_t *data);
static ngx_uint_t ngx_http_async_pg_copy_ready(async_pg_copy_t *copy);
static async_rc_t ngx_http_async_pg_copy_lines(ngx_async_task_t *t,
    async_pg_copy_t *copy, async_str_t *data);
static async_rc_t ngx_http_async_pg_copy_put(ngx_async_task_t *t,
    async_pg_copy_t *copy, const char *data, size_t len);
static ngx_uint_t ngx_http_async_pg_copy_give(ngx_http_async_pg_conn_t *conn,
    const char *data, int len);
static void ngx_http_async_pg_copy_give_to(void *data);
static async_rc_t ngx_http_async_pg_copy_flush(ngx_async_task_t *t,
    async_pg_copy_t *copy);
static ngx_int_t ngx_http_async_pg_copy_look(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_copy_look_at(void *data);
static async_rc_t ngx_http_async_pg_copy_end(ngx_async_task_t *t,
    async_pg_copy_t *copy, const char *why);
static async_rc_t ngx_http_async_pg_copy_finish(ngx_async_task_t *t,
    async_pg_copy_t *copy);
static async_rc_t ngx_http_async_pg_copy_rest(ngx_async_task_t *t,
    async_pg_copy_t *copy);
static void ngx_http_async_pg_copy_forget(async_pg_copy_t *copy);
static void ngx_http_async_pg_copy_done(async_pg_copy_t *copy,
    ngx_http_async_pg_copy_e state);
static void ngx_http_async_pg_copy_close(void *handle);


async_rc_t
await_pg_copy_at(async_t *co, const char *site, const char *name,
    async_pg_copy_t **copy, const char *sql)
{
    async_rc_t                 rc;
    async_pg_copy_t           *c;
    ngx_http_async_pg_pool_t  *pool;

    *copy = NULL;

    rc = ngx_http_async_pg_enter(co, "await_pg_copy", site, name, &pool);

    if (rc != ASYNC_OK) {
        return rc;
    }

    c = ngx_async_handle(co, sizeof(async_pg_copy_t),
                         ngx_http_async_pg_copy_close);
    if (c == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    c->hold.what = "COPY";
    c->rows = -1;

    rc = ngx_http_async_pg_copy_open(co, pool, c, sql);

    if (rc != ASYNC_OK) {
        ngx_http_async_pg_copy_close(c);
        return rc;
    }

    *copy = c;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_pg_copy_open(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, async_pg_copy_t *copy, const char *sql)
{
    PGresult                  *result;
    async_rc_t                 rc;
    ngx_http_async_pg_conn_t  *conn;

    rc = ngx_http_async_pg_hold(t, pool, &copy->hold);

    if (rc != ASYNC_OK) {
        return rc;
    }

    conn = copy->hold.conn;
    rc = ngx_http_async_pg_copy_check(t, conn, sql);

    if (rc != ASYNC_OK) {
        return rc;
    }

    /*
     * The extended protocol sends a Sync on both ends of the data.  The server
     * drops the first while it copies; but it answers both if it has failed
     * before it has seen them, and libpq expects one answer.
     */

    if (!PQsendQuery(conn->pg, sql)) {
        return ngx_http_async_pg_lost(t, conn);
    }

    /* in case that it is a SELECT of much */
    (void) PQsetSingleRowMode(conn->pg);

    rc = ngx_http_async_pg_flush(t, conn);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_get(t, conn, &result);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    switch (PQresultStatus(result)) {

    case PGRES_COPY_OUT:
        copy->state = NGX_HTTP_ASYNC_PG_COPY_TO;
        break;

    case PGRES_COPY_IN:
        copy->state = NGX_HTTP_ASYNC_PG_COPY_FROM;
        break;

    default:
        return ngx_http_async_pg_copy_other(t, copy, result);
    }

    PQclear(result);

    return ASYNC_OK;
}


/* As with values it is one statement, whatever the text holds: it is parsed. */

static async_rc_t
ngx_http_async_pg_copy_check(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, const char *sql)
{
    async_rc_t                  rc;
    ngx_http_async_pg_query_t   query;

    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));

    rc = PQsendPrepare(conn->pg, "", sql, 0, NULL)
         ? ngx_http_async_pg_flush(t, conn)
         : ngx_http_async_pg_lost(t, conn);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_command(t, conn, &query.result);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_concluded(t, conn, &query);
    }

    PQclear(query.result);

    return rc;
}


/* It has been refused, or is something else. */

static async_rc_t
ngx_http_async_pg_copy_other(ngx_async_task_t *t, async_pg_copy_t *copy,
    PGresult *result)
{
    async_rc_t                  rc;
    ngx_uint_t                  rows;
    ngx_http_async_pg_conn_t   *conn;
    ngx_http_async_pg_query_t   query;

    conn = copy->hold.conn;

    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));
    query.result = result;

    rc = ASYNC_OK;
    rows = (PQresultStatus(result) == PGRES_SINGLE_TUPLE);

    /* of rows outside of a transaction the others are not waited for */

    if (!rows || copy->hold.tx) {
        rc = ngx_http_async_pg_command(t, conn, &query.result);
    }

    if (rc == ASYNC_OK && !rows) {
        rc = ngx_http_async_pg_concluded(t, conn, &query);
    }

    PQclear(query.result);

    return (rc == ASYNC_OK)
           ? ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": "
                                 "await_pg_copy() of what is no COPY ... TO "
                                 "STDOUT or FROM STDIN", &conn->pool->name)
           : rc;
}


static async_rc_t
ngx_http_async_pg_copy_enter(ngx_async_task_t *t, const char *await,
    const char *site, async_pg_copy_t *copy, ngx_http_async_pg_copy_e state)
{
    async_rc_t  rc;

    rc = ngx_http_async_pg_hold_enter(t, await, site, &copy->hold);

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_http_async_pg_copy_forget(copy);

    if (copy->state == state
        && (copy->hold.conn || state == NGX_HTTP_ASYNC_PG_COPY_END
            || state == NGX_HTTP_ASYNC_PG_COPY_CLOSED))
    {
        return ASYNC_OK;
    }

    switch (copy->hold.conn ? copy->state : NGX_HTTP_ASYNC_PG_COPY_CLOSED) {

    case NGX_HTTP_ASYNC_PG_COPY_TO:
        return ngx_async_set_error(t, ASYNC_ERROR, "%s() of a COPY TO", await);

    case NGX_HTTP_ASYNC_PG_COPY_FROM:
        return ngx_async_set_error(t, ASYNC_ERROR, "%s() of a COPY FROM",
                                   await);

    default:
        return ngx_async_set_error(t, ASYNC_ERROR, "%s() of a COPY that %s",
                                   await,
                                   copy->state == NGX_HTTP_ASYNC_PG_COPY_FAILED
                                   ? "has failed" : "is closed");
    }
}


async_rc_t
await_pg_copy_get_at(async_t *co, const char *site, async_pg_copy_t *copy,
    async_str_t *data)
{
    async_rc_t  rc;

    data->data = NULL;
    data->len = 0;

    rc = ngx_http_async_pg_copy_enter(co, "await_pg_copy_get", site, copy,
                                      copy->state == NGX_HTTP_ASYNC_PG_COPY_END
                                      ? NGX_HTTP_ASYNC_PG_COPY_END
                                      : NGX_HTTP_ASYNC_PG_COPY_TO);

    if (rc == ASYNC_OK && copy->state == NGX_HTTP_ASYNC_PG_COPY_TO) {
        copy->hold.inside = 1;
        rc = ngx_http_async_pg_copy_get(co, copy, data);
        copy->hold.inside = 0;
    }

    return rc;
}


static async_rc_t
ngx_http_async_pg_copy_get(ngx_async_task_t *t, async_pg_copy_t *copy,
    async_str_t *data)
{
    async_rc_t  rc;

    while (!ngx_http_async_pg_copy_ready(copy)) {

        rc = ngx_http_async_pg_more(t, copy->hold.conn);

        if (rc == ASYNC_CLOSED) {
            ngx_http_async_pg_copy_done(copy, NGX_HTTP_ASYNC_PG_COPY_FAILED);
        }

        if (rc != ASYNC_OK) {
            /* after a deadline it can be asked again */
            return rc;
        }
    }

    return copy->line ? ngx_http_async_pg_copy_lines(t, copy, data)
                      : ngx_http_async_pg_copy_finish(t, copy);
}


/* Whether there is a line, or the end; nothing is read. */

static ngx_uint_t
ngx_http_async_pg_copy_ready(async_pg_copy_t *copy)
{
    int  n;

    if (copy->line || copy->last) {
        return 1;
    }

    n = PQgetCopyData(copy->hold.conn->pg, &copy->line, 1);

    copy->len = (n > 0) ? n : 0;
    copy->last = (n < 0);

    return n != 0;
}


/* As many as are there already, in one piece. */

static async_rc_t
ngx_http_async_pg_copy_lines(ngx_async_task_t *t, async_pg_copy_t *copy,
    async_str_t *data)
{
    size_t  len;

    copy->lent = copy->line;
    copy->line = NULL;

    data->data = copy->lent;
    data->len = copy->len;

    (void) ngx_http_async_pg_copy_ready(copy);

    if (copy->line == NULL
        || data->len + copy->len > NGX_HTTP_ASYNC_PG_COPY_PIECE)
    {
        return ASYNC_OK;
    }

    if (copy->buf == NULL) {
        copy->buf = ngx_alloc(NGX_HTTP_ASYNC_PG_COPY_PIECE + 1, t->log);

        if (copy->buf == NULL) {
            /* one at a time, then */
            return ASYNC_OK;
        }
    }

    len = data->len;
    ngx_memcpy(copy->buf, copy->lent, len);

    do {
        ngx_memcpy(copy->buf + len, copy->line, copy->len);
        len += copy->len;

        PQfreemem(copy->line);
        copy->line = NULL;

        (void) ngx_http_async_pg_copy_ready(copy);

    } while (copy->line && len + copy->len <= NGX_HTTP_ASYNC_PG_COPY_PIECE);

    copy->buf[len] = '\0';

    data->data = copy->buf;
    data->len = len;

    return ASYNC_OK;
}


async_rc_t
await_pg_copy_put_at(async_t *co, const char *site, async_pg_copy_t *copy,
    const void *data, size_t len)
{
    async_rc_t  rc;

    rc = ngx_http_async_pg_copy_enter(co, "await_pg_copy_put", site, copy,
                                      NGX_HTTP_ASYNC_PG_COPY_FROM);
    if (rc != ASYNC_OK) {
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
await_pg_copy_close_at(async_t *co, const char *site, async_pg_copy_t *copy,
    int64_t *rows)
{
    async_rc_t  rc;

    if (rows) {
        *rows = -1;
    }

    /* of one in any state but that of a failure */

    rc = ngx_http_async_pg_copy_enter(co, "await_pg_copy_close", site, copy,
                                      copy->state);
    if (rc != ASYNC_OK) {
        return rc;
    }

    copy->hold.inside = 1;

    if (copy->state == NGX_HTTP_ASYNC_PG_COPY_FROM) {
        rc = ngx_http_async_pg_copy_end(co, copy, NULL);

    } else if (copy->hold.tx) {
        rc = ngx_http_async_pg_copy_rest(co, copy);
    }

    copy->hold.inside = 0;

    if (rc == ASYNC_OK && rows) {
        *rows = copy->rows;
    }

    if (rc != ASYNC_OK) {
        copy->state = NGX_HTTP_ASYNC_PG_COPY_FAILED;
    }

    ngx_http_async_pg_copy_close(copy);

    return rc;
}


static async_rc_t
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


/* What the server says of the whole, behind the data. */

static async_rc_t
ngx_http_async_pg_copy_finish(ngx_async_task_t *t, async_pg_copy_t *copy)
{
    async_rc_t                  rc;
    ngx_http_async_pg_conn_t   *conn;
    ngx_http_async_pg_query_t   query;

    conn = copy->hold.conn;

    ngx_memzero(&query, sizeof(ngx_http_async_pg_query_t));

    rc = ngx_http_async_pg_command(t, conn, &query.result);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_concluded(t, conn, &query);
    }

    if (rc == ASYNC_OK) {
        copy->rows = strtoll(PQcmdTuples(query.result), NULL, 10);
    }

    PQclear(query.result);

    ngx_http_async_pg_copy_done(copy, rc == ASYNC_OK
                                      ? NGX_HTTP_ASYNC_PG_COPY_END
                                      : NGX_HTTP_ASYNC_PG_COPY_FAILED);

    return rc;
}


/* A cancel would make the transaction fail. */

static async_rc_t
ngx_http_async_pg_copy_rest(ngx_async_task_t *t, async_pg_copy_t *copy)
{
    async_rc_t   rc;
    async_str_t  data;

    do {
        ngx_http_async_pg_copy_forget(copy);
        data.data = NULL;

        rc = ngx_http_async_pg_copy_get(t, copy, &data);

    } while (rc == ASYNC_OK && data.data);

    /* as it is where it is cancelled */
    copy->rows = -1;

    return rc;
}


/* The line that was lent. */

static void
ngx_http_async_pg_copy_forget(async_pg_copy_t *copy)
{
    PQfreemem(copy->lent);
    copy->lent = NULL;
}


static void
ngx_http_async_pg_copy_done(async_pg_copy_t *copy,
    ngx_http_async_pg_copy_e state)
{
    copy->state = state;

    ngx_http_async_pg_hold_end(&copy->hold);
}


static void
ngx_http_async_pg_copy_close(void *handle)
{
    async_pg_copy_t  *copy = handle;

    ngx_http_async_pg_copy_done(copy,
                                copy->state == NGX_HTTP_ASYNC_PG_COPY_FAILED
                                ? NGX_HTTP_ASYNC_PG_COPY_FAILED
                                : NGX_HTTP_ASYNC_PG_COPY_CLOSED);

    ngx_http_async_pg_copy_forget(copy);

    PQfreemem(copy->line);
    copy->line = NULL;

    ngx_free(copy->buf);
    copy->buf = NULL;
}
