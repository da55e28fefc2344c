
/*
 * Results of PostgreSQL: rows as JSON, cells as C values, and what is said of
 * wrong ones.  Called with "server CONNINFO", a filter for pg_rows.py: lines of
 * SQL in, text and tree in hexadecimal out; with "time CONNINFO", it says what
 * rows cost.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <math.h>
#include "ngx_stub.h"
#include <ngx_http_async_pg_write.h>


static ngx_pool_t  *pool;


static ngx_str_t
encoded(json_t *value, const char *why)
{
    ngx_str_t    out;
    ngx_uint_t   depth;
    const char  *error;

    if (value == NULL) {
        out.data = ngx_palloc(pool, strlen(why));
        out.len = strlen(why);
        memcpy(out.data, why, out.len);

        return out;
    }

    if (ngx_http_async_json_encode(pool, value, &out, &depth, &error)
        != NGX_OK)
    {
        abort();
    }

    json_decref(value);

    return out;
}


/* a result as libpq would have it; names and types in pairs, NULL ends */

static PGresult *
result_of(int columns, const char **names, const Oid *oids)
{
    int            i;
    PGresult      *result;
    PGresAttDesc   attrs[64];

    result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

    memset(attrs, 0, sizeof(attrs));

    for (i = 0; i < columns; i++) {
        attrs[i].name = (char *) names[i];
        attrs[i].typid = oids[i];
        attrs[i].typlen = -1;
        attrs[i].atttypmod = -1;
    }

    if (columns && !PQsetResultAttrs(result, columns, attrs)) {
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


static void
rows_are(PGresult *result, size_t row, const char *expected, const char *what)
{
    u_char     error[NGX_HTTP_ASYNC_PG_ERROR_LEN];
    ngx_str_t  text, tree;

    if (ngx_http_async_pg_rows(pool, result, row, &text) != NGX_OK) {
        ngx_str_null(&text);
    }

    strcpy((char *) error, "?");
    tree = encoded(ngx_http_async_pg_rows_tree(pool, result, row, error),
                   (char *) error);

    ngx_stub_ok(ngx_stub_is(&text, expected), "%s", what);

    if (!ngx_stub_is(&text, expected)) {
        printf("# %.*s\n", (int) text.len, text.data);
    }

    ngx_stub_ok(ngx_stub_is(&tree, expected), "%s, as a tree", what);

    if (!ngx_stub_is(&tree, expected)) {
        printf("# %.*s\n", (int) tree.len, tree.data);
    }
}


static void
test_rows(void)
{
    int          i;
    u_char       error[NGX_HTTP_ASYNC_PG_ERROR_LEN];
    PGresult    *result;
    const char  *names[] = { "id", "text", "done", "a\"b" };
    const Oid    oids[] = { 23, 25, 16, 1007 };
    const char  *twice[] = { "a", "b", "a" };
    const Oid    types[] = { 23, 25, 114 };
    const char  *many[40];
    char         text[40][8];
    Oid          ints[40];

    result = result_of(4, names, oids);

    rows_are(result, NGX_HTTP_ASYNC_PG_ALL, "[]", "no rows");
    rows_are(result, 0, "null", "no first row");

    set(result, 0, 0, "1");
    set(result, 0, 1, "a");
    set(result, 0, 2, "t");
    set(result, 0, 3, "{1,2}");
    set(result, 1, 0, "2");
    set(result, 1, 1, "");
    set(result, 1, 2, NULL);
    set(result, 1, 3, NULL);

#define ROW1  "{\"id\":1,\"text\":\"a\",\"done\":true,\"a\\\"b\":[1,2]}"
#define ROW2  "{\"id\":2,\"text\":\"\",\"done\":null,\"a\\\"b\":null}"

    rows_are(result, NGX_HTTP_ASYNC_PG_ALL, "[" ROW1 "," ROW2 "]", "two rows");
    rows_are(result, 0, ROW1, "the first row");
    rows_are(result, 1, ROW2, "the second row");
    rows_are(result, 2, "null", "no third row");
    rows_are(result, NGX_HTTP_ASYNC_PG_ALL - 1, "null", "no last row");
    PQclear(result);

    result = result_of(3, twice, types);
    set(result, 0, 0, "1");
    set(result, 0, 1, "x");
    set(result, 0, 2, "[]");
    rows_are(result, NGX_HTTP_ASYNC_PG_ALL, "[{\"a\":[],\"b\":\"x\"}]",
             "of a name twice the last one counts");
    set(result, 0, 2, "{\"a\":1,\"a\":2}");
    ngx_stub_ok(ngx_http_async_pg_rows_tree(pool, result, 0, error) == NULL
                && strcmp((char *) error, "\"a\" of row 0: Duplicate key")
                   == 0, "no tree: %s", error);
    PQclear(result);

    for (i = 0; i < 40; i++) {
        sprintf(text[i], "c%d", i % 39);
        many[i] = text[i];
        ints[i] = 23;
    }

    result = result_of(40, many, ints);

    for (i = 0; i < 40; i++) {
        set(result, 0, i, text[i] + 1);
    }

    set(result, 0, 39, "7");
    rows_are(result, 0, "{\"c0\":7,\"c1\":1,\"c2\":2,\"c3\":3,\"c4\":4,"
             "\"c5\":5,\"c6\":6,\"c7\":7,\"c8\":8,\"c9\":9,\"c10\":10,"
             "\"c11\":11,\"c12\":12,\"c13\":13,\"c14\":14,\"c15\":15,"
             "\"c16\":16,\"c17\":17,\"c18\":18,\"c19\":19,\"c20\":20,"
             "\"c21\":21,\"c22\":22,\"c23\":23,\"c24\":24,\"c25\":25,"
             "\"c26\":26,\"c27\":27,\"c28\":28,\"c29\":29,\"c30\":30,"
             "\"c31\":31,\"c32\":32,\"c33\":33,\"c34\":34,\"c35\":35,"
             "\"c36\":36,\"c37\":37,\"c38\":38}", "forty columns");
    PQclear(result);

    result = PQmakeEmptyPGresult(NULL, PGRES_COMMAND_OK);
    rows_are(result, NGX_HTTP_ASYNC_PG_ALL, "[]", "a command");
    PQclear(result);
}


static ngx_http_async_pg_cell_t  cell;


static void
says(ngx_int_t rc, const char *error)
{
    ngx_uint_t  same;

    same = rc == NGX_DECLINED && strcmp((char *) cell.error, error) == 0;

    ngx_stub_ok(same, "%s", error);

    if (!same) {
        printf("# %d: %s\n", (int) rc, cell.error);
    }
}


static void
at(PGresult *result, size_t row, const char *column)
{
    cell.call = "f";
    cell.result = result;
    cell.row = row;
    cell.column = column;
    memset(cell.error, 0, sizeof(cell.error));
}


static const char *cell_names[] = { "id", "total", "done", "text", "at", "data",
                                    "body", "f", "ints", "id" };
static const Oid   cell_oids[] = { 25, 1700, 16, 25, 1184, 17, 3802, 701, 1007,
                                   20 };


static PGresult *
cells(void)
{
    int          i;
    PGresult    *result;

    static const char  *first[] = {
        "x", "1.50", "t", "a", "1970-01-01 00:00:01+00", "\\x00ff",
        "{\"a\": 1}", "0.5", "{1}", "-9223372036854775808"
    };

    static const char  *second[] = {
        "x", "NaN", "f", "", "infinity", "\\x0", "[1,", "-Infinity", "{}", "1_"
    };

    result = result_of(10, cell_names, cell_oids);

    for (i = 0; i < 10; i++) {
        set(result, 0, i, first[i]);
        set(result, 1, i, second[i]);
        set(result, 2, i, NULL);
    }

    set(result, 3, 1, "-Infinity");
    set(result, 3, 7, "1e400");

    return result;
}


static void
test_cells(void)
{
    int        flag;
    double     x;
    int64_t    n;
    json_t    *json;
    PGresult  *result;
    ngx_str_t  bytes;

    result = cells();

    at(result, 0, "id");
    ngx_stub_ok(ngx_http_async_pg_cell_int(&cell, &n) == NGX_OK
                && n == INT64_MIN, "an integer, of the last \"id\"");
    at(result, 0, "id");
    ngx_stub_ok(ngx_http_async_pg_cell_float(&cell, &x) == NGX_OK
                && x == -9223372036854775808.0, "an integer as a float");
    at(result, 0, "total");
    ngx_stub_ok(ngx_http_async_pg_cell_float(&cell, &x) == NGX_OK && x == 1.5,
                "a numeric as a float");
    at(result, 1, "total");
    ngx_stub_ok(ngx_http_async_pg_cell_float(&cell, &x) == NGX_OK && isnan(x),
                "NaN");
    at(result, 1, "f");
    ngx_stub_ok(ngx_http_async_pg_cell_float(&cell, &x) == NGX_OK
                && x == -INFINITY, "-Infinity");
    at(result, 0, "done");
    ngx_stub_ok(ngx_http_async_pg_cell_bool(&cell, &flag) == NGX_OK
                && flag == 1, "true");
    at(result, 1, "done");
    ngx_stub_ok(ngx_http_async_pg_cell_bool(&cell, &flag) == NGX_OK
                && flag == 0, "false");
    at(result, 0, "at");
    ngx_stub_ok(ngx_http_async_pg_cell_time(&cell, &n) == NGX_OK && n == 1000,
                "a time");
    at(result, 0, "data");
    ngx_stub_ok(ngx_http_async_pg_cell_bytes(&cell, pool, &bytes) == NGX_OK
                && bytes.len == 2
                && memcmp(bytes.data, "\x00\xff", 3) == 0, "bytes");
    at(result, 0, "body");
    ngx_stub_ok(ngx_http_async_pg_cell_json(&cell, &json) == NGX_OK
                && json_integer_value(json_object_get(json, "a")) == 1,
                "JSON");
    json_decref(json);
    at(result, 1, "text");
    ngx_stub_ok(ngx_http_async_pg_cell(&cell, 0, NULL) == NGX_OK
                && cell.text.len == 0 && cell.text.data, "text of no length");

    PQclear(result);
}


static void
test_wrong_cells(void)
{
    int         flag;
    double      x;
    char        word[400];
    int64_t     n;
    json_t     *json;
    PGresult   *result;
    ngx_str_t   bytes;

    result = cells();
    n = 7;

    at(result, 4, "id");
    says(ngx_http_async_pg_cell_int(&cell, &n), "f(): there is no row 4 of 4");
    ngx_stub_ok(n == 0, "then the value is zero");
    at(result, (size_t) -1, "id");
    says(ngx_http_async_pg_cell_int(&cell, &n),
         "f(): there is no row 18446744073709551615 of 4");
    at(result, 0, "totla");
    says(ngx_http_async_pg_cell_int(&cell, &n), "f(): there is no column "
         "\"totla\", did you mean \"total\"?");
    at(result, 0, "Id");
    says(ngx_http_async_pg_cell_int(&cell, &n),
         "f(): there is no column \"Id\", did you mean \"id\"?");
    at(result, 0, "owner");
    says(ngx_http_async_pg_cell_int(&cell, &n),
         "f(): there is no column \"owner\"");
    at(result, 2, "id");
    says(ngx_http_async_pg_cell_int(&cell, &n), "f(): \"id\" of row 2 is null");
    at(result, 0, "total");
    says(ngx_http_async_pg_cell_int(&cell, &n),
         "f(): \"total\" of row 0 is numeric, not an integer");
    at(result, 0, "ints");
    says(ngx_http_async_pg_cell_int(&cell, &n),
         "f(): \"ints\" of row 0 is integer[], not an integer");
    at(result, 1, "id");
    says(ngx_http_async_pg_cell_int(&cell, &n),
         "f(): \"id\" of row 1 is malformed, not an integer");
    at(result, 0, "text");
    says(ngx_http_async_pg_cell_float(&cell, &x),
         "f(): \"text\" of row 0 is text, not a number");
    at(result, 3, "f");
    says(ngx_http_async_pg_cell_float(&cell, &x),
         "f(): \"f\" of row 3 is beyond double");
    at(result, 0, "id");
    says(ngx_http_async_pg_cell_bool(&cell, &flag),
         "f(): \"id\" of row 0 is bigint, not boolean");
    at(result, 0, "text");
    says(ngx_http_async_pg_cell_time(&cell, &n),
         "f(): \"text\" of row 0 is text, not a timestamp or date");
    at(result, 1, "at");
    says(ngx_http_async_pg_cell_time(&cell, &n),
         "f(): \"at\" of row 1 is infinity, not a time by DateStyle ISO");
    at(result, 1, "data");
    says(ngx_http_async_pg_cell_bytes(&cell, pool, &bytes),
         "f(): \"data\" of row 1 is malformed, not bytea");
    at(result, 1, "body");
    says(ngx_http_async_pg_cell_json(&cell, &json), "f(): the JSON of \"body\" "
         "of row 1: Expecting value at character 3");
    at(result, 0, "text");
    says(ngx_http_async_pg_cell_json(&cell, &json),
         "f(): \"text\" of row 0 is text, not json or jsonb");
    at(NULL, 0, "text");
    says(ngx_http_async_pg_cell_json(&cell, &json), "f(): there is no result");
    at(result, 0, NULL);
    says(ngx_http_async_pg_cell_json(&cell, &json), "f(): the column is NULL");

    memset(word, 'x', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    at(result, 0, word);
    ngx_stub_ok(ngx_http_async_pg_cell_int(&cell, &n) == NGX_DECLINED
                && strlen((char *) cell.error) == sizeof(cell.error) - 1,
                "a long name is cut");

    PQclear(result);
}


static void
test_no_memory(void)
{
    u_char      error[NGX_HTTP_ASYNC_PG_ERROR_LEN];
    json_t     *tree;
    PGresult   *result;
    ngx_int_t   n, rc;
    ngx_str_t   text;

    const char  *names[] = { "a" };
    const Oid    oids[] = { 1009 };

    result = result_of(1, names, oids);
    set(result, 0, 0, "{\"a\\\"b\"}");

    for (n = 0, rc = NGX_ERROR; rc != NGX_OK && n < 10; n++) {
        ngx_stub_allocations = n;
        rc = ngx_http_async_pg_rows(pool, result, 0, &text);
        ngx_stub_allocations = -1;
    }

    ngx_stub_ok(n > 1 && ngx_stub_is(&text, "{\"a\":[\"a\\\"b\"]}"),
                "without memory there is no text");

    ngx_stub_allocations = 0;
    tree = ngx_http_async_pg_rows_tree(pool, result, 0, error);
    ngx_stub_allocations = -1;

    ngx_stub_ok(tree == NULL
                && strcmp((char *) error, "\"a\" of row 0: no memory") == 0,
                "without memory there is no tree");

    PQclear(result);
}


static PGconn *
server(const char *conninfo)
{
    PGconn  *conn;

    conn = PQconnectdb(conninfo);

    if (PQstatus(conn) != CONNECTION_OK) {
        fprintf(stderr, "%s", PQerrorMessage(conn));
        exit(2);
    }

    return conn;
}


static void
queries(const char *conninfo)
{
    char       line[65536];
    u_char     error[NGX_HTTP_ASYNC_PG_ERROR_LEN];
    PGconn    *conn;
    PGresult  *result;
    ngx_str_t  out;

    conn = server(conninfo);

    while (fgets(line, sizeof(line), stdin)) {
        result = PQexec(conn, line);

        if (PQresultStatus(result) != PGRES_TUPLES_OK
            && PQresultStatus(result) != PGRES_COMMAND_OK)
        {
            fprintf(stderr, "%s: %s", line, PQerrorMessage(conn));
            exit(2);
        }

        if (ngx_http_async_pg_rows(pool, result, NGX_HTTP_ASYNC_PG_ALL, &out)
            == NGX_OK)
        {
            ngx_stub_hex(&out);
        }

        putchar(' ');
        out = encoded(ngx_http_async_pg_rows_tree(pool, result,
                                                  NGX_HTTP_ASYNC_PG_ALL,
                                                  error),
                      (char *) error);
        ngx_stub_hex(&out);
        putchar('\n');
        fflush(stdout);

        PQclear(result);
        ngx_destroy_pool(pool);
        pool = ngx_create_pool(4096, NULL);
    }

    PQfinish(conn);
}


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * 1e9 + ts.tv_nsec;
}


static void
costs(const char *conninfo)
{
    char        sql[400];
    u_char      error[NGX_HTTP_ASYNC_PG_ERROR_LEN];
    double      start, text, tree;
    PGconn     *conn;
    PGresult   *result;
    ngx_str_t   out;
    ngx_uint_t  i, n, rows;

    static const ngx_uint_t  sizes[] = { 1, 20, 1000 };

    conn = server(conninfo);

    for (i = 0; i < 3; i++) {
        rows = sizes[i];
        sprintf(sql, "SELECT i AS id, 'the text of note ' || i AS text,"
                " i %% 2 = 0 AS completed, i / 8.0::float8 AS weight,"
                " now() AS created FROM generate_series(1, %d) i", (int) rows);
        result = PQexec(conn, sql);

        start = now();

        for (n = 0; n < 200000 / rows; n++) {
            (void) ngx_http_async_pg_rows(pool, result, NGX_HTTP_ASYNC_PG_ALL,
                                          &out);

            ngx_destroy_pool(pool);
            pool = ngx_create_pool(4096, NULL);
        }

        text = (now() - start) / n;
        start = now();

        for (n = 0; n < 50000 / rows; n++) {
            (void) encoded(ngx_http_async_pg_rows_tree(pool, result,
                               NGX_HTTP_ASYNC_PG_ALL, error), "");

            ngx_destroy_pool(pool);
            pool = ngx_create_pool(4096, NULL);
        }

        tree = (now() - start) / n;

        printf("%4d rows of 5 columns: %.0f ns, %.0f a row;"
               " by a tree %.0f, %.0f a row\n",
               (int) rows, text, text / rows, tree, tree / rows);

        PQclear(result);
    }

    PQfinish(conn);
}


int
main(int argc, char **argv)
{
    json_object_seed(1);

    pool = ngx_create_pool(4096, NULL);

    if (argc == 3) {
        (argv[1][0] == 's' ? queries : costs)(argv[2]);

    } else {
        test_rows();
        test_cells();
        test_wrong_cells();
        test_no_memory();
    }

    ngx_destroy_pool(pool);

    return argc == 1 ? ngx_stub_done() : 0;
}
