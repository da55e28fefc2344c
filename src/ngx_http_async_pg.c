
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_pg, and the pools of a worker.  A module of its own.
 */

#include <ngx_http_async_pg_pool.h>
#include <ngx_async_near.h>
#include <ngx_async_quit.h>


/* as asyncpg has it, but for the time to wait, which there has no end */
#define NGX_HTTP_ASYNC_PG_CONNECTIONS  10
#define NGX_HTTP_ASYNC_PG_QUEUE        1000
#define NGX_HTTP_ASYNC_PG_STATEMENTS   100
#define NGX_HTTP_ASYNC_PG_ACQUIRE      5000
#define NGX_HTTP_ASYNC_PG_IDLE         300000
#define NGX_HTTP_ASYNC_PG_PING         30000

/* each cancel takes as long as the server takes to accept and to close */
#define NGX_HTTP_ASYNC_PG_CANCELS      "threads=4"


typedef enum {
    NGX_HTTP_ASYNC_PG_NUMBER = 0,
    NGX_HTTP_ASYNC_PG_MSEC,
    NGX_HTTP_ASYNC_PG_WORD,
    NGX_HTTP_ASYNC_PG_FLAG
} ngx_http_async_pg_kind_e;


typedef struct {
    ngx_str_t                  name;
    ngx_http_async_pg_kind_e   kind;
    size_t                     offset;
    ngx_uint_t                 min;
} ngx_http_async_pg_setting_t;


static void *ngx_http_async_pg_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_async_pg_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_async_pg_parse(ngx_conf_t *cf,
    ngx_http_async_pg_pool_t *pool, ngx_str_t *arg);
static ngx_int_t ngx_http_async_pg_cancels(ngx_conf_t *cf,
    ngx_http_async_pg_pool_t *pool);
static char *ngx_http_async_pg_setting_of(ngx_conf_t *cf,
    ngx_http_async_pg_pool_t *pool, ngx_http_async_pg_setting_t *setting,
    ngx_str_t *value);
static char *ngx_http_async_pg_flag(ngx_conf_t *cf, ngx_str_t *name,
    ngx_flag_t *flag, ngx_str_t *value);
static char *ngx_http_async_pg_password(ngx_conf_t *cf,
    ngx_http_async_pg_pool_t *pool);
static ngx_int_t ngx_http_async_pg_postconf(ngx_conf_t *cf);
static ngx_int_t ngx_http_async_pg_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_async_pg_init_process(ngx_cycle_t *cycle);
static void ngx_http_async_pg_on_refresh(void);
static void ngx_http_async_pg_quit(void);
static void ngx_http_async_pg_exit_process(ngx_cycle_t *cycle);


#define ngx_http_async_pg_setting(name, kind, field, min)                    \
    { ngx_string(name), NGX_HTTP_ASYNC_PG_##kind,                            \
      offsetof(ngx_http_async_pg_pool_t, field), min }


static ngx_http_async_pg_setting_t  ngx_http_async_pg_settings[] = {
    ngx_http_async_pg_setting("connections", NUMBER, connections, 1),
    ngx_http_async_pg_setting("min", NUMBER, min, 0),
    ngx_http_async_pg_setting("queue", NUMBER, queue, 0),
    ngx_http_async_pg_setting("statements", NUMBER, statements, 0),
    ngx_http_async_pg_setting("acquire_timeout", MSEC, acquire_timeout, 1),
    ngx_http_async_pg_setting("connect_timeout", MSEC, connect_timeout, 1),
    ngx_http_async_pg_setting("idle", MSEC, idle_time, 0),
    ngx_http_async_pg_setting("lifetime", MSEC, lifetime, 0),
    ngx_http_async_pg_setting("password_file", WORD, password_file, 1),
    ngx_http_async_pg_setting("password_env", WORD, password_env, 1),
    ngx_http_async_pg_setting("shared", FLAG, share, 0),
    ngx_http_async_pg_setting("ping", MSEC, ping, 0)
};


