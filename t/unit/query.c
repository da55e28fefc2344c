
/*
 * A filter for query.py: of a line "q HEX" the names and values of that query
 * string, of "c HEX HEX" the value of the cookie of that name in a line, of
 * "-" nothing; in hexadecimal.  Alone, it runs a few cases without memory.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_async_cookie.h>
#include <ngx_http_async_query.h>
#include "ngx_stub.h"


static void query(const char *hex);
static void cookie(char *hex);
static void without_memory(void);


int
main(int argc, char **argv)
{
    char  line[65536];

    if (argc < 2 || strcmp(argv[1], "filter") != 0) {
        without_memory();
        return ngx_stub_done();
    }

    while (fgets(line, sizeof(line), stdin)) {

        if (line[0] == 'q') {
            query(line + 2);

        } else {
            cookie(line + 2);
        }

        printf("\n");
    }

    return 0;
}


static void
query(const char *hex)
{
    ngx_str_t                text;
    ngx_uint_t               i;
    ngx_pool_t              *pool;
    ngx_array_t             *pairs;
    ngx_http_async_query_t  *q;

    text = ngx_stub_unhex(hex);
    pool = ngx_create_pool(0, NULL);
    pairs = ngx_http_async_query_split(pool, &text);
    q = pairs->elts;

    for (i = 0; i < pairs->nelts; i++) {
        ngx_stub_hex(&q[i].name);
        printf("=");
        ngx_stub_hex(&q[i].value);
        printf("&");
    }

    ngx_destroy_pool(pool);
    free(text.data);
}


static void
cookie(char *hex)
{
    u_char     *to;
    ngx_str_t   line, name, value;

    line = ngx_stub_unhex(hex);
    name = ngx_stub_unhex(strchr(hex, ' ') + 1);

    if (ngx_http_async_cookie_find(&line, &name, &value)) {
        to = malloc(value.len);
        value.len = ngx_http_async_cookie_unquote(&value, to);
        value.data = to;

        printf("=");
        ngx_stub_hex(&value);
        free(to);
    }

    free(line.data);
    free(name.data);
}


static void
without_memory(void)
{
    ngx_str_t     text = ngx_string("a=1&b=2&c=3&d=4&e=5");
    ngx_int_t     n;
    ngx_pool_t   *pool;
    ngx_array_t  *pairs;

    for (n = 0; n < 5; n++) {
        pool = ngx_create_pool(0, NULL);

        ngx_stub_allocations = n;
        pairs = ngx_http_async_query_split(pool, &text);
        ngx_stub_allocations = -1;

        ngx_stub_ok((pairs != NULL) == (n == 4),
                    "%d allocations are %s", (int) n,
                    (n == 4) ? "enough" : "too few");

        ngx_destroy_pool(pool);
    }
}
