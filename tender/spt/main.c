/*
 * fata-spt: runs an image of the Solo5 spt ABI in this very process, locked
 * into a seccomp filter.
 *
 * In order: read the options, map and check the file, open its devices, build
 * its memory, close the door, jump. All that can fail fails before the guest
 * runs; after that nothing of this program runs any more.
 */
#define _GNU_SOURCE /* the program's name */ // NOLINT(bugprone-reserved-identifier)
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/version.h"
#include "tender/spt/counters.h"
#include "tender/spt/devices.h"
#include "tender/spt/filter.h"
#include "tender/spt/guest.h"

#define MEBIBYTE   UINT64_C(0x100000)
#define MEMORY_MAX UINT64_C(0x7f0000000000)

enum { MEBIBYTES_STANDARD = 512 };

/* The command line, before the manifest is known. */
struct options {
    uint64_t mem_size;
    bool executable_heap;
    const char *counters; /* the file to show them in, or NULL */
    char **devices;       /* the options, some of which attach devices */
    size_t device_count;
    const char *image;
    char **arguments; /* for the guest; the last is NULL */
};

/* As the image's file says it. */
struct image {
    int fd;
    struct bytes file;
    struct elf elf;
    union manifest manifest;
    struct bytes fata_note;                         /* empty if it has none */
    struct net_offload offloads[SOLO5_ENTRIES_MAX]; /* by handle */
    struct bytes counters_note;
};

static _Noreturn void usage(void)
{
    (void)fprintf(
        stderr,
        "Usage: %s [OPTION...] [--] IMAGE [ARGUMENT...]\n"
        "Run the Solo5 spt image IMAGE, caged by seccomp.\n"
        "\n"
        "  --mem=N                        memory of N MiB (default: %d)\n"
        "  --net:NAME=TAP                 attach network device NAME to the "
        "tap\n"
        "                                 interface TAP\n"
        "  --net:NAME=@FD                 or to the open descriptor FD\n"
        "  --net-mac:NAME=MAC             its address (default: a random one)\n"
        "  --net-offload:NAME=HOW         what is left to the tap, if it and\n"
        "                                 the guest can: on (the default),\n"
        "                                 checksum or off\n"
        "  --block:NAME=PATH              attach block device NAME to a file\n"
        "  --block-sector-size:NAME=N     its block size (default: 512)\n"
        "  --counters=FILE                show the guest's counters in FILE\n"
        "  --x-exec-heap                  let the guest execute its heap\n"
        "  --help                         show this help\n"
        "  --version                      show the versions\n",
        program_invocation_short_name, MEBIBYTES_STANDARD);
    exit(EXIT_FAILURE);
}

/* The rest of `word` if it begins with `prefix`, else NULL. */
static char *after(char *word, const char *prefix)
{
    size_t len = strlen(prefix);

    if (strncmp(word, prefix, len) != 0)
        return NULL;
    return word + len;
}

static uint64_t parse_memory(const char *text)
{
    char *end;

    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    /* What follows the number is passed over, as Solo5 does. */
    if (end == text || text[0] == '-' || n == 0 || errno != 0)
        errx(1, "Malformed argument to --mem");
    if (n > MEMORY_MAX / MEBIBYTE)
        errx(1, "--mem=%s: more than a process can have (%llu MiB)", text,
             (unsigned long long)(MEMORY_MAX / MEBIBYTE));
    return n * MEBIBYTE;
}

static struct options parse_options(char **words)
{
    struct options options = {
        .mem_size = MEBIBYTES_STANDARD * MEBIBYTE,
        .devices = words,
    };

    for (; *words != NULL && (*words)[0] == '-'; words++) {
        char *memory = after(*words, "--mem=");
        const char *counters = after(*words, "--counters=");
        if (strcmp(*words, "--") == 0) {
            words++;
            break;
        }
        options.device_count++;
        if (memory != NULL) {
            options.mem_size = parse_memory(memory);
        } else if (counters != NULL) {
            options.counters = counters;
        } else if (strcmp(*words, "--help") == 0) {
            usage();
        } else if (strcmp(*words, "--version") == 0) {
            (void)fprintf(stderr, "%s tender, version %s\nABI version %d\n",
                          program_invocation_short_name, FATA_VERSION,
                          SOLO5_SPT_ABI_VERSION);
            exit(EXIT_SUCCESS);
        } else if (strcmp(*words, "--x-exec-heap") == 0) {
            warnx("WARNING: the guest's heap and stack will be executable");
            options.executable_heap = true;
        } else if (after(*words, "--net:") == NULL &&
                   after(*words, "--net-mac:") == NULL &&
                   after(*words, "--net-offload:") == NULL &&
                   after(*words, "--block:") == NULL &&
                   after(*words, "--block-sector-size:") == NULL) {
            warnx("Invalid option: `%s'", *words);
            usage();
        }
    }
    if (*words == NULL) {
        warnx("Missing IMAGE: name the file to run");
        usage();
    }
    options.image = words[0];
    options.arguments = words + 1;
    return options;
}

