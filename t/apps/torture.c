
/*
 * Handlers of util/torture, one for each group of calls.  Each answers "right"
 * in some form when all has worked, and what ASYNC_TRY makes of it otherwise.
 */

#include <ngx_async.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


typedef struct {
    const char   *name;
    int64_t       n;
    const char  **tags;
    size_t        n_tags;
} item_t;

ASYNC_MODEL(item, item_t,
    ASYNC_FIELD(item_t, name, .min_length = 1, .pattern = "^[a-z]+$"),
    ASYNC_FIELD(item_t, n, ASYNC_GE(0)),
    ASYNC_LIST(item_t, tags, n_tags, ASYNC_DEFAULT("[]"))
);


static async_rc_t
right(async_req_t *req)
{
    return async_text(req, 200, "right");
}


static async_rc_t
wrong(async_req_t *req, const char *what)
{
    async_log(req, ASYNC_LOG_ERROR, "torture: wrong: %s", what);

    return async_text(req, 500, what);
}


ASYNC_HANDLER(hello)
{
    return right(req);
}


BLOCKING_HANDLER(blocking)
{
    return right(req);
}


ASYNC_HANDLER(params)
{
    int64_t  id, n;

    ASYNC_TRY(async_path_int(req, "id", &id));
    ASYNC_TRY(async_query_int(req, "n", &n));
    ASYNC_TRY(async_set_header(req, "X-Id", async_path(req, "id").data));
    ASYNC_TRY(async_add_header(req, "X-More", "a"));
    ASYNC_TRY(async_set_cookie(req, "seen", "1", NULL));

    return async_json_pack(req, 200, "{s:s, s:I}", "is", "right",
                           "sum", (json_int_t) (id + n));
}


ASYNC_HANDLER(json)
{
    json_t  *in;

    ASYNC_TRY(await_json(co, req, &in));

    return async_json_pack(req, 200, "{s:s, s:O}", "is", "right", "in", in);
}


ASYNC_HANDLER(model, ASYNC_BODY(item), ASYNC_RESPONSE(200, item))
{
    item_t  out = *item_of(req);

    return async_respond(req, 200, &item, &out);
}


BLOCKING_HANDLER(blocking_model, ASYNC_BODY(item), ASYNC_RESPONSE(200, item))
{
    item_t  out = *item_of(req);

    return async_respond(req, 200, &item, &out);
}


ASYNC_HANDLER(form)
{
    char            buf[16];
    size_t          n;
    async_str_t     text;
    async_form_t   *form;
    async_upload_t *file;

    ASYNC_TRY(await_form(co, req, &form));

    text = async_form_text(form, "title");
    file = async_form_file(form, "file");

    if (text.data == NULL || strcmp(text.data, "tea") != 0 || file == NULL) {
        return wrong(req, "the form lacks a field");
    }

    ASYNC_TRY(await_upload_read(co, file, buf, sizeof(buf), &n));

    if (n < 4 || memcmp(buf, "file", 4) != 0) {
        return wrong(req, "the form has another file");
    }

    ASYNC_TRY(await_upload_save(co, file, "torture-files", "saved", 0));

    return right(req);
}


ASYNC_HANDLER(pieces)
{
    char    buf[1000];
    size_t  n, sum = 0;

    do {
        ASYNC_TRY(await_body_read(co, req, buf, sizeof(buf), &n));
        sum += n;
    } while (n);

    if (sum != 20000) {
        return wrong(req, "the body has another length");
    }

    return right(req);
}


/* ---- databases */

ASYNC_HANDLER(pg)
{
    item_t              *items;
    size_t               n;
    async_pg_result_t   *result;

    ASYNC_TRY(await_pg(co, "db", &result,
                       "SELECT name, n, ARRAY['a', 'b'] AS tags FROM items"
                       " WHERE n >= :n AND name = ANY (:names) ORDER BY n",
                       ASYNC_NAMED("n", ASYNC_INT(1)),
                       ASYNC_NAMED("names", ASYNC_TEXTS(((const char *[])
                                            { "one", "two" }), 2))));
    ASYNC_TRY(async_pg_all_into(co, result, &item, &items, &n));

    if (n != 2 || strcmp(items[1].name, "two") != 0 || items[1].n_tags != 2) {
        return wrong(req, "other rows");
    }

    return async_pg_respond(req, 200, result);
}


static async_rc_t
change(async_t *co, void *arg)
{
    (void) arg;

    ASYNC_TRY(await_pg(co, "db", NULL, "UPDATE items SET n = n + 100"));

    return await_pg(co, "db", NULL, "UPDATE items SET n = n - 100");
}


