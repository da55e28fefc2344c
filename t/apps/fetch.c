
/*
 * Handlers of t/fetch*.t: fetches as the JSON of the body says.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* what a source gives: "pieces" of "piece" bytes, "pause" ms apart */

typedef struct {
    int64_t  pieces;
    int64_t  piece;
    int64_t  pause;
    int      fails;
} source_t;


static async_rc_t
give(async_t *co, void *arg, void *buf, size_t size, size_t *n)
{
    source_t  *s = arg;

    if (s->pause) {
        ASYNC_TRY(await_sleep(co, s->pause));
    }

    if (s->pieces == 0) {
        return s->fails ? async_task_fail(co, ASYNC_ERROR, "the source fails")
                        : ASYNC_OK;
    }

    s->pieces--;
    *n = (size_t) s->piece < size ? (size_t) s->piece : size;
    memset(buf, 'x', *n);

    return ASYNC_OK;
}


/* names and values by turns, of a list of both */

static const char **
pairs_of(async_t *co, json_t *list)
{
    size_t        i, n;
    const char  **pairs;

    n = json_array_size(list);

    if (n == 0) {
        return NULL;
    }

    pairs = async_task_alloc(co, (n + 1) * sizeof(char *));

    for (i = 0; i < n; i++) {
        pairs[i] = json_string_value(json_array_get(list, i));
    }

    pairs[n] = NULL;

    return pairs;
}


static int64_t
number(json_t *ask, const char *name)
{
    return json_integer_value(json_object_get(ask, name));
}


static const char *
text(json_t *ask, const char *name)
{
    return json_string_value(json_object_get(ask, name));
}


static void
options_of(async_t *co, json_t *ask, async_fetch_t *f, source_t *source)
{
    json_t  *body;

    memset(f, 0, sizeof(*f));
    memset(source, 0, sizeof(*source));

    f->method = text(ask, "method");
    f->headers = pairs_of(co, json_object_get(ask, "headers"));
    f->query = pairs_of(co, json_object_get(ask, "query"));
    f->json = json_incref(json_object_get(ask, "json"));
    f->timeout = number(ask, "timeout");
    f->connect_timeout = number(ask, "connect_timeout");
    f->send_timeout = number(ask, "send_timeout");
    f->read_timeout = number(ask, "read_timeout");
    f->max = number(ask, "max");
    f->redirects = number(ask, "redirects");
    f->flags = number(ask, "flags");
    f->proxy = text(ask, "proxy");
    f->tls_name = text(ask, "tls_name");
    f->length = number(ask, "length");

    if (json_is_true(json_object_get(ask, "stream"))) {
        f->flags |= ASYNC_FETCH_STREAM;
    }

    if (json_is_true(json_object_get(ask, "decode"))) {
        f->flags |= ASYNC_FETCH_DECODE;
    }

    body = json_object_get(ask, "body");

    if (body) {
        f->body.data = json_string_value(body);
        f->body.len = json_string_length(body);
    }

    if (number(ask, "big")) {
        f->body.len = number(ask, "big");
        f->body.data = memset(async_task_alloc(co, f->body.len), 'b',
                              f->body.len);
    }

    if (json_object_get(ask, "pieces")) {
        source->pieces = number(ask, "pieces");
        source->piece = number(ask, "piece");
        source->pause = number(ask, "pause");
        source->fails = json_is_true(json_object_get(ask, "fails"));
        f->source = give;
        f->source_arg = source;
    }
}


static json_t *
failure(async_t *co, int rc)
{
    return json_pack("{s:i, s:i, s:s}", "rc", rc, "cause",
                     (int) async_cause(co), "error", async_error(co));
}


/* reads it to the end; a sum instead of what is too long to be shown */

static json_t *
stream(async_t *co, async_response_t *res, json_t *ask)
{
    char      buf[65536], head[1024];
    int       rc;
    size_t    n, size, total, i, shown;
    int64_t   stop;
    uint32_t  sum;
    json_t   *answer;

    size = number(ask, "size") ? (size_t) number(ask, "size") : sizeof(buf);
    stop = number(ask, "stop");
    total = 0;
    shown = 0;
    sum = 0;

    for ( ;; ) {
        rc = await_response_read(co, res, buf, size, &n);

        if (rc != ASYNC_OK || n == 0) {
            break;
        }

        for (i = 0; i < n; i++) {
            sum = sum * 31 + (unsigned char) buf[i];

            if (shown < sizeof(head)) {
                head[shown++] = buf[i];
            }
        }

        total += n;

        if (stop && total >= (size_t) stop) {
            async_response_close(co, res);
            break;
        }

        if (number(ask, "pause") && !json_object_get(ask, "pieces")
            && await_sleep(co, number(ask, "pause")) != ASYNC_OK)
        {
            break;
        }
    }

    answer = json_pack("{s:I, s:I, s:i}", "total", (json_int_t) total, "sum",
                       (json_int_t) sum, "end", rc);

    json_object_set_new(answer, "head", json_stringn(head, shown));

    if (rc != ASYNC_OK) {
        json_object_update_new(answer, failure(co, rc));
    }

    return answer;
}


