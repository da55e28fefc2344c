
/*
 * Integers, numbers and booleans from text as pydantic 2 (its Rust core) reads
 * them in lax mode, and what is UTF-8.  Called by parameters and models; must
 * not know where the text came from nor how an error is shown.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <float.h>
#include <ngx_http_async_value.h>


/* more digits than these cannot change a rounding but by being there */

#define NGX_HTTP_ASYNC_VALUE_DIGITS  780

#define ngx_http_async_value_is_digit(c)  ((c) >= '0' && (c) <= '9')


typedef struct {
    ngx_str_t   type;
    ngx_str_t   msg;
} ngx_http_async_value_problem_t;


/* the digits of a decimal number without its point, for strtod() */

typedef struct {
    u_char      digits[NGX_HTTP_ASYNC_VALUE_DIGITS + sizeof("e")
                       + NGX_INT64_LEN];
    ngx_uint_t  ndigits;
    int64_t     exponent;      /* of the last digit kept */
} ngx_http_async_decimal_t;


static ngx_int_t ngx_http_async_value_fail(
    ngx_http_async_value_error_t *error,
    ngx_http_async_value_problem_t *problem);

static ngx_inline ngx_uint_t ngx_http_async_value_plain(ngx_str_t *text,
    int64_t *value);
static void ngx_http_async_value_trim(ngx_str_t *text);
static size_t ngx_http_async_value_space(u_char *p, u_char *last);
static u_char *ngx_http_async_value_zeros(u_char *p, u_char *last);
static u_char *ngx_http_async_value_digits(u_char *p, u_char *last,
    uint64_t *value, ngx_uint_t *overflow);
static ngx_uint_t ngx_http_async_value_fraction(u_char *p, u_char *last);

static ngx_uint_t ngx_http_async_value_short(ngx_str_t *text, double *value);
static ngx_int_t ngx_http_async_value_underscores(ngx_str_t *text);
static ngx_uint_t ngx_http_async_value_not_finite(ngx_str_t *text);
static ngx_int_t ngx_http_async_value_decimal(ngx_http_async_decimal_t *d,
    u_char *p, u_char *last);
static void ngx_http_async_value_digit(ngx_http_async_decimal_t *d, u_char c);
static u_char *ngx_http_async_value_exponent(u_char *p, u_char *last,
    int64_t *exponent);
static ngx_uint_t ngx_http_async_value_sign(u_char **p, u_char *last);
static u_char *ngx_http_async_value_skip(u_char *p, u_char *last);



static ngx_http_async_value_problem_t  ngx_http_async_int_parsing = {
    ngx_string("int_parsing"),
    ngx_string("Input should be a valid integer, unable to parse string as an "
               "integer")
};

static ngx_http_async_value_problem_t  ngx_http_async_int_parsing_size = {
    ngx_string("int_parsing_size"),
    ngx_string("Unable to parse input string as an integer, exceeded maximum "
               "size")
};

static ngx_http_async_value_problem_t  ngx_http_async_float_parsing = {
    ngx_string("float_parsing"),
    ngx_string("Input should be a valid number, unable to parse string as a "
               "number")
};

static ngx_http_async_value_problem_t  ngx_http_async_finite_number = {
    ngx_string("finite_number"),
    ngx_string("Input should be a finite number")
};

static ngx_http_async_value_problem_t  ngx_http_async_bool_parsing = {
    ngx_string("bool_parsing"),
    ngx_string("Input should be a valid boolean, unable to interpret input")
};

