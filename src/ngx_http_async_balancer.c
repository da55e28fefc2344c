
/*
 * Copyright (C) the nginx-async authors
 *
 * Balancers of nginx, for tasks: see ngx_http_async_balancer.h.
 */

#include <ngx_http_async_balancer.h>
#include <ngx_http_async_field.h>


struct ngx_http_async_balancer_s {
    ngx_http_request_t             r;
    ngx_http_upstream_t            u;
    ngx_connection_t               c;
    ngx_http_upstream_srv_conf_t  *us;
    ngx_async_task_t              *task;
    ngx_pool_t                    *pool;
    ngx_int_t                      rc;
    ngx_uint_t                     state;
};


static void ngx_http_async_balancer_init(void *data);
static ngx_int_t ngx_http_async_balancer_copy(ngx_http_async_balancer_t *b,
    async_req_t *req);
static ngx_int_t ngx_http_async_balancer_request(ngx_http_async_balancer_t *b,
    async_req_t *req);
static ngx_int_t ngx_http_async_balancer_known(ngx_http_request_t *r,
    ngx_pool_t *pool);
static void ngx_http_async_balancer_get(void *data);
static void ngx_http_async_balancer_put(void *data);


/* "keepalive ... local" tells whose connections are whose by this */
static ngx_http_upstream_conf_t  ngx_http_async_balancer_conf;


ngx_http_upstream_srv_conf_t *
ngx_http_async_upstream(ngx_str_t *name)
{
    ngx_uint_t                       i;
    ngx_http_upstream_srv_conf_t   **us;
    ngx_http_upstream_main_conf_t   *umcf;

    umcf = ngx_http_async_client_http()
           ->main_conf[ngx_http_upstream_module.ctx_index];

    us = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        /* others are those that nginx has made for addresses */

        if ((us[i]->flags & NGX_HTTP_UPSTREAM_CREATE)
            && us[i]->host.len == name->len
            && ngx_strncasecmp(us[i]->host.data, name->data, name->len) == 0)
        {
            return us[i];
        }
    }

    return NULL;
}


