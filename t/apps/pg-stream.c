
/*
 * Handlers of t/pg-stream.t and t/pg-copy.t: rows and COPY in pieces.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* /go?n=: how many have been let go; a handler that pauses waits for it */
static int64_t  gone;

/* /progress: what /into has put */
static int64_t  put;


static const char *
pool_of(async_req_t *req)
{
    async_str_t  pool = async_query(req, "pool");

    return pool.data ? pool.data : "db";
}


static async_rc_t
said(async_t *co, async_req_t *req, int rc, int64_t n, int64_t wrong)
{
    const async_pg_error_t  *error = async_pg_error(co);

    return async_json_pack(req, 200, "{s:i, s:I, s:I, s:s, s:s}", "rc", rc,
                           "n", (json_int_t) n, "wrong", (json_int_t) wrong,
                           "error", rc == ASYNC_OK ? "" : async_error(co),
                           "sqlstate", error ? error->sqlstate : "");
}


static async_rc_t
pause_here(async_t *co)
{
    int64_t  before = gone;

    async_task_log(co, ASYNC_LOG_NOTICE, "<paused>");

    while (gone == before) {
        ASYNC_TRY(await_sleep(co, 5));
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(go)
{
    gone++;

    return async_text(req, 200, "gone");
}


ASYNC_HANDLER(progress)
{
    return async_json_pack(req, 200, "{s:I}", "put", (json_int_t) put);
}


ASYNC_HANDLER(sql)
{
    async_str_t         q;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_str(req, "q", &q));

    if (await_pg(co, pool_of(req), &result, q.data) != ASYNC_OK) {
        return said(co, req, ASYNC_ERROR, 0, 0);
    }

    return async_pg_respond(req, 200, result);
}


/* /array?q=: its rows as a JSON array, as fast as the client reads them */

ASYNC_HANDLER(array)
{
    async_str_t         q, text;
    const char         *before;
    async_pg_stream_t  *s;
    async_pg_result_t  *row;

    ASYNC_TRY(async_query_str(req, "q", &q));
    ASYNC_TRY(await_pg_stream(co, pool_of(req), &s, q.data));
    ASYNC_TRY(async_stream(req, 200, "application/json", -1));

    for (before = "["; /* void */ ; before = ",") {
        ASYNC_TRY(await_pg_next(co, s, &row));

        if (row == NULL) {
            break;
        }

        text = async_pg_row_text(co, row, 0);

        ASYNC_TRY(await_send(co, req, before, 1));
        ASYNC_TRY(await_send(co, req, text.data, text.len));
    }

    return await_send(co, req, *before == '[' ? "[]" : "]",
                      *before == '[' ? 2 : 1);
}


/*
 * /rows?q=&pause=&stop=&how=: how many rows there are, those whose n is not
 * their number are wrong; after "stop" it is closed, or left
 */

ASYNC_HANDLER(rows)
{
    int64_t             n, pause, stop, wrong, value;
    async_rc_t          rc;
    async_str_t         q, how, bytes;
    async_pg_stream_t  *s;
    async_pg_result_t  *row;

    ASYNC_TRY(async_query_str(req, "q", &q));
    (void) async_query_int_or(req, "pause", &pause, -1);
    (void) async_query_int_or(req, "stop", &stop, -1);
    how = async_query(req, "how");

    n = 0;
    wrong = 0;

    rc = await_pg_stream(co, pool_of(req), &s, q.data);

    while (rc == ASYNC_OK && n != stop) {

        if (n == pause) {
            ASYNC_TRY(pause_here(co));
        }

        rc = await_pg_next(co, s, &row);

        if (rc != ASYNC_OK || row == NULL) {
            break;
        }

        n++;

        if (async_pg_rows(row) != 1
            || async_pg_int(co, row, 0, "n", &value) != ASYNC_OK || value != n)
        {
            wrong++;
        }

        /* memory that must not add up */

        if (how.data && strcmp(how.data, "bytes") == 0
            && (async_pg_bytes(co, row, 0, "bytes", &bytes) != ASYNC_OK
                || bytes.len != 1024))
        {
            wrong++;
        }
    }

    if (rc == ASYNC_OK && n == stop && how.data
        && strcmp(how.data, "close") == 0)
    {
        rc = await_pg_stream_close(co, s);

        if (rc == ASYNC_OK && await_pg_next(co, s, &row) != ASYNC_ERROR) {
            wrong++;
        }

    } else if (rc == ASYNC_OK && n != stop
               && (await_pg_next(co, s, &row) != ASYNC_OK || row
                   || await_pg_stream_close(co, s) != ASYNC_OK))
    {
        /* after the end there is the end */
        wrong++;
    }

    return said(co, req, rc, n, wrong);
}


/* /values: those of a statement, by name; types of columns */

ASYNC_HANDLER(values)
{
    double              x;
    int64_t             n;
    async_str_t         text, none;
    async_pg_stream_t  *s;
    async_pg_result_t  *row;

    ASYNC_TRY(await_pg_stream(co, "db", &s, "SELECT :n::int8 + i AS n,"
                              " :s::text AS s, 0.5::float8 AS x"
                              " FROM generate_series(1, 2) i",
                              ASYNC_NAMED("n", ASYNC_INT(40)),
                              ASYNC_NAMED("s", ASYNC_TEXT("a\"b"))));
    ASYNC_TRY(await_pg_next(co, s, &row));
    ASYNC_TRY(await_pg_next(co, s, &row));
    ASYNC_TRY(async_pg_int(co, row, 0, "n", &n));
    ASYNC_TRY(async_pg_float(co, row, 0, "x", &x));

    text = async_pg_row_text(co, row, 0);
    none = async_pg_row_text(co, row, 1);

    return async_json_pack(req, 200, "{s:I, s:f, s:s, s:i, s:b, s:s}", "n",
                           (json_int_t) n, "x", x, "text", text.data, "len",
                           (int) text.len, "none", none.data == NULL, "error",
                           async_error(co));
}


/* /two?n=: two at once, a row of each in turn */

ASYNC_HANDLER(two)
{
    int64_t             n, i, value, wrong;
    async_pg_stream_t  *s[2];
    async_pg_result_t  *row[2];

    ASYNC_TRY(async_query_int(req, "n", &n));

    for (int k = 0; k < 2; k++) {
        ASYNC_TRY(await_pg_stream(co, "db", &s[k],
                                  "SELECT n FROM generate_series($1::int8,"
                                  " $1 + $2 - 1) n",
                                  ASYNC_INT(k * n), ASYNC_INT(n)));
    }

    wrong = 0;

    for (i = 0; i <= n; i++) {
        for (int k = 0; k < 2; k++) {
            ASYNC_TRY(await_pg_next(co, s[k], &row[k]));

            if (i == n) {
                wrong += (row[k] != NULL);
                continue;
            }

            ASYNC_TRY(async_pg_int(co, row[k], 0, "n", &value));
            wrong += (value != k * n + i);
        }
    }

    return said(co, req, ASYNC_OK, i - 1, wrong);
}


/* /children: one reads what its parent has opened, and two at once */

typedef struct {
    async_pg_stream_t  *s;
    int64_t             n;
    int                 rc;
} reader_t;


static async_rc_t
reads(async_t *co, void *arg)
{
    reader_t           *r = arg;
    async_pg_result_t  *row;

    do {
        r->rc = await_pg_next(co, r->s, &row);
        r->n += (r->rc == ASYNC_OK && row);

    } while (r->rc == ASYNC_OK && row);

    return r->rc;
}


ASYNC_HANDLER(children)
{
    int                 busy;
    reader_t            a, b;
    async_str_t         q;
    async_child_t      *first, *second;
    async_pg_stream_t  *s;

    ASYNC_TRY(async_query_str(req, "q", &q));
    ASYNC_TRY(await_pg_stream(co, "db", &s, q.data));

    a = b = (reader_t) { s, 0, ASYNC_OK };

    first = async_spawn(co, reads, &a);
    second = async_spawn(co, reads, &b);

    busy = await_join(co, second);
    ASYNC_TRY(await_join(co, first));

    return async_json_pack(req, 200, "{s:I, s:i, s:s}", "n", (json_int_t) a.n,
                           "busy", busy, "error", async_error(co));
}


/*
 * /deadline?q=: rows until a deadline of theirs has passed, then the others,
 * when they have been let go
 */

ASYNC_HANDLER(deadline)
{
    int                 rc;
    int64_t             n, all;
    async_str_t         q;
    async_pg_stream_t  *s;
    async_pg_result_t  *row;

    ASYNC_TRY(async_query_str(req, "q", &q));
    ASYNC_TRY(await_pg_stream(co, "db", &s, q.data));

    n = 0;

    {
        ASYNC_DEADLINE(co, 200);

        do {
            rc = await_pg_next(co, s, &row);
            n += (rc == ASYNC_OK);

        } while (rc == ASYNC_OK && row);
    }

    ASYNC_TRY(pause_here(co));

    for (all = n; /* void */ ; all++) {
        ASYNC_TRY(await_pg_next(co, s, &row));

        if (row == NULL) {
            break;
        }
    }

    return async_json_pack(req, 200, "{s:i, s:b, s:I}", "rc", rc, "some",
                           n > 0 && n < all, "all", (json_int_t) all);
}


/* /in?how=: streams in a transaction, which has stored 1 before */

static async_rc_t
in_busy(async_t *co, async_pg_stream_t *s, json_t *list)
{
    async_pg_copy_t    *copy;
    async_pg_result_t  *row;
    async_pg_stream_t  *other;

    json_array_append_new(list, json_integer(await_pg(co, "db", NULL,
                                                      "SELECT 1")));
    json_array_append_new(list, json_string(async_error(co)));
    json_array_append_new(list, json_integer(await_pg_begin(co, "db", 0)));
    json_array_append_new(list, json_integer(await_pg_commit(co, "db")));
    json_array_append_new(list, json_integer(await_pg_stream(co, "db", &other,
                                                             "SELECT 1")));
    json_array_append_new(list,
                          json_integer(await_pg_copy(co, "db", &copy,
                                                     "COPY t TO STDOUT")));

    for ( ;; ) {
        ASYNC_TRY(await_pg_next(co, s, &row));

        if (row == NULL) {
            return await_pg_commit(co, "db");
        }
    }
}


static async_rc_t
in_savepoint(async_t *co, void *arg)
{
    const char         *how = arg;
    async_pg_stream_t  *s;
    async_pg_result_t  *row;

    ASYNC_TRY(await_pg(co, "db", NULL, "INSERT INTO t VALUES (2)"));
    ASYNC_TRY(await_pg_stream(co, "db", &s, "SELECT repeat('x', 1000),"
                              " generate_series(1, 10000000)"));
    ASYNC_TRY(await_pg_next(co, s, &row));

    return strcmp(how, "left") == 0 ? ASYNC_OK : ASYNC_ERROR;
}


static async_rc_t
in_how(async_t *co, const char *how, json_t *list)
{
    async_pg_stream_t  *s;
    async_pg_result_t  *row;

    if (strcmp(how, "savepoint") == 0 || strcmp(how, "left") == 0) {
        json_array_append_new(list, json_integer(
                                  await_pg_transaction(co, "db", 0,
                                                       in_savepoint,
                                                       (void *) how)));
        return await_pg_commit(co, "db");
    }

    if (strcmp(how, "memory") == 0) {
        {
            ASYNC_MEMORY(co);

            ASYNC_TRY(await_pg_stream(co, "db", &s, "SELECT"
                                      " generate_series(1, 10000000)"));
        }

        json_array_append_new(list, json_integer(await_pg(co, "db", NULL,
                                                          "SELECT 1")));
        json_array_append_new(list, json_string(async_error(co)));

        return await_pg_rollback(co, "db");
    }

    ASYNC_TRY(await_pg_stream(co, "db", &s, "SELECT n FROM"
                              " generate_series(1, 100000) n"));
    ASYNC_TRY(await_pg_next(co, s, &row));

    if (strcmp(how, "busy") == 0) {
        return in_busy(co, s, list);
    }

    if (strcmp(how, "close") == 0) {
        ASYNC_TRY(await_pg_stream_close(co, s));
        ASYNC_TRY(await_pg(co, "db", NULL, "INSERT INTO t VALUES (3)"));

        return await_pg_commit(co, "db");
    }

    if (strcmp(how, "rollback") == 0) {
        ASYNC_TRY(await_pg_rollback(co, "db"));

        json_array_append_new(list, json_integer(await_pg_next(co, s, &row)));
        json_array_append_new(list, json_string(async_error(co)));
    }

    /* "end": of the task */

    return ASYNC_OK;
}


ASYNC_HANDLER(in)
{
    int                 rc;
    json_t             *list;
    async_str_t         how;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_str(req, "how", &how));
    ASYNC_TRY(await_pg_begin(co, "db", 0));
    ASYNC_TRY(await_pg(co, "db", NULL, "INSERT INTO t VALUES (1)"));

    list = json_array();
    rc = in_how(co, how.data, list);

    json_array_append_new(list, json_integer(rc));

    if (strcmp(how.data, "end") != 0) {
        /* on the connection of the pool, whoever has it now */
        ASYNC_TRY(await_pg(co, "db", &result,
                           "SELECT coalesce(sum(id), 0) AS n FROM t"));
        json_array_append_new(list, async_pg_row_json(co, result, 0));
    }

    return async_json(req, 200, list);
}


