
/*
 * Copyright (C) the nginx-async authors
 *
 * posix_spawn(), which neither copies the memory of the worker nor runs any of
 * its code in the child, so that locks of other threads do not matter.  It
 * waits for the exec, so it is called by a thread.
 *
 * What a child must not inherit: nginx's descriptors (listening sockets and
 * logs are not close-on-exec, since a binary upgrade needs them), the blocked
 * signals of pool threads, the ignored SIGPIPE of workers.
 */

#include <ngx_async_spawn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>


/* sources of the child's descriptors are kept out of the way of these */
#define NGX_ASYNC_SPAWN_FIRST  10


typedef struct {
    int                          child[3];
    int                          dir;
    posix_spawnattr_t            attr;
    posix_spawn_file_actions_t   actions;
} ngx_async_spawn_child_t;


static int ngx_async_spawn_pipes(ngx_async_spawn_t *s,
    ngx_async_spawn_child_t *c);
static int ngx_async_spawn_pipe(int *parent, int *child, ngx_uint_t input);
static int ngx_async_spawn_above(int fd);
static int ngx_async_spawn_run(ngx_async_spawn_t *s,
    ngx_async_spawn_child_t *c);
static int ngx_async_spawn_attr(ngx_async_spawn_child_t *c);
static int ngx_async_spawn_actions(ngx_async_spawn_t *s,
    ngx_async_spawn_child_t *c);


void
ngx_async_spawn_init(ngx_async_spawn_t *s)
{
    ngx_uint_t  i;

    ngx_memzero(s, sizeof(ngx_async_spawn_t));

    s->pid = -1;
    s->pidfd = -1;

    for (i = 0; i < 3; i++) {
        s->fd[i] = -1;
    }

    for (i = 0; i < NGX_ASYNC_SPAWN_GIVEN; i++) {
        s->given[i] = -1;
    }
}


void
ngx_async_spawn(ngx_async_spawn_t *s)
{
    ngx_uint_t               i;
    ngx_async_spawn_child_t  c;

    c.dir = -1;

    for (i = 0; i < 3; i++) {
        c.child[i] = -1;
    }

    s->err = ngx_async_spawn_pipes(s, &c);

    if (s->err == 0 && s->dir) {
        c.dir = open(s->dir, O_PATH|O_DIRECTORY|O_CLOEXEC);

        if (c.dir == -1) {
            s->err = errno;
            s->no_dir = 1;
        }
    }

    if (s->err == 0) {
        s->err = ngx_async_spawn_run(s, &c);
    }

    for (i = 0; i < 3; i++) {
        if (c.child[i] != -1) {
            (void) close(c.child[i]);
        }
    }

    if (c.dir != -1) {
        (void) close(c.dir);
    }

    if (s->pid == -1) {
        ngx_async_spawn_close(s);
        return;
    }

#ifdef SYS_pidfd_open

    /* a kernel before Linux 5.3 has none: the loop polls then */

    s->pidfd = (int) syscall(SYS_pidfd_open, s->pid, 0);

#endif
}


static int
ngx_async_spawn_pipes(ngx_async_spawn_t *s, ngx_async_spawn_child_t *c)
{
    int  err;

    if (s->input) {
        err = ngx_async_spawn_pipe(&s->fd[0], &c->child[0], 1);

    } else {
        c->child[0] = ngx_async_spawn_above(open("/dev/null",
                                                 O_RDONLY|O_CLOEXEC));
        err = (c->child[0] == -1) ? errno : 0;
    }

    if (err == 0 && !s->log) {
        err = ngx_async_spawn_pipe(&s->fd[1], &c->child[1], 0);
    }

    if (err == 0 && !s->merge) {
        err = ngx_async_spawn_pipe(&s->fd[2], &c->child[2], 0);
    }

    return err;
}


static int
ngx_async_spawn_pipe(int *parent, int *child, ngx_uint_t input)
{
    int  fd[2];

    if (pipe2(fd, O_CLOEXEC) == -1) {
        return errno;
    }

    *parent = fd[input ? 1 : 0];

    *child = ngx_async_spawn_above(fd[input ? 0 : 1]);

    if (*child == -1) {
        return errno;
    }

    /* of this end alone: the two have no flags in common */

    return (fcntl(*parent, F_SETFL, O_NONBLOCK) == -1) ? errno : 0;
}


