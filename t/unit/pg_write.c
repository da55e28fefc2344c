
/*
 * Values of PostgreSQL as JSON, by the number of their type: tables of text
 * forms, random text.  Called with "-", a filter for pg_write.py: lines of
 * "OID HEX" in, text and tree in hexadecimal out.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_stub.h"
#include <ngx_http_async_pg_write.h>


typedef struct {
    Oid          oid;
    const char  *text;
    const char  *expected;
} value_case_t;


#define B64_ALL                                                               \
    "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMA==\""


static ngx_pool_t  *pool;


/* the tree gives the same, unless noted after "|" */

static value_case_t  values[] = {
    { 23, "5", "5" },
    { 21, "-32768", "-32768" },
    { 20, "9223372036854775807", "9223372036854775807" },
    { 20, "-9223372036854775808", "-9223372036854775808" },
    { 26, "4294967295", "4294967295" },

    { 701, "0.1", "0.1" },
    { 701, "5", "5|5.0" },
    { 701, "-0", "-0|-0.0" },
    { 701, "1e+300", "1e+300" },
    { 701, "1.5e-07", "1.5e-07" },
    { 701, "NaN", "null" },
    { 701, "Infinity", "null" },
    { 701, "-Infinity", "null" },
    { 700, "3.4028235e+38", "3.4028235e+38" },

    { 1700, "5.00", "5.00|5.0" },
    { 1700, "-0.5", "-0.5" },
    { 1700, "0", "0" },
    { 1700, "12345678901234567890.123456789",
      "12345678901234567890.123456789|1.2345678901234567e+19" },
    { 1700, "9223372036854775807", "9223372036854775807" },
    { 1700, "9223372036854775808",
      "9223372036854775808|9.223372036854776e+18" },
    { 1700, "NaN", "null" },
    { 1700, "Infinity", "null" },
    { 1700, "-Infinity", "null" },

    { 16, "t", "true" },
    { 16, "f", "false" },

    { 3802, "{\"a\": [1, null]}", "{\"a\": [1, null]}|{\"a\":[1,null]}" },
    { 114, "{\"a\":1}", "{\"a\":1}" },
    { 114, " [1,\n2] ", " [1,\n2] |[1,2]" },
    { 114, "null", "null" },
    { 114, "{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}|Duplicate key" },
    { 114, "\"\\u0000\"", "\"\\u0000\"|\\u0000 is not allowed" },
    { 3802, "1e400", "1e400|Number out of range" },

    { 25, "", "\"\"" },
    { 25, "a\"\\\n\t\x01/\x7f", "\"a\\\"\\\\\\n\\t\\u0001/\x7f\"" },
    { 25, "\xc3\xa9\xe2\x82\xac", "\"\xc3\xa9\xe2\x82\xac\"" },
    { 1043, "NULL", "\"NULL\"" },
    { 2950, "0b0a2c9c-6d4c-4b3f-9d6e-1c1f5f1d8a11",
      "\"0b0a2c9c-6d4c-4b3f-9d6e-1c1f5f1d8a11\"" },
    { 869, "10.0.0.0/8", "\"10.0.0.0/8\"" },
    { 99999, "happy", "\"happy\"" },
    { 99999, "{a,b}", "\"{a,b}\"" },
    { 2249, "(1,\"a b\",)", "\"(1,\\\"a b\\\",)\"" },
    { 3904, "[1,5)", "\"[1,5)\"" },
    { 2278, "", "null" },
    { 0, "x", "\"x\"" },
    { 18, "a", "\"a\"" },
    { 18, "", "\"\"" },
    { 18, "\xc8", "\"\\\\310\"" },

    { 1082, "2026-11-21", "\"2026-11-21\"" },
    { 1082, "0044-03-15 BC", "\"0044-03-15 BC\"" },
    { 1082, "-infinity", "\"-infinity\"" },
    { 1083, "21:30:00.5", "\"21:30:00.5\"" },
    { 1083, "24:00:00", "\"24:00:00\"" },
    { 1266, "21:30:00+00", "\"21:30:00Z\"" },
    { 1266, "21:30:00.123456-08", "\"21:30:00.123456-08:00\"" },
    { 1266, "21:30:00+05:30", "\"21:30:00+05:30\"" },
    { 1266, "21:30:00+00:53:28", "\"21:30:00+00:53:28\"" },
    { 1114, "2026-11-21 21:30:00", "\"2026-11-21T21:30:00\"" },
    { 1114, "2026-11-21 21:30:00.123", "\"2026-11-21T21:30:00.123\"" },
    { 1114, "12026-11-21 21:30:00", "\"12026-11-21T21:30:00\"" },
    { 1114, "0044-03-15 00:00:00 BC", "\"0044-03-15 00:00:00 BC\"" },
    { 1114, "infinity", "\"infinity\"" },
    { 1114, "11/21/2026 21:30:00", "\"11/21/2026 21:30:00\"" },
    { 1114, "Sat Nov 21 21:30:00 2026", "\"Sat Nov 21 21:30:00 2026\"" },
    { 1184, "2026-11-21 21:30:00+00", "\"2026-11-21T21:30:00Z\"" },
    { 1184, "2026-11-21 21:30:00.000001-08",
      "\"2026-11-21T21:30:00.000001-08:00\"" },
    { 1184, "2026-11-21 21:30:00+05:30", "\"2026-11-21T21:30:00+05:30\"" },
    { 1184, "1890-01-01 00:00:00+00:53:28",
      "\"1890-01-01T00:00:00+00:53:28\"" },
    { 1184, "0044-03-15 00:00:00+00 BC", "\"0044-03-15 00:00:00+00 BC\"" },
    { 1184, "-infinity", "\"-infinity\"" },
    { 1184, "21.11.2026 21:30:00 CET", "\"21.11.2026 21:30:00 CET\"" },

    { 1186, "00:00:00", "\"PT0S\"" },
    { 1186, "1 year 2 mons 3 days 04:05:06.7", "\"P1Y2M3DT4H5M6.7S\"" },
    { 1186, "-1 years -2 mons +3 days -04:05:06.000007",
      "\"P-1Y-2M3DT-4H-5M-6.000007S\"" },
    { 1186, "1 day", "\"P1D\"" },
    { 1186, "00:00:00.5", "\"PT0.5S\"" },
    { 1186, "-00:00:00.5", "\"PT-0.5S\"" },
    { 1186, "1000000:00:00", "\"PT1000000H\"" },
    { 1186, "00:10:00", "\"PT10M\"" },
    { 1186, "P1Y2M3DT4H5M6.7S", "\"P1Y2M3DT4H5M6.7S\"" },
    { 1186, "@ 1 year 2 mons", "\"@ 1 year 2 mons\"" },
    { 1186, "1-2 3 4:05:06", "\"1-2 3 4:05:06\"" },
    { 1186, "1 ", "\"1 \"" },
    { 1186, "-", "\"-\"" },
    { 1186, "1 day ", "\"1 day \"" },
    { 1186, "1 day 2", "\"1 day 2\"" },
    { 1186, "1 day 2:", "\"1 day 2:\"" },
    { 1186, "1 day 2:03:", "\"1 day 2:03:\"" },

    { 17, "\\x", "\"\"" },
    { 17, "\\x00", "\"AA==\"" },
    { 17, "\\xdeadBEEF", "\"3q2+7w==\"" },
    { 17, "\\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
      "202122232425262728292a2b2c2d2e2f30", B64_ALL },
    { 17, "", "\"\"" },
    { 17, "a\\\\b\\000\\377", "\"YVxiAP8=\"" },
    { 17, "\\x0", "\"\\\\x0\"" },
    { 17, "\\x0g", "\"\\\\x0g\"" },
    { 17, "a\\8", "\"a\\\\8\"" },
    { 17, "\\400", "\"\\\\400\"" },

    { 1007, "{}", "[]" },
    { 1007, "{1,NULL,-3}", "[1,null,-3]" },
    { 1007, "{{1,2},{3,4}}", "[[1,2],[3,4]]" },
    { 1007, "{{{{{{1}}}}}}", "[[[[[[1]]]]]]" },
    { 1007, "[0:2]={1,2,3}", "[1,2,3]" },
    { 1007, "[-1:0][2:3]={{1,2},{3,4}}", "[[1,2],[3,4]]" },
    { 1009, "{a,\"b c\",\"NULL\",NULL,\"\",\"a\\\"b\\\\c\"}",
      "[\"a\",\"b c\",\"NULL\",null,\"\",\"a\\\"b\\\\c\"]" },
    { 1009, "{\"{a,b}\",\"=\"}", "[\"{a,b}\",\"=\"]" },
    { 1000, "{t,f}", "[true,false]" },
    { 1231, "{1.10,NaN}", "[1.10,null]|[1.1,null]" },
    { 1022, "{0.1,-Infinity}", "[0.1,null]" },
    { 3807, "{\"{\\\"a\\\": 1}\",\"null\",NULL}",
      "[{\"a\": 1},null,null]|[{\"a\":1},null,null]" },
    { 1185, "{\"2026-11-21 21:30:00+00\",infinity}",
      "[\"2026-11-21T21:30:00Z\",\"infinity\"]" },
    { 1187, "{\"1 day 01:00:00\"}", "[\"P1DT1H\"]" },
    { 1001, "{\"\\\\x00ff\"}", "[\"AP8=\"]" },
    { 1020, "{(1,1),(0,0);(2,2),(0,0)}",
      "[\"(1,1),(0,0)\",\"(2,2),(0,0)\"]" },
    { 1002, "{a,\xc8}", "[\"a\",\"\\\\310\"]" },

    /* what is no array is a string */
    { 1007, "", "\"\"" },
    { 1007, "1", "\"1\"" },
    { 1007, "{1", "\"{1\"" },
    { 1007, "{1,}", "\"{1,}\"" },
    { 1007, "{,1}", "\"{,1}\"" },
    { 1007, "{1}}", "\"{1}}\"" },
    { 1007, "{1}{2}", "\"{1}{2}\"" },
    { 1007, "{{1}{2}}", "\"{{1}{2}}\"" },
    { 1007, "{1,2},3", "\"{1,2},3\"" },
    { 1007, "{{{{{{{1}}}}}}}", "\"{{{{{{{1}}}}}}}\"" },
    { 1007, "[0:2]", "\"[0:2]\"" },
    { 1009, "{\"a}", "\"{\\\"a}\"" },
    { 1009, "{\"a\\", "\"{\\\"a\\\\\"" },
    { 1009, "{\"a\"b}", "\"{\\\"a\\\"b}\"" },
};


