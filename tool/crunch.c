/*
 * fata crunch: packs a folder into one blob, in the format that
 * crunch/crunch.h draws.
 *
 * It runs at every build and first compares what the folder holds (names,
 * sizes, times of change) with what it noted the last time, in OUTPUT.state;
 * so it needs no list of files in build.ninja, where not every name could be
 * written, and notices files that are added or removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "crunch/crunch.h"
#include "tool/commands.h"
#include "tool/files.h"

enum {
    TAG = 16,            /* hexadecimal digits of a 64-bit hash */
    PIECE = 1024 * 1024, /* read and written at a time */
    DEPTH = 256,         /* folders in folders */
};

/* A file to be packed. */
struct item {
    const char *path;
    const char *key;
    size_t key_len;
    uint64_t size;
    uint64_t offset; /* of its data in the blob */
    char tag[TAG + 1];
};

struct packing {
    const char *folder;
    const char *inside; /* real path of the folder, with a slash */
    struct item *items;
    size_t count, room;
    struct text state;
    struct {
        dev_t device;
        ino_t inode;
    } above[DEPTH]; /* the folders we are in */
};

/* A name for a message: what cannot be printed as \ooo. */
static const char *printable(const char *name)
{
    struct text t = {0};
    put_text(&t, "", 0);
    for (; *name != 0; name++) {
        unsigned char c = (unsigned char)*name;
        if (c < 0x20 || c == 0x7f)
            put(&t, "\\%03o", c);
        else
            put(&t, "%c", c);
    }
    return t.at;
}

static void add_item(struct packing *p, const char *path,
                     const struct stat *status)
{
    const char *key = path + strlen(p->folder) + 1;
    if (p->count == p->room) {
        size_t room = 2 * p->room + 256;
        struct item *items = keep(room * sizeof *items);
        if (p->count > 0)
            memcpy(items, p->items, p->count * sizeof *items);
        p->items = items;
        p->room = room;
    }
    if (strlen(key) > CRUNCH_KEY_MAX)
        die("%s: its path below the folder is longer than %d bytes",
            printable(path), CRUNCH_KEY_MAX);
    if (access(path, R_OK) != 0)
        die("%s cannot be read: %s; correct its permissions (chmod), or move "
            "it out of %s",
            printable(path), strerror(errno), printable(p->folder));
    p->items[p->count++] = (struct item){
        .path = path,
        .key = key,
        .key_len = strlen(key),
        .size = (uint64_t)status->st_size,
    };
}

/* Refuse a symbolic link that leads out of the folder, or nowhere. */
static void check_link(const struct packing *p, const char *path)
{
    char *target = realpath(path, NULL);
    if (target == NULL)
        die("%s is a symbolic link that cannot be followed: %s",
            printable(path), strerror(errno));
    bool inside = starts_with(format("%s/", target), p->inside);
    const char *named = keep_string(target);
    free(target);
    if (!inside)
        die("%s is a symbolic link out of the folder, to %s: only what is in "
            "the folder is packed; copy it there",
            printable(path), printable(named));
}

static void scan(struct packing *p, const char *path, size_t depth);

static void scan_entry(struct packing *p, const char *path, size_t depth)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        die("%s cannot be read: %s", printable(path), strerror(errno));
    if (S_ISLNK(status.st_mode)) {
        check_link(p, path);
        if (stat(path, &status) != 0)
            die("%s cannot be read: %s", printable(path), strerror(errno));
    }
    if (S_ISDIR(status.st_mode)) {
        for (size_t i = 0; i < depth; i++)
            if (p->above[i].device == status.st_dev &&
                p->above[i].inode == status.st_ino)
                die("%s is a symbolic link to a folder that it is in itself: "
                    "remove it",
                    printable(path));
        if (depth == DEPTH)
            die("%s: folders are nested deeper than %d", printable(path),
                DEPTH);
        p->above[depth].device = status.st_dev;
        p->above[depth].inode = status.st_ino;
        scan(p, path, depth + 1);
        return;
    }
    if (!S_ISREG(status.st_mode))
        die("%s is neither a file nor a folder: it cannot be packed",
            printable(path));
    add_item(p, path, &status);
    put(&p->state, "%llu %lld.%09ld %llu %s",
        (unsigned long long)status.st_size, (long long)status.st_mtim.tv_sec,
        status.st_mtim.tv_nsec, (unsigned long long)status.st_ino, path);
    put_text(&p->state, "", 1); /* a zero, which no name holds, ends it */
}

