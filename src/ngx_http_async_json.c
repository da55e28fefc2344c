
/*
 * jansson parses; this file bounds what it is given, says what was wrong in
 * Python's words, and writes text.  jansson's own encoder is not used: it
 * prints 0.1 as 0.10000000000000001 and recurs.
 * Called for bodies, responses and messages; must not know whose they are.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <float.h>
#include <math.h>
#include <ngx_http_async_value.h>
#include <ngx_http_async_json.h>


/* most responses fit: they cost no memory but their own */

#define NGX_HTTP_ASYNC_JSON_LOCAL    1024
#define NGX_HTTP_ASYNC_JSON_FRAMES   32

#define ngx_http_async_json_is_digit(c)  ((c) >= '0' && (c) <= '9')

#define ngx_http_async_json_bytes(c)     ((uint64_t) 0x0101010101010101 * (c))


/* reads a faulty text once more, to find the place */

typedef struct {
    u_char                         *p;
    u_char                         *last;
    u_char                         *token;    /* the start of the last one  */
    u_char                         *place;    /* of the error               */
    const char                     *text;     /* NULL: no error so far      */
    ngx_http_async_json_problem_e   kind;
} ngx_http_async_json_scan_t;


typedef struct {
    json_t                         *value;
    void                           *iter;     /* of an object               */
    size_t                          index;    /* of an array                */
} ngx_http_async_json_frame_t;


typedef struct {
    u_char                         *start;
    u_char                         *pos;
    u_char                         *end;
    ngx_uint_t                      depth;
    ngx_uint_t                      nframes;
    ngx_http_async_json_frame_t    *frames;   /* by depth, from 1           */
    const char                     *error;
    ngx_pool_t                     *pool;
    ngx_http_async_json_frame_t     few[NGX_HTTP_ASYNC_JSON_FRAMES + 1];
    u_char                          local[NGX_HTTP_ASYNC_JSON_LOCAL];
} ngx_http_async_json_out_t;


/* a decimal number: 0.DIGITS times 10 to the point */

typedef struct {
    u_char                          digits[24];
    ngx_int_t                       ndigits;
    ngx_int_t                       point;
} ngx_http_async_json_decimal_t;


static u_char *ngx_http_async_json_depth(u_char *p, u_char *last,
    ngx_uint_t max);
static ngx_int_t ngx_http_async_json_parse(u_char *data, u_char *last,
    json_t **value, ngx_http_async_json_error_t *error);
static ngx_int_t ngx_http_async_json_diagnose(u_char *data, u_char *last,
    json_error_t *jerror, ngx_http_async_json_error_t *error);
static ngx_int_t ngx_http_async_json_fault(ngx_http_async_json_error_t *error,
    ngx_http_async_json_problem_e kind, const char *text, u_char *data,
    u_char *place);
static ngx_int_t ngx_http_async_json_scan(ngx_http_async_json_scan_t *s,
    u_char *stop);
