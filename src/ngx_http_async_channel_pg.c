
/*
 * Copyright (C) the nginx-async authors
 *
 * Channels over machines, by LISTEN and NOTIFY of PostgreSQL.
 *
 * Each worker sends what it publishes by a task that lives while there is
 * something to be sent.  One worker of a machine listens, the one that holds a
 * robust mutex of the log, and writes what comes from other machines into the
 * log.  What comes from this machine is in there already.
 *
 * A payload is base64 of: the machine, the sender and the number of the message
 * (8 bytes each), the length of the name (1), the name, the data.  A statement
 * whose answer is lost is sent again, so numbers only grow: one that does not
 * has been there.
 */

#include <ngx_http_async_channel.h>
#include <ngx_async_quit.h>
#include <sys/random.h>


#define NGX_HTTP_ASYNC_CHANNEL_PG_NAME     "nginx_async_channels"

#define NGX_HTTP_ASYNC_CHANNEL_PG_HEAD     (3 * sizeof(uint64_t) + 1)

/* what may wait for the database in a worker: messages, bytes */
#define NGX_HTTP_ASYNC_CHANNEL_PG_WAITING  1000
#define NGX_HTTP_ASYNC_CHANNEL_PG_BYTES    (4 * 1024 * 1024)

/* of which one statement takes */
#define NGX_HTTP_ASYNC_CHANNEL_PG_BATCH    100

/* how often a worker tries to be the one who listens, in ms */
#define NGX_HTTP_ASYNC_CHANNEL_PG_TRY      200

/* between tries of a database that is away, in ms */
#define NGX_HTTP_ASYNC_CHANNEL_PG_RETRY    100
#define NGX_HTTP_ASYNC_CHANNEL_PG_LATEST   5000

/* senders whose numbers are known; those of workers long gone give way */
#define NGX_HTTP_ASYNC_CHANNEL_PG_SENDERS  256


typedef struct {
    ngx_queue_t                      queue;
    size_t                           len;
    u_char                           text[];      /* base64 */
} ngx_http_async_channel_pg_item_t;


typedef struct {
    uint64_t                         id;
    uint64_t                         number;      /* of the last one */
    ngx_uint_t                       used;
} ngx_http_async_channel_pg_sender_t;


typedef struct {
    u_char                          *pool;        /* zero-terminated */
    ngx_http_async_channel_log_t    *log;

    /* to be sent */
    uint64_t                         id;
    uint64_t                         number;
    ngx_queue_t                      queue;
    ngx_uint_t                       n;
    size_t                           bytes;
    ngx_async_task_t                *sends;       /* NULL: nothing waits */

    /* to be heard */
    ngx_async_task_t                *hears;       /* NULL: another worker */
    ngx_uint_t                       owner;
    ngx_event_t                      timer;
    ngx_uint_t                       used;
    ngx_http_async_channel_pg_sender_t  senders
                                       [NGX_HTTP_ASYNC_CHANNEL_PG_SENDERS];
} ngx_http_async_channel_pg_t;


static void ngx_http_async_channel_pg_start(void);
static void ngx_http_async_channel_pg_send_body(ngx_async_task_t *t);
static void ngx_http_async_channel_pg_send_done(ngx_async_task_t *t);
static async_rc_t ngx_http_async_channel_pg_notify(ngx_async_task_t *t);
static ngx_uint_t ngx_http_async_channel_pg_batch(u_char **array);
static void ngx_http_async_channel_pg_sent(ngx_uint_t n);
static async_rc_t ngx_http_async_channel_pg_pause(ngx_async_task_t *t,
    const char *what, ngx_msec_t *delay);

static void ngx_http_async_channel_pg_try(ngx_event_t *ev);
static void ngx_http_async_channel_pg_hear_body(ngx_async_task_t *t);
static void ngx_http_async_channel_pg_hear_done(ngx_async_task_t *t);
static async_rc_t ngx_http_async_channel_pg_hear(ngx_async_task_t *t,
    ngx_msec_t *delay);
