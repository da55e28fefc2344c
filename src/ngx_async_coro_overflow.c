
/*
 * Says what a stack overflow was before the process dies of it.  Installed by
 * whoever owns the loop, once a process.  The handler runs on a stack of its
 * own and must call nothing that is not async-signal-safe; a fault that is not
 * an overflow it leaves to the handler that was there before.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE  1
#endif

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ngx_async_coro.h"


#define NGX_ASYNC_CORO_SIGNAL_STACK  ((size_t) 65536)


static int ngx_async_coro_signal_stack(void);
static int ngx_async_coro_take_signal(int signo, struct sigaction *previous);
static void ngx_async_coro_fault(int signo, siginfo_t *info, void *context);
static void ngx_async_coro_fault_default(int signo, siginfo_t *info);


/* per process, as signal actions are */

static void (*ngx_async_coro_report)(ngx_async_coro_t *coro);
static struct sigaction  ngx_async_coro_previous_segv;
static struct sigaction  ngx_async_coro_previous_bus;


int
ngx_async_coro_overflow_install(void (*report)(ngx_async_coro_t *coro))
{
    if (ngx_async_coro_signal_stack() == -1) {
        return -1;
    }

    ngx_async_coro_report = report;

    if (ngx_async_coro_take_signal(SIGSEGV, &ngx_async_coro_previous_segv)
        == -1)
    {
        return -1;
    }

    return ngx_async_coro_take_signal(SIGBUS, &ngx_async_coro_previous_bus);
}


/* never unmapped: it belongs to the thread, which outlives the pool */

static int
ngx_async_coro_signal_stack(void)
{
    stack_t  stack;

    if (sigaltstack(NULL, &stack) == -1) {
        return -1;
    }

    if (!(stack.ss_flags & SS_DISABLE)
        && stack.ss_size >= NGX_ASYNC_CORO_SIGNAL_STACK / 2)
    {
        return 0;
    }

    stack.ss_flags = 0;
    stack.ss_size = NGX_ASYNC_CORO_SIGNAL_STACK;
    stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ|PROT_WRITE,
                       MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (stack.ss_sp == MAP_FAILED) {
        return -1;
    }

    return sigaltstack(&stack, NULL);
}


static int
ngx_async_coro_take_signal(int signo, struct sigaction *previous)
{
    struct sigaction  action, old;

    action.sa_sigaction = ngx_async_coro_fault;
    action.sa_flags = SA_SIGINFO|SA_ONSTACK;
    sigemptyset(&action.sa_mask);

    if (sigaction(signo, &action, &old) == -1) {
        return -1;
    }

    /* installed before: what was there first stays the previous one */

    if (!(old.sa_flags & SA_SIGINFO)
        || old.sa_sigaction != ngx_async_coro_fault)
    {
        *previous = old;
    }

    return 0;
}


static void
ngx_async_coro_fault(int signo, siginfo_t *info, void *context)
{
    int                err;
    char              *low, *address;
    ngx_async_coro_t  *coro;
    struct sigaction  *previous;

    err = errno;
    coro = ngx_async_coro_current;
    address = info->si_addr;

    if (coro != NULL && info->si_code > 0) {
        low = coro->low;

        if (address >= low - NGX_ASYNC_STACK_GUARD && address < low) {
            ngx_async_coro_report(coro);
            ngx_async_coro_fault_default(signo, info);
            return;
        }
    }

    previous = signo == SIGBUS ? &ngx_async_coro_previous_bus
                               : &ngx_async_coro_previous_segv;

    if (previous->sa_flags & SA_SIGINFO) {
        previous->sa_sigaction(signo, info, context);

    } else if (previous->sa_handler == SIG_IGN && info->si_code <= 0) {
        /* sent by a process, and to be ignored */

    } else if (previous->sa_handler == SIG_DFL
               || previous->sa_handler == SIG_IGN)
    {
        ngx_async_coro_fault_default(signo, info);

    } else {
        previous->sa_handler(signo);
    }

    errno = err;
}


/*
 * On return the instruction faults again, and the core shows its frame; a
 * signal that was sent has to be sent again.
 */

static void
ngx_async_coro_fault_default(int signo, siginfo_t *info)
{
    struct sigaction  action;

    action.sa_handler = SIG_DFL;
    action.sa_flags = 0;
    sigemptyset(&action.sa_mask);

    (void) sigaction(signo, &action, NULL);

    if (info->si_code <= 0) {
        (void) syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signo);
    }
}
