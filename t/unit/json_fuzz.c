
/*
 * libFuzzer's entry to trees from JSON, see t/json-fuzz.t.  The first byte is
 * the depth that is allowed, the second says whether the rest is the text or
 * the choices by which one is made.  jansson's own parser must take what the
 * loader takes, and make the same of it: all kinds, and keys in their order.
 * Where that refuses a key or a number, the loader must name the same one.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <math.h>
#include <ngx_http_async_json.h>
#include "ngx_stub.h"


#define TEXT  4096

#define FLAGS  (JSON_REJECT_DUPLICATES|JSON_DECODE_ANY)


#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);          \
            abort();                                                         \
        }                                                                    \
    } while (0)


typedef struct {
    const u_char  *p;
    const u_char  *last;
    u_char        *to;
    u_char        *end;
} source_t;


int LLVMFuzzerTestOneInput(const u_char *data, size_t len);

static void try_text(ngx_str_t *text, ngx_uint_t max_depth);
static void try_wide(ngx_str_t *text, json_t *loaded);
static json_t *parse(ngx_str_t *text, size_t flags, json_error_t *error);
static void is_told(ngx_http_async_json_error_t *error, json_error_t *parsed,
    size_t skipped);
static void compare(json_t *one, json_t *two);
static void compare_object(json_t *one, json_t *two);
static ngx_uint_t depth_of(json_t *value);
static void write_value(source_t *s, ngx_uint_t depth);
static void write_members(source_t *s, ngx_uint_t depth, u_char open);
static void write_text(source_t *s, const char *text);
static u_char next(source_t *s);


int
LLVMFuzzerTestOneInput(const u_char *data, size_t len)
{
    u_char     made[TEXT];
    source_t   source;
    ngx_str_t  text;

    if (len < 2) {
        return 0;
    }

    source.p = data + 2;
    source.last = data + len;
    source.to = made;
    source.end = made + TEXT;

    if (data[1] % 2) {
        write_value(&source, 0);

    } else {
        source.to = ngx_cpymem(made, source.p, ngx_min(len - 2, TEXT));
    }

    /* its end is that of its memory */

    text.len = source.to - made;
    text.data = malloc(text.len ? text.len : 1);
    memcpy(text.data, made, text.len);

    try_text(&text, data[0]);

    free(text.data);

    return 0;
}


static void
try_text(ngx_str_t *text, ngx_uint_t max_depth)
{
    json_t                       *value, *wanted;
    size_t                        skipped;
    ngx_int_t                     rc;
    json_error_t                  parsed;
    ngx_http_async_json_error_t   error;

    wanted = parse(text, FLAGS, &parsed);

    rc = ngx_http_async_json_load(text->data, text->len, max_depth, &value,
                                  &error);

    CHECK((rc == NGX_OK && value) || (rc == NGX_DECLINED && value == NULL));

    max_depth = max_depth ? max_depth : NGX_HTTP_ASYNC_JSON_DEPTH;

    if (wanted == NULL || depth_of(wanted) > max_depth) {
        CHECK(rc == NGX_DECLINED);

    } else {
        CHECK(rc == NGX_OK);
        compare(value, wanted);
    }

    if (rc == NGX_DECLINED) {
        CHECK(error.offset <= text->len && error.position <= error.offset);

        skipped = text->len >= 3 && memcmp(text->data, "\xef\xbb\xbf", 3) == 0
                  ? 3 : 0;

        if (wanted) {
            CHECK(error.kind == NGX_HTTP_ASYNC_JSON_TOO_DEEP);

        } else if (error.kind != NGX_HTTP_ASYNC_JSON_TOO_DEEP
                   && error.kind != NGX_HTTP_ASYNC_JSON_UTF8)
        {
            is_told(&error, &parsed, skipped);
        }
    }

    try_wide(text, value);

    json_decref(wanted);
    json_decref(value);
}


/* to jansson, integers are real numbers then, all of them */

