
/*
 * Layer 0: coroutines with stacks of their own, and the pool of those stacks.
 * Called by the task layer (and by nothing else of the module, but for
 * ngx_async_coro_self()); knows libc only, neither nginx nor what is awaited.
 * A pool, its coroutines and the loop that resumes them belong to one thread.
 * Misuse (see each call) writes one line to stderr and aborts.
 */


#ifndef _NGX_ASYNC_CORO_H_INCLUDED_
#define _NGX_ASYNC_CORO_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>

#include "ngx_async_coro_switch.h"
#include "ngx_async_coro_hooks.h"


typedef struct ngx_async_coro_s        ngx_async_coro_t;
typedef struct ngx_async_stack_pool_s  ngx_async_stack_pool_t;

typedef void (*ngx_async_coro_pt)(void *data);


/* the order counts: from CREATED on a coroutine may be resumed */

typedef enum {
    NGX_ASYNC_CORO_FREE = 0,               /* pages given back read so, too */
    NGX_ASYNC_CORO_DONE,
    NGX_ASYNC_CORO_RUNNING,
    NGX_ASYNC_CORO_CREATED,
    NGX_ASYNC_CORO_SUSPENDED
} ngx_async_coro_state_e;


/*
 * One cache line at the top of its stack; below it lies the caller's data, and
 * below that the first frame, so that all three share a page.
 */

struct ngx_async_coro_s {
    void                     *sp;          /* where it was suspended    */
    void                     *loop_sp;     /* where it was resumed from */
    ngx_async_coro_pt         fn;
    void                     *data;
    ngx_async_stack_pool_t   *pool;
    ngx_async_coro_t         *next;        /* in the list of free stacks */
    void                     *low;         /* lowest byte above the guard */

    uint32_t                  index;       /* of the stack in its pool */
    uint16_t                  state;       /* ngx_async_coro_state_e */
    uint16_t                  careful;     /* MEASURED, VALGRIND: it goes the
                                              slow way back to the pool */
    ngx_async_coro_hooks_t    hooks;
} __attribute__((aligned(64)));


#define NGX_ASYNC_CORO_MEASURED  1
#define NGX_ASYNC_CORO_VALGRIND  2


/*
 * Members are private to layer 0.  A stack is in one of four places:
 *   made yet never used   the rest of the chunks, from "made" to "max"
 *   with a coroutine      nowhere listed
 *   free, pages in place  the list "free", last in first out
 *   free, without pages   the array "cold", since a list would need a page each
 */

struct ngx_async_stack_pool_s {
    ngx_async_coro_t         *free;
    size_t                    nfree;
    size_t                    idle;        /* least nfree since last trim */
    size_t                    countdown;   /* destroys until the next trim */

    void                     *thread;      /* the address of its "current" */
    uint64_t                  control;     /* floating-point control words */
    size_t                    data_max;
    size_t                    size;        /* from "low" to the page's end */

    uint32_t                 *cold;        /* indices */
    size_t                    ncold;

    char                    **chunks;
    unsigned                 *valgrind;    /* ids of registered stacks */
    size_t                    made;
    size_t                    max;
    size_t                    stack_size;
    int                       regions;     /* MADV_GUARD_INSTALL works */
};


/*
 * The coroutine that runs on this thread.  Initial-exec costs one instruction
 * and may be read in a signal handler; musl refuses it in a loaded object.
 */

#if defined(__GLIBC__)
#define NGX_ASYNC_CORO_TLS  __attribute__((tls_model("initial-exec")))
#else
#define NGX_ASYNC_CORO_TLS
#endif

extern __thread ngx_async_coro_t  *ngx_async_coro_current
    NGX_ASYNC_CORO_TLS NGX_ASYNC_CORO_HIDDEN;


/*
 * A pool of at most "max" stacks, each with room for "stack_size" bytes of
 * frames and, above that, for signal handlers (16 KiB).  Memory is reserved
 * in chunks as it is first needed and unmapped by destroy only: a stale
 * pointer into a free stack can be read (old bytes or zeros).
 * Returns NULL with errno (EINVAL, ENOMEM) on failure.
 */

ngx_async_stack_pool_t *ngx_async_stack_pool_create(size_t stack_size,
    size_t max);

/* aborts when a stack is still in use; NULL is let pass */

