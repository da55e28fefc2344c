/*
 * Kore's handlers.  The KORE_USE_ macros of the build must be those of
 * Debian's kore, as its structures depend on them.
 */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <kore/kore.h>
#include <kore/http.h>
#include <kore/pgsql.h>
#include <kore/seccomp.h>
#include <kore/tasks.h>
#include "../work.h"


/* system calls of the C library that Kore's own filter forbids */
KORE_SECCOMP_FILTER("bench",
    KORE_SYSCALL_ALLOW(clock_nanosleep),
    KORE_SYSCALL_ALLOW(newfstatat),
    KORE_SYSCALL_ALLOW(getrandom),
    KORE_SYSCALL_ALLOW(madvise),
    KORE_SYSCALL_ALLOW(rseq),
    KORE_SYSCALL_ALLOW(clone3),
    KORE_SYSCALL_ALLOW(sched_yield),
    KORE_SYSCALL_ALLOW(sched_getaffinity),
    KORE_SYSCALL_ALLOW(rt_sigprocmask),
    KORE_SYSCALL_ALLOW(futex),

    /* and libpq's */
    KORE_SYSCALL_ALLOW(access),
    KORE_SYSCALL_ALLOW(connect),
    KORE_SYSCALL_ALLOW(getdents64),
    KORE_SYSCALL_ALLOW(geteuid),
    KORE_SYSCALL_ALLOW(getpeername),
    KORE_SYSCALL_ALLOW(getsockname),
    KORE_SYSCALL_ALLOW(getsockopt),
    KORE_SYSCALL_ALLOW(getuid),
    KORE_SYSCALL_ALLOW(ioctl),
    KORE_SYSCALL_ALLOW(lseek),
    KORE_SYSCALL_ALLOW(openat),
    KORE_SYSCALL_ALLOW(poll),
    KORE_SYSCALL_ALLOW(prlimit64),
    KORE_SYSCALL_ALLOW(readlink),
    KORE_SYSCALL_ALLOW(rt_sigaction),
    KORE_SYSCALL_ALLOW(setsockopt),
    KORE_SYSCALL_ALLOW(socket),
    KORE_SYSCALL_ALLOW(statfs),
    KORE_SYSCALL_ALLOW(sysinfo),
    KORE_SYSCALL_ALLOW(uname))


typedef struct {
    struct kore_timer  *timer;
    int                 done;
} nap_t;


typedef struct {
    struct kore_pgsql  sql;
    int                done, wanted;
    int                len;
    char               text[1024];
} rows_t;


int page_json(struct http_request *req);
int page_sleep(struct http_request *req);
int page_cpu(struct http_request *req);
int page_block(struct http_request *req);
int page_noop(struct http_request *req);
int page_row(struct http_request *req);
int page_rows(struct http_request *req);
int page_echo(struct http_request *req);
int page_cast(struct http_request *req);
void echo_message(struct connection *c, u_int8_t op, void *data, size_t len);
void cast_message(struct connection *c, u_int8_t op, void *data, size_t len);


static int
reply(struct http_request *req, const char *text, size_t len)
{
    http_response_header(req, "content-type", "application/json");
    http_response(req, 200, text, len);

    return KORE_RESULT_OK;
}


int
page_json(struct http_request *req)
{
    int   n;
    char  text[64];

    n = snprintf(text, sizeof(text), "{\"message\":\"%s\"}", "Hello, World!");

    return reply(req, text, n);
}


static void
nap_end(void *data, u_int64_t now)
{
    struct http_request  *req = data;
    nap_t                *nap = req->hdlr_extra;

    (void) now;

    nap->done = 1;
    http_request_wakeup(req);
}


static void
nap_free(struct http_request *req)
{
    nap_t  *nap = req->hdlr_extra;

    if (nap != NULL && !nap->done) {
        kore_timer_remove(nap->timer);
    }
}


/* called again after each wake */

int
page_sleep(struct http_request *req)
{
    nap_t  *nap = req->hdlr_extra;

    if (nap == NULL) {
        nap = http_state_create(req, sizeof(nap_t), nap_free);
        nap->timer = kore_timer_add(nap_end, 1000, req, KORE_TIMER_ONESHOT);
    }

    if (!nap->done) {
        http_request_sleep(req);
        return KORE_RESULT_RETRY;
    }

    return reply(req, "{\"ok\":true}", sizeof("{\"ok\":true}") - 1);
}


/* in threads */

static int
task_cpu(struct kore_task *task)
{
    (void) task;

    work_1ms();

    return KORE_RESULT_OK;
}


static int
task_block(struct kore_task *task)
{
    (void) task;

    usleep(10000);

    return KORE_RESULT_OK;
}


static int
task_noop(struct kore_task *task)
{
    (void) task;

    return KORE_RESULT_OK;
}


/* called again when the task has ended */

static int
run(struct http_request *req, int (*entry)(struct kore_task *),
    const char *text)
{
    struct kore_task  *task = req->hdlr_extra;

    if (task == NULL) {
        task = req->hdlr_extra = kore_calloc(1, sizeof(*task));

        kore_task_create(task, entry);
        kore_task_bind_request(task, req);
        kore_task_run(task);

        return KORE_RESULT_RETRY;
    }

    if (kore_task_state(task) != KORE_TASK_STATE_FINISHED) {
        http_request_sleep(req);
        return KORE_RESULT_RETRY;
    }

    kore_task_destroy(task);

    return reply(req, text, strlen(text));
}


int
page_cpu(struct http_request *req)
{
    return run(req, task_cpu, "{\"message\":\"done\"}");
}


int
page_block(struct http_request *req)
{
    return run(req, task_block, "{\"message\":\"done\"}");
}


