/*
 * Handlers of t/openapi.t: what the document says of them is compared with
 * what FastAPI says of the same.
 */

#include <ngx_async.h>
#include <stdbool.h>


typedef struct {
    const char   *street;
    const char   *city;
} address_t;

typedef struct node_s  node_t;

struct node_s {
    const char   *value;
    node_t       *next;
    node_t       *children;
    size_t        n_children;
};

typedef struct {
    const char   *name;
    async_str_t   note;
    double        price;
    int32_t      *stock;
    bool          active;
    int64_t       made;
    async_str_t   thumb;
    const char   *id;
    const char   *day;
    const char   *color;
    int           level;
    json_t       *extra;
    const char  **tags;
    size_t        n_tags;
    address_t    *address;
    address_t    *others;
    size_t        n_others;
} item_t;

typedef struct {
    int64_t       item_id;
    int64_t       limit;
    const char   *q;
    const char  **tag;
    size_t        n_tag;
    const char   *x_token;
    const char   *session;
    uint8_t       per;
    int16_t       shift;
    uint64_t      most;
} item_params_t;

typedef struct {
    int64_t       limit;
} limit_params_t;

typedef struct {
    const char   *message;
} failure_t;

typedef struct {
    const char      *title;
    async_upload_t  *photo;
    async_upload_t **more;
    size_t           n_more;
} photo_t;

typedef struct {
    const char   *user;
    const char   *password;
} login_t;

typedef struct {
    int64_t       limit;
    int64_t       offset;
} page_params_t;


static const char *const  colors[] = { "red", "green", NULL };
static const char *const  levels[] = { "low", "high", NULL };


ASYNC_MODEL(Address, address_t,
    ASYNC_FIELD(address_t, street),
    ASYNC_FIELD(address_t, city)
);

ASYNC_MODEL(Node, node_t,
    ASYNC_FIELD(node_t, value),
    ASYNC_OBJECT(node_t, next, Node),
    ASYNC_OBJECTS(node_t, children, n_children, Node)
);

ASYNC_MODEL(Item, item_t,
    ASYNC_FIELD(item_t, name, .min_length = 1, .max_length = 50,
                .pattern = "^[a-z]+$", .title = "The name",
                .description = "Of the item", .example = "foo"),
    ASYNC_FIELD(item_t, note, .optional = 1, .max_length = 300),
    ASYNC_FIELD(item_t, price, ASYNC_GT(0), ASYNC_LE(999.5)),
    ASYNC_FIELD(item_t, stock, ASYNC_GE(0), ASYNC_LT(1000)),
    ASYNC_FIELD(item_t, active, ASYNC_DEFAULT("yes")),
    ASYNC_FIELD(item_t, made, .type = ASYNC_FIELD_TIME),
    ASYNC_FIELD(item_t, thumb, .type = ASYNC_FIELD_BYTES, .optional = 1),
    ASYNC_FIELD(item_t, id, .type = ASYNC_FIELD_UUID),
    ASYNC_FIELD(item_t, day, .type = ASYNC_FIELD_DATE),
    ASYNC_FIELD(item_t, color, .choices = colors, ASYNC_DEFAULT("red")),
    ASYNC_FIELD(item_t, level, .choices = levels),
    ASYNC_FIELD(item_t, extra, .optional = 1),
    ASYNC_LIST(item_t, tags, n_tags, .min_length = 1, .max_length = 5,
               ASYNC_DEFAULT("[\"a\"]")),
    ASYNC_OBJECT(item_t, address, Address),
    ASYNC_OBJECTS(item_t, others, n_others, Address)
);

ASYNC_MODEL(ItemParams, item_params_t,
    ASYNC_FIELD(item_params_t, item_id, ASYNC_GE(1)),
    ASYNC_FIELD(item_params_t, limit, ASYNC_DEFAULT("10"), ASYNC_LE(100),
                .description = "How many"),
    ASYNC_FIELD(item_params_t, q, .optional = 1, .min_length = 3),
    ASYNC_LIST(item_params_t, tag, n_tag, ASYNC_DEFAULT("[]")),
    ASYNC_FIELD(item_params_t, x_token, .in = ASYNC_IN_HEADER),
    ASYNC_FIELD(item_params_t, session, .in = ASYNC_IN_COOKIE, .optional = 1),
    ASYNC_FIELD(item_params_t, per, ASYNC_DEFAULT("5")),
    ASYNC_FIELD(item_params_t, shift, ASYNC_DEFAULT("0"), ASYNC_LT(10)),
    ASYNC_FIELD(item_params_t, most, ASYNC_DEFAULT("1"))
);

