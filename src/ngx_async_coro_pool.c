
/*
 * The stack pool: chunks of memory, guards, free stacks.  Called through
 * ngx_async_coro.h; the common case, a free stack at hand, is inline there.
 * Must not unmap anything while the pool lives, nor call the system in a steady
 * state.  -DNGX_ASYNC_NO_GUARD_REGIONS is the tests' way to older kernels.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE  1
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ngx_async_coro.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif


#define NGX_ASYNC_STACK_CHUNK      64      /* stacks in a chunk */
#define NGX_ASYNC_STACK_COLOURS    8
#define NGX_ASYNC_STACK_MIN        ((size_t) 16384)
#define NGX_ASYNC_STACK_MIN_ASAN   ((size_t) 262144)
#define NGX_ASYNC_STACK_HEADROOM   ((size_t) 16384)
#define NGX_ASYNC_STACK_LIMIT      ((size_t) 1 << 30)
#define NGX_ASYNC_STACK_RESERVE    1024    /* free ones that keep their pages */
#define NGX_ASYNC_STACK_BATCH      256     /* given back in one go, 0.1 ms */
#define NGX_ASYNC_STACK_MAPS       4096    /* for the rest of the process */

/* in Linux since 6.13, not yet in libc's header */

#define NGX_ASYNC_MADV_GUARD_INSTALL  102


static size_t ngx_async_stack_round(size_t stack_size, size_t page);
static int ngx_async_stack_has_regions(size_t page);
static size_t ngx_async_stack_map_bound(size_t max);
static ngx_async_coro_t *ngx_async_stack_make(ngx_async_stack_pool_t *pool);
static char *ngx_async_stack_chunk(ngx_async_stack_pool_t *pool, size_t n);
static int ngx_async_stack_guard(ngx_async_stack_pool_t *pool, char *guard);
static void ngx_async_stack_register(ngx_async_stack_pool_t *pool, size_t i,
    char *low);
static void ngx_async_stack_unregister(ngx_async_stack_pool_t *pool);
static char *ngx_async_stack_low(ngx_async_stack_pool_t *pool, size_t i);
static ngx_async_coro_t *ngx_async_stack_init(ngx_async_stack_pool_t *pool,
    size_t i);


ngx_async_stack_pool_t *
ngx_async_stack_pool_create(size_t stack_size, size_t max)
{
    size_t                   page;
    ngx_async_stack_pool_t  *pool;

    page = sysconf(_SC_PAGESIZE);

    if (max == 0 || max > NGX_ASYNC_STACK_LIMIT
        || stack_size > NGX_ASYNC_STACK_LIMIT)
    {
        errno = EINVAL;
        return NULL;
    }

    pool = calloc(1, sizeof(ngx_async_stack_pool_t));
    if (pool == NULL) {
        return NULL;
    }

    pool->regions = ngx_async_stack_has_regions(page);
    pool->max = pool->regions ? max : ngx_async_stack_map_bound(max);
    pool->stack_size = ngx_async_stack_round(stack_size, page);
    pool->thread = &ngx_async_coro_current;
    pool->control = ngx_async_coro_control();
    pool->countdown = NGX_ASYNC_STACK_RESERVE;

    /* one page more for the coroutine, its colour and its data */

    pool->size = pool->stack_size + NGX_ASYNC_STACK_HEADROOM + page;
    pool->size = (pool->size + page - 1) & ~(page - 1);
    pool->data_max = pool->stack_size / 2;

    /* calloc() maps what is large, so unused parts cost nothing */

    pool->chunks = calloc(pool->max / NGX_ASYNC_STACK_CHUNK + 1,
                          sizeof(char *));
    pool->cold = calloc(pool->max, sizeof(uint32_t));
    pool->valgrind = calloc(pool->max, sizeof(unsigned));

    if (pool->chunks == NULL || pool->cold == NULL || pool->valgrind == NULL) {
        ngx_async_stack_pool_destroy(pool);
        errno = ENOMEM;
        return NULL;
    }

    return pool;
}


static size_t
ngx_async_stack_round(size_t stack_size, size_t page)
{
    if (stack_size < NGX_ASYNC_STACK_MIN) {
        stack_size = NGX_ASYNC_STACK_MIN;
    }

#if defined(NGX_ASYNC_CORO_ASAN)

    /* red zones make frames two to three times as large */

    stack_size *= 2;

    if (stack_size < NGX_ASYNC_STACK_MIN_ASAN) {
        stack_size = NGX_ASYNC_STACK_MIN_ASAN;
    }

#endif

    return (stack_size + page - 1) & ~(page - 1);
}


/*
 * Emulators answer any advice with success, so the guard is tried: a system
 * call that writes there must fail.
 */

