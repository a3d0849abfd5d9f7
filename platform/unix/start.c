/*
 * The command line of a unikernel that is an ordinary process:
 *
 *     www.unix --net:service=tap0 --mem=64 --port 8080
 *
 * Options of the platform are taken out wherever they stand before a word
 * `--`; all the other words are the unikernel's boot arguments.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "abi/fata.h"
#include "base/bootargs.h"
#include "base/fmt.h"
#include "platform/unikernel.h"
#include "platform/unix/unix.h"

enum {
    MEMORY_STANDARD = 512, /* MiB */
    MEMORY_MOST = 1 << 22, /* MiB */
    COMPLAINT_ROOM = 1024,
};

#define MIB(n) ((size_t)(n) << 20)

static const char options_help[] =
    "\n"
    "Options of the platform, anywhere before a word --:\n"
    "  --net:NAME=TAP      attach network device NAME to a tap of the host\n"
    "  --net:NAME=packet:INTERFACE\n"
    "                      or to another Ethernet interface, such as a veth\n"
    "  --net:NAME=@FD      or to an inherited SOCK_SEQPACKET or packet socket\n"
    "  --net-mac:NAME=MAC  its address; a random one if not given\n"
    "  --net-offload:NAME=HOW\n"
    "                      what is left to the tap or interface if it can: on\n"
    "                      (all there is, the standard), checksum, or off\n"
    "  --block:NAME=PATH   attach block device NAME to a file\n"
    "  --block-read-only:NAME=PATH\n"
    "                      the same, not to be written to\n"
    "  --mem=MIB           memory; 512 if not given\n"
    "  --counters=FILE     show counters in FILE, for fata stats\n";

bool unix_complain(const char *format, ...)
{
    char text[COMPLAINT_ROOM];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)dprintf(STDERR_FILENO, "%s: %s\n", unikernel.name, text);
    return false;
}

struct unix_device *unix_device_find(struct platform *platform, uint32_t type,
                                     struct bytes name, uint32_t *handle)
{
    for (uint32_t i = 1; i < solo5_manifest_note.count; i++) {
        const struct solo5_entry *entry = &solo5_manifest_note.entries[i];
        if (entry->type == type &&
            bytes_equal(bytes_of_string(entry->name), name)) {
            *handle = i;
            return &platform->devices[i];
        }
    }
    return NULL;
}

static const char *type_text(uint32_t type)
{
    return type == SOLO5_DEVICE_NET ? "NET_BASIC" : "BLOCK_BASIC";
}

/* Complain that there is no such device, and list those there are. */
static void complain_unknown(const char *word, uint32_t type, struct bytes name)
{
    char list[COMPLAINT_ROOM / 2];
    struct writer w = writer_to(list, sizeof list);
    const char *kind = type == SOLO5_DEVICE_NET ? "network" : "block";

    for (uint32_t i = 1; i < solo5_manifest_note.count; i++) {
        const struct solo5_entry *entry = &solo5_manifest_note.entries[i];
        if (entry->type == type)
            fmt_put(&w, "%s %s", w.len == 0 ? "" : ",", entry->name);
    }
    if (w.len == 0)
        unix_complain("%s: this unikernel has no %s devices: leave the option "
                      "out",
                      word, kind);
    else
        unix_complain("%s: there is no %s device `%.*s': those there are:%.*s",
                      word, kind, (int)name.len, (const char *)name.at,
                      (int)w.len, list);
}

/* The options whose value is for one device. */
enum device_option {
    DEVICE_NET,
    DEVICE_MAC,
    DEVICE_OFFLOAD,
    DEVICE_BLOCK,
    DEVICE_READ_ONLY,
};

static const struct {
    const char *prefix;
    uint32_t type;
    enum device_option option;
    const char *value;
} device_options[] = {
    {"--net:", SOLO5_DEVICE_NET, DEVICE_NET, "TAP"},
    {"--net-mac:", SOLO5_DEVICE_NET, DEVICE_MAC, "MAC"},
    {"--net-offload:", SOLO5_DEVICE_NET, DEVICE_OFFLOAD, "HOW"},
    {"--block:", SOLO5_DEVICE_BLOCK, DEVICE_BLOCK, "PATH"},
    {"--block-read-only:", SOLO5_DEVICE_BLOCK, DEVICE_READ_ONLY, "PATH"},
};

/* `word` begins with device option `o`; false after saying what is wrong. */
static bool take_device_option(struct platform *platform, const char *word,
                               size_t o)
{
    const char *name = word + strlen(device_options[o].prefix);
    const char *equals = strchr(name, '=');
    if (equals == NULL || equals == name || equals[1] == '\0')
        return unix_complain("%s: incomplete: give %sNAME=%s", word,
                             device_options[o].prefix, device_options[o].value);

    uint32_t type = device_options[o].type;
    uint32_t handle = 0;
    struct bytes name_bytes = bytes_of(name, (size_t)(equals - name));
    struct unix_device *device =
        unix_device_find(platform, type, name_bytes, &handle);
    if (device == NULL) {
        complain_unknown(word, type, name_bytes);
        return false;
    }

    if (device_options[o].option == DEVICE_MAC) {
        if (!unix_mac_parse(bytes_of_string(equals + 1), device->net.mac))
            return unix_complain("%s: not the address of a station: give six "
                                 "bytes like 02:00:00:00:00:01, the first one "
                                 "even",
                                 word);
        device->net.mac_given = true;
        return true;
    }
    if (device_options[o].option == DEVICE_OFFLOAD) {
        static const char *const ways[] = {"on", "checksum", "off"};
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            device->net.offload = (enum unix_offload)i;
            if (strcmp(equals + 1, ways[i]) == 0)
                return true;
        }
        return unix_complain("%s: no way to offload: give on, checksum or off",
                             word);
    }
    if (device->source != NULL)
        return unix_complain("%s: the device is attached to `%s' already: "
                             "give the option once",
                             word, device->source);
    device->source = equals + 1;
    if (device_options[o].option == DEVICE_READ_ONLY)
        device->block.read_only = true;
    return true;
}

