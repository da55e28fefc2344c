
/*
 * Handlers of t/files*.t: each call on files with the arguments of the query,
 * and what it has answered.
 */

#include <ngx_async.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


/* the root of the query: without one, as the program's own */

static const char *
root_of(async_req_t *req)
{
    async_str_t  root = async_query(req, "root");

    if (root.data == NULL) {
        return ASYNC_ANYWHERE;
    }

    return strcmp(root.data, "NULL") == 0 ? NULL : root.data;
}


static async_rc_t
answer(async_t *co, async_req_t *req, int rc, json_t *more)
{
    json_t  *value = more ? more : json_object();

    json_object_set_new(value, "rc", json_integer(rc));

    if (rc != ASYNC_OK) {
        json_object_set_new(value, "errno",
                            json_integer(async_file_errno(co)));
        json_object_set_new(value, "error", json_string(async_error(co)));
    }

    return async_json(req, 200, value);
}


static json_t *
listed(const async_file_entry_t *entries, size_t n)
{
    json_t  *list = json_array();

    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_pack("[s%, i, I, b, i]",
            entries[i].name.data, entries[i].name.len, entries[i].type,
            (json_int_t) entries[i].bytes,
            entries[i].mtime > 1600000000000, (int) entries[i].size));
    }

    return json_pack("{s:o}", "entries", list);
}


typedef struct {
    async_req_t  *req;
    const char   *op;
    json_t       *more;
} op_t;


static async_rc_t
does(async_t *co, void *arg)
{
    op_t                *op = arg;
    size_t               n;
    int64_t              flags, max;
    async_rc_t           rc;
    async_str_t          data, path;
    async_req_t         *req = op->req;
    const char          *root = root_of(req);
    async_file_stat_t    st;
    async_file_entry_t  *entries;

    path = async_query(req, "path");
    (void) async_query_int_or(req, "flags", &flags, 0);
    (void) async_query_int_or(req, "max", &max, 100000000);
    (void) async_body(req, &data);

    if (strcmp(op->op, "write") == 0) {
        return await_file_write(co, root, path.data, data.data, data.len,
                                (unsigned) flags);

    } else if (strcmp(op->op, "append") == 0) {
        return await_file_append(co, root, path.data, data.data, data.len);

    } else if (strcmp(op->op, "remove") == 0) {
        return await_file_remove(co, root, path.data);

    } else if (strcmp(op->op, "rename") == 0) {
        return await_file_rename(co, root, path.data,
                                 async_query(req, "to").data);

    } else if (strcmp(op->op, "mkdir") == 0) {
        return await_file_mkdir(co, root, path.data);

    } else if (strcmp(op->op, "rmdir") == 0) {
        return await_file_rmdir(co, root, path.data);

    } else if (strcmp(op->op, "stat") == 0) {
        rc = await_file_stat(co, root, path.data, &st);

        if (rc == ASYNC_OK) {
            op->more = json_pack("{s:i, s:I, s:I, s:i, s:i}",
                "size", (int) st.size, "bytes", (json_int_t) st.bytes,
                "mtime", (json_int_t) st.mtime, "type", st.type,
                "mode", (int) st.mode);
        }

        return rc;

    } else if (strcmp(op->op, "list") == 0) {
        rc = await_file_list(co, root, path.data, (size_t) max, &entries, &n);

        if (rc == ASYNC_OK) {
            op->more = listed(entries, n);
        }

        return rc;
    }

    rc = await_file_read(co, root, path.data, (size_t) max, &data);

    if (rc == ASYNC_OK && data.data[data.len] == '\0') {
        op->more = json_pack("{s:I, s:s%}", "len", (json_int_t) data.len,
                             "data", data.data,
                             data.len > 1000 ? 0 : data.len);
    }

    return rc;
}


/* /run?op=&root=&path=&...&deadline= */

ASYNC_HANDLER(run)
{
    op_t         op = { req, async_query(req, "op").data, NULL };
    int64_t      deadline;
    async_rc_t   rc;
    async_str_t  body;

    ASYNC_TRY(await_body(co, req, &body));
    (void) async_query_int_or(req, "deadline", &deadline, 0);

    rc = deadline ? await_within(co, deadline, does, &op) : does(co, &op);

    return answer(co, req, rc, op.more);
}


