/*
 * A virtual machine on KVM: memory, one processor, and nothing else. It leaves
 * its guest only for hypercalls and for what no guest should do.
 */
#ifndef TENDER_HVT_MACHINE_H
#define TENDER_HVT_MACHINE_H

#include <linux/kvm.h>

#include "base/err.h"
#include "tender/common/guest.h"

struct machine {
    int kvm, vm, processor;
    struct kvm_run *run; /* what the processor stopped for */
    struct guest guest;
    uint64_t tick_rate; /* of the guest's counter, per second */
    uint64_t exits;
};

/*
 * Make a machine with `mem_size` bytes of zeroed memory. What goes wrong ends
 * the process with a message.
 */
void machine_make(struct machine *machine, uint64_t mem_size);

/*
 * Write the tables that Solo5 promises to the guest's memory, and have the
 * processor begin at `entry`. Everything is mapped where it is; nothing below
 * 0x10000, and what is below 0x100000 for reading only.
 */
void machine_prepare(struct machine *machine, uint64_t entry);

/* Run the guest until it needs somebody. False with errno set. */
MUST_USE bool machine_run(struct machine *machine);

/*
 * Whether it stopped for a hypercall: then its number, and the address of its
 * structure.
 */
bool machine_called(const struct machine *machine, uint32_t *number,
                    uint64_t *address);

/* In words, why it stopped, or why (`error`, of errno) it does not run. */
void machine_explain(const struct machine *machine, int error, char *text,
                     size_t size);

#endif
