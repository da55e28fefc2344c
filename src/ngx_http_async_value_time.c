
/*
 * Copyright (C) the nginx-async authors
 *
 * Dates and times of text: see ngx_http_async_value_time.h.  The words of the
 * errors are those of speedate, which pydantic asks.
 */

#include <math.h>
#include <ngx_http_async_value_time.h>


#define NGX_HTTP_ASYNC_TIME_DAY         86400000          /* ms */

/* of numbers: above it (or below, if negative) they are milliseconds */
#define NGX_HTTP_ASYNC_TIME_WATERSHED   2e10

/* the years 0 and 9999, the first and the last second */
#define NGX_HTTP_ASYNC_TIME_FIRST       (-62167219200LL)
#define NGX_HTTP_ASYNC_TIME_LAST        253402300799LL

/* from 0001-01-01 to 1970-01-01 */
#define NGX_HTTP_ASYNC_TIME_EPOCH       719162


typedef struct {
    ngx_int_t                   year;
    ngx_int_t                   month;
    ngx_int_t                   day;
    int64_t                     us;           /* of the day */
    int64_t                     offset;       /* of the zone, in seconds */
} ngx_http_async_time_t;


static const char *ngx_http_async_time_any(ngx_str_t *text,
    ngx_http_async_time_t *t);
static const char *ngx_http_async_time_rfc3339(ngx_str_t *text,
    ngx_http_async_time_t *t);
static const char *ngx_http_async_time_day(u_char *p, u_char *last,
    ngx_http_async_time_t *t);
static const char *ngx_http_async_time_clock(u_char **pos, u_char *last,
    ngx_http_async_time_t *t);
static const char *ngx_http_async_time_fraction(u_char **pos, u_char *last,
    ngx_http_async_time_t *t);
static const char *ngx_http_async_time_zone(u_char *p, u_char *last,
    ngx_http_async_time_t *t);
static ngx_int_t ngx_http_async_time_number(ngx_str_t *text, double *number);
static const char *ngx_http_async_time_unix(double number, int64_t *us);
static void ngx_http_async_time_split(int64_t us, ngx_http_async_time_t *t);
static int64_t ngx_http_async_time_ms(ngx_http_async_time_t *t);
static ngx_int_t ngx_http_async_time_days(ngx_int_t year);
static ngx_uint_t ngx_http_async_time_month_days(ngx_int_t year,
    ngx_int_t month);
static ngx_int_t ngx_http_async_time_digits(u_char *p, ngx_uint_t n);
static ngx_int_t ngx_http_async_time_fail(ngx_http_async_value_error_t *error,
    const char *type, const char *msg, const char *why);


static const char  ngx_http_async_time_short[] = "input is too short";
static const char  ngx_http_async_time_extra[] =
    "unexpected extra characters at the end of the input";
static const char  ngx_http_async_time_year_0[] = "year 0 is out of range";


ngx_int_t
ngx_http_async_value_time(ngx_str_t *text, int64_t *ms,
    ngx_http_async_value_error_t *error)
{
    double                  number;
    const char             *why;
    ngx_http_async_time_t   t;

    why = ngx_http_async_time_any(text, &t);

    if (why && ngx_http_async_time_number(text, &number) != NGX_OK) {
        /* a date alone, of which the words are then */

        ngx_memzero(&t, sizeof(ngx_http_async_time_t));

        why = ngx_http_async_time_day(text->data, text->data + text->len, &t);

        if (why == NULL && text->len > NGX_HTTP_ASYNC_DATE_LEN) {
            why = ngx_http_async_time_extra;
        }
    }

    if (why) {
        return ngx_http_async_time_fail(error, "datetime_from_date_parsing",
                                        "Input should be a valid datetime or "
                                        "date", why);
    }

    if (t.year == 0) {
        return ngx_http_async_time_fail(error, "datetime_parsing",
                                        "Input should be a valid datetime",
                                        ngx_http_async_time_year_0);
    }

    *ms = ngx_http_async_time_ms(&t);

    return NGX_OK;
}


