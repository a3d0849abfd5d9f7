/*
 * What fibers need of a processor: continuing on another stack.
 *
 * It is written into the code that switches and not called. A processor keeps
 * the return addresses of calls on a stack of its own to predict returns; a
 * call that comes back on another stack puts that out of step, and the return
 * after each switch is then mispredicted (29 ns instead of 9 ns, measured).
 * This leaves that stack as it finds it.
 */
#ifndef BASE_FIBER_SWITCH_H
#define BASE_FIBER_SWITCH_H

/*
 * A stack pointer for the first switch to a new stack that ends at `top` (16
 * bytes aligned): it calls begin(argument), which must not return. In
 * platform/cpu/, for each processor.
 */
void *fiber_prepare(void *top, void (*begin)(void *argument), void *argument);

#if defined(__x86_64__)

/* Code compiled without vector registers has none to lose. */
#ifdef __SSE__
#define FIBER_SWITCH_VECTORS                                                   \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",    \
        "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
#else
#define FIBER_SWITCH_VECTORS
#endif

/*
 * Continue on the stack `to`, a stack pointer that was saved by a switch or
 * made by fiber_prepare; save the present one in `*from`. Goes on here when
 * something switches back to that.
 *
 *     stack pointer -> rbx rbp, where to go on
 *
 * The compiler saves what else it needs: all other registers are lost, also
 * the vector ones. The control words of the SSE and x87 units are kept, as
 * nothing in a unikernel changes them. First it steps over the 128 bytes that
 * the ABI lets a function use below its stack pointer.
 */
static inline __attribute__((always_inline)) void fiber_switch(void **from,
                                                               void *to)
{
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "pushq %%rbp\n\t"
                     "pushq %%rbx\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq %%rsi, %%rsp\n\t"
                     "popq %%rbx\n\t"
                     "popq %%rbp\n\t"
                     "popq %%rax\n\t"
                     "jmp *%%rax\n"
                     "1:\tleaq 128(%%rsp), %%rsp"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12",
                       "r13", "r14", "r15", FIBER_SWITCH_VECTORS "cc",
                       "memory");
}

#elif defined(__aarch64__)

/*
 * The same, with
 *
 *     stack pointer -> x29, where to go on
 *
 * The control register of the floating-point unit is kept, as nothing in a
 * unikernel changes it.
 */
static inline __attribute__((always_inline)) void fiber_switch(void **from,
                                                               void *to)
{
    register void **x0 __asm__("x0") = from;
    register void *x1 __asm__("x1") = to;

    __asm__ volatile("adr x9, 1f\n\t"
                     "stp x29, x9, [sp, #-16]!\n\t"
                     "mov x9, sp\n\t"
                     "str x9, [%0]\n\t"
                     "mov sp, %1\n\t"
                     "ldp x29, x9, [sp], #16\n\t"
                     "br x9\n"
                     "1:"
                     : "+r"(x0), "+r"(x1)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
                       "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",
                       "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
                       "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5",
                       "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
                       "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21",
                       "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                       "v30", "v31", "cc", "memory");
}

#else
#error "fiber_switch is not written for this processor yet"
#endif

#endif