void ngx_async_stack_pool_destroy(ngx_async_stack_pool_t *pool);

/*
 * Gives back the pages of free stacks, 256 at most, that nobody needed since
 * the last trim, beyond a reserve of 1,024.  Returns how many more there are.
 * It runs by itself once in so many destroys; a timer (once a second, or at
 * once again while it returns nonzero) helps where traffic ends altogether.
 */

size_t ngx_async_stack_pool_trim(ngx_async_stack_pool_t *pool);

/*
 * Gauges for a status page.  max: what can be had, which is less than was asked
 * for where guards cost maps of their own (vm.max_map_count); used: with a
 * coroutine; idle: free, pages in place; made: ever used; stack_size: bytes for
 * frames, as asked for, rounded up.
 */

size_t ngx_async_stack_pool_max(ngx_async_stack_pool_t *pool);
size_t ngx_async_stack_pool_used(ngx_async_stack_pool_t *pool);
size_t ngx_async_stack_pool_idle(ngx_async_stack_pool_t *pool);
size_t ngx_async_stack_pool_made(ngx_async_stack_pool_t *pool);
size_t ngx_async_stack_pool_stack_size(ngx_async_stack_pool_t *pool);

/* the guard's kind: "region" (MADV_GUARD_INSTALL) or "page" (mprotect) */

const char *ngx_async_stack_pool_guard(ngx_async_stack_pool_t *pool);


/*
 * Makes a measured run exact: called before the first resume, it clears the
 * stack (a system call, so for sampled runs only).  The high-water mark is
 * read once the coroutine is done, before its destroy: bytes of stack used, to
 * the word, frames of signal handlers included, so it may exceed stack_size.
 * 0 if the run was not measured.
 */

void ngx_async_coro_measure(ngx_async_coro_t *coro);
size_t ngx_async_coro_high_water(ngx_async_coro_t *coro);

/*
 * Gives back the pages of a suspended coroutine that lie wholly below what it
 * uses of its stack; they are zeros when it is resumed and goes deep again.
 * Only where that costs no knowledge: not of a measured run, whose mark would
 * be lost, nor with valgrind or AddressSanitizer, which have notes about them.
 * A system call: for one that has waited for long.
 */
void ngx_async_coro_relax(ngx_async_coro_t *coro);

/*
 * From now on a fault in the guard of the running coroutine calls "report"
 * (async-signal-safe, on a stack of its own) and dies by the default action
 * with the faulting frame in the core; other faults go to the previous action.
 * Per process; the signal stack is the calling thread's.  Returns 0, or -1 with
 * errno.
 */

int ngx_async_coro_overflow_install(void (*report)(ngx_async_coro_t *coro));


/* private to layer 0 */

NGX_ASYNC_CORO_HIDDEN ngx_async_coro_t *ngx_async_stack_take(
    ngx_async_stack_pool_t *pool, size_t data_size);
NGX_ASYNC_CORO_HIDDEN void ngx_async_stack_untouch(char *low, char *high);
NGX_ASYNC_CORO_HIDDEN void ngx_async_coro_settle(ngx_async_coro_t *coro);
NGX_ASYNC_CORO_HIDDEN void ngx_async_coro_misuse(ngx_async_coro_t *coro,
    const char *what) __attribute__((noreturn, cold));
NGX_ASYNC_CORO_HIDDEN void ngx_async_coro_misuse_resume(ngx_async_coro_t *coro)
    __attribute__((noreturn, cold));
NGX_ASYNC_CORO_HIDDEN void ngx_async_coro_misuse_destroy(ngx_async_coro_t *coro)
    __attribute__((noreturn, cold));

#define ngx_async_coro_unlikely(x)  __builtin_expect(!!(x), 0)

#define NGX_ASYNC_STACK_GUARD  ((size_t) 65536)


/* the running coroutine; NULL on the loop's stack and on any other thread */

static inline ngx_async_coro_t *
ngx_async_coro_self(void)
{
    return ngx_async_coro_current;
}


/* owned by the coroutine, 16-aligned; dies with ngx_async_coro_destroy() */

static inline void *
ngx_async_coro_data(ngx_async_coro_t *coro)
{
    return coro->data;
}


static inline int
ngx_async_coro_done(ngx_async_coro_t *coro)
{
    return coro->state == NGX_ASYNC_CORO_DONE;
}


