/*
 * Handlers of t/params.t: parameters into structs by models, and what came of
 * them as JSON.
 */

#include <ngx_async.h>
#include <stdbool.h>
#include <string.h>


typedef enum { RED, GREEN, BLUE } color_t;

static const char *const  colors[] = { "red", "green", "blue", NULL };
static const char *const  sizes[] = { "s", "m", "l", NULL };


static const char *
is_even(const void *member)
{
    return *(const int32_t *) member % 2 ? "must be even" : NULL;
}


static json_t *
text_of(const char *text)
{
    return text ? json_string(text) : json_null();
}


static json_t *
str_of(async_str_t str)
{
    return str.data ? json_stringn(str.data, str.len) : json_null();
}


/* a value of each type, all optional, so that one can be asked for alone */

typedef struct {
    int8_t        *i8;
    uint8_t       *u8;
    int64_t       *i64;
    uint64_t      *u64;
    bool          *flag;
    float         *f;
    double        *d;
    const char    *text;
    async_str_t    str;
    const char    *uuid;
    const char    *date;
    int64_t       *time;
    async_str_t    bytes;
    json_t        *json;
    color_t       *color;
    const char    *size;
    int32_t       *even;
    int32_t       *low;
    double        *high;
    const char    *word;
    int32_t       *ids;
    size_t         n_ids;
    async_str_t   *tags;
    size_t         n_tags;
} types_t;

ASYNC_MODEL(types_model, types_t,
    ASYNC_FIELD(types_t, i8),
    ASYNC_FIELD(types_t, u8),
    ASYNC_FIELD(types_t, i64),
    ASYNC_FIELD(types_t, u64),
    ASYNC_FIELD(types_t, flag),
    ASYNC_FIELD(types_t, f),
    ASYNC_FIELD(types_t, d),
    ASYNC_FIELD(types_t, text, .optional = 1),
    ASYNC_FIELD(types_t, str, .optional = 1),
    ASYNC_FIELD(types_t, uuid, .optional = 1, .type = ASYNC_FIELD_UUID),
    ASYNC_FIELD(types_t, date, .optional = 1, .type = ASYNC_FIELD_DATE),
    ASYNC_FIELD(types_t, time, .type = ASYNC_FIELD_TIME),
    ASYNC_FIELD(types_t, bytes, .optional = 1, .type = ASYNC_FIELD_BYTES),
    ASYNC_FIELD(types_t, json, .optional = 1),
    ASYNC_FIELD(types_t, color, .choices = colors),
    ASYNC_FIELD(types_t, size, .optional = 1, .choices = sizes),
    ASYNC_FIELD(types_t, even, .check = is_even),
    ASYNC_FIELD(types_t, low, ASYNC_GT(0), ASYNC_LE(10)),
    ASYNC_FIELD(types_t, high, ASYNC_GE(-1.5), ASYNC_LT(3)),
    ASYNC_FIELD(types_t, word, .optional = 1, .min_length = 2,
                .max_length = 4, .pattern = "^\\w+$"),
    ASYNC_LIST(types_t, ids, n_ids, .optional = 1, .min_length = 2,
               .max_length = 3, ASYNC_GE(0)),
    ASYNC_LIST(types_t, tags, n_tags, .optional = 1)
);

