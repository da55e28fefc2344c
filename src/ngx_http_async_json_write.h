
/*
 * The text of a JSON value in the making: a buffer, what is open in it, and
 * how each piece is written.  For the encoder and for the packer; pure, knows
 * no request.
 *
 * All that answer ngx_int_t: NGX_OK, NGX_DECLINED if the value has no JSON
 * form, NGX_ERROR without memory; out->error tells which.
 */


#ifndef _NGX_HTTP_ASYNC_JSON_WRITE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_JSON_WRITE_H_INCLUDED_


#include <ngx_http_async_json.h>


/* most responses fit: they cost no memory but their own */

#define NGX_HTTP_ASYNC_JSON_LOCAL    1024
#define NGX_HTTP_ASYNC_JSON_FRAMES   32


typedef struct {
    json_t                         *value;    /* NULL: of a format          */
    void                           *iter;     /* of an object               */
    size_t                          index;    /* members written            */
    u_char                          close;    /* the bracket to come        */
} ngx_http_async_json_frame_t;


/*
 * Room for one text of each thread: on the stacks of tasks it would be a page
 * more of each.  What is written while another one has it starts without.
 */

typedef struct {
    ngx_uint_t                      taken;
    ngx_http_async_json_frame_t     frames[NGX_HTTP_ASYNC_JSON_FRAMES + 1];
    u_char                          text[NGX_HTTP_ASYNC_JSON_LOCAL];
} ngx_http_async_json_room_t;


/* between _out() and _out_done() nothing may suspend */

typedef struct {
    u_char                         *start;
    u_char                         *pos;
    u_char                         *end;
    ngx_uint_t                      depth;
    ngx_uint_t                      base;     /* depth around a value       */
    ngx_uint_t                      deepest;
    ngx_uint_t                      nframes;
    ngx_http_async_json_frame_t    *frames;   /* by depth, from 1           */
    const char                     *error;
    ngx_pool_t                     *pool;
    ngx_http_async_json_room_t     *room;     /* or NULL                    */
} ngx_http_async_json_out_t;


#define ngx_http_async_json_reserve(out, n)                                   \
    (((size_t) ((out)->end - (out)->pos) >= (size_t) (n))                     \
     ? NGX_OK : ngx_http_async_json_grow(out, n))


#define ngx_http_async_json_bytes(c)  ((uint64_t) 0x0101010101010101 * (c))


/* _done() gives the text if rc is NGX_OK, frees, and returns rc */

void ngx_http_async_json_out(ngx_http_async_json_out_t *out,
    ngx_pool_t *pool);
ngx_int_t ngx_http_async_json_out_done(ngx_http_async_json_out_t *out,
    ngx_int_t rc, ngx_str_t *text);

/* for _open(), below */

ngx_int_t ngx_http_async_json_open_more(ngx_http_async_json_out_t *out);

/*
 * A whole string, or more of the one that was just written.  Both leave room
 * for one byte: the colon behind a key.
 */

ngx_int_t ngx_http_async_json_write_string(ngx_http_async_json_out_t *out,
    const char *data, size_t len);
ngx_int_t ngx_http_async_json_write_more(ngx_http_async_json_out_t *out,
    const char *data, size_t len);

/* a whole one of which nobody knows whether it is UTF-8: else NGX_DECLINED */

ngx_int_t ngx_http_async_json_write_text(ngx_http_async_json_out_t *out,
    const char *data, size_t len);

ngx_int_t ngx_http_async_json_write_word(ngx_http_async_json_out_t *out,
    const char *word, size_t len);
ngx_int_t ngx_http_async_json_write_int(ngx_http_async_json_out_t *out,
    json_int_t value);
ngx_int_t ngx_http_async_json_write_real(ngx_http_async_json_out_t *out,
    double value);
ngx_int_t ngx_http_async_json_write_float(ngx_http_async_json_out_t *out,
    float value);

/* a borrowed tree, within what is open already; NULL is an error */

ngx_int_t ngx_http_async_json_write(ngx_http_async_json_out_t *out,
    json_t *value);

ngx_int_t ngx_http_async_json_grow(ngx_http_async_json_out_t *out,
    size_t len);

/* decimal; returns the end */

u_char *ngx_http_async_json_digits(u_char *p, uint64_t n);


/* '[' or '{'; the frame is that of out->depth, with no value */

static ngx_inline ngx_int_t
ngx_http_async_json_open(ngx_http_async_json_out_t *out, u_char c)
{
    ngx_int_t                     rc;
    ngx_http_async_json_frame_t  *frame;

    if (out->pos == out->end || out->depth == out->nframes) {
        rc = ngx_http_async_json_open_more(out);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    frame = &out->frames[++out->depth];

    frame->value = NULL;
    frame->iter = NULL;
    frame->index = 0;
    frame->close = c + 2;    /* "{}", "[]" in ASCII */

    if (out->deepest < out->depth) {
        out->deepest = out->depth;
    }

    *out->pos++ = c;

    return NGX_OK;
}


/*
 * The top bits of those of eight bytes that need an escape, or, if "ascii", are
 * none.  Above the lowest one they may be set for others, too.
 */

static ngx_inline uint64_t
ngx_http_async_json_special(uint64_t v, ngx_uint_t ascii)
{
    uint64_t  borrow;

    /* a byte less than what is taken from it borrows into its top bit */

    borrow = (v - ngx_http_async_json_bytes(0x20))
             | ((v ^ ngx_http_async_json_bytes('"'))
                - ngx_http_async_json_bytes(1))
             | ((v ^ ngx_http_async_json_bytes('\\'))
                - ngx_http_async_json_bytes(1));

    /* unless that was set before, and is now: no ASCII */

    return (ascii ? borrow | v : borrow & ~v)
           & ngx_http_async_json_bytes(0x80);
}


/*
 * Copies up to the first byte that needs an escape (or, if "ascii", is none),
 * eight at a time, and says how many there were.  The last eight, or four and
 * a few more, are taken as pieces that overlap.
 */

static ngx_inline size_t
ngx_http_async_json_plain(u_char *q, const u_char *p, size_t len,
    ngx_uint_t ascii)
{
    size_t    n;
    uint32_t  head, tail;
    uint64_t  v;

    for (n = 0; n + 8 <= len; n += 8) {
        memcpy(&v, p + n, 8);

        if (ngx_http_async_json_special(v, ascii)) {
            goto special;
        }

        memcpy(q + n, &v, 8);
    }

    if (n) {
        memcpy(&v, p + len - 8, 8);

        if (!ngx_http_async_json_special(v, ascii)) {
            memcpy(q + len - 8, &v, 8);
            return len;
        }

    } else if (len >= 4) {
        memcpy(&head, p, 4);
        memcpy(&tail, p + len - 4, 4);

        v = head | (uint64_t) tail << 32;

        if (!ngx_http_async_json_special(v, ascii)) {
            memcpy(q, &head, 4);
            memcpy(q + len - 4, &tail, 4);
            return len;
        }
    }

special:

    for ( /* void */ ; n < len; n++) {
        if (p[n] < 0x20 || p[n] == '"' || p[n] == '\\'
            || (ascii && p[n] >= 0x80))
        {
            break;
        }

        q[n] = p[n];
    }

    return n;
}


#endif /* _NGX_HTTP_ASYNC_JSON_WRITE_H_INCLUDED_ */
