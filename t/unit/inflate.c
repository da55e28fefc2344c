
/*
 * Decoding of compressed bodies: what zlib makes, in pieces that end anywhere,
 * cut off anywhere, with each bit turned over, several in a row, and with
 * little room.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_stub.h"
#include <ngx_http_async_inflate.h>


#define SIZE  400000

enum { GZIP = 31, ZLIB = 15, RAW = -15 };


typedef struct {
    ngx_int_t    rc;             /* of the last call */
    ngx_uint_t   complete;
    u_char       out[SIZE];
    size_t       len;
    const char  *error;
} inflate_result_t;


static u_char            text[SIZE];       /* what is compressed */
static u_char            data[SIZE];       /* and what comes of it */
static inflate_result_t  result;


static size_t make(u_char *out, int bits, const u_char *in, size_t len);
static size_t make_header(u_char *out, const u_char *in, size_t len);
static void run(const char *coding, u_char *in, size_t len, size_t split,
    size_t room);
static ngx_uint_t is(const u_char *in, size_t len);
static ngx_uint_t failed(const char *error);
static void test_codings(void);
static void test_splits(void);
static void test_sizes(void);
static void test_truncated(void);
static void test_corrupt(void);
static void test_members(void);
static void test_behind(void);
static void test_deflate(void);
static void test_room(void);
static void test_end(void);
static void *no_memory(void *opaque, unsigned n, unsigned size);


int
main(void)
{
    size_t    i;
    uint32_t  n;

    /* words of all kinds, then noise */

    for (i = 0, n = 1; i < SIZE; i++) {
        n = n * 1664525 + 1013904223;
        text[i] = (i < SIZE / 2) ? "abcdefgh     ijk"[n >> 28 & 15 & i >> 2]
                                 : (u_char) (n >> 24);
    }

    test_codings();
    test_splits();
    test_sizes();
    test_truncated();
    test_corrupt();
    test_members();
    test_behind();
    test_deflate();
    test_room();
    test_end();

    return ngx_stub_done();
}


static size_t
make(u_char *out, int bits, const u_char *in, size_t len)
{
    z_stream  z;

    memset(&z, 0, sizeof(z));

    if (deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        abort();
    }

    z.next_in = (u_char *) in;
    z.avail_in = len;
    z.next_out = out;
    z.avail_out = SIZE;

    if (deflate(&z, Z_FINISH) != Z_STREAM_END) {
        abort();
    }

    deflateEnd(&z);

    return z.total_out;
}


/* with all that RFC 1952, 2.3, has */