ngx_int_t
ngx_http_async_value_date(ngx_str_t *text,
    u_char value[NGX_HTTP_ASYNC_DATE_LEN], ngx_http_async_value_error_t *error)
{
    const char             *why;
    ngx_http_async_time_t   t;

    ngx_memzero(&t, sizeof(ngx_http_async_time_t));

    why = ngx_http_async_time_day(text->data, text->data + text->len, &t);

    if (why || text->len != NGX_HTTP_ASYNC_DATE_LEN) {
        why = ngx_http_async_time_any(text, &t);
    }

    if (why) {
        return ngx_http_async_time_fail(error, "date_from_datetime_parsing",
                                        "Input should be a valid date or "
                                        "datetime", why);
    }

    if (t.us) {
        return ngx_http_async_time_fail(error, "date_from_datetime_inexact",
                                        "Datetimes provided to dates should "
                                        "have zero time - e.g. be exact dates",
                                        NULL);
    }

    if (t.year == 0) {
        return ngx_http_async_time_fail(error, "date_parsing",
                                        "Input should be a valid date in the "
                                        "format YYYY-MM-DD",
                                        ngx_http_async_time_year_0);
    }

    (void) ngx_sprintf(value, "%04i-%02i-%02i", t.year, t.month, t.day);

    return NGX_OK;
}


const char *
ngx_http_async_value_unix(double number, int64_t *ms)
{
    int64_t                 us;
    const char             *why;
    ngx_http_async_time_t   t;

    why = ngx_http_async_time_unix(number, &us);

    if (why) {
        return why;
    }

    ngx_http_async_time_split(us, &t);

    if (t.year == 0) {
        return ngx_http_async_time_year_0;
    }

    *ms = ngx_http_async_time_ms(&t);

    return NULL;
}


/* a date with a time, or a number; NULL, or what is wrong */

static const char *
ngx_http_async_time_any(ngx_str_t *text, ngx_http_async_time_t *t)
{
    double       number;
    int64_t      us;
    const char  *why, *failed;

    why = ngx_http_async_time_rfc3339(text, t);

    if (why == NULL || ngx_http_async_time_number(text, &number) != NGX_OK) {
        return why;
    }

    failed = ngx_http_async_time_unix(number, &us);

    if (failed == NULL) {
        ngx_http_async_time_split(us, t);
    }

    return failed;
}


static const char *
ngx_http_async_time_rfc3339(ngx_str_t *text, ngx_http_async_time_t *t)
{
    u_char      *p, *last;
    const char  *why;

    ngx_memzero(t, sizeof(ngx_http_async_time_t));

    p = text->data;
    last = p + text->len;

    why = ngx_http_async_time_day(p, last, t);

    if (why) {
        return why;
    }

    p += NGX_HTTP_ASYNC_DATE_LEN;

    if (p == last) {
        return ngx_http_async_time_short;
    }

    if (*p != 'T' && *p != 't' && *p != '_' && *p != ' ') {
        return "invalid datetime separator, expected `T`, `t`, `_` or space";
    }

    p++;

    why = ngx_http_async_time_clock(&p, last, t);

    return why ? why : ngx_http_async_time_zone(p, last, t);
}


static const char *
ngx_http_async_time_day(u_char *p, u_char *last, ngx_http_async_time_t *t)
{
    if (last - p < (ssize_t) NGX_HTTP_ASYNC_DATE_LEN) {
        return ngx_http_async_time_short;
    }

    t->year = ngx_http_async_time_digits(p, 4);
    t->month = ngx_http_async_time_digits(p + 5, 2);
    t->day = ngx_http_async_time_digits(p + 8, 2);

    if (t->year == NGX_ERROR) {
        return "invalid character in year";
    }

    if (p[4] != '-') {
        return "invalid date separator, expected `-`";
    }

    if (t->month == NGX_ERROR) {
        return "invalid character in month";
    }

    if (p[7] != '-') {
        return "invalid date separator, expected `-`";
    }

    if (t->day == NGX_ERROR) {
        return "invalid character in day";
    }

    if (t->month < 1 || t->month > 12) {
        return "month value is outside expected range of 1-12";
    }

    if (t->day < 1 || t->day > (ngx_int_t)
                      ngx_http_async_time_month_days(t->year, t->month))
    {
        return "day value is outside expected range";
    }

    return NULL;
}


/* "HH:MM", ":SS" or not, and a fraction of it */

