/* The handlers of wq: hello, with two parameters in the path, three behind. */

#include <string.h>
#include <ngx_async.h>


typedef struct {
    int64_t      shop;
    async_str_t  kind;
    int          limit;
    async_str_t  q;
    double       price;
} query_t;

ASYNC_MODEL(query_model, query_t,
    ASYNC_FIELD(query_t, shop, ASYNC_GE(1)),
    ASYNC_FIELD(query_t, kind, ASYNC_WITH(max_length, 20)),
    ASYNC_FIELD(query_t, limit, ASYNC_DEFAULT("20"), ASYNC_GE(1),
                ASYNC_LE(100)),
    ASYNC_FIELD(query_t, q, ASYNC_WITH(optional, 1)),
    ASYNC_FIELD(query_t, price, ASYNC_GT(0))
);


static async_rc_t
answer(async_req_t *req, const query_t *p)
{
    if (p->shop != 7 || p->limit != 10 || p->price != 9.5
        || strcmp(p->kind.data, "shoes") != 0 || strcmp(p->q.data, "abc") != 0)
    {
        return ASYNC_ERROR;
    }

    return async_json_pack(req, 200, "{s:s}", "message", "Hello, World!");
}


ASYNC_HANDLER(by_params, ASYNC_PARAMS(query_model))
{
    return answer(req, query_model_of(req));
}


ASYNC_HANDLER(by_accessors)
{
    int64_t  limit;
    query_t  p;

    (void) async_path_int(req, "shop", &p.shop);
    (void) async_path_str(req, "kind", &p.kind);
    (void) async_query_int_or(req, "limit", &limit, 20);
    (void) async_query_str_or(req, "q", &p.q, NULL);
    (void) async_query_float(req, "price", &p.price);

    ASYNC_TRY(async_valid(req));

    p.limit = (int) limit;

    return answer(req, &p);
}
