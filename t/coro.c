
/*
 * The tests of layer 0, as TAP.  t/coro.t compiles and runs it in every mode;
 * by hand: gcc -Isrc t/coro.c src/ngx_async_coro*.c && ./a.out [live]
 * "live" is how many coroutines live at once in the test that counts them.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE  1
#endif

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ngx_async_coro.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#if !defined(RUNNING_ON_VALGRIND)
#define RUNNING_ON_VALGRIND  0
#endif

#if defined(NGX_ASYNC_CORO_ASAN) || defined(NGX_ASYNC_CORO_TSAN)
#define SANITIZED  1
#else
#define SANITIZED  0
#endif

#define STACK   32768
#define KILLED  1000                       /* + signal: how a child ended */


static int  tests, failures;


static void
ok(int good, const char *fmt, ...)
{
    va_list  args;

    tests++;
    failures += !good;

    printf("%s %d - ", good ? "ok" : "not ok", tests);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n");
    fflush(stdout);
}


static void
skip(const char *title, const char *why)
{
    tests++;
    printf("ok %d - %s # SKIP %s\n", tests, title, why);
}


static ngx_async_stack_pool_t *
pool_of(size_t max)
{
    ngx_async_stack_pool_t  *pool;

    pool = ngx_async_stack_pool_create(STACK, max);

    if (pool == NULL) {
        perror("ngx_async_stack_pool_create");
        exit(1);
    }

    return pool;
}


static void
run(ngx_async_stack_pool_t *pool, ngx_async_coro_pt fn)
{
    ngx_async_coro_t  *coro;

    coro = ngx_async_coro_create(pool, fn, 0);

    while (!ngx_async_coro_done(coro)) {
        ngx_async_coro_resume(coro);
    }

    ngx_async_coro_destroy(coro);
}


/* runs fn in a child; what it wrote to stderr is text */

static int
child(void (*fn)(void), char *text, size_t size)
{
    int            fds[2], status;
    size_t         len;
    ssize_t        n;
    pid_t          pid;
    struct rlimit  none = { 0, 0 };

    fflush(stdout);

    if (pipe(fds) == -1) {
        exit(1);
    }

    pid = fork();

    if (pid == 0) {
        (void) setrlimit(RLIMIT_CORE, &none);
        (void) dup2(fds[1], STDERR_FILENO);
        (void) close(fds[0]);
        fn();
        _exit(0);
    }

    (void) close(fds[1]);

    for (len = 0; len < size - 1; len += n) {
        n = read(fds[0], text + len, size - 1 - len);
        if (n <= 0) {
            break;
        }
    }

    text[len] = '\0';

    (void) close(fds[0]);
    (void) waitpid(pid, &status, 0);

    return WIFSIGNALED(status) ? KILLED + WTERMSIG(status)
                               : WEXITSTATUS(status);
}


/* === interleavings */

static char    trace[64];
static size_t  traced;


typedef struct {
    char   name;
    int    steps;
    int    zeros[4];
} walker_t;


static void
walk(void *data)
{
    int        i;
    walker_t  *walker = data;

    for (i = 1; i <= walker->steps; i++) {
        trace[traced++] = walker->name;
        trace[traced++] = '0' + i;

        if (i < walker->steps) {
            ngx_async_coro_suspend();
        }
    }
}


/* each letter of the schedule resumes the coroutine of that name */

static const struct {
    const char  *schedule;
    const char  *trace;
} interleavings[] = {
    { "aaa",       "a1a2a3"             },
    { "aaabbb",    "a1a2a3b1b2b3"       },
    { "ababab",    "a1b1a2b2a3b3"       },
    { "abbaab",    "a1b1b2a2a3b3"       },
    { "abccbacba", "a1b1c1c2b2a2c3b3a3" },
    { "cccbbbaaa", "c1c2c3b1b2b3a1a2a3" }
};


static void
test_interleavings(void)
{
    int                      done;
    size_t                   i;
    const char              *p;
    walker_t                *walker;
    ngx_async_coro_t        *coro[3];
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(3);

    for (i = 0; i < sizeof(interleavings) / sizeof(interleavings[0]); i++) {
        memset(coro, 0, sizeof(coro));
        memset(trace, 0, sizeof(trace));
        traced = 0;
        done = 1;

        for (p = interleavings[i].schedule; *p; p++) {

            if (coro[*p - 'a'] == NULL) {
                coro[*p - 'a'] = ngx_async_coro_create(pool, walk,
                                                       sizeof(walker_t));
                walker = ngx_async_coro_data(coro[*p - 'a']);
                walker->name = *p;
                walker->steps = 3;
            }

            ngx_async_coro_resume(coro[*p - 'a']);
        }

        for (p = "abc"; *p; p++) {
            if (coro[*p - 'a']) {
                done &= ngx_async_coro_done(coro[*p - 'a']);
                ngx_async_coro_destroy(coro[*p - 'a']);
            }
        }

        ok(done && strcmp(trace, interleavings[i].trace) == 0,
           "resumed as %s, the steps are %s", interleavings[i].schedule,
           interleavings[i].trace);
    }

    ngx_async_stack_pool_destroy(pool);
}


