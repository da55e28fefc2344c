
/*
 * The handler of t/awaits.t, which stands in any await until the test lets it
 * go on: /await?on=&id=&deadline=.  It says "<id ready>", waits for the file
 * "begin", says "<id begins>", awaits what ?on= names until the file "gate" is
 * there, or until the client does its part, and says "<id CODE>".
 */

#include "awaits.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


typedef struct {
    const char         *name;
    async_fn_pt         prepare;
    async_fn_pt         await;
} kind_t;


static async_rc_t
stands(async_t *co, const gate_t *gate)
{
    while (access(gate->path, F_OK) == -1) {
        ASYNC_TRY(await_sleep(co, 20));
    }

    return ASYNC_OK;
}


static async_rc_t
waits(async_t *co, void *arg)
{
    return stands(co, &((scene_t *) arg)->gate);
}


/* Sleeps and yields */

static async_rc_t
yields(async_t *co, void *arg)
{
    scene_t  *s = arg;

    while (access(s->gate.path, F_OK) == -1) {
        ASYNC_TRY(await_yield(co));
    }

    return ASYNC_OK;
}


/* The body: eight bytes, of which the client sends four by and by */

static async_rc_t
body(async_t *co, void *arg)
{
    scene_t      *s = arg;
    async_str_t   text;

    ASYNC_TRY(await_body(co, s->req, &text));

    return strcmp(text.data, "\"twopar\"") == 0 ? ASYNC_OK : ASYNC_INVALID;
}


static async_rc_t
json(async_t *co, void *arg)
{
    json_t   *value;
    scene_t  *s = arg;

    ASYNC_TRY(await_json(co, s->req, &value));

    return strcmp(json_string_value(value), "twopar") == 0 ? ASYNC_OK
                                                           : ASYNC_INVALID;
}


static async_rc_t
body_read(async_t *co, void *arg)
{
    char      text[100];
    size_t    n, len = 0;
    scene_t  *s = arg;

    do {
        ASYNC_TRY(await_body_read(co, s->req, text + len, sizeof(text) - len,
                                  &n));
        len += n;
    } while (n);

    return len == 8 && memcmp(text, "\"twopar\"", 8) == 0 ? ASYNC_OK
                                                         : ASYNC_INVALID;
}


/* The response, at the pace of the client */

const char *
letters(void)
{
    static char  much[MUCH + 1];

    for (size_t i = 0; i < MUCH; i++) {
        much[i] = (char) ('a' + i % 26);
    }

    return much;
}


static async_rc_t
sends(async_t *co, void *arg)
{
    return await_send(co, ((scene_t *) arg)->req, letters(), MUCH);
}


static async_rc_t
sse(async_t *co, void *arg)
{
    async_sse_t  event = { .data = letters() };

    return await_sse(co, ((scene_t *) arg)->req, &event);
}


/* Children */

static async_rc_t
spawns(async_t *co, void *arg)
{
    scene_t  *s = arg;

    s->child = async_spawn(co, waits, s);

    return s->child ? ASYNC_OK : ASYNC_ERROR;
}


static async_rc_t
join(async_t *co, void *arg)
{
    return await_join(co, ((scene_t *) arg)->child);
}


static async_rc_t
ended(async_t *co, void *arg)
{
    scene_t  *s = arg;

    ASYNC_TRY(await_ended(co, s->child));

    /* the deadline may have ended the child before it ends this await */
    return await_join(co, s->child);
}


static async_rc_t
all(async_t *co, void *arg)
{
    async_work_t  work[] = { { .fn = waits, .arg = arg },
                             { .fn = waits, .arg = arg } };

    return await_all(co, work, 2);
}


static async_rc_t
gather(async_t *co, void *arg)
{
    async_work_t  work[] = { { .fn = waits, .arg = arg },
                             { .fn = waits, .arg = arg } };

    ASYNC_TRY(await_gather(co, work, 2));

    /* as above */
    return work[0].rc;
}


