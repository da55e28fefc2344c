
/*
 * Copyright (C) the nginx-async authors
 *
 * Runs one task in a process of its own, without listening sockets: what
 * util/async-run stands on.  The value that the task leaves is printed, its
 * code becomes the exit code.
 */

#include <ngx_http_async_run.h>
#include <ngx_http_async_lifecycle.h>
#include <ngx_async_quit.h>


typedef struct {
    ngx_async_task_t      task;
    ngx_http_async_fn_t  *fn;
    char                 *value;       /* a copy: the task may have it */
    async_rc_t            rc;
} ngx_http_async_run_t;


static void ngx_http_async_run_handler(ngx_event_t *ev);
static void ngx_http_async_run_body(ngx_async_task_t *t);
static void ngx_http_async_run_done(ngx_async_task_t *t);


/* the exit code once the task has ended; -1: there is none to run */
static int          ngx_http_async_run_code = -1;

static ngx_event_t  ngx_http_async_run_event;


char *
ngx_http_async_run(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_main_conf_t  *mcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (mcf->run) {
        return "is duplicate";
    }

    mcf->run = ngx_http_async_app_ref(cf, &value[1], ASYNC_KIND_TASK);

    return mcf->run ? NGX_CONF_OK : NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_async_run_start(ngx_cycle_t *cycle, ngx_http_async_main_conf_t *mcf)
{
    if (ngx_process != NGX_PROCESS_SINGLE) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "\"async_run\" needs \"master_process off\"");
        return NGX_OK;
    }

    if (ngx_http_async_run_code != -1) {
        /* a reload */
        return NGX_OK;
    }

    ngx_http_async_run_code = 1;

    /* lines are to be seen when they are printed */
    (void) setvbuf(stdout, NULL, _IOLBF, 0);

    /* a task that ended before the loop runs would leave it waiting */

    ngx_http_async_run_event.handler = ngx_http_async_run_handler;
    ngx_http_async_run_event.data = mcf->run->fn;
    ngx_http_async_run_event.log = cycle->log;

    ngx_post_event(&ngx_http_async_run_event, &ngx_posted_next_events);

    return NGX_OK;
}


static void
ngx_http_async_run_handler(ngx_event_t *ev)
{
    ngx_http_async_fn_t   *fn;
    ngx_http_async_run_t  *run;

    fn = ev->data;

    run = fn->exported ? ngx_async_task_create(ngx_http_async_run_body,
                                               ngx_http_async_run_done,
                                               &fn->profile, ev->log)
                       : NULL;
    if (run == NULL) {
        ngx_terminate = 1;
        return;
    }

    run->fn = fn;

    (void) ngx_async_task_run(&run->task);
}


static void
ngx_http_async_run_body(ngx_async_task_t *t)
{
    const char            *value;
    ngx_http_async_run_t  *run = (ngx_http_async_run_t *) t;

    run->rc = ngx_http_async_lifecycle_wait(t, run->fn);

    if (run->rc == ASYNC_OK) {
        value = NULL;
        run->rc = ngx_async_call(t, run->fn->exported->task, &value);

        if (value) {
            run->value = strdup(value);

            if (run->value == NULL) {
                run->rc = ngx_async_set_error(t, ASYNC_ERROR, "no memory");
            }
        }
    }
}


static void
ngx_http_async_run_done(ngx_async_task_t *t)
{
    const char            *cause;
    ngx_http_async_run_t  *run = (ngx_http_async_run_t *) t;

    if (ngx_async_left && run->rc == ASYNC_CANCELLED) {
        /* Ctrl-C */
        free(run->value);
        return;
    }

    ngx_http_async_run_code = (run->rc == ASYNC_OK) ? 0 : 1;

    if (run->value) {
        printf("%s\n", run->value);
        free(run->value);
    }

    if (run->rc != ASYNC_OK) {
        cause = async_error(t);

        ngx_log_error(NGX_LOG_ERR, t->log, 0,
                      "async task \"%s\" failed: %s%s%s, after %s at %s",
                      t->profile->name, ngx_async_rc_name(run->rc),
                      *cause ? ": " : "", cause,
                      t->await ? t->await : "no await",
                      t->site ? t->site : "-");
    }

    ngx_terminate = 1;
}


void
ngx_http_async_run_exit(void)
{
    if (ngx_http_async_run_code != -1) {
        exit(ngx_http_async_run_code);
    }
}
