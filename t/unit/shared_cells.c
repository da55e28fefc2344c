
/*
 * The storage of shared dictionaries: what it keeps, and in what order it gives
 * way.  Deaths: shared_deaths.c.
 */

#include "shared_cells.h"


static cells_t  *shared;


static void
test_plain(void)
{
    char      text[16];
    unsigned  i, n;
    uint64_t  waiters;
    cell_t   *cell;

    begin(shared);

    ngx_stub_ok(get(shared, "a") == NULL, "it is empty at first");
    ngx_stub_ok(set(shared, "a", "1") && has(shared, "a", "1"), "a value");
    ngx_stub_ok(set(shared, "a", "22") && has(shared, "a", "22"),
                "another one in its place");
    ngx_stub_ok(set(shared, "e", "") && has(shared, "e", ""), "an empty one");

    n = shared->nfree;
    ngx_stub_ok(set(shared, long_key, "x") && has(shared, long_key, "x")
                && n - shared->nfree == 3, "a key of 255 bytes");

    long_key[254] = 'z';
    ngx_stub_ok(get(shared, long_key) == NULL, "... and not another one");
    long_key[254] = 'k';

    ngx_http_async_cells_remove(shared, get(shared, long_key));
    ngx_stub_ok(get(shared, long_key) == NULL && n == shared->nfree,
                "what is deleted gives its cells back");

    for (i = 1; i < MAX_LEN; i += 7) {
        text[0] = long_value[i];
        long_value[i] = '\0';

        if (set(shared, "long", (char *) long_value) == NULL
            || !has(shared, "long", (char *) long_value))
        {
            break;
        }

        long_value[i] = text[0];
    }

    ngx_stub_ok(i >= MAX_LEN, "values of all lengths");
    ngx_stub_ok(put(shared, "long", NGX_HTTP_ASYNC_CELL_BYTES, long_value,
                    MAX_LEN, 0, NULL) != NULL
                && put(shared, "long", NGX_HTTP_ASYNC_CELL_BYTES, long_value,
                       MAX_LEN + 1, 0, NULL) == NULL
                && get(shared, "long")->len == MAX_LEN,
                "but none that is too long");

    begin(shared);

    for (i = 0; i < 1000; i++) {
        sprintf(text, "n%u", i);
        (void) set(shared, text, "x");
        ngx_http_async_cells_touch(shared, get(shared, "n0"));
    }

    for (n = 0; i && get(shared, text); n++) {
        sprintf(text, "n%u", --i);
    }

    ngx_stub_ok(n > 100 && n < 200 && get(shared, "n0")
                && get(shared, "n1") == NULL && check(shared) == NULL,
                "what was used longest ago gives way");

    begin(shared);
    waiters = 0;
    cell = put(shared, "f", NGX_HTTP_ASYNC_CELL_FLIGHT, NULL, 0, 0, NULL);
    cell->waiters = 5;

    for (i = 0; i < 1000; i++) {
        sprintf(text, "n%u", i);
        (void) put(shared, text, NGX_HTTP_ASYNC_CELL_BYTES, "x", 1, 0,
                   &waiters);
    }

    ngx_stub_ok(waiters == 0 && get(shared, "f") == NULL
                && cell->kind == NGX_HTTP_ASYNC_CELL_FLIGHT,
                "a flight is no value, and does not give way to values");

    (void) put(shared, "f", NGX_HTTP_ASYNC_CELL_BYTES, "x", 1, cell->id,
               &waiters);

    ngx_stub_ok(waiters == 5 && shared->flights.newest == 0
                && has(shared, "f", "x"), "its value ends it");

    begin(shared);
    prepare_flights(shared);
    waiters = 0;
    ngx_http_async_cells_at(shared, shared->flights.oldest)->waiters = 6;

    ngx_stub_ok(put(shared, "v", NGX_HTTP_ASYNC_CELL_BYTES, "x", 1, 0,
                    &waiters) && waiters == 6 && check(shared) == NULL,
                "where there is nothing else, a flight gives way");
}


static void
test_random(void)
{
    char         name[8];
    unsigned     i, k, gone, lens[30];
    const char  *wrong;
    cells_key_t  key;
    cell_t      *cell;

    begin(shared);
    memset(lens, 0, sizeof(lens));
    wrong = NULL;
    gone = 0;

    for (i = 0; i < 20000 && wrong == NULL; i++) {
        k = draw(30);
        sprintf(name, "r%u", k);
        key = key_of(shared, name);
        cell = ngx_http_async_cells_find(shared, &key);

        if (cell && (lens[k] == 0 || cell->len != lens[k] - 1)) {
            wrong = "a value is another one";
            break;
        }

        gone += (cell == NULL && lens[k]);

        switch (draw(4)) {

        case 0:
            if (cell) {
                ngx_http_async_cells_remove(shared, cell);
            }

            lens[k] = 0;
            break;

        case 1:
            if (cell) {
                ngx_http_async_cells_touch(shared, cell);
            }

            break;

        case 2:
            (void) ngx_http_async_cells_repair(shared);
            break;

        default:
            lens[k] = 1 + draw(draw(10) ? 900 : MAX_LEN);
            (void) put(shared, name, NGX_HTTP_ASYNC_CELL_BYTES, long_value,
                       lens[k] - 1, 0, NULL);
        }

        wrong = check(shared);
    }

    ngx_stub_ok(wrong == NULL && gone, "random changes%s%s",
                wrong ? ": " : "", wrong ? wrong : "");
}


int
main(void)
{
    shared = calloc(1, SIZE);

    make_texts();

    test_plain();
    test_random();

    free(shared);

    return ngx_stub_done();
}
