
/*
 * Handlers of t/subrequest.t: those that ask, and those that are asked.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define MAX_PAIRS  16


typedef struct {
    async_fetch_t  fetch;
    const char    *headers[MAX_PAIRS * 2 + 2];
    const char    *query[MAX_PAIRS * 2 + 2];
    const char    *uri;
    int64_t        deadline;
    int64_t        size;
} order_t;


static async_rc_t
no_source(async_t *co, void *arg, void *buf, size_t size, size_t *n)
{
    *n = 0;

    return ASYNC_OK;
}


static void
pairs(json_t *list, const char **to)
{
    size_t   i;
    json_t  *value;

    json_array_foreach(list, i, value) {
        to[i] = json_string_value(value);
    }

    to[i] = NULL;
    to[i + 1] = NULL;
}


/* what is to be done, as JSON in the body */

static async_rc_t
order_of(async_t *co, async_req_t *req, order_t *o)
{
    json_t      *j, *v;
    const char  *body;

    memset(o, 0, sizeof(order_t));

    o->size = 10000;
    o->uri = async_query(req, "uri").data;

    if (strcmp(async_method(req).data, "POST") != 0) {
        return ASYNC_OK;
    }

    ASYNC_TRY(await_json(co, req, &j));

    o->uri = json_string_value(json_object_get(j, "uri"));
    o->fetch.method = json_string_value(json_object_get(j, "method"));
    o->fetch.timeout = json_integer_value(json_object_get(j, "timeout"));
    o->fetch.read_timeout = json_integer_value(json_object_get(j, "read"));
    o->fetch.max = json_integer_value(json_object_get(j, "max"));
    o->fetch.flags = json_integer_value(json_object_get(j, "flags"));
    o->fetch.redirects = json_integer_value(json_object_get(j, "redirects"));
    o->fetch.proxy = json_string_value(json_object_get(j, "proxy"));
    o->fetch.tls_name = json_string_value(json_object_get(j, "tls_name"));
    o->deadline = json_integer_value(json_object_get(j, "deadline"));

    body = json_string_value(json_object_get(j, "body"));

    if (body) {
        o->fetch.body.data = (char *) body;
        o->fetch.body.len = strlen(body);
    }

    v = json_object_get(j, "json");

    if (v) {
        o->fetch.json = json_incref(v);
    }

    if (json_object_get(j, "source")) {
        o->fetch.source = no_source;
    }

    v = json_object_get(j, "size");

    if (v) {
        o->size = json_integer_value(v);
    }

    v = json_object_get(j, "headers");

    if (v) {
        pairs(v, o->headers);
        o->fetch.headers = o->headers;
    }

    v = json_object_get(j, "query");

    if (v) {
        pairs(v, o->query);
        o->fetch.query = o->query;
    }

    return ASYNC_OK;
}


static json_t *
answer_of(async_t *co, async_rc_t rc, async_response_t *res)
{
    size_t        i;
    json_t       *list;
    async_str_t   name, value, body;

    if (rc != ASYNC_OK) {
        return json_pack("{s:i, s:i, s:s}", "rc", rc, "cause",
                         (int) async_cause(co), "error", async_error(co));
    }

    list = json_object();

    for (i = 0; async_response_header_at(res, i, &name, &value); i++) {
        (void) json_object_set_new(list, name.data, json_string(value.data));
    }

    body = async_response_body(res);

    return json_pack("{s:i, s:i, s:s, s:o, s:s%}", "rc", 0,
                     "status", async_response_status(res),
                     "url", async_response_url(res).data, "headers", list,
                     "body", body.data, body.len);
}


/* POST /ask: the answer of one, as JSON */

ASYNC_HANDLER(ask)
{
    order_t            o;
    async_rc_t         rc;
    async_response_t  *res;

    ASYNC_TRY(order_of(co, req, &o));

    if (o.deadline) {
        ASYNC_DEADLINE(co, o.deadline);
        rc = await_subrequest(co, req, o.uri, &o.fetch, &res);

    } else {
        rc = await_subrequest(co, req, o.uri, &o.fetch, &res);
    }

    if (rc == ASYNC_CANCELLED) {
        async_log(req, ASYNC_LOG_NOTICE, "<ask cancelled>");
        return rc;
    }

    return async_json(req, 200, answer_of(co, rc, res));
}


