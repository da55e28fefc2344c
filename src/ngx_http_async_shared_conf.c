
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_shared, and the shared memory of a dictionary, which is
 * kept over reloads as long as its size is the same.  A module of its own.
 */

#include <ngx_http_async_shared.h>
#include <ngx_http_async_app.h>
#include <sys/random.h>


#define NGX_HTTP_ASYNC_SHARED_MIN   (64 * 1024)
#define NGX_HTTP_ASYNC_SHARED_ZONE  "async_shared "


static void *ngx_http_async_shared_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_async_shared(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_shm_zone_t *ngx_http_async_shared_zone(ngx_conf_t *cf,
    ngx_http_async_shared_t *shared);
static ngx_int_t ngx_http_async_shared_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_int_t ngx_http_async_shared_postconf(ngx_conf_t *cf);
static void ngx_http_async_shared_on_refresh(void);
static ngx_int_t ngx_http_async_shared_init_process(ngx_cycle_t *cycle);


static const ngx_async_stats_field_t  ngx_http_async_shared_fields[] = {
    { NGX_HTTP_ASYNC_SHARED_ITEMS, "items", NGX_ASYNC_STATS_NEWEST,
      NGX_ASYNC_STATS_NUMBER,
      "Values, with those whose time is over until somebody asks for them" },
    { NGX_HTTP_ASYNC_SHARED_USED, "used", NGX_ASYNC_STATS_NEWEST,
      NGX_ASYNC_STATS_BYTES, "Memory that keys and values take" },
    { NGX_HTTP_ASYNC_SHARED_SIZE, "size", NGX_ASYNC_STATS_NEWEST,
      NGX_ASYNC_STATS_BYTES, "Memory that there is for them" },
    { NGX_HTTP_ASYNC_SHARED_HITS, "hits", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Times that a value was there" },
    { NGX_HTTP_ASYNC_SHARED_MISSES, "misses", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Times that none was there" },
    { NGX_HTTP_ASYNC_SHARED_EVICTED, "evicted", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Values that have given way to others" },
    { NGX_HTTP_ASYNC_SHARED_EXPIRED, "expired", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Values found when their time was over" },
    { NGX_HTTP_ASYNC_SHARED_LOADED, "loads", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Values that a loader has given" },
    { NGX_HTTP_ASYNC_SHARED_FAILED, "loads_failed", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Loaders that have failed" },
    { NGX_HTTP_ASYNC_SHARED_WAITED, "load_waits", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Times that the loader of another one was waited"
      " for" },
    { 0, NULL, 0, 0, NULL }
};

static const ngx_async_stats_family_t  ngx_http_async_shared_family = {
    "shared", "dictionary", ngx_http_async_shared_fields
};


static ngx_command_t  ngx_http_async_shared_commands[] = {

    { ngx_string("async_shared"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_async_shared,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_async_shared_module_ctx = {
    NULL,                                   /* preconfiguration */
    ngx_http_async_shared_postconf,         /* postconfiguration */

    ngx_http_async_shared_create_main_conf, /* create main configuration */
    NULL,                                   /* init main configuration */

    NULL,                                   /* create server configuration */
    NULL,                                   /* merge server configuration */

    NULL,                                   /* create location configuration */
    NULL                                    /* merge location configuration */
};


ngx_module_t  ngx_http_async_shared_module = {
    NGX_MODULE_V1,
    &ngx_http_async_shared_module_ctx,      /* module context */
    ngx_http_async_shared_commands,         /* module directives */
    NGX_HTTP_MODULE,                        /* module type */
    NULL,                                   /* init master */
    NULL,                                   /* init module */
    ngx_http_async_shared_init_process,     /* init process */
    NULL,                                   /* init thread */
    NULL,                                   /* exit thread */
    NULL,                                   /* exit process */
    NULL,                                   /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_async_shared_create_main_conf(ngx_conf_t *cf)
{
    return ngx_array_create(cf->pool, 1, sizeof(ngx_http_async_shared_t));
}


static char *
ngx_http_async_shared(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_array_t  *all = conf;

    off_t                     size;
    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_http_async_shared_t  *shared;

    value = cf->args->elts;
    shared = all->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "the name is empty");
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < all->nelts; i++) {
        if (ngx_strcmp(shared[i].name.data, value[1].data) == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "there is an \"async_shared %V\" already",
                               &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    /* ngx_parse_size() knows no "g" */
    size = ngx_parse_offset(&value[2]);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no size, it is one like 10m", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (size < NGX_HTTP_ASYNC_SHARED_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is too small, the least is 64k",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    shared = ngx_array_push(all);

    if (shared == NULL || ngx_async_peers_conf(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(shared, sizeof(ngx_http_async_shared_t));

    shared->name = value[1];
    shared->size = size;
    shared->zone = ngx_http_async_shared_zone(cf, shared);

    return shared->zone ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_shm_zone_t *
ngx_http_async_shared_zone(ngx_conf_t *cf, ngx_http_async_shared_t *shared)
{
    u_char          *p;
    ngx_str_t        name;
    ngx_shm_zone_t  *zone;

    name.len = sizeof(NGX_HTTP_ASYNC_SHARED_ZONE) - 1 + shared->name.len;
    name.data = ngx_pnalloc(cf->pool, name.len + 1);

    if (name.data == NULL) {
        return NULL;
    }

    p = ngx_cpymem(name.data, NGX_HTTP_ASYNC_SHARED_ZONE,
                   sizeof(NGX_HTTP_ASYNC_SHARED_ZONE) - 1);
    *ngx_cpymem(p, shared->name.data, shared->name.len) = '\0';

    zone = ngx_shared_memory_add(cf, &name, shared->size,
                                 &ngx_http_async_shared_module);
    if (zone) {
        zone->init = ngx_http_async_shared_init_zone;
    }

    return zone;
}


/* All of nginx's slab is taken at once: it does not survive a death. */

static ngx_int_t
ngx_http_async_shared_init_zone(ngx_shm_zone_t *zone, void *data)
{
    size_t                         size, head, before;
    uint64_t                       seed[2];
    ngx_slab_pool_t               *pool;
    ngx_http_async_shared_zone_t  *sz;

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    before = ngx_async_peers_resized(zone);

    if (before) {
        ngx_log_error(NGX_LOG_WARN, zone->shm.log, 0,
                      "\"%V\" has another size than before, %uz instead of "
                      "%uz bytes: it begins empty", &zone->shm.name,
                      zone->shm.size, before);
    }

    pool = (ngx_slab_pool_t *) zone->shm.addr;
    size = pool->pfree * ngx_pagesize;

    sz = ngx_slab_alloc(pool, size);
    if (sz == NULL) {
        return NGX_ERROR;
    }

    if (getrandom(seed, sizeof(seed), 0) != sizeof(seed)) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, ngx_errno,
                      "getrandom() failed");
        return NGX_ERROR;
    }

    head = ngx_align(sizeof(ngx_http_async_shared_zone_t),
                     sizeof(ngx_http_async_cell_t));
    sz->cells = (ngx_http_async_cells_t *) ((u_char *) sz + head);

    if (ngx_async_robust_init(&sz->mutex, zone->shm.log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_async_cells_init(sz->cells, size - head, zone->shm.size / 4,
                                  seed) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "\"%V\" is too small", &zone->shm.name);
        return NGX_ERROR;
    }

    zone->data = sz;

    return NGX_OK;
}


/* Once all are known, and stay where they are. */

static ngx_int_t
ngx_http_async_shared_postconf(ngx_conf_t *cf)
{
    ngx_uint_t                   i;
    ngx_array_t                 *all;
    ngx_http_async_shared_t     *shared;
    ngx_http_async_main_conf_t  *mcf;

    all = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_shared_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_module);

    if (mcf->stats.zone == NULL) {
        return NGX_OK;
    }

    shared = all->elts;

    for (i = 0; i < all->nelts; i++) {

        if (ngx_async_stats_add(cf, &mcf->stats, &shared[i].stats,
                                &ngx_http_async_shared_family,
                                &shared[i].name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* What all workers share each of them may tell; without the lock: a glance. */

static void
ngx_http_async_shared_on_refresh(void)
{
    ngx_uint_t                     i;
    ngx_http_async_cells_t        *cells;
    ngx_http_async_shared_t       *shared;
    ngx_http_async_shared_zone_t  *sz;

    shared = ngx_http_async_shared_all->elts;

    for (i = 0; i < ngx_http_async_shared_all->nelts; i++) {

        sz = shared[i].zone->data;
        cells = sz->cells;

        ngx_async_stats_set(&shared[i].stats, NGX_HTTP_ASYNC_SHARED_ITEMS,
                            cells->values.n);
        ngx_async_stats_set(&shared[i].stats, NGX_HTTP_ASYNC_SHARED_SIZE,
                            (uint64_t) (cells->ncells - 1)
                            * sizeof(ngx_http_async_cell_t));
        ngx_async_stats_set(&shared[i].stats, NGX_HTTP_ASYNC_SHARED_USED,
                            (uint64_t) (cells->ncells - 1 - cells->nfree)
                            * sizeof(ngx_http_async_cell_t));
    }
}


static ngx_int_t
ngx_http_async_shared_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                i;
    ngx_array_t              *all;
    ngx_http_async_shared_t  *shared;

    all = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_async_shared_module);

    /* also cache manager and loader come here */

    if (all == NULL || all->nelts == 0
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    shared = all->elts;

    for (i = 0; i < all->nelts; i++) {
        if (shared[i].stats.values == NULL) {
            shared[i].stats = ngx_async_stats_nowhere;
        }
    }

    /* a worker that fails here never comes back; this one has none */

    if (ngx_http_async_shared_load_init(all) != NGX_OK
        || ngx_async_on_stats(ngx_http_async_shared_on_refresh) != NGX_OK)
    {
        ngx_http_async_shared_all = NULL;
    }

    return NGX_OK;
}
