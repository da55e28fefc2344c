
/*
 * Copyright (C) the nginx-async authors
 *
 * Shutdown.  nginx has no hook for the start of a graceful one, but it tells
 * each idle connection; so the worker has one that is always idle.  From then
 * on a guard timer keeps the worker alive while tasks live and threads run,
 * since nginx exits as soon as no timer is left, and bounds that.
 *
 * Nor does nginx tell a worker why it is to go.  But at a reload the master
 * destroys the pool of the old cycle before it tells the workers of that, and
 * at its own end after they have gone; so a cleanup of the pool tells them, in
 * memory of the cycle's, also when the module's own file has been replaced.
 */

#include <ngx_async_quit.h>
#include <sys/eventfd.h>


/* what tasks have after their cancel, without the time of cleanups */
#define NGX_ASYNC_LAST_CALL  1000

/*
 * A fast exit.  The master kills its workers 3.15 s after it has been told to
 * stop, and from 1.55 s on as soon as another of its processes ends: it waits
 * 50 ms, then twice as long each time, and kills when that is over a second, at
 * any signal (ngx_master_process_cycle()).  _leave() and _linger() take three
 * of these together.
 */
#define NGX_ASYNC_FAST       500

/* who wants to know that it begins */
#define NGX_ASYNC_QUIT_HANDLERS  8


typedef enum {
    NGX_ASYNC_SERVING = 0,
    NGX_ASYNC_DRAINING,        /* tasks and threads are waited for */
    NGX_ASYNC_LAST,            /* tasks have been cancelled */
    NGX_ASYNC_GIVEN_UP         /* nothing is waited for any more */
} ngx_async_quit_e;


typedef struct {
    ngx_async_quit_e           state;
    ngx_connection_t          *connection;
    ngx_event_t                guard;
    ngx_event_t                turn;
    ngx_uint_t                 nheld;
    ngx_msec_t                 shutdown_timeout;
    ngx_msec_t                 cleanup_timeout;
    ngx_msec_t                 bound;
    ngx_atomic_t              *replaced;
    void                     (*on_quit[NGX_ASYNC_QUIT_HANDLERS])(void);
    ngx_uint_t                 non_quit;
    void                     (*on_give_up)(ngx_log_t *log);
} ngx_async_quit_t;


static void ngx_async_quit_conf_cleanup(void *data);
static ngx_uint_t ngx_async_quit_upgraded(void);
static void ngx_async_quit_handler(ngx_event_t *ev);
static void ngx_async_guard(void);
static void ngx_async_guard_handler(ngx_event_t *ev);
static void ngx_async_give_up(ngx_log_t *log);
static void ngx_async_give_up_task(ngx_async_task_t *t, void *data);
static void ngx_async_cancel_all(void);
static void ngx_async_cancel_task(ngx_async_task_t *t, void *data);
static void ngx_async_turn(ngx_cycle_t *cycle, ngx_uint_t *pending,
    ngx_msec_t timeout);
static void ngx_async_linger_handler(ngx_event_t *ev);


ngx_uint_t                ngx_async_quitting;
ngx_uint_t                ngx_async_left;

static ngx_async_quit_t   ngx_async_quit;

/* nginx's debug log reads ev->data as a connection */
static ngx_connection_t   ngx_async_quit_no_connection;


ngx_atomic_t *
ngx_async_quit_conf(ngx_conf_t *cf)
{
    ngx_shm_t           *shm;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->cycle->pool, sizeof(ngx_shm_t));
    if (cln == NULL) {
        return NULL;
    }

    shm = cln->data;

    ngx_memzero(shm, sizeof(ngx_shm_t));

    ngx_str_set(&shm->name, "async_replaced");
    shm->size = ngx_pagesize;
    shm->log = cf->cycle->log;

    if (ngx_shm_alloc(shm) != NGX_OK) {
        return NULL;
    }

    cln->handler = ngx_async_quit_conf_cleanup;

    return (ngx_atomic_t *) shm->addr;
}


static void
ngx_async_quit_conf_cleanup(void *data)
{
    ngx_shm_t  *shm = data;

    if (ngx_process == NGX_PROCESS_MASTER) {
        *(ngx_atomic_t *) shm->addr = 1;
    }

    ngx_shm_free(shm);
}


ngx_uint_t
ngx_async_replaced(void)
{
    return *ngx_async_quit.replaced || ngx_async_quit_upgraded();
}


/*
 * A master that has started another binary moves its file of the process id
 * away, and takes it back when that binary fails.
 */

