
/*
 * Copyright (C) the nginx-async authors
 *
 * Files below a directory that a path cannot leave: neither by "..", nor by a
 * symbolic link, nor by one of /proc.  System calls only: for threads.
 *
 * What fails leaves errno, and -1.  EXDEV of these functions says that the path
 * would leave the directory.  Descriptors are close-on-exec.
 */

#ifndef _NGX_ASYNC_BENEATH_H_INCLUDED_
#define _NGX_ASYNC_BENEATH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* with the zero at the end */
#define NGX_ASYNC_BENEATH_NAME  256


/*
 * In all of them "base" is a descriptor of the directory; AT_FDCWD: the path is
 * the program's own, and goes where it likes.
 */

int ngx_async_beneath_open(int base, const char *path, int flags, mode_t mode);

/*
 * The directory that the path's last name is in, for calls that end in "at",
 * and this name.  A slash at the end is an error, EISDIR, unless "directory".
 */
int ngx_async_beneath_parent(int base, const char *path, char *name,
    ngx_uint_t directory);


#endif /* _NGX_ASYNC_BENEATH_H_INCLUDED_ */
