/* Handlers for t/json.t: JSON in and JSON out. */

#include <ngx_async.h>
#include <math.h>
#include <string.h>


ASYNC_HANDLER(echo)
{
    json_t  *value;

    ASYNC_TRY(await_json(co, req, &value));

    return async_json(req, 200, json_incref(value));
}


/* what it is, seen through the value itself */

ASYNC_HANDLER(kind)
{
    json_t  *value;

    static const char  *names[] = {
        "object", "array", "string", "integer", "real", "true", "false", "null"
    };

    ASYNC_TRY(await_json(co, req, &value));

    return async_text(req, 200, names[json_typeof(value)]);
}


ASYNC_HANDLER(twice)
{
    json_t       *one, *two;
    async_str_t   body;

    ASYNC_TRY(await_body(co, req, &body));
    ASYNC_TRY(await_json(co, req, &one));
    ASYNC_TRY(await_sleep(co, 1));
    ASYNC_TRY(await_json(co, req, &two));

    return async_text(req, 200, (one == two) ? "the same" : "another");
}


/* the error of the body is recorded beside the others, and once */

ASYNC_HANDLER(errors)
{
    json_t   *value;
    int64_t   n;

    if (await_json(co, req, &value) == ASYNC_OK || value) {
        return async_text(req, 200, "valid");
    }

    if (await_json(co, req, &value) == ASYNC_OK || value) {
        return async_text(req, 200, "valid at second sight");
    }

    (void) async_query_int(req, "n", &n);

    return async_valid(req);
}


/* a handler may answer an error in its own way */

ASYNC_HANDLER(forgiving)
{
    json_t  *value;

    if (await_json(co, req, &value) == ASYNC_OK) {
        return async_text(req, 200, "valid");
    }

    return async_text(req, 200, async_error(co));
}


static json_t *
nested(int levels)
{
    json_t  *value;

    value = json_array();

    while (--levels) {
        value = json_pack("[o]", value);
    }

    return value;
}


/* jansson's json_real_t, which only its own files see */

static void
not_a_number(json_t *value)
{
    struct {
        json_t  json;
        double  value;
    } *real = (void *) value;

    real->value = NAN;
}


ASYNC_HANDLER(make)
{
    json_t       *value;
    const char   *what;

    what = async_path(req, "what").data;

    if (strcmp(what, "floats") == 0) {
        return async_json(req, 200, json_pack("[f,f,f,f,f,f,f,f,f,f,f]",
                          0.1, 1.0, 1e16, 1e15, 123456789012345680.0, 1e-4,
                          1e-5, -0.0, 5e-324, 0.1 + 0.2, 1.5e300));
    }

    if (strcmp(what, "order") == 0) {
        return async_json(req, 201, json_pack("{s:i, s:n, s:b, s:[], s:{}}",
                          "z", 1, "a", "m", 1, "b", "o"));
    }

    if (strcmp(what, "escapes") == 0) {
        return async_json(req, 200, json_string("\xc3\xa9\"\\\n\x01/\x7f"
                                                "\xf0\x9f\x98\x80"));
    }

    if (strcmp(what, "ints") == 0) {
        return async_json(req, 200, json_pack("[I,I,i]", INT64_MAX, INT64_MIN,
                                              0));
    }

    if (strcmp(what, "null") == 0) {
        return async_json(req, 200, NULL);
    }

    if (strcmp(what, "nan") == 0) {
        value = json_real(1);
        not_a_number(value);

        return async_json(req, 200, json_pack("[o]", value));
    }

    if (strcmp(what, "too-deep") == 0) {
        return async_json(req, 200, nested(1001));
    }

    if (strcmp(what, "deep") == 0) {
        return async_json(req, 200, nested(1000));
    }

    if (strcmp(what, "deeper") == 0) {
        return async_json(req, 200, nested(20000));
    }

    if (strcmp(what, "fail") == 0) {
        return async_fail_json(req, 400, nested(20000));
    }

    if (strcmp(what, "status") == 0) {
        return async_json(req, 99, json_pack("{s:i}", "a", 1));
    }

    if (strcmp(what, "again") == 0) {
        (void) async_json(req, 500, json_pack("{s:i}", "first", 1));
        return async_json(req, 200, json_pack("{s:i}", "second", 2));
    }

    return async_fail(req, 404, "there is none");
}


/* json_pack()'s formats; the arguments are all that a query can give */

ASYNC_HANDLER(pack)
{
    json_t       *tree, *kept;
    async_rc_t    rc;
    const char   *what, *name;

    what = async_path(req, "what").data;
    name = async_query(req, "name").data;

    if (strcmp(what, "members") == 0) {
        return async_json_pack(req, 201, "{s:i, s:s?, s:s*, s:[f,b,n,I]}",
                               "id", 7, "name", name, "nick", name, "more",
                               0.1, 1, (json_int_t) INT64_MIN);
    }

    if (strcmp(what, "trees") == 0) {
        tree = json_pack("{s:s}", "a", "\"b\"");
        kept = json_incref(tree);

        rc = async_json_pack(req, 200, "{s:o, s:O, s:s}", "gone", tree, "kept",
                             kept, "name",
                             json_string_value(json_object_get(tree, "a")));
        json_decref(kept);

        return rc;
    }

    if (strcmp(what, "deep") == 0) {
        return async_json_pack(req, 200, "[o]", nested(999));
    }

    if (strcmp(what, "too-deep") == 0) {
        return async_json_pack(req, 200, "[o]", nested(1000));
    }

    if (strcmp(what, "long") == 0) {
        return async_json_pack(req, 200, "[s++]", name, name, name);
    }

    if (strcmp(what, "format") == 0) {
        return async_json_pack(req, 200, "{s:o, s:o", "a", nested(900), "b",
                               nested(3));
    }

    if (strcmp(what, "utf8") == 0) {
        return async_json_pack(req, 200, "{s:o, s:s}", "a", nested(3), "b",
                               "\xff");
    }

    if (strcmp(what, "null") == 0) {
        return async_json_pack(req, 200, NULL);
    }

    if (strcmp(what, "status") == 0) {
        return async_json_pack(req, 99, "[o]", nested(3));
    }

    (void) async_json_pack(req, 200, "{s:f}", "a", NAN);

    return async_text(req, 200, async_error(co));
}
