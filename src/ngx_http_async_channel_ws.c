
/*
 * Copyright (C) the nginx-async authors
 *
 * async_ws_subscribe(): what is published goes to clients of WebSockets without
 * a task.  A frame is built once for all who get it: text or binary, and
 * compressed for those who take it so.
 *
 * As long as the session takes what comes, nothing waits here.  One that has
 * enough to send is left alone until that has gone: frames then wait in one
 * queue of the client, in their order, and each is in one of its subscription,
 * too, which is what is bounded.
 */

#include <ngx_http_async_channel.h>
#include <wslay/wslay.h>


#define NGX_HTTP_ASYNC_CHANNEL_TRY_LATER  1013

/* what is worth compressing is compressed in here */
#define NGX_HTTP_ASYNC_CHANNEL_POOL       4096


typedef struct ngx_http_async_channel_client_s
    ngx_http_async_channel_client_t;


/* Of a session: memory of the request, which outlives that. */

struct ngx_http_async_channel_client_s {
    ngx_http_async_ws_t              *ws;         /* NULL: it has ended */
    ngx_queue_t                       frames;     /* in their order */
    ngx_uint_t                        full;       /* it has enough to send */
    ngx_uint_t                        deflated;   /* it takes them so */
    size_t                            min;        /* if they are that long */
    ngx_queue_t                       subscribers;
    ngx_queue_t                       gathers;    /* frames of this turn */
    ngx_uint_t                        gathered;
};


typedef struct {
    ngx_http_async_subscriber_t       subscriber;
    ngx_http_async_channel_client_t  *client;
    async_ws_kind_t                   kind;
    ngx_queue_t                       queue;      /* of the client */
    ngx_queue_t                       frames;     /* of the client's */
    ngx_uint_t                        n;
    size_t                            bytes;
    ngx_str_t                         name;       /* follows */
} ngx_http_async_channel_ws_t;


typedef struct {
    ngx_queue_t                       client;
    ngx_queue_t                       queue;      /* of the subscription */
    ngx_http_async_channel_ws_t      *cw;
    ngx_http_async_ws_frame_t        *frame;
} ngx_http_async_channel_frame_t;


static ngx_http_async_channel_client_t *ngx_http_async_channel_client(
    async_req_t *req);
static ngx_http_async_channel_ws_t *ngx_http_async_channel_ws_find(
    ngx_http_async_channel_client_t *client, ngx_str_t *name);
static async_rc_t ngx_http_async_channel_ws_add(ngx_async_task_t *t,
    ngx_http_async_channel_client_t *client, ngx_str_t *name,
    ngx_http_async_channel_ws_t *with);
static void ngx_http_async_channel_ws_take(ngx_http_async_subscriber_t *s,
    ngx_http_async_channel_message_t *m);
static void ngx_http_async_channel_ws_send(ngx_http_async_channel_ws_t *cw,
    ngx_http_async_ws_frame_t *frame, ngx_uint_t more);
static void ngx_http_async_channel_ws_gathered(
    ngx_http_async_channel_client_t *client);
static void ngx_http_async_channel_ws_wait(ngx_http_async_channel_ws_t *cw,
    ngx_http_async_ws_frame_t *frame);
static void ngx_http_async_channel_ws_too_slow(
    ngx_http_async_channel_client_t *client);
static void ngx_http_async_channel_ws_drained(void *data);
static void ngx_http_async_channel_ws_forget(
    ngx_http_async_channel_frame_t *f);
static void ngx_http_async_channel_ws_lose(ngx_http_async_subscriber_t *s);
static void ngx_http_async_channel_ws_quit(ngx_http_async_subscriber_t *s);
static void ngx_http_async_channel_ws_near(ngx_http_async_subscriber_t *s,
    ngx_uint_t ahead);
static void ngx_http_async_channel_ws_free(ngx_http_async_channel_ws_t *cw);
static void ngx_http_async_channel_ws_ended(void *data);
static ngx_http_async_ws_frame_t *ngx_http_async_channel_frame(
    ngx_http_async_channel_message_t *m, async_ws_kind_t kind,
    ngx_uint_t deflated);
