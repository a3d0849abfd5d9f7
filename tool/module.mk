# The `fata` command, and the library that a project's config.c is linked with.

TOOL_SRC = $(filter-out %_test.c %_fuzz.c,$(wildcard tool/*.c tool/audit/*.c))
TOOL_BASE = base/bootargs base/fmt
# Of the tenders: captures, and what they and `fata inspect` read of an image.
TOOL_TENDER = pcap/pcapng common/elf common/manifest
TOOL_OBJ = $(TOOL_SRC:%.c=build/host/%.o) $(TOOL_BASE:%=build/host/%.o) \
           $(TOOL_TENDER:%=build/host/tender/%.o) build/host/tool/bios/bytes.o
CONFIG_OBJ = $(patsubst %.c,build/host/%.o,$(wildcard tool/config/*.c)) \
             $(TOOL_BASE:%=build/host/%.o)
# What the fuzz target needs besides libfata.
build/fuzz/tool/snapshot_fuzz: build/fuzz/tool/snapshot.o
build/fuzz/tool/image_fuzz: $(patsubst %,build/fuzz/%.o,tool/image \
                              tender/common/elf tender/common/manifest)

# A test has a main of its own.
TOOL_SAN = $(filter-out build/san/tool/main.o,$(TOOL_SRC:%.c=build/san/%.o)) \
           $(TOOL_TENDER:%=build/san/tender/%.o) build/san/tool/bios/bytes.o

# Quick to build, since one waits for that; only packing has much to compute.
$(TOOL_SRC:%.c=build/host/%.o): CFLAGS = -O0
build/host/tool/crunch.o: CFLAGS = -O2

# The boot loader of `fata pack -f raw', a program of 32 bits without a C
# library, and its bytes.
BIOS_CFLAGS = -m32 -march=i686 -std=gnu17 -I. $(WARN) -MMD -MP -Os \
              -ffreestanding -fno-pic -fno-stack-protector -mno-sse -mno-mmx \
              -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns
build/bios/%.o: tool/bios/%.c
	@mkdir -p $(@D)
	$(CC) $(BIOS_CFLAGS) -c $< -o $@
build/bios/start.o: tool/bios/start.S tool/bios/disk.h
	@mkdir -p $(@D)
	$(CC) -m32 -I. -c $< -o $@
build/bios/loader.lds: tool/bios/loader.lds tool/bios/disk.h
	@mkdir -p $(@D)
	$(CC) -E -P -x c -D__ASSEMBLER__ -I. $< -o $@
build/bios/loader.elf: build/bios/loader.lds build/bios/start.o build/bios/loader.o
	ld -m elf_i386 -nostdlib --build-id=none --no-warn-rwx-segments -T $^ -o $@
build/bios/loader.bin: build/bios/loader.elf
	objcopy -O binary $< $@
build/host/tool/bios/bytes.o build/san/tool/bios/bytes.o: build/bios/loader.bin

# An audit builds and reads packets with the libraries' own functions.
build/fata: $(TOOL_OBJ) build/libfata-config.a build/host/libfata.a
	$(CC) -o $@ $(TOOL_OBJ) build/host/libfata.a -ljansson $(LIBS)

build/libfata-config.a: $(CONFIG_OBJ)
	@rm -f $@; ar rcs $@ $^

TOOL_TESTS = $(patsubst %.c,build/san/%,$(wildcard tool/*_test.c \
               tool/audit/*_test.c))
$(TOOL_TESTS): $(TOOL_SAN)
$(TOOL_TESTS): LDLIBS = -ljansson
build/san/tool/snapshot_test: build/san/platform/counters.o
