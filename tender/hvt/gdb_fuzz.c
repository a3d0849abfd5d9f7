/*
 * A hostile debugger, or another program that has found the port: any bytes,
 * or, after a zero, lines, each of which becomes a packet. Nothing but the
 * guest's memory is touched, each answer is a packet with its sum, and when it
 * has left none of its breakpoints is there any more.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */ // NOLINT(bugprone-reserved-identifier)
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tender/hvt/hvt.h"

enum { MEMORY = 0x4000, SAID_MAX = 1 << 15 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static uint8_t before[MEMORY]; /* the debugger came */

/* The guest's memory, between pages that nobody may touch. */
static uint8_t *fresh_memory(void)
{
    static uint8_t *memory;

    if (memory == NULL) {
        uint8_t *room =
            mmap(NULL, MEMORY + 2 * (size_t)SOLO5_PAGE, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        check(room != MAP_FAILED);
        memory = room + SOLO5_PAGE;
        check(mprotect(memory, MEMORY, PROT_READ | PROT_WRITE) == 0);
        for (size_t i = 0; i < MEMORY; i++)
            before[i] = (uint8_t)(i * 7);
    }
    memcpy(memory, before, MEMORY);
    return memory;
}

/* What the debugger has heard: acknowledgements and whole packets. */
static void check_heard(struct reader r)
{
    while (r.rest.len > 0) {
        unsigned sum = 0;
        uint8_t c = get_u8(&r);
        char digits[3] = {0};

        if (c == '+')
            continue;
        check(c == '$');
        while ((c = get_u8(&r)) != '#' && !r.failed)
            sum += c;
        get_copy(&r, digits, 2);
        check(!r.failed && strtoul(digits, NULL, 16) == (sum & 0xff));
    }
}

/* The debugger's side of the conversation; acknowledgements come in advance. */
static struct writer say(struct reader r)
{
    static uint8_t said[SAID_MAX];
    struct writer w = WRITER(said);

    if (r.rest.len == 0 || r.rest.at[0] != 0) {
        put_bytes(&w, r.rest);
        r = (struct reader){0};
    }
    while (r.rest.len > 0) {
        uint8_t c = get_u8(&r);
        if (c == 0 || c == '\n')
            put_bytes(&w, TEXT("#00+$"));
        else
            put_u8(&w, c);
    }
    put_bytes(&w, TEXT("#00+"));
    /* What would end this process, does not. */
    for (size_t i = 1; i < w.len; i++)
        if (said[i - 1] == '$' && said[i] == 'k')
            said[i] = 'K';
    return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t heard[1 << 22];
    struct writer said = say(reader_of(bytes_of(data, size)));
    struct machine machine = {
        .processor = -1,
        .guest = {.memory = fresh_memory(), .mem_size = MEMORY}};
    int ends[2], room = sizeof(heard) / 4;
    size_t len = 0;

    if (said.failed)
        return 0;
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        check(setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &room,
                         sizeof(room)) == 0 ||
              setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) ==
                  0);
    check(write(ends[1], said.at, said.len) == (ssize_t)said.len);
    check(shutdown(ends[1], SHUT_WR) == 0);

    gdb_meet(&machine, ends[0]);
    gdb_stopped(&machine, SIGTRAP);
    (void)close(ends[0]);
    for (ssize_t n = 1; n > 0; len += n > 0 ? (size_t)n : 0)
        n = read(ends[1], heard + len, sizeof(heard) - len);
    (void)close(ends[1]);
    check_heard(reader_of(bytes_of(heard, len)));
    check(memchr(said.at, 'M', said.len) != NULL ||
          memcmp(machine.guest.memory, before, MEMORY) == 0);
    return 0;
}
