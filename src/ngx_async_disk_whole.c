
/*
 * Copyright (C) the nginx-async authors
 *
 * Whole files and directories, see ngx_async_disk.h; in a thread.
 */

#include <ngx_async_disk.h>
#include <dirent.h>


#define NGX_ASYNC_DISK_DIR_MODE  0755

#define NGX_ASYNC_DISK_READ      4096

#define ngx_async_disk_is_temp(name)                                         \
    (ngx_strncmp(name, NGX_ASYNC_DISK_TEMP,                                  \
                 sizeof(NGX_ASYNC_DISK_TEMP) - 1) == 0)


/* of a directory: names one after another, and what each is */

typedef struct {
    size_t       name;        /* where it begins */
    size_t       len;
    struct stat  st;
} ngx_async_disk_found_t;


typedef struct {
    char                    *names;
    size_t                   used;
    size_t                   names_size;
    ngx_async_disk_found_t  *found;
    size_t                   n;
    size_t                   found_size;
} ngx_async_disk_dir_t;


static int ngx_async_disk_fill(ngx_async_disk_t *d, ngx_async_disk_file_t *f);
static DIR *ngx_async_disk_opendir(ngx_async_disk_t *d);
static int ngx_async_disk_collect(ngx_async_disk_t *d, DIR *dir,
    ngx_async_disk_dir_t *l);
static int ngx_async_disk_note(ngx_async_disk_t *d, ngx_async_disk_dir_t *l,
    const char *name, struct stat *st);
static int ngx_async_disk_grow(void **p, size_t *size, size_t wanted);
static int ngx_async_disk_entries(ngx_async_disk_t *d,
    ngx_async_disk_dir_t *l);
static int ngx_async_disk_compare(const void *one, const void *two);
static int ngx_async_disk_dir(ngx_async_disk_t *d, const char *path,
    char *name, ngx_uint_t directory);


int
ngx_async_disk_read(ngx_async_disk_t *d)
{
    int                    rv;
    ngx_async_disk_file_t  f;

    ngx_memzero(&f, sizeof(ngx_async_disk_file_t));

    d->flags = ASYNC_FILE_READ;

    if (ngx_async_disk_open(d, &f) == -1) {
        return -1;
    }

    rv = ngx_async_disk_fill(d, &f);

    ngx_async_disk_discard(&f);

    return rv;
}


/* It may grow while it is read; files of /proc have no size at all. */

static int
ngx_async_disk_fill(ngx_async_disk_t *d, ngx_async_disk_file_t *f)
{
    void     *p;
    size_t    max, size;
    ssize_t   n;

    max = ngx_min(d->max, (size_t) NGX_MAX_OFF_T_VALUE - 1);

    /* a byte more, to see whether it ends there */

    size = d->st.st_size ? (size_t) d->st.st_size : NGX_ASYNC_DISK_READ;
    size = ngx_min(size, max) + 1;

    for (n = 1; n; d->len += n) {

        if (d->len > max || d->st.st_size > (off_t) max) {
            return ngx_async_disk_fail(d, EFBIG, "larger than %uz bytes");
        }

        if (d->data == NULL || d->len == size) {

            size = (d->len == size) ? ngx_min(size * 2, max + 1) : size;

            p = realloc(d->data, size + 1);
            if (p == NULL) {
                return ngx_async_disk_fail(d, ENOMEM, NULL);
            }

            d->data = p;
        }

        if (ngx_async_thread_abandoned(d->job)) {
            return ngx_async_disk_fail(d, ECANCELED, NULL);
        }

        do {
            n = read(f->fd, d->data + d->len,
                     ngx_min(size - d->len, NGX_ASYNC_DISK_CHUNK));
        } while (n == -1 && errno == EINTR);

        if (n == -1) {
            return ngx_async_disk_fail(d, errno, NULL);
        }
    }

    d->data[d->len] = '\0';

    return 0;
}


int
ngx_async_disk_write(ngx_async_disk_t *d)
{
    ngx_async_disk_file_t  f;

    ngx_memzero(&f, sizeof(ngx_async_disk_file_t));

    if (ngx_async_disk_open(d, &f) == -1) {
        return -1;
    }

    if (ngx_async_disk_put(d, &f) == -1) {
        ngx_async_disk_discard(&f);
        return -1;
    }

    return ngx_async_disk_finish(d, &f);
}


