
/*
 * Copyright (C) the nginx-async authors
 *
 * WebSocket (RFC 6455): a session is what a request becomes when its handshake
 * has been accepted.  From then on its connection's events are the session's.
 *
 *   _ws_conf.c       the directives async_websocket_..., a module of its own
 *   _ws_origin.c     origins, knows no request
 *   _ws_handshake.c  the handshake as it is asked for, and the refusals
 *   _ws_accept.c     how it is accepted
 *   _ws_offer.c      permessage-deflate as it is offered, knows no request
 *   _ws_deflate.c    messages (de)compressed by it, knows no session
 *   _ws_utf8.c       UTF-8 in pieces, knows no session
 *   _ws_frame.c      frames to be sent, built once for all who get them
 *   _ws_message.c    messages that have come, until somebody takes them
 *   _ws_read.c       frames that come, by wslay, made messages
 *   _ws_write.c      what waits to be sent
 *   _ws_pack.c       what is compressed for that
 *   _ws_close.c      closing, from either side
 *   _ws_life.c       opening, pings, shutdown, the end, and who is told
 *   _ws_release.c    sessions that go on without nginx's request
 *   _ws.c            the public calls
 */

#ifndef _NGX_HTTP_ASYNC_WS_H_INCLUDED_
#define _NGX_HTTP_ASYNC_WS_H_INCLUDED_


#include <ngx_http_async_request.h>
#include <ngx_http_async_ws_deflate.h>
#include <ngx_http_async_ws_utf8.h>


/* the method of routes for handshakes; nginx has none of this bit */
#define NGX_HTTP_ASYNC_WS  0x40000000


typedef struct ngx_http_async_ws_s      ngx_http_async_ws_t;
typedef struct ngx_http_async_ws_own_s  ngx_http_async_ws_own_t;


/* slices of a text */

typedef struct {
    ngx_str_t                    scheme;      /* none: that of a Host */
    ngx_str_t                    host;
    in_port_t                    port;        /* 0: unknown */
} ngx_http_async_ws_origin_t;


typedef struct {
    size_t                       max_message;
    size_t                       buffer;
    ngx_msec_t                   ping;        /* 0: none */
    ngx_msec_t                   pong;        /* what an answer may take */
    ngx_msec_t                   close_timeout;
    ngx_flag_t                   release;     /* nginx's request */
    ngx_array_t                 *origins;     /* of ngx_str_t: "same" or "any"
                                                 among them */
    ngx_http_async_ws_deflate_conf_t  deflate;
} ngx_http_async_ws_conf_t;


/* Frames as they are on the wire; shared by all sessions that they wait in. */

typedef struct {
    ngx_uint_t                   refs;
    size_t                       len;
    u_char                       data[1];
} ngx_http_async_ws_frame_t;


extern ngx_module_t  ngx_http_async_ws_module;


/* ngx_http_async_ws_origin.c */

/* NGX_ERROR: the text is none */
ngx_int_t ngx_http_async_ws_origin(ngx_str_t *text,
    ngx_http_async_ws_origin_t *origin);

/* The same of what a Host says; port: if it says none. */
ngx_int_t ngx_http_async_ws_authority(ngx_str_t *text, in_port_t port,
    ngx_http_async_ws_origin_t *origin);

/* The port that a scheme implies, or 0. */
in_port_t ngx_http_async_ws_port(ngx_str_t *scheme);

ngx_uint_t ngx_http_async_ws_same_origin(ngx_http_async_ws_origin_t *a,
    ngx_http_async_ws_origin_t *b);


/* ngx_http_async_ws_handshake.c */

#define NGX_HTTP_ASYNC_WS_FIELDS  3

/* nginx has no name for it */
#define NGX_HTTP_UPGRADE_REQUIRED  426


/* What stands in all fields of a name, as lists: see RFC 9110, 5.6.1. */

typedef struct {
    const char                  *name;
    ngx_list_part_t             *part;
    ngx_uint_t                   i;
    ngx_str_t                    rest;
} ngx_http_async_ws_list_t;


/*
 * Whether the request is a handshake that may be accepted here: NGX_OK, or the
 * status to be answered: 400, 403 (its Origin is none of ours), 405, 426; with
 * *why in words, that need no escape in JSON.
 */
ngx_int_t ngx_http_async_ws_check(ngx_http_request_t *r, const char **why);

/* The header fields of that answer, and how many they are. */
ngx_uint_t ngx_http_async_ws_fields(ngx_http_request_t *r, ngx_int_t status,
    ngx_keyval_t fields[NGX_HTTP_ASYNC_WS_FIELDS]);

/* Answers so, without a handler. */
ngx_int_t ngx_http_async_ws_refuse(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_int_t status, const char *why);

/*
 * What of permessage-deflate is offered, as ngx_http_async_ws_offer() says, in
 * all fields of it.
 */