static void ngx_http_async_channel_pg_heard(async_str_t *payload);
static ngx_uint_t ngx_http_async_channel_pg_is_new(uint64_t id,
    uint64_t number);
static void ngx_http_async_channel_pg_quit(void);
static void ngx_http_async_channel_pg_release(void);


static ngx_async_profile_t  ngx_http_async_channel_pg_send_profile
    = ngx_async_own_profile("async_channels:send");

static ngx_async_profile_t  ngx_http_async_channel_pg_hear_profile
    = ngx_async_own_profile("async_channels:listen");


ngx_uint_t                          ngx_http_async_channel_pg_on;

static ngx_http_async_channel_pg_t  ngx_http_async_channel_pg;

/* not on the stack of an app */
static u_char  ngx_http_async_channel_pg_raw[8192];

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t             ngx_http_async_channel_pg_no_connection;


ngx_int_t
ngx_http_async_channel_pg_init(ngx_cycle_t *cycle, ngx_str_t *pool,
    ngx_http_async_channel_log_t *log)
{
    ngx_http_async_channel_pg_t  *pg;

    pg = &ngx_http_async_channel_pg;

    pg->pool = pool->data;
    pg->log = log;

    ngx_queue_init(&pg->queue);

    if (getrandom(&pg->id, sizeof(uint64_t), 0) != sizeof(uint64_t)) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "getrandom() failed");
        return NGX_ERROR;
    }

    ngx_http_async_channel_pg_no_connection.fd = (ngx_socket_t) -1;

    pg->timer.handler = ngx_http_async_channel_pg_try;
    pg->timer.data = &ngx_http_async_channel_pg_no_connection;
    pg->timer.log = cycle->log;
    pg->timer.cancelable = 1;

    /* not now: the pools are not there yet */
    ngx_add_timer(&pg->timer, 1);

    ngx_async_on_quit(ngx_http_async_channel_pg_quit);

    ngx_http_async_channel_pg_on = 1;

    return NGX_OK;
}


ngx_uint_t
ngx_http_async_channel_pg_waits(void)
{
    return ngx_http_async_channel_pg.n;
}


ngx_int_t
ngx_http_async_channel_pg_send(ngx_str_t *name, ngx_str_t *data)
{
    u_char                            *p, *raw;
    ngx_str_t                          from, to;
    ngx_http_async_channel_pg_t       *pg;
    ngx_http_async_channel_pg_item_t  *item;

    pg = &ngx_http_async_channel_pg;
    raw = ngx_http_async_channel_pg_raw;

    p = ngx_cpymem(raw, &pg->log->machine, sizeof(uint64_t));
    p = ngx_cpymem(p, &pg->id, sizeof(uint64_t));

    pg->number++;
    p = ngx_cpymem(p, &pg->number, sizeof(uint64_t));

    *p++ = (u_char) name->len;
    p = ngx_cpymem(p, name->data, name->len);
    p = ngx_cpymem(p, data->data, data->len);

    from.data = raw;
    from.len = p - raw;

    if (pg->n == NGX_HTTP_ASYNC_CHANNEL_PG_WAITING
        || pg->bytes + ngx_base64_encoded_length(from.len)
           > NGX_HTTP_ASYNC_CHANNEL_PG_BYTES)
    {
        ngx_http_async_channel_count(PG_REFUSED);
        return NGX_BUSY;
    }

    item = ngx_alloc(sizeof(ngx_http_async_channel_pg_item_t)
                     + ngx_base64_encoded_length(from.len), ngx_cycle->log);
    if (item == NULL) {
        return NGX_BUSY;
    }

    to.data = item->text;
    ngx_encode_base64(&to, &from);
    item->len = to.len;

    ngx_queue_insert_tail(&pg->queue, &item->queue);
    pg->n++;
    pg->bytes += item->len;

    ngx_http_async_channel_pg_start();

    return NGX_OK;
}


