
/*
 * Copyright (C) the nginx-async authors
 *
 * The life of an app in a worker: its startup functions, one after another,
 * tried again when one fails; the requests that wait for them; its shutdown
 * functions when the worker exits.  Each function is a task of its own.
 */

#include <ngx_http_async_lifecycle.h>
#include <ngx_async_quit.h>


#define NGX_HTTP_ASYNC_RETRY_MIN  1000
#define NGX_HTTP_ASYNC_RETRY_MAX  30000


typedef enum {
    NGX_HTTP_ASYNC_STARTING = 0,
    NGX_HTTP_ASYNC_FAILED,
    NGX_HTTP_ASYNC_READY
} ngx_http_async_life_e;


struct ngx_http_async_life_s {
    ngx_http_async_app_t   *app;
    ngx_http_async_life_e   state;

    ngx_array_t             startup;      /* of ngx_http_async_fn_t * */
    ngx_array_t             shutdown;
    ngx_uint_t              next;         /* the one that runs, or will */

    ngx_event_t             start;        /* of the next one; also a timer */
    ngx_msec_t              delay;

    ngx_queue_t             waiting;      /* of ngx_http_async_waiting_t */
};


typedef struct {
    ngx_async_task_t        task;
    ngx_http_async_life_t  *life;
    ngx_http_async_fn_t    *fn;
    async_rc_t              rc;
} ngx_http_async_hook_t;


/* on the stack of the task that waits */

typedef struct {
    ngx_queue_t             queue;
    ngx_async_waker_t       waker;
} ngx_http_async_waiting_t;


static ngx_int_t ngx_http_async_life_create(ngx_cycle_t *cycle,
    ngx_http_async_app_t *app);
static ngx_int_t ngx_http_async_life_add(ngx_array_t *hooks,
    ngx_http_async_fn_t *fn);
static ngx_uint_t ngx_http_async_life_before(const char *a, const char *b);
static void ngx_http_async_life_start(ngx_event_t *ev);
static void ngx_http_async_life_run(ngx_http_async_life_t *life,
    ngx_http_async_fn_t *fn, ngx_async_done_pt done);
static void ngx_http_async_life_body(ngx_async_task_t *t);
static async_rc_t ngx_http_async_life_call(async_t *co, void *arg);
static void ngx_http_async_life_started(ngx_async_task_t *t);
static void ngx_http_async_life_failed(ngx_http_async_hook_t *hook);
static void ngx_http_async_life_set(ngx_http_async_life_t *life,
    ngx_http_async_life_e state);
static void ngx_http_async_life_stop(ngx_event_t *ev);
static void ngx_http_async_life_stop_next(ngx_http_async_life_t *life);
static void ngx_http_async_life_stopped(ngx_async_task_t *t);


/* of this worker */
static ngx_http_async_loc_conf_t   *ngx_http_async_life_conf;
static ngx_http_async_main_conf_t  *ngx_http_async_life_main;
static ngx_uint_t                   ngx_http_async_life_stopping;
static void                       (*ngx_http_async_life_on_ready)(
                                        ngx_http_async_app_t *app);

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t             ngx_http_async_life_no_connection;


