/* Initial sequence numbers, guessed (RFC 6528). */
#include "tool/audit/probe.h"

enum { SAMPLES = 60, TUPLES = 5, NEAR = 32768 };

static enum verdict isn(struct audit *a)
{
    uint32_t numbers[SAMPLES], guessed = 0, same = 0, count = 0;

    for (int i = 0; i < SAMPLES && !audit_stopped(); i++) {
        struct probe p;
        if (probe_open(&p, a, NULL))
            numbers[count++] = p.irs;
        probe_close(&p);
    }
    if (count < SAMPLES)
        return audit_fail(a, "only %u of %u connections opened", count,
                          SAMPLES);
    for (uint32_t i = 1; i < count; i++) {
        /* Near the last, or as far from it as that from the one before. */
        uint32_t step = i > 1 ? numbers[i - 1] - numbers[i - 2] : 0;
        uint32_t off = numbers[i] - numbers[i - 1];
        bool near_last = off + NEAR < 2 * NEAR;
        bool near_step = off - step + NEAR < 2 * NEAR;
        if (near_last || near_step)
            guessed++;
        if (numbers[i] == numbers[i - 1])
            same++;
    }
    if (guessed * 20 > count - 1)
        return audit_fail(a, "%u of %u numbers guessed within 32 KiB%s",
                          guessed, count - 1,
                          same > 0 ? ", some are the same" : "");
    return audit_pass(a, "%u of %u numbers guessed within 32 KiB", guessed,
                      count - 1);
}

static enum verdict isn_same_tuple(struct audit *a)
{
    uint32_t numbers[TUPLES] = {0};
    uint16_t port = audit_port(a);
    struct text steps = {0};
    bool grows = true;

    for (int i = 0; i < TUPLES && !audit_stopped(); i++) {
        struct probe_options options = {.port = port};
        struct probe p;
        bool open = probe_open(&p, a, &options);
        numbers[i] = p.irs;
        probe_close(&p);
        if (!open)
            return audit_fail(a, "no connection from a port used before");
        audit_wait(a, MILLISECONDS(200));
    }
    for (int i = 1; i < TUPLES; i++) {
        uint32_t step = numbers[i] - numbers[i - 1];
        put(&steps, "%s0x%x", i > 1 ? ", " : "", step);
        grows = grows && step > 0 && step < 1u << 27;
    }
    if (!grows)
        return audit_fail(a, "steps of the same tuple: %s", steps.at);
    return audit_pass(a, "steps of the same tuple: %s", steps.at);
}

const struct audit_case isn_cases[] = {
    {
        .name = "isn",
        .about = "guessing the next initial sequence number (NUMBER:JACK)",
        .required = "the next one within 32 KiB guessed less than 1 in 20 "
                    "times",
        .needs = NEED_TCP,
        .run = isn,
    },
    {
        .name = "isn_same_tuple",
        .about = "initial sequence numbers of the same ports and addresses",
        .required = "they grow, slowly (RFC 6528 section 3)",
        .needs = NEED_TCP,
        .run = isn_same_tuple,
    },
    {.name = NULL},
};