ngx_int_t
ngx_http_async_value_int(ngx_str_t *text, int64_t *value,
    ngx_http_async_value_error_t *error)
{
    uint64_t    n;
    ngx_int_t   rc;
    ngx_uint_t  negative;

    if (ngx_http_async_value_plain(text, value)) {
        return NGX_OK;
    }

    rc = ngx_http_async_value_wide(text, &n, &negative, error);

    if (rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    if (rc != NGX_OK || n > (uint64_t) INT64_MAX + negative) {
        return ngx_http_async_value_fail(error,
                                         &ngx_http_async_int_parsing_size);
    }

    *value = negative ? (int64_t) (0 - n) : (int64_t) n;

    return NGX_OK;
}


/*
 * A sign, zeros with underscores anywhere behind the first, digits with
 * single underscores between, and a fraction of zeros.
 */

ngx_int_t
ngx_http_async_value_wide(ngx_str_t *text, uint64_t *value,
    ngx_uint_t *negative, ngx_http_async_value_error_t *error)
{
    u_char      *p, *last;
    ngx_str_t    s;
    ngx_uint_t   overflow;

    s = *text;
    ngx_http_async_value_trim(&s);

    p = s.data;
    last = p + s.len;

    *negative = ngx_http_async_value_sign(&p, last);

    if (p == last || !ngx_http_async_value_is_digit(*p)) {
        return ngx_http_async_value_fail(error, &ngx_http_async_int_parsing);
    }

    p = ngx_http_async_value_zeros(p, last);
    p = ngx_http_async_value_digits(p, last, value, &overflow);

    if (p[-1] == '_' || !ngx_http_async_value_fraction(p, last)) {
        return ngx_http_async_value_fail(error, &ngx_http_async_int_parsing);
    }

    return overflow ? NGX_ABORT : NGX_OK;
}


/* Nearly all of them: digits that cannot be too many. */

static ngx_inline ngx_uint_t
ngx_http_async_value_plain(ngx_str_t *text, int64_t *value)
{
    u_char   *p, *last;
    int64_t   n;

    p = text->data;
    last = p + text->len;

    if (text->len - 1 > 17) {
        return 0;
    }

    for (n = 0; p < last; p++) {

        if (!ngx_http_async_value_is_digit(*p)) {
            return 0;
        }

        n = n * 10 + (*p - '0');
    }

    *value = n;

    return 1;
}


static ngx_int_t
ngx_http_async_value_fail(ngx_http_async_value_error_t *error,
    ngx_http_async_value_problem_t *problem)
{
    error->type = problem->type;
    error->msg = problem->msg;
    ngx_str_null(&error->ctx);

    return NGX_DECLINED;
}


static void
ngx_http_async_value_trim(ngx_str_t *text)
{
    size_t   len;
    u_char  *p, *last, *start;

    p = text->data;
    last = p + text->len;

    while ((len = ngx_http_async_value_space(p, last)) != 0) {
        p += len;
    }

    while (p < last) {
        start = last - 1;

        while (start > p && last - start < 3 && (*start & 0xc0) == 0x80) {
            start--;
        }

        len = ngx_http_async_value_space(start, last);

        if (len == 0 || start + len != last) {
            break;
        }

        last = start;
    }

    text->data = p;
    text->len = last - p;
}


/* the length of the character at p if Unicode calls it White_Space, or 0 */

static size_t
ngx_http_async_value_space(u_char *p, u_char *last)
{
    if (p == last) {
        return 0;
    }

    if (*p == ' ' || (*p >= '\t' && *p <= '\r')) {
        return 1;
    }

    if (last - p >= 2 && p[0] == 0xc2) {
        return (p[1] == 0x85 || p[1] == 0xa0) ? 2 : 0;
    }

    if (last - p < 3) {
        return 0;
    }

    /* U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000 */

    if ((p[0] == 0xe1 && p[1] == 0x9a && p[2] == 0x80)
        || (p[0] == 0xe2 && p[1] == 0x80
            && ((p[2] >= 0x80 && p[2] <= 0x8a)
                || p[2] == 0xa8 || p[2] == 0xa9 || p[2] == 0xaf))
        || (p[0] == 0xe2 && p[1] == 0x81 && p[2] == 0x9f)
        || (p[0] == 0xe3 && p[1] == 0x80 && p[2] == 0x80))
    {
        return 3;
    }

    return 0;
}


/* from the first digit: skips zeros, and underscores behind a zero */

static u_char *
ngx_http_async_value_zeros(u_char *p, u_char *last)
{
    if (*p != '0') {
        return p;
    }

    while (p < last && (*p == '0' || *p == '_')) {
        p++;
    }

    /* whether the last one may be an underscore depends on what follows */

    return p;
}


static u_char *
ngx_http_async_value_digits(u_char *p, u_char *last, uint64_t *value,
    ngx_uint_t *overflow)
{
    uint64_t  n;

    n = 0;
    *overflow = 0;

    for ( /* void */ ; p < last; p++) {

        if (*p == '_' && p[-1] != '_') {
            continue;
        }

        if (!ngx_http_async_value_is_digit(*p)) {
            break;
        }

        if (n > (UINT64_MAX - (*p - '0')) / 10) {
            *overflow = 1;

        } else {
            n = n * 10 + (*p - '0');
        }
    }

    *value = n;

    return p;
}


/* whether the rest of an integer is nothing, or as in 5.0 (but not "5.") */

static ngx_uint_t
ngx_http_async_value_fraction(u_char *p, u_char *last)
{
    if (p == last) {
        return 1;
    }

    if (*p++ != '.' || p == last) {
        return 0;
    }

    while (p < last && *p == '0') {
        p++;
    }

    return p == last;
}


/*
 * Rust's grammar of numbers, tried on the trimmed text; only with underscores
 * in it (single, inside) on the text as it is, without them.
 */

ngx_int_t
ngx_http_async_value_float(ngx_str_t *text, double *value,
    ngx_http_async_value_error_t *error)
{
    u_char                    *p;
    ngx_str_t                  s;
    ngx_uint_t                 negative;
    ngx_http_async_decimal_t   d;

    if (ngx_http_async_value_short(text, value)) {
        return NGX_OK;
    }

    s = *text;

    switch (ngx_http_async_value_underscores(&s)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        ngx_http_async_value_trim(&s);
        break;

    default:
        goto failed;
    }

    p = s.data;
    negative = ngx_http_async_value_sign(&p, s.data + s.len);

    s.len -= p - s.data;
    s.data = p;

    if (ngx_http_async_value_not_finite(&s)) {
        goto not_finite;
    }

    if (ngx_http_async_value_decimal(&d, s.data, s.data + s.len) != NGX_OK) {
        goto failed;
    }

    /* without a point the text is the same in all locales */

    p = d.digits + d.ndigits;
    ngx_sprintf(p, "e%L%Z", d.exponent);

    *value = strtod((char *) d.digits, NULL);

    if (*value > DBL_MAX) {
        goto not_finite;
    }

    if (negative) {
        *value = -*value;
    }

    return NGX_OK;

not_finite:

    return ngx_http_async_value_fail(error, &ngx_http_async_finite_number);

failed:

    return ngx_http_async_value_fail(error, &ngx_http_async_float_parsing);
}


/*
 * Most numbers: few digits, and a point perhaps.  They are integers that a
 * double has exactly, divided by a power of ten that it has exactly, too: the
 * one rounding is that of the division (Clinger, 1990).
 */

static ngx_uint_t
ngx_http_async_value_short(ngx_str_t *text, double *value)
{
    u_char      *p, *last, *point;
    int64_t      n;
    ngx_uint_t   negative;

    static const double  powers[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
        1e13, 1e14, 1e15
    };

    p = text->data;
    last = p + text->len;

    negative = (p < last && *p == '-');
    p += negative;

    if (last - p > 15 || p == last || !ngx_http_async_value_is_digit(*p)
        || !ngx_http_async_value_is_digit(last[-1]))
    {
        return 0;
    }

    point = NULL;

    for (n = 0; p < last; p++) {

        if (ngx_http_async_value_is_digit(*p)) {
            n = n * 10 + (*p - '0');

        } else if (*p == '.' && point == NULL) {
            point = p;

        } else {
            return 0;
        }
    }

    *value = (double) n;

    if (point) {
        *value /= powers[last - point - 1];
    }

    if (negative) {
        *value = -*value;
    }

    return 1;
}


/*
 * NGX_OK: there are underscores, to be left out; NGX_DECLINED: there are
 * none; NGX_ERROR: they are where none may be.
 */

static ngx_int_t
ngx_http_async_value_underscores(ngx_str_t *text)
{
    u_char  *p, *last;

    p = text->data;
    last = p + text->len;

    if (ngx_strlchr(p, last, '_') == NULL) {
        return NGX_DECLINED;
    }

    if (*p == '_' || last[-1] == '_') {
        return NGX_ERROR;
    }

    for ( /* void */ ; p < last - 1; p++) {
        if (p[0] == '_' && p[1] == '_') {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_value_not_finite(ngx_str_t *text)
{
    u_char  *p, *last, word[8];
    size_t   len;

    last = text->data + text->len;
    len = 0;

    for (p = ngx_http_async_value_skip(text->data, last);
         p < last;
         p = ngx_http_async_value_skip(p + 1, last))
    {
        if (len == sizeof(word)) {
            return 0;
        }

        word[len++] = *p;
    }

    if (len == 3) {
        return ngx_strncasecmp(word, (u_char *) "nan", 3) == 0
               || ngx_strncasecmp(word, (u_char *) "inf", 3) == 0;
    }

    return len == 8 && ngx_strncasecmp(word, (u_char *) "infinity", 8) == 0;
}


static ngx_int_t
ngx_http_async_value_decimal(ngx_http_async_decimal_t *d, u_char *p,
    u_char *last)
{
    int64_t     exponent;
    ngx_uint_t  point, some;

    d->ndigits = 0;
    d->exponent = 0;
    point = 0;
    some = 0;

    for (p = ngx_http_async_value_skip(p, last);
         p < last;
         p = ngx_http_async_value_skip(p + 1, last))
    {
        if (*p == '.' && !point) {
            point = 1;
            continue;
        }

        if (!ngx_http_async_value_is_digit(*p)) {
            break;
        }

        some = 1;
        d->exponent -= point;
        ngx_http_async_value_digit(d, *p);
    }

    if (!some) {
        return NGX_DECLINED;
    }

    exponent = 0;

    if (p < last) {
        p = ngx_http_async_value_exponent(p, last, &exponent);
        if (p != last) {
            return NGX_DECLINED;
        }
    }

    if (d->ndigits == 0) {
        d->digits[d->ndigits++] = '0';
        exponent = 0;
        d->exponent = 0;
    }

    d->exponent += exponent;

    return NGX_OK;
}


static void
ngx_http_async_value_digit(ngx_http_async_decimal_t *d, u_char c)
{
    if (d->ndigits < NGX_HTTP_ASYNC_VALUE_DIGITS) {

        if (c != '0' || d->ndigits) {
            d->digits[d->ndigits++] = c;
        }

        return;
    }

    /* what is left out still decides between a half and more than a half */

    d->exponent++;

    if (c != '0') {
        d->digits[d->ndigits - 1] = '1';
    }
}


/* the end of an exponent that begins at p, or NULL */

static u_char *
ngx_http_async_value_exponent(u_char *p, u_char *last, int64_t *exponent)
{
    int64_t     n;
    ngx_uint_t  negative, some;

    if (*p != 'e' && *p != 'E') {
        return NULL;
    }

    p = ngx_http_async_value_skip(p + 1, last);
    negative = ngx_http_async_value_sign(&p, last);
    n = 0;
    some = 0;

    for (p = ngx_http_async_value_skip(p, last);
         p < last && ngx_http_async_value_is_digit(*p);
         p = ngx_http_async_value_skip(p + 1, last))
    {
        some = 1;

        /* saturates far above what the digits of any text can make up for */

        if (n < INT64_MAX / 100) {
            n = n * 10 + (*p - '0');
        }
    }

    *exponent = negative ? -n : n;

    return some ? p : NULL;
}


static ngx_uint_t
ngx_http_async_value_sign(u_char **p, u_char *last)
{
    if (*p < last && (**p == '-' || **p == '+')) {
        return *(*p)++ == '-';
    }

    return 0;
}


static u_char *
ngx_http_async_value_skip(u_char *p, u_char *last)
{
    while (p < last && *p == '_') {
        p++;
    }

    return p;
}


ngx_int_t
ngx_http_async_value_bool(ngx_str_t *text, ngx_uint_t *value,
    ngx_http_async_value_error_t *error)
{
    ngx_uint_t  i;

    static ngx_str_t  words[][2] = {
        { ngx_string("0"), ngx_string("1") },
        { ngx_string("false"), ngx_string("true") },
        { ngx_string("no"), ngx_string("yes") },
        { ngx_string("off"), ngx_string("on") },
        { ngx_string("f"), ngx_string("t") },
        { ngx_string("n"), ngx_string("y") }
    };

    for (i = 0; i < 2 * sizeof(words) / sizeof(words[0]); i++) {

        if (text->len == words[i / 2][i % 2].len
            && ngx_strncasecmp(text->data, words[i / 2][i % 2].data, text->len)
               == 0)
        {
            *value = i % 2;
            return NGX_OK;
        }
    }

    return ngx_http_async_value_fail(error, &ngx_http_async_bool_parsing);
}


size_t
ngx_http_async_value_utf8(const u_char *p, const u_char *last)
{
    size_t      len;
    u_char      least, most;
    ngx_uint_t  i;

    if (*p < 0x80) {
        return 1;
    }

    if (*p < 0xc2 || *p > 0xf4) {
        return 0;
    }

    len = (*p < 0xe0) ? 2 : (*p < 0xf0) ? 3 : 4;

    if ((size_t) (last - p) < len) {
        return 0;
    }

    /* the second byte tells overlong forms, surrogates, and past U+10FFFF */

    least = (*p == 0xe0) ? 0xa0 : (*p == 0xf0) ? 0x90 : 0x80;
    most = (*p == 0xed) ? 0x9f : (*p == 0xf4) ? 0x8f : 0xbf;

    if (p[1] < least || p[1] > most) {
        return 0;
    }

    for (i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return len;
}


ngx_uint_t
ngx_http_async_value_is_utf8(const u_char *p, const u_char *last)
{
    size_t    n;
    uint64_t  v;

    for ( /* void */ ; last - p >= 8; p += 8) {
        memcpy(&v, p, 8);

        if (v & 0x8080808080808080) {
            break;
        }
    }

    while (p < last) {
        n = (*p < 0x80) ? 1 : ngx_http_async_value_utf8(p, last);

        if (n == 0) {
            return 0;
        }

        p += n;
    }

    return 1;
}
