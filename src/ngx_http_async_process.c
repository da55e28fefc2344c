
/*
 * Copyright (C) the nginx-async authors
 *
 * Processes, awaited, see ngx_async.h: what has come of one goes into the
 * command.
 */

#include <ngx_http_async_process.h>
#include <sys/mman.h>


/* so much of what a function prints goes to the log */
#define NGX_HTTP_ASYNC_PROCESS_LOGGED  4096


static async_rc_t ngx_http_async_process_result(ngx_async_task_t *t,
    async_command_t *command, ngx_http_async_running_t *run);
static async_rc_t ngx_http_async_process_take(ngx_async_task_t *t,
    ngx_async_pipe_t *pipe, async_str_t *text);
static async_rc_t ngx_http_async_process_returned(ngx_async_task_t *t,
    async_command_t *command, ngx_http_async_running_t *run);
static async_rc_t ngx_http_async_process_how(ngx_async_task_t *t,
    async_command_t *command, ngx_http_async_running_t *run,
    const char *when);
static void ngx_http_async_process_log(ngx_async_task_t *t,
    ngx_http_async_running_t *run);


async_rc_t
await_process_at(async_t *co, const char *site, async_command_t *command,
    size_t size)
{
    async_rc_t                    rc;
    ngx_http_async_running_t  run;

    (void) size;

    ngx_http_async_process_nothing(command);

    rc = ngx_async_enter(co, "await_process", site);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_process_wrong(co, command, ASYNC_PROCESS_MERGE
                                          |ASYNC_PROCESS_CHECK);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_process_start(co, command, 0, &run);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_async_process_collect(run.process, NGX_ASYNC_PROCESS_OUTPUT,
                              NGX_ASYNC_PIPE_COLLECT, run.max);
    ngx_async_process_feed(run.process, command->input.data,
                           command->input.len);

    return ngx_http_async_process_ending(co, command, &run, 1);
}


