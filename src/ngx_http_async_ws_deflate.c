
/*
 * Copyright (C) the nginx-async authors
 *
 * Messages compressed and decompressed by zlib: see
 * ngx_http_async_ws_deflate.h.
 *
 * zlib's streams are between two lists: those idle, which any session may take
 * for a message, and the sessions that have one.  A stream is reset when it is
 * taken.
 */

#include <ngx_http_async_ws_deflate.h>
#include <zlib.h>


/* what is handed to a sink at once */
#define NGX_HTTP_ASYNC_WS_ROOM  16384

/* idle streams that are kept, of either kind */
#define NGX_HTTP_ASYNC_WS_IDLE  4

/* what the end of a message goes without: RFC 7692, 7.2.1 */
#define NGX_HTTP_ASYNC_WS_TAIL  4

/* zlib counts in unsigned int */
#define NGX_HTTP_ASYNC_WS_CHUNK  (1 << 30)

/* what zlib's streams have beside windows and tables, see zconf.h */
#define NGX_HTTP_ASYNC_WS_STATE  8192

#define NGX_HTTP_ASYNC_WS_SHARED_LEVEL  1


typedef struct ngx_http_async_ws_stream_s  ngx_http_async_ws_stream_t;

struct ngx_http_async_ws_stream_s {
    ngx_http_async_ws_stream_t    *next;
    z_stream                       z;
    int                            bits;
    int                            level;     /* 0: it inflates */
};


typedef struct {
    ngx_http_async_ws_stream_t    *first;
    ngx_uint_t                     n;
} ngx_http_async_ws_idle_t;


struct ngx_http_async_ws_deflate_s {
    ngx_http_async_ws_stream_t    *in;        /* NULL: none is needed now */
    ngx_http_async_ws_stream_t    *out;
    size_t                         memory;    /* of contexts, that counts */
    int                            in_bits;
    int                            out_bits;
    int                            level;

    /* what is held back of what came out, which may be its tail */
    size_t                         nheld;
    u_char                         held[NGX_HTTP_ASYNC_WS_TAIL];

    unsigned                       in_takeover:1;
    unsigned                       out_takeover:1;
    unsigned                       in_block:1;    /* amid deflate data */
    unsigned                       out_begun:1;   /* a message has bytes */
};


static ngx_uint_t ngx_http_async_ws_deflate_affords(
    ngx_http_async_ws_deflate_t *d, ngx_http_async_ws_deflate_conf_t *conf,
    size_t size);
static ngx_int_t ngx_http_async_ws_deflate_answer(ngx_pool_t *pool,
    ngx_http_async_ws_deflate_t *d, ngx_http_async_ws_offer_t *offer,
    ngx_str_t *answer);
static ngx_int_t ngx_http_async_ws_inflate_piece(
    ngx_http_async_ws_deflate_t *d, const u_char *in, size_t len,
    ngx_http_async_ws_sink_pt sink, void *data);
static ngx_int_t ngx_http_async_ws_inflate_tail(
    ngx_http_async_ws_deflate_t *d);
static ngx_int_t ngx_http_async_ws_deflate_piece(
    ngx_http_async_ws_deflate_t *d, const u_char *in, size_t len, int flush,
    ngx_http_async_ws_sink_pt sink, void *data);
static ngx_int_t ngx_http_async_ws_deflate_out(ngx_http_async_ws_deflate_t *d,
    size_t n, ngx_http_async_ws_sink_pt sink, void *data);
static int ngx_http_async_ws_mem_level(int bits);
static ngx_http_async_ws_stream_t *ngx_http_async_ws_stream(int level,
    int bits);
static ngx_http_async_ws_stream_t *ngx_http_async_ws_stream_new(int level,
    int bits);
static void ngx_http_async_ws_stream_done(ngx_http_async_ws_stream_t *s);
static void ngx_http_async_ws_stream_free(ngx_http_async_ws_stream_t *s);
static voidpf ngx_http_async_ws_zalloc(voidpf opaque, uInt items, uInt size);
static void ngx_http_async_ws_zfree(voidpf opaque, voidpf address);


/* of this worker */

