/*
 * Starts the unikernel of conformance.c on each target and checks what it
 * prints, how it ends and what it does with frames. `conformance_test IMAGE`
 * and `conformance_test TENDER IMAGE` test just that one.
 */
#define _GNU_SOURCE /* unshare */ // NOLINT(bugprone-reserved-identifier)
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "test/test.h"

enum {
    OUTPUT_ROOM = 1 << 18,
    WORDS = 16,
    FRAME_ROOM = 9216,
    BLOCKS = 8,
    BLOCK_SIZE = 512,
    WAIT_MS = 20000, /* for a peer that is stuck; no test measures time */
};

/* How to start the unikernel: a tender or NULL, and the image. */
static const char *tender;
static const char *image;

/* A run of the unikernel. */
struct guest {
    pid_t pid;
    int output; /* its standard output and error */
    int wire;   /* our end of its network device, or -1 */
    char text[OUTPUT_ROOM];
    size_t len;
    int status; /* as waitpid reports it */
};

static struct guest guest;
static char disk_option[64];

static void start_words(const char *const *options, const char *const *words,
                        int wire)
{
    const char *argv[2 * WORDS + 4];
    size_t argc = 0;
    int output[2];

    if (tender != NULL)
        argv[argc++] = tender;
    else
        argv[argc++] = image;
    for (size_t i = 0; options[i] != NULL; i++)
        argv[argc++] = options[i];
    argv[argc++] = "--";
    if (tender != NULL)
        argv[argc++] = image;
    for (size_t i = 0; words[i] != NULL; i++)
        argv[argc++] = words[i];
    argv[argc] = NULL;

    if (pipe(output) < 0 || fcntl(output[0], F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(output[1], F_SETFD, FD_CLOEXEC) < 0)
        abort();
    guest.len = 0;
    guest.pid = fork();
    if (guest.pid < 0)
        abort();
    if (guest.pid == 0) {
        (void)dup2(output[1], STDOUT_FILENO);
        (void)dup2(output[1], STDERR_FILENO);
        if (wire >= 0)
            (void)fcntl(wire, F_SETFD, 0);
        char *copies[2 * WORDS + 4];
        memcpy(copies, argv, (argc + 1) * sizeof argv[0]);
        (void)execv(argv[0], copies);
        (void)dprintf(STDERR_FILENO, "%s: %m\n", argv[0]);
        _exit(127);
    }
    (void)close(output[1]);
    guest.output = output[0];
}

/* Start it with both its devices attached, and boot arguments `words`. */
static void start(const char *const *words)
{
    int wire[2];
    char net_option[32];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire) < 0)
        abort();
    (void)snprintf(net_option, sizeof net_option, "--net:service=@%d", wire[1]);
    const char *options[] = {net_option, "--net-mac:service=02:00:00:00:be:ef",
                             disk_option, "--mem=64", NULL};
    start_words(options, words, wire[1]);
    (void)close(wire[1]);
    guest.wire = wire[0];
}

/* Read what it prints, until `until` is among it or to the end. */
static bool read_output(const char *until)
{
    while (true) {
        guest.text[guest.len] = '\0';
        if (until != NULL && strstr(guest.text, until) != NULL)
            return true;
        struct pollfd in = {.fd = guest.output, .events = POLLIN};
        if (poll(&in, 1, WAIT_MS) != 1)
            return false;
        ssize_t n = read(guest.output, guest.text + guest.len,
                         sizeof guest.text - 1 - guest.len);
        if (n <= 0)
            return false;
        guest.len += (size_t)n;
    }
}

static void end(void)
{
    (void)read_output(NULL);
    (void)close(guest.output);
    if (guest.wire >= 0)
        (void)close(guest.wire);
    guest.wire = -1;
    if (waitpid(guest.pid, &guest.status, 0) != guest.pid)
        abort();
}

static void run(const char *const *words)
{
    start(words);
    end();
}