static const char *
ngx_http_async_time_clock(u_char **pos, u_char *last, ngx_http_async_time_t *t)
{
    u_char      *p;
    ngx_int_t    hour, minute, second;

    p = *pos;

    if (last - p < 5) {
        return ngx_http_async_time_short;
    }

    hour = ngx_http_async_time_digits(p, 2);
    minute = ngx_http_async_time_digits(p + 3, 2);

    if (hour == NGX_ERROR) {
        return "invalid character in hour";
    }

    if (p[2] != ':') {
        return "invalid time separator, expected `:`";
    }

    if (minute == NGX_ERROR) {
        return "invalid character in minute";
    }

    if (hour > 23) {
        return "hour value is outside expected range of 0-23";
    }

    if (minute > 59) {
        return "minute value is outside expected range of 0-59";
    }

    p += 5;
    *pos = p;
    t->us = (hour * 3600 + minute * 60) * (int64_t) 1000000;

    if (p == last || *p != ':') {
        return NULL;
    }

    second = (last - p < 3) ? NGX_ERROR : ngx_http_async_time_digits(p + 1, 2);

    if (second == NGX_ERROR) {
        return "invalid character in second";
    }

    if (second > 59) {
        return "second value is outside expected range of 0-59";
    }

    t->us += second * (int64_t) 1000000;
    *pos = p + 3;

    return ngx_http_async_time_fraction(pos, last, t);
}


/* what is beyond a millionth is cut off */

static const char *
ngx_http_async_time_fraction(u_char **pos, u_char *last,
    ngx_http_async_time_t *t)
{
    u_char   *p;
    int64_t   unit;

    p = *pos;

    if (p == last || (*p != '.' && *p != ',')) {
        return NULL;
    }

    p++;

    if (p == last || *p < '0' || *p > '9') {
        return "second fraction digits missing after `.`";
    }

    for (unit = 100000; p < last && *p >= '0' && *p <= '9'; p++) {
        t->us += (*p - '0') * unit;
        unit /= 10;
    }

    *pos = p;

    return NULL;
}


/* nothing, "Z", "+HH:MM", "+HHMM"; or with U+2212 for "-" */

static const char *
ngx_http_async_time_zone(u_char *p, u_char *last, ngx_http_async_time_t *t)
{
    ngx_int_t   hour, minute;
    ngx_uint_t  negative;

    if (p == last) {
        return NULL;
    }

    if (*p == 'Z' || *p == 'z') {
        return (p + 1 == last) ? NULL : ngx_http_async_time_extra;
    }

    negative = 1;

    if (*p == '+' || *p == '-') {
        negative = (*p++ == '-');

    } else if (last - p >= 3 && ngx_memcmp(p, "\xe2\x88\x92", 3) == 0) {
        p += 3;

    } else {
        return "invalid timezone sign";
    }

    hour = (last - p < 2) ? NGX_ERROR : ngx_http_async_time_digits(p, 2);

    if (hour == NGX_ERROR) {
        return "invalid timezone hour";
    }

    p += 2;
    p += (p < last && *p == ':');

    minute = (last - p < 2) ? NGX_ERROR : ngx_http_async_time_digits(p, 2);

    if (minute == NGX_ERROR) {
        return "invalid timezone minute";
    }

    if (minute > 59) {
        return "timezone minute value is outside expected range of 0-59";
    }

    if (hour > 23) {
        return "timezone offset must be less than 24 hours";
    }

    t->offset = (hour * 3600 + minute * 60) * (negative ? -1 : 1);

    return (p + 2 == last) ? NULL : ngx_http_async_time_extra;
}


/* digits with a sign or none, with a point or none: neither "1e3" nor " 1" */

static ngx_int_t
ngx_http_async_time_number(ngx_str_t *text, double *number)
{
    u_char                        *p, *last;
    ngx_uint_t                     digits, points;
    ngx_http_async_value_error_t   error;

    p = text->data;
    last = p + text->len;
    digits = 0;
    points = 0;

    if (p < last && (*p == '-' || *p == '+')) {
        p++;
    }

    for ( /* void */ ; p < last; p++) {

        if (*p >= '0' && *p <= '9') {
            digits++;

        } else if (*p == '.') {
            points++;

        } else {
            return NGX_DECLINED;
        }
    }

    if (digits == 0 || points > 1) {
        return NGX_DECLINED;
    }

    return ngx_http_async_value_float(text, number, &error);
}