/* ?uri=: the body of one, as it is; for includes, and for auth_request */

ASYNC_HANDLER(copy)
{
    int64_t            max;
    async_str_t        body;
    async_fetch_t      fetch = { .timeout = 0 };
    async_response_t  *res;

    (void) async_query_int_or(req, "max", &max, 0);
    fetch.max = max;

    ASYNC_TRY(await_subrequest(co, req, async_query(req, "uri").data, &fetch,
                               &res));

    body = async_response_body(res);

    return async_bytes(req, async_response_status(res), "text/plain",
                       body.data, body.len);
}


typedef struct {
    async_req_t  *req;
    const char   *uri;
} blocking_t;


static async_rc_t
asked_on_loop(async_t *co, void *arg)
{
    blocking_t        *b = arg;
    async_response_t  *res;

    ASYNC_TRY(await_subrequest(co, b->req, b->uri, NULL, &res));

    return async_text(b->req, 200, async_response_body(res).data);
}


BLOCKING_HANDLER(block)
{
    int64_t     ms;
    blocking_t  b = { req, async_query(req, "uri").data };

    if (b.uri) {
        return async_call(req, asked_on_loop, &b);
    }

    (void) async_query_int_or(req, "ms", &ms, 0);
    usleep(ms * 1000);

    return async_text(req, 200, "blocking\n");
}


/* what it is asked with */

ASYNC_HANDLER(mirror)
{
    size_t       i;
    json_t      *list;
    async_str_t  body, name, value;

    ASYNC_TRY(await_body(co, req, &body));

    list = json_object();

    for (i = 0; async_header_at(req, i, &name, &value); i++) {
        (void) json_object_set_new(list, name.data, json_string(value.data));
    }

    value = async_var(req, "host");

    return async_json_pack(req, 200, "{s:s, s:s, s:s, s:s, s:o, s:s, s:s*}",
                           "method", async_method(req).data,
                           "uri", async_uri(req).data,
                           "args", async_query_string(req).data
                                   ? async_query_string(req).data : "",
                           "body", body.data, "headers", list,
                           "host", value.data,
                           "cookie", async_cookie(req, "a").data);
}


/* ?tag=&ms=&status= */

ASYNC_HANDLER(nap)
{
    char         text[100];
    int64_t      ms, status;
    async_rc_t   rc;
    async_str_t  tag;

    (void) async_query_int_or(req, "ms", &ms, 10);
    (void) async_query_int_or(req, "status", &status, 200);

    tag = async_query(req, "tag");
    tag.data = tag.data ? tag.data : "-";

    rc = await_sleep(co, ms);

    async_log(req, ASYNC_LOG_NOTICE, "<nap %s %d>", tag.data, rc);

    if (rc != ASYNC_OK) {
        return rc;
    }

    (void) async_set_var(req, "x", tag.data);

    if (status >= 400) {
        return async_fail(req, status, tag.data);
    }

    if (status == 204) {
        return async_empty(req, 204);
    }

    ASYNC_TRY(async_set_header(req, "X-Tag", tag.data));
    ASYNC_TRY(async_set_cookie(req, "seen", tag.data, NULL));

    snprintf(text, sizeof(text), "nap %s\n", tag.data);

    return async_text(req, status, text);
}


static void
fill(char *p, size_t len, int64_t offset)
{
    for (size_t i = 0; i < len; i++) {
        p[i] = 'a' + (offset + (int64_t) i) % 26;
    }
}


/* ?n=&size=&ms=&fail=  n pieces */

