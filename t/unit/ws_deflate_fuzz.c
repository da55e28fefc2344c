
/*
 * libFuzzer's entry to permessage-deflate, see t/ws-deflate-fuzz.t.  By the
 * first byte what follows is a field of offers; compressed data, which comes to
 * the same however it is cut; or a message that is to come back.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_async_ws_deflate.h>


#define MAX  100000


typedef struct {
    uint64_t                        hash;
    size_t                          len;
} out_t;


int LLVMFuzzerTestOneInput(const u_char *data, size_t len);

static void offer(const u_char *data, size_t len);
static void cut(const u_char *data, size_t len, ngx_uint_t takeover);
static void back(const u_char *data, size_t len, ngx_uint_t takeover);
static ngx_http_async_ws_deflate_t *make(ngx_pool_t *pool,
    ngx_uint_t takeover);
static ngx_int_t sink(void *data, const u_char *p, size_t len);
static ngx_int_t send_to(void *data, const u_char *p, size_t len);


static ngx_cycle_t     cycle;
volatile ngx_cycle_t  *ngx_cycle = &cycle;

static u_char          wire[2 * MAX];
static size_t          nwire;


int
LLVMFuzzerTestOneInput(const u_char *data, size_t len)
{
    if (len < 2) {
        return 0;
    }

    switch (data[0] % 3) {

    case 0:
        offer(data + 1, len - 1);
        break;

    case 1:
        cut(data + 1, len - 1, data[0] & 0x80);
        break;

    default:
        back(data + 1, len - 1, data[0] & 0x80);
        break;
    }

    if (ngx_http_async_ws_deflate_memory() != 0) {
        abort();
    }

    return 0;
}


/* What is answered is an answer to that very offer. */

static void
offer(const u_char *data, size_t len)
{
    u_char                            *copy;
    ngx_str_t                          field, answer;
    ngx_pool_t                        *pool;
    ngx_http_async_ws_offer_t          to, same;
    ngx_http_async_ws_deflate_t       *d;
    ngx_http_async_ws_deflate_conf_t   conf;

    copy = malloc(len);
    memcpy(copy, data, len);

    field.data = copy;
    field.len = len;

    ngx_memzero(&conf, sizeof(conf));
    conf.level = 1;
    conf.window_bits = 9 + data[0] % 7;
    conf.takeover = len & 1;
    conf.memory = 1 << 20;

    pool = ngx_create_pool(4096, NULL);

    if (ngx_http_async_ws_offer(&field, &to) == NGX_OK) {

        if (ngx_http_async_ws_deflate_new(pool, &conf, &to, &d, &answer)
            != NGX_OK
            || answer.len == NGX_HTTP_ASYNC_WS_ANSWER_LEN
            || ngx_http_async_ws_offer(&answer, &same) != NGX_OK
            || (to.server_bits && (same.server_bits == 0
                                   || same.server_bits > to.server_bits))
            || (same.client_bits && (to.client_bits == 0
                                     || same.client_bits > to.client_bits))
            || (to.server_no_takeover && !same.server_no_takeover)
            || (to.client_no_takeover && !same.client_no_takeover))
        {
            abort();
        }

        ngx_http_async_ws_deflate_free(d);
    }

    ngx_destroy_pool(pool);
    free(copy);
}


/* Two messages in one piece, and in pieces as the data itself says. */

static void
cut(const u_char *data, size_t len, ngx_uint_t takeover)
{
    size_t                        pos, n;
    out_t                         out[2];
    ngx_int_t                     rc[2];
    ngx_uint_t                    i, twice;
    ngx_pool_t                   *pool;
    ngx_http_async_ws_deflate_t  *d;

    pool = ngx_create_pool(4096, NULL);

    for (i = 0; i < 2; i++) {
        ngx_memzero(&out[i], sizeof(out_t));

        d = make(pool, takeover);
        rc[i] = NGX_OK;

        for (twice = 0; twice < 2 && rc[i] == NGX_OK; twice++) {

            pos = 0;

            do {
                n = i ? ngx_min(len - pos, 1U + data[pos] % 9) : len;

                rc[i] = ngx_http_async_ws_inflate(d, data + pos, n,
                                                  pos + n == len, sink,
                                                  &out[i]);
                pos += n;

            } while (rc[i] == NGX_OK && pos < len);
        }

        ngx_http_async_ws_deflate_free(d);
    }

    if (rc[0] != rc[1]
        || (rc[0] == NGX_OK && (out[0].hash != out[1].hash
                                || out[0].len != out[1].len)))
    {
        abort();
    }

    ngx_destroy_pool(pool);
}


static void
back(const u_char *data, size_t len, ngx_uint_t takeover)
{
    size_t                        pos, n;
    out_t                         in, out;
    ngx_uint_t                    twice;
    ngx_pool_t                   *pool;
    ngx_http_async_ws_deflate_t  *d, *peer;

    pool = ngx_create_pool(4096, NULL);

    d = make(pool, takeover);
    peer = make(pool, takeover);

    ngx_memzero(&out, sizeof(out_t));
    (void) sink(&out, data, len);

    for (twice = 0; twice < 2; twice++) {

        ngx_memzero(&in, sizeof(out_t));

        /* a part is all there when it has been read */

        for (pos = 0; pos < len; pos += n) {
            n = ngx_min(len - pos, 1U + data[pos]);
            nwire = 0;

            if (ngx_http_async_ws_deflate(d, data + pos, n, pos + n == len,
                                          send_to, NULL)
                != NGX_OK
                || ngx_http_async_ws_inflate(peer, wire, nwire,
                                             pos + n == len, sink, &in)
                   != NGX_OK
                || in.len != pos + n)
            {
                abort();
            }
        }

        if (in.hash != out.hash) {
            abort();
        }
    }

    ngx_http_async_ws_deflate_free(d);
    ngx_http_async_ws_deflate_free(peer);
    ngx_destroy_pool(pool);
}


static ngx_http_async_ws_deflate_t *
make(ngx_pool_t *pool, ngx_uint_t takeover)
{
    ngx_str_t                          answer;
    ngx_http_async_ws_offer_t          offer;
    ngx_http_async_ws_deflate_t       *d;
    ngx_http_async_ws_deflate_conf_t   conf;

    ngx_memzero(&conf, sizeof(conf));
    conf.level = 1;
    conf.window_bits = 9;
    conf.takeover = takeover;
    conf.memory = 1 << 20;

    ngx_memzero(&offer, sizeof(offer));

    if (ngx_http_async_ws_deflate_new(pool, &conf, &offer, &d, &answer)
        != NGX_OK)
    {
        abort();
    }

    return d;
}


static ngx_int_t
sink(void *data, const u_char *p, size_t len)
{
    size_t  i;
    out_t  *out = data;

    out->len += len;

    if (out->len > MAX) {
        return NGX_ABORT;
    }

    for (i = 0; i < len; i++) {
        out->hash = (out->hash ^ p[i]) * UINT64_C(1099511628211);
    }

    return NGX_OK;
}


static ngx_int_t
send_to(void *data, const u_char *p, size_t len)
{
    (void) data;

    if (nwire + len > sizeof(wire)) {
        abort();
    }

    memcpy(wire + nwire, p, len);
    nwire += len;

    return NGX_OK;
}