/* === registers and floating point */

static volatile uint64_t  seed = 1000;
static int                kept;


static void
hold_registers(void *data)
{
    int       i;
    double    d, e, f, g, h, j, k, l;
    uint64_t  m, n, o, p, q, r, s, t, u, v;

    (void) data;

    d = seed; e = seed; f = seed; g = seed;
    h = seed; j = seed; k = seed; l = seed;
    m = seed; n = seed; o = seed; p = seed; q = seed;
    r = seed; s = seed; t = seed; u = seed; v = seed;

    for (i = 0; i < 3; i++) {
        ngx_async_coro_suspend();

        d += 1; e += 2; f += 3; g += 4; h += 5; j += 6; k += 7; l += 8;
        m += 1; n += 2; o += 3; p += 4; q += 5;
        r += 6; s += 7; t += 8; u += 9; v += 10;
    }

    i = (int) (d * 2 + e * 3 + f * 5 + g * 7 + h * 11 + j * 13 + k * 17 + l);
    m = m * 2 + n * 3 + o * 5 + p * 7 + q * 11 + r * 13 + s * 17 + t * 19
        + u * 23 + v;

    kept += i == 1000 * 59 + 3 * (2 + 6 + 15 + 28 + 55 + 78 + 119 + 8)
            && m == 1000 * 101 + 3 * (2 + 6 + 15 + 28 + 55 + 78 + 119 + 152
                                      + 207 + 10);
}


/* the loop's registers hold something else at each resume */

static __attribute__((noinline)) int
resume_holding(ngx_async_coro_t *coro)
{
    double    d, e, f, g;
    uint64_t  m, n, o, p, q, r;

    d = seed; e = d + 1; f = d + 2; g = d + 3;
    m = seed; n = m + 1; o = m + 2; p = m + 3; q = m + 4; r = m + 5;
    __asm__ volatile ("" : "+r" (m), "+r" (n), "+r" (o), "+r" (p), "+r" (q),
                      "+r" (r));

    ngx_async_coro_resume(coro);

    return m == seed && n == seed + 1 && o == seed + 2 && p == seed + 3
           && q == seed + 4 && r == seed + 5
           && d + e + f + g == 4.0 * seed + 6;
}


static void
test_registers(void)
{
    int                      i, j, loop;
    ngx_async_coro_t        *coro[3];
    ngx_async_stack_pool_t  *pool;

    kept = 0;
    loop = 1;
    pool = pool_of(3);

    for (i = 0; i < 3; i++) {
        coro[i] = ngx_async_coro_create(pool, hold_registers, 0);
    }

    for (j = 0; j < 4; j++) {
        for (i = 0; i < 3; i++) {
            loop &= resume_holding(coro[i]);
        }
    }

    for (i = 0; i < 3; i++) {
        ngx_async_coro_destroy(coro[i]);
    }

    ngx_async_stack_pool_destroy(pool);

    ok(kept == 3, "a coroutine's locals and registers survive a suspend");
    ok(loop, "the loop's locals and registers survive a resume");
}


#if defined(__x86_64__)

#define UNITS  2

/* rounding of SSE is unit 0, of the x87 unit 1: 0 nearest, 2 up */

static void
set_rounding(int unit, int mode)
{
    uint16_t  word;
    uint32_t  mxcsr;

    if (unit == 0) {
        __asm__ volatile ("stmxcsr %0" : "=m" (mxcsr));
        mxcsr = (mxcsr & ~0x6000u) | (uint32_t) mode << 13;
        __asm__ volatile ("ldmxcsr %0" : : "m" (mxcsr));

    } else {
        __asm__ volatile ("fnstcw %0" : "=m" (word));
        word = (word & ~0xc00) | mode << 10;
        __asm__ volatile ("fldcw %0" : : "m" (word));
    }
}


static int
get_rounding(int unit)
{
    uint16_t  word;
    uint32_t  mxcsr;

    __asm__ volatile ("stmxcsr %0" : "=m" (mxcsr));
    __asm__ volatile ("fnstcw %0" : "=m" (word));

    return unit ? (word >> 10) & 3 : (mxcsr >> 13) & 3;
}

#elif defined(__aarch64__)

#define UNITS  1

static void
set_rounding(int unit, int mode)
{
    uint64_t  fpcr;

    (void) unit;

    __asm__ volatile ("mrs %0, fpcr" : "=r" (fpcr));
    fpcr = (fpcr & ~(3ull << 22)) | (uint64_t) mode << 22;
    __asm__ volatile ("msr fpcr, %0" : : "r" (fpcr));
}