int
ngx_async_disk_stat(ngx_async_disk_t *d)
{
    int  fd, rv, base;

    base = ngx_async_disk_base(d);

    if (base == -1) {
        return -1;
    }

    rv = 0;
    fd = ngx_async_beneath_open(base, d->path, O_PATH, 0);

    if (fd == -1 || fstat(fd, &d->st) == -1) {
        rv = ngx_async_disk_fail(d, errno, NULL);
    }

    if (fd != -1) {
        (void) close(fd);
    }

    ngx_async_disk_base_close(base);

    return rv;
}


int
ngx_async_disk_list(ngx_async_disk_t *d)
{
    int                   rv;
    DIR                  *dir;
    ngx_async_disk_dir_t  l;

    dir = ngx_async_disk_opendir(d);

    if (dir == NULL) {
        return -1;
    }

    ngx_memzero(&l, sizeof(ngx_async_disk_dir_t));

    rv = ngx_async_disk_collect(d, dir, &l);

    if (rv == 0) {
        rv = ngx_async_disk_entries(d, &l);
    }

    free(l.names);
    free(l.found);

    (void) closedir(dir);

    return rv;
}


static DIR *
ngx_async_disk_opendir(ngx_async_disk_t *d)
{
    int   fd, base;
    DIR  *dir;

    base = ngx_async_disk_base(d);

    if (base == -1) {
        return NULL;
    }

    dir = NULL;
    fd = ngx_async_beneath_open(base, d->path,
                                O_RDONLY|O_DIRECTORY|O_NONBLOCK, 0);

    if (fd != -1) {
        dir = fdopendir(fd);
    }

    if (dir == NULL) {
        (void) ngx_async_disk_fail(d, errno, NULL);

        if (fd != -1) {
            (void) close(fd);
        }
    }

    ngx_async_disk_base_close(base);

    return dir;
}


static int
ngx_async_disk_collect(ngx_async_disk_t *d, DIR *dir, ngx_async_disk_dir_t *l)
{
    const char     *name;
    struct stat     st;
    struct dirent  *entry;

    for ( ;; ) {
        errno = 0;
        entry = readdir(dir);

        if (entry == NULL) {
            return errno ? ngx_async_disk_fail(d, errno, NULL) : 0;
        }

        name = entry->d_name;

        if (ngx_strcmp(name, ".") == 0 || ngx_strcmp(name, "..") == 0
            || ngx_async_disk_is_temp(name))
        {
            continue;
        }

        if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) == -1) {

            if (errno == ENOENT) {
                /* it has gone meanwhile */
                continue;
            }

            return ngx_async_disk_fail(d, errno, NULL);
        }

        if (ngx_async_disk_note(d, l, name, &st) == -1) {
            return -1;
        }

        if (ngx_async_thread_abandoned(d->job)) {
            return ngx_async_disk_fail(d, ECANCELED, NULL);
        }
    }
}


static int
ngx_async_disk_note(ngx_async_disk_t *d, ngx_async_disk_dir_t *l,
    const char *name, struct stat *st)
{
    size_t                   len;
    ngx_async_disk_found_t  *found;

    if (l->n == d->max) {
        return ngx_async_disk_fail(d, EFBIG, "more than %uz entries");
    }

    len = ngx_strlen(name);

    if (ngx_async_disk_grow((void **) &l->names, &l->names_size,
                            l->used + len + 1) == -1
        || ngx_async_disk_grow((void **) &l->found, &l->found_size,
                               (l->n + 1) * sizeof(ngx_async_disk_found_t))
           == -1)
    {
        return ngx_async_disk_fail(d, ENOMEM, NULL);
    }

    found = &l->found[l->n++];
    found->name = l->used;
    found->len = len;
    found->st = *st;

    ngx_memcpy(l->names + l->used, name, len + 1);
    l->used += len + 1;

    return 0;
}


static int
ngx_async_disk_grow(void **p, size_t *size, size_t wanted)
{
    void    *grown;
    size_t   next;

    if (wanted <= *size) {
        return 0;
    }

    next = ngx_max(wanted, *size * 2);

    grown = realloc(*p, next);
    if (grown == NULL) {
        return -1;
    }

    *p = grown;
    *size = next;

    return 0;
}


/*
 * One block: the entries, in steps of the size that the app knows them in, and
 * their names.
 */

