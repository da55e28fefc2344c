
/*
 * Copyright (C) the nginx-async authors
 *
 * Channels in a worker: who has subscribed here, and what waits for them.
 *
 *   _channel_conf.c   the directive async_channels, a module of its own
 *   _channel_log.c    the log of all workers
 *   _channel_hub.c    reads it, and hands messages to those who want them
 *   _channel.c        the public calls of tasks
 *   _channel_ws.c     clients of WebSockets
 *   _channel_pg.c     the way to other machines
 *
 * A message is copied from the log once a worker, and shared by all who get it.
 */

#ifndef _NGX_HTTP_ASYNC_CHANNEL_H_INCLUDED_
#define _NGX_HTTP_ASYNC_CHANNEL_H_INCLUDED_


#include <ngx_http_async_channel_log.h>
#include <ngx_http_async_ws.h>
#include <ngx_async_handle.h>


/* what a subscriber may leave unread */
#define NGX_HTTP_ASYNC_CHANNEL_QUEUE  256
#define NGX_HTTP_ASYNC_CHANNEL_BYTES  (1024 * 1024)

/* with PostgreSQL, whose payloads are shorter than 8,000 bytes */
#define NGX_HTTP_ASYNC_CHANNEL_PG_MAX  5000


/* async_channels */

typedef struct {
    ngx_shm_zone_t               *zone;       /* NULL: there is none */
    size_t                        size;
    ngx_str_t                     pg;         /* NULL: one machine only */
    u_char                       *file;
    ngx_uint_t                    line;
} ngx_http_async_channel_conf_t;


/* text and binary, plain; and from here on compressed */
#define NGX_HTTP_ASYNC_CHANNEL_DEFLATED  2
#define NGX_HTTP_ASYNC_CHANNEL_FRAMES    4


typedef enum {
    NGX_HTTP_ASYNC_CHANNEL_UNKNOWN = 0,
    NGX_HTTP_ASYNC_CHANNEL_TEXT,
    NGX_HTTP_ASYNC_CHANNEL_NO_TEXT            /* it is not UTF-8 */
} ngx_http_async_channel_text_e;


typedef struct {
    ngx_uint_t                    refs;
    ngx_http_async_ws_frame_t    *frames[NGX_HTTP_ASYNC_CHANNEL_FRAMES];
    ngx_uint_t                    longer;     /* compressed than plain */
    ngx_http_async_channel_text_e  text;
    size_t                        len;
    u_char                       *data;       /* zero-terminated */
    u_char                        name[1];    /* zero-terminated, too */
} ngx_http_async_channel_message_t;


typedef struct {
    ngx_queue_t                   queue;      /* of its hash */
    ngx_uint_t                    hash;
    ngx_queue_t                   subscribers;
    ngx_str_t                     name;       /* follows */
} ngx_http_async_channel_t;


/* how many others get a message between what is known of one and its turn */
#define NGX_HTTP_ASYNC_CHANNEL_AHEAD  5


/* The first member of what subscribes. */

typedef struct ngx_http_async_subscriber_s  ngx_http_async_subscriber_t;

struct ngx_http_async_subscriber_s {
    ngx_queue_t                   queue;      /* of the channel */
    ngx_http_async_channel_t     *channel;    /* NULL: it has left */
    uint64_t                      since;      /* its place in the log */
    uint64_t                      missed;     /* before the next message */

    /* of options */
    ngx_uint_t                    limit;
    ngx_uint_t                    closes;

    /*
     * A message, whose references are its own; "missed" has become more; or
     * there will be nothing more.  It may leave, but no other one.
     */
    void                        (*take)(ngx_http_async_subscriber_t *s,
                                      ngx_http_async_channel_message_t *m);
    void                        (*lose)(ngx_http_async_subscriber_t *s);
    void                        (*end)(ngx_http_async_subscriber_t *s);

