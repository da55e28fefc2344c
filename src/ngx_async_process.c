
/*
 * Copyright (C) the nginx-async authors
 *
 * Child processes on the loop, see ngx_async_process.h.  The pipes and the
 * pidfd are connections of nginx; events are edge-triggered, as nginx's thread
 * pools are had only with such.
 *
 * A pidfd only tells that there is something to see: status and reaping are
 * waitid()'s, by number, since workers leave SIGCHLD alone.
 */

#include <ngx_async_process.h>
#include <ngx_async_quit.h>
#include <sys/wait.h>


/* a read; so many, or writes, in a row before others have their turn */
#define NGX_ASYNC_PROCESS_CHUNK   16384
#define NGX_ASYNC_PROCESS_TURN    16

/* between two looks at a process, in ms, where there is no pidfd */
#define NGX_ASYNC_PROCESS_LOOK    10

/* how long one that was killed is waited for */
#define NGX_ASYNC_PROCESS_DEATH   1000


typedef struct {
    ngx_async_process_t  *process;
    ngx_async_spawn_t    *spawn;
    ngx_uint_t            failed;
} ngx_async_process_adopt_t;


static void ngx_async_process_connect_all(void *data);
static ngx_connection_t *ngx_async_process_connect(ngx_async_process_t *p,
    int *fd, ngx_event_handler_pt read, ngx_event_handler_pt write);
static void ngx_async_process_ignore(ngx_event_t *ev);
static void ngx_async_process_ended(ngx_event_t *ev);
static void ngx_async_process_timer(ngx_event_t *ev);
static void ngx_async_process_look(ngx_async_process_t *p);
static void ngx_async_process_readable(ngx_event_t *rev);
static void ngx_async_process_writable(ngx_event_t *wev);
static void ngx_async_process_drain(ngx_async_process_t *p,
    ngx_async_pipe_t *pipe);
static ssize_t ngx_async_process_room(ngx_async_process_t *p,
    ngx_async_pipe_t *pipe);
static void ngx_async_process_feed_on(ngx_async_process_t *p,
    ngx_async_pipe_t *pipe);
static ngx_async_pipe_t *ngx_async_process_pipe(ngx_event_t *ev);
static void ngx_async_process_wake_pipe(ngx_async_pipe_t *pipe);
static async_rc_t ngx_async_process_wait_pipe(ngx_async_task_t *t,
    ngx_async_pipe_t *pipe, ngx_msec_t timeout);
static void ngx_async_process_close(ngx_connection_t **c);
static void ngx_async_process_step(ngx_async_process_t *p);
static ngx_uint_t ngx_async_process_collected(ngx_async_process_t *p);
static void ngx_async_process_send(ngx_async_process_t *p, int signal);
static void ngx_async_process_free(ngx_async_process_t *p);


