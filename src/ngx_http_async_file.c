
/*
 * Copyright (C) the nginx-async authors
 *
 * Opens the files that async_file() sends, in a thread: open() and fstat()
 * may wait for a disk or a network.
 */

#include <ngx_http_async_file.h>


typedef struct {
    int           fd;
    int           err;
    struct stat   st;
    char          path[];
} ngx_http_async_open_t;


static void ngx_http_async_open_run(void *data);
static void ngx_http_async_open_drop(void *data);
static async_rc_t ngx_http_async_opened(async_req_t *req,
    ngx_http_async_open_t *job);
static ngx_int_t ngx_http_async_open_cleanup(async_req_t *req, int fd);


async_rc_t
ngx_http_async_file_open(async_req_t *req)
{
    async_rc_t              rc;
    ngx_str_t              *path;
    ngx_http_async_open_t  *job;

    path = &req->out.path;

    rc = ngx_async_enter(&req->task, "async_file", req->task.site);
    if (rc != ASYNC_OK) {
        return rc;
    }

    job = ngx_async_thread_job(sizeof(ngx_http_async_open_t) + path->len + 1,
                               ngx_http_async_open_run,
                               ngx_http_async_open_drop,
                               req->task.profile, req->task.log);
    if (job == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    job->fd = -1;
    ngx_memcpy(job->path, path->data, path->len);

    rc = ngx_async_thread_await(&req->task, req->conf->thread_pool, job);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_opened(req, job);
        ngx_async_thread_free(job);
    }

    return rc;
}


/* In the thread.  Nonblocking, so that a FIFO does not hold it. */

static void
ngx_http_async_open_run(void *data)
{
    ngx_http_async_open_t  *job = data;

    job->fd = open(job->path, O_RDONLY|O_NONBLOCK|O_CLOEXEC);

    if (job->fd == -1) {
        job->err = errno;
        return;
    }

    if (fstat(job->fd, &job->st) == -1 || !S_ISREG(job->st.st_mode)) {
        job->err = NGX_ENOENT;
        (void) close(job->fd);
        job->fd = -1;
    }
}


static void
ngx_http_async_open_drop(void *data)
{
    ngx_http_async_open_t  *job = data;

    if (job->fd != -1) {
        (void) close(job->fd);
    }
}


static async_rc_t
ngx_http_async_opened(async_req_t *req, ngx_http_async_open_t *job)
{
    ngx_uint_t  level;

    if (job->fd == -1) {
        level = (job->err == NGX_ENOENT) ? NGX_LOG_INFO : NGX_LOG_ERR;

        ngx_log_error(level, req->task.log, job->err,
                      "async_file(): \"%s\" cannot be sent", job->path);

        switch (job->err) {

        case NGX_ENOENT:
        case NGX_ENOTDIR:
        case NGX_ENAMETOOLONG:
        case ELOOP:
        case ENXIO:
        case ENODEV:
            return async_fail(req, 404, "Not Found");

        case NGX_EACCES:
            return async_fail(req, 403, "Forbidden");

        default:
            return async_fail(req, 500, "Internal Server Error");
        }
    }

    if (ngx_http_async_open_cleanup(req, job->fd) != NGX_OK) {
        (void) close(job->fd);
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    req->out.fd = job->fd;
    req->out.size = job->st.st_size;
    req->out.mtime = job->st.st_mtime;

    return ASYNC_OK;
}


static ngx_int_t
ngx_http_async_open_cleanup(async_req_t *req, int fd)
{
    ngx_pool_cleanup_t       *cln;
    ngx_pool_cleanup_file_t  *clnf;

    cln = ngx_pool_cleanup_add(req->r->pool, sizeof(ngx_pool_cleanup_file_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_pool_cleanup_file;
    clnf = cln->data;

    clnf->fd = fd;
    clnf->name = req->out.path.data;
    clnf->log = req->r->pool->log;

    return NGX_OK;
}
