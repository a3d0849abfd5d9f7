/* A debugger's words and the answers to them, without a machine. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */ // NOLINT(bugprone-reserved-identifier)
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tender/hvt/hvt.h"
#include "test/test.h"

enum { MEMORY = 0x10000, PACKET = 4096 };

struct line {
    const char *said, *answer;
};

static char most[PACKET + 1]; /* as many hexadecimal digits as a packet has */

static uint16_t free_port(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    int s = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(bind(s, (const struct sockaddr *)&here, len) == 0);
    CHECK(getsockname(s, (struct sockaddr *)&here, &len) == 0);
    (void)close(s);
    return ntohs(here.sin_port);
}

static int reach(uint16_t port)
{
    struct sockaddr_in there = {.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    for (int i = 0; i < 1000; i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (const struct sockaddr *)&there, sizeof there) == 0)
            return s;
        (void)close(s);
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return -1;
}

/* Whether the next answer is `line`'s. */
static bool hear(FILE *f, const struct line *line)
{
    char answer[PACKET + 1];
    size_t len = 0;
    int c;

    while ((c = getc(f)) == '+')
        continue;
    if (c != '$')
        return false;
    while ((c = getc(f)) != EOF && c != '#' && len < PACKET)
        answer[len++] = (char)c;
    answer[len] = 0;
    (void)getc(f);
    (void)getc(f);
    (void)fputc('+', f);
    (void)fflush(f);
    if (strcmp(answer, line->answer) == 0)
        return true;
    printf("to %.40s: %.80s, not %.80s\n", line->said, answer, line->answer);
    return false;
}

static bool speak(FILE *f, const struct line *line)
{
    (void)fprintf(f, "$%s#00", line->said);
    (void)fflush(f);
    return hear(f, line);
}

/* Lead the conversation, and detach; the guest's memory behind it. */
static const uint8_t *talk(const struct line *lines, size_t count)
{
    static const struct line stopped = {"", "S05"}, last = {"D", "OK"};
    static bool again;
    struct machine machine = {
        .processor = -1,
        .guest = {.memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                  .mem_size = MEMORY}};
    uint16_t port = free_port();
    int status = 1;

    (void)signal(SIGIO, SIG_IGN);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        FILE *f = fdopen(reach(port), "r+");
        /* Nobody asks for the first stop, and nobody needs to for others. */
        bool good = f != NULL && (!again || hear(f, &stopped));
        for (size_t i = 0; good && i < count; i++)
            good = speak(f, &lines[i]);
        good = good && speak(f, &last);
        (void)fflush(stdout);
        _exit(!good);
    }
    again = true;
    (void)gdb_accept(&machine, port);
    gdb_stopped(&machine, SIGTRAP);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return machine.guest.memory;
}

#define TALK(...)                                                              \
    talk((const struct line[]){__VA_ARGS__},                                   \
         sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line))

static void memory_is_read_and_written(void)
{
    const uint8_t *memory =
        TALK({"M1000,3:0aFf01", "OK"}, {"m1000,4", "0aff0100"}, {"m0,0", ""});
    CHECK_EQ(memory[0x1001], 0xff);
}

static void only_the_guests_memory_is(void)
{
    (void)TALK({"mfffe,2", "0000"}, {"mffff,2", "E01"}, {"m10000,1", "E01"},
               {"mffffffffffffffff,2", "E01"}, {"m0,801", "E01"},
               {"M10000,1:00", "E01"}, {"m1000", "E01"});
}

static void bytes_that_are_not_there_are_not_written(void)
{
    /* What an earlier packet left behind is no part of a shorter one. */
    const uint8_t *memory =
        TALK({most, ""}, {"M1000,4:1", "E01"}, {"M1000,2:12", "E01"},
             {"M1000,800:0", "E01"}, {"M1000,1", "E01"}, {"G123", "E01"},
             /* There is no machine, and so nothing that could go on. */
             {"c", "E01"}, {"s", "E01"});
    CHECK_EQ(memory[0x1001], 0);
}

static void a_breakpoint_is_gone_when_the_debugger_is(void)
{
    const uint8_t *memory =
        TALK({"M1000,2:9090", "OK"}, {"Z0,1000,1", "OK"}, {"Z0,1001,1", "OK"},
             {"m1000,2", "f4f4"}, {"z0,1000,1", "OK"}, {"m1000,2", "90f4"},
             {"Z0,10000,1", "E01"}, {"Z1,1000,1", ""});
    CHECK_EQ(memory[0x1001], 0x90);
}

int main(void)
{
    memset(most, 'a', PACKET);
    RUN(memory_is_read_and_written);
    RUN(only_the_guests_memory_is);
    RUN(bytes_that_are_not_there_are_not_written);
    RUN(a_breakpoint_is_gone_when_the_debugger_is);
    return test_result();
}
