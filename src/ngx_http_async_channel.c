
/*
 * Copyright (C) the nginx-async authors
 *
 * async_publish(), async_subscribe(), await_channel(): channels for tasks, see
 * ngx_async.h.
 */

#include <ngx_http_async_channel.h>
#include <ngx_http_async_model_struct.h>


/* of the pool of a struct's text */
#define NGX_HTTP_ASYNC_PUBLISHED          1024

/* what a queue begins with, and what it may grow to */
#define NGX_HTTP_ASYNC_SUBSCRIPTION_ROOM  8
#define NGX_HTTP_ASYNC_SUBSCRIPTION_MOST  65536


typedef struct {
    ngx_http_async_channel_message_t  *message;
    uint64_t                           missed;    /* before it */
} ngx_http_async_subscription_item_t;


/* Who waits for a message, on the stack of that task. */

typedef struct {
    async_subscription_t              *subscription;  /* NULL: closed */
    ngx_async_waker_t                  waker;
} ngx_http_async_subscription_wait_t;


typedef enum {
    NGX_HTTP_ASYNC_SUBSCRIPTION_OPEN = 0,
    NGX_HTTP_ASYNC_SUBSCRIPTION_FULL,     /* it has ended as one was missed */
    NGX_HTTP_ASYNC_SUBSCRIPTION_QUIT,     /* the worker shuts down */
    NGX_HTTP_ASYNC_SUBSCRIPTION_CLOSED    /* by the app */
} ngx_http_async_subscription_e;


struct async_subscription_s {
    ngx_async_handle_t                   handle;
    ngx_http_async_subscriber_t          subscriber;
    ngx_http_async_subscription_e        state;

    /* a ring of "size", a power of 2 */
    ngx_http_async_subscription_item_t  *items;
    ngx_uint_t                           size;
    ngx_uint_t                           first;
    ngx_uint_t                           n;
    size_t                               bytes;

    ngx_http_async_subscription_wait_t  *wait;    /* NULL: nobody waits */
    ngx_http_async_channel_message_t    *lent;
    ngx_async_task_t                    *lent_to;
};


static void ngx_http_async_subscription_take(ngx_http_async_subscriber_t *s,
    ngx_http_async_channel_message_t *m);
static ngx_uint_t ngx_http_async_subscription_full(async_subscription_t *s,
    size_t len);
static ngx_int_t ngx_http_async_subscription_grow(async_subscription_t *s);
static void ngx_http_async_subscription_drop(async_subscription_t *s);
static void ngx_http_async_subscription_lose(ngx_http_async_subscriber_t *s);
static void ngx_http_async_subscription_quit(ngx_http_async_subscriber_t *s);
static void ngx_http_async_subscription_end(async_subscription_t *s,
    ngx_http_async_subscription_e state);
static void ngx_http_async_subscription_wake(async_subscription_t *s);
static async_rc_t ngx_http_async_subscription_await(ngx_async_task_t *t,
    async_subscription_t *s);
static async_rc_t ngx_http_async_subscription_ended(ngx_async_task_t *t,
    ngx_http_async_subscription_e state);
static void ngx_http_async_subscription_give_back(async_subscription_t *s);
static void ngx_http_async_subscription_leave(async_subscription_t *s);
static void ngx_http_async_subscription_close(void *handle);


#define ngx_http_async_subscription_of(s)                                    \
    ((async_subscription_t *)                                                \
         ((u_char *) (s) - offsetof(async_subscription_t, subscriber)))

#define ngx_http_async_subscription_at(s, i)                                 \
    (&(s)->items[((s)->first + (i)) & ((s)->size - 1)])


