/* Device trees: see fdt.h. */
#include "base/small.h"

#include "platform/virtio/fdt.h"

enum {
    MAGIC = (int)0xd00dfeed,
    VERSION = 17, /* that we read, and the last it is compatible with */
    VERSION_OLDEST = 16,

    TOKEN_NODE = 1,
    TOKEN_NODE_END = 2,
    TOKEN_PROPERTY = 3,
    TOKEN_NOTHING = 4,
    TOKEN_END = 9,

    DEPTH = 16, /* of nodes in nodes that we look into */

    /* Of a GIC's interrupt: what kind it is, and where that kind begins. */
    GIC_SHARED = 0,
    GIC_PRIVATE = 1,
    GIC_SHARED_FIRST = 32,
    GIC_PRIVATE_FIRST = 16,
    GIC_SPECIFIER = 12, /* bytes */
    /* Of a timer's: secure, not secure, virtual, ... */
    TIMER_VIRTUAL = 2,
};

/* --- The walk --- */

uint32_t fdt_size(struct bytes header)
{
    struct reader r = reader_of(header);
    uint32_t magic = get_be32(&r), size = get_be32(&r);

    return r.failed || magic != (uint32_t)MAGIC ? 0 : size;
}

/* What is between `offset` and `size` bytes later; false: that is not there. */
static bool part_of(struct bytes tree, uint32_t offset, uint32_t size,
                    struct bytes *part)
{
    if (offset > tree.len || tree.len - offset < size)
        return false;
    *part = bytes_first(bytes_after(tree, offset), size);
    return true;
}

bool fdt_open(struct fdt *fdt, struct bytes tree)
{
    struct bytes structure;
    uint32_t size = fdt_size(tree);

    *fdt = (struct fdt){.failed = true};
    if (size < FDT_HEADER || size > tree.len)
        return false;
    tree.len = size;
    struct reader r = reader_of(bytes_after(tree, 8));
    uint32_t structure_at = get_be32(&r), strings_at = get_be32(&r);
    uint32_t reserved_at = get_be32(&r);
    uint32_t version = get_be32(&r), compatible = get_be32(&r);
    (void)get_be32(&r); /* the processor that starts */
    uint32_t strings_len = get_be32(&r), structure_len = get_be32(&r);
    if (r.failed || version < VERSION || compatible > VERSION ||
        compatible < VERSION_OLDEST || reserved_at > tree.len ||
        !part_of(tree, structure_at, structure_len, &structure) ||
        !part_of(tree, strings_at, strings_len, &fdt->strings))
        return false;
    fdt->structure = reader_of(structure);
    fdt->reserved = bytes_after(tree, reserved_at);
    fdt->failed = false;
    return true;
}

/* The string at the start of `b`; NULL: it does not end in there. */
static const char *string_in(struct bytes b)
{
    if (b.len == 0 || memchr(b.at, 0, b.len) == NULL)
        return NULL;
    return (const char *)b.at;
}

/* Read so many bytes, and what fills the last four. */
static struct bytes get_padded(struct reader *r, size_t len)
{
    struct bytes b = get_bytes(r, len);

    (void)get_bytes(r, -len % 4);
    return b;
}

static struct fdt_item failed(struct fdt *fdt)
{
    fdt->failed = true;
    return (struct fdt_item){.kind = FDT_END};
}

static struct fdt_item get_node(struct fdt *fdt)
{
    struct fdt_item item = {.kind = FDT_NODE};

    item.name = string_in(fdt->structure.rest);
    if (item.name == NULL)
        return failed(fdt);
    (void)get_padded(&fdt->structure, strlen(item.name) + 1);
    if (fdt->structure.failed || fdt->depth == UINT32_MAX)
        return failed(fdt);
    fdt->depth++;
    return item;
}

static struct fdt_item get_property(struct fdt *fdt)
{
    struct fdt_item item = {.kind = FDT_PROPERTY};
    uint32_t len = get_be32(&fdt->structure);
    uint32_t name = get_be32(&fdt->structure);

    item.value = get_padded(&fdt->structure, len);
    if (fdt->structure.failed || name > fdt->strings.len || fdt->depth == 0)
        return failed(fdt);
    item.name = string_in(bytes_after(fdt->strings, name));
    return item.name == NULL ? failed(fdt) : item;
}

