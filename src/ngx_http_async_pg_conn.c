
/*
 * Copyright (C) the nginx-async authors
 *
 * A connection to PostgreSQL on nginx's loop: libpq says what it waits for, and
 * reads and writes itself.  Its events are level-triggered, as libpq may leave
 * something unread; while nobody waits, they are not asked for.
 *
 * Names are looked up here: libpq would block.  Nor does it leave a server that
 * never answers: each address has a time of its own.
 */

#include <ngx_http_async_pg_pool.h>
#include <ngx_http_async_client.h>


#define NGX_HTTP_ASYNC_PG_READ   1
#define NGX_HTTP_ASYNC_PG_WRITE  2

/* what libpq takes of options, and ours */
#define NGX_HTTP_ASYNC_PG_OPTIONS  64


/* one attempt: the options of libpq with one host and one address */

typedef struct {
    ngx_http_async_pg_conn_t   *conn;
    const char                 *host;
    const char                 *addr;         /* NULL: as libpq finds it */
    const char                 *port;
    const char                 *attrs;        /* NULL: those of the conninfo */
    ngx_int_t                   rc;
    PostgresPollingStatusType   status;
} ngx_http_async_pg_open_t;


typedef struct {
    PGconn                     *pg;
    int                         rc;
} ngx_http_async_pg_call_t;


static async_rc_t ngx_http_async_pg_hosts(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, const char *attrs);
static async_rc_t ngx_http_async_pg_host(ngx_async_task_t *t,
    ngx_http_async_pg_open_t *open);
static async_rc_t ngx_http_async_pg_open(ngx_async_task_t *t,
    ngx_http_async_pg_open_t *open);
static void ngx_http_async_pg_start(void *data);
static void ngx_http_async_pg_poll(void *data);
static async_rc_t ngx_http_async_pg_refused(ngx_async_task_t *t,
    ngx_http_async_pg_open_t *open);
static async_rc_t ngx_http_async_pg_settings(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn);
static const char *ngx_http_async_pg_option(ngx_http_async_pg_pool_t *pool,
    const char *keyword);
static char *ngx_http_async_pg_item(ngx_pool_t *pool, const char *list,
    ngx_uint_t i);
