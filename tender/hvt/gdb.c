/*
 * gdb's remote protocol: see gdb.h. A packet is "$TEXT#SS", SS the sum of the
 * text's characters in hexadecimal; each is acknowledged by "+".
 */
#define _GNU_SOURCE /* O_ASYNC */ // NOLINT(bugprone-reserved-identifier)
#include "tender/hvt/gdb.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PACKET = 4096, /* characters, the most */
    BREAKPOINTS = 256,
    HLT = 0xf4,
    WATCHED = 4,
    FLOATS = 8,
    GENERAL = 16,
};

static int connection = -1;
static char packet[PACKET + 1]; /* received, then the answer */
/*
 * Places where the guest's instruction is replaced by HLT, which no guest has
 * a use for. Unlike INT3 it leaves every kind of KVM.
 */
static struct {
    uint64_t address;
    uint8_t byte; /* what stood there */
    bool used;
} breakpoints[BREAKPOINTS];
/* The processor's own breakpoints, also for data. */
static struct {
    uint64_t address;
    uint64_t len; /* 0: not used */
    char kind;    /* as in packets: 1 code, 2 writes, 3 and 4 any use */
} watched[WATCHED];

/* Registers in gdb's order for x86-64, up to the first of the vector units. */
struct __attribute__((packed)) registers {
    uint64_t general[GENERAL]; /* rax rbx rcx rdx rsi rdi rbp rsp r8-r15 */
    uint64_t rip;
    uint32_t flags, segments[6]; /* cs ss ds es fs gs */
    uint8_t floats[FLOATS][10];
    uint32_t control[8]; /* fctrl fstat ftag fiseg fioff foseg fooff fop */
    uint8_t vectors[GENERAL][16];
    uint32_t mxcsr;
};

static_assert(sizeof(struct registers) == 536, "as gdb has it");
static_assert(offsetof(struct kvm_regs, rip) == 8 * GENERAL,
              "as swap() has it");

int gdb_accept(struct machine *machine, uint16_t port)
{
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct guest *guest = &machine->guest;
    int yes = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (s < 0 ||
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(s, (const struct sockaddr *)&here, sizeof(here)) != 0 ||
        listen(s, 1) != 0)
        err(1, "--gdb: cannot listen at port %u", (unsigned)port);
    warnx("waiting for gdb: target remote 127.0.0.1:%u", (unsigned)port);
    connection = accept4(s, NULL, NULL, SOCK_CLOEXEC);
    /* A wish to stop the guest comes as a signal. */
    if (connection < 0 || fcntl(connection, F_SETOWN, getpid()) != 0 ||
        fcntl(connection, F_SETFL, O_ASYNC) != 0)
        err(1, "--gdb: no connection");
    (void)close(s);
    if (mprotect(guest->memory, guest->mem_size, PROT_READ | PROT_WRITE) != 0)
        err(1, "--gdb: cannot write to the guest's code");
    return connection;
}

/* The next character; -1: there is nobody any more. */
static int get(void)
{
    uint8_t byte;

    if (connection < 0 || read(connection, &byte, 1) != 1)
        return -1;
    return byte;
}

static void put(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(connection, text, len);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

/* Send the text, until it has arrived. */
static void answer(const char *text)
{
    char end[4];
    unsigned sum = 0;
    int c;

    for (const char *at = text; *at != 0; at++)
        sum += (uint8_t)*at;
    (void)snprintf(end, sizeof(end), "#%02x", sum & 0xff);
    do {
        put("$", 1);
        put(text, strlen(text));
        put(end, 3);
        do
            c = get();
        while (c >= 0 && c != '+' && c != '-');
    } while (c == '-');
}

/* The next packet, to `packet`. False: there is nobody any more. */
static bool receive(void)
{
    for (;;) {
        size_t len = 0;
        unsigned sum = 0, said = 0;
        char end[3] = {0};
        int c;
        do
            c = get();
        while (c >= 0 && c != '$');
        while ((c = get()) >= 0 && c != '#') {
            sum += (unsigned)c;
            if (len < PACKET)
                packet[len++] = (char)c;
        }
        for (int i = 0; i < 2 && c >= 0; i++)
            end[i] = (char)(c = get());
        if (c < 0)
            return false;
        packet[len] = 0;
        said = (unsigned)strtoul(end, NULL, 16);
        put(said == (sum & 0xff) ? "+" : "-", 1);
        if (said == (sum & 0xff))
            return true;
    }
}

static void put_hex(char *to, const uint8_t *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        (void)snprintf(to + 2 * i, 3, "%02x", from[i]);
}

/* False: these are not `len` bytes. */
static bool get_hex(const char *from, uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++, from += 2) {
        char text[3] = {from[0], from[0] != 0 ? from[1] : (char)0, 0};
        char *end;
        to[i] = (uint8_t)strtoul(text, &end, 16);
        if (end != text + 2)
            return false;
    }
    return true;
}

