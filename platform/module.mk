# The conformance unikernel on the unix target, which conformance_test starts.
CONFORMANCE_OBJ = platform/conformance.o platform/main.o platform/devices.o \
                  $(patsubst %.c,%.o,$(wildcard platform/unix/*.c))

build/san/platform/conformance.unix: $(CONFORMANCE_OBJ:%=build/san/%) \
    build/san/libfata.a
	$(CC) $(SANITIZE) -o $@ $^ $(LIBS)
build/host/platform/conformance.unix: $(CONFORMANCE_OBJ:%=build/host/%) \
    build/host/libfata.a
	$(CC) -o $@ $^ $(LIBS)

build/san/platform/conformance_test: build/san/platform/conformance.unix
build/host/platform/conformance_test: build/host/platform/conformance.unix