ngx_http_async_balancer_t *
ngx_http_async_balancer(ngx_async_task_t *t, ngx_http_upstream_srv_conf_t *us)
{
    ngx_pool_t                 *pool;
    ngx_http_async_balancer_t  *b;

    /* balancers never free what they allocate */

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, t->log);
    if (pool == NULL) {
        return NULL;
    }

    b = ngx_pcalloc(pool, sizeof(ngx_http_async_balancer_t));
    if (b == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    b->us = us;
    b->task = t;
    b->pool = pool;
    b->rc = NGX_ERROR;

    ngx_async_on_loop(ngx_http_async_balancer_init, b);

    if (b->rc != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return b;
}


static void
ngx_http_async_balancer_init(void *data)
{
    ngx_http_async_balancer_t  *b = data;

    ngx_int_t     rc;
    async_req_t  *req;

    req = ngx_http_async_req_of(b->task);

    rc = (req && req->own == NULL) ? ngx_http_async_balancer_copy(b, req)
                                   : ngx_http_async_balancer_request(b, req);

    if (rc != NGX_OK) {
        return;
    }

    b->r.pool = b->pool;
    b->r.upstream = &b->u;

    b->u.conf = &ngx_http_async_balancer_conf;
    b->u.peer.log = ngx_cycle->log;
    b->u.peer.log_error = NGX_ERROR_ERR;
    b->u.peer.start_time = ngx_current_msec;

    /* what "keepalive" asks before it keeps one */

    b->u.keepalive = 1;
    b->u.request_body_sent = 1;

    b->rc = b->us->peer.init(&b->r, b->us);
}


/*
 * What "hash" and the like evaluate is of this pool: the request sees neither
 * the values nor the contexts of modules that are made for it.
 */

static ngx_int_t
ngx_http_async_balancer_copy(ngx_http_async_balancer_t *b, async_req_t *req)
{
    size_t                      variables, ctx;
    ngx_http_core_main_conf_t  *cmcf;

    b->r = *req->r;

    if (req->r == req->r->main) {
        b->r.main = &b->r;
    }

    cmcf = ngx_http_get_module_main_conf(&b->r, ngx_http_core_module);

    variables = cmcf->variables.nelts * sizeof(ngx_http_variable_value_t);
    ctx = ngx_http_max_module * sizeof(void *);

    b->r.variables = ngx_palloc(b->pool, variables);
    b->r.ctx = ngx_palloc(b->pool, ctx);

    if (b->r.variables == NULL || b->r.ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(b->r.variables, req->r->variables, variables);
    ngx_memcpy(b->r.ctx, req->r->ctx, ctx);

    return NGX_OK;
}


/*
 * For "hash" and the like: without a client, as one of this machine; or that of
 * a session, whose request may have been released.
 */

static ngx_int_t
ngx_http_async_balancer_request(ngx_http_async_balancer_t *b,
    async_req_t *req)
{
    ngx_http_conf_ctx_t        *ctx;
    ngx_http_core_main_conf_t  *cmcf;
    static struct sockaddr_in   local;

    ctx = ngx_http_async_client_http();

    local.sin_family = AF_INET;
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    b->c.log = ngx_cycle->log;
    b->c.pool = b->pool;
    b->c.fd = (ngx_socket_t) -1;
    b->c.sockaddr = (struct sockaddr *) &local;
    b->c.socklen = sizeof(struct sockaddr_in);
    ngx_str_set(&b->c.addr_text, "127.0.0.1");

    b->r.signature = NGX_HTTP_MODULE;
    b->r.connection = &b->c;
    b->r.main_conf = ctx->main_conf;
    b->r.srv_conf = ctx->srv_conf;
    b->r.loc_conf = ctx->loc_conf;
    b->r.method = NGX_HTTP_GET;
    b->r.http_version = NGX_HTTP_VERSION_11;
    b->r.start_sec = ngx_time();
    b->r.count = 1;

    b->r.headers_in.content_length_n = -1;
    b->r.headers_out.content_length_n = -1;

    (void) ngx_list_init(&b->r.headers_in.headers, b->pool, 1,
                         sizeof(ngx_table_elt_t));
    (void) ngx_list_init(&b->r.headers_out.headers, b->pool, 1,
                         sizeof(ngx_table_elt_t));

    ngx_str_set(&b->r.method_name, "GET");
    ngx_str_set(&b->r.uri, "/");
    ngx_str_set(&b->r.unparsed_uri, "/");

    b->r.main = &b->r;

    if (req) {
        b->c = *req->in->connection;
        b->r.loc_conf = req->in->loc_conf;
        b->r.headers_in.headers.part = *ngx_http_async_headers_part(req);
        b->r.method_name = req->in->method;
        b->r.uri = req->in->uri;
        b->r.args = req->in->args;
        b->r.unparsed_uri = req->in->unparsed;
    }

    if (req && ngx_http_async_balancer_known(&b->r, b->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    cmcf = ngx_http_get_module_main_conf(&b->r, ngx_http_core_module);

    b->r.variables = ngx_pcalloc(b->pool, cmcf->variables.nelts
                                          * sizeof(ngx_http_variable_value_t));
    b->r.ctx = ngx_pcalloc(b->pool, sizeof(void *) * ngx_http_max_module);

    return (b->r.variables && b->r.ctx) ? NGX_OK : NGX_ERROR;
}


/* $cookie_..., $http_host and the like look at what nginx has found. */

static ngx_int_t
ngx_http_async_balancer_known(ngx_http_request_t *r, ngx_pool_t *pool)
{
    void               *place;
    ngx_uint_t          i;
    ngx_list_part_t    *part;
    ngx_table_elt_t    *h, **link;
    ngx_http_header_t  *known;
#if (nginx_version < 1023000)
    ngx_array_t        *array;
#endif

    part = &r->headers_in.headers.part;
    i = 0;

    while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {

        for (known = ngx_http_headers_in; known->name.len; known++) {

            if (known->name.len != h->key.len
                || ngx_strncasecmp(known->name.data, h->key.data, h->key.len)
                   != 0)
            {
                continue;
            }

            place = (u_char *) &r->headers_in + known->offset;

#if (nginx_version < 1023000)

            if (place == &r->headers_in.cookies
#if (NGX_HTTP_X_FORWARDED_FOR)
                || place == &r->headers_in.x_forwarded_for
#endif
               )
            {
                array = place;

                if (array->elts == NULL
                    && ngx_array_init(array, pool, 1,
                                      sizeof(ngx_table_elt_t *))
                       != NGX_OK)
                {
                    return NGX_ERROR;
                }

                link = ngx_array_push(array);
                if (link == NULL) {
                    return NGX_ERROR;
                }

                *link = h;
                break;
            }

            *(ngx_table_elt_t **) place = h;

#else

            for (link = place; *link; link = &(*link)->next) { /* void */ }

            *link = h;
            h->next = NULL;

#endif

            break;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_balancer_next(ngx_http_async_balancer_t *b)
{
    if (b->u.peer.tries == 0) {
        return NGX_BUSY;
    }

    b->u.peer.connection = NULL;
    b->u.peer.cached = 0;

    ngx_async_on_loop(ngx_http_async_balancer_get, b);

    return b->rc;
}


static void
ngx_http_async_balancer_get(void *data)
{
    ngx_http_async_balancer_t  *b = data;

    b->rc = b->u.peer.get(&b->u.peer, b->u.peer.data);
}


void
ngx_http_async_balancer_done(ngx_http_async_balancer_t *b, ngx_uint_t state)
{
    b->state = state;

    ngx_async_on_loop(ngx_http_async_balancer_put, b);
}


static void
ngx_http_async_balancer_put(void *data)
{
    ngx_http_async_balancer_t  *b = data;

    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = b->u.peer.connection;

    if (c && c->pool == NULL) {

        c->pool = ngx_create_pool(128, ngx_cycle->log);

        if (c->pool == NULL) {
            ngx_close_connection(c);
            b->u.peer.connection = NULL;
        }
    }

    b->u.peer.free(&b->u.peer, b->u.peer.data, b->state);

    c = b->u.peer.connection;

    if (c == NULL) {
        return;
    }

    b->u.peer.connection = NULL;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }

#endif

    pool = c->pool;

    ngx_close_connection(c);
    ngx_destroy_pool(pool);
}


void
ngx_http_async_balancer_free(ngx_http_async_balancer_t *b)
{
    ngx_destroy_pool(b->pool);
}


ngx_peer_connection_t *
ngx_http_async_balancer_peer(ngx_http_async_balancer_t *b)
{
    return &b->u.peer;
}
