/*
 * gdb's remote protocol: see hvt.h. A packet is "$TEXT#SS", SS the sum of the
 * text's characters in hexadecimal; each is acknowledged by "+".
 */
#define _GNU_SOURCE /* O_ASYNC */ // NOLINT(bugprone-reserved-identifier)
#include "tender/hvt/hvt.h"

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
    FLOATS = 8, /* registers of each kind */
    GENERAL = 16,
};

static int connection = -1;
static char packet[PACKET + 1]; /* received, then the answer */
/*
 * Places where the guest's instruction is replaced by HLT, which no guest has
 * a use for. Unlike INT3 it leaves every kind of KVM.
 */
static struct breakpoint {
    uint64_t address; /* 0: not used */
    uint8_t byte;     /* what stood there */
} breakpoints[BREAKPOINTS];

/* Registers in gdb's order for x86-64, up to the first of the vector units. */
struct __attribute__((packed, aligned(8))) registers {
    uint64_t general[GENERAL]; /* rax rbx rcx rdx rsi rdi rbp rsp r8-r15 */
    uint64_t rip;
    uint32_t flags, segments[6]; /* cs ss ds es fs gs */
    uint8_t floats[FLOATS][10];
    uint32_t control[8]; /* fctrl fstat ftag fiseg fioff foseg fooff fop */
    uint8_t vectors[GENERAL][16];
    uint32_t mxcsr;
};

static_assert(sizeof(struct registers) == 536, "as gdb has it");

int gdb_accept(struct machine *machine, uint16_t port)
{
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (s < 0 ||
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(s, (const struct sockaddr *)&here, sizeof(here)) != 0 ||
        listen(s, 1) != 0)
        err(1, "--gdb: cannot listen at port %u", (unsigned)port);
    warnx("waiting for gdb: target remote 127.0.0.1:%u", (unsigned)port);
    int peer = accept4(s, NULL, NULL, SOCK_CLOEXEC);
    /* A wish to stop the guest comes as a signal. */
    if (peer < 0 || fcntl(peer, F_SETOWN, getpid()) != 0 ||
        fcntl(peer, F_SETFL, O_ASYNC) != 0)
        err(1, "--gdb: no connection");
    (void)close(s);
    gdb_meet(machine, peer);
    return peer;
}

void gdb_meet(struct machine *machine, int socket)
{
    const struct guest *guest = &machine->guest;

    connection = socket;
    if (mprotect(guest->memory, guest->mem_size, PROT_READ | PROT_WRITE) != 0)
        err(1, "--gdb: cannot write to the guest's code");
}

/* The next character; -1: there is nobody any more. */
static int get(void)
{
    uint8_t byte;

    return read(connection, &byte, 1) == 1 ? byte : -1;
}

/* Send the text; TCP sees to it that it arrives. */
static void answer(const char *text)
{
    static char whole[PACKET + 8];
    unsigned sum = 0;
    int c, len;

    for (const char *at = text; *at != 0; at++)
        sum += (uint8_t)*at;
    len = snprintf(whole, sizeof(whole), "$%s#%02x", text, sum & 0xff);
    if (write(connection, whole, (size_t)len) != len)
        return;
    do
        c = get();
    while (c >= 0 && c != '+');
}

/* The next packet, to `packet`. False: there is nobody any more. */
static bool receive(void)
{
    size_t len = 0;
    int c;

    do
        c = get();
    while (c >= 0 && c != '$');
    while (c >= 0 && (c = get()) >= 0 && c != '#')
        if (len < PACKET)
            packet[len++] = (char)c;
    packet[len] = 0;
    for (int i = 0; i < 2 && c >= 0; i++) /* its sum */
        c = get();
    return c >= 0 && write(connection, "+", 1) == 1;
}

static void put_hex(const uint8_t *from, size_t len)
{
    packet[0] = 0;
    for (size_t i = 0; i < len; i++)
        (void)snprintf(packet + 2 * i, 3, "%02x", from[i]);
}

/* False: these are not `len` bytes. */
static bool get_hex(const char *from, uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++, from += 2) {
        char *end, text[3] = {from[0]};
        if (from[0] != 0)
            text[1] = from[1];
        to[i] = (uint8_t)strtoul(text, &end, 16);
        if (end != text + 2)
            return false;
    }
    return true;
}

/* gdb and KVM have the general registers in the same order but for these. */
enum { GDB_RBP = 6, GDB_RSP = 7 };

static_assert(offsetof(struct kvm_regs, rip) == offsetof(struct registers, rip),
              "as many before it");