struct fdt_item fdt_next(struct fdt *fdt)
{
    while (!fdt->failed) {
        uint32_t token = get_be32(&fdt->structure);
        if (fdt->structure.failed)
            break;
        switch (token) {
        case TOKEN_NOTHING:
            continue;
        case TOKEN_NODE:
            return get_node(fdt);
        case TOKEN_PROPERTY:
            return get_property(fdt);
        case TOKEN_NODE_END:
            if (fdt->depth == 0)
                return failed(fdt);
            fdt->depth--;
            return (struct fdt_item){.kind = FDT_NODE_END};
        case TOKEN_END:
            if (fdt->depth != 0)
                return failed(fdt);
            return (struct fdt_item){.kind = FDT_END};
        default:
            return failed(fdt);
        }
    }
    return failed(fdt);
}

bool fdt_has_string(struct bytes value, const char *word)
{
    while (value.len > 0) {
        const char *string = string_in(value);
        if (string == NULL)
            return false;
        if (strcmp(string, word) == 0)
            return true;
        value = bytes_after(value, strlen(string) + 1);
    }
    return false;
}

/* --- What we look for --- */

/* What is known of a node when it ends. */
struct node {
    const char *name;
    uint32_t address_cells, size_cells; /* of the nodes in it */
    struct bytes compatible, reg, interrupts, type, method, bootargs, seed;
    bool disabled;
};

static uint32_t cells_of(struct bytes value, uint32_t usual)
{
    struct reader r = reader_of(value);
    uint32_t cells = get_be32(&r);

    /* More than 64 bits are not an address for us. */
    return r.failed || cells > 2 ? usual : cells;
}

static void note_property(struct node *node, const struct fdt_item *item)
{
    const struct {
        const char *name;
        struct bytes *value;
    } wanted[] = {
        {"compatible", &node->compatible}, {"reg", &node->reg},
        {"interrupts", &node->interrupts}, {"device_type", &node->type},
        {"method", &node->method},         {"bootargs", &node->bootargs},
        {"rng-seed", &node->seed},
    };

    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (strcmp(item->name, wanted[i].name) == 0)
            *wanted[i].value = item->value;
    if (strcmp(item->name, "#address-cells") == 0)
        node->address_cells = cells_of(item->value, node->address_cells);
    if (strcmp(item->name, "#size-cells") == 0)
        node->size_cells = cells_of(item->value, node->size_cells);
    if (strcmp(item->name, "status") == 0)
        node->disabled = !fdt_has_string(item->value, "okay") &&
                         !fdt_has_string(item->value, "ok");
}

static uint64_t get_cells(struct reader *r, uint32_t cells)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < cells; i++)
        value = value << 32 | get_be32(r);
    return value;
}

/* The next range; false: there is none, or it goes past the last address. */
static bool get_range(struct reader *r, const struct node *parent,
                      struct fdt_range *range)
{
    uint64_t end;

    range->start = get_cells(r, parent->address_cells);
    range->size = get_cells(r, parent->size_cells);
    if (r->failed || range->size == 0 ||
        __builtin_add_overflow(range->start, range->size, &end)) {
        *range = (struct fdt_range){0};
        return false;
    }
    return true;
}

/* The number of the n-th interrupt; false: there is none. */
static bool interrupt_of(struct bytes interrupts, unsigned n, uint32_t *number)
{
    if (interrupts.len / GIC_SPECIFIER <= n)
        return false;
    struct reader r =
        reader_of(bytes_after(interrupts, (size_t)n * GIC_SPECIFIER));
    uint32_t kind = get_be32(&r), place = get_be32(&r);
    if (kind > GIC_PRIVATE || place > 1023)
        return false;
    *number =
        place + (kind == GIC_SHARED ? GIC_SHARED_FIRST : GIC_PRIVATE_FIRST);
    return true;
}

static struct fdt_device device_of(const struct node *node,
                                   const struct node *parent)
{
    struct fdt_device device = {0};
    struct reader r = reader_of(node->reg);

    if (get_range(&r, parent, &device.registers))
        (void)get_range(&r, parent, &device.more);
    device.has_interrupt = interrupt_of(node->interrupts, 0, &device.interrupt);
    return device;
}