ASYNC_HANDLER(pieces)
{
    char        *p;
    int64_t      n, size, ms, fail;
    async_rc_t   rc;

    (void) async_query_int_or(req, "n", &n, 3);
    (void) async_query_int_or(req, "size", &size, 10);
    (void) async_query_int_or(req, "ms", &ms, 0);
    (void) async_query_int_or(req, "fail", &fail, -1);

    p = malloc(size + 1);
    rc = ASYNC_OK;

    for (int64_t i = 0; i < n && rc == ASYNC_OK; i++) {

        if (i == fail) {
            rc = async_fail(req, 500, "in the middle");
            break;
        }

        fill(p, size, i * size);
        rc = await_send(co, req, p, size);
        memset(p, '#', size);

        if (rc == ASYNC_OK && ms) {
            rc = await_sleep(co, ms);
        }
    }

    async_log(req, ASYNC_LOG_NOTICE, "<pieces end %d>", rc);

    free(p);

    return rc;
}


/* ?uri= passes one on as it comes */

ASYNC_HANDLER(pass)
{
    char              *p;
    size_t             n;
    int64_t            size, ms;
    async_rc_t         rc;
    async_fetch_t      fetch = { .flags = ASYNC_FETCH_STREAM };
    async_response_t  *res;

    (void) async_query_int_or(req, "size", &size, 30000);
    (void) async_query_int_or(req, "ms", &ms, 0);

    ASYNC_TRY(await_subrequest(co, req, async_query(req, "uri").data, &fetch,
                               &res));

    ASYNC_TRY(async_stream(req, async_response_status(res), "text/plain", -1));

    p = malloc(size);

    for ( ;; ) {
        rc = await_response_read(co, res, p, size, &n);

        if (rc != ASYNC_OK || n == 0) {
            break;
        }

        rc = await_send(co, req, p, n);

        if (rc == ASYNC_OK && ms) {
            rc = await_sleep(co, ms);
        }

        if (rc != ASYNC_OK) {
            break;
        }
    }

    free(p);

    async_log(req, ASYNC_LOG_NOTICE, "<pass %d %d %s>", rc,
              (int) async_cause(co), rc ? async_error(co) : "");

    return rc;
}


/* POST: an order; reads "size" bytes of it, then closes, or does not */

ASYNC_HANDLER(cut)
{
    char               buf[10000];
    size_t             n;
    order_t            o;
    async_rc_t         rc, after;
    async_response_t  *res;

    ASYNC_TRY(order_of(co, req, &o));

    o.fetch.flags |= ASYNC_FETCH_STREAM;

    ASYNC_TRY(await_subrequest(co, req, o.uri, &o.fetch, &res));

    rc = await_response_read(co, res, buf, o.size, &n);

    if (o.deadline) {
        return async_json_pack(req, 200, "{s:i}", "n", (int) n);
    }

    async_response_close(co, res);

    after = await_response_read(co, res, buf, 1, &n);

    ASYNC_TRY(await_sleep(co, 10));

    return async_json_pack(req, 200, "{s:i, s:i}", "rc", rc, "after", after);
}


/* ?uri=: a child reads it in pieces, until its parent closes it */

static async_rc_t
reads(async_t *co, void *arg)
{
    char    buf[10000];
    size_t  n;

    do {
        ASYNC_TRY(await_response_read(co, arg, buf, sizeof(buf), &n));
    } while (n);

    return ASYNC_OK;
}


ASYNC_HANDLER(shared)
{
    async_rc_t         rc;
    async_fetch_t      fetch = { .flags = ASYNC_FETCH_STREAM };
    async_child_t     *child;
    async_response_t  *res;

    ASYNC_TRY(await_subrequest(co, req, async_query(req, "uri").data, &fetch,
                               &res));

    child = async_spawn(co, reads, res);

    ASYNC_TRY(await_sleep(co, 50));

    async_response_close(co, res);

    ASYNC_DEADLINE(co, 1000);

    rc = await_join(co, child);

    return async_json_pack(req, 200, "{s:i}", "rc", rc);
}


/* three at once, that end in reverse */

typedef struct {
    async_req_t       *req;
    const char        *uri;
    async_response_t  *res;
    int                order;
    int               *orders;
} one_t;


static async_rc_t
one(async_t *co, void *arg)
{
    one_t  *o = arg;

    ASYNC_TRY(await_subrequest(co, o->req, o->uri, NULL, &o->res));

    o->order = ++*o->orders;

    return ASYNC_OK;
}


