
/*
 * What AddressSanitizer and ThreadSanitizer must be told about switches.
 * Included by ngx_async_coro.h only; no other file of the project may call
 * their fiber interface.  Without them every function here is empty.
 *
 * All are always inlined: a call of its own would begin on one shadow stack of
 * ThreadSanitizer and end on another.
 */


#ifndef _NGX_ASYNC_CORO_HOOKS_H_INCLUDED_
#define _NGX_ASYNC_CORO_HOOKS_H_INCLUDED_


#include <stddef.h>


#if defined(__SANITIZE_ADDRESS__)
#define NGX_ASYNC_CORO_ASAN  1
#endif

#if defined(__SANITIZE_THREAD__)
#define NGX_ASYNC_CORO_TSAN  1
#endif

#if defined(__has_feature)

#if __has_feature(address_sanitizer) && !defined(NGX_ASYNC_CORO_ASAN)
#define NGX_ASYNC_CORO_ASAN  1
#endif

#if __has_feature(thread_sanitizer) && !defined(NGX_ASYNC_CORO_TSAN)
#define NGX_ASYNC_CORO_TSAN  1
#endif

#endif


#if defined(NGX_ASYNC_CORO_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

#if defined(NGX_ASYNC_CORO_TSAN)
#include <sanitizer/tsan_interface.h>
#endif


#define NGX_ASYNC_CORO_HOOK  static inline __attribute__((always_inline))


typedef struct {
#if defined(NGX_ASYNC_CORO_ASAN)
    void         *fake;                    /* the coroutine's fake stack */
    void         *loop_fake;
    const void   *loop_low;
    size_t        loop_size;
#endif
#if defined(NGX_ASYNC_CORO_TSAN)
    void         *fiber;
    void         *loop_fiber;
#endif
    char          unused[0];
} ngx_async_coro_hooks_t;


/* loop side: a stack is taken from the pool and goes back to it */

NGX_ASYNC_CORO_HOOK void
ngx_async_coro_hook_create(ngx_async_coro_hooks_t *hooks)
{
    (void) hooks;

#if defined(NGX_ASYNC_CORO_ASAN)
    hooks->fake = NULL;
#endif
#if defined(NGX_ASYNC_CORO_TSAN)
    hooks->fiber = __tsan_create_fiber(0);
#endif
}


NGX_ASYNC_CORO_HOOK void
ngx_async_coro_hook_destroy(ngx_async_coro_hooks_t *hooks, int ran, void *low,
    size_t size)
{
    (void) hooks;
    (void) ran;
    (void) low;
    (void) size;

#if defined(NGX_ASYNC_CORO_ASAN)
    if (ran) {
        __asan_unpoison_memory_region(low, size);
    }
#endif
#if defined(NGX_ASYNC_CORO_TSAN)
    __tsan_destroy_fiber(hooks->fiber);
#endif
}


/* loop side: the last thing before a switch and the first after it */

NGX_ASYNC_CORO_HOOK void
ngx_async_coro_hook_enter(ngx_async_coro_hooks_t *hooks, void *low, size_t size)
{
    (void) hooks;
    (void) low;
    (void) size;

#if defined(NGX_ASYNC_CORO_ASAN)
    __sanitizer_start_switch_fiber(&hooks->loop_fake, low, size);
#endif
#if defined(NGX_ASYNC_CORO_TSAN)
    hooks->loop_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(hooks->fiber, 0);
#endif
}


NGX_ASYNC_CORO_HOOK void
ngx_async_coro_hook_left(ngx_async_coro_hooks_t *hooks)
{
    (void) hooks;

#if defined(NGX_ASYNC_CORO_ASAN)
    __sanitizer_finish_switch_fiber(hooks->loop_fake, NULL, NULL);
#endif
}


/* coroutine side: the first thing after a switch and the last before it */

NGX_ASYNC_CORO_HOOK void
ngx_async_coro_hook_entered(ngx_async_coro_hooks_t *hooks)
{
    (void) hooks;

#if defined(NGX_ASYNC_CORO_ASAN)
    __sanitizer_finish_switch_fiber(hooks->fake, &hooks->loop_low,
                                    &hooks->loop_size);
#endif
}


/* after the last one the fake stack is freed, so it is not to be kept */

NGX_ASYNC_CORO_HOOK void
ngx_async_coro_hook_leave(ngx_async_coro_hooks_t *hooks, int last)
{
    (void) hooks;
    (void) last;

#if defined(NGX_ASYNC_CORO_ASAN)
    __sanitizer_start_switch_fiber(last ? NULL : &hooks->fake,
                                   hooks->loop_low, hooks->loop_size);
#endif
#if defined(NGX_ASYNC_CORO_TSAN)
    __tsan_switch_to_fiber(hooks->loop_fiber, 0);
#endif
}


#endif /* _NGX_ASYNC_CORO_HOOKS_H_INCLUDED_ */