static const char *
ngx_http_async_time_unix(double number, int64_t *us)
{
    double   whole, unit;

    /* how many microseconds a one is */

    unit = (number > NGX_HTTP_ASYNC_TIME_WATERSHED
            || number < -NGX_HTTP_ASYNC_TIME_WATERSHED) ? 1e3 : 1e6;

    if (number < NGX_HTTP_ASYNC_TIME_FIRST * (1e6 / unit)) {
        return "dates before 0000 are not supported as unix timestamps";
    }

    if (number >= (NGX_HTTP_ASYNC_TIME_LAST + 1) * (1e6 / unit)) {
        return "dates after 9999 are not supported as unix timestamps";
    }

    whole = floor(number);

    *us = (int64_t) whole * (int64_t) unit
          + (int64_t) rint((number - whole) * unit);

    return NULL;
}


/* microseconds since 1970, UTC */

static void
ngx_http_async_time_split(int64_t us, ngx_http_async_time_t *t)
{
    int64_t    day_us;
    ngx_int_t  days, month_days;

    day_us = (int64_t) NGX_HTTP_ASYNC_TIME_DAY * 1000;

    t->us = us % day_us;
    t->us += (t->us < 0) ? day_us : 0;
    t->offset = 0;

    days = (us - t->us) / day_us + NGX_HTTP_ASYNC_TIME_EPOCH;

    /* by the mean length of a year, and at most one more */

    t->year = (days >= 0) ? days * 400 / 146097 + 2 : 0;

    while (t->year > 0 && ngx_http_async_time_days(t->year) > days) {
        t->year--;
    }

    days -= ngx_http_async_time_days(t->year);

    for (t->month = 1; t->month < 12; t->month++) {
        month_days = ngx_http_async_time_month_days(t->year, t->month);

        if (days < month_days) {
            break;
        }

        days -= month_days;
    }

    t->day = days + 1;
}


static int64_t
ngx_http_async_time_ms(ngx_http_async_time_t *t)
{
    int64_t    us, ms;
    ngx_int_t  days, month;

    days = ngx_http_async_time_days(t->year) + t->day - 1
           - NGX_HTTP_ASYNC_TIME_EPOCH;

    for (month = 1; month < t->month; month++) {
        days += ngx_http_async_time_month_days(t->year, month);
    }

    us = t->us - t->offset * 1000000;
    ms = us / 1000 - (us % 1000 < 0);

    return days * (int64_t) NGX_HTTP_ASYNC_TIME_DAY + ms;
}


/* from 0001-01-01 to the first of the year */

static ngx_int_t
ngx_http_async_time_days(ngx_int_t year)
{
    if (year == 0) {
        return -366;
    }

    year--;

    return year * 365 + year / 4 - year / 100 + year / 400;
}


static ngx_uint_t
ngx_http_async_time_month_days(ngx_int_t year, ngx_int_t month)
{
    static const u_char  days[] = { 31, 28, 31, 30, 31, 30,
                                    31, 31, 30, 31, 30, 31 };

    return days[month - 1]
           + (month == 2 && year % 4 == 0
              && (year % 100 != 0 || year % 400 == 0));
}


static ngx_int_t
ngx_http_async_time_digits(u_char *p, ngx_uint_t n)
{
    ngx_int_t  value;

    for (value = 0; n; n--, p++) {

        if (*p < '0' || *p > '9') {
            return NGX_ERROR;
        }

        value = value * 10 + (*p - '0');
    }

    return value;
}


static ngx_int_t
ngx_http_async_time_fail(ngx_http_async_value_error_t *error,
    const char *type, const char *msg, const char *why)
{
    u_char  *p, *last;

    error->type.data = (u_char *) type;
    error->type.len = ngx_strlen(type);

    last = error->text + NGX_HTTP_ASYNC_VALUE_TEXT_LEN;
    p = ngx_slprintf(error->text, last, "%s", msg);

    ngx_str_null(&error->ctx);

    if (why) {
        p = ngx_slprintf(p, last, ", %s", why);

        error->ctx.len = ngx_strlen(why);
        error->ctx.data = p - error->ctx.len;
    }

    error->msg.data = error->text;
    error->msg.len = p - error->text;

    return NGX_DECLINED;
}
