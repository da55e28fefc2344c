
/*
 * Dependencies of t/depends-body.t: bodies that several want at the same time,
 * forms, and errors of those that run together.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>


static void
say(async_req_t *req, const char *what)
{
    async_log(req, ASYNC_LOG_NOTICE, "<%s>", what);
}


/* "how" is a query parameter of each of two: whole, json, form, short */

static async_rc_t
reads(async_t *co, async_req_t *req, const char *name)
{
    char           text[64];
    json_t        *value;
    async_rc_t     rc;
    async_str_t    how, body;
    async_form_t  *form;

    how = async_query(req, name);
    say(req, name);

    if (strcmp(how.data, "whole") == 0) {
        ASYNC_TRY(await_body(co, req, &body));
        snprintf(text, sizeof(text), "%d", (int) body.len);

    } else if (strcmp(how.data, "json") == 0) {
        ASYNC_TRY(await_json(co, req, &value));
        snprintf(text, sizeof(text), "%d", (int) json_object_size(value));

    } else if (strcmp(how.data, "form") == 0) {
        ASYNC_TRY(await_form(co, req, &form));
        snprintf(text, sizeof(text), "%s", async_form_text(form, "a").data);

    } else {
        {
            ASYNC_DEADLINE(co, 1);
            rc = await_body(co, req, &body);
        }

        snprintf(text, sizeof(text), "%s",
                 rc == ASYNC_TIMEOUT ? "timeout" : "other");
        say(req, text);
    }

    return async_provide(req, strcpy(async_alloc(req, strlen(text) + 1),
                                     text));
}


ASYNC_DEPENDENCY(left, const char)
{
    return reads(co, req, "left");
}


ASYNC_DEPENDENCY(right, const char)
{
    return reads(co, req, "right");
}


#define BOTH  ASYNC_DEPENDS_TOGETHER(left, right)

ASYNC_HANDLER(both_async, BOTH)
{
    return async_json_pack(req, 200, "[s, s]", left_of(req), right_of(req));
}


BLOCKING_HANDLER(both_blocking, BOTH)
{
    return async_json_pack(req, 200, "[s, s]", left_of(req), right_of(req));
}


/* a thread that does not look at what the loop answers */

static async_rc_t
parses(async_t *co, void *arg)
{
    json_t  *value;

    return await_json(co, arg, &value);
}


BLOCKING_DEPENDENCY(settings, void)
{
    return ASYNC_OK;
}


BLOCKING_HANDLER(careless, ASYNC_DEPENDS(settings))
{
    if (async_call(req, parses, req) == ASYNC_INVALID) {
        say(req, "invalid");
    }

    ASYNC_TRY(async_valid(req));

    return async_text(req, 200, "valid");
}


BLOCKING_HANDLER(careless_alone)
{
    if (async_call(req, parses, req) == ASYNC_INVALID) {
        say(req, "invalid");
    }

    ASYNC_TRY(async_valid(req));

    return async_text(req, 200, "valid");
}


/* errors of those that run together: the first one ends last */

ASYNC_DEPENDENCY(slow, void)
{
    int64_t  n;

    ASYNC_TRY(await_sleep(co, 20));
    (void) async_query_int(req, "a", &n);
    say(req, "slow");

    return ASYNC_OK;
}


BLOCKING_DEPENDENCY(in_thread, void)
{
    int64_t  n;

    (void) async_query_int(req, "b", &n);
    say(req, "thread");

    return ASYNC_OK;
}


ASYNC_DEPENDENCY(fast, void)
{
    int64_t  n;

    (void) async_query_int(req, "c", &n);
    say(req, "fast");

    return ASYNC_OK;
}


typedef struct {
    int64_t  d;
} d_t;

ASYNC_MODEL(d_params, d_t, ASYNC_FIELD(d_t, d, .in = ASYNC_IN_QUERY));


ASYNC_DEPENDENCY(declares, void, ASYNC_PARAMS(d_params))
{
    say(req, "declares");

    return ASYNC_OK;
}


#define FOUR  ASYNC_DEPENDS_TOGETHER(slow, in_thread, declares, fast)

ASYNC_HANDLER(errors_async, FOUR)
{
    ASYNC_TRY(async_valid(req));

    return async_text(req, 200, "valid");
}


BLOCKING_HANDLER(errors_blocking, FOUR)
{
    ASYNC_TRY(async_valid(req));

    return async_text(req, 200, "valid");
}


/* returns the code of its own error */

ASYNC_DEPENDENCY(refuses, void)
{
    int64_t  n;

    return async_query_int(req, "a", &n);
}


ASYNC_HANDLER(errors_returned, ASYNC_DEPENDS_TOGETHER(fast, refuses))
{
    return async_text(req, 200, "valid");
}


/* one form, that several declare */

typedef struct {
    const char  *title;
    int64_t      size;
} title_t;

ASYNC_MODEL(title_form, title_t,
    ASYNC_FIELD(title_t, title),
    ASYNC_FIELD(title_t, size, ASYNC_GE(1)));


ASYNC_DEPENDENCY(title, const char, ASYNC_FORM(title_form))
{
    say(req, "title");

    return async_provide(req, title_form_of(req)->title);
}


BLOCKING_DEPENDENCY(title_in_thread, const char, ASYNC_FORM(title_form))
{
    say(req, "title in thread");

    return async_provide(req, title_form_of(req)->title);
}


#define TITLES  ASYNC_DEPENDS(title, title_in_thread), ASYNC_FORM(title_form)

static async_rc_t
answers(async_req_t *req)
{
    return async_json_pack(req, 200, "[s, s, s, I]", title_of(req),
                           title_in_thread_of(req), title_form_of(req)->title,
                           title_form_of(req)->size);
}


ASYNC_HANDLER(form_async, TITLES)
{
    return answers(req);
}


BLOCKING_HANDLER(form_blocking, TITLES)
{
    return answers(req);
}
