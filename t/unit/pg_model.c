
/*
 * Models: mistakes in them; rows of PostgreSQL into structs, and what is said
 * of those that do not fit.  Called with "time N", it fills N structs, 100,000
 * say, for callgrind.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <math.h>
#include <stdbool.h>
#include <ngx_http_async_pg_model.h>
#include "ngx_stub.h"


/* of each kind of member */

typedef struct {
    int8_t          i8;
    short           i16;
    int             i32;
    long            i64;
    unsigned char   u8;
    uint16_t        u16;
    unsigned        u32;
    size_t          u64;
    long long       ll;
    bool            flag;
    float           f;
    double          d;
    const char     *text;
    int             untouched;
    async_str_t     str;
    json_t         *json;
    int64_t         at;
    async_str_t     data;
    const int16_t  *maybe;
    bool           *maybe_flag;
    int32_t        *ints;
    size_t          n_ints;
    const double   *doubles;
    size_t          n_doubles;
    const char    **texts;
    size_t          n_texts;
    async_str_t    *datas;
    size_t          n_datas;
    int64_t        *times;
    size_t          n_times;
} all_t;

ASYNC_MODEL(all_model, all_t,
    ASYNC_FIELD(all_t, i8),
    ASYNC_FIELD(all_t, i16),
    ASYNC_FIELD(all_t, i32),
    ASYNC_FIELD(all_t, i64),
    ASYNC_FIELD(all_t, u8),
    ASYNC_FIELD(all_t, u16),
    ASYNC_FIELD(all_t, u32),
    ASYNC_FIELD(all_t, u64),
    ASYNC_FIELD(all_t, ll),
    ASYNC_FIELD(all_t, flag),
    ASYNC_FIELD(all_t, f),
    ASYNC_FIELD(all_t, d),
    ASYNC_FIELD(all_t, text, .optional = 1),
    ASYNC_FIELD(all_t, str, ASYNC_WITH(name, "a str"),
                ASYNC_WITH(optional, 1)),
    ASYNC_FIELD(all_t, json, ASYNC_WITH(optional, 1)),
    ASYNC_FIELD(all_t, at, ASYNC_WITH(type, ASYNC_FIELD_TIME)),
    ASYNC_FIELD(all_t, data, ASYNC_WITH(type, ASYNC_FIELD_BYTES)),
    ASYNC_FIELD(all_t, maybe),
    ASYNC_FIELD(all_t, maybe_flag),
    ASYNC_LIST(all_t, ints, n_ints, ASYNC_WITH(optional, 1)),
    ASYNC_LIST(all_t, doubles, n_doubles),
    ASYNC_LIST(all_t, texts, n_texts),
    ASYNC_LIST(all_t, datas, n_datas, ASYNC_WITH(type, ASYNC_FIELD_BYTES)),
    ASYNC_LIST(all_t, times, n_times, ASYNC_WITH(type, ASYNC_FIELD_TIME))
);

enum { I8, I16, I32, I64, U8, U16, U32, U64, LL, FLAG, F, D, TEXT, STR, JSON,
       AT, DATA, MAYBE, MAYBE_FLAG, INTS, DOUBLES, TEXTS, DATAS, TIMES, OTHER,
       COLUMNS };

static const char  *names[] = {
    "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "ll", "flag", "f",
    "d", "text", "a str", "json", "at", "data", "maybe", "maybe_flag", "ints",
    "doubles", "texts", "datas", "times", "other"
};

static const Oid    oids[] = {
    20, 20, 20, 20, 20, 20, 20, 20, 20, 16, 701, 1700, 25, 2950, 3802, 1184,
    17, 21, 16, 1007, 1022, 1009, 1001, 1185, 600
};

static const char  *usual[] = {
    "-128", "-32768", "-2147483648", "-9223372036854775808", "255", "65535",
    "4294967295", "9223372036854775807", "9223372036854775807", "t", "0.5",
    "1.25", "a text", "x", "{\"a\": [1]}", "1970-01-01 00:00:01.5+00",
    "\\x00ff", "-5", "f", "{1,-2,3}", "{0.5,NaN}",
    "{a,\"b,\\\"c\\\\\",\"\",\"NULL\"}", "{\"\\\\x00ff\",\"\\\\x\"}",
    "{\"1970-01-01 00:00:02+00\",\"1970-01-01 00:00:03+00\"}", "(1,2)"
};


