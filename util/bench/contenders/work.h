/*
 * The work of w3 for contenders in C: a millisecond of the thread's CPU time,
 * all but a few microseconds of it outside the kernel.
 */

#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stdint.h>
#include <time.h>


static int64_t
work_clock(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static uint32_t
work_1ms(void)
{
    int       i;
    int64_t   end;
    uint32_t  x = 1;

    end = work_clock() + 1000000;

    do {
        for (i = 0; i < 10000; i++) {
            x = x * 1103515245 + 12345;
            __asm__ volatile ("" : "+r" (x));
        }
    } while (work_clock() < end);

    return x;
}

#endif
