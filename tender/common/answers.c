/* Answers to what an image asks: see answers.h. */
#include "tender/common/answers.h"

void answer_put(struct writer *w, uint32_t tag, struct bytes contents)
{
    put_le32(w, tag);
    put_le32(w, (uint32_t)contents.len);
    put_bytes(w, contents);
    put_zeros(w, -contents.len % 8);
}

/* The note's field of this place, zero if it is an older, shorter one. */
static uint64_t field(struct bytes note, size_t place)
{
    struct reader r = reader_of(note);

    (void)get_bytes(&r, place * sizeof(uint64_t));
    return get_le64(&r);
}

void answer_put_number(struct writer *w, uint32_t tag, uint32_t number)
{
    uint8_t text[sizeof(number)];
    struct writer contents = WRITER(text);

    put_le32(&contents, number);
    answer_put(w, tag, BYTES(text));
}

uint64_t answers_wants(struct bytes note)
{
    return field(note, 2);
}

uint64_t answers_thread(struct bytes note)
{
    return field(note, 3);
}

/* Of network devices with headers before frames, and disks not to write to. */
static void put_devices(struct writer *w, const struct traits *traits)
{
    uint8_t text[FATA_NETS_MAX * sizeof(struct fata_net)], set[8];
    struct writer nets = WRITER(text), read_only = WRITER(set);
    uint64_t bits = 0;

    for (uint32_t i = 0; i < SOLO5_ENTRIES_MAX; i++) {
        if (traits[i].read_only)
            bits |= UINT64_C(1) << i;
        /* Those with headers are among the first that there is room for. */
        if ((traits[i].features == 0 && traits[i].header_len == 0) ||
            nets.len == sizeof(text))
            continue;
        put_u8(&nets, (uint8_t)i);
        put_u8(&nets, (uint8_t)traits[i].header_len);
        put_le16(&nets, 0);
        put_le32(&nets, traits[i].features);
    }
    put_le64(&read_only, bits);
    if (nets.len > 0)
        answer_put(w, FATA_ANSWER_NET, written(&nets));
    if (bits != 0)
        answer_put(w, FATA_ANSWER_BLOCK_READ_ONLY, written(&read_only));
}

bool answers_write(const struct guest *guest, const struct elf *elf,
                   struct bytes note, const struct answers *answers)
{
    uint8_t text[FATA_ANSWERS_BYTES] = {0};
    struct writer w = WRITER(text);
    struct reader r = reader_of(note);
    uint64_t address = get_le64(&r);
    uint64_t size = get_le64(&r);

    answer_put(&w, FATA_ANSWER_ENTROPY,
               bytes_of(answers->random, FATA_ENTROPY_BYTES));
    answer_put(&w, FATA_ANSWER_CANARY,
               bytes_of(answers->random + FATA_ENTROPY_BYTES, 8));
    answer_put_number(&w, FATA_ANSWER_BLOCK_FLUSH, 1);
    answer_put_number(&w, FATA_ANSWER_BLOCK_TRANSFER, answers->transfer);
    answer_put_number(&w, FATA_ANSWER_PROCESSORS, answers->processors);
    if (answers->counters)
        answer_put_number(&w, FATA_ANSWER_COUNTERS, 1);
    put_devices(&w, answers->traits);
    put_bytes(&w, answers->more);
    put_le64(&w, FATA_ANSWER_END);
    assert(!w.failed);

    uint8_t *to = guest_at(guest, address, size);
    bool sense = !r.failed && to != NULL && address >= SOLO5_IMAGE_START &&
                 size >= w.len && guest_is_writable(elf, address, size);
    if (sense)
        memcpy(to, text, w.len);
    explicit_bzero(text, sizeof(text));
    return sense;
}
