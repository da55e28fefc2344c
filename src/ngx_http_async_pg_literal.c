
/*
 * Copyright (C) the nginx-async authors
 *
 * Values as text: see ngx_http_async_pg_literal.h.
 */

#include <ngx_http_async_pg_literal.h>
#include <ngx_http_async_json_write.h>
#include <ngx_http_async_value.h>
#include <math.h>


/* in milliseconds since 1970: from 4714-11-24 BC on, and before 294277 */
#define NGX_HTTP_ASYNC_PG_FIRST_MS   (-210866803200000LL)
#define NGX_HTTP_ASYNC_PG_END_MS     9224318016000000LL

#define NGX_HTTP_ASYNC_PG_TIME_LEN   sizeof("294276-12-31 23:59:59.999+00 BC")

/* with what is behind it: a comma, a brace, a zero byte */
#define NGX_HTTP_ASYNC_PG_INT_LEN    (NGX_INT64_LEN + 1)
#define NGX_HTTP_ASYNC_PG_FLOAT_LEN  (NGX_HTTP_ASYNC_JSON_DOUBLE_LEN + 1)


static size_t ngx_http_async_pg_literal_texts_room(const async_value_t *value);
static u_char *ngx_http_async_pg_literal_array(u_char *p,
    const async_value_t *value, const char **why, size_t *item);
static u_char *ngx_http_async_pg_literal_item(u_char *p, const char *text,
    const char **why);
static u_char *ngx_http_async_pg_literal_int(u_char *p, int64_t n);
static u_char *ngx_http_async_pg_literal_float(u_char *p, double x);
static u_char *ngx_http_async_pg_literal_time(u_char *p, int64_t ms);
static u_char *ngx_http_async_pg_literal_two(u_char *p, ngx_uint_t n,
    u_char next);


size_t
ngx_http_async_pg_literal_room(const async_value_t *value)
{
    switch (value->type) {

    case ASYNC_VALUE_INT:
        return NGX_HTTP_ASYNC_PG_INT_LEN;

    case ASYNC_VALUE_FLOAT:
        return NGX_HTTP_ASYNC_PG_FLOAT_LEN;

    case ASYNC_VALUE_TIME:
        return NGX_HTTP_ASYNC_PG_TIME_LEN;

    /* only what has its zero byte, as it ought to, can stay where it is */

    case ASYNC_VALUE_TEXT:
        return (value->data && ((char *) value->data)[value->len] != '\0')
               ? value->len + 1 : 0;

    case ASYNC_VALUE_INTS:
        return value->data
               ? sizeof("{}") + value->len * NGX_HTTP_ASYNC_PG_INT_LEN : 0;

    case ASYNC_VALUE_FLOATS:
        return value->data
               ? sizeof("{}") + value->len * NGX_HTTP_ASYNC_PG_FLOAT_LEN : 0;

    case ASYNC_VALUE_TEXTS:
        return value->data ? ngx_http_async_pg_literal_texts_room(value) : 0;

    default:
        return 0;
    }
}


static size_t
ngx_http_async_pg_literal_texts_room(const async_value_t *value)
{
    size_t              i, size;
    const char         *p;
    const char *const  *texts;

    texts = value->data;
    size = sizeof("{}");

    for (i = 0; i < value->len; i++) {

        if (texts[i] == NULL) {
            size += sizeof("NULL,") - 1;
            continue;
        }

        size += sizeof("\"\",") - 1;

        for (p = texts[i]; *p; p++) {
            size += 1 + (*p == '"' || *p == '\\');
        }
    }

    return size;
}


u_char *
ngx_http_async_pg_literal(u_char *p, const async_value_t *value,
    const char **why, size_t *item)
{
    *item = 0;

    switch (value->type) {

    case ASYNC_VALUE_INT:
        p = ngx_http_async_pg_literal_int(p, value->integer);
        break;

    case ASYNC_VALUE_FLOAT:
        p = ngx_http_async_pg_literal_float(p, value->number);
        break;

    case ASYNC_VALUE_TIME:
        if (value->integer < NGX_HTTP_ASYNC_PG_FIRST_MS
            || value->integer >= NGX_HTTP_ASYNC_PG_END_MS)
        {
            *why = "is a time out of PostgreSQL's range";
            return NULL;
        }

        p = ngx_http_async_pg_literal_time(p, value->integer);
        break;

    case ASYNC_VALUE_INTS:
    case ASYNC_VALUE_FLOATS:
    case ASYNC_VALUE_TEXTS:
        p = ngx_http_async_pg_literal_array(p, value, why, item);
        if (p == NULL) {
            return NULL;
        }

        break;

    default:
        *why = "is of no known type";
        return NULL;
    }

    *p = '\0';

    return p;
}


static u_char *
ngx_http_async_pg_literal_array(u_char *p, const async_value_t *value,
    const char **why, size_t *item)
{
    size_t              i;
    const double       *floats;
    const int64_t      *ints;
    const char *const  *texts;

    ints = value->data;
    floats = value->data;
    texts = value->data;

    *p++ = '{';

    for (i = 0; i < value->len; i++) {

        if (i) {
            *p++ = ',';
        }

        if (value->type == ASYNC_VALUE_INTS) {
            p = ngx_http_async_pg_literal_int(p, ints[i]);

        } else if (value->type == ASYNC_VALUE_FLOATS) {
            p = ngx_http_async_pg_literal_float(p, floats[i]);

        } else {
            p = ngx_http_async_pg_literal_item(p, texts[i], why);

            if (p == NULL) {
                *item = i + 1;
                return NULL;
            }
        }
    }

    *p++ = '}';

    return p;
}


