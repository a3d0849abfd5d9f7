# libfata-net.so: the stack and what it stands on, with the names of
# sockets/fata_net.h and no others.
SOCKETS_SRC = $(filter-out %_test.c,$(wildcard sockets/*.c)) \
  $(filter-out %_test.c %_fuzz.c,$(wildcard base/*.c net/*.c random/*.c)) \
  $(LIB_ASM)
SOCKETS_OBJ = $(patsubst %,build/shared/%.o,$(basename $(SOCKETS_SRC)))

build/shared/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden \
	  -c $< -o $@
build/shared/%.o: %.S
	@mkdir -p $(@D)
	$(CC) -I. -c $< -o $@
build/libfata-net.so: $(SOCKETS_OBJ)
	$(CC) -shared -Wl,-Bsymbolic -Wl,-z,defs -o $@ $^ -lsodium

# Its test is linked with the same sources, sanitized.
build/san/sockets/sockets_test: $(patsubst %.c,build/san/%.o,\
  $(filter-out %_test.c,$(wildcard sockets/*.c)))
