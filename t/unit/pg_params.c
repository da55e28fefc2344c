
/*
 * Statements of PostgreSQL without a server: which placeholders SQL has, what
 * values are as text, what is refused in which words; random SQL and values;
 * and, called with "-", a filter for pg_params.py: lines of "KIND HEX" in,
 * results that end with a zero byte out.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_stub.h"
#include <ngx_http_async_pg_params.h>
#include <math.h>


typedef struct {
    const char     *sql;
    const char     *expected;
} sql_case_t;


typedef struct {
    async_value_t   value;
    const char     *expected;
} value_case_t;


/* the number of values, or why not */

static sql_case_t  by_place[] = {
    { "", "0" },
    { "SELECT 1", "0" },
    { "SELECT $1", "1" },
    { "SELECT $2, $1, $2", "2" },
    { "SELECT $01", "1" },
    { "SELECT $1::int,$2+$3", "3" },
    { "SELECT $1a", "1" },
    { "SELECT a$1", "0" },
    { "SELECT \xc3\xa9$1, _$2, a1$3", "0" },
    { "SELECT 1$1", "1" },
    { "SELECT :a, $1", "1" },
    { "$1", "1" },
    { "$", "0" },
    { "$$", "0" },

    /* strings, names */
    { "'$1' $1", "1" },
    { "'it''s $2' $1", "1" },
    { "'\\' $1", "1" },
    { "'\\'$1' $2 '", "1" },
    { "E'\\'$2' $1", "1" },
    { "e'\\\\' $1 '$2'", "1" },
    { "E'''$2' $1", "1" },
    { "E'$2\\", "0" },
    { "E'$2", "0" },
    { "te'\\' $1 '$2'", "1" },
    { "e 'a\\' $1", "1" },
    { "E'a'\n'\\'$2' $1", "1" },
    { "E'a' -- $3 '\n \t '\\'$2' $1", "1" },
    { "E'a' '\\' $1", "1" },
    { "E'a'\n$1", "1" },
    { "E'a'\n /* ' */ $1", "1" },
    { "U&'\\0061' $1", "1" },
    { "B'1' X'f' N'$2' $1", "1" },
    { "\"$2\" $1", "1" },
    { "\"a\"\"$2\" $1", "1" },
    { "\"'\" $1 \"'\"", "1" },
    { "'\"' $1 '\"'", "1" },
    { "'$1", "0" },
    { "\"$1", "0" },

    /* dollar quotes */
    { "$$ $2 ' $$ $1", "1" },
    { "$a$ $2 $$ $b$ $3 $a$ $1", "1" },
    { "$a$ $2 $A$ $a$ $1", "1" },
    { "$a_1$$2$a_1$$1", "1" },
    { "$\xc3\xa9$ $2 $\xc3\xa9$ $1", "1" },
    { "$a$ $2", "0" },
    { "$a $1", "1" },
    { "$1$ $2$", "2" },
    { "a$$ $1 $$", "1" },
    { "$a$b$a$ $1", "1" },
    { "$$$1$$ $1", "1" },

    /* comments */
    { "-- $2\n$1", "1" },
    { "-- $2\r$1", "1" },
    { "-- $2", "0" },
    { "- - $1", "1" },
    { "/* $2 */ $1", "1" },
    { "/* $2 /* $3 */ $4 */ $1", "1" },
    { "/*/ $2 */ $1", "1" },
    { "/*/* */ $2 */ $1", "1" },
    { "*/ $1 /* $2", "1" },
    { "+-- $2\n*/* $3 */ $1", "1" },
    { "/* ' */ $1 /* ' */", "1" },
    { "'/*' $1 '*/'", "1" },
    { "/* -- */ $1", "1" },
    { "-- /*\n$1", "1" },

    /* not these */
    { "SELECT $0", "the SQL has $0, which is not from $1 to $65535" },
    { "$65536", "the SQL has $65536, which is not from $1 to $65535" },
    { "$123456789012345678901234567890", "the SQL has "
      "$123456789012345678901234567890, which is not from $1 to $65535" },
    { "$2", "the SQL has $2 and no $1" },
    { "$1 $3 $5", "the SQL has $5 and no $2" },
    { "$1 $65535", "the SQL has $65535 and no $2" },
    { "$64", "the SQL has $64 and no $1" },
    { "$65", "the SQL has $65 and no $1" }
};