static async_rc_t
any(async_t *co, void *arg)
{
    int           winner;
    async_work_t  work[] = { { .fn = waits, .arg = arg },
                             { .fn = waits, .arg = arg } };

    return await_any(co, work, 2, &winner);
}


static async_rc_t
within(async_t *co, void *arg)
{
    return await_within(co, 3600000, waits, arg);
}


static async_rc_t
shield(async_t *co, void *arg)
{
    return await_shield(co, 3600000, waits, arg);
}


/* What a child of the same task has, and hands on */

static async_rc_t
has_mutex(async_t *co, void *arg)
{
    scene_t  *s = arg;

    ASYNC_LOCK(co, &s->mutex);
    s->held = 1;

    return waits(co, s);
}


static async_rc_t
has_semaphore(async_t *co, void *arg)
{
    scene_t     *s = arg;
    async_rc_t   rc;

    ASYNC_TRY(await_acquire(co, &s->semaphore));
    s->held = 1;

    rc = waits(co, s);
    (void) async_release(co, &s->semaphore);

    return rc;
}


static async_rc_t
sets_event(async_t *co, void *arg)
{
    scene_t  *s = arg;

    s->held = 1;
    ASYNC_TRY(waits(co, s));
    async_event_set(co, &s->event);

    return ASYNC_OK;
}


static async_rc_t
puts_item(async_t *co, void *arg)
{
    scene_t  *s = arg;

    s->held = 1;
    ASYNC_TRY(waits(co, s));

    return await_put(co, &s->queue, s);
}


static async_rc_t
gets_item(async_t *co, void *arg)
{
    void     *item;
    scene_t  *s = arg;

    ASYNC_TRY(await_put(co, &s->queue, s));
    s->held = 1;
    ASYNC_TRY(waits(co, s));

    return await_get(co, &s->queue, &item);
}


static async_rc_t
occupied(async_t *co, scene_t *s, async_fn_pt fn)
{
    s->semaphore.limit = 1;
    s->queue.limit = 1;

    if (async_spawn(co, fn, s) == NULL) {
        return ASYNC_ERROR;
    }

    while (!s->held) {
        ASYNC_TRY(await_yield(co));
    }

    return ASYNC_OK;
}


#define OCCUPIED(name, fn)                                                   \
    static async_rc_t name(async_t *co, void *arg)                           \
    {                                                                        \
        return occupied(co, arg, fn);                                        \
    }

OCCUPIED(connection_taken, has_connection)
OCCUPIED(mutex_taken, has_mutex)
OCCUPIED(semaphore_taken, has_semaphore)
OCCUPIED(event_clear, sets_event)
OCCUPIED(queue_empty, puts_item)
OCCUPIED(queue_full, gets_item)


static async_rc_t
lock(async_t *co, void *arg)
{
    scene_t  *s = arg;

    ASYNC_TRY(await_lock(co, &s->mutex));
    ASYNC_TRY(async_unlock(co, &s->mutex));

    /* the deadline may have ended whoever had it first */
    return await_yield(co);
}


static async_rc_t
acquire(async_t *co, void *arg)
{
    scene_t  *s = arg;

    ASYNC_TRY(await_acquire(co, &s->semaphore));
    ASYNC_TRY(async_release(co, &s->semaphore));

    return await_yield(co);
}


static async_rc_t
event(async_t *co, void *arg)
{
    return await_event(co, &((scene_t *) arg)->event);
}


static async_rc_t
get(async_t *co, void *arg)
{
    void  *item;

    return await_get(co, &((scene_t *) arg)->queue, &item);
}


static async_rc_t
put(async_t *co, void *arg)
{
    return await_put(co, &((scene_t *) arg)->queue, arg);
}


/* Threads */

static async_rc_t
thread_waits(void *arg)
{
    gate_t  *gate = arg;

    async_thread_log(ASYNC_LOG_NOTICE, "<in a thread>");

    while (access(gate->path, F_OK) == -1 && !async_thread_cancelled()) {
        usleep(2000);
    }

    return ASYNC_OK;
}


static async_rc_t
thread(async_t *co, void *arg)
{
    return await_thread(co, "many", thread_waits, &((scene_t *) arg)->gate);
}


