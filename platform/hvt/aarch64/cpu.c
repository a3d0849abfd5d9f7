/* What hvt images do with an arm64 processor: see platform/hvt/hvt.h. */
#include "base/small.h"

#include "platform/cpu/aarch64/paging.h"
#include "platform/cpu/aarch64/traps.h"
#include "platform/cpu/random.h"
#include "platform/freestanding/libc.h"
#include "platform/hvt/hvt.h"

/* Behind the image, where stacks may be: guards can be set in it. */
#define GUARDABLE ((uint64_t)8 << 20)

/* From the linker script: where pages begin. */
extern const uint8_t hvt_constants[], hvt_data[], hvt_image_end[];

static struct paging paging;

void hvt_call(uint32_t number, void *structure)
{
    uint64_t at = HVT_STORE + (uint64_t)8 * number;

    /* One that an emulator understands: no more than a plain store. */
    __asm__ volatile("str %w0, [%1]"
                     :
                     : "r"((uint32_t)(uintptr_t)structure), "r"(at)
                     : "memory");
}

uint64_t hvt_ticks(void)
{
    /* Not before what stands before it. */
    __asm__ volatile("isb" : : : "memory");
    return cpu_ticks();
}

void hvt_set_thread(const void *area)
{
    __asm__ volatile("msr tpidr_el0, %0" : : "r"(area));
}

/* Go on on the same stack, by the register that traps leave alone. */
static void leave_trap_stack(void)
{
    uint64_t stack;

    __asm__ volatile("mov %0, sp\n\tmsr spsel, #0\n\tmov sp, %0"
                     : "=r"(stack)
                     :
                     : "memory");
}

void hvt_protect(struct platform *platform, uint64_t stack)
{
    const uint64_t end = platform->info->mem_size;
    uint64_t small = (uint64_t)hvt_image_end + GUARDABLE;

    if (small > end)
        small = end;
    const struct {
        uint64_t from, to;
        unsigned rights;
    } parts[] = {
        {HVT_BOOT_INFO, SOLO5_IMAGE_START, PAGING_READ},
        {SOLO5_IMAGE_START, (uint64_t)hvt_constants, PAGING_EXECUTE},
        {(uint64_t)hvt_constants, (uint64_t)hvt_data, PAGING_READ},
        {(uint64_t)hvt_data, small, PAGING_WRITE | PAGING_SMALL},
        {small, end, PAGING_WRITE},
        {stack - PAGING_PAGE, stack, PAGING_NONE},
        {HVT_STORE, HVT_STORE + PAGING_PAGE, PAGING_WRITE | PAGING_DEVICE},
    };

    paging_init(&paging, &platform->memory);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (!paging_map(&paging, parts[i].from, parts[i].to, parts[i].rights))
            freestanding_die(TEXT("not enough memory for page tables: give "
                                  "the tender a larger --mem\n"));
    paging_use(&paging);
    leave_trap_stack();
    traps_init(&paging);
    traps_name_guard(solo5_at(stack - PAGING_PAGE), PAGING_PAGE);
}

/* Where there can be none, the stack's canary has to do. */
void hvt_guard(void *memory, size_t size)
{
    uint64_t from = (uint64_t)memory;

    if (paging_map(&paging, from, from + size, PAGING_NONE))
        traps_name_guard(memory, size);
}

_Noreturn void hvt_halt(int status)
{
    static struct hvt_halt call;

    call.status = status;
    for (;;)
        hvt_call(HVT_HALT, &call);
}