static bool ended_with(int status)
{
    bool so = WIFEXITED(guest.status) && WEXITSTATUS(guest.status) == status;
    if (!so)
        printf("status 0x%x after: %s\n", (unsigned)guest.status, guest.text);
    return so;
}

#define WORDS_OF(...) ((const char *const[]){__VA_ARGS__, NULL})

static void the_platform_keeps_its_contract(void)
{
    run(WORDS_OF("--log=*:debug"));
    CHECK(ended_with(0));
    CHECK(strstr(guest.text, "ok monotonic time never falls\n") != NULL);
    CHECK(strstr(guest.text, "ok a sleep never ends early\n") != NULL);
    CHECK(strstr(guest.text, "ok memory is zeroed\n") != NULL);
    CHECK(strstr(guest.text, "ok blocks are read as they were written\n") !=
          NULL);
    CHECK(strstr(guest.text, "not ok") == NULL);
    if (test_failures > 0)
        printf("%s\n", guest.text);
}

static void entropy_differs_from_run_to_run(void)
{
    static const char key[] = "entropy ";
    char first[17] = "";

    for (int i = 0; i < 2; i++) {
        run(WORDS_OF("--log=*:info"));
        const char *line = strstr(guest.text, key);
        /* The first hit may be the sentence that it differs. */
        while (line != NULL && strspn(line + strlen(key), "0123456789abcdef") <
                                   sizeof first - 1)
            line = strstr(line + 1, key);
        if (line == NULL)
            SKIP("the target has no entropy");
        if (i == 1)
            CHECK(strncmp(first, line + strlen(key), sizeof first - 1) != 0);
        (void)snprintf(first, sizeof first, "%s", line + strlen(key));
    }
}

static void all_that_is_printed_arrives_in_order(void)
{
    enum { LINES = 3000 };
    start(WORDS_OF("--lines=3000"));
    /* Let the pipe fill before anything is read. */
    struct pollfd in = {.fd = guest.output, .events = POLLIN};
    (void)poll(&in, 1, WAIT_MS);
    end();
    CHECK(ended_with(0));
    const char *at = guest.text;
    int line = 0;
    for (; line < LINES; line++) {
        char expected[80];
        int len = snprintf(expected, sizeof expected,
                           "%d is a line of some length, so that many of them "
                           "fill a pipe\n",
                           line);
        if (strncmp(at, expected, (size_t)len) != 0)
            break;
        at += len;
    }
    CHECK_EQ(line, LINES);
    CHECK_STRING(at, "");
}

static void boot_arguments_arrive_word_by_word(void)
{
    run(WORDS_OF("--text=plain"));
    CHECK(ended_with(0));
    CHECK_STRING(guest.text, "text [plain]\n");
}

static void a_word_may_hold_blanks_and_quotes(void)
{
    run(WORDS_OF("--text=it's \"so\"  with \\ "));
    CHECK(ended_with(0));
    CHECK_STRING(guest.text, "text [it's \"so\"  with \\ ]\n");
}

static void help_lists_the_arguments_and_ends_with_63(void)
{
    run(WORDS_OF("--help"));
    CHECK(ended_with(63));
    CHECK(strstr(guest.text, "--lines") != NULL);
    CHECK(strstr(guest.text, "--log") != NULL);
}

static void a_wrong_argument_ends_with_64(void)
{
    run(WORDS_OF("--lins=3"));
    CHECK(ended_with(64));
    CHECK(strstr(guest.text, "--lines") != NULL);
    run(WORDS_OF("--log=nonsense:very"));
    CHECK(ended_with(64));
    CHECK(strstr(guest.text, "conformance: --log: ") != NULL);
}

static void a_failed_assertion_ends_with_255(void)
{
    run(WORDS_OF("--fault=assert"));
    CHECK(ended_with(255));
    /* Where it is; what it said is told by targets with room for it. */
    CHECK(strstr(guest.text, "platform/conformance.c:") != NULL);
    CHECK(strstr(guest.text, "assertion failed") != NULL);
}

