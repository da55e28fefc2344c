
/*
 * Values and placeholders with a PostgreSQL, that of TEST_PG_CONNINFO: what the
 * server makes of values in all the places that give them a type, or none; that
 * texts, bytes, times and numbers come back as they were; and that its lexer
 * finds as many placeholders as ours.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_stub.h"
#include <ngx_http_async_pg_params.h>
#include <math.h>


static ngx_pool_t  *pool;
static PGconn      *conn;
static unsigned     seed = 1;


const char *__lsan_default_suppressions(void);
static PGresult *run(const char *sql, const async_value_t *some, size_t n);
static const char *cell(const char *sql, const async_value_t *some, size_t n);
static void is(const char *sql, async_value_t value, const char *expected);
static void test_places(void);
static void test_times(void);
static void test_arrays(void);
static void test_bytes(void);
static void test_names(void);
static void test_ends(void);
static void test_random(void);
static void test_lexer(void);


int
main(void)
{
    const char  *conninfo;

    conninfo = getenv("TEST_PG_CONNINFO");

    if (conninfo == NULL || *conninfo == '\0') {
        printf("1..0 # SKIP no TEST_PG_CONNINFO\n");
        return 0;
    }

    conn = PQconnectdb(conninfo);

    if (PQstatus(conn) != CONNECTION_OK) {
        printf("# %s\nnot ok 1 - connected\n1..1\n", PQerrorMessage(conn));
        PQfinish(conn);
        return 1;
    }

    pool = ngx_create_pool(4096, NULL);

    /* what is told of times must not depend on it */

    PQclear(PQexec(conn, "SET TimeZone = 'Asia/Kolkata'"));
    PQclear(PQexec(conn, "SET client_min_messages = warning"));
    PQclear(PQexec(conn, "CREATE TEMPORARY TABLE t (i2 int2, i4 int4, i8 int8, "
                         "f8 float8, num numeric, b bool, t text, v varchar(9),"
                         " u uuid, j json, jb jsonb, by bytea, ts timestamp, "
                         "tz timestamptz, d date, ia int4[], ta text[], "
                         "fa float8[], ip inet)"));

    test_places();
    test_times();
    test_arrays();
    test_bytes();
    test_names();
    test_ends();
    test_random();
    test_lexer();

    ngx_destroy_pool(pool);
    PQfinish(conn);

    return ngx_stub_done();
}


/* libpq's libraries set a locale, of which libc forgets some when they do */

const char *
__lsan_default_suppressions(void)
{
    return "leak:__argz_add_sep";
}


/* as the await does: prepared, then executed */

static PGresult *
run(const char *sql, const async_value_t *some, size_t n)
{
    PGresult                       *result;
    ngx_int_t                       rc;
    const char                     *error;
    ngx_http_async_pg_params_t      params;
    ngx_http_async_pg_statement_t   statement;

    error = "no memory";
    rc = ngx_http_async_pg_statement(pool, sql, n && some[0].name, &statement,
                                     &error);

    if (rc == NGX_OK) {
        rc = ngx_http_async_pg_params(pool, &statement, some, n, &params,
                                      &error);
    }

    if (rc != NGX_OK) {
        printf("# %s: %s\n", sql, error);
        return NULL;
    }

    result = PQprepare(conn, "", params.sql, params.types ? params.n : 0,
                       params.types);

    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        return result;
    }

    PQclear(result);

    return PQexecPrepared(conn, "", params.n, params.values, params.lengths,
                          params.formats, 0);
}


/* the first value of the result, or the SQLSTATE */

static const char *
cell(const char *sql, const async_value_t *some, size_t n)
{
    PGresult     *result;
    static char   text[4096];

    result = run(sql, some, n);

    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        snprintf(text, sizeof(text), "%s",
                 PQntuples(result) == 0 ? "no row"
                 : PQgetisnull(result, 0, 0) ? "null"
                                             : PQgetvalue(result, 0, 0));

    } else if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        snprintf(text, sizeof(text), "done");

    } else {
        snprintf(text, sizeof(text), "%s",
                 PQresultErrorField(result, PG_DIAG_SQLSTATE));
    }

    PQclear(result);

    return text;
}