static size_t
make_header(u_char *out, const u_char *in, size_t len)
{
    z_stream   z;
    gz_header  header;

    memset(&z, 0, sizeof(z));
    memset(&header, 0, sizeof(header));

    header.text = 1;
    header.time = 1;
    header.extra = (u_char *) "extra";
    header.extra_len = 5;
    header.name = (u_char *) "name";
    header.comment = (u_char *) "comment";
    header.hcrc = 1;

    if (deflateInit2(&z, 6, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK
        || deflateSetHeader(&z, &header) != Z_OK)
    {
        abort();
    }

    z.next_in = (u_char *) in;
    z.avail_in = len;
    z.next_out = out;
    z.avail_out = SIZE;

    if (deflate(&z, Z_FINISH) != Z_STREAM_END) {
        abort();
    }

    deflateEnd(&z);

    return z.total_out;
}


/*
 * Feeds up to the split, then the rest; each from memory of its own, with room
 * bytes of room at a time.
 */

static void
run(const char *coding, u_char *in, size_t len, size_t split, size_t room)
{
    u_char                    *p, *last, *piece, *buf, *out;
    size_t                     size, n;
    ngx_int_t                  rc;
    ngx_str_t                  name;
    ngx_http_async_inflate_t   inf;

    result.len = 0;
    result.error = NULL;
    result.rc = NGX_OK;

    name.data = (u_char *) coding;
    name.len = strlen(coding);

    if (ngx_http_async_inflate_init(&inf, &name) != NGX_OK) {
        abort();
    }

    buf = malloc(room ? room : 1);

    for (n = 0; n < 2 && result.rc != NGX_DECLINED; n++) {
        size = n ? len - split : split;

        if (size == 0) {
            continue;
        }

        piece = malloc(size);
        memcpy(piece, n ? in + split : in, size);

        p = piece;
        last = piece + size;

        do {
            out = buf;
            rc = ngx_http_async_inflate(&inf, &p, last, &out, buf + room,
                                        &result.error);

            if (p > last || out > buf + room
                || result.len + (out - buf) > SIZE)
            {
                abort();
            }

            memcpy(result.out + result.len, buf, out - buf);
            result.len += out - buf;

        } while (rc == NGX_OK && out == buf + room);

        if (rc != NGX_DECLINED && p != last) {
            rc = NGX_ABORT;
        }

        result.rc = rc;
        free(piece);
    }

    result.complete = ngx_http_async_inflate_complete(&inf);

    ngx_http_async_inflate_end(&inf);
    ngx_http_async_inflate_end(&inf);

    free(buf);
}


static ngx_uint_t
is(const u_char *in, size_t len)
{
    return result.rc == NGX_DONE && result.complete && result.len == len
           && memcmp(result.out, in, len) == 0;
}


static ngx_uint_t
failed(const char *error)
{
    return result.rc == NGX_DECLINED && !result.complete && result.error
           && strcmp(result.error, error) == 0;
}


static void
test_codings(void)
{
    ngx_int_t                  rc;
    ngx_str_t                  name;
    ngx_uint_t                 i;
    ngx_http_async_inflate_t   inf;

    static const struct {
        const char  *name;
        ngx_int_t    rc;
    } codings[] = {
        { "gzip", NGX_OK }, { "GZip", NGX_OK }, { "x-gzip", NGX_OK },
        { "deflate", NGX_OK }, { "DEFLATE", NGX_OK },
        { "", NGX_DECLINED }, { "gzi", NGX_DECLINED }, { "gzipp", NGX_DECLINED },
        { "br", NGX_DECLINED }, { "identity", NGX_DECLINED },
        { "gzip, gzip", NGX_DECLINED }
    };

    for (i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
        name.data = (u_char *) codings[i].name;
        name.len = strlen(codings[i].name);

        rc = ngx_http_async_inflate_init(&inf, &name);
        ngx_stub_ok(rc == codings[i].rc, "coding \"%s\" is %s", name.data,
                    codings[i].rc == NGX_OK ? "known" : "not known");

        ngx_http_async_inflate_end(&inf);
    }
}


static void
test_splits(void)
{
    size_t      i, len;
    ngx_uint_t  bad, n;

    static const size_t  room[] = { 1, 7, 1000, SIZE };

    for (n = 0; n < 4; n++) {
        bad = 0;
        len = make_header(data, text, 2500);

        for (i = 0; i <= len; i++) {
            run("gzip", data, len, i, room[n]);
            bad += !is(text, 2500);
        }

        len = make(data, ZLIB, text + SIZE - 500, 500);

        for (i = 0; i <= len; i++) {
            run("deflate", data, len, i, room[n]);
            bad += !is(text + SIZE - 500, 500);
        }

        ngx_stub_ok(bad == 0, "in two pieces that meet anywhere, room for %d",
                    (int) room[n]);
    }
}


static void
test_sizes(void)
{
    size_t      len;
    ngx_uint_t  i, n, bad;

    static const size_t  sizes[] = { 0, 1, 100, 32767, 32768, 32769, 65536,
                                     SIZE / 2, SIZE - 1000 };
    static const size_t  room[] = { 257, 258, 4096, SIZE };

    bad = 0;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        len = make(data, GZIP, text, sizes[i]);

        for (n = 0; n < 4; n++) {
            run("x-gzip", data, len, len / 2, room[n]);
            bad += !is(text, sizes[i]);
        }
    }

    ngx_stub_ok(bad == 0, "of no byte, and of many");
}


static void
test_truncated(void)
{
    size_t      i, len;
    ngx_uint_t  bad, n;

    bad = 0;

    for (n = 0; n < 2; n++) {
        len = n ? make(data, ZLIB, text, 2500)
                : make_header(data, text, 2500);

        for (i = 0; i < len; i++) {
            run(n ? "deflate" : "gzip", data, i, i, SIZE);

            bad += result.rc != NGX_OK || result.complete
                   || result.len > 2500
                   || memcmp(result.out, text, result.len) != 0;
        }
    }

    ngx_stub_ok(bad == 0, "cut off anywhere it is not complete");
}


static void
test_corrupt(void)
{
    size_t      i, len;
    ngx_uint_t  bad, bit, n, declined;

    bad = 0;
    declined = 0;

    for (n = 0; n < 2; n++) {
        len = n ? make(data, ZLIB, text, 1000)
                : make_header(data, text, 1000);

        for (i = 0; i < len; i++) {
            for (bit = 0; bit < 8; bit++) {
                data[i] ^= 1 << bit;
                run(n ? "deflate" : "gzip", data, len, len / 2, SIZE);
                data[i] ^= 1 << bit;

                if (result.rc == NGX_DECLINED) {
                    declined++;
                    bad += result.error == NULL || result.complete;

                } else if (result.complete) {
                    bad += !is(text, 1000);
                }
            }
        }
    }

    ngx_stub_ok(bad == 0 && declined > 1000,
                "a bit turned over anywhere never gives another text");
}


