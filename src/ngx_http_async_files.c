
/*
 * Copyright (C) the nginx-async authors
 *
 * Files and directories in one call each, see ngx_async.h.  The work is that of
 * ngx_async_disk.h; here its jobs are made, and their results taken.
 */

#include <ngx_http_async_files.h>
#include <ngx_http_async_thread.h>


/* of a path in async_error(); the rest of that is for the cause */
#define NGX_HTTP_ASYNC_FILES_SHOWN  90

#define ngx_http_async_files_call(name, root, path, to)                      \
    { name, site, root, path, to, sizeof(ngx_http_async_whole_t),            \
      ngx_http_async_whole_run, ngx_http_async_whole_drop }


typedef int (*ngx_http_async_whole_pt)(ngx_async_disk_t *d);


typedef struct {
    ngx_async_disk_t            disk;
    ngx_http_async_whole_pt     op;
} ngx_http_async_whole_t;


static ngx_uint_t ngx_http_async_files_wrong(ngx_async_task_t *t,
    ngx_http_async_files_call_t *call);
static char *ngx_http_async_files_text(char **p, const char *text,
    ngx_uint_t full);
static async_rc_t ngx_http_async_files_failed(ngx_async_task_t *t,
    ngx_async_disk_t *d);
static void ngx_http_async_files_show(u_char *shown, const char *path);
static async_rc_t ngx_http_async_whole_do(ngx_async_task_t *t,
    ngx_http_async_files_call_t *call, ngx_http_async_whole_pt op);
static async_rc_t ngx_http_async_whole_write(ngx_async_task_t *t,
    ngx_http_async_files_call_t *call, const void *data, size_t len,
    unsigned flags);
static async_rc_t ngx_http_async_whole_await(ngx_async_task_t *t,
    ngx_http_async_whole_t *job);
static async_rc_t ngx_http_async_whole_give(ngx_async_task_t *t,
    ngx_http_async_whole_t *job, ngx_async_disk_t *given);
static void ngx_http_async_whole_free(ngx_http_async_whole_t *job);
static void ngx_http_async_whole_run(void *data);
static void ngx_http_async_whole_drop(void *data);


/* its address is what counts */
const char  async_anywhere[] = "anywhere";


int
async_file_errno(async_t *co)
{
    ngx_async_check_task(co);

    return co->file_errno;
}


void *
ngx_http_async_files_job(ngx_async_task_t *t,
    ngx_http_async_files_call_t *call, async_rc_t *rc)
{
    char              *p;
    size_t             len;
    ngx_uint_t         full;
    ngx_async_disk_t  *d;

    *rc = ngx_async_enter(t, call->await, call->site);

    if (*rc != ASYNC_OK) {
        return NULL;
    }

    *rc = ASYNC_ERROR;

    if (ngx_http_async_files_wrong(t, call)) {
        return NULL;
    }

    full = (call->root == async_anywhere);

    len = ngx_strlen(call->root) + ngx_strlen(call->path)
          + (call->to ? ngx_strlen(call->to) : 0)
          + 3 * (ngx_cycle->prefix.len + 1);

    d = ngx_async_thread_job(call->size + len, call->run, call->drop,
                             t->profile, t->log);
    if (d == NULL) {
        (void) ngx_async_set_error(t, ASYNC_ERROR, "no memory");
        return NULL;
    }

    d->job = d;
    p = (char *) d + call->size;

    d->root = full ? NULL : ngx_http_async_files_text(&p, call->root, 1);
    d->path = ngx_http_async_files_text(&p, call->path, full);
    d->to = call->to ? ngx_http_async_files_text(&p, call->to, full) : NULL;

    *rc = ASYNC_OK;

    return d;
}


static ngx_uint_t
ngx_http_async_files_wrong(ngx_async_task_t *t,
    ngx_http_async_files_call_t *call)
{
    t->file_errno = 0;

    if (call->root == NULL || call->root[0] == '\0') {
        (void) ngx_async_set_error(t, ASYNC_ERROR, "%s() has no root",
                                   call->await);
        return 1;
    }

    if (call->path == NULL) {
        (void) ngx_async_set_error(t, ASYNC_ERROR, "%s() has no path",
                                   call->await);
        return 1;
    }

    return 0;
}


