/*
 * Kore's handlers.  The KORE_USE_ macros of the build must be those of
 * Debian's kore, as its structures depend on them.
 */

#include <stdio.h>
#include <kore/kore.h>
#include <kore/http.h>
#include <kore/seccomp.h>


/* system calls of the C library that Kore's own filter forbids */
KORE_SECCOMP_FILTER("bench",
    KORE_SYSCALL_ALLOW(clock_nanosleep),
    KORE_SYSCALL_ALLOW(newfstatat),
    KORE_SYSCALL_ALLOW(getrandom),
    KORE_SYSCALL_ALLOW(madvise),
    KORE_SYSCALL_ALLOW(rseq),
    KORE_SYSCALL_ALLOW(futex))


typedef struct {
    struct kore_timer  *timer;
    int                 done;
} nap_t;


int page_json(struct http_request *req);
int page_sleep(struct http_request *req);


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
