# The tenders: build/fata-spt runs spt images, build/fata-nat gives them a
# network without any rights, build/fata-pcap captures what passes a tap.

# fata-spt is linked with musl: a static program of glibc takes twice as long
# to start. It is position-independent, so that it is loaded far above the
# guest's memory. Headers of the kernel and of libseccomp are no libc's.
MUSL_INCLUDE = /usr/include/x86_64-linux-musl
MUSL_LIB = /usr/lib/x86_64-linux-musl
SPT_CFLAGS = $(BASE_CFLAGS) -O2 -fpie -nostdinc -isystem $(MUSL_INCLUDE) \
             --include-with-prefix=include -idirafter /usr/include \
             -idirafter /usr/include/$(shell $(CC) -print-multiarch) \
             -fno-asynchronous-unwind-tables
SPT_SRC = $(filter-out %_test.c %_fuzz.c tender/spt/filter_table.c,\
            $(wildcard tender/spt/*.c))
SPT_OBJ = $(SPT_SRC:%.c=build/musl/%.o) \
          build/musl/tender/spt/filter_tables.o

build/musl/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(SPT_CFLAGS) -c $< -o $@
build/musl/tender/spt/filter_tables.o: build/tender/spt/filter_tables.c
	$(CC) $(SPT_CFLAGS) -c $< -o $@

build/fata-spt: $(SPT_OBJ)
	$(CC) -static-pie -nostdlib -Wl,-z,noexecstack -Wl,--gc-sections -o $@ \
	  $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o $(SPT_OBJ) -l:libseccomp.a \
	  $(MUSL_LIB)/libc.a -lgcc $(MUSL_LIB)/crtn.o

build/tender/spt/filter_tables.c: build/tender/spt/filter_table
	$< >$@.new && mv $@.new $@
build/tender/spt/filter_table: build/host/tender/spt/filter_table.o \
                               build/host/tender/spt/filter_make.o
	@mkdir -p $(@D)
	$(CC) -o $@ $^ -lseccomp

# Both write captures, where they are asked to.
CAPTURE_OBJ = build/host/tender/pcap/capture.o build/host/tender/pcap/pcapng.o
build/fata-nat: build/host/tender/nat/nat.o $(CAPTURE_OBJ)
	$(CC) -o $@ $^ -lslirp -lpcap
build/fata-pcap: build/host/tender/pcap/pcap.o $(CAPTURE_OBJ)
	$(CC) -o $@ $^ -lpcap

# What the tests of the tender need besides libfata.
SPT_PURE = elf manifest guest
$(foreach kind,san fuzz,$(eval SPT_$(kind) = \
  $(SPT_PURE:%=build/$(kind)/tender/spt/%.o)))
build/san/tender/spt/elf_test: $(SPT_san)
build/san/tender/pcap/pcapng_test: build/san/tender/pcap/pcapng.o
build/san/tender/spt/manifest_test: $(SPT_san)
build/san/tender/spt/guest_test: $(SPT_san)
build/fuzz/tender/spt/elf_fuzz: $(SPT_fuzz)
