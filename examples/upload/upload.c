
/*
 * Bodies of any length, in pieces: in, out, and both at once.  Each handler
 * goes at the pace of its client, with one piece in memory.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <ngx_async.h>


#define PIECE     65536
#define MAX_SIZE  1000000000000


/* cksum(1), of POSIX: a CRC of the bytes and of their number */

static uint32_t  crc_of[256];


ASYNC_STARTUP(make_table)
{
    uint32_t  byte, bit, crc;

    for (byte = 0; byte < 256; byte++) {
        crc = byte << 24;

        for (bit = 0; bit < 8; bit++) {
            crc = crc & 0x80000000 ? crc << 1 ^ 0x04c11db7 : crc << 1;
        }

        crc_of[byte] = crc;
    }

    return ASYNC_OK;
}


static uint32_t
cksum_add(uint32_t crc, const unsigned char *data, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        crc = crc << 8 ^ crc_of[crc >> 24 ^ data[i]];
    }

    return crc;
}


static uint32_t
cksum_end(uint32_t crc, uint64_t len)
{
    unsigned char  byte;

    for ( /* void */ ; len; len >>= 8) {
        byte = (unsigned char) len;
        crc = cksum_add(crc, &byte, 1);
    }

    return ~crc;
}


ASYNC_HANDLER(upload)
{
    size_t          n;
    uint32_t        crc = 0;
    uint64_t        len = 0;
    unsigned char  *piece;

    piece = async_alloc(req, PIECE);

    if (piece == NULL) {
        return ASYNC_ERROR;
    }

    do {
        ASYNC_TRY(await_body_read(co, req, piece, PIECE, &n));

        crc = cksum_add(crc, piece, n);
        len += n;

    } while (n);

    return async_json_pack(req, 200, "{s:I, s:I}", "length", (json_int_t) len,
                           "cksum", (json_int_t) cksum_end(crc, len));
}


/* /download?size=N  as many bytes: the alphabet, over and over */

ASYNC_HANDLER(download)
{
    char     *piece;
    size_t    n, whole;
    int64_t   size;

    ASYNC_TRY(async_query_int(req, "size", &size));

    if (size < 0 || size > MAX_SIZE) {
        return async_fail(req, 422, "size must be from 0 to 1000000000000");
    }

    piece = async_alloc(req, PIECE);

    if (piece == NULL) {
        return ASYNC_ERROR;
    }

    whole = PIECE - PIECE % 27;            /* lines of "a" to "z" */

    for (n = 0; n < whole; n++) {
        piece[n] = n % 27 == 26 ? '\n' : (char) ('a' + n % 27);
    }

    /* the length is known, so that a client can tell how far it is */

    ASYNC_TRY(async_stream(req, 200, "text/plain", size));

    do {
        n = size < (int64_t) whole ? (size_t) size : whole;

        ASYNC_TRY(await_send(co, req, piece, n));

        size -= (int64_t) n;

    } while (size);

    return ASYNC_OK;
}


/* What comes goes: of the same type and, if the client tells it, length */

ASYNC_HANDLER(echo)
{
    char         *piece;
    size_t        n;
    async_str_t   len;

    len = async_header(req, "content-length");
    piece = async_alloc(req, PIECE);

    if (piece == NULL) {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(async_stream(req, 200, async_header(req, "content-type").data,
                           len.data ? strtoll(len.data, NULL, 10) : -1));

    do {
        ASYNC_TRY(await_body_read(co, req, piece, PIECE, &n));
        ASYNC_TRY(await_send(co, req, piece, n));
    } while (n);

    return ASYNC_OK;
}
