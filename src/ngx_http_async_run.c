
/*
 * Copyright (C) the nginx-async authors
 *
 * Runs one task in a process of its own, without listening sockets: what
 * util/async-run stands on.  The value that the task leaves is printed, its
 * code becomes the exit code.
 */

#include <ngx_http_async_run.h>


typedef struct {
    ngx_async_task_t      task;
    ngx_http_async_fn_t  *fn;
    const char           *value;
    async_rc_t            rc;
} ngx_http_async_run_t;


static void ngx_http_async_run_body(ngx_async_task_t *t);
static void ngx_http_async_run_done(ngx_async_task_t *t);


/* the exit code once the task has ended */
static int  ngx_http_async_run_code = -1;


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
    ngx_http_async_fn_t   *fn;
    ngx_http_async_run_t  *run;

    fn = mcf->run->fn;

    if (ngx_process != NGX_PROCESS_SINGLE) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "\"async_run\" needs \"master_process off\"");
        return NGX_OK;
    }

    ngx_http_async_run_code = 1;

    run = fn->exported ? ngx_async_task_create(ngx_http_async_run_body,
                                               ngx_http_async_run_done,
                                               &fn->profile, cycle->log)
                       : NULL;
    if (run == NULL) {
        ngx_terminate = 1;
        return NGX_OK;
    }

    /* lines are to be seen when they are printed */
    (void) setvbuf(stdout, NULL, _IOLBF, 0);

    run->fn = fn;

    (void) ngx_async_task_run(&run->task);

    return NGX_OK;
}


static void
ngx_http_async_run_body(ngx_async_task_t *t)
{
    ngx_http_async_run_t  *run = (ngx_http_async_run_t *) t;

    run->rc = run->fn->exported->task(t, &run->value);
}


static void
ngx_http_async_run_done(ngx_async_task_t *t)
{
    const char            *cause;
    ngx_http_async_run_t  *run = (ngx_http_async_run_t *) t;

    ngx_http_async_run_code = (run->rc == ASYNC_OK) ? 0 : 1;

    if (run->value) {
        printf("%s\n", run->value);
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