/* both forms; "!..." for a tree that there is not */

static ngx_str_t
text_of(Oid oid, ngx_str_t *text)
{
    ngx_int_t                 rc;
    ngx_str_t                 out;
    ngx_http_async_pg_out_t   o;

    ngx_str_null(&out);
    ngx_http_async_pg_out(&o, pool);

    rc = ngx_http_async_pg_write(&o, ngx_http_async_pg_type(oid), text);

    (void) ngx_http_async_pg_out_done(&o, rc, &out);

    return out;
}


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


static ngx_str_t
tree_of(Oid oid, ngx_str_t *text)
{
    json_t                   *value;
    ngx_str_t                 out, none;
    ngx_http_async_pg_out_t   o;

    ngx_http_async_pg_out(&o, pool);

    value = ngx_http_async_pg_tree(&o, ngx_http_async_pg_type(oid), text);
    out = encoded(value, o.out.error);

    (void) ngx_http_async_pg_out_done(&o, NGX_DECLINED, &none);

    return out;
}


/* in a block of its own, so that a sanitizer sees what reads beyond */

static ngx_str_t
exact(const char *text, size_t len)
{
    ngx_str_t  s;

    s.data = memcpy(malloc(len ? len : 1), text, len);
    s.len = len;

    return s;
}


static void
test_values(void)
{
    size_t         i, len;
    ngx_str_t      text, out, tree;
    ngx_uint_t     same;
    const char    *bar;
    value_case_t  *v;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        v = &values[i];
        text = exact(v->text, strlen(v->text));

        out = text_of(v->oid, &text);
        tree = tree_of(v->oid, &text);

        bar = strchr(v->expected, '|');
        len = bar ? (size_t) (bar - v->expected) : strlen(v->expected);
        bar = bar ? bar + 1 : v->expected;

        same = out.len == len && memcmp(out.data, v->expected, len) == 0;

        ngx_stub_ok(same, "%u: %s", v->oid, v->text);

        if (!same) {
            printf("# %.*s\n", (int) out.len, out.data);
        }

        same = (tree.len >= strlen(bar)
                && memcmp(tree.data, bar, strlen(bar)) == 0);

        ngx_stub_ok(same, "%u: %s, as a tree", v->oid, v->text);

        if (!same) {
            printf("# %.*s\n", (int) tree.len, tree.data);
        }

        free(text.data);
    }
}


