
/*
 * Text to values: the table of semantics.md, and, called with "-", a filter
 * for value.py: lines of "KIND HEX" in, results out.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <locale.h>
#include "ngx_stub.h"
#include <ngx_http_async_value.h>
#include <ngx_http_async_value_base64.h>
#include <ngx_http_async_value_time.h>


typedef struct {
    const char  *kind;
    const char  *text;
    const char  *expected;
} value_case_t;


#define INT    "int_parsing|Input should be a valid integer, unable to parse " \
               "string as an integer|"
#define SIZE   "int_parsing_size|Unable to parse input string as an " \
               "integer, exceeded maximum size|"
#define FLOAT  "float_parsing|Input should be a valid number, unable to " \
               "parse string as a number|"
#define FINITE "finite_number|Input should be a finite number|"
#define BOOL   "bool_parsing|Input should be a valid boolean, unable to " \
               "interpret input|"
#define UUID(e) "uuid_parsing|Input should be a valid UUID, " e "|" e

#define TIME(e) "datetime_from_date_parsing|Input should be a valid datetime " \
                "or date, " e "|" e
#define DATE(e) "date_from_datetime_parsing|Input should be a valid date or " \
                "datetime, " e "|" e
#define INEXACT "date_from_datetime_inexact|Datetimes provided to dates " \
                "should have zero time - e.g. be exact dates|"
#define B64(e)  "bytes_invalid_encoding|Data should be valid base64: " e "|" e

#define ONE    "12345678-1234-5678-1234-56781234567"


static value_case_t  cases[] = {
    { "int", "-5", "-5" },
    { "int", "+5", "5" },
    { "int", "05", "5" },
    { "int", "1_000", "1000" },
    { "int", " 5", "5" },
    { "int", "\xc2\xa0" "5\xe3\x80\x80", "5" },
    { "int", "5.0", "5" },
    { "int", "-0.0", "0" },
    { "int", "5.", INT },
    { "int", "5.5", INT },
    { "int", "1e3", INT },
    { "int", "0x10", INT },
    { "int", "true", INT },
    { "int", "", INT },
    { "int", "-", INT },
    { "int", "0_", INT },
    { "int", "1__0", INT },
    { "int", "9223372036854775807", "9223372036854775807" },
    { "int", "-9223372036854775808", "-9223372036854775808" },
    { "int", "9223372036854775808", SIZE },
    { "int", "18446744073709551616", SIZE },
    { "int", "-9223372036854775809", SIZE },
    { "int", "-9223372036854775809", SIZE },
    { "int", "99999999999999999999999999.0", SIZE },
    { "int", "99999999999999999999999999x", INT },

    { "float", "1e3", "1000" },
    { "float", ".5", "0.5" },
    { "float", "1_0", "10" },
    { "float", " 1.25 ", "1.25" },
    { "float", " 1_0", FLOAT },
    { "float", "1e+_5", "100000" },
    { "float", "", FLOAT },
    { "float", ".", FLOAT },
    { "float", "1e", FLOAT },
    { "float", "0x1p3", FLOAT },
    { "float", "nan", FINITE },
    { "float", "-inf", FINITE },
    { "float", "Infinity", FINITE },
    { "float", "1e400", FINITE },
    { "float", "1e99999999999999999999999999", FINITE },
    { "float", "1e-99999999999999999999999999", "0" },
    { "float", "0e99999999999999999999999999", "0" },
    { "float", "123456789012345678901234567890", "1.2345678901234568e+29" },

    { "bool", "1", "1" }, { "bool", "0", "0" },
    { "bool", "true", "1" }, { "bool", "false", "0" },
    { "bool", "YES", "1" }, { "bool", "nO", "0" },
    { "bool", "on", "1" }, { "bool", "off", "0" },
    { "bool", "t", "1" }, { "bool", "f", "0" },
    { "bool", "y", "1" }, { "bool", "n", "0" },
    { "bool", " 1", BOOL },
    { "bool", "2", BOOL },
    { "bool", "", BOOL },

    { "uuid", ONE "a", ONE "a" },
    { "uuid", "1234567812345678123456781234567A", ONE "a" },
    { "uuid", "{" ONE "a}", ONE "a" },
    { "uuid", "urn:uuid:" ONE "a", ONE "a" },
    { "uuid", "", UUID("invalid length: expected length 32 for simple format, "
                       "found 0") },
    { "uuid", ONE "g", UUID("invalid character: found `g` at 36") },
    { "uuid", "{" ONE "g}", UUID("invalid character: found `g` at 36") },
    { "uuid", "{12345678123456781234567812345678}",
      UUID("invalid group count: expected 5, found 1") },
    { "uuid", ONE, UUID("invalid group length in group 4: expected 12, "
                        "found 11") },
    { "uuid", "123456781-234-5678-1234-567812345678",
      UUID("invalid group length in group 0: expected 8, found 9") },
    { "uuid", "\xc3\xa9", UUID("invalid character: found `\xc3\xa9` at 1") },
    { "uuid", "\xc3", UUID("invalid character: found `\xef\xbf\xbd` at 1") },

    { "time", "2026-01-31T10:20:30Z", "1769854830000" },
    { "time", "2026-01-31T10:20:30", "1769854830000" },
    { "time", "2026-01-31 10:20", "1769854800000" },
    { "time", "2026-01-31t12:20:30.5+02:00", "1769854830500" },
    { "time", "2026-01-31_06:50:30,9999999-0330", "1769854830999" },
    { "time", "2026-01-31T10:20:30\xe2\x88\x92" "01:00", "1769858430000" },
    { "time", "2026-01-31", "1769817600000" },
    { "time", "1769854830", "1769854830000" },
    { "time", "1769854830123", "1769854830123" },
    { "time", "1769854830.25", "1769854830250" },
    { "time", "-1", "-1000" },
    { "time", "1969-12-31T23:59:59.9995Z", "-1" },
    { "time", "0001-01-01T00:00Z", "-62135596800000" },
    { "time", "9999-12-31T23:59:59.999Z", "253402300799999" },
    { "time", "2024-02-29", "1709164800000" },
    { "time", "", TIME("input is too short") },
    { "time", "2026-13-01",
      TIME("month value is outside expected range of 1-12") },
    { "time", "2026-02-29", TIME("day value is outside expected range") },
    { "time", "2026-01-31T24:00",
      TIME("unexpected extra characters at the end of the input") },
    { "time", "0000-01-01", "datetime_parsing|Input should be a valid "
      "datetime, year 0 is out of range|year 0 is out of range" },
    { "time", "99999999999999999",
      TIME("dates after 9999 are not supported as unix timestamps") },

    { "date", "2026-01-31", "2026-01-31" },
    { "date", "2026-01-31T00:00:00+05:00", "2026-01-31" },
    { "date", "86400", "1970-01-02" },
    { "date", "2026-01-31T00:00:01", INEXACT },
    { "date", "1", INEXACT },
    { "date", "2026-1-31", DATE("input is too short") },
    { "date", "2026-01-31x", DATE("invalid datetime separator, expected `T`, "
                                  "`t`, `_` or space") },
    { "date", "31/01/2026", DATE("invalid character in year") },

    { "base64", "aGk=", "hi" },
    { "base64", "aGk", "hi" },
    { "base64", "", "" },
    { "base64", "aGl=", B64("Invalid last symbol 108, offset 2.") },
    { "base64", "a", B64("Invalid input length: 1") },
    { "base64", "!!", B64("Invalid symbol 33, offset 0.") }
};


static const char  *locale = "de_DE.UTF-8";


static void value_print(ngx_str_t *kind, ngx_str_t *text, FILE *file);
static ngx_int_t value_print_more(ngx_str_t *kind, ngx_str_t *text, FILE *file,
    ngx_http_async_value_error_t *error);
static int value_filter(void);
static void value_huge(const char *kind, u_char fill, const char *expected);


int
main(int argc, char **argv)
{
    char        line[512];
    FILE       *file;
    ngx_str_t   kind, text;
    ngx_uint_t  i;

    /* where there is such a locale, all holds in it, too */

    if (setlocale(LC_ALL, locale) == NULL) {
        locale = "C";
    }

    if (argc == 2 && strcmp(argv[1], "-") == 0) {
        return value_filter();
    }

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        kind.data = (u_char *) cases[i].kind;
        kind.len = strlen(cases[i].kind);

        /* without a terminating zero, so that a sanitizer sees a step past */

        text.len = strlen(cases[i].text);
        text.data = malloc(text.len ? text.len : 1);
        memcpy(text.data, cases[i].text, text.len);

        memset(line, 0, sizeof(line));
        file = fmemopen(line, sizeof(line) - 1, "w");
        value_print(&kind, &text, file);
        fclose(file);

        ngx_stub_ok(strcmp(line, cases[i].expected) == 0, "%s \"%s\" is %s",
                    cases[i].kind, cases[i].text, cases[i].expected);
        free(text.data);
    }

    value_huge("int", '7', SIZE);
    value_huge("int", '_', INT);
    value_huge("int", ' ', INT);
    value_huge("float", '7', FINITE);
    value_huge("float", '0', "0");
    value_huge("bool", '1', BOOL);
    value_huge("uuid", '1', UUID("invalid length: expected length 32 for "
                                 "simple format, found 10000000"));
    value_huge("time", '7',
               TIME("invalid date separator, expected `-`"));
    value_huge("date", '0', "1970-01-01");
    value_huge("base64", '=', B64("Invalid symbol 61, offset 0."));

    return ngx_stub_done();
}


