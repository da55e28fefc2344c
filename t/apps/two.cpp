/*
 * An app in C++17, for t/app.t: lambdas, the standard library, exceptions
 * that do not leave the handler, destructors across an await, and what only
 * C++ has of literals.
 */

#include <ngx_async.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>


namespace {

struct Counter {
    int  &n;

    explicit Counter(int &value) : n(value) { n++; }
    ~Counter() { n--; }
};

int  alive;

/* as the handlers of other apps: names are an app's own */

std::string
helper(std::string_view name)
{
    return "C++ says hello to " + std::string(name);
}

}


ASYNC_HANDLER(cpp_hello)
{
    async_str_t  name = async_path(req, "name");

    return async_text(req, 200, helper({name.data, name.len}).c_str());
}


ASYNC_HANDLER(cpp_await)
{
    auto      owned = std::make_unique<Counter>(alive);
    std::string  text(1000, 'x');

    ASYNC_TRY(await_sleep(co, 1));

    return async_json(req, 200, json_pack("{s:i, s:i}", "alive", alive,
                                          "length", (int) text.size()));
}


ASYNC_HANDLER(cpp_throw)
{
    std::vector<int>  numbers(3);

    try {
        return async_text(req, 200, std::to_string(numbers.at(5)).c_str());

    } catch (const std::out_of_range &) {
        return async_fail(req, 400, "caught");
    }
}


ASYNC_TASK(cpp_task)
{
    return async_task_fail(co, ASYNC_ERROR, "%s", helper("nobody").c_str());
}
