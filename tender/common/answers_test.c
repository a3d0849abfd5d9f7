/* Tests of answers: what is written, and where nothing is. */
#include "tender/common/answers.h"

#include "test/test.h"

enum { MEMORY = 2 << 20, ROOM = MEMORY - SOLO5_SPT_MEMORY_START };

/* Memory of an image with one segment. */
static struct guest fresh(uint32_t flags)
{
    static uint8_t memory[ROOM];
    static struct elf elf;

    memset(memory, 0, sizeof(memory));
    elf.count = 1;
    elf.segments[0] = (struct elf_segment){
        .start = 0x101000, .end = 0x102000, .flags = flags};
    return (struct guest){.memory = memory,
                          .start = SOLO5_SPT_MEMORY_START,
                          .mem_size = MEMORY,
                          .elf = &elf};
}

static bool answered(uint64_t address, uint64_t size, uint32_t flags)
{
    static uint8_t random[ANSWERS_RANDOM_BYTES];
    static const struct device devices[SOLO5_ENTRIES_MAX];
    struct guest guest = fresh(flags);
    const struct wish wish = {.address = address, .size = size};

    memset(random, 0x5a, sizeof(random));
    bool said =
        answers_write(&guest, &wish, random, devices, (struct bytes){0});
    bool done = false;
    for (size_t i = 0; i < ROOM; i++)
        done = done || guest.memory[i] != 0;
    CHECK_EQ(said, done);
    return done;
}

static void older_notes_wish_for_less(void)
{
    const struct wish all = {1, 2, FATA_WANTS_NET, 4};
    const struct bytes note = bytes_of(&all, sizeof(all));

    CHECK_EQ(wish_of(note).thread, 4);
    CHECK_EQ(wish_of(bytes_first(note, 24)).thread, 0);
    CHECK_EQ(wish_of(bytes_first(note, 24)).wants, FATA_WANTS_NET);
    /* From before there was anything to want. */
    CHECK_EQ(wish_of(bytes_first(note, 16)).wants, 0);
    CHECK_EQ(wish_of(bytes_first(note, 16)).size, 2);
    CHECK_EQ(wish_of((struct bytes){0}).size, 0);
}

static void all_answers_fit_the_smallest_block(void)
{
    static uint8_t random[ANSWERS_RANDOM_BYTES];
    struct guest guest = fresh(ELF_READ | ELF_WRITE);
    struct device devices[SOLO5_ENTRIES_MAX] = {0};
    const struct fata_ring rings[FATA_RINGS_MAX] = {0};
    const struct wish wish = {.address = 0x101000, .size = FATA_ANSWERS_BYTES};
    uint8_t text[FATA_ANSWERS_BYTES];
    struct writer w = WRITER(text);

    for (size_t i = 0; i < SOLO5_ENTRIES_MAX; i++)
        devices[i] = (struct device){.header_len = FATA_NET_HEADER,
                                     .features = 0x01020304,
                                     .read_only = i % 2 != 0};
    /* Those of the tenders themselves. */
    answer_put(&w, FATA_ANSWER_RINGS, bytes_of(rings, sizeof(rings)));
    for (uint32_t i = 0; i < 7; i++)
        answer_put_number(&w, FATA_ANSWER_COUNTERS, 1);
    CHECK(answers_write(&guest, &wish, random, devices, written(&w)));

    struct reader r = reader_of(bytes_of(
        guest_at(&guest, 0x101000, FATA_ANSWERS_BYTES), FATA_ANSWERS_BYTES));
    for (;;) {
        uint32_t tag = get_le32(&r), len = get_le32(&r);
        if (tag == FATA_ANSWER_NET || tag == FATA_ANSWER_END)
            CHECK_EQ(len, tag == FATA_ANSWER_NET ? FATA_NETS_MAX * 8 : 0);
        if (tag == FATA_ANSWER_NET || tag == FATA_ANSWER_END)
            break;
        (void)get_bytes(&r, (len + 7) / 8 * 8);
    }
    for (uint8_t i = 0; i < FATA_NETS_MAX; i++) {
        CHECK_EQ(get_u8(&r), i);
        CHECK_EQ(get_u8(&r), FATA_NET_HEADER);
        CHECK_EQ(get_le16(&r), 0);
        CHECK_EQ(get_le32(&r), 0x01020304);
    }
    CHECK_EQ(get_le32(&r), FATA_ANSWER_BLOCK_READ_ONLY);
    CHECK_EQ(get_le32(&r), 8);
    CHECK_EQ(get_le64(&r), 0xaaaaaaaaaaaaaaaa);
    CHECK(!r.failed);
}

static void answers_go_only_where_the_guest_itself_may_write(void)
{
    const uint64_t size = FATA_ANSWERS_BYTES;
    const uint32_t rw = ELF_READ | ELF_WRITE;

    CHECK(answered(0x101000, size, rw));
    CHECK(answered(0x103000, size, ELF_READ));
    CHECK(answered(MEMORY - size, size, rw));
    CHECK(!answered(0x101000, size, ELF_READ));
    CHECK(!answered(0x101000 - size + 1, size, ELF_READ | ELF_EXECUTE));
    CHECK(answered(0x101000 - size, size, ELF_READ | ELF_EXECUTE));
    CHECK(!answered(0x101fff, size, ELF_READ));
    CHECK(!answered(0x11000, size, rw));
    CHECK(!answered(MEMORY - size + 1, size, rw));
    CHECK(!answered(UINT64_MAX, size, rw));
    CHECK(!answered(0x101000, UINT64_MAX, rw));
    CHECK(!answered(0x101000, 8, rw));
    CHECK(!answered(0, 0, rw));
}

int main(void)
{
    RUN(answers_go_only_where_the_guest_itself_may_write);
    RUN(older_notes_wish_for_less);
    RUN(all_answers_fit_the_smallest_block);
    return test_result();
}