static void
value_print(ngx_str_t *kind, ngx_str_t *text, FILE *file)
{
    double                        d;
    u_char                        uuid[NGX_HTTP_ASYNC_UUID_LEN];
    int64_t                       n;
    ngx_int_t                     rc;
    ngx_uint_t                    flag;
    ngx_http_async_value_error_t  error;

    if (ngx_stub_is(kind, "int")) {
        rc = ngx_http_async_value_int(text, &n, &error);

        if (rc == NGX_OK) {
            fprintf(file, "%lld", (long long) n);
        }

    } else if (ngx_stub_is(kind, "float")) {
        rc = ngx_http_async_value_float(text, &d, &error);

        if (rc == NGX_OK) {
            setlocale(LC_NUMERIC, "C");
            fprintf(file, "%.17g", d);
            setlocale(LC_NUMERIC, locale);
        }

    } else if (ngx_stub_is(kind, "bool")) {
        rc = ngx_http_async_value_bool(text, &flag, &error);

        if (rc == NGX_OK) {
            fprintf(file, "%d", (int) flag);
        }

    } else if (!ngx_stub_is(kind, "uuid")) {
        rc = value_print_more(kind, text, file, &error);

    } else {
        rc = ngx_http_async_value_uuid(text, uuid, &error);

        if (rc == NGX_OK) {
            fprintf(file, "%.36s", uuid);
        }
    }

    if (rc != NGX_OK) {
        fwrite(error.type.data, 1, error.type.len, file);
        fputc('|', file);
        fwrite(error.msg.data, 1, error.msg.len, file);
        fputc('|', file);

        if (error.ctx.len) {
            fwrite(error.ctx.data, 1, error.ctx.len, file);
        }
    }
}


