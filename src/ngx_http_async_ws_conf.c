
/*
 * Copyright (C) the nginx-async authors
 *
 * The directives async_websocket_..., see ngx_http_async_ws.h.  A module of its
 * own, so that its settings stand beside those of handlers.
 */

#include <ngx_http_async_ws.h>
#include <ngx_http_async_bound.h>
#include <ngx_async_near.h>


#define NGX_HTTP_ASYNC_WS_MAX_MESSAGE  (16 * 1024 * 1024)
#define NGX_HTTP_ASYNC_WS_BUFFER       (64 * 1024)
#define NGX_HTTP_ASYNC_WS_BUFFER_MIN   1024
#define NGX_HTTP_ASYNC_WS_PING         20000
#define NGX_HTTP_ASYNC_WS_CLOSE        10000

#define NGX_HTTP_ASYNC_WS_LEVEL        1
#define NGX_HTTP_ASYNC_WS_WINDOW       15
#define NGX_HTTP_ASYNC_WS_DEFLATE_MIN  256
#define NGX_HTTP_ASYNC_WS_MEMORY       (32 * 1024 * 1024)


/* An argument "name=value", or "name" alone, of a directive. */

typedef struct {
    ngx_str_t    name;
    char      *(*set)(ngx_conf_t *cf, void *conf, ngx_str_t *value);
} ngx_http_async_ws_option_t;


