# What the tests of the targets for aarch64 run under QEMU's user emulation:
# unit tests, the conformance unikernel and a loader for it. Built with the
# cross compiler and the libraries that `test/setup cross' fetches, where they
# are; without them there is nothing to build, and the tests say so.

A64_CC = aarch64-linux-gnu-gcc
A64_ROOT = build/cross/aarch64
A64_MUSL = $(A64_ROOT)/usr/lib/aarch64-linux-musl
A64_HEADERS = -nostdinc -isystem $(A64_ROOT)/usr/include/aarch64-linux-musl \
              --include-with-prefix=include -idirafter $(A64_ROOT)/usr/include
# musl's headers do not say everywhere what those of glibc do.
A64_WARN = -Wno-conversion -Wno-sign-conversion -Wno-format-truncation
A64_START = -static -nostdlib $(A64_MUSL)/crt1.o $(A64_MUSL)/crti.o
A64_LIBS = $(A64_ROOT)/usr/lib/aarch64-linux-gnu/libsodium.a \
           $(A64_MUSL)/libc.a -lgcc $(A64_MUSL)/crtn.o

# Those whose code is compiled to something else than on x86-64, or that read
# and write bytes of a given order.
A64_UNIT_SRC = $(wildcard base/*_test.c random/*_test.c crunch/*_test.c \
                 http/*_test.c) \
               $(addsuffix _test.c,$(addprefix net/,checksum arp ip ipv4 \
                 ip_text tcp_segment tcp_sacks tcp_reorder tcp_cookie acd))
A64_UNIT = $(A64_UNIT_SRC:%.c=build/aarch64/%)
A64_LIB_OBJ = $(LIB_SRC:%.c=build/aarch64/%.o) \
              build/aarch64/platform/cpu/aarch64/fiber_switch.o

# As the tool links any unikernel for a target, the first argument.
a64_key = $(subst $$root/,,$(shell sed -n 's/^$(2) = //p' platform/$(1)/target))
a64_conformance = $(patsubst %,build/aarch64/$(1)/%.o,$(basename \
                    $(filter-out %_test.c %_fuzz.c, \
                    platform/conformance.c platform/main.c platform/counters.c \
                    platform/devices.c platform/siblings.c random/csprng.c \
                    $(wildcard $(call a64_key,$(1),sources) base/*.c)))) \
                  build/aarch64/platform/cpu/aarch64/fiber_switch.o
A64_SPT_OBJ := $(call a64_conformance,spt-aarch64)
A64_HVT_OBJ := $(call a64_conformance,hvt-aarch64)
A64_VIRTIO_OBJ := $(call a64_conformance,virtio-aarch64)

ifneq ($(wildcard $(A64_ROOT)/usr),)
aarch64-tests: $(A64_UNIT) build/aarch64/spt_loader build/aarch64/hvt_monitor \
               build/aarch64/conformance.hvt-aarch64 \
               build/aarch64/conformance.spt-aarch64 \
               build/aarch64/conformance.virtio-aarch64
else
aarch64-tests:
endif

build/aarch64/%.o: %.c
	@mkdir -p $(@D)
	$(A64_CC) $(BASE_CFLAGS) $(CFLAGS) $(A64_WARN) $(A64_HEADERS) -c $< -o $@
build/aarch64/%.o: %.S
	@mkdir -p $(@D)
	$(A64_CC) -I. -c $< -o $@
build/aarch64/libfata.a: $(A64_LIB_OBJ)
	@rm -f $@; ar rcs $@ $^
build/aarch64/%_test: build/aarch64/%_test.o build/aarch64/libfata.a
	$(A64_CC) -o $@ $(A64_START) $(filter %.o,$^) build/aarch64/libfata.a \
	  $(A64_LIBS)

# Above what an image may use.
build/aarch64/spt_loader: build/aarch64/test/aarch64/spt_loader.o
	$(A64_CC) -Wl,-Ttext-segment=0x40000000 -o $@ $(A64_START) $< $(A64_LIBS)

# It runs without address translation, where nothing may be misaligned.
build/aarch64/hvt_monitor: test/aarch64/hvt_monitor.c abi/hvt.h abi/solo5.h
	@mkdir -p $(@D)
	$(A64_CC) $(BASE_CFLAGS) -O1 $(A64_HEADERS) -ffreestanding -fno-pic \
	  -mgeneral-regs-only -mstrict-align -fno-tree-loop-distribute-patterns \
	  -fno-stack-protector -static -nostdlib -no-pie -Wl,--build-id=none \
	  -Wl,-Ttext=0x40200000 -Wl,-e,monitor_start \
	  -Wl,-z,max-page-size=0x1000 -o $@ $<

define a64_image_rules
build/aarch64/$(1)/%.o: %.c platform/$(1)/target
	@mkdir -p $$(@D)
	$(A64_CC) $(BASE_CFLAGS) $(CFLAGS) -ffunction-sections -fdata-sections \
	  -fvisibility=hidden $(call a64_key,$(1),cflags) -c $$< -o $$@
build/aarch64/$(1)/%.o: %.S
	@mkdir -p $$(@D)
	$(A64_CC) -I. -c $$< -o $$@
build/aarch64/conformance.$(1):
	$(A64_CC) $(call a64_key,$(1),ldflags) -Wl,--gc-sections -o $$@ \
	  $$(filter %.o,$$^) $(call a64_key,$(1),libs)
endef
$(eval $(call a64_image_rules,spt-aarch64))
$(eval $(call a64_image_rules,hvt-aarch64))
$(eval $(call a64_image_rules,virtio-aarch64))
build/aarch64/conformance.spt-aarch64: $(A64_SPT_OBJ) platform/spt/spt.lds
build/aarch64/conformance.hvt-aarch64: $(A64_HVT_OBJ) platform/hvt/hvt.lds
build/aarch64/conformance.virtio-aarch64: $(A64_VIRTIO_OBJ) \
    platform/virtio/aarch64/virtio.lds

.PHONY: aarch64-tests