/* at startup, in a background task, of a child */

static async_rc_t
anywhere(async_t *co, void *arg)
{
    int64_t             n, copied;
    async_str_t         data;
    async_pg_copy_t    *copy;
    async_pg_stream_t  *s;
    async_pg_result_t  *row;

    ASYNC_TRY(await_pg_stream(co, "db", &s,
                              "SELECT n FROM generate_series(1, 1000) n"));

    for (n = 0; /* void */ ; n++) {
        ASYNC_TRY(await_pg_next(co, s, &row));

        if (row == NULL) {
            break;
        }
    }

    ASYNC_TRY(await_pg_copy(co, "db", &copy, "COPY (SELECT n FROM"
                            " generate_series(1, 1000) n) TO STDOUT"));

    do {
        ASYNC_TRY(await_pg_copy_get(co, copy, &data));
    } while (data.data);

    ASYNC_TRY(await_pg_copy_close(co, copy, &copied));

    async_task_log(co, ASYNC_LOG_NOTICE, "<%s: %d rows, %d lines>",
                   (const char *) arg, (int) n, (int) copied);

    return ASYNC_OK;
}


ASYNC_STARTUP(starts)
{
    return anywhere(co, (void *) "startup");
}


ASYNC_PERIODIC(again)
{
    return anywhere(co, (void *) "periodic");
}


