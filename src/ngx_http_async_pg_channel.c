
/*
 * Copyright (C) the nginx-async authors
 *
 * Channels of LISTEN and NOTIFY: who listens, what the server knows, and the
 * log of what was notified: see ngx_http_async_pg_listen.h.
 */

#include <ngx_http_async_pg_listen.h>


#define NGX_HTTP_ASYNC_PG_RING  16


static ngx_http_async_pg_channel_t *ngx_http_async_pg_find_channel(
    ngx_http_async_pg_hub_t *hub, ngx_str_t *name);
static ngx_http_async_pg_channel_t *ngx_http_async_pg_add_channel(
    ngx_http_async_pg_hub_t *hub, ngx_str_t *name);
static void ngx_http_async_pg_free_channel(ngx_http_async_pg_channel_t *ch);
static void ngx_http_async_pg_change(ngx_http_async_pg_channel_t *ch);
static void ngx_http_async_pg_heard(ngx_http_async_pg_channel_t *ch);
static void ngx_http_async_pg_open_listener(async_pg_listener_t *l);
static void ngx_http_async_pg_unread(async_pg_listener_t *l);
static void ngx_http_async_pg_append(ngx_http_async_pg_channel_t *ch,
    PGnotify *notify);
static ngx_int_t ngx_http_async_pg_room(ngx_http_async_pg_channel_t *ch);
static void ngx_http_async_pg_forget_first(ngx_http_async_pg_channel_t *ch);
static void ngx_http_async_pg_trim(ngx_http_async_pg_channel_t *ch);
static void ngx_http_async_pg_unref(ngx_http_async_pg_entry_t *e);


#define ngx_http_async_pg_at(ch, place)                                      \
    ((ch)->ring[(place) & ((ch)->size - 1)])


static ngx_http_async_pg_channel_t *
ngx_http_async_pg_find_channel(ngx_http_async_pg_hub_t *hub, ngx_str_t *name)
{
    return (ngx_http_async_pg_channel_t *)
               ngx_str_rbtree_lookup(&hub->names, name,
                                     ngx_crc32_short(name->data, name->len));
}


static ngx_http_async_pg_channel_t *
ngx_http_async_pg_add_channel(ngx_http_async_pg_hub_t *hub, ngx_str_t *name)
{
    ngx_http_async_pg_channel_t  *ch;

    ch = ngx_calloc(sizeof(ngx_http_async_pg_channel_t) + name->len + 1,
                    ngx_cycle->log);
    if (ch == NULL) {
        return NULL;
    }

    ch->hub = hub;
    ngx_queue_init(&ch->listeners);
    ngx_queue_init(&ch->waiting);

    ch->node.str.len = name->len;
    ch->node.str.data = (u_char *) (ch + 1);
    ngx_memcpy(ch->node.str.data, name->data, name->len);

    ch->node.node.key = ngx_crc32_short(name->data, name->len);
    ngx_rbtree_insert(&hub->names, &ch->node.node);

    ngx_queue_insert_tail(&hub->channels, &ch->queue);
    ngx_queue_insert_tail(&hub->changes, &ch->change);

    return ch;
}


/* One that the server does not know, and nobody wants. */

static void
ngx_http_async_pg_free_channel(ngx_http_async_pg_channel_t *ch)
{
    ngx_rbtree_delete(&ch->hub->names, &ch->node.node);
    ngx_queue_remove(&ch->queue);
    ngx_queue_remove(&ch->change);

    if (ch->ring) {
        ngx_free(ch->ring);
    }

    ngx_free(ch);
}


