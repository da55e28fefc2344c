
/*
 * Copyright (C) the nginx-async authors
 *
 * Times of structs in their JSON: see ngx_http_async_model_time.h.  What reads
 * them is ngx_http_async_value_time.c.
 */

#include <ngx_http_async_model_time.h>


static u_char *ngx_http_async_model_digits(u_char *p, ngx_uint_t n,
    ngx_uint_t width);


/* before a year of the Gregorian calendar */
#define ngx_http_async_model_days(year)                                      \
    (365 * (uint64_t) (year) + (year) / 4 - (year) / 100 + (year) / 400)


/*
 * Years begin in March here, so that the day which some of them have is their
 * last one.
 */

u_char *
ngx_http_async_model_time(u_char *p, int64_t ms)
{
    uint64_t    days, clock;
    ngx_uint_t  year, month;

    /* before each month, from March on */

    static const uint16_t  before[] = {
        0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337
    };

    /* of 0001-01-01 and of 10000-01-01 */

    if (ms < -62135596800000 || ms >= 253402300800000) {
        return NULL;
    }

    /* since 0000-03-01, which is 719468 days before 1970 */

    clock = ms + 719468 * INT64_C(86400000);

    days = clock / 86400000;
    clock %= 86400000;

    /* by their average length: no year begins a day late, some a day early */

    year = days * 400 / 146097;

    if (ngx_http_async_model_days(year + 1) <= days) {
        year++;
    }

    days -= ngx_http_async_model_days(year);

    for (month = 11; before[month] > days; month--) { /* void */ }

    days -= before[month];

    if (month >= 10) {
        year++;
    }

    month = (month + 2) % 12;

    p = ngx_http_async_model_digits(p, year, 4);
    *p++ = '-';
    p = ngx_http_async_model_digits(p, month + 1, 2);
    *p++ = '-';
    p = ngx_http_async_model_digits(p, days + 1, 2);
    *p++ = 'T';
    p = ngx_http_async_model_digits(p, clock / 3600000, 2);
    *p++ = ':';
    p = ngx_http_async_model_digits(p, clock / 60000 % 60, 2);
    *p++ = ':';
    p = ngx_http_async_model_digits(p, clock / 1000 % 60, 2);

    clock %= 1000;

    if (clock) {
        *p++ = '.';
        p = ngx_http_async_model_digits(p, clock, 3);

        /* as PostgreSQL writes them */

        while (p[-1] == '0') {
            p--;
        }
    }

    *p++ = 'Z';

    return p;
}


static u_char *
ngx_http_async_model_digits(u_char *p, ngx_uint_t n, ngx_uint_t width)
{
    u_char  *q;

    for (q = p + width; q > p; n /= 10) {
        *--q = (u_char) ('0' + n % 10);
    }

    return p + width;
}