/* Map the file and check all that it says of itself. */
static void open_image(struct image *image, const struct options *options)
{
    const char *name = options->image;
    const char *why;
    struct stat status;
    struct bytes note;
    struct reader abi;

    /* Not to wait for whoever may write to a FIFO. */
    image->fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (image->fd < 0 || fstat(image->fd, &status) != 0)
        err(1, "%s", name);
    if (!S_ISREG(status.st_mode))
        errx(1, "%s: not a file", name);
    if (status.st_size > 0) {
        image->file.len = (size_t)status.st_size;
        image->file.at =
            mmap(NULL, image->file.len, PROT_READ, MAP_PRIVATE, image->fd, 0);
        if (image->file.at == MAP_FAILED)
            err(1, "%s: cannot map it", name);
    }
    if (!elf_parse(&image->elf, image->file, options->mem_size, &why) ||
        !elf_note(&image->elf, &elf_note_abi, &note, &why))
        errx(1, "%s: %s", name, why);
    abi = reader_of(note);
    uint32_t target = get_le32(&abi);
    uint32_t version = get_le32(&abi);
    if (abi.failed || target != SOLO5_TARGET_SPT)
        errx(1, "%s: Executable is not for the solo5-spt target", name);
    /* The two differ in what loaders got wrong, not in the interface. */
    if (version != 1 && version != SOLO5_SPT_ABI_VERSION)
        errx(1, "%s: Executable requests unsupported ABI version %u", name,
             (unsigned)version);
    if (!elf_note(&image->elf, &elf_note_manifest, &note, &why))
        errx(1, "%s: %s", name, why);
    if (!manifest_parse(&image->manifest, note))
        errx(1, "%s: Solo5 manifest is invalid", name);
    if (!elf_note(&image->elf, &elf_note_fata, &image->fata_note, &why))
        image->fata_note = (struct bytes){0};
    if (!elf_note(&image->elf, &elf_note_counters, &image->counters_note, &why))
        image->counters_note = (struct bytes){0};
}

/*
 * If `word` is `option`NAME=VALUE: sets *value and returns the device, which
 * must be declared. Otherwise NULL.
 */
static struct solo5_entry *match(union manifest *manifest, char *word,
                                 const char *option, uint32_t type,
                                 const char **value)
{
    const char *name = after(word, option);

    if (name == NULL)
        return NULL;
    size_t len = strcspn(name, "=");
    if (len == 0 || name[len] == 0 || name[len + 1] == 0)
        errx(1, "Malformed argument: '%s' is not %sNAME=VALUE", word, option);
    *value = name + len + 1;
    struct solo5_entry *entry =
        manifest_find(manifest, bytes_of(name, len), type);
    if (entry == NULL)
        errx(1, "Resource not declared in manifest: '%.*s'", (int)len, name);
    return entry;
}

static void set_mac(struct solo5_entry *entry, const char *text)
{
    const char *at = text;

    for (size_t i = 0; i < sizeof(entry->net.mac); i++) {
        char *end = NULL;
        if (isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1]))
            entry->net.mac[i] = (uint8_t)strtoul(at, &end, 16);
        if (end != at + 2 || *end != (i == 5 ? 0 : ':'))
            errx(1,
                 "Malformed argument to --net-mac: '%s' is not like "
                 "02:00:00:ab:cd:ef",
                 text);
        at = end + 1;
    }
}

static void set_sector_size(struct solo5_entry *entry, const char *text)
{
    char *end;
    unsigned long size = strtoul(text, &end, 10);

    if (*end != 0 || size < 512 || size > 32768 || (size & (size - 1)) != 0)
        errx(1,
             "Block size must be a multiple of 2 greater than or equal 512 "
             "(and at most 32768): '%s'",
             text);
    entry->block.block_size = (uint16_t)size;
}

static void set_offload(struct net_offload *offload, const char *how)
{
    if (strcmp(how, "checksum") == 0)
        offload->features &= FATA_NET_TX_CHECKSUM;
    else if (strcmp(how, "off") == 0)
        offload->features = 0;
    else if (strcmp(how, "on") != 0)
        errx(1,
             "Malformed argument to --net-offload: '%s' is not on, checksum or "
             "off",
             how);
}

