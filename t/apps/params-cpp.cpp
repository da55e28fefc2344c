/*
 * Parameters by a model in C++, of any standard since C++11, for t/params.t.
 */

#include <ngx_async.h>
#include <string>


namespace {

enum Color { RED, GREEN, BLUE };

const char *const  colors[] = { "red", "green", "blue", nullptr };

const char *
not_zero(const void *member)
{
    return *static_cast<const int *>(member) ? nullptr : "must not be zero";
}

struct Query {
    int            id;
    const char   **names;
    size_t         n_names;
    unsigned       color;
    const int     *limit;
    int            page;
};

ASYNC_MODEL(query_model, Query,
    ASYNC_FIELD(Query, id, ASYNC_WITH(in, ASYNC_IN_PATH),
                ASYNC_WITH(check, not_zero)),
    ASYNC_LIST(Query, names, n_names, ASYNC_WITH(min_length, 1)),
    ASYNC_FIELD(Query, color, ASYNC_WITH(choices, colors)),
    ASYNC_FIELD(Query, limit, ASYNC_WITH(in, ASYNC_IN_HEADER),
                ASYNC_WITH(name, "x-limit"), ASYNC_LE(5)),
    ASYNC_FIELD(Query, page, ASYNC_DEFAULT("9"))
);

}


ASYNC_HANDLER(cpp)
{
    Query        query;
    std::string  text;

    ASYNC_TRY(async_params_into(req, &query_model, &query));

    for (size_t i = 0; i < query.n_names; i++) {
        text += (i ? "," : "") + std::string(query.names[i]);
    }

    text = std::to_string(query.id) + " " + text + " "
           + std::to_string(query.color) + " "
           + std::to_string(query.limit ? *query.limit : -1) + " "
           + std::to_string(query.page);

    return async_text(req, 200, text.c_str());
}
