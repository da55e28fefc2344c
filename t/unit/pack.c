
/*
 * JSON from formats: tables of what is written and what is refused, then the
 * calls of pack_cases.py, each compared with json_pack() and the encoder:
 * equal bytes, or both refuse.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include "ngx_stub.h"
#include <ngx_http_async_json.h>


#define VALUES  8

/* more references than any call could lose by mistake */

#define REFERENCES  1000


static ngx_pool_t  *pool;
static json_t      *values[VALUES];
static ngx_uint_t   written, refused, bad;


static ngx_int_t run(ngx_http_async_json_pack_t *pack, ngx_str_t *text,
    const char *format, ...);
static ngx_int_t run_args(ngx_http_async_json_pack_t *pack, ngx_str_t *text,
    const char *format, va_list args);
static json_t *given(ngx_uint_t i);
static json_t *lent(ngx_uint_t i);
static void check(const char *format, ...);
static void is(const char *expected, const char *format, ...);
static void test_formats(void);
static void test_refused(void);
static void test_ownership(void);
static void test_size(void);
static void test_no_memory(void);
static json_t *nested(ngx_uint_t depth);


#include "pack_cases.h"


int
main(void)
{
    ngx_uint_t  i;

    pool = ngx_create_pool(4096, NULL);

    values[0] = json_string("a string\n");
    values[1] = json_integer(7);
    values[2] = json_real(0.1);
    values[3] = json_pack("{s:[i,n,b], s:{}}", "list", 1, 0, "none");
    values[4] = nested(40);
    values[5] = json_array();
    values[6] = nested(1000);
    values[7] = nested(1001);

    for (i = 0; i < VALUES; i++) {
        values[i]->refcount = REFERENCES;
    }

    test_formats();
    test_refused();
    test_ownership();
    test_size();
    test_no_memory();

    cases();

    ngx_stub_ok(bad == 0, "%d texts and %d refusals are as json_pack()'s",
                (int) written, (int) refused);
    ngx_stub_ok(written > 300 && refused > 300, "there were enough of both");

    for (i = 0; i < VALUES; i++) {
        values[i]->refcount = 1;
        json_decref(values[i]);
    }

    ngx_destroy_pool(pool);

    return ngx_stub_done();
}


static ngx_int_t
run(ngx_http_async_json_pack_t *pack, ngx_str_t *text, const char *format, ...)
{
    va_list    args;
    ngx_int_t  rc;

    va_start(args, format);
    rc = run_args(pack, text, format, args);
    va_end(args);

    return rc;
}


static ngx_int_t
run_args(ngx_http_async_json_pack_t *pack, ngx_str_t *text,
    const char *format, va_list args)
{
    va_list    copy;
    ngx_int_t  rc;

    pack->format = format;
    pack->args = &copy;

    va_copy(copy, args);
    rc = ngx_http_async_json_pack(pool, pack, text);

    if (pack->owned) {
        ngx_http_async_json_pack_release(pack);
    }

    va_end(copy);

    return rc;
}


static json_t *
given(ngx_uint_t i)
{
    return json_incref(values[i]);
}


static json_t *
lent(ngx_uint_t i)
{
    return values[i];
}