ngx_int_t
ngx_http_async_pg_join(ngx_http_async_pg_hub_t *hub, async_pg_listener_t *l,
    ngx_str_t *name)
{
    ngx_http_async_pg_channel_t  *ch;

    ch = ngx_http_async_pg_find_channel(hub, name);

    if (ch == NULL) {
        ch = ngx_http_async_pg_add_channel(hub, name);
    }

    if (ch == NULL) {
        return NGX_ERROR;
    }

    l->channel = ch;
    l->state = NGX_HTTP_ASYNC_PG_OPENING;

    hub->nlisteners++;

    if (ch->state == NGX_HTTP_ASYNC_PG_HEARD) {

        if (ngx_queue_empty(&ch->listeners)) {
            /* the server has not been told that nobody does */
            ngx_queue_remove(&ch->change);
            ngx_queue_init(&ch->change);
        }

        ngx_http_async_pg_open_listener(l);
    }

    ngx_queue_insert_tail(&ch->listeners, &l->queue);

    return NGX_OK;
}


void
ngx_http_async_pg_leave_channel(async_pg_listener_t *l)
{
    ngx_http_async_pg_waiting_t  *w;
    ngx_http_async_pg_channel_t  *ch;

    ngx_http_async_pg_give_back(l);

    ch = l->channel;

    if (ch == NULL) {
        return;
    }

    if (l->state == NGX_HTTP_ASYNC_PG_OPEN) {
        ngx_http_async_pg_unread(l);
        ch->nopen--;
    }

    w = l->waiting;

    if (w) {
        /* another task does: the listener may be gone when it runs */
        ngx_queue_remove(&w->queue);
        w->listener = NULL;
        l->waiting = NULL;

        (void) ngx_async_wake(&w->waker, ASYNC_CLOSED);
    }

    l->channel = NULL;
    l->state = NGX_HTTP_ASYNC_PG_CLOSED;

    ngx_queue_remove(&l->queue);

    if (--ch->hub->nlisteners == 0) {
        ch->hub->since = ngx_current_msec;
    }

    if (!ngx_queue_empty(&ch->listeners)) {
        return;
    }

    if (ch->state == NGX_HTTP_ASYNC_PG_UNHEARD) {
        ngx_http_async_pg_free_channel(ch);

    } else if (ch->state == NGX_HTTP_ASYNC_PG_HEARD) {
        ngx_http_async_pg_change(ch);
    }
}


static void
ngx_http_async_pg_change(ngx_http_async_pg_channel_t *ch)
{
    ngx_queue_remove(&ch->change);
    ngx_queue_insert_tail(&ch->hub->changes, &ch->change);
}


void
ngx_http_async_pg_fail_channel(ngx_http_async_pg_channel_t *ch)
{
    ngx_uint_t                n;
    ngx_queue_t              *q, *next;
    ngx_async_task_t         *t;
    ngx_async_waker_t         waker;
    async_pg_listener_t      *l;
    ngx_http_async_pg_hub_t  *hub;

    hub = ch->hub;
    n = 0;

    for (q = ngx_queue_head(&ch->listeners);
         q != ngx_queue_sentinel(&ch->listeners);
         q = ngx_queue_next(q))
    {
        n++;
    }

    /* the channel goes with the last one */

    for (q = ngx_queue_head(&ch->listeners); n; n--, q = next) {

        next = ngx_queue_next(q);
        l = ngx_queue_data(q, async_pg_listener_t, queue);

        if (l->state != NGX_HTTP_ASYNC_PG_OPENING) {
            continue;
        }

        waker = l->waker;
        t = waker.task;

        ngx_http_async_pg_leave_channel(l);

        if (ngx_async_wake(&waker, ASYNC_ERROR)) {
            (void) ngx_async_because(t, hub->cause,
                                     ngx_async_set_error(t, ASYNC_ERROR, "%s",
                                                         hub->why));
        }
    }
}


