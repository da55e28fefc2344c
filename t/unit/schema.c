/*
 * Schemas: mistakes in models that nginx -t tells; values of text by fields of
 * each kind, with bounds, lengths, patterns, choices and checks; defaults.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <locale.h>
#include <stdbool.h>
#include <ngx_http_async_schema.h>
#include "ngx_stub.h"


typedef enum { RED, GREEN, BLUE } color_t;

static const char *const  colors[] = { "red", "green", "blue", NULL };
static const char *const  quoted[] = { "it's", "\"", "'\"", "\\\n\x01", NULL };
static const char *const  single[] = { "yes", NULL };
static const char *const  none[] = { NULL };
static const char *const  twice[] = { "a", "b", "a", NULL };
static const char *const  broken[] = { "a", "\xff", NULL };


static const char *
is_even(const void *member)
{
    return *(const int *) member % 2 ? "must be even" : NULL;
}


static const char *
is_not_root(const void *member)
{
    return strcmp(*(const char *const *) member, "root") == 0
           ? "who is \xff?" : NULL;
}


static const char *
is_never(const void *member)
{
    (void) member;

    return "is never right";
}


typedef struct {
    int8_t          i8;
    uint8_t         u8;
    int64_t         i64;
    uint64_t        u64;
    uint64_t        u64_lt;
    int             gt;
    int             ge;
    int             lt;
    int             le;
    int             between;
    int             even;
    color_t         color;
    bool            flag;
    bool            never;
    double          d;
    double          d_gt;
    double          d_tiny;
    double          d_huge;
    float           f;
    float           f_le;
    const char     *text;
    const char     *pattern;
    const char     *slow;
    const char     *checked;
    async_str_t     str;
    async_str_t     one;
    const char     *choice;
    const char     *quotes;
    const char     *yes;
    const char     *uuid;
    async_str_t     date;
    int64_t         time;
    async_str_t     bytes;
    json_t         *json;
    int            *maybe;
    int            *list;
    size_t          n;
} all_t;

ASYNC_MODEL(all_model, all_t,
    ASYNC_FIELD(all_t, i8),
    ASYNC_FIELD(all_t, u8),
    ASYNC_FIELD(all_t, i64),
    ASYNC_FIELD(all_t, u64),
    ASYNC_FIELD(all_t, u64_lt, ASYNC_LT(5)),
    ASYNC_FIELD(all_t, gt, ASYNC_GT(3)),
    ASYNC_FIELD(all_t, ge, ASYNC_GE(3)),
    ASYNC_FIELD(all_t, lt, ASYNC_LT(3)),
    ASYNC_FIELD(all_t, le, ASYNC_LE(3)),
    ASYNC_FIELD(all_t, between, ASYNC_GT(-5), ASYNC_LE(5)),
    ASYNC_FIELD(all_t, even, ASYNC_WITH(check, is_even)),
    ASYNC_FIELD(all_t, color, ASYNC_WITH(choices, colors)),
    ASYNC_FIELD(all_t, flag),
    ASYNC_FIELD(all_t, never, ASYNC_WITH(check, is_never)),
    ASYNC_FIELD(all_t, d),
    ASYNC_FIELD(all_t, d_gt, ASYNC_GT(3), ASYNC_LT(12.5)),
    ASYNC_FIELD(all_t, d_tiny, ASYNC_GE(1.5e-7)),
    ASYNC_FIELD(all_t, d_huge, ASYNC_LE(-1.25e20)),
    ASYNC_FIELD(all_t, f),
    ASYNC_FIELD(all_t, f_le, ASYNC_LE(0.1)),
    ASYNC_FIELD(all_t, text, ASYNC_WITH(min_length, 2),
                ASYNC_WITH(max_length, 3)),
    ASYNC_FIELD(all_t, pattern, ASYNC_WITH(pattern, "^\\w\xc3\xa9+$")),
    ASYNC_FIELD(all_t, slow, ASYNC_WITH(pattern, "^(a+)+$")),
    ASYNC_FIELD(all_t, checked, ASYNC_WITH(check, is_not_root)),
    ASYNC_FIELD(all_t, str),
    ASYNC_FIELD(all_t, one, ASYNC_WITH(min_length, 1),
                ASYNC_WITH(max_length, 1)),
    ASYNC_FIELD(all_t, choice, ASYNC_WITH(choices, colors)),
    ASYNC_FIELD(all_t, quotes, ASYNC_WITH(choices, quoted)),
    ASYNC_FIELD(all_t, yes, ASYNC_WITH(choices, single)),
    ASYNC_FIELD(all_t, uuid, ASYNC_WITH(type, ASYNC_FIELD_UUID)),
    ASYNC_FIELD(all_t, date, ASYNC_WITH(type, ASYNC_FIELD_DATE)),
    ASYNC_FIELD(all_t, time, ASYNC_WITH(type, ASYNC_FIELD_TIME)),
    ASYNC_FIELD(all_t, bytes, ASYNC_WITH(type, ASYNC_FIELD_BYTES)),
    ASYNC_FIELD(all_t, json, ASYNC_WITH(optional, 1)),
    ASYNC_FIELD(all_t, maybe),
    ASYNC_LIST(all_t, list, n, ASYNC_WITH(min_length, 1),
               ASYNC_WITH(max_length, 2), ASYNC_GE(0))
);


typedef struct {
    const char  *field;
    const char  *text;
    const char  *expected;     /* the value, or type|msg|ctx */
} case_t;