/* beyond double: a string; long values; bytes that grow the buffer */

static void
test_long(void)
{
    char       *p;
    size_t      i, n;
    ngx_str_t   text, out, tree;

    for (n = 300; n < 200000; n *= 5) {
        p = malloc(n);
        memset(p, '9', n);
        text.data = (u_char *) p;
        text.len = n;

        out = text_of(1700, &text);
        tree = tree_of(1700, &text);

        ngx_stub_ok(out.len == n && memcmp(out.data, p, n) == 0,
                    "a numeric of %d digits is written", (int) n);
        ngx_stub_ok(n < 309 ? tree.data[1] == 'e'
                            : tree.len == n + 2 && tree.data[0] == '"',
                    "a numeric of %d digits as a tree", (int) n);

        memcpy(p, "\\x", 2);

        for (i = 2; i < n; i++) {
            p[i] = "0123456789abcdef"[i * i % 16];
        }

        text.len &= ~(size_t) 1;
        out = text_of(17, &text);
        tree = tree_of(17, &text);

        ngx_stub_ok(out.len == 2 + ngx_base64_encoded_length(text.len / 2 - 1)
                    && out.len == tree.len
                    && memcmp(out.data, tree.data, out.len) == 0,
                    "a bytea of %d digits", (int) text.len);

        memset(p, '\n', n);
        text.len = n;
        out = text_of(25, &text);

        ngx_stub_ok(out.len == 2 * n + 2, "%d characters escaped", (int) n);

        free(p);
    }
}