static ngx_command_t  ngx_http_async_pg_commands[] = {

    { ngx_string("async_pg"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_async_pg_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_async_pg_module_ctx = {
    NULL,                                      /* preconfiguration */
    ngx_http_async_pg_postconf,                /* postconfiguration */

    ngx_http_async_pg_create_main_conf,        /* create main configuration */
    NULL,                                      /* init main configuration */

    NULL,                                      /* create server configuration */
    NULL,                                      /* merge server configuration */

    NULL,                                      /* create location conf. */
    NULL                                       /* merge location conf. */
};


ngx_module_t  ngx_http_async_pg_module = {
    NGX_MODULE_V1,
    &ngx_http_async_pg_module_ctx,             /* module context */
    ngx_http_async_pg_commands,                /* module directives */
    NGX_HTTP_MODULE,                           /* module type */
    NULL,                                      /* init master */
    ngx_http_async_pg_init_module,             /* init module */
    ngx_http_async_pg_init_process,            /* init process */
    NULL,                                      /* init thread */
    NULL,                                      /* exit thread */
    ngx_http_async_pg_exit_process,            /* exit process */
    NULL,                                      /* exit master */
    NGX_MODULE_V1_PADDING
};


/* of ngx_http_async_pg_pool_t *; of this worker */
static ngx_array_t  *ngx_http_async_pg_pools;


static void *
ngx_http_async_pg_create_main_conf(ngx_conf_t *cf)
{
    return ngx_array_create(cf->pool, 1, sizeof(ngx_http_async_pg_pool_t *));
}


static char *
ngx_http_async_pg_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_array_t  *pools = conf;

    char                       *rv;
    ngx_str_t                  *value;
    ngx_uint_t                  i;
    ngx_http_async_pg_pool_t   *pool, **p;

    value = cf->args->elts;
    p = pools->elts;

    for (i = 0; i < pools->nelts; i++) {
        if (ngx_strcmp(p[i]->name.data, value[1].data) == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "there is an \"async_pg %V\" already",
                               &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    p = ngx_array_push(pools);
    pool = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_pg_pool_t));

    if (p == NULL || pool == NULL) {
        return NGX_CONF_ERROR;
    }

    *p = pool;

    pool->name = value[1];
    pool->conninfo = value[2];
    pool->connections = NGX_HTTP_ASYNC_PG_CONNECTIONS;
    pool->queue = NGX_HTTP_ASYNC_PG_QUEUE;
    pool->statements = NGX_HTTP_ASYNC_PG_STATEMENTS;
    pool->acquire_timeout = NGX_HTTP_ASYNC_PG_ACQUIRE;
    pool->connect_timeout = NGX_CONF_UNSET_MSEC;
    pool->idle_time = NGX_HTTP_ASYNC_PG_IDLE;
    pool->ping = NGX_HTTP_ASYNC_PG_PING;

    for (i = 3; i < cf->args->nelts; i++) {
        rv = ngx_http_async_pg_parse(cf, pool, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (pool->min > pool->connections) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"min\" is more than "
                           "\"connections\", which is %ui",
                           pool->connections);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_async_pg_cancels(cf, pool) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_async_pg_password(cf, pool);

    return (rv == NGX_CONF_OK) ? ngx_http_async_pg_conninfo(cf, pool) : rv;
}


/*
 * A server that answers nothing holds them for as long: they are no threads of
 * anybody else, nor of another server.
 */

static ngx_int_t
ngx_http_async_pg_cancels(ngx_conf_t *cf, ngx_http_async_pg_pool_t *pool)
{
    ngx_str_t  name;

    name.len = sizeof("async_pg ") - 1 + pool->name.len;
    name.data = ngx_pnalloc(cf->pool, name.len + 1);

    if (name.data == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(name.data, "async_pg %V", &pool->name) = '\0';

    pool->cancels = ngx_async_thread_pool_make(cf, &name,
                                               NGX_HTTP_ASYNC_PG_CANCELS);

    return pool->cancels ? NGX_OK : NGX_ERROR;
}


ngx_uint_t
ngx_http_async_pg_known(ngx_conf_t *cf, ngx_str_t *name,
    const ngx_str_t **near)
{
    ngx_uint_t                  i;
    ngx_array_t                *pools;
    ngx_async_near_t            nearest;
    ngx_http_async_pg_pool_t  **p;

    pools = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_pg_module);
    p = pools->elts;

    ngx_async_near_init(&nearest, name);

    for (i = 0; i < pools->nelts; i++) {

        if (p[i]->name.len == name->len
            && ngx_strncmp(p[i]->name.data, name->data, name->len) == 0)
        {
            return 1;
        }

        ngx_async_near_offer(&nearest, &p[i]->name);
    }

    *near = nearest.best;

    return 0;
}


static char *
ngx_http_async_pg_parse(ngx_conf_t *cf, ngx_http_async_pg_pool_t *pool,
    ngx_str_t *arg)
{
    ngx_str_t                     name, value;
    ngx_uint_t                    i;
    ngx_async_near_t              near;
    ngx_http_async_pg_setting_t  *s;

    name.data = arg->data;
    name.len = strcspn((char *) arg->data, "=");

    value.data = arg->data + name.len + 1;
    value.len = (name.len < arg->len) ? arg->len - name.len - 1 : 0;

    s = ngx_http_async_pg_settings;
    ngx_async_near_init(&near, &name);

    for (i = 0; i < sizeof(ngx_http_async_pg_settings) / sizeof(*s); i++) {

        if (s[i].name.len != name.len
            || ngx_strncmp(s[i].name.data, name.data, name.len) != 0)
        {
            ngx_async_near_offer(&near, &s[i].name);
            continue;
        }

        return ngx_http_async_pg_setting_of(cf, pool, &s[i], &value);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "async_pg does not know \"%V\"%s%V%s", arg,
                       near.best ? "; did you mean \"" : "",
                       near.best ? near.best : &(ngx_str_t) ngx_null_string,
                       near.best ? "\"?" : "");

    return NGX_CONF_ERROR;
}


static char *
ngx_http_async_pg_setting_of(ngx_conf_t *cf, ngx_http_async_pg_pool_t *pool,
    ngx_http_async_pg_setting_t *setting, ngx_str_t *value)
{
    void       *p;
    ngx_int_t   n;

    p = (u_char *) pool + setting->offset;

    if (setting->kind == NGX_HTTP_ASYNC_PG_WORD) {

        if (value->len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is empty",
                               &setting->name);
            return NGX_CONF_ERROR;
        }

        *(ngx_str_t *) p = *value;

        return NGX_CONF_OK;
    }

    if (setting->kind == NGX_HTTP_ASYNC_PG_FLAG) {
        return ngx_http_async_pg_flag(cf, &setting->name, p, value);
    }

    n = (setting->kind == NGX_HTTP_ASYNC_PG_MSEC)
        ? ngx_parse_time(value, 0) : ngx_atoi(value->data, value->len);

    if (value->len == 0 || n == NGX_ERROR || n < (ngx_int_t) setting->min
        || n > NGX_ASYNC_TIME_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" takes %s%s", &setting->name,
                           setting->kind == NGX_HTTP_ASYNC_PG_MSEC
                           ? "a time like 5s" : "a number",
                           setting->min ? ", not 0" : "");
        return NGX_CONF_ERROR;
    }

    *(ngx_uint_t *) p = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_pg_flag(ngx_conf_t *cf, ngx_str_t *name, ngx_flag_t *flag,
    ngx_str_t *value)
{
    if (value->len && ngx_strcmp(value->data, "on") == 0) {
        *flag = 1;
        return NGX_CONF_OK;
    }

    if (value->len && ngx_strcmp(value->data, "off") == 0) {
        *flag = 0;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" takes \"on\" or "
                       "\"off\"", name);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_async_pg_password(ngx_conf_t *cf, ngx_http_async_pg_pool_t *pool)
{
    if (pool->password_file.data && pool->password_env.data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"password_file\" and "
                           "\"password_env\" exclude each other");
        return NGX_CONF_ERROR;
    }

    if (pool->password_file.data) {
        return ngx_http_async_pg_password_file(cf, &pool->password_file,
                                               &pool->password);
    }

    if (pool->password_env.data) {
        return ngx_http_async_pg_password_env(cf, &pool->password_env,
                                              &pool->password);
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_async_pg_postconf(ngx_conf_t *cf)
{
    return ngx_http_async_pg_stats(cf,
                  ngx_http_conf_get_module_main_conf(cf,
                                                  ngx_http_async_pg_module));
}


/* What the server must be able to take (max_connections). */

static ngx_int_t
ngx_http_async_pg_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i, n;
    ngx_array_t                *pools;
    ngx_core_conf_t            *ccf;
    ngx_http_async_pg_pool_t  **p;

    if (ngx_get_conf(cycle->conf_ctx, ngx_http_module) == NULL) {
        return NGX_OK;
    }

    pools = ngx_http_cycle_get_module_main_conf(cycle,
                                                ngx_http_async_pg_module);
    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);
    p = pools->elts;

    for (i = 0; i < pools->nelts; i++) {
        n = p[i]->connections * ccf->worker_processes;

        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "async_pg %V: %ui workers may open %ui connections, and "
                      "%ui during a reload; one more each while it listens",
                      &p[i]->name, (ngx_uint_t) ccf->worker_processes, n,
                      2 * n);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_async_pg_pool_t  **p;

    if (ngx_get_conf(cycle->conf_ctx, ngx_http_module) == NULL) {
        return NGX_OK;
    }

    ngx_http_async_pg_pools = ngx_http_cycle_get_module_main_conf(cycle,
                                                  ngx_http_async_pg_module);
    p = ngx_http_async_pg_pools->elts;

    ngx_async_on_quit(ngx_http_async_pg_quit);
    (void) ngx_async_on_stats(ngx_http_async_pg_on_refresh);

    for (i = 0; i < ngx_http_async_pg_pools->nelts; i++) {

        ngx_queue_init(&p[i]->idle);
        ngx_queue_init(&p[i]->used);
        ngx_queue_init(&p[i]->leaving);
        ngx_queue_init(&p[i]->shared);
        ngx_queue_init(&p[i]->waiters);

        if (p[i]->stats.values == NULL) {
            p[i]->stats = ngx_async_stats_nowhere;
        }

        p[i]->options = ngx_http_async_pg_options(p[i]);

        if (p[i]->options == NULL) {
            /* of files and an environment that only workers see */
            ngx_log_error(NGX_LOG_ERR, cycle->log, 0, "async_pg %V: %s",
                          &p[i]->name, p[i]->why);
            continue;
        }

        ngx_http_async_pg_min_init(p[i]);
    }

    return NGX_OK;
}


static void
ngx_http_async_pg_on_refresh(void)
{
    ngx_uint_t                  i;
    ngx_http_async_pg_pool_t  **p;

    p = ngx_http_async_pg_pools->elts;

    for (i = 0; i < ngx_http_async_pg_pools->nelts; i++) {
        ngx_http_async_pg_stats_set(p[i]);
    }
}


static void
ngx_http_async_pg_quit(void)
{
    ngx_uint_t                  i;
    ngx_http_async_pg_pool_t  **p;

    p = ngx_http_async_pg_pools->elts;

    for (i = 0; i < ngx_http_async_pg_pools->nelts; i++) {
        ngx_http_async_pg_min_quit(p[i]);
    }
}


static void
ngx_http_async_pg_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_async_pg_pool_t  **p;

    if (ngx_http_async_pg_pools == NULL) {
        return;
    }

    p = ngx_http_async_pg_pools->elts;

    for (i = 0; i < ngx_http_async_pg_pools->nelts; i++) {
        if (p[i]->options) {
            ngx_http_async_pg_empty(p[i]);
            ngx_http_async_pg_hub_free(p[i]);
            PQconninfoFree(p[i]->options);
            p[i]->options = NULL;
        }
    }
}


ngx_http_async_pg_pool_t *
ngx_http_async_pg_pool(const char *name)
{
    ngx_uint_t                  i;
    ngx_http_async_pg_pool_t  **p;

    if (ngx_http_async_pg_pools == NULL) {
        return NULL;
    }

    p = ngx_http_async_pg_pools->elts;

    for (i = 0; i < ngx_http_async_pg_pools->nelts; i++) {
        if (ngx_strcmp(p[i]->name.data, name) == 0) {
            return p[i];
        }
    }

    return NULL;
}
