
/*
 * Copyright (C) the nginx-async authors
 *
 * The directives async_fetch_..., see ngx_http_async_client.h.  A module of
 * its own, so that its settings stand beside those of handlers.
 */

#include <ngx_http_async_client.h>
#include <ngx_http_async_bound.h>


/* as httpx has it */
#define NGX_HTTP_ASYNC_CLIENT_TIMEOUT  5000
#define NGX_HTTP_ASYNC_CLIENT_KEEP     32
#define NGX_HTTP_ASYNC_CLIENT_IDLE     60000

#define NGX_HTTP_ASYNC_CLIENT_HEAD     (32 * 1024)
#define NGX_HTTP_ASYNC_CLIENT_BODY     (1024 * 1024)


static void *ngx_http_async_client_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_async_client_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_async_client_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_async_client_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_async_client_keepalive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
#if (NGX_SSL)
static char *ngx_http_async_client_merge_ssl(ngx_conf_t *cf,
    ngx_http_async_client_conf_t *prev, ngx_http_async_client_conf_t *conf);
static ngx_int_t ngx_http_async_client_trust(ngx_conf_t *cf,
    ngx_http_async_client_conf_t *conf);
static ngx_uint_t ngx_http_async_client_hashed(const char *dir);
#endif


#if (NGX_SSL)

static ngx_conf_bitmask_t  ngx_http_async_client_protocols[] = {
    { ngx_string("TLSv1.2"), NGX_SSL_TLSv1_2 },
    { ngx_string("TLSv1.3"), NGX_SSL_TLSv1_3 },
    { ngx_null_string, 0 }
};

#endif