/* in quotes always: it may be empty, "NULL", or begin with a space */

static u_char *
ngx_http_async_pg_literal_item(u_char *p, const char *text, const char **why)
{
    if (text == NULL) {
        return ngx_cpymem(p, "NULL", 4);
    }

    *why = ngx_http_async_pg_literal_fault(text, ngx_strlen(text));
    if (*why) {
        return NULL;
    }

    *p++ = '"';

    for ( /* void */ ; *text; text++) {

        if (*text == '"' || *text == '\\') {
            *p++ = '\\';
        }

        *p++ = *text;
    }

    *p++ = '"';

    return p;
}


static u_char *
ngx_http_async_pg_literal_int(u_char *p, int64_t n)
{
    if (n < 0) {
        *p++ = '-';
        return ngx_http_async_json_digits(p, - (uint64_t) n);
    }

    return ngx_http_async_json_digits(p, n);
}


/* 3, not 3.0: that is the text of an integer, too */

static u_char *
ngx_http_async_pg_literal_float(u_char *p, double x)
{
    if (isnan(x)) {
        return ngx_cpymem(p, "NaN", 3);
    }

    if (isinf(x)) {
        if (x < 0) {
            *p++ = '-';
        }

        return ngx_cpymem(p, "Infinity", 8);
    }

    p = ngx_http_async_json_double(p, x);

    if (p[-1] == '0' && p[-2] == '.') {
        p -= 2;
    }

    return p;
}


/*
 * As PostgreSQL writes it, in UTC: "2026-11-21 21:30:00.123+00".  The calendar
 * is the Gregorian one, also before it was in use; years are counted from a
 * March, in eras of 400 of them, so that the day of a leap year comes last.
 */

static u_char *
ngx_http_async_pg_literal_time(u_char *p, int64_t ms)
{
    int64_t     days, era, year;
    ngx_uint_t  rest, month, n;

    days = ms / 86400000;
    ms -= days * 86400000;

    if (ms < 0) {
        days--;
        ms += 86400000;
    }

    /* from 0000-03-01 on, and from 19 eras before that, to stay positive */

    days += 719468 + 19 * 146097;
    era = days / 146097;
    rest = days % 146097;

    year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
    rest -= 365 * year + year / 4 - year / 100;
    month = (5 * rest + 2) / 153;
    rest -= (153 * month + 2) / 5;

    year += (era - 19) * 400 + (month >= 10);
    month = (month + 2) % 12 + 1;

    /* there is no year 0: it is 1 BC */

    n = (year > 0) ? year : 1 - year;

    if (n < 10000) {
        p = ngx_http_async_pg_literal_two(p, n / 100, '-');
        p = ngx_http_async_pg_literal_two(p - 1, n % 100, '-');

    } else {
        p = ngx_http_async_json_digits(p, n);
        *p++ = '-';
    }

    p = ngx_http_async_pg_literal_two(p, month, '-');
    p = ngx_http_async_pg_literal_two(p, rest + 1, ' ');
    p = ngx_http_async_pg_literal_two(p, ms / 3600000, ':');
    p = ngx_http_async_pg_literal_two(p, ms / 60000 % 60, ':');
    p = ngx_http_async_pg_literal_two(p, ms / 1000 % 60, '.');

    ms %= 1000;

    if (ms) {
        *p++ = (u_char) ('0' + ms / 100);
        p = ngx_http_async_pg_literal_two(p, ms % 100, '+');

    } else {
        p[-1] = '+';
    }

    p = ngx_cpymem(p, "00", 2);

    return (year > 0) ? p : ngx_cpymem(p, " BC", 3);
}


static u_char *
ngx_http_async_pg_literal_two(u_char *p, ngx_uint_t n, u_char next)
{
    *p++ = (u_char) ('0' + n / 10);
    *p++ = (u_char) ('0' + n % 10);
    *p++ = next;

    return p;
}


const char *
ngx_http_async_pg_literal_fault(const char *text, size_t len)
{
    size_t         n;
    uint64_t       v;
    const u_char  *p, *last;

    p = (const u_char *) text;
    last = p + len;

    while (p < last) {

        /* eight of ASCII: a zero byte borrows into its top bit */

        if (last - p >= 8) {
            ngx_memcpy(&v, p, 8);

            if (((v | (v - ngx_http_async_json_bytes(1)))
                 & ngx_http_async_json_bytes(0x80))
                == 0)
            {
                p += 8;
                continue;
            }
        }

        if ((u_char) (*p - 1) < 0x7f) {
            p++;
            continue;
        }

        if (*p == '\0') {
            return "has a zero byte";
        }

        n = ngx_http_async_value_utf8(p, last);
        if (n == 0) {
            return "is not UTF-8";
        }

        p += n;
    }

    return NULL;
}
