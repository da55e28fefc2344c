
/*
 * Copyright (C) the nginx-async authors
 *
 * A WebSocket session inside: what the files that read, write and end it share.
 *
 * It belongs to the memory of its nginx request, or is beside its task where
 * that request is released, and outlasts its handler: when that has returned,
 * what waits is still sent, and the peer's Close frame is awaited.  Frames and
 * messages are of malloc(), freed where they end.
 *
 * Nothing here resumes a task or ends a request from within: what has changed
 * is told by a posted event, so that whoever sends or reads finds the session
 * as it was.
 */

#ifndef _NGX_HTTP_ASYNC_WS_SESSION_H_INCLUDED_
#define _NGX_HTTP_ASYNC_WS_SESSION_H_INCLUDED_


#include <ngx_http_async_ws.h>
#include <wslay/wslay.h>


/* Close codes, RFC 6455, 7.4.1, and IANA's registry of them */
#define NGX_HTTP_ASYNC_WS_NORMAL     1000
#define NGX_HTTP_ASYNC_WS_AWAY       1001
#define NGX_HTTP_ASYNC_WS_PROTOCOL   1002
#define NGX_HTTP_ASYNC_WS_NO_CODE    1005
#define NGX_HTTP_ASYNC_WS_ABNORMAL   1006
#define NGX_HTTP_ASYNC_WS_INVALID    1007
#define NGX_HTTP_ASYNC_WS_TOO_BIG    1009
#define NGX_HTTP_ASYNC_WS_INTERNAL   1011
#define NGX_HTTP_ASYNC_WS_RESTART    1012
#define NGX_HTTP_ASYNC_WS_TRY_LATER  1013

/* a header without a mask; the payload of a control frame */
#define NGX_HTTP_ASYNC_WS_HEAD       10
#define NGX_HTTP_ASYNC_WS_CONTROL    125

/* a piece that is compressed at once */
#define NGX_HTTP_ASYNC_WS_CUT        65536

/* of await_ws_recv_part() */
#define NGX_HTTP_ASYNC_WS_PART       65536


/* the values of all sessions, ngx_http_async_ws_family */

enum {
    NGX_HTTP_ASYNC_WS_STATS_ACCEPTED = 0,
    NGX_HTTP_ASYNC_WS_STATS_REFUSED,
    NGX_HTTP_ASYNC_WS_STATS_ALIVE,
    NGX_HTTP_ASYNC_WS_STATS_CLOSED,
    NGX_HTTP_ASYNC_WS_STATS_FAILED,
    NGX_HTTP_ASYNC_WS_STATS_TIMED_OUT,
    NGX_HTTP_ASYNC_WS_STATS_RECEIVED,
    NGX_HTTP_ASYNC_WS_STATS_SENT,
    NGX_HTTP_ASYNC_WS_STATS_BYTES_IN,
    NGX_HTTP_ASYNC_WS_STATS_BYTES_OUT,
    NGX_HTTP_ASYNC_WS_STATS_PINGS,
    NGX_HTTP_ASYNC_WS_STATS_WAITING
};

/* of this worker, never NULL */
extern ngx_async_stats_t  *ngx_http_async_ws_stats;

