
/*
 * Handlers of t/socket.t: sockets as the query says.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static async_rc_t
failed(async_t *co, async_req_t *req, const char *what, int rc)
{
    async_log(req, ASYNC_LOG_NOTICE, "<%s ends %d>", what, rc);

    return async_json_pack(req, 200, "{s:s, s:i, s:s}", "what", what, "rc",
                           rc, "error", async_error(co));
}


static async_rc_t
options_of(async_req_t *req, async_socket_options_t *options)
{
    int  tls;

    memset(options, 0, sizeof(*options));

    ASYNC_TRY(async_query_bool_or(req, "tls", &tls, 0));
    ASYNC_TRY(async_query_int_or(req, "connect", &options->connect_timeout,
                                 0));
    ASYNC_TRY(async_query_int_or(req, "recv", &options->recv_timeout, 0));
    ASYNC_TRY(async_query_int_or(req, "send", &options->send_timeout, 0));

    options->flags = tls ? ASYNC_SOCKET_TLS : 0;
    options->tls_name = async_query(req, "name").data;
    options->pool = async_query(req, "pool").data;

    return ASYNC_OK;
}


/* /lines?to=&say=&lines=&max=&keep=: says it, and reads so many lines */

ASYNC_HANDLER(lines)
{
    int                      rc, keep, reused;
    json_t                  *list;
    int64_t                  n, max;
    async_str_t              to, say, line;
    async_socket_t          *s;
    async_socket_options_t   options;

    ASYNC_TRY(options_of(req, &options));
    ASYNC_TRY(async_query_str(req, "to", &to));
    ASYNC_TRY(async_query_int_or(req, "lines", &n, 1));
    ASYNC_TRY(async_query_int_or(req, "max", &max, 1000));
    ASYNC_TRY(async_query_bool_or(req, "keep", &keep, 0));
    say = async_query(req, "say");

    rc = await_connect(co, to.data, &options, &s);

    if (rc != ASYNC_OK) {
        return failed(co, req, "connect", rc);
    }

    reused = async_socket_reused(co, s);

    rc = await_send_all(co, s, say.data, say.len);

    if (rc != ASYNC_OK) {
        return failed(co, req, "send", rc);
    }

    list = json_array();

    while (n--) {
        rc = await_recv_until(co, s, "\r\n", (size_t) max, &line);

        if (rc != ASYNC_OK) {
            json_decref(list);
            return failed(co, req, "recv", rc);
        }

        json_array_append_new(list, json_stringn(line.data, line.len));
    }

    if (keep) {
        async_socket_keep(co, s);
    }

    return async_json_pack(req, 200, "{s:o, s:b}", "lines", list, "reused",
                           reused);
}


/* /exact?to=&say=&bytes=: so many bytes, and gives it back whatever comes */

ASYNC_HANDLER(exact)
{
    int                      rc, reused;
    char                     buf[100];
    int64_t                  n;
    async_str_t              to, say;
    async_socket_t          *s;
    async_socket_options_t   options;

    ASYNC_TRY(options_of(req, &options));
    ASYNC_TRY(async_query_str(req, "to", &to));
    ASYNC_TRY(async_query_int_or(req, "bytes", &n, 3));
    say = async_query(req, "say");

    rc = await_connect(co, to.data, &options, &s);

    if (rc != ASYNC_OK) {
        return failed(co, req, "connect", rc);
    }

    reused = async_socket_reused(co, s);
    rc = await_send_all(co, s, say.data, say.len);

    if (rc == ASYNC_OK) {
        rc = await_recv_all(co, s, buf, (size_t) n);
    }

    async_socket_keep(co, s);

    return async_json_pack(req, 200, "{s:i, s:s%, s:b}", "rc", rc, "got", buf,
                           rc == ASYNC_OK ? (size_t) n : 0, "reused", reused);
}


/* /split?to=&by=&max=: what stands before each delimiter, to the end */

