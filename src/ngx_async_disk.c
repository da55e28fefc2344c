
/*
 * Copyright (C) the nginx-async authors
 *
 * Files that are opened, read and written, see ngx_async_disk.h; in a thread.
 *
 * All is opened nonblocking, so that a FIFO does not hold the thread, and then
 * refused.
 */

#include <ngx_async_disk.h>
#include <sys/random.h>


/* of nginx's umask one knows nothing: it is zero */
#define NGX_ASYNC_DISK_MODE   0644

#define NGX_ASYNC_DISK_TRIES  8

#define NGX_ASYNC_DISK_OPEN   (O_NONBLOCK|O_NOCTTY)


static int ngx_async_disk_regular(ngx_async_disk_t *d,
    ngx_async_disk_file_t *f);
static int ngx_async_disk_create(ngx_async_disk_t *d, int base,
    ngx_async_disk_file_t *f);
static int ngx_async_disk_temp(ngx_async_disk_t *d, int base,
    ngx_async_disk_file_t *f);
static mode_t ngx_async_disk_replaced(ngx_async_disk_t *d,
    ngx_async_disk_file_t *f);
static ssize_t ngx_async_disk_once(ngx_async_disk_file_t *f, const char *p,
    size_t len, off_t offset);
static void ngx_async_disk_cut(ngx_async_disk_file_t *f, off_t start,
    size_t done);
static int ngx_async_disk_rename_temp(ngx_async_disk_t *d,
    ngx_async_disk_file_t *f);
static int ngx_async_disk_link(ngx_async_disk_file_t *f);
static int ngx_async_disk_sync_dir(int dir);
static void ngx_async_disk_close_dir(ngx_async_disk_file_t *f);


int
ngx_async_disk_fail(ngx_async_disk_t *d, int err, const char *why)
{
    d->err = err ? err : EIO;
    d->why = why;

    return -1;
}


int
ngx_async_disk_base(ngx_async_disk_t *d)
{
    int  base;

    if (d->root == NULL) {
        return AT_FDCWD;
    }

    base = ngx_async_beneath_open(AT_FDCWD, d->root, O_PATH|O_DIRECTORY, 0);

    if (base == -1) {
        d->of_root = 1;
        return ngx_async_disk_fail(d, errno, NULL);
    }

    return base;
}


void
ngx_async_disk_base_close(int base)
{
    if (base != AT_FDCWD) {
        (void) close(base);
    }
}


int
ngx_async_disk_open(ngx_async_disk_t *d, ngx_async_disk_file_t *f)
{
    int  rv, base;

    f->fd = -1;
    f->dir = -1;
    f->flags = d->flags;

    base = ngx_async_disk_base(d);

    if (base == -1) {
        return -1;
    }

    if (d->flags & ASYNC_FILE_ATOMIC) {
        rv = ngx_async_disk_temp(d, base, f);

    } else if (d->flags & (ASYNC_FILE_WRITE|ASYNC_FILE_APPEND)) {
        rv = ngx_async_disk_create(d, base, f);

    } else {
        f->fd = ngx_async_beneath_open(base, d->path,
                                       O_RDONLY|NGX_ASYNC_DISK_OPEN, 0);
        rv = ngx_async_disk_regular(d, f);
    }

    ngx_async_disk_base_close(base);

    if (rv == -1) {
        ngx_async_disk_discard(f);
    }

    return rv;
}


/* What has been opened, or why not; the size is in d->st then. */

static int
ngx_async_disk_regular(ngx_async_disk_t *d, ngx_async_disk_file_t *f)
{
    if (f->fd == -1) {
        return ngx_async_disk_fail(d, errno, NULL);
    }

    if (fstat(f->fd, &d->st) == -1) {
        return ngx_async_disk_fail(d, errno, NULL);
    }

    if (S_ISDIR(d->st.st_mode)) {
        return ngx_async_disk_fail(d, EISDIR, NULL);
    }

    if (!S_ISREG(d->st.st_mode)) {
        return ngx_async_disk_fail(d, ENXIO, NULL);
    }

    return 0;
}


/* One that is new knows its directory: it may have to be removed again. */

static int
ngx_async_disk_create(ngx_async_disk_t *d, int base, ngx_async_disk_file_t *f)
{
    int  flags;

    flags = O_WRONLY|NGX_ASYNC_DISK_OPEN;

    if (d->flags & ASYNC_FILE_APPEND) {
        flags |= O_APPEND;
    }

    f->dir = ngx_async_beneath_parent(base, d->path, f->name, 0);

    if (f->dir == -1) {
        return ngx_async_disk_fail(d, errno, NULL);
    }

    do {
        f->fd = openat(f->dir, f->name, flags|O_CREAT|O_EXCL|O_CLOEXEC,
                       NGX_ASYNC_DISK_MODE);
    } while (f->fd == -1 && errno == EINTR);

    if (f->fd != -1 || errno != EEXIST || (d->flags & ASYNC_FILE_EXCLUSIVE)) {
        return ngx_async_disk_regular(d, f);
    }

    ngx_async_disk_close_dir(f);

    f->fd = ngx_async_beneath_open(base, d->path, flags, 0);

    if (ngx_async_disk_regular(d, f) == -1) {
        return -1;
    }

    if (!(d->flags & ASYNC_FILE_APPEND) && ftruncate(f->fd, 0) == -1) {
        return ngx_async_disk_fail(d, errno, NULL);
    }

    return 0;
}