static ngx_uint_t
ngx_async_quit_upgraded(void)
{
    int               fd;
    u_char            pid[NGX_INT64_LEN + 1];
    ssize_t           n;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    fd = open((char *) ccf->oldpid.data, O_RDONLY|O_CLOEXEC|O_NONBLOCK);
    if (fd == -1) {
        return 0;
    }

    n = read(fd, pid, sizeof(pid));

    (void) close(fd);

    while (n > 0 && (pid[n - 1] == LF || pid[n - 1] == CR)) {
        n--;
    }

    return n > 0 && ngx_atoi(pid, n) == (ngx_int_t) getppid();
}


ngx_int_t
ngx_async_quit_init(ngx_cycle_t *cycle, ngx_async_conf_t *conf)
{
    int                fd;
    ngx_connection_t  *c;

    ngx_memzero(&ngx_async_quit, sizeof(ngx_async_quit_t));

    ngx_async_quit_no_connection.fd = (ngx_socket_t) -1;

    ngx_async_quit.guard.handler = ngx_async_guard_handler;
    ngx_async_quit.guard.data = &ngx_async_quit_no_connection;
    ngx_async_quit.guard.log = cycle->log;

    ngx_async_quit.turn = ngx_async_quit.guard;
    ngx_async_quit.turn.handler = ngx_async_linger_handler;

    ngx_async_quit.shutdown_timeout = conf->shutdown_timeout;
    ngx_async_quit.cleanup_timeout = conf->cleanup_timeout;
    ngx_async_quit.replaced = conf->replaced;

    fd = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);
    if (fd == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "eventfd() failed");
        return NGX_ERROR;
    }

    c = ngx_get_connection(fd, cycle->log);
    if (c == NULL) {
        (void) close(fd);
        return NGX_ERROR;
    }

    c->idle = 1;
    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->handler = ngx_async_quit_handler;

    ngx_async_quit.connection = c;

    return NGX_OK;
}


static void
ngx_async_quit_handler(ngx_event_t *ev)
{
    ngx_uint_t         i;
    ngx_connection_t  *c;

    c = ev->data;

    if (!c->close) {
        return;
    }

    ngx_async_quitting = 1;
    ngx_async_quit.state = NGX_ASYNC_DRAINING;
    ngx_async_quit.bound = ngx_current_msec + ngx_async_quit.shutdown_timeout;

    ngx_async_quit_exit();

    for (i = 0; i < ngx_async_quit.non_quit; i++) {
        ngx_async_quit.on_quit[i]();
    }

    /* whoever has been woken runs before the loop waits for events */
    ngx_post_event(&ngx_async_quit.turn, &ngx_posted_next_events);

    if (ngx_async_ntasks + ngx_async_quit.nheld) {
        ngx_async_guard();
    }
}


void
ngx_async_quit_begun(ngx_async_task_t *t)
{
    if (ngx_async_quit.state == NGX_ASYNC_GIVEN_UP) {
        t->timer.cancelable = 1;
        return;
    }

    ngx_async_guard();
}


void
ngx_async_quit_ended(void)
{
    if (ngx_async_ntasks + ngx_async_quit.nheld == 0
        && ngx_async_quit.guard.timer_set)
    {
        ngx_del_timer(&ngx_async_quit.guard);
    }
}


void
ngx_async_hold(void)
{
    ngx_async_quit.nheld++;

    if (ngx_async_quitting && ngx_async_quit.state != NGX_ASYNC_GIVEN_UP) {
        ngx_async_guard();
    }
}


void
ngx_async_release(void)
{
    ngx_async_quit.nheld--;

    if (ngx_async_quitting) {
        ngx_async_quit_ended();
    }
}


void
ngx_async_on_quit(void (*handler)(void))
{
    if (ngx_async_quit.non_quit == NGX_ASYNC_QUIT_HANDLERS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "async: too many handlers of the shutdown");
        return;
    }

    ngx_async_quit.on_quit[ngx_async_quit.non_quit++] = handler;
}


void
ngx_async_on_give_up(void (*handler)(ngx_log_t *log))
{
    ngx_async_quit.on_give_up = handler;
}


static void
ngx_async_guard(void)
{
    ngx_msec_int_t  left;

    if (ngx_async_quit.guard.timer_set) {
        return;
    }

    left = (ngx_msec_int_t) (ngx_async_quit.bound - ngx_current_msec);

    ngx_add_timer(&ngx_async_quit.guard, (ngx_msec_t) ngx_max(left, 0));
}


/*
 * At the bound every task is cancelled; those that have not ended soon after
 * are named and left to the end of the process.
 */