static void get_registers(const struct machine *machine)
{
    struct kvm_regs k = {0};
    struct kvm_sregs s = {0};
    struct kvm_fpu f = {0};

    (void)ioctl(machine->processor, (int)KVM_GET_REGS, &k);
    (void)ioctl(machine->processor, (int)KVM_GET_SREGS, &s);
    (void)ioctl(machine->processor, (int)KVM_GET_FPU, &f);
    struct registers r = {
        .flags = (uint32_t)k.rflags,
        .segments = {s.cs.selector, s.ss.selector, s.ds.selector, s.es.selector,
                     s.fs.selector, s.gs.selector},
        .control = {f.fcw, f.fsw, f.ftwx},
        .mxcsr = f.mxcsr,
    };
    memcpy(&r, &k, offsetof(struct registers, flags));
    r.general[GDB_RBP] = k.rbp;
    r.general[GDB_RSP] = k.rsp;
    for (size_t i = 0; i < FLOATS; i++)
        memcpy(r.floats[i], f.fpr[i], sizeof(r.floats[i]));
    memcpy(r.vectors, f.xmm, sizeof(r.vectors));
    put_hex((const uint8_t *)&r, sizeof(r));
}

/* Those of the vector and floating-point units are left as they are. */
static bool set_registers(const struct machine *machine, const char *text)
{
    struct registers r;
    struct kvm_regs k;

    if (!get_hex(text, (uint8_t *)&r, offsetof(struct registers, segments)))
        return false;
    memcpy(&k, &r, offsetof(struct registers, flags));
    k.rbp = r.general[GDB_RBP];
    k.rsp = r.general[GDB_RSP];
    k.rflags = r.flags;
    return ioctl(machine->processor, (int)KVM_SET_REGS, &k) == 0;
}

/* The breakpoint at `address`, or, with 0, an unused one; NULL: none. */
static struct breakpoint *find_breakpoint(uint64_t address)
{
    for (size_t i = 0; i < BREAKPOINTS; i++)
        if (breakpoints[i].address == address)
            return &breakpoints[i];
    return NULL;
}

/* "Z0,ADDRESS,KIND" and "z0,..." */
static bool set_breakpoint(const struct machine *machine)
{
    uint64_t address = strlen(packet) > 3 ? strtoull(packet + 3, NULL, 16) : 0;
    uint8_t *at = guest_at(&machine->guest, address, 1);
    struct breakpoint *b = find_breakpoint(address);

    if (address == 0 || at == NULL)
        return false;
    if (packet[0] == 'z' && b != NULL) {
        *at = b->byte;
        b->address = 0;
    } else if (packet[0] == 'Z' && b == NULL) {
        b = find_breakpoint(0);
        if (b == NULL)
            return false;
        *b = (struct breakpoint){.address = address, .byte = *at};
        *at = HLT;
    }
    return true;
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
    put_hex(at, len);
    return true;
}

/* False: KVM cannot. */
static bool go_on(const struct machine *machine, uint32_t how)
{
    struct kvm_guest_debug debug = {.control = how};

    return ioctl(machine->processor, (int)KVM_SET_GUEST_DEBUG, &debug) == 0;
}

static void detach(const struct machine *machine)
{
    for (size_t i = 0; i < BREAKPOINTS; i++)
        if (breakpoints[i].address != 0)
            machine->guest.memory[breakpoints[i].address] = breakpoints[i].byte;
    memset(breakpoints, 0, sizeof(breakpoints));
    connection = -1;
    (void)go_on(machine, 0);
}

/* What is to be said to the packet; NULL: the guest is to go on. */
static const char *obey(struct machine *machine, const char *stop)
{
    static const char *const words[] = {"E01", "OK"};

    switch (packet[0]) {
    case '?':
        return stop;
    case 'g':
        get_registers(machine);
        return packet;
    case 'G':
        return words[set_registers(machine, packet + 1)];
    case 'm':
        return access_memory(machine) ? packet : "E01";
    case 'M':
        return words[access_memory(machine)];
    case 'Z':
    case 'z': /* the processor's own breakpoints do not leave all of KVM */
        return packet[1] != '0' ? "" : words[set_breakpoint(machine)];
    case 's':
        return go_on(machine, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
                   ? NULL
                   : "E01";
    case 'c':
        return go_on(machine, 0) ? NULL : "E01";
    case 'k':
        exit(1);
    case 'D':
        answer("OK");
        detach(machine);
        return NULL;
    default:
        return "";
    }
}

void gdb_stopped(struct machine *machine, int signal)
{
    static bool begun;
    char stop[4];

    (void)snprintf(stop, sizeof(stop), "S%02x", (unsigned)signal & 0xff);
    if (begun)
        answer(stop);
    begun = true;
    while (receive()) {
        const char *text = obey(machine, stop);
        if (text == NULL)
            return;
        answer(text);
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
    k.rip--;
    return k.rip != 0 && find_breakpoint(k.rip) != NULL &&
           ioctl(machine->processor, (int)KVM_SET_REGS, &k) == 0;
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
