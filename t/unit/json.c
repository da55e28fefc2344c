
/*
 * JSON in and out: the tables, and, called with "-", a filter for json.py:
 * lines of "load HEX", "echo HEX", "real HEXBITS" in, results out.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <locale.h>
#include <math.h>
#include "ngx_stub.h"
#include <ngx_http_async_json.h>
#include <ngx_http_async_json_write.h>


typedef struct {
    const char  *text;
    size_t       len;
    const char  *expected;      /* encoded again, or kind, position, text */
} json_case_t;


#define TEXT(s)  s, sizeof(s) - 1

#define FIFTY  "abcdefghijABCDEFGHIJabcdefghijABCDEFGHIJabcdefghij"


static json_case_t  cases[] = {
    { TEXT(""), "empty 0 Expecting value" },
    { TEXT("  "), "syntax 2 Expecting value" },
    { TEXT("\xef\xbb\xbf"), "syntax 0 Expecting value" },
    { TEXT("\xef\xbb\xbf[1]"), "[1]" },
    { TEXT("\xef\xbb\xbf[1"), "syntax 2 Expecting ',' delimiter" },
    { TEXT("1"), "1" },
    { TEXT(" \"a\" "), "\"a\"" },
    { TEXT("null"), "null" },
    { TEXT("{\"b\":1,\"a\":[true,false,null,{}],\"c\":[]}"),
      "{\"b\":1,\"a\":[true,false,null,{}],\"c\":[]}" },
    { TEXT("{\"a\":1,\"a\":2}"), "refused 7 Duplicate key" },
    { TEXT("{\"\xc3\xa9\":1,\"\xc3\xa9\":2}"), "refused 7 Duplicate key" },
    { TEXT("{\"a\":[],\"\\u0061\":2}"), "refused 8 Duplicate key" },
    { TEXT("{\"a\":1,\"b\":2,\"a\":{\"c\":3}}"),
      "refused 13 Duplicate key" },
    { TEXT("[{\"a\":1,\"a\":[]}, x]"), "refused 8 Duplicate key" },
    { TEXT("{\"a\":1,\"a\" 2}"), "refused 7 Duplicate key" },
    { TEXT("{\"a\":{\"a\":{\"a\":1}},\"b\":1,\"a\":1}"),
      "refused 25 Duplicate key" },
    { TEXT("{\"a\":{\"a\":1,\"b\":1},\"b\":{\"a\":1}}"),
      "{\"a\":{\"a\":1,\"b\":1},\"b\":{\"a\":1}}" },
    { TEXT("{\"a\":1,\"a\":2}\0"), "syntax 13 Extra data" },
    { TEXT("{\"\":1,\"\\n\":2,\"\\u00e9\":\"\\t\"}"),
      "{\"\":1,\"\\n\":2,\"\xc3\xa9\":\"\\t\"}" },
    { TEXT("{\"\":1,\"\":2}"), "refused 6 Duplicate key" },
    { TEXT("{\"a\\u0000\":1}"), "refused 3 \\u0000 is not allowed" },
    { TEXT("[1e400,1,{\"a\":1,\"a\":2}]"),
      "refused 1 Number out of range" },
    { TEXT("[1e400.5"), "refused 1 Number out of range" },
    { TEXT("[99999999999999999999.]"), "syntax 21 Expecting ',' delimiter" },
    { TEXT("[-0, 0, -0.0, 1e-400]"), "[0,0,-0.0,0.0]" },
    { TEXT("[-9223372036854775809]"), "refused 1 Number out of range" },
    { TEXT("[9223372036854775807,-9223372036854775808]"),
      "[9223372036854775807,-9223372036854775808]" },
    { TEXT("[1, 9223372036854775808]"), "refused 4 Number out of range" },
    { TEXT("{\"a\": 1e400}"), "refused 6 Number out of range" },
    { TEXT("[NaN]"), "syntax 1 Expecting value" },
    { TEXT("Infinity"), "syntax 0 Expecting value" },
    { TEXT("[-Infinity]"), "syntax 1 Expecting value" },
    { TEXT("{} x"), "syntax 3 Extra data" },
    { TEXT("01"), "syntax 1 Extra data" },
    { TEXT("[1,]"), "syntax 3 Expecting value" },
    { TEXT("{\"a\":1,}"),
      "syntax 7 Expecting property name enclosed in double quotes" },
    { TEXT("{\"a\" 1}"), "syntax 5 Expecting ':' delimiter" },
    { TEXT("{\"a\":1 \"b\"}"), "syntax 7 Expecting ',' delimiter" },
    { TEXT("[\"\xc3\xa9\", x]"), "syntax 6 Expecting value" },
    { TEXT("[\"abc"), "syntax 1 Unterminated string starting at" },
    { TEXT("\"a\nb\""), "syntax 2 Invalid control character at" },
    { TEXT("\"\\x\""), "syntax 1 Invalid \\escape" },
    { TEXT("\"\\u12g4\""), "syntax 2 Invalid \\uXXXX escape" },
    { TEXT("\"a\\ud800\""), "refused 2 Unpaired surrogate" },
    { TEXT("\"\\ud83d\\ude00\""), "\"\xf0\x9f\x98\x80\"" },
    { TEXT("\"a\\u0000\""), "refused 2 \\u0000 is not allowed" },
    { TEXT("[\"\xff\"]"), "utf8 2 Invalid UTF-8" },
    { TEXT("[\"\xed\xa0\x80\"]"), "utf8 2 Invalid UTF-8" },
    { TEXT("[x \"\xc3\"]"), "utf8 4 Invalid UTF-8" },
    { TEXT("\0"), "syntax 0 Expecting value" },
    { TEXT("[1\0]"), "syntax 2 Expecting ',' delimiter" },
    { TEXT("[0.1, 1.0, 1e16, 1e-5, -0.0, 1e15]"),
      "[0.1,1.0,1e+16,1e-05,-0.0,1000000000000000.0]" },
    { TEXT("\"\\u001f\\b\\f\\n\\r\\t\\/\\\"\\\\\x7f\xe2\x80\xa8\""),
      "\"\\u001f\\b\\f\\n\\r\\t/\\\"\\\\\x7f\xe2\x80\xa8\"" }
};