static int
get_rounding(int unit)
{
    uint64_t  fpcr;

    (void) unit;

    __asm__ volatile ("mrs %0, fpcr" : "=r" (fpcr));

    return (fpcr >> 22) & 3;
}

#else

#define UNITS  0

#define set_rounding(unit, mode)  (void) unit
#define get_rounding(unit)        ((void) unit, 0)

#endif


static int  rounding_unit, rounding_kept;


static void
round_up(void *data)
{
    (void) data;

    rounding_kept = get_rounding(rounding_unit) == 0;

    set_rounding(rounding_unit, 2);
    ngx_async_coro_suspend();
    rounding_kept += get_rounding(rounding_unit) == 2;
    ngx_async_coro_suspend();
    rounding_kept += get_rounding(rounding_unit) == 2;
}


static void
test_rounding(void)
{
    int                      loop;
    ngx_async_coro_t        *coro;
    ngx_async_stack_pool_t  *pool;

    static const char *names[] = { "(SSE, FPCR)", "(x87)" };

    pool = pool_of(1);

    for (rounding_unit = 0; rounding_unit < UNITS; rounding_unit++) {
        coro = ngx_async_coro_create(pool, round_up, 0);

        ngx_async_coro_resume(coro);
        loop = get_rounding(rounding_unit) == 0;

        set_rounding(rounding_unit, 1);
        ngx_async_coro_resume(coro);
        loop += get_rounding(rounding_unit) == 1;

        set_rounding(rounding_unit, 0);
        ngx_async_coro_resume(coro);
        loop += get_rounding(rounding_unit) == 0;

        ngx_async_coro_destroy(coro);

        ok(loop == 3 && rounding_kept == 3,
           "each side keeps its own rounding mode %s", names[rounding_unit]);
    }

    ngx_async_stack_pool_destroy(pool);
}


static void
set_errno(void *data)
{
    errno = EXDEV;
    ngx_async_coro_suspend();
    *(int *) data = errno;
}


static void
test_errno(void)
{
    ngx_async_coro_t        *coro;
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(1);
    coro = ngx_async_coro_create(pool, set_errno, sizeof(int));

    ngx_async_coro_resume(coro);
    errno = ENOENT;
    ngx_async_coro_resume(coro);

    ok(*(int *) ngx_async_coro_data(coro) == EXDEV,
       "errno survives a suspend");

    ngx_async_coro_destroy(coro);
    ngx_async_stack_pool_destroy(pool);
}


static int  frames_inside;


static void
count_frames(void *data)
{
    void  *frames[64];

    (void) data;

    frames_inside = backtrace(frames, 64);
}


static void
test_backtrace(void)
{
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(1);
    frames_inside = 0;
    run(pool, count_frames);

    ok(frames_inside >= 2 && frames_inside < 8,
       "a backtrace ends at the coroutine's entry (%d frames)", frames_inside);

    ngx_async_stack_pool_destroy(pool);
}


/* === the pool */

static ngx_async_coro_t  *self_inside;


static void
note_self(void *data)
{
    (void) data;
    self_inside = ngx_async_coro_self();
}


static void
scribble(void *data)
{
    memset(data, 0xa5, 512);
}


static int
all_zero(const char *p, size_t n)
{
    while (n && *p == 0) {
        p++;
        n--;
    }

    return n == 0;
}


static void
test_reuse(void)
{
    char                    *data;
    ngx_async_coro_t        *coro, *again;
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(4);

    coro = ngx_async_coro_create(pool, scribble, 512);
    ok(((uintptr_t) ngx_async_coro_data(coro) & 15) == 0,
       "data is aligned to 16 bytes");

    ngx_async_coro_resume(coro);
    data = ngx_async_coro_data(coro);
    ok(data[0] == (char) 0xa5 && data[511] == (char) 0xa5,
       "data can be read after the end");

    ngx_async_coro_destroy(coro);
    ok(data[1] == (char) 0xa5 || data[1] == 0,
       "a stale pointer into a free stack can be read");

    again = ngx_async_coro_create(pool, note_self, 500);
    ok(again == coro, "the stack that was freed last is taken first");
    ok(all_zero(ngx_async_coro_data(again), 500), "a reused stack's data is "
       "zeroed");

    ngx_async_coro_resume(again);
    ok(self_inside == again && ngx_async_coro_self() == NULL,
       "self is the coroutine inside, NULL outside");

    ngx_async_coro_destroy(again);

    coro = ngx_async_coro_create(pool, note_self, 0);
    ngx_async_coro_destroy(coro);
    ok(ngx_async_stack_pool_used(pool) == 0,
       "a coroutine that never ran can be destroyed");

    errno = 0;
    coro = ngx_async_coro_create(pool, note_self, 1024 * 1024);
    ok(coro == NULL && errno == EINVAL, "data too large for a stack is EINVAL");

    ngx_async_stack_pool_destroy(pool);
}


