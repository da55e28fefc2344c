/*
 * Structs within structs as JSON in C++, of any standard since C++11, for
 * t/model-write.t.
 */

#include <ngx_async.h>


namespace {

enum Kind { circle, square };

const char *const  kinds[] = { "circle", "square", nullptr };

struct Size {
    float     width;
    uint64_t  height;
};

struct Shape {
    Kind           kind;
    Size           size;
    const Size    *shadow;
    const Shape   *parts;
    size_t         n_parts;
    const char    *id;
};

ASYNC_MODEL(size_model, Size,
    ASYNC_FIELD(Size, width, ASYNC_GT(0)),
    ASYNC_FIELD(Size, height)
);

ASYNC_MODEL(shape_model, Shape,
    ASYNC_FIELD(Shape, kind, ASYNC_WITH(choices, kinds)),
    ASYNC_OBJECT(Shape, size, size_model),
    ASYNC_OBJECT(Shape, shadow, size_model, ASYNC_WITH(title, "A shadow")),
    ASYNC_OBJECTS(Shape, parts, n_parts, shape_model),
    ASYNC_FIELD(Shape, id, ASYNC_WITH(type, ASYNC_FIELD_UUID),
                ASYNC_WITH(optional, 1))
);

}


ASYNC_HANDLER(shapes)
{
    Size   size = { 0.1f, UINT64_MAX };
    Shape  part = { circle, { 1, 2 }, nullptr, nullptr, 0, nullptr };
    Shape  all[] = { { square, size, &size, &part, 1,
                       "5dc2a3c4-0000-4000-8000-000000000000" }, part };

    return async_respond_all(req, 200, &shape_model, all, 2);
}