static void
check(const char *format, ...)
{
    json_t                      *value;
    va_list                      args;
    ngx_int_t                    rc, expected_rc;
    ngx_str_t                    text, expected;
    ngx_uint_t                   i, depth, lost;
    const char                  *error;
    size_t                       before[VALUES];
    ngx_http_async_json_pack_t   pack;

    for (i = 0; i < VALUES; i++) {
        before[i] = values[i]->refcount;
    }

    va_start(args, format);
    value = json_vpack_ex(NULL, 0, format, args);
    va_end(args);

    expected_rc = value ? ngx_http_async_json_encode(pool, value, &expected,
                                                     &depth, &error)
                        : NGX_DECLINED;
    json_decref(value);

    /* when it fails, jansson leaves some where they are */

    for (i = 0; i < VALUES; i++) {
        values[i]->refcount = before[i];
    }

    va_start(args, format);
    rc = run_args(&pack, &text, format, args);
    va_end(args);

    lost = 0;

    for (i = 0; i < VALUES; i++) {
        lost += values[i]->refcount != REFERENCES;
        values[i]->refcount = REFERENCES;
    }

    /* behind a letter that is none the types are not known */

    if (rc != NGX_OK && strpbrk(format, "xX\r")) {
        lost = 0;
    }

    if (rc == NGX_OK) {
        written++;

    } else {
        refused++;
    }

    if (rc == expected_rc && lost == 0
        && (rc == NGX_OK ? (text.len == expected.len
                            && memcmp(text.data, expected.data, text.len) == 0)
                         : (pack.error && pack.position >= 1
                            && pack.position <= strlen(format) + 1)))
    {
        return;
    }

    bad++;
    printf("# \"%s\": %d instead of %d, %d lost, %s\n# %.*s\n# %.*s\n", format,
           (int) rc, (int) expected_rc, (int) lost,
           rc == NGX_OK ? "" : pack.error,
           rc == NGX_OK ? (int) text.len : 0, text.data,
           expected_rc == NGX_OK ? (int) expected.len : 0, expected.data);
}


/* text, or position and error */

static void
is(const char *expected, const char *format, ...)
{
    char                         line[4096];
    va_list                      args;
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_http_async_json_pack_t   pack;

    va_start(args, format);
    rc = run_args(&pack, &text, format, args);
    va_end(args);

    if (rc == NGX_OK) {
        snprintf(line, sizeof(line), "%.*s", (int) text.len, text.data);

    } else {
        snprintf(line, sizeof(line), "%d %s", (int) pack.position, pack.error);
    }

    ngx_stub_ok(strcmp(line, expected) == 0, "\"%s\": %s", format, line);
}


static void
test_formats(void)
{
    is("42", "i", 42);
    is("null", " n ");
    is("\"a\"", "s", "a");
    is("null", "s?", NULL);
    is("null", "o?", NULL);
    is("{}", "{}");
    is("[[],{}]", "[[]{}]");
    is("{\"foo\":42,\"bar\":7}", "{sisi}", "foo", 42, "bar", 7);
    is("[[1,2],{\"cool\":true}]", "[[i,i],{s:b}]", 1, 2, "cool", 1);
    is("\"test\"", "s#", "test, and more", 4);
    is("\"foobarbaz\"", "s++", "foo", "bar", "baz");
    is("\"foobarbaz\"", "s#+%+", "food", 3, "bard", (size_t) 3, "baz");
    is("{}", "{s:s*,s:o*,s:O*}", "foo", NULL, "bar", NULL, "baz", NULL);
    is("[]", "[s*,o*,O*]", NULL, NULL, NULL);
    is("{\"b\":1}", "{s:s*, s:i, s:o*}", "a", NULL, "b", 1, "c", NULL);
    is("[9223372036854775807,-2147483648,0.1,false]", "[I,i,f,b]",
       (json_int_t) INT64_MAX, INT_MIN, 0.1, 0);
    is("[\"a\\u0000b\"]", "[s#]", "a\0b", 3);
    is("{\"a\\u0000b\":1}", "{s#:i}", "a\0b", 3, 1);
    is("{\"\xc3\xa9\":\"\xe2\x82\xac\"}", "{s+:s++}", "\xc3", "\xa9", "\xe2",
       "\x82", "\xac");
    is("{\"a\":1,\"a\":2}", "{s:i, s:i}", "a", 1, "a", 2);
    is("[1,2,3,4,5,6,7,8,0.5,1.5,2.5,3.5,4.5,5.5,6.5,7.5,8.5,9.5]",
       "[iiiiiiiiffffffffff]", 1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5, 4.5,
       5.5, 6.5, 7.5, 8.5, 9.5);
}