int
page_noop(struct http_request *req)
{
    return run(req, task_noop, "{\"message\":\"Hello, World!\"}");
}


/*
 * w8: a state machine.  Kore's connections have no prepared statements, and
 * are given back after each query.
 */

enum { ROWS_SETUP, ROWS_QUERY, ROWS_WAIT, ROWS_READ, ROWS_ERROR, ROWS_DONE };


static int
rows_setup(struct http_request *req)
{
    rows_t  *rows = req->hdlr_extra;

    kore_pgsql_init(&rows->sql);
    kore_pgsql_bind_request(&rows->sql, req);

    req->fsm_state = ROWS_QUERY;

    return HTTP_STATE_CONTINUE;
}


static int
rows_query(struct http_request *req)
{
    rows_t   *rows = req->hdlr_extra;
    int32_t  id;

    if (rows->sql.state == KORE_PGSQL_STATE_INIT
        && !kore_pgsql_setup(&rows->sql, "bench", KORE_PGSQL_ASYNC))
    {
        /* wait for a connection */
        if (rows->sql.state == KORE_PGSQL_STATE_INIT) {
            return HTTP_STATE_RETRY;
        }

        req->fsm_state = ROWS_ERROR;
        return HTTP_STATE_CONTINUE;
    }

    id = htonl(1 + random() % 10000);
    req->fsm_state = ROWS_WAIT;

    if (!kore_pgsql_query_params(&rows->sql,
                                 "SELECT id, randomnumber FROM world"
                                 " WHERE id = $1::int4",
                                 0, 1, &id, (int) sizeof(id), 1))
    {
        req->fsm_state = ROWS_ERROR;
        return HTTP_STATE_CONTINUE;
    }

    return HTTP_STATE_RETRY;
}


static int
rows_wait(struct http_request *req)
{
    rows_t  *rows = req->hdlr_extra;

    switch (rows->sql.state) {

    case KORE_PGSQL_STATE_WAIT:
        return HTTP_STATE_RETRY;

    case KORE_PGSQL_STATE_COMPLETE:
        if (rows->done == rows->wanted) {
            req->fsm_state = ROWS_DONE;
            break;
        }

        kore_pgsql_cleanup(&rows->sql);
        req->fsm_state = ROWS_SETUP;
        break;

    case KORE_PGSQL_STATE_RESULT:
        req->fsm_state = ROWS_READ;
        break;

    case KORE_PGSQL_STATE_ERROR:
        req->fsm_state = ROWS_ERROR;
        break;

    default:
        kore_pgsql_continue(&rows->sql);
    }

    return HTTP_STATE_CONTINUE;
}


static int
rows_read(struct http_request *req)
{
    rows_t  *rows = req->hdlr_extra;

    rows->len += snprintf(rows->text + rows->len,
                          sizeof(rows->text) - rows->len,
                          "%s{\"id\":%s,\"randomNumber\":%s}",
                          rows->done ? "," : "",
                          kore_pgsql_getvalue(&rows->sql, 0, 0),
                          kore_pgsql_getvalue(&rows->sql, 0, 1));

    rows->done++;
    req->fsm_state = ROWS_WAIT;
    kore_pgsql_continue(&rows->sql);

    return HTTP_STATE_CONTINUE;
}


static int
rows_error(struct http_request *req)
{
    rows_t  *rows = req->hdlr_extra;

    kore_pgsql_logerror(&rows->sql);
    kore_pgsql_cleanup(&rows->sql);
    http_response(req, 500, NULL, 0);

    return HTTP_STATE_COMPLETE;
}


static int
rows_done(struct http_request *req)
{
    rows_t  *rows = req->hdlr_extra;

    kore_pgsql_cleanup(&rows->sql);

    if (rows->wanted > 1) {
        rows->text[rows->len++] = ']';
    }

    reply(req, rows->text, rows->len);

    return HTTP_STATE_COMPLETE;
}


static struct http_state  rows_states[] = {
    { "setup", rows_setup },
    { "query", rows_query },
    { "wait", rows_wait },
    { "read", rows_read },
    { "error", rows_error },
    { "done", rows_done }
};


static int
select_rows(struct http_request *req, int n)
{
    rows_t      *rows = req->hdlr_extra;
    static int  registered;

    if (!registered) {
        registered = 1;
        kore_pgsql_register("bench", "host=127.0.0.1 port=" PGPORT
                            " user=bench dbname=bench sslmode=disable"
                            " gssencmode=disable");
    }

    if (rows == NULL) {
        rows = http_state_create(req, sizeof(rows_t), NULL);
        rows->done = 0;
        rows->wanted = n;
        rows->len = 0;

        if (n > 1) {
            rows->text[rows->len++] = '[';
        }
    }

    return http_state_run(rows_states, ROWS_DONE + 1, req);
}


int
page_row(struct http_request *req)
{
    return select_rows(req, 1);
}


int
page_rows(struct http_request *req)
{
    return select_rows(req, 20);
}


/* WebSockets: called with each message */

void
echo_message(struct connection *c, u_int8_t op, void *data, size_t len)
{
    kore_websocket_send(c, op, data, len);
}


void
cast_message(struct connection *c, u_int8_t op, void *data, size_t len)
{
    /* not to the one it comes from */
    kore_websocket_broadcast(c, op, data, len, WEBSOCKET_BROADCAST_LOCAL);
    kore_websocket_send(c, op, data, len);
}


int
page_echo(struct http_request *req)
{
    kore_websocket_handshake(req, NULL, "echo_message", NULL);

    return KORE_RESULT_OK;
}


int
page_cast(struct http_request *req)
{
    kore_websocket_handshake(req, NULL, "cast_message", NULL);

    return KORE_RESULT_OK;
}
