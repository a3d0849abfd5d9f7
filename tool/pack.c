/*
 * fata pack: an image as others take it: for containers and clusters, as a
 * disk, or with the description of a virtual machine. See pack.h.
 */
#include "tool/pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/commands.h"
#include "tool/files.h"

enum { TAG_MAX = 128 }; /* characters, to registries */

static const struct {
    const char *name, *ending;
    void (*pack)(const struct packing *packing);
    const char *needs; /* the interface it is for; NULL for any */
} formats[] = {
    {"oci", "oci", pack_oci, NULL},
    {"raw", "raw", pack_raw, "virtio"},
    {"qcow2", "qcow2", pack_qcow2, "virtio"},
    {"libvirt", "xml", pack_libvirt, "virtio"},
    {"xl", "cfg", pack_xl, "virtio"},
};

/* What urunc starts with each monitor: the usual type first. */
static const struct {
    const char *monitor, *types;
} monitors[] = {
    {"spt", "mirage"},
    {"hvt", "mirage"},
    {"qemu", "mirage unikraft linux"},
    {"firecracker", "unikraft linux"},
};

static size_t format_named(const char *name)
{
    struct names known = {0};
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        names_add(&known, formats[i].name);
        if (name != NULL && strcmp(name, formats[i].name) == 0)
            return i;
    }
    if (name == NULL)
        die_usage("pack as what? -f is one of: %s", listed(&known));
    die_usage("there is no format \"%s\"%s; there are: %s", name,
              suggestion(name, &known), listed(&known));
}

/* "www" for "dist/www.virtio". */
static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = keep_string(slash == NULL ? path : slash + 1);
    const char *dot = strrchr(name, '.');
    if (dot != NULL && dot != name)
        name = keep_bytes(name, (size_t)(dot - name));
    return name;
}

static void check_memory(struct packing *p, const char *text)
{
    char *end;
    if (text == NULL)
        return;
    errno = 0;
    p->memory = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != 0 || errno != 0 ||
        p->memory == 0 || p->memory > 1 << 20)
        die_usage("--mem=%s: it is a number of MiB, from 1 to 1048576", text);
}

/* The grammar of OCI's annotation for names, without its slashes and colons. */
static void check_tag(const char *tag)
{
    const char *letters = "abcdefghijklmnopqrstuvwxyz"
                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t len = strlen(tag);
    if (len == 0 || len > TAG_MAX || strchr(letters, tag[0]) == NULL ||
        strspn(tag, format("%s.-", letters)) != len)
        die_usage("--tag \"%s\": it is 1 to %d letters, digits, `_', `.' and "
                  "`-', and begins with none of the last two",
                  tag, TAG_MAX);
}

/* That no option is given in vain. */
static void check_options(const struct packing *p, const char *format_name)
{
    const char *const oci = "oci", *const host = "oci --container, libvirt, xl";
    bool is_oci = strcmp(format_name, "oci") == 0;
    bool is_host = strcmp(format_name, "libvirt") == 0 ||
                   strcmp(format_name, "xl") == 0 || p->container;
    const struct {
        const char *option, *formats;
        bool given, fits;
    } options[] = {
        {"--container", oci, p->container, is_oci},
        {"--monitor", oci, p->monitor != NULL, is_oci},
        {"--type", oci, p->type != NULL, is_oci},
        {"--tag", oci, p->tag != NULL, is_oci},
        {"--disk", oci, p->disk != NULL, is_oci},
        {"--net", host, p->nets.count > 0, is_host},
        {"--block", host, p->blocks.count > 0, is_host},
        {"--mem", host, p->memory > 0, is_host},
    };
    for (size_t i = 0; i < COUNT_OF(options); i++)
        if (options[i].given && !options[i].fits)
            die_usage("%s says nothing to the format %s: it is for %s",
                      options[i].option, format_name, options[i].formats);
    if (p->tag != NULL)
        check_tag(p->tag);
}

