/* Answers to what an image asks: see answers.h. */
#include "tender/common/answers.h"

void answer_put(struct writer *w, uint32_t tag, struct bytes contents)
{
    put_le32(w, tag);
    put_le32(w, (uint32_t)contents.len);
    put_bytes(w, contents);
    put_zeros(w, -contents.len % 8);
}

uint64_t answers_wants(struct bytes note)
{
    struct reader r = reader_of(note);

    (void)get_le64(&r);
    (void)get_le64(&r);
    return get_le64(&r);
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
    const uint8_t yes[] = {1, 0, 0, 0};

    answer_put(&w, FATA_ANSWER_ENTROPY,
               bytes_of(answers->random, FATA_ENTROPY_BYTES));
    answer_put(&w, FATA_ANSWER_CANARY,
               bytes_of(answers->random + FATA_ENTROPY_BYTES, 8));
    if (answers->flushes)
        answer_put(&w, FATA_ANSWER_BLOCK_FLUSH, BYTES(yes));
    if (answers->counters)
        answer_put(&w, FATA_ANSWER_COUNTERS, BYTES(yes));
    put_nets(&w, answers);
    uint8_t processors[4];
    struct writer number = WRITER(processors);
    put_le32(&number, answers->processors);
    answer_put(&w, FATA_ANSWER_PROCESSORS, BYTES(processors));
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