static void
test_exhaustion(void)
{
    int                      i;
    ngx_async_coro_t        *coro[3];
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(3);

    for (i = 0; i < 3; i++) {
        coro[i] = ngx_async_coro_create(pool, walk, sizeof(walker_t));
    }

    errno = 0;
    ok(ngx_async_coro_create(pool, walk, sizeof(walker_t)) == NULL
       && errno == EAGAIN, "an exhausted pool answers EAGAIN");

    ngx_async_coro_destroy(coro[1]);
    coro[1] = ngx_async_coro_create(pool, walk, sizeof(walker_t));
    ok(coro[1] != NULL, "and serves again once a coroutine is destroyed");

    for (i = 0; i < 3; i++) {
        ngx_async_coro_destroy(coro[i]);
    }

    ngx_async_stack_pool_destroy(pool);

    errno = 0;
    ok(ngx_async_stack_pool_create(STACK, 0) == NULL && errno == EINVAL,
       "a pool of none is EINVAL");
}


static void
refuse_memory(void)
{
    struct rlimit            limit;
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(100000);

    limit.rlim_cur = 1024 * 1024;
    limit.rlim_max = limit.rlim_cur;
    (void) setrlimit(RLIMIT_AS, &limit);

    errno = 0;
    _exit(ngx_async_coro_create(pool, walk, 0) == NULL && errno == ENOMEM ? 7
                                                                          : 0);
}


static void
test_memory(void)
{
    char  text[512];

    if (SANITIZED || RUNNING_ON_VALGRIND || getenv("TEST_EMULATED")) {
        skip("a chunk that cannot be had is ENOMEM", "no RLIMIT_AS here");
        return;
    }

    ok(child(refuse_memory, text, sizeof(text)) == 7,
       "a chunk that cannot be had is ENOMEM");
}


/* === many at once */

static size_t
resident(void)
{
    long    pages, ignored;
    FILE   *file;

    pages = 0;
    file = fopen("/proc/self/statm", "r");

    if (file) {
        if (fscanf(file, "%ld %ld", &ignored, &pages) != 2) {
            pages = 0;
        }

        fclose(file);
    }

    return (size_t) pages * sysconf(_SC_PAGESIZE);
}


static void
count_up(void *data)
{
    uint64_t  *n = data, own;

    own = *n;
    ngx_async_coro_suspend();
    *n = own + 1;
}


static size_t
guards_missing(ngx_async_coro_t **coro, size_t n, int zero)
{
    char    *low;
    size_t   i, missing;

    missing = 0;

    for (i = 0; i < n; i++) {
        low = coro[i]->low;

        if (read(zero, low - 1, 1) != -1 || errno != EFAULT
            || read(zero, low - NGX_ASYNC_STACK_GUARD, 1) != -1
            || errno != EFAULT)
        {
            missing++;
        }
    }

    return missing;
}


static void
test_many(size_t live)
{
    int                      zero;
    size_t                   i, made, before, after;
    uint64_t                 wrong;
    ngx_async_coro_t       **coro;
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(live);
    zero = open("/dev/zero", O_RDONLY);
    live = ngx_async_stack_pool_max(pool);
    coro = calloc(live, sizeof(ngx_async_coro_t *));
    memset(coro, 1, live * sizeof(ngx_async_coro_t *));
    before = resident();

    for (made = 0; made < live; made++) {
        coro[made] = ngx_async_coro_create(pool, count_up, 512);

        if (coro[made] == NULL) {
            printf("# %zu: %s\n", made, strerror(errno));
            break;
        }

        *(uint64_t *) ngx_async_coro_data(coro[made]) = made;
        ngx_async_coro_resume(coro[made]);
    }

    after = resident();

    ok(made == live && ngx_async_stack_pool_used(pool) == live,
       "%zu coroutines live at once (guard: %s)", live,
       ngx_async_stack_pool_guard(pool));
    ok(ngx_async_coro_create(pool, count_up, 512) == NULL && errno == EAGAIN,
       "and then the pool is exhausted");

    if (getenv("TEST_EMULATED")) {
        skip("each of them has its guard", "the emulator writes by itself");
    } else {
        ok(guards_missing(coro, made, zero) == 0, "each of them has its guard");
    }

    printf("# resident bytes a suspended coroutine: %zu\n",
           (after - before) / made);

#if defined(NGX_ASYNC_CORO_UCONTEXT)
    skip("a suspended coroutine costs one page", "ucontext");
#else
    if (SANITIZED || RUNNING_ON_VALGRIND || getenv("TEST_EMULATED")) {
        skip("a suspended coroutine costs one page", "instrumented");
    } else {
        ok(after - before < made * 4096 + 1024 * 1024,
           "a suspended coroutine costs one page");
    }
#endif

    wrong = 0;

    for (i = 0; i < made; i++) {
        ngx_async_coro_resume(coro[i]);
        wrong += *(uint64_t *) ngx_async_coro_data(coro[i]) != i + 1;
        wrong += !ngx_async_coro_done(coro[i]);
        ngx_async_coro_destroy(coro[i]);
    }

    ok(wrong == 0, "each of them ends with its own result");

    /* the first one ends the time in which all were needed */

    (void) ngx_async_stack_pool_trim(pool);

    while (ngx_async_stack_pool_trim(pool) != 0) { /* void */ }

    ok(ngx_async_stack_pool_idle(pool) <= 1024
       && ngx_async_stack_pool_used(pool) == 0,
       "trimmed, the pool keeps the pages of 1,024 at most");

    if (SANITIZED || RUNNING_ON_VALGRIND || getenv("TEST_EMULATED")) {
        skip("the others are the system's again", "instrumented");
    } else {
        ok(resident() < before + 1024 * 8192 + 1024 * 1024,
           "the others are the system's again");
    }

    for (i = 0; i < made; i++) {
        coro[i] = ngx_async_coro_create(pool, count_up, 512);
        wrong += coro[i] == NULL
                 || !all_zero(ngx_async_coro_data(coro[i]), 512);
        ngx_async_coro_destroy(coro[i]);
    }

    ok(wrong == 0, "stacks whose pages were given back serve again");

    free(coro);
    close(zero);
    ngx_async_stack_pool_destroy(pool);
}


