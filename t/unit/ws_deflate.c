
/*
 * permessage-deflate: offers and answers, messages both ways against a client
 * that is plain zlib, the examples of RFC 7692, wrong data, bounds of memory.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_async_ws_deflate.h>
#include <ucontext.h>
#include <zlib.h>
#include "ngx_stub.h"


#define SIZE   200000
#define STACK  65536


typedef struct {
    const char                        *field;
    const char                        *answer;    /* NULL: none; "": 400 */
} offer_case_t;


typedef struct {
    const char                        *title;
    const char                        *hex;       /* of a message */
    const char                        *text;      /* NULL: it is wrong */
} message_case_t;


/* what comes out of a message */

typedef struct {
    u_char                             data[2 * SIZE];
    size_t                             len;
    size_t                             max;       /* refuses what is past it */
    ngx_uint_t                         calls;
} out_t;


/* the other end of a connection */

typedef struct {
    z_stream                           in;
    z_stream                           out;
    ngx_uint_t                         in_takeover;
    ngx_uint_t                         out_takeover;
} peer_t;


static void test_offers(void);
static void test_windows(void);
static void test_messages(void);
static void test_truncated(void);
static void test_round_trips(void);
static void round_trips(ngx_uint_t takeover, ngx_uint_t bits, int level);
static void test_parts(void);
static void test_bomb(void);
static void test_memory(void);
static void test_sharing(void);
static void test_shared(void);
static void test_no_memory(void);
static void test_stack(void);
static void on_stack(void);

static ngx_http_async_ws_deflate_t *make(const char *field, ngx_str_t *answer);
static ngx_int_t inflate_all(ngx_http_async_ws_deflate_t *d, const u_char *in,
    size_t len, size_t step, out_t *out);
static ngx_int_t deflate_all(ngx_http_async_ws_deflate_t *d, const u_char *in,
    size_t len, size_t step, out_t *out);
static ngx_int_t sink(void *data, const u_char *p, size_t len);
static void peer_init(peer_t *peer, ngx_uint_t takeover, int bits);
static void peer_free(peer_t *peer);
static ngx_uint_t peer_reads(peer_t *peer, out_t *in, const u_char *data,
    size_t len);
static size_t peer_writes(peer_t *peer, const u_char *data, size_t len,
    u_char *to);
static void fill(u_char *p, size_t len);


static ngx_cycle_t       cycle;
volatile ngx_cycle_t    *ngx_cycle = &cycle;

static ngx_pool_t       *pool;
static out_t             out, again;
static u_char            text[SIZE], packed[2 * SIZE];
static uint32_t          seed;

static ngx_http_async_ws_deflate_conf_t  conf;


#define NONE  "; server_no_context_takeover; client_no_context_takeover"