/* the bytes of a file, whole */

ASYNC_HANDLER(raw)
{
    async_str_t  data;

    ASYNC_TRY(await_file_read(co, root_of(req), async_query(req, "path").data,
                              100000000, &data));

    return async_bytes(req, 200, NULL, data.data, data.len);
}


/* two and more at once: what two children and the handler have read */

typedef struct {
    async_req_t  *req;
    const char   *name;
    async_str_t   data;
} one_t;


static async_rc_t
reads(async_t *co, void *arg)
{
    one_t  *one = arg;

    return await_file_read(co, root_of(one->req), one->name, 1000,
                           &one->data);
}


ASYNC_HANDLER(both)
{
    one_t         a = { req, "a", { NULL, 0 } }, b = { req, "b", { NULL, 0 } };
    async_work_t  work[] = { { reads, &a, ASYNC_OK, NULL },
                             { reads, &b, ASYNC_OK, NULL } };

    ASYNC_TRY(await_gather(co, work, 2));

    return async_json(req, 200, json_pack("[s, s, s?]", a.data.data,
                      b.data.data ? b.data.data : "", work[1].error));
}


/*
 * /stream?flags=&path=&n=&ms=&close=  writes the body n times, waits for ms,
 * closes if close
 */

ASYNC_HANDLER(stream)
{
    int            close;
    int64_t        flags, n, ms, done;
    async_rc_t     rc;
    async_str_t    body;
    async_file_t  *f;

    ASYNC_TRY(await_body(co, req, &body));
    (void) async_query_int_or(req, "flags", &flags, ASYNC_FILE_WRITE);
    (void) async_query_int_or(req, "n", &n, 1);
    (void) async_query_int_or(req, "ms", &ms, 0);
    (void) async_query_bool_or(req, "close", &close, 1);

    rc = await_file_open(co, root_of(req), async_query(req, "path").data,
                         (unsigned) flags, &f);
    if (rc != ASYNC_OK) {
        return answer(co, req, rc, json_pack("{s:s}", "at", "open"));
    }

    for (done = 0; done < n; done++) {
        rc = await_file_put(co, f, body.data, body.len);

        if (rc != ASYNC_OK && async_query(req, "ignore").data == NULL) {
            return answer(co, req, rc, json_pack("{s:s}", "at", "put"));
        }
    }

    async_log(req, ASYNC_LOG_NOTICE, "<written>");

    if (ms) {
        ASYNC_TRY(await_sleep(co, ms));
    }

    rc = close ? await_file_close(co, f) : ASYNC_OK;

    return answer(co, req, rc, json_pack("{s:s}", "at", "close"));
}


/* copies in pieces; after its end there is nothing */

ASYNC_HANDLER(copy)
{
    char           buf[1000];
    size_t         n, total = 0;
    async_file_t  *from, *to;

    ASYNC_TRY(await_file_open(co, root_of(req), async_query(req, "path").data,
                              ASYNC_FILE_READ, &from));
    ASYNC_TRY(await_file_open(co, root_of(req), async_query(req, "to").data,
                              ASYNC_FILE_WRITE|ASYNC_FILE_ATOMIC, &to));

    for ( ;; ) {
        ASYNC_TRY(await_file_get(co, from, buf, sizeof(buf), &n));

        if (n == 0) {
            break;
        }

        ASYNC_TRY(await_file_put(co, to, buf, n));
        total += n;
    }

    ASYNC_TRY(await_file_close(co, to));
    ASYNC_TRY(await_file_close(co, from));

    return answer(co, req, ASYNC_OK,
                  json_pack("{s:I}", "total", (json_int_t) total));
}


/* what is wrong with a file that is open */

static async_rc_t
gets(async_t *co, void *arg)
{
    char    buf[8];
    size_t  n;

    return await_file_get(co, (async_file_t *) arg, buf, sizeof(buf), &n);
}


