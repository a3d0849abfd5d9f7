/*
 * fata inspect: what is in an image, for people, for programs, and in the very
 * words of solo5-elftool, for what calls that.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tool/commands.h"
#include "tool/files.h"
#include "tool/image.h"

void image_load(struct image_info *image, const char *path)
{
    struct bytes file;
    const char *why;
    if (is_folder(path))
        die("%s is a folder: name the image in it, such as dist/NAME.spt",
            path);
    if (!file_map(path, &file.at, &file.len))
        die("%s cannot be read: %s%s", path, strerror(errno),
            errno == ENOENT ? ": `fata build' leaves images as dist/NAME.TARGET"
                            : "");
    if (!image_read(image, file, &why))
        die("%s: %s. Give an image for spt, hvt or virtio, as `fata build' "
            "left it",
            path, why);
}

static const char *hex(struct bytes b)
{
    struct text t = {0};
    put_text(&t, "", 0);
    for (size_t i = 0; i < b.len; i++)
        put(&t, "%02x", b.at[i]);
    return t.at;
}

static struct bytes build_id(const struct image_info *image)
{
    return bytes_first(image->build, image->build.len / 2);
}

static struct bytes lock_hash(const struct image_info *image)
{
    return bytes_after(image->build, image->build.len / 2);
}

/* Four letters that a note's type often is, or its number. */
static const char *type_of(const struct image_note *note)
{
    char letters[5] = {0};
    for (size_t i = 0; i < 4; i++) {
        char c = (char)(note->type >> 8 * i);
        if ((c < 'A' || c > 'Z') && (c < '0' || c > '9'))
            return format("%" PRIu32, note->type);
        letters[i] = c;
    }
    return format("%s", letters);
}

static const char *rights_of(uint32_t flags)
{
    return format("%c%c%c", (flags & ELF_READ) != 0 ? 'r' : '-',
                  (flags & ELF_WRITE) != 0 ? 'w' : '-',
                  (flags & ELF_EXECUTE) != 0 ? 'x' : '-');
}

/* What can start it beside a tender: "PVH, multiboot", or "". */
static const char *boots_by(const struct image_info *image)
{
    struct text t = {0};
    put_text(&t, "", 0);
    if (image->has_pvh)
        put(&t, "PVH at 0x%" PRIx64, image->pvh_entry);
    if (image->has_multiboot)
        put(&t, "%smultiboot", t.len > 0 ? ", " : "");
    return t.at;
}

static void print_abi(const struct image_info *image)
{
    printf("{\n  \"type\": \"solo5.abi\",\n  \"target\": \"%s\",\n"
           "  \"version\": %" PRIu32 "\n}\n",
           image_target_name(image->abi_target), image->abi_version);
}

static void print_manifest(const struct image_info *image)
{
    size_t count = image_device_count(image);
    printf("{\n  \"type\": \"solo5.manifest\",\n  \"version\": %d,\n"
           "  \"devices\": [\n",
           SOLO5_MANIFEST_VERSION);
    for (size_t i = 0; i < count; i++) {
        const struct solo5_entry *device = image_device(image, i);
        printf("    { \"name\": \"%s\", \"type\": \"%s\" }%s\n", device->name,
               image_device_type(device), i + 1 < count ? "," : "");
    }
    printf("  ]\n}\n");
}

static void print_text(const struct image_info *image, const char *path)
{
    const struct elf *elf = &image->elf;
    const struct image_sizes *sizes = &image->sizes;
    printf("image      %s, %s bytes\n", path, with_commas(elf->file.len));
    if (image->has_abi)
        printf("abi        %s, version %" PRIu32 "\n",
               image_target_name(image->abi_target), image->abi_version);
    printf("machine    %s\n", image_machine_name(image->elf.machine));
    printf("entry      0x%" PRIx64 "\n", elf->entry);
    if (boots_by(image)[0] != 0)
        printf("boots by   %s\n", boots_by(image));
    printf("text       %s bytes\n", with_commas(sizes->text));
    printf("constants  %s bytes\n", with_commas(sizes->constants));
    printf("data       %s bytes\n", with_commas(sizes->data));
    printf("bss        %s bytes\n", with_commas(sizes->bss));
    printf("memory     0x%" PRIx64 " to 0x%" PRIx64 "\n", image->start,
           image->end);
    for (size_t i = 0; i < elf->count; i++)
        printf("segment    %s 0x%" PRIx64 " to 0x%" PRIx64 ", %s bytes in the "
               "file\n",
               rights_of(elf->segments[i].flags), elf->segments[i].start,
               elf->segments[i].end,
               with_commas(elf->segments[i].contents.len));
    for (size_t i = 0; i < image_device_count(image); i++)
        printf("device     %s, %s\n", image_device(image, i)->name,
               image_device_type(image_device(image, i)));
    for (size_t i = 0; i < image->note_count; i++)
        printf("note       %s %s, %s bytes\n", image->notes[i].owner,
               type_of(&image->notes[i]), with_commas(image->notes[i].bytes));
    if (image->build.len > 0) {
        printf("build id   %s\n", hex(build_id(image)));
        printf("lock hash  %s\n", hex(lock_hash(image)));
    }
}