/* SQL as the server gets it, and the names */

static sql_case_t  by_name[] = {
    { "", " |" },
    { "SELECT 1", "SELECT 1 |" },
    { "SELECT :a", "SELECT $1 |a" },
    { ":a", "$1 |a" },
    { "SELECT :b, :a, :b", "SELECT $1, $2, $1 |b,a" },
    { "SELECT :_a1B, :_a1b", "SELECT $1, $2 |_a1B,_a1b" },
    { "SELECT :a::text", "SELECT $1::text |a" },
    { "SELECT :a::text, x::b, '1'::c", "SELECT $1::text, x::b, '1'::c |a" },
    { "SELECT (:a)::b", "SELECT ($1)::b |a" },
    { "a=:a", "a=$1 |a" },
    { "f(x := :a, y=>:b)", "f(x := $1, y=>$2) |a,b" },
    { "f(x :=y, z:=y)", "f(x :=y, z:=y) |" },
    { ":a-:b", "$1-$2 |a,b" },
    { ":a--:b\n:c", "$1--:b\n$2 |a,c" },
    { "/*:b*/:a", "/*:b*/$1 |a" },
    { "':b' \":c\" $$:d$$ E'\\':e' :a", "':b' \":c\" $$:d$$ E'\\':e' $1 |a" },
    { "LIMIT:n", "LIMIT:n |" },
    { "a[1:n]", "a[1:n] |" },
    { "a[m:n]", "a[m:n] |" },
    { "a[f(m):n]", "a[f(m):n] |" },
    { "a[b[1]:n]", "a[b[1]:n] |" },
    { "a[\"m\":n]", "a[\"m\":n] |" },
    { "json_object('m':n)", "json_object('m':n) |" },
    { "a[1: :n]", "a[1: $1] |n" },
    { "a[:n]", "a[$1] |n" },
    { "a[: n]", "a[: n] |" },
    { "a[:m: :n]", "a[$1: $2] |m,n" },
    { "a[:m:n]", "a[$1:n] |m" },
    { "ARRAY[:a,:b]", "ARRAY[$1,$2] |a,b" },
    { ":1 : :- :\xc3\xa9", ":1 : :- :\xc3\xa9 |" },
    { ":a\xc3\xa9", "$1\xc3\xa9 |a" },
    { ":a$", "$1$ |a" },
    { ":a1b, :a1", "$1, $2 |a1b,a1" },
    { "a$1 :a", "a$1 $1 |a" },
    { ":a, :b, :c, :d, :e, :f, :g, :h, :i, :j, :a",
      "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $1 |a,b,c,d,e,f,g,h,i,j" },
    { "$1", "the SQL has $1, but the values have names" },
    { ":a, $2", "the SQL has $2, but the values have names" }
};


static const int64_t      ints[] = { 1, -2, INT64_MIN, INT64_MAX };
static const double       floats[] = { 1, -0.5, 0.1, NAN, INFINITY };
static const char *const  words[] = { "a", "", "NULL", NULL, "\"\\{},'",
                                      "\xc3\xa9 " };
static const char *const  bad_words[] = { "a", "\xff" };


#define FIRST   (-210866803200000LL)
#define END     9224318016000000LL


static ngx_pool_t  *pool;
static unsigned     seed = 1;


static void test_by_place(void);
static void test_by_name(void);
static void test_values(void);
static void test_binary(void);
static void test_numbers(void);
static void test_names(void);
static void test_json(void);
static void test_no_memory(void);
static void test_many(void);
static void test_random_sql(void);
static void test_random_values(void);
static ngx_uint_t random_value(char *buf, size_t size);
static ngx_int_t all(void);
static void print(const char *sql, ngx_uint_t named, FILE *file);
static const char *refused(const char *sql, const async_value_t *some,
    size_t n);
static int filter(void);
static int repeat(ngx_uint_t n, ngx_uint_t kind);


int
main(int argc, char **argv)
{
    int  rc;

    pool = ngx_create_pool(4096, NULL);

    if (argc == 2 && strcmp(argv[1], "-") == 0) {
        rc = filter();
        ngx_destroy_pool(pool);

        return rc;
    }

    /* for whoever counts instructions */

    if (argc == 3) {
        return repeat(atoi(argv[1]), atoi(argv[2]));
    }

    test_by_place();
    test_by_name();
    test_values();
    test_binary();
    test_numbers();
    test_names();
    test_json();
    test_no_memory();
    test_many();
    test_random_sql();
    test_random_values();

    ngx_destroy_pool(pool);

    return ngx_stub_done();
}