static offer_case_t  offers[] = {

    { "permessage-deflate", "permessage-deflate" NONE },
    { "permessage-deflate; client_max_window_bits",
      "permessage-deflate" NONE },
    { "permessage-deflate; client_max_window_bits=15",
      "permessage-deflate" NONE },
    { "permessage-deflate; client_max_window_bits=10",
      "permessage-deflate" NONE "; client_max_window_bits=10" },
    { "permessage-deflate; client_max_window_bits=8",
      "permessage-deflate" NONE "; client_max_window_bits=8" },
    { "permessage-deflate; server_max_window_bits=10",
      "permessage-deflate" NONE "; server_max_window_bits=10" },
    { "permessage-deflate; server_max_window_bits=15",
      "permessage-deflate" NONE "; server_max_window_bits=15" },
    { "permessage-deflate; server_no_context_takeover; "
      "client_no_context_takeover; server_max_window_bits=9; "
      "client_max_window_bits=9",
      "permessage-deflate" NONE
      "; server_max_window_bits=9; client_max_window_bits=9" },

    /* spaces, quotes, lists */

    { " \t,, permessage-deflate\t;server_max_window_bits = \"1\\0\" ,",
      "permessage-deflate" NONE "; server_max_window_bits=10" },
    { "permessage-deflate; client_max_window_bits=\"\\1\\2\"",
      "permessage-deflate" NONE "; client_max_window_bits=12" },
    { "x-other; a=b; c, permessage-deflate", "permessage-deflate" NONE },
    { "permessage-deflate, x-other", "permessage-deflate" NONE },

    /* the first one that can be taken */

    { "permessage-deflate; server_max_window_bits=9, permessage-deflate",
      "permessage-deflate" NONE "; server_max_window_bits=9" },
    { "permessage-deflate; server_max_window_bits=8, permessage-deflate",
      "permessage-deflate" NONE },
    { "permessage-deflate; new_thing=1, "
      "permessage-deflate; client_max_window_bits=11",
      "permessage-deflate" NONE "; client_max_window_bits=11" },

    /* none */

    { "", NULL },
    { " , ,", NULL },
    { "x-webkit-deflate-frame", NULL },
    { "Permessage-Deflate", NULL },
    { "permessage-deflate2", NULL },
    { "permessage-bzip2; permessage-deflate", NULL },
    { "permessage-deflate; server_max_window_bits=8", NULL },
    { "permessage-deflate; server_max_window_bits", NULL },
    { "permessage-deflate; server_max_window_bits=16", NULL },
    { "permessage-deflate; server_max_window_bits=7", NULL },
    { "permessage-deflate; server_max_window_bits=010", NULL },
    { "permessage-deflate; server_max_window_bits=100", NULL },
    { "permessage-deflate; server_max_window_bits=1", NULL },
    { "permessage-deflate; server_max_window_bits=1a", NULL },
    { "permessage-deflate; server_max_window_bits=-9", NULL },
    { "permessage-deflate; server_max_window_bits=10;"
      " server_max_window_bits=10", NULL },
    { "permessage-deflate; client_max_window_bits=16", NULL },
    { "permessage-deflate; client_max_window_bits=0", NULL },
    { "permessage-deflate; client_max_window_bits;client_max_window_bits",
      NULL },
    { "permessage-deflate; server_no_context_takeover=1", NULL },
    { "permessage-deflate; client_no_context_takeover=true", NULL },
    { "permessage-deflate; client_no_context_takeover; "
      "client_no_context_takeover", NULL },
    { "permessage-deflate; Server_No_Context_Takeover", NULL },

    /* malformed: RFC 6455, 9.1 */

    { ";", "" },
    { "permessage-deflate;", "" },
    { "permessage-deflate; ;", "" },
    { "permessage-deflate=1", "" },
    { "permessage-deflate; a=", "" },
    { "permessage-deflate; =1", "" },
    { "permessage-deflate; a b", "" },
    { "permessage-deflate x", "" },
    { "permessage-deflate; a=\"", "" },
    { "permessage-deflate; a=\"\"", "" },
    { "permessage-deflate; a=\"b", "" },
    { "permessage-deflate; a=\"b\\", "" },
    { "permessage-deflate; a=\"b, c\"", "" },
    { "permessage-deflate; a=\"b\"c", "" },
    { "permessage-deflate; a=b=c", "" },
    { "permessage-deflate, \"a\"", "" },
    { "permessage-deflate\x01", "" },
    { "permessage-\xc3\xa4", "" }
};


static message_case_t  messages[] = {

    /* RFC 7692, 7.2.3 */

    { "Hello", "f248cdc9c90700", "Hello" },
    { "a block without compression", "000500faff48656c6c6f00", "Hello" },
    { "a last block", "f348cdc9c9070000", "Hello" },
    { "two blocks", "f248050000" "00ffffcac9c90700", "Hello" },
    { "an empty message", "00", "" },

    { "nothing at all", "", "" },
    { "a last block, and nothing behind it", "f348cdc9c90700", "Hello" },
    { "a last block that is empty, alone", "0300", "" },
    { "the same with what comes behind", "030000", "" },
    { "two last blocks", "f348cdc9c90700f348cdc9c9070000", "HelloHello" },
    { "three flushes", "f248cdc9c907000000ffff000000ffff000000ffff00",
      "Hello" },

    { "a block of no type", "06", NULL },
    { "a block of no type behind others", "f248cdc9c90700" "06", NULL },
    { "lengths that do not agree", "000500ffff48656c6c6f00", NULL },
    { "a block cut off", "000500faff48656c6c", NULL },
    { "a block that the tail completes", "000900f6ff48656c6c6f", NULL },
    { "too far behind", "f248cd4902", NULL },
    { "no empty block at its end", "f248cdc9c907", NULL },
    { "noise", "ffffffffffffffff", NULL },
    { "the format of zlib", "789cf348cdc9c907000000ffff", NULL },
    { "the tail itself", "0000ffff", NULL }
};


