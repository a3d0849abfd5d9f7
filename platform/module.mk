# The conformance unikernel on each target that this machine runs, which
# conformance_test starts.
CONFORMANCE_OBJ = platform/conformance.o platform/main.o platform/counters.o \
                  platform/devices.o platform/vnet.o platform/spin.o \
                  platform/siblings.o platform/ring.o platform/packet.o \
                  platform/tap.o platform/interface.o \
                  $(patsubst %.c,%.o,$(wildcard platform/unix/*.c))

build/san/platform/conformance.unix: $(CONFORMANCE_OBJ:%=build/san/%) \
    build/san/libfata.a
	$(CC) $(SANITIZE) -o $@ $^ $(LIBS)

# As the tool links any unikernel for spt.
spt_key = $(shell sed -n 's/^$(1) = //p' platform/spt/target)
CONFORMANCE_SPT_SRC = platform/conformance.c platform/main.c \
                      platform/counters.c platform/devices.c \
                      platform/siblings.c random/csprng.c \
                      $(filter-out %_test.c %_fuzz.c,\
                        $(wildcard $(call spt_key,sources) base/*.c))
CONFORMANCE_SPT_OBJ = $(CONFORMANCE_SPT_SRC:%.c=build/spt/%.o) \
                      $(LIB_ASM:%.S=build/spt/%.o)

build/spt/%.o: %.c platform/spt/target
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) -ffunction-sections -fdata-sections \
	  -fvisibility=hidden $(call spt_key,cflags) -idirafter /usr/include \
	  -c $< -o $@
build/spt/%.o: %.S
	@mkdir -p $(@D)
	$(CC) -I. -c $< -o $@
build/spt/platform/conformance.spt: $(CONFORMANCE_SPT_OBJ) platform/spt/spt.lds
	$(CC) $(call spt_key,ldflags) -Wl,--gc-sections -o $@ \
	  $(filter %.o,$^) $(call spt_key,libs)

build/san/platform/conformance_test: build/san/platform/conformance.unix \
    build/spt/platform/conformance.spt build/fata-spt

build/san/platform/vnet_test: build/san/platform/vnet.o
build/san/platform/ring_test: build/san/platform/ring.o build/san/platform/vnet.o
build/san/platform/spin_test: build/san/platform/spin.o
build/san/platform/spt/vdso_test: build/san/platform/spt/vdso.o
build/san/platform/siblings_test: build/san/platform/siblings.o
build/fuzz/platform/vnet_fuzz: build/fuzz/platform/vnet.o
build/san/platform/cpu/x86_64/paging_test: build/san/platform/cpu/x86_64/paging.o
build/san/platform/virtio/fdt_test: build/san/platform/virtio/fdt.o
build/fuzz/platform/virtio/fdt_fuzz: build/fuzz/platform/virtio/fdt.o
build/fuzz/platform/ring_fuzz: build/fuzz/platform/ring.o build/fuzz/platform/vnet.o
build/san/platform/cpu/aarch64/paging_test: build/san/platform/cpu/aarch64/paging.o
build/san/platform/virtio/cmdline_test: build/san/platform/virtio/cmdline.o
build/fuzz/platform/virtio/cmdline_fuzz: build/fuzz/platform/virtio/cmdline.o
build/san/platform/virtio/x86_64/boot_test: build/san/platform/virtio/x86_64/boot.o \
  build/san/platform/virtio/x86_64/acpi.o
build/fuzz/platform/virtio/x86_64/boot_fuzz: build/fuzz/platform/virtio/x86_64/boot.o \
  build/fuzz/platform/virtio/x86_64/acpi.o

# Tests of virtio drivers run them against a model of a device.
VIRTIO_TESTED = $(patsubst %,build/san/platform/%.o,vnet virtio/block \
                  virtio/console virtio/look virtio/mmio virtio/net virtio/pci \
                  virtio/queue virtio/rng virtio/transport)
$(patsubst %,build/san/platform/virtio/%_test,transport queue net block \
    rng): $(VIRTIO_TESTED)
build/fuzz/platform/virtio/device_fuzz: $(VIRTIO_TESTED:build/san/%=build/fuzz/%)
