/*
 * fata run: builds if needed, then starts the unikernel, and before it a
 * helper for each network device that goes through user-mode NAT.
 *
 *     fata run --+-- fata-nat ==socketpair== tender or image
 *                (publishes ports)           (the unikernel)
 *
 * With --pcap a helper captures each network device's frames: fata-nat, which
 * sees them all, or for a tap fata-pcap, which listens on it. All append to
 * one file. So the unikernel needs no right for that, and does not notice.
 *
 * With --instances there are several of it, each at a queue of its own of the
 * same taps, which we open: were they to do it one after the other, connections
 * would move between them while they start.
 *
 * All are ended by their process id, also when we are told to end; the exit
 * status is the unikernel's, of several that of the first that fails.
 */
#define _GNU_SOURCE /* pipe2 */ // NOLINT(bugprone-reserved-identifier)
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/disk.h"
#include "base/bytes.h"
#include "base/version.h"
#include "tender/pcap/pcapng.h"
#include "tool/commands.h"
#include "tool/files.h"
#include "tool/generate.h"
#include "tool/process.h"
#include "tool/run_qemu.h"
#include "tool/running.h"

enum {
    HELPERS = 64,
    SOCKET_BUFFER = 1 << 20, /* bytes; as much of it as the system allows */
    NAT_SECONDS = 2,         /* for a helper to end by itself */
    INSTANCES = 64,          /* the most; a tap has up to 256 queues */
    STOP_SECONDS = 5,        /* for an instance that is told to end */
    MEMORY_MAX = 4194304,    /* MiB */
};

/* What `fata run` was asked for. */
struct run {
    struct request request;
    struct names nets, offloads, blocks, published, arguments;
    const char *memory, *machine;
    const char *pcap, *filter; /* NULL: no capture; every frame */
    unsigned instances;
};

/* The processes and descriptors of a run. */
struct running {
    const struct run *run;
    const struct project *project;
    struct names command; /* that starts the unikernel, this instance of it */
    unsigned instance;    /* from 0 */
    struct names macs;    /* one for each network device, where they share it */
    pid_t pids[INSTANCES];
    pid_t helpers[HELPERS];
    size_t helper_count;
    int ends[HELPERS * INSTANCES]; /* descriptors unikernels inherit */
    size_t end_count;
    int lives[HELPERS]; /* helpers end when these close */
    size_t life_count;
    int pcap_fd;                     /* of the capture, if there is to be one */
    const char *counters[INSTANCES]; /* the files that show them, or NULL */
    bool published; /* the ports are given to the first helper */
};

/* --- Processes --- */

/* Descriptors go to one child each, so they are opened to be closed. */
static void inherit(int fd)
{
    if (fcntl(fd, F_SETFD, 0) != 0)
        die("descriptor %d: %s", fd, strerror(errno));
}

/*
 * Start a program that gets `fds`, and that ends when we do, however that
 * comes about. It is what runs to those who look at `held`, unless that is
 * NULL.
 */
static pid_t start(const struct names *command, const int *fds, size_t count,
                   const char *held)
{
    pid_t parent = getpid();
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("%s cannot be started: %s", command->at[0], strerror(errno));
    if (pid > 0)
        return pid;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    for (size_t i = 0; i < count; i++)
        inherit(fds[i]);
    if (held != NULL)
        running_hold(held);
    /* It would have the terminal its way, and no unikernel reads from it. */
    int nothing = starts_with(command->at[0], "qemu-")
                      ? open("/dev/null", O_RDONLY | O_CLOEXEC)
                      : -1;
    if (nothing >= 0)
        (void)dup2(nothing, STDIN_FILENO);
    char **words = keep((command->count + 1) * sizeof *words);
    for (size_t i = 0; i < command->count; i++)
        words[i] = keep_string(command->at[i]);
    (void)execvp(words[0], words);
    (void)fprintf(stderr, "fata: error: %s cannot be started: %s\n", words[0],
                  strerror(errno));
    _exit(1);
}

/* End the helpers: by themselves, since their sockets closed, or else. */
static void end_helpers(struct running *r)
{
    for (size_t i = 0; i < r->life_count; i++)
        (void)close(r->lives[i]);
    r->life_count = 0;
    for (size_t i = 0; i < r->helper_count; i++) {
        struct timespec pause = {.tv_nsec = 5000000};
        unsigned tries = NAT_SECONDS * 200;
        while (waitpid(r->helpers[i], NULL, WNOHANG) == 0) {
            if (tries-- == 0) {
                (void)kill(r->helpers[i], SIGKILL);
                (void)waitpid(r->helpers[i], NULL, 0);
                break;
            }
            (void)nanosleep(&pause, NULL);
        }
    }
    r->helper_count = 0;
}