#define PUT(name, value)                                                     \
    if (t.name) {                                                            \
        json_object_set_new(all, #name, value);                              \
    }

static async_rc_t
types(async_req_t *req)
{
    size_t    i;
    json_t   *all, *list;
    types_t   t;

    memset(&t, 0xff, sizeof(t));

    if (async_params_into(req, &types_model, &t) != ASYNC_OK) {
        /* nothing is left of what was right */
        return (t.i8 || t.text || t.str.data || t.ids || t.n_ids)
               ? ASYNC_ERROR : ASYNC_INVALID;
    }

    all = json_object();

    PUT(i8, json_integer(*t.i8))
    PUT(u8, json_integer(*t.u8))
    PUT(i64, json_integer(*t.i64))
    PUT(u64, json_integer((json_int_t) *t.u64))
    PUT(flag, json_boolean(*t.flag))
    PUT(f, json_real(*t.f))
    PUT(d, json_real(*t.d))
    PUT(text, text_of(t.text))
    PUT(str.data, str_of(t.str))
    PUT(uuid, text_of(t.uuid))
    PUT(date, text_of(t.date))
    PUT(time, json_integer(*t.time))
    PUT(bytes.data, str_of(t.bytes))
    PUT(json, json_incref(t.json))
    PUT(color, json_integer(*t.color))
    PUT(size, text_of(t.size))
    PUT(even, json_integer(*t.even))
    PUT(low, json_integer(*t.low))
    PUT(high, json_real(*t.high))
    PUT(word, text_of(t.word))

    list = json_array();

    for (i = 0; i < t.n_ids; i++) {
        json_array_append_new(list, json_integer(t.ids[i]));
    }

    PUT(ids, json_incref(list))
    json_decref(list);

    list = json_array();

    for (i = 0; i < t.n_tags; i++) {
        json_array_append_new(list, str_of(t.tags[i]));
    }

    PUT(tags, json_incref(list))
    json_decref(list);

    return async_json(req, 200, all);
}


ASYNC_HANDLER(types_async)
{
    return types(req);
}


BLOCKING_HANDLER(types_blocking)
{
    return types(req);
}


/* each place, out of order */

typedef struct {
    int32_t        item;
    const char    *any;
    const char    *name;
    const char    *x_token;
    async_str_t   *trace;
    size_t         n_trace;
    const char    *session;
    int32_t        page;
    const char    *must;
} places_t;

ASYNC_MODEL(places_model, places_t,
    ASYNC_FIELD(places_t, session, .in = ASYNC_IN_COOKIE, .min_length = 3),
    ASYNC_FIELD(places_t, x_token, .in = ASYNC_IN_HEADER),
    ASYNC_LIST(places_t, trace, n_trace, .in = ASYNC_IN_HEADER,
               .name = "X-Trace", .optional = 1, .max_length = 2),
    ASYNC_FIELD(places_t, page, .in = ASYNC_IN_QUERY, ASYNC_DEFAULT("1"),
                ASYNC_GE(1)),
    ASYNC_FIELD(places_t, name, .name = "q[name]", ASYNC_DEFAULT("nobody")),
    ASYNC_FIELD(places_t, must, .optional = 1, .required = 1),
    ASYNC_FIELD(places_t, any),
    ASYNC_FIELD(places_t, item, .in = ASYNC_IN_PATH, ASYNC_LT(1000))
);

static async_rc_t
places(async_req_t *req)
{
    size_t     i;
    json_t    *list;
    places_t   p;

    ASYNC_TRY(async_params_into(req, &places_model, &p));

    list = json_array();

    for (i = 0; i < p.n_trace; i++) {
        json_array_append_new(list, str_of(p.trace[i]));
    }

    return async_json(req, 200, json_pack("{s:i, s:s, s:s, s:s, s:o, s:s,"
                                          " s:i, s:s}",
                          "item", p.item, "any", p.any, "name", p.name,
                          "x_token", p.x_token, "trace", list,
                          "session", p.session, "page", p.page,
                          "must", p.must));
}


ASYNC_HANDLER(places_async)
{
    return places(req);
}


BLOCKING_HANDLER(places_blocking)
{
    return places(req);
}


/* errors of two structs, and of an accessor, are one answer */

typedef struct {
    int  a;
    int  b;
} pair_t;

ASYNC_MODEL(pair_model, pair_t,
    ASYNC_FIELD(pair_t, b),
    ASYNC_FIELD(pair_t, a, .in = ASYNC_IN_HEADER)
);

ASYNC_HANDLER(together)
{
    pair_t     pair;
    int64_t    c;
    places_t   p;

    (void) async_params_into(req, &pair_model, &pair);
    (void) async_query_int(req, "c", &c);
    (void) async_params_into(req, &places_model, &p);

    ASYNC_TRY(async_valid(req));

    return async_text(req, 200, "valid");
}


/* what is said to who handles the error */

ASYNC_HANDLER(told)
{
    pair_t  pair;

    if (async_params_into(req, &pair_model, &pair) == ASYNC_INVALID) {
        return async_text(req, 200, async_error(co));
    }

    return async_text(req, 200, "valid");
}


/* the struct of another model */

ASYNC_HANDLER(mistaken)
{
    pair_t      pair;
    async_rc_t  rc;

    rc = async_params_into(req, &places_model, &pair);

    return (rc == ASYNC_ERROR) ? async_text(req, 200, async_error(co))
                               : ASYNC_ERROR;
}


/* a model with a struct is for JSON */

typedef struct {
    pair_t  pair;
} outer_t;

ASYNC_MODEL(outer_model, outer_t,
    ASYNC_OBJECT(outer_t, pair, pair_model)
);

ASYNC_HANDLER(nested)
{
    outer_t     outer, zero;
    async_rc_t  rc;

    memset(&outer, 0xff, sizeof(outer));
    memset(&zero, 0, sizeof(zero));

    rc = async_params_into(req, &outer_model, &outer);

    if (memcmp(&outer, &zero, sizeof(zero)) != 0) {
        return async_text(req, 200, "the fields are not zero");
    }

    return (rc == ASYNC_ERROR) ? async_text(req, 200, async_error(co))
                               : ASYNC_ERROR;
}


/* two path and three query parameters, for the figures */

typedef struct {
    int64_t       user;
    async_str_t   item;
    int32_t       limit;
    async_str_t   q;
    bool          deep;
} five_t;

ASYNC_MODEL(five_model, five_t,
    ASYNC_FIELD(five_t, user, .in = ASYNC_IN_PATH),
    ASYNC_FIELD(five_t, item, .in = ASYNC_IN_PATH),
    ASYNC_FIELD(five_t, limit, .in = ASYNC_IN_QUERY, ASYNC_GE(1),
                ASYNC_LE(100)),
    ASYNC_FIELD(five_t, q, .in = ASYNC_IN_QUERY, .max_length = 50),
    ASYNC_FIELD(five_t, deep, .in = ASYNC_IN_QUERY, ASYNC_DEFAULT("no"))
);

ASYNC_HANDLER(five)
{
    five_t  five;

    ASYNC_TRY(async_params_into(req, &five_model, &five));

    return async_text(req, 200, "hello");
}