static void
try_wide(ngx_str_t *text, json_t *loaded)
{
    json_t        *value, *wanted;
    ngx_int_t      rc;
    json_error_t   parsed;

    wanted = parse(text, FLAGS|JSON_DECODE_INT_AS_REAL, &parsed);

    rc = ngx_http_async_json_wide(text->data, text->len, &value);

    if (wanted == NULL || depth_of(wanted) > NGX_HTTP_ASYNC_JSON_DEPTH) {
        CHECK(rc == NGX_DECLINED && value == NULL);

    } else {
        CHECK(rc == NGX_OK);
        compare(value, wanted);

        if (loaded) {
            CHECK(json_equal(value, loaded));
        }
    }

    json_decref(wanted);
    json_decref(value);
}


/* jansson drops zero bytes behind some tokens, and takes no byte order mark */

static json_t *
parse(ngx_str_t *text, size_t flags, json_error_t *error)
{
    u_char  *p;
    size_t   len;

    memset(error, 0, sizeof(json_error_t));

    p = text->data;
    len = text->len;

    if (memchr(p, '\0', len)) {
        return NULL;
    }

    if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
        len -= 3;
    }

    return json_loadb((char *) p, len, flags, error);
}


/* the token begins before jansson's place, which is behind it */

static void
is_told(ngx_http_async_json_error_t *error, json_error_t *parsed,
    size_t skipped)
{
    ngx_uint_t  key, number;

    key = strcmp(error->text, "Duplicate key") == 0;
    number = strcmp(error->text, "Number out of range") == 0;

    CHECK(strcmp(error->text, "Malformed JSON") != 0);

    switch (json_error_code(parsed)) {

    case json_error_duplicate_key:
    case json_error_numeric_overflow:
        CHECK(error->offset < skipped + parsed->position);
        CHECK(json_error_code(parsed) == json_error_duplicate_key ? !number
                                                                  : !key);
        break;

    default:
        CHECK(!key && !number);
    }
}


static void
compare(json_t *one, json_t *two)
{
    size_t      i;
    ngx_uint_t  wide;

    /* an integer that jansson was told to take for a real number */

    wide = json_is_integer(one) && json_is_real(two);

    CHECK(wide || json_typeof(one) == json_typeof(two));

    switch (json_typeof(one)) {

    case JSON_OBJECT:
        compare_object(one, two);
        return;

    case JSON_ARRAY:
        CHECK(json_array_size(one) == json_array_size(two));

        for (i = 0; i < json_array_size(one); i++) {
            compare(json_array_get(one, i), json_array_get(two, i));
        }

        return;

    case JSON_STRING:
        CHECK(json_string_length(one) == json_string_length(two));
        CHECK(memcmp(json_string_value(one), json_string_value(two),
                     json_string_length(one) + 1) == 0);
        return;

    case JSON_INTEGER:
        CHECK(json_number_value(one) == json_number_value(two));
        CHECK(wide || json_integer_value(one) == json_integer_value(two));
        return;

    case JSON_REAL:
        CHECK(json_real_value(one) == json_real_value(two));
        CHECK(signbit(json_real_value(one)) == signbit(json_real_value(two)));
        return;

    default:
        return;
    }
}


static void
compare_object(json_t *one, json_t *two)
{
    void    *i, *j;
    size_t   len;

    j = json_object_iter(two);

    for (i = json_object_iter(one); i; i = json_object_iter_next(one, i)) {
        CHECK(j);

        len = json_object_iter_key_len(i);

        CHECK(len == json_object_iter_key_len(j));
        CHECK(memcmp(json_object_iter_key(i), json_object_iter_key(j), len)
              == 0);

        compare(json_object_iter_value(i), json_object_iter_value(j));
        CHECK(json_object_getn(one, json_object_iter_key(j), len)
              == json_object_iter_value(i));

        j = json_object_iter_next(two, j);
    }

    CHECK(j == NULL);
}


