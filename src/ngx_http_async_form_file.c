
/*
 * Copyright (C) the nginx-async authors
 *
 * Uploads that are too large for memory: the temporary file of their form,
 * written, read back and copied by threads.  It has no name, so that nothing is
 * left of it, however the worker ends.
 *
 * A job holds the form: it may outlast its task and the request.
 */

#include <ngx_http_async_form.h>
#include <ngx_http_async_files.h>
#include <ngx_http_async_thread.h>
#include <sys/random.h>


#define NGX_HTTP_ASYNC_FORM_TRIES  8

/* of a copy, at a time */
#define NGX_HTTP_ASYNC_FORM_COPY   (256 * 1024)


/* what a thread writes or reads; the directory of a file that is new */

typedef struct {
    async_form_t           *form;
    int                     fd;
    ngx_uint_t              made;          /* by this job */
    off_t                   offset;
    u_char                 *data;          /* malloc() */
    size_t                  len;
    int                     err;
    char                    dir[];
} ngx_http_async_form_io_t;


typedef struct {
    ngx_async_disk_t        disk;
    async_form_t           *form;
    int                     fd;
    off_t                   offset;
    off_t                   size;
    ngx_str_t               data;          /* of one in memory */
} ngx_http_async_form_save_t;


static ngx_http_async_form_io_t *ngx_http_async_form_io(ngx_async_task_t *t,
    async_form_t *form, ngx_str_t *dir, ngx_async_thread_pt run);
static async_rc_t ngx_http_async_form_io_await(ngx_async_task_t *t,
    ngx_http_async_form_io_t *job, const char *what);
static void ngx_http_async_form_io_free(ngx_http_async_form_io_t *job);
static void ngx_http_async_form_io_drop(void *data);
static void ngx_http_async_form_write_run(void *data);
static int ngx_http_async_form_temp(const char *dir);
static int ngx_http_async_form_named(const char *dir);
static async_rc_t ngx_http_async_form_fetch(ngx_async_task_t *t,
    async_upload_t *file, u_char *buf, size_t len);
static void ngx_http_async_form_read_run(void *data);
static int ngx_http_async_form_pread(int fd, u_char *buf, size_t len,
    off_t offset);
static void ngx_http_async_form_save_run(void *data);
static int ngx_http_async_form_save_copy(ngx_http_async_form_save_t *job,
    ngx_async_disk_file_t *f);
static void ngx_http_async_form_save_drop(void *data);


async_rc_t
ngx_http_async_form_write(ngx_async_task_t *t, async_form_t *form,
    ngx_str_t *dir, u_char **data, size_t len)
{
    async_rc_t                 rc;
    ngx_http_async_form_io_t  *job;

    job = ngx_http_async_form_io(t, form, dir, ngx_http_async_form_write_run);

    if (job == NULL) {
        return ASYNC_ERROR;
    }

    job->offset = form->size;
    job->data = *data;
    job->len = len;

    *data = NULL;

    rc = ngx_http_async_form_io_await(t, job, "writing to the temporary file "
                                      "of a form");
    if (rc != ASYNC_OK) {
        return rc;
    }

    *data = job->data;
    job->data = NULL;

    form->fd = job->fd;
    form->size += (off_t) len;
    job->made = 0;

    ngx_http_async_form_io_free(job);

    return ASYNC_OK;
}


static ngx_http_async_form_io_t *
ngx_http_async_form_io(ngx_async_task_t *t, async_form_t *form,
    ngx_str_t *dir, ngx_async_thread_pt run)
{
    ngx_http_async_form_io_t  *job;

    job = ngx_async_thread_job(sizeof(ngx_http_async_form_io_t) + dir->len + 1,
                               run, ngx_http_async_form_io_drop, t->profile,
                               t->log);
    if (job == NULL) {
        (void) ngx_async_set_error(t, ASYNC_ERROR, "no memory");
        return NULL;
    }

    form->refs++;
    job->form = form;
    job->fd = form->fd;

    if (dir->len) {
        ngx_memcpy(job->dir, dir->data, dir->len);
    }

    return job;
}


/* ASYNC_OK: the job is the caller's; otherwise it is gone. */

static async_rc_t
ngx_http_async_form_io_await(ngx_async_task_t *t,
    ngx_http_async_form_io_t *job, const char *what)
{
    async_rc_t                rc;
    ngx_async_thread_pool_t  *pool;

    pool = ngx_http_async_thread_find(t, NULL);

    if (pool == NULL) {
        ngx_http_async_form_io_free(job);
        return ngx_async_set_error(t, ASYNC_ERROR, "there is no thread pool");
    }

    rc = ngx_async_thread_await(t, pool, job);

    if (rc != ASYNC_OK || job->err == 0) {
        return rc;
    }

    ngx_async_log(t, NGX_LOG_CRIT, job->err, "%s failed", what);

    ngx_http_async_form_io_free(job);

    return ngx_async_set_error(t, ASYNC_ERROR, "%s failed", what);
}