static int
ngx_async_disk_temp(ngx_async_disk_t *d, int base, ngx_async_disk_file_t *f)
{
    int       tries;
    mode_t    mode;
    uint64_t  random;

    f->dir = ngx_async_beneath_parent(base, d->path, f->name, 0);

    if (f->dir == -1) {
        return ngx_async_disk_fail(d, errno, NULL);
    }

    mode = ngx_async_disk_replaced(d, f);

    if (d->err) {
        return -1;
    }

    for (tries = 0; tries < NGX_ASYNC_DISK_TRIES; tries++) {

        if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
            continue;
        }

        (void) snprintf(f->temp, sizeof(f->temp), NGX_ASYNC_DISK_TEMP
                        "%016llx", (unsigned long long) random);

        f->fd = openat(f->dir, f->temp, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC,
                       0600);

        if (f->fd != -1 || (errno != EEXIST && errno != EINTR)) {
            break;
        }
    }

    if (f->fd == -1) {
        f->temp[0] = '\0';
        return ngx_async_disk_fail(d, errno, NULL);
    }

    if (fchmod(f->fd, mode) == -1) {
        return ngx_async_disk_fail(d, errno, NULL);
    }

    return ngx_async_disk_regular(d, f);
}


/* The mode of the file that is to be replaced, which may be none. */

static mode_t
ngx_async_disk_replaced(ngx_async_disk_t *d, ngx_async_disk_file_t *f)
{
    struct stat  st;

    if (fstatat(f->dir, f->name, &st, AT_SYMLINK_NOFOLLOW) == -1) {

        if (errno != ENOENT) {
            (void) ngx_async_disk_fail(d, errno, NULL);
        }

        return NGX_ASYNC_DISK_MODE;
    }

    if (d->flags & ASYNC_FILE_EXCLUSIVE) {
        (void) ngx_async_disk_fail(d, EEXIST, NULL);

    } else if (S_ISDIR(st.st_mode)) {
        (void) ngx_async_disk_fail(d, EISDIR, NULL);

    } else if (S_ISREG(st.st_mode)) {
        return st.st_mode & 0777;

    } else if (!S_ISLNK(st.st_mode)) {
        (void) ngx_async_disk_fail(d, ENXIO, NULL);
    }

    return NGX_ASYNC_DISK_MODE;
}


int
ngx_async_disk_get(ngx_async_disk_t *d, ngx_async_disk_file_t *f)
{
    ssize_t  n;

    d->len = 0;

    while (d->len < d->max && !ngx_async_thread_abandoned(d->job)) {

        n = pread(f->fd, d->data + d->len,
                  ngx_min(d->max - d->len, NGX_ASYNC_DISK_CHUNK),
                  f->offset + (off_t) d->len);

        if (n == 0) {
            break;
        }

        if (n == -1 && errno != EINTR) {
            return ngx_async_disk_fail(d, errno, NULL);
        }

        d->len += (n > 0) ? n : 0;
    }

    return 0;
}


/*
 * What is not to stay if it is not whole is given up when nobody waits any
 * more; the rest is brought to its end.
 */

int
ngx_async_disk_put(ngx_async_disk_t *d, ngx_async_disk_file_t *f)
{
    off_t    start;
    size_t   done;
    ssize_t  n;

    start = f->offset;

    for (done = 0; done < d->len; /* void */ ) {

        if (f->dir != -1 && !(f->flags & ASYNC_FILE_APPEND)
            && ngx_async_thread_abandoned(d->job))
        {
            (void) ngx_async_disk_fail(d, ECANCELED, NULL);
            break;
        }

        n = ngx_async_disk_once(f, d->data + done, d->len - done,
                                f->offset + (off_t) done);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            (void) ngx_async_disk_fail(d, n ? errno : EIO, NULL);
            break;
        }

        if (done == 0 && (f->flags & ASYNC_FILE_APPEND)) {
            start = lseek(f->fd, 0, SEEK_CUR) - n;
        }

        done += n;
    }

    if (d->err) {
        f->failed = 1;
        ngx_async_disk_cut(f, start, done);
        return -1;
    }

    f->offset += done;

    return 0;
}


/* All of what is appended goes in one call: others may append, too. */

static ssize_t
ngx_async_disk_once(ngx_async_disk_file_t *f, const char *p, size_t len,
    off_t offset)
{
    if (f->flags & ASYNC_FILE_APPEND) {
        return write(f->fd, p, len);
    }

    return pwrite(f->fd, p, ngx_min(len, NGX_ASYNC_DISK_CHUNK), offset);
}


