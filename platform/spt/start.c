/*
 * The entry of an spt image: the tender jumps here, in its own process, with
 * the address of the boot info and the stack at the end of guest memory.
 */
#include "base/small.h"

#include "platform/cpu/x86_64/random.h"
#include "platform/freestanding/libc.h"
#include "platform/spt/spt.h"
#include "platform/spt/syscall.h"

enum {
    ARCH_SET_FS = 0x1002,
    STACK_BYTES = 128 * 1024, /* for the loop and start-up; pages on use */
};

/* The linker script's end of the image. */
extern uint8_t spt_image_end[];

/*
 * What the thread register points to. The image has no thread-local variables,
 * but Debian's static archives look for their stack canary at offset 40.
 */
static struct {
    void *self;
    uint64_t unused[4];
    uint64_t canary;
} thread_area;

static struct platform platform;

struct bytes spt_answer(uint32_t tag)
{
    struct reader r = reader_of(BYTES(spt_answers));

    for (;;) {
        uint32_t found = get_le32(&r);
        uint32_t len = get_le32(&r);
        struct bytes answer = get_bytes(&r, len);
        (void)get_bytes(&r, -(size_t)len % 8);
        if (found == FATA_ANSWER_END || r.failed)
            return (struct bytes){0};
        if (found == tag)
            return answer;
    }
}

static void set_canary(void)
{
    struct reader r = reader_of(spt_answer(FATA_ANSWER_CANARY));
    uint64_t canary = get_le64(&r);

    if (r.failed && !random_from_cpu(&canary))
        canary = cpu_ticks() * 0x9e3779b97f4a7c15;
    /* A zero byte, at which a copied string would have stopped. */
    canary &= ~UINT64_C(0xff);
    freestanding_canary = canary;
    thread_area.canary = canary;
    thread_area.self = &thread_area;
    (void)syscall3(SYS_ARCH_PRCTL, ARCH_SET_FS, (long)&thread_area, 0);
}

_Noreturn void spt_start(const struct solo5_spt_boot_info *info);

/* It sets the canary that it would itself be checked against. */
__attribute__((no_stack_protector)) _Noreturn void spt_start(
    const struct solo5_spt_boot_info *info)
{
    uint64_t end = (uint64_t)spt_image_end;

    set_canary();
    /* A stock tender does not look at zeroed memory after the last segment. */
    if (info->mem_size < end || info->mem_size - end < (uint64_t)STACK_BYTES)
        freestanding_die(TEXT("not enough memory for this image: give the "
                              "tender a larger --mem\n"));

    platform.info = info;
    platform.manifest = spt_at(info->manifest);
    platform.memory =
        (struct arena){.at = spt_image_end,
                       .room = (size_t)(info->mem_size - end - STACK_BYTES)};
    platform.timer = TIME_NEVER;
    platform.flushes = spt_answer(FATA_ANSWER_BLOCK_FLUSH).len > 0;
    platform.entropy = spt_answer(FATA_ANSWER_ENTROPY);
    platform_exit(&platform, platform_main(&platform));
}

_Noreturn void freestanding_die(struct bytes message)
{
    platform_console_write(&platform, message);
    platform_exit(&platform, PLATFORM_EXIT_ABORT);
}