/* Choose the monitor and the type, or check those given. */
static void choose_monitor(struct packing *p)
{
    const char *target = image_target_name(p->image.abi_target);
    bool virtio = strcmp(target, "virtio") == 0;
    if (p->monitor == NULL)
        p->monitor = virtio ? "qemu" : target;
    struct names known = {0};
    for (size_t i = 0; i < COUNT_OF(monitors); i++) {
        bool fits = virtio == (i >= 2) &&
                    (virtio || strcmp(monitors[i].monitor, target) == 0);
        if (fits)
            names_add(&known, monitors[i].monitor);
        if (!fits || strcmp(p->monitor, monitors[i].monitor) != 0)
            continue;
        struct names types = words_of(monitors[i].types);
        if (p->type == NULL)
            p->type = types.at[0];
        if (!names_have(&types, p->type))
            die_usage("--type %s: urunc starts with %s only: %s", p->type,
                      p->monitor, listed(&types));
        return;
    }
    die_usage("--monitor %s does not run %s, which is for %s: give one of: %s",
              p->monitor, p->path, target, listed(&known));
}

/* That each NAME=HOW is of a device of the image. */
static void check_pairs(const struct packing *p, const struct names *pairs,
                        uint32_t type, const char *option)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const char *equals = strchr(pairs->at[i], '=');
        bool found = false;
        if (equals == NULL || equals == pairs->at[i] || equals[1] == 0)
            die_usage("%s %s: it is DEVICE=HOW", option, pairs->at[i]);
        const char *name =
            keep_bytes(pairs->at[i], (size_t)(equals - pairs->at[i]));
        struct names known = {0};
        for (size_t j = 0; j < image_device_count(&p->image); j++) {
            const struct solo5_entry *device = image_device(&p->image, j);
            if (device->type != type)
                continue;
            names_add(&known, device->name);
            found = found || strcmp(device->name, name) == 0;
        }
        if (!found)
            die_usage("%s %s: %s has no such device; it has: %s", option,
                      pairs->at[i], p->path, listed(&known));
    }
}

const char *pack_backing(const struct names *pairs, const char *device)
{
    size_t len = strlen(device);
    for (size_t i = 0; i < pairs->count; i++)
        if (strncmp(pairs->at[i], device, len) == 0 && pairs->at[i][len] == '=')
            return pairs->at[i] + len + 1;
    return NULL;
}

static const char *joined_words(const struct names *words)
{
    struct text t = {0};
    put_text(&t, "", 0);
    for (size_t i = 0; i < words->count; i++) {
        if (strpbrk(words->at[i], "\r\n") != NULL)
            die_usage("a boot argument cannot hold a line break");
        put(&t, "%s%s", i == 0 ? "" : " ", words->at[i]);
    }
    return t.at;
}

/* Whether the operands, the last of the words, stand behind a `--'. */
static bool all_after_dashes(const char *const *words,
                             const struct names *operands)
{
    size_t count = 0;
    while (words[count] != NULL)
        count++;
    size_t first = count - operands->count;
    return first > 0 && strcmp(words[first - 1], "--") == 0;
}

/* The image of the project in this folder, built if it is not up to date. */
static const char *image_of_project(struct request *request,
                                    const char *format_name, const char *needs)
{
    const struct names packed = words_of("spt hvt virtio");
    if (!file_exists("config.c"))
        die_usage("pack which image? There is no config.c here: go to the "
                  "folder of a project, or name an image, such as "
                  "dist/NAME.spt");
    const char *name = project_target_name(request);
    const char *kind = keep_bytes(name, strcspn(name, "-"));
    (void)target_read(name); /* that there is one */
    if (needs != NULL ? strcmp(kind, needs) != 0 : !names_have(&packed, kind))
        die_usage("the format %s takes images for %s, and %s is %s: give -t "
                  "%s",
                  format_name, needs != NULL ? needs : listed(&packed), name,
                  request->target != NULL ? "not one of them"
                                          : "what is configured here",
                  needs != NULL ? needs : packed.at[0]);
    request->quiet = true;
    return build_project(request)->image;
}