static json_t *segments_of(const struct image_info *image)
{
    json_t *array = json_array();
    for (size_t i = 0; i < image->elf.count; i++) {
        const struct elf_segment *s = &image->elf.segments[i];
        json_array_append_new(array, json_pack("{s:s, s:I, s:I, s:I}", "rights",
                                               rights_of(s->flags), "start",
                                               (json_int_t)s->start, "end",
                                               (json_int_t)s->end, "bytes",
                                               (json_int_t)s->contents.len));
    }
    return array;
}

static json_t *devices_of(const struct image_info *image)
{
    json_t *array = json_array();
    for (size_t i = 0; i < image_device_count(image); i++)
        json_array_append_new(
            array,
            json_pack("{s:s, s:s}", "name", image_device(image, i)->name,
                      "type", image_device_type(image_device(image, i))));
    return array;
}

static json_t *notes_of(const struct image_info *image)
{
    json_t *array = json_array();
    for (size_t i = 0; i < image->note_count; i++)
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:I}", "owner", image->notes[i].owner,
                             "type", type_of(&image->notes[i]), "bytes",
                             (json_int_t)image->notes[i].bytes));
    return array;
}

static void print_json(const struct image_info *image, const char *path)
{
    const struct image_sizes *sizes = &image->sizes;
    bool built = image->build.len > 0;
    json_t *abi = image->has_abi
                      ? json_pack("{s:s, s:I}", "target",
                                  image_target_name(image->abi_target),
                                  "version", (json_int_t)image->abi_version)
                      : json_null();
    json_t *json = json_pack(
        "{s:s, s:o, s:s, s:I, s:I, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I}, s:o, "
        "s:o, s:o, s:{s:o, s:b}, s:o, s:o}",
        "image", path, "abi", abi, "machine",
        image_machine_name(image->elf.machine), "bytes",
        (json_int_t)image->elf.file.len, "entry", (json_int_t)image->elf.entry,
        "sizes", "text", (json_int_t)sizes->text, "constants",
        (json_int_t)sizes->constants, "data", (json_int_t)sizes->data, "bss",
        (json_int_t)sizes->bss, "memory", "start", (json_int_t)image->start,
        "end", (json_int_t)image->end, "segments", segments_of(image),
        "devices", devices_of(image), "notes", notes_of(image), "boot", "pvh",
        image->has_pvh ? json_integer((json_int_t)image->pvh_entry)
                       : json_null(),
        "multiboot", (int)image->has_multiboot, "build_id",
        built ? json_string(hex(build_id(image))) : json_null(), "lock",
        built ? json_string(hex(lock_hash(image))) : json_null());
    if (json == NULL)
        die("no memory left, or the name of %s is not UTF-8", path);
    (void)json_dumpf(json, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(json);
}

int command_inspect(const struct command *command, const char *const *words)
{
    struct names operands = {0};
    bool as_json = false, abi = false, manifest = false;
    const struct option_spec options[] = {
        {.name = "--json", .flag = &as_json},
        {.name = "--query-abi", .flag = &abi},
        {.name = "--query-manifest", .flag = &manifest},
    };
    read_options(command, words, options, COUNT_OF(options), &operands, NULL);
    if (operands.count != 1)
        die_usage("inspect which image? The usage is: %s", command->usage);
    if (as_json + abi + manifest > 1)
        die_usage(
            "--json, --query-abi and --query-manifest exclude each other");

    static struct image_info image;
    const char *path = operands.at[0];
    image_load(&image, path);
    if (abi && !image.has_abi)
        die("%s: No Solo5 ABI information found in executable", path);
    if (manifest && !image.has_manifest)
        die("%s: No Solo5 manifest found in executable", path);
    if (abi)
        print_abi(&image);
    else if (manifest)
        print_manifest(&image);
    else if (as_json)
        print_json(&image, path);
    else
        print_text(&image, path);
    return 0;
}
