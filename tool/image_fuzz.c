/*
 * Fuzz target: any bytes as an image for `fata inspect`, or a good one with
 * any words changed. What is accepted can be walked to its end and printed.
 */
#include "tool/image.h"

#include <stdlib.h>

#include "tender/common/elf_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void check_word(const char *word, size_t most)
{
    check(strlen(word) <= most);
    for (const char *c = word; *c != 0; c++)
        check(*c > 0x20 && *c < 0x7f);
}

/* A good file, of which `changes` say which 32-bit words are to be others. */
static struct elf_file changed(struct bytes changes)
{
    struct elf_file f = elf_file_good();
    struct reader r = reader_of(changes);

    for (;;) {
        size_t at = get_le16(&r) % (sizeof(f) / sizeof(uint32_t));
        uint32_t word = get_le32(&r);
        if (r.failed)
            return f;
        memcpy((uint8_t *)&f + at * sizeof(word), &word, sizeof(word));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct image_info image;
    static struct elf_file file;
    const char *why = NULL;

    if (size > 0 && data[0] == 0) {
        file = changed(bytes_of(data + 1, size - 1));
        data = (const uint8_t *)&file;
        size = sizeof(file);
    }
    if (!image_read(&image, bytes_of(data, size), &why)) {
        check(why != NULL);
        return 0;
    }
    for (size_t i = 0; i < image_device_count(&image); i++)
        check_word(image_device(&image, i)->name, SOLO5_NAME_MAX);
    for (size_t i = 0; i < image.note_count; i++)
        check_word(image.notes[i].owner, IMAGE_OWNER_MAX);
    if (image.build.len > 0)
        check(image.build.len == 64 && image.build.at >= data &&
              image.build.at + 64 <= data + size);
    check(image.start <= image.end);
    return 0;
}
