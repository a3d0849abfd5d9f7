/*
 * A hostile guest: any hypercall, with any structure anywhere. Nothing of the
 * monitor's may be touched, and of the guest's no more than it may itself.
 *
 * The input is a list of steps: bytes put somewhere into memory, numbers put
 * there that are addresses or nearly so, and calls.
 */
#include <fcntl.h>

#include "base/bytes.h"
#include "tender/hvt/calls_double.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An address; most are in the guest's data, and many at an end of something. */
static uint64_t address_of(struct reader *r)
{
    static const uint64_t ends[] = {
        DOUBLE_CODE, DOUBLE_SECRET, DOUBLE_DATA, DOUBLE_END, 0, UINT64_MAX};
    uint8_t kind = get_u8(r);

    if (kind < 160)
        return DOUBLE_DATA + get_le16(r) % (DOUBLE_END - DOUBLE_DATA);
    if (kind < 240)
        return ends[kind % COUNT_OF(ends)] + (uint64_t)(int8_t)get_u8(r);
    return get_le64(r);
}

static void put(struct calls_double *d, uint64_t to, const void *from,
                size_t len)
{
    uint8_t *memory = guest_at(&d->guest, to, len);

    if (memory != NULL && to >= DOUBLE_DATA)
        memcpy(memory, from, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct calls_double d;
    static const uint8_t numbers[] = {
        HVT_WALLTIME,   HVT_PUTS,      HVT_POLL,       HVT_BLOCK_WRITE,
        HVT_BLOCK_READ, HVT_NET_WRITE, HVT_NET_READ,   HVT_HALT,
        HVT_EXCHANGE,   HVT_EXCHANGE,  HVT_BLOCK_FLUSH};
    struct reader r = reader_of(bytes_of(data, size));

    if (d.guest.memory == NULL) {
        calls_double_make(&d);
        calls_stop = 1; /* nothing waits */
        int nothing = open("/dev/null", O_WRONLY);
        assert(nothing >= 0 && dup2(nothing, STDOUT_FILENO) >= 0);
    }
    while (r.rest.len > 0 && !r.failed) {
        uint8_t step = get_u8(&r);
        uint64_t where = address_of(&r);
        if (step < 80) {
            struct bytes some = get_bytes(&r, step);
            if (some.len > 0)
                put(&d, where, some.at, some.len);
        } else if (step < 170) {
            uint64_t value = address_of(&r);
            put(&d, where, &value, sizeof(value));
        } else if (step < 200) {
            uint64_t value = get_u8(&r);
            put(&d, where, &value, sizeof(value));
        } else if (step < 210) {
            (void)send(d.wire, data, size % 2000, MSG_DONTWAIT);
        } else {
            uint32_t number = numbers[step % sizeof(numbers)];
            if (step == 255)
                number = get_u8(&r);
            (void)calls_do(&d.calls, number, where);
        }
        uint8_t text[2048];
        while (recv(d.wire, text, sizeof(text), MSG_DONTWAIT) > 0)
            ;
    }
    return 0;
}
