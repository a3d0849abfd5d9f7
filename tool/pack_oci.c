/*
 * fata pack -f oci: an image-layout folder, or a tar of it, that containerd,
 * skopeo and others take as it is. Either for urunc, which starts a monitor for
 * what is inside (its keys stand in the annotations and labels as they are,
 * and in base64 in /urunc.json: so each of its versions reads one of them), or
 * as an ordinary container, whose first process is our tender.
 *
 *     oci-layout  index.json
 *     blobs/sha256/...       the manifest, its configuration, one layer
 */
#include <elf.h>
#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tool/files.h"
#include "tool/pack.h"
#include "tool/project.h"
#include "tool/tar.h"

#define MEDIA  "application/vnd.oci.image."
#define KEY(k) "com.urunc.unikernel." k

/* A file of the layout. */
struct file {
    const char *path;
    struct bytes contents;
};

struct layout {
    struct file files[5];
    size_t count;
};

static struct bytes text_bytes(const struct text *t)
{
    return bytes_of(t->at, t->len);
}

/* A word of the user's, which would otherwise be left out. */
static json_t *word_json(const char *word)
{
    json_t *json = json_string(word);
    if (json == NULL)
        die_usage("\"%s\" is not UTF-8, as all has to be in an OCI image",
                  word);
    return json;
}

static struct bytes json_bytes(json_t *json)
{
    char *dumped = json_dumps(json, JSON_COMPACT);
    if (dumped == NULL)
        die("no memory left, or an argument is not UTF-8");
    struct bytes bytes = bytes_of_string(keep_string(dumped));
    free(dumped);
    return bytes;
}

static const char *digest_of(struct bytes b)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof hash + 1];
    (void)crypto_hash_sha256(hash, b.at, b.len);
    return format("sha256:%s",
                  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash));
}

/* Add a blob; what others call it by. */
static json_t *add_blob(struct layout *layout, const char *type, struct bytes b)
{
    const char *digest = digest_of(b);
    assert(layout->count < COUNT_OF(layout->files));
    layout->files[layout->count++] =
        (struct file){format("blobs/sha256/%s", digest + strlen("sha256:")), b};
    return json_pack("{s:s, s:s, s:I}", "mediaType", format(MEDIA "%s", type),
                     "digest", digest, "size", (json_int_t)b.len);
}

/* --- What is in it --- */

static json_t *words_json(const char *first, const struct names *words)
{
    json_t *array = json_array();
    if (first != NULL)
        json_array_append_new(array, word_json(first));
    for (size_t i = 0; i < words->count; i++)
        json_array_append_new(array, word_json(words->at[i]));
    /* Engines refuse an image that has neither; this one says nothing. */
    if (json_array_size(array) == 0)
        json_array_append_new(array, json_string("--"));
    return array;
}

static bool is_for_tender(const struct packing *p)
{
    return strcmp(p->monitor, "spt") == 0 || strcmp(p->monitor, "hvt") == 0;
}

/* Where urunc is to find the image. */
static const char *kernel_path(const struct packing *p)
{
    if (is_for_tender(p))
        return format("unikernel/app.%s", p->monitor);
    return ".boot/kernel";
}

/* What urunc makes the guest's command line of. */
static const char *urunc_cmdline(const struct packing *p)
{
    if (strcmp(p->type, "mirage") == 0)
        return p->cmdline[0] != 0 ? p->cmdline : "--";
    return p->cmdline[0] != 0 ? format("%s %s", p->name, p->cmdline) : p->name;
}

/* The keys by which urunc knows what to do. */
static json_t *urunc_keys(const struct packing *p)
{
    json_t *keys = json_pack("{s:s}", KEY("unikernelType"), p->type);
    if (strcmp(p->type, "unikraft") == 0)
        json_object_set_new(keys, KEY("unikernelVersion"),
                            json_string("0.18.0"));
    json_object_set_new(keys, KEY("hypervisor"), json_string(p->monitor));
    json_object_set_new(keys, KEY("binary"),
                        json_string(format("/%s", kernel_path(p))));
    json_object_set_new(keys, KEY("cmdline"), word_json(urunc_cmdline(p)));
    if (p->disk != NULL)
        json_object_set_new(keys, KEY("block"),
                            json_string("/unikernel/disk.img"));
    for (size_t i = 0; i < image_device_count(&p->image); i++) {
        const struct solo5_entry *device = image_device(&p->image, i);
        bool net = device->type == SOLO5_DEVICE_NET;
        if (is_for_tender(p) &&
            strcmp(device->name, net ? "service" : "storage") != 0)
            json_object_set_new(keys,
                                net ? KEY("solo5NetDev") : KEY("solo5BlkDev"),
                                json_string(device->name));
    }
    json_object_set_new(keys, KEY("mountRootfs"), json_string("false"));
    json_object_set_new(keys, KEY("useDMBlock"), json_string("false"));
    return keys;
}