static void
test_members(void)
{
    size_t      i, len, one, two;
    ngx_uint_t  bad;

    one = make(data, GZIP, text, 1000);
    two = one + make(data + one, GZIP, text, 0);
    len = two + make_header(data + two, text + 1000, 1500);

    bad = 0;

    for (i = 0; i <= len; i++) {
        run("gzip", data, len, i, 300);
        bad += !is(text, 2500);
    }

    ngx_stub_ok(bad == 0, "three members, in two pieces that meet anywhere");

    bad = 0;

    for (i = 0; i < len; i++) {
        run("gzip", data, i, i, 300);
        bad += result.complete != (i == one || i == two);
        bad += result.rc != (result.complete ? NGX_DONE : NGX_OK);
    }

    ngx_stub_ok(bad == 0, "cut off they are complete only between them");

    memmove(data + one + 9, data + one, len - one);
    memset(data + one, 0, 9);
    len += 9;
    memset(data + len, 0, 1000);
    len += 1000;

    bad = 0;

    for (i = 0; i <= len; i++) {
        run("gzip", data, len, i, 300);
        bad += !is(text, 2500);
    }

    ngx_stub_ok(bad == 0, "zero bytes between and behind them are passed over");
}


static void
test_behind(void)
{
    int         c;
    size_t      len;
    ngx_uint_t  bad;

    len = make(data, GZIP, text, 100);
    bad = 0;

    for (c = 1; c < 256; c++) {
        data[len] = c;
        run("gzip", data, len + 1, len, 100);

        if (c == 0x1f) {
            bad += result.rc != NGX_OK || result.complete;

        } else {
            bad += !failed("garbage behind its end");
        }

        run("gzip", data, len + 1, 5, 100);
        bad += (c == 0x1f) ? result.complete
                           : !failed("garbage behind its end");
    }

    ngx_stub_ok(bad == 0, "garbage behind the last member is an error");

    data[len] = 0;
    data[len + 1] = 'x';
    run("gzip", data, len + 2, len, 100);
    ngx_stub_ok(failed("garbage behind its end"), "behind padding, too");

    data[len] = 0x1f;
    data[len + 1] = 'x';
    run("gzip", data, len + 2, len, 100);
    ngx_stub_ok(failed("incorrect header check"),
                "and if it looks like a member at first");

    run("gzip", (u_char *) "<html>", 6, 3, 100);
    ngx_stub_ok(failed("incorrect header check"), "no gzip at all");

    run("gzip", data, 0, 0, 100);
    ngx_stub_ok(!result.complete, "of no bytes is not complete");
}


static void
test_deflate(void)
{
    size_t    len;
    z_stream  z;

    len = make(data, ZLIB, text, 100);

    data[len] = 0;
    run("deflate", data, len + 1, len, 100);
    ngx_stub_ok(failed("garbage behind its end"), "deflate has no padding");

    memcpy(data + len, data, len);
    run("deflate", data, 2 * len, len, 100);
    ngx_stub_ok(failed("garbage behind its end"), "deflate has no members");

    len = make(data, RAW, text, 100);
    run("deflate", data, len, 0, 100);
    ngx_stub_ok(result.rc == NGX_DECLINED, "deflate is not the raw format");

    len = make(data, GZIP, text, 100);
    run("deflate", data, len, 0, 100);
    ngx_stub_ok(result.rc == NGX_DECLINED, "deflate is not gzip");

    len = make(data, ZLIB, text, 100);
    run("gzip", data, len, 0, 100);
    ngx_stub_ok(result.rc == NGX_DECLINED, "gzip is not deflate");

    memset(&z, 0, sizeof(z));
    deflateInit(&z, 6);
    deflateSetDictionary(&z, (u_char *) "abcdefgh", 8);
    z.next_in = text;
    z.avail_in = 100;
    z.next_out = data;
    z.avail_out = SIZE;
    deflate(&z, Z_FINISH);
    deflateEnd(&z);

    run("deflate", data, z.total_out, 0, 100);
    ngx_stub_ok(failed("it needs a dictionary"), "with a dictionary");
}


/* ten million zero bytes in ten thousand, and one who wants no more of it */

