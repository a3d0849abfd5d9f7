/* Tests of platform/spt/vdso.h, against the vDSO of the kernel we run on. */
#include "platform/spt/vdso.h"

#include <stdlib.h>
#include <sys/auxv.h>
#include <time.h>

#include "test/test.h"

#if defined(__x86_64__)
#define CLOCK_GETTIME TEXT("__vdso_clock_gettime")
#else
#define CLOCK_GETTIME TEXT("__kernel_clock_gettime")
#endif

typedef int vdso_clock(clockid_t clock, struct timespec *time);

static const uint8_t *kernels(void)
{
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    return (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
}

static void the_clock_is_found_and_tells_the_time(void)
{
    struct timespec before, got, after;

    if (kernels() == NULL)
        SKIP("this kernel has no vDSO");
    size_t at = vdso_find(bytes_of(kernels(), VDSO_MOST), CLOCK_GETTIME);
    CHECK(at > 0);
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    vdso_clock *clock = (vdso_clock *)(getauxval(AT_SYSINFO_EHDR) + at);
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    CHECK_EQ(clock(CLOCK_MONOTONIC, &got), 0);
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    CHECK(got.tv_sec >= before.tv_sec && got.tv_sec <= after.tv_sec);
}

static void what_it_does_not_have_is_not_found(void)
{
    struct bytes vdso = bytes_of(kernels(), VDSO_MOST);

    if (kernels() == NULL)
        SKIP("this kernel has no vDSO");
    CHECK_EQ(vdso_find(vdso, TEXT("__vdso_clock_gettim")), 0);
    CHECK_EQ(vdso_find(vdso, TEXT("__vdso_clock_gettime_")), 0);
    CHECK_EQ(vdso_find(vdso, TEXT("fork")), 0);
}

/* The first pages, which those of any kernel have, wherever they are cut. */
static void in_parts_of_one_there_is_nothing_to_find(void)
{
    enum { COPIED = 4096 };
    static uint8_t copy[COPIED];

    if (kernels() == NULL)
        SKIP("this kernel has no vDSO");
    memcpy(copy, kernels(), sizeof copy);
    size_t whole = vdso_find(BYTES(copy), CLOCK_GETTIME);
    for (size_t len = 0; len < sizeof copy; len++) {
        /* Memory of its own: beyond it nothing may be read. */
        uint8_t *part = malloc(len + 1);
        CHECK(part != NULL);
        memcpy(part, copy, len);
        size_t found = vdso_find(bytes_of(part, len), CLOCK_GETTIME);
        CHECK(found == 0 || found == whole);
        free(part);
    }
}

static void whatever_a_byte_says_nothing_else_is_read(void)
{
    enum { COPIED = 2048 };

    if (kernels() == NULL)
        SKIP("this kernel has no vDSO");
    for (size_t i = 0; i < COPIED; i++) {
        uint8_t *copy = malloc(COPIED);
        CHECK(copy != NULL);
        memcpy(copy, kernels(), COPIED);
        copy[i] ^= (uint8_t)(0x55 + i);
        CHECK(vdso_find(bytes_of(copy, COPIED), CLOCK_GETTIME) < COPIED);
        free(copy);
    }
}

int main(void)
{
    RUN(the_clock_is_found_and_tells_the_time);
    RUN(what_it_does_not_have_is_not_found);
    RUN(in_parts_of_one_there_is_nothing_to_find);
    RUN(whatever_a_byte_says_nothing_else_is_read);
    return test_result();
}