/* of a text of exactly its size */

static void
print(const char *sql, ngx_uint_t named, FILE *file)
{
    char                           *copy;
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    const char                     *error;
    ngx_http_async_pg_statement_t   statement;

    copy = strdup(sql);
    error = "no error";
    rc = ngx_http_async_pg_statement(pool, copy, named, &statement, &error);

    if (rc != NGX_OK) {
        fputs(rc == NGX_DECLINED ? error : "no memory", file);

    } else if (named) {
        fprintf(file, "%s |", statement.sql);

        for (i = 0; i < statement.n; i++) {
            fprintf(file, "%s%.*s", i ? "," : "",
                    (int) statement.names[i].len, statement.names[i].data);
        }

    } else {
        fprintf(file, "%d%s", (int) statement.n,
                statement.sql == copy ? "" : " and is not itself");
    }

    free(copy);
}


static void
test_by_place(void)
{
    char        line[1024];
    FILE       *file;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(by_place) / sizeof(by_place[0]); i++) {
        memset(line, 0, sizeof(line));
        file = fmemopen(line, sizeof(line) - 1, "w");
        print(by_place[i].sql, 0, file);
        fclose(file);

        ngx_stub_ok(strcmp(line, by_place[i].expected) == 0,
                    "case %d by place is %s", (int) i, by_place[i].expected);

        if (strcmp(line, by_place[i].expected) != 0) {
            printf("# %s: got %s\n", by_place[i].sql, line);
        }
    }
}


static void
test_by_name(void)
{
    char        line[1024];
    FILE       *file;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++) {
        memset(line, 0, sizeof(line));
        file = fmemopen(line, sizeof(line) - 1, "w");
        print(by_name[i].sql, 1, file);
        fclose(file);

        ngx_stub_ok(strcmp(line, by_name[i].expected) == 0,
                    "case %d by name", (int) i);

        if (strcmp(line, by_name[i].expected) != 0) {
            printf("# %s: got %s\n", by_name[i].sql, line);
        }
    }
}


/* as text; "-": null; or what is behind "value 1 ($1)" */

