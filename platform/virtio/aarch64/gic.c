/*
 * Interrupts of an arm64 machine: a GICv2 or a GICv3 (Arm IHI 0048, 0069).
 *
 * The processor is never interrupted: a pending interrupt ends its sleep also
 * while it is masked, and it is then taken note of here. So there is no
 * handler, and no state to be saved.
 */
#include "base/small.h"

#include "platform/virtio/aarch64/virt.h"
#include "platform/virtio/io.h"
#include "platform/virtio/irq.h"

enum {
    /* Of the distributor; those of the second kind have a bit per line, of
     * the third a byte, of the fourth two bits. */
    D_CONTROL = 0x000,
    D_GROUP = 0x080,
    D_ENABLE = 0x100,
    D_PRIORITY = 0x400,
    D_TARGET = 0x800,
    D_CONFIGURATION = 0xc00,
    D_ROUTE = 0x6000, /* 8 bytes per line; version 3 */
    D_ON = 1,
    D_ON_GROUP_1 = 2,
    D_BY_AFFINITY = 1 << 4,
    EDGE = 2,

    /* Of version 2's processor interface. */
    C_CONTROL = 0x00,
    C_PRIORITY_MASK = 0x04,
    C_ACKNOWLEDGE = 0x0c,
    C_END = 0x10,

    /* Of version 3's redistributor: a page of its own for private lines. */
    R_WAKER = 0x14,
    R_ASLEEP = 1 << 1,
    R_CHILDREN_ASLEEP = 1 << 2,
    R_PRIVATE = 0x10000,
    R_LOOKS = 100000,

    PRIVATE_LINES = 32,
    LINES = 1020, /* those above are not lines */
    PRIORITY = 0x80,
    DRAINED_MAX = 64, /* in one go: lines that never fall do not hang us */
};

static unsigned version; /* 0: there is none */
static uintptr_t distributor, interface, private_lines;
static uint32_t lines[IRQ_MAX]; /* of those attached */
static uint8_t given;
static uint32_t came;

/* Set `bits` of a field of `width` bits that each line has. */
static void set_field(uintptr_t registers, uint32_t at, uint32_t line,
                      uint32_t width, uint32_t bits)
{
    uintptr_t place = registers + at + line * width / 32 * 4;
    uint32_t shift = line * width % 32;
    uint32_t mask = ((UINT32_C(1) << width) - 1) << shift;

    io_write32(place, (io_read32(place) & ~mask) | bits << shift);
}

/* Have a line be told to this processor. */
static void enable(uint32_t line)
{
    bool is_private = line < PRIVATE_LINES;
    uintptr_t at = version == 3 && is_private ? private_lines : distributor;

    set_field(at, D_PRIORITY, line, 8, PRIORITY);
    if (!is_private)
        set_field(at, D_CONFIGURATION, line, 2, EDGE);
    if (version == 3) {
        set_field(at, D_GROUP, line, 1, 1);
        /* To processor 0, where we are. */
        if (!is_private) {
            io_write32(at + D_ROUTE + (uintptr_t)line * 8, 0);
            io_write32(at + D_ROUTE + (uintptr_t)line * 8 + 4, 0);
        }
    } else if (!is_private) {
        set_field(at, D_TARGET, line, 8, 1);
    }
    /* Zeros leave the others as they are. */
    io_write32(at + D_ENABLE + line / 32 * 4, UINT32_C(1) << line % 32);
}

static void init_2(void)
{
    io_write32(distributor + D_CONTROL, D_ON);
    io_write32(interface + C_PRIORITY_MASK, 0xff);
    io_write32(interface + C_CONTROL, 1);
}

static void init_3(void)
{
    uint64_t on;

    io_write32(distributor + D_CONTROL, D_BY_AFFINITY);
    io_write32(distributor + D_CONTROL, D_BY_AFFINITY | D_ON | D_ON_GROUP_1);
    io_write32(interface + R_WAKER,
               io_read32(interface + R_WAKER) & ~(uint32_t)R_ASLEEP);
    for (int i = 0; i < R_LOOKS; i++)
        if ((io_read32(interface + R_WAKER) & R_CHILDREN_ASLEEP) == 0)
            break;
    private_lines = interface + R_PRIVATE;
    __asm__ volatile("mrs %0, s3_0_c12_c12_5" : "=r"(on)); /* ICC_SRE_EL1 */
    __asm__ volatile("msr s3_0_c12_c12_5, %0\n\tisb" : : "r"(on | 1));
    __asm__ volatile("msr s3_0_c4_c6_0, %0\n\t"   /* ICC_PMR_EL1 */
                     "msr s3_0_c12_c12_7, %1\n\t" /* ICC_IGRPEN1_EL1 */
                     "isb"
                     :
                     : "r"(UINT64_C(0xff)), "r"(UINT64_C(1)));
}

void virt_irq_init(void)
{
    const struct fdt_found *tree = virt_tree();

    version = tree->gic_version;
    if (version != 0) {
        distributor = virt_map(tree->gic.registers);
        interface = virt_map(tree->gic.more);
    }
    if (distributor == 0 || interface == 0 || tree->timer == 0) {
        version = 0;
        return;
    }
    if (version == 3)
        init_3();
    else
        init_2();
    enable(tree->timer);
}

/* The next interrupt that is pending; one above LINES: there is none. */
static uint32_t acknowledge(void)
{
    uint64_t value;

    if (version == 2)
        return io_read32(interface + C_ACKNOWLEDGE);
    __asm__ volatile("mrs %0, s3_0_c12_c12_0" : "=r"(value) : : "memory");
    return (uint32_t)value;
}

static void end(uint32_t value)
{
    if (version == 2)
        io_write32(interface + C_END, value);
    else
        __asm__ volatile("msr s3_0_c12_c12_1, %0\n\tisb"
                         :
                         : "r"((uint64_t)value)
                         : "memory");
}

void virt_halt(void)
{
    if (version == 0)
        return;
    __asm__ volatile("dsb sy\n\twfi" : : : "memory");
    for (int i = 0; i < DRAINED_MAX; i++) {
        uint32_t value = acknowledge();
        uint32_t line = version == 2 ? value & 0x3ff : value & 0xffffff;
        if (line >= LINES)
            return;
        for (uint8_t j = 0; j < given; j++)
            if (lines[j] == line)
                came |= UINT32_C(1) << j;
        end(value);
    }
}

uint32_t irq_came(void)
{
    uint32_t those = came;

    came = 0;
    return those;
}

bool irq_attach_line(uint32_t line, uint8_t *irq)
{
    if (version == 0 || given == IRQ_MAX || line >= LINES)
        return false;
    *irq = given;
    lines[given++] = line;
    enable(line);
    return true;
}

bool irq_attach_message(struct irq_message *message)
{
    (void)message;
    return false;
}