static void close_ends(struct running *r)
{
    for (size_t i = 0; i < r->end_count; i++)
        (void)close(r->ends[i]);
    r->end_count = 0;
}

/* --- Networks --- */

/* A program of ours that is to be started. */
static const char *program_of(const char *path)
{
    const char *program = joined(fata_root(), path);
    if (!file_exists(program))
        die("%s is not there: run make in %s", program, fata_root());
    return program;
}

/* One byte says that all is set up; without it the helper has said why. */
static void await_helper(struct running *r, int ready)
{
    char byte;
    ssize_t got = read(ready, &byte, 1);
    (void)close(ready);
    if (got == 1)
        return;
    close_ends(r);
    end_helpers(r);
    exit(1);
}

/* Have a helper write the frames of the network device `id`. */
static void add_capture(const struct running *r, struct names *command,
                        size_t id)
{
    names_add(command, "--pcap-fd");
    names_add(command, format("%d", r->pcap_fd));
    names_add(command, "--pcap-id");
    names_add(command, format("%zu", id));
    if (r->run->filter != NULL) {
        names_add(command, "--filter");
        names_add(command, r->run->filter);
    }
}

/* Start a helper; the descriptor that the unikernel uses it through. */
static int start_nat(struct running *r, size_t id)
{
    int pair[2], ready[2];
    int buffer = SOCKET_BUFFER;
    if (r->helper_count == HELPERS)
        die("more than %d network devices go through NAT", HELPERS);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
        pipe2(ready, O_CLOEXEC) != 0)
        die("no socket for the network: %s", strerror(errno));
    for (int i = 0; i < 2; i++)
        (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &buffer,
                         sizeof buffer);

    struct names command = {0};
    names_add(&command, program_of("build/fata-nat"));
    names_add(&command, "--fd");
    names_add(&command, format("%d", pair[1]));
    names_add(&command, "--ready-fd");
    names_add(&command, format("%d", ready[1]));
    if (!r->published)
        for (size_t i = 0; i < r->run->published.count; i++) {
            names_add(&command, "--publish");
            names_add(&command, r->run->published.at[i]);
        }
    r->published = true;
    if (r->pcap_fd >= 0)
        add_capture(r, &command, id);
    r->helpers[r->helper_count++] =
        start(&command, (const int[]){pair[1], ready[1], r->pcap_fd},
              r->pcap_fd >= 0 ? 3 : 2, NULL);
    (void)close(pair[1]);
    (void)close(ready[1]);

    r->ends[r->end_count++] = pair[0];
    await_helper(r, ready[0]);
    return pair[0];
}

/* Start the helper that listens on a tap, for a capture. */
static void start_sniffer(struct running *r, const char *tap, size_t id)
{
    int life[2], ready[2];
    struct names command = {0};

    if (r->helper_count == HELPERS)
        die("more than %d network devices", HELPERS);
    if (pipe2(life, O_CLOEXEC) != 0 || pipe2(ready, O_CLOEXEC) != 0)
        die("no pipe for the capture: %s", strerror(errno));
    names_add(&command, program_of("build/fata-pcap"));
    names_add(&command, "--interface");
    names_add(&command, tap);
    add_capture(r, &command, id);
    names_add(&command, "--life-fd");
    names_add(&command, format("%d", life[0]));
    names_add(&command, "--ready-fd");
    names_add(&command, format("%d", ready[1]));
    r->helpers[r->helper_count++] =
        start(&command, (const int[]){life[0], ready[1], r->pcap_fd}, 3, NULL);
    (void)close(life[0]);
    (void)close(ready[1]);
    r->lives[r->life_count++] = life[1];
    await_helper(r, ready[0]);
}

