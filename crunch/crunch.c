/*
 * Finding values in a blob baked into the image: a binary search over its
 * index. Every read is checked, although crunch_init has proved all bounds.
 */
#include "crunch/crunch.h"

/* One index entry, in host order. */
struct entry {
    uint64_t key, key_len;
    uint64_t data, data_len;
    uint64_t tag, tag_len;
};

static struct crunch *crunch_of(struct fata_kv *kv)
{
    return CONTAINER_OF(kv, struct crunch, kv);
}

/* Are the `len` bytes at `offset` within [from, to)? */
static bool within(uint64_t offset, uint64_t len, uint64_t from, uint64_t to)
{
    return offset >= from && offset <= to && len <= to - offset;
}

static struct bytes blob_slice(struct bytes blob, uint64_t offset, uint64_t len)
{
    if (!within(offset, len, 0, blob.len))
        return (struct bytes){0};
    return (struct bytes){.at = blob.at + offset, .len = (size_t)len};
}

static struct entry entry_at(struct bytes blob, uint32_t i)
{
    struct reader r = reader_of(blob_slice(
        blob, CRUNCH_HEADER + (uint64_t)CRUNCH_ENTRY * i, CRUNCH_ENTRY));
    struct entry e;
    e.key = get_le64(&r);
    e.key_len = get_le64(&r);
    e.data = get_le64(&r);
    e.data_len = get_le64(&r);
    e.tag = get_le64(&r);
    e.tag_len = get_le64(&r);
    assert(!r.failed);
    return e;
}

/* Bytewise order, a prefix first: <0, 0 or >0. */
static int key_compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.at, b.at, common);
    if (order != 0 || a.len == b.len)
        return order;
    return a.len < b.len ? -1 : 1;
}

static enum err crunch_get(struct fata_kv *kv, struct bytes key,
                           struct fata_kv_value *value)
{
    struct crunch *c = crunch_of(kv);
    uint32_t low = 0, high = c->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct entry e = entry_at(c->blob, middle);
        int order = key_compare(key, blob_slice(c->blob, e.key, e.key_len));
        if (order == 0) {
            value->data = blob_slice(c->blob, e.data, e.data_len);
            value->tag = blob_slice(c->blob, e.tag, e.tag_len);
            return OK;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return ERR_NOT_FOUND;
}

static enum err crunch_list(struct fata_kv *kv, uint32_t index,
                            struct bytes *key)
{
    struct crunch *c = crunch_of(kv);
    if (index >= c->count)
        return ERR_NOT_FOUND;
    struct entry e = entry_at(c->blob, index);
    *key = blob_slice(c->blob, e.key, e.key_len);
    return OK;
}

static const struct fata_kv_ops crunch_ops = {
    .get = crunch_get,
    .list = crunch_list,
};

static bool tag_good(struct bytes tag)
{
    if (tag.len == 0 || tag.len > CRUNCH_TAG_MAX)
        return false;
    for (size_t i = 0; i < tag.len; i++) {
        uint8_t b = tag.at[i];
        if (b < 0x21 || b > 0x7e || b == '"' || b == '\\')
            return false;
    }
    return true;
}

/* What is wrong with an entry that comes after `previous`, or NULL. */
static const char *entry_fault(struct bytes blob, const struct entry *e,
                               uint64_t text, uint64_t text_end,
                               struct bytes previous)
{
    if (e->key_len == 0 || e->key_len > CRUNCH_KEY_MAX)
        return "its name is empty or longer than 4096 bytes";
    if (!within(e->key, e->key_len, text, text_end))
        return "its name lies outside the index";
    struct bytes key = blob_slice(blob, e->key, e->key_len);
    assert(key.at != NULL);
    if (memchr(key.at, 0, key.len) != NULL)
        return "its name has a zero byte";
    if (key_compare(previous, key) >= 0)
        return "it is not in order";
    if (!within(e->data, e->data_len, text_end, blob.len))
        return "its content lies outside the store";
    if (e->data % CRUNCH_ALIGN != 0)
        return "its content is not aligned";
    if (!within(e->tag, e->tag_len, text, text_end))
        return "its tag lies outside the index";
    if (!tag_good(blob_slice(blob, e->tag, e->tag_len)))
        return "its tag is malformed";
    return NULL;
}

bool crunch_init(struct crunch *crunch, struct bytes blob, struct writer *why)
{
    struct reader r = reader_of(blob);
    bool magic = bytes_equal(get_bytes(&r, 8), TEXT(CRUNCH_MAGIC));
    uint32_t version = get_le32(&r);
    uint32_t count = get_le32(&r);
    uint64_t size = get_le64(&r);
    uint64_t text_end = get_le64(&r);
    uint64_t text = CRUNCH_HEADER + (uint64_t)CRUNCH_ENTRY * count;

    if (r.failed || !magic) {
        fmt_put(why, "it is not a crunched folder");
        return false;
    }
    if (version != CRUNCH_VERSION) {
        fmt_put(why, "it has format version %u, this program reads version %u",
                (unsigned)version, (unsigned)CRUNCH_VERSION);
        return false;
    }
    if (size != blob.len) {
        fmt_put(why, "it says it has %llu bytes and has %llu",
                (unsigned long long)size, (unsigned long long)blob.len);
        return false;
    }
    if (text > size || text_end < text || text_end > size) {
        fmt_put(why, "its index of %u files does not fit", (unsigned)count);
        return false;
    }

    struct bytes previous = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct entry e = entry_at(blob, i);
        const char *fault = entry_fault(blob, &e, text, text_end, previous);
        if (fault != NULL) {
            fmt_put(why, "file %u of %u: %s", (unsigned)i + 1, (unsigned)count,
                    fault);
            if (previous.len > 0)
                fmt_put(why, " (the one before is '%.*s')",
                        (int)bytes_first(previous, 100).len,
                        (const char *)previous.at);
            return false;
        }
        previous = blob_slice(blob, e.key, e.key_len);
    }

    *crunch = (struct crunch){
        .kv = {.ops = &crunch_ops, .permanent = true},
        .blob = blob,
        .count = count,
    };
    return true;
}

enum err crunch_connect(struct fata_env *env, struct writer *why,
                        struct fata_kv **kv, const struct crunch_image *image)
{
    struct bytes blob =
        bytes_of(image->start, (size_t)(image->end - image->start));
    uint8_t text[256];
    struct writer fault = WRITER(text);

    struct crunch *crunch = ARENA_TAKE_ARRAY(env->arena, struct crunch, 1);
    if (crunch == NULL) {
        fmt_put(why,
                "no memory is left for folder '%s': give the unikernel "
                "more memory",
                image->name);
        return ERR_FULL;
    }
    if (!crunch_init(crunch, blob, &fault)) {
        fmt_put(why,
                "folder '%s' was built into the image wrongly: %.*s; "
                "run `fata clean`, then build again",
                image->name, (int)fault.len, (const char *)text);
        return ERR_INVALID;
    }
    *kv = &crunch->kv;
    return OK;
}
