
/*
 * The life of a coroutine: its first function, suspending, measuring, misuse.
 * Called by the task layer and by the inline functions of ngx_async_coro.h.
 * Must not allocate: stacks come from ngx_async_coro_pool.c.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE  1
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ngx_async_coro.h"

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif


/* a measured run that went deeper than this gives its pages back */

#define NGX_ASYNC_CORO_DEEP  ((size_t) 16384)


/* what may be in use below "sp": the red zone; of a frame with a context */

#if defined(NGX_ASYNC_CORO_UCONTEXT)
#define NGX_ASYNC_CORO_BELOW  ((uintptr_t) 4096)
#else
#define NGX_ASYNC_CORO_BELOW  ((uintptr_t) 128)
#endif


static char *ngx_async_coro_lowest_page(char *low, char *high, size_t page);


/* the attributes again, since a definition without them would lose the model */

__thread ngx_async_coro_t  *ngx_async_coro_current
    NGX_ASYNC_CORO_TLS NGX_ASYNC_CORO_HIDDEN;


void
ngx_async_coro_main(void)
{
    ngx_async_coro_t  *coro;

    coro = ngx_async_coro_current;

    ngx_async_coro_hook_entered(&coro->hooks);

    coro->fn(coro->data);

    coro->state = NGX_ASYNC_CORO_DONE;
    ngx_async_coro_current = NULL;

    ngx_async_coro_hook_leave(&coro->hooks, 1);
    ngx_async_coro_switch(&coro->sp, coro->loop_sp);

    abort();
}


void
ngx_async_coro_measure(ngx_async_coro_t *coro)
{
    if (coro->state != NGX_ASYNC_CORO_CREATED) {
        ngx_async_coro_misuse(coro, "measured after its first resume");
    }

    ngx_async_stack_untouch(coro->low, coro->sp);

    coro->careful |= NGX_ASYNC_CORO_MEASURED;
}


/*
 * The stack was all zeros, so its lowest word that is none is the mark.  Pages
 * that were never touched are found by mincore(), lest reading maps them; one
 * that went to swap meanwhile would be taken for untouched.
 */

size_t
ngx_async_coro_high_water(ngx_async_coro_t *coro)
{
    char    *p, *high;
    size_t   page;

    if (!(coro->careful & NGX_ASYNC_CORO_MEASURED)) {
        return 0;
    }

    if (coro->state != NGX_ASYNC_CORO_DONE) {
        ngx_async_coro_misuse(coro, "read for its high-water mark unfinished");
    }

    high = coro->data;
    page = sysconf(_SC_PAGESIZE);

#if defined(VALGRIND_MAKE_MEM_DEFINED)
    (void) VALGRIND_MAKE_MEM_DEFINED(coro->low, high - (char *) coro->low);
#endif

    p = ngx_async_coro_lowest_page(coro->low, high, page);

    while (p < high) {

        if (*(volatile uintptr_t *) p != 0) {
            break;
        }

        p += sizeof(uintptr_t);

        if (((uintptr_t) p & (page - 1)) == 0) {
            p = ngx_async_coro_lowest_page(p, high, page);
        }
    }

    return high - p;
}


static char *
ngx_async_coro_lowest_page(char *low, char *high, size_t page)
{
    size_t         i, n;
    unsigned char  resident[64];

    for ( /* void */ ; low < high; low += n * page) {

        n = (high - low + page - 1) / page;

        if (n > sizeof(resident)) {
            n = sizeof(resident);
        }

        if (mincore(low, n * page, resident) == -1) {
            return low;
        }

        for (i = 0; i < n; i++) {
            if (resident[i] & 1) {
                return low + i * page;
            }
        }
    }

    return high;
}


void
ngx_async_coro_relax(ngx_async_coro_t *coro)
{
#if !defined(NGX_ASYNC_CORO_ASAN)
    uintptr_t  low, used, page;
#endif

    if (coro->state != NGX_ASYNC_CORO_SUSPENDED) {
        ngx_async_coro_misuse(coro, "relaxed while it is not suspended");
    }

#if !defined(NGX_ASYNC_CORO_ASAN)

    if (coro->careful) {
        return;
    }

    page = sysconf(_SC_PAGESIZE);
    low = (uintptr_t) coro->low;
    used = ((uintptr_t) coro->sp - NGX_ASYNC_CORO_BELOW) & ~(page - 1);

    if (used > low) {
        /* a failure leaves them in place */
        (void) madvise(coro->low, used - low, MADV_DONTNEED);
    }

#endif
}


/* before the stack goes back to the pool */

void
ngx_async_coro_settle(ngx_async_coro_t *coro)
{
    if ((coro->careful & NGX_ASYNC_CORO_MEASURED)
        && coro->state == NGX_ASYNC_CORO_DONE
        && ngx_async_coro_high_water(coro) > NGX_ASYNC_CORO_DEEP)
    {
        ngx_async_stack_untouch(coro->low, coro->data);
    }

    coro->careful &= ~NGX_ASYNC_CORO_MEASURED;

    /* memcheck takes what lies below a stack pointer for freed memory */

#if defined(VALGRIND_MAKE_MEM_DEFINED)
    (void) VALGRIND_MAKE_MEM_DEFINED(coro->low,
                                     (char *) coro - (char *) coro->low);
#endif
}


/* misuse: the state is not to be trusted any more, so no more than write() */

void
ngx_async_coro_misuse(ngx_async_coro_t *coro, const char *what)
{
    int   n;
    char  line[160];

    if (coro == NULL) {
        n = snprintf(line, sizeof(line), "nginx-async: a coroutine was %s\n",
                     what);
    } else {
        n = snprintf(line, sizeof(line),
                     "nginx-async: coroutine %p of function %p was %s\n",
                     (void *) coro, (void *) (uintptr_t) coro->fn, what);
    }

    if (n > 0 && write(STDERR_FILENO, line, n) == -1) {
        /* nowhere left to say it */
    }

    abort();
}


void
ngx_async_coro_misuse_resume(ngx_async_coro_t *coro)
{
    if (coro->state == NGX_ASYNC_CORO_FREE) {
        ngx_async_coro_misuse(coro, "resumed after its destroy");
    }

    if (coro->state == NGX_ASYNC_CORO_DONE) {
        ngx_async_coro_misuse(coro, "resumed after its end");
    }

    if (coro->pool->thread != &ngx_async_coro_current) {
        ngx_async_coro_misuse(coro, "resumed by a thread that is not its own");
    }

    if (coro->state == NGX_ASYNC_CORO_RUNNING) {
        ngx_async_coro_misuse(coro, "resumed while it runs");
    }

    ngx_async_coro_misuse(coro, "resumed from inside of another coroutine");
}


void
ngx_async_coro_misuse_destroy(ngx_async_coro_t *coro)
{
    switch (coro->state) {

    case NGX_ASYNC_CORO_SUSPENDED:
        ngx_async_coro_misuse(coro, "destroyed while it is suspended");

    case NGX_ASYNC_CORO_RUNNING:
        ngx_async_coro_misuse(coro, "destroyed while it runs");

    default:
        ngx_async_coro_misuse(coro, "destroyed twice");
    }
}