static const ngx_async_stats_field_t  ngx_async_process_fields[] = {
    { NGX_ASYNC_PROCESS_STARTED, "started", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Processes started" },
    { NGX_ASYNC_PROCESS_ALIVE, "alive", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Processes that have not been waited for" },
    { NGX_ASYNC_PROCESS_FAILED, "failed", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Processes that could not be started" },
    { NGX_ASYNC_PROCESS_KILLED, "killed", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Processes that nobody wanted any more" },
    { 0, NULL, 0, 0, NULL }
};

const ngx_async_stats_family_t  ngx_async_process_family = {
    "process", NULL, ngx_async_process_fields
};


/* of this worker */
ngx_async_stats_t              *ngx_async_process_stats
                                    = &ngx_async_stats_nowhere;
static ngx_queue_t              ngx_async_processes;

static const ngx_async_bound_t  ngx_async_process_bound =
    { "the end of a process that was killed", NULL, NGX_ASYNC_PROCESS_DEATH };


void
ngx_async_process_init(ngx_async_stats_set_t *stats)
{
    ngx_async_process_stats = ngx_async_stats_one(stats,
                                                  &ngx_async_process_family);
    ngx_queue_init(&ngx_async_processes);
}


void
ngx_async_process_exit(void)
{
    ngx_uint_t            i;
    ngx_queue_t          *q;
    ngx_async_process_t  *p;

    for (q = ngx_queue_head(&ngx_async_processes);
         q != ngx_queue_sentinel(&ngx_async_processes);
         q = ngx_queue_next(q))
    {
        p = ngx_queue_data(q, ngx_async_process_t, live);

        if (p->spawn) {
            /* the thread has, or may have, and the loop has not seen it */
            p->pid = p->spawn->pid;
        }

        ngx_async_process_send(p, SIGKILL);

        for (i = 0; i < 3; i++) {
            ngx_async_process_close_pipe(p, i);
        }

        ngx_async_process_close(&p->end);

        if (p->timer.timer_set) {
            ngx_del_timer(&p->timer);
        }
    }
}


ngx_async_process_t *
ngx_async_process_new(ngx_async_spawn_t *s, ngx_log_t *log)
{
    ngx_async_process_t  *p;

    p = ngx_calloc(sizeof(ngx_async_process_t), log);

    if (p) {
        p->spawn = s;
        p->pid = -1;
        p->status = -1;
        p->timer.handler = ngx_async_process_timer;
        p->timer.data = p;
        p->timer.log = ngx_cycle->log;

        /* who waits keeps the worker, or an orphan does */
        p->timer.cancelable = 1;

        ngx_queue_insert_tail(&ngx_async_processes, &p->live);
    }

    return p;
}


/* nginx may close connections that rest, to have some. */

ngx_int_t
ngx_async_process_adopt(ngx_async_process_t *p, ngx_async_spawn_t *s)
{
    ngx_async_process_adopt_t  adopt = { p, s, 0 };

    ngx_async_on_loop(ngx_async_process_connect_all, &adopt);

    if (adopt.failed) {
        ngx_async_process_release(p);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_async_process_connect_all(void *data)
{
    ngx_async_process_adopt_t  *adopt = data;

    ngx_uint_t            i;
    ngx_async_spawn_t    *s;
    ngx_async_process_t  *p;

    s = adopt->spawn;
    p = adopt->process;
    p->pid = s->pid;
    p->spawn = NULL;

    ngx_async_stats_count(ngx_async_process_stats, NGX_ASYNC_PROCESS_STARTED);
    ngx_async_stats_count(ngx_async_process_stats, NGX_ASYNC_PROCESS_ALIVE);

    for (i = 0; i < 3; i++) {
        if (s->fd[i] != -1) {
            p->pipe[i].connection = ngx_async_process_connect(p, &s->fd[i],
                                        ngx_async_process_readable,
                                        ngx_async_process_writable);
            adopt->failed |= (p->pipe[i].connection == NULL);
        }
    }

    if (s->pidfd != -1) {
        p->end = ngx_async_process_connect(p, &s->pidfd,
                                           ngx_async_process_ended,
                                           ngx_async_process_ignore);

        if (p->end && ngx_handle_read_event(p->end->read, 0) != NGX_OK) {
            ngx_async_process_close(&p->end);
        }
    }

    if (p->end == NULL) {
        ngx_add_timer(&p->timer, NGX_ASYNC_PROCESS_LOOK);
    }
}


/* Takes *fd, also if it fails. */

static ngx_connection_t *
ngx_async_process_connect(ngx_async_process_t *p, int *fd,
    ngx_event_handler_pt read, ngx_event_handler_pt write)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(*fd, ngx_cycle->log);

    if (c == NULL) {
        (void) close(*fd);
        *fd = -1;
        return NULL;
    }

    *fd = -1;

    c->data = p;
    c->log = ngx_cycle->log;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->read->handler = read;
    c->write->handler = write;

    return c;
}


static void
ngx_async_process_ignore(ngx_event_t *ev)
{
}


static void
ngx_async_process_ended(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    ngx_async_process_look(c->data);
}


static void
ngx_async_process_timer(ngx_event_t *ev)
{
    ngx_async_process_t  *p;

    p = ev->data;

    if (p->end) {
        /* its grace is over */
        ngx_async_process_send(p, SIGKILL);
        return;
    }

    if (p->killed && p->grace <= NGX_ASYNC_PROCESS_LOOK) {
        ngx_async_process_send(p, SIGKILL);

    } else if (p->killed) {
        p->grace -= NGX_ASYNC_PROCESS_LOOK;
    }

    ngx_add_timer(ev, NGX_ASYNC_PROCESS_LOOK);

    ngx_async_process_look(p);
}


/* It stays a zombie. */

static void
ngx_async_process_look(ngx_async_process_t *p)
{
    int        rc;
    siginfo_t  info;

    ngx_memzero(&info, sizeof(siginfo_t));

    do {
        rc = waitid(P_PID, (id_t) p->pid, &info, WEXITED|WNOHANG|WNOWAIT);
    } while (rc == -1 && errno == EINTR);

    if (rc == 0 && info.si_pid == 0) {
        return;
    }

    if (rc == -1) {
        /* a wait() for any process, in a thread of an app */
        p->lost = 1;
        p->status = -1;

    } else if (info.si_code == CLD_EXITED) {
        p->status = info.si_status;

    } else {
        p->status = -1;
        p->signal = info.si_status;
    }

    p->ended = 1;

    ngx_async_process_close(&p->end);

    if (p->timer.timer_set) {
        ngx_del_timer(&p->timer);
    }

    if (p->killed) {
        /* those that it has left behind */
        ngx_async_process_send(p, SIGKILL);
    }

    if (p->orphan) {
        ngx_async_process_free(p);
        return;
    }

    ngx_async_process_step(p);
}


void
ngx_async_process_collect(ngx_async_process_t *p, ngx_uint_t i,
    ngx_async_pipe_mode_e mode, size_t max)
{
    ngx_async_pipe_t  *pipe;

    pipe = &p->pipe[i];
    pipe->mode = mode;
    pipe->max = max;

    if (pipe->connection) {
        ngx_async_process_drain(p, pipe);
    }
}


void
ngx_async_process_feed(ngx_async_process_t *p, const char *data, size_t len)
{
    ngx_async_pipe_t  *pipe;

    pipe = &p->pipe[NGX_ASYNC_PROCESS_INPUT];
    pipe->mode = NGX_ASYNC_PIPE_FEED;
    pipe->data = (u_char *) data;
    pipe->len = len;

    if (pipe->connection) {
        ngx_async_process_feed_on(p, pipe);
    }
}


static void
ngx_async_process_readable(ngx_event_t *rev)
{
    ngx_connection_t     *c;
    ngx_async_pipe_t     *pipe;
    ngx_async_process_t  *p;

    c = rev->data;
    p = c->data;
    pipe = ngx_async_process_pipe(rev);

    if (pipe->mode == NGX_ASYNC_PIPE_BY_TASK) {
        ngx_async_process_wake_pipe(pipe);
        return;
    }

    if (pipe->mode != NGX_ASYNC_PIPE_FEED) {
        ngx_async_process_drain(p, pipe);
    }
}


static void
ngx_async_process_writable(ngx_event_t *wev)
{
    ngx_connection_t     *c;
    ngx_async_pipe_t     *pipe;
    ngx_async_process_t  *p;

    c = wev->data;
    p = c->data;
    pipe = ngx_async_process_pipe(wev);

    if (pipe->mode == NGX_ASYNC_PIPE_FEED) {
        ngx_async_process_feed_on(p, pipe);
        return;
    }

    ngx_async_process_wake_pipe(pipe);
}


static ngx_async_pipe_t *
ngx_async_process_pipe(ngx_event_t *ev)
{
    ngx_uint_t            i;
    ngx_connection_t     *c;
    ngx_async_process_t  *p;

    c = ev->data;
    p = c->data;

    for (i = 0; p->pipe[i].connection != c; i++) {
        /* void */
    }

    return &p->pipe[i];
}


static void
ngx_async_process_wake_pipe(ngx_async_pipe_t *pipe)
{
    if (pipe->waits) {
        (void) ngx_async_wake(&pipe->waker, ASYNC_OK);
    }
}


/* Reads what there is, without a task. */

static void
ngx_async_process_drain(ngx_async_process_t *p, ngx_async_pipe_t *pipe)
{
    u_char            *buf;
    ssize_t            n, room;
    ngx_int_t          turn;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    static u_char  dropped[NGX_ASYNC_PROCESS_CHUNK];

    c = pipe->connection;
    rev = c->read;

    for (turn = 0; turn < NGX_ASYNC_PROCESS_TURN; /* void */ ) {

        room = ngx_async_process_room(p, pipe);

        if (room < 0) {
            ngx_async_process_kill(p);
            ngx_async_process_close(&pipe->connection);
            ngx_async_process_step(p);
            return;
        }

        buf = room ? pipe->data + pipe->len : dropped;

        n = read(c->fd, buf, room ? (size_t) room : sizeof(dropped));

        if (n > 0) {

            if (room) {
                pipe->len += n;

            } else if (pipe->mode == NGX_ASYNC_PIPE_COLLECT) {
                /* before it is told by its pipe, and ends in another way */
                ngx_async_process_kill(p);

                p->overflow = 1;
                n = 0;
            }

            turn++;
        }

        if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR)) {
            ngx_async_process_close(&pipe->connection);
            ngx_async_process_step(p);
            return;
        }

        if (n == -1 && errno == EAGAIN) {
            rev->ready = 0;

            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_async_process_close(&pipe->connection);
                ngx_async_process_step(p);
            }

            return;
        }
    }

    /* others have their turn */

    ngx_post_event(rev, &ngx_posted_next_events);
}


/* How much may be read behind what there is; -1: no memory. */

static ssize_t
ngx_async_process_room(ngx_async_process_t *p, ngx_async_pipe_t *pipe)
{
    size_t   size;
    u_char  *data;

    if (pipe->len == pipe->max) {
        return 0;
    }

    if (pipe->len == pipe->size) {

        size = ngx_max(2 * pipe->size, NGX_ASYNC_PROCESS_CHUNK);
        size = ngx_min(size, pipe->max);

        data = realloc(pipe->data, size + 1);

        if (data == NULL) {
            p->no_memory = 1;
            return -1;
        }

        pipe->data = data;
        pipe->size = size;
    }

    return (ssize_t) (pipe->size - pipe->len);
}


static void
ngx_async_process_feed_on(ngx_async_process_t *p, ngx_async_pipe_t *pipe)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = pipe->connection;

    while (pipe->len) {

        n = write(c->fd, pipe->data, pipe->len);

        if (n > 0) {
            pipe->data += n;
            pipe->len -= n;

        } else if (errno == EAGAIN) {
            c->write->ready = 0;

            if (ngx_handle_write_event(c->write, 0) == NGX_OK) {
                return;
            }

            break;

        } else if (errno != EINTR) {
            /* it does not want to know more */
            break;
        }
    }

    ngx_async_process_close(&pipe->connection);
}


ssize_t
ngx_async_process_io(ngx_async_task_t *t, ngx_async_process_t *p,
    ngx_uint_t i, void *buf, size_t size, async_rc_t *rc)
{
    ssize_t            n;
    ngx_int_t          armed;
    ngx_event_t       *ev;
    ngx_async_pipe_t  *pipe;

    pipe = &p->pipe[i];
    *rc = ASYNC_OK;

    for ( ;; ) {

        if (pipe->turn == NGX_ASYNC_PROCESS_TURN) {
            *rc = ngx_async_process_wait_pipe(t, pipe, 0);

            if (*rc != ASYNC_OK) {
                return -1;
            }
        }

        if (pipe->connection == NULL) {
            errno = EPIPE;
            return (i == NGX_ASYNC_PROCESS_INPUT) ? -1 : 0;
        }

        n = (i == NGX_ASYNC_PROCESS_INPUT)
            ? write(pipe->connection->fd, buf, size)
            : read(pipe->connection->fd, buf, size);

        pipe->turn++;

        if (n != -1 || (errno != EAGAIN && errno != EINTR)) {
            return n;
        }

        if (errno == EINTR) {
            continue;
        }

        ev = (i == NGX_ASYNC_PROCESS_INPUT) ? pipe->connection->write
                                            : pipe->connection->read;
        ev->ready = 0;

        armed = (i == NGX_ASYNC_PROCESS_INPUT) ? ngx_handle_write_event(ev, 0)
                                               : ngx_handle_read_event(ev, 0);
        if (armed != NGX_OK) {
            errno = EIO;
            return -1;
        }

        *rc = ngx_async_process_wait_pipe(t, pipe, NGX_ASYNC_FOREVER);

        if (*rc != ASYNC_OK) {
            return -1;
        }
    }
}


static async_rc_t
ngx_async_process_wait_pipe(ngx_async_task_t *t, ngx_async_pipe_t *pipe,
    ngx_msec_t timeout)
{
    ngx_int_t  rc;

    pipe->waker = ngx_async_waker(t);
    pipe->waits = 1;

    rc = ngx_async_wait(t, timeout);

    pipe->waits = 0;
    pipe->turn = 0;

    return (rc == NGX_ASYNC_ELAPSED) ? ASYNC_OK : rc;
}


void
ngx_async_process_close_pipe(ngx_async_process_t *p, ngx_uint_t i)
{
    ngx_async_process_close(&p->pipe[i].connection);
    ngx_async_process_wake_pipe(&p->pipe[i]);
}


static void
ngx_async_process_close(ngx_connection_t **c)
{
    if (*c) {
        ngx_close_connection(*c);
        *c = NULL;
    }
}


ngx_int_t
ngx_async_process_wait(ngx_async_task_t *t, ngx_async_process_t *p,
    ngx_uint_t collected)
{
    ngx_int_t  rc;

    for ( ;; ) {

        if (p->ended && (!collected || ngx_async_process_collected(p))) {
            return ASYNC_OK;
        }

        if (collected && (p->overflow || p->no_memory)) {
            return ASYNC_OK;
        }

        p->waker = ngx_async_waker(t);
        p->waits = 1;

        rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);

        p->waits = 0;

        if (rc != ASYNC_OK) {
            return rc;
        }
    }
}


