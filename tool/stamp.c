/*
 * fata stamp: an image gets the hashes that tell what it was built from. They
 * are of bytes only, so the same sources have the same ones wherever and
 * whenever they are built.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "tool/commands.h"
#include "tool/files.h"
#include "tool/image.h"

static_assert(crypto_hash_sha256_BYTES == 32, "as abi/fata.h says");

int command_stamp(const struct command *command, const char *const *words)
{
    struct names operands = {0};
    static struct image_info image;
    const char *why;
    size_t len, graph_len;
    struct fata_build_note note;

    read_options(command, words, NULL, 0, &operands, NULL);
    if (operands.count != 2)
        die_usage("the usage is: %s", command->usage);
    const char *path = operands.at[0];
    char *file = file_read(path, &len);
    if (file == NULL)
        die("%s cannot be read: %s", path, strerror(errno));
    char *graph = file_read(operands.at[1], &graph_len);
    if (graph == NULL)
        die("%s cannot be read: %s", operands.at[1], strerror(errno));
    /* What is no image of ours stays as it is; `fata inspect` says why. */
    if (!image_read(&image, bytes_of(file, len), &why) || image.build.len == 0)
        return 0;

    uint8_t *hashes = (uint8_t *)file + (image.build.at - (uint8_t *)file);
    memset(hashes, 0, sizeof note.id + sizeof note.lock);
    (void)crypto_hash_sha256(hashes + sizeof note.id, (const uint8_t *)graph,
                             graph_len);
    /* So the id tells configurations apart even where the code is the same. */
    (void)crypto_hash_sha256(note.id, (const uint8_t *)file, len);
    memcpy(hashes, note.id, sizeof note.id);

    /* In place: the file keeps its rights, and has no other reader yet. */
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    off_t at = (char *)hashes - file;
    size_t size = sizeof note.id + sizeof note.lock;
    if (fd < 0 || pwrite(fd, hashes, size, at) != (ssize_t)size ||
        close(fd) != 0)
        die("%s cannot be written: %s", path, strerror(errno));
    return 0;
}