static int
ngx_async_disk_entries(ngx_async_disk_t *d, ngx_async_disk_dir_t *l)
{
    char                *p, *names;
    size_t               i, size;
    async_file_entry_t   e;

    size = ngx_min(d->entry_size, sizeof(async_file_entry_t));

    p = calloc(1, l->n * d->entry_size + l->used + 1);
    if (p == NULL) {
        return ngx_async_disk_fail(d, ENOMEM, NULL);
    }

    names = p + l->n * d->entry_size;

    if (l->used) {
        ngx_memcpy(names, l->names, l->used);
    }

    for (i = 0; i < l->n; i++) {
        ngx_memzero(&e, sizeof(async_file_entry_t));

        e.size = size;
        e.name.data = names + l->found[i].name;
        e.name.len = l->found[i].len;
        e.type = ngx_async_disk_type(l->found[i].st.st_mode);
        e.bytes = l->found[i].st.st_size;
        e.mtime = ngx_async_disk_ms(&l->found[i].st);

        ngx_memcpy(p + i * d->entry_size, &e, size);
    }

    qsort(p, l->n, d->entry_size, ngx_async_disk_compare);

    d->data = p;
    d->n = l->n;

    return 0;
}


static int
ngx_async_disk_compare(const void *one, const void *two)
{
    const async_file_entry_t  *a = one, *b = two;

    return strcmp(a->name.data, b->name.data);
}


/* The directory of a path, and the name in it; -1. */

static int
ngx_async_disk_dir(ngx_async_disk_t *d, const char *path, char *name,
    ngx_uint_t directory)
{
    int  base, dir;

    base = ngx_async_disk_base(d);

    if (base == -1) {
        return -1;
    }

    dir = ngx_async_beneath_parent(base, path, name, directory);

    if (dir == -1) {
        (void) ngx_async_disk_fail(d, errno, NULL);
    }

    ngx_async_disk_base_close(base);

    return dir;
}


int
ngx_async_disk_remove(ngx_async_disk_t *d)
{
    int   rv, dir;
    char  name[NGX_ASYNC_BENEATH_NAME];

    dir = ngx_async_disk_dir(d, d->path, name, 0);

    if (dir == -1) {
        return -1;
    }

    rv = unlinkat(dir, name, 0);

    if (rv == -1) {
        (void) ngx_async_disk_fail(d, errno, NULL);
    }

    (void) close(dir);

    return rv;
}


int
ngx_async_disk_mkdir(ngx_async_disk_t *d)
{
    int   rv, dir;
    char  name[NGX_ASYNC_BENEATH_NAME];

    dir = ngx_async_disk_dir(d, d->path, name, 1);

    if (dir == -1) {
        return -1;
    }

    rv = mkdirat(dir, name, NGX_ASYNC_DISK_DIR_MODE);

    if (rv == -1) {
        (void) ngx_async_disk_fail(d, errno, NULL);
    }

    (void) close(dir);

    return rv;
}


int
ngx_async_disk_rmdir(ngx_async_disk_t *d)
{
    int   rv, dir;
    char  name[NGX_ASYNC_BENEATH_NAME];

    dir = ngx_async_disk_dir(d, d->path, name, 1);

    if (dir == -1) {
        return -1;
    }

    rv = unlinkat(dir, name, AT_REMOVEDIR);

    if (rv == -1) {
        (void) ngx_async_disk_fail(d, errno, NULL);
    }

    (void) close(dir);

    return rv;
}


int
ngx_async_disk_rename(ngx_async_disk_t *d)
{
    int   rv, from, to;
    char  name[NGX_ASYNC_BENEATH_NAME], new_name[NGX_ASYNC_BENEATH_NAME];

    from = ngx_async_disk_dir(d, d->path, name, 1);

    if (from == -1) {
        return -1;
    }

    to = ngx_async_disk_dir(d, d->to, new_name, 1);

    if (to == -1) {
        d->of_to = 1;
        (void) close(from);
        return -1;
    }

    rv = renameat(from, name, to, new_name);

    if (rv == -1) {
        /* not that of a path which leaves its root */
        (void) ngx_async_disk_fail(d, errno, (errno == EXDEV)
                                             ? "the other path is on another "
                                               "file system"
                                             : NULL);
    }

    (void) close(from);
    (void) close(to);

    return rv;
}