/*
 * A new coroutine that will run fn(data) when it is first resumed, with the
 * floating-point control words that the loop had when it made the pool.  The
 * data is zeroed.  Returns a coroutine for ngx_async_coro_destroy(), or NULL
 * with errno: EAGAIN (all stacks are in use), ENOMEM, EINVAL (data_size).
 */

static inline ngx_async_coro_t *
ngx_async_coro_create(ngx_async_stack_pool_t *pool, ngx_async_coro_pt fn,
    size_t data_size)
{
    char              *data;
    ngx_async_coro_t  *coro;

    coro = pool->free;

    if (ngx_async_coro_unlikely(coro == NULL || data_size > pool->data_max)) {
        coro = ngx_async_stack_take(pool, data_size);
        if (coro == NULL) {
            return NULL;
        }

    } else {
        pool->free = coro->next;
        pool->nfree--;

        if (pool->nfree < pool->idle) {
            pool->idle = pool->nfree;
        }
    }

    data = (char *) coro - ((data_size + 15) & ~(size_t) 15);
    memset(data, 0, data_size);

    coro->fn = fn;
    coro->data = data;
    coro->state = NGX_ASYNC_CORO_CREATED;
    coro->sp = ngx_async_coro_prepare(coro->low, data, pool->control);

    ngx_async_coro_hook_create(&coro->hooks);

    return coro;
}


/*
 * Loop side: runs the coroutine until it suspends or ends.  Aborts if it has
 * ended, or inside of any coroutine, or on a thread that is not the pool's.
 */

static inline void
ngx_async_coro_resume(ngx_async_coro_t *coro)
{
    if (ngx_async_coro_unlikely(coro->state < NGX_ASYNC_CORO_CREATED
                                || ngx_async_coro_current != NULL
                                || coro->pool->thread
                                   != &ngx_async_coro_current))
    {
        ngx_async_coro_misuse_resume(coro);
    }

    coro->state = NGX_ASYNC_CORO_RUNNING;
    ngx_async_coro_current = coro;

    ngx_async_coro_hook_enter(&coro->hooks, coro->low, coro->pool->size);
    ngx_async_coro_switch(&coro->loop_sp, coro->sp);
    ngx_async_coro_hook_left(&coro->hooks);
}


/*
 * Gives the control back to whoever resumed; returns when resumed again.  errno
 * is the same afterwards; any other thread-local of the loop may differ.
 * Aborts outside of a coroutine.
 */

static inline void
ngx_async_coro_suspend(void)
{
    int                err;
    ngx_async_coro_t  *coro;

    coro = ngx_async_coro_current;

    if (ngx_async_coro_unlikely(coro == NULL)) {
        ngx_async_coro_misuse(NULL, "suspended outside of any coroutine");
    }

    coro->state = NGX_ASYNC_CORO_SUSPENDED;
    ngx_async_coro_current = NULL;

    err = errno;

    ngx_async_coro_hook_leave(&coro->hooks, 0);
    ngx_async_coro_switch(&coro->sp, coro->loop_sp);
    ngx_async_coro_hook_entered(&coro->hooks);

    errno = err;
}


/* Only of a coroutine that is done or was never resumed; else aborts. */

static inline void
ngx_async_coro_destroy(ngx_async_coro_t *coro)
{
    ngx_async_stack_pool_t  *pool;

    if (ngx_async_coro_unlikely(coro->state != NGX_ASYNC_CORO_DONE
                                && coro->state != NGX_ASYNC_CORO_CREATED))
    {
        ngx_async_coro_misuse_destroy(coro);
    }

    pool = coro->pool;

    ngx_async_coro_hook_destroy(&coro->hooks, ngx_async_coro_done(coro),
                                coro->low, pool->size);

    if (ngx_async_coro_unlikely(coro->careful)) {
        ngx_async_coro_settle(coro);
    }

    coro->state = NGX_ASYNC_CORO_FREE;
    coro->next = pool->free;
    pool->free = coro;
    pool->nfree++;

    if (ngx_async_coro_unlikely(--pool->countdown == 0)) {
        (void) ngx_async_stack_pool_trim(pool);
    }
}


#endif /* _NGX_ASYNC_CORO_H_INCLUDED_ */
