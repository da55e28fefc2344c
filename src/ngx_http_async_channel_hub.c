
/*
 * Copyright (C) the nginx-async authors
 *
 * The channels of a worker: reads the log of all workers and hands each message
 * to those who have subscribed to its channel here.  What this worker publishes
 * comes from the log, too, so that all have one order.
 *
 * It reads from an event of its own, never in the middle of a call of an app.
 */

#include <ngx_http_async_channel.h>
#include <ngx_async_quit.h>


/* messages before those who take them run */
#define NGX_HTTP_ASYNC_CHANNEL_TURN  64

/* how often a worker looks that nobody wakes, in ms */
#define NGX_HTTP_ASYNC_CHANNEL_POLL  20

/* and one that others wake, of whom one may die between writing and that */
#define NGX_HTTP_ASYNC_CHANNEL_LOOK  500


typedef struct {
    ngx_http_async_channel_reader_t   reader;
    ngx_uint_t                        nsubscribers;
    ngx_uint_t                        left;         /* of this turn */
    ngx_event_t                       event;
    ngx_event_t                       timer;

    ngx_queue_t           channels[NGX_HTTP_ASYNC_CHANNEL_HASHES];
} ngx_http_async_channel_hub_t;


static void ngx_http_async_channel_wake(void);
static void ngx_http_async_channel_handler(ngx_event_t *ev);
static void ngx_http_async_channel_look(void);
static void ngx_http_async_channel_timer(ngx_event_t *ev);
static ngx_uint_t ngx_http_async_channel_read(ngx_uint_t max);
static void ngx_http_async_channel_passed_by(uint64_t place);
static ngx_uint_t ngx_http_async_channel_read_one(void);
static void ngx_http_async_channel_missed(ngx_queue_t *channels, uint64_t n,
    uint64_t place);
static void ngx_http_async_channel_missed_all(uint64_t n, uint64_t place);
static void ngx_http_async_channel_lost(ngx_http_async_channel_t *ch,
    uint64_t n, uint64_t place);
static void ngx_http_async_channel_near(ngx_queue_t **q, ngx_queue_t *end);
static void ngx_http_async_channel_hand(ngx_http_async_channel_t *ch,
    ngx_http_async_channel_message_t *m, uint64_t place);
static ngx_http_async_channel_message_t *ngx_http_async_channel_message(
    ngx_str_t *name);
static ngx_http_async_channel_t *ngx_http_async_channel_find(ngx_uint_t hash,
    ngx_str_t *name);
static ngx_http_async_channel_t *ngx_http_async_channel_add(ngx_uint_t hash,
    ngx_str_t *name);
static void ngx_http_async_channel_on_quit(void);


/* NULL: there is no async_channels */
static ngx_http_async_channel_hub_t  *ngx_http_async_channel_hub;

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t   ngx_http_async_channel_no_connection;


ngx_http_async_channel_log_t *
ngx_http_async_channel_log(void)
{
    return ngx_http_async_channel_hub
           ? ngx_http_async_channel_hub->reader.log : NULL;
}


ngx_int_t
ngx_http_async_channel_hub_init(ngx_cycle_t *cycle,
    ngx_http_async_channel_log_t *log)
{
    ngx_uint_t                     i;
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_pcalloc(cycle->pool, sizeof(ngx_http_async_channel_hub_t));

    if (hub == NULL || ngx_async_on_wake(ngx_http_async_channel_wake) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_ASYNC_CHANNEL_HASHES; i++) {
        ngx_queue_init(&hub->channels[i]);
    }

    ngx_http_async_channel_no_connection.fd = (ngx_socket_t) -1;

    hub->event.handler = ngx_http_async_channel_handler;
    hub->event.data = &ngx_http_async_channel_no_connection;
    hub->event.log = cycle->log;

    hub->timer = hub->event;
    hub->timer.handler = ngx_http_async_channel_timer;
    hub->timer.cancelable = 1;

    ngx_http_async_channel_join(&hub->reader, log);

    ngx_http_async_channel_hub = hub;
    ngx_async_on_quit(ngx_http_async_channel_on_quit);

    return NGX_OK;
}


