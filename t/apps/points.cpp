/*
 * A model in C++, of any standard since C++11, for t/pg-model.t.
 */

#include <ngx_async.h>


namespace {

struct Point {
    int            id;
    double         x;
    const float   *y;
    const char    *name;
    bool           on;
    int64_t        at;
    async_str_t    data;
    const double  *values;
    size_t         n_values;
};

ASYNC_MODEL(point_model, Point,
    ASYNC_FIELD(Point, id),
    ASYNC_FIELD(Point, x),
    ASYNC_FIELD(Point, y),
    ASYNC_FIELD(Point, name, ASYNC_WITH(optional, 1),
                ASYNC_WITH(name, "label")),
    ASYNC_FIELD(Point, on),
    ASYNC_FIELD(Point, at, ASYNC_WITH(type, ASYNC_FIELD_TIME)),
    ASYNC_FIELD(Point, data, ASYNC_WITH(type, ASYNC_FIELD_BYTES)),
    ASYNC_LIST(Point, values, n_values)
);

}


ASYNC_HANDLER(points)
{
    double              sum = 0;
    Point               first, *all;
    size_t              n;
    async_pg_result_t  *result;

    ASYNC_TRY(await_pg(co, "db", &result,
                       "SELECT i AS id, i / 2.0 AS x,"
                       " nullif(i, 2)::float4 AS y, 'p' || i AS label,"
                       " i > 1 AS on, 'epoch'::timestamptz"
                       " + i * interval '1 second' AS at,"
                       " '\\x00ff'::bytea AS data,"
                       " ARRAY[i, 0.5]::float8[] AS values"
                       " FROM generate_series(1, 2) i"));
    ASYNC_TRY(async_pg_into(co, result, 0, &point_model, &first));
    ASYNC_TRY(async_pg_all_into(co, result, &point_model, &all, &n));

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < all[i].n_values; j++) {
            sum += all[i].values[j];
        }
    }

    return async_json_pack(req, 200, "{s:i, s:f, s:f, s:b, s:s, s:b, s:I, s:i,"
                           " s:f}", "id", first.id, "x", first.x, "y",
                           (double) *first.y, "null", all[1].y == NULL, "name",
                           all[1].name, "on", (int) all[1].on, "at",
                           (json_int_t) all[1].at, "bytes",
                           (int) first.data.len, "sum", sum);
}
