
/*
 * Copyright (C) the nginx-async authors
 *
 * Files that are open over several awaits, see ngx_async.h.
 *
 * What is open is counted: the handle of the app holds it, and so does a job
 * that works on it, which may outlast the task.  Whoever lets go last has it
 * closed, by a thread.  All this counting is the loop's.
 */

#include <ngx_http_async_files.h>
#include <ngx_http_async_thread.h>
#include <ngx_async_handle.h>


#define NGX_HTTP_ASYNC_OPEN_FLAGS                                            \
    (ASYNC_FILE_READ|ASYNC_FILE_WRITE|ASYNC_FILE_APPEND                      \
     |ASYNC_FILE_ATOMIC|ASYNC_FILE_EXCLUSIVE)


typedef int (*ngx_http_async_open_pt)(ngx_async_disk_t *d,
    ngx_async_disk_file_t *f);


typedef struct {
    ngx_async_disk_file_t     file;
    ngx_uint_t                refs;
    ngx_uint_t                busy;
    ngx_uint_t                lacks;      /* a piece that was refused */
    ngx_async_profile_t      *profile;
    char                      path[];
} ngx_http_async_opened_t;


struct async_file_s {
    ngx_async_handle_t        handle;
    ngx_http_async_opened_t  *opened;     /* NULL: it is closed */
};


typedef struct {
    ngx_async_disk_t          disk;
    ngx_http_async_opened_t  *opened;
    ngx_http_async_open_pt    op;
} ngx_http_async_open_job_t;


static ngx_uint_t ngx_http_async_open_flags(unsigned flags);
static ngx_http_async_opened_t *ngx_http_async_open_new(ngx_async_task_t *t,
    const char *path);
static async_rc_t ngx_http_async_open_give(ngx_async_task_t *t,
    ngx_http_async_opened_t *o, async_file_t **f);
static ngx_http_async_open_job_t *ngx_http_async_open_job(
    ngx_async_task_t *t, const char *await, const char *site,
    async_file_t *f, ngx_http_async_open_pt op, async_rc_t *rc);
static async_rc_t ngx_http_async_open_await(ngx_async_task_t *t,
    ngx_http_async_open_job_t *job);
static void ngx_http_async_open_free(ngx_http_async_open_job_t *job);
static void ngx_http_async_open_run(void *data);
static void ngx_http_async_open_drop(void *data);
static void ngx_http_async_open_forget(void *handle);
static void ngx_http_async_open_release(ngx_http_async_opened_t *o);
static void ngx_http_async_open_close_run(void *data);
static void ngx_http_async_open_close_drop(void *data);


async_rc_t
await_file_open_at(async_t *co, const char *site, const char *root,
    const char *path, unsigned flags, async_file_t **f)
{
    async_rc_t                  rc;
    ngx_http_async_opened_t    *o;
    ngx_http_async_open_job_t  *job;

    ngx_http_async_files_call_t  call = {
        "await_file_open", site, root, path, NULL,
        sizeof(ngx_http_async_open_job_t), ngx_http_async_open_run,
        ngx_http_async_open_drop
    };

    *f = NULL;

    job = ngx_http_async_files_job(co, &call, &rc);
    if (job == NULL) {
        return rc;
    }

    o = NULL;

    if (!ngx_http_async_open_flags(flags)) {
        rc = ngx_async_set_error(co, ASYNC_ERROR, "await_file_open() does not "
                                 "take the flags %ui", (ngx_uint_t) flags);

    } else {
        o = ngx_http_async_open_new(co, job->disk.path);
        rc = o ? ASYNC_OK : ASYNC_ERROR;
    }

    if (o == NULL) {
        ngx_async_thread_free(job);
        return rc;
    }

    job->opened = o;
    job->op = ngx_async_disk_open;
    job->disk.flags = flags;

    /* the job's, and this function's */
    o->refs = 2;
    o->busy = 1;

    rc = ngx_http_async_open_await(co, job);

    if (rc == ASYNC_OK) {
        ngx_http_async_open_free(job);
        rc = ngx_http_async_open_give(co, o, f);
    }

    if (rc != ASYNC_OK) {
        ngx_http_async_open_release(o);
    }

    return rc;
}


static ngx_uint_t
ngx_http_async_open_flags(unsigned flags)
{
    if (flags & ~NGX_HTTP_ASYNC_OPEN_FLAGS) {
        return 0;
    }

    switch (flags & ~(ASYNC_FILE_ATOMIC|ASYNC_FILE_EXCLUSIVE)) {

    case ASYNC_FILE_WRITE:
        return 1;

    case ASYNC_FILE_READ:
    case ASYNC_FILE_APPEND:
        return !(flags & (ASYNC_FILE_ATOMIC|ASYNC_FILE_EXCLUSIVE));

    default:
        return 0;
    }
}


