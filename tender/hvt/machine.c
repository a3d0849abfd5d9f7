/* The virtual machine: see machine.h. */
#include "tender/hvt/machine.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "abi/hvt.h"

enum {
    API_VERSION = 12,
    CPUID_ENTRIES = 256,

    /* Where the tables are; all within the guest's first page table. */
    GDT = 0x1000,
    PML4 = 0x2000,
    PDPT = 0x3000,
    DIRECTORIES = 0x4000, /* four */
    PAGES = 0x8000,
    TABLES_END = 0x10000, /* not mapped below */

    GIB = 1 << 30,
    ENTRIES = 512,
    PRESENT = 1,
    WRITABLE = 2,
    LARGE = 128,

    CODE = 1, /* entries of the GDT */
    DATA = 2,
    SEGMENT_CODE = 9, /* execute only, accessed: as Solo5 has it */
    SEGMENT_DATA = 3,
    SEGMENT_TASK = 11,

    CR0 = 0x10021, /* PE, NE, WP */
    CR4 = 0x620,   /* PAE, OSFXSR, OSXMMEXCPT */
    EFER = 0x500,  /* LME, LMA */
};

#define CR0_PAGING UINT64_C(0x80000000)

static void open_kvm(struct machine *machine)
{
    machine->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (machine->kvm < 0)
        errx(1,
             "/dev/kvm cannot be opened: %s. This tender needs KVM, and the "
             "right to read and write that file; the target spt needs neither",
             strerror(errno));
    if (ioctl(machine->kvm, KVM_GET_API_VERSION, 0) != API_VERSION)
        errx(1, "/dev/kvm has another interface than this tender");
    machine->vm = ioctl(machine->kvm, KVM_CREATE_VM, 0);
    machine->processor = ioctl(machine->vm, KVM_CREATE_VCPU, 0);
    int size = ioctl(machine->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (machine->processor < 0 || size < (int)sizeof(struct kvm_run))
        err(1, "KVM gives no virtual machine");
    machine->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
                        machine->processor, 0);
    if (machine->run == MAP_FAILED)
        err(1, "KVM's page of the processor cannot be mapped");
    int rate = ioctl(machine->processor, KVM_GET_TSC_KHZ, 0);
    if (rate <= 0)
        errx(1, "host TSC is unstable, cannot continue: guests take the time "
                "from it");
    machine->tick_rate = (uint64_t)rate * 1000;
}