/* full: relative to the prefix of nginx, which the process is not in */

static char *
ngx_http_async_files_text(char **p, const char *text, ngx_uint_t full)
{
    char  *start;

    start = *p;

    if (full && text[0] != '/' && text[0] != '\0') {
        *p = (char *) ngx_cpymem(*p, ngx_cycle->prefix.data,
                                 ngx_cycle->prefix.len);
    }

    *p = (char *) ngx_cpymem(*p, text, ngx_strlen(text) + 1);

    return start;
}


async_rc_t
ngx_http_async_files_copy(ngx_async_task_t *t, ngx_async_disk_t *d,
    const void *data, size_t len)
{
    if (len == 0) {
        return ASYNC_OK;
    }

    d->data = malloc(len);

    if (d->data == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    ngx_memcpy(d->data, data, len);
    d->len = len;

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_files_await(ngx_async_task_t *t, void *job, ngx_uint_t *taken)
{
    async_rc_t                rc;
    ngx_async_thread_pool_t  *pool;

    *taken = 0;

    pool = ngx_http_async_thread_find(t, NULL);

    if (pool == NULL) {
        *taken = 1;
        return ngx_async_set_error(t, ASYNC_ERROR, "there is no thread pool");
    }

    rc = ngx_async_thread_await(t, pool, job);

    if (rc != ASYNC_OK) {
        return rc;
    }

    *taken = 1;

    return ngx_http_async_files_failed(t, job);
}


static async_rc_t
ngx_http_async_files_failed(ngx_async_task_t *t, ngx_async_disk_t *d)
{
    u_char       shown[NGX_HTTP_ASYNC_FILES_SHOWN + sizeof("...")];
    u_char       text[NGX_ASYNC_ERROR_LEN], *p;
    const char  *why;

    if (d->err == 0) {
        return ASYNC_OK;
    }

    why = d->why;

    if (why == NULL && d->err == EXDEV) {
        why = "not below its root";
    }

    if (why == NULL && d->err == ENXIO) {
        why = "no regular file";
    }

    /* a "why" tells of "max" or of nothing */

    p = why ? ngx_snprintf(text, NGX_ASYNC_ERROR_LEN - 1, why, d->max)
            : ngx_strerror(d->err, text, NGX_ASYNC_ERROR_LEN - 1);
    *p = '\0';

    ngx_http_async_files_show(shown, d->of_root ? d->root
                                     : d->of_to ? d->to : d->path);

    t->file_errno = d->of_root ? 0 : d->err;

    return ngx_async_set_error(t, ASYNC_ERROR, "%s\"%s\": %s",
                               d->of_root ? "the root " : "", shown, text);
}


/* It may be long, and come from a client. */

static void
ngx_http_async_files_show(u_char *shown, const char *path)
{
    size_t  i, len;

    len = ngx_strlen(path);

    if (len > NGX_HTTP_ASYNC_FILES_SHOWN) {
        len = NGX_HTTP_ASYNC_FILES_SHOWN;

        /* no part of a character in UTF-8 */

        while (len && ((u_char) path[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    for (i = 0; i < len; i++) {
        shown[i] = ((u_char) path[i] < 0x20 || path[i] == 0x7f)
                       ? '?' : (u_char) path[i];
    }

    (void) strcpy((char *) shown + len, path[len] ? "..." : "");
}


/* Whole files and directories. */

async_rc_t
await_file_read_at(async_t *co, const char *site, const char *root,
    const char *path, size_t max, async_str_t *data)
{
    async_rc_t               rc;
    ngx_async_disk_t         given;
    ngx_http_async_whole_t  *job;

    ngx_http_async_files_call_t  call =
        ngx_http_async_files_call("await_file_read", root, path, NULL);

    data->data = NULL;
    data->len = 0;

    job = ngx_http_async_files_job(co, &call, &rc);
    if (job == NULL) {
        return rc;
    }

    job->op = ngx_async_disk_read;
    job->disk.max = max;

    rc = ngx_http_async_whole_give(co, job, &given);

    if (rc == ASYNC_OK) {
        data->data = given.data;
        data->len = given.len;
    }

    return rc;
}


async_rc_t
await_file_list_at(async_t *co, const char *site, const char *root,
    const char *path, size_t max, async_file_entry_t **entries, size_t size,
    size_t *n)
{
    async_rc_t               rc;
    ngx_async_disk_t         given;
    ngx_http_async_whole_t  *job;

    ngx_http_async_files_call_t  call =
        ngx_http_async_files_call("await_file_list", root, path, NULL);

    *entries = NULL;
    *n = 0;

    job = ngx_http_async_files_job(co, &call, &rc);
    if (job == NULL) {
        return rc;
    }

    job->op = ngx_async_disk_list;
    job->disk.max = max;
    job->disk.entry_size = size;

    rc = ngx_http_async_whole_give(co, job, &given);

    if (rc == ASYNC_OK) {
        *entries = (async_file_entry_t *) given.data;
        *n = given.n;
    }

    return rc;
}


async_rc_t
await_file_stat_at(async_t *co, const char *site, const char *root,
    const char *path, async_file_stat_t *st, size_t size)
{
    async_rc_t               rc;
    async_file_stat_t        full;
    ngx_http_async_whole_t  *job;

    ngx_http_async_files_call_t  call =
        ngx_http_async_files_call("await_file_stat", root, path, NULL);

    job = ngx_http_async_files_job(co, &call, &rc);
    if (job == NULL) {
        return rc;
    }

    job->op = ngx_async_disk_stat;

    rc = ngx_http_async_whole_await(co, job);
    if (rc != ASYNC_OK) {
        return rc;
    }

    ngx_memzero(&full, sizeof(async_file_stat_t));

    full.size = ngx_min(size, sizeof(async_file_stat_t));
    full.bytes = job->disk.st.st_size;
    full.mtime = ngx_async_disk_ms(&job->disk.st);
    full.type = ngx_async_disk_type(job->disk.st.st_mode);
    full.mode = job->disk.st.st_mode & 07777;

    ngx_memcpy(st, &full, full.size);

    ngx_http_async_whole_free(job);

    return ASYNC_OK;
}


async_rc_t
await_file_write_at(async_t *co, const char *site, const char *root,
    const char *path, const void *data, size_t len, unsigned flags)
{
    ngx_http_async_files_call_t  call =
        ngx_http_async_files_call("await_file_write", root, path, NULL);

    if (flags & ~(ASYNC_FILE_ATOMIC|ASYNC_FILE_EXCLUSIVE|ASYNC_FILE_WRITE)) {
        co->file_errno = 0;
        return ngx_async_set_error(co, ASYNC_ERROR, "await_file_write() does "
                                   "not know the flags %ui",
                                   (ngx_uint_t) flags);
    }

    return ngx_http_async_whole_write(co, &call, data, len,
                                      flags|ASYNC_FILE_WRITE);
}


async_rc_t
await_file_append_at(async_t *co, const char *site, const char *root,
    const char *path, const void *data, size_t len)
{
    ngx_http_async_files_call_t  call =
        ngx_http_async_files_call("await_file_append", root, path, NULL);

    return ngx_http_async_whole_write(co, &call, data, len, ASYNC_FILE_APPEND);
}


async_rc_t
await_file_remove_at(async_t *co, const char *site, const char *root,
    const char *path)
{
    ngx_http_async_files_call_t  call =
        ngx_http_async_files_call("await_file_remove", root, path, NULL);

    return ngx_http_async_whole_do(co, &call, ngx_async_disk_remove);
}


async_rc_t
await_file_rename_at(async_t *co, const char *site, const char *root,
    const char *from, const char *to)
{
    ngx_http_async_files_call_t  call =
        ngx_http_async_files_call("await_file_rename", root, from, to);

    if (to == NULL) {
        call.path = NULL;
    }

    return ngx_http_async_whole_do(co, &call, ngx_async_disk_rename);
}


async_rc_t
await_file_mkdir_at(async_t *co, const char *site, const char *root,
    const char *path)
{
    ngx_http_async_files_call_t  call =
        ngx_http_async_files_call("await_file_mkdir", root, path, NULL);

    return ngx_http_async_whole_do(co, &call, ngx_async_disk_mkdir);
}


async_rc_t
await_file_rmdir_at(async_t *co, const char *site, const char *root,
    const char *path)
{
    ngx_http_async_files_call_t  call =
        ngx_http_async_files_call("await_file_rmdir", root, path, NULL);

    return ngx_http_async_whole_do(co, &call, ngx_async_disk_rmdir);
}


static async_rc_t
ngx_http_async_whole_do(ngx_async_task_t *t,
    ngx_http_async_files_call_t *call, ngx_http_async_whole_pt op)
{
    async_rc_t               rc;
    ngx_http_async_whole_t  *job;

    job = ngx_http_async_files_job(t, call, &rc);
    if (job == NULL) {
        return rc;
    }

    job->op = op;

    rc = ngx_http_async_whole_await(t, job);

    if (rc == ASYNC_OK) {
        ngx_http_async_whole_free(job);
    }

    return rc;
}


static async_rc_t
ngx_http_async_whole_write(ngx_async_task_t *t,
    ngx_http_async_files_call_t *call, const void *data, size_t len,
    unsigned flags)
{
    async_rc_t               rc;
    ngx_http_async_whole_t  *job;

    job = ngx_http_async_files_job(t, call, &rc);
    if (job == NULL) {
        return rc;
    }

    job->op = ngx_async_disk_write;
    job->disk.flags = flags;

    rc = ngx_http_async_files_copy(t, &job->disk, data, len);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_whole_await(t, job);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    ngx_http_async_whole_free(job);

    return rc;
}


/* ASYNC_OK: the job is the caller's; otherwise it is gone. */

static async_rc_t
ngx_http_async_whole_await(ngx_async_task_t *t, ngx_http_async_whole_t *job)
{
    async_rc_t  rc;
    ngx_uint_t  taken;

    rc = ngx_http_async_files_await(t, job, &taken);

    if (rc != ASYNC_OK && taken) {
        ngx_http_async_whole_free(job);
    }

    return rc;
}


/*
 * Awaits the job, which is gone then.  ASYNC_OK: what the thread has allocated
 * is memory of the task.
 */

static async_rc_t
ngx_http_async_whole_give(ngx_async_task_t *t, ngx_http_async_whole_t *job,
    ngx_async_disk_t *given)
{
    async_rc_t           rc;
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *cln;

    rc = ngx_http_async_whole_await(t, job);

    if (rc != ASYNC_OK) {
        return rc;
    }

    pool = ngx_async_task_pool(t);
    cln = pool ? ngx_pool_cleanup_add(pool, 0) : NULL;

    if (cln == NULL) {
        ngx_http_async_whole_free(job);
        (void) ngx_async_set_error(t, ASYNC_ERROR, "no memory");
        return ASYNC_ERROR;
    }

    cln->handler = free;
    cln->data = job->disk.data;

    *given = job->disk;
    job->disk.data = NULL;

    ngx_http_async_whole_free(job);

    return ASYNC_OK;
}


static void
ngx_http_async_whole_free(ngx_http_async_whole_t *job)
{
    ngx_http_async_whole_drop(job);
    ngx_async_thread_free(job);
}


/* In the thread. */

static void
ngx_http_async_whole_run(void *data)
{
    ngx_http_async_whole_t  *job = data;

    (void) job->op(&job->disk);
}


static void
ngx_http_async_whole_drop(void *data)
{
    ngx_http_async_whole_t  *job = data;

    free(job->disk.data);
}