static int
ngx_async_stack_has_regions(size_t page)
{
#if defined(NGX_ASYNC_NO_GUARD_REGIONS)

    (void) page;

    return 0;

#else

    int    works;
    void  *p;

    p = mmap(NULL, page, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1,
             0);
    if (p == MAP_FAILED) {
        return 0;
    }

    works = madvise(p, page, NGX_ASYNC_MADV_GUARD_INSTALL) == 0
            && uname((struct utsname *) p) == -1 && errno == EFAULT;

    (void) munmap(p, page);

    return works;

#endif
}


/* a guard by mprotect() splits a map: two maps a stack */

static size_t
ngx_async_stack_map_bound(size_t max)
{
    FILE    *file;
    size_t   maps;

    maps = 65530;

    file = fopen("/proc/sys/vm/max_map_count", "re");

    if (file != NULL) {
        if (fscanf(file, "%zu", &maps) != 1) {
            maps = 65530;
        }

        fclose(file);
    }

    maps = maps > 2 * NGX_ASYNC_STACK_MAPS ? maps - NGX_ASYNC_STACK_MAPS
                                           : maps / 2;

    return maps / 2 < max ? maps / 2 : max;
}


void
ngx_async_stack_pool_destroy(ngx_async_stack_pool_t *pool)
{
    size_t  i, size;

    if (pool == NULL) {
        return;
    }

    if (ngx_async_stack_pool_used(pool) != 0) {
        ngx_async_coro_misuse(NULL, "alive at the destroy of its stack pool");
    }

    ngx_async_stack_unregister(pool);

    size = NGX_ASYNC_STACK_CHUNK * (NGX_ASYNC_STACK_GUARD + pool->size);

    for (i = 0; pool->chunks && i < pool->max / NGX_ASYNC_STACK_CHUNK + 1; i++)
    {
        if (pool->chunks[i]) {
            (void) munmap(pool->chunks[i], size);
        }
    }

    free(pool->valgrind);
    free(pool->cold);
    free(pool->chunks);
    free(pool);
}


/* no free stack with pages: one without, or a new one */

ngx_async_coro_t *
ngx_async_stack_take(ngx_async_stack_pool_t *pool, size_t data_size)
{
    if (data_size > pool->data_max) {
        errno = EINVAL;
        return NULL;
    }

    pool->idle = 0;

    if (pool->ncold) {
        return ngx_async_stack_init(pool, pool->cold[--pool->ncold]);
    }

    if (pool->made == pool->max) {
        errno = EAGAIN;
        return NULL;
    }

    return ngx_async_stack_make(pool);
}


static ngx_async_coro_t *
ngx_async_stack_make(ngx_async_stack_pool_t *pool)
{
    char    *low;
    size_t   i;

    i = pool->made;

    if (i % NGX_ASYNC_STACK_CHUNK == 0
        && ngx_async_stack_chunk(pool, i / NGX_ASYNC_STACK_CHUNK) == NULL)
    {
        return NULL;
    }

    low = ngx_async_stack_low(pool, i);

    if (ngx_async_stack_guard(pool, low - NGX_ASYNC_STACK_GUARD) == -1) {
        return NULL;
    }

    ngx_async_stack_register(pool, i, low);

    pool->made++;

    return ngx_async_stack_init(pool, i);
}


/* kept also when its first guard fails: the next attempt finds it */

static char *
ngx_async_stack_chunk(ngx_async_stack_pool_t *pool, size_t n)
{
    char    *p;
    size_t   size;

    if (pool->chunks[n] != NULL) {
        return pool->chunks[n];
    }

    size = NGX_ASYNC_STACK_CHUNK * (NGX_ASYNC_STACK_GUARD + pool->size);

    p = mmap(NULL, size, PROT_READ|PROT_WRITE,
             MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE|MAP_STACK, -1, 0);
    if (p == MAP_FAILED) {
        errno = ENOMEM;
        return NULL;
    }

    /* a huge page would be shared by guards and a dozen stacks */

    (void) madvise(p, size, MADV_NOHUGEPAGE);

    pool->chunks[n] = p;

    return p;
}


static int
ngx_async_stack_guard(ngx_async_stack_pool_t *pool, char *guard)
{
    int  rc;

    if (pool->regions) {
        rc = madvise(guard, NGX_ASYNC_STACK_GUARD,
                     NGX_ASYNC_MADV_GUARD_INSTALL);
    } else {
        rc = mprotect(guard, NGX_ASYNC_STACK_GUARD, PROT_NONE);
    }

    if (rc == -1) {
        errno = ENOMEM;
    }

    return rc;
}


/* where the stack begins: its guard is below */