static ngx_http_async_ws_frame_t *ngx_http_async_channel_deflated(
    ngx_http_async_channel_message_t *m, async_ws_kind_t kind);
static ngx_uint_t ngx_http_async_channel_is_text(
    ngx_http_async_channel_message_t *m);


/* of this worker: those who are to get what has been gathered */
static ngx_queue_t  ngx_http_async_channel_gathering;


async_rc_t
async_ws_subscribe_(async_t *co, async_req_t *req, const char *channel,
    async_ws_kind_t kind, const async_subscribe_t *options, size_t size)
{
    ngx_str_t                         name;
    ngx_http_async_channel_ws_t      *cw, with;
    ngx_http_async_channel_client_t  *client;

    ngx_async_check_task(co);

    if (ngx_http_async_channel_log() == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "there is no "
                                   "\"async_channels\"");
    }

    if (!ngx_http_async_channel_name(channel, &name)) {
        return ngx_async_set_error(co, ASYNC_ERROR, "a channel's name has 1 "
                                   "to %d bytes, not %uz",
                                   NGX_HTTP_ASYNC_CHANNEL_NAME, name.len);
    }

    if (kind != ASYNC_WS_TEXT && kind != ASYNC_WS_BINARY) {
        return ngx_async_set_error(co, ASYNC_ERROR, "%d is no kind of message",
                                   (int) kind);
    }

    if (req->ws == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "the WebSocket is not "
                                   "accepted");
    }

    client = ngx_http_async_channel_client(req);

    if (client == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    if (client->ws == NULL || !ngx_http_async_ws_is_open(client->ws)) {
        return ngx_async_set_error(co, ASYNC_CLOSED, "the WebSocket is closed");
    }

    ngx_http_async_channel_options(&with.subscriber, options, size);
    with.kind = kind;

    cw = ngx_http_async_channel_ws_find(client, &name);

    if (cw) {
        cw->kind = kind;
        cw->subscriber.limit = with.subscriber.limit;
        cw->subscriber.closes = with.subscriber.closes;
        return ASYNC_OK;
    }

    return ngx_http_async_channel_ws_add(co, client, &name, &with);
}


static ngx_http_async_channel_client_t *
ngx_http_async_channel_client(async_req_t *req)
{
    ngx_http_async_ws_conf_t         *conf;
    ngx_http_async_channel_client_t  *client;

    if (req->channels) {
        return req->channels;
    }

    client = ngx_pcalloc(req->home,
                         sizeof(ngx_http_async_channel_client_t));
    if (client == NULL) {
        return NULL;
    }

    conf = ngx_http_async_ws_conf(req->ws);

    client->ws = req->ws;
    client->deflated = ngx_http_async_ws_takes_deflated(req->ws);
    client->min = conf->deflate.min;

    ngx_queue_init(&client->subscribers);
    ngx_queue_init(&client->frames);

    ngx_http_async_ws_on_end(req->ws, ngx_http_async_channel_ws_ended, client);
    ngx_http_async_ws_on_drain(req->ws, ngx_http_async_channel_ws_drained);

    req->channels = client;

    return client;
}


static ngx_http_async_channel_ws_t *
ngx_http_async_channel_ws_find(ngx_http_async_channel_client_t *client,
    ngx_str_t *name)
{
    ngx_queue_t                  *q;
    ngx_http_async_channel_ws_t  *cw;

    for (q = ngx_queue_head(&client->subscribers);
         q != ngx_queue_sentinel(&client->subscribers);
         q = ngx_queue_next(q))
    {
        cw = ngx_queue_data(q, ngx_http_async_channel_ws_t, queue);

        if (cw->name.len == name->len
            && ngx_memcmp(cw->name.data, name->data, name->len) == 0)
        {
            return cw;
        }
    }

    return NULL;
}