static void
ngx_http_async_form_io_free(ngx_http_async_form_io_t *job)
{
    ngx_http_async_form_io_drop(job);
    ngx_async_thread_free(job);
}


static void
ngx_http_async_form_io_drop(void *data)
{
    ngx_http_async_form_io_t  *job = data;

    if (job->made) {
        (void) close(job->fd);
    }

    free(job->data);
    ngx_http_async_form_release(job->form);
}


static void
ngx_http_async_form_write_run(void *data)
{
    size_t                     done;
    ssize_t                    n;
    ngx_http_async_form_io_t  *job = data;

    if (job->fd == -1) {
        job->fd = ngx_http_async_form_temp(job->dir);

        if (job->fd == -1) {
            job->err = errno;
            return;
        }

        job->made = 1;
    }

    for (done = 0; done < job->len; /* void */ ) {

        n = pwrite(job->fd, job->data + done, job->len - done,
                   job->offset + (off_t) done);

        if (n > 0) {
            done += n;

        } else if (n == 0 || errno != EINTR) {
            job->err = n ? errno : EIO;
            return;
        }
    }
}


/* Not all file systems know of files without a name. */

static int
ngx_http_async_form_temp(const char *dir)
{
    int  fd;

    do {
        fd = open(dir, O_TMPFILE|O_RDWR|O_CLOEXEC, 0600);
    } while (fd == -1 && errno == EINTR);

    if (fd != -1
        || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
    {
        return fd;
    }

    return ngx_http_async_form_named(dir);
}


static int
ngx_http_async_form_named(const char *dir)
{
    int       fd, tries;
    char      name[PATH_MAX];
    uint64_t  random;

    fd = -1;
    errno = EEXIST;

    for (tries = 0; tries < NGX_HTTP_ASYNC_FORM_TRIES; tries++) {

        if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
            continue;
        }

        (void) snprintf(name, sizeof(name), "%s/async-%016llx", dir,
                        (unsigned long long) random);

        fd = open(name, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

        if (fd != -1) {
            (void) unlink(name);
            break;
        }

        if (errno != EEXIST && errno != EINTR) {
            break;
        }
    }

    return fd;
}


async_rc_t
await_upload_read_at(async_t *co, const char *site, async_upload_t *file,
    void *buf, size_t size, size_t *n)
{
    size_t      len;
    async_rc_t  rc;

    *n = 0;

    rc = ngx_async_enter(co, "await_upload_read", site);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (size == 0) {
        return ngx_async_set_error(co, ASYNC_ERROR, "there is no room to read "
                                   "into");
    }

    if (file->busy) {
        return ngx_async_set_error(co, ASYNC_BUSY, "another task reads the "
                                   "upload");
    }

    len = (size_t) ngx_min((off_t) ngx_min(size, NGX_MAX_OFF_T_VALUE),
                           file->size - file->pos);

    if (len == 0) {
        return ASYNC_OK;
    }

    if (file->in_file) {
        file->busy = 1;
        rc = ngx_http_async_form_fetch(co, file, buf, len);
        file->busy = 0;

        if (rc != ASYNC_OK) {
            return rc;
        }

    } else {
        ngx_memcpy(buf, file->data.data + file->pos, len);
    }

    file->pos += (off_t) len;
    *n = len;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_form_fetch(ngx_async_task_t *t, async_upload_t *file,
    u_char *buf, size_t len)
{
    ngx_str_t                  none;
    async_rc_t                 rc;
    ngx_http_async_form_io_t  *job;

    ngx_str_null(&none);

    job = ngx_http_async_form_io(t, file->form, &none,
                                 ngx_http_async_form_read_run);
    if (job == NULL) {
        return ASYNC_ERROR;
    }

    job->offset = file->offset + file->pos;
    job->len = len;
    job->data = malloc(len);

    if (job->data == NULL) {
        ngx_http_async_form_io_free(job);
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    rc = ngx_http_async_form_io_await(t, job, "reading the temporary file of "
                                      "a form");

    if (rc == ASYNC_OK) {
        ngx_memcpy(buf, job->data, len);
        ngx_http_async_form_io_free(job);
    }

    return rc;
}


static void
ngx_http_async_form_read_run(void *data)
{
    ngx_http_async_form_io_t  *job = data;

    job->err = ngx_http_async_form_pread(job->fd, job->data, job->len,
                                         job->offset);
}


/* All of it; errno, or zero. */

static int
ngx_http_async_form_pread(int fd, u_char *buf, size_t len, off_t offset)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < len; /* void */ ) {

        n = pread(fd, buf + done, len - done, offset + (off_t) done);

        if (n > 0) {
            done += n;

        } else if (n == 0 || errno != EINTR) {
            return n ? errno : EIO;
        }
    }

    return 0;
}


async_rc_t
async_upload_read(async_req_t *req, async_upload_t *file, void *buf,
    size_t size, size_t *n)
{
    int     err;
    size_t  len;

    ngx_http_async_check(req);

    *n = 0;

    if (file->in_file && ngx_async_is_loop()) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "the upload is in "
                                   "a file: use await_upload_read()");
    }

    len = (size_t) ngx_min((off_t) ngx_min(size, NGX_MAX_OFF_T_VALUE),
                           file->size - file->pos);

    if (file->in_file) {
        err = ngx_http_async_form_pread(file->form->fd, buf, len,
                                        file->offset + file->pos);
        if (err) {
            return ngx_async_set_error(&req->task, ASYNC_ERROR, "reading the "
                                       "temporary file of a form failed with "
                                       "errno %d", err);
        }

    } else if (len) {
        ngx_memcpy(buf, file->data.data + file->pos, len);
    }

    file->pos += (off_t) len;
    *n = len;

    return ASYNC_OK;
}


