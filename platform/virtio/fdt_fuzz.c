/*
 * Any bytes as a device tree: it is read within its bounds, its walk ends, and
 * what is found lies in it and makes sense.
 */
#include "platform/virtio/fdt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool is_within(struct bytes part, struct bytes whole)
{
    return part.len == 0 || (part.at >= whole.at && part.len <= whole.len &&
                             part.at + part.len <= whole.at + whole.len);
}

static void check_range(struct fdt_range range)
{
    assert(range.start <= UINT64_MAX - range.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes tree = {data, len};
    struct fdt_found found;
    struct fdt fdt;

    if (fdt_open(&fdt, tree)) {
        struct fdt_item item;
        unsigned depth = 0;
        do {
            item = fdt_next(&fdt);
            depth += item.kind == FDT_NODE;
            depth -= item.kind == FDT_NODE_END;
            assert(item.kind == FDT_END || depth == fdt.depth);
            assert(is_within(item.value, tree));
        } while (item.kind != FDT_END);
        assert(fdt.failed || depth == 0);
    }
    if (!fdt_find(&found, tree))
        return 0;
    assert(is_within(found.cmdline, tree) && is_within(found.seed, tree));
    for (size_t i = 0; i < found.memory_count; i++)
        check_range(found.memory[i]);
    for (size_t i = 0; i < found.virtio_count; i++) {
        check_range(found.virtio[i].registers);
        check_range(found.virtio[i].more);
        assert(found.virtio[i].registers.size > 0);
    }
    assert(found.gic_version == 0 || found.gic.more.size > 0);
    return 0;
}