static struct bytes urunc_json(json_t *keys)
{
    json_t *encoded = json_object();
    const char *key;
    json_t *value;
    json_object_foreach(keys, key, value)
    {
        const char *plain = json_string_value(value);
        size_t len = strlen(plain);
        size_t room =
            sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
        char *text = keep(room);
        (void)sodium_bin2base64(text, room, (const uint8_t *)plain, len,
                                sodium_base64_VARIANT_ORIGINAL);
        json_object_set_new(encoded, key, json_string(text));
    }
    struct bytes bytes = json_bytes(encoded);
    json_decref(encoded);
    return bytes;
}

static struct bytes mapped(const char *path)
{
    struct bytes b;
    if (!file_map(path, &b.at, &b.len))
        die("%s cannot be read: %s", path, strerror(errno));
    return b;
}

static struct text urunc_layer(const struct packing *p, json_t *keys)
{
    struct text layer = {0};
    struct bytes image = p->image.elf.file, none = {0};
    if (!is_for_tender(p))
        tar_add(&layer, ".boot/", 0755, none);
    if (!is_for_tender(p))
        tar_add(&layer, ".boot/kernel", 0755, image);
    if (is_for_tender(p) || p->disk != NULL)
        tar_add(&layer, "unikernel/", 0755, none);
    if (is_for_tender(p))
        tar_add(&layer, kernel_path(p), 0755, image);
    if (p->disk != NULL)
        tar_add(&layer, "unikernel/disk.img", 0644, mapped(p->disk));
    tar_add(&layer, "urunc.json", 0644, urunc_json(keys));
    tar_end(&layer);
    return layer;
}

/* --- An ordinary container --- */

static const char *tender_path(const struct packing *p)
{
    return format("%s/build/fata-%s", fata_root(), p->monitor);
}

/* Our tender, which is for the processors of this machine's kind. */
static struct bytes tender_for(const struct packing *p)
{
    const char *path = tender_path(p);
    struct bytes tender = mapped(path);
    struct reader header =
        reader_of(bytes_after(tender, offsetof(Elf64_Ehdr, e_machine)));
    if (get_le16(&header) != p->image.elf.machine)
        die("--container: %s is for %s, and %s is not: pack the image for "
            "urunc, without --container",
            p->path, image_machine_name(p->image.elf.machine), path);
    return tender;
}

static struct text container_layer(const struct packing *p)
{
    struct text layer = {0};
    struct bytes none = {0};
    tar_add(&layer, format("fata-%s", p->monitor), 0755, tender_for(p));
    tar_add(&layer, "unikernel/", 0755, none);
    tar_add(&layer, kernel_path(p), 0644, p->image.elf.file);
    if (p->disk != NULL)
        tar_add(&layer, "unikernel/disk.img", 0644, mapped(p->disk));
    tar_end(&layer);
    return layer;
}

/* The tender's words: all of its devices, and the image. */
static json_t *entrypoint(const struct packing *p)
{
    json_t *words = json_array();
    unsigned taps = 0;
    json_array_append_new(words, json_string(format("/fata-%s", p->monitor)));
    if (p->memory > 0)
        json_array_append_new(
            words,
            json_string(format("--mem=%llu", (unsigned long long)p->memory)));
    for (size_t i = 0; i < image_device_count(&p->image); i++) {
        const struct solo5_entry *device = image_device(&p->image, i);
        bool net = device->type == SOLO5_DEVICE_NET;
        const char *how =
            pack_backing(net ? &p->nets : &p->blocks, device->name);
        if (how == NULL && net)
            how = format("tap%u", taps++);
        else if (how == NULL)
            how = "/unikernel/disk.img";
        json_array_append_new(
            words, word_json(format("--%s:%s=%s", net ? "net" : "block",
                                    device->name, how)));
    }
    json_array_append_new(words, json_string("--"));
    json_array_append_new(words, json_string(format("/%s", kernel_path(p))));
    return words;
}

/* --- The layout --- */

static const char *architecture(const struct packing *p)
{
    return p->image.elf.machine == EM_AARCH64 ? "arm64" : "amd64";
}

static json_t *configuration(const struct packing *p, json_t *keys,
                             struct bytes layer)
{
    bool mirage = strcmp(p->type, "mirage") == 0;
    json_t *config = json_object();
    if (p->container) {
        /* Nobody: it needs no rights at all. */
        json_object_set_new(config, "User", json_string("65534:65534"));
        json_object_set_new(config, "Entrypoint", entrypoint(p));
        /* The first process of a container only heeds this one. */
        json_object_set_new(config, "StopSignal", json_string("SIGKILL"));
    }
    json_object_set_new(
        config, "Cmd",
        words_json(p->container || mirage ? NULL : p->name, &p->words));
    if (keys != NULL)
        json_object_set(config, "Labels", keys);
    json_object_set_new(config, "WorkingDir", json_string("/"));
    return json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:[s]}, s:[{s:s, s:s}]}",
                     "created", "1970-01-01T00:00:00Z", "architecture",
                     architecture(p), "os", "linux", "config", config, "rootfs",
                     "type", "layers", "diff_ids", digest_of(layer), "history",
                     "created", "1970-01-01T00:00:00Z", "created_by",
                     "fata pack");
}