/* Nothing half written, unless others have written behind it. */

static void
ngx_async_disk_cut(ngx_async_disk_file_t *f, off_t start, size_t done)
{
    struct stat  st;

    if (done == 0 || fstat(f->fd, &st) == -1) {
        return;
    }

    if ((f->flags & ASYNC_FILE_APPEND) && st.st_size != start + (off_t) done) {
        return;
    }

    if (ftruncate(f->fd, start) == -1) {
        /* it is what has been reported that counts */
        return;
    }
}


int
ngx_async_disk_finish(ngx_async_disk_t *d, ngx_async_disk_file_t *f)
{
    int  fd;

    if (f->failed) {
        ngx_async_disk_discard(f);
        return ngx_async_disk_fail(d, EIO, "not all of it could be written");
    }

    if (f->temp[0] && fsync(f->fd) == -1) {
        goto failed;
    }

    fd = f->fd;

    if (f->dir != -1 && !f->temp[0]) {
        /* kept open, so that it is known should it have to be removed */
        fd = dup(f->fd);

        if (fd == -1) {
            goto failed;
        }

    } else {
        f->fd = -1;
    }

    /* some file systems tell only now; the descriptor is gone either way */

    if (close(fd) == -1 && errno != EINTR) {
        goto failed;
    }

    if (f->temp[0] && ngx_async_disk_rename_temp(d, f) == -1) {
        ngx_async_disk_discard(f);
        return -1;
    }

    ngx_async_disk_close_dir(f);
    ngx_async_disk_discard(f);

    return 0;

failed:

    (void) ngx_async_disk_fail(d, errno, NULL);
    ngx_async_disk_discard(f);

    return -1;
}


/* Gives the file its name; when that has been done, it stays. */

static int
ngx_async_disk_rename_temp(ngx_async_disk_t *d, ngx_async_disk_file_t *f)
{
    if (ngx_async_disk_link(f) == -1) {
        return ngx_async_disk_fail(d, errno, NULL);
    }

    f->temp[0] = '\0';

    if (ngx_async_disk_sync_dir(f->dir) == -1) {
        return ngx_async_disk_fail(d, errno, "it is there, but its directory "
                                   "could not be synchronized");
    }

    return 0;
}


static int
ngx_async_disk_link(ngx_async_disk_file_t *f)
{
    if (!(f->flags & ASYNC_FILE_EXCLUSIVE)) {
        return renameat(f->dir, f->temp, f->dir, f->name);
    }

    /* of two only one makes it */

    if (linkat(f->dir, f->temp, f->dir, f->name, 0) == -1) {
        return -1;
    }

    (void) unlinkat(f->dir, f->temp, 0);

    return 0;
}


/*
 * The new name is to outlast a crash, too.  A directory that may be written but
 * not read cannot be opened for that; some file systems know no such thing.
 */

static int
ngx_async_disk_sync_dir(int dir)
{
    int  fd, rv, err;

    fd = openat(dir, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return (errno == EACCES) ? 0 : -1;
    }

    rv = fsync(fd);
    err = errno;

    (void) close(fd);

    if (rv == -1 && err != EINVAL && err != ENOTSUP) {
        errno = err;
        return -1;
    }

    return 0;
}


/* To a file that is appended to others may have appended, too: it stays. */

void
ngx_async_disk_discard(ngx_async_disk_file_t *f)
{
    struct stat  st, named;

    if (f->dir != -1 && f->temp[0]) {
        (void) unlinkat(f->dir, f->temp, 0);

    } else if (f->dir != -1 && f->fd != -1
               && fstat(f->fd, &st) == 0
               && (!(f->flags & ASYNC_FILE_APPEND) || st.st_size == 0)
               && fstatat(f->dir, f->name, &named, AT_SYMLINK_NOFOLLOW) == 0
               && st.st_dev == named.st_dev && st.st_ino == named.st_ino)
    {
        (void) unlinkat(f->dir, f->name, 0);
    }

    ngx_async_disk_close_dir(f);

    if (f->fd != -1) {
        (void) close(f->fd);
        f->fd = -1;
    }
}


static void
ngx_async_disk_close_dir(ngx_async_disk_file_t *f)
{
    if (f->dir != -1) {
        (void) close(f->dir);
        f->dir = -1;
    }
}


int
ngx_async_disk_type(mode_t mode)
{
    switch (mode & S_IFMT) {

    case S_IFREG:
        return ASYNC_FILE_REGULAR;

    case S_IFDIR:
        return ASYNC_FILE_DIRECTORY;

    case S_IFLNK:
        return ASYNC_FILE_LINK;

    default:
        return ASYNC_FILE_OTHER;
    }
}


int64_t
ngx_async_disk_ms(struct stat *st)
{
    return (int64_t) st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
}
