/*
 * What fibers need of a processor, in assembly: platform/cpu/ has a
 * fiber_switch.S for each.
 */
#ifndef BASE_FIBER_SWITCH_H
#define BASE_FIBER_SWITCH_H

/*
 * Continue on the stack `to`, a stack pointer that fiber_switch saved or
 * fiber_prepare made; save the present one in `*from`. Returns when something
 * switches back to that.
 */
void fiber_switch(void **from, void *to);

/*
 * A stack pointer for the first switch to a new stack that ends at `top` (16
 * bytes aligned): it calls begin(argument), which must not return.
 */
void *fiber_prepare(void *top, void (*begin)(void *argument), void *argument);

#endif