static ngx_http_async_opened_t *
ngx_http_async_open_new(ngx_async_task_t *t, const char *path)
{
    size_t                    len;
    ngx_http_async_opened_t  *o;

    len = ngx_strlen(path) + 1;

    o = ngx_calloc(sizeof(ngx_http_async_opened_t) + len, t->log);

    if (o == NULL) {
        (void) ngx_async_set_error(t, ASYNC_ERROR, "no memory");
        return NULL;
    }

    o->file.fd = -1;
    o->file.dir = -1;
    o->profile = t->profile;
    ngx_memcpy(o->path, path, len);

    return o;
}


static async_rc_t
ngx_http_async_open_give(ngx_async_task_t *t, ngx_http_async_opened_t *o,
    async_file_t **f)
{
    *f = ngx_async_handle(t, sizeof(async_file_t), ngx_http_async_open_forget);

    if (*f == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    (*f)->opened = o;

    return ASYNC_OK;
}


async_rc_t
await_file_get_at(async_t *co, const char *site, async_file_t *f, void *buf,
    size_t size, size_t *n)
{
    async_rc_t                  rc;
    ngx_http_async_open_job_t  *job;

    *n = 0;

    job = ngx_http_async_open_job(co, "await_file_get", site, f,
                                  ngx_async_disk_get, &rc);
    if (job == NULL) {
        return rc;
    }

    job->disk.max = size;
    job->disk.data = malloc(size ? size : 1);

    if (job->disk.data == NULL) {
        ngx_http_async_open_free(job);
        return ngx_async_set_error(co, ASYNC_ERROR, "no memory");
    }

    rc = ngx_http_async_open_await(co, job);

    if (rc == ASYNC_OK) {
        *n = job->disk.len;
        ngx_memcpy(buf, job->disk.data, *n);

        job->opened->file.offset += (off_t) *n;

        ngx_http_async_open_free(job);
    }

    return rc;
}


async_rc_t
await_file_put_at(async_t *co, const char *site, async_file_t *f,
    const void *data, size_t len)
{
    async_rc_t                  rc;
    ngx_http_async_open_job_t  *job;

    job = ngx_http_async_open_job(co, "await_file_put", site, f,
                                  ngx_async_disk_put, &rc);
    if (job == NULL) {

        if (rc != ASYNC_BUSY && f && f->opened) {
            /* not in "file": a thread may have that */
            f->opened->lacks = 1;
        }

        return rc;
    }

    rc = ngx_http_async_files_copy(co, &job->disk, data, len);

    if (rc != ASYNC_OK) {
        job->opened->file.failed = 1;
        ngx_http_async_open_free(job);
        return rc;
    }

    rc = ngx_http_async_open_await(co, job);

    if (rc == ASYNC_OK) {
        ngx_http_async_open_free(job);

    } else if (rc == ASYNC_BUSY) {
        /* the queue of the pool is full: it has not begun */
        f->opened->file.failed = 0;
    }

    return rc;
}


async_rc_t
await_file_close_at(async_t *co, const char *site, async_file_t *f)
{
    async_rc_t                  rc;
    ngx_http_async_opened_t    *o;
    ngx_http_async_open_job_t  *job;

    job = ngx_http_async_open_job(co, "await_file_close", site, f,
                                  ngx_async_disk_finish, &rc);
    if (job == NULL) {
        return rc;
    }

    /* the handle's part of it is this function's now */

    o = f->opened;
    f->opened = NULL;

    rc = ngx_http_async_open_await(co, job);

    if (rc == ASYNC_BUSY) {
        /* the same: it may be tried again */
        f->opened = o;
        return rc;
    }

    if (rc == ASYNC_OK) {
        ngx_http_async_open_free(job);
    }

    ngx_http_async_open_release(o);

    return rc;
}


/* A job on what is open. */

static ngx_http_async_open_job_t *
ngx_http_async_open_job(ngx_async_task_t *t, const char *await,
    const char *site, async_file_t *f, ngx_http_async_open_pt op,
    async_rc_t *rc)
{
    ngx_uint_t                  reads;
    ngx_http_async_opened_t    *o;
    ngx_http_async_open_job_t  *job;

    ngx_http_async_files_call_t  call = {
        await, site, ".", NULL, NULL,
        sizeof(ngx_http_async_open_job_t), ngx_http_async_open_run,
        ngx_http_async_open_drop
    };

    o = f ? f->opened : NULL;

    /* for messages */
    call.path = o ? o->path : "";

    job = ngx_http_async_files_job(t, &call, rc);
    if (job == NULL) {
        return NULL;
    }

    if (o == NULL) {
        *rc = ngx_async_set_error(t, ASYNC_ERROR, "the file is closed");
        goto failed;
    }

    if (o->busy) {
        *rc = ngx_async_set_error(t, ASYNC_BUSY, "a thread works on the file "
                                  "yet");
        goto failed;
    }

    reads = (o->file.flags == ASYNC_FILE_READ);

    if (o->lacks && !reads) {
        o->file.failed = 1;
    }

    if ((op == ngx_async_disk_get && !reads)
        || (op == ngx_async_disk_put && (reads || o->file.failed)))
    {
        *rc = ngx_async_set_error(t, ASYNC_ERROR, "%s(): %s", await,
                                  o->file.failed ? "an earlier one has failed"
                                  : reads ? "the file is open for reading"
                                  : "the file is open for writing");
        goto failed;
    }

    job->opened = o;
    job->op = op;

    o->refs++;
    o->busy = 1;

    return job;

failed:

    ngx_async_thread_free(job);

    return NULL;
}


/* ASYNC_OK: the job is the caller's; otherwise it is gone. */

static async_rc_t
ngx_http_async_open_await(ngx_async_task_t *t, ngx_http_async_open_job_t *job)
{
    async_rc_t  rc;
    ngx_uint_t  taken;

    rc = ngx_http_async_files_await(t, job, &taken);

    if (rc != ASYNC_OK && taken) {
        ngx_http_async_open_free(job);
    }

    return rc;
}


static void
ngx_http_async_open_free(ngx_http_async_open_job_t *job)
{
    ngx_http_async_opened_t  *o;

    o = job->opened;
    o->busy = 0;

    free(job->disk.data);
    ngx_async_thread_free(job);

    ngx_http_async_open_release(o);
}


/* In the thread.  Nobody waits any more: it is closed here, not by the loop. */

static void
ngx_http_async_open_run(void *data)
{
    ngx_http_async_open_job_t  *job = data;

    if (job->op(&job->disk, &job->opened->file) == 0
        && job->op == ngx_async_disk_open
        && ngx_async_thread_abandoned(job))
    {
        ngx_async_disk_discard(&job->opened->file);
    }
}


static void
ngx_http_async_open_drop(void *data)
{
    ngx_http_async_opened_t    *o;
    ngx_http_async_open_job_t  *job = data;

    o = job->opened;
    o->busy = 0;

    if (job->op == ngx_async_disk_put) {
        /* it may not have begun */
        o->file.failed = 1;
    }

    free(job->disk.data);

    ngx_http_async_open_release(o);
}


static void
ngx_http_async_open_forget(void *handle)
{
    async_file_t             *f = handle;
    ngx_http_async_opened_t  *o;

    o = f->opened;
    f->opened = NULL;

    if (o) {
        ngx_http_async_open_release(o);
    }
}


static void
ngx_http_async_open_release(ngx_http_async_opened_t *o)
{
    ngx_http_async_opened_t  **job;
    ngx_async_thread_pool_t   *pool;

    if (--o->refs) {
        return;
    }

    pool = ngx_http_async_thread_find(NULL, NULL);
    job = NULL;

    /* who comes late to a worker that exits may find no threads */

    if (o->file.fd != -1 && pool && !ngx_exiting && !ngx_terminate) {
        job = ngx_async_thread_job(sizeof(ngx_http_async_opened_t *),
                                   ngx_http_async_open_close_run,
                                   ngx_http_async_open_close_drop,
                                   o->profile, ngx_cycle->log);
    }

    if (job) {
        *job = o;
        ngx_async_thread_send(pool, job);
        return;
    }

    ngx_async_disk_discard(&o->file);
    ngx_free(o);
}


static void
ngx_http_async_open_close_run(void *data)
{
    ngx_http_async_opened_t  **job = data;

    ngx_async_disk_discard(&(*job)->file);
}


/* or here, if the queue of the pool is full */

static void
ngx_http_async_open_close_drop(void *data)
{
    ngx_http_async_opened_t  **job = data;

    ngx_async_disk_discard(&(*job)->file);
    ngx_free(*job);
}
