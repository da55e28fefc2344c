
/*
 * Copyright (C) the nginx-async authors
 *
 * A process begins: what a command says becomes a job, a thread spawns, and
 * the loop takes over what has been spawned.
 */

#include <ngx_http_async_process.h>
#include <ngx_http_async_thread.h>
#include <dlfcn.h>


#define NGX_HTTP_ASYNC_PROCESS_TITLE  "nginx: async process "


/* dir, file, argv, env: then the strings */

typedef struct {
    ngx_async_spawn_t                 spawn;
    ngx_async_process_t              *process;
    char                             *pointers[];
} ngx_http_async_process_job_t;


/* where copies of strings go; without a place they are only counted */

typedef struct {
    char                            **pointer;
    char                             *text;
    size_t                            n;
    size_t                            len;
} ngx_http_async_process_copy_t;


static ngx_http_async_process_job_t *ngx_http_async_process_job(
    ngx_async_task_t *t, const async_command_t *command, ngx_uint_t pieces,
    ngx_http_async_fn_t *fn, ngx_uint_t index);
static size_t ngx_http_async_process_strings(
    ngx_http_async_process_copy_t *copy, const async_command_t *command,
    ngx_http_async_fn_t *fn, ngx_uint_t index);
static void ngx_http_async_process_env(ngx_http_async_process_copy_t *copy,
    const char *const *env, ngx_uint_t index);
static void ngx_http_async_process_add(ngx_http_async_process_copy_t *copy,
    const char *a, const char *b, const char *c, const char *d);
static async_rc_t ngx_http_async_process_give(ngx_async_task_t *t,
    ngx_http_async_fn_t *fn, ngx_http_async_process_job_t *job,
    ngx_http_async_running_t *run);
static async_rc_t ngx_http_async_process_spawn(ngx_async_task_t *t,
    ngx_http_async_process_job_t *job, ngx_http_async_running_t *run);
static void ngx_http_async_process_run(void *data);
static void ngx_http_async_process_drop(void *data);
static async_rc_t ngx_http_async_process_not_started(ngx_async_task_t *t,
    ngx_async_spawn_t *s, ngx_http_async_running_t *run);
static size_t ngx_http_async_process_shown(const char *text);


