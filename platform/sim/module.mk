# The simulator's command. Images find platform.h's functions in it.
build/fata-sim: build/host/platform/sim/runner.o build/host/libfata.a
	$(CC) -rdynamic -o $@ $^ $(LIBS) -ldl

# Tests that have hosts on simulated links.
SIM_TESTS = $(patsubst %.c,%,$(wildcard test/sim/*_test.c))
SIM_HELPERS = hosts.o flood.o requests.o
$(SIM_TESTS:%=build/san/%): $(SIM_HELPERS:%=build/san/test/sim/%)
$(SIM_TESTS:%=build/host/%): $(SIM_HELPERS:%=build/host/test/sim/%)
SCRIPT_TESTS = $(patsubst %.c,%,$(wildcard test/sim/tcp_*_test.c))
$(SCRIPT_TESTS:%=build/san/%): build/san/test/sim/script.o
$(SCRIPT_TESTS:%=build/host/%): build/host/test/sim/script.o

# The conformance unikernel on this target, which images_test.py runs.
CONFORMANCE_SIM_SRC = platform/conformance.c platform/main.c \
  platform/counters.c platform/devices.c platform/siblings.c $(filter-out %_test.c %_fuzz.c,\
  $(wildcard base/*.c random/*.c)) $(LIB_ASM)
build/sim/conformance.sim: $(CONFORMANCE_SIM_SRC)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) -fvisibility=hidden -fPIC -shared \
	  -Wl,-Bsymbolic -o $@ $^ -l:libsodium.a