static ngx_http_async_ws_idle_t  ngx_http_async_ws_inflaters;
static ngx_http_async_ws_idle_t  ngx_http_async_ws_deflaters;

static size_t  ngx_http_async_ws_contexts;

static u_char  ngx_http_async_ws_bytes[NGX_HTTP_ASYNC_WS_TAIL
                                       + NGX_HTTP_ASYNC_WS_ROOM];


ngx_int_t
ngx_http_async_ws_deflate_new(ngx_pool_t *pool,
    ngx_http_async_ws_deflate_conf_t *conf, ngx_http_async_ws_offer_t *offer,
    ngx_http_async_ws_deflate_t **deflate, ngx_str_t *answer)
{
    size_t                        size;
    ngx_int_t                     bits;
    ngx_http_async_ws_deflate_t  *d;

    d = ngx_pcalloc(pool, sizeof(ngx_http_async_ws_deflate_t));
    if (d == NULL) {
        return NGX_ERROR;
    }

    bits = conf->window_bits;

    d->level = (int) conf->level;
    d->out_bits = (int) (offer->server_bits
                         ? ngx_min((ngx_int_t) offer->server_bits, bits)
                         : bits);
    d->in_bits = (int) (offer->client_bits
                        ? ngx_min((ngx_int_t) offer->client_bits, bits) : 15);

    if (conf->takeover && !offer->server_no_takeover) {
        size = (4 << d->out_bits)
               + (512 << ngx_http_async_ws_mem_level(d->out_bits))
               + NGX_HTTP_ASYNC_WS_STATE;

        d->out_takeover = ngx_http_async_ws_deflate_affords(d, conf, size);
    }

    if (conf->takeover && !offer->client_no_takeover) {
        size = (1 << d->in_bits) + NGX_HTTP_ASYNC_WS_STATE;

        d->in_takeover = ngx_http_async_ws_deflate_affords(d, conf, size);
    }

    if (ngx_http_async_ws_deflate_answer(pool, d, offer, answer) != NGX_OK) {
        ngx_http_async_ws_deflate_free(d);
        return NGX_ERROR;
    }

    *deflate = d;

    return NGX_OK;
}


/* Counts before it is allocated, which is with the first message. */

static ngx_uint_t
ngx_http_async_ws_deflate_affords(ngx_http_async_ws_deflate_t *d,
    ngx_http_async_ws_deflate_conf_t *conf, size_t size)
{
    if (ngx_http_async_ws_contexts + size > conf->memory) {
        return 0;
    }

    d->memory += size;
    ngx_http_async_ws_contexts += size;

    return 1;
}


/*
 * RFC 7692, 7.1: a server may say all of this whether it was offered or not,
 * but for client_max_window_bits.
 */

