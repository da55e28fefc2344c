
/*
 * Measures one way of switching stacks: bench-switch WAY ROUNDS prints ns per
 * round trip.  Run by util/bench/switch/run, which also counts instructions
 * with callgrind.  Must not be linked into the module.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE  1
#endif

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "ngx_async_coro.h"


#define STACK  65536
#define MANY   10000


static char  *stack;


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * 1e9 + ts.tv_nsec;
}


/* swapcontext */

static ucontext_t  loop_context, coro_context;


static void
ucontext_entry(void)
{
    for ( ;; ) {
        swapcontext(&coro_context, &loop_context);
    }
}


static void
bench_ucontext(size_t rounds)
{
    getcontext(&coro_context);
    coro_context.uc_stack.ss_sp = stack;
    coro_context.uc_stack.ss_size = STACK;
    makecontext(&coro_context, ucontext_entry, 0);

    while (rounds--) {
        swapcontext(&loop_context, &coro_context);
    }
}


/* sigsetjmp, with no signal mask; the first entry is by swapcontext */

static sigjmp_buf  loop_jump, coro_jump;


static void
sigsetjmp_entry(void)
{
    for ( ;; ) {
        if (sigsetjmp(coro_jump, 0) == 0) {
            siglongjmp(loop_jump, 1);
        }
    }
}


static void
bench_sigsetjmp(size_t rounds)
{
    volatile size_t  left = rounds;

    if (sigsetjmp(loop_jump, 0) == 0) {
        getcontext(&coro_context);
        coro_context.uc_stack.ss_sp = stack;
        coro_context.uc_stack.ss_size = STACK;
        makecontext(&coro_context, sigsetjmp_entry, 0);
        setcontext(&coro_context);
    }

    while (left--) {
        if (sigsetjmp(loop_jump, 0) == 0) {
            siglongjmp(coro_jump, 1);
        }
    }
}


/* Boost.Context's own assembly, without its C++ */

#if defined(BENCH_BOOST)

typedef struct {
    void  *context;
    void  *data;
} transfer_t;

transfer_t jump_fcontext(void *to, void *data);
void *make_fcontext(void *sp, size_t size, void (*fn)(transfer_t));


static void
boost_entry(transfer_t from)
{
    for ( ;; ) {
        from = jump_fcontext(from.context, NULL);
    }
}


static void
bench_boost(size_t rounds)
{
    transfer_t  to;

    to.context = make_fcontext(stack + STACK, STACK, boost_entry);

    while (rounds--) {
        to = jump_fcontext(to.context, NULL);
    }
}

#endif


/* the bare switches, without the coroutine's state around them */

static void  *loop_sp, *coro_sp;

typedef void (*switch_pt)(void **save, void *load);

static switch_pt  bare_switch;


#if defined(__x86_64__)

/* six registers and nothing else, left by ret or by jmp */

void bench_switch_ret(void **save, void *load);
void bench_switch_jmp(void **save, void *load);

#define BENCH_SWITCH(name, leave)                                             \
    __asm__ (                                                                 \
    "    .text\n"                                                             \
    "    .p2align 4\n"                                                        \
    "    .globl " name "\n"                                                   \
    name ":\n"                                                                \
    "    pushq %rbp\n"                                                        \
    "    pushq %rbx\n"                                                        \
    "    pushq %r12\n"                                                        \
    "    pushq %r13\n"                                                        \
    "    pushq %r14\n"                                                        \
    "    pushq %r15\n"                                                        \
    "    movq %rsp, (%rdi)\n"                                                 \
    "    movq %rsi, %rsp\n"                                                   \
    "    popq %r15\n"                                                         \
    "    popq %r14\n"                                                         \
    "    popq %r13\n"                                                         \
    "    popq %r12\n"                                                         \
    "    popq %rbx\n"                                                         \
    "    popq %rbp\n"                                                         \
    leave)

BENCH_SWITCH("bench_switch_ret", "    ret\n");
BENCH_SWITCH("bench_switch_jmp", "    popq %rcx\n    jmpq *%rcx\n");

/* ours, left by ret: its words differ, so it needs a frame of its own */

void bench_switch_ours_ret(void **save, void *load);