static void
ngx_http_async_channel_pg_start(void)
{
    ngx_async_task_t  *t;

    if (ngx_http_async_channel_pg.sends) {
        return;
    }

    t = ngx_async_task_create_over(ngx_http_async_channel_pg_send_body,
                                   ngx_http_async_channel_pg_send_done,
                                   &ngx_http_async_channel_pg_send_profile,
                                   ngx_cycle->log);
    if (t == NULL) {
        /* the next one that is published tries it again */
        return;
    }

    ngx_http_async_channel_pg.sends = t;

    /* not now: the caller is a coroutine */
    ngx_async_task_ready(t);
}


static void
ngx_http_async_channel_pg_send_body(ngx_async_task_t *t)
{
    async_rc_t  rc;
    ngx_msec_t  delay;

    delay = 0;

    while (ngx_http_async_channel_pg.n) {

        rc = ngx_http_async_channel_pg_notify(t);

        if (rc == ASYNC_OK) {
            delay = 0;
            continue;
        }

        if (t->reason != NGX_ASYNC_KEEP
            || ngx_http_async_channel_pg_pause(t, "sends", &delay) != ASYNC_OK)
        {
            return;
        }
    }
}


static void
ngx_http_async_channel_pg_send_done(ngx_async_task_t *t)
{
    ngx_http_async_channel_pg_t  *pg;

    pg = &ngx_http_async_channel_pg;

    pg->sends = NULL;

    if (pg->n == 0) {
        return;
    }

    if (t->cancel == NGX_ASYNC_KEEP) {
        ngx_http_async_channel_pg_start();
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "async channels: %ui messages are not sent to database "
                  "\"%s\", as the worker exits", pg->n, pg->pool);

    ngx_http_async_channel_pg_sent(pg->n);
}


/* One statement, whatever of it waits; in the order in which it waits. */

static async_rc_t
ngx_http_async_channel_pg_notify(ngx_async_task_t *t)
{
    u_char             *array;
    async_rc_t          rc;
    ngx_uint_t          n;
    async_pg_result_t  *result;

    ASYNC_MEMORY(t);

    n = ngx_http_async_channel_pg_batch(&array);

    if (n == 0) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    rc = await_pg(t, (char *) ngx_http_async_channel_pg.pool, &result,
                  "SELECT pg_notify('" NGX_HTTP_ASYNC_CHANNEL_PG_NAME "', p) "
                  "FROM unnest($1::text[]) WITH ORDINALITY AS a(p, i) "
                  "ORDER BY i", ASYNC_TEXT((char *) array));

    ngx_free(array);

    if (rc == ASYNC_OK) {
        ngx_async_stats_add_to(ngx_http_async_channel_stats,
                               NGX_HTTP_ASYNC_CHANNEL_PG_SENT, n);

        ngx_http_async_channel_pg_sent(n);
    }

    return rc;
}


/* The literal of an array; base64 needs no quotes. */

static ngx_uint_t
ngx_http_async_channel_pg_batch(u_char **array)
{
    size_t                             size;
    u_char                            *p;
    ngx_uint_t                         i, n;
    ngx_queue_t                       *q;
    ngx_http_async_channel_pg_t       *pg;
    ngx_http_async_channel_pg_item_t  *item;

    pg = &ngx_http_async_channel_pg;

    size = sizeof("{}");
    n = ngx_min(pg->n, NGX_HTTP_ASYNC_CHANNEL_PG_BATCH);

    for (q = ngx_queue_head(&pg->queue), i = 0; i < n; q = ngx_queue_next(q)) {
        item = ngx_queue_data(q, ngx_http_async_channel_pg_item_t, queue);
        size += item->len + 1;
        i++;
    }

    *array = ngx_alloc(size, ngx_cycle->log);

    if (*array == NULL) {
        return 0;
    }

    p = *array;

    for (q = ngx_queue_head(&pg->queue), i = 0; i < n; q = ngx_queue_next(q)) {
        item = ngx_queue_data(q, ngx_http_async_channel_pg_item_t, queue);

        *p++ = i ? ',' : '{';
        p = ngx_cpymem(p, item->text, item->len);
        i++;
    }

    *p++ = '}';
    *p = '\0';

    return n;
}


/* The first n of those that wait. */