async_rc_t
async_publish(async_t *co, const char *channel, const void *data, size_t len)
{
    size_t                         max;
    ngx_str_t                      name, text;
    ngx_http_async_channel_log_t  *log;

    ngx_async_check_task(co);

    log = ngx_http_async_channel_log();

    if (log == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "there is no "
                                   "\"async_channels\"");
    }

    if (!ngx_http_async_channel_name(channel, &name)) {
        return ngx_async_set_error(co, ASYNC_ERROR, "a channel's name has 1 "
                                   "to %d bytes, not %uz",
                                   NGX_HTTP_ASYNC_CHANNEL_NAME, name.len);
    }

    max = ngx_http_async_channel_max(log);

    if (ngx_http_async_channel_pg_on) {
        max = ngx_min(max, NGX_HTTP_ASYNC_CHANNEL_PG_MAX);
    }

    if (len > max) {
        return ngx_async_set_error(co, ASYNC_INVALID, "a message of %uz bytes "
                                   "is longer than a channel takes, %uz",
                                   len, max);
    }

    text.data = (u_char *) (len ? data : "");
    text.len = len;

    if (ngx_http_async_channel_pg_on
        && ngx_http_async_channel_pg_send(&name, &text) != NGX_OK)
    {
        return ngx_async_set_error(co, ASYNC_BUSY, "too many messages wait "
                                   "for the database of \"async_channels\"");
    }

    ngx_http_async_channel_count(PUBLISHED);
    ngx_http_async_channel_say(&name, &text);

    return ASYNC_OK;
}


