
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON text read in place: see ngx_http_async_json_read.h.
 */

#include <float.h>
#include <ngx_http_async_json_write.h>
#include <ngx_http_async_json_read.h>
#include <ngx_http_async_value.h>


/* to compare them all would take longer than to sort them */
#define NGX_HTTP_ASYNC_JSON_SORTED  8

/* the powers of ten that a double has exactly */
#define NGX_HTTP_ASYNC_JSON_TENS    22

/* a number of less digits and exponent than that is not beyond a double */
#define NGX_HTTP_ASYNC_JSON_HUGE    300

#define ngx_http_async_json_is_digit(c)  ((u_char) ((c) - '0') < 10)


static u_char *ngx_http_async_json_plain_end(u_char *p, u_char *last);
static ngx_int_t ngx_http_async_json_escape(ngx_http_async_json_in_t *in);
static ngx_int_t ngx_http_async_json_hex4(ngx_http_async_json_in_t *in);
static u_char *ngx_http_async_json_all_digits(u_char *p, u_char *last,
    ngx_http_async_json_number_t *n);
static ngx_int_t ngx_http_async_json_exponent(ngx_http_async_json_in_t *in,
    ngx_http_async_json_number_t *n);
static ngx_int_t ngx_http_async_json_skip_scalar(
    ngx_http_async_json_in_t *in);
static ngx_int_t ngx_http_async_json_skip_key(ngx_http_async_json_in_t *in);
static int ngx_http_async_json_compare(const void *one, const void *two);
static u_char *ngx_http_async_json_utf8(u_char *to, uint32_t c);


void
ngx_http_async_json_in(ngx_http_async_json_in_t *in, ngx_pool_t *pool,
    ngx_str_t *text)
{
    in->p = text->data;
    in->last = text->data + text->len;
    in->depth = 0;
    in->pool = pool;
    in->keys = in->few;
    in->nkeys = 0;
    in->nalloc = NGX_HTTP_ASYNC_JSON_KEYS;

    if (text->len >= 3 && ngx_memcmp(in->p, "\xef\xbb\xbf", 3) == 0) {
        in->p += 3;
    }
}


ngx_int_t
ngx_http_async_json_string(ngx_http_async_json_in_t *in,
    ngx_http_async_json_string_t *s)
{
    size_t   len;
    u_char  *p;

    s->raw.data = ++in->p;
    s->escaped = 0;

    for ( ;; ) {
        p = ngx_http_async_json_plain_end(in->p, in->last);
        in->p = p;

        if (p == in->last || *p < ' ') {
            return NGX_HTTP_ASYNC_JSON_REFUSE;
        }

        if (*p == '"') {
            break;
        }

        if (*p == '\\') {
            s->escaped = 1;

            if (ngx_http_async_json_escape(in) != NGX_OK) {
                return NGX_HTTP_ASYNC_JSON_REFUSE;
            }

            continue;
        }

        len = ngx_http_async_value_utf8(p, in->last);

        if (len == 0) {
            return NGX_HTTP_ASYNC_JSON_REFUSE;
        }

        in->p += len;
    }

    s->raw.len = p - s->raw.data;
    in->p++;

    return NGX_OK;
}


/* up to what ends a string, is an escape, or is no ASCII */

