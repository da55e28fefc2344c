
/*
 * JSON text into structs.  Called with "read", it is a filter: of each line, a
 * JSON text, it answers what was made of it or the errors, for schema_json.py;
 * with "time N", it reads a text of 1 kB N times, and with "time N tree" loads
 * it as a tree, for callgrind.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdbool.h>
#include <ngx_http_async_schema_json.h>
#include "ngx_stub.h"


typedef struct item_s  item_t;

struct item_s {
    double           price;
    const char      *name;
    int              untouched;
    int32_t          qty;
    item_t          *parts;
    size_t           n_parts;
};

typedef struct {
    int64_t          i;
    int8_t           small;
    double           d;
    float            f;
    bool             b;
    const char      *text;
    async_str_t      str;
    json_t          *any;
    int64_t          at;
    async_str_t      bytes;
    const char      *uuid;
    async_str_t      date;
    int32_t         *maybe;
    bool            *flag;
    int64_t         *ints;
    size_t           n_ints;
    const char     **texts;
    size_t           n_texts;
    double          *doubles;
    size_t           n_doubles;
    bool            *bools;
    size_t           n_bools;
    item_t           item;
    item_t          *other;
    item_t          *items;
    size_t           n_items;
    const char      *color;
    int              level;
    const char      *null;
    int              untouched;
} all_t;

ASYNC_MODEL(item_model, item_t,
    ASYNC_FIELD(item_t, price, ASYNC_GT(0)),
    ASYNC_FIELD(item_t, name, ASYNC_WITH(max_length, 8)),
    ASYNC_FIELD(item_t, qty, ASYNC_DEFAULT("1")),
    ASYNC_OBJECTS(item_t, parts, n_parts, item_model, ASYNC_DEFAULT("[]"))
);

static const char *const  colors[] = { "red", "green", NULL };
static const char *const  levels[] = { "low", "high", NULL };

ASYNC_MODEL(all_model, all_t,
    ASYNC_FIELD(all_t, i),
    ASYNC_FIELD(all_t, small),
    ASYNC_FIELD(all_t, d),
    ASYNC_FIELD(all_t, f),
    ASYNC_FIELD(all_t, b),
    ASYNC_FIELD(all_t, text, ASYNC_WITH(min_length, 2),
                ASYNC_WITH(pattern, "^[^x]*$")),
    ASYNC_FIELD(all_t, str, ASYNC_WITH(name, "a \"str\"")),
    ASYNC_FIELD(all_t, any),
    ASYNC_FIELD(all_t, at, ASYNC_WITH(type, ASYNC_FIELD_TIME)),
    ASYNC_FIELD(all_t, bytes, ASYNC_WITH(type, ASYNC_FIELD_BYTES)),
    ASYNC_FIELD(all_t, uuid, ASYNC_WITH(type, ASYNC_FIELD_UUID)),
    ASYNC_FIELD(all_t, date, ASYNC_WITH(type, ASYNC_FIELD_DATE)),
    ASYNC_FIELD(all_t, maybe, ASYNC_GE(-5), ASYNC_LT(100)),
    ASYNC_FIELD(all_t, flag, ASYNC_WITH(required, 1)),
    ASYNC_LIST(all_t, ints, n_ints, ASYNC_WITH(min_length, 1),
               ASYNC_WITH(max_length, 3)),
    ASYNC_LIST(all_t, texts, n_texts, ASYNC_WITH(optional, 1)),
    ASYNC_LIST(all_t, doubles, n_doubles),
    ASYNC_LIST(all_t, bools, n_bools, ASYNC_DEFAULT("[true, 0]")),
    ASYNC_OBJECT(all_t, item, item_model),
    ASYNC_OBJECT(all_t, other, item_model),
    ASYNC_OBJECTS(all_t, items, n_items, item_model),
    ASYNC_FIELD(all_t, color, ASYNC_WITH(choices, colors)),
    ASYNC_FIELD(all_t, level, ASYNC_WITH(choices, levels)),
    ASYNC_FIELD(all_t, null, ASYNC_WITH(optional, 1))
);


typedef struct {
    const char     *name;
    const char     *text;
    int32_t         number;
} plain_t;

ASYNC_MODEL(plain_model, plain_t,
    ASYNC_FIELD(plain_t, name),
    ASYNC_FIELD(plain_t, text, ASYNC_DEFAULT("none")),
    ASYNC_FIELD(plain_t, number)
);


/* for the time: what a usual body is like */

