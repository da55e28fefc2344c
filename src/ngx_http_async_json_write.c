
/*
 * Strings, words, numbers and brackets, and the buffer that they go to.
 * Called for each piece of a text; must not know what it is a piece of.
 */


#include <math.h>
#include <pthread.h>
#include <ngx_http_async_json_write.h>
#include <ngx_http_async_value.h>


static ngx_http_async_json_room_t *ngx_http_async_json_make_room(void);
static void ngx_http_async_json_make_key(void);
static void ngx_http_async_json_free_room(void *room);
static ngx_int_t ngx_http_async_json_write_long(ngx_http_async_json_out_t *out,
    const u_char *p, const u_char *last);
static ngx_int_t ngx_http_async_json_write_rest(ngx_http_async_json_out_t *out,
    u_char *q, const u_char *p, const u_char *last);
static u_char *ngx_http_async_json_escape(u_char *p, u_char c);
static u_char *ngx_http_async_json_copy(ngx_http_async_json_out_t *out,
    size_t len);
static u_char *ngx_http_async_json_give(ngx_http_async_json_out_t *out,
    size_t len);
static ngx_int_t ngx_http_async_json_more_frames(
    ngx_http_async_json_out_t *out);
static ngx_int_t ngx_http_async_json_no_memory(
    ngx_http_async_json_out_t *out);


/* few bytes may be static TLS, which ngx_async_coro.h asks for: a pointer */

static __thread ngx_http_async_json_room_t  *ngx_http_async_json_room;
static pthread_once_t                        ngx_http_async_json_room_once
                                                 = PTHREAD_ONCE_INIT;
static pthread_key_t                         ngx_http_async_json_room_key;
static ngx_int_t                             ngx_http_async_json_room_keys;


/*
 * The text grows in the thread's room, then outside the pool, where realloc()
 * may move pages instead of bytes.  When its length is known, what is in the
 * room is copied, and the other becomes the pool's.  The copy is cheaper than a
 * pass for the length, which would walk the value and read its strings twice.
 */

void
ngx_http_async_json_out(ngx_http_async_json_out_t *out, ngx_pool_t *pool)
{
    ngx_http_async_json_room_t  *room;

    room = ngx_http_async_json_room;

    if (room == NULL) {
        room = ngx_http_async_json_make_room();
    }

    out->depth = 0;
    out->deepest = 0;
    out->error = NULL;
    out->pool = pool;

    if (room == NULL || room->taken) {
        out->room = NULL;
        out->start = NULL;
        out->pos = NULL;
        out->end = NULL;
        out->nframes = 0;
        out->frames = NULL;
        return;
    }

    room->taken = 1;

    out->room = room;
    out->start = room->text;
    out->pos = room->text;
    out->end = room->text + NGX_HTTP_ASYNC_JSON_LOCAL;
    out->nframes = NGX_HTTP_ASYNC_JSON_FRAMES;
    out->frames = room->frames;
}


/* for as long as the thread lives; without memory the text does without */

static ngx_http_async_json_room_t *
ngx_http_async_json_make_room(void)
{
    ngx_http_async_json_room_t  *room;

    (void) pthread_once(&ngx_http_async_json_room_once,
                        ngx_http_async_json_make_key);

    if (!ngx_http_async_json_room_keys) {
        return NULL;
    }

    room = calloc(1, sizeof(ngx_http_async_json_room_t));
    if (room == NULL) {
        return NULL;
    }

    if (pthread_setspecific(ngx_http_async_json_room_key, room) != 0) {
        free(room);
        return NULL;
    }

    ngx_http_async_json_room = room;

    return room;
}


static void
ngx_http_async_json_make_key(void)
{
    ngx_http_async_json_room_keys =
        pthread_key_create(&ngx_http_async_json_room_key,
                           ngx_http_async_json_free_room) == 0;
}


/* another destructor of the thread may write JSON still: it makes its own */

static void
ngx_http_async_json_free_room(void *room)
{
    ngx_http_async_json_room = NULL;

    free(room);
}


ngx_int_t
ngx_http_async_json_out_done(ngx_http_async_json_out_t *out, ngx_int_t rc,
    ngx_str_t *text)
{
    ngx_uint_t  in_room;

    in_room = (out->room && out->start == out->room->text);

    if (rc == NGX_OK) {
        text->len = out->pos - out->start;

        text->data = in_room ? ngx_http_async_json_copy(out, text->len)
                             : ngx_http_async_json_give(out, text->len);

        if (text->data == NULL) {
            rc = ngx_http_async_json_no_memory(out);

        } else {
            out->start = NULL;
        }
    }

    if (!in_room && out->start) {
        ngx_free(out->start);
    }

    if (out->frames && (!out->room || out->frames != out->room->frames)) {
        ngx_free(out->frames);
    }

    if (out->room) {
        out->room->taken = 0;
    }

    return rc;
}


