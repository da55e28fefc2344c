
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_app, the names of functions in other directives, and
 * the loading of apps by workers.
 */

#include <ngx_http_async_app.h>
#include <ngx_http_async_inspect.h>
#include <ngx_http_async_schema.h>
#include <ngx_async_near.h>
#include <sys/mman.h>


static ngx_int_t ngx_http_async_app_name(ngx_conf_t *cf,
    ngx_http_async_app_t *app);
static void ngx_http_async_app_file_name(ngx_http_async_app_t *app);
static ngx_int_t ngx_http_async_app_only(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf, ngx_http_async_app_t *app);
static ngx_int_t ngx_http_async_app_copy(ngx_conf_t *cf,
    ngx_http_async_app_t *app);
static int ngx_http_async_app_memfd(const char *name);
static ngx_int_t ngx_http_async_app_fill(ngx_conf_t *cf, ngx_fd_t from,
    ngx_fd_t to, ngx_str_t *path);
static ngx_int_t ngx_http_async_app_find(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf, ngx_http_async_ref_t *ref);
static ngx_uint_t ngx_http_async_app_is_text(ngx_http_async_fn_t *fn);
static ngx_uint_t ngx_http_async_app_fits(ngx_http_async_fn_t *fn,
    ngx_int_t kind);
static ngx_uint_t ngx_http_async_app_match(ngx_http_async_fn_t *fn,
    ngx_str_t *name);
static void ngx_http_async_app_unknown(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf, ngx_http_async_ref_t *ref);
static void ngx_http_async_app_ambiguous(ngx_conf_t *cf,
    ngx_http_async_main_conf_t *mcf, ngx_http_async_ref_t *ref);
static ngx_int_t ngx_http_async_app_models(ngx_http_async_app_t *app,
    const async_app_t *loaded, ngx_cycle_t *cycle);
static ngx_int_t ngx_http_async_app_bind(ngx_http_async_app_t *app,
    const async_app_t *loaded, ngx_log_t *log);


