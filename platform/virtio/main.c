/*
 * The virtio target of platform/platform.h, whatever the machine: its devices
 * are given the names of the manifest, and the rest is asked of the machine.
 */
#include "base/small.h"

#include "abi/solo5.h"
#include "base/fmt.h"
#include "platform/freestanding/libc.h"
#include "platform/spin.h"
#include "platform/unikernel.h"
#include "platform/virtio/cmdline.h"
#include "platform/virtio/irq.h"
#include "platform/virtio/machine.h"

enum {
    DEVICES = 32, /* the most that are looked at */
    ARGUMENTS = BOOTARGS_BYTES,
    LOOKS = 32,
    QUIET_TRIES = 16,
};

struct platform {
    struct arena *memory;
    struct bytes arguments;
    uint64_t now;    /* as last asked for */
    bool has_waited; /* since then */
    struct spin spin;

    struct machine_device devices[DEVICES];
    size_t device_count;
    /* By manifest entry: the device, or NULL. */
    struct virtio_device *attached[PLATFORM_HANDLES];
    unsigned polled; /* devices that cannot interrupt, or never have */
    bool from_disk;  /* we were loaded from one, which the BIOS has first */
    struct virtio_device *rng;
    struct virtio_console *console;
};

static struct platform the_platform;

static const struct solo5_abi_note abi_note
    __attribute__((used, section(".note.solo5.abi"), aligned(8))) = {
        .note = {.namesz = 6,
                 .descsz = 16,
                 .type = SOLO5_NOTE_ABI,
                 .name = "Solo5"},
        .target = SOLO5_TARGET_VIRTIO,
        .version = 1};

/* --- Devices --- */

static const char *name_of(enum virtio_id id)
{
    return id == VIRTIO_NET ? "net" : "block";
}

static uint32_t kind_of(enum virtio_id id)
{
    return id == VIRTIO_NET ? SOLO5_DEVICE_NET : SOLO5_DEVICE_BLOCK;
}

/* The interrupt of its line, which others may have as well. */
static bool attach_line(const struct platform *platform,
                        struct machine_device *device)
{
    for (size_t i = 0; i < platform->device_count; i++) {
        const struct machine_device *other = &platform->devices[i];
        if (other->attached && other->line == device->line) {
            device->irq = other->irq;
            return true;
        }
    }
    return irq_attach_line(device->line, &device->irq);
}

/* Have the device end our sleep. */
static void attach_interrupt(struct platform *platform,
                             struct machine_device *device)
{
    if (machine_message(&device->device))
        return;
    /* What firmware noted may be for another interrupt controller. */
    device->doubted = !device->has_line;
    if (device->doubted)
        device->has_line = machine_line(&device->device, &device->line);
    device->attached = device->has_line && attach_line(platform, device);
    platform->polled += !device->attached || device->doubted;
}

/* Say that the devices are not those of the manifest, and end. */
static _Noreturn void devices_differ(const struct platform *platform,
                                     enum virtio_id id, size_t found)
{
    static char text[512];
    struct writer w = writer_to(text, sizeof text);
    size_t wanted = 0;

    fmt_put(&w, "%s: devices: the manifest has", unikernel.name);
    for (uint32_t i = 0; i < solo5_manifest_note.count; i++) {
        const struct solo5_entry *entry = &solo5_manifest_note.entries[i];
        if (entry->type != kind_of(id))
            continue;
        wanted++;
        fmt_put(&w, "%s %s", wanted > 1 ? "," : "", entry->name);
    }
    fmt_put(&w, "%s as %s, and the machine has %u virtio %s device%s",
            wanted == 0 ? " none" : "", name_of(id), (unsigned)found,
            name_of(id), found == 1 ? "" : "s");
    const char *before = ": ";
    for (size_t i = 0; i < platform->device_count; i++) {
        if (platform->devices[i].device.id != id)
            continue;
        fmt_put(&w, "%s%s", before, platform->devices[i].device.place);
        before = ", ";
    }
    if (found > wanted)
        fmt_put(&w, ": leave out what is too many\n");
    else
        fmt_put(&w, ": attach one for each, %s\n",
                machine_remedy((uint32_t)id));
    machine_console_write(bytes_of(w.at, w.len));
    machine_exit(1);
}

