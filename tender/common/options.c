/* The command line: see options.h. */
#define _GNU_SOURCE /* the program's name */ // NOLINT(bugprone-reserved-identifier)
#include "tender/common/options.h"

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "tender/common/answers.h"
#include "tender/common/backend.h"

enum { MEBIBYTES_STANDARD = 512 };

static _Noreturn void usage(void)
{
    (void)fprintf(
        stderr,
        "Usage: %s [OPTION...] [--] IMAGE [ARGUMENT...]\n"
        "Run the Solo5 %s image IMAGE.\n"
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
        "%s"
        "  --help                         show this help\n"
        "  --version                      show the versions\n",
        program_invocation_short_name, backend.name, MEBIBYTES_STANDARD,
        backend.help);
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

/* Memory as the back end can have it. */
static uint64_t parse_memory(const char *text)
{
    char *end;

    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    /* What follows the number is passed over, as Solo5 does. */
    if (end == text || text[0] == '-' || n == 0 || errno != 0)
        errx(1, "Malformed argument to --mem");
    uint64_t size = backend.memory_max;
    if (n <= (size + backend.memory_unit - 1) / MEBIBYTE)
        size = n * MEBIBYTE / backend.memory_unit * backend.memory_unit;
    else
        errx(1, "--mem=%s: more than a guest can have (%llu MiB)", text,
             (unsigned long long)(size / MEBIBYTE));
    if (size == 0)
        size = backend.memory_unit;
    if (size != n * MEBIBYTE)
        warnx("adjusting memory to %llu bytes", (unsigned long long)size);
    return size;
}

struct options options_parse(char **words)
{
    struct options options = {
        .mem_size = MEBIBYTES_STANDARD * MEBIBYTE,
        .words = words,
    };

    for (; *words != NULL && (*words)[0] == '-'; words++) {
        char *memory = after(*words, "--mem=");
        const char *counters = after(*words, "--counters=");
        if (strcmp(*words, "--") == 0) {
            words++;
            break;
        }
        options.count++;
        if (memory != NULL) {
            options.mem_size = parse_memory(memory);
        } else if (counters != NULL) {
            options.counters = counters;
        } else if (strcmp(*words, "--help") == 0) {
            usage();
        } else if (strcmp(*words, "--version") == 0) {
            (void)fprintf(stderr, "%s tender, version %s\nABI version %d\n",
                          program_invocation_short_name, FATA_VERSION,
                          (int)backend.version);
            exit(EXIT_SUCCESS);
        } else if ((backend.option == NULL || !backend.option(*words)) &&
                   after(*words, "--net:") == NULL &&
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

    if ((answers_wants(image->fata_note) & FATA_WANTS_NET) == 0)
        return;
    for (uint32_t i = 1; i < image->manifest.count; i++) {
        if (image->manifest.entries[i].type == SOLO5_DEVICE_NET &&
            count++ < FATA_NETS_MAX)
            image->offloads[i].features = FATA_NET_TX_CHECKSUM |
                                          FATA_NET_TX_TCP4 | FATA_NET_TX_TCP6 |
                                          FATA_NET_RX_MERGED;
    }
}

void options_attach(const struct options *options, struct image *image)
{
    union manifest *manifest = &image->manifest;
    struct solo5_entry *entry;
    const char *value;

    want_offloads(image);
    /* Properties first: options may come in any order. */
    for (size_t i = 0; i < options->count; i++) {
        char *word = options->words[i];
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
    for (size_t i = 0; i < options->count; i++) {
        char *word = options->words[i];
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