static ngx_uint_t
depth_of(json_t *value)
{
    void        *i;
    size_t       n;
    ngx_uint_t   depth, most;

    most = 0;

    if (json_is_array(value)) {
        for (n = 0; n < json_array_size(value); n++) {
            depth = depth_of(json_array_get(value, n));
            most = ngx_max(depth, most);
        }

        return most + 1;
    }

    if (json_is_object(value)) {
        for (i = json_object_iter(value); i;
             i = json_object_iter_next(value, i))
        {
            depth = depth_of(json_object_iter_value(i));
            most = ngx_max(depth, most);
        }

        return most + 1;
    }

    return 0;
}


/* a text by the bytes: mostly JSON, with what is none among it */

static void
write_value(source_t *s, ngx_uint_t depth)
{
    u_char  c;

    static const char  *scalars[] = {
        "null", "true", "false", "0", "1", "-1", "-0", "-0.0", "0.0", "0e9",
        "2.5", "1e3", "1E-7", "1e+2", "9007199254740993", "0.1", "5e-324",
        "1e-400", "1.7976931348623157e308", "123456789.123456789",
        "9223372036854775807", "-9223372036854775808", "\"\"", "\"a\"",
        "\"a text of ASCII, which is long\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"",
        "\"\\u00e9\\ud83d\\ude00\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0041\\u0001\x7f\xef\xbf\xbf\"", "[]", "{}", "[{}]"
    };

    static const char  *others[] = {
        "9223372036854775808", "-9223372036854775809", "1e309", "-1e400",
        "123456789012345678901234567890", "01", "1.", ".5", "1e", "-", "NaN",
        "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
        "\"\xff\"", "\"\x01\"", "\"\\x\"", "\"\\u12g4\"", "'a'", "", "]", "}",
        "tru", "\"a", "1 2"
    };

    c = next(s);

    if (depth < 200 && c < 80) {
        write_members(s, depth, '{');

    } else if (depth < 200 && c < 140) {
        write_members(s, depth, '[');

    } else if (c < 252) {
        write_text(s, scalars[next(s) % (sizeof(scalars) / sizeof(char *))]);

    } else {
        write_text(s, others[next(s) % (sizeof(others) / sizeof(char *))]);
    }
}


static void
write_members(source_t *s, ngx_uint_t depth, u_char open)
{
    u_char      c;
    ngx_uint_t  i, n;

    static const char  *keys[] = {
        "\"a\":", "\"b\":", "\"\":", "\"a\\\"\" :", "\"\\u0062b\":",
        "\"\xc3\xa9\":", "\"\\u00e9 \":", "\"a longer key\\n\":", "\"c\": ",
        "\"d\":", "\"e\":", "\"f\":", "\"g\":", "\"h\":", "\"i\":", "\"j\":",
        "\"\\u0061\":", "\"\\u00e9\":", "\"\\ud83d\\ude00\":",
        "\"\xf0\x9f\x98\x80\":", "\"a\\u0000\":", "\"b\"", "a:"
    };

    static const char  *commas[] = { ",", " ,", ",\r\n", "\t, " };
    static const char  *spaces[] = { "", " ", "\r", "\n\t" };

    c = next(s);
    n = c % 5 + (c % 8 ? 0 : 9);

    write_text(s, open == '{' ? "{" : "[");

    for (i = 0; i < n; i++) {
        write_text(s, i ? commas[c % 4] : spaces[c % 4]);

        if (open == '{') {
            c = next(s);

            /* mostly one that was not there */

            write_text(s, keys[c < 224 ? (i + c / 128) % 16
                                       : c % (sizeof(keys) / sizeof(char *))]);
        }

        write_value(s, depth + 1);
    }

    write_text(s, (c == 255) ? ",]" : (open == '{') ? "}" : "]");
}


static void
write_text(source_t *s, const char *text)
{
    size_t  len;

    len = ngx_min(strlen(text), (size_t) (s->end - s->to));
    s->to = ngx_cpymem(s->to, text, len);
}


static u_char
next(source_t *s)
{
    return (s->p < s->last) ? *s->p++ : 0xff - 4;
}