void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__real_malloc(size_t size);
void *__real_realloc(void *p, size_t size);


static ngx_pool_t  *pool;
static const char  *locale = "de_DE.UTF-8";


static const char *echo(ngx_str_t *text);
static const char *encode(json_t *value);
static json_t *nested(ngx_uint_t depth);
static void test_depth(void);
static void test_encode(void);
static void test_no_memory(void);
static void test_load_no_memory(void);
static ngx_uint_t load_no_memory(ngx_str_t *text, ngx_uint_t max_depth);
static void test_order(void);
static void test_escaped(void);
static void test_wide(void);
static void test_powers(void);
static void test_room(void);
static int filter(void);


/* n brackets around a number and so many spaces */

static void
nest(ngx_http_async_json_out_t *out, ngx_uint_t n, ngx_uint_t spaces)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    rc = NGX_OK;

    for (i = 0; i < n; i++) {
        rc |= ngx_http_async_json_open(out, '[');
    }

    rc |= ngx_http_async_json_write_int(out, n);

    for (i = 0; i < spaces; i++) {
        rc |= ngx_http_async_json_write_word(out, " ", 1);
    }

    for (i = 0; i < n; i++) {
        out->depth--;
        rc |= ngx_http_async_json_write_word(out, "]", 1);
    }

    ngx_stub_ok(rc == NGX_OK, "%d brackets, %d spaces: written", (int) n,
                (int) spaces);
}


static void
is_nest(ngx_http_async_json_out_t *out, ngx_uint_t n, ngx_uint_t spaces)
{
    char        expected[4096], *p;
    ngx_int_t   rc;
    ngx_str_t   text;

    memset(expected, '[', n);
    p = expected + n;
    p += sprintf(p, "%d", (int) n);
    memset(p, ' ', spaces);
    p += spaces;
    memset(p, ']', n);
    p += n;

    rc = ngx_http_async_json_out_done(out, NGX_OK, &text);

    ngx_stub_ok(rc == NGX_OK && text.len == (size_t) (p - expected)
                && memcmp(text.data, expected, text.len) == 0,
                "%d brackets, %d spaces: as written", (int) n, (int) spaces);
}


