
/*
 * Copyright (C) the nginx-async authors
 *
 * Pools that are used again: see ngx_async_scratch.h.
 */

#include <ngx_async_scratch.h>


#define NGX_ASYNC_SCRATCH_SIZE  1024

/* under AddressSanitizer each is new, so that it sees what is used too late */

#if defined(__SANITIZE_ADDRESS__)
#define NGX_ASYNC_SCRATCH_KEPT  0
#else
#define NGX_ASYNC_SCRATCH_KEPT  16
#endif


/* of this worker, and of its loop alone */
static ngx_pool_t  *ngx_async_scratch_kept[NGX_ASYNC_SCRATCH_KEPT + 1];
static ngx_uint_t   ngx_async_scratch_n;


ngx_pool_t *
ngx_async_scratch(ngx_log_t *log)
{
    ngx_pool_t  *pool;

    if (ngx_async_scratch_n == 0) {
        return ngx_create_pool(NGX_ASYNC_SCRATCH_SIZE, log);
    }

    pool = ngx_async_scratch_kept[--ngx_async_scratch_n];
    pool->log = log;

    return pool;
}


void
ngx_async_scratch_done(ngx_pool_t *pool)
{
    if (pool == NULL) {
        return;
    }

    if (ngx_async_scratch_n == NGX_ASYNC_SCRATCH_KEPT || pool->d.next) {
        /* enough of them; or it has grown */
        ngx_destroy_pool(pool);
        return;
    }

    ngx_reset_pool(pool);

    ngx_async_scratch_kept[ngx_async_scratch_n++] = pool;
}