static void
test_refused(void)
{
    is("1 it ends too early", "");
    is("3 it ends too early", ", ");
    is("5 it ends too early", "{s:i", "a", 1);
    is("4 it ends too early", "[[]");
    is("4 it ends too early", "{s:", "a");
    is("3 there is more than a value", "{}i", 1);
    is("2 there is more than a value", "ss", "a", "b");
    is("2 a value cannot begin so", "[x]");
    is("2 a value cannot begin so", "[}");
    is("4 a value cannot begin so", "{s:}", "a");
    is("2 a key or \"}\" must be here", "{i:i}", 1, 1);
    is("2 a key or \"}\" must be here", "{*}");
    is("2 the string is NULL", "{s:i}", NULL, 1);
    is("4 the string is NULL", "{s:s}", "a", NULL);
    is("2 the string is NULL", "[s#]", NULL, 0);
    is("2 the string is NULL", "[s+]", "a", NULL);
    is("2 the length is negative", "[s#]", "a", -1);
    is("4 the string is not UTF-8", "{s:s}", "a", "\xff");
    is("2 the string is not UTF-8", "{s:i}", "\xed\xa0\x80", 1);
    is("2 the string is not UTF-8", "[s+]", "\xc3", "");
    is("2 an optional string has no length and no more parts", "[s?#]", "a",
       1);
    is("2 the value is NULL", "[o]", NULL);
    is("2 the value is NULL", "[O]", NULL);
    is("1 there is no value", "s*", NULL);
    is("1 there is no value", "O*", NULL);
    is("4 nan and inf have no JSON form", "{s:f}", "a", NAN);
    is("2 nan and inf have no JSON form", "[f]", -INFINITY);
    is("4 the value is nested more than 1000 levels deep, or holds itself",
       "{s:O}", "a", values[6]);
}


static void
test_ownership(void)
{
    json_t  *value;

    value = json_pack("{s:s}", "a", "b");

    is("[\"b\",{\"a\":\"b\"},{\"a\":\"b\"},\"b\"]", "[soOs]",
       json_string_value(json_object_get(value, "a")), json_incref(value),
       value, json_string_value(json_object_get(value, "a")));
    ngx_stub_ok(value->refcount == 1, "\"o\" is freed, \"O\" is not");

    is("2 the string is NULL", "[s,o,O,o?,o*]", NULL, json_incref(value), value,
       json_incref(value), json_incref(value));
    ngx_stub_ok(value->refcount == 1, "behind an argument that is wrong, too");

    is("4 it ends too early", "[oo", json_incref(value), json_incref(value));
    ngx_stub_ok(value->refcount == 1, "and where the format is wrong");

    is("3 a value cannot begin so", "[i#o]", 1, json_incref(value));
    ngx_stub_ok(value->refcount == 2, "behind a sign that is wrong it is lost");

    json_decref(value);
    json_decref(value);
}


static void
test_size(void)
{
    int                          i;
    char                         format[4001];
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_http_async_json_pack_t   pack;

    memset(format, '[', 2000);
    memset(format + 2000, ']', 2000);
    format[4000] = '\0';

    for (i = 999; i <= 1001; i++) {
        format[2000 + i] = '\0';

        rc = run(&pack, &text, format + 2000 - i);

        ngx_stub_ok(i <= 1000 ? rc == NGX_OK && text.len == 2 * (size_t) i
                                && pack.depth == (ngx_uint_t) i
                              : rc == NGX_DECLINED && pack.position == 1001,
                    "%d levels of a format", i);

        format[2000 + i] = ']';
    }
}


static void
test_no_memory(void)
{
    ngx_stub_allocations = 0;
    is("2 no memory", "[O]", values[4]);

    ngx_stub_allocations = 1;
    is("4 no memory", "[O]", values[4]);

    ngx_stub_allocations = -1;
}


static json_t *
nested(ngx_uint_t depth)
{
    json_t  *value;

    value = json_array();

    while (--depth) {
        value = (depth % 2) ? json_pack("{s:o}", "a", value)
                            : json_pack("[o]", value);
    }

    return value;
}
