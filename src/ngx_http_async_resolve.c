
/*
 * Copyright (C) the nginx-async authors
 *
 * Names of others: numeric addresses and unix sockets as they are, then
 * /etc/hosts, which nginx's resolver does not know, then that resolver.
 */

#include <ngx_http_async_client.h>


#define NGX_HTTP_ASYNC_HOSTS       "/etc/hosts"

/* more is not read */
#define NGX_HTTP_ASYNC_HOSTS_SIZE  65536


typedef struct {
    ngx_str_t               name;
    in_port_t               port;
    ngx_uint_t              n;
    ngx_http_async_addr_t   addr[NGX_HTTP_ASYNC_ADDRS];

    ngx_resolver_t         *resolver;
    ngx_msec_t              timeout;
    ngx_resolver_ctx_t     *ctx;           /* NULL: over */
    ngx_int_t               state;
    ngx_uint_t              waits;
    ngx_async_waker_t       waker;
} ngx_http_async_resolve_t;


static async_rc_t ngx_http_async_resolve(ngx_async_task_t *t,
    ngx_async_conn_t *c, ngx_http_async_resolve_t *res);
static void ngx_http_async_resolve_start(void *data);
static void ngx_http_async_resolve_done(ngx_resolver_ctx_t *ctx);
static void ngx_http_async_resolve_cancel(void *data);
static void ngx_http_async_resolve_add(ngx_http_async_resolve_t *res,
    struct sockaddr *sockaddr);
static void ngx_http_async_hosts(ngx_http_async_resolve_t *res);
static ngx_uint_t ngx_http_async_hosts_read(void);
static ngx_uint_t ngx_http_async_hosts_line(ngx_http_async_resolve_t *res,
    u_char *p, u_char *end);
static ngx_uint_t ngx_http_async_hosts_addr(ngx_http_async_addr_t *addr,
    u_char *text, size_t len);


/* /etc/hosts as it was read last, and when somebody looked whether it is new */
static u_char  *ngx_http_async_hosts_text;
static size_t   ngx_http_async_hosts_len;
static time_t   ngx_http_async_hosts_looked;
static time_t   ngx_http_async_hosts_mtime;


async_rc_t
ngx_http_async_client_connect(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_url_t *url, ngx_msec_t timeout)
{
    async_rc_t                     rc;
    ngx_uint_t                     i;
    struct sockaddr               *sockaddr;
    ngx_http_async_resolve_t       res;
    ngx_http_async_client_conf_t  *conf;

    ngx_memzero(&res, offsetof(ngx_http_async_resolve_t, addr));

    res.name = url->host;
    res.port = url->port;

    if (res.name.len > 1 && res.name.data[res.name.len - 1] == '.') {
        /* the root, which /etc/hosts does not write */
        res.name.len--;
    }

    conf = ngx_http_async_client(t, &res.resolver, &res.timeout);

    if (url->naddrs) {
        sockaddr = url->addrs[0].sockaddr;

        return ngx_http_async_client_denied(conf, sockaddr)
               ? ngx_http_async_client_deny(t, c)
               : ngx_async_conn_open(t, c, sockaddr, url->addrs[0].socklen,
                                     timeout);
    }

    rc = ngx_http_async_resolve(t, c, &res);

    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_client_deny(t, c);

    for (i = 0; i < res.n; i++) {
        sockaddr = &res.addr[i].sockaddr;

        if (ngx_http_async_client_denied(conf, sockaddr)) {
            continue;
        }

        rc = ngx_async_conn_open(t, c, sockaddr,
                                 sockaddr->sa_family == AF_INET
                                 ? sizeof(struct sockaddr_in)
                                 : sizeof(ngx_http_async_addr_t), timeout);

        /* a deadline of the task ends it, one of the attempt does not */

        if (rc == ASYNC_OK || rc == ASYNC_CANCELLED
            || (rc == ASYNC_TIMEOUT && t->reason != NGX_ASYNC_KEEP))
        {
            return rc;
        }
    }

    return rc;
}


