
/*
 * Copyright (C) the nginx-async authors
 *
 * How a connection to PostgreSQL is made: the hosts of the conninfo, and their
 * addresses, one after another.
 *
 * Names are looked up here: libpq would block.  Nor does it leave a server that
 * never answers: each address has a time of its own.
 */

#include <ngx_http_async_pg_task.h>
#include <ngx_http_async_client.h>


/* what libpq takes of options, and ours */
#define NGX_HTTP_ASYNC_PG_OPTIONS  64


/* one attempt: the options of libpq with one host and one address */

typedef struct {
    ngx_http_async_pg_conn_t   *conn;
    const char                 *host;
    const char                 *addr;         /* NULL: as libpq finds it */
    const char                 *port;
    const char                 *attrs;        /* NULL: those of the conninfo */
    PostgresPollingStatusType   status;

    /* the server itself has refused it, and no other one is asked */
    ngx_uint_t                  refused;
} ngx_http_async_pg_open_t;


static async_rc_t ngx_http_async_pg_hosts(ngx_async_task_t *t,
    ngx_http_async_pg_open_t *open);
static async_rc_t ngx_http_async_pg_host(ngx_async_task_t *t,
    ngx_http_async_pg_open_t *open);
static async_rc_t ngx_http_async_pg_open(ngx_async_task_t *t,
    ngx_http_async_pg_open_t *open);
static void ngx_http_async_pg_start(void *data);
static void ngx_http_async_pg_poll(void *data);
static ngx_uint_t ngx_http_async_pg_is_over(ngx_async_task_t *t,
    ngx_http_async_pg_open_t *open, async_rc_t rc);
static async_rc_t ngx_http_async_pg_refused(ngx_async_task_t *t,
    ngx_http_async_pg_open_t *open);
static ngx_uint_t ngx_http_async_pg_state(const char *text,
    ngx_http_async_pg_said_t *said);
static async_rc_t ngx_http_async_pg_late(ngx_async_task_t *t,
    ngx_http_async_pg_open_t *open);
static const char *ngx_http_async_pg_place(ngx_http_async_pg_open_t *open);
static const char *ngx_http_async_pg_option(ngx_http_async_pg_pool_t *pool,
    const char *keyword);
static ngx_uint_t ngx_http_async_pg_has(const char *list, ngx_uint_t i);
static ngx_int_t ngx_http_async_pg_item(ngx_pool_t *pool, const char *list,
    ngx_uint_t i, const char **item);
static void ngx_http_async_pg_notice(void *arg, const PGresult *result);