ASYNC_HANDLER(pg_transaction)
{
    ASYNC_TRY(await_pg_transaction(co, "db", 0, change, NULL));

    return right(req);
}


ASYNC_HANDLER(pg_pipeline)
{
    int64_t               n;
    async_pg_statement_t  s[] = {
        ASYNC_PG("SELECT 1::int8 AS n"),
        ASYNC_PG("SELECT $1::int8 AS n", ASYNC_INT(2)),
        ASYNC_PG("SELECT n FROM items WHERE name = $1", ASYNC_TEXT("one"))
    };

    ASYNC_TRY(await_pg_pipeline(co, "db", s, 3, 0));
    ASYNC_TRY(async_pg_int(co, s[1].result, 0, "n", &n));

    return n == 2 ? right(req) : wrong(req, "another row");
}


ASYNC_HANDLER(pg_stream)
{
    int                 rows = 0;
    async_pg_stream_t  *s;
    async_pg_result_t  *row;

    ASYNC_TRY(await_pg_stream(co, "db", &s,
                              "SELECT g FROM generate_series(1, 20) g"));

    for ( ;; ) {
        ASYNC_TRY(await_pg_next(co, s, &row));

        if (row == NULL) {
            break;
        }

        rows++;
    }

    return rows == 20 ? right(req) : wrong(req, "other rows");
}


/* ---- others */

ASYNC_HANDLER(fetch)
{
    async_fetch_t      options = { .method = "PUT",
                                   .query = ASYNC_PAIRS("a", "b c"),
                                   .headers = ASYNC_PAIRS("X-Token", "t"),
                                   .flags = ASYNC_FETCH_DECODE };
    async_response_t  *res;

    options.json = json_pack("{s:s, s:i, s:[]}", "name", "tea", "n", 1, "tags");
    if (options.json == NULL) {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(await_fetch(co, async_param(req, "url").data, &options, &res));
    ASYNC_TRY(async_raise_for_status(co, res));

    if (strstr(async_response_body(res).data, "tea") == NULL) {
        return wrong(req, "another answer");
    }

    return right(req);
}


ASYNC_HANDLER(subrequest)
{
    async_response_t  *res;

    ASYNC_TRY(await_subrequest(co, req, "/hello", NULL, &res));
    ASYNC_TRY(async_raise_for_status(co, res));

    if (strcmp(async_response_body(res).data, "right") != 0) {
        return wrong(req, "another answer");
    }

    return right(req);
}


/* what async_param() and its like give when there is no memory */

ASYNC_HANDLER(null)
{
    async_socket_t    *s;
    async_response_t  *res;

    if (await_fetch(co, NULL, NULL, &res) != ASYNC_ERROR
        || await_subrequest(co, req, NULL, NULL, &res) != ASYNC_ERROR
        || await_connect(co, NULL, NULL, &s) != ASYNC_ERROR)
    {
        return wrong(req, "NULL was something");
    }

    return right(req);
}


ASYNC_HANDLER(files)
{
    size_t               n;
    async_str_t          data;
    async_file_t        *f;
    async_file_entry_t  *entries;

    ASYNC_TRY(await_file_write(co, "torture-files", "a", "right", 5,
                               ASYNC_FILE_ATOMIC));
    ASYNC_TRY(await_file_read(co, "torture-files", "a", 100, &data));

    if (data.len != 5 || memcmp(data.data, "right", 5) != 0) {
        return wrong(req, "another file");
    }

    ASYNC_TRY(await_file_list(co, "torture-files", ".", 100, &entries, &n));
    ASYNC_TRY(await_file_open(co, "torture-files", "b", ASYNC_FILE_WRITE, &f));
    ASYNC_TRY(await_file_put(co, f, "x", 1));
    ASYNC_TRY(await_file_close(co, f));

    return right(req);
}


ASYNC_HANDLER(send_file)
{
    return async_file(req, 200, "html/right.txt");
}


/* ---- tasks, threads, processes */

typedef struct {
    int  in;
    int  out;
} number_t;


static async_rc_t
twice(void *arg)
{
    number_t  *n = arg;

    n->out = 2 * n->in;

    return ASYNC_OK;
}


static async_rc_t
twice_in_thread(async_t *co, void *arg)
{
    return await_thread(co, NULL, twice, (number_t *) arg);
}


static async_rc_t
sleeps(async_t *co, void *arg)
{
    (void) arg;

    return await_sleep(co, 1);
}


ASYNC_HANDLER(tasks)
{
    number_t        a = { 1, 0 }, b = { 2, 0 };
    async_child_t  *child;
    async_work_t    work[] = {
        { .fn = twice_in_thread, .arg = &a },
        { .fn = twice_in_thread, .arg = &b },
        { .fn = sleeps }
    };

    ASYNC_GROUP(co);

    child = async_spawn(co, sleeps, NULL);
    if (child == NULL) {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(await_all(co, work, 3));
    ASYNC_TRY(await_join(co, child));
    ASYNC_TRY(await_within(co, 10000, sleeps, NULL));

    return a.out == 2 && b.out == 4 ? right(req) : wrong(req, "other numbers");
}


ASYNC_HANDLER(process)
{
    async_command_t  command = {
        .argv = (const char *const []) { "/bin/cat", NULL },
        .input = { "right", 5 },
        .flags = ASYNC_PROCESS_CHECK
    };

    ASYNC_TRY(await_process(co, &command));

    if (command.output.len != 5) {
        return wrong(req, "another output");
    }

    return right(req);
}


static async_rc_t
later(async_t *co, void *arg)
{
    number_t  *n = arg;

    async_task_log(co, ASYNC_LOG_INFO, "later: %d", n->in);

    return await_sleep(co, 1);
}


ASYNC_HANDLER(background)
{
    number_t  n = { 3, 0 };

    ASYNC_TRY(async_background(req, later, &n));
    ASYNC_TRY(async_background_thread(req, NULL, twice, &n));

    return right(req);
}


/* ---- streams, WebSocket, channels */

ASYNC_HANDLER(stream)
{
    ASYNC_TRY(async_stream(req, 200, "text/plain", -1));
    ASYNC_TRY(await_send(co, req, "rig", 3));
    ASYNC_TRY(await_sleep(co, 1));

    return await_send(co, req, "ht", 2);
}


ASYNC_HANDLER(sse)
{
    async_sse_t  event = { .event = "e", .id = "1", .data = "right\nyes" };

    ASYNC_TRY(await_sse(co, req, &event));

    return await_sse(co, req, &event);
}


ASYNC_HANDLER(echo)
{
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
    }
}


/* what a client says, all clients hear, itself too; who misses one is closed */

ASYNC_HANDLER(room)
{
    async_subscribe_t   all = { .flags = ASYNC_CHANNEL_CLOSE };
    async_ws_message_t  m;

    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(async_ws_subscribe(co, req, "room", ASYNC_WS_TEXT, &all));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
        ASYNC_TRY(async_publish(co, "room", m.data, m.len));
    }
}