/* Let the host do for the image's devices whatever it can. */
static void want_offloads(struct image *image)
{
    uint32_t count = 0;

    if ((guest_wants(image->fata_note) & FATA_WANTS_NET) == 0)
        return;
    for (uint32_t i = 1; i < image->manifest.count; i++) {
        if (image->manifest.entries[i].type == SOLO5_DEVICE_NET &&
            count++ < FATA_NETS_MAX)
            image->offloads[i].features = FATA_NET_TX_CHECKSUM |
                                          FATA_NET_TX_TCP4 | FATA_NET_TX_TCP6 |
                                          FATA_NET_RX_MERGED;
    }
}

/* Tell the image which of its devices have headers before frames. */
static void answer_nets(struct guest_answers *answers,
                        const struct image *image)
{
    /* Those with headers are among the first: want_offloads saw to it. */
    for (uint32_t i = 1; i < image->manifest.count; i++) {
        if (image->offloads[i].features != 0 &&
            answers->net_count < FATA_NETS_MAX)
            answers->nets[answers->net_count++] = (struct fata_net){
                .handle = (uint8_t)i,
                .header_len = (uint8_t)image->offloads[i].header_len,
                .features = image->offloads[i].features,
            };
    }
}

static void attach_devices(struct image *image, const struct options *options)
{
    union manifest *manifest = &image->manifest;
    struct solo5_entry *entry;
    const char *value;

    /* Properties first: options may come in any order. */
    for (size_t i = 0; i < options->device_count; i++) {
        char *word = options->devices[i];
        if ((entry = match(manifest, word, "--net-mac:", SOLO5_DEVICE_NET,
                           &value)) != NULL)
            set_mac(entry, value);
        if ((entry = match(manifest, word, "--net-offload:", SOLO5_DEVICE_NET,
                           &value)) != NULL)
            set_offload(&image->offloads[entry - manifest->entries], value);
        if ((entry = match(manifest, word, "--block-sector-size:",
                           SOLO5_DEVICE_BLOCK, &value)) != NULL)
            set_sector_size(entry, value);
    }
    for (size_t i = 0; i < options->device_count; i++) {
        char *word = options->devices[i];
        entry = match(manifest, word, "--net:", SOLO5_DEVICE_NET, &value);
        if (entry == NULL)
            entry =
                match(manifest, word, "--block:", SOLO5_DEVICE_BLOCK, &value);
        if (entry == NULL)
            continue;
        if (entry->attached != 0)
            errx(1, "%s: device '%s' is attached already: give the option once",
                 word, entry->name);
        bool attached;
        if (entry->type == SOLO5_DEVICE_NET)
            attached = net_attach(entry, value,
                                  &image->offloads[entry - manifest->entries]);
        else
            attached = block_attach(entry, value);
        if (!attached)
            errx(1, "%s: could not attach device '%s'", word, entry->name);
    }
    const struct solo5_entry *missing = manifest_find_unattached(manifest);
    if (missing != NULL) {
        const char *type = "BLOCK_BASIC";
        if (missing->type == SOLO5_DEVICE_NET)
            type = "NET_BASIC";
        warnx("Device '%s' of type %s declared but not attached.",
              missing->name, type);
        errx(1,
             "All declared devices must be attached. See --help for syntax.");
    }
}

/* Give the descriptor the number `to`, moving another away that has it. */
static void renumber(int *fd, int to, union manifest *manifest)
{
    if (*fd == to)
        return;
    for (uint32_t i = 0; i < manifest->count; i++) {
        struct solo5_entry *entry = &manifest->entries[i];
        if (!entry->attached || &entry->hostfd == fd || entry->hostfd != to)
            continue;
        entry->hostfd = fcntl(to, F_DUPFD_CLOEXEC, 2 * SOLO5_ENTRIES_MAX);
        if (entry->hostfd < 0)
            err(1, "cannot number descriptors");
    }
    if (dup2(*fd, to) < 0)
        err(1, "cannot number descriptors");
    *fd = to;
}

static void watch(int epollfd, int fd, uint64_t data, const char *name)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

    if (epoll_ctl(epollfd, EPOLL_CTL_ADD, fd, &event) != 0)
        err(1, "cannot wait for input on '%s'", name);
}

/*
 * Give the descriptors of the guest the first numbers after the standard ones,
 * and close all others.
 */