#define WORDS(is, than, msg, ctx)                                             \
    is "|Input should be " than " " msg "|{\"" ctx "}"
#define GT(msg, ctx)  WORDS("greater_than", "greater than", msg, "gt\":" ctx)
#define GE(msg, ctx)                                                          \
    WORDS("greater_than_equal", "greater than or equal to", msg, "ge\":" ctx)
#define LT(msg, ctx)  WORDS("less_than", "less than", msg, "lt\":" ctx)
#define LE(msg, ctx)                                                          \
    WORDS("less_than_equal", "less than or equal to", msg, "le\":" ctx)
#define SHORT(n, s)                                                           \
    "string_too_short|String should have at least " #n " character" s         \
    "|{\"min_length\":" #n "}"
#define LONG(n, s)                                                            \
    "string_too_long|String should have at most " #n " character" s           \
    "|{\"max_length\":" #n "}"
#define INT    "int_parsing|Input should be a valid integer, unable to parse " \
               "string as an integer|"
#define COLOR  "enum|Input should be 'red', 'green' or 'blue'|"               \
               "{\"expected\":\"'red', 'green' or 'blue'\"}"


static case_t  cases[] = {
    { "i8", "127", "127" },
    { "i8", "-128", "-128" },
    { "i8", "128", LE("127", "127") },
    { "i8", "-129", GE("-128", "-128") },
    { "i8", "x", INT },
    { "u8", "255", "255" },
    { "u8", "256", LE("255", "255") },
    { "u8", "-1", GE("0", "0") },
    { "i64", "-9223372036854775808", "-9223372036854775808" },
    { "i64", "9223372036854775808", "int_parsing_size|Unable to parse input "
      "string as an integer, exceeded maximum size|" },
    { "u64", "9223372036854775807", "9223372036854775807" },
    { "u64", "9223372036854775808", "9223372036854775808" },
    { "u64", " +18_446744073709551615.0", "18446744073709551615" },
    { "u64", "18446744073709551616", "int_parsing_size|Unable to parse input "
      "string as an integer, exceeded maximum size|" },
    { "u64", "18446744073709551616x", INT },
    { "u64", "-1", GE("0", "0") },
    { "u64", "-9223372036854775809", GE("0", "0") },
    { "u64_lt", "9223372036854775808", LT("5", "5") },
    { "i8", "9223372036854775808", LE("127", "127") },
    { "i8", "-99999999999999999999", GE("-128", "-128") },
    { "gt", "-9223372036854775809", GT("3", "3") },
    { "le", "9223372036854775808", LE("3", "3") },

    { "gt", "4", "4" },
    { "gt", "3", GT("3", "3") },
    { "ge", "3", "3" },
    { "ge", "2", GE("3", "3") },
    { "lt", "2", "2" },
    { "lt", "3", LT("3", "3") },
    { "le", "3", "3" },
    { "le", "4", LE("3", "3") },
    { "le", "99999999999", LE("3", "3") },
    { "between", "-4", "-4" },
    { "between", "5", "5" },
    { "between", "-5", GT("-5", "-5") },
    { "between", "6", LE("5", "5") },
    { "even", "4", "4" },
    { "even", "5", "value_error|Value error, must be even|"
                   "{\"error\":\"must be even\"}" },

    { "color", "red", "0" },
    { "color", "blue", "2" },
    { "color", "Blue", COLOR },
    { "color", "2", COLOR },
    { "color", "", COLOR },

    { "flag", "On", "1" },
    { "flag", "2", "bool_parsing|Input should be a valid boolean, unable to "
                   "interpret input|" },
    { "never", "1", "value_error|Value error, is never right|"
                    "{\"error\":\"is never right\"}" },

    { "d", "1e3", "1000" },
    { "d", "nan", "finite_number|Input should be a finite number|" },
    { "d_gt", "3.5", "3.5" },
    { "d_gt", "3", GT("3", "3.0") },
    { "d_gt", "12.5", LT("12.5", "12.5") },
    { "d_tiny", "0", GE("0.00000015", "1.5e-7") },
    { "d_huge", "0", LE("-125000000000000000000", "-1.25e20") },
    { "f", "0.5", "0.5" },
    { "f", "1e39", "finite_number|Input should be a finite number|" },
    { "f_le", "0.1", "0.1" },
    { "f_le", "0.11", LE("0.1", "0.1") },

    { "text", "ab", "ab" },
    { "text", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
      "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
    { "text", "\xff\xff\xff", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    { "text", "a", SHORT(2, "s") },
    { "text", "", SHORT(2, "s") },
    { "text", "abcd", LONG(3, "s") },
    { "one", "", SHORT(1, "") },
    { "one", "ab", LONG(1, "") },
    { "pattern", "e\xc3\xa9", "e\xc3\xa9" },
    { "pattern", "e\xc3\xa9\n", "string_pattern_mismatch|String should match "
      "pattern '^\\w\xc3\xa9+$'|{\"pattern\":\"^\\\\w\xc3\xa9+$\"}" },
    { "slow", "aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa" },
    { "slow", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
      "string_pattern_mismatch|String should match pattern '^(a+)+$'|"
      "{\"pattern\":\"^(a+)+$\"}" },
    { "checked", "anna", "anna" },
    { "checked", "root", "value_error|Value error, who is \xef\xbf\xbd?|"
      "{\"error\":\"who is \xef\xbf\xbd?\"}" },
    { "str", "", "" },

    { "choice", "green", "green" },
    { "choice", "greens", COLOR },
    { "choice", "gree", COLOR },
    { "quotes", "'\"", "'\"" },
    { "quotes", "x", "enum|Input should be \"it's\", '\"', '\\'\"' or "
      "'\\\\\\n\\x01'|{\"expected\":\"\\\"it's\\\", '\\\"', '\\\\'\\\"' or "
      "'\\\\\\\\\\\\n\\\\x01'\"}" },
    { "yes", "no", "enum|Input should be 'yes'|{\"expected\":\"'yes'\"}" },

    { "uuid", "12345678123456781234567812345678",
      "12345678-1234-5678-1234-567812345678" },
    { "uuid", "1", "uuid_parsing|Input should be a valid UUID, invalid "
      "length: expected length 32 for simple format, found 1|{\"error\":"
      "\"invalid length: expected length 32 for simple format, found 1\"}" },
    { "date", "2026-01-31T00:00", "2026-01-31" },
    { "date", "31.1.2026", "date_from_datetime_parsing|Input should be a "
      "valid date or datetime, input is too short|{\"error\":\"input is too "
      "short\"}" },
    { "date", "2026-01-31T01:00", "date_from_datetime_inexact|Datetimes "
      "provided to dates should have zero time - e.g. be exact dates|" },
    { "time", "2026-01-31T10:20:30.5+01:00", "1769851230500" },
    { "time", "noon", "datetime_from_date_parsing|Input should be a valid "
      "datetime or date, input is too short|{\"error\":\"input is too "
      "short\"}" },
    { "bytes", "aGk", "hi" },
    { "bytes", "!", "bytes_invalid_encoding|Data should be valid base64: "
      "Invalid symbol 33, offset 0.|{\"encoding\":\"base64\","
      "\"encoding_error\":\"Invalid symbol 33, offset 0.\"}" },

    { "json", "[1, {\"a\": null}]", "[1,{\"a\":null}]" },
    { "json", "[1,", "json_invalid|Invalid JSON: Expecting value at character "
      "3|{\"error\":\"Expecting value at character 3\"}" },
    { "list", "-1", GE("0", "0") },
    { "list", "1", "1" }
};


static ngx_pool_t  *pool;


static ngx_http_async_schema_field_t *
field_of(const async_model_t *model, const char *name)
{
    ngx_uint_t                i;
    ngx_http_async_schema_t  *schema;

    schema = ngx_http_async_schema(model);

    for (i = 0; i < schema->n; i++) {
        if (strcmp(schema->fields[i].field->member, name) == 0) {
            return &schema->fields[i];
        }
    }

    abort();
}


static void
print_value(FILE *out, ngx_http_async_schema_field_t *f, void *value)
{
    char         *text;
    async_str_t  *str = value;

    switch (f->kind) {

    case ASYNC_MEMBER_FLOAT:
        fprintf(out, "%g", *(float *) value);
        return;

    case ASYNC_MEMBER_DOUBLE:
        fprintf(out, "%g", *(double *) value);
        return;

    case ASYNC_MEMBER_TEXT:
        fprintf(out, "%s", *(char **) value);
        return;

    case ASYNC_MEMBER_STR:
        fwrite(str->data, 1, str->len, out);

        if (str->data[str->len] != '\0') {
            fprintf(out, "<not terminated>");
        }

        return;

    case ASYNC_MEMBER_JSON:
        text = json_dumps(*(json_t **) value, JSON_COMPACT|JSON_ENCODE_ANY);
        fprintf(out, "%s", text);
        free(text);
        return;

    case ASYNC_MEMBER_UINT64:
        fprintf(out, "%llu", (unsigned long long) *(uint64_t *) value);
        return;

    case ASYNC_MEMBER_BOOL:
        fprintf(out, "%d", *(bool *) value);
        return;
    }

    switch (f->size) {

    case 1:
        fprintf(out, "%d", (f->kind == ASYNC_MEMBER_INT8)
                           ? *(int8_t *) value : *(uint8_t *) value);
        return;

    case 4:
        fprintf(out, "%d", *(int32_t *) value);
        return;

    default:
        fprintf(out, "%lld", (long long) *(int64_t *) value);
        return;
    }
}


static void
print_error(FILE *out, json_t *error)
{
    char    *text;
    json_t  *ctx;

    fprintf(out, "%s|%s|", json_string_value(json_object_get(error, "type")),
            json_string_value(json_object_get(error, "msg")));

    ctx = json_object_get(error, "ctx");

    if (ctx) {
        text = json_dumps(ctx, JSON_COMPACT|JSON_REAL_PRECISION(15));
        fprintf(out, "%s", text);
        free(text);
    }
}


static void
test_values(void)
{
    char                           *answer;
    FILE                           *out;
    size_t                          size;
    ngx_int_t                       rc;
    ngx_str_t                       text;
    ngx_uint_t                      i;
    const char                     *loc;
    ngx_http_async_loc_t            body, at;
    ngx_http_async_reading_t        reading;
    ngx_http_async_schema_field_t  *f;
    union { int64_t i; async_str_t str; void *p; }  value;

    memset(&body, 0, sizeof(body));
    ngx_str_set(&body.name, "query");
    memset(&at, 0, sizeof(at));
    at.up = &body;
    at.index = 7;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        f = field_of(&all_model, cases[i].field);

        reading.pool = ngx_create_pool(4096, NULL);
        reading.errors = NULL;
        reading.told = 0;

        text.len = strlen(cases[i].text);
        text.data = ngx_palloc(reading.pool, text.len + 1);
        memcpy(text.data, cases[i].text, text.len + 1);

        rc = ngx_http_async_schema_text(&reading, &at, f, &text, &value);

        out = open_memstream(&answer, &size);

        if (rc == NGX_OK) {
            print_value(out, f, &value);

        } else {
            print_error(out, json_array_get(reading.errors, 0));
        }

        fclose(out);

        ngx_stub_ok((rc == NGX_OK) == (reading.errors == NULL)
                    && strcmp(answer, cases[i].expected) == 0,
                    "case %d, of %s", (int) i, cases[i].field);

        if (strcmp(answer, cases[i].expected) != 0) {
            printf("# %s\n# %s\n", answer, cases[i].expected);
        }

        free(answer);

        if (rc == NGX_DECLINED) {
            answer = json_dumps(json_object_get(json_array_get(reading.errors,
                                                               0), "loc"),
                                JSON_COMPACT);
            loc = json_string_value(json_object_get(
                            json_array_get(reading.errors, 0), "input"));

            ngx_stub_ok(strcmp(answer, "[\"query\",7]") == 0 && loc
                        && (strcmp(loc, cases[i].text) == 0
                            || cases[i].text[0] == '\xff'),
                        "... at its place, with the input");
            free(answer);
        }

        json_decref(reading.errors);
        ngx_destroy_pool(reading.pool);
    }
}


static void
test_zero_byte(void)
{
    ngx_str_t                 text = ngx_string("a\0b");
    const char               *value;
    async_str_t               str;
    ngx_http_async_loc_t      at;
    ngx_http_async_reading_t  reading = { pool, NULL, 0 };

    memset(&at, 0, sizeof(at));

    ngx_stub_ok(ngx_http_async_schema_text(&reading, &at,
                                     field_of(&all_model, "checked"), &text,
                                     &value) == NGX_DECLINED
                && json_array_size(reading.errors) == 1,
                "a zero byte is no part of a text that it would end");
    json_decref(reading.errors);
    reading.errors = NULL;
    reading.told = 0;

    ngx_stub_ok(ngx_http_async_schema_text(&reading, &at,
                                     field_of(&all_model, "str"), &text, &str)
                == NGX_OK && str.len == 3 && memcmp(str.data, "a\0b", 3) == 0,
                "... but of one that has a length");
}


static json_t *
input_of(void *data)
{
    return json_string(data);
}


static void
test_count(void)
{
    char                           *text;
    ngx_uint_t                      i;
    ngx_http_async_loc_t            at;
    ngx_http_async_reading_t        reading = { pool, NULL, 0 };
    ngx_http_async_schema_field_t  *f;

    static const char  *expected[] = {
        "too_short|List should have at least 1 item after validation, not 0|"
        "{\"field_type\":\"List\",\"min_length\":1,\"actual_length\":0}", NULL,
        NULL,
        "too_long|List should have at most 2 items after validation, not 3|"
        "{\"field_type\":\"List\",\"max_length\":2,\"actual_length\":3}"
    };

    memset(&at, 0, sizeof(at));
    f = field_of(&all_model, "list");

    for (i = 0; i < 4; i++) {
        char    buf[256] = "";
        FILE   *out = fmemopen(buf, sizeof(buf) - 1, "w");

        if (ngx_http_async_schema_count(&reading, &at, f, i, input_of, "in")
            != NGX_OK)
        {
            print_error(out, json_array_get(reading.errors, 0));
        }

        fclose(out);

        ngx_stub_ok(strcmp(buf, expected[i] ? expected[i] : "") == 0,
                    "a list of %d", (int) i);

        json_decref(reading.errors);
        reading.errors = NULL;
        reading.told = 0;
    }

    for (i = 0; i < NGX_HTTP_ASYNC_READING_ERRORS + 5; i++) {
        (void) ngx_http_async_schema_count(&reading, &at, f, 0, input_of,
                                           "in");
    }

    ngx_stub_ok(json_array_size(reading.errors)
                == NGX_HTTP_ASYNC_READING_ERRORS, "errors are bounded");

    text = json_dumps(json_array_get(reading.errors, 0), JSON_COMPACT);
    ngx_stub_ok(strstr(text, "\"input\":\"in\"") != NULL, "%s", text);
    free(text);

    json_decref(reading.errors);
}


/* Defaults. */

typedef struct {
    int             number;
    int            *pointer;
    const char     *text;
    async_str_t     str;
    const char     *uuid;
    int64_t         time;
    json_t         *json;
    color_t         color;
    int            *nothing;
    const char     *null;
    int            *list;
    size_t          n;
    const char    **texts;
    size_t          n_texts;
    int             must;
    const char     *must_even_null;
} given_t;

ASYNC_MODEL(given_model, given_t,
    ASYNC_FIELD(given_t, number, ASYNC_DEFAULT("5"), ASYNC_GE(1),
                ASYNC_WITH(check, is_never)),
    ASYNC_FIELD(given_t, pointer, ASYNC_DEFAULT("6")),
    ASYNC_FIELD(given_t, text, ASYNC_DEFAULT("a text"),
                ASYNC_WITH(example, "x")),
    ASYNC_FIELD(given_t, str, ASYNC_DEFAULT("")),
    ASYNC_FIELD(given_t, uuid, ASYNC_WITH(type, ASYNC_FIELD_UUID),
                ASYNC_DEFAULT("{12345678-1234-5678-1234-567812345678}")),
    ASYNC_FIELD(given_t, time, ASYNC_WITH(type, ASYNC_FIELD_TIME),
                ASYNC_DEFAULT("1970-01-02")),
    ASYNC_FIELD(given_t, json, ASYNC_DEFAULT("{\"a\": 1}")),
    ASYNC_FIELD(given_t, color, ASYNC_DEFAULT("green"),
                ASYNC_WITH(choices, colors)),
    ASYNC_FIELD(given_t, nothing),
    ASYNC_FIELD(given_t, null, ASYNC_WITH(optional, 1)),
    ASYNC_LIST(given_t, list, n, ASYNC_DEFAULT("[1, 2]")),
    ASYNC_LIST(given_t, texts, n_texts, ASYNC_DEFAULT("[]"),
               ASYNC_WITH(example, "[\"a\"]")),
    ASYNC_FIELD(given_t, must),
    ASYNC_FIELD(given_t, must_even_null, ASYNC_WITH(optional, 1),
                ASYNC_WITH(required, 1))
);


static void
test_defaults(void)
{
    given_t                        one, two;
    ngx_uint_t                     i, missing;
    ngx_http_async_loc_t           at;
    ngx_http_async_schema_t       *schema;
    ngx_http_async_reading_t       reading = { pool, NULL, 0 };

    memset(&at, 0, sizeof(at));
    memset(&one, 0xff, sizeof(one));
    memset(&two, 0xff, sizeof(two));

    schema = ngx_http_async_schema(&given_model);
    missing = 0;

    for (i = 0; i < schema->n; i++) {
        if (ngx_http_async_schema_absent(&reading, &at, &schema->fields[i],
                                         &one, json_null()) != NGX_OK)
        {
            missing++;
            continue;
        }

        (void) ngx_http_async_schema_absent(&reading, &at, &schema->fields[i],
                                            &two, json_string("x"));
    }

    ngx_stub_ok(missing == 2 && json_array_size(reading.errors) == 2,
                "what is required must be there");

    ngx_stub_ok(one.number == 5 && *one.pointer == 6
                && strcmp(one.text, "a text") == 0
                && one.str.data && one.str.len == 0
                && strcmp(one.uuid, "12345678-1234-5678-1234-567812345678")
                   == 0
                && one.time == 86400000 && one.color == GREEN,
                "defaults of texts and numbers");

    ngx_stub_ok(one.nothing == NULL && one.null == NULL,
                "nothing is the default of what is optional");

    ngx_stub_ok(one.n == 2 && one.list[0] == 1 && one.list[1] == 2
                && one.texts && one.n_texts == 0, "defaults of lists");

    ngx_stub_ok(json_integer_value(json_object_get(one.json, "a")) == 1,
                "defaults of JSON");

    ngx_stub_ok(one.pointer != two.pointer && one.list != two.list
                && one.json != two.json,
                "what may be changed is made anew each time");

    json_decref(reading.errors);
}


/* Circles. */

typedef struct node_s  node_t;

struct node_s {
    int       id;
    node_t   *next;
    node_t   *children;
    size_t    n;
};

ASYNC_MODEL(node_model, node_t,
    ASYNC_FIELD(node_t, id),
    ASYNC_OBJECT(node_t, next, node_model,
                 ASYNC_DEFAULT("{\"id\": 3, \"next\": null}")),
    ASYNC_OBJECTS(node_t, children, n, node_model, ASYNC_DEFAULT("[]"))
);


ASYNC_MODEL(w_circle, node_t,
    ASYNC_FIELD(node_t, id, ASYNC_DEFAULT("1")),
    ASYNC_OBJECT(node_t, next, w_circle, ASYNC_DEFAULT("{}"))
);


/* Mistakes. */

typedef struct {
    int             i;
    uint8_t         u8;
    double          d;
    float           f;
    bool            b;
    const char     *text;
    async_str_t     str;
    json_t         *json;
    async_upload_t *upload;
    int64_t         i64;
    int            *p;
    int            *list;
    size_t          n;
    node_t          node;
} wrong_t;

typedef struct {
    char            c;
    double          d;
    node_t          node;
    int            *list;
    size_t          n;
} __attribute__((packed)) packed_t;

ASYNC_MODEL(w_packed, packed_t, ASYNC_FIELD(packed_t, d));
ASYNC_MODEL(w_packed_2, packed_t, ASYNC_OBJECT(packed_t, node, node_model));
ASYNC_MODEL(w_packed_3, packed_t, ASYNC_LIST(packed_t, list, n));


#define WRONG(name, ...)                                                      \
    ASYNC_MODEL(name, wrong_t, ASYNC_FIELD(wrong_t, __VA_ARGS__));

WRONG(w_text_bound, text, ASYNC_GE(1))
WRONG(w_bool_bound, b, ASYNC_GE(1))
WRONG(w_time_bound, i64, ASYNC_WITH(type, ASYNC_FIELD_TIME), ASYNC_GE(1))
WRONG(w_no_number, i, ASYNC_WITH(ge, "one"))
WRONG(w_no_integer, i, ASYNC_GE(1.5))
WRONG(w_outside, u8, ASYNC_LE(256))
WRONG(w_float, f, ASYNC_LE(1e39))
WRONG(w_infinite, d, ASYNC_WITH(le, "inf"))
WRONG(w_empty, i, ASYNC_GE(3), ASYNC_LT(3))
WRONG(w_empty_2, i, ASYNC_GT(3), ASYNC_LT(4))
WRONG(w_empty_3, u8, ASYNC_GT(255))
WRONG(w_empty_4, u8, ASYNC_LT(0))
WRONG(w_empty_5, d, ASYNC_GT(1), ASYNC_LE(1))
WRONG(w_empty_6, i64, ASYNC_GT(9223372036854775807))
WRONG(w_two, i, ASYNC_GE(1), ASYNC_GT(2))
WRONG(w_int_pattern, i, ASYNC_WITH(pattern, "a"))
WRONG(w_uuid_pattern, text, ASYNC_WITH(type, ASYNC_FIELD_UUID),
      ASYNC_WITH(pattern, "a"))
WRONG(w_pattern, text, ASYNC_WITH(pattern, "ab("))
WRONG(w_pattern_utf8, text, ASYNC_WITH(pattern, "ab\xff"))
WRONG(w_lengths, text, ASYNC_WITH(min_length, 3), ASYNC_WITH(max_length, 2))
WRONG(w_int_length, i, ASYNC_WITH(max_length, 2))
WRONG(w_choices_float, d, ASYNC_WITH(choices, colors))
WRONG(w_choices_none, text, ASYNC_WITH(choices, none))
WRONG(w_choices_twice, text, ASYNC_WITH(choices, twice))
WRONG(w_choices_utf8, text, ASYNC_WITH(choices, broken))
WRONG(w_choices_bound, i, ASYNC_WITH(choices, colors), ASYNC_GE(1))
WRONG(w_uuid_int, i, ASYNC_WITH(type, ASYNC_FIELD_UUID))
WRONG(w_date_int, i64, ASYNC_WITH(type, ASYNC_FIELD_DATE))
WRONG(w_type, i, ASYNC_WITH(type, 9))
WRONG(w_required, i, ASYNC_WITH(required, 1))
WRONG(w_required_default, p, ASYNC_WITH(required, 1), ASYNC_DEFAULT("1"))
WRONG(w_optional, i, ASYNC_WITH(optional, 1))
WRONG(w_in, i, ASYNC_WITH(in, 5))
WRONG(w_path_optional, p, ASYNC_WITH(in, ASYNC_IN_PATH))
WRONG(w_path_default, i, ASYNC_WITH(in, ASYNC_IN_PATH), ASYNC_DEFAULT("1"))
WRONG(w_upload_in, upload, ASYNC_WITH(in, ASYNC_IN_QUERY))
WRONG(w_upload_default, upload, ASYNC_DEFAULT("1"))
WRONG(w_default, i, ASYNC_DEFAULT("five"))
WRONG(w_default_bound, i, ASYNC_DEFAULT("5"), ASYNC_LT(5))
WRONG(w_default_choice, text, ASYNC_DEFAULT("5"), ASYNC_WITH(choices, single))
WRONG(w_default_json, json, ASYNC_DEFAULT("{"))
WRONG(w_example, text, ASYNC_WITH(max_length, 1), ASYNC_WITH(example, "ab"))
WRONG(w_name_utf8, text, ASYNC_WITH(name, "\xc0"))

ASYNC_MODEL(w_path_list, wrong_t,
    ASYNC_LIST(wrong_t, list, n, ASYNC_WITH(in, ASYNC_IN_PATH)));
ASYNC_MODEL(w_default_list, wrong_t,
    ASYNC_LIST(wrong_t, list, n, ASYNC_DEFAULT("[1, \"x\"]")));
ASYNC_MODEL(w_object_optional, wrong_t,
    ASYNC_OBJECT(wrong_t, node, node_model, ASYNC_WITH(optional, 1)));
ASYNC_MODEL(w_object_default, wrong_t,
    ASYNC_OBJECT(wrong_t, node, node_model, ASYNC_DEFAULT("{\"id\": []}")));
ASYNC_MODEL(w_object_in, wrong_t,
    ASYNC_OBJECT(wrong_t, node, node_model, ASYNC_WITH(in, ASYNC_IN_HEADER)));
ASYNC_MODEL(w_overlap, wrong_t,
    ASYNC_OBJECT(wrong_t, node, node_model),
    { .member = "inside", .offset = offsetof(wrong_t, node) + sizeof(node_t)
                                    - 1, .kind = ASYNC_MEMBER_UINT8 });

#define PRESENT  "is in the path, and is always there, once: it has no "      \
                 "default, and is neither optional nor a list"

static struct {
    const async_model_t  *model;
    const char           *expected;
} mistakes[] = {
    { &w_packed, "field \"d\" lies where no such member can: is packed_t "
                 "packed?" },
    { &w_packed_2, "field \"node\" lies where no such member can: is packed_t "
                   "packed?" },
    { &w_packed_3, "field \"list\" lies where no such member can: is packed_t "
                   "packed?" },
    { &w_text_bound, "field \"text\" has bounds, and is no number" },
    { &w_bool_bound, "field \"b\" has bounds, and is no number" },
    { &w_time_bound, "field \"i64\" has bounds, and is no number" },
    { &w_no_number, "the bound \"one\" of field \"i\" is no value of "
                    "int32_t" },
    { &w_no_integer, "the bound \"1.5\" of field \"i\" is no value of "
                     "int32_t" },
    { &w_outside, "the bound \"256\" of field \"u8\" is no value of "
                  "uint8_t" },
    { &w_float, "the bound \"1e39\" of field \"f\" is no value of float" },
    { &w_infinite, "the bound \"inf\" of field \"d\" is no value of "
                   "double" },
    { &w_empty, "the bounds of field \"i\" leave no value" },
    { &w_empty_2, "the bounds of field \"i\" leave no value" },
    { &w_empty_3, "the bounds of field \"u8\" leave no value" },
    { &w_empty_4, "the bounds of field \"u8\" leave no value" },
    { &w_empty_5, "the bounds of field \"d\" leave no value" },
    { &w_empty_6, "the bounds of field \"i64\" leave no value" },
    { &w_two, "field \"i\" has two bounds on one side" },
    { &w_int_pattern, "field \"i\" has a pattern, and is no text" },
    { &w_uuid_pattern, "field \"text\" has a pattern, and is no text" },
    { &w_pattern, "the pattern of field \"text\" is none: missing closing "
                  "parenthesis at offset 3" },
    { &w_pattern_utf8, "the pattern of field \"text\" is none: UTF-8 error: "
                       "illegal byte (0xfe or 0xff) at offset 2" },
    { &w_lengths, "field \"text\" has a min_length above its max_length" },
    { &w_int_length, "field \"i\" has bounds of its length, and is neither "
                     "text nor a list" },
    { &w_choices_float, "field \"d\" has choices, and is neither text nor an "
                        "integer" },
    { &w_choices_none, "field \"text\" has no choice at all" },
    { &w_choices_twice, "field \"text\" has one choice twice" },
    { &w_choices_utf8, "choice 2 of field \"text\" is not UTF-8" },
    { &w_choices_bound, "field \"i\" has choices, and no bounds beside "
                        "them" },
    { &w_uuid_int, "field \"i\" is a UUID, and must be a text then" },
    { &w_date_int, "field \"i64\" is a date, and must be a text then" },
    { &w_type, "field \"i\" is of a type that this module does not know" },
    { &w_required, "field \"i\" is required anyway, since it is not "
                   "optional" },
    { &w_required_default, "field \"p\" is required, and needs no default" },
    { &w_optional, "field \"i\" is optional, and must be a pointer then, to "
                   "tell null from zero" },
    { &w_in, "field \"i\" is in a place that this module does not know" },
    { &w_path_optional, "field \"p\" " PRESENT },
    { &w_path_default, "field \"i\" " PRESENT },
    { &w_path_list, "field \"list\" " PRESENT },
    { &w_upload_in, "field \"upload\" is a struct or an upload, which no "
                    "parameter can be" },
    { &w_upload_default, "field \"upload\" is an upload, and has no "
                         "default" },
    { &w_default, "the default \"five\" of field \"i\" is not valid: Input "
                  "should be a valid integer, unable to parse string as an "
                  "integer" },
    { &w_default_bound, "the default \"5\" of field \"i\" is not valid: Input "
                        "should be less than 5" },
    { &w_default_choice, "the default \"5\" of field \"text\" is not valid: "
                         "Input should be 'yes'" },
    { &w_default_json, "the default \"{\" of field \"json\" is not valid: "
                       "Invalid JSON: Expecting property name enclosed in "
                       "double quotes at character 1" },
    { &w_default_list, "the default \"[1, \"x\"]\" of field \"list\" is not "
                       "valid: Input should be a valid integer, unable to "
                       "parse string as an integer" },
    { &w_example, "the example \"ab\" of field \"text\" is not valid: String "
                  "should have at most 1 character" },
    { &w_name_utf8, "the name of field \"text\" is not UTF-8" },
    { &w_object_optional, "field \"node\" is optional, and must be a pointer "
                          "then, to tell null from zero" },
    { &w_object_default, "the default \"{\"id\": []}\" of field \"node\" is "
                         "not valid: Input should be a valid integer" },
    { &w_object_in, "field \"node\" is a struct or an upload, which no "
                    "parameter can be" },
    { &w_circle, "the default \"{}\" of field \"next\" is not valid: "
                 "Recursion error - a default holds itself" },
    { &w_overlap, "fields \"node\" and \"inside\" overlap" }
};


static void
test_mistakes(void)
{
    u_char       error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    ngx_int_t    rc;
    ngx_uint_t   i;
    const char  *said;

    for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {

        rc = ngx_http_async_model_check(mistakes[i].model, error);

        if (rc == NGX_OK) {
            rc = ngx_http_async_schema_make(mistakes[i].model, pool, error);
        }

        said = (rc == NGX_DECLINED) ? strstr((char *) error, ": ") + 2 : "";

        ngx_stub_ok(strcmp(said, mistakes[i].expected) == 0
                    && *mistakes[i].model->schema == NULL,
                    "%s: %s", mistakes[i].model->name, mistakes[i].expected);

        if (strcmp(said, mistakes[i].expected) != 0) {
            printf("# %s\n", said);
        }
    }
}


/* an app of before there were schemas: smaller fields, a smaller model */

typedef struct {
    const char  *member;
    size_t       offset;
    size_t       count;
    unsigned     kind;
    int          type;
    const char  *name;
    int          optional;
} old_field_t;

static const old_field_t  old_fields[] = {
    { "i", offsetof(wrong_t, i), 0, ASYNC_MEMBER_INT32, 0, NULL, 0 },
    { "text", offsetof(wrong_t, text), 0, ASYNC_MEMBER_TEXT, 0, "t", 1 }
};

static void
test_old(void)
{
    u_char         error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    wrong_t        value;
    async_field_t  field;

    static struct {
        size_t               size;
        const char          *name;
        const char          *site;
        const char          *type;
        size_t               type_size;
        const void          *fields;
        size_t               field_size;
        size_t               n;
    } old = { sizeof(old), "old", "old.c:1", "wrong_t", sizeof(wrong_t),
              old_fields, sizeof(old_field_t), 2 };

    const async_model_t  *model = (const void *) &old;

    memset(&value, 0xff, sizeof(value));

    ngx_stub_ok(ngx_http_async_model_check(model, error) == NGX_OK
                && ngx_http_async_schema_make(model, pool, error) == NGX_OK,
                "the models of old apps are right");

    ngx_http_async_model_copy(model, 1, &field);
    ngx_http_async_model_clear(model, &value);

    ngx_stub_ok(field.default_value == NULL && field.choices == NULL
                && field.optional == 1 && value.i == 0 && value.text == NULL,
                "... and no more is read of them than they have");
}


static void
test_fits(void)
{
    u_char  error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];

    static const char  *words[] = {
        "field \"next\" is a struct, which no parameter can be",
        "field \"upload\" is an upload, which no parameter can be",
        "field \"upload\" is an upload, which JSON has none of: declare it by "
        "ASYNC_FORM()"
    };

    ngx_stub_ok(ngx_http_async_schema_fits(&node_model, ASYNC_ATTRIBUTE_PARAMS,
                                           error) == NGX_DECLINED
                && strstr((char *) error, words[0]), "%s", words[0]);

    ngx_stub_ok(ngx_http_async_schema_fits(&w_upload_default,
                                           ASYNC_ATTRIBUTE_PARAMS, error)
                == NGX_DECLINED && strstr((char *) error, words[1]), "%s",
                words[1]);

    ngx_stub_ok(ngx_http_async_schema_fits(&w_upload_default,
                                           ASYNC_ATTRIBUTE_BODY, error)
                == NGX_DECLINED && strstr((char *) error, words[2]), "%s",
                words[2]);

    ngx_stub_ok(ngx_http_async_schema_fits(&w_upload_default,
                                           ASYNC_ATTRIBUTE_FORM, error)
                == NGX_OK
                && ngx_http_async_schema_fits(&node_model,
                                              ASYNC_ATTRIBUTE_BODY, error)
                   == NGX_OK, "forms have uploads, JSON has structs");
}


