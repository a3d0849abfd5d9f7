/* Tests of crunch/crunch.h. */
#include "crunch/crunch.h"

#include "test/test.h"

/* A plain packer, for tests: files are given in the order of their names. */
struct file {
    struct bytes key, data, tag;
};

static uint8_t blob[8192];

static struct bytes pack(const struct file *files, uint32_t count)
{
    struct writer w = WRITER(blob);
    uint64_t text = CRUNCH_HEADER + (uint64_t)CRUNCH_ENTRY * count;
    uint64_t text_end = text, end;

    for (uint32_t i = 0; i < count; i++)
        text_end += files[i].key.len + files[i].tag.len;
    end = text_end;
    for (uint32_t i = 0; i < count; i++)
        end = (end + 63) / 64 * 64 + files[i].data.len;

    put_bytes(&w, TEXT(CRUNCH_MAGIC));
    put_le32(&w, CRUNCH_VERSION);
    put_le32(&w, count);
    put_le64(&w, end);
    put_le64(&w, text_end);
    uint64_t data = text_end;
    for (uint32_t i = 0; i < count; i++) {
        data = (data + 63) / 64 * 64;
        put_le64(&w, text);
        put_le64(&w, files[i].key.len);
        put_le64(&w, data);
        put_le64(&w, files[i].data.len);
        put_le64(&w, text + files[i].key.len);
        put_le64(&w, files[i].tag.len);
        text += files[i].key.len + files[i].tag.len;
        data += files[i].data.len;
    }
    for (uint32_t i = 0; i < count; i++) {
        put_bytes(&w, files[i].key);
        put_bytes(&w, files[i].tag);
    }
    for (uint32_t i = 0; i < count; i++) {
        put_zeros(&w, (64 - w.len % 64) % 64);
        put_bytes(&w, files[i].data);
    }
    assert(!w.failed && w.len == end);
    return written(&w);
}

static const struct file files[] = {
    {TEXT("a"), TEXT("first"), TEXT("t1")},
    {TEXT("a b\xff"), TEXT(""), TEXT("t2")},
    {TEXT("css/site.css"), TEXT("body{}"), TEXT("t3")},
    {TEXT("index.html"), TEXT("<p>hello"), TEXT("t4")},
};

static const char *fault_of(struct bytes image)
{
    static char text[256];
    struct crunch store;
    struct writer why = writer_to(text, sizeof text - 1);
    bool good = crunch_init(&store, image, &why);
    text[good ? 0 : why.len] = 0;
    return text;
}

static void every_file_is_found_and_no_other(void)
{
    struct crunch store;
    struct writer none = {0};
    struct fata_kv_value value;

    CHECK(crunch_init(&store, pack(files, COUNT_OF(files)), &none));
    CHECK(store.kv.permanent);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        CHECK_EQ(fata_kv_get(&store.kv, files[i].key, &value), OK);
        CHECK(bytes_equal(value.data, files[i].data));
        CHECK(bytes_equal(value.tag, files[i].tag));
    }
    CHECK_EQ(fata_kv_get(&store.kv, TEXT(""), &value), ERR_NOT_FOUND);
    CHECK_EQ(fata_kv_get(&store.kv, TEXT("a "), &value), ERR_NOT_FOUND);
    CHECK_EQ(fata_kv_get(&store.kv, TEXT("index.htm"), &value), ERR_NOT_FOUND);
    CHECK_EQ(fata_kv_get(&store.kv, TEXT("index.html2"), &value),
             ERR_NOT_FOUND);
    CHECK_EQ(fata_kv_get(&store.kv, TEXT("zzz"), &value), ERR_NOT_FOUND);
}

static void a_value_is_lent_from_the_image_and_aligned(void)
{
    struct crunch store;
    struct writer none = {0};
    struct fata_kv_value value;
    struct bytes image = pack(files, COUNT_OF(files));

    CHECK(crunch_init(&store, image, &none));
    CHECK_EQ(fata_kv_get(&store.kv, TEXT("index.html"), &value), OK);
    CHECK(value.data.at >= image.at && value.data.at < image.at + image.len);
    CHECK_EQ((size_t)(value.data.at - image.at) % CRUNCH_ALIGN, 0);
}

static void keys_are_listed_in_bytewise_order(void)
{
    struct crunch store;
    struct writer none = {0};
    struct bytes key;

    CHECK(crunch_init(&store, pack(files, COUNT_OF(files)), &none));
    for (uint32_t i = 0; i < COUNT_OF(files); i++) {
        CHECK_EQ(fata_kv_list(&store.kv, i, &key), OK);
        CHECK(bytes_equal(key, files[i].key));
    }
    CHECK_EQ(fata_kv_list(&store.kv, COUNT_OF(files), &key), ERR_NOT_FOUND);
}

