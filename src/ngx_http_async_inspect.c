
/*
 * Copyright (C) the nginx-async authors
 *
 * Loading an app runs its constructors, so the master process never does it:
 * a child with the rights of a worker loads it and tells through a pipe, a
 * line an export ("1 hello notes.c:12") and behind it lines of what that needs
 * of a route, then "." or "!" and what is wrong.
 */

#include <ngx_http_async_inspect.h>
#include <ngx_http_async_depends.h>
#include <ngx_http_async_plan.h>
#include <ngx_http_async_schema.h>
#include <dlfcn.h>
#include <poll.h>
#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>


/* for constructors that hang */
#define NGX_HTTP_ASYNC_INSPECT_TIME  10000

#define NGX_HTTP_ASYNC_INSPECT_SIZE  (1024 * 1024)


static ngx_int_t ngx_http_async_inspect_child(ngx_conf_t *cf,
    ngx_http_async_app_t *app, ngx_str_t *told);
static ngx_int_t ngx_http_async_inspect_read(int fd, ngx_str_t *told);
static void ngx_http_async_inspect_main(ngx_cycle_t *cycle, int app, int out);
static ngx_int_t ngx_http_async_inspect_models(const async_app_t *app,
    ngx_log_t *log, u_char *error);
static ngx_int_t ngx_http_async_inspect_declared(
    const async_export_t *exported, u_char *error);