ngx_int_t
ngx_http_async_lifecycle_init(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf)
{
    ngx_uint_t             i;
    ngx_http_conf_ctx_t   *ctx;
    ngx_http_async_app_t  *app;

    ctx = (ngx_http_conf_ctx_t *) ngx_get_conf(cycle->conf_ctx,
                                               ngx_http_module);

    ngx_http_async_life_conf = ctx->loc_conf[ngx_http_async_module.ctx_index];
    ngx_http_async_life_main = mcf;
    ngx_http_async_life_no_connection.fd = (ngx_socket_t) -1;

    app = mcf->apps.elts;

    for (i = 0; i < mcf->apps.nelts; i++) {
        if (ngx_http_async_life_create(cycle, &app[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_life_create(ngx_cycle_t *cycle, ngx_http_async_app_t *app)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_http_async_fn_t    *fn;
    ngx_http_async_life_t  *life;

    life = ngx_pcalloc(cycle->pool, sizeof(ngx_http_async_life_t));

    if (life == NULL
        || ngx_array_init(&life->startup, cycle->pool, 2,
                          sizeof(ngx_http_async_fn_t *)) != NGX_OK
        || ngx_array_init(&life->shutdown, cycle->pool, 2,
                          sizeof(ngx_http_async_fn_t *)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    life->app = app;
    ngx_queue_init(&life->waiting);

    fn = app->fns.elts;

    for (i = 0; i < app->fns.nelts; i++) {

        if (fn[i].exported == NULL) {
            continue;
        }

        rc = (fn[i].kind == ASYNC_KIND_STARTUP)
                 ? ngx_http_async_life_add(&life->startup, &fn[i])
             : (fn[i].kind == ASYNC_KIND_SHUTDOWN)
                 ? ngx_http_async_life_add(&life->shutdown, &fn[i])
             : NGX_OK;

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (life->startup.nelts + life->shutdown.nelts == 0) {
        /* most apps have none, and their handlers nothing to check */
        return NGX_OK;
    }

    app->life = life;

    life->delay = NGX_HTTP_ASYNC_RETRY_MIN;
    life->start.handler = ngx_http_async_life_start;
    life->start.data = &ngx_http_async_life_no_connection;
    life->start.log = cycle->log;
    life->start.cancelable = 1;

    if (life->startup.nelts == 0) {
        life->state = NGX_HTTP_ASYNC_READY;
        return NGX_OK;
    }

    ngx_post_event(&life->start, &ngx_posted_next_events);

    return NGX_OK;
}


/* The compiler may have turned the order of a file round. */

static ngx_int_t
ngx_http_async_life_add(ngx_array_t *hooks, ngx_http_async_fn_t *fn)
{
    ngx_uint_t             i;
    ngx_http_async_fn_t  **place;

    if (ngx_array_push(hooks) == NULL) {
        return NGX_ERROR;
    }

    place = hooks->elts;

    for (i = hooks->nelts - 1; i; i--) {

        if (!ngx_http_async_life_before(fn->exported->site,
                                        place[i - 1]->exported->site))
        {
            break;
        }

        place[i] = place[i - 1];
    }

    place[i] = fn;

    return NGX_OK;
}


/* Of two places "file:line" in one file: whether a is above b */

static ngx_uint_t
ngx_http_async_life_before(const char *a, const char *b)
{
    const char  *la, *lb;

    la = strrchr(a, ':');
    lb = strrchr(b, ':');

    if (la - a != lb - b || ngx_strncmp(a, b, la - a) != 0) {
        return 0;
    }

    return strtoul(la + 1, NULL, 10) < strtoul(lb + 1, NULL, 10);
}


static void
ngx_http_async_life_start(ngx_event_t *ev)
{
    ngx_http_async_fn_t    **fn;
    ngx_http_async_life_t   *life;

    life = (ngx_http_async_life_t *)
               ((u_char *) ev - offsetof(ngx_http_async_life_t, start));

    ev->timedout = 0;

    ngx_http_async_life_set(life, NGX_HTTP_ASYNC_STARTING);

    fn = life->startup.elts;

    ngx_http_async_life_run(life, fn[life->next], ngx_http_async_life_started);
}


static void
ngx_http_async_life_run(ngx_http_async_life_t *life, ngx_http_async_fn_t *fn,
    ngx_async_done_pt done)
{
    ngx_msec_t              timeout;
    ngx_http_async_hook_t  *hook;

    hook = ngx_async_task_create_over(ngx_http_async_life_body, done,
                                      &fn->profile, ngx_cycle->log);
    if (hook == NULL) {

        if (done == ngx_http_async_life_started) {
            ngx_http_async_life_set(life, NGX_HTTP_ASYNC_FAILED);
            ngx_add_timer(&life->start, life->delay);

        } else {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "async shutdown \"%s\" is left out",
                          fn->profile.name);

            ngx_http_async_life_stop_next(life);
        }

        return;
    }

    hook->life = life;
    hook->fn = fn;

    if (done == ngx_http_async_life_started) {
        /* a shutdown is bounded by ngx_async_linger() */

        timeout = ngx_http_async_life_conf->timeout;

        hook->task.deadline = ngx_current_msec
                           + (timeout == NGX_CONF_UNSET_MSEC ? 60000 : timeout);
    }

    (void) ngx_async_task_run(&hook->task);
}


static void
ngx_http_async_life_body(ngx_async_task_t *t)
{
    ngx_http_async_hook_t  *hook = (ngx_http_async_hook_t *) t;

    hook->rc = ngx_async_call(t, ngx_http_async_life_call, hook);
}


static async_rc_t
ngx_http_async_life_call(async_t *co, void *arg)
{
    return ((ngx_http_async_hook_t *) arg)->fn->exported->hook(co);
}


static void
ngx_http_async_life_started(ngx_async_task_t *t)
{
    ngx_http_async_hook_t  *hook = (ngx_http_async_hook_t *) t;
    ngx_http_async_life_t  *life;

    life = hook->life;

    if (hook->rc != ASYNC_OK) {
        ngx_http_async_life_failed(hook);
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, t->log, 0,
                   "async startup \"%s\" done", t->profile->name);

    life->delay = NGX_HTTP_ASYNC_RETRY_MIN;
    life->next++;

    if (life->next == life->startup.nelts) {
        ngx_http_async_life_set(life, NGX_HTTP_ASYNC_READY);
        return;
    }

    /* when the stack of this one is free again */
    ngx_post_event(&life->start, &ngx_posted_events);
}


static void
ngx_http_async_life_failed(ngx_http_async_hook_t *hook)
{
    const char             *cause;
    ngx_async_task_t       *t;
    ngx_http_async_life_t  *life;

    t = &hook->task;
    life = hook->life;
    cause = async_error(t);

    ngx_log_error(NGX_LOG_ERR, t->log, 0,
                  "async startup \"%s\" failed: %s%s%s, after %s at %s; it is "
                  "tried again in %M s, until then its app answers 503",
                  t->profile->name, ngx_async_rc_name(hook->rc),
                  *cause ? ": " : "", cause, t->await ? t->await : "no await",
                  t->site ? t->site : "-", life->delay / 1000);

    ngx_http_async_life_set(life, NGX_HTTP_ASYNC_FAILED);

    ngx_add_timer(&life->start, life->delay);

    life->delay = ngx_min(life->delay * 2, NGX_HTTP_ASYNC_RETRY_MAX);
}


static void
ngx_http_async_life_set(ngx_http_async_life_t *life,
    ngx_http_async_life_e state)
{
    ngx_queue_t               *q;
    ngx_http_async_waiting_t  *w;

    life->state = state;

    if (state == NGX_HTTP_ASYNC_STARTING) {
        return;
    }

    for (q = ngx_queue_head(&life->waiting);
         q != ngx_queue_sentinel(&life->waiting);
         q = ngx_queue_next(q))
    {
        w = ngx_queue_data(q, ngx_http_async_waiting_t, queue);

        (void) ngx_async_wake(&w->waker, ASYNC_OK);
    }

    if (state == NGX_HTTP_ASYNC_READY && ngx_http_async_life_on_ready) {
        ngx_http_async_life_on_ready(life->app);
    }
}


ngx_uint_t
ngx_http_async_lifecycle_ready(ngx_http_async_app_t *app)
{
    return app->life == NULL || app->life->state == NGX_HTTP_ASYNC_READY;
}


void
ngx_http_async_lifecycle_on_ready(void (*handler)(ngx_http_async_app_t *app))
{
    ngx_http_async_life_on_ready = handler;
}


async_rc_t
ngx_http_async_lifecycle_wait(ngx_async_task_t *t, ngx_http_async_fn_t *fn)
{
    async_rc_t                 rc;
    ngx_http_async_life_t     *life;
    ngx_http_async_waiting_t   w;

    life = fn->app->life;

    if (life == NULL || life->state == NGX_HTTP_ASYNC_READY) {
        return ASYNC_OK;
    }

    if (life->state == NGX_HTTP_ASYNC_STARTING) {

        rc = ngx_async_enter(t, "the startup of its app", fn->exported->site);
        if (rc != ASYNC_OK) {
            return rc;
        }

        w.waker = ngx_async_waker(t);
        ngx_queue_insert_tail(&life->waiting, &w.queue);

        rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);

        ngx_queue_remove(&w.queue);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    if (life->state == NGX_HTTP_ASYNC_READY) {
        return ASYNC_OK;
    }

    ngx_log_error(NGX_LOG_INFO, t->log, 0,
                  "async handler \"%s\" answers 503: the startup of its app "
                  "has failed", t->profile->name);

    return ngx_async_set_error(t, ASYNC_BUSY,
                               "the startup of the app has failed");
}


void
ngx_http_async_lifecycle_exit(ngx_cycle_t *cycle)
{
    ngx_uint_t              i;
    ngx_http_async_app_t   *app;
    ngx_http_async_life_t  *life;

    if (ngx_http_async_life_main == NULL) {
        return;
    }

    app = ngx_http_async_life_main->apps.elts;

    for (i = 0; i < ngx_http_async_life_main->apps.nelts; i++) {
        life = app[i].life;

        if (life == NULL) {
            continue;
        }

        if (life->start.timer_set) {
            ngx_del_timer(&life->start);
        }

        if (life->start.posted) {
            ngx_delete_posted_event(&life->start);
        }

        if (life->state == NGX_HTTP_ASYNC_READY && life->shutdown.nelts) {
            life->next = 0;
            life->start.handler = ngx_http_async_life_stop;

            ngx_http_async_life_stopping++;
            ngx_post_event(&life->start, &ngx_posted_events);
        }
    }

    ngx_async_linger(cycle, &ngx_http_async_life_stopping,
                     ngx_async_time_left());

    if (ngx_http_async_life_stopping) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "async: the shutdown of %ui apps did not end",
                      ngx_http_async_life_stopping);
    }
}


static void
ngx_http_async_life_stop(ngx_event_t *ev)
{
    ngx_http_async_fn_t    **fn;
    ngx_http_async_life_t   *life;

    life = (ngx_http_async_life_t *)
               ((u_char *) ev - offsetof(ngx_http_async_life_t, start));

    fn = life->shutdown.elts;

    ngx_http_async_life_run(life, fn[life->next], ngx_http_async_life_stopped);
}


static void
ngx_http_async_life_stopped(ngx_async_task_t *t)
{
    const char             *cause;
    ngx_http_async_hook_t  *hook = (ngx_http_async_hook_t *) t;
    ngx_http_async_life_t  *life;

    life = hook->life;

    if (hook->rc != ASYNC_OK) {
        cause = async_error(t);

        ngx_log_error(NGX_LOG_ERR, t->log, 0,
                      "async shutdown \"%s\" failed: %s%s%s, after %s at %s",
                      t->profile->name, ngx_async_rc_name(hook->rc),
                      *cause ? ": " : "", cause,
                      t->await ? t->await : "no await",
                      t->site ? t->site : "-");
    }

    ngx_http_async_life_stop_next(life);
}


static void
ngx_http_async_life_stop_next(ngx_http_async_life_t *life)
{
    life->next++;

    if (life->next == life->shutdown.nelts) {
        ngx_http_async_life_stopping--;
        return;
    }

    ngx_post_event(&life->start, &ngx_posted_events);
}


async_str_t
async_task_param(async_t *co, const char *key)
{
    ngx_uint_t     i;
    async_str_t    value;
    ngx_array_t   *params;
    ngx_keyval_t  *kv;

    ngx_async_check_task(co);

    value.data = NULL;
    value.len = 0;

    params = ngx_http_async_life_conf ? ngx_http_async_life_conf->params : NULL;

    if (params == NULL) {
        return value;
    }

    kv = params->elts;

    for (i = 0; i < params->nelts; i++) {
        if (ngx_strcmp(kv[i].key.data, key) == 0) {
            value.data = (const char *) kv[i].value.data;
            value.len = kv[i].value.len;
        }
    }

    return value;
}
