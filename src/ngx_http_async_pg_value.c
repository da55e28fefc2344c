
/*
 * Copyright (C) the nginx-async authors
 *
 * Text forms of PostgreSQL's values: see ngx_http_async_pg_value.h.
 */

#include <ngx_http_async_pg_value.h>


typedef struct {
    const u_char               *p;
    const u_char               *last;
} ngx_http_async_pg_scan_t;


static ngx_uint_t ngx_http_async_pg_timestamp(ngx_str_t *text, u_char *buf,
    ngx_uint_t zone);
static u_char *ngx_http_async_pg_zone(u_char *p, const u_char *zone,
    const u_char *last);
static size_t ngx_http_async_pg_interval(ngx_str_t *text, u_char *buf);
static u_char *ngx_http_async_pg_clock(ngx_http_async_pg_scan_t *s, u_char *p,
    ngx_uint_t negative);
static ngx_int_t ngx_http_async_pg_octal(ngx_str_t *text, u_char *bytes,
    size_t *n);
static ngx_int_t ngx_http_async_pg_take(ngx_http_async_pg_scan_t *s,
    size_t min, size_t max, int64_t *value);
static ngx_int_t ngx_http_async_pg_take_char(ngx_http_async_pg_scan_t *s,
    u_char c);
static ngx_int_t ngx_http_async_pg_take_date(ngx_http_async_pg_scan_t *s,
    int64_t *days);
static ngx_int_t ngx_http_async_pg_take_clock(ngx_http_async_pg_scan_t *s,
    int64_t *ms);
static ngx_int_t ngx_http_async_pg_take_zone(ngx_http_async_pg_scan_t *s,
    int64_t *ms);


/* longer ones are no timestamps and no intervals */
#define NGX_HTTP_ASYNC_PG_LONGEST    80

/* of the server: timestamps end in the year 294276 */
#define NGX_HTTP_ASYNC_PG_YEAR_LEN   7


#define ngx_http_async_pg_is_digit(c)  ((c) >= '0' && (c) <= '9')


ngx_str_t
ngx_http_async_pg_plain(ngx_http_async_pg_kind_e kind, ngx_str_t *text,
    u_char buf[NGX_HTTP_ASYNC_PG_PLAIN_LEN])
{
    u_char     *p;
    ngx_str_t   plain;

    plain.len = 0;
    plain.data = buf;

    if (text->len == 0 || text->len > NGX_HTTP_ASYNC_PG_LONGEST) {
        return *text;
    }

    switch (kind) {

    case NGX_HTTP_ASYNC_PG_IS_TIMESTAMP:
        plain.len = ngx_http_async_pg_timestamp(text, buf, 0);
        break;

    case NGX_HTTP_ASYNC_PG_IS_TIMESTAMPTZ:
        plain.len = ngx_http_async_pg_timestamp(text, buf, 1);
        break;

    case NGX_HTTP_ASYNC_PG_IS_TIMETZ:
        p = ngx_http_async_pg_zone(buf, text->data, text->data + text->len);
        plain.len = p - buf;
        break;

    case NGX_HTTP_ASYNC_PG_IS_INTERVAL:
        plain.len = ngx_http_async_pg_interval(text, buf);
        break;

    case NGX_HTTP_ASYNC_PG_IS_CHAR:

        /* up to version 15 a byte as it is, which is no UTF-8 */

        if (text->len == 1 && text->data[0] >= 0x80) {
            buf[0] = '\\';
            buf[1] = '0' + (text->data[0] >> 6);
            buf[2] = '0' + (text->data[0] >> 3 & 7);
            buf[3] = '0' + (text->data[0] & 7);
            plain.len = 4;
        }

        break;

    default:
        break;
    }

    return plain.len ? plain : *text;
}


/* "2026-11-21 21:30:00.5+00"; zero: it has another form, or is BC */

static ngx_uint_t
ngx_http_async_pg_timestamp(ngx_str_t *text, u_char *buf, ngx_uint_t zone)
{
    u_char        *p;
    size_t         n;
    const u_char  *last;

    for (n = 0; n < text->len && ngx_http_async_pg_is_digit(text->data[n]);
         n++)
    {
        /* void */
    }

    p = text->data;
    last = p + text->len;

    if (n < 4 || text->len < n + sizeof("-11-21 21:30:00") - 1
        || p[n] != '-' || p[n + 3] != '-' || p[n + 6] != ' '
        || p[n + 9] != ':' || p[n + 12] != ':' || last[-1] == 'C')
    {
        return 0;
    }

    n += 6;

    p = ngx_cpymem(buf, text->data, n);
    *p++ = 'T';
    n++;

    if (zone) {
        return ngx_http_async_pg_zone(p, text->data + n, last) - buf;
    }

    return ngx_cpymem(p, text->data + n, text->len - n) - buf;
}


/* "21:30:00.5+00" with "Z" or a zone of minutes, too; one of seconds stays */

static u_char *
ngx_http_async_pg_zone(u_char *p, const u_char *text, const u_char *last)
{
    p = ngx_cpymem(p, text, last - text);

    if (last - text < 6 || (last[-3] != '+' && last[-3] != '-')) {
        return p;
    }

    if (last[-2] == '0' && last[-1] == '0') {
        p[-3] = 'Z';
        return p - 2;
    }

    return ngx_cpymem(p, ":00", 3);
}


