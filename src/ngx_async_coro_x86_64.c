
/*
 * The switch for x86-64 (System V ABI).  Called through ngx_async_coro_switch.h
 * only.  It is assembly at top level, since nginx's build knows only .c files,
 * and it must not touch memory below a stack pointer it has given up.
 */


#include "ngx_async_coro_switch.h"


#if defined(__x86_64__) && !defined(NGX_ASYNC_CORO_UCONTEXT)


/* with -fcf-protection every target of an indirect jump is marked */

#if defined(__CET__) && (__CET__ & 1)
#define NGX_ASYNC_CORO_LANDING  "endbr64\n"
#else
#define NGX_ASYNC_CORO_LANDING  ""
#endif


/*
 * The address is popped and jumped to, 14 ns faster than a ret, which the
 * processor would have predicted to go to where the last call came from.
 * For the same reason a shadow stack cannot follow: this file must not claim
 * (by .note.gnu.property) that it works with one.
 *
 * Loading MXCSR or the x87's control word costs up to 100 ns, so it is done
 * only where control bits differ (0xffc0 leaves out the six sticky flags).
 * The CFI holds on both sides of the change of stacks, as frames are alike.
 */

#define NGX_ASYNC_CORO_PUSH(reg)                                              \
    "    pushq %" reg "\n"                                                     \
    "    .cfi_adjust_cfa_offset 8\n"                                          \
    "    .cfi_rel_offset %" reg ", 0\n"

#define NGX_ASYNC_CORO_POP(reg)                                               \
    "    popq %" reg "\n"                                                      \
    "    .cfi_adjust_cfa_offset -8\n"


__asm__ (

"    .text\n"
"    .p2align 4\n"
"    .globl ngx_async_coro_switch\n"
"    .hidden ngx_async_coro_switch\n"
"    .type ngx_async_coro_switch, @function\n"
"ngx_async_coro_switch:\n"
"    .cfi_startproc\n"
     NGX_ASYNC_CORO_LANDING
     NGX_ASYNC_CORO_PUSH("rbp")
     NGX_ASYNC_CORO_PUSH("rbx")
     NGX_ASYNC_CORO_PUSH("r12")
     NGX_ASYNC_CORO_PUSH("r13")
     NGX_ASYNC_CORO_PUSH("r14")
     NGX_ASYNC_CORO_PUSH("r15")
"    subq $8, %rsp\n"
"    .cfi_adjust_cfa_offset 8\n"

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

"1:  .cfi_remember_state\n"
"    leaq 8(%rsi), %rsp\n"
"    .cfi_adjust_cfa_offset -8\n"
     NGX_ASYNC_CORO_POP("r15")
     NGX_ASYNC_CORO_POP("r14")
     NGX_ASYNC_CORO_POP("r13")
     NGX_ASYNC_CORO_POP("r12")
     NGX_ASYNC_CORO_POP("rbx")
     NGX_ASYNC_CORO_POP("rbp")
     NGX_ASYNC_CORO_POP("rcx")
"    .cfi_register %rip, %rcx\n"
"    jmpq *%rcx\n"

"2:  .cfi_restore_state\n"
"    ldmxcsr (%rsi)\n"
"    fldcw 4(%rsi)\n"
"    jmp 1b\n"
"    .cfi_endproc\n"
"    .size ngx_async_coro_switch, . - ngx_async_coro_switch\n"

"    .p2align 4\n"
"    .globl ngx_async_coro_start\n"
"    .hidden ngx_async_coro_start\n"
"    .hidden ngx_async_coro_main\n"
"    .type ngx_async_coro_start, @function\n"
"ngx_async_coro_start:\n"
"    .cfi_startproc\n"
"    .cfi_undefined %rip\n"
     NGX_ASYNC_CORO_LANDING
"    xorl %ebp, %ebp\n"
"    call ngx_async_coro_main\n"
"    ud2\n"
"    .cfi_endproc\n"
"    .size ngx_async_coro_start, . - ngx_async_coro_start\n"

);


#endif


/* a translation unit may not be empty */

typedef int  ngx_async_coro_x86_64_t;
