/*
 * QEMU as a tender: what a tender is told, in QEMU's words.
 *
 *     --mem=64                  -m 64M
 *     --net:service=tap0        -netdev tap,id=service,ifname=tap0,...
 *     --net:service=@5          -netdev dgram or tap, by what 5 is
 *     --block:disk=FILE         -drive if=none,id=disk,file=FILE,...
 *     -- IMAGE ARGUMENT...      -kernel IMAGE -append "ARGUMENT..."
 *
 * The unikernel writes its status to the device isa-debug-exit, which ends QEMU
 * with twice the status and three (0 and 1 are QEMU's own). Of seven bits it is
 * told 0 to 125, and 255 for all others. On arm64 there is semihosting instead,
 * by which QEMU ends with the very status, where it emulates the processor.
 */
#include "tool/run_qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool/files.h"
#include "tool/image.h"

/* All frames as on a wire. */
#define NO_OFFLOADS                                                            \
    ",csum=off,gso=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off," \
    "guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off"
#define NO_CUTTING                                                             \
    ",gso=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,"          \
    "guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off"

bool runs_in_qemu(const struct target *target)
{
    return target->runner != NULL && starts_with(target->runner, "qemu-");
}

/* Whether the status is told by isa-debug-exit. */
static bool has_debug_exit(const struct target *target)
{
    return strcmp(target->arch, "x86_64") == 0;
}

/* A value in an option of QEMU's, where a comma would end it. */
static const char *escaped(const char *value)
{
    struct text t = {0};

    for (; *value != 0; value++)
        put(&t, "%s%c", *value == ',' ? "," : "", *value);
    return t.at == NULL ? "" : t.at;
}

/* What `words` say as OPTION:NAME=VALUE, or NULL. */
static const char *value_of(const struct names *words, const char *option,
                            const char *name)
{
    const char *start = format("%s:%s=", option, name);

    for (size_t i = 0; i < words->count; i++)
        if (starts_with(words->at[i], start))
            return words->at[i] + strlen(start);
    return NULL;
}

/* Of "--net:NAME=VALUE": NAME, and VALUE in *value. */
static const char *name_and_value(const char *word, const char **value)
{
    const char *name = strchr(word, ':') + 1;
    const char *equals = strchr(name, '=');

    *value = equals + 1;
    return keep_bytes(name, (size_t)(equals - name));
}

/* Why KVM cannot be used; NULL: it can. */
static const char *kvm_missing(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return format("/dev/kvm cannot be opened: %s", strerror(errno));
    int version = ioctl(fd, KVM_GET_API_VERSION, 0);
    (void)close(fd);
    return version == KVM_API_VERSION ? NULL : "/dev/kvm is not KVM's";
}

static void add(struct names *command, const char *option, const char *value)
{
    names_add(command, option);
    if (value != NULL)
        names_add(command, value);
}

/* That it is a machine we have drivers for, with or without its version. */
static void check_machine(const struct target *target, const char *machine)
{
    bool x86 = strcmp(target->arch, "x86_64") == 0;
    const struct names known = words_of(x86 ? "microvm q35 pc" : "virt");
    const char *name = keep_bytes(machine, strcspn(machine, ","));
    for (size_t i = 0; i < known.count; i++)
        if (strcmp(name, known.at[i]) == 0 ||
            starts_with(name, format("%s-", known.at[i])))
            return;
    die_usage("--machine %s: for the target %s it is one of: %s", machine,
              target->name, listed(&known));
}

/* That the image fits: QEMU would start a machine that does nothing. */
static void check_memory(const struct target *target, const char *image,
                         const char *memory)
{
    enum { ARM_MEMORY = 0x40000000 }; /* where it begins on "virt" */
    const uint64_t mib = 1 << 20;
    struct image_info info;
    image_load(&info, image);
    uint64_t start = strcmp(target->arch, "x86_64") == 0 ? 0 : ARM_MEMORY;
    uint64_t needed = (info.end - start + mib - 1) / mib;
    if (strtoull(memory, NULL, 10) < needed)
        die_usage("--mem %s: the code and data of %s end beyond that: give "
                  "--mem %llu at least",
                  memory, image, (unsigned long long)needed);
}

static void add_machine(struct names *command, const struct target *target,
                        const char *machine)
{
    static bool said;
    const char *missing = kvm_missing();

    if (strcmp(target->arch, arch_here()) != 0)
        missing = format("%s is not this machine's processor", target->arch);
    if (machine != NULL)
        check_machine(target, machine);
    else
        machine = strcmp(target->arch, "x86_64") == 0
                      ? "microvm,pic=off,x-option-roms=on"
                      : "virt";
    add(command, "-machine", machine);
    if (missing == NULL) {
        add(command, "-accel", "kvm");
        add(command, "-cpu", "host");
    } else {
        add(command, "-accel", "tcg");
        add(command, "-cpu", "max");
        if (!said)
            (void)fprintf(stderr,
                          "fata: %s: QEMU emulates the processor, which is "
                          "slower\n",
                          missing);
        said = true;
    }
    /* Registers in memory are those of virtio 1.0 only if it is told so. */
    add(command, "-global", "virtio-mmio.force-legacy=false");
}