static ngx_pool_t                *pool;
static ngx_http_async_pg_lent_t   lent;
static ngx_http_async_pg_fill_t   fill;


static PGresult *
result_of(int columns, const char **columns_names, const Oid *types)
{
    int            i;
    PGresult      *result;
    PGresAttDesc   attrs[64];

    result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

    memset(attrs, 0, sizeof(attrs));

    for (i = 0; i < columns; i++) {
        attrs[i].name = (char *) columns_names[i];
        attrs[i].typid = types[i];
        attrs[i].typlen = -1;
        attrs[i].atttypmod = -1;
    }

    if (!PQsetResultAttrs(result, columns, attrs)) {
        abort();
    }

    return result;
}


static void
set(PGresult *result, int row, int column, const char *text)
{
    if (!PQsetvalue(result, row, column, (char *) text,
                    text ? (int) strlen(text) : -1))
    {
        abort();
    }
}


/* one row of what is usual, or with another value or type */

static PGresult *
row_of(int column, const char *text, Oid oid)
{
    int        i;
    Oid        types[COLUMNS];
    PGresult  *result;

    memcpy(types, oids, sizeof(oids));

    if (oid) {
        types[column] = oid;
    }

    result = result_of(COLUMNS, names, types);

    for (i = 0; i < COLUMNS; i++) {
        set(result, 0, i, i == column ? text : usual[i]);
    }

    return result;
}


static ngx_int_t
filled(PGresult *result, const async_model_t *model, size_t n, void *to)
{
    lent.pool = pool;

    fill.call = "f";
    fill.pool = pool;
    fill.result = result;
    fill.lent = &lent;
    fill.model = model;
    fill.row = 0;
    fill.n = n;
    fill.to = to;
    fill.error[0] = '\0';

    return ngx_http_async_pg_fill(&fill);
}


static void
done(PGresult *result)
{
    ngx_http_async_pg_lent_end(&lent, result);
    PQclear(result);
}


static void
test_row(void)
{
    all_t      a;
    json_t    *json;
    PGresult  *result;

    result = row_of(-1, NULL, 0);

    memset(&a, 0, sizeof(a));
    a.untouched = 77;

    ngx_stub_ok(filled(result, &all_model, 1, &a) == NGX_OK, "a row %s",
                fill.error);

    ngx_stub_ok(a.i8 == INT8_MIN && a.i16 == INT16_MIN && a.i32 == INT32_MIN
                && a.i64 == INT64_MIN, "the least signed integers");
    ngx_stub_ok(a.u8 == UINT8_MAX && a.u16 == UINT16_MAX
                && a.u32 == UINT32_MAX && a.u64 == INT64_MAX
                && a.ll == INT64_MAX, "the greatest unsigned ones");
    ngx_stub_ok(a.flag && a.f == 0.5f && a.d == 1.25, "bool, float, double");
    ngx_stub_ok(strcmp(a.text, "a text") == 0 && a.str.len == 1
                && strcmp(a.str.data, "x") == 0, "text");
    ngx_stub_ok(a.text == PQgetvalue(result, 0, TEXT), "... not copied");
    ngx_stub_ok(json_array_size(json_object_get(a.json, "a")) == 1, "JSON");
    ngx_stub_ok(a.at == 1500, "a time");
    ngx_stub_ok(a.data.len == 2 && memcmp(a.data.data, "\x00\xff", 3) == 0,
                "bytes");
    ngx_stub_ok(*a.maybe == -5 && !*a.maybe_flag, "pointers");
    ngx_stub_ok(a.n_ints == 3 && a.ints[0] == 1 && a.ints[1] == -2
                && a.ints[2] == 3, "a list of integers");
    ngx_stub_ok(a.n_doubles == 2 && a.doubles[0] == 0.5
                && isnan(a.doubles[1]), "... of doubles");
    ngx_stub_ok(a.n_texts == 4 && strcmp(a.texts[0], "a") == 0
                && strcmp(a.texts[1], "b,\"c\\") == 0
                && strcmp(a.texts[2], "") == 0
                && strcmp(a.texts[3], "NULL") == 0, "... of text");
    ngx_stub_ok(a.n_datas == 2 && a.datas[0].len == 2
                && memcmp(a.datas[0].data, "\x00\xff", 3) == 0
                && a.datas[1].len == 0 && a.datas[1].data[0] == '\0',
                "... of bytes");
    ngx_stub_ok(a.n_times == 2 && a.times[1] == 3000, "... of times");
    ngx_stub_ok(a.untouched == 77, "what is no field is left alone");

    json = a.json;

    ngx_stub_ok(filled(result, &all_model, 1, &a) == NGX_OK && a.json == json,
                "JSON is parsed once");

    done(result);
}


