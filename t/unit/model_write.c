
/*
 * Structs as JSON: what t/model-write.t cannot see, the want of memory.  Called
 * with "time N", it writes a struct of 1 kB N times, 1,000,000 say, and with
 * "tree N" the same by jansson.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <stdbool.h>
#include <ngx_http_async_model_write.h>
#include "ngx_stub.h"


typedef struct {
    const char   *product;
    double        price;
    int           count;
    bool          gift;
} item_t;

ASYNC_MODEL(item_model, item_t,
    ASYNC_FIELD(item_t, product),
    ASYNC_FIELD(item_t, price),
    ASYNC_FIELD(item_t, count),
    ASYNC_FIELD(item_t, gift)
);


typedef struct order_s  order_t;

struct order_s {
    int64_t        id;
    const char    *name;
    async_str_t    street;
    int64_t        created;
    const char   **tags;
    size_t         n_tags;
    item_t        *items;
    size_t         n_items;
    order_t       *before;
};

ASYNC_MODEL(order_model, order_t,
    ASYNC_FIELD(order_t, id),
    ASYNC_FIELD(order_t, name),
    ASYNC_FIELD(order_t, street),
    ASYNC_FIELD(order_t, created, ASYNC_WITH(type, ASYNC_FIELD_TIME)),
    ASYNC_LIST(order_t, tags, n_tags),
    ASYNC_OBJECTS(order_t, items, n_items, item_model),
    ASYNC_OBJECT(order_t, before, order_model)
);

#define ITEMS  14

static const char  *tags[] = { "one", "two", "three", "four" };
static item_t       items[ITEMS];

static order_t  order = {
    1234567890123, "A name of some length", { "A street 17", 11 },
    1769860800500, tags, 4, items, ITEMS, NULL
};


static void
make(void)
{
    size_t  i;

    for (i = 0; i < ITEMS; i++) {
        items[i].product = "a product with a name";
        items[i].price = 0.25 * i + 0.1;
        items[i].count = (int) i;
        items[i].gift = i % 2;
    }
}


/* so many allocations succeed, and the next one does not */

static void
test_memory(void)
{
    u_char        error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    size_t        i;
    ngx_int_t     rc, n;
    ngx_str_t     text;
    ngx_pool_t   *pool;

    static order_t  deep[100];

    for (i = 0; i < 100; i++) {
        deep[i] = order;
        deep[i].before = (i < 99) ? &deep[i + 1] : NULL;
    }

    for (n = 0; n < 16; n++) {
        pool = ngx_create_pool(1024, NULL);
        error[0] = '\0';

        ngx_stub_allocations = n;
        rc = ngx_http_async_model_write(pool, &order_model, deep, 1, 0, &text,
                                        error);
        ngx_stub_allocations = -1;

        if (rc == NGX_ERROR) {
            ngx_stub_ok(ngx_strcmp(error, "no memory") == 0, "%s after %d",
                        error, (int) n);
        }

        ngx_destroy_pool(pool);

        if (rc == NGX_OK) {
            break;
        }
    }

    ngx_stub_ok(n > 1 && n < 16, "it takes %d allocations", (int) n);
    ngx_stub_ok(text.len > 100000, "the text has %d bytes", (int) text.len);
}


static void
test_circle(void)
{
    u_char       error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    order_t      circle;
    ngx_str_t    text;
    ngx_pool_t  *pool;

    circle = order;
    circle.before = &circle;

    pool = ngx_create_pool(1024, NULL);

    ngx_stub_ok(ngx_http_async_model_write(pool, &order_model, &circle, 1, 0,
                                           &text, error) == NGX_DECLINED,
                "a circle is refused: %s", error);

    ngx_destroy_pool(pool);
}


static ngx_int_t
write_struct(ngx_pool_t *pool, ngx_str_t *text)
{
    u_char  error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];

    return ngx_http_async_model_write(pool, &order_model, &order, 1, 0, text,
                                      error);
}


/* as a handler without models does, with json_pack() or by hand */

static ngx_int_t
write_tree(ngx_pool_t *pool, ngx_str_t *text)
{
    size_t        i;
    json_t       *value, *list, *names;
    ngx_int_t     rc;
    ngx_uint_t    depth;
    const char   *error;

    list = json_array();
    names = json_array();

    for (i = 0; i < order.n_tags; i++) {
        (void) json_array_append_new(names, json_string(order.tags[i]));
    }

    for (i = 0; i < order.n_items; i++) {
        value = json_object();

        (void) json_object_set_new(value, "product",
                                   json_string(items[i].product));
        (void) json_object_set_new(value, "price", json_real(items[i].price));
        (void) json_object_set_new(value, "count",
                                   json_integer(items[i].count));
        (void) json_object_set_new(value, "gift",
                                   json_boolean(items[i].gift));

        (void) json_array_append_new(list, value);
    }

    value = json_object();

    (void) json_object_set_new(value, "id", json_integer(order.id));
    (void) json_object_set_new(value, "name", json_string(order.name));
    (void) json_object_set_new(value, "street",
                               json_stringn(order.street.data,
                                            order.street.len));
    (void) json_object_set_new(value, "created",
                               json_string("2026-01-31T12:00:00.5Z"));
    (void) json_object_set_new(value, "tags", names);
    (void) json_object_set_new(value, "items", list);
    (void) json_object_set_new(value, "before", json_null());

    rc = ngx_http_async_json_encode(pool, value, text, &depth, &error);

    json_decref(value);

    return rc;
}


static void
test_same(void)
{
    ngx_str_t    one, two;
    ngx_pool_t  *pool;

    pool = ngx_create_pool(1024, NULL);

    ngx_stub_ok(write_struct(pool, &one) == NGX_OK
                && write_tree(pool, &two) == NGX_OK, "both are written");
    ngx_stub_ok(one.len == two.len
                && ngx_memcmp(one.data, two.data, one.len) == 0,
                "a struct is written as its tree, in %d bytes",
                (int) one.len);

    ngx_destroy_pool(pool);
}


int
main(int argc, char **argv)
{
    long         i, n;
    ngx_int_t    rc;
    ngx_str_t    text;
    ngx_pool_t  *pool;

    make();

    if (argc < 3) {
        test_same();
        test_memory();
        test_circle();

        return ngx_stub_done();
    }

    n = atol(argv[2]);

    for (i = 0; i < n; i++) {
        pool = ngx_create_pool(1024, NULL);

        rc = (*argv[1] == 't' && argv[1][1] == 'i') ? write_struct(pool, &text)
                                                    : write_tree(pool, &text);
        if (rc != NGX_OK) {
            return 1;
        }

        ngx_destroy_pool(pool);
    }

    return 0;
}