static u_char *
ngx_http_async_json_plain_end(u_char *p, u_char *last)
{
    uint64_t  v;

    while (last - p >= 8) {
        ngx_memcpy(&v, p, 8);
        v = ngx_http_async_json_special(v, 1);

        if (v) {
#if (NGX_HAVE_LITTLE_ENDIAN)
            return p + __builtin_ctzll(v) / 8;
#else
            break;
#endif
        }

        p += 8;
    }

    while (p < last && *p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


static ngx_int_t
ngx_http_async_json_escape(ngx_http_async_json_in_t *in)
{
    ngx_int_t  c, low;

    /* nothing ends with an escape: a quote comes behind it */

    if (in->last - in->p < 3) {
        return NGX_DECLINED;
    }

    switch (in->p[1]) {

    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r':
    case 't':
        in->p += 2;
        return NGX_OK;

    case 'u':
        break;

    default:
        return NGX_DECLINED;
    }

    c = ngx_http_async_json_hex4(in);

    if (c <= 0 || (c >= 0xdc00 && c <= 0xdfff)) {
        return NGX_DECLINED;
    }

    if (c < 0xd800 || c > 0xdfff) {
        return NGX_OK;
    }

    low = ngx_http_async_json_hex4(in);

    return (low >= 0xdc00 && low <= 0xdfff) ? NGX_OK : NGX_DECLINED;
}


/* NGX_ERROR: that is no \uXXXX */

static ngx_int_t
ngx_http_async_json_hex4(ngx_http_async_json_in_t *in)
{
    if (in->last - in->p < 6 || in->p[0] != '\\' || in->p[1] != 'u') {
        return NGX_ERROR;
    }

    in->p += 6;

    return ngx_hextoi(in->p - 4, 4);
}


ngx_int_t
ngx_http_async_json_number(ngx_http_async_json_in_t *in,
    ngx_http_async_json_number_t *n)
{
    double   value;
    u_char  *p, *start;

    n->text.data = in->p;
    n->digits = 0;
    n->ndigits = 0;
    n->exponent = 0;
    n->negative = (*in->p == '-');
    n->real = 0;

    start = in->p + n->negative;
    p = ngx_http_async_json_all_digits(start, in->last, n);

    if (p == start || (*start == '0' && p > start + 1)) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    if (p < in->last && *p == '.') {
        start = p + 1;
        p = ngx_http_async_json_all_digits(start, in->last, n);

        if (p == start) {
            return NGX_HTTP_ASYNC_JSON_REFUSE;
        }

        n->exponent = start - p;
        n->real = 1;
    }

    in->p = p;

    if (p < in->last && (*p == 'e' || *p == 'E')) {
        n->real = 1;

        if (ngx_http_async_json_exponent(in, n) != NGX_OK) {
            return NGX_HTTP_ASYNC_JSON_REFUSE;
        }
    }

    n->text.len = in->p - n->text.data;

    return (n->exponent + (int64_t) n->ndigits < NGX_HTTP_ASYNC_JSON_HUGE
            || ngx_http_async_json_real(n, &value) == NGX_OK)
           ? NGX_OK : NGX_HTTP_ASYNC_JSON_REFUSE;
}


/* leading zeros are no digits that count */

static u_char *
ngx_http_async_json_all_digits(u_char *p, u_char *last,
    ngx_http_async_json_number_t *n)
{
    uint64_t    digits;
    ngx_uint_t  ndigits;

    digits = n->digits;
    ndigits = n->ndigits;

    for ( /* void */ ; p < last && ngx_http_async_json_is_digit(*p); p++) {
        digits = digits * 10 + (*p - '0');
        ndigits += (ndigits || *p != '0');
    }

    n->digits = digits;
    n->ndigits = ndigits;

    return p;
}


static ngx_int_t
ngx_http_async_json_exponent(ngx_http_async_json_in_t *in,
    ngx_http_async_json_number_t *n)
{
    u_char   *p, *start;
    int64_t   exponent;
    ngx_int_t sign;

    p = in->p + 1;
    sign = 1;

    if (p < in->last && (*p == '-' || *p == '+')) {
        sign = (*p++ == '-') ? -1 : 1;
    }

    start = p;
    exponent = 0;

    for ( /* void */ ; p < in->last && ngx_http_async_json_is_digit(*p); p++)
    {
        /* it stays above what any number of digits can make up for */

        if (exponent < INT64_MAX / 100) {
            exponent = exponent * 10 + (*p - '0');
        }
    }

    if (p == start) {
        return NGX_DECLINED;
    }

    in->p = p;
    n->exponent += sign * exponent;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_json_integer(ngx_http_async_json_number_t *n, int64_t *value)
{
    ngx_http_async_value_error_t  error;

    if (n->ndigits > 18) {
        return ngx_http_async_value_int(&n->text, value, &error);
    }

    *value = n->negative ? -(int64_t) n->digits : (int64_t) n->digits;

    return NGX_OK;
}


/*
 * Exact if both the digits and the power of ten are doubles: one operation
 * rounds once (W. D. Clinger, 1990).  What is rarer takes the slow way.
 */

ngx_int_t
ngx_http_async_json_real(ngx_http_async_json_number_t *n, double *value)
{
    double                        d;
    ngx_http_async_value_error_t  error;

    static const double  tens[NGX_HTTP_ASYNC_JSON_TENS + 1] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
        1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
    };

    if (FLT_EVAL_METHOD != 0 || n->ndigits > 15
        || n->exponent < -NGX_HTTP_ASYNC_JSON_TENS
        || n->exponent > NGX_HTTP_ASYNC_JSON_TENS)
    {
        return ngx_http_async_value_float(&n->text, value, &error);
    }

    d = (double) n->digits;

    if (n->exponent < 0) {
        d /= tens[-n->exponent];

    } else {
        d *= tens[n->exponent];
    }

    *value = n->negative ? -d : d;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_json_word(ngx_http_async_json_in_t *in, const char *word,
    size_t len)
{
    if ((size_t) (in->last - in->p) < len
        || ngx_memcmp(in->p, word, len) != 0)
    {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    in->p += len;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_json_key(ngx_http_async_json_in_t *in, ngx_str_t *key)
{
    u_char                        *text;
    ngx_int_t                      rc;
    ngx_http_async_json_string_t   s;

    ngx_http_async_json_space(in);

    if (!ngx_http_async_json_next_is(in, '"')) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    rc = ngx_http_async_json_string(in, &s);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_async_json_space(in);

    if (!ngx_http_async_json_next_is(in, ':')) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    in->p++;
    *key = s.raw;

    if (!s.escaped) {
        return NGX_OK;
    }

    text = ngx_pnalloc(in->pool, s.raw.len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    key->data = text;
    key->len = ngx_http_async_json_unescape(&s.raw, text);

    return NGX_OK;
}


/* a state machine, which does not recur */

ngx_int_t
ngx_http_async_json_skip(ngx_http_async_json_in_t *in)
{
    u_char      c, open[NGX_HTTP_ASYNC_JSON_DEPTH + 1];
    size_t      first[NGX_HTTP_ASYNC_JSON_DEPTH + 1];
    ngx_int_t   rc;
    ngx_uint_t  base;

    base = in->depth;

value:

    ngx_http_async_json_space(in);

    c = (in->p < in->last) ? *in->p : '\0';

    if (c == '{' || c == '[') {
        if (ngx_http_async_json_enter(in) != NGX_OK) {
            return NGX_HTTP_ASYNC_JSON_REFUSE;
        }

        open[in->depth] = c;
        first[in->depth] = in->nkeys;

        ngx_http_async_json_space(in);

        if (ngx_http_async_json_next_is(in, c + 2)) {  /* "{}", "[]" in ASCII */
            in->p++;
            goto close;
        }

        goto member;
    }

    rc = ngx_http_async_json_skip_scalar(in);
    if (rc != NGX_OK) {
        return rc;
    }

next:

    if (in->depth == base) {
        return NGX_OK;
    }

    ngx_http_async_json_space(in);

    c = (in->p < in->last) ? *in->p++ : '\0';

    if (c == open[in->depth] + 2) {
        goto close;
    }

    if (c != ',') {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

member:

    if (open[in->depth] == '{') {
        rc = ngx_http_async_json_skip_key(in);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    goto value;

close:

    if (ngx_http_async_json_forget(in, first[in->depth]) != NGX_OK) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    ngx_http_async_json_leave(in);
    goto next;
}


static ngx_int_t
ngx_http_async_json_skip_scalar(ngx_http_async_json_in_t *in)
{
    ngx_http_async_json_string_t  s;
    ngx_http_async_json_number_t  n;

    switch ((in->p < in->last) ? *in->p : '\0') {

    case '"':
        return ngx_http_async_json_string(in, &s);

    case 'n':
        return ngx_http_async_json_word(in, "null", 4);

    case 't':
        return ngx_http_async_json_word(in, "true", 4);

    case 'f':
        return ngx_http_async_json_word(in, "false", 5);

    case '-': case '0': case '1': case '2': case '3': case '4': case '5':
    case '6': case '7': case '8': case '9':
        return ngx_http_async_json_number(in, &n);

    default:
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }
}


static ngx_int_t
ngx_http_async_json_skip_key(ngx_http_async_json_in_t *in)
{
    ngx_int_t  rc;
    ngx_str_t  key;

    rc = ngx_http_async_json_key(in, &key);

    return (rc == NGX_OK) ? ngx_http_async_json_keep(in, &key) : rc;
}


ngx_int_t
ngx_http_async_json_enter(ngx_http_async_json_in_t *in)
{
    if (in->depth == NGX_HTTP_ASYNC_JSON_DEPTH) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    in->depth++;
    in->p++;

    return NGX_OK;
}


void
ngx_http_async_json_leave(ngx_http_async_json_in_t *in)
{
    in->depth--;
}


ngx_int_t
ngx_http_async_json_keep(ngx_http_async_json_in_t *in, ngx_str_t *key)
{
    ngx_str_t  *keys;

    if (in->nkeys == in->nalloc) {
        keys = ngx_palloc(in->pool, 2 * in->nalloc * sizeof(ngx_str_t));
        if (keys == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(keys, in->keys, in->nkeys * sizeof(ngx_str_t));

        if (in->keys != in->few) {
            (void) ngx_pfree(in->pool, in->keys);
        }

        in->keys = keys;
        in->nalloc *= 2;
    }

    in->keys[in->nkeys++] = *key;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_json_forget(ngx_http_async_json_in_t *in, size_t first)
{
    size_t      i, j, n;
    ngx_str_t  *keys;

    keys = in->keys + first;
    n = in->nkeys - first;
    in->nkeys = first;

    if (n > NGX_HTTP_ASYNC_JSON_SORTED) {

        qsort(keys, n, sizeof(ngx_str_t), ngx_http_async_json_compare);

        for (i = 1; i < n; i++) {
            if (ngx_http_async_json_compare(&keys[i - 1], &keys[i]) == 0) {
                return NGX_HTTP_ASYNC_JSON_REFUSE;
            }
        }

        return NGX_OK;
    }

    for (i = 1; i < n; i++) {
        for (j = 0; j < i; j++) {
            if (ngx_http_async_json_compare(&keys[i], &keys[j]) == 0) {
                return NGX_HTTP_ASYNC_JSON_REFUSE;
            }
        }
    }

    return NGX_OK;
}


static int
ngx_http_async_json_compare(const void *one, const void *two)
{
    const ngx_str_t  *a = one, *b = two;

    if (a->len != b->len) {
        return (a->len < b->len) ? -1 : 1;
    }

    return ngx_memcmp(a->data, b->data, a->len);
}


/* the escapes have been found to be right */

size_t
ngx_http_async_json_unescape(ngx_str_t *raw, u_char *to)
{
    u_char    *p, *q, *last, *escape;
    uint32_t   c;

    q = to;
    last = raw->data + raw->len;

    for (p = raw->data; p < last; /* void */ ) {

        escape = ngx_strlchr(p, last, '\\');
        if (escape == NULL) {
            escape = last;
        }

        q = ngx_cpymem(q, p, escape - p);
        p = escape;

        if (p == last) {
            break;
        }

        p += 2;

        switch (p[-1]) {

        case 'b':
            *q++ = '\b';
            break;

        case 'f':
            *q++ = '\f';
            break;

        case 'n':
            *q++ = '\n';
            break;

        case 'r':
            *q++ = '\r';
            break;

        case 't':
            *q++ = '\t';
            break;

        case 'u':
            c = (uint32_t) ngx_hextoi(p, 4);
            p += 4;

            if (c >= 0xd800 && c <= 0xdbff) {
                c = 0x10000 + ((c & 0x3ff) << 10)
                    + ((uint32_t) ngx_hextoi(p + 2, 4) & 0x3ff);
                p += 6;
            }

            q = ngx_http_async_json_utf8(q, c);
            break;

        default: /* '"', '\\', '/' */
            *q++ = p[-1];
            break;
        }
    }

    return q - to;
}


static u_char *
ngx_http_async_json_utf8(u_char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (u_char) c;
        return to;
    }

    if (c < 0x800) {
        *to++ = (u_char) (0xc0 | (c >> 6));

    } else if (c < 0x10000) {
        *to++ = (u_char) (0xe0 | (c >> 12));
        *to++ = (u_char) (0x80 | ((c >> 6) & 0x3f));

    } else {
        *to++ = (u_char) (0xf0 | (c >> 18));
        *to++ = (u_char) (0x80 | ((c >> 12) & 0x3f));
        *to++ = (u_char) (0x80 | ((c >> 6) & 0x3f));
    }

    *to++ = (u_char) (0x80 | (c & 0x3f));

    return to;
}
