
/*
 * Copyright (C) the nginx-async authors
 *
 * Handles: see ngx_async_handle.h.
 */

#include <ngx_async_handle.h>


static void *ngx_async_handle_make(ngx_async_task_t *t, size_t size,
    void (*close)(void *handle), ngx_uint_t memory);
static void ngx_async_handle_ended(ngx_async_end_t *end);
static void ngx_async_handle_cleanup(void *data);


void *
ngx_async_handle(ngx_async_task_t *t, size_t size, void (*close)(void *handle))
{
    return ngx_async_handle_make(t, size, close, 0);
}


void *
ngx_async_handle_memory(ngx_async_task_t *t, size_t size,
    void (*close)(void *handle))
{
    return ngx_async_handle_make(t, size, close, 1);
}


static void *
ngx_async_handle_make(ngx_async_task_t *t, size_t size,
    void (*close)(void *handle), ngx_uint_t memory)
{
    ngx_pool_t          *pool;
    ngx_async_handle_t  *h;
    ngx_pool_cleanup_t  *cln;

    pool = ngx_async_task_pool(t);
    cln = pool ? ngx_pool_cleanup_add(pool, size) : NULL;

    if (cln == NULL) {
        return NULL;
    }

    h = cln->data;
    ngx_memzero(h, size);

    h->close = close;
    cln->handler = ngx_async_handle_cleanup;

    while (t->parent) {
        t = t->parent;
    }

    if (memory && t->lasting) {
        /* a thread may still read it when the task has ended */
        return h;
    }

    h->task = t;
    h->end.handler = ngx_async_handle_ended;
    h->end.next = t->ends;
    t->ends = &h->end;

    return h;
}


static void
ngx_async_handle_ended(ngx_async_end_t *end)
{
    ngx_async_handle_t  *h = (ngx_async_handle_t *) end;

    h->task = NULL;
    h->close(h);
}


static void
ngx_async_handle_cleanup(void *data)
{
    ngx_async_handle_t  *h = data;

    ngx_async_end_t  **end;

    if (h->task) {

        for (end = &h->task->ends; *end != &h->end; end = &(*end)->next) {
            /* void */
        }

        *end = h->end.next;
    }

    h->close(h);
}
