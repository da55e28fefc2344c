
/*
 * Copyright (C) the nginx-async authors
 *
 * await_thread(): a function in a thread, awaited.  It works on a copy of its
 * argument, which comes back when it has returned in time.
 */

#include <ngx_http_async_thread.h>
#include <ngx_http_async_process.h>
#include <ngx_async_near.h>


typedef struct {
    async_thread_pt         fn;
    async_rc_t              rc;
    size_t                  size;
    u_char                  error[NGX_ASYNC_ERROR_LEN];

    /* what the argument points to; NULL: nothing is to be released */
    void                  (*release)(void *kept);
    void                   *kept;

    /* the copy */
    max_align_t             arg[];
} ngx_http_async_thread_t;


static void ngx_http_async_thread_run(void *data);
static void ngx_http_async_thread_drop(void *data);


/* of the http block; in workers */
static ngx_async_thread_pool_t  *ngx_http_async_thread_pool;


void
ngx_http_async_thread_init(ngx_async_thread_pool_t *pool)
{
    ngx_http_async_thread_pool = pool;
}


ngx_async_thread_pool_t *
ngx_http_async_thread_find(ngx_async_task_t *t, const char *name)
{
    ngx_str_t                 s;
    ngx_uint_t                i;
    ngx_array_t              *pools;
    ngx_async_near_t          near;
    ngx_async_thread_pool_t  *pool, **known;

    if (name == NULL) {
        return ngx_http_async_thread_pool;
    }

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    pool = ngx_async_thread_pool_get((ngx_cycle_t *) ngx_cycle, &s);

    if (pool) {
        return pool;
    }

    ngx_async_near_init(&near, &s);

    pools = ngx_async_thread_pools((ngx_cycle_t *) ngx_cycle);
    known = pools->elts;

    for (i = 0; i < pools->nelts; i++) {
        ngx_async_near_offer(&near, &known[i]->name);
    }

    if (near.best) {
        (void) ngx_async_set_error(t, ASYNC_ERROR, "there is no thread pool "
                                   "\"%s\", did you mean \"%V\"?", name,
                                   near.best);
    } else {
        (void) ngx_async_set_error(t, ASYNC_ERROR, "there is no thread pool "
                                   "\"%s\": make one with the directive "
                                   "thread_pool", name);
    }

    return NULL;
}


async_rc_t
await_thread_at(async_t *co, const char *site, const char *pool,
    async_thread_pt fn, void *arg, size_t size)
{
    return ngx_http_async_thread_kept(co, site, pool, fn, arg, size, NULL,
                                      NULL);
}


async_rc_t
ngx_http_async_thread_kept(ngx_async_task_t *t, const char *site,
    const char *pool, async_thread_pt fn, void *arg, size_t size,
    void (*release)(void *kept), void *kept)
{
    async_rc_t                rc;
    ngx_async_thread_pool_t  *tp;
    ngx_http_async_thread_t  *job;

    rc = ngx_async_enter(t, "await_thread", site);
    tp = (rc == ASYNC_OK) ? ngx_http_async_thread_find(t, pool) : NULL;
    job = NULL;

    if (arg == NULL) {
        size = 0;
    }

    if (tp) {
        job = ngx_async_thread_job(sizeof(ngx_http_async_thread_t) + size,
                                   ngx_http_async_thread_run,
                                   ngx_http_async_thread_drop, t->profile,
                                   t->log);
    }

    if (job == NULL) {

        if (release) {
            release(kept);
        }

        return (rc != ASYNC_OK) ? rc
               : (tp == NULL) ? ASYNC_ERROR
               : ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    job->fn = fn;
    job->size = size;
    job->release = release;
    job->kept = kept;

    if (size) {
        ngx_memcpy(job->arg, arg, size);
    }

    rc = ngx_async_thread_await(t, tp, job);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (size) {
        ngx_memcpy(arg, job->arg, size);
    }

    rc = job->rc;

    if (rc != ASYNC_OK) {
        (void) ngx_async_set_error(t, rc, "%s", job->error);
    }

    ngx_http_async_thread_drop(job);
    ngx_async_thread_free(job);

    return rc;
}


static void
ngx_http_async_thread_drop(void *data)
{
    ngx_http_async_thread_t  *job = data;

    if (job->release) {
        job->release(job->kept);
    }
}


/* In the thread. */

static void
ngx_http_async_thread_run(void *data)
{
    ngx_http_async_thread_t  *job = data;

    job->rc = job->fn(job->size ? job->arg : NULL);
}


async_rc_t
async_thread_fail(async_rc_t rc, const char *format, ...)
{
    u_char                   *error;
    va_list                   args;
    ngx_http_async_thread_t  *job;

    job = ngx_async_thread_self_of(ngx_http_async_thread_run);

    error = job ? job->error
                : ngx_http_async_process_self
                  ? ngx_http_async_process_self->error : NULL;

    if (error) {
        va_start(args, format);
        ngx_async_verror(error, format, args);
        va_end(args);
    }

    return rc;
}


int
async_thread_cancelled(void)
{
    void  *data;

    data = ngx_async_thread_self();

    return data ? (int) ngx_async_thread_abandoned(data) : 0;
}


/* What a process prints goes to the log as well. */

void
async_thread_log(async_log_level_t level, const char *format, ...)
{
    va_list                   args;
    ngx_http_async_thread_t  *job;

    job = ngx_async_thread_self_of(ngx_http_async_thread_run);

    va_start(args, format);

    if (job) {
        ngx_async_thread_vlog(job, level, format, args);

    } else if (ngx_http_async_process_self) {
        (void) vfprintf(stderr, format, args);
        (void) fputc('\n', stderr);
    }

    va_end(args);
}