static async_rc_t
behind(async_t *co, void *arg)
{
    return anywhere(co, (void *) (arg ? "background" : "none"));
}


ASYNC_HANDLER(others)
{
    async_child_t  *child;

    child = async_spawn(co, anywhere, (void *) "child");

    ASYNC_TRY(await_join(co, child));
    ASYNC_TRY(async_background(req, behind, "b"));

    return async_text(req, 200, "done");
}


/*
 * /out?q=&stop=&how=&pause=: how many lines, in how many pieces, that are not
 * whole lines or too long, until "stop" pieces have come
 */

ASYNC_HANDLER(out)
{
    int64_t           pieces, lines, rows, stop, pause, wrong;
    async_rc_t        rc;
    async_str_t       q, data, how;
    async_pg_copy_t  *copy;

    ASYNC_TRY(async_query_str(req, "q", &q));
    (void) async_query_int_or(req, "stop", &stop, -1);
    (void) async_query_int_or(req, "pause", &pause, -1);
    how = async_query(req, "how");

    pieces = lines = rows = wrong = 0;

    rc = await_pg_copy(co, pool_of(req), &copy, q.data);

    while (rc == ASYNC_OK && pieces != stop) {

        if (pieces == pause) {
            ASYNC_TRY(pause_here(co));
        }

        rc = await_pg_copy_get(co, copy, &data);

        if (rc != ASYNC_OK || data.data == NULL) {
            break;
        }

        pieces++;
        wrong += (data.len == 0 || data.data[data.len] != '\0'
                  || data.data[data.len - 1] != '\n' || data.len > 65536);

        for (size_t i = 0; i < data.len; i++) {
            lines += (data.data[i] == '\n');
        }
    }

    if (rc == ASYNC_OK && !(how.data && strcmp(how.data, "leave") == 0)) {
        rc = await_pg_copy_close(co, copy, &rows);
    }

    return async_json_pack(req, 200, "{s:i, s:I, s:I, s:I, s:I, s:s, s:s}",
                           "rc", rc, "pieces", (json_int_t) pieces, "lines",
                           (json_int_t) lines, "rows", (json_int_t) rows,
                           "wrong", (json_int_t) wrong, "sqlstate",
                           async_pg_error(co) ? async_pg_error(co)->sqlstate
                           : "", "error", rc ? async_error(co) : "");
}