/* Complain here, with the remedy, about a tap that cannot be opened. */
static void check_tap(const char *name, bool several_queues)
{
    const char *remedy =
        format("make it with `sudo ip tuntap add %s mode tap %suser $USER && "
               "sudo ip link set %s up'",
               name, several_queues ? "multi_queue " : "", name);
    if (name[0] == 0 || strlen(name) >= IFNAMSIZ || strchr(name, '/') != NULL)
        die_usage("--net tap:%s: an interface has a name of 1 to %d characters",
                  name, IFNAMSIZ - 1);
    /* /sys may be that of another network namespace. */
    if (if_nametoindex(name) == 0)
        die("there is no network interface %s: %s", name, remedy);
    if (file_exists(format("/sys/class/net/%s", name)) &&
        !file_exists(format("/sys/class/net/%s/tun_flags", name)))
        die("the network interface %s is not a tap: %s", name,
            "give the name of one, or make one with `sudo ip tuntap add NAME "
            "mode tap user $USER'");
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        die("/dev/net/tun cannot be opened: %s: run as a user who may, or use "
            "--net nat",
            strerror(errno));
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    memcpy(request.ifr_name, name, strlen(name));
    int result = ioctl(fd, TUNSETIFF, &request);
    int error = errno;
    (void)close(fd);
    if (result != 0 && error == EBUSY)
        die("the tap %s is in use by another program: end it, or use another "
            "tap",
            name);
    if (result != 0 && error == EPERM)
        die("no permission for the tap %s: it belongs to another user; remove "
            "it with `sudo ip tuntap del %s mode tap' and %s",
            name, name, remedy);
}

/* Complain here about an interface that no packet socket can be opened on. */
static void check_interface(const char *name)
{
    if (name[0] == 0 || strlen(name) >= IFNAMSIZ || strchr(name, '/') != NULL)
        die_usage("--net packet:%s: an interface has a name of 1 to %d "
                  "characters",
                  name, IFNAMSIZ - 1);
    if (if_nametoindex(name) == 0)
        die("there is no network interface %s: see `ip link', or make a pair "
            "with `sudo ip link add %s type veth peer name PEER'",
            name, name);
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("no packet socket for the interface %s: %s: run as root or with "
            "CAP_NET_RAW, or use --net tap:NAME with a tap of your own, or "
            "--net nat, which needs no permission",
            name, strerror(errno));
    (void)close(fd);
}

/*
 * A queue of the tap `name`, for one of several instances, with headers before
 * frames if there are any and something is to be left to the tap.
 */
static int open_queue(const char *name, bool headers)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    unsigned known = 0;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        die("/dev/net/tun cannot be opened: %s", strerror(errno));
    if (headers)
        (void)ioctl(fd, TUNGETFEATURES, &known);
    request.ifr_flags |= (short)(IFF_MULTI_QUEUE | (known & IFF_VNET_HDR));
    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(fd, TUNSETIFF, &request) == 0)
        return fd;
    if (errno == EINVAL)
        die("the tap %s has one queue, for one instance: make one for several "
            "with `sudo ip tuntap add NAME mode tap multi_queue user $USER'",
            name);
    if (errno == E2BIG)
        die("the tap %s has no queue left: are other instances running?", name);
    die("no queue of the tap %s: %s", name, strerror(errno));
}

/*
 * What `given`, of "HOW" for the device that is meant without a name and of
 * "DEVICE=HOW", says for a device; or what is usual.
 */
static const char *how_for(const struct names *given, const char *device,
                           bool is_standard, const char *usual)
{
    const char *how = usual;
    for (size_t i = 0; i < given->count; i++) {
        const char *word = given->at[i];
        const char *equals = strchr(word, '=');
        size_t len = strlen(device);
        if (equals == NULL && is_standard)
            how = word;
        else if (equals == word + len && strncmp(word, device, len) == 0)
            how = equals + 1;
    }
    return how;
}

/* A queue of the tap for this instance, under the address that all have. */
static void add_queue(struct running *r, const char *device, const char *tap,
                      size_t index, bool headers)
{
    if (r->instance == 0) {
        check_tap(tap, true);
        if (r->pcap_fd >= 0)
            start_sniffer(r, tap, index);
    }
    while (r->macs.count <= index)
        names_add(&r->macs, random_mac());
    int fd = open_queue(tap, headers);
    r->ends[r->end_count++] = fd;
    names_add(&r->command, format("--net:%s=@%d", device, fd));
    names_add(&r->command,
              format("--net-mac:%s=%s", device, r->macs.at[index]));
}

/* What --net says for a device: the part behind "DEVICE=", or all of it. */
static const char *net_for(const struct run *run, const char *device,
                           bool is_standard)
{
    return how_for(&run->nets, device, is_standard, "nat");
}