/* Give the devices of this kind the manifest's names, in order. */
static void bind(struct platform *platform, enum virtio_id id)
{
    size_t next = 0, found = 0, wanted = 0;

    for (size_t i = 0; i < platform->device_count; i++)
        found += platform->devices[i].device.id == id;
    for (uint32_t i = 0; i < solo5_manifest_note.count; i++)
        wanted += solo5_manifest_note.entries[i].type == kind_of(id);
    if (id == VIRTIO_BLOCK && platform->from_disk && found == wanted + 1) {
        /* The one that we were loaded from is no device of the manifest. */
        while (platform->devices[next].device.id != id)
            next++;
        next++;
    } else if (found != wanted) {
        devices_differ(platform, id, found);
    }
    for (uint32_t i = 0; i < solo5_manifest_note.count; i++) {
        if (solo5_manifest_note.entries[i].type != kind_of(id))
            continue;
        while (platform->devices[next].device.id != id)
            next++;
        attach_interrupt(platform, &platform->devices[next]);
        platform->attached[i] = &platform->devices[next++].device;
    }
}

static void find_devices(struct platform *platform,
                         const struct cmdline *cmdline)
{
    size_t count = machine_devices(platform, cmdline, platform->devices,
                                   COUNT_OF(platform->devices));

    platform->device_count =
        count < COUNT_OF(platform->devices) ? count : DEVICES;
    bind(platform, VIRTIO_NET);
    bind(platform, VIRTIO_BLOCK);
    for (size_t i = 0; i < platform->device_count; i++) {
        struct virtio_device *device = &platform->devices[i].device;
        if (device->id == VIRTIO_RNG)
            platform->rng = device;
        if (device->id == VIRTIO_CONSOLE && platform->console == NULL)
            platform->console = virtio_console_start(device, platform->memory);
    }
}

struct virtio_device *virtio_find(struct platform *platform, uint32_t kind,
                                  const char *name, uint32_t *handle)
{
    for (uint32_t i = 0; i < solo5_manifest_note.count; i++) {
        const struct solo5_entry *entry = &solo5_manifest_note.entries[i];
        if (entry->type == kind && strcmp(entry->name, name) == 0 &&
            platform->attached[i] != NULL) {
            *handle = i;
            return platform->attached[i];
        }
    }
    return NULL;
}

/* --- Start --- */

/* Whether a word of the command line says that there is a disk to begin with,
 * as the boot loader of `fata pack -f raw' does. */
static bool names_root(struct bytes text)
{
    static const char word[] = "root=";
    const size_t len = sizeof word - 1;

    for (size_t i = 0; i + len <= text.len; i++)
        if (text.at[i] == word[0] && memcmp(text.at + i, word, len) == 0 &&
            (i == 0 || text.at[i - 1] == ' '))
            return true;
    return false;
}

static bool takes(const char *argument)
{
    for (size_t i = 0; i < unikernel.argument_count; i++)
        if (strcmp(unikernel.arguments[i].name, argument) == 0)
            return true;
    return false;
}

static void read_arguments(struct platform *platform, struct cmdline *cmdline,
                           const struct machine_boot *boot)
{
    static uint8_t arguments[ARGUMENTS];
    struct writer args = WRITER(arguments);
    static char message[512];
    struct writer why = writer_to(message, sizeof message);

    cmdline->named = boot->named;
    cmdline->takes_ipv4 = takes("ipv4");
    cmdline->takes_gateway = takes("gateway");
    if (!cmdline_read(cmdline, boot->cmdline, &args, &why)) {
        fmt_put(&why, "\n");
        machine_console_write(bytes_of_string(unikernel.name));
        machine_console_write(TEXT(": "));
        machine_console_write(bytes_of(why.at, why.len));
        machine_exit(PLATFORM_EXIT_WRONG_ARGUMENT);
    }
    platform->arguments = written(&args);
}

_Noreturn void virtio_main(const struct machine_boot *boot)
{
    static struct cmdline cmdline;
    struct platform *platform = &the_platform;

    platform->memory = boot->memory;
    platform->from_disk = names_root(boot->cmdline);
    read_arguments(platform, &cmdline, boot);
    find_devices(platform, &cmdline);
    platform_exit(platform, platform_main(platform));
}

/* --- The platform --- */

const char *platform_target(struct platform *platform)
{
    (void)platform;
    return "virtio";
}

void platform_console_write(struct platform *platform, struct bytes text)
{
    machine_console_write(text);
    if (platform->console != NULL)
        virtio_console_write(platform->console, text);
}

/* The last words are to be read: a machine that ends takes them along. */
static void finish_console(struct virtio_console *console)
{
    uint64_t end = time_add(machine_monotonic(), MILLISECONDS(100));

    while (console != NULL && !virtio_console_done(console) &&
           machine_monotonic() < end)
        ;
}

