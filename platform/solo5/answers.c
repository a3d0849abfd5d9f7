/*
 * Answers of the tender, the canary, random bytes and the region of counters:
 * see solo5.h and, of the last, platform.h.
 */
#include "base/small.h"

#include "platform/cpu/random.h"
#include "platform/freestanding/libc.h"
#include "platform/solo5/solo5.h"

enum { THREAD_CANARY = 5 };

uint64_t solo5_thread[FATA_THREAD_BYTES / sizeof(uint64_t)];

struct bytes solo5_answer(uint32_t tag)
{
    struct reader r = reader_of(BYTES(solo5_answers));

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

/* It sets the canary that it would itself be checked against. */
__attribute__((no_stack_protector)) void *solo5_set_canary(void)
{
    struct reader r = reader_of(solo5_answer(FATA_ANSWER_CANARY));
    uint64_t canary = get_le64(&r);

    if (r.failed)
        canary = random_place();
    /* A zero byte, at which a copied string would have stopped. */
    canary &= ~UINT64_C(0xff);
    freestanding_canary = canary;
    solo5_thread[THREAD_CANARY] = canary;
    solo5_thread[0] = (uint64_t)solo5_thread; /* x86-64: itself */
    return solo5_thread;
}

enum err solo5_entropy(struct bytes *given, uint8_t *to, size_t len)
{
    /* Each byte of the tender's is given out once. */
    struct bytes from = bytes_first(*given, len);
    struct writer w = writer_to(to, len);

    put_bytes(&w, from);
    *given = bytes_after(*given, from.len);
    /* Nobody who reads the memory later is to learn what was given out. */
    if (from.len > 0)
        explicit_bzero(solo5_answers + (from.at - solo5_answers), from.len);
    while (w.len < len) {
        uint64_t word;
        if (!random_from_cpu(&word))
            return ERR_IO;
        /* Should the processor's generator be broken, not all is known. */
        word ^= cpu_ticks();
        uint8_t text[8];
        struct writer bytes = WRITER(text);
        put_le64(&bytes, word);
        put_bytes(&w, bytes_first(written(&bytes), len - w.len));
    }
    return OK;
}

void *platform_counters(struct platform *platform, size_t *size)
{
    (void)platform;
    if (solo5_answer(FATA_ANSWER_COUNTERS).len == 0)
        return NULL;
    *size = sizeof(solo5_counters);
    return solo5_counters;
}