void
ngx_http_async_pg_set_channel(ngx_http_async_pg_channel_t *ch,
    ngx_http_async_pg_channel_e state)
{
    ngx_uint_t  wanted;

    static const u_char  legal[] = {
        /* from UNHEARD */  1 << NGX_HTTP_ASYNC_PG_ASKED
                            | 1 << NGX_HTTP_ASYNC_PG_UNHEARD,
        /* from ASKED */    1 << NGX_HTTP_ASYNC_PG_HEARD
                            | 1 << NGX_HTTP_ASYNC_PG_UNHEARD,
        /* from HEARD */    1 << NGX_HTTP_ASYNC_PG_LEAVING
                            | 1 << NGX_HTTP_ASYNC_PG_UNHEARD,
        /* from LEAVING */  1 << NGX_HTTP_ASYNC_PG_UNHEARD
    };

    if (!(legal[ch->state] & 1 << state)) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "async_pg channel \"%V\" cannot go from state %d to %d",
                      &ch->node.str, ch->state, state);
        ngx_abort();
    }

    ch->state = state;
    wanted = !ngx_queue_empty(&ch->listeners);

    ngx_queue_remove(&ch->change);

    switch (state) {

    case NGX_HTTP_ASYNC_PG_ASKED:
    case NGX_HTTP_ASYNC_PG_LEAVING:
        ngx_queue_insert_tail(&ch->hub->asked, &ch->change);
        return;

    case NGX_HTTP_ASYNC_PG_HEARD:
        ngx_http_async_pg_heard(ch);

        if (wanted) {
            ngx_queue_init(&ch->change);
            return;
        }

        break;

    case NGX_HTTP_ASYNC_PG_UNHEARD:
        if (!wanted) {
            ngx_queue_init(&ch->change);
            ngx_http_async_pg_free_channel(ch);
            return;
        }

        if (ch->nopen) {
            ch->lost = 1;
        }

        break;
    }

    ngx_queue_insert_tail(&ch->hub->changes, &ch->change);
}


/* What is notified from now on comes; those who were there before miss some. */

static void
ngx_http_async_pg_heard(ngx_http_async_pg_channel_t *ch)
{
    ngx_queue_t          *q;
    async_pg_listener_t  *l;

    if (ch->lost) {
        ch->lost = 0;
        ngx_http_async_pg_append(ch, NULL);
    }

    for (q = ngx_queue_head(&ch->listeners);
         q != ngx_queue_sentinel(&ch->listeners);
         q = ngx_queue_next(q))
    {
        l = ngx_queue_data(q, async_pg_listener_t, queue);

        if (l->state == NGX_HTTP_ASYNC_PG_OPENING) {
            ngx_http_async_pg_open_listener(l);
            (void) ngx_async_wake(&l->waker, ASYNC_OK);
        }
    }
}


static void
ngx_http_async_pg_open_listener(async_pg_listener_t *l)
{
    l->state = NGX_HTTP_ASYNC_PG_OPEN;
    l->next = l->channel->last;
    l->channel->nopen++;
}


/* What it has not taken is not kept for it any more. */

static void
ngx_http_async_pg_unread(async_pg_listener_t *l)
{
    uint64_t                      place;
    ngx_http_async_pg_channel_t  *ch;

    ch = l->channel;

    for (place = ngx_max(l->next, ch->first); place != ch->last; place++) {
        ngx_http_async_pg_at(ch, place)->left--;
    }

    ngx_http_async_pg_trim(ch);
}


void
ngx_http_async_pg_publish(ngx_http_async_pg_hub_t *hub, PGnotify *notify)
{
    ngx_str_t                     name;
    ngx_http_async_pg_channel_t  *ch;

    name.data = (u_char *) notify->relname;
    name.len = ngx_strlen(notify->relname);

    ch = ngx_http_async_pg_find_channel(hub, &name);

    if (ch == NULL || ch->nopen == 0) {
        /* they have gone */
        PQfreemem(notify);
        return;
    }

    ngx_http_async_pg_append(ch, notify);
}


