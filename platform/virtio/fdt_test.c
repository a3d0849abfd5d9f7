/* Device trees, built here by hand, and one that QEMU made. */
#include "platform/virtio/fdt.h"

#include "test/test.h"

enum { ROOM = 8192, STRINGS_AT = 4096, STRUCTURE_AT = 128 };

/* A tree that is being built. */
struct tree {
    uint8_t at[ROOM];
    struct writer structure, strings;
};

static struct tree tree;

static void put_padded(struct writer *w, struct bytes b)
{
    put_bytes(w, b);
    put_zeros(w, -b.len % 4);
}

static void node(const char *name)
{
    put_be32(&tree.structure, 1);
    put_padded(&tree.structure, bytes_of(name, strlen(name) + 1));
}

static void end(void)
{
    put_be32(&tree.structure, 2);
}

static void property(const char *name, struct bytes value)
{
    put_be32(&tree.structure, 3);
    put_be32(&tree.structure, (uint32_t)value.len);
    put_be32(&tree.structure, (uint32_t)tree.strings.len);
    put_padded(&tree.structure, value);
    put_bytes(&tree.strings, bytes_of(name, strlen(name) + 1));
}

static void text(const char *name, const char *value)
{
    property(name, bytes_of(value, strlen(value) + 1));
}

static void numbers(const char *name, const uint32_t *values, size_t count)
{
    uint8_t bytes[64];
    struct writer w = WRITER(bytes);

    for (size_t i = 0; i < count; i++)
        put_be32(&w, values[i]);
    property(name, written(&w));
}

