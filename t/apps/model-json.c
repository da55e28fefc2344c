/*
 * Handlers of t/model-json.t: JSON into structs, and what is in them then as
 * JSON of jansson's.
 */

#include <ngx_async.h>
#include <stdbool.h>
#include <string.h>


/* a handler of a model with one field, "v" */

#define ONE(name, value, declaration, ...)                                   \
    typedef struct {                                                         \
        declaration;                                                         \
    } name##_t;                                                              \
                                                                             \
    ASYNC_MODEL(name##_model, name##_t, __VA_ARGS__);                        \
                                                                             \
    ASYNC_HANDLER(name)                                                      \
    {                                                                        \
        name##_t  in;                                                        \
                                                                             \
        ASYNC_TRY(await_json_into(co, req, &name##_model, &in));             \
                                                                             \
        return async_json(req, 200, value);                                  \
    }

static const char *const  colors[] = { "red", "green", NULL };


ONE(one_int, json_integer(in.v), int64_t v, ASYNC_FIELD(one_int_t, v))
ONE(one_byte, json_integer(in.v), uint8_t v, ASYNC_FIELD(one_byte_t, v))
ONE(one_float, json_real(in.v), double v, ASYNC_FIELD(one_float_t, v))
ONE(one_single, json_real(in.v), float v, ASYNC_FIELD(one_single_t, v))
ONE(one_bool, json_boolean(in.v), bool v, ASYNC_FIELD(one_bool_t, v))
ONE(one_text, json_string(in.v), const char *v, ASYNC_FIELD(one_text_t, v))
ONE(one_str, json_stringn(in.v.data, in.v.len), async_str_t v,
    ASYNC_FIELD(one_str_t, v))
ONE(one_uuid, json_string(in.v), const char *v,
    ASYNC_FIELD(one_uuid_t, v, ASYNC_WITH(type, ASYNC_FIELD_UUID)))
ONE(one_date, json_string(in.v), const char *v,
    ASYNC_FIELD(one_date_t, v, ASYNC_WITH(type, ASYNC_FIELD_DATE)))
ONE(one_time, json_integer(in.v), int64_t v,
    ASYNC_FIELD(one_time_t, v, ASYNC_WITH(type, ASYNC_FIELD_TIME)))
ONE(one_bytes, json_stringn(in.v.data, in.v.len), async_str_t v,
    ASYNC_FIELD(one_bytes_t, v, ASYNC_WITH(type, ASYNC_FIELD_BYTES)))
ONE(one_any, json_incref(in.v), json_t *v, ASYNC_FIELD(one_any_t, v))
ONE(one_color, json_string(in.v), const char *v,
    ASYNC_FIELD(one_color_t, v, ASYNC_WITH(choices, colors)))
ONE(one_level, json_integer(in.v), int v,
    ASYNC_FIELD(one_level_t, v, ASYNC_WITH(choices, colors)))
ONE(one_maybe, in.v ? json_integer(*in.v) : json_null(), int32_t *v,
    ASYNC_FIELD(one_maybe_t, v))
ONE(one_given, in.v ? json_integer(*in.v) : json_null(), int32_t *v,
    ASYNC_FIELD(one_given_t, v, ASYNC_WITH(required, 1)))
ONE(one_default, json_string(in.v), const char *v,
    ASYNC_FIELD(one_default_t, v, ASYNC_DEFAULT("none")))
ONE(one_bounded, json_real(in.v), double v,
    ASYNC_FIELD(one_bounded_t, v, ASYNC_GT(0), ASYNC_LE(2.5)))


static const char *
is_even(const void *member)
{
    return (*(const int *) member % 2) ? "it is odd" : NULL;
}

ONE(one_even, json_integer(in.v), int v,
    ASYNC_FIELD(one_even_t, v, ASYNC_WITH(check, is_even)))


/* objects in lists in objects */

typedef struct {
    const char   *name;
    double        price;
    int           untouched;
    int32_t       quantity;
} item_t;

typedef struct {
    async_str_t   city;
    const char   *street;
} address_t;

typedef struct {
    int64_t       id;
    address_t     address;
    address_t    *billing;
    item_t       *items;
    size_t        n_items;
    const char  **tags;
    size_t        n_tags;
    int           untouched;
} order_t;

ASYNC_MODEL(item_model, item_t,
    ASYNC_FIELD(item_t, name),
    ASYNC_FIELD(item_t, price, ASYNC_WITH(name, "unit price")),
    ASYNC_FIELD(item_t, quantity, ASYNC_DEFAULT("1"))
);

ASYNC_MODEL(address_model, address_t,
    ASYNC_FIELD(address_t, city),
    ASYNC_FIELD(address_t, street, ASYNC_WITH(optional, 1))
);

ASYNC_MODEL(order_model, order_t,
    ASYNC_FIELD(order_t, id),
    ASYNC_OBJECT(order_t, address, address_model),
    ASYNC_OBJECT(order_t, billing, address_model),
    ASYNC_OBJECTS(order_t, items, n_items, item_model,
                  ASYNC_WITH(min_length, 1)),
    ASYNC_LIST(order_t, tags, n_tags, ASYNC_WITH(optional, 1),
               ASYNC_WITH(max_length, 3))
);

typedef struct {
    const char   *id;
} other_t;

ASYNC_MODEL(other_model, other_t,
    ASYNC_FIELD(other_t, id)
);


static json_t *
address_of(const address_t *address)
{
    if (address == NULL) {
        return json_null();
    }

    return json_pack("{s:s%, s:s?}", "city", address->city.data,
                     address->city.len, "street", address->street);
}


static json_t *
order_of(const order_t *order)
{
    size_t   i;
    json_t  *items, *tags;

    items = json_array();
    tags = order->tags ? json_array() : json_null();

    for (i = 0; i < order->n_items; i++) {
        json_array_append_new(items, json_pack("[s, f, i, i]",
                                               order->items[i].name,
                                               order->items[i].price,
                                               (int) order->items[i].quantity,
                                               order->items[i].untouched));
    }

    for (i = 0; i < order->n_tags; i++) {
        json_array_append_new(tags, json_string(order->tags[i]));
    }

    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "id",
                     (json_int_t) order->id,
                     "address", address_of(&order->address),
                     "billing", address_of(order->billing),
                     "items", items, "tags", tags);
}


ASYNC_HANDLER(order)
{
    order_t  in;

    ASYNC_TRY(await_json_into(co, req, &order_model, &in));

    return async_json(req, 200, order_of(&in));
}


/* the struct lives on while others are read, and the handler waits */

ASYNC_HANDLER(late)
{
    order_t   in;
    order_t   again;
    json_t   *value;

    ASYNC_TRY(await_json_into(co, req, &order_model, &in));
    ASYNC_TRY(await_sleep(co, 1));
    ASYNC_TRY(await_json(co, req, &value));
    ASYNC_TRY(async_json_into(req, &order_model, &again));

    value = json_pack("[o, o]", order_of(&in), order_of(&again));

    return async_json(req, 200, value);
}


BLOCKING_HANDLER(blocking)
{
    order_t  in;

    ASYNC_TRY(async_json_into(req, &order_model, &in));

    return async_json(req, 200, order_of(&in));
}


static bool
is_cleared(const order_t *order, int mark)
{
    order_t  none;

    memset(&none, 0, sizeof(none));
    none.untouched = mark;

    return order->id == 0 && order->address.city.data == NULL
           && order->address.street == NULL && order->billing == NULL
           && order->items == NULL && order->n_items == 0
           && order->tags == NULL && order->n_tags == 0
           && order->untouched == mark;
}


/* what is left of a struct when the JSON does not fit */

ASYNC_HANDLER(forgiving)
{
    order_t     in;
    async_rc_t  rc;

    memset(&in, 0x55, sizeof(in));
    in.untouched = 7;

    rc = await_json_into(co, req, &order_model, &in);

    return async_json(req, 200, json_pack("[i, b]", (int) rc,
                                          is_cleared(&in, 7)));
}


/* of two models each has its errors; of no JSON there is one */

ASYNC_HANDLER(both)
{
    order_t     in;
    other_t     other;
    async_rc_t  rc;

    rc = await_json_into(co, req, &order_model, &in);

    if (rc != ASYNC_OK && rc != ASYNC_INVALID) {
        return rc;
    }

    ASYNC_TRY(await_json_into(co, req, &other_model, &other));

    return rc;
}


/* misuse, and what is said of it */

ASYNC_HANDLER(unread)
{
    order_t     in;
    async_rc_t  rc;

    memset(&in, 0x55, sizeof(in));
    in.untouched = 7;

    rc = async_json_into(req, &order_model, &in);

    return async_json(req, 200, json_pack("[i, b, s]", (int) rc,
                                          is_cleared(&in, 7),
                                          async_error(co)));
}


ASYNC_HANDLER(another)
{
    item_t      in;
    async_rc_t  rc;

    rc = await_json_into(co, req, &order_model, &in);

    return async_json(req, 200, json_pack("[i, s]", (int) rc,
                                          async_error(co)));
}


/* any text */

ASYNC_HANDLER(into)
{
    order_t      in;
    async_rc_t   rc;
    async_str_t  text;

    ASYNC_TRY(await_body(co, req, &text));

    if (async_query(req, "null").data) {
        text.data = NULL;
    }

    memset(&in, 0x55, sizeof(in));
    in.untouched = 7;

    rc = async_into(co, text, &order_model, &in);

    if (rc == ASYNC_OK) {
        return async_json(req, 200, order_of(&in));
    }

    return async_json(req, 200, json_pack("[i, b, s]", (int) rc,
                                          is_cleared(&in, 7),
                                          async_error(co)));
}


/* as deep as the text */

typedef struct node_s  node_t;

struct node_s {
    node_t   *next;
    node_t   *all;
    size_t    n_all;
};

ASYNC_MODEL(node_model, node_t,
    ASYNC_OBJECT(node_t, next, node_model),
    ASYNC_OBJECTS(node_t, all, n_all, node_model, ASYNC_WITH(optional, 1))
);

ASYNC_HANDLER(deep)
{
    int      depth;
    node_t   in, *node;

    ASYNC_TRY(await_json_into(co, req, &node_model, &in));

    depth = 0;

    for (node = &in; node; node = node->n_all ? node->all : node->next) {
        depth++;
    }

    return async_json(req, 200, json_integer(depth));
}


/* as long as the text */

typedef struct {
    int32_t  *numbers;
    size_t    n;
} long_t;

ASYNC_MODEL(long_model, long_t,
    ASYNC_LIST(long_t, numbers, n)
);

ASYNC_HANDLER(numbers)
{
    long_t      in;
    size_t      i;
    json_int_t  sum;

    ASYNC_TRY(await_json_into(co, req, &long_model, &in));

    for (sum = 0, i = 0; i < in.n; i++) {
        sum += in.numbers[i];
    }

    return async_json(req, 200, json_pack("[I, I]", (json_int_t) in.n, sum));
}
