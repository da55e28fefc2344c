
/*
 * Copyright (C) the nginx-async authors
 *
 * Processes that run while the task goes on, see ngx_async.h.
 */

#include <ngx_http_async_process.h>
#include <ngx_async_handle.h>


struct async_process_s {
    ngx_async_handle_t                handle;
    ngx_http_async_running_t          run;        /* process NULL: closed */
};


static void ngx_http_async_process_leave(void *handle);
static async_rc_t ngx_http_async_process_read(ngx_async_task_t *t,
    const char *await, const char *site, async_process_t *p, ngx_uint_t i,
    void *buf, size_t size, size_t *n);
static async_rc_t ngx_http_async_process_closed(ngx_async_task_t *t,
    async_process_t *p, const char *call);


async_rc_t
await_process_open_at(async_t *co, const char *site, async_command_t *command,
    size_t size, async_process_t **process)
{
    async_rc_t        rc;
    async_process_t  *p;

    (void) size;

    *process = NULL;
    ngx_http_async_process_nothing(command);

    rc = ngx_async_enter(co, "await_process_open", site);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_process_wrong(co, command, ASYNC_PROCESS_MERGE
                                          |ASYNC_PROCESS_CHECK
                                          |ASYNC_PROCESS_ERRORS);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (command->input.data) {
        return ngx_async_set_error(co, ASYNC_ERROR, "await_process_open() "
                                   "takes no input: await_process_put() "
                                   "writes it");
    }

    /* before: what runs must have an owner */

    p = ngx_async_handle(co, sizeof(async_process_t),
                         ngx_http_async_process_leave);

    if (p == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    rc = ngx_http_async_process_start(co, command, 1, &p->run);

    if (rc == ASYNC_OK) {
        *process = p;
    }

    return rc;
}


/* Nobody has closed it: also what it has left behind goes. */

static void
ngx_http_async_process_leave(void *handle)
{
    async_process_t  *p = handle;

    if (p->run.process) {
        ngx_async_process_kill(p->run.process);
        ngx_http_async_process_let_go(&p->run);
    }
}


async_rc_t
await_process_put_at(async_t *co, const char *site, async_process_t *p,
    const void *data, size_t len)
{
    ssize_t        n;
    async_rc_t     rc;
    const u_char  *next = data;

    rc = ngx_async_enter(co, "await_process_put", site);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_process_closed(co, p, "await_process_put");
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (p->run.process->pipe[NGX_ASYNC_PROCESS_INPUT].waits) {
        return ngx_async_set_error(co, ASYNC_BUSY, "another task writes to "
                                   "the process");
    }

    while (len) {
        n = ngx_async_process_io(co, p->run.process, NGX_ASYNC_PROCESS_INPUT,
                                 (void *) next, len, &rc);
        if (rc != ASYNC_OK) {
            return rc;
        }

        if (n == -1) {
            return (errno == EPIPE)
                ? ngx_async_set_error(co, ASYNC_CLOSED, "the process does not "
                                      "read any more")
                : ngx_async_set_error(co, ASYNC_ERROR, "writing to the "
                                      "process failed: %s", strerror(errno));
        }

        next += n;
        len -= n;
    }

    return ASYNC_OK;
}


async_rc_t
async_process_eof(async_t *co, async_process_t *p)
{
    async_rc_t  rc;

    ngx_async_check_task(co);

    rc = ngx_http_async_process_closed(co, p, "async_process_eof");

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (p->run.process->pipe[NGX_ASYNC_PROCESS_INPUT].waits) {
        return ngx_async_set_error(co, ASYNC_BUSY, "another task writes to "
                                   "the process");
    }

    ngx_async_process_close_pipe(p->run.process, NGX_ASYNC_PROCESS_INPUT);

    return ASYNC_OK;
}


async_rc_t
await_process_get_at(async_t *co, const char *site, async_process_t *p,
    void *buf, size_t size, size_t *n)
{
    return ngx_http_async_process_read(co, "await_process_get", site, p,
                                       NGX_ASYNC_PROCESS_OUTPUT, buf, size, n);
}


async_rc_t
await_process_get_errors_at(async_t *co, const char *site,
    async_process_t *p, void *buf, size_t size, size_t *n)
{
    return ngx_http_async_process_read(co, "await_process_get_errors", site,
                                       p, NGX_ASYNC_PROCESS_ERRORS, buf, size,
                                       n);
}


static async_rc_t
ngx_http_async_process_read(ngx_async_task_t *t, const char *await,
    const char *site, async_process_t *p, ngx_uint_t i, void *buf,
    size_t size, size_t *n)
{
    ssize_t     rv;
    async_rc_t  rc;

    *n = 0;

    rc = ngx_async_enter(t, await, site);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_process_closed(t, p, await);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (i == NGX_ASYNC_PROCESS_ERRORS && !(p->run.flags & ASYNC_PROCESS_ERRORS))
    {
        return ngx_async_set_error(t, ASYNC_ERROR, "%s() needs the flag "
                                   "ASYNC_PROCESS_ERRORS", await);
    }

    if (p->run.process->pipe[i].waits) {
        return ngx_async_set_error(t, ASYNC_BUSY, "another task reads from "
                                   "the process");
    }

    if (size == 0) {
        return ASYNC_OK;
    }

    rv = ngx_async_process_io(t, p->run.process, i, buf, size, &rc);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (rv == -1) {
        return ngx_async_set_error(t, ASYNC_ERROR, "reading from the process "
                                   "failed: %s", strerror(errno));
    }

    *n = rv;

    return ASYNC_OK;
}


async_rc_t
async_process_signal(async_t *co, async_process_t *p, int signal)
{
    int         err;
    async_rc_t  rc;

    ngx_async_check_task(co);

    rc = ngx_http_async_process_closed(co, p, "async_process_signal");

    if (rc != ASYNC_OK) {
        return rc;
    }

    err = ngx_async_process_signal(p->run.process, signal);

    switch (err) {

    case 0:
        return ASYNC_OK;

    case ESRCH:
        return ngx_async_set_error(co, ASYNC_CLOSED, "the process has ended");

    default:
        return ngx_async_set_error(co, ASYNC_ERROR, "signal %d: %s", signal,
                                   strerror(err));
    }
}


async_rc_t
await_process_close_at(async_t *co, const char *site, async_process_t *p,
    async_command_t *command, size_t size)
{
    async_rc_t            rc;
    ngx_uint_t            i;
    ngx_async_process_t  *process;

    (void) size;

    rc = ngx_http_async_process_closed(co, p, "await_process_close");

    if (rc != ASYNC_OK) {
        return rc;
    }

    process = p->run.process;

    for (i = 0; i < 3; i++) {
        if (process->waits || process->pipe[i].waits) {
            return ngx_async_set_error(co, ASYNC_BUSY, "another task waits "
                                       "for the process");
        }
    }

    ngx_http_async_process_nothing(command);

    rc = ngx_async_enter(co, "await_process_close", site);

    if (rc == ASYNC_OK) {
        ngx_async_process_close_pipe(process, NGX_ASYNC_PROCESS_INPUT);
        ngx_async_process_close_pipe(process, NGX_ASYNC_PROCESS_OUTPUT);

        if (p->run.flags & ASYNC_PROCESS_ERRORS) {
            ngx_async_process_close_pipe(process, NGX_ASYNC_PROCESS_ERRORS);
        }

        return ngx_http_async_process_ending(co, command, &p->run, 0);
    }

    ngx_async_process_end(co, process);
    ngx_http_async_process_let_go(&p->run);

    return rc;
}


static async_rc_t
ngx_http_async_process_closed(ngx_async_task_t *t, async_process_t *p,
    const char *call)
{
    return p->run.process
           ? ASYNC_OK
           : ngx_async_set_error(t, ASYNC_ERROR, "%s() of a process that is "
                                 "closed", call);
}