static void add_net(struct running *r, const char *device, bool is_standard,
                    size_t id)
{
    const char *how = net_for(r->run, device, is_standard);
    const char *offload = how_for(&r->run->offloads, device, is_standard, NULL);
    const struct names offload_ways = words_of("on checksum off");
    if (offload != NULL && !names_have(&offload_ways, offload))
        die_usage("--net-offload %s: what is left to a tap is one of %s",
                  offload, listed(&offload_ways));
    if (offload != NULL)
        names_add(&r->command, format("--net-offload:%s=%s", device, offload));
    if (r->run->instances > 1) {
        if (!starts_with(how, "tap:"))
            die_usage("--instances: they share a tap, each with a queue of its "
                      "own: give --net %s=tap:NAME",
                      device);
        add_queue(r, device, how + 4, id,
                  offload == NULL || strcmp(offload, "off") != 0);
        return;
    }
    if (strcmp(how, "nat") == 0) {
        int fd = start_nat(r, id);
        names_add(&r->command, format("--net:%s=@%d", device, fd));
    } else if (starts_with(how, "tap:")) {
        check_tap(how + 4, false);
        if (r->pcap_fd >= 0)
            start_sniffer(r, how + 4, id);
        names_add(&r->command, format("--net:%s=%s", device, how + 4));
    } else if (starts_with(how, "packet:")) {
        const char *interface = how + strlen("packet:");
        if (runs_in_qemu(r->project->target))
            die_usage("--net %s: QEMU attaches to taps: give --net %s=tap:NAME",
                      how, device);
        check_interface(interface);
        if (r->pcap_fd >= 0)
            start_sniffer(r, interface, id);
        names_add(&r->command, format("--net:%s=%s", device, how));
    } else if (how[0] == '@') {
        if (r->pcap_fd >= 0)
            die_usage("--pcap %s: the device %s is the descriptor %s, on which "
                      "nobody can listen: capture at its other end",
                      r->run->pcap, device, how + 1);
        names_add(&r->command, format("--net:%s=%s", device, how));
    } else {
        const struct names ways = words_of("nat tap:NAME packet:INTERFACE @FD");
        const char *kind = "packet";
        if (file_exists(format("/sys/class/net/%s/tun_flags", how)))
            kind = "tap";
        die_usage("--net %s: a network is one of %s%s", how, listed(&ways),
                  file_exists(format("/sys/class/net/%s", how))
                      ? format("; for the interface write %s:%s", kind, how)
                      : "");
    }
}

/* --- The command line of the unikernel --- */

/*
 * One boot argument as base/bootargs.h reads it back, for tenders, which join
 * the words with blanks.
 */
static const char *quoted(const char *word)
{
    struct text t = {0};
    if (word[0] == 0)
        return "''";
    for (; *word != 0; word++) {
        if (strchr(" \t\n\r\"'\\", *word) != NULL)
            put(&t, "\\");
        put(&t, "%c", *word);
    }
    return t.at;
}

/* The devices in graph.json's manifest of this type, optional or not. */
static struct names devices_of(const struct project *project, const char *type,
                               bool optional)
{
    struct names names = {0};
    const char *path = format("%s/graph.json", project->folder);
    json_t *json = json_load_file(path, 0, NULL);
    const json_t *manifest = json_object_get(json, "manifest");
    if (!json_is_array(manifest))
        die("%s cannot be read: delete it, then run fata configure", path);
    for (size_t i = 0; i < json_array_size(manifest); i++) {
        const json_t *device = json_array_get(manifest, i);
        const char *name = json_string_value(json_object_get(device, "name"));
        const char *is = json_string_value(json_object_get(device, "type"));
        if (name != NULL && is != NULL && strcmp(is, type) == 0 &&
            json_is_true(json_object_get(device, "optional")) == optional)
            names_add(&names, keep_string(name));
    }
    json_decref(json);
    return names;
}

/* Every "DEVICE=..." has to name a device that there is, and no other does. */
static void check_devices(const struct names *given, const struct names *known,
                          const char *option, bool may_be_bare)
{
    struct names seen = {0};
    for (size_t i = 0; i < given->count; i++) {
        const char *word = given->at[i];
        const char *equals = strchr(word, '=');
        bool is_bare = equals == NULL && may_be_bare && known->count > 0;
        if (equals == NULL && !is_bare && known->count > 0)
            die_usage("%s %s: give DEVICE=FILE; the devices are: %s", option,
                      word, listed(known));
        const char *name =
            equals == NULL ? word : keep_bytes(word, (size_t)(equals - word));
        if (is_bare)
            name = "the usual device";
        else if (!names_have(known, name))
            die_usage("%s %s: this unikernel has no such device%s; it has: %s",
                      option, word, suggestion(name, known), listed(known));
        if (names_have(&seen, name))
            die_usage("%s %s: it is given twice for %s: leave one out", option,
                      word, name);
        names_add(&seen, name);
    }
}