/* Takes "fd", which may be -1. */

static int
ngx_async_spawn_above(int fd)
{
    int  above, err;

    if (fd == -1 || fd >= NGX_ASYNC_SPAWN_FIRST) {
        return fd;
    }

    above = fcntl(fd, F_DUPFD_CLOEXEC, NGX_ASYNC_SPAWN_FIRST);
    err = errno;

    (void) close(fd);
    errno = err;

    return above;
}


static int
ngx_async_spawn_run(ngx_async_spawn_t *s, ngx_async_spawn_child_t *c)
{
    int  err;

    if (posix_spawnattr_init(&c->attr) != 0) {
        return ENOMEM;
    }

    if (posix_spawn_file_actions_init(&c->actions) != 0) {
        (void) posix_spawnattr_destroy(&c->attr);
        return ENOMEM;
    }

    err = ngx_async_spawn_attr(c);

    if (err == 0) {
        err = ngx_async_spawn_actions(s, c);
    }

    if (err == 0) {
        err = posix_spawnp(&s->pid, s->file, &c->actions, &c->attr, s->argv,
                           s->env ? s->env : environ);
        if (err) {
            s->pid = -1;
        }
    }

    (void) posix_spawn_file_actions_destroy(&c->actions);
    (void) posix_spawnattr_destroy(&c->attr);

    return err;
}


static int
ngx_async_spawn_attr(ngx_async_spawn_child_t *c)
{
    int       err;
    sigset_t  none, all;

    (void) sigemptyset(&none);
    (void) sigfillset(&all);

    err = posix_spawnattr_setsigmask(&c->attr, &none);

    if (err == 0) {
        err = posix_spawnattr_setsigdefault(&c->attr, &all);
    }

    if (err == 0) {
        err = posix_spawnattr_setflags(&c->attr, POSIX_SPAWN_SETSIGMASK
                                                 |POSIX_SPAWN_SETSIGDEF
                                                 |POSIX_SPAWN_SETSID);
    }

    return err;
}


static int
ngx_async_spawn_actions(ngx_async_spawn_t *s, ngx_async_spawn_child_t *c)
{
    int  i, err, from[3 + NGX_ASYNC_SPAWN_GIVEN];

    from[0] = c->child[0];
    from[1] = s->log ? c->child[2] : c->child[1];
    from[2] = s->merge ? c->child[1] : c->child[2];

    for (i = 0; i < NGX_ASYNC_SPAWN_GIVEN; i++) {
        from[3 + i] = s->given[i];

        if (s->given[i] == -1) {
            continue;
        }

        s->given[i] = ngx_async_spawn_above(s->given[i]);

        if (s->given[i] == -1) {
            return errno;
        }

        from[3 + i] = s->given[i];
    }

    err = (c->dir == -1)
          ? 0 : posix_spawn_file_actions_addfchdir_np(&c->actions, c->dir);

    for (i = 0; i < 3 + NGX_ASYNC_SPAWN_GIVEN && err == 0; i++) {
        if (from[i] != -1) {
            err = posix_spawn_file_actions_adddup2(&c->actions, from[i], i);

        } else if (i >= 3) {
            /* whatever nginx has there; none is no error */
            err = posix_spawn_file_actions_addclose(&c->actions, i);
        }
    }

    if (err == 0) {
        err = posix_spawn_file_actions_addclosefrom_np(&c->actions, i);
    }

    return err;
}


void
ngx_async_spawn_close(ngx_async_spawn_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < 3; i++) {
        if (s->fd[i] != -1) {
            (void) close(s->fd[i]);
            s->fd[i] = -1;
        }
    }

    for (i = 0; i < NGX_ASYNC_SPAWN_GIVEN; i++) {
        if (s->given[i] != -1) {
            (void) close(s->given[i]);
            s->given[i] = -1;
        }
    }
}
