# What runs the project: its tests, demo, benchmarks and linters. Each target
# first has test/setup look for the packages it needs.

# A plain `make` only says what is missing; it installs nothing by itself.
ifneq ($(filter-out demo test bench fuzz soak lint clean print-%,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell test/setup --check build || echo missing),)
$(error packages are missing (above); test/setup installs them)
endif
endif

# It compares with what floating point gives.
build/san/net/tcp_cc_test build/host/net/tcp_cc_test: LDLIBS = -lm

# Programs that tests and benchmarks use: wires, clients, loads.
PEER_SRC = $(wildcard test/e2e/*.c)
PEERS = $(PEER_SRC:test/e2e/%.c=build/test/%)
BENCH_SRC = $(wildcard bench/*.c)
BENCH = $(BENCH_SRC:bench/%.c=build/bench/%)

build/test/%: test/e2e/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) -o $@ $<
# A kernel, which is linked above the memory that it says is there.
build/test/linux_loader: test/e2e/linux_loader.c
	@mkdir -p $(@D)
	$(CC) -m32 -march=i686 -std=gnu17 $(WARN) -Os -ffreestanding -fno-pic \
	    -fno-stack-protector -fno-asynchronous-unwind-tables -mno-sse -mno-mmx \
	    -fno-tree-loop-distribute-patterns -no-pie -nostdlib -static \
	    -Wl,-n,-z,noexecstack,--build-id=none,--no-warn-rwx-segments \
	    -Wl,-Ttext=0x4000000 -o $@ $<
build/bench/%: bench/%.c build/host/libfata.a
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) -o $@ $< build/host/libfata.a $(LIBS)
build/bench/hello_c: bench/hello_c.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -static -o $@ $<

# The examples as the end-to-end tests run them: all for the targets that
# serve, www for the rest too.
EXAMPLES = $(notdir $(wildcard examples/*))
TARGETS = spt unix
TARGETS_hello = spt unix hvt virtio
TARGETS_www = spt unix unix-san sim hvt virtio
TARGETS_echo = spt unix virtio
TARGETS_blocktest = spt unix hvt virtio
images: $(EXAMPLES:%=image-%)
image-%: all
	@mkdir -p build/images/$*
	@cp -Rp examples/$*/. build/images/$*/
	@cd build/images/$* && for target in $(or $(TARGETS_$*),$(TARGETS)); do \
	    ../../fata configure -t $$target && ../../fata build || exit 1; done

peers: $(PEERS)
bench-programs: $(BENCH)

demo:
	@test/setup build
	@test/demo

test:
	@test/setup build test cross
	@test/run

bench:
	@test/setup build bench
	@env -u MAKEFLAGS $(MAKE) all bench-programs >/dev/null
	@bench/bench.py $(if $(QUICK),--quick)

FUZZ_SECONDS = 60
fuzz:
	@test/setup build test
	@test/run --fuzz-seconds $(FUZZ_SECONDS) _fuzz

# The long runs: ten times the seeds, and each fuzz target for ten minutes.
SOAK_SEEDS = 100000
SOAK_SECONDS = 600
soak:
	@test/setup build test
	@SIM_SEEDS=$(SOAK_SEEDS) AUDIT_SECONDS=10 test/run --fuzz-seconds $(SOAK_SECONDS) \
	  --patience 100 transfer_test _fuzz connections_test \
	  audit_test hostile_test

lint:
	@test/setup build lint
	@test/lint

# The words of a variable, for test/run.
print-%:
	@echo $($*)

.PHONY: peers bench-programs images