static void
test_null(void)
{
    all_t       a;
    PGresult   *result;
    ngx_uint_t  i;

    static const int  may[] = { TEXT, STR, JSON, MAYBE, MAYBE_FLAG, INTS,
                                OTHER };

    result = row_of(-1, NULL, 0);

    for (i = 0; i < sizeof(may) / sizeof(may[0]); i++) {
        set(result, 0, may[i], NULL);
    }

    memset(&a, 0, sizeof(a));

    ngx_stub_ok(filled(result, &all_model, 1, &a) == NGX_OK, "nulls");
    ngx_stub_ok(a.text == NULL && a.str.data == NULL && a.str.len == 0
                && a.json == NULL && a.maybe == NULL && a.maybe_flag == NULL
                && a.ints == NULL && a.n_ints == 0, "... are absent");
    done(result);

    result = row_of(INTS, "{}", 0);
    memset(&a, 0, sizeof(a));

    ngx_stub_ok(filled(result, &all_model, 1, &a) == NGX_OK
                && a.ints != NULL && a.n_ints == 0, "an empty list is there");
    done(result);
}


typedef struct {
    int          column;
    const char  *text;
    Oid          oid;           /* zero: as usual */
    const char  *error;
} wrong_t;


static wrong_t  wrong[] = {
    { I8, "-129", 0, "f(): \"i8\" of row 0 is -129, beyond int8_t" },
    { I8, "128", 0, "f(): \"i8\" of row 0 is 128, beyond int8_t" },
    { I16, "-32769", 0, "f(): \"i16\" of row 0 is -32769, beyond int16_t" },
    { I16, "32768", 0, "f(): \"i16\" of row 0 is 32768, beyond int16_t" },
    { I32, "-2147483649", 0,
      "f(): \"i32\" of row 0 is -2147483649, beyond int32_t" },
    { I32, "2147483648", 0,
      "f(): \"i32\" of row 0 is 2147483648, beyond int32_t" },
    { I64, "9223372036854775808", 0,
      "f(): \"i64\" of row 0 is 9223372036854775808, beyond int64_t" },
    { U8, "-1", 0, "f(): \"u8\" of row 0 is -1, beyond uint8_t" },
    { U8, "256", 0, "f(): \"u8\" of row 0 is 256, beyond uint8_t" },
    { U16, "-1", 0, "f(): \"u16\" of row 0 is -1, beyond uint16_t" },
    { U16, "65536", 0, "f(): \"u16\" of row 0 is 65536, beyond uint16_t" },
    { U32, "-1", 0, "f(): \"u32\" of row 0 is -1, beyond uint32_t" },
    { U32, "4294967296", 0,
      "f(): \"u32\" of row 0 is 4294967296, beyond uint32_t" },
    { U64, "-1", 0, "f(): \"u64\" of row 0 is -1, beyond uint64_t" },
    { F, "1e39", 0, "f(): \"f\" of row 0 is beyond float" },
    { D, "1e400", 0, "f(): \"d\" of row 0 is beyond double" },
    { AT, "infinity", 0, "f(): \"at\" of row 0 is \"infinity\", not a time by "
      "DateStyle ISO" },
    { DATA, "\\x0", 0, "f(): \"data\" of row 0 is malformed bytea" },
    { JSON, "[1,", 0, "f(): \"json\" of row 0 is JSON that is refused: "
      "Expecting value at character 3" },
    { MAYBE, "40000", 20, "f(): \"maybe\" of row 0 is 40000, beyond int16_t" },
    { INTS, "{1,2147483648}", 1016, "f(): item 1 of \"ints\" of row 0 is "
      "2147483648, beyond int32_t" },
    { INTS, "{1,2,NULL}", 0, "f(): item 2 of \"ints\" of row 0 is null" },
    { INTS, "{{1,2},{3,4}}", 0,
      "f(): \"ints\" of row 0 is an array of more dimensions" },
    { INTS, "{1,2", 0, "f(): \"ints\" of row 0 is a malformed array" },
    { DATAS, "{\"\\\\x00\",\"\\\\x0\"}", 0,
      "f(): item 1 of \"datas\" of row 0 is malformed bytea" },
    { I8, NULL, 0, "f(): \"i8\" of row 0 is null, which \"all_model\" does "
      "not allow" },
    { DATA, NULL, 0, "f(): \"data\" of row 0 is null, which \"all_model\" "
      "does not allow" },
    { TEXTS, NULL, 0, "f(): \"texts\" of row 0 is null, which \"all_model\" "
      "does not allow" },
    { I32, "1", 25, "f(): \"i32\" is text, not an integer" },
    { I32, "1", 1700, "f(): \"i32\" is numeric, not an integer" },
    { I32, "{1}", 1007, "f(): \"i32\" is integer[], not an integer" },
    { D, "1", 25, "f(): \"d\" is text, not a number" },
    { FLAG, "1", 23, "f(): \"flag\" is integer, not boolean" },
    { JSON, "1", 25, "f(): \"json\" is text, not json or jsonb" },
    { AT, "1", 20, "f(): \"at\" is bigint, not a timestamp or date" },
    { DATA, "a", 25, "f(): \"data\" is text, not bytea" },
    { INTS, "1", 23, "f(): \"ints\" is integer, not an array of integers" },
    { TEXTS, "1", 25, "f(): \"texts\" is text, not an array of text" },
    { DATAS, "{a}", 1009, "f(): \"datas\" is text[], not an array of bytea" }
};


