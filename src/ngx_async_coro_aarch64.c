
/*
 * The switch for 64-bit ARM (AAPCS64).  Called through ngx_async_coro_switch.h
 * only.  It is assembly at top level, since nginx's build knows only .c files,
 * and it must not touch memory below a stack pointer it has given up.
 */


#include "ngx_async_coro_switch.h"


#if defined(__aarch64__) && !defined(NGX_ASYNC_CORO_UCONTEXT)


/*
 * The frame is ngx_async_coro_frame_t.  It is left by br and not by ret, which
 * the processor would have predicted to go to where the last call came from.
 * FPCR holds control bits only (the sticky ones are in FPSR) and is written
 * only where it differs, since writing it stalls.  x18 is the platform's.
 * The CFI holds on both sides of the change of stacks, as frames are alike.
 */

__asm__ (

"    .text\n"
"    .p2align 4\n"
"    .globl ngx_async_coro_switch\n"
"    .hidden ngx_async_coro_switch\n"
"    .type ngx_async_coro_switch, %function\n"
"ngx_async_coro_switch:\n"
"    .cfi_startproc\n"
"    sub sp, sp, #176\n"
"    .cfi_adjust_cfa_offset 176\n"
"    stp x19, x20, [sp, #16]\n"
"    stp x21, x22, [sp, #32]\n"
"    stp x23, x24, [sp, #48]\n"
"    stp x25, x26, [sp, #64]\n"
"    stp x27, x28, [sp, #80]\n"
"    stp x29, x30, [sp, #96]\n"
"    .cfi_rel_offset x29, 96\n"
"    .cfi_rel_offset x30, 104\n"
"    stp d8, d9, [sp, #112]\n"
"    stp d10, d11, [sp, #128]\n"
"    stp d12, d13, [sp, #144]\n"
"    stp d14, d15, [sp, #160]\n"

"    mrs x9, fpcr\n"
"    str x9, [sp]\n"
"    mov x10, sp\n"
"    str x10, [x0]\n"

"    ldr x11, [x1]\n"
"    cmp x9, x11\n"
"    b.eq 1f\n"
"    msr fpcr, x11\n"

"1:  mov sp, x1\n"
"    ldp x19, x20, [sp, #16]\n"
"    ldp x21, x22, [sp, #32]\n"
"    ldp x23, x24, [sp, #48]\n"
"    ldp x25, x26, [sp, #64]\n"
"    ldp x27, x28, [sp, #80]\n"
"    ldp x29, x30, [sp, #96]\n"
"    .cfi_restore x29\n"
"    .cfi_restore x30\n"
"    ldp d8, d9, [sp, #112]\n"
"    ldp d10, d11, [sp, #128]\n"
"    ldp d12, d13, [sp, #144]\n"
"    ldp d14, d15, [sp, #160]\n"
"    add sp, sp, #176\n"
"    .cfi_adjust_cfa_offset -176\n"
"    br x30\n"
"    .cfi_endproc\n"
"    .size ngx_async_coro_switch, . - ngx_async_coro_switch\n"

"    .p2align 4\n"
"    .globl ngx_async_coro_start\n"
"    .hidden ngx_async_coro_start\n"
"    .hidden ngx_async_coro_main\n"
"    .type ngx_async_coro_start, %function\n"
"ngx_async_coro_start:\n"
"    .cfi_startproc\n"
"    .cfi_undefined x30\n"
"    mov x29, #0\n"
"    mov x30, #0\n"
"    bl ngx_async_coro_main\n"
"    brk #1\n"
"    .cfi_endproc\n"
"    .size ngx_async_coro_start, . - ngx_async_coro_start\n"

);


#endif


/* a translation unit may not be empty */

typedef int  ngx_async_coro_aarch64_t;
