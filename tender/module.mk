# The tenders: build/fata-spt runs spt images, build/fata-nat gives them a
# network without any rights, build/fata-pcap captures what passes a tap.

# Tenders are linked with musl: a static program of glibc takes twice as long
# to start. They are position-independent, so that they are loaded far above
# the memory of spt's guests. Headers of the kernel are no libc's. Each is tender/common and a back end.
MUSL_INCLUDE = /usr/include/x86_64-linux-musl
MUSL_LIB = /usr/lib/x86_64-linux-musl
TENDER_CFLAGS = $(BASE_CFLAGS) -O2 -fpie -nostdinc -isystem $(MUSL_INCLUDE) \
                --include-with-prefix=include -idirafter /usr/include \
                -idirafter /usr/include/$(shell $(CC) -print-multiarch) \
                -fno-asynchronous-unwind-tables
tender_obj = $(patsubst %.c,build/musl/%.o,\
  $(filter-out %_test.c %_fuzz.c,\
    $(wildcard tender/common/*.c tender/$(1)/*.c)))

build/musl/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(TENDER_CFLAGS) -c $< -o $@
build/fata-spt: $(call tender_obj,spt)
	$(CC) -static-pie -nostdlib -Wl,-z,noexecstack -Wl,--gc-sections -o $@ \
	  $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o $^ $(MUSL_LIB)/libc.a -lgcc $(MUSL_LIB)/crtn.o

build/fata-hvt: $(call tender_obj,hvt)
	$(CC) -static-pie -nostdlib -Wl,-z,noexecstack -Wl,--gc-sections -o $@ \
	  $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o $^ $(MUSL_LIB)/libc.a -lgcc $(MUSL_LIB)/crtn.o

# Both write captures, where they are asked to.
CAPTURE_OBJ = build/host/tender/pcap/capture.o build/host/tender/pcap/pcapng.o
build/fata-nat: build/host/tender/nat/nat.o $(CAPTURE_OBJ)
	$(CC) -o $@ $^ -lslirp -lpcap
build/fata-pcap: build/host/tender/pcap/pcap.o $(CAPTURE_OBJ)
	$(CC) -o $@ $^ -lpcap

# What the tests of the tenders need besides libfata.
TENDER_PURE = elf manifest guest answers filter
$(foreach kind,san fuzz,$(eval TENDER_$(kind) = \
  $(TENDER_PURE:%=build/$(kind)/tender/common/%.o)))
$(TENDER_PURE:%=build/san/tender/common/%_test): $(TENDER_san)
build/fuzz/tender/common/elf_fuzz: $(TENDER_fuzz)
build/san/tender/pcap/pcapng_test: build/san/tender/pcap/pcapng.o
build/san/tender/hvt/calls_test: build/san/tender/hvt/calls.o $(TENDER_san)
build/fuzz/tender/hvt/calls_fuzz: build/fuzz/tender/hvt/calls.o $(TENDER_fuzz)
