
/*
 * Copyright (C) the nginx-async authors
 *
 * await_pg_listen(), await_pg_notification(): listeners of apps, see
 * ngx_async.h.
 */

#include <ngx_http_async_pg_listen.h>
#include <ngx_http_async_pg_task.h>
#include <ngx_http_async_value.h>


/* NAMEDATALEN of the server, without the zero */
#define NGX_HTTP_ASYNC_PG_NAME  63


static async_rc_t ngx_http_async_pg_listen(ngx_async_task_t *t,
    ngx_http_async_pg_pool_t *pool, ngx_str_t *name,
    async_pg_listener_t *l);
static async_rc_t ngx_http_async_pg_channel_name(ngx_async_task_t *t,
    ngx_str_t *name);
static async_rc_t ngx_http_async_pg_await(ngx_async_task_t *t,
    async_pg_listener_t *l);
static void ngx_http_async_pg_listener_close(void *handle);


async_rc_t
await_pg_listen_at(async_t *co, const char *site, const char *pool,
    const char *channel, async_pg_listener_t **listener)
{
    ngx_str_t                  name;
    async_rc_t                 rc;
    async_pg_listener_t       *l;
    ngx_http_async_pg_pool_t  *p;

    *listener = NULL;

    rc = ngx_async_enter(co, "await_pg_listen", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_http_async_pg_task_begin(co);

    p = ngx_http_async_pg_pool(pool);

    if (p == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "there is no \"async_pg "
                                   "%s\"", pool);
    }

    name.data = (u_char *) channel;
    name.len = ngx_strlen(channel);

    rc = ngx_http_async_pg_channel_name(co, &name);

    if (rc != ASYNC_OK) {
        return rc;
    }

    l = ngx_async_handle(co, sizeof(async_pg_listener_t),
                         ngx_http_async_pg_listener_close);
    if (l == NULL) {
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    rc = ngx_http_async_pg_listen(co, p, &name, l);

    if (rc != ASYNC_OK) {
        ngx_http_async_pg_listener_close(l);
        return rc;
    }

    *listener = l;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_pg_listen(ngx_async_task_t *t, ngx_http_async_pg_pool_t *pool,
    ngx_str_t *name, async_pg_listener_t *l)
{
    ngx_http_async_pg_hub_t  *hub;

    hub = ngx_http_async_pg_hub(pool);

    if (hub == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    if (hub->state == NGX_HTTP_ASYNC_PG_HUB_DOWN) {
        return ngx_async_because(t, hub->cause,
                                 ngx_async_set_error(t, ASYNC_ERROR, "%s",
                                                     hub->why));
    }

    if (ngx_http_async_pg_join(hub, l, name) != NGX_OK) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    if (ngx_http_async_pg_hub_look(hub) != NGX_OK) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory, or too many "
                                   "tasks");
    }

    if (l->state == NGX_HTTP_ASYNC_PG_OPEN) {
        return ASYNC_OK;
    }

    l->waker = ngx_async_waker(t);

    return ngx_async_wait(t, NGX_ASYNC_FOREVER);
}


static async_rc_t
ngx_http_async_pg_channel_name(ngx_async_task_t *t, ngx_str_t *name)
{
    if (name->len == 0 || name->len > NGX_HTTP_ASYNC_PG_NAME) {
        return ngx_async_set_error(t, ASYNC_ERROR, "a channel's name has 1 to "
                                   "%d bytes, not %uz",
                                   NGX_HTTP_ASYNC_PG_NAME, name->len);
    }

    if (!ngx_http_async_value_is_utf8(name->data, name->data + name->len)) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the channel's name is not "
                                   "UTF-8");
    }

    return ASYNC_OK;
}


async_rc_t
await_pg_notification_at(async_t *co, const char *site,
    async_pg_listener_t *listener, async_pg_notification_t *notification,
    size_t size)
{
    async_rc_t               rc;
    async_pg_notification_t  full;

    ngx_memzero(&full, sizeof(async_pg_notification_t));

    full.size = ngx_min(size, sizeof(async_pg_notification_t));
    ngx_memcpy(notification, &full, full.size);

    ngx_http_async_pg_give_back(listener);

    rc = ngx_async_enter(co, "await_pg_notification", site);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_pg_await(co, listener);
    }

    if (rc == ASYNC_OK) {
        ngx_http_async_pg_take_next(listener, &full);
        ngx_memcpy(notification, &full, full.size);
    }

    return rc;
}


static async_rc_t
ngx_http_async_pg_await(ngx_async_task_t *t, async_pg_listener_t *l)
{
    async_rc_t                   rc;
    ngx_http_async_pg_waiting_t  w;

    if (l->channel == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the listener is closed");
    }

    while (!ngx_http_async_pg_has(l)) {

        if (l->waiting) {
            return ngx_async_set_error(t, ASYNC_BUSY, "another task waits for "
                                       "a notification of this listener");
        }

        w.listener = l;
        w.waker = ngx_async_waker(t);

        ngx_queue_insert_tail(&l->channel->waiting, &w.queue);
        l->waiting = &w;

        rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);

        if (w.listener) {
            ngx_queue_remove(&w.queue);
            l->waiting = NULL;
        }

        if (rc == ASYNC_CLOSED || (rc == ASYNC_OK && l->channel == NULL)) {
            return ngx_async_set_error(t, ASYNC_CLOSED, "another task has "
                                       "closed the listener");
        }

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return ASYNC_OK;
}


void
async_pg_unlisten(async_t *co, async_pg_listener_t *listener)
{
    ngx_async_check_task(co);

    if (listener) {
        ngx_http_async_pg_listener_close(listener);
    }
}


/* The task may have ended: so nothing here is of it. */

static void
ngx_http_async_pg_listener_close(void *handle)
{
    async_pg_listener_t  *l = handle;

    ngx_http_async_pg_hub_t  *hub;

    hub = l->channel ? l->channel->hub : NULL;

    ngx_http_async_pg_leave_channel(l);

    if (hub) {
        (void) ngx_http_async_pg_hub_look(hub);
    }
}