int
main(void)
{
    pool = ngx_create_pool(4096, NULL);

    test_offers();
    test_windows();
    test_messages();
    test_truncated();
    test_round_trips();
    test_parts();
    test_bomb();
    test_memory();
    test_sharing();
    test_shared();
    test_no_memory();
    test_stack();

    ngx_http_async_ws_deflate_exit();
    ngx_destroy_pool(pool);

    return ngx_stub_done();
}


static void
defaults(void)
{
    conf.on = 1;
    conf.takeover = 0;
    conf.level = 1;
    conf.window_bits = 15;
    conf.min = 0;
    conf.memory = 32 * 1024 * 1024;
}


static void
test_offers(void)
{
    ngx_int_t                     rc;
    ngx_str_t                     field, answer;
    ngx_uint_t                    i, ok;
    ngx_http_async_ws_offer_t     offer;
    ngx_http_async_ws_deflate_t  *d;

    defaults();

    for (i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {

        /* exact in size */

        field.len = strlen(offers[i].field);
        field.data = malloc(field.len ? field.len : 1);
        memcpy(field.data, offers[i].field, field.len);

        rc = ngx_http_async_ws_offer(&field, &offer);

        if (offers[i].answer == NULL) {
            ok = (rc == NGX_DECLINED);

        } else if (*offers[i].answer == '\0') {
            ok = (rc == NGX_ERROR);

        } else {
            ok = (rc == NGX_OK
                  && ngx_http_async_ws_deflate_new(pool, &conf, &offer, &d,
                                                   &answer) == NGX_OK
                  && ngx_stub_is(&answer, offers[i].answer));

            if (!ok && rc == NGX_OK) {
                printf("# %.*s\n", (int) answer.len, answer.data);
            }
        }

        ngx_stub_ok(ok, "\"%s\" is %s", offers[i].field,
                    offers[i].answer == NULL ? "not taken"
                    : *offers[i].answer ? "taken" : "malformed");

        free(field.data);
    }
}


static void
test_windows(void)
{
    ngx_str_t  answer;

    defaults();
    conf.window_bits = 11;

    (void) make("permessage-deflate", &answer);
    ngx_stub_ok(ngx_stub_is(&answer, "permessage-deflate" NONE
                            "; server_max_window_bits=11"),
                "a client that offers no window is told of ours only");

    (void) make("permessage-deflate; client_max_window_bits", &answer);
    ngx_stub_ok(ngx_stub_is(&answer, "permessage-deflate" NONE
                            "; server_max_window_bits=11"
                            "; client_max_window_bits=11"),
                "and one that can be told has the same");

    (void) make("permessage-deflate; client_max_window_bits=9; "
                "server_max_window_bits=14", &answer);
    ngx_stub_ok(ngx_stub_is(&answer, "permessage-deflate" NONE
                            "; server_max_window_bits=11"
                            "; client_max_window_bits=9"),
                "the lesser window is taken");

    conf.takeover = 1;

    ngx_http_async_ws_deflate_free(make("permessage-deflate", &answer));
    ngx_stub_ok(ngx_stub_is(&answer, "permessage-deflate"
                            "; server_max_window_bits=11"),
                "with takeover none is forbidden");

    ngx_http_async_ws_deflate_free(
        make("permessage-deflate; server_no_context_takeover", &answer));
    ngx_stub_ok(ngx_stub_is(&answer, "permessage-deflate"
                            "; server_no_context_takeover"
                            "; server_max_window_bits=11"),
                "but what the client asks for");

    ngx_http_async_ws_deflate_free(
        make("permessage-deflate; client_no_context_takeover", &answer));
    ngx_stub_ok(ngx_stub_is(&answer, "permessage-deflate"
                            "; client_no_context_takeover"
                            "; server_max_window_bits=11"),
                "or what it does anyway");

    ngx_stub_ok(ngx_http_async_ws_deflate_memory() == 0,
                "nothing is left of them");
}


/* Each message behind another one, whole and byte by byte. */

static void
test_messages(void)
{
    size_t                        step, n;
    ngx_int_t                     rc;
    ngx_str_t                     in, answer;
    ngx_uint_t                    i, ok, takeover;
    message_case_t               *m;
    ngx_http_async_ws_deflate_t  *d;

    for (i = 0; i < 2 * sizeof(messages) / sizeof(messages[0]); i++) {
        defaults();

        m = &messages[i / 2];
        takeover = i % 2;
        conf.takeover = takeover;
        in = ngx_stub_unhex(m->hex);
        ok = 1;

        for (step = 1; step <= in.len + 1; step += in.len ? in.len : 1) {
            d = make("permessage-deflate", &answer);

            for (n = 0; n < 3; n++) {
                rc = inflate_all(d, in.data, in.len, step, &out);

                if (m->text == NULL) {
                    ok &= (rc == NGX_DECLINED);
                    break;
                }

                ok &= (rc == NGX_OK && out.len == strlen(m->text)
                       && memcmp(out.data, m->text, out.len) == 0);
            }

            ngx_http_async_ws_deflate_free(d);
        }

        ngx_stub_ok(ok, "%s is %s, %s takeover", m->title,
                    m->text ? "read" : "refused",
                    takeover ? "with" : "without");

        free(in.data);
    }

    /* RFC 7692, 7.2.3.2: the second one refers to the first */

    defaults();
    conf.takeover = 1;

    d = make("permessage-deflate", &answer);
    ok = (inflate_all(d, (u_char *) "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 1, &out)
          == NGX_OK);
    ok &= (inflate_all(d, (u_char *) "\xf2\x00\x11\x00\x00", 5, 1, &out)
           == NGX_OK
           && out.len == 5 && memcmp(out.data, "Hello", 5) == 0);
    ngx_stub_ok(ok, "a message refers to the one before");
    ngx_http_async_ws_deflate_free(d);

    defaults();

    d = make("permessage-deflate", &answer);
    ok = (inflate_all(d, (u_char *) "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 1, &out)
          == NGX_OK);
    ok &= (inflate_all(d, (u_char *) "\xf2\x00\x11\x00\x00", 5, 1, &out)
           == NGX_DECLINED);
    ngx_stub_ok(ok, "which without takeover is wrong");
    ngx_http_async_ws_deflate_free(d);

    /* the same across a last block, in one message and over two */

    conf.takeover = 1;

    d = make("permessage-deflate", &answer);
    ok = (inflate_all(d, (u_char *) "\xf3\x48\xcd\xc9\xc9\x07\x00"
                      "\xf2\x00\x11\x00\x00", 12, 1, &out)
          == NGX_OK
          && out.len == 10 && memcmp(out.data, "HelloHello", 10) == 0);
    ngx_stub_ok(ok, "a block refers to what is before a last one");
    ngx_http_async_ws_deflate_free(d);

    d = make("permessage-deflate", &answer);
    ok = (inflate_all(d, (u_char *) "\xf3\x48\xcd\xc9\xc9\x07\x00", 7, 7, &out)
          == NGX_OK);
    ok &= (inflate_all(d, (u_char *) "\xf2\x00\x11\x00\x00", 5, 5, &out)
           == NGX_OK
           && out.len == 5 && memcmp(out.data, "Hello", 5) == 0);
    ngx_stub_ok(ok, "a message does");
    ngx_http_async_ws_deflate_free(d);
}


/* A message without its end is none, wherever it is cut. */

static void
test_truncated(void)
{
    size_t                        len, n;
    peer_t                        peer;
    ngx_str_t                     answer;
    ngx_uint_t                    wrong;
    ngx_http_async_ws_deflate_t  *d;

    defaults();

    peer_init(&peer, 0, 15);
    fill(text, 3000);
    len = peer_writes(&peer, text, 3000, packed);
    peer_free(&peer);

    wrong = 0;

    for (n = 1; n < len; n++) {
        d = make("permessage-deflate", &answer);
        wrong += (inflate_all(d, packed, n, 100, &out) != NGX_DECLINED);
        ngx_http_async_ws_deflate_free(d);
    }

    ngx_stub_ok(wrong == 0 && len > 500, "a message of %d bytes is refused "
                "wherever it is cut", (int) len);
}


static void
test_round_trips(void)
{
    int         level;
    ngx_uint_t  bits;

    for (bits = 9; bits <= 15; bits++) {
        for (level = 1; level <= 9; level += 4) {
            round_trips(0, bits, level);
            round_trips(1, bits, level);
        }
    }
}


static void
round_trips(ngx_uint_t takeover, ngx_uint_t bits, int level)
{
    char                          field[200];
    size_t                        n, step, len, total;
    peer_t                        peer;
    ngx_str_t                     answer;
    ngx_uint_t                    i, ok;
    ngx_http_async_ws_deflate_t  *d;

    static size_t  sizes[] = {
        0, 1, 5, 0, 125, 126, 1000, 1000, 16383, 16384, 70000, 0, 199999, 3
    };

    defaults();
    conf.takeover = takeover;
    conf.level = level;

    sprintf(field, "permessage-deflate; server_max_window_bits=%d; "
            "client_max_window_bits=%d", (int) bits, (int) bits);

    d = make(field, &answer);
    peer_init(&peer, takeover, (int) bits);

    ok = 1;
    total = 0;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        n = sizes[i];
        fill(text, n);

        for (step = 100000; step; step = (step > 1000) ? 777 : 0) {
            ok &= (deflate_all(d, text, n, step, &out) == NGX_OK);
            ok &= peer_reads(&peer, &out, text, n);
            total += out.len;

            len = peer_writes(&peer, text, n, packed);
            ok &= (inflate_all(d, packed, len, step, &out) == NGX_OK
                   && out.len == n && memcmp(out.data, text, n) == 0);
        }
    }

    peer_free(&peer);
    ngx_http_async_ws_deflate_free(d);

    ngx_stub_ok(ok, "messages of all sizes, a window of %d bits, level %d, %s "
                "takeover: %d bytes", (int) bits, level,
                takeover ? "with" : "without", (int) total);
}


/* Each part is there with what has been sent of it; the last may be empty. */

static void
test_parts(void)
{
    size_t                        sent, n, total;
    z_stream                      z;
    ngx_str_t                     answer;
    ngx_uint_t                    ok, i;
    ngx_http_async_ws_deflate_t  *d;

    defaults();

    fill(text, SIZE);

    d = make("permessage-deflate", &answer);

    memset(&z, 0, sizeof(z));
    inflateInit2(&z, -15);

    ok = 1;
    sent = 0;
    total = 0;

    for (i = 0; i < 6; i++) {
        n = (i == 2 || i == 5) ? 0 : 1000 + i * 5000;

        out.len = 0;
        out.max = sizeof(out.data);
        ok &= (ngx_http_async_ws_deflate(d, text + sent, n, i == 5, sink,
                                         &out)
               == NGX_OK);

        z.next_in = out.data;
        z.avail_in = (uInt) out.len;
        z.next_out = again.data;
        z.avail_out = sizeof(again.data);
        (void) inflate(&z, Z_SYNC_FLUSH);

        ok &= (sizeof(again.data) - z.avail_out == n && z.avail_in == 0
               && memcmp(again.data, text + sent, n) == 0);

        sent += n;
        total += out.len;
    }

    z.next_in = (u_char *) "\0\0\xff\xff";
    z.avail_in = 4;
    z.next_out = again.data;
    z.avail_out = sizeof(again.data);

    ok &= (inflate(&z, Z_BLOCK) == Z_OK && (z.data_type & 128)
           && z.avail_out == sizeof(again.data));

    inflateEnd(&z);
    ngx_http_async_ws_deflate_free(d);

    ngx_stub_ok(ok, "parts are read as they come: %d bytes of %d",
                (int) total, (int) sent);
}


static void
test_bomb(void)
{
    size_t                        len;
    peer_t                        peer;
    u_char                       *zeros, *bomb;
    ngx_int_t                     rc;
    ngx_str_t                     answer;
    ngx_http_async_ws_deflate_t  *d;

    defaults();

    zeros = calloc(1, 16 * 1024 * 1024);
    bomb = malloc(1024 * 1024);

    peer_init(&peer, 0, 15);
    len = peer_writes(&peer, zeros, 16 * 1024 * 1024, bomb);
    peer_free(&peer);

    d = make("permessage-deflate", &answer);

    out.len = 0;
    out.calls = 0;
    out.max = 100000;

    rc = ngx_http_async_ws_inflate(d, bomb, len, 1, sink, &out);

    ngx_stub_ok(rc == NGX_ABORT && out.len <= out.max
                && out.len + 16384 > out.max && out.calls <= 7,
                "16 MB of zeros in %d bytes come to %d before they are refused",
                (int) len, (int) out.len);

    ngx_http_async_ws_deflate_free(d);
    free(zeros);
    free(bomb);
}


static void
test_memory(void)
{
    size_t                        one;
    ngx_str_t                     answer;
    ngx_uint_t                    i;
    ngx_http_async_ws_deflate_t  *d[4];

    defaults();
    conf.takeover = 1;

    d[0] = make("permessage-deflate", &answer);
    one = ngx_http_async_ws_deflate_memory();

    ngx_stub_ok(one > 4 * 65536 && one < 5 * 65536,
                "the contexts of a connection take %d bytes", (int) one);

    conf.memory = 2 * one + 60000;

    d[1] = make("permessage-deflate", &answer);
    ngx_stub_ok(ngx_stub_is(&answer, "permessage-deflate"),
                "a second one has its own");

    d[2] = make("permessage-deflate", &answer);
    ngx_stub_ok(ngx_stub_is(&answer,
                            "permessage-deflate; server_no_context_takeover"),
                "what is left is enough for what the third one sends");

    d[3] = make("permessage-deflate", &answer);
    ngx_stub_ok(ngx_stub_is(&answer, "permessage-deflate" NONE),
                "and the fourth one does without");

    ngx_stub_ok(ngx_http_async_ws_deflate_memory() <= conf.memory,
                "the bound holds");

    ngx_http_async_ws_deflate_free(d[0]);
    ngx_http_async_ws_deflate_free(d[3]);

    d[0] = make("permessage-deflate", &answer);
    ngx_stub_ok(ngx_stub_is(&answer, "permessage-deflate"),
                "when one has gone, the next one has its own again");

    for (i = 0; i < 3; i++) {
        ngx_http_async_ws_deflate_free(d[i]);
    }

    ngx_stub_ok(ngx_http_async_ws_deflate_memory() == 0, "nothing is left");
}


/* Sessions amid messages have streams of their own; between them none. */

static void
test_sharing(void)
{
    size_t                        i, n, len, pos;
    peer_t                        peer;
    ngx_str_t                     answer;
    ngx_uint_t                    ok;
    static out_t                  outs[9];
    ngx_http_async_ws_deflate_t  *d[9];

    defaults();
    ngx_http_async_ws_deflate_exit();

    for (i = 0; i < 9; i++) {
        d[i] = make("permessage-deflate", &answer);
        outs[i].len = 0;
        outs[i].max = sizeof(outs[i].data);
    }

    seed = 7;
    fill(text, 5000);
    peer_init(&peer, 0, 15);
    len = peer_writes(&peer, text, 5000, packed);
    peer_free(&peer);

    ok = 1;

    for (pos = 0; pos < len; pos += n) {
        n = ngx_min(len - pos, 200);

        for (i = 0; i < 9; i++) {
            ok &= (ngx_http_async_ws_inflate(d[i], packed + pos, n,
                                             pos + n == len, sink, &outs[i])
                   == NGX_OK);
        }
    }

    for (i = 0; i < 9; i++) {
        ok &= (outs[i].len == 5000
               && memcmp(outs[i].data, text, 5000) == 0);
    }

    ngx_stub_ok(ok, "nine messages that come at once do not mix");

    /* the streams that are kept serve all: no memory is taken any more */

    ngx_stub_allocations = 0;
    ok = 1;

    for (i = 0; i < 90; i++) {
        ok &= (inflate_all(d[i % 9], packed, len, 300, &out) == NGX_OK);
    }

    ngx_stub_ok(ok, "ninety of them one after another take no memory");
    ngx_stub_allocations = -1;

    for (i = 0; i < 9; i++) {
        ngx_http_async_ws_deflate_free(d[i]);
    }
}


static void
test_shared(void)
{
    size_t                        n;
    peer_t                        peer;
    ngx_str_t                     answer, to;
    ngx_uint_t                    ok;
    ngx_http_async_ws_deflate_t  *d;

    static size_t  sizes[] = { 100, 4000, 5000, 150000, 100 };

    defaults();

    peer_init(&peer, 0, NGX_HTTP_ASYNC_WS_SHARED_BITS);
    ok = 1;

    for (n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
        fill(text, sizes[n]);

        ok &= (ngx_http_async_ws_deflate_shared(text, sizes[n], pool, &to)
               == NGX_OK && to.len < sizes[n]);

        memcpy(out.data, to.data, to.len);
        out.len = to.len;
        ok &= peer_reads(&peer, &out, text, sizes[n]);
    }

    peer_free(&peer);
    ngx_stub_ok(ok, "what is compressed for several is read with a window of "
                "%d bits", NGX_HTTP_ASYNC_WS_SHARED_BITS);

    for (n = 0; n < 1000; n++) {
        seed = seed * 1664525 + 1013904223;
        text[n] = (u_char) (seed >> 24);
    }

    ok = 1;

    for (n = 0; n < 1000; n++) {
        ok &= (ngx_http_async_ws_deflate_shared(text, n, pool, &to)
               == NGX_DECLINED);
    }

    ngx_stub_ok(ok, "and what does not become shorter is not compressed");

    d = make("permessage-deflate; server_max_window_bits=12", &answer);
    ok = (ngx_http_async_ws_deflate_stateless(d) == 1);
    d = make("permessage-deflate; server_max_window_bits=11", &answer);
    ok &= (ngx_http_async_ws_deflate_stateless(d) == 0);

    conf.takeover = 1;
    d = make("permessage-deflate", &answer);
    ok &= (ngx_http_async_ws_deflate_stateless(d) == 0
           && ngx_http_async_ws_deflate_forgets(d) == 0);
    ngx_http_async_ws_deflate_free(d);

    d = make("permessage-deflate; server_no_context_takeover", &answer);
    ok &= (ngx_http_async_ws_deflate_stateless(d) == 1
           && ngx_http_async_ws_deflate_forgets(d) == 1);
    ngx_http_async_ws_deflate_free(d);

    ngx_stub_ok(ok, "it is for whom it can be read by");
}


static void
test_no_memory(void)
{
    size_t                        len;
    peer_t                        peer;
    ngx_int_t                     n, rc;
    ngx_str_t                     answer;
    ngx_uint_t                    ok, failed;
    ngx_http_async_ws_deflate_t  *d;

    defaults();

    fill(text, 50000);
    peer_init(&peer, 0, 15);
    len = peer_writes(&peer, text, 50000, packed);
    peer_free(&peer);

    ok = 1;
    failed = 0;

    for (n = 0; n < 20; n++) {
        ngx_http_async_ws_deflate_exit();
        d = make("permessage-deflate", &answer);

        ngx_stub_allocations = n;
        rc = inflate_all(d, packed, len, 1000, &out);

        ok &= (rc == NGX_OK || rc == NGX_ERROR);
        failed += (rc == NGX_ERROR);

        ngx_stub_allocations = n;
        rc = deflate_all(d, text, 50000, 1000, &out);

        ok &= (rc == NGX_OK || rc == NGX_ERROR);
        failed += (rc == NGX_ERROR);

        ngx_stub_allocations = -1;
        ngx_http_async_ws_deflate_free(d);
    }

    ngx_stub_ok(ok && failed > 6 && failed < 20,
                "without memory messages fail, %d times, and nothing else",
                (int) failed);
}


/* How much of a coroutine's stack zlib takes. */

#if defined(__SANITIZE_ADDRESS__)

static void
test_stack(void)
{
    on_stack();
}

#else

static u_char       stack[STACK];
static ucontext_t   here, there;


static void
test_stack(void)
{
    size_t  n;

    memset(stack, 0x5a, STACK);

    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = STACK;
    there.uc_link = &here;
    makecontext(&there, on_stack, 0);
    swapcontext(&here, &there);

    for (n = 0; n < STACK && stack[n] == 0x5a; n++) { /* void */ }

    ngx_stub_ok(STACK - n < 4096, "both ways take %d bytes of stack",
                (int) (STACK - n));
}

#endif


static void
on_stack(void)
{
    int                           level;
    size_t                        len;
    ngx_str_t                     answer;
    ngx_http_async_ws_deflate_t  *d;

    defaults();

    for (level = 1; level <= 9; level++) {
        conf.level = level;

        d = make("permessage-deflate", &answer);
        (void) deflate_all(d, text, 50000, 50000, &out);

        len = out.len;
        memcpy(packed, out.data, len);
        (void) inflate_all(d, packed, len, len, &out);
    }
}


static ngx_http_async_ws_deflate_t *
make(const char *text, ngx_str_t *answer)
{
    ngx_str_t                     field;
    ngx_http_async_ws_offer_t     offer;
    ngx_http_async_ws_deflate_t  *d;

    field.data = (u_char *) text;
    field.len = strlen(text);

    if (ngx_http_async_ws_offer(&field, &offer) != NGX_OK
        || ngx_http_async_ws_deflate_new(pool, &conf, &offer, &d, answer)
           != NGX_OK)
    {
        abort();
    }

    return d;
}


static ngx_int_t
inflate_all(ngx_http_async_ws_deflate_t *d, const u_char *in, size_t len,
    size_t step, out_t *to)
{
    size_t     n;
    ngx_int_t  rc;

    to->len = 0;
    to->max = sizeof(to->data);

    do {
        n = ngx_min(len, step);

        rc = ngx_http_async_ws_inflate(d, in, n, n == len, sink, to);

        in += n;
        len -= n;

    } while (rc == NGX_OK && len);

    return rc;
}


static ngx_int_t
deflate_all(ngx_http_async_ws_deflate_t *d, const u_char *in, size_t len,
    size_t step, out_t *to)
{
    size_t     n;
    ngx_int_t  rc;

    to->len = 0;
    to->max = sizeof(to->data);

    do {
        n = ngx_min(len, step);

        rc = ngx_http_async_ws_deflate(d, in, n, n == len, sink, to);

        in += n;
        len -= n;

    } while (rc == NGX_OK && len);

    return rc;
}


static ngx_int_t
sink(void *data, const u_char *p, size_t len)
{
    out_t  *to = data;

    to->calls++;

    if (len == 0 || len > to->max - to->len) {
        return NGX_ABORT;
    }

    memcpy(to->data + to->len, p, len);
    to->len += len;

    return NGX_OK;
}


static void
peer_init(peer_t *peer, ngx_uint_t takeover, int bits)
{
    memset(peer, 0, sizeof(peer_t));

    peer->in_takeover = takeover;
    peer->out_takeover = takeover;

    inflateInit2(&peer->in, -bits);
    deflateInit2(&peer->out, 6, Z_DEFLATED, -bits, 8, Z_DEFAULT_STRATEGY);
}


static void
peer_free(peer_t *peer)
{
    inflateEnd(&peer->in);
    deflateEnd(&peer->out);
}


static ngx_uint_t
peer_reads(peer_t *peer, out_t *in, const u_char *data, size_t len)
{
    z_stream  *z;

    z = &peer->in;

    memcpy(in->data + in->len, "\0\0\xff\xff", 4);

    z->next_in = in->data;
    z->avail_in = (uInt) in->len + 4;
    z->next_out = again.data;
    z->avail_out = sizeof(again.data);

    if (inflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in
        || sizeof(again.data) - z->avail_out != len
        || memcmp(again.data, data, len) != 0)
    {
        return 0;
    }

    if (!peer->in_takeover) {
        inflateReset(z);
    }

    return 1;
}


static size_t
peer_writes(peer_t *peer, const u_char *data, size_t len, u_char *to)
{
    size_t     n;
    z_stream  *z;

    z = &peer->out;

    z->next_in = (u_char *) data;
    z->avail_in = (uInt) len;
    z->next_out = to;
    z->avail_out = 2 * SIZE;

    (void) deflate(z, Z_SYNC_FLUSH);

    n = 2 * SIZE - z->avail_out;

    if (!peer->out_takeover) {
        deflateReset(z);
    }

    if (n == 0) {
        to[0] = 0;
        return 1;
    }

    return n - 4;
}


/* Words, more or less. */

static void
fill(u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        p[i] = (i % 7 == 6) ? ' ' : 'a' + (seed >> 24) % 16;
    }
}