async_rc_t
ngx_http_async_process_wrong(ngx_async_task_t *t,
    const async_command_t *command, unsigned flags)
{
    ngx_async_bound_t  bound;

    if (command->fn ? command->argv != NULL
                    : (command->argv == NULL || command->argv[0] == NULL))
    {
        return ngx_async_set_error(t, ASYNC_ERROR, "%s() needs either argv or "
                                   "fn", t->await);
    }

    if (command->flags & ~flags) {
        return ngx_async_set_error(t, ASYNC_ERROR, "%s() does not take the "
                                   "flags %ui", t->await,
                                   (ngx_uint_t) (command->flags & ~flags));
    }

    if (!ngx_async_is_time(command->grace)) {
        bound.what = "the grace of a process";
        bound.site = t->site;
        bound.ms = command->grace;

        return ngx_async_refuse_time(t, &bound);
    }

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_process_start(ngx_async_task_t *t, async_command_t *command,
    ngx_uint_t pieces, ngx_http_async_running_t *run)
{
    async_rc_t                     rc;
    ngx_uint_t                     index;
    const char                    *name;
    ngx_http_async_fn_t           *fn;
    ngx_http_async_process_job_t  *job;

    index = 0;
    fn = command->fn ? ngx_http_async_process_find(command->fn, &index) : NULL;

    if (command->fn && fn == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the function is not "
                                   "declared with ASYNC_PROCESS()");
    }

    job = ngx_http_async_process_job(t, command, pieces, fn, index);

    if (job == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    ngx_memzero(run, sizeof(ngx_http_async_running_t));

    run->arg = command->arg;
    run->arg_size = command->arg ? command->arg_size : 0;
    run->max = command->max ? command->max : NGX_HTTP_ASYNC_PROCESS_MAX;
    run->flags = command->flags;

    name = fn ? (char *) fn->name.data : command->argv[0];
    run->name_len = ngx_http_async_process_shown(name);
    ngx_memcpy(run->name, name, run->name_len);

    rc = fn ? ngx_http_async_process_give(t, fn, job, run) : ASYNC_OK;

    if (rc != ASYNC_OK) {
        ngx_http_async_process_drop(job);
        ngx_async_thread_free(job);
        return rc;
    }

    rc = ngx_http_async_process_spawn(t, job, run);

    if (rc != ASYNC_OK) {
        ngx_http_async_process_let_go(run);
        return rc;
    }

    if (!(command->flags & ASYNC_PROCESS_ERRORS)) {
        ngx_async_process_collect(run->process, NGX_ASYNC_PROCESS_ERRORS,
                                  NGX_ASYNC_PIPE_CUT, run->max);
    }

    return ASYNC_OK;
}


/* How much of a text there is room for in a message. */

static size_t
ngx_http_async_process_shown(const char *text)
{
    return ngx_async_whole((u_char *) text,
                           strnlen(text, NGX_HTTP_ASYNC_PROCESS_SHOWN));
}


static ngx_http_async_process_job_t *
ngx_http_async_process_job(ngx_async_task_t *t,
    const async_command_t *command, ngx_uint_t pieces, ngx_http_async_fn_t *fn,
    ngx_uint_t index)
{
    size_t                          env;
    ngx_http_async_process_job_t   *job;
    ngx_http_async_process_copy_t   copy;

    ngx_memzero(&copy, sizeof(ngx_http_async_process_copy_t));

    (void) ngx_http_async_process_strings(&copy, command, fn, index);

    job = ngx_async_thread_job(sizeof(ngx_http_async_process_job_t)
                               + copy.n * sizeof(char *) + copy.len,
                               ngx_http_async_process_run,
                               ngx_http_async_process_drop, t->profile,
                               t->log);
    if (job == NULL) {
        return NULL;
    }

    ngx_async_spawn_init(&job->spawn);

    job->process = ngx_async_process_new(&job->spawn, t->log);

    if (job->process == NULL) {
        ngx_async_thread_free(job);
        return NULL;
    }

    job->process->grace = (ngx_msec_t) command->grace;

    copy.pointer = job->pointers;
    copy.text = (char *) (job->pointers + copy.n);
    copy.n = 0;

    env = ngx_http_async_process_strings(&copy, command, fn, index);

    job->spawn.dir = job->pointers[0];
    job->spawn.file = job->pointers[1];
    job->spawn.argv = &job->pointers[2];
    job->spawn.env = env ? &job->pointers[env] : NULL;

    job->spawn.input = (pieces || command->input.len != 0);
    job->spawn.merge = (command->flags & ASYNC_PROCESS_MERGE) ? 1 : 0;
    job->spawn.log = (command->flags & NGX_HTTP_ASYNC_PROCESS_TO_LOG) ? 1 : 0;

    return job;
}


/*
 * Directory, file, arguments, variables.  Gives the index of these; zero:
 * those of this process will do.
 */

static size_t
ngx_http_async_process_strings(ngx_http_async_process_copy_t *copy,
    const async_command_t *command, ngx_http_async_fn_t *fn, ngx_uint_t index)
{
    size_t              start;
    const char         *dir;
    const char *const  *s;

    dir = command->dir;

    ngx_http_async_process_add(copy, dir && dir[0] != '/'
                               ? ngx_http_async_process_prefix : "",
                               dir, "", "");

    if (fn) {
        /* without its module nginx tells its version, and ends */

        ngx_http_async_process_add(copy, "/proc/self/exe", "", "", "");
        ngx_http_async_process_add(copy, NGX_HTTP_ASYNC_PROCESS_TITLE,
                                   (char *) fn->name.data, "", "");
        ngx_http_async_process_add(copy, "-V", "", "", "");

    } else {
        ngx_http_async_process_add(copy, command->argv[0], "", "", "");

        for (s = command->argv; *s; s++) {
            ngx_http_async_process_add(copy, *s, "", "", "");
        }
    }

    ngx_http_async_process_add(copy, NULL, NULL, NULL, NULL);

    if (fn == NULL && command->env == NULL) {
        return 0;
    }

    start = copy->n;

    if (fn) {
        ngx_http_async_process_env(copy, command->env ? command->env
                                   : (const char *const *) environ, index);

    } else {
        for (s = command->env; *s; s++) {
            ngx_http_async_process_add(copy, *s, "", "", "");
        }
    }

    ngx_http_async_process_add(copy, NULL, NULL, NULL, NULL);

    return start;
}


/* The variables, and what makes it a process of this module. */

static void
ngx_http_async_process_env(ngx_http_async_process_copy_t *copy,
    const char *const *env, ngx_uint_t index)
{
    char         number[NGX_INT_T_LEN + 1];
    void        *asan;
    Dl_info      info;
    const char  *first, *others;

    static const char  preload[] = "LD_PRELOAD=";

    first = "";
    others = "";

    for ( /* void */ ; *env; env++) {

        if (ngx_strncmp(*env, preload, sizeof(preload) - 1) == 0) {
            others = *env + sizeof(preload) - 1;
            continue;
        }

        ngx_http_async_process_add(copy, *env, "", "", "");
    }

    /* AddressSanitizer insists on being the first one */

    asan = dlsym(RTLD_DEFAULT, "__asan_init");

    if (asan && dladdr(asan, &info) != 0) {
        first = info.dli_fname;
    }

    if (ngx_http_async_process_module != -1) {
        ngx_http_async_process_add(copy, preload, first, ":/proc/self/fd/5:",
                                   others);
    }

    ngx_sprintf((u_char *) number, "%ui%Z", index);

    ngx_http_async_process_add(copy, NGX_HTTP_ASYNC_PROCESS_ENV "=", number,
                               "", "");
}


/* The four of them as one string; of which NULL makes none. */

static void
ngx_http_async_process_add(ngx_http_async_process_copy_t *copy,
    const char *a, const char *b, const char *c, const char *d)
{
    char    *p;
    size_t   len;

    if (a == NULL || b == NULL) {

        if (copy->pointer) {
            copy->pointer[copy->n] = NULL;
        }

        copy->n++;
        return;
    }

    len = ngx_strlen(a) + ngx_strlen(b) + ngx_strlen(c) + ngx_strlen(d) + 1;

    if (copy->pointer) {
        copy->pointer[copy->n] = copy->text;

        p = stpcpy(stpcpy(copy->text, a), b);
        (void) stpcpy(stpcpy(p, c), d);

        copy->text += len;
    }

    copy->n++;
    copy->len += len;
}


/* What a function needs: its record, its app, this module. */

static async_rc_t
ngx_http_async_process_give(ngx_async_task_t *t, ngx_http_async_fn_t *fn,
    ngx_http_async_process_job_t *job, ngx_http_async_running_t *run)
{
    int         *given;
    ngx_err_t    err;

    given = job->spawn.given;

    run->record = ngx_http_async_process_record(run->arg, run->arg_size,
                                                &given[0]);

    /* a configuration that goes takes the copy of its app along */

    if (run->record) {
        given[1] = fcntl(fn->app->fd, F_DUPFD_CLOEXEC, 3);

        given[2] = (ngx_http_async_process_module == -1)
                   ? open("/dev/null", O_RDONLY|O_CLOEXEC)
                   : fcntl(ngx_http_async_process_module, F_DUPFD_CLOEXEC, 3);

        if (given[1] != -1 && given[2] != -1) {
            return ASYNC_OK;
        }
    }

    err = ngx_errno;
    ngx_http_async_process_let_go(run);

    return ngx_async_set_error(t, ASYNC_ERROR, "no process for \"%V\": %s",
                               &fn->name, strerror(err));
}


static async_rc_t
ngx_http_async_process_spawn(ngx_async_task_t *t,
    ngx_http_async_process_job_t *job, ngx_http_async_running_t *run)
{
    async_rc_t                rc;
    ngx_async_thread_pool_t  *pool;

    pool = ngx_http_async_thread_find(t, NULL);

    if (pool == NULL) {
        ngx_http_async_process_drop(job);
        ngx_async_thread_free(job);
        return ngx_async_set_error(t, ASYNC_ERROR, "there is no thread pool");
    }

    rc = ngx_async_thread_await(t, pool, job);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (job->spawn.pid == -1) {
        rc = ngx_http_async_process_not_started(t, &job->spawn, run);
        ngx_http_async_process_drop(job);

    } else if (ngx_async_process_adopt(job->process, &job->spawn) != NGX_OK) {
        rc = ngx_async_set_error(t, ASYNC_ERROR, "worker_connections are not "
                                 "enough: a process takes up to four");

    } else {
        run->process = job->process;
    }

    ngx_async_spawn_close(&job->spawn);
    ngx_async_thread_free(job);

    return rc;
}


/* In the thread. */

static void
ngx_http_async_process_run(void *data)
{
    ngx_http_async_process_job_t  *job = data;

    if (!ngx_async_thread_abandoned(job)) {
        ngx_async_spawn(&job->spawn);
    }
}


/* Nobody wants it; on the loop. */

static void
ngx_http_async_process_drop(void *data)
{
    ngx_http_async_process_job_t  *job = data;

    if (job->spawn.pid == -1
        || ngx_async_process_adopt(job->process, &job->spawn) == NGX_OK)
    {
        ngx_async_process_release(job->process);
    }

    ngx_async_spawn_close(&job->spawn);
}


static async_rc_t
ngx_http_async_process_not_started(ngx_async_task_t *t, ngx_async_spawn_t *s,
    ngx_http_async_running_t *run)
{
    const char  *hint;

    ngx_async_stats_count(ngx_async_process_stats, NGX_ASYNC_PROCESS_FAILED);

    if (s->no_dir) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the directory \"%*s\": %s",
                                   ngx_http_async_process_shown(s->dir),
                                   s->dir, strerror(s->err));
    }

    hint = (s->err == ENOENT && strchr(s->file, '/') == NULL)
           ? " (nor in PATH)" : "";

    return ngx_async_set_error(t, ASYNC_ERROR, "\"%*s\" cannot be started: "
                               "%s%s", run->name_len, run->name,
                               strerror(s->err), hint);
}
