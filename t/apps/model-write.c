/*
 * Handlers of t/model-write.t: structs as JSON.
 */

#include <ngx_async.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>


typedef enum { LOW, HIGH = 2, WRONG } level_t;

static const char *const  levels[] = { "low", "middle", "h\"igh", NULL };
static const char *const  colours[] = { "red", "gr\xc3\xbcn", NULL };


typedef struct {
    double       x;
    const char  *label;
} point_t;

ASYNC_MODEL(point_model, point_t,
    ASYNC_FIELD(point_t, x),
    ASYNC_FIELD(point_t, label, .optional = 1)
);


/* of each kind */

typedef struct {
    int8_t             i8;
    int16_t            i16;
    int32_t            i32;
    int64_t            i64;
    uint8_t            u8;
    uint16_t           u16;
    uint32_t           u32;
    uint64_t           u64;
    bool               yes;
    float              f;
    double             d;
    const char        *text;
    async_str_t        str;
    json_t            *json;
    int64_t            at;
    async_str_t        data;
    const char        *id;
    async_str_t        day;
    level_t            level;
    const char        *colour;
    const int64_t     *maybe;
    const bool        *flag;
    const float       *third;
    int64_t           *ints;
    size_t             n_ints;
    const char       **texts;
    size_t             n_texts;
    float             *floats;
    size_t             n_floats;
    int64_t           *times;
    size_t             n_times;
    async_str_t       *datas;
    size_t             n_datas;
    unsigned          *all_levels;
    size_t             n_levels;
    point_t            inside;
    const point_t     *pointed;
    point_t           *points;
    size_t             n_points;
    async_upload_t    *upload;
} all_t;

ASYNC_MODEL(all_model, all_t,
    ASYNC_FIELD(all_t, i8),
    ASYNC_FIELD(all_t, i16),
    ASYNC_FIELD(all_t, i32),
    ASYNC_FIELD(all_t, i64),
    ASYNC_FIELD(all_t, u8),
    ASYNC_FIELD(all_t, u16),
    ASYNC_FIELD(all_t, u32),
    ASYNC_FIELD(all_t, u64, ASYNC_WITH(name, "the \"largest\"")),
    ASYNC_FIELD(all_t, yes),
    ASYNC_FIELD(all_t, f),
    ASYNC_FIELD(all_t, d),
    ASYNC_FIELD(all_t, text),
    ASYNC_FIELD(all_t, str, .optional = 1),
    ASYNC_FIELD(all_t, json),
    ASYNC_FIELD(all_t, at, .type = ASYNC_FIELD_TIME),
    ASYNC_FIELD(all_t, data, .type = ASYNC_FIELD_BYTES),
    ASYNC_FIELD(all_t, id, .type = ASYNC_FIELD_UUID),
    ASYNC_FIELD(all_t, day, .type = ASYNC_FIELD_DATE),
    ASYNC_FIELD(all_t, level, .choices = levels),
    ASYNC_FIELD(all_t, colour, .choices = colours, .optional = 1),
    ASYNC_FIELD(all_t, maybe),
    ASYNC_FIELD(all_t, flag),
    ASYNC_FIELD(all_t, third),
    ASYNC_LIST(all_t, ints, n_ints),
    ASYNC_LIST(all_t, texts, n_texts, .optional = 1),
    ASYNC_LIST(all_t, floats, n_floats),
    ASYNC_LIST(all_t, times, n_times, .type = ASYNC_FIELD_TIME),
    ASYNC_LIST(all_t, datas, n_datas, .type = ASYNC_FIELD_BYTES),
    ASYNC_LIST(all_t, all_levels, n_levels, .choices = levels),
    ASYNC_OBJECT(all_t, inside, point_model),
    ASYNC_OBJECT(all_t, pointed, point_model),
    ASYNC_OBJECTS(all_t, points, n_points, point_model)
);

/* less of the same struct */

ASYNC_MODEL(some_model, all_t,
    ASYNC_FIELD(all_t, text),
    ASYNC_FIELD(all_t, i8)
);

ASYNC_MODEL(upload_model, all_t,
    ASYNC_FIELD(all_t, upload)
);

ASYNC_MODEL(empty_points_model, all_t,
    ASYNC_OBJECTS(all_t, points, n_points, point_model, .optional = 1)
);


/* of itself */

typedef struct node_s  node_t;

struct node_s {
    int      n;
    node_t  *next;
    node_t  *nodes;
    size_t   n_nodes;
};

ASYNC_MODEL(node_model, node_t,
    ASYNC_FIELD(node_t, n),
    ASYNC_OBJECT(node_t, next, node_model),
    ASYNC_OBJECTS(node_t, nodes, n_nodes, node_model)
);