void
ngx_http_async_channel_hub_exit(void)
{
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    if (hub == NULL) {
        return;
    }

    if (hub->event.posted) {
        ngx_delete_posted_event(&hub->event);
    }

    if (hub->timer.timer_set) {
        ngx_del_timer(&hub->timer);
    }

    ngx_http_async_channel_leave(&hub->reader);
}


void
ngx_http_async_channel_say(ngx_str_t *name, ngx_str_t *data)
{
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    ngx_http_async_channel_write(hub->reader.log,
                                 NGX_HTTP_ASYNC_CHANNEL_MESSAGE, name, data);
    ngx_http_async_channel_wake();
}


void
ngx_http_async_channel_say_lost(uint64_t n)
{
    ngx_str_t                      name, data;
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    ngx_str_null(&name);

    data.data = (u_char *) &n;
    data.len = sizeof(uint64_t);

    ngx_http_async_channel_write(hub->reader.log,
                                 NGX_HTTP_ASYNC_CHANNEL_LOST, &name, &data);
    ngx_http_async_channel_wake();
}


/* There may be something to be read. */

static void
ngx_http_async_channel_wake(void)
{
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    if (hub->nsubscribers) {
        ngx_post_event(&hub->event, &ngx_posted_events);
    }
}


static void
ngx_http_async_channel_handler(ngx_event_t *ev)
{
    if (!ngx_http_async_channel_read(NGX_HTTP_ASYNC_CHANNEL_TURN)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }

    ngx_http_async_channel_ws_go();
}


ngx_uint_t
ngx_http_async_channel_more(void)
{
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    return hub->left > 1 && hub->reader.place
                            < ngx_http_async_channel_head(hub->reader.log);
}


static void
ngx_http_async_channel_look(void)
{
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    if (hub->nsubscribers && !hub->timer.timer_set) {
        ngx_add_timer(&hub->timer, hub->reader.slot
                                   ? NGX_HTTP_ASYNC_CHANNEL_LOOK
                                   : NGX_HTTP_ASYNC_CHANNEL_POLL);
    }
}


static void
ngx_http_async_channel_timer(ngx_event_t *ev)
{
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    if (hub->reader.place < ngx_http_async_channel_head(hub->reader.log)) {
        ngx_http_async_channel_wake();
    }

    ngx_http_async_channel_look();
}


/* Returns 1 when all has been read. */

static ngx_uint_t
ngx_http_async_channel_read(ngx_uint_t max)
{
    uint64_t                       place;
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    for (hub->left = max; hub->left; /* void */) {

        if (ngx_http_async_channel_passed(&hub->reader, &place)) {
            ngx_http_async_channel_passed_by(place);
        }

        if (hub->nsubscribers == 0
            || ngx_http_async_channel_next(&hub->reader) != NGX_OK)
        {
            return 1;
        }

        hub->left -= ngx_http_async_channel_read_one();
    }

    return 0;
}


/* What was lost is told now: no other message of its hash may ever come. */

static void
ngx_http_async_channel_passed_by(uint64_t place)
{
    uint64_t                          n;
    ngx_uint_t                        i;
    ngx_http_async_channel_reader_t  *reader;

    reader = &ngx_http_async_channel_hub->reader;

    for (i = 0; i < NGX_HTTP_ASYNC_CHANNEL_HASHES; i++) {
        n = ngx_http_async_channel_missing(reader, i);

        if (n) {
            ngx_http_async_channel_missed(
                       &ngx_http_async_channel_hub->channels[i], n, place);
        }
    }

    n = ngx_http_async_channel_missing(reader, NGX_HTTP_ASYNC_CHANNEL_HASHES);

    if (n) {
        ngx_http_async_channel_missed_all(n, place);
    }
}


/* Whether somebody has got it. */