static void an_empty_folder_is_a_store_without_keys(void)
{
    struct crunch store;
    struct writer none = {0};
    struct fata_kv_value value;

    CHECK(crunch_init(&store, pack(NULL, 0), &none));
    CHECK_EQ(fata_kv_get(&store.kv, TEXT("a"), &value), ERR_NOT_FOUND);
}

static void a_blob_cut_off_anywhere_is_refused(void)
{
    struct bytes image = pack(files, COUNT_OF(files));
    for (size_t len = 0; len < image.len; len++)
        CHECK(fault_of(bytes_first(image, len))[0] != 0);
}

static void names_out_of_order_are_refused_and_the_place_is_named(void)
{
    const struct file bad[] = {files[0], files[3], files[2]};
    const struct file twice[] = {files[0], files[0]};
    CHECK_STRING(fault_of(pack(bad, 3)), "file 3 of 3: it is not in order (the "
                                         "one before is 'index.html')");
    CHECK_STRING(fault_of(pack(twice, 2)),
                 "file 2 of 2: it is not in order (the one before is 'a')");
}

static void bad_names_and_tags_are_refused(void)
{
    const struct file empty[] = {{TEXT(""), TEXT("x"), TEXT("t")}};
    const struct file zero[] = {{TEXT("a\0b"), TEXT("x"), TEXT("t")}};
    const struct file no_tag[] = {{TEXT("a"), TEXT("x"), TEXT("")}};
    const struct file quote[] = {{TEXT("a"), TEXT("x"), TEXT("\"")}};
    CHECK_STRING(fault_of(pack(empty, 1)),
                 "file 1 of 1: its name is empty or longer than 4096 bytes");
    CHECK_STRING(fault_of(pack(zero, 1)),
                 "file 1 of 1: its name has a zero byte");
    CHECK_STRING(fault_of(pack(no_tag, 1)),
                 "file 1 of 1: its tag is malformed");
    CHECK_STRING(fault_of(pack(quote, 1)), "file 1 of 1: its tag is malformed");
}

static void content_outside_the_store_is_refused(void)
{
    struct bytes image = pack(files, COUNT_OF(files));
    uint8_t *entry = blob + CRUNCH_HEADER;
    entry[16] = 0xc0; /* the data offset of the first file: 64 bytes further */
    entry[23] = 0x80; /* and 2^63 */
    CHECK_STRING(fault_of(image),
                 "file 1 of 4: its content lies outside the store");
    entry[23] = 0;
    entry[16] = 0;
    entry[17] = 0;
    CHECK_STRING(fault_of(image),
                 "file 1 of 4: its content lies outside the store");
}

static void another_version_says_so(void)
{
    struct bytes image = pack(files, COUNT_OF(files));
    blob[8] = 2;
    CHECK_STRING(fault_of(image),
                 "it has format version 2, this program reads version 1");
}

static void connecting_carves_a_store_or_says_why_not(void)
{
    _Alignas(64) static uint8_t memory[256];
    struct arena arena = {.at = memory, .room = sizeof memory};
    struct fata_env env = {.arena = &arena};
    struct bytes good = pack(files, COUNT_OF(files));
    struct crunch_image image = {
        .name = "site", .start = good.at, .end = good.at + good.len};
    struct fata_kv *kv = NULL;
    struct fata_kv_value value;
    char text[256];
    struct writer why = writer_to(text, sizeof text - 1);

    CHECK_EQ(crunch_connect(&env, &why, &kv, &image), OK);
    CHECK_EQ(why.len, 0);
    CHECK_EQ(fata_kv_get(kv, TEXT("a"), &value), OK);

    image.end--;
    CHECK_EQ(crunch_connect(&env, &why, &kv, &image), ERR_INVALID);
    text[why.len] = 0;
    CHECK(strstr(text, "folder 'site'") != NULL);
    CHECK(strstr(text, "fata clean") != NULL);

    arena.room = 0;
    CHECK_EQ(crunch_connect(&env, &why, &kv, &image), ERR_FULL);
}

int main(void)
{
    RUN(every_file_is_found_and_no_other);
    RUN(a_value_is_lent_from_the_image_and_aligned);
    RUN(keys_are_listed_in_bytewise_order);
    RUN(an_empty_folder_is_a_store_without_keys);
    RUN(a_blob_cut_off_anywhere_is_refused);
    RUN(names_out_of_order_are_refused_and_the_place_is_named);
    RUN(bad_names_and_tags_are_refused);
    RUN(content_outside_the_store_is_refused);
    RUN(another_version_says_so);
    RUN(connecting_carves_a_store_or_says_why_not);
    return test_result();
}
