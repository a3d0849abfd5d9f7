/*
 * Time on a PC: the processor's time stamp counter, whose rate the hypervisor
 * or the processor tells, or else is measured. Sleeps end by the timer of the
 * local APIC.
 *
 * KVM's clock (pvclock) tells rate and offset, and the wall time. Without it
 * the wall time is that of the battery-backed clock, to the second.
 */
#include "base/small.h"

#include <cpuid.h>

#include "base/time.h"
#include "platform/cpu/x86_64/random.h"
#include "platform/virtio/machine.h"
#include "platform/virtio/x86_64/pc.h"
#include "platform/virtio/x86_64/ports.h"

enum {
    HYPERVISOR = 0x40000000,
    HYPERVISOR_TIMING = 0x40000010,
    CPUID_HYPERVISOR = 1u << 31,
    KVM_FEATURES = 0x40000001,
    KVM_CLOCK = 1 << 3,

    CPUID_CRYSTAL = 0x15,
    CPUID_MHZ = 0x16,

    PIT_HZ = 1193182,
    PIT_TICKS = 11932, /* 10 ms */
    PIT_CHANNEL2 = 0x42,
    PIT_COMMAND = 0x43,
    PIT_GATE = 0x61,
    PIT_LOOKS = 10000000, /* far more than it takes */

    RTC_INDEX = 0x70,
    RTC_DATA = 0x71,
    RTC_LOOKS = 100000,

    MEASURE_TICKS = 1000000, /* of a timer of 1 GHz: 1 ms */
    STEADY_NS = 100000000,   /* slept, after which the rate is good enough */
};

#define MSR_KVM_WALL  0x4b564d00
#define MSR_KVM_CLOCK 0x4b564d01

/* As KVM has them (Documentation/virt/kvm/x86/msr.rst). */
struct pvclock {
    uint32_t version; /* odd while it changes */
    uint32_t padding;
    uint64_t tsc;
    uint64_t ns;
    uint32_t multiplier;
    int8_t shift;
    uint8_t flags;
    uint8_t more[2];
};

struct pvwall {
    uint32_t version;
    uint32_t seconds, nanoseconds;
};

static _Alignas(64) volatile struct pvclock pvclock;
static _Alignas(16) volatile struct pvwall pvwall;

static struct {
    bool kvm;
    /* now = ns + (tsc - since) * multiplier >> 32 */
    uint64_t since, ns;
    uint64_t multiplier;
    /* Ticks of the local APIC's timer in 2^32 ns; 0: it is not known. */
    uint64_t timer;
    /* The rate was measured against the timer, and becomes better. */
    bool measuring;
    uint64_t slept_ticks, slept_tsc;
    uint64_t wall; /* of the monotonic time 0 */
    bool has_wall;
} clock;

/* a * b / c, whatever the product is. */
static uint64_t scaled(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t quotient, rest;

    __asm__("mulq %3\n\tdivq %4"
            : "=a"(quotient), "=&d"(rest)
            : "0"(a), "rm"(b), "rm"(c)
            : "cc");
    return quotient;
}

static uint64_t shifted_product(uint64_t a, uint64_t b)
{
    uint64_t low, high;

    __asm__("mulq %3" : "=a"(low), "=d"(high) : "0"(a), "rm"(b) : "cc");
    return high << 32 | low >> 32;
}

/* The counter counts this many ticks in so many ns, from now on. */
static void set_rate(uint64_t ticks, uint64_t ns)
{
    uint64_t now = cpu_ticks();

    if (clock.multiplier != 0)
        clock.ns += shifted_product(now - clock.since, clock.multiplier);
    clock.since = now;
    clock.multiplier = scaled(ns, UINT64_C(1) << 32, ticks);
}

static uint64_t kvm_now(void)
{
    uint64_t ns;
    uint32_t version;

    do {
        version = pvclock.version;
        __asm__ volatile("" : : : "memory");
        uint64_t ticks = cpu_ticks() - pvclock.tsc;
        if (pvclock.shift >= 0)
            ticks <<= pvclock.shift;
        else
            ticks >>= -pvclock.shift;
        ns = pvclock.ns + shifted_product(ticks, pvclock.multiplier);
        __asm__ volatile("" : : : "memory");
    } while ((version & 1) != 0 || version != pvclock.version);
    return ns;
}