static ngx_int_t
ngx_http_async_ws_deflate_answer(ngx_pool_t *pool,
    ngx_http_async_ws_deflate_t *d, ngx_http_async_ws_offer_t *offer,
    ngx_str_t *answer)
{
    u_char  *p, *last;

    p = ngx_pnalloc(pool, NGX_HTTP_ASYNC_WS_ANSWER_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    answer->data = p;
    last = p + NGX_HTTP_ASYNC_WS_ANSWER_LEN;

    p = ngx_slprintf(p, last, "permessage-deflate");

    if (!d->out_takeover) {
        p = ngx_slprintf(p, last, "; server_no_context_takeover");
    }

    if (!d->in_takeover) {
        p = ngx_slprintf(p, last, "; client_no_context_takeover");
    }

    if (offer->server_bits || d->out_bits < 15) {
        p = ngx_slprintf(p, last, "; server_max_window_bits=%d", d->out_bits);
    }

    if (offer->client_bits && d->in_bits < 15) {
        p = ngx_slprintf(p, last, "; client_max_window_bits=%d", d->in_bits);
    }

    answer->len = p - answer->data;

    return NGX_OK;
}


void
ngx_http_async_ws_deflate_free(ngx_http_async_ws_deflate_t *d)
{
    if (d->in) {
        ngx_http_async_ws_stream_done(d->in);
        d->in = NULL;
    }

    if (d->out) {
        ngx_http_async_ws_stream_done(d->out);
        d->out = NULL;
    }

    ngx_http_async_ws_contexts -= d->memory;
    d->memory = 0;
}


size_t
ngx_http_async_ws_deflate_memory(void)
{
    return ngx_http_async_ws_contexts;
}


ngx_uint_t
ngx_http_async_ws_deflate_forgets(ngx_http_async_ws_deflate_t *d)
{
    return !d->out_takeover;
}


void
ngx_http_async_ws_deflate_undo(ngx_http_async_ws_deflate_t *d)
{
    ngx_http_async_ws_stream_done(d->out);

    d->out = NULL;
    d->nheld = 0;
    d->out_begun = 0;
}


ngx_uint_t
ngx_http_async_ws_deflate_stateless(ngx_http_async_ws_deflate_t *d)
{
    return !d->out_takeover && d->out_bits >= NGX_HTTP_ASYNC_WS_SHARED_BITS;
}


ngx_int_t
ngx_http_async_ws_inflate(ngx_http_async_ws_deflate_t *d, const u_char *in,
    size_t len, ngx_uint_t last, ngx_http_async_ws_sink_pt sink, void *data)
{
    size_t     n;
    ngx_int_t  rc;

    if (d->in == NULL) {

        /* a shared one is for whatever comes */

        d->in = ngx_http_async_ws_stream(0, d->in_takeover ? d->in_bits : 15);

        if (d->in == NULL) {
            return NGX_ERROR;
        }
    }

    while (len) {
        n = ngx_min(len, NGX_HTTP_ASYNC_WS_CHUNK);

        rc = ngx_http_async_ws_inflate_piece(d, in, n, sink, data);

        if (rc != NGX_OK) {
            return rc;
        }

        in += n;
        len -= n;
    }

    if (!last) {
        return NGX_OK;
    }

    /* behind a last block, or without any data, there is no tail to add */

    if (d->in_block && ngx_http_async_ws_inflate_tail(d) != NGX_OK) {
        return NGX_DECLINED;
    }

    d->in_block = 0;

    if (!d->in_takeover) {
        ngx_http_async_ws_stream_done(d->in);
        d->in = NULL;
    }

    return NGX_OK;
}


/*
 * A block may be the last one of deflate data, and more follow (RFC 7692,
 * 7.2.3.4): it goes on with the same window.
 */

static ngx_int_t
ngx_http_async_ws_inflate_piece(ngx_http_async_ws_deflate_t *d,
    const u_char *in, size_t len, ngx_http_async_ws_sink_pt sink, void *data)
{
    int        rc;
    size_t     n;
    z_stream  *z;

    z = &d->in->z;

    z->next_in = (u_char *) in;
    z->avail_in = (uInt) len;

    d->in_block = 1;

    do {
        z->next_out = ngx_http_async_ws_bytes;
        z->avail_out = NGX_HTTP_ASYNC_WS_ROOM;

        rc = inflate(z, Z_SYNC_FLUSH);

        n = NGX_HTTP_ASYNC_WS_ROOM - z->avail_out;

        if (n && sink(data, ngx_http_async_ws_bytes, n) != NGX_OK) {
            return NGX_ABORT;
        }

        switch (rc) {

        case Z_OK:
        case Z_BUF_ERROR:
            break;

        case Z_STREAM_END:
            (void) inflateResetKeep(z);

            if (z->avail_in == 0) {
                d->in_block = 0;
                return NGX_OK;
            }

            break;

        case Z_MEM_ERROR:
            return NGX_ERROR;

        default:
            return NGX_DECLINED;
        }

    } while (z->avail_in || z->avail_out == 0);

    return NGX_OK;
}


/* It is an empty block without compression, whose header has come before. */

static ngx_int_t
ngx_http_async_ws_inflate_tail(ngx_http_async_ws_deflate_t *d)
{
    z_stream  *z;

    static u_char  tail[NGX_HTTP_ASYNC_WS_TAIL] = { 0, 0, 0xff, 0xff };

    z = &d->in->z;

    z->next_in = tail;
    z->avail_in = NGX_HTTP_ASYNC_WS_TAIL;
    z->next_out = ngx_http_async_ws_bytes;
    z->avail_out = NGX_HTTP_ASYNC_WS_ROOM;

    /* 128: behind a block, without bits of the next one */

    if (inflate(z, Z_BLOCK) != Z_OK || z->avail_in
        || z->avail_out != NGX_HTTP_ASYNC_WS_ROOM
        || (z->data_type & (128 | 7)) != 128)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_ws_deflate(ngx_http_async_ws_deflate_t *d, const u_char *in,
    size_t len, ngx_uint_t last, ngx_http_async_ws_sink_pt sink, void *data)
{
    size_t     n;
    ngx_int_t  rc;

    static const u_char  empty[] = { 0 };

    if (d->out == NULL) {
        d->out = ngx_http_async_ws_stream(d->level, d->out_bits);

        if (d->out == NULL) {
            return NGX_ERROR;
        }
    }

    do {
        n = ngx_min(len, NGX_HTTP_ASYNC_WS_CHUNK);

        rc = ngx_http_async_ws_deflate_piece(d, in, n, (n < len) ? Z_NO_FLUSH
                                                       : Z_SYNC_FLUSH,
                                             sink, data);
        if (rc != NGX_OK) {
            return rc;
        }

        in += n;
        len -= n;

    } while (len);

    if (!last) {
        return NGX_OK;
    }

    /* nothing, behind a flush, is no block: RFC 7692, 7.2.3.6 */

    if (!d->out_begun && d->nheld == 0
        && sink(data, empty, sizeof(empty)) != NGX_OK)
    {
        return NGX_ABORT;
    }

    d->out_begun = 0;
    d->nheld = 0;

    if (!d->out_takeover) {
        ngx_http_async_ws_stream_done(d->out);
        d->out = NULL;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_ws_deflate_piece(ngx_http_async_ws_deflate_t *d,
    const u_char *in, size_t len, int flush, ngx_http_async_ws_sink_pt sink,
    void *data)
{
    int        rc;
    size_t     n;
    z_stream  *z;

    z = &d->out->z;

    z->next_in = (u_char *) in;
    z->avail_in = (uInt) len;

    do {
        ngx_memcpy(ngx_http_async_ws_bytes, d->held, d->nheld);

        z->next_out = ngx_http_async_ws_bytes + d->nheld;
        z->avail_out = NGX_HTTP_ASYNC_WS_ROOM;

        rc = deflate(z, flush);

        /* Z_BUF_ERROR: all has been flushed already */

        if (rc != Z_OK && rc != Z_BUF_ERROR) {
            return NGX_ERROR;
        }

        n = d->nheld + NGX_HTTP_ASYNC_WS_ROOM - z->avail_out;

        if (ngx_http_async_ws_deflate_out(d, n, sink, data) != NGX_OK) {
            return NGX_ABORT;
        }

    } while (z->avail_out == 0);

    return NGX_OK;
}


/* Of the n bytes in the room all but what may be the tail. */

static ngx_int_t
ngx_http_async_ws_deflate_out(ngx_http_async_ws_deflate_t *d, size_t n,
    ngx_http_async_ws_sink_pt sink, void *data)
{
    d->nheld = ngx_min(n, NGX_HTTP_ASYNC_WS_TAIL);
    n -= d->nheld;

    ngx_memcpy(d->held, ngx_http_async_ws_bytes + n, d->nheld);

    if (n == 0) {
        return NGX_OK;
    }

    d->out_begun = 1;

    return sink(data, ngx_http_async_ws_bytes, n);
}


ngx_int_t
ngx_http_async_ws_deflate_shared(const void *data, size_t len,
    ngx_pool_t *pool, ngx_str_t *out)
{
    z_stream                    *z;
    ngx_int_t                    rc;
    ngx_http_async_ws_stream_t  *s;

    if (len <= NGX_HTTP_ASYNC_WS_TAIL || len > NGX_HTTP_ASYNC_WS_CHUNK) {
        return NGX_DECLINED;
    }

    out->data = ngx_pnalloc(pool, len);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    s = ngx_http_async_ws_stream(NGX_HTTP_ASYNC_WS_SHARED_LEVEL,
                                 NGX_HTTP_ASYNC_WS_SHARED_BITS);
    if (s == NULL) {
        return NGX_ERROR;
    }

    z = &s->z;

    z->next_in = (u_char *) data;
    z->avail_in = (uInt) len;
    z->next_out = out->data;
    z->avail_out = (uInt) len;

    rc = NGX_DECLINED;

    /* with no room left it has not come to its end */

    if (deflate(z, Z_SYNC_FLUSH) == Z_OK && z->avail_out) {
        out->len = len - z->avail_out - NGX_HTTP_ASYNC_WS_TAIL;
        rc = NGX_OK;
    }

    ngx_http_async_ws_stream_done(s);

    return rc;
}


/* As much memory for its tables as for its window. */

static int
ngx_http_async_ws_mem_level(int bits)
{
    return bits - 7;
}


/* An idle one, or a new one; NULL: no memory. */

static ngx_http_async_ws_stream_t *
ngx_http_async_ws_stream(int level, int bits)
{
    ngx_http_async_ws_idle_t    *idle;
    ngx_http_async_ws_stream_t  *s, **at;

    idle = level ? &ngx_http_async_ws_deflaters : &ngx_http_async_ws_inflaters;

    for (at = &idle->first; *at; at = &(*at)->next) {
        s = *at;

        if (s->level == level && s->bits == bits) {
            *at = s->next;
            idle->n--;

            (void) (level ? deflateReset(&s->z) : inflateReset(&s->z));

            return s;
        }
    }

    return ngx_http_async_ws_stream_new(level, bits);
}


static ngx_http_async_ws_stream_t *
ngx_http_async_ws_stream_new(int level, int bits)
{
    int                          rc;
    ngx_http_async_ws_stream_t  *s;

    s = ngx_alloc(sizeof(ngx_http_async_ws_stream_t), ngx_cycle->log);
    if (s == NULL) {
        return NULL;
    }

    ngx_memzero(s, sizeof(ngx_http_async_ws_stream_t));

    s->level = level;
    s->bits = bits;
    s->z.zalloc = ngx_http_async_ws_zalloc;
    s->z.zfree = ngx_http_async_ws_zfree;
    s->z.opaque = ngx_cycle->log;

    rc = level ? deflateInit2(&s->z, level, Z_DEFLATED, -bits,
                              ngx_http_async_ws_mem_level(bits),
                              Z_DEFAULT_STRATEGY)
               : inflateInit2(&s->z, -bits);

    if (rc != Z_OK) {
        ngx_free(s);
        return NULL;
    }

    return s;
}


/* It is idle from here on; of too many the one goes that was so longest. */

static void
ngx_http_async_ws_stream_done(ngx_http_async_ws_stream_t *s)
{
    ngx_http_async_ws_idle_t     *idle;
    ngx_http_async_ws_stream_t  **at;

    idle = s->level ? &ngx_http_async_ws_deflaters
                    : &ngx_http_async_ws_inflaters;

    s->next = idle->first;
    idle->first = s;

    if (++idle->n <= NGX_HTTP_ASYNC_WS_IDLE) {
        return;
    }

    for (at = &idle->first; (*at)->next; at = &(*at)->next) { /* void */ }

    ngx_http_async_ws_stream_free(*at);

    *at = NULL;
    idle->n--;
}


static void
ngx_http_async_ws_stream_free(ngx_http_async_ws_stream_t *s)
{
    (void) (s->level ? deflateEnd(&s->z) : inflateEnd(&s->z));

    ngx_free(s);
}


void
ngx_http_async_ws_deflate_exit(void)
{
    ngx_uint_t                   i;
    ngx_http_async_ws_idle_t    *idle[2];
    ngx_http_async_ws_stream_t  *s;

    idle[0] = &ngx_http_async_ws_inflaters;
    idle[1] = &ngx_http_async_ws_deflaters;

    for (i = 0; i < 2; i++) {

        while (idle[i]->first) {
            s = idle[i]->first;
            idle[i]->first = s->next;

            ngx_http_async_ws_stream_free(s);
        }

        idle[i]->n = 0;
    }
}


static voidpf
ngx_http_async_ws_zalloc(voidpf opaque, uInt items, uInt size)
{
    return ngx_alloc((size_t) items * size, opaque);
}


static void
ngx_http_async_ws_zfree(voidpf opaque, voidpf address)
{
    (void) opaque;

    ngx_free(address);
}
