
/*
 * Copyright (C) the nginx-async authors
 *
 * The letter box of a worker: a stack that threads push to without a lock and
 * that the loop takes as a whole, and an eventfd that wakes the loop.  nginx's
 * own ngx_notify() has room for one handler, which its thread pools use.
 */

#include <ngx_async_mail.h>
#include <sys/eventfd.h>


static void ngx_async_mail_handler(ngx_event_t *ev);


static ngx_async_mail_t  *ngx_async_mail_box;
static ngx_connection_t  *ngx_async_mail_connection;
static int                ngx_async_mail_fd = -1;


ngx_int_t
ngx_async_mail_init(ngx_cycle_t *cycle)
{
    int                fd;
    ngx_connection_t  *c;

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

    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->handler = ngx_async_mail_handler;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    ngx_async_mail_connection = c;
    ngx_async_mail_fd = fd;

    return NGX_OK;
}


/*
 * Threads may still post: nobody reads that, and nobody waits for it.  So the
 * eventfd stays open as long as the process, lest they write elsewhere.
 */

void
ngx_async_mail_exit(void)
{
    ngx_connection_t  *c;

    c = ngx_async_mail_connection;

    if (c == NULL) {
        return;
    }

    ngx_async_mail_connection = NULL;

    (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}


void
ngx_async_mail_post(ngx_async_mail_t *m)
{
    uint64_t           one;
    ngx_async_mail_t  *head;

    head = __atomic_load_n(&ngx_async_mail_box, __ATOMIC_RELAXED);

    do {
        m->next = head;

    } while (!__atomic_compare_exchange_n(&ngx_async_mail_box, &head, m, 1,
                                          __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));

    if (head != NULL) {
        /* whoever posted that one has woken the loop, or is about to */
        return;
    }

    one = 1;

    /* cannot fail: the counter never fills */
    (void) !write(ngx_async_mail_fd, &one, sizeof(uint64_t));
}


void
ngx_async_mail_drain(void)
{
    ngx_async_mail_t  *m, *next, *first;

    m = __atomic_exchange_n(&ngx_async_mail_box, NULL, __ATOMIC_ACQUIRE);

    /* the latest is on top */

    for (first = NULL; m; m = next) {
        next = m->next;
        m->next = first;
        first = m;
    }

    for (m = first; m; m = next) {
        next = m->next;
        m->handler(m);
    }
}


/* The eventfd is edge-triggered: each write is an event, read or not. */

static void
ngx_async_mail_handler(ngx_event_t *ev)
{
    uint64_t           count;
    ngx_connection_t  *c;

    c = ev->data;

    if (ev->ready) {
        ev->ready = 0;
        (void) !read(c->fd, &count, sizeof(uint64_t));
    }

    ngx_async_mail_drain();
}