static void
test_values(void)
{
    char                           *copy;
    ngx_int_t                       rc;
    ngx_uint_t                      i, n;
    const char                     *error, *got;
    async_str_t                     slice;
    async_value_t                   unknown;
    ngx_http_async_pg_params_t      params;
    ngx_http_async_pg_statement_t   statement;

    slice.data = "abcdef";
    slice.len = 3;
    unknown = ASYNC_INT(1);
    unknown.type = (async_value_type_t) 11;

    value_case_t  cases[] = {
        { ASYNC_NULL, "-" },
        { ASYNC_INT(0), "0" },
        { ASYNC_INT(-1), "-1" },
        { ASYNC_INT(INT64_MAX), "9223372036854775807" },
        { ASYNC_INT(INT64_MIN), "-9223372036854775808" },
        { ASYNC_FLOAT(0.1), "0.1" },
        { ASYNC_FLOAT(3), "3" },
        { ASYNC_FLOAT(100), "100" },
        { ASYNC_FLOAT(-0.0), "-0" },
        { ASYNC_FLOAT(1e300), "1e+300" },
        { ASYNC_FLOAT(-2.2250738585072014e-308), "-2.2250738585072014e-308" },
        { ASYNC_FLOAT(NAN), "NaN" },
        { ASYNC_FLOAT(INFINITY), "Infinity" },
        { ASYNC_FLOAT(-INFINITY), "-Infinity" },
        { ASYNC_BOOL(2), "true" },
        { ASYNC_BOOL(0), "false" },
        { ASYNC_TEXT("a"), "a" },
        { ASYNC_TEXT(""), "" },
        { ASYNC_TEXT((const char *) NULL), "-" },
        { ASYNC_TEXT("\xf0\x9f\x98\x80 and more of it"),
          "\xf0\x9f\x98\x80 and more of it" },
        { ASYNC_TEXT(slice), "abc" },
        { ASYNC_TEXT("\xc3"), "is not UTF-8" },
        { ASYNC_TEXT("1234567\xc3"), "is not UTF-8" },
        { ASYNC_TEXT("12345678\x80"), "is not UTF-8" },
        { async_value_(ASYNC_VALUE_TEXT, 0, 0, "a\0b", 3), "has a zero byte" },
        { async_value_(ASYNC_VALUE_TEXT, 0, 0, "\0" "2345678", 8),
          "has a zero byte" },
        { async_value_(ASYNC_VALUE_TEXT, 0, 0, "1234567\0", 8),
          "has a zero byte" },
        { ASYNC_TIME(0), "1970-01-01 00:00:00+00" },
        { ASYNC_TIME(-1), "1969-12-31 23:59:59.999+00" },
        { ASYNC_TIME(1795296600123), "2026-11-21 21:30:00.123+00" },
        { ASYNC_TIME(951782400000), "2000-02-29 00:00:00+00" },
        { ASYNC_TIME(-2203891200000), "1900-03-01 00:00:00+00" },
        { ASYNC_TIME(253402300799010), "9999-12-31 23:59:59.010+00" },
        { ASYNC_TIME(253402300800000), "10000-01-01 00:00:00+00" },
        { ASYNC_TIME(-62135596800000), "0001-01-01 00:00:00+00" },
        { ASYNC_TIME(-62135596800001), "0001-12-31 23:59:59.999+00 BC" },
        { ASYNC_TIME(FIRST), "4714-11-24 00:00:00+00 BC" },
        { ASYNC_TIME(FIRST - 1), "is a time out of PostgreSQL's range" },
        { ASYNC_TIME(END - 1), "294276-12-31 23:59:59.999+00" },
        { ASYNC_TIME(END), "is a time out of PostgreSQL's range" },
        { ASYNC_TIME(INT64_MIN), "is a time out of PostgreSQL's range" },
        { ASYNC_TIME(INT64_MAX), "is a time out of PostgreSQL's range" },
        { ASYNC_INTS(ints, 4),
          "{1,-2,-9223372036854775808,9223372036854775807}" },
        { ASYNC_INTS(ints, 0), "{}" },
        { ASYNC_INTS(NULL, 0), "-" },
        { ASYNC_FLOATS(floats, 5), "{1,-0.5,0.1,NaN,Infinity}" },
        { ASYNC_FLOATS(floats, 0), "{}" },
        { ASYNC_FLOATS(NULL, 3), "-" },
        { ASYNC_TEXTS(words, 6),
          "{\"a\",\"\",\"NULL\",NULL,\"\\\"\\\\{},'\",\"\xc3\xa9 \"}" },
        { ASYNC_TEXTS(words, 0), "{}" },
        { ASYNC_TEXTS(NULL, 1), "-" },
        { ASYNC_TEXTS(bad_words, 2), "item 2 of value 1 ($1) is not UTF-8" },
        { ASYNC_JSON(NULL), "-" },
        { unknown, "is of no known type" }
    };

    n = sizeof(cases) / sizeof(cases[0]);

    copy = strdup("SELECT $1");
    ngx_http_async_pg_statement(pool, copy, 0, &statement, &error);

    for (i = 0; i < n; i++) {
        error = "no error";
        rc = ngx_http_async_pg_params(pool, &statement, &cases[i].value, 1,
                                      &params, &error);

        if (rc == NGX_DECLINED) {
            got = strncmp(error, "value 1 ($1) ", 13) == 0 ? error + 13 : error;

        } else {
            got = params.values[0] ? params.values[0] : "-";
            rc = (params.n == 1 && params.sql == copy && params.types == NULL
                  && params.lengths == NULL && params.formats == NULL)
                 ? NGX_OK : NGX_ERROR;
        }

        ngx_stub_ok(rc != NGX_ERROR && strcmp(got, cases[i].expected) == 0,
                    "value %d is %s", (int) i, cases[i].expected);

        if (strcmp(got, cases[i].expected) != 0) {
            printf("# got %s\n", got);
        }
    }

    free(copy);
}