static void
burst(ngx_async_stack_pool_t *pool, size_t n)
{
    size_t             i;
    ngx_async_coro_t  *coro[3000];

    for (i = 0; i < n; i++) {
        coro[i] = ngx_async_coro_create(pool, note_self, 0);
    }

    for (i = 0; i < n; i++) {
        ngx_async_coro_destroy(coro[i]);
    }
}


static void
test_trim(void)
{
    size_t                   i, least;
    ngx_async_stack_pool_t  *pool;

#if defined(NGX_ASYNC_CORO_TSAN)
    skip("pages are given back in time", "it takes 1 ms to make a fiber");
    return;
#endif

    pool = pool_of(3000);
    least = 3000;

    for (i = 0; i < 20; i++) {
        burst(pool, 3000);

        if (ngx_async_stack_pool_idle(pool) < least) {
            least = ngx_async_stack_pool_idle(pool);
        }
    }

    ok(least == 3000, "bursts that come again keep their pages");

    for (i = 0; i < 20000; i++) {
        burst(pool, 1);
    }

    ok(ngx_async_stack_pool_idle(pool) <= 1024 + 1,
       "after the last one traffic alone brings the pages back");

    ngx_async_stack_pool_destroy(pool);
}


static void
test_map_bound(void)
{
#if defined(NGX_ASYNC_NO_GUARD_REGIONS)
    size_t                   max, bound;
    FILE                    *file;
    ngx_async_stack_pool_t  *pool;

    bound = 65530;
    file = fopen("/proc/sys/vm/max_map_count", "r");
    if (file) {
        if (fscanf(file, "%zu", &bound) != 1) {
            bound = 65530;
        }
        fclose(file);
    }

    pool = pool_of(10000000);
    max = ngx_async_stack_pool_max(pool);

    ok(max < bound / 2 && max >= bound / 4,
       "with guard pages the pool says how many it can have: %zu", max);
    ok(strcmp(ngx_async_stack_pool_guard(pool), "page") == 0,
       "the guards are pages of their own");

    ngx_async_stack_pool_destroy(pool);
#endif
}


/* === high water */

static __attribute__((noinline)) void
use_stack(size_t n)
{
    volatile char  bytes[n];

    memset((char *) bytes, 0xa5, n);
    __asm__ volatile ("" : : "r" (bytes) : "memory");
}


static void
go_deep(void *data)
{
    use_stack(*(size_t *) data);
    ngx_async_coro_suspend();
}


static size_t
measured(ngx_async_stack_pool_t *pool, size_t depth, int measure)
{
    size_t             high;
    ngx_async_coro_t  *coro;

    coro = ngx_async_coro_create(pool, go_deep, sizeof(size_t));
    *(size_t *) ngx_async_coro_data(coro) = depth;

    if (measure) {
        ngx_async_coro_measure(coro);
    }

    ngx_async_coro_resume(coro);
    ngx_async_coro_resume(coro);

    high = ngx_async_coro_high_water(coro);
    ngx_async_coro_destroy(coro);

    return high;
}


/* pages in place from the coroutine's lowest on */

static size_t
pages_in_place(ngx_async_coro_t *coro)
{
    char           *p;
    size_t          n;
    unsigned char   resident;

    n = 0;

    for (p = coro->low; p < (char *) coro; p += 4096) {
        n += mincore(p, 4096, &resident) == 0 && (resident & 1);
    }

    return n;
}