ASYNC_HANDLER(misuse)
{
    char           buf[8];
    size_t         n;
    json_t        *causes = json_array();
    async_file_t  *f, *none = NULL;
    async_work_t   work[2];

#define CAUSE(call)                                                          \
    do {                                                                     \
        int  rc = call;                                                      \
                                                                             \
        json_array_append_new(causes, json_pack("[i, s?]", rc,               \
                                          rc ? async_error(co) : NULL));     \
    } while (0)

    ASYNC_TRY(await_file_open(co, root_of(req), async_query(req, "path").data,
                              ASYNC_FILE_READ, &f));

    CAUSE(await_file_put(co, f, "x", 1));

    work[0] = work[1] = (async_work_t) { gets, f, ASYNC_OK, NULL };

    ASYNC_TRY(await_gather(co, work, 2));
    json_array_append_new(causes, json_pack("[i, i, s]", work[0].rc,
                                            work[1].rc, work[1].error));

    CAUSE(await_file_get(co, f, buf, sizeof(buf), &n));
    json_array_append_new(causes, json_stringn(buf, n));

    CAUSE(await_file_close(co, f));
    CAUSE(await_file_close(co, f));
    CAUSE(await_file_get(co, f, buf, sizeof(buf), &n));
    CAUSE(await_file_open(co, root_of(req), "x", 0, &none));
    CAUSE(await_file_open(co, root_of(req), "x", ASYNC_FILE_READ
                          |ASYNC_FILE_ATOMIC, &none));
    CAUSE(await_file_open(co, root_of(req), "x", ASYNC_FILE_APPEND
                          |ASYNC_FILE_WRITE, &none));
    CAUSE(await_file_write(co, root_of(req), "x", "x", 1,
                           ASYNC_FILE_APPEND));
    CAUSE(await_file_close(co, none));

    return async_json(req, 200, causes);
}


/* files and memory of a scope */

ASYNC_HANDLER(scopes)
{
    int64_t        n;
    async_str_t    data;
    async_file_t  *f;

    (void) async_query_int_or(req, "n", &n, 100);

    while (n--) {
        ASYNC_MEMORY(co);

        ASYNC_TRY(await_file_open(co, root_of(req),
                                  async_query(req, "path").data,
                                  ASYNC_FILE_READ, &f));
        ASYNC_TRY(await_file_read(co, root_of(req),
                                  async_query(req, "path").data, 100000000,
                                  &data));
    }

    return answer(co, req, ASYNC_OK, NULL);
}


/* a piece is refused, as its time is over before it begins; the file closed */

static async_rc_t
too_late(async_t *co, async_file_t *f)
{
    ASYNC_DEADLINE(co, 0);

    while (await_yield(co) == ASYNC_OK) { /* void */ }

    return await_file_put(co, f, "lost", 4);
}


ASYNC_HANDLER(lacks)
{
    async_rc_t     put;
    async_file_t  *f;

    ASYNC_TRY(await_file_open(co, root_of(req), async_query(req, "path").data,
                              ASYNC_FILE_WRITE, &f));
    ASYNC_TRY(await_file_put(co, f, "whole", 5));

    put = too_late(co, f);

    return answer(co, req, await_file_close(co, f), json_pack("{s:i}", "put",
                                                              put));
}


/* holds a thread of the pool */

typedef struct { int64_t ms; } hold_t;

static async_rc_t
holds(void *arg)
{
    async_thread_log(ASYNC_LOG_NOTICE, "<held>");

    usleep((useconds_t) ((hold_t *) arg)->ms * 1000);

    return ASYNC_OK;
}


ASYNC_HANDLER(hold)
{
    hold_t  hold = { 0 };

    (void) async_query_int_or(req, "ms", &hold.ms, 1000);

    ASYNC_TRY(await_thread(co, NULL, holds, &hold));

    return async_text(req, 200, "free\n");
}


/* writes a file as a reader and others look at it: of one letter each time */

ASYNC_HANDLER(churn)
{
    char     *data = (char *) async_alloc(req, 300000);
    int64_t   n;

    (void) async_query_int_or(req, "n", &n, 50);

    for (int i = 0; i < n; i++) {
        memset(data, 'a' + i % 26, 300000);

        ASYNC_TRY(await_file_write(co, root_of(req),
                                   async_query(req, "path").data, data,
                                   100000 + 7000 * (i % 26),
                                   ASYNC_FILE_ATOMIC));
    }

    return answer(co, req, ASYNC_OK, NULL);
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}