static ngx_int_t ngx_http_async_pg_attach(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_detach(ngx_http_async_pg_conn_t *conn);
static void ngx_http_async_pg_event(ngx_event_t *ev);
static void ngx_http_async_pg_idle_event(ngx_event_t *ev);
static async_rc_t ngx_http_async_pg_wait(ngx_async_task_t *t,
    ngx_http_async_pg_conn_t *conn, ngx_uint_t events, ngx_msec_t timeout);
static void ngx_http_async_pg_push_on_loop(void *data);
static void ngx_http_async_pg_consume_on_loop(void *data);
static void ngx_http_async_pg_finish(void *data);
static void ngx_http_async_pg_notice(void *arg, const PGresult *result);


async_rc_t
ngx_http_async_pg_connect(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    async_rc_t   rc;
    const char  *attrs;

    attrs = ngx_http_async_pg_option(conn->pool, "target_session_attrs");

    if (attrs && ngx_strcmp(attrs, "prefer-standby") == 0) {

        /* libpq would go round all hosts twice, as we do */

        rc = ngx_http_async_pg_hosts(t, conn, "standby");

        if (rc == ASYNC_OK || rc == ASYNC_CANCELLED
            || t->reason != NGX_ASYNC_KEEP)
        {
            return rc;
        }

        attrs = "any";

    } else {
        attrs = NULL;
    }

    return ngx_http_async_pg_hosts(t, conn, attrs);
}


/* The hosts of the conninfo, in their order. */

static async_rc_t
ngx_http_async_pg_hosts(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn,
    const char *attrs)
{
    ngx_uint_t                i;
    ngx_pool_t               *pool;
    async_rc_t                rc;
    const char               *host, *addr, *port;
    ngx_http_async_pg_open_t  open;

    host = ngx_http_async_pg_option(conn->pool, "host");
    addr = ngx_http_async_pg_option(conn->pool, "hostaddr");
    port = ngx_http_async_pg_option(conn->pool, "port");

    pool = ngx_create_pool(1024, t->log);
    if (pool == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    for (i = 0; /* void */ ; i++) {

        open.conn = conn;
        open.attrs = attrs;
        open.host = ngx_http_async_pg_item(pool, host, i);
        open.addr = ngx_http_async_pg_item(pool, addr, i);
        open.port = ngx_http_async_pg_item(pool, port, i);

        if (open.port == NULL) {
            /* one is that of all */
            open.port = ngx_http_async_pg_item(pool, port, 0);
        }

        rc = ngx_http_async_pg_host(t, &open);

        if (rc == ASYNC_OK || rc == ASYNC_CANCELLED
            || t->reason != NGX_ASYNC_KEEP)
        {
            break;
        }

        if (ngx_http_async_pg_item(pool, host, i + 1) == NULL
            && ngx_http_async_pg_item(pool, addr, i + 1) == NULL)
        {
            break;
        }
    }

    ngx_destroy_pool(pool);

    return rc;
}


/* The i-th of a list; NULL: there are not so many. */

static char *
ngx_http_async_pg_item(ngx_pool_t *pool, const char *list, ngx_uint_t i)
{
    char    *item;
    size_t   len;

    if (list == NULL || *list == '\0') {
        return NULL;
    }

    for ( ;; ) {
        len = strcspn(list, ",");

        if (i-- == 0) {
            break;
        }

        if (list[len] == '\0') {
            return NULL;
        }

        list += len + 1;
    }

    item = ngx_pnalloc(pool, len + 1);

    if (item) {
        (void) ngx_cpystrn((u_char *) item, (u_char *) list, len + 1);
    }

    return item;
}


/* One host, at each of its addresses. */

static async_rc_t
ngx_http_async_pg_host(ngx_async_task_t *t, ngx_http_async_pg_open_t *open)
{
    u_char                     text[NGX_SOCKADDR_STRLEN + 1];
    async_rc_t                 rc;
    ngx_str_t                  name;
    ngx_uint_t                 i;
    ngx_http_async_names_t     names;

    if (open->addr || open->host == NULL || *open->host == '\0'
        || *open->host == '/' || *open->host == '@')
    {
        return ngx_http_async_pg_open(t, open);
    }

    name.data = (u_char *) open->host;
    name.len = ngx_strlen(open->host);

    rc = ngx_http_async_names(t, &name, open->conn->pool->connect_timeout,
                              &names);

    for (i = 0; rc == ASYNC_OK && i < names.n; i++) {

        open->addr = (char *) text;
        text[ngx_sock_ntop(&names.addr[i].sockaddr, sizeof(names.addr[i]),
                           text, NGX_SOCKADDR_STRLEN, 0)] = '\0';

        rc = ngx_http_async_pg_open(t, open);

        if (rc == ASYNC_OK || rc == ASYNC_CANCELLED
            || t->reason != NGX_ASYNC_KEEP)
        {
            break;
        }

        if (i + 1 < names.n) {
            rc = ASYNC_OK;
        }
    }

    return rc;
}


static async_rc_t
ngx_http_async_pg_open(ngx_async_task_t *t, ngx_http_async_pg_open_t *open)
{
    ngx_msec_t                 until;
    async_rc_t                 rc;
    ngx_msec_int_t             left;
    ngx_http_async_pg_conn_t  *conn;

    conn = open->conn;
    until = ngx_current_msec + conn->pool->connect_timeout;

    ngx_async_on_loop(ngx_http_async_pg_start, open);

    if (conn->pg == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    /* as it is documented: at first, it waits to write */

    while (open->status != PGRES_POLLING_OK) {

        if (open->status == PGRES_POLLING_FAILED) {
            rc = ngx_http_async_pg_refused(t, open);
            ngx_http_async_pg_close(conn);
            return rc;
        }

        left = (ngx_msec_int_t) (until - ngx_current_msec);

        rc = (ngx_http_async_pg_attach(conn) == NGX_OK)
             ? ngx_http_async_pg_wait(t, conn,
                                 open->status == PGRES_POLLING_READING
                                 ? NGX_HTTP_ASYNC_PG_READ
                                 : NGX_HTTP_ASYNC_PG_WRITE,
                                 ngx_max(left, 0))
             : ngx_async_set_error(t, ASYNC_ERROR, "no connections of nginx "
                                   "(worker_connections) are left");

        /* the next step may close the socket, and open another one */
        ngx_http_async_pg_detach(conn);

        if (rc != ASYNC_OK) {
            ngx_http_async_pg_close(conn);
            return rc;
        }

        ngx_async_on_loop(ngx_http_async_pg_poll, open);
    }

    conn->since = ngx_current_msec;

    if (ngx_http_async_pg_attach(conn) != NGX_OK) {
        ngx_http_async_pg_close(conn);
        return ngx_async_set_error(t, ASYNC_ERROR, "no connections of nginx "
                                   "(worker_connections) are left");
    }

    rc = ngx_http_async_pg_settings(t, conn);

    if (rc != ASYNC_OK) {
        ngx_http_async_pg_close(conn);
    }

    return rc;
}


static void
ngx_http_async_pg_start(void *data)
{
    ngx_http_async_pg_open_t  *open = data;

    ngx_uint_t                 n;
    const char                *keyword[NGX_HTTP_ASYNC_PG_OPTIONS];
    const char                *value[NGX_HTTP_ASYNC_PG_OPTIONS];
    PQconninfoOption          *o;
    ngx_http_async_pg_conn_t  *conn;

    conn = open->conn;
    n = 0;

    for (o = conn->pool->options; o->keyword; o++) {

        if (o->val == NULL || n + 8 > NGX_HTTP_ASYNC_PG_OPTIONS
            || ngx_strcmp(o->keyword, "host") == 0
            || ngx_strcmp(o->keyword, "hostaddr") == 0
            || ngx_strcmp(o->keyword, "port") == 0
            || (open->attrs
                && ngx_strcmp(o->keyword, "target_session_attrs") == 0))
        {
            continue;
        }

        keyword[n] = o->keyword;
        value[n++] = o->val;
    }

    keyword[n] = "host";
    value[n++] = open->host;
    keyword[n] = "hostaddr";
    value[n++] = open->addr;
    keyword[n] = "port";
    value[n++] = open->port;

    if (open->attrs) {
        keyword[n] = "target_session_attrs";
        value[n++] = open->attrs;
    }

    keyword[n] = NULL;
    value[n] = NULL;

    conn->pg = PQconnectStartParams(keyword, value, 0);

    open->status = (conn->pg && PQstatus(conn->pg) != CONNECTION_BAD)
                   ? PGRES_POLLING_WRITING : PGRES_POLLING_FAILED;

    if (conn->pg) {
        (void) PQsetNoticeReceiver(conn->pg, ngx_http_async_pg_notice, conn);
    }
}


static void
ngx_http_async_pg_poll(void *data)
{
    ngx_http_async_pg_open_t  *open = data;

    open->status = PQconnectPoll(open->conn->pg);

#if (NGX_SSL)
    ERR_clear_error();
#endif
}


static async_rc_t
ngx_http_async_pg_refused(ngx_async_task_t *t, ngx_http_async_pg_open_t *open)
{
    size_t       len;
    const char  *text;

    text = PQerrorMessage(open->conn->pg);
    len = ngx_strlen(text);

    while (len && (text[len - 1] == LF || text[len - 1] == ' ')) {
        len--;
    }

    return ngx_async_because(t, ASYNC_CAUSE_CONNECT,
                             ngx_async_set_error(t, ASYNC_ERROR, "database "
                                           "\"%V\": %*s",
                                           &open->conn->pool->name, len,
                                           text));
}


/*
 * What the text forms of values rest on.  Nearly always it is so, and costs no
 * round trip: the server has told when it was connected.
 */

static async_rc_t
ngx_http_async_pg_settings(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    PGresult    *result;
    async_rc_t   rc;
    const char  *dates, *intervals;

    if (PQsetnonblocking(conn->pg, 1) != 0) {
        return ngx_http_async_pg_lost(t, conn);
    }

    dates = PQparameterStatus(conn->pg, "DateStyle");
    intervals = PQparameterStatus(conn->pg, "IntervalStyle");

    if (dates && ngx_strncmp(dates, "ISO", 3) == 0
        && (intervals == NULL || ngx_strcmp(intervals, "postgres") == 0))
    {
        return ASYNC_OK;
    }

    if (PQsendQuery(conn->pg, "SET DateStyle = ISO;"
                              " SET IntervalStyle = postgres") == 0)
    {
        return ngx_http_async_pg_lost(t, conn);
    }

    rc = ngx_http_async_pg_flush(t, conn);

    while (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_get(t, conn, &result);

        if (rc != ASYNC_OK || result == NULL) {
            break;
        }

        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
            rc = ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": it does "
                                     "not take SET DateStyle",
                                     &conn->pool->name);
        }

        PQclear(result);
    }

    return rc;
}


static const char *
ngx_http_async_pg_option(ngx_http_async_pg_pool_t *pool, const char *keyword)
{
    PQconninfoOption  *o;

    for (o = pool->options; o->keyword; o++) {
        if (ngx_strcmp(o->keyword, keyword) == 0) {
            return o->val;
        }
    }

    return NULL;
}


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
    ERR_clear_error();
#endif
}


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

    return (*result || !conn->doomed) ? ASYNC_OK
                                      : ngx_http_async_pg_lost(t, conn);
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