static void
test_binary(void)
{
    const char                     *error;
    ngx_http_async_pg_params_t      params;
    ngx_http_async_pg_statement_t   statement;

    async_value_t  some[] = { ASYNC_INT(1), ASYNC_BYTES("a\0b", 3),
                              ASYNC_BYTES(NULL, 0), ASYNC_BYTES("", 0) };

    ngx_http_async_pg_statement(pool, "$1 $2 $3 $4", 0, &statement, &error);

    ngx_stub_ok(ngx_http_async_pg_params(pool, &statement, some, 4, &params,
                                         &error)
                == NGX_OK
                && params.types[0] == 0 && params.types[1] == 17
                && params.types[2] == 17 && params.types[3] == 17,
                "bytes are bytea, null or not");

    ngx_stub_ok(params.formats[0] == 0 && params.formats[1] == 1
                && params.lengths[1] == 3 && params.values[1] == some[1].data
                && params.values[2] == NULL && params.values[3] != NULL
                && params.formats[3] == 1 && params.lengths[3] == 0,
                "bytes are binary, and where they were");

    some[2] = ASYNC_BYTES("a", NGX_HTTP_ASYNC_PG_MAX_SIZE - 3);

    ngx_stub_ok(strcmp(refused("$1 $2 $3 $4", some, 4),
                       "value 3 ($3) is too long: 1 GB is what all may have")
                == 0,
                "more than a message may have is refused");
}


static const char *
refused(const char *sql, const async_value_t *some, size_t n)
{
    ngx_int_t                       rc;
    const char                     *error;
    ngx_http_async_pg_params_t      params;
    ngx_http_async_pg_statement_t   statement;

    rc = ngx_http_async_pg_statement(pool, sql, n && some[0].name, &statement,
                                     &error);

    if (rc == NGX_OK) {
        rc = ngx_http_async_pg_params(pool, &statement, some, n, &params,
                                      &error);
    }

    return rc == NGX_DECLINED ? error : rc == NGX_OK ? "" : "no memory";
}