static void note_memory(struct fdt_found *found, const struct node *node,
                        const struct node *parent)
{
    struct reader r = reader_of(node->reg);

    /* Ranges that take no bytes would never come to an end. */
    if (parent->address_cells + parent->size_cells == 0)
        return;
    while (r.rest.len > 0 && found->memory_count < FDT_MEMORIES)
        if (get_range(&r, parent, &found->memory[found->memory_count]))
            found->memory_count++;
        else if (r.failed)
            return;
}

static void reserve(struct fdt_found *found, struct fdt_range range)
{
    if (found->reserved_count == FDT_RESERVED)
        found->too_many_reserved = true;
    else
        found->reserved[found->reserved_count++] = range;
}

static bool is_a(const struct node *node, const char *kind)
{
    return fdt_has_string(node->compatible, kind);
}

static void note_controller(struct fdt_found *found,
                            const struct fdt_device *device, unsigned version)
{
    if (found->gic_version != 0 || device->more.size == 0)
        return;
    found->gic = *device;
    found->gic_version = version;
}

/* A node has ended: is it one of those we look for? */
static void note_node(struct fdt_found *found, const struct node *node,
                      const struct node *parent)
{
    if (node->disabled)
        return;
    struct fdt_device device = device_of(node, parent);
    bool there = device.registers.size != 0;

    if (fdt_has_string(node->type, "memory"))
        note_memory(found, node, parent);
    else if (fdt_has_string(node->type, "cpu"))
        found->processors++;
    else if (strcmp(node->name, "chosen") == 0) {
        found->cmdline = node->bootargs;
        /* A C string, whose end does not count. */
        while (found->cmdline.len > 0 &&
               found->cmdline.at[found->cmdline.len - 1] == 0)
            found->cmdline.len--;
        found->seed = node->seed;
    } else if (strcmp(parent->name, "reserved-memory") == 0 && there)
        reserve(found, device.registers);
    else if (is_a(node, "arm,psci-0.2") || is_a(node, "arm,psci-1.0")) {
        found->has_psci = true;
        found->psci_smc = fdt_has_string(node->method, "smc");
    } else if (is_a(node, "arm,armv8-timer")) {
        if (!interrupt_of(node->interrupts, TIMER_VIRTUAL, &found->timer))
            found->timer = 0;
    } else if (is_a(node, "arm,pl011") && found->serial.registers.size == 0)
        found->serial = device;
    else if (is_a(node, "arm,pl031") && found->clock.registers.size == 0)
        found->clock = device;
    else if (is_a(node, "arm,gic-v3"))
        note_controller(found, &device, 3);
    else if (is_a(node, "arm,cortex-a15-gic") || is_a(node, "arm,gic-400"))
        note_controller(found, &device, 2);
    else if (is_a(node, "virtio,mmio") && there &&
             found->virtio_count < FDT_DEVICES)
        found->virtio[found->virtio_count++] = device;
}

static void note_reserved(struct fdt_found *found, struct bytes pairs)
{
    struct reader r = reader_of(pairs);

    for (;;) {
        uint64_t start = (uint64_t)get_be32(&r) << 32;
        start |= get_be32(&r);
        uint64_t size = (uint64_t)get_be32(&r) << 32;
        size |= get_be32(&r);
        if (r.failed || (start == 0 && size == 0))
            return;
        reserve(found, (struct fdt_range){.start = start, .size = size});
    }
}

bool fdt_find(struct fdt_found *found, struct bytes tree)
{
    /* nodes[d] is the one at depth d; above the root there is a nameless one,
     * with the cells that are usual. */
    struct node nodes[DEPTH + 1] = {
        {.name = "", .address_cells = 2, .size_cells = 1}};
    struct fdt fdt;

    *found = (struct fdt_found){0};
    if (!fdt_open(&fdt, tree))
        return false;
    note_reserved(found, fdt.reserved);
    for (;;) {
        struct fdt_item item = fdt_next(&fdt);
        if (item.kind == FDT_END)
            return !fdt.failed;
        if (item.kind == FDT_NODE && fdt.depth <= DEPTH)
            nodes[fdt.depth] = (struct node){
                .name = item.name, .address_cells = 2, .size_cells = 1};
        else if (item.kind == FDT_PROPERTY && fdt.depth <= DEPTH)
            note_property(&nodes[fdt.depth], &item);
        else if (item.kind == FDT_NODE_END && fdt.depth < DEPTH)
            note_node(found, &nodes[fdt.depth + 1], &nodes[fdt.depth]);
    }
}