static ngx_uint_t
ngx_http_async_channel_read_one(void)
{
    uint64_t                           n, place;
    ngx_str_t                          name;
    ngx_queue_t                       *channels;
    ngx_http_async_channel_t          *ch;
    ngx_http_async_channel_hub_t      *hub;
    ngx_http_async_channel_reader_t   *reader;
    ngx_http_async_channel_message_t  *m;

    hub = ngx_http_async_channel_hub;
    reader = &hub->reader;

    if (reader->entry.kind == NGX_HTTP_ASYNC_CHANNEL_LOST) {

        if (ngx_http_async_channel_data(reader, (u_char *) &n) == NGX_OK) {
            n += reader->missed;
            place = reader->place;

            ngx_http_async_channel_pass(reader);
            ngx_http_async_channel_missed_all(n, place + 1);

            ngx_async_stats_add_to(ngx_http_async_channel_stats,
                                   NGX_HTTP_ASYNC_CHANNEL_OVERRUN, n);
        }

        return 1;
    }

    channels = &hub->channels[reader->entry.hash];

    name.len = reader->entry.name;
    name.data = reader->name;

    ch = ngx_http_async_channel_find(reader->entry.hash, &name);
    m = NULL;

    if (ch) {
        m = ngx_http_async_channel_message(&name);

        if (m && ngx_http_async_channel_data(reader, m->data) != NGX_OK) {
            ngx_http_async_channel_release(m);
            return 0;
        }
    }

    place = reader->place;
    n = reader->missed;

    ngx_http_async_channel_pass(reader);

    if (n) {
        ngx_async_stats_add_to(ngx_http_async_channel_stats,
                               NGX_HTTP_ASYNC_CHANNEL_OVERRUN, n);

        ngx_http_async_channel_missed(channels, n, place);

        /* which may have gone with those who do not bear that */
        ch = m ? ngx_http_async_channel_find(reader->entry.hash, &name) : NULL;
    }

    if (m == NULL) {

        if (ch) {
            /* no memory for it */
            ngx_http_async_channel_missed(channels, 1, place + 1);
        }

        return 0;
    }

    if (ch) {
        ngx_http_async_channel_hand(ch, m, place);
    }

    ngx_http_async_channel_release(m);

    return 1;
}


/*
 * Of all channels of a hash, as which of them is not known; before that place,
 * so that who has subscribed since then has missed nothing.
 */

static void
ngx_http_async_channel_missed(ngx_queue_t *channels, uint64_t n,
    uint64_t place)
{
    ngx_queue_t  *q, *next;

    for (q = ngx_queue_head(channels); q != ngx_queue_sentinel(channels);
         q = next)
    {
        /* the channel goes with its last subscriber */
        next = ngx_queue_next(q);

        ngx_http_async_channel_lost(ngx_queue_data(q, ngx_http_async_channel_t,
                                                   queue), n, place);
    }
}


static void
ngx_http_async_channel_missed_all(uint64_t n, uint64_t place)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_ASYNC_CHANNEL_HASHES; i++) {
        ngx_http_async_channel_missed(&ngx_http_async_channel_hub->channels[i],
                                      n, place);
    }
}


static void
ngx_http_async_channel_lost(ngx_http_async_channel_t *ch, uint64_t n,
    uint64_t place)
{
    ngx_uint_t                    last;
    ngx_queue_t                  *q, *next;
    ngx_http_async_subscriber_t  *s;

    q = ngx_queue_head(&ch->subscribers);

    for ( ;; ) {
        s = ngx_queue_data(q, ngx_http_async_subscriber_t, queue);
        next = ngx_queue_next(q);
        last = (next == ngx_queue_sentinel(&ch->subscribers));

        if (s->since < place) {
            s->missed += n;
            s->lose(s);
        }

        if (last) {
            return;
        }

        q = next;
    }
}


/*
 * To those who were there when it was published.  What a subscriber has is
 * spread over a dozen cache lines, which none of thousands finds in the cache;
 * system calls for those before it hide that these come.
 */