/* A layout of several images is more than what it would be replaced by. */
static void check_replaced(const char *folder)
{
    if (!file_exists(joined(folder, "oci-layout")))
        return;
    const char *path = joined(folder, "index.json");
    json_t *index = json_load_file(path, 0, NULL);
    const json_t *manifests = json_object_get(index, "manifests");
    if (!json_is_array(manifests) && file_exists(path))
        die("%s is not the index of an OCI image layout: what %s holds would "
            "be replaced: remove it, or give another folder with -o",
            path, folder);
    size_t count = json_array_size(manifests);
    if (count > 1)
        die("%s holds %zu images, and all would be replaced by one: give "
            "another folder with -o, and copy it there, as with skopeo copy "
            "oci:NEW oci:%s:TAG; or remove it",
            folder, count, folder);
    json_decref(index);
}

static void write_layout(const struct packing *p, const struct layout *layout)
{
    struct bytes none = {0};
    if (ends_with(p->output, ".tar")) {
        struct text tar = {0};
        tar_add(&tar, "blobs/", 0755, none);
        tar_add(&tar, "blobs/sha256/", 0755, none);
        for (size_t i = 0; i < layout->count; i++)
            tar_add(&tar, layout->files[i].path, 0644,
                    layout->files[i].contents);
        tar_end(&tar);
        (void)file_write(p->output, tar.at, tar.len);
        return;
    }
    /*
     * What an earlier image left would be in the way of a copy. The rest of the
     * folder is somebody's own: it may be the project's.
     */
    check_replaced(p->output);
    if (file_exists(joined(p->output, "oci-layout")))
        remove_all(joined(p->output, "blobs"));
    make_folders(format("%s/blobs/sha256", p->output));
    for (size_t i = 0; i < layout->count; i++)
        (void)file_write(joined(p->output, layout->files[i].path),
                         (const char *)layout->files[i].contents.at,
                         layout->files[i].contents.len);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path,
                  ((const struct file *)b)->path);
}

static void check_devices(const struct packing *p)
{
    size_t nets = 0, blocks = 0;
    for (size_t i = 0; i < image_device_count(&p->image); i++) {
        const struct solo5_entry *device = image_device(&p->image, i);
        bool net = device->type == SOLO5_DEVICE_NET;
        nets += net;
        blocks += !net;
        if (!net && p->disk == NULL &&
            (!p->container || pack_backing(&p->blocks, device->name) == NULL))
            die("%s has the block device `%s': say with --disk FILE what is "
                "to be on it",
                p->path, device->name);
    }
    if (p->disk != NULL && blocks == 0)
        die("--disk: %s has no block device", p->path);
    if (!p->container && (nets > 1 || blocks > 1))
        die("%s has more devices than urunc can give it, which are one network "
            "device and one disk: pack it with --container, or for libvirt",
            p->path);
}

void pack_oci(const struct packing *p)
{
    check_devices(p);
    json_t *keys = p->container ? NULL : urunc_keys(p);
    struct text layer =
        p->container ? container_layer(p) : urunc_layer(p, keys);
    struct layout layout = {0};
    json_t *config = configuration(p, keys, text_bytes(&layer));
    json_t *config_blob =
        add_blob(&layout, "config.v1+json", json_bytes(config));
    json_t *layer_blob = add_blob(&layout, "layer.v1.tar", text_bytes(&layer));
    json_t *manifest = json_pack("{s:i, s:s, s:o, s:[o]}", "schemaVersion", 2,
                                 "mediaType", MEDIA "manifest.v1+json",
                                 "config", config_blob, "layers", layer_blob);
    if (keys != NULL)
        json_object_set_new(manifest, "annotations", keys);
    json_t *blob = add_blob(&layout, "manifest.v1+json", json_bytes(manifest));
    json_object_set_new(blob, "platform",
                        json_pack("{s:s, s:s}", "architecture", architecture(p),
                                  "os", "linux"));
    json_object_set_new(
        blob, "annotations",
        json_pack("{s:s}", "org.opencontainers.image.ref.name", p->tag));
    json_t *index =
        json_pack("{s:i, s:s, s:[o]}", "schemaVersion", 2, "mediaType",
                  MEDIA "index.v1+json", "manifests", blob);
    qsort(layout.files, layout.count, sizeof layout.files[0], by_path);
    layout.files[layout.count++] =
        (struct file){"index.json", json_bytes(index)};
    layout.files[layout.count++] =
        (struct file){"oci-layout", TEXT("{\"imageLayoutVersion\":\"1.0.0\"}")};
    write_layout(p, &layout);
    json_decref(config);
    json_decref(manifest);
    json_decref(index);
}