static void
test_wrong(void)
{
    all_t       a;
    wrong_t    *w;
    PGresult   *result;
    ngx_int_t   rc;
    ngx_uint_t  i, same;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        w = &wrong[i];

        result = row_of(w->column, w->text, w->oid);
        memset(&a, 0, sizeof(a));

        rc = filled(result, &all_model, 1, &a);
        same = rc == NGX_DECLINED
               && strcmp((char *) fill.error, w->error) == 0;

        ngx_stub_ok(same, "%s", w->error);

        if (!same) {
            printf("# %d: %s\n", (int) rc, fill.error);
        }

        done(result);
    }
}


typedef struct {
    int          id;
    const char  *text;
} small_t;

ASYNC_MODEL(small_model, small_t,
    ASYNC_FIELD(small_t, id),
    ASYNC_FIELD(small_t, text)
);


static void
test_rows(void)
{
    small_t     all[3];
    PGresult   *result;
    ngx_int_t   n, rc;

    static const char  *columns[] = { "text", "id", "id" };
    static const char  *near[] = { "txet", "id" };
    static const Oid    types[] = { 25, 25, 23 };

    result = result_of(3, columns, types);

    ngx_stub_ok(filled(result, &small_model, 0, NULL) == NGX_OK, "no rows");

    for (n = 0; n < 3; n++) {
        set(result, n, 0, "a");
        set(result, n, 1, "x");
        set(result, n, 2, n == 2 ? NULL : "7");
    }

    ngx_stub_ok(filled(result, &small_model, 2, all) == NGX_OK
                && all[0].id == 7 && all[1].id == 7
                && strcmp(all[1].text, "a") == 0,
                "two rows, of a name twice the last one counts");
    ngx_stub_ok(filled(result, &small_model, 3, all) == NGX_DECLINED
                && strcmp((char *) fill.error, "f(): \"id\" of row 2 is null, "
                          "which \"small_model\" does not allow") == 0,
                "the third one is null");
    done(result);

    result = result_of(2, near, types + 1);
    ngx_stub_ok(filled(result, &small_model, 0, NULL) == NGX_DECLINED
                && strcmp((char *) fill.error, "f(): there is no column "
                          "\"text\", which \"small_model\" names, did you "
                          "mean \"txet\"?") == 0, "a near miss");
    done(result);

    for (n = 0, rc = NGX_ERROR; rc == NGX_ERROR && n < 40; n++) {
        all_t  a;

        result = row_of(-1, NULL, 0);
        memset(&a, 0, sizeof(a));

        ngx_stub_allocations = n;
        rc = filled(result, &all_model, 1, &a);
        ngx_stub_allocations = -1;

        if (rc == NGX_ERROR
            && strcmp((char *) fill.error, "f(): no memory") != 0)
        {
            break;
        }

        done(result);
    }

    ngx_stub_ok(rc == NGX_OK && n > 10, "without memory it says so: %d",
                (int) n);
}