static void
ngx_http_async_channel_hand(ngx_http_async_channel_t *ch,
    ngx_http_async_channel_message_t *m, uint64_t place)
{
    ngx_uint_t                    i, last;
    ngx_queue_t                  *q[NGX_HTTP_ASYNC_CHANNEL_AHEAD + 1], *end;
    ngx_http_async_subscriber_t  *s;

    end = ngx_queue_sentinel(&ch->subscribers);

    q[0] = ngx_queue_head(&ch->subscribers);

    for (i = 1; i <= NGX_HTTP_ASYNC_CHANNEL_AHEAD; i++) {
        q[i] = (q[i - 1] == end) ? end : ngx_queue_next(q[i - 1]);
    }

    for ( ;; ) {
        ngx_http_async_channel_near(q, end);

        s = ngx_queue_data(q[0], ngx_http_async_subscriber_t, queue);
        last = (q[1] == end);

        if (s->since <= place) {
            ngx_http_async_channel_count(DELIVERED);
            s->take(s, m);
        }

        if (last) {
            return;
        }

        for (i = 0; i < NGX_HTTP_ASYNC_CHANNEL_AHEAD; i++) {
            q[i] = q[i + 1];
        }

        if (q[i] != end) {
            q[i] = ngx_queue_next(q[i]);
        }
    }
}


static void
ngx_http_async_channel_near(ngx_queue_t **q, ngx_queue_t *end)
{
    ngx_uint_t                    i;
    ngx_http_async_subscriber_t  *s;

    for (i = 1; i < NGX_HTTP_ASYNC_CHANNEL_AHEAD && q[i] != end; i++) {
        s = ngx_queue_data(q[i], ngx_http_async_subscriber_t, queue);

        if (s->near) {
            s->near(s, i);
        }
    }

    if (i == NGX_HTTP_ASYNC_CHANNEL_AHEAD && q[i] != end) {
        s = ngx_queue_data(q[i], ngx_http_async_subscriber_t, queue);

        ngx_async_prefetch(&s->queue);
        ngx_async_prefetch(s + 1);
    }
}


static ngx_http_async_channel_message_t *
ngx_http_async_channel_message(ngx_str_t *name)
{
    size_t                             len;
    ngx_http_async_channel_message_t  *m;

    len = ngx_http_async_channel_hub->reader.entry.len;

    m = ngx_alloc(sizeof(ngx_http_async_channel_message_t) + name->len + len
                  + 1, ngx_cycle->log);
    if (m == NULL) {
        return NULL;
    }

    ngx_memzero(m, sizeof(ngx_http_async_channel_message_t));

    m->refs = 1;
    m->len = len;
    m->data = m->name + name->len + 1;
    m->data[len] = '\0';

    *ngx_cpymem(m->name, name->data, name->len) = '\0';

    return m;
}


void
ngx_http_async_channel_release(ngx_http_async_channel_message_t *m)
{
    ngx_uint_t  i;

    if (--m->refs) {
        return;
    }

    for (i = 0; i < NGX_HTTP_ASYNC_CHANNEL_FRAMES; i++) {
        if (m->frames[i]) {
            ngx_http_async_ws_frame_release(m->frames[i]);
        }
    }

    ngx_free(m);
}


ngx_uint_t
ngx_http_async_channel_name(const char *channel, ngx_str_t *name)
{
    name->data = (u_char *) channel;
    name->len = ngx_strlen(channel);

    return name->len && name->len <= NGX_HTTP_ASYNC_CHANNEL_NAME;
}


ngx_int_t
ngx_http_async_channel_enter(ngx_http_async_subscriber_t *s, ngx_str_t *name)
{
    ngx_uint_t                     hash;
    ngx_http_async_channel_t      *ch;
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    if (ngx_async_quitting) {
        return NGX_DECLINED;
    }

    hash = ngx_http_async_channel_hash(name);

    ch = ngx_http_async_channel_find(hash, name);

    if (ch == NULL) {
        ch = ngx_http_async_channel_add(hash, name);
    }

    if (ch == NULL) {
        return NGX_ERROR;
    }

    if (hub->nsubscribers++ == 0) {
        ngx_http_async_channel_begin(&hub->reader);
        ngx_http_async_channel_look();
    }

    /* after it has been said that it is wanted */
    s->since = ngx_http_async_channel_head(hub->reader.log);

    s->channel = ch;
    ngx_queue_insert_tail(&ch->subscribers, &s->queue);

    ngx_http_async_channel_count(SUBSCRIBERS);

    return NGX_OK;
}


