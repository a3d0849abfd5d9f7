/*
 * fata pack -f libvirt and -f xl: the description of a virtual machine that
 * boots the image, which stays where it is.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tool/files.h"
#include "tool/pack.h"

enum { MEMORY_USUAL = 64 }; /* MiB */

static uint64_t memory_of(const struct packing *p)
{
    return p->memory != 0 ? p->memory : MEMORY_USUAL;
}

/* Hypervisors are not started in our folder. */
static const char *absolute(const char *path)
{
    char *real = realpath(path, NULL);
    if (real == NULL)
        die("%s cannot be found: %s", path, strerror(errno));
    const char *kept = keep_string(real);
    free(real);
    return kept;
}

/* The file for a block device of the image. */
static const char *disk_of(const struct packing *p, const char *device)
{
    const char *file = pack_backing(&p->blocks, device);
    if (file == NULL)
        die("%s has the block device `%s': say with --block %s=FILE what it is",
            p->path, device, device);
    return absolute(file);
}

/* As the content of an element, or a value in quotes. */
static const char *xml(const char *s)
{
    struct text t = {0};
    put_text(&t, "", 0);
    for (; *s != 0; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20)
            die("\"%s\" has a control character, which XML cannot hold", s);
        if (strchr("&<>\"'", c) != NULL)
            put(&t, "&#%d;", c);
        else
            put(&t, "%c", c);
    }
    return t.at;
}

void pack_libvirt(const struct packing *p)
{
    bool arm = p->image.elf.machine == EM_AARCH64;
    struct text t = {0};
    put(&t,
        "<!-- A unikernel as a virtual machine: virsh create FILE -->\n"
        "<domain type='kvm'>\n"
        "  <name>%s</name>\n"
        "  <memory unit='MiB'>%" PRIu64 "</memory>\n"
        "  <vcpu>1</vcpu>\n"
        "  <os>\n"
        "    <type arch='%s' machine='%s'>hvm</type>\n"
        "    <kernel>%s</kernel>\n",
        xml(p->name), memory_of(p), arm ? "aarch64" : "x86_64",
        arm ? "virt" : "q35", xml(absolute(p->path)));
    if (p->cmdline[0] != 0)
        put(&t, "    <cmdline>%s</cmdline>\n", xml(p->cmdline));
    put(&t, "  </os>\n"
            "  <features>\n    <acpi/>\n  </features>\n"
            "  <cpu mode='host-passthrough'/>\n"
            "  <on_poweroff>destroy</on_poweroff>\n"
            "  <on_reboot>restart</on_reboot>\n"
            "  <on_crash>destroy</on_crash>\n"
            "  <devices>\n");
    char letter = 'a';
    for (size_t i = 0; i < image_device_count(&p->image); i++) {
        const struct solo5_entry *device = image_device(&p->image, i);
        const char *bridge = pack_backing(&p->nets, device->name);
        if (device->type == SOLO5_DEVICE_BLOCK)
            put(&t,
                "    <!-- %s -->\n"
                "    <disk type='file' device='disk'>\n"
                "      <driver name='qemu' type='raw'/>\n"
                "      <source file='%s'/>\n"
                "      <target dev='vd%c' bus='virtio'/>\n"
                "    </disk>\n",
                device->name, xml(disk_of(p, device->name)), letter++);
        else if (bridge != NULL)
            put(&t,
                "    <!-- %s -->\n"
                "    <interface type='bridge'>\n"
                "      <source bridge='%s'/>\n"
                "      <model type='virtio'/>\n"
                "    </interface>\n",
                device->name, xml(bridge));
        else
            put(&t,
                "    <!-- %s -->\n"
                "    <interface type='network'>\n"
                "      <source network='default'/>\n"
                "      <model type='virtio'/>\n"
                "    </interface>\n",
                device->name);
    }
    put(&t, "    <serial type='pty'/>\n"
            "    <rng model='virtio'>\n"
            "      <backend model='random'>/dev/urandom</backend>\n"
            "    </rng>\n"
            "    <memballoon model='none'/>\n"
            "  </devices>\n"
            "</domain>\n");
    (void)file_write(p->output, t.at, t.len);
}

/* In quotes, as xl reads it. */
static const char *xl_text(const char *s)
{
    struct text t = {0};
    put_text(&t, "\"", 1);
    for (; *s != 0; s++)
        put(&t, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
    put_text(&t, "\"", 1);
    return t.at;
}

void pack_xl(const struct packing *p)
{
    struct text t = {0};
    put(&t,
        "# %s as a PVH guest of Xen: xl create -c FILE\n"
        "# It boots and runs there. Of devices it knows only virtio ones, "
        "which\n"
        "# a PVH guest has where its toolstack gives them (Xen 4.20 and "
        "later,\n"
        "# with backends); on an older Xen let an HVM guest boot the disk of\n"
        "# `fata pack -f raw', with vif model=virtio-net.\n"
        "type = \"pvh\"\n"
        "name = %s\n"
        "kernel = %s\n"
        "cmdline = %s\n"
        "memory = %" PRIu64 "\n"
        "vcpus = 1\n"
        "on_poweroff = \"destroy\"\n"
        "on_crash = \"destroy\"\n",
        p->name, xl_text(p->name), xl_text(absolute(p->path)),
        xl_text(p->cmdline), memory_of(p));
    struct text nets = {0}, disks = {0};
    char letter = 'a';
    for (size_t i = 0; i < image_device_count(&p->image); i++) {
        const struct solo5_entry *device = image_device(&p->image, i);
        const char *bridge = pack_backing(&p->nets, device->name);
        if (device->type == SOLO5_DEVICE_NET)
            put(&nets, "%s%s", nets.len > 0 ? ", " : "",
                xl_text(format("bridge=%s,type=vif",
                               bridge != NULL ? bridge : "xenbr0")));
        else
            put(&disks, "%s%s", disks.len > 0 ? ", " : "",
                xl_text(format("format=raw,vdev=xvd%c,access=rw,target=%s",
                               letter++, disk_of(p, device->name))));
    }
    if (nets.len > 0)
        put(&t, "vif = [ %s ]\n", nets.at);
    if (disks.len > 0)
        put(&t, "disk = [ %s ]\n", disks.at);
    (void)file_write(p->output, t.at, t.len);
}
