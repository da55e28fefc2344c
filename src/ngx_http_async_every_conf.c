
/*
 * Copyright (C) the nginx-async authors
 *
 * The directive async_every, and the shared memory of its schedules and locks.
 * What is made of them: ngx_http_async_every.c.
 */

#include <ngx_http_async_every.h>
#include <ngx_async_near.h>


#define NGX_HTTP_ASYNC_EVERY_MAX    ((ngx_int_t) 365 * 24 * 60 * 60 * 1000)

#define NGX_HTTP_ASYNC_EVERY_ZONE   "async_every "


typedef enum {
    NGX_HTTP_ASYNC_EVERY_WORKER = 0,
    NGX_HTTP_ASYNC_EVERY_OVERLAP,
    NGX_HTTP_ASYNC_EVERY_JITTER,
    NGX_HTTP_ASYNC_EVERY_OPTIONS
} ngx_http_async_every_option_e;


typedef struct {
    ngx_str_t                      name;
    ngx_str_t                      choices[2];
} ngx_http_async_every_option_t;


static char *ngx_http_async_every_option(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_int_t *set);
static char *ngx_http_async_every_value(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_str_t *value, ngx_http_async_every_option_e option, ngx_int_t *set);
static ngx_int_t ngx_http_async_every_one(ngx_conf_t *cf,
    ngx_http_async_every_t *every, ngx_http_async_every_t *others,
    ngx_uint_t n);
static ngx_shm_zone_t *ngx_http_async_every_zone(ngx_conf_t *cf,
    ngx_shm_zone_init_pt init, const char *fmt, ...);
static ngx_int_t ngx_http_async_every_init_schedule(ngx_shm_zone_t *zone,
    void *data);
static ngx_int_t ngx_http_async_every_init_owner(ngx_shm_zone_t *zone,
    void *data);


static ngx_http_async_every_option_t  ngx_http_async_every_options[] = {
    { ngx_string("worker"),  { ngx_string("one"), ngx_string("all") } },
    { ngx_string("overlap"), { ngx_string("skip"), ngx_string("queue") } },
    { ngx_string("jitter"),  { ngx_null_string, ngx_null_string } }
};


