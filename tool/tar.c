/* Archives in the format of POSIX tar: see tar.h. */
#include "tool/tar.h"

#include <string.h>

enum { BLOCK = 512, SUM_AT = 148 };

static void put_octal(struct writer *w, size_t width, uint64_t n)
{
    put_bytes(w, bytes_of_string(
                     format("%0*llo", (int)width - 1, (unsigned long long)n)));
    put_u8(w, 0);
}

static void put_padded(struct writer *w, const char *word, size_t width)
{
    put_bytes(w, bytes_of_string(word));
    put_zeros(w, width - strlen(word));
}

void tar_add(struct text *tar, const char *path, unsigned mode,
             struct bytes contents)
{
    static const uint8_t zeros[BLOCK];
    uint8_t header[BLOCK];
    struct writer w = WRITER(header);

    assert(strlen(path) <= 100);
    if ((uint64_t)contents.len >= UINT64_C(1) << 33)
        die("%s is too large for an archive: at most 8 GiB", path);
    put_padded(&w, path, 100);
    put_octal(&w, 8, mode);
    put_octal(&w, 8, 0); /* user */
    put_octal(&w, 8, 0); /* group */
    put_octal(&w, 12, contents.len);
    put_octal(&w, 12, 0); /* time */
    /* The sum is made as if blanks stood in its place. */
    put_bytes(&w, TEXT("        "));
    put_u8(&w, ends_with(path, "/") ? '5' : '0');
    put_zeros(&w, 100);
    put_bytes(&w, TEXT("ustar\0"
                       "00"));
    put_zeros(&w, 64); /* names of user and group */
    put_octal(&w, 8, 0);
    put_octal(&w, 8, 0);
    put_zeros(&w, BLOCK - w.len);
    assert(!w.failed);

    unsigned sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += header[i];
    w = writer_to(header + SUM_AT, 8);
    put_octal(&w, 7, sum);

    put_text(tar, (const char *)header, BLOCK);
    put_text(tar, (const char *)contents.at, contents.len);
    put_text(tar, (const char *)zeros, -contents.len % BLOCK);
}

void tar_end(struct text *tar)
{
    static const char zeros[2 * BLOCK];
    put_text(tar, zeros, sizeof zeros);
}
