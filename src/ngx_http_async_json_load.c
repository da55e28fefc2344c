
/*
 * jansson parses; this file bounds what it is given, and says what was wrong
 * in Python's words.  Called for bodies; must not know whose they are.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_async_value.h>
#include <ngx_http_async_json.h>


/* an integer of less bytes is within int64_t */
#define NGX_HTTP_ASYNC_JSON_MANY  19

#define ngx_http_async_json_is_digit(c)  ((c) >= '0' && (c) <= '9')


typedef enum {
    NGX_HTTP_ASYNC_JSON_SCAN_VALUE = 0,       /* one begins                 */
    NGX_HTTP_ASYNC_JSON_SCAN_KEY,             /* one begins                 */
    NGX_HTTP_ASYNC_JSON_SCAN_NEXT             /* a value has ended          */
} ngx_http_async_json_scan_e;


/* reads a faulty text once more, to find the place */

typedef struct {
    u_char                         *p;
    u_char                         *last;
    u_char                         *token;    /* the start of the last one  */
    u_char                         *place;    /* of the error               */
    const char                     *text;     /* NULL: no error so far      */
    ngx_http_async_json_problem_e   kind;

    u_char                         *stop;     /* or NULL                    */
    ngx_http_async_json_scan_e      state;
    ngx_uint_t                      depth;
    u_char                          stack[NGX_HTTP_ASYNC_JSON_MAX_DEPTH + 1];
} ngx_http_async_json_scan_t;


static u_char *ngx_http_async_json_depth(u_char *p, u_char *last,
    ngx_uint_t max);
static ngx_int_t ngx_http_async_json_parse(u_char *data, u_char *last,
    json_t **value, ngx_http_async_json_error_t *error);
static ngx_int_t ngx_http_async_json_diagnose(u_char *data, u_char *last,
    json_error_t *jerror, ngx_http_async_json_error_t *error);
static ngx_int_t ngx_http_async_json_fault(ngx_http_async_json_error_t *error,
    ngx_http_async_json_problem_e kind, const char *text, u_char *data,
    u_char *place);