static u_char *
ngx_http_async_json_copy(ngx_http_async_json_out_t *out, size_t len)
{
    u_char  *p;

    p = ngx_pnalloc(out->pool, len);

    if (p) {
        ngx_memcpy(p, out->start, len);
    }

    return p;
}


/* as ngx_palloc() does with what it takes from malloc() itself */

static u_char *
ngx_http_async_json_give(ngx_http_async_json_out_t *out, size_t len)
{
    u_char            *p;
    ngx_pool_large_t  *large;

    large = ngx_palloc(out->pool, sizeof(ngx_pool_large_t));
    if (large == NULL) {
        return NULL;
    }

    p = realloc(out->start, len);
    if (p == NULL) {
        p = out->start;
    }

    large->alloc = p;
    large->next = out->pool->large;
    out->pool->large = large;

    return p;
}


/* what ngx_http_async_json_open() has no room for */

ngx_int_t
ngx_http_async_json_open_more(ngx_http_async_json_out_t *out)
{
    if (out->depth == NGX_HTTP_ASYNC_JSON_ENCODE_DEPTH) {
        out->error = "the value is nested more than 1000 levels deep, or holds "
                     "itself";
        return NGX_DECLINED;
    }

    if (ngx_http_async_json_reserve(out, 1) != NGX_OK
        || (out->depth == out->nframes
            && ngx_http_async_json_more_frames(out) != NGX_OK))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_json_more_frames(ngx_http_async_json_out_t *out)
{
    ngx_http_async_json_frame_t  *frames;

    frames = ngx_alloc((NGX_HTTP_ASYNC_JSON_ENCODE_DEPTH + 1)
                       * sizeof(ngx_http_async_json_frame_t),
                       out->pool->log);
    if (frames == NULL) {
        return ngx_http_async_json_no_memory(out);
    }

    if (out->room) {
        ngx_memcpy(frames, out->room->frames, sizeof(out->room->frames));
    }

    out->frames = frames;
    out->nframes = NGX_HTTP_ASYNC_JSON_ENCODE_DEPTH;

    return NGX_OK;
}


/*
 * What is rare is left to another function, so that this one has nothing to
 * save on the stack.
 */

ngx_int_t
ngx_http_async_json_write_string(ngx_http_async_json_out_t *out,
    const char *data, size_t len)
{
    u_char        *q;
    size_t         n;
    const u_char  *p;

    q = out->pos;
    p = (const u_char *) data;

    if ((size_t) (out->end - q) < len + 3) {
        return ngx_http_async_json_write_long(out, p, p + len);
    }

    *q++ = '"';

    n = ngx_http_async_json_plain(q, p, len, 0);
    q += n;

    if (n != len) {
        return ngx_http_async_json_write_rest(out, q, p + n, p + len);
    }

    *q++ = '"';
    out->pos = q;

    return NGX_OK;
}


/* text that is no ASCII is read again */

ngx_int_t
ngx_http_async_json_write_text(ngx_http_async_json_out_t *out,
    const char *data, size_t len)
{
    u_char        *q;
    size_t         n;
    const u_char  *p;

    p = (const u_char *) data;

    if (ngx_http_async_json_reserve(out, len + 3) != NGX_OK) {
        return NGX_ERROR;
    }

    q = out->pos;
    *q++ = '"';

    n = ngx_http_async_json_plain(q, p, len, 1);

    if (n == len) {
        q += n;
        *q++ = '"';
        out->pos = q;

        return NGX_OK;
    }

    if (!ngx_http_async_value_is_utf8(p + n, p + len)) {
        out->error = "the string is not UTF-8";
        return NGX_DECLINED;
    }

    return ngx_http_async_json_write_string(out, data, len);
}


/* where room is to be made first */

static ngx_int_t
ngx_http_async_json_write_long(ngx_http_async_json_out_t *out,
    const u_char *p, const u_char *last)
{
    if (ngx_http_async_json_reserve(out, (last - p) + 3) != NGX_OK) {
        return NGX_ERROR;
    }

    *out->pos = '"';

    return ngx_http_async_json_write_rest(out, out->pos + 1, p, last);
}


ngx_int_t
ngx_http_async_json_write_more(ngx_http_async_json_out_t *out,
    const char *data, size_t len)
{
    const u_char  *p;

    if (ngx_http_async_json_reserve(out, len + 3) != NGX_OK) {
        return NGX_ERROR;
    }

    p = (const u_char *) data;

    /* the quote is written again */

    return ngx_http_async_json_write_rest(out, out->pos - 1, p, p + len);
}


/* from where an escape is needed, or from behind the quote */

static ngx_int_t
ngx_http_async_json_write_rest(ngx_http_async_json_out_t *out, u_char *q,
    const u_char *p, const u_char *last)
{
    size_t  n;

    for ( ;; ) {
        n = ngx_http_async_json_plain(q, p, last - p, 0);

        p += n;
        q += n;

        if (p == last) {
            break;
        }

        /* an escape in place of a byte, the rest, the quote and the colon */

        out->pos = q;

        if (ngx_http_async_json_reserve(out, 7 + (last - p)) != NGX_OK) {
            return NGX_ERROR;
        }

        q = ngx_http_async_json_escape(out->pos, *p++);
    }

    *q++ = '"';
    out->pos = q;

    return NGX_OK;
}


static u_char *
ngx_http_async_json_escape(u_char *p, u_char c)
{
    static const u_char  hex[] = "0123456789abcdef";

    *p++ = '\\';

    switch (c) {

    case '"':
    case '\\':
        *p++ = c;
        break;

    case '\b':
        *p++ = 'b';
        break;

    case '\f':
        *p++ = 'f';
        break;

    case LF:
        *p++ = 'n';
        break;

    case CR:
        *p++ = 'r';
        break;

    case '\t':
        *p++ = 't';
        break;

    default:
        p = ngx_cpymem(p, "u00", 3);
        *p++ = hex[c >> 4];
        *p++ = hex[c & 0xf];
    }

    return p;
}


ngx_int_t
ngx_http_async_json_write_word(ngx_http_async_json_out_t *out,
    const char *word, size_t len)
{
    if (ngx_http_async_json_reserve(out, len) != NGX_OK) {
        return NGX_ERROR;
    }

    out->pos = ngx_cpymem(out->pos, word, len);

    return NGX_OK;
}


ngx_int_t
ngx_http_async_json_write_int(ngx_http_async_json_out_t *out, json_int_t value)
{
    uint64_t  n;

    if (ngx_http_async_json_reserve(out, NGX_INT64_LEN) != NGX_OK) {
        return NGX_ERROR;
    }

    n = value;

    if (value < 0) {
        *out->pos++ = '-';
        n = 0 - n;
    }

    out->pos = ngx_http_async_json_digits(out->pos, n);

    return NGX_OK;
}


ngx_int_t
ngx_http_async_json_write_real(ngx_http_async_json_out_t *out, double value)
{
    if (!isfinite(value)) {
        out->error = "nan and inf have no JSON form";
        return NGX_DECLINED;
    }

    if (ngx_http_async_json_reserve(out, NGX_HTTP_ASYNC_JSON_DOUBLE_LEN)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    out->pos = ngx_http_async_json_double(out->pos, value);

    return NGX_OK;
}


ngx_int_t
ngx_http_async_json_write_float(ngx_http_async_json_out_t *out, float value)
{
    if (!isfinite(value)) {
        out->error = "nan and inf have no JSON form";
        return NGX_DECLINED;
    }

    if (ngx_http_async_json_reserve(out, NGX_HTTP_ASYNC_JSON_DOUBLE_LEN)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    out->pos = ngx_http_async_json_float(out->pos, value);

    return NGX_OK;
}


ngx_int_t
ngx_http_async_json_grow(ngx_http_async_json_out_t *out, size_t len)
{
    size_t       size, used;
    u_char      *p;
    ngx_uint_t   in_room;

    used = out->pos - out->start;
    size = 2 * (out->end - out->start);

    if (size < NGX_HTTP_ASYNC_JSON_LOCAL) {
        size = NGX_HTTP_ASYNC_JSON_LOCAL;
    }

    if (size < used + len) {
        size = used + len;
    }

    in_room = (out->room && out->start == out->room->text);

    p = realloc(in_room ? NULL : out->start, size);
    if (p == NULL) {
        return ngx_http_async_json_no_memory(out);
    }

    if (in_room) {
        ngx_memcpy(p, out->start, used);
    }

    out->start = p;
    out->pos = p + used;
    out->end = p + size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_json_no_memory(ngx_http_async_json_out_t *out)
{
    out->error = "no memory";

    return NGX_ERROR;
}
