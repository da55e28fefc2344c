
/*
 * Copyright (C) the nginx-async authors
 *
 * Header fields: see ngx_http_async_field.h.
 */

#include <ngx_http_async_field.h>


static const uint32_t  ngx_http_async_tchar[] = {
    0x00000000, /* 0000 0000 0000 0000  0000 0000 0000 0000 */

                /* ?>=< ;:98 7654 3210  /.-, +*)( '&%$ #"!  */
    0x03ff6cfa, /* 0000 0011 1111 1111  0110 1100 1111 1010 */

                /* _^]\ [ZYX WVUT SRQP  ONML KJIH GFED CBA@ */
    0xc7fffffe, /* 1100 0111 1111 1111  1111 1111 1111 1110 */

                /*  ~}| {zyx wvut srqp  onml kjih gfed cba` */
    0x57ffffff, /* 0101 0111 1111 1111  1111 1111 1111 1111 */

    0, 0, 0, 0
};


ngx_uint_t
ngx_http_async_is_token(const char *p)
{
    u_char  c;

    if (*p == '\0') {
        return 0;
    }

    for ( /* void */ ; *p; p++) {
        c = (u_char) *p;

        if (!(ngx_http_async_tchar[c >> 5] & (1U << (c & 0x1f)))) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_http_async_has_control(const char *p)
{
    for ( /* void */ ; *p; p++) {
        if (((u_char) *p < ' ' && *p != '\t') || *p == 0x7f) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_async_has_controls(const u_char *p, size_t len)
{
    size_t    i;
    uint64_t  word, low;

    /* eight at once, as long as all are printable, or beyond ASCII */

    for (i = 0; i + 8 <= len; i += 8) {
        ngx_memcpy(&word, p + i, 8);

        low = word & 0x7f7f7f7f7f7f7f7f;

        /* the high bit says that a byte is not below 32, and is not 127 */

        low = (low + 0x6060606060606060) & ~(low + 0x0101010101010101);

        if (((low | word) & 0x8080808080808080) != 0x8080808080808080) {
            break;
        }
    }

    for ( /* void */ ; i < len; i++) {
        if ((p[i] < ' ' && p[i] != '\t') || p[i] == 0x7f) {
            return 1;
        }
    }

    return 0;
}