ASYNC_MODEL(PageParams, page_params_t,
    ASYNC_FIELD(page_params_t, limit),
    ASYNC_FIELD(page_params_t, offset, ASYNC_DEFAULT("0"))
);

ASYNC_MODEL(LimitParams, limit_params_t,
    ASYNC_FIELD(limit_params_t, limit, ASYNC_DEFAULT("5"))
);

ASYNC_MODEL(Failure, failure_t,
    ASYNC_FIELD(failure_t, message)
);

ASYNC_MODEL(Photo, photo_t,
    ASYNC_FIELD(photo_t, title, ASYNC_DEFAULT("none")),
    ASYNC_FIELD(photo_t, photo),
    ASYNC_LIST(photo_t, more, n_more, .max_length = 3)
);

ASYNC_MODEL(Login, login_t,
    ASYNC_FIELD(login_t, user),
    ASYNC_FIELD(login_t, password)
);


ASYNC_DEPENDENCY(page, void, ASYNC_PARAMS(PageParams), ASYNC_TAG("unseen"))
{
    return ASYNC_OK;
}


ASYNC_DEPENDENCY(token, void, ASYNC_SECURITY_BEARER("token"),
                 ASYNC_SECURITY_KEY("key", ASYNC_IN_HEADER, "x-key"),
                 ASYNC_RESPONSE(401, Failure))
{
    return ASYNC_OK;
}


BLOCKING_DEPENDENCY(admin, void, ASYNC_DEPENDS(token, page),
                    ASYNC_SECURITY_BASIC("admin"), ASYNC_RESPONSE(403, Failure))
{
    return ASYNC_OK;
}


ASYNC_HANDLER(read_me, ASYNC_DEPENDS(admin, token), ASYNC_PARAMS(LimitParams))
{
    return async_text(req, 200, "me");
}


ASYNC_HANDLER(read_root)
{
    return async_text(req, 200, "root");
}


ASYNC_HANDLER(read_item, ASYNC_PARAMS(ItemParams), ASYNC_RESPONSE(200, Item),
              ASYNC_RESPONSE(404, Failure), ASYNC_RESPONSE(404, Address),
              ASYNC_TAG("items"), ASYNC_TAG("more"))
{
    return async_fail(req, 404, "none");
}


ASYNC_HANDLER(create_item, ASYNC_BODY(Item), ASYNC_RESPONSE(201, Item),
              ASYNC_SUMMARY("Make one"), ASYNC_OPERATION("make_item"),
              ASYNC_DESCRIPTION("It makes *one* item."), ASYNC_TAG("items"))
{
    return async_fail(req, 404, "none");
}


ASYNC_HANDLER(list_items, ASYNC_RESPONSE_LIST(200, Address), ASYNC_DEPRECATED)
{
    return async_text(req, 200, "[]");
}


BLOCKING_HANDLER(read_tree, ASYNC_RESPONSE(200, Node))
{
    return async_text(req, 200, "{}");
}


ASYNC_HANDLER(save_tree, ASYNC_BODY(Node))
{
    return async_text(req, 200, "{}");
}


ASYNC_DEPENDENCY(at_home, void, ASYNC_BODY(Address))
{
    return ASYNC_OK;
}


ASYNC_HANDLER(move, ASYNC_DEPENDS(at_home), ASYNC_BODY(Address))
{
    return async_text(req, 200, "moved");
}


ASYNC_HANDLER(add_photo, ASYNC_FORM(Photo))
{
    return async_text(req, 200, "photo");
}


ASYNC_HANDLER(login, ASYNC_FORM(Login))
{
    return async_text(req, 200, "in");
}


ASYNC_HANDLER(secret, ASYNC_HIDDEN)
{
    return async_text(req, 200, "secret");
}


ASYNC_HANDLER(echo)
{
    return async_json(req, 200,
                      json_pack("{s:s%, s:s%, s:s%}",
                                "method", async_method(req).data,
                                async_method(req).len,
                                "a", async_path(req, "a").data
                                     ? async_path(req, "a").data : "",
                                async_path(req, "a").len,
                                "q", async_query(req, "q").data
                                     ? async_query(req, "q").data : "",
                                async_query(req, "q").len));
}