#define ngx_http_async_ws_count(index)                                       \
    ngx_async_stats_count(ngx_http_async_ws_stats,                           \
                          NGX_HTTP_ASYNC_WS_STATS_##index)

#define ngx_http_async_ws_add_to(index, n)                                   \
    ngx_async_stats_add_to(ngx_http_async_ws_stats,                          \
                           NGX_HTTP_ASYNC_WS_STATS_##index, n)


typedef enum {
    NGX_HTTP_ASYNC_WS_OPEN = 0,
    NGX_HTTP_ASYNC_WS_CLOSING,         /* our Close frame is out, the peer's is
                                          awaited, nothing else is sent */
    NGX_HTTP_ASYNC_WS_CLOSED,          /* nothing is read any more; what waits,
                                          with our Close frame, is sent */
    NGX_HTTP_ASYNC_WS_LOST             /* nothing is sent either */
} ngx_http_async_ws_state_e;


/* what its one timer is for */

typedef enum {
    NGX_HTTP_ASYNC_WS_PINGS = 0,       /* until a ping may be due */
    NGX_HTTP_ASYNC_WS_PONGS,           /* until its answer must be there */
    NGX_HTTP_ASYNC_WS_CLOSES,          /* until the connection is given up */
    NGX_HTTP_ASYNC_WS_CANCELS          /* until the handler is cancelled */
} ngx_http_async_ws_timing_e;


typedef enum {
    NGX_HTTP_ASYNC_WS_NOBODY = 0,
    NGX_HTTP_ASYNC_WS_WHOLE,
    NGX_HTTP_ASYNC_WS_PARTS
} ngx_http_async_ws_receiver_e;


typedef struct ngx_http_async_ws_message_s  ngx_http_async_ws_message_t;

struct ngx_http_async_ws_message_s {
    ngx_http_async_ws_message_t  *next;
    size_t                        size;       /* of "data", without the zero */
    size_t                        taken;      /* in parts */
    size_t                        len;
    async_ws_kind_t               kind;
    u_char                        data[1];
};


/*
 * What a session has only in the middle of a frame, or when it does not read
 * on; otherwise those that read share a few.
 */

typedef struct ngx_http_async_ws_input_s  ngx_http_async_ws_input_t;

struct ngx_http_async_ws_input_s {
    ngx_http_async_ws_input_t    *next;
    ngx_http_async_ws_t          *ws;
    wslay_frame_context_ptr       context;

    /* bytes that the context has had and not given back */
    size_t                        given;

    /* the frame, a piece of it that is not looked at, what is to come of it */
    struct wslay_frame_iocb       frame;
    uint64_t                      left;
    ngx_uint_t                    begun;

    size_t                        ncontrol;
    u_char                        control[NGX_HTTP_ASYNC_WS_CONTROL];
};


/* A task that awaits that something is sent; on its stack. */

typedef struct {
    ngx_queue_t                   queue;
    ngx_async_waker_t             waker;
    ngx_uint_t                    sent;       /* all of what is borrowed */
} ngx_http_async_ws_sender_t;


typedef struct ngx_http_async_ws_out_s  ngx_http_async_ws_out_t;

struct ngx_http_async_ws_out_s {
    ngx_http_async_ws_out_t      *next;
    ngx_http_async_ws_frame_t    *frame;      /* NULL: it is borrowed */
    ngx_http_async_ws_sender_t   *sender;
    u_char                       *pos;
    u_char                       *last;
};


typedef struct {
    ngx_http_async_ws_out_t      *first;
    ngx_http_async_ws_out_t     **last;
    size_t                        bytes;
    ngx_uint_t                    frames;
} ngx_http_async_ws_queue_t;


struct ngx_http_async_ws_s {

    /* all that a frame to a quiet client reads: ngx_http_async_ws_near() */
    ngx_connection_t             *c;
    ngx_http_async_ws_conf_t     *conf;
    ngx_http_async_ws_state_e     state;
    ngx_async_task_t             *parts;      /* who sends a message in them */
    ngx_http_async_ws_queue_t     out;        /* what waits */
    ngx_http_async_ws_queue_t     held;       /* that, for the end of parts */

    ngx_http_request_t           *r;          /* NULL: it is released */
    ngx_http_core_loc_conf_t     *clcf;
    ngx_pool_t                   *home;       /* of what lasts as long */
    ngx_http_async_ws_own_t      *own;        /* NULL: it needs "r" */
    ngx_pool_cleanup_t           *cleanup;    /* of "r" */
    async_req_t                  *req;        /* NULL: its handler has ended */
    ngx_http_async_ws_deflate_t  *deflate;    /* NULL: none */

    /* ngx_http_async_ws_read.c: what comes */
    ngx_http_async_ws_input_t    *input;
    ngx_http_async_ws_message_t  *partial;
    async_ws_kind_t               kind;       /* of the message that comes */
    uint32_t                      utf8;
    ngx_msec_t                    heard;      /* when something came last */

    /* ngx_http_async_ws_message.c: those that nobody has received; bytes, with
       what they cost */
    ngx_http_async_ws_message_t  *messages;
    ngx_http_async_ws_message_t **last;
    size_t                        unread;

    /* ngx_http_async_ws.c: who receives, what it has last received */
    ngx_http_async_ws_receiver_e  receiver;
    ngx_async_waker_t             waker;
    ngx_http_async_ws_message_t  *current;
    json_t                       *json;
    ngx_pool_t                   *pool;       /* of its struct; or NULL */

    /* ngx_http_async_ws_write.c */
    ngx_http_async_ws_frame_t    *pong;
    ngx_queue_t                   senders;    /* _sender_t, in their order */
    ngx_async_end_t               parts_end;  /* of that, if it is a child */
    async_ws_kind_t               parts_kind;
    uint32_t                      parts_utf8;

    /* ngx_http_async_ws_life.c */
    ngx_queue_t                   queue;      /* of those of the worker */
    ngx_queue_t                   closers;    /* _sender_t */
    ngx_event_t                   timer;
    ngx_http_async_ws_timing_e    timing;
    ngx_msec_t                    pinged;
    ngx_event_t                   event;      /* something has changed */
    ngx_async_end_t               end;        /* of the child that was told */
    uint64_t                      ticket;     /* of the handler's wait then */
    ngx_uint_t                    code;       /* of the peer; 0: none yet */
    ngx_str_t                     reason;
    void                        (*on_end)(void *data);
    void                         *on_end_data;
    void                        (*on_drain)(void *data);

    unsigned                      compressed:1;  /* the message that comes */
    unsigned                      deflated:1;    /* that in parts which goes */
    unsigned                      cut:1;         /* by us, see _ws_pack.c */
    unsigned                      paused:1;      /* it is not read on */
    unsigned                      discards:1;    /* messages are dropped */
    unsigned                      eof:1;         /* of the connection */
    unsigned                      told:1;        /* the handler, of the end */
    unsigned                      told_child:1;
    unsigned                      child_ended:1;
    unsigned                      closed_by_peer:1;
    unsigned                      overruns:1;    /* it sends behind that */
    unsigned                      owes_close:1;  /* an answer to its Close */
    unsigned                      refused:1;     /* who has lent: to be told */
};


/* ngx_http_async_ws_frame.c */

/* Writes the header of a frame; how long it is. */
size_t ngx_http_async_ws_head(u_char *to, ngx_uint_t opcode, ngx_uint_t fin,
    ngx_uint_t rsv, size_t len);


/* ngx_http_async_ws_message.c */

/*
 * Room for so many bytes more in ws->partial, of the frame that comes: NGX_OK,
 * NGX_ERROR.
 */
ngx_int_t ngx_http_async_ws_grow(ngx_http_async_ws_t *ws, size_t len);

/* It is complete: NGX_OK.  NGX_DONE: no memory, and the session is lost. */
ngx_int_t ngx_http_async_ws_complete(ngx_http_async_ws_t *ws);

/* What nobody has received of it. */
size_t ngx_http_async_ws_rest(ngx_http_async_ws_message_t *m);

/*
 * The next message, or what there is of it; *last: it is complete, or the last
 * part.  The caller's.  NULL with NGX_OK: there is none; NGX_DECLINED: it is
 * too long; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_async_ws_take(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_receiver_e receiver,
    ngx_http_async_ws_message_t **message, ngx_uint_t *last);

/* Whether there is something for that. */
ngx_uint_t ngx_http_async_ws_has(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_receiver_e receiver);

/* Frees what nobody has received; what has been. */
void ngx_http_async_ws_forget(ngx_http_async_ws_t *ws);
void ngx_http_async_ws_received(ngx_http_async_ws_t *ws);


/* ngx_http_async_ws_read.c */

/* Reads what there is, as far as somebody takes it. */
void ngx_http_async_ws_read(ngx_http_async_ws_t *ws);

/* Somebody takes more: reads on, from the loop. */
void ngx_http_async_ws_resume(ngx_http_async_ws_t *ws);

/* Frees what is half read. */
void ngx_http_async_ws_input_free(ngx_http_async_ws_t *ws);


/* ngx_http_async_ws_write.c */

/*
 * A frame, in any state, behind what waits: NGX_OK, NGX_ERROR.  _put() copies
 * what cannot be sent at once; of _lend() "data" is borrowed until
 * sender->sent.
 */
ngx_int_t ngx_http_async_ws_push(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_frame_t *frame);
ngx_int_t ngx_http_async_ws_put(ngx_http_async_ws_t *ws, ngx_uint_t opcode,
    ngx_uint_t fin, ngx_uint_t rsv, const void *data, size_t len);
ngx_int_t ngx_http_async_ws_lend(ngx_http_async_ws_t *ws, ngx_uint_t opcode,
    ngx_uint_t fin, ngx_uint_t rsv, const void *data, size_t len,
    ngx_http_async_ws_sender_t *sender);

/* Whether something waits that is borrowed. */
ngx_uint_t ngx_http_async_ws_lends(ngx_http_async_ws_t *ws);

/* Answers a ping. */
void ngx_http_async_ws_pong(ngx_http_async_ws_t *ws, const u_char *data,
    size_t len);

/*
 * A message in parts begins, of the task; it is at its end: what has waited for
 * that goes.
 */
void ngx_http_async_ws_part(ngx_http_async_ws_t *ws, ngx_async_task_t *t,
    async_ws_kind_t kind);
void ngx_http_async_ws_whole(ngx_http_async_ws_t *ws);

/* Nothing of what waits is sent any more. */
void ngx_http_async_ws_drop(ngx_http_async_ws_t *ws);


/* ngx_http_async_ws.c */

/* The session of a request, for a task that is to wait for something of it. */
async_rc_t ngx_http_async_ws_session(async_t *co, async_req_t *req,
    ngx_http_async_ws_t **ws);

/* Suspends until the next message is ws->current. */
async_rc_t ngx_http_async_ws_receive(async_t *co, ngx_http_async_ws_t *ws,
    ngx_http_async_ws_receiver_e receiver, ngx_uint_t *last);

/* Suspends; part: ASYNC_WS_PART_, ASYNC_WS_LAST_, or 0: a whole message. */
async_rc_t ngx_http_async_ws_send_message(async_t *co,
    ngx_http_async_ws_t *ws, async_ws_kind_t kind, const void *data,
    size_t len, int part);

/* ASYNC_CLOSED, which tells the task of it. */
async_rc_t ngx_http_async_ws_is_closed(async_t *co, ngx_http_async_ws_t *ws);


/* ngx_http_async_ws_pack.c */

/*
 * A frame, compressed, behind what waits: NGX_OK, NGX_ERROR.  A whole message
 * goes plain where that is not longer.
 */
ngx_int_t ngx_http_async_ws_send_packed(ngx_http_async_ws_t *ws,
    ngx_uint_t opcode, ngx_uint_t fin, const void *data, size_t len);

/*
 * Suspends while a message, or a part of one, which is longer than _CUT, is
 * compressed and sent; part: as of await_ws_send_at().  NGX_DECLINED: a whole
 * one does not become shorter, and nothing of it has been sent.
 */
async_rc_t ngx_http_async_ws_send_cut(async_t *co, ngx_http_async_ws_t *ws,
    async_ws_kind_t kind, const void *data, size_t len, int part);


/* ngx_http_async_ws_close.c */

/* What the peer has sent is wrong: answers with the code, and reads no more. */
void ngx_http_async_ws_fail(ngx_http_async_ws_t *ws, ngx_uint_t code,
    const char *why);

/*
 * A Close frame of the peer.  While there are messages that nobody has received
 * our answer to it is owed, and what is sent goes before it (RFC 6455, 5.5.1).
 */
void ngx_http_async_ws_peer_closes(ngx_http_async_ws_t *ws,
    const u_char *data, size_t len);
void ngx_http_async_ws_answer_close(ngx_http_async_ws_t *ws);

/* The connection is good for nothing any more; why: for the log, or NULL. */
void ngx_http_async_ws_lost(ngx_http_async_ws_t *ws, const char *why);

/* It does not read, and the peer sends no more: it has its time. */
void ngx_http_async_ws_ebbs(ngx_http_async_ws_t *ws);

/* Whether the code may be sent, and received. */
ngx_uint_t ngx_http_async_ws_is_code(ngx_uint_t code);


/* ngx_http_async_ws_life.c */

/* Sets the one timer anew. */
void ngx_http_async_ws_time(ngx_http_async_ws_t *ws,
    ngx_http_async_ws_timing_e timing, ngx_msec_t time);

/* Something has changed that the event is to look at. */
void ngx_http_async_ws_changed(ngx_http_async_ws_t *ws);

/* The task is told of the end by ASYNC_CLOSED. */
void ngx_http_async_ws_tell(ngx_http_async_ws_t *ws, ngx_async_task_t *t);

/* The connection takes more, or has not for "send_timeout". */
void ngx_http_async_ws_writable(ngx_http_async_ws_t *ws);

/* Nobody waits for the peer any more, nor for the handler. */
void ngx_http_async_ws_terminate(ngx_http_async_ws_t *ws);

/* Its end, whatever state it is in. */
void ngx_http_async_ws_cleanup(void *data);


/* ngx_http_async_ws_release.c */

/* Where the session lies that needs no request of nginx. */
ngx_http_async_ws_t *ngx_http_async_ws_of_own(ngx_http_async_ws_own_t *own);

/* Keeps that memory when the handler has ended; and gives it back. */
void ngx_http_async_ws_keep(ngx_http_async_ws_own_t *own);
void ngx_http_async_ws_forget_task(ngx_http_async_ws_own_t *own);

/* Frees nginx's request, if nothing else has to do with it. */
void ngx_http_async_ws_release(ngx_http_async_ws_t *ws);

/*
 * The end of a session that is released, and of its connection: at once, or,
 * with NGX_OK and "lingers", when the client has closed it.
 */
void ngx_http_async_ws_end_released(ngx_http_async_ws_t *ws, ngx_int_t rc,
    ngx_uint_t lingers);


#endif /* _NGX_HTTP_ASYNC_WS_SESSION_H_INCLUDED_ */