static async_rc_t
ngx_http_async_channel_ws_add(ngx_async_task_t *t,
    ngx_http_async_channel_client_t *client, ngx_str_t *name,
    ngx_http_async_channel_ws_t *with)
{
    ngx_int_t                     rc;
    ngx_http_async_channel_ws_t  *cw;

    cw = ngx_calloc(sizeof(ngx_http_async_channel_ws_t) + name->len,
                    ngx_cycle->log);
    if (cw == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    cw->subscriber.limit = with->subscriber.limit;
    cw->subscriber.closes = with->subscriber.closes;
    cw->subscriber.take = ngx_http_async_channel_ws_take;
    cw->subscriber.lose = ngx_http_async_channel_ws_lose;
    cw->subscriber.end = ngx_http_async_channel_ws_quit;
    cw->subscriber.near = ngx_http_async_channel_ws_near;

    cw->client = client;
    cw->kind = with->kind;
    ngx_queue_init(&cw->frames);

    cw->name.len = name->len;
    cw->name.data = (u_char *) (cw + 1);
    ngx_memcpy(cw->name.data, name->data, name->len);

    rc = ngx_http_async_channel_enter(&cw->subscriber, name);

    if (rc != NGX_OK) {
        ngx_free(cw);

        return (rc == NGX_DECLINED)
               ? ngx_async_set_error(t, ASYNC_CLOSED, "the worker shuts down")
               : ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    ngx_queue_insert_tail(&client->subscribers, &cw->queue);

    return ASYNC_OK;
}


static void
ngx_http_async_channel_ws_take(ngx_http_async_subscriber_t *s,
    ngx_http_async_channel_message_t *m)
{
    ngx_http_async_ws_frame_t        *frame;
    ngx_http_async_channel_ws_t      *cw;
    ngx_http_async_channel_client_t  *client;

    cw = (ngx_http_async_channel_ws_t *) s;
    client = cw->client;

    if (cw->kind == ASYNC_WS_TEXT && !ngx_http_async_channel_is_text(m)) {
        /* whoever published it cannot know: it is not the client's fault */
        return;
    }

    frame = ngx_http_async_channel_frame(m, cw->kind,
                                         client->deflated
                                         && m->len >= client->min);
    if (frame == NULL) {
        ngx_http_async_channel_ws_lose(s);
        return;
    }

    if (client->full || !ngx_queue_empty(&client->frames)) {
        ngx_http_async_channel_ws_wait(cw, frame);

    } else {
        ngx_http_async_channel_ws_send(cw, frame,
                                       ngx_http_async_channel_more());
    }
}


static void
ngx_http_async_channel_ws_near(ngx_http_async_subscriber_t *s,
    ngx_uint_t ahead)
{
    ngx_http_async_channel_client_t  *client;

    client = ((ngx_http_async_channel_ws_t *) s)->client;

    switch (ahead) {

    case 4:
        ngx_async_prefetch(&client->ws);
        ngx_async_prefetch(&client->min);
        break;

    case 3:
        ngx_http_async_ws_near(client->ws);
        break;

    case 2:
        ngx_http_async_ws_near_connection(client->ws);
        break;

    default: /* 1 */
        ngx_http_async_ws_near_event(client->ws);
        break;
    }
}


static void
ngx_http_async_channel_ws_send(ngx_http_async_channel_ws_t *cw,
    ngx_http_async_ws_frame_t *frame, ngx_uint_t more)
{
    ngx_int_t             rc;
    ngx_http_async_ws_t  *ws;

    ws = cw->client->ws;

    if (more) {
        ngx_http_async_channel_ws_gathered(cw->client);
        rc = ngx_http_async_ws_gather(ws, frame);

    } else {
        rc = ngx_http_async_ws_queue(ws, frame);
    }

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_AGAIN:
        cw->client->full = 1;
        break;

    default:
        /* closed: its end is told later */
        ngx_http_async_channel_quit(&cw->subscriber);
        break;
    }
}


static void
ngx_http_async_channel_ws_gathered(ngx_http_async_channel_client_t *client)
{
    if (client->gathered) {
        return;
    }

    if (ngx_http_async_channel_gathering.next == NULL) {
        ngx_queue_init(&ngx_http_async_channel_gathering);
    }

    client->gathered = 1;
    ngx_queue_insert_tail(&ngx_http_async_channel_gathering,
                          &client->gathers);
}


void
ngx_http_async_channel_ws_go(void)
{
    ngx_queue_t                      *q;
    ngx_http_async_channel_client_t  *client;

    if (ngx_http_async_channel_gathering.next == NULL) {
        return;
    }

    while (!ngx_queue_empty(&ngx_http_async_channel_gathering)) {
        q = ngx_queue_head(&ngx_http_async_channel_gathering);
        client = ngx_queue_data(q, ngx_http_async_channel_client_t, gathers);

        ngx_queue_remove(q);
        client->gathered = 0;

        ngx_http_async_ws_flush(client->ws);
    }
}


static void
ngx_http_async_channel_ws_wait(ngx_http_async_channel_ws_t *cw,
    ngx_http_async_ws_frame_t *frame)
{
    ngx_queue_t                     *q;
    ngx_http_async_channel_frame_t  *f;

    while (cw->n && (cw->n >= cw->subscriber.limit
                     || cw->bytes + frame->len > NGX_HTTP_ASYNC_CHANNEL_BYTES))
    {
        ngx_http_async_channel_count(DROPPED);

        if (cw->subscriber.closes) {
            ngx_http_async_channel_ws_too_slow(cw->client);
            return;
        }

        q = ngx_queue_head(&cw->frames);

        ngx_http_async_channel_ws_forget(
                     ngx_queue_data(q, ngx_http_async_channel_frame_t, queue));
    }

    f = ngx_alloc(sizeof(ngx_http_async_channel_frame_t), ngx_cycle->log);

    if (f == NULL) {
        ngx_http_async_channel_ws_lose(&cw->subscriber);
        return;
    }

    f->cw = cw;
    f->frame = frame;
    frame->refs++;

    ngx_queue_insert_tail(&cw->client->frames, &f->client);
    ngx_queue_insert_tail(&cw->frames, &f->queue);

    cw->n++;
    cw->bytes += frame->len;
}


static void
ngx_http_async_channel_ws_too_slow(ngx_http_async_channel_client_t *client)
{
    ngx_http_async_ws_close(client->ws, NGX_HTTP_ASYNC_CHANNEL_TRY_LATER,
                            "too slow");
}


/* It takes more. */

static void
ngx_http_async_channel_ws_drained(void *data)
{
    ngx_http_async_channel_client_t  *client = data;

    ngx_queue_t                     *q;
    ngx_http_async_ws_frame_t       *frame;
    ngx_http_async_channel_ws_t     *cw;
    ngx_http_async_channel_frame_t  *f;

    client->full = 0;

    while (!client->full && !ngx_queue_empty(&client->frames)) {

        q = ngx_queue_head(&client->frames);
        f = ngx_queue_data(q, ngx_http_async_channel_frame_t, client);

        cw = f->cw;
        frame = f->frame;
        frame->refs++;

        ngx_http_async_channel_ws_forget(f);
        ngx_http_async_channel_ws_send(cw, frame, 0);

        ngx_http_async_ws_frame_release(frame);
    }
}


static void
ngx_http_async_channel_ws_forget(ngx_http_async_channel_frame_t *f)
{
    f->cw->n--;
    f->cw->bytes -= f->frame->len;

    ngx_queue_remove(&f->client);
    ngx_queue_remove(&f->queue);

    ngx_http_async_ws_frame_release(f->frame);
    ngx_free(f);
}


static void
ngx_http_async_channel_ws_lose(ngx_http_async_subscriber_t *s)
{
    if (s->closes) {
        ngx_http_async_channel_ws_too_slow(
                                ((ngx_http_async_channel_ws_t *) s)->client);
    }
}


/* The worker shuts down, which the session sees by itself. */

static void
ngx_http_async_channel_ws_quit(ngx_http_async_subscriber_t *s)
{
    /* void */
}


void
async_ws_unsubscribe(async_t *co, async_req_t *req, const char *channel)
{
    ngx_str_t                     name;
    ngx_http_async_channel_ws_t  *cw;

    ngx_async_check_task(co);

    name.data = (u_char *) channel;
    name.len = ngx_strlen(channel);

    cw = req->channels ? ngx_http_async_channel_ws_find(req->channels, &name)
                       : NULL;
    if (cw) {
        ngx_http_async_channel_ws_free(cw);
    }
}


static void
ngx_http_async_channel_ws_free(ngx_http_async_channel_ws_t *cw)
{
    ngx_queue_t  *q;

    ngx_http_async_channel_quit(&cw->subscriber);

    while (!ngx_queue_empty(&cw->frames)) {
        q = ngx_queue_head(&cw->frames);

        ngx_http_async_channel_ws_forget(
                     ngx_queue_data(q, ngx_http_async_channel_frame_t, queue));
    }

    ngx_queue_remove(&cw->queue);
    ngx_free(cw);
}


static void
ngx_http_async_channel_ws_ended(void *data)
{
    ngx_http_async_channel_client_t  *client = data;

    ngx_queue_t  *q;

    client->ws = NULL;

    if (client->gathered) {
        ngx_queue_remove(&client->gathers);
        client->gathered = 0;
    }

    while (!ngx_queue_empty(&client->subscribers)) {
        q = ngx_queue_head(&client->subscribers);

        ngx_http_async_channel_ws_free(
                        ngx_queue_data(q, ngx_http_async_channel_ws_t, queue));
    }
}


/* Borrowed from the message, whose kind it may be.  NULL: no memory. */

static ngx_http_async_ws_frame_t *
ngx_http_async_channel_frame(ngx_http_async_channel_message_t *m,
    async_ws_kind_t kind, ngx_uint_t deflated)
{
    ngx_http_async_ws_frame_t  *made, **frame;

    if (deflated && !m->longer) {
        frame = &m->frames[NGX_HTTP_ASYNC_CHANNEL_DEFLATED
                           + (kind == ASYNC_WS_BINARY)];

        made = *frame;

        if (made == NULL) {
            made = ngx_http_async_channel_deflated(m, kind);
            *frame = made;
        }

        if (made) {
            return made;
        }
    }

    frame = &m->frames[kind == ASYNC_WS_BINARY];

    if (*frame == NULL) {
        *frame = ngx_http_async_ws_frame(kind, 1, WSLAY_RSV_NONE, m->data,
                                         m->len, ngx_cycle->log);
    }

    return *frame;
}


static ngx_http_async_ws_frame_t *
ngx_http_async_channel_deflated(ngx_http_async_channel_message_t *m,
    async_ws_kind_t kind)
{
    ngx_str_t                   out;
    ngx_pool_t                 *pool;
    ngx_http_async_ws_frame_t  *frame;

    pool = ngx_create_pool(NGX_HTTP_ASYNC_CHANNEL_POOL, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    frame = NULL;

    if (ngx_http_async_ws_deflate_shared(m->data, m->len, pool, &out)
        == NGX_OK)
    {
        frame = ngx_http_async_ws_frame(kind, 1, WSLAY_RSV1_BIT, out.data,
                                        out.len, ngx_cycle->log);
    } else {
        m->longer = 1;
    }

    ngx_destroy_pool(pool);

    return frame;
}


/* A client closes when it gets a text that is none: it is skipped. */

static ngx_uint_t
ngx_http_async_channel_is_text(ngx_http_async_channel_message_t *m)
{
    u_char   *last, name[4 * NGX_HTTP_ASYNC_CHANNEL_NAME];
    uint32_t  state;

    if (m->text == NGX_HTTP_ASYNC_CHANNEL_UNKNOWN) {
        state = 0;

        if (ngx_http_async_ws_utf8(&state, m->data, m->len) == NGX_OK
            && state == 0)
        {
            m->text = NGX_HTTP_ASYNC_CHANNEL_TEXT;

        } else {
            m->text = NGX_HTTP_ASYNC_CHANNEL_NO_TEXT;

            last = ngx_async_printable(name, name + sizeof(name), m->name,
                                       ngx_strlen(m->name));

            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "async: a message of channel \"%*s\" is not UTF-8: "
                          "WebSockets that take it as text do not get it",
                          (size_t) (last - name), name);
        }
    }

    return m->text == NGX_HTTP_ASYNC_CHANNEL_TEXT;
}
