
/*
 * The switch for every other machine, by POSIX contexts: two system calls each,
 * for the signal mask.  Called through ngx_async_coro_switch.h only.  A build
 * with -DNGX_ASYNC_CORO_UCONTEXT has it on any machine.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE  1
#endif

#include "ngx_async_coro_switch.h"


#if defined(NGX_ASYNC_CORO_UCONTEXT)

#include <stdlib.h>
#include <ucontext.h>


/* a context lives on the very stack it belongs to, so a pointer names both */

void
ngx_async_coro_switch(void **save, void *load)
{
    ucontext_t  context;

    *save = &context;

    if (swapcontext(&context, load) == -1) {
        abort();
    }
}


void *
ngx_async_coro_prepare(void *low, void *top, uint64_t control)
{
    size_t       size;
    ucontext_t  *context;

    /* getcontext() takes the caller's floating-point control words */

    (void) control;

    context = (ucontext_t *) (((uintptr_t) top - sizeof(ucontext_t))
                              & ~(uintptr_t) 63);
    size = (uintptr_t) context - (uintptr_t) low;

    if (getcontext(context) == -1) {
        abort();
    }

    context->uc_stack.ss_sp = low;
    context->uc_stack.ss_size = size;
    context->uc_link = NULL;

    makecontext(context, ngx_async_coro_main, 0);

    return context;
}


uint64_t
ngx_async_coro_control(void)
{
    return 0;
}


#endif


/* a translation unit may not be empty */

typedef int  ngx_async_coro_ucontext_t;
