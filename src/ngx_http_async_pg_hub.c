
/*
 * Copyright (C) the nginx-async authors
 *
 * The connection that listens, one a pool and worker, and the task that runs
 * it: it tells the server of channels, hands on what is notified, and connects
 * again when it is lost.
 *
 * The first who listens starts it.  A while after the last one has gone it
 * ends; at once if it does not rest then, or the worker exits.
 */

#include <ngx_http_async_pg_listen.h>
#include <ngx_http_async_pg_task.h>


/*
 * ms without a listener, or what "idle" says if that is less: a browser comes
 * back after 3 s (EventSource)
 */
#define NGX_HTTP_ASYNC_PG_LINGER      5000

/* between tries of a server that is down, in ms */
#define NGX_HTTP_ASYNC_PG_RETRY       100
#define NGX_HTTP_ASYNC_PG_RETRY_MAX   5000

/* channels in one round trip */
#define NGX_HTTP_ASYNC_PG_BATCH       500

/* how many are handed on before those who wait run: less than what is kept */
#define NGX_HTTP_ASYNC_PG_TURN        (NGX_HTTP_ASYNC_PG_KEPT / 2)


typedef struct {
    ngx_async_task_t            task;
    ngx_http_async_pg_hub_t    *hub;
} ngx_http_async_pg_hub_task_t;


static void ngx_http_async_pg_hub_set(ngx_http_async_pg_hub_t *hub,
    ngx_http_async_pg_hub_e state);
static ngx_int_t ngx_http_async_pg_hub_start(ngx_http_async_pg_hub_t *hub);
static void ngx_http_async_pg_hub_body(ngx_async_task_t *t);
static void ngx_http_async_pg_hub_done(ngx_async_task_t *t);
static async_rc_t ngx_http_async_pg_hub_once(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub);
static async_rc_t ngx_http_async_pg_hub_connect(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub);
static void ngx_http_async_pg_hub_close(ngx_http_async_pg_hub_t *hub);
static void ngx_http_async_pg_hub_failed(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub);
static void ngx_http_async_pg_hub_fail(ngx_http_async_pg_hub_t *hub);
static async_rc_t ngx_http_async_pg_hub_serve(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub);
static ngx_msec_int_t ngx_http_async_pg_hub_left(
    ngx_http_async_pg_hub_t *hub);
static async_rc_t ngx_http_async_pg_hub_tell(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub);
static char *ngx_http_async_pg_hub_sql(ngx_http_async_pg_hub_t *hub);
static u_char *ngx_http_async_pg_hub_quote(u_char *p, ngx_str_t *name);
static async_rc_t ngx_http_async_pg_hub_refused(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub, async_rc_t rc);
static async_rc_t ngx_http_async_pg_hub_ask(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub, const char *sql);
static async_rc_t ngx_http_async_pg_hub_rest(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub);
static async_rc_t ngx_http_async_pg_hub_hear(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub);


static ngx_async_profile_t  ngx_http_async_pg_hub_profile
    = ngx_async_own_profile("async_pg:listen");


ngx_http_async_pg_hub_t *
ngx_http_async_pg_hub(ngx_http_async_pg_pool_t *pool)
{
    ngx_http_async_pg_hub_t  *hub;

    if (pool->hub) {
        return pool->hub;
    }

    hub = ngx_calloc(sizeof(ngx_http_async_pg_hub_t), ngx_cycle->log);

    if (hub) {
        hub->pool = pool;

        ngx_rbtree_init(&hub->names, &hub->sentinel,
                        ngx_str_rbtree_insert_value);
        ngx_queue_init(&hub->channels);
        ngx_queue_init(&hub->changes);
        ngx_queue_init(&hub->asked);

        pool->hub = hub;
    }

    return hub;
}


/* Where a task has been given up, it stays: the process ends. */

void
ngx_http_async_pg_hub_free(ngx_http_async_pg_pool_t *pool)
{
    ngx_http_async_pg_hub_t  *hub;

    hub = pool->hub;

    if (hub && hub->task == NULL && hub->nlisteners == 0) {
        ngx_free(hub);
        pool->hub = NULL;
    }
}


