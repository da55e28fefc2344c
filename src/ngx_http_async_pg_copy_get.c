
/*
 * Copyright (C) the nginx-async authors
 *
 * await_pg_copy_get(): data of COPY to us, as they come.
 */

#include <ngx_http_async_pg_copy.h>


/* what is given at once if it is there; a line may be longer */
#define NGX_HTTP_ASYNC_PG_COPY_PIECE   65536


static ngx_uint_t ngx_http_async_pg_copy_ready(async_pg_copy_t *copy);
static async_rc_t ngx_http_async_pg_copy_lines(ngx_async_task_t *t,
    async_pg_copy_t *copy, async_str_t *data);


async_rc_t
await_pg_copy_get_at(async_t *co, const char *site, async_pg_copy_t *copy,
    async_str_t *data)
{
    async_rc_t  rc;

    data->data = NULL;
    data->len = 0;

    rc = ngx_http_async_pg_copy_enter(co, "await_pg_copy_get", site, copy,
                                      copy->state == NGX_HTTP_ASYNC_PG_COPY_END
                                      ? NGX_HTTP_ASYNC_PG_COPY_END
                                      : NGX_HTTP_ASYNC_PG_COPY_TO);

    if (rc == ASYNC_OK && copy->state == NGX_HTTP_ASYNC_PG_COPY_TO) {
        copy->hold.inside = 1;
        rc = ngx_http_async_pg_copy_get(co, copy, data);
        copy->hold.inside = 0;
    }

    return rc;
}


async_rc_t
ngx_http_async_pg_copy_get(ngx_async_task_t *t, async_pg_copy_t *copy,
    async_str_t *data)
{
    async_rc_t  rc;

    while (!ngx_http_async_pg_copy_ready(copy)) {

        rc = ngx_http_async_pg_more(t, copy->hold.conn);

        if (rc == ASYNC_CLOSED) {
            ngx_http_async_pg_copy_done(copy, NGX_HTTP_ASYNC_PG_COPY_FAILED);
        }

        if (rc != ASYNC_OK) {
            /* after a deadline it can be asked again */
            return rc;
        }
    }

    return copy->line ? ngx_http_async_pg_copy_lines(t, copy, data)
                      : ngx_http_async_pg_copy_finish(t, copy);
}


/* Whether there is a line, or the end; nothing is read. */

static ngx_uint_t
ngx_http_async_pg_copy_ready(async_pg_copy_t *copy)
{
    int  n;

    if (copy->line || copy->last) {
        return 1;
    }

    n = PQgetCopyData(copy->hold.conn->pg, &copy->line, 1);

    copy->len = (n > 0) ? n : 0;
    copy->last = (n < 0);

    return n != 0;
}


/* As many as are there already, in one piece. */

static async_rc_t
ngx_http_async_pg_copy_lines(ngx_async_task_t *t, async_pg_copy_t *copy,
    async_str_t *data)
{
    size_t  len;

    copy->lent = copy->line;
    copy->line = NULL;

    data->data = copy->lent;
    data->len = copy->len;

    (void) ngx_http_async_pg_copy_ready(copy);

    if (copy->line == NULL
        || data->len + copy->len > NGX_HTTP_ASYNC_PG_COPY_PIECE)
    {
        return ASYNC_OK;
    }

    if (copy->buf == NULL) {
        copy->buf = ngx_alloc(NGX_HTTP_ASYNC_PG_COPY_PIECE + 1, t->log);

        if (copy->buf == NULL) {
            /* one at a time, then */
            return ASYNC_OK;
        }
    }

    len = data->len;
    ngx_memcpy(copy->buf, copy->lent, len);

    do {
        ngx_memcpy(copy->buf + len, copy->line, copy->len);
        len += copy->len;

        PQfreemem(copy->line);
        copy->line = NULL;

        (void) ngx_http_async_pg_copy_ready(copy);

    } while (copy->line && len + copy->len <= NGX_HTTP_ASYNC_PG_COPY_PIECE);

    copy->buf[len] = '\0';

    data->data = copy->buf;
    data->len = len;

    return ASYNC_OK;
}