typedef struct {
    int64_t      at;
    double       d;
    float        f;
    const char  *text;
} line_t;

ASYNC_MODEL(line_model, line_t,
    ASYNC_FIELD(line_t, at, .type = ASYNC_FIELD_TIME),
    ASYNC_FIELD(line_t, d),
    ASYNC_FIELD(line_t, f),
    ASYNC_FIELD(line_t, text)
);


static all_t
usual(void)
{
    static int64_t      ints[] = { INT64_MIN, 0, INT64_MAX }, maybe = -7;
    static bool         flag;
    static float        third = 1.0f / 3, floats[] = { 0.1f, 16777216, 3e38f };
    static int64_t      times[] = { 0, -1 };
    static unsigned     all_levels[] = { HIGH, LOW };
    static point_t      points[] = { { 1, "one" }, { -0.0, NULL } };
    static const char  *texts[] = { "a", "", "\xe2\x82\xac" };
    static async_str_t  datas[] = { { "abc", 3 }, { "", 0 }, { "\0\xff", 2 } };

    all_t  all = {
        INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN, UINT8_MAX, UINT16_MAX,
        UINT32_MAX, UINT64_MAX, true, 0.1f, 0.1, "\"a\\b\n\x01\xc3\xa4\"",
        { "a\0b", 3 }, NULL, 1769860800500, { "\0\x01\x02\xff", 4 },
        "5dc2a3c4-0000-4000-8000-000000000000", { "2026-01-31", 10 }, HIGH,
        "gr\xc3\xbcn", &maybe, &flag, &third, ints, 3, texts, 3, floats, 3,
        times, 2, datas, 3, all_levels, 2, { 0.5, "in" }, &points[0], points,
        2, NULL
    };

    all.json = json_pack("{s:[i,n,{}]}", "tree", 1);

    return all;
}


/* how=...: what is changed of the usual one, so that it has no JSON form */

static void
spoil(all_t *all, const char *how)
{
    static int64_t      times[] = { 0, 253402300800000 };
    static float        floats[] = { 1, 2, INFINITY };
    static unsigned     all_levels[] = { LOW, WRONG };
    static point_t      points[] = { { 1, NULL }, { NAN, NULL } };
    static const char  *texts[] = { "a", NULL };
    static async_str_t  datas[] = { { "abc", 3 }, { NULL, 0 } };

    if (strcmp(how, "text") == 0) {
        all->text = NULL;

    } else if (strcmp(how, "utf8") == 0) {
        all->text = "caf\xe9";

    } else if (strcmp(how, "str-utf8") == 0) {
        all->str = (async_str_t) { "0123456789\xed\xa0\x80", 13 };

    } else if (strcmp(how, "json") == 0) {
        json_decref(all->json);
        all->json = NULL;

    } else if (strcmp(how, "tree") == 0) {
        json_object_set_new(all->json, "s", json_stringn_nocheck("\0", 1));
        json_array_append(json_object_get(all->json, "tree"), all->json);

    } else if (strcmp(how, "nan") == 0) {
        all->d = NAN;

    } else if (strcmp(how, "inf") == 0) {
        all->f = -INFINITY;

    } else if (strcmp(how, "time") == 0) {
        all->at = -62135596800001;

    } else if (strcmp(how, "data") == 0) {
        all->data.data = NULL;

    } else if (strcmp(how, "level") == 0) {
        all->level = (level_t) 3;

    } else if (strcmp(how, "negative") == 0) {
        all->level = (level_t) -1;

    } else if (strcmp(how, "colour") == 0) {
        all->colour = "gr\xc3\xbc";

    } else if (strcmp(how, "ints") == 0) {
        all->ints = NULL;

    } else if (strcmp(how, "texts") == 0) {
        all->texts = texts;
        all->n_texts = 2;

    } else if (strcmp(how, "floats") == 0) {
        all->floats = floats;

    } else if (strcmp(how, "times") == 0) {
        all->times = times;

    } else if (strcmp(how, "datas") == 0) {
        all->datas = datas;
        all->n_datas = 2;

    } else if (strcmp(how, "levels") == 0) {
        all->all_levels = all_levels;

    } else if (strcmp(how, "inside") == 0) {
        all->inside.x = NAN;

    } else if (strcmp(how, "points") == 0) {
        all->points = points;

    } else if (strcmp(how, "no-points") == 0) {
        all->points = NULL;
    }
}


/* what went wrong is the response; the tree of the struct is ours */

