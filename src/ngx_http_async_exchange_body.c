
/*
 * Copyright (C) the nginx-async authors
 *
 * Bodies of the responses of others, as they come: by a length, in chunks, or
 * until the end.  See ngx_http_async_exchange.h.
 */

#include <ngx_http_async_exchange.h>


#if (nginx_version >= 1027002)
#define ngx_http_async_parse_chunked(r, b, c)                                \
    ngx_http_parse_chunked((r), (b), (c), 0)
#else
#define ngx_http_async_parse_chunked(r, b, c)                                \
    ngx_http_parse_chunked((r), (b), (c))
#endif


static async_rc_t ngx_http_async_exchange_chunked(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, void *buf, size_t size, size_t *n);
static async_rc_t ngx_http_async_exchange_chunk(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x);
static async_rc_t ngx_http_async_exchange_some(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, void *buf, size_t size, size_t *n);


async_rc_t
ngx_http_async_exchange_read(ngx_async_task_t *t, ngx_http_async_exchange_t *x,
    void *buf, size_t size, size_t *n)
{
    async_rc_t  rc;

    *n = 0;

    switch (x->state) {

    case NGX_HTTP_ASYNC_EXCHANGE_LENGTH:
        rc = ngx_http_async_exchange_some(t, x, buf,
                                          ngx_min((off_t) size, x->left), n);
        break;

    case NGX_HTTP_ASYNC_EXCHANGE_CHUNKED:
        return ngx_http_async_exchange_chunked(t, x, buf, size, n);

    case NGX_HTTP_ASYNC_EXCHANGE_CLOSE:
        rc = ngx_http_async_exchange_some(t, x, buf, size, n);

        if (rc == ASYNC_OK && *n == 0) {
            x->state = NGX_HTTP_ASYNC_EXCHANGE_DONE;
        }

        return rc;

    default:
        return ASYNC_OK;
    }

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (*n == 0) {
        return ngx_async_because(t, ASYNC_CAUSE_RESET,
                                 ngx_async_set_error(t, ASYNC_CLOSED, "%s has "
                                           "closed the connection, %O bytes "
                                           "before the end of its response",
                                           x->conn.name, x->left));
    }

    x->left -= *n;

    if (x->left == 0) {
        x->state = NGX_HTTP_ASYNC_EXCHANGE_DONE;
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_exchange_chunked(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, void *buf, size_t size, size_t *n)
{
    async_rc_t  rc;

    while (x->left == 0) {

        rc = ngx_http_async_exchange_chunk(t, x);

        if (rc != ASYNC_OK || x->state == NGX_HTTP_ASYNC_EXCHANGE_DONE) {
            return rc;
        }
    }

    rc = ngx_http_async_exchange_some(t, x, buf,
                                      ngx_min((off_t) size, x->left), n);

    if (rc == ASYNC_OK && *n == 0) {
        return ngx_http_async_exchange_cut(t, x, "in the middle of a chunk");
    }

    x->left -= *n;

    return rc;
}


/* What stands between the data: until there are some, or the end. */

static async_rc_t
ngx_http_async_exchange_chunk(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x)
{
    u_char                   *p;
    ngx_int_t                 rc;
    async_rc_t                arc;
    ngx_http_async_reader_t  *rd;

    rd = x->reader;

    if (rd->buf.pos == rd->buf.last) {
        rd->buf.pos = rd->data;
        rd->buf.last = rd->data;

        arc = ngx_http_async_exchange_fill(t, x);

        if (arc != ASYNC_OK) {
            return arc;
        }
    }

    p = rd->buf.pos;
    rd->r.connection = x->conn.connection;

    /* of the chunk before, all has been taken */
    rd->chunked.size = rd->inside ? 0 : rd->chunked.size;
    rd->inside = 0;

    rc = ngx_http_async_parse_chunked(&rd->r, &rd->buf, &rd->chunked);

    rd->framing += rd->buf.pos - p;

    if (rc == NGX_ERROR) {
        return ngx_http_async_exchange_wrong(t, x, "a chunk is malformed");
    }

    if (rd->framing > x->max_head) {
        return ngx_http_async_exchange_wrong(t, x, "its chunks have more "
                                             "extensions or trailers than "
                                             "async_fetch_max_head allows");
    }

    if (rc == NGX_DONE) {
        x->state = NGX_HTTP_ASYNC_EXCHANGE_DONE;

    } else if (rc == NGX_OK) {
        x->left = rd->chunked.size;
        rd->inside = 1;
        rd->framing = 0;
    }

    return ASYNC_OK;
}


/* What has come already, or from the connection. */

static async_rc_t
ngx_http_async_exchange_some(ngx_async_task_t *t, ngx_http_async_exchange_t *x,
    void *buf, size_t size, size_t *n)
{
    ngx_buf_t  *b;

    b = &x->reader->buf;

    if (b->pos == b->last) {
        return ngx_async_conn_recv(t, &x->conn, buf, size, x->read_timeout, n);
    }

    *n = ngx_min(size, (size_t) (b->last - b->pos));

    ngx_memcpy(buf, b->pos, *n);
    b->pos += *n;

    return ASYNC_OK;
}
