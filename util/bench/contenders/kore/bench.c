/*
 * Kore's handlers.  The KORE_USE_ macros of the build must be those of
 * Debian's kore, as its structures depend on them.
 */

#include <stdio.h>
#include <unistd.h>
#include <kore/kore.h>
#include <kore/http.h>
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
    KORE_SYSCALL_ALLOW(futex))


typedef struct {
    struct kore_timer  *timer;
    int                 done;
} nap_t;


int page_json(struct http_request *req);
int page_sleep(struct http_request *req);
int page_cpu(struct http_request *req);
int page_block(struct http_request *req);
int page_noop(struct http_request *req);


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