static void scan(struct packing *p, const char *path, size_t depth)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        die("the folder %s cannot be read: %s", printable(path),
            strerror(errno));
    for (struct dirent *e; (e = readdir(folder)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            scan_entry(p, format("%s/%s", path, e->d_name), depth);
    (void)closedir(folder);
}

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return strcmp(x->key, y->key); /* compares bytes as unsigned */
}

/* --- The blob --- */

/* An output file, written in order, with what goes wrong remembered. */
struct output {
    const char *path; /* under another name until it is whole */
    const char *final;
    int fd;
    uint64_t at;
    uint8_t *pending;
    size_t count;
};

static void output_fail(const struct output *o)
{
    int error = errno;
    (void)unlink(o->path);
    die("%s cannot be written: %s", o->final, strerror(error));
}

static void output_flush(struct output *o)
{
    size_t done = 0;
    while (done < o->count) {
        ssize_t wrote = write(o->fd, o->pending + done, o->count - done);
        if (wrote < 0)
            output_fail(o);
        done += (size_t)wrote;
    }
    o->count = 0;
}

/* Zeros up to offset `to`. */
static void output_fill(struct output *o, uint64_t to)
{
    while (o->at < to) {
        if (o->count == PIECE)
            output_flush(o);
        size_t len = PIECE - o->count;
        if (len > to - o->at)
            len = (size_t)(to - o->at);
        memset(o->pending + o->count, 0, len);
        o->count += len;
        o->at += len;
    }
}

static uint64_t hash_step(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
    return hash ^ hash >> 29;
}

/* A hash of bytes for the tag: not for secrets, the site's author is no foe. */
struct hash {
    uint64_t value;
    uint8_t rest[8];
    size_t count;
};

static void hash_add(struct hash *h, const uint8_t *at, size_t len)
{
    uint64_t word;
    while (len > 0 && h->count > 0) {
        h->rest[h->count++] = *at++;
        len--;
        if (h->count == 8) {
            memcpy(&word, h->rest, 8);
            h->value = hash_step(h->value, word);
            h->count = 0;
        }
    }
    for (; len >= 8; at += 8, len -= 8) {
        memcpy(&word, at, 8);
        h->value = hash_step(h->value, word);
    }
    for (; len > 0; len--)
        h->rest[h->count++] = *at++;
}

static uint64_t hash_result(const struct hash *h, uint64_t size)
{
    uint64_t word = 0;
    memcpy(&word, h->rest, h->count);
    return hash_step(hash_step(hash_step(h->value, word), size), size);
}

static void copy_item(struct output *o, struct item *item)
{
    struct hash hash = {.value = UINT64_C(0xe7037ed1a0b428db)};
    int fd = open(item->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)unlink(o->path);
        die("%s cannot be read: %s", printable(item->path), strerror(errno));
    }
    uint64_t left = item->size;
    for (;;) {
        if (o->count == PIECE)
            output_flush(o);
        ssize_t got = read(fd, o->pending + o->count, PIECE - o->count);
        if (got < 0 || (uint64_t)got > left || (got == 0 && left > 0)) {
            (void)unlink(o->path);
            die("%s %s: build again", printable(item->path),
                got < 0 ? strerror(errno) : "changed while it was packed");
        }
        if (got == 0)
            break;
        hash_add(&hash, o->pending + o->count, (size_t)got);
        o->count += (size_t)got;
        o->at += (uint64_t)got;
        left -= (uint64_t)got;
    }
    (void)close(fd);
    (void)snprintf(item->tag, sizeof item->tag, "%016llx",
                   (unsigned long long)hash_result(&hash, item->size));
}

