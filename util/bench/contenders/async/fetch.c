/*
 * Of w7: fetches of what async_param "url" says, and subrequests to "/backend",
 * whose JSON is parsed and written again, or whose bodies are copied.
 */

#include <string.h>
#include <ngx_async.h>


#define THREE  3


typedef struct {
    async_req_t       *req;
    const char        *url;
    async_response_t  *res;
    json_t            *json;
} fetch_t;


static async_rc_t
fetch(async_t *co, void *arg)
{
    fetch_t  *f = arg;

    ASYNC_TRY(await_fetch(co, f->url, NULL, &f->res));

    return async_raise_for_status(co, f->res);
}


static async_rc_t
fetch_json(async_t *co, void *arg)
{
    fetch_t  *f = arg;

    ASYNC_TRY(fetch(co, f));

    return async_response_json(co, f->res, &f->json);
}


static async_rc_t
capture_json(async_t *co, void *arg)
{
    fetch_t  *f = arg;

    ASYNC_TRY(await_subrequest(co, f->req, "/backend", NULL, &f->res));
    ASYNC_TRY(async_raise_for_status(co, f->res));

    return async_response_json(co, f->res, &f->json);
}


static async_rc_t
await_three(async_t *co, async_req_t *req, async_fn_pt fn, fetch_t *f)
{
    int           i;
    async_work_t  work[THREE];

    for (i = 0; i < THREE; i++) {
        f[i].req = req;
        f[i].url = async_param(req, "url").data;
        work[i].fn = fn;
        work[i].arg = &f[i];
    }

    return await_all(co, work, THREE);
}


ASYNC_HANDLER(fetch_one)
{
    fetch_t  f = { .url = async_param(req, "url").data };

    ASYNC_TRY(fetch_json(co, &f));

    return async_json(req, 200, json_incref(f.json));
}


ASYNC_HANDLER(fetch_raw)
{
    fetch_t      f = { .url = async_param(req, "url").data };
    async_str_t  body;

    ASYNC_TRY(fetch(co, &f));

    body = async_response_body(f.res);

    return async_bytes(req, 200, "application/json", body.data, body.len);
}


ASYNC_HANDLER(fetch_three)
{
    fetch_t  f[THREE];

    ASYNC_TRY(await_three(co, req, fetch_json, f));

    return async_json_pack(req, 200, "[O,O,O]",
                           f[0].json, f[1].json, f[2].json);
}


ASYNC_HANDLER(fetch_three_raw)
{
    int          i;
    char         all[1024];
    size_t       n = 0;
    fetch_t      f[THREE];
    async_str_t  body;

    ASYNC_TRY(await_three(co, req, fetch, f));

    for (i = 0; i < THREE; i++) {
        body = async_response_body(f[i].res);

        if (body.len > sizeof(all) - n) {
            return ASYNC_ERROR;
        }

        memcpy(all + n, body.data, body.len);
        n += body.len;
    }

    return async_bytes(req, 200, "application/json", all, n);
}


ASYNC_HANDLER(capture_one)
{
    fetch_t  f = { .req = req };

    ASYNC_TRY(capture_json(co, &f));

    return async_json(req, 200, json_incref(f.json));
}


ASYNC_HANDLER(capture_three)
{
    fetch_t  f[THREE];

    ASYNC_TRY(await_three(co, req, capture_json, f));

    return async_json_pack(req, 200, "[O,O,O]",
                           f[0].json, f[1].json, f[2].json);
}
