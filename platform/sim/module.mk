# The simulator's command. Images find platform.h's functions in it.
build/fata-sim: build/host/platform/sim/runner.o build/host/libfata.a
	$(CC) -rdynamic -o $@ $^ $(LIBS) -ldl