static uint64_t aligned(uint64_t offset)
{
    return (offset + CRUNCH_ALIGN - 1) & ~(uint64_t)(CRUNCH_ALIGN - 1);
}

/* Header, index and text, all that comes before the data. */
static struct writer put_head(const struct packing *p, uint64_t text_end,
                              uint64_t size)
{
    struct writer w = writer_to(keep(text_end), text_end);
    uint64_t at = CRUNCH_HEADER + CRUNCH_ENTRY * (uint64_t)p->count;
    put_bytes(&w, TEXT(CRUNCH_MAGIC));
    put_le32(&w, CRUNCH_VERSION);
    put_le32(&w, (uint32_t)p->count);
    put_le64(&w, size);
    put_le64(&w, text_end);
    for (size_t i = 0; i < p->count; i++) {
        const struct item *item = &p->items[i];
        put_le64(&w, at);
        put_le64(&w, item->key_len);
        put_le64(&w, item->offset);
        put_le64(&w, item->size);
        put_le64(&w, at + item->key_len);
        put_le64(&w, TAG);
        at += item->key_len + TAG;
    }
    for (size_t i = 0; i < p->count; i++) {
        put_bytes(&w, bytes_of(p->items[i].key, p->items[i].key_len));
        put_bytes(&w, bytes_of(p->items[i].tag, TAG));
    }
    put_zeros(&w, text_end - w.len);
    assert(!w.failed);
    return w;
}

static void pack(struct packing *p, const char *path)
{
    uint64_t text_end = CRUNCH_HEADER + CRUNCH_ENTRY * (uint64_t)p->count;
    for (size_t i = 0; i < p->count; i++)
        text_end += p->items[i].key_len + TAG;
    text_end = aligned(text_end);
    uint64_t size = text_end;
    for (size_t i = 0; i < p->count; i++) {
        p->items[i].offset = aligned(size);
        size = p->items[i].offset + p->items[i].size;
    }

    struct output o = {
        .path = format("%s.tmp", path), .final = path, .pending = keep(PIECE)};
    o.fd = open(o.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (o.fd < 0)
        die("%s cannot be written: %s", path, strerror(errno));
    output_fill(&o, text_end);
    for (size_t i = 0; i < p->count; i++) {
        output_fill(&o, p->items[i].offset);
        copy_item(&o, &p->items[i]);
    }
    output_flush(&o);
    struct writer head = put_head(p, text_end, size);
    if (lseek(o.fd, 0, SEEK_SET) != 0)
        output_fail(&o);
    o.pending = head.at;
    o.count = head.len;
    output_flush(&o);
    if (close(o.fd) != 0 || rename(o.path, path) != 0)
        output_fail(&o);
}

int command_crunch(const struct command *command, const char *const *words)
{
    struct names operands = {0};
    read_options(command, words, NULL, 0, &operands, NULL);
    if (operands.count != 2)
        die_usage("the usage is: %s", command->usage);

    const char *output = operands.at[1];
    const char *state_path = format("%s.state", output);
    struct packing *p = keep(sizeof *p);
    struct stat status;
    p->folder = operands.at[0];
    char *real = realpath(p->folder, NULL);
    if (real == NULL || stat(real, &status) != 0)
        die("the folder %s cannot be packed: %s", printable(p->folder),
            strerror(errno));
    p->inside = format("%s/", real);
    free(real);
    p->above[0].device = status.st_dev;
    p->above[0].inode = status.st_ino;
    scan(p, p->folder, 1);
    if (p->count > 1)
        qsort(p->items, p->count, sizeof p->items[0], compare_items);

    size_t old_len;
    const char *old = file_read(state_path, &old_len);
    put_text(&p->state, "", 1);
    if (old != NULL && old_len == p->state.len &&
        memcmp(old, p->state.at, old_len) == 0 && file_exists(output))
        return 0;
    pack(p, output);
    (void)file_write(state_path, p->state.at, p->state.len);
    return 0;
}
