
/*
 * Copyright (C) the nginx-async authors
 *
 * Results of PostgreSQL as structs: the calls by which a handler has them.
 */

#include <ngx_http_async_pg.h>
#include <ngx_http_async_pg_model.h>
#include <ngx_http_async_model_struct.h>


static async_rc_t ngx_http_async_pg_into(async_t *co,
    ngx_http_async_pg_fill_t *fill, async_pg_result_t *result);
static void ngx_http_async_pg_into_fill(void *data);


async_rc_t
async_pg_into_(async_t *co, async_pg_result_t *result, size_t row,
    const async_model_t *model, void *value, size_t size)
{
    async_rc_t                rc;
    ngx_http_async_pg_fill_t  fill;

    ngx_async_check_task(co);

    rc = ngx_http_async_model_struct(co, "async_pg_into", model, size);
    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_http_async_model_clear(model, value);

    fill.call = "async_pg_into";
    fill.model = model;
    fill.row = row;
    fill.n = 1;
    fill.to = value;

    rc = ngx_http_async_pg_into(co, &fill, result);

    if (rc != ASYNC_OK) {
        ngx_http_async_model_clear(model, value);
    }

    return rc;
}


async_rc_t
async_pg_all_into_(async_t *co, async_pg_result_t *result,
    const async_model_t *model, void *values, size_t size, size_t *n)
{
    void                      *to;
    size_t                     rows;
    async_rc_t                 rc;
    ngx_pool_t                *pool;
    ngx_http_async_pg_fill_t   fill;

    ngx_async_check_task(co);

    *(void **) values = NULL;
    *n = 0;

    rc = ngx_http_async_model_struct(co, "async_pg_all_into", model, size);
    if (rc != ASYNC_OK) {
        return rc;
    }

    to = NULL;
    rows = async_pg_rows(result);
    pool = ngx_async_task_pool(co);

    if (rows) {
        to = (pool && rows <= SIZE_MAX / size)
             ? ngx_async_palloc(pool, rows * size) : NULL;

        if (to == NULL) {
            return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
        }

        ngx_memzero(to, rows * size);
    }

    fill.call = "async_pg_all_into";
    fill.model = model;
    fill.row = 0;
    fill.n = rows;
    fill.to = to;

    rc = ngx_http_async_pg_into(co, &fill, result);

    if (rc != ASYNC_OK) {

        if (to) {
            (void) ngx_pfree(pool, to);
        }

        return rc;
    }

    *(void **) values = to;
    *n = rows;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_pg_into(async_t *co, ngx_http_async_pg_fill_t *fill,
    async_pg_result_t *result)
{
    if (result == NULL || result->result == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR,
                                   "%s(): there is no result", fill->call);
    }

    if (fill->n && fill->row >= async_pg_rows(result)) {
        return ngx_async_set_error(co, ASYNC_ERROR,
                                   "%s(): there is no row %uz of %uz",
                                   fill->call, fill->row,
                                   async_pg_rows(result));
    }

    fill->pool = ngx_async_task_pool(co);

    if (fill->pool == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    fill->result = result->result;
    fill->lent = &result->lent;

    fill->error[0] = '\0';

    ngx_async_on_loop(ngx_http_async_pg_into_fill, fill);

    return fill->error[0]
           ? ngx_async_set_error(co, ASYNC_ERROR, "%s", fill->error)
           : ASYNC_OK;
}


static void
ngx_http_async_pg_into_fill(void *data)
{
    (void) ngx_http_async_pg_fill(data);
}