static async_rc_t
told(async_t *co, async_req_t *req, all_t *all, async_rc_t rc)
{
    if (all->json) {
        json_object_clear(all->json);
        json_decref(all->json);
    }

    return (rc == ASYNC_OK)
           ? ASYNC_OK
           : async_json_pack(req, 200, "{s:i, s:s}", "rc", (int) rc, "error",
                             async_error(co));
}


ASYNC_HANDLER(all)
{
    all_t        all = usual();
    async_str_t  how = async_query(req, "how");

    if (how.data) {
        spoil(&all, how.data);
    }

    return told(co, req, &all, async_respond(req, 201, &all_model, &all));
}


/* what may be null, is; and empty lists */

ASYNC_HANDLER(nothing)
{
    all_t  all = usual();

    json_decref(all.json);
    all.json = json_null();

    all.str.data = NULL;
    all.colour = NULL;
    all.maybe = NULL;
    all.flag = NULL;
    all.third = NULL;
    all.n_ints = 0;
    all.texts = NULL;
    all.n_texts = 0;
    all.floats = NULL;
    all.n_floats = 0;
    all.pointed = NULL;
    all.points = NULL;
    all.n_points = 0;
    all.text = "";

    return told(co, req, &all, async_respond(req, 200, &all_model, &all));
}


ASYNC_HANDLER(some)
{
    all_t  all = usual();

    return told(co, req, &all, async_respond(req, 200, &some_model, &all));
}


ASYNC_HANDLER(upload)
{
    all_t  all = usual();

    return told(co, req, &all, async_respond(req, 200, &upload_model, &all));
}


ASYNC_HANDLER(optional_points)
{
    all_t  all = usual();

    all.points = NULL;
    all.n_points = 0;

    return told(co, req, &all,
                async_respond(req, 200, &empty_points_model, &all));
}


/* all?n=: so many points */

ASYNC_HANDLER(points)
{
    size_t    i;
    int64_t   n;
    point_t  *list;

    ASYNC_TRY(async_query_int(req, "n", &n));

    list = async_alloc(req, (n + 1) * sizeof(point_t));

    for (i = 0; i < (size_t) n; i++) {
        list[i].x = i / 8.0;
        list[i].label = i % 2 ? "odd" : NULL;
    }

    return async_respond_all(req, 200, &point_model, n ? list : NULL, n);
}


BLOCKING_HANDLER(points_blocking)
{
    size_t    i;
    point_t  *list;

    list = async_alloc(req, 50000 * sizeof(point_t));

    for (i = 0; i < 50000; i++) {
        list[i].x = i;
        list[i].label = "a label of some length, so that the text is large";
    }

    return async_respond_all(req, 200, &point_model, list, 50000);
}


BLOCKING_HANDLER(spoilt_blocking)
{
    point_t  point = { NAN, NULL };

    if (async_respond(req, 200, &point_model, &point) != ASYNC_ERROR) {
        return async_text(req, 500, "it has been taken");
    }

    point.x = 1;

    return async_respond(req, 200, &point_model, &point);
}


/* how=next or nodes: depth=... of them, one within the other */

ASYNC_HANDLER(deep)
{
    size_t        i;
    int64_t       depth;
    node_t       *node;
    async_str_t   text;

    ASYNC_TRY(async_query_int(req, "depth", &depth));

    node = async_alloc(req, depth * sizeof(node_t));
    memset(node, 0, depth * sizeof(node_t));

    for (i = 0; i < (size_t) depth; i++) {
        node[i].n = i;

        if (i + 1 == (size_t) depth) {
            break;
        }

        if (strcmp(async_query(req, "how").data, "next") == 0) {
            node[i].next = &node[i + 1];

        } else {
            node[i].nodes = &node[i + 1];
            node[i].n_nodes = 1;
        }
    }

    if (async_encode(co, &node_model, &node[0], &text) != ASYNC_OK) {
        return async_text(req, 200, async_error(co));
    }

    return async_bytes(req, 200, "application/json", text.data, text.len);
}


/* one that leads back to itself */

ASYNC_HANDLER(circle)
{
    node_t  one = { 1, NULL, NULL, 0 }, two = { 2, &one, NULL, 0 };

    if (async_query(req, "list").data) {
        one.nodes = &one;
        one.n_nodes = 1;

    } else {
        one.next = &two;
    }

    if (async_respond(req, 200, &node_model, &one) == ASYNC_OK) {
        return ASYNC_OK;
    }

    return async_text(req, 200, async_error(co));
}


/* at=&d=&f=&text=: what is written of these */

