
/*
 * Copyright (C) the nginx-async authors
 *
 * await_fetch(): connects, sends, reads, follows; see ngx_async.h.
 */

#include <ngx_http_async_fetch.h>
#include <ngx_http_async_trace.h>
#include <ngx_async_meter.h>


/* the least room for what is read of a body whose length is not known */
#define NGX_HTTP_ASYNC_FETCH_ROOM    4096

/* of what is encoded */
#define NGX_HTTP_ASYNC_FETCH_PACKED  16384

/* "no bound" of a caller: one more can be counted, also as an off_t */
#define NGX_HTTP_ASYNC_FETCH_MOST    (NGX_MAX_SIZE_T_VALUE / 4)

/* what is read of a body that nobody wants, so that the connection is kept */
#define NGX_HTTP_ASYNC_FETCH_DRAIN   16384

/* connections that others had kept, and that were closed */
#define NGX_HTTP_ASYNC_FETCH_STALE   3


static async_rc_t ngx_http_async_fetch_whole(ngx_async_task_t *t,
    const char *url, async_fetch_t *fetch, size_t size,
    async_response_t **res);
static void ngx_http_async_fetch_count(ngx_async_task_t *t, async_rc_t rc,
    async_response_t *res);
static void ngx_http_async_fetch_on_refresh(void);
static async_rc_t ngx_http_async_fetch_begin(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, const char *url);
static async_rc_t ngx_http_async_fetch_proxy(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_trace(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_parse(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, ngx_http_async_url_t *url, const char *text);
static async_rc_t ngx_http_async_fetch_hops(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_once(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static ngx_uint_t ngx_http_async_fetch_again(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, async_rc_t rc);
static async_rc_t ngx_http_async_fetch_follow(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, async_str_t *location);
static void ngx_http_async_fetch_turn(ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_drain(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static void ngx_http_async_fetch_end(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, async_rc_t rc);
static async_rc_t ngx_http_async_fetch_body(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_too_large(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_decode(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f);
static async_rc_t ngx_http_async_fetch_read(ngx_async_task_t *t,
    ngx_http_async_fetch_t *f, void *buf, size_t size, size_t *n);
static async_rc_t ngx_http_async_fetch_piece(ngx_async_task_t *t,
    async_response_t *res, void *buf, size_t size, size_t *n);
static void ngx_http_async_fetch_drop(async_response_t *res);


static const ngx_async_stats_field_t  ngx_http_async_fetch_fields[] = {
    { NGX_HTTP_ASYNC_FETCH_REQUESTS, "requests", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Fetches begun" },
    { NGX_HTTP_ASYNC_FETCH_ALIVE, "alive", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Fetches that tasks await" },
    { NGX_HTTP_ASYNC_FETCH_2XX, "responses_2xx", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Responses of success" },
    { NGX_HTTP_ASYNC_FETCH_3XX, "responses_3xx", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Responses that lead elsewhere" },
    { NGX_HTTP_ASYNC_FETCH_4XX, "responses_4xx", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Responses that refuse the request" },
    { NGX_HTTP_ASYNC_FETCH_5XX, "responses_5xx", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Responses of failure" },
    { NGX_HTTP_ASYNC_FETCH_NAME, "failed_name", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Fetches of a host that is not known" },
    { NGX_HTTP_ASYNC_FETCH_CONNECT, "failed_connect", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Fetches without a connection" },
    { NGX_HTTP_ASYNC_FETCH_TLS, "failed_tls", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Fetches whose TLS has failed" },
    { NGX_HTTP_ASYNC_FETCH_TIMEOUT, "failed_timeout", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Fetches that took too long" },
    { NGX_HTTP_ASYNC_FETCH_RESET, "failed_reset", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Fetches that the other side has broken off" },
    { NGX_HTTP_ASYNC_FETCH_PROTOCOL, "failed_protocol", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Fetches whose response is not HTTP" },
    { NGX_HTTP_ASYNC_FETCH_OTHER, "failed_other", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Fetches that were wrong, denied, too large, or lead nowhere" },
    { NGX_HTTP_ASYNC_FETCH_CANCELLED, "cancelled", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Fetches whose task was cancelled" },
    { NGX_HTTP_ASYNC_FETCH_OPENED, "connections_opened",
      NGX_ASYNC_STATS_COUNT, NGX_ASYNC_STATS_NUMBER, "Connections made" },
    { NGX_HTTP_ASYNC_FETCH_REUSED, "connections_reused",
      NGX_ASYNC_STATS_COUNT, NGX_ASYNC_STATS_NUMBER,
      "Times that one was used again" },
    { NGX_HTTP_ASYNC_FETCH_KEPT, "connections_kept", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER,
      "Connections that are kept, but for those of upstream blocks" },
    { NGX_HTTP_ASYNC_FETCH_TIME, "time", NGX_ASYNC_STATS_HISTOGRAM,
      NGX_ASYNC_STATS_USEC,
      "How long fetches were awaited, with their body unless it is streamed" },
    { 0, NULL, 0, 0, NULL }
};

const ngx_async_stats_family_t  ngx_http_async_fetch_family = {
    "fetch", NULL, ngx_http_async_fetch_fields
};


ngx_async_stats_t  *ngx_http_async_fetch_stats = &ngx_async_stats_nowhere;


ngx_int_t
ngx_http_async_fetch_init(ngx_async_stats_set_t *stats)
{
    ngx_http_async_fetch_stats = ngx_async_stats_one(stats,
                                               &ngx_http_async_fetch_family);

    return ngx_async_on_stats(ngx_http_async_fetch_on_refresh);
}


static void
ngx_http_async_fetch_on_refresh(void)
{
    ngx_async_stats_set(ngx_http_async_fetch_stats, NGX_HTTP_ASYNC_FETCH_KEPT,
                        ngx_async_conn_kept_n());
}


async_rc_t
await_fetch_at(async_t *co, const char *site, const char *url,
    async_fetch_t *fetch, size_t size, async_response_t **res)
{
    async_rc_t  rc;
    ngx_msec_t  since;

    *res = NULL;

    rc = ngx_async_enter(co, "await_fetch", site);

    if (rc != ASYNC_OK) {
        ngx_http_async_fetch_forget(fetch);
        return rc;
    }

    ngx_async_meter_kind(co, NGX_ASYNC_METER_FETCH);
    ngx_async_meter_fetches(co);

    since = ngx_current_msec;

    ngx_async_stats_count(ngx_http_async_fetch_stats,
                          NGX_HTTP_ASYNC_FETCH_REQUESTS);
    ngx_async_stats_count(ngx_http_async_fetch_stats,
                          NGX_HTTP_ASYNC_FETCH_ALIVE);

    rc = ngx_http_async_fetch_whole(co, url, fetch, size, res);

    ngx_async_stats_less(ngx_http_async_fetch_stats,
                         NGX_HTTP_ASYNC_FETCH_ALIVE);
    ngx_async_stats_time(ngx_http_async_fetch_stats,
                         NGX_HTTP_ASYNC_FETCH_TIME,
                         (uint64_t) (ngx_current_msec - since) * 1000);

    ngx_http_async_fetch_count(co, rc, *res);

    return rc;
}


/* What has come of it. */

static void
ngx_http_async_fetch_count(ngx_async_task_t *t, async_rc_t rc,
    async_response_t *res)
{
    ngx_uint_t  what;

    static const u_char  causes[] = {
        [ASYNC_CAUSE_NAME] = NGX_HTTP_ASYNC_FETCH_NAME,
        [ASYNC_CAUSE_CONNECT] = NGX_HTTP_ASYNC_FETCH_CONNECT,
        [ASYNC_CAUSE_TLS] = NGX_HTTP_ASYNC_FETCH_TLS,
        [ASYNC_CAUSE_RESET] = NGX_HTTP_ASYNC_FETCH_RESET,
        [ASYNC_CAUSE_TIMEOUT] = NGX_HTTP_ASYNC_FETCH_TIMEOUT,
        [ASYNC_CAUSE_PROTOCOL] = NGX_HTTP_ASYNC_FETCH_PROTOCOL
    };

    if (rc == ASYNC_OK) {
        what = NGX_HTTP_ASYNC_FETCH_2XX
               + ngx_min(res->status / 100 - 2,
                         NGX_HTTP_ASYNC_FETCH_5XX - NGX_HTTP_ASYNC_FETCH_2XX);

    } else if (rc == ASYNC_CANCELLED) {
        what = NGX_HTTP_ASYNC_FETCH_CANCELLED;

    } else if (rc == ASYNC_TIMEOUT) {
        /* also that of the task */
        what = NGX_HTTP_ASYNC_FETCH_TIMEOUT;

    } else {
        what = ((size_t) t->cause < sizeof(causes)) ? causes[t->cause] : 0;
        what = what ? what : NGX_HTTP_ASYNC_FETCH_OTHER;
    }

    ngx_async_stats_count(ngx_http_async_fetch_stats, what);
}


static async_rc_t
ngx_http_async_fetch_whole(ngx_async_task_t *t, const char *url,
    async_fetch_t *fetch, size_t size, async_response_t **res)
{
    async_rc_t               rc;
    ngx_pool_t              *pool;
    async_response_t        *r;
    ngx_http_async_fetch_t  *f;

    pool = ngx_async_task_pool(t);
    f = pool ? ngx_pcalloc(pool, sizeof(ngx_http_async_fetch_t)) : NULL;

    if (f == NULL) {
        ngx_http_async_fetch_forget(fetch);
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    f->pool = pool;

    rc = ngx_http_async_fetch_options(t, fetch, size, &f->fetch, &f->type);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_fetch_begin(t, f, url);
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    r = ngx_http_async_fetched(t);

    if (r == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    f->res = r;

    rc = ngx_http_async_fetch_hops(t, f);

    if (rc == ASYNC_OK && (f->fetch.flags & ASYNC_FETCH_DECODE)) {
        rc = ngx_http_async_fetch_decode(t, f);
    }

    if (rc == ASYNC_OK) {

        if (f->fetch.flags & ASYNC_FETCH_STREAM) {
            r->streams = 1;
            r->read = ngx_http_async_fetch_piece;
            r->drop = ngx_http_async_fetch_drop;
            r->source = f;

            /* the time of the await is over */
            f->x.conn.until = 0;

        } else {
            rc = ngx_http_async_fetch_body(t, f);
        }
    }

    if (rc != ASYNC_OK) {
        ngx_http_async_fetch_release(t, f, rc, 0);
        ngx_http_async_fetched_free(r);
        return rc;
    }

    *res = r;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_fetch_begin(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    const char *url)
{
    async_rc_t                     rc;
    ngx_msec_t                     ignored;
    ngx_http_async_client_conf_t  *conf;

    conf = ngx_http_async_client(t, &f->resolver, &ignored);

    f->conf = conf;
    f->method = f->fetch.method;
    f->max = f->fetch.max ? f->fetch.max : conf->max_body;
    f->max = ngx_min(f->max, NGX_HTTP_ASYNC_FETCH_MOST);
    f->x.max_head = conf->max_head;

    f->connect_timeout = f->fetch.connect_timeout
                         ? (ngx_msec_t) f->fetch.connect_timeout
                         : conf->connect_timeout;
    f->x.send_timeout = f->fetch.send_timeout
                        ? (ngx_msec_t) f->fetch.send_timeout
                        : conf->send_timeout;
    f->x.read_timeout = f->fetch.read_timeout
                        ? (ngx_msec_t) f->fetch.read_timeout
                        : conf->read_timeout;

    if (f->fetch.timeout) {
        f->until = ngx_current_msec + (ngx_msec_t) f->fetch.timeout;

        if (f->until == 0) {
            /* that would be none */
            f->until = 1;
        }
    }

    rc = ngx_http_async_fetch_parse(t, f, &f->url, url);

    f->named = f->url.host;

    if (rc == ASYNC_OK && f->fetch.query
        && ngx_http_async_url_query(f->pool, &f->url.target, f->fetch.query)
           != NGX_OK)
    {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    if (rc == ASYNC_OK && f->fetch.proxy) {
        rc = ngx_http_async_fetch_proxy(t, f);
    }

    return (rc == ASYNC_OK) ? ngx_http_async_fetch_trace(t, f) : rc;
}


static async_rc_t
ngx_http_async_fetch_trace(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    ngx_int_t               rc;
    ngx_http_async_trace_t  trace;

    rc = ngx_http_async_trace_of(t, f->pool, &trace);

    if (rc == NGX_OK) {
        f->traceparent = trace.header;
        f->tracestate = trace.state;
    }

    return (rc == NGX_ERROR) ? ngx_async_set_error(t, ASYNC_ERROR, "no memory")
                             : ASYNC_OK;
}


static async_rc_t
ngx_http_async_fetch_proxy(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    async_rc_t   rc;
    const char  *error;

    rc = ngx_http_async_fetch_parse(t, f, &f->proxy, f->fetch.proxy);

    if (rc != ASYNC_OK) {
        return rc;
    }

    error = f->proxy.tls ? "a proxy is spoken to by http://, not https://"
            : f->url.local ? "no unix socket is reached through a proxy"
            : NULL;

    return error ? ngx_async_because(t, ASYNC_CAUSE_URL,
                             ngx_async_set_error(t, ASYNC_ERROR, "%s", error))
                 : ASYNC_OK;
}


static async_rc_t
ngx_http_async_fetch_parse(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    ngx_http_async_url_t *url, const char *text)
{
    ngx_int_t    rc;
    const char  *error;

    if (text == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "there is no URL");
    }

    rc = ngx_http_async_url_parse(f->pool, url, text, ngx_strlen(text), &error);

    if (rc == NGX_OK) {
        return ASYNC_OK;
    }

    if (rc == NGX_ERROR) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    return ngx_async_because(t, ASYNC_CAUSE_URL,
                             ngx_async_set_error(t, ASYNC_ERROR, "the URL is "
                                                 "malformed: %s", error));
}


/* Until there is a response that leads nowhere else. */

static async_rc_t
ngx_http_async_fetch_hops(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    unsigned     hops;
    async_rc_t   rc;
    ngx_str_t    url;
    async_str_t  location;

    for (hops = 0; /* void */ ; hops++) {

        rc = ngx_http_async_fetch_once(t, f);

        if (rc != ASYNC_OK) {
            return rc;
        }

        location = async_response_header(f->res, "Location");

        if (f->fetch.redirects == 0 || location.data == NULL
            || (f->res->status != 301 && f->res->status != 302
                && f->res->status != 303 && f->res->status != 307
                && f->res->status != 308))
        {
            break;
        }

        if (hops == f->fetch.redirects) {
            return ngx_async_because(t, ASYNC_CAUSE_REDIRECT,
                             ngx_async_set_error(t, ASYNC_ERROR, "%s: more "
                                       "than %ui redirects", f->x.conn.name,
                                       (ngx_uint_t) hops));
        }

        rc = ngx_http_async_fetch_follow(t, f, &location);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    if (ngx_http_async_url_text(f->pool, &f->url, &url) != NGX_OK) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    f->res->url.data = (char *) url.data;
    f->res->url.len = url.len;

    return ASYNC_OK;
}


/* Suspends until the head of a response is there. */

static async_rc_t
ngx_http_async_fetch_once(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    async_rc_t  rc;
    ngx_uint_t  tries;

    for (tries = 0; /* void */ ; tries++) {

        f->fresh = (tries == NGX_HTTP_ASYNC_FETCH_STALE);

        rc = ngx_http_async_fetch_connect(t, f);

        if (rc == ASYNC_OK) {
            rc = ngx_http_async_fetch_send(t, f);

            if (rc == ASYNC_OK && !f->early) {
                rc = ngx_http_async_exchange_head(t, &f->x, f->res, 0);
            }
        }

        if (rc == ASYNC_OK) {

            if (f->early) {
                f->x.persistent = 0;
            }

            return ASYNC_OK;
        }

        if (!ngx_http_async_fetch_again(t, f, rc)) {
            return rc;
        }

        /* that it was stale is nobody's fault */
        ngx_http_async_fetch_release(t, f, ASYNC_OK, 0);
    }
}


/* RFC 9112, 9.3.1 */

static ngx_uint_t
ngx_http_async_fetch_again(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    async_rc_t rc)
{
    return rc == ASYNC_CLOSED && t->cause == ASYNC_CAUSE_RESET
           && f->x.conn.reused && !f->x.answered && !f->sourced
           && ngx_http_async_fetch_is_idempotent(f);
}


/* RFC 9110, 15.4 */

static async_rc_t
ngx_http_async_fetch_follow(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    async_str_t *location)
{
    ngx_int_t              rc;
    ngx_str_t              text;
    async_rc_t             arc;
    const char            *error;
    ngx_http_async_url_t   from;

    from = f->url;

    rc = ngx_http_async_url_join(f->pool, &from, location->data, location->len,
                                 &text, &error);
    if (rc == NGX_OK) {
        rc = ngx_http_async_url_parse(f->pool, &f->url, (char *) text.data,
                                      text.len, &error);
    }

    if (rc == NGX_ERROR) {
        f->url = from;
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    if (rc != NGX_OK) {
        f->url = from;
        return ngx_async_because(t, ASYNC_CAUSE_REDIRECT,
                                 ngx_async_set_error(t, ASYNC_ERROR, "%s "
                                           "redirects to a malformed URL: %s",
                                           f->x.conn.name, error));
    }

    ngx_http_async_fetch_turn(f);

    if (f->sourced && !f->bodyless) {
        return ngx_async_because(t, ASYNC_CAUSE_REDIRECT,
                                 ngx_async_set_error(t, ASYNC_ERROR, "%s "
                                           "redirects, and what a source gives "
                                           "cannot be sent again",
                                           f->x.conn.name));
    }

    if (!ngx_http_async_url_same_origin(&from, &f->url)) {
        f->crossed = 1;

    } else if (f->url.userinfo.len == 0) {
        f->url.userinfo = from.userinfo;
    }

    arc = ngx_http_async_fetch_drain(t, f);

    ngx_http_async_fetch_end(t, f, arc);

    return (arc == ASYNC_CANCELLED || t->reason != NGX_ASYNC_KEEP) ? arc
                                                                   : ASYNC_OK;
}


/* as browsers do: a form that has been sent leads to a page */

static void
ngx_http_async_fetch_turn(ngx_http_async_fetch_t *f)
{
    ngx_uint_t  head, post;

    head = (ngx_strcmp(f->method, "HEAD") == 0);
    post = (ngx_strcmp(f->method, "POST") == 0);

    if ((f->res->status == 303 && !head)
        || ((f->res->status == 301 || f->res->status == 302) && post))
    {
        f->method = "GET";
        f->bodyless = 1;
    }
}


static async_rc_t
ngx_http_async_fetch_drain(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    size_t      n, left;
    u_char      buf[1024];
    async_rc_t  rc;

    if (!f->x.persistent || (f->x.state == NGX_HTTP_ASYNC_EXCHANGE_LENGTH
                             && f->x.left > NGX_HTTP_ASYNC_FETCH_DRAIN))
    {
        return ASYNC_OK;
    }

    for (left = NGX_HTTP_ASYNC_FETCH_DRAIN; left; left -= n) {

        rc = ngx_http_async_exchange_read(t, &f->x, buf,
                                          ngx_min(left, sizeof(buf)), &n);

        if (rc != ASYNC_OK || n == 0) {
            return rc;
        }
    }

    return ASYNC_OK;
}


/* The connection is kept for others if nothing can come on it any more. */

static void
ngx_http_async_fetch_end(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    async_rc_t rc)
{
    ngx_http_async_fetch_release(t, f, rc,
                                 rc == ASYNC_OK && f->x.persistent
                                 && f->x.state == NGX_HTTP_ASYNC_EXCHANGE_DONE
                                 && ngx_http_async_exchange_surplus(&f->x)
                                    == 0);
}


static async_rc_t
ngx_http_async_fetch_body(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    size_t             n, room;
    async_rc_t         rc;
    async_response_t  *res;

    res = f->res;
    room = NGX_HTTP_ASYNC_FETCH_ROOM;

    if (f->x.state == NGX_HTTP_ASYNC_EXCHANGE_LENGTH && f->packed_buf == NULL) {

        if (f->x.left > (off_t) f->max) {
            return ngx_http_async_fetch_too_large(t, f);
        }

        room = (size_t) f->x.left;
    }

    while (f->x.state != NGX_HTTP_ASYNC_EXCHANGE_DONE || f->packed_buf) {

        if (ngx_http_async_fetched_room(res, room) != NGX_OK) {
            return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
        }

        /* one byte more tells that it is too large */

        rc = ngx_http_async_fetch_read(t, f, res->body + res->len,
                                       ngx_min(res->size - res->len - 1,
                                               f->max - res->len + 1), &n);
        if (rc != ASYNC_OK) {
            return rc;
        }

        if (n == 0) {
            break;
        }

        res->len += n;

        if (res->len > f->max) {
            return ngx_http_async_fetch_too_large(t, f);
        }

        if (f->x.state != NGX_HTTP_ASYNC_EXCHANGE_LENGTH || f->packed_buf) {
            room = NGX_HTTP_ASYNC_FETCH_ROOM;

        } else {
            room = (size_t) f->x.left;
        }
    }

    if (res->body) {
        res->body[res->len] = '\0';
    }

    ngx_http_async_fetch_end(t, f, ASYNC_OK);

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_fetch_too_large(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    return ngx_async_because(t, ASYNC_CAUSE_TOO_LARGE,
                             ngx_async_set_error(t, ASYNC_ERROR, "%s: the body "
                                       "of the response is larger than %uz "
                                       "bytes (%s)", f->res->url.data, f->max,
                                       f->fetch.max ? "async_fetch_t.max"
                                       : "async_fetch_max_body"));
}


/* Has the body decoded, if it is encoded in a way that was asked for. */

static async_rc_t
ngx_http_async_fetch_decode(ngx_async_task_t *t, ngx_http_async_fetch_t *f)
{
    size_t       i, n;
    ngx_int_t    rc;
    ngx_str_t    coding;
    async_str_t  name, value;

    ngx_str_null(&coding);

    for (i = 0, n = 0; async_response_header_at(f->res, i, &name, &value); i++)
    {
        if (value.len
            && ngx_strcasecmp((u_char *) name.data,
                              (u_char *) "Content-Encoding")
               == 0
            && ngx_strcasecmp((u_char *) value.data, (u_char *) "identity")
               != 0)
        {
            coding.data = (u_char *) value.data;
            coding.len = value.len;
            n++;
        }
    }

    if (n == 0 || f->x.state == NGX_HTTP_ASYNC_EXCHANGE_DONE) {
        return ASYNC_OK;
    }

    /* several of them are one list */

    rc = (n == 1) ? ngx_http_async_inflate_init(&f->inflate, &coding)
                  : NGX_DECLINED;

    if (rc == NGX_DECLINED) {
        return ngx_async_because(t, ASYNC_CAUSE_PROTOCOL,
                                 ngx_async_set_error(t, ASYNC_ERROR, "%s has "
                                           "encoded its response in a way that "
                                           "was not asked for",
                                           f->x.conn.name));
    }

    f->packed_buf = ngx_palloc(f->pool, NGX_HTTP_ASYNC_FETCH_PACKED);
    f->packed = f->packed_buf;
    f->packed_last = f->packed_buf;

    return (rc == NGX_OK && f->packed_buf) ? ASYNC_OK
           : ngx_async_set_error(t, ASYNC_ERROR, "no memory");
}


/* The next bytes of the body, decoded; *n is 0 at the end. */

static async_rc_t
ngx_http_async_fetch_read(ngx_async_task_t *t, ngx_http_async_fetch_t *f,
    void *buf, size_t size, size_t *n)
{
    size_t       got;
    u_char      *out;
    ngx_int_t    rc;
    async_rc_t   arc;
    const char  *error;

    if (f->packed_buf == NULL) {
        return ngx_http_async_exchange_read(t, &f->x, buf, size, n);
    }

    *n = 0;
    error = "it is cut off";

    for ( ;; ) {
        out = buf;

        rc = ngx_http_async_inflate(&f->inflate, &f->packed, f->packed_last,
                                    &out, (u_char *) buf + size, &error);

        *n = out - (u_char *) buf;

        if (*n) {
            return ASYNC_OK;
        }

        if (rc == NGX_DECLINED || rc == NGX_ERROR) {
            break;
        }

        f->packed = f->packed_buf;

        arc = ngx_http_async_exchange_read(t, &f->x, f->packed_buf,
                                           NGX_HTTP_ASYNC_FETCH_PACKED, &got);
        if (arc != ASYNC_OK) {
            return arc;
        }

        f->packed_last = f->packed_buf + got;

        if (got) {
            f->unpacked = 1;
            continue;
        }

        /* nothing at all is nothing, encoded or not */

        if (!f->unpacked || ngx_http_async_inflate_complete(&f->inflate)) {
            return ASYNC_OK;
        }

        break;
    }

    return ngx_async_because(t, ASYNC_CAUSE_PROTOCOL,
                             ngx_async_set_error(t, ASYNC_ERROR, "%s: the body "
                                       "of the response cannot be decoded: %s",
                                       f->res->url.data, error));
}


/* await_response_read() */

static async_rc_t
ngx_http_async_fetch_piece(ngx_async_task_t *t, async_response_t *res,
    void *buf, size_t size, size_t *n)
{
    async_rc_t               rc;
    ngx_http_async_fetch_t  *f;

    f = res->source;

    ngx_async_meter_kind(t, NGX_ASYNC_METER_FETCH);

    rc = ngx_http_async_fetch_read(t, f, buf, size, n);

    if (rc != ASYNC_OK || *n == 0) {
        ngx_http_async_fetch_end(t, f, rc);
    }

    return rc;
}


/* Without a task: what has not been read to its end is closed. */

static void
ngx_http_async_fetch_drop(async_response_t *res)
{
    ngx_http_async_fetch_release(NULL, res->source, ASYNC_CANCELLED, 0);
}
