/*
 * The hvt back end: the guest is alone in a virtual machine of KVM, and asks
 * this program, which is caged as well, for its input and output.
 */
#define _GNU_SOURCE /* ppoll */ // NOLINT(bugprone-reserved-identifier)
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/fata.h"
#include "tender/common/backend.h"
#include "tender/hvt/calls.h"
#include "tender/hvt/hvt.h"
#include "tender/hvt/machine.h"

static struct machine machine;
static struct calls calls;
static bool count_exits; /* say how many there were, in the end */
static int core = -1;    /* folder for a dump */
static bool debugged;
static uint16_t gdb_port = 1234;

static uint16_t parse_port(const char *text)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != 0 || port == 0 ||
        port > UINT16_MAX)
        errx(1, "Malformed argument to --gdb-port: '%s' is not 1 to 65535",
             text);
    return (uint16_t)port;
}

static bool hvt_option(const char *word)
{
    static const char dump[] = "--dumpcore=", port[] = "--gdb-port=";

    if (strcmp(word, "--count-exits") == 0)
        count_exits = true;
    else if (strncmp(word, dump, strlen(dump)) == 0)
        core = core_open(word + strlen(dump));
    else if (strcmp(word, "--gdb") == 0)
        debugged = true;
    else if (strncmp(word, port, strlen(port)) == 0)
        gdb_port = parse_port(word + strlen(port));
    else if (strcmp(word, "--no-net-ring") != 0) /* Solo5's: we have none */
        return false;
    return true;
}

static void on_signal(int number)
{
    if (number != SIGIO) /* the debugger's only ends a wait */
        calls_stop = number;
}

/*
 * Signals that ask for an end come only while the guest runs or waits. The
 * first one is for the guest to see, the second one's effect is the usual one.
 */
static void take_signals(const sigset_t *awake)
{
    static const int numbers[] = {SIGIO, SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = on_signal};
    union {
        struct kvm_signal_mask head;
        uint8_t room[sizeof(struct kvm_signal_mask) + sizeof(uint64_t)];
    } mask = {.head.len = sizeof(uint64_t)};
    sigset_t asleep = *awake;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        (void)sigaddset(&asleep, numbers[i]);
        action.sa_flags = numbers[i] == SIGIO ? 0 : (int)SA_RESETHAND;
        if (sigaction(numbers[i], &action, NULL) != 0)
            err(1, "cannot take signals");
    }
    memcpy(mask.head.sigset, awake, sizeof(uint64_t));
    if (sigprocmask(SIG_SETMASK, &asleep, NULL) != 0 ||
        ioctl(machine.processor, (int)KVM_SET_SIGNAL_MASK, &mask) != 0)
        err(1, "cannot take signals");
}

static _Noreturn void end(int status)
{
    gdb_ended(status);
    if (count_exits)
        warnx("%llu exits", (unsigned long long)machine.exits);
    exit(status);
}

/* The guest has done what none should, or KVM (`error`) cannot go on. */
static _Noreturn void fail(int error)
{
    char text[160];

    machine_explain(&machine, error, text, sizeof(text));
    warnx("%s", text);
    gdb_ended(-1);
    exit(1);
}

/* Run the guest to its end; returns its status. */
static int run(bool stops)
{
    uint32_t number;
    uint64_t address;

    for (;;) {
        bool ran = machine_run(&machine);
        int error = ran ? 0 : errno;
        /* KVM has left the guest for a signal, but not let it come. */
        if (error == EINTR)
            (void)ppoll(NULL, 0, &(struct timespec){0}, &calls.awake);
        if (calls_stop && !stops)
            errx(1, "Exiting on signal %d", (int)calls_stop);
        if ((debugged && gdb_look(&machine, ran)) || error == EINTR)
            continue;
        if (!ran || !machine_called(&machine, &number, &address))
            fail(error);
        switch (calls_do(&calls, number, address)) {
        case CALLS_DONE:
            break;
        case CALLS_HALT:
            if (calls.status == SOLO5_EXIT_ABORT && core >= 0)
                core_dump(&machine, &calls, core);
            return calls.status;
        case CALLS_BAD:
            errx(1, "%s", calls.why);
        }
    }
}

static _Noreturn void hvt_start(struct launch *launch)
{
    union manifest *manifest = &launch->image.manifest;
    uint64_t behind = HVT_BOOT_INFO + sizeof(struct hvt_boot_info);

    machine_make(&machine, launch->mem_size);
    machine.guest.elf = &launch->image.elf;
    launch_load(launch, &machine.guest);
    const struct hvt_boot_info info = {
        .mem_size = machine.guest.mem_size,
        .kernel_end = launch->image.elf.end,
        .tick_rate = machine.tick_rate,
        .manifest = behind,
        .cmdline = behind + manifest_size(manifest),
    };
    launch_boot(launch, &machine.guest, HVT_BOOT_INFO,
                bytes_of(&info, sizeof(info)));
    answer_put_number(&launch->answers, FATA_ANSWER_HVT, 1);
    answer_put_number(&launch->answers, FATA_ANSWER_BLOCK_TRANSFER, UINT32_MAX);
    bool extended = launch_answer(launch, &machine.guest);
    machine_prepare(&machine, launch->image.elf.entry);

    calls_init(&calls, &machine.guest, manifest);
    calls.extended = extended;
    /* One that could not be told of our hypercalls never hears of a stop. */
    bool stops =
        extended && (launch->image.answers.wants & FATA_WANTS_STOP) != 0;
    int debugger = -1;
    if (debugged)
        debugger = gdb_accept(&machine, gdb_port);
    take_signals(&calls.awake);
    launch_seal();
    const struct hvt_grants grants = {.processor = machine.processor,
                                      .manifest = manifest,
                                      .core = core,
                                      .debugger = debugger};
    if (!hvt_filter_install(&grants))
        err(1, "cannot lock the monitor into a seccomp filter");
    if (debugged)
        gdb_stopped(&machine, SIGTRAP);
    end(run(stops));
}

const struct backend backend = {
    .name = "hvt",
    .target = SOLO5_TARGET_HVT,
    .version = HVT_ABI_VERSION,
    .memory_unit = HVT_MEMORY_UNIT,
    .memory_max = UINT64_C(1) << 32,
    .help =
        "  --dumpcore=FOLDER            write a core file there if the guest "
        "aborts\n"
        "  --gdb                        wait for gdb before the guest starts\n"
        "  --gdb-port=N                 at this port (default: 1234)\n"
        "  --no-net-ring                passed over: it is Solo5's ring\n"
        "  --count-exits                say how often the guest was left\n",
    .option = hvt_option,
    .start = hvt_start,
};