static void
test_time(void)
{
    size_t     i;
    int64_t    ms;
    ngx_str_t  text;

    static struct {
        const char  *text;
        int64_t      ms;
    } times[] = {
        { "1970-01-01", 0 },
        { "1970-01-01 00:00:00+00", 0 },
        { "1969-12-31 23:59:59.999", -1 },
        { "1969-12-31 23:59:59.9999", -1 },
        { "1969-12-31 23:59:59.000001", -1000 },
        { "2026-11-21 21:30:00.123456+00", 1795296600123 },
        { "2026-11-21 21:30:00-08", 1795325400000 },
        { "2026-11-22 03:00:00+05:30", 1795296600000 },
        { "1890-01-01 00:53:28+00:53:28", -2524521600000 },
        { "2000-02-29", 951782400000 },
        { "0001-01-01", -62135596800000 },
        { "0001-01-01 BC", -62167219200000 },
        { "4714-11-24 00:00:00+00 BC", -210866803200000 },
        { "294276-12-31 23:59:59.999999", 9224318015999999 },
    };

    static const char  *wrong[] = {
        "", "infinity", "-infinity", "1970", "1970-01", "1970-13-01",
        "1970-01-32", "1970-01-01 ", "1970-01-01T00:00:00", "11/21/2026",
        "1970-01-01 00:00", "1970-01-01 00:00:00+", "1970-01-01 00:00:00+1",
        "1970-01-01 00:00:00 UTC", "1970-01-01 00:00:00+00:", "70-01-01",
        "1970-01-01 00:00:00+00:00:", "1970-01-01x", " BC", "99999999-01-01"
    };

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        text = exact(times[i].text, strlen(times[i].text));

        ngx_stub_ok(ngx_http_async_pg_time(&text, &ms) == NGX_OK
                    && ms == times[i].ms,
                    "%s is %lld", times[i].text, (long long) times[i].ms);
        free(text.data);
    }

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        text = exact(wrong[i], strlen(wrong[i]));
        ngx_stub_ok(ngx_http_async_pg_time(&text, &ms) == NGX_DECLINED,
                    "\"%s\" is no time", wrong[i]);
        free(text.data);
    }
}


