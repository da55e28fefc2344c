
/*
 * Copyright (C) the nginx-async authors
 *
 * Child processes: what a thread does to start one.  It is part of a job, see
 * ngx_async_thread.h.
 */

#ifndef _NGX_ASYNC_SPAWN_H_INCLUDED_
#define _NGX_ASYNC_SPAWN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* descriptors that a child gets beside the three of POSIX: 3, 4, 5 */
#define NGX_ASYNC_SPAWN_GIVEN  3


typedef struct {
    const char         *file;         /* looked for in PATH without a slash */
    char              **argv;
    char              **env;          /* NULL: that of this process */
    const char         *dir;          /* NULL: that of this process */

    /* its standard input is a pipe, else empty; its standard error is its
       standard output; its standard output is its standard error */
    ngx_uint_t          input;
    ngx_uint_t          merge;
    ngx_uint_t          log;

    int                 given[NGX_ASYNC_SPAWN_GIVEN];     /* -1: none */

    /* the process; -1: there is none, and "err" says why */
    pid_t               pid;
    int                 pidfd;        /* -1: the system has none */

    /* ends of the pipes, nonblocking; -1: none */
    int                 fd[3];

    int                 err;
    ngx_uint_t          no_dir;       /* that is what it is about */
} ngx_async_spawn_t;


/* Zeroes, and sets what -1 says that there is none of. */
void ngx_async_spawn_init(ngx_async_spawn_t *s);

/* Blocks. */
void ngx_async_spawn(ngx_async_spawn_t *s);

/* Closes the ends of the pipes and what is given. */
void ngx_async_spawn_close(ngx_async_spawn_t *s);


#endif /* _NGX_ASYNC_SPAWN_H_INCLUDED_ */
