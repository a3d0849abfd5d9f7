/*
 * Whatever the blob, reading stays inside it; and in one that is accepted,
 * every key listed is found, in order, with its value inside the blob.
 */
#include "crunch/crunch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct crunch store;
    uint8_t text[256];
    struct writer why = WRITER(text);
    struct bytes blob = bytes_of(data, len);
    struct fata_kv_value value;
    struct bytes key;

    if (!crunch_init(&store, blob, &why)) {
        assert(why.len > 0);
        return 0;
    }
    for (uint32_t i = 0; fata_kv_list(&store.kv, i, &key) == OK; i++) {
        enum err err = fata_kv_get(&store.kv, key, &value);
        assert(err == OK);
        assert(value.data.len <= len);
        assert(value.data.at >= data);
        assert(value.data.at + value.data.len <= data + len);
    }
    (void)fata_kv_get(&store.kv, blob, &value);
    return 0;
}