/* texts that are written while another one has the thread's room */

static void
test_room(void)
{
    ngx_uint_t                 i;
    ngx_http_async_json_out_t  outer, inner;

    static const ngx_uint_t    n[] = { 2, 1, 32, 33, 40 };
    static const ngx_uint_t    spaces[] = { 0, 1, 1000, 1024, 3000 };

    for (i = 0; i < 25; i++) {
        ngx_http_async_json_out(&outer, pool);
        nest(&outer, n[i / 5], spaces[i % 5]);

        ngx_http_async_json_out(&inner, pool);
        nest(&inner, n[i % 5], spaces[i / 5]);

        if (i % 2) {
            is_nest(&outer, n[i / 5], spaces[i % 5]);
            is_nest(&inner, n[i % 5], spaces[i / 5]);

        } else {
            is_nest(&inner, n[i % 5], spaces[i / 5]);
            is_nest(&outer, n[i / 5], spaces[i % 5]);
        }
    }

    ngx_http_async_json_out(&outer, pool);
    ngx_stub_ok(outer.room != NULL, "the room is given back");
    nest(&outer, 1, 0);
    is_nest(&outer, 1, 0);
}


int
main(int argc, char **argv)
{
    ngx_str_t    text;
    ngx_uint_t   i;
    const char  *answer;

    /* where there is such a locale, all holds in it, too */

    if (setlocale(LC_ALL, locale) == NULL) {
        locale = "C";
    }

    pool = ngx_create_pool(4096, NULL);

    if (argc == 2 && strcmp(argv[1], "-") == 0) {
        filter();
        ngx_destroy_pool(pool);
        return 0;
    }

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text.len = cases[i].len;
        text.data = malloc(text.len ? text.len : 1);
        memcpy(text.data, cases[i].text, text.len);

        answer = echo(&text);
        ngx_stub_ok(strcmp(answer, cases[i].expected) == 0, "load case %d: %s",
                    (int) i, answer);
        free(text.data);
    }

    test_depth();
    test_encode();
    test_no_memory();
    test_load_no_memory();
    test_order();
    test_escaped();
    test_wide();
    test_powers();
    test_room();

    ngx_destroy_pool(pool);

    return ngx_stub_done();
}


static const char *
echo(ngx_str_t *text)
{
    json_t                       *value;
    ngx_int_t                     rc;
    const char                   *answer;
    ngx_http_async_json_error_t   error;

    static char         line[256];
    static const char  *kinds[] = {
        "empty", "utf8", "deep", "syntax", "refused"
    };

    rc = ngx_http_async_json_load(text->data, text->len, 0, &value, &error);

    if (rc == NGX_ERROR) {
        return "no memory";
    }

    if (rc == NGX_DECLINED) {
        sprintf(line, "%s %d %s", kinds[error.kind], (int) error.position,
                error.text);
        return line;
    }

    answer = encode(value);
    json_decref(value);

    return answer;
}


static const char *
encode(json_t *value)
{
    ngx_str_t     text;
    ngx_uint_t    depth;
    const char   *error;
    static char  *line;

    if (ngx_http_async_json_encode(pool, value, &text, &depth, &error)
        != NGX_OK)
    {
        return error;
    }

    free(line);
    line = strndup((char *) text.data, text.len);

    return line;
}


static json_t *
nested(ngx_uint_t depth)
{
    json_t  *value, *outer;

    value = json_array();

    while (--depth) {
        outer = (depth % 2) ? json_object() : json_array();

        if (depth % 2) {
            json_object_set_new(outer, "a", value);

        } else {
            json_array_append_new(outer, value);
        }

        value = outer;
    }

    return value;
}


