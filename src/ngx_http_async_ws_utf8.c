
/*
 * Copyright (C) the nginx-async authors
 *
 * UTF-8 (RFC 3629) in pieces, so that a text is refused with the first byte
 * that cannot be one of its.  Knows no session.
 *
 * The state between two bytes of a character: how many are to come, and from
 * what to what the next one may be.
 */

#include <ngx_http_async_ws_utf8.h>


#define ngx_http_async_ws_utf8_state(left, low, high)                        \
    ((uint32_t) (left) | (uint32_t) (low) << 8 | (uint32_t) (high) << 16)

#define NGX_HTTP_ASYNC_WS_UTF8_BAD  ((uint32_t) -1)


static uint32_t ngx_http_async_ws_utf8_begin(u_char c);
static const u_char *ngx_http_async_ws_ascii(const u_char *p,
    const u_char *last);


ngx_int_t
ngx_http_async_ws_utf8(uint32_t *state, const u_char *p, size_t len)
{
    uint32_t       s, left;
    const u_char  *last;

    s = *state;
    last = p + len;

    while (p < last) {

        if (s == 0) {
            p = ngx_http_async_ws_ascii(p, last);

            if (p == last) {
                break;
            }

            s = ngx_http_async_ws_utf8_begin(*p++);

            if (s == NGX_HTTP_ASYNC_WS_UTF8_BAD) {
                return NGX_ERROR;
            }

            continue;
        }

        if (*p < (s >> 8 & 0xff) || *p > s >> 16) {
            return NGX_ERROR;
        }

        p++;
        left = (s & 0xff) - 1;
        s = left ? ngx_http_async_ws_utf8_state(left, 0x80, 0xbf) : 0;
    }

    *state = s;

    return NGX_OK;
}


/* Behind the ASCII from there. */

static const u_char *
ngx_http_async_ws_ascii(const u_char *p, const u_char *last)
{
    uint64_t  eight;

    while (last - p >= 8) {
        ngx_memcpy(&eight, p, 8);

        if (eight & 0x8080808080808080) {
            break;
        }

        p += 8;
    }

    while (p < last && *p < 0x80) {
        p++;
    }

    return p;
}


/*
 * The second byte tells too long forms, surrogates, and what is beyond U+10FFFF
 * (RFC 3629, 4).
 */

static uint32_t
ngx_http_async_ws_utf8_begin(u_char c)
{
    if (c < 0xc2 || c > 0xf4) {
        return NGX_HTTP_ASYNC_WS_UTF8_BAD;
    }

    if (c < 0xe0) {
        return ngx_http_async_ws_utf8_state(1, 0x80, 0xbf);
    }

    switch (c) {

    case 0xe0:
        return ngx_http_async_ws_utf8_state(2, 0xa0, 0xbf);

    case 0xed:
        return ngx_http_async_ws_utf8_state(2, 0x80, 0x9f);

    case 0xf0:
        return ngx_http_async_ws_utf8_state(3, 0x90, 0xbf);

    case 0xf4:
        return ngx_http_async_ws_utf8_state(3, 0x80, 0x8f);

    default:
        return ngx_http_async_ws_utf8_state(c < 0xf0 ? 2 : 3, 0x80, 0xbf);
    }
}
