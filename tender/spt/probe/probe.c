/*
 * A guest for boot_test.py, written against the specification of the spt ABI
 * alone: it does what the words of its command line say, one after another,
 * and prints what comes of it.
 *
 *     show            the boot info, the stack at entry, the devices
 *     call N A B C D  a system call and its result
 *     call6 N A B C D E F  one with more arguments
 *     int80 N         a system call of i386
 *     peek A, poke A N  read or write a byte of memory
 *     run A           jump to an address
 *     thread          the word that the thread register points to
 *     zero            whether all memory that should be zero is
 *     answers         the block that Fata's tender fills
 *     echo            send frames back until the device ends
 *     exit N          the end
 *
 * Numbers are decimal or 0x...; `buf`, `code`, `data` and `constant` are
 * addresses of such memory; `fdN`, `epoll` and `timer` are the descriptors of
 * device N, the epoll set and the timer.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* boot_test.py builds it with others too. */
#ifndef MANIFEST
#define MANIFEST
#define TARGET  2
#define VERSION 2
#define WANTS   0
#endif

/* Addresses are what it is about. */
/* NOLINTBEGIN(performance-no-int-to-ptr) */

struct boot_info {
    uint64_t mem_size, kernel_end;
    const char *cmdline;
    const uint8_t *manifest;
    int epollfd, timerfd;
};

extern uint8_t spt_image_end[];
static uint8_t answers[512] __attribute__((aligned(8)));
static uint8_t buffer[0x10000];
static uint32_t writable = 0xdada;
static const struct boot_info *info;
static const char *rest;

#ifdef WITH_NOTE
static const struct {
    uint32_t namesz, descsz, type;
    char name[8];
    uint32_t padding;
    void *address;
    uint64_t size, wants;
    void *thread;
} fata_note __attribute__((used, section(".note.fata"))) = {
    5, 36, 0x31534e41, "Fata", 0, answers, sizeof(answers), WANTS, buffer};
#endif

static const char interpreter[24] __attribute__((used, section(".interp"))) =
    "/nonexistent/solo5/";

static const struct {
    uint32_t namesz, descsz, type;
    char name[8];
    uint32_t target, version, reserved[2];
} abi_note __attribute__((used, section(".note.solo5.abi"))) = {
    6, 16, 0x31494241, "Solo5", TARGET, VERSION, {0}};

struct entry {
    char name[68];
    uint32_t type;
    uint8_t properties[32];
};

#define DEVICES (sizeof((struct entry[]){MANIFEST}) / sizeof(struct entry))

static const struct {
    uint32_t namesz, descsz, type;
    char name[8];
    uint32_t padding, version, count;
    struct entry entries[1 + DEVICES];
} manifest_note __attribute__((used, section(".note.solo5.manifest"))) = {
    6,           4 + 8 + 104 * (1 + DEVICES),      0x3154464d, "Solo5", 0, 1,
    1 + DEVICES, {{"", 0x40000000, {0}}, MANIFEST}};

static long call(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(n)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return n;
}

static void print(const char *text)
{
    size_t len = 0;
    while (text[len] != 0)
        len++;
    call(1, 1, (long)text, (long)len, 0, 0, 0);
}

static void print_number(const char *name, uint64_t n)
{
    char text[24], *at = text + sizeof(text);
    *--at = 0;
    *--at = '\n';
    do
        *--at = "0123456789abcdef"[n % 16];
    while ((n /= 16) > 0);
    print(name);
    print(" 0x");
    print(at);
}

/* The next word is this one; then it is passed over. */
static bool word(const char *expected)
{
    const char *at = rest;
    while (*at == ' ')
        at++;
    while (*expected != 0)
        if (*at++ != *expected++)
            return false;
    if (*at != ' ' && *at != 0)
        return false;
    rest = at;
    return true;
}

static uint64_t number(void)
{
    uint64_t n = 0, base = 10;
    if (word("buf"))
        return (uint64_t)buffer;
    if (word("code"))
        return (uint64_t)print;
    if (word("data"))
        return (uint64_t)&writable;
    if (word("constant"))
        return (uint64_t)&abi_note;
    if (word("epoll"))
        return (uint64_t)info->epollfd;
    if (word("timer"))
        return (uint64_t)info->timerfd;
    while (*rest == ' ')
        rest++;
    if (rest[0] == 'f' && rest[1] == 'd') {
        size_t i = (size_t)(rest[2] - '0');
        rest += 3;
        return *(const uint32_t *)(info->manifest + 8 + i * 104 + 88);
    }
    if (word("-1"))
        return UINT64_MAX;
    if (rest[0] == '0' && rest[1] == 'x') {
        base = 16;
        rest += 2;
    }
    for (; *rest != ' ' && *rest != 0; rest++)
        n = n * base +
            (uint64_t)(*rest >= 'a' ? *rest - 'a' + 10 : *rest - '0');
    return n;
}