    /*
     * NULL, or brings into the cache what take() will read: "ahead" others come
     * before, at first NGX_HTTP_ASYNC_CHANNEL_AHEAD - 1, then fewer, at last 1.
     * It changes nothing.
     */
    void                        (*near)(ngx_http_async_subscriber_t *s,
                                      ngx_uint_t ahead);
};


/* the values of all channels, ngx_http_async_channel_stats */

enum {
    NGX_HTTP_ASYNC_CHANNEL_PUBLISHED = 0,
    NGX_HTTP_ASYNC_CHANNEL_DELIVERED,
    NGX_HTTP_ASYNC_CHANNEL_DROPPED,
    NGX_HTTP_ASYNC_CHANNEL_OVERRUN,
    NGX_HTTP_ASYNC_CHANNEL_SUBSCRIBERS,
    NGX_HTTP_ASYNC_CHANNEL_PG_SENT,
    NGX_HTTP_ASYNC_CHANNEL_PG_HEARD,
    NGX_HTTP_ASYNC_CHANNEL_PG_REFUSED,
    NGX_HTTP_ASYNC_CHANNEL_PG_WAITS
};

/* of this worker, never NULL */
extern ngx_async_stats_t  *ngx_http_async_channel_stats;

#define ngx_http_async_channel_count(index)                                  \
    ngx_async_stats_count(ngx_http_async_channel_stats,                      \
                          NGX_HTTP_ASYNC_CHANNEL_##index)


extern ngx_module_t  ngx_http_async_channel_module;


/* In a worker, and when it exits. */
ngx_int_t ngx_http_async_channel_init(ngx_cycle_t *cycle,
    ngx_async_stats_set_t *stats);
void ngx_http_async_channel_exit(void);


/* ngx_http_async_channel_hub.c */

/* NULL: there is no async_channels */
ngx_http_async_channel_log_t *ngx_http_async_channel_log(void);

ngx_int_t ngx_http_async_channel_hub_init(ngx_cycle_t *cycle,
    ngx_http_async_channel_log_t *log);
void ngx_http_async_channel_hub_exit(void);

/* Writes it into the log; the subscribers of this worker get it from there. */
void ngx_http_async_channel_say(ngx_str_t *name, ngx_str_t *data);

/* So many have been lost that may have been for anybody. */
void ngx_http_async_channel_say_lost(uint64_t n);

/*
 * What is published from now on is for it.  NGX_DECLINED: the worker shuts
 * down.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_async_channel_enter(ngx_http_async_subscriber_t *s,
    ngx_str_t *name);

/* May be called twice. */
void ngx_http_async_channel_quit(ngx_http_async_subscriber_t *s);

void ngx_http_async_channel_release(ngx_http_async_channel_message_t *m);

/* In take(): another message is to follow in the same turn. */
ngx_uint_t ngx_http_async_channel_more(void);

/* The name of a channel; 0: it is none. */
ngx_uint_t ngx_http_async_channel_name(const char *channel, ngx_str_t *name);


/* ngx_http_async_channel_ws.c: sends what has been gathered in a turn */
void ngx_http_async_channel_ws_go(void);


/* ngx_http_async_channel.c: options of a caller that may be older */
void ngx_http_async_channel_options(ngx_http_async_subscriber_t *s,
    const async_subscribe_t *options, size_t size);


/* ngx_http_async_channel_pg.c */

ngx_int_t ngx_http_async_channel_pg_init(ngx_cycle_t *cycle, ngx_str_t *pool,
    ngx_http_async_channel_log_t *log);
void ngx_http_async_channel_pg_exit(void);

/* How many wait for that. */
ngx_uint_t ngx_http_async_channel_pg_waits(void);

/* To other machines.  NGX_BUSY: too many wait; or there is no memory. */
ngx_int_t ngx_http_async_channel_pg_send(ngx_str_t *name, ngx_str_t *data);

extern ngx_uint_t  ngx_http_async_channel_pg_on;


#endif /* _NGX_HTTP_ASYNC_CHANNEL_H_INCLUDED_ */
