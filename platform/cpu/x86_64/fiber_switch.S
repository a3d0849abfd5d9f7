/*
 * The first switch to a fiber's stack on x86-64 (base/fiber_switch.h, which
 * has the others), by the System V ABI.
 */
        .text

        .globl  fiber_prepare
        .hidden fiber_prepare
        .type   fiber_prepare, @function
        .p2align 4
fiber_prepare:
        .cfi_startproc
        leaq    fiber_first(%rip), %rcx
        leaq    -32(%rdi), %rax
        movq    %rsi, 0(%rax)           /* rbx: begin */
        movq    %rdx, 8(%rax)           /* rbp: argument */
        movq    %rcx, 16(%rax)          /* where to go on */
        ret
        .cfi_endproc
        .size   fiber_prepare, . - fiber_prepare

        .type   fiber_first, @function
        .p2align 4
fiber_first:
        .cfi_startproc
        .cfi_undefined %rip             /* debuggers look no further */
        movq    %rbp, %rdi
        xorl    %ebp, %ebp              /* the end of the frames */
        andq    $-16, %rsp
        call    *%rbx
        ud2
        .cfi_endproc
        .size   fiber_first, . - fiber_first

        .section .note.GNU-stack, "", @progbits