/* KVM has the stack's and the frame's pointer the other way round. */
static void swap(uint64_t *general)
{
    uint64_t rsp = general[6];

    general[6] = general[7];
    general[7] = rsp;
}

static void get_registers(const struct machine *machine, struct registers *r)
{
    struct kvm_regs k = {0};
    struct kvm_sregs s = {0};
    struct kvm_fpu f = {0};

    (void)ioctl(machine->processor, (int)KVM_GET_REGS, &k);
    (void)ioctl(machine->processor, (int)KVM_GET_SREGS, &s);
    (void)ioctl(machine->processor, (int)KVM_GET_FPU, &f);
    *r = (struct registers){
        .rip = k.rip,
        .flags = (uint32_t)k.rflags,
        .segments = {s.cs.selector, s.ss.selector, s.ds.selector, s.es.selector,
                     s.fs.selector, s.gs.selector},
        .control = {f.fcw, f.fsw, f.ftwx},
        .mxcsr = f.mxcsr,
    };
    uint64_t general[GENERAL];
    memcpy(general, &k, sizeof(general));
    swap(general);
    memcpy(r->general, general, sizeof(general));
    for (size_t i = 0; i < FLOATS; i++)
        memcpy(r->floats[i], f.fpr[i], sizeof(r->floats[i]));
    memcpy(r->vectors, f.xmm, sizeof(r->vectors));
}

/* Those of the vector and floating-point units are left as they are. */
static bool set_registers(const struct machine *machine, const char *text)
{
    struct registers r;
    struct kvm_regs k = {0};
    uint64_t general[GENERAL];

    if (!get_hex(text, (uint8_t *)&r, offsetof(struct registers, segments)))
        return false;
    memcpy(general, r.general, sizeof(general));
    swap(general);
    memcpy(&k, general, sizeof(general));
    k.rip = r.rip;
    k.rflags = r.flags;
    return ioctl(machine->processor, (int)KVM_SET_REGS, &k) == 0;
}

/* HLT in place of the guest's instruction, or that one again. */
static bool set_instruction(const struct machine *machine, uint64_t address,
                            bool set)
{
    uint8_t *at = guest_at(&machine->guest, address, 1);
    size_t i = 0;

    while (i < BREAKPOINTS &&
           (breakpoints[i].used == set || breakpoints[i].address != address) &&
           (!set || breakpoints[i].used))
        i++;
    if (at == NULL || i == BREAKPOINTS)
        return false;
    if (set) {
        breakpoints[i].address = address;
        breakpoints[i].byte = *at;
        *at = HLT;
    } else {
        *at = breakpoints[i].byte;
    }
    breakpoints[i].used = set;
    return true;
}

/* "ZKIND,ADDRESS,LENGTH" sets a breakpoint, "z..." takes it away. */
static bool set_breakpoint(const struct machine *machine)
{
    bool set = packet[0] == 'Z';
    char kind = packet[1], *end = packet;
    uint64_t address = strtoull(packet + 3, &end, 16);
    uint64_t len = *end == ',' ? strtoull(end + 1, NULL, 16) : 0;

    if (kind == '0')
        return set_instruction(machine, address, set);
    if (kind == '1')
        len = 1;
    if (len == 0 || len > 8 || (len & (len - 1)) != 0)
        return false;
    for (size_t i = 0; i < WATCHED; i++) {
        bool same = watched[i].address == address && watched[i].kind == kind;
        if (set ? watched[i].len == 0 : watched[i].len == len && same) {
            watched[i].address = address;
            watched[i].kind = kind;
            watched[i].len = set ? len : 0;
            return true;
        }
    }
    return false;
}

/* "mADDRESS,LENGTH" and "MADDRESS,LENGTH:BYTES". */
static bool access_memory(const struct machine *machine)
{
    char *end;
    uint64_t address = strtoull(packet + 1, &end, 16);
    uint64_t len = *end == ',' ? strtoull(end + 1, &end, 16) : PACKET;

    if (len > PACKET / 2)
        return false;
    uint8_t *at = guest_at(&machine->guest, address, len);
    if (at == NULL)
        return false;
    if (packet[0] == 'M')
        return *end == ':' && get_hex(end + 1, at, len);
    put_hex(packet, at, len);
    packet[2 * len] = 0;
    return true;
}

