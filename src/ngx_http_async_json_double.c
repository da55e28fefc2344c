
/*
 * Doubles as Python's repr() writes them: the fewest digits that read back as
 * the same.  In any locale; without recursion, memory or state.
 */


#include <float.h>
#include <math.h>
#include <ngx_http_async_json_write.h>


/* room for a number that is to be read back */
#define NGX_HTTP_ASYNC_JSON_READ_LEN  64


#define ngx_http_async_json_is_digit(c)  ((c) >= '0' && (c) <= '9')


/* a decimal number: 0.DIGITS times 10 to the point */

typedef struct {
    u_char                          digits[24];
    ngx_int_t                       ndigits;
    ngx_int_t                       point;
} ngx_http_async_json_decimal_t;


static ngx_int_t ngx_http_async_json_short(ngx_http_async_json_decimal_t *d,
    double value);
static ngx_int_t ngx_http_async_json_short_float(
    ngx_http_async_json_decimal_t *d, float value);
static void ngx_http_async_json_long(ngx_http_async_json_decimal_t *d,
    double value);
static void ngx_http_async_json_long_float(ngx_http_async_json_decimal_t *d,
    float value);
static void ngx_http_async_json_strip(ngx_http_async_json_decimal_t *d);
static void ngx_http_async_json_round(ngx_http_async_json_decimal_t *d,
    double value, ngx_int_t ndigits);
static double ngx_http_async_json_read(ngx_http_async_json_decimal_t *d);
static float ngx_http_async_json_read_float(ngx_http_async_json_decimal_t *d);
static char *ngx_http_async_json_text(ngx_http_async_json_decimal_t *d,
    char text[NGX_HTTP_ASYNC_JSON_READ_LEN]);
static u_char *ngx_http_async_json_layout(u_char *p,
    ngx_http_async_json_decimal_t *d);


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


u_char *
ngx_http_async_json_float(u_char *p, float value)
{
    ngx_http_async_json_decimal_t  d;

    if (signbit(value)) {
        *p++ = '-';
        value = -value;
    }

    if (ngx_http_async_json_short_float(&d, value) != NGX_OK) {
        ngx_http_async_json_long_float(&d, value);
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


/*
 * The same of floats, whose decimals of 6 digits are all different.  A quotient
 * that lies between two floats is the decimal itself, for both take fewer bits
 * than a double has: so that it is rounded twice does no harm.
 */

static ngx_int_t
ngx_http_async_json_short_float(ngx_http_async_json_decimal_t *d, float value)
{
    double      power, scaled;
    uint64_t    n;
    ngx_uint_t  i;

    power = 1;

    for (i = 0; i <= 10; i++, power *= 10) {
        scaled = value * power;

        if (scaled >= 1e6) {
            return NGX_DECLINED;
        }

        n = (uint64_t) (scaled + 0.5);

        if ((float) ((double) n / power) == value) {
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

    ngx_http_async_json_strip(d);
}


static void
ngx_http_async_json_long_float(ngx_http_async_json_decimal_t *d, float value)
{
    int        exponent;
    ngx_int_t  n, power;

    power = (frexpf(value, &exponent) == 0.5f);

    for (n = 1; n < 9; n++) {
        ngx_http_async_json_round(d, value, n);

        if (ngx_http_async_json_read_float(d) == value) {
            break;
        }

        if (power && d->digits[n - 1] != '9') {
            d->digits[n - 1]++;

            if (ngx_http_async_json_read_float(d) == value) {
                break;
            }
        }
    }

    if (n == 9) {
        ngx_http_async_json_round(d, value, n);
    }

    ngx_http_async_json_strip(d);
}


static void
ngx_http_async_json_strip(ngx_http_async_json_decimal_t *d)
{
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

    ngx_memzero(d->digits, sizeof(d->digits));
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
    char  text[NGX_HTTP_ASYNC_JSON_READ_LEN];

    return strtod(ngx_http_async_json_text(d, text), NULL);
}


static float
ngx_http_async_json_read_float(ngx_http_async_json_decimal_t *d)
{
    char  text[NGX_HTTP_ASYNC_JSON_READ_LEN];

    return strtof(ngx_http_async_json_text(d, text), NULL);
}


static char *
ngx_http_async_json_text(ngx_http_async_json_decimal_t *d,
    char text[NGX_HTTP_ASYNC_JSON_READ_LEN])
{
    u_char     *p;
    ngx_int_t   exponent;

    exponent = d->point - d->ndigits;

    p = ngx_cpymem(text, d->digits, d->ndigits);
    *p++ = 'e';
    *p++ = (exponent < 0) ? '-' : '+';
    p = ngx_http_async_json_digits(p, ngx_abs(exponent));
    *p = '\0';

    return text;
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


u_char *
ngx_http_async_json_digits(u_char *p, uint64_t n)
{
    u_char      *q;
    uint64_t     limit;
    ngx_uint_t   len, two;

    static u_char  digits[] =
        "00010203040506070809101112131415161718192021222324"
        "25262728293031323334353637383940414243444546474849"
        "50515253545556575859606162636465666768697071727374"
        "75767778798081828384858687888990919293949596979899";

    limit = 10;

    for (len = 1; len < 20 && n >= limit; len++) {
        limit *= 10;
    }

    for (q = p + len; n >= 100; n /= 100) {
        two = n % 100 * 2;
        *--q = digits[two + 1];
        *--q = digits[two];
    }

    if (n >= 10) {
        *--q = digits[n * 2 + 1];
    }

    *--q = (n >= 10) ? digits[n * 2] : (u_char) ('0' + n);

    return p + len;
}