static void map_memory(struct machine *machine, uint64_t mem_size)
{
    uint8_t *room = mmap(NULL, mem_size + HVT_MEMORY_UNIT, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    /* On a large page's boundary, so that the host may use some. */
    uint8_t *memory = room + -(uintptr_t)room % HVT_MEMORY_UNIT;

    if (room == MAP_FAILED ||
        mprotect(memory, mem_size, PROT_READ | PROT_WRITE) != 0)
        err(1,
            "cannot have %llu MiB of memory for the guest: give a smaller "
            "--mem",
            (unsigned long long)(mem_size >> 20));
    struct kvm_userspace_memory_region region = {
        .memory_size = mem_size, .userspace_addr = (uintptr_t)memory};
    if (ioctl(machine->vm, (int)KVM_SET_USER_MEMORY_REGION, &region) != 0)
        err(1, "KVM refuses the guest's memory");
    machine->guest = (struct guest){.memory = memory, .mem_size = mem_size};
}

/* What the guest is told about its processor: what KVM can give it. */
static void set_cpuid(const struct machine *machine)
{
    enum { VMX = 1 << 5, SVM = 1 << 2, SGX = 1 << 2 };
    struct kvm_cpuid2 *table =
        calloc(1, sizeof(*table) + CPUID_ENTRIES * sizeof(table->entries[0]));

    if (table == NULL)
        err(1, "no memory");
    table->nent = CPUID_ENTRIES;
    if (ioctl(machine->kvm, (int)KVM_GET_SUPPORTED_CPUID, table) != 0)
        err(1, "KVM does not say what processors it gives");
    /* Machines of its own, and enclaves, are none of a unikernel's business. */
    for (uint32_t i = 0; i < table->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &table->entries[i];
        if (entry->function == 1)
            entry->ecx &= ~(uint32_t)VMX;
        else if (entry->function == 7 && entry->index == 0)
            entry->ebx &= ~(uint32_t)SGX;
        else if (entry->function == 0x80000001)
            entry->ecx &= ~(uint32_t)SVM;
    }
    if (ioctl(machine->processor, (int)KVM_SET_CPUID2, table) != 0)
        err(1, "KVM refuses the features it has named itself");
    free(table);
}

void machine_make(struct machine *machine, uint64_t mem_size)
{
    *machine = (struct machine){0};
    open_kvm(machine);
    map_memory(machine, mem_size);
    set_cpuid(machine);
}

static void put_entry(const struct machine *machine, uint64_t table,
                      uint64_t index, uint64_t value)
{
    memcpy(machine->guest.memory + table + index * sizeof(value), &value,
           sizeof(value));
}

static void write_tables(const struct machine *machine)
{
    uint64_t size = machine->guest.mem_size;

    put_entry(machine, GDT, CODE, UINT64_C(0x00af99000000ffff));
    put_entry(machine, GDT, DATA, UINT64_C(0x00cf93000000ffff));
    put_entry(machine, PML4, 0, PDPT | PRESENT | WRITABLE);
    for (uint64_t i = 0; i * GIB < size; i++)
        put_entry(machine, PDPT, i,
                  (DIRECTORIES + i * SOLO5_PAGE) | PRESENT | WRITABLE);
    put_entry(machine, DIRECTORIES, 0, PAGES | PRESENT | WRITABLE);
    for (uint64_t i = 1; i * HVT_MEMORY_UNIT < size; i++)
        put_entry(machine, DIRECTORIES, i,
                  i * HVT_MEMORY_UNIT | PRESENT | WRITABLE | LARGE);
    for (uint64_t i = TABLES_END / SOLO5_PAGE; i < ENTRIES; i++) {
        uint64_t rights = PRESENT;
        if (i * SOLO5_PAGE >= SOLO5_IMAGE_START)
            rights |= WRITABLE;
        put_entry(machine, PAGES, i, i * SOLO5_PAGE | rights);
    }
}

static struct kvm_segment segment(uint16_t index, uint8_t type)
{
    struct kvm_segment s = {.limit = 0xffffffff,
                            .selector = (uint16_t)(index * 8),
                            .type = type,
                            .present = 1,
                            .s = 1,
                            .g = 1};
    s.l = type == SEGMENT_CODE;
    s.db = type == SEGMENT_DATA;
    return s;
}

void machine_prepare(struct machine *machine, uint64_t entry)
{
    struct kvm_sregs special;
    struct kvm_segment data = segment(DATA, SEGMENT_DATA);
    struct kvm_regs general = {.rip = entry,
                               .rflags = 2,
                               .rdi = HVT_BOOT_INFO,
                               .rsp = machine->guest.mem_size - 8};

    write_tables(machine);
    if (ioctl(machine->processor, (int)KVM_GET_SREGS, &special) != 0)
        err(1, "KVM does not show the processor's registers");
    special.cr0 = CR0 | CR0_PAGING;
    special.cr3 = PML4;
    special.cr4 = CR4;
    special.efer = EFER;
    special.cs = segment(CODE, SEGMENT_CODE);
    special.ds = special.es = special.fs = special.gs = special.ss = data;
    special.tr = (struct kvm_segment){.type = SEGMENT_TASK, .present = 1};
    special.ldt = (struct kvm_segment){.unusable = 1};
    special.gdt = (struct kvm_dtable){.base = GDT, .limit = 3 * 8 - 1};
    special.idt = (struct kvm_dtable){0};
    if (ioctl(machine->processor, (int)KVM_SET_SREGS, &special) != 0 ||
        ioctl(machine->processor, (int)KVM_SET_REGS, &general) != 0)
        err(1, "KVM refuses the processor's first registers");
}

bool machine_run(struct machine *machine)
{
    machine->exits++;
    return ioctl(machine->processor, KVM_RUN, 0) == 0;
}

bool machine_called(const struct machine *machine, uint32_t *number,
                    uint64_t *address)
{
    const struct kvm_run *run = machine->run;
    uint32_t value;

    if (run->exit_reason != KVM_EXIT_IO ||
        run->io.direction != KVM_EXIT_IO_OUT || run->io.size != sizeof(value) ||
        run->io.count != 1 || run->io.port < HVT_PORT ||
        run->io.port >= HVT_PORT + 0x100)
        return false;
    memcpy(&value, (const uint8_t *)run + run->io.data_offset, sizeof(value));
    *number = run->io.port - (uint32_t)HVT_PORT;
    *address = value;
    return true;
}

void machine_explain(const struct machine *machine, int error, char *text,
                     size_t size)
{
    const struct kvm_run *run = machine->run;
    struct kvm_regs general = {0};

    (void)ioctl(machine->processor, (int)KVM_GET_REGS, &general);
    unsigned long long rip = general.rip;
    if (error == EFAULT)
        (void)snprintf(text, size,
                       "KVM: host/guest translation fault: rip=0x%llx (it "
                       "wrote to memory that is read-only)",
                       rip);
    else if (error != 0)
        (void)snprintf(text, size, "KVM: cannot run the guest: %s, rip=0x%llx",
                       strerror(error), rip);
    else if (run->exit_reason == KVM_EXIT_IO)
        (void)snprintf(text, size, "Invalid guest port access: port=0x%x",
                       (unsigned)run->io.port);
    else
        (void)snprintf(text, size,
                       "KVM: unhandled exit: exit_reason=0x%x, rip=0x%llx",
                       (unsigned)run->exit_reason, rip);
}