typedef struct {
    int64_t         id;
    const char     *title;
    double          price;
    bool            done;
    int32_t        *priority;
} task_t;

typedef struct {
    int64_t         id;
    const char     *name;
    const char     *email;
    bool            active;
    double          score;
    const char    **tags;
    size_t          n_tags;
    task_t         *tasks;
    size_t          n_tasks;
} body_t;

ASYNC_MODEL(task_model, task_t,
    ASYNC_FIELD(task_t, id),
    ASYNC_FIELD(task_t, title),
    ASYNC_FIELD(task_t, price),
    ASYNC_FIELD(task_t, done),
    ASYNC_FIELD(task_t, priority)
);

ASYNC_MODEL(body_model, body_t,
    ASYNC_FIELD(body_t, id),
    ASYNC_FIELD(body_t, name),
    ASYNC_FIELD(body_t, email),
    ASYNC_FIELD(body_t, active),
    ASYNC_FIELD(body_t, score),
    ASYNC_LIST(body_t, tags, n_tags),
    ASYNC_OBJECTS(body_t, tasks, n_tasks, task_model)
);


static ngx_http_async_loc_t  body = { NULL, ngx_string("body"), 0 };


static int read_lines(void);
static json_t *read_all(ngx_str_t *text);
static json_t *all_value(all_t *all);
static json_t *item_value(item_t *item);
static json_t *list_value(json_t *list, json_t *value);
static json_t *texts_value(all_t *all);
static void syntax(void);
static ngx_int_t loaded(ngx_str_t *text);
static void untouched(void);
static void errors_of(const char *text, const char *expected);
static void bounds(void);
static void no_memory(void);
static ngx_int_t plain(ngx_str_t *text, plain_t *to, ngx_uint_t n,
    json_t **errors);
static void made(const async_model_t *model, ngx_pool_t *pool);
static int take_time(int n, ngx_uint_t tree);


int
main(int argc, char *argv[])
{
    int          rc;
    ngx_pool_t  *pool;

    pool = ngx_create_pool(0, NULL);

    made(&all_model, pool);
    made(&plain_model, pool);
    made(&body_model, pool);

    if (argc > 1 && strcmp(argv[1], "read") == 0) {
        rc = read_lines();

    } else if (argc > 2 && strcmp(argv[1], "time") == 0) {
        rc = take_time(atoi(argv[2]), argc > 3);

    } else {
        syntax();
        untouched();
        bounds();
        no_memory();

        rc = ngx_stub_done();
    }

    ngx_destroy_pool(pool);

    return rc;
}


static void
made(const async_model_t *model, ngx_pool_t *pool)
{
    u_char  error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];

    if (ngx_http_async_model_check(model, error) != NGX_OK
        || ngx_http_async_schema_make(model, pool, error) != NGX_OK)
    {
        fprintf(stderr, "%s\n", error);
        exit(2);
    }
}


static int
read_lines(void)
{
    char       *line, *answer;
    size_t      size;
    json_t     *value;
    ssize_t     n;
    ngx_str_t   text;

    line = NULL;
    size = 0;

    while ((n = getline(&line, &size, stdin)) > 0) {

        /* of its own, so that a sanitizer sees its end */

        text.len = n - 1;
        text.data = malloc(text.len ? text.len : 1);
        memcpy(text.data, line, text.len);

        value = read_all(&text);
        answer = json_dumps(value, JSON_COMPACT);

        puts(answer);

        free(answer);
        json_decref(value);
        free(text.data);
    }

    free(line);

    return 0;
}


