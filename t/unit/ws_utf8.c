
/*
 * UTF-8 of WebSocket's texts: every sequence of bytes up to the one that ends a
 * character, or cannot be one of its, cut at each place, against a decoder that
 * goes by the numbers.  What follows a character is as what begins a text: the
 * state is the same, which is looked at.  So this is every text.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_stub.h"
#include <ngx_http_async_ws_utf8.h>


/* what goes before: the fast path of ASCII takes eight bytes at a time */
#define BEFORE  17


typedef enum {
    COMPLETE = 0,
    HALF,
    WRONG
} verdict_e;


static verdict_e decoded(const u_char *p, size_t len);
static verdict_e ours(const u_char *p, size_t len, ngx_uint_t cuts);
static void look(u_char *p, size_t len);
static ngx_uint_t is_left_out(ngx_uint_t c);
static void test_places(void);
static void test_texts(void);


static ngx_uint_t  complete, differ;


int
main(void)
{
    u_char  p[4];

    look(p, 0);

    ngx_stub_ok(differ == 0, "all sequences, cut at each place");

#if !(__SANITIZE_ADDRESS__)
    ngx_stub_ok(complete == 0x110000 - 0x800, "... which make each character "
                "of Unicode: %d", (int) complete);
#endif

    test_places();
    test_texts();

    return ngx_stub_done();
}


/* RFC 3629, 3, by the number of the character, or those it may still become */

static verdict_e
decoded(const u_char *p, size_t len)
{
    size_t    i, n;
    uint32_t  low, high, least;

    if (len == 0 || p[0] < 0x80) {
        return COMPLETE;
    }

    if ((p[0] & 0xe0) == 0xc0) {
        n = 2;
        low = p[0] & 0x1f;
        least = 0x80;

    } else if ((p[0] & 0xf0) == 0xe0) {
        n = 3;
        low = p[0] & 0x0f;
        least = 0x800;

    } else if ((p[0] & 0xf8) == 0xf0) {
        n = 4;
        low = p[0] & 0x07;
        least = 0x10000;

    } else {
        return WRONG;
    }

    high = low;

    for (i = 1; i < n; i++) {

        if (i < len && (p[i] & 0xc0) != 0x80) {
            return WRONG;
        }

        low = low << 6 | (i < len ? p[i] & 0x3f : 0);
        high = high << 6 | (i < len ? p[i] & 0x3f : 0x3f);
    }

    low = ngx_max(low, least);
    high = ngx_min(high, 0x10ffff);

    if (low > high || (low >= 0xd800 && high <= 0xdfff)) {
        return WRONG;
    }

    return (len < n) ? HALF : COMPLETE;
}


/* In pieces: a bit of "cuts" for each byte that another piece begins behind. */

static verdict_e
ours(const u_char *p, size_t len, ngx_uint_t cuts)
{
    size_t    i, from;
    uint32_t  state;

    state = 0;
    from = 0;

    for (i = 1; i <= len; i++) {

        if (i < len && !(cuts & (1 << (i - 1)))) {
            continue;
        }

        if (ngx_http_async_ws_utf8(&state, p + from, i - from) != NGX_OK) {
            return WRONG;
        }

        from = i;
    }

    return state ? HALF : COMPLETE;
}


static void
look(u_char *p, size_t len)
{
    ngx_uint_t  c, cuts;
    verdict_e   expected;

    for (c = 0; c < 256; c++) {
        p[len] = (u_char) c;

        if (is_left_out(c) && len > 1) {
            continue;
        }

        expected = decoded(p, len + 1);

        for (cuts = 0; cuts < (ngx_uint_t) 1 << len; cuts++) {
            differ += (ours(p, len + 1, cuts) != expected);
        }

        if (expected == HALF) {

            if (len == 3) {
                /* there are none of five */
                differ++;
                continue;
            }

            look(p, len + 1);
        }

        complete += (expected == COMPLETE);
    }
}


/* Sanitizers take their time: of the third and fourth bytes only the edges. */

static ngx_uint_t
is_left_out(ngx_uint_t c)
{
#if (__SANITIZE_ADDRESS__)
    return (c > 0x01 && c < 0x7e) || (c > 0x82 && c < 0xbe) || c > 0xc2;
#else
    (void) c;
    return 0;
#endif
}


/* Behind any number of ASCII, which is looked at eight bytes at a time. */

static void
test_places(void)
{
    u_char      p[BEFORE + 4];
    size_t      i, len;
    uint32_t    state;
    ngx_uint_t  bad;
    verdict_e   v;

    static const char  *texts[] = {
        "\x80", "\xff", "\xc3\xa9", "\xc3", "\xc3x", "\xe2\x82\xac",
        "\xe2\x82", "\xed\xa0\x80", "\xf0\x9f\x98\x80", "\xf4\x90\x80\x80"
    };

    bad = 0;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        for (len = 0; len <= BEFORE; len++) {
            memset(p, 'a', len);
            memcpy(p + len, texts[i], strlen(texts[i]));

            state = 0;

            v = (ngx_http_async_ws_utf8(&state, p, len + strlen(texts[i]))
                 != NGX_OK) ? WRONG : state ? HALF : COMPLETE;

            bad += (v != decoded((u_char *) texts[i], strlen(texts[i])));
        }
    }

    ngx_stub_ok(bad == 0, "behind up to %d bytes of ASCII", BEFORE);
}


/* Characters of all lengths in a row, in pieces of all lengths. */

static void
test_texts(void)
{
    size_t      piece, i, n;
    uint32_t    state;
    ngx_uint_t  bad;

    static const u_char  text[] =
        "plain, then \xc3\xa9t\xc3\xa9 and \xe2\x82\xac\xed\x9f\xbf\xee\x80\x80"
        " and \xf0\x90\x80\x80\xf4\x8f\xbf\xbf with a long end of ASCII";

    bad = 0;

    for (piece = 1; piece <= sizeof(text); piece++) {
        state = 0;

        for (i = 0; i < sizeof(text); i += n) {
            n = ngx_min(piece, sizeof(text) - i);
            bad += (ngx_http_async_ws_utf8(&state, text + i, n) != NGX_OK);
        }

        bad += (state != 0);
    }

    ngx_stub_ok(bad == 0, "a text in pieces of any length");
}