static ngx_int_t
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


static void
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

    if (conn->waits) {
        (void) ngx_async_wake(&conn->waker, ASYNC_OK);
        return;
    }

    /* it would be told of the same again and again */

    (void) ngx_del_event(ev, ev->write ? NGX_WRITE_EVENT : NGX_READ_EVENT, 0);
}


static async_rc_t
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

    rev->handler = ngx_http_async_pg_idle_event;
    rev->cancelable = 1;
    conn->c->idle = 1;

    if (!rev->active
        && ngx_add_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
    {
        conn->doomed = 1;
        return;
    }

    if (conn->pool->idle_time) {
        ngx_add_timer(rev, conn->pool->idle_time);
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

    rev->handler = ngx_http_async_pg_event;
    rev->cancelable = 0;
    conn->c->idle = 0;
}


static void
ngx_http_async_pg_idle_event(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_async_pg_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (!c->close && !ev->timedout && ngx_http_async_pg_consume(conn)
        && PQstatus(conn->pg) == CONNECTION_OK)
    {
        /* a notice, a setting that has changed */
        return;
    }

    ngx_http_async_pg_gone(conn);
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


static void
ngx_http_async_pg_notice(void *arg, const PGresult *result)
{
    ngx_http_async_pg_conn_t  *conn = arg;

    size_t       len;
    const char  *text;

    text = PQresultErrorMessage(result);
    len = strcspn(text, CRLF);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0, "database \"%V\": %*s",
                  &conn->pool->name, len, text);
}
