
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_channels, and the shared memory of the log.  A module of
 * its own.
 */

#include <ngx_http_async_channel.h>
#include <ngx_http_async_app.h>
#include <ngx_http_async_pg_pool.h>
#include <ngx_async_near.h>


#define NGX_HTTP_ASYNC_CHANNEL_ZONE  "async_channels"

#define NGX_HTTP_ASYNC_CHANNEL_SIZE  (4 * 1024 * 1024)
#define NGX_HTTP_ASYNC_CHANNEL_MIN   (64 * 1024)
#define NGX_HTTP_ASYNC_CHANNEL_MOST  (1024 * 1024 * 1024)


static void *ngx_http_async_channel_create_conf(ngx_conf_t *cf);
static char *ngx_http_async_channels(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_async_channel_option(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_http_async_channel_conf_t *conf);
static ngx_int_t ngx_http_async_channel_postconf(ngx_conf_t *cf);
static void ngx_http_async_channel_on_refresh(void);
static ngx_int_t ngx_http_async_channel_zone_init(ngx_shm_zone_t *zone,
    void *data);


static const ngx_async_stats_field_t  ngx_http_async_channel_fields[] = {
    { NGX_HTTP_ASYNC_CHANNEL_PUBLISHED, "published", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Messages published here" },
    { NGX_HTTP_ASYNC_CHANNEL_DELIVERED, "delivered", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Messages given to subscribers" },
    { NGX_HTTP_ASYNC_CHANNEL_DROPPED, "dropped", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Messages that subscribers have missed which were too slow" },
    { NGX_HTTP_ASYNC_CHANNEL_OVERRUN, "lost", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Messages overwritten before a worker has read them" },
    { NGX_HTTP_ASYNC_CHANNEL_SUBSCRIBERS, "subscribers",
      NGX_ASYNC_STATS_GAUGE, NGX_ASYNC_STATS_NUMBER, "Subscriptions" },
    { NGX_HTTP_ASYNC_CHANNEL_PG_SENT, "pg_sent", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Messages sent to other machines" },
    { NGX_HTTP_ASYNC_CHANNEL_PG_HEARD, "pg_heard", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Messages of other machines" },
    { NGX_HTTP_ASYNC_CHANNEL_PG_REFUSED, "pg_refused", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Messages refused since too many waited for the database" },
    { NGX_HTTP_ASYNC_CHANNEL_PG_WAITS, "pg_waiting", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Messages that wait for the database" },
    { 0, NULL, 0, 0, NULL }
};

static const ngx_async_stats_family_t  ngx_http_async_channel_family = {
    "channel", NULL, ngx_http_async_channel_fields
};


/* of this worker */
ngx_async_stats_t  *ngx_http_async_channel_stats = &ngx_async_stats_nowhere;


static ngx_str_t  ngx_http_async_channel_names[] = {
    ngx_string("size"),
    ngx_string("pg")
};


static ngx_command_t  ngx_http_async_channel_commands[] = {

    { ngx_string("async_channels"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_async_channels,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_async_channel_module_ctx = {
    NULL,                                      /* preconfiguration */
    ngx_http_async_channel_postconf,           /* postconfiguration */

    ngx_http_async_channel_create_conf,        /* create main configuration */
    NULL,                                      /* init main configuration */

    NULL,                                      /* create server configuration */
    NULL,                                      /* merge server configuration */

    NULL,                                      /* create location conf. */
    NULL                                       /* merge location conf. */
};


ngx_module_t  ngx_http_async_channel_module = {
    NGX_MODULE_V1,
    &ngx_http_async_channel_module_ctx,        /* module context */
    ngx_http_async_channel_commands,           /* module directives */
    NGX_HTTP_MODULE,                           /* module type */
    NULL,                                      /* init master */
    NULL,                                      /* init module */
    NULL,                                      /* init process */
    NULL,                                      /* init thread */
    NULL,                                      /* exit thread */
    NULL,                                      /* exit process */
    NULL,                                      /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_async_channel_create_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_async_channel_conf_t));
}


static char *
ngx_http_async_channels(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_channel_conf_t  *ccf = conf;

    char        *rv;
    size_t       size;
    ngx_str_t   *value, name;
    ngx_uint_t   i;

    if (ccf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_async_channel_option(cf, &value[i], ccf);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    ccf->size = ccf->size ? ccf->size : NGX_HTTP_ASYNC_CHANNEL_SIZE;
    ccf->file = cf->conf_file->file.name.data;
    ccf->line = cf->conf_file->line;

    if (ngx_async_peers_conf(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&name, NGX_HTTP_ASYNC_CHANNEL_ZONE);

    /* the slab has pages of its own, and some bytes for each of ours */
    size = ngx_http_async_channel_log_size(ccf->size);
    size += size / 64 + 16 * ngx_pagesize;

    ccf->zone = ngx_shared_memory_add(cf, &name, size,
                                      &ngx_http_async_channel_module);
    if (ccf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    ccf->zone->init = ngx_http_async_channel_zone_init;
    ccf->zone->data = ccf;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_channel_option(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_http_async_channel_conf_t *conf)
{
    off_t              size;
    ngx_str_t          name, value;
    const ngx_str_t   *near;

    name.data = arg->data;
    name.len = strcspn((char *) arg->data, "=");

    value.data = arg->data + name.len + 1;
    value.len = (name.len < arg->len) ? arg->len - name.len - 1 : 0;

    if (value.len && name.len == 2 && ngx_strncmp(name.data, "pg", 2) == 0) {

        if (conf->pg.len) {
            return "has \"pg=\" twice";
        }

        conf->pg = value;
        return NGX_CONF_OK;
    }

    if (value.len && name.len == 4 && ngx_strncmp(name.data, "size", 4) == 0) {

        if (conf->size) {
            return "has \"size=\" twice";
        }

        /* ngx_parse_size() knows no "g" */
        size = ngx_parse_offset(&value);

        if (size < NGX_HTTP_ASYNC_CHANNEL_MIN
            || size > NGX_HTTP_ASYNC_CHANNEL_MOST)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is no size from 64k to 1g", arg);
            return NGX_CONF_ERROR;
        }

        conf->size = ngx_align(size, 8);
        return NGX_CONF_OK;
    }

    near = ngx_async_near(&name, ngx_http_async_channel_names, 2);

    if (near) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", did you mean \"%V=\"?",
                           arg, near);
        return NGX_CONF_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", it takes \"size=\" and "
                       "\"pg=\"", arg);

    return NGX_CONF_ERROR;
}


/* Once all pools are known. */

static ngx_int_t
ngx_http_async_channel_postconf(ngx_conf_t *cf)
{
    const ngx_str_t                *near;
    ngx_http_async_main_conf_t     *mcf;
    ngx_http_async_channel_conf_t  *ccf;

    ccf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_channel_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_module);

    if (ccf->zone
        && ngx_async_stats_add_one(cf, &mcf->stats,
                                   &ngx_http_async_channel_family) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ccf->pg.len == 0 || ngx_http_async_pg_known(cf, &ccf->pg, &near)) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "there is no \"async_pg %V\" for \"async_channels\" in "
                  "%s:%ui%s%V%s", &ccf->pg, ccf->file, ccf->line,
                  near ? ", did you mean \"" : "",
                  near ? near : &(ngx_str_t) ngx_null_string,
                  near ? "\"?" : "");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_async_channel_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_async_channel_log_t   *log;
    ngx_http_async_channel_conf_t  *ccf;

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    ccf = zone->data;

    if (ngx_async_peers_resized(zone)) {
        ngx_log_error(NGX_LOG_WARN, zone->shm.log, 0,
                      "\"async_channels\" has another size than before: old "
                      "and new workers do not hear of each other");
    }

    log = ngx_slab_calloc((ngx_slab_pool_t *) zone->shm.addr,
                          ngx_http_async_channel_log_size(ccf->size));

    if (log == NULL
        || ngx_http_async_channel_log_init(log, ccf->size, zone->shm.log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    zone->data = log;

    return NGX_OK;
}


ngx_int_t
ngx_http_async_channel_init(ngx_cycle_t *cycle, ngx_async_stats_set_t *stats)
{
    ngx_http_async_channel_log_t   *log;
    ngx_http_async_channel_conf_t  *ccf;

    ccf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_async_channel_module);

    if (ccf == NULL || ccf->zone == NULL) {
        return NGX_OK;
    }

    ngx_http_async_channel_stats = ngx_async_stats_one(stats,
                                             &ngx_http_async_channel_family);

    if (ngx_async_on_stats(ngx_http_async_channel_on_refresh) != NGX_OK) {
        return NGX_ERROR;
    }

    log = ccf->zone->data;

    if (ngx_process == NGX_PROCESS_SINGLE) {
        /* a reload takes the zones of the process that runs on */

        log = ngx_pcalloc(cycle->pool,
                          ngx_http_async_channel_log_size(ccf->size));

        if (log == NULL
            || ngx_http_async_channel_log_init(log, ccf->size, cycle->log)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_async_channel_hub_init(cycle, log) != NGX_OK) {
        return NGX_ERROR;
    }

    return ccf->pg.len ? ngx_http_async_channel_pg_init(cycle, &ccf->pg, log)
                       : NGX_OK;
}


static void
ngx_http_async_channel_on_refresh(void)
{
    ngx_async_stats_set(ngx_http_async_channel_stats,
                        NGX_HTTP_ASYNC_CHANNEL_PG_WAITS,
                        ngx_http_async_channel_pg_waits());
}


void
ngx_http_async_channel_exit(void)
{
    if (ngx_http_async_channel_pg_on) {
        ngx_http_async_channel_pg_exit();
    }

    ngx_http_async_channel_hub_exit();
}
