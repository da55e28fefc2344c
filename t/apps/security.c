
/*
 * Handlers of t/security.t: who asks.
 */

#include <ngx_async.h>
#include <string.h>


ASYNC_HANDLER(bearer)
{
    async_str_t  token;

    ASYNC_TRY(async_bearer(req, &token));

    return async_bytes(req, 200, "text/plain", token.data, token.len);
}


static async_rc_t
say_basic(async_req_t *req)
{
    async_str_t  user, password;

    ASYNC_TRY(async_basic(req, "the \"back\\slash\" realm", &user,
                          &password));

    if (strlen(user.data) != user.len
        || strlen(password.data) != password.len)
    {
        return async_text(req, 200, "not terminated");
    }

    return async_json_pack(req, 200, "[s, s]", user.data, password.data);
}


ASYNC_HANDLER(basic)
{
    return say_basic(req);
}


BLOCKING_HANDLER(basic_thread)
{
    return say_basic(req);
}


ASYNC_HANDLER(no_realm)
{
    async_str_t  user, password;

    return async_basic(req, "a\r\nSet-Cookie: b", &user, &password);
}


/* /key/{in}: the key "k" in the header, query, cookie, or in the path */

ASYNC_HANDLER(key)
{
    async_in_t   in;
    async_str_t  k, where;

    where = async_path(req, "in");

    in = (where.data[0] == 'h') ? ASYNC_IN_HEADER
         : (where.data[0] == 'q') ? ASYNC_IN_QUERY
         : (where.data[0] == 'c') ? ASYNC_IN_COOKIE : ASYNC_IN_PATH;

    ASYNC_TRY(async_api_key(req, in, "x-key", &k));

    return async_text(req, 200, k.data);
}


ASYNC_HANDLER(equal)
{
    async_str_t  a, b;

    a = async_query(req, "a");
    b = async_query(req, "b");

    return async_text(req, 200, async_equal(a, b.data) ? "equal" : "differ");
}