#define NUMBERS(name, ...)                                                     \
    numbers(name, (const uint32_t[]){__VA_ARGS__},                             \
            sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void begin(void)
{
    memset(&tree, 0, sizeof tree);
    tree.structure =
        writer_to(tree.at + STRUCTURE_AT, STRINGS_AT - STRUCTURE_AT);
    tree.strings = writer_to(tree.at + STRINGS_AT, ROOM - STRINGS_AT);
    node("");
    NUMBERS("#address-cells", 2);
    NUMBERS("#size-cells", 2);
}

/* The end of the root node and of all, and the header. */
static struct bytes finished(void)
{
    struct writer w = writer_to(tree.at, FDT_HEADER);

    end();
    put_be32(&tree.structure, 9);
    put_be32(&w, 0xd00dfeed);
    put_be32(&w, ROOM);
    put_be32(&w, STRUCTURE_AT);
    put_be32(&w, STRINGS_AT);
    put_be32(&w, FDT_HEADER);
    put_be32(&w, 17);
    put_be32(&w, 16);
    put_be32(&w, 0);
    put_be32(&w, (uint32_t)tree.strings.len);
    put_be32(&w, (uint32_t)tree.structure.len);
    return BYTES(tree.at);
}

static void a_walk_gives_nodes_and_properties_in_order(void)
{
    begin();
    node("a@1");
    text("compatible", "first\0second");
    end();
    struct bytes whole = finished();
    struct fdt fdt;
    CHECK_EQ(fdt_size(bytes_first(whole, FDT_HEADER)), ROOM);
    CHECK(fdt_open(&fdt, whole));
    struct fdt_item item = fdt_next(&fdt);
    CHECK(item.kind == FDT_NODE && item.name[0] == 0 && fdt.depth == 1);
    CHECK(fdt_next(&fdt).kind == FDT_PROPERTY);
    CHECK(fdt_next(&fdt).kind == FDT_PROPERTY);
    item = fdt_next(&fdt);
    CHECK(item.kind == FDT_NODE && fdt.depth == 2);
    CHECK_STRING(item.name, "a@1");
    item = fdt_next(&fdt);
    CHECK(item.kind == FDT_PROPERTY);
    CHECK_STRING(item.name, "compatible");
    CHECK(fdt_has_string(item.value, "first"));
    CHECK(fdt_next(&fdt).kind == FDT_NODE_END);
    CHECK(fdt_next(&fdt).kind == FDT_NODE_END);
    CHECK(fdt_next(&fdt).kind == FDT_END && !fdt.failed);
}

static void a_value_of_several_strings_has_each_of_them(void)
{
    const struct bytes value = bytes_of("arm,pl011\0arm,primecell", 24);
    CHECK(fdt_has_string(value, "arm,pl011"));
    CHECK(fdt_has_string(value, "arm,primecell"));
    CHECK(!fdt_has_string(value, "arm"));
    CHECK(!fdt_has_string(value, "primecell"));
    CHECK(!fdt_has_string(bytes_first(value, 23), "arm,primecell"));
}

static void a_tree_of_qemu_is_understood(void)
{
    static uint8_t file[16384];
    struct fdt_found found;
    FILE *f = fopen("platform/virtio/corpus/fdt/virt", "rb");
    if (f == NULL)
        SKIP("the corpus is not below the current folder");
    size_t len = fread(file, 1, sizeof file, f);
    (void)fclose(f);
    CHECK(fdt_find(&found, bytes_of(file, len)));
    CHECK_EQ(found.memory_count, 1);
    CHECK_EQ(found.memory[0].start, 0x40000000);
    CHECK_EQ(found.memory[0].size, 64 << 20);
    CHECK_EQ(found.reserved_count, 0);
    CHECK_EQ(found.processors, 1);
    CHECK_EQ(found.serial.registers.start, 0x9000000);
    CHECK_EQ(found.clock.registers.start, 0x9010000);
    CHECK_EQ(found.gic_version, 2);
    CHECK_EQ(found.gic.registers.start, 0x8000000);
    CHECK_EQ(found.gic.more.start, 0x8010000);
    CHECK_EQ(found.timer, 27);
    CHECK(found.has_psci && !found.psci_smc);
    CHECK_EQ(found.seed.len, 32);
    CHECK_EQ(found.virtio_count, 32);
    CHECK_EQ(found.virtio[0].registers.start, 0xa000000);
    CHECK_EQ(found.virtio[0].registers.size, 0x200);
    CHECK(found.virtio[31].has_interrupt);
    CHECK_EQ(found.virtio[31].interrupt, 32 + 0x2f);
}

static void the_command_line_is_without_its_zero(void)
{
    struct fdt_found found;
    begin();
    node("chosen");
    text("bootargs", "--port=80 x");
    end();
    CHECK(fdt_find(&found, finished()));
    CHECK(bytes_equal(found.cmdline, TEXT("--port=80 x")));
    CHECK_EQ(found.virtio_count, 0);
}

static void memory_may_be_in_several_pieces_and_reserved(void)
{
    struct fdt_found found;
    begin();
    node("memory@40000000");
    text("device_type", "memory");
    NUMBERS("reg", 0, 0x40000000, 0, 0x1000000, 1, 0, 0, 0x2000);
    end();
    node("reserved-memory");
    NUMBERS("#address-cells", 2);
    NUMBERS("#size-cells", 2);
    node("pool@40800000");
    NUMBERS("reg", 0, 0x40800000, 0, 0x1000);
    end();
    end();
    struct bytes whole = finished();
    struct writer w = writer_to(tree.at + FDT_HEADER, 32);
    put_be32(&w, 0);
    put_be32(&w, 0x40010000);
    put_be32(&w, 0);
    put_be32(&w, 0x3000);
    CHECK(fdt_find(&found, whole));
    CHECK_EQ(found.memory_count, 2);
    CHECK_EQ(found.memory[1].start, 0x100000000);
    CHECK_EQ(found.memory[1].size, 0x2000);
    CHECK_EQ(found.reserved_count, 2);
    CHECK_EQ(found.reserved[0].start, 0x40010000);
    CHECK_EQ(found.reserved[1].start, 0x40800000);
}

static void a_disabled_device_is_not_there(void)
{
    struct fdt_found found;
    begin();
    for (int i = 0; i < 2; i++) {
        node("virtio_mmio@a000000");
        text("compatible", "virtio,mmio");
        NUMBERS("reg", 0, 0xa000000, 0, 0x200);
        text("status", i == 0 ? "okay" : "disabled");
        end();
    }
    CHECK(fdt_find(&found, finished()));
    CHECK_EQ(found.virtio_count, 1);
    CHECK(!found.virtio[0].has_interrupt);
}

static void ranges_past_the_last_address_are_none(void)
{
    struct fdt_found found;
    begin();
    node("memory@0");
    text("device_type", "memory");
    NUMBERS("reg", 0xffffffff, 0xfffff000, 0, 0x1001);
    end();
    node("virtio_mmio@0");
    text("compatible", "virtio,mmio");
    NUMBERS("reg", 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff);
    end();
    CHECK(fdt_find(&found, finished()));
    CHECK_EQ(found.memory_count, 0);
    CHECK_EQ(found.virtio_count, 0);
}

static void ranges_of_no_bytes_at_all_are_none(void)
{
    struct fdt_found found;
    begin();
    NUMBERS("#address-cells", 0);
    NUMBERS("#size-cells", 0);
    node("memory@0");
    text("device_type", "memory");
    NUMBERS("reg", 0x40000000, 0x1000);
    end();
    CHECK(fdt_find(&found, finished()));
    CHECK_EQ(found.memory_count, 0);
}

static void nodes_in_nodes_without_end_are_walked_past(void)
{
    struct fdt_found found;
    begin();
    for (int i = 0; i < 100; i++)
        node("d");
    for (int i = 0; i < 100; i++)
        end();
    node("cpu@0");
    text("device_type", "cpu");
    end();
    CHECK(fdt_find(&found, finished()));
    CHECK_EQ(found.processors, 1);
}

static void a_tree_that_is_cut_short_is_refused(void)
{
    struct fdt_found found;
    begin();
    node("chosen");
    text("bootargs", "--port=80");
    end();
    struct bytes whole = finished();
    for (size_t len = 0; len < ROOM; len += 3)
        CHECK(!fdt_find(&found, bytes_first(whole, len)));

    /* One that says so itself. */
    for (uint32_t size = 0; size < FDT_HEADER; size++) {
        struct writer w = writer_to(tree.at + 4, 4);
        put_be32(&w, size);
        CHECK(!fdt_find(&found, whole));
    }
    struct writer size = writer_to(tree.at + 4, 4);
    put_be32(&size, ROOM);

    /* And one whose parts are. */
    for (uint32_t len = 0; len < tree.structure.len; len += 4) {
        struct writer w = writer_to(tree.at + 36, 4);
        put_be32(&w, len);
        CHECK(!fdt_find(&found, whole));
    }
}

static void an_end_too_many_or_too_few_is_refused(void)
{
    struct fdt_found found;
    begin();
    end();
    CHECK(!fdt_find(&found, finished()));
    begin();
    node("open");
    CHECK(!fdt_find(&found, finished()));
}

static void a_version_that_is_not_known_is_refused(void)
{
    struct fdt fdt;
    begin();
    struct bytes whole = finished();
    for (uint32_t version = 0; version < 20; version++) {
        struct writer w = writer_to(tree.at + 20, 8);
        put_be32(&w, version);
        put_be32(&w, version);
        CHECK(fdt_open(&fdt, whole) == (version == 17));
    }
}

int main(void)
{
    RUN(a_walk_gives_nodes_and_properties_in_order);
    RUN(a_value_of_several_strings_has_each_of_them);
    RUN(a_tree_of_qemu_is_understood);
    RUN(the_command_line_is_without_its_zero);
    RUN(memory_may_be_in_several_pieces_and_reserved);
    RUN(a_disabled_device_is_not_there);
    RUN(ranges_past_the_last_address_are_none);
    RUN(ranges_of_no_bytes_at_all_are_none);
    RUN(nodes_in_nodes_without_end_are_walked_past);
    RUN(a_tree_that_is_cut_short_is_refused);
    RUN(an_end_too_many_or_too_few_is_refused);
    RUN(a_version_that_is_not_known_is_refused);
    return test_result();
}