ASYNC_HANDLER(split)
{
    int              rc;
    json_t          *list;
    int64_t          max;
    async_str_t      to, by, text;
    async_socket_t  *s;

    ASYNC_TRY(async_query_str(req, "to", &to));
    ASYNC_TRY(async_query_str(req, "by", &by));
    ASYNC_TRY(async_query_int_or(req, "max", &max, -1));
    ASYNC_TRY(await_connect(co, to.data, NULL, &s));

    list = json_array();

    for ( ;; ) {
        rc = await_recv_until(co, s, by.data, (size_t) max, &text);

        if (rc != ASYNC_OK) {
            break;
        }

        json_array_append_new(list, json_stringn(text.data, text.len));
    }

    return async_json_pack(req, 200, "{s:i, s:o}", "rc", rc, "list", list);
}


/* /literal: an address that nobody may write to */

ASYNC_HANDLER(literal)
{
    int              rc;
    async_socket_t  *s;

    rc = await_connect(co, "One.Test:1", NULL, &s);

    return failed(co, req, "literal", rc);
}


/* /parts?to=: "N\r\n" and N bytes, again and again, to the end */

ASYNC_HANDLER(parts)
{
    int              rc, sum;
    char             buf[70000];
    size_t           i, n, total;
    async_str_t      to, line;
    async_socket_t  *s;

    ASYNC_TRY(async_query_str(req, "to", &to));
    ASYNC_TRY(await_connect(co, to.data, NULL, &s));

    sum = 0;
    total = 0;

    for ( ;; ) {
        rc = await_recv_until(co, s, "\r\n", 20, &line);

        if (rc != ASYNC_OK) {
            break;
        }

        n = strtoul(line.data, NULL, 10);

        if (n == 0) {
            rc = await_recv(co, s, buf, sizeof(buf), &n);
            break;
        }

        rc = await_recv_all(co, s, buf, n);

        if (rc != ASYNC_OK) {
            break;
        }

        for (i = 0; i < n; i++) {
            sum = (sum + (unsigned char) buf[i]) % 65521;
        }

        total += n;
    }

    return async_json_pack(req, 200, "{s:i, s:i, s:I, s:I, s:s}", "rc", rc,
                           "sum", sum, "total", (json_int_t) total, "rest",
                           (json_int_t) n, "error", async_error(co));
}


/* /both?to=&bytes=: to an echo, and from it, at once */

typedef struct {
    async_socket_t  *s;
    size_t           bytes;
    size_t           wrong;
} both_t;


static async_rc_t
sends(async_t *co, void *arg)
{
    char     block[30000];
    size_t   i, n, part;
    both_t  *b = arg;

    for (n = 0; n < b->bytes; /* void */ ) {
        part = b->bytes - n < sizeof(block) ? b->bytes - n : sizeof(block);

        for (i = 0; i < part; i++, n++) {
            block[i] = (char) (n % 251);
        }

        ASYNC_TRY(await_send_all(co, b->s, block, part));
    }

    return ASYNC_OK;
}


