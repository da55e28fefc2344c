
/*
 * Copyright (C) the nginx-async authors
 *
 * Figures of the pools of connections to PostgreSQL, for the status.
 */

#include <ngx_http_async_pg_pool.h>
#include <ngx_http_async_app.h>


static ngx_uint_t ngx_http_async_pg_nidle(ngx_http_async_pg_pool_t *pool);


static const ngx_async_stats_field_t  ngx_http_async_pg_fields[] = {
    { NGX_HTTP_ASYNC_PG_STATS_MAX, "connections_max", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Connections that there may be" },
    { NGX_HTTP_ASYNC_PG_STATS_BUSY, "connections_busy", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Connections that tasks have" },
    { NGX_HTTP_ASYNC_PG_STATS_IDLE, "connections_idle", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Connections that wait for a task" },
    { NGX_HTTP_ASYNC_PG_STATS_CONNECTING, "connections_opening",
      NGX_ASYNC_STATS_GAUGE, NGX_ASYNC_STATS_NUMBER,
      "Connections that are being made" },
    { NGX_HTTP_ASYNC_PG_STATS_WAITING, "waiting", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Tasks that wait for a connection" },
    { NGX_HTTP_ASYNC_PG_STATS_OPENED, "opened", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Connections made" },
    { NGX_HTTP_ASYNC_PG_STATS_FAILED, "connect_failed", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Connections that could not be made" },
    { NGX_HTTP_ASYNC_PG_STATS_LOST, "lost", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Connections closed since they were good for nothing any more" },
    { NGX_HTTP_ASYNC_PG_STATS_ACQUIRES, "acquires", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Times that a task has asked for a connection" },
    { NGX_HTTP_ASYNC_PG_STATS_REFUSED, "refused", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Of these, refused since too many waited" },
    { NGX_HTTP_ASYNC_PG_STATS_TIMED_OUT, "timed_out", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Of these, without one in time" },
    { NGX_HTTP_ASYNC_PG_STATS_STATEMENTS, "statements", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Statements sent" },
    { NGX_HTTP_ASYNC_PG_STATS_ERRORS, "errors", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Errors that statements have ended with" },
    { NGX_HTTP_ASYNC_PG_STATS_CANCELS, "cancels", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Cancels sent for statements that were left" },
    { NGX_HTTP_ASYNC_PG_STATS_WAIT, "wait", NGX_ASYNC_STATS_HISTOGRAM,
      NGX_ASYNC_STATS_USEC, "How long tasks have waited for a connection" },
    { NGX_HTTP_ASYNC_PG_STATS_TIME, "time", NGX_ASYNC_STATS_HISTOGRAM,
      NGX_ASYNC_STATS_USEC,
      "How long statements have taken, from sending to their result" },
    { 0, NULL, 0, 0, NULL }
};

static const ngx_async_stats_family_t  ngx_http_async_pg_family = {
    "postgres", "pool", ngx_http_async_pg_fields
};


ngx_int_t
ngx_http_async_pg_stats(ngx_conf_t *cf, ngx_array_t *pools)
{
    ngx_uint_t                    i;
    ngx_http_async_main_conf_t   *mcf;
    ngx_http_async_pg_pool_t    **p;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_async_module);

    if (mcf->stats.zone == NULL) {
        return NGX_OK;
    }

    p = pools->elts;

    for (i = 0; i < pools->nelts; i++) {

        if (ngx_async_stats_add(cf, &mcf->stats, &p[i]->stats,
                                &ngx_http_async_pg_family, &p[i]->name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_async_pg_stats_set(ngx_http_async_pg_pool_t *pool)
{
    ngx_uint_t  idle;

    idle = ngx_http_async_pg_nidle(pool);

    ngx_async_stats_set(&pool->stats, NGX_HTTP_ASYNC_PG_STATS_MAX,
                        pool->connections);
    ngx_async_stats_set(&pool->stats, NGX_HTTP_ASYNC_PG_STATS_IDLE, idle);
    ngx_async_stats_set(&pool->stats, NGX_HTTP_ASYNC_PG_STATS_CONNECTING,
                        pool->nconnecting);
    ngx_async_stats_set(&pool->stats, NGX_HTTP_ASYNC_PG_STATS_BUSY,
                        pool->n - idle - pool->nconnecting);
    ngx_async_stats_set(&pool->stats, NGX_HTTP_ASYNC_PG_STATS_WAITING,
                        pool->nwaiters);
}


static ngx_uint_t
ngx_http_async_pg_nidle(ngx_http_async_pg_pool_t *pool)
{
    ngx_uint_t    n;
    ngx_queue_t  *q;

    for (q = ngx_queue_head(&pool->idle), n = 0;
         q != ngx_queue_sentinel(&pool->idle);
         q = ngx_queue_next(q))
    {
        n++;
    }

    return n;
}


void
ngx_http_async_pg_stats_time(ngx_http_async_pg_pool_t *pool, ngx_uint_t index,
    ngx_msec_t since)
{
    if (since == ngx_current_msec) {
        /* the first bucket, and nothing to the sum: an idle one was there */
        pool->stats.values[index + 1]++;
        return;
    }

    ngx_async_stats_time(&pool->stats, index,
                         (uint64_t) (ngx_current_msec - since) * 1000);
}