ASYNC_HANDLER(channel)
{
    item_t                   tea = { .name = "tea" };
    async_subscription_t    *s;
    async_channel_message_t  m;

    ASYNC_TRY(async_subscribe(co, "c", NULL, &s));
    ASYNC_TRY(async_publish_model(co, "c", &item, &tea));

    ASYNC_DEADLINE(co, 2000);
    ASYNC_TRY(await_channel(co, s, &m));

    return strstr(m.data, "tea") ? right(req) : wrong(req, "another message");
}


/*
 * /publish?c=&p=&from=&n=&size=: messages "p from", "p from+1", ..., of so many
 * bytes; the answer ends with whose it is
 */

ASYNC_HANDLER(publish)
{
    char        *text;
    size_t       len;
    int64_t      i, from, n, size;
    async_str_t  c, p;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(async_query_str(req, "p", &p));
    ASYNC_TRY(async_query_int_or(req, "from", &from, 0));
    ASYNC_TRY(async_query_int_or(req, "n", &n, 1));
    ASYNC_TRY(async_query_int_or(req, "size", &size, 0));

    len = p.len + 32;
    len = ((size_t) size > len) ? (size_t) size : len;

    text = async_alloc(req, len + 1);
    if (text == NULL) {
        return ASYNC_ERROR;
    }

    for (i = from; i < from + n; i++) {
        memset(text, ' ', len);
        text[snprintf(text, len, "%s %lld", p.data, (long long) i)] = ' ';

        ASYNC_TRY(async_publish(co, c.data, text, len));
    }

    snprintf(text, len, "right %d", (int) getpid());

    return async_text(req, 200, text);
}


/* /subscribe?c=: lines "pid", "missed message", and how it has ended */

ASYNC_HANDLER(subscribe)
{
    int                       len;
    char                      line[512];
    async_rc_t                rc;
    async_str_t               c;
    async_subscribe_t         options = { .queue = 128 };
    async_subscription_t     *s;
    async_channel_message_t   m;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(async_subscribe(co, c.data, &options, &s));

    len = snprintf(line, sizeof(line), "pid %d\n", (int) getpid());
    ASYNC_TRY(await_send(co, req, line, len));

    while ((rc = await_channel(co, s, &m)) == ASYNC_OK) {
        len = snprintf(line, sizeof(line), "%llu %.400s\n",
                       (unsigned long long) m.missed, m.data);
        ASYNC_TRY(await_send(co, req, line, len));
    }

    if (rc != ASYNC_CLOSED) {
        return rc;
    }

    len = snprintf(line, sizeof(line), "end %s\n", async_error(co));

    return await_send(co, req, line, len);
}


