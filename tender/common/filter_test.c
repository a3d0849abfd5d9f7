/*
 * Tests of filters: an interpreter of the kernel's instructions says of very
 * many calls what the rules say in plain C.
 */
#include "tender/common/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/bytes.h"
#include "test/test.h"

static uint32_t word_of(const struct seccomp_data *data, uint32_t at)
{
    uint32_t word = 0;

    CHECK(at % 4 == 0 && at <= sizeof(*data) - 4);
    memcpy(&word, (const uint8_t *)data + at, sizeof(word));
    return word;
}

static bool compare(uint16_t code, uint32_t a, uint32_t k)
{
    switch (BPF_OP(code)) {
    case BPF_JEQ:
        return a == k;
    case BPF_JGT:
        return a > k;
    case BPF_JGE:
        return a >= k;
    default:
        CHECK_EQ(BPF_OP(code), BPF_JSET);
        return (a & k) != 0;
    }
}

/* What the kernel would do with this call. */
static uint32_t run_filter(const struct filter *f,
                           const struct seccomp_data *data)
{
    uint32_t a = 0;

    for (size_t i = 0; i < f->count; i++) {
        const struct sock_filter *s = &f->code[i];
        switch (s->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            a = word_of(data, s->k);
            break;
        case BPF_RET | BPF_K:
            return s->k;
        case BPF_JMP | BPF_JA:
            i += s->k;
            break;
        default:
            CHECK_EQ(BPF_CLASS(s->code), BPF_JMP);
            i += compare(s->code, a, s->k) ? s->jt : s->jf;
        }
    }
    CHECK(!"it ends without a verdict");
    return 0;
}

static bool allows(const struct filter *f, int number, uint64_t a, uint64_t b,
                   uint64_t c, uint64_t d)
{
    const struct seccomp_data data = {
        .nr = number, .arch = AUDIT_ARCH_X86_64, .args = {a, b, c, d}};
    uint32_t verdict = run_filter(f, &data);

    CHECK(verdict == SECCOMP_RET_ALLOW || verdict == SECCOMP_RET_KILL_PROCESS);
    return verdict == SECCOMP_RET_ALLOW;
}

static const uint64_t edges[] = {0,
                                 1,
                                 2,
                                 7,
                                 0x7fffffff,
                                 0x80000000,
                                 0xffffffff,
                                 0x100000000,
                                 0x100000001,
                                 0x700000007,
                                 0x7ffffffff,
                                 0x800000000,
                                 UINT64_MAX - 1,
                                 UINT64_MAX};

static void arguments_are_compared_in_full(void)
{
    for (size_t i = 0; i < COUNT_OF(edges); i++) {
        static struct filter f;
        filter_begin(&f);
        FILTER_ALLOW(&f, 10, FILTER_IS(1, edges[i]));
        FILTER_ALLOW(&f, 20, FILTER_AT_MOST(3, edges[i]));
        FILTER_ALLOW(&f, 30, FILTER_IS(1, 7), FILTER_AT_MOST(3, edges[i]));
        CHECK(filter_end(&f));
        for (size_t j = 0; j < COUNT_OF(edges); j++) {
            uint64_t v = edges[j];
            CHECK_EQ(allows(&f, 10, 0, v, 0, 0), v == edges[i]);
            CHECK_EQ(allows(&f, 20, 0, 0, 0, v), v <= edges[i]);
            CHECK_EQ(allows(&f, 30, 0, 7, 0, v), v <= edges[i]);
            CHECK(!allows(&f, 30, 0, 6, 0, v));
            CHECK(!allows(&f, 11, 0, v, 0, v));
        }
    }
}

static void other_machines_and_numbers_are_refused(void)
{
    static struct filter f;
    static const uint32_t machines[] = {AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0};

    filter_begin(&f);
    FILTER_ALLOW(&f, 231);
    CHECK(filter_end(&f));
    CHECK(allows(&f, 231, 0, 0, 0, 0));
    for (int bit = 0; bit < 32; bit++)
        CHECK(!allows(&f, (int)(231 ^ UINT32_C(1) << bit), 0, 0, 0, 0));
    for (size_t i = 0; i < COUNT_OF(machines); i++) {
        const struct seccomp_data data = {.nr = 231, .arch = machines[i]};
        CHECK_EQ(run_filter(&f, &data), SECCOMP_RET_KILL_PROCESS);
    }
}

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return *state >> 20;
}

/* A number near one of those that matter. */
static uint64_t around(uint64_t *state, uint64_t capacity, uint32_t size)
{
    const uint64_t of[] = {0,
                           size,
                           capacity,
                           capacity / 2 / size * size,
                           FILTER_TRANSFER,
                           next(state) % (capacity + 1),
                           UINT64_C(1) << 32,
                           UINT64_C(1) << 41,
                           next(state) << 20,
                           UINT64_MAX};
    uint64_t n = of[next(state) % COUNT_OF(of)];
    const int64_t by[] = {0, 0, 0, 1, -1, (int64_t)size, -(int64_t)size};

    return n + (uint64_t)by[next(state) % COUNT_OF(by)];
}

static void transfers_end_within_the_device(void)
{
    static const uint64_t capacities[] = {1,       2,       7,         1000,
                                          1 << 20, 1 << 23, UINT32_MAX};
    static const uint32_t sizes[] = {512, 4096, 32768};
    uint64_t state = 1, allowed = 0, total = 0;

    for (size_t c = 0; c < COUNT_OF(capacities) * COUNT_OF(sizes); c++) {
        static struct filter f;
        uint32_t size = sizes[c % COUNT_OF(sizes)];
        uint64_t capacity = capacities[c / COUNT_OF(sizes)] * size;
        filter_begin(&f);
        filter_allow_transfers(&f, 5, size, capacity);
        CHECK(filter_end(&f));
        for (int i = 0; i < 20000; i++) {
            uint64_t len = around(&state, capacity, size);
            uint64_t offset = around(&state, capacity, size);
            bool fine = len % size == 0 && (len & (len - 1)) == 0 && len > 0 &&
                        len <= FILTER_TRANSFER && len <= capacity &&
                        offset <= capacity - len;
            CHECK_EQ(allows(&f, SYS_pread64, 5, 0, len, offset), fine);
            CHECK_EQ(allows(&f, SYS_pwrite64, 5, 0, len, offset), fine);
            CHECK(!allows(&f, SYS_pread64, 6, 0, len, offset));
            allowed += fine;
            total++;
        }
    }
    CHECK(allowed > total / 50 && allowed < total / 2);
}

static void what_does_not_fit_is_told(void)
{
    static struct filter f;

    filter_begin(&f);
    for (uint64_t i = 0; i < FILTER_MAX; i++)
        FILTER_ALLOW(&f, 17, FILTER_IS(0, i));
    CHECK(!filter_end(&f));
}

int main(void)
{
    RUN(arguments_are_compared_in_full);
    RUN(other_machines_and_numbers_are_refused);
    RUN(transfers_end_within_the_device);
    RUN(what_does_not_fit_is_told);
    return test_result();
}