static void
test_depth(void)
{
    char                          text[5000];
    json_t                       *value;
    ngx_int_t                     rc;
    ngx_uint_t                    i;
    ngx_http_async_json_error_t   error;

    for (i = 0; i < 2500; i++) {
        text[i] = '[';
        text[4999 - i] = ']';
    }

    rc = ngx_http_async_json_load((u_char *) text + 2400, 200, 0, &value,
                                  &error);
    ngx_stub_ok(rc == NGX_OK, "100 levels load by default");
    json_decref(value);

    rc = ngx_http_async_json_load((u_char *) text + 2399, 202, 0, &value,
                                  &error);
    ngx_stub_ok(rc == NGX_DECLINED && value == NULL
                && error.kind == NGX_HTTP_ASYNC_JSON_TOO_DEEP
                && error.offset == 100,
                "101 levels do not, and the place is told");

    rc = ngx_http_async_json_load((u_char *) text, 5000, 5000, &value, &error);
    ngx_stub_ok(rc == NGX_DECLINED
                && error.kind == NGX_HTTP_ASYNC_JSON_TOO_DEEP
                && error.offset == NGX_HTTP_ASYNC_JSON_MAX_DEPTH,
                "no bound is higher than jansson's");

    rc = ngx_http_async_json_load((u_char *) text + 452, 4096, 2048, &value,
                                  &error);
    ngx_stub_ok(rc == NGX_OK, "2048 levels load if they may");
    json_decref(value);

    rc = ngx_http_async_json_load((u_char *) "[\"[[\\\"[[\"]", 10, 1, &value,
                                  &error);
    ngx_stub_ok(rc == NGX_OK, "brackets in strings are no levels");
    json_decref(value);

    rc = ngx_http_async_json_load((u_char *) "[\"\\", 3, 1, &value, &error);
    ngx_stub_ok(rc == NGX_DECLINED && error.offset == 1,
                "a text that ends in a backslash is not left");
}


static void
test_encode(void)
{
    char          *text, big[3000];
    json_t        *value, *inner;
    const char    *answer;

    ngx_stub_ok(strcmp(encode(NULL), "there is no value") == 0,
                "NULL is an error");

    value = nested(1000);
    answer = encode(value);
    text = json_dumps(value, JSON_COMPACT);
    ngx_stub_ok(strcmp(answer, text) == 0, "1000 levels are written");
    free(text);
    json_decref(value);

    value = nested(1001);
    ngx_stub_ok(strncmp(encode(value), "the value is nested more than", 29)
                == 0, "1001 levels are an error");
    json_decref(value);

    value = json_array();
    inner = json_array();
    json_array_append_new(value, inner);
    json_array_append(inner, value);
    ngx_stub_ok(strncmp(encode(value), "the value is nested more than", 29)
                == 0, "a cycle is an error");
    json_array_clear(inner);
    json_decref(value);

    value = json_object();
    json_object_setn_new(value, "a\0b", 3, json_stringn("\0", 1));
    ngx_stub_ok(strcmp(encode(value), "{\"a\\u0000b\":\"\\u0000\"}") == 0,
                "zero bytes in keys and strings are escaped");
    json_decref(value);

    memset(big, '\1', sizeof(big));
    value = json_pack("[s#s#]", big, sizeof(big), big, 1);
    answer = encode(value);
    ngx_stub_ok(strlen(answer) == 6 * sizeof(big) + 2 + 6 + 2 + 3,
                "a text of escapes only grows as it must");
    json_decref(value);
}


static void
test_no_memory(void)
{
    json_t      *value;
    ngx_str_t    text;
    ngx_int_t    rc;
    ngx_uint_t   depth;
    const char  *error;

    value = nested(100);

    ngx_stub_allocations = 0;
    rc = ngx_http_async_json_encode(pool, value, &text, &depth, &error);
    ngx_stub_ok(rc == NGX_ERROR && strcmp(error, "no memory") == 0,
                "no memory for the frames is told");

    ngx_stub_allocations = 1;
    rc = ngx_http_async_json_encode(pool, value, &text, &depth, &error);
    ngx_stub_ok(rc == NGX_ERROR && strcmp(error, "no memory") == 0,
                "no memory for the text is told");

    ngx_stub_allocations = -1;
    json_decref(value);
}


/*
 * What jansson allocates, and what the files take from malloc() and realloc(),
 * which the linker leads here (see t/unit.t): so many more succeed, or all.
 */

static ngx_int_t  allocations = -1;
static ngx_int_t  allocated;    /* by jansson, and not freed */


static ngx_uint_t
may_allocate(void)
{
    if (allocations == 0) {
        return 0;
    }

    allocations -= (allocations > 0);

    return 1;
}


void *
__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}


