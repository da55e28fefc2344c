
/*
 * Copyright (C) the nginx-async authors
 *
 * Child processes on the loop: their pipes, their end, and their reaping.
 *
 * A process that has ended stays a zombie, and so its number stays its own,
 * until ngx_async_process_release(): only then no signal can hit another one.
 */

#ifndef _NGX_ASYNC_PROCESS_H_INCLUDED_
#define _NGX_ASYNC_PROCESS_H_INCLUDED_


#include <ngx_async_task.h>
#include <ngx_async_spawn.h>


/* indices of ngx_async_process_t's pipes: descriptors of the child */
#define NGX_ASYNC_PROCESS_INPUT   0
#define NGX_ASYNC_PROCESS_OUTPUT  1
#define NGX_ASYNC_PROCESS_ERRORS  2


/* the values of all of them, ngx_async_process_family */

enum {
    NGX_ASYNC_PROCESS_STARTED = 0,
    NGX_ASYNC_PROCESS_ALIVE,
    NGX_ASYNC_PROCESS_FAILED,
    NGX_ASYNC_PROCESS_KILLED
};

extern const ngx_async_stats_family_t  ngx_async_process_family;
extern ngx_async_stats_t              *ngx_async_process_stats;


typedef enum {
    NGX_ASYNC_PIPE_BY_TASK = 0,   /* read or written by awaits */
    NGX_ASYNC_PIPE_COLLECT,       /* more than "max" fails */
    NGX_ASYNC_PIPE_CUT,           /* more than "max" is dropped */
    NGX_ASYNC_PIPE_FEED
} ngx_async_pipe_mode_e;


typedef struct {
    ngx_connection_t         *connection;     /* NULL: closed */
    ngx_async_pipe_mode_e     mode;

    /* an await of NGX_ASYNC_PIPE_BY_TASK; those that did not suspend */
    ngx_async_waker_t         waker;
    ngx_uint_t                waits;
    ngx_uint_t                turn;

    /* collected, of malloc(), with room for a zero; or what is to be fed */
    u_char                   *data;
    size_t                    len;
    size_t                    size;
    size_t                    max;
} ngx_async_pipe_t;


typedef struct {
    ngx_queue_t               live;
    ngx_async_spawn_t        *spawn;          /* until it is adopted */
    pid_t                     pid;
    ngx_connection_t         *end;            /* of the pidfd */
    ngx_async_pipe_t          pipe[3];
    ngx_event_t               timer;          /* kills; or looks, without end */
    ngx_msec_t                grace;

    /* the await of its end */
    ngx_async_waker_t         waker;
    ngx_uint_t                waits;

    int                       status;         /* -1: by the signal */
    int                       signal;

    unsigned                  ended:1;
    unsigned                  lost:1;         /* its status was taken */
    unsigned                  killed:1;
    unsigned                  orphan:1;
    unsigned                  overflow:1;     /* of NGX_ASYNC_PIPE_COLLECT */
    unsigned                  no_memory:1;
} ngx_async_process_t;


void ngx_async_process_init(ngx_async_stats_set_t *stats);

/* When the worker exits: kills all. */
void ngx_async_process_exit(void);

/* One to be spawned, so that nothing can be missing once it has been. */
ngx_async_process_t *ngx_async_process_new(ngx_async_spawn_t *s,
    ngx_log_t *log);

/*
 * Takes over what has been spawned.  NGX_ERROR: nginx has no connections for
 * it; then it is killed, and all of it will go by itself.
 */
ngx_int_t ngx_async_process_adopt(ngx_async_process_t *p,
    ngx_async_spawn_t *s);

/* From now on; what is fed is borrowed until the pipe is closed. */
void ngx_async_process_collect(ngx_async_process_t *p, ngx_uint_t i,
    ngx_async_pipe_mode_e mode, size_t max);
void ngx_async_process_feed(ngx_async_process_t *p, const char *data,
    size_t len);

/*
 * Suspends until it has ended and, if that is asked for, all that is collected
 * has come; or until that fails, which overflow and no_memory say.
 */
ngx_int_t ngx_async_process_wait(ngx_async_task_t *t, ngx_async_process_t *p,
    ngx_uint_t collected);

/*
 * One read() or write() of NGX_ASYNC_PIPE_BY_TASK, awaited; of a pipe that is
 * closed, 0 or EPIPE.  -1: errno says why if *rc is ASYNC_OK, else the wait has
 * ended with that.
 */
ssize_t ngx_async_process_io(ngx_async_task_t *t, ngx_async_process_t *p,
    ngx_uint_t i, void *buf, size_t size, async_rc_t *rc);

void ngx_async_process_close_pipe(ngx_async_process_t *p, ngx_uint_t i);

/* kill() of its process group; zero or errno, ESRCH: it has ended. */
int ngx_async_process_signal(ngx_async_process_t *p, int signal);

/* Its process group: SIGTERM and, after p->grace, SIGKILL; or that at once. */
void ngx_async_process_kill(ngx_async_process_t *p);

/*
 * Kills, and suspends until it has ended, shielded, but not longer than a
 * second after its grace.
 */
void ngx_async_process_end(ngx_async_task_t *t, ngx_async_process_t *p);

/* Lets go of it.  One that runs is killed, and reaped when it has ended. */
void ngx_async_process_release(ngx_async_process_t *p);


#endif /* _NGX_ASYNC_PROCESS_H_INCLUDED_ */
