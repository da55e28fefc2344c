
/*
 * libFuzzer's entry to the parser of multipart/form-data, see t/multipart.t: the
 * first byte is the size of the pieces.  However it is cut, the same comes out.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_async_multipart.h>


#define HEADERS  200


int LLVMFuzzerTestOneInput(const u_char *data, size_t len);

static uint64_t run(const u_char *data, size_t len, size_t step);
static uint64_t mix(uint64_t hash, const u_char *data, size_t len);


int
LLVMFuzzerTestOneInput(const u_char *data, size_t len)
{
    if (len < 2) {
        return 0;
    }

    if (run(data + 1, len - 1, len) != run(data + 1, len - 1, 1 + data[0] % 16))
    {
        abort();
    }

    return 0;
}


static uint64_t
run(const u_char *data, size_t len, size_t step)
{
    size_t                             pos, n;
    u_char                            *copy, *headers;
    uint64_t                           hash;
    ngx_str_t                          type, piece;
    ngx_http_async_multipart_t         mp;
    ngx_http_async_multipart_event_e   event;

    u_char  text[] = "multipart/form-data; boundary=x";

    type.data = text;
    type.len = sizeof(text) - 1;

    headers = malloc(HEADERS);
    hash = UINT64_C(14695981039346656037);
    event = NGX_HTTP_ASYNC_MULTIPART_MORE;

    if (ngx_http_async_multipart_init(&mp, &type, headers, HEADERS) != NGX_OK)
    {
        abort();
    }

    for (pos = 0; pos < len; pos += n) {
        n = ngx_min(step, len - pos);

        copy = malloc(n);
        memcpy(copy, data + pos, n);

        piece.data = copy;
        piece.len = n;

        do {
            event = ngx_http_async_multipart_next(&mp, &piece);

            switch (event) {

            case NGX_HTTP_ASYNC_MULTIPART_PART:
                hash = mix(hash, (u_char *) "[", 1);
                hash = mix(hash, mp.name.data, mp.name.len);
                hash = mix(hash, mp.filename.data, mp.filename.len);
                hash = mix(hash, mp.type.data, mp.type.len);
                break;

            case NGX_HTTP_ASYNC_MULTIPART_DATA:
                hash = mix(hash, mp.data.data, mp.data.len);
                break;

            case NGX_HTTP_ASYNC_MULTIPART_END:
                hash = mix(hash, (u_char *) "]", 1);
                break;

            default:
                break;
            }

        } while (event != NGX_HTTP_ASYNC_MULTIPART_MORE
                 && event != NGX_HTTP_ASYNC_MULTIPART_ERROR);

        free(copy);
    }

    free(headers);

    hash = mix(hash, (u_char *) (event == NGX_HTTP_ASYNC_MULTIPART_ERROR
                                 ? "!" : "."), 1);

    return hash + ngx_http_async_multipart_complete(&mp);
}


static uint64_t
mix(uint64_t hash, const u_char *data, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        hash = (hash ^ data[i]) * UINT64_C(1099511628211);
    }

    return hash;
}