static void a_status_is_passed_on(void)
{
    run(WORDS_OF("--fault=exit"));
    CHECK(ended_with(42));
}

static void a_guard_below_a_stack_faults(void)
{
    run(WORDS_OF("--fault=guard"));
    if (strstr(guest.text, "no guard") != NULL)
        return; /* not every target can have them */
    CHECK(strstr(guest.text, "survived") == NULL);
    CHECK(WIFSIGNALED(guest.status) || WEXITSTATUS(guest.status) != 0);
}

/* A frame to the guest, `len` bytes with their number in them. */
static bool send_frame(size_t len, uint16_t type, uint16_t number)
{
    uint8_t frame[FRAME_ROOM] = {2, 0, 0, 0, 0xbe, 0xef, 2, 0, 0, 0, 0, 1};

    frame[12] = (uint8_t)(type >> 8);
    frame[13] = (uint8_t)type;
    for (size_t i = 14; i < len; i++)
        frame[i] = (uint8_t)(number + i);
    return send(guest.wire, frame, len, 0) == (ssize_t)len;
}

/* The next frame from the guest; whether it answers the one sent so. */
static bool receive_frame(size_t len, uint16_t type, uint16_t number)
{
    static const uint8_t addresses[] = {2, 0, 0, 0, 0,    1,
                                        2, 0, 0, 0, 0xbe, 0xef};
    uint8_t frame[FRAME_ROOM];
    struct pollfd in = {.fd = guest.wire, .events = POLLIN};

    if (poll(&in, 1, WAIT_MS) != 1)
        return false;
    if (recv(guest.wire, frame, sizeof frame, 0) != (ssize_t)len)
        return false;
    bool same = memcmp(frame, addresses, sizeof addresses) == 0 &&
                frame[12] == type >> 8 && frame[13] == (type & 0xff);
    for (size_t i = 14; i < len; i++)
        same = same && frame[i] == (uint8_t)(number + i);
    return same;
}

static void frames_of_every_size_come_back_in_order(void)
{
    start(WORDS_OF("--echo"));
    CHECK(read_output("echo 02:00:00:00:be:ef mtu 1500\n"));
    uint16_t number = 0;
    for (size_t len = 14; len <= 1514; len += 50, number++) {
        CHECK(send_frame(len, 0x88b5, number));
        CHECK(receive_frame(len, 0x88b5, number));
    }
    /* A burst that takes several batches. */
    for (uint16_t i = 0; i < 40; i++)
        CHECK(send_frame(60, 0x88b5, i));
    for (uint16_t i = 0; i < 40; i++)
        CHECK(receive_frame(60, 0x88b5, i));
    CHECK(send_frame(60, 0x9999, 0));
    CHECK(receive_frame(60, 0x9999, 0));
    end();
    CHECK(ended_with(0));
}

/* A network namespace of our own, where we may do all; false if not to be. */
static bool enter_namespace(void)
{
    char map[32];

    if (unshare(CLONE_NEWNET) == 0)
        return true;
    (void)snprintf(map, sizeof map, "0 %u 1", (unsigned)getuid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t written = write(fd, map, strlen(map));
    (void)close(fd);
    return written == (ssize_t)strlen(map);
}

/* All that is sent to and from the tap, in frames of the echo's type. */
static int packet_socket(const char *tap)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(0x88b5),
        .sll_ifindex = (int)if_nametoindex(tap),
    };
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x88b5));
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* What has to be done in a namespace of its own. */
static void use_a_tap(void)
{
    const char *const options[] = {"--net:service=tap0",
                                   "--net-mac:service=02:00:00:00:be:ef",
                                   disk_option, "--mem=64", NULL};

    start_words(options, WORDS_OF("--echo"), -1);
    CHECK(read_output("echo 02:00:00:00:be:ef mtu 9000\n"));
    guest.wire = packet_socket("tap0");
    CHECK(guest.wire >= 0);
    uint16_t number = 0;
    for (size_t len = 14; len <= 9014; len += 500, number++) {
        CHECK(send_frame(len, 0x88b5, number));
        CHECK(receive_frame(len, 0x88b5, number));
    }

    static struct guest first;
    first = guest;
    guest.wire = -1;
    start_words(options, WORDS_OF("--echo"), -1);
    end();
    CHECK(WIFEXITED(guest.status) && WEXITSTATUS(guest.status) == 1);
    CHECK(tender != NULL || strstr(guest.text, "in use") != NULL);

    /* Deleted under its feet, it is gone for good. */
    guest = first;
    CHECK(system("ip link delete dev tap0") == 0);
    end();
    CHECK(ended_with(1));
    CHECK(strstr(guest.text, "the network device is gone") != NULL);
}