/*
 * "1 year 2 mons -3 days +04:05:06.7" to "P1Y2M-3DT4H5M6.7S", as the server has
 * it if IntervalStyle is iso_8601; zero: it has another form.
 */

static size_t
ngx_http_async_pg_interval(ngx_str_t *text, u_char *buf)
{
    u_char                     unit, *p;
    ngx_uint_t                 negative;
    const u_char              *number;
    ngx_http_async_pg_scan_t   s;

    s.p = text->data;
    s.last = text->data + text->len;

    p = buf;
    *p++ = 'P';

    for ( ;; ) {
        negative = (*s.p == '-');

        if (*s.p == '-' || *s.p == '+') {
            s.p++;
        }

        number = s.p;

        while (s.p < s.last && ngx_http_async_pg_is_digit(*s.p)) {
            s.p++;
        }

        if (s.p == number || s.last - s.p < 3) {
            return 0;
        }

        if (*s.p == ':') {
            s.p = number;
            p = ngx_http_async_pg_clock(&s, p, negative);
            break;
        }

        if (*s.p++ != ' ') {
            return 0;
        }

        unit = *s.p;

        if (unit != 'y' && unit != 'm' && unit != 'd') {
            return 0;
        }

        if (negative) {
            *p++ = '-';
        }

        p = ngx_cpymem(p, number, s.p - 1 - number);
        *p++ = ngx_toupper(unit);

        while (s.p < s.last && *s.p >= 'a' && *s.p <= 'z') {
            s.p++;
        }

        if (s.p == s.last) {
            break;
        }

        if (*s.p++ != ' ' || s.p == s.last) {
            return 0;
        }
    }

    if (p && p - buf == 1) {
        p = ngx_cpymem(p, "T0S", 3);
    }

    return p ? p - buf : 0;
}


/* "04:05:06.7" at the end; NULL: that is none */

static u_char *
ngx_http_async_pg_clock(ngx_http_async_pg_scan_t *s, u_char *p,
    ngx_uint_t negative)
{
    ngx_uint_t     i, begun;
    const u_char  *number;

    begun = 0;

    for (i = 0; i < 3; i++) {

        while (s->last - s->p > 1 && s->p[0] == '0'
               && ngx_http_async_pg_is_digit(s->p[1]))
        {
            s->p++;
        }

        number = s->p;

        while (s->p < s->last
               && (ngx_http_async_pg_is_digit(*s->p)
                   || (i == 2 && *s->p == '.')))
        {
            s->p++;
        }

        if (s->p == number
            || (i < 2 ? s->p == s->last || *s->p != ':' : s->p != s->last))
        {
            return NULL;
        }

        if (s->p - number > 1 || *number != '0') {

            if (!begun) {
                begun = 1;
                *p++ = 'T';
            }

            if (negative) {
                *p++ = '-';
            }

            p = ngx_cpymem(p, number, s->p - number);
            *p++ = "HMS"[i];
        }

        s->p++;
    }

    return p;
}


ngx_int_t
ngx_http_async_pg_bytes(ngx_str_t *text, u_char *bytes, size_t *n)
{
    u_char         c, high, *p, *last, *start;
    ngx_uint_t     i;

    if (text->len < 2 || text->data[0] != '\\' || text->data[1] != 'x') {
        return ngx_http_async_pg_octal(text, bytes, n);
    }

    start = bytes;
    last = text->data + text->len;
    high = 0;

    for (i = 0, p = text->data + 2; p < last; i++, p++) {
        c = *p;

        if (ngx_http_async_pg_is_digit(c)) {
            c -= '0';

        } else {
            c = (c | 0x20) - 'a' + 10;

            if (c < 10 || c > 15) {
                return NGX_DECLINED;
            }
        }

        if (i & 1) {
            *bytes++ = high | c;
        } else {
            high = (u_char) (c << 4);
        }
    }

    *n = bytes - start;

    return (i & 1) ? NGX_DECLINED : NGX_OK;
}


/* bytea_output "escape": "\\" and "\ooo" */

