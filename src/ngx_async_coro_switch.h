
/*
 * The backend interface of layer 0: how one stack is left for another.
 * Included by ngx_async_coro.h only.  Exactly one of the backends
 * ngx_async_coro_{x86_64,aarch64,ucontext}.c has a body in a build.  Nothing
 * here knows what a coroutine is.
 */


#ifndef _NGX_ASYNC_CORO_SWITCH_H_INCLUDED_
#define _NGX_ASYNC_CORO_SWITCH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#if !defined(NGX_ASYNC_CORO_UCONTEXT)                                         \
    && !(defined(__x86_64__) && defined(__LP64__))                            \
    && !defined(__aarch64__)

#define NGX_ASYNC_CORO_UCONTEXT  1

#endif


#define NGX_ASYNC_CORO_HIDDEN  __attribute__((visibility("hidden")))


/*
 * Leaves the current stack, notes in *save where it can be entered again, and
 * enters another one at "load", which an earlier switch or prepare gave.  The
 * callee-saved registers and the control bits of the floating-point unit
 * belong to the stack; the sticky exception flags belong to the thread.
 */

NGX_ASYNC_CORO_HIDDEN void ngx_async_coro_switch(void **save, void *load);

/* the first C function on a new stack; returns never */

NGX_ASYNC_CORO_HIDDEN void ngx_async_coro_main(void);


#if defined(NGX_ASYNC_CORO_UCONTEXT)

/*
 * "top" is 16-aligned and the first byte that is not the stack's.  The words
 * are those that ngx_async_coro_control() gave: the new stack starts with
 * them.  What comes back is to be loaded.
 */

NGX_ASYNC_CORO_HIDDEN void *ngx_async_coro_prepare(void *low, void *top,
    uint64_t control);
NGX_ASYNC_CORO_HIDDEN uint64_t ngx_async_coro_control(void);

#else


/* what ngx_async_coro_switch() leaves on a stack, from its lowest word up */

#if defined(__x86_64__)

typedef struct {
    uint64_t     control;                  /* MXCSR, then the x87's word */
    uint64_t     registers[6];             /* r15 r14 r13 r12 rbx rbp    */
    void       (*entry)(void);
} ngx_async_coro_frame_t;

#else

typedef struct {
    uint64_t     control;                  /* FPCR                       */
    uint64_t     unused;
    uint64_t     registers[11];            /* x19 to x29                 */
    void       (*entry)(void);             /* x30                        */
    uint64_t     floating[8];              /* d8 to d15                  */
} ngx_async_coro_frame_t;

#endif


/* ends every backtrace, then calls ngx_async_coro_main() */

NGX_ASYNC_CORO_HIDDEN void ngx_async_coro_start(void);


static inline void *
ngx_async_coro_prepare(void *low, void *top, uint64_t control)
{
    ngx_async_coro_frame_t  *frame;

    (void) low;

    /* the registers keep what lies there: nobody reads them */

    frame = (ngx_async_coro_frame_t *) top - 1;
    frame->control = control;
    frame->entry = ngx_async_coro_start;

    return frame;
}


static inline uint64_t
ngx_async_coro_control(void)
{
#if defined(__x86_64__)

    uint16_t  x87;
    uint32_t  mxcsr;

    __asm__ volatile ("stmxcsr %0\n\tfnstcw %1" : "=m" (mxcsr), "=m" (x87));

    return ((uint64_t) x87 << 32) | mxcsr;

#else

    uint64_t  fpcr;

    __asm__ volatile ("mrs %0, fpcr" : "=r" (fpcr));

    return fpcr;

#endif
}

#endif


#endif /* _NGX_ASYNC_CORO_SWITCH_H_INCLUDED_ */