static void arrange(union manifest *manifest, struct filter_grants *grants)
{
    int next = FILTER_FIRST_FD;

    renumber(&grants->epollfd, next++, manifest);
    renumber(&grants->timerfd, next++, manifest);
    watch(grants->epollfd, grants->timerfd, SOLO5_SPT_TIMER_EVENT, "timer");
    for (uint32_t i = 1; i < manifest->count; i++) {
        struct solo5_entry *entry = &manifest->entries[i];
        if (!entry->attached)
            continue;
        renumber(&entry->hostfd, next++, manifest);
        if (entry->type == SOLO5_DEVICE_NET) {
            watch(grants->epollfd, entry->hostfd, i, entry->name);
            grants->nets[grants->net_count++] = entry->hostfd;
        } else {
            grants->blocks[grants->block_count++] =
                (struct filter_block){.fd = entry->hostfd,
                                      .block_size = entry->block.block_size,
                                      .capacity = entry->block.capacity};
        }
    }
    (void)syscall(SYS_close_range, next, ~0U, 0);
}

/*
 * Show the guest's counters, if both it and the command line want to. The
 * file's descriptor is none that its filter grants.
 */
static bool share_counters(const struct guest *guest, const struct image *image,
                           const char *path)
{
    size_t size = 0;

    if (path == NULL)
        return false;
    uint8_t *region =
        counters_region(guest, &image->elf, image->counters_note, &size);
    if (region == NULL || image->fata_note.len == 0) {
        warnx("--counters=%s: this image has none to show", path);
        return false;
    }
    counters_map(region, size, path);
    return true;
}

/*
 * The guest shares our memory, in which passwords and keys are not rare: in
 * environment variables, which are none of its business.
 */
static void wipe_environment(void)
{
    for (char **variable = environ; *variable != NULL; variable++)
        explicit_bzero(*variable, strlen(*variable));
}

/*
 * How many processors the machine has, be it that we may use but one of them:
 * whom the guest talks to is on another then.
 */
static uint32_t processors(void)
{
    char text[64] = {0}; /* such as "0-3,6" */
    uint32_t count = 0;
    int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 1;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    for (char *at = text; n > 0 && isdigit((unsigned char)*at);) {
        unsigned long first = strtoul(at, &at, 10), last = first;
        if (*at == '-')
            last = strtoul(at + 1, &at, 10);
        if (last >= first)
            count += (uint32_t)(last - first + 1);
        if (*at == ',')
            at++;
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct image image; /* large, and mostly not touched */
    static struct filter_grants grants;
    struct options options = parse_options(argv + (argc > 0));
    struct guest guest;
    uint8_t random[GUEST_RANDOM_BYTES];

    /* They become FILTER_FIRST_FD and the next one, or are renumbered. */
    do
        grants.epollfd = epoll_create1(EPOLL_CLOEXEC);
    while (grants.epollfd >= 0 && grants.epollfd < FILTER_FIRST_FD);
    grants.timerfd =
        timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (grants.epollfd < 0 || grants.timerfd < 0)
        err(1, "cannot create an epoll set and a timer");

    open_image(&image, &options);
    want_offloads(&image);
    attach_devices(&image, &options);
    if (!guest_map(&guest, options.mem_size, options.executable_heap))
        err(1,
            "cannot have %llu MiB of memory for the guest: give a smaller "
            "--mem",
            (unsigned long long)(options.mem_size / MEBIBYTE));
    if (!guest_load(&guest, &image.elf, image.fd))
        err(1, "%s: cannot load it", options.image);
    arrange(&image.manifest, &grants);
    bool counters = share_counters(&guest, &image, options.counters);
    if (!guest_write_boot_info(&guest, &image.elf, &image.manifest,
                               options.arguments, grants.epollfd,
                               grants.timerfd))
        errx(1, "Guest command line too long (max=%d characters)",
             SOLO5_CMDLINE_MAX);
    if (image.fata_note.len > 0) {
        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
            err(1, "no random bytes for the guest");
        grants.flushes = true;
        struct guest_answers answers = {.random = random,
                                        .flushes = true,
                                        .counters = counters,
                                        .processors = processors()};
        answer_nets(&answers, &image);
        /* An image that is not told would take headers for frames. */
        if (!guest_write_answers(&guest, &image.elf, image.fata_note,
                                 &answers) &&
            answers.net_count > 0)
            errx(1,
                 "%s: there is no room for answers where it wants them: "
                 "give --net-offload:NAME=off",
                 options.image);
        explicit_bzero(random, sizeof(random));
    }
    /* A console that nobody reads any more is no reason to end, and of a
     * socket's other end the guest learns from the error. */
    (void)signal(SIGPIPE, SIG_IGN);
    wipe_environment();
    if (!filter_install(&grants))
        err(1, "cannot lock the guest into a seccomp filter");
    guest_enter(&guest, image.elf.entry);
}