static char *
ngx_async_stack_low(ngx_async_stack_pool_t *pool, size_t i)
{
    return pool->chunks[i / NGX_ASYNC_STACK_CHUNK]
           + i % NGX_ASYNC_STACK_CHUNK * (NGX_ASYNC_STACK_GUARD + pool->size)
           + NGX_ASYNC_STACK_GUARD;
}


/*
 * Colours: were every coroutine at the same place in its page, all of them
 * would compete for the same few sets of the first cache (with 30 of them, 4.6
 * ns to reach one's data instead of 1.1).
 */

static ngx_async_coro_t *
ngx_async_stack_init(ngx_async_stack_pool_t *pool, size_t i)
{
    char              *low;
    ngx_async_coro_t  *coro;

    low = ngx_async_stack_low(pool, i);
    coro = (ngx_async_coro_t *) (low + pool->size
                                 - i % NGX_ASYNC_STACK_COLOURS * 64) - 1;

    coro->pool = pool;
    coro->low = low;
    coro->index = i;

#if defined(RUNNING_ON_VALGRIND)
    coro->careful = RUNNING_ON_VALGRIND ? NGX_ASYNC_CORO_VALGRIND : 0;
#else
    coro->careful = 0;
#endif

    return coro;
}


size_t
ngx_async_stack_pool_trim(ngx_async_stack_pool_t *pool)
{
    size_t             n, surplus;
    ngx_async_coro_t  *coro;

    surplus = 0;

    if (pool->idle > NGX_ASYNC_STACK_RESERVE) {
        surplus = pool->idle - NGX_ASYNC_STACK_RESERVE;
    }

    for (n = 0; n < surplus && n < NGX_ASYNC_STACK_BATCH; n++) {

        coro = pool->free;
        pool->free = coro->next;
        pool->cold[pool->ncold++] = coro->index;

        (void) madvise(coro->low, pool->size, MADV_DONTNEED);
    }

    pool->nfree -= n;

    if (n < surplus) {
        pool->idle -= n;
        pool->countdown = NGX_ASYNC_STACK_BATCH;

        return surplus - n;
    }

    /* long enough for any burst that comes again to show in "idle" */

    pool->idle = pool->nfree;
    pool->countdown = NGX_ASYNC_STACK_RESERVE + 2 * pool->made;

    return 0;
}


/* makes [low, high) of a stack zeros, all pages but the top one untouched */

void
ngx_async_stack_untouch(char *low, char *high)
{
    char    *top;
    size_t   page;

    page = sysconf(_SC_PAGESIZE);
    top = (char *) ((uintptr_t) high & ~(uintptr_t) (page - 1));

    if (madvise(low, top - low, MADV_DONTNEED) == -1) {
        top = low;
    }

    memset(top, 0, high - top);
}


/* leaks are looked for, and stack pointers are told apart, by these ranges */

static void
ngx_async_stack_register(ngx_async_stack_pool_t *pool, size_t i, char *low)
{
    (void) pool;
    (void) i;
    (void) low;

#if defined(NGX_ASYNC_CORO_ASAN)
    __lsan_register_root_region(low, pool->size);
#endif

#if defined(VALGRIND_STACK_REGISTER)
    pool->valgrind[i] = VALGRIND_STACK_REGISTER(low, low + pool->size - 1);
#endif
}


/* LeakSanitizer looks from the first on, and moves its last to the gap */

static void
ngx_async_stack_unregister(ngx_async_stack_pool_t *pool)
{
    size_t  i, n;

    for (n = 0; n < pool->made; n++) {

        i = n ? pool->made - n : 0;

#if defined(NGX_ASYNC_CORO_ASAN)
        __lsan_unregister_root_region(ngx_async_stack_low(pool, i),
                                      pool->size);
#endif

#if defined(VALGRIND_STACK_DEREGISTER)
        VALGRIND_STACK_DEREGISTER(pool->valgrind[i]);
#endif

        (void) i;
    }
}


size_t
ngx_async_stack_pool_max(ngx_async_stack_pool_t *pool)
{
    return pool->max;
}


size_t
ngx_async_stack_pool_used(ngx_async_stack_pool_t *pool)
{
    return pool->made - pool->nfree - pool->ncold;
}


size_t
ngx_async_stack_pool_idle(ngx_async_stack_pool_t *pool)
{
    return pool->nfree;
}


size_t
ngx_async_stack_pool_made(ngx_async_stack_pool_t *pool)
{
    return pool->made;
}


size_t
ngx_async_stack_pool_stack_size(ngx_async_stack_pool_t *pool)
{
    return pool->stack_size;
}


const char *
ngx_async_stack_pool_guard(ngx_async_stack_pool_t *pool)
{
    return pool->regions ? "region" : "page";
}