static ngx_command_t  ngx_http_async_client_commands[] = {

    { ngx_string("async_fetch_connect_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, connect_timeout),
      &ngx_http_async_time_bound },

    { ngx_string("async_fetch_read_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, read_timeout),
      &ngx_http_async_time_bound },

    { ngx_string("async_fetch_send_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, send_timeout),
      &ngx_http_async_time_bound },

    { ngx_string("async_fetch_max_head"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, max_head),
      &ngx_http_async_size_bound },

    { ngx_string("async_fetch_max_body"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, max_body),
      &ngx_http_async_size_bound },

    { ngx_string("async_fetch_keepalive"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_async_client_keepalive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_fetch_allow"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_async_client_rule,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_fetch_deny"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_async_client_rule,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

#if (NGX_SSL)

    { ngx_string("async_fetch_ssl_verify"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, ssl_verify),
      NULL },

    { ngx_string("async_fetch_ssl_trusted_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, ssl_trusted_certificate),
      NULL },

    { ngx_string("async_fetch_ssl_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, ssl_certificate),
      NULL },

    { ngx_string("async_fetch_ssl_certificate_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, ssl_certificate_key),
      NULL },

    { ngx_string("async_fetch_ssl_protocols"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_conf_set_bitmask_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, ssl_protocols),
      &ngx_http_async_client_protocols },

    { ngx_string("async_fetch_ssl_ciphers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_async_client_conf_t, ssl_ciphers),
      NULL },

#endif

      ngx_null_command
};


static ngx_http_module_t  ngx_http_async_client_module_ctx = {
    NULL,                                      /* preconfiguration */
    NULL,                                      /* postconfiguration */

    ngx_http_async_client_create_main_conf,    /* create main configuration */
    ngx_http_async_client_init_main_conf,      /* init main configuration */

    NULL,                                      /* create server configuration */
    NULL,                                      /* merge server configuration */

    ngx_http_async_client_create_loc_conf,     /* create location conf. */
    ngx_http_async_client_merge_loc_conf       /* merge location conf. */
};


ngx_module_t  ngx_http_async_client_module = {
    NGX_MODULE_V1,
    &ngx_http_async_client_module_ctx,         /* module context */
    ngx_http_async_client_commands,            /* module directives */
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


/* of the http block; in workers */
static ngx_http_conf_ctx_t  *ngx_http_async_client_ctx;


static void *
ngx_http_async_client_create_main_conf(ngx_conf_t *cf)
{
    ngx_async_conn_keep_t  *keep;

    keep = ngx_palloc(cf->pool, sizeof(ngx_async_conn_keep_t));

    if (keep) {
        keep->max = NGX_CONF_UNSET_UINT;
        keep->idle = NGX_CONF_UNSET_MSEC;
    }

    return keep;
}


/* Settings of the http block are merged only into those of servers. */

static char *
ngx_http_async_client_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_async_conn_keep_t  *keep = conf;

    void  *none, *http;

    ngx_conf_init_uint_value(keep->max, NGX_HTTP_ASYNC_CLIENT_KEEP);
    ngx_conf_init_msec_value(keep->idle, NGX_HTTP_ASYNC_CLIENT_IDLE);

    http = ngx_http_conf_get_module_loc_conf(cf, ngx_http_async_client_module);
    none = ngx_http_async_client_create_loc_conf(cf);

    return none ? ngx_http_async_client_merge_loc_conf(cf, none, http)
                : NGX_CONF_ERROR;
}


static void *
ngx_http_async_client_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_async_client_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_async_client_conf_t));

    if (conf == NULL) {
        return NULL;
    }

    conf->connect_timeout = NGX_CONF_UNSET_MSEC;
    conf->read_timeout = NGX_CONF_UNSET_MSEC;
    conf->send_timeout = NGX_CONF_UNSET_MSEC;
    conf->max_head = NGX_CONF_UNSET_SIZE;
    conf->max_body = NGX_CONF_UNSET_SIZE;

#if (NGX_SSL)
    conf->ssl_verify = NGX_CONF_UNSET;
#endif

    return conf;
}


static char *
ngx_http_async_client_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_async_client_conf_t  *prev = parent;
    ngx_http_async_client_conf_t  *conf = child;

    ngx_conf_merge_msec_value(conf->connect_timeout, prev->connect_timeout,
                              NGX_HTTP_ASYNC_CLIENT_TIMEOUT);
    ngx_conf_merge_msec_value(conf->read_timeout, prev->read_timeout,
                              NGX_HTTP_ASYNC_CLIENT_TIMEOUT);
    ngx_conf_merge_msec_value(conf->send_timeout, prev->send_timeout,
                              NGX_HTTP_ASYNC_CLIENT_TIMEOUT);

    ngx_conf_merge_size_value(conf->max_head, prev->max_head,
                              NGX_HTTP_ASYNC_CLIENT_HEAD);
    ngx_conf_merge_size_value(conf->max_body, prev->max_body,
                              NGX_HTTP_ASYNC_CLIENT_BODY);

    if (conf->rules == NULL) {
        conf->rules = prev->rules;
    }

#if (NGX_SSL)
    return ngx_http_async_client_merge_ssl(cf, prev, conf);
#else
    return NGX_CONF_OK;
#endif
}


static char *
ngx_http_async_client_keepalive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_conn_keep_t  *keep = conf;

    ngx_int_t   n;
    ngx_str_t  *value, time;

    if (keep->max != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR) {
        return "takes a number of connections, 0 for none";
    }

    keep->max = n;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "timeout=", 8) == 0) {
        time.data = value[2].data + 8;
        time.len = value[2].len - 8;

        keep->idle = ngx_parse_time(&time, 0);

        if (ngx_http_async_is_time(keep->idle) && keep->idle) {
            return NGX_CONF_OK;
        }
    }

    return "takes a second argument like \"timeout=60s\"";
}


#if (NGX_SSL)

static char *
ngx_http_async_client_merge_ssl(ngx_conf_t *cf,
    ngx_http_async_client_conf_t *prev, ngx_http_async_client_conf_t *conf)
{
    ngx_uint_t           own;
    ngx_pool_cleanup_t  *cln;

    ngx_conf_merge_value(conf->ssl_verify, prev->ssl_verify, 1);

    own = prev->ssl == NULL
          || conf->ssl_protocols || conf->ssl_ciphers.data
          || conf->ssl_trusted_certificate.data || conf->ssl_certificate.data
          || conf->ssl_certificate_key.data;

    ngx_conf_merge_bitmask_value(conf->ssl_protocols, prev->ssl_protocols,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3));
    ngx_conf_merge_str_value(conf->ssl_ciphers, prev->ssl_ciphers, "DEFAULT");
    ngx_conf_merge_str_value(conf->ssl_trusted_certificate,
                             prev->ssl_trusted_certificate, "");

    if (conf->ssl_certificate.data == NULL
        && conf->ssl_certificate_key.data == NULL)
    {
        conf->ssl_certificate = prev->ssl_certificate;
        conf->ssl_certificate_key = prev->ssl_certificate_key;
    }

    if (!own) {
        conf->ssl = prev->ssl;
        return NGX_CONF_OK;
    }

    if ((conf->ssl_certificate.len != 0)
        != (conf->ssl_certificate_key.len != 0))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "async_fetch_ssl_certificate and "
                      "async_fetch_ssl_certificate_key belong together: there "
                      "is only \"%V\"", conf->ssl_certificate.len
                      ? &conf->ssl_certificate : &conf->ssl_certificate_key);
        return NGX_CONF_ERROR;
    }

    conf->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (conf->ssl == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->ssl->log = cf->log;

    if (ngx_ssl_create(conf->ssl, conf->ssl_protocols, NULL) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(conf->ssl);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = conf->ssl;

    if (ngx_ssl_ciphers(cf, conf->ssl, &conf->ssl_ciphers, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (conf->ssl_certificate.len
        && ngx_ssl_certificate(cf, conf->ssl, &conf->ssl_certificate,
                               &conf->ssl_certificate_key, NULL) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return (ngx_http_async_client_trust(cf, conf) == NGX_OK) ? NGX_CONF_OK
                                                             : NGX_CONF_ERROR;
}


/*
 * Whom to trust: a file, or what the system has.  That is read when it is
 * needed where it is a directory of hashed names, as Debian's: to read all of
 * it at every start of nginx would take longer than everything else.
 */

static ngx_int_t
ngx_http_async_client_trust(ngx_conf_t *cf, ngx_http_async_client_conf_t *conf)
{
    X509_LOOKUP  *lookup;

    if (conf->ssl_trusted_certificate.len) {
        return ngx_ssl_trusted_certificate(cf, conf->ssl,
                                           &conf->ssl_trusted_certificate, 10);
    }

    if (ngx_http_async_client_hashed(X509_get_default_cert_dir())) {

        lookup = X509_STORE_add_lookup(SSL_CTX_get_cert_store(conf->ssl->ctx),
                                       X509_LOOKUP_hash_dir());

        if (lookup && X509_LOOKUP_add_dir(lookup, X509_get_default_cert_dir(),
                                          X509_FILETYPE_PEM) == 1)
        {
            return NGX_OK;
        }

    } else if (SSL_CTX_set_default_verify_paths(conf->ssl->ctx) == 1) {
        return NGX_OK;
    }

    ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                  "the certificates that the system trusts cannot be set");

    return NGX_ERROR;
}


/* Whether one file in it has a name like 5ed36f99.0 */

static ngx_uint_t
ngx_http_async_client_hashed(const char *dir)
{
    DIR            *d;
    ngx_uint_t      hashed;
    struct dirent  *e;

    d = opendir(dir);

    if (d == NULL) {
        return 0;
    }

    hashed = 0;

    while (!hashed && (e = readdir(d)) != NULL) {
        hashed = (strspn(e->d_name, "0123456789abcdef") == 8
                  && ngx_strcmp(e->d_name + 8, ".0") == 0);
    }

    (void) closedir(d);

    return hashed;
}

#endif


void
ngx_http_async_client_init(ngx_cycle_t *cycle)
{
    ngx_http_async_client_ctx = (ngx_http_conf_ctx_t *)
                                ngx_get_conf(cycle->conf_ctx, ngx_http_module);

    ngx_async_conn_init(ngx_http_cycle_get_module_main_conf(cycle,
                                            ngx_http_async_client_module));
}


ngx_http_conf_ctx_t *
ngx_http_async_client_http(void)
{
    return ngx_http_async_client_ctx;
}


ngx_http_async_client_conf_t *
ngx_http_async_client(ngx_async_task_t *t, ngx_resolver_t **resolver,
    ngx_msec_t *resolver_timeout)
{
    void                     **loc_conf;
    async_req_t               *req;
    ngx_http_core_loc_conf_t  *clcf;

    req = ngx_http_async_req_of(t);

    loc_conf = (req == NULL) ? ngx_http_async_client_ctx->loc_conf
               : req->r ? req->r->loc_conf : req->in->loc_conf;

    clcf = loc_conf[ngx_http_core_module.ctx_index];

    *resolver = clcf->resolver;
    *resolver_timeout = (clcf->resolver_timeout == NGX_CONF_UNSET_MSEC)
                        ? 30000 : clcf->resolver_timeout;

    return loc_conf[ngx_http_async_client_module.ctx_index];
}