async_rc_t
await_upload_save_at(async_t *co, const char *site, async_upload_t *file,
    const char *root, const char *path, unsigned flags)
{
    async_rc_t                   rc;
    ngx_uint_t                   taken;
    ngx_http_async_form_save_t  *job;

    ngx_http_async_files_call_t  call = {
        "await_upload_save", site, root, path, NULL,
        sizeof(ngx_http_async_form_save_t), ngx_http_async_form_save_run,
        ngx_http_async_form_save_drop
    };

    if (flags & ~(ASYNC_FILE_ATOMIC|ASYNC_FILE_EXCLUSIVE|ASYNC_FILE_WRITE)) {
        co->file_errno = 0;
        return ngx_async_set_error(co, ASYNC_ERROR, "await_upload_save() does "
                                   "not know the flags %ui",
                                   (ngx_uint_t) flags);
    }

    job = ngx_http_async_files_job(co, &call, &rc);

    if (job == NULL) {
        return rc;
    }

    job->disk.flags = flags|ASYNC_FILE_WRITE;

    file->form->refs++;

    job->form = file->form;
    job->fd = file->form->fd;
    job->offset = file->offset;
    job->size = file->size;
    job->data = file->data;

    rc = ngx_http_async_files_await(co, job, &taken);

    if (taken) {
        ngx_http_async_form_save_drop(job);
        ngx_async_thread_free(job);
    }

    return rc;
}


/* In the thread. */

static void
ngx_http_async_form_save_run(void *data)
{
    ngx_async_disk_file_t        f;
    ngx_http_async_form_save_t  *job = data;

    ngx_memzero(&f, sizeof(ngx_async_disk_file_t));

    if (ngx_async_disk_open(&job->disk, &f) == -1) {
        return;
    }

    if (ngx_http_async_form_save_copy(job, &f) == -1) {
        ngx_async_disk_discard(&f);
        return;
    }

    (void) ngx_async_disk_finish(&job->disk, &f);
}


static int
ngx_http_async_form_save_copy(ngx_http_async_form_save_t *job,
    ngx_async_disk_file_t *f)
{
    int                err;
    off_t              done;
    ngx_async_disk_t  *d;

    d = &job->disk;

    if (job->data.data) {
        d->data = (char *) job->data.data;
        d->len = job->data.len;

        err = ngx_async_disk_put(d, f);

        d->data = NULL;

        return err;
    }

    d->data = malloc(NGX_HTTP_ASYNC_FORM_COPY);

    if (d->data == NULL) {
        return ngx_async_disk_fail(d, ENOMEM, NULL);
    }

    for (done = 0; done < job->size; done += (off_t) d->len) {

        d->len = (size_t) ngx_min(job->size - done, NGX_HTTP_ASYNC_FORM_COPY);

        err = ngx_http_async_form_pread(job->fd, (u_char *) d->data, d->len,
                                        job->offset + done);
        if (err) {
            return ngx_async_disk_fail(d, err, "its upload could not be read "
                                       "back");
        }

        if (ngx_async_disk_put(d, f) == -1) {
            return -1;
        }
    }

    return 0;
}


static void
ngx_http_async_form_save_drop(void *data)
{
    ngx_http_async_form_save_t  *job = data;

    free(job->disk.data);
    ngx_http_async_form_release(job->form);
}