/* what is no number and no JSON gives JSON, and the same as a tree */

static void
test_random(void)
{
    size_t       i, len;
    char         text[40];
    ngx_str_t    s, out, tree;
    ngx_uint_t   n, bad;
    json_t      *value;

    ngx_http_async_json_error_t   error;

    static const Oid   oids[] = {
        16, 17, 18, 25, 1114, 1184, 1186, 1266, 1000, 1001, 1009, 1115, 1185,
        1187, 1020, 1270, 23, 701, 1700, 114, 1007, 1231, 3807
    };

    static const char  alphabet[] = "{}{}\",\\\\;NUL x0179-+: .yd=[]t/";

    srand(1);

    for (n = 0, bad = 0; n < 200000; n++) {
        len = rand() % sizeof(text);

        for (i = 0; i < len; i++) {
            text[i] = alphabet[rand() % (sizeof(alphabet) - 1)];
        }

        if (n % 3 == 0 && len) {
            text[0] = '{';
            text[len - 1] = '}';
        }

        s = exact(text, len);
        i = rand() % (sizeof(oids) / sizeof(oids[0]));
        out = text_of(oids[i], &s);
        tree = tree_of(oids[i], &s);

        if (oids[i] != 23 && oids[i] != 701 && oids[i] != 1700
            && oids[i] != 114 && oids[i] != 1007 && oids[i] != 1231
            && oids[i] != 3807)
        {
            if (out.len != tree.len
                || memcmp(out.data, tree.data, out.len) != 0
                || ngx_http_async_json_load(out.data, out.len, 0, &value,
                                            &error) != NGX_OK)
            {
                if (bad++ < 5) {
                    printf("# %u: %.*s: %.*s\n# %.*s\n", oids[i], (int) len,
                           text, (int) out.len, out.data, (int) tree.len,
                           tree.data);
                }

            } else {
                json_decref(value);
            }
        }

        free(s.data);

        if (n % 1000 == 0) {
            ngx_destroy_pool(pool);
            pool = ngx_create_pool(4096, NULL);
        }
    }

    ngx_stub_ok(bad == 0, "random text becomes JSON");
}


static void
filter(void)
{
    char      *space, line[65536];
    ngx_str_t  text, out;

    while (fgets(line, sizeof(line), stdin)) {
        space = strchr(line, ' ');
        text = ngx_stub_unhex(space + 1);

        out = text_of(strtoul(line, NULL, 10), &text);
        ngx_stub_hex(&out);
        putchar(' ');
        out = tree_of(strtoul(line, NULL, 10), &text);
        ngx_stub_hex(&out);
        putchar('\n');

        free(text.data);
    }
}


int
main(int argc, char **argv)
{
    (void) argv;

    json_object_seed(1);

    pool = ngx_create_pool(4096, NULL);

    if (argc > 1) {
        filter();

    } else {
        test_values();
        test_long();
        test_time();
        test_random();
    }

    ngx_destroy_pool(pool);

    return argc == 1 ? ngx_stub_done() : 0;
}