/* models that no compiler refuses */

typedef struct {
    int       id;
    int      *maybe;
    int64_t   at;
    int      *ids;
    size_t    n;
} part_t;

typedef struct {
    part_t    part;
    int       more;
    size_t    n;
} whole_t;

#define model_of(name, ...)                                                  \
    ASYNC_MODEL(name, part_t, __VA_ARGS__)

model_of(good, ASYNC_FIELD(part_t, id), ASYNC_FIELD(part_t, maybe),
         ASYNC_FIELD(part_t, at), ASYNC_LIST(part_t, ids, n));
model_of(twice, ASYNC_FIELD(part_t, id),
         ASYNC_FIELD(part_t, at, ASYNC_WITH(name, "id")));
model_of(again, ASYNC_FIELD(part_t, id),
         ASYNC_FIELD(part_t, id, ASYNC_WITH(name, "other")));
model_of(shared, ASYNC_LIST(part_t, ids, n),
         ASYNC_LIST(part_t, maybe, n));
model_of(foreign, ASYNC_FIELD(whole_t, more));
model_of(foreign_n, ASYNC_LIST(whole_t, part.ids, n));
model_of(empty, ASYNC_FIELD(part_t, id, ASYNC_WITH(name, "")));
model_of(optional, ASYNC_FIELD(part_t, id, ASYNC_WITH(optional, 1)));
model_of(timed, ASYNC_FIELD(part_t, id, ASYNC_WITH(type, ASYNC_FIELD_TIME)));
model_of(bytes, ASYNC_FIELD(part_t, id, ASYNC_WITH(type, ASYNC_FIELD_BYTES)));
model_of(typed, ASYNC_FIELD(part_t, id, ASYNC_WITH(type, 99)));
model_of(unknown, { .member = "id", .kind = 31 });
model_of(uncounted, { .member = "ids", .offset = offsetof(part_t, ids),
                      .count = offsetof(part_t, ids),
                      .kind = ASYNC_MEMBER_LIST | ASYNC_MEMBER_INT32 });


typedef struct {
    const async_model_t  *model;
    const char           *error;
} mistake_t;


static mistake_t  mistakes[] = {
    { &good, NULL },
    { &all_model, NULL },
    { &twice, "fields \"id\" and \"at\" are both named \"id\"" },
    { &again, "fields \"id\" and \"id\" overlap" },
    { &shared, "fields \"ids\" and \"maybe\" overlap" },
    { &foreign, "field \"more\" ends at byte 44 of part_t, which has 40: is it "
      "of another struct?" },
    { &foreign_n, "the number of items of \"part.ids\" lies outside of part_t:"
      " is it of another struct?" },
    { &empty, "the name of field \"id\" is empty" },
    { &optional, "field \"id\" is optional, and must be a pointer then, to "
      "tell null from zero" },
    { &timed, "field \"id\" is a time, and must be int64_t then" },
    { &bytes, "field \"id\" is bytes, and must be async_str_t then" },
    { &typed, "field \"id\" is of a type that this module does not know" },
    { &unknown, "field \"id\" is of no kind that this module of version "
      ASYNC_VERSION " knows" },
    { &uncounted, "the list \"ids\" has no number of items of its own" }
};


static void
test_mistakes(void)
{
    u_char          error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    const char     *tail;
    mistake_t      *m;
    ngx_int_t       rc;
    ngx_uint_t      i, same;
    async_model_t   newer;

    for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        m = &mistakes[i];

        error[0] = '\0';
        rc = ngx_http_async_model_check(m->model, error);

        tail = strstr((char *) error, ": ");
        same = m->error ? rc == NGX_DECLINED && tail
                          && strncmp((char *) error, "model \"", 7) == 0
                          && strcmp(tail + 2, m->error) == 0
                        : rc == NGX_OK;

        ngx_stub_ok(same, "%s: %s", m->model->name,
                    m->error ? m->error : "no mistake");

        if (!same) {
            printf("# %d: %s\n", (int) rc, error);
        }
    }

    newer = good;
    newer.field_size += 8;

    ngx_stub_ok(ngx_http_async_model_check(&newer, error) == NGX_DECLINED
                && strstr((char *) error, "it needs a newer one"),
                "attributes of a later version");
}