static void
test_deep(void)
{
    size_t                   deep;
    ngx_async_coro_t        *coro;
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(1);

    (void) measured(pool, 30000, 0);

    coro = ngx_async_coro_create(pool, go_deep, 0);
    deep = pages_in_place(coro);
    ngx_async_coro_destroy(coro);

    (void) measured(pool, 30000, 1);

    coro = ngx_async_coro_create(pool, go_deep, 0);
    ok(deep >= 8 && pages_in_place(coro) <= 2,
       "a stack that was measured deep gives its pages back");
    ngx_async_coro_destroy(coro);

    ngx_async_stack_pool_destroy(pool);
}


/* its own values are looked at when it goes on, deep again */

static void
go_deep_twice(void *data)
{
    size_t          i, wrong;
    volatile char   kept[1000];

    memset((char *) kept, 0x5a, sizeof(kept));
    use_stack(30000);

    ngx_async_coro_suspend();

    for (i = 0, wrong = 0; i < sizeof(kept); i++) {
        wrong += kept[i] != 0x5a;
    }

    use_stack(30000);
    ngx_async_coro_suspend();

    *(size_t *) data = wrong;
}


static void
test_relax(void)
{
    size_t                   deep, relaxed, *wrong;
    ngx_async_coro_t        *coro;
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(1);

    coro = ngx_async_coro_create(pool, go_deep_twice, sizeof(size_t));
    wrong = ngx_async_coro_data(coro);
    *wrong = 1;

    ngx_async_coro_resume(coro);

    deep = pages_in_place(coro);
    ngx_async_coro_relax(coro);
    relaxed = pages_in_place(coro);

#if defined(NGX_ASYNC_CORO_ASAN)
    ok(relaxed == deep, "AddressSanitizer: a coroutine keeps its pages");
#else
    if (RUNNING_ON_VALGRIND) {
        ok(relaxed == deep, "valgrind: a coroutine keeps its pages");

    } else if (getenv("TEST_EMULATED")) {
        skip("what it does not use is given back", "the emulator's pages");

    } else {
        ok(deep >= 8 && relaxed <= 4,
           "what it does not use is given back: %zu pages of %zu are left",
           relaxed, deep);
    }
#endif

    ngx_async_coro_resume(coro);
    ngx_async_coro_relax(coro);
    ngx_async_coro_resume(coro);

    ok(ngx_async_coro_done(coro) && *wrong == 0,
       "it goes on with what it had, and deep again");
    ngx_async_coro_destroy(coro);

    /* a measured one */

    coro = ngx_async_coro_create(pool, go_deep, sizeof(size_t));
    *(size_t *) ngx_async_coro_data(coro) = 30000;
    ngx_async_coro_measure(coro);

    ngx_async_coro_resume(coro);
    ngx_async_coro_relax(coro);
    ngx_async_coro_resume(coro);

    ok(ngx_async_coro_high_water(coro) >= 30000,
       "one that is measured keeps its high-water mark");
    ngx_async_coro_destroy(coro);

    ngx_async_stack_pool_destroy(pool);
}


static void
test_high_water(void)
{
    size_t                   i, base, high;
    ngx_async_stack_pool_t  *pool;

    static const size_t  depths[] = { 30000, 4096, 1000, 20000, 8192, 100 };

    pool = pool_of(1);

    ok(measured(pool, 20000, 0) == 0, "a run that is not measured says 0");

    base = measured(pool, 16384, 1) - 16384;
    ok(base < (SANITIZED ? 8192 : 2048), "the frames around take %zu bytes",
       base);

    for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        (void) measured(pool, 25000, 0);
        high = measured(pool, depths[i], 1);

        if (SANITIZED) {
            ok(high >= depths[i] && high < depths[i] + 8192,
               "%zu bytes of stack are measured, roughly", depths[i]);
            continue;
        }

        /* suspend has frames, too: with ucontext about 1 KiB */

        ok(high + 128 >= depths[i] + base
           && high <= (depths[i] > 2000 ? depths[i] : 2000) + base + 128,
           "%zu bytes of stack are measured as %zu", depths[i], high);
    }

    ngx_async_stack_pool_destroy(pool);
}


/* === faults */

static void
report(ngx_async_coro_t *coro)
{
    static const char  line[] = "overflow reported\n";

    if (coro == ngx_async_coro_self()
        && write(STDERR_FILENO, line, sizeof(line) - 1) == -1)
    {
        _exit(9);
    }
}


static __attribute__((noinline)) uint64_t
recurse(uint64_t n)
{
    volatile uint64_t  own[64];

    own[n % 64] = n;

    return n == UINT64_MAX ? 0 : recurse(n + 1) + own[n % 64];
}


static void
overflow_by_recursion(void *data)
{
    (void) data;
    seed = recurse(0);
}


/* by a local array of 64 KiB that does not fit */

static void
overflow_by_array(void *data)
{
    (void) data;
    *((volatile char *) ngx_async_coro_self()->low - 60000) = 1;
}


