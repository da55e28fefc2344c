
/*
 * The request, used by a child; and a task that is used by another one.
 */

#include "task.h"


static async_rc_t
reads(async_t *co, void *arg)
{
    async_rc_t    rc;
    async_str_t   body;
    async_req_t  *req = arg;

    say(co, "reads>");

    rc = await_body(co, req, &body);
    say(co, "body %s%s%s>", name_of(rc), rc ? ": " : "",
        rc ? async_error(co) : "");

    return rc;
}


ASYNC_HANDLER(body)
{
    async_rc_t   rc;
    async_str_t  body;

    rc = await_join(co, async_spawn(co, reads, req));
    say(co, "join %s>", name_of(rc));
    ASYNC_TRY(rc);

    ASYNC_TRY(await_body(co, req, &body));

    if (async_query(req, "stays").data) {
        say(co, "stays>");
        rc = await_sleep(co, HOUR);
        say(co, "left %s>", name_of(rc));
        return rc;
    }

    return async_text(req, 200, body.data);
}


/* two at once */

ASYNC_HANDLER(body_twice)
{
    out_t         out = { "", 0 };
    async_work_t  work[] = {
        { reads, req, ASYNC_OK, NULL }, { reads, req, ASYNC_OK, NULL }
    };

    ASYNC_TRY(await_gather(co, work, 2));

    tell(&out, "first", work[0].rc, work[0].error);
    tell(&out, "second", work[1].rc, work[1].error);

    return async_text(req, 200, out.text);
}


static async_rc_t
answers(async_t *co, void *arg)
{
    json_t       *value;
    async_req_t  *req = arg;

    ASYNC_TRY(await_json(co, req, &value));

    return async_json(req, 201, json_pack("{s:O}", "given", value));
}


ASYNC_HANDLER(json)
{
    return await_join(co, async_spawn(co, answers, req));
}


/* awaits on the task of its parent */

static async_rc_t
impostor(async_t *co, void *arg)
{
    (void) co;

    return await_sleep(arg, 1);                    /* of the parent */
}


ASYNC_HANDLER(misplaced)
{
    ASYNC_TRY(await_join(co, async_spawn(co, impostor, co)));

    return async_text(req, 200, "not noticed\n");
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}