ngx_int_t ngx_http_async_ws_offered(ngx_http_request_t *r,
    ngx_http_async_ws_offer_t *offer);

/* Whether it asks for WebSocket at all: for the choice of a route. */
ngx_uint_t ngx_http_async_ws_asked(ngx_http_request_t *r);

/* Begins; then the next item, which is not empty, or 0: there is none. */
void ngx_http_async_ws_list(ngx_http_async_ws_list_t *list,
    ngx_list_part_t *part, const char *name);
ngx_uint_t ngx_http_async_ws_list_next(ngx_http_async_ws_list_t *list,
    ngx_str_t *item);


/* ngx_http_async_ws_life.c */

/* In a worker, after ngx_async_init(). */
void ngx_http_async_ws_init(ngx_async_stats_set_t *stats);

extern const ngx_async_stats_family_t  ngx_http_async_ws_family;

/* A handshake was. */
void ngx_http_async_ws_count_refused(void);

/*
 * The handshake has been sent: makes the session of the request, req->ws.
 * What has come behind it is in r->header_in.
 * deflate: NULL for none; the session's from then on.  NULL: no memory.
 */
ngx_http_async_ws_t *ngx_http_async_ws_open(async_req_t *req,
    ngx_http_async_ws_conf_t *conf, ngx_http_async_ws_deflate_t *deflate);

/* The handler has returned: what nginx is told, as of any "finish". */
ngx_int_t ngx_http_async_ws_finish(async_req_t *req);

/* Called once, when the session does not send any more; before it is freed. */
void ngx_http_async_ws_on_end(ngx_http_async_ws_t *ws,
    void (*handler)(void *data), void *data);


/*
 * Called, with the data of _on_end(), whenever something has gone and no more
 * than conf->buffer waits; it may send.
 */
void ngx_http_async_ws_on_drain(ngx_http_async_ws_t *ws,
    void (*handler)(void *data));

/* The settings of its location. */
ngx_http_async_ws_conf_t *ngx_http_async_ws_conf(ngx_http_async_ws_t *ws);

/* Whether something may still be sent. */
ngx_uint_t ngx_http_async_ws_is_open(ngx_http_async_ws_t *ws);


/* ngx_http_async_ws_release.c */

/*
 * As ngx_http_async_create(), for a handler whose session may go on without
 * nginx's request.
 */
async_req_t *ngx_http_async_ws_create(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_fn_t *fn,
    ngx_http_async_run_pt run, ngx_http_async_finish_pt finish);

/* The header fields of such a request, if req->own; NULL: no memory. */
ngx_list_part_t *ngx_http_async_ws_headers(async_req_t *req);


/* ngx_http_async_ws_close.c */

/* Begins to close with the code, if it is open; 0: without one. */
void ngx_http_async_ws_close(ngx_http_async_ws_t *ws, ngx_uint_t code,
    const char *reason);


/* ngx_http_async_ws_frame.c */

/*
 * A frame with one reference, which is the caller's.  opcode: that of wslay,
 * with WSLAY_RSV1_BIT in rsv where it is compressed.  NULL: no memory.
 */
ngx_http_async_ws_frame_t *ngx_http_async_ws_frame(ngx_uint_t opcode,
    ngx_uint_t fin, ngx_uint_t rsv, const void *data, size_t len,
    ngx_log_t *log);

void ngx_http_async_ws_frame_release(ngx_http_async_ws_frame_t *frame);


/* ngx_http_async_ws_write.c */

/*
 * One of many sessions to which the same frame goes, soon: brings what that
 * reads into the cache.  Called one after the other, with others in between,
 * for each finds the way to the next: the session, its connection, its event.
 */
void ngx_http_async_ws_near(ngx_http_async_ws_t *ws);
void ngx_http_async_ws_near_connection(ngx_http_async_ws_t *ws);
void ngx_http_async_ws_near_event(ngx_http_async_ws_t *ws);

/*
 * Sends the frame, or has it wait behind what waits already; takes a reference
 * of its own.  NGX_OK.  NGX_AGAIN: more than conf->buffer waits now.
 * NGX_ERROR: closed, or no memory.
 */
ngx_int_t ngx_http_async_ws_queue(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_frame_t *frame);

/*
 * The same while others are to follow at once: short ones wait for the next
 * _flush(), so that they go together, by one system call.
 */
ngx_int_t ngx_http_async_ws_gather(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_frame_t *frame);

/* Sends what waits, as far as the connection takes it. */
void ngx_http_async_ws_flush(ngx_http_async_ws_t *ws);

/* How many frames and bytes wait. */
ngx_uint_t ngx_http_async_ws_waiting(ngx_http_async_ws_t *ws, size_t *bytes);

/* Whether its peer takes frames compressed without a context. */
ngx_uint_t ngx_http_async_ws_takes_deflated(ngx_http_async_ws_t *ws);


#endif /* _NGX_HTTP_ASYNC_WS_H_INCLUDED_ */