static void
ngx_async_guard_handler(ngx_event_t *ev)
{
    if (ngx_async_quit.state == NGX_ASYNC_LAST || ngx_async_ntasks == 0) {
        ngx_async_give_up(ev->log);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                  "async: %ui tasks are cancelled after "
                  "\"async_shutdown_timeout\"", ngx_async_ntasks);

    ngx_async_quit.state = NGX_ASYNC_LAST;
    ngx_async_quit.bound = ngx_current_msec + NGX_ASYNC_LAST_CALL;

    if (ngx_async_ndefers) {
        ngx_async_quit.bound += ngx_async_quit.cleanup_timeout;
    }

    ngx_async_guard();

    ngx_async_cancel_all();
}


static void
ngx_async_give_up(ngx_log_t *log)
{
    ngx_async_quit.state = NGX_ASYNC_GIVEN_UP;

    if (ngx_async_quit.on_give_up) {
        ngx_async_quit.on_give_up(log);
    }

    ngx_async_each(ngx_async_give_up_task, log);
}


static void
ngx_async_give_up_task(ngx_async_task_t *t, void *data)
{
    ngx_log_t  *log = data;

    t->timer.cancelable = 1;

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "async \"%s\" does not end after it has been "
                  "cancelled, in %s at %s", t->profile->name,
                  t->await ? t->await : "no await", t->site ? t->site : "-");
}


static void
ngx_async_cancel_all(void)
{
    ngx_async_each(ngx_async_cancel_task, NULL);
}


static void
ngx_async_cancel_task(ngx_async_task_t *t, void *data)
{
    /* a child by its parent, which may shield it */

    if (t->parent == NULL) {
        ngx_async_task_cancel(t, NGX_ASYNC_SHUTDOWN);
    }
}


void
ngx_async_leave(ngx_cycle_t *cycle)
{
    if (!ngx_async_quitting) {
        /* a fast exit: no request that comes now is to be taken */

        ngx_async_quit.bound = ngx_current_msec;

        if (ngx_process == NGX_PROCESS_WORKER) {
            /* a single process closes them itself, and would miss them */
            ngx_close_listening_sockets(cycle);
        }
    }

    ngx_async_quitting = 1;
    ngx_async_left = 1;
    ngx_async_quit.state = NGX_ASYNC_GIVEN_UP;

    if (ngx_async_quit.guard.timer_set) {
        ngx_del_timer(&ngx_async_quit.guard);
    }

    /* and those that there are have a moment to end */

    ngx_async_cancel_all();
    ngx_async_turn(cycle, &ngx_async_ntasks, NGX_ASYNC_FAST / 2);
    ngx_async_turn(cycle, &ngx_async_ndefers, NGX_ASYNC_FAST / 2);
}


ngx_msec_t
ngx_async_time_left(void)
{
    ngx_msec_int_t  left;

    if (ngx_terminate) {
        return NGX_ASYNC_FAST;
    }

    left = (ngx_msec_int_t) (ngx_async_quit.bound - ngx_current_msec);

    return ngx_max(left, NGX_ASYNC_LAST_CALL);
}


void
ngx_async_linger(ngx_cycle_t *cycle, ngx_uint_t *pending, ngx_msec_t timeout)
{
    ngx_async_turn(cycle, pending, timeout);

    if (*pending) {
        ngx_async_cancel_all();
        ngx_async_turn(cycle, pending, NGX_ASYNC_FAST);
    }
}


/*
 * nginx exits when no timer is left: the loop is turned from here, where that
 * does not matter.
 */

static void
ngx_async_turn(ngx_cycle_t *cycle, ngx_uint_t *pending, ngx_msec_t timeout)
{
    ngx_uint_t   fast;
    ngx_event_t  timer;

    ngx_memzero(&timer, sizeof(ngx_event_t));

    timer.handler = ngx_async_linger_handler;
    timer.data = &ngx_async_quit_no_connection;
    timer.log = cycle->log;

    fast = ngx_terminate;

    ngx_add_timer(&timer, timeout);

    /* of whoever has been woken, or a wait for events would come first */
    ngx_event_process_posted(cycle, &ngx_posted_events);

    while (*pending && timer.timer_set) {
        ngx_process_events_and_timers(cycle);

        if (ngx_terminate && !fast && timer.timer_set) {
            /* in the middle of a graceful one */
            fast = 1;
            ngx_del_timer(&timer);
            ngx_add_timer(&timer, NGX_ASYNC_FAST);
        }
    }

    if (timer.timer_set) {
        ngx_del_timer(&timer);
    }
}


/* The timer is no longer set, or the loop turns: that is all there is to it. */

static void
ngx_async_linger_handler(ngx_event_t *ev)
{
    ev->timedout = 0;
}


void
ngx_async_quit_exit(void)
{
    if (ngx_async_quit.connection) {
        ngx_close_connection(ngx_async_quit.connection);
        ngx_async_quit.connection = NULL;
    }
}
