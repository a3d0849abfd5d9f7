/* What hvt images do with an x86-64 processor: see platform/hvt/hvt.h. */
#include "base/small.h"

#include "platform/cpu/random.h"
#include "platform/cpu/x86_64/paging.h"
#include "platform/cpu/x86_64/traps.h"
#include "platform/freestanding/libc.h"
#include "platform/hvt/hvt.h"

enum { MSR_FS_BASE = 0xc0000100 };

static_assert(offsetof(struct traps_frame, rax) == 112, "as below");

/* From the linker script: where pages of constants and of data begin. */
extern const uint8_t hvt_constants[], hvt_data[];

static struct paging paging;

void hvt_call(uint32_t number, void *structure)
{
    __asm__ volatile("outl %0, %w1"
                     :
                     : "a"((uint32_t)(uintptr_t)structure),
                       "d"((uint32_t)HVT_PORT + number)
                     : "memory");
}

uint64_t hvt_ticks(void)
{
    return __builtin_ia32_rdtsc();
}

void hvt_set_thread(const void *area)
{
    uint64_t at = (uint64_t)area;

    __asm__ volatile("wrmsr"
                     :
                     : "c"(MSR_FS_BASE), "a"((uint32_t)at),
                       "d"((uint32_t)(at >> 32)));
}

void hvt_protect(struct platform *platform, uint64_t stack)
{
    const struct {
        uint64_t from, to;
        unsigned rights;
    } parts[] = {
        {HVT_BOOT_INFO, SOLO5_IMAGE_START, PAGING_READ},
        {SOLO5_IMAGE_START, (uint64_t)hvt_constants, PAGING_EXECUTE},
        {(uint64_t)hvt_constants, (uint64_t)hvt_data, PAGING_READ},
        {(uint64_t)hvt_data, platform->info->mem_size, PAGING_WRITE},
        {stack - PAGING_PAGE, stack, PAGING_NONE},
    };

    arena_scatter(&platform->memory, random_place());
    paging_init(&paging, &platform->memory);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (!paging_map(&paging, parts[i].from, parts[i].to, parts[i].rights))
            freestanding_die(TEXT("not enough memory for page tables: give "
                                  "the tender a larger --mem\n"));
    paging_use(&paging);
    traps_init(&paging);
    traps_name_guard(solo5_at(stack - PAGING_PAGE), PAGING_PAGE);
}

/* Without memory for the tables, the stack's canary has to do. */
void hvt_guard(void *memory, size_t size)
{
    uint64_t from = (uint64_t)memory;

    if (paging_map(&paging, from, from + size, PAGING_NONE))
        traps_name_guard(memory, size);
}

_Noreturn void hvt_halt(int status)
{
    static union {
        struct hvt_trap trap;
        uint8_t room[HVT_COOKIE];
    } cookie;
    static struct hvt_halt call;
    const struct traps_frame *f = traps_taken();

    call.status = status;
    if (f != NULL) {
        __asm__ volatile("movq %%cr2, %0" : "=r"(cookie.trap.cr2));
        cookie.trap.error = f->error;
        cookie.trap.rip = f->rip;
        cookie.trap.cs = f->cs;
        cookie.trap.flags = f->flags;
        cookie.trap.rsp = f->rsp;
        cookie.trap.ss = f->ss;
        call.cookie = (uint64_t)&cookie;
    }
    while (f == NULL)
        hvt_call(HVT_HALT, &call);
    /* In the order of struct traps_frame; rcx last, rax and rdx are lost. */
    __asm__ volatile("movq (%%rcx), %%r15\n\t"
                     "movq 8(%%rcx), %%r14\n\t"
                     "movq 16(%%rcx), %%r13\n\t"
                     "movq 24(%%rcx), %%r12\n\t"
                     "movq 32(%%rcx), %%r11\n\t"
                     "movq 40(%%rcx), %%r10\n\t"
                     "movq 48(%%rcx), %%r9\n\t"
                     "movq 56(%%rcx), %%r8\n\t"
                     "movq 64(%%rcx), %%rbp\n\t"
                     "movq 72(%%rcx), %%rdi\n\t"
                     "movq 80(%%rcx), %%rsi\n\t"
                     "movq 104(%%rcx), %%rbx\n\t"
                     "movq 96(%%rcx), %%rcx\n"
                     "1:\toutl %%eax, %%dx\n\t"
                     "jmp 1b"
                     :
                     : "a"((uint32_t)(uint64_t)&call),
                       "d"((uint32_t)HVT_PORT + HVT_HALT), "c"(f)
                     : "memory");
    __builtin_unreachable();
}