static json_t *
read_all(ngx_str_t *text)
{
    all_t                      all;
    json_t                    *value;
    ngx_int_t                  rc;
    ngx_pool_t                *pool;
    ngx_http_async_reading_t   reading;

    memset(&all, 0x55, sizeof(all));

    pool = ngx_create_pool(0, NULL);

    reading.pool = pool;
    reading.errors = NULL;
    reading.told = 0;

    rc = ngx_http_async_schema_json_body(&reading, &body,
                                         ngx_http_async_schema(&all_model),
                                         text, &all);

    value = (rc == NGX_OK) ? json_pack("{s:o}", "ok", all_value(&all))
            : (rc == NGX_DECLINED)
                ? json_pack("{s:O}", "errors", reading.errors)
            : json_pack("{s:b}", "refused", rc == NGX_ABORT);

    json_decref(reading.errors);
    ngx_destroy_pool(pool);

    return value;
}


static json_t *
all_value(all_t *all)
{
    size_t   i;
    json_t  *value, *ints, *doubles, *bools, *items, *hex;

    ints = json_array();
    doubles = json_array();
    bools = json_array();
    items = json_array();

    for (i = 0; i < all->n_ints; i++) {
        ints = list_value(ints, json_integer(all->ints[i]));
    }

    for (i = 0; i < all->n_doubles; i++) {
        doubles = list_value(doubles, json_real(all->doubles[i]));
    }

    for (i = 0; i < all->n_bools; i++) {
        bools = list_value(bools, json_boolean(all->bools[i]));
    }

    for (i = 0; i < all->n_items; i++) {
        items = list_value(items, item_value(&all->items[i]));
    }

    hex = json_array();

    for (i = 0; i < all->bytes.len; i++) {
        hex = list_value(hex, json_integer((u_char) all->bytes.data[i]));
    }

    value = json_pack("{s:I, s:i, s:f, s:f, s:b, s:s, s:s%, s:O, s:I, s:o,"
                      "s:s, s:s%, s:o, s:o, s:o, s:o, s:o, s:o}",
                      "i", (json_int_t) all->i, "small", (int) all->small,
                      "d", all->d, "f", (double) all->f, "b", (int) all->b,
                      "text", all->text,
                      "a \"str\"", all->str.data, all->str.len,
                      "any", all->any, "at", (json_int_t) all->at,
                      "bytes", hex, "uuid", all->uuid,
                      "date", all->date.data, all->date.len,
                      "maybe", all->maybe ? json_integer(*all->maybe)
                                          : json_null(),
                      "flag", all->flag ? json_boolean(*all->flag)
                                        : json_null(),
                      "ints", ints, "texts", texts_value(all),
                      "doubles", doubles, "bools", bools);

    json_object_update_new(value,
            json_pack("{s:o, s:o, s:o, s:s, s:s, s:s?}",
                      "item", item_value(&all->item),
                      "other", all->other ? item_value(all->other)
                                          : json_null(),
                      "items", items, "color", all->color,
                      "level", levels[all->level], "null", all->null));

    return value;
}


static json_t *
texts_value(all_t *all)
{
    size_t   i;
    json_t  *texts;

    if (all->texts == NULL) {
        return json_null();
    }

    texts = json_array();

    for (i = 0; i < all->n_texts; i++) {
        texts = list_value(texts, json_string(all->texts[i]));
    }

    return texts;
}


static json_t *
item_value(item_t *item)
{
    size_t   i;
    json_t  *parts;

    parts = json_array();

    for (i = 0; i < item->n_parts; i++) {
        parts = list_value(parts, item_value(&item->parts[i]));
    }

    return json_pack("{s:f, s:s, s:i, s:o}", "price", item->price,
                     "name", item->name, "qty", (int) item->qty,
                     "parts", parts);
}


static json_t *
list_value(json_t *list, json_t *value)
{
    if (value == NULL || json_array_append_new(list, value) != 0) {
        abort();
    }

    return list;
}


