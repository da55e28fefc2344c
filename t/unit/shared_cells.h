
/*
 * What the tests of the storage of shared dictionaries have in common: values
 * put and got, and what always holds.
 */


#ifndef _SHARED_CELLS_H_INCLUDED_
#define _SHARED_CELLS_H_INCLUDED_


#include <ngx_http_async_shared_cells.h>
#include "ngx_stub.h"


#define SIZE     (20 * 1024)
#define MAX_LEN  (SIZE / 4)

/* more cells than there are */
#define MANY     512


typedef ngx_http_async_cells_t        cells_t;
typedef ngx_http_async_cell_t         cell_t;
typedef ngx_http_async_cells_key_t    cells_key_t;
typedef ngx_http_async_cells_value_t  cells_value_t;


static unsigned         seed_of = 1;
static const uint64_t   seed[2] = { 1, 2 };
static u_char           long_value[MAX_LEN];
static char             long_key[NGX_HTTP_ASYNC_CELLS_KEY + 1];


static unsigned
draw(unsigned n)
{
    seed_of = seed_of * 1103515245 + 12345;

    return (seed_of >> 8) % n;
}


static void
begin(cells_t *cells)
{
    memset(cells, 0, SIZE);

    if (ngx_http_async_cells_init(cells, SIZE, MAX_LEN, seed) != NGX_OK) {
        abort();
    }
}


static cells_key_t
key_of(cells_t *cells, const char *text)
{
    cells_key_t  key;

    ngx_http_async_cells_key(cells, &key, text, strlen(text));

    return key;
}


static cell_t *
put(cells_t *cells, const char *text, int kind, const void *data, size_t len,
    uint64_t id, uint64_t *waiters)
{
    uint64_t       none;
    cells_key_t    key;
    cells_value_t  value;

    key = key_of(cells, text);
    memset(&value, 0, sizeof(value));

    value.kind = kind;
    value.data = data;
    value.len = len;
    value.id = id;

    none = 0;

    return ngx_http_async_cells_put(cells, &key, &value,
                                    waiters ? waiters : &none);
}


static cell_t *
set(cells_t *cells, const char *text, const char *value)
{
    return put(cells, text, NGX_HTTP_ASYNC_CELL_BYTES, value, strlen(value),
               0, NULL);
}


static cell_t *
get(cells_t *cells, const char *text)
{
    cells_key_t  key;

    key = key_of(cells, text);

    return ngx_http_async_cells_find(cells, &key);
}


static int
has(cells_t *cells, const char *text, const char *value)
{
    u_char   data[MAX_LEN];
    cell_t  *cell;

    cell = get(cells, text);

    if (cell == NULL || value == NULL) {
        return cell == NULL && value == NULL;
    }

    ngx_http_async_cells_read(cells, cell, data);

    return cell->len == strlen(value) && memcmp(data, value, cell->len) == 0;
}


static void
make_texts(void)
{
    size_t  i;

    memset(long_key, 'k', NGX_HTTP_ASYNC_CELLS_KEY);

    for (i = 0; i < MAX_LEN - 1; i++) {
        long_value[i] = 'a' + i % 23;
    }
}


static void
prepare_flights(cells_t *cells)
{
    char      name[16];
    unsigned  i;

    for (i = 0; cells->nfree; i++) {
        snprintf(name, sizeof(name), "l%u", i);
        (void) put(cells, name, NGX_HTTP_ASYNC_CELL_FLIGHT, NULL, 0, 0, NULL);
    }
}


/* ---- what always holds; gives what is wrong */

static const char *
check_list(cells_t *cells, ngx_http_async_cells_list_t *list, u_char *seen)
{
    uint32_t      n, part, newer, *link;
    uint64_t      used;
    cell_t       *cell;
    size_t        bytes;

    newer = 0;
    used = UINT64_MAX;

    for (n = list->newest; n; newer = n, n = cell->older) {

        if (n >= cells->fresh || seen[n]) {
            return "a list has a loop, or what it does not know";
        }

        cell = ngx_http_async_cells_at(cells, n);

        if (cell->state != NGX_HTTP_ASYNC_CELL_WHOLE
            || ngx_http_async_cells_list(cells, cell) != list)
        {
            return "a list has what does not belong there";
        }

        if (cell->newer != newer || cell->used >= used
            || cell->used > cells->tick)
        {
            return "a list is not in order";
        }

        used = cell->used;
        seen[n] = 1;

        link = ngx_http_async_cells_bucket(cells, cell->hash);

        for (part = *link; part && part != n;
             part = ngx_http_async_cells_at(cells, part)->chain)
        {
            /* void */
        }

        if (part != n) {
            return "an entry is not found";
        }

        bytes = cell->key_len + cell->len;
        bytes -= ngx_min(bytes, sizeof(cell->data));

        for (part = cell->next; part;
             part = ngx_http_async_cells_at(cells, part)->next)
        {
            if (part >= cells->fresh || seen[part]
                || ngx_http_async_cells_at(cells, part)->state
                   != NGX_HTTP_ASYNC_CELL_PART)
            {
                return "an entry has a cell that is not its own";
            }

            seen[part] = 1;

            if (bytes == 0) {
                return "an entry has too many cells";
            }

            bytes -= ngx_min(bytes, 120);
        }

        if (bytes) {
            return "an entry has too few cells";
        }
    }

    return (list->oldest == newer) ? NULL : "the oldest is another one";
}


static const char *
check(cells_t *cells)
{
    static u_char  seen[MANY];
    uint32_t       n, chain, nfree, chained, whole;
    const char    *wrong;

    memset(seen, 0, sizeof(seen));

    wrong = check_list(cells, &cells->values, seen);

    if (wrong == NULL) {
        wrong = check_list(cells, &cells->flights, seen);
    }

    if (wrong) {
        return wrong;
    }

    whole = 0;

    for (n = 1; n < cells->fresh; n++) {
        whole += (ngx_http_async_cells_at(cells, n)->state
                  == NGX_HTTP_ASYNC_CELL_WHOLE);

        if (ngx_http_async_cells_at(cells, n)->state
            == NGX_HTTP_ASYNC_CELL_WHOLE && !seen[n])
        {
            return "an entry is in no list";
        }
    }

    chained = 0;

    for (n = 0; n < cells->nbuckets; n++) {
        for (chain = cells->buckets[n]; chain;
             chain = ngx_http_async_cells_at(cells, chain)->chain)
        {
            if (++chained > whole) {
                return "a bucket has what is no entry, or a loop";
            }
        }
    }

    nfree = cells->ncells - cells->fresh;

    for (n = cells->free; n; n = ngx_http_async_cells_at(cells, n)->next) {

        if (n >= cells->fresh || seen[n]) {
            return "a free cell is one of an entry, or there is a loop";
        }

        seen[n] = 1;
        nfree++;
    }

    if (nfree != cells->nfree || chained != whole) {
        return "the free cells are miscounted";
    }

    for (n = 1; n < cells->fresh; n++) {
        if (!seen[n]) {
            return "a cell is lost";
        }
    }

    return NULL;
}


#endif /* _SHARED_CELLS_H_INCLUDED_ */