static void
overflow_by_byte(void *data)
{
    (void) data;
    *((volatile char *) ngx_async_coro_self()->low - 1) = 1;
}


static void
read_null(void *data)
{
    (void) data;
    seed = *(volatile char *) seed;
}


static const struct {
    const char         *title;
    size_t              stack;              /* which of the pool's */
    ngx_async_coro_pt   fn;
} overflows[] = {
    { "by recursion on the first stack", 0,   overflow_by_recursion },
    { "by recursion on the 65th stack",  64,  overflow_by_recursion },
    { "by recursion on the 130th stack", 129, overflow_by_recursion },
    { "by a large array",                63,  overflow_by_array     },
    { "by one byte",                     65,  overflow_by_byte      }
};


static size_t  overflow;


static void
overflow_child(void)
{
    size_t                   i;
    ngx_async_coro_t        *coro;
    ngx_async_stack_pool_t  *pool;

    coro = NULL;
    pool = pool_of(200);

    if (ngx_async_coro_overflow_install(report) == -1) {
        _exit(8);
    }

    for (i = 0; i <= overflows[overflow].stack; i++) {
        coro = ngx_async_coro_create(pool, overflows[overflow].fn, 64);
    }

    ngx_async_coro_resume(coro);
}


static void
chained(int signo)
{
    static const char  line[] = "chained\n";

    (void) signo;

    if (write(STDERR_FILENO, line, sizeof(line) - 1) != -1) {
        (void) raise(SIGUSR1);
    }
}


static void
null_child(void)
{
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(1);
    seed = 0;
    (void) signal(SIGSEGV, SIG_DFL);
    (void) ngx_async_coro_overflow_install(report);
    run(pool, read_null);
}


static void
null_chained_child(void)
{
    ngx_async_stack_pool_t  *pool;

    pool = pool_of(1);
    seed = 0;
    (void) signal(SIGSEGV, chained);
    (void) ngx_async_coro_overflow_install(report);
    (void) ngx_async_coro_overflow_install(report);
    run(pool, read_null);
}


static void
sent_child(void)
{
    (void) signal(SIGSEGV, SIG_DFL);
    (void) ngx_async_coro_overflow_install(report);
    (void) raise(SIGSEGV);
}


static void
test_faults(void)
{
    int   ended;
    char  text[4096];

    for (overflow = 0; overflow < sizeof(overflows) / sizeof(overflows[0]);
         overflow++)
    {
        ended = child(overflow_child, text, sizeof(text));

        ok(ended == KILLED + SIGSEGV && strstr(text, "overflow reported"),
           "an overflow %s is reported, then kills by SIGSEGV",
           overflows[overflow].title);
    }

    ended = child(null_child, text, sizeof(text));
    ok(ended == KILLED + SIGSEGV && strstr(text, "reported") == NULL,
       "a NULL pointer in a coroutine is a plain SIGSEGV");

    ended = child(null_chained_child, text, sizeof(text));
    ok(ended == KILLED + SIGUSR1 && strstr(text, "chained")
       && !strstr(text, "reported"),
       "it goes to the handler that was there before");

    ok(child(sent_child, text, sizeof(text)) == KILLED + SIGSEGV,
       "a SIGSEGV that was sent kills as it did before");
}


/* === misuse */

static ngx_async_stack_pool_t  *misuse_pool;
static ngx_async_coro_t        *misuse_coro;


static void
suspend_once(void *data)
{
    (void) data;
    ngx_async_coro_suspend();
}


static void
resume_other(void *data)
{
    (void) data;
    ngx_async_coro_resume(misuse_coro);
}


static void
destroy_self(void *data)
{
    (void) data;
    ngx_async_coro_destroy(ngx_async_coro_self());
}


static void
resume_self(void *data)
{
    (void) data;
    ngx_async_coro_resume(ngx_async_coro_self());
}


static void
misuse_ended(void)
{
    misuse_coro = ngx_async_coro_create(misuse_pool, note_self, 0);
    ngx_async_coro_resume(misuse_coro);
    ngx_async_coro_resume(misuse_coro);
}


static void
misuse_destroyed(void)
{
    misuse_coro = ngx_async_coro_create(misuse_pool, note_self, 0);
    ngx_async_coro_destroy(misuse_coro);
    ngx_async_coro_resume(misuse_coro);
}


static void
misuse_itself(void)
{
    run(misuse_pool, resume_self);
}


static void
misuse_nested(void)
{
    misuse_coro = ngx_async_coro_create(misuse_pool, suspend_once, 0);
    run(misuse_pool, resume_other);
}


static void
misuse_outside(void)
{
    ngx_async_coro_suspend();
}


static void
misuse_live(void)
{
    misuse_coro = ngx_async_coro_create(misuse_pool, suspend_once, 0);
    ngx_async_coro_resume(misuse_coro);
    ngx_async_coro_destroy(misuse_coro);
}