/* Make the capture's file, with a block for each network device. */
static void begin_capture(struct running *r, const struct names *nets,
                          const char *standard)
{
    static uint8_t head[1 << 17];
    struct writer w = WRITER(head);
    const char *file = r->run->pcap;

    if (nets->count == 0)
        die_usage("--pcap %s: this unikernel has no network device", file);
    pcapng_section(&w, "fata " FATA_VERSION);
    for (size_t i = 0; i < nets->count; i++) {
        bool is_standard = strcmp(nets->at[i], standard) == 0;
        pcapng_interface(&w, nets->at[i],
                         net_for(r->run, nets->at[i], is_standard),
                         r->run->filter);
    }
    if (w.failed)
        die("--filter: longer than a capture's head can hold");
    r->pcap_fd =
        open(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (r->pcap_fd < 0 || write(r->pcap_fd, head, w.len) != (ssize_t)w.len)
        die("--pcap %s: cannot be written: %s", file, strerror(errno));
}

/* What our tenders say themselves, and QEMU in words of its own, or not. */
static void check_disk(const struct running *r, const char *name,
                       const char *file, bool read_only)
{
    enum { BLOCK = 512 };
    struct stat status;
    if (stat(file, &status) != 0)
        die("--block %s=%s: %s; make one with `truncate -s 64M %s'", name, file,
            strerror(errno), file);
    if (S_ISDIR(status.st_mode))
        die("--block %s=%s: it is a folder: give a file in it", name, file);
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        die("--block %s=%s: it is neither a file nor a block device", name,
            file);
    if (S_ISREG(status.st_mode) && status.st_size < BLOCK)
        die("--block %s=%s: it has less than a block of %d bytes; `truncate -s "
            "64M %s' makes it larger",
            name, file, BLOCK, file);
    if (S_ISREG(status.st_mode) && status.st_size % BLOCK != 0)
        die("--block %s=%s: its last block of %d bytes is not whole; "
            "`truncate -s %%%d %s' makes it so",
            name, file, BLOCK, BLOCK, file);
    if (!runs_in_qemu(r->project->target))
        return;
    int fd = open(file, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0)
        die("--block %s=%s: %s: it must be readable%s", name, file,
            strerror(errno), read_only ? "" : " and writable, or else FILE,ro");
    if (!disk_lock(fd, read_only))
        die("--block %s=%s: it is in use by another unikernel, and two would "
            "spoil what is on it; `fuser -v %s' says who it is",
            name, file, file);
    (void)close(fd); /* QEMU locks it again */
}

/* Attach what --block says to block device `name`: FILE, or FILE,ro. */
static void add_block(struct running *r, const char *name, bool optional)
{
    const struct run *run = r->run;
    const char *file = NULL, *option = "block";
    size_t len = strlen(name);

    for (size_t i = 0; i < run->blocks.count; i++)
        if (strncmp(run->blocks.at[i], name, len) == 0 &&
            run->blocks.at[i][len] == '=')
            file = run->blocks.at[i] + len + 1;
    if (file == NULL && optional)
        return;
    if (file == NULL)
        die_usage("the unikernel has a block device \"%s\": attach a file "
                  "with --block %s=FILE",
                  name, name);
    len = strlen(file);
    if (len > 3 && strcmp(file + len - 3, ",ro") == 0) {
        file = keep_bytes(file, len - 3);
        option = "block-read-only";
    }
    if (run->instances > 1 && option[5] == 0)
        die_usage("--instances: several unikernels may only read a block "
                  "device: give --block %s=%s,ro",
                  name, file);
    check_disk(r, name, file, option[5] != 0);
    names_add(&r->command, format("--%s:%s=%s", option, name, file));
}

static void add_devices(struct running *r)
{
    const struct run *run = r->run;
    struct names nets = devices_of(r->project, "NET", false);
    struct names blocks = devices_of(r->project, "BLOCK", true);
    const size_t optional = blocks.count;
    struct names required = devices_of(r->project, "BLOCK", false);
    for (size_t i = 0; i < required.count; i++)
        names_add(&blocks, required.at[i]);
    check_devices(&run->nets, &nets, "--net", true);
    check_devices(&run->offloads, &nets, "--net-offload", true);
    check_devices(&run->blocks, &blocks, "--block", false);
    for (size_t i = 0; i < blocks.count; i++)
        add_block(r, blocks.at[i], i < optional);
    /* The one that --net without a device's name means. */
    const char *standard = nets.count > 0 ? nets.at[0] : "";
    if (names_have(&nets, "service"))
        standard = "service";
    if (run->pcap != NULL && r->instance == 0)
        begin_capture(r, &nets, standard);
    for (size_t i = 0; i < nets.count; i++)
        add_net(r, nets.at[i], strcmp(nets.at[i], standard) == 0, i);
    if (run->published.count > 0 && !r->published)
        die_usage("--publish %s: no network device goes through nat",
                  run->published.at[0]);
}

static void make_command(struct running *r)
{
    const struct target *target = r->project->target;
    const struct run *run = r->run;
    const char *image = joined(".", r->project->image);
    if (runs_in_qemu(target)) {
        names_add(&r->command, target->runner);
    } else if (target->runner != NULL) {
        if (strcmp(target->arch, arch_here()) != 0)
            /* Our tenders are for this machine's kind, Solo5's for both. */
            die("%s is for %s processors, and this one is none: copy it to a "
                "machine that has one, and start it there with Solo5's tender, "
                "`solo5-%s --mem=64 -- %s'",
                r->project->image, target->arch,
                strrchr(target->runner, '-') + 1, r->project->image);
        const char *runner = joined(fata_root(), target->runner);
        if (!file_exists(runner))
            die("%s is not there: run make in %s", runner, fata_root());
        names_add(&r->command, runner);
    } else {
        names_add(&r->command, format("./%s", image));
    }
    if (run->memory != NULL)
        names_add(&r->command,
                  format("--mem%s%s", target->shared ? " " : "=", run->memory));
    if (target->shared) {
        /* The simulator has networks of its own, between unikernels. */
        if (run->pcap != NULL)
            die_usage("the target %s captures by itself: %s --pcap %s %s",
                      target->name, r->command.at[0], run->pcap, image);
        if (run->instances > 1)
            die_usage("--instances: the target %s runs one", target->name);
        if (run->nets.count + run->offloads.count + run->published.count +
                run->blocks.count >
            0)
            die_usage("the target %s has devices of its own: --net, --publish "
                      "and --block are for the others",
                      target->name);
        names_add(&r->command, image);
    } else {
        add_devices(r);
        const char *counters =
            running_file(r->project->name, target->name, r->instance);
        r->counters[r->instance] = counters;
        if (counters != NULL && !runs_in_qemu(target))
            names_add(&r->command, format("--counters=%s", counters));
        names_add(&r->command, "--");
        if (target->runner != NULL)
            names_add(&r->command, image);
    }
    for (size_t i = 0; i < run->arguments.count; i++)
        names_add(&r->command, target->runner != NULL && !target->shared
                                   ? quoted(run->arguments.at[i])
                                   : run->arguments.at[i]);
    if (runs_in_qemu(target))
        r->command = qemu_command(target, &r->command, run->machine);
    else if (run->machine != NULL)
        die_usage("--machine %s: the target %s is not run by QEMU",
                  run->machine, target->name);
}

/* --- Running --- */

/* Say why the unikernel ended, where a signal is all that tells. */
static void explain(int signal)
{
    const char *why = "run it with -t unix under gdb to see where";

    if (signal == SIGSYS)
        why = "it made a system call that its cage does not allow";
    else if (signal == SIGKILL)
        why = "somebody killed it, or the machine had no memory left";
    fprintf(stderr, "fata: the unikernel was ended by signal %d (%s): %s\n",
            signal, strsignal(signal), why);
}

/* The exit status that stands for how an instance ended. */
static int status_of(const struct running *r, int status, int asked)
{
    if (!WIFSIGNALED(status) && runs_in_qemu(r->project->target))
        return qemu_status(r->project->target, WEXITSTATUS(status), asked);
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    int signal = WTERMSIG(status);
    if (asked == 0 && signal != SIGINT && signal != SIGTERM)
        explain(signal);
    return 128 + signal;
}

static void signal_all(const struct running *r, int signal)
{
    for (unsigned i = 0; i < r->run->instances; i++)
        if (r->pids[i] > 0)
            (void)kill(r->pids[i], signal);
}

/* One has failed: what the others were serving cannot go on without it. */
static void stop_others(struct running *r)
{
    struct timespec pause = {.tv_nsec = 5000000};
    unsigned tries = STOP_SECONDS * 200;

    signal_all(r, SIGTERM);
    for (unsigned i = 0; i < r->run->instances; i++) {
        while (r->pids[i] > 0 && waitpid(r->pids[i], NULL, WNOHANG) == 0) {
            if (tries > 0 && --tries == 0)
                signal_all(r, SIGKILL);
            (void)nanosleep(&pause, NULL);
        }
        r->pids[i] = 0;
    }
}

/*
 * Wait for all instances, and pass on what others tell us to do. The first
 * that fails ends the others.
 */
static int wait_for(struct running *r, const sigset_t *signals)
{
    int asked = 0; /* the signal that told them to end */

    for (;;) {
        unsigned left = 0;
        for (unsigned i = 0; i < r->run->instances; i++) {
            int status;
            if (r->pids[i] > 0 &&
                waitpid(r->pids[i], &status, WNOHANG) == r->pids[i]) {
                r->pids[i] = 0;
                int exit_status = status_of(r, status, asked);
                if (exit_status != 0) {
                    stop_others(r);
                    return exit_status;
                }
            }
            left += r->pids[i] > 0;
        }
        if (left == 0)
            return 0;
        siginfo_t info;
        int signal = sigwaitinfo(signals, &info);
        if (signal > 0 && signal != SIGCHLD)
            asked = signal;
        /* What the terminal sends, the unikernels have been sent as well. */
        if (signal > 0 && signal != SIGCHLD && info.si_code != SI_KERNEL)
            signal_all(r, signal);
    }
}

/*
 * Instances share an address, which a lease would give to one of them: refuse
 * where one would be asked for.
 */
static void check_address(const struct running *r)
{
    const char *path = format("%s/graph.json", r->project->folder);
    json_t *json = json_load_file(path, 0, NULL);
    json_t *keys = json_object_get(json, "keys");
    const char *key;
    json_t *value;

    json_object_foreach(keys, key, value)
    {
        size_t len = strlen(key);
        const char *is = json_string_value(value);
        if (len < 4 || strcmp(key + len - 4, "dhcp") != 0 || is == NULL ||
            strcmp(is, "true") != 0)
            continue;
        const char *option =
            format("--%sipv4", keep_bytes(key, len - strlen("dhcp")));
        bool given = false;
        for (size_t i = 0; i < r->run->arguments.count; i++) {
            const char *word = r->run->arguments.at[i];
            size_t n = strlen(option);
            given = given || (starts_with(word, option) &&
                              (word[n] == 0 || word[n] == '='));
        }
        if (!given)
            die_usage("--instances: they share an address, which would be "
                      "leased to one of them: give %s=ADDRESS/PREFIX after "
                      "`--'",
                      option);
    }
    json_decref(json);
}

/*
 * What instances make their IPv6 addresses from is one secret, or each would
 * have addresses of its own, whose frames are given to another.
 */
static void share_secret(const struct running *r, struct names *arguments)
{
    const char *path = format("%s/graph.json", r->project->folder);
    json_t *json = json_load_file(path, 0, NULL);
    json_t *keys = json_object_get(json, "keys");
    uint64_t secret[2];
    const char *key;
    json_t *value;

    if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret)
        die("no random bytes for IPv6 addresses: %s", strerror(errno));
    json_object_foreach(keys, key, value)
    {
        const char *is = json_string_value(value);
        if (!ends_with(key, "ipv6") || is == NULL || strcmp(is, "true") != 0)
            continue;
        /* A stack has both; others may have named a key of theirs so. */
        const char *prefix = keep_bytes(key, strlen(key) - strlen("ipv6"));
        const char *option = format("--%sipv6-secret", prefix);
        bool given = json_object_get(keys, format("%sdhcp", prefix)) == NULL;
        for (size_t i = 0; i < arguments->count; i++)
            given = given || starts_with(arguments->at[i], option);
        if (!given)
            names_add(arguments, format("%s=%016llx%016llx", option,
                                        (unsigned long long)secret[0],
                                        (unsigned long long)secret[1]));
    }
    json_decref(json);
}