/* each allocation fails once: errors, and nothing leaks */

static void
test_memory(void)
{
    u_char        error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    ngx_int_t     n, rc;
    ngx_pool_t   *own;

    *given_model.schema = NULL;

    for (n = 0, rc = NGX_ERROR; n < 1000 && rc != NGX_OK; n++) {
        own = ngx_create_pool(4096, NULL);

        ngx_stub_allocations = n;
        rc = ngx_http_async_schema_make(&given_model, own, error);
        ngx_stub_allocations = -1;

        if (rc == NGX_DECLINED
            || (rc == NGX_ERROR && *given_model.schema != NULL))
        {
            break;
        }

        *given_model.schema = NULL;
        ngx_destroy_pool(own);
    }

    ngx_stub_ok(rc == NGX_OK && n > 10, "schemas in too little memory");
}


int
main(void)
{
    u_char  error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];

    (void) setlocale(LC_ALL, "de_DE.UTF-8");

    pool = ngx_create_pool(4096, NULL);

    if (ngx_http_async_model_check(&all_model, error) != NGX_OK
        || ngx_http_async_schema_make(&all_model, pool, error) != NGX_OK
        || ngx_http_async_schema_make(&given_model, pool, error) != NGX_OK
        || ngx_http_async_schema_make(&node_model, pool, error) != NGX_OK)
    {
        printf("# %s\n", error);
        abort();
    }

    setlocale(LC_NUMERIC, "C");

    test_values();
    test_zero_byte();
    test_count();
    test_defaults();
    test_mistakes();
    test_old();
    test_fits();
    test_memory();

    ngx_destroy_pool(pool);

    return ngx_stub_done();
}
