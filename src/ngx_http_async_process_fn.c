
/*
 * Copyright (C) the nginx-async authors
 *
 * The process in which a function of ASYNC_PROCESS() runs, and what both sides
 * share, see ngx_http_async_process.h.
 */

#include <ngx_http_async_process.h>
#include <ngx_http_async_inspect.h>
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/prctl.h>


static void ngx_http_async_process_begin(void) __attribute__((constructor));
static ngx_http_async_process_record_t *ngx_http_async_process_map(void);
static const async_export_t *ngx_http_async_process_export(
    const async_app_t *app, const char *text);


/* opened once: a file that is put in its place does not fit this binary */
int                               ngx_http_async_process_module = -1;

ngx_http_async_process_record_t  *ngx_http_async_process_self;

const char                       *ngx_http_async_process_prefix;

static ngx_http_async_main_conf_t  *ngx_http_async_process_mcf;


ngx_int_t
ngx_http_async_process_conf(ngx_conf_t *cf)
{
    Dl_info  module, binary;

    if (ngx_http_async_process_module != -1) {
        return NGX_OK;
    }

    if (dladdr(&ngx_http_async_process_module, &module) == 0
        || dladdr((void *) &ngx_cycle, &binary) == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "dladdr() failed");
        return NGX_ERROR;
    }

    if (module.dli_fbase == binary.dli_fbase) {
        /* --add-module */
        return NGX_OK;
    }

    ngx_http_async_process_module = open(module.dli_fname,
                                         O_RDONLY|O_CLOEXEC);

    if (ngx_http_async_process_module == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "open() \"%s\", for functions of ASYNC_PROCESS(), "
                           "failed", module.dli_fname);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_process_init(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf)
{
    u_char  *prefix;

    prefix = ngx_pnalloc(cycle->pool, cycle->prefix.len + 1);
    if (prefix == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(prefix, cycle->prefix.data, cycle->prefix.len) = '\0';

    ngx_http_async_process_prefix = (char *) prefix;
    ngx_http_async_process_mcf = mcf;

    ngx_async_process_init(&mcf->stats);

    return NGX_OK;
}


ngx_http_async_fn_t *
ngx_http_async_process_find(async_thread_pt process, ngx_uint_t *index)
{
    ngx_uint_t             i, j;
    ngx_http_async_fn_t   *fn;
    ngx_http_async_app_t  *app;

    app = ngx_http_async_process_mcf->apps.elts;

    for (i = 0; i < ngx_http_async_process_mcf->apps.nelts; i++) {
        fn = app[i].fns.elts;

        for (j = 0; j < app[i].fns.nelts; j++) {
            if (fn[j].kind == ASYNC_KIND_PROCESS && fn[j].exported
                && fn[j].exported->process == process)
            {
                *index = j;
                return &fn[j];
            }
        }
    }

    return NULL;
}


ngx_http_async_process_record_t *
ngx_http_async_process_record(void *arg, size_t size, int *fd)
{
    ngx_err_t                         err;
    ngx_http_async_process_record_t  *r;

    *fd = memfd_create("async process", MFD_CLOEXEC);

    if (*fd == -1) {
        return NULL;
    }

    r = MAP_FAILED;

    if (ftruncate(*fd, sizeof(ngx_http_async_process_record_t) + size) == 0) {
        r = mmap(NULL, sizeof(ngx_http_async_process_record_t) + size,
                 PROT_READ|PROT_WRITE, MAP_SHARED, *fd, 0);
    }

    if (r == MAP_FAILED) {
        err = ngx_errno;
        (void) close(*fd);
        ngx_set_errno(err);
        *fd = -1;
        return NULL;
    }

    ngx_memcpy(r->version, ASYNC_VERSION, sizeof(ASYNC_VERSION));
    r->size = sizeof(ngx_http_async_process_record_t) + size;
    r->parent = ngx_getpid();
    r->arg_size = size;

    if (size) {
        ngx_memcpy(r->arg, arg, size);
    }

    return r;
}


/*
 * Runs wherever this module is loaded, and does something only in a process
 * that was started for it, before the main() of nginx.  Nothing of nginx has
 * been initialized.
 */

static void
ngx_http_async_process_begin(void)
{
    int                               rc;
    char                             *index;
    char                              why[NGX_HTTP_ASYNC_WHY_LEN];
    void                             *loaded;
    struct stat                       out, err;
    const async_app_t                *app;
    const async_export_t             *export;
    ngx_http_async_process_record_t  *r;

    index = secure_getenv(NGX_HTTP_ASYNC_PROCESS_ENV);

    if (index == NULL) {
        return;
    }

    r = ngx_http_async_process_map();

    if (r == NULL) {
        dprintf(STDERR_FILENO, "this is no process of nginx-async %s\n",
                ASYNC_VERSION);
        _exit(1);
    }

    /* who dies with a bang leaves nothing behind */

    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

    if (getppid() != r->parent) {
        _exit(1);
    }

    r->state = NGX_HTTP_ASYNC_PROCESS_BEGUN;

    app = ngx_http_async_open_app(4, &loaded, why);
    export = app ? ngx_http_async_process_export(app, index) : NULL;

    if (export == NULL) {
        snprintf((char *) r->error, NGX_ASYNC_ERROR_LEN, "%.*s",
                 NGX_ASYNC_ERROR_LEN - 1, app ? "it is not in the app" : why);
        r->state = NGX_HTTP_ASYNC_PROCESS_FAILED;
        _exit(1);
    }

    (void) unsetenv(NGX_HTTP_ASYNC_PROCESS_ENV);
    (void) unsetenv("LD_PRELOAD");

    (void) close(3);
    (void) close(4);
    (void) close(5);

    if (fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0
        && out.st_dev == err.st_dev && out.st_ino == err.st_ino)
    {
        /* what is printed to both comes in its order */
        (void) setvbuf(stdout, NULL, _IOLBF, 0);
    }

    ngx_http_async_process_self = r;

    rc = export->process(r->arg_size ? r->arg : NULL);

    (void) fflush(NULL);

    r->rc = rc;
    r->state = NGX_HTTP_ASYNC_PROCESS_RETURNED;

    /* without the destructors of a program that has not begun */

    _exit(0);
}


static ngx_http_async_process_record_t *
ngx_http_async_process_map(void)
{
    struct stat                       st;
    ngx_http_async_process_record_t  *r;

    if (fstat(3, &st) == -1
        || st.st_size < (off_t) sizeof(ngx_http_async_process_record_t))
    {
        return NULL;
    }

    r = mmap(NULL, st.st_size, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0);

    if (r == MAP_FAILED
        || ngx_memcmp(r->version, ASYNC_VERSION, sizeof(ASYNC_VERSION)) != 0
        || (off_t) r->size != st.st_size)
    {
        return NULL;
    }

    return r;
}


static const async_export_t *
ngx_http_async_process_export(const async_app_t *app, const char *text)
{
    size_t                 i, n;
    const async_export_t  *export;

    i = strtoul(text, NULL, 10);
    n = app->exports_end - app->exports;

    if (i >= n) {
        return NULL;
    }

    export = app->exports[i];

    return (export->kind == ASYNC_KIND_PROCESS) ? export : NULL;
}
