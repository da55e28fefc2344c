
/*
 * Copyright (C) the nginx-async authors
 *
 * "async_websocket_release": a session that goes on without nginx's request,
 * which is the most of what an idle one takes.  What handlers may ask of their
 * request is a copy, made before they begin, so that it is the same before and
 * after; the session lies beside its task, at the top of its stack.
 *
 * The request is freed, and with it written to the access log, when the handler
 * first waits after the handshake.  From then on the connection is the
 * session's, which closes it.
 */

#include <ngx_http_async_ws_session.h>
#include <ngx_http_async_field.h>
#include <ngx_http_async_trace.h>


/* of handed strings; nginx makes larger ones in pieces of this size, too */
#define NGX_HTTP_ASYNC_WS_HOME  512

/* what is read and dropped at once before the connection is closed */
#define NGX_HTTP_ASYNC_WS_LINGER  4096


struct ngx_http_async_ws_own_s {
    ngx_http_async_ws_t         ws;
    ngx_http_async_in_t         in;
    ngx_async_task_t           *task;
    ngx_pool_t                 *home;
    ngx_pool_cleanup_t         *home_cleanup;  /* of nginx's request */

    /* what the connection's log said of it, and goes on to say */
    ngx_log_handler_pt          log_handler;
    void                       *log_data;
    ngx_http_async_trace_t     *trace;         /* NULL: none */

    unsigned                    writing:1;     /* as nginx counts them */
};


/* A connection that is closed when its client has read; of its own pool. */

typedef struct {
    ngx_http_core_loc_conf_t   *clcf;
    ngx_msec_t                  until;
} ngx_http_async_ws_linger_t;


static void ngx_http_async_ws_home_destroy(void *data);
static ngx_int_t ngx_http_async_ws_copy(ngx_http_request_t *r,
    ngx_http_async_ws_own_t *own);
static ngx_int_t ngx_http_async_ws_pack(ngx_http_request_t *r,
    ngx_http_async_ws_own_t *own);
static ngx_int_t ngx_http_async_ws_str(ngx_pool_t *pool, ngx_str_t *to,
    ngx_str_t *from);
static void ngx_http_async_ws_client(ngx_connection_t *c,
    ngx_connection_t *client, ngx_sockaddr_t *sockaddr);
static void ngx_http_async_ws_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc, ngx_buf_t *b);
static u_char *ngx_http_async_ws_log(ngx_log_t *log, u_char *buf, size_t len);
static void ngx_http_async_ws_event(ngx_event_t *ev);
static void ngx_http_async_ws_linger(ngx_connection_t *c);
static void ngx_http_async_ws_linger_handler(ngx_event_t *rev);