/* KVM or a monitor on it: what it tells. False: it does not. */
static bool kvm_clock(void)
{
    unsigned a, b, c, d;

    __cpuid(KVM_FEATURES, a, b, c, d);
    if ((a & KVM_CLOCK) == 0)
        return false;
    msr_write(MSR_KVM_CLOCK, (uintptr_t)&pvclock | 1);
    if (pvclock.multiplier == 0)
        return false;
    clock.kvm = true;
    /* For deadlines of the counter: the same rate. */
    uint64_t rate = pvclock.multiplier;
    clock.multiplier =
        pvclock.shift >= 0 ? rate << pvclock.shift : rate >> -pvclock.shift;
    return true;
}

/* What a hypervisor or the processor says its counter's rate is, in kHz. */
static uint64_t told_rate(unsigned hypervisor_most)
{
    unsigned a, b, c, d;

    if (hypervisor_most >= HYPERVISOR_TIMING) {
        __cpuid(HYPERVISOR_TIMING, a, b, c, d);
        if (a != 0)
            return a;
    }
    if (__get_cpuid(CPUID_CRYSTAL, &a, &b, &c, &d) != 0 && a != 0 && b != 0 &&
        c != 0)
        return (uint64_t)c * b / a / 1000;
    if (hypervisor_most == 0 && __get_cpuid(CPUID_MHZ, &a, &b, &c, &d) != 0 &&
        (a & 0xffff) != 0)
        return (a & 0xffff) * UINT64_C(1000);
    return 0;
}

/* Both rates, by the programmable interval timer. */
static void measure_by_pit(uint64_t *tsc, uint32_t *timer)
{
    uint32_t looks = 0;

    out8(PIT_GATE, (uint8_t)((in8(PIT_GATE) & ~2) | 1));
    out8(PIT_COMMAND, 0xb0); /* channel 2: count down once */
    out8(PIT_CHANNEL2, PIT_TICKS & 0xff);
    pc_timer_set(UINT32_MAX);
    *tsc = cpu_ticks();
    out8(PIT_CHANNEL2, PIT_TICKS >> 8);
    while ((in8(PIT_GATE) & 0x20) == 0 && looks < PIT_LOOKS)
        looks++;
    *tsc = cpu_ticks() - *tsc;
    *timer = UINT32_MAX - pc_timer_left();
    pc_timer_set(0);
}

/*
 * The counter's rate by the timer, of 1 GHz in QEMU: asleep, since instructions
 * cost more there than time does. What is slept later makes it more exact.
 */
static void measure_by_timer(void)
{
    uint64_t from = cpu_ticks();

    pc_timer_set(MEASURE_TICKS);
    pc_halt();
    clock.slept_ticks = MEASURE_TICKS - pc_timer_left();
    clock.slept_tsc = cpu_ticks() - from;
    clock.measuring = clock.slept_ticks > 0 && clock.slept_tsc > 0;
    if (clock.measuring)
        set_rate(clock.slept_tsc, clock.slept_ticks);
}

void pc_clock_init(void)
{
    unsigned most = 0, a, b, c = 0, d;
    uint32_t name[3] = {0};
    bool qemu, kvm;

    (void)__get_cpuid(1, &a, &b, &c, &d);
    if ((c & CPUID_HYPERVISOR) != 0)
        __cpuid(HYPERVISOR, most, name[0], name[1], name[2]);
    kvm = memcmp(name, "KVMKVMKVM\0\0\0", sizeof name) == 0;
    qemu = memcmp(name, "TCGTCGTCGTCG", sizeof name) == 0;
    if (kvm || qemu)
        clock.timer = UINT64_C(1) << 32;
    if (kvm && kvm_clock())
        return;
    uint64_t khz = told_rate(most);
    if (khz != 0)
        set_rate(khz, MILLISECONDS(1));
    if (khz == 0 && qemu && !pc_timer_has_deadline())
        measure_by_timer();
    if (clock.multiplier == 0 ||
        (clock.timer == 0 && !pc_timer_has_deadline())) {
        uint64_t tsc;
        uint32_t timer;
        uint64_t ns = SECONDS(1) * PIT_TICKS / PIT_HZ;
        measure_by_pit(&tsc, &timer);
        if (clock.multiplier == 0)
            set_rate(tsc, ns);
        if (clock.timer == 0)
            clock.timer = scaled(timer, UINT64_C(1) << 32, ns);
    }
}

