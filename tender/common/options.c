/* The command line of Solo5's tenders, and what is added to it. */
#define _GNU_SOURCE /* the program's name */ // NOLINT(bugprone-reserved-identifier)
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "tender/common/backend.h"

enum { MEBIBYTES_STANDARD = 512 };

/*
 * Options of the form PREFIX:NAME=VALUE, in the order in which they are dealt
 * with: the properties of a device before it is attached.
 */
static const struct {
    const char *prefix;
    uint32_t type;
    take_option *take;
} device_options[] = {
    {"--net-mac:", SOLO5_DEVICE_NET, net_set_mac},
    {"--net-offload:", SOLO5_DEVICE_NET, net_set_offload},
    {"--block-sector-size:", SOLO5_DEVICE_BLOCK, block_set_size},
    {"--net:", SOLO5_DEVICE_NET, net_attach},
    {"--block:", SOLO5_DEVICE_BLOCK, block_attach},
    {"--block-read-only:", SOLO5_DEVICE_BLOCK, block_attach_read_only},
};

static const char help[] =
    "Usage: %s [OPTION...] [--] IMAGE [ARGUMENT...]\n"
    "Run the Solo5 %s image IMAGE.\n"
    "\n"
    "  --mem=N                      memory of N MiB (default: %d)\n"
    "  --net:NAME=TAP               attach network device NAME to the tap\n"
    "                               interface TAP\n"
    "  --net:NAME=packet:INTERFACE  or to another Ethernet one, as a veth\n"
    "  --net:NAME=@FD               or to the open descriptor FD\n"
    "  --net-mac:NAME=MAC           its address (default: a random one)\n"
    "  --net-offload:NAME=HOW       what is left to the tap, if it and the\n"
    "                               guest can: on (default), checksum or off\n"
    "  --block:NAME=PATH            attach block device NAME to a file\n"
    "  --block-read-only:NAME=PATH  the same, not to be written to\n"
    "  --block-sector-size:NAME=N   its block size (default: 512)\n"
    "  --counters=FILE              show the guest's counters in FILE\n"
    "  --name=NAME                  passed over: for lists of processes\n"
    "%s"
    "  -h, --help                   show this help\n"
    "  --version                    show the versions\n";

static _Noreturn void usage(void)
{
    (void)fprintf(stderr, help, program_invocation_short_name, backend.name,
                  MEBIBYTES_STANDARD, backend.help);
    exit(EXIT_FAILURE);
}

/* The rest of `word` if it begins with `prefix`, else NULL. */
static const char *after(const char *word, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(word, prefix, len) == 0 ? word + len : NULL;
}

/* Memory as the back end can have it. */
static uint64_t parse_memory(const char *text)
{
    uint64_t size = backend.memory_max;
    char *end;

    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    /* What follows the number is passed over, as Solo5 does. */
    if (end == text || text[0] == '-' || n == 0 || errno != 0)
        errx(1, "Malformed argument to --mem: '%s' is no number of MiB", text);
    if (n > (size + backend.memory_unit - 1) / MEBIBYTE)
        errx(1, "--mem=%s: more than a guest can have (%llu MiB)", text,
             (unsigned long long)(size / MEBIBYTE));
    size = n * MEBIBYTE / backend.memory_unit * backend.memory_unit;
    if (size == 0)
        size = backend.memory_unit;
    if (size != n * MEBIBYTE)
        warnx("adjusting memory to %llu bytes", (unsigned long long)size);
    return size;
}

static bool is_device_option(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(device_options); i++)
        if (after(word, device_options[i].prefix) != NULL)
            return true;
    return false;
}

void options_parse(struct launch *launch, char **words)
{
    launch->mem_size = MEBIBYTES_STANDARD * MEBIBYTE;
    launch->options = words;
    /* Where an option may be left out, urunc has an empty word instead. */
    for (; *words != NULL && ((*words)[0] == '-' || (*words)[0] == 0);
         words++) {
        const char *word = *words, *value;
        if (strcmp(word, "--") == 0) {
            words++;
            break;
        }
        launch->option_count++;
        if ((value = after(word, "--mem=")) != NULL) {
            launch->mem_size = parse_memory(value);
        } else if ((value = after(word, "--counters=")) != NULL) {
            launch->counters = value;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            usage();
        } else if (strcmp(word, "--version") == 0) {
            (void)fprintf(stderr, "%s tender, version %s\nABI version %d\n",
                          program_invocation_short_name, FATA_VERSION,
                          (int)backend.version);
            exit(EXIT_SUCCESS);
        } else if (word[0] != 0 && after(word, "--name=") == NULL &&
                   !is_device_option(word) &&
                   (backend.option == NULL || !backend.option(word))) {
            warnx("Invalid option: `%s'", word);
            usage();
        }
    }
    if (*words == NULL) {
        warnx("Missing IMAGE: name the file to run");
        usage();
    }
    launch->image.name = words[0];
    launch->arguments = words + 1;
}

/* `word` is PREFIX:NAME=VALUE: find the device and let it take the value. */
static void take_word(struct image *image, const char *word, size_t option)
{
    const char *prefix = device_options[option].prefix;
    const char *name = after(word, prefix);

    if (name == NULL)
        return;
    size_t len = strcspn(name, "=");
    if (len == 0 || name[len] == 0 || name[len + 1] == 0)
        errx(1, "Malformed argument: '%s' is not %sNAME=VALUE", word, prefix);
    struct solo5_entry *entry = manifest_find(
        &image->manifest, bytes_of(name, len), device_options[option].type);
    if (entry == NULL)
        errx(1,
             "Resource not declared in manifest: '%.*s': leave out %s, or "
             "build an image that declares it",
             (int)len, name, word);
    if (entry->attached != 0)
        errx(1, "%s: device '%s' is attached already: give the option once",
             word, entry->name);
    device_options[option].take(
        &image->devices[entry - image->manifest.entries], name + len + 1);
}

/* Let the host do for the image's devices whatever it can. */
static void want_offloads(struct image *image)
{
    uint64_t wants = image->answers.wants;
    bool rings = backend.rings && (wants & FATA_WANTS_RINGS) != 0;
    uint32_t count = 0;

    if ((wants & FATA_WANTS_NET) == 0)
        return;
    for (uint32_t i = 1; i < image->manifest.count; i++) {
        struct device *device = &image->devices[i];
        if (device->entry->type != SOLO5_DEVICE_NET || count >= FATA_NETS_MAX)
            continue;
        device->features = FATA_NET_TX_CHECKSUM | FATA_NET_TX_TCP4 |
                           FATA_NET_TX_TCP6 | FATA_NET_RX_MERGED;
        device->way =
            rings && count < FATA_RINGS_MAX ? PACKET_RINGS : PACKET_HEADERS;
        count++;
    }
}

void options_attach(struct launch *launch)
{
    want_offloads(&launch->image);
    for (size_t o = 0; o < COUNT_OF(device_options); o++)
        for (size_t i = 0; i < launch->option_count; i++)
            take_word(&launch->image, launch->options[i], o);
    const struct solo5_entry *missing =
        manifest_find_unattached(&launch->image.manifest);
    if (missing != NULL) {
        bool net = missing->type == SOLO5_DEVICE_NET;
        warnx("Device '%s' of type %s declared but not attached.",
              missing->name, net ? "NET_BASIC" : "BLOCK_BASIC");
        errx(1,
             "All declared devices must be attached. See --help for syntax. "
             "Here: --%s:%s=...",
             net ? "net" : "block", missing->name);
    }
}
