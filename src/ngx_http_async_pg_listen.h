
/*
 * Copyright (C) the nginx-async authors
 *
 * LISTEN and NOTIFY: what a pool listens to in a worker.
 *
 * A hub is a pool's, with a task and a connection of its own while somebody
 * listens.  It has channels, which are known to the server or are to be; and
 * each channel has listeners, those of the apps.
 *
 * What is notified lies in the log of its channel, once for all listeners.  A
 * place in it is a number that only grows; a listener knows the place that it
 * has come to.  An entry goes when all have taken it, or, being the oldest of
 * too many, before that: whoever stood there sees by the numbers that it has
 * missed something.
 */

#ifndef _NGX_HTTP_ASYNC_PG_LISTEN_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_LISTEN_H_INCLUDED_


#include <ngx_http_async_pg_pool.h>


/* entries of a log: what a listener may leave unread */
#define NGX_HTTP_ASYNC_PG_KEPT  1000


typedef struct ngx_http_async_pg_waiting_s  ngx_http_async_pg_waiting_t;


typedef enum {
    NGX_HTTP_ASYNC_PG_UNHEARD = 0,            /* the server does not know it */
    NGX_HTTP_ASYNC_PG_ASKED,                  /* LISTEN has been sent */
    NGX_HTTP_ASYNC_PG_HEARD,
    NGX_HTTP_ASYNC_PG_LEAVING                 /* UNLISTEN has been sent */
} ngx_http_async_pg_channel_e;


typedef enum {
    NGX_HTTP_ASYNC_PG_HUB_OFF = 0,            /* no task */
    NGX_HTTP_ASYNC_PG_HUB_CONNECTING,
    NGX_HTTP_ASYNC_PG_HUB_ASKING,             /* the server is to answer */
    NGX_HTTP_ASYNC_PG_HUB_IDLE,               /* until something comes */
    NGX_HTTP_ASYNC_PG_HUB_DOWN                /* until it tries again */
} ngx_http_async_pg_hub_e;


typedef struct {
    ngx_http_async_pg_pool_t     *pool;
    ngx_http_async_pg_hub_e       state;
    ngx_async_task_t             *task;       /* NULL: OFF */
    ngx_http_async_pg_conn_t     *conn;       /* NULL: none */

    ngx_rbtree_t                  names;      /* of channels */
    ngx_rbtree_node_t             sentinel;
    ngx_queue_t                   channels;   /* all of them */
    ngx_queue_t                   changes;    /* the server is to be told */
    ngx_queue_t                   asked;      /* it has been, and answers */

    ngx_uint_t                    nlisteners;
    ngx_msec_t                    since;      /* when the last one has gone */

    /* since when it fails: the time to the next try, and why */
    ngx_msec_t                    delay;
    int                           cause;
    u_char                        why[NGX_ASYNC_ERROR_LEN];
} ngx_http_async_pg_hub_t;


/* Lives as long as the channel keeps it, or a listener has been lent it. */

typedef struct {
    ngx_uint_t                    refs;
    ngx_uint_t                    left;       /* who have not taken it */
    PGnotify                     *notify;     /* NULL: something was missed */
} ngx_http_async_pg_entry_t;


typedef struct {
    ngx_str_node_t                node;       /* zero-terminated, follows */
    ngx_queue_t                   queue;      /* of all channels */
    ngx_queue_t                   change;     /* "changes" or "asked" */
    ngx_http_async_pg_hub_t      *hub;
    ngx_http_async_pg_channel_e   state;
    ngx_uint_t                    lost;       /* what was notified since the
                                                 connection was lost */
    ngx_queue_t                   listeners;
    ngx_uint_t                    nopen;      /* those that it is kept for */
    ngx_queue_t                   waiting;

    /* the log: a ring, by the place modulo its size, which is a power of 2 */
    ngx_http_async_pg_entry_t   **ring;
    ngx_uint_t                    size;
    uint64_t                      first;
    uint64_t                      last;       /* of the next one to come */
} ngx_http_async_pg_channel_t;


typedef enum {
    NGX_HTTP_ASYNC_PG_CLOSED = 0,
    NGX_HTTP_ASYNC_PG_OPENING,
    NGX_HTTP_ASYNC_PG_OPEN
} ngx_http_async_pg_listener_e;


struct async_pg_listener_s {
    ngx_async_handle_t            handle;
    ngx_http_async_pg_listener_e  state;
    ngx_http_async_pg_channel_t  *channel;    /* NULL: closed */
    ngx_queue_t                   queue;      /* of the channel */
    ngx_async_waker_t             waker;      /* while it is opening */
    ngx_http_async_pg_waiting_t  *waiting;    /* NULL: nobody waits */
    uint64_t                      next;       /* its place in the log */
    ngx_http_async_pg_entry_t    *lent;
};


/* Who waits for a notification, on the stack of that task. */

struct ngx_http_async_pg_waiting_s {
    ngx_queue_t                   queue;
    async_pg_listener_t          *listener;   /* NULL: closed, or served */
    ngx_async_waker_t             waker;
};


/* ngx_http_async_pg_channel.c, which never suspends */

/*
 * Adds a listener to the channel of that name: it is open at once, or when the
 * server has answered.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_async_pg_join(ngx_http_async_pg_hub_t *hub,
    async_pg_listener_t *l, ngx_str_t *name);

/* Takes it out again, with what it has been lent; may be called twice. */
void ngx_http_async_pg_leave_channel(async_pg_listener_t *l);

/* Ends those that are still opening, with the error of the hub. */
void ngx_http_async_pg_fail_channel(ngx_http_async_pg_channel_t *ch);

/* Notes what the server knows of a channel; the channel may be gone then. */
void ngx_http_async_pg_set_channel(ngx_http_async_pg_channel_t *ch,
    ngx_http_async_pg_channel_e state);

/* To whom it may concern; takes the notification over. */
void ngx_http_async_pg_publish(ngx_http_async_pg_hub_t *hub,
    PGnotify *notify);

/* Whether there is something for it; and that, which is lent to it. */
ngx_uint_t ngx_http_async_pg_has(async_pg_listener_t *l);
void ngx_http_async_pg_take_next(async_pg_listener_t *l,
    async_pg_notification_t *n);

/* What it has been lent is given back. */
void ngx_http_async_pg_give_back(async_pg_listener_t *l);


/* ngx_http_async_pg_hub.c */

/* That of the pool; NULL: no memory. */
ngx_http_async_pg_hub_t *ngx_http_async_pg_hub(ngx_http_async_pg_pool_t *pool);

/* A listener has come or gone.  NGX_ERROR: there is no task for the hub. */
ngx_int_t ngx_http_async_pg_hub_look(ngx_http_async_pg_hub_t *hub);


#endif /* _NGX_HTTP_ASYNC_PG_LISTEN_H_INCLUDED_ */
