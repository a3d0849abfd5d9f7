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

static void put_nets(struct writer *w, const struct answers *answers)
{
    uint8_t text[sizeof(answers->nets)];
    struct writer nets = WRITER(text);

    for (uint32_t i = 0; i < answers->net_count; i++) {
        put_u8(&nets, answers->nets[i].handle);
        put_u8(&nets, answers->nets[i].header_len);
        put_le16(&nets, 0);
        put_le32(&nets, answers->nets[i].features);
    }
    if (nets.len > 0)
        answer_put(w, FATA_ANSWER_NET, written(&nets));
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
    put_nets(&w, answers);
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
