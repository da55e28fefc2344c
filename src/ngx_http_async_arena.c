
/*
 * Copyright (C) the nginx-async authors
 *
 * Memory that a request shares with threads, see ngx_http_async_arena.h.
 */

#include <ngx_http_async_arena.h>
#include <ngx_http_async_teardown.h>


#define NGX_HTTP_ASYNC_ARENA_SIZE  4096


static void ngx_http_async_arena_release(void *data);
static void ngx_http_async_arena_json_end(void *data);


ngx_http_async_arena_t *
ngx_http_async_arena_create(async_req_t *req)
{
    ngx_pool_t              *pool;
    ngx_pool_cleanup_t      *cln;
    ngx_http_async_arena_t  *arena;

    pool = ngx_create_pool(NGX_HTTP_ASYNC_ARENA_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    arena = ngx_pcalloc(pool, sizeof(ngx_http_async_arena_t));
    cln = arena ? ngx_pool_cleanup_add(req->home, 0) : NULL;

    if (cln == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    arena->pool = pool;
    arena->refs = 1;
    arena->profile = req->task.profile;

    cln->handler = ngx_http_async_arena_release;
    cln->data = arena;

    req->pool = pool;
    req->task.pool = pool;
    req->task.lasting = 1;

    return arena;
}


static void
ngx_http_async_arena_release(void *data)
{
    ngx_http_async_arena_t  *arena = data;

    if (--arena->refs == 0) {
        ngx_destroy_pool(arena->pool);
    }
}


ngx_int_t
ngx_http_async_arena_hold(ngx_http_async_arena_t *arena, ngx_pool_t *pool)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_async_arena_release;
    cln->data = arena;

    arena->refs++;

    return NGX_OK;
}


void
ngx_http_async_arena_enter(ngx_http_async_arena_t *arena)
{
    arena->refs++;
    arena->threads++;
}


void
ngx_http_async_arena_leave(ngx_http_async_arena_t *arena,
    ngx_http_async_background_t *background)
{
    if (background) {
        ngx_http_async_background_join(&arena->background, background);
    }

    arena->threads--;

    if (arena->ended && arena->threads == 0) {
        /* the reference of the thread goes over */
        ngx_http_async_teardown_late(arena->background, &arena->defers,
                                     arena->profile, arena->rc,
                                     ngx_http_async_arena_release, arena);
        return;
    }

    ngx_http_async_arena_release(arena);
}


ngx_int_t
ngx_http_async_arena_end(ngx_http_async_arena_t *arena, async_req_t *req,
    async_rc_t rc)
{
    ngx_http_async_background_t  *background;

    /* of threads that nobody awaited: they came later */

    background = arena->background;
    arena->background = NULL;

    if (background) {
        ngx_http_async_background_join(&req->background, background);
    }

    if (arena->threads == 0) {
        return NGX_OK;
    }

    arena->ended = 1;
    arena->rc = rc;

    if (req->background) {
        ngx_http_async_background_forget(req->background);

        arena->background = req->background;
        req->background = NULL;
    }

    arena->defers = req->task.defers;
    req->task.defers = NULL;

    if (ngx_http_async_arena_json(arena, req) != NGX_OK) {
        /* it is lost rather than used when it is gone */
        req->json = NULL;
    }

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_async_arena_json(ngx_http_async_arena_t *arena, async_req_t *req)
{
    ngx_pool_cleanup_t  *cln;

    if (req->json == NULL) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(arena->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_async_arena_json_end;
    cln->data = json_incref(req->json);

    return NGX_OK;
}


static void
ngx_http_async_arena_json_end(void *data)
{
    json_decref((json_t *) data);
}