/* Files: the one thread of the pool is held, so that they wait for it */

static async_rc_t
file_read(async_t *co, void *arg)
{
    scene_t      *s = arg;
    async_str_t   data;

    return await_file_read(co, s->root, s->id, MUCH, &data);
}


static async_rc_t
file_write(async_t *co, void *arg)
{
    scene_t  *s = arg;

    return await_file_write(co, s->root, s->id, "new", 3, ASYNC_FILE_ATOMIC);
}


static async_rc_t
file_append(async_t *co, void *arg)
{
    scene_t  *s = arg;

    return await_file_append(co, s->root, s->id, "new", 3);
}


static async_rc_t
file_stat(async_t *co, void *arg)
{
    scene_t            *s = arg;
    async_file_stat_t   st;

    return await_file_stat(co, s->root, s->id, &st);
}


static async_rc_t
file_list(async_t *co, void *arg)
{
    size_t               n;
    scene_t             *s = arg;
    async_file_entry_t  *entries;

    return await_file_list(co, s->root, ".", 10000, &entries, &n);
}


static async_rc_t
file_remove(async_t *co, void *arg)
{
    scene_t  *s = arg;

    return await_file_remove(co, s->root, s->id);
}


static async_rc_t
file_rename(async_t *co, void *arg)
{
    char      name[200];
    scene_t  *s = arg;

    snprintf(name, sizeof(name), "%s-renamed", s->id);

    return await_file_rename(co, s->root, s->id, name);
}


static async_rc_t
file_mkdir(async_t *co, void *arg)
{
    scene_t  *s = arg;

    return await_file_mkdir(co, s->root, s->id);
}


static async_rc_t
file_rmdir(async_t *co, void *arg)
{
    scene_t  *s = arg;

    return await_file_rmdir(co, s->root, s->id);
}


static async_rc_t
file_open(async_t *co, void *arg)
{
    scene_t  *s = arg;

    return await_file_open(co, s->root, s->id, ASYNC_FILE_READ, &s->file);
}


static async_rc_t
file_open_new(async_t *co, void *arg)
{
    scene_t  *s = arg;

    return await_file_open(co, s->root, s->id,
                           ASYNC_FILE_WRITE|ASYNC_FILE_ATOMIC, &s->file);
}


static async_rc_t
file_open_put(async_t *co, void *arg)
{
    scene_t  *s = arg;

    ASYNC_TRY(file_open_new(co, s));

    return await_file_put(co, s->file, "new", 3);
}


static async_rc_t
file_get(async_t *co, void *arg)
{
    char      buf[100];
    size_t    n;
    scene_t  *s = arg;

    return await_file_get(co, s->file, buf, sizeof(buf), &n);
}


static async_rc_t
file_put(async_t *co, void *arg)
{
    scene_t  *s = arg;

    ASYNC_TRY(await_file_put(co, s->file, "new", 3));

    return await_file_close(co, s->file);
}


static async_rc_t
file_close(async_t *co, void *arg)
{
    return await_file_close(co, ((scene_t *) arg)->file);
}


