
/*
 * Copyright (C) the nginx-async authors
 *
 * async_teardown(), and how it ends: after the response and the background
 * tasks if all went well, before the response otherwise, and in a task of its
 * own when a thread was the last to need what is torn down.
 */

#include <ngx_http_async_teardown.h>
#include <ngx_http_async_given.h>
#include <ngx_http_async_thread.h>


/* when no task can be had */
#define NGX_HTTP_ASYNC_TEARDOWN_AGAIN  100


/* for the thread: its own, as of await_thread() */

typedef struct {
    async_teardown_thread_pt       fn;
    async_rc_t                     outcome;
    ngx_uint_t                     size;
    max_align_t                    arg[];
} ngx_http_async_teardown_job_t;


typedef struct {
    ngx_http_async_background_t   *background;
    ngx_async_defer_t             *defers;
    ngx_async_profile_t           *profile;
    async_rc_t                     outcome;
    void                         (*done)(void *data);
    void                          *data;
    ngx_event_t                    again;
} ngx_http_async_late_t;


typedef struct {
    ngx_async_task_t               task;
    ngx_http_async_late_t         *late;
} ngx_http_async_late_task_t;


static async_req_t *ngx_http_async_teardown_req(async_req_t *req);
static void ngx_http_async_teardown_one(ngx_async_task_t *t,
    ngx_http_async_teardown_t *td, ngx_http_async_background_t *b);
static async_rc_t ngx_http_async_teardown_call(async_t *co, void *arg);
static async_rc_t ngx_http_async_teardown_in_thread(ngx_async_task_t *t,
    ngx_http_async_teardown_t *td, ngx_http_async_background_t *b);
static async_rc_t ngx_http_async_teardown_thread(void *arg);
static void ngx_http_async_late_start(ngx_event_t *ev);
static void ngx_http_async_late_body(ngx_async_task_t *t);
static void ngx_http_async_late_done(ngx_async_task_t *t);


/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t  ngx_http_async_late_no_connection;