ASYNC_HANDLER(line)
{
    line_t       line;
    double       f;
    async_str_t  text;

    ASYNC_TRY(async_query_int_or(req, "at", &line.at, 0));
    ASYNC_TRY(async_query_float_or(req, "d", &line.d, 0));
    ASYNC_TRY(async_query_float_or(req, "f", &f, 0));

    line.f = f;
    line.text = async_query(req, "text").data;

    if (line.text == NULL) {
        line.text = "";
    }

    ASYNC_TRY(async_encode(co, &line_model, &line, &text));

    if (strlen(text.data) != text.len) {
        return async_text(req, 500, "it is not terminated");
    }

    return async_bytes(req, 200, "application/json", text.data, text.len);
}


/* many of these by one request: floats=bits,... */

ASYNC_HANDLER(floats)
{
    char         *rest;
    size_t        n = 0;
    uint32_t      bits;
    all_t         all = usual();
    async_str_t   body;

    ASYNC_TRY(await_body(co, req, &body));

    all.floats = async_alloc(req, (body.len + 1) * sizeof(float));

    for (rest = (char *) body.data; *rest; rest++) {
        bits = strtoul(rest, &rest, 16);
        memcpy(&all.floats[n++], &bits, sizeof(float));

        if (*rest == '\0') {
            break;
        }
    }

    all.n_floats = n;

    return told(co, req, &all, async_respond(req, 200, &all_model, &all));
}


ASYNC_HANDLER(times)
{
    char         *rest;
    size_t        n = 0;
    all_t         all = usual();
    async_str_t   body;

    ASYNC_TRY(await_body(co, req, &body));

    all.times = async_alloc(req, (body.len + 1) * sizeof(int64_t));

    for (rest = (char *) body.data; *rest; rest++) {
        all.times[n++] = strtoll(rest, &rest, 10);

        if (*rest == '\0') {
            break;
        }
    }

    all.n_times = n;

    return told(co, req, &all, async_respond(req, 200, &all_model, &all));
}


/* the body, cut to a model: by=node or point */

static async_rc_t
cut(async_req_t *req, json_t *body)
{
    async_str_t  by = async_query(req, "by");

    if (async_respond_json(req, 202, by.data && *by.data == 'n'
                                     ? &node_model : &point_model,
                           json_incref(body)) == ASYNC_OK)
    {
        return ASYNC_OK;
    }

    return ASYNC_ERROR;
}


ASYNC_HANDLER(filter)
{
    json_t  *body;

    ASYNC_TRY(await_json(co, req, &body));

    if (cut(req, body) == ASYNC_OK) {
        return ASYNC_OK;
    }

    return async_text(req, 200, async_error(co));
}


BLOCKING_HANDLER(filter_blocking)
{
    json_t  *body;

    ASYNC_TRY(async_body_json(req, &body));

    return cut(req, body);
}


/* a value that jansson would not have loaded: so deep, or none */

ASYNC_HANDLER(filter_deep)
{
    size_t    i;
    json_t   *value = json_object();
    int64_t   depth;

    ASYNC_TRY(async_query_int(req, "depth", &depth));

    if (depth == 0) {
        json_decref(value);
        value = NULL;
    }

    for (i = 1; i < (size_t) depth; i++) {
        value = json_pack("{s:o, s:i}", "next", value, "other", 1);
    }

    if (async_respond_json(req, 200, &node_model, value) == ASYNC_OK) {
        return ASYNC_OK;
    }

    return async_text(req, 200, async_error(co));
}


/* wrong calls */

ASYNC_HANDLER(wrong)
{
    int          n = 1;
    async_rc_t   rc;
    point_t     *none = NULL;
    async_str_t  how = async_query(req, "how"), text = { "before", 6 };

    switch (*how.data) {

    case 'n':
        return async_respond(req, 200, &point_model, none);

    case 's':
        rc = async_respond(req, 200, &point_model, &n);
        break;

    case 'a':
        rc = async_respond_all(req, 200, &point_model, none, 3);
        break;

    case 'e':
        rc = async_encode(co, &point_model, &n, &text);

        if (text.data || text.len) {
            return async_text(req, 500, "there is text of it");
        }

        break;

    case 'c':
        rc = async_respond(req, 199, &point_model, none);
        break;

    default:
        rc = async_respond_json(req, 700, &point_model, json_object());
        break;
    }

    return async_json_pack(req, 200, "{s:i, s:s}", "rc", (int) rc, "error",
                           async_error(co));
}


/* each response is another one, and the last one counts */

ASYNC_HANDLER(twice)
{
    point_t  points[2] = { { 1, "a" }, { 2, "b" } };

    ASYNC_TRY(async_text(req, 404, "first"));
    ASYNC_TRY(async_set_header(req, "X-Points", "2"));

    return async_respond_all(req, 203, &point_model, points, 2);
}