char *
ngx_http_async_app(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_main_conf_t  *mcf = conf;

    ngx_str_t             *value;
    ngx_http_async_app_t  *app;

    value = cf->args->elts;

    app = ngx_array_push(&mcf->apps);
    if (app == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(app, sizeof(ngx_http_async_app_t));

    app->fd = NGX_INVALID_FILE;
    app->path = value[1];
    app->conf_file = cf->conf_file->file.name.data;
    app->conf_line = cf->conf_file->line;

    if (ngx_conf_full_name(cf->cycle, &app->path, 0) != NGX_OK
        || ngx_http_async_app_name(cf, app) != NGX_OK
        || ngx_http_async_app_only(cf, mcf, app) != NGX_OK
        || ngx_http_async_app_copy(cf, app) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_async_app_name(ngx_conf_t *cf, ngx_http_async_app_t *app)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (cf->args->nelts < 3) {
        ngx_http_async_app_file_name(app);

    } else if (ngx_strncmp(value[2].data, "name=", 5) == 0
               && value[2].len > 5)
    {
        app->name.data = value[2].data + 5;
        app->name.len = value[2].len - 5;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", it takes \"name=\"",
                           &value[2]);
        return NGX_ERROR;
    }

    if (ngx_strlchr(app->name.data, app->name.data + app->name.len, ':')) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name \"%V\" of an app has a colon: choose "
                           "another one with \"name=\"", &app->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Without folders and without ".so". */

static void
ngx_http_async_app_file_name(ngx_http_async_app_t *app)
{
    u_char  *p, *last;

    last = app->path.data + app->path.len;

    for (p = last; p > app->path.data && p[-1] != '/'; p--) { /* void */ }

    app->name.data = p;
    app->name.len = last - p;

    if (app->name.len > 3 && ngx_strncmp(last - 3, ".so", 3) == 0) {
        app->name.len -= 3;
    }
}


/* Whether no app before it has its name. */

static ngx_int_t
ngx_http_async_app_only(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf,
    ngx_http_async_app_t *app)
{
    ngx_http_async_app_t  *other;

    for (other = mcf->apps.elts; other < app; other++) {

        if (other->name.len == app->name.len
            && ngx_strncmp(other->name.data, app->name.data, app->name.len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "there is an app \"%V\" already: choose "
                               "another name with \"name=\"", &app->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_app_copy(ngx_conf_t *cf, ngx_http_async_app_t *app)
{
    ngx_fd_t                  fd;
    ngx_int_t                 rc;
    ngx_pool_cleanup_t       *cln;
    ngx_pool_cleanup_file_t  *clnf;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_pool_cleanup_file_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    app->fd = ngx_http_async_app_memfd((char *) app->path.data);

    if (app->fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "memfd_create() for a copy of \"%V\" failed",
                           &app->path);
        return NGX_ERROR;
    }

    cln->handler = ngx_pool_cleanup_file;
    clnf = cln->data;

    clnf->fd = app->fd;
    clnf->name = app->path.data;

    /* the log of the pool is still that of the cycle before, which goes */

    clnf->log = &cf->cycle->new_log;

    fd = ngx_open_file(app->path.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &app->path);
        return NGX_ERROR;
    }

    rc = ngx_http_async_app_fill(cf, fd, app->fd, &app->path);

    (void) ngx_close_file(fd);

    return rc;
}


static int
ngx_http_async_app_memfd(const char *name)
{
    int          fd, flags;
    const char  *base;

    base = strrchr(name, '/');
    base = base ? base + 1 : name;

    /* the name is for /proc/PID/maps, so cut it rather than fail */

    if (ngx_strlen(base) > 200) {
        base = "async_app";
    }

    fd = -1;
    flags = MFD_CLOEXEC|MFD_ALLOW_SEALING;

#ifdef MFD_NOEXEC_SEAL
    /* kernels that insist on it; libraries need no execute permission */
    fd = memfd_create(base, flags|MFD_NOEXEC_SEAL);
#endif

    if (fd == -1) {
        fd = memfd_create(base, flags);
    }

    return fd;
}


static ngx_int_t
ngx_http_async_app_fill(ngx_conf_t *cf, ngx_fd_t from, ngx_fd_t to,
    ngx_str_t *path)
{
    u_char           *buf;
    ssize_t           n;
    ngx_file_info_t   fi;

    if (ngx_fd_info(from, &fi) == NGX_FILE_ERROR || !ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a regular file", path);
        return NGX_ERROR;
    }

    buf = ngx_palloc(cf->temp_pool, 65536);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    for ( ;; ) {
        n = ngx_read_fd(from, buf, 65536);

        if (n == 0) {
            break;
        }

        if (n == -1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               ngx_read_fd_n " \"%V\" failed", path);
            return NGX_ERROR;
        }

        if (ngx_write_fd(to, buf, n) != n) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               "copying \"%V\" into memory failed", path);
            return NGX_ERROR;
        }
    }

    /* no worker can change the code of the others and of those to come */

    if (fcntl(to, F_ADD_SEALS,
              F_SEAL_SEAL|F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_WRITE) == -1)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "sealing the copy of \"%V\" failed", path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_http_async_ref_t *
ngx_http_async_app_ref(ngx_conf_t *cf, ngx_str_t *name, ngx_int_t kind)
{
    ngx_str_t                    *value;
    ngx_http_async_ref_t         *ref, **place;
    ngx_http_async_main_conf_t   *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_module);
    value = cf->args->elts;

    ref = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_ref_t));
    place = ngx_array_push(&mcf->refs);

    if (ref == NULL || place == NULL) {
        return NULL;
    }

    ref->name = *name;
    ref->kind = kind;
    ref->directive = (char *) value[0].data;
    ref->file = cf->conf_file->file.name.data;
    ref->line = cf->conf_file->line;

    *place = ref;

    return ref;
}