static void
test_numbers(void)
{
    ngx_uint_t  i;

    async_value_t  some[] = { ASYNC_INT(1), ASYNC_INT(2), ASYNC_INT(3) };

    static const struct {
        const char  *sql;
        size_t       n;
        const char  *expected;
    } cases[] = {
        { "SELECT 1", 0, "" },
        { "SELECT 1", 1, "the SQL takes no values, not 1" },
        { "SELECT $1", 0, "the SQL takes 1 value, not 0" },
        { "SELECT $1", 2, "the SQL takes 1 value, not 2" },
        { "SELECT $1, $2", 2, "" },
        { "SELECT $1, $2, $2", 3, "the SQL takes 2 values, not 3" },
        { "SELECT :a", 1, "the SQL takes no values, not 1" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ngx_stub_ok(strcmp(refused(cases[i].sql, some, cases[i].n),
                           cases[i].expected)
                    == 0,
                    "%d values for %s", (int) cases[i].n, cases[i].sql);
    }
}


static void
test_names(void)
{
    ngx_uint_t                      i;
    const char                     *error;
    ngx_http_async_pg_params_t      params;
    ngx_http_async_pg_statement_t   statement;

    static char  longest[3000];

    memset(longest, 'n', sizeof(longest) - 1);

    async_value_t  some[] = {
        ASYNC_NAMED("owner", ASYNC_INT(1)), ASYNC_NAMED("id", ASYNC_INT(2)),
        ASYNC_NAMED("owner", ASYNC_TEXT("\xff")), ASYNC_INT(3),
        ASYNC_NAMED("onwer", ASYNC_INT(4)), ASYNC_NAMED("", ASYNC_INT(5)),
        ASYNC_NAMED(longest, ASYNC_INT(6))
    };

    struct {
        const char     *sql;
        async_value_t   a, b;
        size_t          n;
        const char     *expected;
    } cases[] = {
        { ":owner :id", some[0], some[1], 2, "" },
        { ":id :owner", some[0], some[1], 2, "" },
        { ":owner", some[0], some[1], 2,
          "a value has the name \"id\", and the SQL has no \":id\"" },
        { ":owner", some[4], some[1], 1,
          "a value has the name \"onwer\", and the SQL has no \":onwer\", but "
          "\":owner\"" },
        { ":owner", some[5], some[1], 1,
          "a value has the name \"\", and the SQL has no \":\"" },
        { "SELECT 1", some[0], some[1], 1,
          "a value has the name \"owner\", and the SQL has no \":owner\"" },
        { ":owner :id", some[0], some[1], 1,
          "the SQL has \":id\", and no value has that name" },
        { ":owner", some[0], some[2], 2,
          "two values have the name \"owner\"" },
        { ":owner", some[2], some[1], 1, "value \":owner\" is not UTF-8" },
        { ":owner", some[0], some[3], 2,
          "value 2 has no name, and others have" },
        { "$1 $2", some[3], some[0], 2,
          "value 2 has a name, \"owner\", and others have none" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ngx_stub_ok(strcmp(refused(cases[i].sql, &cases[i].a, cases[i].n),
                           cases[i].expected)
                    == 0,
                    "names, %d: %s", (int) i, cases[i].expected);
    }

    ngx_stub_ok(strlen(refused(":a", &some[6], 1)) > 6000,
                "a name may be a long one");

    ngx_http_async_pg_statement(pool, ":id, :owner, :id", 1, &statement,
                                &error);

    ngx_stub_ok(ngx_http_async_pg_params(pool, &statement, some, 2, &params,
                                         &error)
                == NGX_OK
                && params.n == 2 && strcmp(params.sql, "$1, $2, $1") == 0
                && strcmp(params.values[0], "2") == 0
                && strcmp(params.values[1], "1") == 0,
                "values by name stand by number");
}


static void
test_json(void)
{
    json_t                         *deep;
    ngx_uint_t                      i;
    const char                     *error;
    async_value_t                   some[2];
    ngx_http_async_pg_params_t      params;
    ngx_http_async_pg_statement_t   statement;

    some[0] = ASYNC_JSON(json_pack("{s:[i,n,{}]}", "a", 1));
    some[1] = ASYNC_JSON(json_null());

    ngx_http_async_pg_statement(pool, "$1 $2", 0, &statement, &error);

    ngx_stub_ok(ngx_http_async_pg_params(pool, &statement, some, 2, &params,
                                         &error)
                == NGX_OK
                && strcmp(params.values[0], "{\"a\":[1,null,{}]}") == 0
                && strcmp(params.values[1], "null") == 0 && params.depth == 3,
                "JSON is its text");

    ngx_http_async_pg_forget(some, 2);

    for (i = 0, deep = json_array(); i < 1200; i++) {
        deep = json_pack("[o]", deep);
    }

    some[0] = ASYNC_JSON(deep);

    ngx_stub_ok(strcmp(refused("$1", some, 1),
                       "value 1 ($1) has no form as JSON: it is too deep, or "
                       "a circle")
                == 0,
                "JSON that is too deep is refused");

    ngx_http_async_pg_forget(some, 1);
}


static void
test_no_memory(void)
{
    ngx_int_t  n;

    for (n = 0; n < 20; n++) {
        ngx_stub_allocations = n;

        if (all() == NGX_OK) {
            break;
        }
    }

    ngx_stub_allocations = -1;

    ngx_stub_ok(n == 8, "each of %d allocations may fail", (int) n);
}


/* one by place, three by name, four for what is refused */

static ngx_int_t
all(void)
{
    ngx_int_t                       rc;
    const char                     *error;
    async_value_t                   some[2];
    ngx_http_async_pg_params_t      params;
    ngx_http_async_pg_statement_t   statement;

    some[0] = ASYNC_INT(1);
    some[1] = ASYNC_TIME(1);

    if (ngx_http_async_pg_statement(pool, "$1 $2", 0, &statement, &error)
        != NGX_OK
        || ngx_http_async_pg_params(pool, &statement, some, 2, &params, &error)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_async_pg_params(pool, &statement, some, 1, &params, &error);
    if (rc != NGX_DECLINED) {
        return NGX_ERROR;
    }

    rc = ngx_http_async_pg_statement(pool, "$0", 0, &statement, &error);
    if (rc != NGX_DECLINED) {
        return NGX_ERROR;
    }

    rc = ngx_http_async_pg_statement(pool, "$65 $1", 0, &statement, &error);
    if (rc != NGX_DECLINED) {
        return NGX_ERROR;
    }

    some[0].name = "a";

    if (ngx_http_async_pg_statement(pool, ":a", 1, &statement, &error)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_async_pg_params(pool, &statement, some, 1, &params, &error);
}


/* as many as the protocol has, and one more */

static void
test_many(void)
{
    char                           *sql, *p, (*names)[8];
    ngx_int_t                       rc;
    ngx_uint_t                      i, n;
    const char                     *error;
    async_value_t                  *some;
    ngx_http_async_pg_params_t      params;
    ngx_http_async_pg_statement_t   statement;

    n = NGX_HTTP_ASYNC_PG_MAX_VALUES;
    sql = malloc(n * 8);
    some = malloc(n * sizeof(async_value_t));

    for (i = 0, p = sql; i < n; i++) {
        p += sprintf(p, "$%d ", (int) (n - i));
        some[i] = ASYNC_INT(i);
    }

    rc = ngx_http_async_pg_statement(pool, sql, 0, &statement, &error);

    if (rc == NGX_OK) {
        rc = ngx_http_async_pg_params(pool, &statement, some, n, &params,
                                      &error);
    }

    ngx_stub_ok(rc == NGX_OK && params.n == (int) n
                && strcmp(params.values[n - 1], "65534") == 0,
                "65535 values by place");

    free(sql);

    n = 3000;
    names = malloc(n * sizeof(*names));
    sql = malloc(n * 8);

    for (i = 0, p = sql; i < n; i++) {
        p += sprintf(p, ":n%d ", (int) (n - i));
        sprintf(names[i], "n%d", (int) i + 1);
        some[i] = ASYNC_NAMED(names[i], ASYNC_INT(i));
    }

    rc = ngx_http_async_pg_statement(pool, sql, 1, &statement, &error);

    if (rc == NGX_OK) {
        rc = ngx_http_async_pg_params(pool, &statement, some, n, &params,
                                      &error);
    }

    ngx_stub_ok(rc == NGX_OK && params.n == (int) n
                && strcmp(params.values[0], "2999") == 0,
                "3000 values by name, in the other order");

    free(sql);
    free(some);
    free(names);
}


/*
 * What has been rewritten, with its names put back, is what it was; and by place
 * it takes as many values as it has names.
 */

static void
test_random_sql(void)
{
    char                            sql[256], back[512], *out;
    FILE                           *file;
    size_t                          len;
    ngx_int_t                       rc;
    ngx_uint_t                      i, j, bad, named;
    const char                     *p, *error;
    ngx_http_async_pg_statement_t   statement, again;

    static const char *const  atoms[] = {
        ":a", ":b", ":a1", "::", ":", "'", "'", "\"", "$$", "$a$", "$", "\\",
        "E'", "e", "--", "/*", "*/", "\n", " ", "[", "]", "a", "1", "_", "-",
        "\xc3\xa9", "=", "(", ")", ","
    };

    bad = 0;
    named = 0;

    for (i = 0; i < 100000; i++) {
        sql[0] = '\0';

        for (j = rand_r(&seed) % 16; j; j--) {
            strcat(sql, atoms[rand_r(&seed)
                              % (sizeof(atoms) / sizeof(atoms[0]))]);
        }

        out = strdup(sql);
        rc = ngx_http_async_pg_statement(pool, out, 1, &statement, &error);

        if (rc == NGX_DECLINED) {
            free(out);
            continue;
        }

        bad += (rc != NGX_OK);
        named += (statement.n != 0);

        rc = ngx_http_async_pg_statement(pool, statement.sql, 0, &again,
                                         &error);
        bad += (rc != NGX_OK || again.n != statement.n);

        /* walk through both: they differ at the placeholders only */

        file = fmemopen(back, sizeof(back), "w");

        for (p = statement.sql, len = 0; *p; ) {

            if (sql[len] == ':' && *p == '$') {
                j = strtol(p + 1, (char **) &p, 10) - 1;
                len += 1 + statement.names[j].len;
                fprintf(file, ":%.*s", (int) statement.names[j].len,
                        statement.names[j].data);
                continue;
            }

            fputc(*p++, file);
            len++;
        }

        fputc('\0', file);
        fclose(file);

        if (strcmp(back, sql) != 0) {
            printf("# %s: %s: %s\n", sql, statement.sql, back);
            bad++;
        }

        free(out);
        ngx_destroy_pool(pool);
        pool = ngx_create_pool(4096, NULL);
    }

    ngx_stub_ok(bad == 0 && named > 1000, "random SQL, %d with names, %d bad",
                (int) named, (int) bad);
}


/* no more is written than there is room for, which the sanitizer looks at */

static void
test_random_values(void)
{
    ngx_uint_t  i, bad;

    bad = 0;

    for (i = 0; i < 20000; i++) {
        bad += random_value((char [64]) { 0 }, 64);

        ngx_destroy_pool(pool);
        pool = ngx_create_pool(4096, NULL);
    }

    ngx_stub_ok(bad == 0, "random values");
}


static ngx_uint_t
random_value(char *buf, size_t size)
{
    size_t                          i, n;
    int64_t                         some_ints[8];
    double                          some_floats[8];
    ngx_int_t                       rc;
    const char                     *error, *texts[8];
    async_value_t                   value;
    ngx_http_async_pg_params_t      params;
    ngx_http_async_pg_statement_t   statement;

    n = rand_r(&seed) % 9;

    for (i = 0; i < size; i++) {
        buf[i] = "\"\\ab\0{}\xc3\xa9,"[rand_r(&seed) % 11];
    }

    buf[size - 1] = '\0';

    for (i = 0; i < 8; i++) {
        some_ints[i] = (int64_t) ((uint64_t) rand_r(&seed) << 33
                                  ^ (uint64_t) rand_r(&seed) << 11
                                  ^ (uint64_t) rand_r(&seed))
                       >> (rand_r(&seed) % 64);
        memcpy(&some_floats[i], &some_ints[i], sizeof(double));
        texts[i] = rand_r(&seed) % 4 ? &buf[rand_r(&seed) % size] : NULL;
    }

    async_value_t  kinds[] = {
        ASYNC_INT(some_ints[0]), ASYNC_FLOAT(some_floats[0]),
        ASYNC_TIME(some_ints[0]), ASYNC_INTS(some_ints, n),
        ASYNC_FLOATS(some_floats, n), ASYNC_TEXTS(texts, n),
        ASYNC_TEXT(texts[0]),
        async_value_(ASYNC_VALUE_TEXT, 0, 0, buf, rand_r(&seed) % size),
        ASYNC_BYTES(buf, n)
    };

    value = kinds[rand_r(&seed) % (sizeof(kinds) / sizeof(kinds[0]))];

    ngx_http_async_pg_statement(pool, "$1", 0, &statement, &error);
    rc = ngx_http_async_pg_params(pool, &statement, &value, 1, &params, &error);

    if (rc == NGX_DECLINED) {
        return strlen(error) < 20;
    }

    return rc != NGX_OK
           || (value.type == ASYNC_VALUE_TEXT && params.values[0]
               && strlen(params.values[0]) != value.len);
}


static int
filter(void)
{
    char       *line;
    size_t      size;
    ngx_str_t   sql;

    line = NULL;
    size = 0;

    while (getline(&line, &size, stdin) > 0) {
        sql = ngx_stub_unhex(line + 2);
        print((char *) sql.data, line[0] == 'n', stdout);
        putchar(0);
        free(sql.data);
    }

    free(line);

    return 0;
}


static int
repeat(ngx_uint_t n, ngx_uint_t kind)
{
    ngx_uint_t                      i;
    const char                     *error;
    ngx_http_async_pg_params_t      params;
    ngx_http_async_pg_statement_t   statement;

    async_value_t  some[] = { ASYNC_INT(123456), ASYNC_TEXT("a text of notes"),
                              ASYNC_BOOL(1) };
    async_value_t  named[] = { ASYNC_NAMED("id", some[0]),
                               ASYNC_NAMED("text", some[1]),
                               ASYNC_NAMED("done", some[2]) };

    static const char  by_three[] =
        "UPDATE notes SET text = $2, completed = $3 WHERE id = $1";
    static const char  by_three_names[] =
        "UPDATE notes SET text = :text, completed = :done WHERE id = :id";

    ngx_http_async_pg_statement(pool, kind == 1 ? by_three_names : by_three,
                                kind == 1, &statement, &error);

    for (i = 0; i < n; i++) {

        if (kind == 2) {
            ngx_http_async_pg_statement(pool, by_three, 0, &statement, &error);

        } else {
            ngx_http_async_pg_params(pool, &statement, kind ? named : some, 3,
                                     &params, &error);
        }
    }

    ngx_destroy_pool(pool);

    return 0;
}