static void
ngx_http_async_pg_hub_set(ngx_http_async_pg_hub_t *hub,
    ngx_http_async_pg_hub_e state)
{
    static const u_char  legal[] = {
        /* from OFF */         1 << NGX_HTTP_ASYNC_PG_HUB_CONNECTING,
        /* from CONNECTING */  1 << NGX_HTTP_ASYNC_PG_HUB_IDLE
                               | 1 << NGX_HTTP_ASYNC_PG_HUB_DOWN
                               | 1 << NGX_HTTP_ASYNC_PG_HUB_OFF,
        /* from ASKING */      1 << NGX_HTTP_ASYNC_PG_HUB_IDLE,
        /* from IDLE */        1 << NGX_HTTP_ASYNC_PG_HUB_ASKING
                               | 1 << NGX_HTTP_ASYNC_PG_HUB_DOWN
                               | 1 << NGX_HTTP_ASYNC_PG_HUB_OFF,
        /* from DOWN */        1 << NGX_HTTP_ASYNC_PG_HUB_CONNECTING
                               | 1 << NGX_HTTP_ASYNC_PG_HUB_OFF
    };

    if (!(legal[hub->state] & 1 << state)) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "async_pg listen cannot go from state %d to %d",
                      hub->state, state);
        ngx_abort();
    }

    hub->state = state;
}