_Noreturn void freestanding_die(struct bytes message)
{
    platform_console_write(&the_platform, message);
    finish_console(the_platform.console);
    machine_exit(PLATFORM_EXIT_ABORT);
}

uint64_t platform_clock_monotonic(struct platform *platform)
{
    uint64_t now = machine_monotonic();

    /* The loop asks before and after each wait. */
    if (platform->has_waited)
        spin_waited(&platform->spin, time_since(now, platform->now));
    platform->has_waited = false;
    platform->now = now;
    return now;
}

uint64_t platform_clock_wall(struct platform *platform)
{
    (void)platform;
    return machine_wall();
}

void platform_spin(struct platform *platform, uint64_t ns)
{
    /* Whom we wait for needs a processor, too: ours, if there is one. */
    spin_init(&platform->spin, machine_processors() < 2 ? 0 : ns);
}

/* Look for input before sleeping, as long as it pays. */
static uint64_t look(struct platform *platform, uint64_t deadline)
{
    uint64_t budget = spin_budget(&platform->spin);
    uint64_t now = platform->now, end = time_add(now, budget);
    uint64_t ready = 0;

    if (budget == 0)
        return 0;
    while (ready == 0 && now < end && now < deadline) {
        for (int i = 0; i < LOOKS && ready == 0; i++)
            ready = virtio_ready(platform);
        if (ready == 0)
            now = machine_monotonic();
    }
    if (ready != 0 || now < deadline)
        spin_looked(&platform->spin, ready != 0);
    return ready;
}

/* Have devices with these interrupts lower their lines. True: to be repeated,
 * since one of several may have raised a line that another held. */
static bool lower(struct platform *platform, uint32_t irqs)
{
    uint32_t seen = 0;
    bool any = false, shared = false;

    for (size_t i = 0; i < platform->device_count; i++) {
        struct machine_device *device = &platform->devices[i];
        uint32_t irq = UINT32_C(1) << device->irq;
        if (!device->attached || (irqs & irq) == 0)
            continue;
        shared = shared || (seen & irq) != 0;
        seen |= irq;
        if (!virtio_acknowledge(&device->device))
            continue;
        any = true;
        platform->polled -= device->doubted;
        device->doubted = false;
    }
    return any && shared;
}

/* After a sleep: what has something to tell lowers its line. */
static void acknowledge(struct platform *platform)
{
    uint32_t irqs = irq_came();

    for (int i = 0; i < QUIET_TRIES && irqs != 0 && lower(platform, irqs); i++)
        ;
}

uint64_t platform_wait(struct platform *platform, uint64_t deadline)
{
    uint64_t ready = virtio_ready(platform);

    /* The loop has just asked for the time, so a deadline of now is known. */
    if (ready != 0 || deadline <= platform->now)
        return ready;
    ready = look(platform, deadline);
    platform->has_waited = true;
    if (ready == 0)
        ready = virtio_arm(platform);
    if (ready != 0)
        return ready;
    if (platform->polled > 0)
        deadline = time_min(deadline, time_add(platform->now, IRQ_POLL));
    machine_sleep(deadline);
    acknowledge(platform);
    ready = virtio_ready(platform);
    return ready != 0 ? ready : virtio_woken(platform);
}

struct bytes platform_boot_args(struct platform *platform)
{
    return platform->arguments;
}

struct arena *platform_memory(struct platform *platform)
{
    return platform->memory;
}

platform_guard *platform_guard_function(struct platform *platform)
{
    (void)platform;
    return machine_guard;
}

enum err platform_entropy(struct platform *platform, uint8_t *to, size_t len)
{
    struct writer w = writer_to(to, len);

    if (platform->rng != NULL &&
        virtio_rng(platform->rng, platform->memory, to, len) == OK)
        return OK;
    while (w.len < len) {
        uint64_t word;
        uint8_t text[8];
        struct writer bytes = WRITER(text);
        if (!machine_random(&word))
            return ERR_IO;
        put_le64(&bytes, word);
        put_bytes(&w, bytes_first(written(&bytes), len - w.len));
    }
    return OK;
}

void *platform_counters(struct platform *platform, size_t *size)
{
    (void)platform, (void)size;
    return NULL;
}

_Noreturn void platform_exit(struct platform *platform, int status)
{
    finish_console(platform->console);
    machine_exit(status);
}