ASYNC_HANDLER(three)
{
    int           i, orders = 0;
    json_t       *list;
    one_t         ones[] = {
        { req, "/nap?ms=300&tag=a", NULL, 0, &orders },
        { req, "/nap?ms=150&tag=b", NULL, 0, &orders },
        { req, "/nap?ms=5&tag=c", NULL, 0, &orders },
    };
    async_work_t  work[] = {
        { one, &ones[0], 0, NULL }, { one, &ones[1], 0, NULL },
        { one, &ones[2], 0, NULL },
    };

    ASYNC_TRY(await_gather(co, work, 3));

    list = json_array();

    for (i = 0; i < 3; i++) {
        (void) json_array_append_new(list,
                  json_pack("[i, i, s]", work[i].rc, ones[i].order,
                            async_response_body(ones[i].res).data));
    }

    return async_json(req, 200, list);
}


/* ?n=&uri= so many at once */

ASYNC_HANDLER(flood)
{
    int           orders = 0;
    one_t        *ones;
    int64_t       n, i, whole = 0;
    async_work_t *work;

    ASYNC_TRY(async_query_int_or(req, "n", &n, 10));

    ones = async_alloc(req, n * sizeof(one_t));
    work = async_alloc(req, n * sizeof(async_work_t));

    for (i = 0; i < n; i++) {
        ones[i] = (one_t) { req, async_query(req, "uri").data, NULL, 0,
                            &orders };
        work[i] = (async_work_t) { .fn = one, .arg = &ones[i] };
    }

    ASYNC_TRY(await_gather(co, work, n));

    for (i = 0; i < n; i++) {
        whole += (work[i].rc == ASYNC_OK);
    }

    return async_json_pack(req, 200, "I", (json_int_t) whole);
}


/* a child that is cancelled */

ASYNC_HANDLER(unwanted)
{
    int             orders = 0;
    async_rc_t      rc;
    one_t           o = { req, async_query(req, "uri").data, NULL, 0,
                          &orders };
    async_child_t  *child;

    child = async_spawn(co, one, &o);

    ASYNC_TRY(await_sleep(co, 50));

    async_cancel(child);
    rc = await_join(co, child);

    return async_json_pack(req, 200, "{s:i}", "rc", rc);
}


/* ?n= asks itself, n deep; without: for ever */

ASYNC_HANDLER(deep)
{
    char               uri[64];
    int64_t            n;
    async_rc_t         rc;
    async_str_t        body;
    async_response_t  *res;

    (void) async_query_int_or(req, "n", &n, 1000000);

    if (n == 0) {
        ASYNC_TRY(await_sleep(co, 10));
        return async_text(req, 200, "deep");
    }

    snprintf(uri, sizeof(uri), "/deep?n=%lld", (long long) n - 1);

    rc = await_subrequest(co, req, uri, NULL, &res);

    if (rc != ASYNC_OK) {
        async_log(req, ASYNC_LOG_NOTICE, "<deep %d: %s>", rc, async_error(co));
        return async_text(req, 200, "the end");
    }

    body = async_response_body(res);

    return async_bytes(req, 200, "text/plain", body.data, body.len);
}


/* many one after another, whose memory is given back */

ASYNC_HANDLER(many)
{
    int64_t            n, sum = 0;
    async_response_t  *res;

    (void) async_query_int_or(req, "n", &n, 100);

    while (n--) {
        ASYNC_MEMORY(co);

        ASYNC_TRY(await_subrequest(co, req, async_query(req, "uri").data, NULL,
                                   &res));

        sum += async_response_body(res).len;
    }

    return async_json_pack(req, 200, "{s:I}", "sum", (json_int_t) sum);
}


/* when the client has gone, or the time is over */

static void
late(async_t *co, void *arg)
{
    async_rc_t         rc;
    async_req_t       *req = arg;
    async_response_t  *res;

    rc = await_subrequest(co, req, "/nap?tag=late", NULL, &res);

    async_log(req, ASYNC_LOG_NOTICE, "<late %d>", rc);
}