ngx_int_t
ngx_http_async_pg_hub_look(ngx_http_async_pg_hub_t *hub)
{
    if (hub->task == NULL) {
        return hub->nlisteners ? ngx_http_async_pg_hub_start(hub) : NGX_OK;
    }

    if (hub->nlisteners == 0
        && (hub->state != NGX_HTTP_ASYNC_PG_HUB_IDLE || ngx_exiting
            || ngx_terminate))
    {
        /* if somebody comes before it has ended, it is started again */
        ngx_async_task_cancel(hub->task, NGX_ASYNC_PARENT);
        return NGX_OK;
    }

    if (hub->state == NGX_HTTP_ASYNC_PG_HUB_IDLE
        && (hub->nlisteners == 0 || !ngx_queue_empty(&hub->changes)))
    {
        (void) ngx_async_wake(&hub->conn->waker, ASYNC_OK);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_hub_start(ngx_http_async_pg_hub_t *hub)
{
    ngx_http_async_pg_hub_task_t  *ht;

    ht = ngx_async_task_create_over(ngx_http_async_pg_hub_body,
                                    ngx_http_async_pg_hub_done,
                                    &ngx_http_async_pg_hub_profile,
                                    ngx_cycle->log);
    if (ht == NULL) {
        return NGX_ERROR;
    }

    ht->hub = hub;

    hub->task = &ht->task;
    hub->delay = 0;
    ngx_http_async_pg_hub_set(hub, NGX_HTTP_ASYNC_PG_HUB_CONNECTING);

    /* not now: its caller may be a coroutine */
    ngx_async_task_ready(&ht->task);

    return NGX_OK;
}


static void
ngx_http_async_pg_hub_body(ngx_async_task_t *t)
{
    ngx_http_async_pg_hub_t  *hub;

    async_rc_t  rc;

    hub = ((ngx_http_async_pg_hub_task_t *) t)->hub;

    rc = ngx_async_enter(t, "async_pg listen", "");

    if (rc != ASYNC_OK) {
        return;
    }

    for ( ;; ) {
        rc = ngx_http_async_pg_hub_once(t, hub);

        ngx_http_async_pg_hub_close(hub);

        if (rc == ASYNC_OK || t->reason != NGX_ASYNC_KEEP) {
            return;
        }

        ngx_http_async_pg_hub_failed(t, hub);

        if (hub->nlisteners == 0) {
            return;
        }

        ngx_http_async_pg_hub_set(hub, NGX_HTTP_ASYNC_PG_HUB_DOWN);

        (void) ngx_async_waker(t);

        if (ngx_async_wait(t, hub->delay) != NGX_ASYNC_ELAPSED) {
            return;
        }

        ngx_http_async_pg_hub_set(hub, NGX_HTTP_ASYNC_PG_HUB_CONNECTING);
    }
}


static void
ngx_http_async_pg_hub_done(ngx_async_task_t *t)
{
    ngx_http_async_pg_hub_t  *hub;

    hub = ((ngx_http_async_pg_hub_task_t *) t)->hub;

    hub->task = NULL;
    ngx_http_async_pg_hub_set(hub, NGX_HTTP_ASYNC_PG_HUB_OFF);

    if (hub->nlisteners == 0) {
        return;
    }

    hub->cause = ASYNC_CAUSE_NONE;

    if (t->cancel == NGX_ASYNC_SHUTDOWN) {
        (void) ngx_sprintf(hub->why, "database \"%V\": the worker exits%Z",
                           &hub->pool->name);

    } else if (ngx_http_async_pg_hub_start(hub) == NGX_OK) {
        return;

    } else {
        (void) ngx_sprintf(hub->why, "no memory, or too many tasks%Z");
    }

    ngx_http_async_pg_hub_fail(hub);
}


/* ASYNC_OK: nobody listens any more. */

static async_rc_t
ngx_http_async_pg_hub_once(ngx_async_task_t *t, ngx_http_async_pg_hub_t *hub)
{
    async_rc_t  rc;

    rc = ngx_http_async_pg_hub_connect(t, hub);

    if (rc == ASYNC_OK) {
        ngx_http_async_pg_hub_set(hub, NGX_HTTP_ASYNC_PG_HUB_IDLE);
        rc = ngx_http_async_pg_hub_serve(t, hub);
    }

    return rc;
}


/* It is none of the pool's: neither counted, nor given to others. */

static async_rc_t
ngx_http_async_pg_hub_connect(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub)
{
    ngx_http_async_pg_conn_t  *conn;

    conn = ngx_calloc(sizeof(ngx_http_async_pg_conn_t), t->log);
    if (conn == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    conn->pool = hub->pool;
    ngx_http_async_pg_forget_statements(conn);

    hub->conn = conn;

    return ngx_http_async_pg_connect(t, conn);
}


static void
ngx_http_async_pg_hub_close(ngx_http_async_pg_hub_t *hub)
{
    ngx_queue_t  *q, *next;

    if (hub->conn) {
        ngx_http_async_pg_close(hub->conn);
        ngx_free(hub->conn);
        hub->conn = NULL;
    }

    for (q = ngx_queue_head(&hub->channels);
         q != ngx_queue_sentinel(&hub->channels);
         q = next)
    {
        next = ngx_queue_next(q);

        ngx_http_async_pg_set_channel(ngx_queue_data(q,
                                                ngx_http_async_pg_channel_t,
                                                queue),
                                      NGX_HTTP_ASYNC_PG_UNHEARD);
    }
}


/* Whoever wants to listen is told; whoever did waits. */

static void
ngx_http_async_pg_hub_failed(ngx_async_task_t *t, ngx_http_async_pg_hub_t *hub)
{
    ngx_uint_t  level;

    ngx_memcpy(hub->why, t->error, NGX_ASYNC_ERROR_LEN);
    hub->cause = ASYNC_CAUSE_CONNECT;

    ngx_http_async_pg_hub_fail(hub);

    if (hub->nlisteners == 0) {
        return;
    }

    level = hub->delay ? NGX_LOG_INFO : NGX_LOG_WARN;

    hub->delay = hub->delay ? ngx_min(2 * hub->delay,
                                      NGX_HTTP_ASYNC_PG_RETRY_MAX)
                            : NGX_HTTP_ASYNC_PG_RETRY;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "%s; %ui listeners wait, it is tried again after %M ms",
                  hub->why, hub->nlisteners, hub->delay);
}


static void
ngx_http_async_pg_hub_fail(ngx_http_async_pg_hub_t *hub)
{
    ngx_queue_t  *q, *next;

    for (q = ngx_queue_head(&hub->channels);
         q != ngx_queue_sentinel(&hub->channels);
         q = next)
    {
        next = ngx_queue_next(q);

        ngx_http_async_pg_fail_channel(ngx_queue_data(q,
                                                ngx_http_async_pg_channel_t,
                                                queue));
    }
}


static async_rc_t
ngx_http_async_pg_hub_serve(ngx_async_task_t *t, ngx_http_async_pg_hub_t *hub)
{
    async_rc_t  rc;

    for ( ;; ) {

        if (hub->nlisteners == 0 && ngx_http_async_pg_hub_left(hub) <= 0) {
            return ASYNC_OK;
        }

        rc = (hub->nlisteners == 0 || ngx_queue_empty(&hub->changes))
             ? ngx_http_async_pg_hub_rest(t, hub)
             : ngx_http_async_pg_hub_tell(t, hub);

        if (rc == ASYNC_OK) {
            rc = ngx_http_async_pg_hub_hear(t, hub);
        }

        if (rc != ASYNC_OK) {
            return rc;
        }
    }
}


/* Of the time that it stays without a listener. */

static ngx_msec_int_t
ngx_http_async_pg_hub_left(ngx_http_async_pg_hub_t *hub)
{
    ngx_msec_t  linger;

    if (ngx_exiting || ngx_terminate) {
        return 0;
    }

    linger = NGX_HTTP_ASYNC_PG_LINGER;

    if (hub->pool->idle_time) {
        linger = ngx_min(linger, hub->pool->idle_time);
    }

    return (ngx_msec_int_t) (hub->since + linger - ngx_current_msec);
}


/* LISTEN and UNLISTEN, as many as are due. */

static async_rc_t
ngx_http_async_pg_hub_tell(ngx_async_task_t *t, ngx_http_async_pg_hub_t *hub)
{
    char                         *sql;
    async_rc_t                    rc;
    ngx_queue_t                  *q;
    ngx_http_async_pg_channel_t  *ch;

    sql = ngx_http_async_pg_hub_sql(hub);
    if (sql == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    rc = ngx_http_async_pg_hub_ask(t, hub, sql);

    ngx_free(sql);

    if (rc != ASYNC_OK) {
        return ngx_http_async_pg_hub_refused(t, hub, rc);
    }

    while (!ngx_queue_empty(&hub->asked)) {

        q = ngx_queue_head(&hub->asked);
        ch = ngx_queue_data(q, ngx_http_async_pg_channel_t, change);

        ngx_http_async_pg_set_channel(ch,
                                      ch->state == NGX_HTTP_ASYNC_PG_ASKED
                                      ? NGX_HTTP_ASYNC_PG_HEARD
                                      : NGX_HTTP_ASYNC_PG_UNHEARD);
    }

    if (hub->delay && ngx_queue_empty(&hub->changes)) {
        hub->delay = 0;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "database \"%V\": it listens again", &hub->pool->name);
    }

    return ASYNC_OK;
}


static char *
ngx_http_async_pg_hub_sql(ngx_http_async_pg_hub_t *hub)
{
    size_t                        size;
    u_char                       *sql, *p;
    ngx_uint_t                    n;
    ngx_queue_t                  *q;
    ngx_http_async_pg_channel_t  *ch;

    n = 0;
    size = 1;

    for (q = ngx_queue_head(&hub->changes);
         q != ngx_queue_sentinel(&hub->changes)
         && n < NGX_HTTP_ASYNC_PG_BATCH;
         q = ngx_queue_next(q))
    {
        ch = ngx_queue_data(q, ngx_http_async_pg_channel_t, change);
        size += sizeof("UNLISTEN \"\";") - 1 + 2 * ch->node.str.len;
        n++;
    }

    sql = ngx_alloc(size, ngx_cycle->log);
    if (sql == NULL) {
        return NULL;
    }

    for (p = sql; n; n--) {

        q = ngx_queue_head(&hub->changes);
        ch = ngx_queue_data(q, ngx_http_async_pg_channel_t, change);

        if (ch->state == NGX_HTTP_ASYNC_PG_UNHEARD) {
            p = ngx_cpymem(p, "LISTEN ", sizeof("LISTEN ") - 1);
            ngx_http_async_pg_set_channel(ch, NGX_HTTP_ASYNC_PG_ASKED);

        } else {
            p = ngx_cpymem(p, "UNLISTEN ", sizeof("UNLISTEN ") - 1);
            ngx_http_async_pg_set_channel(ch, NGX_HTTP_ASYNC_PG_LEAVING);
        }

        p = ngx_http_async_pg_hub_quote(p, &ch->node.str);
        *p++ = ';';
    }

    *p = '\0';

    return (char *) sql;
}


static u_char *
ngx_http_async_pg_hub_quote(u_char *p, ngx_str_t *name)
{
    size_t  i;

    *p++ = '"';

    for (i = 0; i < name->len; i++) {

        if (name->data[i] == '"') {
            *p++ = '"';
        }

        *p++ = name->data[i];
    }

    *p++ = '"';

    return p;
}


/*
 * They are one transaction: none of them has been done.  If that is the fault
 * of those who came last alone, the connection is as good as before.
 */

static async_rc_t
ngx_http_async_pg_hub_refused(ngx_async_task_t *t,
    ngx_http_async_pg_hub_t *hub, async_rc_t rc)
{
    ngx_uint_t                    wanted, others;
    ngx_queue_t                  *q;
    ngx_http_async_pg_channel_t  *ch;

    if (rc != ASYNC_ERROR || hub->conn->doomed
        || PQstatus(hub->conn->pg) != CONNECTION_OK)
    {
        return rc;
    }

    ngx_memcpy(hub->why, t->error, NGX_ASYNC_ERROR_LEN);
    hub->cause = ASYNC_CAUSE_NONE;
    others = 0;

    while (!ngx_queue_empty(&hub->asked)) {

        q = ngx_queue_head(&hub->asked);
        ch = ngx_queue_data(q, ngx_http_async_pg_channel_t, change);

        if (ch->state == NGX_HTTP_ASYNC_PG_LEAVING || ch->nopen) {
            others = 1;
        }

        wanted = !ngx_queue_empty(&ch->listeners);
        ngx_http_async_pg_set_channel(ch, NGX_HTTP_ASYNC_PG_UNHEARD);

        if (wanted) {
            ngx_http_async_pg_fail_channel(ch);
        }
    }

    return others ? rc : ASYNC_OK;
}


/* It answers in time, or the connection is lost. */

static async_rc_t
ngx_http_async_pg_hub_ask(ngx_async_task_t *t, ngx_http_async_pg_hub_t *hub,
    const char *sql)
{
    async_rc_t     rc;
    ngx_uint_t     late;
    async_scope_t  scope;

    ngx_http_async_pg_hub_set(hub, NGX_HTTP_ASYNC_PG_HUB_ASKING);

    async_deadline_begin(t, "", &scope, hub->pool->connect_timeout);

    rc = ngx_http_async_pg_execute(t, hub->conn, sql, NULL, 0);
    late = (t->reason == NGX_ASYNC_DEADLINE);

    async_deadline_end(&scope);

    ngx_http_async_pg_hub_set(hub, NGX_HTTP_ASYNC_PG_HUB_IDLE);

    if (rc != ASYNC_OK && late) {
        return ngx_async_set_error(t, ASYNC_CLOSED, "database \"%V\": the "
                                   "connection that listens is lost: no answer "
                                   "within %M ms", &hub->pool->name,
                                   hub->pool->connect_timeout);
    }

    return rc;
}


static async_rc_t
ngx_http_async_pg_hub_rest(ngx_async_task_t *t, ngx_http_async_pg_hub_t *hub)
{
    async_rc_t  rc;
    ngx_msec_t  timeout;

    if (hub->nlisteners == 0) {
        timeout = ngx_http_async_pg_hub_left(hub);

    } else {
        timeout = hub->pool->ping ? hub->pool->ping : NGX_ASYNC_FOREVER;
    }

    /* nginx tells it when the worker exits */
    hub->conn->c->idle = (hub->nlisteners == 0);

    rc = ngx_http_async_pg_input(t, hub->conn, timeout);

    if (rc != ASYNC_TIMEOUT || t->reason != NGX_ASYNC_KEEP) {
        return rc;
    }

    /* somebody who pulls a plug tells nobody */

    return hub->nlisteners ? ngx_http_async_pg_hub_ask(t, hub, "SELECT 1")
                           : ASYNC_OK;
}


static async_rc_t
ngx_http_async_pg_hub_hear(ngx_async_task_t *t, ngx_http_async_pg_hub_t *hub)
{
    ngx_int_t    rc;
    PGnotify    *notify;
    ngx_uint_t   n;

    for (n = 0; /* void */ ; n++) {

        if (n == NGX_HTTP_ASYNC_PG_TURN) {
            n = 0;

            (void) ngx_async_waker(t);
            rc = ngx_async_wait(t, 0);

            if (rc != NGX_ASYNC_ELAPSED) {
                return rc;
            }
        }

        notify = PQnotifies(hub->conn->pg);

        if (notify == NULL) {
            return ASYNC_OK;
        }

        ngx_http_async_pg_publish(hub, notify);
    }
}
