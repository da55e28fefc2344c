
/*
 * Copyright (C) the nginx-async authors
 *
 * A core module that stands before nginx's own of thread pools.  It sees the
 * directive thread_pool and hands it on, tells the near miss of an unknown
 * pool, and comes first when a worker exits.
 */

#include <ngx_async_thread_pool.h>
#include <ngx_async_near.h>


typedef struct {
    ngx_array_t           pools;    /* of ngx_async_thread_pool_t * */
} ngx_async_thread_pool_conf_t;


static char *ngx_async_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_async_thread_pool_t *ngx_async_thread_pool_find(ngx_cycle_t *cycle,
    ngx_async_thread_pool_conf_t *tcf, ngx_str_t *name);
static void ngx_async_thread_pool_unknown(ngx_cycle_t *cycle,
    ngx_async_thread_pool_conf_t *tcf);
static ngx_uint_t ngx_async_thread_pool_exists(ngx_cycle_t *cycle,
    ngx_async_thread_pool_t *pool);
static void *ngx_async_thread_pool_create_conf(ngx_cycle_t *cycle);
static char *ngx_async_thread_pool_init_conf(ngx_cycle_t *cycle, void *conf);
static void ngx_async_thread_pool_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_async_thread_pool_commands[] = {

    { ngx_string("thread_pool"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE23,
      ngx_async_thread_pool,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_core_module_t  ngx_async_thread_pool_module_ctx = {
    ngx_string("async_thread_pool"),
    ngx_async_thread_pool_create_conf,
    ngx_async_thread_pool_init_conf
};


ngx_module_t  ngx_async_thread_pool_module = {
    NGX_MODULE_V1,
    &ngx_async_thread_pool_module_ctx,     /* module context */
    ngx_async_thread_pool_commands,        /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_async_thread_pool_exit_process,    /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static const ngx_async_stats_field_t  ngx_async_thread_pool_fields[] = {
    { NGX_ASYNC_POOL_THREADS, "threads", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Threads of the pool" },
    { NGX_ASYNC_POOL_BUSY, "busy", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Jobs that run" },
    { NGX_ASYNC_POOL_QUEUED, "queued", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Jobs that wait for a thread" },
    { NGX_ASYNC_POOL_QUEUE_MAX, "queue_max", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "How many may wait" },
    { NGX_ASYNC_POOL_DONE, "jobs", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Jobs that threads have done" },
    { NGX_ASYNC_POOL_REFUSED, "refused", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Jobs refused since too many waited" },
    { NGX_ASYNC_POOL_SKIPPED, "skipped", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Jobs that nobody wanted any more before a thread came to them" },
    { NGX_ASYNC_POOL_WAIT, "wait", NGX_ASYNC_STATS_HISTOGRAM,
      NGX_ASYNC_STATS_USEC, "How long jobs have waited for a thread" },
    { NGX_ASYNC_POOL_RUN, "run", NGX_ASYNC_STATS_HISTOGRAM,
      NGX_ASYNC_STATS_USEC, "How long jobs have run" },
    { 0, NULL, 0, 0, NULL }
};

const ngx_async_stats_family_t  ngx_async_thread_pool_family = {
    "thread_pool", "pool", ngx_async_thread_pool_fields
};


void  (*ngx_async_thread_pool_exit)(ngx_cycle_t *cycle);


ngx_async_thread_pool_t *
ngx_async_thread_pool_add(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_async_thread_pool_t       *pool;
    ngx_async_thread_pool_conf_t  *tcf;

    static ngx_str_t  by_default = ngx_string("default");

    tcf = (ngx_async_thread_pool_conf_t *)
              ngx_get_conf(cf->cycle->conf_ctx, ngx_async_thread_pool_module);

    pool = ngx_async_thread_pool_find(cf->cycle, tcf,
                                      name ? name : &by_default);
    if (pool == NULL) {
        return NULL;
    }

    if (pool->tp == NULL) {
        pool->tp = ngx_thread_pool_add(cf, name);

        if (pool->tp == NULL) {
            return NULL;
        }
    }

    if (pool->file == NULL && cf->conf_file) {
        pool->file = cf->conf_file->file.name.data;
        pool->line = cf->conf_file->line;
    }

    return pool;
}


ngx_async_thread_pool_t *
ngx_async_thread_pool_make(ngx_conf_t *cf, ngx_str_t *name, char *threads)
{
    char                     *rv;
    ngx_str_t                 value[3];
    ngx_array_t              *args, own;
    ngx_async_thread_pool_t  *pool;

    pool = ngx_async_thread_pool_add(cf, name);

    if (pool == NULL || pool->threads) {
        return pool;
    }

    ngx_str_set(&value[0], "thread_pool");
    value[1] = *name;
    value[2].data = (u_char *) threads;
    value[2].len = ngx_strlen(threads);

    ngx_memzero(&own, sizeof(ngx_array_t));

    own.elts = value;
    own.nelts = 3;

    args = cf->args;
    cf->args = &own;

    rv = ngx_async_thread_pool(cf, ngx_async_thread_pool_commands,
                               ngx_get_conf(cf->cycle->conf_ctx,
                                            ngx_async_thread_pool_module));
    cf->args = args;

    return (rv == NGX_CONF_OK) ? pool : NULL;
}


static ngx_async_thread_pool_t *
ngx_async_thread_pool_find(ngx_cycle_t *cycle,
    ngx_async_thread_pool_conf_t *tcf, ngx_str_t *name)
{
    ngx_uint_t                 i;
    ngx_async_thread_pool_t   *pool, **place;

    place = tcf->pools.elts;

    for (i = 0; i < tcf->pools.nelts; i++) {
        if (place[i]->name.len == name->len
            && ngx_strncmp(place[i]->name.data, name->data, name->len) == 0)
        {
            return place[i];
        }
    }

    pool = ngx_pcalloc(cycle->pool, sizeof(ngx_async_thread_pool_t));
    place = ngx_array_push(&tcf->pools);

    if (pool == NULL || place == NULL) {
        return NULL;
    }

    pool->name = *name;
    *place = pool;

    return pool;
}


/* The directive of nginx: noted, and handed on. */

static char *
ngx_async_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_thread_pool_conf_t  *tcf = conf;

    char                      *rv;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_command_t             *next;
    ngx_async_thread_pool_t   *pool;

    next = ngx_thread_pool_module.commands;

    while (ngx_strcmp(next->name.data, cmd->name.data) != 0) {
        next++;
    }

    rv = next->set(cf, next, ngx_get_conf(cf->cycle->conf_ctx,
                                          ngx_thread_pool_module));
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    value = cf->args->elts;

    pool = ngx_async_thread_pool_find(cf->cycle, tcf, &value[1]);
    if (pool == NULL) {
        return NGX_CONF_ERROR;
    }

    pool->max_queue = 65536;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "threads=", 8) == 0) {
            pool->threads = ngx_atoi(value[i].data + 8, value[i].len - 8);
        }

        if (ngx_strncmp(value[i].data, "max_queue=", 10) == 0) {
            pool->max_queue = ngx_atoi(value[i].data + 10, value[i].len - 10);
        }
    }

    return NGX_CONF_OK;
}


static void *
ngx_async_thread_pool_create_conf(ngx_cycle_t *cycle)
{
    ngx_async_thread_pool_conf_t  *tcf;

    tcf = ngx_pcalloc(cycle->pool, sizeof(ngx_async_thread_pool_conf_t));
    if (tcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&tcf->pools, cycle->pool, 4,
                       sizeof(ngx_async_thread_pool_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return tcf;
}


/*
 * Whether all pools exist, nginx finds by itself, a moment later: so it is
 * asked, and what helps is said after its message.
 */

static char *
ngx_async_thread_pool_init_conf(ngx_cycle_t *cycle, void *conf)
{
    ngx_async_thread_pool_conf_t  *tcf = conf;

    char               *rv;
    ngx_core_module_t  *next;

    next = ngx_thread_pool_module.ctx;

    rv = next->init_conf(cycle, ngx_get_conf(cycle->conf_ctx,
                                             ngx_thread_pool_module));
    if (rv != NGX_CONF_OK) {
        ngx_async_thread_pool_unknown(cycle, tcf);
    }

    return rv;
}


static void
ngx_async_thread_pool_unknown(ngx_cycle_t *cycle,
    ngx_async_thread_pool_conf_t *tcf)
{
    ngx_uint_t                 i, n;
    ngx_async_near_t           near;
    ngx_async_thread_pool_t  **pool;

    static ngx_str_t  by_default = ngx_string("default");

    pool = tcf->pools.elts;

    for (n = 0; n < tcf->pools.nelts; n++) {

        if (ngx_async_thread_pool_exists(cycle, pool[n])) {
            continue;
        }

        ngx_async_near_init(&near, &pool[n]->name);

        for (i = 0; i < tcf->pools.nelts; i++) {
            if (pool[i]->threads) {
                ngx_async_near_offer(&near, &pool[i]->name);
            }
        }

        ngx_async_near_offer(&near, &by_default);

        if (near.best) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                          "there is no thread pool \"%V\", did you mean "
                          "\"%V\"? in %s:%ui", &pool[n]->name, near.best,
                          pool[n]->file, pool[n]->line);

        } else {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                          "there is no thread pool \"%V\": make one above "
                          "\"http\", as in \"thread_pool %V threads=32;\", "
                          "for %s:%ui", &pool[n]->name, &pool[n]->name,
                          pool[n]->file, pool[n]->line);
        }
    }
}


/*
 * One that stands above the load_module is known to nginx alone, which is asked
 * about this one, and to be silent.
 */

static ngx_uint_t
ngx_async_thread_pool_exists(ngx_cycle_t *cycle, ngx_async_thread_pool_t *pool)
{
    char               *rv;
    ngx_uint_t          level;
    ngx_array_t         one;
    ngx_core_module_t  *next;

    if (pool->threads || pool->tp == NULL) {
        return 1;
    }

    ngx_memzero(&one, sizeof(ngx_array_t));

    one.elts = &pool->tp;
    one.nelts = 1;

    next = ngx_thread_pool_module.ctx;

    level = cycle->log->log_level;
    cycle->log->log_level = 0;

    rv = next->init_conf(cycle, &one);

    cycle->log->log_level = level;

    return rv == NGX_CONF_OK;
}


ngx_async_thread_pool_t *
ngx_async_thread_pool_get(ngx_cycle_t *cycle, ngx_str_t *name)
{
    ngx_thread_pool_t             *tp;
    ngx_async_thread_pool_t       *pool;
    ngx_async_thread_pool_conf_t  *tcf;

    tp = ngx_thread_pool_get(cycle, name);

    if (tp == NULL) {
        return NULL;
    }

    tcf = (ngx_async_thread_pool_conf_t *)
              ngx_get_conf(cycle->conf_ctx, ngx_async_thread_pool_module);

    pool = ngx_async_thread_pool_find(cycle, tcf, name);

    if (pool && pool->tp == NULL) {

        pool->name.data = ngx_pstrdup(cycle->pool, name);

        if (pool->name.data == NULL
            || ngx_async_thread_pool_open(pool) != NGX_OK)
        {
            return NULL;
        }

        pool->tp = tp;
    }

    return pool;
}


ngx_int_t
ngx_async_thread_pool_open(ngx_async_thread_pool_t *pool)
{
    ngx_queue_init(&pool->queue);

    if (pool->stats.values == NULL) {
        pool->stats = ngx_async_stats_nowhere;
    }

    return (pthread_mutex_init(&pool->lock, NULL) == 0) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_async_thread_pool_stats(ngx_conf_t *cf, ngx_async_stats_set_t *set)
{
    ngx_uint_t                 i;
    ngx_array_t               *pools;
    ngx_async_thread_pool_t  **pool;

    if (set->zone == NULL) {
        return NGX_OK;
    }

    pools = ngx_async_thread_pools(cf->cycle);
    pool = pools->elts;

    for (i = 0; i < pools->nelts; i++) {

        if (ngx_async_stats_add(cf, set, &pool[i]->stats,
                                &ngx_async_thread_pool_family, &pool[i]->name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_array_t *
ngx_async_thread_pools(ngx_cycle_t *cycle)
{
    ngx_async_thread_pool_conf_t  *tcf;

    tcf = (ngx_async_thread_pool_conf_t *)
              ngx_get_conf(cycle->conf_ctx, ngx_async_thread_pool_module);

    return &tcf->pools;
}


static void
ngx_async_thread_pool_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_async_thread_pool_exit) {
        ngx_async_thread_pool_exit(cycle);
    }
}