static const kind_t  kinds[] = {
    { "sleep", NULL, waits },
    { "yield", NULL, yields },
    { "body", NULL, body },
    { "json", NULL, json },
    { "body_read", NULL, body_read },
    { "send", NULL, sends },
    { "sse", NULL, sse },
    { "join", spawns, join },
    { "ended", spawns, ended },
    { "all", NULL, all },
    { "gather", NULL, gather },
    { "any", NULL, any },
    { "within", NULL, within },
    { "shield", NULL, shield },
    { "lock", mutex_taken, lock },
    { "acquire", semaphore_taken, acquire },
    { "event", event_clear, event },
    { "get", queue_empty, get },
    { "put", queue_full, put },
    { "thread", NULL, thread },
    { "file_read", NULL, file_read },
    { "file_write", NULL, file_write },
    { "file_append", NULL, file_append },
    { "file_stat", NULL, file_stat },
    { "file_list", NULL, file_list },
    { "file_remove", NULL, file_remove },
    { "file_rename", NULL, file_rename },
    { "file_mkdir", NULL, file_mkdir },
    { "file_rmdir", NULL, file_rmdir },
    { "file_open", NULL, file_open },
    { "file_get", file_open, file_get },
    { "file_put", file_open_new, file_put },
    { "file_close", file_open_put, file_close },
    { "resolve", NULL, resolve },
    { "tls", NULL, tls },
    { "recv", will_recv, receives },
    { "recv_all", will_recv, recv_all },
    { "recv_until", will_recv, recv_until },
    { "send_all", will_send, send_all },
    { "fetch", NULL, fetch },
    { "fetch_body", NULL, fetch_body },
    { "response_read", fetch_stream, response_read },
    { "pg", NULL, pg },
    { "pg_pipeline", NULL, pg_pipeline },
    { "pg_begin", connection_taken, pg_begin },
    { "pg_commit", pg_begun, pg_commit },
    { "pg_stream", NULL, pg_stream },
    { "pg_next", pg_streams, pg_next },
    { "pg_copy", NULL, pg_copy },
    { "pg_copy_get", pg_copies, pg_copy_get },
    { "pg_copy_put", pg_takes, pg_copy_put },
    { "pg_copy_close", pg_takes_one, pg_copy_close },
    { "pg_listen", NULL, pg_listen },
    { "pg_notification", pg_listens, pg_notification },
};


static const kind_t *
kind_of(async_str_t name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {

        if (name.data && strcmp(kinds[i].name, name.data) == 0) {
            return &kinds[i];
        }
    }

    return NULL;
}


static async_rc_t
plays(async_t *co, scene_t *s, const kind_t *kind, int64_t deadline)
{
    if (kind->prepare) {
        ASYNC_TRY(kind->prepare(co, s));
    }

    async_log(s->req, ASYNC_LOG_NOTICE, "<%s ready>", s->id);

    ASYNC_TRY(stands(co, &s->begin));

    async_log(s->req, ASYNC_LOG_NOTICE, "<%s begins>", s->id);

    if (deadline) {
        ASYNC_DEADLINE(co, deadline);
        return kind->await(co, s);
    }

    return kind->await(co, s);
}


ASYNC_HANDLER(await)
{
    char            text[100];
    void           *item;
    int64_t         deadline;
    scene_t        *s;
    async_rc_t      rc;
    const kind_t   *kind;

    ASYNC_GROUP(co);

    ASYNC_TRY(async_query_int_or(req, "deadline", &deadline, 0));

    kind = kind_of(async_query(req, "on"));
    s = async_alloc(req, sizeof(scene_t));

    if (kind == NULL || s == NULL) {
        return async_fail(req, 404, "no such kind");
    }

    memset(s, 0, sizeof(scene_t));

    s->req = req;
    s->id = async_query(req, "id").data;
    s->root = async_param(req, "root").data;

    snprintf(s->begin.path, sizeof(gate_t), "%s/begin",
             async_param(req, "dir").data);
    snprintf(s->gate.path, sizeof(gate_t), "%s/gate",
             async_param(req, "dir").data);

    rc = plays(co, s, kind, deadline);

    /* a queue that goes is to be empty */
    while (async_try_get(co, &s->queue, &item) == ASYNC_OK) { /* void */ }

    async_log(req, ASYNC_LOG_NOTICE, "<%s %d>", s->id, rc);

    if (rc != ASYNC_OK && !deadline) {
        return rc;
    }

    if (kind->await == sends || kind->await == sse) {
        return rc;
    }

    snprintf(text, sizeof(text), "%s %d", kind->name, rc);

    return async_text(req, 200, text);
}


/* Holds the thread of the default pool. */

ASYNC_HANDLER(hold)
{
    gate_t  gate;

    snprintf(gate.path, sizeof(gate_t), "%s/gate",
             async_param(req, "dir").data);

    ASYNC_TRY(await_thread(co, NULL, thread_waits, &gate));

    return async_text(req, 200, "held");
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}