async_rc_t
ngx_http_async_client_reach(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_str_t *host, in_port_t port, ngx_msec_t timeout)
{
    ngx_url_t               url;
    ngx_addr_t              addr;
    struct sockaddr_un      saun;
    ngx_http_async_addr_t   sockaddr;

    ngx_memzero(&url, sizeof(ngx_url_t));

    url.host = *host;
    url.port = port;
    url.addrs = &addr;

    if (port == 0) {

        if (host->len >= sizeof(saun.sun_path)) {
            return ngx_async_because(t, ASYNC_CAUSE_URL,
                             ngx_async_set_error(t, ASYNC_ERROR, "the path of "
                                                 "the unix socket is too long: "
                                                 "\"%V\"", host));
        }

        ngx_memzero(&saun, sizeof(struct sockaddr_un));
        saun.sun_family = AF_UNIX;
        ngx_memcpy(saun.sun_path, host->data, host->len);

        addr.sockaddr = (struct sockaddr *) &saun;
        addr.socklen = sizeof(struct sockaddr_un);
        url.naddrs = 1;

    } else {
        ngx_memzero(&sockaddr, sizeof(ngx_http_async_addr_t));

        if (ngx_http_async_hosts_addr(&sockaddr, host->data, host->len)) {
            ngx_inet_set_port(&sockaddr.sockaddr, port);

            addr.sockaddr = &sockaddr.sockaddr;
            addr.socklen = (sockaddr.sockaddr.sa_family == AF_INET)
                           ? sizeof(struct sockaddr_in)
                           : sizeof(ngx_http_async_addr_t);
            url.naddrs = 1;
        }
    }

    return ngx_http_async_client_connect(t, c, &url, timeout);
}


async_rc_t
ngx_http_async_names(ngx_async_task_t *t, ngx_str_t *name, ngx_msec_t timeout,
    ngx_http_async_names_t *names)
{
    async_rc_t                rc;
    ngx_async_conn_t          c;
    ngx_http_async_resolve_t  res;

    ngx_memzero(&c, sizeof(ngx_async_conn_t));
    ngx_memzero(&res, offsetof(ngx_http_async_resolve_t, addr));

    c.name = (char *) name->data;
    c.until = ngx_current_msec + timeout;
    c.until += (c.until == 0);

    res.name = *name;

    (void) ngx_http_async_client(t, &res.resolver, &res.timeout);

    names->n = 1;
    ngx_memzero(&names->addr[0], sizeof(ngx_http_async_addr_t));

    if (ngx_http_async_hosts_addr(&names->addr[0], name->data, name->len)) {
        return ASYNC_OK;
    }

    rc = ngx_http_async_resolve(t, &c, &res);

    names->n = res.n;
    ngx_memcpy(names->addr, res.addr, res.n * sizeof(ngx_http_async_addr_t));

    return rc;
}


async_rc_t
ngx_http_async_client_deny(ngx_async_task_t *t, ngx_async_conn_t *c)
{
    return ngx_async_because(t, ASYNC_CAUSE_DENIED,
                             ngx_async_set_error(t, ASYNC_ERROR, "connect to "
                                                 "%s: async_fetch_deny forbids "
                                                 "it", c->name));
}


