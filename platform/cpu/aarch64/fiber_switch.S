/*
 * The first switch to a fiber's stack on aarch64 (base/fiber_switch.h, which
 * has the others), by the procedure call standard.
 */
        .text

        .globl  fiber_prepare
        .hidden fiber_prepare
        .type   fiber_prepare, %function
        .p2align 4
fiber_prepare:
        .cfi_startproc
        adr     x9, fiber_first
        stp     x1, x2, [x0, #-16]      /* begin, argument */
        stp     xzr, x9, [x0, #-32]!    /* no frame; where to go on */
        ret
        .cfi_endproc
        .size   fiber_prepare, . - fiber_prepare

        .type   fiber_first, %function
        .p2align 4
fiber_first:
        .cfi_startproc
        .cfi_undefined x30              /* debuggers look no further */
        ldp     x1, x0, [sp], #16
        mov     x30, xzr
        blr     x1
        brk     #0
        .cfi_endproc
        .size   fiber_first, . - fiber_first

        .section .note.GNU-stack, "", %progbits