static void
ngx_async_process_step(ngx_async_process_t *p)
{
    if (p->waits) {
        (void) ngx_async_wake(&p->waker, ASYNC_OK);
    }
}


static ngx_uint_t
ngx_async_process_collected(ngx_async_process_t *p)
{
    return p->pipe[NGX_ASYNC_PROCESS_OUTPUT].connection == NULL
           && p->pipe[NGX_ASYNC_PROCESS_ERRORS].connection == NULL;
}


int
ngx_async_process_signal(ngx_async_process_t *p, int signal)
{
    if (p->ended) {
        return ESRCH;
    }

    return (kill(-p->pid, signal) == -1) ? errno : 0;
}


void
ngx_async_process_kill(ngx_async_process_t *p)
{
    if (p->killed) {
        return;
    }

    p->killed = 1;

    if (!p->ended) {
        ngx_async_stats_count(ngx_async_process_stats,
                              NGX_ASYNC_PROCESS_KILLED);
    }

    if (p->ended || p->grace == 0) {
        ngx_async_process_send(p, SIGKILL);
        return;
    }

    ngx_async_process_send(p, SIGTERM);

    if (p->end) {
        ngx_add_timer(&p->timer, p->grace);
    }
}


/* The number is its own as long as nobody else has reaped it. */