void *
__wrap_realloc(void *p, size_t size)
{
    return may_allocate() ? __real_realloc(p, size) : NULL;
}


static void *
allocate(size_t size)
{
    void  *p;

    p = malloc(size);
    allocated += (p != NULL);

    return p;
}


static void
release(void *p)
{
    allocated -= (p != NULL);
    free(p);
}


static void
test_load_no_memory(void)
{
    char                       deep[302];
    size_t                     i;
    ngx_str_t                  s;
    ngx_uint_t                 n;
    json_free_t                old_free;
    json_malloc_t              old_malloc;

    static const char  *const  texts[] = {
        "{\"a\":[1,2.5,\"x\",true,null,[],{}],\"\\u0062\":\"\\n\","
        "\"c\":{\"d\":[[1],[2]],\"e\":1,\"f\":2,\"g\":3,\"h\":4,\"i\":5,"
        "\"j\":6,\"k\":7,\"l\":8,\"m\":[1,2,3,4,5,6,7,8,9,10]}}",
        "{\"a\":{\"b\":[1,\"x\"]},\"c\":[{}],\"\\u0061\":{\"d\":1}}",
        "[{\"a\":[]},\"b\",1e400]",
        "[{\"a\":[]},\"b\",x]",
        "{\"\\u0061\":\"\\n\",\"\\n" FIFTY FIFTY FIFTY
        "\":[\"\\n" FIFTY FIFTY FIFTY FIFTY
        "\",{\"\\t" FIFTY FIFTY FIFTY FIFTY FIFTY "\":1}]}"
    };

    json_get_alloc_funcs(&old_malloc, &old_free);
    json_set_alloc_funcs(allocate, release);

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        s.data = (u_char *) texts[i];
        s.len = strlen(texts[i]);

        n = load_no_memory(&s, 0);

        ngx_stub_ok(n > 5, "text %d without its nth allocation: %d", (int) i,
                    (int) n);
    }

    memset(deep, '[', 150);
    memset(deep + 150, ']', 150);

    s.data = (u_char *) deep;
    s.len = 300;

    n = load_no_memory(&s, 150);
    ngx_stub_ok(n > 150, "150 levels without their nth allocation: %d",
                (int) n);

    json_set_alloc_funcs(old_malloc, old_free);
}


/* how many allocations there are; 0: one failed, and that was not right */

static ngx_uint_t
load_no_memory(ngx_str_t *text, ngx_uint_t max_depth)
{
    json_t                       *value;
    ngx_int_t                     rc, all;
    ngx_uint_t                    n;
    ngx_http_async_json_error_t   error;

    all = ngx_http_async_json_load(text->data, text->len, max_depth, &value,
                                   &error);
    json_decref(value);

    if (all == NGX_ERROR || allocated) {
        return 0;
    }

    for (n = 0; /* void */ ; n++) {
        allocations = n;

        rc = ngx_http_async_json_load(text->data, text->len, max_depth,
                                      &value, &error);
        allocations = -1;

        if (rc != NGX_ERROR) {
            break;
        }

        if (value || allocated) {
            return 0;
        }
    }

    json_decref(value);

    return (rc == all && allocated == 0) ? n : 0;
}


/* many keys, and some of them once more */

static void
test_order(void)
{
    int                           i, len;
    char                          text[20000];
    void                         *iter;
    json_t                       *value;
    ngx_int_t                     rc;
    ngx_http_async_json_error_t   error;

    len = 0;

    for (i = 0; i < 1000; i++) {
        len += sprintf(text + len, "%c\"k%d\":%d", i ? ',' : '{',
                       i * 7 % 1000, i);
    }

    text[len] = '}';

    rc = ngx_http_async_json_load((u_char *) text, len + 1, 0, &value, &error);

    i = 0;

    for (iter = json_object_iter(value); iter;
         iter = json_object_iter_next(value, iter))
    {
        i += json_integer_value(json_object_iter_value(iter)) == i
             && atoi(json_object_iter_key(iter) + 1) == i * 7 % 1000;
    }

    ngx_stub_ok(rc == NGX_OK && i == 1000, "1000 keys keep their order");
    json_decref(value);

    sprintf(text + len, ",\"k7\":1}");

    rc = ngx_http_async_json_load((u_char *) text, strlen(text), 0, &value,
                                  &error);
    ngx_stub_ok(rc == NGX_DECLINED && error.kind == NGX_HTTP_ASYNC_JSON_REFUSED
                && error.offset == (size_t) len + 1,
                "the 1001st, which was there, is refused");
}


