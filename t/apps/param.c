/*
 * Handlers of t/param.t: a typed accessor each, and what it gives as JSON.
 */

#include <ngx_async.h>
#include <string.h>


#define PARAM_INT(name, call)                                                \
    ASYNC_HANDLER(name)                                                      \
    {                                                                        \
        int64_t  v = 77;                                                     \
                                                                             \
        ASYNC_TRY(call);                                                     \
        return async_json(req, 200, json_integer(v));                        \
    }

#define PARAM_FLOAT(name, call)                                              \
    ASYNC_HANDLER(name)                                                      \
    {                                                                        \
        double  v = 77;                                                      \
                                                                             \
        ASYNC_TRY(call);                                                     \
        return async_json(req, 200, json_real(v));                           \
    }

#define PARAM_BOOL(name, call)                                               \
    ASYNC_HANDLER(name)                                                      \
    {                                                                        \
        int  v = 77;                                                         \
                                                                             \
        ASYNC_TRY(call);                                                     \
        return async_json(req, 200, json_pack("[b, i]", v, v));              \
    }

#define PARAM_STR(name, call)                                                \
    ASYNC_HANDLER(name)                                                      \
    {                                                                        \
        async_str_t  v = { "77", 2 };                                        \
                                                                             \
        ASYNC_TRY(call);                                                     \
        return async_json(req, 200, text_of(v));                             \
    }


static json_t *
text_of(async_str_t v)
{
    if (v.data == NULL) {
        return json_pack("{s:i}", "absent", (int) v.len);
    }

    if (v.data[v.len] != '\0') {
        return NULL;
    }

    return json_stringn(v.data, v.len);
}


PARAM_INT(path_int, async_path_int(req, "v", &v))
PARAM_FLOAT(path_float, async_path_float(req, "v", &v))
PARAM_BOOL(path_bool, async_path_bool(req, "v", &v))
PARAM_STR(path_uuid, async_path_uuid(req, "v", &v))
PARAM_STR(path_str, async_path_str(req, "v", &v))

PARAM_INT(query_int, async_query_int(req, "v", &v))
PARAM_FLOAT(query_float, async_query_float(req, "v", &v))
PARAM_BOOL(query_bool, async_query_bool(req, "v", &v))
PARAM_STR(query_uuid, async_query_uuid(req, "v", &v))
PARAM_STR(query_str, async_query_str(req, "v", &v))

PARAM_INT(int_or, async_query_int_or(req, "v", &v, -5))
PARAM_FLOAT(float_or, async_query_float_or(req, "v", &v, 2.5))
PARAM_BOOL(bool_or, async_query_bool_or(req, "v", &v, 1))
PARAM_STR(str_or, async_query_str_or(req, "v", &v, "default"))
PARAM_STR(str_or_null, async_query_str_or(req, "v", &v, NULL))


ASYNC_HANDLER(plain)
{
    return async_json(req, 200, text_of(async_query(req, "v")));
}


ASYNC_HANDLER(plain_path)
{
    return async_json(req, 200, text_of(async_path(req, "v")));
}


ASYNC_HANDLER(no_such_path)
{
    return async_json(req, 200, text_of(async_path(req, "w")));
}


PARAM_INT(no_such_path_int, async_path_int(req, "w", &v))


/* the length tells what a JSON text would not */

ASYNC_HANDLER(length)
{
    async_str_t  v = async_query(req, "v");

    return async_json(req, 200, json_pack("[I, b]", (json_int_t) v.len,
                                          v.data && v.data[v.len] == '\0'));
}


ASYNC_HANDLER(list)
{
    size_t              i, n;
    json_t             *array;
    const async_str_t  *values;

    n = async_query_list(req, "v", &values);
    array = json_array();

    for (i = 0; i < n; i++) {
        json_array_append_new(array, text_of(values[i]));
    }

    if (n == 0) {
        json_array_append_new(array, json_boolean(values == NULL));
    }

    return async_json(req, 200, array);
}


/* all errors together, out of order; wrong values are zero */

ASYNC_HANDLER(all)
{
    int          b = 77;
    double       d = 77;
    int64_t      i = 77, j = 77;
    async_str_t  u = { "77", 2 };

    (void) async_query_int(req, "i", &i);
    (void) async_query_bool(req, "b", &b);
    (void) async_path_uuid(req, "u", &u);
    (void) async_query_int_or(req, "j", &j, 9);
    (void) async_path_float(req, "d", &d);

    if (async_valid(req) == ASYNC_OK) {
        return async_json(req, 200, json_pack("[I, I, b, f, s]", i, j, b, d,
                                              u.data));
    }

    if (i != 0 || b != 0 || (d != 0) != (u.data != NULL)) {
        return async_fail(req, 500, "values are left");
    }

    ASYNC_TRY(async_valid(req));

    return async_fail(req, 500, "unreachable");
}


/* an error that the handler forgives */

ASYNC_HANDLER(forgive)
{
    int64_t  v;

    if (async_query_int(req, "v", &v) != ASYNC_OK) {
        return async_text(req, 200, async_error(co));
    }

    return async_text(req, 200, "fine");
}


/* errors of an accessor survive an await */

ASYNC_HANDLER(awaited)
{
    int64_t  v;

    (void) async_query_int(req, "v", &v);

    ASYNC_TRY(await_sleep(co, 1));
    ASYNC_TRY(async_valid(req));

    return async_json(req, 200, json_integer(v));
}
