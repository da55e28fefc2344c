
/*
 * Copyright (C) the nginx-async authors
 *
 * Files read, written and listed by a thread.  What a call works on is in an
 * ngx_async_disk_t, which is part of a job, see ngx_async_thread.h.
 */

#ifndef _NGX_ASYNC_DISK_H_INCLUDED_
#define _NGX_ASYNC_DISK_H_INCLUDED_


#include <ngx_async_thread.h>
#include <ngx_async_beneath.h>


/* files that are written, until they have their name; lists pass them over */
#define NGX_ASYNC_DISK_TEMP   ".async-"

/* between two looks at whether somebody waits yet */
#define NGX_ASYNC_DISK_CHUNK  (1024 * 1024)


/* A file that is open. */

typedef struct {
    int                     fd;

    /* one that is not to stay unless it is finished, else -1: the directory it
       is in, and its name; if it has a temporary one yet, that, too */
    int                     dir;
    char                    name[NGX_ASYNC_BENEATH_NAME];
    char                    temp[sizeof(NGX_ASYNC_DISK_TEMP) + 16];

    ngx_uint_t              flags;
    ngx_uint_t              failed;       /* something could not be written */
    off_t                   offset;       /* unless it is appended to */
} ngx_async_disk_file_t;


typedef struct {
    void                   *job;

    /* zero-terminated; root: NULL, or whole; the others whole without a root */
    char                   *root;
    char                   *path;
    char                   *to;

    ngx_uint_t              flags;        /* ASYNC_FILE_... */
    size_t                  max;
    size_t                  entry_size;

    /* of malloc(): what is written, what has been read */
    char                   *data;
    size_t                  len;
    size_t                  n;
    struct stat             st;

    /* the failure: errno or zero; in words unless those of errno will do, in
       nginx's format, for "max" */
    int                     err;
    const char             *why;
    ngx_uint_t              of_root;
    ngx_uint_t              of_to;
} ngx_async_disk_t;


/* What "err" says of the answer: -1 that it is not zero. */

/* whole files */
int ngx_async_disk_read(ngx_async_disk_t *d);
int ngx_async_disk_write(ngx_async_disk_t *d);
int ngx_async_disk_stat(ngx_async_disk_t *d);
int ngx_async_disk_list(ngx_async_disk_t *d);
int ngx_async_disk_remove(ngx_async_disk_t *d);
int ngx_async_disk_rename(ngx_async_disk_t *d);
int ngx_async_disk_mkdir(ngx_async_disk_t *d);
int ngx_async_disk_rmdir(ngx_async_disk_t *d);

/*
 * One that is open.  "get" fills d->data with d->max bytes, less only at the
 * end.  "put" writes d->data wholly, or marks the file as failed.  "finish"
 * closes, and gives the file its name; on failure it has been discarded.
 */
int ngx_async_disk_open(ngx_async_disk_t *d, ngx_async_disk_file_t *f);
int ngx_async_disk_get(ngx_async_disk_t *d, ngx_async_disk_file_t *f);
int ngx_async_disk_put(ngx_async_disk_t *d, ngx_async_disk_file_t *f);
int ngx_async_disk_finish(ngx_async_disk_t *d, ngx_async_disk_file_t *f);

/* Closes; what is new, or has no name yet, is removed. */
void ngx_async_disk_discard(ngx_async_disk_file_t *f);

/* Fails with errno, or with words of one's own for it; -1. */
int ngx_async_disk_fail(ngx_async_disk_t *d, int err, const char *why);

/* The directory of d->root; AT_FDCWD if there is none; -1. */
int ngx_async_disk_base(ngx_async_disk_t *d);
void ngx_async_disk_base_close(int base);

/* The kind of file, as async_file_type_t */
int ngx_async_disk_type(mode_t mode);
int64_t ngx_async_disk_ms(struct stat *st);


#endif /* _NGX_ASYNC_DISK_H_INCLUDED_ */