/* of all lengths, so that each is the first one that has no room */

static void
test_escaped(void)
{
    int                           i, bad;
    char                          text[2048], key[1024];
    json_t                       *value, *member;
    size_t                        n;
    ngx_int_t                     rc;
    ngx_http_async_json_error_t   error;

    bad = 0;

    for (i = 0; i < 1000; i++) {
        memset(key, 'k', i);
        strcpy(key + i, "\n");

        n = sprintf(text, "{\"%.*s\\n\":\"", i, key);
        memset(text + n, 'v', 1000 - i);
        n += 1000 - i;
        n += sprintf(text + n, "\\t\"}");

        rc = ngx_http_async_json_load((u_char *) text, n, 0, &value, &error);
        member = json_object_get(value, key);

        bad += rc != NGX_OK || json_string_length(member) != 1001 - (size_t) i
               || json_string_value(member)[1000 - i] != '\t';

        json_decref(value);
    }

    ngx_stub_ok(bad == 0, "escaped keys and strings of all lengths");
}


/* integers beyond int64_t are real numbers there */

static void
test_wide(void)
{
    size_t                     i;
    json_t                    *value;
    ngx_int_t                  rc;

    static const struct {
        const char            *text;
        const char            *expected;    /* NULL: it is refused */
    } wide[] = {
        { "[9223372036854775807,9223372036854775808,-9223372036854775809]",
          "[9223372036854775807,9.223372036854776e+18,-9.223372036854776e+18]"
        },
        { "{\"a\":12345678901234567890123,\"b\":1}",
          "{\"a\":1.2345678901234568e+22,\"b\":1}" },
        { "\"12345678901234567890123\"", "\"12345678901234567890123\"" },
        { "1e400", NULL },
        { "{\"a\":1,\"a\":2}", NULL },
        { "[1", NULL },
        { "", NULL }
    };

    for (i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
        rc = ngx_http_async_json_wide((u_char *) wide[i].text,
                                      strlen(wide[i].text), &value);

        ngx_stub_ok(wide[i].expected
                    ? rc == NGX_OK && strcmp(encode(value), wide[i].expected)
                                      == 0
                    : rc == NGX_DECLINED && value == NULL,
                    "wide: %s", wide[i].text);
        json_decref(value);
    }
}


/* the gap below a power of two is half of that above: the odd ones out */

static void
test_powers(void)
{
    int      i, bad;
    double   d, back;
    u_char  *p, text[NGX_HTTP_ASYNC_JSON_DOUBLE_LEN];

    bad = 0;

    for (i = -1074; i <= 1023; i++) {
        d = ldexp(1.0, i);
        p = ngx_http_async_json_double(text, -d);
        *p = '\0';

        setlocale(LC_NUMERIC, "C");
        back = strtod((char *) text, NULL);
        setlocale(LC_NUMERIC, locale);

        bad += back != -d || p - text > 25;
    }

    ngx_stub_ok(bad == 0, "all powers of two read back");
}


static int
filter(void)
{
    char       *line, *hex;
    size_t      size;
    double      d;
    u_char     *p, digits[NGX_HTTP_ASYNC_JSON_DOUBLE_LEN];
    uint64_t    bits;
    ngx_str_t   text, answer;

    line = NULL;
    size = 0;

    while (getline(&line, &size, stdin) > 0) {
        hex = strchr(line, ' ') + 1;

        if (line[0] == 'r') {
            bits = strtoull(hex, NULL, 16);
            memcpy(&d, &bits, 8);

            p = ngx_http_async_json_double(digits, d);
            printf("%.*s\n", (int) (p - digits), digits);
            continue;
        }

        text = ngx_stub_unhex(hex);

        answer.data = (u_char *) echo(&text);
        answer.len = strlen((char *) answer.data);
        ngx_stub_hex(&answer);
        putchar('\n');

        free(text.data);
    }

    free(line);

    return 0;
}