static void check_published(const struct names *published)
{
    struct names seen = {0};
    for (size_t i = 0; i < published->count; i++) {
        unsigned host, guest;
        int end = 0;
        const char *word = published->at[i];
        int got = sscanf(word, "%5u:%5u%n", &host, &guest, &end); // NOLINT
        const char *rest = word + end;
        if (got != 2 || host < 1 || host > 65535 || guest < 1 ||
            guest > 65535 ||
            (rest[0] != 0 && strcmp(rest, "/udp") != 0 &&
             strcmp(rest, "/tcp") != 0))
            die_usage("--publish %s: give HOST:GUEST, two ports from 1 to "
                      "65535, as in 8080:80, or 5353:53/udp",
                      word);
        const char *port =
            format("%u%s", host, strcmp(rest, "/udp") == 0 ? "/udp" : "");
        if (names_have(&seen, port))
            die_usage("--publish %s: the port %u of this host is given twice: "
                      "give another",
                      word, host);
        names_add(&seen, port);
    }
}

/* Know a wrong filter before anything is built or started. */
static void check_filter(const struct run *run)
{
    struct text said = {0};

    if (run->filter == NULL)
        return;
    if (run->pcap == NULL)
        die_usage("--filter %s: it is for captures: give --pcap FILE as well",
                  run->filter);
    const char *const words[] = {program_of("build/fata-pcap"), "--check",
                                 run->filter, NULL};
    if (process_output(words, true, &said) != 0)
        die_usage("--filter: %s",
                  said.at == NULL
                      ? run->filter
                      : keep_bytes(said.at, strcspn(said.at, "\n")));
}