static void show(uint64_t stack)
{
    print_number("info", (uint64_t)info);
    print_number("stack", stack);
    print_number("mem_size", info->mem_size);
    print_number("kernel_end", info->kernel_end);
    print_number("image_end", (uint64_t)spt_image_end);
    print_number("manifest", (uint64_t)info->manifest);
    print_number("cmdline", (uint64_t)info->cmdline);
    print_number("epollfd", (uint64_t)info->epollfd);
    print_number("timerfd", (uint64_t)info->timerfd);
    print_number("entries", info->manifest[4]);
    for (size_t i = 1; i < info->manifest[4]; i++) {
        const uint8_t *entry = info->manifest + 8 + i * 104;
        print("device ");
        print((const char *)entry);
        print_number("", *(const uint32_t *)(entry + 68));
        print_number("mac_or_capacity", *(const uint64_t *)(entry + 72));
        print_number("block_size", *(const uint16_t *)(entry + 80));
        print_number("fd", *(const uint32_t *)(entry + 88));
        print_number("attached", entry[96]);
    }
}

static bool is_zero(uint64_t from, uint64_t to)
{
    for (; from < to; from += 8)
        if (*(const uint64_t *)from != 0)
            return false;
    return true;
}

static void zero(uint64_t stack)
{
    /* The command line is at most 8192 bytes, the stack in use far less. */
    bool good = is_zero(0x10000, 0x11000) && is_zero(0x16000, 0x100000) &&
                is_zero((uint64_t)buffer, (uint64_t)buffer + sizeof(buffer)) &&
                is_zero((uint64_t)spt_image_end, stack - 0x2000);
    print(good ? "zero yes\n" : "zero no\n");
}

static void echo(void)
{
    struct __attribute__((packed)) {
        uint32_t events;
        uint64_t data;
    } event = {0};
    for (;;) {
        call(281, info->epollfd, (long)&event, 1, -1, 0, 0);
        int fd = *(const int *)(info->manifest + 8 + event.data * 104 + 88);
        long n = call(0, fd, (long)buffer, sizeof(buffer), 0, 0, 0);
        print_number("frame", (uint64_t)n);
        if (n == 0)
            return;
        call(1, fd, (long)buffer, n, 0, 0, 0);
    }
}

__attribute__((used)) static void probe(const struct boot_info *i,
                                        uint64_t stack)
{
    info = i;
    rest = i->cmdline;
    for (;;) {
        bool six = false;
        if (word("show")) {
            show(stack);
        } else if (word("call") || (six = word("call6"))) {
            long n[7] = {0};
            for (int a = 0; a < (six ? 7 : 5); a++)
                n[a] = (long)number();
            print_number("result", (uint64_t)call(n[0], n[1], n[2], n[3], n[4],
                                                  n[5], n[6]));
        } else if (word("int80")) {
            long n = (long)number();
            __asm__ volatile("int $0x80" : "+a"(n) : "b"(1) : "memory");
            print_number("result", (uint64_t)n);
        } else if (word("thread")) {
            uint64_t self;
            __asm__("mov %%fs:0, %0" : "=r"(self));
            print_number("thread", self);
        } else if (word("peek")) {
            print_number("byte", *(const volatile uint8_t *)number());
        } else if (word("poke")) {
            volatile uint8_t *at = (volatile uint8_t *)number();
            *at = (uint8_t)number();
            print("poked\n");
        } else if (word("run")) {
            ((void (*)(void))number())();
        } else if (word("zero")) {
            zero(stack);
        } else if (word("answers")) {
            for (size_t j = 0; j < sizeof(answers) / 8; j++)
                print_number("answer", ((const uint64_t *)answers)[j]);
        } else if (word("echo")) {
            echo();
        } else if (word("exit")) {
            call(231, (long)number(), 0, 0, 0, 0, 0);
        } else {
            break;
        }
    }
    print("words:");
    print(rest);
    print("\n");
    call(231, 0, 0, 0, 0, 0, 0);
}

__asm__(".globl spt_start\n"
        "spt_start:\n"
        "mov %rsp, %rsi\n"
        "jmp probe\n");

/* NOLINTEND(performance-no-int-to-ptr) */
