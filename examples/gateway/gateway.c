
/*
 * A gateway: three services are asked at once, and the answer is ready when
 * they have answered, or after 300 ms with what there is by then.
 *
 * The services are at the end of this file, and on a socket of their own: as if
 * they were others'.
 */

#include <inttypes.h>
#include <stdio.h>
#include <ngx_async.h>


/* what a client waits for at most, in ms */
#define PATIENCE  300

#define PARTS     3


typedef struct {
    const char  *service;
    int64_t      id;
    json_t      *answer;       /* borrowed; memory of the request */
} part_t;


/* One of them.  "services" is an upstream {} of nginx.conf. */

static async_rc_t
ask(async_t *co, void *arg)
{
    char               url[80];
    part_t            *part = arg;
    async_response_t  *res;

    snprintf(url, sizeof(url), "http://services/%s/%" PRId64, part->service,
             part->id);

    ASYNC_TRY(await_fetch(co, url, NULL, &res));
    ASYNC_TRY(async_raise_for_status(co, res));

    return async_response_json(co, res, &part->answer);
}


/* All at once.  Who is not ready in time is cancelled, and so is its fetch. */

static async_rc_t
ask_all(async_t *co, async_work_t *work)
{
    ASYNC_DEADLINE(co, PATIENCE);

    return await_gather(co, work, PARTS);
}


ASYNC_HANDLER(product)
{
    int            i;
    part_t         part[PARTS] = { { "price", 0, NULL }, { "stock", 0, NULL },
                                   { "reviews", 0, NULL } };
    json_t        *answer, *missing;
    int64_t        id;
    async_rc_t     rc;
    async_work_t   work[PARTS];

    ASYNC_TRY(async_path_int(req, "id", &id));

    for (i = 0; i < PARTS; i++) {
        part[i].id = id;
        work[i] = (async_work_t) { .fn = ask, .arg = &part[i] };
    }

    rc = ask_all(co, work);

    if (rc != ASYNC_OK && rc != ASYNC_TIMEOUT) {
        return rc;                         /* the client has gone, say */
    }

    answer = json_object();
    missing = json_array();

    for (i = 0; i < PARTS; i++) {

        if (work[i].rc == ASYNC_OK) {
            json_object_set(answer, part[i].service, part[i].answer);
            continue;
        }

        async_log(req, ASYNC_LOG_WARN, "no %s: %s", part[i].service,
                  work[i].error);

        json_array_append_new(missing, json_string(part[i].service));
    }

    /* without a price there is nothing to be shown */

    if (work[0].rc != ASYNC_OK) {
        json_decref(answer);
        json_decref(missing);

        return async_fail(req, 502, "the price is out of reach");
    }

    json_object_set_new(answer, "missing", missing);

    return async_json(req, 200, answer);
}


/*
 * The services: price and stock answer at once, reviews of product 7 take two
 * seconds, and there is no product beyond 99.
 */

ASYNC_HANDLER(price)
{
    int64_t  id;

    ASYNC_TRY(async_path_int(req, "id", &id));

    if (id > 99) {
        return async_fail(req, 404, "no such product");
    }

    return async_json_pack(req, 200, "{s:I, s:s}", "cents",
                           (json_int_t) (100 + id), "currency", "EUR");
}


ASYNC_HANDLER(stock)
{
    return async_json_pack(req, 200, "{s:i}", "pieces", 3);
}


ASYNC_HANDLER(reviews)
{
    int64_t  id;

    ASYNC_TRY(async_path_int(req, "id", &id));
    ASYNC_TRY(await_sleep(co, id == 7 ? 2000 : 20));

    return async_json_pack(req, 200, "[{s:i, s:s}]", "stars", 5, "text",
                           "good");
}