/* it takes what the loader takes, wherever in a text it stands */

static void
syntax(void)
{
    char         copy[512];
    size_t       i, j, n;
    ngx_str_t    text;
    ngx_int_t    rc;
    ngx_pool_t  *pool;
    const char  *frame;

    ngx_http_async_json_in_t  in;

    static const char  *values[] = {
        "null", "true", "false", "nul", "truee", "fals", "NaN", "Infinity",
        "-Infinity", "-", "+1", "0", "-0", "00", "01", "-01", "1.", ".5",
        "1.5", "-1.5", "1.5e", "1e5", "1E+5", "1e-5", "1e+", "1.e5", "0e0",
        "0.0e1000", "1e308", "1.8e308", "1e309", "-1e309", "1e-400",
        "9223372036854775807", "9223372036854775808", "-9223372036854775808",
        "-9223372036854775809", "99999999999999999999999",
        "00000000000000000000001", "-00000000000000000000", "1-1",
        "0.1234567890123456789012", "1234567890123456789012E5",
        "\"1234567890123456789012\\\"34567890123456789012\"",
        "100000000000000000000000000000000.0", "1e99999999999999999999",
        "0e99999999999999999999", "0.00000000000000000000001e330",
        "\"\"", "\"a\"", "\"a", "\"\\", "\"\\\"", "\"\\\"\"", "\"\\x\"",
        "\"\\/\\b\\f\\n\\r\\t\\\\\"", "\"\\u00e9\"", "\"\\u00g9\"",
        "\"\\u0000\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"",
        "\"\\ude00\"", "\"\\ud83d\\u0041\"", "\"\\ud83dx\"", "\"\\ud83d\\n\"",
        "\"\\u004\"", "\"\\u\"", "\"\t\"", "\"\x1f\"", "\"\x7f\"",
        "\"\xc3\xa9\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
        "\"\xc0\x80\"", "\"1234567\xc3\xa9\"", "\"12345678\"",
        "\"12345678\\u0041\"", "\xc3\xa9",
        "[]", "[1]", "[1,]", "[,1]", "[1 2]", "[1", "[", "]", "[1,2]]",
        "[[[]]]", "[1}", "{]", "{}", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1",
        "{\"a\":1}", "{\"a\":1,}", "{,}", "{a:1}", "{\"a\" : 1 , \"b\":2}",
        "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "{\"\":1,\"\":2}",
        "{\"a\":{\"a\":1},\"b\":{\"a\":1}}", "{\"a\":{\"b\":1,\"b\":1}}",
        "{\"a\":[{\"b\":1},{\"b\":1}],\"b\":1}",
        "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,"
            "\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,"
            "\"p\":1,\"q\":1,\"r\":1}",
        "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,"
            "\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,"
            "\"p\":1,\"q\":1,\"c\":1}",
        "{\"\\u0000\":1}", "1 2", "\v1", "\f1", "\xef\xbb\xbf", "'a'", "//"
    };

    /* as the text, in a list, and as members that a model has and has not */

    static const char  *frames[] = {
        "%s", " %s ", "\xef\xbb\xbf%s", "[%s]", "[1,%s,2]", "{\"a\":%s}",
        "{\"name\":%s,\"number\":1}", "{\"unknown\":%s,\"name\":1}",
        "{\"a\":[%s],\"number\":{}}"
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        for (j = 0; j < sizeof(frames) / sizeof(frames[0]); j++) {

            frame = frames[j];
            n = snprintf(copy, sizeof(copy), frame, values[i]);

            text.len = n;
            text.data = malloc(n ? n : 1);
            memcpy(text.data, copy, n);

            pool = ngx_create_pool(0, NULL);

            ngx_http_async_json_in(&in, pool, &text);

            rc = ngx_http_async_json_skip(&in);
            ngx_http_async_json_space(&in);

            if (rc == NGX_OK && in.p != in.last) {
                rc = NGX_ABORT;
            }

            ngx_destroy_pool(pool);

            ngx_stub_ok((rc == NGX_OK) == (loaded(&text) == NGX_OK)
                        && (rc == NGX_OK || rc == NGX_ABORT)
                        && (plain(&text, NULL, 0, NULL) == NGX_ABORT)
                           == (rc == NGX_ABORT),
                        "the loader agrees on value %d in frame %d", (int) i,
                        (int) j);

            free(text.data);
        }
    }
}


static ngx_int_t
loaded(ngx_str_t *text)
{
    json_t     *value;
    ngx_int_t   rc;

    rc = ngx_http_async_json_wide(text->data, text->len, &value);

    json_decref(value);

    return rc;
}


/* n more allocations may succeed; "to" outlives its text */

static ngx_int_t
plain(ngx_str_t *text, plain_t *to, ngx_uint_t n, json_t **errors)
{
    plain_t                    own;
    ngx_int_t                  rc;
    ngx_pool_t                *pool;
    ngx_http_async_reading_t   reading;

    to = to ? to : &own;
    memset(to, 0x55, sizeof(plain_t));

    pool = ngx_create_pool(0, NULL);

    reading.pool = pool;
    reading.errors = NULL;
    reading.told = 0;

    ngx_stub_allocations = n ? (ngx_int_t) n - 1 : -1;

    rc = ngx_http_async_schema_json_body(&reading, &body,
                                         ngx_http_async_schema(&plain_model),
                                         text, to);
    ngx_stub_allocations = -1;

    if (errors) {
        *errors = json_incref(reading.errors);
    }

    json_decref(reading.errors);
    ngx_destroy_pool(pool);

    return rc;
}


static void
untouched(void)
{
    plain_t    to;
    ngx_str_t  text = ngx_string("{\"name\":\"a\",\"number\":300000000000}");
    ngx_str_t  broken = ngx_string("{\"name\":\"a\",\"number\":3,\"name\":5}");

    ngx_stub_ok(plain(&text, &to, 0, NULL) == NGX_DECLINED
                && to.name == NULL && to.text == NULL && to.number == 0,
                "nothing of an object is left if a member does not fit");
    ngx_stub_ok(plain(&broken, &to, 0, NULL) == NGX_ABORT
                && to.name == NULL && to.text == NULL && to.number == 0,
                "nor if it is no JSON");

    errors_of("{\"name\":5,\"number\":[1,{}],\"name\":1}", "none");
    errors_of("{\"name\":5", "none");
    errors_of("{\"number\":\"x\",\"text\":0}",
              "missing text:string_type number:int_parsing");
    errors_of("[]", "model_attributes_type");
}


/* their types, in their order; those of known fields with their names */

static void
errors_of(const char *text, const char *expected)
{
    char         got[256];
    size_t       i, n;
    json_t      *errors, *error;
    ngx_str_t    s;
    const char  *name;

    s.data = (u_char *) text;
    s.len = strlen(text);

    (void) plain(&s, NULL, 0, &errors);

    n = 0;

    for (i = 0; i < json_array_size(errors); i++) {
        error = json_array_get(errors, i);
        name = json_string_value(json_array_get(json_object_get(error, "loc"),
                                                1));

        if (strcmp(json_string_value(json_object_get(error, "type")),
                   "missing") == 0)
        {
            name = NULL;
        }

        n += snprintf(got + n, sizeof(got) - n, "%s%s%s%s", i ? " " : "",
                      name ? name : "", name ? ":" : "",
                      json_string_value(json_object_get(error, "type")));
    }

    ngx_stub_ok(strcmp(n ? got : "none", expected) == 0,
                "the errors of %s are %s", text, expected);

    json_decref(errors);
}


/* what grows with the input, but not out of proportion */

static void
bounds(void)
{
    char       *p;
    size_t      i;
    json_t     *errors;
    ngx_int_t   rc;
    ngx_str_t   text;

    text.data = malloc(8 * 200000 + 64);

    /* nested as deep as may be, and deeper */

    for (i = 99; i < 102; i++) {
        p = (char *) text.data + sprintf((char *) text.data, "{\"x\":");
        memset(p, '[', i);
        memset(p + i, ']', i);
        p += 2 * i;
        *p++ = '}';
        text.len = (u_char *) p - text.data;

        rc = plain(&text, NULL, 0, NULL);

        ngx_stub_ok(rc == ((i < 100) ? NGX_DECLINED : NGX_ABORT)
                    && (loaded(&text) == NGX_OK) == (i < 100),
                    "%d levels below one are %s", (int) i,
                    (i < 100) ? "taken" : "refused");
    }

    /* unknown members: each is looked at, but not beside each other one */

    p = (char *) text.data + sprintf((char *) text.data, "{\"name\":\"a\"");

    for (i = 0; i < 100000; i++) {
        p += sprintf(p, ",\"%05d\":0", (int) i);
    }

    p += sprintf(p, "}");
    text.len = (u_char *) p - text.data;

    rc = plain(&text, NULL, 0, &errors);

    ngx_stub_ok(rc == NGX_DECLINED && json_array_size(errors) == 1
                && json_object_size(json_object_get(json_array_get(errors, 0),
                                                    "input")) == 100001,
                "100,000 unknown members are part of the input");

    json_decref(errors);

    memcpy(p - 1, ",\"00777\":1}", 11);
    text.len += 10;

    ngx_stub_ok(plain(&text, NULL, 0, NULL) == NGX_ABORT
                && loaded(&text) == NGX_DECLINED,
                "one of them twice is found");

    free(text.data);
}


static void
no_memory(void)
{
    plain_t     to;
    ngx_int_t   rc;
    ngx_str_t   text = ngx_string("{\"na\\u006de\":\"b\\tc\",\"number\":1,"
                                  "\"a\":1}");
    ngx_uint_t  n;

    for (n = 1; /* void */ ; n++) {
        rc = plain(&text, &to, n, NULL);

        if (rc != NGX_ERROR) {
            break;
        }

        if (to.name || to.text || to.number) {
            rc = NGX_DECLINED;
            break;
        }
    }

    ngx_stub_ok(rc == NGX_OK && n > 2 && to.number == 1,
                "without memory for one of %d pieces it says so", (int) n - 1);
}


static int
take_time(int n, ngx_uint_t tree)
{
    char                          buf[2048];
    int                           i, len;
    json_t                       *value;
    body_t                        to;
    ngx_int_t                     rc;
    ngx_str_t                     text;
    ngx_pool_t                   *pool;
    ngx_http_async_reading_t      reading;
    ngx_http_async_json_error_t   error;

    len = sprintf(buf, "{\"id\":1234567,\"name\":\"Margaret Hamilton\","
                  "\"email\":\"margaret.hamilton@example.org\","
                  "\"active\":true,\"score\":97.25,\"tags\":[\"apollo\","
                  "\"software\",\"guidance\"],\"tasks\":[");

    for (i = 0; len < 960; i++) {
        len += sprintf(buf + len, "%s{\"id\":%d,\"title\":\"check the hatch\""
                       ",\"price\":12.5,\"done\":false,\"priority\":%s}",
                       i ? "," : "", 100 + i, (i % 2) ? "3" : "null");
    }

    len += sprintf(buf + len, "]}");

    text.data = (u_char *) buf;
    text.len = len;

    for (i = 0; i < n; i++) {

        if (tree) {
            rc = ngx_http_async_json_load(text.data, text.len, 0, &value,
                                          &error);
            json_decref(value);

        } else {
            pool = ngx_create_pool(0, NULL);

            reading.pool = pool;
            reading.errors = NULL;
            reading.told = 0;

            rc = ngx_http_async_schema_json_body(&reading, &body,
                                          ngx_http_async_schema(&body_model),
                                          &text, &to);
            ngx_destroy_pool(pool);
        }

        if (rc != NGX_OK) {
            return 1;
        }
    }

    printf("%d bytes\n", len);

    return 0;
}