static void a_tap_carries_frames_up_to_its_mtu(void)
{
    enum { SKIPPED = 99 };
    int status = 0;

    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (!enter_namespace() ||
            system("ip tuntap add dev tap0 mode tap 2> /dev/null && "
                   "ip link set dev tap0 mtu 9000 up") != 0)
            _exit(SKIPPED);
        use_a_tap();
        (void)fflush(stdout);
        _exit(test_failures > 0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        SKIP("no right to make a tap, or no ip command or tun module");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_frame_without_a_header_is_dropped(void)
{
    start(WORDS_OF("--echo"));
    CHECK(read_output("echo "));
    CHECK(send(guest.wire, "short", 5, 0) == 5);
    CHECK(send_frame(60, 0x9999, 1));
    CHECK(receive_frame(60, 0x9999, 1));
    end();
    CHECK(ended_with(0));
}

static void a_device_that_goes_away_ends_it_with_a_message(void)
{
    start(WORDS_OF("--echo"));
    CHECK(read_output("echo "));
    (void)close(guest.wire);
    guest.wire = -1;
    end();
    CHECK(ended_with(1));
    CHECK(strstr(guest.text,
                 "conformance: service: the network device is gone: ") != NULL);
}

static void a_signal_ends_it(void)
{
    start(WORDS_OF("--echo"));
    CHECK(read_output("echo "));
    (void)kill(guest.pid, SIGTERM);
    end();
    CHECK(WIFSIGNALED(guest.status) && WTERMSIG(guest.status) == SIGTERM);
}

static void a_device_not_attached_is_named(void)
{
    start_words(WORDS_OF("--mem=64"), WORDS_OF("--echo"), -1);
    end();
    CHECK(ended_with(1));
    CHECK(strstr(guest.text, "Device 'service' of type NET_BASIC declared but "
                             "not attached.") != NULL);
}

/* Whether a command line with `option` is answered so. */
static bool says(const char *option, int status, const char *text)
{
    start_words(WORDS_OF(option), WORDS_OF("--echo"), -1);
    end();
    bool said = ended_with(status) && strstr(guest.text, text) != NULL;
    if (!said)
        printf("%s: %s", option, guest.text);
    return said;
}

static void mistakes_on_the_command_line_are_explained(void)
{
    CHECK(says("--net:sevice=tap0", 64,
               "no network device `sevice': those "
               "there are: service\n"));
    CHECK(says("--block:service=f", 64, "those there are: disk\n"));
    CHECK(says("--net:service", 64, "give --net:NAME=TAP"));
    CHECK(says("--net:=tap0", 64, "give --net:NAME=TAP"));
    CHECK(says("--block:disk=", 64, "give --block:NAME=PATH"));
    CHECK(says("--net-mac:service=01:00:00:00:00:01", 64, "first one even"));
    CHECK(says("--net-mac:service=02:00:00:00:00", 64, "six bytes"));
    CHECK(says("--mem=lots", 64, "give MiB"));
    CHECK(says("--mem=0", 64, "give MiB"));
    CHECK(says("--net:service=nosuchtap0", 1,
               "ip tuntap add dev nosuchtap0 mode tap"));
    CHECK(says("--net:service=anamefarfartoolong", 1, "1 to 15 characters"));
    CHECK(says("--net:service=@999", 1, "descriptor 999: "));
    CHECK(says("--net:service=@0x", 1, "no descriptor"));
}

static void block_files_that_do_not_serve_are_explained(void)
{
    int wire[2];
    char net_option[32];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire) == 0);
    (void)snprintf(net_option, sizeof net_option, "--net:service=@%d", wire[1]);

    static const struct {
        const char *option, *text;
    } cases[] = {
        {"--block:disk=/nosuch/file", "there is no file `/nosuch/file'"},
        {"--block:disk=/", "is a directory"},
        {"--block:disk=/dev/null", "neither a file nor a block device"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        start_words(WORDS_OF(net_option, cases[i].option), WORDS_OF("--echo"),
                    wire[1]);
        end();
        CHECK(ended_with(1));
        CHECK(strstr(guest.text, cases[i].text) != NULL);
    }
    (void)close(wire[0]);
    (void)close(wire[1]);
}

static void a_block_file_has_one_user(void)
{
    static struct guest first;
    start(WORDS_OF("--echo"));
    CHECK(read_output("echo "));
    first = guest;
    guest.wire = -1;
    run(WORDS_OF("--echo"));
    CHECK(ended_with(1));
    CHECK(strstr(guest.text, "is in use by another process") != NULL);
    guest = first;
    (void)kill(guest.pid, SIGKILL);
    end();
}

#define TEST(function)                                                         \
    {                                                                          \
#function, function                                                    \
    }

struct test {
    const char *name;
    void (*run)(void);
};

static const struct test tests[] = {
    TEST(the_platform_keeps_its_contract),
    TEST(entropy_differs_from_run_to_run),
    TEST(all_that_is_printed_arrives_in_order),
    TEST(boot_arguments_arrive_word_by_word),
    TEST(help_lists_the_arguments_and_ends_with_63),
    TEST(a_wrong_argument_ends_with_64),
    TEST(a_failed_assertion_ends_with_255),
    TEST(a_status_is_passed_on),
    TEST(a_guard_below_a_stack_faults),
    TEST(frames_of_every_size_come_back_in_order),
    TEST(a_tap_carries_frames_up_to_its_mtu),
    TEST(a_frame_without_a_header_is_dropped),
    TEST(a_device_that_goes_away_ends_it_with_a_message),
    TEST(a_signal_ends_it),
    TEST(a_device_not_attached_is_named),
};

/* About the unix target's own command line; tenders have their own tests. */
static const struct test unix_tests[] = {
    TEST(a_word_may_hold_blanks_and_quotes),
    TEST(mistakes_on_the_command_line_are_explained),
    TEST(block_files_that_do_not_serve_are_explained),
    TEST(a_block_file_has_one_user),
};

static void run_tests(const char *target, const struct test *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s_on_%s", list[i].name, target);
        test_run(name, list[i].run);
    }
}

int main(int argc, char **argv)
{
    char disk[] = "/tmp/fata-conformance-XXXXXX";
    int fd = mkstemp(disk);
    if (fd < 0 || ftruncate(fd, (off_t)BLOCKS * BLOCK_SIZE) < 0) {
        perror(disk);
        return 1;
    }
    (void)close(fd);
    (void)snprintf(disk_option, sizeof disk_option, "--block:disk=%s", disk);
    guest.wire = -1;

    if (argc > 1) {
        tender = argc > 2 ? argv[1] : NULL;
        image = argv[argc - 1];
        run_tests(image, tests, COUNT_OF(tests));
    } else {
        image = "build/san/platform/conformance.unix";
        run_tests("unix", tests, COUNT_OF(tests));
        run_tests("unix", unix_tests, COUNT_OF(unix_tests));
        tender = "build/fata-spt";
        image = "build/spt/platform/conformance.spt";
        run_tests("spt", tests, COUNT_OF(tests));
    }
    (void)unlink(disk);
    return test_result();
}