static void
test_clear(void)
{
    part_t  part;

    memset(&part, 0xff, sizeof(part));
    part.at = 5;

    ngx_http_async_model_clear(&twice, &part);

    ngx_stub_ok(part.id == 0 && part.at == 0 && part.maybe != NULL
                && part.n == (size_t) -1, "the fields of a model are cleared");

    ngx_http_async_model_clear(&good, &part);

    ngx_stub_ok(part.maybe == NULL && part.ids == NULL && part.n == 0,
                "... those of a list, too");
}


/* short decimals are divided, and must be what strtod() makes of them */

static void
test_numbers(void)
{
    char        text[64];
    double      value;
    uint64_t    random;
    ngx_int_t   n;
    ngx_str_t   s;

    static const char  *edges[] = {
        "0", "-0", "-0.0", "9007199254740992", "9007199254740993",
        "0.30000000000000004", "123456789012345", ".5", "1e23", "1.5e-7",
        "99999999999999.9", "0.00000000000001"
    };

    random = 88172645463325252;

    for (n = 0; n < 200000; n++) {

        if (n < (ngx_int_t) (sizeof(edges) / sizeof(edges[0]))) {
            strcpy(text, edges[n]);

        } else {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;

            sprintf(text, "%s%.*f", random & 1 ? "-" : "",
                    (int) (random >> 8 & 15),
                    (double) (random >> 12) / (1u << (random >> 3 & 31)));
        }

        s.data = (u_char *) text;
        s.len = strlen(text);

        if (text[0] == '.') {
            if (ngx_http_async_pg_number(&s, &value) == NGX_OK) {
                break;
            }

            continue;
        }

        if (ngx_http_async_pg_number(&s, &value) != NGX_OK
            || value != strtod(text, NULL)
            || !signbit(value) != !signbit(strtod(text, NULL)))
        {
            break;
        }
    }

    ngx_stub_ok(n == 200000, "decimals as of strtod()");

    if (n < 200000) {
        printf("# %s is %.17g\n", text, value);
    }
}


/* the table of the examples: two integers, text, bool, float, time */

typedef struct {
    int64_t       id;
    const char   *text;
    bool          completed;
    double        weight;
    int32_t      *priority;
} note_t;

ASYNC_MODEL(note_model, note_t,
    ASYNC_FIELD(note_t, id),
    ASYNC_FIELD(note_t, text),
    ASYNC_FIELD(note_t, completed),
    ASYNC_FIELD(note_t, weight),
    ASYNC_FIELD(note_t, priority)
);


static void
costs(int rows, ngx_uint_t twice_over)
{
    int        i;
    char       text[64];
    note_t    *notes;
    PGresult  *result;

    static const char  *columns[] = { "id", "text", "completed", "weight",
                                      "priority" };
    static const Oid    types[] = { 20, 25, 16, 701, 23 };

    result = result_of(5, columns, types);

    for (i = 0; i < rows; i++) {
        sprintf(text, "%d", i);
        set(result, i, 0, text);
        set(result, i, 1, "the text of a note");
        set(result, i, 2, i % 2 ? "t" : "f");
        sprintf(text, "%d.%d", i, 125 * (i % 8));
        set(result, i, 3, text);
        set(result, i, 4, i % 4 ? NULL : "3");
    }

    notes = calloc(rows, sizeof(note_t));

    do {
        if (filled(result, &note_model, rows, notes) != NGX_OK) {
            abort();
        }
    } while (twice_over--);

    free(notes);
    PQclear(result);
}


int
main(int argc, char **argv)
{
    pool = ngx_create_pool(4096, NULL);

    if (argc > 2) {
        costs(atoi(argv[2]), argc > 3);
        ngx_destroy_pool(pool);
        return 0;
    }

    test_row();
    test_null();
    test_wrong();
    test_rows();
    test_mistakes();
    test_clear();
    test_numbers();

    ngx_destroy_pool(pool);

    return ngx_stub_done();
}