static ngx_int_t ngx_http_async_json_scan_key(ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_scalar(
    ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_number(
    ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_string(
    ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_escape(
    ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_hex(u_char *p, u_char *last);
static void ngx_http_async_json_scan_space(ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_fail(ngx_http_async_json_scan_t *s,
    u_char *place, const char *text);

static ngx_int_t ngx_http_async_json_write(ngx_http_async_json_out_t *out,
    json_t *value);
static ngx_int_t ngx_http_async_json_write_value(
    ngx_http_async_json_out_t *out, json_t *value);
static json_t *ngx_http_async_json_next(ngx_http_async_json_out_t *out);
static ngx_int_t ngx_http_async_json_open(ngx_http_async_json_out_t *out,
    json_t *value);
static ngx_int_t ngx_http_async_json_write_string(
    ngx_http_async_json_out_t *out, const char *data, size_t len);
static ngx_int_t ngx_http_async_json_write_rest(ngx_http_async_json_out_t *out,
    u_char *q, const u_char *p, const u_char *last);
static ngx_inline size_t ngx_http_async_json_plain(u_char *q, const u_char *p,
    size_t len);
static ngx_inline ngx_uint_t ngx_http_async_json_special(uint64_t v);
static u_char *ngx_http_async_json_escape(u_char *p, u_char c);
static ngx_int_t ngx_http_async_json_write_word(ngx_http_async_json_out_t *out,
    const char *word, size_t len);
static ngx_int_t ngx_http_async_json_write_int(ngx_http_async_json_out_t *out,
    json_int_t value);
static ngx_int_t ngx_http_async_json_write_real(ngx_http_async_json_out_t *out,
    double value);
static ngx_int_t ngx_http_async_json_grow(ngx_http_async_json_out_t *out,
    size_t len);
static ngx_int_t ngx_http_async_json_no_memory(
    ngx_http_async_json_out_t *out);

static ngx_int_t ngx_http_async_json_short(ngx_http_async_json_decimal_t *d,
    double value);
static void ngx_http_async_json_long(ngx_http_async_json_decimal_t *d,
    double value);
static void ngx_http_async_json_round(ngx_http_async_json_decimal_t *d,
    double value, ngx_int_t ndigits);
static double ngx_http_async_json_read(ngx_http_async_json_decimal_t *d);
static u_char *ngx_http_async_json_layout(u_char *p,
    ngx_http_async_json_decimal_t *d);
static u_char *ngx_http_async_json_digits(u_char *p, uint64_t n);


#define ngx_http_async_json_reserve(out, n)                                   \
    (((size_t) ((out)->end - (out)->pos) >= (size_t) (n))                     \
     ? NGX_OK : ngx_http_async_json_grow(out, n))


ngx_int_t
ngx_http_async_json_load(u_char *data, size_t len, ngx_uint_t max_depth,
    json_t **value, ngx_http_async_json_error_t *error)
{
    u_char     *p, *last;
    ngx_int_t   rc;

    *value = NULL;

    if (len == 0) {
        return ngx_http_async_json_fault(error, NGX_HTTP_ASYNC_JSON_EMPTY,
                                         "Expecting value", data, data);
    }

    last = data + len;

    if (len >= 3 && ngx_memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
    }

    if (max_depth == 0) {
        max_depth = NGX_HTTP_ASYNC_JSON_DEPTH;
    }

    max_depth = ngx_min(max_depth, NGX_HTTP_ASYNC_JSON_MAX_DEPTH);

    /* jansson's bound is fixed, and its recursion goes on the caller's stack */

    p = ngx_http_async_json_depth(data, last, max_depth);

    if (p) {
        rc = ngx_http_async_json_fault(error, NGX_HTTP_ASYNC_JSON_TOO_DEEP,
                                       "Nested too deeply", data, p);

    } else {
        rc = ngx_http_async_json_parse(data, last, value, error);
    }

    if (rc == NGX_DECLINED) {

        /* offsets count from the caller's first byte, a mark included */

        error->offset += len - (last - data);
    }

    return rc;
}


/* the bracket that opens one level too many, or NULL */

static u_char *
ngx_http_async_json_depth(u_char *p, u_char *last, ngx_uint_t max)
{
    ngx_uint_t  depth;

    if ((size_t) (last - p) <= max) {
        return NULL;
    }

    depth = 0;

    for ( /* void */ ; p < last; p++) {

        switch (*p) {

        case '"':
            for (p++; p < last && *p != '"'; p++) {
                if (*p == '\\') {
                    p++;
                }
            }

            break;

        case '[':
        case '{':
            if (++depth > max) {
                return p;
            }

            break;

        case ']':
        case '}':
            if (depth) {
                depth--;
            }

            break;

        default:
            break;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_async_json_parse(u_char *data, u_char *last, json_t **value,
    ngx_http_async_json_error_t *error)
{
    json_error_t  jerror;

    ngx_memzero(&jerror, sizeof(json_error_t));

    /*
     * No JSON text has a zero byte, and jansson must not see one: behind a
     * number or a word it drops it (2.14: "[1\0]" loads as [1]).
     */

    if (memchr(data, '\0', last - data)) {
        jerror.text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_invalid_syntax;

    } else {
        *value = json_loadb((char *) data, last - data,
                            JSON_REJECT_DUPLICATES|JSON_DECODE_ANY, &jerror);
        if (*value) {
            return NGX_OK;
        }
    }

    return ngx_http_async_json_diagnose(data, last, &jerror, error);
}


/*
 * Everything here is off the usual way, so the text is read again from the
 * start: first as UTF-8, as Python decodes before it parses, then as JSON.
 */

static ngx_int_t
ngx_http_async_json_diagnose(u_char *data, u_char *last, json_error_t *jerror,
    ngx_http_async_json_error_t *error)
{
    u_char                      *p, *stop;
    size_t                       n;
    const char                  *text;
    ngx_http_async_json_scan_t   s;

    for (p = data; p < last; p += n) {
        n = ngx_http_async_value_utf8(p, last);

        if (n == 0) {
            return ngx_http_async_json_fault(error, NGX_HTTP_ASYNC_JSON_UTF8,
                                             "Invalid UTF-8", data, p);
        }
    }

    stop = NULL;
    text = "Malformed JSON";

    switch (json_error_code(jerror)) {

    case json_error_out_of_memory:
        return NGX_ERROR;

    case json_error_unknown:

        /* jansson leaves it at that when an allocation of its own fails */

        if (jerror->text[0] == '\0') {
            return NGX_ERROR;
        }

        break;

    case json_error_duplicate_key:
        stop = data + jerror->position;
        text = "Duplicate key";
        break;

    case json_error_numeric_overflow:
        stop = data + jerror->position;
        text = "Number out of range";
        break;

    default:
        break;
    }

    ngx_memzero(&s, sizeof(ngx_http_async_json_scan_t));

    s.p = data;
    s.last = last;
    s.token = data;

    if (ngx_http_async_json_scan(&s, stop) != NGX_OK) {
        return ngx_http_async_json_fault(error, s.kind, s.text, data, s.place);
    }

    return ngx_http_async_json_fault(error, NGX_HTTP_ASYNC_JSON_REFUSED, text,
                                     data, s.token);
}


static ngx_int_t
ngx_http_async_json_fault(ngx_http_async_json_error_t *error,
    ngx_http_async_json_problem_e kind, const char *text, u_char *data,
    u_char *place)
{
    u_char  *p;

    error->kind = kind;
    error->text = text;
    error->offset = place - data;
    error->position = 0;

    for (p = data; p < place; p++) {
        error->position += (*p & 0xc0) != 0x80;
    }

    return NGX_DECLINED;
}


/*
 * Finds the first error, or the token that ends at stop.  Takes what Python's
 * json.loads() takes and reports as it does, but for NaN and Infinity, which
 * are no values here, and for escapes that are no characters.  A state machine
 * of four states, which does not recur.
 */

static ngx_int_t
ngx_http_async_json_scan(ngx_http_async_json_scan_t *s, u_char *stop)
{
    u_char      c, stack[NGX_HTTP_ASYNC_JSON_MAX_DEPTH + 1];
    ngx_uint_t  depth;

    depth = 0;

value:

    ngx_http_async_json_scan_space(s);
    s->token = s->p;

    c = (s->p < s->last) ? *s->p : '\0';

    if ((c == '{' || c == '[') && depth < NGX_HTTP_ASYNC_JSON_MAX_DEPTH) {
        stack[++depth] = c;
        s->p++;
        ngx_http_async_json_scan_space(s);

        if (s->p < s->last && *s->p == c + 2) {    /* "{}", "[]" in ASCII */
            goto close;
        }

        if (c == '[') {
            goto value;
        }

        goto key;
    }

    if (ngx_http_async_json_scan_scalar(s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->p == stop) {
        return NGX_OK;
    }

next:

    ngx_http_async_json_scan_space(s);

    if (depth == 0) {
        return (s->p == s->last) ? NGX_OK
               : ngx_http_async_json_scan_fail(s, s->p, "Extra data");
    }

    c = (s->p < s->last) ? *s->p : '\0';

    if (c == stack[depth] + 2) {
        goto close;
    }

    if (c != ',') {
        return ngx_http_async_json_scan_fail(s, s->p,
                                             "Expecting ',' delimiter");
    }

    s->p++;

    if (stack[depth] == '[') {
        goto value;
    }

key:

    if (ngx_http_async_json_scan_key(s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->p == stop) {
        return NGX_OK;
    }

    ngx_http_async_json_scan_space(s);

    if (s->p == s->last || *s->p != ':') {
        return ngx_http_async_json_scan_fail(s, s->p,
                                             "Expecting ':' delimiter");
    }

    s->p++;
    goto value;

close:

    s->p++;
    depth--;
    goto next;
}


static ngx_int_t
ngx_http_async_json_scan_key(ngx_http_async_json_scan_t *s)
{
    ngx_http_async_json_scan_space(s);
    s->token = s->p;

    if (s->p == s->last || *s->p != '"') {
        return ngx_http_async_json_scan_fail(s, s->p,
                       "Expecting property name enclosed in double quotes");
    }

    return ngx_http_async_json_scan_string(s);
}


static ngx_int_t
ngx_http_async_json_scan_scalar(ngx_http_async_json_scan_t *s)
{
    size_t      left;
    ngx_uint_t  i;

    static ngx_str_t  words[] = {
        ngx_string("null"), ngx_string("true"), ngx_string("false")
    };

    left = s->last - s->p;

    if (left && *s->p == '"') {
        return ngx_http_async_json_scan_string(s);
    }

    for (i = 0; i < 3; i++) {

        if (left >= words[i].len
            && ngx_memcmp(s->p, words[i].data, words[i].len) == 0)
        {
            s->p += words[i].len;
            return NGX_OK;
        }
    }

    return ngx_http_async_json_scan_number(s);
}


/* stops where no number goes on, so that "01" and "1." have extra data */

static ngx_int_t
ngx_http_async_json_scan_number(ngx_http_async_json_scan_t *s)
{
    u_char  *p, *last;

    p = s->p;
    last = s->last;

    if (p < last && *p == '-') {
        p++;
    }

    if (p == last || !ngx_http_async_json_is_digit(*p)) {
        return ngx_http_async_json_scan_fail(s, s->p, "Expecting value");
    }

    if (*p++ != '0') {
        while (p < last && ngx_http_async_json_is_digit(*p)) {
            p++;
        }
    }

    s->p = p;

    if (last - p >= 2 && *p == '.' && ngx_http_async_json_is_digit(p[1])) {
        p++;

        while (p < last && ngx_http_async_json_is_digit(*p)) {
            p++;
        }

        s->p = p;
    }

    if (p < last && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < last && (*p == '-' || *p == '+')) {
            p++;
        }

        while (p < last && ngx_http_async_json_is_digit(*p)) {
            s->p = ++p;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_json_scan_string(ngx_http_async_json_scan_t *s)
{
    u_char  *start;

    start = s->p++;

    while (s->p < s->last) {

        if (*s->p == '"') {
            s->p++;
            return NGX_OK;
        }

        if (*s->p < 0x20) {
            return ngx_http_async_json_scan_fail(s, s->p,
                                                 "Invalid control character "
                                                 "at");
        }

        if (*s->p != '\\') {
            s->p++;
            continue;
        }

        if (s->last - s->p == 1) {
            break;
        }

        if (ngx_http_async_json_scan_escape(s) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_async_json_scan_fail(s, start,
                                         "Unterminated string starting at");
}


static ngx_int_t
ngx_http_async_json_scan_escape(ngx_http_async_json_scan_t *s)
{
    u_char     *p;
    ngx_int_t   c, low;

    p = s->p;

    if (p[1] != 'u') {
        if (ngx_strchr("\"\\/bfnrt", p[1]) == NULL || p[1] == '\0') {
            return ngx_http_async_json_scan_fail(s, p, "Invalid \\escape");
        }

        s->p += 2;
        return NGX_OK;
    }

    c = ngx_http_async_json_scan_hex(p + 2, s->last);

    if (c == NGX_ERROR) {
        return ngx_http_async_json_scan_fail(s, p + 1,
                                             "Invalid \\uXXXX escape");
    }

    s->p += 6;

    if (c >= 0xd800 && c <= 0xdbff
        && s->last - s->p >= 2 && s->p[0] == '\\' && s->p[1] == 'u')
    {
        low = ngx_http_async_json_scan_hex(s->p + 2, s->last);

        if (low >= 0xdc00 && low <= 0xdfff) {
            s->p += 6;
            return NGX_OK;
        }

        /* a second escape that is none at all is the nearer error */

        if (low == NGX_ERROR) {
            return ngx_http_async_json_scan_fail(s, s->p + 1,
                                                 "Invalid \\uXXXX escape");
        }
    }

    if (c == 0 || (c >= 0xd800 && c <= 0xdfff)) {
        s->kind = NGX_HTTP_ASYNC_JSON_REFUSED;
        s->text = c ? "Unpaired surrogate" : "\\u0000 is not allowed";
        s->place = p;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* as in Python, four digits at the very end of the text are no escape */

static ngx_int_t
ngx_http_async_json_scan_hex(u_char *p, u_char *last)
{
    if (last - p <= 4) {
        return NGX_ERROR;
    }

    return ngx_hextoi(p, 4);
}


static void
ngx_http_async_json_scan_space(ngx_http_async_json_scan_t *s)
{
    while (s->p < s->last
           && (*s->p == ' ' || *s->p == '\t' || *s->p == CR || *s->p == LF))
    {
        s->p++;
    }
}


static ngx_int_t
ngx_http_async_json_scan_fail(ngx_http_async_json_scan_t *s, u_char *place,
    const char *text)
{
    s->kind = NGX_HTTP_ASYNC_JSON_SYNTAX;
    s->text = text;
    s->place = place;

    return NGX_ERROR;
}


/*
 * The text grows on the stack, then outside the pool, where realloc() may
 * move pages instead of bytes, and is copied once, when its length is known.
 * The copy is cheaper than a pass for the length, which would walk the value
 * and read its strings twice.
 */

ngx_int_t
ngx_http_async_json_encode(ngx_pool_t *pool, json_t *value, ngx_str_t *text,
    const char **error)
{
    ngx_int_t                  rc;
    ngx_http_async_json_out_t  out;

    out.start = out.local;
    out.pos = out.local;
    out.end = out.local + NGX_HTTP_ASYNC_JSON_LOCAL;
    out.depth = 0;
    out.nframes = NGX_HTTP_ASYNC_JSON_FRAMES;
    out.frames = out.few;
    out.error = NULL;
    out.pool = pool;

    rc = ngx_http_async_json_write(&out, value);

    if (rc == NGX_OK) {
        text->len = out.pos - out.start;
        text->data = ngx_pnalloc(pool, text->len);

        if (text->data) {
            ngx_memcpy(text->data, out.start, text->len);

        } else {
            rc = ngx_http_async_json_no_memory(&out);
        }
    }

    if (out.start != out.local) {
        ngx_free(out.start);
    }

    if (out.frames != out.few) {
        ngx_free(out.frames);
    }

    *error = out.error;

    return rc;
}


static ngx_int_t
ngx_http_async_json_write(ngx_http_async_json_out_t *out, json_t *value)
{
    ngx_int_t  rc;

    do {
        rc = ngx_http_async_json_write_value(out, value);

        if (rc != NGX_OK) {
            return rc;
        }

        value = ngx_http_async_json_next(out);

    } while (value);

    return out->error ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_async_json_write_value(ngx_http_async_json_out_t *out, json_t *value)
{
    if (value == NULL) {
        out->error = "there is no value";
        return NGX_DECLINED;
    }

    switch (json_typeof(value)) {

    case JSON_OBJECT:
    case JSON_ARRAY:
        return ngx_http_async_json_open(out, value);

    case JSON_STRING:
        return ngx_http_async_json_write_string(out, json_string_value(value),
                                                json_string_length(value));

    case JSON_INTEGER:
        return ngx_http_async_json_write_int(out, json_integer_value(value));

    case JSON_REAL:
        return ngx_http_async_json_write_real(out, json_real_value(value));

    case JSON_TRUE:
        return ngx_http_async_json_write_word(out, "true", 4);

    case JSON_FALSE:
        return ngx_http_async_json_write_word(out, "false", 5);

    case JSON_NULL:
        return ngx_http_async_json_write_word(out, "null", 4);
    }

    out->error = "the value is of no JSON type";

    return NGX_DECLINED;
}


/*
 * Closes what is at its end; then writes what stands before the next value,
 * and returns that.  NULL: all is written, or out->error is set.
 */

static json_t *
ngx_http_async_json_next(ngx_http_async_json_out_t *out)
{
    json_t                       *value;
    ngx_http_async_json_frame_t  *frame;

    for (frame = &out->frames[out->depth]; out->depth; frame--, out->depth--) {

        if (ngx_http_async_json_reserve(out, 1) != NGX_OK) {
            return NULL;
        }

        if (frame->iter) {
            if (frame->index++) {
                *out->pos++ = ',';
            }

            if (ngx_http_async_json_write_string(out,
                                    json_object_iter_key(frame->iter),
                                    json_object_iter_key_len(frame->iter))
                != NGX_OK)
            {
                return NULL;
            }

            *out->pos++ = ':';

            value = json_object_iter_value(frame->iter);
            frame->iter = json_object_iter_next(frame->value, frame->iter);

            return value;
        }

        if (json_is_object(frame->value)) {
            *out->pos++ = '}';
            continue;
        }

        value = json_array_get(frame->value, frame->index);

        if (value) {
            if (frame->index++) {
                *out->pos++ = ',';
            }

            return value;
        }

        *out->pos++ = ']';
    }

    return NULL;
}


static ngx_int_t
ngx_http_async_json_open(ngx_http_async_json_out_t *out, json_t *value)
{
    ngx_http_async_json_frame_t  *frame, *frames;

    if (out->depth == NGX_HTTP_ASYNC_JSON_ENCODE_DEPTH) {
        out->error = "the value is nested more than 1000 levels deep, or holds "
                     "itself";
        return NGX_DECLINED;
    }

    if (ngx_http_async_json_reserve(out, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    if (out->depth == out->nframes) {
        frames = ngx_alloc((NGX_HTTP_ASYNC_JSON_ENCODE_DEPTH + 1)
                           * sizeof(ngx_http_async_json_frame_t),
                           out->pool->log);
        if (frames == NULL) {
            return ngx_http_async_json_no_memory(out);
        }

        ngx_memcpy(frames, out->few, sizeof(out->few));

        out->frames = frames;
        out->nframes = NGX_HTTP_ASYNC_JSON_ENCODE_DEPTH;
    }

    frame = &out->frames[++out->depth];

    frame->value = value;
    frame->index = 0;

    if (json_is_array(value)) {
        *out->pos++ = '[';
        frame->iter = NULL;

    } else {
        *out->pos++ = '{';
        frame->iter = json_object_iter(value);
    }

    return NGX_OK;
}


/*
 * Leaves room for one byte more: the colon behind a key.  What is rare is left
 * to another function, so that this one has nothing to save on the stack.
 */

static ngx_int_t
ngx_http_async_json_write_string(ngx_http_async_json_out_t *out,
    const char *data, size_t len)
{
    u_char        *q;
    size_t         n;
    const u_char  *p;

    q = out->pos;
    p = (const u_char *) data;

    if ((size_t) (out->end - q) < len + 3) {
        return ngx_http_async_json_write_rest(out, NULL, p, p + len);
    }

    *q++ = '"';

    n = ngx_http_async_json_plain(q, p, len);
    q += n;

    if (n != len) {
        return ngx_http_async_json_write_rest(out, q, p + n, p + len);
    }

    *q++ = '"';
    out->pos = q;

    return NGX_OK;
}


/* from where an escape is needed, or from the start, and then q is NULL */

static ngx_int_t
ngx_http_async_json_write_rest(ngx_http_async_json_out_t *out, u_char *q,
    const u_char *p, const u_char *last)
{
    size_t  n;

    if (q == NULL) {
        if (ngx_http_async_json_reserve(out, (last - p) + 3) != NGX_OK) {
            return NGX_ERROR;
        }

        q = out->pos;
        *q++ = '"';
    }

    for ( ;; ) {
        n = ngx_http_async_json_plain(q, p, last - p);

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


/*
 * Copies up to the first byte that needs an escape, eight at a time, and says
 * how many there were.  The last eight, or four and a few more, are taken as
 * pieces that overlap.
 */

static ngx_inline size_t
ngx_http_async_json_plain(u_char *q, const u_char *p, size_t len)
{
    size_t    n;
    uint32_t  head, tail;
    uint64_t  v;

    for (n = 0; n + 8 <= len; n += 8) {
        memcpy(&v, p + n, 8);

        if (ngx_http_async_json_special(v)) {
            goto special;
        }

        memcpy(q + n, &v, 8);
    }

    if (n) {
        memcpy(&v, p + len - 8, 8);

        if (!ngx_http_async_json_special(v)) {
            memcpy(q + len - 8, &v, 8);
            return len;
        }

    } else if (len >= 4) {
        memcpy(&head, p, 4);
        memcpy(&tail, p + len - 4, 4);

        if (!ngx_http_async_json_special(head | (uint64_t) tail << 32)) {
            memcpy(q, &head, 4);
            memcpy(q + len - 4, &tail, 4);
            return len;
        }
    }

special:

    for ( /* void */ ; n < len; n++) {
        if (p[n] < 0x20 || p[n] == '"' || p[n] == '\\') {
            break;
        }

        q[n] = p[n];
    }

    return n;
}


/* whether one of eight bytes needs an escape */

static ngx_inline ngx_uint_t
ngx_http_async_json_special(uint64_t v)
{
    uint64_t  borrow;

    /* a byte less than what is taken from it borrows into its top bit */

    borrow = (v - ngx_http_async_json_bytes(0x20))
             | ((v ^ ngx_http_async_json_bytes('"'))
                - ngx_http_async_json_bytes(1))
             | ((v ^ ngx_http_async_json_bytes('\\'))
                - ngx_http_async_json_bytes(1));

    /* unless that was set before, and is now: no ASCII */

    return (borrow & ~v & ngx_http_async_json_bytes(0x80)) != 0;
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


static ngx_int_t
ngx_http_async_json_write_word(ngx_http_async_json_out_t *out,
    const char *word, size_t len)
{
    if (ngx_http_async_json_reserve(out, len) != NGX_OK) {
        return NGX_ERROR;
    }

    out->pos = ngx_cpymem(out->pos, word, len);

    return NGX_OK;
}


static ngx_int_t
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


static ngx_int_t
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


static ngx_int_t
ngx_http_async_json_grow(ngx_http_async_json_out_t *out, size_t len)
{
    size_t   size, used;
    u_char  *p;

    used = out->pos - out->start;
    size = 2 * (out->end - out->start);

    if (size < used + len) {
        size = used + len;
    }

    p = realloc((out->start == out->local) ? NULL : out->start, size);
    if (p == NULL) {
        return ngx_http_async_json_no_memory(out);
    }

    if (out->start == out->local) {
        ngx_memcpy(p, out->local, used);
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


u_char *
ngx_http_async_json_double(u_char *p, double value)
{
    ngx_http_async_json_decimal_t  d;

    if (signbit(value)) {
        *p++ = '-';
        value = -value;
    }

    if (ngx_http_async_json_short(&d, value) != NGX_OK) {
        ngx_http_async_json_long(&d, value);
    }

    return ngx_http_async_json_layout(p, &d);
}


/*
 * The usual case, without printf: an integer below 10^15 over an exact power
 * of ten.  The quotient is the correctly rounded value of that decimal, so
 * equality proves the round trip; and of the decimals of 15 digits or less no
 * two give the same double, so the first one found is the shortest.
 */

static ngx_int_t
ngx_http_async_json_short(ngx_http_async_json_decimal_t *d, double value)
{
    double      scaled;
    uint64_t    n;
    ngx_uint_t  i;

    static const double  powers[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
    };

    for (i = 0; i < sizeof(powers) / sizeof(powers[0]); i++) {
        scaled = value * powers[i];

        if (scaled >= 1e15) {
            return NGX_DECLINED;
        }

        n = (uint64_t) (scaled + 0.5);

        if ((double) n / powers[i] == value) {
            d->ndigits = ngx_http_async_json_digits(d->digits, n) - d->digits;
            d->point = d->ndigits - (ngx_int_t) i;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* the rest: more and more digits until the round trip holds */

static void
ngx_http_async_json_long(ngx_http_async_json_decimal_t *d, double value)
{
    int        exponent;
    ngx_int_t  n, power;

    /* a subnormal has few digits that count: 5e-324 is one */

    n = (value < DBL_MIN) ? 1 : 15;

    /* where the short way was open, it has tried 15 digits */

    if (value >= 1e-7 && value < 1e15) {
        n = 16;
    }

    /*
     * Below a power of two doubles lie twice as close as above: the nearest
     * decimal, if lower, may belong to another double, when the next higher
     * one does not.
     */

    power = (frexp(value, &exponent) == 0.5);

    for ( /* void */ ; n < 17; n++) {
        ngx_http_async_json_round(d, value, n);

        if (ngx_http_async_json_read(d) == value) {
            break;
        }

        if (power && d->digits[n - 1] != '9') {
            d->digits[n - 1]++;

            if (ngx_http_async_json_read(d) == value) {
                break;
            }
        }
    }

    if (n == 17) {
        ngx_http_async_json_round(d, value, n);
    }

    while (d->ndigits > 1 && d->digits[d->ndigits - 1] == '0') {
        d->ndigits--;
    }
}


/* the locale's point may be any bytes: only digits are taken */

static void
ngx_http_async_json_round(ngx_http_async_json_decimal_t *d, double value,
    ngx_int_t ndigits)
{
    char  *p, text[64];

    snprintf(text, sizeof(text), "%.*e", (int) ndigits - 1, value);

    d->ndigits = 0;

    for (p = text; *p != 'e'; p++) {
        if (ngx_http_async_json_is_digit(*p)) {
            d->digits[d->ndigits++] = *p;
        }
    }

    d->point = atoi(p + 1) + 1;
}


/* and what is read back has no point at all */

static double
ngx_http_async_json_read(ngx_http_async_json_decimal_t *d)
{
    u_char     *p, text[64];
    ngx_int_t   exponent;

    exponent = d->point - d->ndigits;

    p = ngx_cpymem(text, d->digits, d->ndigits);
    *p++ = 'e';
    *p++ = (exponent < 0) ? '-' : '+';
    p = ngx_http_async_json_digits(p, ngx_abs(exponent));
    *p = '\0';

    return strtod((char *) text, NULL);
}


/* repr(): positional from 1e-04 up to 1e+16, always with a point or "e" */

static u_char *
ngx_http_async_json_layout(u_char *p, ngx_http_async_json_decimal_t *d)
{
    ngx_int_t  n, exponent;

    if (d->point > 16 || d->point <= -4) {
        *p++ = d->digits[0];

        if (d->ndigits > 1) {
            *p++ = '.';
            p = ngx_cpymem(p, &d->digits[1], d->ndigits - 1);
        }

        exponent = d->point - 1;

        *p++ = 'e';
        *p++ = (exponent < 0) ? '-' : '+';
        exponent = ngx_abs(exponent);

        if (exponent < 10) {
            *p++ = '0';
        }

        return ngx_http_async_json_digits(p, exponent);
    }

    if (d->point <= 0) {
        p = ngx_cpymem(p, "0.", 2);
        ngx_memset(p, '0', -d->point);

        return ngx_cpymem(p - d->point, d->digits, d->ndigits);
    }

    n = ngx_min(d->point, d->ndigits);
    p = ngx_cpymem(p, d->digits, n);
    ngx_memset(p, '0', d->point - n);
    p += d->point - n;
    *p++ = '.';

    if (n == d->ndigits) {
        *p++ = '0';
        return p;
    }

    return ngx_cpymem(p, &d->digits[n], d->ndigits - n);
}


static u_char *
ngx_http_async_json_digits(u_char *p, uint64_t n)
{
    u_char  *q, text[NGX_INT64_LEN + 1];

    q = text + sizeof(text);

    do {
        *--q = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return ngx_cpymem(p, q, text + sizeof(text) - q);
}