static ngx_int_t
ngx_http_async_pg_octal(ngx_str_t *text, u_char *bytes, size_t *n)
{
    u_char  c, *p, *last, *start;

    start = bytes;
    last = text->data + text->len;

    for (p = text->data; p < last; p++) {
        c = *p;

        if (c == '\\') {

            if (last - p > 1 && p[1] == '\\') {
                p++;

            } else if (last - p > 3 && p[1] >= '0' && p[1] <= '3'
                       && p[2] >= '0' && p[2] <= '7'
                       && p[3] >= '0' && p[3] <= '7')
            {
                c = (u_char) ((p[1] - '0') << 6 | (p[2] - '0') << 3
                              | (p[3] - '0'));
                p += 3;

            } else {
                return NGX_DECLINED;
            }
        }

        *bytes++ = c;
    }

    *n = bytes - start;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_pg_time(ngx_str_t *text, int64_t *ms)
{
    int64_t                   days, clock, zone;
    ngx_int_t                 bc;
    ngx_http_async_pg_scan_t  s;

    s.p = text->data;
    s.last = s.p + text->len;

    bc = (text->len > 3 && ngx_memcmp(s.last - 3, " BC", 3) == 0);

    if (bc) {
        s.last -= 3;
    }

    /* days: the year for now */

    if (ngx_http_async_pg_take(&s, 4, NGX_HTTP_ASYNC_PG_YEAR_LEN, &days)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (bc) {
        days = 1 - days;
    }

    if (ngx_http_async_pg_take_date(&s, &days) != NGX_OK) {
        return NGX_DECLINED;
    }

    clock = 0;
    zone = 0;

    if (s.p < s.last
        && (ngx_http_async_pg_take_char(&s, ' ') != NGX_OK
            || ngx_http_async_pg_take_clock(&s, &clock) != NGX_OK
            || ngx_http_async_pg_take_zone(&s, &zone) != NGX_OK
            || s.p != s.last))
    {
        return NGX_DECLINED;
    }

    *ms = days * 86400000 + clock - zone;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_take(ngx_http_async_pg_scan_t *s, size_t min, size_t max,
    int64_t *value)
{
    size_t   n;
    int64_t  v;

    v = 0;

    for (n = 0; n < max && s->p < s->last
                && ngx_http_async_pg_is_digit(*s->p); n++)
    {
        v = v * 10 + (*s->p++ - '0');
    }

    *value = v;

    return (n < min) ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_take_char(ngx_http_async_pg_scan_t *s, u_char c)
{
    if (s->p == s->last || *s->p != c) {
        return NGX_DECLINED;
    }

    s->p++;

    return NGX_OK;
}


/*
 * "-11-21" behind a year to days since 1970, in the proleptic Gregorian
 * calendar, as the server counts: by Howard Hinnant's days_from_civil().
 */

static ngx_int_t
ngx_http_async_pg_take_date(ngx_http_async_pg_scan_t *s, int64_t *days)
{
    int64_t  year, month, day, era, of_era;

    year = *days;

    if (ngx_http_async_pg_take_char(s, '-') != NGX_OK
        || ngx_http_async_pg_take(s, 2, 2, &month) != NGX_OK
        || ngx_http_async_pg_take_char(s, '-') != NGX_OK
        || ngx_http_async_pg_take(s, 2, 2, &day) != NGX_OK
        || month < 1 || month > 12 || day < 1 || day > 31)
    {
        return NGX_DECLINED;
    }

    /* years from March on */

    if (month <= 2) {
        year--;
        month += 12;
    }

    era = (year >= 0 ? year : year - 399) / 400;
    of_era = year - era * 400;

    *days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100
            + (153 * (month - 3) + 2) / 5 + day - 1 - 719468;

    return NGX_OK;
}


/* "21:30:00.123456": what is below a millisecond goes, which rounds down */

static ngx_int_t
ngx_http_async_pg_take_clock(ngx_http_async_pg_scan_t *s, int64_t *ms)
{
    int64_t     hour, minute, second;
    ngx_uint_t  i;

    if (ngx_http_async_pg_take(s, 2, 2, &hour) != NGX_OK
        || ngx_http_async_pg_take_char(s, ':') != NGX_OK
        || ngx_http_async_pg_take(s, 2, 2, &minute) != NGX_OK
        || ngx_http_async_pg_take_char(s, ':') != NGX_OK
        || ngx_http_async_pg_take(s, 2, 2, &second) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    *ms = ((hour * 60 + minute) * 60 + second) * 1000;

    if (ngx_http_async_pg_take_char(s, '.') != NGX_OK) {
        return NGX_OK;
    }

    for (i = 100; s->p < s->last && ngx_http_async_pg_is_digit(*s->p); i /= 10)
    {
        *ms += (*s->p++ - '0') * (int64_t) i;
    }

    return NGX_OK;
}


/* "+05", "-03:30", "+00:53:28", or nothing */

static ngx_int_t
ngx_http_async_pg_take_zone(ngx_http_async_pg_scan_t *s, int64_t *ms)
{
    int64_t    value, seconds;
    ngx_int_t  negative;

    if (s->p == s->last) {
        return NGX_OK;
    }

    negative = (*s->p == '-');

    if (!negative && *s->p != '+') {
        return NGX_DECLINED;
    }

    s->p++;

    if (ngx_http_async_pg_take(s, 2, 2, &value) != NGX_OK) {
        return NGX_DECLINED;
    }

    seconds = value * 3600;

    if (ngx_http_async_pg_take_char(s, ':') == NGX_OK) {

        if (ngx_http_async_pg_take(s, 2, 2, &value) != NGX_OK) {
            return NGX_DECLINED;
        }

        seconds += value * 60;

        if (ngx_http_async_pg_take_char(s, ':') == NGX_OK) {

            if (ngx_http_async_pg_take(s, 2, 2, &value) != NGX_OK) {
                return NGX_DECLINED;
            }

            seconds += value;
        }
    }

    *ms = (negative ? -seconds : seconds) * 1000;

    return NGX_OK;
}
