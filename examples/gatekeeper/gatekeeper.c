
/*
 * A gatekeeper: whoever wants to reach the service shows a token, which is
 * looked up in PostgreSQL.  The service, which may be written in anything, is
 * told by header fields who it is that asks, and sees no token.
 */

#include <string.h>
#include <ngx_async.h>


/*
 * The table has digests: who reads it learns no token, and how long the search
 * takes says nothing about those that there are.
 */

ASYNC_HANDLER(known_user)
{
    async_str_t         token;
    async_pg_result_t  *found;

    ASYNC_TRY(async_bearer(req, &token));

    if (await_pg(co, "db", &found,
                 "SELECT name, role FROM tokens"
                 " WHERE digest = sha256(convert_to($1, 'UTF8'))"
                 " AND expires > now()", ASYNC_TEXT(token)) != ASYNC_OK)
    {
        ASYNC_TRY(async_set_header(req, "Retry-After", "1"));
        return async_fail(req, 503, "tokens cannot be looked up now");
    }

    if (async_pg_rows(found) == 0) {
        ASYNC_TRY(async_set_header(req, "WWW-Authenticate", "Bearer"));
        return async_fail(req, 401, "Invalid token");
    }

    /* what the client has sent by these names goes away */

    ASYNC_TRY(async_set_request_header(req, "X-User",
                                       async_pg_text(found, 0, "name").data));
    ASYNC_TRY(async_set_request_header(req, "X-Role",
                                       async_pg_text(found, 0, "role").data));

    return async_set_request_header(req, "Authorization", NULL);
}


/* behind known_user, which has said what the role is */

ASYNC_HANDLER(is_admin)
{
    async_str_t  role = async_header(req, "X-Role");

    if (role.data == NULL || strcmp(role.data, "admin") != 0) {
        return async_fail(req, 403, "this is for administrators");
    }

    return ASYNC_OK;
}


/* the service, which knows nothing of tokens */

static const char *
said(async_req_t *req, const char *name)
{
    async_str_t  field = async_header(req, name);

    return field.data ? field.data : "nobody";
}


ASYNC_HANDLER(service)
{
    async_str_t  body;

    ASYNC_TRY(await_body(co, req, &body));

    return async_json_pack(req, 200, "{s:s, s:s, s:s, s:I}",
                           "path", async_uri(req).data,
                           "user", said(req, "X-User"),
                           "authorization", said(req, "Authorization"),
                           "bytes", (json_int_t) body.len);
}