static async_rc_t
ngx_http_async_resolve(ngx_async_task_t *t, ngx_async_conn_t *c,
    ngx_http_async_resolve_t *res)
{
    ngx_int_t       rc;
    ngx_pool_t     *pool;
    ngx_msec_t      timeout;
    ngx_msec_int_t  left;

    ngx_http_async_hosts(res);

    if (res->n) {
        return ASYNC_OK;
    }

    /* nginx's resolver writes to the name: it makes it lower case */

    pool = ngx_async_task_pool(t);
    res->name.data = pool ? ngx_pstrdup(pool, &res->name) : NULL;

    if (res->name.data == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    res->ctx = NULL;
    res->state = NGX_OK;
    res->waker = ngx_async_waker(t);
    res->waits = 0;

    ngx_async_on_loop(ngx_http_async_resolve_start, res);

    if (res->ctx == (void *) NGX_NO_RESOLVER) {
        rc = ngx_async_set_error(t, ASYNC_ERROR, "the host \"%V\" is not in "
                                 NGX_HTTP_ASYNC_HOSTS ", and there is no "
                                 "directive resolver", &res->name);

        return ngx_async_because(t, ASYNC_CAUSE_NAME, rc);
    }

    if (res->ctx) {
        res->waits = 1;
        timeout = NGX_ASYNC_FOREVER;

        if (c->until) {
            left = (ngx_msec_int_t) (c->until - ngx_current_msec);
            timeout = ngx_max(left, 0);
        }

        rc = ngx_async_wait(t, timeout);

        if (rc != ASYNC_OK) {
            ngx_async_on_loop(ngx_http_async_resolve_cancel, res);

            return (rc == NGX_ASYNC_ELAPSED)
                   ? ngx_async_conn_late(t, c, timeout, "look up") : rc;
        }
    }

    if (res->n) {
        return ASYNC_OK;
    }

    rc = ngx_async_set_error(t, res->state == NGX_RESOLVE_TIMEDOUT
                             ? ASYNC_TIMEOUT : ASYNC_ERROR,
                             "the host \"%V\" could not be resolved: %s",
                             &res->name, res->state == NGX_OK ? "no memory"
                             : ngx_resolver_strerror(res->state));

    return ngx_async_because(t, rc == ASYNC_TIMEOUT ? ASYNC_CAUSE_TIMEOUT
                             : ASYNC_CAUSE_NAME, rc);
}


static void
ngx_http_async_resolve_start(void *data)
{
    ngx_http_async_resolve_t  *res = data;

    ngx_resolver_ctx_t  *ctx, temp;

    ngx_memzero(&temp, sizeof(ngx_resolver_ctx_t));
    temp.name = res->name;

    ctx = res->resolver ? ngx_resolve_start(res->resolver, &temp)
                        : NGX_NO_RESOLVER;

    res->ctx = ctx;

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return;
    }

    ctx->name = res->name;
    ctx->handler = ngx_http_async_resolve_done;
    ctx->data = res;
    ctx->timeout = res->timeout;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        res->ctx = NULL;
    }
}


/* Also at once, for a name that the resolver knows. */

static void
ngx_http_async_resolve_done(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                 i;
    ngx_http_async_resolve_t  *res;

    res = ctx->data;
    res->state = ctx->state;

    if (ctx->state == NGX_OK) {
        for (i = 0; i < ctx->naddrs; i++) {
            ngx_http_async_resolve_add(res, ctx->addrs[i].sockaddr);
        }
    }

    ngx_resolve_name_done(ctx);
    res->ctx = NULL;

    if (res->waits) {
        (void) ngx_async_wake(&res->waker, ASYNC_OK);
    }
}


static void
ngx_http_async_resolve_cancel(void *data)
{
    ngx_http_async_resolve_t  *res = data;

    if (res->ctx) {
        ngx_resolve_name_done(res->ctx);
    }
}


static void
ngx_http_async_resolve_add(ngx_http_async_resolve_t *res,
    struct sockaddr *sockaddr)
{
    socklen_t               len;
    ngx_http_async_addr_t  *addr;

    if (res->n == NGX_HTTP_ASYNC_ADDRS) {
        return;
    }

    len = (sockaddr->sa_family == AF_INET) ? sizeof(struct sockaddr_in)
                                           : sizeof(ngx_http_async_addr_t);

    addr = &res->addr[res->n++];

    ngx_memcpy(addr, sockaddr, len);
    ngx_inet_set_port(&addr->sockaddr, res->port);
}


/* hosts(5): an address and its names a line, "#" begins a comment */