static void
ngx_http_async_pg_append(ngx_http_async_pg_channel_t *ch, PGnotify *notify)
{
    ngx_queue_t                  *q;
    ngx_http_async_pg_entry_t    *e;
    ngx_http_async_pg_waiting_t  *w;

    e = (ngx_http_async_pg_room(ch) == NGX_OK)
        ? ngx_alloc(sizeof(ngx_http_async_pg_entry_t), ngx_cycle->log) : NULL;

    if (e) {
        e->refs = 1;
        e->left = ch->nopen;
        e->notify = notify;

        ngx_http_async_pg_at(ch, ch->last) = e;
        ch->last++;

    } else {
        /* all miss this one, and so what was before it */

        while (ch->first != ch->last) {
            ngx_http_async_pg_forget_first(ch);
        }

        ch->first = ++ch->last;

        PQfreemem(notify);
    }

    while (!ngx_queue_empty(&ch->waiting)) {
        q = ngx_queue_head(&ch->waiting);
        w = ngx_queue_data(q, ngx_http_async_pg_waiting_t, queue);

        ngx_queue_remove(q);
        w->listener->waiting = NULL;
        w->listener = NULL;

        (void) ngx_async_wake(&w->waker, ASYNC_OK);
    }
}


/* The oldest goes where there are too many. */

static ngx_int_t
ngx_http_async_pg_room(ngx_http_async_pg_channel_t *ch)
{
    uint64_t                     place;
    ngx_uint_t                   size;
    ngx_http_async_pg_entry_t  **ring;

    if (ch->last - ch->first == NGX_HTTP_ASYNC_PG_KEPT) {
        ngx_http_async_pg_forget_first(ch);
    }

    if (ch->last - ch->first < ch->size) {
        return NGX_OK;
    }

    size = ch->size ? 2 * ch->size : NGX_HTTP_ASYNC_PG_RING;

    ring = ngx_alloc(size * sizeof(ngx_http_async_pg_entry_t *),
                     ngx_cycle->log);
    if (ring == NULL) {
        return NGX_ERROR;
    }

    for (place = ch->first; place != ch->last; place++) {
        ring[place & (size - 1)] = ngx_http_async_pg_at(ch, place);
    }

    if (ch->ring) {
        ngx_free(ch->ring);
    }

    ch->ring = ring;
    ch->size = size;

    return NGX_OK;
}


static void
ngx_http_async_pg_forget_first(ngx_http_async_pg_channel_t *ch)
{
    ngx_http_async_pg_unref(ngx_http_async_pg_at(ch, ch->first));
    ch->first++;
}


/* Those that everybody has taken. */

static void
ngx_http_async_pg_trim(ngx_http_async_pg_channel_t *ch)
{
    while (ch->first != ch->last
           && ngx_http_async_pg_at(ch, ch->first)->left == 0)
    {
        ngx_http_async_pg_forget_first(ch);
    }
}


static void
ngx_http_async_pg_unref(ngx_http_async_pg_entry_t *e)
{
    if (--e->refs == 0) {
        PQfreemem(e->notify);
        ngx_free(e);
    }
}


ngx_uint_t
ngx_http_async_pg_has(async_pg_listener_t *l)
{
    return l->next != l->channel->last;
}


void
ngx_http_async_pg_take_next(async_pg_listener_t *l, async_pg_notification_t *n)
{
    ngx_http_async_pg_entry_t    *e;
    ngx_http_async_pg_channel_t  *ch;

    ch = l->channel;
    e = NULL;

    n->channel = (char *) ch->node.str.data;

    if (l->next < ch->first) {
        l->next = ch->first;
        n->missed = 1;
    }

    while (l->next != ch->last) {
        e = ngx_http_async_pg_at(ch, l->next);

        if (e->notify && n->missed) {
            /* the next call's */
            break;
        }

        e->left--;
        l->next++;

        if (e->notify) {
            e->refs++;
            l->lent = e;

            n->payload.data = e->notify->extra;
            n->payload.len = ngx_strlen(e->notify->extra);
            n->pid = e->notify->be_pid;
            break;
        }

        /* several in a row are one */
        n->missed = 1;
    }

    ngx_http_async_pg_trim(ch);
}


void
ngx_http_async_pg_give_back(async_pg_listener_t *l)
{
    if (l->lent) {
        ngx_http_async_pg_unref(l->lent);
        l->lent = NULL;
    }
}