async_rc_t
async_publish_model_(async_t *co, const char *channel,
    const async_model_t *model, const void *value, size_t size)
{
    ngx_str_t    text;
    async_rc_t   rc;
    ngx_pool_t  *pool;

    ngx_async_check_task(co);

    pool = ngx_create_pool(NGX_HTTP_ASYNC_PUBLISHED, co->log);

    rc = ngx_http_async_model_text(co, "async_publish_model", pool, model,
                                   value, size, 1, 0, &text);

    if (rc == ASYNC_OK) {
        rc = async_publish(co, channel, text.data, text.len);
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    return rc;
}


async_rc_t
async_subscribe_(async_t *co, const char *channel,
    const async_subscribe_t *options, size_t size,
    async_subscription_t **subscription)
{
    ngx_int_t              rc;
    ngx_str_t              name;
    async_subscription_t  *s;

    ngx_async_check_task(co);

    *subscription = NULL;

    if (ngx_http_async_channel_log() == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "there is no "
                                   "\"async_channels\"");
    }

    if (!ngx_http_async_channel_name(channel, &name)) {
        return ngx_async_set_error(co, ASYNC_ERROR, "a channel's name has 1 "
                                   "to %d bytes, not %uz",
                                   NGX_HTTP_ASYNC_CHANNEL_NAME, name.len);
    }

    s = ngx_async_handle(co, sizeof(async_subscription_t),
                         ngx_http_async_subscription_close);
    if (s == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    ngx_http_async_channel_options(&s->subscriber, options, size);

    s->subscriber.take = ngx_http_async_subscription_take;
    s->subscriber.lose = ngx_http_async_subscription_lose;
    s->subscriber.end = ngx_http_async_subscription_quit;
    s->subscriber.near = NULL;

    rc = ngx_http_async_channel_enter(&s->subscriber, &name);

    if (rc == NGX_ERROR) {
        ngx_http_async_subscription_close(s);
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    if (rc == NGX_DECLINED) {
        s->state = NGX_HTTP_ASYNC_SUBSCRIPTION_QUIT;
    }

    *subscription = s;

    return ASYNC_OK;
}


void
ngx_http_async_channel_options(ngx_http_async_subscriber_t *s,
    const async_subscribe_t *options, size_t size)
{
    async_subscribe_t  o;

    ngx_memzero(&o, sizeof(async_subscribe_t));

    if (options) {
        ngx_memcpy(&o, options, ngx_min(size, sizeof(async_subscribe_t)));
    }

    s->limit = o.queue ? ngx_min(o.queue, NGX_HTTP_ASYNC_SUBSCRIPTION_MOST)
                       : NGX_HTTP_ASYNC_CHANNEL_QUEUE;
    s->closes = (o.flags & ASYNC_CHANNEL_CLOSE) ? 1 : 0;
}


/* A message has come: what does not fit is the oldest, or it is the end. */

static void
ngx_http_async_subscription_take(ngx_http_async_subscriber_t *subscriber,
    ngx_http_async_channel_message_t *m)
{
    async_subscription_t                *s;
    ngx_http_async_subscription_item_t  *item;

    s = ngx_http_async_subscription_of(subscriber);

    while (ngx_http_async_subscription_full(s, m->len)) {

        ngx_http_async_channel_count(DROPPED);

        if (subscriber->closes) {
            ngx_http_async_subscription_end(s,
                                           NGX_HTTP_ASYNC_SUBSCRIPTION_FULL);
            return;
        }

        ngx_http_async_subscription_drop(s);
    }

    if (s->n == s->size && ngx_http_async_subscription_grow(s) != NGX_OK) {
        subscriber->missed++;
        ngx_http_async_subscription_lose(subscriber);
        return;
    }

    item = ngx_http_async_subscription_at(s, s->n);

    item->message = m;
    item->missed = subscriber->missed;

    m->refs++;
    subscriber->missed = 0;

    s->n++;
    s->bytes += m->len;

    ngx_http_async_subscription_wake(s);
}


static ngx_uint_t
ngx_http_async_subscription_full(async_subscription_t *s, size_t len)
{
    return s->n && (s->n >= s->subscriber.limit
                    || s->bytes + len > NGX_HTTP_ASYNC_CHANNEL_BYTES);
}


static ngx_int_t
ngx_http_async_subscription_grow(async_subscription_t *s)
{
    ngx_uint_t                           i, size;
    ngx_http_async_subscription_item_t  *items;

    size = s->size ? 2 * s->size : NGX_HTTP_ASYNC_SUBSCRIPTION_ROOM;

    items = ngx_alloc(size * sizeof(ngx_http_async_subscription_item_t),
                      ngx_cycle->log);
    if (items == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < s->n; i++) {
        items[i] = *ngx_http_async_subscription_at(s, i);
    }

    if (s->items) {
        ngx_free(s->items);
    }

    s->items = items;
    s->size = size;
    s->first = 0;

    return NGX_OK;
}


/* The oldest one; what comes next knows of it. */

static void
ngx_http_async_subscription_drop(async_subscription_t *s)
{
    uint64_t                            *missed;
    ngx_http_async_subscription_item_t  *item;

    item = ngx_http_async_subscription_at(s, 0);

    missed = (s->n > 1) ? &ngx_http_async_subscription_at(s, 1)->missed
                        : &s->subscriber.missed;

    *missed += item->missed + 1;

    s->bytes -= item->message->len;
    s->first++;
    s->n--;

    ngx_http_async_channel_release(item->message);
}


static void
ngx_http_async_subscription_lose(ngx_http_async_subscriber_t *subscriber)
{
    if (subscriber->closes) {
        ngx_http_async_subscription_end(
                                   ngx_http_async_subscription_of(subscriber),
                                   NGX_HTTP_ASYNC_SUBSCRIPTION_FULL);
    }
}


static void
ngx_http_async_subscription_quit(ngx_http_async_subscriber_t *subscriber)
{
    ngx_http_async_subscription_end(ngx_http_async_subscription_of(subscriber),
                                    NGX_HTTP_ASYNC_SUBSCRIPTION_QUIT);
}


/* Nothing more comes; what is there may still be received. */

static void
ngx_http_async_subscription_end(async_subscription_t *s,
    ngx_http_async_subscription_e state)
{
    if (s->state != NGX_HTTP_ASYNC_SUBSCRIPTION_OPEN) {
        return;
    }

    s->state = state;

    ngx_http_async_channel_quit(&s->subscriber);
    ngx_http_async_subscription_wake(s);
}


static void
ngx_http_async_subscription_wake(async_subscription_t *s)
{
    if (s->wait) {
        (void) ngx_async_wake(&s->wait->waker, ASYNC_OK);
    }
}


async_rc_t
await_channel_at(async_t *co, const char *site,
    async_subscription_t *subscription, async_channel_message_t *message,
    size_t size)
{
    async_rc_t                           rc;
    async_channel_message_t              full;
    ngx_http_async_subscription_item_t  *item;

    ngx_memzero(&full, sizeof(async_channel_message_t));

    full.size = ngx_min(size, sizeof(async_channel_message_t));
    ngx_memcpy(message, &full, full.size);

    rc = ngx_async_enter(co, "await_channel", site);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_subscription_await(co, subscription);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_http_async_subscription_give_back(subscription);

    item = ngx_http_async_subscription_at(subscription, 0);

    full.channel = (char *) item->message->name;
    full.data = (char *) item->message->data;
    full.len = item->message->len;
    full.missed = item->missed;

    ngx_memcpy(message, &full, full.size);

    subscription->lent = item->message;
    subscription->lent_to = co;
    subscription->bytes -= full.len;
    subscription->first++;
    subscription->n--;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_subscription_await(ngx_async_task_t *t, async_subscription_t *s)
{
    async_rc_t                          rc;
    ngx_http_async_subscription_wait_t  wait;

    if (s->wait) {
        return ngx_async_set_error(t, ASYNC_BUSY, "another task waits for a "
                                   "message of this subscription");
    }

    ngx_http_async_subscription_give_back(s);

    while (s->n == 0) {

        if (s->state != NGX_HTTP_ASYNC_SUBSCRIPTION_OPEN) {
            return ngx_http_async_subscription_ended(t, s->state);
        }

        wait.subscription = s;
        wait.waker = ngx_async_waker(t);

        s->wait = &wait;

        rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);

        if (wait.subscription) {
            s->wait = NULL;
        }

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (wait.subscription == NULL) {
            return ngx_http_async_subscription_ended(t,
                                          NGX_HTTP_ASYNC_SUBSCRIPTION_CLOSED);
        }
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_subscription_ended(ngx_async_task_t *t,
    ngx_http_async_subscription_e state)
{
    switch (state) {

    case NGX_HTTP_ASYNC_SUBSCRIPTION_FULL:
        return ngx_async_set_error(t, ASYNC_CLOSED, "the subscription has "
                                   "ended as more came than was read");

    case NGX_HTTP_ASYNC_SUBSCRIPTION_QUIT:
        return ngx_async_because(t, ASYNC_CAUSE_SHUTDOWN,
                                 ngx_async_set_error(t, ASYNC_CLOSED,
                                                     "the worker shuts down"));

    default:
        return ngx_async_set_error(t, ASYNC_CLOSED, "the subscription is "
                                   "closed");
    }
}


static void
ngx_http_async_subscription_give_back(async_subscription_t *s)
{
    if (s->lent) {
        ngx_http_async_channel_release(s->lent);
        s->lent = NULL;
    }
}


void
async_unsubscribe(async_t *co, async_subscription_t *subscription)
{
    ngx_async_check_task(co);

    if (subscription == NULL) {
        return;
    }

    if (subscription->lent_to == co) {
        ngx_http_async_subscription_give_back(subscription);
    }

    /* otherwise another task may read what it has got, until it ends */
    ngx_http_async_subscription_leave(subscription);
}


/* The task may have ended: so nothing here is of it. */

static void
ngx_http_async_subscription_close(void *handle)
{
    ngx_http_async_subscription_give_back(handle);
    ngx_http_async_subscription_leave(handle);
}


static void
ngx_http_async_subscription_leave(async_subscription_t *s)
{
    s->state = NGX_HTTP_ASYNC_SUBSCRIPTION_CLOSED;

    ngx_http_async_channel_quit(&s->subscriber);

    while (s->n) {
        ngx_http_async_subscription_drop(s);
    }

    if (s->items) {
        ngx_free(s->items);
        s->items = NULL;
        s->size = 0;
    }

    if (s->wait) {
        /* it may be gone when that task runs */
        s->wait->subscription = NULL;
        ngx_http_async_subscription_wake(s);
        s->wait = NULL;
    }
}
