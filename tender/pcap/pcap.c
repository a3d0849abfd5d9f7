/*
 * fata-pcap: captures what passes a tap interface.
 *
 * A program of its own beside the unikernel, which gets no new right from
 * being looked at: this one has the right to listen on the interface, and
 * writes what it hears to a file it inherited.
 */
#define _GNU_SOURCE /* the program's name */ // NOLINT(bugprone-reserved-identifier)
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tender/pcap/capture.h"
#include "tender/pcap/pcapng.h"

enum {
    BUFFER_BYTES = 16 << 20, /* frames that may wait for us */
    LAST_MS = 250,           /* for those that are on their way at the end */
};

static _Noreturn void usage(FILE *to, int status)
{
    (void)fprintf(
        to,
        "Usage: %s --interface TAP --pcap-fd N [--pcap-id I]\n"
        "           [--filter EXPRESSION] [--life-fd L] [--ready-fd M]\n"
        "  or:  %s --check EXPRESSION\n"
        "Append the frames that pass the interface TAP, in both directions, "
        "to\n"
        "a pcapng capture. `fata run --pcap' starts and ends this program.\n"
        "\n"
        "  --interface TAP      where to listen\n"
        "  --pcap-fd N          the capture, opened for appending; it begins\n"
        "                       with a block for each interface\n"
        "  --pcap-id I          number of the interface in it (usual: 0)\n"
        "  --filter EXPRESSION  only these frames; see man pcap-filter\n"
        "  --life-fd L          end when the other end of this pipe closes\n"
        "  --ready-fd M         write a byte to M when listening\n"
        "  --check EXPRESSION   only say whether it is a filter\n"
        "  --help               show this help\n",
        program_invocation_short_name, program_invocation_short_name);
    exit(status);
}

static int parse_number(const char *option, const char *text)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != 0 || n > INT32_MAX)
        errx(1, "%s %s: not a number", option, text);
    return (int)n;
}

static _Noreturn void not_opened(const char *name, int status, pcap_t *pcap)
{
    char program[4096] = "";

    switch (status) {
    case PCAP_ERROR_PERM_DENIED:
        if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
            program[0] = 0;
        errx(1,
             "no permission to listen on %s: run as root, or give this "
             "program the right once with `sudo setcap cap_net_raw+ep %s'",
             name, program);
    case PCAP_ERROR_NO_SUCH_DEVICE:
        errx(1,
             "there is no interface %s: make it with `sudo ip tuntap add %s "
             "mode tap user $USER'",
             name, name);
    case PCAP_ERROR_IFACE_NOT_UP:
        errx(1, "the interface %s is down: `sudo ip link set %s up'", name,
             name);
    default:
        errx(1, "cannot listen on %s: %s: %s", name, pcap_statustostr(status),
             pcap_geterr(pcap));
    }
}

static pcap_t *listen_on(const char *name)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    pcap_t *pcap = pcap_create(name, why);

    if (pcap == NULL)
        errx(1, "cannot listen on %s: %s", name, why);
    (void)pcap_set_snaplen(pcap, PCAPNG_SNAPLEN);
    (void)pcap_set_timeout(pcap, CAPTURE_FLUSH_MS);
    (void)pcap_set_buffer_size(pcap, BUFFER_BYTES);
    (void)pcap_set_tstamp_precision(pcap, PCAP_TSTAMP_PRECISION_NANO);
    int status = pcap_activate(pcap);
    if (status < 0)
        not_opened(name, status, pcap);
    if (pcap_datalink(pcap) != DLT_EN10MB)
        errx(1, "the interface %s carries no Ethernet frames: give a tap",
             name);
    if (pcap_setnonblock(pcap, 1, why) != 0)
        errx(1, "cannot listen on %s: %s", name, why);
    return pcap;
}