ASYNC_HANDLER(defers)
{
    async_rc_t  rc;

    ASYNC_TRY(async_defer(co, late, req));

    rc = await_sleep(co, 60000);

    return rc;
}


typedef struct {
    async_req_t  *req;
} after_t;


static async_rc_t
afterwards(async_t *co, void *arg)
{
    async_rc_t         rc;
    after_t           *a = arg;
    async_response_t  *res;

    rc = await_subrequest(co, a->req, "/nap", NULL, &res);

    async_task_log(co, ASYNC_LOG_NOTICE, "<afterwards %d: %s>", rc,
                   async_error(co));

    return ASYNC_OK;
}


ASYNC_HANDLER(after)
{
    after_t  a = { req };

    ASYNC_TRY(async_background(req, afterwards, &a));
    ASYNC_TRY(await_sleep(co, 10));

    return async_text(req, 200, "after\n");
}


/* ?n= at random: many at once, with timeouts, streams and closes */

typedef struct {
    async_req_t  *req;
    unsigned      seed;
} storm_t;


static async_rc_t
gust(async_t *co, void *arg)
{
    char               buf[3000];
    size_t             n;
    storm_t           *s = arg;
    async_rc_t         rc;
    async_fetch_t      fetch = { .max = 30000 };
    async_response_t  *res;

    static const char *const  uris[] = {
        "/nap?ms=0", "/nap?ms=3", "/nap?ms=50", "/nap?status=404",
        "/block?ms=1", "/block?ms=20", "/pieces?n=20&size=3000&ms=1",
        "/pieces?n=2&size=9&fail=1", "/big.txt", "/small.txt", "/missing",
        "/to/nap?ms=20", "/to/big.txt", "/to/pieces?n=30&size=3000&ms=1",
        "/to/pieces?n=3&size=9&fail=2", "/dead", "/close", "/redirect",
        "/three", "/deep?n=4", "/slow", "/copy?uri=/nap", "/ssi.html",
        "/to/close", "/copy?uri=/to/nap?ms=30", "/delayed2", "/cached/big.txt",
        "/unwanted?uri=/nap?ms=60000", "/pass?uri=/big.txt", "/threads",
        "/to/threads",
    };

    const char  *uri = uris[rand_r(&s->seed) % (sizeof(uris) / sizeof(*uris))];

    if (rand_r(&s->seed) % 3) {
        fetch.timeout = 1 + rand_r(&s->seed) % 40;
    }

    if (rand_r(&s->seed) % 3 == 0) {
        fetch.flags = ASYNC_FETCH_STREAM;
    }

    rc = await_subrequest(co, s->req, uri, &fetch, &res);

    if (rc == ASYNC_OK && fetch.flags) {

        while (rand_r(&s->seed) % 20) {
            rc = await_response_read(co, res, buf, sizeof(buf), &n);

            if (rc != ASYNC_OK || n == 0) {
                break;
            }

            if (rand_r(&s->seed) % 4 == 0 && await_sleep(co, 1) != ASYNC_OK) {
                break;
            }
        }

        if (rand_r(&s->seed) % 2) {
            async_response_close(co, res);
        }
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(storm)
{
    int64_t       n, seed, i;
    storm_t      *s;
    async_rc_t    rc;
    async_work_t *work;

    (void) async_query_int_or(req, "n", &n, 10);
    (void) async_query_int_or(req, "seed", &seed, 1);

    s = async_alloc(req, n * sizeof(storm_t));
    work = async_alloc(req, n * sizeof(async_work_t));

    for (i = 0; i < n; i++) {
        s[i].req = req;
        s[i].seed = seed * 1000 + i;
        memset(&work[i], 0, sizeof(async_work_t));
        work[i].fn = gust;
        work[i].arg = &s[i];
    }

    if (seed % 3 == 0) {
        ASYNC_DEADLINE(co, 1 + seed % 50);
        rc = await_gather(co, work, n);

    } else {
        rc = await_gather(co, work, n);
    }

    if (rc == ASYNC_CANCELLED) {
        return rc;
    }

    return async_text(req, 200, "storm\n");
}
