
/*
 * Copyright (C) the nginx-async authors
 *
 * Robust mutexes: see ngx_async_robust.h.
 *
 * That others wait is a bit of the mutex, which its release takes away: it is
 * the one who is woken who sets it again.  If that one is killed before, while
 * a third one has the mutex already, nobody wakes the others (the kernel does
 * so only for a mutex that is free).  So no wait is without an end: who has
 * slept for long tries again.
 */

#include <ngx_async_robust.h>


/* ms, after which one who waits looks whether the mutex is free */
#define NGX_ASYNC_ROBUST_WAIT  10


static ngx_int_t ngx_async_robust_taken(pthread_mutex_t *mutex, int err);


ngx_int_t
ngx_async_robust_init(pthread_mutex_t *mutex, ngx_log_t *log)
{
    int                  err;
    pthread_mutexattr_t  attr;

    err = pthread_mutexattr_init(&attr);

    if (err == 0) {
        err = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    }

    if (err == 0) {
        err = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }

    if (err == 0) {
        err = pthread_mutex_init(mutex, &attr);
    }

    if (err) {
        ngx_log_error(NGX_LOG_EMERG, log, err,
                      "a mutex in shared memory failed");
        return NGX_ERROR;
    }

    (void) pthread_mutexattr_destroy(&attr);

    return NGX_OK;
}


ngx_uint_t
ngx_async_robust_lock(pthread_mutex_t *mutex)
{
    int              err;
    struct timespec  until;

    err = pthread_mutex_trylock(mutex);

    while (err == EBUSY || err == ETIMEDOUT) {
        (void) clock_gettime(CLOCK_MONOTONIC, &until);

        until.tv_nsec += NGX_ASYNC_ROBUST_WAIT * 1000000;

        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }

        err = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
    }

    return ngx_async_robust_taken(mutex, err) == NGX_DONE;
}


ngx_int_t
ngx_async_robust_trylock(pthread_mutex_t *mutex)
{
    int  err;

    err = pthread_mutex_trylock(mutex);

    return (err == EBUSY) ? NGX_AGAIN : ngx_async_robust_taken(mutex, err);
}


/*
 * It is made consistent before what it guards is repaired: who dies in that is
 * an owner that has died, too.
 */

static ngx_int_t
ngx_async_robust_taken(pthread_mutex_t *mutex, int err)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    if (err == EOWNERDEAD) {
        err = pthread_mutex_consistent(mutex);
        rc = NGX_DONE;
    }

    if (err) {
        /* nothing that it guards can be trusted */
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, err,
                      "a mutex in shared memory failed");
        ngx_abort();
    }

    return rc;
}


void
ngx_async_robust_unlock(pthread_mutex_t *mutex)
{
    (void) pthread_mutex_unlock(mutex);
}