/* An operand that is a target's name was meant for -t. */
static void check_image_name(const char *path)
{
    struct names targets = target_names();
    if (!file_exists(path) && names_have(&targets, path))
        die_usage("there is no image %s here, but a target of that name: give "
                  "-t %s, and boot arguments after `--'",
                  path, path);
}

int command_pack(const struct command *command, const char *const *words)
{
    struct request request = {0};
    static struct packing p;
    const char *format_name = NULL, *memory = NULL;
    struct names operands = {0};
    const struct option_spec options[] = {
        {.name = "--format", .letter = 'f', .value = &format_name},
        {.name = "--target", .letter = 't', .value = &request.target},
        {.name = "--output", .letter = 'o', .value = &p.output},
        {.name = "--monitor", .value = &p.monitor},
        {.name = "--type", .value = &p.type},
        {.name = "--tag", .value = &p.tag},
        {.name = "--container", .flag = &p.container},
        {.name = "--disk", .value = &p.disk},
        {.name = "--net", .values = &p.nets},
        {.name = "--block", .values = &p.blocks},
        {.name = "--mem", .value = &memory},
    };
    read_options(command, words, options, COUNT_OF(options), &operands, NULL);
    size_t chosen = format_named(format_name);
    bool of_project = operands.count == 0 || all_after_dashes(words, &operands);
    if (!of_project && request.target != NULL)
        die_usage("-t %s packs the image of the project in this folder, and "
                  "%s is another: leave one out; boot arguments come after "
                  "`--'",
                  request.target, operands.at[0]);
    for (size_t i = of_project ? 0 : 1; i < operands.count; i++)
        if (of_project || i > 1 || strcmp(operands.at[i], "--") != 0)
            names_add(&p.words, operands.at[i]);
    p.cmdline = joined_words(&p.words);
    check_memory(&p, memory);
    check_options(&p, formats[chosen].name);
    if (of_project) {
        p.path = image_of_project(&request, formats[chosen].name,
                                  formats[chosen].needs);
    } else {
        p.path = operands.at[0];
        check_image_name(p.path);
    }

    image_load(&p.image, p.path);
    const char *target = image_target_name(p.image.abi_target);
    if (!p.image.has_abi)
        die("%s: No Solo5 ABI information found in executable: pack an image "
            "that `fata build' made for spt, hvt or virtio",
            p.path);
    if (formats[chosen].needs != NULL &&
        strcmp(target, formats[chosen].needs) != 0)
        die("%s is for %s, and the format %s takes images for %s: build it "
            "with `fata build -t %s'",
            p.path, target, formats[chosen].name, formats[chosen].needs,
            formats[chosen].needs);
    if (p.image.abi_target < SOLO5_TARGET_HVT ||
        p.image.abi_target > SOLO5_TARGET_VIRTIO)
        die("%s is for %s, which fata pack does not know: it takes images for "
            "spt, hvt and virtio",
            p.path, target);
    choose_monitor(&p);
    if (p.container && p.image.abi_target == SOLO5_TARGET_VIRTIO)
        die_usage("--container puts our tender beside the image, which one for "
                  "virtio does not need: leave it out, or build for spt");
    check_pairs(&p, &p.nets, SOLO5_DEVICE_NET, "--net");
    check_pairs(&p, &p.blocks, SOLO5_DEVICE_BLOCK, "--block");
    p.name = name_of(p.path);
    if (p.tag == NULL)
        p.tag = "latest";
    bool is_usual = p.output == NULL;
    if (is_usual)
        p.output = format("%s.%s", p.path, formats[chosen].ending);
    formats[chosen].pack(&p);
    if (is_usual)
        printf("%s\n", p.output);
    return 0;
}