uint64_t machine_monotonic(void)
{
    if (clock.kvm)
        return kvm_now();
    return clock.ns +
           shifted_product(cpu_ticks() - clock.since, clock.multiplier);
}

static uint8_t rtc(uint8_t at)
{
    out8(RTC_INDEX, at);
    return in8(RTC_DATA);
}

/* Seconds since 1970 by the battery-backed clock; 0 if it is none. */
static uint64_t rtc_seconds(void)
{
    static const uint16_t before[] = {0,   31,  59,  90,  120, 151,
                                      181, 212, 243, 273, 304, 334};
    static const uint8_t places[] = {0, 2, 4, 7, 8, 9};
    uint8_t v[6], again[6];
    uint32_t looks = 0;
    bool same;

    do {
        while ((rtc(10) & 0x80) != 0 && looks < RTC_LOOKS)
            looks++;
        for (size_t i = 0; i < sizeof places; i++)
            v[i] = rtc(places[i]);
        for (size_t i = 0; i < sizeof places; i++)
            again[i] = rtc(places[i]);
        same = memcmp(v, again, sizeof v) == 0;
    } while (!same && looks++ < RTC_LOOKS);
    uint8_t mode = rtc(11);
    bool afternoon = (mode & 2) == 0 && (v[2] & 0x80) != 0;
    v[2] &= 0x7f;
    if ((mode & 4) == 0)
        for (size_t i = 0; i < sizeof v; i++)
            v[i] = (uint8_t)((v[i] >> 4) * 10 + (v[i] & 15));
    if ((mode & 2) == 0)
        v[2] = (uint8_t)(v[2] % 12 + (afternoon ? 12 : 0));
    unsigned day = v[3], month = v[4], year = 2000U + v[5];
    if (month < 1 || month > 12 || day < 1 || day > 31 || v[2] > 23 ||
        v[1] > 59 || v[0] > 60)
        return 0;
    uint64_t days = (year - 1970) * 365 + (year - 1969) / 4 +
                    before[month - 1] + day - 1 + (month > 2 && year % 4 == 0);
    return ((days * 24 + v[2]) * 60 + v[1]) * 60 + v[0];
}

uint64_t machine_wall(void)
{
    if (!clock.has_wall && clock.kvm) {
        msr_write(MSR_KVM_WALL, (uintptr_t)&pvwall);
        /* It tells when the machine started, the clock how long ago. */
        clock.wall = SECONDS(pvwall.seconds) + pvwall.nanoseconds;
    } else if (!clock.has_wall) {
        clock.wall = SECONDS(rtc_seconds()) - machine_monotonic();
    }
    clock.has_wall = true;
    return clock.wall + machine_monotonic();
}

/* What a sleep says about the rates. */
static void learn(uint64_t ticks, uint64_t tsc)
{
    clock.slept_ticks += ticks;
    clock.slept_tsc += tsc;
    clock.measuring = clock.slept_ticks < STEADY_NS;
    set_rate(clock.slept_tsc, clock.slept_ticks);
}

void machine_sleep(uint64_t deadline)
{
    uint64_t now = machine_monotonic();
    uint64_t ns = time_since(deadline, now);

    if (ns == 0)
        return;
    /* An hour, after which it is looked again. */
    if (ns > SECONDS(3600))
        ns = SECONDS(3600);
    if (pc_timer_has_deadline()) {
        pc_timer_deadline(cpu_ticks() +
                          scaled(ns, UINT64_C(1) << 32, clock.multiplier));
        pc_halt();
        return;
    }
    uint64_t ticks = shifted_product(ns, clock.timer) + 1;
    if (ticks > UINT32_MAX)
        ticks = UINT32_MAX;
    uint64_t from = cpu_ticks();
    pc_timer_set((uint32_t)ticks);
    pc_halt();
    if (clock.measuring)
        learn(ticks - pc_timer_left(), cpu_ticks() - from);
}
