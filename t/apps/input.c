/*
 * Handlers of t/input.t: what a handler sees of its request.  Names of header
 * fields, cookies, settings and variables come as the query parameter "n".
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>


static async_rc_t
show(async_req_t *req, async_str_t s)
{
    if (s.data == NULL) {
        return async_text(req, 200, s.len ? "absent, with a length"
                                          : "absent");
    }

    if (s.data[s.len] != '\0') {
        return async_text(req, 200, "not terminated");
    }

    return async_bytes(req, 200, "text/plain", s.data, s.len);
}


ASYNC_HANDLER(method)
{
    return show(req, async_method(req));
}


ASYNC_HANDLER(uri)
{
    return show(req, async_uri(req));
}


ASYNC_HANDLER(query_string)
{
    return show(req, async_query_string(req));
}


ASYNC_HANDLER(header)
{
    return show(req, async_header(req, async_query(req, "n").data));
}


ASYNC_HANDLER(headers)
{
    char         *text;
    size_t        i, n;
    async_str_t   name, value;

    text = (char *) async_alloc(req, 65536);
    n = 0;

    for (i = 0; async_header_at(req, i, &name, &value); i++) {
        n += snprintf(text + n, 65536 - n, "%s=%s\n", name.data, value.data);
    }

    snprintf(text + n, 65536 - n, "%zu %s %s\n", i,
             name.data ? "name" : "none", value.data ? "value" : "none");

    return async_text(req, 200, text);
}


ASYNC_HANDLER(cookie)
{
    return show(req, async_cookie(req, async_query(req, "n").data));
}


ASYNC_HANDLER(client)
{
    return show(req, async_client(req));
}


ASYNC_HANDLER(setting)
{
    return show(req, async_param(req, async_query(req, "n").data));
}


ASYNC_HANDLER(variable)
{
    return show(req, async_var(req, async_query(req, "n").data));
}


/* sets "n" to "v", after an await if asked, and gives it back */

ASYNC_HANDLER(set_variable)
{
    char          value[64];
    async_str_t   n = async_query(req, "n"), v = async_query(req, "v");

    snprintf(value, sizeof(value), "%s", v.data ? v.data : "");

    if (async_query(req, "await").data) {
        ASYNC_TRY(await_sleep(co, 1));
    }

    if (async_set_var(req, n.data, value) != ASYNC_OK) {
        return async_fail(req, 400, async_error(co));
    }

    /* it has been copied */
    memset(value, 'x', sizeof(value) - 1);

    return show(req, async_var(req, n.data));
}


ASYNC_HANDLER(memory)
{
    char    *p, *all[100];
    size_t   i, size;

    for (i = 0; i < 100; i++) {
        size = i * i * 3 + (i == 0);
        all[i] = p = (char *) async_alloc(req, size);

        if (p == NULL || (uintptr_t) p % _Alignof(max_align_t)) {
            return async_text(req, 200, "not aligned");
        }

        memset(p, (int) i, size);
    }

    ASYNC_TRY(await_sleep(co, 1));

    for (i = 1; i < 100; i++) {
        if (all[i][0] != (char) i || all[i][i * i * 3 - 1] != (char) i) {
            return async_text(req, 200, "overwritten");
        }
    }

    return async_text(req, 200, "fine");
}


ASYNC_HANDLER(too_much)
{
    return async_text(req, 200, async_alloc(req, SIZE_MAX)
                                || async_alloc(req, SIZE_MAX - 8)
                                ? "given" : "none");
}


/* a string of before an await is there after it */

ASYNC_HANDLER(kept)
{
    async_str_t  header, uri, method;

    header = async_header(req, "X-Kept");
    uri = async_uri(req);
    method = async_method(req);

    ASYNC_TRY(await_sleep(co, 20));

    return async_text(req, 200, header.data && uri.data && method.data
                      && strcmp(header.data, "value") == 0
                      && strcmp(uri.data, "/kept") == 0
                      && strcmp(method.data, "POST") == 0
                      ? "the same" : "other");
}