/*
 * Append `word` as bootargs_split will read it. Quotes only where needed, so
 * that a list of processes stays readable.
 */
static void put_word(struct writer *w, const char *word)
{
    if (w->len > 0)
        put_u8(w, ' ');
    if (word[0] != '\0' && strpbrk(word, " \t\n\r\v\f'\"\\") == NULL) {
        put_bytes(w, bytes_of_string(word));
        return;
    }
    put_u8(w, '\'');
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            put_bytes(w, TEXT("'\\''"));
        else
            put_u8(w, (uint8_t)*word);
    }
    put_u8(w, '\'');
}

/*
 * Sort the words into the platform's options and the unikernel's arguments.
 * False after saying what is wrong.
 */
static bool read_words(struct platform *platform, char **words,
                       struct writer *arguments, uint64_t *mem, bool *help)
{
    static const char mem_option[] = "--mem=";
    static const char counters_option[] = "--counters=";
    bool ours = true;

    for (; *words != NULL; words++) {
        const char *word = *words;
        if (ours && strcmp(word, "--") == 0) {
            ours = false;
            continue;
        }
        size_t o = COUNT_OF(device_options);
        if (ours && strncmp(word, mem_option, strlen(mem_option)) == 0) {
            struct bytes value = bytes_of_string(word + strlen(mem_option));
            if (!fmt_parse_u64(value, MEMORY_MOST, mem) || *mem == 0)
                return unix_complain("%s: not an amount of memory: give MiB, "
                                     "1 to %d",
                                     word, MEMORY_MOST);
            continue;
        }
        if (ours &&
            strncmp(word, counters_option, strlen(counters_option)) == 0) {
            platform->counters_path = word + strlen(counters_option);
            continue;
        }
        if (ours) {
            for (o = 0; o < COUNT_OF(device_options); o++) {
                const char *prefix = device_options[o].prefix;
                if (strncmp(word, prefix, strlen(prefix)) == 0)
                    break;
            }
        }
        if (o < COUNT_OF(device_options)) {
            if (!take_device_option(platform, word, o))
                return false;
            continue;
        }
        if (strcmp(word, "--help") == 0)
            *help = true;
        put_word(arguments, word);
    }
    if (arguments->failed)
        return unix_complain("the boot arguments are longer than %d bytes: "
                             "shorten them",
                             BOOTARGS_BYTES - 1);
    return true;
}

/* Open every device that is declared. False after saying what is wrong. */
static bool attach_devices(struct platform *platform)
{
    for (uint32_t i = 1; i < solo5_manifest_note.count; i++) {
        const struct solo5_entry *entry = &solo5_manifest_note.entries[i];
        struct unix_device *device = &platform->devices[i];
        const char *name = entry->name;
        bool net = entry->type == SOLO5_DEVICE_NET;

        if (device->source == NULL && entry->optional == FATA_DEVICE_OPTIONAL)
            continue;
        if (device->source == NULL) {
            const char *option = net ? "net" : "block";
            const char *value = net ? "TAP" : "PATH";
            return unix_complain("Device '%s' of type %s declared but not "
                                 "attached. Attach it with --%s:%s=%s%s",
                                 name, type_text(entry->type), option, name,
                                 value,
                                 net ? ", or start with fata run, which has a "
                                       "network that needs no tap."
                                     : ".");
        }
        bool attached;
        if (net)
            attached = unix_net_attach(device, name);
        else
            attached = unix_block_attach(device, name);
        if (!attached)
            return false;
    }
    return true;
}

static bool memory_map(struct platform *platform, uint64_t mem)
{
    void *memory = mmap(NULL, MIB(mem), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return unix_complain("no %llu MiB of memory: %m: give less with --mem",
                             (unsigned long long)mem);
    /* Pages of 2 MiB would be supplied for a touch of a few bytes. */
    (void)madvise(memory, MIB(mem), MADV_NOHUGEPAGE);
    platform->memory = (struct arena){.at = memory, .room = MIB(mem)};
    return true;
}

/*
 * Give closed standard descriptors something to name: or what we open next
 * gets their numbers, and log lines are written into a disk or a network.
 */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        (void)close(fd);
}

int main(int argc, char **argv)
{
    static uint8_t text[BOOTARGS_BYTES - 1];
    struct writer arguments = WRITER(text);
    struct platform platform = {0};
    uint64_t mem = MEMORY_STANDARD;
    bool help = false;

    fill_standard_descriptors();
    for (size_t i = 0; i < COUNT_OF(platform.devices); i++)
        platform.devices[i].fd = -1;
    if (!read_words(&platform, argv + (argc > 0), &arguments, &mem, &help))
        return PLATFORM_EXIT_WRONG_ARGUMENT;
    platform.arguments = written(&arguments);

    /* A console that nobody reads any more is no reason to end. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* Sleep as exactly as the kernel can; its standard is 50 us late. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    platform.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (platform.epoll < 0) {
        unix_complain("epoll_create1: %m");
        return 1;
    }
    if (!memory_map(&platform, mem))
        return 1;
    if (!help && !attach_devices(&platform))
        return 1;
    if (!help && platform.counters_path != NULL &&
        !unix_counters_map(&platform, platform.counters_path))
        return 1;

    int status = platform_main(&platform);
    if (status == PLATFORM_EXIT_HELP)
        platform_console_write(&platform, bytes_of_string(options_help));
    return status;
}