async_req_t *
ngx_http_async_ws_create(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_fn_t *fn,
    ngx_http_async_run_pt run, ngx_http_async_finish_pt finish)
{
    ngx_pool_t                *home;
    async_req_t               *req;
    ngx_pool_cleanup_t        *cln;
    ngx_http_async_ws_own_t   *own;
    ngx_http_async_ws_conf_t  *wcf;

    wcf = ngx_http_get_module_loc_conf(r, ngx_http_async_ws_module);

    if (!wcf->release) {
        return ngx_http_async_create(r, conf, fn, run, finish);
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    home = cln ? ngx_create_pool(NGX_HTTP_ASYNC_WS_HOME, r->connection->log)
               : NULL;

    if (home == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_async_ws_home_destroy;
    cln->data = home;

    req = ngx_http_async_create_beside(r, conf, fn, run, finish, home,
                                       sizeof(ngx_http_async_ws_own_t));
    if (req == NULL) {
        return NULL;
    }

    own = ngx_async_task_beside(&req->task);

    own->task = &req->task;
    own->home = home;
    own->home_cleanup = cln;

    if (ngx_http_async_ws_copy(r, own) != NGX_OK) {
        /* it is served all the same */
        return req;
    }

    /* a handshake has no body */
    req->body.data = "";
    req->body_state = NGX_HTTP_ASYNC_BODY_WHOLE;

    req->in = &own->in;
    req->own = own;

    return req;
}


static void
ngx_http_async_ws_home_destroy(void *data)
{
    ngx_destroy_pool(data);
}


static ngx_int_t
ngx_http_async_ws_copy(ngx_http_request_t *r, ngx_http_async_ws_own_t *own)
{
    ngx_http_async_in_t  *in;

    in = &own->in;
    in->loc_conf = r->loc_conf;
    in->connection = r->connection;

    if (ngx_http_async_ws_str(own->home, &in->method, &r->method_name)
        != NGX_OK
        || ngx_http_async_ws_str(own->home, &in->unparsed, &r->unparsed_uri)
           != NGX_OK
        || ngx_http_async_ws_str(own->home, &in->args, &r->args) != NGX_OK
        || ngx_http_async_ws_pack(r, own) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* memory of the connection */
    in->client = r->connection->addr_text;

    if (in->unparsed.len >= r->uri.len
        && ngx_memcmp(in->unparsed.data, r->uri.data, r->uri.len) == 0)
    {
        in->uri.data = in->unparsed.data;
        in->uri.len = r->uri.len;
        return NGX_OK;
    }

    return ngx_http_async_ws_str(own->home, &in->uri, &r->uri);
}


/*
 * Two lengths and two texts, zero-terminated, for each: no table, which is
 * larger than what it is of.
 */

static ngx_int_t
ngx_http_async_ws_pack(ngx_http_request_t *r, ngx_http_async_ws_own_t *own)
{
    u_char           *p;
    size_t            len;
    uint32_t          head[2];
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = 0;
    part = &r->headers_in.headers.part;
    i = 0;

    while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {
        len += sizeof(head) + h->key.len + h->value.len + 2;
        own->in.headers.nelts++;
    }

    p = ngx_pnalloc(own->home, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    own->in.packed.data = p;
    own->in.packed.len = len;

    part = &r->headers_in.headers.part;
    i = 0;

    while ((h = ngx_http_async_field_next(&part, &i)) != NULL) {
        head[0] = (uint32_t) h->key.len;
        head[1] = (uint32_t) h->value.len;

        p = ngx_cpymem(p, head, sizeof(head));
        p = ngx_cpymem(p, h->key.data, h->key.len);
        *p++ = '\0';

        if (h == r->headers_in.content_type) {
            own->in.content_type.data = p;
            own->in.content_type.len = h->value.len;
        }

        p = ngx_cpymem(p, h->value.data, h->value.len);
        *p++ = '\0';
    }

    return NGX_OK;
}


ngx_list_part_t *
ngx_http_async_ws_headers(async_req_t *req)
{
    u_char               *p;
    uint32_t              head[2];
    ngx_uint_t            i;
    ngx_table_elt_t      *h;
    ngx_http_async_in_t  *in;

    in = req->in;

    if (in->headers.elts || in->headers.nelts == 0) {
        return &in->headers;
    }

    h = ngx_pcalloc(req->home, in->headers.nelts * sizeof(ngx_table_elt_t));
    if (h == NULL) {
        return NULL;
    }

    p = in->packed.data;

    for (i = 0; i < in->headers.nelts; i++) {
        ngx_memcpy(head, p, sizeof(head));

        h[i].hash = 1;
        h[i].key.len = head[0];
        h[i].key.data = p + sizeof(head);
        h[i].value.len = head[1];
        h[i].value.data = h[i].key.data + head[0] + 1;

        p = h[i].value.data + head[1] + 1;
    }

    in->headers.elts = h;

    return &in->headers;
}


static ngx_int_t
ngx_http_async_ws_str(ngx_pool_t *pool, ngx_str_t *to, ngx_str_t *from)
{
    if (from->data == NULL) {
        return NGX_OK;
    }

    to->len = from->len;
    to->data = ngx_pnalloc(pool, from->len + 1);

    if (to->data == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(to->data, from->data, from->len) = '\0';

    return NGX_OK;
}


ngx_http_async_ws_t *
ngx_http_async_ws_of_own(ngx_http_async_ws_own_t *own)
{
    return &own->ws;
}


void
ngx_http_async_ws_keep(ngx_http_async_ws_own_t *own)
{
    own->task->kept = 1;
}


void
ngx_http_async_ws_forget_task(ngx_http_async_ws_own_t *own)
{
    ngx_async_task_forget(own->task);
}


/* From an event: nobody above has nginx's request. */

void
ngx_http_async_ws_release(ngx_http_async_ws_t *ws)
{
    ngx_buf_t                *b;
    async_req_t              *req;
    ngx_sockaddr_t            sockaddr;
    ngx_connection_t         *c, client;
    ngx_http_request_t       *r;
    ngx_http_connection_t    *hc;
    ngx_http_async_ws_own_t  *own;

    r = ws->r;
    c = ws->c;
    req = ws->req;
    own = ws->own;

    if (req == NULL || r->header_in->pos < r->header_in->last
        || ws->clcf->post_action.data)
    {
        return;
    }

    if (own->trace == NULL) {
        own->trace = ngx_http_async_trace_copy(&req->task, own->home);
    }

    if (ngx_http_async_part(req) != NGX_OK) {
        return;
    }

    req->task.trace = own->trace;

    /* of its pool; nothing sends them any more */
    req->out.headers = NULL;

    /* of its pool, which outlast it */
    own->home_cleanup->handler = NULL;
    ws->cleanup->handler = NULL;

#if (NGX_STAT_STUB)
    own->writing = r->stat_writing;
    r->stat_writing = 0;
#endif

    ws->r = NULL;

    hc = r->http_connection;
    b = c->buffer;

    client = *c;
    ngx_memcpy(&sockaddr, c->sockaddr, c->socklen);

    ngx_http_free_request(r, 0);

    if (c->addr_text.data != client.addr_text.data) {
        ngx_http_async_ws_client(c, &client, &sockaddr);
    }

    c->destroyed = 0;
    c->data = ws;
    c->read->handler = ngx_http_async_ws_event;
    c->write->handler = ngx_http_async_ws_event;

    ngx_http_async_ws_free_buffers(c, hc, b);

    own->log_handler = c->log->handler;
    own->log_data = c->log->data;

    c->log->action = NULL;
    c->log->handler = ngx_http_async_ws_log;
    c->log->data = own;
}


/* The client is who "set_real_ip_from" has found, for the log and balancers. */

static void
ngx_http_async_ws_client(ngx_connection_t *c, ngx_connection_t *client,
    ngx_sockaddr_t *sockaddr)
{
    c->addr_text = client->addr_text;

    client->sockaddr = ngx_palloc(c->pool, client->socklen);

    if (client->sockaddr) {
        ngx_memcpy(client->sockaddr, sockaddr, client->socklen);

        c->sockaddr = client->sockaddr;
        c->socklen = client->socklen;
    }
}


/* As nginx does with an idle connection. */

static void
ngx_http_async_ws_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc, ngx_buf_t *b)
{
    ngx_chain_t  *cl, *ln, **list[2];
    ngx_uint_t    i;

    list[0] = &hc->free;
    list[1] = &hc->busy;

    for (i = 0; i < 2; i++) {

        for (cl = *list[i]; cl; /* void */) {
            ln = cl;
            cl = cl->next;

            (void) ngx_pfree(c->pool, ln->buf->start);
            ngx_free_chain(c->pool, ln);
        }

        *list[i] = NULL;
    }

    hc->nbusy = 0;

    if (b && ngx_pfree(c->pool, b->start) == NGX_OK) {
        b->pos = NULL;
    }
}


static u_char *
ngx_http_async_ws_log(ngx_log_t *log, u_char *buf, size_t len)
{
    ngx_http_async_ws_own_t  *own = log->data;

    u_char     *p, *last;
    ngx_log_t   before;

    last = buf + len;

    before = *log;
    before.data = own->log_data;

    p = own->log_handler(&before, buf, len);

    p = ngx_slprintf(p, last, ", request: \"%V %V\"", &own->in.method,
                     &own->in.unparsed);

    if (own->trace) {
        p = ngx_slprintf(p, last, ", trace: \"%*s\"",
                         (size_t) NGX_HTTP_ASYNC_TRACE_ID, own->trace->id);
    }

    return p;
}


static void
ngx_http_async_ws_event(ngx_event_t *ev)
{
    ngx_connection_t     *c;
    ngx_http_async_ws_t  *ws;

    c = ev->data;
    ws = c->data;

    if (c->close) {
        /* worker_shutdown_timeout, which ends whatever is awaited */
        ngx_http_async_ws_terminate(ws);
        return;
    }

    if (!ev->write) {
        ngx_http_async_ws_read(ws);
        return;
    }

    if (ev->delayed && ev->timedout) {
        /* by limit_rate, after the handshake */
        ev->delayed = 0;
        ev->timedout = 0;
    }

    ngx_http_async_ws_writable(ws);
}


void
ngx_http_async_ws_end_released(ngx_http_async_ws_t *ws, ngx_int_t rc,
    ngx_uint_t lingers)
{
    ngx_pool_t                *home;
    struct linger              linger;
    ngx_connection_t          *c;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_async_ws_own_t   *own;

    c = ws->c;
    own = ws->own;
    clcf = ws->clcf;
    home = own->home;

    c->log->handler = own->log_handler;
    c->log->data = own->log_data;
    c->log->action = "closing request";

#if (NGX_STAT_STUB)
    if (own->writing) {
        (void) ngx_atomic_fetch_add(ngx_stat_writing, -1);
    }
#endif

    ngx_http_async_ws_cleanup(ws);
    ngx_destroy_pool(home);

    if (c->timedout && clcf->reset_timedout_connection) {
        linger.l_onoff = 1;
        linger.l_linger = 0;

        if (setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger,
                       sizeof(struct linger))
            == -1)
        {
            ngx_log_error(NGX_LOG_ALERT, c->log, ngx_socket_errno,
                          "setsockopt(SO_LINGER) failed");
        }
    }

    if (rc == NGX_OK
        && (clcf->lingering_close == NGX_HTTP_LINGERING_ALWAYS
            || (lingers && clcf->lingering_close == NGX_HTTP_LINGERING_ON)))
    {
        c->data = clcf;
        ngx_http_async_ws_linger(c);
        return;
    }

    ngx_http_close_connection(c);
}


/*
 * Closes when the client has, or after "lingering_time": what it still sends
 * would be answered by a reset, which may overtake our Close frame.
 */

static void
ngx_http_async_ws_linger(ngx_connection_t *c)
{
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_async_ws_linger_t  *linger;

    clcf = c->data;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        c->ssl->shutdown_without_free = 1;

        switch (ngx_ssl_shutdown(c)) {

        case NGX_ERROR:
            ngx_http_close_connection(c);
            return;

        case NGX_AGAIN:
            c->ssl->handler = ngx_http_async_ws_linger;
            return;
        }
    }
#endif

    linger = ngx_palloc(c->pool, sizeof(ngx_http_async_ws_linger_t));

    if (linger == NULL || ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_http_close_connection(c);
        return;
    }

    linger->clcf = clcf;
    linger->until = ngx_current_msec + clcf->lingering_time;

    c->data = linger;
    c->read->handler = ngx_http_async_ws_linger_handler;
    c->write->handler = ngx_http_empty_handler;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1) {
        ngx_http_close_connection(c);
        return;
    }

    c->close = 0;
    ngx_reusable_connection(c, 1);

    ngx_add_timer(c->read, clcf->lingering_timeout);

    if (c->read->ready) {
        ngx_http_async_ws_linger_handler(c->read);
    }
}


static void
ngx_http_async_ws_linger_handler(ngx_event_t *rev)
{
    u_char                       buf[NGX_HTTP_ASYNC_WS_LINGER];
    ssize_t                      n;
    ngx_msec_t                   left;
    ngx_connection_t            *c;
    ngx_http_async_ws_linger_t  *linger;

    c = rev->data;
    linger = c->data;

    left = linger->until - ngx_current_msec;

    if (rev->timedout || c->close || (ngx_msec_int_t) left <= 0) {
        ngx_http_close_connection(c);
        return;
    }

    do {
        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_ERROR || n == 0) {
            ngx_http_close_connection(c);
            return;
        }

    } while (n > 0 && rev->ready);

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_close_connection(c);
        return;
    }

    ngx_add_timer(rev, ngx_min(left, linger->clcf->lingering_timeout));
}