async_rc_t
await_process_call_at(async_t *co, const char *site, async_thread_pt fn,
    void *arg, size_t size)
{
    async_rc_t                    rc;
    async_command_t               command;
    ngx_http_async_running_t  run;

    rc = ngx_async_enter(co, "await_process_call", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_memzero(&command, sizeof(async_command_t));

    command.fn = fn;
    command.arg = arg;
    command.arg_size = arg ? size : 0;
    command.max = NGX_HTTP_ASYNC_PROCESS_LOGGED;
    command.flags = NGX_HTTP_ASYNC_PROCESS_TO_LOG;

    rc = ngx_http_async_process_start(co, &command, 0, &run);

    return (rc == ASYNC_OK)
           ? ngx_http_async_process_ending(co, &command, &run, 1) : rc;
}


/* Waits for it, and lets go of it. */

async_rc_t
ngx_http_async_process_ending(ngx_async_task_t *t, async_command_t *command,
    ngx_http_async_running_t *run, ngx_uint_t collected)
{
    async_rc_t            rc;
    ngx_async_process_t  *p;

    p = run->process;

    rc = ngx_async_process_wait(t, p, collected);

    if (rc != ASYNC_OK || p->overflow || p->no_memory) {
        ngx_async_process_end(t, p);
    }

    if (run->flags & NGX_HTTP_ASYNC_PROCESS_TO_LOG) {
        ngx_http_async_process_log(t, run);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_process_result(t, command, run);
    }

    ngx_http_async_process_let_go(run);

    return rc;
}


static async_rc_t
ngx_http_async_process_result(ngx_async_task_t *t, async_command_t *command,
    ngx_http_async_running_t *run)
{
    async_rc_t            rc;
    ngx_async_process_t  *p;

    p = run->process;

    if (p->no_memory) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    command->status = p->status;
    command->signal = p->signal;

    rc = ngx_http_async_process_take(t, &p->pipe[NGX_ASYNC_PROCESS_OUTPUT],
                                     &command->output);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_process_take(t,
                                         &p->pipe[NGX_ASYNC_PROCESS_ERRORS],
                                         &command->errors);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (p->overflow) {
        return ngx_async_set_error(t, ASYNC_ERROR, "\"%*s\" wrote more than "
                                   "%uz bytes", run->name_len, run->name,
                                   run->max);
    }

    if (p->lost) {
        return ngx_async_set_error(t, ASYNC_ERROR, "a wait() of the app has "
                                   "taken the status of \"%*s\"",
                                   run->name_len, run->name);
    }

    if (run->record) {
        return ngx_http_async_process_returned(t, command, run);
    }

    return ((run->flags & ASYNC_PROCESS_CHECK) && command->status != 0)
           ? ngx_http_async_process_how(t, command, run, "") : ASYNC_OK;
}


void
ngx_http_async_process_nothing(async_command_t *command)
{
    command->status = -1;
    command->signal = 0;
    command->output.data = "";
    command->output.len = 0;
    command->errors = command->output;
}


/* What has been collected becomes memory of the task. */

static async_rc_t
ngx_http_async_process_take(ngx_async_task_t *t, ngx_async_pipe_t *pipe,
    async_str_t *text)
{
    u_char              *data;
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *cln;

    if (pipe->len == 0) {
        return ASYNC_OK;
    }

    pool = ngx_async_task_pool(t);
    cln = pool ? ngx_pool_cleanup_add(pool, 0) : NULL;

    if (cln == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    /* it has grown by doubling */

    data = realloc(pipe->data, pipe->len + 1);

    if (data) {
        pipe->data = data;
    }

    pipe->data[pipe->len] = '\0';

    text->data = (char *) pipe->data;
    text->len = pipe->len;

    cln->handler = free;
    cln->data = pipe->data;
    pipe->data = NULL;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_process_returned(ngx_async_task_t *t,
    async_command_t *command, ngx_http_async_running_t *run)
{
    ngx_http_async_process_record_t  *r;

    r = run->record;

    switch (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE)) {

    case NGX_HTTP_ASYNC_PROCESS_RETURNED:
        break;

    case NGX_HTTP_ASYNC_PROCESS_FAILED:
        return ngx_async_set_error(t, ASYNC_ERROR, "\"%*s\" did not begin: "
                                   "%*s", run->name_len, run->name,
                                   strnlen((char *) r->error,
                                           NGX_ASYNC_ERROR_LEN), r->error);

    case NGX_HTTP_ASYNC_PROCESS_BEGUN:
        return ngx_http_async_process_how(t, command, run,
                                          " before it returned");

    default:

        if (command->status == 0) {
            /* nginx itself has run, see ngx_http_async_process_start.c */

            return ngx_async_set_error(t, ASYNC_ERROR, "\"%*s\" did not "
                                       "begin: has the binary of nginx set-id "
                                       "bits or file capabilities?",
                                       run->name_len, run->name);
        }

        return ngx_http_async_process_how(t, command, run,
                                          " before it began");
    }

    if (run->arg_size) {
        ngx_memcpy(run->arg, r->arg, run->arg_size);
    }

    if (r->rc != ASYNC_OK) {
        return ngx_async_set_error(t, r->rc, "%*s",
                                   strnlen((char *) r->error,
                                           NGX_ASYNC_ERROR_LEN), r->error);
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_process_how(ngx_async_task_t *t, async_command_t *command,
    ngx_http_async_running_t *run, const char *when)
{
    u_char       how[64];
    const char  *line, *end, *last;

    if (command->signal) {
        *ngx_snprintf(how, sizeof(how) - 1, "was killed by signal %d (%s)",
                      command->signal, strsignal(command->signal)) = '\0';
    } else {
        *ngx_snprintf(how, sizeof(how) - 1, "exited with status %d",
                      command->status) = '\0';
    }

    /* its last line is mostly the one that says why */

    last = command->errors.data;
    end = last + command->errors.len;

    while (end > last && (end[-1] == '\n' || end[-1] == '\r')) {
        end--;
    }

    for (line = end; line > last && line[-1] != '\n'; line--) {
        /* void */
    }

    return ngx_async_set_error(t, ASYNC_ERROR, "\"%*s\" %s%s%s%*s",
                               run->name_len, run->name, how, when,
                               end > line ? ": " : "", (size_t) (end - line),
                               line);
}


/* What a function has printed. */

static void
ngx_http_async_process_log(ngx_async_task_t *t, ngx_http_async_running_t *run)
{
    u_char            *p, *end, *last;
    ngx_async_pipe_t  *pipe;

    pipe = &run->process->pipe[NGX_ASYNC_PROCESS_ERRORS];
    last = pipe->data + pipe->len;

    for (p = pipe->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '\n');

        if (end == NULL) {
            end = last;
        }

        if (end > p) {
            async_task_log(t, ASYNC_LOG_NOTICE, "process %d of \"%.*s\": %.*s",
                           (int) run->process->pid, (int) run->name_len,
                           run->name, (int) (end - p), p);
        }
    }
}


void
ngx_http_async_process_let_go(ngx_http_async_running_t *run)
{
    if (run->process) {
        ngx_async_process_release(run->process);
        run->process = NULL;
    }

    if (run->record) {
        (void) munmap(run->record, sizeof(ngx_http_async_process_record_t)
                                   + run->arg_size);
        run->record = NULL;
    }
}
