/* Greets `count` times, `pause` apart. */
#include "hello.h"

int hello_main(struct fata_env *env, int64_t count, uint64_t pause)
{
    for (int64_t i = 1; i <= count; i++) {
        fata_print(env, "Hello, world! (%lld of %lld)\n", (long long)i,
                   (long long)count);
        if (i < count && fata_sleep(env, pause) != OK)
            return 1;
    }
    return 0;
}
