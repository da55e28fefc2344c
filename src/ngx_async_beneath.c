
/*
 * Copyright (C) the nginx-async authors
 *
 * Paths below a directory, see ngx_async_beneath.h.  The kernel resolves them,
 * by openat2() of Linux 5.6.  Where that is missing or forbidden, they are
 * walked name by name, and then no symbolic link is followed at all.
 */

#include <ngx_async_beneath.h>
#include <limits.h>
#include <sys/syscall.h>

#if defined(SYS_openat2) && !(NGX_ASYNC_NO_OPENAT2)
#include <linux/openat2.h>
#endif


/* a rename elsewhere may keep the kernel from telling whether ".." leaves */
#define NGX_ASYNC_BENEATH_TRIES  32


#if defined(SYS_openat2) && !(NGX_ASYNC_NO_OPENAT2)

static int ngx_async_beneath_kernel(int base, const char *path, int flags,
    mode_t mode);

#else

#define ngx_async_beneath_kernel(base, path, flags, mode)  (errno = ENOSYS, -1)

#endif

static int ngx_async_beneath_check(const char *path);
static int ngx_async_beneath_walk(int base, const char *path, int flags,
    mode_t mode);
static int ngx_async_beneath_last(int dir, const char *name, int flags,
    mode_t mode);
static void ngx_async_beneath_close(int fd);


int
ngx_async_beneath_open(int base, const char *path, int flags, mode_t mode)
{
    int  fd;

    flags |= O_CLOEXEC;

    if (base == AT_FDCWD) {

        do {
            fd = openat(base, path, flags, mode);
        } while (fd == -1 && errno == EINTR);

        return fd;
    }

    if (ngx_async_beneath_check(path) != 0) {
        return -1;
    }

    fd = ngx_async_beneath_kernel(base, path, flags, mode);

    if (fd == -1 && (errno == ENOSYS || errno == EPERM)) {
        /* sandboxes answer EPERM for what they do not know */
        return ngx_async_beneath_walk(base, path, flags, mode);
    }

    return fd;
}


/*
 * A path with ".." is refused as such: what it means depends on links, and on
 * what is renamed meanwhile.
 */

static int
ngx_async_beneath_check(const char *path)
{
    const char  *p, *end;

    errno = 0;

    if (path[0] == '\0') {
        errno = ENOENT;

    } else if (ngx_strlen(path) >= PATH_MAX) {
        errno = ENAMETOOLONG;

    } else if (path[0] == '/') {
        errno = EXDEV;
    }

    for (p = path; errno == 0; p = end + 1) {
        end = strchrnul(p, '/');

        if (end - p == 2 && p[0] == '.' && p[1] == '.') {
            errno = EXDEV;
        }

        if (*end == '\0') {
            break;
        }
    }

    return errno ? -1 : 0;
}


#if defined(SYS_openat2) && !(NGX_ASYNC_NO_OPENAT2)

static int
ngx_async_beneath_kernel(int base, const char *path, int flags, mode_t mode)
{
    int              fd, tries;
    struct open_how  how;

    ngx_memzero(&how, sizeof(struct open_how));

    how.flags = (unsigned) flags;
    how.mode = (flags & O_CREAT) ? mode : 0;
    how.resolve = RESOLVE_BENEATH|RESOLVE_NO_MAGICLINKS;

    tries = 0;

    do {
        fd = (int) syscall(SYS_openat2, base, path, &how, sizeof(how));
    } while (fd == -1 && (errno == EINTR
                          || (errno == EAGAIN
                              && tries++ < NGX_ASYNC_BENEATH_TRIES)));

    return fd;
}

#endif


static int
ngx_async_beneath_walk(int base, const char *path, int flags, mode_t mode)
{
    int          dir, next;
    char         name[NGX_ASYNC_BENEATH_NAME];
    size_t       len;
    const char  *end;

    dir = base;

    for ( ;; ) {
        end = strchrnul(path, '/');
        len = end - path;

        if (len >= NGX_ASYNC_BENEATH_NAME) {
            errno = ENAMETOOLONG;
            next = -1;
            break;
        }

        ngx_memcpy(name, path, len);
        name[len] = '\0';

        for (path = end; *path == '/'; path++) { /* void */ }

        if (*path == '\0') {

            if (*end == '/') {
                flags |= O_DIRECTORY;
            }

            next = ngx_async_beneath_last(dir, name, flags, mode);
            break;
        }

        next = openat(dir, name, O_PATH|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);

        if (next == -1) {
            break;
        }

        if (dir != base) {
            (void) close(dir);
        }

        dir = next;
    }

    if (dir != base) {
        ngx_async_beneath_close(dir);
    }

    return next;
}


static int
ngx_async_beneath_last(int dir, const char *name, int flags, mode_t mode)
{
    int          fd;
    struct stat  st;

    if ((flags & (O_CREAT|O_DIRECTORY)) == (O_CREAT|O_DIRECTORY)) {
        errno = EISDIR;
        return -1;
    }

    do {
        fd = openat(dir, name, flags|O_NOFOLLOW, mode);
    } while (fd == -1 && errno == EINTR);

    if (fd == -1 || !(flags & O_PATH)) {
        return fd;
    }

    /* this one would have opened the link itself */

    if (fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode)) {
        return fd;
    }

    (void) close(fd);
    errno = ELOOP;

    return -1;
}


int
ngx_async_beneath_parent(int base, const char *path, char *name,
    ngx_uint_t directory)
{
    char         parent[PATH_MAX];
    size_t       len, end;

    if (base != AT_FDCWD && ngx_async_beneath_check(path) != 0) {
        return -1;
    }

    len = ngx_strlen(path);

    if (len >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }

    if (len && path[len - 1] == '/' && !directory) {
        errno = EISDIR;
        return -1;
    }

    while (len && path[len - 1] == '/') {
        len--;
    }

    for (end = len; end && path[end - 1] != '/'; end--) { /* void */ }

    if (len == end) {
        errno = path[0] ? EISDIR : ENOENT;
        return -1;
    }

    if (len - end >= NGX_ASYNC_BENEATH_NAME) {
        errno = ENAMETOOLONG;
        return -1;
    }

    ngx_memcpy(name, path + end, len - end);
    name[len - end] = '\0';

    ngx_memcpy(parent, path, end);
    parent[end] = '\0';

    return ngx_async_beneath_open(base, end ? parent : ".",
                                  O_PATH|O_DIRECTORY, 0);
}


static void
ngx_async_beneath_close(int fd)
{
    int  err;

    err = errno;
    (void) close(fd);
    errno = err;
}