void
ngx_http_async_channel_quit(ngx_http_async_subscriber_t *s)
{
    ngx_queue_t                   *channels;
    ngx_http_async_channel_t      *ch;
    ngx_http_async_channel_hub_t  *hub;

    ch = s->channel;

    if (ch == NULL) {
        return;
    }

    s->channel = NULL;
    ngx_queue_remove(&s->queue);

    ngx_async_stats_less(ngx_http_async_channel_stats,
                         NGX_HTTP_ASYNC_CHANNEL_SUBSCRIBERS);

    hub = ngx_http_async_channel_hub;

    if (--hub->nsubscribers == 0) {
        ngx_http_async_channel_rest(&hub->reader);
    }

    if (!ngx_queue_empty(&ch->subscribers)) {
        return;
    }

    channels = &hub->channels[ch->hash];

    ngx_queue_remove(&ch->queue);

    if (ngx_queue_empty(channels)) {
        ngx_http_async_channel_want(&hub->reader, ch->hash, 0);
    }

    ngx_free(ch);
}


static ngx_http_async_channel_t *
ngx_http_async_channel_find(ngx_uint_t hash, ngx_str_t *name)
{
    ngx_queue_t               *q, *channels;
    ngx_http_async_channel_t  *ch;

    channels = &ngx_http_async_channel_hub->channels[hash];

    for (q = ngx_queue_head(channels); q != ngx_queue_sentinel(channels);
         q = ngx_queue_next(q))
    {
        ch = ngx_queue_data(q, ngx_http_async_channel_t, queue);

        if (ch->name.len == name->len
            && ngx_memcmp(ch->name.data, name->data, name->len) == 0)
        {
            return ch;
        }
    }

    return NULL;
}


static ngx_http_async_channel_t *
ngx_http_async_channel_add(ngx_uint_t hash, ngx_str_t *name)
{
    ngx_http_async_channel_t      *ch;
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    ch = ngx_alloc(sizeof(ngx_http_async_channel_t) + name->len,
                   ngx_cycle->log);
    if (ch == NULL) {
        return NULL;
    }

    ch->hash = hash;
    ngx_queue_init(&ch->subscribers);

    ch->name.len = name->len;
    ch->name.data = (u_char *) (ch + 1);
    ngx_memcpy(ch->name.data, name->data, name->len);

    if (ngx_queue_empty(&hub->channels[hash])) {
        ngx_http_async_channel_want(&hub->reader, hash, 1);
    }

    ngx_queue_insert_tail(&hub->channels[hash], &ch->queue);

    return ch;
}


/* A shutdown begins: what is there is handed on, nothing else comes. */

static void
ngx_http_async_channel_on_quit(void)
{
    uint64_t                       head;
    ngx_uint_t                     i;
    ngx_queue_t                   *q, *channels;
    ngx_http_async_channel_t      *ch;
    ngx_http_async_subscriber_t   *s;
    ngx_http_async_channel_hub_t  *hub;

    hub = ngx_http_async_channel_hub;

    /* others may publish as fast as it reads */
    head = ngx_http_async_channel_head(hub->reader.log);

    while (hub->reader.place < head
           && !ngx_http_async_channel_read(NGX_HTTP_ASYNC_CHANNEL_TURN))
    {
        /* void */
    }

    ngx_http_async_channel_ws_go();

    for (i = 0; i < NGX_HTTP_ASYNC_CHANNEL_HASHES; i++) {

        channels = &hub->channels[i];

        while (!ngx_queue_empty(channels)) {
            ch = ngx_queue_data(ngx_queue_head(channels),
                                ngx_http_async_channel_t, queue);

            q = ngx_queue_head(&ch->subscribers);
            s = ngx_queue_data(q, ngx_http_async_subscriber_t, queue);

            ngx_http_async_channel_quit(s);
            s->end(s);
        }
    }
}