static void ngx_http_async_ws_exit_process(ngx_cycle_t *cycle);
static void *ngx_http_async_ws_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_async_ws_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_async_ws_ping(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_async_ws_pong_time(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
static char *ngx_http_async_ws_origins(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_async_ws_origin_refused(ngx_conf_t *cf,
    ngx_str_t *value);
static char *ngx_http_async_ws_deflates(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_async_ws_takeover(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
static char *ngx_http_async_ws_level(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
static char *ngx_http_async_ws_window(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
static char *ngx_http_async_ws_min(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
static char *ngx_http_async_ws_memory(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
static char *ngx_http_async_ws_number(ngx_conf_t *cf, const char *name,
    ngx_str_t *value, ngx_int_t low, ngx_int_t high, ngx_int_t *n);
static char *ngx_http_async_ws_size(ngx_conf_t *cf, const char *name,
    ngx_str_t *value, size_t *size);
static char *ngx_http_async_ws_option(ngx_conf_t *cf,
    ngx_http_async_ws_option_t *options, void *conf, ngx_str_t *arg);
static u_char *ngx_http_async_ws_names(u_char *p, u_char *last,
    ngx_http_async_ws_option_t *option);
static ngx_uint_t ngx_http_async_ws_is(ngx_str_t *value, const char *word);
static char *ngx_http_async_ws_check_buffer(ngx_conf_t *cf, void *post,
    void *data);


static ngx_conf_post_t  ngx_http_async_ws_buffer_post = {
    ngx_http_async_ws_check_buffer
};


static ngx_http_async_ws_option_t  ngx_http_async_ws_ping_options[] = {
    { ngx_string("timeout="), ngx_http_async_ws_pong_time },
    { ngx_null_string, NULL }
};


static ngx_http_async_ws_option_t  ngx_http_async_ws_deflate_options[] = {
    { ngx_string("takeover"), ngx_http_async_ws_takeover },
    { ngx_string("level="), ngx_http_async_ws_level },
    { ngx_string("window="), ngx_http_async_ws_window },
    { ngx_string("min="), ngx_http_async_ws_min },
    { ngx_string("memory="), ngx_http_async_ws_memory },
    { ngx_null_string, NULL }
};


static ngx_str_t  ngx_http_async_ws_same = ngx_string("same");


static ngx_command_t  ngx_http_async_ws_commands[] = {

    { ngx_string("async_websocket_max_message"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_ws_conf_t, max_message),
      &ngx_http_async_size_bound },

    { ngx_string("async_websocket_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_ws_conf_t, buffer),
      &ngx_http_async_ws_buffer_post },

    { ngx_string("async_websocket_ping"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_async_ws_ping,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_websocket_close_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_ws_conf_t, close_timeout),
      &ngx_http_async_time_bound },

    { ngx_string("async_websocket_release"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_ws_conf_t, release),
      NULL },

    { ngx_string("async_websocket_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_async_ws_origins,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_websocket_deflate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_async_ws_deflates,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_async_ws_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_async_ws_create_loc_conf,     /* create location configuration */
    ngx_http_async_ws_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_async_ws_module = {
    NGX_MODULE_V1,
    &ngx_http_async_ws_module_ctx,         /* module context */
    ngx_http_async_ws_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_async_ws_exit_process,        /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void
ngx_http_async_ws_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_async_ws_deflate_exit();
}


static void *
ngx_http_async_ws_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_async_ws_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_ws_conf_t));

    if (conf == NULL) {
        return NULL;
    }

    conf->max_message = NGX_CONF_UNSET_SIZE;
    conf->buffer = NGX_CONF_UNSET_SIZE;
    conf->ping = NGX_CONF_UNSET_MSEC;
    conf->pong = NGX_CONF_UNSET_MSEC;
    conf->close_timeout = NGX_CONF_UNSET_MSEC;
    conf->release = NGX_CONF_UNSET;
    conf->deflate.on = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_async_ws_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_async_ws_conf_t  *prev = parent;
    ngx_http_async_ws_conf_t  *conf = child;

    ngx_str_t  *same;

    ngx_conf_merge_size_value(conf->max_message, prev->max_message,
                              NGX_HTTP_ASYNC_WS_MAX_MESSAGE);
    ngx_conf_merge_size_value(conf->buffer, prev->buffer,
                              NGX_HTTP_ASYNC_WS_BUFFER);
    ngx_conf_merge_msec_value(conf->ping, prev->ping,
                              NGX_HTTP_ASYNC_WS_PING);
    ngx_conf_merge_msec_value(conf->pong, prev->pong,
                              NGX_HTTP_ASYNC_WS_PING);
    ngx_conf_merge_msec_value(conf->close_timeout, prev->close_timeout,
                              NGX_HTTP_ASYNC_WS_CLOSE);

    ngx_conf_merge_value(conf->release, prev->release, 0);

    if (conf->deflate.on == NGX_CONF_UNSET) {
        conf->deflate = prev->deflate;
    }

    if (conf->deflate.on == NGX_CONF_UNSET) {
        conf->deflate.on = 0;
    }

    if (conf->origins == NULL) {
        conf->origins = prev->origins;
    }

    if (conf->origins) {
        return NGX_CONF_OK;
    }

    conf->origins = ngx_array_create(cf->pool, 1, sizeof(ngx_str_t));
    if (conf->origins == NULL) {
        return NGX_CONF_ERROR;
    }

    same = ngx_array_push(conf->origins);
    *same = ngx_http_async_ws_same;

    /* the same for all locations of the server */
    prev->origins = conf->origins;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_ws_ping(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_ws_conf_t  *wcf = conf;

    ngx_str_t  *value;

    if (wcf->ping != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    wcf->ping = ngx_parse_time(&value[1], 0);

    if (!ngx_http_async_is_time(wcf->ping)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is no time: pings are "
                           "sent after \"20s\" of silence, with \"0\" never",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    wcf->pong = NGX_HTTP_ASYNC_WS_PING;

    return (cf->args->nelts == 2) ? NGX_CONF_OK
               : ngx_http_async_ws_option(cf, ngx_http_async_ws_ping_options,
                                          wcf, &value[2]);
}


static char *
ngx_http_async_ws_pong_time(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_http_async_ws_conf_t  *wcf = conf;

    if (wcf->ping == 0) {
        return "has \"timeout=\" without pings";
    }

    wcf->pong = ngx_parse_time(value, 0);

    if (!ngx_http_async_is_time(wcf->pong) || wcf->pong == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"timeout=%V\" is no time in which a ping could "
                           "be answered", value);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_async_ws_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_ws_conf_t  *wcf = conf;

    ngx_str_t                   *value, *to;
    ngx_uint_t                   i;
    ngx_http_async_ws_origin_t   origin;

    if (wcf->origins) {
        return "is duplicate";
    }

    value = cf->args->elts;

    wcf->origins = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                    sizeof(ngx_str_t));
    if (wcf->origins == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_async_ws_is(&value[i], "any")) {

            if (cf->args->nelts > 2) {
                return "has \"any\", which is all origins, beside others";
            }

        } else if (!ngx_http_async_ws_is(&value[i], "same")
                   && !ngx_http_async_ws_is(&value[i], "null")
                   && ngx_http_async_ws_origin(&value[i], &origin) != NGX_OK)
        {
            return ngx_http_async_ws_origin_refused(cf, &value[i]);
        }

        to = ngx_array_push(wcf->origins);
        if (to == NULL) {
            return NGX_CONF_ERROR;
        }

        *to = value[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_async_ws_origin_refused(ngx_conf_t *cf, ngx_str_t *value)
{
    const ngx_str_t   *near;
    static ngx_str_t   words[] = {
        ngx_string("same"), ngx_string("any"), ngx_string("null")
    };

    near = ngx_http_async_ws_is(value, "*") ? &words[1]
                                            : ngx_async_near(value, words, 3);
    if (near) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no origin, did you mean \"%V\"?",
                           value, near);
    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no origin: it is as "
                           "\"https://example.com\" or "
                           "\"http://localhost:8080\", without a path; or "
                           "\"same\", \"any\"", value);
    }

    return NGX_CONF_ERROR;
}


static char *
ngx_http_async_ws_deflates(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_async_ws_conf_t  *wcf = conf;

    char                              *rv;
    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_http_async_ws_deflate_conf_t  *dcf;

    dcf = &wcf->deflate;

    if (dcf->on != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    dcf->on = ngx_http_async_ws_is(&value[1], "on");

    if (!dcf->on && !ngx_http_async_ws_is(&value[1], "off")) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid value \"%V\": the "
                           "first argument is \"on\" or \"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (!dcf->on) {
        return (cf->args->nelts == 2) ? NGX_CONF_OK
                                      : "has parameters beside \"off\"";
    }

    dcf->level = NGX_HTTP_ASYNC_WS_LEVEL;
    dcf->window_bits = NGX_HTTP_ASYNC_WS_WINDOW;
    dcf->min = NGX_HTTP_ASYNC_WS_DEFLATE_MIN;
    dcf->memory = NGX_HTTP_ASYNC_WS_MEMORY;

    for (i = 2; i < cf->args->nelts; i++) {

        rv = ngx_http_async_ws_option(cf, ngx_http_async_ws_deflate_options,
                                      dcf, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_async_ws_takeover(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_http_async_ws_deflate_conf_t  *dcf = conf;

    dcf->takeover = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_ws_level(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_http_async_ws_deflate_conf_t  *dcf = conf;

    return ngx_http_async_ws_number(cf, "level", value, 1, 9, &dcf->level);
}


/* zlib has no raw deflate with a window of 8 bits */

static char *
ngx_http_async_ws_window(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_http_async_ws_deflate_conf_t  *dcf = conf;

    return ngx_http_async_ws_number(cf, "window", value, 9, 15,
                                    &dcf->window_bits);
}


static char *
ngx_http_async_ws_min(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_http_async_ws_deflate_conf_t  *dcf = conf;

    return ngx_http_async_ws_size(cf, "min", value, &dcf->min);
}


static char *
ngx_http_async_ws_memory(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_http_async_ws_deflate_conf_t  *dcf = conf;

    return ngx_http_async_ws_size(cf, "memory", value, &dcf->memory);
}


static char *
ngx_http_async_ws_number(ngx_conf_t *cf, const char *name, ngx_str_t *value,
    ngx_int_t low, ngx_int_t high, ngx_int_t *n)
{
    *n = ngx_atoi(value->data, value->len);

    if (*n >= low && *n <= high) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%s=%V\" must be a number from %i to %i", name,
                       value, low, high);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_async_ws_size(ngx_conf_t *cf, const char *name, ngx_str_t *value,
    size_t *size)
{
    off_t  n;

    /* ngx_parse_size() knows no "g" */
    n = ngx_parse_offset(value);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%s=%V\" is no size", name,
                           value);
        return NGX_CONF_ERROR;
    }

    *size = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_async_ws_option(ngx_conf_t *cf, ngx_http_async_ws_option_t *options,
    void *conf, ngx_str_t *arg)
{
    u_char                      *eq, *names, list[128];
    ngx_str_t                    name, value;
    ngx_async_near_t             near;
    ngx_http_async_ws_option_t  *option;

    eq = ngx_strlchr(arg->data, arg->data + arg->len, '=');

    name.data = arg->data;
    name.len = eq ? (size_t) (eq + 1 - arg->data) : arg->len;

    value.data = arg->data + name.len;
    value.len = arg->len - name.len;

    ngx_async_near_init(&near, &name);

    for (option = options; option->name.len; option++) {

        if (name.len == option->name.len
            && ngx_strncmp(name.data, option->name.data, name.len) == 0)
        {
            /* what it gives is a text of its own, no part of the value */
            /* cppcheck-suppress returnDanglingLifetime */
            return option->set(cf, conf, &value);
        }

        ngx_async_near_offer(&near, &option->name);
    }

    if (near.best) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", did you mean \"%V\"?",
                           arg, near.best);
        return NGX_CONF_ERROR;
    }

    names = ngx_http_async_ws_names(list, list + sizeof(list), options);

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\": there is %*s", arg,
                       (size_t) (names - list), list);

    return NGX_CONF_ERROR;
}


static u_char *
ngx_http_async_ws_names(u_char *p, u_char *last,
    ngx_http_async_ws_option_t *option)
{
    for ( /* void */ ; option->name.len; option++) {
        p = ngx_slprintf(p, last, "\"%V\"%s", &option->name,
                         option[1].name.len ? ", " : "");
    }

    return p;
}


static ngx_uint_t
ngx_http_async_ws_is(ngx_str_t *value, const char *word)
{
    return value->len == ngx_strlen(word)
           && ngx_strncmp(value->data, word, value->len) == 0;
}


static char *
ngx_http_async_ws_check_buffer(ngx_conf_t *cf, void *post, void *data)
{
    size_t  *size = data;

    if (*size < NGX_HTTP_ASYNC_WS_BUFFER_MIN) {
        return "must be 1k at least";
    }

    return (*size <= NGX_HTTP_ASYNC_SIZE_MAX) ? NGX_CONF_OK : "is too large";
}
