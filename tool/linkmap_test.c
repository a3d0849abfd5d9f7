/*
 * Tests of reading a linker's map.
 */
#include "tool/linkmap.h"

#include "test/test.h"

static const char map_text[] =
    "Discarded input sections\n"
    "\n"
    " .text.unused   0x0000000000000000       0x10 fata/base/fmt.o\n"
    "\n"
    "Memory Configuration\n"
    "\n"
    "Name             Origin             Length\n"
    "*default*        0x0000000000000000 0xffffffffffffffff\n"
    "\n"
    "Linker script and memory map\n"
    "\n"
    "LOAD fata/base/fmt.o\n"
    "\n"
    ".text           0x0000000000100000      0x100\n"
    " *(.text .text.*)\n"
    " .text.fmt_put  0x0000000000100000       0x51 fata/base/fmt.o\n"
    "                0x0000000000100000                fmt_put\n"
    " .text.fmt_parse_duration\n"
    "                0x0000000000100051       0x0f fata/base/fmt.o\n"
    "                0x0000000000100051                fmt_parse_duration\n"
    " *fill*         0x0000000000100060        0x4 90909090\n"
    " .text          0x0000000000100064       0x20 "
    "/usr/lib/x86_64-linux-musl/libc.a(memcpy.lo)\n"
    " .text.empty    0x0000000000100084        0x0 fata/base/log.o\n"
    "\n"
    ".rodata         0x0000000000101000       0x40\n"
    " .rodata.crunch_site\n"
    "                0x0000000000101000       0x40 data/site.o\n"
    "\n"
    ".bss            0x0000000000102000     0x1000\n"
    " .bss.pool      0x0000000000102000     0x1000 app/www.o\n"
    "\n"
    ".debug_info     0x0000000000000000     0x2000\n"
    " .debug_info    0x0000000000000000     0x2000 main.o\n";

static void pieces_are_found_by_address(void)
{
    struct linkmap map = linkmap_parse(map_text);
    CHECK_EQ(map.count, 5);
    CHECK_STRING(linkmap_find(&map, 0x100050)->section, ".text.fmt_put");
    CHECK_STRING(linkmap_find(&map, 0x100051)->section,
                 ".text.fmt_parse_duration");
    CHECK_STRING(linkmap_find(&map, 0x100083)->object,
                 "/usr/lib/x86_64-linux-musl/libc.a(memcpy.lo)");
    CHECK(linkmap_find(&map, 0x100061) == NULL);
    CHECK(linkmap_find(&map, 0xfffff) == NULL);
    CHECK(linkmap_find(&map, UINT64_MAX) == NULL);
}

static void sizes_are_by_library_and_without_bss(void)
{
    struct linkmap map = linkmap_parse(map_text);
    size_t count;
    struct library_size *sizes = linkmap_sizes(&map, &count);
    CHECK_EQ(count, 3);
    CHECK_STRING(sizes[0].library, "base");
    CHECK_EQ(sizes[0].bytes, 0x60);
    CHECK_STRING(sizes[1].library, "site");
    CHECK_EQ(sizes[1].bytes, 0x40);
    CHECK_STRING(sizes[2].library, "libc");
    CHECK_EQ(sizes[2].bytes, 0x20);
}

static void libraries_are_told_from_objects(void)
{
    CHECK_STRING(library_of("fata/platform/spt/start.o"), "platform");
    CHECK_STRING(library_of("app/src/page.o"), "app");
    CHECK_STRING(library_of("main.o"), "main");
    CHECK_STRING(library_of("/usr/lib/libsodium.a(a.o)"), "libsodium");
    CHECK_STRING(library_of("/usr/lib/crt1.o"), "libc");
    CHECK_STRING(object_name("/usr/lib/libsodium.a(a.o)"), "a.o");
    CHECK_STRING(object_name("fata/net/tcp.o"), "tcp.o");
}

static void a_text_that_is_no_map_has_no_pieces(void)
{
    CHECK_EQ(linkmap_parse("").count, 0);
    CHECK_EQ(linkmap_parse("\nLinker script and memory map\n").count, 0);
    CHECK_EQ(linkmap_parse("\nLinker script and memory map\n .text").count, 0);
    CHECK_EQ(
        linkmap_parse("\nLinker script and memory map\n .text 0x1 0x").count,
        0);
}

/* Cut anywhere, a map is read without a step outside it. */
static void every_cut_of_a_map_is_read(void)
{
    size_t most = 0;
    for (size_t len = 0; len < sizeof map_text; len++) {
        struct linkmap map = linkmap_parse(keep_bytes(map_text, len));
        CHECK(map.count >= most);
        most = map.count;
    }
    CHECK_EQ(most, 5);
}

int main(void)
{
    RUN(pieces_are_found_by_address);
    RUN(sizes_are_by_library_and_without_bss);
    RUN(libraries_are_told_from_objects);
    RUN(a_text_that_is_no_map_has_no_pieces);
    RUN(every_cut_of_a_map_is_read);
    return test_result();
}
