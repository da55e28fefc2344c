/*
 * Handlers of t/route.t: each says its name and what it sees of its route.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>


static async_rc_t
answer(async_req_t *req, const char *name)
{
    char           *text;
    size_t          i;
    async_str_t     value, uri, method;

    static const char *const  params[] = {
        "a", "b", "c", "id", "x", "name", "rest", "year", "month"
    };

    method = async_method(req);
    uri = async_uri(req);

    text = (char *) async_alloc(req, 8192);
    if (text == NULL) {
        return ASYNC_ERROR;
    }

    snprintf(text, 4096, "%s %s %s", name, method.data, uri.data);

    for (i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
        value = async_path(req, params[i]);

        if (value.data) {
            snprintf(text + strlen(text), 300, " %s=[%s]", params[i],
                     value.data);
        }
    }

    strcat(text, "\n");

    ASYNC_TRY(async_set_header(req, "X-Handler", name));

    return async_text(req, 200, text);
}


ASYNC_HANDLER(one)
{
    return answer(req, "one");
}


ASYNC_HANDLER(two)
{
    return answer(req, "two");
}


ASYNC_HANDLER(three)
{
    return answer(req, "three");
}


/* the length of the last part, as proof that no byte is lost */

ASYNC_HANDLER(bytes)
{
    char         text[64];
    async_str_t  x;

    x = async_path(req, "x");
    snprintf(text, sizeof(text), "%zu %s\n", x.len,
             x.data && strlen(x.data) == x.len ? "terminated" : "not so");

    return async_text(req, 200, text);
}