static ngx_int_t
value_print_more(ngx_str_t *kind, ngx_str_t *text, FILE *file,
    ngx_http_async_value_error_t *error)
{
    u_char     date[NGX_HTTP_ASYNC_DATE_LEN];
    int64_t    ms;
    ngx_int_t  rc;
    ngx_str_t  bytes;

    if (ngx_stub_is(kind, "time")) {
        rc = ngx_http_async_value_time(text, &ms, error);

        if (rc == NGX_OK) {
            fprintf(file, "%lld", (long long) ms);
        }

        return rc;
    }

    if (ngx_stub_is(kind, "date")) {
        rc = ngx_http_async_value_date(text, date, error);

        if (rc == NGX_OK) {
            fprintf(file, "%.10s", date);
        }

        return rc;
    }

    bytes.data = malloc(text->len ? text->len : 1);
    rc = ngx_http_async_value_base64(text, &bytes, error);

    if (rc == NGX_OK) {
        fwrite(bytes.data, 1, bytes.len, file);
    }

    free(bytes.data);

    return rc;
}


static int
value_filter(void)
{
    char        kind[8], *hex;
    size_t      size;
    ngx_str_t   word, text;
    char       *line;

    line = NULL;
    size = 0;

    while (getline(&line, &size, stdin) > 0) {
        sscanf(line, "%7s", kind);
        hex = strchr(line, ' ') + 1;

        word.data = (u_char *) kind;
        word.len = strlen(kind);
        text = ngx_stub_unhex(hex);

        value_print(&word, &text, stdout);
        putchar(0);

        free(text.data);
    }

    free(line);

    return 0;
}


static void
value_huge(const char *kind, u_char fill, const char *expected)
{
    char       line[512];
    FILE      *file;
    ngx_str_t  word, text;

    word.data = (u_char *) kind;
    word.len = strlen(kind);

    text.len = 10000000;
    text.data = malloc(text.len);
    memset(text.data, fill, text.len);

    memset(line, 0, sizeof(line));
    file = fmemopen(line, sizeof(line) - 1, "w");
    value_print(&word, &text, file);
    fclose(file);

    ngx_stub_ok(strcmp(line, expected) == 0, "%s of ten million '%c'", kind,
                fill);
    free(text.data);
}