static void
ngx_http_async_hosts(ngx_http_async_resolve_t *res)
{
    u_char  *p, *end, *last;

    if (!ngx_http_async_hosts_read()) {
        return;
    }

    last = ngx_http_async_hosts_text + ngx_http_async_hosts_len;

    for (p = ngx_http_async_hosts_text; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '\n');

        if (end == NULL) {
            end = last;
        }

        (void) ngx_http_async_hosts_line(res, p, end);
    }
}


/* A small file that is looked at once a second at most. */

static ngx_uint_t
ngx_http_async_hosts_read(void)
{
    int              fd;
    ssize_t          n;
    ngx_file_info_t  fi;

    if (ngx_http_async_hosts_looked == ngx_time()) {
        return ngx_http_async_hosts_len != 0;
    }

    ngx_http_async_hosts_looked = ngx_time();

    if (stat(NGX_HTTP_ASYNC_HOSTS, &fi) == -1) {
        ngx_http_async_hosts_len = 0;
        ngx_http_async_hosts_mtime = -1;
        return 0;
    }

    if (ngx_http_async_hosts_text == NULL) {
        ngx_http_async_hosts_text = ngx_alloc(NGX_HTTP_ASYNC_HOSTS_SIZE,
                                              ngx_cycle->log);
        if (ngx_http_async_hosts_text == NULL) {
            return 0;
        }

    } else if (fi.st_mtime == ngx_http_async_hosts_mtime) {
        return ngx_http_async_hosts_len != 0;
    }

    ngx_http_async_hosts_len = 0;

    fd = open(NGX_HTTP_ASYNC_HOSTS, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return 0;
    }

    n = read(fd, ngx_http_async_hosts_text, NGX_HTTP_ASYNC_HOSTS_SIZE);

    (void) close(fd);

    if (n == NGX_HTTP_ASYNC_HOSTS_SIZE) {
        /* a line that is cut might say something else */
        while (n && ngx_http_async_hosts_text[n - 1] != '\n') {
            n--;
        }
    }

    if (n > 0) {
        ngx_http_async_hosts_len = n;
        ngx_http_async_hosts_mtime = fi.st_mtime;
    }

    return n > 0;
}


static ngx_uint_t
ngx_http_async_hosts_line(ngx_http_async_resolve_t *res, u_char *p,
    u_char *end)
{
    u_char                 *start;
    size_t                  len;
    ngx_uint_t              word;
    ngx_http_async_addr_t   addr;

    start = ngx_strlchr(p, end, '#');

    if (start) {
        end = start;
    }

    ngx_memzero(&addr, sizeof(ngx_http_async_addr_t));

    for (word = 0; p < end; word++) {

        while (p < end && (*p == ' ' || *p == '\t' || *p == '\r')) {
            p++;
        }

        for (start = p; p < end && *p != ' ' && *p != '\t' && *p != '\r'; p++)
        {
            /* void */
        }

        len = p - start;

        if (len == 0) {
            break;
        }

        if (word == 0) {

            if (!ngx_http_async_hosts_addr(&addr, start, len)) {
                return 0;
            }

        } else if (len == res->name.len
                   && ngx_strncasecmp(start, res->name.data, len) == 0)
        {
            ngx_http_async_resolve_add(res, &addr.sockaddr);
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_async_hosts_addr(ngx_http_async_addr_t *addr, u_char *text,
    size_t len)
{
    addr->sin.sin_addr.s_addr = ngx_inet_addr(text, len);

    if (addr->sin.sin_addr.s_addr != INADDR_NONE) {
        addr->sin.sin_family = AF_INET;
        return 1;
    }

#if (NGX_HAVE_INET6)

    if (ngx_inet6_addr(text, len, addr->sin6.sin6_addr.s6_addr) == NGX_OK) {
        addr->sin6.sin6_family = AF_INET6;
        return 1;
    }

#endif

    return 0;
}
