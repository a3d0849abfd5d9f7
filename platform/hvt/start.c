/*
 * The entry of an hvt image: the monitor begins here, in a virtual machine of
 * ours, with the address of the boot info and the stack at the end of memory.
 */
#include "base/small.h"

#include "platform/freestanding/libc.h"
#include "platform/hvt/hvt.h"

/* For the loop and start-up, on top of a page that is not there. */
enum { STACK_BYTES = 64 * 1024, GUARD_BYTES = 4096 };

/* The linker script's end of the image. */
extern uint8_t hvt_image_end[];

struct platform hvt_platform;

_Noreturn void hvt_start(const struct hvt_boot_info *info);

/* It sets the canary that it would itself be checked against. */
__attribute__((no_stack_protector)) _Noreturn void hvt_start(
    const struct hvt_boot_info *info)
{
    struct platform *platform = &hvt_platform;
    uint64_t end = (uint64_t)hvt_image_end;
    uint64_t stack = info->mem_size - STACK_BYTES;

    hvt_set_thread(solo5_set_canary());
    /* A stock tender does not look at zeroed memory after the last segment. */
    if (info->mem_size < end ||
        info->mem_size - end < (uint64_t)STACK_BYTES + GUARD_BYTES)
        freestanding_die(TEXT("not enough memory for this image: give the "
                              "tender a larger --mem\n"));

    platform->info = info;
    platform->manifest = solo5_at(info->manifest);
    platform->memory = (struct arena){
        .at = hvt_image_end, .room = (size_t)(stack - GUARD_BYTES - end)};
    if (info->tick_rate != 0)
        platform->tick_ns = (SECONDS(1) << 32) / info->tick_rate;
    platform->extended = solo5_answer(FATA_ANSWER_HVT).len > 0;
    platform->entropy = solo5_answer(FATA_ANSWER_ENTROPY);
    hvt_protect(platform, stack);
    platform_exit(platform, platform_main(platform));
}

_Noreturn void freestanding_die(struct bytes message)
{
    platform_console_write(&hvt_platform, message);
    hvt_halt(PLATFORM_EXIT_ABORT);
}