static json_t *
told(async_t *co, async_response_t *res, json_t *ask)
{
    int          rc;
    json_t      *answer, *fields, *value, *again;
    size_t       i;
    uint32_t     sum;
    const char  *p;
    async_str_t  name, text, body;

    fields = json_array();

    for (i = 0; async_response_header_at(res, i, &name, &text); i++) {
        json_array_append_new(fields, json_pack("[s, s]", name.data,
                                                text.data));
    }

    answer = json_pack("{s:i, s:i, s:o, s:s}", "rc", 0, "status",
                       async_response_status(res), "headers", fields, "url",
                       async_response_url(res).data);

    p = json_string_value(json_object_get(ask, "cookie"));

    if (p) {
        json_object_set_new(answer, "cookie", json_string(
                                async_response_cookie(res, p).data));
    }

    p = json_string_value(json_object_get(ask, "field"));

    if (p) {
        json_object_set_new(answer, "field", json_string(
                                async_response_header(res, p).data));
    }

    if (json_is_true(json_object_get(ask, "raise"))) {
        json_object_set_new(answer, "raised",
                            failure(co, async_raise_for_status(co, res)));
    }

    if (json_is_true(json_object_get(ask, "parse"))) {
        rc = async_response_json(co, res, &value);
        json_object_set_new(answer, "parsed", rc == ASYNC_OK
                            ? json_incref(value) : failure(co, rc));

        rc = async_response_json(co, res, &again);
        json_object_set_new(answer, "same", json_boolean(again == value));
    }

    if (json_is_true(json_object_get(ask, "stream"))) {
        json_object_set_new(answer, "body", stream(co, res, ask));

    } else if (json_is_true(json_object_get(ask, "brief"))) {
        body = async_response_body(res);

        for (i = 0, sum = 0; i < body.len; i++) {
            sum = sum * 31 + (unsigned char) body.data[i];
        }

        json_object_set_new(answer, "sum", json_integer(sum));
        json_object_set_new(answer, "length", json_integer(body.len));

    } else {
        body = async_response_body(res);
        value = json_stringn(body.data, body.len);

        json_object_set_new(answer, "body", value ? value
                            : json_string("(no UTF-8)"));
        json_object_set_new(answer, "length", json_integer(body.len));
    }

    return answer;
}


static json_t *
one(async_t *co, json_t *ask)
{
    int                rc;
    source_t           source;
    async_fetch_t      f;
    async_response_t  *res;

    options_of(co, ask, &f, &source);

    rc = await_fetch(co, text(ask, "url"), &f, &res);

    if (rc != ASYNC_OK) {
        return failure(co, rc);
    }

    return told(co, res, ask);
}


/* {"url": …, …}: a fetch, told */

ASYNC_HANDLER(fetch)
{
    json_t  *ask;

    ASYNC_TRY(await_json(co, req, &ask));

    return async_json(req, 200, one(co, ask));
}


/* [{…}, …]: all at once */

typedef struct {
    json_t  *ask;
    json_t  *answer;
} one_t;

static async_rc_t
one_of(async_t *co, void *arg)
{
    one_t  *o = arg;

    o->answer = one(co, o->ask);

    return ASYNC_OK;
}

ASYNC_HANDLER(several)
{
    size_t         i, n;
    one_t          o[64];
    json_t        *ask, *list;
    async_work_t   work[64];

    ASYNC_TRY(await_json(co, req, &ask));

    n = json_array_size(ask);

    for (i = 0; i < n; i++) {
        o[i].ask = json_array_get(ask, i);
        work[i] = (async_work_t) { .fn = one_of, .arg = &o[i] };
    }

    ASYNC_TRY(await_gather(co, work, n));

    list = json_array();

    for (i = 0; i < n; i++) {
        json_array_append_new(list, o[i].answer);
    }

    return async_json(req, 200, list);
}


/* {"url": …, "within": …}: in a scope with a deadline, and on after it */

ASYNC_HANDLER(within)
{
    json_t   *ask, *answer;
    int64_t   ms;

    ASYNC_TRY(await_json(co, req, &ask));

    ms = number(ask, "within");

    {
        ASYNC_DEADLINE(co, ms);

        answer = one(co, ask);
    }

    json_object_set_new(answer, "after", json_integer(await_sleep(co, 1)));

    return async_json(req, 200, answer);
}


/* What is told of children that have failed. */

static async_rc_t
fetches(async_t *co, void *arg)
{
    async_response_t  *res;

    return await_fetch(co, arg, NULL, &res);
}


static async_rc_t
awaits_nothing(async_t *co, void *arg)
{
    return ASYNC_CLOSED;
}


ASYNC_HANDLER(causes)
{
    json_t         *all = json_array();
    const char     *url = async_query(req, "url").data;
    async_child_t  *child;
    async_work_t    work[2] = {
        { .fn = fetches, .arg = (void *) url },
        { .fn = fetches, .arg = (void *) url }
    };

    child = async_spawn(co, fetches, (void *) url);
    json_array_append_new(all, failure(co, await_join(co, child)));

    child = async_spawn(co, awaits_nothing, NULL);
    json_array_append_new(all, failure(co, await_join(co, child)));

    json_array_append_new(all, failure(co, await_all(co, work, 2)));

    return async_json(req, 200, all);
}