const char *random_mac(void)
{
    uint8_t mac[6];
    if (getrandom(mac, sizeof mac, 0) != (ssize_t)sizeof mac)
        die("no random bytes for a MAC address: %s", strerror(errno));
    return format("%02x:%02x:%02x:%02x:%02x:%02x", (mac[0] & 0xfcU) | 2U,
                  mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void add_net(struct names *command, const struct names *words,
                    const char *word, const char *bus)
{
    const char *how;
    const char *name = name_and_value(word, &how);
    const char *mac = value_of(words, "--net-mac", name);
    const char *offload = value_of(words, "--net-offload", name);
    const char *backend;

    /* QEMU's usual one is the same for all machines. */
    if (mac == NULL)
        mac = random_mac();
    if (how[0] != '@') {
        backend = format("tap,id=%s,ifname=%s,script=no,downscript=no", name,
                         escaped(how));
    } else {
        int fd = atoi(how + 1), type; // NOLINT(cert-err34-c): it is ours
        socklen_t len = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0)
            backend = format("tap,id=%s,fd=%d", name, fd);
        else
            backend =
                format("dgram,id=%s,local.type=fd,local.str=%d", name, fd);
    }
    add(command, "-netdev", backend);
    if (offload == NULL || strcmp(offload, "on") == 0)
        offload = "";
    else
        offload = strcmp(offload, "off") == 0 ? NO_OFFLOADS : NO_CUTTING;
    add(command, "-device",
        format("virtio-net-%s,netdev=%s,mac=%s%s", bus, name, mac, offload));
}

static void add_block(struct names *command, const char *word, const char *bus)
{
    const char *file;
    const char *name = name_and_value(word, &file);
    bool read_only = starts_with(word, "--block-read-only:");
    /* A colon in the first part of a path would end a protocol's name. */
    const char *here = file[0] == '/' ? "" : "./";

    add(command, "-drive",
        format("if=none,id=%s,format=raw,file=%s%s%s", name, here,
               escaped(file), read_only ? ",readonly=on" : ",discard=unmap"));
    add(command, "-device", format("virtio-blk-%s,drive=%s", bus, name));
}

struct names qemu_command(const struct target *target,
                          const struct names *words, const char *machine)
{
    struct names command = {0};
    struct text arguments = {0};
    const char *memory = "128";
    bool in_memory = machine == NULL || starts_with(machine, "microvm") ||
                     starts_with(machine, "virt");
    const char *bus = in_memory ? "device" : "pci";
    size_t i = 1;

    names_add(&command, target->runner);
    add(&command, "-nodefaults", NULL);
    add(&command, "-no-user-config", NULL);
    add(&command, "-no-reboot", NULL);
    add(&command, "-display", "none");
    add(&command, "-serial", "stdio");
    add_machine(&command, target, machine);
    if (has_debug_exit(target))
        add(&command, "-device", "isa-debug-exit,iobase=0x501,iosize=4");
    else
        add(&command, "-semihosting-config", "enable=on,target=native");
    for (; strcmp(words->at[i], "--") != 0; i++) {
        const char *word = words->at[i];
        if (starts_with(word, "--mem="))
            memory = word + strlen("--mem=");
        else if (starts_with(word, "--net:"))
            add_net(&command, words, word, bus);
        else if (starts_with(word, "--block:") ||
                 starts_with(word, "--block-read-only:"))
            add_block(&command, word, bus);
    }
    add(&command, "-m", format("%sM", memory));
    check_memory(target, words->at[++i], memory);
    add(&command, "-kernel", words->at[i]);
    for (i++; i < words->count; i++)
        put(&arguments, "%s%s", arguments.len > 0 ? " " : "", words->at[i]);
    /* There is always one: QEMU's own name for the image comes before it. */
    add(&command, "-append", arguments.at == NULL ? "" : arguments.at);
    return command;
}

int qemu_status(const struct target *target, int status, int signal)
{
    enum { OTHERS = 126, ALL_OTHERS = 255 };

    /* QEMU ends with 0 where it is told to end, or the machine was. */
    if (status == 0)
        return signal == 0 ? 0 : 128 + signal;
    if (!has_debug_exit(target))
        return status;
    if (status == 1 || status % 2 == 0)
        return 1;
    int told = (status - 3) / 2;
    return told == OTHERS ? ALL_OTHERS : told;
}