static ngx_int_t ngx_http_async_json_scan(ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_value(
    ngx_http_async_json_scan_t *s);
static void ngx_http_async_json_scan_open(ngx_http_async_json_scan_t *s,
    u_char c);
static void ngx_http_async_json_scan_close(ngx_http_async_json_scan_t *s);
static ngx_int_t ngx_http_async_json_scan_next(ngx_http_async_json_scan_t *s);
static u_char *ngx_http_async_json_as_reals(u_char *d, u_char *p,
    u_char *last);
static u_char *ngx_http_async_json_past_string(u_char *p, u_char *last);
static u_char *ngx_http_async_json_past_number(u_char *p, u_char *last,
    ngx_uint_t *beyond);
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


/* as reals, such integers have an exponent */

ngx_int_t
ngx_http_async_json_wide(ngx_pool_t *pool, u_char *data, size_t len,
    json_t **value)
{
    u_char                       *copy, *end;
    ngx_int_t                     rc;
    ngx_http_async_json_error_t   error;

    rc = ngx_http_async_json_load(data, len, 0, value, &error);

    if (rc != NGX_DECLINED || error.kind != NGX_HTTP_ASYNC_JSON_REFUSED) {
        return rc;
    }

    copy = ngx_pnalloc(pool, len + 2 * (len / NGX_HTTP_ASYNC_JSON_MANY + 1));
    if (copy == NULL) {
        return NGX_ERROR;
    }

    end = ngx_http_async_json_as_reals(copy, data, data + len);

    rc = ngx_http_async_json_load(copy, end - copy, 0, value, &error);

    (void) ngx_pfree(pool, copy);

    return rc;
}


static u_char *
ngx_http_async_json_as_reals(u_char *d, u_char *p, u_char *last)
{
    u_char      *start;
    ngx_uint_t   beyond;

    while (p < last) {
        start = p;

        if (*p == '"') {
            p = ngx_http_async_json_past_string(p, last);
            d = ngx_cpymem(d, start, p - start);

        } else if (*p == '-' || ngx_http_async_json_is_digit(*p)) {
            p = ngx_http_async_json_past_number(p, last, &beyond);
            d = ngx_cpymem(d, start, p - start);

            if (beyond) {
                *d++ = 'e';
                *d++ = '0';
            }

        } else {
            *d++ = *p++;
        }
    }

    return d;
}


static u_char *
ngx_http_async_json_past_string(u_char *p, u_char *last)
{
    for (p++; p < last && *p != '"'; p++) {
        if (*p == '\\') {
            p++;
        }
    }

    return (p < last) ? p + 1 : last;
}


static u_char *
ngx_http_async_json_past_number(u_char *p, u_char *last, ngx_uint_t *beyond)
{
    int64_t                        value;
    ngx_str_t                      text;
    ngx_uint_t                     real;
    ngx_http_async_value_error_t   error;

    text.data = p;
    real = 0;

    for ( /* void */ ; p < last; p++) {

        if (*p == '.' || *p == 'e' || *p == 'E') {
            real = 1;

        } else if (*p != '-' && *p != '+'
                   && !ngx_http_async_json_is_digit(*p))
        {
            break;
        }
    }

    text.len = p - text.data;

    *beyond = !real && text.len >= NGX_HTTP_ASYNC_JSON_MANY
              && ngx_http_async_value_int(&text, &value, &error) != NGX_OK;

    return p;
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
    s.stop = stop;

    if (ngx_http_async_json_scan(&s) != NGX_OK) {
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
 * are no values here, and for escapes that are no characters.  A state machine,
 * which does not recur; each state's function gives NGX_AGAIN to go on.
 */

static ngx_int_t
ngx_http_async_json_scan(ngx_http_async_json_scan_t *s)
{
    ngx_int_t  rc;

    do {
        ngx_http_async_json_scan_space(s);

        switch (s->state) {

        case NGX_HTTP_ASYNC_JSON_SCAN_VALUE:
            rc = ngx_http_async_json_scan_value(s);
            break;

        case NGX_HTTP_ASYNC_JSON_SCAN_KEY:
            rc = ngx_http_async_json_scan_key(s);
            break;

        default: /* NGX_HTTP_ASYNC_JSON_SCAN_NEXT */
            rc = ngx_http_async_json_scan_next(s);
        }

    } while (rc == NGX_AGAIN);

    return rc;
}


static ngx_int_t
ngx_http_async_json_scan_value(ngx_http_async_json_scan_t *s)
{
    u_char  c;

    s->token = s->p;

    c = (s->p < s->last) ? *s->p : '\0';

    if ((c == '{' || c == '[') && s->depth < NGX_HTTP_ASYNC_JSON_MAX_DEPTH) {
        ngx_http_async_json_scan_open(s, c);
        return NGX_AGAIN;
    }

    if (ngx_http_async_json_scan_scalar(s) != NGX_OK) {
        return NGX_ERROR;
    }

    s->state = NGX_HTTP_ASYNC_JSON_SCAN_NEXT;

    return (s->p == s->stop) ? NGX_OK : NGX_AGAIN;
}


static void
ngx_http_async_json_scan_open(ngx_http_async_json_scan_t *s, u_char c)
{
    s->stack[++s->depth] = c;
    s->p++;

    ngx_http_async_json_scan_space(s);

    if (s->p < s->last && *s->p == c + 2) {    /* "{}", "[]" in ASCII */
        ngx_http_async_json_scan_close(s);
        return;
    }

    s->state = (c == '[') ? NGX_HTTP_ASYNC_JSON_SCAN_VALUE
                          : NGX_HTTP_ASYNC_JSON_SCAN_KEY;
}


static void
ngx_http_async_json_scan_close(ngx_http_async_json_scan_t *s)
{
    s->p++;
    s->depth--;
    s->state = NGX_HTTP_ASYNC_JSON_SCAN_NEXT;
}


static ngx_int_t
ngx_http_async_json_scan_next(ngx_http_async_json_scan_t *s)
{
    u_char  c;

    if (s->depth == 0) {
        return (s->p == s->last) ? NGX_OK
               : ngx_http_async_json_scan_fail(s, s->p, "Extra data");
    }

    c = (s->p < s->last) ? *s->p : '\0';

    if (c == s->stack[s->depth] + 2) {
        ngx_http_async_json_scan_close(s);
        return NGX_AGAIN;
    }

    if (c != ',') {
        return ngx_http_async_json_scan_fail(s, s->p,
                                             "Expecting ',' delimiter");
    }

    s->p++;
    s->state = (s->stack[s->depth] == '[') ? NGX_HTTP_ASYNC_JSON_SCAN_VALUE
                                           : NGX_HTTP_ASYNC_JSON_SCAN_KEY;
    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_async_json_scan_key(ngx_http_async_json_scan_t *s)
{
    s->token = s->p;

    if (s->p == s->last || *s->p != '"') {
        return ngx_http_async_json_scan_fail(s, s->p,
                       "Expecting property name enclosed in double quotes");
    }

    if (ngx_http_async_json_scan_string(s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->p == s->stop) {
        return NGX_OK;
    }

    ngx_http_async_json_scan_space(s);

    if (s->p == s->last || *s->p != ':') {
        return ngx_http_async_json_scan_fail(s, s->p,
                                             "Expecting ':' delimiter");
    }

    s->p++;
    s->state = NGX_HTTP_ASYNC_JSON_SCAN_VALUE;

    return NGX_AGAIN;
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