static const char *ngx_http_async_inspect_user(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_async_inspect_told(ngx_conf_t *cf,
    ngx_http_async_app_t *app, ngx_str_t *told);
static ngx_int_t ngx_http_async_inspect_fn(ngx_conf_t *cf,
    ngx_http_async_app_t *app, u_char *line, u_char *end);
static ngx_int_t ngx_http_async_inspect_type(ngx_conf_t *cf,
    ngx_http_async_app_t *app, u_char *line, u_char *end);
static void ngx_http_async_inspect_failed(ngx_conf_t *cf,
    ngx_http_async_app_t *app, const char *why);
static void ngx_http_async_why_undefined(char *why, const char *error);


const char *
ngx_http_async_kind_name(ngx_int_t kind)
{
    switch (kind) {

    case ASYNC_KIND_HANDLER:
    case NGX_HTTP_ASYNC_KIND_WS:
        return "handler";

    case ASYNC_KIND_TASK:
        return "task";

    case ASYNC_KIND_BLOCKING:
        return "blocking handler";

    case ASYNC_KIND_STARTUP:
        return "startup";

    case ASYNC_KIND_SHUTDOWN:
        return "shutdown";

    case ASYNC_KIND_PERIODIC:
        return "periodic function";

    case ASYNC_KIND_PROCESS:
        return "process";

    case ASYNC_KIND_DEPENDENCY:
        return "dependency";

    case ASYNC_KIND_BLOCKING_DEPENDENCY:
        return "blocking dependency";

    case NGX_HTTP_ASYNC_KIND_TEXT:
        return "dependency";

    case NGX_HTTP_ASYNC_KIND_GUARD:
        return "handler or dependency";

    default:
        return "function of a kind that this module does not know";
    }
}


ngx_int_t
ngx_http_async_inspect(ngx_conf_t *cf, ngx_http_async_app_t *app)
{
    ngx_str_t  told;

    told.len = 0;
    told.data = ngx_palloc(cf->temp_pool, NGX_HTTP_ASYNC_INSPECT_SIZE);

    if (told.data == NULL
        || ngx_array_init(&app->fns, cf->pool, 8, sizeof(ngx_http_async_fn_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_async_inspect_child(cf, app, &told) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_async_inspect_told(cf, app, &told);
}


static ngx_int_t
ngx_http_async_inspect_child(ngx_conf_t *cf, ngx_http_async_app_t *app,
    ngx_str_t *told)
{
    int        fds[2], status;
    char       why[64];
    pid_t      pid;
    sigset_t   set, saved;
    ngx_int_t  rc;

    if (pipe2(fds, O_CLOEXEC) == -1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno, "pipe2() failed");
        return NGX_ERROR;
    }

    /* a process without a master reads its configuration with signals open,
     * and nginx's handler of SIGCHLD waits for every child */

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    (void) sigprocmask(SIG_BLOCK, &set, &saved);

    pid = fork();

    if (pid == -1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno, "fork() failed");
        (void) sigprocmask(SIG_SETMASK, &saved, NULL);
        (void) close(fds[0]);
        (void) close(fds[1]);
        return NGX_ERROR;
    }

    if (pid == 0) {
        (void) close(fds[0]);
        ngx_http_async_inspect_main(cf->cycle, app->fd, fds[1]);
        _exit(0);
    }

    (void) close(fds[1]);

    rc = ngx_http_async_inspect_read(fds[0], told);

    (void) close(fds[0]);

    if (rc != NGX_OK) {
        (void) kill(pid, SIGKILL);
    }

    status = 0;

    while (waitpid(pid, &status, 0) == -1 && ngx_errno == NGX_EINTR) {
        /* void */
    }

    (void) sigprocmask(SIG_SETMASK, &saved, NULL);

    if (rc != NGX_OK) {
        ngx_http_async_inspect_failed(cf, app, (rc == NGX_AGAIN)
                               ? "its constructors do not return"
                               : "it exports too much");
        return NGX_ERROR;
    }

    if (WIFSIGNALED(status)) {
        ngx_sprintf((u_char *) why, "loading it ends by signal %d%Z",
                    WTERMSIG(status));
        ngx_http_async_inspect_failed(cf, app, why);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NGX_AGAIN: it takes too long; NGX_DECLINED: it is too much */

static ngx_int_t
ngx_http_async_inspect_read(int fd, ngx_str_t *told)
{
    ssize_t        n;
    struct pollfd  pfd;

    pfd.fd = fd;
    pfd.events = POLLIN;

    for ( ;; ) {
        n = poll(&pfd, 1, NGX_HTTP_ASYNC_INSPECT_TIME);

        if (n == 0) {
            return NGX_AGAIN;
        }

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return NGX_DECLINED;
        }

        if (told->len == NGX_HTTP_ASYNC_INSPECT_SIZE) {
            return NGX_DECLINED;
        }

        n = read(fd, told->data + told->len,
                 NGX_HTTP_ASYNC_INSPECT_SIZE - told->len);

        if (n == 0) {
            return NGX_OK;
        }

        if (n > 0) {
            told->len += n;
        }
    }
}


static void
ngx_http_async_inspect_main(ngx_cycle_t *cycle, int fd, int out)
{
    void                         *loaded;
    char                          why[NGX_HTTP_ASYNC_WHY_LEN];
    const char                   *wrong;
    ngx_pool_t                   *pool;
    const async_app_t            *app;
    u_char                        error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];
    u_char                        wrong_plan[NGX_HTTP_ASYNC_PLAN_ERROR_LEN];

    wrong = ngx_http_async_inspect_user(cycle);

    if (wrong) {
        dprintf(out, "!%s\n", wrong);
        return;
    }

    app = ngx_http_async_open_app(fd, &loaded, why);

    if (app == NULL) {
        dprintf(out, "!%s\n", why);
        return;
    }

    /* goes with the process */

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, cycle->log);

    if (pool == NULL
        || ngx_http_async_depends_inspect(app, out, pool, wrong_plan)
           != NGX_OK)
    {
        dprintf(out, "!%s\n", pool ? (char *) wrong_plan : "no memory");
        return;
    }

    /* apps of before there were models tell so by their size */

    if (app->size < sizeof(async_app_t)) {
        dprintf(out, ".\n");
        return;
    }

    if (ngx_http_async_inspect_models(app, cycle->log, error) != NGX_OK) {
        dprintf(out, "!%s\n", error);
        return;
    }

    dprintf(out, ".\n");
}


static ngx_int_t
ngx_http_async_inspect_models(const async_app_t *app, ngx_log_t *log,
    u_char *error)
{
    ngx_int_t                     rc;
    ngx_pool_t                   *pool;
    const async_model_t *const   *model;
    const async_export_t *const  *exported;

    for (model = app->models; model < app->models_end; model++) {
        if (ngx_http_async_model_check(*model, error) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    ngx_sprintf(error, "no memory%Z");

    /* goes with the process */

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    for (model = app->models; model < app->models_end; model++) {

        rc = ngx_http_async_schema_make(*model, pool, error);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (exported = app->exports; exported < app->exports_end; exported++) {
        if (ngx_http_async_inspect_declared(*exported, error) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_inspect_declared(const async_export_t *exported, u_char *error)
{
    const async_attribute_t  *a;

    a = ngx_http_async_attributes(exported);

    if (a == NULL) {
        return NGX_OK;
    }

    for ( /* void */ ; a->kind != ASYNC_ATTRIBUTE_NONE; a++) {

        if ((a->kind == ASYNC_ATTRIBUTE_PARAMS
             || a->kind == ASYNC_ATTRIBUTE_BODY
             || a->kind == ASYNC_ATTRIBUTE_FORM)
            && ngx_http_async_schema_fits(a->data, a->kind, error) != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* The rights of a worker, as ngx_worker_process_init() takes them. */

static const char *
ngx_http_async_inspect_user(ngx_cycle_t *cycle)
{
    uid_t             uid;
    gid_t             gid;
    const char       *name;
    struct passwd    *pwd;
    ngx_core_conf_t  *ccf;

    if (geteuid() != 0) {
        return NULL;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    name = ccf->username;
    uid = (uid_t) ccf->user;
    gid = (gid_t) ccf->group;

    if (ccf->user == (ngx_uid_t) NGX_CONF_UNSET_UINT) {
        /* the directive "user" is absent, or stands below "http" */

        name = NGX_USER;
        pwd = getpwnam(name);

        if (pwd == NULL) {
            return "the user that nginx was built for does not exist: set "
                   "\"user\" above \"http\"";
        }

        uid = pwd->pw_uid;
        gid = pwd->pw_gid;
    }

    if (setgid(gid) == -1 || (name && initgroups(name, gid) == -1)
        || setuid(uid) == -1)
    {
        return "a worker's rights cannot be taken: setgid(), initgroups() or "
               "setuid() failed";
    }

    return NULL;
}


static ngx_int_t
ngx_http_async_inspect_told(ngx_conf_t *cf, ngx_http_async_app_t *app,
    ngx_str_t *told)
{
    u_char     *p, *end, *line;
    ngx_int_t   rc;

    end = told->data + told->len;

    for (p = told->data; p < end; p = line + 1) {

        line = ngx_strlchr(p, end, '\n');
        if (line == NULL) {
            break;
        }

        *line = '\0';

        if (*p == '!') {
            ngx_http_async_inspect_failed(cf, app, (char *) p + 1);
            return NGX_ERROR;
        }

        if (*p == '.') {
            return NGX_OK;
        }

        if (*p == '=') {
            rc = ngx_http_async_inspect_type(cf, app, p + 1, line);

        } else if (*p == '\t') {
            rc = ngx_http_async_depends_told(cf, app, p + 1, line);

        } else {
            rc = ngx_http_async_inspect_fn(cf, app, p, line);
        }

        if (rc == NGX_DECLINED) {
            /* something else was printed to the pipe */
            ngx_http_async_inspect_failed(cf, app,
                                          "its description is garbled");
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_async_inspect_failed(cf, app, "its constructors end the process");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_async_inspect_fn(ngx_conf_t *cf, ngx_http_async_app_t *app,
    u_char *line, u_char *end)
{
    u_char               *p, *name, *site;
    ngx_http_async_fn_t  *fn;

    name = ngx_strlchr(line, end, ' ');
    site = name ? ngx_strlchr(name + 1, end, ' ') : NULL;

    if (site == NULL) {
        return NGX_DECLINED;
    }

    name++;

    fn = ngx_array_push(&app->fns);
    if (fn == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(fn, sizeof(ngx_http_async_fn_t));

    fn->app = app;
    fn->kind = ngx_atoi(line, name - 1 - line);
    fn->name.len = app->name.len + 1 + (site - name);
    fn->name.data = ngx_pnalloc(cf->pool, fn->name.len + 1);

    if (fn->name.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(fn->name.data, app->name.data, app->name.len);
    *p++ = ':';
    p = ngx_cpymem(p, name, site - name);
    *p = '\0';

    fn->profile.name = (char *) fn->name.data;

    return NGX_OK;
}


/* Of the function that was told last. */

static ngx_int_t
ngx_http_async_inspect_type(ngx_conf_t *cf, ngx_http_async_app_t *app,
    u_char *line, u_char *end)
{
    ngx_str_t             type;
    ngx_http_async_fn_t  *fn;

    if (app->fns.nelts == 0) {
        return NGX_DECLINED;
    }

    fn = (ngx_http_async_fn_t *) app->fns.elts + app->fns.nelts - 1;

    type.data = line;
    type.len = end - line;

    fn->type.len = type.len;
    fn->type.data = ngx_pstrdup(cf->pool, &type);

    return fn->type.data ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_async_inspect_failed(ngx_conf_t *cf, ngx_http_async_app_t *app,
    const char *why)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "async app \"%V\": %s in %s:%ui", &app->path, why,
                  app->conf_file, app->conf_line);
}


const async_app_t *
ngx_http_async_open_app(int fd, void **loaded,
    char why[NGX_HTTP_ASYNC_WHY_LEN])
{
    char                self[NGX_INT_T_LEN + 1];
    char                path[sizeof("/proc//fd/") + 2 * NGX_INT_T_LEN];
    ssize_t             n;
    const char         *error;
    const async_app_t  *app;

    /* debuggers open the file by this name: "self" would be they themselves,
     * and a pipe of theirs by that number has them hang */

    n = readlink("/proc/self", self, NGX_INT_T_LEN);

    if (n == -1) {
        ngx_memcpy(self, "self", 4);
        n = 4;
    }

    ngx_sprintf((u_char *) path, "/proc/%*s/fd/%d%Z", (size_t) n, self, fd);

    *loaded = dlopen(path, RTLD_NOW|RTLD_LOCAL);

    if (*loaded == NULL) {
        error = dlerror();

        if (ngx_strncmp(error, path, ngx_strlen(path)) == 0) {
            error += ngx_strlen(path);
            error += (*error == ':') ? 2 : 0;
        }

        ngx_http_async_why_undefined(why, error);
        return NULL;
    }

    app = dlsym(*loaded, "async_app");

    if (app && app->abi != ASYNC_ABI) {
        snprintf(why, NGX_HTTP_ASYNC_WHY_LEN,
                 "it was compiled for ABI %u of nginx-async (version %.20s), "
                 "this module has ABI %d (version %s): compile it again with "
                 "util/async-cc", app->abi, app->version, ASYNC_ABI,
                 ASYNC_VERSION);
        return NULL;
    }

    if (app == NULL || app->exports == app->exports_end) {
        snprintf(why, NGX_HTTP_ASYNC_WHY_LEN,
                 "it exports nothing: an app includes <ngx_async.h> and has "
                 "at least one ASYNC_HANDLER");
        return NULL;
    }

    return app;
}


static void
ngx_http_async_why_undefined(char *why, const char *error)
{
    const char  *symbol;

    static const char  undefined[] = "undefined symbol: ";
    static const char  export[] = "async_export_of_";

    symbol = strstr(error, undefined);

    if (symbol) {
        symbol += sizeof(undefined) - 1;

        if (ngx_strncmp(symbol, export, sizeof(export) - 1) == 0) {
            snprintf(why, NGX_HTTP_ASYNC_WHY_LEN,
                     "it depends on \"%.100s\", which it does not define",
                     symbol + sizeof(export) - 1);
            return;
        }

        if (ngx_strncmp(symbol, "async_", 6) == 0
            || ngx_strncmp(symbol, "await_", 6) == 0)
        {
            snprintf(why, NGX_HTTP_ASYNC_WHY_LEN,
                     "it calls %.100s(), which this module of version %s does "
                     "not have: it needs a newer one, or the name is misspelt",
                     symbol, ASYNC_VERSION);
            return;
        }
    }

    snprintf(why, NGX_HTTP_ASYNC_WHY_LEN, "%s", error);
}
