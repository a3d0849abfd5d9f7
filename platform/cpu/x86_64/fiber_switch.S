/*
 * Switching stacks on x86-64 (base/fiber_switch.h), by the System V ABI.
 *
 * A switch is a function call, so only what a callee must preserve is saved.
 * The control words of the SSE and x87 units belong to that too, but nothing
 * in a unikernel changes them.
 *
 *     stack pointer -> rbp rbx r12 r13 r14 r15 return address
 */
        .text

        .globl  fiber_switch
        .hidden fiber_switch
        .type   fiber_switch, @function
        .p2align 4
fiber_switch:
        .cfi_startproc
        pushq   %r15
        pushq   %r14
        pushq   %r13
        pushq   %r12
        pushq   %rbx
        pushq   %rbp
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        popq    %rbp
        popq    %rbx
        popq    %r12
        popq    %r13
        popq    %r14
        popq    %r15
        /* Not ret: the processor would predict a return to the wrong stack. */
        popq    %rcx
        jmp     *%rcx
        .cfi_endproc
        .size   fiber_switch, . - fiber_switch

        .globl  fiber_prepare
        .hidden fiber_prepare
        .type   fiber_prepare, @function
        .p2align 4
fiber_prepare:
        .cfi_startproc
        leaq    fiber_first(%rip), %rcx
        leaq    -64(%rdi), %rax
        movq    $0, 0(%rax)             /* rbp: the end of the frames */
        movq    $0, 8(%rax)             /* rbx */
        movq    %rsi, 16(%rax)          /* r12: begin */
        movq    %rdx, 24(%rax)          /* r13: argument */
        movq    $0, 32(%rax)            /* r14 */
        movq    $0, 40(%rax)            /* r15 */
        movq    %rcx, 48(%rax)          /* return address */
        ret
        .cfi_endproc
        .size   fiber_prepare, . - fiber_prepare

        .type   fiber_first, @function
        .p2align 4
fiber_first:
        .cfi_startproc
        .cfi_undefined %rip             /* debuggers look no further */
        movq    %r13, %rdi
        andq    $-16, %rsp
        call    *%r12
        ud2
        .cfi_endproc
        .size   fiber_first, . - fiber_first

        .section .note.GNU-stack, "", @progbits
