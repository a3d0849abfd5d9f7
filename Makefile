# make            build the command, the tenders and the simulator in build/
# make demo       fetch what is missing, build and run examples/www
# make test       fetch what is missing, build and run every test
# make bench      side-by-side figures, also in build/bench.json
# make fuzz       every fuzz target for longer (FUZZ_SECONDS=60 each)
# make soak       the long runs that make test leaves out
# make lint       formatter, clang-tidy, cppcheck, include directions
# make clean      remove build/

MAKEFLAGS += --no-print-directory
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

CC = gcc
WARN = -Wall -Wextra -Werror -Wconversion -Wsign-conversion -Wshadow \
       -Wcast-qual -Wcast-align -Wstrict-prototypes -Wmissing-prototypes \
       -Wpointer-arith -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough \
       -Wwrite-strings
BASE_CFLAGS = -std=gnu17 -g -I. -Iinclude $(WARN) -MMD -MP
CFLAGS = -O2
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all \
           -fno-omit-frame-pointer
# Under UBSan gcc 12 sees conversions in ?: that are not there.
SAN_CFLAGS = -O1 $(SANITIZE) -Wno-conversion -Wno-sign-conversion

# Every folder of libraries; tests and fuzz targets lie beside the sources.
LIB_DIRS = base net http crunch random
LIB_SRC = $(filter-out %_test.c %_fuzz.c,$(wildcard $(LIB_DIRS:%=%/*.c)))
LIB_ASM = $(wildcard platform/cpu/x86_64/*.S)
SIM_SRC = $(filter-out %_test.c %_fuzz.c platform/sim/runner.c,\
            $(wildcard platform/sim/*.c))
UNIT_SRC = $(wildcard $(LIB_DIRS:%=%/*_test.c) abi/*_test.c tool/*_test.c \
             tool/audit/*_test.c \
             tender/*/*_test.c platform/*_test.c platform/sim/*_test.c \
             platform/spt/*_test.c platform/virtio/*_test.c \
             platform/virtio/x86_64/*_test.c \
             platform/cpu/*/*_test.c \
             test/sim/*_test.c sockets/*_test.c)
FUZZ_SRC = $(wildcard $(LIB_DIRS:%=%/*_fuzz.c) tender/*/*_fuzz.c \
             tool/*_fuzz.c platform/*_fuzz.c platform/virtio/*_fuzz.c \
             platform/virtio/x86_64/*_fuzz.c abi/*_fuzz.c)

SAN_OBJ = $(LIB_SRC:%.c=build/san/%.o) $(LIB_ASM:%.S=build/san/%.o) \
          $(SIM_SRC:%.c=build/san/%.o)
HOST_OBJ = $(LIB_SRC:%.c=build/host/%.o) $(LIB_ASM:%.S=build/host/%.o) \
           $(SIM_SRC:%.c=build/host/%.o)
FUZZ_OBJ = $(LIB_SRC:%.c=build/fuzz/%.o) $(LIB_ASM:%.S=build/fuzz/%.o)

UNIT = $(UNIT_SRC:%.c=build/san/%)
FUZZ = $(FUZZ_SRC:%.c=build/fuzz/%)

PROGRAMS = build/fata build/fata-spt build/fata-hvt build/fata-nat build/fata-pcap \
           build/fata-sim build/libfata-net.so

all: $(PROGRAMS)

-include platform/module.mk
-include platform/sim/module.mk
-include tool/module.mk
-include tender/module.mk
-include sockets/module.mk
-include test/module.mk
-include test/aarch64/module.mk

# Objects. `host` is what users run, `san` what tests run, `fuzz` is clang's.
build/host/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) -c $< -o $@
build/host/%.o: %.S
	@mkdir -p $(@D)
	$(CC) -I. -c $< -o $@
build/san/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(SAN_CFLAGS) -c $< -o $@
build/san/%.o: %.S
	@mkdir -p $(@D)
	$(CC) -I. -c $< -o $@
build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	clang -std=gnu17 -g -O1 -I. -Iinclude -MMD -MP \
	  -fsanitize=fuzzer-no-link,address,undefined -c $< -o $@
build/fuzz/%.o: %.S
	@mkdir -p $(@D)
	$(CC) -I. -c $< -o $@

build/san/libfata.a: $(SAN_OBJ)
	@rm -f $@; ar rcs $@ $^
build/host/libfata.a: $(HOST_OBJ)
	@rm -f $@; ar rcs $@ $^
build/fuzz/libfata.a: $(FUZZ_OBJ)
	@rm -f $@; ar rcs $@ $^

# A test or fuzz target may need objects of its own room: its module.mk adds
# them as prerequisites (build/san/tender/common/elf_test: build/san/...o).
LIBS = -lsodium
build/san/%_test: build/san/%_test.o build/san/libfata.a
	$(CC) $(SANITIZE) -o $@ $(filter %.o,$^) build/san/libfata.a $(LIBS) $(LDLIBS)
build/host/%_test: build/host/%_test.o build/host/libfata.a
	$(CC) -o $@ $(filter %.o,$^) build/host/libfata.a $(LIBS) $(LDLIBS)
build/fuzz/%_fuzz: build/fuzz/%_fuzz.o build/fuzz/libfata.a
	clang -fsanitize=fuzzer,address,undefined -o $@ $(filter %.o,$^) \
	  build/fuzz/libfata.a $(LIBS) $(LDLIBS)

unit: $(UNIT)
fuzz-targets: $(FUZZ)

clean:
	rm -rf build

.PHONY: all unit fuzz-targets demo test bench fuzz soak lint clean
.SECONDARY:
-include $(shell find build -name '*.d' -type f 2>/dev/null)
