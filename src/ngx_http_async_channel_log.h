
/*
 * Copyright (C) the nginx-async authors
 *
 * The log of what is published, in memory that all workers share: a ring, in
 * which places are numbers that only grow.  It is written under a robust mutex
 * and read without: a reader copies, and then looks whether the oldest place
 * has passed its own, which makes the copy worthless.
 *
 * A message is there when "head" has passed it: that is one store.  The oldest
 * ones have gone by another store before they are written over.  So a writer
 * that dies at any instruction leaves a whole log; what is derived from it, the
 * numbers and who is to be woken, is repaired by the next one.
 *
 * Names are counted by hash: a reader that has been passed by knows by these
 * numbers what it has missed of each; by the next message of that hash, or when
 * it has read what was there when it found itself passed by.  A reader is woken
 * only for hashes that it wants, or when it lags by half of the ring.
 */

#ifndef _NGX_HTTP_ASYNC_CHANNEL_LOG_H_INCLUDED_
#define _NGX_HTTP_ASYNC_CHANNEL_LOG_H_INCLUDED_


#include <ngx_async_peers.h>
#include <ngx_async_robust.h>


/* hashes of names; the last number is of what concerns all of them */
#define NGX_HTTP_ASYNC_CHANNEL_HASHES  4096

#define NGX_HTTP_ASYNC_CHANNEL_NAME    255

/* "seen" of a worker that reads nothing */
#define NGX_HTTP_ASYNC_CHANNEL_RESTS   UINT64_MAX

/* behind the ring, for who copies what is being written over */
#define NGX_HTTP_ASYNC_CHANNEL_SLACK   512


typedef enum {
    NGX_HTTP_ASYNC_CHANNEL_MESSAGE = 1,
    NGX_HTTP_ASYNC_CHANNEL_LOST,              /* something is not here */
    NGX_HTTP_ASYNC_CHANNEL_FILL               /* up to the end of the ring */
} ngx_http_async_channel_kind_e;


/* In the ring, then the name and the data; the sizes are multiples of 8. */

typedef struct {
    uint32_t                  size;
    uint16_t                  kind;
    uint16_t                  name;           /* its length */
    uint32_t                  len;
    uint32_t                  hash;
    uint64_t                  number;         /* of this hash */
} ngx_http_async_channel_entry_t;


/* Of a worker, by its slot */

typedef struct {
    uint64_t                  seen;           /* how far it has read */
    uint64_t                  woken;          /* up to where it has been told */
    uint64_t                  wants[NGX_HTTP_ASYNC_CHANNEL_HASHES / 64];
} ngx_http_async_channel_slot_t;


typedef struct {
    pthread_mutex_t           mutex;
    uint64_t                  size;
    uint64_t                  head;           /* of the next one to come */
    uint64_t                  tail;           /* of the oldest one */
    uint64_t                  machine;        /* random: whose log this is */

    /* a bit each slot */
    uint64_t                  members[NGX_ASYNC_PEERS / 64];

    /* ngx_http_async_channel_pg.c: held by who listens; somebody has */
    pthread_mutex_t           listens;
    ngx_atomic_t              listened;

    uint64_t                  numbers[NGX_HTTP_ASYNC_CHANNEL_HASHES + 1];

    ngx_http_async_channel_slot_t  slots[NGX_ASYNC_PEERS];

    u_char                    ring[];
} ngx_http_async_channel_log_t;


/* Of a worker, in its own memory */

typedef struct {
    ngx_http_async_channel_log_t   *log;
    ngx_http_async_channel_slot_t  *slot;     /* NULL: nobody wakes it */
    uint64_t                        place;
    uint64_t                        numbers[NGX_HTTP_ASYNC_CHANNEL_HASHES + 1];

    /* the next one: where, what; how many of its hash were before it */
    ngx_http_async_channel_entry_t  entry;
    u_char                          name[NGX_HTTP_ASYNC_CHANNEL_NAME + 1];
    uint64_t                        missed;

    /* passed by: the head then, and its numbers; once more since then */
    ngx_uint_t                      passed;
    ngx_uint_t                      again;
    uint64_t                        head;
    uint64_t                        counts[NGX_HTTP_ASYNC_CHANNEL_HASHES + 1];
    uint64_t                        resumed;  /* where it went on */
} ngx_http_async_channel_reader_t;


/* the bytes of a log with a ring of that size */
#define ngx_http_async_channel_log_size(ring)                                \
    (sizeof(ngx_http_async_channel_log_t) + (ring)                           \
     + NGX_HTTP_ASYNC_CHANNEL_SLACK)

/* Of zeroed memory. */
ngx_int_t ngx_http_async_channel_log_init(ngx_http_async_channel_log_t *log,
    size_t ring, ngx_log_t *error_log);

ngx_uint_t ngx_http_async_channel_hash(ngx_str_t *name);

/* The longest data of a message. */
size_t ngx_http_async_channel_max(ngx_http_async_channel_log_t *log);

/* The message, to all who want it; this worker itself is not told. */
void ngx_http_async_channel_write(ngx_http_async_channel_log_t *log,
    ngx_http_async_channel_kind_e kind, ngx_str_t *name, ngx_str_t *data);


/* Takes the slot of this worker, if it has one; and leaves it. */
void ngx_http_async_channel_join(ngx_http_async_channel_reader_t *reader,
    ngx_http_async_channel_log_t *log);
void ngx_http_async_channel_leave(ngx_http_async_channel_reader_t *reader);

/* It reads nothing; what is published from now on is what it reads next. */
void ngx_http_async_channel_rest(ngx_http_async_channel_reader_t *reader);
void ngx_http_async_channel_begin(ngx_http_async_channel_reader_t *reader);

/* Whether it is woken for the hash, from now on. */
void ngx_http_async_channel_want(ngx_http_async_channel_reader_t *reader,
    ngx_uint_t hash, ngx_uint_t wanted);

/* The place of what is published next. */
uint64_t ngx_http_async_channel_head(ngx_http_async_channel_log_t *log);

/*
 * Copies the head of the next entry into reader->entry, and its name.
 * NGX_AGAIN: there is none, and it will be woken for the next one.
 */
ngx_int_t ngx_http_async_channel_next(ngx_http_async_channel_reader_t *reader);

/* Its data; NGX_AGAIN: it has gone meanwhile, _next() is another one. */
ngx_int_t ngx_http_async_channel_data(ngx_http_async_channel_reader_t *reader,
    u_char *to);

/* It is done with. */
void ngx_http_async_channel_pass(ngx_http_async_channel_reader_t *reader);

/*
 * Whether it has been passed by, and has read since then what was there: so the
 * calls that follow give, once each, how many are missing of a hash; all were
 * before *place.  To be asked before _next().
 */
ngx_uint_t ngx_http_async_channel_passed(
    ngx_http_async_channel_reader_t *reader, uint64_t *place);
uint64_t ngx_http_async_channel_missing(
    ngx_http_async_channel_reader_t *reader, ngx_uint_t hash);


#endif /* _NGX_HTTP_ASYNC_CHANNEL_LOG_H_INCLUDED_ */