static async_rc_t
receives(async_t *co, void *arg)
{
    char     block[30000];
    size_t   i, n, total;
    both_t  *b = arg;

    for (total = 0; total < b->bytes; /* void */ ) {

        ASYNC_TRY(await_recv(co, b->s, block, sizeof(block), &n));

        if (n == 0) {
            return ASYNC_CLOSED;
        }

        for (i = 0; i < n; i++, total++) {
            b->wrong += (block[i] != (char) (total % 251));
        }
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(both)
{
    int64_t                  bytes;
    both_t                   b = { 0 };
    async_str_t              to;
    async_work_t             work[] = { { sends, &b, ASYNC_OK, NULL },
                                        { receives, &b, ASYNC_OK, NULL } };
    async_socket_options_t   options;

    ASYNC_TRY(options_of(req, &options));
    ASYNC_TRY(async_query_str(req, "to", &to));
    ASYNC_TRY(async_query_int_or(req, "bytes", &bytes, 1000000));

    b.bytes = (size_t) bytes;

    ASYNC_TRY(await_connect(co, to.data, &options, &b.s));
    ASYNC_TRY(await_all(co, work, 2));

    return async_json_pack(req, 200, "{s:I, s:I}", "bytes",
                           (json_int_t) b.bytes, "wrong",
                           (json_int_t) b.wrong);
}


/* /busy?to=: a second one that receives, and the end while one does */

static async_rc_t
waits(async_t *co, void *arg)
{
    char    buf[10];
    size_t  n;

    return await_recv(co, (async_socket_t *) arg, buf, sizeof(buf), &n);
}


ASYNC_HANDLER(busy)
{
    int              first, second, after;
    async_str_t      to;
    async_child_t   *child;
    async_socket_t  *s;

    ASYNC_TRY(async_query_str(req, "to", &to));
    ASYNC_TRY(await_connect(co, to.data, NULL, &s));

    child = async_spawn(co, waits, s);

    if (child == NULL) {
        return ASYNC_BUSY;
    }

    ASYNC_TRY(await_yield(co));

    second = waits(co, s);

    async_socket_close(co, s);

    first = await_join(co, child);
    after = waits(co, s);

    return async_json_pack(req, 200, "{s:i, s:i, s:i}", "first", first,
                           "second", second, "after", after);
}


/* /within?to=&ms=: the end of a scope, then one more try */

ASYNC_HANDLER(within)
{
    int              rc;
    int64_t          ms;
    async_str_t      to;
    async_socket_t  *s;

    ASYNC_TRY(async_query_str(req, "to", &to));
    ASYNC_TRY(async_query_int_or(req, "ms", &ms, 50));

    {
        ASYNC_DEADLINE(co, ms);

        rc = await_connect(co, to.data, NULL, &s);

        if (rc == ASYNC_OK) {
            rc = waits(co, s);
        }
    }

    ASYNC_TRY(await_sleep(co, 1));

    return failed(co, req, "within", rc);
}


/* /end?to=: receives to the end, and once more */

ASYNC_HANDLER(end)
{
    int                      rc, again;
    char                     buf[100];
    size_t                   n, more;
    async_str_t              to;
    async_socket_t          *s;
    async_socket_options_t   options;

    ASYNC_TRY(options_of(req, &options));
    ASYNC_TRY(async_query_str(req, "to", &to));
    ASYNC_TRY(await_connect(co, to.data, &options, &s));

    do {
        rc = await_recv(co, s, buf, sizeof(buf), &n);
    } while (rc == ASYNC_OK && n);

    again = await_recv(co, s, buf, sizeof(buf), &more);

    return async_json_pack(req, 200, "{s:i, s:i, s:I, s:s}", "rc", rc, "again",
                           again, "more", (json_int_t) more, "error",
                           async_error(co));
}


/* /dripped?to=: ten bytes for a child, while the parent tries to have one */

typedef struct {
    async_socket_t  *s;
    int              ended;
} ten_t;


static async_rc_t
has_ten(async_t *co, void *arg)
{
    int     rc;
    char    buf[10];
    ten_t  *ten = arg;

    rc = await_recv_all(co, ten->s, buf, sizeof(buf));
    ten->ended = 1;

    return rc;
}


ASYNC_HANDLER(dripped)
{
    int             rc, busy, other;
    ten_t           ten = { 0 };
    async_str_t     to;
    async_child_t  *child;

    ASYNC_TRY(async_query_str(req, "to", &to));
    ASYNC_TRY(await_connect(co, to.data, NULL, &ten.s));

    child = async_spawn(co, has_ten, &ten);

    if (child == NULL) {
        return ASYNC_BUSY;
    }

    busy = 0;
    other = 0;

    for ( ;; ) {
        ASYNC_TRY(await_sleep(co, 1));

        if (ten.ended) {
            break;
        }

        rc = waits(co, ten.s);
        busy += (rc == ASYNC_BUSY);
        other += (rc != ASYNC_BUSY);
    }

    rc = await_join(co, child);

    return async_json_pack(req, 200, "{s:i, s:b, s:i}", "rc", rc, "busy",
                           busy > 3, "other", other);
}


/* /twice?url=: a fetch in pieces of two bytes, and at once another one */

static async_rc_t
fetched(async_t *co, const char *url, char *text, size_t size)
{
    size_t             n, len;
    async_fetch_t      f = { .flags = ASYNC_FETCH_STREAM };
    async_response_t  *res;

    ASYNC_TRY(await_fetch(co, url, &f, &res));

    for (len = 0; len + 3 < size; len += n) {
        ASYNC_TRY(await_response_read(co, res, text + len, 2, &n));

        if (n == 0) {
            break;
        }
    }

    text[len] = '\0';

    return ASYNC_OK;
}


ASYNC_HANDLER(twice)
{
    int          rc;
    char         one[100], two[100] = "";
    async_str_t  url;

    ASYNC_TRY(async_query_str(req, "url", &url));
    ASYNC_TRY(fetched(co, url.data, one, sizeof(one)));

    rc = fetched(co, url.data, two, sizeof(two));

    return async_json_pack(req, 200, "{s:s, s:s, s:i, s:s}", "one", one, "two",
                           two, "rc", rc, "error", async_error(co));
}


/* /refused?url=: what is sent has a pause in which the loop stands still */

static async_rc_t
gives(async_t *co, void *arg, void *buf, size_t size, size_t *n)
{
    int  *left = arg;

    (void) co;

    if (*left == 0) {
        return ASYNC_OK;
    }

    if ((*left)-- == 1) {
        usleep(300000);
    }

    *n = size < 1000 ? size : 1000;
    memset(buf, 'x', *n);

    return ASYNC_OK;
}


ASYNC_HANDLER(refused)
{
    int                left = 2;
    async_str_t        url;
    async_fetch_t      f = { .method = "POST", .source = gives,
                             .source_arg = &left };
    async_response_t  *res;

    ASYNC_TRY(async_query_str(req, "url", &url));

    if (await_fetch(co, url.data, &f, &res) != ASYNC_OK) {
        return async_text(req, 200, async_error(co));
    }

    return async_json_pack(req, 200, "{s:i}", "status",
                           async_response_status(res));
}


/* Who may await: says a line, and logs what comes back. */

typedef struct {
    const char  *who;
    const char  *to;
} talk_t;


static async_rc_t
talks(async_t *co, void *arg)
{
    talk_t          *talk = arg;
    async_str_t      line;
    async_socket_t  *s;

    ASYNC_TRY(await_connect(co, talk->to, NULL, &s));
    ASYNC_TRY(await_send_all(co, s, talk->who, strlen(talk->who)));
    ASYNC_TRY(await_send_all(co, s, "\r\n", 2));
    ASYNC_TRY(await_recv_until(co, s, "\r\n", 100, &line));

    async_task_log(co, ASYNC_LOG_NOTICE, "<heard %s>", line.data);

    return ASYNC_OK;
}


/* /called?to= from a thread, /child?to=, /later?to= after the response */

BLOCKING_HANDLER(called)
{
    talk_t  talk = { "called", async_query(req, "to").data };

    ASYNC_TRY(async_call(req, talks, &talk));

    return async_text(req, 200, "called");
}


ASYNC_HANDLER(child)
{
    talk_t          talk = { "child", async_query(req, "to").data };
    async_child_t  *child;

    child = async_spawn(co, talks, &talk);

    if (child == NULL) {
        return ASYNC_BUSY;
    }

    ASYNC_TRY(await_join(co, child));

    return async_text(req, 200, "child");
}


ASYNC_HANDLER(later)
{
    talk_t  talk = { "later", NULL };

    talk.to = async_background_str(req, async_query(req, "to").data);

    ASYNC_TRY(async_background(req, talks, &talk));

    return async_text(req, 200, "later");
}


ASYNC_STARTUP(starts)
{
    talk_t  talk = { "starts", async_task_param(co, "starts").data };

    return talk.to ? talks(co, &talk) : ASYNC_OK;
}


ASYNC_SHUTDOWN(ends)
{
    talk_t  talk = { "ends", async_task_param(co, "ends").data };

    return talk.to ? talks(co, &talk) : ASYNC_OK;
}


/* a task without a request uses the settings of the http block */

ASYNC_PERIODIC(probe)
{
    int              rc;
    async_str_t      to, line;
    async_socket_t  *s;

    to = async_task_param(co, "probe");

    if (to.data == NULL) {
        return ASYNC_OK;
    }

    rc = await_connect(co, to.data, NULL, &s);

    if (rc == ASYNC_OK) {
        ASYNC_TRY(await_send_all(co, s, "probe\r\n", 7));
        ASYNC_TRY(await_recv_until(co, s, "\r\n", 100, &line));

        async_task_log(co, ASYNC_LOG_NOTICE, "<probed %s>", line.data);
    }

    return rc;
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}