static void
is(const char *sql, async_value_t value, const char *expected)
{
    const char  *got;

    got = cell(sql, &value, 1);

    ngx_stub_ok(strcmp(got, expected) == 0, "%s: %s", sql, expected);

    if (strcmp(got, expected) != 0) {
        printf("# got %s; %s\n", got, PQerrorMessage(conn));
    }
}


static void
test_places(void)
{
    async_value_t  five, half, yes, text, json, number;

    five = ASYNC_INT(5);
    half = ASYNC_FLOAT(1.5);
    yes = ASYNC_BOOL(1);
    text = ASYNC_TEXT("5");
    json = ASYNC_JSON(json_pack("{s:[i,n]}", "a", 1));
    number = ASYNC_JSON(json_integer(5));

    /* no place: text, as for a literal */

    is("SELECT pg_typeof($1)::text", ASYNC_NULL, "42P18");
    is("SELECT $1", five, "5");
    is("SELECT $1", yes, "true");
    is("SELECT $1", ASYNC_NULL, "null");
    is("SELECT $1::int8", five, "5");
    is("SELECT pg_typeof($1::int8)::text", five, "bigint");
    is("SELECT jsonb_build_object('a', $1)", five, "42P18");
    is("SELECT jsonb_build_object('a', $1::int8)", five, "{\"a\": 5}");
    is("SELECT jsonb_build_object('a', $1::text)", text, "{\"a\": \"5\"}");
    is("SELECT to_jsonb($1)", five, "42804");
    is("SELECT format('%s', $1)", five, "42P18");
    is("SELECT concat('a', $1)", five, "42P18");
    is("SELECT coalesce($1, 1) + 1", five, "6");
    is("SELECT coalesce($1, 1) + 1", ASYNC_NULL, "2");
    is("SELECT $1 IS NULL", ASYNC_NULL, "42P18");
    is("SELECT $1 IS NULL OR 5 = $1", five, "42P08");
    is("SELECT $1::int IS NULL OR 5 = $1", five, "t");
    is("SELECT 5 = $1 OR $1 IS NULL", five, "t");
    is("SELECT 5 = $1 OR $1 IS NULL", ASYNC_NULL, "t");
    is("SELECT ARRAY[$1, 1]", five, "{5,1}");

    /* operators: the type of the other side */

    is("SELECT $1 + 1", five, "6");
    is("SELECT $1 + 1", half, "22P02");
    is("SELECT $1::float8 + 1", half, "2.5");
    is("SELECT $1 + 1.0", half, "2.5");
    is("SELECT $1 + 1", ASYNC_INT(3000000000), "22003");
    is("SELECT $1::int8 + 1", ASYNC_INT(3000000000), "3000000001");
    is("SELECT $1 + $1", five, "42725");
    is("SELECT interval '1 day' * $1", five, "5 days");
    is("SELECT date '2026-01-01' + $1", five, "42725");
    is("SELECT date '2026-01-01' + $1::int", five, "2026-01-06");
    is("SELECT '{\"5\": 1}'::jsonb -> $1", five, "1");
    is("SELECT '[1,2]'::jsonb -> $1::int", ASYNC_INT(1), "2");
    is("SELECT '{\"a\": [1, null]}'::jsonb @> $1", json, "t");
    is("SELECT jsonb '{}' || $1", json, "{\"a\": [1, null]}");
    is("SELECT jsonb_set('{\"b\":1}', '{b}', $1)", number, "{\"b\": 5}");
    is("SELECT 'abc' LIKE $1", ASYNC_TEXT("a%"), "t");
    is("SELECT 'a' || $1", text, "a5");

    /* arguments of functions */

    is("SELECT left('abcdefgh', $1)", five, "abcde");
    is("SELECT round($1, 1)", ASYNC_FLOAT(1.25), "1.3");
    is("SELECT repeat('a', $1)", five, "aaaaa");
    is("SELECT count(*) FROM generate_series(1, $1)", five, "5");
    is("SELECT make_interval(days => $1)", five, "5 days");
    is("SELECT length($1)", ASYNC_TEXT("\xc3\xa9"), "1");

    /* clauses */

    is("SELECT 1 LIMIT $1", five, "1");
    is("SELECT 1 OFFSET $1", five, "no row");
    is("SELECT count(*) WHERE $1", yes, "1");
    is("SELECT 1 WHERE 5 IN ($1, 7)", five, "1");
    is("SELECT 1 WHERE 5 BETWEEN $1 AND 7", five, "1");

    /* columns; null with the same text, as a prepared statement would see it */

    is("INSERT INTO t (i2) VALUES ($1)", five, "done");
    is("INSERT INTO t (i4) VALUES ($1)", five, "done");
    is("INSERT INTO t (i4) VALUES ($1)", ASYNC_NULL, "done");
    is("INSERT INTO t (i4) VALUES ($1)", ASYNC_FLOAT(7), "done");
    is("INSERT INTO t (i4) VALUES ($1)", half, "22P02");
    is("INSERT INTO t (i4) VALUES ($1)", ASYNC_INT(3000000000), "22003");
    is("INSERT INTO t (i8) VALUES ($1)", ASYNC_INT(INT64_MIN), "done");
    is("SELECT i8 FROM t WHERE i8 = $1", ASYNC_INT(INT64_MIN),
       "-9223372036854775808");
    is("SELECT i4 FROM t WHERE i4 = $1", five, "5");
    is("SELECT i4 FROM t WHERE i4 = $1", text, "5");
    is("SELECT i2 FROM t WHERE i2 = $1", five, "5");
    is("UPDATE t SET num = $1", five, "done");
    is("UPDATE t SET num = $1", ASYNC_FLOAT(0.1), "done");
    is("SELECT num FROM t WHERE num = $1", ASYNC_FLOAT(0.1), "0.1");
    is("SELECT num FROM t WHERE num = $1", ASYNC_TEXT("0.1"), "0.1");
    is("UPDATE t SET f8 = $1", ASYNC_FLOAT(0.1), "done");
    is("SELECT f8 FROM t WHERE f8 = $1", ASYNC_FLOAT(0.1), "0.1");
    is("UPDATE t SET t = $1", five, "done");
    is("UPDATE t SET v = $1", ASYNC_TEXT("0123456789"), "22001");
    is("UPDATE t SET b = $1", yes, "done");
    is("SELECT count(*) > 0 FROM t WHERE b = $1", yes, "t");
    is("UPDATE t SET j = $1", json, "done");
    is("SELECT j FROM t LIMIT $1", ASYNC_INT(1), "{\"a\":[1,null]}");
    is("UPDATE t SET jb = $1", json, "done");
    is("UPDATE t SET jb = $1", five, "done");
    is("UPDATE t SET jb = $1", yes, "done");
    is("UPDATE t SET u = $1",
       ASYNC_TEXT("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), "done");
    is("UPDATE t SET ip = $1", ASYNC_TEXT("::1"), "done");

    ngx_http_async_pg_forget(&json, 1);
    ngx_http_async_pg_forget(&number, 1);
}


static void
test_times(void)
{
    size_t         i;
    int64_t        ms;
    ngx_uint_t     bad;
    char           text[32];
    async_value_t  value;

    static const int64_t  ends[] = {
        -210866803200000LL, 9224318016000000LL - 1, 0, -1, 999, 1000,
        951782400000LL, -62135596800000LL, -62135596800001LL,
        253402300800000LL, 253402300799999LL
    };

    static const char  sql[] =
        "SELECT (extract(epoch from $1::timestamptz) * 1000)::int8";

    value = ASYNC_TIME(1795296600123);

    is("UPDATE t SET tz = $1, ts = $1", value, "42P08");
    is("UPDATE t SET tz = $1", value, "done");
    is("UPDATE t SET ts = $1", value, "done");
    is("UPDATE t SET d = $1", value, "done");
    is("SELECT tz FROM t WHERE tz = $1", value,
       "2026-11-22 03:00:00.123+05:30");
    is("SELECT ts FROM t WHERE ts = $1", value, "2026-11-21 21:30:00.123");
    is("SELECT d FROM t WHERE d = $1", value, "2026-11-21");
    is("SELECT now() > $1", ASYNC_TIME(0), "t");
    is("SELECT now() - $1 > interval '1 day'", ASYNC_TIME(0), "t");
    is("SELECT date_trunc('day', $1)", value, "42725");
    is("SELECT to_timestamp($1)", ASYNC_FLOAT(0.5),
       "1970-01-01 05:30:00.5+05:30");

    bad = 0;

    for (i = 0; i < 3000; i++) {

        if (i < sizeof(ends) / sizeof(ends[0])) {
            ms = ends[i];

        } else {
            ms = ((int64_t) rand_r(&seed) << 31) + rand_r(&seed);
            ms = ends[0] + ms % (ends[1] - ends[0]);

            if (i % 2) {
                ms %= 300000000000000LL;
            }
        }

        value = ASYNC_TIME(ms);
        sprintf(text, "%lld", (long long) ms);

        if (strcmp(cell(sql, &value, 1), text) != 0) {
            printf("# %s: %s\n", text, cell(sql, &value, 1));
            bad++;
        }
    }

    ngx_stub_ok(bad == 0, "times are what they were");
}


static void
test_arrays(void)
{
    static const int64_t      ints[] = { 5, -7, INT64_MAX };
    static const double       floats[] = { 0.1, NAN, -INFINITY, 1e300 };
    static const char *const  texts[] = { "a", "", "NULL", NULL, "\"\\{},' " };

    is("SELECT 1 WHERE 5 = ANY($1)", ASYNC_INTS(ints, 2), "1");
    is("SELECT i4 FROM t WHERE i4 = ANY($1)", ASYNC_INTS(ints, 2), "5");
    is("SELECT i4 FROM t WHERE i4 = ANY($1)", ASYNC_INTS(ints, 0), "no row");
    is("SELECT i4 FROM t WHERE i4 <> ALL($1)", ASYNC_INTS(ints, 1), "7");
    is("SELECT i4 FROM t WHERE i4 = ANY($1)", ASYNC_INTS(ints, 3), "22003");
    is("SELECT i4 FROM t WHERE i4 = ANY($1::int8[])", ASYNC_INTS(ints, 3),
       "5");
    is("SELECT 1 WHERE 'a' = ANY($1)", ASYNC_TEXTS(texts, 1), "1");
    is("SELECT $1::int8[]", ASYNC_INTS(ints, 3),
       "{5,-7,9223372036854775807}");
    is("SELECT $1::float8[]", ASYNC_FLOATS(floats, 4),
       "{0.1,NaN,-Infinity,1e+300}");
    is("SELECT $1::text[]", ASYNC_TEXTS(texts, 5),
       "{a,\"\",\"NULL\",NULL,\"\\\"\\\\{},' \"}");
    is("SELECT array_length($1::text[], 1)", ASYNC_TEXTS(texts, 5), "5");
    is("SELECT $1::text[]", ASYNC_TEXTS(NULL, 5), "null");
    is("SELECT unnest($1)", ASYNC_INTS(ints, 1), "42725");
    is("SELECT count(*) FROM unnest($1::int8[])", ASYNC_INTS(ints, 3), "3");
    is("UPDATE t SET ia = $1", ASYNC_INTS(ints, 2), "done");
    is("UPDATE t SET ta = $1", ASYNC_TEXTS(texts, 5), "done");
    is("UPDATE t SET fa = $1", ASYNC_FLOATS(floats, 4), "done");
    is("SELECT ia FROM t WHERE ia @> $1", ASYNC_INTS(ints, 2), "{5,-7}");
}


static void
test_bytes(void)
{
    async_value_t  value;

    value = ASYNC_BYTES("\0\xff'\\", 4);

    is("SELECT $1", value, "\\x00ff275c");
    is("SELECT length($1)", value, "4");
    is("SELECT $1", ASYNC_BYTES("", 0), "\\x");
    is("SELECT $1", ASYNC_BYTES(NULL, 0), "null");
    is("UPDATE t SET by = $1", value, "done");
    is("UPDATE t SET by = $1", ASYNC_NULL, "done");
    is("UPDATE t SET by = $1", value, "done");
    is("SELECT by FROM t WHERE by = $1", value, "\\x00ff275c");
    is("UPDATE t SET t = $1", value, "done");
    is("SELECT t FROM t WHERE t = $1", ASYNC_TEXT("\\x00ff275c"),
       "\\x00ff275c");
    is("UPDATE t SET i4 = $1", value, "42804");
}


static void
test_names(void)
{
    async_value_t  some[] = { ASYNC_NAMED("n", ASYNC_INT(2)),
                              ASYNC_NAMED("a", ASYNC_TEXT("x")),
                              ASYNC_NAMED("by", ASYNC_BYTES("y", 1)) };

    ngx_stub_ok(strcmp(cell("SELECT (ARRAY['x', :a::text])[:n] || :n::int8 "
                            "|| encode(:by, 'hex') || (ARRAY[1,2])[1: :n]::text"
                            " || ':n' -- :b\n", some, 3),
                       "x279{1,2}:n")
                == 0,
                "by name: %s", cell("SELECT (ARRAY['x', :a::text])[:n] || "
                                    ":n::int8 || encode(:by, 'hex') || "
                                    "(ARRAY[1,2])[1: :n]::text || ':n'", some,
                                    3));
}


/* floats that are numbers of some types */

static void
test_ends(void)
{
    is("SELECT $1::numeric", ASYNC_FLOAT(NAN), "NaN");
    is("SELECT $1::numeric", ASYNC_FLOAT(-INFINITY), "-Infinity");
    is("SELECT $1::float8", ASYNC_FLOAT(NAN), "NaN");
    is("SELECT $1::float8", ASYNC_FLOAT(INFINITY), "Infinity");
    is("SELECT $1::float8", ASYNC_FLOAT(-0.0), "-0");
    is("SELECT $1::float8", ASYNC_FLOAT(4.9406564584124654e-324), "5e-324");
    is("SELECT $1::int4", ASYNC_FLOAT(3), "3");
    is("SELECT $1::int4", ASYNC_FLOAT(-0.0), "0");
}


/* texts, arrays of texts and floats come back as they were */

static void
test_random(void)
{
    char           text[64], *p;
    double         x;
    size_t         i, j;
    uint64_t       bits;
    ngx_uint_t     bad;
    const char    *texts[2];
    async_value_t  some[4];
    PGresult      *result;

    static const char *const  atoms[] = { "a", "\"", "\\", "{", "}", ",", "'",
                                          " ", "\n", "\xc3\xa9", "NULL", "\t",
                                          "\xf0\x9f\x98\x80", "\x01" };

    bad = 0;

    for (i = 0; i < 1000; i++) {

        for (p = text, *p = '\0', j = rand_r(&seed) % 12; j; j--) {
            p = stpcpy(p, atoms[rand_r(&seed)
                                % (sizeof(atoms) / sizeof(atoms[0]))]);
        }

        bits = ((uint64_t) rand_r(&seed) << 33)
               ^ ((uint64_t) rand_r(&seed) << 11) ^ rand_r(&seed);
        memcpy(&x, &bits, sizeof(double));

        if (isnan(x)) {
            continue;
        }

        texts[0] = "b";
        texts[1] = text;
        some[0] = ASYNC_TEXT(text);
        some[1] = ASYNC_TEXTS(texts, 2);
        some[2] = ASYNC_FLOAT(x);
        some[3] = ASYNC_FLOATS(&x, 1);

        result = run("SELECT $1, ($2::text[])[2], $3::float8, "
                     "($4::float8[])[1]", some, 4);

        bad += (PQresultStatus(result) != PGRES_TUPLES_OK
                || strcmp(PQgetvalue(result, 0, 0), text) != 0
                || strcmp(PQgetvalue(result, 0, 1), text) != 0
                || strtod(PQgetvalue(result, 0, 2), NULL) != x
                || strtod(PQgetvalue(result, 0, 3), NULL) != x);

        PQclear(result);
    }

    ngx_stub_ok(bad == 0, "random texts and floats are what they were");
}


/* lists of expressions that have "$n" in some way, or only seem to */

static void
test_lexer(void)
{
    char                            sql[1024], *p;
    size_t                          i, j;
    PGresult                       *result;
    ngx_uint_t                      bad;
    const char                     *error;
    ngx_http_async_pg_statement_t   statement;

    static const char *const  items[] = {
        "$%d::text", "$%d::text", "($%d)::int", "1+$%d::int", "'$%d'",
        "E'\\'$%d'", "E'\\\\'", "'\\'", "e'''$%d'", "$a$ $%d $b$ $$ $a$", "$$ ' $%d $$",
        "/* $%d /* '$%d */ */ 1", "1 -- ' $%d\n", "1 AS \"x\"\"$%d\"",
        "1 AS a$%d", "E'a'\n'\\'$%d'", "E'a' -- '\n '\\'$%d'", "'a'\n'\\'",
        "U&'\\0061$%d'", "B'1'", "N'$%d'", "1 AS \xc3\xa9$%d", "1 AS _$a$%d$a$",
        "(ARRAY[$%d::text])[1:2]", "+/* $%d */-$%d::int", "1--$%d\n",
        "1 AS e", "'''' AS \"'$%d\"", "$\xc3\xa9$$%d$\xc3\xa9$"
    };

    bad = 0;

    for (i = 0; i < 5000; i++) {
        p = sql + sprintf(sql, "SELECT $1::text, $2::text");

        for (j = rand_r(&seed) % 8; j; j--) {
            p = stpcpy(p, rand_r(&seed) % 2 ? "," : " , ");
            p += snprintf(p, 64, items[rand_r(&seed)
                                       % (sizeof(items) / sizeof(items[0]))],
                          3, 4);
        }

        result = PQprepare(conn, "", sql, 0, NULL);

        if (PQresultStatus(result) == PGRES_COMMAND_OK) {
            PQclear(result);
            result = PQdescribePrepared(conn, "");

            if (ngx_http_async_pg_statement(pool, sql, 0, &statement, &error)
                != NGX_OK
                || (int) statement.n != PQnparams(result))
            {
                printf("# %s: %d\n", sql, PQnparams(result));
                bad++;
            }

        } else if (strcmp(PQresultErrorField(result, PG_DIAG_SQLSTATE),
                          "42P18") == 0)
        {
            /* it has no type for $3 if there is only $4 */

            bad += (ngx_http_async_pg_statement(pool, sql, 0, &statement,
                                                &error)
                    != NGX_DECLINED);

        } else {
            printf("# %s: %s", sql, PQerrorMessage(conn));
            bad += 1;
        }

        PQclear(result);
    }

    ngx_stub_ok(bad == 0, "the server's lexer finds as many, %d", (int) bad);
}