char *
ngx_http_async_every(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_main_conf_t  *mcf = conf;

    char                    *rv;
    ngx_int_t                time, set[NGX_HTTP_ASYNC_EVERY_OPTIONS];
    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_http_async_every_t  *every;

    value = cf->args->elts;

    time = ngx_parse_time(&value[1], 0);

    if (time == NGX_ERROR || time == 0 || time > NGX_HTTP_ASYNC_EVERY_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no time from 1ms to 365d", &value[1]);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < NGX_HTTP_ASYNC_EVERY_OPTIONS; i++) {
        set[i] = NGX_CONF_UNSET;
    }

    for (i = 3; i < cf->args->nelts; i++) {
        rv = ngx_http_async_every_option(cf, &value[i], set);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (set[NGX_HTTP_ASYNC_EVERY_JITTER] >= time) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the jitter must be less than \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (mcf->everys == NULL) {
        mcf->everys = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_http_async_every_t));
        if (mcf->everys == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    every = ngx_array_push(mcf->everys);
    if (every == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(every, sizeof(ngx_http_async_every_t));

    every->ref = ngx_http_async_app_ref(cf, &value[2], ASYNC_KIND_PERIODIC);
    every->interval = time;
    every->jitter = ngx_max(set[NGX_HTTP_ASYNC_EVERY_JITTER], 0);
    every->all = (set[NGX_HTTP_ASYNC_EVERY_WORKER] == 1);
    every->queue = (set[NGX_HTTP_ASYNC_EVERY_OVERLAP] == 1);

    return every->ref ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_async_every_option(ngx_conf_t *cf, ngx_str_t *arg, ngx_int_t *set)
{
    u_char            *last, *p;
    ngx_str_t          name, value, *known;
    ngx_uint_t         i;
    ngx_async_near_t   near;

    last = arg->data + arg->len;
    p = ngx_strlchr(arg->data, last, '=');

    name.data = arg->data;
    name.len = (p ? p : last) - arg->data;

    ngx_async_near_init(&near, &name);

    for (i = 0; i < NGX_HTTP_ASYNC_EVERY_OPTIONS; i++) {
        known = &ngx_http_async_every_options[i].name;

        if (p && name.len == known->len
            && ngx_strncmp(name.data, known->data, name.len) == 0)
        {
            value.data = p + 1;
            value.len = last - value.data;

            return ngx_http_async_every_value(cf, arg, &value, i, set);
        }

        ngx_async_near_offer(&near, known);
    }

    if (near.best) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", did you mean \"%V=\"?",
                           arg, near.best);
        return NGX_CONF_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", it takes \"worker=\", "
                       "\"overlap=\" and \"jitter=\"", arg);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_async_every_value(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *value,
    ngx_http_async_every_option_e option, ngx_int_t *set)
{
    ngx_str_t        *choices;
    ngx_uint_t        i;
    const ngx_str_t  *near;

    choices = ngx_http_async_every_options[option].choices;

    if (set[option] != NGX_CONF_UNSET) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V=\" is there twice",
                           &ngx_http_async_every_options[option].name);
        return NGX_CONF_ERROR;
    }

    if (option == NGX_HTTP_ASYNC_EVERY_JITTER) {
        set[option] = ngx_parse_time(value, 0);

        if (set[option] == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid time in \"%V\"", arg);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    for (i = 0; i < 2; i++) {
        if (value->len == choices[i].len
            && ngx_strncmp(value->data, choices[i].data, value->len) == 0)
        {
            set[option] = i;
            return NGX_CONF_OK;
        }
    }

    near = ngx_async_near(value, choices, 2);

    if (near) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value in \"%V\", did you mean \"%V\"?",
                           arg, near);
        return NGX_CONF_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value in \"%V\", it is \"%V\" or \"%V\"", arg,
                       &choices[0], &choices[1]);

    return NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_async_every_resolve(ngx_conf_t *cf, ngx_http_async_main_conf_t *mcf)
{
    ngx_uint_t               i;
    ngx_http_async_every_t  *every;

    if (mcf->everys == NULL) {
        return NGX_OK;
    }

    every = mcf->everys->elts;

    for (i = 0; i < mcf->everys->nelts; i++) {
        if (ngx_http_async_every_one(cf, &every[i], every, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Beside n others that have been resolved before */

static ngx_int_t
ngx_http_async_every_one(ngx_conf_t *cf, ngx_http_async_every_t *every,
    ngx_http_async_every_t *others, ngx_uint_t n)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    name = &every->ref->fn->name;

    for (i = 0; i < n; i++) {

        if (others[i].ref->fn != every->ref->fn) {
            continue;
        }

        if (others[i].interval == every->interval) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%V\" is run every %M ms already, by %s:%ui, in "
                          "%s:%ui", name, every->interval, others[i].ref->file,
                          others[i].ref->line, every->ref->file,
                          every->ref->line);
            return NGX_ERROR;
        }

        if (!every->all && others[i].lock) {
            every->lock = others[i].lock;
        }
    }

    every->zone = ngx_http_async_every_zone(cf,
                                            ngx_http_async_every_init_schedule,
                                            "%V %M", name, every->interval);
    if (every->zone == NULL) {
        return NGX_ERROR;
    }

    if (every->all || every->lock) {
        return NGX_OK;
    }

    every->lock = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_every_lock_t));
    if (every->lock == NULL) {
        return NGX_ERROR;
    }

    every->lock->zone = ngx_http_async_every_zone(cf,
                                               ngx_http_async_every_init_owner,
                                               "%V", name);

    return every->lock->zone ? NGX_OK : NGX_ERROR;
}


/* Names are what the next configuration finds its zones by. */

static ngx_shm_zone_t *
ngx_http_async_every_zone(ngx_conf_t *cf, ngx_shm_zone_init_pt init,
    const char *fmt, ...)
{
    u_char          *p, name[NGX_MAX_CONF_ERRSTR];
    va_list          args;
    ngx_str_t        zone_name;
    ngx_shm_zone_t  *zone;

    p = ngx_cpymem(name, NGX_HTTP_ASYNC_EVERY_ZONE,
                   sizeof(NGX_HTTP_ASYNC_EVERY_ZONE) - 1);

    va_start(args, fmt);
    p = ngx_vslprintf(p, name + sizeof(name), fmt, args);
    va_end(args);

    zone_name.len = p - name;
    zone_name.data = ngx_pnalloc(cf->pool, zone_name.len + 1);

    if (zone_name.data == NULL) {
        return NULL;
    }

    ngx_memcpy(zone_name.data, name, zone_name.len);
    zone_name.data[zone_name.len] = '\0';

    zone = ngx_shared_memory_add(cf, &zone_name, 8 * ngx_pagesize,
                                 &ngx_http_async_module);
    if (zone) {
        zone->init = init;
    }

    return zone;
}


static ngx_int_t
ngx_http_async_every_init_schedule(ngx_shm_zone_t *zone, void *data)
{
    zone->data = data ? data
                      : ngx_slab_calloc((ngx_slab_pool_t *) zone->shm.addr,
                                      sizeof(ngx_http_async_every_schedule_t));

    return zone->data ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_async_every_init_owner(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_async_every_owner_t  *owner;

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    owner = ngx_slab_calloc((ngx_slab_pool_t *) zone->shm.addr,
                            sizeof(ngx_http_async_every_owner_t));
    if (owner == NULL
        || ngx_async_robust_init(&owner->mutex, zone->shm.log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    zone->data = owner;

    return NGX_OK;
}