__asm__ (
"    .text\n"
"    .p2align 4\n"
"    .globl bench_switch_ours_ret\n"
"bench_switch_ours_ret:\n"
"    pushq %rbp\n"
"    pushq %rbx\n"
"    pushq %r12\n"
"    pushq %r13\n"
"    pushq %r14\n"
"    pushq %r15\n"
"    subq $8, %rsp\n"
"    stmxcsr (%rsp)\n"
"    fnstcw 4(%rsp)\n"
"    movq %rsp, (%rdi)\n"
"    movl (%rsp), %eax\n"
"    xorl (%rsi), %eax\n"
"    testl $0xffc0, %eax\n"
"    jne 2f\n"
"    movzwl 4(%rsp), %eax\n"
"    cmpw 4(%rsi), %ax\n"
"    jne 2f\n"
"1:  leaq 8(%rsi), %rsp\n"
"    popq %r15\n"
"    popq %r14\n"
"    popq %r13\n"
"    popq %r12\n"
"    popq %rbx\n"
"    popq %rbp\n"
"    ret\n"
"2:  ldmxcsr (%rsi)\n"
"    fldcw 4(%rsi)\n"
"    jmp 1b\n"
);

#endif


static void
bare_entry(void)
{
    for ( ;; ) {
        bare_switch(&coro_sp, loop_sp);
    }
}


/* frame: what the switch pops before the address, in words */

static void
bench_bare(size_t rounds, switch_pt with, size_t frame)
{
    uint64_t  *sp;

    bare_switch = with;

    sp = (uint64_t *) (stack + STACK) - 2;
    *sp = (uintptr_t) bare_entry;
    sp -= frame;

    if (frame == 7) {
        *sp = ngx_async_coro_control();
    }

    coro_sp = sp;

    while (rounds--) {
        with(&loop_sp, coro_sp);
    }
}


/* what a task pays: with state, checks, errno */

static void
forever(void *data)
{
    (void) data;

    for ( ;; ) {
        ngx_async_coro_suspend();
    }
}


static void
bench_ours(size_t rounds, size_t n)
{
    size_t                   i;
    ngx_async_coro_t       **coro;
    ngx_async_stack_pool_t  *pool;

    pool = ngx_async_stack_pool_create(STACK, n);
    coro = calloc(n, sizeof(ngx_async_coro_t *));

    for (i = 0; i < n; i++) {
        coro[i] = ngx_async_coro_create(pool, forever, 512);
    }

    for (i = 0; rounds--; i = i + 1 == n ? 0 : i + 1) {
        ngx_async_coro_resume(coro[i]);
    }

    free(coro);
}


static void
nothing(void *data)
{
    (void) data;
}


static void
bench_life(size_t rounds, size_t data_size)
{
    ngx_async_coro_t        *coro;
    ngx_async_stack_pool_t  *pool;

    pool = ngx_async_stack_pool_create(STACK, 16);

    while (rounds--) {
        coro = ngx_async_coro_create(pool, nothing, data_size);
        ngx_async_coro_resume(coro);
        ngx_async_coro_destroy(coro);
    }
}


static int
bench(const char *way, size_t rounds)
{
    if (strcmp(way, "swapcontext") == 0) {
        bench_ucontext(rounds);
    } else if (strcmp(way, "sigsetjmp") == 0) {
        bench_sigsetjmp(rounds);
#if defined(BENCH_BOOST)
    } else if (strcmp(way, "boost") == 0) {
        bench_boost(rounds);
#endif
#if defined(__x86_64__)
    } else if (strcmp(way, "ret") == 0) {
        bench_bare(rounds, bench_switch_ret, 6);
    } else if (strcmp(way, "jmp") == 0) {
        bench_bare(rounds, bench_switch_jmp, 6);
    } else if (strcmp(way, "ours-ret") == 0) {
        bench_bare(rounds, bench_switch_ours_ret, 7);
    } else if (strcmp(way, "ours-bare") == 0) {
        bench_bare(rounds, ngx_async_coro_switch, 7);
#endif
    } else if (strcmp(way, "ours") == 0) {
        bench_ours(rounds, 1);
    } else if (strcmp(way, "many") == 0) {
        bench_ours(rounds, MANY);
    } else if (strcmp(way, "life") == 0) {
        bench_life(rounds, 0);
    } else if (strcmp(way, "life-512") == 0) {
        bench_life(rounds, 512);
    } else {
        return -1;
    }

    return 0;
}


int
main(int argc, char **argv)
{
    double  start;
    size_t  rounds;

    if (argc != 3) {
        fprintf(stderr, "usage: bench-switch WAY ROUNDS\n");
        return 2;
    }

    rounds = strtoul(argv[2], NULL, 10);
    stack = mmap(NULL, STACK, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS,
                 -1, 0);

    if (stack == MAP_FAILED) {
        return 1;
    }

    start = now();

    if (bench(argv[1], rounds) == -1) {
        return 2;
    }

    printf("%.2f\n", (now() - start) / rounds);

    return 0;
}