static void
ngx_async_process_send(ngx_async_process_t *p, int signal)
{
    if (p->pid != -1 && !p->lost) {
        (void) kill(-p->pid, signal);
    }
}


void
ngx_async_process_end(ngx_async_task_t *t, ngx_async_process_t *p)
{
    ngx_async_shield_t  shield;

    ngx_async_process_kill(p);

    if (p->ended) {
        return;
    }

    ngx_async_shield(t, &shield, p->grace + NGX_ASYNC_PROCESS_DEATH,
                     &ngx_async_process_bound);

    (void) ngx_async_process_wait(t, p, 0);

    ngx_async_unshield(t);
}


void
ngx_async_process_release(ngx_async_process_t *p)
{
    ngx_uint_t  i;

    for (i = 0; i < 3; i++) {
        ngx_async_process_close_pipe(p, i);
    }

    if (p->ended || p->pid == -1) {
        ngx_async_process_free(p);
        return;
    }

    /* until "async_shutdown_timeout" at most */

    p->orphan = 1;
    ngx_async_hold();

    ngx_async_process_kill(p);
}


static void
ngx_async_process_free(ngx_async_process_t *p)
{
    siginfo_t  info;

    if (p->pid != -1 && !p->lost) {
        (void) waitid(P_PID, (id_t) p->pid, &info, WEXITED|WNOHANG);
    }

    if (p->orphan) {
        ngx_async_release();
    }

    if (p->pid != -1) {
        ngx_async_stats_less(ngx_async_process_stats,
                             NGX_ASYNC_PROCESS_ALIVE);
    }

    ngx_queue_remove(&p->live);

    free(p->pipe[NGX_ASYNC_PROCESS_OUTPUT].data);
    free(p->pipe[NGX_ASYNC_PROCESS_ERRORS].data);
    ngx_free(p);
}