static void
test_room(void)
{
    u_char                    *zeros, *p, *last, *out, buf[2600];
    size_t                     len, taken;
    ngx_int_t                  rc;
    ngx_str_t                  name = ngx_string("gzip");
    const char                *error;
    ngx_http_async_inflate_t   inf;

    zeros = calloc(1, 10000000);
    len = make(data, GZIP, zeros, 10000000);
    free(zeros);

    ngx_http_async_inflate_init(&inf, &name);

    p = data;
    last = data + len;
    out = buf;
    rc = ngx_http_async_inflate(&inf, &p, last, &out, buf + 2500, &error);

    ngx_stub_ok(rc == NGX_OK && out == buf + 2500 && p < data + 100,
                "no more is read than there is room for");

    taken = p - data;
    rc = ngx_http_async_inflate(&inf, &p, last, &out, buf + 2500, &error);

    ngx_stub_ok(rc == NGX_OK && out == buf + 2500 && p - data < 200
                && (size_t) (p - data) >= taken,
                "without room there is no more");

    ngx_http_async_inflate_end(&inf);

    /* exactly enough */

    len = make(data, GZIP, text, 2500);
    run("gzip", data, len, 0, 2500);
    ngx_stub_ok(is(text, 2500), "room for exactly the text is enough");

    ngx_http_async_inflate_init(&inf, &name);

    p = data;
    last = data + len;
    out = buf;
    rc = ngx_http_async_inflate(&inf, &p, last, &out, buf + 2500, &error);
    ngx_stub_ok(rc == NGX_DONE && p == last && out == buf + 2500,
                "and the end is seen at once");

    ngx_http_async_inflate_end(&inf);

    /* the trailer comes later, and no room with it */

    ngx_http_async_inflate_init(&inf, &name);

    p = data;
    out = buf;
    rc = ngx_http_async_inflate(&inf, &p, data + len - 8, &out, buf + 2500,
                                &error);
    ngx_stub_ok(rc == NGX_OK && out == buf + 2500, "all but the trailer");

    out = NULL;
    rc = ngx_http_async_inflate(&inf, &p, data + len, &out, NULL, &error);
    ngx_stub_ok(rc == NGX_DONE && p == data + len,
                "the trailer needs no room");

    ngx_http_async_inflate_end(&inf);

    /* text that has no room does not make it complete */

    ngx_http_async_inflate_init(&inf, &name);

    p = data;
    out = buf;
    rc = ngx_http_async_inflate(&inf, &p, data + len, &out, buf + 2499,
                                &error);
    ngx_stub_ok(rc == NGX_OK && out == buf + 2499
                && !ngx_http_async_inflate_complete(&inf),
                "one byte short it is not complete");

    rc = ngx_http_async_inflate(&inf, &p, data + len, &out, buf + 2600,
                                &error);
    ngx_stub_ok(rc == NGX_DONE && out == buf + 2500
                && memcmp(buf, text, 2500) == 0,
                "and goes on where it was");

    ngx_http_async_inflate_end(&inf);
}


static void
test_end(void)
{
    u_char                    *p, *out, buf[100];
    size_t                     len;
    ngx_int_t                  rc;
    ngx_str_t                  name = ngx_string("gzip");
    const char                *error;
    ngx_http_async_inflate_t   inf;

    memset(&inf, 0, sizeof(inf));
    ngx_http_async_inflate_end(&inf);
    ngx_stub_ok(1, "one that was never begun may be ended");

    /* what is broken stays so, with the same words */

    ngx_http_async_inflate_init(&inf, &name);

    p = (u_char *) "xxxx";
    out = buf;
    rc = ngx_http_async_inflate(&inf, &p, p + 4, &out, buf + 100, &error);
    ngx_stub_ok(rc == NGX_DECLINED, "no gzip is corrupt");

    len = make(data, GZIP, text, 100);
    p = data;
    error = NULL;
    rc = ngx_http_async_inflate(&inf, &p, data + len, &out, buf + 100, &error);
    ngx_stub_ok(rc == NGX_DECLINED && error && out == buf,
                "and stays so, whatever comes");

    ngx_http_async_inflate_end(&inf);

    /* the window is allocated when something has been written */

    ngx_http_async_inflate_init(&inf, &name);
    inf.z.zalloc = no_memory;

    p = data;
    out = buf;
    rc = ngx_http_async_inflate(&inf, &p, data + len, &out, buf + 50, &error);
    ngx_stub_ok(rc == NGX_ERROR, "no memory for the window");

    rc = ngx_http_async_inflate(&inf, &p, data + len, &out, buf + 50, &error);
    ngx_stub_ok(rc == NGX_ERROR, "and none later");

    ngx_http_async_inflate_end(&inf);
}


static void *
no_memory(void *opaque, unsigned n, unsigned size)
{
    (void) opaque;
    (void) n;
    (void) size;

    return NULL;
}
