/*
 * The entry of an spt image: the tender jumps here, in its own process, with
 * the address of the boot info and the stack at the end of guest memory.
 */
#include "base/small.h"

#include "platform/cpu/random.h"
#include "platform/freestanding/libc.h"
#include "platform/spt/spt.h"
#include "platform/spt/syscall.h"
#include "platform/spt/vdso.h"

enum {
    STACK_BYTES = 128 * 1024, /* for the loop and start-up; pages on use */
};

/* The linker script's end of the image. */
extern uint8_t spt_image_end[];

static struct platform platform;

_Noreturn void spt_start(const struct solo5_spt_boot_info *info);

/* The clock that need not enter the kernel; a stock tender does not say. */
static spt_clock_gettime *find_clock(void)
{
    struct reader r = reader_of(solo5_answer(FATA_ANSWER_VDSO));
    uint64_t vdso = get_le64(&r);
    size_t found = 0;

    if (vdso != 0)
        found =
            vdso_find(bytes_of(solo5_at(vdso), VDSO_MOST), VDSO_CLOCK_GETTIME);
    if (found == 0)
        return NULL;
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    return (spt_clock_gettime *)(vdso + found);
}

/* It sets the canary that it would itself be checked against. */
__attribute__((no_stack_protector)) _Noreturn void spt_start(
    const struct solo5_spt_boot_info *info)
{
    uint64_t end = (uint64_t)spt_image_end;

    void *thread = solo5_set_canary();
    if (solo5_answer(FATA_ANSWER_THREAD).len == 0)
        thread_register_set(thread);
    /* A stock tender does not look at zeroed memory after the last segment. */
    if (info->mem_size < end || info->mem_size - end < (uint64_t)STACK_BYTES)
        freestanding_die(TEXT("not enough memory for this image: give the "
                              "tender a larger --mem\n"));

    platform.info = info;
    platform.manifest = solo5_at(info->manifest);
    platform.memory =
        (struct arena){.at = spt_image_end,
                       .room = (size_t)(info->mem_size - end - STACK_BYTES)};
    arena_scatter(&platform.memory, random_place());
    platform.timer = TIME_NEVER;
    platform.waits = solo5_answer(FATA_ANSWER_WAIT).len > 0;
    platform.flushes = solo5_answer(FATA_ANSWER_BLOCK_FLUSH).len > 0;
    platform.clock_gettime = find_clock();
    platform.entropy = solo5_answer(FATA_ANSWER_ENTROPY);
    platform_exit(&platform, platform_main(&platform));
}

_Noreturn void freestanding_die(struct bytes message)
{
    platform_console_write(&platform, message);
    platform_exit(&platform, PLATFORM_EXIT_ABORT);
}
