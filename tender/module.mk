# The tenders: build/fata-spt runs spt images, build/fata-nat gives them a
# network without any rights, build/fata-pcap captures what passes a tap.

# Tenders are linked with musl: a static program of glibc takes twice as long
# to start. They are position-independent, so that they are loaded far above
# the memory of spt's guests. Headers of the kernel and of libseccomp are no
# libc's. Each is tender/common and a back end, with what opens the host's
# network interfaces for the unix platform, too.
TENDER_SHARED = interface packet tap
MUSL_INCLUDE = /usr/include/x86_64-linux-musl
MUSL_LIB = /usr/lib/x86_64-linux-musl
TENDER_CFLAGS = $(BASE_CFLAGS) -O2 -fpie -nostdinc -isystem $(MUSL_INCLUDE) \
                --include-with-prefix=include -idirafter /usr/include \
                -idirafter /usr/include/$(shell $(CC) -print-multiarch) \
                -fno-asynchronous-unwind-tables
tender_obj = $(patsubst %.c,build/musl/%.o,\
  $(filter-out %_test.c %_fuzz.c %/cage_table.c,\
    $(wildcard tender/common/*.c tender/$(1)/*.c) \
      $(TENDER_SHARED:%=platform/%.c)))

build/musl/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(TENDER_CFLAGS) -c $< -o $@
build/musl/tender/spt/cage_tables.o: build/tender/spt/cage_tables.c
	$(CC) $(TENDER_CFLAGS) -c $< -o $@

LINK_TENDER = $(CC) -static-pie -nostdlib -Wl,-z,noexecstack -Wl,--gc-sections \
  -o $@ $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o $^ -l:libseccomp.a \
  $(MUSL_LIB)/libc.a -lgcc $(MUSL_LIB)/crtn.o
build/fata-spt: $(call tender_obj,spt) build/musl/tender/spt/cage_tables.o
	$(LINK_TENDER)
build/fata-hvt: $(call tender_obj,hvt)
	$(LINK_TENDER)

build/tender/spt/cage_tables.c: build/tender/spt/cage_table
	$< >$@.new && mv $@.new $@
build/tender/spt/cage_table: build/host/tender/spt/cage_table.o \
                             build/host/tender/spt/cage.o \
                             build/host/tender/common/filter.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -lseccomp

# Both write captures, where they are asked to.
CAPTURE_OBJ = build/host/tender/pcap/capture.o build/host/tender/pcap/pcapng.o
build/fata-nat: build/host/tender/nat/nat.o $(CAPTURE_OBJ)
	$(CC) -o $@ $^ -lslirp -lpcap
build/fata-pcap: build/host/tender/pcap/pcap.o $(CAPTURE_OBJ)
	$(CC) -o $@ $^ -lpcap

# What the tests of the tenders need besides libfata.
TENDER_PURE = elf manifest guest answers
$(foreach kind,san fuzz,$(eval TENDER_$(kind) = \
  $(TENDER_PURE:%=build/$(kind)/tender/common/%.o)))
$(TENDER_PURE:%=build/san/tender/common/%_test): $(TENDER_san)
build/fuzz/tender/common/elf_fuzz: $(TENDER_fuzz)
build/san/tender/pcap/pcapng_test: build/san/tender/pcap/pcapng.o
build/san/tender/hvt/calls_test: build/san/tender/hvt/calls.o $(TENDER_san)
build/san/tender/hvt/gdb_test: build/san/tender/hvt/gdb.o $(TENDER_san)
build/fuzz/tender/hvt/gdb_fuzz: build/fuzz/tender/hvt/gdb.o $(TENDER_fuzz)
build/fuzz/tender/hvt/calls_fuzz: build/fuzz/tender/hvt/calls.o $(TENDER_fuzz)
build/san/tender/common/filter_test: build/san/tender/common/filter.o
build/san/tender/common/filter_test: LDLIBS += -lseccomp