static void take(u_char *context, const struct pcap_pkthdr *header,
                 const u_char *frame)
{
    struct capture *c = (struct capture *)(void *)context;
    uint64_t ns = (uint64_t)header->ts.tv_sec * 1000000000;

    /* Nanoseconds, as was asked for, where others have microseconds. */
    ns += (uint64_t)header->ts.tv_usec;
    capture_frame(c, ns, bytes_of(frame, header->caplen), header->len);
}

static int64_t now_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Take frames until the pipe closes, and then those that had come. */
static void serve(pcap_t *pcap, struct capture *c, int life_fd)
{
    struct pollfd polls[2] = {
        {.fd = pcap_get_selectable_fd(pcap), .events = POLLIN},
        {.fd = life_fd, .events = POLLIN},
    };
    int64_t end = INT64_MAX;

    while (now_ms() < end) {
        int timeout = end == INT64_MAX ? -1 : LAST_MS / 5;
        if (poll(polls, 2, timeout) < 0 && errno != EINTR)
            err(1, "cannot wait for frames");
        int n = pcap_dispatch(pcap, -1, take, (u_char *)c);
        capture_flush(c);
        if (n < 0)
            break; /* the interface is gone, and with it the unikernel */
        if (polls[1].revents != 0) {
            polls[1].fd = -1;
            polls[1].revents = 0;
            end = now_ms() + LAST_MS;
        }
    }
}

int main(int argc, char **argv)
{
    const char *interface = NULL, *filter = NULL;
    int fd = -1, id = 0, life_fd = -1, ready_fd = -1;
    struct bpf_program program;
    struct capture capture;
    struct pcap_stat counts = {0};

    for (int i = 1; i < argc; i += 2) {
        const char *option = argv[i];
        const char *value = argv[i + 1];
        if (strcmp(option, "--help") == 0)
            usage(stdout, 0);
        if (value == NULL) {
            warnx("%s: unknown option, or its value is missing", option);
            usage(stderr, 1);
        }
        if (strcmp(option, "--check") == 0)
            return capture_compile(&program, value) ? 0 : 1;
        if (strcmp(option, "--interface") == 0)
            interface = value;
        else if (strcmp(option, "--filter") == 0)
            filter = value;
        else if (strcmp(option, "--pcap-fd") == 0)
            fd = parse_number(option, value);
        else if (strcmp(option, "--pcap-id") == 0)
            id = parse_number(option, value);
        else if (strcmp(option, "--life-fd") == 0)
            life_fd = parse_number(option, value);
        else if (strcmp(option, "--ready-fd") == 0)
            ready_fd = parse_number(option, value);
        else {
            warnx("%s: unknown option", option);
            usage(stderr, 1);
        }
    }
    if (interface == NULL || fd < 0) {
        warnx("--interface or --pcap-fd is missing");
        usage(stderr, 1);
    }
    /* ^C is for the unikernel; what it still sends is to be seen. */
    (void)signal(SIGINT, SIG_IGN);
    if (life_fd >= 0) {
        (void)signal(SIGTERM, SIG_IGN);
        (void)signal(SIGHUP, SIG_IGN);
    }
    pcap_t *pcap = listen_on(interface);
    /* The kernel drops what the filter does not want, before it is copied. */
    if (filter != NULL && (!capture_compile(&program, filter) ||
                           pcap_setfilter(pcap, &program) != 0))
        errx(1, "--filter %s: %s", filter, pcap_geterr(pcap));
    capture_start(&capture, fd, (uint32_t)id, NULL);
    if (ready_fd >= 0) {
        if (write(ready_fd, "", 1) != 1)
            warn("--ready-fd %d", ready_fd);
        (void)close(ready_fd);
    }
    serve(pcap, &capture, life_fd);
    if (pcap_stats(pcap, &counts) == 0 && counts.ps_drop > 0)
        warnx("%u frames of %s are missing from the capture: they came faster "
              "than they could be written; --filter makes them fewer",
              counts.ps_drop, interface);
    pcap_close(pcap);
    return 0;
}
