/* Finding functions of the vDSO: see vdso.h. */
#include "base/small.h"

#include "platform/spt/vdso.h"

/* Of ELF's 64-bit format. */
enum {
    HEADER_PHOFF = 32, /* where in the file's header */
    HEADER_PHNUM = 56,
    PROGRAM_HEADER = 56, /* bytes */
    SYMBOL = 24,
    DYNAMIC = 16,
    PT_LOAD = 1,
    PT_DYNAMIC = 2,
    DT_HASH = 4,
    DT_STRTAB = 5,
    DT_SYMTAB = 6,
    TAGS = DT_SYMTAB + 1,
};

static struct reader reader_from(struct bytes all, uint64_t at)
{
    struct reader r = reader_of(all);

    (void)get_bytes(&r, at);
    return r;
}

/* What the first program header of this type says. */
static bool find_segment(struct bytes vdso, uint32_t wanted, uint64_t *address,
                         uint64_t *size)
{
    struct reader offset = reader_from(vdso, HEADER_PHOFF);
    struct reader number = reader_from(vdso, HEADER_PHNUM);
    uint64_t at = get_le64(&offset);
    uint32_t count = get_le16(&number);

    for (struct reader r = reader_from(vdso, at); count > 0; count--) {
        struct reader one = reader_of(get_bytes(&r, PROGRAM_HEADER));
        uint32_t type = get_le32(&one);
        (void)get_bytes(&one, 12); /* flags, offset */
        *address = get_le64(&one);
        (void)get_le64(&one);
        *size = get_le64(&one);
        if (!one.failed && type == wanted)
            return true;
    }
    return false;
}

/* Whether the text at `at` is `name`, with a zero behind it. */
static bool is_named(struct bytes vdso, uint64_t at, struct bytes name)
{
    struct reader r = reader_from(vdso, at);
    struct bytes text = get_bytes(&r, name.len);
    uint8_t end = get_u8(&r);

    return !r.failed && end == 0 && bytes_equal(text, name);
}

/* Addresses are places in the vDSO: it is linked to be at zero. */
size_t vdso_find(struct bytes vdso, struct bytes name)
{
    uint64_t start, len, tables[TAGS] = {0};

    if (!find_segment(vdso, PT_LOAD, &start, &len) || start != 0)
        return 0;
    vdso = bytes_first(vdso, len);
    if (!find_segment(vdso, PT_DYNAMIC, &start, &len))
        return 0;
    struct reader dynamic = reader_from(vdso, start);
    for (; len >= DYNAMIC && !dynamic.failed; len -= DYNAMIC) {
        uint64_t tag = get_le64(&dynamic), value = get_le64(&dynamic);
        if (tag < TAGS)
            tables[tag] = value;
    }
    /* A hash table says how many symbols there are. */
    struct reader hash = reader_from(vdso, tables[DT_HASH]);
    (void)get_le32(&hash);
    uint32_t count = get_le32(&hash);
    if (dynamic.failed || hash.failed || tables[DT_HASH] == 0)
        return 0;
    struct reader symbols = reader_from(vdso, tables[DT_SYMTAB]);
    for (; count > 0 && !symbols.failed; count--) {
        uint32_t text = get_le32(&symbols);
        (void)get_le32(&symbols); /* kind, section */
        uint64_t value = get_le64(&symbols);
        (void)get_le64(&symbols); /* size */
        if (!symbols.failed && value < vdso.len &&
            is_named(vdso, tables[DT_STRTAB] + text, name))
            return value;
    }
    return 0;
}