async_rc_t
ngx_http_async_pg_connect(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
{
    async_rc_t                rc;
    const char               *attrs;
    ngx_http_async_pg_open_t  open;

    ngx_http_async_pg_task_begin(t);
    ngx_memzero(&open, sizeof(ngx_http_async_pg_open_t));

    open.conn = conn;

    attrs = ngx_http_async_pg_option(conn->pool, "target_session_attrs");

    if (attrs && ngx_strcmp(attrs, "prefer-standby") == 0) {

        /* libpq would go round all hosts twice, as we do */

        open.attrs = "standby";

        rc = ngx_http_async_pg_hosts(t, &open);

        if (ngx_http_async_pg_is_over(t, &open, rc)) {
            return rc;
        }

        open.attrs = "any";
    }

    return ngx_http_async_pg_hosts(t, &open);
}


/* The hosts of the conninfo, in their order. */

static async_rc_t
ngx_http_async_pg_hosts(ngx_async_task_t *t, ngx_http_async_pg_open_t *open)
{
    ngx_uint_t   i;
    ngx_pool_t  *pool;
    async_rc_t   rc;
    const char  *host, *addr, *port;

    host = ngx_http_async_pg_option(open->conn->pool, "host");
    addr = ngx_http_async_pg_option(open->conn->pool, "hostaddr");
    port = ngx_http_async_pg_option(open->conn->pool, "port");

    pool = ngx_create_pool(1024, t->log);
    if (pool == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    for (i = 0; /* void */ ; i++) {

        /* one port is that of all; without a host, libpq would take another */

        if (ngx_http_async_pg_item(pool, host, i, &open->host) != NGX_OK
            || ngx_http_async_pg_item(pool, addr, i, &open->addr) != NGX_OK
            || ngx_http_async_pg_item(pool, port,
                                      ngx_http_async_pg_has(port, i) ? i : 0,
                                      &open->port)
               != NGX_OK)
        {
            rc = ngx_async_set_error(t, ASYNC_ERROR, "no memory");
            break;
        }

        rc = ngx_http_async_pg_host(t, open);

        if (ngx_http_async_pg_is_over(t, open, rc)) {
            break;
        }

        if (!ngx_http_async_pg_has(host, i + 1)
            && !ngx_http_async_pg_has(addr, i + 1))
        {
            break;
        }
    }

    ngx_destroy_pool(pool);

    return rc;
}


/* Whether nothing else is to be tried, as libpq has it. */

static ngx_uint_t
ngx_http_async_pg_is_over(ngx_async_task_t *t, ngx_http_async_pg_open_t *open,
    async_rc_t rc)
{
    return rc == ASYNC_OK || rc == ASYNC_CANCELLED || open->refused
           || t->reason != NGX_ASYNC_KEEP;
}


/* Whether a list, or NULL, has an i-th item. */

static ngx_uint_t
ngx_http_async_pg_has(const char *list, ngx_uint_t i)
{
    if (list == NULL || *list == '\0') {
        return 0;
    }

    while (i--) {
        list += strcspn(list, ",");

        if (*list++ == '\0') {
            return 0;
        }
    }

    return 1;
}


/* A copy of the i-th item; NULL: there are not so many. */

static ngx_int_t
ngx_http_async_pg_item(ngx_pool_t *pool, const char *list, ngx_uint_t i,
    const char **item)
{
    char    *copy;
    size_t   len;

    *item = NULL;

    if (!ngx_http_async_pg_has(list, i)) {
        return NGX_OK;
    }

    while (i--) {
        list += strcspn(list, ",") + 1;
    }

    len = strcspn(list, ",");

    copy = ngx_pnalloc(pool, len + 1);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn((u_char *) copy, (u_char *) list, len + 1);
    *item = copy;

    return NGX_OK;
}


/* One host, at each of its addresses. */

static async_rc_t
ngx_http_async_pg_host(ngx_async_task_t *t, ngx_http_async_pg_open_t *open)
{
    u_char                     text[NGX_SOCKADDR_STRLEN + 1];
    u_char                     why[NGX_ASYNC_ERROR_LEN];
    async_rc_t                 rc;
    ngx_str_t                  name;
    ngx_uint_t                 i;
    async_cause_t              cause;
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

    if (rc != ASYNC_OK) {
        cause = t->cause;
        ngx_memcpy(why, t->error, NGX_ASYNC_ERROR_LEN);

        return ngx_async_because(t, cause,
                                 ngx_async_set_error(t, rc,
                                           "database \"%V\": %s",
                                           &open->conn->pool->name, why));
    }

    for (i = 0; rc == ASYNC_OK && i < names.n; i++) {

        open->addr = (char *) text;
        text[ngx_sock_ntop(&names.addr[i].sockaddr, sizeof(names.addr[i]),
                           text, NGX_SOCKADDR_STRLEN, 0)] = '\0';

        rc = ngx_http_async_pg_open(t, open);

        if (ngx_http_async_pg_is_over(t, open, rc)) {
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
    conn->doomed = 0;
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
            return (rc == ASYNC_TIMEOUT && t->reason == NGX_ASYNC_KEEP)
                   ? ngx_http_async_pg_late(t, open) : rc;
        }

        ngx_async_on_loop(ngx_http_async_pg_poll, open);
    }

    conn->since = ngx_current_msec;
    (void) PQsetErrorVerbosity(conn->pg, PQERRORS_DEFAULT);

    if (ngx_http_async_pg_attach(conn) != NGX_OK) {
        ngx_http_async_pg_close(conn);
        return ngx_async_set_error(t, ASYNC_ERROR, "no connections of nginx "
                                   "(worker_connections) are left");
    }

    rc = ngx_http_async_pg_formats(t, conn);

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

        /* the one way to the SQLSTATE of a server that refuses */
        (void) PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
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
    const char                *text, *reason;
    ngx_http_async_pg_said_t   said;

    text = PQerrorMessage(open->conn->pg);

    if (ngx_http_async_pg_state(text, &said)) {

        /* 57P03: it starts, or it ends */
        open->refused = (ngx_strcmp(said.state, "57P03") != 0);

        ngx_http_async_pg_note(t, &said);

        (void) ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": %s:%s: %s "
                                   "(%s)", &open->conn->pool->name,
                                   ngx_http_async_pg_place(open),
                                   open->port ? open->port : "",
                                   said.message, said.state);
    } else {
        /* 'connection to server at "127.0.0.1", port 5432 failed: ' is long */

        reason = ngx_strstr(text, " failed: ");
        reason = reason ? reason + 9 : text;

        (void) ngx_async_set_error(t, ASYNC_ERROR, "database \"%V\": %s:%s: "
                                   "%*s", &open->conn->pool->name,
                                   ngx_http_async_pg_place(open),
                                   open->port ? open->port : "",
                                   strcspn(reason, CRLF), reason);
    }

    return ngx_async_because(t, ASYNC_CAUSE_CONNECT, ASYNC_ERROR);
}


/*
 * Before it is connected, libpq gives no fields, but lines: "connection to
 * server ... failed: FATAL:  28P01: password authentication failed".  The last
 * one counts, if it has tried with and without TLS.
 */

static ngx_uint_t
ngx_http_async_pg_state(const char *text, ngx_http_async_pg_said_t *said)
{
    size_t       len;
    const char  *p, *found;

    found = NULL;

    for (p = ngx_strstr(text, ":  "); p; p = ngx_strstr(p, ":  ")) {
        p += 3;

        if (strspn(p, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5
            && p[5] == ':' && p[6] == ' ')
        {
            found = p;
        }
    }

    if (found == NULL) {
        return 0;
    }

    (void) ngx_cpystrn((u_char *) said->state, (u_char *) found,
                       sizeof(said->state));

    found += 7;
    len = strcspn(found, CRLF);

    (void) ngx_cpystrn((u_char *) said->message, (u_char *) found,
                       ngx_min(len + 1, sizeof(said->message)));

    return 1;
}


static async_rc_t
ngx_http_async_pg_late(ngx_async_task_t *t, ngx_http_async_pg_open_t *open)
{
    ngx_http_async_pg_pool_t  *pool;

    pool = open->conn->pool;

    return ngx_async_because(t, ASYNC_CAUSE_TIMEOUT,
                             ngx_async_set_error(t, ASYNC_TIMEOUT, "database "
                                           "\"%V\": %s:%s does not answer "
                                           "within %M ms", &pool->name,
                                           ngx_http_async_pg_place(open),
                                           open->port ? open->port : "",
                                           pool->connect_timeout));
}


static const char *
ngx_http_async_pg_place(ngx_http_async_pg_open_t *open)
{
    return (open->host && *open->host) ? open->host
           : open->addr ? open->addr : "the unix socket";
}


/*
 * What the text forms of values rest on.  Nearly always it is so, and costs no
 * round trip: the server has told when it was connected.
 */

async_rc_t
ngx_http_async_pg_formats(ngx_async_task_t *t, ngx_http_async_pg_conn_t *conn)
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


static void
ngx_http_async_pg_notice(void *arg, const PGresult *result)
{
    ngx_http_async_pg_conn_t  *conn = arg;

    size_t       len;
    const char  *text, *severity;

    severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    if (severity && (ngx_strcmp(severity, "FATAL") == 0
                     || ngx_strcmp(severity, "PANIC") == 0))
    {
        conn->doomed = 1;
    }

    text = PQresultErrorMessage(result);
    len = strcspn(text, CRLF);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0, "database \"%V\": %*s",
                  &conn->pool->name, len, text);
}