static void go_on(const struct machine *machine, uint32_t how)
{
    static const uint64_t lengths[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    struct kvm_guest_debug debug = {.control = how};

    for (size_t i = 0; how != 0 && i < WATCHED; i++) {
        uint64_t uses = watched[i].kind < '2' ? 0 : 3;
        if (watched[i].kind == '2')
            uses = 1;
        debug.arch.debugreg[i] = watched[i].address;
        if (watched[i].len != 0)
            debug.arch.debugreg[7] |=
                UINT64_C(2) << 2 * i | (uses | lengths[watched[i].len] << 2)
                                           << (16 + 4 * i);
    }
    if (ioctl(machine->processor, (int)KVM_SET_GUEST_DEBUG, &debug) != 0)
        warn("--gdb: KVM refuses to stop the guest");
}

/* Why the guest stands still. */
static void tell(const struct machine *machine, char *text, size_t size,
                 int signal)
{
    const struct kvm_run *run = machine->run;
    size_t len = (size_t)snprintf(text, size, "T%02x", (unsigned)signal & 0xff);

    for (size_t i = 0; i < WATCHED && signal == SIGTRAP; i++)
        if ((run->debug.arch.dr6 >> i & 1) != 0 && watched[i].kind >= '2')
            (void)snprintf(text + len, size - len, "watch:%llx;",
                           (unsigned long long)watched[i].address);
}

static void detach(const struct machine *machine)
{
    for (size_t i = 0; i < BREAKPOINTS; i++)
        if (breakpoints[i].used)
            (void)set_instruction(machine, breakpoints[i].address, false);
    connection = -1;
    go_on(machine, 0);
}

void gdb_stopped(struct machine *machine, int signal)
{
    static bool begun;
    uint32_t control =
        KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP;
    struct registers r;
    char stop[40];

    tell(machine, stop, sizeof(stop), signal);
    if (begun)
        answer(stop);
    begun = true;
    while (receive()) {
        bool good = true;
        switch (packet[0]) {
        case '?':
            answer(stop);
            continue;
        case 'g':
            get_registers(machine, &r);
            put_hex(packet, (const uint8_t *)&r, sizeof(r));
            packet[2 * sizeof(r)] = 0;
            answer(packet);
            continue;
        case 'G':
            good = set_registers(machine, packet + 1);
            break;
        case 'm':
            good = access_memory(machine);
            answer(good ? packet : "E01");
            continue;
        case 'M':
            good = access_memory(machine);
            break;
        case 'Z':
        case 'z':
            good = set_breakpoint(machine);
            break;
        case 's':
            control |= KVM_GUESTDBG_SINGLESTEP;
            go_on(machine, control);
            return;
        case 'c':
            go_on(machine, control);
            return;
        case 'k':
            exit(1);
        case 'D':
            answer("OK");
            detach(machine);
            return;
        default:
            answer("");
            continue;
        }
        answer(good ? "OK" : "E01");
    }
    detach(machine);
}

/* Whether it stands at a breakpoint; it is to go on with what was there. */
static bool at_breakpoint(const struct machine *machine)
{
    struct kvm_regs k;

    if (machine->run->exit_reason != KVM_EXIT_HLT ||
        ioctl(machine->processor, (int)KVM_GET_REGS, &k) != 0)
        return false;
    for (size_t i = 0; i < BREAKPOINTS; i++)
        if (breakpoints[i].used && breakpoints[i].address == k.rip - 1) {
            k.rip--;
            return ioctl(machine->processor, (int)KVM_SET_REGS, &k) == 0;
        }
    return false;
}

bool gdb_look(struct machine *machine, bool ran)
{
    char byte = 0;

    if (connection < 0)
        return false;
    if (ran && (machine->run->exit_reason == KVM_EXIT_DEBUG ||
                at_breakpoint(machine))) {
        gdb_stopped(machine, SIGTRAP);
        return true;
    }
    if (!ran && recv(connection, &byte, 1, MSG_DONTWAIT) == 1 && byte == 3)
        gdb_stopped(machine, SIGINT);
    return false;
}

void gdb_ended(int status)
{
    char text[8];

    if (connection < 0)
        return;
    (void)snprintf(text, sizeof(text), status < 0 ? "X09" : "W%02x",
                   (unsigned)status & 0xff);
    answer(text);
}