ngx_int_t
ngx_http_async_app_resolve(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf)
{
    ngx_uint_t              i;
    ngx_http_async_app_t   *app;
    ngx_http_async_ref_t  **ref;

    app = mcf->apps.elts;

    for (i = 0; i < mcf->apps.nelts; i++) {
        if (ngx_http_async_inspect(cf, &app[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ref = mcf->refs.elts;

    for (i = 0; i < mcf->refs.nelts; i++) {
        if (ngx_http_async_app_find(cf, mcf, ref[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_app_find(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf,
    ngx_http_async_ref_t *ref)
{
    ngx_uint_t             i, j, n;
    ngx_http_async_fn_t   *fn;
    ngx_http_async_app_t  *app;

    app = mcf->apps.elts;
    n = 0;

    for (i = 0; i < mcf->apps.nelts; i++) {
        fn = app[i].fns.elts;

        for (j = 0; j < app[i].fns.nelts; j++) {
            if (ngx_http_async_app_match(&fn[j], &ref->name)) {
                ref->fn = &fn[j];
                n++;
            }
        }
    }

    if (n == 0) {
        ngx_http_async_app_unknown(cf, mcf, ref);
        return NGX_ERROR;
    }

    if (n > 1) {
        ngx_http_async_app_ambiguous(cf, mcf, ref);
        return NGX_ERROR;
    }

    if (ref->kind == NGX_HTTP_ASYNC_KIND_WS
        && ref->fn->kind == ASYNC_KIND_BLOCKING)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" is a BLOCKING_HANDLER, and a WebSocket takes "
                      "an ASYNC_HANDLER, which can await messages, in %s:%ui",
                      &ref->fn->name, ref->file, ref->line);
        return NGX_ERROR;
    }

    if (!ngx_http_async_app_fits(ref->fn, ref->kind)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" takes a %s, but \"%V\" is a %s in %s:%ui",
                      ref->directive, ngx_http_async_kind_name(ref->kind),
                      &ref->fn->name, ngx_http_async_kind_name(ref->fn->kind),
                      ref->file, ref->line);
        return NGX_ERROR;
    }

    if (ref->kind == NGX_HTTP_ASYNC_KIND_TEXT
        && !ngx_http_async_app_is_text(ref->fn))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" takes a dependency of the type \"const char\", "
                      "but \"%V\" gives \"%V\" in %s:%ui", ref->directive,
                      &ref->fn->name, &ref->fn->type, ref->file, ref->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_app_is_text(ngx_http_async_fn_t *fn)
{
    ngx_uint_t  i;

    static ngx_str_t  types[] = {
        ngx_string("const char"), ngx_string("char"), ngx_string("char const")
    };

    for (i = 0; i < 3; i++) {
        if (fn->type.len == types[i].len
            && ngx_memcmp(fn->type.data, types[i].data, types[i].len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_async_app_fits(ngx_http_async_fn_t *fn, ngx_int_t kind)
{
    switch (kind) {

    case ASYNC_KIND_HANDLER:
        return fn->kind == ASYNC_KIND_HANDLER
               || fn->kind == ASYNC_KIND_BLOCKING;

    case ASYNC_KIND_DEPENDENCY:
        return fn->kind == ASYNC_KIND_DEPENDENCY
               || fn->kind == ASYNC_KIND_BLOCKING_DEPENDENCY;

    case NGX_HTTP_ASYNC_KIND_TEXT:
        return ngx_http_async_app_fits(fn, ASYNC_KIND_DEPENDENCY);

    case NGX_HTTP_ASYNC_KIND_WS:
        return fn->kind == ASYNC_KIND_HANDLER;

    case NGX_HTTP_ASYNC_KIND_GUARD:
        return ngx_http_async_app_fits(fn, ASYNC_KIND_HANDLER)
               || ngx_http_async_app_fits(fn, ASYNC_KIND_DEPENDENCY);

    default:
        return fn->kind == kind;
    }
}


ngx_uint_t
ngx_http_async_app_has(ngx_http_async_main_conf_t *mcf, ngx_int_t kind)
{
    ngx_uint_t             i, j;
    ngx_http_async_fn_t   *fn;
    ngx_http_async_app_t  *app;

    app = mcf->apps.elts;

    for (i = 0; i < mcf->apps.nelts; i++) {
        fn = app[i].fns.elts;

        for (j = 0; j < app[i].fns.nelts; j++) {
            if (fn[j].kind == kind) {
                return 1;
            }
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_async_app_any(ngx_http_async_main_conf_t *mcf)
{
    return mcf->apps.nelts || mcf->status;
}


/* Those that run as tasks; none, if nobody looks. */

ngx_int_t
ngx_http_async_app_stats(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf)
{
    ngx_uint_t             i, j;
    ngx_http_async_fn_t   *fn;
    ngx_http_async_app_t  *app;

    if (mcf->stats.zone == NULL) {
        return NGX_OK;
    }

    app = mcf->apps.elts;

    for (i = 0; i < mcf->apps.nelts; i++) {
        fn = app[i].fns.elts;

        for (j = 0; j < app[i].fns.nelts; j++) {

            if (fn[j].kind != ASYNC_KIND_PROCESS
                && ngx_async_stats_add(cf, &mcf->stats, &fn[j].profile.stats,
                                       &ngx_async_profile_family, &fn[j].name)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* by "app:function" or by "function" alone */

static ngx_uint_t
ngx_http_async_app_match(ngx_http_async_fn_t *fn, ngx_str_t *name)
{
    u_char  *p;
    size_t   len;

    p = fn->name.data;
    len = fn->name.len;

    if (!ngx_strlchr(name->data, name->data + name->len, ':')) {
        p += fn->app->name.len + 1;
        len -= fn->app->name.len + 1;
    }

    return len == name->len && ngx_memcmp(p, name->data, len) == 0;
}


static void
ngx_http_async_app_unknown(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf,
    ngx_http_async_ref_t *ref)
{
    size_t                  skip;
    ngx_str_t              *bare;
    ngx_uint_t              i, j, k, qualified;
    ngx_http_async_fn_t    *fn;
    ngx_http_async_app_t   *app;
    ngx_async_near_t   near;

    if (mcf->apps.nelts == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no app has a %s \"%V\": there is no \"async_app\" "
                      "in %s:%ui", ngx_http_async_kind_name(ref->kind),
                      &ref->name, ref->file, ref->line);
        return;
    }

    qualified = ngx_strlchr(ref->name.data, ref->name.data + ref->name.len,
                            ':') != NULL;

    app = mcf->apps.elts;
    ngx_async_near_init(&near, &ref->name);

    /* names of the right kind first: the earliest of equally near ones wins */

    for (k = 0; k < 2; k++) {
        for (i = 0; i < mcf->apps.nelts; i++) {
            fn = app[i].fns.elts;

            for (j = 0; j < app[i].fns.nelts; j++) {

                if (ngx_http_async_app_fits(&fn[j], ref->kind) == k) {
                    continue;
                }

                bare = ngx_palloc(cf->temp_pool, sizeof(ngx_str_t));
                if (bare == NULL) {
                    return;
                }

                skip = qualified ? 0 : app[i].name.len + 1;
                bare->data = fn[j].name.data + skip;
                bare->len = fn[j].name.len - skip;

                ngx_async_near_offer(&near, bare);
            }
        }
    }

    if (near.best) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no app has a %s \"%V\", did you mean \"%V\"? in %s:%ui",
                      ngx_http_async_kind_name(ref->kind), &ref->name,
                      near.best, ref->file, ref->line);
        return;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "no app has a %s \"%V\" in %s:%ui",
                  ngx_http_async_kind_name(ref->kind), &ref->name,
                  ref->file, ref->line);
}


static void
ngx_http_async_app_ambiguous(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf,
    ngx_http_async_ref_t *ref)
{
    u_char                *p, *last, list[NGX_MAX_CONF_ERRSTR / 2];
    ngx_uint_t             i, j;
    ngx_http_async_fn_t   *fn;
    ngx_http_async_app_t  *app;

    p = list;
    last = list + sizeof(list);
    app = mcf->apps.elts;

    for (i = 0; i < mcf->apps.nelts; i++) {
        fn = app[i].fns.elts;

        for (j = 0; j < app[i].fns.nelts; j++) {
            if (ngx_http_async_app_match(&fn[j], &ref->name)) {
                p = ngx_slprintf(p, last, "%s\"%V\"", p > list ? ", " : "",
                                 &fn[j].name);
            }
        }
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%V\" is ambiguous, say which: %*s in %s:%ui",
                  &ref->name, (size_t) (p - list), list, ref->file, ref->line);
}


void
ngx_http_async_app_load(ngx_cycle_t *cycle, ngx_http_async_main_conf_t *mcf)
{
    char                   why[NGX_HTTP_ASYNC_WHY_LEN];
    ngx_uint_t             i;
    const async_app_t     *loaded;
    ngx_http_async_app_t  *app;

    app = mcf->apps.elts;

    for (i = 0; i < mcf->apps.nelts; i++) {

        loaded = ngx_http_async_open_app(app[i].fd, &app[i].loaded, why);

        if (loaded == NULL) {
            ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                          "async app \"%V\" could not be loaded, its handlers "
                          "answer 503: %s", &app[i].path, why);
            continue;
        }

        if (ngx_http_async_app_models(&app[i], loaded, cycle) == NGX_OK
            && ngx_http_async_app_bind(&app[i], loaded, cycle->log) == NGX_OK)
        {
            ngx_log_debug1(NGX_LOG_DEBUG_CORE, cycle->log, 0,
                           "async app \"%V\" loaded", &app[i].path);
        }
    }
}


/* They have been found to be right when the app was inspected. */

static ngx_int_t
ngx_http_async_app_models(ngx_http_async_app_t *app, const async_app_t *loaded,
    ngx_cycle_t *cycle)
{
    const async_model_t *const  *model;
    u_char                       error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN];

    if (loaded->size < sizeof(async_app_t)) {
        return NGX_OK;
    }

    ngx_sprintf(error, "no memory%Z");

    for (model = loaded->models; model < loaded->models_end; model++) {

        if (ngx_http_async_schema_make(*model, cycle->pool, error) != NGX_OK) {
            ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                          "async app \"%V\" could not be loaded, its handlers "
                          "answer 503: %s", &app->path, error);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The same file exports the same functions in the same order. */

static ngx_int_t
ngx_http_async_app_bind(ngx_http_async_app_t *app, const async_app_t *loaded,
    ngx_log_t *log)
{
    ngx_uint_t                    i;
    ngx_http_async_fn_t          *fn;
    const async_export_t *const  *exported;

    fn = app->fns.elts;
    exported = loaded->exports;

    for (i = 0; i < app->fns.nelts; i++, exported++) {

        if (exported == loaded->exports_end
            || ngx_strcmp(fn[i].name.data + app->name.len + 1,
                          (*exported)->name) != 0)
        {
            ngx_log_error(NGX_LOG_ALERT, log, 0,
                          "async app \"%V\" exports other functions than it "
                          "did before", &app->path);
            return NGX_ERROR;
        }

        fn[i].exported = *exported;
    }

    return NGX_OK;
}