static void
ngx_http_async_channel_pg_sent(ngx_uint_t n)
{
    ngx_queue_t                       *q;
    ngx_http_async_channel_pg_t       *pg;
    ngx_http_async_channel_pg_item_t  *item;

    pg = &ngx_http_async_channel_pg;

    while (n--) {
        q = ngx_queue_head(&pg->queue);
        item = ngx_queue_data(q, ngx_http_async_channel_pg_item_t, queue);

        pg->n--;
        pg->bytes -= item->len;

        ngx_queue_remove(q);
        ngx_free(item);
    }
}


/* Suspends for a while, of which the first is told. */

static async_rc_t
ngx_http_async_channel_pg_pause(ngx_async_task_t *t, const char *what,
    ngx_msec_t *delay)
{
    ngx_uint_t  level;

    level = *delay ? NGX_LOG_INFO : NGX_LOG_WARN;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "async channels: the worker that %s waits for database "
                  "\"%s\": %s", what, ngx_http_async_channel_pg.pool,
                  t->error);

    *delay = *delay ? ngx_min(2 * *delay, NGX_HTTP_ASYNC_CHANNEL_PG_LATEST)
                    : NGX_HTTP_ASYNC_CHANNEL_PG_RETRY;

    return await_sleep(t, *delay);
}


/* Nobody listens, or who did has died: this worker does. */

static void
ngx_http_async_channel_pg_try(ngx_event_t *ev)
{
    ngx_async_task_t             *t;
    ngx_http_async_channel_pg_t  *pg;

    if (ngx_async_quitting) {
        return;
    }

    pg = &ngx_http_async_channel_pg;

    if (ngx_async_robust_trylock(&pg->log->listens) != NGX_AGAIN) {

        t = ngx_async_task_create_over(ngx_http_async_channel_pg_hear_body,
                                       ngx_http_async_channel_pg_hear_done,
                                       &ngx_http_async_channel_pg_hear_profile,
                                       ngx_cycle->log);
        if (t) {
            pg->owner = 1;
            pg->hears = t;

            (void) ngx_async_task_run(t);
            return;
        }

        ngx_async_robust_unlock(&pg->log->listens);
    }

    ngx_add_timer(ev, NGX_HTTP_ASYNC_CHANNEL_PG_TRY);
}


static void
ngx_http_async_channel_pg_hear_body(ngx_async_task_t *t)
{
    ngx_msec_t  delay;

    delay = 0;

    do {
        (void) ngx_http_async_channel_pg_hear(t, &delay);

    } while (t->reason == NGX_ASYNC_KEEP
             && ngx_http_async_channel_pg_pause(t, "listens", &delay)
                == ASYNC_OK);
}


static void
ngx_http_async_channel_pg_hear_done(ngx_async_task_t *t)
{
    ngx_http_async_channel_pg_t  *pg;

    pg = &ngx_http_async_channel_pg;

    pg->hears = NULL;
    ngx_http_async_channel_pg_release();

    if (!ngx_async_quitting) {
        ngx_add_timer(&pg->timer, NGX_HTTP_ASYNC_CHANNEL_PG_TRY);
    }
}


static async_rc_t
ngx_http_async_channel_pg_hear(ngx_async_task_t *t, ngx_msec_t *delay)
{
    async_rc_t                      rc;
    async_pg_listener_t            *l;
    async_pg_notification_t         n;
    ngx_http_async_channel_log_t   *log;

    ASYNC_MEMORY(t);

    log = ngx_http_async_channel_pg.log;

    rc = await_pg_listen(t, (char *) ngx_http_async_channel_pg.pool,
                         NGX_HTTP_ASYNC_CHANNEL_PG_NAME, &l);
    if (rc != ASYNC_OK) {
        return rc;
    }

    if (*delay || log->listened) {
        /* nobody has listened for a while */
        ngx_http_async_channel_say_lost(1);
    }

    log->listened = 1;
    *delay = 0;

    for ( ;; ) {
        rc = await_pg_notification(t, l, &n);

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (n.missed) {
            ngx_http_async_channel_say_lost(1);

        } else {
            ngx_http_async_channel_pg_heard(&n.payload);
        }
    }
}