static void
misuse_running(void)
{
    run(misuse_pool, destroy_self);
}


static void
misuse_twice(void)
{
    misuse_coro = ngx_async_coro_create(misuse_pool, note_self, 0);
    ngx_async_coro_destroy(misuse_coro);
    ngx_async_coro_destroy(misuse_coro);
}


static void
misuse_relax(void)
{
    misuse_coro = ngx_async_coro_create(misuse_pool, suspend_once, 0);
    ngx_async_coro_relax(misuse_coro);
}


static void
misuse_measure(void)
{
    misuse_coro = ngx_async_coro_create(misuse_pool, suspend_once, 0);
    ngx_async_coro_resume(misuse_coro);
    ngx_async_coro_measure(misuse_coro);
}


static void
misuse_destroy_pool(void)
{
    (void) ngx_async_coro_create(misuse_pool, suspend_once, 0);
    ngx_async_stack_pool_destroy(misuse_pool);
}


static void *
resume_in_thread(void *data)
{
    ngx_async_coro_resume(data);

    return NULL;
}


static void
misuse_thread(void)
{
    pthread_t  thread;

    misuse_coro = ngx_async_coro_create(misuse_pool, suspend_once, 0);

    if (pthread_create(&thread, NULL, resume_in_thread, misuse_coro) == 0) {
        (void) pthread_join(thread, NULL);
    }
}


static const struct {
    void        (*fn)(void);
    const char   *message;
} misuses[] = {
    { misuse_ended,        "resumed after its end"                    },
    { misuse_destroyed,    "resumed after its destroy"                },
    { misuse_itself,       "resumed while it runs"                    },
    { misuse_nested,       "resumed from inside of another coroutine" },
    { misuse_thread,       "resumed by a thread that is not its own"  },
    { misuse_outside,      "suspended outside of any coroutine"       },
    { misuse_live,         "destroyed while it is suspended"          },
    { misuse_running,      "destroyed while it runs"                  },
    { misuse_twice,        "destroyed twice"                          },
    { misuse_measure,      "measured after its first resume"          },
    { misuse_relax,        "relaxed while it is not suspended"        },
    { misuse_destroy_pool, "alive at the destroy of its stack pool"   }
};


static void
test_misuse(void)
{
    int     ended;
    char    text[4096];
    size_t  i;

    misuse_pool = pool_of(4);

    for (i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
        ended = child(misuses[i].fn, text, sizeof(text));

        ok(ended == KILLED + SIGABRT && strstr(text, misuses[i].message),
           "aborts: %s", misuses[i].message);
    }

    ngx_async_stack_pool_destroy(misuse_pool);
}


/* === sanitizers */

#if defined(NGX_ASYNC_CORO_ASAN)

static void
overrun(void *data)
{
    volatile char  bytes[32];

    (void) data;

    memset((char *) bytes, 0, 32);
    ngx_async_coro_suspend();
    bytes[seed % 968] = 1;
}


static void
overrun_child(void)
{
    run(pool_of(1), overrun);
}


static void
hold_memory(void *data)
{
    char *volatile  held;

    (void) data;

    held = malloc(4321);
    ngx_async_coro_suspend();
    free(held);
}


static void
test_sanitizers(void)
{
    char                     text[8192];
    ngx_async_coro_t        *coro;
    ngx_async_stack_pool_t  *pool;

#if defined(NGX_ASYNC_CORO_UCONTEXT)
    (void) text;
    (void) overrun_child;
    skip("AddressSanitizer sees an overrun in a resumed coroutine",
         "its swapcontext() forgets what is poisoned");
#else
    (void) child(overrun_child, text, sizeof(text));
    ok(strstr(text, "stack-buffer-overflow") != NULL,
       "AddressSanitizer sees an overrun in a resumed coroutine");
#endif

    pool = pool_of(1);
    coro = ngx_async_coro_create(pool, hold_memory, 0);
    ngx_async_coro_resume(coro);

    ok(__lsan_do_recoverable_leak_check() == 0,
       "LeakSanitizer sees what a suspended coroutine holds");

    ngx_async_coro_resume(coro);
    ngx_async_coro_destroy(coro);
    ngx_async_stack_pool_destroy(pool);
}

#else

#define test_sanitizers()  /* void */

#endif


int
main(int argc, char **argv)
{
    test_interleavings();
    test_registers();
    test_rounding();
    test_errno();
    test_backtrace();
    test_reuse();
    test_exhaustion();
    test_memory();
    test_many(argc > 1 ? strtoul(argv[1], NULL, 10) : 100000);
    test_trim();
    test_map_bound();
    test_high_water();
    test_deep();
    test_relax();
    test_faults();
    test_misuse();
    test_sanitizers();

    printf("1..%d\n", tests);

    return failures != 0;
}
