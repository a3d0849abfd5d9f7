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
                       "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3",
                       "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc",
                       "memory");
}

#else
#error "fiber_switch is not written for this processor yet"
#endif

#endif