/* Whoever may notify may send anything here. */

static void
ngx_http_async_channel_pg_heard(async_str_t *payload)
{
    u_char                       *raw;
    uint64_t                      machine, id, number;
    ngx_str_t                     from, to, name, data;
    ngx_http_async_channel_pg_t  *pg;

    pg = &ngx_http_async_channel_pg;
    raw = ngx_http_async_channel_pg_raw;

    from.data = (u_char *) payload->data;
    from.len = payload->len;
    to.data = raw;

    if (from.len > sizeof(ngx_http_async_channel_pg_raw)
        || ngx_decode_base64(&to, &from) != NGX_OK
        || to.len < NGX_HTTP_ASYNC_CHANNEL_PG_HEAD)
    {
        goto invalid;
    }

    ngx_memcpy(&machine, raw, sizeof(uint64_t));
    ngx_memcpy(&id, raw + 8, sizeof(uint64_t));
    ngx_memcpy(&number, raw + 16, sizeof(uint64_t));

    name.len = raw[24];
    name.data = raw + NGX_HTTP_ASYNC_CHANNEL_PG_HEAD;

    if (name.len == 0
        || to.len < NGX_HTTP_ASYNC_CHANNEL_PG_HEAD + name.len)
    {
        goto invalid;
    }

    if (machine == pg->log->machine
        || !ngx_http_async_channel_pg_is_new(id, number))
    {
        return;
    }

    data.data = name.data + name.len;
    data.len = raw + to.len - data.data;

    if (data.len > ngx_http_async_channel_max(pg->log)
        || ngx_strlchr(name.data, data.data, '\0'))
    {
        goto invalid;
    }

    ngx_http_async_channel_count(PG_HEARD);
    ngx_http_async_channel_say(&name, &data);

    return;

invalid:

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "async channels: database \"%s\" has a notification of \""
                  NGX_HTTP_ASYNC_CHANNEL_PG_NAME "\" that is none of ours",
                  pg->pool);
}


static ngx_uint_t
ngx_http_async_channel_pg_is_new(uint64_t id, uint64_t number)
{
    ngx_uint_t                           i;
    ngx_http_async_channel_pg_t         *pg;
    ngx_http_async_channel_pg_sender_t  *s, *oldest;

    pg = &ngx_http_async_channel_pg;
    oldest = &pg->senders[0];

    pg->used++;

    for (i = 0; i < NGX_HTTP_ASYNC_CHANNEL_PG_SENDERS; i++) {
        s = &pg->senders[i];

        if (s->used && s->id == id) {
            s->used = pg->used;

            if (number <= s->number) {
                return 0;
            }

            s->number = number;
            return 1;
        }

        if (s->used < oldest->used) {
            oldest = s;
        }
    }

    oldest->id = id;
    oldest->number = number;
    oldest->used = pg->used;

    return 1;
}


/*
 * A graceful shutdown begins: another worker is to listen, at once; what is to
 * be sent is.
 */

static void
ngx_http_async_channel_pg_quit(void)
{
    ngx_http_async_channel_pg_t  *pg;

    pg = &ngx_http_async_channel_pg;

    if (pg->timer.timer_set) {
        ngx_del_timer(&pg->timer);
    }

    if (pg->hears) {
        ngx_async_task_cancel(pg->hears, NGX_ASYNC_SHUTDOWN);
    }
}


static void
ngx_http_async_channel_pg_release(void)
{
    ngx_http_async_channel_pg_t  *pg;

    pg = &ngx_http_async_channel_pg;

    if (pg->owner) {
        pg->owner = 0;
        ngx_async_robust_unlock(&pg->log->listens);
    }
}


void
ngx_http_async_channel_pg_exit(void)
{
    ngx_http_async_channel_pg_t  *pg;

    pg = &ngx_http_async_channel_pg;

    if (pg->timer.timer_set) {
        ngx_del_timer(&pg->timer);
    }

    ngx_http_async_channel_pg_release();
}
