/* Answers to what an image asks: see answers.h. */
#include "tender/common/answers.h"

struct wish wish_of(struct bytes note)
{
    struct wish wish = {0};

    note = bytes_first(note, sizeof(wish));
    if (note.len > 0)
        memcpy(&wish, note.at, note.len);
    return wish;
}

uint8_t *wish_region(const struct guest *guest, const struct wish *wish)
{
    if (wish->address < SOLO5_IMAGE_START)
        return NULL;
    return guest_may(guest, wish->address, wish->size, ELF_WRITE);
}

void answer_put(struct writer *w, uint32_t tag, struct bytes contents)
{
    put_le32(w, tag);
    put_le32(w, (uint32_t)contents.len);
    put_bytes(w, contents);
    put_zeros(w, -contents.len % 8);
}

void answer_put_number(struct writer *w, uint32_t tag, uint32_t number)
{
    uint8_t text[sizeof(number)];
    struct writer contents = WRITER(text);

    put_le32(&contents, number);
    answer_put(w, tag, BYTES(text));
}

/* Of network devices with headers before frames, and disks not to write to. */
static void put_devices(struct writer *w, const struct device *devices)
{
    uint8_t text[FATA_NETS_MAX * sizeof(struct fata_net)], set[8];
    struct writer nets = WRITER(text), read_only = WRITER(set);
    uint64_t bits = 0;

    for (uint32_t i = 0; i < SOLO5_ENTRIES_MAX; i++) {
        if (devices[i].read_only)
            bits |= UINT64_C(1) << i;
        /* Those with headers are among the first that there is room for. */
        if ((devices[i].features == 0 && devices[i].header_len == 0) ||
            nets.len == sizeof(text))
            continue;
        put_u8(&nets, (uint8_t)i);
        put_u8(&nets, (uint8_t)devices[i].header_len);
        put_le16(&nets, 0);
        put_le32(&nets, devices[i].features);
    }
    put_le64(&read_only, bits);
    if (nets.len > 0)
        answer_put(w, FATA_ANSWER_NET, written(&nets));
    if (bits != 0)
        answer_put(w, FATA_ANSWER_BLOCK_READ_ONLY, written(&read_only));
}

bool answers_write(const struct guest *guest, const struct wish *wish,
                   const uint8_t random[ANSWERS_RANDOM_BYTES],
                   const struct device *devices, struct bytes more)
{
    uint8_t *to = wish_region(guest, wish), text[FATA_ANSWERS_BYTES];
    struct writer w = WRITER(text);

    answer_put(&w, FATA_ANSWER_ENTROPY, bytes_of(random, FATA_ENTROPY_BYTES));
    answer_put(&w, FATA_ANSWER_CANARY,
               bytes_of(random + FATA_ENTROPY_BYTES, 8));
    answer_put_number(&w, FATA_ANSWER_BLOCK_FLUSH, 1);
    put_devices(&w, devices);
    put_bytes(&w, more);
    put_le64(&w, FATA_ANSWER_END);
    assert(!w.failed);
    bool fits = to != NULL && wish->size >= w.len;
    if (fits)
        memcpy(to, text, w.len);
    explicit_bzero(text, sizeof(text));
    return fits;
}