/*
 * /into?q=&n=&size=&how=&deadline=: pieces 1 to n, lines of size bytes; then it
 * is closed, or left
 */

static async_rc_t
puts_all(async_t *co, async_pg_copy_t *copy, int64_t n, int64_t size,
    const char *text)
{
    char   *line = async_task_alloc(co, size + 32);
    int     len;

    for (int64_t i = 1; i <= n; i++) {

        len = text ? snprintf(line, size + 32, "%s\n", text)
                   : snprintf(line, 32, "%d\t", (int) i);

        if (text == NULL) {
            memset(line + len, 'x', size);
            len += size;
            line[len++] = '\n';
        }

        ASYNC_TRY(await_pg_copy_put(co, copy, line, len));
        put = i;
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(into)
{
    int               closed;
    char              sqlstate[6] = "";
    int64_t           n, size, rows, ms;
    async_rc_t        rc;
    async_str_t       q, how, text;
    async_pg_copy_t  *copy;

    ASYNC_TRY(async_query_str(req, "q", &q));
    ASYNC_TRY(async_query_int(req, "n", &n));
    (void) async_query_int_or(req, "size", &size, 10);
    (void) async_query_int_or(req, "deadline", &ms, 0);
    how = async_query(req, "how");
    text = async_query(req, "text");

    put = 0;
    rows = -1;
    closed = 0;

    rc = await_pg_copy(co, pool_of(req), &copy, q.data);

    if (rc == ASYNC_OK && ms) {
        ASYNC_DEADLINE(co, ms);

        rc = puts_all(co, copy, n, size, text.data);

    } else if (rc == ASYNC_OK) {
        rc = puts_all(co, copy, n, size, text.data);
    }

    if (async_pg_error(co)) {
        /* the next call forgets it */
        snprintf(sqlstate, sizeof(sqlstate), "%s",
                 async_pg_error(co)->sqlstate);
    }

    if (how.data && strcmp(how.data, "pause") == 0) {
        ASYNC_TRY(pause_here(co));
    }

    if (rc == ASYNC_OK && !(how.data && strcmp(how.data, "leave") == 0)) {
        rc = await_pg_copy_close(co, copy, &rows);

    } else if (rc != ASYNC_OK && copy) {
        async_task_log(co, ASYNC_LOG_NOTICE, "<put: %s>", async_error(co));
        closed = await_pg_copy_close(co, copy, NULL);
    }

    return async_json_pack(req, 200, "{s:i, s:I, s:I, s:i, s:s, s:s}", "rc",
                           rc, "put", (json_int_t) put, "rows",
                           (json_int_t) rows, "closed", closed, "sqlstate",
                           async_pg_error(co) ? async_pg_error(co)->sqlstate
                           : sqlstate, "error", rc ? async_error(co) : "");
}


/* /late?q=: some, then what a deadline refuses before any of it has gone */

ASYNC_HANDLER(late)
{
    int               closed;
    int64_t           rows = -1;
    async_rc_t        rc;
    async_str_t       q;
    async_pg_copy_t  *copy;

    ASYNC_TRY(async_query_str(req, "q", &q));
    ASYNC_TRY(await_pg_copy(co, pool_of(req), &copy, q.data));
    ASYNC_TRY(await_pg_copy_put(co, copy, "1\tx\n", 4));

    {
        ASYNC_DEADLINE(co, 1);

        rc = await_sleep(co, 1000);

        if (rc == ASYNC_TIMEOUT) {
            rc = await_pg_copy_put(co, copy, "2\tx\n", 4);
        }
    }

    closed = await_pg_copy_close(co, copy, &rows);

    return async_json_pack(req, 200, "{s:i, s:i, s:I}", "rc", rc, "closed",
                           closed, "rows", (json_int_t) rows);
}


/* /dropped?q=: the same of a cancel, and its close is kept from that */

typedef struct {
    async_req_t      *req;
    const char       *sql;
    int               ready;
    int               put;
    int               closed;
    int64_t           rows;
} dropped_t;


static async_rc_t
drops(async_t *co, void *arg)
{
    dropped_t        *d = arg;
    async_rc_t        rc;
    async_pg_copy_t  *copy;

    rc = await_pg_copy(co, pool_of(d->req), &copy, d->sql);

    if (rc == ASYNC_OK) {
        rc = await_pg_copy_put(co, copy, "1\tx\n", 4);
    }

    d->ready = 1;
    ASYNC_TRY(rc);

    if (await_sleep(co, 3600 * 1000) == ASYNC_CANCELLED) {
        d->put = await_pg_copy_put(co, copy, "2\tx\n", 4);
    }

    {
        ASYNC_SHIELD(co, 60000);

        d->closed = await_pg_copy_close(co, copy, &d->rows);
    }

    return ASYNC_OK;
}


ASYNC_HANDLER(dropped)
{
    dropped_t       d = { .req = req, .rows = -1 };
    async_str_t     q;
    async_child_t  *child;

    ASYNC_TRY(async_query_str(req, "q", &q));

    d.sql = q.data;
    child = async_spawn(co, drops, &d);

    while (!d.ready) {
        ASYNC_TRY(await_yield(co));
    }

    async_cancel(child);
    ASYNC_TRY(await_join(co, child));

    return async_json_pack(req, 200, "{s:i, s:i, s:I}", "rc", d.put, "closed",
                           d.closed, "rows", (json_int_t) d.rows);
}


/* /refused?q=: what is put until the server does not want it */

ASYNC_HANDLER(refused)
{
    int               rc;
    char              sqlstate[6] = "";
    async_str_t       q;
    async_pg_copy_t  *copy;

    ASYNC_TRY(async_query_str(req, "q", &q));
    ASYNC_TRY(await_pg_copy(co, pool_of(req), &copy, q.data));

    put = 0;

    do {
        rc = await_pg_copy_put(co, copy, "no number\n", 10);
        put++;

        if (put % 10000 == 0) {
            ASYNC_TRY(await_yield(co));
        }

    } while (rc == ASYNC_OK);

    if (async_pg_error(co)) {
        snprintf(sqlstate, sizeof(sqlstate), "%s",
                 async_pg_error(co)->sqlstate);
    }

    return async_json_pack(req, 200, "{s:i, s:s, s:i}", "rc", rc, "sqlstate",
                           sqlstate, "closed",
                           await_pg_copy_close(co, copy, NULL));
}


/* /through?from=&to=: one COPY into another one */

ASYNC_HANDLER(through)
{
    int64_t           out, in;
    async_str_t       from, to, data;
    async_pg_copy_t  *source, *target;

    ASYNC_TRY(async_query_str(req, "from", &from));
    ASYNC_TRY(async_query_str(req, "to", &to));

    ASYNC_TRY(await_pg_copy(co, "db", &source, from.data));
    ASYNC_TRY(await_pg_copy(co, "db", &target, to.data));

    for ( ;; ) {
        ASYNC_TRY(await_pg_copy_get(co, source, &data));

        if (data.data == NULL) {
            break;
        }

        ASYNC_TRY(await_pg_copy_put(co, target, data.data, data.len));
    }

    ASYNC_TRY(await_pg_copy_close(co, source, &out));
    ASYNC_TRY(await_pg_copy_close(co, target, &in));

    return async_json_pack(req, 200, "{s:I, s:I}", "out", (json_int_t) out,
                           "in", (json_int_t) in);
}


/* /confused: each call where another one is meant */

ASYNC_HANDLER(confused)
{
    int64_t           rows;
    json_t           *list = json_array();
    async_str_t       data;
    async_pg_copy_t  *out, *in;

    ASYNC_TRY(await_pg_copy(co, "db", &out, "COPY t TO STDOUT"));
    ASYNC_TRY(await_pg_copy(co, "db", &in, "COPY t FROM STDIN"));

    json_array_append_new(list,
                          json_integer(await_pg_copy_put(co, out, "1\n", 2)));
    json_array_append_new(list, json_string(async_error(co)));
    json_array_append_new(list,
                          json_integer(await_pg_copy_get(co, in, &data)));
    json_array_append_new(list, json_string(async_error(co)));

    ASYNC_TRY(await_pg_copy_close(co, out, NULL));
    ASYNC_TRY(await_pg_copy_close(co, in, &rows));
    json_array_append_new(list, json_integer(rows));

    json_array_append_new(list,
                          json_integer(await_pg_copy_put(co, in, "1\n", 2)));
    json_array_append_new(list, json_string(async_error(co)));

    return async_json(req, 200, list);
}


/* /copy_in?how=: COPY in a transaction */

ASYNC_HANDLER(copy_in)
{
    int                 rc;
    json_t             *list = json_array();
    async_str_t         how, data;
    async_pg_copy_t    *copy;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_str(req, "how", &how));
    ASYNC_TRY(await_pg_begin(co, "db", 0));

    if (strcmp(how.data, "from") == 0 || strcmp(how.data, "open") == 0) {
        ASYNC_TRY(await_pg_copy(co, "db", &copy, "COPY t FROM STDIN"));
        ASYNC_TRY(await_pg_copy_put(co, copy, "100\n", 4));

        json_array_append_new(list, json_integer(await_pg(co, "db", NULL,
                                                          "SELECT 1")));

        if (how.data[0] == 'f') {
            ASYNC_TRY(await_pg_copy_close(co, copy, NULL));
        }

    } else {
        ASYNC_TRY(await_pg_copy(co, "db", &copy, "COPY (SELECT n, repeat('x',"
                                " 100) FROM generate_series(1, 100000) n)"
                                " TO STDOUT"));
        ASYNC_TRY(await_pg_copy_get(co, copy, &data));
        ASYNC_TRY(await_pg_copy_close(co, copy, NULL));
    }

    rc = await_pg_commit(co, "db");
    json_array_append_new(list, json_integer(rc));

    if (rc == ASYNC_BUSY) {
        ASYNC_TRY(await_pg_rollback(co, "db"));
    }

    ASYNC_TRY(await_pg(co, "db", &result,
                       "SELECT coalesce(sum(id), 0) AS n FROM t"));
    json_array_append_new(list, async_pg_row_json(co, result, 0));

    return async_json(req, 200, list);
}
