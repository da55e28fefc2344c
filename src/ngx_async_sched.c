
/*
 * Copyright (C) the nginx-async authors
 *
 * What lets the loop run as soon as it has something to do, while 32 threads
 * compute on its processor.  Both are needed, and both need no privilege:
 *
 *   - threads of less weight.  A loop's fair share among 32 equals is what it
 *     needs, so that it is never behind its share, and so never first;
 *   - a short slice for the loop.  From Linux 6.12 on one that wakes with a
 *     shorter slice than the running one's takes the processor at once; before,
 *     the weight does it alone.
 *
 * SCHED_BATCH for the threads has changed nothing, and cost a little.
 */

#include <ngx_async_sched.h>

#if (NGX_LINUX)

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>


/* nanoseconds; the kernel takes no less */
#define NGX_ASYNC_SCHED_SLICE  100000


#if defined(SYS_sched_getattr) && defined(SYS_sched_setattr)

/* the first version of struct sched_attr, sched_setattr(2) */

typedef struct {
    uint32_t   size;
    uint32_t   policy;
    uint64_t   flags;
    int32_t    nice;
    uint32_t   priority;
    uint64_t   runtime;
    uint64_t   deadline;
    uint64_t   period;
} ngx_async_sched_attr_t;


void
ngx_async_sched_loop(void)
{
    ngx_async_sched_attr_t  attr;

    ngx_memzero(&attr, sizeof(ngx_async_sched_attr_t));

    if (syscall(SYS_sched_getattr, 0, &attr, sizeof(ngx_async_sched_attr_t), 0)
        == -1
        || attr.policy != SCHED_OTHER)
    {
        /* somebody has chosen another one for nginx */
        return;
    }

    attr.runtime = NGX_ASYNC_SCHED_SLICE;

    (void) syscall(SYS_sched_setattr, 0, &attr, 0);
}

#else

void
ngx_async_sched_loop(void)
{
}

#endif


void
ngx_async_sched_thread(ngx_int_t nice)
{
    int  now;

    errno = 0;
    now = getpriority(PRIO_PROCESS, 0);

    if (errno == 0) {
        (void) setpriority(PRIO_PROCESS, 0, now + (int) nice);
    }
}

#else

void
ngx_async_sched_loop(void)
{
}


void
ngx_async_sched_thread(ngx_int_t nice)
{
}

#endif