/* WS /subscribed?c=: "pid", messages; who misses one is closed */

ASYNC_HANDLER(subscribed)
{
    char                text[32];
    async_str_t         c;
    async_subscribe_t   all = { .queue = 65536, .flags = ASYNC_CHANNEL_CLOSE };
    async_ws_message_t  m;

    ASYNC_TRY(async_query_str(req, "c", &c));
    ASYNC_TRY(await_ws_accept(co, req, NULL));
    ASYNC_TRY(async_ws_subscribe(co, req, c.data, ASYNC_WS_TEXT, &all));

    snprintf(text, sizeof(text), "pid %d", (int) getpid());
    ASYNC_TRY(await_ws_send_text(co, req, text));

    for ( ;; ) {
        ASYNC_TRY(await_ws_recv(co, req, &m));
    }
}


/* ---- shared dictionaries */

static async_rc_t
load(async_t *co, void *arg, async_str_t *value)
{
    (void) arg;

    ASYNC_TRY(await_sleep(co, 1));

    value->data = "loaded";
    value->len = 6;

    return ASYNC_OK;
}


ASYNC_HANDLER(shared)
{
    int64_t         n;
    async_str_t     value;
    async_loader_t  loader = { .load = load };

    ASYNC_TRY(async_shared_set(co, "cache", "a", "right", 5, 0));
    ASYNC_TRY(async_shared_get(co, "cache", "a", &value));

    if (value.len != 5 || memcmp(value.data, "right", 5) != 0) {
        return wrong(req, "another value");
    }

    ASYNC_TRY(async_shared_incr(co, "cache", "n", 1, 0, &n));
    ASYNC_TRY(async_shared_delete(co, "cache", "l"));
    ASYNC_TRY(await_shared_get_or(co, "cache", "l", &loader, &value));

    return value.len == 6 ? right(req) : wrong(req, "nothing is loaded");
}


/* adds one to a counter, which has to be right after all workers' deaths */

ASYNC_HANDLER(count)
{
    int64_t  n;

    ASYNC_TRY(async_shared_incr(co, "cache", "count", 1, 0, &n));

    return async_json_pack(req, 200, "{s:I}", "count", (json_int_t) n);
}


/* pairs of keys that one function sets to the same text */

ASYNC_HANDLER(pairs)
{
    char         text[300];
    async_str_t  value;

    snprintf(text, sizeof(text), "%0*d", 1 + rand() % 250, rand());

    ASYNC_TRY(async_shared_set(co, "cache", text, text, strlen(text), 0));
    ASYNC_TRY(async_shared_get(co, "cache", text, &value));

    if (value.data && strcmp(value.data, text) != 0) {
        return wrong(req, "another value");
    }

    return right(req);
}


/* ---- dependencies, guards, variables */

static async_rc_t
gone(async_t *co, async_req_t *req, async_rc_t outcome, void *arg)
{
    (void) req;
    (void) outcome;
    (void) arg;

    return await_sleep(co, 1);
}


ASYNC_DEPENDENCY(session, const char)
{
    number_t  n = { 4, 0 };

    ASYNC_TRY(async_teardown(req, gone, &n));
    ASYNC_TRY(await_sleep(co, 1));

    return async_provide(req, "right");
}


BLOCKING_DEPENDENCY(user, const char, ASYNC_DEPENDS(session))
{
    return async_provide(req, session_of(req));
}


ASYNC_HANDLER(depends, ASYNC_DEPENDS(session, user))
{
    return strcmp(user_of(req), "right") == 0
           ? right(req) : wrong(req, "another value");
}


ASYNC_HANDLER(guard)
{
    ASYNC_TRY(await_sleep(co, 1));

    return async_set_request_header(req, "X-Guard", "right");
}


ASYNC_HANDLER(guarded)
{
    async_str_t  field = async_header(req, "X-Guard");

    if (field.data == NULL || strcmp(field.data, "right") != 0) {
        return wrong(req, "the guard was not asked");
    }

    return right(req);
}


ASYNC_DEPENDENCY(name_of_user, const char)
{
    return async_provide(req, "right");
}


ASYNC_HANDLER(variable)
{
    async_str_t  name = async_var(req, "name");

    if (name.data == NULL || strcmp(name.data, "right") != 0) {
        return wrong(req, "another variable");
    }

    return right(req);
}


ASYNC_HANDLER(wait)
{
    ASYNC_TRY(await_sleep(co, 100));

    return right(req);
}