async_rc_t
async_teardown_at(async_req_t *req, const char *site, async_teardown_pt fn,
    async_teardown_thread_pt thread, const char *pool, const void *arg,
    size_t size)
{
    ngx_http_async_teardown_t    *td;
    ngx_http_async_background_t  *b;

    ngx_http_async_check(req);

    b = ngx_http_async_background_get(req);
    td = b ? ngx_async_palloc(b->pool, sizeof(ngx_http_async_teardown_t))
           : NULL;

    if (td == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    ngx_memzero(td, sizeof(ngx_http_async_teardown_t));

    td->site = site;
    td->fn = fn;
    td->thread = thread;
    td->pool = pool;

    if (arg) {
        td->size = size;
        td->arg = ngx_async_palloc(b->pool, size);

        if (td->arg == NULL) {
            return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
        }

        ngx_memcpy(td->arg, arg, size);
    }

    td->next = b->teardowns;
    b->teardowns = td;

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_teardown_end(async_req_t *req, async_rc_t rc)
{
    if (req->given && req->given->arena
        && ngx_http_async_arena_end(req->given->arena, req, rc) != NGX_OK)
    {
        return rc;
    }

    if (req->background == NULL) {
        return rc;
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_background_hold(req);

        if (rc == ASYNC_OK) {
            return ASYNC_OK;
        }
    }

    ngx_http_async_teardown_run(&req->task, req->background,
                                ngx_http_async_teardown_req(req), rc);

    ngx_http_async_background_drop(req);

    return rc;
}


/* NULL: there is nobody to be answered, or too late for another answer */

static async_req_t *
ngx_http_async_teardown_req(async_req_t *req)
{
    if (req->out.started) {
        return NULL;
    }

    switch (req->task.cancel) {

    case NGX_ASYNC_CLIENT:
    case NGX_ASYNC_ANSWERED:
    case NGX_ASYNC_PARENT:
        return NULL;

    default:
        return req;
    }
}


void
ngx_http_async_teardown_run(ngx_async_task_t *t,
    ngx_http_async_background_t *b, async_req_t *req, async_rc_t outcome)
{
    u_char                      error[NGX_ASYNC_ERROR_LEN];
    const char                 *await, *site;
    ngx_async_shield_t          shield;
    ngx_http_async_teardown_t  *td;

    static const ngx_async_bound_t  bound = {
        "async_cleanup_timeout", NULL, 0
    };

    if (b->teardowns == NULL) {
        return;
    }

    /* what is told of a failure is what happened before; also to each */

    await = t->await;
    site = t->site;
    ngx_memcpy(error, t->error, NGX_ASYNC_ERROR_LEN);

    ngx_async_shield(t, &shield, ngx_async_cleanup_timeout, &bound);

    while (b->teardowns) {
        td = b->teardowns;
        b->teardowns = td->next;

        td->req = req;
        td->outcome = outcome;

        ngx_http_async_teardown_one(t, td, b);

        ngx_memcpy(t->error, error, NGX_ASYNC_ERROR_LEN);

        if (req && ngx_http_async_teardown_req(req) == NULL) {
            req = NULL;
        }
    }

    ngx_async_unshield(t);

    t->await = await;
    t->site = site;
}


static void
ngx_http_async_teardown_one(ngx_async_task_t *t,
    ngx_http_async_teardown_t *td, ngx_http_async_background_t *b)
{
    async_rc_t             rc;
    const char            *cause;
    ngx_uint_t             answered;
    ngx_http_async_out_t   out;

    if (td->req) {
        out = td->req->out;
        td->req->out.status = 0;
        td->req->out.failed = 0;
    }

    rc = td->thread ? ngx_http_async_teardown_in_thread(t, td, b)
                    : ngx_async_call(t, ngx_http_async_teardown_call, td);

    answered = td->req && td->req->out.status;

    if (answered) {
        /* that is the response, whatever the code */
        td->req->out.failed = 1;

    } else if (td->req) {
        /* header fields that it has set stay */
        out.headers = td->req->out.headers;
        td->req->out = out;
    }

    if (rc == ASYNC_OK || answered) {
        return;
    }

    cause = async_error(t);

    ngx_log_error(NGX_LOG_ERR, t->log, 0,
                  "async teardown of \"%s\", of %s, failed: %s%s%s, after %s "
                  "at %s", t->profile->name, td->site, ngx_async_rc_name(rc),
                  *cause ? ": " : "", cause, t->await ? t->await : "no await",
                  t->site ? t->site : "-");
}


static async_rc_t
ngx_http_async_teardown_call(async_t *co, void *arg)
{
    ngx_http_async_teardown_t  *td = arg;

    return td->fn(co, td->req, td->outcome, td->arg);
}


static async_rc_t
ngx_http_async_teardown_in_thread(ngx_async_task_t *t,
    ngx_http_async_teardown_t *td, ngx_http_async_background_t *b)
{
    size_t                          size;
    ngx_http_async_teardown_job_t  *job;

    size = sizeof(ngx_http_async_teardown_job_t) + td->size;

    job = ngx_async_palloc(b->pool, size);
    if (job == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    job->fn = td->thread;
    job->outcome = td->outcome;
    job->size = td->size;

    if (td->size) {
        ngx_memcpy(job->arg, td->arg, td->size);
    }

    return ngx_http_async_background_thread(t, b, td->site, td->pool,
                                            ngx_http_async_teardown_thread,
                                            job, size);
}


/* In the thread. */

static async_rc_t
ngx_http_async_teardown_thread(void *arg)
{
    ngx_http_async_teardown_job_t  *job = arg;

    return job->fn(job->outcome, job->size ? job->arg : NULL);
}


void
ngx_http_async_teardown_late(ngx_http_async_background_t *b,
    ngx_async_defer_t **defers, ngx_async_profile_t *profile,
    async_rc_t outcome, void (*done)(void *data), void *data)
{
    ngx_http_async_late_t  *late;

    if ((b == NULL || b->teardowns == NULL)
        && (defers == NULL || *defers == NULL))
    {
        late = NULL;

    } else {
        late = ngx_calloc(sizeof(ngx_http_async_late_t), ngx_cycle->log);

        if (late == NULL) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "async \"%s\": no memory for its teardowns, which "
                          "are left out", profile->name);
        }
    }

    if (late == NULL) {
        if (b) {
            ngx_http_async_background_free(b);
        }

        if (done) {
            done(data);
        }

        return;
    }

    late->background = b;
    late->profile = profile;
    late->outcome = outcome;
    late->done = done;
    late->data = data;

    if (defers) {
        late->defers = *defers;
        *defers = NULL;
    }

    late->again.handler = ngx_http_async_late_start;
    late->again.data = &ngx_http_async_late_no_connection;
    late->again.log = ngx_cycle->log;

    ngx_http_async_late_no_connection.fd = (ngx_socket_t) -1;

    ngx_http_async_late_start(&late->again);
}


static void
ngx_http_async_late_start(ngx_event_t *ev)
{
    ngx_http_async_late_t       *late;
    ngx_http_async_late_task_t  *lt;

    late = (ngx_http_async_late_t *)
               ((u_char *) ev - offsetof(ngx_http_async_late_t, again));

    lt = ngx_async_task_create_over(ngx_http_async_late_body,
                                    ngx_http_async_late_done, late->profile,
                                    ngx_cycle->log);
    if (lt == NULL) {
        ngx_add_timer(ev, NGX_HTTP_ASYNC_TEARDOWN_AGAIN);
        return;
    }

    lt->late = late;
    lt->task.defers = late->defers;

    ngx_async_task_ready(&lt->task);
}


/* The cleanups are what every task ends with. */

static void
ngx_http_async_late_body(ngx_async_task_t *t)
{
    ngx_http_async_late_t  *late;

    late = ((ngx_http_async_late_task_t *) t)->late;

    if (late->background) {
        ngx_http_async_teardown_run(t, late->background, NULL, late->outcome);
    }
}


static void
ngx_http_async_late_done(ngx_async_task_t *t)
{
    ngx_http_async_late_t  *late;

    late = ((ngx_http_async_late_task_t *) t)->late;

    if (late->background) {
        ngx_http_async_background_free(late->background);
    }

    if (late->done) {
        late->done(late->data);
    }

    ngx_free(late);
}
