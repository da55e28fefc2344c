
/*
 * Several lookups for one answer: one after another, all at once, whichever is
 * first, and within a time.  A lookup here is a sleep; in a true app it would
 * ask another server.
 */

#include <ngx_async.h>


typedef struct {
    const char  *source;
    int64_t      ms;           /* how long it takes */
    const char  *value;        /* what it finds; NULL: it fails */
} lookup_t;


static lookup_t  user = { "user", 100, "Ada" };
static lookup_t  orders = { "orders", 200, "three orders" };
static lookup_t  weather = { "weather", 150, "sunny" };
static lookup_t  prices = { "prices", 50, NULL };


static async_rc_t
look_up(async_t *co, void *arg)
{
    lookup_t  *lookup = arg;

    ASYNC_TRY(await_sleep(co, lookup->ms));

    return lookup->value ? ASYNC_OK : ASYNC_ERROR;
}


static async_rc_t
answer(async_req_t *req)
{
    return async_json_pack(req, 200, "{s:s, s:s, s:s}",
                           user.source, user.value,
                           orders.source, orders.value,
                           weather.source, weather.value);
}


/* 100 + 200 + 150 ms */

ASYNC_HANDLER(one_after_another)
{
    ASYNC_TRY(look_up(co, &user));
    ASYNC_TRY(look_up(co, &orders));
    ASYNC_TRY(look_up(co, &weather));

    return answer(req);
}


/* 200 ms, those of the slowest; if one failed, the others would be cancelled */

ASYNC_HANDLER(gather)
{
    async_work_t  work[] = {
        { .fn = look_up, .arg = &user },
        { .fn = look_up, .arg = &orders },
        { .fn = look_up, .arg = &weather },
    };

    ASYNC_TRY(await_all(co, work, 3));

    return answer(req);
}


static async_rc_t
look_up_soon(async_t *co, void *arg)
{
    return await_within(co, 120, look_up, arg);
}


/* Each for itself, and none for long: what has been found, and what has not */

ASYNC_HANDLER(gather_all)
{
    size_t         i;
    json_t        *found, *errors;
    lookup_t      *lookup;
    async_work_t   work[] = {
        { .fn = look_up_soon, .arg = &user },
        { .fn = look_up_soon, .arg = &orders },
        { .fn = look_up_soon, .arg = &prices },
    };

    ASYNC_TRY(await_gather(co, work, 3));

    found = json_object();
    errors = json_object();

    for (i = 0; i < 3; i++) {
        lookup = work[i].arg;

        if (work[i].rc == ASYNC_OK) {
            json_object_set_new(found, lookup->source,
                                json_string(lookup->value));
            continue;
        }

        async_log(req, ASYNC_LOG_ERROR, "%s: %s", lookup->source,
                  work[i].error);

        json_object_set_new(errors, lookup->source,
                            json_string(work[i].rc == ASYNC_TIMEOUT
                                        ? "too late" : "no answer"));
    }

    return async_json_pack(req, 200, "{s:o, s:o}", "found", found,
                           "errors", errors);
}


/* 100 ms: the others are cancelled, and one that fails does not count */

ASYNC_HANDLER(first)
{
    int            winner;
    lookup_t      *lookup;
    async_work_t   work[] = {
        { .fn = look_up, .arg = &prices },
        { .fn = look_up, .arg = &orders },
        { .fn = look_up, .arg = &weather },
        { .fn = look_up, .arg = &user },
    };

    ASYNC_TRY(await_any(co, work, 4, &winner));

    lookup = work[winner].arg;

    return async_json_pack(req, 200, "{s:s, s:s}", "source", lookup->source,
                           "value", lookup->value);
}


/* What takes longer than ?ms=, 120 if not said, is answered without. */

ASYNC_HANDLER(with_deadline)
{
    int64_t     ms;
    async_rc_t  rc;

    ASYNC_TRY(async_query_int_or(req, "ms", &ms, 120));

    if (ms < 0 || ms > 1000) {
        return async_fail(req, 422, "ms must be from 0 to 1000");
    }

    {
        ASYNC_DEADLINE(co, ms);

        rc = look_up(co, &orders);
    }

    if (rc == ASYNC_TIMEOUT) {
        return async_json_pack(req, 200, "{s:s, s:b}", orders.source,
                               "two orders", "stale", 1);
    }

    ASYNC_TRY(rc);

    return async_json_pack(req, 200, "{s:s, s:b}", orders.source,
                           orders.value, "stale", 0);
}