static void check_memory(const char *memory)
{
    char *end;
    errno = 0;
    unsigned long long mib = strtoull(memory, &end, 10);
    if (memory[0] < '0' || memory[0] > '9' || *end != 0 || errno != 0 ||
        mib == 0 || mib > MEMORY_MAX)
        die_usage("--mem %s: give a number of MiB from 1 to %d, as in --mem 64",
                  memory, MEMORY_MAX);
}

int command_run(const struct command *command, const char *const *words)
{
    struct run run = {.request.quiet = true, .instances = 1};
    const char *instances = NULL;
    const struct option_spec options[] = {
        {.name = "--target", .letter = 't', .value = &run.request.target},
        {.name = "--verbose", .letter = 'v', .flag = &run.request.verbose},
        {.name = "--net", .values = &run.nets},
        {.name = "--net-offload", .values = &run.offloads},
        {.name = "--publish", .values = &run.published},
        {.name = "--block", .values = &run.blocks},
        {.name = "--mem", .value = &run.memory},
        {.name = "--machine", .value = &run.machine},
        {.name = "--pcap", .value = &run.pcap},
        {.name = "--filter", .value = &run.filter},
        {.name = "--instances", .value = &instances},
    };
    read_options(command, words, options, COUNT_OF(options), &run.arguments,
                 NULL);
    check_published(&run.published);
    check_filter(&run);
    if (run.memory != NULL)
        check_memory(run.memory);
    if (instances != NULL) {
        char *end;
        unsigned long count = strtoul(instances, &end, 10);
        if (instances[0] < '0' || instances[0] > '9' || *end != 0 ||
            count < 1 || count > INSTANCES)
            die_usage("--instances %s: give how many, 1 to %d", instances,
                      INSTANCES);
        run.instances = (unsigned)count;
    }

    struct names targets = target_names();
    if (run.arguments.count > 0 && run.request.target == NULL &&
        names_have(&targets, run.arguments.at[0]))
        die_usage("\"%s\" is a target: give -t %s", run.arguments.at[0],
                  run.arguments.at[0]);

    struct running r = {.run = &run, .pcap_fd = -1};
    r.project = build_project(&run.request);
    unlock_project();
    sigset_t signals;
    (void)sigemptyset(&signals);
    for (size_t i = 0; i < 4; i++)
        (void)sigaddset(&signals,
                        (const int[]){SIGINT, SIGTERM, SIGHUP, SIGCHLD}[i]);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);

    if (run.instances > 1) {
        check_address(&r);
        share_secret(&r, &run.arguments);
    }
    struct names all[INSTANCES] = {0};
    size_t ends[INSTANCES + 1] = {0};
    for (r.instance = 0; r.instance < run.instances; r.instance++) {
        r.command = (struct names){0};
        make_command(&r);
        all[r.instance] = r.command;
        ends[r.instance + 1] = r.end_count;
        if (run.request.verbose) {
            for (size_t i = 0; i < r.command.count; i++)
                (void)fprintf(stderr, "%s%s", i > 0 ? " " : "",
                              shell_word(r.command.at[i]));
            (void)fprintf(stderr, "\n");
        }
    }
    for (unsigned i = 0; i < run.instances; i++)
        r.pids[i] =
            start(&all[i], r.ends + ends[i], ends[i + 1] - ends[i],
                  runs_in_qemu(r.project->target) ? r.counters[i] : NULL);
    close_ends(&r);
    int status = wait_for(&r, &signals);
    for (unsigned i = 0; i < run.instances; i++)
        if (r.counters[i] != NULL)
            (void)unlink(r.counters[i]);
    end_helpers(&r);
    return status;
}
